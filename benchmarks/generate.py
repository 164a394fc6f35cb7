"""A project to start: 212 modules, 50,000 lines, a function every twenty lines. The same at every run.

That density is what pip, mypy, pytest, click, requests and asyncio have (14 to 30 lines a function, 80 to 150 a class).
"""

from pathlib import Path

MODULES = 212
PARTS = 3  # of a module; each is a function and a class with three methods

HEAD = '''"""Module {module} of the generated project."""

import collections
import functools
import re
from dataclasses import dataclass, field

LIMIT_{module} = {module}


class Base:
    """What the stages of this module share."""

    kind = None

    def __repr__(self):
        return f"<{{type(self).__name__}} {{self.name}} of {module}>"


PATTERN = re.compile(r"([a-z]+)-([0-9]+)")

'''
PART = '''
def normalise_{part}(records, limit=LIMIT_{module}, by="name"):
    """Return the records whose weight is at most *limit*, by name.

    A record without a weight counts as weightless; one without a name is kept under the empty name, for the caller to
    decide. The records themselves are not copied.
    """
    chosen = collections.defaultdict(list)
    for record in records:
        weight = record.get("weight", 0)
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
    be tried again up to *retries* times.
    """

    kind = "stage-{part}"

    def __init__(self, name, retries={part}, *, strict=False, limit=None):
        if retries < 0:
            raise ValueError(f"retries must not be negative: {{retries}}")
        self.name = name
        self.retries = retries
        self.strict = strict
        self.limit = LIMIT_{module} if limit is None else limit
        self.left = []

    def run(self, items):
        """Take *items*; return what became of them."""
        results = []
        for index, item in enumerate(items):
            try:
                results.append(self.step(index, item))
            except ValueError as error:
                if self.strict:
                    raise
                # Kept for the next round: a stage never drops what it was given.
                self.left.append((index, item, str(error)))
        if self.left and self.retries:
            self.retries -= 1
            again = [item for _, item, _ in self.left]
            self.left.clear()
            results += self.run(again)["results"]
        return {{"name": self.name, "results": results, "left": len(self.left)}}

    def step(self, index, item):
        """Take one item. Raises ValueError for what this stage cannot do."""
        if index > self.limit * 1000:
            raise ValueError(f"more than {{self.limit}} thousand items: {{index}}")
        if isinstance(item, dict):
            item = {{key: value for key, value in item.items() if value is not None}}
        elif isinstance(item, (list, tuple)):
            item = tuple(part for part in item if part is not None)
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
