"""Prints the report on the database that the job has filled. Started by etl.py as a process of its own."""

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing


def main() -> None:
    """Print all sections."""
    with closing(sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)) as database:
        for section in (revenue_by_country, revenue_by_category, best_customers, sale_values):
            print()
            print("\n".join(section(database)))


def euros(cents: int) -> str:
    """Return *cents* as an amount in euros."""
    return f"{cents / 100:,.2f} €"


def table(title: str, rows: list[tuple[str, int]]) -> Iterator[str]:
    """Yield the lines of a table of names and amounts."""
    yield title
    for name, cents in rows:
        yield f"  {name:<24}{euros(cents):>20}"


def revenue_by_country(database: sqlite3.Connection) -> Iterator[str]:
    """Return the section on countries."""
    query = "SELECT country, sum(cents) FROM monthly GROUP BY country ORDER BY 2 DESC"
    return table("Revenue by country", database.execute(query).fetchall())


def revenue_by_category(database: sqlite3.Connection) -> Iterator[str]:
    """Return the section on categories."""
    query = "SELECT category, cents FROM by_category ORDER BY cents DESC"
    return table("Revenue by category", database.execute(query).fetchall())


def best_customers(database: sqlite3.Connection) -> Iterator[str]:
    """Return the section on the customers who spent most."""
    query = "SELECT customer, cents FROM by_customer ORDER BY cents DESC, customer LIMIT 5"
    return table("Best customers", database.execute(query).fetchall())


def sale_values(database: sqlite3.Connection) -> Iterator[str]:
    """Return the section on what a sale is worth, in the middle and at the edge."""
    query = "SELECT cents FROM sale ORDER BY cents"
    amounts = [cents for (cents,) in database.execute(query)]
    shares = {"median": 0.5, "95th percentile": 0.95, "99th percentile": 0.99}
    rows = [(name, amounts[int(share * len(amounts))]) for name, share in shares.items()]
    return table("What a sale is worth", rows)


if __name__ == "__main__":
    main()
