"""What a run is part of, and whether its trace is sampled: with the official propagators and samplers."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased

from rheostat_agent.configuration.otel import Parent, incoming_parent, is_sampled

TRACE, SPAN = 0x4BF92F3577B34DA6A3CE929D0E0E4736, 0x00F067AA0BA902B7
SAMPLED = f"00-{TRACE:032x}-{SPAN:016x}-01"
SAMPLER, ARGUMENT = "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"


def parent(environ: dict[str, str]) -> tuple[Parent | None, list[str]]:
    """Return the parent, and the warnings."""
    warnings: list[str] = []
    return incoming_parent(environ, warnings.append), warnings


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"TRACEPARENT": ""}, None),
        ({"TRACEPARENT": SAMPLED}, Parent(TRACE, SPAN, True, "")),
        ({"TRACEPARENT": SAMPLED[:-1] + "0"}, Parent(TRACE, SPAN, False, "")),
        ({"TRACEPARENT": SAMPLED[:-2] + "03"}, Parent(TRACE, SPAN, True, "")),
        ({"TRACEPARENT": "01" + SAMPLED[2:] + "-later"}, Parent(TRACE, SPAN, True, "")),
        ({"TRACEPARENT": SAMPLED, "TRACESTATE": "a=1,b=2"}, Parent(TRACE, SPAN, True, "a=1,b=2")),
        ({"TRACEPARENT": SAMPLED, "OTEL_PROPAGATORS": "none"}, None),
        ({"TRACEPARENT": SAMPLED, "OTEL_PROPAGATORS": "baggage"}, None),
        ({"TRACEPARENT": SAMPLED, "OTEL_PROPAGATORS": "TraceContext, tracecontext"}, Parent(TRACE, SPAN, True, "")),
        ({"traceparent": SAMPLED}, None),
    ],
)  # fmt: skip
def test_parent(environ: dict[str, str], expected: Parent | None) -> None:
    """TRACEPARENT and TRACESTATE, as W3C Trace Context has them, unless the propagators are others."""
    assert parent(environ) == (expected, [])


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "00-" + "0" * 32 + "-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-" + "0" * 16 + "-01",
        SAMPLED + "-more",
        "ff" + SAMPLED[2:],
        SAMPLED.upper(),
        SAMPLED[:-2],
    ],
)
def test_malformed_parent(text: str) -> None:
    """A trace of its own, and one line says so."""
    found, warnings = parent({"TRACEPARENT": text})

    assert found is None
    assert [warning.split()[0] for warning in warnings] == ["TRACEPARENT"]


def test_what_propagators_log_is_a_warning() -> None:
    """It would stand in the midst of the program's output otherwise."""
    found, warnings = parent({"TRACEPARENT": SAMPLED, "TRACESTATE": "a=" + "x" * 10_000})

    assert found == Parent(TRACE, SPAN, True, "")
    assert len(warnings) == 1
    assert "tracestate" in warnings[0]


def test_a_propagator_that_is_not_installed() -> None:
    """One warning; the others are used."""
    found, warnings = parent({"TRACEPARENT": SAMPLED, "OTEL_PROPAGATORS": "b3,tracecontext,b3"})

    assert found == Parent(TRACE, SPAN, True, "")
    assert warnings == [
        'OTEL_PROPAGATORS names "b3", which is not installed beside Rheostat: not used'
    ]


@given(st.text())
def test_any_parent(text: str) -> None:
    """Nothing that stands there raises, or is a parent of no trace."""
    found, _ = parent({"TRACEPARENT": text})

    assert found is None or (found.trace_id and found.span_id)


def test_parent_as_it_is_written() -> None:
    """The form in which a run keeps it is what it came from."""
    assert Parent(TRACE, SPAN, True, "").traceparent == SAMPLED


def sampled(environ: dict[str, str], trace_id: int, of_parent: bool | None) -> bool:
    """Return the decision; there must be no warning."""
    warnings: list[str] = []
    decision = is_sampled(environ, trace_id, of_parent, warnings.append)
    assert warnings == []
    return decision


@pytest.mark.parametrize(
    ("sampler", "without", "with_sampled", "with_unsampled"),
    [
        ("", True, True, False),
        ("always_on", True, True, True),
        ("always_off", False, False, False),
        ("Always_Off", False, False, False),
        ("parentbased_always_on", True, True, False),
        ("parentbased_always_off", False, True, False),
    ],
)
def test_sampler(sampler: str, without: bool, with_sampled: bool, with_unsampled: bool) -> None:
    """Each sampler of the specification; those that are based on the parent do as it was decided of that."""
    decisions = [sampled({SAMPLER: sampler}, TRACE, of_parent) for of_parent in (None, True, False)]

    assert decisions == [without, with_sampled, with_unsampled]


@given(st.integers(1, 2**128 - 1), st.sampled_from(["0", "0.25", "0.5", "1", "1.0", "1e-3"]))
def test_ratio(trace_id: int, ratio: str) -> None:
    """The decision depends on the trace alone, and is the SDK's."""
    environ = {SAMPLER: "traceidratio", ARGUMENT: ratio}
    sdk = TraceIdRatioBased(float(ratio)).should_sample(None, trace_id, "run")
    expected = sdk.decision is Decision.RECORD_AND_SAMPLE

    assert [sampled(environ, trace_id, each) for each in (None, True, False)] == [expected] * 3
    environ[SAMPLER] = "parentbased_traceidratio"
    assert [sampled(environ, trace_id, each) for each in (None, True, False)] == [
        expected,
        True,
        False,
    ]


@pytest.mark.parametrize("argument", ["x", "-0.1", "1.1", "nan"])
def test_invalid_ratio(argument: str) -> None:
    """As if it were not set: everything; and one warning."""
    warnings: list[str] = []
    environ = {SAMPLER: "traceidratio", ARGUMENT: argument}

    assert is_sampled(environ, TRACE, None, warnings.append)
    assert [warning.split()[0] for warning in warnings] == [ARGUMENT]


@pytest.mark.parametrize("name", ["sometimes", "jaeger_remote"])
def test_unknown_sampler(name: str) -> None:
    """The usual one instead, and one warning."""
    warnings: list[str] = []

    assert is_sampled({SAMPLER: name, ARGUMENT: "0"}, TRACE, None, warnings.append)
    assert not is_sampled({SAMPLER: name}, TRACE, False, lambda text: None)
    assert [warning.split()[0] for warning in warnings] == [SAMPLER]


def test_nothing_is_imported_in_vain() -> None:
    """A launcher without a parent, and an agent with the usual sampler, do without OpenTelemetry's packages."""
    code = (
        "import sys\n"
        "from rheostat_agent.configuration.otel import incoming_parent, is_sampled, survey\n"
        "survey({'OTEL_EXPORTER_OTLP_ENDPOINT': 'http://c'})\n"
        "incoming_parent({}, print), is_sampled({}, 1, None, print)\n"
        "assert not {'opentelemetry', 're', 'typing', 'logging', 'tomllib'} & sys.modules.keys(), sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-I", "-c", code], check=True, timeout=30)
