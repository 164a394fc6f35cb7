"""The summary and `show` on a real terminal: colours, and lines that fit."""

import fcntl
import os
import pty
import re
import struct
import termios
import time
from pathlib import Path

import pytest

from running import DEADLINE_S, RHEOSTAT, Rheostat

JOB = """
def a_function_with_quite_a_long_name_indeed(depth):
    def and_one_that_is_nested_in_it_with_a_name_as_long():
        if depth:
            a_function_with_quite_a_long_name_indeed(depth - 1)
        else:
            raise ValueError("a message that goes on for so long that no terminal has room for it " * 3)
    and_one_that_is_nested_in_it_with_a_name_as_long()
try:
    a_function_with_quite_a_long_name_indeed(6)
except ValueError:
    pass
print("out")
"""
ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


def on_terminal(
    rheostat: Rheostat, command: list[str], columns: int, **environment: str
) -> list[str]:
    """Run *command* on a terminal of *columns*; return the lines that it shows."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    variables = {"TERM": "xterm-256color", "NO_COLOR": "", "FORCE_COLOR": "", **environment}
    process = rheostat._start(command, env=variables, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    text, until = b"", time.monotonic() + DEADLINE_S
    while time.monotonic() < until:
        try:
            data = os.read(ours, 65536)
        except OSError:  # the last end of the other side was closed
            break
        text += data
    os.close(ours)
    assert process.wait(DEADLINE_S) == 0
    return text.decode().split("\r\n")[:-1]


@pytest.fixture
def run_command(rheostat: Rheostat) -> list[str]:
    """The command that runs the job."""
    rheostat.write("job.py", JOB)
    return [RHEOSTAT, "run", "--python", rheostat.python, "job.py"]


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_lines_fit(rheostat: Rheostat, run_command: list[str], columns: int) -> None:
    """No line of the summary is wider than the terminal, and none of `show`."""
    summary = on_terminal(rheostat, run_command, columns)
    shown = on_terminal(rheostat, [RHEOSTAT, "show"], columns)

    assert summary[0] == "out"
    assert max(len(ESCAPE.sub("", line)) for line in summary + shown) <= columns


def test_columns_are_aligned_with_colours(rheostat: Rheostat, run_command: list[str]) -> None:
    """What is visible is what it would be without colours, but for the numbers."""
    coloured = on_terminal(rheostat, run_command, 120)
    directory = rheostat.last().name
    rheostat.await_complete()
    coloured = on_terminal(rheostat, [RHEOSTAT, "show", directory], 120)
    plain = on_terminal(rheostat, [RHEOSTAT, "show", directory], 120, NO_COLOR="1")

    assert [ESCAPE.sub("", line) for line in coloured] == plain
    assert any(ESCAPE.search(line) for line in coloured)
    assert not any(ESCAPE.search(line) for line in plain)


def test_every_colour_is_ended_on_its_line(rheostat: Rheostat, run_command: list[str]) -> None:
    """A line that is cut does not leave the terminal red."""
    for line in on_terminal(rheostat, run_command, 60):
        codes = ESCAPE.findall(line)
        assert codes[1::2] == ["\x1b[0m"] * (len(codes) // 2)
        assert len(codes) % 2 == 0


def test_a_dumb_terminal_has_no_colours(rheostat: Rheostat, run_command: list[str]) -> None:
    """TERM=dumb."""
    assert not any(
        ESCAPE.search(line) for line in on_terminal(rheostat, run_command, 80, TERM="dumb")
    )


def test_nothing_moves(rheostat: Rheostat, run_command: list[str]) -> None:
    """No animation: no carriage return, no cursor movement."""
    text = "\n".join(on_terminal(rheostat, run_command, 80))

    assert "\r" not in text
    assert "\x1b" not in ESCAPE.sub("", text)


def test_output_redirected_errors_on_the_terminal(rheostat: Rheostat, tmp_path: Path) -> None:
    """stdout is the program's alone: in a pipe or file there is nothing of ours."""
    rheostat.write("job.py", JOB)
    script = f"{RHEOSTAT} run --python {rheostat.python} job.py > {tmp_path}/out"
    lines = on_terminal(rheostat, ["sh", "-c", script], 100)

    assert (tmp_path / "out").read_text() == "out\n"
    assert lines[0].startswith("\x1b[2mrheostat\x1b[0m ")
