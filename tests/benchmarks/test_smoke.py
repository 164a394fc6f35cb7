"""The benchmarks still run. Nothing here asserts a time."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CALLS = 200


def test_the_benchmark_of_a_call_measures_recorded_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it calls recorded is in the history and at the sink, call by call, and what it calls bare is not."""
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    from benchmarks.setting import Setting
    from benchmarks.sink import Sink

    from benchmarks import call, ours, peers

    peers.PLAIN.prepare()
    with Sink() as sink:
        rheostat = ours.Rheostat(Path(sys.executable).with_name("rheostat"), tmp_path)
        setting = Setting(rheostat, sink, tmp_path, rounds=1, scale=CALLS / call.OUR_CALLS)
        over = call.ours(setting)
        received = sink.counts()["spans"]

    names = [name for _, name in rheostat.spans()]
    assert isinstance(over.clock, float)
    assert names.count("call_rheostat.recorded") == CALLS + CALLS // 10
    assert "call_rheostat.bare" not in names
    assert received == len(names) + 1  # and the run's own


@pytest.mark.parametrize("spans", [0, 1, 300])
def test_the_sink_counts_spans(spans: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """It finds as many spans in an export request as were put there, over two resources and scopes."""
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks.sink import count_spans
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    request = ExportTraceServiceRequest()
    for _ in range(2):
        scope = request.resource_spans.add().scope_spans.add(schema_url="https://example.org")
        for number in range(spans):
            scope.spans.add(name=f"span {number}", trace_id=bytes(16), span_id=bytes(8))

    assert count_spans(request.SerializeToString()) == 2 * spans


def test_keeping_findings_replaces_their_own_section(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `--write` writes into the page leaves what stands outside the section's marks."""
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks.machine import describe
    from benchmarks.result import Result, Table

    from benchmarks import keep

    page = tmp_path / "performance.md"
    page.write_text(
        "before\n<!-- one -->\nold\n<!-- /one -->\nbetween\n<!-- two -->\n<!-- /two -->"
    )
    monkeypatch.setattr(keep, "PAGE", page)
    monkeypatch.setattr(keep, "RAW", tmp_path / "results")

    keep.write(Result("one", Table(("what", "s"), [("new", "1.0")]), "seconds", {}), describe())

    text = page.read_text()
    assert "| new | 1.0 |" in text
    assert "old" not in text
    assert text.startswith("before\n<!-- one -->\n")
    assert text.endswith("\n<!-- /one -->\nbetween\n<!-- two -->\n<!-- /two -->")
