"""The agent is killed: the program does not notice, and the next command has all of the run in its history, once."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from ledger import Ledger

from rheostat_agent.recovery import is_read
from running import History, Rheostat, unread_run, wait_until

KILLS = int(os.environ.get("RHEOSTAT_TEST_KILLS", "20"))
SEED = int(os.environ.get("RHEOSTAT_TEST_SEED", random.randrange(1 << 32)))


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # it was faster


@pytest.mark.parametrize("number", range(max(6, KILLS // 3)))
def test_program_does_not_notice_and_the_next_command_recovers(
    rheostat: Rheostat, number: int
) -> None:
    """The agent is killed at any moment of the run; `rheostat show` then has every call of it."""
    chance = random.Random(f"{SEED} {number}")
    most = int(10 ** chance.uniform(2, 4.5))
    first = chance.randrange(most)
    print(f"RHEOSTAT_TEST_SEED={SEED}: {most} calls, the agent killed after {first}")
    ledger = Ledger(rheostat)

    process = rheostat.start(*ledger.words(most, "exit"), env=ledger.environment())
    agent = rheostat.await_agent()
    ledger.await_calls(first)
    _kill(agent)
    done = rheostat.finish(process)
    shown = rheostat.command("show", "last", "--json")

    assert done.returncode == 7, done.stderr
    assert done.stdout == ""
    assert shown.returncode == 0, shown.stderr
    history = rheostat.await_complete()
    ledger.check(history)
    told = json.loads(shown.stdout)["run"]
    assert (told["exit_code"], told["spans"]) == (7, len(history.spans))


@pytest.mark.parametrize("number", range(max(2, KILLS // 10)))
def test_agent_after_agent_is_killed_while_the_program_runs(
    rheostat: Rheostat, number: int
) -> None:
    """Each agent goes on where the one before was killed; the last one has the whole run."""
    chance = random.Random(f"{SEED} {number}")
    print(f"RHEOSTAT_TEST_SEED={SEED}")
    ledger = Ledger(rheostat)
    process = rheostat.start(*ledger.words(0), env=ledger.environment())
    calls = 0
    for _ in range(6):
        calls += chance.randrange(4000)
        ledger.await_calls(calls)
        agent = rheostat.await_agent()
        _kill(agent)
        wait_until(lambda: not is_read(str(rheostat.last())), "it is dead")
        assert rheostat.command("runs").returncode == 0
    ledger.await_calls(calls + 1000)
    os.kill(ledger.main_process(), signal.SIGTERM)

    done = rheostat.finish(process)
    history = rheostat.await_complete()

    assert done.returncode == -15
    ledger.check(history)
    assert history.processes[1].signal == 15


@pytest.mark.parametrize("number", range(max(3, KILLS // 6)))
def test_agent_program_and_launcher_die_at_once(rheostat: Rheostat, number: int) -> None:
    """All processes of a run are killed together; the next command has all of its calls, and says that it was cut off."""
    chance = random.Random(f"{SEED} {number}")
    print(f"RHEOSTAT_TEST_SEED={SEED}")
    ledger = Ledger(rheostat)
    process = rheostat.start(*ledger.words(0), env=ledger.environment())
    ledger.await_calls(int(10 ** chance.uniform(1, 4)))
    victims = [rheostat.await_agent(), ledger.main_process(), process.pid]
    chance.shuffle(victims)
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    rheostat.finish(process)
    wait_until(lambda: not is_read(str(rheostat.last())), "the agent is dead")

    assert rheostat.command("runs").returncode == 0
    history = rheostat.await_complete()
    shown = rheostat.command("show", "last", "--json")

    # Who died last may have seen what the others died of.
    assert json.loads(shown.stdout)["run"]["status"] in ("interrupted", "killed")
    ledger.check(history)


def test_commands_that_recover_at_once_recover_once(rheostat: Rheostat) -> None:
    """Six commands find the same unfinished run; each of them shows all of it."""
    ledger = Ledger(rheostat)
    process = rheostat.start(*ledger.words(3000, "exit"), env=ledger.environment())
    _kill(rheostat.await_agent())
    rheostat.finish(process)

    shown: list[str] = []
    commands = [
        threading.Thread(
            target=lambda: shown.append(rheostat.command("show", "last", "--json").stdout)
        )
        for _ in range(6)
    ]
    for command in commands:
        command.start()
    for command in commands:
        command.join()

    history = rheostat.await_complete()
    ledger.check(history)
    counts = [json.loads(text)["run"]["spans"] for text in shown]
    assert counts == [len(history.spans)] * 6


# At every system call that makes a change last

CHANGES = ("pwrite64", "unlinkat", "unlink", "ftruncate")

RUN = """
import os, threading

def leaf(): pass
def numbers():
    for number in range(3):
        leaf()
        yield number
def fail(): raise KeyError("none")
def work(rounds):
    for _ in range(rounds):
        list(numbers())
        try: fail()
        except KeyError: pass
thread = threading.Thread(target=work, args=(500,))
thread.start()
child = os.fork()
work(700)
if not child: os._exit(0)
os.waitpid(child, 0)
thread.join()
"""


@pytest.fixture(scope="module")
def unread(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run of which nothing has been read yet."""
    if not shutil.which("strace"):
        pytest.fail("strace is not installed: apt-get install strace")
    return unread_run(Rheostat(tmp_path_factory.mktemp("unread")), RUN)


def _copy(unread: Path, folder: Path) -> Path:
    """Return the run in a copy of its state directory."""
    shutil.copytree(unread.parent.parent, folder / "state")
    return folder / "state" / "runs" / unread.name


def _read(directory: Path, *before: str) -> int:
    command = [*before, sys.executable, "-I", "-m", "rheostat_agent.supervisor", str(directory)]
    nowhere = {"stdin": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.run(command, timeout=60, check=False, **nowhere).returncode


@pytest.fixture(scope="module")
def expected(
    unread: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[History, dict[str, int]]:
    """The history of an agent that nobody killed, and how often it made each of the system calls."""
    folder = tmp_path_factory.mktemp("counted")
    directory = _copy(unread, folder)
    log = folder / "calls"
    assert _read(directory, "strace", "-o", str(log), "-e", f"trace={','.join(CHANGES)}") == 0
    text = log.read_text()
    counts = {call: len(re.findall(rf"^{call}\(", text, re.MULTILINE)) for call in CHANGES}
    return History(directory), counts


@pytest.mark.parametrize("call", CHANGES)
def test_killed_at_a_system_call_it_has_neither_lost_nor_doubled_anything(
    unread: Path, expected: tuple[History, dict[str, int]], call: str, tmp_path: Path
) -> None:
    """The agent dies at any of its writes, and the next one makes of the run what one that lives would have made."""
    history, counts = expected
    assert history.is_complete
    assert history.names()["unread.leaf"] == 5700
    assert counts[call] > 0
    chance = random.Random(f"{SEED} {call}")
    points = sorted(
        chance.sample(range(1, counts[call] + 1), min(counts[call], max(4, KILLS // 3)))
    )
    for point in points:
        print(f"RHEOSTAT_TEST_SEED={SEED}: {call} number {point} of {counts[call]}")
        directory = _copy(unread, tmp_path / str(point))
        inject = f"inject={call}:signal=SIGKILL:when={point}"
        status = _read(directory, "strace", "-o", "/dev/null", "-e", inject)
        assert status in (-9, 0), "killed, unless it got along with fewer calls than the first"

        assert _read(directory) == 0

        again = History(directory)
        assert again.is_complete
        assert again.facts() == history.facts()
        assert not list((directory / "spool").iterdir())
        shutil.rmtree(tmp_path / str(point))
