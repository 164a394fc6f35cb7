"""Transformed code on disk, so that a program is transformed once and not at each start.

One file a module in the cache directory, named by a hash of all that the result depends on but the source itself (path,
name, selection, interpreter, transform version): its *context*. It holds, by `marshal`, a tuple that begins with the context
in full and the *identity* of the source, which is told by the file's inode, times and size, as CPython tells whether a
`.pyc` is current, so that the source need not be read. Written beside and renamed, so readers see whole files; a file that
does not fit is as good as none. Nothing is ever put into `__pycache__`. The directory must be ours and closed to others:
unmarshalling hostile data is not safe.
"""

from __future__ import annotations

import os
import sys
from _frozen_importlib_external import MAGIC_NUMBER
from _imp import source_hash
from marshal import dumps, loads
from time import monotonic_ns

TYPE_CHECKING = False  # importing typing takes longer than all of a bootstrap
if TYPE_CHECKING:
    from typing import Any

_makedirs, _open, _read, _close = os.makedirs, os.open, os.read, os.close
_write, _replace, _fstat, _stat, _geteuid = os.write, os.replace, os.fstat, os.stat, os.geteuid
_getpid, _unlink = os.getpid, os.unlink
_KEY = int.from_bytes(MAGIC_NUMBER, "little")
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class Cache:
    """The cache directory of one user. Methods never raise OSError: a cache that does not work is only slow."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._usable = self._check()

    def _check(self) -> bool:
        try:
            _makedirs(self._directory, 0o700, exist_ok=True)
            status = _stat(self._directory)
        except OSError:
            return False
        return status.st_uid == _geteuid() and not status.st_mode & 0o022

    def load(self, context: str, identity: str) -> tuple[Any, ...] | None:
        """Return what was kept for *context* of the source with *identity*, or None."""
        if not self._usable:
            return None
        try:
            descriptor = _open(f"{self._directory}/{_name(context)}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            data = _read(descriptor, _fstat(descriptor).st_size)
        except OSError:
            return None
        finally:
            _close(descriptor)
        try:
            entry = loads(data)
        except (EOFError, ValueError, TypeError):
            return None
        fits = isinstance(entry, tuple) and entry[:2] == (context, identity)
        return entry[2:] if fits else None

    def store(self, context: str, identity: str, values: tuple[Any, ...]) -> None:
        """Keep *values*, which `marshal` must know, for *context* of the source with *identity*."""
        if not self._usable:
            return
        path = f"{self._directory}/{_name(context)}"
        beside = f"{path}.{_getpid()}.{monotonic_ns()}"
        try:
            descriptor = _open(beside, _CREATE, 0o600)
        except OSError:
            return
        try:
            try:
                data = dumps((context, identity, *values))
                whole = _write(descriptor, data) == len(data)
            finally:
                _close(descriptor)
            if whole:
                _replace(beside, path)
                return
        except OSError:  # a full disk, say
            pass
        self._remove(beside)

    def _remove(self, path: str) -> None:
        try:
            _unlink(path)
        except OSError:
            return


def _name(context: str) -> str:
    data = context.encode("utf-8", "surrogatepass")
    return f"{int.from_bytes(source_hash(_KEY, data), 'little'):016x}"


def interpreter_key(*parts: object) -> str:
    """Return the text of what transformed code depends on for all modules alike: this interpreter, and *parts*."""
    return repr((sys.version_info[:3], MAGIC_NUMBER, sys.flags.optimize, *parts))


class FileSource:
    """The source in the file *path*. Raises OSError if there is none."""

    __slots__ = ("_path", "identity")

    def __init__(self, path: str) -> None:
        status = _stat(path)
        times = (status.st_mtime_ns, status.st_ctime_ns)
        self.identity = repr((status.st_dev, status.st_ino, status.st_size, times))
        self._path = path

    def read(self) -> bytes:
        """Return the text, as bytes. Raises OSError."""
        descriptor = _open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            parts = []
            while part := _read(descriptor, 1 << 20):
                parts.append(part)
        finally:
            _close(descriptor)
        return b"".join(parts)


class TextSource:
    """Source that is at hand, from an archive."""

    __slots__ = ("_data", "identity")

    def __init__(self, data: bytes) -> None:
        self.identity = source_hash(_KEY, data).hex()
        self._data = data

    def read(self) -> bytes:
        """Return it."""
        return self._data
