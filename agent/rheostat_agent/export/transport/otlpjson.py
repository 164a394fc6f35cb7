"""OTLP's JSON of a request: protobuf's JSON, but with ids in hexadecimal and enumerations as numbers.

The official packages make that JSON from the SDK's objects, not from protobuf, which is what the delivery has. So
protobuf's own converter does it, and the ids are put right here.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_IDS = ("traceId", "spanId", "parentSpanId")


def json_of(body: bytes, is_traces: bool) -> bytes:
    """Return the request *body*, in protobuf, as JSON. Raises DecodeError if it is none."""
    request = ExportTraceServiceRequest() if is_traces else ExportLogsServiceRequest()
    request.ParseFromString(body)
    values = MessageToDict(request, use_integers_for_enums=True)
    for resource in values.get("resourceSpans", ()):
        for scope in resource.get("scopeSpans", ()):
            for span in scope.get("spans", ()):
                _hex_ids(span)
                for link in span.get("links", ()):
                    _hex_ids(link)
    for resource in values.get("resourceLogs", ()):
        for scope in resource.get("scopeLogs", ()):
            for record in scope.get("logRecords", ()):
                _hex_ids(record)
    return json.dumps(values, separators=(",", ":")).encode()


def _hex_ids(values: dict[str, Any]) -> None:
    for key in _IDS:
        if key in values:
            values[key] = base64.b64decode(values[key]).hex()
