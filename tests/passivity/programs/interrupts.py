"""Ten thousand timer signals in a tight loop; some handlers raise, and what they raise has plain's frames."""
import signal
import sys
import time
import traceback

hits = 0
frames = set()


class Alarm(Exception):
    pass


def handler(signum, frame):
    global hits
    hits += 1
    if hits % 5 == 0:
        raise Alarm


def work(n):
    total = 0
    for i in range(n):
        total += inner(i)
    return total


def inner(i):
    return i & 1


def numbers():
    while True:
        yield 1


def loop():
    for _ in numbers():
        work(3)


signal.signal(signal.SIGALRM, handler)
deadline = time.monotonic() + 20
while hits < 10000 and time.monotonic() < deadline:
    signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.00003)
    try:
        loop()
    except Alarm as alarm:
        signal.setitimer(signal.ITIMER_REAL, 0)
        names = [f.name for f in traceback.extract_tb(alarm.__traceback__)]
        files = {f.filename for f in traceback.extract_tb(alarm.__traceback__)}
        assert files == {__file__}, files
        assert names[-1] == "handler", names
        assert all(f.lineno for f in traceback.extract_tb(alarm.__traceback__))
signal.setitimer(signal.ITIMER_REAL, 0)
print(hits >= 10000)
