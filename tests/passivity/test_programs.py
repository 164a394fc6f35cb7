"""Whole programs, plain and observed: the same bytes on both streams, the same status."""

import re
from pathlib import Path

import pytest
from harness import Lab

PROGRAMS = Path(__file__).parent / "programs"
NOT_RUN = {"broken_import", "raising_import", "circular_import"}
ADDRESS = re.compile(r"0x[0-9a-f]{6,}|Thread-\d+|process \d+|\d{12,}")


def names() -> list[str]:
    return sorted(path.stem for path in PROGRAMS.glob("*.py") if path.stem not in NOT_RUN)


@pytest.mark.parametrize("flags", [(), ("-W", "error")], ids=["plain", "errors"])
@pytest.mark.parametrize("name", names())
def test_program(lab: Lab, name: str, flags: tuple[str, ...]) -> None:
    """The program prints the same, fails the same and dies the same."""
    for path in PROGRAMS.glob("*.py"):
        lab.write(path.name, path.read_text())
    plain = lab.plain(*flags, f"{name}.py")
    cold = lab.observed(*flags, f"{name}.py")
    warm = lab.observed(*flags, f"{name}.py")
    for observed in (cold, warm):
        assert [note for image in observed.images for note in image.notes] == []
        assert ADDRESS.sub("X", observed.stderr) == ADDRESS.sub("X", plain.stderr)
        assert ADDRESS.sub("X", observed.stdout) == ADDRESS.sub("X", plain.stdout)
        assert observed.returncode == plain.returncode
