"""Where Rheostat keeps things: the state directory (runs, history, index) and the cache directory.

    RHEOSTAT_STATE_DIR, else $XDG_STATE_HOME/rheostat, else ~/.local/state/rheostat
    $XDG_CACHE_HOME/rheostat, else ~/.cache/rheostat

The state directory must be on a local file system, for observed processes map files in it; where it is not, a local
directory stands in for it, and that is said. Both are ours alone: mode 0700, checked, never a link.
(XDG Base Directory Specification 0.8; a relative path in its variables counts as unset.)
"""

import os
import stat

TYPE_CHECKING = False  # the launcher starts in milliseconds; typing alone takes nine
if TYPE_CHECKING:
    from collections.abc import Mapping

# File systems on which a shared mapping is not what it is on a local disk, or a write may hang.
_REMOTE = frozenset(
    [
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "coda",
        "davfs",
        "fuse",
        "gfs2",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "orangefs",
        "smb3",
        "smbfs",
    ]
)
_LOCAL_FUSE = frozenset(["fuseblk"])


class StateUnusable(Exception):
    """There is no directory to keep a run in; the text says why."""


def state_directory(environ: "Mapping[str, str]") -> "tuple[str, str | None]":
    """Return the state directory, made if it was missing, and a remark if it is not where the user would look for it.

    Raises StateUnusable.
    """
    wanted = environ.get("RHEOSTAT_STATE_DIR") or _xdg(environ, "XDG_STATE_HOME", ".local/state")
    kind = file_system(wanted)
    if kind is None:
        return _make_private(wanted), None
    local = f"/var/tmp/rheostat-{os.geteuid()}"
    return _make_private(local), f"{wanted} is on {kind}: runs are kept in {local}"


def cache_directory(environ: "Mapping[str, str]") -> str:
    """Return the cache directory. It need not exist, or be usable."""
    return _xdg(environ, "XDG_CACHE_HOME", ".cache") + "/code"


def _xdg(environ: "Mapping[str, str]", variable: str, default: str) -> str:
    base = environ.get(variable, "")
    if not base.startswith("/"):
        home = environ.get("HOME") or os.path.expanduser("~")
        base = f"{home}/{default}"
    return f"{base.rstrip('/')}/rheostat"


def _make_private(path: str) -> str:
    """Make *path* if it is missing; return it if it is ours alone. Raises StateUnusable."""
    path = os.path.abspath(path)
    try:
        if not os.path.lexists(path):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            try:
                os.mkdir(path, 0o700)
            except FileExistsError:  # another run was faster
                pass
        status = os.lstat(path)
    except OSError as error:
        raise StateUnusable(f"cannot make {path}: {error.strerror}") from None
    if stat.S_ISLNK(status.st_mode):
        raise StateUnusable(f"{path} is a link: name the directory itself")
    if not stat.S_ISDIR(status.st_mode):
        raise StateUnusable(f"{path} is not a directory")
    if status.st_uid != os.geteuid():
        raise StateUnusable(f"{path} is not yours")
    if status.st_mode & 0o077:
        _close_to_others(path)
    if not os.access(path, os.W_OK | os.X_OK):
        raise StateUnusable(f"{path} is not writable")
    return path


def _close_to_others(path: str) -> None:
    """Take others' rights to *path* away, unless it is there for more than us, such as /tmp. Raises StateUnusable."""
    try:
        names = os.listdir(path)
        if names and "runs" not in names:
            raise StateUnusable(f"{path} is open to others and holds other things")
        os.chmod(path, 0o700)
    except OSError as error:
        raise StateUnusable(f"cannot close {path} to others: {error.strerror}") from None


def file_system(path: str, mounts: str = "/proc/self/mountinfo") -> "str | None":
    """Return the type of the file system that holds *path*, or will hold it, if it is not local; else None."""
    real = os.path.realpath(path)
    found, longest = "", -1
    try:
        with open(mounts, encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                left, _, right = line.partition(" - ")
                point = _unescape(left.split(" ")[4])
                if len(point) >= longest and (real + "/").startswith(point.rstrip("/") + "/"):
                    found, longest = right.split(" ")[0], len(point)
    except OSError:  # no /proc: nothing can be told
        return None
    if found in _LOCAL_FUSE:
        return None
    return found if found.partition(".")[0] in _REMOTE else None


def _unescape(text: str) -> str:
    for code in ("\\040", "\\011", "\\012", "\\134"):
        if code in text:
            text = text.replace(code, chr(int(code[1:], 8)))
    return text
