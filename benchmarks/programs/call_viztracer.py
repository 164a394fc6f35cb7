"""VizTracer: a hook in C for every call, into a ring of a million entries; it keeps what fits, and cannot send."""

from measure import compare
from viztracer import VizTracer

tracer = VizTracer(verbose=0)


def bare(value: int) -> int:
    """Return *value*."""
    return value


compare(bare, bare, tracer.start, tracer.stop)
