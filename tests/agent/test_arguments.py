"""Captured arguments on their way: history, what is shown, what is exported; and events that nobody of ours wrote."""

import json
import os
import signal
import sqlite3
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rheostat.spool import events as spool
from rheostat_agent.events import ArgumentsEvent, Malformed, parse
from rheostat_agent.history import arguments, query
from rheostat_agent.history.schema import HISTORY_MIGRATIONS, HISTORY_TABLES, prepare_history
from running import History, Rheostat, wait_until

PROGRAM = """
import os
def part(n, password):
    return n
def fails(path, rows, limit=None, *more, ratio=float("nan"), **options):
    part(7, "hunter2")
    raise ValueError("no such thing")
def items(n):
    yield from range(n)
def loop(i):
    pass
for i in range(1500):
    loop(i)
list(items(3))
if os.fork() == 0:
    part(8, "x")
    os._exit(0)
os.wait()
fails("/data/x.csv", [1, 2], True, "a", mode="\\udc80fast")
"""


def given_to(history: History) -> dict[str, list[dict[str, object]]]:
    """Return what the calls of each function were given, in the order of the calls."""
    with closing(query.open_history(str(history.directory))) as connection:
        found = arguments.read_arguments(connection, history.by_id)
    result: dict[str, list[dict[str, object]]] = {}
    for span in sorted(history.spans, key=lambda span: span.start_ns):
        if span.id in found:
            result.setdefault(history.name(span), []).append(found[span.id].values)
    return result


def run_captured(rheostat: Rheostat) -> tuple[History, str]:
    """Run the program; return its history, and what was said of it."""
    rheostat.write("job.py", PROGRAM)
    done = rheostat.run("job.py", options=("--capture-args",))
    assert done.returncode == 1
    return rheostat.await_complete(), done.stderr


def test_in_the_history(rheostat: Rheostat) -> None:
    """Each captured call has its arguments by its span, those of forked processes among them."""
    history, _ = run_captured(rheostat)
    found = given_to(history)
    assert found["job.part"] == [{"n": 8, "password": "***"}, {"n": 7, "password": "***"}]
    assert found["job.items"] == [{"n": 3}]
    (failing,) = found["job.fails"]
    assert str(failing.pop("ratio")) == "nan"
    assert failing == {
        "path": "/data/x.csv",
        "rows.length": 2,
        "limit": True,
        "more.length": 1,
        "mode": "\ufffd\ufffd\ufffdfast",
    }
    assert len(found["job.loop"]) >= 100


def test_shown(rheostat: Rheostat) -> None:
    """Beside the stack of an error stands what the failing call was given; the summary counts what was not captured."""
    _, summary = run_captured(rheostat)
    shown = rheostat.command("show", "--errors").stdout
    assert "given path='/data/x.csv', rows.length=2, limit=True" in shown
    assert "not captured: the arguments of at least 1," in summary


def test_exported(rheostat: Rheostat) -> None:
    """As attributes of the span, by OTLP's file format."""
    run_captured(rheostat)
    requests = [json.loads(line) for line in rheostat.command("export").stdout.splitlines()]
    spans = [
        {pair["key"]: pair["value"] for pair in span["attributes"]}
        for request in requests
        for resource in request.get("resourceSpans", [])
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
        if span["name"] == "job.fails"
    ]
    ((found),) = [
        {key.rpartition("rheostat.call.argument.")[2]: value for key, value in span.items() if "argument" in key}
        for span in spans
    ]  # fmt: skip
    assert found["path"] == {"stringValue": "/data/x.csv"}
    assert found["limit"] == {"boolValue": True}
    assert found["rows.length"] in ({"intValue": "2"}, {"intValue": 2})


def test_an_agent_that_is_killed_loses_and_doubles_none(rheostat: Rheostat) -> None:
    """What a later agent finds in the history, it does not write again; the rest it does."""
    rheostat.write(
        "job.py",
        "import os, time\ndef f(i): pass\nfor i in range(50): f(i)\nopen('half', 'w').close()\n"
        "while not os.path.exists('go'): pass\nfor i in range(50, 80): f(i)\n",
    )
    process = rheostat.start("job.py", options=("--capture-args", "--wait", "0"))
    agent = rheostat.await_agent()
    wait_until((rheostat.project / "half").exists, "half of it")
    directory = rheostat.last()

    def read() -> int:
        try:
            with closing(query.open_history(str(directory))) as connection:
                count: int = connection.execute("SELECT count(*) FROM arguments").fetchone()[0]
                return count
        except query.HistoryMissing:
            return 0

    wait_until(lambda: read() == 50, "the agent has read half")
    os.kill(agent, signal.SIGKILL)
    (rheostat.project / "go").touch()
    rheostat.finish(process)
    rheostat.command("runs")
    history = rheostat.await_complete()
    assert [one["i"] for one in given_to(history)["job.f"]] == list(range(80))


def test_a_history_of_version_1_gets_the_table() -> None:
    """An older history is brought up to date, and has no arguments."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        prepare_history(connection)
        for table in ("arguments", "deliveries"):
            connection.execute(f"DROP TABLE {table}")
        HISTORY_MIGRATIONS[1](connection)
        assert not arguments.has_arguments(connection)
        assert arguments.count_uncaptured(connection) == 0
    assert "CREATE TABLE arguments(" in HISTORY_TABLES


FIELD = st.one_of(
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.integers(0, 6),
    st.text(max_size=20),
    st.binary(max_size=20),
    st.sampled_from(["nan", "inf", "1e999", "0x1"]),
)


@settings(deadline=None)
@given(st.lists(FIELD, max_size=30))
def test_fields_that_nobody_of_ours_wrote(fields: list[int | str | bytes]) -> None:
    """Whatever an event holds, it is understood within bounds or refused."""
    try:
        event = parse(spool.ARGUMENTS, fields)
    except ValueError:
        return
    assert isinstance(event, ArgumentsEvent)
    assert len(event.values) <= 100
    json.dumps(event.values)


@pytest.mark.parametrize("count", [101, 1 << 40])
def test_too_many_arguments_are_refused(count: int) -> None:
    """The number of arguments is bounded before anything is made of it."""
    with pytest.raises(Malformed):
        parse(spool.ARGUMENTS, [1, 0, 0, count])
