"""A real OTLP backend: Datadog's test agent, on loopback, in an environment of its own.

It records each request as it came, so headers and bodies can be looked at. Made on first use under the cache directory.
"""

import base64
import fcntl
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from seen import SeenSpan, spans_in_requests

_PACKAGE = "ddapm-test-agent>=1.69,<2"
_READY_S = 60.0


def installed() -> Path:
    """Return the test agent's command, installed if it was not there."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rheostat-tests"
    cache.mkdir(parents=True, exist_ok=True)
    command = cache / "ddapm" / "bin" / "ddapm-test-agent"
    with (cache / "ddapm.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several workers of pytest may come here at once
        if not command.exists():
            subprocess.run([sys.executable, "-m", "venv", cache / "ddapm"], check=True)
            pip = [cache / "ddapm/bin/pip", "install", "--quiet", _PACKAGE]
            subprocess.run(pip, check=True, capture_output=True, timeout=300)
    return command


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

    def start(self) -> None:
        """Start it, and return when it answers."""
        ports = ["--port", str(self._own), "--otlp-http-port", str(self._http)]
        ports += ["--otlp-grpc-port", str(self._grpc)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [installed(), "--host", "127.0.0.1", *ports], stdout=log, stderr=log
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
        return spans_in_requests(json.loads(_get(f"{self.endpoint}/test/session/traces")))

    def clear(self) -> None:
        """Forget what came."""
        _get(f"http://127.0.0.1:{self._own}/test/session/clear")


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as answer:
        data: bytes = answer.read()
        return data
