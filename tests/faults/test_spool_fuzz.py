"""A spool that the recorder did not write: whatever is in it, reading ends, nothing escapes, and what is valid stays.

The spool of a real run is changed before an agent reads it. RHEOSTAT_TEST_FUZZ=10000 tries so many changes (100).
"""

import io
import os
import resource
import shutil
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rheostat.spool.events import decode_fields, decode_frames, encode, encode_fields
from rheostat.spool.layout import RECORD_SIZE
from rheostat_agent.export.files import FORMATS
from rheostat_agent.history.query import open_history
from rheostat_agent.history.writer import HistoryWriter
from rheostat_agent.rundirectory import RUN, RunInfo
from rheostat_agent.runreader import RunReader
from rheostat_agent.takeup import take_up
from running import History, Rheostat, unread_run

EXAMPLES = int(os.environ.get("RHEOSTAT_TEST_FUZZ", "100"))
MOST_ROUNDS = 100

SOURCE = """
import sys, threading, json.tool

for number in range(14):  # enough for a mapped event file
    with open(f"{sys.path[0]}/part_{number}.py", "w") as file:
        file.write(f"def f_{number}(): pass" + chr(10))
    getattr(__import__(f"part_{number}"), f"f_{number}")()

def leaf(): pass
def numbers():
    for number in range(4):
        leaf()
        yield number
def fail(depth):
    if not depth: raise ValueError("x" * 50)
    fail(depth - 1)
def work(rounds):
    for _ in range(rounds):
        list(numbers())
        try: fail(2)
        except ValueError: pass
thread = threading.Thread(target=work, args=(8,), name="worker")
thread.start()
child = os.fork() if (os := __import__("os")) else 0
work(12)
def hang(depth):
    if depth: hang(depth - 1)
    os._exit(0 if child else 3)
if child: os.waitpid(child, 0)
thread.join() if child else None
hang(5)
"""

WORDS = st.one_of(
    st.sampled_from([0, 1, 2, 5, 1023, 1024, 2**31, 2**32 - 1, 2**32, 2**40, 2**61, 2**62 - 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1]),
    st.integers(0, 3000),
    st.integers(0, 2**64 - 1),
)  # fmt: skip
FIELDS = st.one_of(
    st.sampled_from([0, 1, -1, 64, 100_000, 2**31, 2**32, 2**62, 2**63 - 1, -(2**63)]),
    st.integers(-(2**63), 2**63 - 1),
    st.text(max_size=20),
    st.sampled_from(["", "\0", "\x1b]52;c;aGk=\a", "\u202e", "x" * 70_000]),
    st.binary(max_size=40),
)


@pytest.fixture(scope="module")
def unread(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run of which nothing has been read."""
    return unread_run(Rheostat(tmp_path_factory.mktemp("unread")), SOURCE)


@pytest.fixture(scope="module")
def expected(unread: Path, tmp_path_factory: pytest.TempPathFactory) -> History:
    """Its history where nothing was changed."""
    return read(copy(unread, tmp_path_factory.mktemp("unchanged")))


@pytest.fixture
def directory(unread: Path, tmp_path: Path) -> Path:
    """A copy of the run to change."""
    return copy(unread, tmp_path)


def copy(unread: Path, folder: Path) -> Path:
    """Return a copy of the run below *folder*."""
    shutil.copytree(unread.parent.parent, folder / "state")
    return folder / "state" / "runs" / unread.name


def read(directory: Path) -> History:
    """Read the run as the agent does, in a bounded number of rounds; return what is in the history then."""
    writer = HistoryWriter(f"{directory}/history.sqlite")
    finish(take_up(str(directory), RunInfo.read(f"{directory}/{RUN}"), writer), writer)
    return History(directory)


def finish(reader: RunReader, writer: HistoryWriter) -> None:
    """Read to the end."""
    rounds = 0
    while reader.round() or not reader.is_over():
        rounds += 1
        assert rounds < MOST_ROUNDS, "it comes to no end"
    reader.commit()
    reader.close()
    writer.close()


def spool_files(directory: Path, suffix: str) -> list[Path]:
    """Return the files of the spool with *suffix*, the same in each copy."""
    return sorted((directory / "spool").glob(f"*{suffix}"))


def check_is_usable(directory: Path) -> None:
    """Assert that all that is made of a history can be made of this one."""
    info = RunInfo.read(f"{directory}/{RUN}")
    for write in FORMATS.values():
        history = open_history(str(directory))
        write(history, info, io.StringIO())
        history.close()


fuzzed = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
def fresh(unread: Path, tmp_path: Path) -> Callable[[], Path]:
    """Makes one copy of the run after the other, in place of the one before."""

    def make() -> Path:
        shutil.rmtree(tmp_path / "copies", ignore_errors=True)
        return copy(unread, tmp_path / "copies")

    return make


@fuzzed
@given(
    st.integers(0, 100),
    st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 7), WORDS), min_size=1, max_size=30),
)
def test_any_words_in_records_and_headers(
    fresh: Callable[[], Path], which: int, words: list[tuple[int, int, int]]
) -> None:
    """Times, parents, sites and lengths may be any numbers."""
    directory = fresh()
    files = spool_files(directory, ".spans")
    path = files[which % len(files)]
    data = bytearray(path.read_bytes())
    for slot, field, value in words:
        struct.pack_into("<Q", data, slot * RECORD_SIZE % len(data) + field * 8, value)
    path.write_bytes(data)

    read(directory)

    check_is_usable(directory)


@fuzzed
@given(st.data())
def test_a_broken_record_takes_no_other_with_it(
    fresh: Callable[[], Path], expected: History, data: st.DataObject
) -> None:
    """Whatever stands in one record, all others are in the history, at their times."""
    directory = fresh()
    files = spool_files(directory, ".spans")
    path = files[data.draw(st.integers(0, len(files) - 1))]
    content = bytearray(path.read_bytes())
    base, first = struct.unpack_from("<QQ", content, 16)
    slots = [
        span.id - base for span in expected.spans if 0 < span.id - base - first < len(content) // 64
    ]
    slot = data.draw(st.sampled_from(sorted(slots)))
    for field in data.draw(st.lists(st.integers(0, 7), min_size=1, max_size=8)):
        struct.pack_into("<Q", content, (slot - first + 1) * 64 + field * 8, data.draw(WORDS))
    path.write_bytes(content)

    history = read(directory)

    assert _calls(expected) - {base + slot} <= _calls(history)
    # What a process left open ends when it died, for which the latest time that it wrote may have to do.
    ended = {span.id: span.end_ns for span in expected.spans if not span.cause}
    found = {span.id: span.end_ns for span in history.spans}
    assert {key for key in ended if found.get(key) != ended[key]} <= {base + slot}


def _calls(history: History) -> set[int]:
    """Return the ids of the spans."""
    return {span.id for span in history.spans}


@fuzzed
@given(
    st.integers(0, 100),
    st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), min_size=1, max_size=20),
    st.integers(0, 1 << 20),
    st.binary(max_size=100),
)
def test_any_bytes_in_event_files(
    fresh: Callable[[], Path], which: int, flips: list[tuple[int, int]], end: int, tail: bytes
) -> None:
    """Events may be cut off anywhere, continued by anything, and hold any bytes."""
    directory = fresh()
    files = spool_files(directory, ".events")
    path = files[which % len(files)]
    data = bytearray(path.read_bytes())
    for at, byte in flips:
        data[at % len(data)] ^= byte
    path.write_bytes(data[: len(data) - end % len(data) // 2] + tail)

    read(directory)

    check_is_usable(directory)


@fuzzed
@given(st.data())
def test_any_fields_in_events(fresh: Callable[[], Path], data: st.DataObject) -> None:
    """Well-formed events may hold fields of any type and value, in any number and order."""
    directory = fresh()
    files = spool_files(directory, ".events")
    path = files[data.draw(st.integers(0, len(files) - 1))]
    frames = [(kind, fields) for kind, fields, _ in decode_frames(path.read_bytes())]
    for _ in range(data.draw(st.integers(1, 10))):
        kind, fields = frames[data.draw(st.integers(0, len(frames) - 1))]
        _change(fields, data)
        frames.append((data.draw(st.sampled_from([kind, *range(1, 12)])), list(fields)))
    path.write_bytes(b"".join(encode(kind, *fields) for kind, fields in frames))

    read(directory)

    check_is_usable(directory)


def _change(fields: list[object], data: st.DataObject) -> None:
    """Change one of *fields*, or one inside a field that is a list of fields itself."""
    at = data.draw(st.integers(0, max(0, len(fields) - 1)))
    if fields and isinstance(fields[at], bytes) and data.draw(st.booleans()):
        try:
            inner = decode_fields(fields[at])
        except ValueError:
            inner = []
        if inner:
            inner[data.draw(st.integers(0, len(inner) - 1))] = data.draw(FIELDS)
        fields[at] = encode_fields(*inner)
        return
    what = data.draw(st.sampled_from(["replace", "insert", "remove"]))
    if what == "insert":
        fields.insert(at, data.draw(FIELDS))
    elif fields and what == "remove":
        del fields[at]
    elif fields:
        fields[at] = data.draw(FIELDS)


# What may stand in place of a file


def _link(path: Path) -> None:
    path.symlink_to("/etc/shadow")


def _socket(path: Path) -> None:
    here = os.open(path.parent, os.O_PATH)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(f"/proc/self/fd/{here}/{path.name}")
    os.close(here)


def _device(path: Path) -> None:
    try:
        os.mknod(path, 0o600 | 0o020000, os.makedev(1, 5))  # /dev/zero
    except PermissionError:
        pytest.skip("devices are made by root only")


def _of_another(path: Path) -> None:
    path.write_bytes(bytes(1000))
    try:
        os.chown(path, 65534, 65534)
    except PermissionError:
        pytest.skip("files are given away by root only")


@pytest.mark.parametrize("suffix", [".spans", ".events"])
@pytest.mark.parametrize(
    "make",
    [_link, os.mkfifo, Path.mkdir, _socket, _device, _of_another, Path.touch],
    ids=["link", "fifo", "directory", "socket", "device", "of another user", "empty"],
)
def test_something_else_in_place_of_a_file(
    directory: Path, expected: History, make: Callable[[Path], object], suffix: str
) -> None:
    """It is not opened, or not believed; the images of other processes are read as ever."""
    path = spool_files(directory, suffix)[0]
    base = int(path.name[:16], 16)
    path.unlink()
    make(path)

    history = read(directory)

    others = {span.id for span in expected.spans if not 0 < span.id - base < 1 << 40}
    assert others
    assert others <= {span.id for span in history.spans}


def test_mapped_events_are_read(unread: Path, expected: History) -> None:
    """What is in mapped event files is in the history, and the zeros behind it are no fault."""
    mapped = [path for path in spool_files(unread, ".events") if path.stat().st_size >= 64 << 10]
    assert mapped
    assert all(path.read_bytes().endswith(bytes(5)) for path in mapped)
    assert {f"part_{number}.f_{number}" for number in range(14)} <= set(expected.names())
    assert expected.notes == []


def test_mapped_events_wait_for_the_first_file(directory: Path, expected: History) -> None:
    """What a mapped file tells is not lost where the agent finds it before the file that says whose it is."""
    first = spool_files(directory, ".events")[0]
    firsts = [path for path in spool_files(directory, "-0.events") if path.name != first.name]
    hidden = {path: path.with_name(f"{path.name}.hidden") for path in [first, *firsts]}
    for path, aside in hidden.items():
        path.rename(aside)
    writer = HistoryWriter(f"{directory}/history.sqlite")
    reader = take_up(str(directory), RunInfo.read(f"{directory}/{RUN}"), writer)
    reader.find_files()
    for image in reader.images.values():
        image.read_events()
    for path, aside in hidden.items():
        aside.rename(path)
    finish(reader, writer)

    assert History(directory).facts()["spans"] == expected.facts()["spans"]


def test_names_that_say_nothing(directory: Path, expected: History) -> None:
    """Files that no recorder would have made are left alone, and the rest is read."""
    for name in ("x", "0" * 16 + "-0.spans", "f" * 16 + "-0.events", "1" * 16 + "-9999999999.spans", "-1.spans",
                 "١" * 16 + "-0.spans", "1" * 17 + "-0.spans", "\udcff.events"):  # fmt: skip
        (directory / "spool" / name).write_bytes(bytes(range(256)))

    history = read(directory)

    assert history.facts()["spans"] == expected.facts()["spans"]


@pytest.fixture
def few_descriptors() -> Iterator[None]:
    """The agent may have 256 files open, as a container would let it."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def _lay_empty(path: Path, model: bytes, base: int, first: int) -> None:
    """Make a segment without records, of the size of *model*."""
    header = bytearray(model[:RECORD_SIZE])
    struct.pack_into("<QQ", header, 16, base, first)
    with path.open("wb") as file:
        file.write(header)
        file.truncate(len(model))


@pytest.mark.usefixtures("few_descriptors")
@pytest.mark.parametrize("suffix", [".spans", ".events"])
def test_thousands_of_files(directory: Path, expected: History, suffix: str) -> None:
    """A program that litters its spool is read all the same, with few descriptors and little memory."""
    source = spool_files(directory, suffix)[0]
    content = source.read_bytes()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(5000):
        base = 0x1111_0000_0000_0000 + number
        path = directory / "spool" / f"{base:016x}-{number % 3}{suffix}"
        if suffix == ".spans":
            _lay_empty(path, content, base, 0)
        else:
            path.write_bytes(content[:4096])

    history = read(directory)

    assert _calls(expected) <= _calls(history)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000, "kilobytes"


@pytest.mark.usefixtures("few_descriptors")
def test_thousands_of_files_of_one_image(directory: Path, expected: History) -> None:
    """One image that claims thousands of segments and event files leaves the others readable."""
    source = spool_files(directory, ".spans")[0]
    base = int(source.name[:16], 16)
    content = source.read_bytes()
    for number in range(5000):
        path = directory / "spool" / f"{base:016x}-{number + 10}.spans"
        _lay_empty(path, content, base, (2 + number) << 16)

    history = read(directory)

    assert _calls(expected) <= _calls(history)
