"""Finds programs as a shell does, and says in a shell's words why one cannot be run."""

import errno
import os

TYPE_CHECKING = False  # importing typing takes longer than everything else here
if TYPE_CHECKING:
    from collections.abc import Mapping

OUR_FAILURE, NOT_EXECUTABLE, NOT_FOUND = 125, 126, 127


class TargetError(Exception):
    """What was asked for cannot be run. Its text is one line; *status* is what a shell would exit with.

    125: our own failure or a wrong use of the command; 126: found, but it cannot be executed; 127: not found.
    """

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(_printable(message))


def cannot_run(name: str, error: int) -> TargetError:
    """Return the refusal of the path *name* for the error number *error*."""
    status = NOT_FOUND if error == errno.ENOENT else NOT_EXECUTABLE
    return TargetError(status, f"{name}: {os.strerror(error)}")


def find_program(name: str, environ: "Mapping[str, str]", cwd: str) -> str:
    """Return the path to execute for the command *name*: itself if it is a path, else as found on PATH.

    A name that is not on PATH may be a file of the working directory. Raises TargetError.
    """
    if "/" in name:
        return _executable(name, cwd)
    found = on_path(name, environ, cwd)
    if found is not None:
        return found
    if name and os.path.lexists(os.path.join(cwd, name)):
        return _executable("./" + name, cwd)
    raise TargetError(NOT_FOUND, name + ": command not found")


def on_path(name: str, environ: "Mapping[str, str]", cwd: str) -> str | None:
    """Return the path of the first executable *name* on PATH; None if there is no file of that name.

    Raises TargetError if there are only files that cannot be executed.
    """
    if not name or "/" in name:
        return None
    refused = None
    for folder in environ.get("PATH", os.defpath).split(":"):
        path = (folder or ".").removesuffix("/") + "/" + name
        error = why_not(path, cwd)
        if error == 0:
            return path
        if error == errno.EACCES and os.path.isfile(os.path.join(cwd, path)):
            refused = refused or path
    if refused is not None:
        raise cannot_run(refused, errno.EACCES)
    return None


def why_not(path: str, cwd: str) -> int:
    """Return the error number that keeps *path* from being executed, 0 if nothing does."""
    full = os.path.join(cwd, path)
    try:
        os.stat(full)
    except OSError as error:
        return error.errno or errno.EIO
    if os.path.isdir(full):
        return errno.EISDIR
    return 0 if os.path.isfile(full) and os.access(full, os.X_OK) else errno.EACCES


def _executable(path: str, cwd: str) -> str:
    error = why_not(path, cwd)
    if error:
        raise cannot_run(path, error)
    return path


def _printable(text: str) -> str:
    """Return *text* on one line: what would break the line, or paint the terminal, as an escape."""
    return "".join(
        character if character >= " " and character != "\x7f" else repr(character)[1:-1]
        for character in text
    )
