"""TLS: the other side is always verified, and what is wrong names the variable to look at."""

import os
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from authority import Authority, Pair
from old_tls import OldServer
from sending import HEADERS, SECRET, send, spans, to

from network import Relay
from rheostat_agent.configuration.destination import Destination
from rheostat_agent.export.outcome import LATER, TAKEN, Outcome
from rheostat_agent.export.transport import open_transport
from sink import Sink

PROTOCOLS = ["http/protobuf", "grpc"]

pytestmark = pytest.mark.parametrize("protocol", PROTOCOLS)


def at(sink: Sink, protocol: str, **more: object) -> Destination:
    """Return the destination of a sink."""
    address = sink.grpc if protocol == "grpc" else sink.http
    return to(address, protocol=protocol, timeout_s=5.0, **more)


@pytest.fixture(scope="session")
def right(authority: Authority) -> Pair:
    """The pair of a backend as it should be."""
    return authority.pair("right")


@pytest.fixture
def secure_sink(right: Pair) -> Iterator[Sink]:
    """A backend with a certificate that the authority has signed."""
    with Sink(tls=right) as sink:
        yield sink


@pytest.fixture
def asking_sink(right: Pair, authority: Authority) -> Iterator[Sink]:
    """A backend that asks for certificates of clients."""
    with Sink(tls=right, clients=authority.certificate) as sink:
        yield sink


def failed(outcome: Outcome, reason: str) -> bool:
    """Say whether *outcome* is a failed connection for *reason*."""
    return (outcome.kind, outcome.reason) == (LATER, f"TLS: {reason}")


def test_the_users_authority_is_trusted(
    secure_sink: Sink, authority: Authority, protocol: str
) -> None:
    """With the authority's certificate the backend is reached, and stays connected."""
    transport = open_transport(at(secure_sink, protocol, certificate=str(authority.certificate)))
    assert transport.send(spans()).kind == TAKEN
    assert transport.send(spans(first=2)).kind == TAKEN
    transport.close()

    assert len({request.peer for request in secure_sink.requests}) == 1


def test_an_unknown_authority_is_not_trusted(secure_sink: Sink, protocol: str) -> None:
    """Without it the certificate is signed by nobody who is trusted."""
    outcome = send(at(secure_sink, protocol, headers=HEADERS))

    assert outcome.kind == LATER
    assert outcome.reason.startswith(
        "TLS: the certificate is s"
    )  # self-signed in the chain, or signed by nobody
    assert outcome.reason.endswith("see OTEL_EXPORTER_OTLP_CERTIFICATE")
    assert secure_sink.requests == []


def test_the_signals_own_variable_is_named(
    secure_sink: Sink, protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the signal's own variable is set, that is the one to look at."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "x")
    reason = send(at(secure_sink, protocol)).reason
    assert reason.endswith("see OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE")


def test_an_expired_certificate(authority: Authority, protocol: str) -> None:
    """A certificate whose time is over is not trusted."""
    with Sink(tls=authority.pair("expired", is_expired=True)) as sink:
        outcome = send(at(sink, protocol, certificate=str(authority.certificate)))

    assert failed(outcome, "the certificate has expired: see OTEL_EXPORTER_OTLP_CERTIFICATE")


def test_a_certificate_for_another_host(authority: Authority, protocol: str) -> None:
    """A certificate of somebody else is not trusted, though the authority has signed it."""
    with Sink(tls=authority.pair("other", "DNS:other.example")) as sink:
        outcome = send(at(sink, protocol, certificate=str(authority.certificate)))

    assert failed(outcome, "the certificate is for another host: see OTEL_EXPORTER_OTLP_ENDPOINT")


def test_a_self_signed_certificate(authority: Authority, protocol: str) -> None:
    """A certificate that signs itself is not trusted, unless it is the authority that the user names."""
    pair = authority.self_signed()
    with Sink(tls=pair) as sink:
        outcome = send(at(sink, protocol))
        named = send(at(sink, protocol, certificate=str(pair[0])), spans(first=2))

    assert failed(outcome, "the certificate is self-signed: see OTEL_EXPORTER_OTLP_CERTIFICATE")
    assert named.kind == TAKEN


def test_a_backend_without_tls(sink: Sink, authority: Authority, protocol: str) -> None:
    """https to a port that has none names the endpoint, and sends nothing."""
    address = (sink.grpc if protocol == "grpc" else sink.http).replace("http:", "https:")
    outcome = send(to(address, protocol=protocol, timeout_s=2.0, headers=HEADERS))

    assert outcome.kind == LATER
    assert outcome.reason.endswith("see OTEL_EXPORTER_OTLP_ENDPOINT")
    assert sink.requests == []


def test_an_old_tls_is_refused(right: Pair, authority: Authority, protocol: str) -> None:
    """A backend that speaks TLS 1.1 at most is not spoken to."""
    with OldServer(right, ssl.TLSVersion.TLSv1_1) as server:
        address = f"https://127.0.0.1:{server.port}"
        more = {"protocol": protocol, "certificate": str(authority.certificate)}
        outcome = send(to(address, timeout_s=5.0, **more))

    assert failed(outcome, "the other side speaks an old TLS only: see OTEL_EXPORTER_OTLP_ENDPOINT")


# Certificates of ours


def test_a_clients_certificate_is_shown(
    asking_sink: Sink, authority: Authority, protocol: str
) -> None:
    """A backend that asks for a certificate has the user's."""
    certificate, key = authority.pair("client")
    more = {"client_certificate": str(certificate), "client_key": str(key)}
    destination = at(asking_sink, protocol, certificate=str(authority.certificate), **more)

    assert send(destination).kind == TAKEN


@pytest.mark.parametrize("has_one", [False, True])
def test_a_missing_or_wrong_certificate_of_ours(
    asking_sink: Sink, authority: Authority, protocol: str, has_one: bool
) -> None:
    """A backend that asks for a certificate and gets none, or one of another authority, is for later."""
    certificate, key = authority.self_signed()
    more = {"client_certificate": str(certificate), "client_key": str(key)} if has_one else {}
    destination = at(asking_sink, protocol, certificate=str(authority.certificate), **more)
    outcome = send(destination)

    assert outcome.kind == LATER
    # The end of the connection may come before the word why.
    ending = ("see OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "reset by peer", "Broken pipe")
    assert outcome.reason.endswith(ending)
    assert asking_sink.requests == []


@pytest.mark.parametrize("field", ["certificate", "client_certificate", "client_key"])
def test_a_file_that_is_missing_names_itself(
    secure_sink: Sink, authority: Authority, protocol: str, field: str
) -> None:
    """A path where nothing is stands in the reason, beside its variable."""
    certificate, key = authority.pair("client")
    files = {
        "certificate": str(authority.certificate),
        "client_certificate": str(certificate),
        "client_key": str(key),
        field: "/nowhere/x.pem",
    }
    outcome = send(at(secure_sink, protocol, **files))

    assert outcome.kind == LATER
    assert (
        outcome.reason
        == f"OTEL_EXPORTER_OTLP_{field.upper()}: /nowhere/x.pem: No such file or directory"
    )


@pytest.mark.parametrize("field", ["certificate", "client_certificate", "client_key"])
def test_a_file_of_garbage_names_itself(
    secure_sink: Sink, authority: Authority, protocol: str, field: str, tmp_path: Path
) -> None:
    """A file that is no PEM stands in the reason."""
    certificate, key = authority.pair("client")
    garbage = tmp_path / "garbage.pem"
    garbage.write_bytes(os.urandom(300))
    files = {
        "certificate": str(authority.certificate),
        "client_certificate": str(certificate),
        "client_key": str(key),
        field: str(garbage),
    }
    outcome = send(at(secure_sink, protocol, **files))

    assert outcome.kind == LATER
    assert str(garbage) in outcome.reason
    assert outcome.reason.startswith("OTEL_EXPORTER_OTLP_")


def test_a_certificate_that_appears_later_is_used(
    secure_sink: Sink, authority: Authority, protocol: str, tmp_path: Path
) -> None:
    """Files are read again after a failure: one that was mounted late, or renewed, needs no new start."""
    late = tmp_path / "late.pem"
    transport = open_transport(at(secure_sink, protocol, certificate=str(late)))
    assert transport.send(spans()).kind == LATER
    late.write_bytes(authority.self_signed()[0].read_bytes())
    assert transport.send(spans()).kind == LATER
    late.write_bytes(authority.certificate.read_bytes())

    assert transport.send(spans()).kind == TAKEN
    transport.close()


def test_a_key_with_a_password_asks_nobody(
    secure_sink: Sink, authority: Authority, protocol: str, tmp_path: Path
) -> None:
    """A key that needs a password is told; the terminal is not asked."""
    certificate, key = authority.pair("client")
    locked = authority.locked(key, tmp_path / "locked.key")
    more = {"client_certificate": str(certificate), "client_key": str(locked)}
    outcome = send(at(secure_sink, protocol, **more))

    assert outcome.kind == LATER
    assert outcome.reason.startswith(f"OTEL_EXPORTER_OTLP_CLIENT_KEY: {locked}: ")


def test_a_proxy_tunnels_tls(
    secure_sink: Sink, authority: Authority, protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HTTPS_PROXY sees the host, and nothing of what goes to it."""
    with Relay(None) as proxy:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
        more = {"certificate": str(authority.certificate), "headers": HEADERS}
        assert send(at(secure_sink, protocol, **more)).kind == TAKEN

    assert proxy.asked[0].startswith("CONNECT 127.0.0.1:")
    assert SECRET not in proxy.asked[0]
