"""What a large program's start costs once the caches are warm: 200 modules imported, one function of each called."""

import json
import shutil
from pathlib import Path

from benchmarks import peers
from benchmarks.generate import MODULES, write_project
from benchmarks.result import Goal, Result, Table, spread
from benchmarks.setting import PROGRAMS, Setting
from benchmarks.timing import Command, Sample, ratio, take_timed_turns

PLAIN, OBSERVED, WHOLE = "python main.py", "the program in `rheostat run`", "`rheostat run main.py`"


def run(setting: Setting) -> Result:
    """Measure the program inside a run beside the plain one, then the whole command."""
    folder = setting.folder / "project"
    lines = write_project(folder)
    rounds = setting.scaled(3 * setting.rounds)
    inside = _inside(setting, folder, rounds)
    plain = Command((peers.PLAIN.python, "main.py"), peers.clean_environment(), folder)
    whole = Command(setting.rheostat.run("main.py"), setting.rheostat.environment(), folder)
    outside = take_timed_turns({PLAIN: plain, WHOLE: whole}, rounds)
    samples = {**inside, WHOLE: outside[WHOLE]}
    beside = {PLAIN: inside[PLAIN], OBSERVED: inside[PLAIN], WHOLE: outside[PLAIN]}
    rows = [
        [name, *spread(sample, 1e3, ".0f"), f"{ratio(sample, beside[name]):.2f}"]
        for name, sample in samples.items()
    ]
    found = ratio(inside[OBSERVED], inside[PLAIN])
    return Result(
        "project",
        Table(("ms", "least", "median", "most", "÷ plain, by turns"), rows),
        "seconds, each round",
        {name: sample.values for name, sample in samples.items()},
        [Goal("the program starts at most 1.1 × plain", f"{found:.2f} ×", found <= 1.1)],
        [f"{MODULES} modules, {lines:,} lines."],
    )


def _inside(setting: Setting, folder: Path, rounds: int) -> dict[str, Sample]:
    """Measure the program alone: started by turns observed and plain, by a program that is itself observed."""
    turns = shutil.copy(PROGRAMS / "turns.py", folder)
    command = setting.rheostat.run(turns, peers.PLAIN.python, str(rounds))
    found = json.loads(Command(command, setting.rheostat.environment(), folder).run())
    setting.rheostat.wait_for_agents()
    return {PLAIN: Sample(tuple(found["plain"])), OBSERVED: Sample(tuple(found["observed"]))}
