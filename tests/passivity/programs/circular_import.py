import circular_import


def f():
    return circular_import.nothing


f()
