"""What every benchmark is given."""

from dataclasses import dataclass
from pathlib import Path

from benchmarks.ours import Rheostat
from benchmarks.sink import Sink

PROGRAMS = Path(__file__).with_name("programs")


@dataclass(frozen=True, slots=True)
class Setting:
    """One invocation of the command: our contender, the sink, a scratch folder, and how much to measure."""

    rheostat: Rheostat
    sink: Sink
    folder: Path
    rounds: int
    scale: float  # of the repetitions inside a round: 1, or less for a quick look

    def scaled(self, repetitions: int) -> int:
        """Return *repetitions*, scaled, at least one."""
        return max(1, int(repetitions * self.scale))
