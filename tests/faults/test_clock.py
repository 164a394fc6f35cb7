"""Clocks that jump, stand still, or say another century; and programs that are stopped for a while."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from ledger import Ledger

from running import History, Rheostat, wait_until

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))

needs_faketime = pytest.mark.skipif(
    not LIBRARIES, reason="libfaketime is not installed, no clock can be turned: apt-get install faketime"
)  # fmt: skip

JOB = """
import time
def leaf(): pass
def work():
    for _ in range(100): leaf()
def main():
    for _ in range(20): work()
main()
print("done")
"""
CALLS = {"job.leaf": 2000, "job.work": 20, "job.main": 1}

BEFORE_1970 = "@1969-06-01 00:00:00"
TIMES = ["-10y", "+10y", BEFORE_1970, "@2040-01-01 00:00:00", "-0 x0", "+0 x1000"]


def _faked(offset: str, **more: str) -> dict[str, str]:
    return {"LD_PRELOAD": str(LIBRARIES[0]), "FAKETIME": offset, "FAKETIME_NO_CACHE": "1", **more}


def _as_words(environment: dict[str, str]) -> list[str]:
    """Return the command that runs another one in *environment*, so that only the program is deceived."""
    return ["env", *(f"{key}={value}" for key, value in environment.items())]


def _check_order(history: History) -> None:
    assert not history.open
    for span in history.spans:
        assert span.end_ns is not None
        assert span.start_ns <= span.end_ns
    for path in history.paths:
        assert 0 <= path.total_ns < 60e9


@needs_faketime
@pytest.mark.parametrize("offset", TIMES)
@pytest.mark.parametrize("monotonic", ["1", "0"], ids=["wall clock", "both clocks"])
def test_program_with_another_clock(rheostat: Rheostat, offset: str, monotonic: str) -> None:
    """The program runs as ever, and each call is there, with an end that is not before its start."""
    if monotonic == "0" and offset == BEFORE_1970:
        pytest.skip("tested by itself below")
    rheostat.write("job.py", JOB)
    faked = _faked(offset, FAKETIME_DONT_FAKE_MONOTONIC=monotonic)

    done = rheostat.run(*_as_words(faked), rheostat.python, "job.py")
    history = rheostat.await_complete()

    assert (done.returncode, done.stdout) == (0, "done\n")
    assert history.names() == CALLS
    _check_order(history)
    program = history.processes[1]
    assert program.end_ns is not None
    if monotonic == "1":
        assert all(program.start_ns <= span.start_ns <= program.end_ns for span in history.spans)
    if "x" not in offset:
        assert any("clock was" in note["text"] for note in history.notes)


@needs_faketime
@pytest.mark.parametrize("offset", TIMES)
def test_everything_with_another_clock(rheostat: Rheostat, offset: str) -> None:
    """Launcher and agent live in the same false time as the program, and do their work."""
    if offset == BEFORE_1970:
        pytest.skip("tested by itself below")
    rheostat.write("job.py", JOB)

    done = rheostat.run("job.py", env=_faked(offset))
    history = rheostat.await_complete()

    assert (done.returncode, done.stdout) == (0, "done\n")
    assert history.names() == CALLS
    _check_order(history)
    assert rheostat.command("show", "last", env=_faked(offset)).returncode == 0


@needs_faketime
def test_monotonic_clock_below_zero(rheostat: Rheostat) -> None:
    """No kernel has one. Where a library fakes it, the program runs as ever, and is said not to be observed."""
    rheostat.write("job.py", JOB)
    faked = _faked(BEFORE_1970, FAKETIME_DONT_FAKE_MONOTONIC="0")

    done = rheostat.run(*_as_words(faked), rheostat.python, "job.py")
    history = rheostat.await_complete()

    assert (done.returncode, done.stdout) == (0, "done\n")
    assert not history.names()
    assert any("monotonic clock" in skipped["reason"] for skipped in history.skipped)


JUMPING = """
import os, time
def leaf(): pass
def turn(offset):
    with open(os.environ["FAKETIME_TIMESTAMP_FILE"], "w") as file:
        file.write(offset)
    return time.time()
def main():
    before = time.time()
    leaf(); past = turn("-1d"); leaf(); future = turn("+10y"); leaf(); turn("+0"); leaf()
    print(round((past - before) / 86400), round((future - before) / 86400))
main()
"""


@needs_faketime
def test_wall_clock_that_jumps_during_the_run(rheostat: Rheostat) -> None:
    """Calls have the times and durations of the run's own clock, whatever the wall clock does meanwhile."""
    script = rheostat.write("job.py", JUMPING)
    clock = rheostat.folder / "clock"
    clock.write_text("+0")
    faked = _faked("+0", FAKETIME_DONT_FAKE_MONOTONIC="1", FAKETIME_TIMESTAMP_FILE=str(clock))
    del faked["FAKETIME"]

    done = rheostat.run(*_as_words(faked), rheostat.python, str(script))
    history = rheostat.await_complete()

    assert done.stdout == "-1 3650\n"
    program = history.processes[1]
    assert program.end_ns is not None
    for span in history.spans:
        assert span.end_ns is not None
        assert program.start_ns <= span.start_ns <= span.end_ns <= program.end_ns
    (main,) = history.named("job.main")
    starts = [span.start_ns for span in history.named("job.leaf")]
    assert starts == sorted(starts)
    assert all(span.parent == main.id for span in history.named("job.leaf"))


def test_stopped_program_is_not_taken_for_dead(rheostat: Rheostat) -> None:
    """A program, its launcher and its agent that are stopped for a while go on afterwards, and nothing was closed."""
    ledger = Ledger(rheostat)
    process = rheostat.start(*ledger.words(0), options=("--wait", "0"), env=ledger.environment())
    ledger.await_calls(2000)
    agent = rheostat.await_agent()
    os.killpg(process.pid, signal.SIGSTOP)
    os.kill(agent, signal.SIGSTOP)
    stopped_ns = time.time_ns()
    wait_until(lambda: time.time_ns() - stopped_ns > 3e9, "three seconds pass")
    os.kill(agent, signal.SIGCONT)
    wait_until(lambda: time.time_ns() - stopped_ns > 4e9, "the agent alone runs for a second")
    history = History(rheostat.last())
    assert history.open, "calls that are stopped are open"
    assert not [span for span in history.spans if span.cause and span.process == 1]
    os.killpg(process.pid, signal.SIGCONT)
    before = sum(map(len, ledger.lines().values()))
    ledger.await_calls(before + 5000)
    os.kill(ledger.main_process(), signal.SIGTERM)

    done = rheostat.finish(process)

    assert done.returncode == -15
    ledger.check(rheostat.await_complete())


def test_time_that_passed_while_suspended_is_not_the_runs(rheostat: Rheostat) -> None:
    """In a time namespace whose monotonic clock began elsewhere, as after a suspend, all of the run is as ever."""
    rheostat.write("job.py", JOB)
    inside = ["unshare", "-T", "--monotonic", "864000", "--boottime", "8640000", "--fork"]
    if subprocess.run([*inside, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no time namespaces here: a suspend cannot be had")

    done = rheostat.command("run", "--python", rheostat.python, "job.py", inside=inside)
    history = rheostat.await_complete()

    assert (done.returncode, done.stdout) == (0, "done\n")
    assert history.names() == CALLS
    _check_order(history)
