"""Calls come into the history in the order in which they ended, however late the agent reads them."""

from running import Rheostat, unread_run

JOB = """
def leaf():
    pass
def branch(count):
    for _ in range(count):
        leaf()
def main():
    for _ in range(3):
        branch(30_000)
main()
"""


def test_children_come_before_their_parents(rheostat: Rheostat) -> None:
    """A run of 90,000 calls, none of which was read before it ended: more than an agent reads in one round."""
    directory = unread_run(rheostat, JOB)
    rheostat.command("runs")
    history = rheostat.await_complete(directory)
    place = {span.id: at for at, span in enumerate(history.spans)}

    assert len(place) == 90_004
    assert all(place[span.id] < place.get(span.parent, len(place)) for span in history.spans)
