"""Logfire: its import hook, told to record every call, as Rheostat does."""

import logfire

logfire.configure()
logfire.install_auto_tracing(modules=["traced"], min_duration=0)

from measure import compare
from traced import recorded


def bare(value: int) -> int:
    """Return *value*."""
    return value


compare(bare, recorded)
