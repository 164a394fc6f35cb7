"""OpenTelemetry's variables: where a run goes to, within which limits, in what portions.

By the specification: configuration/sdk-environment-variables.md, protocol/exporter.md. In one thing ours is a choice: with no
endpoint and no exporter named, nothing is sent, for the local history is enough to be useful.

Imported by the launcher: nothing heavy here.
"""

from __future__ import annotations

from rheostat_agent.configuration.addresses import Address, for_grpc
from rheostat_agent.configuration.context import (
    Parent,
    incoming_parent,
    is_sampled,
    read_sampler,
)
from rheostat_agent.configuration.destination import CONSOLE, LOGS, OTLP, TRACES, Destination
from rheostat_agent.configuration.escapes import read_attributes, read_headers
from rheostat_agent.configuration.variables import Variables
from rheostat_agent.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Warn = Callable[[str], None]

__all__ = [
    "Batching",
    "ConfigurationRefused",
    "Limits",
    "Parent",
    "incoming_parent",
    "is_sampled",
    "read_batch",
    "read_destinations",
    "read_limits",
    "refuse_config_file",
    "survey",
]

CONFIG_FILES = ("OTEL_CONFIG_FILE", "OTEL_EXPERIMENTAL_CONFIG_FILE")
GRPC = "grpc"
PROTOCOLS = ("http/protobuf", "http/json", GRPC)
COMPRESSIONS = ("none", "gzip")
_HTTP_DEFAULT, _GRPC_DEFAULT = "http://localhost:4318", "http://localhost:4317"
_TIMEOUT_MS = 10_000
_PROCESSORS = {TRACES: ("OTEL_BSP", 5000), LOGS: ("OTEL_BLRP", 1000)}
_QUEUE, _BATCH, _EXPORT_MS = 2048, 512, 30_000
_COUNT = 128


class ConfigurationRefused(Exception):
    """Something is set that cannot be honoured, and must not be ignored; the text is a line for the user."""


class Limits(Value):
    """How much of a span or of a log record is sent; None: no limit. Lengths in characters."""

    span_attribute_length: int | None = None
    span_attribute_count: int | None = _COUNT
    event_count: int | None = _COUNT
    link_count: int | None = _COUNT
    event_attribute_count: int | None = _COUNT
    link_attribute_count: int | None = _COUNT
    log_attribute_length: int | None = None
    log_attribute_count: int | None = _COUNT


class Batching(Value):
    """In what portions is sent: *delay_s* seconds from one to the next, *most* spans or log records in each.

    *timeout_s*: how long one may take, its repetitions included.
    """

    delay_s: float
    timeout_s: float
    most: int


def refuse_config_file(environ: Mapping[str, str]) -> None:
    """Raise ConfigurationRefused where a file is to replace all variables (configuration/README.md)."""
    for name in CONFIG_FILES:
        if environ.get(name, "").strip():
            text = f"{name} is set, and Rheostat does not read that file: unset it, and set OTEL_EXPORTER_OTLP_ENDPOINT"
            raise ConfigurationRefused(text)


def read_destinations(environ: Mapping[str, str], warn: Warn) -> list[Destination]:
    """Return where traces and logs go; *warn* gets a line for each value that cannot be used.

    Raises ConfigurationRefused.
    """
    refuse_config_file(environ)
    variables = Variables(environ, warn)
    if variables.flag("OTEL_SDK_DISABLED"):
        return []
    found = []
    for signal in (TRACES, LOGS):
        for kind in _exporters(variables, signal):
            if kind == CONSOLE:
                found.append(Destination(signal=signal, kind=CONSOLE))
            else:
                found.append(_otlp(variables, signal))
    return found


def _exporters(variables: Variables, signal: str) -> list[str]:
    """Return the kinds of destinations of a signal."""
    name = f"OTEL_{signal.upper()}_EXPORTER"
    known = (OTLP, CONSOLE, "none")
    kinds = []
    for kind in variables.words(name):
        if kind in known:
            kinds.append(kind)
        else:
            variables.warn(name, f"names {kind}, which is none of {', '.join(known)}: not used")
    if "none" in kinds:
        if len(kinds) > 1:
            variables.warn(name, "names none and others: nothing is sent")
        return []
    if kinds:
        return kinds
    return [OTLP] if _endpoint(variables, signal, _protocol(variables, signal)) else []


def _names(signal: str, what: str) -> tuple[str, str]:
    """Return the variable of one signal, and the one for all of them."""
    return f"OTEL_EXPORTER_OTLP_{signal.upper()}_{what}", f"OTEL_EXPORTER_OTLP_{what}"


def _protocol(variables: Variables, signal: str) -> str:
    return variables.choice(PROTOCOLS, *_names(signal, "PROTOCOL")) or PROTOCOLS[0]


def _endpoint(
    variables: Variables, signal: str, protocol: str
) -> tuple[str, Address | None] | None:
    """Return the endpoint as a transport takes it, and in its parts; None if no usable one is set."""
    own, common = _names(signal, "ENDPOINT")
    for name in variables.set_names(own, common):
        text = variables.text(name)
        try:
            if protocol == GRPC:
                return _grpc_endpoint(text, variables.flag(*_names(signal, "INSECURE")))
            return _http_endpoint(text, f"v1/{signal}" if name == common else "")
        except ValueError as error:
            variables.warn(name, f"{error}: not used")
    return None


def _http_endpoint(text: str, appended: str) -> tuple[str, Address]:
    address = Address(text)
    return address.with_path(appended), address


def _grpc_endpoint(text: str, is_insecure: bool) -> tuple[str, Address | None]:
    address = for_grpc(text, is_insecure)
    return (address, None) if isinstance(address, str) else (address.target(), address)


def _otlp(variables: Variables, signal: str) -> Destination:
    protocol = _protocol(variables, signal)
    found = _endpoint(variables, signal, protocol)
    if found is None and protocol == GRPC:
        found = _grpc_endpoint(_GRPC_DEFAULT, is_insecure=True)
    elif found is None:
        found = _http_endpoint(_HTTP_DEFAULT, f"v1/{signal}")
    endpoint, address = found
    return Destination(
        signal=signal,
        kind=OTLP,
        protocol=protocol,
        endpoint=endpoint,
        headers=_headers(variables, signal, address),
        timeout_s=variables.timeout_s(_TIMEOUT_MS, *_names(signal, "TIMEOUT")),
        compression=variables.choice(COMPRESSIONS, *_names(signal, "COMPRESSION")) or "none",
        certificate=variables.text(*_names(signal, "CERTIFICATE")),
        client_certificate=variables.text(*_names(signal, "CLIENT_CERTIFICATE")),
        client_key=variables.text(*_names(signal, "CLIENT_KEY")),
    )


def _headers(
    variables: Variables, signal: str, address: Address | None
) -> tuple[tuple[str, str], ...]:
    """Return the headers; what stands before the @ of the address becomes one, for it must not be kept or shown."""
    names = variables.set_names(*_names(signal, "HEADERS"))
    headers: tuple[tuple[str, str], ...] = ()
    if names:
        headers = read_headers(
            variables.text(names[0]), lambda text: variables.warn(names[0], text)
        )
    if address is not None and address.user and "authorization" not in dict(headers):
        headers = (*headers, ("authorization", address.basic()))
    if headers and address is not None and address.scheme == "http" and not address.is_local:
        name = names[0] if names else variables.set_names(*_names(signal, "ENDPOINT"))[0]
        variables.warn(name, f"goes to {address.host} without encryption: is https meant?")
    return headers


def read_limits(environ: Mapping[str, str], warn: Warn) -> Limits:
    """Return the limits of what is sent; the variable of a signal wins over the one for all."""
    variables = Variables(environ, warn)
    length, count = "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"

    def limit(*names: str) -> int:
        found = variables.number(*names)
        return _COUNT if found is None else found

    return Limits(
        span_attribute_length=variables.number("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", length),
        span_attribute_count=limit("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", count),
        event_count=limit("OTEL_SPAN_EVENT_COUNT_LIMIT"),
        link_count=limit("OTEL_SPAN_LINK_COUNT_LIMIT"),
        event_attribute_count=limit("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", count),
        link_attribute_count=limit("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", count),
        log_attribute_length=variables.number(
            "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", length
        ),
        log_attribute_count=limit("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", count),
    )


def read_batch(environ: Mapping[str, str], warn: Warn, signal: str = TRACES) -> Batching:
    """Return in what portions a signal is sent.

    Our queue is the history, which has no size to be set: the variable for it bounds the portions, and nothing else.
    """
    variables = Variables(environ, warn)
    prefix, delay_ms = _PROCESSORS[signal]
    most = variables.number(f"{prefix}_MAX_EXPORT_BATCH_SIZE", least=1) or _BATCH
    queue = variables.number(f"{prefix}_MAX_QUEUE_SIZE", least=1)
    return Batching(
        delay_s=variables.duration_s(delay_ms, f"{prefix}_SCHEDULE_DELAY"),
        timeout_s=variables.timeout_s(_EXPORT_MS, f"{prefix}_EXPORT_TIMEOUT"),
        most=min(most, queue) if queue is not None else most,
    )


_LEVELS = ("none", "error", "warn", "info", "debug")
_DEPRECATED = ("OTEL_EXPORTER_JAEGER_", "OTEL_EXPORTER_ZIPKIN_")


def survey(environ: Mapping[str, str]) -> tuple[list[Destination], list[str]]:
    """Return where a run goes, and what the user is to know of their OTEL_* variables, a line each.

    OTEL_LOG_LEVEL may say that they do not want to know. Raises ConfigurationRefused.
    """
    set_names = [name for name in environ if name.startswith("OTEL_")]
    if not set_names:
        return [], []
    found: list[str] = []
    variables = Variables(environ, found.append)
    level = variables.choice(_LEVELS, "OTEL_LOG_LEVEL")
    destinations = read_destinations(environ, found.append)
    read_limits(environ, found.append)
    for signal in _PROCESSORS:
        read_batch(environ, found.append, signal)
    read_sampler(environ, found.append)
    try:
        read_attributes(variables.text("OTEL_RESOURCE_ATTRIBUTES"))
    except ValueError as error:
        variables.warn("OTEL_RESOURCE_ATTRIBUTES", f"is malformed ({error}): none of it is used")
    for prefix in _DEPRECATED:
        for name in [name for name in set_names if name.startswith(prefix)][:1]:
            variables.warn(name, "is of an exporter that OpenTelemetry gave up: not used")
    return destinations, [] if level in ("none", "error") else list(dict.fromkeys(found))
