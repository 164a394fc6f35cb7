"""What stands in transformed code where live objects of the recorder belong, until `install` puts them there.

Constants of a code object can be any object, but only plain values survive `marshal`; so the transform leaves tuples

    (MARK, what, index)

and the index counts the functions of the module (for SUSPEND twice that, plus 1 where the generator delegates).
"""

from __future__ import annotations

from rheostat.codeobjects import Code

TYPE_CHECKING = False  # importing typing takes longer than all of a bootstrap
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType
    from typing import Any

VERSION = 1  # of the transform and of this; part of the cache's key

MARK = "\0rheostat"
SITE, CALL_SITE, GENERATOR_SITE, SUSPEND, RESUME, MODULE_SITE, MAIN_SITE, SUBMIT, TASK = range(9)


def is_placeholder(constant: Any) -> bool:
    """Say whether *constant* is one of our placeholders."""
    return type(constant) is tuple and len(constant) == 3 and constant[0] == MARK


def install(code: CodeType, make: Callable[[int, int], object]) -> CodeType:
    """Return *code* with each placeholder replaced by *make*(what, index), in all code within it."""
    constants, changed = [], False
    for constant in code.co_consts:
        kind = type(constant)
        if kind is Code:
            constant = install(constant, make)
            changed = True
        elif kind is tuple and is_placeholder(constant):
            constant = make(constant[1], constant[2])
            changed = True
        constants.append(constant)
    return code.replace(co_consts=tuple(constants)) if changed else code
