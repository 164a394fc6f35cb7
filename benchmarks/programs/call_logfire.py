"""Logfire: its decorator. By default it also prints every span; LOGFIRE_CONSOLE=false turns that off."""

import logfire
from measure import compare

logfire.configure()


def bare(value: int) -> int:
    """Return *value*."""
    return value


@logfire.instrument
def recorded(value: int) -> int:
    """Return *value*."""
    return value


compare(bare, recorded)
