"""What stands in transformed code where live objects of the recorder belong, until `install` puts them there.

Constants of a code object can be any object, but only plain values survive `marshal`; so the transform leaves tuples

    (MARK, what, index)

and the index counts the functions of the module (for SUSPEND twice that, plus 1 where the generator delegates).
"""

from __future__ import annotations

from rheostat.codeobjects import Code

TYPE_CHECKING = False  # importing typing takes longer than all of a bootstrap
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import CodeType
    from typing import Any, TypeAlias

    # Code without what belongs in it; (constant, what, index) of its sites; (constant, number of the step) of inner code.
    Step: TypeAlias = tuple[CodeType, tuple[tuple[int, int, int], ...], tuple[tuple[int, int], ...]]
    Plan: TypeAlias = tuple[Step, ...]

VERSION = 5  # of the transform and of this; part of the cache's key

MARK = "\0rheostat"
SITE, CALL_SITE, GENERATOR_SITE, SUSPEND, RESUME, MODULE_SITE, MAIN_SITE, SUBMIT, TASK = range(9)


def is_placeholder(constant: Any) -> bool:
    """Say whether *constant* is one of our placeholders."""
    return type(constant) is tuple and len(constant) == 3 and constant[0] == MARK


def plan(code: CodeType) -> Plan:
    """Return how `install` is to make *code*: its code objects, the inner before the outer, and where sites belong in each.

    Kept instead of the code itself, so that at a start nobody walks through all constants to find a few placeholders.
    """
    steps: list[Step] = []
    _add_steps(code, steps)
    return tuple(steps)


def _add_steps(code: CodeType, steps: list[Step]) -> int:
    """Append the steps of *code* and all code within it; return the number of its own."""
    constants: list[Any] = []
    sites, inner = [], []
    for at, constant in enumerate(code.co_consts):
        if type(constant) is Code:
            inner.append((at, _add_steps(constant, steps)))
            constant = None
        elif is_placeholder(constant):
            sites.append((at, constant[1], constant[2]))
            constant = None
        constants.append(constant)
    if sites or inner:
        code = code.replace(co_consts=tuple(constants))
    steps.append((code, tuple(sites), tuple(inner)))
    return len(steps) - 1


def install(steps: Plan, sites: Sequence[object], make: Callable[[int, int], object]) -> CodeType:
    """Return the code that was planned, with *sites*[index] where a SITE belongs, and *make*(what, index) elsewhere."""
    made: list[CodeType] = []
    for code, places, inner in steps:
        if places or inner:
            constants = [*code.co_consts]
            for at, what, index in places:
                constants[at] = sites[index] if what == SITE else make(what, index)
            for at, number in inner:
                constants[at] = made[number]
            code = code.replace(co_consts=tuple(constants))
        made.append(code)
    return made[-1]
