"""Which modules and functions are observed."""

import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harness import Lab
from rheostat.selection import STANDARD_LIBRARY, Selection, matches, may_match_inside
from rheostat.settings import Settings

PATTERNS = st.text("ab.*?[", max_size=12)
NAMES = st.text("ab.[", max_size=12)


def as_expression(pattern: str) -> re.Pattern[str]:
    """Return what *pattern* means, as a regular expression."""
    parts = {"*": ".*", "?": "."}
    return re.compile("".join(parts.get(part, re.escape(part)) for part in pattern), re.DOTALL)


@given(PATTERNS, NAMES)
@example("a*b*a", "aba.ba")
@example("", "")
@example("***", "")
@example("[ab]", "a")
def test_patterns(pattern: str, name: str) -> None:
    """`*` stands for any characters, dots too, `?` for one, and everything else, brackets too, for itself."""
    assert matches(pattern, name) == bool(as_expression(pattern).fullmatch(name))


def test_patterns_take_bounded_time() -> None:
    """A pattern of many stars against a long name that it nearly matches is decided at once."""
    assert not matches("*a" * 200 + "b", "a" * 5000)


@given(PATTERNS, st.text("ab", min_size=1, max_size=3), st.text("ab", min_size=1, max_size=5))
def test_modules_that_a_pattern_can_reach(pattern: str, module: str, function: str) -> None:
    """No module is passed over in which a function would match."""
    if matches(pattern, f"{module}.{function}"):
        assert may_match_inside(pattern, module)


def test_modules_that_a_pattern_cannot_reach() -> None:
    """A pattern for one package does not make others read."""
    assert not may_match_inside("pandas.io.*", "numpy.core")
    assert not may_match_inside("pandas.io.*", "pandas.core")
    assert not may_match_inside("pandas.io", "pandasx")
    assert may_match_inside("*.load", "numpy.core")
    assert may_match_inside("pandas.io.*", "pandas")


def selection(root: Path, **options: tuple[str, ...]) -> Selection:
    return Selection(Settings(str(root), str(root / "cache"), **options))


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("job.py", None),
        ("pkg/deep/er/part.py", None),
        ("lib/python3.11/site-packages/numpy/core.py", "installed package"),
        ("dist-packages/x.py", "installed package"),
        ("env/lib/x.py", "in an environment"),
        ("env/deep/down/x.py", "in an environment"),
        ("conda/x.py", "in an environment"),
        ("my-site-packages/x.py", None),
        ("../elsewhere.py", "not in the project"),
        ("../project2/x.py", "not in the project"),
    ],
)
def test_own_code(tmp_path: Path, path: str, reason: str | None) -> None:
    """A file is the user's own below the project, but not in environments, installed packages or beside it."""
    root = tmp_path / "project"
    for marker in ("env/pyvenv.cfg", "conda/conda-meta/history"):
        (root / marker).parent.mkdir(parents=True)
        (root / marker).touch()
    (tmp_path / "pyvenv.cfg").touch()  # the project itself may lie in one
    name = str(Path(f"{root}/{path}").parent.resolve() / Path(path).name)
    for _ in range(2):  # decided once, remembered
        assert selection(root).reason_not_own(name) == reason


def test_own_code_through_a_symbolic_link(tmp_path: Path) -> None:
    """Files are the user's own whether they are named by the project's real place or by a link to it."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    chosen = selection(tmp_path / "link")
    assert chosen.reason_not_own(f"{tmp_path}/link/job.py") is None
    assert chosen.reason_not_own(f"{tmp_path}/real/job.py") is None


def test_standard_library(tmp_path: Path) -> None:
    """The standard library is nobody's own, even where the project holds it; a project within it is."""
    assert selection(Path("/")).reason_not_own(STANDARD_LIBRARY + "json/decoder.py") == (
        "standard library"
    )
    inside = selection(Path(STANDARD_LIBRARY + "json"))
    assert inside.reason_not_own(STANDARD_LIBRARY + "json/decoder.py") is None


def test_include_and_exclude(tmp_path: Path) -> None:
    """Included names are observed wherever they are; excluded ones nowhere; Rheostat itself never."""
    chosen = selection(
        tmp_path, include=("numpy.*", "rheostat.*"), exclude=("*.secret", "numpy.x*")
    )
    assert chosen.reason_against("/elsewhere/numpy/core.py", "numpy.core") is None
    assert chosen.reason_against("/elsewhere/scipy.py", "scipy") == "not in the project"
    assert chosen.reason_against("/x/rheostat/hook.py", "rheostat.hook") == "Rheostat itself"
    assert chosen.reason_against_function("numpy.core.dot", own=False) is None
    assert chosen.reason_against_function("numpy.core.secret", own=False) == "excluded"
    assert chosen.reason_against_function("numpy.xor", own=False) == "excluded"
    assert chosen.reason_against_function("job.secret", own=True) == "excluded"
    assert chosen.reason_against_function("job.load", own=True) is None
    assert chosen.reason_against_function("scipy.load", own=False) == "not included"


def test_another_selection_is_another_cache_entry(lab: Lab) -> None:
    """What was kept for one choice of functions is not used for another, nor for another name of the same file."""
    lab.write("job.py", "def a(): pass\ndef b(): pass\na(); b()\n")
    (lab.project / "other.py").symlink_to(lab.project / "job.py")
    for exclude, names in [((), ["job.a", "job.b"]), (("job.a",), ["job.b"])] * 2:
        result = lab.observed("job.py", settings={"exclude": exclude})
        assert [span.name for span in result.spans] == names
    assert [span.name for span in lab.observed("other.py").spans] == ["other.a", "other.b"]


def test_environments_in_the_project(lab: Lab) -> None:
    """Modules of an environment inside the project are listed as left alone, once a library, and can be included."""
    lab.write("env/pyvenv.cfg", "")
    lab.write("env/library/__init__.py", "from library import part\ndef f(): part.g()\n")
    lab.write("env/library/part.py", "def g(): pass\n")
    lab.write(
        "job.py", "import sys; sys.path.append('env'); import library\ndef a(): library.f()\na()\n"
    )
    result = lab.observed("job.py")
    assert [span.name for span in result.spans] == ["job.a"]
    assert [name for what, name, _ in result.image.skipped if what == "library"] == ["library"]
    result = lab.observed("job.py", settings={"include": ("library.part.*",)})
    assert result.tree() == ["job > job.a", "job.a > library.part.g"]
