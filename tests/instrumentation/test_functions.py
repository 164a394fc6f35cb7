"""What is recorded of functions of every kind."""

from harness import Lab


def run(lab: Lab, source: str, **settings: object):
    lab.write("job.py", source)
    result = lab.observed("job.py", settings=settings)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.image.notes == []
    return result


def test_each_call_is_a_span_under_its_caller(lab: Lab) -> None:
    """A call becomes one span whose parent is the span that called it."""
    result = run(lab, "def a(): b(); b()\ndef b(): pass\na()\n")
    assert result.tree() == ["job > job.a", "job.a > job.b", "job.a > job.b"]
    assert all(span.end_ns >= span.start_ns > 0 for span in result.spans)


def test_methods_of_every_kind(lab: Lab) -> None:
    """Methods are named module.Class.method; one-line properties and other dunders are left alone."""
    result = run(
        lab,
        """
class A:
    def __init__(self): self.x = 1
    def __repr__(self): return "A"
    def __call__(self): return 2
    def __enter__(self): return self
    def __exit__(self, *e): return None
    def m(self): return 1
    @classmethod
    def c(cls): return 1
    @staticmethod
    def s(): return 1
    @property
    def short(self): return 1
    @property
    def long(self):
        y = 1
        return y
    class B:
        def n(self): return 1
with A() as a:
    a(); a.m(); a.c(); a.s(); a.short; a.long; repr(a); A.B().n()
""",
    )
    names = [span.name.removeprefix("job.A.") for span in result.spans]
    assert names == ["__init__", "__enter__", "__call__", "m", "c", "s", "long", "B.n", "__exit__"]
    assert ("function", "job.A.short", "property of one line") in result.image.skipped
    assert ("function", "job.A.__repr__", "special method") in result.image.skipped


def test_closures_and_recursion(lab: Lab) -> None:
    """Nested functions carry the names of what they are nested in; recursion nests spans."""
    result = run(
        lab,
        "def outer(n):\n    def inner(): return n\n    return inner() if n == 0 else outer(n - 1)\nouter(2)\n",
    )
    assert result.tree() == [
        "job > job.outer",
        "job.outer > job.outer",
        "job.outer > job.outer",
        "job.outer > job.outer.inner",
    ]


def test_generator_is_current_only_while_its_frame_runs(lab: Lab) -> None:
    """What a generator calls is its child; what its consumer calls between the items is not."""
    result = run(
        lab,
        """
def leaf(): pass
def numbers():
    for i in range(3):
        leaf()
        yield i
def consume():
    for _ in numbers(): leaf()
consume()
""",
    )
    tree = result.tree()
    assert tree.count("job.numbers > job.leaf") == 3
    assert tree.count("job.consume > job.leaf") == 3
    (numbers,) = result.named("job.numbers")
    assert numbers.items == 3
    assert 0 < numbers.suspended_ns < numbers.end_ns - numbers.start_ns


def test_generator_that_is_left_behind_does_not_stay_current(lab: Lab) -> None:
    """A generator broken out of, thrown into or abandoned never becomes a parent afterwards."""
    result = run(
        lab,
        """
import contextlib
def leaf(): pass
def numbers():
    try:
        while True: yield 1
    except KeyError:
        leaf()
        yield 2
@contextlib.contextmanager
def scope():
    yield
def breaks():
    g = numbers()
    for _ in g: break
    leaf()
    g.close()
def throws():
    g = numbers(); next(g); g.throw(KeyError); leaf()
def manages():
    with scope(): leaf()
breaks(); throws(); manages(); leaf()
""",
    )
    tree = result.tree()
    assert "job.breaks > job.leaf" in tree
    assert tree.count("job.throws > job.leaf") == 2  # the one inside: recorded, not nested
    assert "job.manages > job.leaf" in tree
    assert "job > job.leaf" in tree


def test_generator_keeps_its_protocol(lab: Lab) -> None:
    """Sent values, return values and delegation work as before."""
    source = """
def inner():
    x = yield 1
    y = yield x * 2
    return x + y
def outer():
    r = yield from inner()
    s = yield
    yield r, s
g = outer()
print(next(g), g.send(10), g.send(5), g.send("s"), list(g))
"""
    lab.write("job.py", source)
    assert lab.observed("job.py").stdout == lab.plain("job.py").stdout == "1 20 None (15, 's') []\n"


def test_coroutines_and_async_generators(lab: Lab) -> None:
    """Tasks that run side by side keep their own parents, and a gathered call ends its own record."""
    result = run(
        lab,
        """
import asyncio
async def leaf(n):
    await asyncio.sleep(0.01 * (3 - n))
    return n
async def items():
    for i in range(2):
        await leaf(2)
        yield i
async def branch(n):
    return await leaf(n)
async def main():
    print(await asyncio.gather(*[branch(n) for n in range(3)]), [i async for i in items()])
asyncio.run(main())
""",
    )
    tree = result.tree()
    assert tree.count("job.main > job.branch") == 3
    assert tree.count("job.branch > job.leaf") == 3
    assert tree.count("job.items > job.leaf") == 2
    durations = [span.end_ns - span.start_ns for span in result.named("job.branch")]
    assert durations == sorted(durations, reverse=True)
    (items,) = result.named("job.items")
    assert items.items == 2


def test_same_coroutine_driven_by_hand_ends_its_own_record(lab: Lab) -> None:
    """Two calls of one coroutine function interleaved in one context each end their own span."""
    result = run(
        lab,
        """
import types
@types.coroutine
def pause(): yield
async def work(name):
    await pause()
first, second = work("a"), work("b")
first.send(None); second.send(None)
for coroutine in (first, second):
    try: coroutine.send(None)
    except StopIteration: pass
def after(): pass
after()
""",
    )
    first, second = result.named("job.work")
    assert first.end_ns < second.end_ns
    assert result.tree()[-1] == "job > job.after"


def test_include_and_exclude(lab: Lab) -> None:
    """Globs choose functions by name: of installed and standard modules too, and exclusion wins."""
    result = run(
        lab,
        "import textwrap\ndef a(): pass\ndef b(): textwrap.dedent(' x')\na(); b()\n",
        include=("textwrap.d*",),
        exclude=("job.a",),
    )
    assert result.tree() == ["job > job.b", "job.b > textwrap.dedent"]
    assert ("function", "job.a", "excluded") in result.image.skipped


def test_project_imports_are_spans(lab: Lab) -> None:
    """The body of an imported project module is a span of its own, named like the module."""
    lab.write("pkg/__init__.py", "from pkg import part\n")
    lab.write("pkg/part.py", "def made(): pass\nmade()\n")
    result = run(lab, "import pkg\n")
    assert result.tree() == ["job > pkg", "pkg > pkg.part", "pkg.part > pkg.part.made"]


def test_dataclasses_enums_and_decorators(lab: Lab) -> None:
    """Generated methods are left alone; written ones are recorded, whatever decorates them."""
    result = run(
        lab,
        """
import dataclasses, enum, functools
@dataclasses.dataclass
class D:
    x: int
    def double(self): return self.x * 2
class E(enum.Enum):
    A = 1
    def label(self): return self.name
@functools.lru_cache
def cached(n): return n
@functools.singledispatch
def show(v): return "?"
@show.register
def _(v: int): return "int"
D(1).double(); E.A.label(); cached(1); cached(1); show("x"); show(1)
""",
    )
    assert [span.name for span in result.spans] == [
        "job.D.double", "job.E.label", "job.cached", "job.show", "job._",
    ]  # fmt: skip


def test_module_target_is_named_by_its_module(lab: Lab) -> None:
    """With -m, the functions carry the module's name, and its body is no import."""
    lab.write("pkg/__init__.py", "LEVEL = 1\n")
    lab.write("pkg/tool.py", "def go(): pass\nif __name__ == '__main__': go()\n")
    result = lab.observed("-m", "pkg.tool")
    assert "pkg.tool.go" in [span.name for span in result.spans]
    assert [span.name for span in result.spans if span.kind == 5] == ["pkg"]


def test_body_of_command_text_is_listed_as_skipped(lab: Lab) -> None:
    """Code given by -c is compiled in C and said to be left alone; what it imports is observed."""
    lab.write("part.py", "def made(): pass\n")
    result = lab.observed("-c", "import part; part.made()")
    assert [span.name for span in result.spans] == ["part", "part.made"]
    assert any(name == "__main__" for _, name, _ in result.image.skipped)


def test_directory_and_archive_targets(lab: Lab) -> None:
    """A directory or zip archive with a __main__ is observed under its own name."""
    lab.write("app/__main__.py", "def go(): print(__name__, __package__)\ngo()\n")
    result = lab.observed("app")
    assert [span.name for span in result.spans] == ["app.go"]
    lab.plain("-m", "zipapp", "app", "-o", "app.pyz")
    result = lab.observed("app.pyz")
    assert [span.name for span in result.spans] == ["app.go"]
    assert result.stdout == lab.plain("app.pyz").stdout
