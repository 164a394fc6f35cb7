"""Histories of any content in memory, and what OpenTelemetry's own encoder makes of them, for the tests of ours."""

import json
import sqlite3
from typing import Any, NamedTuple

from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage
from opentelemetry.sdk.trace import ReadableSpan

from rheostat_agent.configuration.otel import Limits
from rheostat_agent.export.encoding import TraceEncoder
from rheostat_agent.export.policy import Omitted
from rheostat_agent.export.spans import SpanMaker
from rheostat_agent.history.query import Span
from rheostat_agent.history.schema import prepare_history

Row = tuple[Any, ...]
TRACE = 0x5B8EFFF798038103D269B633813FC60C
START = 1_700_000_000_000_000_000
IDENTS = (140_000_000_000_000, 7)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)  # as SQLite can hold them
any_texts = st.text(max_size=20)  # lone surrogates too
ids = st.integers(-(1 << 63), (1 << 63) - 1)
times = st.integers(START, START + 9)  # few, so that names of threads change among them
odd_times = st.one_of(times, st.integers(-2, 2))
some = st.none() | st.integers(0, 6)
limits = st.builds(
    Limits,
    span_attribute_length=some,
    span_attribute_count=some,
    event_count=some,
    event_attribute_count=some,
    log_attribute_length=some,
    log_attribute_count=some,
)


class Thread(NamedTuple):
    """A row of `threads`."""

    process: int
    ident: int
    since_ns: int
    name: str | None


threads = st.builds(Thread, st.integers(1, 3), st.sampled_from(IDENTS), times, st.none() | texts)
processes = st.tuples(ids, st.none() | ids, st.none() | texts, st.sampled_from([None, "3.11.7"]))
functions = st.tuples(texts, texts, st.integers(0, 1 << 31))
frames = st.lists(st.tuples(any_texts, st.integers(0, 1 << 31), any_texts), max_size=3)
errors = st.tuples(st.none() | odd_times, texts, st.none() | texts, frames, st.booleans())


@st.composite
def rows(draw: st.DrawFn) -> Row:
    """Draw a call: most of them as calls usually are."""
    start_ns = draw(odd_times)
    span: dict[str, Any] = dict.fromkeys(Span.fields)
    span |= {
        "id": draw(ids),
        "parent": draw(ids),
        "process": draw(st.integers(1, 3)),
        "function": draw(st.integers(1, 3)),
        "path": 1,
        "thread": draw(st.sampled_from(IDENTS)),
        "start_ns": start_ns,
        "end_ns": start_ns + draw(st.integers(0, 1 << 40)),
    }
    kind = draw(st.sampled_from(["", "", "", "error", "generator", "cause"]))
    if kind == "error":
        span["error"] = draw(st.integers(1, 3))
    elif kind == "generator":
        span |= {"items": draw(st.integers(0, 1 << 40)), "suspended_ns": draw(st.integers(0, 9))}
    elif kind == "cause":
        span["cause"] = draw(texts)
    return tuple(span.values())


scalars = st.none() | st.booleans() | ids | st.floats(allow_nan=False) | any_texts
arguments = st.just({}) | st.dictionaries(texts, scalars, max_size=3)
omissions = (
    st.none() | st.none() | st.builds(Omitted, st.integers(0, 1 << 40), st.integers(0, 1 << 62))
)


class Content(NamedTuple):
    """What a history holds."""

    functions: list[tuple[str, str, int]]
    processes: list[tuple[int, int | None, str | None, str | None]]
    threads: list[Thread]
    errors: list[tuple[int | None, str, str | None, list[tuple[str, int, str]], bool]]
    calls: list[tuple[Row, Omitted | None, dict[str, Any]]]  # with what they were given


contents = st.builds(
    Content,
    st.lists(functions, min_size=3, max_size=3),
    st.lists(processes, min_size=3, max_size=3),
    st.lists(threads, max_size=8),
    st.lists(errors, min_size=3, max_size=3),
    st.lists(st.tuples(rows(), omissions, arguments), max_size=30),
)


def history_of(content: Content) -> sqlite3.Connection:
    """Return a history of *content*, but for its calls."""
    history = sqlite3.connect(":memory:", isolation_level=None)
    prepare_history(history)
    add = history.execute
    for number, (name, file, line) in enumerate(content.functions, 1):
        add("INSERT INTO functions VALUES(?, ?, 1, ?, ?)", (number, name, file, line))
    for number, (span, parent, executable, python) in enumerate(content.processes, 1):
        add(
            "INSERT INTO processes(id, span_id, parent_span_id, executable, python, pid, start_ns, end_ns, exit_code)"
            " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (number, span, parent, executable, python, 7, START, START + number, number - 1),
        )
    calls = [row for row, _, _ in content.calls]
    for number, (time_ns, kind, message, stack, is_told) in enumerate(content.errors, 1):
        arose = next((row[0] for row in calls if row[8] == number and is_told), None)
        add(
            "INSERT INTO errors VALUES(?, 1, ?, ?, ?, ?, ?, ?, 1)",
            (number, number, arose, time_ns, kind, message, json.dumps(stack)),
        )
    for row, _, given in content.calls:
        if given:
            values = row[0], json.dumps(given), len(given)
            add("INSERT OR REPLACE INTO arguments VALUES(?, ?, ?)", values)
    add_threads(history, content.threads)
    return history


def add_threads(history: sqlite3.Connection, threads: list[Thread]) -> None:
    """Have *threads* become known."""
    values = [(one.process, one.ident, one.name, one.since_ns) for one in threads]
    history.executemany(
        "INSERT INTO threads(process, ident, name, since_ns) VALUES(?, ?, ?, ?)", values
    )


def official(spans: list[ReadableSpan], limits: Limits) -> ExportTraceServiceRequest:
    """Return what the official encoder makes of *spans*, cut to *limits* afterwards."""
    request = encode_spans(spans)
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                _limit(span, limits)
    return request


def _limit(span: SpanMessage, limits: Limits) -> None:
    cut(span, limits.span_attribute_count, limits.span_attribute_length)
    if limits.event_count is not None:
        span.dropped_events_count = max(0, len(span.events) - limits.event_count)
        del span.events[limits.event_count :]
    for event in span.events:
        cut(event, limits.event_attribute_count, limits.span_attribute_length)


def cut(holder: Any, count: int | None, length: int | None) -> None:
    """Cut the attributes of a message as the specification has it: texts are shortened, the last discarded and counted."""
    if count is not None:
        holder.dropped_attributes_count = max(0, len(holder.attributes) - count)
        del holder.attributes[count:]
    for attribute in holder.attributes:
        if attribute.value.HasField("string_value"):
            attribute.value.string_value = attribute.value.string_value[:length]


def maker_of(history: sqlite3.Connection, trace_state: str = "", **resource: Any) -> SpanMaker:
    """Return a maker that knows what *history* holds."""
    maker = SpanMaker(history, TRACE, {"service.name": "job", **resource}, trace_state)
    maker.refresh()
    return maker


def decoded(encoder: TraceEncoder, parts: list[tuple[int, bytes]]) -> ExportTraceServiceRequest:
    """Return the request of *parts* as a backend reads it."""
    return ExportTraceServiceRequest.FromString(encoder.request(parts))


def decoded_part(part: bytes) -> SpanMessage:
    """Return the span in *part*."""
    (span,) = ScopeSpans.FromString(part).spans
    return span


def usual_row(**values: Any) -> Row:
    """Return a call as most are, but for *values*."""
    span: dict[str, Any] = dict.fromkeys(Span.fields)
    span |= {"id": 11, "parent": 12, "process": 1, "function": 1, "path": 1, "thread": IDENTS[0]}
    span |= {"start_ns": START, "end_ns": START + 1000} | values
    return tuple(span.values())


USUAL = Content(
    functions=[("job.work", "/job.py", 3)] * 3,
    processes=[(1, None, "/usr/bin/python", "3.11.7"), (2, 1, None, "3.11.7"), (3, 1, "/sh", None)],
    threads=[Thread(1, IDENTS[0], START, "MainThread")],
    errors=[(START, "ValueError", "no", [("/job.py", 4, "work")], True)],
    calls=[],
)
