"""What leaves the machine under each policy: requests, spans and bytes of the example's telemetry, uncompressed."""

from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import ROOT
from benchmarks.result import Result, Table
from benchmarks.setting import Setting
from benchmarks.timing import Command

PROGRAM = ROOT / "examples" / "etl" / "etl.py"
POLICIES = ("all", "default", "errors", "none")
ROWS = 1_000_000  # of the example's data: its default


@dataclass(frozen=True, slots=True)
class Sent:
    """What one run sent. *recorded*: the spans in its history, those of processes too."""

    recorded: int
    spans: int
    requests: int
    bytes: int

    def row(self, name: str) -> list[str]:
        """Return the cells of the table."""
        share = f"{self.spans:,} ({self.spans / self.recorded:.1%})"
        return [
            name,
            f"{self.recorded:,}",
            share,
            f"{self.requests:,}",
            f"{self.bytes / 1000:,.0f}",
        ]


def run(setting: Setting) -> Result:
    """Run the example once under each policy, of the same data."""
    data = setting.folder / "data"
    _sent(setting, "none", data)  # the first run makes the data
    found = {f"--export {policy}": _sent(setting, policy, data) for policy in POLICIES}
    header = ("examples/etl", "recorded", "spans sent", "requests", "kB sent")
    return Result(
        "policy",
        Table(header, [sent.row(name) for name, sent in found.items()]),
        "spans, requests and bytes",
        {name: [getattr(sent, key) for key in Sent.__slots__] for name, sent in found.items()},
    )


def _sent(setting: Setting, policy: str, data: Path) -> Sent:
    rows = str(setting.scaled(ROWS))
    words = ("--export", policy, PROGRAM, "--rows", rows, "--data", data)
    command = setting.rheostat.run("--quiet", *words)
    setting.sink.counts()
    Command(command, setting.rheostat.environment(setting.sink.url), setting.folder).run()
    setting.rheostat.wait_for_agents()
    counts, run = setting.sink.counts(), setting.rheostat.newest_run()
    recorded = run["spans"] + run["processes"]
    return Sent(recorded, counts["spans"], counts["requests"], counts["bytes"])
