"""What others on the machine, and what a program's own texts, must not be able to do (threats T1 and T4)."""

import json
import os
import pty
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rheostat_agent import state
from running import Rheostat, unread_run

NOBODY = 65534

needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("setpriv"), reason="only root can be another user as well"
)

SOURCE = """
def leaf(): pass
for _ in range(100): leaf()
"""


def _entries(folder: Path) -> Iterator[Path]:
    yield folder
    yield from sorted(folder.rglob("*"))


# T1: another user of the machine


@pytest.mark.parametrize("mask", [0o000, 0o077, 0o027])
def test_all_that_is_kept_is_for_its_owner_alone(rheostat: Rheostat, mask: int) -> None:
    """Directories have mode 0700 and files 0600, whatever the umask, while the run goes on and afterwards."""
    rheostat.write("run.py", SOURCE + "import os\nwhile not os.path.exists('go'): pass\n")
    process = rheostat.start("run.py", umask=mask)
    directory = rheostat.await_run()
    rheostat.await_agent()

    def check() -> None:
        for path in _entries(rheostat.state):
            mode = path.lstat().st_mode
            assert stat.S_ISDIR(mode) or stat.S_ISREG(mode), path
            assert stat.S_IMODE(mode) == (0o700 if stat.S_ISDIR(mode) else 0o600), path

    check()
    (rheostat.project / "go").touch()
    rheostat.finish(process)
    rheostat.await_complete(directory)
    rheostat.await_no_agents()
    check()


@needs_root
def test_another_user_comes_at_nothing(rheostat: Rheostat) -> None:
    """Another user can neither read, list nor connect to anything of a run, even where the folders above are open."""
    directory = unread_run(rheostat, SOURCE)
    for folder in rheostat.state.parents:
        if folder.stat().st_uid == os.geteuid() and str(folder).startswith("/tmp/"):
            folder.chmod(0o755)
    script = (
        "import os, sys\n"
        "for path in sys.argv[1:]:\n"
        "    for flags in (os.O_RDONLY, os.O_WRONLY, os.O_PATH):\n"
        "        try: os.open(path, flags)\n"
        "        except OSError: continue\n"
        "        if flags != os.O_PATH or path != sys.argv[1]: print(path)\n"
    )
    paths = [str(path) for path in _entries(rheostat.state)]
    assert str(directory) in paths
    nobody = ["setpriv", "--reuid", str(NOBODY), "--clear-groups", "/usr/bin/python3", "-c", script]

    done = subprocess.run([*nobody, *paths], capture_output=True, text=True, check=True)

    assert done.stdout == ""


@needs_root
def test_state_directory_of_another_user_is_not_used(rheostat: Rheostat) -> None:
    """A state directory that somebody else made before us is refused: the program runs unobserved, and that is said."""
    rheostat.write("run.py", "print('ran')")
    rheostat.state.mkdir(0o777)
    os.chown(rheostat.state, NOBODY, NOBODY)

    done = rheostat.run("run.py")

    assert (done.returncode, done.stdout) == (0, "ran\n")
    assert "is not yours" in done.stderr
    assert not list(rheostat.state.iterdir())


def test_state_directory_that_is_a_link_is_not_used(rheostat: Rheostat) -> None:
    """A link in place of the state directory is not followed."""
    rheostat.write("run.py", "print('ran')")
    elsewhere = rheostat.folder / "elsewhere"
    elsewhere.mkdir()
    rheostat.state.symlink_to(elsewhere)

    done = rheostat.run("run.py")

    assert (done.returncode, done.stdout) == (0, "ran\n")
    assert "rheostat: " in done.stderr
    assert not list(elsewhere.iterdir())


def test_state_directory_that_was_open_is_closed(rheostat: Rheostat) -> None:
    """One of ours that others could enter is closed to them before anything is put there."""
    rheostat.write("run.py", SOURCE)
    rheostat.state.mkdir()
    rheostat.state.chmod(0o755)

    rheostat.run("run.py")
    rheostat.await_complete()

    assert stat.S_IMODE(rheostat.state.stat().st_mode) == 0o700


def test_no_socket_listens(rheostat: Rheostat) -> None:
    """Neither agent nor program opens a port or a named socket: there is nothing to connect to."""
    rheostat.write("run.py", SOURCE + "import os\nwhile not os.path.exists('go'): pass\n")
    process = rheostat.start("run.py")
    agent = rheostat.await_agent()
    rheostat.await_run()

    links = [os.readlink(entry) for entry in Path(f"/proc/{agent}/fd").iterdir()]
    (rheostat.project / "go").touch()
    rheostat.finish(process)

    assert links
    assert not [link for link in links if link.startswith("socket:")]


# T4: texts of the program, on the way to the user's terminal

ESCAPES = "\x1b]52;c;cm0gLXJmIH4=\x07\x1b[2J\x1b]0;owned\x07\x9b31m\x08\r\u202e\udcff\x00"

HOSTILE = f"""
import os, types
TEXT = {ESCAPES!a}
def plain(): pass
def named(name, file):
    code = compile("def f(text):\\n raise ValueError(text)", file, "exec")
    space = {{}}
    exec(code, space)
    return space["f"]
class Evil(Exception): pass
Evil.__name__ = Evil.__qualname__ = "Evil" + TEXT.replace(chr(0), "").replace(chr(0xdcff), "")
def thread():
    plain()
def fails():
    try:
        named("f", TEXT + ".py")(TEXT)
    except ValueError:
        pass
    raise ValueError(TEXT)
import threading
one = threading.Thread(target=thread, name=TEXT)
one.start(); one.join()
try:
    fails()
except ValueError:
    pass
raise Evil(TEXT)
"""


def _is_harmless(text: str) -> bool:
    return all(
        character == "\n" or (character.isprintable() and not 0xD800 <= ord(character) <= 0xDFFF)
        for character in text
    )


def _in_terminal(rheostat: Rheostat, *words: str) -> str:
    """Return what a command of `rheostat` writes to a terminal, less the colours that are ours."""
    ours, theirs = pty.openpty()
    process = rheostat.open(*words, stdout=theirs, stderr=theirs, env={"NO_COLOR": "1"})
    os.close(theirs)
    data = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # EIO: nobody holds the other side any more
            break
        if not piece:
            break
        data += piece
    os.close(ours)
    rheostat.finish(process)
    return data.decode("utf-8", "surrogateescape").replace("\r\n", "\n")


def test_texts_of_the_program_cannot_steer_the_terminal(rheostat: Rheostat) -> None:
    """Names, file names and messages with escape sequences come out of summary, show and runs as plain text."""
    folder = rheostat.project / "\x1b[31mred"
    folder.mkdir()
    (folder / "run\x1b]0;owned\x07.py").write_text(HOSTILE)

    summary = rheostat.run(f"{folder}/run\x1b]0;owned\x07.py", options=("--summary", "full"))
    rheostat.await_complete()

    ours = summary.stderr.partition("rheostat ")[2]  # before it: the program's own traceback
    assert "ValueError" in ours
    assert _is_harmless(ours)
    for words in (
        ["show", "last"],
        ["show", "last", "--errors"],
        ["show", "last", "--skipped"],
        ["runs"],
        ["show", "no\x1b[31m"],
    ):
        text = _in_terminal(rheostat, *words)
        assert text
        assert _is_harmless(text), (words, text)


def test_hostile_texts_lose_no_span_in_exports(rheostat: Rheostat) -> None:
    """One bad name takes nothing with it: exports are valid JSON and UTF-8, with every span in them."""
    rheostat.write("run.py", HOSTILE)
    rheostat.run("run.py")
    history = rheostat.await_complete()

    otlp = rheostat.command("export", "last", "--format", "otlp-json").stdout
    perfetto = rheostat.command("export", "last", "--format", "perfetto").stdout

    ids = {
        int(span["spanId"], 16)
        for line in otlp.splitlines()
        for resource in json.loads(line).get("resourceSpans", ())
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    }
    assert {span.id for span in history.spans} <= ids
    assert json.loads(perfetto)
    otlp.encode("utf-8"), perfetto.encode("utf-8")


# Where a run is kept

MOUNTS = """22 1 8:1 / / rw - ext4 /dev/sda1 rw
30 22 0:40 / /home rw - nfs4 server:/home rw
31 22 0:41 / /net/with\\040space rw - fuse.sshfs host:/ rw
32 30 8:2 / /home/local rw - xfs /dev/sdb1 rw
33 22 8:3 / /usb rw - fuseblk /dev/sdc1 rw
34 22 0:45 / /nine rw - 9p host rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib", None),
        ("/home/me/.local/state", "nfs4"),
        ("/homely", None),
        ("/home/local/me", None),
        ("/net/with space/x", "fuse.sshfs"),
        ("/usb/x", None),
        ("/nine", "9p"),
    ],
)
def test_network_and_fuse_file_systems_are_known(
    path: str, kind: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mount that holds a path decides, by the list that the kernel gives (a list of ours here: no such mount is to be had)."""
    table = tmp_path / "mountinfo"
    table.write_text(MOUNTS)
    monkeypatch.setattr(state, "open", lambda _, **how: table.open(**how), raising=False)
    monkeypatch.setattr("os.path.realpath", lambda path: path)

    assert state.file_system(path) == kind
