"""`rheostat config`: each setting, its value, and where it comes from."""

import json
from pathlib import Path
from typing import Any

from rheostat_agent.configuration.table import SETTINGS
from running import Rheostat


def own_file(rheostat: Rheostat, text: str) -> Path:
    """Write the user's own file."""
    path = rheostat.folder / "config/rheostat/rheostat.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    path.chmod(0o600)
    return path


def settings(rheostat: Rheostat, **environ: str) -> dict[str, dict[str, Any]]:
    """Return what `config --json` says, by key."""
    done = rheostat.command("config", "--json", env=environ)
    assert (done.returncode, done.stderr) == (0, "")
    return {row["key"]: row for row in json.loads(done.stdout)["settings"]}


def test_nothing_is_set(rheostat: Rheostat) -> None:
    """All settings, with their defaults, in the order of the table; no file and no folder is made for it."""
    done = rheostat.command("config")
    lines = done.stdout.splitlines()

    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[0] for line in lines[: len(SETTINGS)]] == [one.key for one in SETTINGS]
    assert all(line.endswith(" default") for line in lines[: len(SETTINGS)])
    assert lines[len(SETTINGS) :] == ["", "nothing is sent: no endpoint is set"]
    assert not rheostat.state.exists()


def test_where_each_comes_from(rheostat: Rheostat) -> None:
    """A variable by its name, a file with the line; JSON has file and line apart."""
    rheostat.write("pyproject.toml", "[tool.rheostat]\nname = 'etl'\n\ninclude = [\n  'a.*',\n]\n")
    own = own_file(rheostat, "# mine\nmax_disk = '1GB'\n")
    found = settings(rheostat, RHEOSTAT_WAIT="1m")
    project = str(rheostat.project / "pyproject.toml")

    def row(key: str) -> list[Any]:
        return [found[key][name] for name in ("value", "from", "file", "line")]

    assert row("name") == ["etl", "pyproject.toml:2", project, 2]
    assert row("include") == [["a.*"], "pyproject.toml:4", project, 4]
    assert row("max_disk") == [1_000_000_000, f"{own}:2", str(own), 2]
    assert row("wait") == [60.0, "RHEOSTAT_WAIT", None, None]
    assert row("quiet") == [False, "default", None, None]


def test_secrets_are_masked(rheostat: Rheostat) -> None:
    """Values of headers, and what stands in a URL before the host and behind the path."""
    own_file(
        rheostat,
        "endpoint = 'https://ann:hush@c/x?key=hush'\n[headers]\nX-Key = 'hush'\nY = 'hush'\n",
    )
    for words in (["config"], ["config", "--json"]):
        done = rheostat.command(*words)
        assert (done.returncode, done.stderr) == (0, "")
        assert "hush" not in done.stdout
        assert "ann" not in done.stdout
        assert "https://c/x" in done.stdout
        assert "x-key" in done.stdout
    by_variables = rheostat.command(
        "config",
        env={
            "OTEL_EXPORTER_OTLP_ENDPOINT": "https://ann:hush@d/x?key=hush",
            "OTEL_EXPORTER_OTLP_HEADERS": "x-key=hush",
        },
    )

    assert "hush" not in by_variables.stdout + by_variables.stderr
    assert "x-key=***" in by_variables.stdout
    assert "sent to: traces http/protobuf https://d/x/v1/traces\n" in by_variables.stdout


def test_doubts(rheostat: Rheostat) -> None:
    """What cannot be used, and what is nearly one of our variables, on stderr."""
    done = rheostat.command("config", env={"OTEL_SDK_DISABLED": "1", "RHEOSTAT_MAXSPANS": "5"})

    assert done.returncode == 0
    assert done.stderr == (
        'rheostat: OTEL_SDK_DISABLED is "1", which is not true: it counts as false\n'
        "rheostat: RHEOSTAT_MAXSPANS is no variable of Rheostat's (did you mean RHEOSTAT_MAX_SPANS?)\n"
    )


def test_an_error(rheostat: Rheostat) -> None:
    """One line and status 125."""
    rheostat.write("rheostat.toml", "max_span = 1\n")
    done = rheostat.command("config")

    assert (done.returncode, done.stdout) == (125, "")
    assert (
        done.stderr
        == "rheostat: rheostat.toml:1: max_span: unknown key (did you mean max_spans?)\n"
    )
