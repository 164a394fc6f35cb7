"""Rheostat needs no decorator."""

from collections.abc import Callable
from typing import TypeVar

Function = TypeVar("Function", bound=Callable[..., object])


def traced(function: Function) -> Function:
    """Return *function*."""
    return function
