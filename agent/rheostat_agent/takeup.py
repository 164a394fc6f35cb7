"""Taking up a run: from its beginning, or where an agent before us was killed. What that one committed is not read again."""

from __future__ import annotations

from bisect import bisect_right

from rheostat_agent.history.writer import HistoryWriter, Resumption
from rheostat_agent.images import Cursor, Image
from rheostat_agent.lifetimes import (
    Life,
    Process,
    Watch,
    read_boot_id,
    watch_again,
    watch_program,
)
from rheostat_agent.rundirectory import RunInfo
from rheostat_agent.runreader import RunReader

TYPE_CHECKING = False  # typing takes longer than the rest of the start
if TYPE_CHECKING:
    from typing import Any


def take_up(directory: str, info: RunInfo, history: HistoryWriter) -> RunReader:
    """Return a reader of the run in *directory*, ready for its first round. Raises OSError."""
    reader = RunReader(directory, info, history)
    is_same_boot = info.boot_id == read_boot_id()
    if history.is_new():
        _begin(reader, is_same_boot)
    else:
        _go_on(reader, history.read_back(), is_same_boot)
    return reader


def _begin(reader: RunReader, is_same_boot: bool) -> None:
    info = reader.info
    program = Process(
        id=1,
        span_id=int(info.root_span_id, 16),
        parent_span_id=None,
        start_ns=info.started_ns,
        pid=info.pid,
        name=info.workflow,
        executable=info.executable,
        cwd=info.cwd,
    )
    watch = watch_program(info.pid, info.started_mono_ns) if is_same_boot else None
    _add(reader, program, watch)
    reader.joiner.batch.processes[1] = program.row()


def _add(reader: RunReader, process: Process, watch: Watch | None) -> Life:
    reader.joiner.processes[process.id] = process
    life = Life(process, watch, is_dead=watch is None)
    reader.lives.add(life)
    return life


def _go_on(reader: RunReader, read: Resumption, is_same_boot: bool) -> None:
    joiner = reader.joiner
    reader.calls.restore(read.functions, read.paths)
    joiner.last_error, reader.spans = read.errors, read.spans
    joiner.last_loss = max((row[0] for row in read.losses), default=0)
    reader.restore_losses(read.losses)
    reader.restore_done(read.done)
    for span in read.open:  # those that are still open are found again, and told anew
        joiner.batch.close(span)
    for what, name in read.skipped:
        joiner.know_skipped(what, name)
    watches = _watches(read.images) if is_same_boot else {}
    lives: dict[int, Life] = {}
    for row in read.processes:
        process = Process(*row)
        joiner.processes[process.id] = process
        if process.end_ns is None:
            watch = watches.get(process.id)
            if watch is None and process.id == 1 and is_same_boot:
                watch = watch_program(reader.info.pid, reader.info.started_mono_ns)
            lives[process.id] = _add(reader, process, watch)
    for row in read.images:
        _take_up_image(reader, row, read, lives)
    reader.find_files()
    _restore_places(reader)


def _watches(images: list[tuple[Any, ...]]) -> dict[int, Watch | None]:
    """Return watches of the processes of *images*, rows of the table, that still live."""
    watches: dict[int, Watch | None] = {}
    for _, process, pid, _, start_ticks, *_ in images:
        if start_ticks is not None and not watches.get(process):
            watches[process] = watch_again(pid, start_ticks)
    return watches


def _take_up_image(
    reader: RunReader, row: tuple[Any, ...], read: Resumption, lives: dict[int, Life]
) -> None:
    base, process, dropped = row[0], row[1], row[8]
    image = reader.image(base)
    image.dropped = image.dropped_told = dropped
    known = reader.joiner.processes[process]
    image.life = lives.get(process) or Life(known, is_dead=True)
    image.events_read = dict(read.event_files.get(base, ()))
    image.cursors = {
        number: Cursor(frontier, pending, lost)
        for number, frontier, pending, lost in read.segments.get(base, ())
    }
    reader.joiner.of_image[base] = known


def _restore_places(reader: RunReader) -> None:
    """Have the streams know the spans that were committed: children of theirs may not have been read yet."""
    images: list[Image] = sorted(reader.images.values(), key=lambda image: image.base)
    pending = {
        image.base + slot
        for image in images
        for cursor in image.cursors.values()
        for slot in cursor.pending
    }
    for image in images:
        image.read_events()
    bases = [image.base for image in images]
    for span, parent, path, thread in reader.history.places():
        at = bisect_right(bases, span) - 1
        stream = images[at].stream if at >= 0 else None
        if stream is None:
            continue
        stream.restore(span - stream.base, path, thread)
        if parent in pending:
            stream.restore_parent(parent - stream.base)
