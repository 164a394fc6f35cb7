"""From the history's rows to OTLP's bytes: what a request holds.

A run may have millions of calls, and the official encoder takes 35 µs for each (benchmarks/encoding.py). So a call with nothing
unusual is packed into a template (templates.py), which takes one; all else goes through the official encoder.
That both give the same is shown by a property test (tests/export/test_encoding.py).

A span is encoded by itself, into a part: the field of ScopeSpans that holds it. Parts are put together into requests, of a size
that is known before: the sum of the parts and of `overhead` of each process.
"""

from __future__ import annotations

from struct import Struct
from struct import error as Unpackable
from typing import TYPE_CHECKING, NamedTuple

from opentelemetry.exporter.otlp.proto.common import _log_encoder
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext

from rheostat_agent.export.limited import limited_record, limited_span
from rheostat_agent.export.spans import SCOPE
from rheostat_agent.export.templates import SPANS, Template, field, template_of
from rheostat_agent.history.query import Span

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans
    from opentelemetry.sdk._logs import ReadableLogRecord

    from rheostat_agent.configuration.otel import Limits
    from rheostat_agent.export.policy import Omitted
    from rheostat_agent.export.spans import SpanMaker
    from rheostat_agent.history.query import Process

    Row = tuple[Any, ...]

_ID, _PROCESS, _FUNCTION, _THREAD, _START, _END = 0, 2, 3, 5, 6, 7  # of a row of `spans`
_UNUSUAL = 8  # from here on: error, generator's, cause, and whatever else a call may have
_USUAL = (None,) * (len(Span.fields) - _UNUSUAL)
_pack_ids = Struct(">q2sq").pack
_pack_times = Struct("<QBQ").pack
_PARENT_TAG = b"\x22\x08"
_END_TAG = 8 << 3 | 1

_MOST_TEMPLATES_BYTES = 4 << 20
_MOST_THREADS = 10_000
_MOST_ENVELOPES = 1_000  # of some kilobytes each
_NOWHERE = Resource({})
_ANY = SpanContext(1, 1, is_remote=False)
_RESOURCE, _SCOPE_SPANS, _SCOPE, _SCHEMA_URL, _RESOURCE_SPANS = 1, 2, 1, 3, 1


class _Thread(NamedTuple):
    """A thread that had one name from *since_ns* to *until_ns*, with the templates of the functions that it called."""

    since_ns: int
    until_ns: int
    templates: dict[int, Template]


class _Envelope(NamedTuple):
    """What stands around the spans of one resource."""

    resource: bytes
    resource_schema: bytes
    scope: bytes
    scope_schema: bytes

    def around(self, parts: Iterable[bytes]) -> bytes:
        """Return the field of the request that holds *parts*."""
        inner = b"".join((self.scope, *parts, self.scope_schema))
        spans = field(_SCOPE_SPANS, inner)
        return field(_RESOURCE_SPANS, self.resource + spans + self.resource_schema)


class TraceEncoder:
    """Encodes the spans of one run."""

    def __init__(self, maker: SpanMaker, limits: Limits) -> None:
        """*maker* is to be refreshed by whoever reads the rows."""
        self._maker = maker
        self._limits = limits
        self._names = maker.threads
        self._threads: dict[tuple[int, int], _Thread] = {}  # by process and ident
        # By ident and name: the main threads of forks share theirs.
        self._templates: dict[tuple[int, str | None], dict[int, Template]] = {}
        self._size = 0  # of all templates, in bytes
        self._version = self._names.version
        self._envelopes: dict[int, tuple[Resource, _Envelope]] = {}  # by process

    def call(self, row: Row, parent: int, omitted: Omitted | None) -> bytes:
        """Return the part of an ended call: *row* has the values of a Span in their order, *parent* is a span's id."""
        # A hot loop: it names no intermediate results that it uses once.
        start_ns = row[_START]
        if (
            omitted is not None
            or row[_UNUSUAL:] != _USUAL
            or start_ns <= 0
            or (self._maker.captures and self._maker.arguments_of(row[_ID]))
        ):
            return self._official(row, parent, omitted)
        thread = self._threads.get((row[_PROCESS], row[_THREAD]))
        if (
            thread is None
            or not thread.since_ns <= start_ns < thread.until_ns
            or self._version != self._names.version
        ):
            thread = self._find_thread(row)
        template = thread.templates.get(row[_FUNCTION])
        if template is None:
            template = self._make_template(row, thread)
        head, middle, tail = template
        try:
            ids = _pack_ids(row[_ID], _PARENT_TAG, parent)
        except Unpackable:  # one that is not of the history
            return self._official(row, parent, None)
        return b"".join((head, ids, middle, _pack_times(start_ns, _END_TAG, row[_END]), tail))

    def process(self, process: Process, parent: int | None, omitted: Omitted | None) -> bytes:
        """Return the part of a process that ended."""
        return self._part(self._maker.process(process, parent, omitted))

    def pending(self, row: Row, parent: int, now_ns: int) -> bytes:
        """Return the part of the placeholder of a call that goes on."""
        return self._part(self._maker.pending(Span(*row), parent, now_ns))

    def pending_process(self, process: Process, parent: int | None, now_ns: int) -> bytes:
        """Return the part of the placeholder of a process that lives."""
        return self._part(self._maker.pending_process(process, parent, now_ns))

    def overhead(self, process: int) -> int:
        """Return by how much the spans of *process* make a request larger than their parts."""
        return len(self._envelope(process).around(())) + 2 * 4  # two lengths, below 2 ** 28

    def request(self, parts: list[tuple[int, bytes]]) -> bytes:
        """Return an ExportTraceServiceRequest of *parts*, each with the process that it is of."""
        resources: dict[_Envelope, list[bytes]] = {}  # processes may be alike
        processes: dict[int, list[bytes]] = {}
        for process, part in parts:
            if process not in processes:
                envelope = self._envelope(process)
                processes[process] = resources.setdefault(envelope, [])
            processes[process].append(part)
        return b"".join(envelope.around(own) for envelope, own in resources.items())

    def _official(self, row: Row, parent: int, omitted: Omitted | None) -> bytes:
        return self._part(self._maker.call(Span(*row), parent, omitted))

    def _part(self, span: ReadableSpan) -> bytes:
        return field(SPANS, self._message(span))

    def _message(self, span: ReadableSpan) -> bytes:
        message = encode_spans([limited_span(span, self._limits, _NOWHERE)])
        return message.resource_spans[0].scope_spans[0].spans[0].SerializeToString()

    def _find_thread(self, row: Row) -> _Thread:
        """Return the thread of a call under the name that it had then."""
        names = self._names
        if len(self._threads) >= _MOST_THREADS or len(self._templates) >= _MOST_THREADS:
            self._threads.clear()
            self._templates.clear()
            self._size = 0
        if self._version != names.version:
            self._threads.clear()  # names may hold for shorter than was known
            self._version = names.version
        process, ident = row[_PROCESS], row[_THREAD]
        name, since_ns, until_ns = names.at(process, ident, row[_START])
        templates = self._templates.setdefault((ident, name), {})
        thread = self._threads[process, ident] = _Thread(since_ns, until_ns, templates)
        return thread

    def _make_template(self, row: Row, thread: _Thread) -> Template:
        template = template_of(self._message(self._maker.call(Span(*row))))
        size = sum(map(len, template))
        if self._size + size > _MOST_TEMPLATES_BYTES:
            for templates in self._templates.values():
                templates.clear()
            self._size = 0
        self._size += size
        thread.templates[row[_FUNCTION]] = template
        return template

    def _envelope(self, process: int) -> _Envelope:
        resource = self._maker.resource(process)
        known = self._envelopes.get(process)
        if known is not None and known[0] is resource:
            return known[1]
        if len(self._envelopes) >= _MOST_ENVELOPES:
            self._envelopes.clear()
        envelope = _envelope_of(resource)
        self._envelopes[process] = resource, envelope
        return envelope


def _envelope_of(resource: Resource) -> _Envelope:
    """Return what the official encoder puts around spans of *resource*."""
    example = encode_spans([ReadableSpan("", _ANY, resource=resource, instrumentation_scope=SCOPE)])
    around: ResourceSpans = example.resource_spans[0]
    scope = around.scope_spans[0]
    return _Envelope(
        field(_RESOURCE, around.resource.SerializeToString()),
        field(_SCHEMA_URL, around.schema_url.encode()),
        field(_SCOPE, scope.scope.SerializeToString()),
        field(_SCHEMA_URL, scope.schema_url.encode()),
    )


def encode_logs(records: Iterable[ReadableLogRecord], limits: Limits) -> bytes:
    """Return an ExportLogsServiceRequest of *records*, by the official encoder."""
    whole = _log_encoder.encode_logs([limited_record(record, limits) for record in records])
    return whole.SerializeToString()
