"""`rheostat show`."""

import json
import os
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rheostat_agent.cli import fail
from rheostat_agent.cli.access import (
    Trouble,
    all_runs,
    find,
    history_of,
    open_state,
    wait_until_read,
)
from rheostat_agent.history.fatal import distinct_errors
from rheostat_agent.history.query import Process, Run, read_processes
from rheostat_agent.masking import SEPARATOR
from rheostat_agent.show.errors import error_lines, error_stacks
from rheostat_agent.show.recursion import fold_recursion
from rheostat_agent.show.summary import headlines, load_tree, missing_lines, tree_lines
from rheostat_agent.show.text import Style, plain
from rheostat_agent.show.tree import Node, prune
from rheostat_agent.show.view import View

_PATIENCE_S = 30.0


def show(values: dict[str, Any], words: list[str]) -> int:
    """Show one run."""
    try:
        state = open_state()
        directory = find(state, words)
        wait_until_read(directory, _PATIENCE_S)
        history = history_of(directory)
        run = next(run for run in all_runs(state) if run.id == directory.name)
    except Trouble as error:
        return fail(str(error))
    try:
        if values["what_is_sent"]:
            return _what_is_sent(directory, history)
        if values["json"]:
            tree = _pruned(load_tree(history, run), run, values)
            json.dump(as_json(history, run, tree), sys.stdout, indent=1)
            sys.stdout.write("\n")
        else:
            for line in _lines(history, run, values):
                sys.stdout.write(line + "\n")
    finally:
        history.close()
    return 0


def _what_is_sent(directory: Path, history: sqlite3.Connection) -> int:
    """Print what would leave this machine."""
    from rheostat_agent.cli.sent import what_is_sent  # what delivers is not quick to import

    try:
        for line in what_is_sent(directory, history, _warn):
            sys.stdout.write(line + "\n")
    except Trouble as error:
        return fail(str(error))
    return 0


def _warn(text: str) -> None:
    sys.stderr.write(f"rheostat: {text}\n")


def _lines(history: sqlite3.Connection, run: Run, values: dict[str, Any]) -> Iterator[str]:
    view = View(_columns(), Style(_has_colour()), os.getcwd(), max_lines=None)
    if values["skipped"]:
        yield from _skipped(history)
        return
    yield from headlines(run, view)
    if values["errors"]:
        yield from error_stacks(history, view)
        return
    tree = load_tree(history, run)
    fold_recursion(tree)
    yield from tree_lines(_pruned(tree, run, values), view, None, run.wall_ns or 0)
    yield from error_lines(history, run.id, view)
    yield from missing_lines(history, run, view)


def _pruned(tree: list[Node], run: Run, values: dict[str, Any]) -> list[Node]:
    """Return *tree* without what the options leave out."""
    least = (values["min"] or 0) * (run.wall_ns or 0)
    return prune(tree, least, values["depth"], values["grep"])


def _skipped(history: sqlite3.Connection) -> Iterator[str]:
    rows = history.execute("SELECT what, name, reason FROM skipped ORDER BY what, name").fetchall()
    for what, name, reason in rows:
        yield f"{what:<9} {plain(name)}: {plain(reason)}"
    if not rows:
        yield "everything of the project is observed"


def as_json(history: sqlite3.Connection, run: Run, tree: list[Node]) -> dict[str, Any]:
    """Return all that `show --json` prints. Times in nanoseconds, memory in bytes.

    The tree is a list in which children follow their parent, one deeper: calls may be nested deeper than JSON may.
    """
    return {
        "run": run.as_dict(),
        "processes": [_process(process) for process in read_processes(history)],
        "tree": [_node(depth, node) for root in tree for depth, node in root.walk()],
        "errors": [error.as_dict() for error, _ in distinct_errors(history)],
        "losses": _table(history, "losses", ("process", "time_ns", "reason", "count")),
        "skipped": _table(history, "skipped", ("process", "what", "name", "reason")),
        "notes": _table(history, "notes", ("process", "time_ns", "severity", "text")),
    }


def _process(process: Process) -> dict[str, Any]:
    arguments = process.argv.split(SEPARATOR) if process.argv else []
    return {**process.as_dict(), "argv": arguments}


def _node(depth: int, node: Node) -> dict[str, Any]:
    values = {"depth": depth, **node.as_dict()}
    del values["children"], values["levels"]
    return values


def _table(
    history: sqlite3.Connection, table: str, columns: tuple[str, ...]
) -> list[dict[str, Any]]:
    rows = history.execute(f"SELECT {', '.join(columns)} FROM {table}")
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _columns() -> int:
    try:
        return os.get_terminal_size(1).columns or 100
    except OSError:
        return 160


def _has_colour() -> bool:
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (
        os.isatty(1) and os.environ.get("TERM") != "dumb"
    )
