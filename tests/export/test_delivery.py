"""A backend that is down: the program does not notice, nothing is lost, and a later command delivers it."""

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from backend import Backend, free_port
from running import History, Rheostat, wait_until

pytestmark = pytest.mark.usefixtures("exports_all")

JOB = "import os\ndef step():\n    return 1\nfor _ in range(700):\n    step()\nos._exit(7)\n"


def listed(rheostat: Rheostat, **environment: str) -> dict[str, Any]:
    """Return what `rheostat runs --json` says of the only run."""
    (run,) = json.loads(rheostat.command("runs", "--json", env=environment).stdout)
    return run


def run_without_backend(rheostat: Rheostat, endpoint: str, *options: str) -> Path:
    """Run a program whose backend is down; kill the agent that keeps trying; return the run's directory."""
    rheostat.write("job.py", JOB)
    done = rheostat.run("job.py", options=options, env={"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint})
    assert done.returncode == 7
    return rheostat.last()


def await_read(rheostat: Rheostat, directory: Path) -> None:
    """Return when the run has been read to its end, and its agent waits for the backend alone."""
    wait_until(lambda: listed(rheostat)["complete"], "the run is read")
    assert (rheostat.state / "unfinished" / directory.name).exists()


def ids(history: History) -> list[int]:
    """Return the ids of all spans in the history."""
    found = [span.id for span in history.spans]
    return sorted(found + [process.span_id for process in history.processes.values()])


def test_a_later_command_delivers(rheostat: Rheostat, own_backend: Backend) -> None:
    """What a dead backend did not take stays; once it is up, any command has it delivered, under the same ids."""
    directory = run_without_backend(rheostat, own_backend.endpoint, "--wait", "0")
    await_read(rheostat, directory)
    wait_until(lambda: listed(rheostat)["undelivered"] == 701, "they are counted")

    kill_agents(rheostat)
    own_backend.start()
    rheostat.command("runs", env={"OTEL_EXPORTER_OTLP_ENDPOINT": own_backend.endpoint})
    history = rheostat.await_complete(directory)
    rheostat.await_no_agents()

    assert sorted({span.id for span in own_backend.spans()}) == ids(history)
    assert listed(rheostat)["undelivered"] == 0


def test_the_agent_itself_tries_again(rheostat: Rheostat, own_backend: Backend) -> None:
    """A backend that comes up while the agent still tries gets everything from it."""
    directory = run_without_backend(rheostat, own_backend.endpoint, "--wait", "0")
    await_read(rheostat, directory)
    own_backend.start()
    history = rheostat.await_complete(directory)

    assert sorted({span.id for span in own_backend.spans()}) == ids(history)


def test_what_was_delivered_is_not_sent_again(rheostat: Rheostat, own_backend: Backend) -> None:
    """After a backend took part of a run and died, only the rest is sent to it."""
    own_backend.start()
    rheostat.write(
        "job.py",
        "import sys\ndef step():\n    return 1\n"
        "for _ in range(600):\n    step()\nprint('half', flush=True)\nsys.stdin.read()\n"
        "for _ in range(600):\n    step()\n",
    )
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": own_backend.endpoint}
    process = rheostat.start("job.py", options=("--wait", "0"), env=environment, stdin=-1)
    wait_until(lambda: len(own_backend.spans()) >= 600, "the first half is delivered")
    first = own_backend.spans()
    own_backend.stop()
    rheostat.finish(process)
    directory = rheostat.last()
    await_read(rheostat, directory)
    own_backend.start()
    history = rheostat.await_complete(directory)
    second = own_backend.spans()

    assert sorted({span.id for span in first} | {span.id for span in second}) == ids(history)
    assert len(second) < 1201


def kill_agents(rheostat: Rheostat) -> None:
    """Kill the agents that are at work, as a shutdown would."""
    for pid in rheostat.agents():
        os.kill(pid, signal.SIGKILL)
    rheostat.await_no_agents()


def test_a_dead_backend_is_said(rheostat: Rheostat) -> None:
    """The summary counts what was not delivered; the program's status stays."""
    rheostat.write("job.py", JOB)
    endpoint = f"http://127.0.0.1:{free_port()}"
    done = rheostat.run("job.py", env={"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint})

    assert done.returncode == 7
    told = "  not delivered: 701 spans, kept for a later try (Connection refused)"
    assert told in done.stderr.splitlines()
    assert "Traceback" not in done.stderr


@contextmanager
def silent_backend() -> Iterator[str]:
    """Yield the endpoint of a backend that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("wait", [0, 1])
def test_a_hanging_backend_holds_nobody(rheostat: Rheostat, wait: int) -> None:
    """The launcher waits for --wait and a second for the summary, no longer; the program's status stays."""
    rheostat.write("job.py", JOB)
    with silent_backend() as endpoint:
        plain = elapsed(lambda: rheostat.plain("job.py"))
        taken = elapsed(
            lambda: rheostat.run(
                "job.py",
                options=("--wait", str(wait)),
                env={"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint},
            )
        )

    assert taken < plain + wait + 1 + 2.0  # the last for a busy machine, and what is ours


def elapsed(act: Any) -> float:
    """Return how long *act* takes in seconds."""
    before = time.monotonic()
    assert act().returncode == 7
    return time.monotonic() - before


def test_a_backend_that_refuses_is_said(rheostat: Rheostat, backend: Backend) -> None:
    """With its own status, in the summary and once in agent.log."""
    rheostat.write("job.py", JOB)
    endpoint = f"{backend.endpoint}/elsewhere"
    done = rheostat.run("job.py", env={"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint})
    log = (rheostat.last() / "agent.log").read_text()

    assert "refused by the backend: 701 spans, kept (refused: 404 Not Found)" in done.stderr
    assert log.count("traces: refused: 404 Not Found") == 1


def test_a_command_without_a_backend_keeps_the_run(
    rheostat: Rheostat, own_backend: Backend
) -> None:
    """A command in an environment that names no backend does not take the run for delivered."""
    directory = run_without_backend(rheostat, own_backend.endpoint, "--wait", "0")
    await_read(rheostat, directory)
    wait_until(lambda: listed(rheostat)["undelivered"] == 701, "they are counted")
    kill_agents(rheostat)
    listed(rheostat)
    rheostat.await_no_agents()

    assert listed(rheostat)["undelivered"] == 701
    assert (rheostat.state / "unfinished" / directory.name).exists()
