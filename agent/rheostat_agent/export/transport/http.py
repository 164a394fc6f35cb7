"""OTLP over HTTP: one POST a request, in protobuf or JSON, on a connection that is kept.

Each exchange is made by a thread of its own, and `send` waits for that thread: for the destination's timeout at most.
A timeout of the socket would not do, since it begins anew with each byte that drips in, and the resolver has none. When
the time is over, or another thread closes the transport, the socket is shut down, and what is left of the exchange ends
by itself. Redirects are not followed: the headers are meant for one host. Nothing is repeated here.
"""

from __future__ import annotations

import gzip
import http.client
import socket
import threading
import urllib.parse
from collections.abc import Iterator

import urllib3
from urllib3 import exceptions

from rheostat_agent.configuration.destination import TRACES, Destination
from rheostat_agent.export.outcome import LATER, REFUSED, TOO_LARGE, Outcome
from rheostat_agent.export.transport.answers import (
    JSON,
    MAX_REQUEST,
    MAX_RESPONSE,
    PROTOBUF,
    Answers,
    message_in,
)
from rheostat_agent.export.transport.line import Line
from rheostat_agent.export.transport.otlpjson import json_of
from rheostat_agent.export.transport.reasons import CLOSED, Misconfigured, Reasons, split_url
from rheostat_agent.export.transport.useragent import USER_AGENT

_GZIP_LEVEL = 3  # twenty times as fast as the default, 9, and spans become no larger by it
_OURS = ("content-type", "content-encoding", "content-length", "transfer-encoding")


class HttpTransport:
    """The way to one destination."""

    def __init__(self, destination: Destination) -> None:
        self._destination = destination
        self._reasons = Reasons(destination)
        self._answers = Answers(destination, self._reasons)
        self._is_json = destination.protocol == "http/json"
        self._is_gzip = destination.compression == "gzip"
        self._line: Line | None = None
        self._exchange: _Exchange | None = None
        self._lock = threading.Lock()  # over the line, the exchange, and whether it is closed
        self._is_closed = False

    def send(self, body: bytes) -> Outcome:
        """Send *body*, and say what became of it."""
        if len(body) > MAX_REQUEST:
            return Outcome(TOO_LARGE, f"a request of more than {MAX_REQUEST >> 20} MiB")
        exchange = _Exchange()
        with self._lock:
            if self._is_closed:
                return Outcome(LATER, CLOSED)
            self._exchange = exchange
        thread = threading.Thread(
            target=self._make, args=(exchange, body), name="request", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as error:  # the limit on threads of a container
            return Outcome(LATER, str(error))
        if not exchange.is_over.wait(self._destination.timeout_s):
            exchange.give_up(Outcome(LATER, self._reasons.no_answer()))
        if exchange.error is not None:
            raise exchange.error
        return exchange.outcome

    def close(self) -> None:
        """Let go of the connection; a waiting `send` returns."""
        with self._lock:
            self._is_closed = True
            exchange, line = self._exchange, self._line
        if exchange is not None:
            exchange.give_up(Outcome(LATER, CLOSED))
        if line is not None:
            line.cut()

    # In the thread of an exchange

    def _make(self, exchange: _Exchange, body: bytes) -> None:
        try:
            exchange.end(self._exchanged(exchange, body))
        except Misconfigured as error:
            exchange.end(Outcome(LATER, str(error)))
        except (exceptions.HTTPError, http.client.HTTPException, OSError) as error:
            exchange.give_up(Outcome(LATER, self._reason(error)))
        except Exception as error:  # noqa: BLE001  # a fault of ours: `send` raises it
            exchange.fail(error)

    def _exchanged(self, exchange: _Exchange, body: bytes) -> Outcome:
        """Send *body* and read the answer."""
        line = self._open_line()
        exchange.use(line)
        response = line.post(self._encoded(body), self._headers)
        status, kind = response.status, response.headers.get("Content-Type", "").lower()
        if not 200 <= status < 300:
            exchange.known = self._refusal(response, "")
        # One more than the limit tells; urllib3 decompresses no further than what is asked for.
        try:
            content = response.read(MAX_RESPONSE + 1, decode_content=True)
        except exceptions.DecodeError:  # the status is there, and says it
            response.close()
            return exchange.known or self._answers.unreadable()
        if len(content) > MAX_RESPONSE:
            response.close()
            return self._answers.too_large()
        response.release_conn()
        if 200 <= status < 300:
            return self._answers.of_success(kind, content)
        return self._refusal(response, message_in(kind, content))

    def _refusal(self, response: urllib3.BaseHTTPResponse, message: str) -> Outcome:
        outcome = self._answers.of_status(
            response.status, response.headers.get("Retry-After"), message
        )
        if not 300 <= response.status < 400:
            return outcome
        target = response.headers.get("Location", "")
        try:
            where = urllib.parse.urljoin(self._destination.endpoint, target)
        except ValueError:
            where = ""
        host = self._reasons.clean(_origin(where))
        reason = f"{outcome.reason}: to {host}, which is not followed"
        return Outcome(REFUSED, reason, is_for_all=True)

    def _open_line(self) -> Line:
        """Return the line, a new one if the last was cut: that reads the certificates again."""
        with self._lock:
            if self._line is None or self._line.is_cut:
                self._line = Line(self._destination, self._reasons)
            return self._line

    def _encoded(self, body: bytes) -> bytes:
        if self._is_json:
            body = json_of(body, self._destination.signal == TRACES)
        return gzip.compress(body, _GZIP_LEVEL, mtime=0) if self._is_gzip else body

    def _headers(self) -> urllib3.HTTPHeaderDict:
        """Return the user's headers and ours, of which those of the body win. Raises ValueError."""
        headers = urllib3.HTTPHeaderDict({"User-Agent": USER_AGENT})
        user, at, _ = split_url(self._destination.endpoint).netloc.rpartition("@")
        if at:
            headers.update(urllib3.make_headers(basic_auth=urllib.parse.unquote(user)))
        for name, value in self._destination.headers:
            if name.lower() not in _OURS:
                headers[name] = value.encode("utf-8", "surrogateescape").decode("latin-1")
        headers["Content-Type"] = JSON if self._is_json else PROTOBUF
        if self._is_gzip:
            headers["Content-Encoding"] = "gzip"
        return headers

    def _reason(self, error: BaseException) -> str:
        """Return why there was no answer."""
        causes = list(_causes(error))
        through = [cause for cause in causes if isinstance(cause, exceptions.ProxyError)]
        return ("the proxy: " if through else "") + self._reason_among(causes)

    def _reason_among(self, causes: list[BaseException]) -> str:
        for cause in causes:
            if isinstance(cause, socket.gaierror):
                return f"cannot resolve its name: {cause.strerror}"
            if isinstance(cause, exceptions.LocationValueError):
                return f"no address for HTTP: see {self._reasons.variable('ENDPOINT')}"
            if isinstance(cause, exceptions.SSLError):
                return self._reasons.of_tls(str(cause))
            if isinstance(cause, http.client.RemoteDisconnected):
                return "it closed the connection without an answer"
            if isinstance(cause, (exceptions.IncompleteRead, http.client.IncompleteRead)):
                return "it broke off its answer"
            if isinstance(cause, http.client.HTTPException):
                return f"its answer is not HTTP: see {self._reasons.variable('PROTOCOL')}"
            if isinstance(cause, OSError):
                return self._reasons.of_network(cause)
        return "the connection broke off"


class _Exchange:
    """One request and its answer: what the thread that makes it tells the thread that waits."""

    def __init__(self) -> None:
        self.is_over = threading.Event()
        self.known: Outcome | None = None  # from the status, while the rest of the answer is read
        self.error: Exception | None = None
        self._lock = threading.Lock()
        self._outcome: Outcome | None = None
        self._line: Line | None = None

    @property
    def outcome(self) -> Outcome:
        """Return what became of it; it is over."""
        assert self._outcome is not None
        return self._outcome

    def end(self, outcome: Outcome) -> None:
        """It is over, with *outcome* if it was not over before."""
        with self._lock:
            if not self.is_over.is_set():
                self._outcome = outcome
                self.is_over.set()

    def use(self, line: Line) -> None:
        """It goes over *line*. Raises ConnectionAbortedError if it is over."""
        with self._lock:
            if self.is_over.is_set():
                raise ConnectionAbortedError(CLOSED)
            self._line = line

    def give_up(self, outcome: Outcome) -> None:
        """Do not wait any longer: the status says it, if it came, else *outcome* does. Its line is cut."""
        with self._lock:
            is_over = self.is_over.is_set()
        if not is_over:
            self.end(self.known or outcome)
            if self._line is not None:
                self._line.cut()

    def fail(self, error: Exception) -> None:
        """It is over, by a fault of ours."""
        with self._lock:
            if not self.is_over.is_set():
                self.error = error
                self.is_over.set()


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield *error* and what is behind it: by being its cause, or one of its arguments."""
    waiting, seen = [error], set[int]()
    while waiting:
        one = waiting.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        inner = [one.__cause__, one.__context__, *one.args]
        waiting += [each for each in inner if isinstance(each, BaseException)]


def _origin(url: str) -> str:
    """Return scheme, host and port of a URL that came from outside."""
    parts = split_url(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
