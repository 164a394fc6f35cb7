"""The script's own `__main__`, transformed, in the user's own interpreter and command line.

CPython runs `python script.py` in C. Before it opens the file it asks the path hooks whether the path is one that can be
imported from (a directory or an archive with a `__main__`); if so, it puts the path in front of `sys.path` and calls
`runpy._run_module_as_main("__main__")` instead. Our path hook claims the script's path, and a stand-in for `runpy` waits
in `sys.modules`. Handing it to the real `runpy` would show: two frames in every traceback, a module more, recursion
depth. So the stand-in's function is built of C callables alone: `print` calls the `write` of what it is given, which is
`next` of a `map` over two steps, each called in turn: one puts everything back as a plain run has it, the other is
`exec` of the code. No frame of ours is on the stack while the program runs; all that shows is five levels of recursion
on 3.11, where calls of C functions count.

Whatever fails happens before the path is claimed: the hook raises ImportError, and CPython runs the file itself.
`-m`, directories and archives go through `get_code` (hook.py); `-c`, standard input and the prompt are compiled in C.
"""

from __future__ import annotations

import os
import sys
from _collections import deque  # type: ignore[import-not-found]
from _frozen_importlib_external import SourceFileLoader
from _functools import partial  # type: ignore[import-not-found]
from _operator import call, delitem, setitem
from stat import S_ISREG

from rheostat.cache import FileSource
from rheostat.hook import program_name
from rheostat.placeholders import MAIN_SITE, MODULE_SITE
from rheostat.recorder import report, settle

TYPE_CHECKING = False  # importing typing takes longer than all of a bootstrap
if TYPE_CHECKING:
    from types import CodeType
    from typing import Any

    from rheostat.modules import Modules

_Module: Any = type(sys)
_Namespace: Any = type(sys.implementation)


def install(modules: Modules) -> None:
    """Claim the script of this process, if it has one; follow the `__main__` of a spawned child of multiprocessing."""
    script = sys.argv[0] if sys.argv else ""
    if script == "-c":
        _follow_spawned(modules)
        return
    modules.before_main = withdraw
    if os.path.isdir(script):
        return
    if script not in ("", "-", "-m") and sys.orig_argv[-len(sys.argv) :] == sys.argv:
        # Last: the hooks for archives and directories decide first, and taking the last one out of the list that
        # CPython is walking skips nothing.
        sys.path_hooks.append(_Claim(modules, os.path.abspath(script)).hook)


class _Claim:
    """The claim on one script's path; gone before the first line of the program runs."""

    def __init__(self, modules: Modules, script: str) -> None:
        self._modules = modules
        self._script = script
        self.hook = partial(_Claim.claim, self)

    def claim(self, path: str) -> object:
        try:
            if os.path.abspath(path) == self._script:
                withdraw()
                code = self._code(path)
                if code is not None:
                    self._stand_in(path, code)
                    return _Importer()
        except Exception as error:
            if not isinstance(error, OSError):
                settle(error)
        raise ImportError(path)

    def _code(self, path: str) -> CodeType | None:
        if path.endswith(".pyc") or not S_ISREG(
            os.stat(path).st_mode
        ):  # a pipe can be read only once
            return None
        source = FileSource(path)
        observed = self._modules.observe(source, path, program_name(), MAIN_SITE)
        if observed is None:  # compiled or an archive, among others
            return None
        code, is_plain_due = observed
        if is_plain_due and not _compiles(source.read(), path):
            return None
        return code

    def _stand_in(self, path: str, code: CodeType) -> None:
        namespace = sys.modules["__main__"].__dict__
        put_back = map(call, _put_back(path, namespace))
        steps = map(
            call, [partial(deque(maxlen=0).extend, put_back), partial(exec, code, namespace)]
        )
        write = partial(next, steps)
        stand_in: Any = _Module("runpy")
        output = _Namespace(write=write)
        stand_in._run_module_as_main = partial(print, sep="", end="", file=output)
        sys.modules["runpy"] = stand_in


def _put_back(path: str, namespace: dict[str, Any]) -> list[Any]:
    """Return what is to be called, in C alone, so that everything is as a plain run has it at the script's first line."""
    real = sys.modules.get("runpy")
    modules = (
        partial(setitem, sys.modules, "runpy", real)
        if real
        else partial(delitem, sys.modules, "runpy")
    )
    folder = [] if sys.flags.safe_path else [os.path.dirname(os.path.realpath(path))]
    loader = SourceFileLoader("__main__", path)
    names = {"__file__": path, "__spec__": None, "__cached__": None, "__loader__": loader}
    return [
        modules,
        partial(setitem, sys.path_importer_cache, path, None),
        partial(setitem, sys.path, slice(0, 1), folder),
        partial(namespace.update, names),
    ]


def withdraw() -> None:
    """Take our path hook away, if it is still there: an archive's or directory's `__main__` needs none."""
    for hook in sys.path_hooks[:]:
        if getattr(hook, "func", None) is _Claim.claim:
            sys.path_hooks.remove(hook)


def _compiles(source: bytes, path: str) -> bool:
    """Compile *source* as CPython would, with its warnings; False: that fails, as it will once more without us."""
    try:
        compile(source, path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return False
    return True


class _Importer:
    """What the path hook returns; nobody asks it anything."""


def _follow_spawned(modules: Modules) -> None:
    """Transform `__mp_main__`, which multiprocessing makes of the parent's script by `runpy.run_path`."""
    command = sys.orig_argv
    if "--multiprocessing-fork" not in command and not any(
        argument.startswith("from multiprocessing.forkserver import") for argument in command
    ):
        return
    import runpy as module  # multiprocessing.spawn imports it in any case

    runpy: Any = module
    plain = runpy._get_code_from_file

    def get_code_from_file(*arguments: Any) -> Any:
        path = arguments[-1]
        result = plain(*arguments)
        code = _spawned_code(modules, path)
        if code is None:
            return result
        return (code, *result[1:]) if isinstance(result, tuple) else code

    runpy._get_code_from_file = get_code_from_file


def _spawned_code(modules: Modules, path: Any) -> CodeType | None:
    try:
        name = os.path.basename(path)
        observed = modules.observe(
            FileSource(path), path, name.rpartition(".")[0] or name, MODULE_SITE
        )
        return observed[0] if observed else None  # runpy has compiled it without us already
    except Exception as error:
        report(error)
        return None
