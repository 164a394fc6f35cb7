"""One process image while it is read: its files, how far they were read, and its span stream.

Records are read before events: what a record refers to (its function, its thread's name, its exception) was written
before it, so it is known by the time the record is joined.
"""

from __future__ import annotations

import time
from array import array
from itertools import groupby

from rheostat.spool.layout import CHUNK_BITS, CHUNK_SLOTS, RECORD, RECORD_SIZE, STARTED
from rheostat_agent.batch import Batch
from rheostat_agent.events import Event, Malformed, ProcessEvent, parse
from rheostat_agent.lifetimes import Life
from rheostat_agent.reader import (
    BadFile,
    EventFile,
    FileName,
    Gone,
    Segment,
    Spool,
    open_segment,
)
from rheostat_agent.stream import TIME_LIMIT, ImageStream
from rheostat_agent.values import Value

TYPE_CHECKING = False  # typing takes longer than the rest of the start
if TYPE_CHECKING:
    from collections.abc import Callable

_PEEK = 64  # slots that are looked at before more are read
_PIECE = 4 * CHUNK_SLOTS  # slots read at once
_GROUP = 32  # chunks with pending slots that are read at once
MAX_PENDING = 500_000


class SegmentState(Value):
    """A segment and how far it was read."""

    segment: Segment
    frontier: int  # slots of it below were looked at …
    pending: list[int]  # … and are settled, but for these; ascending
    dropped: int = 0
    is_changed: bool = True

    def is_settled(self) -> bool:
        """Say whether nothing more can come from it."""
        return self.frontier == self.segment.slots and not self.pending

    def row(self) -> tuple[int, int, int, bytes, int]:
        """Return the row of the table `segments`."""
        name = self.segment.name
        return (
            name.base,
            name.number,
            self.frontier,
            array("Q", self.pending).tobytes(),
            self.dropped,
        )


class Cursor(Value):
    """How far an agent before us had read a segment."""

    frontier: int
    pending: list[int]
    dropped: int


class Image:
    """One image. `stream` and `life` are there once its process event was read."""

    def __init__(
        self, base: int, spool: Spool, apply: Callable[[Image, Event, bool], None]
    ) -> None:
        """*apply*(image, event, was it read by an agent before us) takes the events."""
        self.base = base
        self.stream: ImageStream | None = None
        self.life: Life | None = None
        self.start: ProcessEvent | None = None
        self.exec_ns: int | None = None
        self.dropped = self.dropped_told = (
            0  # calls counted, not recorded; those already in `losses`
        )
        self.is_done = False
        self.is_changed = False
        self.is_starved = False  # a file of it could not be opened in this round
        self.bad: list[str] = []  # what is wrong with its files
        self.bad_events = 0
        self.segments: dict[int, SegmentState] = {}
        self.unread: dict[int, FileName] = {}  # segments whose header is not there yet
        self.event_files: dict[int, EventFile] = {}
        self.events_read: dict[int, int] = {}  # offsets that an agent before us committed
        self.cursors: dict[int, Cursor] = {}
        self._known: set[FileName] = set()
        self._spool = spool
        self._apply = apply

    def add_file(self, name: FileName) -> None:
        """Know a file of this image; where the machine is at its limits, it is tried again in the next round."""
        if name in self._known:
            return
        if name.is_events:
            try:
                read_to = self.events_read.get(name.number, 0)
                self.event_files[name.number] = EventFile(self._spool, name, read_to)
            except BadFile as error:
                self.bad.append(str(error))
            except Gone:
                return
            except OSError:
                self.is_starved = True
                return
        else:
            self.unread[name.number] = name
        self._known.add(name)

    def _open_segments(self) -> None:
        for number, name in sorted(self.unread.items()):
            try:
                segment = open_segment(self._spool, name)
            except Gone:
                del self.unread[number]
                continue
            except BadFile as error:
                self.bad.append(str(error))
                del self.unread[number]
                continue
            except OSError:
                self.is_starved = True
                return
            if segment is not None:
                state = SegmentState(segment, 0, [])
                cursor = self.cursors.pop(number, None)
                if cursor is not None:
                    state.frontier, state.dropped = cursor.frontier, cursor.dropped
                    state.pending = cursor.pending
                self.segments[number] = state
                del self.unread[number]

    def read_events(self) -> bool:
        """Read the events that are new; say whether there were any."""
        found = False
        for number in sorted(self.event_files):
            if number and self.stream is None:  # the first file says whose they are: it is to come
                break
            file = self.event_files[number]
            for kind, fields, was_read in file.read():
                try:
                    event = parse(kind, fields)
                except (Malformed, ValueError):
                    self.bad_events += not was_read
                    continue
                self._apply(self, event, was_read)
                found = True
            if file.broken:
                self.bad.append(file.broken)
                file.close()
                del self.event_files[number]
                self.is_changed = True
        return found

    def read(self, batch: Batch, budget: int, is_final: bool) -> tuple[bool, int]:
        """Read what is new into *batch*, about *budget* records; return (anything was, records read).

        *is_final*: its writer is dead, so what is empty now stays empty.
        """
        progress = self.read_events()
        stream = self.stream
        if stream is None:
            return progress, 0
        self._open_segments()
        stream.early_ns = TIME_LIMIT
        looked_ns, taken = time.monotonic_ns(), 0
        states = sorted(self.segments.values(), key=lambda state: state.segment.first)
        for state in states:
            if state.pending:
                progress = self._read_pending(state, stream, batch) or progress
        for state in states:
            thorough = is_final or state is not states[-1]
            taken += self._read_new(state, stream, batch, budget - taken, thorough)
            self._read_dropped(state)
        if taken < budget:
            self._release_imports(stream, batch)
            stream.horizon_ns = TIME_LIMIT - 1 if is_final else looked_ns
        stream.fold()
        return progress or taken > 0 or stream.early_ns <= stream.horizon_ns, taken

    def _read_pending(self, state: SegmentState, stream: ImageStream, batch: Batch) -> bool:
        chunks = [
            (chunk, list(slots))
            for chunk, slots in groupby(state.pending, lambda slot: slot >> CHUNK_BITS)
        ]
        pending: list[int] = []
        changed = False
        for at in range(0, len(chunks), _GROUP):
            group = chunks[at : at + _GROUP]
            first = state.segment.first
            data = [
                state.segment.read((chunk << CHUNK_BITS) - first, CHUNK_SLOTS) for chunk, _ in group
            ]
            self.read_events()
            for (chunk, slots), records in zip(group, data, strict=True):
                stays, moved = stream.take_again(chunk, records, slots, batch)
                pending += stays
                changed = changed or moved
        if len(pending) != len(state.pending):
            state.is_changed = changed = True
        state.pending = pending
        return changed

    def _read_new(
        self, state: SegmentState, stream: ImageStream, batch: Batch, budget: int, thorough: bool
    ) -> int:
        """Read slots behind the frontier until one piece is not full; *thorough*: look behind empty ones too."""
        taken, segment = 0, state.segment
        while taken < budget and state.frontier < segment.slots:
            if not thorough and not segment.read(state.frontier, _PEEK).strip(b"\0"):
                break
            data = segment.read(state.frontier, _PIECE)
            used = -(-len(data.rstrip(b"\0")) // RECORD_SIZE)
            if used:
                self.read_events()
                self._take(state, stream, memoryview(data)[: used * RECORD_SIZE], batch)
                taken += used
                state.is_changed = True
            if used < _PIECE:
                break
        return taken

    def _take(
        self, state: SegmentState, stream: ImageStream, data: memoryview, batch: Batch
    ) -> None:
        """Take records that are new, chunk by chunk. Slots are given out in the order in which calls begin."""
        begun = (
            RECORD.unpack_from(data, at)[STARTED]
            for at in range(len(data) - RECORD_SIZE, -1, -RECORD_SIZE)
        )
        stream.horizon_ns = min(
            max(next(filter(None, begun), 0), stream.horizon_ns), TIME_LIMIT - 1
        )
        slot, at = state.segment.first + state.frontier, 0
        state.frontier += len(data) // RECORD_SIZE
        while at < len(data):
            size = (CHUNK_SLOTS - slot % CHUNK_SLOTS) * RECORD_SIZE
            state.pending += stream.take(slot, data[at : at + size], batch)
            slot, at = slot + size // RECORD_SIZE, at + size
        if len(state.pending) > MAX_PENDING:
            stream.bad += len(state.pending) - MAX_PENDING
            del state.pending[MAX_PENDING:]

    def _read_dropped(self, state: SegmentState) -> None:
        dropped = state.segment.dropped()
        if dropped > state.dropped:
            self.dropped += dropped - state.dropped
            state.dropped = dropped
            state.is_changed = self.is_changed = True

    def _release_imports(self, stream: ImageStream, batch: Batch) -> None:
        settled = set(stream.release_imports(batch))
        if settled:
            for state in self.segments.values():
                left = [slot for slot in state.pending if slot not in settled]
                if len(left) != len(state.pending):
                    state.pending, state.is_changed = left, True

    def close(self, end_ns: int, cause: str, error: int, batch: Batch) -> None:
        """End what is open, at the monotonic time *end_ns*; nothing more is read of this image.

        Slots that are empty now never began; those of functions that nobody named are counted as bad.
        """
        self.is_done = self.is_changed = True
        stream = self.stream
        if stream is None:
            return
        records = {}
        open_slots = set(stream.open_slots())
        for state in self.segments.values():
            for slot in state.pending:
                data = state.segment.read(slot - state.segment.first, 1)
                if slot in open_slots and data:
                    records[slot] = RECORD.unpack_from(data)
                elif data.strip(b"\0"):
                    stream.bad += 1
            state.pending, state.frontier, state.is_changed = [], state.segment.slots, True
        stream.close(end_ns, cause, error, records, batch)
        stream.fold()

    def latest_ns(self) -> int:
        """Return the latest monotonic time in anything that was read of it."""
        began = self.start.mono_ns if self.start else 0
        return max(began, self.stream.last_ns if self.stream else 0)

    def is_torn(self) -> bool:
        """Say whether an event file ends in an incomplete event."""
        return any(file.has_more() for file in self.event_files.values())

    def close_files(self) -> None:
        """Close all files."""
        for state in self.segments.values():
            state.segment.close()
        for file in self.event_files.values():
            file.close()
        self.segments, self.event_files, self.unread = {}, {}, {}
