"""Exceptions: what leaves a function is described once, where it arose, as an event; the records refer to it.

    error word of a record = type id << 32 | number of the description, 0 = its type only

Described are the type, the text and the stack as (file, line, function), outermost first; the agent formats them. The
text is taken only where that runs no code of the program and shows no object of it (built-in type, built-in arguments that
are not huge), or when the exception ends the run, where CPython is about to take it as well; secrets in it are hidden before
it is written (masking.py). At most 100 descriptions a second. The objects here are the program's: nothing but C code touches
them, so no `isinstance` (it asks for `__class__`), no comparison and no hash of a type (its metaclass may define them).

The exception that a function passes on was described by the call below it. It is known by three marks together: the
identity of the exception object (alone not enough: freed objects' addresses are reused), the slot of the caller, and that
its traceback goes through the code that described it (had that code been called anew, it would have described anew).
"""

from __future__ import annotations

from _thread import get_ident
from itertools import count
from time import monotonic_ns

from rheostat.activations import CallSite, GeneratorSite
from rheostat.codeobjects import BEFORE_WITH
from rheostat.masking import hide_cut
from rheostat.recorder import Site, is_ours
from rheostat.spool.events import ERRTYPE, EXCEPTION, encode

TYPE_CHECKING = False  # importing typing takes longer than all of a bootstrap
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType, TracebackType
    from typing import Any

    from rheostat.recorder import Place
    from rheostat.spool.events import Field

    Frame = tuple[str, int, str]

# Ids that every image has told of before anything is recorded: for an error that could not be described.
KNOWN_TYPES = ((1, "BaseException"), (2, "RecursionError"))
MAX_STACK = 64
MAX_TEXT = 1000
MAX_NAME = 1000
_MAX_ARGUMENT = 10_000  # length of an argument, beyond which formatting it could be felt
_MAX_ARGUMENTS = 100
# What the built-in exceptions put into their texts besides their arguments.
_SHOWN = ("errno", "strerror", "filename", "filename2", "msg", "reason", "object", "encoding")
MAX_PER_SECOND = 100
_NEAR = 16  # entries of a traceback that are searched for the code that described it

_HEAP_TYPE = 1 << 9  # of a type's flags: made by a class statement, or by an extension
_SITES = (Site, CallSite, GeneratorSite)
_exit_code: Any = getattr(SystemExit, "code").__get__  # noqa: B009
_qualified_name: Any = type.__dict__["__qualname__"].__get__
_attributes: Any = type.__dict__["__dict__"].__get__


class Describer:
    """Describes the exceptions of one process image."""

    def __init__(self, append: Callable[[bytes], object]) -> None:
        self._append = append
        self._numbers = count(1)
        self._types = {id(BaseException): 1, id(RecursionError): 2}  # id of each type told of
        self._kept: list[type] = []  # those types, for an identity may be used again
        self._type_numbers = count(3)
        self._passing: dict[int, tuple[int, CodeType, int, int]] = {}  # by thread
        self._second = self._in_second = 0

    def describe(
        self, error: BaseException, traceback: TracebackType | None, place: Place | None
    ) -> int:
        """Return the error word for a call that *error* leaves; *place* None: it leaves the program's `__main__`."""
        if _is_no_error(error):
            return 0
        if place is None:
            self._write(error, traceback, 0, _last_text(error))
            return 0
        thread, slot, parent = get_ident(), place[0], place[4][0]
        last = self._passing.get(thread)
        if last and last[0] == id(error) and last[2] == slot and _passes(traceback, last[1]):
            word = last[3]
        else:
            _cut_our_entrance(traceback)
            text = _plain_text(error)
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
        known = self._types.get(id(kind))
        if known is None:
            known = next(self._type_numbers)
            self._append(encode(ERRTYPE, known, type_name(kind)))
            self._kept.append(kind)
            self._types[id(kind)] = known
        return known

    def _has_budget(self) -> bool:
        second = monotonic_ns() // 1_000_000_000
        if second != self._second:
            self._second, self._in_second = second, 0
        self._in_second += 1
        return self._in_second <= MAX_PER_SECOND


def type_name(kind: type) -> str:
    """Return the qualified name of an exception's type: `ValueError`, `package.module.Error`."""
    module = _attributes(kind).get("__module__")
    name: str = _qualified_name(kind)[:MAX_NAME]
    return f"{module[:MAX_NAME]}.{name}" if type(module) is str and module != "builtins" else name


def _is_no_error(error: BaseException) -> bool:
    """Say whether *error* is a way to end that is not a failure."""
    kind = type(error)
    if issubclass(kind, SystemExit):
        code = _exit_code(error)
        return code is None or (type(code) is int and code == 0)
    return issubclass(kind, (GeneratorExit, StopIteration, StopAsyncIteration))


def _plain_text(error: BaseException) -> str | None:
    """Return the text of *error*; None if taking it might run code of the program, or take time to speak of."""
    kind: Any = type(error)
    if type(kind) is not type or kind.__flags__ & _HEAP_TYPE or kind.__module__ != "builtins":
        return None
    arguments = error.args
    if len(arguments) > _MAX_ARGUMENTS:
        return None
    if not all(_is_short(getattr(error, name, None)) for name in _SHOWN):
        return None
    # A single text is shown as it is, whatever its length.
    is_itself = len(arguments) == 1 and type(arguments[0]) is str and kind is not KeyError
    if not is_itself and not all(_is_short(value) for value in arguments):
        return None
    try:
        return hide_cut(str(error), MAX_TEXT)
    except ValueError as failure:  # an integer of more digits than the program allows
        if not is_ours(failure):
            raise
        return None


def _is_short(value: Any) -> bool:
    kind = type(value)
    if kind is str or kind is bytes:
        return len(value) <= _MAX_ARGUMENT
    if kind is int:
        return value.bit_length() <= _MAX_ARGUMENT  # type: ignore[no-any-return]
    return value is None or kind is float or kind is bool


def _last_text(error: BaseException) -> str:
    """Return the text of *error*, which ends the run. Whatever that raises, CPython ignores as well."""
    try:
        return hide_cut("".join([str(error)]), MAX_TEXT)  # no longer of a class of the program's
    except BaseException as failure:
        return f"<its text raised {type_name(type(failure))}>"


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
        type(constant) in _SITES for constant in code.co_consts
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
    return code.co_filename[:MAX_NAME], line or 0, code.co_name[:MAX_NAME]
