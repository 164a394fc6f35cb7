"""What the program's own trace functions, debuggers and coverage tools see of its code."""

import os
import subprocess
from pathlib import Path

import pytest

import rheostat
from harness import interpreters

SCRIPT = Path(__file__).parent / "transform_events.py"
INSTRUMENTATION = Path(rheostat.__path__[0]).parent
PROGRAMS = 3500 if os.environ.get("RHEOSTAT_TEST_ALL") else 700


@pytest.mark.parametrize("more", [[], ["capture"]], ids=["", "capture"])
@pytest.mark.parametrize("python", interpreters(), ids=lambda python: Path(python).parts[-3])
def test_events_of_random_programs(python: str, more: list[str]) -> None:
    """Calls, lines, returns, yields and exceptions are the plain program's, one by one, to settrace and sys.monitoring."""
    command = [python, "-I", str(SCRIPT), str(INSTRUMENTATION), "0", str(PROGRAMS), *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{PROGRAMS} programs\n"
