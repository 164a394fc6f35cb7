"""The history is locked, corrupt, foreign or without room: the program runs on, and nothing is thrown away silently."""

import json
import os
import random
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from ledger import Ledger

from rheostat.spool.events import RESUME, decode_frames
from rheostat_agent.history import query
from running import WAIT, History, Rheostat, rheostat_fixture, unread_run, wait_until

SEED = int(os.environ.get("RHEOSTAT_TEST_SEED", random.randrange(1 << 32)))

SOURCE = """
def leaf(): pass
def work():
    for _ in range(50): leaf()
for _ in range(40): work()
"""
CALLS = {"unread.leaf": 2000, "unread.work": 40}


def _recover(rheostat: Rheostat) -> History:
    """Have the next command recover the last run; return its history."""
    done = rheostat.command("runs")
    assert done.returncode == 0, done.stderr
    return rheostat.await_complete()


# Locked


def test_locked_history_holds_up_nobody_but_the_agent(rheostat: Rheostat) -> None:
    """While somebody holds the history locked the program runs and ends as ever; afterwards all is there."""
    ledger = Ledger(rheostat)
    process = rheostat.start(*ledger.words(0), options=("--wait", "0"), env=ledger.environment())
    directory = rheostat.await_run()
    wait_until(lambda: (directory / "history.sqlite").exists(), "there is a history")
    with closing(sqlite3.connect(directory / "history.sqlite", timeout=30)) as connection:
        connection.isolation_level = None
        connection.execute("BEGIN EXCLUSIVE")
        ledger.await_calls(5000)
        os.kill(ledger.main_process(), signal.SIGTERM)
        done = rheostat.finish(process)
        assert rheostat.agents(), "the agent waits"
        listed = rheostat.command("runs")
        connection.execute("ROLLBACK")

    assert done.returncode == -15
    assert listed.returncode == 0
    ledger.check(rheostat.await_complete())


def test_history_that_cannot_even_be_opened_is_waited_for(rheostat: Rheostat) -> None:
    """An agent that finds the history locked against readers too waits, and says so in its log."""
    directory = unread_run(rheostat, SOURCE)
    with closing(sqlite3.connect(directory / "history.sqlite")) as connection:
        connection.isolation_level = None
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("BEGIN EXCLUSIVE")
        assert rheostat.command("runs").returncode == 0
        log = directory / "agent.log"
        wait_until(lambda: log.exists() and "locked" in log.read_text(), "the agent says it waits")
        connection.execute("ROLLBACK")

    assert rheostat.await_complete().names() == CALLS


# Corrupt


def _scribble(path: Path, chance: random.Random) -> None:
    """Write random bytes over the head of the file."""
    with path.open("r+b") as file:
        file.write(chance.randbytes(4096))


def _scribble_inside(path: Path, chance: random.Random) -> None:
    """Write random bytes over all pages but the first."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(chance.randbytes(size - 4096))


def _cut(path: Path, chance: random.Random) -> None:
    """Cut the file off in the middle of a page."""
    os.truncate(path, 4096 * chance.randrange(1, 10) + chance.randrange(4096))


def _empty(path: Path, chance: random.Random) -> None:
    """Leave nothing of the file."""
    os.truncate(path, 0)


def _of_others(path: Path, chance: random.Random) -> None:
    """Put the database of another program in its place."""
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE segments(colour TEXT)")
        connection.execute("PRAGMA user_version = 1")
        connection.commit()


DAMAGE = [_scribble, _scribble_inside, _cut, _empty, _of_others]


@pytest.mark.parametrize("damage", DAMAGE)
def test_corrupt_history_is_moved_aside_and_made_anew(rheostat: Rheostat, damage: object) -> None:
    """What cannot be read is kept under another name, and the run is read again from what the spool still has."""
    assert callable(damage)
    directory = unread_run(rheostat, SOURCE)
    path = directory / "history.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        _fill_like_a_history(connection)
    damage(path, random.Random(SEED))

    history = _recover(rheostat)

    assert history.names() == CALLS
    assert len(list(directory.glob("history.sqlite.corrupt-*"))) == (damage is not _empty)
    if damage is not _empty:
        assert "moved" in history.notes[0]["text"]


def _fill_like_a_history(connection: sqlite3.Connection) -> None:
    """Make a history in which an agent has written something."""
    from rheostat_agent.history.schema import prepare_history

    prepare_history(connection)
    rows = ((number, f"function {number}", 1, "f.py", 1) for number in range(5000))
    connection.executemany("INSERT INTO functions VALUES(?, ?, ?, ?, ?)", rows)
    connection.execute("INSERT INTO processes(id, span_id, start_ns) VALUES(1, 1, 1)")
    connection.commit()


@pytest.mark.parametrize("damage", [_scribble, _scribble_inside, _cut])
def test_history_that_is_damaged_while_it_is_written(rheostat: Rheostat, damage: object) -> None:
    """The program does not notice, and the agents come to an end, with at most one history moved aside."""
    assert callable(damage)
    ledger = Ledger(rheostat)
    process = rheostat.start(*ledger.words(20_000, "exit"), env=ledger.environment())
    directory = rheostat.await_run()
    path = directory / "history.sqlite"
    ledger.await_calls(5000)
    wait_until(lambda: path.exists() and path.stat().st_size > 50_000, "something was folded in")
    damage(path, random.Random(SEED))

    done = rheostat.finish(process)
    listed = rheostat.command("runs")

    assert done.returncode == 7
    assert listed.returncode == 0
    rheostat.await_no_agents()
    assert len(list(directory.glob("history.sqlite.corrupt-*"))) <= 1


@pytest.mark.parametrize("damage", [_scribble, _cut])
def test_history_that_is_damaged_after_its_run(rheostat: Rheostat, damage: object) -> None:
    """Commands do not fail for it, say what has become of the history, and keep it under its new name."""
    assert callable(damage)
    rheostat.write("unread.py", SOURCE)
    rheostat.run("unread.py")
    rheostat.await_complete()
    rheostat.await_no_agents()
    path = rheostat.last() / "history.sqlite"
    damage(path, random.Random(SEED))
    before = path.read_bytes()

    for words in (["show", "last"], ["show", "last", "--json"], ["export", "last"]):
        done = rheostat.command(*words)
        assert done.returncode == 0, (words, done)
        assert not done.stderr

    assert "the history was damaged, and moved to" in rheostat.command("show", "last").stdout
    (aside,) = path.parent.glob("history.sqlite.corrupt-*")
    assert aside.read_bytes() == before


# Of another version


def test_history_of_a_later_version_is_refused_and_left_alone(rheostat: Rheostat) -> None:
    """A history that a later Rheostat began is neither changed nor moved; commands say what to do."""
    directory = unread_run(rheostat, SOURCE)
    path = directory / "history.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        _fill_like_a_history(connection)
        connection.execute("PRAGMA user_version = 99")
        connection.commit()
    before = path.read_bytes()

    done = rheostat.command("show", "last")

    rheostat.await_no_agents()
    assert done.returncode == 125
    assert "has version 99" in done.stderr
    assert "upgrade" in done.stderr
    assert done.stderr.count("\n") == 1
    assert path.read_bytes() == before
    assert list((directory / "spool").iterdir()), "and what was recorded stays"
    assert "has version 99" in (directory / "agent.log").read_text()


def test_index_of_a_later_version_is_refused_and_left_alone(rheostat: Rheostat) -> None:
    """`rheostat runs` says what to do; runs are read into their own histories all the same."""
    rheostat.write("unread.py", SOURCE)
    rheostat.run("unread.py")
    rheostat.await_complete()
    rheostat.await_no_agents()
    with closing(sqlite3.connect(rheostat.state / "index.sqlite")) as connection:
        connection.execute("PRAGMA user_version = 99")
    before = (rheostat.state / "index.sqlite").read_bytes()

    listed = rheostat.command("runs")
    done = rheostat.run("unread.py")
    history = rheostat.await_complete()

    assert listed.returncode == 125
    assert "has version 99" in listed.stderr
    assert listed.stderr.count("\n") == 1
    assert done.returncode == 0
    assert history.names() == CALLS
    assert (rheostat.state / "index.sqlite").read_bytes() == before


# The index


def _listing(rheostat: Rheostat) -> list[dict[str, object]]:
    done = rheostat.command("runs", "--json")
    assert done.returncode == 0, done.stderr
    listed: list[dict[str, object]] = json.loads(done.stdout)
    return listed


def _workflow_paths(rheostat: Rheostat) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(rheostat.state / "index.sqlite")) as connection:
        return sorted(connection.execute("SELECT * FROM workflow_paths"))


def _gone(path: Path, chance: random.Random) -> None:
    """Remove the file."""
    path.unlink()


@pytest.mark.parametrize("damage", [_scribble, _scribble_inside, _cut, _of_others, _gone])
def test_index_that_cannot_be_read_is_made_anew(rheostat: Rheostat, damage: object) -> None:
    """The index is made again from the histories: the same runs, ends, counts and totals of call paths."""
    assert callable(damage)
    rheostat.write("unread.py", SOURCE)
    rheostat.write("failing.py", SOURCE + "\ndef fail(): raise ValueError('no')\nfail()")
    rheostat.write("killed.py", SOURCE + "\nimport os\nos.kill(os.getpid(), 9)")
    for name in ("unread.py", "failing.py", "killed.py", "unread.py"):
        rheostat.run(name)
        rheostat.await_complete()
    rheostat.await_no_agents()
    runs, paths = _listing(rheostat), _workflow_paths(rheostat)
    assert [run["status"] for run in runs] == ["ok", "killed", "failed", "ok"]
    damage(rheostat.state / "index.sqlite", random.Random(SEED))

    assert _listing(rheostat) == runs
    assert _workflow_paths(rheostat) == paths
    rheostat.run("unread.py")
    rheostat.await_complete()
    assert len(_listing(rheostat)) == 5


def test_index_that_breaks_during_a_run(rheostat: Rheostat) -> None:
    """The run is in the index of its successors."""
    ledger = Ledger(rheostat)
    process = rheostat.start(*ledger.words(5000, "exit"), env=ledger.environment())
    wait_until((rheostat.state / "index.sqlite").exists, "there is an index")
    ledger.await_calls(1000)
    _scribble(rheostat.state / "index.sqlite", random.Random(SEED))

    done = rheostat.finish(process)
    history = _recover(rheostat)

    assert done.returncode == 7
    ledger.check(history)
    assert [run["exit_code"] for run in _listing(rheostat)] == [7]


# No room


@pytest.fixture
def tight(tmp_path: Path) -> Iterator[Rheostat]:
    """The `rheostat` command with a state directory that holds three megabytes."""
    state = tmp_path / "state"
    state.mkdir(0o700)
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m,mode=0700", "tmpfs", str(state)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here: a full disk cannot be had")
    try:
        yield from rheostat_fixture(tmp_path)
    finally:
        subprocess.run(["umount", "--lazy", str(state)], check=True)


COUNTING = """
def leaf(): pass
def main():
    for _ in range({calls}): leaf()
main()
print("done")
"""


def _enlarge(rheostat: Rheostat) -> None:
    subprocess.run(["mount", "-o", "remount,size=300m", str(rheostat.state)], check=True)


def test_full_disk_costs_spans_and_counts_them(tight: Rheostat) -> None:
    """The program runs on; what could not be recorded is counted exactly; with room again the run is read to its end."""
    tight.write("job.py", COUNTING.format(calls=200_000))

    done = tight.run("job.py", options=("--wait", "1"))
    _enlarge(tight)
    history = _recover(tight)

    assert (done.returncode, done.stdout) == (0, "done\n")
    spans = history.names()["job.leaf"] + history.names()["job.main"]
    lost = sum(row["count"] or 0 for row in history.losses)
    assert spans > 1000
    assert lost > 0
    assert spans + lost == 200_001
    assert any("No space left" in row["reason"] for row in history.losses)
    shown = tight.command("show", "last")
    assert all(f"{row['count']:,} calls" in shown.stdout for row in history.losses if row["count"])


def _dropped(directory: Path) -> int:
    """Return the calls that went unrecorded so far, as the writer counts them."""
    files = (directory / "spool").glob("*.spans")
    return sum(int.from_bytes(path.read_bytes()[48:56], "little") for path in files)


def _has_losses(directory: Path) -> bool:
    try:
        return bool(History(directory).losses)
    except query.HistoryMissing:
        return False


def _has_resumed(directory: Path) -> bool:
    """Say whether the recorder tells that it goes on."""
    files = (directory / "spool").glob("*.events")
    return any(kind == RESUME for path in files for kind, _, _ in decode_frames(path.read_bytes()))


def test_recording_goes_on_when_there_is_room_again(tight: Rheostat) -> None:
    """A disk that was full for a while costs the calls of that while, not those after it."""
    tight.write(
        "job.py",
        "import os, select\ndef leaf(): pass\ndef early():\n while not os.path.exists('go'): leaf()\n"
        "def late():\n for _ in range(3000): leaf()\n"
        # Slowly: it would fill the larger disk as well.
        "early()\nwhile not os.path.exists('on'):\n leaf()\n select.select([], [], [], 0.001)\nlate()\n",
    )
    process = tight.start("job.py", options=("--wait", "0"))
    directory = tight.await_run()
    wait_until(lambda: any((directory / "spool").glob("*.spans")), "it is recorded")
    filler = os.open(tight.state / "filler", os.O_WRONLY | os.O_CREAT)
    with pytest.raises(OSError, match="No space"):
        while True:
            os.write(filler, bytes(4096))
    os.close(filler)
    wait_until(lambda: _dropped(directory), "calls are counted, not recorded")
    (tight.project / "go").touch()
    _enlarge(tight)
    wait_until(lambda: _has_losses(directory), "the agent goes on")
    wait_until(lambda: _has_resumed(directory), "calls are recorded again")
    (tight.project / "on").touch()

    done = tight.finish(process)
    history = _recover(tight)

    assert done.returncode == 0
    (late,) = history.named("job.late")
    assert sum(span.parent == late.id for span in history.spans) == 3000


def test_a_run_that_cannot_be_summed_up_is_kept(rheostat: Rheostat) -> None:
    """Where a damaged row spoils the summary, the agent says so, and finishes the run all the same."""
    rheostat.write("unread.py", WAIT + SOURCE)
    process = rheostat.start("unread.py")
    directory = rheostat.await_run()
    wait_until(lambda: _can_be_read(directory), "there is a history")
    path = directory / "history.sqlite"
    with closing(sqlite3.connect(path, timeout=30)) as connection:
        insert = "INSERT INTO errors VALUES(1000000, 1, 1, NULL, NULL, 'KeyError', 'x', ?, 1)"
        connection.execute(insert, ("[not JSON",))
        connection.commit()
    (rheostat.project / "go").touch()

    done = rheostat.finish(process)
    wait_until(lambda: not any((rheostat.state / "unfinished").iterdir()), "the run is finished")

    assert done.returncode == 0
    assert "cannot be summed up" in done.stderr
    assert done.stderr.count("\n") == 1
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM spans").fetchone() == (2040,)


def _can_be_read(directory: Path) -> bool:
    try:
        query.open_history(str(directory)).close()
    except query.HistoryMissing:
        return False
    return True
