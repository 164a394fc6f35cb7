"""Greenlets switch between stacks of one thread: a span in one has its right parent or none, never a wrong one."""

import pytest

from harness import Lab, Result

pytest.importorskip("greenlet")

HEAD = """
from greenlet import getcurrent, greenlet
"""


def run(lab: Lab, source: str) -> Result:
    lab.write("job.py", HEAD + source)
    plain, result = lab.plain("job.py"), lab.observed("job.py")
    assert (result.returncode, result.stdout, result.stderr) == (0, plain.stdout, "")
    assert result.image.notes == []
    return result


def test_switching_between_calls(our_lab: Lab) -> None:
    """Calls that take turns keep their own parents; what a greenlet begins is nobody's child."""
    result = run(
        our_lab,
        """
def leaf(name): pass
def first():
    leaf("a"); other.switch(); leaf("a"); other.switch(); leaf("a")
def second():
    leaf("b"); one.switch(); leaf("b"); one.switch()
def inner():
    one.switch()
    leaf("c")
def main():
    leaf("main")
    inner()
    leaf("main")
one, other = greenlet(first), greenlet(second)
main()
""",
    )
    tree = result.tree()
    assert tree.count("job.first > job.leaf") == 3
    assert tree.count("job.second > job.leaf") == 2
    assert tree.count("job.main > job.leaf") == 2
    assert tree.count("job.inner > job.leaf") == 1
    assert "job > job.first" in tree
    assert "job > job.second" in tree


def test_generators_and_errors_across_greenlets(our_lab: Lab) -> None:
    """A generator that is resumed by another greenlet is current there while it runs, and not afterwards."""
    result = run(
        our_lab,
        """
def leaf(): pass
def items():
    leaf(); yield 1
    leaf(); yield 2
shared = items()
def takes():
    next(shared)
    leaf()
    getcurrent().parent.switch()
    leaf()
    raise KeyError
def main():
    taker = greenlet(takes)
    taker.switch()
    leaf()
    next(shared)
    leaf()
    try: taker.switch()
    except KeyError: leaf()
main()
shared.close()
leaf()
""",
    )
    tree = result.tree()
    assert tree.count("job.items > job.leaf") == 2
    assert tree.count("job.takes > job.leaf") == 2
    assert tree.count("job.main > job.leaf") == 3
    assert tree[-1] == "job > job.leaf"
    assert all(span.end_ns for span in result.spans)
    (takes,) = result.named("job.takes")
    assert takes.error == "KeyError"


def test_abandoned_greenlet(our_lab: Lab) -> None:
    """A greenlet that is dropped while it waits ends its span, and changes nobody's parent."""
    result = run(
        our_lab,
        """
def leaf(): pass
def waits():
    getcurrent().parent.switch()
def main():
    waiter = greenlet(waits)
    waiter.switch()
    leaf()
    del waiter
    leaf()
main()
leaf()
""",
    )
    assert all(span.end_ns for span in result.spans)
    tree = result.tree()
    assert tree.count("job.main > job.leaf") == 2
    assert tree[-1] == "job > job.leaf"
