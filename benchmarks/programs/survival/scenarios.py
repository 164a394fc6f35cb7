"""Ways in which processes end: each a tree of one `parent` and some `child` calls, all of which began.

The argument names the scenario. `traced` is the contender's own decorator, found on PYTHONPATH.
"""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.context import BaseContext

from traced import traced


@traced
def child(number: int) -> int:
    """A call that ends."""
    return number


@traced
def open_child(end: Callable[[], object]) -> None:
    """A call in which the process ends."""
    end()


@traced
def processes(context: BaseContext) -> None:
    """Four processes, one call in each."""
    workers = [context.Process(target=child, args=(number,)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


@traced
def executor(context: BaseContext) -> None:
    """Eight tasks in the workers of an executor."""
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        list(pool.map(child, range(8)))


@traced
def pool(context: BaseContext) -> None:
    """Eight tasks in the workers of a pool, which `with` terminates."""
    with context.Pool(2) as workers:
        workers.map(child, range(8))


@traced
def ending(end: Callable[[], object]) -> None:
    """One call that ended, and two that had not when the process did."""
    child(0)
    open_child(end)


def segfault() -> None:
    """Read at address 0."""
    import ctypes

    ctypes.string_at(0)


ENDS: dict[str, Callable[[], object]] = {
    "SIGTERM": lambda: os.kill(os.getpid(), signal.SIGTERM),
    "SIGKILL": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "segfault": segfault,
    "os._exit": lambda: os._exit(3),
    "os.exec": lambda: os.execv("/bin/true", ["true"]),
    "SIGINT": lambda: os.kill(os.getpid(), signal.SIGINT),
    "sys.exit": lambda: sys.exit(3),
}
TREES = {"Process": processes, "ProcessPoolExecutor": executor, "Pool": pool}


def main() -> None:
    """Run the scenario."""
    name, _, method = sys.argv[1].partition(" ")
    if name in ENDS:
        ending(ENDS[name])
    else:
        TREES[name](multiprocessing.get_context(method))


if __name__ == "__main__":
    main()
