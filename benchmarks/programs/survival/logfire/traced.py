"""Logfire with a batch processor of its own kind beside it."""

import logfire
from file_exporter import FileExporter
from opentelemetry.sdk.trace.export import BatchSpanProcessor

logfire.configure(console=False, additional_span_processors=[BatchSpanProcessor(FileExporter())])


def traced(function):
    """Return *function*, each call in a span."""
    return logfire.instrument(function.__name__, extract_args=False)(function)
