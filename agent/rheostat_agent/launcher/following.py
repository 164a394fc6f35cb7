"""Follows the program: passes signals on to it, stops when it stops, and learns of its end.

What the terminal sends goes to the whole group, so the program has it already. What anybody else sends is sent on, unless
it was sent to the group too (witness.py), as by `timeout` and by a shell's `kill %1`, or to every process of a unit, as
by systemd. Signals that the program or a process it started sends to us, its parent, are not sent back to it.
"""

import os
import time

from rheostat_agent.launcher import processes
from rheostat_agent.launcher.ending import Ending
from rheostat_agent.launcher.signals import ALL, STOPS
from rheostat_agent.launcher.witness import Witness

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Container
else:
    import _signal  # the module signal imports enum, which takes longer than all of this

_TOGETHER_S = 0.02  # within this time the same signal is the same one
_SI_KERNEL = 0x80
_FROM_TERMINAL = STOPS | {_signal.SIGHUP, _signal.SIGINT, _signal.SIGQUIT, _signal.SIGWINCH}


def follow(pid: int, others: "Container[int]" = ()) -> Ending:
    """Wait for the end of the program *pid*; pass signals on to it and stop when it stops.

    As the first process of a container, wait for orphans too. *others* are children of ours that are left to the
    caller. Signals stay blocked afterwards, and `asked_to_end` tells of those that come then.
    """
    witness = Witness()
    follower = _Follower(pid, others, witness)
    try:
        ending = follower.look()
        while ending is None:
            follower.heed(_signal.sigwaitinfo(ALL))
            ending = follower.look()
    finally:
        witness.close()
    while _signal.sigtimedwait(ALL, 0):
        pass  # meant for the program
    return ending


def asked_to_end() -> bool:
    """Say whether somebody wants the launcher itself to end, now that the program has."""
    wanted = {_signal.SIGHUP, _signal.SIGINT, _signal.SIGQUIT, _signal.SIGTERM}
    return not wanted.isdisjoint(_signal.sigpending())


class _Follower:
    """The program as its parent sees it."""

    __slots__ = ("_others", "_pid", "_told_to_stop", "_witness")

    def __init__(self, pid: int, others: "Container[int]", witness: Witness) -> None:
        self._pid = pid
        self._others = others
        self._witness = witness
        self._told_to_stop = False

    def look(self) -> Ending | None:
        """Return the end of the program, if it has ended. Stop if it has stopped."""
        while True:
            pid, status, usage = os.wait4(self._pid, os.WNOHANG | os.WUNTRACED | os.WCONTINUED)
            if pid == 0:
                return None
            if os.WIFSTOPPED(status):
                self._stop(os.WSTOPSIG(status))
            elif not os.WIFCONTINUED(status):
                return Ending(pid, status, usage)

    def heed(self, info: "_signal.struct_siginfo") -> None:
        """Do what one signal asks for."""
        number = info.si_signo
        if number == _signal.SIGCHLD:
            if os.getpid() == 1:
                self._reap_strangers()
            return
        if number == _signal.SIGCONT:
            self._told_to_stop = False
        elif number in STOPS:
            self._told_to_stop = True
        if not self._is_own(info.si_pid) and self._is_for_us_alone(info):
            self._send(number)
        self._witness.renew()

    def _is_for_us_alone(self, info: "_signal.struct_siginfo") -> bool:
        """Say whether a signal came to the launcher, and not to the program too.

        A terminal signals the whole group in its foreground, but a hangup the leader of its session alone. A timer that
        was set before `exec` stays with the process.
        """
        number = info.si_signo
        if number == _signal.SIGCONT and processes.is_stopped(self._pid):
            return not _is_overtaken(number)
        if info.si_code == _SI_KERNEL:
            if number == _signal.SIGHUP:
                return os.getsid(0) == os.getpid()
            return number not in _FROM_TERMINAL
        time.sleep(_TOGETHER_S)  # `timeout` signals first its child, then its group
        if number < _signal.SIGRTMIN:
            _signal.sigtimedwait({number}, 0)
        return not self._witness.saw(number) and not _is_overtaken(number)

    def _is_own(self, sender: int) -> bool:
        """Say whether the program, what it started, or the launcher sent a signal. 0 is outside our name space."""
        return sender == os.getpid() or processes.is_below(sender, self._pid)

    def _send(self, number: int) -> None:
        try:
            os.kill(self._pid, number)
        except PermissionError:
            pass  # it has become another user, and the sender could not have done it either

    def _stop(self, number: int) -> None:
        """Stop as the program has stopped, if there is a shell that waits for that, or whoever told us to.

        Not otherwise: whoever stops and continues the program by its own process id does not know of us.
        """
        if not (self._told_to_stop or processes.has_job_control()):
            return
        self._told_to_stop = False
        if not processes.is_stopped(self._pid) or _signal.SIGCONT in _signal.sigpending():
            return
        if number != _signal.SIGSTOP:
            _signal.signal(number, _signal.SIG_DFL)
        os.kill(os.getpid(), number)
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, {number})  # here we stop, until SIGCONT
        _signal.pthread_sigmask(_signal.SIG_BLOCK, {number})

    def _reap_strangers(self) -> None:
        """Wait for the orphans that the kernel has made our children."""
        while True:
            try:
                dead = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if dead is None:
                return
            if self._is_known(dead.si_pid):
                break  # the kernel tells of the first one only; strangers may stand behind it
            os.waitpid(dead.si_pid, 0)
        for pid in processes.dead_children():
            if not self._is_known(pid):
                self._reap(pid)

    def _reap(self, pid: int) -> None:
        try:
            os.waitpid(pid, 0)
        except ChildProcessError:
            pass  # /proc is that of another name space, where somebody else bears this number

    def _is_known(self, pid: int) -> bool:
        return pid in (self._pid, self._witness.pid) or pid in self._others


def _is_overtaken(number: int) -> bool:
    """Say whether a signal to stop came after one to continue, or the reverse.

    The kernel takes either of the two out of the queue when the other comes, the witness's too.
    """
    pending = _signal.sigpending()
    if number == _signal.SIGCONT:
        return not STOPS.isdisjoint(pending)
    return number in STOPS and _signal.SIGCONT in pending
