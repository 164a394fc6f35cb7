"""What the program runs short of, takes away or dies of: it behaves as without us, and what is not recorded is counted.

Numbers of rows are those of the fault matrix.
"""

import os
import resource
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness import Lab, Result, read_spool

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root may do that")
MIB = 1 << 20


def limited(kind: int, limit: int) -> dict[str, Callable[[], None]]:
    return {"preexec_fn": lambda: resource.setrlimit(kind, (limit, limit))}


def same(lab: Lab, source: str, **options: object) -> Result:
    """Run *source* plain and observed; check that it is the same to the program, and return the second."""
    lab.write("job.py", source)
    plain, observed = lab.plain("job.py", **options), lab.observed("job.py", **options)
    assert (observed.stdout, observed.stderr) == (plain.stdout, plain.stderr)
    assert observed.returncode == plain.returncode
    return observed


def total(result: Result, name: str) -> int:
    """Return how many calls of *name* are in the spool, recorded or counted."""
    return len(result.named(name)) + sum(image.dropped for image in result.images)


@contextmanager
def small_spool(lab: Lab, size: str) -> Iterator[dict[str, str]]:
    """A run directory whose spool has a file system of *size* for itself."""
    variables = lab.environment()
    spool = str(lab.spool)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", spool], check=True)
    try:
        yield variables
    finally:
        subprocess.run(["umount", spool], check=True)


FULL = """
import os, time
def f(): pass
for _ in range(60_000): f()
print("filled")
spool = os.environ.get("RHEOSTAT_RUN", "") + "/spool/filler"
if os.path.exists(spool):
    os.unlink(spool)
deadline = time.monotonic() + 0.3
while time.monotonic() < deadline: pass
for _ in range(500): f()
print("done")
"""


@AS_ROOT
def test_disk_full_and_room_again(lab: Lab) -> None:
    """Row 6. On a full disk calls are counted, the reason is told, and recording goes on once there is room."""
    lab.write("job.py", FULL)
    plain = lab.plain("job.py")
    with small_spool(lab, "8m") as variables:
        (lab.spool / "filler").write_bytes(bytes(6 << 20))
        observed = lab.plain("job.py", env=variables)
        (lab.spool / "filler").unlink(missing_ok=True)
        images = read_spool(lab.spool)
    assert (observed.returncode, observed.stdout, observed.stderr) == (0, plain.stdout, "")
    (image,) = images
    assert len(image.spans) + image.dropped == 60_500
    assert image.dropped > 1000
    assert any("No space left" in reason for reason in image.losses)
    assert image.resumed >= 1


@AS_ROOT
def test_disk_full_from_the_start(lab: Lab) -> None:
    """Rows 6, 7. With no room for anything, the program runs unrecorded."""
    lab.write("job.py", FULL)
    plain = lab.plain("job.py")
    with small_spool(lab, "4k") as variables:
        (lab.spool / "filler2").write_bytes(bytes(4096))
        observed = lab.plain("job.py", env=variables)
    assert (observed.returncode, observed.stdout, observed.stderr) == (0, plain.stdout, "")


def test_limit_on_file_sizes(lab: Lab) -> None:
    """Row 8. The recorder never brings the program a SIGXFSZ, whose default action would end it."""
    source = """
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
def f(): pass
def fails(): raise ValueError("x" * 900)
for _ in range(20_000): f()
for _ in range(90):
    try: fails()
    except ValueError: pass
print("done")
"""
    result = same(lab, source, **limited(resource.RLIMIT_FSIZE, 150_000))
    assert any("limit on file sizes" in reason for reason in result.image.losses)
    assert len(result.named("job.f")) > 1000
    assert result.image.dropped > 0


def test_few_descriptors(lab: Lab) -> None:
    """Row 11. The program may open as many files as without us."""
    source = """
def f(): return 1
files = []
try:
    while True:
        f()
        files.append(open("/dev/null"))
except OSError as error:
    print(len(files), error.strerror)
for _ in range(5000): f()
print(sorted(file.fileno() for file in files))
"""
    result = same(lab, source, **limited(resource.RLIMIT_NOFILE, 8))
    assert total(result, "job.f") >= 5000


def test_descriptors_closed_by_the_program(lab: Lab) -> None:
    """Row 12. After it has closed all descriptors, its own files stay open whatever we do."""
    source = """
import gc, os
def f(): pass
f()
os.closerange(3, 256)
files = [open(f"out{n}", "w+") for n in range(40)]
for n, file in enumerate(files):
    for _ in range(500): f()
    file.write(str(n))
gc.collect()
print([file.fileno() for file in files])
for file in files:
    file.seek(0)
    print(file.read(), end=" ")
"""
    result = same(lab, source)
    assert total(result, "job.f") == 20_001
    assert result.image.dropped == 0


SPACE = """
def f(n): return n
kept = bytearray(10 << 20)
print(sum(f(n) for n in range(3000)))
again = bytearray(4 << 20)
print(len(again))
"""


ARENAS = 2 * MIB  # the interpreter takes memory in steps of one: what reading our first file costs
TIGHT = "its limit on address space is tight"


def test_limit_on_address_space(lab: Lab) -> None:
    """Row 12b. From the smallest limit on, at which the program runs plain, it runs: unrecorded where that is tight."""
    lab.write("job.py", SPACE)

    def runs(limit: int) -> bool:
        result = lab.plain("job.py", **limited(resource.RLIMIT_AS, limit))
        return result.returncode == 0 and result.stderr == ""

    low, high = 8 * MIB, 200 * MIB
    assert runs(high)
    while high - low > MIB // 4:
        middle = (low + high) // 2
        low, high = (low, middle) if runs(middle) else (middle, high)
    wanted = lab.plain("job.py").stdout
    for more in (0, 1, 4, 16, 64, 400):
        limit = high + ARENAS + more * MIB
        result = lab.observed("job.py", **limited(resource.RLIMIT_AS, limit))
        assert (result.returncode, result.stdout, result.stderr) == (0, wanted, ""), more
        if more == 0:
            assert [reason for _, _, reason in result.image.skipped] == [TIGHT]
    assert total(result, "job.f") == 3000


DEEP = """
import sys, threading
def down(n):
    global depth
    depth = n
    down(n + 1)
def run():
    try: down(1)
    except RecursionError: pass
sys.setrecursionlimit(LIMIT)
threading.stack_size(512 << 20)
thread = threading.Thread(target=run)
thread.start(); thread.join()
print(depth)
"""


@pytest.mark.parametrize("limit", [997, 30_000, 100_000])
def test_deep_recursion(lab: Lab, limit: int) -> None:
    """Row 16. The recursion limit is reached within two frames of where it was; within seven on 3.11."""
    lab.write("job.py", DEEP.replace("LIMIT", str(limit)))
    plain, observed = lab.plain("job.py"), lab.observed("job.py")
    assert (observed.returncode, observed.stderr) == (plain.returncode, plain.stderr) == (0, "")
    away = 7 if "3.11" in str(Path(lab.python).resolve()) else 2
    assert 0 <= int(plain.stdout) - int(observed.stdout) <= away
    assert observed.image.notes == []
    assert [span for span in observed.spans if span.end_ns is None] == []


AWAY = """
import os, shutil
def f(): pass
f()
STEP
for _ in range(9000): f()
print(os.getuid(), os.getcwd())
"""


@AS_ROOT
@pytest.mark.parametrize(
    "step",
    ["os.setgid(65534); os.setuid(65534)", "os.chroot('.')"],
    ids=["setuid", "chroot"],
)
def test_the_spool_out_of_reach(lab: Lab, step: str) -> None:
    """Rows 35, 36. What can no longer be recorded is counted."""
    result = same(lab, AWAY.replace("STEP", step))
    assert total(result, "job.f") == 9001
    assert len(result.named("job.f")) >= 1024
    assert result.image.notes == []


def test_run_directory_deleted(lab: Lab) -> None:
    """Row 37. The program goes on as if nothing had happened."""
    step = "shutil.rmtree(os.environ.get('RHEOSTAT_RUN', '/does/not/exist'), ignore_errors=True)"
    same(lab, AWAY.replace("STEP", step))


DEATHS = {
    "segfault": ("import ctypes; ctypes.string_at(0)", -signal.SIGSEGV),
    "abort": ("os.abort()", -signal.SIGABRT),
    "exit": ("os._exit(7)", 7),
    "exec": ("os.execv('/bin/sh', ['sh', '-c', 'exit 9'])", 9),
    "execvpe": ("os.execvpe('sh', ['sh', '-c', 'exit 8'], os.environ)", 8),
    "kill": ("os.kill(os.getpid(), 9)", -signal.SIGKILL),
}


@pytest.mark.parametrize("death", DEATHS)
def test_deaths(lab: Lab, death: str) -> None:
    """Row 41. However it dies, what was open is in the spool, open."""
    step, status = DEATHS[death]
    source = f"import os\ndef low():\n    {step}\ndef high(): low()\nhigh()\n"
    result = same(lab, source, **limited(resource.RLIMIT_CORE, 0))
    assert result.returncode == status
    assert result.tree() == ["job > job.high", "job.high > job.low"]
    assert [span.end_ns for span in result.spans] == [None, None]


HOSTILE = r"""
import time
class Loud:
    def __repr__(self): print("repr")
    __str__ = __hash__ = __eq__ = __format__ = __len__ = __bool__ = __repr__
class Meta(type):
    def __eq__(self, other): print("eq"); return False
    def __hash__(self): print("hash"); return 1
    def __getattribute__(self, name):
        if name not in ("__mro__", "__dict__"): print("attribute", name)
        return type.__getattribute__(self, name)
class Hostile(Exception, metaclass=Meta):
    __class__ = property(lambda self: print("class"))
    args = property(lambda self: print("args"))
    def __str__(self): print("str")
    __repr__ = __str__
odd = type("\x1b[31m" + "x" * 100_000, (Exception,), {"__module__": "\x1b"})
exec(compile("def named():\n raise odd('x')", "\udcff" + "f" * 100_000, "exec"))
def tries(make):
    try: raises(make)
    except BaseException: pass
def raises(make):
    raise make()
values = [
    lambda: ValueError(Loud()), lambda: KeyError(Loud()), lambda: OSError(1, Loud(), Loud()),
    lambda: ValueError("x" * (50 << 20)), lambda: KeyError("x" * (50 << 20)), lambda: ValueError(b"x" * (50 << 20)),
    lambda: ValueError(10 ** 100_000), lambda: ValueError(*range(10 ** 6)), lambda: ValueError("\udcff\0"),
    lambda: Hostile("x"), lambda: odd("x"), lambda: ImportError("x", name=Loud(), path=Loud()),
    lambda: SystemExit(Loud()), lambda: UnicodeDecodeError("utf-8", b"x" * (50 << 20), 0, 1, "why"),
    lambda: ExceptionGroup("g", [Hostile("x")]),
]
for make in values: tries(make)
raises.__name__ = raises.__qualname__ = "\udcff\0"
tries(values[0])
try: named()
except odd: pass
broken = OSError(1, "x")
broken.strerror = broken.filename = Loud()
def again(): raise broken
try: again()
except OSError: pass
print("done")
"""


def test_hostile_exceptions(lab: Lab) -> None:
    """Rows 31, 32. No code of the program is run for an exception that it handles, and what is kept of it is bounded."""
    result = same(lab, HOSTILE)
    assert result.stdout.endswith("done\n")
    assert result.image.notes == []
    assert len(result.image.exceptions) >= 17
    assert all(len(str(told)) < 20_000 for told in result.image.exceptions)
    texts = [told["text"] for told in result.image.exceptions if told["type"] == "ValueError"]
    assert "x" * 1000 in texts
    assert sum(path.stat().st_size for path in lab.spool.glob("*.events")) < 500_000
