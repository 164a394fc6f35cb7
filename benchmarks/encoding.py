"""What a call costs on its way out of the history: read, and encoded by our templates or by OpenTelemetry's own encoder.

In one process, of the same history in memory, in requests of 512 spans, which nobody sends. Needs Rheostat beside this
interpreter.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from typing import Any

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

from benchmarks.result import SPREAD, Goal, Result, Table, spread
from benchmarks.setting import Setting
from benchmarks.timing import Sample, ratio, take_turns
from rheostat_agent.configuration.otel import Limits
from rheostat_agent.export.encoding import TraceEncoder
from rheostat_agent.export.spans import SpanMaker
from rheostat_agent.history.query import Span, read_span_rows, read_spans
from rheostat_agent.history.schema import prepare_history

CALLS = 1_000_000
OFFICIAL_CALLS = 50_000  # two seconds
REQUEST = 512
FUNCTIONS = 100
_STARTED, _IDENT = 1_700_000_000_000_000_000, 140_000_000_000_000
OURS, OFFICIAL = "encode: templates", "encode: official encoder"
TUPLES, VALUES = "read: rows as they come", "read: rows as values"

Row = tuple[Any, ...]


def run(setting: Setting) -> Result:
    """Measure all by turns."""
    calls = setting.scaled(CALLS)
    with closing(_history(calls)) as history:
        rows = [row for _, row in read_span_rows(history, 0, calls)]
        few = rows[: setting.scaled(OFFICIAL_CALLS)]
        contenders: dict[str, Callable[[], float]] = {
            TUPLES: partial(_measure, partial(_read_tuples, history), calls),
            VALUES: partial(_measure, partial(_read_values, history), calls),
            OURS: partial(_measure, partial(_encode, history, rows), calls),
            OFFICIAL: partial(_measure, partial(_encode_officially, history, few), len(few)),
        }
        found = take_turns(contenders, setting.rounds)
        same = _encode(history, few) == _encode_officially(history, few)
    samples = {name: Sample(values) for name, values in found.items()}
    times = ratio(samples[OFFICIAL], samples[OURS])
    return Result(
        "encoding",
        Table(
            ["CPU a span, µs", *SPREAD],
            [[name, *spread(sample, 1e6, ".2f")] for name, sample in samples.items()],
        ),
        "seconds of the processor a span, each round",
        {name: sample.values for name, sample in samples.items()},
        [
            Goal("the same bytes", f"{len(few):,} spans", same),
            Goal("20 times cheaper than the official encoder", f"{times:.0f} times", times >= 20),
        ],
    )


def _measure(work: Callable[[], object], calls: int) -> float:
    """Return the processor's time that *work* takes for each of *calls*."""
    started = time.process_time()
    work()
    return (time.process_time() - started) / calls


def _read_tuples(history: sqlite3.Connection) -> None:
    last = 0
    while rows := read_span_rows(history, last, 2048):
        last = rows[-1][0]


def _read_values(history: sqlite3.Connection) -> None:
    for _ in read_spans(history):
        pass


def _encode(history: sqlite3.Connection, rows: list[Row]) -> int:
    """Return a checksum of the requests, so that none of them need be kept."""
    encoder = TraceEncoder(_maker(history), Limits())
    return hash(
        tuple(
            hash(encoder.request([(row[2], encoder.call(row, row[1], None)) for row in batch]))
            for batch in _batches(rows)
        )
    )


def _encode_officially(history: sqlite3.Connection, rows: list[Row]) -> int:
    maker = _maker(history)
    return hash(
        tuple(
            hash(encode_spans([maker.call(Span(*row)) for row in batch]).SerializeToString())
            for batch in _batches(rows)
        )
    )


def _batches(rows: list[Row]) -> Iterator[list[Row]]:
    return (rows[at : at + REQUEST] for at in range(0, len(rows), REQUEST))


def _maker(history: sqlite3.Connection) -> SpanMaker:
    run = {"service.name": "benchmark", "host.name": "host", "telemetry.sdk.language": "python"}
    maker = SpanMaker(history, 0x5B8EFFF798038103D269B633813FC60C, dict(run))
    maker.refresh()
    return maker


def _history(calls: int) -> sqlite3.Connection:
    """Return a history of *calls* calls of many functions in one thread."""
    history = sqlite3.connect(":memory:", isolation_level=None)
    prepare_history(history)
    add = history.executemany
    add(
        "INSERT INTO functions VALUES(?, ?, 1, ?, ?)",
        [
            (number, f"pipeline.stage.Stage.step_{number}", "/home/user/pipeline/stage.py", number)
            for number in range(1, FUNCTIONS + 1)
        ],
    )
    add(
        "INSERT INTO processes(id, span_id, pid, python, start_ns) VALUES(?, ?, ?, ?, ?)",
        [(1, -(1 << 62), 4711, "3.11.7", _STARTED)],
    )
    add("INSERT INTO threads VALUES(1, ?, 4711, 'MainThread', ?)", [(_IDENT, _STARTED)])
    rows = (_row(number) for number in range(calls))
    add(f"INSERT INTO spans VALUES({', '.join('?' * len(Span.fields))})", rows)
    return history


def _row(number: int) -> Row:
    start_ns = _STARTED + 1000 * number
    values = dict.fromkeys(Span.fields)
    values |= {"id": (1 << 60) + number, "parent": -(1 << 62), "process": 1, "path": 1}
    values |= {"function": number % FUNCTIONS + 1, "thread": _IDENT}
    values |= {"start_ns": start_ns, "end_ns": start_ns + 900}
    return tuple(values.values())
