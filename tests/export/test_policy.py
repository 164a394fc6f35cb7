"""Which spans are exported, below which parent, and what is told of those that are not."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rheostat_agent.export.policy import ALL, BURST, DEFAULT, ERRORS, LONG_NS, RATE, Bucket, Policy

Row = tuple[Any, ...]
PROCESS = 1 << 61
CALL, IMPORT = 1, 2
SHORT_NS = LONG_NS // 100


def row(
    span: int, parent: int, start: int, end: int, error: int | None = None, function: int = CALL
) -> Row:
    """Return a row of `spans`; *span* and *parent* count from the process's span, which is 0."""
    return (
        PROCESS + span, PROCESS + parent, 1, function, 1, 1, start, end, error, None, None, None,
    )  # fmt: skip


def policy(name: str = DEFAULT) -> Policy:
    """Return a policy of that name."""
    return Policy(name, lambda span: span == PROCESS, lambda function: function == IMPORT)


def chosen(rows: list[Row], name: str = DEFAULT) -> dict[int, tuple[int, tuple[int, int] | None]]:
    """Return parent and (calls, duration) left out of the spans that are exported."""
    return {
        found[0] - PROCESS: (
            parent - PROCESS,
            (omitted.calls, omitted.duration_ns) if omitted else None,
        )
        for found, parent, omitted in policy(name).choose(rows)
    }


def test_short_calls_are_counted_on_their_caller() -> None:
    """Of a long call with short ones in it the long one is exported, and carries their number and time."""
    rows = [row(2, 1, 10, 20), row(3, 1, 30, 50), row(1, 0, 0, 2 * LONG_NS)]

    assert chosen(rows) == {1: (0, (2, 30))}


def test_calls_in_calls_that_are_left_out_count_once_in_time() -> None:
    """The time of a call that was left out holds that of those in it; their number adds up."""
    rows = [row(3, 2, 12, 18), row(2, 1, 10, 20), row(1, 0, 0, 2 * LONG_NS)]

    assert chosen(rows) == {1: (0, (2, 10))}


def test_an_error_takes_its_callers_along() -> None:
    """What a failed call hangs below is exported, be it short."""
    rows = [row(3, 2, 12, 18, error=7), row(2, 1, 10, 20), row(1, 0, 0, SHORT_NS)]

    assert chosen(rows, ERRORS) == {3: (2, None), 2: (1, None), 1: (0, None)}


def test_a_child_that_outlives_its_caller_hangs_below_the_next() -> None:
    """A thread's long call, whose short starter was left out before, hangs below the starter's caller."""
    rows = [row(2, 1, 10, 20), row(3, 2, 15, 3 * LONG_NS), row(1, 0, 0, SHORT_NS)]

    assert chosen(rows) == {3: (1, None), 1: (0, (1, 10))}


def test_an_import_is_exported_however_short() -> None:
    """Imports are, their spans having been chosen when they were recorded."""
    assert chosen([row(1, 0, 0, 10, function=IMPORT)]) == {1: (0, None)}


def test_all_is_all() -> None:
    """With `all` each span has its own parent, and nothing is left out."""
    rows = [row(2, 1, 10, 20), row(1, 0, 0, 30)]

    assert chosen(rows, ALL) == {2: (1, None), 1: (0, None)}


@pytest.mark.parametrize("error", [None, 7])
def test_no_more_than_the_rate_is_sustained(error: int | None) -> None:
    """Of 1,000 long calls a second, for 60 seconds, 200 a second pass once the burst is used up."""
    rows = [row(n + 1, 0, n * LONG_NS, (n + 1) * LONG_NS, error) for n in range(60_000)]

    assert RATE * 59 <= len(chosen(rows)) <= RATE * 60 + BURST


def test_errors_come_first() -> None:
    """While long calls use up the rate, errors below it all pass."""
    rows = [
        row(n + 1, 0, n * LONG_NS, (n + 1) * LONG_NS, 7 if n % 100 == 0 else None)
        for n in range(60_000)
    ]

    assert {n + 1 for n in range(0, 60_000, 100)} <= set(chosen(rows))


def test_a_clock_that_stands_still_gives_no_tokens() -> None:
    """What began within one moment is bounded by the burst."""
    bucket = Bucket()

    assert sum(bucket.take(5, 0.0) for _ in range(10_000)) == BURST


@st.composite
def traces(draw: st.DrawFn) -> list[Row]:
    """A tree of calls, in an order in which they may end; callees may outlive their callers."""
    count = draw(st.integers(1, 40))
    spans = []
    for span in range(1, count + 1):
        parent = draw(st.integers(0, span - 1))
        start = span * 10
        length = draw(st.sampled_from([1, 50, SHORT_NS, LONG_NS, 3 * LONG_NS]))
        error = draw(st.sampled_from([None, None, None, 1]))
        spans.append(row(span, parent, start, start + length, error))
    return sorted(spans, key=lambda one: (one[7], -one[0]))


@given(rows=traces(), name=st.sampled_from([DEFAULT, ERRORS, ALL]))
def test_the_exported_tree_is_whole(rows: list[Row], name: str) -> None:
    """Each exported span hangs below the nearest exported one above it; each one left out is counted exactly once."""
    decide = policy(name)
    exported = {one[0]: (parent, omitted) for one, parent, omitted in decide.choose(rows)}
    above = {one[0]: one[1] for one in rows}

    told = sum(omitted.calls for _, omitted in exported.values() if omitted)
    rest = decide.carried(PROCESS)
    assert told + (rest.calls if rest else 0) == len(rows) - len(exported) == decide.omitted_calls
    for span, (parent, _) in exported.items():
        nearest = above[span]
        while nearest != PROCESS and nearest not in exported:
            nearest = above[nearest]
        assert parent == nearest


@given(rows=traces(), cut=st.integers(0, 40))
def test_an_agent_that_begins_again_decides_the_same(rows: list[Row], cut: int) -> None:
    """Having looked at the same rows before, in whatever portions, it chooses the same spans in the same way."""
    whole = chosen(rows)
    again = policy()
    parts = [*again.choose(rows[:cut]), *again.choose(rows[cut:])]

    assert len(parts) == len(whole)
    assert {
        one[0] - PROCESS: (
            parent - PROCESS,
            (omitted.calls, omitted.duration_ns) if omitted else None,
        )
        for one, parent, omitted in parts
    } == whole
