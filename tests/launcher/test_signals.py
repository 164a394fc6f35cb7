"""What is sent to the launcher reaches the program, once; what both have got is not sent again."""

import os
import signal
import subprocess
import sys
import time

import pytest
from launching import (
    DEADLINE_S,
    LAUNCHER,
    await_witness,
    both,
    line_of,
    parent_of,
    rest_of,
    run,
    started,
    state,
    wait_until,
)

from rheostat_agent.launcher.processes import pending

# Prints its process id, then the name of each signal that it gets; ends at SIGUSR2.
COUNTER = """
import os, signal
names = {number: signal.Signals(number).name for number in (1, 2, 3, 10, 12, 14, 15, 18, 28)}
signal.pthread_sigmask(signal.SIG_BLOCK, names)
print(os.getpid(), flush=True)
while True:
    number = signal.sigwait(names)
    print(names[number], flush=True)
    if number == signal.SIGUSR2:
        raise SystemExit(9)
"""
COUNTED = [sys.executable, "-c", COUNTER]


def finish(process: subprocess.Popen[str], program: int) -> list[str]:
    """End the counter; return what it got before, in this order."""
    os.kill(program, signal.SIGUSR2)
    lines = rest_of(process)
    assert lines.pop() == "SIGUSR2"
    assert process.returncode == 9
    return lines


@pytest.mark.parametrize("name", ["SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGTERM", "SIGWINCH"])
def test_sent_to_the_launcher_reaches_the_program_once(name: str) -> None:
    """A signal sent to the launcher alone is sent on, once."""
    with started([*LAUNCHER, *COUNTED]) as process:
        program = int(line_of(process))
        process.send_signal(signal.Signals[name])

        assert line_of(process) == name
        assert finish(process, program) == []


def test_every_one_of_several_is_sent_on() -> None:
    """The same signal sent again, later than a repetition comes, is sent on again."""
    with started([*LAUNCHER, *COUNTED]) as process:
        program = int(line_of(process))
        for _ in range(3):
            # Each from a sender of its own: the limit of 20 ms is for one sender.
            subprocess.run(["sh", "-c", f"kill -TERM {process.pid}; exit 0"], check=True)
            assert line_of(process) == "SIGTERM"

        assert finish(process, program) == []


def test_repetition_of_one_sender_is_sent_on_once() -> None:
    """Two of one signal from one sender within 20 ms reach the program once."""
    with started([*LAUNCHER, *COUNTED]) as process:
        program = int(line_of(process))
        launcher = await_witness(program)
        process.send_signal(signal.SIGTERM)
        until = time.monotonic() + 0.005
        while signal.SIGTERM in pending(launcher) and time.monotonic() < until:
            pass  # until the launcher has taken the first one, so that the kernel does not make one of the two
        process.send_signal(signal.SIGTERM)
        late = (
            time.monotonic() > until + 0.01
        )  # we were interrupted, and may have let the time pass
        assert line_of(process) == "SIGTERM"
        process.send_signal(signal.SIGWINCH)  # taken after the second
        lines = [line_of(process)]
        while lines[-1] != "SIGWINCH":
            lines.append(line_of(process))

        assert late or lines == ["SIGWINCH"]
        assert finish(process, program) == []


@pytest.mark.parametrize("name", ["SIGHUP", "SIGINT", "SIGUSR1", "SIGTERM"])
def test_signal_to_the_group_reaches_the_program_once(name: str) -> None:
    """What is sent to the whole group has reached the program: it is not sent on."""
    with started([*LAUNCHER, *COUNTED]) as process:
        program = int(line_of(process))
        await_witness(program)
        for _ in range(2):
            os.killpg(process.pid, signal.Signals[name])
            assert line_of(process) == name
        process.send_signal(signal.SIGWINCH)  # taken by the launcher after the others
        assert line_of(process) == "SIGWINCH"

        assert finish(process, program) == []


def test_timeout_reaches_the_program_as_without_us() -> None:
    """`timeout` signals its child and then its group; of the two the program gets one."""
    with started(
        ["timeout", "--preserve-status", "-s", "HUP", "0.7", *LAUNCHER, *COUNTED]
    ) as process:
        program = int(line_of(process))
        assert line_of(process) == "SIGHUP"
        assert line_of(process) == "SIGCONT"
        os.kill(parent_of(program), signal.SIGWINCH)  # taken by the launcher after the others
        assert line_of(process) == "SIGWINCH"

        assert finish(process, program) == []


def test_signal_of_the_program_to_its_group_comes_once() -> None:
    """A program that signals its own group gets the signal once, and not back from its parent."""
    script = COUNTER.replace(
        "while True:", "os.kill(0, 10); os.kill(os.getppid(), 15)\nwhile True:"
    )
    with started([*LAUNCHER, sys.executable, "-c", script]) as process:
        program = int(line_of(process))
        assert line_of(process) == "SIGUSR1"
        process.send_signal(signal.SIGWINCH)  # taken by the launcher after the two
        assert line_of(process) == "SIGWINCH"

        assert finish(process, program) == []


def test_timeout_ends_the_program() -> None:
    """`timeout` around the launcher ends the program, and exits as it does around the program."""
    plain = run(["timeout", "-s", "TERM", "0.5", "sleep", "60"])
    ours = run(["timeout", "-s", "TERM", "0.5", *LAUNCHER, "sleep", "60"])

    assert plain.returncode == ours.returncode == 124


def test_timeout_inside_a_handler_is_not_doubled() -> None:
    """`timeout` signals its child and its group: the program gets what it gets without us, two at most."""
    script = """
import signal, sys, time
got = []
signal.signal(signal.SIGTERM, lambda *_: got.append(1))
print("ready", flush=True)
while not got:
    signal.pause()
print(len(got) <= 2, flush=True)
sys.exit(7)
"""
    ours = run(["timeout", "--preserve-status", "1", *LAUNCHER, sys.executable, "-c", script])

    assert (ours.returncode, ours.stdout) == (7, "ready\nTrue\n")


def test_alarm_set_before_is_the_programs() -> None:
    """An alarm that was set before the launcher was executed ends the program, as it would in a plain run."""
    command = ["perl", "-e", "alarm 1; exec @ARGV"]
    plain = run([*command, "sleep", "60"])
    ours = run([*command, *LAUNCHER, "sleep", "60"])

    assert plain.returncode == ours.returncode == -signal.SIGALRM


def test_signal_during_the_start_ends_it() -> None:
    """A signal that comes before there is a program ends the launcher as it would have ended the program."""
    script = """
import os
from rheostat_agent.launcher import child, signals, target
held = signals.hold()
os.kill(os.getpid(), 15)
child.start(target.resolve(["echo", "started"], None, os.environ, "/"), os.environ, held)
"""
    done = run([sys.executable, "-c", script])

    assert (done.returncode, done.stdout) == (-signal.SIGTERM, "")


def test_ignored_and_blocked_signals_are_the_programs() -> None:
    """Dispositions and mask of the program are those of a plain run."""

    def prepare() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGTSTP})

    command = ["grep", "-E", "^(Sig[PBIC]|Shd)", "/proc/self/status"]
    for options in ({}, {"preexec_fn": prepare}):
        plain, ours = both(command, **options)
        assert plain.stdout == ours.stdout
        assert plain.returncode == ours.returncode == 0


def test_pipe_ignored_by_a_shell_is_ignored_by_the_program() -> None:
    """A shell that ignores SIGPIPE lets what it starts inherit that, with us in between too."""
    shell = "trap '' PIPE XFSZ; \"$@\"; exit $?"
    command = ["grep", "SigIgn", "/proc/self/status"]
    plain = run(["sh", "-c", shell, "sh", *command])
    ours = run(["sh", "-c", shell, "sh", *LAUNCHER, *command])

    assert plain.stdout == ours.stdout != run(command).stdout


def test_nohup_keeps_the_program() -> None:
    """Under `nohup` a hangup sent to the launcher ends neither."""
    with started(["nohup", *LAUNCHER, "sh", "-c", "echo; read line; exit 3"], stdin=-1) as process:
        assert line_of(process) == ""
        process.send_signal(signal.SIGHUP)
        process.communicate("\n", timeout=DEADLINE_S)

        assert process.returncode == 3


def test_stop_and_continue_of_the_program_alone() -> None:
    """A program stopped and continued by its own process id goes on, and the launcher, which nobody knows of, ends with it."""
    with started([*LAUNCHER, *COUNTED]) as process:
        program = int(line_of(process))
        os.kill(program, signal.SIGSTOP)
        wait_until(lambda: state(program) == "T", "the program stops")
        os.kill(program, signal.SIGCONT)
        assert line_of(process) == "SIGCONT"

        assert finish(process, program) == []


def test_stop_sent_to_the_launcher_stops_both() -> None:
    """SIGTSTP sent to the launcher stops the program and it; SIGCONT to the launcher continues both."""
    # Two groups in one session: the kernel discards SIGTSTP in a group without a parent outside.
    with started([*LAUNCHER, *COUNTED], start_new_session=False, process_group=0) as process:
        program = int(line_of(process))
        process.send_signal(signal.SIGTSTP)
        wait_until(lambda: state(program) == state(process.pid) == "T", "both stop")
        process.send_signal(signal.SIGCONT)
        assert line_of(process) == "SIGCONT"

        assert finish(process, program) == []
