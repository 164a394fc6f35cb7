"""Phoenix and MLflow, as their users install and start them; on loopback, with nothing kept between tests.

Whoever starts one stops it: all of its processes die with it.
"""

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from stored import Stored, parse

from backend import free_port
from environments import installed

_READY_S = 180.0  # the first start of either compiles hundreds of modules
_INSTALL_S = 900.0


class Server(ABC):
    """A backend that is up from `start` to `stop`."""

    def __init__(self, folder: Path) -> None:
        """Everything of it lies in *folder*."""
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    @property
    def endpoint(self) -> str:
        """What OTEL_EXPORTER_OTLP_ENDPOINT is to be, for HTTP."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def headers(self) -> dict[str, str]:
        """What it asks of each request, as OTEL_EXPORTER_OTLP_HEADERS."""
        return {}

    @abstractmethod
    def command(self) -> list[str | Path]:
        """Return how to start it; installs it where it is not."""

    @abstractmethod
    def variables(self) -> dict[str, str]:
        """Return its own environment variables."""

    @abstractmethod
    def ready_path(self) -> str:
        """Return the path that answers once it is up."""

    @abstractmethod
    def spans(self, trace: str) -> list[Stored]:
        """Return the spans of a trace (32 hexadecimal digits) as its own API has them."""

    def start(self) -> None:
        """Start it, and return when it answers."""
        self._folder.mkdir(parents=True, exist_ok=True)
        log = self._folder / "log"
        clean = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
        command = self.command()
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                command,
                cwd=self._folder,
                env={**clean, **self.variables()},
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        until = time.monotonic() + _READY_S
        while not self._answers():
            assert self._process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.2)  # a poll of a port, which nothing can wait for

    def _answers(self) -> bool:
        try:
            self._open(self.ready_path())
        except OSError:
            return False
        return True

    def stop(self) -> None:
        """Kill it, with the processes that it started."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def get(self, path: str, **query: str) -> Any:
        """Return what it answers as JSON."""
        return json.loads(self._open(f"{path}?{urllib.parse.urlencode(query)}"))

    def _open(self, path: str) -> bytes:
        request = urllib.request.Request(self.endpoint + path, headers=self.headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            data: bytes = answer.read()
            return data


class Phoenix(Server):
    """arize-phoenix: a store of traces alone, over HTTP and gRPC; with its authentication if there is a *secret*."""

    def __init__(self, folder: Path, secret: str | None = None) -> None:
        """*secret*: that of the administrator, at least 32 characters with a digit."""
        super().__init__(folder)
        self._secret = secret
        self._grpc_port = free_port()

    @property
    def grpc_endpoint(self) -> str:
        """What OTEL_EXPORTER_OTLP_ENDPOINT is to be, for gRPC."""
        return f"http://127.0.0.1:{self._grpc_port}"

    @property
    def headers(self) -> dict[str, str]:
        """With authentication, a bearer token."""
        return {"authorization": f"Bearer {self._secret}"} if self._secret else {}

    def command(self) -> list[str | Path]:
        """Return `phoenix serve`."""
        return [installed("phoenix", "arize-phoenix>=20,<21", timeout_s=_INSTALL_S) / "phoenix", "serve"]  # fmt: skip

    def variables(self) -> dict[str, str]:
        """Return ports, folder, and secrets."""
        own = {
            "PHOENIX_HOST": "127.0.0.1",
            "PHOENIX_PORT": str(self.port),
            "PHOENIX_GRPC_PORT": str(self._grpc_port),
            "PHOENIX_WORKING_DIR": str(self._folder),
            "PHOENIX_TELEMETRY_ENABLED": "false",
        }
        if self._secret:
            own |= {
                "PHOENIX_ENABLE_AUTH": "True",
                "PHOENIX_SECRET": self._secret[::-1],
                "PHOENIX_ADMIN_SECRET": self._secret,
            }
        return own

    def ready_path(self) -> str:
        """Return the path of its health check, which asks for no token."""
        return "/healthz"

    def spans(self, trace: str) -> list[Stored]:
        """Return the spans of *trace*, page by page."""
        found: list[Stored] = []
        query = {"trace_id": trace, "limit": "1000"}
        while True:
            page = self.get("/v1/projects/default/spans/otlpv1", **query)
            found += map(parse, page["data"])
            if not page["next_cursor"]:
                return found
            query["cursor"] = page["next_cursor"]


class Mlflow(Server):
    """MLflow: traces over HTTP alone, each request with the experiment that it belongs to."""

    @property
    def headers(self) -> dict[str, str]:
        """Return the experiment."""
        return {"x-mlflow-experiment-id": "0"}

    def command(self) -> list[str | Path]:
        """Return `mlflow server` on SQLite."""
        mlflow = installed("mlflow", "mlflow>=3.17,<4", timeout_s=_INSTALL_S) / "mlflow"
        store = ["--backend-store-uri", "sqlite:///store.db", "--default-artifact-root", "./art"]
        return [mlflow, "server", *store, "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]  # fmt: skip

    def variables(self) -> dict[str, str]:
        """Return what turns its own telemetry and its runner of jobs off."""
        return {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}

    def ready_path(self) -> str:
        """Return the path of its health check."""
        return "/health"

    def spans(self, trace: str) -> list[Stored]:
        """Return the spans of *trace*; none before it knows of the trace."""
        try:
            found = self.get("/api/3.0/mlflow/traces/get", trace_id=f"tr-{trace}")
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return []
            raise
        return [parse(span) for span in found["trace"].get("spans", [])]
