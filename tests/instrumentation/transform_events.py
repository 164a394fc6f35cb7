"""Makes random programs and compares what trace functions and `sys.monitoring` see of them, plain and transformed.

    python transform_events.py INSTRUMENTATION FIRST LAST [capture]    programs by number; the smallest that differs is printed

Run by test_transform_events.py in each interpreter. The sites do nothing, and are not looked at: here it is the program's
own code that is. Left out of the programs, because CPython's compiler then lays out shared ways out otherwise:

- 3.12: a `with` that swallows an exception at the very end of a function or module has its line once more;
- a yield within `and`, `or` or a condition: resumed, it has its line once more or once less;
- the return of a condition of several lines, and loops in a `finally` that a return goes through: the line once more.
- from 3.12, a conditional expression in a function's last statement: the line once more, as elsewhere without us.
"""

import random
import sys
import warnings
from types import CodeType

sys.path.insert(0, sys.argv[1])
from rheostat.placeholders import (  # isort: skip
    CALL_SITE, CAPTURE, GENERATOR_SITE, MODULE_SITE, RESUME, SITE, SUSPEND, install, plan,
)  # fmt: skip
from rheostat.transform import transform  # isort: skip

HEAD = """\
a = 1; b = 0; n = None
def f1(x): return x
def f2(x, y):
  return [
   x, y]
def f3():
  raise KeyError
class C:
 def __init__(self, x): self.x = x
 def __enter__(self): return self
 def __exit__(self, *e): return SWALLOWS and bool(self.x)
"""
TAIL = """\
try:
 f1([g(0), g(1)])
except Exception: pass
try:
 for v in h(1): pass
except Exception: pass
"""
LIMIT = 5000  # events of one program; loops may not end
CONDITION = "({0} if {1} else {2})" if sys.version_info < (3, 12) else "f2({0}, {1})"
CAPTURES = sys.argv[4:] == ["capture"]
SWALLOWS = sys.version_info[:2] != (3, 12)


class Maker:
    """One random program."""

    def __init__(self, number: int) -> None:
        self._random = random.Random(number)
        self._names = 0

    def program(self) -> str:
        lines = [*self.function("g", False), *self.function("h", True)]
        end = ["z: int = 1"] if self._random.random() < 0.3 else []
        body = "\n".join([*end, *self.block(0, False, 1, None)])
        return HEAD + "\n".join(lines) + "\n" + TAIL + body + "\n"

    def function(self, name: str, generator: bool) -> list[str]:
        choose = self._random.random
        lines = ["@f1"] if choose() < 0.2 else []
        head = f"def {name}(a, b=1, n=None):"
        if choose() < 0.1:
            return [
                *lines,
                f"{head} {self._random.choice(['pass', 'return a', repr('doc'), 'f1(a)'])}",
            ]
        lines.append(head)
        if choose() < 0.3:
            lines.append(' """doc"""')
            if choose() < 0.3:
                return lines
        return lines + self.block(1, False, 0, generator)

    def block(self, indent: int, loop: bool, depth: int, generator: bool | None) -> list[str]:
        """Return the lines of a block; *generator* is None outside of functions."""
        lines = []
        for _ in range(self._random.choice([1, 1, 2, 3])):
            lines += self.statement(indent, loop, depth, generator)
        return lines

    def simple(self, loop: bool, generator: bool | None) -> str:
        value = self.expression
        choices = ["pass", f"a = {value()}", f"b = {value()}", f"f1({value()})", "f3()"]
        choices += [f"raise ValueError({value()})", f"assert {value()}, (\n {value()})"]
        if generator is not None:
            choices += ["return", f"return {self.call()}", "return 1", "return (\na\n)"]
        if generator:
            choices += [f"yield {value()}", f"a = yield {value()}", "yield", "yield from (1, 2)"]
        if loop:
            choices += ["break", "continue"]
        return self._random.choice(choices)

    def statement(self, indent: int, loop: bool, depth: int, generator: bool | None) -> list[str]:
        kind, pad = self._random.randrange(15), " " * indent
        if depth > 1 or kind < 7:
            return [pad + self.simple(loop, generator)]
        maybe, value = self._random.random() < 0.4, self.expression

        def block(more: int = 1, inside: bool = loop) -> list[str]:
            return self.block(indent + more, inside, depth + 1, generator)

        if kind < 9:
            lines = [f"{pad}if {value()}:", *block()]
            return [*lines, f"{pad}else:", *block()] if maybe else lines
        if kind == 9:
            lines = [f"{pad}for i{self.name()} in range(2):", *block(inside=True)]
            return [*lines, f"{pad}else:", *block()] if maybe else lines
        if kind == 10:
            name = f"w{self.name()}"
            return [
                f"{pad}{name} = 2",
                f"{pad}while {name}:",
                f"{pad} {name} -= 1",
                *block(inside=True),
            ]
        if kind == 13:
            return [f"{pad}with C({value()}) as c:", *block()]
        if kind == 14:
            cases = [f"{pad} case 0 | None:", *block(2), f"{pad} case [*_]:", *block(2)]
            return [f"{pad}match {value()}:", *cases]
        lines = [f"{pad}try:", *block()]
        if kind == 11:
            return [*lines, f"{pad}finally:", f"{pad} f1({value()})"]
        caught = self._random.choice(["ValueError", "KeyError", "Exception", "ValueError as e"])
        lines += [f"{pad}except {caught}:", *block()]
        return [*lines, f"{pad}else:", *block()] if maybe else lines

    def name(self) -> int:
        self._names += 1
        return self._names

    def call(self) -> str:
        return f"f2(\n{self.expression(2)},\n{self.expression(1)}\n)"

    def expression(self, depth: int = 0) -> str:
        kind = self._random.randrange(8)
        if depth > 2 or kind < 3:
            return self._random.choice(["a", "b", "0", "1", "None", "n"])
        part = [self.expression(depth + 1) for _ in range(3)]
        return [
            f"f1({part[0]})", f"({part[0]} and\n {part[1]})", f"[x for x in range(2) if {part[0]}]",
            f"(\n{part[0]}\n)", CONDITION.format(*part),
        ][kind - 3]  # fmt: skip


class Nothing:
    """Stands where sites do, and does nothing."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, *failure: object) -> None:
        return None

    def __call__(self) -> "Nothing":
        return self


def same(value: object) -> object:
    return value


MADE = {
    SITE: Nothing(), MODULE_SITE: Nothing(), CALL_SITE: Nothing(), GENERATOR_SITE: Nothing(), SUSPEND: same,
    RESUME: lambda: same, CAPTURE: lambda names, *values: None,
}  # fmt: skip


class Stream:
    """The events of one run of a program."""

    def __init__(self) -> None:
        self.events: list[tuple[object, ...]] = []

    def add(self, *event: object) -> None:
        self.events.append(event)
        if len(self.events) > LIMIT:
            raise KeyboardInterrupt

    def run(self, code: CodeType) -> None:
        try:
            exec(code, {"__name__": "m", "SWALLOWS": SWALLOWS})  # noqa: S102
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001
            self.events.append(("ended", type(error).__name__))


def show(value: object) -> str:
    plain = isinstance(value, int | str | list | tuple | None)
    return repr(value) if plain else type(value).__name__


def traced(code: CodeType) -> list[tuple[object, ...]]:
    """Return what a trace function sees of *code*: calls, lines, returns and exceptions, each with its line."""
    stream = Stream()

    def tracer(frame, event, argument):
        if frame.f_code.co_filename != code.co_filename:
            return None
        if event == "exception":
            argument = argument[0].__name__
        stream.add(frame.f_code.co_name, event, frame.f_lineno, show(argument))
        return tracer

    sys.settrace(tracer)
    try:
        stream.run(code)
    finally:
        sys.settrace(None)
    return stream.events


def monitored(code: CodeType) -> list[tuple[object, ...]]:
    """Return what `sys.monitoring` tells of *code*; of exceptions and their way out, the line where they were raised."""
    stream, monitoring = Stream(), sys.monitoring
    kinds = [
        "PY_START",
        "PY_RESUME",
        "PY_RETURN",
        "PY_YIELD",
        "LINE",
        "RAISE",
        "PY_THROW",
        "PY_UNWIND",
    ]

    def listener(kind):
        def listen(seen, *arguments):
            if seen.co_filename != code.co_filename:
                return
            where = arguments[0] if kind == "LINE" else line_of(seen, arguments[0])
            value = show(arguments[1]) if len(arguments) > 1 else ""
            stream.add(seen.co_name, kind, None if kind == "PY_UNWIND" else where, value)

        return listen

    monitoring.use_tool_id(3, "test")
    for kind in kinds:
        monitoring.register_callback(3, getattr(monitoring.events, kind), listener(kind))
    monitoring.set_events(3, sum(getattr(monitoring.events, kind) for kind in kinds))
    try:
        stream.run(code)
    finally:
        monitoring.set_events(3, 0)
        monitoring.free_tool_id(3)
    return stream.events


def line_of(code: CodeType, offset: int) -> int | None:
    return next((line for start, stop, line in code.co_lines() if start <= offset < stop), None)


def difference(source: str) -> str | None:
    """Return how the streams of *source* first differ, None if they do not."""
    plain = compile(source, "program", "exec", dont_inherit=True)
    result = transform(source.encode(), "program", "m", lambda name: None, MODULE_SITE, CAPTURES)
    sites = [MADE[SITE]] * len(result.functions)
    ours = install(plan(result.code), sites, lambda what, index: MADE[what])
    for watch in (traced, monitored) if sys.version_info >= (3, 12) else (traced,):
        one, other = watch(plain), watch(ours)
        if one != other:
            at = next((i for i, (x, y) in enumerate(zip(one, other, strict=False)) if x != y), -1)
            return f"{watch.__name__}: {one[max(at - 2, 0) : at + 3]} became {other[max(at - 2, 0) : at + 3]}"
    return None


def main(first: int, last: int) -> None:
    compared, worst = 0, ""
    for number in range(first, last):
        source = Maker(number).program()
        try:
            compile(source, "program", "exec")
        except (
            SyntaxError
        ):  # `break` under `except*`, `return` of a value in a place that takes none
            continue
        compared += 1
        found = difference(source)
        if found and (not worst or len(source) < len(worst)):
            worst = f"program {number}: {found}\n{source}"
    print(worst or f"{compared} programs")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(int(sys.argv[2]), int(sys.argv[3]))
