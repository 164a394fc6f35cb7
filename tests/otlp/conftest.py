"""Fixtures of the tests of the transports."""

from collections.abc import Iterator

import pytest
from authority import Authority

from sink import Sink


@pytest.fixture
def sink() -> Iterator[Sink]:
    """A backend that is up, and to which nothing has come."""
    with Sink() as made:
        yield made


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority for certificates that nobody knows."""
    return Authority(tmp_path_factory.mktemp("authority"))
