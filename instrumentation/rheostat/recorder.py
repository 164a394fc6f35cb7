"""The recorder: what a call costs the program, and all that a call does on its way into the spool.

A function's transformed body is `with <site>:`. Entering takes the next slot, writes the record's start into the mapped
segment and makes the span current; leaving writes its end and makes the parent current again. No lock, no system call,
no allocation beyond a tuple. The current span is the value of one context variable, a *place*:

    (slot, words, at, owner, parent, thread)

the span's slot, the words of its chunk and where in them its record begins, the site or activation that entered it, the
parent's place, and the ident of the thread. Threads, tasks and contexts carry it as they carry any context variable.

What must hold whatever happens (tests/instrumentation/test_interrupts.py, tests/faults/test_kill_sweep.py):
- A record is complete before the body's first instruction and ended before the caller goes on.
- An exception out of a signal handler that strikes inside these methods leaves no open record, no wrong current span, no
  frame of ours in its traceback and no exception of ours as its context: undo, cut our entries off, re-raise. The
  bootstrap seals the methods (codeobjects.seal), so that their `try` covers even the first instruction. No call is made
  inside an `except` that an ordinary call can come to.
- The recursion limit is where it was, within two frames: where there is no room for ours, the call goes unrecorded and
  is counted; leaving always succeeds, if need be without a description of the error.
- A failure of our own is reported once and swallowed; the call then goes unrecorded and is counted.
- A forked child never writes into its parent's records: image.py releases the old memoryviews (`is_inherited`).

Names used here are bound at import, for programs replace `time` and `threading`. Hot: measured by benchmarks/call.py.
"""

from __future__ import annotations

import os
from _contextvars import ContextVar
from _struct import Struct
from _thread import get_ident
from itertools import count
from time import monotonic_ns

from rheostat.spool.layout import CHUNK_BITS, CHUNK_SLOTS, DROPPED, ENDED, ERROR, HEAD

TYPE_CHECKING = False  # importing typing takes longer than all of a bootstrap
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

    Place = tuple[int, Any, int, Any, Any, int]

_write_start = Struct("@4Q").pack_into  # layout.START in native order: a third faster than "<4Q"

# Where a call that is not recorded writes its end: nobody reads it.
SCRATCH = memoryview(bytearray(64)).cast("Q")
ROOT: Place = (0, SCRATCH, 0, None, None, get_ident())

# The error word of a record whose end was interrupted: type 1 of errors.KNOWN_TYPES, or shifted by one, type 2. (At the
# recursion limit there is no room for a lookup.)
UNDESCRIBED = 1 << 32

_OWN = ("<rheostat ", __file__.rpartition("/")[0] + "/")  # where our code comes from
_LIBRARY = (os.__file__.rpartition("/")[0] + "/", "<frozen ")

_current: ContextVar[Place] = ContextVar("rheostat", default=ROOT)
get_current = _current.get
set_current = _current.set

next_slot = count(1).__next__
get_words: Any = {}.get  # chunk → its words
tally = memoryview(bytearray(64)).cast("Q")  # its word DROPPED counts the calls that go unrecorded
# Slow paths; image.py puts in its own when it opens an image.
_find_words: Any = None
_introduce: Any = None
_describe: Any = None
_report: Any = None


def open_image(
    segment_views: dict[int, Any],
    find_words: Any,
    introduce: Any,
    describe: Any,
    report: Any,
) -> None:
    """Record into another process image from here on: its chunks, and its slow paths.

    *find_words*(slot) → the words of the slot's chunk, or None to leave the call unrecorded; *introduce*(thread) is
    called when a span's thread is not its parent's; *describe*(error, traceback, place) → the record's error word;
    *report*(exception) keeps a failure of ours.
    """
    global next_slot, get_words, tally, _find_words, _introduce, _describe, _report
    get_words, next_slot = segment_views.get, count(1).__next__
    tally = memoryview(bytearray(64)).cast("Q")
    _find_words, _introduce, _describe, _report = find_words, introduce, describe, report
    set_current(ROOT)


def close_image() -> None:
    """Record nothing from here on."""
    open_image({}, lambda slot: None, lambda thread: None, lambda *failure: 0, lambda error: None)


def count_in(words: Any) -> None:
    """Count unrecorded calls in the header *words* of a segment from here on, and those there that had none."""
    global tally
    if tally.nbytes == 64:  # not a segment's
        words[DROPPED] += tally[DROPPED]
    tally = words


def is_ours(error: BaseException) -> bool:
    """Say whether *error*, caught by our code, arose in it, and not in a signal handler that ran in the midst of it.

    Its traceback tells: a handler's is an entry of another's code. (The standard library's may be what we called.)
    """
    entry = error.__traceback__
    while entry is not None:
        file = entry.tb_frame.f_code.co_filename
        if not file.startswith(_OWN) and (not file.startswith(_LIBRARY) or "-packages/" in file):
            return False
        entry = entry.tb_next
    return issubclass(type(error), Exception)


def cut(error: BaseException) -> None:
    """Cut our entries off the start of the traceback of *error*, which the program is about to see."""
    entry = error.__traceback__
    while entry is not None and entry.tb_frame.f_code.co_filename.startswith(_OWN):
        entry = entry.tb_next
    error.__traceback__ = entry


def settle(error: BaseException, quiet: bool = False) -> bool:
    """Decide on *error*, caught in a method that the program's code called: True: ours, swallow it (and, if *quiet*, say nothing).

    Otherwise our entries are cut off its traceback; the caller re-raises.
    """
    try:
        if not is_ours(error):
            cut(error)
            return False
        if not quiet and type(error) is not RecursionError:
            report(error)
    except RecursionError:  # no room at the limit, which most likely is what struck
        return type(error) is RecursionError
    except Exception:  # a failure in telling ours from others
        return issubclass(type(error), Exception)
    return True


def report(error: BaseException) -> None:
    """Keep a failure of ours for the run's log; if that fails as well, there is nobody left to tell."""
    try:
        _report(error)
    except Exception:
        pass


def begin(owner: Any) -> None:
    """Begin a record for *owner*, whose `head` it bears; its place, not yet current, is kept as `owner.place`.

    For all but plain functions. The place is kept before the record is begun, so that whatever strikes can be undone.
    """
    slot = next_slot()
    parent = get_current()
    thread = get_ident()
    if thread != parent[5]:
        _introduce(thread)
    words = get_words(slot >> CHUNK_BITS)
    if words is None:
        words = _find_words(slot)
        if words is None:
            owner.place = (parent[0], SCRATCH, 0, owner, parent, thread)
            return
    at = (slot & CHUNK_SLOTS - 1) << 3
    owner.place = (slot, words, at, owner, parent, thread)
    _write_start(words, at << 3, parent[0], thread, monotonic_ns(), owner.head)


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


class Site(int):
    """The constant that a transformed function enters. One per function, shared by its calls.

    It *is* the head word of their records: as an int it is made in C, and the garbage collector passes it by. A large
    program has thousands of sites.
    """

    __slots__ = ()

    def __enter__(self) -> None:
        try:
            slot = next_slot()
            parent = get_current()
            thread = get_ident()
            if thread != parent[5]:
                _introduce(thread)
            words = get_words(slot >> 10)
            if words is None:
                words = _find_words(slot)
                if words is None:
                    set_current((parent[0], SCRATCH, 0, self, parent, thread))
                    return
            at = (slot & 1023) << 3
            place = (slot, words, at, self, parent, thread)
            _write_start(words, at << 3, parent[0], thread, monotonic_ns(), self)
            set_current(place)
        except BaseException as error:
            try:
                place[1][place[2] + HEAD] = 0
                if get_current() is place:
                    set_current(parent)
            except (UnboundLocalError, RecursionError, ValueError):
                pass  # nothing was written yet (on 3.11 the limit may leave no room to say so), or it cannot be
            try:
                if settle(error):
                    tally[DROPPED] += 1
                    current = get_current()
                    set_current((current[0], SCRATCH, 0, self, current, get_ident()))
                    return
            except RecursionError:  # not even for this: the plain program had one call to go
                error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next
            raise

    def __exit__(
        self, kind: object, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            _, words, at, owner, parent, _ = place = get_current()
            if owner is not self or error is not None:
                self._leave(place, error, traceback)
                return
            words[at + 4] = monotonic_ns()  # ENDED, as a number: a global costs 5 ns
            set_current(parent)
        except BaseException as interruption:
            # Nothing of ours is called to leave: it may be what failed, and the plain program needs no room to leave.
            quiet = False
            try:
                found = get_current() if get_current() is place else None
            except UnboundLocalError:  # at the first instruction
                found = get_current()
            while found is not None and found[3] is not self:
                found = found[4]
            if found is not None:
                try:
                    if error is not None and not found[1][found[2] + ERROR]:
                        found[1][found[2] + ERROR] = UNDESCRIBED << (type(error) is RecursionError)
                    found[1][found[2] + ENDED] = monotonic_ns()
                except ValueError:  # inherited: its process will end it
                    quiet = True
                set_current(found[4])
            try:
                if settle(interruption, quiet):
                    return
            except RecursionError:
                if type(interruption) is RecursionError:
                    return
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


class MainSite:
    """The constant of the program's own `__main__` body: no record, but what ends the run is described with its text."""

    __slots__ = ()

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: object, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if error is not None:
                _describe(error, traceback, None)
        except BaseException as failure:
            if not settle(failure):
                raise

    def __reduce__(self) -> Any:
        from contextlib import nullcontext

        return nullcontext, ()
