"""Rheostat: the program says nothing of it. The launcher is told to leave `bare` alone."""

from measure import compare


def bare(value: int) -> int:
    """Return *value*."""
    return value


def recorded(value: int) -> int:
    """Return *value*."""
    return value


compare(bare, recorded)
