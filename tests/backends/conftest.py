"""Fixtures of the tests with real stores. They take minutes to install, and run by themselves: `pytest -m backends`."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import Mlflow, Phoenix, Server

from running import Rheostat, rheostat_fixture

SECRET = "a-secret-of-the-administrator-0123456789"


@pytest.fixture
def rheostat(tmp_path: Path) -> Iterator[Rheostat]:
    """The `rheostat` command, with a project and a state directory of its own."""
    yield from rheostat_fixture(tmp_path)


def _up(server: Server) -> Iterator[Server]:
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def phoenix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Phoenix, open to all."""
    yield from _up(Phoenix(tmp_path_factory.mktemp("phoenix")))


@pytest.fixture(scope="session")
def locked_phoenix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Phoenix with its authentication."""
    yield from _up(Phoenix(tmp_path_factory.mktemp("locked"), SECRET))


@pytest.fixture(scope="session")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """MLflow, with an experiment of the number 0."""
    yield from _up(Mlflow(tmp_path_factory.mktemp("mlflow")))
