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

    # Three items a code object: it, without what belongs in it; the constant where SITE belongs; the site's index. Where
    # that is not all, _SEVERAL and (constant, what, index or number of the code object) one after the other.
    Plan: TypeAlias = tuple[Any, ...]

VERSION = 6  # of the transform and of this; part of the cache's key

MARK = "\0rheostat"
SITE, CALL_SITE, GENERATOR_SITE, SUSPEND, RESUME, MODULE_SITE, MAIN_SITE, SUBMIT, TASK = range(9)
CAPTURE = 9
_INNER = _SEVERAL = -1


def is_placeholder(constant: Any) -> bool:
    """Say whether *constant* is one of our placeholders."""
    return type(constant) is tuple and len(constant) == 3 and constant[0] == MARK


def plan(code: CodeType) -> Plan:
    """Return how `install` is to make *code*: the code objects that hold placeholders, inner before outer, and where those are.

    Kept instead of the code itself, so that at a start nobody walks through all constants to find a few placeholders. It
    is flat because each tuple of its own would be one object more for the garbage collector, thousands in all.
    """
    steps: list[Any] = []
    kept = _add_steps(code, steps)
    return tuple(steps) if steps else (kept, _SEVERAL, ())


def _add_steps(code: CodeType, steps: list[Any]) -> CodeType:
    """Append the steps of all code within *code* and of itself; return it if there are none."""
    constants: list[Any] = []
    places: list[int] = []
    for at, constant in enumerate(code.co_consts):
        before = len(steps)
        if type(constant) is Code:
            constant = _add_steps(constant, steps)
            if len(steps) > before:
                places += (at, _INNER, len(steps) // 3 - 1)
                constant = None
        elif is_placeholder(constant):
            places += (at, constant[1], constant[2])
            constant = None
        constants.append(constant)
    if places:
        code = code.replace(co_consts=tuple(constants))
        only_site = len(places) == 3 and places[1] == SITE
        steps += (code, places[0], places[2]) if only_site else (code, _SEVERAL, tuple(places))
    return code


def install(steps: Plan, sites: Sequence[object], make: Callable[[int, int], object]) -> CodeType:
    """Return the code that was planned, with *sites*[index] where a SITE belongs, and *make*(what, index) elsewhere."""
    made: list[CodeType] = []
    step = iter(steps)
    for code, place, index in zip(step, step, step, strict=True):
        constants = [*code.co_consts]
        if place >= 0:
            constants[place] = sites[index]
        else:
            item = iter(index)
            for at, what, number in zip(item, item, item, strict=True):
                if what == _INNER:
                    constants[at] = made[number]
                else:
                    constants[at] = sites[number] if what == SITE else make(what, number)
        made.append(code.replace(co_consts=tuple(constants)))
    return made[-1]
