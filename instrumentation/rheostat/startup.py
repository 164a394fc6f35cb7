"""The start of the recorder in an observed process; called by bootstrap/sitecustomize.py, in `site`'s part of the start.

sitecustomize → start(run directory) → settings → image → import hook → the script's own `__main__`
"""

from __future__ import annotations

import os

from rheostat import hook, mainmodule, threads
from rheostat.cache import Cache
from rheostat.image import Program, current, open_image
from rheostat.modules import Modules
from rheostat.recorder import cut, settle
from rheostat.selection import Selection

TYPE_CHECKING = False  # importing typing takes longer than all of a bootstrap
if TYPE_CHECKING:
    from typing import Any

    from rheostat.capture import Capture
    from rheostat.settings import Settings


def start(run_directory: str, settings: Settings) -> None:
    """Observe this process from here on. Raises OSError if there is nowhere to record to."""
    name = hook.program_name()
    image = open_image(Program(f"{run_directory}/spool", name, settings.max_spans))
    modules = Modules(Cache(settings.cache_directory), Selection(settings), _capture(settings))
    hook.install(modules)
    threads.follow()
    mainmodule.install(modules)
    _follow_exec()
    if name in ("-c", "-"):
        image.skipped("module", "__main__", "compiled in C: the program text is given by " + name)


def _capture(settings: Settings) -> type[Capture] | None:
    """Return what functions are to begin with that tell of their arguments; None if they are not to."""
    if not settings.capture_args:
        return None
    from rheostat.capture import Capture  # the bootstrap has loaded it for such runs alone

    return Capture


def _follow_exec() -> None:
    """Tell the agent when this image is replaced. Every way to exec of `os` goes through these two."""
    for name in ("execv", "execve"):
        setattr(os, name, _telling(getattr(os, name)))


def _tell(path: Any) -> None:
    """Tell that this image is about to be replaced by the program at *path*."""
    try:
        image = current()
        if image is not None:
            image.about_to_exec(path)
    except BaseException as error:
        if not settle(error):
            raise


def _telling(original: Any) -> Any:
    def execute(path: Any, *arguments: Any, **options: Any) -> Any:
        try:
            _tell(path)
            return original(path, *arguments, **options)
        except BaseException as error:
            cut(error)
            raise

    execute.__name__ = original.__name__
    execute.__qualname__ = original.__qualname__
    execute.__doc__ = original.__doc__
    execute.__module__ = original.__module__
    return execute
