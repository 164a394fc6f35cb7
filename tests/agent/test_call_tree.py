"""The tree of calls in the history is the one that the program itself sees by `sys._getframe`."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import interpreters
from running import Rheostat, rheostat_fixture

# Outside the project, so that it is not recorded: writes down the chain of the program's own functions that run now.
# A function that another thread, task or executor starts is given the chain of who started it as `above`.
WITNESS = """
import os, sys

BOOK = os.open(os.environ["BOOK"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)

def chain():
    names, frame = [], sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_filename.endswith("tree.py") and frame.f_code.co_name[0] != "<":
            names.append(frame.f_code.co_name)
            if "above" in frame.f_locals:
                return frame.f_locals["above"] + names[::-1]
        frame = frame.f_back
    return names[::-1]

def note():
    frame, names = sys._getframe(1), chain()
    os.write(BOOK, (" ".join(names[:-1] if names[-1] == "note" else names) + "\\n").encode())
"""

PROGRAM = """
import asyncio, contextlib, functools, threading
from concurrent.futures import ThreadPoolExecutor
from witness import chain, note

def leaf():
    note()

def mutual(depth):
    note()
    if depth:
        other(depth - 1)

def other(depth):
    note()
    mutual(depth)

def numbers(most):
    note()
    for number in range(most):
        leaf()
        yield number

def consume():
    note()
    for number in numbers(2):
        mutual(1)
    one, two = numbers(2), numbers(2)
    next(one), next(two), next(one)

def boom(depth):
    note()
    if not depth:
        raise ValueError
    boom(depth - 1)

def catching():
    note()
    try:
        boom(3)
    except ValueError:
        leaf()

@contextlib.contextmanager
def managed():
    note()
    leaf()
    yield
    leaf()

def managing():
    note()
    with managed():
        leaf()

@functools.cache
def cached(number):
    note()
    return sorted([3, 1, 2], key=ordering)

def ordering(number):
    note()
    return number

class Thing:
    def __init__(self):
        note()
        self.set_up()

    def set_up(self):
        note()

    @property
    def size(self):
        note()
        leaf()
        return 1

    @classmethod
    def made(cls):
        note()
        return cls()

    @staticmethod
    def still():
        note()
        leaf()

def things():
    note()
    thing = Thing.made()
    thing.size
    thing.still()

def threaded(above):
    note()
    mutual(2)

def threads():
    note()
    started = [threading.Thread(target=threaded, args=(chain(),)) for _ in range(3)]
    for thread in started: thread.start()
    for thread in started: thread.join()

def pooled(number, above):
    note()
    leaf()

def pool():
    note()
    with ThreadPoolExecutor(2) as executor:
        list(executor.map(pooled, range(5), [chain()] * 5))

async def sleeper(above):
    note()
    await asyncio.sleep(0.001)
    leaf()
    await awaited(1)

async def awaited(depth):
    note()
    await asyncio.sleep(0)
    if depth:
        await awaited(depth - 1)
    leaf()

async def ticks(most):
    note()
    for number in range(most):
        await asyncio.sleep(0)
        leaf()
        yield number

async def gathered(above):
    note()
    async for number in ticks(3):
        leaf()
    await asyncio.gather(*[sleeper(chain()) for _ in range(4)])
    await asyncio.to_thread(pooled, 1, chain())

def loop():
    note()
    asyncio.run(gathered(chain()))

def main():
    note()
    consume(); catching(); managing(); cached(1); things(); threads(); pool(); loop()

main()
"""

# A generator is not current while it delegates, where its frame cannot be seen to run (DESIGN: never wrong outside has
# priority over right inside).
DELEGATING = """
from witness import note

def leaf():
    note()

def numbers(most):
    note()
    for number in range(most):
        leaf()
        yield number

def passing(most):
    note()
    leaf()
    yield from numbers(most)
    leaf()

def main():
    note()
    list(passing(2))

main()
"""


@pytest.fixture(params=interpreters(), ids=lambda python: Path(python).parts[-3])
def rheostat(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rheostat]:
    """The `rheostat` command, once for each interpreter of this machine."""
    yield from rheostat_fixture(tmp_path, request.param)


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """The file that the witness writes; its module is made, outside the project."""
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "witness.py").write_text(WITNESS)
    return tmp_path / "book"


def _run(rheostat: Rheostat, source: str, book: Path) -> tuple[Counter[str], Counter[str]]:
    """Return the chains that the program logs, and those in the history."""
    script = rheostat.write("tree.py", source)
    env = {"BOOK": str(book), "PYTHONPATH": str(book.parent / "library")}
    done = rheostat.run(str(script), env=env)
    history = rheostat.await_complete()
    assert done.returncode == 0, done.stderr
    chains = (history.chain(span) for span in history.spans)
    found = Counter(" ".join(name.rpartition(".")[2] for name in chain) for chain in chains)
    return Counter(book.read_text().splitlines()), found


def test_the_tree_is_what_the_program_sees_of_itself(rheostat: Rheostat, book: Path) -> None:
    """Each chain of calls that the program logs is in the history and its export, as often as it happened, and no other."""
    expected, found = _run(rheostat, PROGRAM, book)

    assert expected.total() > 100
    assert {key: found[key] - expected[key] for key in found | expected} == dict.fromkeys(
        expected, 0
    )
    exported = rheostat.command("export", "last", "--format", "otlp-json")
    assert _chains(exported.stdout) == expected


def test_what_a_generator_delegates_to_hangs_below_its_caller(
    rheostat: Rheostat, book: Path
) -> None:
    """Calls inside `yield from` are children of whoever resumes the generator; those outside it are the generator's."""
    expected, found = _run(rheostat, DELEGATING, book)

    seen = Counter(key.replace("passing numbers", "numbers") for key in expected.elements())
    assert found == seen
    assert found["main passing leaf"] == 2
    assert found["main numbers leaf"] == 2


def _chains(text: str) -> Counter[str]:
    """Return the chains of functions in an export as OTLP."""
    spans = {}
    for line in text.splitlines():
        for resource in json.loads(line).get("resourceSpans", ()):
            for scope in resource["scopeSpans"]:
                spans |= {span["spanId"]: span for span in scope["spans"]}
    calls = {
        key: span
        for key, span in spans.items()
        if any(one["key"] == "code.function.name" for one in span.get("attributes", ()))
    }
    found: Counter[str] = Counter()
    for span in calls.values():
        names = []
        while span is not None:
            names.append(span["name"].rpartition(".")[2])
            span = calls.get(span.get("parentSpanId", ""))
        found[" ".join(reversed(names))] += 1
    return found
