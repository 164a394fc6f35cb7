"""Makes the data of the example: seeded, so every machine gets the same bytes.

The orders are as dirty as orders are: two ways to write a date, thousands separators, four currencies, blanks around
names, duplicates, customers nobody knows. The file of July has the header of another system and cannot be read.
"""

import csv
import datetime
import random
from collections.abc import Iterator
from pathlib import Path

YEAR = 2026
BROKEN_MONTH = 7
CUSTOMERS = 20_000
PRODUCTS = 400
COUNTRIES = ("Austria", "France", "Germany", "Italy", "Poland", "Spain", "Sweden", "Switzerland")
CURRENCIES = {"EUR": 68, "USD": 14, "GBP": 10, "CHF": 8}
HEADER = ("order_id", "ordered_on", "customer", "product", "quantity", "price", "currency")


def ensure_data(folder: Path, rows: int) -> None:
    """Make the data unless it is there. A run that was interrupted leaves no half of it behind."""
    done = folder / "complete"
    if done.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    write_customers(folder / "customers.csv")
    write_products(folder / "products.csv")
    for month in range(1, 13):
        write_orders(folder / f"orders-{YEAR}-{month:02}.csv", month, rows // 12)
    done.touch()


def write_customers(path: Path) -> None:
    """Write the customers, their names typed by hand."""
    chance = random.Random(1)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("customer", "name", "country"))
        for number in range(CUSTOMERS):
            country = chance.choice(COUNTRIES)
            name = f"  Customer {number}" if number % 7 else f"CUSTOMER  {number} "
            writer.writerow((f"c{number}", name, country.upper() if number % 11 == 0 else country))


def write_products(path: Path) -> None:
    """Write the products and their categories."""
    chance = random.Random(2)
    categories = ("books", "garden", "kitchen", "music", "tools", "toys")
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("product", "category"))
        for number in range(PRODUCTS):
            writer.writerow((f"p{number}", chance.choice(categories)))


def write_orders(path: Path, month: int, rows: int) -> None:
    """Write the orders of one month."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, delimiter=";" if month == BROKEN_MONTH else ",")
        writer.writerow(HEADER)
        writer.writerows(orders(month, rows))


def orders(month: int, rows: int) -> Iterator[tuple[object, ...]]:
    """Yield the orders of one month, as another system would export them."""
    chance = random.Random(100 + month)
    days = [written_day(month, day, style) for day in range(1, 29) for style in (0, 1)]
    currencies = chance.choices(list(CURRENCIES), list(CURRENCIES.values()), k=rows)
    dates = chance.choices(days, k=rows)
    spread = chance.random
    for number in range(rows):
        customer = int(spread() * CUSTOMERS * 1.002)  # a few are unknown
        product = int(spread() ** 2 * PRODUCTS)
        quantity = int(spread() * 5) if number % 250 else -1
        cents = 99 + int(spread() ** 3 * 250_000)
        price = f"{cents / 100:,.2f}"
        order = month * 10_000_000 + number - (number % 199 == 198)  # a few come twice
        fields = (order, dates[number], f"c{customer}", f"p{product}", quantity + 1, price)
        yield (*fields, currencies[number])


def written_day(month: int, day: int, style: int) -> str:
    """Return a date as one of the two systems writes it."""
    date = datetime.date(YEAR, month, day)
    return date.isoformat() if style == 0 else date.strftime("%d/%m/%Y")
