"""The run directory: what the launcher writes into it, and how its runs are found again.

    STATE/runs/ID/          0700
        settings            for the observed processes (rheostat/settings.py)
        spool/              written by them, read by the agent (docs/spool-format.md)
        run                 what is being run: RunInfo; there once the program was started
        ended               how the program ended: Ending; there once it did and the launcher saw it
        agent.lock          locked by the agent that reads this run
        agent.log           what the agent has to say
        history.sqlite      written by the agent (history/schema.py)
    STATE/unfinished/ID     a file, until the run has been read to its end and delivered; empty until it has been read
    STATE/index.sqlite      all runs

`run` and `ended` are lines of key=value (rheostat.settings.read_pairs), and appear whole. Imported by the launcher:
nothing heavy here.
"""

import os

from rheostat.settings import read_pairs, write_pairs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self

    Pairs = dict[str, list[str]]

RUN, ENDED, LOCK, LOG, SPOOL, SETTINGS = (
    "run",
    "ended",
    "agent.lock",
    "agent.log",
    "spool",
    "settings",
)


class _Values:
    """A value that is kept as a file of pairs; lists as repeated keys, None as an absent one."""

    __slots__: "tuple[str, ...]" = ()
    _LISTS: "tuple[str, ...]" = ()
    _NUMBERS: "tuple[str, ...]" = ()

    def __init__(self, **values: "Any") -> None:
        for name in self.__slots__:
            default: Any = [] if name in self._LISTS else None
            setattr(self, name, values.get(name, default))

    def publish(self, path: str) -> None:
        """Write the values to *path*, whole or not at all. Raises OSError."""
        pairs = []
        for name in self.__slots__:
            value = getattr(self, name)
            items = value if name in self._LISTS else [] if value is None else [value]
            pairs += [(name, item) for item in items]
        beside = f"{path}.new"
        write_pairs(beside, pairs)
        os.replace(beside, path)

    @classmethod
    def read(cls, path: str) -> "Self":
        """Return the values kept at *path*. Raises OSError, and ValueError if they are not ours."""
        with open(path, "rb", buffering=0) as file:
            pairs: Pairs = read_pairs(file.read())
        values: dict[str, Any] = {}
        for name in cls.__slots__:
            texts = pairs.get(name, [])
            if name in cls._LISTS:
                values[name] = texts
            elif texts:
                values[name] = float(texts[0]) if name in cls._NUMBERS else texts[0]
                if name in cls._NUMBERS and "." not in texts[0]:
                    values[name] = int(texts[0])
        return cls(**values)


class RunInfo(_Values):
    """What a run is, from its start on. Times: started_ns since the epoch, started_mono_ns monotonic, of one moment."""

    __slots__ = (
        "boot_id", "colour", "columns", "command", "cwd", "destinations", "executable", "export", "export_when", "id",
        "interpreter", "kind", "launcher_pid", "max_disk", "max_spans", "parent", "pending_s", "pid",
        "project_root", "remarks", "root_span_id", "started_mono_ns", "started_ns", "summary", "trace_id",
        "trace_state", "version", "workflow",
    )  # fmt: skip
    _LISTS = ("command", "destinations", "remarks")
    _NUMBERS = (
        "colour", "columns", "launcher_pid", "max_disk", "max_spans", "pending_s", "pid", "started_mono_ns",
        "started_ns", "version",
    )  # fmt: skip

    version: int
    id: str
    workflow: str
    trace_id: str  # 32 hexadecimal digits
    root_span_id: str  # 16
    started_ns: int
    started_mono_ns: int
    boot_id: str
    launcher_pid: int
    pid: int  # of the program
    kind: str  # script, module, text, stdin, command
    command: list[str]
    executable: str
    interpreter: str | None
    cwd: str
    project_root: str
    max_spans: int  # 0: no limit
    max_disk: int  # bytes, 0: no limit
    summary: str  # none, short, full
    colour: int
    columns: int
    remarks: list[str]  # for the summary
    destinations: list[str]  # names of those that the run is to go to, now or by a later agent
    export: str | None  # which spans are sent: default, all, errors, none; None: default
    export_when: str | None  # comma-separated: error, slow: then all of them are
    pending_s: float | None  # after which a placeholder of an open span is sent; None: never
    parent: str | None  # a traceparent (W3C Trace Context): what the run hangs below
    trace_state: str | None


class Ending(_Values):
    """How the program ended, as its parent saw it: an exit code or a signal. Times as in RunInfo; memory in bytes."""

    __slots__ = (
        "ended_mono_ns", "ended_ns", "exit_code", "max_rss_bytes", "signal", "system_s", "user_s",
    )  # fmt: skip
    _NUMBERS = __slots__

    ended_ns: int
    ended_mono_ns: int
    exit_code: int | None
    signal: int | None
    user_s: float
    system_s: float
    max_rss_bytes: int


def new_id() -> str:
    """Return an id for a run: the first twelve digits of its trace's."""
    return os.urandom(6).hex()


def make_run_directory(state: str, run: str) -> str:
    """Make the directory of the run with the id *run*, and return it. Raises OSError."""
    directory = f"{state}/runs/{run}"
    for path in (f"{state}/runs", f"{state}/unfinished"):
        if not os.path.isdir(path):
            os.makedirs(path, 0o700, exist_ok=True)
    mask = os.umask(0o077)
    try:
        os.mkdir(directory, 0o700)
        os.mkdir(f"{directory}/{SPOOL}", 0o700)
    finally:
        os.umask(mask)
    return directory


def mark_unfinished(state: str, run: str) -> None:
    """Have *run* found by `unfinished_runs` until `mark_finished`. Raises OSError."""
    path = f"{state}/unfinished/{run}"
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))


def mark_finished(state: str, run: str) -> None:
    """The run has been read to its end and delivered."""
    try:
        os.unlink(f"{state}/unfinished/{run}")
    except FileNotFoundError:
        return


def mark_undelivered(state: str, run: str) -> None:
    """The run has been read to its end, and a backend is still to have it. Raises OSError."""
    with open(f"{state}/unfinished/{run}", "wb", buffering=0) as file:
        file.write(b"undelivered\n")


def is_only_undelivered(state: str, run: str) -> bool:
    """Say whether all that is left to do for *run* needs a backend."""
    try:
        return os.path.getsize(f"{state}/unfinished/{run}") > 0
    except FileNotFoundError:
        return False


def unfinished_runs(state: str) -> list[str]:
    """Return the ids of runs that are not finished: going on, or left behind by an agent that was killed."""
    try:
        return sorted(os.listdir(f"{state}/unfinished"))
    except FileNotFoundError:
        return []


def discard(state: str, directory: str) -> None:
    """Remove a run directory whose program could not be started."""
    run = os.path.basename(directory)
    for name in os.listdir(directory):
        if name != SPOOL:
            os.unlink(f"{directory}/{name}")
    os.rmdir(f"{directory}/{SPOOL}")
    os.rmdir(directory)
    mark_finished(state, run)
