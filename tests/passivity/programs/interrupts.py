"""Ten thousand timer signals in a tight loop; some handlers raise, and what they raise has plain's frames."""
import signal
import time
import traceback

hits = 0


class Alarm(Exception):
    pass


def handler(signum, frame):
    global hits
    hits += 1
    if hits % 5 == 0:
        signal.setitimer(signal.ITIMER_REAL, 0)
        raise Alarm
    arm()


def arm():
    # Anew when the handler is done: a periodic timer this fast leaves a slow machine no time in between. The interval
    # is for signals that CPython 3.12 loses: one that arrives while it computes its `eval_breaker`.
    signal.setitimer(signal.ITIMER_REAL, (20 + hits % 37) / 1_000_000, 0.05)


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
deadline = time.monotonic() + 60
while hits < 10000 and time.monotonic() < deadline:
    try:
        arm()
        loop()
    except Alarm as alarm:
        frames = traceback.extract_tb(alarm.__traceback__)
        assert {frame.filename for frame in frames} == {__file__}, frames
        assert frames[-1].name == "handler", frames
        assert all(frame.lineno > 0 for frame in frames), frames
        assert alarm.__context__ is None, alarm.__context__
print(hits >= 10000)
