"""Answers: what an answer of a backend says of the request, by the rules of OTLP's specification.

429, 502, 503 and 504 ask for the request again; every other status but success is for ever. An answer that is larger
than 4 MiB is a refusal, whatever its status. Success with a partial_success is success: what was rejected is not sent
again.
"""

from __future__ import annotations

import json
import time
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from google.protobuf import json_format
from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # no stubs come with it
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from rheostat_agent.configuration.destination import TRACES, Destination
from rheostat_agent.export.backoff import LONGEST_AFTER_S
from rheostat_agent.export.outcome import ABSENT, LATER, REFUSED, TAKEN, TOO_LARGE, Outcome
from rheostat_agent.export.transport.reasons import Reasons

MAX_REQUEST = 64 << 20  # bytes before compression; the specification's limits
MAX_RESPONSE = 4 << 20  # bytes after decompression
_FOR_ALL = {
    401,
    403,
    407,
    415,
    422,
}  # about the sender or the form, not about what this request holds
_AGAIN = {429, 502, 503, 504}
_THROTTLED = {429, 503}  # those in which Retry-After has a meaning
_LOOK_AT = {401: "HEADERS", 403: "HEADERS", 415: "PROTOCOL"}
_KINDS = {404: ABSENT, 405: ABSENT, 501: ABSENT, 413: TOO_LARGE}
JSON, PROTOBUF = "application/json", "application/x-protobuf"


class Answers:
    """Reads the answers of one destination."""

    def __init__(self, destination: Destination, reasons: Reasons) -> None:
        self._is_traces = destination.signal == TRACES
        self._reasons = reasons

    def of_status(self, status: int, retry_after: str | None = None, message: str = "") -> Outcome:
        """Return what a *status* other than success says; *message* is the backend's own."""
        reason = f"{status} {_phrase(status)}".strip()
        if message:
            reason += f": {self._reasons.clean(message)}"
        if status in _AGAIN:
            after_s = seconds_after(retry_after, time.time()) if status in _THROTTLED else None
            return Outcome(LATER, reason, after_s=after_s)
        if status in _LOOK_AT:
            reason += f": see {self._reasons.variable(_LOOK_AT[status])}"
        return Outcome(_KINDS.get(status, REFUSED), reason, is_for_all=status in _FOR_ALL)

    def unreadable(self) -> Outcome:
        """Return what success with an answer that cannot be read is."""
        return Outcome(TAKEN, "taken, but its answer is not OTLP's")

    def too_large(self) -> Outcome:
        """Return what an answer beyond the limit is."""
        return Outcome(REFUSED, f"an answer of more than {MAX_RESPONSE >> 20} MiB")

    def of_success(self, kind: str, body: bytes) -> Outcome:
        """Return what an answer of success says. *kind* is its Content-Type.

        A page of HTML is no success: a portal or a log-in page that answers for the backend says 200 too, and what was
        sent is nowhere. It may be gone in an hour, so the request is kept to be sent again; sending twice does no harm.
        Anything else that is not OTLP's answer comes from backends that are lax about it ('ok', '{}'): the status is
        what the specification has them say, so it is taken, with a warning.
        """
        if kind.startswith("text/html") or body.lstrip()[:1] == b"<":
            return Outcome(LATER, "a page of HTML, not OTLP's answer: a log-in page or a proxy?")
        answer = self._empty()
        try:
            if kind.startswith(JSON) or body.lstrip()[:1] == b"{":
                json_format.ParseDict(json.loads(body), answer, ignore_unknown_fields=True)
            else:
                answer.ParseFromString(body)
        except (ValueError, RecursionError, DecodeError, json_format.ParseError):
            return self.unreadable()
        return self._partial(answer)

    def _empty(self) -> ExportTraceServiceResponse | ExportLogsServiceResponse:
        return ExportTraceServiceResponse() if self._is_traces else ExportLogsServiceResponse()

    def _partial(self, answer: ExportTraceServiceResponse | ExportLogsServiceResponse) -> Outcome:
        if isinstance(answer, ExportTraceServiceResponse):
            rejected = answer.partial_success.rejected_spans
        else:
            rejected = answer.partial_success.rejected_log_records
        reason = self._reasons.clean(answer.partial_success.error_message)
        return Outcome(TAKEN, reason, max(rejected, 0))


def message_in(kind: str, body: bytes) -> str:
    """Return the message of an OTLP error, which is a google.rpc.Status; '' if *body* is none."""
    status = Status()
    try:
        if kind.startswith(PROTOBUF):
            status.ParseFromString(body)
        elif kind.startswith(JSON):
            json_format.ParseDict(json.loads(body), status, ignore_unknown_fields=True)
    except (ValueError, RecursionError, DecodeError, json_format.ParseError):
        return ""
    return str(status.message)


def seconds_after(text: str | None, now_s: float) -> float | None:
    """Return the seconds that a Retry-After header asks for, capped; None if it is absent, past or no such value.

    *now_s*: seconds since the epoch, for the form that is a date.
    """
    text = (text or "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), LONGEST_AFTER_S)
    try:
        wait_s = parsedate_to_datetime(text).timestamp() - now_s
    except (ValueError, TypeError, OverflowError):
        return None
    return min(wait_s, LONGEST_AFTER_S) if wait_s >= 0 else None


def _phrase(status: int) -> str:
    """Return HTTP's own phrase: the one that came may be anything."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
