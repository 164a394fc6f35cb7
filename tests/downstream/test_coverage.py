"""coverage.py measures an observed program as it would alone: lines and branches, by every core that it has."""

import json
import sys
from pathlib import Path

import pytest
from packages import library

from harness import Lab, interpreters

pytestmark = pytest.mark.downstream

PROGRAM = """
import contextlib
import sys
from part import *

def branches(x):
    if x > 1:
        y = [
            i
            for i in range(x)
            if i
        ]
    elif x:
        y = 1
    else:
        y = None
    while y:
        y = None
        if x:
            continue
        break
    else:
        x = 0
    try:
        return 1 / x
    except ZeroDivisionError:
        pass
    finally:
        x = 3

def never(): return 1

def only_documented():
    '''Doc.'''

def numbers(n):
    for i in range(n):
        if i == 1:
            yield i
        else:
            yield (
                i
            )

def suppressed():
    with contextlib.suppress(KeyError):
        raise KeyError

def matched(x):
    match x:
        case 1:
            return 'one'
        case [_, *_]:
            pass
        case _:
            with contextlib.nullcontext():
                x = 2

class Thing:
    attribute = 1
    def method(self):
        return self.attribute if self else None

for x in range(3):
    branches(x)
print(list(numbers(3)), matched(1), matched([1]), matched(2), Thing().method())
suppressed(), only_documented()
if x:
    try:
        helper(0)
    except ValueError:
        print('failed')
"""
PART = """
def helper(x):
    if x:
        return 1
    raise ValueError
def unused(): return lambda: 3
if helper is None:
    unused()
"""


def measured(lab: Lab, name: str, core: str, observed: bool) -> dict[str, object]:
    """Return what coverage.py says of the program."""
    variables = {"COVERAGE_CORE": core, "COVERAGE_FILE": str(lab.project / f".{name}")}
    run = lab.observed if observed else lab.plain
    branches = ["--branch"] if core != "sysmon" else []
    done = run("-m", "coverage", "run", *branches, "--source=.", "job.py", env=variables)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert bool(done.named("program.branches")) == observed
    report = f"{lab.project}/{name}.json"
    done = lab.plain("-m", "coverage", "json", "-q", "-o", report, env=variables)
    assert done.returncode == 0, done.stdout
    files = json.loads(Path(report).read_text())["files"]
    assert set(files) == {"job.py", "program.py", "part.py"}
    return files


def cores() -> list[object]:
    """Return each interpreter with each core it has; `sys.monitoring` came with 3.12, and tells of branches from 3.14."""
    found: list[object] = []
    for python in interpreters():
        name = Path(python).parts[-3]
        found += [pytest.param(python, core, id=f"{name}-{core}") for core in ("ctrace", "pytrace")]
        if name != ".venv" or sys.version_info >= (3, 12):
            found.append(pytest.param(python, "sysmon", id=f"{name}-sysmon"))
    return found


@pytest.mark.parametrize(("python", "core"), cores())
def test_coverage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, python: str, core: str) -> None:
    """Lines and branches that ran and did not are the same, cold and warm."""
    monkeypatch.setenv("PYTHONPATH", str(library(python, "coverage==7.17.4")))
    lab = Lab(tmp_path, python)
    lab.write("job.py", "import program\n")  # coverage compiles the script itself
    lab.write("program.py", PROGRAM)
    lab.write("part.py", PART)
    plain = measured(lab, "plain", core, observed=False)
    assert plain["program.py"]["missing_lines"]
    if core != "sysmon":
        assert plain["program.py"]["missing_branches"]
    for name in ("cold", "warm"):
        assert measured(lab, name, core, observed=True) == plain
