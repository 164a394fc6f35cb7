"""Calls a function that does nothing, as often as its argument says."""

import sys
from itertools import repeat


def step(value: int) -> int:
    """Return *value*."""
    return value


def main() -> None:
    """Call it."""
    for value in repeat(1, int(sys.argv[1])):
        step(value)


main()
