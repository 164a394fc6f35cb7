"""What is sent is what OpenTelemetry's own encoder would send, and no name spoils what is sent beside it."""

import tracemalloc
from typing import Any

import pytest
from encoded import (
    IDENTS,
    START,
    TRACE,
    USUAL,
    Content,
    Thread,
    add_threads,
    any_texts,
    contents,
    cut,
    decoded,
    decoded_part,
    history_of,
    limits,
    maker_of,
    official,
    threads,
    usual_row,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs as official_logs
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from rheostat_agent.configuration.otel import Limits
from rheostat_agent.export.encoding import TraceEncoder, encode_logs
from rheostat_agent.export.policy import Omitted
from rheostat_agent.export.spans import SpanMaker, clean
from rheostat_agent.history.query import Span, read_processes

SAMPLED_STATES = st.sampled_from(["", "vendor=1,other=2"])


@settings(deadline=None, max_examples=200)
@given(contents, st.lists(threads, max_size=3), limits, SAMPLED_STATES, any_texts)
def test_requests_are_what_the_official_encoder_makes(
    content: Content, later: list[Thread], limit: Limits, state: str, text: str
) -> None:
    """Calls of every kind, in two batches between which threads become known, decode to the same request."""
    history = history_of(content)
    ours, theirs = maker_of(history, state, text=text), maker_of(history, state, text=text)
    encoder = TraceEncoder(ours, limit)
    half = len(content.calls) // 2
    parts, spans = [], []
    for calls in (content.calls[:half], content.calls[half:]):
        for row, omitted, _ in calls:
            span = Span(*row)
            parts.append((span.process, encoder.call(row, span.parent, omitted)))
            spans.append(theirs.call(span, span.parent, omitted))
        add_threads(history, later)
        ours.refresh()
        theirs.refresh()
    for process in read_processes(history):
        parts.append((process.id, encoder.process(process, process.parent_span_id, None)))
        spans.append(theirs.process(process, process.parent_span_id))

    assert decoded(encoder, parts) == official(spans, limit)
    size = len(encoder.request(parts))
    processes = {process for process, _ in parts}
    assert size <= sum(len(part) for _, part in parts) + sum(map(encoder.overhead, processes))


@settings(deadline=None)
@given(contents, limits, st.integers(1, 1 << 62))
def test_placeholders_are_what_the_official_encoder_makes(
    content: Content, limit: Limits, now_ns: int
) -> None:
    """Of calls that go on and of processes that live; they say that they are, and end now."""
    history = history_of(content)
    maker = maker_of(history)
    encoder = TraceEncoder(maker, limit)
    parts, spans = [], []
    for row, _, _ in content.calls:
        span = Span(*row)
        parts.append((span.process, encoder.pending(row, span.parent, now_ns)))
        spans.append(maker.pending(span, span.parent, now_ns))
    for process in read_processes(history):
        parts.append((process.id, encoder.pending_process(process, None, now_ns)))
        spans.append(maker.pending_process(process, None, now_ns))

    assert decoded(encoder, parts) == official(spans, limit)
    assert all(span.attributes["rheostat.pending"] is True for span in spans)
    assert all(span.end_time == now_ns for span in spans)


@settings(deadline=None)
@given(contents, limits, any_texts)
def test_log_records_are_what_the_official_encoder_makes(
    content: Content, limit: Limits, text: str
) -> None:
    """Every exception that was described decodes to the same record, cut to the limits."""
    records = list(maker_of(history_of(content), text=text).logs())
    expected = official_logs(records)
    for resource in expected.resource_logs:
        for scope in resource.scope_logs:
            for record in scope.log_records:
                cut(record, limit.log_attribute_count, limit.log_attribute_length)

    assert ExportLogsServiceRequest.FromString(encode_logs(records, limit)) == expected


@given(any_texts)
def test_any_text_becomes_valid(text: str) -> None:
    """UTF-8 can hold it, NUL is gone, and a text that was valid stays as it was."""
    cleaned = clean(text)

    cleaned.encode()
    assert "\0" not in cleaned
    if not any("\ud800" <= character <= "\udfff" for character in text):
        assert cleaned == text.replace("\0", "")


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("a\udcffb", "a\ufffdb"),
        ("\ud83d\udc0d", "\U0001f40d"),
        ("\ud83d", "\ufffd"),
        ("\ud83dx\0", "\ufffdx"),
        ("\u202e\x1b[31mred", "\u202e\x1b[31mred"),
    ],
)
def test_what_utf8_cannot_hold_is_replaced(text: str, cleaned: str) -> None:
    """A lone surrogate by one U+FFFD, halves of a pair by what they mean; controls are the terminal's business."""
    assert clean(text) == cleaned


def test_the_second_call_is_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once a function was called on a thread, the official encoder has no part in its further calls."""
    maker = maker_of(history_of(USUAL))
    encoder = TraceEncoder(maker, Limits())
    encoder.call(usual_row(), 12, None)
    monkeypatch.delattr(SpanMaker, "call")

    span = decoded_part(encoder.call(usual_row(id=-2, start_ns=START + 5), -3, None))

    assert (span.span_id, span.parent_span_id) == (b"\xff" * 7 + b"\xfe", b"\xff" * 7 + b"\xfd")
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (START + 5, START + 1000)
    assert span.trace_id == TRACE.to_bytes(16)


def test_forks_share_templates(monkeypatch: pytest.MonkeyPatch) -> None:
    """The main thread of a fork is that of its parent to a template: a thousand forks need but one."""
    history = history_of(USUAL)
    add_threads(history, [Thread(2, IDENTS[0], START, "MainThread")])
    maker = maker_of(history)
    encoder = TraceEncoder(maker, Limits())
    encoder.call(usual_row(), 12, None)
    monkeypatch.delattr(SpanMaker, "call")

    assert decoded_part(encoder.call(usual_row(process=2), 12, None)).name == "job.work"


def test_a_name_holds_from_when_the_thread_had_it() -> None:
    """An ident that is used again, as the encoder comes to know only now, is another thread from then on."""
    history = history_of(USUAL)
    maker = maker_of(history)
    encoder = TraceEncoder(maker, Limits())
    encoder.call(usual_row(start_ns=START + 9), 12, None)
    add_threads(history, [Thread(1, IDENTS[0], START + 5, "other")])
    maker.refresh()

    names = []
    for start_ns in (START + 4, START + 5, START + 4):
        span = decoded_part(encoder.call(usual_row(start_ns=start_ns), 12, None))
        names += [one.value.string_value for one in span.attributes if one.key == "thread.name"]

    assert names == ["MainThread", "other", "MainThread"]


def test_an_id_without_sign_is_taken() -> None:
    """A parent outside the run comes as W3C Trace Context has it."""
    encoder = TraceEncoder(maker_of(history_of(USUAL)), Limits())

    span = decoded_part(encoder.call(usual_row(), 0xF0F0F0F0F0F0F0F0, None))

    assert span.parent_span_id == b"\xf0" * 8


def test_a_call_tells_what_was_omitted_below_it() -> None:
    """How many calls, and for how many seconds."""
    encoder = TraceEncoder(maker_of(history_of(USUAL)), Limits())

    span = decoded_part(encoder.call(usual_row(), 12, Omitted(7, 1_500_000_000)))

    values: dict[str, Any] = {one.key: one.value for one in span.attributes}
    assert values["rheostat.omitted.calls"].int_value == 7
    assert values["rheostat.omitted.duration"].double_value == 1.5


def test_a_process_hangs_below_what_the_run_was_started_from() -> None:
    """That span is of another process, and the flags of the program's say so; those of its children do not."""
    history = history_of(USUAL)
    encoder = TraceEncoder(maker_of(history), Limits())
    program, child, _ = read_processes(history)

    spans = [decoded_part(encoder.process(each, 0xAB, None)) for each in (program, child)]

    assert [span.parent_span_id[-1] for span in spans] == [0xAB, 0xAB]
    assert [span.flags for span in spans] == [0x300, 0x100]


def test_a_huge_name_is_cut() -> None:
    """A name of megabytes leaves the request it is in small enough for any backend, its neighbours as they are."""
    huge = USUAL._replace(functions=[("n" * 5_000_000, "f" * 5_000_000, 1), *USUAL.functions[1:]])
    encoder = TraceEncoder(maker_of(history_of(huge)), Limits())

    parts = [(1, encoder.call(usual_row(function=number), 12, None)) for number in (1, 2)]

    (resource,) = decoded(encoder, parts).resource_spans
    names = [span.name for span in resource.scope_spans[0].spans]
    assert names == ["n" * 4096, "job.work"]
    assert len(encoder.request(parts)) < 20_000


def test_templates_take_a_bounded_memory() -> None:
    """However many threads call however long a name."""
    long = USUAL._replace(functions=[("n" * 4096, "f" * 4096, 1)] * 3)
    encoder = TraceEncoder(maker_of(history_of(long)), Limits())
    encoder.call(usual_row(), 12, None)
    tracemalloc.start()
    try:
        for ident in range(1500):
            encoder.call(usual_row(thread=ident), 12, None)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert 1_000_000 < kept < 8_000_000  # 1500 templates would take 18 MB
