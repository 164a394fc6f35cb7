"""What a sink answers, and what came to it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import grpc
from opentelemetry.proto.trace.v1.trace_pb2 import Span

import strict


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered to one request over HTTP."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0  # before the first byte; infinite: never
    drip_s: float = 0.0  # between two bytes, of the headers too
    chunks: Callable[[], Iterable[bytes]] | None = (
        None  # a body without a length, instead of *body*
    )
    raw: bytes | None = None  # all of the answer, be it HTTP or not
    reset_after: int | None = None  # bytes of the answer: then the connection is reset
    reset_in_request: int | None = None  # bytes of the request's body: then the connection is reset


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered to one request over gRPC."""

    code: grpc.StatusCode = grpc.StatusCode.OK
    details: str = ""
    retry_s: float | None = None  # google.rpc.RetryInfo in the trailers
    body: bytes = b""
    delay_s: float = 0.0
    is_gzip: bool = False
    trailers: tuple[tuple[str, str | bytes], ...] = ()


@dataclass(slots=True)
class Received:
    """One request as it came."""

    path: str  # of the URL, or the method's name
    headers: dict[str, str]  # by names in lower case; gRPC's metadata
    body: bytes  # decompressed
    size: int  # of the body as it came; with gRPC, decompressed
    peer: str  # the other side's address, the same for requests on one connection
    at_s: float  # of the monotonic clock
    request: strict.Request | None  # None where it is none
    is_taken: bool = False  # answered with success

    @property
    def spans(self) -> list[Span]:
        """Return its spans."""
        return list(strict.spans_in(self.request)) if self.request is not None else []
