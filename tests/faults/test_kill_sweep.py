"""Fault row 2: SIGKILL at every instruction of the recorder. The spool then reads as the old or the new state, never garbage.

The ledger is the oracle: the first statement of each body appends the call's number to a file, by one write.
"""

import os
from collections import Counter
from pathlib import Path

import pytest

from harness import Image, Lab
from strikes import OUTSIDE, STRIKES

PROGRAM = (
    STRIKES
    + '''
import signal

ledger = os.open("ledger", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def plain(n):
    os.write(ledger, f"{os.getpid()} {n}\\n".encode())


def fails(n):
    os.write(ledger, f"{os.getpid()} {n}\\n".encode())
    raise ValueError(n)


def items(n):
    os.write(ledger, f"{os.getpid()} {n}\\n".encode())
    yield n


async def waits(n):
    os.write(ledger, f"{os.getpid()} {n}\\n".encode())


def drive(victim, n):
    try:
        made = victim(n)
        if victim is items:
            list(made)
        elif victim is waits:
            made.send(None)
    except (ValueError, StopIteration):
        pass


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def sweep(victim, first):
    """Kill a child at the k-th instruction, for all k: of its first call, which makes room, or of its third."""
    k = 0
    while True:
        k += 1
        child = os.fork()
        if child == 0:
            for n in range(0 if first else 2):
                drive(victim, n)
            strike_at(k, die, [])
            drive(victim, 2)
            stop()
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert status in (0, -signal.SIGKILL), status
        if status == 0:
            return k
'''
)
OUTSIDE_TOO = (*OUTSIDE, "job.drive", "job.die", "job.sweep")


def ledger_of(lab: Lab) -> Counter[int]:
    lines = (lab.project / "ledger").read_text().split("\n")
    return Counter(int(line.split()[0]) for line in lines if line)


def check(image: Image, name: str, noted: int) -> None:
    """Every call in the ledger has its record, and at most one record has no ledger entry: the killed one's."""
    assert {span.name for span in image.spans} <= {name}
    assert noted <= len(image.spans) <= noted + 1
    assert all(span.start_ns > 0 and span.parent == image.base for span in image.spans)
    # All but the last are over; they were when the next one began.
    for before, after in zip(image.spans, image.spans[1:], strict=False):
        assert before.end_ns is not None
        assert before.start_ns <= before.end_ns <= after.start_ns


@pytest.mark.parametrize("victim", ["plain", "fails", "items", "waits"])
@pytest.mark.parametrize("first", [True, False], ids=["first", "third"])
def test_killed_at_every_instruction(our_lab: Lab, victim: str, first: bool) -> None:
    """Every call whose body began is in the spool exactly once, wherever the process is killed."""
    our_lab.write("job.py", PROGRAM + f"print(sweep({victim}, {first}))\n")
    result = our_lab.observed("job.py", settings={"exclude": OUTSIDE_TOO})
    assert result.stderr == ""
    children = {image.process[2]: image for image in result.images if image.process[4] > 0}
    ledger = ledger_of(our_lab)
    assert int(result.stdout) > 40
    assert set(ledger) <= set(children)
    for process, image in children.items():
        check(image, f"job.{victim}", ledger[process])


@pytest.mark.parametrize("victim", ["plain", "items"])
def test_killed_in_other_interpreters(lab: Lab, victim: str) -> None:
    """So it is in each supported interpreter, whose instructions differ."""
    our = os.path.realpath(lab.python)
    if Path(our).parts[-3].startswith("3.11"):
        pytest.skip("the interpreter of the test above")
    lab.write("job.py", PROGRAM + f"print(sweep({victim}, False))\n")
    result = lab.observed("job.py", settings={"exclude": OUTSIDE_TOO})
    assert result.stderr == ""
    ledger = ledger_of(lab)
    for image in result.images[1:]:
        check(image, f"job.{victim}", ledger[image.process[2]])
