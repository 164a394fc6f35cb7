"""The tables of code objects that are rewritten: positions of instructions, and the reach of exception handlers."""

import ast
import subprocess
from pathlib import Path
from types import CodeType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rheostat
from harness import interpreters
from rheostat.codeobjects import first_line_after, leave_line, seal_all, set_line

INSTRUMENTATION = Path(rheostat.__path__[0]).parent
Place = tuple[int | None, int | None, int | None, int | None]


@st.composite
def codes(draw: st.DrawFn) -> CodeType:
    """Code whose calls are on lines and columns near and far, forwards and backwards, and on none."""
    lines = st.one_of(st.integers(1, 8), st.integers(1, 1 << 21), st.just(-1))
    columns = st.one_of(st.integers(0, 20), st.integers(0, 500))
    statements: list[ast.stmt] = []
    for _ in range(draw(st.integers(1, 8))):
        line, column = draw(lines), draw(columns)
        where = {
            "lineno": line,
            "end_lineno": line + draw(st.sampled_from([0, 0, 0, 1, 70])) if line > 0 else -1,
            "col_offset": column if line > 0 else -1,
            "end_col_offset": column + draw(st.integers(0, 40)) if line > 0 else -1,
        }
        name = ast.Name("f", ast.Load(), **where)
        statements.append(
            ast.Expr(ast.Call(name, [ast.Name("x", ast.Load(), **where)], [], **where), **where)
        )
    code: CodeType = compile(ast.Module(statements, []), "made", "exec")
    return code


def places(code: CodeType) -> list[Place]:
    return list(code.co_positions())


@settings(max_examples=300, deadline=None)
@given(codes(), st.data())
def test_set_line(code: CodeType, data: st.DataObject) -> None:
    """The instructions of a range get the line, without columns; every other keeps its exact positions."""
    before = places(code)
    start = data.draw(st.integers(0, len(before) - 1))
    stop = data.draw(st.integers(start + 1, len(before)))
    line = data.draw(st.one_of(st.none(), st.integers(1, 1 << 20)))
    after = places(set_line(code, start, stop, line))
    end = None if line is None else line
    assert after[:start] == before[:start]
    assert after[start:stop] == [(line, end, None, None)] * (stop - start)
    assert after[stop:] == before[stop:]


@settings(max_examples=300, deadline=None)
@given(codes(), st.data())
def test_leave_line(code: CodeType, data: st.DataObject) -> None:
    """What is on a line goes to the line that follows in the order of instructions; all else keeps its positions."""
    before = places(code)
    line = data.draw(st.sampled_from([place[0] for place in before if place[0] is not None]))
    after = places(leave_line(code, line))
    for at, (old, new) in enumerate(zip(before, after, strict=True)):
        if old[0] != line:
            assert new == old
        else:
            others = (place[0] for place in before[at:] if place[0] not in (None, line))
            following = next(others, None)
            assert new == (following, following, None, None)


@settings(max_examples=200, deadline=None)
@given(codes(), st.data())
def test_first_line_after(code: CodeType, data: st.DataObject) -> None:
    """The first line from an instruction on is found."""
    lines = [place[0] for place in places(code)]
    at = data.draw(st.integers(0, len(lines) - 1))
    assert first_line_after(code, at) == next((n for n in lines[at:] if n is not None), None)


def test_sealed_functions_catch_what_strikes_at_their_first_instruction() -> None:
    """A `try` around a whole function reaches to its very start when it is sealed; its positions stay."""
    source = "def f(x):\n    try:\n        return g(x)\n    except ValueError:\n        return 2\n"
    (plain,) = [c for c in compile(source, "f", "exec").co_consts if isinstance(c, CodeType)]
    sealed = seal_all(plain)
    assert handlers(plain)[0][0] > 0
    assert handlers(sealed)[0][0] == 0
    assert handlers(sealed)[0][1:] == handlers(plain)[0][1:]
    assert handlers(sealed)[1:] == handlers(plain)[1:]
    assert places(sealed) == places(plain)


def handlers(code: CodeType) -> list[tuple[int, ...]]:
    """Return (start, end, target, depth) of the exception table, as `dis` reads it."""
    import dis

    entries = dis._parse_exception_table(code)  # type: ignore[attr-defined]
    return [(entry.start, entry.end, entry.target, entry.depth) for entry in entries]


def test_functions_without_one_try_are_not_sealed() -> None:
    """Code whose `try` begins later, or that has none, keeps its exception table."""
    for body in ("y = x\n    try: g()\n    except E: pass", "return x"):
        module = compile(f"def f(x):\n    {body}\n", "f", "exec")
        (code,) = [c for c in module.co_consts if isinstance(c, CodeType)]
        assert seal_all(code).co_exceptiontable == code.co_exceptiontable


@pytest.mark.parametrize("python", interpreters(), ids=lambda python: Path(python).parts[-3])
def test_opcodes(python: str) -> None:
    """The numbers of instructions are those of each interpreter's `opcode` module."""
    names = ["LOAD_CONST", "BEFORE_WITH", "EXTENDED_ARG", "PUSH_NULL", "NOP", "SETUP_ANNOTATIONS"]
    program = (
        "import opcode, sys; sys.path.insert(0, sys.argv[1]); from rheostat import codeobjects\n"
        f"for name in {names}: assert opcode.opmap[name] == getattr(codeobjects, name), name\n"
        "if sys.version_info[:2] == (3, 12): assert opcode.opmap['RETURN_CONST'] == codeobjects._RETURN_CONST"
    )
    done = subprocess.run(
        [python, "-I", "-c", program, str(INSTRUMENTATION)], capture_output=True, text=True,
        check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
