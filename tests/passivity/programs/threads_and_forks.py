"""Forks in a threaded program, threads that fail, and what the interpreter warns of."""
import os
import sys
import threading
import warnings


def work(n):
    return sum(range(n))


def spin(stop):
    while not stop.is_set():
        work(10)


def fails():
    raise ValueError("in a thread")


stop = threading.Event()
thread = threading.Thread(target=spin, args=(stop,), name="spinner")
thread.start()
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for _ in range(50):
        pid = os.fork()
        if pid == 0:
            work(5)
            os._exit(len(threading.enumerate()))
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
stop.set()
thread.join()
print(sorted({str(w.message).split("(pid")[0] for w in caught}))
bad = threading.Thread(target=fails, name="bad")
bad.start()
bad.join()
print(repr(bad).split("started")[0], threading.active_count(), sys.exc_info())
