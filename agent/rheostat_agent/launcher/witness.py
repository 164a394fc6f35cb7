"""A process of our group that does nothing: what is pending for it was not sent to the launcher alone.

A signal does not tell whether it was sent to one process or to its group. Sent on in the latter case, the program would
get it twice, the second time perhaps while it ends because of the first, and would end otherwise than alone.
The witness is `cat` with all signals blocked, reading from a pipe that nobody writes to, so that it ends with us. It is
not a copy of the launcher, for `pkill -f 'rheostat run'` would find that too. Without a `cat` nobody bears witness, and
every signal counts as sent to the launcher alone.
"""

import os

from rheostat_agent.launcher import processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
else:
    import _signal  # the module signal imports enum, which takes longer than all of this

_PROGRAMS = ("/bin/cat", "/usr/bin/cat")


class Witness:
    """The witness of one run. All signals must be blocked while it is made."""

    __slots__ = ("_ends", "_told_before", "pid")

    def __init__(self) -> None:
        self.pid: int | None = None
        self._told_before: set[int] = set()
        self._ends: tuple[int, ...] = ()
        try:
            self._ends = os.pipe()
        except OSError:
            return  # no more files may be opened
        self._call()

    def saw(self, number: int) -> bool:
        """Say whether the witness, too, was sent the signal *number* that the launcher has just taken."""
        return number in self._pending()

    def renew(self) -> None:
        """Forget what the witness was sent, but for what the launcher has yet to take: put another in its place."""
        before = self.pid
        if not self._pending():
            return
        self._call()  # before the other goes, so that one of them is always there
        seen = self._told_before | (processes.pending(before) if before else set())
        self._told_before = seen & _signal.sigpending()
        self._dismiss(before)

    def close(self) -> None:
        """Dismiss the witness."""
        self._dismiss(self.pid)
        for end in self._ends:
            os.close(end)

    def _pending(self) -> set[int]:
        """Return what this witness and those before it were sent."""
        now = processes.pending(self.pid) if self.pid is not None else set()
        return now | self._told_before

    def _call(self) -> None:
        quiet = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (1, 2)]
        streams = [(os.POSIX_SPAWN_DUP2, self._ends[0], 0), *quiet]
        self.pid = None
        for program in _PROGRAMS:
            try:
                self.pid = os.posix_spawn(program, ["cat"], {}, file_actions=streams)
                return
            except OSError:
                continue  # not there, or no more processes may be started

    def _dismiss(self, pid: int | None) -> None:
        if pid is not None:
            os.kill(pid, _signal.SIGKILL)
            os.waitpid(pid, 0)
