"""Starts programs under the launcher, and the same programs plain."""

import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

LAUNCHER = [str(Path(sys.executable).parent / "rheostat"), "run", "--quiet", "--wait", "0"]
BARE_LAUNCHER = [sys.executable, str(Path(__file__).parent / "drive.py")]
DEADLINE_S = 30.0


def run(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
    """Run *command* to its end and return what it wrote."""
    keywords: dict[str, object] = {"capture_output": True, "stdin": subprocess.DEVNULL, **options}
    return subprocess.run(command, text=True, timeout=DEADLINE_S, check=False, **keywords)


def both(
    command: list[str], launcher: list[str] = LAUNCHER, **options: object
) -> tuple[subprocess.CompletedProcess[str], subprocess.CompletedProcess[str]]:
    """Run *command* plain and under the launcher."""
    return run(command, **options), run([*launcher, *command], **options)


@contextmanager
def started(command: list[str], **options: object) -> Iterator[subprocess.Popen[str]]:
    """Start *command* with a pipe from its output; kill it, and what it started in its group, if it outlives the test."""
    keywords: dict[str, object] = {
        "stdin": subprocess.DEVNULL,
        "stdout": subprocess.PIPE,
        "start_new_session": True,
        **options,
    }
    process = subprocess.Popen(command, text=True, bufsize=1, **keywords)
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, 9)
            process.wait(DEADLINE_S)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def line_of(process: subprocess.Popen[str]) -> str:
    """Return the next line that *process* writes, waiting for it until the deadline."""
    assert process.stdout is not None
    descriptor, line = process.stdout.fileno(), b""
    until = time.monotonic() + DEADLINE_S
    while not line.endswith(b"\n"):
        left = until - time.monotonic()
        assert left > 0 and select.select([descriptor], [], [], left)[0], f"only {line!r} came"
        byte = os.read(descriptor, 1)
        assert byte, f"ended after {line!r}"
        line += byte
    return line.decode().rstrip("\n")


def rest_of(process: subprocess.Popen[str]) -> list[str]:
    """Return the lines that *process* writes until it ends."""
    return process.communicate(timeout=DEADLINE_S)[0].splitlines()


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Return as soon as *condition* holds; fail after the deadline."""
    until = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < until, f"never: {what}"
        time.sleep(0.002)  # a poll of /proc, which nothing can wait for


def state(pid: int) -> str:
    """Return the state of a process as /proc has it, "" if there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return text[text.rindex(")") + 2]


def children_of(pid: int) -> dict[int, str]:
    """Return the children of a process and the names of what they execute."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = path.read_text().partition("(")[2].rpartition(")")
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended meanwhile
        if int(rest.split()[1]) == pid:
            found[int(path.parent.name)] = name
    return found


def parent_of(pid: int) -> int:
    """Return the parent of a process."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def await_witness(program: int) -> int:
    """Return the launcher that is the parent of *program*, as soon as it follows it."""
    launcher = parent_of(program)
    await_following(launcher)
    return launcher


def await_following(launcher: int) -> None:
    """Return as soon as *launcher* follows its program."""
    wait_until(lambda: "cat" in children_of(launcher).values(), "there is a witness")
