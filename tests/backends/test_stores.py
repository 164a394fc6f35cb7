"""Runs in real stores, read back through their own API: what was to be exported is there, as it was, and nothing else."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from servers import Phoenix, Server
from stored import Stored, read_file

from rheostat_agent.rundirectory import RUN, RunInfo
from running import Rheostat, wait_until

pytestmark = pytest.mark.backends

EXAMPLE = Path(__file__).parents[2] / "examples" / "etl" / "etl.py"
SOON_S = 120.0  # a store may queue what it has acknowledged
CLOSE_NS = 1000  # Phoenix gives times back as floating point numbers

JOB = """
import subprocess, sys, threading, time
import parts

def leaf(number):
    return number

def slow():
    for number in range(50):
        leaf(number)
    time.sleep(0.01)

def parse(text):
    return int(text)

def careful():
    try:
        parse("Zürich 東京")
    except ValueError:
        leaf(0)

def main():
    slow()
    careful()
    thread = threading.Thread(target=slow)
    thread.start()
    thread.join()
    list(parts.numbers(3))
    subprocess.run([sys.executable, "child.py"])
    sys.exit(3)

main()
"""
PARTS = "import time\ntime.sleep(0.005)\ndef numbers(count):\n    for number in range(count):\n        yield number\n"
CHILD = "def work():\n    return 1\nwork()\n"


@dataclass(frozen=True)
class Sent:
    """One run: what there is to export, and its trace."""

    spans: dict[str, Stored]
    trace: str


def run(rheostat: Rheostat, target: list[str], options: tuple[str, ...], **variables: str) -> Sent:
    """Run *target*, deliver it, and return what its history holds, by the file that `rheostat export` writes."""
    rheostat.run(*target, options=options, env=variables)
    directory = rheostat.last()
    rheostat.await_complete(directory)
    file = rheostat.command("export", directory.name, "--format", "otlp-json").stdout
    trace = RunInfo.read(str(directory / RUN)).trace_id
    return Sent({span.id: span for span in read_file(file)}, trace)


def run_job(rheostat: Rheostat, *options: str, **variables: str) -> Sent:
    """Run a program with a thread, a generator, a child, imports, exceptions and exit status 3."""
    rheostat.write("job.py", JOB)
    rheostat.write("parts.py", PARTS)
    rheostat.write("child.py", CHILD)
    return run(rheostat, ["job.py"], options, **variables)


def run_example(rheostat: Rheostat, *options: str, **variables: str) -> Sent:
    """Run examples/etl on a few rows."""
    data = ("--rows", "2000", "--data", str(rheostat.folder / "data"))
    return run(rheostat, [str(EXAMPLE), *data], options, **variables)


def by_default(spans: dict[str, Stored]) -> dict[str, Stored]:
    """Return what the default policy exports of a run below its rate: the noteworthy, and what that hangs below."""
    chosen: set[str] = set()
    for span in spans.values():
        is_long = (
            span.end_ns - span.start_ns >= 1_000_000
        )  # as imports are, of which others are no spans
        if span.is_process or span.status == "ERROR" or is_long:
            chosen |= set(chain(span, spans))
    return {id_: spans[id_] for id_ in chosen}


def chain(span: Stored, spans: dict[str, Stored]) -> Iterator[str]:
    """Yield the ids of *span* and of what it hangs below."""
    yield span.id
    while span.parent:
        span = spans[span.parent]
        yield span.id


def read_back(server: Server, trace: str, count: int) -> dict[str, Stored]:
    """Return the spans that *server* has of *trace*, by id, once there are *count*. Fails on the same span twice."""
    until = time.monotonic() + SOON_S
    while len(found := server.spans(trace)) < count:
        assert time.monotonic() < until, f"{count} spans in the store, not {len(found)}"
        time.sleep(0.5)  # asking keeps it from storing
    by_id = {span.id: span for span in found}
    assert len(by_id) == len(found)
    return by_id


def comparable(span: Stored, reference: Stored) -> Stored:
    """Return *span* without what a store adds or the policy counts, its times those of *reference* where they are close."""
    ours = {
        key: value
        for key, value in span.attributes.items()
        if not key.startswith(("mlflow.", "rheostat.omitted."))
    }
    is_close = (
        abs(span.start_ns - reference.start_ns) <= CLOSE_NS
        and abs(span.end_ns - reference.end_ns) <= CLOSE_NS
    )
    times = reference if is_close else span
    return replace(span, attributes=ours, start_ns=times.start_ns, end_ns=times.end_ns)


def check(server: Server, sent: Sent, expected: dict[str, Stored]) -> None:
    """The store has *expected* and nothing else, and of what is left out it has the number."""
    stored = read_back(server, sent.trace, len(expected))
    assert stored.keys() == expected.keys()
    assert {id_: comparable(span, expected[id_]) for id_, span in stored.items()} == expected
    omitted = sum(span.attributes.get("rheostat.omitted.calls", 0) for span in stored.values())
    assert omitted == len(sent.spans) - len(stored)


def headers(server: Server) -> str:
    """Return the headers that *server* asks for as OTEL_EXPORTER_OTLP_HEADERS has them: percent-encoded."""
    return ",".join(f"{name}={value.replace(' ', '%20')}" for name, value in server.headers.items())


def variables(server: Server, protocol: str = "http/protobuf") -> dict[str, str]:
    """Return what the user sets to have traces delivered to *server*."""
    endpoint = server.endpoint
    if protocol == "grpc":
        assert isinstance(server, Phoenix)
        endpoint = server.grpc_endpoint
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        "OTEL_EXPORTER_OTLP_HEADERS": headers(server),
    }


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_phoenix_has_the_run(rheostat: Rheostat, phoenix: Server, protocol: str) -> None:
    """Without authentication, over both protocols: each span of `--export all` once, as it is in the history."""
    sent = run_job(rheostat, "--export", "all", **variables(phoenix, protocol))

    check(phoenix, sent, sent.spans)


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_phoenix_takes_the_token(rheostat: Rheostat, locked_phoenix: Server, protocol: str) -> None:
    """With its authentication, the token in OTEL_EXPORTER_OTLP_HEADERS opens both ways in."""
    sent = run_job(rheostat, "--export", "all", **variables(locked_phoenix, protocol))

    check(locked_phoenix, sent, sent.spans)


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_phoenix_without_the_token_refuses(
    rheostat: Rheostat, locked_phoenix: Server, protocol: str
) -> None:
    """A wrong token is said, once; the spans are kept, and arrive when they are sent with the right one."""
    right = variables(locked_phoenix, protocol)
    wrong = {**right, "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20wrong"}
    rheostat.write("job.py", CHILD)
    done = rheostat.run("job.py", options=("--export", "all", "--wait", "10"), env=wrong)
    directory = rheostat.last()
    rheostat.await_no_agents()
    reason = "UNAUTHENTICATED" if protocol == "grpc" else "401"
    assert [line for line in done.stderr.splitlines() if reason in line.upper()]

    sent = rheostat.command("send", directory.name, env=right)
    trace = RunInfo.read(str(directory / RUN)).trace_id
    assert sent.returncode == 0, sent.stderr
    assert len(read_back(locked_phoenix, trace, 2)) == 2


def test_mlflow_has_the_run(rheostat: Rheostat, mlflow: Server) -> None:
    """With the header that names the experiment: each span of `--export all` once, as it is in the history."""
    sent = run_job(rheostat, "--export", "all", **variables(mlflow))

    check(mlflow, sent, sent.spans)


def test_mlflow_without_its_header_refuses(rheostat: Rheostat, mlflow: Server) -> None:
    """422 is for good: said once, the spans kept."""
    rheostat.write("job.py", CHILD)
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": mlflow.endpoint}
    done = rheostat.run("job.py", options=("--wait", "10"), env=environment)
    rheostat.await_no_agents()

    assert [line for line in done.stderr.splitlines() if "422" in line]
    log = (rheostat.last() / "agent.log").read_text()
    assert log.count("422") == 1


@pytest.mark.parametrize("store", ["phoenix", "mlflow"])
def test_the_default_policy_arrives_whole(
    rheostat: Rheostat, store: str, request: pytest.FixtureRequest
) -> None:
    """Without --export: processes, imports, errors, long calls, their ancestors, and how many calls were left out."""
    server: Server = request.getfixturevalue(store)
    sent = run_job(rheostat, **variables(server))

    check(server, sent, by_default(sent.spans))


@pytest.mark.parametrize(
    ("store", "policy"),
    # Not all of it to Phoenix: it stores a trace the more slowly, the larger it is.
    [("phoenix", "default"), ("mlflow", "default"), ("mlflow", "all")],
)
def test_the_example_arrives_whole(
    rheostat: Rheostat, store: str, policy: str, request: pytest.FixtureRequest
) -> None:
    """The bundled example, twenty thousand spans of it or the few that matter."""
    server: Server = request.getfixturevalue(store)
    sent = run_example(rheostat, "--export", policy, **variables(server))

    check(server, sent, by_default(sent.spans) if policy == "default" else sent.spans)


PATIENT = """
import os

def outer():
    open("begun", "w").close()
    while not os.path.exists("go"):
        pass

outer()
"""


def test_mlflow_replaces_a_placeholder(rheostat: Rheostat, mlflow: Server) -> None:
    """With --pending an open call is there while it runs; at its end the span takes its place."""
    placeholder, span = placeholder_and_span(rheostat, mlflow)

    assert placeholder.attributes["rheostat.pending"] is True
    assert "rheostat.pending" not in span.attributes
    assert span.end_ns > placeholder.end_ns


def test_phoenix_keeps_the_placeholder(rheostat: Rheostat, phoenix: Server) -> None:
    """Phoenix keeps the first of two spans with one id, so --pending is not for it. Fails once that has changed."""
    placeholder, span = placeholder_and_span(rheostat, phoenix)

    assert placeholder.attributes["rheostat.pending"] is True
    assert span == placeholder


def placeholder_and_span(rheostat: Rheostat, server: Server) -> tuple[Stored, Stored]:
    """Return what *server* has of a call while it runs, and after it has ended and the run was delivered."""
    rheostat.write("job.py", PATIENT)
    process = rheostat.start(
        "job.py", options=("--pending", "0.5", "--export", "all"), env=variables(server)
    )
    directory = rheostat.await_run()
    trace = RunInfo.read(str(directory / RUN)).trace_id

    def calls() -> list[Stored]:
        return [span for span in server.spans(trace) if span.name == "job.outer"]

    wait_until(calls, "the placeholder is in the store", SOON_S)
    (placeholder,) = calls()
    (rheostat.project / "go").touch()
    rheostat.finish(process)
    rheostat.await_complete(directory)
    # The process's own span comes last; with it in the store, so is what came before.
    marker = run_job(rheostat, "--export", "all", **variables(server))
    read_back(server, marker.trace, len(marker.spans))
    (span,) = calls()
    return placeholder, span
