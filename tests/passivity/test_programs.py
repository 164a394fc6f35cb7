"""Whole programs, plain and observed: the same bytes on both streams, the same status."""

import re
from pathlib import Path

import pytest

from harness import Lab

PROGRAMS = Path(__file__).parent / "programs"
NOT_RUN = {"broken_import", "raising_import", "circular_import"}
ADDRESS = re.compile(r"0x[0-9a-f]{6,}|Thread-\d+|process \d+|\d{12,}")
# CPython 3.13 words these by whether the module lies in the folder of the script, which it takes from where it found
# `__main__`; no Python code can set that. Documented in docs/passivity.md.
HINT = re.compile(
    r"module '(\w+)' has no attribute '(\w+)' \(consider renaming '([^']*)' if it has .*\)"
    r"|partially initialized module '(\w+)' from '([^']*)' has no attribute '(\w+)' \(most .*\)"
)


def text(output: str, lab: Lab) -> str:
    """Return *output* without what differs from run to run, and without the hint that 3.13 cannot give of us."""
    if "3.13" in lab.python:
        output = HINT.sub(lambda hint: " ".join(sorted(filter(None, hint.groups()))), output)
    return ADDRESS.sub("X", output)


def names() -> list[str]:
    return sorted(path.stem for path in PROGRAMS.glob("*.py") if path.stem not in NOT_RUN)


@pytest.mark.parametrize("captures", [False, True], ids=["", "capture"])
@pytest.mark.parametrize("flags", [(), ("-W", "error")], ids=["plain", "errors"])
@pytest.mark.parametrize("name", names())
def test_program(lab: Lab, name: str, flags: tuple[str, ...], captures: bool) -> None:
    """The program prints the same, fails the same and dies the same."""
    settings = {"capture_args": captures}
    for path in PROGRAMS.glob("*.py"):
        lab.write(path.name, path.read_text())
    plain = lab.plain(*flags, f"{name}.py")
    cold = lab.observed(*flags, f"{name}.py", settings=settings)
    warm = lab.observed(*flags, f"{name}.py", settings=settings)
    for observed in (cold, warm):
        assert [note for image in observed.images for note in image.notes] == []
        assert text(observed.stderr, lab) == text(plain.stderr, lab)
        assert text(observed.stdout, lab) == text(plain.stdout, lab)
        assert observed.returncode == plain.returncode
