"""The launcher as the first process of a container, here of a process name space of its own."""

import os
import signal
import sys

import pytest
from launching import LAUNCHER, children_of, line_of, rest_of, run, started

CONTAINER = ["unshare", "--pid", "--fork", "--mount-proc"]
pytestmark = pytest.mark.skipif(
    run([*CONTAINER, "true"]).returncode != 0, reason="may not make a name space"
)

# Leaves fifty processes behind, one after the other; ends when none of them is left as a zombie. The agent, known by its
# own session, is no orphan.
ORPHANS = """
import os, pathlib, subprocess, time
for _ in range(50):
    subprocess.run(["sh", "-c", "sh -c 'exit 3' &"], check=True)
def zombies():
    found = []
    for status in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] == "Z" and fields[1] == "1" and fields[3] != status.parent.name:
            found.append(status.parent.name)
    return found
until = time.monotonic() + 20
while zombies():
    assert time.monotonic() < until, zombies()
print("none left", os.getppid())
"""


def test_status_is_the_programs() -> None:
    """As the first process, the launcher exits as the program does."""
    done = run([*CONTAINER, *LAUNCHER, "sh", "-c", "echo $PPID; exit 5"])

    assert (done.stdout, done.returncode) == ("1\n", 5)


@pytest.mark.parametrize("name", ["TERM", "SEGV", "KILL"])
def test_signal_becomes_a_status(name: str) -> None:
    """The first process cannot die by a signal: it exits with what a shell makes of the program's."""
    done = run([*CONTAINER, *LAUNCHER, "sh", "-c", f"kill -{name} $$"])

    assert done.returncode == 128 + signal.Signals["SIG" + name]


def test_orphans_are_reaped() -> None:
    """What the program leaves behind and ends does not stay a zombie."""
    done = run([*CONTAINER, *LAUNCHER, sys.executable, "-c", ORPHANS])

    assert (done.stdout, done.stderr, done.returncode) == ("none left 1\n", "", 0)


def test_children_of_the_caller_are_left_to_it() -> None:
    """Orphans are reaped though a child of the caller's has ended too, which is left to the caller."""
    script = """
import os, sys
from rheostat_agent.launcher import child, signals, target
held = signals.hold()
agent = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 6"], os.environ, setsid=True)
os.waitid(os.P_PID, agent, os.WEXITED | os.WNOWAIT)
what = target.resolve(sys.argv[1:], None, os.environ, os.getcwd())
ending = child.follow(child.start(what, os.environ, held), {agent})
assert os.waitpid(agent, 0) == (agent, 6 << 8)
child.end_as(ending)
"""
    command = [sys.executable, "-c", script, sys.executable, "-c", ORPHANS]
    done = run([*CONTAINER, *command])

    assert (done.stdout, done.stderr, done.returncode) == ("none left 1\n", "", 0)


def test_signal_from_outside_is_sent_on() -> None:
    """`docker stop` sends SIGTERM from outside, where the sender has no number: the program gets it and ends."""
    program = "trap 'echo ended; exit 7' TERM; echo ready; while :; do read line; done"
    with started([*CONTAINER, *LAUNCHER, "sh", "-c", program], stdin=-1) as process:
        assert line_of(process) == "ready"
        (first,) = children_of(process.pid)
        os.kill(first, signal.SIGTERM)

        assert rest_of(process) == ["ended"]
        assert process.returncode == 7
