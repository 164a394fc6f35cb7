"""Whatever a program dies of, and whenever: each call that it began is in the history once, and how it died is known.

RHEOSTAT_TEST_KILLS=300 dies three hundred times (20); RHEOSTAT_TEST_SEED=N repeats the deaths of a run that failed.
"""

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ledger import Ledger, check_deaths

from running import Done, Rheostat

KILLS = int(os.environ.get("RHEOSTAT_TEST_KILLS", "20"))
SEED = int(os.environ.get("RHEOSTAT_TEST_SEED", random.randrange(1 << 32)))
AT_ONCE = ("--wait", "0")  # end with the program, so that the time of its death can be told
MEMORY = Path("/sys/fs/cgroup/memory")

# What to do to the victim, what `rheostat run` then returns as the plain program does, and what its open calls failed of.
Way = tuple[Callable[[Ledger, int], Done], int, str]


def _by_itself(*ways: str) -> Callable[[Ledger, int], Done]:
    def die(ledger: Ledger, calls: int) -> Done:
        return ledger.rheostat.run(
            *ledger.words(calls, *ways), options=AT_ONCE, env=ledger.environment()
        )

    return die


def _by_another(number: int, to_launcher: bool = False) -> Callable[[Ledger, int], Done]:
    def die(ledger: Ledger, calls: int) -> Done:
        process = ledger.rheostat.start(*ledger.words(0), options=AT_ONCE, env=ledger.environment())
        ledger.await_calls(calls)
        os.kill(process.pid if to_launcher else ledger.main_process(), number)
        return ledger.rheostat.finish(process)

    return die


WAYS: dict[str, Way] = {
    "kill": (_by_another(signal.SIGKILL), -9, "SIGKILL"),
    "term": (_by_another(signal.SIGTERM), -15, "SIGTERM"),
    "term-launcher": (_by_another(signal.SIGTERM, to_launcher=True), -15, "SIGTERM"),
    "suicide": (_by_itself("9"), -9, "SIGKILL"),
    "segfault": (_by_itself("SIGSEGV"), -11, "SIGSEGV"),
    "abort": (_by_itself("6"), -6, "SIGABRT"),
    "exit": (_by_itself("exit"), 7, "ProcessExit"),
    "exec-kill": (_by_itself("exec", "9"), -9, "SIGKILL"),
    "exec-exec-exit": (_by_itself("exec", "exec", "exit"), 7, "ProcessExit"),
}


@pytest.mark.parametrize("number", range(KILLS))
def test_no_call_is_lost_or_doubled_however_the_program_dies(
    rheostat: Rheostat, number: int
) -> None:
    """Each call in the ledger is in the history once, in order; those open at the death ended with it."""
    way = list(WAYS)[number % len(WAYS)]
    calls = int(10 ** random.Random(f"{SEED} {number}").uniform(0, 4.3))  # as many short as long
    print(f"RHEOSTAT_TEST_SEED={SEED}: {way} after {calls} calls")
    die, status, error = WAYS[way]
    ledger = Ledger(rheostat)

    done = die(ledger, calls)
    at_ns = time.time_ns()
    history = rheostat.await_complete()

    assert done.returncode == status, done.stderr
    assert done.stdout == ""
    ledger.check(history)
    program = history.processes[1]
    assert program.pid is not None
    check_deaths(history, program.pid, error, at_ns)
    assert (program.signal, program.exit_code) == ((-status, None) if status < 0 else (None, 7))


@pytest.mark.parametrize("way", WAYS)
def test_the_ways_to_die_are_the_plain_programs(rheostat: Rheostat, way: str) -> None:
    """The status that the test above expects is the one that the program has without us."""
    if "by_another" in WAYS[way][0].__qualname__:
        pytest.skip("somebody else's signal is the status by definition")
    words = {"suicide": ("9",), "segfault": ("SIGSEGV",), "abort": ("6",), "exit": ("exit",)}
    ways = words.get(way) or tuple(way.replace("kill", "9").split("-"))
    ledger = Ledger(rheostat)

    done = rheostat.plain(*ledger.words(100, *ways), env=ledger.environment())

    assert done.returncode == WAYS[way][1]


@pytest.fixture
def tasks(tmp_path: Path) -> Iterator[str]:
    """The file by which a process puts itself into a group that may have 100 MB of memory."""
    group = MEMORY / f"rheostat-{os.getpid()}-{tmp_path.name}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(
            f"no memory control groups here ({error}): the out-of-memory killer cannot be called"
        )
    (group / "memory.limit_in_bytes").write_text("100M")
    yield str(group / "cgroup.procs")
    group.rmdir()


@pytest.mark.parametrize("calls", [50, 3000])
def test_no_call_is_lost_when_memory_runs_out(rheostat: Rheostat, tasks: str, calls: int) -> None:
    """The out-of-memory killer takes the program, and the history has each of its calls once."""
    ledger = Ledger(rheostat)

    done = rheostat.run(
        *ledger.words(calls, "memory"), options=AT_ONCE, env=ledger.environment(TASKS=tasks)
    )
    at_ns = time.time_ns()
    history = rheostat.await_complete()

    assert done.returncode == -9, done.stderr
    ledger.check(history)
    program = history.processes[1]
    assert program.pid is not None
    check_deaths(history, program.pid, "SIGKILL", at_ns)
