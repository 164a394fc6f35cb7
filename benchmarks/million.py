"""A million calls in a tight loop: what arrives, how fast it is read, and what memory the agent takes meanwhile."""

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks import peers
from benchmarks.result import Goal, Result, Table
from benchmarks.setting import PROGRAMS, Setting
from benchmarks.timing import Command

CALLS = 1_000_000


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the program. *done_s* is from the start of the command until all is read, or sent."""

    program_s: float
    done_s: float
    kept: int | None  # spans in the history
    received: int | None  # calls that came to the sink
    memory_bytes: int | None  # the agent's largest resident set

    def row(self, name: str, calls: int) -> list[str]:
        """Return the cells of the table."""
        return [
            name,
            f"{self.program_s:.1f}",
            f"{self.done_s:.1f}",
            "–" if self.kept is None else f"{self.kept:,}",
            "–" if self.received is None else f"{self.received:,} ({self.received / calls:.1%})",
            "–" if self.memory_bytes is None else f"{self.memory_bytes / 1e6:.0f}",
        ]


def run(setting: Setting) -> Result:
    """Run the loop three times: kept alone, kept and sent, and by OpenTelemetry's SDK."""
    calls = setting.scaled(CALLS)
    setting.sink.counts()
    runs = {
        "rheostat run": _ours(setting, calls, None),
        "rheostat run, with an OTLP endpoint": _ours(setting, calls, setting.sink.url),
        "opentelemetry: start_as_current_span": _opentelemetry(setting, calls),
    }
    header = ("", "program, s", "all done, s", "in the history", "received", "agent, MB")
    return Result(
        "million",
        Table(header, [run.row(name, calls) for name, run in runs.items()]),
        "calls, seconds and bytes",
        {name: [getattr(run, key) for key in Run.__slots__] for name, run in runs.items()},
        _goals(runs["rheostat run"], calls),
    )


def _goals(ours: Run, calls: int) -> list[Goal]:
    kept, memory, rate = ours.kept or 0, (ours.memory_bytes or 0) / 1e6, calls / ours.done_s
    return [
        Goal(f"all {calls:,} calls in the history", f"{kept:,}", kept == calls),
        Goal("the agent takes at most 150 MB", f"{memory:.0f} MB", memory <= 150),
        Goal("read at 100,000 spans a second", f"{rate:,.0f}", rate >= 100_000),
    ]


def _ours(setting: Setting, calls: int, sink: str | None) -> Run:
    rheostat, environment = setting.rheostat, setting.rheostat.environment(sink)
    started = time.perf_counter()
    command = rheostat.run("--quiet", "--wait", "0", PROGRAMS / "million.py", str(calls))
    process = subprocess.Popen(list(map(str, command)), env=environment, cwd=setting.folder)
    memory, program_s = 0, 0.0
    while (agents := rheostat.agents()) or process.poll() is None:
        memory = max([memory, *map(_peak_memory, agents)])
        if not program_s and process.poll() is not None:
            program_s = time.perf_counter() - started
        time.sleep(0.05)  # seldom, for looking costs a millisecond
    done_s = time.perf_counter() - started
    if process.returncode != 0:
        raise RuntimeError(f"the program ended with {process.returncode}")
    received = None if sink is None else setting.sink.counts()["spans"]
    if undelivered := rheostat.newest_run()["undelivered"]:
        rheostat.wait_for_agents()  # what that command started must not be counted as the next contender's
        setting.sink.counts()
        print(f"{undelivered:,} spans were left for a later command", file=sys.stderr)
    kept = len({ident for ident, name in rheostat.spans() if name == "million.step"})
    return Run(program_s or done_s, done_s, kept, received, memory)


def _peak_memory(pid: int) -> int:
    """Return the largest resident set that a process has had, in bytes; 0 if it has just ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    peaks = [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")]
    return peaks[0] if peaks else 0


def _opentelemetry(setting: Setting, calls: int) -> Run:
    command = (peers.OPENTELEMETRY.python, PROGRAMS / "million_opentelemetry.py", str(calls))
    seconds = Command(command, peers.environment(setting.sink.url), setting.folder).seconds()
    return Run(seconds, seconds, None, setting.sink.counts()["spans"], None)
