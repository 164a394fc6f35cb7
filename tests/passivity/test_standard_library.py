"""The whole standard library, its tests included, compiled transformed beside plain.

What is compared, for each code object (library_check.py):

- names, qualified names, variables, free and cell variables, names used, arguments, flags, first lines, docstrings;
- the set of lines that it has;
- every instruction that computes something has its exact positions, and is followed by what follows it alone.

Not compared: the columns of instructions that only leave a block or the function (returns, the end of an `except`, jumps),
which the compiler derives from what precedes them; tests/instrumentation/test_transform_events.py shows that trace
functions see them on their lines. Nor those of loads and stores of local variables, which cannot fail, and which 3.13
fuses in pairs.

A sample of one in eight files on each push, another one each day; all of them (about a minute a version) with
RHEOSTAT_TEST_ALL=1.
"""

import datetime
import os
import random
import subprocess
from pathlib import Path

import pytest

import rheostat
from harness import interpreters

CHECK = Path(__file__).parent / "library_check.py"
INSTRUMENTATION = Path(rheostat.__path__[0]).parent


def files(python: str) -> list[str]:
    """Return the library's files for this run, and print the seed of the sample."""
    command = [python, "-I", "-c", "import os; print(os.path.dirname(os.__file__))"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    found = sorted(str(path) for path in Path(done.stdout.strip()).rglob("*.py"))
    found = [path for path in found if "-packages/" not in path]
    if os.environ.get("RHEOSTAT_TEST_ALL"):
        return found
    seed = os.environ.get("RHEOSTAT_TEST_SEED") or datetime.date.today().isoformat()
    print("RHEOSTAT_TEST_SEED", seed)
    return random.Random(seed).sample(found, len(found) // 8)


@pytest.mark.parametrize("python", interpreters(), ids=lambda python: Path(python).parts[-3])
def test_standard_library(python: str) -> None:
    """The standard library compiles transformed, with everything in the place where it is alone."""
    command = [python, "-I", str(CHECK), str(INSTRUMENTATION), *files(python)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=580)
    assert done.stderr == ""
    *different, total = done.stdout.splitlines()
    assert different == []
    assert int(total) > 1000
