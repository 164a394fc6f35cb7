"""Debuggers, profilers, test tools and introspection see the program that they would see alone.

Trace and profile functions that look at every frame see the recorder's own as well: Python code has no way to hide a
frame from them. Its files are named `<rheostat …>`, so that tools which go by file leave it alone; what they see of
everything else is the same (docs/passivity.md). coverage.py is in tests/downstream/test_coverage.py.
"""

import re
from pathlib import Path

import pytest

from harness import Lab, Result

ADDRESS = re.compile(r"0x[0-9a-f]{6,}")


def compare(lab: Lab, *command: str, **options: object) -> tuple[Result, Result]:
    """Run *command* plain and observed, cold and warm; check that all is the same, and return the first two."""
    plain, cold = lab.plain(*command, **options), lab.observed(*command, **options)
    warm = lab.observed(*command, **options)
    for observed in (cold, warm):
        assert [note for image in observed.images for note in image.notes] == []
        assert ADDRESS.sub("X", observed.stdout) == ADDRESS.sub("X", plain.stdout)
        assert ADDRESS.sub("X", observed.stderr) == ADDRESS.sub("X", plain.stderr)
        assert observed.returncode == plain.returncode
    return plain, cold


WORK = '''"""A module with a bit of everything."""
import asyncio
import contextlib
import warnings


def leaf(x):
    """Return one more.

    >>> leaf(1)
    2
    >>> leaf(2)
    4
    """
    return x + 1


def numbers(n):
    for i in range(n):
        got = yield leaf(i)
        if got:
            return got


@contextlib.contextmanager
def scope(name):
    try:
        yield name
    finally:
        leaf(0)


def deep(n):
    if n:
        return deep(n - 1)
    try:
        raise KeyError("inner")
    except KeyError as error:
        raise ValueError("outer") from error


def warn():
    warnings.warn("old", DeprecationWarning, stacklevel=2)


class Thing:
    def __init__(self, *parts):
        self.parts = [
            leaf(part)
            for part in parts
        ]

    @property
    def total(self):
        total = sum(self.parts)
        return total


async def fetch(x):
    await asyncio.sleep(0)
    return leaf(x)


async def gather():
    return await asyncio.gather(*[fetch(x) for x in range(3)])


def everything():
    with scope("a") as name:
        print(name, list(numbers(3)), Thing(1, 2).total)
    print(asyncio.run(gather()), sorted([3, 1, 2], key=leaf))
    try:
        deep(2)
    except ValueError:
        pass
    assert leaf(1) == 2
'''

STREAM = """
import sys, work

seen = []

def own(frame):
    name = frame.f_code.co_filename
    return not name.startswith("<rheostat ") and name.rpartition("/")[2] in ("work.py", "contextlib.py")

def tracer(frame, event, argument):
    if own(frame):
        seen.append((frame.f_code.co_name, event, frame.f_lineno, type(argument).__name__))
        return tracer

def profiler(frame, event, argument):
    if own(frame):
        name = argument.__name__ if event.startswith("c_") else ""
        seen.append((frame.f_code.co_name, event, frame.f_lineno, name))

work.warn
set_ = sys.settrace if sys.argv[1] == "trace" else sys.setprofile
set_(tracer if sys.argv[1] == "trace" else profiler)
work.everything()
set_(None)
print(*seen, sep="\\n")
"""

MONITOR = """
import sys, work

seen, monitoring = [], sys.monitoring

def line_of(code, offset):
    return next((line for start, stop, line in code.co_lines() if start <= offset < stop), None)

def listener(kind):
    def listen(code, *arguments):
        if code.co_filename.rpartition("/")[2] != "work.py":
            return monitoring.DISABLE if kind in ("LINE", "PY_START", "PY_RETURN", "PY_YIELD") else None
        where = arguments[0] if kind == "LINE" else line_of(code, arguments[0])
        seen.append((kind, code.co_qualname, where if kind != "PY_UNWIND" else "", type(arguments[-1]).__name__))
    return listen

kinds = ["PY_START", "PY_RESUME", "PY_RETURN", "PY_YIELD", "LINE", "RAISE", "EXCEPTION_HANDLED", "PY_THROW", "PY_UNWIND"]
monitoring.use_tool_id(monitoring.COVERAGE_ID, "test")
for kind in kinds:
    monitoring.register_callback(monitoring.COVERAGE_ID, getattr(monitoring.events, kind), listener(kind))
monitoring.set_events(monitoring.COVERAGE_ID, sum(getattr(monitoring.events, kind) for kind in kinds))
work.everything()
monitoring.set_events(monitoring.COVERAGE_ID, 0)
print(*seen, sep="\\n")
"""


def test_trace_function(lab: Lab) -> None:
    """A trace function gets plain's events for every frame that is not the recorder's."""
    lab.write("work.py", WORK)
    lab.write("job.py", STREAM)
    plain, observed = compare(lab, "job.py", "trace")
    assert plain.stdout.count("'line'") > 50
    assert observed.named("work.leaf")


def test_profile_function(lab: Lab) -> None:
    """A profile function gets plain's calls and returns, those of C functions too; none is ours."""
    lab.write("work.py", WORK)
    lab.write("job.py", STREAM)
    plain, _ = compare(lab, "job.py", "profile")
    assert plain.stdout.count("'call'") > 20
    assert "'c_call'" in plain.stdout


def test_monitoring(lab: Lab) -> None:
    """`sys.monitoring` tells plain's lines, starts, returns, yields and exceptions; of unwinding, all but the instruction."""
    lab.write("work.py", WORK)
    lab.write(
        "job.py",
        f"import sys\\nif sys.version_info < (3, 12): sys.exit(0)\\n{MONITOR}".replace(
            "\\\\n", "\\n"
        ),
    )
    compare(lab, "job.py")


def test_profiler_counts(lab: Lab) -> None:
    """cProfile counts the program's calls as it would alone."""
    lab.write("work.py", WORK)
    lab.write(
        "job.py",
        """
import cProfile, pstats, work
profiler = cProfile.Profile()
profiler.runcall(work.everything)
rows = pstats.Stats(profiler).stats
print(*sorted((key, row[:2]) for key, row in rows.items() if key[0].endswith("work.py")), sep="\\n")
""",
    )
    plain, _ = compare(lab, "job.py")
    assert plain.stdout.count("work.py") > 6


PDB = """\
break work.py:15
break numbers
continue
where
print(x)
return
up
list
clear 1
continue
step
step
args
next
next
next
tbreak deep
continue
until
step
pp sorted(locals())
continue
quit
"""


def test_debugger(lab: Lab) -> None:
    """pdb stops at breakpoints by line and function, steps, and shows frames and lines as it would alone."""
    lab.write("work.py", WORK)
    lab.write("job.py", "import work\nwork.everything()\nprint('end')\n")
    plain, _ = compare(lab, "-m", "pdb", "job.py", input=PDB)
    assert plain.stdout.count("work.py(") > 10
    compare(lab, "-c", "import pdb, work; pdb.run('work.everything()')", input=PDB)


def test_debugger_off_the_end(lab: Lab) -> None:
    """Stepping past the last line of a script that ends in a compound statement shows plain's lines."""
    lab.write(
        "job.py",
        "import sys\ndef f(x):\n    if x:\n        return 1\nif __name__ == '__main__':\n    try:\n        f(1)\n"
        "        int('x')\n    except ValueError:\n        pass\n",
    )
    plain, _ = compare(lab, "-m", "pdb", "job.py", input="next\n" * 14 + "quit\n")
    assert "--Return--" in plain.stdout


SUPPRESSED = """
import contextlib

def ends(x):
    with contextlib.suppress(KeyError):
        {}[x]

def either(x):
    if x:
        with contextlib.suppress(KeyError):
            {}[x]

ends(1), either(1)
with contextlib.suppress(KeyError):
    ends(2)
    {}[3]
"""


def test_debugger_after_suppressed_errors(lab: Lab) -> None:
    """pdb steps out of functions that end in a `with` that swallows an error; on 3.12 past the `with` once more."""
    lab.write("work.py", SUPPRESSED)
    lab.write("job.py", "import work\n")
    commands = "break work.py:6\nbreak work.py:11\ncontinue\n" + "next\n" * 40 + "quit\n"
    observed = lab.observed("-m", "pdb", "job.py", input=commands)
    plain = lab.plain("-m", "pdb", "job.py", input=commands)
    assert "Uncaught exception" not in observed.stdout
    assert observed.stdout.count("--Return--") >= 3
    if "3.12" not in lab.python:
        assert ADDRESS.sub("X", observed.stdout) == ADDRESS.sub("X", plain.stdout)


def test_doctest(lab: Lab) -> None:
    """doctest finds, runs and reports the examples of observed functions with the lines they are on."""
    lab.write("work.py", WORK)
    plain, _ = compare(lab, "-m", "doctest", "work.py")
    assert plain.returncode == 1
    assert "line 12, in work.leaf" in plain.stdout
    lab.write("job.py", "import doctest, work\nprint(doctest.testmod(work, verbose=True))\n")
    compare(lab, "job.py")


def test_unittest(lab: Lab) -> None:
    """unittest discovers and reports, failing tests included."""
    lab.write("work.py", WORK)
    lab.write(
        "test_work.py",
        """
import unittest, work
class Case(unittest.TestCase):
    def test_right(self): self.assertEqual(work.leaf(1), 2)
    def test_wrong(self): self.assertEqual(work.leaf(1), 3)
    def test_error(self): work.deep(3)
    def test_warning(self):
        with self.assertWarns(DeprecationWarning) as caught:
            work.warn()
        print(caught.filename.rpartition("/")[2], caught.lineno)
    async def test_sub(self):
        for i in range(3):
            with self.subTest(i=i):
                self.assertLess(i, 2)
class Asynchronous(unittest.IsolatedAsyncioTestCase):
    async def test_await(self): self.assertEqual(await work.gather(), [1, 2, 4])
""".replace("async def test_sub", "def test_sub"),
    )
    plain = lab.plain("-m", "unittest", "-v")
    observed = lab.observed("-m", "unittest", "-v")
    seconds = re.compile(r"in \\d+\\.\\d+s".replace("\\\\", "\\"))
    assert seconds.sub("", observed.stderr) == seconds.sub("", plain.stderr)
    assert (observed.stdout, observed.returncode) == (plain.stdout, plain.returncode)
    assert "FAILED (failures=3, errors=1)" in plain.stderr


def test_assertions_rewritten_by_pytest(our_lab: Lab) -> None:
    """pytest's own rewriting goes on, with its explanations word for word; what the tests call is recorded."""
    our_lab.write("work.py", WORK)
    our_lab.write("conftest.py", "import pytest\n@pytest.fixture\ndef three(): return 3\n")
    our_lab.write(
        "test_work.py",
        """
import pytest, work
def test_right(three): assert work.leaf(2) == three
def test_wrong(three):
    found = [work.leaf(x) for x in range(3)]
    assert found == [1, 2, three, 4], "a message"
@pytest.mark.parametrize("n", [0, 1])
def test_deep(n): work.deep(n)
def test_warns(): work.warn()
""",
    )
    arguments = (
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "-q",
        "-rA",
        "--tb=long",
    )
    seconds = re.compile(r"in [0-9.]+s")
    plain, observed = our_lab.plain(*arguments), our_lab.observed(*arguments)
    assert seconds.sub("", observed.stdout) == seconds.sub("", plain.stdout)
    assert (observed.stderr, observed.returncode) == (plain.stderr, 1)
    assert "assert [1, 2, 3] == [1, 2, 3, 4]" in plain.stdout
    assert observed.image.notes == []
    assert len(observed.named("work.leaf")) > 3


@pytest.mark.parametrize("flags", [("-O",), ("-OO",), ("-X", "no_debug_ranges"), ("-X", "dev")])
def test_flags(lab: Lab, flags: tuple[str, ...]) -> None:
    """Without assertions, docstrings or columns, and with all checks, the program is what it would be alone."""
    lab.write("work.py", WORK)
    lab.write(
        "job.py",
        "import work\nwork.everything()\nprint(work.leaf.__doc__, work.__doc__)\nassert work.leaf(1) == 3, 'wrong'\n"
        "work.deep(\n  1)\n",
    )
    compare(lab, *flags, "job.py")


def test_source_and_signatures(lab: Lab) -> None:
    """inspect finds sources, signatures and kinds, dis.findlinestarts lines, and warnings their places."""
    lab.write("work.py", WORK)
    lab.write(
        "job.py",
        """
import dis, inspect, traceback, types, warnings
import work

warnings.simplefilter("always")
work.warn()
for name, value in sorted(vars(work).items()):
    if isinstance(value, types.FunctionType) and value.__module__ == "work" or value is work.Thing:
        print(name, inspect.getsource(value), inspect.getdoc(value), inspect.getsourcelines(value)[1])
        print(inspect.signature(value), inspect.iscoroutinefunction(value), inspect.isgeneratorfunction(value))
        if isinstance(value, types.FunctionType):
            print({line for _, line in dis.findlinestarts(value.__code__) if line}, inspect.getclosurevars(value).globals.keys())
print(inspect.getsource(work.Thing.total.fget), inspect.getcomments(work.leaf))
try:
    work.deep(2)
except ValueError as error:
    print("".join(traceback.TracebackException.from_exception(error, capture_locals=True).format()))
""",
    )
    plain, _ = compare(lab, "job.py")
    assert "job.py:6: DeprecationWarning: old" in plain.stderr


def test_warning_is_given_once(lab: Lab) -> None:
    """What was warned of once is not warned of again because a module was imported in between."""
    lab.write("part.py", "pattern = '\\d'\nassert (1, 'always true')\n")
    lab.write(
        "job.py",
        """
import warnings
def old(): warnings.warn("old")
old()
import part
old()
""",
    )
    plain, _ = compare(lab, "job.py")
    assert plain.stderr.count("UserWarning: old") == 1
    assert plain.stderr.count("SyntaxWarning") >= 1


def test_reload(lab: Lab) -> None:
    """A module that is changed and loaded again is its new self, at once."""
    work = lab.write("work.py", "def f():\n    return 1\n")
    lab.write(
        "job.py",
        f"""
import importlib, os, work
print(work.f())
with open({str(work)!r}, "w") as file:
    file.write("def f():\\n    return 'two'\\n")
importlib.invalidate_caches()
importlib.reload(work)
print(work.f())
""",
    )
    assert Path(work).read_text().endswith("1\n")
    assert lab.plain("job.py").stdout == "1\ntwo\n"
    for _ in range(2):
        lab.write("work.py", "def f():\n    return 1\n")
        observed = lab.observed("job.py")
        assert (observed.stdout, observed.image.notes) == ("1\ntwo\n", [])
        assert [span.name for span in observed.spans if span.kind != 5] == ["work.f", "work.f"]
