"""The name under which requests come: ours, then that of OTLP's exporters in Python, as the specification asks."""

from opentelemetry.exporter.otlp.proto.http.version import __version__ as exporter_version

from rheostat import __version__

USER_AGENT = f"Rheostat/{__version__} OTel-OTLP-Exporter-Python/{exporter_version}"
