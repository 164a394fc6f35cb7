"""What recording one call costs: a function that does nothing, bare and recorded, one after the other in one process."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from benchmarks import peers
from benchmarks.result import SPREAD, Goal, Result, Table, spread
from benchmarks.setting import PROGRAMS, Setting
from benchmarks.timing import Command, Sample, ratio, take_turns


@dataclass(frozen=True, slots=True)
class Contender:
    """A peer's program. *calls* take a second or so: several of its exporter's batches."""

    peer: peers.Peer
    program: str
    calls: int
    variables: Mapping[str, str] = field(default_factory=dict)  # besides those that name the sink


class Over(NamedTuple):
    """Nanoseconds that a recorded call takes more than a bare one."""

    clock: float
    work: float  # of the processor, in all threads of the process: what other processes do leaves it alone


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
    contenders: dict[str, Callable[[], Over]] = {OURS: partial(ours, setting)}
    for name, contender in CONTENDERS.items():
        contenders[name] = partial(peer, contender, setting)
    found = take_turns(contenders, setting.rounds)
    clock = {name: Sample(tuple(over.clock for over in turns)) for name, turns in found.items()}
    work = {name: Sample(tuple(over.work for over in turns)) for name, turns in found.items()}
    rows = [
        [
            name,
            *spread(clock[name], 1e-3, ".2f"),
            *spread(work[name], 1e-3, ".2f"),
            f"{ratio(work[name], work[OURS]):.1f}",
        ]
        for name in contenders
    ]
    header = ["over the bare call, µs", *SPREAD, *(f"CPU {word}" for word in SPREAD), "÷ rheostat"]
    return Result(
        "call",
        Table(header, rows),
        "nanoseconds a call over the bare one, each round: of the clock, of the processor",
        {name: [clock[name].values, work[name].values] for name in contenders},
        _goals(work),
    )


def ours(setting: Setting) -> Over:
    """Return what a call takes more under `rheostat run` than bare."""
    program = PROGRAMS / "call_rheostat.py"
    calls = str(setting.scaled(OUR_CALLS))
    options = ("--export", "all", "--exclude", "call_rheostat.bare")
    command = setting.rheostat.run(*options, program, calls)
    environment = setting.rheostat.environment(setting.sink.url)
    over = _over_bare(Command(command, environment, setting.folder))
    setting.rheostat.wait_for_agents()  # they export still, and the next contender would notice
    return over


def peer(contender: Contender, setting: Setting) -> Over:
    """Return what a call takes more in a peer's span than bare."""
    program, calls = PROGRAMS / contender.program, str(setting.scaled(contender.calls))
    environment = {**peers.environment(setting.sink.url), **contender.variables}
    return _over_bare(Command([contender.peer.python, program, calls], environment, setting.folder))


def _over_bare(command: Command) -> Over:
    found = json.loads(command.run().splitlines()[-1])
    (bare_clock, bare_work), (clock, work) = found["bare"], found["recorded"]
    return Over(clock - bare_clock, work - bare_work)


def _goals(samples: dict[str, Sample]) -> list[Goal]:
    found = samples[OURS].median / 1e3
    goals = [Goal("a recorded call at most 2 µs over the bare one", f"{found:.2f} µs", found <= 2)]
    for name, least in {OPENTELEMETRY: 25, LOGFIRE: 100}.items():
        times = ratio(samples[name], samples[OURS])
        text = f"{least} times cheaper than {name}"
        goals.append(Goal(text, f"{times:.0f} times", times >= least))
    return goals
