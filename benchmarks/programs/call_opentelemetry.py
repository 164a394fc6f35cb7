"""OpenTelemetry's SDK: a span round the body, through the batch processor and the OTLP exporter, as its manual has it."""

from measure import compare
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer(__name__)


def bare(value: int) -> int:
    """Return *value*."""
    return value


def recorded(value: int) -> int:
    """Return *value*, in a span."""
    with tracer.start_as_current_span("recorded"):
        return value


compare(bare, recorded)
