"""Turns rows of text into orders, and says of every row that it drops why."""

import datetime
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from typing import NamedTuple

from pipeline.extract import Row

EURO_PER_UNIT = {"USD": 0.9137, "GBP": 1.1722, "CHF": 1.0481}


class Order(NamedTuple):
    """One order. *day* is an ISO date, *cents* the price of one piece in euro cents."""

    id: int
    day: str
    customer: str
    product: str
    quantity: int
    cents: int


def clean_batches(batches: Iterable[list[Row]], rejected: Counter[str]) -> Iterator[list[Order]]:
    """Yield the orders of one file; count in *rejected* the rows that are none."""
    seen: set[int] = set()
    for rows in batches:
        orders = parse_batch(rows)
        fresh = drop_duplicates(orders, seen)
        sound = [order for order in fresh if order.quantity > 0]
        rejected["duplicate"] += len(orders) - len(fresh)
        rejected["no quantity"] += len(fresh) - len(sound)
        yield sound


def parse_batch(rows: list[Row]) -> list[Order]:
    """Return the orders that *rows* hold. Raises ValueError for what is no number or date."""
    orders = []
    for number, day, customer, product, quantity, price, currency in rows:
        if currency == "EUR":
            cents = round(float(price.replace(",", "")) * 100)
        else:
            cents = to_euro_cents(price, currency)
        order = Order(int(number), iso_day(day), customer, product, int(quantity), cents)
        orders.append(order)
    return orders


def to_euro_cents(price: str, currency: str) -> int:
    """Return a price in another currency in euro cents."""
    try:
        rate = EURO_PER_UNIT[currency]
    except KeyError:
        raise ValueError(f"unknown currency {currency!r}") from None
    return round(float(price.replace(",", "")) * rate * 100)


@cache
def iso_day(text: str) -> str:
    """Return a date, written in either way, in ISO format."""
    pattern = "%d/%m/%Y" if "/" in text else "%Y-%m-%d"
    return datetime.datetime.strptime(text, pattern).date().isoformat()


def drop_duplicates(orders: list[Order], seen: set[int]) -> list[Order]:
    """Return the orders that are not in *seen*, and add them to it."""
    fresh = []
    for order in orders:
        if order.id not in seen:
            seen.add(order.id)
            fresh.append(order)
    return fresh
