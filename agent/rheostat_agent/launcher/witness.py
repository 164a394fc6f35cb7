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
        seen = self._pending()
        self._told_before = seen & _signal.sigpending()
        if self.pid is not None and seen:
            self._dismiss()
            self._call()

    def close(self) -> None:
        """Dismiss the witness."""
        self._dismiss()
        for end in self._ends:
            os.close(end)

    def _pending(self) -> set[int]:
        """Return what this witness and those before it were sent."""
        now = processes.pending(self.pid) if self.pid is not None else set()
        return now | self._told_before

    def _call(self) -> None:
        quiet = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (1, 2)]
        streams = [(os.POSIX_SPAWN_DUP2, self._ends[0], 0), *quiet]
        for program in _PROGRAMS:
            try:
                self.pid = os.posix_spawn(program, ["cat"], {}, file_actions=streams)
                return
            except OSError:
                self.pid = None  # not there, or no more processes may be started

    def _dismiss(self) -> None:
        if self.pid is None:
            return
        os.kill(self.pid, _signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self.pid = None
