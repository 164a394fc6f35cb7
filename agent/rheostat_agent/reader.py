"""The reader: the bytes of the spool, as far as they are there, from files that a hostile program may have made.

It trusts nothing. A file is opened without following links and without blocking, and must be regular and ours; it is
read by pread, never mapped (a truncated mapping kills); lengths and counts are bounded before they are used. What is
wrong with a file is raised as `BadFile` and counted by the caller; what is merely not there yet is an empty answer.

Only this module opens files of the spool. What the bytes mean is decided in stream.py and events.py.
"""

from __future__ import annotations

import os
import stat
from itertools import islice

from rheostat.spool.events import decode_frames
from rheostat.spool.layout import (
    CHUNK_SLOTS,
    DROPPED,
    EVENTS_SUFFIX,
    GROUP_LIMIT,
    HEADER,
    MAGIC,
    RECORD_SIZE,
    SPANS_SUFFIX,
    VERSION,
)
from rheostat_agent.descriptors import keep_reserve
from rheostat_agent.values import Value

TYPE_CHECKING = False  # typing takes longer than the rest of the start
if TYPE_CHECKING:
    from collections.abc import Iterator

Field = int | str | bytes  # of an event

MAX_FILES = 200_000  # of a spool that are looked at
MAX_SLOT = 1 << 40
MAX_BASE = (1 << 63) - MAX_SLOT  # so that base + slot is a signed 64-bit integer
MAX_FRAME = 8 << 20
_READ = 64 << 10
_MAX_SLOTS = CHUNK_SLOTS << GROUP_LIMIT
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


class BadFile(Exception):
    """A file of the spool that the recorder did not write; the text says what is wrong with it."""


class Gone(Exception):
    """The file is no longer there: its writer made it beside another thread, and took it back; or somebody removed it."""


class FileName(Value):
    """A file of the spool, as its name tells it."""

    base: int
    number: int
    is_events: bool

    def __str__(self) -> str:
        suffix = EVENTS_SUFFIX if self.is_events else SPANS_SUFFIX
        return f"{self.base:016x}-{self.number}{suffix}"


def parse_name(text: str) -> FileName | None:
    """Return the file of the spool that is called *text*, None if it is none: BASE-NUMBER.spans or .events."""
    for suffix in (SPANS_SUFFIX, EVENTS_SUFFIX):
        if text.endswith(suffix):
            base, dash, number = text[: -len(suffix)].partition("-")
            break
    else:
        return None
    if not dash or len(base) != 16 or not 1 <= len(number) <= 9 or not number.isdecimal():
        return None
    if not number.isascii() or base.strip("0123456789abcdef"):
        return None
    name = FileName(int(base, 16), int(number), suffix == EVENTS_SUFFIX)
    return name if name.base < MAX_BASE and str(name) == text else None


class Spool:
    """The spool's directory."""

    def __init__(self, directory: str) -> None:
        """Open the spool at *directory*. Raises OSError."""
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        self._descriptor = os.open(directory, flags)
        self.overfull = False

    def names(self) -> list[FileName]:
        """Return the files that are there, at most MAX_FILES; `overfull` says whether there are more."""
        with os.scandir(self._descriptor) as entries:
            listed = [entry.name for entry in islice(entries, MAX_FILES + 1)]
        self.overfull = len(listed) > MAX_FILES
        found = (parse_name(name) for name in listed[:MAX_FILES])
        return [name for name in found if name is not None]

    def size(self) -> int:
        """Return the bytes that the files take on disk."""
        total = 0
        with os.scandir(self._descriptor) as entries:
            for entry in islice(entries, MAX_FILES):
                try:
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
                except FileNotFoundError:
                    continue
        return total

    def open(self, name: FileName) -> int:
        """Return a descriptor of the file. Raises Gone, BadFile, and OSError where the machine is at its limits."""
        try:
            descriptor = keep_reserve(os.open(str(name), _FLAGS, dir_fd=self._descriptor))
        except FileNotFoundError:
            raise Gone(str(name)) from None
        except (IsADirectoryError, PermissionError) as error:
            raise BadFile(f"{name}: {error.strerror}") from None
        except OSError as error:
            if error.errno in (40, 6):  # ELOOP: a link; ENXIO: a socket, a device without a driver
                raise BadFile(f"{name} is not a regular file") from None
            raise
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
            os.close(descriptor)
            raise BadFile(f"{name} is not a regular file of ours")
        return descriptor

    def unlink(self, name: FileName) -> None:
        """Remove a file that has been read to its end, and whose contents are committed."""
        try:
            os.unlink(str(name), dir_fd=self._descriptor)
        except (FileNotFoundError, IsADirectoryError, PermissionError):
            return  # gone, or nothing that a recorder made

    def is_removed(self) -> bool:
        """Say whether somebody has removed the directory."""
        return os.fstat(self._descriptor).st_nlink == 0

    def set_mark(self, name: str, is_set: bool) -> None:
        """Have an empty file *name* be there or not."""
        try:
            if is_set:
                flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
                os.close(os.open(name, flags, 0o600, dir_fd=self._descriptor))
            else:
                os.unlink(name, dir_fd=self._descriptor)
        except FileNotFoundError:
            return

    def close(self) -> None:
        """Close the directory."""
        os.close(self._descriptor)


class Segment:
    """A segment whose header has been read and found right."""

    __slots__ = ("_descriptor", "first", "name", "slots")

    def __init__(self, descriptor: int, name: FileName, first: int, slots: int) -> None:
        self._descriptor = descriptor
        self.name = name
        self.first = first
        self.slots = slots

    def read(self, start: int, slots: int) -> bytes:
        """Return whole records from the slot *start* of this segment on: *slots* of them, or what is there."""
        slots = min(slots, self.slots - start)
        data = os.pread(self._descriptor, slots * RECORD_SIZE, RECORD_SIZE * (start + 1))
        return data[: len(data) // RECORD_SIZE * RECORD_SIZE]

    def dropped(self) -> int:
        """Return the calls that the writer counted and did not record, bounded to what a column holds."""
        data = os.pread(self._descriptor, 8, DROPPED * 8)
        return min(int.from_bytes(data, "little"), MAX_SLOT)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def open_segment(spool: Spool, name: FileName) -> Segment | None:
    """Return the segment *name*, None while its writer is still making it. Raises Gone, BadFile or OSError."""
    descriptor = spool.open(name)
    try:
        header = os.pread(descriptor, HEADER.size, 0)
        size = os.fstat(descriptor).st_size
        fields = HEADER.unpack(header) if len(header) == HEADER.size else (0,) * 8
        if fields[0] == 0:
            os.close(descriptor)
            return None
        first, slots = _check_header(name, fields, size)
    except BadFile:
        os.close(descriptor)
        raise
    return Segment(descriptor, name, first, slots)


def _check_header(name: FileName, fields: tuple[int, ...], size: int) -> tuple[int, int]:
    """Return the first slot and the number of slots that a header tells. Raises BadFile."""
    magic, version, base, first, slots = fields[:5]
    if magic != MAGIC or version & 0xFFFFFFFF != RECORD_SIZE:
        raise BadFile(f"{name} is not a segment")
    if version >> 32 != VERSION:
        raise BadFile(
            f"{name} has version {version >> 32}, this Rheostat reads {VERSION}: upgrade it"
        )
    if base != name.base or first % CHUNK_SLOTS or first > MAX_SLOT - slots:
        raise BadFile(f"{name} has a header that contradicts its name or itself")
    if not 0 < slots <= _MAX_SLOTS or slots % CHUNK_SLOTS or size < RECORD_SIZE * (slots + 1):
        raise BadFile(f"{name} is too short for its {slots} slots")
    return first, slots


class EventFile:
    """An event file, read from an offset on. Its writer adds frames; an incomplete last one waits."""

    __slots__ = ("_descriptor", "broken", "name", "offset", "read_to")

    def __init__(self, spool: Spool, name: FileName, read_to: int = 0) -> None:
        """Open the file. Frames before *read_to* were read by an agent before us. Raises Gone, BadFile or OSError."""
        self._descriptor = spool.open(name)
        self.name = name
        self.offset = 0
        self.read_to = read_to
        self.broken = ""

    def read(self) -> Iterator[tuple[int, list[Field], bool]]:
        """Yield (kind, fields, was read before) of the frames that are new.

        A frame that the recorder cannot have written ends the file: `broken` says why.
        """
        size = _READ
        while not self.broken:
            data = os.pread(self._descriptor, size, self.offset)
            if len(data) < 5 or data[4] == 0:
                return
            start = self.offset
            try:
                for kind, fields, stop in decode_frames(data):
                    was_read = self.offset < self.read_to
                    self.offset = start + stop
                    yield kind, fields, was_read
            except ValueError as error:
                self.broken = f"{self.name}: {error}"
                return
            if self.offset > start:
                size = _READ
            elif len(data) < size:
                return
            elif size < MAX_FRAME:
                size = MAX_FRAME
            else:
                self.broken = f"{self.name}: an event of more than {MAX_FRAME} bytes"

    def has_more(self) -> bool:
        """Say whether something was appended behind the last whole frame. (In a mapped file, zeros follow it.)"""
        data = os.pread(self._descriptor, 5, self.offset)
        return not self.broken and any(data[4:] if len(data) == 5 else data)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)
