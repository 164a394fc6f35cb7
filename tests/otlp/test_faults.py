"""One request over a bad network, or to a hostile backend: bounded in time and in memory, and nothing raised."""

import gzip
import math
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sending import SECRET, send, spans, to

from backend import free_port
from network import Relay
from rheostat_agent.export.outcome import LATER, REFUSED, TAKEN, Outcome
from rheostat_agent.export.transport import open_transport
from running import wait_until
from sink import Answer, Reply, Sink

_CHUNKED = {"Transfer-Encoding": "chunked"}
_PIECE = 1 << 16


def endless() -> Iterator[bytes]:
    """Yield a chunked body that does not end."""
    while True:
        yield b"%x\r\n%s\r\n" % (_PIECE, bytes(_PIECE))


def bomb() -> bytes:
    """Return 200 MB, compressed to 200 KB."""
    return gzip.compress(bytes(200 << 20), 1)


def sent_twice(endpoint: str, protocol: str) -> tuple[str, int]:
    """Send twice in a process of its own; return what became of the second, and by how many KiB memory grew."""
    child = Path(__file__).with_name("send_twice.py")
    done = subprocess.run(
        [sys.executable, child, endpoint, protocol],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    kind, grown_kb = done.stdout.split()
    return kind, int(grown_kb)


# Answers without measure


def test_an_answer_that_drips_is_given_up_in_time(sink: Sink) -> None:
    """A byte now and then does not put off the end of the request, be it of the headers."""
    sink.script(Answer(drip_s=0.05))
    start_s = time.monotonic()
    outcome = send(to(sink.http, timeout_s=0.5))

    assert (outcome.kind, outcome.reason) == (LATER, "no answer within 0.5 s")
    assert time.monotonic() - start_s < 2


def test_a_body_that_drips_is_given_up_in_time(sink: Sink) -> None:
    """Nor does a byte now and then of the body."""

    def dripping() -> Iterator[bytes]:
        while True:
            sink.pause(0.05)
            yield b"1\r\nx\r\n"

    sink.script(Answer(headers=_CHUNKED, chunks=dripping))
    outcome = send(to(sink.http, timeout_s=0.5))

    assert (outcome.kind, outcome.reason) == (LATER, "no answer within 0.5 s")


def test_a_refusal_counts_though_its_body_never_comes(sink: Sink) -> None:
    """A status says what it says, whatever becomes of the rest."""
    sink.script(Answer(400, headers={"Content-Length": "1000"}))
    outcome = send(to(sink.http, timeout_s=0.5))

    assert (outcome.kind, outcome.reason) == (REFUSED, "400 Bad Request")


def test_an_endless_body_is_a_refusal(sink: Sink) -> None:
    """Reading stops at 4 MiB."""
    sink.script(Answer(headers=_CHUNKED, chunks=endless))
    outcome = send(to(sink.http))

    assert (outcome.kind, outcome.reason) == (REFUSED, "an answer of more than 4 MiB")


def test_an_answer_of_just_4_mib_is_read(sink: Sink) -> None:
    """The limit itself is within it."""
    sink.script(Answer(body=b"\x12" + bytes((4 << 20) - 1)))
    assert send(to(sink.http)).kind == TAKEN


def test_a_gzip_bomb_is_a_refusal(sink: Sink) -> None:
    """What counts is the size after decompression."""
    sink.script(Answer(body=bomb(), headers={"Content-Encoding": "gzip"}))
    outcome = send(to(sink.http))

    assert (outcome.kind, outcome.reason) == (REFUSED, "an answer of more than 4 MiB")


@pytest.mark.parametrize(
    "body", [b"no gzip", gzip.compress(b"ok" * 99)[:-4]], ids=["garbage", "cut off"]
)
def test_a_broken_gzip_answer_is_taken_with_a_warning(sink: Sink, body: bytes) -> None:
    """What says that it is compressed and is not does not take the success away."""
    sink.script(Answer(body=body, headers={"Content-Encoding": "gzip"}))
    outcome = send(to(sink.http))

    assert (outcome.kind, outcome.reason) == (TAKEN, "taken, but its answer is not OTLP's")


@pytest.mark.parametrize("attack", ["huge", "endless", "bomb", "headers"])
def test_memory_is_bounded_whatever_is_answered(sink: Sink, attack: str) -> None:
    """600 MB, a body without end, a bomb, and headers without end cost less than 30 MB each."""
    many = b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: %s\r\n" % (n, bytes(60000)) for n in range(99))
    sink.script(
        Answer(),
        {
            "huge": Answer(
                headers={"Content-Length": str(600 << 20)},
                chunks=lambda: (bytes(_PIECE) for _ in range(600 << 4)),
            ),
            "endless": Answer(headers=_CHUNKED, chunks=endless),
            "bomb": Answer(body=bomb(), headers={"Content-Encoding": "gzip"}),
            "headers": Answer(raw=many + b"A: " + bytes(1 << 20)),
        }[attack],
    )
    kind, grown_kb = sent_twice(sink.http + "/v1/traces", "http/protobuf")

    assert kind == (LATER if attack == "headers" else REFUSED)
    assert grown_kb < 30_000


def test_memory_is_bounded_over_grpc(sink: Sink) -> None:
    """A bomb over gRPC costs less than 30 MB."""
    sink.script(Reply(), Reply(body=bytes(200 << 20), is_gzip=True))
    kind, grown_kb = sent_twice(sink.grpc, "grpc")

    assert kind == REFUSED
    assert grown_kb < 30_000


@pytest.mark.parametrize(
    "raw", [b"garbage\r\n\r\n", b"\x00\x00\x12\x04\x00", b"HTTP/1.1 abc\r\n\r\n"]
)
def test_what_is_not_http_is_for_later(sink: Sink, raw: bytes) -> None:
    """A port of something else names the variable of the protocol, and shows nothing of what came."""
    sink.script(Answer(raw=raw))
    outcome = send(to(sink.http))

    assert outcome.kind == LATER
    assert outcome.reason == "its answer is not HTTP: see OTEL_EXPORTER_OTLP_PROTOCOL"


# Connections


def test_nobody_listens() -> None:
    """A refused connection is for later, and is called so."""
    outcome = send(to(f"http://127.0.0.1:{free_port()}"))
    assert (outcome.kind, outcome.reason) == (LATER, "Connection refused")


def test_a_name_that_does_not_exist() -> None:
    """A name that cannot be resolved is for later."""
    outcome = send(to("http://nowhere.invalid"))

    assert outcome.kind == LATER
    assert outcome.reason.startswith("cannot resolve its name: ")


@pytest.mark.parametrize(
    "answer",
    [
        Answer(reset_in_request=10),
        Answer(reset_after=0),
        Answer(reset_after=20),
        Answer(body=bytes(1000), reset_after=500),
    ],
    ids=["in the request", "before the answer", "in the headers", "in the body"],
)
def test_a_reset_is_for_later(sink: Sink, answer: Answer) -> None:
    """A connection that is reset, wherever, leaves the spans to be sent again; the next request goes through."""
    sink.script(answer)
    transport = open_transport(to(sink.http))
    outcome = transport.send(spans(5000))

    assert (outcome.kind, outcome.reason) == (LATER, "Connection reset by peer")
    assert transport.send(spans(first=10_000)).kind == TAKEN
    transport.close()


def test_an_answer_that_ends_early_is_for_later(sink: Sink) -> None:
    """A body shorter than it was announced is no acknowledgement."""
    sink.script(Answer(headers={"Content-Length": "100"}, chunks=lambda: [b"short"]))
    outcome = send(to(sink.http))

    assert (outcome.kind, outcome.reason) == (LATER, "it broke off its answer")


def test_a_connection_that_ends_without_an_answer_is_for_later(sink: Sink) -> None:
    """A backend that hangs up is for later."""
    sink.script(Answer(raw=b""))
    outcome = send(to(sink.http))

    assert outcome.kind == LATER
    assert outcome.reason == "it closed the connection without an answer"


@pytest.mark.parametrize("resets", [{"reset_after_up": 30_000}, {"reset_after_down": 10}])
def test_a_reset_on_the_way_is_for_later(sink: Sink, resets: dict[str, int]) -> None:
    """What a network breaks is for later."""
    with Relay(int(sink.http.rpartition(":")[2]), **resets) as relay:
        outcome = send(to(f"http://127.0.0.1:{relay.port}"), spans(5000))

    assert outcome.kind == LATER


def test_a_slow_network_delivers_within_the_timeout(sink: Sink) -> None:
    """64 kbit/s are enough for a small request."""
    with Relay(int(sink.http.rpartition(":")[2]), rate=8000) as relay:
        assert send(to(f"http://127.0.0.1:{relay.port}"), spans(50)).kind == TAKEN


def test_a_slow_network_is_given_up_at_the_timeout(sink: Sink) -> None:
    """A request that cannot get through in its time is given up in the middle of its body."""
    start_s = time.monotonic()
    with Relay(int(sink.http.rpartition(":")[2]), rate=8000) as relay:
        outcome = send(to(f"http://127.0.0.1:{relay.port}", timeout_s=0.5), spans(100_000))

    assert (outcome.kind, outcome.reason) == (LATER, "no answer within 0.5 s")
    assert time.monotonic() - start_s < 3


def test_a_black_hole_is_given_up_at_the_timeout() -> None:
    """What takes everything and says nothing costs the timeout."""
    with Relay(1, is_black_hole=True) as relay:
        outcome = send(to(f"http://127.0.0.1:{relay.port}", timeout_s=0.3), spans(100_000))

    assert (outcome.kind, outcome.reason) == (LATER, "no answer within 0.3 s")


# Closing


def closed_while_waiting(sink: Sink, protocol: str) -> tuple[Outcome, float]:
    """Close a transport while it waits for a silent backend; return what became of it, and the seconds it took."""
    address = sink.grpc if protocol == "grpc" else sink.http
    transport = open_transport(to(address, protocol=protocol, timeout_s=30.0))
    found: list[Outcome] = []
    thread = threading.Thread(target=lambda: found.append(transport.send(spans())))
    thread.start()
    sink.await_requests(1)
    start_s = time.monotonic()
    transport.close()
    thread.join(20)
    assert transport.send(spans()).kind == LATER
    return found[0], time.monotonic() - start_s


def test_closing_ends_a_request_that_waits() -> None:
    """Another thread's close has the waiting request return, and each later one."""
    with Sink(default=Answer(delay_s=math.inf)) as sink:
        outcome, seconds = closed_while_waiting(sink, "http/protobuf")

    assert (outcome.kind, outcome.reason) == (LATER, "given up before there was an answer")
    assert seconds < 2


def test_no_thread_outlives_a_request(sink: Sink) -> None:
    """What was given up ends by itself, soon."""
    sink.script(*[Answer(delay_s=math.inf)] * 3)
    before = set(threading.enumerate())
    for number in range(3):
        send(to(sink.http, timeout_s=0.1), spans(first=number + 1))
    wait_until(
        lambda: not [one for one in set(threading.enumerate()) - before if one.name == "request"],
        "the threads of the requests end",
    )


# Proxies


def test_a_proxy_of_the_environment_is_used(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP_PROXY carries the request, with its own login; NO_PROXY leaves it out."""
    with Relay(None) as proxy:
        monkeypatch.setenv("http_proxy", f"http://anna:{SECRET}@127.0.0.1:{proxy.port}")
        assert send(to(sink.http)).kind == TAKEN
        (head,) = proxy.asked
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert send(to(sink.http), spans(first=2)).kind == TAKEN

        assert len(proxy.asked) == 1
    assert head.startswith(f"POST {sink.http}/v1/traces HTTP/1.1\r\n")
    assert "proxy-authorization: basic " in head.lower()


def test_a_proxy_that_is_away_is_for_later(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that does not answer is a failed connection, and its login stays out of the reason."""
    monkeypatch.setenv("http_proxy", f"http://anna:{SECRET}@127.0.0.1:{free_port()}")
    outcome = send(to(sink.http))

    assert outcome.kind == LATER
    assert outcome.reason == "the proxy: Connection refused"


def test_a_proxy_that_refuses_is_for_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that wants another login for the tunnel is told by its status."""
    with Sink(default=Answer(raw=b"HTTP/1.1 407 No\r\n\r\n")) as proxy:
        monkeypatch.setenv("https_proxy", proxy.http)
        outcome = send(to("https://backend.example"))

    assert (outcome.kind, outcome.reason) == (LATER, "the proxy: it answered 407")


@pytest.mark.parametrize("proxy", ["socks5://anna:hunter22@host:1", "http://[::1", "http://a:b:c"])
def test_a_proxy_that_is_none_names_the_variable(
    sink: Sink, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    """What is no proxy for HTTP is for later, and nothing goes past it."""
    monkeypatch.setenv("http_proxy", proxy)
    outcome = send(to(sink.http))

    assert (outcome.kind, outcome.reason) == (LATER, "the proxy is none for HTTP: see HTTP_PROXY")
    assert sink.requests == []
