"""Calls that outlive a stretch of their frame: coroutines, generators and asynchronous generators.

Their frames stop and go on, perhaps in another context or on another thread, and beside other calls of the same function.
What is current at their end does not tell which record is their own, so each call has an *activation*, which the frame
keeps on its stack: `with <site>():` makes it, and a generator's yields find it (transform.py).
The invariants are those of recorder.py.
"""

from __future__ import annotations

from _thread import get_ident
from time import monotonic_ns

from rheostat import recorder
from rheostat.recorder import (
    ROOT,
    SCRATCH,
    UNDESCRIBED,
    begin,
    end,
    get_current,
    is_inherited,
    leave,
    set_current,
    settle,
)
from rheostat.spool.layout import DROPPED, ENDED, ERROR, HEAD, ITEMS, SUSPENDED

TYPE_CHECKING = False  # importing typing takes longer than all of a bootstrap
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

    from rheostat.recorder import Place


class Nothing:
    """Entered where a failure of ours left nothing to enter."""

    __slots__ = ()

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        return None


NOTHING = Nothing()


class CallSite:
    """The constant of an `async def`: entered through an activation of its own for each call.

    A coroutine may end in another context than it began in, or beside other calls of the same function, so what is
    current at its end does not tell which record is its own.
    """

    __slots__ = ("head",)

    def __init__(self, record_head: int) -> None:
        self.head = record_head

    def __call__(self) -> Activation | Nothing:
        try:
            return Activation(self.head)
        except BaseException as error:
            if not settle(error):
                raise
        return NOTHING

    def __reduce__(self) -> Any:
        from contextlib import nullcontext
        from functools import partial

        return partial, (nullcontext,)


class Activation:
    """One call of a coroutine function."""

    __slots__ = ("head", "outer", "place")

    def __init__(self, record_head: int) -> None:
        self.head = record_head
        self.place: Place | None = None
        self.outer = ROOT  # what is made current again where the frame is left

    def __enter__(self) -> None:
        try:
            begin(self)
            place = self.place
            if place is not None:
                self.outer = place[4]
                set_current(place)
        except BaseException as error:
            place, self.place = self.place, None
            if place is not None:
                try:
                    place[1][place[2] + HEAD] = 0
                except ValueError:  # released
                    pass
                if get_current() is place:
                    set_current(place[4])
            if not settle(error):
                raise
            recorder.tally[DROPPED] += 1
            outer = self.outer = get_current()
            self.place = (outer[0], SCRATCH, 0, self, outer, get_ident())
            set_current(self.place)

    def __exit__(
        self, kind: object, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._finish(error, traceback)
        except BaseException as interruption:
            # As in recorder.Site: nothing of ours is called.
            place, self.place = self.place, None
            if place is not None:
                try:
                    if error is not None and not place[1][place[2] + ERROR]:
                        limit_reached = type(error) is RecursionError
                        place[1][place[2] + ERROR] = UNDESCRIBED << limit_reached
                    place[1][place[2] + ENDED] = monotonic_ns()
                except ValueError:  # inherited: its process will end it
                    pass
                if get_current() is place:
                    set_current(self.outer)
            try:
                if settle(interruption):
                    return
            except RecursionError:
                if type(interruption) is RecursionError:
                    return
            raise

    def _finish(self, error: BaseException | None, traceback: TracebackType | None) -> None:
        """End the record, once, and make the parent current where we were."""
        place = self.place
        if place is not None:
            end(place, error, traceback)
            leave(place, self.outer)
            self.place = None


class GeneratorSite:
    """The constant of a generator function, sync or async: an activation for each generator, once it is started."""

    __slots__ = ("head",)

    def __init__(self, record_head: int) -> None:
        self.head = record_head

    def __call__(self) -> GeneratorActivation | Nothing:
        try:
            return GeneratorActivation(self.head)
        except BaseException as error:
            if not settle(error):
                raise
        return NOTHING

    def __reduce__(self) -> Any:
        from contextlib import nullcontext
        from functools import partial

        return partial, (nullcontext,)


class GeneratorActivation(Activation):
    """One generator. Current while its frame runs; between a yield and the next resumption its time is suspended time.

    Resumed by `throw`, it is not told: it then stays suspended, rather than be current in the wrong place.
    """

    __slots__ = ("items", "since", "suspended")

    def __init__(self, record_head: int) -> None:
        Activation.__init__(self, record_head)
        self.items = self.suspended = 0
        self.since = 0  # when the frame was suspended, 0 while it runs

    # Between any two of these steps an exception may strike, and then nothing more is done. So the place is given up
    # before the generator counts as suspended, and becomes current after it has ceased to: it is never left current.

    def suspend(self, items: int) -> None:
        """The frame is about to yield, or to delegate (no item that we see)."""
        place = self.place
        if place is not None and not self.since:
            self.items += items
            if not is_inherited(place):
                place[1][place[2] + ITEMS] = self.items
            leave(place, self.outer)
            self.since = monotonic_ns()

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

    def _finish(self, error: BaseException | None, traceback: TracebackType | None) -> None:
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
