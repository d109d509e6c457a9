"""Place-order commands a second through the writer at 1, 8 and 64 clients, beside the library used plainly.

The plain rival places, pays and confirms the same order with one aggregate an order and one an article, as the
library's documentation shows, on the same server in the same run: `Application.save` with its own recorder.
"""

from __future__ import annotations

import itertools
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import IntegrityError
from psycopg.conninfo import conninfo_to_dict

from opscore.database import Database
from opscore.settings import Settings
from opscore.writer import Request, Writer
from tests.benchmarks.harness import Table, fresh_database
from tests.shop import OWNER, Shop

CLIENTS = (1, 8, 64)
SKUS = 50
SECONDS = 4.0


@dataclass
class Rate:
    """Commands a second and how long each took."""

    per_second: float
    p50_ms: float
    p99_ms: float


def drive(clients: int, place: Callable[[int], None], seconds: float = SECONDS) -> Rate:
    """Let `clients` threads call `place` one call after the other for some seconds."""
    spent: list[list[float]] = [[] for _ in range(clients)]
    until = time.perf_counter() + seconds

    def client(number: int) -> None:
        while (start := time.perf_counter()) < until:
            place(number)
            spent[number].append(time.perf_counter() - start)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    times = sorted(itertools.chain.from_iterable(spent))
    cuts = statistics.quantiles(times, n=100)
    return Rate(len(times) / (time.perf_counter() - begun), cuts[49] * 1000, cuts[98] * 1000)


def drive_futures(in_flight: int, writer: Writer, order: Callable[[], Request], seconds: float = SECONDS) -> Rate:
    """Keep `in_flight` commands with the writer, as an event loop with that many clients does."""
    spent: list[float] = []
    done = threading.Semaphore(in_flight)
    until = time.perf_counter() + seconds
    begun = time.perf_counter()
    while time.perf_counter() < until:
        done.acquire()
        sent = time.perf_counter()

        def answered(_: object, sent: float = sent) -> None:
            spent.append(time.perf_counter() - sent)
            done.release()

        writer.submit(order()).add_done_callback(answered)
    for _ in range(in_flight):
        done.acquire()
    cuts = statistics.quantiles(spent, n=100)
    return Rate(len(spent) / (time.perf_counter() - begun), cuts[49] * 1000, cuts[98] * 1000)


def run(table: Table, database: Database, settings: Settings) -> None:
    """Measure the writer, then the plain library, and print both."""
    writer = Writer(database, settings)
    writer.start()
    shop = Shop.open(writer)
    skus = [shop.sku(stock=10_000_000) for _ in range(SKUS)]
    turns = itertools.count()

    def order() -> Request:
        number = next(turns)
        command = shop.order(*((skus[(number + step) % SKUS], 1) for step in range(3)))
        return Request(command, OWNER, f"order {number}")

    for clients in CLIENTS:
        before = (writer.statistics.batches, writer.statistics.commands)
        rate = drive_futures(clients, writer, order)
        batches = writer.statistics.batches - before[0]
        commands = writer.statistics.commands - before[1]
        table.row(
            f"opscore writer, {clients} clients",
            f"{rate.per_second:,.0f} orders/s",
            f"p50 {rate.p50_ms:.1f} ms, p99 {rate.p99_ms:.1f} ms, {commands / batches:.0f} a commit, 4 events each",
        )
    writer.stop()
    for clients in (1, 8):
        rate = drive(clients, PlainShop(database).place)
        table.row(
            f"plain eventsourcing, {clients} clients",
            f"{rate.per_second:,.0f} orders/s",
            f"p50 {rate.p50_ms:.1f} ms, p99 {rate.p99_ms:.1f} ms",
        )


class PlainArticle(Aggregate):
    """An article as the library's documentation would write it."""

    def __init__(self, stock: int) -> None:
        self.stock = stock

    @event("Reserved")
    def reserve(self, order_id: UUID, quantity: int) -> None:
        """Take from stock."""
        self.stock -= quantity


class PlainOrder(Aggregate):
    """An order as the library's documentation would write it."""

    def __init__(self, lines: list[dict[str, str]], total: Decimal) -> None:
        self.lines = lines
        self.total = total


class PlainShop(Application[UUID]):
    """Places orders by loading, deciding and saving, again when somebody else was first."""

    def __init__(self, database: Database) -> None:
        known = conninfo_to_dict(database.conninfo("admin"))
        super().__init__(
            env={
                "PERSISTENCE_MODULE": "eventsourcing.postgres",
                "POSTGRES_DBNAME": str(known["dbname"]),
                "POSTGRES_HOST": str(known["host"]),
                "POSTGRES_PORT": str(known.get("port", "5432")),
                "POSTGRES_USER": str(known["user"]),
                "POSTGRES_PASSWORD": str(known.get("password", "none")),
                "POSTGRES_SCHEMA": "public",
                "POSTGRES_POOL_SIZE": "8",
                "POSTGRES_MAX_OVERFLOW": "8",
            }
        )
        self.skus = [PlainArticle(10_000_000) for _ in range(SKUS)]
        self.save(*self.skus)
        self.ids = [sku.id for sku in self.skus]
        self.turns = itertools.count()

    def place(self, _: int) -> None:
        """Reserve three articles and record the order in one transaction."""
        number = next(self.turns)
        while True:
            order = PlainOrder(
                lines=[{"sku": str(self.ids[(number + step) % SKUS]), "quantity": "1"} for step in range(3)],
                total=Decimal(30),
            )
            articles: list[PlainArticle] = [self.repository.get(self.ids[(number + step) % SKUS]) for step in range(3)]
            for article in articles:
                article.reserve(order.id, 1)
            try:
                self.save(order, *articles)
            except IntegrityError:
                continue
            return


def main() -> None:
    """Run it on a server of its own."""
    with fresh_database() as (opened, chosen), Table("Placing orders, three lines each") as printed:
        run(printed, opened, chosen)


if __name__ == "__main__":
    main()
