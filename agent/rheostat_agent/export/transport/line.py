"""A line: the connection to one destination, through a proxy where the environment names one, which can be cut.

urllib3 makes and keeps the connection, in its pool of one. What it lacks is that another thread ends what it waits for;
so the pool is given connections of our own class, which tell of themselves before they connect.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Any
from urllib.request import getproxies_environment, proxy_bypass

import urllib3
from urllib3 import HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, LocationValueError

from rheostat_agent.configuration.destination import Destination
from rheostat_agent.export.transport.certificates import tls_context
from rheostat_agent.export.transport.reasons import Misconfigured, Reasons, split_url


class Line:
    """The connection to *destination*; it is made by the first request. Raises Misconfigured."""

    def __init__(self, destination: Destination, reasons: Reasons) -> None:
        self._url = destination.endpoint.partition("#")[0]
        self._reasons = reasons
        self._timeout = urllib3.Timeout(connect=destination.timeout_s, read=destination.timeout_s)
        self._lock = threading.Lock()  # over the two attributes below
        self.is_cut = False
        self._connection: HTTPConnection | None = None
        scheme = split_url(self._url).scheme
        if scheme not in ("http", "https"):
            raise Misconfigured(f"no address for HTTP: see {reasons.variable('ENDPOINT')}")
        context = tls_context(destination, reasons) if scheme == "https" else None
        self._manager = _manager(self._url, context)
        self._pool = self._manager.connection_from_url(self._url)
        kind = (
            _SecureConnection if isinstance(self._pool, HTTPSConnectionPool) else _PlainConnection
        )
        self._pool.ConnectionCls = type(kind.__name__, (kind,), {"line": self})

    def post(
        self, body: bytes, headers: Callable[[], Mapping[str, str]]
    ) -> urllib3.BaseHTTPResponse:
        """Send *body* with what *headers* returns; return the answer as soon as its headers are there.

        Raises HTTPError, OSError, and Misconfigured for headers that cannot be sent.
        """
        try:
            return self._post(body, headers())
        except HTTPError:
            raise
        except ValueError:  # its text has the header's value, so nothing of it goes on
            text = f"what HTTP cannot send: see {self._reasons.variable('HEADERS')}"
            raise Misconfigured(text) from None

    def _post(self, body: bytes, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        return self._manager.urlopen(
            "POST",
            self._url,
            body=body,
            headers=headers,
            timeout=self._timeout,
            retries=False,
            redirect=False,
            preload_content=False,
        )

    def cut(self) -> None:
        """End the connection now: a thread that waits for it has an error instead."""
        with self._lock:
            self.is_cut = True
            sock = self._connection.sock if self._connection is not None else None
        if isinstance(sock, socket.socket):
            # The socket's own method: that of an SSLSocket would take away what the other thread reads with.
            with contextlib.suppress(OSError):  # it is closed already, or not connected yet
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
        self._pool.close()

    def tell(self, connection: HTTPConnection) -> None:
        """*connection* is about to wait for the other side. Raises ConnectionAbortedError if the line is cut."""
        with self._lock:
            if self.is_cut:
                raise ConnectionAbortedError("given up")
            self._connection = connection


class _PlainConnection(HTTPConnection):
    line: Line  # of the subclass that each line makes

    def connect(self) -> None:
        self.line.tell(self)
        super().connect()
        self.line.tell(self)  # while it was being made there was nothing to shut down


class _SecureConnection(HTTPSConnection):
    line: Line

    def connect(self) -> None:
        self.line.tell(self)
        super().connect()
        self.line.tell(self)


def _manager(url: str, context: ssl.SSLContext | None) -> urllib3.PoolManager:
    """Return what makes connections for *url*: to its host, or to the proxy that the environment names for it.

    Raises Misconfigured.
    """
    options: dict[str, Any] = {} if context is None else {"ssl_context": context}
    parts = split_url(url)
    proxies = getproxies_environment()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    host = parts.netloc.rpartition("@")[2]
    if not proxy or proxy_bypass(host, proxies):
        return urllib3.PoolManager(1, **options)
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    try:
        user = urllib3.util.parse_url(proxy).auth
        login = urllib3.make_headers(proxy_basic_auth=urllib.parse.unquote(user)) if user else None
        return urllib3.ProxyManager(proxy, 1, proxy_headers=login, **options)
    except LocationValueError:  # its text has the proxy's password
        text = f"the proxy is none for HTTP: see {parts.scheme.upper()}_PROXY"
        raise Misconfigured(text) from None
