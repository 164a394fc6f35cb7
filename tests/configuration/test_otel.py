"""OpenTelemetry's variables: each row of the specification's tables (configuration/sdk-environment-variables.md, protocol/exporter.md)."""

from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rheostat_agent.configuration.destination import CONSOLE, LOGS, OTLP, TRACES, Destination
from rheostat_agent.configuration.escapes import (
    decoded,
    encoded,
    format_headers,
    is_header_value,
    read_headers,
)
from rheostat_agent.configuration.otel import (
    Batching,
    ConfigurationRefused,
    Limits,
    read_batch,
    read_destinations,
    read_limits,
    survey,
)

BASE = "OTEL_EXPORTER_OTLP_ENDPOINT"
OWN = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"
HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"
HERE = {BASE: "http://localhost:4318"}
ALL_LIMITS = Limits().as_dict()


def destinations(environ: dict[str, str]) -> tuple[list[Destination], list[str]]:
    """Return where it goes, and the warnings."""
    warnings: list[str] = []
    return read_destinations(environ, warnings.append), warnings


def traces(environ: dict[str, str]) -> tuple[Destination, list[str]]:
    """Return the one destination of traces, and the warnings."""
    found, warnings = destinations(environ)
    (one,) = [one for one in found if one.signal == TRACES]
    return one, warnings


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, []),
        ({BASE: ""}, []),
        ({BASE: "http://c", "OTEL_SDK_DISABLED": "TRUE"}, []),
        ({BASE: "http://c", "OTEL_SDK_DISABLED": "false"}, [(TRACES, OTLP), (LOGS, OTLP)]),
        ({BASE: "http://c"}, [(TRACES, OTLP), (LOGS, OTLP)]),
        ({OWN: "http://c"}, [(TRACES, OTLP)]),
        ({"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://c"}, [(LOGS, OTLP)]),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://c"}, []),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, [(TRACES, OTLP)]),
        ({"OTEL_TRACES_EXPORTER": "OTLP"}, [(TRACES, OTLP)]),
        ({"OTEL_LOGS_EXPORTER": "otlp"}, [(LOGS, OTLP)]),
        ({"OTEL_TRACES_EXPORTER": "console"}, [(TRACES, CONSOLE)]),
        ({"OTEL_TRACES_EXPORTER": "otlp, console,otlp"}, [(TRACES, OTLP), (TRACES, CONSOLE)]),
        ({BASE: "http://c", "OTEL_TRACES_EXPORTER": "none"}, [(LOGS, OTLP)]),
        ({BASE: "http://c", "OTEL_LOGS_EXPORTER": "none"}, [(TRACES, OTLP)]),
    ],
)
def test_where_to(environ: dict[str, str], expected: list[tuple[str, str]]) -> None:
    """Which signals go anywhere, and by what."""
    found, warnings = destinations(environ)

    assert [(one.signal, one.kind) for one in found] == expected
    assert warnings == []


@pytest.mark.parametrize(
    ("environ", "traces_to", "logs_to"),
    [
        ({BASE: "http://c:4318"}, "http://c:4318/v1/traces", "http://c:4318/v1/logs"),
        ({BASE: "http://c:4318/"}, "http://c:4318/v1/traces", "http://c:4318/v1/logs"),
        ({BASE: "http://c:4318/x"}, "http://c:4318/x/v1/traces", "http://c:4318/x/v1/logs"),
        ({BASE: "http://c:4318/x/"}, "http://c:4318/x/v1/traces", "http://c:4318/x/v1/logs"),
        ({BASE: "https://c"}, "https://c/v1/traces", "https://c/v1/logs"),
        ({BASE: "https://c/a%2Fb//c?k=1"}, "https://c/a%2Fb//c/v1/traces?k=1", "https://c/a%2Fb//c/v1/logs?k=1"),
        ({BASE: "HTTP://[::1]:4318"}, "http://[::1]:4318/v1/traces", "http://[::1]:4318/v1/logs"),
        ({BASE: " http://c "}, "http://c/v1/traces", "http://c/v1/logs"),
        ({BASE: "http://c", OWN: "http://t:1/v1/traces"}, "http://t:1/v1/traces", "http://c/v1/logs"),
        ({BASE: "http://c", OWN: "http://t"}, "http://t/", "http://c/v1/logs"),
        ({BASE: "http://c", OWN: "http://t/in?q=1"}, "http://t/in?q=1", "http://c/v1/logs"),
        ({BASE: "http://c", OWN: "http://t?q=1"}, "http://t/?q=1", "http://c/v1/logs"),
        ({BASE: "http://c", OWN: "http://t/x//"}, "http://t/x//", "http://c/v1/logs"),
        ({BASE: "http://c", OWN: ""}, "http://c/v1/traces", "http://c/v1/logs"),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_LOGS_EXPORTER": "otlp"},
         "http://localhost:4318/v1/traces", "http://localhost:4318/v1/logs"),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_LOGS_EXPORTER": "otlp", PROTOCOL: "grpc"},
         "http://localhost:4317", "http://localhost:4317"),
    ],
)  # fmt: skip
def test_endpoints(environ: dict[str, str], traces_to: str, logs_to: str) -> None:
    """A base is extended, path and all; the endpoint of a signal is used as it is; only a missing path becomes /."""
    found, warnings = destinations(environ)

    assert [one.endpoint for one in found] == [traces_to, logs_to]
    assert warnings == []


@pytest.mark.parametrize(
    ("endpoint", "insecure", "expected"),
    [
        ("http://c:4317", "", "http://c:4317"),
        ("https://c:4317", "true", "https://c:4317"),
        ("http://c:4317", "false", "http://c:4317"),
        ("https://c", "", "https://c:443"),
        ("http://c/path", "", "http://c:80"),
        ("c:4317", "", "https://c:4317"),
        ("c:4317", "true", "http://c:4317"),
        ("[::1]:4317", "true", "http://[::1]:4317"),
        ("dns:///c:4317", "true", "http://dns:///c:4317"),
        ("unix:///run/otel.sock", "true", "http://unix:///run/otel.sock"),
    ],
)
def test_grpc_endpoints(endpoint: str, insecure: str, expected: str) -> None:
    """The scheme wins over the variable for insecure connections, which decides where there is none."""
    environ = {BASE: endpoint, PROTOCOL: "grpc", "OTEL_EXPORTER_OTLP_INSECURE": insecure}
    found, warnings = traces(environ)

    assert (found.endpoint, found.protocol, warnings) == (expected, "grpc", [])


@pytest.mark.parametrize(
    ("what", "general", "own", "field", "expected"),
    [
        ("PROTOCOL", "", "", "protocol", "http/protobuf"),
        ("PROTOCOL", "HTTP/JSON", "", "protocol", "http/json"),
        ("PROTOCOL", "http/json", "grpc", "protocol", "grpc"),
        ("TIMEOUT", "", "", "timeout_s", 10.0),
        ("TIMEOUT", "2500", "", "timeout_s", 2.5),
        ("TIMEOUT", "2500", "1", "timeout_s", 0.001),
        ("TIMEOUT", "0", "", "timeout_s", 2147483.647),
        ("COMPRESSION", "", "", "compression", "none"),
        ("COMPRESSION", "gzip", "", "compression", "gzip"),
        ("COMPRESSION", "gzip", "none", "compression", "none"),
        ("CERTIFICATE", "/ca.pem", "", "certificate", "/ca.pem"),
        ("CERTIFICATE", "/ca.pem", "/own.pem", "certificate", "/own.pem"),
        ("CLIENT_CERTIFICATE", "/c.pem", "", "client_certificate", "/c.pem"),
        ("CLIENT_KEY", "/k.pem", "/own.pem", "client_key", "/own.pem"),
        ("HEADERS", "", "", "headers", ()),
        ("HEADERS", "a=1", "b=2", "headers", (("b", "2"),)),
    ],
)
def test_options(what: str, general: str, own: str, field: str, expected: Any) -> None:
    """The variable of a signal wins over that for all of them; an empty one is none."""
    environ = {
        **HERE, f"OTEL_EXPORTER_OTLP_{what}": general, f"OTEL_EXPORTER_OTLP_TRACES_{what}": own
    }  # fmt: skip
    found, warnings = traces(environ)

    assert (getattr(found, field), warnings) == (expected, [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("k=v", [("k", "v")]),
        (" k = v , l=w ,", [("k", "v"), ("l", "w")]),
        ("Authorization=Basic%20dTpw", [("authorization", "Basic dTpw")]),
        ("authorization=Bearer abc==", [("authorization", "Bearer abc==")]),
        ("k=a%2Cb%3Bc%3D%25", [("k", "a,b;c=%")]),
        ("k=100%", [("k", "100%")]),
        ("k=", [("k", "")]),
        ("k=1,k=2", [("k", "2")]),
        ("k=%C3%A9", [("k", "é")]),
    ],
)
def test_headers(text: str, expected: list[tuple[str, str]]) -> None:
    """Pairs in the form of W3C Baggage, their values percent-decoded."""
    found, warnings = traces({**HERE, HEADERS: text})

    assert (list(found.headers), warnings) == (expected, [])


@pytest.mark.parametrize(
    "text",
    ["k=hush;p=1", "k=hush%0D%0Ax: y", "k=hush%00", "k=hush%FF", 'k="hush"', "hush", "=hush", "a b=hush"],
)  # fmt: skip
def test_bad_headers(text: str) -> None:
    """What is no header is left out with a warning that does not tell the value; the others are sent."""
    found, warnings = traces({**HERE, HEADERS: f"a=1,{text},b=2"})

    assert found.headers == (("a", "1"), ("b", "2"))
    assert len(warnings) == 1
    assert warnings[0].startswith(HEADERS)
    assert "hush" not in warnings[0]


@given(st.dictionaries(st.sampled_from(["a", "x-b", "authorization"]), st.text(max_size=20)))
def test_headers_survive_the_environment(headers: dict[str, str]) -> None:
    """Whatever can be sent as a header comes out of the variable as it was put in."""
    pairs = tuple(
        (name, value.strip()) for name, value in headers.items() if is_header_value(value)
    )
    warnings: list[str] = []

    assert read_headers(format_headers(pairs), warnings.append) == pairs
    assert warnings == []


@given(st.text())
def test_escapes(text: str) -> None:
    """What is encoded decodes to itself."""
    assert decoded(encoded(text)) == text
    assert decoded(encoded(text), is_strict=True) == text


@given(st.text(), st.sampled_from(["", "grpc", "http/json"]))
def test_any_endpoint(text: str, protocol: str) -> None:
    """Whatever an endpoint is set to, there is a destination or one warning, which does not quote it."""
    found, warnings = destinations({OWN: text, PROTOCOL: protocol})

    assert len(found) + len(warnings) == (1 if text.strip() else 0)
    if warnings:
        assert warnings[0].startswith(OWN)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (BASE, "localhost:4318"),
        (BASE, "ftp://c"),
        (BASE, "http://"),
        (BASE, "http://user:hush@/x"),
        (BASE, "http://c:hush"),
        (BASE, "http://c:0"),
        (BASE, "http://c:65536"),
        (BASE, "http://[::1"),
        (BASE, "http://c d"),
        (BASE, "http://%FF@c"),
        (PROTOCOL, "http"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "-1"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "2.5"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "2s"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "1_000"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "٣"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "9" * 30),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
        ("OTEL_SDK_DISABLED", "1"),
        ("OTEL_SDK_DISABLED", "yes"),
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_TRACES_EXPORTER", "otlp/stdout"),
        ("OTEL_LOGS_EXPORTER", "logging"),
    ],
)  # fmt: skip
def test_invalid_values(name: str, value: str) -> None:
    """What cannot be used is as if it were not set, with one warning that names the variable."""
    usual = destinations(HERE)[0] if name != BASE else []
    found, warnings = destinations({**HERE, name: value})

    assert [one.as_tuple() for one in found] == [one.as_tuple() for one in usual]
    assert len(warnings) == 1
    assert warnings[0].startswith(f"{name} ")
    assert "\n" not in warnings[0]
    assert "hush" not in warnings[0]


def test_invalid_value_of_a_signal() -> None:
    """Then the one for all signals counts."""
    found, warnings = traces({**HERE, OWN: "t:4318"})

    assert found.endpoint == "http://localhost:4318/v1/traces"
    assert len(warnings) == 1


def test_none_among_others() -> None:
    """Nothing is sent, and that is said."""
    assert destinations({**HERE, "OTEL_TRACES_EXPORTER": "otlp,none", "OTEL_LOGS_EXPORTER": "none"}) == (
        [], ["OTEL_TRACES_EXPORTER names none and others: nothing is sent"],
    )  # fmt: skip


def test_user_of_an_endpoint() -> None:
    """It becomes a header, for an address is kept and shown; a header that was set wins."""
    environ = {BASE: "https://ann:p%40ss@c/x"}
    found, warnings = traces(environ)
    basic = "Basic " + b64encode(b"ann:p@ss").decode()

    assert (found.endpoint, warnings) == ("https://c/x/v1/traces", [])
    assert found.headers == (("authorization", basic),)
    assert "ann" not in found.name + repr(found)
    assert traces({**environ, HEADERS: "Authorization=x"})[0].headers == (("authorization", "x"),)


@pytest.mark.parametrize(
    ("endpoint", "is_said"),
    [
        ("http://c:4318", True),
        ("https://c:4318", False),
        ("http://localhost:4318", False),
        ("http://127.0.0.1:4318", False),
        ("http://[::1]:4318", False),
    ],
)
def test_headers_without_encryption(endpoint: str, is_said: bool) -> None:
    """Secrets that go over the network for all to read are warned of, without telling them."""
    warnings = traces({BASE: endpoint, HEADERS: "k=hush"})[1]

    assert [HEADERS in warning and "hush" not in warning for warning in warnings] == [
        True
    ] * is_said


@pytest.mark.parametrize("name", ["OTEL_CONFIG_FILE", "OTEL_EXPERIMENTAL_CONFIG_FILE"])
def test_configuration_file(name: str) -> None:
    """It would replace all variables: refused, by its name."""
    with pytest.raises(ConfigurationRefused, match=f"^{name} is set"):
        destinations({**HERE, name: "otel.yaml"})

    assert destinations({**HERE, name: ""})[0]


@pytest.mark.parametrize(
    ("environ", "changed"),
    [
        ({}, {}),
        ({"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "9"}, {"span_attribute_length": 9, "log_attribute_length": 9}),
        ({"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "9", "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT": "7"},
         {"span_attribute_length": 7, "log_attribute_length": 9}),
        ({"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "9", "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT": "0"},
         {"span_attribute_length": 9, "log_attribute_length": 0}),
        ({"OTEL_ATTRIBUTE_COUNT_LIMIT": "5"},
         {"span_attribute_count": 5, "event_attribute_count": 5, "link_attribute_count": 5, "log_attribute_count": 5}),
        ({"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "0"}, {"span_attribute_count": 0}),
        ({"OTEL_SPAN_EVENT_COUNT_LIMIT": "3"}, {"event_count": 3}),
        ({"OTEL_SPAN_LINK_COUNT_LIMIT": "3"}, {"link_count": 3}),
        ({"OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT": "3"}, {"event_attribute_count": 3}),
        ({"OTEL_LINK_ATTRIBUTE_COUNT_LIMIT": "3"}, {"link_attribute_count": 3}),
        ({"OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT": "3"}, {"log_attribute_count": 3}),
    ],
)  # fmt: skip
def test_limits(environ: dict[str, str], changed: dict[str, int]) -> None:
    """128 of everything and no limit of length, unless it is set; a signal's own variable wins."""
    warnings: list[str] = []

    assert read_limits(environ, warnings.append).as_dict() == {**ALL_LIMITS, **changed}
    assert warnings == []


@pytest.mark.parametrize("value", ["-1", "x", "1.5"])
def test_invalid_limit(value: str) -> None:
    """As if it were not set, and one warning."""
    warnings: list[str] = []

    assert read_limits({"OTEL_ATTRIBUTE_COUNT_LIMIT": value}, warnings.append) == Limits()
    assert len(warnings) == 1


@pytest.mark.parametrize(
    ("environ", "signal", "expected"),
    [
        ({}, TRACES, (5.0, 30.0, 512)),
        ({}, LOGS, (1.0, 30.0, 512)),
        ({"OTEL_BSP_SCHEDULE_DELAY": "0"}, TRACES, (0.0, 30.0, 512)),
        ({"OTEL_BSP_EXPORT_TIMEOUT": "100"}, TRACES, (5.0, 0.1, 512)),
        ({"OTEL_BSP_EXPORT_TIMEOUT": "0"}, TRACES, (5.0, 2147483.647, 512)),
        ({"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "7"}, TRACES, (5.0, 30.0, 7)),
        ({"OTEL_BSP_MAX_QUEUE_SIZE": "9"}, TRACES, (5.0, 30.0, 9)),
        ({"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "7"}, LOGS, (1.0, 30.0, 512)),
        ({"OTEL_BLRP_SCHEDULE_DELAY": "20", "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE": "3"}, LOGS, (0.02, 30.0, 3)),
    ],
)  # fmt: skip
def test_batches(environ: dict[str, str], signal: str, expected: tuple[float, float, int]) -> None:
    """Delay, timeout and size, each signal with its own."""
    warnings: list[str] = []

    assert read_batch(environ, warnings.append, signal) == Batching(*expected)
    assert warnings == []


def test_empty_batches_are_none() -> None:
    """A size of 0 is no size."""
    warnings: list[str] = []
    environ = {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "0", "OTEL_BSP_MAX_QUEUE_SIZE": "0"}

    assert read_batch(environ, warnings.append) == Batching(5.0, 30.0, 512)
    assert len(warnings) == 2


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({}, []),
        ({**HERE, "OTEL_SERVICE_NAME": "x", "OTEL_RESOURCE_ATTRIBUTES": "a=1,b=%2C"}, []),
        ({"OTEL_RESOURCE_ATTRIBUTES": "a=1,b"}, ["OTEL_RESOURCE_ATTRIBUTES"]),
        ({"OTEL_RESOURCE_ATTRIBUTES": "a=%zz"}, ["OTEL_RESOURCE_ATTRIBUTES"]),
        ({"OTEL_TRACES_SAMPLER": "always"}, ["OTEL_TRACES_SAMPLER"]),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "2"}, ["OTEL_TRACES_SAMPLER_ARG"]),
        ({"OTEL_TRACES_SAMPLER_ARG": "2"}, []),
        ({"OTEL_EXPORTER_JAEGER_ENDPOINT": "x"}, ["OTEL_EXPORTER_JAEGER_ENDPOINT"]),
        ({"OTEL_EXPORTER_ZIPKIN_ENDPOINT": "x"}, ["OTEL_EXPORTER_ZIPKIN_ENDPOINT"]),
        ({"OTEL_SDK_DISABLED": "1"}, ["OTEL_SDK_DISABLED"]),
        ({"OTEL_SPAN_LINK_COUNT_LIMIT": "x"}, ["OTEL_SPAN_LINK_COUNT_LIMIT"]),
        ({"OTEL_BLRP_SCHEDULE_DELAY": "x"}, ["OTEL_BLRP_SCHEDULE_DELAY"]),
        ({"OTEL_LOG_LEVEL": "loud"}, ["OTEL_LOG_LEVEL"]),
        ({"OTEL_LOG_LEVEL": "error", "OTEL_SDK_DISABLED": "1"}, []),
        ({"OTEL_LOG_LEVEL": "WARN", "OTEL_SDK_DISABLED": "1"}, ["OTEL_SDK_DISABLED"]),
    ],
)  # fmt: skip
def test_doubts(environ: dict[str, str], named: list[str]) -> None:
    """One line for each variable that cannot be used as it is, unless OTEL_LOG_LEVEL wants errors alone."""
    assert [line.split()[0] for line in survey(environ)[1]] == named
