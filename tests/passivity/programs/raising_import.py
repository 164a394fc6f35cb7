def f():
    raise KeyError("at import")


f()
