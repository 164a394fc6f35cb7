"""One request over HTTP: what is sent, and what each answer is taken for."""

import json
import math
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from google.rpc.status_pb2 import Status
from sending import HEADERS, SECRET, records_rejected, send, spans, spans_rejected, to

from rheostat import __version__
from rheostat_agent.configuration.destination import LOGS
from rheostat_agent.export.outcome import ABSENT, LATER, REFUSED, TAKEN, TOO_LARGE
from rheostat_agent.export.transport import open_transport
from sink import PROTOBUF, Answer, Sink

# What is sent


def test_a_request_is_the_protobuf_as_it_was_given(sink: Sink) -> None:
    """The body is the one that was given, under the name and the types that the specification asks for."""
    outcome = send(to(sink.http), spans(3))
    (request,) = sink.requests

    assert (outcome.kind, outcome.reason, outcome.rejected) == (TAKEN, "", 0)
    assert (request.path, request.body) == ("/v1/traces", spans(3))
    assert request.headers["content-type"] == PROTOBUF
    assert request.headers["user-agent"].startswith(
        f"Rheostat/{__version__} OTel-OTLP-Exporter-Python/1."
    )
    assert "content-encoding" not in request.headers
    assert sink.problems == []


def test_log_records_are_sent_as_spans_are(sink: Sink) -> None:
    """A destination of logs takes a request of log records."""
    assert send(to(sink.http, signal=LOGS)).kind == TAKEN
    assert (sink.requests[0].path, sink.problems) == ("/v1/logs", [])


def test_gzip_compresses_the_body(sink: Sink) -> None:
    """With compression the body is smaller, says so, and is the same once unpacked."""
    send(to(sink.http, compression="gzip"), spans(200))
    (request,) = sink.requests

    assert request.headers["content-encoding"] == "gzip"
    assert request.size < len(spans(200)) / 4
    assert request.body == spans(200)


def test_a_resend_is_the_same_to_the_byte(sink: Sink) -> None:
    """The same body, compressed twice at different times, gives the same bytes: a backend may compare them."""
    sink.expects_resends = True
    for _ in range(2):
        send(to(sink.http, compression="gzip"), spans(9))

    first, second = sink.requests
    assert (first.size, first.body) == (second.size, second.body)
    assert sink.problems == []


@pytest.mark.parametrize("signal", ["traces", "logs"])
def test_json_is_otlps_json(sink: Sink, signal: str) -> None:
    """As JSON a request has the same content, ids in hexadecimal and enumerations as numbers."""
    assert send(to(sink.http, protocol="http/json", signal=signal)).kind == TAKEN
    (request,) = sink.requests
    values = json.loads(request.body)

    assert request.headers["content-type"] == "application/json"
    assert sink.problems == []
    if signal == "traces":
        assert request.spans[0].span_id == b"\0" * 7 + b"\1"
        (span,) = values["resourceSpans"][0]["scopeSpans"][0]["spans"]
        assert (span["traceId"], span["spanId"]) == ("01" * 16, "0000000000000001")


def test_the_users_headers_are_sent(sink: Sink) -> None:
    """Headers go as they are, letters beyond ASCII as UTF-8; the type of the body stays ours."""
    headers = (*HEADERS, ("x-team", "Zürich"), ("Content-Type", "text/plain"))
    send(to(sink.http, headers=headers))
    sent = sink.requests[0].headers

    assert sent["authorization"] == f"Bearer {SECRET}"
    assert sent["x-team"].encode("latin-1").decode() == "Zürich"
    assert sent["content-type"] == PROTOBUF


def test_the_connection_is_kept(sink: Sink) -> None:
    """One connection carries many requests."""
    transport = open_transport(to(sink.http))
    for number in range(3):
        assert transport.send(spans(first=number + 1)).kind == TAKEN
    transport.close()

    assert len({request.peer for request in sink.requests}) == 1


def test_a_backend_that_comes_back_is_reached(sink: Sink) -> None:
    """The transport that could not reach it does so once it is there."""
    transport = open_transport(to(sink.http))
    assert transport.send(spans()).kind == TAKEN
    sink.down()
    assert transport.send(spans(first=2)).kind == LATER
    sink.up()

    assert transport.send(spans(first=3)).kind == TAKEN
    transport.close()


def test_a_request_beyond_the_limit_is_not_sent(sink: Sink) -> None:
    """More than 64 MiB are asked for in halves before anything goes out."""
    assert send(to(sink.http), bytes((64 << 20) + 1)).kind == TOO_LARGE
    assert sink.requests == []


# Statuses


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_backend_that_cannot_now_is_asked_again(sink: Sink, status: int) -> None:
    """The four statuses of the specification are for later."""
    sink.script(Answer(status))
    outcome = send(to(sink.http))

    assert (outcome.kind, outcome.after_s) == (LATER, None)
    assert outcome.reason.startswith(f"{status} ")


@pytest.mark.parametrize("status", [400, 401, 403, 408, 409, 415, 418, 422, 451, 500, 505, 599])
def test_every_other_error_is_for_ever(sink: Sink, status: int) -> None:
    """Nothing else is sent again by itself, 500 neither."""
    sink.script(Answer(status))
    outcome = send(to(sink.http))

    assert outcome.kind == REFUSED
    assert outcome.reason.startswith(str(status))
    assert len(sink.requests) == 1


@pytest.mark.parametrize("status", [401, 403, 415, 422])
def test_a_refusal_of_the_sender_is_for_all(sink: Sink, status: int) -> None:
    """A status that is about the sender, or the form of what it sends, holds for all that it would send."""
    sink.script(Answer(status), Answer(400))

    assert send(to(sink.http)).is_for_all
    assert not send(to(sink.http), spans(first=2)).is_for_all


def test_a_missing_login_names_the_variable(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    """401 says where headers are set; with the signal's own variable set, that one."""
    sink.script(Answer(401), Answer(401))
    assert send(to(sink.http)).reason == "401 Unauthorized: see OTEL_EXPORTER_OTLP_HEADERS"

    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "a=b")
    assert "OTEL_EXPORTER_OTLP_TRACES_HEADERS" in send(to(sink.http), spans(first=2)).reason


def test_a_request_too_large_for_the_backend_is_to_be_halved(sink: Sink) -> None:
    """413 asks for less at a time."""
    sink.script(Answer(413))
    assert send(to(sink.http)).kind == TOO_LARGE


@pytest.mark.parametrize("status", [404, 405, 501])
def test_a_backend_may_lack_a_signal(sink: Sink, status: int) -> None:
    """Backends of traces alone say so of logs in several ways."""
    sink.script(Answer(status))
    assert send(to(sink.http, signal=LOGS)).kind == ABSENT


# Retry-After


@pytest.mark.parametrize(
    ("text", "after_s"),
    [
        ("2", 2.0),
        ("0", 0.0),
        ("1000000000", 300.0),
        ("9" * 5000, 300.0),
        ("-1", None),
        ("x", None),
        ("", None),
        ("1e3", None),
        ("٣", None),
        ("Wed, 99 Oct 99999999 07:28:00 GMT", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", None),
    ],
)
def test_retry_after_is_honoured_within_reason(
    sink: Sink, text: str, after_s: float | None
) -> None:
    """Seconds are taken, five minutes at most; what is no number, negative or past is as if absent."""
    value = text.encode().decode("latin-1")
    sink.script(Answer(503, headers={"Retry-After": value}))

    assert send(to(sink.http)).after_s == after_s


@pytest.mark.parametrize(("ahead_s", "least", "most"), [(100, 95, 100), (10**6, 300, 300)])
def test_retry_after_may_be_a_date(sink: Sink, ahead_s: int, least: float, most: float) -> None:
    """The other form of Retry-After is a date of HTTP."""
    when = format_datetime(datetime.now(UTC) + timedelta(seconds=ahead_s), usegmt=True)
    sink.script(Answer(429, headers={"Retry-After": when}))
    after_s = send(to(sink.http)).after_s

    assert after_s is not None
    assert least <= after_s <= most


@pytest.mark.parametrize("status", [502, 504])
def test_retry_after_belongs_to_two_statuses(sink: Sink, status: int) -> None:
    """A gateway's own errors have no Retry-After by the specification."""
    sink.script(Answer(status, headers={"Retry-After": "2"}))
    assert send(to(sink.http)).after_s is None


# Answers of success


def test_partial_success_counts_what_was_rejected(sink: Sink) -> None:
    """What was rejected is counted, with the backend's reason, and is not to be sent again."""
    sink.script(Answer(body=spans_rejected(3, "too old")))
    outcome = send(to(sink.http), spans(5))

    assert (outcome.kind, outcome.rejected, outcome.reason) == (TAKEN, 3, "too old")


def test_partial_success_of_log_records(sink: Sink) -> None:
    """Log records are rejected in a field of their own."""
    sink.script(Answer(body=records_rejected(1)))
    assert send(to(sink.http, signal=LOGS)).rejected == 1


def test_partial_success_without_a_number_is_a_warning(sink: Sink) -> None:
    """A message alone warns: all was taken."""
    sink.script(Answer(body=spans_rejected(0, "old semantic conventions")))
    outcome = send(to(sink.http))

    assert (outcome.kind, outcome.rejected) == (TAKEN, 0)
    assert outcome.reason == "old semantic conventions"


def test_a_negative_number_of_rejected_spans_is_none(sink: Sink) -> None:
    """A number that cannot be does not lower the counts."""
    sink.script(Answer(body=spans_rejected(-5)))
    assert send(to(sink.http)).rejected == 0


def test_partial_success_as_json(sink: Sink) -> None:
    """An answer in JSON is read as JSON, whatever was sent; numbers may be texts in it."""
    body = b'{"partialSuccess": {"rejectedSpans": "2", "errorMessage": "no"}, "more": []}'
    sink.script(Answer(body=body, headers={"Content-Type": "application/json; charset=utf-8"}))
    outcome = send(to(sink.http, protocol="http/json"))

    assert (outcome.kind, outcome.rejected, outcome.reason) == (TAKEN, 2, "no")


def test_other_statuses_of_success_are_success(sink: Sink) -> None:
    """Backends that queue say 202, others 204."""
    sink.script(Answer(202), Answer(204))
    assert send(to(sink.http)).kind == TAKEN
    assert send(to(sink.http), spans(first=2)).kind == TAKEN


@pytest.mark.parametrize(
    "body", [b"ok", b"\xff\xff\xff", b"{not json", b"[" * 100_000, b"\x0a\xff"]
)
def test_success_with_a_garbled_answer_is_taken_with_a_warning(sink: Sink, body: bytes) -> None:
    """The status says that it was taken; that the rest is not OTLP's is said."""
    kind = "application/json" if body.startswith((b"{", b"[")) else PROTOBUF
    sink.script(Answer(body=body, headers={"Content-Type": kind}))
    outcome = send(to(sink.http))

    assert (outcome.kind, outcome.reason) == (TAKEN, "taken, but its answer is not OTLP's")


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", PROTOBUF])
def test_a_page_of_html_is_no_success(sink: Sink, kind: str) -> None:
    """A portal that answers 200 for the backend has not taken the spans: they are for later."""
    page = b"\n<!DOCTYPE html><html>Log in to the hotel's network</html>"
    sink.script(Answer(body=page, headers={"Content-Type": kind}))
    outcome = send(to(sink.http))

    assert outcome.kind == LATER
    assert "HTML" in outcome.reason


# Redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(sink: Sink, status: int) -> None:
    """Another host gets neither the spans nor the headers; the reason names it, but not the rest of its address."""
    with Sink() as other:
        location = f"{other.http.replace('://', '://user:pw@')}/v1/traces?code=abc"
        sink.script(Answer(status, headers={"Location": location}))
        outcome = send(to(sink.http, headers=HEADERS))

        assert other.requests == []
    assert (outcome.kind, outcome.is_for_all) == (REFUSED, True)
    assert outcome.reason.startswith(f"{status} ")
    assert outcome.reason.endswith(f": to {other.http}, which is not followed")


@pytest.mark.parametrize("location", ["", "/login", "http://[", "javascript:alert(1)", "\x1b[31m"])
def test_a_strange_redirect_is_a_refusal(sink: Sink, location: str) -> None:
    """Whatever stands in Location, it is a refusal in one printable line."""
    sink.script(Answer(302, headers={"Location": location}))
    outcome = send(to(sink.http))

    assert outcome.kind == REFUSED
    assert outcome.reason.isprintable()


# Reasons


def test_the_message_of_an_otlp_error_is_told(sink: Sink) -> None:
    """A google.rpc.Status in the answer says why, in one line of bounded length."""
    message = "quota of team\n\x1b[31mred\x1b[0m is used up " + "x" * 5000
    sink.script(Answer(429, body=Status(message=message).SerializeToString()))
    reason = send(to(sink.http)).reason

    assert reason.startswith("429 Too Many Requests: quota of team [31mred [0m is used up xxx")
    assert len(reason) < 300


def test_a_body_that_is_no_otlp_error_is_not_told(sink: Sink) -> None:
    """Other bodies, and the backend's own phrase for the status, stay out of the reason."""
    sink.script(Answer(400, body=b"<html>", headers={"Content-Type": "text/html"}))
    assert send(to(sink.http)).reason == "400 Bad Request"


@pytest.mark.parametrize("status", [200, 302, 400, 503])
def test_a_header_that_is_echoed_is_not_told(sink: Sink, status: int) -> None:
    """A backend that sends our own header back does not get it into the reason, nor do parts of the address."""
    echo = f"bad login Bearer {SECRET} or {SECRET}, key k3y%21value, k3y!value, password hunter22"
    success = spans_rejected(1, echo)
    body = success if status == 200 else Status(message=echo).SerializeToString()
    headers = {"Location": f"http://{SECRET}.example/{SECRET}"}
    sink.script(Answer(status, body=body, headers=headers))
    endpoint = sink.http.replace("://", "://anna:hunter22@") + "/v1/traces?key=k3y%21value"
    outcome = send(to(sink.http, headers=HEADERS, endpoint=endpoint))

    assert outcome.reason
    for secret in (SECRET, "k3y", "hunter22"):
        assert secret not in outcome.reason


def test_user_and_password_in_the_address_are_sent_as_a_login(sink: Sink) -> None:
    """What stands before the host in the endpoint goes as basic authentication."""
    send(to(sink.http.replace("://", "://anna:a%40b@")))
    assert sink.requests[0].headers["authorization"] == "Basic YW5uYTphQGI="


@pytest.mark.parametrize(
    ("name", "value"), [("x-key", "se\ncret"), ("x key\r\n", "secret"), ("x-key", "\ud800secret")]
)
def test_a_header_that_cannot_be_sent_is_told_without_its_value(
    sink: Sink, name: str, value: str
) -> None:
    """What HTTP has no form for names the variable, and nothing is sent."""
    outcome = send(to(sink.http, headers=((name, value),)))

    assert outcome.kind == LATER
    assert outcome.reason == "what HTTP cannot send: see OTEL_EXPORTER_OTLP_HEADERS"
    assert sink.requests == []


@pytest.mark.parametrize(
    "endpoint", ["", "nonsense", "ftp://host/x", "http://[::1", "http://", "http://a:b"]
)
def test_an_address_that_is_none_names_the_variable(endpoint: str) -> None:
    """What is no URL for HTTP cannot be reached, and raises nothing."""
    outcome = send(to("", endpoint=endpoint, timeout_s=2.0))

    assert outcome.kind == LATER
    assert outcome.reason == "no address for HTTP: see OTEL_EXPORTER_OTLP_ENDPOINT"


# Time


def test_a_silent_backend_costs_the_timeout_and_no_more(sink: Sink) -> None:
    """A backend that never answers is given up in time."""
    sink.script(Answer(delay_s=math.inf))
    start_s = time.monotonic()
    outcome = send(to(sink.http, timeout_s=0.3))

    assert (outcome.kind, outcome.reason) == (LATER, "no answer within 0.3 s")
    assert 0.3 <= time.monotonic() - start_s < 2
