"""The call tree: processes below those that started them, recursion folded, what is small left out."""

from rheostat_agent.history.histogram import Histogram
from rheostat_agent.history.query import Function, PathTotals, Process
from rheostat_agent.show.recursion import fold_recursion
from rheostat_agent.show.tree import Node, build_tree, prune

DEEP = 20_000  # beyond any recursion limit


def process(number: int, name: str, ppid: int, start_ns: int = 0, end_ns: int = 100) -> Process:
    """Return a process whose pid is ten times its number."""
    values = dict.fromkeys(Process.fields)
    values |= {"id": number, "name": name, "pid": 10 * number, "ppid": ppid}
    return Process(**{**values, "start_ns": start_ns, "end_ns": end_ns})


def path(number: int, parent: int | None, total_ns: int = 10, **more: object) -> PathTotals:
    """Return a path of the function of its own number, in the process `job`."""
    histogram = Histogram()
    histogram.add(total_ns)
    values = {"calls": 1, "errors": 0, "open": 0, "child_ns": 0, "suspended_ns": 0, "items": 0}
    values |= {"min_ns": total_ns, "max_ns": total_ns, "function": number, "process_name": "job"}
    return PathTotals(
        id=number, parent=parent, total_ns=total_ns, histogram=histogram, **{**values, **more}
    )


def tree(processes: list[Process], paths: list[PathTotals], names: str = "") -> list[Node]:
    """Return the tree; function *n* has the *n*-th of *names*, f*n* without."""
    known = dict(enumerate(names.split(), 1))
    functions = {
        one.function: Function(
            one.function, known.get(one.function, f"f{one.function}"), 0, "job.py", 1
        )
        for one in paths
    }
    return build_tree(processes, functions, paths, set(), 1000)


def shape(roots: list[Node]) -> list[tuple[int, str]]:
    """Return the tree as (depth, name)."""
    return [(depth, node.name) for root in roots for depth, node in root.walk()]


def test_a_process_hangs_below_its_starter() -> None:
    """Wherever it was found in the spool."""
    processes = [
        process(1, "job", 1),
        process(2, "grandchild", 30, 20),
        process(3, "child", 10, 10),
    ]

    assert shape(tree(processes, [])) == [(0, "job"), (1, "child"), (2, "grandchild")]


def test_processes_of_one_name_are_one_node() -> None:
    """As the workers of a pool: counted, with the p95 of how long they lived."""
    workers = [process(n, "worker", 10, 0, n) for n in range(2, 42)]
    (root,) = tree([process(1, "job", 1), *workers], [])
    (node,) = root.children

    assert (node.name, node.calls, node.p95_ns) == ("worker", 40, 39)


def test_a_process_whose_starter_is_unknown_is_a_root() -> None:
    """Such as a daemon that was adopted."""
    assert shape(tree([process(1, "job", 1), process(2, "stray", 99)], [])) == [
        (0, "job"),
        (0, "stray"),
    ]


def test_a_process_that_starts_its_own_kind_is_one_node() -> None:
    """A script that runs itself again is not below itself."""
    assert shape(tree([process(1, "job", 1), process(2, "job", 10, 5)], [])) == [(0, "job")]


def test_the_costly_come_first() -> None:
    """Calls and processes alike."""
    processes = [process(1, "job", 1), process(2, "child", 10, 0, 50)]
    roots = tree(processes, [path(1, None, 10), path(2, None, 70)])

    assert shape(roots) == [(0, "job"), (1, "f2"), (1, "child"), (1, "f1")]


def test_a_generators_suspensions_do_not_count() -> None:
    """Its total is the time in which it ran; how long its calls took, one by one, is not known."""
    generator = path(1, None, 100, calls=2, suspended_ns=60)
    (root,) = tree([process(1, "job", 1)], [generator])
    (node,) = root.children

    assert (node.total_ns, node.self_ns, node.p95_ns) == (40, 40, None)
    assert root.self_ns == 60


def test_p95_is_told_of_many_calls_only() -> None:
    """And is never above the longest of them."""
    (root,) = tree([process(1, "job", 1)], [path(1, None, 10), path(2, None, 9, calls=2)])

    assert [node.p95_ns for node in root.children] == [None, 9]


def test_recursion_is_one_node() -> None:
    """Calls and self times add up; the total is that of the outermost call; what it calls is merged."""
    paths = [
        path(1, None, 100, child_ns=90),
        path(2, 1, 80, child_ns=75),
        path(3, 2, 60, child_ns=20),
        path(4, 3, 20),
        path(5, 2, 15),
        path(6, 1, 10),
    ]
    roots = tree([process(1, "job", 1)], paths, "fact fact fact leaf leaf other")
    fold_recursion(roots)
    (fact,) = roots[0].children

    assert shape(roots) == [(0, "job"), (1, "fact"), (2, "leaf"), (2, "other")]
    assert (fact.levels, fact.calls, fact.total_ns, fact.self_ns) == (3, 3, 100, 55)
    assert (fact.children[0].calls, fact.children[0].total_ns) == (2, 35)


def test_mutual_recursion_stays() -> None:
    """Which calls which is worth seeing."""
    paths = [path(1, None), path(2, 1), path(3, 2)]
    roots = tree([process(1, "job", 1)], paths, "even odd even")
    fold_recursion(roots)

    assert shape(roots) == [(0, "job"), (1, "even"), (2, "odd"), (3, "even")]


def test_any_depth_is_shown() -> None:
    """A tree deeper than Python's own recursion limit is walked, folded and pruned."""
    paths = [path(number, number - 1 or None) for number in range(1, DEEP + 1)]
    different = tree([process(1, "job", 1)], paths)
    same = tree([process(1, "job", 1)], paths, "down " * DEEP)
    fold_recursion(different)
    fold_recursion(same)

    assert len(shape(different)) == DEEP + 1
    assert len(shape(prune(different, 5, None, None))) == DEEP + 1
    assert shape(same) == [(0, "job"), (1, "down")]


def test_pruning() -> None:
    """By time, depth and name; what leads to a match stays."""

    def fresh() -> list[Node]:
        paths = [path(1, None, 50), path(2, 1, 30), path(3, 2, 20), path(4, None, 5)]
        return tree([process(1, "job", 1)], paths, "main load parse tidy")

    everything = [(0, "job"), (1, "main"), (2, "load"), (3, "parse"), (1, "tidy")]
    assert shape(prune(fresh(), 0, None, None)) == everything
    assert shape(prune(fresh(), 10, None, None)) == everything[:4]
    assert shape(prune(fresh(), 0, 1, None)) == [(0, "job"), (1, "main"), (1, "tidy")]
    assert shape(prune(fresh(), 0, None, "load")) == everything[:3]
    assert shape(prune(fresh(), 0, None, "nothing")) == []


def test_a_call_that_runs_is_never_too_small() -> None:
    """What a program does right now is what its user wants to know."""
    roots = tree([process(1, "job", 1)], [path(1, None, 0, open=1, calls=0)])

    assert shape(prune(roots, 10, None, None)) == [(0, "job"), (1, "f1")]
