"""`rheostat show --what-is-sent` prints what a backend gets, and nothing that it does not get."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from rheostat_agent.export.transport.otlpjson import json_of
from running import History, Rheostat, wait_until
from sink import Sink

PROGRAM = """
def step(n, name):
    return [n] * n
def fails(reason):
    raise ValueError(reason)
def main():
    for i in range(700):
        step(i, name="x")
    try:
        fails("no such thing")
    except ValueError:
        pass
main()
"""


def spans_in(requests: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the spans of *requests* by id, each with its resource."""
    return {
        span["spanId"]: (span, resource["resource"])
        for request in requests
        for resource in request.get("resourceSpans", [])
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    }


def records_in(requests: list[dict[str, Any]]) -> list[Any]:
    """Return the log records of *requests*."""
    return [
        record
        for request in requests
        for resource in request.get("resourceLogs", [])
        for scope in resource["scopeLogs"]
        for record in scope["logRecords"]
    ]


def printed(rheostat: Rheostat, env: dict[str, str]) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the remarks and the requests that are printed of the last run."""
    done = rheostat.command("show", "--what-is-sent", env=env)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    requests = [json.loads(line) for line in lines if not line.startswith("#")]
    return [line for line in lines if line.startswith("#")], requests


@pytest.fixture
def sink() -> Iterator[Sink]:
    """A backend."""
    with Sink() as made:
        yield made


@pytest.mark.parametrize("policy", ["all", "default", "errors"])
def test_it_is_what_the_backend_got(rheostat: Rheostat, sink: Sink, policy: str) -> None:
    """The same spans and log records with all their attributes; the names of headers, and not their values."""
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": sink.http,
        "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=planted-value",
        "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT": "40",
    }
    rheostat.write("job.py", PROGRAM)
    rheostat.run("job.py", options=("--export", policy, "--capture-args"), env=env)
    rheostat.await_complete()
    remarks, requests = printed(rheostat, env)
    bodies = [json.loads(json_of(one.body, "traces" in one.path)) for one in sink.requests]
    assert spans_in(requests) == spans_in(bodies)
    assert records_in(requests) == records_in(bodies)
    most = {"all": 703, "default": 702, "errors": 3}[
        policy
    ]  # the default depends on how long they took
    assert (703 if policy == "all" else 3) <= len(spans_in(bodies)) <= most
    assert len(records_in(bodies)) == 1
    assert f"# traces http/protobuf {sink.http}/v1/traces" in remarks
    assert any("x-tenant: ***" in line for line in remarks)
    assert not any("planted" in line for line in remarks)


def test_without_a_destination(rheostat: Rheostat) -> None:
    """It prints what would be sent if there were one."""
    rheostat.write("job.py", PROGRAM)
    rheostat.run("job.py", options=("--export", "all"))
    rheostat.await_complete()
    remarks, requests = printed(rheostat, {})
    assert remarks[0] == "# nothing is sent: no endpoint is set. To a backend would go:"
    assert len(spans_in(requests)) == 703


def test_where_nothing_is_sent(rheostat: Rheostat, sink: Sink) -> None:
    """`--export none`, and a sampler that leaves the trace out."""
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.http}
    rheostat.write("job.py", PROGRAM)
    rheostat.run("job.py", options=("--export", "none"), env=env)
    rheostat.await_complete()
    assert printed(rheostat, env) == (["# nothing is sent of this run: --export none"], [])
    rheostat.run("job.py", env={**env, "OTEL_TRACES_SAMPLER": "always_off"})
    wait_until(lambda: History(rheostat.last()).is_complete, "all is read")
    remarks, requests = printed(rheostat, {**env, "OTEL_TRACES_SAMPLER": "always_off"})
    assert (remarks, requests) == (
        ["# nothing is sent of this run: the sampler left its trace out"],
        [],
    )
    assert sink.requests == []


def test_an_address_shows_no_password(rheostat: Rheostat) -> None:
    """Of an address neither user nor query is printed; a header that they make is named."""
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://u:planted@127.0.0.1:9/x?key=planted"}
    rheostat.write("job.py", "pass\n")
    rheostat.run("job.py", options=("--wait", "0"))
    rheostat.await_complete()
    remarks, _ = printed(rheostat, env)
    assert not any("planted" in line for line in remarks)
    assert any("authorization: ***" in line for line in remarks)
    assert any("was meant for another" in line for line in remarks)
