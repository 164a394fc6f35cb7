"""Secrets in what the launcher and the agent keep: hidden as in observed processes, by rheostat.masking.

The launcher comes through here: no regular expressions, whose module takes longer to import than all of this.
"""

from rheostat.masking import hide, hide_arguments
from rheostat.shapes import HIDDEN

__all__ = ["HIDDEN", "SEPARATOR", "hide", "join_arguments", "masked"]

SEPARATOR = "\x1f"


def masked(arguments: "list[str]") -> "list[str]":
    """Return *arguments* with the values of options, variables, headers and URLs hidden that are secret."""
    return hide_arguments(arguments)


def join_arguments(arguments: "list[str]") -> str:
    """Return *arguments* as the history keeps them: separated by U+001F."""
    return SEPARATOR.join(argument.replace(SEPARATOR, " ") for argument in arguments)
