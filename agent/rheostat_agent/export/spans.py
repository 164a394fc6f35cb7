"""From the history's rows to OpenTelemetry's spans and log records, for the official encoders and exporters.

    call      span of kind INTERNAL, named by the function; code.*, thread.*; error.type and status where it failed
    process   span of kind INTERNAL, named by its executable; process.* (semantic conventions, cli/spans, callee)

An exception is told once, on the span in which it arose: as a span event, and as a log record with the same attributes.
Names and texts of the program may hold what UTF-8 cannot (lone surrogates): they are made valid here.
"""

import os
import sqlite3
from collections.abc import Iterator
from typing import Any

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from rheostat import __version__
from rheostat_agent.endings import error_type_of, signal_name
from rheostat_agent.history.fatal import (
    distinct_errors,
    origin_of,
    read_error,
    read_fatal,
    with_text_of,
)
from rheostat_agent.history.query import (
    Error,
    Process,
    Span,
    ThreadNames,
    read_functions,
    read_processes,
)
from rheostat_agent.resource import SCHEMA_URL, Attributes, process_attributes

SCOPE = InstrumentationScope("rheostat", __version__, SCHEMA_URL)
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_MAX_RECENT = 1000  # errors, of some kilobytes each
_ID_MASK = (1 << 64) - 1


class SpanMaker:
    """Makes the spans of one run. What is new in the history is looked up when it is first needed."""

    def __init__(self, history: sqlite3.Connection, trace_id: int, run: Attributes) -> None:
        self._history = history
        self._trace_id = trace_id
        self._run = run
        self._functions: dict[int, dict[str, Any]] = {}
        self._names: dict[int, str] = {}
        self._fatal: dict[int, Error] = {}  # by process: what left its `__main__`
        self._last_fatal = 0
        self._texts: dict[int, Error] = {}  # by id of where it arose: the same exception at the end
        self._told_before: set[int] = set()  # of fatal errors: those that are told where they arose
        self._recent: dict[int, Error | None] = {}
        self._processes: dict[int, Process] = {}
        self._resources: dict[int, Resource] = {}
        self._threads = ThreadNames(history)

    def refresh(self) -> None:
        """Look up what the history has come to know since."""
        for number, function in read_functions(self._history).items():
            if number not in self._functions:
                self._names[number] = clean(function.name)
                self._functions[number] = {
                    "code.function.name": clean(function.name),
                    "code.file.path": clean(function.file),
                    "code.line.number": function.line,
                }
        for fatal in read_fatal(self._history, self._last_fatal):
            self._last_fatal = fatal.id
            self._fatal.setdefault(fatal.process, fatal)
            origin = origin_of(self._history, fatal)
            if origin is not None:
                self._texts[origin.id] = fatal
                self._told_before.add(fatal.id)
        self._processes = {process.id: process for process in read_processes(self._history)}
        self._threads = ThreadNames(self._history)

    def call(self, span: Span) -> ReadableSpan:
        """Return the span of a call that ended."""
        attributes = {
            **self._functions[span.function],
            "thread.id": span.thread,
        }
        name = self._threads.name(span.process, span.thread, span.start_ns)
        if name:
            attributes["thread.name"] = clean(name)
        if span.items is not None:
            attributes["rheostat.generator.items"] = span.items
            attributes["rheostat.generator.suspended_ns"] = span.suspended_ns
        if span.cause is not None:
            attributes["rheostat.ended_by_agent"] = True
        error = self._error(span.error) if span.error else None
        if error is not None:
            attributes["error.type"] = clean(error.type)
        arose = error is not None and error.span == span.id
        return self._make(
            self._names[span.function],
            span.id,
            span.parent,
            span.start_ns,
            span.end_ns or span.start_ns,
            span.process,
            attributes,
            error,
            [_event(error, span.end_ns or span.start_ns)] if error and arose else [],
        )

    def process(self, process: Process) -> ReadableSpan:
        """Return the span of a process that ended."""
        executable = os.path.basename(process.executable or "") or "process"
        attributes: dict[str, Any] = {"process.executable.name": clean(executable)}
        if process.executable:
            attributes["process.executable.path"] = clean(process.executable)
        if process.pid is not None:
            attributes["process.pid"] = process.pid
        if process.exit_code is not None:
            attributes["process.exit.code"] = process.exit_code
        if process.signal is not None:
            attributes["process.exit.code"] = 128 + process.signal
            attributes["rheostat.process.signal"] = signal_name(process.signal)
        error = self._fatal.get(process.id)
        kind = (
            error_type_of(process.exit_code, process.signal) if process.end_ns is not None else None
        )
        if kind == "ProcessExit":
            kind = error.type if error else str(process.exit_code)
        if kind and kind != "_OTHER":
            attributes["error.type"] = clean(kind)
        end_ns = process.end_ns or process.start_ns
        failed = error
        if kind and kind != "_OTHER" and error is None:
            failed = Error(0, process.id, None, None, end_ns, kind, process.cause, [])
        return self._make(
            clean(executable),
            process.span_id,
            process.parent_span_id,
            process.start_ns,
            end_ns,
            process.id,
            attributes,
            failed,
            [_event(error, end_ns)] if error and error.id not in self._told_before else [],
        )

    def _error(self, number: int) -> Error | None:
        """Return the error *number*. A run may have any number of them, so only those met last are kept."""
        if number not in self._recent:
            if len(self._recent) >= _MAX_RECENT:
                self._recent.clear()
            self._recent[number] = read_error(self._history, number)
        error, fatal = self._recent[number], self._texts.get(number)
        return with_text_of(error, fatal) if error and fatal else error

    def _make(
        self,
        name: str,
        span_id: int,
        parent_id: int | None,
        start_ns: int,
        end_ns: int,
        process: int,
        attributes: dict[str, Any],
        error: Error | None,
        events: list[Event],
    ) -> ReadableSpan:
        status = Status(StatusCode.UNSET)
        if error is not None:
            status = Status(StatusCode.ERROR, clean(error.message or error.type))
        return ReadableSpan(
            name=name,
            context=self._context(span_id),
            parent=None if parent_id is None else self._context(parent_id),
            resource=self.resource(process),
            attributes=attributes,
            events=events,
            kind=SpanKind.INTERNAL,
            instrumentation_scope=SCOPE,
            status=status,
            start_time=start_ns,
            end_time=end_ns,
        )

    def _context(self, span_id: int) -> SpanContext:
        return SpanContext(self._trace_id, span_id & _ID_MASK, False, _SAMPLED)

    def resource(self, process: int) -> Resource:
        """Return the resource of a process of the run."""
        found = self._resources.get(process)
        if found is None:
            known = self._processes.get(process)
            own = process_attributes(known) if known else {}
            attributes = {key: clean(value) for key, value in {**own, **self._run}.items()}
            found = Resource(attributes, SCHEMA_URL)
            if known and known.python:
                self._resources[process] = found
        return found

    def logs(self) -> Iterator[ReadableLogRecord]:
        """Yield a log record for each exception that was described (semantic conventions, exceptions-logs)."""
        spans = {process.id: process.span_id for process in self._processes.values()}
        for error, _ in distinct_errors(self._history):
            if error.number is None:
                continue
            span = error.span if error.span is not None else spans[error.process]
            yield self._log(error, span)

    def _log(self, error: Error, span: int) -> ReadableLogRecord:
        record = LogRecord(
            timestamp=error.time_ns,
            observed_timestamp=error.time_ns,
            context=set_span_in_context(NonRecordingSpan(self._context(span))),
            severity_number=SeverityNumber.ERROR,
            severity_text="ERROR",
            event_name="exception",
            attributes=exception_attributes(error),
        )
        return ReadableLogRecord(record, self.resource(error.process), SCOPE)


def _event(error: Error, end_ns: int) -> Event:
    return Event("exception", exception_attributes(error), error.time_ns or end_ns)


def exception_attributes(error: Error) -> dict[str, Any]:
    """Return the exception.* attributes of *error*."""
    attributes: dict[str, Any] = {"exception.type": clean(error.type)}
    if error.message is not None:
        attributes["exception.message"] = clean(error.message)
    if error.stack:
        attributes["exception.stacktrace"] = clean(stack_trace(error))
    return attributes


def stack_trace(error: Error) -> str:
    """Return the stack as Python prints it, without the source lines, which may have changed since."""
    lines = ["Traceback (most recent call last):"]
    lines += [
        f'  File "{file}", line {line}, in {function}' for file, line, function in error.stack
    ]
    lines.append(error.type if error.message is None else f"{error.type}: {error.message}")
    return "\n".join(lines)


def clean(value: Any) -> Any:
    """Return *value* such that UTF-8 can hold it: lone surrogates become U+FFFD, NUL goes."""
    if isinstance(value, str) and not (value.isascii() and "\0" not in value):
        return value.encode("utf-8", "replace").decode("utf-8", "replace").replace("\0", "")
    return value
