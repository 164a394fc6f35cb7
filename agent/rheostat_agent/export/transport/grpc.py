"""OTLP over gRPC: one unary call a request, its body as it is.

gRPC keeps the connection, the deadline and the limit on the answer. Its own repeats are off: when to send again is the
delivery's to decide. After a failure the channel is given up, since it would wait up to two minutes before it connects
again, and the next one reads the certificates anew.
"""

from __future__ import annotations

import re
import threading
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]  # no stubs come with it
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from rheostat_agent.configuration.destination import TRACES, Destination
from rheostat_agent.export.backoff import LONGEST_AFTER_S
from rheostat_agent.export.outcome import ABSENT, LATER, REFUSED, TOO_LARGE, Outcome
from rheostat_agent.export.transport.answers import MAX_REQUEST, MAX_RESPONSE, PROTOBUF, Answers
from rheostat_agent.export.transport.certificates import read_file, tls_context
from rheostat_agent.export.transport.reasons import CLOSED, Misconfigured, Reasons, split_url
from rheostat_agent.export.transport.useragent import USER_AGENT

_SERVICES = "/opentelemetry.proto.collector"
_METHODS = {True: "trace.v1.TraceService/Export", False: "logs.v1.LogsService/Export"}
_PORTS = {"http": 80, "https": 443}
_OWN_FORMS = ("dns:", "ipv4:", "ipv6:", "unix:", "unix-abstract:", "xds:")  # of addresses, gRPC's
_OPTIONS = (
    ("grpc.primary_user_agent", USER_AGENT),
    ("grpc.max_receive_message_length", MAX_RESPONSE),
    ("grpc.max_send_message_length", MAX_REQUEST),
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),  # else a new channel has the old one's pause
)
_AGAIN = {
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DATA_LOSS,
}
_FOR_ALL = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}
# What the servers of C++ and Python, Go, and Java say of a request beyond their limit, often of 4 MiB.
_TOO_LARGE = re.compile(r"received message larger than max|exceeds maximum size", re.IGNORECASE)
_ANSWER_TOO_LARGE = re.compile(r"CLIENT: Received message|Decompressed message larger than max")
_KEY, _VALUE = re.compile(r"[0-9a-z_.-]+"), re.compile(r"[ -~]*")  # what gRPC can send


class GrpcTransport:
    """The way to one destination."""

    def __init__(self, destination: Destination) -> None:
        self._destination = destination
        self._reasons = Reasons(destination)
        self._answers = Answers(destination, self._reasons)
        self._metadata = tuple((name.lower(), value) for name, value in destination.headers)
        self._method = f"{_SERVICES}.{_METHODS[destination.signal == TRACES]}"
        self._compression = (
            grpc.Compression.Gzip
            if destination.compression == "gzip"
            else grpc.Compression.NoCompression
        )
        self._lock = threading.Lock()  # over the two attributes below
        self._channel: grpc.Channel | None = None
        self._is_closed = False

    def send(self, body: bytes) -> Outcome:
        """Send *body*, and say what became of it."""
        if len(body) > MAX_REQUEST:
            return Outcome(TOO_LARGE, f"a request of more than {MAX_REQUEST >> 20} MiB")
        try:
            call = self._begin(body)
        except Misconfigured as error:
            return Outcome(LATER, str(error))
        if call is None:
            return Outcome(LATER, CLOSED)
        try:
            return self._answers.of_success(PROTOBUF, call.result())
        except grpc.RpcError:
            return self._failed(call)

    def close(self) -> None:
        """Let go of the connection; a waiting `send` returns."""
        with self._lock:
            self._is_closed = True
        self._drop_channel()

    def _drop_channel(self) -> None:
        with self._lock:
            channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()

    def _begin(self, body: bytes) -> grpc._CallFuture[bytes] | None:
        """Send *body*; return what waits for the answer, None if the transport is closed. Raises Misconfigured."""
        for name, value in self._metadata:
            if not _KEY.fullmatch(name) or not _VALUE.fullmatch(value):
                raise Misconfigured(
                    f"what gRPC cannot send: see {self._reasons.variable('HEADERS')}"
                )
        with self._lock:
            if self._is_closed:
                return None
            if self._channel is None:
                self._channel = self._open()
            method: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(
                self._method
            )
            return method.future(
                body,
                timeout=self._destination.timeout_s,
                metadata=self._metadata,
                compression=self._compression,
            )

    def _open(self) -> grpc.Channel:
        """Return a channel; it connects by itself. Raises Misconfigured."""
        parts = split_url(self._destination.endpoint)
        own = self._destination.endpoint.partition("://")[2]
        target = parts.netloc.rpartition("@")[2]
        if own.startswith(_OWN_FORMS):
            return self._open_at(parts.scheme, own)
        if parts.scheme not in _PORTS or not target:
            raise Misconfigured(f"no address for gRPC: see {self._reasons.variable('ENDPOINT')}")
        if re.search(r":\d+$", target) is None:
            target = f"{target}:{_PORTS[parts.scheme]}"
        return self._open_at(parts.scheme, target)

    def _open_at(self, scheme: str, target: str) -> grpc.Channel:
        if scheme == "http":
            return grpc.insecure_channel(target, _OPTIONS)
        return grpc.secure_channel(target, self._credentials(), _OPTIONS)

    def _credentials(self) -> grpc.ChannelCredentials:
        """Return the files of TLS. Without authorities of the user's, those that come with gRPC are trusted."""
        one = self._destination
        tls_context(one, self._reasons)  # gRPC itself says nothing of a file that it cannot use
        authorities = key = chain = None
        if one.certificate:
            authorities = read_file(one.certificate, "CERTIFICATE", self._reasons)
        if one.client_certificate:
            chain = read_file(one.client_certificate, "CLIENT_CERTIFICATE", self._reasons)
            key = read_file(one.client_key or one.client_certificate, "CLIENT_KEY", self._reasons)
        return grpc.ssl_channel_credentials(authorities, key, chain)

    def _failed(self, call: grpc._CallFuture[bytes]) -> Outcome:
        """Return what became of a call that has ended with an error."""
        code, details = call.code(), call.details() or ""
        after_s = retry_delay_s(call.trailing_metadata())
        reason = f"{code.name}: {self._reasons.clean(details)}".removesuffix(": ")
        if code in _AGAIN:
            self._drop_channel()
            with self._lock:
                reason = CLOSED if self._is_closed else self._reason(code, details) or reason
            return Outcome(LATER, reason, after_s=after_s)
        if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
            if after_s is not None:
                return Outcome(LATER, reason, after_s=after_s)
            if _ANSWER_TOO_LARGE.search(details):
                return self._answers.too_large()
            if _TOO_LARGE.search(details):
                return Outcome(TOO_LARGE, reason)
        if code is grpc.StatusCode.UNIMPLEMENTED:
            return Outcome(ABSENT, reason)
        if code in _FOR_ALL:
            reason += f": see {self._reasons.variable('HEADERS')}"
        return Outcome(REFUSED, reason, is_for_all=code in _FOR_ALL)

    def _reason(self, code: grpc.StatusCode, details: str) -> str:
        """Return the reason where there was no answer; '' where gRPC's own words will do."""
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return self._reasons.no_answer()
        is_secure = self._destination.endpoint.startswith("https:")
        if is_secure and re.search(r"SSL|TSI|Hostname Verification|to connect.*closed", details):
            return self._reasons.of_tls(details)
        if "resolving" in details or "DNS" in details:
            return "cannot resolve its name"
        refused = re.search(r"Failed to connect to remote host: (?:connect: )?([\w ]+)", details)
        return refused[1].strip() if refused else ""


def retry_delay_s(trailers: Any) -> float | None:
    """Return the wait that a google.rpc.RetryInfo in the *trailers* of a call asks for, capped; None without one."""
    for name, value in trailers or ():
        if name == "grpc-status-details-bin":
            status, info = Status(), RetryInfo()
            try:
                status.ParseFromString(value)
                if any(detail.Unpack(info) for detail in status.details):
                    delay = info.retry_delay
                    wait_s: float = delay.seconds + delay.nanos / 1e9
                    return min(max(wait_s, 0.0), LONGEST_AFTER_S)
            except DecodeError:
                return None  # what is no RetryInfo is none
    return None
