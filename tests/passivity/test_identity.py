"""The same programs plain and observed: what they can see of themselves is the same, less what docs/passivity.md lists."""

import json

import pytest

from harness import Lab

# Modules that the recorder itself brings in; documented in docs/passivity.md.
OURS = {
    "__future__",
    "_ast",
    "_contextvars",
    "_functools",
    "_operator",
    "_struct",
    "encodings.ascii",
    "itertools",
}


PROBE = """
import sys, os, json, signal, threading, atexit, warnings
facts = {
    "argv": sys.argv, "orig_argv": sys.orig_argv, "path": sys.path, "flags": list(sys.flags),
    "hooks": [repr(hook).split(" at ")[0] for hook in sys.path_hooks],
    "meta_path": [repr(finder).split(" at ")[0] for finder in sys.meta_path],
    "cached": sorted(path for path in sys.path_importer_cache),
    "modules": sorted(sys.modules), "environ": dict(os.environ),
    "main": sorted(vars()), "spec": repr(__spec__).split(" at ")[0], "file": globals().get("__file__"),
    "loader": repr(globals().get("__loader__")).split(" at ")[0], "package": globals().get("__package__"),
    "name": __name__, "doc": __doc__, "cached_file": globals().get("__cached__"),
    "signals": {str(s): repr(signal.getsignal(s)) for s in signal.valid_signals()},
    "mask": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "threads": [thread.name for thread in threading.enumerate()], "atexit": atexit._ncallbacks(),
    "excepthook": sys.excepthook is sys.__excepthook__, "trace": repr(sys.gettrace()), "profile": repr(sys.getprofile()),
    "descriptors": sorted(os.listdir("/proc/self/fd")), "cwd": os.getcwd(), "umask": os.umask(0o22),
    "tty": [os.isatty(n) for n in range(3)], "limit": sys.getrecursionlimit(), "switch": sys.getswitchinterval(),
    "filters": repr(warnings.filters), "executable": sys.executable, "stdout": repr(sys.stdout),
    "depth": len(__import__("inspect").stack()), "bytecode": sys.dont_write_bytecode,
}
print(json.dumps(facts))
"""


def compare(
    lab: Lab, *command: str, settings: dict[str, object] | None = None, **options: object
) -> None:
    plain = lab.plain(*command, **options)
    observed = lab.observed(*command, settings=settings, **options)
    assert (observed.returncode, observed.stderr) == (plain.returncode, plain.stderr)
    before, after = json.loads(plain.stdout), json.loads(observed.stdout)
    assert observed.image.notes == []
    added = set(after["modules"]) - set(before["modules"])
    assert {name for name in added if not name.startswith("rheostat")} <= OURS
    assert set(before["modules"]) <= set(after["modules"])
    changed = {
        key
        for key in before["environ"] | after["environ"]
        if before["environ"].get(key) != after["environ"].get(key)
    }
    assert changed == {"RHEOSTAT_RUN", "PYTHONPATH"}
    for facts in (before, after):
        del facts["modules"], facts["environ"]
    assert {key: (before[key], after[key]) for key in before if before[key] != after[key]} == {}


@pytest.mark.parametrize("flags", [(), ("-P",), ("-O",), ("-B",), ("-X", "dev"), ("-u",), ("-s",)])
def test_script(lab: Lab, flags: tuple[str, ...]) -> None:
    """A script sees the interpreter, its arguments and its own module as it would alone."""
    lab.write("probe.py", PROBE)
    compare(lab, *flags, "probe.py", "--name", "x", "", "a\nb", "--")


def test_script_with_arguments_captured(lab: Lab) -> None:
    """So it does where arguments are captured."""
    lab.write("probe.py", PROBE)
    compare(lab, "probe.py", "x", settings={"capture_args": True})


def test_script_by_absolute_path_and_symlink(lab: Lab) -> None:
    """Where the script lies and how it is named makes no difference."""
    script = lab.write("folder/probe.py", PROBE)
    compare(lab, str(script))
    (lab.project / "link.py").symlink_to(script)
    compare(lab, "link.py")
    compare(lab, "./folder/../folder/probe.py")


def test_module(lab: Lab) -> None:
    """A module run by -m, in a package or as a package, sees what it would alone."""
    lab.write("pkg/__init__.py", "x = 1\n")
    lab.write("pkg/probe.py", PROBE)
    lab.write("pkg/__main__.py", PROBE)
    compare(lab, "-m", "pkg.probe", "a", "-m")
    compare(lab, "-mpkg", "b")


def test_text_and_standard_input(lab: Lab) -> None:
    """So does code given by -c or on standard input."""
    compare(lab, "-c", PROBE.replace("__doc__", "globals().get('__doc__')"), "a")
    compare(lab, "-", "a", input=PROBE)


def test_directory_and_archive(lab: Lab) -> None:
    """So do a directory and an archive."""
    lab.write("app/__main__.py", PROBE)
    compare(lab, "app", "a")
    lab.plain("-m", "zipapp", "app", "-o", "app.pyz")
    compare(lab, "app.pyz", "a")


def test_working_directory_that_shadows_the_library(lab: Lab) -> None:
    """A json.py or random.py beside the script is what the program imports, and never what we do."""
    lab.write("json.py", "def dumps(x): return 'mine'\n")
    lab.write("struct.py", "raise SystemExit('struct')\n")
    lab.write("mmap.py", "raise SystemExit('mmap')\n")
    lab.write("job.py", "import json\nprint(json.dumps(1))\ndef f(): pass\nf()\n")
    plain, observed = lab.plain("job.py"), lab.observed("job.py")
    assert (observed.returncode, observed.stdout, observed.stderr) == (0, "mine\n", "")
    assert plain.stdout == observed.stdout
    assert observed.named("job.f")


SUB_INTERPRETER = """
import os
try:
    import _interpreters as interpreters
    run = interpreters.exec
except ImportError:
    import _xxsubinterpreters as interpreters
    run = interpreters.run_string
import beside
run(interpreters.create(), f'''
import sys
sys.path.append({os.path.dirname(os.path.abspath(__file__))!r})  # 3.11 has it not by itself
import beside
print([name for name in sys.modules if 'rheostat' in name], sys.path)
''')
"""


def test_sub_interpreter(lab: Lab) -> None:
    """A sub-interpreter is left alone, and finds the modules beside the script as it would alone."""
    lab.write("beside.py", "def f(): pass\nf()\n")
    lab.write("job.py", SUB_INTERPRETER)
    plain, observed = lab.plain("job.py"), lab.observed("job.py")
    assert (observed.stdout, observed.stderr) == (plain.stdout, plain.stderr)
    assert plain.stdout.startswith("[] [")
    assert [span.name for span in observed.spans] == ["beside", "beside.f"]
    reasons = [reason for image in observed.images for _, _, reason in image.skipped]
    assert reasons == ["a sub-interpreter is not observed"]


SITE = "import sys\nprint('user site', __name__, [m for m in sys.modules if 'custom' in m], sys.path)\nsys.flag = 1\n"


@pytest.mark.parametrize(
    "sitecustomize",
    [SITE, SITE + "raise ValueError('broken')\n", SITE + "import does_not_exist\n", "x = (\n"],
)
def test_users_own_sitecustomize(lab: Lab, sitecustomize: str) -> None:
    """The user's sitecustomize and usercustomize run once, in their order, and fail as they would alone."""
    lab.write("site/sitecustomize.py", sitecustomize)
    lab.write("site/usercustomize.py", "import sys\nprint('user', getattr(sys, 'flag', 0))\n")
    lab.write(
        "job.py",
        "import sys\nprint(sys.modules.get('sitecustomize'), getattr(sys, 'flag', 0), sys.path)\n",
    )
    folder = str(lab.project / "site")
    plain = lab.plain("job.py", env={"PYTHONPATH": folder})
    environment = lab.environment()
    path = environment["PYTHONPATH"].split(":")[0]
    observed = lab.plain("job.py", env={**environment, "PYTHONPATH": f"{path}:{folder}"})
    assert (observed.stdout, observed.stderr, observed.returncode) == (
        plain.stdout,
        plain.stderr,
        plain.returncode,
    )


def test_disabled(lab: Lab) -> None:
    """RHEOSTAT_DISABLED=true leaves nothing of ours in the process."""
    lab.write(
        "job.py", "import sys\nprint([m for m in sys.modules if 'rheostat' in m], sys.path)\n"
    )
    result = lab.observed("job.py", env={"RHEOSTAT_DISABLED": "True"})
    assert result.stdout == lab.plain("job.py").stdout
    assert result.images == []
