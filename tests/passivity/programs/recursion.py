"""The recursion limit is where it was, within the documented frames."""
import sys


def down(n):
    global depth
    depth = n
    down(n + 1)


try:
    down(1)
except RecursionError as error:
    entry, entries = error.__traceback__, 0
    while entry:
        entries, entry = entries + 1, entry.tb_next
    print(sys.getrecursionlimit() - depth < 20, abs(entries - depth) <= 2)
