"""docs/configuration.md says what the code does."""

from pathlib import Path

import pytest

from rheostat_agent.configuration.table import SETTINGS, Setting
from running import Rheostat

PAGE = (Path(__file__).parents[2] / "docs/configuration.md").read_text()


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.key)
def test_every_setting_is_in_the_table(setting: Setting) -> None:
    """With its option and its variable, in one row."""
    (row,) = [
        line
        for line in PAGE.splitlines()
        if line.startswith("| ") and f"`{setting.key}`" in line.split("|")[1]
    ]
    words = [word.strip("`,") for word in row.split()]

    assert {setting.variable, setting.flag or setting.variable} <= set(words)


def test_the_example(rheostat: Rheostat) -> None:
    """Its files have the settings that stand below them."""
    project = PAGE.partition("$ cat pyproject.toml\n")[2].partition("$ cat")[0]
    own = PAGE.partition("rheostat.toml\nendpoint")[2].partition("$ RHEOSTAT_WAIT")[0]
    expected = PAGE.partition("$ RHEOSTAT_WAIT=5 rheostat config\n")[2].partition("```")[0]
    rheostat.write("pyproject.toml", project)
    path = rheostat.folder / ".config/rheostat/rheostat.toml"
    path.parent.mkdir(parents=True)
    path.write_text("endpoint" + own)
    path.chmod(0o600)
    done = rheostat.command(
        "config",
        env={"HOME": str(rheostat.folder), "XDG_CONFIG_HOME": "", "RHEOSTAT_WAIT": "5"},
    )

    assert (done.returncode, done.stderr, done.stdout) == (0, "", expected)
