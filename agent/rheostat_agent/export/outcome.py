"""What became of one request to a backend, under the rules of OTLP (opentelemetry-proto, docs/specification.md)."""

from __future__ import annotations

from rheostat_agent.values import Value

TAKEN = "taken"  # acknowledged, wholly or in part: not sent again
LATER = "later"  # the backend cannot just now, or cannot be reached: to be sent again
REFUSED = "refused"  # never to be taken as it is: not sent again by itself
TOO_LARGE = "too large"  # to be sent in halves
ABSENT = "absent"  # the backend does not have this signal


class Outcome(Value):
    """What became of one request."""

    kind: str
    reason: str = ""  # for the user, in a line: '503 Service Unavailable', 'Connection refused'; a warning where taken
    rejected: int = 0  # of what was sent: the backend took the rest (partial success)
    after_s: float | None = (
        None  # when to send again at the earliest, where the backend says so; capped
    )
    is_for_all: bool = False  # where refused: every other request would be too (401, 403, 415, 422; UNAUTHENTICATED …)
