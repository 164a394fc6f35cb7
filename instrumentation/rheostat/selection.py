"""Which code is observed: the user's own by default, and what `--include` and `--exclude` say by name.

A file is the user's own if it lies below the project's root, and neither in the standard library nor in an environment
or an installed package. Names are qualified with dots throughout (`package.module.Class.method`); in a pattern `*`
matches any characters, dots too, `?` one, and everything else itself. `--exclude` wins.
Decisions about modules are made here once a module; about functions on a cache miss only, for the cache keeps them.
"""

import os

from rheostat.settings import Settings

_exists, _realpath, _dirname = os.path.exists, os.path.realpath, os.path.dirname

STANDARD_LIBRARY = _dirname(os.__file__) + "/"


def matches(pattern: str, name: str) -> bool:
    """Say whether the glob *pattern* matches all of *name*, in time proportional to the product of their lengths."""
    at = mark = position = 0
    star = -1
    while position < len(name):
        if at < len(pattern) and pattern[at] == "*":
            star, mark, at = at, position, at + 1
        elif at < len(pattern) and pattern[at] in ("?", name[position]):
            at, position = at + 1, position + 1
        elif star >= 0:
            mark += 1
            at, position = star + 1, mark
        else:
            return False
    return all(character == "*" for character in pattern[at:])


def may_match_inside(pattern: str, module: str) -> bool:
    """Say whether *pattern* could match the name of a function of *module*."""
    literal = len(pattern)
    for wildcard in "*?":
        found = pattern.find(wildcard)
        literal = found if 0 <= found < literal else literal
    prefix, inside = pattern[:literal], module + "."
    return inside.startswith(prefix) or prefix.startswith(inside)


class Selection:
    """The choice that one run's settings make."""

    def __init__(self, settings: Settings) -> None:
        root = settings.project_root.rstrip("/")
        self._roots = {root + "/", _realpath(root).rstrip("/") + "/"}
        self.include = settings.include
        self._exclude = settings.exclude
        self._folders: dict[str, str | None] = {}  # what was decided about the files of each
        self.key = repr((settings.include, settings.exclude))

    def reason_against(self, path: str, module: str) -> str | None:
        """Return why the module *module* at *path* is left alone; None if its functions may be observed."""
        if module == "rheostat" or module.startswith("rheostat."):
            return "Rheostat itself"
        return None if self.includes(module) else self.reason_not_own(path)

    def includes(self, module: str) -> bool:
        """Say whether `--include` may name functions of *module*."""
        return any(may_match_inside(pattern, module) for pattern in self.include)

    def reason_not_own(self, path: str) -> str | None:
        """Return why the file *path* is not the user's own code; None if it is."""
        folder = path.rpartition("/")[0] + "/"
        try:
            return self._folders[folder]
        except KeyError:
            reason = self._folders[folder] = self._reason_against_folder(folder)
            return reason

    def _reason_against_folder(self, folder: str) -> str | None:
        root = next((root for root in self._roots if folder.startswith(root)), None)
        if root is None:
            return "not in the project"
        inside = "/" + folder[len(root) :]
        if "/site-packages/" in inside or "/dist-packages/" in inside:
            return "installed package"
        if folder.startswith(STANDARD_LIBRARY) and not root.startswith(STANDARD_LIBRARY):
            return "standard library"
        return "in an environment" if _in_environment(root, folder) else None

    def reason_against_function(self, name: str, own: bool) -> str | None:
        """Return why the function *name* is left alone, of a module that is the user's *own* or not; None if it is observed."""
        if any(matches(pattern, name) for pattern in self._exclude):
            return "excluded"
        if own or any(matches(pattern, name) for pattern in self.include):
            return None
        return "not included"


def _in_environment(root: str, folder: str) -> bool:
    """Say whether a folder from below *root* to *folder* holds a `pyvenv.cfg` or `conda-meta`."""
    while len(folder) > len(root):
        if _exists(folder + "pyvenv.cfg") or _exists(folder + "conda-meta"):
            return True
        folder = folder[:-1].rpartition("/")[0] + "/"
    return False
