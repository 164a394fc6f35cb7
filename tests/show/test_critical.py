"""The critical path: of what ran at the same time, what the run waited for."""

import sqlite3
from collections.abc import Iterator

import pytest

from rheostat_agent.history.query import Process
from rheostat_agent.history.schema import prepare_history
from rheostat_agent.show.critical import critical_paths

PROGRAM, CHILD = 1000, 2000  # ids of processes' spans


@pytest.fixture
def history() -> Iterator[sqlite3.Connection]:
    """An empty history."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    prepare_history(connection)
    yield connection
    connection.close()


def process(number: int, span: int, parent: int | None, start: int, end: int | None) -> Process:
    """Return a process."""
    values = dict.fromkeys(Process.fields)
    values |= {"id": number, "span_id": span, "parent_span_id": parent}
    return Process(**{**values, "start_ns": start, "end_ns": end})


def call(
    history: sqlite3.Connection,
    span: int,
    parent: int,
    start: int,
    end: int,
    suspended: int | None = None,
) -> None:
    """Add a call; its path has the number of its span."""
    history.execute(
        "INSERT INTO spans VALUES(?, ?, 1, 1, ?, 1, ?, ?, NULL, ?, NULL, NULL)",
        (span, parent, span, start, end, suspended),
    )


RUN = process(1, PROGRAM, None, 0, 100)


def test_calls_one_after_the_other_are_all_on_it(history: sqlite3.Connection) -> None:
    """Each was waited for."""
    call(history, 1, PROGRAM, 0, 50)
    call(history, 2, 1, 10, 40)
    call(history, 3, PROGRAM, 50, 100)

    assert critical_paths(history, [RUN], 100) == {1, 2, 3}


def test_of_calls_at_the_same_time_the_last_to_end_is_on_it(history: sqlite3.Connection) -> None:
    """The others could have taken longer without the run doing so."""
    call(history, 1, PROGRAM, 0, 100)
    call(history, 2, 1, 0, 60)
    call(history, 3, 1, 0, 95)
    call(history, 4, 2, 10, 60)

    assert critical_paths(history, [RUN], 100) == {1, 3}


def test_what_ended_just_before_goes_on_backwards(history: sqlite3.Connection) -> None:
    """Before the last call began, the one that ended last until then decided."""
    call(history, 1, PROGRAM, 0, 45)
    call(history, 2, PROGRAM, 0, 30)
    call(history, 3, PROGRAM, 50, 90)

    assert critical_paths(history, [RUN], 100) == {1, 3}


def test_it_leads_through_child_processes(history: sqlite3.Connection) -> None:
    """A call in a process that the program waited for is on it."""
    child = process(2, CHILD, 1, 20, 90)
    call(history, 1, PROGRAM, 0, 100)
    call(history, 2, CHILD, 30, 80)

    assert critical_paths(history, [RUN, child], 100) == {1, 2}


def test_a_generator_that_mostly_waited_is_not_on_it(history: sqlite3.Connection) -> None:
    """While it was suspended, others worked."""
    call(history, 1, PROGRAM, 0, 100)
    call(history, 2, 1, 0, 100, suspended=80)
    call(history, 3, 1, 0, 90)

    assert critical_paths(history, [RUN], 100) == {1, 3}


def test_calls_that_run_are_on_it(history: sqlite3.Connection) -> None:
    """Until now, they are what the run waits for."""
    history.execute(
        "INSERT INTO open_spans VALUES(1, ?, 1, 1, 7, 1, 10, NULL, NULL, NULL, NULL, NULL)",
        (PROGRAM,),
    )

    assert critical_paths(history, [process(1, PROGRAM, None, 0, None)], 100) == {7}


def test_what_took_less_than_a_hundredth_is_counted_to_its_caller(
    history: sqlite3.Connection,
) -> None:
    """So that millions of calls are not looked at one by one."""
    long = process(1, PROGRAM, None, 0, 10_000)
    call(history, 1, PROGRAM, 0, 9_000)
    call(history, 2, 1, 10, 100)

    assert critical_paths(history, [long], 10_000) == {1}


def test_a_run_without_calls_has_none(history: sqlite3.Connection) -> None:
    """And one without processes neither."""
    assert critical_paths(history, [RUN], 100) == set()
    assert critical_paths(history, [], 100) == set()
