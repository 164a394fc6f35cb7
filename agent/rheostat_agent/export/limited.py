"""OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT and its like: spans and log records within the limits that the user set.

By the specification (common/README.md, attribute limits): a text is cut, what is over a count is discarded and counted. The
SDK does so too, but discards the oldest, and logs a line each time.
"""

from __future__ import annotations

import copy
from itertools import islice
from typing import TYPE_CHECKING

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util import BoundedList

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from opentelemetry.sdk.resources import Resource

    from rheostat_agent.configuration.otel import Limits


def limited_span(span: ReadableSpan, limits: Limits, resource: Resource) -> ReadableSpan:
    """Return *span* within *limits*, of the resource *resource*."""
    events: BoundedList[Event] = BoundedList(limits.event_count)
    length = limits.span_attribute_length
    events.extend(
        [
            Event(
                event.name,
                _bounded(event.attributes or {}, limits.event_attribute_count, length),
                event.timestamp,
            )
            for event in span.events
        ]
    )
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=resource,
        attributes=_bounded(span.attributes or {}, limits.span_attribute_count, length),
        events=events,
        kind=span.kind,
        instrumentation_scope=span.instrumentation_scope,
        status=span.status,
        start_time=span.start_time,
        end_time=span.end_time,
    )


def limited_record(record: ReadableLogRecord, limits: Limits) -> ReadableLogRecord:
    """Return *record* within *limits*."""
    inner = copy.copy(record.log_record)
    inner.attributes = _bounded(
        inner.attributes or {}, limits.log_attribute_count, limits.log_attribute_length
    )
    return ReadableLogRecord(inner, record.resource, record.instrumentation_scope)


def _bounded(
    attributes: Mapping[str, Any], count: int | None, length: int | None
) -> BoundedAttributes:
    kept = {key: _cut(value, length) for key, value in islice(attributes.items(), count)}
    bounded = BoundedAttributes(attributes=kept)
    bounded.dropped = len(attributes) - len(kept)
    return bounded


def _cut(value: Any, length: int | None) -> Any:
    if isinstance(value, str):
        return value[:length]
    if isinstance(value, (list, tuple)):
        return [_cut(one, length) for one in value]
    return value
