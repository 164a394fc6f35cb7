"""The example that the README runs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from running import Rheostat, rheostat_fixture

ETL = Path(__file__).resolve().parents[2] / "examples" / "etl" / "etl.py"
ROWS, MONTHS = 24_000, 12


@pytest.fixture
def rheostat(tmp_path: Path) -> Iterator[Rheostat]:
    """The `rheostat` command, with a project and a state directory of its own."""
    yield from rheostat_fixture(tmp_path)


def test_the_example_prints_the_same_observed_and_plain(rheostat: Rheostat) -> None:
    """Its output and status are those of a plain run, and its files, batches, child and error are in the history."""
    words = (str(ETL), "--rows", str(ROWS), "--data", str(rheostat.folder / "data"))
    plain = rheostat.plain(*words)
    observed = rheostat.run(*words, options=("--quiet",))

    assert plain.returncode == 0
    assert observed == plain
    history = rheostat.await_complete()
    names = history.names()
    assert names["etl.process"] == MONTHS
    batches = history.named("pipeline.join.join_batches")
    stored = names["pipeline.warehouse.Warehouse.store"]
    assert (
        stored == sum(span.items or 0 for span in batches) == MONTHS - 1
    )  # one batch a sound file
    assert names["report.main"] == 1
    assert {error.type for error in history.errors.values()} == {"ValueError"}
    [check] = [s for s in history.named("pipeline.extract.check_header") if history.error(s)]
    assert history.chain(check)[:3] == ("etl.main", "etl.load_year", "etl.process")
