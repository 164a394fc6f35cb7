"""Fixtures that every folder of tests shares."""

from pathlib import Path

import pytest

from harness import Lab, interpreters


@pytest.fixture(params=interpreters(), ids=lambda python: Path(python).parts[-3])
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Lab:
    """A project to run programs in, once for each interpreter of this machine."""
    return Lab(tmp_path, request.param)


@pytest.fixture
def our_lab(tmp_path: Path) -> Lab:
    """A project to run programs in, under the interpreter that runs the tests."""
    return Lab(tmp_path, interpreters()[0])
