"""cloudpickle, dill and joblib take observed functions by value, also to interpreters where Rheostat is not installed."""

import subprocess
from pathlib import Path

import pytest
from packages import environment

from harness import Lab

pytestmark = pytest.mark.downstream

FUNCTIONS = """
import asyncio

def function(x, y=2, *, z=3):
    return x + y + z

def closure(n):
    def inner(x):
        return x + n
    return inner

class Thing:
    def __init__(self, x): self.x = x
    def method(self, y): return self.x + y
    @staticmethod
    def twice(x): return 2 * x

def generator(n):
    got = yield n
    yield got
    yield from range(n)

async def coroutine(x):
    await asyncio.sleep(0)
    return x

async def items(n):
    for i in range(n):
        yield i

async def gather(call, over): return [await call(1), [i async for i in over(3)]]

def drive(call):
    running = call(2)
    return [next(running), running.send('sent'), list(running)]
"""

BY_VALUE = """
import pickle, sys
import {library} as library
{functions}
values = [function, closure(1), Thing, Thing(1).method, Thing.twice, generator, coroutine, items, gather, drive, lambda x: x]
with open(sys.argv[1], 'wb') as file:
    file.write(library.dumps(values))
"""

LOADED = """
import asyncio, sys
import {library} as library
with open(sys.argv[1], 'rb') as file:
    function, inner, Thing, method, twice, generator, coroutine, items, gather, drive, same = library.load(file)
print(function(1), inner(1), Thing(2).method(3), method(4), twice(5), same(6), drive(generator))
print(asyncio.run(gather(coroutine, items)), 'rheostat' in sys.modules, function.__code__.co_varnames)
"""

JOBLIB = """
import io
import joblib
{functions}
if __name__ == '__main__':
    for backend in ('loky', 'threading', 'multiprocessing'):
        print(backend, joblib.Parallel(2, backend=backend)(joblib.delayed(function)(n) for n in range(4)))
    print(joblib.Parallel(2)(joblib.delayed(closure(n))(1) for n in range(3)))
    buffer = io.BytesIO()
    joblib.dump([function, Thing(3)], buffer)
    buffer.seek(0)
    loaded, thing = joblib.load(buffer)
    print(loaded is function, thing.method(1))
    print(joblib.hash(function, 'sha1') == joblib.hash(loaded, 'sha1'))
    memory = joblib.Memory('memory', verbose=0)
    print([memory.cache(function)(n) for n in (1, 1, 2)], memory.cache(function).check_call_in_cache(1))
"""


@pytest.fixture
def equipped(tmp_path: Path) -> Lab:
    """A project for an interpreter that has the libraries."""
    return Lab(tmp_path, str(environment() / "venv/bin/python"))


@pytest.mark.parametrize("library", ["cloudpickle", "dill"])
def test_by_value(equipped: Lab, library: str) -> None:
    """What an observed script pickles by value works plain, observed, and where nothing of Rheostat can be imported."""
    names = {"library": library, "functions": FUNCTIONS}
    equipped.write("dump.py", BY_VALUE.format(**names))
    equipped.write("load.py", LOADED.format(**names))
    plain, observed = equipped.plain("dump.py", "plain"), equipped.observed("dump.py", "observed")
    assert (plain.stderr, plain.returncode) == (observed.stderr, observed.returncode) == ("", 0)
    assert observed.image.notes == []
    expected = equipped.plain("load.py", "plain")
    assert (expected.returncode, expected.stderr) == (0, "")
    command = [equipped.python, "-I", "load.py", "observed"]
    alone = subprocess.run(
        command, cwd=equipped.project, capture_output=True, text=True, check=False, timeout=60
    )
    assert (alone.stdout, alone.stderr) == (expected.stdout, "")
    again = equipped.observed("load.py", "observed")
    assert (again.returncode, again.stderr) == (0, "")
    assert again.stdout.replace("True", "False") == expected.stdout.replace("True", "False")


def test_joblib(equipped: Lab) -> None:
    """joblib's backends, files, hashes and its memory take observed functions as plain ones."""
    equipped.write("job.py", JOBLIB.format(functions=FUNCTIONS))
    plain = equipped.plain("job.py")
    (equipped.project / "memory").rename(equipped.project / "plain")
    observed = equipped.observed("job.py")
    assert (observed.stdout, observed.stderr, observed.returncode) == (
        plain.stdout,
        plain.stderr,
        0,
    )
