"""What the launcher tells observed processes, in the file `settings` of the run directory.

Lines `key=value`, UTF-8, a backslash written as `\\\\` and a newline as `\\n`; a key that holds a list is repeated.
Not JSON: importing `json` alone costs a third of the time that a bootstrap may take.
"""

from typing import NamedTuple


class Settings(NamedTuple):
    """What one run observes. Paths are absolute."""

    project_root: str  # functions of files below it are the user's own
    cache_directory: str  # transformed code is kept here
    include: tuple[str, ...] = ()  # globs of qualified names to observe besides
    exclude: tuple[str, ...] = ()  # globs of qualified names to leave alone; wins
    max_spans: int = 5_000_000  # a process records at most so many, then it counts; 0 = no limit
    follow: bool = True  # observe the Python processes that the program starts


def write_settings(path: str, settings: Settings) -> None:
    """Write *settings* to a new file *path* with mode 0600. Raises OSError."""
    import os

    lines = []
    for key, value in settings._asdict().items():
        for item in value if isinstance(value, tuple) else (value,):
            text = str(int(item) if isinstance(item, bool) else item)
            lines.append(key + "=" + text.replace("\\", "\\\\").replace("\n", "\\n") + "\n")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
        os.write(descriptor, "".join(lines).encode("utf-8", "surrogateescape"))
    finally:
        os.close(descriptor)


def read_settings(data: bytes) -> Settings:
    """Return the settings encoded in *data*. Raises ValueError or KeyError if they are not ours."""
    values: dict[str, list[str]] = {}
    for line in data.decode("utf-8", "surrogateescape").split("\n"):
        key, _, text = line.partition("=")
        parts = [part.replace("\\n", "\n") for part in text.split("\\\\")]
        values.setdefault(key, []).append("\\".join(parts))
    return Settings(
        project_root=values["project_root"][0],
        cache_directory=values["cache_directory"][0],
        include=tuple(values.get("include", ())),
        exclude=tuple(values.get("exclude", ())),
        max_spans=int(values["max_spans"][0]),
        follow=values["follow"][0] == "1",
    )
