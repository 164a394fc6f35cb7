"""What to run: the words after our own options, turned into one command line.

The words are passed on byte for byte; what is decided here is the interpreter in front of them, the name of the workflow
and the folder of the project. Files are looked at, none is opened.
"""

import errno
import os

from rheostat_agent.launcher.interpreter import choose_interpreter, is_python, what_python_runs
from rheostat_agent.launcher.lookup import (
    OUR_FAILURE,
    TargetError,
    cannot_run,
    find_program,
    on_path,
)

TYPE_CHECKING = False  # importing typing takes longer than everything else here
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Target", "TargetError", "project_root", "resolve"]

_SCRIPTS = (".py", ".pyw", ".pyz")
_PROJECT = ("pyproject.toml", ".git")


class Target:
    """One command line, ready to be executed.

    *kind* is "script", "module", "text" (`-c`), "stdin" (`-`) or "command"; *name* the workflow's name if no other is
    given; *project_root* an absolute path; *interpreter* the Python that *executable* is known to be, or None; *remark*
    a line for the summary, or None.
    """

    __slots__ = ("argv", "executable", "interpreter", "kind", "name", "project_root", "remark")

    def __init__(
        self,
        executable: str,
        argv: list[str],
        kind: str,
        name: str,
        project_root: str,
        interpreter: str | None,
        remark: str | None = None,
    ) -> None:
        self.executable = executable
        self.argv = argv
        self.kind = kind
        self.name = name
        self.project_root = project_root
        self.interpreter = interpreter
        self.remark = remark


def resolve(
    arguments: list[str], python: str | None, environ: "Mapping[str, str]", cwd: str
) -> Target:
    """Return the target that *arguments* name: TARGET and the program's own arguments.

    *python* is the value of `--python` or None; *cwd* the working directory of this process. Raises TargetError.
    """
    if not arguments:
        raise TargetError(
            OUR_FAILURE, "nothing to run: give a script, -m MODULE, -c CODE or a command"
        )
    first = arguments[0]
    if first == "-" or first[:2] in ("-m", "-c"):
        return _python_target(arguments, python, environ, cwd)
    if _is_script(first, environ, cwd):
        return _script_target(arguments, python, environ, cwd)
    return _command_target(arguments, python, environ, cwd)


def _python_target(
    arguments: list[str], python: str | None, environ: "Mapping[str, str]", cwd: str
) -> Target:
    kind, value = what_python_runs(arguments)
    if len(arguments) == 1 and len(arguments[0]) == 2:
        wanted = "the name of a module" if kind == "module" else "code"
        raise TargetError(OUR_FAILURE, f"option {arguments[0]} needs {wanted}")
    name = value if kind == "module" else "python"
    root = project_root(cwd)
    interpreter, remark = choose_interpreter(python, environ, cwd, cwd, root)
    return Target(interpreter, [interpreter, *arguments], kind, name, root, interpreter, remark)


def _script_target(
    arguments: list[str], python: str | None, environ: "Mapping[str, str]", cwd: str
) -> Target:
    folder = _folder_of(arguments[0], cwd)
    root = project_root(folder)
    interpreter, remark = choose_interpreter(python, environ, cwd, folder, root)
    name = _script_name(arguments[0], cwd)
    return Target(interpreter, [interpreter, *arguments], "script", name, root, interpreter, remark)


def _command_target(
    arguments: list[str], python: str | None, environ: "Mapping[str, str]", cwd: str
) -> Target:
    command = arguments[0]
    executable = find_program(command, environ, cwd)
    name, folder = os.path.basename(command), cwd
    interpreter = executable if is_python(command) else None
    if interpreter is not None:
        kind, value = what_python_runs(arguments[1:])
        name = value if kind == "module" and value else "python"
        if kind == "script":
            name, folder = _script_name(value, cwd), _folder_of(value, cwd)
    remark = None
    if python is not None:
        remark = f"--python is for scripts and modules: {command} was executed itself"
    return Target(executable, arguments, "command", name, project_root(folder), interpreter, remark)


def _is_script(name: str, environ: "Mapping[str, str]", cwd: str) -> bool:
    """Say whether an interpreter is to run *name*; False for a command. Raises TargetError if it is neither."""
    full = os.path.join(cwd, name)
    if os.path.isdir(full) and name:
        if "/" not in name and on_path(name, environ, cwd) is not None:
            return False
        if os.path.isfile(os.path.join(full, "__main__.py")):
            return True
        raise cannot_run(name, errno.EISDIR)
    if not name.endswith(_SCRIPTS):
        return False
    try:
        os.stat(full)
    except OSError as error:
        if "/" not in name and on_path(name, environ, cwd) is not None:
            return False
        raise cannot_run(name, error.errno or errno.ENOENT) from None
    if not os.access(full, os.R_OK):
        raise cannot_run(name, errno.EACCES)
    return True


def _script_name(script: str, cwd: str) -> str:
    """Return the stem of a script, or the name of a folder or archive that holds one."""
    name = os.path.basename(os.path.normpath(os.path.join(cwd, script)))
    return os.path.splitext(name)[0] or name


def _folder_of(script: str, cwd: str) -> str:
    """Return the folder that CPython imports a script's own modules from, which for a link is the file's."""
    full = os.path.join(cwd, script)
    if os.path.islink(full) or ".." in full.split("/"):
        full = os.path.realpath(full)
    full = os.path.normpath(full)
    return full if os.path.isdir(full) else os.path.dirname(full)


def project_root(folder: str) -> str:
    """Return the nearest folder at or above *folder* that marks a project, else *folder*."""
    at = folder
    while True:
        if any(os.path.exists(os.path.join(at, mark)) for mark in _PROJECT):
            return at
        parent = os.path.dirname(at)
        if parent == at:
            return folder
        at = parent
