"""Which interpreter runs the user's script: theirs, never ours if there is another. And what a command of theirs runs."""

import os
import sys

from rheostat_agent.launcher.lookup import TargetError, find_program, on_path, why_not

TYPE_CHECKING = False  # importing typing takes longer than everything else here
if TYPE_CHECKING:
    from collections.abc import Mapping


def choose_interpreter(
    wanted: str | None, environ: "Mapping[str, str]", cwd: str, folder: str, root: str
) -> tuple[str, str | None]:
    """Return the path of the interpreter for a script in *folder* of the project at *root*, and a remark or None.

    The first of: *wanted*; the active environment's; that of a `.venv` between *folder* and *root*; the first `python3`
    on PATH; our own. Paths are not resolved, for an environment is known by its link. Raises TargetError if *wanted*
    cannot be executed.
    """
    if wanted is not None:
        return find_program(wanted, environ, cwd), None
    missing = None
    for variable in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        prefix = environ.get(variable)
        if prefix:
            python = os.path.join(cwd, prefix, "bin/python")
            if why_not(python, cwd) == 0:
                return python, None
            missing = missing or f"no interpreter in {variable}={prefix}"
    python, ours = _project_python(environ, cwd, folder, root)
    if ours:
        return python, f"no project interpreter found: used Rheostat's own, {python}"
    return python, f"{missing}: used {python}" if missing else None


def _project_python(
    environ: "Mapping[str, str]", cwd: str, folder: str, root: str
) -> tuple[str, bool]:
    """Return the interpreter of the project or of PATH, or our own and True."""
    while True:
        python = os.path.join(folder, ".venv/bin/python")
        if why_not(python, cwd) == 0:
            return python, False
        parent = os.path.dirname(folder)
        if folder == root or parent == folder:
            break
        folder = parent
    try:
        found = on_path("python3", environ, cwd)
    except TargetError:  # there is one that may not be executed
        found = None
    if found is not None:
        return os.path.join(cwd, found), False
    return sys.executable, True


def is_python(command: str) -> bool:
    """Say whether *command* names a Python interpreter: `python`, `python3`, `python3.13t`, with or without a path."""
    name = os.path.basename(command)
    version = name.removeprefix("python").removesuffix("t")
    return name.startswith("python") and (not version or version.replace(".", "").isdecimal())


def what_python_runs(arguments: list[str]) -> tuple[str, str]:
    """Return what an interpreter does with *arguments*, as a kind of target and its value.

    ("script", path), ("module", name), ("text", code) or ("stdin", ""); the flags before it are passed over as CPython
    passes over them.
    """
    at = 0
    while at < len(arguments):
        word = arguments[at]
        at += 1
        rest = arguments[at : at + 1]
        if word == "--":
            return ("script", rest[0]) if rest else ("stdin", "")
        if word == "-" or not word.startswith("-"):
            return ("stdin", "") if word == "-" else ("script", word)
        if word.startswith("--"):
            at += word == "--check-hash-based-pycs"
            continue
        letters = word[1:]
        for index, letter in enumerate(letters):
            if letter in "cmWX":
                value = letters[index + 1 :] or "".join(rest)
                if letter in "cm":
                    return ("text" if letter == "c" else "module"), value
                at += not letters[index + 1 :]
                break
    return "stdin", ""
