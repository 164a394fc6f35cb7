"""Telemetry as values, whichever way it came: from a backend's own JSON, or from lines of OTLP in JSON."""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.json_format import MessageToDict, ParseDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

Attributes = dict[str, Any]
_ID_KEYS = ("traceId", "spanId", "parentSpanId")


@dataclass(frozen=True, slots=True)
class SeenSpan:
    """One span as a backend has it. Ids as the history has them (signed); times in nanoseconds since the epoch."""

    name: str
    kind: str
    trace: str  # hexadecimal
    id: int
    parent: int | None
    start_ns: int
    end_ns: int
    attributes: Attributes
    status: str  # "", or STATUS_CODE_ERROR
    description: str
    events: list[tuple[str, int, Attributes]]
    resource: Attributes
    schemas: tuple[str, str]  # of the resource, of the scope
    scope: tuple[str, str]  # name and version


@dataclass(frozen=True, slots=True)
class SeenLog:
    """One log record."""

    event: str
    severity: str
    trace: str
    span: int
    time_ns: int
    attributes: Attributes
    resource: Attributes


def spans_in_requests(requests: list[dict[str, Any]]) -> list[SeenSpan]:
    """Return the spans of requests in protobuf's JSON with the names of fields as they are declared."""
    return [
        _span(span, whole, part)
        for request in requests
        for whole in request.get("resource_spans", [])
        for part in whole["scope_spans"]
        for span in part["spans"]
    ]


def logs_in_requests(requests: list[dict[str, Any]]) -> list[SeenLog]:
    """Return the log records of requests in that form."""
    return [record for request in requests for record in _logs(request)]


def read_lines(text: str) -> tuple[list[SeenSpan], list[SeenLog]]:
    """Return the spans and log records in lines of OTLP's JSON. Raises ParseError where a line is not that."""
    spans: list[SeenSpan] = []
    logs: list[SeenLog] = []
    for line in text.splitlines():
        values = _with_bytes(json.loads(line))
        message = (
            ExportLogsServiceRequest if "resourceLogs" in values else ExportTraceServiceRequest
        )
        parsed = MessageToDict(ParseDict(values, message()), preserving_proto_field_name=True)
        spans += spans_in_requests([parsed])
        logs += _logs(parsed)
    return spans, logs


def _with_bytes(values: Any) -> Any:
    """Return *values* with ids as protobuf's JSON has bytes: OTLP has them in hexadecimal instead."""
    if isinstance(values, list):
        return [_with_bytes(value) for value in values]
    if not isinstance(values, dict):
        return values
    return {
        key: base64.b64encode(bytes.fromhex(value)).decode()
        if key in _ID_KEYS
        else _with_bytes(value)
        for key, value in values.items()
    }


def _span(span: dict[str, Any], whole: dict[str, Any], part: dict[str, Any]) -> SeenSpan:
    status = span.get("status", {})
    return SeenSpan(
        name=span["name"],
        kind=span["kind"],
        trace=base64.b64decode(span["trace_id"]).hex(),
        id=_number(span["span_id"]),
        parent=_number(span["parent_span_id"]) if span.get("parent_span_id") else None,
        start_ns=int(span["start_time_unix_nano"]),
        end_ns=int(span["end_time_unix_nano"]),
        attributes=_attributes(span),
        status=status.get("code", ""),
        description=status.get("message", ""),
        events=[
            (event["name"], int(event["time_unix_nano"]), _attributes(event))
            for event in span.get("events", [])
        ],
        resource=_attributes(whole["resource"]),
        schemas=(whole.get("schema_url", ""), part.get("schema_url", "")),
        scope=(part["scope"]["name"], part["scope"]["version"]),
    )


def _logs(request: dict[str, Any]) -> Iterator[SeenLog]:
    for whole in request.get("resource_logs", []):
        for part in whole["scope_logs"]:
            for record in part["log_records"]:
                yield SeenLog(
                    event=record["event_name"],
                    severity=record["severity_number"],
                    trace=base64.b64decode(record["trace_id"]).hex(),
                    span=_number(record["span_id"]),
                    time_ns=int(record["time_unix_nano"]),
                    attributes=_attributes(record),
                    resource=_attributes(whole["resource"]),
                )


def _number(text: str) -> int:
    return int.from_bytes(base64.b64decode(text), signed=True)


def _attributes(holder: dict[str, Any]) -> Attributes:
    return {one["key"]: _value(one["value"]) for one in holder.get("attributes", [])}


def _value(value: dict[str, Any]) -> Any:
    ((kind, inner),) = value.items()
    if kind == "int_value":
        return int(inner)
    if kind == "array_value":
        return [_value(one) for one in inner.get("values", [])]
    return inner
