"""Files of settings: a project's `rheostat.toml` or `[tool.rheostat]` in its pyproject.toml, and the user's own.

What is wrong in a file is an error with its place, and nothing is run: a setting that is silently not in force is found too
late. A project's file may be anybody's (a cloned repository), so it cannot say where telemetry goes.

Imported by the launcher; the parser is imported only where there is something to parse.
"""

from __future__ import annotations

import os
import stat

from rheostat_agent.configuration.kinds import suggestion
from rheostat_agent.configuration.otel import ConfigurationRefused
from rheostat_agent.configuration.table import BY_KEY, WITH_ENDPOINT, Setting
from rheostat_agent.configuration.variables import quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

OURS, PYPROJECT = "rheostat.toml", "pyproject.toml"
_LARGEST = 1 << 20  # bytes


class SettingsFile:
    """One file that is there. *shown* is how it is named to the user; *at* where in it our keys are."""

    def __init__(self, path: str, shown: str, text: str, at: tuple[str, ...] = ()) -> None:
        """Raises ConfigurationRefused."""
        self.path = path
        self.shown = shown
        self._lines = text.split("\n")
        self._at = at
        self._whole = table = _parsed(text, shown)
        for key in at:
            table = table.get(key, {})
            if not isinstance(table, dict):
                raise ConfigurationRefused(f"{self.place()}: {'.'.join(at)}: a table is wanted")
        self.table: dict[str, Any] = table

    def place(self, *keys: str) -> str:
        """Return file:line of the key that *keys* lead to; only the file where there is no such key."""
        line = self.line(*keys)
        return f"{self.shown}:{line}" if line else self.shown

    def line(self, *keys: str) -> int:
        """Return the number of the line in which the statement begins that first has the key, 0 if none has.

        The parser tells no lines. But of a valid file, what ends between two statements is valid too, and has the key once
        the file has come to it: so the statement is found by parsing beginnings of the file, whatever it is written like.
        """
        path = (*self._at, *keys)
        if not _has(self._whole, path):
            return 0
        low, high = (
            0,
            len(self._lines),
        )  # the first *low* lines are whole and without the key, *high* have it
        while True:
            middle = (low + high) // 2
            for end in (*range(middle, high), *range(middle - 1, low, -1)):
                table = self._beginning(end) if end > low else None
                if table is not None:
                    break
            else:
                return low + 1
            if _has(table, path):
                high = end
            else:
                low = end

    def _beginning(self, end: int) -> dict[str, Any] | None:
        """Return what stands in the first *end* lines, None if they end within a statement."""
        import tomllib

        try:
            return tomllib.loads("\n".join(self._lines[:end]) + "\n")
        except tomllib.TOMLDecodeError:
            return None

    def values(self, is_projects: bool) -> dict[str, Any]:
        """Return the values by the keys of the settings. Raises ConfigurationRefused."""
        found = {}
        for key, value in self.table.items():
            setting = BY_KEY.get(key)
            if setting is None:
                raise self._error(f"unknown key{suggestion(key, BY_KEY)}", key)
            if setting.is_delivery and is_projects:
                raise self._error(_not_a_projects(setting), key)
            try:
                found[key] = setting.kind.of_toml(value)
            except ValueError as error:
                raise self._error(_wrong(setting, value, error), key) from None
        for key in WITH_ENDPOINT:
            if key in found and "endpoint" not in found:
                raise self._error("belongs to an endpoint, which is to stand in the same file", key)
        return found

    def _error(self, text: str, key: str) -> ConfigurationRefused:
        shown = key if key.isprintable() and key else quoted(key)
        return ConfigurationRefused(f"{self.place(key)}: {shown}: {text}")


def _not_a_projects(setting: Setting) -> str:
    return (
        "not from a project's file (a cloned repository must not redirect telemetry): "
        f"set {setting.variable} or ~/.config/rheostat/{OURS}"
    )


def _wrong(setting: Setting, value: object, error: ValueError) -> str:
    """Return what is wrong with *value*, which is not told where it may be a secret."""
    if setting.is_delivery:
        is_table = isinstance(value, dict) and dict in setting.kind.types
        return str(error) if is_table else f"{setting.kind.wanted} is wanted"
    kinds = {bool: "true or false", dict: "a table", list: "a list"}
    told = quoted(value) if isinstance(value, str) else kinds.get(type(value)) or quoted(str(value))
    return f"{setting.kind.wanted} is wanted, not {told}"


def _parsed(text: str, shown: str) -> dict[str, Any]:
    """Return what *text* says. Raises ConfigurationRefused with line and column."""
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        what, _, place = str(error).rpartition(" (at ")
        numbers = [word for word in place.replace(",", " ").rstrip(")").split() if word.isdigit()]
        if len(numbers) != 2:  # at end of document
            numbers = [str(text.count("\n") + 1), str(len(text) - text.rfind("\n"))]
        raise ConfigurationRefused(f"{shown}:{':'.join(numbers)}: {what}") from None
    except RecursionError:
        raise ConfigurationRefused(f"{shown}: nested too deeply") from None


def _has(table: dict[str, Any], path: tuple[str, ...]) -> bool:
    at: Any = table
    for key in path:
        if not isinstance(at, dict) or key not in at:
            return False
        at = at[key]
    return True


def project_files(root: str, cwd: str) -> list[SettingsFile]:
    """Return the files of the project in *root* that are there, the one that wins first. Raises ConfigurationRefused."""
    folder = "" if root == cwd else f"{root}/"
    found = []
    data = _read(f"{root}/{OURS}", folder + OURS)
    if data is not None:
        found.append(SettingsFile(f"{root}/{OURS}", folder + OURS, _text(data, folder + OURS)))
    try:
        data = _read(f"{root}/{PYPROJECT}", folder + PYPROJECT)
    except ConfigurationRefused:  # whoever else it is for will say so
        data = None
    if data is not None and _may_name_us(data):
        text = _text(data, folder + PYPROJECT)
        file = SettingsFile(f"{root}/{PYPROJECT}", folder + PYPROJECT, text, ("tool", "rheostat"))
        found.append(file)
    return found


def _may_name_us(data: bytes) -> bool:
    """Say whether it is worth parsing a pyproject.toml: most say nothing to us."""
    plain = data.translate(None, b" \t\"'")
    return b"tool.rheostat" in plain or (b"[tool]" in plain and b"rheostat" in plain)


def user_file(environ: Mapping[str, str]) -> SettingsFile | None:
    """Return the user's own file, None if there is none. Raises ConfigurationRefused."""
    home = environ.get("HOME") or os.path.expanduser("~")
    base = environ.get("XDG_CONFIG_HOME", "")
    if not base.startswith("/"):  # as the XDG Base Directory Specification has it
        base = f"{home}/.config"
    path = f"{base.rstrip('/')}/rheostat/{OURS}"
    shown = "~" + path[len(home) :] if path.startswith(f"{home.rstrip('/')}/") else path
    data = _read(path, shown)
    return None if data is None else SettingsFile(path, shown, _text(data, shown))


def _read(path: str, shown: str) -> bytes | None:
    """Return what is in a file, None if it is not there. Raises ConfigurationRefused."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ConfigurationRefused(f"{shown}: not a file")
            with open(descriptor, "rb", closefd=False) as file:
                data = file.read(_LARGEST + 1)
        finally:
            os.close(descriptor)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigurationRefused(f"{shown}: {error.strerror}") from None
    if len(data) > _LARGEST:
        raise ConfigurationRefused(f"{shown}: larger than {_LARGEST >> 20} MiB")
    return data


def _text(data: bytes, shown: str) -> str:
    try:
        return data.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise ConfigurationRefused(f"{shown}:{line}:{column}: not UTF-8") from None
