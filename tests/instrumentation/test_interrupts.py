"""An exception out of a signal handler that strikes inside the recorder leaves no trace of us, at whatever instruction.

It strikes at the k-th instruction that the recorder executes in a scenario, for every k there is (strikes.py). Real signals
strike at calls and backward jumps only; tests/passivity/programs/interrupts.py has those.
"""

import pytest

from harness import Lab
from strikes import OUTSIDE, STRIKES

PROGRAM = (
    STRIKES
    + '''
import threading
import traceback

image, recorder = sys.modules["rheostat.image"], sys.modules["rheostat.recorder"]


class Alarm(Exception):
    """What the handler raises."""


def ring():
    raise Alarm


def leaf(*given):
    return 1


def fails():
    raise ValueError("x")


def again(n):
    return again(n - 1) if n else 0


def items(*given):
    yield 1
    yield leaf()


def delegates():
    yield from items()


async def coroutine(*given):
    return leaf()


async def async_items():
    yield 1
    yield leaf()


async def consume():
    return [item async for item in async_items()]


def drive(made):
    try:
        made.send(None)
    except StopIteration as stop:
        return stop.value


def called():
    assert leaf() == 1


def error():
    try:
        fails()
    except ValueError:
        pass


def recursion():
    assert again(3) == 0


def exhausted():
    assert list(items()) == [1, 1]


def closed():
    generator = items()
    next(generator)
    generator.close()


def thrown_into():
    generator = items()
    next(generator)
    try:
        generator.throw(KeyError)
    except KeyError:
        pass


def delegated():
    assert list(delegates()) == [1, 1]


def awaited():
    assert drive(coroutine()) == 1


def async_iterated():
    assert drive(consume()) == [1, 1]


def in_thread():
    """The first call in a thread that was not seen before."""
    def run():
        try:
            trace()
            leaf()
        except Alarm as alarm:
            struck.append(alarm)
        finally:
            stop()

    struck, trace = [], pending.pop()
    thread = threading.Thread(target=run, name=f"thread {len(known)}")
    known.append(thread)
    thread.start()
    thread.join()
    if struck:
        raise struck[0]


known, pending = [], []
SCENARIOS = [
    called, error, recursion, exhausted, closed, thrown_into, delegated, awaited, async_iterated, in_thread,
]


def check(alarm, where):
    entries = traceback.extract_tb(alarm.__traceback__)
    files = {entry.filename for entry in entries}
    assert files == {__file__}, (where, entries)
    assert entries[-1].name == "ring", (where, entries)
    context = alarm.__context__
    while context is not None:
        inner = traceback.extract_tb(context.__traceback__)
        assert type(context) in (ValueError, KeyError, GeneratorExit), (where, context)
        assert {entry.filename for entry in inner} <= {__file__}, (where, inner)
        context = context.__context__


def sweep(scenario):
    for chunk in (0, 2, 6, 14, 30):  # room enough; for the making of it, see `growth`
        image.current()._segments.grow(chunk, 1)
    outside = recorder.get_current()
    for k in range(1, 100_000):
        steps = []
        pending[:] = [lambda: strike_at(k, ring, steps)]
        try:
            if scenario is not in_thread:
                strike_at(k, ring, steps)
            scenario()
        except Alarm as alarm:
            check(alarm, steps)
            assert steps
        else:
            assert not steps, f"swallowed: {steps}"
        stop()
        assert recorder.get_current() is outside, (steps, recorder.get_current())
        if not steps:
            return k
    raise AssertionError("endless")


def growth(stride):
    """The first call of a process, for which room is made, in a child for each instruction."""
    for k in range(1, 100_000, stride):
        child = os.fork()
        if child == 0:
            steps = []
            try:
                before = recorder.get_current()
                try:
                    strike_at(k, ring, steps)
                    leaf()
                except Alarm as alarm:
                    check(alarm, steps)
                stop()
                assert recorder.get_current() is before, steps
                again(0)
            except BaseException:
                traceback.print_exc()
                sys.stderr.flush()
                os._exit(2)
            os._exit(1 if steps else 0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status != 1:
            return status, k
'''
)


@pytest.mark.parametrize("captures", [False, True], ids=["", "capture"])
@pytest.mark.parametrize(
    "name",
    [
        "called",
        "error",
        "recursion",
        "exhausted",
        "closed",
        "thrown_into",
        "delegated",
        "awaited",
        "async_iterated",
        "in_thread",
    ],
)
def test_at_every_instruction(lab: Lab, name: str, captures: bool) -> None:
    """It reaches the program with the program's own frames; nothing stays open, and what was current is again."""
    lab.write("job.py", PROGRAM + f"print(sweep({name}))\n")
    settings = {"exclude": OUTSIDE_TOO, "capture_args": captures}
    result = lab.observed("job.py", settings=settings)
    assert result.stderr == ""
    assert int(result.stdout) > 40
    assert result.image.notes == []
    assert [span for span in result.spans if span.end_ns is None] == []
    spans = {span.id: span.name for span in result.spans}
    parents = {
        (spans.get(span.parent, "process"), span.name.removeprefix("job."))
        for span in result.spans
        if span.name in ("job.leaf", "job.fails", "job.items", "job.again")
    }
    assert parents <= ALLOWED[name], parents - ALLOWED[name]


OUTSIDE_TOO = (*OUTSIDE, "job.ring", "job.check", "job.sweep", "job.growth", "job.drive")
# What may be whose parent, in each scenario: a span that was struck is passed over.
ALLOWED = {
    "called": {("job.called", "leaf")},
    "error": {("job.error", "fails")},
    "recursion": {("job.recursion", "again"), ("job.again", "again")},
    "exhausted": {("job.exhausted", "items"), ("job.items", "leaf")},
    "closed": {("job.closed", "items")},
    "thrown_into": {("job.thrown_into", "items")},
    "delegated": {("job.delegated", "items"), ("job.items", "leaf")},
    "awaited": {("job.coroutine", "leaf")},
    "async_iterated": {("job.async_items", "leaf")},
    "in_thread": {("job.in_thread.run", "leaf")},
}


def test_while_room_is_made(lab: Lab) -> None:
    """It reaches the program also from the midst of making a segment, and the next call is recorded."""
    lab.write("job.py", PROGRAM + "print(growth(5))\n")
    result = lab.observed("job.py", settings={"exclude": OUTSIDE_TOO})
    assert result.stderr == ""
    assert result.stdout.startswith("(0, ")
    children = result.images[1:]
    assert len(children) > 50
    for child in children:
        assert child.notes == []
        assert [span.name for span in child.spans][-1:] == ["job.again"]
        assert all(span.end_ns for span in child.spans)
