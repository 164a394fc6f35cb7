"""Files of settings: what is wrong in one is said with its place."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rheostat_agent.configuration.files import SettingsFile, project_files, user_file
from rheostat_agent.configuration.otel import ConfigurationRefused
from rheostat_agent.configuration.table import SETTINGS, Setting

PATH = "~/.config/rheostat/rheostat.toml"
DELIVERY = [setting for setting in SETTINGS if setting.is_delivery]


def refusal(folder: Path, name: str, data: str | bytes) -> str:
    """Return what is said of a project with this file."""
    (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())
    with pytest.raises(ConfigurationRefused) as caught:
        for file in project_files(str(folder), str(folder)):
            file.values(is_projects=True)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("max_span = 5", "rheostat.toml:1: max_span: unknown key (did you mean max_spans?)"),
        ("\n# c\n\nmax-spans = 5", "rheostat.toml:4: max-spans: unknown key (did you mean max_spans?)"),
        ("[zzzz]\nx = 1", "rheostat.toml:1: zzzz: unknown key"),
        ("name = 'x'\nname.x = 1", "rheostat.toml:2:11: Cannot overwrite a value"),
        ('"ma\\u0078_spans" = "many"', 'rheostat.toml:1: max_spans: a whole number, 0 or more is wanted, not "many"'),
        ("max_spans = 1.5", 'rheostat.toml:1: max_spans: a whole number, 0 or more is wanted, not "1.5"'),
        ("max_spans = true", "rheostat.toml:1: max_spans: a whole number, 0 or more is wanted, not true or false"),
        ("max_spans = -1", 'rheostat.toml:1: max_spans: a whole number, 0 or more is wanted, not "-1"'),
        ("quiet = 1", 'rheostat.toml:1: quiet: true or false is wanted, not "1"'),
        ("name = ['x']", "rheostat.toml:1: name: a text is wanted, not a list"),
        ("name.x = 1", "rheostat.toml:1: name: a text is wanted, not a table"),
        ('name = "a\\u001b[2J"', 'rheostat.toml:1: name: a text is wanted, not "a?[2J"'),
        ("full = true\ninclude = [\n  # all\n  'a',\n  3,\n]", "rheostat.toml:2: include: a list of texts is wanted, not a list"),
        ("summary = 'long'", 'rheostat.toml:1: summary: one of none, short, full is wanted, not "long"'),
        ("x = \"\"\"\nmax_spans = 1\n\"\"\"\nmax_spans = 'x'", "rheostat.toml:1: x: unknown key"),
        ("name = \"\"\"\\\nmax_spans = 1\"\"\"\nmax_spans = 'x'", 'rheostat.toml:3: max_spans: a whole number, 0 or more is wanted, not "x"'),
        ('"\\u001b[2J" = 1', 'rheostat.toml:1: "?[2J": unknown key'),
        ("wait = inf", None),
        ("x = ", "rheostat.toml:1:5: Invalid value"),
        ("a = 1\n\nb = 'x", "rheostat.toml:3:7: Expected \"'\""),
        ("[a", "rheostat.toml:1:3: Expected ']' at the end of a table declaration"),
        ("a = 1\na = 2", "rheostat.toml:2:6: Cannot overwrite a value"),
        (b"name = 'x'\nb = '\xff'", "rheostat.toml:2:6: not UTF-8"),
        ("a = " + "[" * 100_000, "rheostat.toml: nested too deeply"),
        ("a = '" + "x" * (1 << 20) + "'", "rheostat.toml: larger than 1 MiB"),
    ],
)  # fmt: skip
def test_errors(tmp_path: Path, text: str | bytes, expected: str | None) -> None:
    """File, line, and column where the parser knows it; the key, what is wrong, what is meant."""
    told = refusal(tmp_path, "rheostat.toml", text)

    assert told == expected if expected else told.startswith("rheostat.toml:1: ")


@pytest.mark.parametrize(
    "text",
    [
        "[tool.rheostat]\nmax_span = 1",
        "[tool]\nrheostat.max_span = 1",
        '[tool]\n"rheostat" = { max_span = 1 }',
        "[ tool . \"rheostat\" ]\n'max_span' = 1",
        '[tool.rheostat]\n"max\\u005fspan" = 1',
    ],
)
def test_errors_in_pyproject(tmp_path: Path, text: str) -> None:
    """However the table is written, its keys are found, and their lines."""
    told = refusal(tmp_path, "pyproject.toml", "[build-system]\nrequires = []\n" + text)

    assert told == "pyproject.toml:4: max_span: unknown key (did you mean max_spans?)"


@pytest.mark.parametrize(
    "data", ["[tool.other]\nx = [", b"\xff", "x" * (2 << 20), "[project]\nname='rheostat'\n="]
)
def test_pyproject_without_us(tmp_path: Path, data: str | bytes) -> None:
    """What is not meant for us is not read, however broken it is."""
    (tmp_path / "pyproject.toml").write_bytes(data if isinstance(data, bytes) else data.encode())

    assert project_files(str(tmp_path), str(tmp_path)) == []


@pytest.mark.parametrize(
    ("text", "line"), [("\ntool.rheostat = 1", 2), ("[tool]\nx = 1\nrheostat = []", 3)]
)
def test_pyproject_without_a_table(tmp_path: Path, text: str, line: int) -> None:
    """Settings stand in a table."""
    told = refusal(tmp_path, "pyproject.toml", text)

    assert told == f"pyproject.toml:{line}: tool.rheostat: a table is wanted"


@pytest.mark.parametrize("setting", DELIVERY, ids=lambda setting: setting.key)
@pytest.mark.parametrize("name", ["rheostat.toml", "pyproject.toml"])
def test_a_project_cannot_redirect(tmp_path: Path, setting: Setting, name: str) -> None:
    """Nothing of where telemetry goes comes from a project's file; the error tells no value, and what to do."""
    key, variable = setting.key, setting.variable
    head = "" if name == "rheostat.toml" else "[tool.rheostat]\n"
    line = 1 if name == "rheostat.toml" else 2
    told = refusal(tmp_path, name, f"{head}{key} = 'hush'")

    assert told == (
        f"{name}:{line}: {key}: not from a project's file (a cloned repository must not redirect telemetry): "
        f"set {variable} or {PATH}"
    )


def test_files_seen_from_elsewhere(tmp_path: Path) -> None:
    """Then the whole path is told."""
    (tmp_path / "rheostat.toml").write_text("x = 1")
    (file,) = project_files(str(tmp_path), "/")

    assert file.place("x") == f"{tmp_path}/rheostat.toml:1"


@pytest.mark.parametrize("kind", ["fifo", "folder", "forbidden"])
def test_what_is_no_file(tmp_path: Path, kind: str) -> None:
    """It is refused at once, and nothing waits for it."""
    path = tmp_path / "rheostat.toml"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("rheostat.toml")  # to itself: cannot be opened, whoever we are
    with pytest.raises(ConfigurationRefused, match="^rheostat.toml: "):
        project_files(str(tmp_path), str(tmp_path))


def own(folder: Path, text: str) -> str:
    """Return what is said of the user's own file."""
    path = folder / ".config/rheostat/rheostat.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    file = user_file({"HOME": str(folder)})
    assert file is not None
    with pytest.raises(ConfigurationRefused) as caught:
        file.values(is_projects=False)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("endpoint = 'hush'", "1: endpoint: a URL with http:// or https:// is wanted"),
        ("endpoint = 'https://c'\nheaders = 'hush'", "2: headers: a table of texts is wanted"),
        ("endpoint = 'https://c'\n[headers]\nk = 5", "2: headers: k is no text that can be sent"),
        ("endpoint = 'https://c'\nheaders.k = \"hush\\n\"", "2: headers: k is no text that can be sent"),
        ("endpoint = 'https://c'\nheaders.'a b' = 'hush'", "2: headers: a name in it is none that a header can have"),
        ("[headers]\nk = 'hush'", "1: headers: belongs to an endpoint, which is to stand in the same file"),
        ("client_key = '/k'", "1: client_key: belongs to an endpoint, which is to stand in the same file"),
        ("timeout = 'hush'", '1: timeout: seconds, or a time such as "10m" is wanted'),
    ],
)  # fmt: skip
def test_errors_in_the_users_file(tmp_path: Path, text: str, expected: str) -> None:
    """As in a project's; what may be a secret is not told."""
    assert own(tmp_path, text) == f"{PATH}:{expected}"


KEYS = st.sampled_from(["a", "b.c", '"d e"', "'f'", "rheostat.x"])
VALUES = st.sampled_from(
    ["1", "'x'", '"""\n[no]\ny = 1\n"""', "[\n 1,\n # c\n]", "{ k = 1 }", "'''\n\n'''"]
)
LINES = st.sampled_from(["", "# c", "  "])


@given(
    st.lists(st.tuples(KEYS, VALUES, st.lists(LINES, max_size=3)), unique_by=lambda item: item[0])
)
def test_lines(statements: list[tuple[str, str, list[str]]]) -> None:
    """The line of a key is that in which its statement begins, whatever stands before it."""
    lines: list[str] = []
    expected = {}
    for key, value, before in statements:
        lines += before
        expected[key] = len(lines) + 1
        lines += f"{key} = {value}".split("\n")
    file = SettingsFile("/f", "f", "\n".join(lines))

    for key, line in expected.items():
        words = ["d e"] if " " in key else key.replace("'", "").split(".")
        assert file.line(*words) == line
    assert file.line("missing") == 0
