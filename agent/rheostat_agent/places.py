"""Places: of each slot of an image its node and its thread, which is what the slot's children need to know of it.

Both are 32 bits, side by side in an array of 64 bits for each chunk. Memory is bounded: beyond MAX_CHUNKS the oldest
chunk is forgotten; children that its calls may still get hang below the process then, unless the call is open.
"""

from __future__ import annotations

from array import array

from rheostat.spool.layout import CHUNK_BITS, CHUNK_SLOTS

MAX_CHUNKS = 4096  # of one image: 32 MiB
MAX_THREADS = 100_000
_SLOT = CHUNK_SLOTS - 1


class Places:
    """The places of one image. A place of 0 is not known; the nodes of calls begin at 1."""

    __slots__ = ("_chunks", "_threads")

    def __init__(self) -> None:
        self._chunks: dict[int, array[int]] = {}
        self._threads: dict[int, int] = {}

    def thread(self, ident: int) -> int:
        """Return the number of the thread *ident*; those beyond MAX_THREADS share one."""
        known = self._threads.get(ident)
        if known is None:
            known = len(self._threads)
            if known < MAX_THREADS:
                self._threads[ident] = known
        return known

    def chunk(self, slot: int) -> array[int]:
        """Return the places of the chunk that holds *slot*, to be read and written by slot modulo CHUNK_SLOTS."""
        number = slot >> CHUNK_BITS
        places = self._chunks.get(number)
        if places is None:
            if len(self._chunks) >= MAX_CHUNKS:
                del self._chunks[next(iter(self._chunks))]
            places = self._chunks[number] = array("Q", bytes(8 << CHUNK_BITS))
        return places

    def put(self, slot: int, high: int, thread: int) -> None:
        """Note the place of *slot*: the node's `high`, and the number of the thread."""
        self.chunk(slot)[slot & _SLOT] = high | thread

    def get(self, slot: int) -> int:
        """Return the place of *slot*, 0 if it is not known."""
        places = self._chunks.get(slot >> CHUNK_BITS)
        return places[slot & _SLOT] if places else 0
