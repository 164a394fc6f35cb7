"""The run reader: rounds over the spool of one run, until all its processes are dead and all they wrote is read.

    round()   looks for new files, reads what is new in them, sees who died, closes what the dead left open, and commits
              all of it to the history as one transaction; then it removes files that have been read to their end.

A round reads a bounded number of records, so that memory stays bounded and the supervisor gets its turn. Where the
history cannot be written now (locked, disk full), the batch is kept, nothing more is read, and the spool goes on growing.
"""

from __future__ import annotations

import os
import time
from math import inf

from rheostat.spool.layout import FULL_NAME
from rheostat_agent.batch import Batch
from rheostat_agent.calls import Calls
from rheostat_agent.endings import cause_of, error_type_of
from rheostat_agent.events import Event
from rheostat_agent.history.writer import HistoryWriter
from rheostat_agent.images import Image
from rheostat_agent.joiner import Joiner
from rheostat_agent.lifetimes import Life, Lives, is_launcher_alive
from rheostat_agent.limits import END_OF, REASON, SpanLimit
from rheostat_agent.outsiders import Outsiders
from rheostat_agent.reader import Spool
from rheostat_agent.rundirectory import ENDED, SPOOL, Ending, RunInfo

TYPE_CHECKING = False  # typing takes longer than the rest of the start
if TYPE_CHECKING:
    from typing import Any

BUDGET = 20_000  # records a round
_MANY_SEGMENTS = 64  # of one image that are open at once
_LOOK_EVERY_S = 1.0  # at the size on disk
_ENDING_WAIT_NS = (
    2_000_000_000  # for the launcher's word on how the program ended, after its end was seen
)


class TooFewDescriptors(Exception):
    """The limit on open files is too low to read the run; nothing is lost."""


class RunReader:
    """Reads one run into its history. takeup.py makes it, from where an agent before us stopped if there was one."""

    def __init__(self, directory: str, info: RunInfo, history: HistoryWriter) -> None:
        """Raises OSError if the spool cannot be opened."""
        self.directory = directory
        self.info = info
        self.history = history
        self.ending: Ending | None = None
        self.spans = 0  # in the history
        self.is_behind = False  # the last round left something unread
        self.size_bytes = 0  # of the run on disk, as of the last look
        self.lives = Lives(directory, info.started_mono_ns)
        self.calls = Calls()
        offset_ns = info.started_ns - info.started_mono_ns
        self.joiner = Joiner(self.lives, self.calls, history, offset_ns)
        self._outsiders = Outsiders(self.lives, self.joiner.skip)
        self.images: dict[int, Image] = {}
        self._spool = Spool(f"{directory}/{SPOOL}")
        self._closing: set[int] = set()  # bases of images that are done with the present batch
        self._closed: set[int] = set()  # … and with those that are committed
        self._limit = SpanLimit(info.max_spans)
        self._looked = -inf
        self._is_removed = False

    # Rounds

    def round(self) -> bool:
        """Read and commit once; say whether there was anything. Raises HistoryBusy: nothing is lost, try again."""
        if not self.joiner.batch.is_empty():
            self.commit()  # it could not be, the last time
        self._look_for_ending()
        self.find_files()
        progress = self._read_images()
        progress = bool(self.lives.find_deaths(time.monotonic_ns())) or progress
        if not progress:
            progress = self._bury()
        self._outsiders.look(all_is_read=not progress)
        self._look_for_removal()
        self._write_changes()
        self.commit()
        self._look_at_size()
        return progress

    def commit(self) -> None:
        """Write what has been gathered, if anything. Raises HistoryBusy."""
        batch = self.joiner.batch
        if batch.is_empty():
            return
        batch.spans.reverse()  # where two end at one moment, the later one in the list is the inner one
        batch.spans.sort(key=END_OF)
        if self._limit.cut(batch, self.spans, self.joiner.last_loss + 1):
            self.joiner.last_loss += 1
        self.history.commit(batch)
        self.spans += len(batch.spans)
        self.joiner.batch = Batch()
        self._closed |= self._closing
        self._closing.clear()
        self._reclaim()

    def find_files(self) -> None:
        """Look which files are there; remove those of images that are done and committed."""
        for image in self.images.values():
            image.is_starved = False
        for name in self._spool.names():
            if name.base in self._closed:
                self._spool.unlink(name)
                continue
            if name.base in self._closing:
                continue
            self.image(name.base).add_file(name)

    def image(self, base: int) -> Image:
        """Return the image *base*, known from here on."""
        image = self.images.get(base)
        if image is None:
            image = self.images[base] = Image(base, self._spool, self._apply)
        return image

    def _apply(self, image: Image, event: Event, was_read: bool) -> None:
        self.joiner.apply(image, event, was_read)

    def _read_images(self) -> bool:
        left, progress, batch = BUDGET, False, self.joiner.batch
        for image in list(self.images.values()):
            is_final = image.exec_ns is not None or (image.life is not None and image.life.is_dead)
            changed, taken = image.read(batch, left, is_final)
            self.joiner.place_forked(image.base)
            progress = progress or changed
            left -= taken
            if left <= 0:
                break
        self.is_behind = left <= 0
        return progress

    # Ends

    def _look_for_ending(self) -> None:
        if self.ending is None:
            try:
                self.ending = Ending.read(f"{self.directory}/{ENDED}")
            except FileNotFoundError:
                return

    def _bury(self) -> bool:
        """Close the images of the dead, all of whose records have been read, and those that exec replaced.

        What could not be opened waits until others are closed. If there are none, an image with many more segments than
        a recorder leaves open is given up; else all is left to an agent that may open more. Raises TooFewDescriptors.
        """
        starved = [image for image in self.images.values() if image.is_starved]
        fed = [image for image in self.images.values() if not image.is_starved]
        if self._bury_images(fed):
            return True
        if not starved or self.lives.living():
            return False
        nameless = [image for image in fed if image.stream is None]
        for image in nameless:
            self._close(image, 0, "ended", None)
        if nameless:
            return True
        greedy = max(starved, key=lambda image: len(image.segments))
        if len(greedy.segments) < _MANY_SEGMENTS:
            raise TooFewDescriptors("too few descriptors to read this run: a later command goes on")
        greedy.bad.append("some of its files could not be opened: too few descriptors")
        return self._bury_images([greedy])

    def _bury_images(self, images: list[Image]) -> bool:
        buried = False
        latest = self._latest_images()
        is_deserted = self.program_is_over() and not self.lives.living()
        for image in images:
            life = image.life
            if life is None:
                if is_deserted:  # it never told what it is, and nobody is left who could
                    self._close(image, 0, "ended", None)
                    buried = True
            elif latest[life.process.id] is not image:
                after = latest[life.process.id].start
                end_ns = image.exec_ns or (after.mono_ns if after else 0)
                self._close(image, end_ns, "exec", None)
                buried = True
            elif life.is_dead and self._has_ended(life, image.latest_ns()):
                self._close(image, *self._end_of(life, image))
                buried = True
        for life in self.lives.dead():
            if life.process.id not in latest and self._has_ended(life, 0):
                self.lives.forget(life)
                buried = True
        return buried

    def _latest_images(self) -> dict[int, Image]:
        """Return the image that each process executes now, by number of the process."""
        latest: dict[int, Image] = {}
        for image in self.images.values():
            if image.life is None or image.start is None:
                continue
            known = latest.get(image.life.process.id)
            if known is None or (known.start and known.start.mono_ns < image.start.mono_ns):
                latest[image.life.process.id] = image
        return latest

    def _has_ended(self, life: Life, latest_ns: int) -> bool:
        """Settle when and how the process of *life* ended; False: the launcher may still tell."""
        process = life.process
        if process.end_ns is not None:
            return True
        if process.id == 1:
            if self.ending is None and not self._may_give_up(life):
                return False
            ending = self.ending
            if ending is not None:
                process.exit_code, process.signal = ending.exit_code, ending.signal
                process.user_s, process.system_s = ending.user_s, ending.system_s
                process.max_rss_bytes = ending.max_rss_bytes
                life.died_ns = ending.ended_mono_ns
        end_ns = (life.died_ns or latest_ns) + self.joiner.offset_ns
        process.end_ns = max(end_ns, process.start_ns)
        if process.id == 1 and process.base is None:
            self._say_unobserved()
        process.cause = cause_of(process.exit_code, process.signal)
        self.joiner.batch.processes[process.id] = process.row()
        return True

    def _say_unobserved(self) -> None:
        """Say why nothing is known of what went on in the program itself."""
        name = self.info.executable.rpartition("/")[2]
        reason = "not a Python interpreter: its process alone is known"
        if name.startswith(("python", "pypy")):
            reason = "its interpreter runs without site and environment (-I, -E, -S), or is not supported"
        self.joiner.skip(1, "process", name, reason)

    def _may_give_up(self, life: Life) -> bool:
        """Say whether no more will be told of how the program ended."""
        if time.monotonic_ns() - (life.died_ns or 0) < _ENDING_WAIT_NS:
            return False
        if is_launcher_alive(self.info.launcher_pid, self.info.started_mono_ns):
            return False
        self._look_for_ending()  # what it told after our last look, before it ended itself
        return True

    def _end_of(self, life: Life, image: Image) -> tuple[int, str, str | None]:
        """Return when, why and with which error.type the open calls of *image* end."""
        process = life.process
        return (
            life.died_ns or image.latest_ns(),
            process.cause or "ended",
            error_type_of(process.exit_code, process.signal),
        )

    def _close(self, image: Image, end_ns: int, cause: str, kind: str | None) -> None:
        error = 0
        if kind is not None and image.stream is not None and image.stream.open_slots():
            time_ns = end_ns + self.joiner.offset_ns
            error = self.joiner.add_end(image, kind, f"the process {cause}", time_ns)
        self._count_bad(image)
        image.close(end_ns, cause, error, self.joiner.batch)
        self._write_image(image)
        image.close_files()
        self.joiner.forget(image)
        self._closing.add(image.base)
        del self.images[image.base]

    def _count_bad(self, image: Image) -> None:
        process = self.joiner.of_image.get(image.base)
        number = process.id if process else None
        bad = image.bad_events + (image.stream.bad if image.stream else 0)
        if image.is_torn():
            self.joiner.note(number, "info", "the last event of a process was cut off at its end")
        if bad:
            self.joiner.note(number, "warning", f"{bad} records or events could not be read")
        for text in image.bad:
            self.joiner.note(number, "warning", text)

    # Rows

    def _write_changes(self) -> None:
        for image in self.images.values():
            self._write_image(image)
        functions, paths = self.calls.drain()
        self.joiner.batch.functions += functions
        self.joiner.batch.paths += paths

    def _write_image(self, image: Image) -> None:
        start, life, batch = image.start, image.life, self.joiner.batch
        if start is None:
            return
        process = self.joiner.of_image[image.base].id
        if image.is_changed:
            ticks = life.watch.start_ticks if life and life.watch else None
            batch.images[image.base] = (
                image.base, process, start.pid, start.generation, ticks, start.mono_ns, image.exec_ns,
                image.latest_ns(), image.dropped, int(image.is_done),
            )  # fmt: skip
            image.is_changed = False
        if image.dropped > image.dropped_told:
            self.joiner.count_loss(image, image.dropped - image.dropped_told)
            image.dropped_told = image.dropped
        for number, state in image.segments.items():
            if state.is_changed:
                batch.segments[image.base, number] = state.row()
                state.is_changed = False
        for number, file in image.event_files.items():
            if file.offset != image.events_read.get(number):
                image.events_read[number] = file.offset
                batch.event_files[image.base, number] = (image.base, number, file.offset)

    def restore_done(self, bases: list[int]) -> None:
        """Know the images that an agent before us had read to their end: it may not have removed all of their files."""
        self._closed |= set(bases)

    def restore_losses(self, rows: list[tuple[Any, ...]]) -> None:
        """Take up the rows (rowid, process, time, reason, count) of `losses` that an agent before us committed."""
        for number, _, time_ns, reason, calls in rows:
            if reason == REASON:
                self._limit.restore(number, time_ns, calls)
            else:
                self.joiner.lost += calls or 0

    def lost(self) -> int:
        """Return how many calls were counted whose spans are not kept."""
        return self.joiner.lost + self._limit.over

    # Space

    def _reclaim(self) -> None:
        """Remove the segments that have been read to their end, now that this is committed."""
        for image in self.images.values():
            last = max(image.segments, default=0)
            for number, state in list(image.segments.items()):
                if number != last and state.is_settled():
                    state.segment.close()
                    self._spool.unlink(state.segment.name)
                    del image.segments[number]
                    self.joiner.batch.removed_segments.append((image.base, number))

    def _look_for_removal(self) -> None:
        """Say once that somebody removed the spool."""
        if not self._is_removed and self._spool.is_removed():
            self._is_removed = True
            text = "the spool was removed: what had not been read, and is recorded from here on, is lost"
            self.joiner.note(None, "error", text)

    def _look_at_size(self) -> None:
        """Have recording stop where the run has reached --max-disk, and go on when there is room again."""
        now = time.monotonic()
        if now - self._looked < _LOOK_EVERY_S:
            return
        self._looked = now
        files = (f"{self.history.path}{end}" for end in ("", "-wal"))
        kept = sum(os.stat(file).st_size for file in files if os.path.exists(file))
        self.size_bytes = kept + self._spool.size()
        if self.info.max_disk:
            self._spool.set_mark(FULL_NAME, self.size_bytes > self.info.max_disk)

    # What is left

    def unread(self) -> int:
        """Return about how many records have not been read yet."""
        total = 0
        for image in self.images.values():
            states = sorted(image.segments.values(), key=lambda state: state.segment.first)
            for state in states:
                left = state.segment.slots - state.frontier
                total += left if state is not states[-1] else left // 2
        return total

    def program_is_over(self) -> bool:
        """Say whether the program itself ended, and all it wrote has been read."""
        program = self.joiner.processes[1]
        return program.end_ns is not None and not any(
            image.life is not None and image.life.process is program
            for image in self.images.values()
        )

    def is_over(self) -> bool:
        """Say whether all processes have ended, and all they wrote has been read."""
        return self.program_is_over() and not self.images and not self.lives.living()

    def close(self) -> None:
        """Close all files."""
        for image in self.images.values():
            image.close_files()
        self._spool.close()
