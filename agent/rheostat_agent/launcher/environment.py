"""The environment that the launcher was given, which is not quite the one it has."""

import os

_COERCED = ("C.UTF-8", "C.utf8", "UTF-8")


def inherited_environment() -> dict[str, str]:
    """Return the variables that the launcher was started with.

    In the C locale CPython sets LC_CTYPE in its own environment as it starts (PEP 538); the kernel still knows what was
    there before. An entry without a name, which `execve` of Python refuses, is left out.
    """
    environment = dict(os.environ)
    environment.pop("", None)
    if environment.get("LC_CTYPE") in _COERCED:
        try:
            with open("/proc/self/environ", "rb") as file:
                entries = file.read().split(b"\0")
        except OSError:  # no /proc: leave it as it is
            return environment
        before = [entry[9:] for entry in entries if entry.startswith(b"LC_CTYPE=")]
        if before:
            environment["LC_CTYPE"] = os.fsdecode(before[0])
        else:
            del environment["LC_CTYPE"]
    return environment
