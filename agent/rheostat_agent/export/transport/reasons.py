"""Reasons: what a failed request is called in a line for the user, without a secret in it.

What the other side says is not trusted: a backend that echoes our headers, or sends terminal escapes, gets neither into
a reason. So the phrases of HTTP are ours, a body is never shown, and of a message in an OTLP answer a bounded part is.
"""

from __future__ import annotations

import base64
import errno
import os
import re
import ssl
import urllib.parse
from collections.abc import Iterator

from rheostat_agent.configuration.destination import Destination
from rheostat_agent.masking import HIDDEN

CLOSED = "given up before there was an answer"
_MOST = 200  # characters of somebody else's text
_SHORTEST_SECRET = 4  # characters; what is shorter is no secret, and is found in any text


class Misconfigured(Exception):
    """A destination to which nothing can be sent as it is set; the text is the reason for the user."""


class Reasons:
    """Words about what went wrong with one destination."""

    def __init__(self, destination: Destination) -> None:
        self._destination = destination
        secrets = {one for one in _secrets(destination) if len(one) >= _SHORTEST_SECRET}
        self._secrets = sorted(secrets, key=len, reverse=True)  # a secret may be part of another

    def variable(self, name: str) -> str:
        """Return the variable that sets *name* ('HEADERS') for this destination: the signal's own where it is set."""
        own = f"OTEL_EXPORTER_OTLP_{self._destination.signal.upper()}_{name}"
        return own if os.environ.get(own) else f"OTEL_EXPORTER_OTLP_{name}"

    def clean(self, text: str) -> str:
        """Return *text*, which came from outside, as one bounded line without secrets."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
        return line if len(line) <= _MOST else line[: _MOST - 1] + "…"

    def no_answer(self) -> str:
        """Return the reason of a request whose time is over."""
        return f"no answer within {self._destination.timeout_s:g} s"

    def of_network(self, error: OSError) -> str:
        """Return the reason of a connection that failed."""
        if isinstance(error, TimeoutError):
            return self.no_answer()
        if isinstance(error, ssl.SSLError):
            return self.of_tls(str(error))
        if error.errno is not None and error.errno in errno.errorcode:
            return os.strerror(error.errno)
        refused = re.search(r"Tunnel connection failed: (\d{3})", str(error))
        return f"it answered {refused[1]}" if refused else "the connection broke off"

    def of_tls(self, text: str) -> str:
        """Return the reason of a failed handshake, from the words of OpenSSL or of BoringSSL, and what to look at."""
        lower = text.lower().replace("_", " ")
        for words, reason, name in _TLS:
            if words in lower:
                return f"TLS: {reason}: see {self.variable(name)}"
        return f"TLS: no secure connection: see {self.variable('ENDPOINT')}"


# The first that is found in the error counts: OpenSSL's words and BoringSSL's, with spaces.
_TLS = (
    ("hostname mismatch", "the certificate is for another host", "ENDPOINT"),
    ("ip address mismatch", "the certificate is for another host", "ENDPOINT"),
    ("hostname verification", "the certificate is for another host", "ENDPOINT"),
    ("peer name", "the certificate is for another host", "ENDPOINT"),
    ("certificate has expired", "the certificate has expired", "CERTIFICATE"),
    ("not yet valid", "the certificate is not yet valid", "CERTIFICATE"),
    ("self-signed", "the certificate is self-signed", "CERTIFICATE"),
    ("self signed", "the certificate is self-signed", "CERTIFICATE"),
    ("certificate verify failed", "the certificate is signed by nobody who is trusted", "CERTIFICATE"),
    ("certificate required", "a client certificate is asked for", "CLIENT_CERTIFICATE"),
    ("protocol version", "the other side speaks an old TLS only", "ENDPOINT"),
    ("unsupported protocol", "the other side speaks an old TLS only", "ENDPOINT"),
    ("alert", "the client certificate is refused", "CLIENT_CERTIFICATE"),
    ("wrong version number", "the other side does not speak TLS", "ENDPOINT"),
    ("record layer failure", "the other side does not speak TLS", "ENDPOINT"),
    # With TLS 1.3 a client without a certificate is turned away after the handshake, often by no more than the end.
    ("eof occurred", "broken off: a client certificate may be asked for", "CLIENT_CERTIFICATE"),
    ("socket closed", "broken off: a client certificate may be asked for", "CLIENT_CERTIFICATE"),
)  # fmt: skip


def _secrets(destination: Destination) -> Iterator[str]:
    """Yield what must not be shown: the values of headers, their words ('Bearer x'), and what the URL has of them."""
    for _, value in destination.headers:
        yield value
        yield from value.split()
        yield urllib.parse.quote(value, safe="", errors="replace")
    parts = split_url(destination.endpoint)
    user, at, _ = parts.netloc.rpartition("@")
    if at:
        yield base64.b64encode(urllib.parse.unquote(user).encode()).decode()
        yield from (user, *user.split(":", 1), *map(urllib.parse.unquote, user.split(":", 1)))
    for _, value in urllib.parse.parse_qsl(parts.query):
        yield value
        yield urllib.parse.quote(value, safe="", errors="replace")


def split_url(url: str) -> urllib.parse.SplitResult:
    """Return the parts of *url*; of what is none, empty ones."""
    try:
        return urllib.parse.urlsplit(url)
    except ValueError:
        return urllib.parse.urlsplit("")
