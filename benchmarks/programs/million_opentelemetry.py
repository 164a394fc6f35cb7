"""The same as million.py, each call in a span of OpenTelemetry's SDK."""

import sys
from itertools import repeat

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer(__name__)


def step(value: int) -> int:
    """Return *value*, in a span."""
    with tracer.start_as_current_span("step"):
        return value


def main() -> None:
    """Call it."""
    for value in repeat(1, int(sys.argv[1])):
        step(value)


main()
