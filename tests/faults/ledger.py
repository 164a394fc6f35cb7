"""The ledger: a program that writes down each of its calls before it does anything else, and what that proves.

The first statement of every traced function appends one line to a file by one `write`, which survives any death of the
process. So each line must be a span of the history, exactly once and in order; and a span may go without a line only if
its thread died between the two, which happens to a thread once.
"""

from collections import defaultdict

from rheostat_agent.history.query import Span
from running import History, Rheostat, wait_until

PROGRAM = """
import ctypes, os, sys, threading
from _thread import get_ident
from itertools import count
from os import getpid, write

BOOK = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
CALLS, WAYS = int(sys.argv[1]), sys.argv[2:]
tick = count(1).__next__

def leaf(number):
    write(BOOK, b"%d %d leaf\\n" % (getpid(), get_ident()))
    if tick() == CALLS:
        die()
    return number

def fail(number):
    write(BOOK, b"%d %d fail\\n" % (getpid(), get_ident()))
    raise ValueError(number)

def nest(depth):
    write(BOOK, b"%d %d nest\\n" % (getpid(), get_ident()))
    return nest(depth - 1) if depth else leaf(depth)

def numbers(most):
    write(BOOK, b"%d %d numbers\\n" % (getpid(), get_ident()))
    for number in range(most):
        yield leaf(number)

class Basket:
    def __init__(self):
        write(BOOK, b"%d %d Basket.__init__\\n" % (getpid(), get_ident()))

    def fill(self):
        write(BOOK, b"%d %d Basket.fill\\n" % (getpid(), get_ident()))
        for number in numbers(5):
            if number == 3:
                break

def work():
    write(BOOK, b"%d %d work\\n" % (getpid(), get_ident()))
    nest(6)
    Basket().fill()
    for number in range(3):
        try:
            fail(number)
        except ValueError:
            leaf(number)

def toil(rounds):
    write(BOOK, b"%d %d toil\\n" % (getpid(), get_ident()))
    for _ in range(rounds):
        work()

def bear():
    write(BOOK, b"%d %d bear\\n" % (getpid(), get_ident()))
    child = os.fork()
    if not child:
        toil(3)
        os._exit(0)
    os.waitpid(child, 0)

def die():
    write(BOOK, b"%d %d die\\n" % (getpid(), get_ident()))
    way = WAYS[0] if WAYS else "wait"
    if way == "SIGSEGV":
        ctypes.string_at(8)
    elif way == "exit":
        os._exit(7)
    elif way == "exec":
        os.execv(sys.executable, [sys.executable, __file__, str(CALLS), *WAYS[1:]])
    elif way == "memory":
        with open(os.environ["TASKS"], "w") as tasks:
            tasks.write(str(getpid()))
        hoard = [bytes(range(256)) * 4096 * number for number in range(1, 1000)]
    elif way != "wait":
        os.kill(getpid(), int(way))

def main():
    write(BOOK, b"%d %d main\\n" % (getpid(), get_ident()))
    threads = [threading.Thread(target=toil, args=(10**9,), daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    while True:
        work()
        bear()

main()
"""


class Ledger:
    """The victim in a project, and the file that it writes."""

    def __init__(self, rheostat: Rheostat) -> None:
        self.rheostat = rheostat
        self._path = rheostat.folder / "ledger"
        self._script = str(rheostat.write("victim.py", PROGRAM))

    def environment(self, **more: str) -> dict[str, str]:
        """Return what the victim wants to know."""
        return {"LEDGER": str(self._path), **more}

    def words(self, calls: int, *ways: str) -> list[str]:
        """Return the command line of a victim that dies by the first of *ways* after *calls* calls; 'exec': by the next."""
        return [self._script, str(calls), *ways]

    def forget(self) -> None:
        """Begin anew."""
        self._path.unlink(missing_ok=True)

    def await_calls(self, calls: int) -> None:
        """Return when so many calls are written down."""
        least = calls * len("12345 123456789012345 work\n")
        wait_until(
            lambda: self._path.exists() and self._path.stat().st_size >= least, "the victim works"
        )

    def main_process(self) -> int:
        """Return the process that began."""
        return int(self._path.read_text().partition(" ")[0])

    def lines(self) -> dict[tuple[int, int], list[str]]:
        """Return the names of the calls in order, by process and thread."""
        found: dict[tuple[int, int], list[str]] = defaultdict(list)
        for line in self._path.read_text().splitlines():
            pid, thread, name = line.split(" ")
            found[int(pid), int(thread)].append(name)
        return found

    def check(self, history: History) -> None:
        """Assert that each line is in *history* once and in order, and hardly anything else is."""
        spans = calls_of(history)
        for key, expected in self.lines().items():
            names = [name for name, _ in spans.pop(key, [])]
            assert names[: len(expected)] == expected, (
                f"thread {key}: {_difference(expected, names)}"
            )
            assert len(names) <= len(expected) + 1, (
                f"thread {key}: {len(names)} for {len(expected)}"
            )
        assert all(len(unwritten) == 1 for unwritten in spans.values()), spans
        assert len(history.by_id) == len(history.spans), "two spans have one id"
        assert not history.open
        assert not history.losses


def calls_of(history: History) -> dict[tuple[int, int], list[tuple[str, Span]]]:
    """Return the names and spans in the order in which they began, by process and thread."""
    found: dict[tuple[int, int], list[tuple[str, Span]]] = defaultdict(list)
    for span in sorted(history.spans, key=lambda span: (span.start_ns, span.id)):
        pid = history.processes[span.process].pid
        assert pid is not None
        name = history.name(span).removeprefix("victim.")
        found[pid, span.thread].append((name, span))
    return found


def _difference(expected: list[str], names: list[str]) -> str:
    pairs = zip(expected, names, strict=False)
    at = next((at for at, (one, other) in enumerate(pairs) if one != other), len(names))
    near = slice(max(0, at - 2), at + 3)
    return (
        f"call {at} of {len(expected)} ({len(names)} spans): {expected[near]} became {names[near]}"
    )


def check_deaths(history: History, pid: int, error: str | None, at_ns: int) -> None:
    """Assert that what the process *pid* left open ended within a second of *at_ns*, and failed as *error*."""
    number = next(one.id for one in history.processes.values() if one.pid == pid)
    closed = [span for span in history.spans if span.process == number and span.cause]
    for span in closed:
        if span.cause != "exec":
            assert span.end_ns is not None
            assert abs(span.end_ns - at_ns) < 1_000_000_000, (span, at_ns)
            assert history.error(span) == error, span
    left = {history.name(span) for span in closed if span.cause != "exec"}
    assert "victim.main" in left, "it was in the middle of something"
