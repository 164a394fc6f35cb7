"""--max-spans in the history: which spans are kept, whatever the order in which the agent reads them."""

from itertools import chain

from hypothesis import given
from hypothesis import strategies as st

from rheostat_agent.batch import Batch
from rheostat_agent.limits import END_OF, SpanLimit


def _row(span: int, start_ns: int, end_ns: int) -> tuple[int | None, ...]:
    return (span, 0, 1, 1, 1, 1, start_ns, end_ns, None, None, None, None)


def _calls(process: int, first_ns: int, count: int) -> list[tuple[int | None, ...]]:
    """Return *count* calls, one after the other, 2 ns each, of a process that was started at *first_ns*."""
    return [
        _row(process * 1000 + at, first_ns + 3 * at, first_ns + 3 * at + 2) for at in range(count)
    ]


@given(order=st.permutations(range(4)), together=st.booleans())
def test_processes_do_not_multiply_the_limit(order: list[int], together: bool) -> None:
    """Four processes, one after the other, 30 calls each, read in any order: at most 70 spans, and one open call a process."""
    limit, kept, loss = SpanLimit(70), 0, 0
    batches = [_calls(process, process * 1000 + 1, 30) for process in order]
    for rows in [list(chain(*batches))] if together else batches:
        batch = Batch()
        batch.spans.extend(sorted(rows, key=END_OF))
        loss += limit.cut(batch, kept, loss + 1)
        kept += len(batch.spans)

    assert 70 <= kept <= 70 + 4
    assert kept + limit.over == 120
    assert loss == 1


def test_what_was_open_at_the_limit_is_kept() -> None:
    """`main`, which began before the limit was reached and ends after it, has its span."""
    limit, batch = SpanLimit(10), Batch()
    batch.spans.extend(_calls(1, 10, 20))
    limit.cut(batch, 0, 1)
    late = Batch()
    late.spans.extend([_row(1, 1, 5_000), _row(2, 4_000, 4_500)])

    limit.cut(late, len(batch.spans), 2)

    assert [row[0] for row in late.spans] == [1]
