"""The recorder: what a call costs the program, and all that a call does on its way into the spool.

A function's transformed body is `with <site>:`. Entering takes the next slot, writes the record's start into the mapped
segment and makes the span current; leaving writes its end and makes the parent current again. No lock, no system call,
no allocation beyond a tuple. The current span is the value of one context variable, a *place*:

    (slot, words, at, owner, parent, thread)

the span's slot, the words of its chunk and where in them its record begins, the site or activation that entered it, the
parent's place, and the ident of the thread. Threads, tasks and contexts carry it as they carry any context variable.

What must hold whatever happens (tests/instrumentation/test_interrupts.py, tests/faults/test_ledger.py):
- A record is complete before the body's first instruction and ended before the caller goes on.
- An exception out of a signal handler, or a RecursionError, that strikes inside these methods leaves no open record, no
  wrong current span, and no frame of ours in its traceback: undo, cut our entry off, re-raise. The bootstrap seals the
  methods (codeobjects.seal), so that their `try` covers even the first instruction.
- A failure of our own is reported once and swallowed; the call then goes unrecorded and is counted.
- A forked child never writes into its parent's records: image.py releases the old memoryviews (`is_inherited`).

Names used here are bound at import, for programs replace `time` and `threading`. Hot: measured by benchmarks/call.py.
"""

from __future__ import annotations


from _contextvars import ContextVar
from _thread import get_ident
from itertools import count
from _struct import Struct
from time import monotonic_ns

from rheostat.spool.layout import ENDED, ERROR, HEAD, ITEMS, SUSPENDED, head

TYPE_CHECKING = False  # importing typing takes longer than all of a bootstrap
if TYPE_CHECKING:
    from typing import Any

    Place = tuple[int, Any, int, Any, Any, int]

_write_start = Struct("@4Q").pack_into  # layout.START in native order: a third faster than "<4Q"

# Where a call that is not recorded writes its end: nobody reads it.
SCRATCH = memoryview(bytearray(64)).cast("Q")
ROOT: Place = (0, SCRATCH, 0, None, None, get_ident())

_current: "ContextVar[Place]" = ContextVar("rheostat", default=ROOT)
get_current = _current.get
set_current = _current.set

next_slot = count(1).__next__
views: dict[int, Any] = {}
# Slow paths; image.py puts in its own when it opens an image.
_find_words: Any = None
_introduce: Any = None
_describe: Any = None
_report: Any = None


def open_image(
    segment_views: dict[int, Any], find_words: Any, introduce: Any, describe: Any, report: Any
) -> None:
    """Record into another process image from here on: its chunks, and its slow paths.

    *find_words*(slot) → the words of the slot's chunk, or None to leave the call unrecorded; *introduce*(thread) is
    called when a span's thread is not its parent's; *describe*(error, traceback, place) → the record's error word;
    *report*(exception) keeps a failure of ours.
    """
    global next_slot, views, _find_words, _introduce, _describe, _report
    views, next_slot = segment_views, count(1).__next__
    _find_words, _introduce, _describe, _report = find_words, introduce, describe, report
    set_current(ROOT)


def close_image() -> None:
    """Record nothing from here on."""
    open_image({}, lambda slot: None, lambda thread: None, lambda *failure: 0, lambda error: None)


def is_ours(error: BaseException) -> bool:
    """Say whether *error* was raised by code of this package, and not by a handler or limit that struck in it."""
    if not isinstance(error, Exception) or isinstance(error, RecursionError):
        return False
    entry = error.__traceback__
    while entry is not None and entry.tb_next is not None:
        entry = entry.tb_next
    return entry is not None and entry.tb_frame.f_code.co_filename.startswith("<rheostat ")


def settle(error: BaseException) -> bool:
    """Decide on *error*, caught in a method that the program's code called: True: ours, swallow it.

    Otherwise the entry of the method's own frame is cut off its traceback; the caller re-raises.
    """
    if is_ours(error):
        report(error)
        return True
    cut(error)
    return False


def cut(error: BaseException) -> None:
    """Cut the entry of the frame that caught *error* off its traceback."""
    if error.__traceback__ is not None:
        error.__traceback__ = error.__traceback__.tb_next


def report(error: BaseException) -> None:
    """Keep a failure of ours for the run's log; if that fails as well, there is nobody left to tell."""
    try:
        _report(error)
    except Exception:  # noqa: S110
        pass


def begin(owner: Any, record_head: int) -> Place:
    """Write a record's start and return its place, not yet current. For all but plain functions."""
    slot = next_slot()
    parent = get_current()
    thread = get_ident()
    if thread != parent[5]:
        _introduce(thread)
    words = views.get(slot >> 10)
    if words is None:
        words = _find_words(slot)
        if words is None:
            return (parent[0], SCRATCH, 0, owner, parent, thread)
    at = (slot & 1023) << 3
    place = (slot, words, at, owner, parent, thread)
    _write_start(words, at << 3, parent[0], thread, monotonic_ns(), record_head)
    return place


def undo(place: Place) -> None:
    """Take back the start of *place*: the call was interrupted before its body began."""
    if get_current() is place:
        set_current(place[4])
    place[1][place[2] + HEAD] = 0


def is_inherited(place: Place) -> bool:
    """Say whether the record at *place* belongs to a process that we were forked from."""
    try:
        place[1].nbytes  # noqa: B018  # raises if the memoryview was released
    except ValueError:
        return True
    return False


def end(place: Place, error: BaseException | None, traceback: Any) -> None:
    """Write the end of the record at *place*; nothing if it is inherited: its process will end it."""
    if is_inherited(place):
        return
    words, at = place[1], place[2]
    if error is not None and words is not SCRATCH:
        words[at + ERROR] = _describe(error, traceback, place)
    words[at + ENDED] = monotonic_ns()


def leave(place: Place, outer: Place) -> None:
    """Make *outer* current again if *place* is current, or was entered by what is current and never left."""
    current = get_current()
    for _ in range(1000):
        if current is place:
            set_current(outer)
            return
        if current[4] is None:
            return
        current = current[4]


class Site:
    """The constant that a transformed function enters. One per function, shared by its calls."""

    __slots__ = ("head",)

    def __init__(self, kind: int, number: int) -> None:
        self.head = head(kind, number)

    def __enter__(self) -> None:
        try:
            slot = next_slot()
            parent = get_current()
            thread = get_ident()
            if thread != parent[5]:
                _introduce(thread)
            try:
                words = views[slot >> 10]
            except KeyError:
                words = _find_words(slot)
                if words is None:
                    set_current((parent[0], SCRATCH, 0, self, parent, thread))
                    return
            at = (slot & 1023) << 3
            place = (slot, words, at, self, parent, thread)
            _write_start(words, at << 3, parent[0], thread, monotonic_ns(), self.head)
            set_current(place)
        except BaseException as error:
            try:
                undo(place)
            except UnboundLocalError:  # interrupted before anything was written
                pass
            if not settle(error):
                raise

    def __exit__(self, kind: object, error: BaseException | None, traceback: Any) -> None:
        try:
            _, words, at, owner, parent, _ = place = get_current()
            if owner is not self or error is not None:
                self._leave(place, error, traceback)
                return
            words[at + 4] = monotonic_ns()  # ENDED, as a number: a global costs 5 ns
            set_current(parent)
        except BaseException as interruption:
            try:
                place = place
            except UnboundLocalError:  # at the first instruction
                place = get_current()
            inherited = is_inherited(place)
            if get_current() is place and place[3] is self:
                end(place, error, traceback)
                set_current(place[4])
            if not inherited and not settle(interruption):
                raise

    def _leave(self, place: Place, error: BaseException | None, traceback: Any) -> None:
        """Leave by an exception, or where what is current is not ours: look for our place above it."""
        for _ in range(1000):
            if place[3] is self:
                end(place, error, traceback)
                set_current(place[4])
                return
            if place[4] is None:  # entered before a fork, or not recorded
                return
            place = place[4]

    def __reduce__(self) -> Any:
        """Become a context that does nothing where the function is pickled by value and Rheostat may be absent."""
        from contextlib import nullcontext

        return nullcontext, ()


class CallSite:
    """The constant of an `async def`: entered through an activation of its own for each call.

    A coroutine may end in another context than it began in, or beside other calls of the same function, so what is
    current at its end does not tell which record is its own.
    """

    __slots__ = ("head",)

    def __init__(self, kind: int, number: int) -> None:
        self.head = head(kind, number)

    def __call__(self) -> "Activation":
        return Activation(self.head)

    def __reduce__(self) -> Any:
        from contextlib import nullcontext
        from functools import partial

        return partial, (nullcontext,)


class Activation:
    """One call of a coroutine function."""

    __slots__ = ("head", "place")

    def __init__(self, record_head: int) -> None:
        self.head = record_head
        self.place: Place | None = None

    def __enter__(self) -> None:
        try:
            self.place = begin(self, self.head)
            set_current(self.place)
        except BaseException as error:
            if self.place is not None:
                undo(self.place)
            if not settle(error):
                raise

    def __exit__(self, kind: object, error: BaseException | None, traceback: Any) -> None:
        try:
            self.finish(error, traceback)
        except BaseException as interruption:
            self.finish(error, traceback)
            if not settle(interruption):
                raise

    def finish(self, error: BaseException | None, traceback: Any) -> None:
        """End the record, once, and make the parent current where we were."""
        place = self.place
        if place is not None:
            end(place, error, traceback)
            leave(place, place[4])
            self.place = None


class GeneratorSite:
    """The constant of a generator function, sync or async: an activation for each generator, once it is started."""

    __slots__ = ("head",)

    def __init__(self, kind: int, number: int) -> None:
        self.head = head(kind, number)

    def __call__(self) -> "GeneratorActivation":
        return GeneratorActivation(self.head)

    def __reduce__(self) -> Any:
        from contextlib import nullcontext
        from functools import partial

        return partial, (nullcontext,)


class GeneratorActivation(Activation):
    """One generator. Current while its frame runs; between a yield and the next resumption its time is suspended time.

    Resumed by `throw`, it is not told: it then stays suspended, rather than be current in the wrong place.
    """

    __slots__ = ("items", "outer", "since", "suspended")

    def __init__(self, record_head: int) -> None:
        Activation.__init__(self, record_head)
        self.items = self.suspended = self.since = (
            0  # since: when it was suspended, 0 while its frame runs
        )
        self.outer = ROOT

    def __enter__(self) -> None:
        try:
            self.place = begin(self, self.head)
            self.outer = self.place[4]
            set_current(self.place)
        except BaseException as error:
            if self.place is not None:
                undo(self.place)
            if not settle(error):
                raise

    def suspend(self, items: int) -> None:
        """The frame is about to yield, or to delegate (no item that we see)."""
        place = self.place
        if place is not None and not self.since:
            self.items += items
            if not is_inherited(place):
                place[1][place[2] + ITEMS] = self.items
            self.since = monotonic_ns()
            leave(place, self.outer)

    def __call__(self, value: Any) -> Any:
        """The frame goes on after its yield, which gave *value*."""
        try:
            place = self.place
            if place is not None and self.since:
                self._went_on(place)
                self.outer = get_current()
                if not is_inherited(place):
                    set_current(place)
        except BaseException as error:
            if not settle(error):
                raise
        return value

    def finish(self, error: BaseException | None, traceback: Any) -> None:
        """End the record, once; a generator that ends suspended (closed, thrown into) leaves what is current alone."""
        place = self.place
        if place is None:
            return
        if self.since:
            self._went_on(place)
        else:
            leave(place, self.outer)
        end(place, error, traceback)
        self.place = None

    def _went_on(self, place: Place) -> None:
        """Account for the time since the frame was suspended."""
        self.suspended += monotonic_ns() - self.since
        self.since = 0
        if not is_inherited(place):
            place[1][place[2] + SUSPENDED] = self.suspended


def _same(value: Any) -> Any:
    return value


class Suspend:
    """Called with what a generator is about to yield, or to delegate to; hands it on."""

    __slots__ = ("head", "items")

    def __init__(self, site: GeneratorSite, items: int) -> None:
        self.head = site.head
        self.items = items

    def __call__(self, value: Any) -> Any:
        try:
            owner = get_current()[3]
            if isinstance(owner, GeneratorActivation) and owner.head == self.head:
                owner.suspend(self.items)
        except BaseException as error:
            if not settle(error):
                raise
        return value

    def __reduce__(self) -> Any:
        from functools import partial
        from typing import cast

        return partial, (cast, None)


class Resume:
    """Called before a yield: returns what is to be called with the yield's value, the running activation."""

    __slots__ = ("head",)

    def __init__(self, site: GeneratorSite) -> None:
        self.head = site.head

    def __call__(self) -> Any:
        try:
            owner = get_current()[3]
            if isinstance(owner, GeneratorActivation) and owner.head == self.head:
                return owner
        except BaseException as error:
            if not settle(error):
                raise
        return _same

    def __reduce__(self) -> Any:
        from functools import partial
        from typing import cast

        return partial, (partial, partial(cast, None))


class MainSite:
    """The constant of the program's own `__main__` body: no record, but what ends the run is described with its text."""

    __slots__ = ()

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: Any) -> None:
        try:
            if error is not None:
                _describe(error, traceback, None)
        except BaseException as failure:
            if not settle(failure):
                raise

    def __reduce__(self) -> Any:
        from contextlib import nullcontext

        return nullcontext, ()
