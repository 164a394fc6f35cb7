"""The sink itself: what it says of requests that are not as they should be."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from sending import send, spans, to

import sink as sinks
import strict
from sink import Sink

_UNKNOWN = b"\xf8\x07\x01"  # field 127


def spoiled(change: Callable[[Span], None]) -> list[str]:
    """Return what is wrong with a request whose span was changed."""
    request = ExportTraceServiceRequest.FromString(spans())
    change(request.resource_spans[0].scope_spans[0].spans[0])
    return list(strict.problems_in(request))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda span: span.MergeFromString(_UNKNOWN), "Span has a field 127, which OTLP has not"),
        (lambda span: setattr(span, "trace_id", b"\1" * 15), "trace id of 15 bytes"),
        (lambda span: setattr(span, "span_id", bytes(8)), "span id of zeros"),
        (lambda span: setattr(span, "parent_span_id", b"\1"), "parent id of 1 bytes"),
        (lambda span: setattr(span, "parent_span_id", span.span_id), "it is its own parent"),
        (lambda span: setattr(span, "end_time_unix_nano", 5), "to 5"),
        (lambda span: setattr(span, "start_time_unix_nano", 0), "from 0"),
        (lambda span: setattr(span, "name", ""), "no name"),
        (lambda span: setattr(span, "kind", 9), "kind 9"),
        (lambda span: span.links.add(), "a link's span id of 0 bytes"),
        (lambda span: span.events.add(), "event ''"),
        (lambda span: span.attributes.add(), "an attribute without a name"),
    ],
)
def test_each_flaw_is_named(change: Callable[[Span], None], problem: str) -> None:
    """A span with one flaw is told by it; without, nothing is."""
    assert spoiled(lambda span: None) == []
    assert any(problem in one for one in spoiled(change))


def test_a_resource_needs_a_name() -> None:
    """A resource without service.name is a flaw."""
    request = ExportTraceServiceRequest.FromString(spans())
    del request.resource_spans[0].resource.attributes[:]
    assert list(strict.problems_in(request)) == ["a resource without service.name"]


@pytest.mark.parametrize("body", [b"\xff", b""])
def test_what_is_no_request_is_named(sink: Sink, body: bytes) -> None:
    """Garbage, and a request of nothing, are flaws."""
    headers = {"Content-Type": sinks.PROTOBUF}
    request = urllib.request.Request(sink.http + "/v1/traces", body, headers)
    urllib.request.urlopen(request, timeout=10).close()
    assert sink.problems == ["/v1/traces: no OTLP" if body else "an empty request"]


def test_a_span_that_comes_twice_is_named(sink: Sink) -> None:
    """A copy is a flaw, unless copies are expected; one that differs always is."""
    send(to(sink.http), spans(1))
    send(to(sink.http), spans(1))
    assert sink.problems == ["span 0000000000000001 came again, as before"]

    sink.problems.clear()
    sink.expects_resends = True
    send(to(sink.http), spans(1))
    assert sink.problems == []
    send(to(sink.http), spans(1).replace(b"step", b"leap"))
    assert sink.problems == ["span 0000000000000001 came again, but different"]


def test_json_with_a_field_of_no_kind_is_named(sink: Sink) -> None:
    """In JSON a name that OTLP does not know, and an enumeration by its name, are flaws."""
    for values in (
        {"resource_spams": []},
        {"resourceSpans": [{"scopeSpans": [{"spans": [{"kind": "X"}]}]}]},
    ):
        body = json.dumps(values).encode()
        request = urllib.request.Request(
            sink.http + "/v1/traces", body, {"Content-Type": sinks.JSON}
        )
        urllib.request.urlopen(request, timeout=10).close()
    assert sink.problems == ["/v1/traces: no OTLP"] * 2


def test_the_sink_serves_by_itself() -> None:
    """As a program it says where it is, counts, and ends with its standard input."""
    command = [sys.executable, str(Path(sinks.__file__)), "--lax"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        addresses = json.loads(process.stdout.readline())
        send(to(addresses["http"]), spans(3))
        send(to(addresses["grpc"], protocol="grpc"), spans(4))
        process.stdin.close()
        counts = json.loads(process.stdout.read())
        assert process.wait(30) == 0

    size = len(spans(3)) + len(spans(4))
    assert counts == {"requests": 2, "spans": 7, "bytes": size, "problems": []}
