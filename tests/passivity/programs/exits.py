"""sys.exit in a function, atexit, and output that is not flushed."""
import atexit
import sys


@atexit.register
def bye():
    print("bye")


def leave(code):
    sys.exit(code)


sys.stdout.write("no newline")
try:
    leave(0)
except SystemExit as e:
    print(e.code)
leave(3)
