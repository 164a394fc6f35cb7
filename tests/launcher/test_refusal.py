"""What cannot be run is refused in one line, with a shell's words and status."""

import errno
import os
from pathlib import Path

import pytest
from launching import LAUNCHER, run
from place import Place

NOT_FOUND, DENIED, FOLDER = (os.strerror(n) for n in (errno.ENOENT, errno.EACCES, errno.EISDIR))


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ([], 125, "nothing to run: give a script, -m MODULE, -c CODE or a command"),
        (["-m"], 125, "option -m needs the name of a module"),
        (["-c"], 125, "option -c needs code"),
        (["etl.py"], 127, f"etl.py: {NOT_FOUND}"),
        (["./etl"], 127, f"./etl: {NOT_FOUND}"),
        (["tool"], 127, "tool: command not found"),
        ([""], 127, ": command not found"),
        (["--unknown"], 127, "--unknown: command not found"),
        (["text"], 126, f"./text: {DENIED}"),
        (["./text"], 126, f"./text: {DENIED}"),
        (["text/x"], 126, f"text/x: {os.strerror(errno.ENOTDIR)}"),
        (["folder"], 126, f"folder: {FOLDER}"),
        (["folder/"], 126, f"folder/: {FOLDER}"),
        (["."], 126, f".: {FOLDER}"),
        (["loop.py"], 126, f"loop.py: {os.strerror(errno.ELOOP)}"),
        (["n" * 300 + ".py"], 126, "n" * 300 + f".py: {os.strerror(errno.ENAMETOOLONG)}"),
        (["two\nlines\x1b.py"], 127, f"two\\nlines\\x1b.py: {NOT_FOUND}"),
    ],
)
def test_refusals(place: Place, words: list[str], status: int, message: str) -> None:
    """What cannot be run is refused in one line, with a shell's words and status."""
    place.file("text")
    (place.cwd / "folder").mkdir()
    (place.cwd / "loop.py").symlink_to("loop.py")

    assert place.refusal(*words) == (status, message)


@pytest.mark.parametrize(
    ("python", "status", "message"),
    [
        ("python9", 127, "python9: command not found"),
        ("/nowhere/python", 127, f"/nowhere/python: {NOT_FOUND}"),
        ("./text", 126, f"./text: {DENIED}"),
        ("./folder", 126, f"./folder: {FOLDER}"),
        ("", 127, ": command not found"),
    ],
)
def test_bad_interpreter(place: Place, python: str, status: int, message: str) -> None:
    """An interpreter that cannot be executed is refused before anything starts."""
    place.file("text")
    place.file("etl.py")
    (place.cwd / "folder").mkdir()

    assert place.refusal("etl.py", python=python) == (status, message)


def test_file_on_path_that_is_not_executable(place: Place) -> None:
    """A file on PATH that cannot be executed is refused with its path, as a shell does."""
    (place.bin / "tool").touch()

    assert place.refusal("tool") == (126, f"{place.bin}/tool: {DENIED}")


@pytest.mark.parametrize(
    ("contents", "status", "message"),
    [
        (b"#!/no/such\n", 127, "cannot execute: required file not found"),
        (b"\x7fELF\0\0\0\0", 126, "cannot execute binary file: Exec format error"),
        (b"#!/etc/passwd\n", 126, DENIED),
    ],
)
def test_refusal_of_the_kernel(tmp_path: Path, contents: bytes, status: int, message: str) -> None:
    """What only the kernel refuses has a shell's status and one line, too."""
    (tmp_path / "tool").write_bytes(contents)
    (tmp_path / "tool").chmod(0o755)

    done = run([*LAUNCHER, "./tool"], cwd=tmp_path)

    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr == f"rheostat: ./tool: {message}\n"
