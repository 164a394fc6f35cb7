"""What the transform makes of a module, and what it leaves alone; what is recorded of it is in test_functions.py."""

import warnings
from types import CodeType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rheostat.placeholders import MAIN_SITE, MARK, MODULE_SITE, SITE, install, is_placeholder, plan
from rheostat.transform import Warnings, transform, warns


def names(source: str, body: int | None = MODULE_SITE) -> list[str]:
    result = transform(source.encode(), "m.py", "m", lambda name: None, body)
    return [function.name for function in result.functions]


def placeholders(code: CodeType) -> int:
    found = sum(is_placeholder(constant) for constant in code.co_consts)
    return found + sum(placeholders(c) for c in code.co_consts if isinstance(c, CodeType))


@pytest.mark.parametrize(
    "source",
    [
        "break",
        "if x:\n    continue",
        "for i in x:\n    pass\nelse:\n    break",
        "class A:\n    break",
    ],
)
def test_loose_breaks_stay_errors(source: str) -> None:
    """A `break` or `continue` outside of loops is no part of the loop that is put around a module's body."""
    with pytest.raises(SyntaxError):
        names(source + "\n")


def nested(blocks: int, indent: str = "") -> str:
    lines = [f"{indent}{' ' * depth}for i{depth} in (1,):" for depth in range(blocks)]
    return "\n".join([*lines, f"{indent}{' ' * blocks}x = 1"]) + "\n"


def test_bodies_nested_too_deep_are_left_alone() -> None:
    """CPython allows twenty nested blocks: a function that has them is skipped with the reason, a module goes on without."""
    source = "def deep():\n" + nested(20, " ") + "def shallow(): pass\n"
    result = transform(source.encode(), "m.py", "m", lambda name: None, MODULE_SITE)
    assert [function.name for function in result.functions] == ["m.shallow", "m"]
    ((name, reason),) = result.skipped
    assert name == "m.deep"
    assert reason == "does not compile transformed: too many statically nested blocks"
    assert names("def f(): pass\n" + nested(20)) == ["m.f"]
    assert names("def f(): pass\n" + nested(17)) == ["m.f", "m"]


def test_docstrings_and_future_imports_stay_first() -> None:
    """What must stand first in a module or function still does."""
    source = '"""Doc."""\nfrom __future__ import annotations\ndef f(x: y):\n    "doc"\n'
    result = transform(source.encode(), "m.py", "m", lambda name: None, MODULE_SITE)
    namespace: dict[str, object] = {}

    class Nothing:
        def __enter__(self) -> None: ...

        def __exit__(self, *failure: object) -> None: ...

    code = install(plan(result.code), [Nothing()], lambda what, index: Nothing())
    exec(code, namespace)  # noqa: S102
    f = namespace["f"]
    assert (namespace["__doc__"], f.__doc__, f.__annotations__) == ("Doc.", "doc", {"x": "y"})
    assert f(1) is None


def test_plan_is_the_code_again() -> None:
    """Installed with the placeholders themselves, a plan gives the transformed code; with others, these."""
    source = "def f():\n    yield (lambda: 1)\nclass A:\n    async def g(self): await f\nf()\n"
    result = transform(source.encode(), "m.py", "m", lambda name: None, MAIN_SITE)
    assert placeholders(result.code) == 5
    assert repr(MARK)[1:-1] not in repr(plan(result.code))
    sites = [(MARK, SITE, index) for index in range(3)]
    again = install(plan(result.code), sites, lambda what, index: (MARK, what, index))
    assert again == result.code
    assert placeholders(install(plan(result.code), [0] * 3, lambda what, index: 0)) == 0


@given(st.text())
def test_texts_that_do_not_compile_raise(text: str) -> None:
    """Whatever the compiler refuses, the transform refuses in the same way."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            compile(text, "m.py", "exec")
        except (SyntaxError, ValueError) as error:
            with pytest.raises(type(error)):
                names(text)
        else:
            names(text)


def test_warnings_of_one_file_only() -> None:
    """While a file is compiled, its warnings are left out, and those of all others go on."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        before = list(warnings.filters)
        with Warnings("ignore", "m.py"):
            compile("assert (1, 2)", "m.py", "exec")
            compile("assert (1, 2)", "other.py", "exec")
            warnings.warn("mine", stacklevel=1)
        assert warnings.filters == before
    assert [str(warning.message)[:4] for warning in caught] == ["asse", "mine"]


def test_what_the_compiler_warns_of() -> None:
    """It is told whether the compiler warns of a source, whatever the program's filters say."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert warns(b"assert (1, 2)", "m.py")
        assert warns(b"'\\d'", "m.py")
        assert not warns(b"assert 1", "m.py")


def test_jit_functions_are_left_alone() -> None:
    """A function that a decorator compiles is left alone with all that is in it; so is one that is never called."""
    source = "@numba.njit(cache=True)\ndef a():\n    def b(): pass\n@typing.overload\ndef c(): ...\n@other\ndef d(): pass\n"
    result = transform(source.encode(), "m.py", "m", lambda name: None, None)
    assert [function.name for function in result.functions] == ["m.d"]
    assert result.skipped == [
        ("m.a", "compiled from its source"),
        ("m.c", "overload: never called"),
    ]


@pytest.mark.parametrize(
    ("imports", "decorator", "compiled"),
    [
        ("import numba as nb", "nb.njit", True),
        ("import numba", "numba.cuda.jit(device=True)", True),
        ("from numba import njit as fast", "fast(cache=True)", True),
        ("from numba import cuda", "cuda.jit", True),
        ("try:\n    from numba import jit as j\nexcept ImportError:\n    j = None", "j", True),
        ("import torch as t", "t.compile", True),
        ("import torch.nn", "torch.compile", True),
        ("import tensorflow as tf", "tf.function", True),
        ("from helpers import njit", "njit", True),
        ("from .compat import njit", "njit", True),
        ("import numpy as np", "np.vectorize", False),
        ("import nb", "nb.njit", True),
        ("from functools import cache as jit", "jit", False),
    ],
)
def test_compilers_are_known_by_their_imports(imports: str, decorator: str, compiled: bool) -> None:
    """Whatever a compiling decorator is called here, it is known by where it comes from, or by its own name."""
    found = names(f"{imports}\n@{decorator}\ndef f(): pass\n", None)
    assert found == ([] if compiled else ["m.f"])


def test_functions_handed_to_compilers() -> None:
    """A function that its module compiles by a call is left alone as well."""
    source = "import numba as nb\ndef slow(x): return x\ndef other(x): return x\nfast = nb.njit(cache=True)(slow)\n"
    assert names(source, None) == ["m.other"]
    assert names(source.replace("numba", "helpers"), None) == ["m.slow", "m.other"]
