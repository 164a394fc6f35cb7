"""Fixtures of the tests of what is set, and where."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from running import Rheostat, rheostat_fixture


@pytest.fixture
def rheostat(tmp_path: Path) -> Iterator[Rheostat]:
    """The `rheostat` command, with a project and a state directory of its own."""
    yield from rheostat_fixture(tmp_path)
