"""Help and version: quick, on stdout, made of the commands' own declarations."""

import subprocess
import sys
import time

import pytest

from rheostat import __version__
from rheostat_agent.cli.commands import COMMANDS
from running import RHEOSTAT, Rheostat


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command(rheostat: Rheostat, name: str) -> None:
    """It opens with the usage, has an example, and a line for each option."""
    done = rheostat.command(*name.split(), "--help")
    lines = done.stdout.splitlines()

    assert (done.returncode, done.stderr) == (0, "")
    assert lines[0].startswith(f"usage: rheostat {name}")
    assert any(line.startswith("Example: ") and f"rheostat {name}" in line for line in lines)
    for option in COMMANDS[name].options:
        assert any(line.split()[:1] == [option.name] for line in lines)
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["help"]])
def test_help(rheostat: Rheostat, words: list[str]) -> None:
    """All commands in one screen."""
    done = rheostat.command(*words)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: rheostat COMMAND")
    for name in COMMANDS:
        assert name in done.stdout


@pytest.mark.parametrize("words", [["run", "-h"], ["help", "run"], ["run", "--quiet", "-h"]])
def test_help_by_other_names(rheostat: Rheostat, words: list[str]) -> None:
    """As people type it; behind a target it is the program's."""
    assert rheostat.command(*words).stdout == rheostat.command("run", "--help").stdout


def test_help_touches_nothing(rheostat: Rheostat) -> None:
    """No state directory is made for it."""
    rheostat.command("run", "--help")

    assert not rheostat.state.exists()


@pytest.mark.parametrize("word", ["--version", "-V"])
def test_version(rheostat: Rheostat, word: str) -> None:
    """One line."""
    assert rheostat.command(word).stdout == f"rheostat {__version__}\n"


def test_version_is_quick() -> None:
    """At most 0.15 s, what Python itself needs on a busy machine set aside."""

    def best(command: list[str]) -> float:
        taken = []
        for _ in range(7):
            before = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            taken.append(time.perf_counter() - before)
        return min(taken)

    assert best([RHEOSTAT, "--version"]) < 0.15 + best([sys.executable, "-c", ""])
