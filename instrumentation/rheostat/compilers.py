"""Who compiles functions from their source or bytecode: such functions are left alone, for compilers choke on our `with`.

They are known by their decorators, and, in modules that import such a compiler, by calls: `fast = numba.njit(slow)`. A
function that another module compiles is not known. Used by transform.py, on a cache miss.
"""

from __future__ import annotations

import _ast

from rheostat.nodes import FUNCTIONS, blocks_of

TYPE_CHECKING = False  # typing might be found in the program's own folder by now
if TYPE_CHECKING:
    from typing import Any

# Decorators that compile what they are given from its source or bytecode. Of numba, all do; and whatever is called `jit`,
# wherever it comes from: a function that is not recorded is better than one that does not compile.
_COMPILERS = frozenset([
    "cython.ccall", "cython.compile", "jax.pmap", "ray.remote", "stencil", "taichi.func", "taichi.kernel",
    "tensorflow.function", "torch.compile", "torch.jit.script", "vectorize",
])  # fmt: skip
_COMPILERS_ANYWHERE = frozenset(["cfunc", "guvectorize", "jit", "jitclass", "njit"])
_PACKAGES = ("numba", "torch", "taichi", "triton", "cython")


def is_compiler(decorator: str) -> bool:
    return (
        decorator in _COMPILERS
        or decorator.startswith("numba.")
        or decorator.rpartition(".")[2] in _COMPILERS_ANYWHERE
    )


def imports_of(body: list[Any]) -> dict[str, str]:
    """Return what each name stands for that *body*, of a module, imports: `{"nb": "numba"}`."""
    found: dict[str, str] = {}
    pending = [body]
    while pending:
        for node in pending.pop():
            if isinstance(node, _ast.Import):
                for name in node.names:
                    root = name.name.partition(".")[0]
                    found |= {name.asname: name.name} if name.asname else {root: root}
            elif isinstance(node, _ast.ImportFrom) and node.module and not node.level:
                found |= {n.asname or n.name: f"{node.module}.{n.name}" for n in node.names}
            elif not isinstance(node, (*FUNCTIONS, _ast.ClassDef)):
                pending.extend(blocks_of(node))
    return found


def dotted(node: Any, imported: dict[str, str]) -> str:
    """Return the dotted name of a decorator, called or not, by its import; empty if it is another expression."""
    if isinstance(node, _ast.Call):
        node = node.func
    parts = []
    while isinstance(node, _ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, _ast.Name):
        return ""
    return ".".join([imported.get(node.id, node.id), *reversed(parts)])


def compiled_by_call(tree: Any, imported: dict[str, str]) -> frozenset[str]:
    """Return the names of functions that the module *tree* itself hands to a compiler."""
    roots = {name.partition(".")[0] for name in imported.values()} | imported.keys()
    if roots.isdisjoint(_PACKAGES):
        return frozenset()
    found, pending = set(), [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, _ast.Call) and is_compiler(dotted(node.func, imported)):
            found |= {part.id for part in node.args if isinstance(part, _ast.Name)}
        for field in node._fields:
            value = getattr(node, field, None)
            children = value if isinstance(value, list) else [value]
            pending.extend(child for child in children if isinstance(child, _ast.AST))
    return frozenset(found)
