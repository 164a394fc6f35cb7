"""Exceptions in exceptions, notes, groups, context and cause: the whole printed traceback."""
import traceback


class Mine(Exception):
    def __str__(self):
        return "mine " + str(self.args)


def low(x):
    return {"a": 1}[x]


def middle(x):
    try:
        low(x)
    except KeyError as e:
        raise Mine(x) from e


def high(x):
    try:
        return middle(x)
    except Mine:
        raise ValueError(
            "two lines",
            x,
        )


def gen():
    yield 1
    low("gen")


class Context:
    def __enter__(self):
        return self

    def __exit__(self, *exc):
        raise RuntimeError("in exit")


def managed():
    with Context():
        low("managed")


for call in (lambda: high("q"), lambda: list(gen()), managed):
    try:
        call()
    except Exception:
        traceback.print_exc()
try:
    raise ExceptionGroup("group", [ValueError(1), Mine(2)])
except* ValueError as group:
    group.add_note("a note")
    traceback.print_exception(group)
except* Mine:
    pass
traceback.print_stack()
high("last")
