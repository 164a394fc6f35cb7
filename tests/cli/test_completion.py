"""Completion scripts: accepted by their shells, and true."""

import shutil
import subprocess

import pytest

from rheostat_agent.cli.commands import COMMANDS
from running import RHEOSTAT, Rheostat

TRY = """
eval "$({command} completion bash)"
complete -p rheostat
{command} runs >/dev/null 2>&1
COMP_WORDS=({words})
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_rheostat
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def completed(rheostat: Rheostat, words: str) -> list[str]:
    """Return what bash offers for the last of *words*."""
    done = subprocess.run(
        ["bash", "--norc", "-i", "-c", TRY.format(command=RHEOSTAT, words=words)],
        capture_output=True,
        text=True,
        env=rheostat.environment(),
        start_new_session=True,
        timeout=60,
        check=True,
    )
    first, *found = done.stdout.splitlines()
    assert first == "complete -o default -F _rheostat rheostat"
    return [word for word in found if word]


def script(rheostat: Rheostat, shell: str) -> str:
    """Return the completion script for *shell*."""
    done = rheostat.command("completion", shell)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_bash_accepts_it(rheostat: Rheostat) -> None:
    """No error of syntax."""
    checked = subprocess.run(
        ["bash", "-n"], input=script(rheostat, "bash"), capture_output=True, text=True, check=True
    )

    assert (checked.stdout, checked.stderr) == ("", "")


@pytest.mark.parametrize("shell", ["fish", "zsh"])
def test_other_shells_accept_it(rheostat: Rheostat, shell: str) -> None:
    """No error of syntax, where the shell is installed."""
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    text = script(rheostat, shell)
    checked = subprocess.run(
        [shell, "-n"], input=text, capture_output=True, text=True, check=True, timeout=60
    )

    assert checked.stderr == ""


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("rheostat ru", ["run", "runs"]),
        ("rheostat --v", ["--version"]),
        ("rheostat run --max", ["--max-spans", "--max-disk"]),
        ("rheostat run --summary s", ["short"]),
        ("rheostat export --format ''", ["otlp-json", "perfetto"]),
        ("rheostat runs pr", ["prune"]),
        ("rheostat runs prune --o", ["--older-than"]),
        ("rheostat completion z", ["zsh"]),
        ("rheostat show la", ["last"]),
        ("rheostat run job", []),
        ("rheostat run job.py --na", []),
    ],
)
def test_bash_completes(rheostat: Rheostat, words: str, found: list[str]) -> None:
    """Commands, options, choices and words; files where nothing else is meant, and nothing of ours behind the target."""
    assert completed(rheostat, words) == found


def test_bash_completes_runs(rheostat: Rheostat) -> None:
    """The ids of the runs that there are."""
    rheostat.write("job.py", "")
    rheostat.run("job.py")
    run = rheostat.last().name

    assert completed(rheostat, f"rheostat show {run[:3]}") == [run]
    assert completed(rheostat, f"rheostat export --format perfetto {run[:3]}") == [run]


@pytest.mark.parametrize("name", [name for name in COMMANDS if " " not in name])
def test_bash_knows_every_option(rheostat: Rheostat, name: str) -> None:
    """None is forgotten, in any shell."""
    options = [option.name for option in COMMANDS[name].options]
    fish = script(rheostat, "fish")

    assert completed(rheostat, f"rheostat {name} --") == [*options, "--help"]
    assert all(f"-l {option[2:]} " in fish for option in options)


def test_every_script_names_all_commands(rheostat: Rheostat) -> None:
    """Also where the shell is not here to try it."""
    for shell in ("bash", "zsh", "fish"):
        text = script(rheostat, shell)
        assert all(name.split()[0] in text for name in COMMANDS)
