"""A run whose agent could not be started."""

import subprocess
import sys

from running import Rheostat

LAUNCH = """
import sys
from rheostat_agent.cli import main
sys.executable = "/nonexistent"
main(["run", "--python", sys.argv[1], "job.py"])
"""


def test_a_later_command_reads_it(rheostat: Rheostat) -> None:
    """The program runs and ends as ever, the trouble is said in one line, and the next command has all of the run."""
    rheostat.write(
        "job.py",
        "def load(): pass\nfor _ in range(3): load()\nprint('done')\nraise SystemExit(3)\n",
    )
    done = subprocess.run(
        [sys.executable, "-c", LAUNCH, rheostat.python],
        cwd=rheostat.project,
        env=rheostat.environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (3, "done\n")
    assert done.stderr.count("\n") == 1
    assert "agent" in done.stderr

    assert rheostat.command("runs").returncode == 0
    assert rheostat.await_complete().names() == {"job.load": 3}
