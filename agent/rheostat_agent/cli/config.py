"""`rheostat config`: the settings that a run started here would have, and where each comes from. Secrets are masked."""

import os
import sys
from typing import Any

from rheostat_agent.configuration.addresses import shown
from rheostat_agent.configuration.kinds import suggestion
from rheostat_agent.configuration.otel import survey
from rheostat_agent.configuration.settings import Configuration
from rheostat_agent.configuration.table import SETTINGS
from rheostat_agent.launcher.target import project_root
from rheostat_agent.masking import HIDDEN
from rheostat_agent.show.text import plain

_PREFIX = "RHEOSTAT_"
_OTHERS = ("RHEOSTAT_DISABLED", "RHEOSTAT_STATE_DIR", "RHEOSTAT_RUN")


def config(values: dict[str, Any], words: list[str]) -> int:
    """Print the settings."""
    cwd = os.getcwd()
    configuration = Configuration({}, os.environ)
    configuration.read_project(project_root(cwd), cwd)
    configuration.read_own()
    destinations, doubts = survey(configuration.delivery_environment())
    if values["json"]:
        import json

        where = [{"signal": one.signal, "name": one.name} for one in destinations]
        found = {"settings": _rows(configuration), "destinations": where}
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    else:
        sys.stdout.write(_table(_rows(configuration)))
        names = [f"sent to: {plain(one.name)}\n" for one in destinations]
        sys.stdout.write("\n" + ("".join(names) or "nothing is sent: no endpoint is set\n"))
    for text in (*configuration.remarks, *doubts, *_unknown_variables()):
        sys.stderr.write(f"rheostat: {plain(text)}\n")
    return 0


def _rows(configuration: Configuration) -> list[dict[str, Any]]:
    """Return each setting with its value, fit to be shown, and its origin."""
    found = []
    for key, value in configuration.values().items():
        if key == "headers":
            value = dict.fromkeys(value, HIDDEN)
        if key == "endpoint" and value:
            value = shown(value)
        origin = configuration.origin(key)
        found.append(
            {"key": key, "value": value, "from": origin.text, "file": origin.file, "line": origin.line}
        )  # fmt: skip
    return found


def _table(rows: list[dict[str, Any]]) -> str:
    cells = [(row["key"], _text(row["value"]), row["from"]) for row in rows]
    left = max(len(key) for key, _, _ in cells)
    middle = max(len(value) for _, value, _ in cells)
    return "".join(
        f"{key:<{left}}  {value:<{middle}}  {plain(origin)}\n" for key, value, origin in cells
    )


def _text(value: Any) -> str:
    """Return a value as files have it, but shorter; - where there is none."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        value = ", ".join(value)
    if isinstance(value, dict):
        value = ", ".join(f"{name}={text}" for name, text in value.items())
    if isinstance(value, float):
        return f"{value:g} s"
    return "-" if value in (None, "") else plain(str(value))


def _unknown_variables() -> list[str]:
    """Return a line for each variable that looks like ours and is not."""
    known = [*_OTHERS, *(setting.variable for setting in SETTINGS if not setting.is_delivery)]
    return [
        f"{name} is no variable of Rheostat's{suggestion(name, known)}"
        for name in sorted(os.environ)
        if name.startswith(_PREFIX) and name not in known
    ]
