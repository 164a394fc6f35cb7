"""How fast a spool is read into a history."""

import time
from pathlib import Path

import pytest
from test_runreader import read_to_end

from running import History, Rheostat, unread_run

LEAST_PER_S = 100_000
CALLS = 400_000

LOOP = f"""
def leaf(): pass
def main():
    for _ in range({CALLS}): leaf()
main()
"""

NESTED = f"""
import sys
def leaf(): pass
def mid():
    leaf(); leaf()
    try: fail()
    except ValueError: pass
def fail():
    raise ValueError
def main():
    for _ in range({CALLS // 8}): mid()
main()
"""


@pytest.mark.parametrize(("source", "calls"), [(LOOP, CALLS + 1), (NESTED, CALLS // 2 + 1)])
def test_a_hundred_thousand_calls_are_read_in_a_second_of_processor_time(
    tmp_path: Path, source: str, calls: int
) -> None:
    """From the spool's files to the committed history, whatever else the machine does meanwhile."""
    rheostat = Rheostat(tmp_path)
    directory = unread_run(rheostat, source)
    begun = time.process_time()

    read_to_end(directory)

    taken_s = time.process_time() - begun
    assert History(directory).names().total() == calls
    assert calls / taken_s > LEAST_PER_S, f"{calls / taken_s:,.0f} calls a second"
