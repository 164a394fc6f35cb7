"""Transports: how one request goes to a destination, and what became of it.

A transport sends once. When and whether to send again is the delivery's to decide, from the Outcome. The official
exporters are not used: they read an answer of any size into memory, give up within seconds and drop what they had, and
count a backend that refuses as one that is away (docs/delivery.md says more).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

from rheostat_agent.configuration.destination import CONSOLE

if TYPE_CHECKING:
    from rheostat_agent.configuration.destination import Destination
    from rheostat_agent.export.outcome import Outcome


class Transport(Protocol):
    """The way to one destination. One request at a time."""

    def send(self, body: bytes) -> Outcome:
        """Send *body*, an Export…ServiceRequest of OTLP as uncompressed protobuf, and say what became of it.

        Takes the destination's timeout at most, whatever the other side does. Nothing that the network or the backend
        does raises, nor does a certificate that cannot be read; the reason is a line without secrets.
        """

    def close(self) -> None:
        """Let go of the connection. A `send` that waits in another thread, and each later one, returns LATER."""


def open_transport(destination: Destination, console: int | None = None) -> Transport:
    """Return the transport to *destination*; connects to nothing yet. *console*: what a console writes to."""
    if destination.kind == CONSOLE:
        from rheostat_agent.export.transport.console import ConsoleTransport

        assert console is not None
        return ConsoleTransport(destination, console)
    if destination.protocol == "grpc":
        # Else gRPC writes to standard error by itself.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        from rheostat_agent.export.transport.grpc import GrpcTransport

        return GrpcTransport(destination)
    from rheostat_agent.export.transport.http import HttpTransport

    return HttpTransport(destination)
