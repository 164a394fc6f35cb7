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

    # Three items a code object: what its type is called with, without what belongs in it; the constant where SITE belongs;
    # the site's index. Where that is not all, _SEVERAL and (constant, what, index or number of the code object) one after
    # the other.
    Plan: TypeAlias = tuple[Any, ...]

VERSION = 7  # of the transform and of this; part of the cache's key

MARK = "\0rheostat"
SITE, CALL_SITE, GENERATOR_SITE, SUSPEND, RESUME, MODULE_SITE, MAIN_SITE, SUBMIT, TASK = range(9)
CAPTURE = 9
_INNER = _SEVERAL = -1


def is_placeholder(constant: Any) -> bool:
    """Say whether *constant* is one of our placeholders."""
    return type(constant) is tuple and len(constant) == 3 and constant[0] == MARK


def plan(code: CodeType) -> Plan:
    """Return how `install` is to make *code*: the code objects that hold placeholders, inner before outer, and where those are.

    Kept instead of the code itself, so that at a start nobody walks through all constants to find a few placeholders, or
    makes a code object to make another of it. It is flat because each tuple of its own would be one object more for the
    garbage collector, thousands in all. It can be installed once.
    """
    steps: list[Any] = []
    _add_steps(code, steps)
    return tuple(steps) if steps else (_fields(code, [*code.co_consts]), _SEVERAL, ())


def _add_steps(code: CodeType, steps: list[Any]) -> None:
    """Append the steps of all code within *code* and of itself; none if it holds no placeholder."""
    constants: list[Any] = []
    places: list[int] = []
    for at, constant in enumerate(code.co_consts):
        before = len(steps)
        if type(constant) is Code:
            _add_steps(constant, steps)
            if len(steps) > before:
                places += (at, _INNER, len(steps) // 3 - 1)
                constant = None
        elif is_placeholder(constant):
            places += (at, constant[1], constant[2])
            constant = None
        constants.append(constant)
    if places:
        only_site = len(places) == 3 and places[1] == SITE
        where = (places[0], places[2]) if only_site else (_SEVERAL, tuple(places))
        steps += (_fields(code, constants), *where)


_CONSTANTS = 7  # their index in what follows


def _fields(code: CodeType, constants: list[Any]) -> list[Any]:
    """Return what the type of *code* is called with to make it again, with other *constants*."""
    return [
        code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_nlocals, code.co_stacksize,
        code.co_flags, code.co_code, constants, code.co_names, code.co_varnames, code.co_filename, code.co_name,
        code.co_qualname, code.co_firstlineno, code.co_linetable, code.co_exceptiontable, code.co_freevars,
        code.co_cellvars,
    ]  # fmt: skip


def install(steps: Plan, sites: Sequence[object], make: Callable[[int, int], object]) -> CodeType:
    """Return the code that was planned, with *sites*[index] where a SITE belongs, and *make*(what, index) elsewhere."""
    made: list[CodeType] = []
    step = iter(steps)
    for fields, place, index in zip(step, step, step, strict=True):
        constants = fields[_CONSTANTS]
        if place >= 0:
            constants[place] = sites[index]
        else:
            item = iter(index)
            for at, what, number in zip(item, item, item, strict=True):
                if what == _INNER:
                    constants[at] = made[number]
                else:
                    constants[at] = sites[number] if what == SITE else make(what, number)
        fields[_CONSTANTS] = tuple(constants)
        made.append(Code(*fields))
    return made[-1]
