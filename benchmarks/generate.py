"""A project to start: 212 modules, 50,000 lines, a function every 21 lines. The same at every run.

That is the density of real packages: asyncio 14, pytest and email 19, mypy 20, click and ddtrace 22, hypothesis, requests
and urllib3 24, pip 30 lines a function. The modules import what such modules import of the standard library.
"""

from pathlib import Path

MODULES = 212
PARTS = 2  # of a module; each is a function and a class with three methods

HEAD = '''"""Module {module} of the generated project."""

import collections
import datetime
import functools
import json
import logging
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LIMIT_{module} = {module}
PATTERN = re.compile(r"([a-z]+)-([0-9]+)")
log = logging.getLogger(__name__)


class Base:
    """What the stages of this module share."""

    kind = None

    def __repr__(self):
        return f"<{{type(self).__name__}} {{self.name}} of {module}>"

'''
PART = '''
#: What each system calls the fields, and what they are called here.
FIELDS_{part} = {{
    "weight": "weight",
    "Weight (kg)": "weight",
    "Gewicht": "weight",
    "name": "name",
    "Name": "name",
    "Bezeichnung": "name",
    "created": "created",
    "Created on": "created",
    "Datum": "created",
}}


def normalise_{part}(records: list[dict[str, Any]], limit: int = LIMIT_{module}, by: str = "name"):
    """Return the records whose weight is at most *limit*, by name.

    A record without a weight counts as weightless; one without a name is kept under the empty name, for the caller to
    decide. The records themselves are not copied.

        >>> normalise_{part}([{{"name": " A ", "weight": 0}}])
        {{'a': [{{'name': ' A ', 'weight': 0}}]}}
    """
    chosen = collections.defaultdict(list)
    for record in records:
        weight = record.get("weight", 0)
        if isinstance(weight, str):
            try:
                weight = float(weight.replace(",", "."))
            except ValueError:
                log.warning("record %s has the weight %r", record, weight)
                continue
        if weight > limit:
            continue
        # Names come from three systems, one of which pads them.
        name = record.get(by, "").strip().lower()
        if not name and by != "name":
            name = record.get("name", "")
        chosen[name].append(record)
    return dict(sorted(chosen.items()))


class Stage{part}(Base):
    """One stage of the work.

    A stage takes items one by one and gives them on; what it could not take is kept in `left`, with the reason, and can
    be tried again up to *retries* times. A strict stage raises instead.
    """

    kind = "stage-{part}"

    def __init__(self, name: str, retries: int = {part}, *, strict: bool = False, limit: int | None = None):
        if retries < 0:
            raise ValueError(f"retries must not be negative: {{retries}}")
        self.name = name
        self.retries = retries
        self.strict = strict
        self.limit = LIMIT_{module} if limit is None else limit
        self.left: list[tuple[int, Any, str]] = []
        self.started: datetime.datetime | None = None

    def run(self, items: list[Any], report: Path | None = None) -> dict[str, Any]:
        """Take *items*; return what became of them, and write it to *report* if that is given."""
        results = []
        for index, item in enumerate(items):
            try:
                results.append(self.step(index, item))
            except ValueError as error:
                if self.strict:
                    raise
                # Kept for the next round: a stage never drops what it was given.
                self.left.append((index, item, str(error)))
                log.info("stage %s keeps item %d: %s", self.name, index, error)
        if self.left and self.retries:
            self.retries -= 1
            again = [item for _, item, _ in self.left]
            self.left.clear()
            results += self.run(again)["results"]
        summary = {{"name": self.name, "results": results, "left": len(self.left)}}
        if report is not None:
            report.write_text(json.dumps(summary, default=str))
        return summary

    def step(self, index: int, item: Any) -> tuple[str, int, Any]:
        """Take one item. Raises ValueError for what this stage cannot do."""
        if index > self.limit * 1000:
            raise ValueError(f"more than {{self.limit}} thousand items: {{index}}")
        if isinstance(item, dict):
            item = {{FIELDS_{part}.get(key, key): value for key, value in item.items() if value is not None}}
        elif isinstance(item, (list, tuple)):
            item = tuple(part for part in item if part is not None)
        elif isinstance(item, str) and (found := PATTERN.fullmatch(item)):
            item = found.groups()
        return self.kind, index, item

'''
TAIL = '''
@dataclass
class Options:
    """What the module may be told."""

    verbose: bool = False
    names: list = field(default_factory=list)


@functools.lru_cache
def parse(text):
    found = PATTERN.match(text)
    return found.groups() if found else None


def main():
    return Stage0("stage").run(normalise_1([{"name": "a", "weight": 0}]))
'''


def write_project(folder: Path) -> int:
    """Write the project below *folder*, with a `main.py` that imports and uses every module; return its lines."""
    package = folder / "application"
    package.mkdir(parents=True)
    (folder / "pyproject.toml").write_text('[project]\nname = "application"\n')
    (package / "__init__.py").write_text("")
    names = [f"module_{number:03}" for number in range(MODULES)]
    for number, name in enumerate(names):
        parts = "\n".join(PART.format(module=number, part=part) for part in range(PARTS))
        (package / f"{name}.py").write_text(HEAD.format(module=number) + parts + "\n" + TAIL)
    main = [f"from application import {name}" for name in names]
    main += [f"{name}.main()" for name in names]
    (folder / "main.py").write_text("\n".join(main) + "\n")
    return sum(len(path.read_text().splitlines()) for path in package.iterdir())
