"""The sink: a process on this machine that takes what all contenders send, answers as a backend would, and counts.

`Sink` starts it and asks for its counts; `python -m benchmarks.sink` is the process itself. It takes OTLP over HTTP as
protobuf, and anything else (Datadog's own protocol) as bytes. Spans are counted by walking three levels of the
protobuf, which costs less than parsing it.
"""

import gzip
import json
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

RESOURCE_SPANS, SCOPE_SPANS, SPANS = 1, 2, 2  # field numbers of opentelemetry/proto/trace/v1


class Sink:
    """The sink's process, from `with` to its end."""

    def __enter__(self) -> Self:
        root = Path(__file__).resolve().parent.parent
        command = [sys.executable, "-m", "benchmarks.sink"]
        self._process = subprocess.Popen(
            command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.communicate(timeout=10)  # it ends with its standard input

    def counts(self) -> dict[str, int]:
        """Return the requests, bytes and spans that came since it was last asked."""
        with urllib.request.urlopen(self.url + "/counts", timeout=10) as answer:
            counts: dict[str, int] = json.load(answer)
        return counts


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    counts: ClassVar = {"requests": 0, "bytes": 0, "spans": 0}
    turn: ClassVar = threading.Lock()

    def do_GET(self) -> None:
        """Tell the counts, and begin anew; or say nothing to whoever asks what we can do."""
        body = b"{}"
        if self.path == "/counts":
            with self.turn:
                body = json.dumps(self.counts).encode()
                self.counts.update(requests=0, bytes=0, spans=0)
        self._answer("application/json", body)

    def do_POST(self) -> None:
        """Take a message."""
        body = self._body()
        spans = count_spans(body) if self.path == "/v1/traces" else 0
        with self.turn:
            self.counts["requests"] += 1
            self.counts["bytes"] += len(body)
            self.counts["spans"] += spans
        if self.path.startswith("/v1/"):
            self._answer("application/x-protobuf", b"")  # an empty response: all was accepted
        else:
            self._answer("application/json", b"{}")

    do_PUT = do_POST

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b"".join(self._chunks())
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def _answer(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: standard error belongs to the benchmarks."""


def count_spans(message: bytes) -> int:
    """Return the number of spans in an ExportTraceServiceRequest."""
    whole = memoryview(message)
    return sum(
        1
        for resource in fields(whole, RESOURCE_SPANS)
        for scope in fields(resource, SCOPE_SPANS)
        for _ in fields(scope, SPANS)
    )


def fields(message: memoryview, number: int) -> Iterator[memoryview]:
    """Yield the fields with this *number*; all fields of these messages are of type LEN."""
    position = 0
    while position < len(message):
        tag, position = varint(message, position)
        size, position = varint(message, position)
        if tag & 7 != 2:
            raise ValueError(f"a field of wire type {tag & 7}")
        if tag >> 3 == number:
            yield message[position : position + size]
        position += size


def varint(message: memoryview, position: int) -> tuple[int, int]:
    """Return the varint at *position*, and where it ends."""
    value = shift = 0
    while True:
        byte = message[position]
        value |= (byte & 127) << shift
        position += 1
        shift += 7
        if byte < 128:
            return value, position


def main() -> None:
    """Serve until standard input ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
