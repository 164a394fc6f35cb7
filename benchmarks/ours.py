"""Rheostat as the benchmarks start it: by its command, with a state directory of its own."""

import json
import os
import sqlite3
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import peers
from benchmarks.timing import Command

_SPANS = """
SELECT CAST(span.id AS TEXT), functions.name
FROM (SELECT id, function FROM spans UNION ALL SELECT id, function FROM open_spans) AS span
JOIN functions ON functions.id = span.function
"""


@dataclass(frozen=True, slots=True)
class Rheostat:
    """The command *executable*, keeping everything below *folder*."""

    executable: Path
    folder: Path

    def environment(self, sink: str | None = None) -> dict[str, str]:
        """Return the variables of a run; with *sink* it also exports there."""
        base = peers.clean_environment() if sink is None else peers.environment(sink)
        return {
            **base,
            "RHEOSTAT_STATE_DIR": str(self.folder / "state"),
            "XDG_CACHE_HOME": str(self.folder / "cache"),
        }

    def run(self, *options: str | Path) -> list[str | Path]:
        """Return the command that observes a program in an interpreter that has nothing of ours."""
        return [self.executable, "run", "--python", peers.PLAIN.python, *options]

    def wait_for_agents(self, limit_s: float = 300) -> None:
        """Wait until no agent of ours is at work any more. Raises TimeoutError."""
        deadline = time.monotonic() + limit_s
        while self.agents():
            if time.monotonic() > deadline:
                raise TimeoutError(f"agents {self.agents()} still work after {limit_s} s")
            time.sleep(0.02)

    def newest_run(self) -> dict[str, Any]:
        """Return what `rheostat runs --json` tells of the newest run."""
        command = Command((self.executable, "runs", "--json"), self.environment(), self.folder)
        newest: dict[str, Any] = json.loads(command.run())[0]
        return newest

    def spans(self) -> list[tuple[str, str]]:
        """Return (id, function's name) of each span in the history of the newest run."""
        history = Path(self.newest_run()["directory"]) / "history.sqlite"
        with closing(sqlite3.connect(f"file:{history}?mode=ro", uri=True)) as connection:
            return connection.execute(_SPANS).fetchall()

    def agents(self) -> list[int]:
        """Return the process ids of our agents: they have the run's directory among their arguments."""
        mine = str(self.folder / "state").encode()
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                try:
                    arguments = (entry / "cmdline").read_bytes()
                except OSError:  # it has just ended
                    continue
                if mine in arguments:
                    found.append(int(entry.name))
        return found


def installed() -> Path:
    """Return the `rheostat` command beside this interpreter, else the one on PATH."""
    beside = Path(sys.executable).with_name("rheostat")
    if beside.exists():
        return beside
    for folder in os.get_exec_path():
        if (Path(folder) / "rheostat").exists():
            return Path(folder) / "rheostat"
    raise FileNotFoundError(
        "no command `rheostat`: install the project first, or say --rheostat PATH"
    )
