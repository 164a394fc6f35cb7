"""What a run is part of, and whether its trace is sampled: by the official propagators and samplers.

They are imported only where a variable asks for them: the launcher comes through here, beside the program that has started.
"""

from __future__ import annotations

from rheostat_agent.configuration.variables import Variables, quoted
from rheostat_agent.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from importlib.metadata import EntryPoint

    from opentelemetry.context import Context
    from opentelemetry.propagators.textmap import TextMapPropagator

    Warn = Callable[[str], None]

PROPAGATORS, SAMPLER, SAMPLER_ARGUMENT = (
    "OTEL_PROPAGATORS",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
)
_USUAL_SAMPLER = "parentbased_always_on"
_RATIOS = ("traceidratio", "parentbased_traceidratio")
_SDK_SAMPLERS = (
    *_RATIOS, "always_on", "always_off", "parentbased_always_on", "parentbased_always_off",
)  # fmt: skip
_SAMPLERS = "opentelemetry_traces_sampler"  # entry points
_USUAL_PROPAGATORS = ["tracecontext", "baggage"]
_PARENT = "TRACEPARENT"


class Parent(Value):
    """The span in whose context Rheostat was started."""

    trace_id: int
    span_id: int
    is_sampled: bool
    state: str  # of the trace, as W3C Trace Context writes it; may be empty

    @property
    def traceparent(self) -> str:
        """Return the parent as W3C Trace Context writes it."""
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-{int(self.is_sampled):02x}"


def incoming_parent(environ: Mapping[str, str], warn: Warn) -> Parent | None:
    """Return what the environment says of a parent, None where it says nothing that holds.

    As the specification has it for environments (context/env-carriers.md): TRACEPARENT for the header traceparent, B3 for
    b3, and so on, by the propagators that OTEL_PROPAGATORS names.
    """
    variables = Variables(environ, warn)
    names = variables.words(PROPAGATORS) or _USUAL_PROPAGATORS
    if "none" in names or (not variables.text(_PARENT) and set(names) <= set(_USUAL_PROPAGATORS)):
        return None
    context = _extracted(names, environ, variables)
    from opentelemetry.trace import get_current_span

    found = get_current_span(context).get_span_context()
    if not found.is_valid:
        if "tracecontext" in names and variables.text(_PARENT):
            variables.warn(_PARENT, "is not a valid traceparent: the run begins a trace of its own")
        return None
    state = found.trace_state.to_header()
    return Parent(found.trace_id, found.span_id, bool(found.trace_flags.sampled), state)


def _extracted(names: list[str], environ: Mapping[str, str], variables: Variables) -> Context:
    """Return what the propagators with these *names* find, later ones in what earlier ones found."""
    from opentelemetry.context import Context
    from opentelemetry.propagators._envcarrier import EnvironmentGetter

    context = Context()
    getter = EnvironmentGetter()
    with _Heard(variables):
        for name in names:
            propagator = _propagator(name, variables)
            try:
                if propagator is not None:
                    context = propagator.extract(environ, context, getter)
            except Exception as error:  # noqa: BLE001  # somebody else's package
                text = f"names {quoted(name)}, which failed ({type(error).__name__}): not used"
                variables.warn(PROPAGATORS, text)
    return context


def _propagator(name: str, variables: Variables) -> TextMapPropagator | None:
    found = _entry_point("opentelemetry_propagator", name)
    if found is None:
        text = f"names {quoted(name)}, which is not installed beside Rheostat: not used"
        variables.warn(PROPAGATORS, text)
        return None
    try:
        propagator: TextMapPropagator = found.load()()
    except Exception as error:  # noqa: BLE001  # somebody else's package
        text = f"names {quoted(name)}, which cannot be loaded ({type(error).__name__}): not used"
        variables.warn(PROPAGATORS, text)
        return None
    return propagator


def _entry_point(group: str, name: str) -> EntryPoint | None:
    from importlib.metadata import entry_points

    return next(iter(entry_points(group=group, name=name)), None)


class _Heard:
    """While it is entered, what OpenTelemetry's packages log becomes warnings; it would stand in the program's output."""

    def __init__(self, variables: Variables) -> None:
        import logging

        class Handler(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                variables.warn("OpenTelemetry:", record.getMessage())

        self._logger = logging.getLogger("opentelemetry")
        self._handler = Handler(logging.WARNING)

    def __enter__(self) -> None:
        self._propagated, self._logger.propagate = self._logger.propagate, False
        self._logger.addHandler(self._handler)

    def __exit__(self, *error: object) -> None:
        self._logger.removeHandler(self._handler)
        self._logger.propagate = self._propagated


def read_sampler(environ: Mapping[str, str], warn: Warn) -> tuple[str, str]:
    """Return the name of the sampler, one that is installed, and its argument; of a ratio, a number from 0 to 1."""
    variables = Variables(environ, warn)
    name, argument = variables.text(SAMPLER).lower(), variables.text(SAMPLER_ARGUMENT)
    if not name:
        return _USUAL_SAMPLER, ""
    if name not in _SDK_SAMPLERS and _entry_point(_SAMPLERS, name) is None:
        text = f"is {quoted(name)}, which is not installed beside Rheostat: not used"
        variables.warn(SAMPLER, text)
        return _USUAL_SAMPLER, ""
    if name in _RATIOS and not _is_ratio(argument):
        if argument:
            text = f"is {quoted(argument)}, which is not a number from 0 to 1: not used"
            variables.warn(SAMPLER_ARGUMENT, text)
        argument = "1"
    return name, argument


def _is_ratio(text: str) -> bool:
    try:
        return 0 <= float(text) <= 1
    except ValueError:
        return False


def is_sampled(
    environ: Mapping[str, str], trace_id: int, parent_sampled: bool | None, warn: Warn
) -> bool:
    """Say whether the trace is to be sent: what the sampler decides of its root span.

    *parent_sampled* is what was decided of the span that Rheostat was started in, None if there is none.
    """
    name, argument = read_sampler(environ, warn)
    if name == _USUAL_SAMPLER:
        return parent_sampled is not False
    from importlib.metadata import entry_points

    variables = Variables(environ, warn)
    try:
        with _Heard(variables):
            (entry,) = entry_points(group=_SAMPLERS, name=name)
            sampler = entry.load()(float(argument) if name in _RATIOS else argument or None)
            result = sampler.should_sample(_context(trace_id, parent_sampled), trace_id, "run")
    except Exception as error:  # noqa: BLE001  # somebody else's package
        text = f"is {quoted(name)}, which cannot be used ({type(error).__name__}): not used"
        variables.warn(SAMPLER, text)
        return parent_sampled is not False
    return bool(result.decision.is_sampled())


def _context(trace_id: int, parent_sampled: bool | None) -> Context:
    """Return a context in which the parent was sampled or not; an empty one where there is no parent."""
    from opentelemetry import trace
    from opentelemetry.context import Context

    if parent_sampled is None:
        return Context()
    flags = trace.TraceFlags(trace.TraceFlags.SAMPLED if parent_sampled else 0)
    parent = trace.SpanContext(trace_id, 1, is_remote=True, trace_flags=flags)
    return trace.set_span_in_context(trace.NonRecordingSpan(parent), Context())
