"""Secrets in command lines: hidden where a name or a place gives them away, and nothing else is changed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rheostat_agent.masking import masked
from running import Rheostat, rheostat_fixture

SECRET = "s3cr3t-Planted"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (["job", "--password", "x"], ["job", "--password", "***"]),
        (["job", "--token=y"], ["job", "--token=***"]),
        (["API_KEY=z", "job"], ["API_KEY=***", "job"]),
        (["--db-password=two words"], ["--db-password=***"]),
        (["--pass", "x", "--pwd=y"], ["--pass", "***", "--pwd=***"]),
        (["--password="], ["--password=***"]),
        (["postgres://u:p@h/db"], ["postgres://***@h/db"]),
        (["--dsn=postgres://u:p@h/db?ssl=1"], ["--dsn=postgres://***@h/db?ssl=***"]),
        (["postgres://u:p@w@h/db"], ["postgres://***@h/db"]),
        (["https://u:p@h/x?token=abc&page=2"], ["https://***@h/x?token=***&page=***"]),
        (["https://h/x?page=2&api_key=abc"], ["https://h/x?page=***&api_key=***"]),
        (["host=h password=x dbname=d"], ["host=h password=*** dbname=d"]),
        (["-H", "Authorization: Bearer x.y"], ["-H", "Authorization: ***"]),
        (['{"user": "u", "password": "x y"}'], ['{"user": "u", "password": ***}']),
        (["-c", "get('http://h'); f('ftp://u:p@h')"], ["-c", "get('http://h'); f('ftp://***@h')"]),
        (["-c", "password = 'x y'; print(1)"], ["-c", "password = ***; print(1)"]),
    ],
)
def test_a_secret_is_hidden(given: list[str], kept: list[str]) -> None:
    """Values of options, variables, settings, headers and the user part of URLs."""
    assert masked(given) == kept


@pytest.mark.parametrize(
    "argument",
    [
        "--date=2026-11-22",
        "https://h/a@b",
        "me@example.org",
        "out/passwords.csv",
        "--tokenize",
        "git@host:team/repo.git",
        "a://b",
        "",
        "-",
        "--",
        "naïve=\udc80",
    ],
)
def test_what_is_no_secret_stays(argument: str) -> None:
    """Byte for byte."""
    assert masked(["job", argument, "last"]) == ["job", argument, "last"]


def test_an_option_after_a_secret_one_is_no_value() -> None:
    """A switch whose name sounds secret does not hide the option behind it."""
    assert masked(["--no-token", "--limit", "5"]) == ["--no-token", "--limit", "5"]


@pytest.fixture
def rheostat(tmp_path: Path) -> Iterator[Rheostat]:
    """The `rheostat` command, with a project and a state directory of its own."""
    yield from rheostat_fixture(tmp_path)


def test_no_planted_secret_is_kept(rheostat: Rheostat) -> None:
    """No file of the state directory has a byte of what a command line, or that of a child, had to hide."""
    rheostat.write("child.py", "def work():\n    return 1\nwork()\n")
    rheostat.write(
        "job.py",
        "import subprocess, sys\n"
        "def start():\n"
        f"    subprocess.run([sys.executable, 'child.py', '--token', '{SECRET}-5'])\n"
        "start()\n",
    )
    words = ["--password", f"{SECRET}-1", f"--token={SECRET}-2", f"API_KEY={SECRET}-3"]
    done = rheostat.run("job.py", *words, f"postgres://u:{SECRET}-4@h/db")
    history = rheostat.await_complete()
    files = [path for path in rheostat.state.rglob("*") if path.is_file()]

    assert (done.returncode, len(history.processes)) == (0, 2)
    assert len(files) >= 3
    assert [path.name for path in files if SECRET.encode() in path.read_bytes()] == []
    for words in (["show", "--json"], ["runs", "--json"], ["export"]):
        assert SECRET not in rheostat.command(*words).stdout
