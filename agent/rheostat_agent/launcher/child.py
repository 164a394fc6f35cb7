"""Starts the program in our own process group, with our streams, our descriptors and the signals that we were given.

By fork, not by `posix_spawn`, which is half a millisecond faster: only a fork can give the program an ignored SIGCHLD
without our ignoring it too, and losing its exit status by that.
"""

import errno
import os

from rheostat_agent.launcher.ending import Ending, die_by, end_as
from rheostat_agent.launcher.following import asked_to_end, follow
from rheostat_agent.launcher.lookup import (
    NOT_EXECUTABLE,
    NOT_FOUND,
    OUR_FAILURE,
    TargetError,
    cannot_run,
)
from rheostat_agent.streams import let_go

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import NoReturn

    from rheostat_agent.launcher.signals import Signals
    from rheostat_agent.launcher.target import Target

__all__ = ["Ending", "asked_to_end", "end_as", "follow", "replace", "start"]

_SHELL = "/bin/sh"


def start(target: "Target", environment: "Mapping[str, str]", signals: "Signals") -> int:
    """Start the program; return its process id. *signals* is what `hold` returned.

    Raises TargetError if it cannot be executed. Ends this process, as the program would have ended, if a signal has
    asked for that since `hold`: there was no program yet that could have got it.
    """
    asked = signals.fatal()
    if asked is not None:
        die_by(asked)
    # Both ends close when the program is executed; that is how we see that it was.
    reader, writer = os.pipe()
    try:
        try:
            pid = os.fork()
        except OSError as error:
            raise TargetError(OUR_FAILURE, f"fork: {error.strerror}") from None
        if pid == 0:
            _become(target, environment, signals, writer)
        os.close(writer)
        writer = -1
        failure = os.read(reader, 4)
    finally:
        os.close(reader)
        if writer >= 0:
            os.close(writer)
    if failure:
        os.waitpid(pid, 0)
        raise _refusal(target, int.from_bytes(failure, "little"))
    let_go()
    return pid


def replace(target: "Target", environment: "Mapping[str, str]", signals: "Signals") -> "NoReturn":
    """Become the program, without following it. Raises TargetError if it cannot be executed."""
    try:
        _execute(target, environment, signals)
    except OSError as error:
        raise _refusal(target, error.errno or errno.EIO) from None


def _become(
    target: "Target", environment: "Mapping[str, str]", signals: "Signals", writer: int
) -> "NoReturn":
    """Execute the program in the forked child, or tell the parent why it cannot be done."""
    try:
        _execute(target, environment, signals)
    except OSError as error:
        os.write(writer, (error.errno or errno.EIO).to_bytes(4, "little"))
    finally:
        os._exit(OUR_FAILURE)


def _execute(target: "Target", environment: "Mapping[str, str]", signals: "Signals") -> "NoReturn":
    signals.restore()
    try:
        os.execve(target.executable, target.argv, environment)
    except OSError as error:
        # A text without a `#!` line is for the shell, as execvp(3) has it.
        if error.errno != errno.ENOEXEC or _is_binary(target.executable):
            raise
    os.execve(_SHELL, [_SHELL, target.executable, *target.argv[1:]], environment)


def _is_binary(path: str) -> bool:
    """Say whether a shell would take the file for a program of another machine: a zero byte in its first line."""
    with open(path, "rb", buffering=0) as file:
        return b"\0" in file.read(80).split(b"\n", 1)[0]


def _refusal(target: "Target", error: int) -> TargetError:
    """Return what a shell says when `execve` fails on a file that is there and may be executed."""
    path = target.executable
    if error == errno.ENOENT and os.path.exists(path):
        return TargetError(NOT_FOUND, path + ": cannot execute: required file not found")
    if error == errno.ENOEXEC:
        return TargetError(
            NOT_EXECUTABLE, path + ": cannot execute binary file: " + os.strerror(error)
        )
    return cannot_run(path, error)
