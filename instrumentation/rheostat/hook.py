"""The import hook: project modules get their sites when they are imported; nothing of it can be seen in `sys`.

`SourceLoader.get_code` is replaced, which importlib calls for every module that is found as a source file; loaders,
specs, finders and `sys.meta_path` stay as they are. A loader of another class has its own idea of the code (pytest's
assertion rewriting, beartype, zipped eggs), so only `SourceFileLoader` itself and `zipimporter` are followed.

Of modules without source (C extensions, lone `.pyc` files) it is only said that they are not instrumented. A C module may
run any code while it is made, so no function of ours is put around that: `_Noticed` sees the loader being asked for its
method, and is gone when that runs.

Whatever fails here, the original `get_code` runs as if we were not there. Our function carries importlib's own file
name, so that CPython removes its frame from tracebacks together with importlib's; it calls the original itself, so that
what that raises has the frames that it has without us.
"""

from __future__ import annotations

import sys
from _frozen_importlib_external import (
    ExtensionFileLoader,
    SourceFileLoader,
    SourcelessFileLoader,
    SourceLoader,
)
from _imp import is_frozen

from rheostat import threads
from rheostat.cache import FileSource, TextSource
from rheostat.image import current
from rheostat.placeholders import MAIN_SITE, MODULE_SITE
from rheostat.recorder import settle
from rheostat.selection import STANDARD_LIBRARY

TYPE_CHECKING = False  # importing typing takes longer than all of a bootstrap
if TYPE_CHECKING:
    from types import CodeType
    from typing import Any

    from rheostat.image import Image
    from rheostat.modules import Modules

_plain_get_code = SourceLoader.get_code
_modules: Modules
_libraries: set[str] = set()
_without_source: set[str] = set()
_attribute = object.__getattribute__

_EXTENSION = "extension module: its functions are C functions"
_BUILT_IN = "built into the interpreter: its functions are C functions"
_FROZEN = "frozen into the interpreter, and imported before everything else"
_NO_SOURCE = "there is no source, only what was compiled from it"
_RELIED_ON = "Rheostat follows threads through it"


def install(modules: Modules) -> None:
    """Observe what is imported from here on."""
    global _modules
    _modules = modules
    own_name = _plain_get_code.__code__.co_filename
    _get_code.__code__ = _get_code.__code__.replace(co_filename=own_name)
    setattr(SourceLoader, "get_code", _get_code)  # noqa: B010
    for loader, method, reason in (
        (ExtensionFileLoader, "create_module", _EXTENSION),
        (SourcelessFileLoader, "get_code", _NO_SOURCE),
    ):
        setattr(loader, method, _Noticed(getattr(loader, method), reason))
    image = current()
    if image is not None and modules.selection.include:
        _tell_unreachable(image)
    zipimport = sys.modules.get("zipimport")
    if zipimport is not None:
        _follow_zip(zipimport.zipimporter)


def _get_code(self: Any, fullname: str) -> CodeType | None:
    code, is_plain_due = _observed(self, fullname)
    plain_code = _plain_get_code(self, fullname) if is_plain_due else None
    return plain_code if code is None else code


def _follow_zip(importer: Any) -> None:
    plain = importer.get_code

    def get_code(self: Any, fullname: str) -> CodeType | None:
        code, is_plain_due = _observed_in_zip(self, fullname)
        plain_code = plain(self, fullname) if is_plain_due else None
        return plain_code if code is None else code

    get_code.__code__ = get_code.__code__.replace(co_filename=plain.__code__.co_filename)
    importer.get_code = get_code


def _observed(loader: Any, fullname: str) -> tuple[CodeType | None, bool]:
    """Return the observed code of the module *fullname*, if it is, and whether to call the original in any case.

    Raises only what a signal handler of the program raises.
    """
    try:
        return _chosen(loader, fullname) or (None, True)
    except BaseException as error:
        if not settle(error):
            raise
        return None, True


def _chosen(loader: Any, fullname: str) -> tuple[CodeType, bool] | None:
    path = loader.path
    if type(loader) is not SourceFileLoader:
        _left_alone(path, fullname, f"its loader is {type(loader).__qualname__}")
        return None
    if fullname == "threading":
        threads.before_threading()
        return None
    if fullname == "concurrent.futures.thread":
        pool = _modules.observe_pool(FileSource(path), path)
        return None if pool is None else (pool, False)
    reason = _modules.selection.reason_against(path, fullname)
    if reason is not None:
        _left_alone(path, fullname, reason)
        return None
    return _modules.observe(FileSource(path), path, _name(fullname), _body(fullname))


class _Noticed:
    """The method *plain* of a class of loaders. When it is looked up, the loader's module is listed with *reason*."""

    __slots__ = ("_plain", "_reason")

    def __init__(self, plain: Any, reason: str) -> None:
        self._plain = plain
        self._reason = reason

    def __get__(self, loader: Any, owner: Any = None) -> Any:
        try:
            if loader is not None:
                _notice(loader, self._reason)
        except BaseException as error:
            if not settle(error):
                raise
        return self._plain.__get__(loader, owner)


def _notice(loader: Any, reason: str) -> None:
    known = _attribute(
        loader, "__dict__"
    )  # another class of the program's may run code for its name
    name, path = known.get("name"), known.get("path")
    if type(name) is not str or type(path) is not str or name in _without_source:
        return
    _without_source.add(name)
    why_not_chosen = _modules.selection.reason_against(path, name)
    image = current()
    # A library is told of as such, by its modules that have source; if there is none, --include would not help.
    is_in_library = name.partition(".")[0] in _libraries or _is_standard(path)
    if image is not None and (why_not_chosen is None or not is_in_library):
        image.skipped("module", name, reason)


def _tell_unreachable(image: Image) -> None:
    """List what `--include` names and no import hook can reach."""
    reasons = {name: _FROZEN for name in sys.modules if is_frozen(name)}
    reasons |= dict.fromkeys(sys.builtin_module_names, _BUILT_IN)
    reasons |= dict.fromkeys(("threading", "concurrent.futures.thread"), _RELIED_ON)
    for name, reason in reasons.items():
        if _modules.selection.includes(name):
            image.skipped("module", name, reason)


def _observed_in_zip(loader: Any, fullname: str) -> tuple[CodeType | None, bool]:
    """As `_observed`, for a module in a zip archive."""
    try:
        return _chosen_in_zip(loader, fullname) or (None, True)
    except BaseException as error:
        if not settle(error):
            raise
        return None, True


def _chosen_in_zip(loader: Any, fullname: str) -> tuple[CodeType, bool] | None:
    path = loader.get_filename(fullname)
    reason = _modules.selection.reason_against(path, fullname)
    if reason is not None and fullname != "__main__":
        _left_alone(path, fullname, reason)
        return None
    source = loader.get_source(fullname)
    if source is None:
        _left_alone(path, fullname, "no source")
        return None
    return _modules.observe(
        TextSource(source.encode("utf-8")), path, _name(fullname), _body(fullname)
    )


def _left_alone(path: str, fullname: str, reason: str) -> None:
    """Say that a module is not instrumented: its package once if it is a library, nothing for the standard library."""
    image = current()
    if image is None or reason in ("standard library", "Rheostat itself"):
        return
    if _modules.selection.reason_not_own(path) is None:
        image.skipped("module", fullname, reason)
        return
    package = fullname.partition(".")[0]
    if package not in _libraries and not _is_standard(path):
        _libraries.add(package)
        image.skipped("library", package, "not the project's own; --include can name it")


def _is_standard(path: str) -> bool:
    return path.startswith(STANDARD_LIBRARY) and "/site-packages/" not in path


def _name(fullname: str) -> str:
    """Return the name that the functions of *fullname* begin with: a directory's or archive's for its `__main__`."""
    return program_name() if fullname == "__main__" else fullname


def _body(fullname: str) -> int:
    """Return what goes around the module's body: it is the program's own `__main__`, or an import."""
    if fullname == "__main__":
        return MAIN_SITE
    if sys.argv[:1] == [
        "-m"
    ]:  # only while `-m` looks for its module, and imports the packages above it
        target = module_argument(sys.orig_argv)
        if fullname in (target, f"{target}.__main__"):
            return MAIN_SITE
    return MODULE_SITE


def module_argument(command: list[str]) -> str | None:
    """Return the module that `-m` names in an interpreter's *command* line, None without `-m`."""
    arguments = iter(command[1:])
    for argument in arguments:
        if argument[:1] != "-" or argument in ("-", "--"):
            return None
        if argument.startswith("--"):
            continue
        for position, option in enumerate(argument[1:], 2):
            if option == "m":
                return argument[position:] or next(arguments, None)
            if option == "c":
                return None
            if option in "WX":
                if not argument[position:]:
                    next(arguments, None)
                break
    return None


def program_name() -> str:
    """Return what `__main__` is called: the stem of the script, directory or archive, or `-m`'s module."""
    first = sys.argv[0] if sys.argv else ""
    if first == "-m":
        return module_argument(sys.orig_argv) or "-m"
    if first in ("", "-", "-c"):
        return first or "-"
    name = first.rstrip("/").rpartition("/")[2]
    stem = name.rpartition(".")[0]
    return stem or name
