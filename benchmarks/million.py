"""A million calls in a tight loop: what arrives, how fast it is read and sent, and what that takes meanwhile."""

import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks import peers
from benchmarks.ours import Rheostat
from benchmarks.result import Goal, Result, Table
from benchmarks.setting import PROGRAMS, Setting
from benchmarks.timing import Command

CALLS = 1_000_000
KEPT, SENT = "rheostat run", "rheostat run --export all, with an OTLP endpoint"
OPENTELEMETRY = "opentelemetry: start_as_current_span"


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the program. *done_s* is from the start of the command until all is read, or sent."""

    program_s: float
    done_s: float
    cpu_s: float  # of all processes, but the sink
    kept: int | None  # calls in the history
    received: int | None  # spans that came to the sink
    expected: int | None  # spans that should have
    memory_bytes: int | None  # the agent's largest resident set

    def row(self, name: str, calls: int) -> list[str]:
        """Return the cells of the table."""
        return [
            name,
            f"{self.program_s:.1f}",
            f"{self.done_s:.1f}",
            f"{self.cpu_s:.1f}",
            "–" if self.kept is None else f"{self.kept:,}",
            "–" if self.received is None else f"{self.received:,} ({self.received / calls:.1%})",
            "–" if self.memory_bytes is None else f"{self.memory_bytes / 1e6:.0f}",
        ]


def run(setting: Setting) -> Result:
    """Run the loop three times: kept alone, kept and sent, and by OpenTelemetry's SDK."""
    calls = setting.scaled(CALLS)
    setting.sink.counts()
    runs = {
        KEPT: _ours(setting, calls, None),
        SENT: _ours(setting, calls, setting.sink.url),
        OPENTELEMETRY: _opentelemetry(setting, calls),
    }
    header = ("", "program, s", "all done, s", "CPU, s", "in the history", "received", "agent, MB")
    return Result(
        "million",
        Table(header, [run.row(name, calls) for name, run in runs.items()]),
        "calls, seconds and bytes",
        {name: [getattr(run, key) for key in Run.__slots__] for name, run in runs.items()},
        _goals(runs[KEPT], runs[SENT], calls),
    )


def _goals(kept: Run, sent: Run, calls: int) -> list[Goal]:
    memory = max(kept.memory_bytes or 0, sent.memory_bytes or 0) / 1e6
    read, delivered = calls / kept.done_s, calls / sent.done_s
    is_all_there = sent.received == sent.expected
    return [
        Goal(f"all {calls:,} calls in the history", f"{kept.kept:,}", kept.kept == calls),
        Goal("all spans at the sink, once", f"{sent.received:,}", is_all_there),
        Goal("the agent takes at most 150 MB", f"{memory:.0f} MB", memory <= 150),
        Goal("read at 100,000 spans a second", f"{read:,.0f}", read >= 100_000),
        Goal("sent at 50,000 spans a second", f"{delivered:,.0f}", delivered >= 50_000),
    ]


def _ours(setting: Setting, calls: int, sink: str | None) -> Run:
    rheostat, environment = setting.rheostat, setting.rheostat.environment(sink)
    options = ["--quiet", "--wait", "0", *([] if sink is None else ["--export", "all"])]
    command = rheostat.run(*options, PROGRAMS / "million.py", str(calls))
    before_s, started = _children_s(), time.perf_counter()
    process = subprocess.Popen(list(map(str, command)), env=environment, cwd=setting.folder)
    agents, program_s, program_cpu_s = _Agents(rheostat), 0.0, 0.0
    while agents.look() or process.poll() is None or not program_s:
        if not program_s and process.poll() is not None:
            program_s = time.perf_counter() - started
            program_cpu_s = _children_s() - before_s
        time.sleep(0.05)  # seldom, for looking costs a millisecond
    done_s = time.perf_counter() - started
    if process.returncode != 0:
        raise RuntimeError(f"the program ended with {process.returncode}")
    received = None if sink is None else setting.sink.counts()["spans"]
    run = rheostat.newest_run()
    if run["undelivered"]:
        rheostat.wait_for_agents()  # what that command started must not be counted as the next contender's
        setting.sink.counts()
        print(f"{run['undelivered']:,} spans were left for a later command", file=sys.stderr)
    kept = len({ident for ident, name in rheostat.spans() if name == "million.step"})
    expected = run["spans"] + run["processes"]
    cpu_s = program_cpu_s + sum(agents.cpu_s.values())
    return Run(program_s, done_s, cpu_s, kept, received, expected, agents.memory_bytes)


class _Agents:
    """What our agents take, from one look to the next."""

    def __init__(self, rheostat: Rheostat) -> None:
        self.memory_bytes = 0  # the largest resident set
        self.cpu_s: dict[int, float] = {}  # by process id
        self._rheostat = rheostat

    def look(self) -> bool:
        """Say whether there are any at work."""
        agents = self._rheostat.agents()
        for agent in agents:
            self.memory_bytes = max(self.memory_bytes, _peak_memory(agent))
            self.cpu_s[agent] = _cpu_s(agent) or self.cpu_s.get(agent, 0.0)
        return bool(agents)


def _children_s() -> float:
    """Return the processor's time of the processes that we waited for, and of those that they did."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _cpu_s(pid: int) -> float:
    """Return the processor's time that a process has taken; 0 if it has just ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


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
    before_s = _children_s()
    seconds = Command(command, peers.environment(setting.sink.url), setting.folder).seconds()
    cpu_s = _children_s() - before_s
    return Run(seconds, seconds, cpu_s, None, setting.sink.counts()["spans"], None, None)
