"""The SQLite database that the sales go into, and its summary tables."""

import sqlite3
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from pipeline.join import Sale

TABLES = """
CREATE TABLE sale (
    id INTEGER PRIMARY KEY, day TEXT, customer TEXT, country TEXT, category TEXT, cents INTEGER
) STRICT;
"""
SUMMARIES = {
    "monthly": "SELECT substr(day, 1, 7) AS month, country, sum(cents) AS cents, count(*) AS sales "
    "FROM sale GROUP BY month, country",
    "by_category": "SELECT category, sum(cents) AS cents, count(*) AS sales "
    "FROM sale GROUP BY category",
    "by_customer": "SELECT customer, country, sum(cents) AS cents, count(*) AS sales "
    "FROM sale GROUP BY customer",
}


class Warehouse:
    """The database, written anew at each run. Threads may store at the same time; they take turns."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._turn = threading.Lock()

    def __enter__(self) -> Self:
        self._path.unlink(missing_ok=True)
        self._connection = sqlite3.connect(self._path, check_same_thread=False)
        self._connection.execute("PRAGMA synchronous = OFF")
        self._connection.executescript(TABLES)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._connection.close()

    def store(self, sales: list[Sale]) -> int:
        """Insert *sales*; return how many they were."""
        with self._turn:
            self._connection.executemany("INSERT INTO sale VALUES (?, ?, ?, ?, ?, ?)", sales)
            self._connection.commit()
        return len(sales)

    def summarise(self) -> None:
        """Make the tables that the report reads."""
        for name, query in SUMMARIES.items():
            self.build(name, query)

    def build(self, name: str, query: str) -> None:
        """Make one summary table."""
        self._connection.execute(f"CREATE TABLE {name} AS {query}")
        self._connection.commit()
