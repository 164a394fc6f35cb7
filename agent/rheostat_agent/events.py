"""What the events of the spool say, as values. Their fields come from the observed program: nothing in them is trusted.

`parse` checks types and ranges and cuts what is too long, so that everything behind it may rely on the annotations: an
int fits into a signed 64-bit column, a text has at most a few thousand characters, a list a bounded length.
"""

from __future__ import annotations

from rheostat.spool import events as spool
from rheostat.spool.events import decode_fields
from rheostat.spool.layout import FUNCTION, IMPORT
from rheostat_agent.reader import Field
from rheostat_agent.values import Value

TYPE_CHECKING = False  # typing takes longer than the rest of the start
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_TEXT = 4096
MAX_ARGUMENTS = 1000
MAX_STACK = 64
MAX_CAPTURED = 100  # arguments of a call
MAX_FUNCTIONS = 100_000  # of a module
MAX_SITE = (1 << 32) - 1
MAX_PID = (1 << 22) - 1  # the kernel's PID_MAX_LIMIT


class Malformed(ValueError):
    """An event that was not written by the recorder."""


class ProcessEvent(Value):
    """An image begins. Times are monotonic but for wall_ns."""

    base: int
    pid: int
    ppid: int
    generation: int
    wall_ns: int
    mono_ns: int
    python: str
    executable: str
    cwd: str
    parent_base: int  # 0: not forked from an image
    parent_slot: int
    name: str
    main_thread: int
    argv: list[str]


class ModuleEvent(Value):
    """A module was given sites, numbered from `first`."""

    first: int
    name: str
    file: str
    functions: list[tuple[int, str, int]]  # kind, qualified name, line
    skipped: list[tuple[str, str]]  # qualified name, reason


class ThreadEvent(Value):
    """The name of a thread, from mono_ns on."""

    ident: int
    native_id: int
    name: str
    mono_ns: int


class ErrorTypeEvent(Value):
    """The name of an exception's type."""

    number: int
    name: str


class ExceptionEvent(Value):
    """An exception, where it arose."""

    number: int
    slot: int  # 0: in no span
    mono_ns: int
    type: int
    message: str | None
    stack: list[tuple[str, int, str]]


class SkippedEvent(Value):
    """Something is not instrumented."""

    what: str
    name: str
    reason: str


class NoteEvent(Value):
    """A failure of the recorder, or a remark."""

    severity: str
    text: str


class ExecEvent(Value):
    """The image is about to be replaced."""

    mono_ns: int
    path: str


class LossEvent(Value):
    """Recording stopped."""

    mono_ns: int
    reason: str


class ResumeEvent(Value):
    """Recording goes on."""

    mono_ns: int


class ArgumentsEvent(Value):
    """What the call in a slot was given; slot 0: only how many calls were not captured so far."""

    slot: int
    missed: int  # calls of the image so far that were not captured
    omitted: int  # arguments of this call that were not
    values: dict[str, None | bool | int | float | str]  # by name; lengths by name + '.length'


Event = (
    ProcessEvent
    | ModuleEvent
    | ThreadEvent
    | ErrorTypeEvent
    | ExceptionEvent
    | SkippedEvent
    | NoteEvent
    | ExecEvent
    | LossEvent
    | ResumeEvent
    | ArgumentsEvent
)


class _Fields:
    """Takes fields one after the other, each with the type that is expected."""

    def __init__(self, fields: list[Field]) -> None:
        self._fields: Iterator[Field] = iter(fields)

    def number(self, least: int = 0, most: int = (1 << 63) - 1) -> int:
        """Take an int from *least* to *most*."""
        value = next(self._fields, None)
        if not isinstance(value, int) or not least <= value <= most:
            raise Malformed(f"{value!r:.50} where a number from {least} to {most} belongs")
        return value

    def time(self) -> int:
        """Take a time in nanoseconds; below 2**62, so that sums of two stay in range."""
        return self.number(0, (1 << 62) - 1)

    def text(self, most: int = MAX_TEXT) -> str:
        """Take a text, of which *most* characters are kept."""
        value = next(self._fields, None)
        if not isinstance(value, str):
            raise Malformed(f"{value!r:.50} where a text belongs")
        return value[:most]

    def data(self) -> bytes:
        """Take bytes."""
        value = next(self._fields, None)
        if not isinstance(value, bytes):
            raise Malformed(f"{value!r:.50} where bytes belong")
        return value


def _process(fields: _Fields) -> Event:
    if fields.number() != 1:
        raise Malformed("an unknown format of the process event")
    base, pid, ppid = fields.number(1), fields.number(1, MAX_PID), fields.number(0, MAX_PID)
    generation = fields.number()
    wall_ns, mono_ns = fields.number(-(1 << 62), (1 << 62) - 1), fields.time()
    python, executable, cwd = fields.text(100), fields.text(), fields.text()
    parent_base, parent_slot, name = fields.number(), fields.number(), fields.text(200)
    fields.text()  # flags
    main_thread = fields.number()
    fields.number()  # its native id
    argv = [fields.text() for _ in range(min(fields.number(), MAX_ARGUMENTS))]
    return ProcessEvent(
        base, pid, ppid, generation, wall_ns, mono_ns, python, executable, cwd, parent_base, parent_slot,
        name, main_thread, argv,
    )  # fmt: skip


def _module(fields: _Fields) -> Event:
    first = fields.number(1, MAX_SITE)
    listing = _Fields(decode_fields(fields.data()))
    name, file = listing.text(1000), listing.text()
    count = listing.number(0, min(MAX_FUNCTIONS, MAX_SITE - first))
    functions = [
        (listing.number(FUNCTION, IMPORT), listing.text(1000), listing.number())
        for _ in range(count)
    ]
    skipped = [
        (listing.text(1000), listing.text(1000)) for _ in range(listing.number(0, MAX_FUNCTIONS))
    ]
    return ModuleEvent(first, name, file, functions, skipped)


def _thread(fields: _Fields) -> Event:
    return ThreadEvent(fields.number(), fields.number(), fields.text(200), fields.time())


def _error_type(fields: _Fields) -> Event:
    return ErrorTypeEvent(fields.number(1, (1 << 31) - 1), fields.text(500))


def _exception(fields: _Fields) -> Event:
    number, slot, mono_ns, kind = fields.number(1), fields.number(), fields.time(), fields.number(1)
    has_message, text = fields.number(0, 1), fields.text()
    count = fields.number(0, MAX_STACK)
    stack = [(fields.text(), fields.number(), fields.text(1000)) for _ in range(count)]
    return ExceptionEvent(number, slot, mono_ns, kind, text if has_message else None, stack)


def _skipped(fields: _Fields) -> Event:
    return SkippedEvent(fields.text(20), fields.text(1000), fields.text(1000))


def _note(fields: _Fields) -> Event:
    return NoteEvent(fields.text(20), fields.text())


def _exec(fields: _Fields) -> Event:
    return ExecEvent(fields.time(), fields.text())


def _loss(fields: _Fields) -> Event:
    return LossEvent(fields.time(), fields.text(500))


def _resume(fields: _Fields) -> Event:
    return ResumeEvent(fields.time())


def _arguments(fields: _Fields) -> Event:
    slot, missed, omitted = fields.number(), fields.number(), fields.number()
    values: dict[str, None | bool | int | float | str] = {}
    for _ in range(fields.number(0, MAX_CAPTURED)):
        name, how = fields.text(100), fields.number()
        if how == spool.TEXT:
            values[name] = fields.text()
        elif how == spool.FLOAT:
            values[name] = float(fields.text(40))
        elif how == spool.LENGTH:
            values[f"{name}.length"] = fields.number()
        elif how == spool.BOOL:
            values[name] = bool(fields.number(0, 1))
        elif how == spool.NONE:
            fields.number(0, 0)
            values[name] = None
        elif how == spool.INT:
            values[name] = fields.number(-(1 << 63))
        else:
            raise Malformed(f"an unknown kind of argument, {how}")
    return ArgumentsEvent(slot, missed, omitted, values)


_PARSERS: dict[int, Callable[[_Fields], Event]] = {
    spool.PROCESS: _process,
    spool.MODULE: _module,
    spool.THREAD: _thread,
    spool.ERRTYPE: _error_type,
    spool.EXCEPTION: _exception,
    spool.SKIPPED: _skipped,
    spool.NOTE: _note,
    spool.EXEC: _exec,
    spool.LOSS: _loss,
    spool.RESUME: _resume,
    spool.ARGUMENTS: _arguments,
}


def parse(kind: int, fields: list[Field]) -> Event:
    """Return what the event of *kind* with *fields* says. Raises ValueError if the recorder did not write it."""
    parser = _PARSERS.get(kind)
    if parser is None:
        raise Malformed(f"an unknown kind of event, {kind}")
    return parser(_Fields(fields))
