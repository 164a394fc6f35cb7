"""`rheostat send`: delivers what is left of runs, and returns when all is acknowledged or refused, or nothing gets through.

An agent that is at work on a run is waited for; then the run is ours by its lock, and is delivered from where that agent
stopped, refused spans included: to send those again is up to the user.
"""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rheostat_agent.agentprocess import lock
from rheostat_agent.batch import Batch
from rheostat_agent.cli import fail
from rheostat_agent.cli.access import Trouble, all_runs, find, open_state, wait_until_read
from rheostat_agent.configuration.destination import Destination
from rheostat_agent.configuration.otel import (
    ConfigurationRefused,
    read_destinations,
    read_limits,
)
from rheostat_agent.configuration.settings import delivery_environment
from rheostat_agent.export.deliveries import Deliveries, sending_of
from rheostat_agent.export.policy import DEFAULT, NONE
from rheostat_agent.history.index import Index
from rheostat_agent.history.query import HISTORY_NAME, OPEN, DeliveryState, Run
from rheostat_agent.history.writer import HistoryBusy, HistoryCorrupt, HistoryWriter
from rheostat_agent.recovery import is_read
from rheostat_agent.rundirectory import (
    ENDED,
    RUN,
    RunInfo,
    mark_finished,
    mark_undelivered,
    unfinished_runs,
)
from rheostat_agent.show.text import count, plain

_GRACE_S = 10.0  # without anything being taken
_LOOK_S = 0.05
_STDERR = 2


def send(values: dict[str, Any], words: list[str]) -> int:
    """Send runs; the status is 1 if something is left."""
    if bool(words) == bool(values["all"]):
        return fail("send: say which: RUN (an id, or last), or --all")
    try:
        environ = delivery_environment(os.environ, values)
        destinations = read_destinations(environ, _warn)
    except ConfigurationRefused as error:
        return fail(f"send: {error}")
    if not destinations:
        return fail(
            "send: there is nowhere to send to: set OTEL_EXPORTER_OTLP_ENDPOINT, or --endpoint URL"
        )
    try:
        state = open_state(recovers=False)
        is_ours = bool(values["endpoint"]) or not values["all"]
        chosen = _waiting(state) if values["all"] else [find(state, words)]
        left = 0
        dead: set[str] = set()
        for directory in chosen:
            left += _Sender(state, directory, environ, is_ours).send(destinations, dead)
    except Trouble as error:
        return fail(f"send: {error}")
    except (HistoryBusy, HistoryCorrupt) as error:
        return fail(f"send: {error}")
    if not chosen:
        sys.stderr.write("nothing is waiting\n")
    return 1 if left else 0


def _warn(text: str) -> None:
    sys.stderr.write(f"rheostat: {text}\n")


def _waiting(state: Path) -> list[Path]:
    """Return the directories of runs of which something is left to deliver, the oldest first; not those that go on."""
    unfinished = [state / "runs" / run for run in unfinished_runs(str(state))]
    found = [
        each
        for each in unfinished
        if (each / RUN).exists() and ((each / ENDED).exists() or not is_read(str(each)))
    ]
    return sorted(found, key=lambda directory: RunInfo.read(str(directory / RUN)).started_ns)


class _Sender:
    """Sends one run."""

    def __init__(
        self, state: Path, directory: Path, environ: dict[str, str], is_ours: bool
    ) -> None:
        """*is_ours*: to any destination; else to those that the run was meant for."""
        self._state = state
        self._directory = directory
        self._environ = environ
        self._is_ours = is_ours
        self._info = RunInfo.read(str(directory / RUN))

    def send(self, destinations: list[Destination], dead: set[str]) -> int:
        """Send the run, but not to the *dead*, to which those that take nothing are added; return how many are left."""
        meant = [
            each for each in destinations if self._is_ours or each.name in self._info.destinations
        ]
        if not meant:
            return self._say({}, "it was meant for another backend")
        if all(each.name in dead for each in meant):
            return self._say({each.name: DeliveryState(each.name) for each in meant}, "as before")
        held = self._take()
        history = HistoryWriter(str(self._directory / HISTORY_NAME))
        try:
            states = {state.destination: state for state in history.read_deliveries()}
            return self._deliver(
                history, [each for each in meant if each.name not in dead], states, dead
            )
        finally:
            history.close()
            os.close(held)

    def _take(self) -> int:
        """Return the run's lock, having waited for the agent that reads or delivers it. Raises Trouble."""
        wait_until_read(self._directory, None)
        while (held := lock(str(self._directory))) is None:
            time.sleep(_LOOK_S)
        return held

    def _deliver(
        self,
        history: HistoryWriter,
        destinations: list[Destination],
        states: dict[str, DeliveryState],
        dead: set[str],
    ) -> int:
        kept = [_again(states.get(each.name) or DeliveryState(each.name)) for each in destinations]
        policy = history.read_meta("export") or self._info.export or DEFAULT
        limits = read_limits(self._environ, _warn)
        resource, sending = sending_of(
            self._info,
            history.read_meta("resource"),
            DEFAULT if policy == NONE else policy,
            limits,
            self._environ,
        )
        deliveries = Deliveries(
            str(self._directory), destinations, sending, kept, self._environ, _warn, _STDERR
        )
        sent, deadline = -1, 0.0
        try:
            while not deliveries.is_over and (
                deliveries.sent != sent or time.monotonic() < deadline
            ):
                if deliveries.sent != sent:
                    sent, deadline = deliveries.sent, time.monotonic() + _GRACE_S
                deliveries.tell(0, all_is_there=True)
                self._keep(history, deliveries, states, resource)
                time.sleep(_LOOK_S)
        finally:
            deliveries.stop(_GRACE_S)
            self._keep(history, deliveries, states, resource)
            self._note(states)
        now = {each.name: states[each.name] for each in destinations}
        dead.update(name for name, state in now.items() if state.state == OPEN)
        return self._say(now, "; ".join(dict.fromkeys(deliveries.failures().values())))

    def _keep(
        self,
        history: HistoryWriter,
        deliveries: Deliveries,
        states: dict[str, DeliveryState],
        resource: str,
    ) -> None:
        """Have the history know how far it has come."""
        batch = Batch()
        for state in deliveries.changed():
            states[state.destination] = state
            batch.deliveries[state.destination] = state.as_tuple()
        if batch.deliveries:
            batch.meta = {"resource": resource, "omitted": deliveries.omitted}
            history.commit(batch)

    def _note(self, states: dict[str, DeliveryState]) -> None:
        """Have the index and later commands know what is left."""
        undelivered = sum(state.undelivered for state in states.values())
        is_left = any(
            (states.get(name) or DeliveryState(name)).is_open for name in self._info.destinations
        )
        run = self._info.id
        (mark_undelivered if is_left else mark_finished)(str(self._state), run)
        index = Index(str(self._state))
        try:
            for row in self._rows():
                index.put(Run(**{**row.as_dict(), "undelivered": undelivered}))
        finally:
            index.close()

    def _rows(self) -> Iterator[Run]:
        return (row for row in all_runs(self._state) if row.id == self._info.id)

    def _say(self, states: dict[str, DeliveryState], why: str) -> int:
        """Print what became of the run; return how many are left."""
        run, workflow = self._info.id, plain(self._info.workflow)
        left = 0
        for name, state in states.items():
            missing = state.undelivered or (state.is_open and not state.sent)
            left += int(missing)
            if not missing and not state.sent and len(states) > 1:
                continue  # there was nothing of that signal
            told = f"{run} {workflow}: {state.sent:,} sent to {plain(name)}"
            if state.rejected:
                told += f", {state.rejected:,} of them rejected by it"
            if missing:
                told += f", {count(state.undelivered, 'item')} left"
            sys.stdout.write(told + (f" ({plain(why)})" if missing and why else "") + "\n")
        if not states:
            sys.stdout.write(f"{run} {workflow}: not sent: {why}\n")
        return left


def _again(state: DeliveryState) -> DeliveryState:
    """Return *state* such that what was refused is sent again: a user asks for it."""
    if state.refused_from is None:
        return DeliveryState(**{**state.as_dict(), "state": OPEN})
    values = {"state": OPEN, "cursor": state.refused_from, "processes": "", "refused": 0}
    return DeliveryState(**{**state.as_dict(), **values, "refused_from": None})
