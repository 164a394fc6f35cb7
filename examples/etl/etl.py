"""A nightly job, as one finds them: a year of orders from CSV files into SQLite, then a report.

    csv files ─ extract ─▶ rows ─ clean ─▶ orders ─ join ─▶ sales ─ warehouse ─▶ SQLite ─ report.py ─▶ text
       one a month, read by a pool of threads; each file streams through in batches

Standard library only, and nothing in it knows of Rheostat. The first run makes its own data (seeded, a million rows). One
of the twelve files is broken on purpose: the job reports it, goes on, and its output is the same at every run.

    python etl.py
    python etl.py --rows 50000 --data /tmp/small
"""

import argparse
import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from pipeline import clean, extract, generate, join
from pipeline.join import Catalogue
from pipeline.warehouse import Warehouse

REPORT = Path(__file__).with_name("report.py")


@dataclass(slots=True)
class Outcome:
    """What became of one file. *problem* says why it could not be read to its end."""

    name: str
    stored: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    problem: str | None = None


def default_data() -> Path:
    """Return the folder of the data where none is given: in the user's cache directory."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "etl-example"


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description="Load a year of orders and report on them.")
    parser.add_argument("--data", type=Path, default=default_data(), help="where the data lies")
    parser.add_argument("--rows", type=int, default=1_000_000, help="orders to generate")
    parser.add_argument("--workers", type=int, default=4, help="files to read at a time")
    return parser.parse_args(arguments)


def process(path: Path, catalogue: Catalogue, warehouse: Warehouse) -> Outcome:
    """Take one month's file through the pipeline. A file that is not as agreed is reported, not fatal."""
    outcome = Outcome(path.name)
    rows = extract.read_batches(path)
    orders = clean.clean_batches(rows, outcome.rejected)
    sales = join.join_batches(orders, catalogue, outcome.rejected)
    try:
        for batch in sales:
            outcome.stored += warehouse.store(batch)
    except ValueError as error:
        outcome.problem = str(error)
    return outcome


def load_year(data: Path, warehouse: Warehouse, workers: int) -> list[Outcome]:
    """Load all files of the year, *workers* at a time; return their outcomes in the order of the months."""
    catalogue = Catalogue(
        customers=join.read_customers(data / "customers.csv"),
        products=join.read_products(data / "products.csv"),
    )
    with ThreadPoolExecutor(workers, thread_name_prefix="loader") as pool:
        tasks = [
            pool.submit(process, path, catalogue, warehouse)
            for path in sorted(data.glob("orders-*.csv"))
        ]
        return [task.result() for task in tasks]


def print_outcomes(outcomes: list[Outcome]) -> None:
    """Print how many orders were stored, left out and why."""
    rejected = sum((outcome.rejected for outcome in outcomes), Counter[str]())
    print(f"{sum(outcome.stored for outcome in outcomes):>9,} orders stored")
    for reason, count in sorted(rejected.items()):
        print(f"{count:>9,} rejected: {reason}")
    for outcome in outcomes:
        if outcome.problem:
            print(f"          skipped: {outcome.problem}")


def report(database: Path) -> None:
    """Print the report, from a process of its own."""
    sys.stdout.flush()
    subprocess.run([sys.executable, str(REPORT), str(database)], check=True)


def main() -> None:
    """Run the job."""
    options = parse_arguments()
    data = options.data / f"{options.rows}-rows"
    generate.ensure_data(data, options.rows)
    database = data / "warehouse.sqlite"
    with Warehouse(database) as warehouse:
        outcomes = load_year(data, warehouse, options.workers)
        warehouse.summarise()
    print_outcomes(outcomes)
    report(database)


if __name__ == "__main__":
    main()
