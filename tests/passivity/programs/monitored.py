"""What a trace function sees of the program's own code."""
import sys

events = []


def tracer(frame, event, argument):
    if frame.f_code.co_filename != __file__:
        return None
    events.append((frame.f_code.co_name, event, frame.f_lineno))
    return tracer


def branch(x):
    if x:
        y = 1
    else:
        y = [
            i
            for i in range(2)
        ]
    return y


def loop(n):
    while n:
        n -= 1
        if n == 2:
            continue
    try:
        return branch(n)
    finally:
        n = 5


def fails(x):
    try:
        return 1 / x
    except ZeroDivisionError:
        pass


def gen(n):
    for i in range(n):
        yield i


def main():
    with open(__file__) as file:
        file.readline()
    match branch(1):
        case 1:
            x = (lambda: 3)()
        case _:
            x = 0
    return x


sys.settrace(tracer)
loop(4), fails(0), fails(1), list(gen(2)), main()
sys.settrace(None)
for event in events:
    print(*event)
