"""The cache of transformed code: whatever is wrong with it, it is as good as empty, and the program runs on."""

import marshal
import multiprocessing
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import rheostat
from harness import Lab, interpreters
from rheostat.cache import Cache, FileSource, TextSource, interpreter_key

INSTRUMENTATION = Path(rheostat.__path__[0]).parent
VALUES = (compile("x = 1", "x", "exec"), b"listing", b"\x01", True)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def entry(directory: Path) -> Path:
    """Return the only file of the cache."""
    (path,) = directory.iterdir()
    return path


def test_what_was_kept_is_found(directory: Path) -> None:
    """An entry is found by its context and the source's identity, by another process too, and by no other."""
    Cache(str(directory)).store("context", "identity", VALUES)
    assert Cache(str(directory)).load("context", "identity") == VALUES
    assert Cache(str(directory)).load("context", "other") is None
    assert Cache(str(directory)).load("other", "identity") is None
    assert (directory.stat().st_mode & 0o777, entry(directory).stat().st_mode & 0o777) == (
        0o700,
        0o600,
    )


def test_contexts_may_be_any_text(directory: Path) -> None:
    """Paths that are no text (surrogates), newlines and slashes are contexts like all others."""
    cache = Cache(str(directory))
    for context in ("\udcff", "a\nb", "../../x", "", "ü" * 5000):
        cache.store(context, "identity", (context,))
    for context in ("\udcff", "a\nb", "../../x", "", "ü" * 5000):
        assert cache.load(context, "identity") == (context,)


def test_another_source_replaces_the_entry(directory: Path) -> None:
    """A module that was edited takes the place of its older self, so that the cache does not grow."""
    cache = Cache(str(directory))
    cache.store("context", "one", (1,))
    cache.store("context", "two", (2,))
    assert (cache.load("context", "one"), cache.load("context", "two")) == (None, (2,))
    assert len(list(directory.iterdir())) == 1


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_truncated_or_garbage_entries(directory: Path, data: st.DataObject) -> None:
    """A truncated entry, other bytes, or other data in its place is none."""
    cache = Cache(str(directory))
    cache.store("context", "identity", VALUES)
    whole = entry(directory).read_bytes()
    values = st.recursive(st.none() | st.integers() | st.text(), st.tuples)
    entry(directory).write_bytes(
        data.draw(
            st.integers(0, len(whole) - 1).map(lambda length: whole[:length])
            | st.binary(max_size=60)
            | values.map(marshal.dumps)
            | st.just(bytes(len(whole)))
        )
    )
    assert cache.load("context", "identity") is None
    cache.store("context", "identity", VALUES)
    assert cache.load("context", "identity") == VALUES


@pytest.mark.parametrize("mode", [0o777, 0o720, 0o702, 0o1777])
def test_directories_that_others_may_write(directory: Path, mode: int) -> None:
    """Where others could put an entry, none is read or written."""
    Cache(str(directory)).store("context", "identity", VALUES)
    directory.chmod(mode)
    cache = Cache(str(directory))
    assert cache.load("context", "identity") is None
    cache.store("another", "identity", VALUES)
    assert len(list(directory.iterdir())) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_directories_of_others(directory: Path) -> None:
    """Nor in a directory that belongs to somebody else."""
    Cache(str(directory)).store("context", "identity", VALUES)
    os.chown(directory, 65534, 65534)
    assert Cache(str(directory)).load("context", "identity") is None


def test_no_directory(tmp_path: Path) -> None:
    """Where no directory can be made, there is no cache."""
    (tmp_path / "file").touch()
    cache = Cache(str(tmp_path / "file" / "cache"))
    cache.store("context", "identity", VALUES)
    assert cache.load("context", "identity") is None


def test_directory_that_is_gone(directory: Path) -> None:
    """A cache whose directory is removed while the program runs is silent."""
    cache = Cache(str(directory))
    directory.rmdir()
    cache.store("context", "identity", VALUES)
    assert cache.load("context", "identity") is None


def test_full_disk_leaves_nothing_behind(directory: Path) -> None:
    """An entry for which there is no room is given up whole."""
    program = (
        "import resource, sys; sys.path.insert(0, sys.argv[1]); from rheostat.cache import Cache\n"
        "cache = Cache(sys.argv[2]); resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "cache.store('context', 'identity', (bytes(100_000),)); cache.store('small', 'identity', (1,))\n"
        "print(cache.load('context', 'identity'), cache.load('small', 'identity'))"
    )
    command = [sys.executable, "-c", program, str(INSTRUMENTATION), str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.stderr) == ("None (1,)\n", "")
    assert len(list(directory.iterdir())) == 1


def write_often(directory: str, number: int) -> None:
    cache, random_ = Cache(directory), random.Random(number)
    for _ in range(300):
        cache.store("context", "identity", (number, bytes([number]) * random_.randrange(200_000)))


def test_two_processes_that_store_at_once(directory: Path) -> None:
    """A reader sees one writer's entry whole, or the other's, at any time."""
    cache = Cache(str(directory))
    cache.store("context", "identity", (0, b""))
    fork = multiprocessing.get_context("spawn")
    writers = [fork.Process(target=write_often, args=(str(directory), n)) for n in (1, 2)]
    for writer in writers:
        writer.start()
    seen = set()
    while any(writer.is_alive() for writer in writers):
        number, data = cache.load("context", "identity")
        assert data == bytes([number]) * len(data)
        seen.add(number)
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    assert seen & {1, 2}
    assert len(list(directory.iterdir())) == 1


def test_interpreters_do_not_share_entries(tmp_path: Path) -> None:
    """Programs run by several interpreters and with several flags share a directory, and no entry."""
    job = "def f():\n    assert not __debug__, 'debug'\n    return 1\ntry: print(f())\nexcept AssertionError: print('checked')\n"
    lab = Lab(tmp_path, interpreters()[0])
    lab.write("job.py", job)
    kept = 0
    for _ in range(2):
        for python in interpreters():
            lab.python = python
            for flags, output in (((), "checked\n"), (("-O",), "1\n"), (("-OO",), "1\n")):
                result = lab.observed(*flags, "job.py")
                assert (result.stdout, result.stderr, result.image.notes) == (output, "", [])
                assert len(result.named("job.f")) == 1
        found = len([path for path in lab.cache.iterdir() if len(path.name) == 16])
        assert found >= 3 * len(interpreters())
        assert kept in (0, found)  # the second time, all are there
        kept = found


@pytest.mark.parametrize("spoil", [b"", b"\0" * 64, b"garbage", None])
def test_program_with_a_spoilt_cache(lab: Lab, spoil: bytes | None) -> None:
    """A program whose cache entries are cut off, zeroed, garbage or directories runs and is recorded as before."""
    lab.write("part.py", "def g(): return 2\n")
    lab.write("job.py", "import part\ndef f(): return part.g()\nprint(f())\n")
    names = [span.name for span in lab.observed("job.py").spans]
    assert "part.g" in names
    for path in lab.cache.iterdir():
        path.unlink()
        if spoil is None:
            path.mkdir()
        else:
            path.write_bytes(spoil)
    result = lab.observed("job.py")
    assert (result.returncode, result.stdout, result.stderr) == (0, "2\n", "")
    assert ([span.name for span in result.spans], result.image.notes) == (names, [])


def test_sources_are_known_by_what_changes_with_them(tmp_path: Path) -> None:
    """A file's identity changes when it is written, replaced or touched; a text's with the text."""
    path = tmp_path / "x.py"
    path.write_text("a")
    seen = {FileSource(str(path)).identity}
    assert FileSource(str(path)).identity in seen
    assert FileSource(str(path)).read() == b"a"
    times = (path.stat().st_atime_ns, path.stat().st_mtime_ns)
    changes = [
        lambda: path.write_text("bb"),
        lambda: (path.unlink(), path.write_text("bb")),
        lambda: ((tmp_path / "y").write_text("bc"), os.utime(tmp_path / "y", ns=times), (tmp_path / "y").replace(path)),
        lambda: os.utime(path, (1, 1)),
    ]  # fmt: skip
    for change in changes:
        change()
        identity = FileSource(str(path)).identity
        assert identity not in seen
        seen.add(identity)
    assert TextSource(b"a").identity != TextSource(b"b").identity
    assert TextSource(b"a").read() == b"a"
    assert interpreter_key(1) != interpreter_key(2)
