"""From a module's source to code with live sites: through the cache or the transform, then installed.

    observe(source, path, name, body) → (code object, whether to do what happens without us first), or None: leave it alone

Called by hook.py for imported modules and by mainmodule.py for the script. What is kept in the cache for a module is its
code with placeholders, the encoded list of its functions for the MODULE event, and their kinds.
"""

from __future__ import annotations

import sys

from rheostat.activations import CallSite, GeneratorSite, Resume, Suspend
from rheostat.cache import interpreter_key
from rheostat.image import current
from rheostat.placeholders import (
    CAPTURE,
    MAIN_SITE,
    RESUME,
    SUBMIT,
    SUSPEND,
    TASK,
    VERSION,
    install,
    plan,
)
from rheostat.recorder import MainSite, Site
from rheostat.spool.events import encode_fields
from rheostat.spool.layout import ASYNC_GENERATOR, COROUTINE, FUNCTION, GENERATOR, head
from rheostat.threads import Submit, Task

TYPE_CHECKING = False  # importing typing takes longer than all of a bootstrap
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType
    from typing import Any, TypeAlias

    from rheostat.cache import Cache, FileSource, TextSource
    from rheostat.capture import Capture
    from rheostat.image import Image
    from rheostat.placeholders import Plan
    from rheostat.selection import Selection

    Source: TypeAlias = FileSource | TextSource
    Kept: TypeAlias = tuple[Plan, bytes, bytes, bool]  # …, encoded names, kinds, the compiler warns


class Modules:
    """Gives modules their sites. One a process; forked children go on with it."""

    def __init__(self, cache: Cache, selection: Selection, capture: type[Capture] | None) -> None:
        """*capture*: what functions begin with that tell of their arguments; None if they are not to."""
        self._cache = cache
        self._capture = capture
        self._key = interpreter_key(VERSION, selection.key, capture is not None)
        self.selection = selection
        self.before_main: Callable[[], None] | None = (
            None  # called before the code of `__main__` is handed out
        )

    def observe(
        self, source: Source, path: str, name: str, body: int
    ) -> tuple[CodeType, bool] | None:
        """Return the code of the module *name*, its functions recorded; None if it is to be left alone.

        *body* is one of placeholders' MODULE_SITE and MAIN_SITE. With the code comes whether the caller is to do first
        what happens without us, because that has effects: on a cache miss it fills `__pycache__`; code that the compiler
        warns of is warned of, or fails where warnings are errors.
        """
        image = current()
        if body == MAIN_SITE and self.before_main is not None:
            self.before_main()
        if image is None:
            return None
        own = body == MAIN_SITE or self.selection.reason_not_own(path) is None
        context = f"{self._key} {name} {own:d} {body} {path}"
        kept = self._cache.load(context, source.identity)
        missed = kept is None
        if kept is None:
            kept = self._transform(image, source.read(), path, name, own, body)
            if kept is None:
                return None
            self._cache.store(context, source.identity, kept)
        steps, listing, kinds, warns = kept
        first = image.module(listing, len(kinds))
        return _installed(steps, first, kinds, self._capture), missed or warns

    def observe_pool(self, source: Source, path: str) -> CodeType | None:
        """Return the code of `concurrent.futures.thread` that carries the parent to its tasks; None to leave it alone."""
        context = f"{self._key} pool {path}"
        kept = self._cache.load(context, source.identity)
        if kept is None:
            from rheostat.transform import transform_pool

            kept = (plan(transform_pool(source.read(), path)),)
            self._cache.store(context, source.identity, kept)
        live = {SUBMIT: Submit(), TASK: Task()}
        return install(kept[0], (), lambda what, index: live[what])

    def _transform(
        self, image: Image, source: bytes, path: str, name: str, own: bool, body: int | None
    ) -> Kept | None:
        from rheostat import transform  # on a miss only

        sys.path_importer_cache.pop(sys.modules["rheostat"].__path__[0], None)

        def wants(function: str) -> str | None:
            return self.selection.reason_against_function(function, own)

        try:
            with transform.Warnings("ignore", path):
                result = transform.transform(
                    source, path, name, wants, body if own else None, self._capture is not None
                )
        except SyntaxError:
            return None
        except (ValueError, RecursionError, MemoryError) as error:
            image.skipped("module", name, f"does not compile transformed: {error}")
            return None
        fields: list[int | str | bytes] = [name, path, len(result.functions)]
        for function in result.functions:
            fields += [function.kind, function.name, function.line]
        fields.append(len(result.skipped))
        for skipped in result.skipped:
            fields += skipped
        kinds = bytes(function.kind for function in result.functions)
        return plan(result.code), encode_fields(*fields), kinds, transform.warns(source, path)


def _installed(steps: Plan, first: int, kinds: bytes, capture: type[Capture] | None) -> CodeType:
    """Return the code that *steps* make, with sites numbered from *first* where it has placeholders."""
    start = head(FUNCTION, first)  # most are: made without a step of Python's for each
    sites: list[Any] = [*map(Site, range(start, start + len(kinds)))]
    for index, kind in enumerate(kinds):
        if kind != FUNCTION:
            sites[index] = _MAKERS.get(kind, Site)(head(kind, first + index))

    def make(what: int, index: int) -> Any:
        if what == SUSPEND:
            return Suspend(sites[index >> 1], 1 - (index & 1))
        if what == RESUME:
            return Resume(sites[index])
        if what == CAPTURE and capture is not None:
            return capture(sites[index])
        return MainSite() if what == MAIN_SITE else sites[index]

    return install(steps, sites, make)


_MAKERS: dict[int, Any] = {
    COROUTINE: CallSite,
    GENERATOR: GeneratorSite,
    ASYNC_GENERATOR: GeneratorSite,
}
