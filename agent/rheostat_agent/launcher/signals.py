"""The launcher's signals: held back from before the program starts until the launcher ends.

All signals that can be are blocked, so none is handled in the middle of something: child.follow takes them one by one,
with their senders. A blocked stop signal does not stop us, and a blocked SIGTTOU lets us write to the terminal from the
background; so nothing need be ignored. The program gets back what the launcher itself was given.
"""

import os

from rheostat_agent.launcher import processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Iterable
else:
    import _signal  # the module signal imports enum, which takes longer than all of this

ALL = frozenset(_signal.valid_signals()) - {_signal.SIGKILL, _signal.SIGSTOP}
STOPS = frozenset((_signal.SIGTSTP, _signal.SIGTTIN, _signal.SIGTTOU))
_HARMLESS = STOPS | {_signal.SIGCHLD, _signal.SIGCONT, _signal.SIGURG, _signal.SIGWINCH}
_SHELLS = ("sh", "bash", "dash", "zsh", "ksh", "mksh", "ash", "busybox", "systemd")


class Signals:
    """What the launcher was started with: the blocked signals, the ignored ones, and those that it changed for itself."""

    __slots__ = ("changed", "ignored", "mask")

    def __init__(self, mask: "Iterable[int]", ignored: "Iterable[int]", changed: "Iterable[int]"):
        self.mask = frozenset(mask)
        self.ignored = frozenset(ignored)
        self.changed = frozenset(changed)

    def restore(self) -> None:
        """Put dispositions and mask back as they were, in a process that is about to be replaced."""
        for number in self.changed:
            _signal.signal(number, _signal.SIG_IGN if number in self.ignored else _signal.SIG_DFL)
        _signal.pthread_sigmask(_signal.SIG_SETMASK, self.mask)

    def fatal(self) -> int | None:
        """Return a signal that has come meanwhile and would have ended a process without handlers; None without one."""
        pending = _signal.sigpending() - self.mask - self.ignored - _HARMLESS
        return min(pending, default=None)


def hold() -> Signals:
    """Block all signals from here on; return what there was before. Call it first, in the main thread.

    CPython ignores SIGPIPE and SIGXFSZ as it starts, and what there was before can no longer be asked for. A Python
    program loses nothing by it, since its own interpreter does the same; any other gets the defaults back, as from
    `subprocess`, unless our parent is a shell or systemd that ignores them, for these let what they start inherit it.
    """
    mask = _signal.pthread_sigmask(_signal.SIG_BLOCK, ALL)
    ignored = {number for number in ALL if _signal.getsignal(number) == _signal.SIG_IGN}
    changed = {number for number in ALL if callable(_signal.getsignal(number))}
    overwritten = {_signal.SIGPIPE, _signal.SIGXFSZ}
    changed |= overwritten
    ignored -= overwritten - _ignored_by_shell()
    if _signal.SIGCHLD in ignored:
        # With it the kernel would throw away the program's exit status.
        _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
        changed.add(_signal.SIGCHLD)
    return Signals(mask, ignored, changed)


def _ignored_by_shell() -> set[int]:
    """Return the signals that our parent ignores, if it is one that hands this on to what it starts."""
    parent = processes.status(os.getppid())  # empty if it is outside our name space
    if parent.get("Name") not in _SHELLS:
        return set()
    return processes.signals_in(parent["SigIgn"])
