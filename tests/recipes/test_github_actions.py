"""docs/recipes/github-actions.md: its steps, as the runner runs them (bash -e), in the order in which it does."""

import re
import sys
from pathlib import Path
from typing import Any

import yaml
from recipe import REPOSITORY, Host, block


def steps(host: Host) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """Return the variables of the job, and its steps that run something."""
    workflow = yaml.safe_load(block("github-actions", "yaml"))
    (job,) = workflow["jobs"].values()
    runner = host.folder / "runner"
    runner.mkdir()
    values = {"secrets.OTLP_HEADERS": "x-key=s%20ecret", "runner.temp": str(runner)}

    def meant(text: str) -> str:
        filled = re.sub(r"\$\{\{ ([\w.]+) \}\}", lambda name: values[name[1]], text)
        return host.here(filled)

    environment = host.environment(
        CI="true",
        RUNNER_TEMP=str(runner),
        PATH=f"{Path(sys.executable).parent}:/usr/bin:/bin",
        **{name: meant(value) for name, value in job["env"].items()},
    )
    found = [{**step, "run": meant(step["run"])} for step in job["steps"] if "run" in step]
    return environment, found


def test_the_steps_run(host: Host) -> None:
    """Rheostat is installed beside the job, the job observed and delivered, and its trace written where it is uploaded from."""
    environment, found = steps(host)
    for step in found:
        script = re.sub(r" rheostat$", f" {REPOSITORY}", step["run"], flags=re.MULTILINE)
        done = host.run(["bash", "-e", "-c", script], environment, host.project)
        assert done.returncode == 0, (step["name"], done.stderr)
        if step["name"] == "Run":
            assert done.stdout == "loaded all\n"

    assert "etl.load" in host.names()
    assert host.backend.requests[0].headers["x-key"] == "s ecret"
    assert (Path(environment["RUNNER_TEMP"]) / "trace.json").stat().st_size > 0
