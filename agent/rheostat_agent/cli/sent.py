"""`rheostat show --what-is-sent`: exactly what would leave this machine, or has left it.

Printed is OTLP's JSON, a request a line, made of the very bytes that delivery sends: by the same policy, encoder and limits. Lines
that begin with `#` say where to, and with which headers, whose values are hidden. Without a destination it is what would be
sent if there were one.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from rheostat_agent.cli.access import Trouble
from rheostat_agent.configuration.destination import CONSOLE, LOGS, TRACES, Destination
from rheostat_agent.configuration.otel import (
    ConfigurationRefused,
    is_sampled,
    read_batch,
    read_destinations,
    read_limits,
)
from rheostat_agent.configuration.settings import delivery_environment
from rheostat_agent.export.deliveries import sending_of
from rheostat_agent.export.policy import DEFAULT, NONE
from rheostat_agent.export.queue import LogQueue, SpanQueue
from rheostat_agent.export.transport.otlpjson import json_of
from rheostat_agent.export.transport.useragent import USER_AGENT
from rheostat_agent.history.query import DeliveryState, read_meta
from rheostat_agent.masking import HIDDEN
from rheostat_agent.rundirectory import RUN, RunInfo
from rheostat_agent.show.text import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rheostat_agent.export.queue import Queue, Sending


def what_is_sent(
    directory: Path, history: sqlite3.Connection, warn: Callable[[str], None]
) -> Iterator[str]:
    """Yield the lines to print about the run in *directory*. Raises Trouble."""
    try:
        environ = delivery_environment(os.environ, {})
        found = read_destinations(environ, warn)
    except ConfigurationRefused as error:
        raise Trouble(str(error)) from None
    info = RunInfo.read(str(directory / RUN))
    policy = read_meta(history, "export") or info.export or DEFAULT
    if policy == NONE:
        yield "# nothing is sent of this run: --export none"
        return
    parent = int(info.parent.split("-")[3], 16) & 1 == 1 if info.parent else None
    if found and not is_sampled(environ, int(info.trace_id, 16), parent, warn):
        yield "# nothing is sent of this run: the sampler left its trace out"
        return
    if not found:
        yield "# nothing is sent: no endpoint is set. To a backend would go:"
        found = [Destination(signal=TRACES), Destination(signal=LOGS)]
    else:
        yield f"# by the policy --export {policy}"
        yield from _undecided(info, history)
        for each in found:
            yield from _about(each, info)
    _, sending = sending_of(
        info, read_meta(history, "resource"), policy, read_limits(environ, warn), environ
    )
    for signal in dict.fromkeys(each.signal for each in found):
        most = read_batch(environ, warn, signal).most
        yield f"# {signal}"
        yield from _requests(_queue(signal, sending, history), most, signal == TRACES)


def _undecided(info: RunInfo, history: sqlite3.Connection) -> Iterator[str]:
    """Yield what is not known of the policy: it is decided when delivery begins."""
    if info.export_when and read_meta(history, "export") is None:
        yield f"# or all of it: --export-when {info.export_when} has not been decided yet"
    if info.pending_s is not None:
        yield f"# and, of what is open for {info.pending_s:g} s, a placeholder with the same id before"


def _about(destination: Destination, info: RunInfo) -> Iterator[str]:
    """Yield where something goes, and with what besides the requests."""
    meant = destination.name in info.destinations
    note = "" if meant else " (not of this run, which was meant for another: rheostat send)"
    yield f"# {plain(destination.name)}{note}"
    if destination.kind == CONSOLE:
        return
    headers = [f"user-agent: {USER_AGENT}"]
    headers += [f"{plain(name)}: {HIDDEN}" for name, _ in destination.headers]
    if "@" in destination.endpoint.partition("://")[2].partition("/")[0]:
        headers.append(f"authorization: {HIDDEN}")
    yield f"#   headers: {', '.join(headers)}"
    if destination.compression != "none":
        yield f"#   compressed by {destination.compression}"


def _queue(signal: str, sending: Sending, history: sqlite3.Connection) -> Queue:
    """Return all of a signal, from the beginning."""
    state = DeliveryState(signal)
    if signal == LOGS:
        return LogQueue(sending, history, state)
    return SpanQueue(sending, history, state)


def _requests(queue: Queue, most: int, is_traces: bool) -> Iterator[str]:
    """Yield each request as a line of JSON."""
    while (request := queue.look(most, all_is_there=True)) is not None:
        yield json_of(request.body, is_traces).decode()
        queue.take_off(request)
