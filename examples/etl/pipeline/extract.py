"""Reads the files, a batch of rows at a time, so that memory does not depend on their size."""

import csv
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

BATCH = 2_000
COLUMNS = ["order_id", "ordered_on", "customer", "product", "quantity", "price", "currency"]

Row = list[str]


def read_batches(path: Path) -> Iterator[list[Row]]:
    """Yield the rows of *path*. Raises ValueError if its columns are not the ones agreed on."""
    with path.open(newline="") as file:
        rows = csv.reader(file)
        check_header(path, next(rows, []))
        while batch := list(islice(rows, BATCH)):
            yield batch


def check_header(path: Path, header: Row) -> None:
    """Raise ValueError if *header* is not the one agreed on."""
    if header != COLUMNS:
        raise ValueError(f"{path.name} has the header {','.join(header)!r}")
