"""A real OTLP backend: Datadog's test agent, on loopback, in an environment of its own.

It records each request as it came, so headers and bodies can be looked at. Made on first use under the cache directory.
"""

import base64
import json
import socket
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

from environments import installed
from seen import SeenLog, SeenSpan, logs_in_requests, read_lines, spans_in_requests

_PACKAGE = "ddapm-test-agent>=1.69,<2"
_READY_S = 60.0


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Backend:
    """One backend. It is down until `start`, and again after `stop`; its address stays the same."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._own, self._http, self._grpc = free_port(), free_port(), free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        """What OTEL_EXPORTER_OTLP_ENDPOINT is to be."""
        return f"http://127.0.0.1:{self._http}"

    @property
    def grpc_endpoint(self) -> str:
        """The same for the protocol grpc."""
        return f"http://127.0.0.1:{self._grpc}"

    def start(self) -> None:
        """Start it, and return when it answers."""
        ports = ["--port", str(self._own), "--otlp-http-port", str(self._http)]
        ports += ["--otlp-grpc-port", str(self._grpc)]
        command = installed("ddapm", _PACKAGE) / "ddapm-test-agent"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [command, "--host", "127.0.0.1", *ports], stdout=log, stderr=log
            )
        until = time.monotonic() + _READY_S
        while not self._answers():
            assert time.monotonic() < until, self._log.read_text()
            time.sleep(0.05)  # a poll of a port, which nothing can wait for

    def _answers(self) -> bool:
        try:
            _get(f"http://127.0.0.1:{self._own}/info")
            self.requests()
        except OSError:
            return False
        return True

    def stop(self) -> None:
        """Kill it; connections to it are refused from then on."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def requests(self) -> list[dict[str, Any]]:
        """Return the requests that came: headers, url, and the body as bytes."""
        found = json.loads(_get(f"{self.endpoint}/test/session/requests"))
        return [{**one, "body": base64.b64decode(one["body"])} for one in found]

    def spans(self) -> list[SeenSpan]:
        """Return the spans of all requests, in the order in which they came."""
        return [span for request in self._told("traces") for span in _spans_in(request)]

    def log_records(self) -> list[SeenLog]:
        """Return the log records of all requests."""
        return [record for request in self._told("logs") for record in _logs_in(request)]

    def _told(self, signal: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(_get(f"{self.endpoint}/test/session/{signal}"))
        return found

    def clear(self) -> None:
        """Forget what came."""
        _get(f"http://127.0.0.1:{self._own}/test/session/clear")


def _spans_in(request: dict[str, Any]) -> list[SeenSpan]:
    if "resourceSpans" in request:  # what came as OTLP's JSON is given back as it came
        return read_lines(json.dumps(request))[0]
    return spans_in_requests([request])


def _logs_in(request: dict[str, Any]) -> list[SeenLog]:
    if "resourceLogs" in request:
        return read_lines(json.dumps(request))[1]
    return logs_in_requests([request])


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as answer:
        data: bytes = answer.read()
        return data
