"""How the program ended, and how the launcher ends in the same way."""

import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import resource
    import signal as _signal
    from typing import NoReturn
else:
    import _signal  # the module signal imports enum, which takes longer than all of this


class Ending:
    """How the program ended: by *exit_code* or by *signal*, the other is None.

    *wall_ns* is in nanoseconds since the epoch, *monotonic_ns* on the monotonic clock: when we were told. Times of the
    processor are in seconds and include the children that the program waited for. *max_rss_bytes* is not below what
    the launcher's own copy used before it became the program, some 10 MB.
    """

    __slots__ = (
        "exit_code",
        "max_rss_bytes",
        "monotonic_ns",
        "pid",
        "signal",
        "system_s",
        "user_s",
        "wall_ns",
    )

    def __init__(self, pid: int, status: int, usage: "resource.struct_rusage") -> None:
        self.wall_ns = time.time_ns()
        self.monotonic_ns = time.monotonic_ns()
        self.pid = pid
        killed = os.WIFSIGNALED(status)
        self.exit_code = None if killed else os.WEXITSTATUS(status)
        self.signal = os.WTERMSIG(status) if killed else None
        self.user_s = usage.ru_utime
        self.system_s = usage.ru_stime
        self.max_rss_bytes = usage.ru_maxrss * 1024


def end_as(ending: Ending) -> "NoReturn":
    """End this process as the program ended: with its exit status, or by the same signal and without a core file."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            pass  # closed, or its reader has gone: that must not change the status
    if ending.signal is None:
        os._exit(ending.exit_code or 0)
    die_by(ending.signal)


def die_by(number: int) -> "NoReturn":
    """Die by the signal *number*. The first process of a container cannot: it exits as a shell would say it."""
    import resource  # on this path alone

    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, most))
    try:
        _signal.signal(number, _signal.SIG_DFL)
    except OSError:
        pass  # SIGKILL, and what the C library keeps for itself, have no other disposition
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, {number})
    os.kill(os.getpid(), number)
    os._exit(128 + number)
