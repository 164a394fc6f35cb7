"""A file that the compiler warns of."""
import re


def f(x):
    return re.sub("\d", "", x) is 1


print(f("a1"))
