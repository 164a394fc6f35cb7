"""What calls were given, where `--capture-args` asks for it: scalars, and how long containers are.

A function with parameters then begins with `<capture>(names, a, b, …)`, put there by transform.py as the first statement in our
`with`: the frame itself hands over its parameters, by which nothing is read from outside of it. (`frame.f_locals` would
keep a second reference to each for as long as the call lasts.) A generator or coroutine does so at its first step.

The values are the program's: of other than exactly the built-in types nothing is done with them, no `repr`, no `len`, no
comparison. What looks like a secret by its name or shape is hidden before it is written (masking.py). Bounded are the
arguments of a call, their texts, and the calls of a second; what goes over is counted, and the agent says so.

No generators here (nor in masking.py): one that is given up in midst of an exception of a signal handler is closed, and
what strikes then is printed by CPython.
An exception of a signal handler that strikes here strikes in the first statement of the body, as far as the program can
tell: our entries are cut off its traceback, and the call ends by it.
"""

from __future__ import annotations

from itertools import islice
from time import monotonic_ns

from rheostat.image import current
from rheostat.masking import STRONG, WEAK, hide_cut, is_plain, secrecy
from rheostat.recorder import SCRATCH, get_current, is_inherited, settle
from rheostat.shapes import HIDDEN
from rheostat.spool.events import (
    ARGUMENTS,
    BOOL,
    FLOAT,
    INT,
    LENGTH,
    NONE,
    TEXT,
    encode,
)

TYPE_CHECKING = False  # importing typing takes longer than all of a bootstrap
if TYPE_CHECKING:
    from typing import Any

    from rheostat.image import Image
    from rheostat.spool.events import Field

    Entry = tuple[str, int, int | str]  # name, how the value stands there, value

MAX_ARGUMENTS = 20  # of one call
MAX_TEXT = 200  # characters of one text
MAX_NAME = 100
MAX_PER_SECOND = 1000  # calls of one process, …
MAX_OF_SITE = 100  # … and of one function
_TELL_EVERY = 1000  # calls that were not captured
_SECOND = 1_000_000_000

_SIZED = (list, tuple, dict, set, frozenset, bytes, bytearray, range)
_LIMIT = 1 << 63


class _Tally:
    """How many calls of an image may still be captured in this second, and how many were not."""

    __slots__ = ("image", "left", "missed", "tells_at", "until")

    def __init__(self, image: Image | None) -> None:
        self.image = image
        self.left = self.until = 0
        self.missed = 0
        self.tells_at = 0  # so many missed, and the agent is told: that costs an event

    def told(self) -> None:
        """The agent knows how many were missed: it is told again when they are twice as many, or a thousand more."""
        self.tells_at = self.missed + min(max(self.missed, 1), _TELL_EVERY)


_tally = _Tally(None)


def _tally_of(image: Image) -> _Tally:
    """Return the tally of *image*, a new one in a forked child: what its parent missed is the parent's."""
    global _tally
    if _tally.image is not image:
        _tally = _Tally(image)
    return _tally


class Capture:
    """The constant that a function of one site calls with its parameters."""

    __slots__ = ("_head", "_left", "_until")

    def __init__(self, site: Any) -> None:
        self._head: int = getattr(site, "head", site)
        self._left = self._until = 0

    def __call__(self, names: tuple[str, ...], *values: Any) -> None:
        try:
            tally = _tally
            if not self._left and tally.missed < tally.tells_at and monotonic_ns() < self._until:
                tally.missed += 1  # in a loop: nothing else is done
                return
            place = get_current()
            owner = place[3]
            if place[1] is SCRATCH or getattr(owner, "head", owner) != self._head:
                return  # this call is not recorded
            image = current()
            if image is None or is_inherited(place):
                return
            tally = _tally_of(image)
            if self._has_budget(tally):
                tally.told()
                image.append(_event(place[0], tally.missed, names, values))
                return
            tally.missed += 1
            if tally.missed >= tally.tells_at:
                tally.told()
                image.append(encode(ARGUMENTS, 0, tally.missed, 0, 0))
        except BaseException as error:
            try:
                if settle(error):
                    return
            except RecursionError:  # no room even for this
                if type(error) is RecursionError:
                    return
            raise

    def _has_budget(self, tally: _Tally) -> bool:
        """Say whether one more call may be captured now: a loop must not take it from what is called once."""
        now = monotonic_ns()
        if now >= self._until:
            self._until, self._left = now + _SECOND, MAX_OF_SITE
        if now >= tally.until:
            tally.until, tally.left = now + _SECOND, MAX_PER_SECOND
        if not self._left or not tally.left:
            return False
        self._left -= 1
        tally.left -= 1
        return True

    def __reduce__(self) -> Any:
        """Become a function that does nothing with what it is given, where the program pickles the function by value."""
        from functools import partial
        from itertools import chain

        return partial, (chain,)


def _event(slot: int, missed: int, names: tuple[str, ...], values: tuple[Any, ...]) -> bytes:
    """Return the event that tells of the call in *slot*."""
    entries: list[Entry] = []
    omitted = 0
    for name, value in _pairs(names, values):
        found = _entries(name[:MAX_NAME], value)
        if len(entries) + len(found) <= MAX_ARGUMENTS:
            entries += found
        else:
            omitted += 1
    if names[-1][:2] == "**":
        omitted += max(0, len(values[-1]) - MAX_ARGUMENTS)
    fields: list[Field] = [slot, missed, omitted, len(entries)]
    for entry in entries:
        fields += entry
    return encode(ARGUMENTS, *fields)


def _pairs(names: tuple[str, ...], values: tuple[Any, ...]) -> list[tuple[str, Any]]:
    """Return the arguments by their names; those that `**` gathered, by theirs, as far as these are plain texts."""
    pairs = []
    for name, value in zip(names, values, strict=True):
        if name[:2] != "**":
            pairs.append((name.lstrip("*"), value))
            continue
        for keyword, given in islice(value.items(), MAX_ARGUMENTS):
            if type(keyword) is str:
                pairs.append((keyword, given))
    return pairs


def _entries(name: str, value: Any) -> list[Entry]:
    """Return what is told of one argument; nothing of a value of another type."""
    kind = type(value)
    if value is None:
        return [(name, NONE, 0)]
    if kind is bool:
        return [(name, BOOL, int(value))]
    if kind is str:
        return _text(name, value)
    if (kind is int or kind is float) and secrecy(name) == STRONG:
        return [(name, TEXT, HIDDEN)]
    if kind is int:
        return [(name, INT, value)] if -_LIMIT <= value < _LIMIT else []
    if kind is float:
        return [(name, FLOAT, repr(value))]
    for sized in _SIZED:  # no `in`: that would compare, and the type's own type may define how
        if kind is sized:
            return [(name, LENGTH, len(value))]
    return []


def _text(name: str, value: str) -> list[Entry]:
    strength = secrecy(name)
    if strength == STRONG or (strength == WEAK and not is_plain(value[: 2 * MAX_TEXT])):
        return [(name, TEXT, HIDDEN)]
    entries: list[Entry] = [(name, TEXT, hide_cut(value, MAX_TEXT))]
    if len(value) > MAX_TEXT:
        entries.append((name, LENGTH, len(value)))
    return entries
