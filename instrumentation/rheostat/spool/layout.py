"""The spool on disk: file names, the segment header and the span record. Specified whole in docs/spool-format.md.

A *process image* is one Python interpreter between an exec or fork and its end. It has a *base*, a random number;
slot n of the image is the span with id base + n, and slot 0 is the process itself. An image owns

    BASE-G.spans    segments, G = 0, 1, …: a header, then fixed-size records, in a shared mapping
    BASE-N.events   what varies in length, append-only (see events.py); N = 1, 2, … after a short write

with BASE in sixteen hexadecimal digits. All integers are little-endian and unsigned, 64 bits wide:

    header                                        record
     0  magic                                      0  parent slot, 0 = the process
     8  version << 32 | size of a record           8  thread ident
    16  base                                      16  start, monotonic nanoseconds
    24  first slot                                24  head, 0 = the slot is unused
    32  number of slots                           32  end, monotonic nanoseconds, 0 = still open
    40  process id                                40  error, 0 = none
    48  calls counted, not recorded               48  suspended, nanoseconds (generators)
    56  creation, monotonic nanoseconds           56  items yielded (generators)

A record is valid if and only if its head is not 0, and ended if and only if its end is not 0. The head is the last of
the four start fields to be written, the end the last of all, each by a single aligned store; so a writer killed between
any two stores leaves a slot that readers skip, or a span that is open. Nothing but this package knows an offset.
"""

from __future__ import annotations

from _struct import Struct

MAGIC = int.from_bytes(b"RHEOSPAN", "little")
VERSION = 1

HEADER = Struct("<8Q")
RECORD = Struct("<8Q")
RECORD_SIZE = RECORD.size
assert HEADER.size == RECORD_SIZE == 64, "reader and writer step by it"
START = Struct("<4Q")  # parent, thread, start, head: one call writes them in this order

# Indices of a record's fields, in words of 8 bytes.
PARENT, THREAD, STARTED, HEAD, ENDED, ERROR, SUSPENDED, ITEMS = range(8)
# Indices of a header's fields, in words of 8 bytes.
DROPPED = 6

HEAD_MARK = 0x52 << 56  # "R": a head without it was not written by us
SITE_MASK = 0xFFFFFFFF

# Kinds of site.
FUNCTION, COROUTINE, GENERATOR, ASYNC_GENERATOR, IMPORT = range(1, 6)

# Slots are handed out in chunks; a segment holds 2, 4, 8 … chunks, at most 2**GROUP_LIMIT.
CHUNK_BITS = 10
CHUNK_SLOTS = 1 << CHUNK_BITS
GROUP_LIMIT = 6  # 64 chunks of 1024 records: 4 MiB

FULL_NAME = "full"  # an empty file that the agent makes: the run has reached its limit, no segment may be made
SPANS_SUFFIX = ".spans"
EVENTS_SUFFIX = ".events"


def head(kind: int, site: int) -> int:
    """Return the head word of a record of the site numbered *site* (from 1), of a kind listed above."""
    return HEAD_MARK | kind << 32 | site


def group_of(chunk: int) -> tuple[int, int, int]:
    """Return (group, first chunk, number of chunks) of the segment that holds *chunk*.

    Groups 0, 1, 2 … hold 2, 4, 8 … chunks, then 2**GROUP_LIMIT each: a short program takes 128 KiB of disk and of
    address space (which RLIMIT_AS counts), a long one pays for few files.
    """
    doubling = (1 << GROUP_LIMIT) - 2  # chunks in the groups that still double
    if chunk < doubling:
        group = (chunk + 2).bit_length() - 2
        return group, (2 << group) - 2, 2 << group
    group = (chunk - doubling) >> GROUP_LIMIT
    return GROUP_LIMIT - 1 + group, doubling + (group << GROUP_LIMIT), 1 << GROUP_LIMIT


def spans_name(base: int, group: int) -> str:
    """Return the file name of the segment *group* of the image *base*."""
    return f"{base:016x}-{group}{SPANS_SUFFIX}"


def events_name(base: int, number: int) -> str:
    """Return the file name of the event file *number* of the image *base*."""
    return f"{base:016x}-{number}{EVENTS_SUFFIX}"
