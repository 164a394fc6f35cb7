"""Runs programs by the real `rheostat` command, and reads what is in the history afterwards.

Everything lies below one temporary folder: the project, the state directory, the cache. What a run leaves behind is
waited for with a deadline; an agent that outlives its test is killed.
"""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rheostat_agent.history import query
from rheostat_agent.rundirectory import RUN

RHEOSTAT = str(Path(sys.executable).parent / "rheostat")
DEADLINE_S = 60.0
_POLL_S = 0.005


def wait_until(
    condition: Callable[[], object], what: str | Callable[[], str], timeout_s: float = DEADLINE_S
) -> None:
    """Return as soon as *condition* holds; fail after *timeout_s*."""
    until = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= until:
            text = what if isinstance(what, str) else what()
            raise AssertionError(f"not within {timeout_s} s: {text}")
        time.sleep(_POLL_S)  # a poll of files and of /proc, which nothing can wait for


def processes_with(*words: str) -> list[int]:
    """Return the processes whose command line has all of *words* in it."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            try:
                line = Path(f"/proc/{entry}/cmdline").read_bytes().decode("utf-8", "replace")
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has ended meanwhile
            if all(word in line for word in words):
                found.append(int(entry))
    return found


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended. *returncode* is negative for a signal."""

    returncode: int
    stdout: str
    stderr: str


class History:
    """What the history of one run holds, read once."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        with closing(query.open_history(str(directory))) as connection:
            self.spans = [span for _, span in query.read_spans(connection)]
            self.open = query.read_open_spans(connection)
            self.functions = query.read_functions(connection)
            self.paths = query.read_paths(connection)
            self.processes = {one.id: one for one in query.read_processes(connection)}
            self.errors = query.read_errors(connection)
            self.losses = _rows(connection, "losses")
            self.notes = _rows(connection, "notes")
            self.skipped = _rows(connection, "skipped")
            self.threads = _rows(connection, "threads")
            self.is_complete = bool(query.read_meta(connection, "complete"))

    def name(self, span: query.Span) -> str:
        """Return the qualified name of the function that *span* is a call of."""
        return self.functions[span.function].name

    def names(self) -> Counter[str]:
        """Return how many spans each function has."""
        return Counter(self.name(span) for span in self.spans)

    def named(self, name: str) -> list[query.Span]:
        """Return the spans of one function in the order in which they began."""
        found = [span for span in self.spans if self.name(span) == name]
        return sorted(found, key=lambda span: (span.start_ns, span.id))

    def error(self, span: query.Span) -> str | None:
        """Return the type of the error of *span*."""
        return None if span.error is None else self.errors[span.error].type

    @cached_property
    def by_id(self) -> dict[int, query.Span]:
        """Return the spans by id."""
        return {span.id: span for span in self.spans}

    def chain(self, span: query.Span) -> tuple[str, ...]:
        """Return the names from the outermost caller to *span*; of processes, nothing."""
        names = [self.name(span)]
        while span.parent in self.by_id:
            span = self.by_id[span.parent]
            names.append(self.name(span))
        return tuple(reversed(names))

    def facts(self) -> dict[str, list[Any]]:
        """Return what happened, in a form that two histories of one run have in common, however they were written."""
        return {
            "spans": sorted(
                (span.id, span.parent, span.process, self.name(span), span.thread, span.start_ns,
                 span.end_ns, self.error(span), span.suspended_ns, span.items, span.cause)
                for span in self.spans
            ),
            "open": [span.id for span in self.open],
            "paths": sorted(
                (path.process_name, self.functions[path.function].name, path.calls, path.errors, path.open,
                 path.total_ns, path.child_ns, path.items, path.min_ns, path.max_ns, path.histogram.to_bytes())
                for path in self.paths
            ),
            "processes": sorted(
                (one.span_id, one.parent_span_id, one.pid, one.name, one.exit_code, one.signal)
                for one in self.processes.values()
            ),
            "errors": sorted(
                (one.type, one.message or "", one.span or 0, len(one.stack)) for one in self.errors.values()
            ),
            "losses": sorted((row["reason"], row["count"]) for row in self.losses),
            "skipped": sorted((row["what"], row["name"]) for row in self.skipped),
        }  # fmt: skip


def _rows(connection: sqlite3.Connection, table: str) -> list[dict[str, Any]]:
    cursor = connection.execute(f"SELECT * FROM {table} ORDER BY rowid")
    columns = [column[0] for column in cursor.description]
    return [dict(zip(columns, row, strict=True)) for row in cursor]


class Rheostat:
    """A project in a folder, and the `rheostat` command with a state directory of its own."""

    def __init__(self, folder: Path, python: str = sys.executable) -> None:
        self.folder = folder
        self.python = python
        self.project = folder / "project"
        self.project.mkdir(parents=True)
        self.state = folder / "state"
        self.variables: dict[str, str] = {}  # of all commands
        self._started: list[subprocess.Popen[str]] = []

    def write(self, name: str, source: str) -> Path:
        """Write a file of the project."""
        path = self.project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
        return path

    def environment(self, more: dict[str, str] | None = None) -> dict[str, str]:
        """Return the environment of commands: this one's, and where things are kept."""
        ours = {
            "RHEOSTAT_STATE_DIR": str(self.state),
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
        }
        inherited = {
            key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "CI"))
        }
        return {**inherited, **ours, **self.variables, **(more or {})}

    def plain(self, *words: str, **options: Any) -> Done:
        """Run the interpreter with *words*, as without us."""
        return self._wait(self._start([self.python, *words], **options))

    def start(
        self, *words: str, options: tuple[str, ...] = (), **more: Any
    ) -> "subprocess.Popen[str]":
        """Start `rheostat run *options* *words*`."""
        return self._start([RHEOSTAT, "run", "--python", self.python, *options, *words], **more)

    def run(self, *words: str, options: tuple[str, ...] = (), **more: Any) -> Done:
        """Run `rheostat run *options* *words*` to its end."""
        return self._wait(self.start(*words, options=options, **more))

    def command(self, *words: str, **more: Any) -> Done:
        """Run another command of `rheostat`."""
        return self._wait(self.open(*words, **more))

    def open(self, *words: str, **more: Any) -> "subprocess.Popen[str]":
        """Start another command of `rheostat`."""
        return self._start([RHEOSTAT, *words], **more)

    def _start(
        self,
        command: list[str],
        env: dict[str, str] | None = None,
        inside: Sequence[str] = (),
        **options: Any,
    ) -> "subprocess.Popen[str]":
        """Start *command*, *inside* of a command that starts it, such as unshare."""
        keywords: dict[str, Any] = {
            "cwd": self.project,
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "start_new_session": True,
            **options,
        }
        process = subprocess.Popen(
            [*inside, *command], text=True, env=self.environment(env), **keywords
        )
        self._started.append(process)
        return process

    def _wait(self, process: "subprocess.Popen[str]", timeout_s: float = 2 * DEADLINE_S) -> Done:
        stdout, stderr = process.communicate(timeout=timeout_s)
        return Done(process.returncode, stdout or "", stderr or "")

    def finish(self, process: "subprocess.Popen[str]") -> Done:
        """Wait for what `start` started."""
        return self._wait(process)

    # What it keeps

    def directories(self) -> list[Path]:
        """Return the directories of the runs, the oldest first."""
        found = [path.parent for path in self.state.glob(f"runs/*/{RUN}")]
        return sorted(found, key=lambda path: (path / RUN).stat().st_mtime_ns)

    def last(self) -> Path:
        """Return the directory of the last run."""
        return self.directories()[-1]

    def await_run(self) -> Path:
        """Return the directory of the run that is being started, once the program has been."""
        wait_until(self.directories, "a run begins")
        return self.last()

    def agents(self) -> list[int]:
        """Return the agents that are at work here."""
        return processes_with("rheostat_agent.supervisor", str(self.state))

    def await_agent(self) -> int:
        """Return the agent that is at work, as soon as there is one."""
        wait_until(self.agents, "an agent is at work")
        return self.agents()[0]

    def await_complete(self, directory: Path | None = None) -> History:
        """Return the history of the run in *directory*, the last one by default, once it has been read to its end."""
        where = directory or self.last()
        unfinished = self.state / "unfinished" / where.name
        wait_until(lambda: not unfinished.exists(), lambda: f"{where} is read: {_log_of(where)}")
        return History(where)

    def await_no_agents(self) -> None:
        """Return when no agent is at work any more."""
        wait_until(lambda: not self.agents(), "the agents end")

    def close(self) -> None:
        """End what is still there."""
        for process in self._started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(DEADLINE_S)
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    stream.close()
        for pid in self.agents():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue  # it ended by itself


def _log_of(directory: Path) -> str:
    log = directory / "agent.log"
    return log.read_text() if log.exists() else "no agent.log"


def rheostat_fixture(folder: Path, python: str = sys.executable) -> Iterator[Rheostat]:
    """Yield a Rheostat in *folder*, and end what it leaves."""
    made = Rheostat(folder, python)
    yield made
    made.close()


WAIT = 'import os as _os\nwhile not _os.path.exists("go"): pass\n'


def unread_run(rheostat: Rheostat, source: str) -> Path:
    """Run *source* with an agent that reads nothing and is killed; return the directory of the run, spool and all."""
    script = rheostat.write("unread.py", WAIT + source)
    go = rheostat.project / "go"
    go.unlink(missing_ok=True)
    before = set(rheostat.directories())
    process = rheostat.start(str(script), options=("--wait", "0"))
    wait_until(lambda: set(rheostat.directories()) - before, "the run begins")
    (directory,) = set(rheostat.directories()) - before
    wait_until(lambda: processes_with("rheostat_agent.supervisor", str(directory)), "its agent")
    (agent,) = processes_with("rheostat_agent.supervisor", str(directory))
    os.kill(agent, signal.SIGSTOP)
    go.touch()
    done = rheostat.finish(process)
    assert not done.stderr, done.stderr
    os.kill(agent, signal.SIGKILL)
    wait_until(lambda: not processes_with("rheostat_agent.supervisor", str(directory)), "its end")
    for path in [*directory.glob("history.sqlite*"), *rheostat.state.glob("index.sqlite*")]:
        path.unlink()
    return directory
