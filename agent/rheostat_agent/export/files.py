"""A run as a file: OTLP in JSON lines, or a trace for Perfetto."""

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TextIO, TypeVar

from opentelemetry.sdk.trace import ReadableSpan

from rheostat_agent.export.perfetto import write_perfetto
from rheostat_agent.export.spans import SpanMaker
from rheostat_agent.history.query import Process, read_meta, read_processes, read_spans
from rheostat_agent.resource import keep_attributes
from rheostat_agent.rundirectory import RunInfo

_BATCH = 512

_Item = TypeVar("_Item")


def _batches(items: Iterable[_Item]) -> Iterator[list[_Item]]:
    iterator = iter(items)
    while batch := list(islice(iterator, _BATCH)):
        yield batch


def write_otlp_json(history: sqlite3.Connection, info: RunInfo, file: TextIO) -> None:
    """Write spans and log records, one request a line, as OTLP has it in JSON (specification, protocol/file-exporter)."""
    from opentelemetry.exporter.otlp.json.common._log_encoder import encode_logs
    from opentelemetry.exporter.otlp.json.common.trace_encoder import encode_spans

    _, run = keep_attributes(read_meta(history, "resource"), info, dict(os.environ))
    maker = SpanMaker(history, int(info.trace_id, 16), run, info.trace_state or "")
    maker.refresh()
    above = int(info.parent.split("-")[2], 16) if info.parent else None
    file.writelines(
        encode_spans([maker.call(span) for span in batch]).to_json() + "\n"
        for batch in _batches(span for _, span in read_spans(history))
    )
    ended = [process for process in read_processes(history) if process.end_ns is not None]
    file.writelines(
        encode_spans([_below(maker, each, above) for each in processes]).to_json() + "\n"
        for processes in _batches(ended)
    )
    file.writelines(encode_logs(records).to_json() + "\n" for records in _batches(maker.logs()))


def _below(maker: SpanMaker, process: Process, above: int | None) -> ReadableSpan:
    """Return the span of *process*; what hangs below nothing in the run hangs below *above*, what the run was started from."""
    return maker.process(process, above if process.parent_span_id is None else None)


FORMATS: dict[str, Callable[[sqlite3.Connection, RunInfo, TextIO], None]] = {
    "otlp-json": write_otlp_json,
    "perfetto": write_perfetto,
}
