"""Delivery: sends the history's spans to the OTLP backend, in a thread of the agent, while the program runs.

The history is the queue: a batch is read behind a cursor, sent, and the cursor moves when the backend has acknowledged.
The supervisor keeps the cursor in the history. So what a dead backend did not take is sent by a later agent; at least
once, and always with the same ids.
"""

from __future__ import annotations

import sqlite3
import threading
from itertools import islice
from typing import TYPE_CHECKING

from rheostat_agent.history.query import HistoryMissing, open_history, read_processes, read_spans

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter

    from rheostat_agent.export.spans import SpanMaker
    from rheostat_agent.resource import Attributes

BATCH = 512  # OTEL_BSP_MAX_EXPORT_BATCH_SIZE's default
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 30.0
_MAX_REASON = 200  # characters


class Delivery:
    """The delivery of one run."""

    def __init__(
        self, directory: str, trace_id: int, run: Attributes, cursor: int, processes: set[int]
    ) -> None:
        """*cursor* and *processes*: the rowid of the last span, and the processes, that were delivered before."""
        self.cursor = cursor
        self.processes = processes
        self.failure = ""
        self._directory = directory
        self._trace_id = trace_id
        self._run = run
        self._wake = threading.Condition()
        self._is_stopping = False
        self._all_is_there = False
        self.is_done = False
        self._thread = threading.Thread(target=self._deliver, name="delivery", daemon=True)
        self._thread.start()

    def tell(self, all_is_there: bool) -> None:
        """There is more in the history; *all_is_there*: and nothing will be added."""
        with self._wake:
            self._all_is_there = all_is_there
            self._wake.notify()

    def stop(self, timeout_s: float) -> None:
        """Let the present request finish, for *timeout_s* seconds at most."""
        with self._wake:
            self._is_stopping = True
            self._wake.notify()
        self._thread.join(timeout_s)

    def _deliver(self) -> None:
        try:
            self._deliver_all()
        except Exception as error:  # noqa: BLE001  # the supervisor tells it; the spans stay in the history
            self.failure = f"{type(error).__name__}: {error}"

    def _deliver_all(self) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        from rheostat_agent.export.spans import SpanMaker

        history = self._open()
        if history is None:
            return
        exporter = OTLPSpanExporter()
        self._listen()
        maker = SpanMaker(history, self._trace_id, self._run)
        pause = _FIRST_PAUSE_S
        while not self._is_stopping:
            all_is_there = (
                self._all_is_there
            )  # before looking: what comes later is found by the next look
            spans, cursor, ended = self._next(history, maker)
            if not spans:
                if all_is_there:
                    self.is_done = True
                    break
                self._pause(1.0)
                continue
            if self._send(exporter, spans):
                self.cursor, self.failure, pause = cursor, "", _FIRST_PAUSE_S
                self.processes = self.processes | ended
            else:
                self._pause(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_S)
        exporter.shutdown()  # type: ignore[no-untyped-call]
        history.close()

    def _listen(self) -> None:
        """Have what the exporter logs, which alone says why it failed, as our own failure."""
        import logging

        delivery = self

        class Listener(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                delivery.failure = reason_in(record.getMessage())

        logger = logging.getLogger("opentelemetry.exporter.otlp.proto.http.trace_exporter")
        logger.addHandler(Listener())
        logger.propagate = False

    def _open(self) -> sqlite3.Connection | None:
        while not self._is_stopping:
            try:
                return open_history(self._directory)
            except HistoryMissing:
                self._pause(0.1)
        return None

    def _pause(self, seconds: float) -> None:
        with self._wake:
            if not self._is_stopping:
                self._wake.wait(seconds)

    def _next(
        self, history: sqlite3.Connection, maker: SpanMaker
    ) -> tuple[list[ReadableSpan], int, set[int]]:
        """Return the next spans to send, the cursor behind them, and the processes whose spans are among them."""
        rows = list(islice(read_spans(history, self.cursor), BATCH))
        ended: set[int] = set()
        maker.refresh()
        spans = [maker.call(span) for _, span in rows]
        if len(rows) < BATCH:
            for process in read_processes(history):
                if process.end_ns is not None and process.id not in self.processes:
                    ended.add(process.id)
                    spans.append(maker.process(process))
        return spans, rows[-1][0] if rows else self.cursor, ended

    def _send(self, exporter: SpanExporter, spans: list[ReadableSpan]) -> bool:
        from opentelemetry.sdk.trace.export import SpanExportResult

        if exporter.export(spans) is SpanExportResult.SUCCESS:
            return True
        self.failure = self.failure or "the backend did not take them"
        return False


def reason_in(text: str) -> str:
    """Return what is worth reading of what the exporter logs: 'Connection refused', '404, Not Found'."""
    import re

    status = re.search(r"code: (\d+), reason: (.*)", text)
    if status:
        return f"{status[1]}, {status[2]}".strip(", ")
    failure = re.search(r"\[Errno -?\d+\] ([^\]\"')]+)", text) or re.search(
        r"(\w* ?timed out)", text
    )
    return failure[1].strip() if failure else text[:_MAX_REASON]
