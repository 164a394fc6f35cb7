"""The launcher ends as the program ended."""

import os
import resource
import signal
import sys

import pytest
from launching import BARE_LAUNCHER, LAUNCHER, both, run

_HARMLESS = {signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH}
_STOPS = {signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}
FATAL = sorted(set(signal.valid_signals()) - _HARMLESS - _STOPS)


@pytest.mark.parametrize("launcher", [LAUNCHER, BARE_LAUNCHER], ids=["rheostat", "bare"])
@pytest.mark.parametrize("code", [0, 1, 2, 125, 126, 127, 128, 130, 143, 255])
def test_exit_status_is_the_programs(code: int, launcher: list[str]) -> None:
    """Whatever the program exits with, the launcher exits with."""
    plain, ours = both(["sh", "-c", f"exit {code}"], launcher)

    assert plain.returncode == ours.returncode == code


@pytest.mark.parametrize("number", FATAL)
def test_dies_by_the_same_signal(number: int) -> None:
    """A program killed by a signal, any that kills, leaves a launcher killed by it."""
    plain, ours = both(["sh", "-c", f"kill -{int(number)} $$"], BARE_LAUNCHER)

    assert plain.returncode == ours.returncode == -number


@pytest.mark.parametrize("name", ["HUP", "INT", "ABRT", "KILL", "SEGV", "PIPE", "TERM"])
def test_rheostat_dies_by_the_same_signal(name: str) -> None:
    """`rheostat run` of a program killed by a signal is killed by it."""
    plain, ours = both(["sh", "-c", f"kill -{name} $$"])

    assert plain.returncode == ours.returncode == -signal.Signals["SIG" + name]


def test_dies_without_a_core_file(tmp_path: object) -> None:
    """A program killed by a signal that dumps core leaves no core file of the launcher, whose own limit allows it."""

    def allow_cores() -> None:
        resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    command = [*LAUNCHER, "sh", "-c", "ulimit -c 0; kill -QUIT $$"]
    ours = run(command, cwd=tmp_path, preexec_fn=allow_cores)

    assert ours.returncode == -signal.SIGQUIT
    assert os.listdir(str(tmp_path)) == []


def test_what_the_program_used_is_told() -> None:
    """The ending tells the program's processor times, memory and moment of death."""
    script = """
import os, sys, time
from rheostat_agent.launcher import child, signals, target
held = signals.hold()
before = time.time_ns(), time.monotonic_ns()
ending = child.follow(child.start(target.resolve(sys.argv[1:], None, os.environ, "/"), os.environ, held))
after = time.time_ns(), time.monotonic_ns()
assert before[0] < ending.wall_ns < after[0] and before[1] < ending.monotonic_ns < after[1]
assert (ending.exit_code, ending.signal) == (None, 9), (ending.exit_code, ending.signal)
assert ending.user_s > 0.02 and 0.35 < ending.user_s + ending.system_s < 20
assert 100 << 20 < ending.max_rss_bytes < 200 << 20, ending.max_rss_bytes
"""
    program = """
import os, time
kept = b"x" * (100 << 20)
while time.process_time() < 0.4:
    sum(range(1000))
os.kill(os.getpid(), 9)
"""
    done = run([sys.executable, "-c", script, sys.executable, "-c", program])

    assert (done.stderr, done.returncode) == ("", 0)


def test_keyboard_interrupt_of_a_python_program() -> None:
    """A Python program that ends by KeyboardInterrupt dies by SIGINT, and so does the launcher, with the same words."""
    plain, ours = both([sys.executable, "-c", "raise KeyboardInterrupt"])

    assert plain.returncode == ours.returncode == -signal.SIGINT
    assert plain.stderr == ours.stderr


@pytest.mark.parametrize("closed", [1, 2])
def test_closed_output_does_not_change_the_status(closed: int) -> None:
    """With its standard output or error closed, the launcher still exits as the program did."""
    command = " ".join(f"'{word}'" for word in [*LAUNCHER, "sh", "-c", "exit 3"])

    assert run(["sh", "-c", f"{command} {closed}>&-; exit $?"]).returncode == 3


def test_full_output_does_not_change_the_status() -> None:
    """A full disk behind standard output makes no other status than the program's."""
    command = " ".join(f"'{word}'" for word in [*LAUNCHER, "sh", "-c", "exit 3"])

    assert run(["sh", "-c", f"{command} >/dev/full; exit $?"]).returncode == 3


def test_ignored_sigchld_loses_no_status() -> None:
    """Started with SIGCHLD ignored, the launcher learns the status, and the program has it ignored as in a plain run."""
    script = "import signal; print(signal.getsignal(signal.SIGCHLD)); raise SystemExit(5)"

    def ignore() -> None:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)

    plain, ours = both([sys.executable, "-c", script], preexec_fn=ignore)

    assert plain.stdout == ours.stdout == "1\n"
    assert plain.returncode == ours.returncode == 5


def test_daemon_that_keeps_the_output_open_holds_nobody() -> None:
    """The launcher ends with the program although a process that it left behind has the same output open."""
    reader, writer = os.pipe()
    waiter, held = os.pipe()  # the daemon ends when we close our end
    command = [*LAUNCHER, "sh", "-c", "exec 3<&0; cat <&3 & exit 4"]
    try:
        ours = run(command, capture_output=False, stdout=writer, stdin=waiter)
        os.close(writer)
        os.set_blocking(reader, False)

        assert ours.returncode == 4
        with pytest.raises(BlockingIOError):  # still open on the other side
            os.read(reader, 1)
    finally:
        os.close(held)
        os.close(waiter)
        os.close(reader)
