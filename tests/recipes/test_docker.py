"""docs/recipes/docker.md without a Docker daemon: its steps in a folder, its command as the first process of a name space."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from recipe import REPOSITORY, Host, block

CONTAINER = ["unshare", "--pid", "--fork", "--mount-proc"]
KNOWN = {"FROM", "RUN", "WORKDIR", "COPY", "ENV", "VOLUME", "ENTRYPOINT", "CMD"}

if subprocess.run([*CONTAINER, "true"], capture_output=True, check=False).returncode != 0:
    pytest.skip("may not make a name space", allow_module_level=True)


def instructions() -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile with what stands behind them. Fails on an unknown one."""
    found = [tuple(line.split(None, 1)) for line in block("docker", "dockerfile").splitlines()]
    assert {word for word, _ in found} <= KNOWN
    return [(word, rest) for word, rest in found]


class Image:
    """What the Dockerfile makes, in a folder of this host."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.environment = host.environment(PATH=f"{Path(sys.executable).parent}:/usr/bin:/bin")
        self.command: list[str] = []
        self.folder = host.home
        for word, rest in instructions():
            self._follow(word, host.here(rest))

    def _follow(self, word: str, rest: str) -> None:
        if word == "RUN":
            rest = re.sub(r" rheostat$", f" {REPOSITORY}", rest).replace(" --no-cache-dir", "")
            done = self.host.run(["/bin/sh", "-c", rest], self.environment, self.folder)
            assert done.returncode == 0, done.stderr
        elif word == "WORKDIR":
            self.folder = Path(rest)
        elif word == "ENV":
            self.environment |= dict([rest.split("=", 1)])
        elif word in ("ENTRYPOINT", "CMD"):
            self.command += json.loads(rest)

    def start(self, *command: str, **variables: str) -> tuple[int, str]:
        """Run *command*, or what the image says, as `docker run -e` would; return status and standard output."""
        done = self.host.run(
            [*CONTAINER, *(command or self.command)],
            {**self.environment, **variables},
            self.folder,
        )
        return done.returncode, done.stdout


def sending() -> list[str]:
    """Return the command in the container of the `docker run` that sends what is left."""
    text = (REPOSITORY / "docs/recipes/docker.md").read_text()
    (line,) = re.findall(r"`(docker run [^`]* send --all)`", text)
    words = shlex.split(line)
    entrypoint = words[words.index("--entrypoint") + 1]
    return [entrypoint, *words[words.index("etl") + 1 :]]


def test_the_image_observes_its_job(host: Host) -> None:
    """Built as it says, started as the first process: when it has ended, the backend has everything; after an outage, later."""
    host.rheostat = str(host.folder / "opt")
    image = Image(host)
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": host.backend.http}
    status, out = image.start(**variables)
    assert (status, out) == (0, "loaded all\n")
    assert "etl.load" in host.names()

    host.backend.down()
    count = len(host.spans())
    assert image.start(**variables)[0] == 0
    host.backend.up()
    status, _ = image.start(*[host.here(word) for word in sending()], **variables)

    assert status == 0
    assert len(host.spans()) == 2 * count
