"""How long is waited before a request is sent again."""

import statistics

from rheostat_agent.export.backoff import Backoff


def test_the_first_wait_is_short_and_random() -> None:
    """The first wait is between 0.1 and 1 s, and differs from agent to agent."""
    waits = [Backoff().next_s() for _ in range(200)]

    assert 0.1 <= min(waits) < max(waits) <= 1
    assert statistics.stdev(waits) > 0.1


def test_waits_grow_to_half_a_minute_and_no_further() -> None:
    """The window doubles with each failure, to 30 s, however long the backend is away."""
    many = [[backoff.next_s() for _ in range(12)] for backoff in (Backoff() for _ in range(100))]
    longest = [max(waits) for waits in zip(*many, strict=True)]

    for number, most in enumerate(longest):
        assert most <= min(2**number, 30)
    assert longest[8] > 20


def test_a_day_of_failures_raises_nothing() -> None:
    """After thousands of failures in a row the waits are as after ten."""
    backoff = Backoff()
    waits = [backoff.next_s() for _ in range(5000)]
    assert 0.1 <= min(waits) <= max(waits) <= 30


def test_success_begins_anew() -> None:
    """After a success the next failure is the first."""
    backoff = Backoff()
    for _ in range(20):
        backoff.next_s()
    backoff.reset()
    assert backoff.next_s() <= 1


def test_what_the_backend_asks_for_is_waited_and_no_more_than_five_minutes() -> None:
    """A wait that was asked for counts as it is, within limits."""
    backoff = Backoff()
    assert [backoff.next_s(wait_s) for wait_s in (2.5, 0.0, -1.0, 10.0**9)] == [
        2.5,
        0.0,
        0.0,
        300.0,
    ]
