"""A working directory, a PATH and files to resolve targets in."""

from pathlib import Path

import pytest

from rheostat_agent.launcher.target import Target, TargetError, resolve


class Place:
    """A working directory, a PATH of one folder, and nothing else in the environment."""

    def __init__(self, folder: Path) -> None:
        self.cwd = folder / "work"
        self.bin = folder / "bin"
        self.cwd.mkdir()
        self.bin.mkdir()
        self.environ = {"PATH": str(self.bin)}
        self.python3 = self.executable(self.bin / "python3")

    def executable(self, path: Path) -> str:
        """Make an executable file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
        return str(path)

    def file(self, name: str) -> str:
        """Make a file of the working directory that cannot be executed."""
        path = self.cwd / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        return str(path)

    def resolve(self, *arguments: str, python: str | None = None) -> Target:
        """Resolve *arguments* here."""
        return resolve(list(arguments), python, self.environ, str(self.cwd))

    def refusal(self, *arguments: str, python: str | None = None) -> tuple[int, str]:
        """Return the status and the message with which *arguments* are refused."""
        with pytest.raises(TargetError) as caught:
            self.resolve(*arguments, python=python)
        return caught.value.status, str(caught.value)
