"""The console as a destination: a line of OTLP's JSON for each request (specification, protocol/file-exporter)."""

from __future__ import annotations

import os

from rheostat_agent.configuration.destination import TRACES, Destination
from rheostat_agent.export.outcome import REFUSED, TAKEN, Outcome
from rheostat_agent.export.transport.otlpjson import json_of


class ConsoleTransport:
    """Writes to a descriptor: the launcher's standard error."""

    def __init__(self, destination: Destination, descriptor: int) -> None:
        self._is_traces = destination.signal == TRACES
        self._descriptor = descriptor

    def send(self, body: bytes) -> Outcome:
        """Write the request as one line."""
        line = memoryview(json_of(body, self._is_traces) + b"\n")
        try:
            while line:
                line = line[os.write(self._descriptor, line) :]
        except OSError as error:  # whoever read it is gone
            return Outcome(REFUSED, error.strerror or "cannot be written", is_for_all=True)
        return Outcome(TAKEN)

    def close(self) -> None:
        """Nothing is held: the other signal may use the same descriptor."""
