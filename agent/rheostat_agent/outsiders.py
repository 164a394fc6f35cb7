"""Outsiders: Python processes of a run that never load the recorder, and so cannot say it themselves.

    python -I, -E, -S        the interpreter looks at no PYTHONPATH, or imports no `site`
    env={…}, env -i          the environment lacks our variables

The agent looks at what the processes of the run have started, by /proc/PID/task/TID/children, a few times a second: nothing
is asked of the program, and nothing in it is touched. What begins and ends between two looks is missed. An outsider is
told in a later round in which nothing was left to read: had it opened an image after all (a program may overwrite what
/proc shows of its environment), that would be known by then.

A look takes a slice of time at most and goes on where it stopped; the time between looks grows with what they take.
"""

from __future__ import annotations

import os
import time
from math import inf

import rheostat
from rheostat_agent.lifetimes import Life, Lives, read_stat
from rheostat_agent.masking import masked
from rheostat_agent.values import Value

TYPE_CHECKING = False  # typing takes longer than the rest of the start
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Skip = Callable[[int | None, str, str, str], None]

_LOOK_EVERY_S = 0.1
_PAUSES = 50  # times what a look took: at most 2 % of a processor
_SLICE_S = 0.02
_MAX_READ = 1 << 20
_MAX_TOLD = 1000
_MAX_SHOWN = 80  # characters of a word of a command line
_KEEPS_OUT = "IES"


class Sight(Value):
    """What was seen of a process that the run did not tell of."""

    start_ticks: int
    above: int  # number of the process of the run that started it, directly or not
    executable: str
    command: bytes = b""  # of an interpreter, as /proc has it
    reason: str | None = (
        None  # why it does not load the recorder, None where nothing speaks against it
    )

    def words(self) -> list[str]:
        """Return the command line."""
        return self.command.decode("utf-8", "replace").split("\0")[:-1]


class Outsiders:
    """Finds the outsiders of one run."""

    def __init__(self, lives: Lives, skip: Skip) -> None:
        """*skip*(process, "process", name, reason) is called once for each outsider."""
        self._lives = lives
        self._skip = skip
        self._bootstrap = rheostat.bootstrap_directory()
        self._seen: dict[int, Sight] = {}  # living strangers by pid, Python or not
        self._pending: dict[int, Sight] = {}  # outsiders by pid, not told yet
        self._told: set[str] = set()
        self._walk: Iterator[None] = iter(())
        self._due_s = -inf  # the clock may be turned to before 0

    def look(self, all_is_read: bool) -> None:
        """Tell what was found before, if *all_is_read* of the spool; look again if it is time."""
        if all_is_read and self._pending:
            pending, self._pending = self._pending, {}
            for pid, sight in pending.items():
                self._decide(pid, sight)
        began_s = time.monotonic()
        if began_s < self._due_s:
            return
        for _ in self._walk:
            if time.monotonic() > began_s + _SLICE_S:
                break
        else:
            self._walk = self._walk_down()
        took_s = time.monotonic() - began_s
        self._due_s = began_s + max(_LOOK_EVERY_S, took_s * _PAUSES)

    def _decide(self, pid: int, sight: Sight) -> None:
        """Tell of the process *pid*, unless it has told of itself."""
        name = _shown(sight)
        if name in self._told or sight.reason is None or self._has_image(pid, sight.start_ticks):
            return
        if len(self._told) < _MAX_TOLD:
            self._told.add(name)
            self._skip(sight.above, "process", name, sight.reason)
        else:
            text = f"{_MAX_TOLD} that are not observed are listed"
            self._skip(sight.above, "process", "further processes", text)

    def _has_image(self, pid: int, start_ticks: int) -> bool:
        """Say whether what the process executes has told of itself."""
        for life in self._lives.by_pid.values():
            watch = life.watch
            if (
                life.process.pid == pid
                if watch is None
                else (watch.pid, watch.start_ticks) == (pid, start_ticks)
            ):
                return not _may_be_replaced(life)
        return False

    # What there is

    def _walk_down(self) -> Iterator[None]:
        """Look at all that the run started, a process or a thread at a time."""
        members = {life.watch.pid: life for life in self._lives.watched() if life.watch is not None}
        queue = [(pid, life.process.id) for pid, life in members.items()]
        known = set(members)
        for pid, life in members.items():
            if _may_be_replaced(life):
                self._see(pid, life.process.id)
        for pid, sight in list(self._seen.items()):  # the parent of which may have ended
            if pid not in known and self._see(pid, sight.above, sight.start_ticks):
                queue.append((pid, sight.above))
                known.add(pid)
            yield
        straggler = self._lives.straggler
        if straggler is not None and straggler not in known and self._see(straggler, 1):
            queue.append((straggler, 1))
            known.add(straggler)
        for pid, above in queue:  # which grows
            for child in _children(pid):
                if child is not None and child not in known and self._see(child, above):
                    queue.append((child, above))
                    known.add(child)
                yield

    def _see(self, pid: int, above: int, start_ticks: int | None = None) -> bool:
        """Take a look at the process *pid*, which *above* started; False: that (of *start_ticks*, if told) has ended."""
        before, sight = self._seen.pop(pid, None), self._sight(pid, above)
        if sight is None or start_ticks not in (None, sight.start_ticks):
            return False
        if sight.reason is not None and sight != before and sight == self._sight(pid, above):
            self._pending[pid] = sight  # and not half of one process and half of what it executed
        self._seen[pid] = sight
        return True

    def _sight(self, pid: int, above: int) -> Sight | None:
        """Return what /proc shows of the process *pid*, None if it has ended."""
        stat = read_stat(pid)
        if stat is None or stat.is_dead:
            return None
        sight = Sight(stat.start_ticks, above, _executable(pid))
        if is_interpreter(sight.executable):
            sight.command = _read(f"/proc/{pid}/cmdline")
        if sight.command:
            run, bootstrap = self._lives.run_directory, self._bootstrap
            sight.reason = reason_against(sight.words(), _environment(pid), run, bootstrap)
        return sight


def _may_be_replaced(life: Life) -> bool:
    """Say whether the process of *life* may execute something that has not told of itself: it was about to, or never did."""
    process = life.process
    return life.is_executing or (
        process.base is None and not is_interpreter(process.executable or "")
    )


def _children(pid: int) -> Iterator[int | None]:
    """Yield the children of the process *pid*, and None after those of each thread."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:  # it has ended
        return
    for thread in threads:
        pids = _read(f"/proc/{pid}/task/{thread}/children")
        yield from map(int, pids.split())
        yield None


def _read(path: str) -> bytes:
    """Return what is in a file of /proc; nothing if the process has ended or is not ours to look at."""
    try:
        with open(path, "rb") as file:
            return file.read(_MAX_READ)
    except OSError:
        return b""


def _environment(pid: int) -> dict[str, str] | None:
    """Return what the process *pid* was executed with; None if it has overwritten that, to show a title in its place."""
    data = os.fsdecode(_read(f"/proc/{pid}/environ"))
    pairs = dict(entry.split("=", 1) for entry in data.split("\0") if "=" in entry)
    return pairs if pairs or not data else None


def _executable(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/exe").removesuffix(" (deleted)")
    except OSError:  # as in _read
        return ""


def is_interpreter(executable: str) -> bool:
    """Say whether the file is a Python interpreter by its name: `python`, `python3.13t`, `pypy3`, with or without a path."""
    name = executable.rpartition("/")[2]
    version = name.removeprefix("python").removeprefix("pypy")
    return version != name and not version.strip("0123456789.td")


def reason_against(
    command: list[str], environment: dict[str, str] | None, run_directory: str, bootstrap: str
) -> str | None:
    """Return why an interpreter with this *command* line and *environment* does not load the recorder; None if it may."""
    letters, end = _options(command)
    if command[end - 2 : end] == ["-m", "rheostat_agent.supervisor"]:
        return None  # the agent of a run within this one
    kept_out = sorted({f"-{letter}" for letter in letters if letter in _KEEPS_OUT})
    if kept_out:
        return f"its interpreter was started with {' '.join(kept_out)}"
    if environment is None:
        return None
    run = environment.get("RHEOSTAT_RUN")
    if run is None:
        return "its environment lacks RHEOSTAT_RUN"
    if run != run_directory:
        return "it is observed as a run of its own"
    if environment.get("RHEOSTAT_DISABLED", "").lower() == "true":
        return "RHEOSTAT_DISABLED is true in its environment"
    if bootstrap not in environment.get("PYTHONPATH", "").split(":"):
        return "its PYTHONPATH lacks Rheostat's folder"
    return None


def _options(command: list[str]) -> tuple[str, int]:
    """Return the flags of an interpreter's *command* line that take no value, and how many words come before the arguments."""
    at, flags = 1, ""
    while at < len(command):
        word = command[at]
        at += 1
        if word == "--":
            return flags, at + 1
        if word == "-" or not word.startswith("-"):
            return flags, at
        if word.startswith("--"):
            at += word == "--check-hash-based-pycs"
            continue
        for after, letter in enumerate(word[1:], 2):
            if letter in "cmWX":
                at += not word[after:]
                if letter in "cm":
                    return flags, at
                break
            flags += letter
    return flags, at


def _shown(sight: Sight) -> str:
    """Return what was executed, without the program's own arguments and what is secret in the rest."""
    words = masked(sight.words()[: _options(sight.words())[1]])
    shown = [word if len(word) <= _MAX_SHOWN else word[:_MAX_SHOWN] + "…" for word in words[1:]]
    return " ".join([sight.executable.rpartition("/")[2], *shown])
