"""Python processes that a run starts and that never load the recorder are listed with the reason."""

import subprocess
from pathlib import Path

import pytest

from rheostat_agent.history.query import HistoryMissing
from rheostat_agent.outsiders import is_interpreter, reason_against
from running import History, Rheostat, wait_until

WAIT = "import sys; sys.stdin.read()"  # until the test ends it
START = f"""
import os, subprocess, sys, threading

def start(*words, **options):
    return subprocess.Popen([*words], **options)

python, wait = sys.executable, {WAIT!r}
"""


def processes(directory: Path) -> dict[str, str]:
    """Return the processes that the history of a run lists as not observed, with their reasons."""
    try:
        rows = History(directory).skipped
    except HistoryMissing:  # so far
        return {}
    return {row["name"]: row["reason"] for row in rows if row["what"] == "process"}


def listed(rheostat: Rheostat, program: str, among: str) -> dict[str, str]:
    """Run *program*, whose processes wait for the end of their input; return what is listed once *among* is in it."""
    rheostat.write("job.py", START + program)
    process = rheostat.start("job.py", stdin=subprocess.PIPE)
    directory = rheostat.await_run()
    wait_until(
        lambda: any(among in name for name in processes(directory)),
        lambda: f"{among} among {processes(directory)}",
    )
    assert rheostat.finish(process).returncode == 0
    rheostat.await_complete(directory)
    return processes(directory)


@pytest.mark.parametrize(
    ("call", "shown", "reason"),
    [
        ("start(python, '-I', '-c', wait)", f"-I -c {WAIT}", "its interpreter was started with -I"),
        ("start(python, '-BE', '-c', wait)", f"-BE -c {WAIT}", "its interpreter was started with -E"),
        ("start(python, '-S', '-c', wait)", f"-S -c {WAIT}", "its interpreter was started with -S"),
        ("start(python, '-c', wait, env={})", f"-c {WAIT}", "its environment lacks RHEOSTAT_RUN"),
        (
            "start(python, '-c', wait, env={**os.environ, 'PYTHONPATH': '/lib'})",
            f"-c {WAIT}",
            "its PYTHONPATH lacks Rheostat's folder",
        ),
        (
            "start(python, '-c', wait, env={**os.environ, 'RHEOSTAT_DISABLED': 'true'})",
            f"-c {WAIT}",
            "RHEOSTAT_DISABLED is true in its environment",
        ),
    ],
)  # fmt: skip
def test_a_child_without_the_recorder_is_listed(
    rheostat: Rheostat, call: str, shown: str, reason: str
) -> None:
    """Whether its interpreter's flags or its environment keep the recorder out."""
    ((name, why),) = listed(rheostat, f"{call}.wait()", WAIT).items()

    assert name.startswith("python")
    assert name.partition(" ")[2] == shown
    assert why == reason


@pytest.mark.parametrize(
    "program",
    [
        "start('sh', '-c', f'{python} -I waits.py; true').wait()",
        "thread = threading.Thread(target=lambda: start(python, '-I', 'waits.py').wait())\nthread.start()",
        "os.execv(python, [python, '-I', 'waits.py'])",
    ],
    ids=["below a shell", "by a thread", "by exec"],
)
def test_however_it_is_started(rheostat: Rheostat, program: str) -> None:
    """By something that is no Python, by another thread, or in the place of the program itself."""
    rheostat.write("waits.py", WAIT)

    (name,) = listed(rheostat, program, "waits.py")

    assert name.endswith(" -I waits.py")


def test_arguments_and_secrets_are_not_kept(rheostat: Rheostat) -> None:
    """Of a command line, what is executed is listed, not what it was given; of code, not what looks secret."""
    rheostat.write("waits.py", WAIT)
    code = f"password='hunter2'; {WAIT}"
    program = f"start(python, '-I', '-c', {code!r}, 'argument')\n"
    program += "start(python, '-I', 'waits.py', '--user', 'me', 'hunter2').wait()"

    names = " ".join(listed(rheostat, program, "waits.py"))

    assert "waits.py" in names
    assert "hunter2" not in names
    assert "argument" not in names
    assert "--user" not in names


def test_what_is_observed_or_no_python_is_not_listed(rheostat: Rheostat) -> None:
    """A child with the recorder, a fork, and a command: seen in the same look as one that is listed."""
    rheostat.write("waits.py", WAIT)
    program = "start(python, 'waits.py')\nstart('cat')\n"
    program += "if os.fork() == 0: sys.stdin.read(); sys.exit()\n"
    program += f"start(python, '-I', '-c', {WAIT!r}).wait()"

    (name,) = listed(rheostat, program, "-I")

    assert WAIT in name


def test_what_outlives_the_program_is_listed(rheostat: Rheostat) -> None:
    """A process that the program left behind, whose parent ended before anybody looked."""
    rheostat.write("waits.py", "import os\nwhile not os.path.exists('go'): pass\n")
    rheostat.write(
        "job.py",
        START + "start('sh', '-c', f'{python} -I waits.py >/dev/null 2>&1 & exit').wait()",
    )
    assert rheostat.run("job.py", options=("--wait", "0")).returncode == 0
    directory = rheostat.last()
    wait_until(lambda: processes(directory), "the daemon is listed")
    (rheostat.project / "go").touch()
    rheostat.await_complete(directory)

    (name,) = processes(directory)
    assert name.endswith(" -I waits.py")


RUN = {"RHEOSTAT_RUN": "/run", "PYTHONPATH": "/ours:/theirs"}


@pytest.mark.parametrize(
    ("words", "is_kept_out"),
    [
        ("python job.py -I", False),
        ("python -m job -E", False),
        ("python -W -I job.py", False),
        ("python -XI job.py", False),
        ("python --check-hash-based-pycs default -I job.py", True),
        ("python -uBI -m job", True),
        ("python -- -I", False),
        ("python -", False),
        ("python -Ic pass", True),
        ("python -I -m rheostat_agent.supervisor /run", False),
    ],
)
def test_flags_are_read_as_by_the_interpreter(words: str, is_kept_out: bool) -> None:
    """Those before what it runs, and not the values of others; Rheostat's own agents are none of the program's."""
    assert (reason_against(words.split(), RUN, "/run", "/ours") is not None) == is_kept_out


def test_an_overwritten_environment_says_nothing() -> None:
    """A program that shows a title in its place may well be observed."""
    assert reason_against(["python", "job.py"], None, "/run", "/ours") is None


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/usr/bin/python3.13t", True),
        ("python", True),
        ("/opt/pypy3", True),
        ("/bin/python-config", False),
        ("/bin/bash", False),
        ("", False),
    ],
)
def test_interpreters_go_by_their_names(path: str, expected: bool) -> None:
    """As the file is called that is executed, whatever the link was called."""
    assert is_interpreter(path) is expected
