"""What the launcher tells observed processes, in the file `settings` of the run directory.

Lines `key=value`, UTF-8, a backslash written as `\\\\` and a newline as `\\n`; a key that holds a list is repeated.
Not JSON: importing `json` alone costs a third of the time that a bootstrap may take.
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing takes longer than all of a bootstrap
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any


class Settings:
    """What one run observes. Paths are absolute.

    Functions of files below *project_root* are the user's own; transformed code is kept in *cache_directory*; *include*
    and *exclude* are globs of qualified names to observe besides, and to leave alone (which wins); a process records at
    most *max_spans* calls and then counts them (0: no limit); *capture_args*: what calls are given is kept, too (capture.py).
    """

    __slots__ = (
        "cache_directory", "capture_args", "exclude", "include", "max_spans", "project_root",
    )  # fmt: skip

    def __init__(
        self,
        project_root: str,
        cache_directory: str,
        include: tuple[str, ...] = (),
        exclude: tuple[str, ...] = (),
        max_spans: int = 5_000_000,
        capture_args: bool = False,
    ) -> None:
        self.project_root = project_root
        self.cache_directory = cache_directory
        self.include = include
        self.exclude = exclude
        self.max_spans = max_spans
        self.capture_args = capture_args


def write_settings(path: str, settings: Settings) -> None:
    """Write *settings* to a new file *path* with mode 0600. Raises OSError."""
    pairs = []
    for key in Settings.__slots__:
        value: Any = getattr(settings, key)
        pairs += [(key, item) for item in (value if isinstance(value, tuple) else (value,))]
    write_pairs(path, pairs)


def write_pairs(path: str, pairs: Iterable[tuple[str, object]]) -> None:
    """Write *pairs* of key and value to a new file *path* with mode 0600. Raises OSError."""
    import os

    lines = [
        key + "=" + str(value).replace("\\", "\\\\").replace("\n", "\\n") + "\n"
        for key, value in pairs
    ]
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
        os.write(descriptor, "".join(lines).encode("utf-8", "surrogateescape"))
    finally:
        os.close(descriptor)


def read_pairs(data: bytes) -> dict[str, list[str]]:
    """Return the values of each key in *data*, in their order."""
    values: dict[str, list[str]] = {}
    for line in data.decode("utf-8", "surrogateescape").split("\n"):
        key, _, text = line.partition("=")
        parts = [part.replace("\\n", "\n") for part in text.split("\\\\")]
        values.setdefault(key, []).append("\\".join(parts))
    return values


def read_settings(data: bytes) -> Settings:
    """Return the settings encoded in *data*. Raises ValueError or KeyError if they are not ours."""
    values = read_pairs(data)
    return Settings(
        project_root=values["project_root"][0],
        cache_directory=values["cache_directory"][0],
        include=tuple(values.get("include", ())),
        exclude=tuple(values.get("exclude", ())),
        max_spans=int(values["max_spans"][0]),
        capture_args=values["capture_args"][0] == "True",
    )
