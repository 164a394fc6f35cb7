"""Fixtures of the tests of what leaves the history."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from backend import Backend
from running import Rheostat, rheostat_fixture


@pytest.fixture
def rheostat(tmp_path: Path) -> Iterator[Rheostat]:
    """The `rheostat` command, with a project and a state directory of its own."""
    yield from rheostat_fixture(tmp_path)


@pytest.fixture(scope="session")
def shared_backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """A backend that is up all the time."""
    backend = Backend(tmp_path_factory.mktemp("backend") / "log")
    backend.start()
    yield backend
    backend.stop()


@pytest.fixture
def backend(shared_backend: Backend) -> Backend:
    """A backend that is up, and to which nothing has come."""
    shared_backend.clear()
    return shared_backend


@pytest.fixture
def own_backend(tmp_path: Path) -> Iterator[Backend]:
    """A backend that is down; the test starts and stops it."""
    backend = Backend(tmp_path / "backend.log")
    yield backend
    backend.stop()


@pytest.fixture
def exports_all(rheostat: Rheostat) -> None:
    """Have every span sent, be it as short as those of tests are."""
    rheostat.variables["RHEOSTAT_EXPORT"] = "all"
