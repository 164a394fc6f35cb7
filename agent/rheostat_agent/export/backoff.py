"""Back-off: how long to wait before a request is sent again."""

from __future__ import annotations

FIRST_S = 0.1  # the shortest wait; the first is up to ten times that
LONGEST_S = 30.0
LONGEST_AFTER_S = 300.0  # the most that a backend can ask for: a hostile one asks for years


class Backoff:
    """The waits of one destination: random, in a window that doubles with each failure in a row."""

    def __init__(self) -> None:
        from tenacity import RetryCallState, Retrying, wait_random_exponential

        # Random over the whole window: agents that failed together do not come back together.
        self._wait = wait_random_exponential(multiplier=1, min=FIRST_S, max=LONGEST_S)
        self._state = RetryCallState(Retrying(), None, (), {})

    def next_s(self, after_s: float | None = None) -> float:
        """Return the wait after one more failure, in seconds; *after_s* is what the backend asked for, if it did."""
        wait_s = self._wait(self._state)
        self._state.attempt_number += 1
        return wait_s if after_s is None else min(max(after_s, 0.0), LONGEST_AFTER_S)

    def reset(self) -> None:
        """A request succeeded: the next failure is the first."""
        self._state.attempt_number = 1
