"""A batch: everything that one transaction of the history adds, gathered as rows."""

from dataclasses import dataclass, field
from typing import Any

Row = tuple[Any, ...]


@dataclass(slots=True)
class Batch:
    """Rows by table. What is in `processes`, `images`, `segments` and `event_files` replaces rows of the same key."""

    spans: list[Row] = field(default_factory=list)
    opened: dict[int, Row] = field(default_factory=dict)  # rows of open_spans by span id
    closed: list[int] = field(default_factory=list)  # span ids that leave open_spans
    functions: list[Row] = field(default_factory=list)
    paths: list[Row] = field(default_factory=list)
    errors: list[Row] = field(default_factory=list)
    threads: list[Row] = field(default_factory=list)
    skipped: list[Row] = field(default_factory=list)
    notes: list[Row] = field(default_factory=list)
    losses: dict[int, Row] = field(default_factory=dict)  # by rowid
    processes: dict[int, Row] = field(default_factory=dict)
    images: dict[int, Row] = field(default_factory=dict)
    segments: dict[tuple[int, int], Row] = field(default_factory=dict)
    removed_segments: list[tuple[int, int]] = field(default_factory=list)
    event_files: dict[tuple[int, int], Row] = field(default_factory=dict)
    meta: dict[str, Any] = field(default_factory=dict)

    def is_empty(self) -> bool:
        """Say whether there is nothing to write."""
        return not any(getattr(self, name) for name in self.__slots__)

    def open(self, row: Row) -> None:
        """Show the span of *row* as open."""
        self.opened[row[0]] = row

    def close(self, span: int) -> None:
        """Show *span* as open no longer."""
        if self.opened.pop(span, None) is None:
            self.closed.append(span)
