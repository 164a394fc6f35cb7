"""What a benchmark found: tables for people, raw numbers for machines, and the issue's goals beside them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.timing import Sample


@dataclass(frozen=True, slots=True)
class Goal:
    """One goal and the figure found. *met* is a remark, not an assertion."""

    text: str
    found: str
    met: bool


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under a header; the first column is aligned left, the others right."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """Return the table as Markdown."""
        lines = ["| " + " | ".join(row) + " |" for row in (self.header, *self.rows)]
        marks = ["---"] + ["---:"] * (len(self.header) - 1)
        return "\n".join([lines[0], "| " + " | ".join(marks) + " |", *lines[1:]])


@dataclass(frozen=True, slots=True)
class Result:
    """One benchmark's findings. *raw* holds the numbers by contender, in the unit that *unit* names."""

    name: str
    table: Table
    unit: str
    raw: Mapping[str, object]
    goals: Sequence[Goal] = ()
    remarks: Sequence[str] = field(default_factory=list)

    def markdown(self) -> str:
        """Return all of it as Markdown."""
        parts = [self.table.markdown()]
        if self.goals:
            rows = [(goal.text, goal.found, "yes" if goal.met else "**no**") for goal in self.goals]
            parts.append(Table(("goal", "found", "met"), rows).markdown())
        parts += self.remarks
        return "\n\n".join(parts)


SPREAD = ("least", "median", "most")


def spread(sample: Sample, factor: float = 1, form: str = ".1f") -> list[str]:
    """Return the cells minimum, median and maximum of a sample, each times *factor*."""
    three = (sample.minimum, sample.median, sample.maximum)
    return [format(value * factor, form) for value in three]
