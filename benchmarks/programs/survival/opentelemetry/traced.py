"""OpenTelemetry's SDK with its batch processor, as its manual has it."""

from file_exporter import FileExporter
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(FileExporter()))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer(__name__)


def traced(function):
    """Return *function*, each call in a span."""
    return tracer.start_as_current_span(function.__name__)(function)
