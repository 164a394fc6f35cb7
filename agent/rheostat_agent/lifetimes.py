"""Lives: which processes a run has, who started whom, and when each of them ended.

A process is watched through a pidfd, so that its end is seen when it happens and a pid that is used again deceives
nobody; where descriptors run out, by the start time in /proc. It may hold several images one after the other: exec keeps
the pid and the start time. Nothing here waits for a process or sends it a signal; only the launcher knows how one ended.
"""

from __future__ import annotations

import os
import select
import time

from rheostat_agent.descriptors import keep_reserve
from rheostat_agent.values import Value

TYPE_CHECKING = False  # typing takes longer than the rest of the start
if TYPE_CHECKING:
    from typing import Any

_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_SLACK_NS = 50_000_000  # of start times, which are told in hundredths of a second
_SPAWN_NS = 10_000_000_000  # that starting a process may take
_MAX_ENVIRONMENT = 4 << 20
_MAX_ANCESTORS = 64


class Process(Value):
    """A process of the run, as far as it is known by now; the columns of the table `processes`."""

    id: int
    base: int | None = None
    span_id: int = 0
    parent_span_id: int | None = None
    pid: int | None = None
    ppid: int | None = None
    generation: int | None = None
    name: str | None = None
    executable: str | None = None
    cwd: str | None = None
    argv: str | None = None  # separated by U+001F
    python: str | None = None
    start_ns: int = 0  # since the epoch, like end_ns
    end_ns: int | None = None
    exit_code: int | None = None
    signal: int | None = None
    cause: str | None = None
    user_s: float | None = None
    system_s: float | None = None
    max_rss_bytes: int | None = None

    def row(self) -> tuple[Any, ...]:
        """Return the row of the table."""
        return self.as_tuple()


class Stat(Value):
    """What /proc/PID/stat says."""

    ppid: int
    start_ticks: int
    is_dead: bool  # a zombie: its parent has not asked yet
    wait_status: int  # of a zombie, as wait(2) tells it; 0 where we may not know


def read_stat(pid: int) -> Stat | None:
    """Return what /proc says of *pid*, None if there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            data = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = data[data.rindex(b")") + 2 :].split()  # the name before may hold anything
    is_dead = fields[0] in (b"Z", b"X")
    return Stat(int(fields[1]), int(fields[19]), is_dead, int(fields[49]) if is_dead else 0)


def started_ns(start_ticks: int) -> int:
    """Return the monotonic time of a start that /proc tells; it counts from the boot, with the time in suspend."""
    suspended = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns()
    return start_ticks * _TICK_NS - suspended


def read_boot_id() -> str:
    """Return what names this boot of the machine."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


class Watch(Value):
    """A living process that is being watched."""

    pid: int  # as we see it; in a container's own namespace it has another
    start_ticks: int
    descriptor: int | None  # a pidfd

    def is_alive(self) -> bool:
        """Say whether the process lives."""
        if self.descriptor is not None:
            poll = select.poll()
            poll.register(self.descriptor, select.POLLIN)
            return not poll.poll(0)
        stat = read_stat(self.pid)
        return stat is not None and stat.start_ticks == self.start_ticks and not stat.is_dead

    def close(self) -> None:
        """Watch no longer."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None


def _watch(pid: int) -> Watch | None:
    descriptor = None
    try:
        descriptor = keep_reserve(os.pidfd_open(pid))
    except ProcessLookupError:
        return None
    except OSError:  # no descriptor left, or not permitted here: /proc will do
        descriptor = None
    stat = read_stat(pid)
    if stat is None:
        if descriptor is not None:
            os.close(descriptor)
        return None
    return Watch(pid, stat.start_ticks, descriptor)


def watch_again(pid: int, start_ticks: int) -> Watch | None:
    """Watch the process that had *pid* and *start_ticks*; None if it is gone."""
    watch = _watch(pid)
    if watch is not None and (watch.start_ticks != start_ticks or not watch.is_alive()):
        watch.close()
        return None
    return watch


def watch_program(pid: int, started_mono_ns: int) -> Watch | None:
    """Watch the program itself, which the launcher started as *pid* just after *started_mono_ns*; None if it is gone."""
    watch = _watch(pid)
    if watch is not None:
        late_ns = started_ns(watch.start_ticks) - started_mono_ns
        if not -_SLACK_NS <= late_ns <= _SPAWN_NS or not watch.is_alive():
            watch.close()
            return None
    return watch


def is_launcher_alive(pid: int, started_mono_ns: int) -> bool:
    """Say whether the launcher *pid* of a run that began at *started_mono_ns* still lives."""
    stat = read_stat(pid)
    if stat is None or stat.is_dead:
        return False
    return started_ns(stat.start_ticks) <= started_mono_ns + _SLACK_NS


def watch_new(
    pid: int, born_ns: int, executable: str, run_directory: str, since_ns: int
) -> Watch | None:
    """Watch the process that called itself *pid* at the monotonic time *born_ns*; None if it is gone.

    It may have seen itself in a pid namespace of its own, and *pid* be another's here: ours began since the run did, at
    *since_ns*, and has the run in its environment, or at least its executable (a program may overwrite its environment
    to show a title).
    """
    watch = _watch(pid)
    if watch is not None:
        began_ns = started_ns(watch.start_ticks)
        is_possible = since_ns - _SLACK_NS <= began_ns <= born_ns + _SLACK_NS
        if is_possible and watch.is_alive() and _is_of_run(pid, run_directory):
            return watch
        watch.close()
        nested = _find_nested(pid, run_directory)
        if nested is None and is_possible and _executes(pid, executable):
            nested = pid
    else:
        nested = _find_nested(pid, run_directory)
    watch = _watch(nested) if nested is not None else None
    if watch is not None and not watch.is_alive():
        watch.close()
        return None
    return watch


def _is_of_run(pid: int, run_directory: str) -> bool:
    carries = _carries_run(pid, run_directory)
    return (
        carries is None or carries
    )  # where it changed its user we may not look; it is no stranger's then


def _carries_run(pid: int, run_directory: str) -> bool | None:
    """Say whether *pid* has the run in its environment; None if we may not look."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            environment = file.read(_MAX_ENVIRONMENT)
    except PermissionError:
        return None
    except OSError:
        return False
    return b"RHEOSTAT_RUN=" + os.fsencode(run_directory) in environment.split(b"\0")


def _executes(pid: int, executable: str) -> bool:
    try:
        return os.path.samefile(f"/proc/{pid}/exe", executable)
    except (OSError, ValueError):  # no such file, or not even a path: the process itself said it
        return False


_last_search_ns = 0


def _find_nested(pid: int, run_directory: str) -> int | None:
    """Return the process of this run that has *pid* in a namespace below ours; looked for ten times a second at most."""
    global _last_search_ns
    now = time.monotonic_ns()
    if now - _last_search_ns < 100_000_000:
        return None
    _last_search_ns = now
    own = os.readlink("/proc/self/ns/pid")
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit() and os.readlink(f"/proc/{entry}/ns/pid") != own:
                with open(f"/proc/{entry}/status", encoding="utf-8", errors="replace") as file:
                    status = file.read()
                numbers = status.partition("\nNSpid:")[2].partition("\n")[0].split()
                if numbers[-1:] == [str(pid)] and _is_of_run(int(entry), run_directory):
                    return int(entry)
        except OSError:  # gone, or not ours to look at
            continue
    return None


class Life(Value):
    """A process and its watch."""

    process: Process
    watch: Watch | None = None
    died_ns: int | None = None  # monotonic; None: it lives, or nobody knows when
    is_dead: bool = False
    is_executing: bool = False  # it said that it was about to exec


class Lives:
    """The processes of a run that are alive, or ended so lately that images of theirs may still turn up."""

    def __init__(self, run_directory: str, since_ns: int) -> None:
        """The run began at the monotonic time *since_ns*."""
        self.run_directory = run_directory
        self.since_ns = since_ns
        self.by_pid: dict[int, Life] = {}  # the latest of each pid
        self.straggler: int | None = None  # the pid of one that was found at the last look
        self._watched: dict[int, Life] = {}  # by number of the process
        self._dead: dict[int, Life] = {}  # not settled yet; by number of the process

    def find(self, pid: int, born_ns: int, generation: int) -> Life | None:
        """Return the life that an image continues which began at *born_ns* by exec; None if it is a new one."""
        life = self.by_pid.get(pid)
        if life is None or generation:
            return None
        if life.process.base is None:
            return life  # the program, of which no image was seen yet
        if life.is_dead:
            known = life.died_ns is not None and born_ns <= life.died_ns
            return life if known or (life.died_ns is None and life.is_executing) else None
        return life

    def add(self, life: Life) -> None:
        """Know *life* by its pid."""
        if life.process.pid is not None:
            self.by_pid[life.process.pid] = life
        if life.watch is not None:
            self._watched[life.process.id] = life
        else:
            self._dead[life.process.id] = life

    def dead(self) -> list[Life]:
        """Return the dead that have not been forgotten."""
        return list(self._dead.values())

    def forget(self, life: Life) -> None:
        """All there is to know of *life* is known."""
        self._dead.pop(life.process.id, None)

    def ancestor(self, ppid: int) -> Process | None:
        """Return the nearest process of the run among *ppid* and the processes above it."""
        for _ in range(_MAX_ANCESTORS):
            life = self.by_pid.get(ppid)
            if life is not None:
                return life.process
            stat = read_stat(ppid) if ppid > 1 else None
            if stat is None:
                return None
            ppid = stat.ppid
        return None

    def find_deaths(self, now_ns: int) -> list[Life]:
        """Return the lives that have ended since the last call; they are marked."""
        ended = [
            life for life in self._watched.values() if life.watch and not life.watch.is_alive()
        ]
        for life in ended:
            life.is_dead, life.died_ns = True, now_ns
            self._dead[life.process.id] = self._watched.pop(life.process.id)
            if life.watch is not None:
                _learn_status(life.process, life.watch)
                life.watch.close()
        return ended

    def descriptors(self) -> list[int]:
        """Return pidfds, each of which becomes readable when its process ends."""
        watches = (life.watch for life in self._watched.values())
        return [watch.descriptor for watch in watches if watch and watch.descriptor is not None]

    def stragglers(self) -> bool:
        """Say whether any process carries this run in its environment: it may still start an interpreter."""
        carrying = (
            int(entry)
            for entry in os.listdir("/proc")
            if entry.isdigit() and _carries_run(int(entry), self.run_directory)
        )
        self.straggler = next(carrying, None)
        return self.straggler is not None

    def watched(self) -> list[Life]:
        """Return those that live."""
        return list(self._watched.values())

    def living(self) -> int:
        """Return how many processes live."""
        return len(self._watched)


def _learn_status(process: Process, watch: Watch) -> None:
    """Take how *process* ended from /proc, if its parent has not asked yet; else it stays unknown."""
    stat = read_stat(watch.pid)
    if stat is None or not stat.is_dead or stat.start_ticks != watch.start_ticks:
        return
    code = os.waitstatus_to_exitcode(stat.wait_status)
    if code < 0:
        process.signal = -code
    elif stat.wait_status:
        process.exit_code = code
