"""`rheostat show`: which run, what of it, and in which form."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from extension import BESIDE, build_extension
from rheostat_agent.rundirectory import RUN
from running import Done, Rheostat, wait_until

JOB = """
import subprocess, sys

def parse(text):
    return int(text)

def load():
    for text in "12x":
        try:
            parse(text)
        except ValueError:
            pass

def main():
    load()
    subprocess.run([sys.executable, "child.py"])

main()
"""
CHILD = "def work():\n    return 1\nwork()\n"


@pytest.fixture
def job(rheostat: Rheostat) -> Rheostat:
    """One run, with an error that was handled and a child process."""
    rheostat.write("job.py", JOB)
    rheostat.write("child.py", CHILD)
    assert rheostat.run("job.py", "--password", "x").returncode == 0
    rheostat.await_complete()
    return rheostat


def as_json(rheostat: Rheostat, *words: str) -> dict[str, Any]:
    """Return what `rheostat show --json *words*` prints."""
    done = rheostat.command("show", "--json", *words)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def refused(rheostat: Rheostat, *words: str) -> str:
    """Return the one line with which `rheostat show *words*` is refused."""
    done = rheostat.command("show", *words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (125, "", 1)
    return done.stderr


def test_a_run_goes_by_its_id_or_the_beginning_of_it(job: Rheostat) -> None:
    """Or `last`, which is the default."""
    run = job.last().name
    texts = {job.command("show", *words).stdout for words in ([run], [run[:4]], ["last"], [])}

    assert len(texts) == 1
    assert f"run {run}" in texts.pop()


def test_last_is_the_run_that_was_started_last(job: Rheostat) -> None:
    """Whichever id it has."""
    job.run("child.py")
    job.await_complete()

    assert as_json(job)["run"]["workflow"] == "child"


def test_a_beginning_that_several_runs_share(job: Rheostat) -> None:
    """Is refused, and the runs are named."""
    first = job.last()
    second = first.with_name(first.name[:6] + "zzzzzz")
    second.mkdir()
    (second / RUN).write_bytes((first / RUN).read_bytes())

    assert f"2 runs begin with '{first.name[:4]}': {first.name}, {second.name}" in refused(
        job, first.name[:4]
    )


@pytest.mark.parametrize("name", ["zzz", "", "../.."])
def test_a_run_that_there_is_not(job: Rheostat, name: str) -> None:
    """Is refused, with the command that lists them."""
    assert f"no run begins with '{name}': `rheostat runs` lists them" in refused(job, name)


def test_json_has_these_keys(job: Rheostat) -> None:
    """A stable form for scripts; times in nanoseconds, memory in bytes."""
    told = as_json(job)

    assert list(told) == ["run", "processes", "tree", "errors", "losses", "skipped", "notes"]
    assert list(told["processes"][0]) == [
        "id", "base", "span_id", "parent_span_id", "pid", "ppid", "generation", "name", "executable",
        "cwd", "argv", "python", "start_ns", "end_ns", "exit_code", "signal", "cause", "user_s",
        "system_s", "max_rss_bytes",
    ]  # fmt: skip
    assert list(told["tree"][0]) == [
        "depth", "name", "path", "calls", "errors", "open", "total_ns", "self_ns", "p95_ns", "file",
        "line", "items", "is_critical",
    ]  # fmt: skip
    assert list(told["errors"][0]) == [
        "id", "process", "number", "span", "time_ns", "type", "message", "stack",
    ]  # fmt: skip


def test_json_tells_the_run(job: Rheostat) -> None:
    """Its processes, its tree with depths, its errors with their stacks."""
    told = as_json(job)
    tree = [(node["depth"], node["name"], node["calls"], node["errors"]) for node in told["tree"]]

    assert [process["name"] for process in told["processes"]] == ["job", "child"]
    assert told["processes"][0]["argv"] == [job.python, "job.py", "--password", "***"]
    assert tree == [
        (0, "job", 1, 0),
        (1, "job.main", 1, 0),
        (2, "job.load", 1, 0),
        (3, "job.parse", 3, 1),
        (1, "child", 1, 0),
        (2, "child.work", 1, 0),
    ]
    (error,) = told["errors"]
    assert (error["type"], error["stack"][-1]) == (
        "ValueError",
        [str(job.project / "job.py"), 5, "parse"],
    )


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["--depth", "1"], ["job", "job.main", "child"]),
        (["--grep", "parse"], ["job", "job.main", "job.load", "job.parse"]),
        (["--grep", "child", "--depth", "1"], ["job", "child"]),
        (["--min", "100%"], ["job"]),
        (["--grep", "nothing"], []),
    ],
)
def test_the_tree_is_narrowed(job: Rheostat, words: list[str], names: list[str]) -> None:
    """By depth, name and share of the run; in JSON and for the eye alike."""
    done = job.command("show", *words)
    # For the eye, the name is the first word behind the numbers.
    shown = [line[41:].split()[0] for line in done.stdout.splitlines()[2 : 2 + len(names)]]

    assert [node["name"] for node in as_json(job, *words)["tree"]] == names
    assert shown == names


def test_errors_have_their_stacks(job: Rheostat) -> None:
    """As Python prints them, below the headline."""
    lines = job.command("show", "--errors").stdout.splitlines()

    assert lines[0].startswith("rheostat job · ok · ")
    assert lines[1:] == [
        "",
        f'  File "{job.project}/job.py", line 18, in <module>',
        f'  File "{job.project}/job.py", line 15, in main',
        f'  File "{job.project}/job.py", line 10, in load',
        f'  File "{job.project}/job.py", line 5, in parse',
        "  ValueError: invalid literal for int() with base 10: 'x'",
    ]


def test_what_is_not_observed_is_listed(rheostat: Rheostat) -> None:
    """With its reason; where there is none, that is said."""
    rheostat.write("job.py", "def load():\n    return 1\nload()\n")
    rheostat.run("job.py", options=("--exclude", "job.load"))
    rheostat.await_complete()
    told = rheostat.command("show", "--skipped").stdout
    assert [line for line in told.splitlines() if "job.load" in line and "exclude" in line]

    rheostat.run("job.py")
    rheostat.await_complete()
    assert rheostat.command("show", "--skipped").stdout == "everything of the project is observed\n"


def test_c_modules_are_listed_as_not_observed(rheostat: Rheostat) -> None:
    """Those of the project, and those that `--include` names."""
    build_extension(rheostat.project, "fast", rheostat.python)
    rheostat.write("beside.py", BESIDE)
    rheostat.write("job.py", "import _json, fast\nassert fast.twice(2) == 4\n")
    assert rheostat.run("job.py", options=("--include", "_json.*")).returncode == 0
    rheostat.await_complete()

    assert rheostat.command("show", "--skipped").stdout.splitlines() == [
        "module    _json: extension module: its functions are C functions",
        "module    fast: extension module: its functions are C functions",
    ]


def test_a_run_that_goes_on_is_shown(rheostat: Rheostat) -> None:
    """What it does right now, without waiting for its end."""
    rheostat.write(
        "job.py",
        "import sys\ndef wait():\n    print('here', flush=True)\n    sys.stdin.read()\nwait()\n",
    )
    process = rheostat.start("job.py", stdin=-1)
    assert process.stdout is not None
    assert process.stdout.readline() == "here\n"
    done = await_in_show(rheostat, "1 running")

    assert done.stdout.startswith("rheostat job · running · ")
    assert "job.wait" in done.stdout
    rheostat.finish(process)


def await_in_show(rheostat: Rheostat, text: str) -> Done:
    """Return what `rheostat show` prints as soon as *text* is in it."""
    found: list[Done] = []

    def look() -> bool:
        found.append(rheostat.command("show"))
        return text in found[-1].stdout

    wait_until(look, f"{text} is shown")
    return found[-1]


def test_what_the_terminal_cannot_show_is_escaped(rheostat: Rheostat) -> None:
    """A stdout that holds ASCII alone is no failure."""
    rheostat.write("job.py", "def préparer():\n    return 1\npréparer()\n")
    rheostat.run("job.py")
    rheostat.await_complete()
    done = rheostat.command("show", env={"PYTHONIOENCODING": "ascii:strict", "LC_ALL": "C"})

    assert (done.returncode, done.stderr) == (0, "")
    assert "job.pr\\xe9parer" in done.stdout


def test_a_history_of_a_later_rheostat_is_left_alone(job: Rheostat) -> None:
    """It is told which versions are read; export says the same."""
    with sqlite3.connect(job.last() / "history.sqlite") as history:
        history.execute("PRAGMA user_version = 99")
    history.close()

    assert "version 99" in refused(job)
    done = job.command("export")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (125, "", 1)


def test_a_history_that_cannot_be_read_is_said(job: Rheostat) -> None:
    """One line, with the path."""
    path: Path = job.last() / "history.sqlite"
    for beside in job.last().glob("history.sqlite-*"):
        beside.unlink()
    path.write_bytes(b"no database" * 1000)
    done = job.command("show")

    assert done.returncode in (0, 125)
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") <= 1


def test_a_damaged_history_is_said_in_one_line(job: Rheostat) -> None:
    """Where pages of the history have become garbage, that is said, and nothing is shown of Python's own."""
    (history,) = job.state.glob("runs/*/history.sqlite")
    connection = sqlite3.connect(history)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    data = bytearray(history.read_bytes())
    data[4096:] = b"\xa5" * (len(data) - 4096)
    history.write_bytes(data)

    done = job.command("show", "last")

    assert done.returncode == 125
    assert done.stderr.count("\n") == 1
    assert "damaged" in done.stderr
