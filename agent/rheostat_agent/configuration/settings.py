"""What is set, and where: flags, then variables, then the project's file, then the user's own, then the default.

The settings that say where telemetry goes are handed to agents as OpenTelemetry's variables (`delivery_environment`): so
there is one way to read them, and what is secret in them reaches neither a command line nor the run directory.

Imported by the launcher: nothing heavy here.
"""

from __future__ import annotations

import os
import stat

from rheostat_agent.configuration.escapes import (
    format_headers,
    is_header_name,
    is_header_value,
    read_headers,
)
from rheostat_agent.configuration.files import SettingsFile, project_files, user_file
from rheostat_agent.configuration.otel import ConfigurationRefused
from rheostat_agent.configuration.table import SETTINGS, WITH_ENDPOINT, Setting
from rheostat_agent.configuration.variables import Variables, quoted
from rheostat_agent.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_PREFIX = "OTEL_EXPORTER_OTLP"
_SIGNALS = ("TRACES", "METRICS", "LOGS")
_ENDPOINTS = (f"{_PREFIX}_ENDPOINT", *(f"{_PREFIX}_{signal}_ENDPOINT" for signal in _SIGNALS))
_FILES = ("certificate", "client_certificate", "client_key")
_SERVICE_NAME = "OTEL_SERVICE_NAME"
_MOST_HEADERS = 1 << 16  # bytes of a file of headers


class Origin(Value):
    """Where a value comes from: an option, a variable, file:line, or `default`; *file* and *line* where it is a file."""

    text: str
    file: str | None = None
    line: int | None = None


class _Layer:
    """The values of one place."""

    def __init__(
        self, values: dict[str, Any], names: Mapping[str, str], file: SettingsFile | None = None
    ) -> None:
        """*names*: what a value's origin is called, by its key; or else it comes from *file*."""
        self.values = values
        self._names = names
        self._file = file

    def origin(self, key: str) -> Origin:
        if self._file is None:
            return Origin(self._names[key])
        return Origin(self._file.place(key), self._file.path, self._file.line(key))


class Configuration:
    """The settings of one command. The first layer that has a value decides."""

    def __init__(self, given: Mapping[str, Any], environ: Mapping[str, str]) -> None:
        """*given*: the values of options by their keys, None, False or empty where one was not given.

        Raises ConfigurationRefused, as does all that reads.
        """
        self._environ = environ
        self._flags = _flags(given)
        self._own: dict[str, Any] = {}
        self._layers = [self._flags, _variables(environ)]
        self.remarks: list[str] = []  # for the user, a line each

    def read_project(self, root: str, cwd: str) -> None:
        """Add the files of the project in *root*; they are named as seen from *cwd*."""
        files = project_files(root, cwd)
        for number, file in enumerate(files):
            values = _located(file.values(is_projects=True), file)
            for key in sorted(values.keys() & files[0].table.keys()) if number else ():
                text = f"{file.place(key)}: {key}: not used, {files[0].place(key)} has it too"
                self.remarks.append(text)
            self._layers.append(_Layer(values, {}, file))

    def read_own(self) -> None:
        """Add the user's own file.

        Where something else says where to send, its headers and keys are not used: they are meant for its own endpoint.
        """
        file = user_file(self._environ)
        if file is None:
            return
        values = _located(file.values(is_projects=False), file)
        if values.get("headers") and stat.S_IMODE(os.stat(file.path).st_mode) & 0o077:
            self.remarks.append(f"{file.place('headers')}: others can read them: chmod 600")
        others = Variables(self._environ, self.remarks.append).set_names(*_ENDPOINTS)
        if "endpoint" in self._flags.values or others:
            for key in ("endpoint", *WITH_ENDPOINT):
                values.pop(key, None)
        self._own = values
        self._layers.append(_Layer(values, {}, file))

    def values(self) -> dict[str, Any]:
        """Return the value of each setting by its key."""
        found = {setting.key: setting.default for setting in SETTINGS}
        for layer in reversed(self._layers):
            found.update(layer.values)
        return found

    def origin(self, key: str) -> Origin:
        """Return where the value of a setting comes from."""
        for layer in self._layers:
            if key in layer.values:
                return layer.origin(key)
        return Origin("default")

    def delivery_environment(self) -> dict[str, str]:
        """Return the environment for agents: the user's, with what options and their own file say of delivery."""
        result = dict(self._environ)
        if "endpoint" in self._flags.values:
            for name in _ENDPOINTS:
                result.pop(name, None)
            if result.get("OTEL_TRACES_EXPORTER", "").strip().lower() == "none":
                del result["OTEL_TRACES_EXPORTER"]
        if "headers" in self._flags.values:
            for signal in _SIGNALS:
                result.pop(f"{_PREFIX}_{signal}_HEADERS", None)
        for setting in SETTINGS:
            if not setting.is_delivery:
                continue
            if setting.key in self._flags.values:
                result[setting.variable] = _as_variable(setting, self._flags.values[setting.key])
            elif setting.key in self._own and not result.get(setting.variable, "").strip():
                result[setting.variable] = _as_variable(setting, self._own[setting.key])
        return _with_absolute_paths(result)


def delivery_environment(environ: Mapping[str, str], values: Mapping[str, Any]) -> dict[str, str]:
    """Return the environment for agents, of a command with the options *values*. Raises ConfigurationRefused."""
    configuration = Configuration(values, environ)
    configuration.read_own()
    return configuration.delivery_environment()


def _flags(given: Mapping[str, Any]) -> _Layer:
    found = {}
    for setting in SETTINGS:
        value = given.get(setting.option) if setting.flag else None
        if value is not None and value != [] and value is not False:
            found[setting.key] = _read_header_file(value) if setting.key == "headers" else value
    return _Layer(found, {setting.key: setting.flag for setting in SETTINGS})


def _read_header_file(path: str) -> dict[str, str]:
    """Return the headers in a file of lines `name: value`."""
    try:
        with open(path, "rb") as file:
            data = file.read(_MOST_HEADERS + 1)
            text = data.decode()
    except OSError as error:
        raise ConfigurationRefused(f"--headers-from {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationRefused(f"--headers-from {path}: not UTF-8") from None
    if len(data) > _MOST_HEADERS:
        raise ConfigurationRefused(f"--headers-from {path}: larger than {_MOST_HEADERS} bytes")
    found = {}
    for number, line in enumerate(text.split("\n"), 1):
        name, colon, value = (part.strip() for part in line.partition(":"))
        if not name or name.startswith("#"):
            continue
        if not colon or not is_header_name(name) or not is_header_value(value):
            raise ConfigurationRefused(f"--headers-from {path}:{number}: not a line 'name: value'")
        found[name.lower()] = value
    return found


def _variables(environ: Mapping[str, str]) -> _Layer:
    found: dict[str, Any] = {}
    names = {setting.key: setting.variable for setting in SETTINGS}
    for setting in SETTINGS:
        text = environ.get(setting.variable, "").strip()
        if setting.is_delivery:
            value = _of_otel(setting, Variables(environ, _said_elsewhere))
            if value is not None:
                found[setting.key] = value
        elif text:
            found[setting.key] = _of_ours(setting, text)
    if "name" not in found and environ.get(_SERVICE_NAME):
        found["name"], names["name"] = environ[_SERVICE_NAME], _SERVICE_NAME
    return _Layer(found, names)


def _said_elsewhere(text: str) -> None:
    """Take a warning about a variable of OpenTelemetry: whoever reads destinations gives it."""


def _of_ours(setting: Setting, text: str) -> Any:
    try:
        return setting.kind.of_text(text)
    except ValueError:
        wanted = setting.kind.wanted
        told = f"{setting.variable}: {wanted} is wanted, not {quoted(text)}"
        raise ConfigurationRefused(told) from None


def _of_otel(setting: Setting, variables: Variables) -> Any:
    """Return the value of a variable of OpenTelemetry, None if it has none that can be used."""
    name = setting.variable
    if setting.kind.choices:
        return variables.choice(setting.kind.choices, name)
    if setting.key == "timeout":
        return variables.timeout_s(0, name) if variables.number(name) is not None else None
    text = variables.text(name)
    if setting.key == "headers":
        return dict(read_headers(text, _said_elsewhere)) or None
    return text or None


def _as_variable(setting: Setting, value: Any) -> str:
    if setting.key == "headers":
        return format_headers(value.items())
    return str(int(value * 1000)) if setting.key == "timeout" else str(value)


def _located(values: dict[str, Any], file: SettingsFile) -> dict[str, Any]:
    """Return *values* with paths that begin where the file is."""
    folder = os.path.dirname(file.path)
    paths = {
        key: os.path.join(folder, os.path.expanduser(values[key]))
        for key in ("python", *_FILES)
        if key in values and (key != "python" or "/" in values[key])
    }
    return {**values, **paths}


def _with_absolute_paths(environ: dict[str, str]) -> dict[str, str]:
    """Return *environ* such that files are found from anywhere: an agent works in /."""
    for key in _FILES:
        for part in ("", *(f"{signal}_" for signal in _SIGNALS)):
            name = f"{_PREFIX}_{part}{key.upper()}"
            path = environ.get(name, "").strip()
            if path and not path.startswith("/"):
                try:
                    environ[name] = os.path.abspath(path)
                except OSError:  # there is no working directory any more: nothing is found below it
                    continue
    return environ
