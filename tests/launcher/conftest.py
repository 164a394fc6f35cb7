"""Every test has a state directory of its own, and leaves no agent behind."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from launching import DEADLINE_S
from place import Place


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a folder that is no user's; wait at the end for what runs in its neighbours."""
    folder = tmp_path_factory.mktemp("cache")
    yield folder
    needle = os.fsencode(folder.parent) + b"/"
    until = time.monotonic() + DEADLINE_S
    while any(needle in line and b"supervisor" in line for line in _command_lines()):
        assert time.monotonic() < until, "an agent is left"
        time.sleep(0.05)  # a poll of /proc, which nothing can wait for


def _command_lines() -> Iterator[bytes]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield path.read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended meanwhile


@pytest.fixture(autouse=True)
def directories(
    cache: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keep the user's own directories out of it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setenv("RHEOSTAT_STATE_DIR", str(tmp_path_factory.mktemp("state")))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A place of the test's own."""
    return Place(tmp_path)
