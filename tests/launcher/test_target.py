"""What `resolve` makes of the words after our own options."""

import os
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from launching import LAUNCHER, run
from place import Place

from rheostat_agent.launcher.interpreter import is_python, what_python_runs
from rheostat_agent.launcher.target import resolve


@pytest.mark.parametrize(
    ("words", "kind", "name"),
    [
        (["etl.py", "--date", "x"], "script", "etl"),
        (["./etl.py"], "script", "etl"),
        (["gui.pyw"], "script", "gui"),
        (["app.pyz", "-m"], "script", "app"),
        (["folder"], "script", "folder"),
        (["folder/"], "script", "folder"),
        (["-m", "pkg.mod", "a"], "module", "pkg.mod"),
        (["-mpkg"], "module", "pkg"),
        (["-c", "pass", "-x"], "text", "python"),
        (["-cpass"], "text", "python"),
        (["-", "a"], "stdin", "python"),
    ],
)
def test_interpreter_gets_the_words_as_they_are(
    place: Place, words: list[str], kind: str, name: str
) -> None:
    """A script, module, text or standard input is run by the interpreter, with the user's own words behind it."""
    for script in ("etl.py", "gui.pyw", "app.pyz", "folder/__main__.py"):
        place.file(script)

    target = place.resolve(*words)

    assert (target.kind, target.name) == (kind, name)
    assert target.executable == target.interpreter == place.python3
    assert target.argv == [place.python3, *words]


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["tool", "-x"], "tool"),
        (["python3"], "python"),
        (["python3", "-V"], "python"),
        (["python3", "jobs/etl.py", "-m", "x"], "etl"),
        (["python3", "-u", "-X", "dev", "-Wignore", "-W", "error", "jobs/etl.py"], "etl"),
        (["python3", "-um", "pkg.mod", "etl.py"], "pkg.mod"),
        (["python3", "-mpkg", "etl.py"], "pkg"),
        (["python3", "-uc", "pass", "etl.py"], "python"),
        (["python3", "-", "etl.py"], "python"),
        (["python3", "--", "jobs/etl.py"], "etl"),
        (["python3", "--check-hash-based-pycs", "never", "jobs/etl.py"], "etl"),
    ],
)
def test_command_is_itself(place: Place, words: list[str], name: str) -> None:
    """A command on PATH is executed itself; an interpreter's is named after what it runs."""
    place.executable(place.bin / "tool")
    place.file("jobs/etl.py")

    target = place.resolve(*words)

    assert (target.kind, target.name, target.argv) == ("command", name, words)
    assert target.executable == str(place.bin / words[0])
    assert target.interpreter == (place.python3 if words[0] == "python3" else None)


def test_script_of_an_interpreter_gives_the_project(place: Place) -> None:
    """`python jobs/etl.py` belongs to the project of the script, not of the working directory."""
    place.file("jobs/.git")
    place.file("jobs/sub/etl.py")

    assert place.resolve("python3", "jobs/sub/etl.py").project_root == str(place.cwd / "jobs")


@pytest.mark.parametrize("mark", [".git", "pyproject.toml"])
def test_project_is_the_nearest_marked_folder(place: Place, mark: str) -> None:
    """The project of a script is the nearest folder above it that holds a mark, wherever the working directory is."""
    place.file(mark)
    place.file(f"inner/{mark}")
    place.file("inner/a/b/etl.py")

    assert place.resolve("inner/a/b/etl.py").project_root == str(place.cwd / "inner")
    assert place.resolve("-c", "pass").project_root == str(place.cwd)


def test_project_without_a_mark_is_the_scripts_folder(place: Place) -> None:
    """Without a mark the script's own folder is the project; for other targets the working directory."""
    place.file("a/b/etl.py")

    assert place.resolve("a/b/etl.py").project_root == str(place.cwd / "a/b")
    assert place.resolve("-m", "x").project_root == str(place.cwd)
    assert place.resolve("python3").project_root == str(place.cwd)


def test_linked_script_belongs_where_its_file_is(place: Place) -> None:
    """A link to a script belongs to the folder of the file, from which it imports its modules."""
    place.file("project/etl.py")
    (place.cwd / "link.py").symlink_to("project/etl.py")

    target = place.resolve("link.py")

    assert target.project_root == str(place.cwd / "project")
    assert (target.name, target.argv[1]) == ("link", "link.py")


def test_order_of_interpreters(place: Place) -> None:
    """--python, then the active environment, then the project's, then PATH, then our own, which is remarked."""
    place.file("pyproject.toml")
    place.file("a/b/etl.py")
    wanted = place.executable(place.bin / "python3.99")
    project = place.executable(place.cwd / ".venv/bin/python")
    nearer = place.executable(place.cwd / "a/.venv/bin/python")
    conda = place.executable(place.cwd / "conda/bin/python")
    active = place.executable(place.cwd / "active/bin/python")

    def chosen(python: str | None = None) -> tuple[str, str | None]:
        target = place.resolve("a/b/etl.py", python=python)
        return target.executable, target.remark

    place.environ |= {"VIRTUAL_ENV": str(place.cwd / "active"), "CONDA_PREFIX": "conda"}
    assert chosen("python3.99") == chosen(wanted) == (wanted, None)
    assert chosen() == (active, None)
    del place.environ["VIRTUAL_ENV"]
    assert chosen() == (conda, None)
    del place.environ["CONDA_PREFIX"]
    assert chosen() == (nearer, None)
    os.unlink(nearer)
    assert chosen() == (project, None)
    os.unlink(project)
    assert chosen() == (place.python3, None)
    os.unlink(place.python3)
    remark = f"no project interpreter found: used Rheostat's own, {sys.executable}"
    assert chosen() == (sys.executable, remark)


def test_environment_above_the_project_is_not_its_own(place: Place) -> None:
    """A `.venv` above the project's root is somebody else's."""
    place.file("project/.git")
    place.file("project/etl.py")
    place.executable(place.cwd / ".venv/bin/python")

    assert place.resolve("project/etl.py").executable == place.python3


def test_removed_environment_is_remarked(place: Place) -> None:
    """An active environment that has gone is passed over, and said."""
    place.environ["VIRTUAL_ENV"] = "/nowhere"

    remark = place.resolve("-c", "pass").remark

    assert remark == f"no interpreter in VIRTUAL_ENV=/nowhere: used {place.python3}"


def test_interpreter_option_of_a_command_is_remarked(place: Place) -> None:
    """--python does nothing for a command, and that is said."""
    place.executable(place.bin / "tool")

    remark = place.resolve("tool", python="python3").remark

    assert remark == "--python is for scripts and modules: tool was executed itself"


def test_command_of_the_working_directory(place: Place) -> None:
    """A name that is not on PATH may be an executable here; one that is on PATH never is."""
    place.executable(place.cwd / "tool.sh")
    place.executable(place.cwd / "both")
    place.executable(place.bin / "both")

    assert place.resolve("tool.sh").executable == "./tool.sh"
    assert place.resolve("tool.sh").argv == ["tool.sh"]
    assert place.resolve("both").executable == str(place.bin / "both")


def test_command_on_path_wins_over_a_package_here(place: Place) -> None:
    """`black` is the command, though the working directory holds a folder of that name with a __main__."""
    place.file("black/__main__.py")
    assert place.resolve("black").kind == "script"

    place.executable(place.bin / "black")

    assert place.resolve("black").kind == "command"
    assert place.resolve("./black").kind == "script"


def test_script_here_wins_over_one_on_path(place: Place) -> None:
    """A script on PATH with the suffix of one is a command; a file here comes first."""
    installed = place.executable(place.bin / "rst2html.py")
    assert place.resolve("rst2html.py").executable == installed

    place.file("rst2html.py")

    assert place.resolve("rst2html.py").kind == "script"


def test_empty_entry_of_path_is_the_working_directory(place: Place) -> None:
    """An empty entry of PATH stands for the working directory, as in a shell."""
    place.executable(place.cwd / "tool")
    place.environ["PATH"] = f":{place.bin}/"

    assert place.resolve("tool").executable == "./tool"
    assert place.resolve("python3").executable == place.python3


def test_text_without_interpreter_line_is_for_the_shell(tmp_path: Path) -> None:
    """An executable text that names no interpreter is run by the shell, as execvp does."""
    (tmp_path / "tool").write_text('echo "$@"; exit 6\n')
    (tmp_path / "tool").chmod(0o755)

    done = run([*LAUNCHER, "./tool", "a b", "-c"], cwd=tmp_path)

    assert (done.returncode, done.stdout, done.stderr) == (6, "a b -c\n", "")


WORDS = st.lists(
    st.one_of(
        st.sampled_from(
            ["", "--", "-", "-m", "-c", "--python", "--quiet", "--name=x", "-h", "\n", "a\nb", "*"]
        ),
        st.binary(max_size=12).map(lambda data: os.fsdecode(data.replace(b"\0", b""))),
    ),
    max_size=6,
)


@given(words=WORDS)
def test_the_programs_words_are_not_touched(words: list[str]) -> None:
    """Whatever stands behind the target is the program's, byte for byte: our own options, empty words, any bytes."""
    environ, cwd = {"PATH": "/usr/bin:/bin"}, "/"
    for head in (["-m", "x"], ["-c", "x"], ["-"], ["env"], ["/bin/sh"]):
        assert resolve([*head, *words], None, environ, cwd).argv[-len(head + words) :] == [
            *head,
            *words,
        ]


@pytest.mark.parametrize(
    "words",
    [
        ["job.py", "--quiet", ""],
        ["./job.py"],
        ["folder", "x"],
        ["job.pyz", "-m"],
        ["-m", "job", "-c"],
        ["-c", "import job", "--", "-"],
        ["-", "x"],
    ],
    ids=lambda words: words[0],
)
def test_every_form_runs_as_the_interpreter_runs_it(tmp_path: Path, words: list[str]) -> None:
    """Behind the interpreter, each form of target is the interpreter's own command line."""
    job = "import sys; print(sys.argv, sys.orig_argv, sys.path[0], __name__); sys.exit(4)"
    (tmp_path / "job.py").write_text(job)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/__main__.py").write_text(job)
    with zipfile.ZipFile(tmp_path / "job.pyz", "w") as archive:
        archive.writestr("__main__.py", job)
    done = []
    for prefix in ([], [*LAUNCHER, "--python"]):
        with open(tmp_path / "job.py") as text:
            done.append(run([*prefix, sys.executable, *words], cwd=tmp_path, stdin=text))

    plain, ours = done
    assert (ours.stdout, ours.stderr) == (plain.stdout, plain.stderr)
    assert ours.returncode == plain.returncode == 4


def test_console_script_is_executed_itself(tmp_path: Path) -> None:
    """A console script of an environment runs with its own interpreter and its own path as first argument."""
    script = tmp_path / "bin/job"
    script.parent.mkdir()
    script.write_text(f"#!{sys.executable}\nimport sys; print(sys.argv)\n")
    script.chmod(0o755)
    environment = {**os.environ, "PATH": f"{script.parent}:{os.environ['PATH']}"}
    done = run([*LAUNCHER, "job", "-x"], env=environment)

    assert done.stdout == f"{[str(script), '-x']}\n"


def test_words_reach_the_program_byte_for_byte() -> None:
    """The program's arguments are the bytes that the launcher got."""
    words = [b"", b"--", b"--quiet", b"a\nb", b"\xff\xfe", "é".encode(), b"-m", b" ", b"'\""]
    script = "import os, sys; sys.stdout.write(repr([os.fsencode(a) for a in sys.argv[1:]]))"
    command = [*LAUNCHER, sys.executable, "-c", script, *map(os.fsdecode, words)]

    assert run(command).stdout == repr(words)


@given(flags=st.lists(st.sampled_from(["-u", "-B", "-Xdev", "-bb", "-OO", "-Ws"]), max_size=4))
def test_flags_of_an_interpreter_are_passed_over(flags: list[str]) -> None:
    """The flags of an interpreter do not hide what it runs."""
    assert what_python_runs([*flags, "job.py", "-m", "x"]) == ("script", "job.py")
    assert what_python_runs([*flags, "-m", "pkg", "job.py"]) == ("module", "pkg")


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("python", True),
        ("/usr/bin/python3", True),
        ("python3.13t", True),
        ("python-config", False),
        ("pythonic", False),
        ("ipython", False),
    ],
)
def test_names_of_interpreters(name: str, verdict: bool) -> None:
    """Only an interpreter's own name is taken for one."""
    assert is_python(name) is verdict
