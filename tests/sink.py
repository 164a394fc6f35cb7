"""A sink: an OTLP backend of our own, over HTTP and gRPC, which reads strictly and fails as it is told to.

In a test:
    with Sink() as sink:
        sink.script(Answer(503, headers={"Retry-After": "2"}), Answer())    # the next two requests; then all is well
        ...                                                                 # something is sent to sink.http, sink.grpc
        assert sink.problems == []

By itself, for whole programs and benchmarks; it says its addresses in a line of JSON, and its counts when standard
input ends, or to whoever asks for /counts:
    python tests/sink.py --delay 3
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
import socket
import ssl
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc
from google.protobuf.json_format import ParseError
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.trace.v1.trace_pb2 import Span

import strict
from scripted import Answer, Received, Reply

PROTOBUF, JSON = "application/x-protobuf", "application/json"
_DEADLINE_S = 30.0


class Sink:
    """The backend, in threads of this process."""

    def __init__(
        self,
        port: int = 0,
        grpc_port: int = 0,
        default: Answer | None = None,
        default_reply: Reply | None = None,
        tls: tuple[Path, Path] | None = None,
        clients: Path | None = None,
        is_strict: bool = True,
        expects_resends: bool = False,
        grpc_limit: int = 64 << 20,
    ) -> None:
        """*tls*: certificate and key; *clients*: the authority of the certificates that clients must have;
        *grpc_limit*: bytes of a message.

        With *is_strict* not set, requests are counted and forgotten.
        """
        self.requests: list[Received] = []
        self.problems: list[str] = []
        self.counts = {"requests": 0, "spans": 0, "bytes": 0}
        self.is_strict, self.expects_resends = is_strict, expects_resends
        self.default, self.default_reply = default or Answer(), default_reply or Reply()
        self._tls, self._clients = tls, clients
        self._script: deque[Answer | Reply] = deque()
        self._spans: dict[bytes, bytes] = {}  # what came of each id
        self._changed = threading.Condition()
        self._port, self._grpc_port = port, grpc_port
        self._grpc_limit = grpc_limit
        self._stopping = threading.Event()
        self.up()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.down()

    @property
    def http(self) -> str:
        """The base URL for OTLP over HTTP."""
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self._port}"

    @property
    def grpc(self) -> str:
        """The address for OTLP over gRPC."""
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self._grpc_port}"

    def up(self) -> None:
        """Listen, on the same ports as before."""
        self._stopping = threading.Event()
        self._server = _HttpServer(self, self._port, self._context())
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        pool = ThreadPoolExecutor(16)
        self._rpc = grpc.server(
            pool,
            options=[
                ("grpc.so_reuseport", 0),
                ("grpc.max_send_message_length", -1),
                ("grpc.max_receive_message_length", self._grpc_limit),
            ],
        )
        self._rpc.add_generic_rpc_handlers((_Rpc(self),))
        address = f"127.0.0.1:{self._grpc_port}"
        if self._tls is None:
            self._grpc_port = self._rpc.add_insecure_port(address)
        else:
            self._grpc_port = self._rpc.add_secure_port(address, self._credentials())
        self._rpc.start()

    def down(self) -> None:
        """Listen no longer; connections end, and new ones are refused."""
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._rpc.stop(None).wait(_DEADLINE_S)

    def script(self, *answers: Answer | Reply) -> None:
        """Give these answers to the next requests."""
        self._script.extend(answers)

    def await_requests(self, count: int) -> list[Received]:
        """Return the requests as soon as there are *count*."""
        with self._changed:
            enough = self._changed.wait_for(lambda: len(self.requests) >= count, _DEADLINE_S)
        assert enough, f"{len(self.requests)} requests of {count}"
        return list(self.requests)

    def spans(self) -> dict[bytes, Span]:
        """Return the spans that were taken, by id."""
        return {span.span_id: span for one in self.requests if one.is_taken for span in one.spans}

    # For the servers

    def next_answer(self, kind: type[Any], otherwise: Any) -> Any:
        """Return how to answer the request that has come."""
        with self._changed:
            if self._script and isinstance(self._script[0], kind):
                return self._script.popleft()
        return otherwise

    def pause(self, seconds: float) -> None:
        """Wait, but not beyond the sink's end."""
        self._stopping.wait(None if seconds == float("inf") else seconds)

    def take(self, received: Received, is_taken: bool) -> None:
        """Keep one request."""
        received.is_taken = is_taken
        with self._changed:
            self.counts["requests"] += 1
            self.counts["bytes"] += received.size
            self.counts["spans"] += sum(1 for _ in received.spans)
            if self.is_strict:
                self.requests.append(received)
                if received.request is None:
                    self.problems.append(f"{received.path}: no OTLP")
                else:
                    self.problems += strict.problems_in(received.request)
                if is_taken:
                    self._check_copies(received)
            self._changed.notify_all()

    def _check_copies(self, received: Received) -> None:
        for span in received.spans:
            data = span.SerializeToString(deterministic=True)
            before = self._spans.setdefault(span.span_id, data)
            if before is not data and (before != data or not self.expects_resends):
                same = "as before" if before == data else "but different"
                self.problems.append(f"span {span.span_id.hex()} came again, {same}")

    def _context(self) -> ssl.SSLContext | None:
        if self._tls is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self._tls)
        if self._clients is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self._clients)
        return context

    def _credentials(self) -> grpc.ServerCredentials:
        assert self._tls is not None
        certificate, key = self._tls
        clients = self._clients.read_bytes() if self._clients else None
        return grpc.ssl_server_credentials(
            [(key.read_bytes(), certificate.read_bytes())], clients, clients is not None
        )


def parsed(path: str, body: bytes, is_json: bool = False) -> strict.Request | None:
    """Return the request in *body*, None if it is none."""
    try:
        return strict.request_in(path, body, is_json)
    except (ValueError, DecodeError, ParseError):
        return None


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, sink: Sink, port: int, context: ssl.SSLContext | None) -> None:
        self.sink = sink
        self._context = context
        self._open: set[socket.socket] = set()
        self.reset: set[socket.socket] = set()  # connections that end without a farewell
        super().__init__(("127.0.0.1", port), _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        if self._context is not None:
            # The handshake is made by the first read, in the connection's own thread.
            connection = self._context.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        if request in self.reset:
            self.reset.discard(request)
            request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            request.close()
        else:
            super().shutdown_request(request)

    def server_close(self) -> None:
        super().server_close()
        for connection in list(self._open):
            with contextlib.suppress(OSError):  # it has ended by itself
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients go away in the middle, and handshakes fail, because tests have them do so."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _HttpServer

    def do_GET(self) -> None:
        body = json.dumps({**self.server.sink.counts, "problems": self.server.sink.problems})
        self._write(Answer(body=body.encode(), headers={"Content-Type": JSON}))

    def do_CONNECT(self) -> None:
        self._write(self.server.sink.next_answer(Answer, self.server.sink.default))

    def do_POST(self) -> None:
        sink = self.server.sink
        answer: Answer = sink.next_answer(Answer, sink.default)
        size = int(self.headers["Content-Length"])
        if answer.reset_in_request is not None:
            self.rfile.read(min(size, answer.reset_in_request))
            self._reset()
            return
        body = self.rfile.read(size)
        if len(body) < size:
            self.close_connection = True  # the client gave up
            return
        self._keep(body, 200 <= answer.status < 300 and answer.raw is None)
        sink.pause(answer.delay_s)
        self._write(answer)

    def _keep(self, body: bytes, is_taken: bool) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        size = len(body)
        if headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        request = parsed(self.path, body, headers.get("content-type") == JSON)
        peer = str(self.client_address)
        one = Received(self.path, headers, body, size, peer, time.monotonic(), request)
        self.server.sink.take(one, is_taken)

    def _write(self, answer: Answer) -> None:
        sent = 0
        for piece in self._pieces(answer):
            rest = None if answer.reset_after is None else answer.reset_after - sent
            if answer.drip_s:
                for byte in piece:
                    self.wfile.write(bytes([byte]))
                    self.server.sink.pause(answer.drip_s)
            else:
                self.wfile.write(piece[:rest])
            sent += len(piece)
            if rest is not None and len(piece) >= rest:
                self._reset()
                return
        if answer.raw is not None or answer.chunks is not None:
            self.close_connection = True

    def _pieces(self, answer: Answer) -> Iterator[bytes]:
        if answer.raw is not None:
            yield answer.raw
            return
        headers = {"Content-Type": PROTOBUF, **answer.headers}
        if answer.chunks is None:
            headers.setdefault("Content-Length", str(len(answer.body)))
        lines = [f"HTTP/1.1 {answer.status} Whatever"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        yield ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + answer.body
        if answer.chunks is not None:
            yield from answer.chunks()

    def _reset(self) -> None:
        self.close_connection = True
        self.server.reset.add(self.connection)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class _Rpc(grpc.GenericRpcHandler):
    """Takes a call of any method, and reads those of OTLP."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        def answer(body: bytes, context: grpc.ServicerContext) -> bytes:
            return self._answer(details.method, body, context)

        return grpc.unary_unary_rpc_method_handler(answer)

    def _answer(self, method: str, body: bytes, context: grpc.ServicerContext) -> bytes:
        reply: Reply = self._sink.next_answer(Reply, self._sink.default_reply)
        headers = {name: str(value) for name, value in context.invocation_metadata()}
        one = Received(
            method, headers, body, len(body), context.peer(), time.monotonic(), parsed(method, body)
        )
        self._sink.take(one, reply.code is grpc.StatusCode.OK)
        self._sink.pause(reply.delay_s)
        if reply.is_gzip:
            context.set_compression(grpc.Compression.Gzip)
        context.set_trailing_metadata((*reply.trailers, *_details(reply)))
        if reply.code is not grpc.StatusCode.OK:
            context.abort(reply.code, reply.details)
        return reply.body


def _details(reply: Reply) -> Iterator[tuple[str, bytes]]:
    if reply.retry_s is not None:
        info, status = RetryInfo(), Status(code=reply.code.value[0], message=reply.details)
        info.retry_delay.FromNanoseconds(int(reply.retry_s * 1e9))
        status.details.add().Pack(info)
        yield "grpc-status-details-bin", status.SerializeToString()


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(description="An OTLP backend that fails as it is told to.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--grpc-port", type=int, default=0)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--status", type=int, default=200, help="of each answer over HTTP")
    parser.add_argument("--lax", action="store_true", help="count only: for benchmarks")
    options = parser.parse_args()
    default = Answer(options.status, delay_s=options.delay)
    reply = Reply(delay_s=options.delay)
    with Sink(
        options.port,
        options.grpc_port,
        default,
        reply,
        is_strict=not options.lax,
        expects_resends=True,
    ) as sink:
        print(json.dumps({"http": sink.http, "grpc": sink.grpc}), flush=True)
        sys.stdin.read()
        print(json.dumps({**sink.counts, "problems": sink.problems}), flush=True)


if __name__ == "__main__":
    main()
