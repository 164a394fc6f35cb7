"""What many modules tell goes into mapped event files: complete, whatever happens, and without a system call for each."""

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import Lab, Result
from rheostat.spool.events import MODULE, decode_frames, encode
from rheostat.spool.layout import FULL_NAME, events_name
from rheostat.spool.segment import Events, Segments

MODULES = 300
BASE = 1 << 61 | 7


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    folder = tmp_path / "spool"
    folder.mkdir(mode=0o700)
    return folder


def events(spool: Path) -> Events:
    return Events(str(spool), BASE, Segments(str(spool), BASE))


def tell(told: Events, frame: bytes) -> bool:
    """Put or append *frame* as the recorder does; say whether it is in a mapped file."""
    if told.put(frame):
        return True
    told.append(frame)
    return False


def numbers(spool: Path) -> list[int]:
    """Return the first fields of all events in the spool, sorted."""
    files = [path.read_bytes() for path in spool.glob("*.events")]
    return sorted(int(fields[0]) for data in files for _, fields, _ in decode_frames(data))


def write_project(lab: Lab) -> None:
    """Write a program that imports many modules and calls a function of each."""
    for number in range(MODULES):
        lab.write(f"part_{number}.py", f"def f_{number}():\n    return {number}\n")
    lines = [f"import part_{number}\npart_{number}.f_{number}()" for number in range(MODULES)]
    lab.write("job.py", "import os\nEND = None\n" + "\n".join(lines) + "\nEND\n")


def check_all_known(result: Result) -> None:
    """Assert that each record has a name, and each module its record."""
    called = {span.name for span in result.spans}
    assert {f"part_{n}.f_{n}" for n in range(MODULES)} <= called
    assert result.image.notes == result.image.losses == []


def test_all_modules_are_told(lab: Lab) -> None:
    """All functions of a program with hundreds of modules are known, and few of the modules were appended."""
    write_project(lab)
    result = lab.observed("job.py")
    check_all_known(result)
    appended = lab.spool / events_name(result.image.base, 0)
    told = [kind for kind, _, _ in decode_frames(appended.read_bytes())]
    assert told.count(MODULE) < 20
    assert len(list(lab.spool.glob("*.events"))) < 6


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), 9)", "os._exit(3)", "os.abort()"])
def test_program_that_dies(lab: Lab, end: str) -> None:
    """What modules told is in the spool when the program is killed right after."""
    write_project(lab)
    text = (lab.project / "job.py").read_text()
    lab.write("job.py", text.replace("\nEND\n", f"\n{end}\n"))
    result = lab.observed("job.py")
    assert result.returncode in (-signal.SIGKILL, -signal.SIGABRT, 3)
    check_all_known(result)


def test_forked_child_imports(lab: Lab) -> None:
    """Modules that a forked child imports are told in its own files, and the parent's stay as they are."""
    write_project(lab)
    text = (lab.project / "job.py").read_text()
    fork = "child = os.fork()\nif child: os.waitpid(child, 0)\n"
    lab.write(
        "job.py", text.replace("END = None\n", "END = None\nimport part_0 as first\n" + fork, 1)
    )
    result = lab.observed("job.py")
    assert len(result.images) == 2
    for image in result.images:
        called = {span.name for span in image.spans}
        assert {f"part_{n}.f_{n}" for n in range(1, MODULES)} <= called


def test_several_threads(spool: Path) -> None:
    """Frames of several threads are all there, whole, in mapped files or appended."""
    told = events(spool)

    def write(first: int) -> None:
        for number in range(first, first + 500):
            tell(told, encode(MODULE, number, bytes([number % 251]) * (number % 900)))

    threads = [threading.Thread(target=write, args=(500 * n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert numbers(spool) == list(range(2000))


def test_an_interruption_hides_nothing(spool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame that an exception struck, half written, is not read, and what is told afterwards is."""
    told = events(spool)
    for number in range(20):
        tell(told, encode(MODULE, number))
    area = told._area["free"]
    view = memoryview(area._view)
    area._view = Fragile(view)
    with pytest.raises(KeyboardInterrupt):
        told.put(encode(MODULE, 1000, b"x" * 100))
    for number in range(20, 60):
        tell(told, encode(MODULE, number))
    assert numbers(spool) == list(range(60))


class Fragile:
    """A view that is struck at the third store: before the kind."""

    def __init__(self, view: memoryview) -> None:
        self.nbytes = view.nbytes
        self._view = view
        self._stores = 0

    def __setitem__(self, at: slice, value: bytes) -> None:
        self._stores += 1
        if self._stores == 3:
            raise KeyboardInterrupt
        self._view[at] = value


def test_large_frames(spool: Path) -> None:
    """A frame that is larger than the first file gets a larger one; beyond a mebibyte it is appended."""
    told = events(spool)
    for number in range(8):
        assert not tell(told, encode(MODULE, number))
    assert tell(told, encode(MODULE, 8, bytes(200_000)))
    assert not tell(told, encode(MODULE, 9, bytes(1 << 20)))
    assert tell(told, encode(MODULE, 10))
    assert numbers(spool) == list(range(11))


@pytest.mark.parametrize("fault", ["full", "limit"])
def test_no_room_for_a_mapped_file(spool: Path, fault: str) -> None:
    """Where no file can be mapped, that raises, nothing of it stays, and all is appended."""
    told = events(spool)
    for number in range(8):
        tell(told, encode(MODULE, number))
    restore = FAULTS[fault](spool)
    try:
        with pytest.raises(OSError, match=r"max-disk|limit on file sizes"):
            told.put(encode(MODULE, 99))
    finally:
        restore()
    for number in range(8, 40):
        tell(told, encode(MODULE, number))
    assert numbers(spool) == list(range(40))
    assert len(list(spool.glob("*.events"))) == 2


def _mark_full(spool: Path) -> Callable[[], None]:
    mark = spool / FULL_NAME
    mark.touch()
    return mark.unlink


def _limit_files(spool: Path) -> Callable[[], None]:
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, before)


FAULTS = {"full": _mark_full, "limit": _limit_files}


def test_no_descriptor_stays_open(spool: Path) -> None:
    """A mapped file takes none of the program's descriptors."""
    before = os.listdir("/proc/self/fd")
    told = events(spool)
    assert any(tell(told, encode(MODULE, number)) for number in range(20))
    assert os.listdir("/proc/self/fd") == before
