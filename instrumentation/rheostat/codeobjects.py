"""What we change in compiled code: two tables of CPython's code objects, and nothing of the instructions.

- `co_linetable`: the instructions that enter a `with` of ours get the line of the first instruction of the body, without
  columns. Then trace functions, debuggers and coverage see the line events of the plain function: the body's first line
  once, and never the line of the `def`. Those that prepare a yield get, likewise, the line of what is yielded. (Those that
  leave the `with` need nothing: the transform gives them no location, and CPython's compiler then copies that of what
  precedes each exit, as it does for an implicit return.)
- `co_exceptiontable`: a `try` around a whole function does not cover the function's first instruction, RESUME, where
  CPython runs signal handlers. Our methods must not let an exception of a handler out without looking at it, so the
  first entry is stretched to the start.

Formats: Objects/locations.md and Objects/exception_handling_notes.txt of CPython 3.11 to 3.13.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # importing typing takes longer than all of a bootstrap
if TYPE_CHECKING:
    from types import CodeType

    Entry = tuple[int, int, int | None, bytes]  # kind, code units, line, payload

Code = type((lambda: 0).__code__)

_NO_LOCATION, _LONG, _NO_COLUMNS = 15, 14, 13

# Opcodes by minor version (tests compare them with the `opcode` module, which costs a millisecond to import).
_OPCODES = {
    11: (100, 53, 144, 2, 9, 85),
    12: (100, 53, 144, 2, 9, 85),
    13: (83, 2, 71, 34, 30, 37),
}
LOAD_CONST, BEFORE_WITH, EXTENDED_ARG, PUSH_NULL, NOP, SETUP_ANNOTATIONS = _OPCODES.get(
    sys.version_info[1], (0,) * 6
)
_THREE_CONSTANTS = bytes(
    [LOAD_CONST] * 3
)  # the way out of a `with` begins with them: None, None, None
_RETURN_CONST = 121  # 3.12
# A module's SETUP_ANNOTATIONS stands on the line of the first statement, which is our `with`.
_BEFORE_ENTRANCE = (EXTENDED_ARG, PUSH_NULL, NOP, SETUP_ANNOTATIONS)


def with_entrance(code: CodeType, constant: int) -> tuple[int, int]:
    """Return the code units (first, behind the last) that load the constant numbered *constant* and enter it.

    From the first LOAD_CONST of it (and what belongs to it) to the POP_TOP behind the next BEFORE_WITH.
    Raises ValueError if *code* holds no such instructions.
    """
    instructions, argument, start = code.co_code, 0, -1
    for unit in range(len(instructions) >> 1):
        opcode = instructions[2 * unit]
        argument = argument << 8 | instructions[2 * unit + 1]
        if opcode == EXTENDED_ARG:
            continue
        if start < 0 and opcode == LOAD_CONST and argument == constant:
            start = unit
        elif start >= 0 and opcode == BEFORE_WITH:
            while start > 1 and instructions[2 * start - 2] in _BEFORE_ENTRANCE:
                start -= 1
            return start, unit + 2
        argument = 0
    raise ValueError(f"{code.co_qualname} does not enter its constant {constant}")


def _read_varint(table: bytes, at: int) -> tuple[int, int]:
    """Return (value, offset behind it) of the varint of co_linetable at offset *at*."""
    value = shift = 0
    while True:
        byte = table[at]
        value |= (byte & 63) << shift
        at, shift = at + 1, shift + 6
        if not byte & 64:
            return value, at


def _svarint(value: int) -> bytes:
    """Return *value* as a signed varint of co_linetable."""
    return _varint(-value << 1 | 1 if value < 0 else value << 1)


def _line_delta(kind: int, table: bytes, at: int) -> int:
    """Return the line delta of the entry of *kind* whose payload starts at offset *at*."""
    if kind in (_LONG, _NO_COLUMNS):
        value, _ = _read_varint(table, at)
        return -(value >> 1) if value & 1 else value >> 1
    return kind - 10 if 10 <= kind <= 12 else 0


def _entries(code: CodeType) -> list[Entry]:
    """Return (kind, code units, line or None, payload) for each entry of the line table of *code*."""
    table, line, at = code.co_linetable, code.co_firstlineno, 0
    entries: list[Entry] = []
    while at < len(table):
        kind, units = table[at] >> 3 & 15, (table[at] & 7) + 1
        stop = at + 1
        while stop < len(table) and not table[stop] & 128:
            stop += 1
        line += _line_delta(kind, table, at + 1)
        here = None if kind == _NO_LOCATION else line
        entries.append((kind, units, here, table[at + 1 : stop]))
        at = stop
    return entries


def _with_entries(code: CodeType, entries: list[Entry]) -> CodeType:
    """Return *code* with the line table that *entries* make."""
    line, out = code.co_firstlineno, b""
    for kind, units, here, payload in entries:
        if here is None:
            out += _entry(_NO_LOCATION, units, b"")
        else:
            out += _located(kind, units, payload, here - line)
            line = here
    return code.replace(co_linetable=out)


def _entry(kind: int, units: int, payload: bytes) -> bytes:
    """Return an entry for *units* code units; only an entry without columns may have more than 8."""
    out = b""
    while units > 0:
        out += bytes([128 | kind << 3 | min(units, 8) - 1]) + payload
        units, payload = units - 8, _svarint(0) if payload else payload
    return out


def _located(kind: int, units: int, payload: bytes, delta: int) -> bytes:
    """Return the entry (*kind*, *payload*) with the line *delta*, in the form that has room for it."""
    if kind in (_LONG, _NO_COLUMNS):
        _, rest = _read_varint(payload, 0)
        return _entry(kind, units, _svarint(delta) + payload[rest:])
    if 10 <= kind <= 12:
        if 0 <= delta <= 2:
            return _entry(10 + delta, units, payload)
        start, end = payload
    else:
        if delta == 0:
            return _entry(kind, units, payload)
        start = kind << 3 | payload[0] >> 4
        end = start + (payload[0] & 15)
    columns = _varint(0) + _varint(start + 1) + _varint(end + 1)
    return _entry(_LONG, units, _svarint(delta) + columns)


def _without_columns(units: int, line: int | None) -> Entry:
    """Return an entry for *units* code units on *line*."""
    return (_NO_LOCATION, units, None, b"") if line is None else (_NO_COLUMNS, units, line, b"\0")


def set_line(code: CodeType, start: int, stop: int, line: int | None) -> CodeType:
    """Return *code* with the code units *start* to *stop* located on *line*, without columns; None: nowhere."""
    entries: list[Entry] = []
    at, done = 0, False
    for kind, units, here, payload in _entries(code):
        before = max(0, min(units, start - at))
        inside = max(0, min(units, stop - at) - max(0, start - at))
        if before:
            entries.append((kind, before, here, payload))
        if inside and not done:
            entries.append(_without_columns(stop - start, line))
            done = True
        if before + inside < units:
            entries.append((kind, units - before - inside, here, payload))
        at += units
    return _with_entries(code, entries)


def leave_line(code: CodeType, line: int) -> CodeType:
    """Return *code* with what is located on *line* moved to where the next instruction on another line is, without columns."""
    entries: list[Entry] = []
    following: int | None = None
    for kind, units, here, payload in reversed(_entries(code)):
        if here == line:
            entries.append(_without_columns(units, following))
        else:
            entries.append((kind, units, here, payload))
            following = following if here is None else here
    return _with_entries(code, entries[::-1])


def _varint(number: int) -> bytes:
    """Return *number* as an unsigned varint of co_linetable."""
    out = bytearray()
    while number >= 64:
        out.append(64 | number & 63)
        number >>= 6
    out.append(number)
    return bytes(out)


def mend_exits(code: CodeType) -> CodeType:
    """Return *code* with every way out of a `with` of ours on one line to its end.

    3.12 gives one that several places lead to the line of one of them at its first instruction, and none to the rest. A
    frame that returns from nowhere breaks debuggers.
    """
    if sys.version_info[:2] != (3, 12):
        return code
    opcodes, lines = code.co_code[::2], [line for line, *_ in code.co_positions()]
    for unit in range(len(lines) - 2):
        if opcodes[unit : unit + 3] != _THREE_CONSTANTS or lines[unit] is None:
            continue
        if lines[unit + 1] is None:
            stop = opcodes.index(_RETURN_CONST, unit) + 1
            code = set_line(code, unit + 1, stop, lines[unit])
    return code


def first_line_after(code: CodeType, unit: int) -> int | None:
    """Return the line of the first instruction at or behind the code unit *unit* that has one."""
    at = 0
    for _, units, line, _ in _entries(code):
        at += units
        if at > unit and line is not None:
            return line
    return None


def _exception_varint(number: int, mark: int) -> bytes:
    """Return *number* as co_exceptiontable has it: most significant first, *mark* (128) on an entry's first byte."""
    digits = [number & 63]
    while number >= 64:
        number >>= 6
        digits.append(number & 63 | 64)
    digits.reverse()
    digits[0] |= mark
    return bytes(digits)


def seal_all(code: CodeType) -> CodeType:
    """Return *code* with every function in it sealed whose body is one `try`."""
    constants = tuple(seal_all(c) if isinstance(c, Code) else c for c in code.co_consts)
    return _seal(code.replace(co_consts=constants))


def _seal(code: CodeType) -> CodeType:
    """Return *code* with the first entry of its exception table stretched to the start, if it starts right behind it."""
    table = code.co_exceptiontable
    if not table:
        return code
    values, at = [], 0
    for _ in range(4):  # start, length, target, depth and lasti
        value = table[at] & 63
        while table[at] & 64:
            at += 1
            value = value << 6 | table[at] & 63
        at += 1
        values.append(value)
    start, length, target, depth = values
    if start > 2 or depth > 1:  # RESUME, NOP, and an empty stack
        return code
    entry = _exception_varint(0, 128) + _exception_varint(start + length, 0)
    entry += _exception_varint(target, 0) + _exception_varint(depth, 0)
    return code.replace(co_exceptiontable=entry + table[at:])
