"""Recipes as the documents have them, and the place where they are run: a host with a project, a backend and nothing else.

What a recipe calls /opt/rheostat, /srv/etl and http://otel-collector:4318 is here, and all else is as it stands there.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from running import Done, processes_with, wait_until
from sink import Sink

REPOSITORY = Path(__file__).parents[2]
RECIPES = REPOSITORY / "docs" / "recipes"
ENDPOINT = "http://otel-collector:4318"
PATH = "/usr/bin:/bin"
DEADLINE_S = 120.0

JOB = """
import sys, time
def load(day):
    time.sleep(0.01)
    return day
print("loaded", load(sys.argv[-1] if len(sys.argv) > 1 else "all"))
"""


def blocks(page: str, language: str) -> list[str]:
    """Return the blocks of *language* on a page of the recipes, in their order."""
    text = (RECIPES / f"{page}.md").read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def block(page: str, language: str) -> str:
    """Return the only block of *language* on a page."""
    (found,) = blocks(page, language)
    return found


class Host:
    """A host: a user's home, a project, and a backend that is up."""

    def __init__(self, folder: Path) -> None:
        """Everything but the backend lies in *folder*."""
        self.folder = folder
        self.project = folder / "etl"
        self.home = folder / "home"
        self.variable_data = folder / "var"
        for each in (self.project, self.home, self.variable_data):
            each.mkdir(parents=True)
        (self.project / "etl.py").write_text(JOB)
        (self.project / "requirements.txt").write_text("")
        self.backend = Sink()
        self.rheostat = sys.prefix

    def here(self, text: str) -> str:
        """Return *text* of a recipe with what is in this host where it says."""
        names = {
            "/opt/rheostat": self.rheostat,
            "/srv/etl": str(self.project),
            "/var/lib/rheostat": str(self.variable_data),
            ENDPOINT: self.backend.http,
        }
        for name, meant in names.items():
            text = text.replace(name, meant)
        return text

    def environment(self, **more: str) -> dict[str, str]:
        """Return what a scheduler gives a job: a home, a path, and *more*."""
        bare = {"PATH": PATH, "HOME": str(self.home), "SHELL": "/bin/sh", "LOGNAME": "etl"}
        return {**bare, **more}

    def run(
        self, command: Sequence[str], environment: dict[str, str], folder: Path | None = None
    ) -> Done:
        """Run *command* with nothing but *environment*, and wait for its end."""
        done = subprocess.run(
            command,
            env=environment,
            cwd=folder or self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def names(self) -> list[str]:
        """Return the names of the spans that the backend has."""
        return sorted(span.name for span in self.spans())

    def spans(self) -> list[Span]:
        """Return the spans that the backend has. Fails where a request was not OTLP as it should be."""
        assert self.backend.problems == []
        return list(self.backend.spans().values())

    def resource(self) -> dict[str, str]:
        """Return the texts in the resource of the last request for traces that came."""
        last = [one for one in self.backend.requests if one.spans][-1]
        assert last.request is not None
        pairs = last.request.resource_spans[0].resource.attributes
        return {pair.key: pair.value.string_value for pair in pairs}

    def agents(self) -> list[int]:
        """Return the agents that are at work here."""
        return processes_with("rheostat_agent.supervisor", str(self.folder))

    def await_no_agents(self) -> None:
        """Return once no agent is at work."""
        wait_until(lambda: not self.agents(), "the agents end")

    def kill_agents(self) -> None:
        """Kill the agents that still try to deliver, as systemd does at the end of a unit, or a reboot."""
        for agent in self.agents():
            os.kill(agent, signal.SIGKILL)
        self.await_no_agents()
