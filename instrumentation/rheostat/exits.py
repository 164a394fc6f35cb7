"""The ways out of a body that our `with` is put around: each must be on the line where the plain function has it.

CPython lays them out, and gives lines to those that have none; what helps it to the plain result is here. Shown by
tests/instrumentation/test_transform_events.py, by trace functions. Used by transform.py, on a cache miss.
"""

from __future__ import annotations

import _ast

from rheostat.nodes import FUNCTIONS, NOWHERE, blocks_of, if_true

TYPE_CHECKING = False  # typing might be found in the program's own folder by now
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


def nothing(node: Any) -> Any:
    """Return a statement for a body that is a docstring alone: where the plain function has its return, at its very start."""
    line = min(part.lineno for part in (node, *node.decorator_list))
    return _ast.Pass(lineno=line, end_lineno=line, col_offset=0, end_col_offset=0)


def closes(node: Any, field: str) -> bool:
    """Say whether a `return` in this *field* of *node* makes it do something of its own, and then is on no line."""
    if field in ("body", "handlers", "orelse"):
        return bool(getattr(node, "finalbody", None)) or isinstance(
            node, (_ast.With, _ast.AsyncWith)
        )
    return False


def return_from_its_line(node: Any) -> None:
    """See to it that the `return` of a value of several lines happens on its own line, not on the last one of the value.

    CPython marks the line if the value begins on another one. A condition that is always true has no code, and no line.
    """
    value = node.value
    if value is not None and value.lineno == node.lineno and value.end_lineno > node.lineno:
        node.value = if_true(value, NOWHERE)


def end_in(body: list[Any], way_out: Any) -> None:
    """Put a *way_out*, `return` or `break`, wherever control falls off the end of *body*.

    CPython copies what it puts there itself, two instructions, to each place that leads to it, and gives it that place's
    line. What leaves our `with` is too long for that: shared, it would have the line of one of those places alone.
    """
    last = body[-1]
    if isinstance(last, (_ast.Return, _ast.Raise, _ast.Continue, _ast.Break)):
        return
    for block in _tails(last):
        end_in(block, way_out)
    body.append(way_out(**NOWHERE))


def _tails(node: Any) -> Iterator[list[Any]]:
    """Yield the blocks of the statement *node* whose end is its end, as far as a way out there means the same."""
    if isinstance(node, _ast.If):
        yield node.body
    elif isinstance(node, _ast.Match):
        for case in node.cases:
            yield case.body
    elif isinstance(node, _ast.Try) and not node.finalbody:
        for handler in node.handlers:
            yield handler.body
        if not node.orelse:
            yield node.body
    if getattr(node, "orelse", None) and not getattr(node, "finalbody", None):
        yield node.orelse


def refuse_loose_breaks(body: list[Any]) -> None:
    """Raise SyntaxError for a `break` or `continue` that is in no loop of its own, before it is in ours."""
    pending = [body]
    while pending:
        for node in pending.pop():
            loose = isinstance(node, (_ast.Break, _ast.Continue))
            if loose:
                raise SyntaxError("not in a loop")
            if isinstance(node, (_ast.For, _ast.AsyncFor, _ast.While)):
                pending.append(node.orelse)
            elif not isinstance(node, (*FUNCTIONS, _ast.ClassDef)):
                pending.extend(blocks_of(node))
