"""Secrets in command lines: hidden where a name or a place gives them away, and nothing else is changed."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rheostat.masking import hide, hide_arguments, hide_cut
from rheostat_agent.masking import masked
from running import Rheostat, rheostat_fixture

SECRET = "s3cr3t-Planted"


@pytest.mark.parametrize(
    ("arguments", "kept"),
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
def test_a_secret_is_hidden(arguments: list[str], kept: list[str]) -> None:
    """Values of options, variables, settings, headers and the user part of URLs."""
    assert masked(arguments) == kept


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


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("could not connect: postgres://u:pa/ss@h:5432/db", "could not connect: postgres://***@h:5432/db"),
        ("dial root:hunter2@tcp(127.0.0.1:3306)/db", "dial root:***@tcp(127.0.0.1:3306)/db"),
        ("exceeded with url: /v1/x?key=abc&p=1 (Caused", "exceeded with url: /v1/x?key=***&p=*** (Caused"),
        ("at https://h/cb#access_token=abc&x=1 now", "at https://h/cb#access_token=***&x=*** now"),
        ("{'api_key': 'abc', 'n': 3}", "{'api_key': ***, 'n': 3}"),
        ('{\\"password\\": \\"x\\"}', '{\\"password\\": ***}'),
        ("ALTER USER u PASSWORD 'x y'", "ALTER USER u PASSWORD ***"),
        ("['curl', '--password', 'abc', '-k']", "['curl', '--password', ***, '-k']"),
        ("[('Authorization', 'Bearer x')]", "[('Authorization', ***)]"),
        ("<password>x</password>", "<password>***</password>"),
        ("AccountName=x;AccountKey=abc==;Suffix=y", "AccountName=x;AccountKey=***;Suffix=y"),
        ("Set-Cookie: sid=abc; path=/\nnext", "Set-Cookie: ***\nnext"),
        ("sent Bearer abc.def-1 twice", "sent Bearer *** twice"),
        ("密钥AKIAIOSFODNN7EXAMPLE错误", "密钥***错误"),
        ("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "***"),
        ("-----BEGIN EC PRIVATE KEY-----\nMIIE\n-----END EC PRIVATE KEY-----\nrest", "***\nrest"),
        ("-----BEGIN PRIVATE KEY-----\ncut off", "***"),
    ],
)  # fmt: skip
def test_a_secret_in_a_text_is_hidden(text: str, kept: str) -> None:
    """By a name before it, its place in an address, or its shape."""
    assert hide(text) == kept


@pytest.mark.parametrize(
    "text",
    [
        "Access denied for user 'x'@'localhost' (using password: YES)",
        "unexpected token: name",
        "max_tokens=512, primary_key_field=id, token_type=bearer",
        "No such file or directory: '/home/me/secret_token/x.csv'",
        "/var/lib/docker/overlay2/0123456789abcdef0123456789abcdef0123456789abcdef/merged",
        "550e8400-e29b-41d4-a716-446655440000 is not unique: Key (id)=(5)",
        "customer_orders_2026_11_22_v2_final_report_long_name",
        "bucket/prefix/Year2026/Month11/Day22/part",
        "Basic authentication failed, and so did basic DTD-related events",
        "-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----",
        "2026年11月22日のデータをABCテーブルに3回目の書き込み中にエラー9が発生しました",
        "could not convert string to float: 'abc'",
    ],
)
def test_a_text_without_a_secret_stays(text: str) -> None:
    """Words, paths, names of things and numbers."""
    assert hide(text) == text


@settings(deadline=None)
@given(st.text(max_size=300), st.integers(0, 100))
def test_any_text_can_be_looked_through(text: str, most: int) -> None:
    """Whatever a program says: nothing is raised, what is hidden stays so, and what is cut is not longer than asked."""
    hidden = hide(text)
    assert hide(hidden) == hidden
    assert len(hide_cut(text, most)) <= most
    hide_arguments([text, text], most)


@settings(deadline=None)
@given(
    st.integers(0, 400),
    st.sampled_from(["AKIAIOSFODNN7EXAMPLE", "password=hunter2hunter2", "ghp_" + "aB3" * 12]),
)
def test_nothing_of_a_secret_at_the_cut_remains(before: int, secret: str) -> None:
    """A text is looked through beyond what is kept of it."""
    cut = hide_cut("x " * before + secret + " y" * 400, 300)
    assert secret[-9:] not in cut
    assert "hunter2" not in cut and "IOSFODNN" not in cut and "aB3aB3" not in cut


def test_looking_through_takes_time_in_proportion() -> None:
    """A text made to be slow takes as long as others of its length: of a thousand characters, some milliseconds at most."""
    for piece in ("@", "a:b@", "://", "?a=", "password=", "eyJ.", "-----BEGIN PRIVATE KEY-----", "k" * 16 + " ", "a1B2", "'", "\\"):  # fmt: skip
        text = piece * (4096 // len(piece))
        before = time.perf_counter()
        hide(text)
        assert time.perf_counter() - before < 0.5, piece
