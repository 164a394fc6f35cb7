"""Datadog's tracer: its decorator."""

from ddtrace.trace import tracer
from measure import compare


def bare(value: int) -> int:
    """Return *value*."""
    return value


@tracer.wrap()
def recorded(value: int) -> int:
    """Return *value*."""
    return value


compare(bare, recorded)
