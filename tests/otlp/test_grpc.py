"""One request over gRPC: what is sent, and what each code is taken for."""

import math
import time

import pytest
from grpc import StatusCode
from sending import HEADERS, SECRET, records_rejected, send, spans, spans_rejected, to
from test_faults import closed_while_waiting

from backend import free_port
from network import Relay
from rheostat import __version__
from rheostat_agent.configuration.destination import LOGS, Destination
from rheostat_agent.export.outcome import ABSENT, LATER, REFUSED, TAKEN, TOO_LARGE, Outcome
from rheostat_agent.export.transport import open_transport
from sink import Reply, Sink


def at(sink: Sink, **more: object) -> Destination:
    """Return the destination of a sink's gRPC."""
    return to(sink.grpc, protocol="grpc", **more)


def answered(sink: Sink, reply: Reply, **more: object) -> Outcome:
    """Send one request that has *reply* for an answer."""
    sink.script(reply)
    return send(at(sink, **more))


# What is sent


def test_a_request_is_the_protobuf_as_it_was_given(sink: Sink) -> None:
    """The call is that of OTLP's service, with our name and the user's headers."""
    headers = (("Authorization", f"Bearer {SECRET}"),)
    outcome = send(at(sink, headers=headers), spans(3))
    (request,) = sink.requests

    assert (outcome.kind, outcome.reason) == (TAKEN, "")
    assert request.path == "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
    assert request.body == spans(3)
    assert request.headers["authorization"] == f"Bearer {SECRET}"
    assert request.headers["user-agent"].startswith(
        f"Rheostat/{__version__} OTel-OTLP-Exporter-Python/1."
    )
    assert sink.problems == []


@pytest.mark.parametrize("form", ["dns:///127.0.0.1:{}", "ipv4:127.0.0.1:{}"])
def test_an_address_may_have_a_form_of_grpcs(sink: Sink, form: str) -> None:
    """What gRPC itself takes for an address is handed to it as it is."""
    address = form.format(sink.grpc.rpartition(":")[2])
    assert send(to(f"http://{address}", protocol="grpc")).kind == TAKEN


def test_log_records_go_to_their_own_service(sink: Sink) -> None:
    """A destination of logs calls the service of logs."""
    assert send(at(sink, signal=LOGS)).kind == TAKEN
    assert sink.requests[0].path.endswith("logs.v1.LogsService/Export")


def test_gzip_compresses_the_message(sink: Sink) -> None:
    """With compression fewer bytes pass, and the message is the same."""
    with Relay(int(sink.grpc.rpartition(":")[2])) as relay:
        address = f"http://127.0.0.1:{relay.port}"
        send(to(address, protocol="grpc", compression="gzip"), spans(2000))

    assert sink.requests[0].body == spans(2000)
    assert relay.up < len(spans(2000)) / 2


def test_the_connection_is_kept(sink: Sink) -> None:
    """One connection carries many requests."""
    transport = open_transport(at(sink))
    for number in range(3):
        assert transport.send(spans(first=number + 1)).kind == TAKEN
    transport.close()

    assert len({request.peer for request in sink.requests}) == 1


def test_a_backend_that_comes_back_is_reached_at_once(sink: Sink) -> None:
    """The pauses that gRPC makes between connections are not waited for."""
    transport = open_transport(at(sink))
    assert transport.send(spans()).kind == TAKEN
    sink.down()
    for _ in range(8):  # with pauses of its own gRPC would wait for more than ten seconds now
        assert transport.send(spans(first=2)).kind == LATER
    sink.up()

    assert transport.send(spans(first=3)).kind == TAKEN
    transport.close()


def test_a_request_beyond_the_limit_is_not_sent(sink: Sink) -> None:
    """More than 64 MiB are asked for in halves before anything goes out."""
    assert send(at(sink), bytes((64 << 20) + 1)).kind == TOO_LARGE
    assert sink.requests == []


@pytest.mark.parametrize(("name", "value"), [("x-key", "sécret"), ("x key", "secret"), ("", "s")])
def test_a_header_that_cannot_be_sent_is_told_without_its_value(
    sink: Sink, name: str, value: str
) -> None:
    """What gRPC has no form for names the variable, and nothing is sent."""
    outcome = send(at(sink, headers=((name, value),)))

    assert outcome.kind == LATER
    assert outcome.reason == "what gRPC cannot send: see OTEL_EXPORTER_OTLP_HEADERS"
    assert sink.requests == []


@pytest.mark.parametrize("endpoint", ["", "nonsense", "ftp://host", "http://[::1", "http://"])
def test_an_address_that_is_none_names_the_variable(endpoint: str) -> None:
    """What is no address for gRPC cannot be reached, and raises nothing."""
    outcome = send(to("", protocol="grpc", endpoint=endpoint))

    assert outcome.kind == LATER
    assert outcome.reason == "no address for gRPC: see OTEL_EXPORTER_OTLP_ENDPOINT"


# Codes


@pytest.mark.parametrize(
    "code",
    [
        StatusCode.CANCELLED,
        StatusCode.DEADLINE_EXCEEDED,
        StatusCode.ABORTED,
        StatusCode.OUT_OF_RANGE,
        StatusCode.UNAVAILABLE,
        StatusCode.DATA_LOSS,
    ],
)
def test_codes_for_later(sink: Sink, code: StatusCode) -> None:
    """Six codes of the specification are for later as they are."""
    outcome = answered(sink, Reply(code))
    assert (outcome.kind, outcome.after_s) == (LATER, None)


@pytest.mark.parametrize(
    "code",
    [
        StatusCode.UNKNOWN,
        StatusCode.INVALID_ARGUMENT,
        StatusCode.NOT_FOUND,
        StatusCode.ALREADY_EXISTS,
        StatusCode.PERMISSION_DENIED,
        StatusCode.UNAUTHENTICATED,
        StatusCode.RESOURCE_EXHAUSTED,
        StatusCode.FAILED_PRECONDITION,
        StatusCode.INTERNAL,
    ],
)
def test_codes_for_ever(sink: Sink, code: StatusCode) -> None:
    """The others are not sent again by themselves, and are told by their names."""
    outcome = answered(sink, Reply(code, "no"))

    assert outcome.kind == REFUSED
    assert outcome.reason.startswith(f"{code.name}: no")
    assert outcome.is_for_all == (
        code in (StatusCode.UNAUTHENTICATED, StatusCode.PERMISSION_DENIED)
    )


def test_a_missing_login_names_the_variable(sink: Sink) -> None:
    """UNAUTHENTICATED says where headers are set."""
    outcome = answered(sink, Reply(StatusCode.UNAUTHENTICATED))
    assert outcome.reason == "UNAUTHENTICATED: see OTEL_EXPORTER_OTLP_HEADERS"


def test_a_backend_may_lack_a_signal(sink: Sink) -> None:
    """UNIMPLEMENTED is the absence of the signal."""
    assert answered(sink, Reply(StatusCode.UNIMPLEMENTED), signal=LOGS).kind == ABSENT


@pytest.mark.parametrize("code", [StatusCode.RESOURCE_EXHAUSTED, StatusCode.UNAVAILABLE])
@pytest.mark.parametrize(
    ("asked_s", "after_s"), [(1.5, 1.5), (0.0, 0.0), (-2.0, 0.0), (1e9, 300.0)]
)
def test_retry_info_is_honoured_within_reason(
    sink: Sink, code: StatusCode, asked_s: float, after_s: float
) -> None:
    """With RetryInfo an exhausted backend is for later; the wait is five minutes at most."""
    outcome = answered(sink, Reply(code, retry_s=asked_s))
    assert (outcome.kind, outcome.after_s) == (LATER, after_s)


def test_details_that_are_garbage_are_none(sink: Sink) -> None:
    """A trailer that is no google.rpc.Status says nothing."""
    trailers = (("grpc-status-details-bin", b"\xff\xff"),)
    outcome = answered(sink, Reply(StatusCode.RESOURCE_EXHAUSTED, trailers=trailers))
    assert outcome.kind == REFUSED


def test_a_request_too_large_for_the_backend_is_to_be_halved() -> None:
    """A server's own limit on messages, often of 4 MiB, asks for less at a time."""
    with Sink(grpc_limit=1000) as sink:
        assert send(at(sink), spans(100)).kind == TOO_LARGE
        assert send(at(sink), spans(5)).kind == TAKEN


@pytest.mark.parametrize(
    "details",
    ["grpc: received message larger than max (5 vs. 4)", "gRPC message exceeds maximum size 4: 5"],
)
def test_other_servers_words_for_too_large(sink: Sink, details: str) -> None:
    """Servers in Go and Java say it in their own words."""
    assert answered(sink, Reply(StatusCode.RESOURCE_EXHAUSTED, details)).kind == TOO_LARGE


# Answers


def test_partial_success_counts_what_was_rejected(sink: Sink) -> None:
    """What was rejected is counted, with the backend's reason."""
    outcome = answered(sink, Reply(body=spans_rejected(3, "too old")))
    assert (outcome.kind, outcome.rejected, outcome.reason) == (TAKEN, 3, "too old")


def test_partial_success_of_log_records(sink: Sink) -> None:
    """Log records are rejected in a field of their own."""
    assert answered(sink, Reply(body=records_rejected(2)), signal=LOGS).rejected == 2


def test_a_garbled_answer_is_taken_with_a_warning(sink: Sink) -> None:
    """The code says that it was taken."""
    outcome = answered(sink, Reply(body=b"\xff\xff"))
    assert (outcome.kind, outcome.reason) == (TAKEN, "taken, but its answer is not OTLP's")


@pytest.mark.parametrize(
    "reply", [Reply(body=bytes(8 << 20)), Reply(body=bytes(200 << 20), is_gzip=True)]
)
def test_an_answer_beyond_the_limit_is_a_refusal(sink: Sink, reply: Reply) -> None:
    """More than 4 MiB, compressed or not, is a refusal, and is not called too large a request."""
    outcome = answered(sink, reply)
    assert (outcome.kind, outcome.reason) == (REFUSED, "an answer of more than 4 MiB")


def test_a_header_that_is_echoed_is_not_told(sink: Sink) -> None:
    """A backend that sends our own header back does not get it into the reason."""
    reply = Reply(StatusCode.PERMISSION_DENIED, f"bad login Bearer {SECRET}\n\x1b[31m" + "x" * 900)
    reason = answered(sink, reply, headers=HEADERS).reason

    assert reason.startswith("PERMISSION_DENIED: bad login *** [31mxxx")
    assert reason.isprintable()
    assert len(reason) < 300


# Faults


def test_a_silent_backend_costs_the_timeout_and_no_more(sink: Sink) -> None:
    """A backend that never answers is given up in time."""
    start_s = time.monotonic()
    outcome = answered(sink, Reply(delay_s=math.inf), timeout_s=0.3)

    assert (outcome.kind, outcome.reason) == (LATER, "no answer within 0.3 s")
    assert time.monotonic() - start_s < 2


def test_a_black_hole_is_given_up_at_the_timeout() -> None:
    """What takes everything and says nothing costs the timeout."""
    with Relay(1, is_black_hole=True) as relay:
        outcome = send(to(f"http://127.0.0.1:{relay.port}", protocol="grpc", timeout_s=0.3))

    assert (outcome.kind, outcome.reason) == (LATER, "no answer within 0.3 s")


def test_nobody_listens() -> None:
    """A refused connection is for later, and is called so."""
    outcome = send(to(f"http://127.0.0.1:{free_port()}", protocol="grpc"))
    assert (outcome.kind, outcome.reason) == (LATER, "Connection refused")


def test_a_name_that_does_not_exist() -> None:
    """A name that cannot be resolved is for later."""
    outcome = send(to("http://nowhere.invalid", protocol="grpc"))
    assert (outcome.kind, outcome.reason) == (LATER, "cannot resolve its name")


@pytest.mark.parametrize("resets", [{"reset_after_up": 30_000}, {"reset_after_down": 10}])
def test_a_reset_on_the_way_is_for_later(sink: Sink, resets: dict[str, int]) -> None:
    """What a network breaks is for later."""
    with Relay(int(sink.grpc.rpartition(":")[2]), **resets) as relay:
        outcome = send(to(f"http://127.0.0.1:{relay.port}", protocol="grpc"), spans(5000))

    assert outcome.kind == LATER


def test_what_speaks_no_grpc_is_for_later(sink: Sink) -> None:
    """The port of HTTP, taken for that of gRPC, is no loss."""
    assert send(to(sink.http, protocol="grpc", timeout_s=3.0)).kind == LATER


def test_closing_ends_a_request_that_waits() -> None:
    """Another thread's close has the waiting request return, and each later one."""
    with Sink(default_reply=Reply(delay_s=math.inf)) as sink:
        outcome, seconds = closed_while_waiting(sink, "grpc")

    assert (outcome.kind, outcome.reason) == (LATER, "given up before there was an answer")
    assert seconds < 2
