"""The deliveries of a run: one for each destination, from where an agent before us stopped."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from rheostat_agent.configuration.otel import read_batch
from rheostat_agent.export.delivery import Delivery
from rheostat_agent.export.queue import Sending
from rheostat_agent.export.transport import open_transport
from rheostat_agent.history.query import OPEN, DeliveryState
from rheostat_agent.resource import keep_attributes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from rheostat_agent.configuration.destination import Destination
    from rheostat_agent.configuration.otel import Limits
    from rheostat_agent.rundirectory import RunInfo


def sending_of(
    info: RunInfo, kept: str | None, policy: str, limits: Limits, environ: Mapping[str, str]
) -> tuple[str, Sending]:
    """Return what is sent of a run, and its resource as it is to be kept; *kept*: as it was."""
    resource, attributes = keep_attributes(kept, info, dict(environ))
    parent = int(info.parent.split("-")[2], 16) if info.parent else None
    return resource, Sending(
        trace_id=int(info.trace_id, 16),
        parent=parent,
        trace_state=info.trace_state or "",
        resource=attributes,
        policy=policy,
        pending_s=info.pending_s,
        limits=limits,
    )


class Deliveries:
    """All deliveries of one run."""

    def __init__(
        self,
        directory: str,
        destinations: list[Destination],
        sending: Sending,
        kept: list[DeliveryState],
        environ: Mapping[str, str],
        warn: Callable[[str], None],
        console: int | None = None,
    ) -> None:
        """*kept*: what an agent before us kept; what a destination refused for good is not offered again.

        *console*: the descriptor that the destination of that name writes to.
        """
        states = {state.destination: state for state in kept}
        self.all: list[Delivery] = []
        for each in destinations:
            batching = read_batch(environ, warn, each.signal)
            state = states.get(each.name) or DeliveryState(each.name)
            transport = partial(open_transport, each, console)
            self.all.append(Delivery(directory, each, sending, state, batching, transport))
        self._told: dict[str, DeliveryState] = {}
        for delivery in self.all:
            if delivery.state.state == OPEN:
                delivery.start()

    def tell(self, spans: int, all_is_there: bool) -> None:
        """There are *spans* in the history; *all_is_there*: and nothing will be added."""
        for each in self.all:
            each.tell(spans, all_is_there)

    def changed(self) -> Iterator[DeliveryState]:
        """Yield the states that are to be kept, because they changed since the last time."""
        for each in self.all:
            state = each.state
            if self._told.get(state.destination) != state:
                self._told[state.destination] = state
                yield state

    def failures(self) -> dict[str, str]:
        """Return what is wrong, by destination."""
        found = {each.destination.name: each.failure or each.state.reason for each in self.all}
        return {name: text for name, text in found.items() if text}

    @property
    def is_over(self) -> bool:
        """Say whether nothing more will be sent."""
        return all(each.is_over for each in self.all)

    @property
    def sent(self) -> int:
        """Return how many were acknowledged, in all."""
        return sum(each.state.sent for each in self.all)

    @property
    def omitted(self) -> str:
        """Return what the policy left out, as `meta` keeps it: calls and nanoseconds."""
        calls, duration_ns = max(each.omitted for each in self.all)
        return f"{calls} {duration_ns}"

    def stop(self, timeout_s: float) -> None:
        """Let present requests finish, for *timeout_s* seconds at most."""
        deadline = time.monotonic() + timeout_s
        for each in self.all:
            each.stop(max(0.1, deadline - time.monotonic()))
