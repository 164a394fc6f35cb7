"""One program in a real backend by each protocol of OTLP: the same spans and log records, with the user's headers."""

import pytest

from backend import Backend
from running import History, Rheostat
from seen import SeenSpan

JOB = """
import sys

def parse(text):
    return int(text)

def main():
    for text in ("1", "2", "three"):
        try:
            parse(text)
        except ValueError:
            print("no number", file=sys.stderr)

main()
"""
PROTOCOLS = ("http/protobuf", "http/json", "grpc")


def endpoint(backend: Backend, protocol: str) -> str:
    """Return the address of *backend* for *protocol*."""
    return backend.grpc_endpoint if protocol == "grpc" else backend.endpoint


def deliver(rheostat: Rheostat, *options: str, **variables: str) -> History:
    """Run the program, and return its history once it has been delivered."""
    rheostat.write("job.py", JOB)
    done = rheostat.run("job.py", options=("--export", "all", *options), env=variables)
    assert done.returncode == 0
    history = rheostat.await_complete()
    rheostat.await_no_agents()
    return history


def ids(history: History) -> list[int]:
    """Return the ids of all spans in the history."""
    found = [span.id for span in history.spans]
    return sorted(found + [process.span_id for process in history.processes.values()])


def without_identity(span: SeenSpan) -> tuple[object, ...]:
    """Return what spans of two runs of one program have in common."""
    varying = ("process.pid", "thread.id", "code.file.path")
    kept = {key: value for key, value in span.attributes.items() if key not in varying}
    events = [(name, attributes["exception.message"]) for name, _, attributes in span.events]
    return (span.name, span.kind, span.status, span.description, sorted(kept.items()), events)


@pytest.mark.parametrize("compression", ["none", "gzip"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_each_protocol_delivers_the_run(
    rheostat: Rheostat, backend: Backend, protocol: str, compression: str
) -> None:
    """Every span of the history once, and its exception as a log record, be it compressed or not."""
    history = deliver(
        rheostat,
        OTEL_EXPORTER_OTLP_ENDPOINT=endpoint(backend, protocol),
        OTEL_EXPORTER_OTLP_PROTOCOL=protocol,
        OTEL_EXPORTER_OTLP_COMPRESSION=compression,
    )

    assert sorted(span.id for span in backend.spans()) == ids(history)
    (record,) = backend.log_records()
    assert record.event == "exception"
    assert record.span in ids(history)


def test_the_protocols_say_the_same(rheostat: Rheostat, backend: Backend) -> None:
    """Names, kinds, status, attributes and events do not depend on the way that a span went."""
    seen = []
    for protocol in PROTOCOLS:
        backend.clear()
        deliver(
            rheostat,
            OTEL_EXPORTER_OTLP_ENDPOINT=endpoint(backend, protocol),
            OTEL_EXPORTER_OTLP_PROTOCOL=protocol,
        )
        seen.append(sorted(map(without_identity, backend.spans()), key=str))

    assert seen[0] == seen[1] == seen[2]


@pytest.mark.parametrize(
    ("protocol", "kind"),
    [("http/protobuf", "application/x-protobuf"), ("http/json", "application/json")],
)
def test_a_request_says_what_it_is(
    rheostat: Rheostat, backend: Backend, protocol: str, kind: str
) -> None:
    """Content type, who sends it, and the user's headers, percent-decoded; to the paths of the two signals."""
    deliver(
        rheostat,
        OTEL_EXPORTER_OTLP_ENDPOINT=backend.endpoint,
        OTEL_EXPORTER_OTLP_PROTOCOL=protocol,
        OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20abc%2C1,x-tenant=caf%C3%A9",
    )
    requests = backend.requests()

    assert {request["url"].partition("?")[0] for request in requests} == {
        f"{backend.endpoint}/v1/traces",
        f"{backend.endpoint}/v1/logs",
    }
    for request in requests:
        headers = {name.lower(): value for name, value in request["headers"].items()}
        assert headers["content-type"] == kind
        assert "OTel-OTLP-Exporter-Python" in headers["user-agent"]
        assert headers["authorization"] == "Bearer abc,1"


@pytest.mark.parametrize("protocol", ["http/protobuf", "http/json"])
def test_a_backend_without_logs_gets_the_traces(
    rheostat: Rheostat, backend: Backend, protocol: str
) -> None:
    """404 for one signal turns that one off, said once in agent.log; the run counts as delivered."""
    history = deliver(
        rheostat,
        OTEL_EXPORTER_OTLP_ENDPOINT=backend.endpoint,
        OTEL_EXPORTER_OTLP_LOGS_ENDPOINT=f"{backend.endpoint}/nowhere",
        OTEL_EXPORTER_OTLP_PROTOCOL=protocol,
    )
    log = (rheostat.last() / "agent.log").read_text()

    assert sorted(span.id for span in backend.spans()) == ids(history)
    assert backend.log_records() == []
    assert log.count("404") == 1


def test_signals_may_go_by_different_protocols(rheostat: Rheostat, backend: Backend) -> None:
    """The variable of a signal wins over the one for all: traces by gRPC, logs by HTTP."""
    history = deliver(
        rheostat,
        OTEL_EXPORTER_OTLP_ENDPOINT=backend.endpoint,
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=backend.grpc_endpoint,
        OTEL_EXPORTER_OTLP_TRACES_PROTOCOL="grpc",
    )

    assert sorted(span.id for span in backend.spans()) == ids(history)
    assert len(backend.log_records()) == 1
    # What comes by gRPC the backend hands to its own HTTP server: that request is not from us.
    senders = {one["url"]: one["headers"]["User-Agent"] for one in backend.requests()}
    assert senders[f"{backend.endpoint}/v1/logs"].startswith("Rheostat/")
    assert not senders[f"{backend.endpoint}/v1/traces"].startswith("Rheostat/")


def test_no_metrics_are_sent(rheostat: Rheostat, backend: Backend) -> None:
    """There are none so far, and a backend without them is asked for nothing."""
    deliver(rheostat, OTEL_EXPORTER_OTLP_ENDPOINT=backend.endpoint)

    assert not [one for one in backend.requests() if "metrics" in one["url"]]
