"""What leaves the machine, as the agent sees it: which spans, to which destinations, and how far that has come.

Where a run was to go is decided when it is started. A later agent delivers to those of these destinations that its environment
names too: another project's backend never gets the run.
"""

from __future__ import annotations

import os
import time
from math import inf

from rheostat_agent.configuration.destination import CONSOLE
from rheostat_agent.configuration.otel import is_sampled, read_destinations, read_limits
from rheostat_agent.export.policy import ALL, DEFAULT, NONE
from rheostat_agent.history.query import DeliveryState
from rheostat_agent.history.usual import is_slow

TYPE_CHECKING = False  # typing takes longer than the rest of the start
if TYPE_CHECKING:
    from collections.abc import Callable

    from rheostat_agent.agentprocess import Channel, Log
    from rheostat_agent.configuration.destination import Destination
    from rheostat_agent.export.deliveries import Deliveries
    from rheostat_agent.history.writer import HistoryWriter
    from rheostat_agent.runreader import RunReader

GRACE_S = 30.0  # for a backend that takes nothing, after all else is done
_STOP_S = 5.0  # for requests that are on their way
_POLICY, _RESOURCE, _OMITTED = "export", "resource", "omitted"  # keys in `meta`


class Outbound:
    """The deliveries of the run that an agent reads."""

    def __init__(
        self, reader: RunReader, history: HistoryWriter, channel: Channel, log: Log
    ) -> None:
        self._reader = reader
        self._history = history
        self._channel = channel
        self._log = log
        self._environ = dict(os.environ)
        self._states = {state.destination: state for state in history.read_deliveries()}
        self._is_left_out = False  # by the sampler
        self._destinations = self._find()
        self._deliveries: Deliveries | None = None
        self._sent = 0
        self._said: dict[str, str] = {}  # what was wrong, by destination

    def _find(self) -> list[Destination]:
        """Return where to, of what the environment names."""
        info = self._reader.info
        if (info.export or DEFAULT) == NONE:
            return []
        meant = set(info.destinations)
        found = [
            each
            for each in read_destinations(self._environ, self._warn)
            if each.name in meant and (each.kind != CONSOLE or self._channel.console is not None)
        ]
        parent = int(info.parent.split("-")[3], 16) & 1 == 1 if info.parent else None
        if found and not is_sampled(self._environ, int(info.trace_id, 16), parent, self._warn):
            self._reader.joiner.note(None, "info", "the sampler left this trace out: not exported")
            self._is_left_out = True
            return []
        return found

    def _warn(self, text: str) -> None:
        self._log.write(f"warning: {text}")

    def follow(self) -> None:
        """Start to deliver when it is time; afterwards say that there is more, and keep how far it has come."""
        if not self._destinations:
            return
        if self._deliveries is None:
            policy = self._policy()
            if policy is None:
                return
            self._start(policy)
        deliveries = self._deliveries
        assert deliveries is not None
        batch = self._reader.joiner.batch
        for state in deliveries.changed():
            self._states[state.destination] = state
            batch.deliveries[state.destination] = state.as_tuple()
            batch.meta[_OMITTED] = deliveries.omitted
        for name, text in deliveries.failures().items():
            if self._said.get(name) != text:
                self._said[name] = text
                self._log.write(f"delivery: {name}: {text}")
        if deliveries.sent != self._sent:
            self._sent = deliveries.sent
            self._channel.beat()
        deliveries.tell(self._reader.spans, self._reader.is_over())

    def _policy(self) -> str | None:
        """Return which spans are sent; None while that depends on how the run will end."""
        info = self._reader.info
        kept = self._history.read_meta(_POLICY)
        if kept:
            return str(kept)
        policy = info.export or DEFAULT
        reasons = (info.export_when or "").split(",")
        if info.export_when:
            if not self._reader.is_over():
                return None
            program = self._reader.joiner.processes[1]
            has_failed = bool(program.exit_code or program.signal)
            wall_ns = (program.end_ns or program.start_ns) - program.start_ns
            state = os.path.dirname(os.path.dirname(self._reader.directory))
            if ("error" in reasons and has_failed) or (
                "slow" in reasons and is_slow(state, info.workflow, info.id, wall_ns)
            ):
                policy = ALL
        self._reader.joiner.batch.meta[_POLICY] = policy
        return policy

    def _start(self, policy: str) -> None:
        from rheostat_agent.export.deliveries import Deliveries, sending_of

        kept, sending = sending_of(
            self._reader.info,
            self._history.read_meta(_RESOURCE),
            policy,
            read_limits(self._environ, self._warn),
            self._environ,
        )
        self._reader.joiner.batch.meta[_RESOURCE] = kept
        self._deliveries = Deliveries(
            self._reader.directory,
            self._destinations,
            sending,
            list(self._states.values()),
            self._environ,
            self._warn,
            self._channel.console,
        )

    @property
    def is_over(self) -> bool:
        """Say whether nothing more will be sent."""
        if not self._destinations:
            return True
        return self._deliveries is not None and self._deliveries.is_over

    @property
    def undelivered(self) -> int:
        """Return how many spans and log records their destinations do not have."""
        return sum(state.undelivered for state in self._states.values())

    @property
    def is_left(self) -> bool:
        """Say whether a later command is to go on."""
        names = set(self._reader.info.destinations)
        if self._is_left_out or (self._reader.info.export or DEFAULT) == NONE:
            return False
        return any(
            (self._states.get(name) or DeliveryState(name)).is_open
            for name in names
            if not name.endswith(CONSOLE)
        )

    def finish(self, between: Callable[[], None]) -> None:
        """Deliver what is left, for as long as a backend takes something now and then; call *between* all the time."""
        sent, deadline = -1, inf
        while not self.is_over and time.monotonic() < deadline:
            if self._sent != sent:
                sent, deadline = self._sent, time.monotonic() + GRACE_S
            self.follow()
            between()
        if self._deliveries is not None:
            self._deliveries.stop(_STOP_S)
        self.follow()
