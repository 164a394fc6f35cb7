"""From the history's rows to OpenTelemetry's spans and log records, for the official encoders and exporters.

    call      span of kind INTERNAL, named by the function; code.*, thread.*; error.type and status where it failed;
              rheostat.call.argument.* where arguments were captured (the conventions have no name for them)
    process   span of kind INTERNAL, named by its executable; process.* (semantic conventions, cli/spans, callee)

What hangs below a span and was left out stands on it: rheostat.omitted.calls, rheostat.omitted.duration in seconds. A
placeholder of what has not ended carries rheostat.pending, and ends when it was made.

An exception is told once, on the span in which it arose: as a span event, and as a log record with the same attributes.
Names and texts of the program may hold what UTF-8 cannot (lone surrogates), and be of any length: they are made valid here,
so that no name can spoil the request it is in.
"""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING

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
    TraceState,
    set_span_in_context,
)

from rheostat import __version__
from rheostat_agent.endings import error_type_of, signal_name
from rheostat_agent.export.threadnames import ThreadNames
from rheostat_agent.history.arguments import has_arguments, read_arguments
from rheostat_agent.history.fatal import (
    distinct_errors,
    origin_of,
    read_error,
    read_fatal,
    with_text_of,
)
from rheostat_agent.history.query import Error, Function, Process, Span
from rheostat_agent.resource import SCHEMA_URL, Attributes, process_attributes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from rheostat_agent.export.policy import Omitted

SCOPE = InstrumentationScope("rheostat", __version__, SCHEMA_URL)
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_MAX_NAME = 4096  # characters, as of a path
_MAX_RECENT = 1000  # errors, of some kilobytes each, and resources
_ID_MASK = (1 << 64) - 1
_FUNCTIONS = f"SELECT {', '.join(Function.fields)} FROM functions WHERE id > ? ORDER BY id"
_PROCESS = f"SELECT {', '.join(Process.fields)} FROM processes WHERE id = ?"


class SpanMaker:
    """Makes the spans of one run. What is new in the history is looked up when it is first needed."""

    def __init__(
        self, history: sqlite3.Connection, trace_id: int, run: Attributes, trace_state: str = ""
    ) -> None:
        """*trace_state*: what came with the trace, as W3C Trace Context writes it."""
        self.threads = ThreadNames(history)
        self._history = history
        self._trace_id = trace_id
        self._trace_state = TraceState.from_header([trace_state] if trace_state else [])
        self._run = run
        self._functions: dict[int, dict[str, Any]] = {}
        self._names: dict[int, str] = {}
        self._last_function = 0
        self._fatal: dict[int, Error] = {}  # by process: what left its `__main__`
        self._last_fatal = 0
        self._texts: dict[int, Error] = {}  # by id of where it arose: the same exception at the end
        self._told_before: set[int] = set()  # of fatal errors: those that are told where they arose
        self._recent: dict[int, Error | None] = {}
        self._resources: dict[int, Resource] = {}
        self.captures = False  # whether arguments of any call were captured
        self._arguments: tuple[int, dict[str, Any]] = (0, {})  # id of a span, and its attributes

    def refresh(self) -> None:
        """Look up what the history has come to know since."""
        for row in self._history.execute(_FUNCTIONS, (self._last_function,)):
            function = Function(*row)
            self._last_function = function.id
            self._names[function.id] = name = _name(function.name)
            self._functions[function.id] = {
                "code.function.name": name,
                "code.file.path": _name(function.file),
                "code.line.number": function.line,
            }
        for fatal in read_fatal(self._history, self._last_fatal):
            self._last_fatal = fatal.id
            self._fatal.setdefault(fatal.process, fatal)
            origin = origin_of(self._history, fatal)
            if origin is not None:
                self._texts[origin.id] = fatal
                self._told_before.add(fatal.id)
        self.threads.refresh()
        self.captures = self.captures or has_arguments(self._history)

    def call(
        self, span: Span, parent: int | None = None, omitted: Omitted | None = None
    ) -> ReadableSpan:
        """Return the span of a call that ended, below *parent* instead of its caller if that is given."""
        return self._call(span, parent, span.end_ns or span.start_ns, _omission(omitted))

    def pending(self, span: Span, parent: int, now_ns: int) -> ReadableSpan:
        """Return the placeholder of a call that goes on."""
        return self._call(span, parent, now_ns, {"rheostat.pending": True})

    def _call(
        self, span: Span, parent: int | None, end_ns: int, more: dict[str, Any]
    ) -> ReadableSpan:
        attributes = {**self._functions[span.function], "thread.id": span.thread}
        name, _, _ = self.threads.at(span.process, span.thread, span.start_ns)
        if name:
            attributes["thread.name"] = _name(name)
        if span.items is not None:
            attributes["rheostat.generator.items"] = span.items
            attributes["rheostat.generator.suspended_ns"] = span.suspended_ns
        if span.cause is not None:
            attributes["rheostat.ended_by_agent"] = True
        attributes.update(self.arguments_of(span.id))
        error = self._error(span.error) if span.error else None
        if error is not None:
            attributes["error.type"] = clean(error.type)
        arose = error is not None and error.span == span.id
        return self._make(
            self._names[span.function],
            span.id,
            self._context(span.parent if parent is None else parent),
            span.start_ns,
            end_ns,
            span.process,
            {**attributes, **more},
            error,
            [_event(error, end_ns)] if error and arose else [],
        )

    def arguments_of(self, span: int) -> dict[str, Any]:
        """Return the attributes that tell what the call *span* was given, as far as that was captured."""
        if not self.captures:
            return {}
        if self._arguments[0] != span:
            found = read_arguments(self._history, (span,)).get(span)
            attributes: dict[str, Any] = {}
            if found is not None:
                for name, value in found.values.items():
                    key = f"rheostat.call.argument.{_name(name)}"
                    attributes[key] = "None" if value is None else clean(value)
                if found.omitted:
                    attributes["rheostat.call.arguments.omitted"] = found.omitted
            self._arguments = span, attributes
        return self._arguments[1]

    def process(
        self, process: Process, parent: int | None = None, omitted: Omitted | None = None
    ) -> ReadableSpan:
        """Return the span of a process that ended.

        Where nothing in the run is its parent, *parent* is in another: what the run was started from.
        """
        return self._process(
            process, parent, process.end_ns or process.start_ns, _omission(omitted)
        )

    def pending_process(self, process: Process, parent: int | None, now_ns: int) -> ReadableSpan:
        """Return the placeholder of a process that lives."""
        return self._process(process, parent, now_ns, {"rheostat.pending": True})

    def _process(
        self, process: Process, parent: int | None, end_ns: int, more: dict[str, Any]
    ) -> ReadableSpan:
        executable = _name(os.path.basename(process.executable or "") or "process")
        attributes = _process_attributes(process, executable)
        error = self._fatal.get(process.id)
        kind = (
            error_type_of(process.exit_code, process.signal) if process.end_ns is not None else None
        )
        if kind == "ProcessExit":
            kind = error.type if error else str(process.exit_code)
        if kind and kind != "_OTHER":
            attributes["error.type"] = clean(kind)
        failed = error
        if kind and kind != "_OTHER" and error is None:
            failed = Error(0, process.id, None, None, end_ns, kind, process.cause, [])
        above = process.parent_span_id if parent is None else parent
        is_remote = process.parent_span_id is None
        return self._make(
            executable,
            process.span_id,
            None if above is None else self._context(above, is_remote),
            process.start_ns,
            end_ns,
            process.id,
            {**attributes, **more},
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
        parent: SpanContext | None,
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
            parent=parent,
            resource=self.resource(process),
            attributes=attributes,
            events=events,
            kind=SpanKind.INTERNAL,
            instrumentation_scope=SCOPE,
            status=status,
            start_time=max(0, start_ns),  # the clock may have been before the epoch
            end_time=max(0, end_ns),
        )

    def _context(self, span_id: int, is_remote: bool = False) -> SpanContext:
        return SpanContext(
            self._trace_id, span_id & _ID_MASK, is_remote, _SAMPLED, self._trace_state
        )

    def resource(self, process: int) -> Resource:
        """Return the resource of a process of the run: the same object until more is known of it."""
        found = self._resources.get(process)
        if found is None:
            row = self._history.execute(_PROCESS, (process,)).fetchone()
            known = Process(*row) if row else None
            own = process_attributes(known) if known else {}
            attributes = {clean(key): clean(value) for key, value in {**own, **self._run}.items()}
            found = Resource(attributes, SCHEMA_URL)
            if known and known.python:
                if len(self._resources) >= _MAX_RECENT:
                    self._resources.clear()
                self._resources[process] = found
        return found

    def logs(self) -> Iterator[ReadableLogRecord]:
        """Yield a log record for each exception that was described (semantic conventions, exceptions-logs)."""
        spans = dict(self._history.execute("SELECT id, span_id FROM processes"))
        for error, _ in distinct_errors(self._history):
            if error.number is None:
                continue
            span = error.span if error.span is not None else spans[error.process]
            yield self._log(error, span)

    def _log(self, error: Error, span: int) -> ReadableLogRecord:
        time_ns = max(0, error.time_ns or 0)
        record = LogRecord(
            timestamp=time_ns,
            observed_timestamp=time_ns,
            context=set_span_in_context(NonRecordingSpan(self._context(span))),
            severity_number=SeverityNumber.ERROR,
            severity_text="ERROR",
            event_name="exception",
            attributes=exception_attributes(error),
        )
        return ReadableLogRecord(record, self.resource(error.process), SCOPE)


def _event(error: Error, end_ns: int) -> Event:
    return Event("exception", exception_attributes(error), max(0, error.time_ns or end_ns))


def _omission(omitted: Omitted | None) -> dict[str, Any]:
    """Return the attributes that tell what was left out below a span."""
    if omitted is None:
        return {}
    return {
        "rheostat.omitted.calls": omitted.calls,
        "rheostat.omitted.duration": omitted.duration_ns / 1e9,
    }


def _process_attributes(process: Process, executable: str) -> dict[str, Any]:
    """Return what the span of *process* tells of it, whose executable has the name *executable*."""
    attributes: dict[str, Any] = {"process.executable.name": executable}
    if process.executable:
        attributes["process.executable.path"] = _name(process.executable)
    if process.pid is not None:
        attributes["process.pid"] = process.pid
    if process.exit_code is not None:
        attributes["process.exit.code"] = process.exit_code
    if process.signal is not None:
        attributes["process.exit.code"] = 128 + process.signal
        attributes["rheostat.process.signal"] = signal_name(process.signal)
    return attributes


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
    """Return *value*, a text or several, such that UTF-8 can hold it: lone surrogates become U+FFFD, NUL goes."""
    if isinstance(value, list):
        return [clean(one) for one in value]
    if isinstance(value, str) and not (value.isascii() and "\0" not in value):
        pairs = value.encode("utf-16-le", "surrogatepass")  # two that belong together are no error
        return pairs.decode("utf-16-le", "replace").replace("\0", "")
    return value


def _name(text: str) -> str:
    cleaned: str = clean(text)
    return cleaned[:_MAX_NAME]
