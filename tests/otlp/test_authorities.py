"""Whom TLS trusts where the user names nobody."""

import ssl
from pathlib import Path

import pytest
from sending import to

from rheostat_agent.export.transport.certificates import tls_context
from rheostat_agent.export.transport.reasons import Reasons


def trusted() -> int:
    """Return how many authorities a connection trusts that were loaded beforehand."""
    destination = to("https://backend.example")
    return tls_context(destination, Reasons(destination)).cert_store_stats()["x509_ca"]


def test_a_system_without_authorities_has_certifis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container without certificates still reaches the backends of this world."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    assert trusted() > 50


def test_a_system_with_authorities_keeps_to_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the system has authorities, nobody else is trusted."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    (tmp_path / "01234567.0").write_text("")
    assert trusted() == 0


def test_no_connection_is_made_without_verifying() -> None:
    """The certificate and its host are checked, and no TLS below 1.2 is spoken."""
    destination = to("https://backend.example")
    context = tls_context(destination, Reasons(destination))

    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
