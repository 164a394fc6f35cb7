"""--max-spans, as the history keeps it: calls beyond it are counted, their spans not kept.

Spans that were open when the limit was reached are kept whenever they end: they are what the others hang below, `main` among
them. So a run keeps as many spans as it may, and those that were open then, however late the agent reads the files of another
process.
"""

from __future__ import annotations

from operator import itemgetter

from rheostat_agent.batch import Batch

TYPE_CHECKING = False  # typing takes longer than the rest of the start
if TYPE_CHECKING:
    from typing import Any

REASON = "--max-spans is reached: calls are counted, their spans not kept"
_START, _END = 6, 7  # of a row of `spans`
END_OF = itemgetter(_END)


class SpanLimit:
    """The limit of one run; 0: none."""

    def __init__(self, most: int) -> None:
        self.over = 0  # calls whose spans were not kept
        self._most = most
        self._loss = 0  # rowid in `losses`; 0: not reached
        self._reached_ns = 0

    def restore(self, number: int, reached_ns: int, over: int) -> None:
        """Take up what an agent before us committed: the row *number* of `losses`."""
        self._loss, self._reached_ns, self.over = number, reached_ns, over

    def cut(self, batch: Batch, so_far: int, next_loss: int) -> bool:
        """Take out of *batch*, whose spans are in the order of their ends, what is over the limit, *so_far* being kept.

        Say whether *next_loss* was used for it.
        """
        room = max(0, self._most - so_far)
        if not self._most or len(batch.spans) <= room:
            return False
        is_new = not self._loss
        if is_new:
            self._loss = next_loss
            self._reached_ns = batch.spans[room][_END]
        before = len(batch.spans)
        batch.spans[room:] = [row for row in batch.spans[room:] if self._was_open(row)]
        self.over += before - len(batch.spans)
        batch.losses[self._loss] = (None, self._reached_ns, REASON, self.over)
        return is_new

    def _was_open(self, row: tuple[Any, ...]) -> bool:
        return bool(row[_START] < self._reached_ns < row[_END])
