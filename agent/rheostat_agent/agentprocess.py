"""The agent as a process: what it takes over from who started it, and what it lets go of; its log; its line to the launcher.

The launcher holds the other ends of our standard input and output. It sends b"r" (the program was started: `run` is
written), b"e" (it ended: `ended` is written) and b"s" (out of patience: say what you have); the agent answers once, with the
summary, and hangs up; before that it may send BEAT at any time.
"""

from __future__ import annotations

import fcntl
import os
import resource
import select
import time

from rheostat_agent.rundirectory import LOCK, LOG, RUN

BEAT = b"\0"
_NICENESS = 5
_ANSWER_MS = 1000  # that the launcher may take to read
_LIMITS = ("RLIMIT_AS", "RLIMIT_CPU", "RLIMIT_DATA", "RLIMIT_FSIZE", "RLIMIT_NOFILE")


class Log:
    """agent.log: one line for each thing that went wrong."""

    def __init__(self, directory: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(f"{directory}/{LOG}", flags, 0o600)
        self._last = ""

    def write(self, text: str) -> None:
        """Append *text*, unless it is what was written last."""
        if text == self._last:
            return
        self._last = text
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        line = f"{stamp} {text}\n".encode("utf-8", "replace")
        try:
            os.write(self._descriptor, line)
        except OSError:  # disk full: there is nowhere to say it
            return


class Channel:
    """The line to the launcher: standard input and output. Without a launcher both lead nowhere."""

    def __init__(self, console: int | None = None) -> None:
        """*console*: the descriptor of the launcher's standard error, where spans are to be written there."""
        os.set_blocking(0, False)
        os.set_blocking(1, False)
        self.console = console
        self._is_open = True

    @property
    def descriptor(self) -> int | None:
        """Return what to poll, None if nobody waits."""
        return 0 if self._is_open else None

    def wait_for_run(self, directory: str) -> bool:
        """Wait until the program was started; False: it could not be."""
        poll = select.poll()
        poll.register(0, select.POLLIN)
        while self._is_open and not os.path.exists(f"{directory}/{RUN}"):
            poll.poll()
            self.asked()
        return os.path.exists(f"{directory}/{RUN}")

    def asked(self) -> bool:
        """Say whether the launcher is out of patience."""
        if not self._is_open:
            return False
        try:
            data = os.read(0, 64)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:  # the launcher is gone
            self.close()
        return b"s" in data

    def beat(self) -> None:
        """Tell the launcher that a backend took something: it waits on, where it has no other bound."""
        if self._is_open:
            try:
                os.write(1, BEAT)
            except OSError:  # nobody reads, or has not for long
                return

    def answer(self, text: str) -> None:
        """Send *text*, and be done; nothing if nobody waits."""
        data = text.encode("utf-8", "replace")
        poll = select.poll()
        poll.register(1, select.POLLOUT)
        while self._is_open and data and poll.poll(_ANSWER_MS):
            try:
                data = data[os.write(1, data) :]
            except OSError:  # the launcher is gone; there is nobody to tell
                break
        self.close()

    def close(self) -> None:
        """Hang up. The numbers 0 and 1 stay taken, so that no file of ours gets them."""
        if self._is_open:
            self._is_open = False
            nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
            os.dup2(nowhere, 0)
            os.dup2(nowhere, 1)
            os.close(nowhere)


def lock(directory: str) -> int | None:
    """Return a descriptor that holds the run's lock, None if another agent has it."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(f"{directory}/{LOCK}", flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def die_first() -> None:
    """Have the kernel choose the agent before the program, where memory runs out."""
    try:
        with open("/proc/self/oom_score_adj", "r+", encoding="ascii") as file:
            score = int(file.read())
            file.seek(0)
            file.write(str(min(1000, score + 200)))
    except (OSError, ValueError):
        return


def let_go(console: int | None) -> None:
    """Hold nothing of who started us but the channel and the *console*: no folder, and no descriptor."""
    os.chdir("/")
    os.closerange(3 if console is None else console + 1, os.sysconf("SC_OPEN_MAX"))


def give_way() -> None:
    """Let the program go first where processors are scarce. The kernel shares them out by session, and ours is its own."""
    os.nice(_NICENESS)
    try:
        with open("/proc/self/autogroup", "w", encoding="ascii") as file:
            file.write(str(_NICENESS))
    except OSError:  # a kernel without it
        return


def free_limits() -> None:
    """Lift the limits that were set for the program, as far as we may: they are not meant for us."""
    for name in _LIMITS:
        kind = getattr(resource, name)
        _, hard = resource.getrlimit(kind)
        if name != "RLIMIT_NOFILE":
            try:
                resource.setrlimit(kind, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
                continue
            except (ValueError, OSError):
                pass  # not root: up to the hard limit then
        resource.setrlimit(kind, (hard, hard))
