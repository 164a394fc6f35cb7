"""Joins orders with what is known of customers and products."""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.clean import Order

Sale = tuple[int, str, str, str, str, int]  # id, day, customer, country, category, cents


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What orders refer to."""

    customers: dict[str, str]  # to their country
    products: dict[str, str]  # to their category


def read_customers(path: Path) -> dict[str, str]:
    """Return the country of each customer."""
    with path.open(newline="") as file:
        return {row["customer"]: tidy(row["country"]) for row in csv.DictReader(file)}


def read_products(path: Path) -> dict[str, str]:
    """Return the category of each product."""
    with path.open(newline="") as file:
        return {row["product"]: row["category"] for row in csv.DictReader(file)}


def tidy(text: str) -> str:
    """Return *text* with single blanks and in the case of a name."""
    return " ".join(text.split()).title()


def join_batches(
    batches: Iterable[list[Order]], catalogue: Catalogue, rejected: Counter[str]
) -> Iterator[list[Sale]]:
    """Yield the sales of one file; orders of unknown customers are counted in *rejected*."""
    for orders in batches:
        sales = join_batch(orders, catalogue)
        rejected["unknown customer"] += len(orders) - len(sales)
        yield sales


def join_batch(orders: list[Order], catalogue: Catalogue) -> list[Sale]:
    """Return the sales of the known customers among *orders*."""
    customers, products = catalogue.customers, catalogue.products
    return [
        (
            order.id,
            order.day,
            order.customer,
            customers[order.customer],
            products[order.product],
            order.quantity * order.cents,
        )
        for order in orders
        if order.customer in customers
    ]
