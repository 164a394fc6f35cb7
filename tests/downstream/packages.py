"""Well-known packages, as their authors publish them: sources with their test suites, installed in one environment.

Kept in $RHEOSTAT_TEST_CACHE, else in `rheostat-tests` below the user's cache directory; made once, by pip, from PyPI.
"""

import contextlib
import fcntl
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Package:
    """One package; *tests* are arguments to pytest, of which *slow* is added unless all tests are to run."""

    requirement: str
    include: tuple[str, ...]
    tests: tuple[str, ...]
    slow: tuple[str, ...]
    spans: int  # at least so many are recorded

    @property
    def name(self) -> str:
        return self.requirement.partition("=")[0]


PACKAGES = (
    Package("boltons==26.2.0", ("boltons.*",), ("tests",), (), 100_000),
    Package("attrs==26.1.0", ("attr.*", "attrs.*"), ("tests",), (), 100_000),
    Package("click==8.5.1", ("click.*",), ("tests",), (), 100_000),
    # Two tests that make nearly all of the suite's hundred million calls: three minutes observed, 20 seconds plain.
    Package(
        "more-itertools==11.2.1",
        ("more_itertools.*",),
        ("tests",),
        (
            "--deselect=tests/test_recipes.py::PrimeFunctionTests::test_primes",
            "--deselect=tests/test_more.py::DiscreteFourierTransformTests::test_roundtrip",
        ),
        100_000,
    ),
    # Of networkx' 120 folders of tests those of its core; a second each for the leak tests, which collect garbage.
    Package(
        "networkx==3.6.1",
        ("networkx.*",),
        (),
        (
            "networkx/classes",
            "networkx/generators",
            "networkx/utils",
            "networkx/algorithms/traversal",
            "-k",
            "not memory_leak and not joint_degree",
        ),
        500_000,
    ),
)
HELPERS = (
    "pytest==9.2.0",
    "hypothesis",
    "pympler",
    "cloudpickle",
    "dill",
    "joblib",
    "numba==0.68.1",
)


def cache_directory() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    python = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    return Path(os.environ.get("RHEOSTAT_TEST_CACHE") or f"{home}/rheostat-tests") / python


def environment() -> Path:
    """Return the folder with the environment `venv` and the sources; make it if it is not there. Raises CalledProcessError."""
    folder = cache_directory()
    folder.mkdir(parents=True, exist_ok=True)
    with _made(folder, [*HELPERS, *(package.requirement for package in PACKAGES)]) as is_made:
        if not is_made:
            _make(folder)
    return folder


def library(python: str, *requirements: str) -> Path:
    """Return a folder to import *requirements* from with the interpreter *python*. Raises CalledProcessError."""
    version = "import sys; print('python%d.%d' % sys.version_info[:2])"
    done = subprocess.run([python, "-c", version], capture_output=True, text=True, check=True)
    folder = cache_directory().parent / done.stdout.strip() / requirements[0]
    folder.mkdir(parents=True, exist_ok=True)
    with _made(folder, list(requirements)) as is_made:
        if not is_made:
            pip = [python, "-m", "pip", "--disable-pip-version-check", "-q", "install", "--no-deps"]
            _run([*pip, "-t", str(folder / "library"), *requirements])
    return folder / "library"


@contextlib.contextmanager
def _made(folder: Path, requirements: list[str]) -> Iterator[bool]:
    """Hold the lock of *folder*; say whether *requirements* are in it, and remember it when the body is done."""
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = folder / "made"
        yield made.exists() and made.read_text() == "\n".join(requirements)
        made.write_text("\n".join(requirements))


def _make(folder: Path) -> None:
    requirements = [package.requirement for package in PACKAGES]
    python = folder / "venv/bin/python"
    names = ",".join(package.name for package in PACKAGES)
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "-q"]
    sources = [*pip, "download", "--no-deps", "--no-binary", names, "-d", str(folder)]
    _run([sys.executable, "-m", "venv", "--clear", str(folder / "venv")])
    _run([*sources, *requirements])
    archives = [str(_archive(folder, requirement)) for requirement in requirements]
    _run([*pip, "install", *HELPERS, *archives])
    for archive in archives:
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, timeout=400, stdin=subprocess.DEVNULL)


def _archive(folder: Path, requirement: str) -> Path:
    return folder / f"{requirement.replace('==', '-').replace('more-', 'more_')}.tar.gz"


def source(folder: Path, package: Package) -> Path:
    """Return the folder with the sources of *package*."""
    return _archive(folder, package.requirement).with_suffix("").with_suffix("")
