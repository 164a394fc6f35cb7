"""Modules that have no source to put anything into are listed with the reason, and are made exactly as alone."""

import pytest

from extension import BESIDE, build_extension
from harness import Lab

EXTENSION = "extension module: its functions are C functions"
BUILT_IN = "built into the interpreter: its functions are C functions"
JOB = "from fast import twice\ndef a(): return twice(2)\nprint(a())\n"


def modules(lab: Lab, *command: str, include: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the modules that are not instrumented, with their reasons, of a program that runs as it would alone."""
    plain, observed = lab.plain(*command), lab.observed(*command, settings={"include": include})
    assert (observed.returncode, observed.stdout, observed.stderr) == (
        plain.returncode,
        plain.stdout,
        plain.stderr,
    )
    assert observed.image.notes == []
    listed = [(name, reason) for what, name, reason in observed.image.skipped if what == "module"]
    assert len(listed) == len({name for name, _ in listed})
    return dict(listed)


def test_an_extension_module_of_the_project(lab: Lab) -> None:
    """It is listed once; what it imports and calls of the project is observed."""
    build_extension(lab.project, "fast", lab.python)
    lab.write("beside.py", BESIDE)
    lab.write("job.py", JOB)

    assert modules(lab, "job.py") == {"fast": EXTENSION}
    assert [span.name for span in lab.observed("job.py").spans] == [
        "beside",
        "beside.made",
        "job.a",
    ]


@pytest.mark.parametrize(
    "body",
    [
        "import traceback\ntraceback.print_stack()\nraise KeyError('x')",
        "raise ImportError('x')",
        "import inspect\nprint([(f.filename, f.lineno, f.function) for f in inspect.stack()])",
        "import sys\nprint([sys._getframe(n).f_code.co_qualname for n in range(9)])",
    ],
)
def test_what_a_c_module_runs_while_it_is_made(lab: Lab, body: str) -> None:
    """It sees the stack that it would see alone, and its errors have their tracebacks."""
    build_extension(lab.project, "fast", lab.python)
    indented = body.replace("\n", "\n    ")
    lab.write("beside.py", f"def made():\n    {indented}\n")
    lab.write("job.py", JOB)

    assert modules(lab, "job.py") == {"fast": EXTENSION}


def test_a_c_module_by_its_path(lab: Lab) -> None:
    """One that no import statement finds is listed by the name it is given."""
    path = build_extension(lab.project / "built", "fast", lab.python)
    lab.write("beside.py", BESIDE)
    lab.write(
        "job.py",
        "from importlib.util import module_from_spec, spec_from_file_location\n"
        f"spec = spec_from_file_location('other.fast', {str(path)!r})\n"
        "print(module_from_spec(spec).twice(2))\n",
    )

    assert modules(lab, "job.py") == {"other.fast": EXTENSION}


def test_a_library_that_is_an_extension_module(lab: Lab) -> None:
    """It is listed where it has no module with source that stands for it."""
    site = lab.project.parent / "site"
    build_extension(site, "fast", lab.python)
    (site / "package").mkdir()
    (site / "package/__init__.py").write_text("from package.part import twice\n")
    build_extension(site / "package", "part", lab.python)
    lab.write("beside.py", BESIDE)
    lab.write("job.py", f"import sys; sys.path.append({str(site)!r})\nimport package, fast\n")

    assert modules(lab, "job.py") == {"fast": EXTENSION}
    assert modules(lab, "job.py", include=("package.*",)) == {
        "fast": EXTENSION,
        "package.part": EXTENSION,
    }


@pytest.mark.parametrize(
    ("include", "name", "reason"),
    [
        ("_json.*", "_json", EXTENSION),
        ("time.sleep", "time", BUILT_IN),
        ("site.*", "site", "frozen into the interpreter, and imported before everything else"),
        ("threading.*", "threading", "Rheostat follows threads through it"),
    ],
)
def test_what_include_names_in_vain(lab: Lab, include: str, name: str, reason: str) -> None:
    """A module that cannot be instrumented is listed if `--include` names it."""
    lab.write("job.py", "import _json, threading, time\n")

    assert modules(lab, "job.py", include=(include,))[name] == reason


def test_c_functions_of_others_are_none_of_the_projects(lab: Lab) -> None:
    """A module that hands on a C function of the standard library has nothing to list."""
    lab.write("job.py", "from math import sqrt\nfrom _json import scanstring\nprint(sqrt(4))\n")

    assert modules(lab, "job.py") == {}


def test_a_module_that_was_only_compiled(lab: Lab) -> None:
    """A lone `.pyc` of the project is listed."""
    source = lab.write("part.py", "def f(): return 1\n")
    lab.plain("-c", "import compileall; compileall.compile_file('part.py', legacy=True)")
    source.unlink()
    lab.write("job.py", "import part\nprint(part.f())\n")

    assert modules(lab, "job.py") == {"part": "there is no source, only what was compiled from it"}


def test_the_loaders_methods_are_their_own(lab: Lab) -> None:
    """Whoever takes them from the class gets importlib's functions."""
    lab.write(
        "job.py",
        "from importlib.machinery import ExtensionFileLoader, SourcelessFileLoader\n"
        "for method in (ExtensionFileLoader.create_module, SourcelessFileLoader.get_code):\n"
        "    print(type(method), method.__module__, method.__qualname__, method.__code__.co_filename)\n",
    )

    assert modules(lab, "job.py") == {}
