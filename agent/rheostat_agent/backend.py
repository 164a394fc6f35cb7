"""Whether there is a backend: what the OTEL_* variables say of it. The rest is read by OpenTelemetry's own exporter."""

from __future__ import annotations


def wants_delivery(environ: dict[str, str]) -> bool:
    """Say whether the environment names a backend for traces."""
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    exporter = environ.get("OTEL_TRACES_EXPORTER", "").lower()
    endpoint = environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or environ.get(
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
    )
    return exporter == "otlp" or (not exporter and bool(endpoint))
