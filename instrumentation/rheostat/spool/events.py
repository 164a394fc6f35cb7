"""Events: the half of the spool whose length varies, in an append-only file for each process image.

    frame    u32 length of the rest · u8 kind · fields
    field    b"i" i64  |  b"s" u32 length, UTF-8  |  b"b" u32 length, bytes

All little-endian. Text is UTF-8 with lone surrogates passed through (file names and attributes may hold them); readers
replace them. A frame is appended by one write(2), so threads need no lock; or it is stored in a mapped file, which is
allocated and zero, its kind last: what follows a kind of 0 is not there yet. A writer that is killed inside leaves an
incomplete last frame, which readers leave alone; after a short write (full disk) the writer goes on in a new file. The
fields of each kind are listed in docs/spool-format.md.
"""

from __future__ import annotations

from _struct import Struct

TYPE_CHECKING = False  # importing typing takes longer than all of a bootstrap
if TYPE_CHECKING:
    from collections.abc import Iterator

    Field = int | str | bytes

PROCESS, MODULE, THREAD, ERRTYPE, EXCEPTION, SKIPPED, NOTE, EXEC, LOSS, RESUME = range(1, 11)
ARGUMENTS = 11

# How an argument stands in an ARGUMENTS event; LENGTH may come beside a TEXT that was cut.
NONE, BOOL, INT, FLOAT, TEXT, LENGTH = range(6)

_FRAME = Struct("<IB")
_INT = Struct("<cq")
_SIZED = Struct("<cI")
_MAX_FRAME = 64 << 20  # a length beyond it was not written by us


def encode_fields(*fields: Field) -> bytes:
    """Return *fields* encoded one after the other. An int must fit into 64 bits, signed."""
    parts = []
    for field in fields:
        if isinstance(field, int):
            parts.append(_INT.pack(b"i", field))
        elif isinstance(field, str):
            text = str.encode(field, "utf-8", "surrogatepass")
            parts.append(_SIZED.pack(b"s", len(text)) + text)
        else:
            parts.append(_SIZED.pack(b"b", len(field)) + field)
    return b"".join(parts)


def encode(kind: int, *fields: Field) -> bytes:
    """Return one frame of *kind* with *fields*."""
    body = encode_fields(*fields)
    return _FRAME.pack(len(body) + 1, kind) + body


def decode_fields(data: bytes | memoryview) -> list[Field]:
    """Return the fields encoded in *data*; surrogates become U+FFFD. Raises ValueError if they are malformed."""
    fields: list[Field] = []
    view, at, end = memoryview(data), 0, len(data)
    while at < end:
        tag = view[at]
        if tag == 0x69 and at + 9 <= end:
            fields.append(int.from_bytes(view[at + 1 : at + 9], "little", signed=True))
            at += 9
            continue
        stop = at + 5 + int.from_bytes(view[at + 1 : at + 5], "little")
        if tag not in (0x73, 0x62) or at + 5 > end or stop > end:
            raise ValueError(f"malformed field at byte {at} of {end}")
        value = bytes(view[at + 5 : stop])
        fields.append(value.decode("utf-8", "replace") if tag == 0x73 else value)
        at = stop
    return fields


def decode_frames(data: bytes | memoryview) -> Iterator[tuple[int, list[Field], int]]:
    """Yield (kind, fields, offset behind the frame) for each whole frame of *data*; stop at one that is not there yet.

    Raises ValueError at a frame that cannot have been written by us: the rest of the file has no meaning then.
    """
    view, at = memoryview(data), 0
    while at + 5 <= len(view):
        length, kind = _FRAME.unpack_from(view, at)
        if kind == 0:
            return
        if not 1 <= length <= _MAX_FRAME:
            raise ValueError(f"impossible frame length {length} at byte {at}")
        stop = at + 4 + length
        if stop > len(view):
            return
        yield kind, decode_fields(view[at + 5 : stop]), stop
        at = stop
