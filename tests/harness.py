"""Runs a program plain and observed, without launcher or agent, and reads what it left in the spool.

The launcher's part of the contract is done here by hand: a run directory, the settings, two variables. So these tests
hold for the recorder alone, and for every interpreter that the machine has.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import rheostat
from rheostat.settings import Settings, write_settings
from rheostat.spool import events, layout


def interpreters() -> list[str]:
    """Return the interpreters to test with: ours, and the supported ones under ~/.pyenv."""
    found = {sys.version_info[:2]: sys.executable}
    for python in sorted(Path.home().glob(".pyenv/versions/3.*/bin/python")):
        version = tuple(int(part) for part in python.parent.parent.name.split(".")[:2])
        if (3, 11) <= version <= (3, 13):
            found.setdefault(version, str(python))
    return list(found.values())


@dataclass(frozen=True, slots=True)
class Span:
    """One record. Times are monotonic nanoseconds; *parent* is the parent's span id."""

    id: int
    parent: int
    name: str
    kind: int
    thread: int
    start_ns: int
    end_ns: int | None
    error: str | None
    suspended_ns: int
    items: int


@dataclass(slots=True)
class Image:
    """What one process image told of itself."""

    base: int
    process: list[Any] = field(default_factory=list)
    functions: dict[int, str] = field(default_factory=dict)
    types: dict[int, str] = field(default_factory=dict)
    threads: list[tuple[int, str]] = field(default_factory=list)
    exceptions: list[dict[str, object]] = field(default_factory=list)
    skipped: list[tuple[str, str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)
    resumed: int = 0
    dropped: int = 0
    spans: list[Span] = field(default_factory=list)


def read_spool(directory: Path) -> list[Image]:
    """Return the images of a spool, in the order in which their processes began."""
    images: dict[int, Image] = {}
    for path in sorted(directory.glob("*.events")):
        image = images.setdefault(int(path.name[:16], 16), Image(int(path.name[:16], 16)))
        for kind, fields, _ in events.decode_frames(path.read_bytes()):
            _tell(image, kind, fields)
    for path in sorted(directory.glob("*.spans")):
        image = images[int(path.name[:16], 16)]
        image.spans += _records(image, path.read_bytes())
    for image in images.values():
        image.spans.sort(key=lambda span: span.id)
    return sorted(images.values(), key=lambda image: image.process[6] if image.process else 0)


def _tell(image: Image, kind: int, fields: list[Any]) -> None:
    if kind == events.PROCESS:
        image.process = fields
    elif kind == events.MODULE:
        first, listing = fields
        _, _, count, *rest = events.decode_fields(listing)
        for index in range(count):
            image.functions[first + index] = rest[3 * index + 1]
        rest = rest[3 * count + 1 :]
        pairs = zip(rest[::2], rest[1::2], strict=True)
        image.skipped += [("function", name, reason) for name, reason in pairs]
    elif kind == events.ERRTYPE:
        image.types[fields[0]] = fields[1]
    elif kind == events.THREAD:
        image.threads.append((fields[0], fields[2]))
    elif kind == events.EXCEPTION:
        number, slot, _, type_id, has_text, text, count, *rest = fields
        stack = [tuple(rest[3 * index : 3 * index + 3]) for index in range(count)]
        text = text if has_text else None
        image.exceptions.append(
            {
                "number": number,
                "slot": slot,
                "type": image.types[type_id],
                "text": text,
                "stack": stack,
            }
        )
    elif kind == events.SKIPPED:
        image.skipped.append(tuple(fields))
    elif kind == events.NOTE:
        image.notes.append(fields[1])
    elif kind == events.LOSS:
        image.losses.append(fields[1])
    elif kind == events.RESUME:
        image.resumed += 1


def _records(image: Image, data: bytes) -> Iterator[Span]:
    if data[:8] in (b"", bytes(8)):  # its writer was killed while making it
        return
    header = layout.HEADER.unpack_from(data)
    assert header[0] == layout.MAGIC
    image.dropped += header[layout.DROPPED]
    for index, record in enumerate(layout.RECORD.iter_unpack(data[layout.RECORD_SIZE :])):
        parent, thread, start, head, end, error, suspended, items = record
        if not head:
            continue
        yield Span(
            id=image.base + header[3] + index,
            parent=image.base + parent,
            name=image.functions[head & layout.SITE_MASK],
            kind=head >> 32 & 255,
            thread=thread,
            start_ns=start,
            end_ns=end or None,
            error=image.types[error >> 32] if error else None,
            suspended_ns=suspended,
            items=items,
        )


@dataclass(frozen=True, slots=True)
class Result:
    """How a program ended. *returncode* is negative for a signal."""

    returncode: int
    stdout: str
    stderr: str
    images: list[Image]

    @property
    def image(self) -> Image:
        """The first process."""
        return self.images[0]

    @property
    def spans(self) -> list[Span]:
        """The spans of all processes."""
        return [span for image in self.images for span in image.spans]

    def named(self, name: str) -> list[Span]:
        """Return the spans of one name, in the order of their ids."""
        return [span for span in self.spans if span.name == name]

    def tree(self) -> list[str]:
        """Return `parent > name` for each span, a process as its name."""
        names = {image.base: str(image.process[12]) for image in self.images if image.process}
        names |= {span.id: span.name for span in self.spans}
        return [f"{names[span.parent]} > {span.name}" for span in self.spans]


class Lab:
    """A folder with a project in it, and what is needed to observe it."""

    def __init__(self, folder: Path, python: str) -> None:
        self.python = python
        self.project = folder / "project"
        self.project.mkdir(parents=True)
        self.cache = folder / "cache"
        self._runs = folder / "runs"
        self._count = 0

    def write(self, name: str, source: str) -> Path:
        """Write a file of the project."""
        path = self.project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
        return path

    def environment(self, **settings: object) -> dict[str, str]:
        """Make a run directory; return the variables that observe a process into it."""
        self._count += 1
        run = self._runs / str(self._count)
        (run / "spool").mkdir(parents=True, mode=0o700)
        run.chmod(0o700)
        write_settings(f"{run}/settings", Settings(str(self.project), str(self.cache), **settings))
        old = os.environ.get("PYTHONPATH")
        path = rheostat.bootstrap_directory() + (f":{old}" if old else "")
        return {"RHEOSTAT_RUN": str(run), "PYTHONPATH": path}

    @property
    def spool(self) -> Path:
        """The spool of the latest run."""
        return self._runs / str(self._count) / "spool"

    def plain(self, *command: str, **options: object) -> Result:
        """Run the interpreter with *command*, as without us."""
        return self._run(command, {}, **options)

    def observed(
        self, *command: str, settings: Mapping[str, object] | None = None, **options: object
    ) -> Result:
        """Run the interpreter with *command*, observed."""
        return self._run(command, self.environment(**(settings or {})), **options)

    def _run(self, command: tuple[str, ...], more: dict[str, str], **options: object) -> Result:
        keywords: dict[str, object] = {"cwd": self.project, "timeout": 120, **options}
        environment = {**os.environ, **(keywords.pop("env", None) or {}), **more}
        done = subprocess.run(
            [self.python, *command],
            capture_output=True,
            text=True,
            env=environment,
            check=False,
            **keywords,
        )
        images = read_spool(self.spool) if more else []
        return Result(done.returncode, done.stdout, done.stderr, images)
