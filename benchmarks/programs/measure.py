"""The loop that is the same for every contender: a function as it is, then the same function recorded.

Runs in the contenders' environments: standard library only. The number of calls is the program's argument; its last line
is {"bare": [nanoseconds a call, of which the processor worked], "recorded": …}.
"""

import json
import sys
from collections.abc import Callable
from itertools import repeat
from time import perf_counter_ns, process_time_ns


def nanoseconds(function: Callable[[int], int], calls: int) -> tuple[float, float]:
    """Return what a call of *function* takes, the loop included: of the clock, and of the process's processor time."""
    processor, clock = process_time_ns(), perf_counter_ns()
    for value in repeat(1, calls):
        function(value)
    return (perf_counter_ns() - clock) / calls, (process_time_ns() - processor) / calls


def compare(
    bare: Callable[[int], int],
    recorded: Callable[[int], int],
    before: Callable[[], object] = int,
    after: Callable[[], object] = int,
) -> None:
    """Measure both, warmed up. *before* and *after* go round the recorded one, and are not counted."""
    calls = int(sys.argv[1])
    nanoseconds(bare, calls // 10)
    found = {"bare": nanoseconds(bare, calls)}
    before()
    nanoseconds(recorded, calls // 10)
    found["recorded"] = nanoseconds(recorded, calls)
    after()
    print(json.dumps(found))
