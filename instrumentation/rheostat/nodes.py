"""Makes the syntax nodes that the transform puts into a program; most have no location (line -1).

Used by transform.py and exits.py, on a cache miss.
"""

from __future__ import annotations

import _ast

from rheostat.placeholders import MARK

TYPE_CHECKING = False  # typing might be found in the program's own folder by now
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

FUNCTIONS = (_ast.FunctionDef, _ast.AsyncFunctionDef)
NOWHERE: dict[str, Any] = {"lineno": -1, "end_lineno": -1, "col_offset": -1, "end_col_offset": -1}
# What prepares a yield, or captures arguments, goes to the line of what follows, once the compiler has laid out the instructions. Until then
# it stands on a line that no file has.
BEFORE_YIELD = dict.fromkeys(NOWHERE, 1 << 28)


def where_is(node: Any) -> dict[str, Any]:
    names = ("lineno", "end_lineno", "col_offset", "end_col_offset")
    return {name: getattr(node, name) for name in names}


def placeholder(what: int, index: int, where: dict[str, Any] = NOWHERE) -> Any:
    value: Any = (MARK, what, index)
    return _ast.Constant(value=value, **where)


def call(function: Any, *arguments: Any, where: dict[str, Any] = NOWHERE) -> Any:
    """Return a call of a placeholder. Behind a condition that is always true, since CPython warns of calls of constants."""
    if isinstance(function, _ast.Constant):
        function = if_true(function, where_is(function))
    return _ast.Call(func=function, args=list(arguments), keywords=[], **where)


def given(function: Any, names: list[str]) -> Any:
    """Return the statement that calls a placeholder with *names* of variables, whose stars are no part of them, and their values."""
    where: dict[str, Any] = BEFORE_YIELD
    values = [_ast.Name(id=name.lstrip("*"), ctx=_ast.Load(), **where) for name in names]
    listed: Any = tuple(names)
    listed = _ast.Constant(value=listed, **where)
    return _ast.Expr(value=call(function, listed, *values, where=where), **where)


def if_true(node: Any, where: dict[str, Any]) -> Any:
    """Return `node if True else None`, which compiles to what *node* does."""
    true, none = _ast.Constant(value=True, **where), _ast.Constant(value=None, **where)
    return _ast.IfExp(test=true, body=node, orelse=none, **where)


def with_(item: Any, body: list[Any]) -> Any:
    return _ast.With(items=[_ast.withitem(context_expr=item)], body=body, **NOWHERE)


def once(statement: Any) -> Any:
    """Return *statement* in a loop that it leaves by `break`: the way out where there can be no `return`."""
    true = _ast.Constant(value=True, **NOWHERE)
    body = [statement, _ast.Break(**NOWHERE)]
    return _ast.While(test=true, body=body, orelse=[], **NOWHERE)


def blocks_of(node: Any) -> Iterator[list[Any]]:
    """Yield the statement lists of a compound statement."""
    for field in ("body", "orelse", "finalbody"):
        block = getattr(node, field, None)
        if isinstance(block, list):
            yield block
    for field in ("handlers", "cases"):
        for part in getattr(node, field, ()):
            yield part.body
