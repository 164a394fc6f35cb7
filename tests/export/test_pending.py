"""--pending: work in progress in backends that show only what has ended."""

from collections.abc import Iterator

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from running import Rheostat, wait_until
from sink import Sink

JOB = """
import os, sys
def short():
    pass
def inner():
    while not os.path.exists("go"):
        short()
def outer():
    inner()
outer()
"""


@pytest.fixture
def sink() -> Iterator[Sink]:
    """A backend that is up."""
    with Sink(expects_resends=True) as made:
        yield made


def is_pending(span: Span) -> bool:
    """Say whether *span* is a placeholder."""
    return any(one.key == "rheostat.pending" and one.value.bool_value for one in span.attributes)


def all_spans(sink: Sink) -> list[Span]:
    """Return all spans that came, in their order."""
    return [span for request in sink.requests for span in request.spans]


def test_what_is_open_for_long_is_announced_and_replaced(rheostat: Rheostat, sink: Sink) -> None:
    """Placeholders of the process and the two open calls come while they run, once, with the ids of the real ones."""
    rheostat.write("job.py", JOB)
    process = rheostat.start(
        "job.py",
        options=("--pending", "1"),
        env={"OTEL_EXPORTER_OTLP_ENDPOINT": sink.http},
    )
    wait_until(lambda: any(map(is_pending, all_spans(sink))), "they are announced")
    (rheostat.project / "go").touch()
    rheostat.finish(process)
    rheostat.await_complete()
    placeholders = [span for span in all_spans(sink) if is_pending(span)]
    real = {span.span_id: span for span in all_spans(sink) if not is_pending(span)}

    assert {span.name for span in placeholders} >= {"job.outer", "job.inner"}
    assert len({span.span_id for span in placeholders}) == len(placeholders)
    for span in placeholders:
        last = real[span.span_id]
        assert (span.name, span.parent_span_id, span.start_time_unix_nano) == (
            last.name,
            last.parent_span_id,
            last.start_time_unix_nano,
        )


def test_nothing_is_announced_unless_asked_for(rheostat: Rheostat, sink: Sink) -> None:
    """Without --pending a backend gets each span once."""
    rheostat.write("job.py", "import time\ndef slow():\n    time.sleep(2.5)\nslow()\n")
    rheostat.run("job.py", env={"OTEL_EXPORTER_OTLP_ENDPOINT": sink.http})
    rheostat.await_complete()

    assert not [span for span in all_spans(sink) if is_pending(span)]
