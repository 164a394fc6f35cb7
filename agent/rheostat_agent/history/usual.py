"""Whether a run took longer than its workflow usually does."""

from __future__ import annotations

from rheostat_agent.history.runs import list_runs

_LAST = 50  # runs to compare with
_FEWEST = 5  # below that nothing is usual yet
_SHARE = 0.95  # of those that a slow run is slower than
_FACTOR = 1.2  # times the median, at least: a workflow that always takes the same has no slow runs for a millisecond


def is_slow(state: str, workflow: str, run: str, wall_ns: int) -> bool:
    """Say whether *run*, which took *wall_ns* nanoseconds, was slower than 95 % of the last 50 of its workflow that went well.

    Never with fewer than five of them. Raises NewerSchema or sqlite3.OperationalError.
    """
    earlier = sorted(
        one.wall_ns
        for one in list_runs(state, workflow, limit=_LAST + 1)
        if one.id != run and one.status == "ok" and one.wall_ns is not None
    )
    if len(earlier) < _FEWEST:
        return False
    threshold = earlier[min(len(earlier) - 1, int(len(earlier) * _SHARE))]
    return wall_ns > max(threshold, earlier[len(earlier) // 2] * _FACTOR)
