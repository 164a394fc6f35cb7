"""numba compiles what an observed program gives it, however it is called there."""

from pathlib import Path

import pytest
from packages import library

from harness import Lab, interpreters

pytestmark = pytest.mark.downstream

PROGRAM = """
import numba as nb
from numba import njit as fast, vectorize

@nb.njit
def decorated(x):
    total = 0
    for i in range(x):
        total += i
    return total

@fast(cache=False)
def calls(x):
    return decorated(x) + 1

@vectorize(["float64(float64)"])
def each(x):
    return 2 * x

def slow(x):
    return x + 1

quick = nb.njit(slow)

@nb.njit
def outer(x):
    def inner(y):
        return x + y
    return inner(1)

def python(x):
    return decorated(x) + calls(x) + quick(x) + outer(x)

print(python(10), each(3.0), slow(1), decorated.signatures)
"""


def test_compiled_functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled functions give plain's results and are listed as left alone; those that call them are recorded."""
    python = interpreters()[0]
    needs = ("numba==0.68.1", "llvmlite==0.50.0", "numpy==2.4.6")
    monkeypatch.setenv("PYTHONPATH", str(library(python, *needs)))
    lab = Lab(tmp_path, python)
    lab.write("job.py", PROGRAM)
    plain, observed = lab.plain("job.py"), lab.observed("job.py")
    assert (plain.returncode, plain.stderr) == (0, "")
    assert (observed.stdout, observed.stderr) == (plain.stdout, "")
    assert observed.tree() == ["job > job.python"]
    left = {name for what, name, why in observed.image.skipped if why == "compiled from its source"}
    assert left == {f"job.{name}" for name in ("decorated", "calls", "each", "slow", "outer")}
    assert observed.image.notes == []
