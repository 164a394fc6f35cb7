"""An exporter that appends a line for each span to the file that SPANS names: `id name`."""

import os
from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult


class FileExporter(SpanExporter):
    """Writes whole lines, by one write: processes may append at the same time."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Append *spans*."""
        lines = [f"{span.context.span_id:016x} {span.name}\n" for span in spans if span.context]
        descriptor = os.open(os.environ["SPANS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(descriptor, "".join(lines).encode())
        os.close(descriptor)
        return SpanExportResult.SUCCESS
