"""The writer's half of the spool: segments that are mapped, and the event file that is appended to.

Runs in the observed program, so: no lock (a thread may hold it while another forks, a signal handler may find it held by
its own thread), no descriptor kept, no exception of ours but OSError, ValueError and MemoryError, which the recorder turns
into "count, do not record". A signal handler of the program may run between any two calls here, record calls of its own
while a segment is being made, and raise.

Facts about the platform that shape it:
- Writing to a hole of a mapped file on a full disk kills the program by SIGBUS. Hence posix_fallocate before mapping.
- Truncating a file behind a mapping kills as well. Files are only ever unlinked, and by the agent alone.
- Growing a file beyond RLIMIT_FSIZE raises SIGXFSZ, which ends a program that restored its default action.
- mmap keeps a duplicate of the descriptor (until 3.13, `trackfd=False`). It would shift the program's own descriptors
  and, once the program has closed and reused the number, closing the mapping would close the program's file. So the
  duplicate is closed at once and the mapping never is: `_KEPT` holds it for ever, and because that list is bound into a
  fork hook it outlives the teardown of modules at exit, when the program's own files may still have to be flushed.
"""

import mmap
import os
import sys
from _functools import partial  # type: ignore[import-not-found]
from itertools import count
from resource import RLIM_INFINITY, RLIMIT_AS, RLIMIT_FSIZE, getrlimit

from rheostat.spool.layout import (
    CHUNK_BITS,
    CHUNK_SLOTS,
    FULL_NAME,
    HEADER,
    MAGIC,
    RECORD_SIZE,
    VERSION,
    events_name,
    group_of,
    spans_name,
)

_access, _close, _fchmod, _fstat, _getpid = os.access, os.close, os.fchmod, os.fstat, os.getpid
_listdir, _open, _posix_fallocate, _unlink = os.listdir, os.open, os.posix_fallocate, os.unlink
_write, _mmap = os.write, mmap.mmap

_KEPT: list[object] = []
os.register_at_fork(after_in_child=partial(len, _KEPT))

_SHARE = 32  # of a limit on address space, segments take one part in so many
_PIECE = 256 << 10  # bytes allocated by one call
_FIRST_AREA, _LAST_AREA = 64 << 10, 1 << 20  # bytes of a mapped event file
_FEW = 8  # events that are appended first: making a mapped file takes as long

# Opens each of the paths it is given. `list.extend` of it is one step: an exception out of a signal handler cannot strike
# between the opening and the keeping of the descriptor, which would stay open for ever.
_open_all = partial(map, _open)

_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW


def _check_file_size(size: int) -> None:
    """Raise OSError if a file of *size* bytes would bring the program a SIGXFSZ."""
    limit = getrlimit(RLIMIT_FSIZE)[0]
    if limit != RLIM_INFINITY and size > limit:
        raise OSError(27, f"a file of {size} bytes is over the limit on file sizes, {limit}")


def _check_address_space(size: int) -> None:
    """Raise MemoryError if *size* more bytes of ours would be a part of a limit on address space that the program might miss."""
    limit = getrlimit(RLIMIT_AS)[0]
    if limit != RLIM_INFINITY and size > limit // _SHARE:
        raise MemoryError("the limit on address space leaves no room for more records")


def _allocate(descriptor: int, size: int) -> None:
    """Allocate the first *size* bytes, in pieces: a signal undoes what the file system has begun of a piece.

    Under a timer that is faster than one call for all of a segment, that call would never end.
    """
    for start in range(0, size, _PIECE):
        _posix_fallocate(descriptor, start, min(_PIECE, size - start))


def _map(descriptor: int, size: int) -> mmap.mmap:
    """Map *size* bytes of the file open at *descriptor*, keeping no other descriptor open."""
    if sys.version_info >= (3, 13):
        return _mmap(descriptor, size, trackfd=False)
    mapping = _mmap(descriptor, size)
    mine = _fstat(descriptor)
    for name in _listdir("/proc/self/fd"):
        number = int(name)
        if number == descriptor:
            continue
        try:
            other = _fstat(number)
        except OSError:  # the descriptor of the listing itself, or one another thread just closed
            continue
        if (other.st_ino, other.st_dev) == (mine.st_ino, mine.st_dev):
            try:
                _KEPT.append(mapping)  # first: from here on it may not be closed
            finally:
                _close(number)
    return mapping


class Segments:
    """The mapped segments of one process image.

    `views` maps a chunk's number to its records, as a memoryview of 64-bit words; the recorder reads it directly. The last
    chunk of a segment is put there only with the next segment: until then each call in it comes by `words`, which is the
    occasion to make that segment, while the signal handlers and threads that run meanwhile record into the chunk.
    """

    __slots__ = (
        "_base",
        "_chunks",
        "_directory",
        "_groups",
        "_mapped",
        "_numbers",
        "newest",
        "views",
    )

    def __init__(self, directory: str, base: int) -> None:
        self._directory = directory
        self._base = base
        self._groups: dict[int, memoryview] = {}
        self._chunks: dict[int, memoryview] = {}
        self._numbers = count()
        self._mapped = 0  # bytes
        self.newest: memoryview | None = None  # the words of the segment made last
        self.views: dict[int, memoryview] = {}

    def words(self, chunk: int) -> memoryview | None:
        """Return the words of *chunk*, None if its segment has not been made."""
        return self._chunks.get(chunk)

    def is_last(self, chunk: int) -> bool:
        """Say whether *chunk* is the last one there is room for."""
        return chunk in self._chunks and chunk + 1 not in self._chunks

    def grow(self, chunk: int, now_ns: int) -> None:
        """Map the segment that holds *chunk*.

        Two threads may grow at once: both make a segment, the first to install it wins and the other unlinks its own.
        Raises OSError or ValueError (no space, no memory, no descriptor, no directory), having changed nothing.
        """
        group, first, chunks = group_of(chunk)
        made, path = self._create(first, chunks, now_ns)
        words = self._groups.setdefault(group, made)
        if words is not made:
            _unlink(path)
        for number in range(first, first + chunks):
            start = (RECORD_SIZE + (number - first) * CHUNK_SLOTS * RECORD_SIZE) >> 3
            self._chunks.setdefault(number, words[start : start + (CHUNK_SLOTS * RECORD_SIZE >> 3)])
        for number in range(first - 1, first + chunks - 1):
            if number in self._chunks:  # the one before, unless it could not be made
                self.views[number] = self._chunks[number]
        self.newest = words

    def _create(self, first: int, chunks: int, now_ns: int) -> tuple[memoryview, str]:
        size = RECORD_SIZE + chunks * CHUNK_SLOTS * RECORD_SIZE
        path = f"{self._directory}/{spans_name(self._base, next(self._numbers))}"
        slots = (first << CHUNK_BITS, chunks << CHUNK_BITS)
        fields = (VERSION << 32 | RECORD_SIZE, self._base, *slots, _getpid(), 0, now_ns)
        words = self.make(path, size, HEADER.pack(0, *fields)).cast("Q")
        words[0] = MAGIC  # last: a reader that sees it sees the rest
        return words, path

    def make(self, path: str, size: int, start: bytes = b"") -> memoryview:
        """Map a new file of *size* bytes at *path* that begins with *start*. Raises as `grow` does."""
        if _access(f"{self._directory}/{FULL_NAME}", os.F_OK):
            raise OSError(28, "--max-disk is reached")
        _check_file_size(size)
        _check_address_space(self._mapped + size)
        descriptors: list[int] = []
        try:
            try:
                descriptors.extend(_open_all((path,), (_CREATE,), (0o600,)))
                _fchmod(descriptors[0], 0o600)
                _allocate(descriptors[0], size)
                mapping = _map(descriptors[0], size)
            finally:
                if descriptors:
                    _close(descriptors[0])
            view = memoryview(mapping)
            _KEPT.append(view)
            view[: len(start)] = start
        except BaseException:
            if descriptors:
                _unlink(path)
            raise
        self._mapped += size
        return view

    def release(self) -> None:
        """Give up all chunks: what still holds them can neither read nor write them, and can tell that by ValueError."""
        for view in list(self._chunks.values()):
            view.release()


class _Area:
    """A mapped event file. Used by one thread at a time: whoever took it out of `Events` puts it back."""

    __slots__ = ("_at", "_view")

    def __init__(self, view: memoryview) -> None:
        self._view = view
        self._at = 0

    def add(self, frame: bytes) -> bool:
        """Add *frame*; False: there is no room for it."""
        at, stop = self._at, self._at + len(frame)
        if stop > self._view.nbytes:
            return False
        self._view[at : at + 4] = frame[:4]
        self._view[at + 5 : stop] = frame[5:]
        self._view[at + 4 : at + 5] = frame[4:5]  # its kind, last: until then readers see nothing
        self._at = stop
        return True


class Events:
    """The event files of one process image.

    An append opens and closes the file, so that no descriptor stays open. That is four system calls, which a program that
    imports hundreds of modules would notice; so from the ninth on `put` has a mapped file for events that may stand
    anywhere. Who finds it taken (a thread, or a signal handler that interrupted its own thread) appends.
    """

    __slots__ = (
        "_area",
        "_base",
        "_directory",
        "_few",
        "_number",
        "_numbers",
        "_segments",
        "_size",
    )

    def __init__(self, directory: str, base: int, segments: Segments) -> None:
        self._directory = directory
        self._base = base
        self._segments = segments
        self._numbers = count()
        self._number = next(self._numbers)  # of the file that is appended to
        self._area: dict[str, _Area] = {}  # "free": one, unless it is taken; `pop` is one step
        self._size = _FIRST_AREA  # of the next one
        self._few = _FEW  # events that are appended before one is made

    def put(self, frame: bytes) -> bool:
        """Put *frame*, to which no other event refers, into the mapped file; False: it is to be appended.

        Raises as `Segments.grow` does if there is no room for another file; it is tried again after a few events.
        """
        if self._few or len(frame) > _LAST_AREA:
            self._few = max(0, self._few - 1)
            return False
        # Where an exception strikes from here on, the file is not put back: nothing follows what may be incomplete.
        area = self._area.pop("free", None)
        if area is None or not area.add(frame):
            self._few = _FEW  # should it fail
            while self._size < len(frame):
                self._size <<= 1
            path = f"{self._directory}/{events_name(self._base, next(self._numbers))}"
            area = _Area(self._segments.make(path, self._size))
            self._size = min(2 * self._size, _LAST_AREA)
            self._few = 0
            area.add(frame)
        self._area["free"] = area
        return True

    def append(self, frame: bytes) -> None:
        """Append *frame* by one write. Raises OSError if it could not be written whole."""
        path = f"{self._directory}/{events_name(self._base, self._number)}"
        descriptors: list[int] = []
        try:
            descriptors.extend(_open_all((path,), (_APPEND,), (0o600,)))
            size = _fstat(descriptors[0]).st_size
            if size == 0:
                _fchmod(descriptors[0], 0o600)
            _check_file_size(size + len(frame))
            written = _write(descriptors[0], frame)
        finally:
            if descriptors:
                _close(descriptors[0])
        if written != len(frame):
            self._number = next(self._numbers)  # what follows a torn frame could not be read
            raise OSError(28, f"only {written} of {len(frame)} bytes of an event were written")
