"""The critical path: the calls that decided how long the run took.

Walked backwards from the end of the run: of the calls inside the present one, the last to end was what it waited for;
before that one began, the one that ended last until then; and so on, inwards. Calls shorter than a hundredth of the run
are counted to what called them, so that millions of spans need one scan and a few hundred of them are looked at. Generators that were suspended most of
their time are left out: while they were, others worked.
(The backwards walk is that of critical-path analysis in distributed traces: Zhang et al., "CRISP", USENIX ATC 2022.)
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict

from rheostat_agent.history.query import Process

_Call = tuple[int, int, int, int]  # id, path (0: a process), start, end
_SHARE = 100
_MAX_CALLS = 20_000


def critical_paths(history: sqlite3.Connection, processes: list[Process], now_ns: int) -> set[int]:
    """Return the ids of the call paths on the critical path of the run."""
    if not processes:
        return set()
    program = processes[0]
    end_ns = program.end_ns or now_ns
    shortest = max(1, (end_ns - program.start_ns) // _SHARE)
    children: dict[int, list[_Call]] = defaultdict(list)
    for span, parent, path, start, end in history.execute(
        "SELECT id, parent, path, start_ns, end_ns FROM spans"
        " WHERE end_ns - start_ns >= ?1 AND coalesce(suspended_ns, 0) * 2 < end_ns - start_ns LIMIT ?2",
        (shortest, _MAX_CALLS),
    ):
        children[parent].append((span, path, start, end))
    for span, parent, path, start, _ in history.execute(
        "SELECT id, parent, path, start_ns, 0 FROM open_spans WHERE ? - start_ns >= ? LIMIT ?",
        (end_ns, shortest, _MAX_CALLS),
    ):
        children[parent].append((span, path, start, end_ns))
    for process in processes[1:]:
        if process.parent_span_id is not None:
            call = (process.span_id, 0, process.start_ns, process.end_ns or end_ns)
            children[process.parent_span_id].append(call)
    return _walk((program.span_id, 0, program.start_ns, end_ns), children)


def _walk(root: _Call, children: dict[int, list[_Call]]) -> set[int]:
    found: set[int] = set()
    pending = [(root, root[3])]
    seen = 0
    while pending and seen < _MAX_CALLS:
        (span, path, start, _), until = pending.pop()
        seen += 1
        if path:
            found.add(path)
        for call in sorted(children.get(span, ()), key=lambda call: -call[3]):
            if call[2] < until and call[3] > start:
                pending.append((call, min(call[3], until)))
                until = call[2]
    return found
