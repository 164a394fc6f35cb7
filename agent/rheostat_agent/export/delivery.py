"""Delivery to one destination, in a thread of the agent, while the program runs and until the backend has it all.

Each destination has its own queue, cursor and thread: a dead one does not hold another. What becomes of a request follows the
rules of OTLP (opentelemetry-proto, docs/specification.md): what cannot be taken now is sent again, after a pause that grows;
what is refused is not, and stays in the history.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from rheostat_agent.configuration.destination import LOGS
from rheostat_agent.export import outcome
from rheostat_agent.export.backoff import Backoff
from rheostat_agent.history.query import (
    ABSENT,
    DONE,
    OPEN,
    REFUSED,
    DeliveryState,
    HistoryMissing,
    open_history,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from rheostat_agent.configuration.destination import Destination
    from rheostat_agent.configuration.otel import Batching
    from rheostat_agent.export.outcome import Outcome
    from rheostat_agent.export.queue import Queue, Request, Sending
    from rheostat_agent.export.transport import Transport

_LOOK_S = 1.0  # between looks at a history of which nobody said that it has grown
_FEWEST = 16  # items that a request shrinks to, for a backend that does not keep up
_MOST_REFUSED = 3  # requests in a row: so are the others


class Delivery:
    """The delivery of one run to one destination."""

    def __init__(
        self,
        directory: str,
        destination: Destination,
        sending: Sending,
        state: DeliveryState,
        batching: Batching,
        open_transport: Callable[[], Transport],
    ) -> None:
        """*state*: as it was kept. Nothing is opened before `start`."""
        self.destination = destination
        self.state = state  # replaced, never changed: other threads look at it
        self.failure = ""  # of ours
        self.omitted = (0, 0)  # calls that the policy left out, and their time in nanoseconds
        self._directory = directory
        self._sending = sending
        self._most = self._present_most = batching.most
        self._delay_s = batching.delay_s  # that a request which is not full is waited for
        self._open_transport = open_transport
        self._refused_in_a_row = 0
        self._behind: int | None = (
            None  # all that were waiting when they were counted; None: they were not
        )
        self._dealt_with = 0  # since then
        self._transport: Transport | None = None
        self._wake = threading.Condition()
        self._is_stopping = self._all_is_there = False
        self._told = 0  # spans in the history, when we were last woken
        self._thread = threading.Thread(target=self._run, name="delivery", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    @property
    def is_over(self) -> bool:
        """Say whether nothing more will be sent: all is acknowledged or refused, or something of ours failed."""
        if self._thread.ident is None:  # not begun: there was nothing to do
            return self.state.state != OPEN
        return not self._thread.is_alive()

    def tell(self, spans: int, all_is_there: bool) -> None:
        """There are *spans* in the history; *all_is_there*: and nothing will be added."""
        with self._wake:
            if all_is_there > self._all_is_there or spans - self._told >= self._most:
                self._all_is_there, self._told = all_is_there, spans
                self._wake.notify()

    def stop(self, timeout_s: float) -> None:
        """Let the present request finish, for *timeout_s* seconds at most, and count what is left."""
        with self._wake:
            self._is_stopping = True
            self._wake.notify()
        if self._thread.ident is None:  # there was nothing to do
            return
        self._thread.join(timeout_s)
        transport = self._transport
        if self._thread.is_alive() and transport is not None:
            transport.close()
            self._thread.join(timeout_s)

    # In the thread

    def _run(self) -> None:
        try:
            self._deliver()
        except Exception as error:  # noqa: BLE001  # the supervisor tells it; the spans stay in the history
            self.failure = f"{type(error).__name__}: {error}"

    def _deliver(self) -> None:
        history = self._open()
        if history is None:
            return
        queue = self._queue(history)
        self._transport = self._open_transport()
        backoff = Backoff()
        while not self._is_stopping and self.state.state == OPEN:
            all_is_there = self._all_is_there  # before looking: what comes later is found then
            request = queue.look(self._present_most, all_is_there)
            self._keep(queue)
            if request is None:
                if all_is_there:
                    self._keep(queue, state=DONE)
                else:
                    self._pause(_LOOK_S)
            else:
                found = self._transport.send(request.body)
                self._settle(queue, request, found)
                if found.kind == outcome.LATER:
                    self._hold_back(backoff.next_s(found.after_s), history, queue)
                elif found.kind == outcome.TAKEN:
                    backoff.reset()
                is_full = request.items >= self._present_most
                if found.kind == outcome.TAKEN and not is_full and not all_is_there:
                    self._pause(self._delay_s)
        self._transport.close()
        if self.state.state == REFUSED:  # how many are left is known at the end
            with self._wake:
                self._wake.wait_for(lambda: self._is_stopping or self._all_is_there)
        if self.state.state in (OPEN, REFUSED):
            self._count(history)
            self._keep(queue)
        history.close()

    def _count(self, history: sqlite3.Connection) -> None:
        """Count what is waiting in all, once: the queue itself reads no further ahead than it must."""
        if self._is_to_count:
            whole = self._queue(history)
            whole.survey()
            self._dealt_with = 0
            self._behind = whole.waiting

    def _queue(self, history: sqlite3.Connection) -> Queue:
        from rheostat_agent.export.queue import LogQueue, SpanQueue

        if self.destination.signal == LOGS:
            return LogQueue(self._sending, history, self.state)
        return SpanQueue(self._sending, history, self.state)

    def _open(self) -> sqlite3.Connection | None:
        while not self._is_stopping:
            try:
                return open_history(self._directory)
            except HistoryMissing:
                self._pause(0.1)
        return None

    def _settle(self, queue: Queue, request: Request, found: Outcome) -> None:
        """Do what OTLP asks for, after what became of *request*."""
        if found.kind == outcome.TAKEN:
            self._refused_in_a_row = 0
            self._present_most = min(self._most, self._present_most * 2)
            queue.take_off(request)
            self._keep(
                queue, request, sent=request.items, rejected=min(found.rejected, request.items)
            )
            if found.reason or not self.state.refused:  # else what was refused needs its reason
                self._say(found.reason)
        elif found.kind == outcome.LATER:
            self._say(found.reason)
            self._present_most = max(min(_FEWEST, self._most), self._present_most // 2)
        elif found.kind == outcome.TOO_LARGE and request.items > 1:
            self._present_most = max(1, request.items // 2)
        elif found.kind == outcome.ABSENT and self.destination.signal == LOGS:
            self._say(f"it takes no {self.destination.signal} ({found.reason}): none are sent")
            self._keep(queue, state=ABSENT)
        else:
            self._refuse(queue, request, found)

    def _refuse(self, queue: Queue, request: Request, found: Outcome) -> None:
        """The backend will not take *request*, ever: go on behind it, unless it takes nothing."""
        self._refused_in_a_row += 1
        is_all = found.kind == outcome.ABSENT or found.is_for_all
        if is_all or self._refused_in_a_row >= _MOST_REFUSED:
            self._keep(queue, state=REFUSED)
        else:
            before = self.state.cursor
            queue.take_off(request)
            kept = self.state.refused_from
            self._keep(
                queue,
                request,
                refused=request.items,
                refused_from=before if kept is None else kept,
            )
        self._say(f"refused: {found.reason}")

    def _say(self, reason: str) -> None:
        self.state = DeliveryState(**{**self.state.as_dict(), "reason": reason})

    def _keep(
        self,
        queue: Queue,
        request: Request | None = None,
        sent: int = 0,
        rejected: int = 0,
        refused: int = 0,
        **values: str | int | None,
    ) -> None:
        """Have the state of *queue* as ours, *request* having been dealt with."""
        old = self.state
        processes = old.processes
        if request is not None and request.processes:
            known = {int(word) for word in processes.split()} | request.processes
            processes = " ".join(map(str, sorted(known)))
        waiting = queue.waiting
        if request is not None:
            self._dealt_with += request.parts
        if self._behind is not None:
            waiting = self._behind - self._dealt_with
        changed = {
            "cursor": queue.cursor,
            "processes": processes,
            "sent": old.sent + sent,
            "rejected": old.rejected + rejected,
            "refused": old.refused + refused,
            "waiting": waiting,
            **values,
        }
        self.state = DeliveryState(**{**old.as_dict(), **changed})
        policy = getattr(queue, "policy", None)
        if policy is not None:
            self.omitted = (policy.omitted_calls, policy.omitted_ns)

    def _hold_back(self, seconds: float, history: sqlite3.Connection, queue: Queue) -> None:
        """Wait, whatever comes to be sent meanwhile; but count it as soon as all of it is there."""
        until = time.monotonic() + seconds
        with self._wake:
            self._wake.wait_for(lambda: self._is_stopping or self._is_to_count, seconds)
        if self._is_to_count:
            self._count(history)
            self._keep(queue)
        with self._wake:
            self._wake.wait_for(lambda: self._is_stopping, until - time.monotonic())

    @property
    def _is_to_count(self) -> bool:
        return self._all_is_there and self._behind is None

    def _pause(self, seconds: float) -> None:
        """Wait for more to send."""
        with self._wake:
            if not self._is_stopping:
                self._wake.wait(seconds)
