"""The joiner: what the events of all images say, joined to the run's processes, threads, errors and losses.

Called by images.py with each event, in the order in which an image wrote them. An event that an agent before us had
committed comes again after a restart (*was_read*): it is applied to what is kept in memory, and adds no row.
"""

from __future__ import annotations

from rheostat_agent.batch import Batch
from rheostat_agent.calls import Calls
from rheostat_agent.events import (
    ArgumentsEvent,
    ErrorTypeEvent,
    Event,
    ExceptionEvent,
    ExecEvent,
    LossEvent,
    ModuleEvent,
    NoteEvent,
    ProcessEvent,
    ResumeEvent,
    SkippedEvent,
    ThreadEvent,
)
from rheostat_agent.history.arguments import UNCAPTURED
from rheostat_agent.history.writer import HistoryWriter
from rheostat_agent.images import Image
from rheostat_agent.lifetimes import Life, Lives, Process, watch_new
from rheostat_agent.masking import join_arguments, masked
from rheostat_agent.stream import ImageStream

TYPE_CHECKING = False  # typing takes longer than the rest of the start
if TYPE_CHECKING:
    from typing import Any

CLOCK_JUMP_NS = 1_000_000_000
_MAX_SKIPPED = 100_000
_MAX_NUMBERED = 100_000  # exceptions of one image whose ids are kept in memory


class Joiner:
    """The processes of one run and what they said."""

    def __init__(self, lives: Lives, calls: Calls, history: HistoryWriter, offset_ns: int) -> None:
        """*offset_ns* makes wall times of monotonic ones, for all processes alike."""
        self.batch = Batch()
        self.processes: dict[int, Process] = {}
        self.of_image: dict[int, Process] = {}  # by base
        self.last_error = 0
        self.losses: dict[int, tuple[int, int]] = {}  # by base: its latest loss, and calls so far
        self.lost = 0  # calls counted, not recorded
        self._loss_rows: dict[int, tuple[Any, ...]] = {}
        self.last_loss = 0
        self.notes: list[tuple[str, str]] = []  # severity and text, for the agent's log
        self._images: dict[int, Image] = {}
        self._forked: dict[
            int, list[tuple[Process, int]]
        ] = {}  # by base of the parent: child, slot
        self._lives = lives
        self._calls = calls
        self._history = history
        self.offset_ns = offset_ns
        self._types: dict[tuple[int, int], str] = {}
        self._numbered: dict[int, dict[int, int]] = {}  # by base: exception number → errors.id
        self._typed: dict[tuple[int, int], int] = {}  # (base, type) → errors.id
        self._skipped: set[tuple[str, str]] = set()

    def know_skipped(self, what: str, name: str) -> None:
        """Have it not be told again that *name* is not instrumented."""
        self._skipped.add((what, name))

    def apply(self, image: Image, event: Event, was_read: bool) -> None:
        """Take what *image* said."""
        match event:
            case ProcessEvent():
                self._begin(image, event, was_read)
            case ModuleEvent():
                self._module(image, event, was_read)
            case ErrorTypeEvent():
                self._types[image.base, event.number] = event.name
            case ExecEvent():
                image.exec_ns = event.mono_ns
                image.is_changed = True
                if image.life is not None:
                    image.life.is_executing = True
            case _ if not was_read:
                self._add_row(image, event)

    def _add_row(self, image: Image, event: Event) -> None:
        process = self._process_of(image)
        match event:
            case ThreadEvent() if process is None:  # before the image said what it is
                image.bad_events += 1
            case ThreadEvent():
                since = event.mono_ns + self.offset_ns
                self.batch.threads.append(
                    (process, event.ident, event.native_id, event.name, since)
                )
            case ExceptionEvent():
                self._exception(image, event)
            case ArgumentsEvent():
                self._arguments(image, event)
            case SkippedEvent():
                self.skip(process, event.what, event.name, event.reason)
            case NoteEvent():
                self.note(process, event.severity, event.text)
            case LossEvent():
                self._lose(image, event)
            case ResumeEvent():
                number, _ = self.losses.pop(image.base, (0, 0))
                self._loss_rows.pop(number, None)

    # Processes

    def _process_of(self, image: Image) -> int | None:
        process = self.of_image.get(image.base)
        return process.id if process else None

    def _begin(self, image: Image, event: ProcessEvent, was_read: bool) -> None:
        if image.stream is not None or event.base != image.base:
            image.bad_events += 1
            return
        image.start = event
        self._images[image.base] = image
        if image.base not in self.of_image:
            self._find_process(image, event)
        process = self.of_image[image.base]
        image.stream = ImageStream(
            image.base,
            process.id,
            process.span_id,
            event.name,
            self.offset_ns,
            self._calls,
            lambda word: self._find_error(image, word),
        )
        if not was_read:
            since = event.mono_ns + self.offset_ns
            self.batch.threads.append(
                (process.id, event.main_thread, event.pid, "MainThread", since)
            )
            self._check_clock(process, event)
            image.is_changed = True

    def _find_process(self, image: Image, event: ProcessEvent) -> None:
        """Find the process that *image* continues, or make a new one."""
        life = self._lives.find(event.pid, event.mono_ns, event.generation)
        if life is None:
            lives = self._lives
            watch = watch_new(
                event.pid, event.mono_ns, event.executable, lives.run_directory, lives.since_ns
            )
            life = Life(self._new_process(event), watch)
            life.is_dead = watch is None
            self._lives.add(life)
        process = life.process
        life.is_executing = False
        process.base = process.base or image.base
        process.python, process.executable = event.python, event.executable
        process.argv, process.cwd = join_arguments(masked(event.argv)), event.cwd
        process.name = event.name
        process.ppid, process.generation = event.ppid, event.generation
        image.life = life
        self.of_image[image.base] = process
        self.batch.processes[process.id] = process.row()

    def _new_process(self, event: ProcessEvent) -> Process:
        process = Process(
            id=len(self.processes) + 1,
            span_id=event.base,
            parent_span_id=self._parent_span(event),
            start_ns=event.mono_ns + self.offset_ns,
            pid=event.pid,
        )
        self.processes[process.id] = process
        if event.parent_base:
            self._forked.setdefault(event.parent_base, []).append((process, event.parent_slot))
        return process

    def _parent_span(self, event: ProcessEvent) -> int | None:
        """Return the span of the nearest process of the run above; where a fork happened is told later."""
        above = self._lives.ancestor(event.ppid)
        return above.span_id if above else self.processes[1].span_id

    def place_forked(self, base: int) -> None:
        """Hang the processes that were forked from the image *base* below the spans in which that was done.

        Called until the image is done: what a child refers to may not have been read when the child was found.
        """
        parent = self._images.get(base)
        if parent is None or parent.stream is None:
            return
        waiting = []
        for process, slot in self._forked.pop(base, ()):
            span = parent.stream.span_of(slot)
            process.parent_span_id = parent.stream.process_span if span is None else span
            self.batch.processes[process.id] = process.row()
            if span is None:
                waiting.append((process, slot))
        if waiting:
            self._forked[base] = waiting

    def _check_clock(self, process: Process, event: ProcessEvent) -> None:
        jump = event.wall_ns - event.mono_ns - self.offset_ns
        if abs(jump) > CLOCK_JUMP_NS:
            text = f"the wall clock was {jump / 1e9:+.1f} s off the run's when process {event.pid} began"
            self.note(process.id, "warning", f"{text}; its times are the run's")

    # What they said

    def note(self, process: int | None, severity: str, text: str) -> None:
        """Keep a remark for the run's log."""
        self.notes.append((severity, text))
        self.batch.notes.append((process, None, severity, text))

    def _module(self, image: Image, event: ModuleEvent, was_read: bool) -> None:
        if image.stream is None:
            image.bad_events += 1
            return
        image.stream.sites.add(event)
        if not was_read:
            process = self._process_of(image)
            for name, reason in event.skipped:
                self.skip(process, "function", name, reason)

    def skip(self, process: int | None, what: str, name: str, reason: str) -> None:
        """Keep that *name* is not observed, and why; once."""
        if (what, name) not in self._skipped and len(self._skipped) < _MAX_SKIPPED:
            self._skipped.add((what, name))
            self.batch.skipped.append((process, what, name, reason))

    def count_loss(self, image: Image, calls: int) -> None:
        """Add *calls* that *image* counted and did not record to its latest loss."""
        self.lost += calls
        number, so_far = self.losses.get(image.base, (0, 0))
        if not number:
            self.last_loss += 1
            number = self.last_loss
        row = self.batch.losses.get(number) or self._loss_rows.get(number)
        if row is None:
            row = (self._process_of(image), None, "calls were not recorded", None)
        self.losses[image.base] = number, so_far + calls
        self._loss_rows[number] = self.batch.losses[number] = (*row[:3], so_far + calls)

    def _lose(self, image: Image, event: LossEvent) -> None:
        self.last_loss += 1
        time_ns = event.mono_ns + self.offset_ns
        row = (self._process_of(image), time_ns, event.reason, None)
        self._loss_rows[self.last_loss] = self.batch.losses[self.last_loss] = row
        self.losses[image.base] = self.last_loss, 0

    def _arguments(self, image: Image, event: ArgumentsEvent) -> None:
        if event.slot:
            listed = _as_json(event.values)
            self.batch.arguments.append((image.base + event.slot, listed, event.omitted))
        if event.missed:
            self.batch.meta[f"{UNCAPTURED}{image.base}"] = event.missed

    # Errors

    def _exception(self, image: Image, event: ExceptionEvent) -> None:
        span = image.base + event.slot if event.slot else None
        error = self._add_error(
            image,
            event.number,
            span,
            event.mono_ns + self.offset_ns,
            self._types.get((image.base, event.type), "unknown"),
            event.message,
            event.stack,
        )
        numbered = self._numbered.setdefault(image.base, {})
        if len(numbered) >= _MAX_NUMBERED:
            del numbered[next(iter(numbered))]
        numbered[event.number] = error

    def add_end(self, image: Image, kind: str, message: str, time_ns: int) -> int:
        """Add the error of what a process left open when it ended; return its errors.id."""
        return self._add_error(image, None, None, time_ns, kind, message, [])

    def _add_error(
        self,
        image: Image,
        number: int | None,
        span: int | None,
        time_ns: int | None,
        kind: str,
        message: str | None,
        stack: list[tuple[str, int, str]],
    ) -> int:
        self.last_error += 1
        process = self._process_of(image) or 1
        listed = _as_json(stack) if stack else None
        self.batch.errors.append(
            (self.last_error, process, number, span, time_ns, kind, message, listed, image.base)
        )
        return self.last_error

    def _find_error(self, image: Image, word: int) -> int:
        """Return the errors.id of a record's error word."""
        number, kind = word & 0xFFFFFFFF, word >> 32
        if number:
            known = self._numbered.get(image.base, {}).get(number)
            found = known or self._history.error_id(image.base, number)
            if found is not None:
                return found
        error = self._typed.get((image.base, kind))
        if error is None:
            name = self._types.get((image.base, kind), "unknown")
            # An agent before us may have met it.
            error = self._history.error_of_type(image.base, name)
            error = error or self._add_error(image, None, None, None, name, None, [])
            self._typed[image.base, kind] = error
        return error

    def forget(self, image: Image) -> None:
        """The image is done: nothing refers to it any more."""
        self.place_forked(image.base)
        self._forked.pop(image.base, None)
        self._numbered.pop(image.base, None)
        self._images.pop(image.base, None)


def _as_json(value: Any) -> str:
    import json  # once there is something to write: it is not quick to import

    return json.dumps(value)
