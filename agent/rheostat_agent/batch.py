"""A batch: everything that one transaction of the history adds, gathered as rows."""

from __future__ import annotations

TYPE_CHECKING = False  # typing takes longer than the rest of the start
if TYPE_CHECKING:
    from typing import Any

    Row = tuple[Any, ...]


class Batch:
    """Rows by table. What is in `processes`, `images`, `segments`, `event_files` and `deliveries` replaces rows of the same key."""

    __slots__ = (
        "arguments", "closed", "deliveries", "errors", "event_files", "functions", "images", "losses", "meta", "notes", "opened", "paths",
        "processes", "removed_segments", "segments", "skipped", "spans", "threads",
    )  # fmt: skip

    def __init__(self) -> None:
        self.spans: list[Row] = []
        self.opened: dict[int, Row] = {}  # rows of open_spans by span id
        self.closed: list[int] = []  # span ids that leave open_spans
        self.functions: list[Row] = []
        self.paths: list[Row] = []
        self.errors: list[Row] = []
        self.arguments: list[Row] = []
        self.threads: list[Row] = []
        self.skipped: list[Row] = []
        self.notes: list[Row] = []
        self.losses: dict[int, Row] = {}  # by rowid
        self.processes: dict[int, Row] = {}
        self.images: dict[int, Row] = {}
        self.segments: dict[tuple[int, int], Row] = {}
        self.removed_segments: list[tuple[int, int]] = []
        self.event_files: dict[tuple[int, int], Row] = {}
        self.deliveries: dict[str, Row] = {}  # by destination
        self.meta: dict[str, Any] = {}

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
