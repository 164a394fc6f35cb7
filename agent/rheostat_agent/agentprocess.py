"""The agent as a process: what it takes over from who started it, and what it lets go of; its log; its line to the launcher.

The channel is a socket to the launcher. It sends b"e" (the program ended: `ended` is written) and b"s" (out of patience:
say what you have); the agent answers once, with the summary, and closes it.
"""

import fcntl
import os
import resource
import socket
import time
from pathlib import Path

from rheostat_agent.rundirectory import LOCK, LOG

_LIMITS = ("RLIMIT_AS", "RLIMIT_CPU", "RLIMIT_DATA", "RLIMIT_FSIZE", "RLIMIT_NOFILE")


class Log:
    """agent.log: one line for each thing that went wrong."""

    def __init__(self, directory: Path) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(directory / LOG, flags, 0o600)
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
    """The launcher's end is elsewhere; without one, nobody asks."""

    def __init__(self, descriptor: int | None) -> None:
        self._socket = None if descriptor is None else socket.socket(fileno=descriptor)
        if self._socket is not None:
            self._socket.setblocking(False)
            os.set_inheritable(self._socket.fileno(), False)

    @property
    def descriptor(self) -> int | None:
        """Return what to poll, None if nobody waits."""
        return None if self._socket is None else self._socket.fileno()

    def asked(self) -> bool:
        """Say whether the launcher is out of patience."""
        if self._socket is None:
            return False
        try:
            data = self._socket.recv(64)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:  # the launcher is gone
            self.close()
        return b"s" in data

    def answer(self, text: str) -> None:
        """Send *text*, and be done; nothing if nobody waits."""
        if self._socket is not None:
            try:
                self._socket.setblocking(True)
                self._socket.settimeout(1.0)
                self._socket.sendall(text.encode("utf-8", "replace"))
            except OSError:
                pass  # the launcher is gone; there is nobody to tell
            self.close()

    def close(self) -> None:
        """Close it."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def lock(directory: Path) -> int | None:
    """Return a descriptor that holds the run's lock, None if another agent has it."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(directory / LOCK, flags, 0o600)
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


def let_go(channel: int | None) -> None:
    """Hold nothing of who started us: no folder, and no descriptor but the channel."""
    os.chdir("/")
    limit = os.sysconf("SC_OPEN_MAX")
    if channel is None:
        os.closerange(3, limit)
    else:
        os.closerange(3, channel)
        os.closerange(channel + 1, limit)


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
