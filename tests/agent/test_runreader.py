"""Reading one run, round by round."""

import itertools
from pathlib import Path

import pytest

from rheostat.spool.layout import HEAD, RECORD_SIZE
from rheostat_agent import runreader
from rheostat_agent.history.writer import HistoryWriter
from rheostat_agent.rundirectory import ENDED, RUN, RunInfo
from rheostat_agent.takeup import take_up
from running import History, Rheostat, unread_run

SOURCE = """
def load(): return 1
for _ in range(10): load()
"""


def read_to_end(directory: Path, rounds: int = 1000) -> None:
    """Read the run in *directory* into its history in at most *rounds* rounds."""
    writer = HistoryWriter(f"{directory}/history.sqlite")
    reader = take_up(str(directory), RunInfo.read(f"{directory}/{RUN}"), writer)
    for _ in range(rounds):
        if not reader.round() and reader.is_over():
            break
    else:
        raise AssertionError(f"not read in {rounds} rounds")
    reader.close()
    writer.close()


def test_word_of_the_end_that_comes_last_of_all_is_heard(
    rheostat: Rheostat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A launcher that leaves its word and ends between two looks of the agent is believed."""
    directory = unread_run(rheostat, SOURCE + "raise SystemExit(3)")
    word = (directory / ENDED).read_bytes()
    (directory / ENDED).unlink()

    def leave_word_and_end(pid: int, started_mono_ns: int) -> bool:
        (directory / ENDED).write_bytes(word)
        return False

    monkeypatch.setattr(runreader, "is_launcher_alive", leave_word_and_end)
    read_to_end(directory)
    history = History(directory)

    assert history.processes[1].exit_code == 3
    assert history.names() == {"unread.load": 10}


DEEP = """
import sys
sys.setrecursionlimit(5000)
def deep(n): return n and deep(n - 1)
deep(1500)
"""


@pytest.mark.parametrize("slot", [1, 2, 700, 1400])
def test_parent_that_is_read_after_its_child_is_its_parent(rheostat: Rheostat, slot: int) -> None:
    """A read that comes by a record too early, and by its child's in time, makes no child of the process of it."""
    directory = unread_run(rheostat, DEEP)
    (path,) = (directory / "spool").glob("*-0.spans")
    at = (slot + 1) * RECORD_SIZE + HEAD * 8
    writer = HistoryWriter(f"{directory}/history.sqlite")
    reader = take_up(str(directory), RunInfo.read(f"{directory}/{RUN}"), writer)
    with path.open("r+b") as file:
        file.seek(at)
        head = file.read(8)
        file.seek(at)
        file.write(bytes(8))
        file.flush()
        reader.round()  # its child was written meanwhile, and is read
        file.seek(at)
        file.write(head)
    while reader.round() or not reader.is_over():
        continue
    reader.close()
    writer.close()

    spans = History(directory).named("unread.deep")
    assert len(spans) == 1501
    assert all(span.parent == above.id for above, span in itertools.pairwise(spans))
