"""Puts our `with` around bodies: source in, code object out, with placeholders where the recorder's objects belong.

    def load(path):                 def load(path):
        '''Doc.'''                      '''Doc.'''
        return parse(path)     →        with <site>:
                                            return parse(path)

`<site>` is a constant of the code object, found under no name; `install` puts it where the transform left a
placeholder (placeholders.py), so that transformed code can be kept on disk. The `with` has no location (line -1): CPython's
compiler then gives each way out of the body the line of what precedes it (exits.py helps it), and codeobjects.set_line
does the same for the way in. A module's body can have no `return`; its `with` stands in a loop that is left by `break`.

A generator's span is current only while its frame runs, so each of its yields tells the recorder:

    yield x      →      <resume>()(yield <suspend>(x))

where `<resume>()` is evaluated first and leaves the running activation on the frame's own stack until the frame goes on.
Where arguments are captured (capture.py), a body begins with `<capture>(("path", …), path, …)`.
Works on the syntax tree that `compile` returns, through `_ast`: importing `ast` costs 11 ms on 3.12.
Called by hook.py and mainmodule.py on a cache miss; raises whatever the compiler raises, and the caller steps aside.
"""

from __future__ import annotations

import _ast
import _warnings
import sys

from rheostat.codeobjects import (
    Code,
    first_line_after,
    leave_line,
    mend_exits,
    set_line,
    with_entrance,
)
from rheostat.compilers import compiled_by_call, dotted, imports_of, is_compiler
from rheostat.exits import closes, end_in, nothing, refuse_loose_breaks, return_from_its_line
from rheostat.nodes import (
    BEFORE_YIELD,
    FUNCTIONS,
    NOWHERE,
    blocks_of,
    call,
    given,
    once,
    placeholder,
    where_is,
    with_,
)
from rheostat.placeholders import (
    CALL_SITE,
    CAPTURE,
    GENERATOR_SITE,
    MODULE_SITE,
    RESUME,
    SITE,
    SUBMIT,
    SUSPEND,
    TASK,
    is_placeholder,
)
from rheostat.spool.layout import ASYNC_GENERATOR, COROUTINE, FUNCTION, GENERATOR, IMPORT

TYPE_CHECKING = False  # typing might be found in the program's own folder by now
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType
    from typing import Any

_OBSERVED_DUNDERS = frozenset(
    ["__init__", "__call__", "__enter__", "__exit__", "__aenter__", "__aexit__"]
)
_MAX_LEFT_ALONE = 20  # functions of one module that do not compile with our `with` before the module is left alone


class Function:
    """A function that was given a site; the position in the list is the index of its placeholder."""

    __slots__ = ("kind", "line", "name")

    def __init__(self, kind: int, name: str, line: int) -> None:
        self.kind = kind  # of rheostat.spool.layout
        self.name = name  # qualified, with the module, dots throughout
        self.line = line


class Transformed:
    """A module's code with placeholders, and what is to be said about its functions."""

    __slots__ = ("code", "functions", "skipped")

    def __init__(
        self, code: CodeType, functions: list[Function], skipped: list[tuple[str, str]]
    ) -> None:
        self.code = code
        self.functions = functions
        self.skipped = skipped  # (qualified name, reason)


def transform_pool(source: bytes, path: str) -> CodeType:
    """Return the code of `concurrent.futures.thread`, told of who submits a task and when it runs (threads.py).

    Raises LookupError if there is no `_WorkItem` as we know it, and what `compile` raises.
    """
    tree: Any = compile(source, path, "exec", _ast.PyCF_ONLY_AST, dont_inherit=True)
    classes = [node for node in tree.body if getattr(node, "name", "") == "_WorkItem"]
    methods = {node.name: node for node in classes[0].body if isinstance(node, FUNCTIONS)}
    for name, what in (("__init__", SUBMIT), ("run", TASK)):
        method = methods[name]
        item = _ast.Name(id=method.args.args[0].arg, ctx=_ast.Load(), **NOWHERE)
        method.body = [with_(call(placeholder(what, 0), item), method.body)]
    return _settle_lines(compile(tree, path, "exec", dont_inherit=True))


def transform(
    source: bytes,
    path: str,
    module: str,
    wants: Callable[[str], str | None],
    body: int | None,
    captures: bool = False,
) -> Transformed:
    """Return the code of *source* with a `with` in the body of each function that *wants* (name → None or a reason).

    *module* is the name that the functions' names begin with; *body* is MODULE_SITE, MAIN_SITE or None: what goes around
    the module's own body; *captures*: functions tell of their arguments. Raises SyntaxError, ValueError, RecursionError or MemoryError as `compile` does.
    """
    alone: dict[int, str] = {}
    while True:
        tree: Any = compile(source, path, "exec", _ast.PyCF_ONLY_AST, dont_inherit=True)
        rewrite = _Rewrite(module, wants, alone, captures)
        rewrite.module(tree, body)
        try:
            code: CodeType = compile(tree, path, "exec", dont_inherit=True)
        except SyntaxError as error:
            line = rewrite.function_around(error.lineno or 0)
            if line is None and body is not None:
                body = None  # its own blocks are nested as deep as may be
                continue
            if line is None or line in alone or len(alone) >= _MAX_LEFT_ALONE:
                raise
            alone[line] = f"does not compile transformed: {error.msg}"
            continue
        return Transformed(_settle_lines(code), rewrite.functions, rewrite.skipped)


class Warnings:
    """Within it, what the compiler warns of in the file *path* is treated as *action* says; nothing else is.

    The filter names the file exactly, which only CPython's own may (others are expressions); so other threads' warnings
    go on as the program wants. Nor is the filters' version counted up: what was warned of once would be again.
    """

    def __init__(self, action: str, path: str) -> None:
        warnings: Any = sys.modules.get("warnings", _warnings)
        self._filters: list[Any] = warnings.filters
        self._filter = (action, None, Warning, path.removesuffix(".py"), 0)

    def __enter__(self) -> None:
        self._filters.insert(0, self._filter)

    def __exit__(self, *failure: object) -> None:
        self._filters.remove(self._filter)


def warns(source: bytes, path: str) -> bool:
    """Say whether the compiler warns of *source*: the program must see it do so at each start, as without us."""
    with Warnings("error", path):
        try:
            compile(source, path, "exec", dont_inherit=True)
        except (SyntaxError, Warning):
            return True
    return False


def _settle_lines(code: CodeType) -> CodeType:
    """Give the instructions that enter a `with` of ours their line, in *code* and all code within it."""
    constants = tuple(_settle_lines(c) if isinstance(c, Code) else c for c in code.co_consts)
    code = code.replace(co_consts=constants)
    ours = {i: constant[1] for i, constant in enumerate(constants) if is_placeholder(constant)}  # type: ignore[index]
    entries = [index for index, what in ours.items() if what not in (SUSPEND, RESUME, CAPTURE)]
    if not entries:
        return code
    if len(ours) > 1:
        code = leave_line(code, BEFORE_YIELD["lineno"])
    code = mend_exits(code)
    start, stop = with_entrance(code, entries[0])
    return set_line(code, start, stop, first_line_after(code, stop))


class _Scope:
    """Where a statement stands: the dotted name so far, and whether that is a module, class or function."""

    __slots__ = ("kind", "name")

    def __init__(self, name: str, kind: str) -> None:
        self.name = name
        self.kind = kind


class _Rewrite:
    """One pass over the statements of a module. Expressions are entered only in generators, for their yields."""

    def __init__(
        self,
        module: str,
        wants: Callable[[str], str | None],
        alone: dict[int, str],
        captures: bool,
    ) -> None:
        self._module = module
        self._wants = wants
        self._alone = alone
        self._captures = captures
        self._imported: dict[str, str] = {}
        self._compiled: frozenset[str] = frozenset()
        self._extents: list[tuple[int, int]] = []
        self.functions: list[Function] = []
        self.skipped: list[tuple[str, str]] = []

    def module(self, tree: Any, body: int | None) -> None:
        self._imported = imports_of(tree.body)
        self._compiled = compiled_by_call(tree, self._imported)
        self._statements(tree.body, _Scope(self._module, "module"))
        if body is None:
            return
        start = 1 if _has_docstring(tree.body) else 0
        while start < len(tree.body) and _is_future_import(tree.body[start]):
            start += 1
        if tree.body[start:]:
            index = len(self.functions)
            if body == MODULE_SITE:
                self.functions.append(Function(IMPORT, self._module, 1))
            rest = tree.body[start:]
            refuse_loose_breaks(rest)
            end_in(rest, _ast.Break)
            tree.body[start:] = [once(with_(placeholder(body, index), rest))]

    def function_around(self, line: int) -> int | None:
        """Return the first line of the innermost function with a site that holds *line*."""
        around = [first for first, last in self._extents if first <= line <= last]
        return max(around, default=None)

    def _statements(self, body: list[Any], scope: _Scope) -> None:
        """Visit *body* and all blocks within it, without recursion but for new scopes."""
        pending = [body]
        while pending:
            for node in pending.pop():
                if isinstance(node, FUNCTIONS):
                    self._function(node, scope)
                elif isinstance(node, _ast.ClassDef):
                    self._statements(node.body, _Scope(f"{scope.name}.{node.name}", "class"))
                else:
                    pending.extend(blocks_of(node))

    def _function(self, node: Any, scope: _Scope) -> None:
        name = f"{scope.name}.{node.name}"
        reason = (
            self._alone.get(node.lineno)
            or _reason_to_skip(node, scope, self._imported)
            or self._wants(name)
        )
        if reason == "jit" or node.name in self._compiled:
            self.skipped.append((name, "compiled from its source"))
            return  # what is inside is compiled as well
        self._statements(node.body, _Scope(name, "function"))
        if reason is not None:
            self.skipped.append((name, reason))
            return
        self._extents.append((node.lineno, node.end_lineno))
        self._wrap(node, name)

    def _wrap(self, node: Any, name: str) -> None:
        start = 1 if _has_docstring(node.body) else 0
        body = node.body[start:] or [nothing(node)]
        end_in(body, _ast.Return)
        index, frame = len(self.functions), _Frame(len(self.functions))
        frame.statements(body)
        asynchronous = isinstance(node, _ast.AsyncFunctionDef)
        if frame.yields:
            kind, what = ASYNC_GENERATOR if asynchronous else GENERATOR, GENERATOR_SITE
        else:
            kind, what = (COROUTINE, CALL_SITE) if asynchronous else (FUNCTION, SITE)
        if self._captures and (names := _parameters(node.args)):
            body.insert(0, given(placeholder(CAPTURE, index, BEFORE_YIELD), names))
        item = placeholder(what, index)
        node.body[start:] = [with_(item if what == SITE else call(item), body)]
        self.functions.append(Function(kind, name, node.lineno))


class _Frame:
    """Rewrites what one function's own frame yields, wherever that stands in its expressions, and where it returns."""

    def __init__(self, index: int) -> None:
        self._index = index
        self._closing = 0  # blocks around us that do something of their own when they are left
        self.yields = False

    def statements(self, body: list[Any]) -> None:
        for node in body:
            self._node(node)

    def _node(self, node: Any) -> None:
        if isinstance(node, _ast.Return) and not self._closing:
            return_from_its_line(node)
        for field in node._fields:
            value = getattr(node, field, None)
            closing = closes(node, field)
            self._closing += closing
            if isinstance(value, list):
                value[:] = [self._child(node, field, item) for item in value]
            elif isinstance(value, _ast.AST):
                setattr(node, field, self._child(node, field, value))
            self._closing -= closing

    def _child(self, parent: Any, field: str, child: Any) -> Any:
        if not isinstance(child, _ast.AST):
            return child
        own_frame = not (
            isinstance(parent, (*FUNCTIONS, _ast.ClassDef, _ast.Lambda)) and field == "body"
        )
        if own_frame:
            self._node(child)
            if isinstance(child, (_ast.Yield, _ast.YieldFrom)):
                return self._rewritten(child)
        return child

    def _rewritten(self, node: Any) -> Any:
        self.yields = True
        what = 0 if isinstance(node, _ast.Yield) else 1
        value = node.value or _ast.Constant(value=None, **where_is(node))
        suspend = placeholder(SUSPEND, self._index * 2 + what, BEFORE_YIELD)
        node.value = call(suspend, value, where=where_is(node))
        resume = call(placeholder(RESUME, self._index, BEFORE_YIELD), where=BEFORE_YIELD)
        return call(resume, node, where=where_is(node))


def _parameters(arguments: Any) -> list[str]:
    """Return the names of a function's parameters in their order, what gathers the others marked by `*` and `**`."""
    names = [one.arg for one in arguments.posonlyargs + arguments.args]
    names += [f"*{arguments.vararg.arg}"] if arguments.vararg else []
    names += [one.arg for one in arguments.kwonlyargs]
    return names + ([f"**{arguments.kwarg.arg}"] if arguments.kwarg else [])


def _has_docstring(body: list[Any]) -> bool:
    first = body[0] if body else None
    return (
        isinstance(first, _ast.Expr)
        and isinstance(first.value, _ast.Constant)
        and isinstance(first.value.value, str)
    )


def _is_future_import(node: Any) -> bool:
    return isinstance(node, _ast.ImportFrom) and node.module == "__future__" and node.level == 0


def _reason_to_skip(node: Any, scope: _Scope, imported: dict[str, str]) -> str | None:
    """Return why a function is not observed by default, whatever it is called; None if it is."""
    name = node.name
    if name.startswith("__") and name.endswith("__") and name not in _OBSERVED_DUNDERS:
        return "special method"
    decorators = [dotted(decorator, imported) for decorator in node.decorator_list]
    if any(is_compiler(decorator) for decorator in decorators):
        return "jit"
    if any(d.split(".")[-1] == "overload" for d in decorators):
        return "overload: never called"
    lines = node.body[1:] if _has_docstring(node.body) else node.body
    accessor = scope.kind == "class" and any(
        d.split(".")[-1] in ("property", "cached_property", "setter", "getter", "deleter")
        for d in decorators
    )
    if accessor and (not lines or lines[-1].end_lineno == lines[0].lineno):
        return "property of one line"
    return None
