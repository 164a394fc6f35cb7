"""What a command costs from its start to its end when the program does nothing but print a line."""

from pathlib import Path

from benchmarks import peers
from benchmarks.result import Goal, Result, Table, spread
from benchmarks.setting import PROGRAMS, Setting
from benchmarks.timing import Command, Sample, ratio, take_timed_turns

BARE, OURS, EXPORTING = "bare python", "rheostat run", "rheostat run, with an OTLP endpoint"


def commands(setting: Setting) -> dict[str, Command]:
    """Return the contenders' commands."""
    script = PROGRAMS / "hello.py"
    url = setting.sink.url
    sending = peers.environment(url)

    def peer(*arguments: str | Path) -> Command:
        return Command(arguments, sending, setting.folder)

    def ours(sink: str | None) -> Command:
        arguments = setting.rheostat.run(script)
        return Command(arguments, setting.rheostat.environment(sink), setting.folder)

    viztracer, otel, ddtrace, logfire = (
        peers.VIZTRACER.command("viztracer"),
        peers.OPENTELEMETRY.command("opentelemetry-instrument"),
        peers.DDTRACE.command("ddtrace-run"),
        peers.LOGFIRE.command("logfire"),
    )
    return {
        BARE: peer(peers.PLAIN.python, script),
        OURS: ours(None),
        EXPORTING: ours(url),
        "viztracer": peer(viztracer, script),
        "opentelemetry-instrument": peer(otel, peers.OPENTELEMETRY.python, script),
        "ddtrace-run": peer(ddtrace, peers.DDTRACE.python, script),
        "logfire run": peer(logfire, "run", script),
    }


def run(setting: Setting) -> Result:
    """Measure all by turns."""
    samples = take_timed_turns(commands(setting), 3 * setting.rounds)
    rows = [
        [name, *spread(sample, 1e3, ".0f"), f"{ratio(sample, samples[OURS]):.2f}"]
        for name, sample in samples.items()
    ]
    return Result(
        "hello",
        Table(("whole command, ms", "least", "median", "most", "÷ rheostat run"), rows),
        "seconds, each round",
        {name: sample.values for name, sample in samples.items()},
        _goals(samples),
        [
            "`opentelemetry-instrument` has no instrumentation installed beside it: the least it can cost.",
            "VizTracer writes a file, and sends nothing.",
        ],
    )


def _goals(samples: dict[str, Sample]) -> list[Goal]:
    goals = []
    for other, most in {"viztracer": 1.2, "opentelemetry-instrument": 0.25}.items():
        found = ratio(samples[OURS], samples[other])
        goals.append(Goal(f"at most {most} × {other}", f"{found:.2f} ×", found <= most))
    return goals
