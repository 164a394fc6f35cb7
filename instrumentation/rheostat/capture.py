"""What calls were given, where `--capture-args` asks for it: scalars, and how long containers are.

A function with parameters then begins with `<capture>(names, a, b, …)`, put there by transform.py as the first statement in our
`with`: the frame itself hands over its parameters, by which nothing is read from outside of it. (`frame.f_locals` would
keep a second reference to each for as long as the call lasts.) A generator or coroutine does so at its first step.

The values are the program's: of other than exactly the built-in types nothing is done with them, no `repr`, no `len`, no
comparison. What looks like a secret by its name or shape is hidden before it is written (masking.py). Bounded are the
arguments of a call, their texts, and the calls of a second; what goes over is counted, and the agent says so.

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
from rheostat.spool.events import ARGUMENTS, encode

TYPE_CHECKING = False  # importing typing takes longer than all of a bootstrap
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from rheostat.image import Image
    from rheostat.spool.events import Field

    Entry = tuple[str, int, int | str]  # name, how the value stands there, value

MAX_ARGUMENTS = 20  # of one call
MAX_TEXT = 200  # characters of one text
MAX_NAME = 100
MAX_PER_SECOND = 1000  # calls of one process
_SECOND = 1_000_000_000

# How a value stands in the event. Texts are followed by their LENGTH if they were cut.
NONE, BOOL, INT, FLOAT, TEXT, LENGTH = range(6)
_SIZED = (list, tuple, dict, set, frozenset, bytes, bytearray, range)
_LIMIT = 1 << 63


class Budget:
    """How many calls may still be captured in this second, and how many were not, in one process image."""

    __slots__ = ("_image", "_in_second", "_second", "missed", "told")

    def __init__(self) -> None:
        self._image: Image | None = None
        self._second = self._in_second = 0
        self.missed = 0  # calls since the image began
        self.told = 0  # … of which the agent knows

    def of_image(self, image: Image) -> None:
        """Begin anew in a forked child: what its parent missed is the parent's."""
        if image is not self._image:
            self._image = image
            self._second = self._in_second = self.missed = self.told = 0

    def take(self) -> bool:
        """Say whether one more call may be captured now; if not, it is counted."""
        second = monotonic_ns() // _SECOND
        if second != self._second:
            self._second, self._in_second = second, 0
        self._in_second += 1
        if self._in_second <= MAX_PER_SECOND:
            return True
        self.missed += 1
        return False

    def is_to_tell(self) -> bool:
        """Say whether so many were missed that the agent should know now: that costs an event, so at each doubling."""
        return self.missed >= 2 * self.told


_budget = Budget()


class Capture:
    """The constant that a function of one site calls with its parameters."""

    __slots__ = ("_head",)

    def __init__(self, site: Any) -> None:
        self._head: int = getattr(site, "head", site)

    def __call__(self, names: tuple[str, ...], *values: Any) -> None:
        try:
            place = get_current()
            owner = place[3]
            if place[1] is SCRATCH or getattr(owner, "head", owner) != self._head:
                return  # this call is not recorded
            image = current()
            if image is None or is_inherited(place):
                return
            _budget.of_image(image)
            if _budget.take():
                image.append(_event(place[0], names, values))
            elif _budget.is_to_tell():
                image.append(encode(ARGUMENTS, 0, _budget.missed, 0, 0))
                _budget.told = _budget.missed
        except BaseException as error:
            try:
                if settle(error):
                    return
            except RecursionError:  # no room even for this
                if type(error) is RecursionError:
                    return
            raise

    def __reduce__(self) -> Any:
        """Become a function that does nothing with what it is given, where the program pickles the function by value."""
        from functools import partial
        from itertools import chain

        return partial, (chain,)


def _event(slot: int, names: tuple[str, ...], values: tuple[Any, ...]) -> bytes:
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
    _budget.told = _budget.missed
    fields: list[Field] = [slot, _budget.missed, omitted, len(entries)]
    for entry in entries:
        fields += entry
    return encode(ARGUMENTS, *fields)


def _pairs(names: tuple[str, ...], values: tuple[Any, ...]) -> Iterator[tuple[str, Any]]:
    """Yield the arguments by their names; those that `**` gathered, by theirs, as far as these are plain texts."""
    for name, value in zip(names, values, strict=True):
        if name[:2] != "**":
            yield name.lstrip("*"), value
            continue
        for keyword, given in islice(value.items(), MAX_ARGUMENTS):
            if type(keyword) is str:
                yield keyword, given


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
    return [(name, LENGTH, len(value))] if any(kind is sized for sized in _SIZED) else []


def _text(name: str, value: str) -> list[Entry]:
    strength = secrecy(name)
    if strength == STRONG or (strength == WEAK and not is_plain(value[: 2 * MAX_TEXT])):
        return [(name, TEXT, HIDDEN)]
    entries: list[Entry] = [(name, TEXT, hide_cut(value, MAX_TEXT))]
    if len(value) > MAX_TEXT:
        entries.append((name, LENGTH, len(value)))
    return entries
