"""`rheostat runs` and `runs prune`: what there is, and what may go."""

import json
import os
import shutil
import signal
import sqlite3
from datetime import datetime
from pathlib import Path
from typing import Any

from running import RHEOSTAT, Done, Rheostat, wait_until

KEYS = [
    "id", "workflow", "status", "exit_code", "signal", "started_ns", "ended_ns", "wall_ns", "cpu_s",
    "max_rss_bytes", "spans", "errors", "processes", "lost", "undelivered", "complete", "command", "cwd",
    "directory", "undelivered_why",
]  # fmt: skip

JOB = "import sys\ndef load():\n    return int(sys.argv[1])\nsys.exit(load())\n"


def run(rheostat: Rheostat, name: str = "job", status: int = 0) -> Path:
    """Make a run of the workflow *name*, read to its end; return its directory."""
    rheostat.write("job.py", JOB)
    done = rheostat.run("job.py", str(status), options=("--name", name))
    assert done.returncode == status
    rheostat.await_complete()
    return rheostat.last()


def listed(rheostat: Rheostat, *words: str) -> list[dict[str, Any]]:
    """Return what `rheostat runs --json *words*` prints."""
    done = rheostat.command("runs", "--json", *words)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_json_has_these_keys(rheostat: Rheostat) -> None:
    """A stable form for scripts: every key always there, numbers as numbers, what is unknown as null."""
    directory = run(rheostat, status=3)
    (found,) = listed(rheostat)

    assert list(found) == KEYS
    assert (found["id"], found["directory"]) == (directory.name, str(directory))
    assert (found["workflow"], found["status"]) == ("job", "failed")
    assert (found["exit_code"], found["signal"], found["complete"]) == (3, None, True)
    assert (found["spans"], found["errors"], found["processes"]) == (1, 0, 1)
    assert (found["lost"], found["undelivered"]) == (0, 0)
    assert found["command"] == f"{rheostat.python} job.py 3"
    assert found["cwd"] == str(rheostat.project)
    assert found["wall_ns"] == found["ended_ns"] - found["started_ns"] > 0
    assert found["cpu_s"] > 0 and found["max_rss_bytes"] > 1_000_000


def test_the_newest_comes_first(rheostat: Rheostat) -> None:
    """By the time at which the programs began."""
    made = [run(rheostat, name).name for name in ("a", "b", "a")]

    assert [one["id"] for one in listed(rheostat)] == made[::-1]
    assert [one["id"] for one in listed(rheostat, "--workflow", "a")] == [made[2], made[0]]
    assert [one["id"] for one in listed(rheostat, "--limit", "2")] == [made[2], made[1]]
    assert [one["id"] for one in listed(rheostat, "--limit", "1", "--workflow", "b")] == [made[1]]
    assert len(listed(rheostat, "--limit", "0")) == 3
    assert listed(rheostat, "--workflow", "c") == []


def test_the_table(rheostat: Rheostat) -> None:
    """One line a run under a line of titles, aligned; how it ended, in words."""
    first, second = run(rheostat, "short"), run(rheostat, "a-longer-name", 3)
    lines = rheostat.command("runs").stdout.splitlines()
    started = datetime.fromtimestamp(listed(rheostat)[0]["started_ns"] / 1e9)

    assert lines[0].split("  ")[0] == "RUN"
    assert lines[1].startswith(f"{second.name}  a-longer-name  {started:%Y-%m-%d %H:%M:%S}")
    assert lines[2].startswith(f"{first.name}  short          ")
    assert [line.rpartition("  ")[2] for line in lines] == [
        "HOW IT ENDED",
        "failed with status 3",
        "ok",
    ]


def test_no_runs(rheostat: Rheostat) -> None:
    """A remark on stderr, an empty array for scripts; no failure."""
    assert rheostat.command("runs") == Done(
        0, "", "no runs yet: start one by `rheostat run SCRIPT`\n"
    )
    assert listed(rheostat) == []
    run(rheostat)
    assert "no runs of other: " in rheostat.command("runs", "--workflow", "other").stderr


def test_a_run_that_goes_on_is_listed(rheostat: Rheostat) -> None:
    """As running, with its times unknown, from the moment it was started."""
    rheostat.write("job.py", "import sys\nprint('here', flush=True)\nsys.stdin.read()\n")
    process = rheostat.start("job.py", stdin=-1)
    assert process.stdout is not None
    assert process.stdout.readline() == "here\n"
    (found,) = listed(rheostat)

    assert (found["status"], found["wall_ns"], found["ended_ns"]) == ("running", None, None)
    assert "running" in rheostat.command("runs").stdout
    rheostat.finish(process)


def test_a_run_that_no_index_knows_is_listed(rheostat: Rheostat) -> None:
    """Its own directory says how it ended."""
    directory = run(rheostat, status=3)
    for path in rheostat.state.glob("index.sqlite*"):
        path.unlink()
    (found,) = listed(rheostat)

    assert list(found) == KEYS
    assert (found["id"], found["status"], found["exit_code"]) == (directory.name, "failed", 3)
    assert rheostat.command("show", directory.name).returncode == 0


def test_an_index_that_cannot_be_read_is_no_obstacle(rheostat: Rheostat) -> None:
    """The runs are listed all the same; the next run makes it anew."""
    first = run(rheostat, status=3)
    for path in rheostat.state.glob("index.sqlite-*"):
        path.unlink()
    (rheostat.state / "index.sqlite").write_bytes(b"no database" * 1000)
    (found,) = listed(rheostat)
    assert (found["id"], found["status"]) == (first.name, "failed")

    second = run(rheostat)
    assert [one["id"] for one in listed(rheostat)] == [second.name, first.name]
    assert [one["spans"] for one in listed(rheostat)] == [1, 1]


def test_an_index_of_a_later_rheostat_is_left_alone(rheostat: Rheostat) -> None:
    """It is told which versions are read."""
    run(rheostat)
    with sqlite3.connect(rheostat.state / "index.sqlite") as index:
        index.execute("PRAGMA user_version = 99")
    index.close()
    done = rheostat.command("runs")

    assert (done.returncode, done.stdout) == (125, "")
    assert "version 99" in done.stderr


# prune


def age(rheostat: Rheostat, directory: Path, days: float) -> None:
    """Have the run seem to have ended *days* ago."""
    with sqlite3.connect(rheostat.state / "index.sqlite") as index:
        change = int(days * 86400 * 1e9)
        index.execute(
            "UPDATE runs SET started_ns = started_ns - ?1, ended_ns = ended_ns - ?1 WHERE id = ?2",
            (change, directory.name),
        )
    index.close()


def test_old_runs_are_removed(rheostat: Rheostat) -> None:
    """Those that ended longer ago than said, from the disk and from the list; the rest stays."""
    old, new = run(rheostat), run(rheostat)
    age(rheostat, old, 40)
    done = rheostat.command("runs", "prune", "--older-than", "30d")

    assert done.returncode == 0
    assert done.stdout.startswith(f"removed {old.name} job (")
    assert done.stderr.startswith("1 run, ")
    assert (old.exists(), new.exists()) == (False, True)
    assert [one["id"] for one in listed(rheostat)] == [new.name]
    assert rheostat.command("show", old.name).returncode == 125


def test_a_dry_run_removes_nothing(rheostat: Rheostat) -> None:
    """It only says what would be."""
    directory = run(rheostat)
    done = rheostat.command("runs", "prune", "--older-than", "0s", "--dry-run")

    assert done.stdout.startswith(f"would remove {directory.name} job (")
    assert directory.exists()
    assert len(listed(rheostat)) == 1


def test_the_oldest_go_until_the_rest_is_small_enough(rheostat: Rheostat) -> None:
    """--keep-size: what all runs together may take."""
    made = [run(rheostat) for _ in range(3)]
    taken = [sum(p.lstat().st_blocks * 512 for p in d.rglob("*") if p.is_file()) for d in made]
    done = rheostat.command("runs", "prune", "--keep-size", str(taken[1] + taken[2]))

    assert [line.split()[1] for line in done.stdout.splitlines()] == [made[0].name]
    assert [directory.exists() for directory in made] == [False, True, True]


def test_a_run_that_goes_on_is_never_removed(rheostat: Rheostat) -> None:
    """However old or big it is."""
    rheostat.write("job.py", "import sys\nprint('here', flush=True)\nsys.stdin.read()\n")
    process = rheostat.start("job.py", stdin=-1)
    assert process.stdout is not None
    process.stdout.readline()
    done = rheostat.command("runs", "prune", "--older-than", "0s", "--keep-size", "0")

    assert (done.stdout, done.stderr) == ("", "0 runs, 0 B\n")
    assert rheostat.last().exists()
    assert rheostat.finish(process).returncode == 0


def test_a_run_that_is_not_delivered_is_never_removed(rheostat: Rheostat) -> None:
    """A backend may still be to have it."""
    rheostat.write("job.py", JOB)
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    rheostat.run("job.py", "0", options=("--wait", "0"), env=endpoint)
    wait_until(lambda: listed(rheostat)[0]["complete"], "the run is read")
    rheostat.command("runs", "prune", "--older-than", "0s", env=endpoint)

    assert rheostat.last().exists()


def test_runs_removed_by_hand_are_forgotten(rheostat: Rheostat) -> None:
    """A row without a directory goes with the old ones."""
    directory = run(rheostat)
    shutil.rmtree(directory)
    rheostat.command("runs", "prune", "--older-than", "0s")

    assert listed(rheostat) == []


def test_a_state_directory_that_was_moved_is_pruned_where_it_is(rheostat: Rheostat) -> None:
    """Not where it was: somebody may have copied it."""
    directory = run(rheostat)
    copy = rheostat.state.with_name("copy")
    shutil.copytree(rheostat.state, copy)
    rheostat.command("runs", "prune", "--older-than", "0s", env={"RHEOSTAT_STATE_DIR": str(copy)})

    assert directory.exists()
    assert list((copy / "runs").iterdir()) == []


def test_ctrl_c_ends_a_command_as_any_other(rheostat: Rheostat) -> None:
    """No traceback; killed by SIGINT, so that a shell stops its loop."""
    rheostat.write("job.py", "import sys\nprint('here', flush=True)\nsys.stdin.read()\n")
    process = rheostat.start("job.py", stdin=-1)
    assert process.stdout is not None
    process.stdout.readline()

    export = rheostat._start([RHEOSTAT, "export", "last"])
    wait_until(lambda: "sqlite" in Path(f"/proc/{export.pid}/maps").read_text(), "it waits")
    os.kill(export.pid, signal.SIGINT)

    assert rheostat.finish(export) == Done(-signal.SIGINT, "", "")
    rheostat.finish(process)
