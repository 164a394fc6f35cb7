"""The summary at the end of a run: short, true, on stderr alone."""

import os
import re
import sqlite3
from pathlib import Path

import pytest

from rheostat_agent.cli.access import _goes_on
from rheostat_agent.history.query import Run, open_history
from rheostat_agent.show.summary import headlines, render
from rheostat_agent.show.text import Style
from rheostat_agent.show.view import MAX_LINES, View
from running import Rheostat, wait_until

GOOD = "def load():\n    return 1\nload()\nprint('out')\n"


def summary(rheostat: Rheostat, source: str, *options: str, **more: object) -> list[str]:
    """Return the lines of the summary of a run of *source*: what follows its own output on stderr."""
    rheostat.write("job.py", source)
    text = rheostat.run("job.py", options=options, **more).stderr
    return text[
        re.search(r"^(\x1b\[2m)?rheostat(\x1b\[0m)? ", text, re.MULTILINE).start() :
    ].splitlines()


def test_a_run_that_went_well(rheostat: Rheostat) -> None:
    """Status, times, memory, counts and id; the tree; the next command. Snapshot but for the numbers."""
    rheostat.write("job.py", GOOD)
    done = rheostat.run("job.py")
    run = rheostat.last().name
    numbers = re.compile(r"\d[\d.,]* ?(ns|µs|ms|s|MB)\b")
    told = [re.sub(r" +", " ", numbers.sub("N", line)) for line in done.stderr.splitlines()]

    assert done.stdout == "out\n"
    assert told == [
        f"rheostat job · ok · N · CPU N · peak N · 1 span · 1 process · run {run}",
        " total self calls p95 call path (* critical path)",
        " N N 1 job (process)",
        " N N 1 job.load",
        f" more: rheostat show {run}",
    ]


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("raise SystemExit(3)", "failed with status 3"),
        ("raise ValueError('no')", "failed with status 1"),
        ("import os; os.kill(os.getpid(), 15)", "killed by SIGTERM"),
        ("import os; os._exit(9)", "failed with status 9"),
    ],
)
def test_how_it_ended(rheostat: Rheostat, source: str, told: str) -> None:
    """In words, at the head of the line."""
    assert summary(rheostat, source)[0].startswith(f"rheostat job · {told} · ")


def test_errors_are_told_with_their_place(rheostat: Rheostat) -> None:
    """file:line first; what ended the program before what was frequent; each kind once, and how often."""
    lines = summary(
        rheostat,
        "def parse(text):\n    return int(text)\n"
        "def main():\n"
        "    for text in 'abab':\n"
        "        try:\n            parse(text)\n"
        "        except ValueError:\n            pass\n"
        "    raise LookupError('no such day')\n"
        "main()\n",
    )
    first = next(at for at, line in enumerate(lines) if "job.py:" in line)

    assert lines[first : first + 3] == [
        "  job.py:9: LookupError: no such day",
        "  job.py:2: ValueError: invalid literal for int() with base 10: 'a' (2 times)",
        "  job.py:2: ValueError: invalid literal for int() with base 10: 'b' (2 times)",
    ]


def test_the_text_of_ones_own_exception_is_told_once(rheostat: Rheostat) -> None:
    """One line, with the text that it had when it ended the program."""
    lines = summary(
        rheostat,
        "class Broken(Exception):\n    pass\ndef load():\n    raise Broken('no such day')\nload()\n",
    )

    assert [line for line in lines if "Broken" in line] == [
        "  job.py:4: __main__.Broken: no such day"
    ]


def test_where_a_killed_program_was(rheostat: Rheostat) -> None:
    """The innermost function that ran, and the signal."""
    lines = summary(
        rheostat,
        "import os\ndef inner():\n    os.kill(os.getpid(), 9)\ndef outer():\n    inner()\nouter()\n",
    )

    assert "  job.py:2: in job.inner, the process was killed by SIGKILL" in lines


NOISY = """
import subprocess, sys
class Error0(Exception): pass
{classes}
def many():
{calls}
{functions}
many()
for number in range(3):
    subprocess.run([sys.executable, "-c", "pass"])
raise SystemExit(2)
"""


def noisy() -> str:
    """Return a program of fifty functions, each of which fails in its own way."""
    return NOISY.format(
        classes="\n".join(f"class Error{n}(Exception): pass" for n in range(50)),
        calls="\n".join(f"    try: step{n}()\n    except Exception: pass" for n in range(50)),
        functions="\n".join(
            f"def step{n}():\n    sum(range(20000))\n    raise Error{n}()" for n in range(50)
        ),
    )


def test_it_is_never_long(rheostat: Rheostat) -> None:
    """25 lines at most, with many functions, errors, losses and remarks, and a backend that is down."""
    lines = summary(
        rheostat,
        noisy(),
        "--max-spans",
        "20",
        env={"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "VIRTUAL_ENV": "/nowhere"},
    )

    assert len(lines) <= MAX_LINES
    assert any("not delivered:" in line for line in lines)
    assert any("other kinds of error: rheostat show" in line for line in lines)
    assert lines[-1].startswith("  more: rheostat show ")


def test_full_is_the_whole_tree(rheostat: Rheostat) -> None:
    """--summary full has no limit."""
    lines = summary(rheostat, noisy(), "--summary", "full")

    assert sum("job.step" in line for line in lines) == 50
    assert len(lines) > 50 > MAX_LINES


@pytest.mark.parametrize("options", [("--quiet",), ("--summary", "none")])
def test_quiet_is_quiet(rheostat: Rheostat, options: tuple[str, ...]) -> None:
    """Nothing of ours, on either stream."""
    rheostat.write("job.py", "import sys\nprint('out')\nprint('err', file=sys.stderr)\n")
    done = rheostat.run("job.py", options=options)

    assert (done.stdout, done.stderr) == ("out\n", "err\n")


@pytest.mark.parametrize(
    ("environment", "has_colour"),
    [
        ({}, False),
        ({"FORCE_COLOR": "1"}, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        ({"NO_COLOR": "1"}, False),
    ],
)
def test_colour_where_it_is_wanted(
    rheostat: Rheostat, environment: dict[str, str], has_colour: bool
) -> None:
    """None where stderr is no terminal, unless it is forced; NO_COLOR always wins. The same for `show`."""
    text = "\n".join(summary(rheostat, "raise ValueError('no')", env=environment))
    shown = rheostat.command("show", env=environment).stdout

    for output in (text, shown):
        assert ("\x1b[" in output) == has_colour


def test_names_cannot_steer_the_terminal(rheostat: Rheostat) -> None:
    """A program may put anything into a message; the summary shows it."""
    text = "\n".join(
        summary(
            rheostat,
            "def load():\n    raise ValueError('\\x1b]0;owned\\x07\\x1b[2J\\nfake: line')\n"
            "try:\n    load()\nexcept ValueError:\n    pass\n",
        )
    )

    assert "\x1b" not in text
    assert "\\x1b]0;owned\\x07\\x1b[2J\\nfake: line" in text


def test_what_was_not_recorded_is_told(rheostat: Rheostat) -> None:
    """How many calls, and why."""
    lines = summary(
        rheostat,
        "def step():\n    return 1\nfor _ in range(1000):\n    step()\n",
        "--max-spans",
        "100",
    )

    assert any(re.search(r"not recorded: [\d,]+ calls?: ", line) for line in lines)
    assert "1,000" in next(line for line in lines if "job.step" in line)


def test_an_interpreter_that_was_chosen_is_told(rheostat: Rheostat) -> None:
    """What the launcher had to say stands in the summary."""
    rheostat.write("job.py", GOOD)
    done = rheostat.command("run", "job.py", env={"VIRTUAL_ENV": "/nowhere"})

    assert "  no interpreter in VIRTUAL_ENV=/nowhere: used " in done.stderr


def test_a_daemon_that_lives_on_does_not_hold_the_summary(rheostat: Rheostat) -> None:
    """What the program left behind is said to run, and the launcher ends."""
    rheostat.write(
        "job.py",
        "import os, signal\n"
        "def serve():\n"
        "    signal.pause()\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    null = os.open('/dev/null', os.O_RDWR)\n"
        "    for stream in (0, 1, 2):\n"
        "        os.dup2(null, stream)\n"
        "    serve()\n"
        "print(os.getpid())\n",
    )
    done = rheostat.run("job.py", options=("--wait", "5"))
    directory = rheostat.last()
    with open_history(str(directory)) as history:
        (pid,) = history.execute("SELECT pid FROM processes WHERE generation = 1").fetchone()
    try:
        assert done.stderr.startswith("rheostat job · ok · ")
        wait_until(lambda: _goes_on(directory), "`show` knows that there is nothing to wait for")
        wait_until(lambda: "1 running" in rheostat.command("show").stdout, "the call is shown")
    finally:
        os.kill(pid, 9)
    rheostat.await_complete()


def test_a_library_that_took_long_is_named(rheostat: Rheostat, tmp_path: Path) -> None:
    """Where a function's own time is most of the run, the libraries in it are a hint."""
    site = tmp_path / "site-packages"
    site.mkdir()
    (site / "slow.py").write_text(
        "import time\ndef work():\n    until = time.monotonic() + 0.5\n"
        "    while time.monotonic() < until:\n        pass\n"
    )
    lines = summary(
        rheostat,
        "import slow\ndef load():\n    slow.work()\nload()\n",
        env={"PYTHONPATH": str(site)},
    )

    assert any("--include 'slow.*'" in line for line in lines)


# States that real runs pass through too quickly, by hand.


def made_run(**values: object) -> Run:
    """Return a run's row."""
    row = dict.fromkeys(Run.fields)
    row |= {"id": "0123456789ab", "workflow": "job", "status": "ok", "spans": 10, "errors": 0}
    row |= {
        "processes": 1,
        "lost": 0,
        "undelivered": 0,
        "started_ns": 0,
        "cwd": "/",
        "directory": "/r",
    }
    return Run(**{**row, **values})


def view(unread: int = 0, columns: int = 160) -> View:
    """Return a view without colours."""
    return View(columns, Style(False), "/", unread)


def test_a_run_that_goes_on() -> None:
    """Its times are not known yet; what is known is told."""
    assert headlines(made_run(status="running"), view()) == [
        "rheostat job · running · 10 spans · 1 process · run 0123456789ab"
    ]


def test_a_narrow_terminal_gets_more_lines() -> None:
    """The parts stay whole."""
    assert headlines(made_run(), view(columns=40)) == [
        "rheostat job · ok · 10 spans · 1 process",
        "  run 0123456789ab",
    ]


def test_a_run_of_which_the_end_is_not_known() -> None:
    """The machine went down, or the launcher was killed with everything else."""
    assert " · interrupted · " in headlines(made_run(status="interrupted"), view())[0]


def test_a_run_that_is_partly_read(rheostat: Rheostat) -> None:
    """How much of it there is, and the command that shows the rest."""
    summary(rheostat, GOOD)
    rheostat.await_complete()
    with open_history(str(rheostat.last())) as history:
        lines = render(history, made_run(spans=1_240_000), view(660_000), [])

    assert " · 1.24 of ~1.9 million spans read · " in lines[0]
    assert lines[-1] == "  `rheostat show 0123456789ab` for the rest"


def test_an_empty_history_is_no_failure() -> None:
    """A summary asked for before anything was read has a headline and the next command."""
    from rheostat_agent.history.schema import prepare_history

    history = sqlite3.connect(":memory:", isolation_level=None)
    prepare_history(history)
    lines = render(history, made_run(spans=0), view(), [])

    assert len(lines) == 2
    history.close()
