"""Compiles files of the standard library plain and transformed, and prints how the two differ; nothing if they do not.

    python library_check.py INSTRUMENTATION FILE...

Run by test_standard_library.py in each interpreter, which says what is compared. The last line is the number of code
objects. Files that do not compile plain are left out; so are, on both sides, CACHE and EXTENDED_ARG.
"""

import dis
import inspect
import sys
import warnings
from collections.abc import Iterator
from types import CodeType

sys.path.insert(0, sys.argv[1])
import itertools

from rheostat.placeholders import MODULE_SITE
from rheostat.transform import transform

ATTRIBUTES = (
    "co_name", "co_qualname", "co_filename", "co_firstlineno", "co_flags", "co_argcount", "co_posonlyargcount",
    "co_kwonlyargcount", "co_nlocals", "co_names", "co_varnames", "co_freevars", "co_cellvars",
)  # fmt: skip
# What leaves a block or the function and computes nothing. The compiler lays it out anew, and gives it no place of its own
# but that of what precedes it; so does it to what prepares a module's annotations.
LEAVES = frozenset(
    [
        "RETURN_VALUE",
        "RETURN_CONST",
        "LOAD_CONST",
        "NOP",
        "POP_TOP",
        "POP_EXCEPT",
        "RERAISE",
        "COPY",
        "SWAP",
        "STORE_FAST",
        "STORE_NAME",
        "STORE_GLOBAL",
        "STORE_DEREF",
        "DELETE_FAST",
        "DELETE_NAME",
        "DELETE_GLOBAL",
        "DELETE_DEREF",
        "SETUP_ANNOTATIONS",
        "PUSH_EXC_INFO",
    ]
)
# Two loads or stores of local variables in one instruction, which depends on what stands beside them.
FUSED = {
    "LOAD_FAST_LOAD_FAST": ("LOAD_FAST", "LOAD_FAST"),
    "STORE_FAST_LOAD_FAST": ("STORE_FAST", "LOAD_FAST"),
    "STORE_FAST_STORE_FAST": ("STORE_FAST", "STORE_FAST"),
    "LOAD_FAST_CHECK": ("LOAD_FAST",),
}
LOCALS = frozenset(name for names in FUSED.values() for name in names)

Place = tuple[int | None, int | None, int | None, int | None]
Step = tuple[str, Place]

NOWHERE: Place = (None, None, None, None)
GAP, JUMP = ("", NOWHERE), ("JUMP", NOWHERE)


def steps(code: CodeType) -> Iterator[Step]:
    """Yield (name, positions) of the instructions of *code* that compute something, and GAP or JUMP for what does not."""
    for opcode, place in zip(code.co_code[::2], code.co_positions(), strict=True):
        name = dis.opname[opcode]
        if name in LEAVES or name in ("CACHE", "EXTENDED_ARG"):
            yield GAP
        elif "JUMP" in name:
            yield JUMP
        else:
            yield from ((part, place) for part in FUSED.get(name, (name,)) if part not in LOCALS)
        if name == "RAISE_VARARGS":
            yield GAP


def lines(code: CodeType) -> set[int]:
    return {line for _, _, line in code.co_lines() if line is not None}


def inner(code: CodeType) -> list[CodeType]:
    return [constant for constant in code.co_consts if isinstance(constant, CodeType)]


def documentation(code: CodeType) -> object:
    """Return the docstring of a function's *code*: its first constant, if that is a text, and from 3.13 on flagged as such."""
    is_function = code.co_flags & inspect.CO_OPTIMIZED
    is_flagged = sys.version_info < (3, 13) or code.co_flags & 0x4000000
    first = code.co_consts[0] if code.co_consts else None
    return first if is_function and is_flagged and isinstance(first, str) else None


def differences(plain: CodeType, ours: CodeType) -> Iterator[str]:
    """Yield what differs between the *plain* code object and *ours*, and between those within them."""
    for attribute in ATTRIBUTES:
        one, other = getattr(plain, attribute), getattr(ours, attribute)
        if one != other:
            yield f"{attribute}: {one!r} became {other!r}"
    if lines(plain) != lines(ours):
        yield f"lines: {sorted(lines(plain) ^ lines(ours))}"
    if documentation(plain) != documentation(ours):
        yield f"docstring: {documentation(plain)!r} became {documentation(ours)!r}"
    yield from moved(list(steps(plain)), list(steps(ours)))
    if [code.co_qualname for code in inner(plain)] != [code.co_qualname for code in inner(ours)]:
        yield "other code objects within"
        return
    for one, other in zip(inner(plain), inner(ours), strict=True):
        yield from (f"{one.co_qualname}: {what}" for what in differences(one, other))


def moved(plain: list[Step], ours: list[Step]) -> Iterator[str]:
    """Yield the steps of *plain* that *ours* does not have, or has where another step follows than did."""
    kept, known = set(ours), {*plain, JUMP}
    for step in plain:
        if step not in kept and step not in (GAP, JUMP):
            yield f"not where it was: {step}"
    rest = [step for step in ours if step in known and step != GAP]
    following = set(itertools.pairwise(rest))
    for pair in itertools.pairwise(plain):
        # Where the compiler made a copy of few instructions to save a jump, there may be the jump.
        if not {GAP, JUMP} & {*pair} and not {pair, (pair[0], JUMP)} & following:
            yield f"not in its order: {pair}"


def check(path: str) -> tuple[int, list[str]]:
    """Return the number of code objects in the file *path*, and the differences."""
    with open(path, "rb") as file:
        source = file.read()
    try:
        plain = compile(source, path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return 0, []
    result = transform(source, path, "library", lambda name: None, MODULE_SITE)
    skipped = [f"{name}: {why}" for name, why in result.skipped if "compile transformed" in why]
    return count(plain), skipped + list(differences(plain, result.code))


def count(code: CodeType) -> int:
    return 1 + sum(count(part) for part in inner(code))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    total = 0
    for path in sys.argv[2:]:
        number, found = check(path)
        total += number
        for what in found:
            print(f"{path}: {what}")
    print(total)
