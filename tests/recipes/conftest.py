"""Fixtures of the tests that run the recipes."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from recipe import Host


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A host with a project, and a backend that is up."""
    made = Host(tmp_path)
    yield made
    for agent in made.agents():
        try:
            os.kill(agent, signal.SIGKILL)
        except ProcessLookupError:
            continue  # it ended by itself
    made.backend.down()
