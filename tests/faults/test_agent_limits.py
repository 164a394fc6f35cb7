"""Millions of calls, the limits that a user may set, and what the agent takes for itself."""

import re
from pathlib import Path

from running import History, Rheostat, wait_until

LOOP = """
import sys
def leaf(): pass
def main():
    for _ in range(int(sys.argv[1])): leaf()
main()
print("done")
"""
MILLIONS = 2_000_000
MOST_KB = 150_000


def _peak_kb(pid: int) -> int:
    """Return the most memory that *pid* has held so far, 0 once it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) if found else 0


def _lost(history: History) -> int:
    return sum(row["count"] or 0 for row in history.losses)


def test_millions_of_calls_are_all_there_and_the_agent_stays_small(rheostat: Rheostat) -> None:
    """Two million calls in a tight loop, without a limit: each has its span; the agent takes at most 150 MB."""
    rheostat.write("job.py", LOOP)
    options = ("--max-spans", "0", "--max-disk", "0", "--wait", "0")
    process = rheostat.start("job.py", str(MILLIONS), options=options)
    agent, peak = rheostat.await_agent(), 0

    def has_ended() -> bool:
        nonlocal peak
        now = _peak_kb(agent)
        peak = max(peak, now)
        return not now

    wait_until(has_ended, "the agent reads it all", timeout_s=180)
    done = rheostat.finish(process)
    history = rheostat.await_complete()

    assert (done.returncode, done.stdout) == (0, "done\n")
    assert history.names() == {"job.leaf": MILLIONS, "job.main": 1}
    assert not history.losses
    assert 10_000 < peak <= MOST_KB


def test_calls_beyond_max_spans_are_counted_and_said(rheostat: Rheostat) -> None:
    """With --max-spans a run keeps about so many spans, and counts each call beyond."""
    rheostat.write("job.py", LOOP)

    done = rheostat.run("job.py", "300000", options=("--max-spans", "50000"))
    history = rheostat.await_complete()

    assert done.returncode == 0
    spans = history.names().total()
    assert spans <= 50_001, "what had begun before the limit was reached is kept"
    assert spans + _lost(history) == 300_001
    assert any("--max-spans" in row["reason"] for row in history.losses)
    shown = rheostat.command("show", "last").stdout
    assert all(f"{row['count']:,} calls" in shown for row in history.losses if row["count"])


def test_max_spans_holds_for_all_processes_together(rheostat: Rheostat) -> None:
    """Children of the program do not multiply the limit."""
    rheostat.write(
        "job.py",
        "import os\ndef leaf(): pass\n"
        "for _ in range(3):\n    if not os.fork():\n"
        "        for _ in range(20000): leaf()\n        os._exit(0)\n    os.wait()\n",
    )

    rheostat.run("job.py", options=("--max-spans", "30000"))
    history = rheostat.await_complete()

    spans = history.names().total()
    assert spans <= 30_000
    assert spans + _lost(history) == 60_000


def test_calls_beyond_max_disk_are_counted_and_said(rheostat: Rheostat) -> None:
    """With --max-disk recording stops when the run takes so much, and each call beyond is counted."""
    rheostat.write(
        "job.py",
        "import os\ndef leaf(): pass\ndef main():\n"
        "    while not os.path.exists('go'):\n        for _ in range(1000): leaf()\n"
        "    for _ in range(400000): leaf()\nmain()\n",
    )
    process = rheostat.start("job.py", options=("--max-disk", "4MB", "--wait", "0"))
    directory = rheostat.await_run()
    full = directory / "spool" / "full"
    wait_until(full.exists, "the limit is reached")
    (rheostat.project / "go").touch()

    done = rheostat.finish(process)
    history = rheostat.await_complete()

    assert done.returncode == 0
    assert _lost(history) > 100_000
    assert any("--max-disk" in row["reason"] for row in history.losses)
