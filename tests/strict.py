"""Strict reading of OTLP: what a backend may rightly ask of a request, checked span by span.

Real backends forgive much. `problems_in` does not: a field that the specification does not know, an id of a wrong
length, an end before its start, a resource without a name.
"""

import base64
import json
from collections.abc import Iterable, Iterator
from typing import Any

from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

_TRACE_ID, _SPAN_ID = 16, 8  # bytes
_LATEST_NS = 1 << 63
_BYTES = {"traceId", "spanId", "parentSpanId"}
_ENUMERATIONS = {"kind", "code", "severityNumber"}

Request = ExportTraceServiceRequest | ExportLogsServiceRequest


def request_in(path: str, body: bytes, is_json: bool) -> Request:
    """Return the request in *body*, which came to *path*. Raises ValueError and protobuf's errors where it is none."""
    is_logs = "logs" in path.lower()
    request = ExportLogsServiceRequest() if is_logs else ExportTraceServiceRequest()
    if is_json:
        ParseDict(_with_bytes(json.loads(body)), request)  # a field that is not known raises
    else:
        request.ParseFromString(body)
    return request


def _with_bytes(values: Any) -> Any:
    """Return OTLP's JSON as protobuf's, which has bytes in base64. Raises ValueError where it is not OTLP's."""
    if isinstance(values, list):
        return [_with_bytes(value) for value in values]
    if not isinstance(values, dict):
        return values
    for key in _ENUMERATIONS & values.keys():
        if not isinstance(values[key], int):
            raise ValueError(f"{key} is {values[key]!r}, not a number")  # noqa: TRY004  # bad data
    return {
        key: base64.b64encode(bytes.fromhex(value)).decode()
        if key in _BYTES
        else _with_bytes(value)
        for key, value in values.items()
    }


def spans_in(request: Request) -> Iterator[Span]:
    """Yield the spans of a request; of logs there are none."""
    if isinstance(request, ExportTraceServiceRequest):
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                yield from scope.spans


def problems_in(request: Request) -> Iterator[str]:
    """Yield what is wrong with a request, in words."""
    yield from _unknown_fields(request)
    if isinstance(request, ExportTraceServiceRequest):
        if not request.resource_spans:
            yield "an empty request"
        for resource in request.resource_spans:
            yield from _resource(resource.resource)
            for scope in resource.scope_spans:
                if not scope.spans:
                    yield "a scope without spans"
                for span in scope.spans:
                    yield from (f"span {span.name!r}: {one}" for one in _span(span))
        return
    if not request.resource_logs:
        yield "an empty request"
    for logs in request.resource_logs:
        yield from _resource(logs.resource)
        for part in logs.scope_logs:
            for record in part.log_records:
                yield from _id("trace id", record.trace_id, _TRACE_ID, may_miss=True)
                yield from _id("span id", record.span_id, _SPAN_ID, may_miss=True)
                yield from _attributes(record.attributes)
                if not 0 < record.time_unix_nano < _LATEST_NS:
                    yield f"a record's time is {record.time_unix_nano}"


def _unknown_fields(message: Message) -> Iterator[str]:
    for field in UnknownFieldSet(message):
        yield f"{message.DESCRIPTOR.name} has a field {field.field_number}, which OTLP has not"
    for descriptor, value in message.ListFields():
        if descriptor.message_type is not None:
            for one in value if descriptor.is_repeated else (value,):
                yield from _unknown_fields(one)


def _resource(resource: Resource) -> Iterator[str]:
    yield from _attributes(resource.attributes)
    values = {one.key: one.value for one in resource.attributes}
    if "service.name" not in values or not values["service.name"].string_value:
        yield "a resource without service.name"


def _span(span: Span) -> Iterator[str]:
    yield from _id("trace id", span.trace_id, _TRACE_ID)
    yield from _id("span id", span.span_id, _SPAN_ID)
    yield from _id("parent id", span.parent_span_id, _SPAN_ID, may_miss=True)
    yield from _attributes(span.attributes)
    if not span.name:
        yield "no name"
    if span.parent_span_id == span.span_id:
        yield "it is its own parent"
    if not 0 < span.start_time_unix_nano <= span.end_time_unix_nano < _LATEST_NS:
        yield f"from {span.start_time_unix_nano} to {span.end_time_unix_nano}"
    if span.kind not in Span.SpanKind.values() or not 0 <= span.status.code <= 2:
        yield f"kind {span.kind}, status {span.status.code}"
    for event in span.events:
        yield from _attributes(event.attributes)
        if not event.name or not 0 < event.time_unix_nano < _LATEST_NS:
            yield f"event {event.name!r} at {event.time_unix_nano}"
    for link in span.links:
        yield from _id("a link's trace id", link.trace_id, _TRACE_ID)
        yield from _id("a link's span id", link.span_id, _SPAN_ID)
        yield from _attributes(link.attributes)


def _id(what: str, value: bytes, size: int, may_miss: bool = False) -> Iterator[str]:
    if may_miss and not value:
        return
    if len(value) != size:
        yield f"{what} of {len(value)} bytes"
    elif not any(value):
        yield f"{what} of zeros"


def _attributes(attributes: Iterable[KeyValue]) -> Iterator[str]:
    seen = set()
    for one in attributes:
        if not one.key:
            yield "an attribute without a name"
        if one.key in seen:
            yield f"attribute {one.key!r} twice"
        seen.add(one.key)
