"""Spans of one function on one thread differ in five numbers: the rest is encoded once, and kept as a template.

A template is what OpenTelemetry's own encoder makes of an example, cut where the numbers are. All five have a fixed size,
so that the length before the message stays the same too:

     2  span_id               8 bytes, big-endian
     4  parent_span_id        8 bytes, big-endian
     7  start_time_unix_nano  fixed64, little-endian
     8  end_time_unix_nano    fixed64, little-endian

(the fifth, the thread's id, belongs to the template). A message's fields may come in any order (protobuf.dev/programming-guides/
encoding, field order); here they come in that of their numbers, as the official encoder has them, but for trace_state, which
would stand between two of those.
"""

from __future__ import annotations

from typing import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

SPANS = 2  # field of ScopeSpans; LogRecords have the same in ScopeLogs
_TRACE_STATE, _SPAN_ID, _PARENT_ID, _START, _END = 3, 2, 4, 7, 8
_VARINT, _FIXED64, _LEN, _FIXED32 = 0, 1, 2, 5  # wire types


class Template(NamedTuple):
    """The constant bytes: before the span's id, between parent's id and start, behind the end."""

    head: bytes
    middle: bytes
    tail: bytes


def template_of(message: bytes) -> Template:
    """Return the template of which the Span *message* is an example. Raises ValueError if it lacks one of the numbers."""
    fields = dict.fromkeys((_SPAN_ID, _PARENT_ID, _START, _END), b"")
    before = between = behind = b""
    for number, data in _fields(message):
        if number in fields:
            fields[number] = data
        elif number < _SPAN_ID or number == _TRACE_STATE:
            before += data
        elif number < _START:
            between += data
        else:
            behind += data
    if [len(data) for data in fields.values()] != [10, 10, 9, 9]:
        raise ValueError("not an example: an id or a time is missing")
    head = b"\x12" + varint(len(message)) + before + fields[_SPAN_ID][:2]
    return Template(head, between + fields[_START][:1], behind)


def field(number: int, data: bytes) -> bytes:
    """Return *data* as the field *number* of type LEN."""
    return varint(number << 3 | _LEN) + varint(len(data)) + data


def varint(value: int) -> bytes:
    """Return *value*, not negative, as a varint."""
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    found.append(value)
    return bytes(found)


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the fields of *message*, each with its number and its tag."""
    at = 0
    while at < len(message):
        began = at
        tag, at = _read_varint(message, at)
        kind = tag & 7
        if kind == _LEN:
            size, at = _read_varint(message, at)
            at += size
        elif kind == _VARINT:
            _, at = _read_varint(message, at)
        else:
            at += {_FIXED64: 8, _FIXED32: 4}[kind]
        yield tag >> 3, message[began:at]


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
