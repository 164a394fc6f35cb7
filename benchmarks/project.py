"""What a large program's start costs once the caches are warm: 200 modules imported, one function of each called."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from benchmarks import peers
from benchmarks.generate import MODULES, write_project
from benchmarks.result import SPREAD, Goal, Result, Table, spread
from benchmarks.setting import PROGRAMS, Setting
from benchmarks.timing import Command, Sample, ratio, take_timed_turns

PLAIN, OBSERVED, WHOLE = "python main.py", "the program in `rheostat run`", "`rheostat run main.py`"


@dataclass(frozen=True, slots=True)
class Start:
    """What a start took, in seconds by the clock, and of the processor where that was measured."""

    clock: Sample
    work: Sample | None = None

    def row(self, name: str, plain: "Start") -> list[str]:
        """Return the cells of the table, the last one a ratio to *plain*, by processor time where it is known."""
        work = ["–", "–", "–"] if self.work is None else spread(self.work, 1e3, ".0f")
        return [name, *spread(self.clock, 1e3, ".0f"), *work, f"{self.times(plain):.2f}"]

    def times(self, plain: "Start") -> float:
        """Return how many times *plain* this took."""
        if self.work is None or plain.work is None:
            return ratio(self.clock, plain.clock)
        return ratio(self.work, plain.work)


def run(setting: Setting) -> Result:
    """Measure the program inside a run beside the plain one, then the whole command."""
    folder = setting.folder / "project"
    lines = write_project(folder)
    rounds = 3 * setting.rounds
    plain, observed = _inside(setting, folder, rounds)
    whole, beside = _whole(setting, folder, rounds)
    rows = [plain.row(PLAIN, plain), observed.row(OBSERVED, plain), whole.row(WHOLE, beside)]
    found = observed.times(plain)
    return Result(
        "project",
        Table(("ms", *SPREAD, *(f"CPU {word}" for word in SPREAD), "÷ plain"), rows),
        "seconds, each round: by the clock, of the processor",
        {
            name: [start.clock.values, start.work.values if start.work else None]
            for name, start in ((PLAIN, plain), (OBSERVED, observed), (WHOLE, whole))
        },
        [Goal("the program starts at most 1.1 × plain", f"{found:.2f} ×", found <= 1.1)],
        [f"{MODULES} modules, {lines:,} lines."],
    )


def _inside(setting: Setting, folder: Path, rounds: int) -> tuple[Start, Start]:
    """Measure the program alone, plain and observed: started by turns, by a program that is itself observed."""
    turns = shutil.copy(PROGRAMS / "turns.py", folder)
    command = setting.rheostat.run(turns, peers.PLAIN.python, str(rounds))
    found = json.loads(Command(command, setting.rheostat.environment(), folder).run())
    setting.rheostat.wait_for_agents()
    return _start(found["plain"]), _start(found["observed"])


def _start(turns: list[tuple[float, float]]) -> Start:
    clock, work = zip(*turns, strict=True)
    return Start(Sample(clock), Sample(work))


def _whole(setting: Setting, folder: Path, rounds: int) -> tuple[Start, Start]:
    """Measure the command, and the plain program beside it."""
    plain = Command((peers.PLAIN.python, "main.py"), peers.clean_environment(), folder)
    whole = Command(setting.rheostat.run("main.py"), setting.rheostat.environment(), folder)
    samples = take_timed_turns({PLAIN: plain, WHOLE: whole}, rounds)
    return Start(samples[WHOLE]), Start(samples[PLAIN])
