"""Measuring: contenders take turns, so that what the machine does meanwhile strikes all of them alike."""

import statistics
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Sample:
    """One contender's measurements, in the order of the rounds."""

    values: tuple[float, ...]

    @property
    def minimum(self) -> float:
        """The smallest."""
        return min(self.values)

    @property
    def median(self) -> float:
        """The one in the middle."""
        return statistics.median(self.values)

    @property
    def maximum(self) -> float:
        """The largest."""
        return max(self.values)

    def minus(self, other: "Sample") -> "Sample":
        """Return the differences, round by round."""
        return Sample(tuple(a - b for a, b in zip(self.values, other.values, strict=True)))


def ratio(one: Sample, other: Sample) -> float:
    """Return how many times *other* is in *one*: the median of the rounds' ratios."""
    pairs = zip(one.values, other.values, strict=True)
    return statistics.median(a / b for a, b in pairs)


def take_turns(
    contenders: Mapping[str, Callable[[], float]], rounds: int, warmups: int = 1
) -> dict[str, Sample]:
    """Let each contender measure itself once a round; return what they measured.

    The order is turned round every time, so that nobody always runs after the same other. The first *warmups* rounds
    fill caches and are not counted.
    """
    values: dict[str, list[float]] = {name: [] for name in contenders}
    order = list(contenders)
    for number in range(-warmups, rounds):
        for name in order:
            value = contenders[name]()
            if number >= 0:
                values[name].append(value)
        order.reverse()
    return {name: Sample(tuple(values[name])) for name in contenders}


@dataclass(frozen=True, slots=True)
class Command:
    """A command to measure. It must succeed within *limit_s* seconds."""

    arguments: Iterable[str | Path]
    environment: Mapping[str, str]
    folder: Path
    limit_s: float = 600

    def run(self) -> str:
        """Run it; return its standard output. Raises RuntimeError with its last words if it fails."""
        done = subprocess.run(
            list(map(str, self.arguments)),
            env=dict(self.environment),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=self.limit_s,
            check=False,
        )
        if done.returncode != 0:
            words = " ".join(map(str, self.arguments))
            raise RuntimeError(f"{words} ended with {done.returncode}:\n{done.stderr[-2000:]}")
        return done.stdout

    def seconds(self) -> float:
        """Run it; return how long that took."""
        started = time.perf_counter()
        self.run()
        return time.perf_counter() - started
