"""Transformed code on disk, so that a program is transformed once and not at each start.

One file a module in the cache directory, named by two hashes: that of the source and that of all else the result depends
on (path, name, selection, interpreter, transform version). It holds, by `marshal`, a tuple that repeats the second in
full. Written beside and renamed, so readers see whole files; a file that does not fit is as good as none. Nothing is
ever put into `__pycache__`. The directory must be ours and closed to others: unmarshalling hostile data is not safe.
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

    def name(self, source: bytes, context: str) -> str:
        """Return the name of the entry for *source*, transformed in *context*."""
        first = int.from_bytes(source_hash(_KEY, source), "little")
        second = int.from_bytes(
            source_hash(_KEY, context.encode("utf-8", "surrogatepass")), "little"
        )
        return f"{first:016x}{second:016x}"

    def load(self, name: str, context: str) -> tuple[Any, ...] | None:
        """Return what was kept under *name* for *context*, or None."""
        if not self._usable:
            return None
        try:
            descriptor = _open(f"{self._directory}/{name}", os.O_RDONLY | os.O_CLOEXEC)
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
        return entry[1:] if isinstance(entry, tuple) and entry[:1] == (context,) else None

    def store(self, name: str, context: str, values: tuple[Any, ...]) -> None:
        """Keep *values*, which `marshal` must know, under *name*."""
        if not self._usable:
            return
        path = f"{self._directory}/{name}"
        beside = f"{path}.{_getpid()}.{monotonic_ns()}"
        try:
            descriptor = _open(beside, _CREATE, 0o600)
            try:
                data = dumps((context, *values))
                whole = _write(descriptor, data) == len(data)
            finally:
                _close(descriptor)
            if whole:
                _replace(beside, path)
            else:
                _unlink(beside)
        except OSError:
            return


def context_key(*parts: object) -> str:
    """Return the text of everything but the source that transformed code depends on."""
    return repr((sys.version_info[:3], MAGIC_NUMBER, sys.flags.optimize, *parts))
