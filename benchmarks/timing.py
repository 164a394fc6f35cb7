"""Measuring: contenders take turns, so that what the machine does meanwhile strikes all of them alike."""

import statistics
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

Measured = TypeVar("Measured")


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


def ratio(one: Sample, other: Sample) -> float:
    """Return how many times *other* is in *one*: the median of the rounds' ratios."""
    pairs = zip(one.values, other.values, strict=True)
    return statistics.median(a / b for a, b in pairs)


def take_turns(
    contenders: Mapping[str, Callable[[], Measured]], rounds: int, warmups: int = 1
) -> dict[str, tuple[Measured, ...]]:
    """Let each contender measure itself once a round; return what they measured, in the order of the rounds.

    The order is turned round every time, so that nobody always runs after the same other. The first *warmups* rounds
    fill caches and are not counted.
    """
    values: dict[str, list[Measured]] = {name: [] for name in contenders}
    order = list(contenders)
    for number in range(-warmups, rounds):
        for name in order:
            value = contenders[name]()
            if number >= 0:
                values[name].append(value)
        order.reverse()
    return {name: tuple(values[name]) for name in contenders}


def take_timed_turns(contenders: Mapping[str, "Command"], rounds: int) -> dict[str, Sample]:
    """Run each command once a round; return the seconds each took."""
    measures = {name: command.seconds for name, command in contenders.items()}
    return {name: Sample(values) for name, values in take_turns(measures, rounds).items()}


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
