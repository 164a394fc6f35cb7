"""Exceptions: what leaves a function is described once, where it arose, as an event; the records refer to it.

    error word of a record = type id << 32 | number of the description, 0 = its type only

Described are the type, the text and the stack as (file, line, function), outermost first; the agent formats them. The
text is taken only where that runs no code of the program and shows no object of it (built-in type, built-in arguments),
or when the exception ends the run, where CPython is about to take it as well. At most 100 descriptions a second.

The exception that a function passes on was described by the call below it. It is known by three marks together: the
identity of the exception object (alone not enough: freed objects' addresses are reused), the slot of the caller, and that
its traceback goes through the code that described it (had that code been called anew, it would have described anew).
"""

from __future__ import annotations

from _thread import get_ident
from itertools import count
from time import monotonic_ns

from rheostat.codeobjects import BEFORE_WITH
from rheostat.recorder import Site
from rheostat.spool.events import ERRTYPE, EXCEPTION, encode

TYPE_CHECKING = False  # importing typing takes longer than all of a bootstrap
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType, TracebackType
    from typing import Any

    from rheostat.recorder import Place
    from rheostat.spool.events import Field

    Frame = tuple[str, int, str]

MAX_STACK = 64
MAX_TEXT = 1000
MAX_PER_SECOND = 100
_NEAR = 16  # entries of a traceback that are searched for the code that described it

_PLAIN = (str, int, float, bool, bytes, type(None))


class Describer:
    """Describes the exceptions of one process image."""

    def __init__(self, append: Callable[[bytes], None]) -> None:
        self._append = append
        self._numbers = count(1)
        self._types: dict[type, int] = {}
        self._passing: dict[int, tuple[int, CodeType, int, int]] = {}  # by thread
        self._second = self._in_second = 0

    def describe(
        self, error: BaseException, traceback: TracebackType | None, place: Place | None
    ) -> int:
        """Return the error word for a call that *error* leaves; *place* None: it leaves the program's `__main__`."""
        if _is_no_error(error):
            return 0
        if place is None:
            self._write(error, traceback, 0, _text(error))
            return 0
        thread, slot, parent = get_ident(), place[0], place[4][0]
        last = self._passing.get(thread)
        if last and last[0] == id(error) and last[2] == slot and _passes(traceback, last[1]):
            word = last[3]
        else:
            _cut_our_entrance(traceback)
            text = _text(error) if _is_plain(error) else None
            word = self._write(error, traceback, slot, text)
        if traceback is not None:
            self._passing[thread] = (id(error), traceback.tb_frame.f_code, parent, word)
        return word

    def _write(
        self, error: BaseException, traceback: TracebackType | None, slot: int, text: str | None
    ) -> int:
        kind = self._type_id(type(error))
        if slot and not self._has_budget():
            return kind << 32
        number = next(self._numbers)
        fields: list[Field] = [
            number,
            slot,
            monotonic_ns(),
            kind,
            int(text is not None),
            text or "",
        ]
        frames = _stack(traceback)
        fields.append(len(frames))
        for frame in frames:
            fields.extend(frame)
        self._append(encode(EXCEPTION, *fields))
        return kind << 32 | number

    def _type_id(self, kind: type) -> int:
        known = self._types.get(kind)
        if known is None:
            known = self._types[kind] = len(self._types) + 1
            self._append(encode(ERRTYPE, known, type_name(kind)))
        return known

    def _has_budget(self) -> bool:
        second = monotonic_ns() // 1_000_000_000
        if second != self._second:
            self._second, self._in_second = second, 0
        self._in_second += 1
        return self._in_second <= MAX_PER_SECOND


def type_name(kind: type) -> str:
    """Return the qualified name of an exception's type: `ValueError`, `package.module.Error`."""
    module = kind.__dict__.get("__module__")
    name = kind.__qualname__
    return f"{module}.{name}" if isinstance(module, str) and module != "builtins" else name


def _is_no_error(error: BaseException) -> bool:
    """Say whether *error* is a way to end that is not a failure."""
    if isinstance(error, SystemExit):
        return error.code in (None, 0) if isinstance(error.code, (int, type(None))) else False
    return isinstance(error, (GeneratorExit, StopIteration, StopAsyncIteration))


def _is_plain(error: BaseException) -> bool:
    """Say whether taking the text of *error* runs no code of the program."""
    if type(error).__module__ != "builtins" or type(type(error)) is not type:
        return False
    shown = (*error.args, *(getattr(error, name, None) for name in ("filename", "filename2")))
    return all(type(value) in _PLAIN for value in shown)


def _text(error: BaseException) -> str:
    try:
        return str(error)[:MAX_TEXT]
    except Exception as failure:
        return f"<its text raised {type(failure).__name__}>"


def _passes(traceback: TracebackType | None, code: CodeType) -> bool:
    """Say whether *traceback* goes through *code* below its first entry; True if it is too long to tell."""
    entry = traceback.tb_next if traceback else None
    for _ in range(_NEAR):
        if entry is None:
            return False
        if entry.tb_frame.f_code is code:
            return True
        entry = entry.tb_next
    return True


def _cut_our_entrance(traceback: TracebackType | None) -> None:
    """Cut the last entry off *traceback* if it is a function that was only about to enter our `with`.

    The recursion limit was reached by our call; the plain program reaches it by calling the function itself.
    """
    before, entry = None, traceback
    while entry is not None and entry.tb_next is not None:
        before, entry = entry, entry.tb_next
    if before is None or entry is None:
        return
    code = entry.tb_frame.f_code
    if code.co_code[entry.tb_lasti] == BEFORE_WITH and any(
        isinstance(constant, Site) for constant in code.co_consts
    ):
        before.tb_next = None


def _stack(traceback: TracebackType | None) -> list[Frame]:
    """Return the frames from the outermost caller to where the exception arose, the innermost 64."""
    inner: list[Frame] = []
    entry = traceback
    while entry is not None:
        inner.append(_frame(entry.tb_frame.f_code, entry.tb_lineno))
        if len(inner) > 4 * MAX_STACK:
            del inner[:-MAX_STACK]
        entry = entry.tb_next
    outer: list[Frame] = []
    frame: FrameType | None = traceback.tb_frame.f_back if traceback else None
    while frame is not None and len(outer) + len(inner) < MAX_STACK:
        outer.append(_frame(frame.f_code, frame.f_lineno))
        frame = frame.f_back
    outer.reverse()
    return (outer + inner)[-MAX_STACK:]


def _frame(code: CodeType, line: Any) -> Frame:
    return code.co_filename, line or 0, code.co_name
