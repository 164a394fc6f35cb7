"""The peers: an environment for each, as its manual tells to install it, and what it needs to send to our sink.

Environments are made once under the cache directory, named by what is in them. The versions are those that installed
when the figures in docs/performance.md were measured.
"""

import hashlib
import os
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer, or the plain interpreter if it needs nothing."""

    name: str
    requirements: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Where its environment is."""
        content = "\n".join([sys.version, *self.requirements])
        digest = hashlib.sha256(content.encode()).hexdigest()[:8]
        return _cache() / f"{self.name}-{digest}"

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    def command(self, name: str) -> Path:
        """Return the path of a command that it installs."""
        return self.folder / "bin" / name

    def prepare(self) -> None:
        """Make the environment if it is not there. Raises CalledProcessError if something does not install."""
        ready = self.folder / "ready"
        if ready.exists():
            return
        venv.create(self.folder, with_pip=bool(self.requirements), symlinks=True, clear=True)
        if self.requirements:
            install = [str(self.python), "-m", "pip", "install", "-qq", *self.requirements]
            subprocess.run(install, check=True)
        subprocess.run([self.python, "-m", "compileall", "-qq", self.folder / "lib"], check=False)
        ready.touch()


PLAIN = Peer("plain")
OPENTELEMETRY = Peer(
    "opentelemetry",
    (
        "opentelemetry-distro==0.66b1",
        "opentelemetry-instrumentation==0.66b1",
        "opentelemetry-sdk==1.45.1",
        "opentelemetry-exporter-otlp-proto-http==1.45.1",
    ),
)
LOGFIRE = Peer("logfire", ("logfire==5.4.0",))
DDTRACE = Peer("ddtrace", ("ddtrace==4.16.0",))
VIZTRACER = Peer("viztracer", ("viztracer==1.1.1",))
PEERS = (PLAIN, OPENTELEMETRY, LOGFIRE, DDTRACE, VIZTRACER)


def versions() -> str:
    """Return the peers and their versions."""
    return ", ".join(requirement for peer in PEERS for requirement in peer.requirements)


def environment(sink: str) -> dict[str, str]:
    """Return the variables that let each peer send to the sink at *sink*; all else is the peer's default."""
    return {
        **clean_environment(),
        "OTEL_EXPORTER_OTLP_ENDPOINT": sink,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_SERVICE_NAME": "benchmark",
        "LOGFIRE_SEND_TO_LOGFIRE": "false",  # to the sink alone, by the variables above
        "DD_TRACE_AGENT_URL": sink,
        "DD_SERVICE": "benchmark",
    }


def clean_environment() -> dict[str, str]:
    """Return our environment without what would configure a contender."""
    prefixes = ("OTEL_", "LOGFIRE_", "DD_", "RHEOSTAT_", "PYTHON", "VIRTUAL_ENV", "CI", "PYTEST")
    return {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}


def _cache() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "rheostat-benchmarks"
