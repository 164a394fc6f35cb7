"""--export and --export-when: what of a run is sent, decided as it goes or by how it ends."""

from collections.abc import Iterator

import pytest

from running import Rheostat
from sink import Sink

JOB = """
import sys, time
def short():
    pass
def failing():
    raise LookupError("gone")
def main():
    for _ in range(50):
        short()
    try:
        failing()
    except LookupError:
        pass
    time.sleep(float(sys.argv[2]))
main()
sys.exit(int(sys.argv[1]))
"""


@pytest.fixture
def sink() -> Iterator[Sink]:
    """A backend that is up."""
    with Sink() as made:
        yield made


def sent(
    rheostat: Rheostat, sink: Sink, *options: str, status: int = 0, took_s: float = 0.0
) -> list[str]:
    """Run the job; return the names of the spans that came, sorted."""
    rheostat.write("job.py", JOB)
    before = len(sink.requests)
    rheostat.run(
        "job.py", str(status), str(took_s),
        options=options, env={"OTEL_EXPORTER_OTLP_ENDPOINT": sink.http},
    )  # fmt: skip
    rheostat.await_complete()
    assert sink.problems == []
    names = [span.name for request in sink.requests[before:] for span in request.spans]
    return sorted(name for name in names if name.startswith("job."))


def test_by_default_short_calls_are_left_out(rheostat: Rheostat, sink: Sink) -> None:
    """What failed and what lasted is sent; the rest is counted on its caller, and in the summary."""
    names = sent(rheostat, sink, took_s=0.01)
    (main,) = [span for span in sink.spans().values() if span.name == "job.main"]
    attributes = {one.key: one.value for one in main.attributes}

    assert names == ["job.failing", "job.main"]
    assert attributes["rheostat.omitted.calls"].int_value == 50
    assert 0 < attributes["rheostat.omitted.duration"].double_value < 1
    shown = rheostat.command("show", "last").stdout
    assert "not exported: 50 calls of " in shown


def test_errors_alone(rheostat: Rheostat, sink: Sink) -> None:
    """With `errors` only what failed is sent, and what it hangs below."""
    assert sent(rheostat, sink, "--export", "errors", took_s=0.01) == ["job.failing", "job.main"]


def test_none(rheostat: Rheostat, sink: Sink) -> None:
    """With `none` nothing leaves the machine; the history has it all, and nothing counts as undelivered."""
    assert sent(rheostat, sink, "--export", "none") == []
    assert (sink.requests, "delivered" in rheostat.command("runs").stdout) == ([], False)


@pytest.mark.parametrize(("status", "spans"), [(0, 2), (1, 52)])
def test_all_of_a_run_that_failed(rheostat: Rheostat, sink: Sink, status: int, spans: int) -> None:
    """With --export-when error everything is sent of a run that failed, the default of another."""
    names = sent(rheostat, sink, "--export-when", "error", status=status, took_s=0.01)

    assert len(names) == spans


def test_all_of_a_run_that_was_slow(rheostat: Rheostat, sink: Sink) -> None:
    """With --export-when slow everything is sent of a run that took far longer than the five before it."""
    usual = [len(sent(rheostat, sink, "--export-when", "slow", took_s=0.01)) for _ in range(5)]
    slow = sent(rheostat, sink, "--export-when", "slow", took_s=5)

    assert (usual, len(slow)) == ([2] * 5, 52)
