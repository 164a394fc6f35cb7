"""--capture-args: what calls were given, by name; nothing of the program's own types is touched, and it costs nothing when off."""

from typing import Any

import pytest

from harness import Lab, Result
from rheostat.capture import MAX_ARGUMENTS, MAX_OF_SITE
from rheostat.spool import events
from rheostat.spool.events import BOOL, FLOAT, INT, LENGTH, NONE, TEXT

CAPTURE = {"capture_args": True}


def captured(lab: Lab, result: Result) -> list[tuple[str, dict[str, tuple[int, Any]], int]]:
    """Return (function, {argument: (how it stands there, value)}, omitted) of each captured call of the first process."""
    names = {span.id: span.name for span in result.spans}
    found = []
    for path in sorted(lab.spool.glob(f"{result.image.base:016x}-*.events")):
        for kind, fields, _ in events.decode_frames(path.read_bytes()):
            if kind == events.ARGUMENTS and fields[0]:
                slot, _, omitted, count, *rest = fields
                given: dict[str, tuple[int, Any]] = {}
                for at in range(0, 3 * count, 3):
                    name, how, value = rest[at : at + 3]
                    given[f"{name}.length" if how == LENGTH else name] = (how, value)
                found.append((names[result.image.base + slot], given, omitted))
    return found


def arguments_of(lab: Lab, source: str) -> dict[str, tuple[int, Any]]:
    """Run *source*, whose function `f` is called once; return what it was given."""
    lab.write("job.py", source)
    result = lab.observed("job.py", settings=CAPTURE)
    assert (result.returncode, result.stderr, result.image.notes) == (0, "", [])
    ((_, given, _),) = [one for one in captured(lab, result) if one[0] == "job.f"]
    return given


def test_scalars_and_lengths(lab: Lab) -> None:
    """Scalars stand as they are, of texts as much as fits, of containers their length."""
    source = (
        "def f(a, b, c, d, e, g, h, i, j, k=(1, 2), *, m={}, n=b'abc'): pass\n"
        "f(None, True, -7, 2.5, 'text', 'ab ' * 100, [1] * 9, {1}, range(5), m={'x': 1})\n"
    )
    assert arguments_of(lab, source) == {
        "a": (NONE, 0),
        "b": (BOOL, 1),
        "c": (INT, -7),
        "d": (FLOAT, "2.5"),
        "e": (TEXT, "text"),
        "g": (TEXT, ("ab " * 100)[:200]),
        "g.length": (LENGTH, 300),
        "h.length": (LENGTH, 9),
        "i.length": (LENGTH, 1),
        "j.length": (LENGTH, 5),
        "k.length": (LENGTH, 2),
        "m.length": (LENGTH, 1),
        "n.length": (LENGTH, 3),
    }


def test_positional_and_keyword_rest(lab: Lab) -> None:
    """Of what `*` gathers the length is told, what `**` gathers stands by its own names."""
    source = "def f(a, /, *rest, b, **more): pass\nf(1, 2, 3, b=4, a=5, c='x')\n"
    assert arguments_of(lab, source) == {
        "a": (INT, 5),
        "rest.length": (LENGTH, 2),
        "b": (INT, 4),
        "c": (TEXT, "x"),
    }


HOSTILE = """
class Meta(type):
    def __eq__(self, other): raise SystemExit("type compared")
    def __hash__(self): raise SystemExit("type hashed")
    def __getattribute__(self, name): raise SystemExit("type asked for " + name)
    def __instancecheck__(self, one): raise SystemExit("instance checked")

def touched(*arguments):
    raise SystemExit("touched")

body = {name: touched for name in (
    "__repr__", "__str__", "__len__", "__bool__", "__eq__", "__hash__", "__iter__", "__format__", "__getattribute__",
    "__getitem__", "__contains__", "__index__", "__int__", "__float__", "__sizeof__", "__reduce_ex__")}
Object = Meta("Object", (), dict(body))
bases = (str, int, float, bytes, list, tuple, dict, set)
kinds = [Meta("Sub", (base,), {key: value for key, value in body.items() if key != "__hash__"}) for base in bases]

def f(a, b, c, d, e, g, h, i, j, **k): pass

key = type("Key", (str,), {"__getitem__": touched})("keyed")
f(Object(), *[kind() for kind in kinds], **{key: 1})
"""


def test_foreign_types_are_not_touched(lab: Lab) -> None:
    """Of a value, or a name, of another than exactly a built-in type no method is called, nor one of its type's."""
    assert arguments_of(lab, HOSTILE) == {}


def test_huge_values_take_no_time(lab: Lab) -> None:
    """A text of 100 MB, a million keys, a cycle, a number of a million digits: a call stays below a millisecond."""
    source = (
        "from time import perf_counter\n"
        "def f(a, b, c, d, **k): return perf_counter()\n"
        "big, keys, cycle, number = 'x y' * 33_000_000, dict.fromkeys(range(1_000_000)), [], 1 << 4_000_000\n"
        "cycle.append(cycle)\n"
        "many = {f'k{i}': i for i in range(100_000)}\n"
        "before = [perf_counter() for _ in range(2)][1]\n"
        "print(f(big, keys, cycle, number) - before)\n"
        "def g(**k): pass\n"
        "g(**many)\n"
    )
    lab.write("job.py", source)
    result = lab.observed("job.py", settings=CAPTURE)
    (_, given, _), (_, some, omitted) = captured(lab, result)
    assert float(result.stdout) < 0.01
    assert (given["a.length"][1], given["b.length"][1], given["c.length"][1]) == (99_000_000, 1_000_000, 1)  # fmt: skip
    assert "d" not in given
    assert (len(some), omitted) == (MAX_ARGUMENTS, 100_000 - MAX_ARGUMENTS)


def test_each_kind_of_function(lab: Lab) -> None:
    """Methods, coroutines, generators of both kinds, closures and recursion: by the call that was given them."""
    lab.write(
        "job.py",
        """
import asyncio
class C:
    def method(self, __mangled, x): return lambda: (x, __mangled)
def generator(x):
    yield x
async def coroutine(x):
    return x
async def stream(x):
    yield x
def again(n):
    return again(n - 1) if n else 0
def never(x):
    yield x
async def main():
    await asyncio.gather(coroutine(1), coroutine(2))
    return [i async for i in stream(3)]
C().method(1, 2)(), list(generator(4)), asyncio.run(main()), again(2), never(9)
""",
    )
    result = lab.observed("job.py", settings=CAPTURE)
    found = [(name, {key: value for key, (_, value) in given.items()}) for name, given, _ in captured(lab, result)]  # fmt: skip
    assert (result.stderr, result.image.notes) == ("", [])
    assert found == [
        ("job.C.method", {"__mangled": 1, "x": 2}),
        ("job.generator", {"x": 4}),
        ("job.coroutine", {"x": 1}),
        ("job.coroutine", {"x": 2}),
        ("job.stream", {"x": 3}),
        ("job.again", {"n": 2}),
        ("job.again", {"n": 1}),
        ("job.again", {"n": 0}),
    ]


def test_arguments_do_not_live_longer(lab: Lab) -> None:
    """An argument dies when the function deletes it, and has as many references as without us."""
    source = (
        "import sys, weakref\n"
        "class Thing: pass\n"
        "def f(thing):\n"
        "    count, ref = sys.getrefcount(thing), weakref.ref(thing)\n"
        "    del thing\n"
        "    return count, ref() is None, sorted(locals())\n"
        "print(f(Thing()))\n"
    )
    lab.write("job.py", source)
    plain, observed = lab.plain("job.py"), lab.observed("job.py", settings=CAPTURE)
    assert (observed.stdout, observed.stderr) == (plain.stdout, plain.stderr)
    assert "True" in plain.stdout


def test_rate_is_bounded(lab: Lab) -> None:
    """So many calls of a second are captured; the others are counted, and the count reaches the agent."""
    lab.write("job.py", "def f(i): pass\nfor i in range(5000): f(i)\n")
    result = lab.observed("job.py", settings=CAPTURE)
    (path,) = lab.spool.glob("*.events")
    told = [
        fields
        for kind, fields, _ in events.decode_frames(path.read_bytes())
        if kind == events.ARGUMENTS
    ]
    with_values = [fields for fields in told if fields[0]]
    seconds = ((result.spans[-1].end_ns or 0) - result.spans[0].start_ns) // 10**9 + 1
    assert len(result.named("job.f")) == 5000
    assert MAX_OF_SITE <= len(with_values) <= seconds * MAX_OF_SITE
    assert 0 <= 5000 - len(with_values) - told[-1][1] <= 1000


def test_few_that_are_missed_are_told(lab: Lab) -> None:
    """Even a handful of calls that were not captured is told of before the program ends."""
    lab.write("job.py", f"def f(i): pass\nfor i in range({MAX_OF_SITE} + 5): f(i)\n")
    lab.observed("job.py", settings=CAPTURE)
    (path,) = lab.spool.glob("*.events")
    frames = events.decode_frames(path.read_bytes())
    missed = [fields[1] for kind, fields, _ in frames if kind == events.ARGUMENTS]
    assert 3 <= missed[-1] <= 5


def test_a_loop_leaves_room_for_what_is_called_once(lab: Lab) -> None:
    """A function that is called a thousand times does not take their share from the others."""
    lab.write("job.py", "def f(i): pass\ndef g(x): pass\nfor i in range(5000): f(i)\ng('x')\n")
    result = lab.observed("job.py", settings=CAPTURE)
    assert ("job.g", {"x": (TEXT, "x")}, 0) in captured(lab, result)


@pytest.mark.parametrize(
    ("call", "shown"),
    [
        ("f(password='hunter2')", "***"),
        ("f(pin=1234)", "***"),
        ("f(api_key='x')", "***"),
        ("f(key='x y')", "***"),
        ("f(key='/etc/key.pem')", "/etc/key.pem"),
        ("f(max_tokens=5)", 5),
        ("f(password=None)", 0),
        ("f(url='postgres://u:p@h/d?x=1')", "postgres://***@h/d?x=***"),
        ("f(text='Authorization: Bearer abc.def')", "Authorization: ***"),
        ("f(text='AKIAIOSFODNN7EXAMPLE in a text')", "*** in a text"),
        ("f(text='x ' * 99 + 'AKIAIOSFODNN7EXAMPLE')", "x " * 99 + "**"),
        ("f(id='550e8400-e29b-41d4-a716-446655440000')", "550e8400-e29b-41d4-a716-446655440000"),
    ],
)
def test_secrets_are_hidden(our_lab: Lab, call: str, shown: Any) -> None:
    """By their names, their places and their shapes, before anything reaches the spool."""
    given = arguments_of(our_lab, f"def f(**more): pass\n{call}\n")
    assert next(iter(given.values()))[1] == shown


def test_off_is_the_code_as_it_was(lab: Lab) -> None:
    """Without the option neither the code of a function nor what is loaded knows of it."""
    source = (
        "import sys\n"
        "def f(x): return x\n"
        "print('rheostat.capture' in sys.modules, [type(c).__name__ for c in f.__code__.co_consts])\n"
    )
    lab.write("job.py", source)
    off, on, again = (lab.observed("job.py", settings={"capture_args": on}) for on in (False, True, False))  # fmt: skip
    assert off.stdout == again.stdout
    assert off.stdout.startswith("False ") and "Capture" not in off.stdout
    assert on.stdout.startswith("True ") and "Capture" in on.stdout


def test_pickled_by_value(lab: Lab) -> None:
    """A function pickled by value does the same where Rheostat is not installed."""
    lab.write(
        "job.py",
        """
import copyreg, marshal, pickle, types, sys, io
def f(x, *y): return x, y
state = pickle.dumps(f.__code__.co_consts)
code = f.__code__.replace(co_consts=pickle.loads(state))
print(types.FunctionType(code, {})(1, 2), 'rheostat' in str(state))
""",
    )
    result = lab.observed("job.py", settings=CAPTURE)
    assert (result.stdout, result.stderr) == ("(1, (2,)) False\n", "")
