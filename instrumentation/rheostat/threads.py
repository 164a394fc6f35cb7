"""The parent span, carried to where work goes on: new threads, and the tasks of thread pools.

A thread starts in a context of its own that holds our variable and nothing else: `copy_context().run` would take the
program's own variables along (`decimal`'s precision) and change its results. `Context.run` is C, so the thread's stack
has no frame more.

- `threading` binds `_thread.start_new_thread` (from 3.13 `start_joinable_thread`) when it is imported. The import hook
  calls `before_threading` just before, which puts our function there; the first start of a thread puts the original back
  for everybody else.
- A pool's worker outlives the span that started it, so a task's parent is who submitted it: `_WorkItem.__init__` of
  `concurrent.futures.thread` is transformed to keep the place, `_WorkItem.run` to make it current (transform.py).
"""

from __future__ import annotations

import _thread
import sys
from _contextvars import Context
from _functools import partial  # type: ignore[import-not-found]

from rheostat.activations import NOTHING, Nothing
from rheostat.recorder import ROOT, cut, get_current, set_current, settle

TYPE_CHECKING = False  # importing typing takes longer than all of a bootstrap
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

    from rheostat.recorder import Place

_NAMES = ("start_new_thread", "start_joinable_thread")
_originals = {name: getattr(_thread, name) for name in _NAMES if hasattr(_thread, name)}


def before_threading() -> None:
    """Put our functions where `threading`, about to be imported, will find them."""
    _thread.start_new_thread = _start_new_thread
    if "start_joinable_thread" in _originals:
        setattr(_thread, "start_joinable_thread", _start_joinable_thread)  # noqa: B010


def follow() -> None:
    """Put our functions into `threading` itself where it has been imported already: a `.pth` file may have done that."""
    threading = sys.modules.get("threading")
    for name, ours in (
        ("_start_new_thread", _start_new_thread),
        ("_start_joinable_thread", _start_joinable_thread),
    ):
        if getattr(threading, name, None) is _originals.get(name[1:], None) is not None:
            setattr(threading, name, ours)


def _restore() -> None:
    for name, original in _originals.items():
        setattr(_thread, name, original)


def _in_own_context(function: Any) -> Any:
    """Return *function*, to be run in a context that holds the current place alone; itself if it is no thread's."""
    try:
        _restore()
        place = get_current()
        if place is ROOT or getattr(function, "__name__", "") != "_bootstrap":
            return function
        context = Context()
        context.run(set_current, place)
        return partial(context.run, function)
    except BaseException as error:
        if not settle(error):
            raise
        return function


def _start_new_thread(function: Any, *arguments: Any, **options: Any) -> Any:
    try:
        started = _in_own_context(function)
        return _originals["start_new_thread"](started, *arguments, **options)
    except BaseException as error:
        cut(error)
        raise


def _start_joinable_thread(function: Any, *arguments: Any, **options: Any) -> Any:
    try:
        started = _in_own_context(function)
        return _originals["start_joinable_thread"](started, *arguments, **options)
    except BaseException as error:
        cut(error)
        raise


class Submit:
    """Entered with a work item in its `__init__`: keeps who submitted it."""

    __slots__ = ()

    def __call__(self, item: Any) -> Submit:
        try:
            place = get_current()
            if place is not ROOT:
                item._rheostat_place = place
        except BaseException as error:
            if not settle(error):
                raise
        return self

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: object, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None


class Task:
    """Called with a work item in its `run`: a context in which who submitted it is current."""

    __slots__ = ()

    def __call__(self, item: Any) -> TaskContext | Nothing:
        try:
            return TaskContext(getattr(item, "_rheostat_place", ROOT))
        except BaseException as error:
            if not settle(error):
                raise
        return NOTHING


class TaskContext:
    """One task in a worker thread."""

    __slots__ = ("_outer", "_place")

    def __init__(self, place: Place) -> None:
        self._place = place
        self._outer: Place | None = None

    def __enter__(self) -> None:
        try:
            self._outer = get_current()
            set_current(self._place)
        except BaseException as error:
            if self._outer is not None:
                set_current(self._outer)
            if not settle(error):
                raise

    def __exit__(
        self, kind: object, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if self._outer is not None:
                set_current(self._outer)
        except BaseException as interruption:
            if not settle(interruption):
                raise
