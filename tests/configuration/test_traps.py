"""A repository of traps: whoever runs a script of it with Rheostat gives it nothing but that script's own process."""

import socket

import pytest

from rheostat_agent.rundirectory import RUN, RunInfo
from running import Rheostat, wait_until

MODULES = (
    "opentelemetry", "rheostat_agent", "sitecustomize", "usercustomize", "google", "tomllib", "select", "fcntl", "re", "sqlite3", "logging", "typing",
)  # fmt: skip


def test_traps(rheostat: Rheostat) -> None:
    """Its modules are imported by neither launcher nor agent, though both need modules of these names; its .env and a
    configuration of OpenTelemetry's that lies there name a server, which nobody connects to."""
    trap = f"import os, sys\nopen({str(rheostat.folder)!r} + '/caught', 'a').write(__name__ + str(sys.orig_argv))\n"
    for name in MODULES:
        rheostat.write(f"{name}/__init__.py" if name == "opentelemetry" else f"{name}.py", trap)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        rheostat.write(".env", f"OTEL_EXPORTER_OTLP_ENDPOINT={url}\n")
        rheostat.write("otel.yaml", f"exporter: {{otlp: {{endpoint: '{url}'}}}}\n")
        rheostat.write(".config/rheostat/rheostat.toml", f"endpoint = '{url}'\n")
        rheostat.write("pyproject.toml", "[tool.rheostat]\nname = 'trap'\n")
        asks_for_much = {
            "TRACEPARENT": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "OTEL_TRACES_SAMPLER": "traceidratio",
            "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://127.0.0.1:1",
        }
        # No Python: whatever is caught was caught by a process of ours.
        done = rheostat.command("run", "sh", "-c", "echo ran", env=asks_for_much)
        rheostat.await_no_agents()
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()

    assert (done.returncode, done.stdout) == (0, "ran\n")
    assert RunInfo.read(str(rheostat.last() / RUN)).workflow == "trap"
    assert not (rheostat.folder / "caught").exists(), (rheostat.folder / "caught").read_text()


def test_a_project_that_redirects(rheostat: Rheostat) -> None:
    """It is refused before anything is started or connected to."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        rheostat.write("pyproject.toml", f"[tool.rheostat]\nendpoint = '{url}'\n")
        rheostat.write("job.py", "open('ran', 'w')\n")
        done = rheostat.run("job.py")
        wait_until(lambda: not rheostat.agents(), "no agent is there")
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()

    assert done.returncode == 125
    assert not (rheostat.project / "ran").exists()
