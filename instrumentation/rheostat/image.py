"""A process image: opens the spool for this interpreter, keeps it open through forks, and says what was lost.

Called by startup.py once, and by the fork hook in each forked child; the recorder calls back for what is not hot: a new
chunk of slots, a thread seen for the first time, an exception, a failure of ours.

Growing fails where the program's own surroundings are exhausted (disk, memory, descriptors, limits, a directory that is
gone). Then calls are counted and not recorded, and it is tried again after a tenth of a second.

A signal handler of the program may run between any two calls here, and what it raises must reach the program: every
`except` asks `is_ours`. Nothing is called inside an `except` that could let a handler run: what it raises would carry our
exception as its context.
"""

from __future__ import annotations

import os
import sys
from _functools import partial  # type: ignore[import-not-found]
from _thread import get_ident, get_native_id
from time import monotonic_ns, time_ns

from rheostat import recorder
from rheostat.errors import KNOWN_TYPES, Describer, type_name
from rheostat.masking import hide, hide_arguments
from rheostat.recorder import is_ours
from rheostat.spool.events import (
    ERRTYPE,
    EXEC,
    LOSS,
    MODULE,
    NOTE,
    PROCESS,
    RESUME,
    SKIPPED,
    THREAD,
    encode,
)
from rheostat.spool.layout import CHUNK_SLOTS, DROPPED
from rheostat.spool.segment import Events, Segments

TYPE_CHECKING = False  # importing typing takes longer than all of a bootstrap
if TYPE_CHECKING:
    from typing import Any

    from rheostat.spool.events import Field

    Listing = tuple[int, bytes, int]  # first site, encoded names, number of sites

FORMAT = 1
_RETRY_NS = 100_000_000
_MAX_NOTES = 50
_MAX_ARGUMENT = 4096  # characters of each argument of the command line: as much as the agent takes
_MAX_NESTED = 2  # segments that one thread may be making at once, one in a signal handler that interrupted the other

_getpid, _getppid, _getcwd, _urandom = os.getpid, os.getppid, os.getcwd, os.urandom
_fsdecode, _modules = os.fsdecode, sys.modules
_attribute: Any = object.__getattribute__


class Program:
    """What stays the same over the forks of one program: the spool's directory, the name of `__main__`, the limit."""

    __slots__ = ("max_spans", "name", "spool")

    def __init__(self, spool: str, name: str, max_spans: int) -> None:
        self.spool = spool
        self.name = name
        self.max_spans = max_spans  # 0 = no limit


def _new_base() -> int:
    """Return a random base: below 2**62, so that base + slot never leaves a signed 64-bit integer."""
    return int.from_bytes(_urandom(8), "little") >> 2 | 1 << 61


class Image:
    """One interpreter between an exec or fork and its end, as the spool knows it."""

    def __init__(
        self,
        program: Program,
        generation: int,
        parent: tuple[int, int],
        listings: list[Listing],
    ) -> None:
        self.base = _new_base()
        self.generation = generation
        self._program = program
        self._segments = Segments(program.spool, self.base)
        self._events = Events(program.spool, self.base, self._segments)
        self._describer = Describer(self.append)
        self._threads: dict[int, str] = {}
        self._listings = listings
        self._untold = bool(listings)  # a forked child's: told once it records
        self._next_site = 1 + sum(functions for _, _, functions in listings)
        self._growing: dict[int, int] = {}  # by thread: how many segments it is making
        self._notes = self._retry_ns = 0
        self._reason = self._losing = ""
        self._start(parent)

    def _start(self, parent: tuple[int, int]) -> None:
        fields: list[Field] = [FORMAT, self.base, _getpid(), _getppid(), self.generation]
        fields += [time_ns(), monotonic_ns(), sys.version.split()[0], sys.executable or ""]
        fields += [_working_directory(), *parent, self._program.name, "", get_ident()]
        arguments = hide_arguments(map(str, sys.orig_argv), _MAX_ARGUMENT)
        fields += [get_native_id(), len(arguments), *arguments]
        known = [encode(ERRTYPE, number, name) for number, name in KNOWN_TYPES]
        self._events.append(encode(PROCESS, *fields) + b"".join(known))
        self._threads[get_ident()] = "MainThread"

    def record(self) -> None:
        """Make the recorder write into this image from here on."""
        recorder.open_image(
            self._segments.views,
            self.find_words,
            self.introduce,
            self._describer.describe,
            self.report,
        )

    def heritage(self, slot: int) -> tuple[Program, int, tuple[int, int], list[Listing]]:
        """Return what the image of a child needs that was forked while the span in *slot* was current."""
        return self._program, self.generation + 1, (self.base, slot), self._listings

    def release(self) -> None:
        """In a forked child: give up the parent's chunks, so that nothing can write into them."""
        self._segments.release()

    def append(self, frame: bytes) -> bool:
        """Append *frame* to the events; False: it could not be written and is lost, which is said as soon as it can be."""
        reason = ""
        try:
            self._events.append(frame)
        except OSError as error:
            if not is_ours(error):
                raise
            reason = f"an event could not be written: {error.strerror}"
        if reason:
            self._lose(reason)
        return not reason

    def _put(self, frame: bytes) -> bool:
        """Put *frame*, to which no other refers, into the mapped events; False: it is to be appended."""
        try:
            return self._events.put(frame)
        except (OSError, ValueError, MemoryError) as error:
            if not is_ours(error):
                raise
        return False

    def find_words(self, slot: int) -> Any:
        """Return the words of the chunk that holds *slot*, or None: leave the call unrecorded, it is counted here."""
        if self._untold:
            listings = b"".join(encode(MODULE, *listing[:2]) for listing in self._listings)
            self._untold = not self.append(listings)
        chunk = slot // CHUNK_SLOTS
        limit = self._program.max_spans
        if limit and chunk * CHUNK_SLOTS >= limit:
            self._reason = "--max-spans is reached"
        else:
            words = self._segments.words(chunk)
            if words is None:
                self._grow(chunk, _MAX_NESTED)
                words = self._segments.words(chunk)
            if words is not None:
                if self._segments.is_last(chunk):
                    self._grow(chunk + 1, 1)
                return words
        recorder.tally[DROPPED] += 1
        if (
            get_ident() not in self._growing
        ):  # else a signal handler, which must be fast: another signal may be due
            self._lose(self._reason)
        return None

    def _grow(self, chunk: int, most: int) -> None:
        """Make the segment that holds *chunk*; not if this thread is making *most* already, or none could be made just now."""
        thread, now = get_ident(), monotonic_ns()
        making = self._growing.get(thread, 0)
        if making >= most or now < self._retry_ns:
            return
        self._growing[thread] = making + 1
        try:
            self._segments.grow(chunk, now)
        except (OSError, ValueError, MemoryError) as error:
            if not is_ours(error):
                raise
            self._retry_ns = now + _RETRY_NS
            self._reason = getattr(error, "strerror", None) or str(error) or type_name(type(error))
        else:
            recorder.count_in(self._segments.newest)
            self._resume()
        finally:
            if making:
                self._growing[thread] = making
            else:
                del self._growing[thread]

    def _lose(self, reason: str) -> None:
        """Say once that recording stopped, and why."""
        if self._losing == reason:
            return
        before, self._losing = (
            self._losing,
            reason,
        )  # first: a signal handler may come here meanwhile
        try:
            self._events.append(encode(LOSS, monotonic_ns(), reason))
        except OSError as error:
            self._losing = before  # the same full disk: said when there is room for it
            if not is_ours(error):
                raise

    def _resume(self) -> None:
        if self._losing:
            self.append(encode(RESUME, monotonic_ns()))
            self._losing = ""

    def introduce(self, thread: int) -> None:
        """Tell the name of *thread*, the calling one, unless it is known: idents are used again for other threads."""
        known = getattr(_modules.get("threading"), "_active", {}).get(thread)
        name = "" if known is None else _attribute(known, "__dict__").get("_name")
        name = (
            name if type(name) is str else ""
        )  # of another type, it could run code of the program
        if self._threads.get(thread) != name:
            self.append(encode(THREAD, thread, get_native_id(), hide(name), monotonic_ns()))
            self._threads[thread] = name

    def report(self, error: BaseException) -> None:
        """Keep a failure of ours, which the program must not see."""
        entry = error.__traceback__
        while entry is not None and entry.tb_next is not None:
            entry = entry.tb_next
        where = ""
        if entry is not None:
            code = entry.tb_frame.f_code
            where = f" in {code.co_filename.strip('<>')}:{entry.tb_lineno} {code.co_qualname}"
        try:
            text = hide(str(error))
        except Exception:  # the kind and the place are worth telling all the same
            text = "its text could not be looked through for secrets"
        self.note("error", f"{type_name(type(error))}: {text}{where}")

    def note(self, severity: str, text: str) -> None:
        """Put a line of ours into the run's log; at most 50 an image."""
        self._notes += 1
        if self._notes <= _MAX_NOTES:
            self.append(encode(NOTE, severity, text))

    def skipped(self, what: str, name: str, reason: str) -> None:
        """Tell that the module, function, process or library *name* is not instrumented, and why."""
        self.append(encode(SKIPPED, what, name, reason))

    def module(self, listing: bytes, functions: int) -> int:
        """Number the sites of a module whose encoded *listing* names *functions* of them; return the first number."""
        first, self._next_site = self._next_site, self._next_site + functions
        frame = encode(MODULE, first, listing)
        if not self._put(frame):
            self.append(frame)
        self._listings.append((first, listing, functions))
        return first

    def about_to_exec(self, path: Any) -> None:
        """Tell that this image is about to be replaced by the program at *path*."""
        try:
            text = _fsdecode(path)
        except TypeError:  # the program's mistake: exec itself will say so
            return
        self.append(encode(EXEC, monotonic_ns(), text))


def _working_directory() -> str:
    try:
        return _getcwd()
    except OSError:
        return ""


_image: Image | None = None


def current() -> Image | None:
    """Return the image that this process records into, None if it does not record."""
    return _image


def open_image(program: Program) -> Image:
    """Open the first image of this process, and the next one in each child it forks. Raises OSError."""
    global _image
    _image = Image(program, 0, (0, 0), [])
    _image.record()
    os.register_at_fork(after_in_child=_open_in_child)
    return _image


def _open_in_child() -> None:
    """Go on in a new image; where that fails, unrecorded. Nothing may escape: it would be printed."""
    try:
        global _image
        if _image is not None:
            slot = recorder.get_current()[0]
            _image.release()
            image = Image(*_image.heritage(slot))
            image.record()
            _image = image
    except Exception as error:
        _record_nothing(error)


def _record_nothing(error: Exception) -> None:
    """In a forked child that could not be given an image for *error*: say so where the parent's events are."""
    global _image
    parent, _image = _image, None
    if parent is not None:
        for step in (parent.release, recorder.close_image, partial(parent.report, error)):
            try:
                step()
            except Exception:
                pass  # the others still count; what fails here has failed before, or nobody is left to tell
