"""Requests to send, and the way to where they go."""

from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsPartialSuccess,
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from rheostat_agent.configuration.destination import LOGS, TRACES, Destination
from rheostat_agent.export.outcome import Outcome
from rheostat_agent.export.transport import open_transport

SECRET = "tok-5ecret-value"
HEADERS = (("authorization", f"Bearer {SECRET}"),)


def spans(count: int = 1, first: int = 1) -> bytes:
    """Return a request of *count* spans, numbered from *first*."""
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    _name(resource.resource.attributes.add())
    scope = resource.scope_spans.add()
    for number in range(first, first + count):
        scope.spans.add(
            trace_id=b"\1" * 16,
            span_id=number.to_bytes(8),
            name="step",
            start_time_unix_nano=10**18,
            end_time_unix_nano=10**18 + number,
        )
    return request.SerializeToString()


def records() -> bytes:
    """Return a request of one log record."""
    request = ExportLogsServiceRequest()
    resource = request.resource_logs.add()
    _name(resource.resource.attributes.add())
    resource.scope_logs.add().log_records.add(time_unix_nano=10**18)
    return request.SerializeToString()


def _name(attribute: Any) -> None:
    attribute.key = "service.name"
    attribute.value.string_value = "test"


def spans_rejected(count: int, message: str = "") -> bytes:
    """Return the answer of a backend that took spans in part."""
    part = ExportTracePartialSuccess(rejected_spans=count, error_message=message)
    return ExportTraceServiceResponse(partial_success=part).SerializeToString()


def records_rejected(count: int) -> bytes:
    """Return the answer of a backend that took log records in part."""
    part = ExportLogsPartialSuccess(rejected_log_records=count)
    return ExportLogsServiceResponse(partial_success=part).SerializeToString()


def to(base: str, **more: Any) -> Destination:
    """Return the destination at *base*: of traces, if nothing else is said."""
    path = "" if more.get("protocol") == "grpc" else f"/v1/{more.get('signal', TRACES)}"
    return Destination(**{"signal": TRACES, "endpoint": base + path, "timeout_s": 10.0, **more})


def send(destination: Destination, body: bytes | None = None) -> Outcome:
    """Send one request by a transport of its own, and say what became of it."""
    transport = open_transport(destination)
    try:
        return transport.send(body or (records() if destination.signal == LOGS else spans()))
    finally:
        transport.close()
