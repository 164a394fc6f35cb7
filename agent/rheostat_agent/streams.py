"""The descriptors that the launcher shares with the program."""

import os


def plug() -> None:
    """Open /dev/null for the launcher where it was started without a standard stream, before anything else is opened.

    Otherwise the next file that we open would be standard error. The program does not inherit it.
    """
    try:
        descriptor = 0
        while descriptor <= 2:  # the lowest number that is free
            descriptor = os.open(os.devnull, os.O_RDWR)
    except OSError:  # a root directory without /dev
        return
    os.close(descriptor)


def inherited() -> list[int]:
    """Return the descriptors that a child would inherit: what we were given, for what we opened is not inheritable."""
    try:
        numbers = [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError:  # a root directory without /proc
        return []
    return [number for number in numbers if _is_inheritable(number)]


def _is_inheritable(number: int) -> bool:
    try:
        return os.get_inheritable(number)
    except OSError:  # that of the listing itself
        return False


def let_go() -> None:
    """Close what the program was given, but for standard error: who is at the other end waits for its end, not ours."""
    try:
        null = os.open(os.devnull, os.O_RDWR)
    except OSError:  # a root directory without /dev
        return
    for number in inherited():
        if number < 2:
            os.dup2(null, number)
        elif number > 2:
            os.close(number)
    os.close(null)
