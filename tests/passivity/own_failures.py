"""A copy of the `rheostat` package in which each function can be made to raise.

Each function's first statement becomes `_hit(number)`, which raises if RHEOSTAT_TEST_FAIL names that number:

    number:start:Error    each call raises Error, from the first one on
    number:run:Error      only calls after the program has said `arm()`

Left out are functions that do nothing but return a constant or a name. Where the body begins with a `try`, it stands inside: before it there is nothing that could fail.
"""

import ast
import shutil
from dataclasses import dataclass
from pathlib import Path

import rheostat

PROBE = """
import os

number, _, rest = os.environ.get("RHEOSTAT_TEST_FAIL", "-1::").partition(":")
number = int(number)
when, _, error = rest.partition(":")
error = {"RuntimeError": RuntimeError, "MemoryError": MemoryError}.get(error)
armed = when == "start"
log = os.environ.get("RHEOSTAT_TEST_LOG")
seen = set()


def arm():
    global armed
    armed = True
    seen.clear()


def hit(which):
    if which == number and armed:
        raise error("injected")
    if log and (which, armed) not in seen:
        seen.add((which, armed))
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(descriptor, b"%d %d\\n" % (which, armed))
        os.close(descriptor)
"""


@dataclass(frozen=True, slots=True)
class Function:
    """One function of the package, by its number."""

    number: int
    file: str
    name: str


class Injected:
    """The copy, in *folder*."""

    def __init__(self, folder: Path) -> None:
        self.package = folder / "rheostat"
        self.functions: list[Function] = []
        source = Path(rheostat.__file__).parent
        shutil.copytree(source, self.package, ignore=shutil.ignore_patterns("__pycache__"))
        for path in sorted(self.package.rglob("*.py")):
            self._inject(path)
        (self.package / "bootstrap" / "_rheostat_probe.py").write_text(PROBE)

    @property
    def bootstrap(self) -> str:
        """What PYTHONPATH begins with."""
        return str(self.package / "bootstrap")

    def _inject(self, path: Path) -> None:
        tree = ast.parse(path.read_text())
        file = str(path.relative_to(self.package))
        for name, node in _functions(tree, ""):
            function = Function(len(self.functions), file, name)
            self.functions.append(function)
            if _is_trivial(node.body[-1]) and len(node.body) == 1:
                continue
            body = node.body
            start = 1 if ast.get_docstring(node, clean=False) is not None else 0
            if isinstance(body[start], ast.Try):
                body, start = body[start].body, 0
            body.insert(start, ast.parse(f"_hit({function.number})").body[0])
        start = 1 if ast.get_docstring(tree, clean=False) is not None else 0
        while start < len(tree.body) and _is_future_import(tree.body[start]):
            start += 1
        if file != "__init__.py":  # which the bootstrap loads before anything else
            tree.body.insert(start, ast.parse("from _rheostat_probe import hit as _hit").body[0])
        path.write_text(ast.unparse(ast.fix_missing_locations(tree)))


def _is_trivial(statement: ast.stmt) -> bool:
    """Say whether there is nothing in *statement* that could fail."""
    return isinstance(statement, ast.Return) and isinstance(
        statement.value, ast.Constant | ast.Name
    )


def _is_future_import(node: ast.AST) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"


def _functions(node: ast.AST, prefix: str) -> list[tuple[str, ast.FunctionDef]]:
    found = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{prefix}{child.name}"
            found += _functions(child, f"{name}.")
            if isinstance(child, ast.FunctionDef):
                found.append((name, child))
        else:
            found += _functions(child, prefix)
    return found
