"""What recording one call costs: a function that does nothing, bare and recorded, one after the other in one process."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from benchmarks import peers
from benchmarks.result import Goal, Result, Table, spread
from benchmarks.setting import PROGRAMS, Setting
from benchmarks.timing import Command, Sample, ratio, take_turns


@dataclass(frozen=True, slots=True)
class Contender:
    """A peer's program. *calls* take a second or so: several of its exporter's batches."""

    peer: peers.Peer
    program: str
    calls: int
    variables: Mapping[str, str] = field(default_factory=dict)  # besides those that name the sink


NO_CONSOLE = {"LOGFIRE_CONSOLE": "false"}
OURS = "rheostat run"
OPENTELEMETRY, LOGFIRE = "opentelemetry: start_as_current_span", "logfire: @instrument"
CONTENDERS = {
    OPENTELEMETRY: Contender(peers.OPENTELEMETRY, "call_opentelemetry.py", 20_000),
    LOGFIRE: Contender(peers.LOGFIRE, "call_logfire.py", 5_000),
    "logfire: @instrument, no console": Contender(
        peers.LOGFIRE, "call_logfire.py", 5_000, NO_CONSOLE
    ),
    "logfire: auto-tracing, no console": Contender(
        peers.LOGFIRE, "call_logfire_auto.py", 5_000, NO_CONSOLE
    ),
    "ddtrace: @tracer.wrap": Contender(peers.DDTRACE, "call_ddtrace.py", 20_000),
    "viztracer": Contender(peers.VIZTRACER, "call_viztracer.py", 200_000),
}
OUR_CALLS = 100_000


def run(setting: Setting) -> Result:
    """Measure all by turns."""
    contenders: dict[str, Callable[[], float]] = {OURS: partial(ours, setting)}
    for name, contender in CONTENDERS.items():
        contenders[name] = partial(peer, contender, setting)
    samples = take_turns(contenders, setting.rounds)
    rows = [
        [name, *spread(sample, 1e-3, ".2f"), f"{ratio(sample, samples[OURS]):.1f}"]
        for name, sample in samples.items()
    ]
    return Result(
        "call",
        Table(("over the bare call, µs", "least", "median", "most", "÷ rheostat"), rows),
        "nanoseconds a call over the bare one, each round",
        {name: sample.values for name, sample in samples.items()},
        _goals(samples),
    )


def ours(setting: Setting) -> float:
    """Return what a call takes more under `rheostat run` than bare, in nanoseconds."""
    program = PROGRAMS / "call_rheostat.py"
    calls = str(setting.scaled(OUR_CALLS))
    command = setting.rheostat.run("--exclude", "call_rheostat.bare", program, calls)
    environment = setting.rheostat.environment(setting.sink.url)
    over = _over_bare(Command(command, environment, setting.folder))
    setting.rheostat.wait_for_agents()  # they export still, and the next contender would notice
    return over


def peer(contender: Contender, setting: Setting) -> float:
    """Return what a call takes more in a peer's span than bare, in nanoseconds."""
    program, calls = PROGRAMS / contender.program, str(setting.scaled(contender.calls))
    environment = {**peers.environment(setting.sink.url), **contender.variables}
    return _over_bare(Command([contender.peer.python, program, calls], environment, setting.folder))


def _over_bare(command: Command) -> float:
    found = json.loads(command.run().splitlines()[-1])
    return float(found["recorded"] - found["bare"])


def _goals(samples: dict[str, Sample]) -> list[Goal]:
    found = samples[OURS].median / 1e3
    goals = [Goal("a recorded call at most 2 µs over the bare one", f"{found:.2f} µs", found <= 2)]
    for name, least in {OPENTELEMETRY: 25, LOGFIRE: 100}.items():
        times = ratio(samples[name], samples[OURS])
        text = f"{least} times cheaper than {name}"
        goals.append(Goal(text, f"{times:.0f} times", times >= least))
    return goals
