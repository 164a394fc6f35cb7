"""Call paths by name: one row for each, however deep and however recursive a program is."""

from rheostat_agent.calls import Path
from rheostat_agent.history.histogram import Histogram
from rheostat_agent.history.pathnames import MAX_DEPTH, named_totals

NAMES = {1: "job.a", 2: "job.b"}


def _path(number: int, parent: int | None, function: int, took_ns: int) -> Path:
    made = Path(number, parent, function, "job")
    made.add([took_ns])
    return made


def test_a_path_is_named_by_its_process_and_its_functions() -> None:
    """Names are joined from the outermost on; totals are those of the path."""
    rows = named_totals([_path(1, None, 1, 10), _path(2, 1, 2, 4), _path(3, None, 2, 5)], NAMES)

    assert [row[:4] for row in rows] == [
        ("job › job.a", 1, 0, 10),
        ("job › job.a › job.b", 1, 0, 4),
        ("job › job.b", 1, 0, 5),
    ]


def test_a_function_that_calls_itself_is_one_path() -> None:
    """All levels count as calls; the time is that of the outermost, which holds the others."""
    levels = [_path(number, number - 1 or None, 1, 1000 - number) for number in range(1, 501)]

    ((name, calls, _, total_ns, histogram),) = named_totals(levels, NAMES)

    assert (name, calls, total_ns) == ("job › job.a", 500, 999)
    assert Histogram.from_bytes(histogram).count == 500


def test_the_deepest_levels_are_one_path() -> None:
    """Functions that call each other make no name without an end: nothing is left out of the counts."""
    levels = [
        _path(number, number - 1 or None, 1 + number % 2, 20_000 - number)
        for number in range(1, 20_001)
    ]

    rows = named_totals(levels, NAMES)

    assert len(rows) == MAX_DEPTH + 1
    assert sum(row[1] for row in rows) == 20_000
    assert rows[-1][0].endswith(" › …")
    assert rows[-1][3] == 20_000 - (MAX_DEPTH + 1)
    assert all(len(row[0]) < 10 * (MAX_DEPTH + 2) for row in rows)
