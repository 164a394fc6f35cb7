"""Queues: what one destination is still to get of a run, read from the history as it is needed.

The history is the queue. A request is looked at, sent, and taken off when the backend has acknowledged it: the cursor, which
the history keeps, is then behind the last row of it. Whoever goes on from that cursor sends the rest, with the same ids.
"""

from __future__ import annotations

import time
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, Protocol

from rheostat.spool.layout import IMPORT
from rheostat_agent.export.encoding import TraceEncoder, encode_logs
from rheostat_agent.export.policy import ALL, Bucket, Policy
from rheostat_agent.export.processes import Processes
from rheostat_agent.export.spans import SpanMaker
from rheostat_agent.history.query import read_open_spans, read_span_rows
from rheostat_agent.values import Value

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from opentelemetry.sdk._logs import ReadableLogRecord

    from rheostat_agent.configuration.otel import Limits
    from rheostat_agent.history.query import DeliveryState, Process
    from rheostat_agent.resource import Attributes

MOST_BYTES = (
    4_000_000  # of a request: what gRPC servers take by default, and far below OTLP's 64 MiB
)
_LOOK_AHEAD = 2_048  # rows of the history at once
_ANNOUNCE_EVERY_S = 1.0
_PROCESS = 2  # of a row of `spans`


class Sending(Value):
    """What is sent of a run, whatever the destination."""

    trace_id: int
    parent: int | None  # id of the span that the run hangs below
    trace_state: str  # W3C Trace Context
    resource: Attributes
    policy: str
    pending_s: float | None  # after which an open span is announced; None: never
    limits: Limits


class Request(NamedTuple):
    """The next request."""

    body: bytes
    items: int  # spans or log records
    parts: int  # of the queue that it holds
    cursor: int  # to keep when it is acknowledged
    processes: frozenset[int] = frozenset()  # whose own spans are in it


class Queue(Protocol):
    """What is still to be sent of one signal."""

    cursor: int  # behind what has been dealt with
    waiting: int  # items known to be waiting

    def look(self, most: int, all_is_there: bool) -> Request | None:
        """Return the next request, of *most* items at most; None if there is nothing (yet)."""

    def take_off(self, request: Request) -> None:
        """*request* has been dealt with: the next one comes behind it."""

    def survey(self) -> None:
        """Have *waiting* count all that is in the history; such a queue is not sent from."""


class _Part(NamedTuple):
    rowid: int
    process: int
    data: bytes
    ended: int = 0  # the process whose own span it is; 0: a call's


class SpanQueue:
    """The spans of a run for one destination: those that the policy chooses, and those of processes that ended."""

    def __init__(self, sending: Sending, history: sqlite3.Connection, state: DeliveryState) -> None:
        self.waiting = 0
        self.cursor = state.cursor
        self._sending = sending
        self._history = history
        self._version = -1  # of the history, when its names were last read
        self._maker = SpanMaker(history, sending.trace_id, sending.resource, sending.trace_state)
        self._encoder = TraceEncoder(self._maker, sending.limits)
        self._imports: set[int] = set()  # functions
        self._processes = Processes(history, {int(word) for word in state.processes.split()})
        self._parts: deque[_Part] = deque()
        self._scanned = 0
        self._announced: set[int] = set()  # open spans of which a placeholder was sent
        self._announcing: set[int] = set()
        self._announced_at = 0.0
        pending_s = sending.pending_s
        self._pending_ns = None if pending_s is None else int(pending_s * 1e9)
        self.policy = Policy(
            sending.policy,
            self._processes.spans.__contains__,
            lambda function: function in self._imports,  # a set that is replaced
            self._pending_ns,
        )
        while self._scanned < state.cursor:  # as it was decided before
            if not self._scan(min(_LOOK_AHEAD, state.cursor - self._scanned), None):
                break
        self.waiting = 0

    def look(self, most: int, all_is_there: bool) -> Request | None:
        """Return the next request, of *most* spans at most."""
        while len(self._parts) < most and self._scan(_LOOK_AHEAD, self._parts.append):
            pass
        if len(self._parts) < most:
            self._add_processes()
        if not self._parts:
            self.cursor = self._scanned
            return None if all_is_there else self._announce(most)
        chosen = self._first(most)
        body = self._encoder.request([(part.process, part.data) for part in chosen])
        ended = frozenset(part.ended for part in chosen if part.ended)
        return Request(body, len(chosen), len(chosen), chosen[-1].rowid, ended)

    def _first(self, most: int) -> list[_Part]:
        """Return the first parts of the queue that make a request of at most *most* spans and MOST_BYTES; one at least."""
        chosen: list[_Part] = []
        size, processes = 0, set()
        for part in islice(self._parts, most):
            size += len(part.data)
            if part.process not in processes:
                processes.add(part.process)
                size += self._encoder.overhead(part.process)
            if chosen and size > MOST_BYTES:
                break
            chosen.append(part)
        return chosen

    def take_off(self, request: Request) -> None:
        """Take the spans of *request* off the queue."""
        if not request.parts:
            self._announced |= self._announcing
            return
        for _ in range(request.parts):
            self._parts.popleft()
        self.waiting -= request.parts
        self.cursor = request.cursor if self._parts else self._scanned

    def survey(self) -> None:
        """Count what is behind that which has been read."""
        while self._scan(_LOOK_AHEAD, None):
            pass
        self._add_processes()

    def _scan(self, most: int, take: Callable[[_Part], None] | None) -> bool:
        """Look at *most* further rows, and give to *take* what is to be sent; say whether there were any."""
        rows = read_span_rows(self._history, self._scanned, most)
        if not rows:
            return False
        self._refresh()
        for row, parent, omitted in self.policy.choose(self._pass(rows)):
            self.waiting += 1
            if take is not None:
                take(_Part(self._scanned, row[_PROCESS], self._encoder.call(row, parent, omitted)))
        return True

    def _pass(self, rows: list[tuple[int, tuple[Any, ...]]]) -> Iterator[tuple[Any, ...]]:
        for rowid, row in rows:
            self._scanned = rowid
            yield row

    def _refresh(self) -> None:
        """Look up names and processes, if the agent has written since."""
        (version,) = self._history.execute("PRAGMA data_version").fetchone()
        if version == self._version:
            return
        self._version = version
        self._processes.refresh()
        imports = self._history.execute("SELECT id FROM functions WHERE kind = ?", (IMPORT,))
        self._imports = {number for (number,) in imports}
        self._maker.refresh()

    def _add_processes(self) -> None:
        """Add the processes that have ended, now that their calls are in the queue."""
        self._refresh()
        if read_span_rows(self._history, self._scanned, 1):  # written meanwhile
            return
        for process in self._processes.take_ended():
            omitted = self.policy.carried(process.span_id)
            data = self._encoder.process(process, self._parent_of(process), omitted)
            self._parts.append(_Part(self._scanned, process.id, data, process.id))
            self.waiting += 1

    def _parent_of(self, process: Process) -> int | None:
        if process.parent_span_id is None:
            return self._sending.parent
        return self.policy.parent_of(process.parent_span_id)

    def _announce(self, most: int) -> Request | None:
        """Return placeholders of spans that have been open for long, and were not announced yet."""
        now_ns, now = time.time_ns(), time.monotonic()
        if self._pending_ns is None or now - self._announced_at < _ANNOUNCE_EVERY_S:
            return None
        self._announced_at = now
        self._refresh()
        parts = []
        for process in self._processes.living.values():
            if self._is_due(process.span_id, process.start_ns, now_ns):
                data = self._encoder.pending_process(process, self._parent_of(process), now_ns)
                parts.append((process.span_id, process.id, data))
        for span in read_open_spans(self._history):
            if self._is_due(span.id, span.start_ns, now_ns):
                self.policy.need(span.id)  # it may have ended already, unread, and be short
                parent = self.policy.parent_of(span.parent)
                data = self._encoder.pending(span.as_tuple(), parent, now_ns)
                parts.append((span.id, span.process, data))
        parts = parts[:most]
        if not parts:
            return None
        self._announcing = {span for span, _, _ in parts}
        body = self._encoder.request([(process, data) for _, process, data in parts])
        return Request(body, len(parts), 0, self.cursor)

    def _is_due(self, span: int, start_ns: int, now_ns: int) -> bool:
        assert self._pending_ns is not None
        return span not in self._announced and now_ns - start_ns >= self._pending_ns


class LogQueue:
    """The exceptions of a run as log records, once it has been read to its end: their texts are known by then."""

    def __init__(self, sending: Sending, history: sqlite3.Connection, state: DeliveryState) -> None:
        self.cursor = state.cursor
        self.waiting = 0
        self._maker = SpanMaker(history, sending.trace_id, sending.resource, sending.trace_state)
        self._limits = sending.limits
        self._is_all = sending.policy == ALL
        self._records: Iterator[ReadableLogRecord] | None = None
        self._ahead: deque[ReadableLogRecord] = deque()

    def look(self, most: int, all_is_there: bool) -> Request | None:
        """Return the next request, of *most* records at most."""
        if not all_is_there:
            return None
        self._ahead.extend(islice(self._rest(), max(0, most - len(self._ahead))))
        self.waiting = len(self._ahead)
        records = list(islice(self._ahead, most))
        if not records:
            return None
        body = encode_logs(records, self._limits)
        while len(body) > MOST_BYTES and len(records) > 1:
            records = records[: len(records) // 2]
            body = encode_logs(records, self._limits)
        return Request(body, len(records), len(records), self.cursor + len(records))

    def take_off(self, request: Request) -> None:
        """Take the records of *request* off the queue."""
        for _ in range(request.parts):
            self._ahead.popleft()
        self.waiting = len(self._ahead)
        self.cursor = request.cursor

    def survey(self) -> None:
        """Count what there is."""
        self.waiting = len(self._ahead) + sum(1 for _ in self._rest())

    def _rest(self) -> Iterator[ReadableLogRecord]:
        if self._records is None:
            self._maker.refresh()
            self._records = islice(self._chosen(self._maker.logs()), self.cursor, None)
        return self._records

    def _chosen(self, records: Iterable[ReadableLogRecord]) -> Iterator[ReadableLogRecord]:
        """Yield those of *records* that are exported: no more a second than spans."""
        bucket = Bucket()
        for record in records:
            if self._is_all or bucket.take(record.log_record.timestamp or 0, 0.0):
                yield record
