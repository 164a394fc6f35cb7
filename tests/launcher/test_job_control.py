"""Ctrl-C, Ctrl-Z, fg and bg: a real terminal, a real shell, and the launcher as its job."""

import os
import pty
import select
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from launching import DEADLINE_S, LAUNCHER, await_witness, children_of, parent_of, state, wait_until

# Prints its process id, then the name of each signal that it gets; ends at SIGUSR2.
COUNTER = """
import os, signal
names = {number: signal.Signals(number).name for number in (2, 12, 15, 18, 28)}
signal.pthread_sigmask(signal.SIG_BLOCK, names)
print("program", os.getpid(), flush=True)
while True:
    number = signal.sigwait(names)
    print(names[number], flush=True)
    if number == signal.SIGUSR2:
        raise SystemExit(9)
"""


class Terminal:
    """A pseudo-terminal with a program that leads its session, the terminal's other end in our hands."""

    def __init__(self, command: list[str]) -> None:
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *command],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**os.environ, "PS1": "ready> ", "TERM": "dumb", "HISTFILE": ""},
        )
        os.close(slave)
        self.seen = ""
        self._mark = 0

    def type(self, text: str) -> None:
        """Type *text*."""
        os.write(self._master, text.encode())

    def expect(self, *texts: str) -> str:
        """Wait until all of *texts* have appeared, in any order, after what was expected last; return what came before.

        Two processes write: only what comes from one of them comes in order.
        """
        until = time.monotonic() + DEADLINE_S
        while min(found := [self.seen.find(text, self._mark) for text in texts]) < 0:
            left = until - time.monotonic()
            assert left > 0, f"not all of {texts} in {self.seen[self._mark :]!r}"
            if select.select([self._master], [], [], left)[0]:
                self.seen += os.read(self._master, 65536).decode().replace("\r\n", "\n")
        before = self.seen[self._mark : max(found)]
        self._mark = max(at + len(text) for at, text in zip(found, texts, strict=True))
        return before

    def line(self) -> str:
        """Return the rest of the line."""
        return self.expect("\n")

    def hang_up(self) -> None:
        """Close our end."""
        if self._master >= 0:
            os.close(self._master)
            self._master = -1

    def close(self) -> None:
        """End everything in the session."""
        self.hang_up()
        for name in os.listdir("/proc"):
            try:
                if name.isdecimal() and os.getsid(int(name)) == self.process.pid:
                    os.kill(int(name), signal.SIGKILL)
            except ProcessLookupError:
                pass  # it has ended meanwhile
        self.process.wait(DEADLINE_S)


class Shell(Terminal):
    """An interactive bash."""

    def __init__(self, counter: Path) -> None:
        self._counter = counter
        counter.write_text(COUNTER)
        super().__init__(["bash", "--norc", "--noprofile", "--noediting", "-i"])
        self.expect("ready> ")

    def run(self, command: list[str], suffix: str = "") -> None:
        """Start *command* in the foreground, or as *suffix* has it."""
        self.type(shlex.join(command) + suffix + "\n")

    def start_counter(self, prefix: list[str]) -> int:
        """Start the counter in the foreground; return its process id."""
        self.run([*prefix, sys.executable, str(self._counter)])
        self.expect("\nprogram ")
        program = int(self.line())
        if prefix:
            await_witness(program)
        return program

    def output(self, command: str) -> str:
        """Return what *command* prints, at the prompt."""
        self.type(command + "\n")
        self.expect(command + "\n")
        return self.expect("ready> ")


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(tmp_path / "counter.py")
    yield shell
    shell.close()


BOTH = pytest.mark.parametrize("prefix", [[], LAUNCHER], ids=["plain", "launcher"])


@BOTH
def test_interrupt_ends_program_and_launcher(shell: Shell, prefix: list[str]) -> None:
    """Ctrl-C ends the program, and the launcher by SIGINT, so that the shell gives up the rest of the line."""
    shell.run([*prefix, "sh", "-c", "echo run$((20 + 3)); exec sleep 60"], "; echo af''ter")
    shell.expect("run23")
    shell.type("\x03")
    assert "after" not in shell.expect("ready> ")
    assert shell.output("echo status $?") == "status 130\n"


@BOTH
def test_interrupt_reaches_the_program_once(shell: Shell, prefix: list[str]) -> None:
    """A program that handles Ctrl-C gets it once and goes on, and so does the launcher."""
    program = shell.start_counter(prefix)
    for _ in range(2):
        shell.type("\x03")
        shell.expect("SIGINT")
    os.kill(program, signal.SIGUSR2)
    assert "SIGINT" not in shell.expect("ready> ")
    assert shell.output("echo status $?") == "status 9\n"


def test_interrupt_without_a_witness_reaches_the_program_once(shell: Shell) -> None:
    """What comes from the terminal is known by that: without a witness it is not sent on either."""
    program = shell.start_counter(LAUNCHER)
    launcher = parent_of(program)
    for pid, name in children_of(launcher).items():
        if name == "cat":
            os.kill(pid, signal.SIGKILL)
    shell.type("\x03")
    shell.expect("SIGINT")
    os.kill(launcher, signal.SIGWINCH)  # taken by the launcher after the other
    assert "SIGINT" not in shell.expect("SIGWINCH")
    os.kill(program, signal.SIGUSR2)
    shell.expect("ready> ")


@BOTH
def test_stop_and_foreground(shell: Shell, prefix: list[str]) -> None:
    """Ctrl-Z stops the job, `fg` continues it, and the program is told so once."""
    program = shell.start_counter(prefix)
    for _ in range(2):
        shell.type("\x1a")
        assert "Stopped" in shell.expect("ready> ")
        wait_until(lambda: state(program) == "T", "the program stops")
        shell.type("fg\n")
        shell.expect("SIGCONT")
    shell.type("\x03")  # to the foreground, where the job is again
    shell.expect("SIGINT")
    os.kill(program, signal.SIGUSR2)
    assert "SIGCONT" not in shell.expect("ready> ")
    assert shell.output("echo status $?") == "status 9\n"


@BOTH
def test_stop_and_background(shell: Shell, prefix: list[str]) -> None:
    """After Ctrl-Z, `bg` lets the job go on behind the prompt, and its end is reported."""
    program = shell.start_counter(prefix)
    shell.type("\x1a")
    shell.expect("Stopped")
    shell.expect("ready> ")
    shell.type("bg\n")
    shell.expect("SIGCONT", "ready> ")
    assert "Running" in shell.output("jobs")
    os.kill(program, signal.SIGUSR2)
    shell.expect("SIGUSR2")
    assert shell.output("wait %1; echo status $?").endswith("status 9\n")


@BOTH
def test_background_job_that_reads_the_terminal_stops(shell: Shell, prefix: list[str]) -> None:
    """A background job that reads from the terminal is stopped for that, and reads on in the foreground."""
    shell.run([*prefix, "sh", "-c", "read line; echo got $line"], " &")
    shell.expect("ready> ")
    wait_until(lambda: "tty input" in shell.output("jobs -l"), "the job waits for the terminal")
    shell.type("fg\n")
    shell.expect("fg\n")
    shell.line()
    shell.type("text\n")
    shell.expect("got text\n")


@BOTH
def test_kill_of_a_job_reaches_the_program_once(shell: Shell, prefix: list[str]) -> None:
    """`kill %1` signals the whole group: the program gets that once."""
    program = shell.start_counter(prefix)
    shell.type("\x1a")
    shell.expect("Stopped")
    shell.expect("ready> ")
    shell.type("bg\n")
    shell.expect("SIGCONT", "ready> ")
    shell.type("kill %1\n")
    shell.expect("SIGTERM", "ready> ")
    # The launcher takes one signal after the other: with this one, it is done with those before.
    shell.type("kill -WINCH %1\n")
    shell.expect("SIGWINCH", "ready> ")
    os.kill(program, signal.SIGUSR2)
    assert "SIG" not in shell.expect("SIGUSR2")


def test_hangup_of_the_session_leader_is_the_programs() -> None:
    """Where the launcher leads the session, the terminal's hangup comes to it alone: it is sent on."""
    terminal = Terminal([*LAUNCHER, "sh", "-c", "echo run$((20 + 3)); exec sleep 60"])
    try:
        terminal.expect("run23")
        terminal.hang_up()

        assert terminal.process.wait(DEADLINE_S) == -signal.SIGHUP
    finally:
        terminal.close()
