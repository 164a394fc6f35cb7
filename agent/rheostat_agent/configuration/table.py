"""The table of settings: from it come the options of `rheostat run`, the RHEOSTAT_* variables, the keys of files and
`rheostat config`. A new setting is one entry here.

Imported by the launcher: nothing heavy here.
"""

from __future__ import annotations

from rheostat_agent.configuration.kinds import (
    DURATION,
    ENDPOINT,
    HEADERS,
    NUMBER,
    SIZE,
    SWITCH,
    TEXT,
    TEXTS,
    Kind,
    one_of,
    some_of,
)
from rheostat_agent.configuration.otel import COMPRESSIONS, PROTOCOLS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Setting:
    """One setting.

    *text* is what help says of it, *metavar* what its option takes, empty for a switch. One for *delivery* says where
    telemetry goes: it is not taken from a project's file, and its variable is OpenTelemetry's.
    """

    __slots__ = ("default", "flag", "is_delivery", "key", "kind", "metavar", "text", "variable")

    def __init__(
        self,
        key: str,
        kind: Kind,
        default: Any,
        text: str,
        metavar: str = "",
        flag: str | None = None,
        variable: str = "",
    ) -> None:
        self.key = key
        self.kind = kind
        self.default = default
        self.text = text
        self.metavar = metavar
        self.flag = "--" + key.replace("_", "-") if flag is None else flag
        self.is_delivery = bool(variable)
        self.variable = variable or f"RHEOSTAT_{key.upper()}"

    @property
    def option(self) -> str:
        """Return the key of its option's value; empty if it has none."""
        return self.flag[2:].replace("-", "_")


def _delivery(key: str, kind: Kind, default: Any, text: str, **more: str) -> Setting:
    """Return a setting that says where telemetry goes; without *more*, it has no option."""
    variable = f"OTEL_EXPORTER_OTLP_{key.upper()}"
    return Setting(key, kind, default, text, **{"flag": "", "variable": variable, **more})


SETTINGS = (
    Setting("name", TEXT, None, "the workflow's name (default: the script's)", "NAME"),
    Setting("python", TEXT, None, "the interpreter for scripts and modules", "PATH"),
    Setting("include", TEXTS, [], "observe these functions too, such as 'pandas.io.*'", "GLOB"),
    Setting("exclude", TEXTS, [], "leave these functions alone", "GLOB"),
    Setting("full", SWITCH, False, "record every call, whatever it costs"),
    Setting("max_spans", NUMBER, 5_000_000, "calls to keep a span of (5,000,000; 0: no limit)", "N"),
    Setting("max_disk", SIZE, 2_000_000_000, "disk for this run (2GB; 0: no limit)", "SIZE"),
    Setting("capture_args", SWITCH, False, "record arguments: scalars and lengths"),
    Setting("export", one_of(("default", "all", "errors", "none")), "default", "which spans are sent", "WHICH"),
    Setting("export_when", some_of(("error", "slow")), [], "send all spans of a run that failed, was slow", "WHEN"),
    Setting("pending", DURATION, 0.0, "send spans that are open for so long (0: not at all)", "SECONDS"),
    Setting("wait", DURATION, None, "how long to wait for the summary (2; 0: not at all)", "SECONDS"),
    Setting("summary", one_of(("none", "short", "full")), "short", "none, short or full", "HOW"),
    Setting("quiet", SWITCH, False, "print nothing of our own"),
    _delivery("endpoint", ENDPOINT, None, "where to send, instead of OTEL_EXPORTER_OTLP_ENDPOINT", flag="--endpoint", metavar="URL"),
    _delivery("headers", HEADERS, {}, "lines 'name: value' to send with it", flag="--headers-from", metavar="FILE"),
    _delivery("protocol", one_of(PROTOCOLS), PROTOCOLS[0], "how to send"),
    _delivery("timeout", DURATION, 10.0, "how long one request may take"),
    _delivery("compression", one_of(COMPRESSIONS), "none", "of requests"),
    _delivery("certificate", TEXT, None, "PEM file: the authorities to trust"),
    _delivery("client_certificate", TEXT, None, "PEM file: who we are"),
    _delivery("client_key", TEXT, None, "PEM file: the key to it"),
)  # fmt: skip
BY_KEY = {setting.key: setting for setting in SETTINGS}
# What belongs to an endpoint: sent elsewhere, it would be told to somebody who is not meant to have it.
WITH_ENDPOINT = ("protocol", "headers", "certificate", "client_certificate", "client_key")
