"""Any failure of ours: the program runs on with a plain run's bytes and status, and the reason stands in the spool.

Every function of the package that this program comes to is made to raise in turn, at the start and while it runs.
"""

import shutil
from pathlib import Path

import pytest
from own_failures import Function, Injected

from harness import Lab, Result

PROGRAM = """
import asyncio
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

getattr(sys.modules.get("_rheostat_probe"), "arm", int)()
import beside


def work(n):
    return work(n - 1) + 1 if n else 0


def fails():
    raise KeyError("fails")


def items(n):
    for i in range(n):
        yield i


def delegates():
    yield from items(2)


async def co(n):
    await asyncio.sleep(0)
    return n


async def gather():
    return await asyncio.gather(co(1), co(2)), [i async for i in numbers()]


async def numbers():
    yield 1
    yield 2


def in_thread(out):
    out.append(work(2))


def main():
    print(work(3), list(items(3)), list(delegates()), beside.double(4), asyncio.run(gather()))
    try:
        fails()
    except KeyError as error:
        print(repr(error))
    generator = items(3)
    print(next(generator))
    generator.close()
    out = []
    thread = threading.Thread(target=in_thread, args=(out,))
    thread.start()
    thread.join()
    with ThreadPoolExecutor(1) as pool:
        print(out, pool.submit(work, 4).result())
    sys.stdout.flush()
    if os.fork() == 0:
        print("child", work(1), list(items(1)))
        sys.stdout.flush()
        os._exit(work(7))
    print(os.waitstatus_to_exitcode(os.wait()[1]))
    sys.stdout.flush()
    print(subprocess.run([sys.executable, "child.py"]).returncode)
    for _ in range(2500):  # into another segment
        work(0)
    fails()


main()
"""
CHILD = """
import os, sys
def f(): return 3
print("child.py", f())
sys.stdout.flush()
os.execv(sys.executable, [sys.executable, "-c", "import beside, sys; print(beside.double(2)); sys.exit(5)"])
"""

# Where these fail, there is no way left to tell (`_last_text` tells by what it returns), or to tell by more than the kind.
TELLING = {
    "encode",
    "encode_fields",
    "events_name",
    "_check_file_size",
    "Events.append",
    "Image.append",
    "Image.note",
    "Image.report",
    "is_ours",
    "report",
    "settle",
    "type_name",
    "_tell",
    "_fail",
    "_last_text",
    "hide",
    "has_long_run",
    "_may_name",
    "split",
}
# They call a function of ours that lets nothing out, and then the original; nothing of their own could fail.
WRAPPERS = {"_get_code", "_telling.execute", "_start_new_thread", "_start_joinable_thread"}
SOME = {
    "_start",
    "start",
    "Site.__enter__",
    "Site.__exit__",
    "Image.find_words",
    "Activation._finish",
    "GeneratorActivation.suspend",
    "_Claim.claim",
    "_observed",
    "Describer.describe",
    "_in_own_context",
    "_open_in_child",
}


class Bench:
    """One project with its injected copy, its plain run, and which functions are called when."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab = lab
        self.injected = Injected(folder)
        lab.write("job.py", PROGRAM)
        lab.write("child.py", CHILD)
        lab.write("beside.py", "def double(n):\n    return 2 * n\n")
        self.plain = lab.plain("-Wignore", "job.py")
        self.warm = folder / "warm"
        self.cold_hits = self.hits(folder / "cold.log")
        shutil.copytree(lab.cache, self.warm)
        self.warm_hits = self.hits(folder / "warm.log")

    def run(self, variables: dict[str, str]) -> Result:
        environment = {**self.lab.environment(capture_args=True), **variables}
        environment["PYTHONPATH"] = self.injected.bootstrap
        return self.lab.plain("-Wignore", "job.py", env=environment, timeout=60)

    def hits(self, log: Path) -> set[tuple[int, ...]]:
        """Run once; return (number of a function that is called, whether the program was running)."""
        self.run({"RHEOSTAT_TEST_LOG": str(log)})
        return {tuple(map(int, line.split())) for line in log.read_text().splitlines()}

    def cases(self) -> list[tuple[Function, str]]:
        """Return each function that is called, with when to let it fail."""
        functions = self.injected.functions
        hits = sorted(self.cold_hits | self.warm_hits)
        cases = [(functions[number], ("start", "run")[armed]) for number, armed in hits]
        return [(function, when) for function, when in cases if function.name not in WRAPPERS]

    def failing(self, function: Function, when: str, error: str = "RuntimeError") -> list[str]:
        """Return what is wrong with a run in which *function* fails."""
        shutil.rmtree(self.lab.cache, ignore_errors=True)
        if (function.number, int(when == "run")) in self.warm_hits:
            shutil.copytree(self.warm, self.lab.cache)
        result = self.run({"RHEOSTAT_TEST_FAIL": f"{function.number}:{when}:{error}"})
        where = f"{function.file}:{function.name} {when}"
        wrong = []
        if (result.returncode, result.stdout) != (self.plain.returncode, self.plain.stdout):
            wrong.append(f"{where}: {result.returncode} {result.stdout!r}")
        if result.stderr != self.plain.stderr:
            wrong.append(f"{where}: {result.stderr[-1500:]}")
        told = b"".join(path.read_bytes() for path in self.lab.spool.glob("*.events"))
        if f"{error}: injected".encode() not in told and function.name not in TELLING:
            wrong.append(f"{where}: not told")
        shutil.rmtree(self.lab.spool.parent)
        return wrong


SHARDS = 3  # for those who run the tests on several cores


@pytest.mark.parametrize("shard", range(SHARDS))
def test_each_function_in_turn(our_lab: Lab, tmp_path: Path, shard: int) -> None:
    """The program cannot tell that a function of ours fails, whichever it is; the run's log can."""
    bench = Bench(our_lab, tmp_path / "copy")
    assert bench.plain.returncode == 1
    cases = bench.cases()
    assert len(cases) > 200
    wrong = [line for case in cases[shard::SHARDS] for line in bench.failing(*case)]
    assert wrong == []


@pytest.mark.parametrize("error", ["RuntimeError", "MemoryError"])
def test_some_functions_in_each_interpreter(lab: Lab, tmp_path: Path, error: str) -> None:
    """So it is in each supported interpreter, and when memory runs out."""
    bench = Bench(lab, tmp_path / "copy")
    cases = [case for case in bench.cases() if case[0].name in SOME]
    assert {function.name for function, _ in cases} == SOME
    wrong = [line for case in cases for line in bench.failing(*case, error)]
    assert wrong == []
