"""The resource of a run: who produced its telemetry, on which machine, of which code. Attribute names of the
semantic conventions 1.44; found by reading files, never by starting programs.

The attributes are found once, when the run begins, and kept in its history: a later command that delivers the run may be
started in another environment.
"""

import json
import os
import platform
import re
from importlib.metadata import version
from pathlib import Path

from rheostat import __version__
from rheostat_agent.configuration.escapes import read_attributes
from rheostat_agent.history.query import Process
from rheostat_agent.rundirectory import RunInfo
from rheostat_agent.vcs import vcs_attributes

SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"

Attributes = dict[str, str | int | list[str]]

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_CONTAINER = re.compile(r"(?:^|[/:.-])([0-9a-f]{64})(?:$|[/.])", re.MULTILINE)
_POD = re.compile(r"pod([0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12})")


def run_attributes(info: RunInfo, environ: dict[str, str]) -> Attributes:
    """Return the resource attributes that hold for all of the run. What the user set in OTEL_* wins."""
    found: Attributes = {
        "service.name": info.workflow,
        "service.instance.id": info.id,
        **_host(),
        **_container(environ),
        **vcs_attributes(Path(info.project_root)),
        "telemetry.sdk.name": "opentelemetry",
        "telemetry.sdk.language": "python",
        "telemetry.sdk.version": version("opentelemetry-sdk"),
        "telemetry.distro.name": "rheostat",
        "telemetry.distro.version": __version__,
    }
    found.update(user_attributes(environ))
    if environ.get("OTEL_SERVICE_NAME"):
        found["service.name"] = environ["OTEL_SERVICE_NAME"]
    return found


def keep_attributes(
    kept: str | None, info: RunInfo, environ: dict[str, str]
) -> tuple[str, Attributes]:
    """Return the attributes that are *kept* with a run, found now if there are none; and how to keep them."""
    attributes: Attributes = json.loads(kept) if kept else run_attributes(info, environ)
    return json.dumps(attributes), attributes


def user_attributes(environ: dict[str, str]) -> dict[str, str]:
    """Return what OTEL_RESOURCE_ATTRIBUTES says; nothing at all if a part of it is malformed (resource/sdk.md)."""
    try:
        return read_attributes(environ.get("OTEL_RESOURCE_ATTRIBUTES", ""))
    except ValueError:  # the launcher said so (configuration/otel.py)
        return {}


def process_attributes(process: Process) -> Attributes:
    """Return the resource attributes of one process of the run. Its arguments are left out: they may hold secrets."""
    found: Attributes = {}
    if process.pid is not None:
        found["process.pid"] = process.pid
    if process.ppid is not None:
        found["process.parent_pid"] = process.ppid
    if process.executable:
        found["process.executable.path"] = process.executable
        found["process.executable.name"] = os.path.basename(process.executable)
    if process.python:
        found["process.runtime.name"] = "cpython"
        found["process.runtime.version"] = process.python
    return found


def _host() -> Attributes:
    machine = platform.machine()
    found: Attributes = {
        "host.name": platform.node(),
        "host.arch": _ARCHITECTURES.get(machine, machine),
        "os.type": "linux",
        "os.version": platform.release(),
    }
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        release = {}
    if release.get("NAME"):
        found["os.name"] = release["NAME"]
        found["os.description"] = release.get("PRETTY_NAME", release["NAME"])
    identity = _text("/etc/machine-id").strip()
    if identity:
        found["host.id"] = identity
    return found


def _container(environ: dict[str, str]) -> Attributes:
    cgroup = _text("/proc/self/cgroup")
    found: Attributes = {}
    container = _CONTAINER.search(cgroup) or _CONTAINER.search(
        "\n".join(
            line for line in _text("/proc/self/mountinfo").splitlines() if "/containers/" in line
        )
    )
    if container:
        found["container.id"] = container[1]
    if environ.get("KUBERNETES_SERVICE_HOST"):
        found["k8s.pod.name"] = environ.get("HOSTNAME") or platform.node()
        namespace = _text("/var/run/secrets/kubernetes.io/serviceaccount/namespace").strip()
        if namespace:
            found["k8s.namespace.name"] = namespace
        pod = _POD.search(cgroup)
        if pod:
            found["k8s.pod.uid"] = pod[1].replace("_", "-")
    return found


def _text(path: str) -> str:
    try:
        return Path(path).read_text("utf-8", "replace")
    except OSError:
        return ""
