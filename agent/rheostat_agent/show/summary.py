"""The summary: at most 25 lines on how a run went, where its time went, what failed, what is missing, and what to do next."""

from __future__ import annotations

import sqlite3
from collections import Counter

from rheostat_agent.endings import signal_name
from rheostat_agent.history.arguments import count_uncaptured
from rheostat_agent.history.query import (
    REFUSED,
    HistoryMissing,
    Run,
    open_history,
    read_deliveries,
    read_functions,
    read_meta,
    read_paths,
    read_processes,
)
from rheostat_agent.show.critical import critical_paths
from rheostat_agent.show.errors import error_lines
from rheostat_agent.show.recursion import fold_recursion
from rheostat_agent.show.text import Style, calls, count, duration, fit, fit_end, plain, size
from rheostat_agent.show.tree import Node, build_tree, prune
from rheostat_agent.show.view import MAX_LINES, View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from rheostat_agent.rundirectory import RunInfo

_SMALL = 0.005  # of the run's time: what took less is left out where there is too much to show
_NAME = 10  # characters of a name that are always shown
_HEAVY = 0.1  # of the run's time, spent in one function itself, that is printed bold
_HINT_SHARE = 0.3  # of the run's time, spent in one function itself, that is worth a hint


def render_run_summary(directory: str, info: RunInfo, run: Run, unread: int) -> str:
    """Return the summary that the launcher prints at the end of a run; empty if there is none to be."""
    view = View(
        info.columns,
        Style(bool(info.colour)),
        run.cwd,
        unread,
        None if info.summary == "full" else MAX_LINES,
    )
    lines = [f"  {view.style(plain(remark), 'yellow')}" for remark in info.remarks]
    try:
        history = open_history(directory)
    except HistoryMissing as error:
        return "\n".join([*headlines(run, view), *lines, f"  {error}"]) + "\n"
    try:
        return "\n".join(render(history, run, view, lines)) + "\n"
    finally:
        history.close()


def render(history: sqlite3.Connection, run: Run, view: View, remarks: list[str]) -> list[str]:
    """Return the lines of the summary of *run*."""
    tail = [
        *error_lines(history, run.id, view),
        *remarks,
        *missing_lines(history, run, view),
        next_line(run, view),
    ]
    head = headlines(run, view)
    room = None if view.max_lines is None else view.max_lines - len(head) - len(tail) - 1
    wall = run.wall_ns or 0
    roots = load_tree(history, run)
    fold_recursion(roots)
    if room is not None and sum(1 for root in roots for _ in root.walk()) > room:
        roots = prune(roots, wall * _SMALL, None, None)
    return [*head, *tree_lines(roots, view, room, wall), *tail]


def load_tree(history: sqlite3.Connection, run: Run) -> list[Node]:
    """Return the call tree of *run*."""
    processes = read_processes(history)
    now_ns = run.ended_ns or max(
        (p.end_ns or p.start_ns for p in processes), default=run.started_ns
    )
    critical = critical_paths(history, processes, now_ns)
    return build_tree(processes, read_functions(history), read_paths(history), critical, now_ns)


def headlines(run: Run, view: View) -> list[str]:
    """Return what is to be said of the run as a whole; one line where there is room."""
    colour = {"ok": "green", "running": "yellow"}.get(run.status, "red")
    parts = [
        (plain(run.workflow), "bold"),
        (ending(run), colour),
        (duration(run.wall_ns) if run.wall_ns is not None else "", ""),
        (f"CPU {duration(run.cpu_s * 1e9)}" if run.cpu_s is not None else "", ""),
        (f"peak {size(run.max_rss_bytes)}" if run.max_rss_bytes is not None else "", ""),
        (_spans(run, view), ""),
        (count(run.processes, "process"), ""),
        (f"run {run.id}", ""),
    ]
    lines, width = [view.style("rheostat", "dim")], len("rheostat")
    separator = " "
    for text, look in parts:
        if not text:
            continue
        width += len(separator) + len(text)
        if width > view.columns:
            separator, width = "  ", 2 + len(text)
            lines.append("")
        lines[-1] += separator + view.style(text, *([look] if look else []))
        separator = " · "
    return lines


def ending(run: Run) -> str:
    """Return how the run ended, in words."""
    if run.signal is not None:
        return f"killed by {signal_name(run.signal)}"
    if run.exit_code:
        return f"failed with status {run.exit_code}"
    return run.status


def _spans(run: Run, view: View) -> str:
    if view.unread < 1000:
        return count(run.spans, "span")
    whole = run.spans + view.unread
    return f"{run.spans / 1e6:.2f} of ~{whole / 1e6:.1f} million spans read"


def tree_lines(roots: list[Node], view: View, room: int | None, wall_ns: int) -> Iterator[str]:
    """Yield the lines of the call tree, the costliest *room* nodes of it, in its order."""
    nodes = [pair for root in roots for pair in root.walk()]
    if room is not None:
        nodes = _costliest(nodes, max(3, room))
    if not nodes:
        return
    titles = f"  {'total':>8} {'self':>8} {'calls':>9} {'p95':>8}   call path (* critical path)"
    yield view.style(fit(titles, view.columns), "dim")
    above: dict[int, Node] = {}  # by depth, of the present node
    for depth, node in nodes:
        above[depth] = node
        yield _tree_line(depth, node, above.get(depth - 1), view, wall_ns)


def _tree_line(depth: int, node: Node, parent: Node | None, view: View, wall_ns: int) -> str:
    style = view.style
    p95 = "" if node.p95_ns is None else duration(node.p95_ns)
    columns = f"  {duration(node.total_ns):>8} {duration(node.self_ns):>8} {calls(node.calls):>9} {p95:>8} "
    room = max(19, view.columns - len(columns) - 2)
    levels = room // 5
    indent = "  " * min(depth, levels) + (f"+{depth - levels} " if depth > levels else "")
    notes = _notes(node, parent)
    told = fit(f"  ({', '.join(notes)})", room - len(indent) - _NAME) if notes else ""
    name = fit_end(plain(node.name), room - len(indent) - len(told))
    is_heavy = wall_ns > 0 and node.self_ns > wall_ns * _HEAVY
    mark = style("*", "yellow") if node.is_critical else " "
    looks = (*(["bold"] if is_heavy else []), *(["red"] if node.errors else []))
    return f"{columns}{mark} {indent}{style(name, *looks)}{style(told, 'dim')}"


def _costliest(nodes: list[tuple[int, Node]], room: int) -> list[tuple[int, Node]]:
    """Return the *room* costliest of *nodes*, which come in the tree's order; a parent weighs what its children do."""
    if len(nodes) <= room:
        return nodes
    weights = [node.total_ns for _, node in nodes]
    heaviest: dict[int, int] = {}  # by depth, of the nodes behind the present one
    for at in range(len(nodes) - 1, -1, -1):
        depth = nodes[at][0]
        below = max(
            (heaviest.pop(deeper) for deeper in list(heaviest) if deeper > depth), default=0
        )
        weights[at] = max(weights[at], below)
        heaviest[depth] = max(heaviest.get(depth, 0), weights[at])
    ranked = sorted(range(len(nodes)), key=lambda at: (-weights[at], nodes[at][0], at))
    return [nodes[at] for at in sorted(ranked[:room])]


def _notes(node: Node, parent: Node | None) -> list[str]:
    """Return what is to be said of *node* besides its numbers."""
    notes = [f"{node.errors:,} failed"] if node.errors else []
    if node.path is None:
        notes.append("process" if node.calls == 1 else count(node.calls, "process"))
        return notes
    if node.open:
        notes.append(f"{node.open:,} running")
    if node.items:
        notes.append(count(node.items, "item"))
    if node.levels > 1:
        notes.append(f"recursive, {node.levels:,} deep")
    if parent is not None and parent.path is not None and node.total_ns > parent.total_ns * 1.01:
        notes.append("in parallel")
    return notes


def missing_lines(history: sqlite3.Connection, run: Run, view: View) -> Iterator[str]:
    """Yield what was lost, left out or not delivered, and what of ours went wrong."""
    style = view.style
    losses: Counter[str] = Counter()
    for reason, number in history.execute("SELECT reason, coalesce(count, 0) FROM losses"):
        losses[reason] += number
    for reason, number in losses.most_common(3):
        missing = count(number, "call") if number else "calls, how many is not known"
        yield style(fit(f"  not recorded: {missing}: {plain(reason)}", view.columns), "yellow")
    uncaptured = count_uncaptured(history)
    if uncaptured:
        text = f"  not captured: the arguments of at least {count(uncaptured, 'call')}: too many a second"
        yield style(fit(text, view.columns), "yellow")
    notes = history.execute("SELECT severity, text FROM notes WHERE severity != 'info'").fetchall()
    for severity, text in notes[:2]:
        yield style(fit(f"  {severity}: {plain(text)}", view.columns), "yellow")
    if len(notes) > 2:
        yield style(
            f"  and {count(len(notes) - 2, 'other remark')}: {run.directory}/agent.log", "yellow"
        )
    for told in delivery_lines(history, run):
        yield style(fit(f"  {told}", view.columns), "yellow")
    hint = library_hint(history, run)
    if hint:
        yield style(fit(f"  {hint}", view.columns), "dim")


def delivery_lines(history: sqlite3.Connection, run: Run) -> Iterator[str]:
    """Yield what the backends do not have, and why."""
    for state in read_deliveries(history):
        what = "span" if state.destination.startswith("traces") else "log record"
        why = f" ({plain(state.reason)})" if state.reason else ""
        if state.rejected:
            yield f"rejected by the backend: {count(state.rejected, what)}{why}"
        if state.state == REFUSED or state.refused:
            told = f"refused by the backend: {count(state.undelivered, what)}, kept{why}"
            yield f"{told}; `rheostat send {run.id}` tries again"
        elif state.undelivered:
            yield f"not delivered: {count(state.undelivered, what)}, kept for a later try{why}"
    omitted = read_meta(history, "omitted")
    if omitted and not omitted.startswith("0 "):
        calls, duration_ns = map(int, omitted.split())
        yield f"not exported: {count(calls, 'call')} of {duration(duration_ns)} in all (--export all: every call)"


def library_hint(history: sqlite3.Connection, run: Run) -> str:
    """Return which libraries may stand behind a function's long self time; empty if none was long."""
    if not run.wall_ns:
        return ""
    longest = max(read_paths(history), key=lambda path: path.self_ns, default=None)
    if longest is None or longest.self_ns < run.wall_ns * _HINT_SHARE:
        return ""
    rows = history.execute(
        "SELECT DISTINCT name FROM skipped WHERE what = 'library' LIMIT 4"
    ).fetchall()
    if not rows:
        return ""
    names = [plain(name) for (name,) in rows]
    return f"self time includes libraries that are not observed: {', '.join(names)} (--include '{names[0]}.*')"


def next_line(run: Run, view: View) -> str:
    """Return the command that tells more."""
    if view.unread >= 1000:
        return view.style(f"  `rheostat show {run.id}` for the rest", "dim")
    return view.style(f"  more: rheostat show {run.id}", "dim")
