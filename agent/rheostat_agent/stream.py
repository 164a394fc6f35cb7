"""The span stream: the records of one process image, joined to spans.

`take` is given the slots of a chunk that have not been seen before, `take_again` those that were open or empty when they
were. Each record ends up in exactly one of: a row of the batch (it ended), `_open` (it is open), `pending` of its segment
(empty so far, or of a function not yet known), counted as bad, or forgotten (an import of no interest).

A parent's slot is smaller than its children's, and its record is written before theirs. Yet while both are being written
a read may come by the parent's slot too early and by the child's in time; such a child is put off until the parent has
its place (places.py).

A call is settled when everything that began before its end has been read, up to the *horizon*: so calls come into the
history in the order in which they ended, children before their parents, however late they are read.

Imports shorter than a millisecond are held until all that is there has been read; then those that nothing ran inside
are dropped. Late children of a dropped import (of a thread that it started) become children of its parent.

Hot: `take` is what ingestion costs besides SQLite. Measured by tests/agent/test_ingestion_speed.py.
"""

from __future__ import annotations

from rheostat.spool.layout import (
    CHUNK_BITS,
    CHUNK_SLOTS,
    ENDED,
    ERROR,
    FUNCTION,
    HEAD,
    HEAD_MARK,
    IMPORT,
    ITEMS,
    RECORD,
    SITE_MASK,
    SUSPENDED,
)
from rheostat_agent.batch import Batch
from rheostat_agent.calls import Calls, Node, OpenSpan, Path
from rheostat_agent.places import Places
from rheostat_agent.sites import Sites

TYPE_CHECKING = False  # typing takes longer than the rest of the start
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

SHORT_IMPORT_NS = 1_000_000
TIME_LIMIT = 1 << 62  # a later time was not written by us; sums of two stay in range
_MOST_TRIES = 4  # rounds for which a record whose parent is not there yet is put off
_OUTSIDE = 0xFFFFFFFF  # the "thread" of the process itself
_SLOT = CHUNK_SLOTS - 1

Resolved = tuple[int, Node, int]  # id of the parent span, its node, its thread


class ImageStream:
    """The records of one image."""

    def __init__(
        self,
        base: int,
        process: int,
        process_span: int,
        process_name: str,
        offset_ns: int,
        calls: Calls,
        find_error: Callable[[int], int],
    ) -> None:
        """*offset_ns* makes wall times of monotonic ones; *find_error*(error word) → errors.id."""
        self.base = base
        self.process = process
        self.process_span = process_span
        self.bad = 0
        self.last_ns = 0
        self.horizon_ns = 0  # all that began before it has been read
        self.early_ns = (
            TIME_LIMIT  # the earliest end beyond the horizon, of those seen in this round
        )
        self._name = process_name
        self._offset = offset_ns
        self._calls = calls
        self._find_error = find_error
        self.sites = Sites()
        self._root = Node(0, None, FUNCTION)
        self.nodes: list[Node] = [self._root]
        self._by_path: dict[int, Node] = {}
        self._places = Places()
        self._open: dict[int, OpenSpan] = {}
        self._put_off: dict[int, int] = {}  # slots whose parent was not there, and how often
        self._held: dict[int, tuple[OpenSpan, int, int]] = {}  # imports: span, end, error word
        self._parented: set[int] = set()  # imports that something ran inside
        self._dropped: dict[int, int] = {}  # imports, and their parents

    # What records refer to

    def _child(self, parent: Node, head: int) -> Node | None:
        """Return the node of the site in *head* below *parent*; None if its module is not known (yet)."""
        found = parent.children.get(head) or parent.others.get(head)
        if found is not None:
            return found
        site = self.sites.find(head & SITE_MASK)
        if site is None:
            return None
        path = self._calls.path(parent.path, self._calls.function(site), self._name)
        node = self._node(path, site[1])
        family = parent.children if node.is_plain else parent.others
        family[head] = node
        return node

    def _node(self, path: Path, kind: int) -> Node:
        node = self._by_path.get(path.id)
        if node is None:
            node = self._by_path[path.id] = Node(len(self.nodes), path, kind)
            self.nodes.append(node)
        return node

    def _resolve(self, parent: int, slot: int) -> Resolved:
        """Return what a record needs to know of its parent; the process, if that is not known."""
        while parent in self._dropped:
            parent = self._dropped[parent]
        if not 0 < parent < slot:
            return self.process_span, self._root, _OUTSIDE
        place = self._places.get(parent)
        if place:
            return self.base + parent, self.nodes[place >> 32], place & 0xFFFFFFFF
        span = self._open.get(parent)
        if span is not None:
            return self.base + parent, span.node, self._places.thread(span.ident)
        return self.process_span, self._root, _OUTSIDE

    # Records

    def take(self, slot: int, data: bytes | memoryview, batch: Batch) -> list[int]:
        """Read the records from *slot* on, none of which was seen before, all in one chunk; return what is pending."""
        base, process, offset = self.base, self.process, self._offset
        places, append = self._places.chunk(slot), batch.spans.append
        pending: list[int] = []
        last_parent = last_ident = -1
        last_ns, horizon_ns = self.last_ns, self.horizon_ns
        parent_id = thread = parent_thread = 0
        children: dict[int, Node] = {}
        marks = False
        for parent, ident, start, head, end, error, suspended, items in RECORD.iter_unpack(data):
            if parent != last_parent or ident != last_ident:
                parent_id, node, parent_thread = self._resolve(parent, slot)
                is_sane = parent < slot and not ident >> 63 and (node.path or not parent)
                children, marks = node.children if is_sane else {}, node.is_import
                thread = self._places.thread(ident)
                last_parent, last_ident = parent, ident
            child = children.get(head)
            if child is None or not start <= end <= horizon_ns or error or suspended or items:
                record = (parent, ident, start, head, end, error, suspended, items)
                if self._take_slowly(slot, record, batch):
                    pending.append(slot)
                slot += 1
                continue
            if marks:
                self._parented.add(parent)
            last_ns = max(last_ns, end)
            places[slot & _SLOT] = child.high | thread
            duration = end - start
            child.durations.append(duration)
            if thread != parent_thread:
                child.elsewhere_ns += duration
            append(
                (base + slot, parent_id, process, child.function, child.path_id, ident,
                 start + offset, end + offset, None, None, None, None)
            )  # fmt: skip
            slot += 1
        self.last_ns = max(last_ns, self.last_ns)
        return pending

    def _take_slowly(self, slot: int, record: tuple[int, ...], batch: Batch) -> bool:
        """Read one record that is not merely a call that ended; say whether its slot is still pending."""
        parent, ident, start, head, end, error, suspended, items = record
        if head == 0:
            return True
        kind = head >> 32 & 0xFF
        if (
            head != HEAD_MARK | kind << 32 | head & SITE_MASK
            or not FUNCTION <= kind <= IMPORT
            or parent >= slot
            or max(start, end, suspended, items) >= TIME_LIMIT
            or max(ident, error) >> 63
            or (end and end < start)
        ):
            self.bad += 1
            return False
        parent_id, parent_node, parent_thread = self._resolve(parent, slot)
        if parent and parent_node.path is None and self._puts_off(slot, parent):
            return True
        node = self._child(parent_node, head)
        if node is None:
            return True
        thread = self._places.thread(ident)
        self._places.put(slot, node.high, thread)
        away = thread != parent_thread
        span = OpenSpan(node, parent, parent_id, away, ident, start)
        self.last_ns = max(self.last_ns, start, end)
        if parent_node.is_import and not node.is_import:
            self._parented.add(parent)
        if end and not self._is_early(end):
            return self._end(slot, span, end, error, suspended, items, batch)
        self._open[slot] = span
        assert node.path is not None, "only the root has none"
        node.path.open += 1
        self._calls.touch(node.path)
        batch.open(self._row(slot, span, None, None, None, None, None))
        return True

    def _is_early(self, end: int) -> bool:
        """Say whether a call that ended at *end* has to wait: calls within it may not have been read yet."""
        if end <= self.horizon_ns:
            return False
        self.early_ns = min(self.early_ns, end)
        return True

    def _puts_off(self, slot: int, parent: int) -> bool:
        """Say whether the record in *slot* has to wait for its *parent*, which is not known; not for ever."""
        while parent in self._dropped:
            parent = self._dropped[parent]
        tries = self._put_off.pop(slot, 0) + 1
        if not parent or tries > _MOST_TRIES:
            return False
        self._put_off[slot] = tries
        return True

    def _end(
        self,
        slot: int,
        span: OpenSpan,
        end: int,
        error: int,
        suspended: int,
        items: int,
        batch: Batch,
    ) -> bool:
        """Settle a record that has ended; True: not yet, it is an import that is held."""
        if span.node.is_import:
            if end - span.start_ns < SHORT_IMPORT_NS:
                self._held[slot] = (span, end, error)
                return True
            self._parented.discard(slot)
            self._mark(span.parent)
        self._emit(slot, span, end, error, suspended, items, None, batch)
        return False

    def _mark(self, parent: int) -> None:
        """Something ran inside *parent*; that matters if it is an import."""
        _, node, _ = self._resolve(parent, parent + 1)
        if node.is_import:
            self._parented.add(parent)

    def _emit(
        self,
        slot: int,
        span: OpenSpan,
        end: int,
        error: int,
        suspended: int,
        items: int,
        cause: str | None,
        batch: Batch,
    ) -> None:
        node, duration = span.node, end - span.start_ns
        suspended = min(suspended, duration)
        node.durations.append(duration)
        node.suspended_ns += suspended
        node.items += items
        if span.away:
            node.elsewhere_ns += duration - suspended
        error_id = None
        if error:
            node.errors += 1
            error_id = error if cause else self._find_error(error)
        if not node.is_generator:
            batch.spans.append(self._row(slot, span, end, error_id, None, None, cause))
        else:
            batch.spans.append(self._row(slot, span, end, error_id, suspended, items, cause))

    def _row(
        self,
        slot: int,
        span: OpenSpan,
        end: int | None,
        error: int | None,
        suspended: int | None,
        items: int | None,
        cause: str | None,
    ) -> tuple[Any, ...]:
        node, offset = span.node, self._offset
        return (
            self.base + slot, span.parent_id, self.process, node.function, node.path_id, span.ident,
            span.start_ns + offset, None if end is None else end + offset, error, suspended, items, cause,
        )  # fmt: skip

    def take_again(
        self, chunk: int, data: bytes, slots: Iterable[int], batch: Batch
    ) -> tuple[list[int], bool]:
        """Read pending *slots* of *chunk*, whose records are *data*; return what stays pending, and if any changed."""
        words = memoryview(data).cast("Q")
        pending: list[int] = []
        changed = False
        first = chunk << CHUNK_BITS
        for slot in slots:
            at = (slot - first) << 3
            if at + 8 > len(words):
                pending.append(slot)  # the file is shorter than it was
                continue
            span = self._open.get(slot)
            if span is None:
                stays = slot in self._held or self._take_slowly(
                    slot, tuple(words[at : at + 8]), batch
                )
                changed = changed or not stays or slot in self._open or slot in self._put_off
            elif not words[at + HEAD]:
                self._forget(slot, batch)
                stays = changed = True
            elif words[at + ENDED] and not self._is_early(words[at + ENDED]):
                self._forget(slot, batch)
                stays = self._end_open(slot, span, words[at : at + 8], batch)
                changed = True
            else:
                stays = True
            if stays:
                pending.append(slot)
        return pending, changed

    def _end_open(self, slot: int, span: OpenSpan, words: memoryview, batch: Batch) -> bool:
        end, error, suspended, items = words[ENDED], words[ERROR], words[SUSPENDED], words[ITEMS]
        if max(end, suspended, items) >= TIME_LIMIT or end < span.start_ns or error >> 63:
            self.bad += 1
            return False
        self.last_ns = max(self.last_ns, end)
        return self._end(slot, span, end, error, suspended, items, batch)

    def _forget(self, slot: int, batch: Batch) -> None:
        """Take *slot* off the open spans: it ended, or its call was undone before its body began."""
        span = self._open.pop(slot)
        assert span.node.path is not None, "only the root has none"
        span.node.path.open -= 1
        self._calls.touch(span.node.path)
        batch.close(self.base + slot)

    # Ends

    def release_imports(self, batch: Batch) -> list[int]:
        """All that is there has been read: settle the short imports; return their slots. Children come first."""
        settled = sorted(self._held, reverse=True)
        for slot in settled:
            span, end, error = self._held.pop(slot)
            if slot in self._parented:
                self._parented.discard(slot)
                self._mark(span.parent)
                self._emit(slot, span, end, error, 0, 0, None, batch)
            else:
                self._dropped[slot] = span.parent
        return settled

    def span_of(self, slot: int) -> int | None:
        """Return the id of the span in *slot*, the process's for 0; None if its record has not been read."""
        while slot in self._dropped:
            slot = self._dropped[slot]
        if slot == 0:
            return self.process_span
        span, node, _ = self._resolve(slot, slot + 1)
        return None if node is self._root else span

    def open_slots(self) -> list[int]:
        """Return the slots of the spans that are open."""
        return sorted(self._open)

    def close(
        self, end_ns: int, cause: str, error: int, records: dict[int, tuple[int, ...]], batch: Batch
    ) -> None:
        """End what is open: its process ended, or executes another program, at *end_ns*, because of *cause*.

        *error* is an errors.id, 0 for none; *records* are those of the open slots, as far as they could be read.
        """
        for slot in self.open_slots():
            span = self._open[slot]
            record = records.get(slot, (0,) * 8)
            suspended, items = (min(record[field], TIME_LIMIT - 1) for field in (SUSPENDED, ITEMS))
            self._forget(slot, batch)
            self._emit(
                slot, span, max(end_ns, span.start_ns), error, suspended, items, cause, batch
            )

    def fold(self) -> None:
        """Add what was read to the totals of the paths."""
        self._calls.fold(self.nodes)

    # Going on where an agent before us stopped

    def restore(self, slot: int, path: int, ident: int) -> None:
        """Know the place of a span that an agent before us put into the history."""
        node = self._by_path.get(path)
        known = self._calls.by_id(path) if node is None else None
        if known is not None:
            node = self._node(known, self._calls.kind(known.function))
        if node is not None:
            self._places.put(slot, node.high, self._places.thread(ident))

    def restore_parent(self, slot: int) -> None:
        """Know that something ran inside *slot*, which was not settled yet."""
        self._parented.add(slot)
