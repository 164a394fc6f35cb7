"""A destination: where one signal goes, and how."""

from __future__ import annotations

from rheostat_agent.values import Value

TRACES, LOGS = "traces", "logs"
OTLP, CONSOLE = "otlp", "console"


class Destination(Value):
    """Where the spans or the log records of a run go. Its headers are secrets: they are never shown or kept."""

    signal: str  # TRACES or LOGS
    kind: str = OTLP  # or CONSOLE: then nothing below has a meaning
    protocol: str = "http/protobuf"  # or http/json, grpc
    endpoint: str = ""  # the whole URL for http; scheme://host:port for grpc
    headers: tuple[tuple[str, str], ...] = ()
    timeout_s: float = 10.0  # of one request, from connecting to the last byte of the answer
    compression: str = "none"  # or gzip
    certificate: str = ""  # paths of PEM files: the authorities to trust
    client_certificate: str = ""
    client_key: str = ""

    @property
    def name(self) -> str:
        """Return the name under which its cursor is kept: signal, protocol and address, without secrets."""
        if self.kind == CONSOLE:
            return f"{self.signal} {CONSOLE}"
        return f"{self.signal} {self.protocol} {self.endpoint.partition('?')[0]}"

    def __repr__(self) -> str:
        return f"Destination({self.name})"
