"""Four weeks of real invoices, imported: every figure that opscore is asked for is the one DuckDB finds in the file."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

import duckdb
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from opscore import resources
from opscore.database import Database
from opscore.embedded import EmbeddedServer
from opscore.imports.online_retail import import_online_retail
from opscore.imports.report import ImportReport
from opscore.log.event_log import EventFilter, EventLog
from opscore.projector.projector import Projector
from opscore.settings import Settings
from opscore.writer import Writer
from tests.conftest import MASTER_KEY
from tests.imports.retail_rows import as_table, figures

SLICE = resources.path("data") / "online_retail_slice.csv.gz"


@dataclass
class Imported:
    """The bundled slice in a database of its own, its read models, and the same file as a DuckDB table."""

    database: Database
    writer: Writer
    log: EventLog
    projector: Projector
    report: ImportReport
    table: duckdb.DuckDBPyConnection

    def ask(self, projection: str, query: str, **params: Any) -> list[dict[str, Any]]:
        return self.projector.run_query(projection, query, params, store_ids=None)

    def expect(self, query: str) -> list[tuple[Any, ...]]:
        return figures(self.table, query)


@pytest.fixture(scope="module")
def imported(server: EmbeddedServer, template: str, database_names: Iterator[int]) -> Iterator[Imported]:
    """Import the slice once for all tests here, then build the read models."""
    name = f"t{next(database_names)}"
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        )
    url = make_conninfo(server.url, dbname=name)
    settings = Settings(_env_file=None, database_url=url, master_key=MASTER_KEY, port=0)
    with Database.open(settings) as database:
        writer = Writer(database, settings)
        writer.start()
        try:
            report = import_online_retail(writer, SLICE)
            projector = Projector(database)
            for projection in ("kpi_daily", "stock_ledger", "order_book"):
                projector.rebuild(projection)
            log = EventLog(database.pool.connection)
            yield Imported(database, writer, log, projector, report, as_table(SLICE))
        finally:
            writer.stop()


def test_no_row_is_rejected_and_no_command_refused(imported: Imported) -> None:
    assert imported.report.verdicts["rejected"] == 0
    assert not imported.report.commands_refused


def test_orders_customers_sales_and_refunds_of_every_day_are_those_of_the_file(imported: Imported) -> None:
    days = imported.ask("kpi_daily", "days")
    columns = ("day", "orders", "customers", "units", "gross_minor", "refunded_minor", "net_sales_minor")
    assert [tuple(day[column] for column in columns) for day in days] == imported.expect(
        """
        SELECT day, count(DISTINCT invoice) FILTER (WHERE class = 'sale'),
            count(DISTINCT customer) FILTER (WHERE class = 'sale'),
            coalesce(sum(quantity) FILTER (WHERE class = 'sale' AND goods), 0)::BIGINT,
            coalesce(sum(minor) FILTER (WHERE class = 'sale'), 0)::BIGINT,
            -coalesce(sum(minor) FILTER (WHERE class = 'cancellation'), 0)::BIGINT,
            coalesce(sum(minor) FILTER (WHERE class IN ('sale', 'cancellation')), 0)::BIGINT
        FROM retail WHERE class IN ('sale', 'cancellation') GROUP BY day ORDER BY day
        """
    )
    assert len(days) > 20


def test_customers_of_a_month_are_counted_once_however_often_they_come(imported: Imported) -> None:
    months = imported.ask("kpi_daily", "periods", grain="month")
    assert [
        (m["starts_on"], m["orders"], m["customers"], m["gross_minor"], m["refunded_minor"]) for m in months
    ] == imported.expect(
        """
        SELECT date_trunc('month', day)::DATE, count(DISTINCT invoice) FILTER (WHERE class = 'sale'),
            count(DISTINCT customer) FILTER (WHERE class = 'sale'),
            sum(minor) FILTER (WHERE class = 'sale')::BIGINT, -sum(minor) FILTER (WHERE class = 'cancellation')::BIGINT
        FROM retail GROUP BY 1 ORDER BY 1
        """
    )


def test_totals_and_repeat_customers_of_the_whole_time_are_those_of_the_file(imported: Imported) -> None:
    (total,) = imported.ask("kpi_daily", "totals")
    assert [
        (total["orders"], total["customers"], total["repeat_customers"], total["gross_minor"], total["net_sales_minor"])
    ] == imported.expect(
        """
        SELECT count(DISTINCT invoice), count(DISTINCT customer),
            (SELECT count(*) FROM (
                SELECT customer FROM retail WHERE class = 'sale' AND customer IS NOT NULL
                GROUP BY customer HAVING count(DISTINCT invoice) > 1)),
            sum(minor)::BIGINT, (SELECT sum(minor)::BIGINT FROM retail WHERE class IN ('sale', 'cancellation'))
        FROM retail WHERE class = 'sale'
        """
    )


def test_every_skus_units_opening_and_closing_stock_are_those_of_the_file(imported: Imported) -> None:
    expected = {
        code: Counter(opening=opening, sold=sold, cancelled=cancelled, given=given, adjusted=adjusted, closing=closing)
        for code, opening, sold, cancelled, given, adjusted, closing in imported.expect(
            """
            WITH moved AS (
                SELECT *, CASE WHEN class IN ('sale', 'cancellation') THEN -quantity
                    WHEN class = 'stock_adjust' THEN quantity
                    WHEN class = 'zero_price' THEN if(customer IS NULL, quantity, -quantity) ELSE 0 END AS change
                FROM retail WHERE goods),
            running AS (SELECT *, sum(change) OVER (PARTITION BY code ORDER BY ts, line_no) AS balance FROM moved)
            SELECT code, greatest(0, -min(balance))::BIGINT,
                coalesce(sum(quantity) FILTER (WHERE class = 'sale'), 0)::BIGINT,
                -coalesce(sum(quantity) FILTER (WHERE class = 'cancellation'), 0)::BIGINT,
                coalesce(sum(quantity) FILTER (WHERE class = 'zero_price' AND customer IS NOT NULL), 0)::BIGINT,
                coalesce(sum(quantity) FILTER (
                    WHERE class = 'stock_adjust' OR (class = 'zero_price' AND customer IS NULL)), 0)::BIGINT,
                (greatest(0, -min(balance)) + sum(change))::BIGINT
            FROM running GROUP BY code
            """
        )
    }
    columns = {
        "received": ("opening", 1),
        "shipped": ("sold", -1),
        "returned": ("cancelled", 1),
        "sample": ("given", -1),
        "written_off": ("adjusted", 1),
        "adjusted": ("adjusted", 1),
    }
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for movement in imported.ask("stock_ledger", "total_movements"):
        if movement["on_hand"]:
            column, sign = columns[movement["kind"]]
            found[movement["code"]][column] += sign * int(movement["on_hand"])
    for level in imported.ask("stock_ledger", "levels"):
        assert level["reserved"] == level["damaged"] == level["in_transit"] == 0
        found[level["code"]]["closing"] += int(level["on_hand"])
    assert dict(found) == expected


def test_the_best_selling_skus_are_those_of_the_file_letter_case_and_fees_included(imported: Imported) -> None:
    top = imported.ask("order_book", "top_skus", row_limit=10_000)
    assert {(t["sku_code"], int(t["units"]), t["amount_minor"], t["orders"]) for t in top} == set(
        imported.expect(
            """
            SELECT code, sum(quantity)::BIGINT, sum(minor)::BIGINT, count(DISTINCT invoice)
            FROM retail WHERE class = 'sale' GROUP BY code
            """
        )
    )


def test_orders_sales_and_refunds_of_every_country_are_those_of_the_file(imported: Imported) -> None:
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    customers: dict[str, set[UUID]] = defaultdict(set)
    for order in imported.ask("order_book", "orders", row_limit=10_000):
        country = found[order["region"]]
        if order["kind"] == "sale":
            country[0] += 1
            country[2] += order["goods_minor"]
            if order["customer_id"] is not None:
                customers[order["region"]].add(order["customer_id"])
        country[3] += order["refunded_minor"]
    for name, country in found.items():
        country[1] = len(customers[name])
    assert {name: tuple(country) for name, country in found.items()} == {
        name: (orders, buyers, gross, refunded)
        for name, orders, buyers, gross, refunded in imported.expect(
            """
            SELECT country, count(DISTINCT invoice) FILTER (WHERE class = 'sale'),
                count(DISTINCT customer) FILTER (WHERE class = 'sale'),
                coalesce(sum(minor) FILTER (WHERE class = 'sale'), 0)::BIGINT,
                -coalesce(sum(minor) FILTER (WHERE class = 'cancellation'), 0)::BIGINT
            FROM retail WHERE class IN ('sale', 'cancellation') GROUP BY country
            """
        )
    }


def test_bad_debts_are_expenses_of_the_store_and_no_sales(imported: Imported) -> None:
    events = imported.log.select(EventFilter(types=["ExpenseRecorded"]))
    assert [(event.data["reference"], -event.data["amount_minor"]) for event in events] == imported.expect(
        "SELECT invoice, minor FROM retail WHERE class = 'bad_debt'"
    )
    assert len(events) == 1


def test_opening_stock_is_marked_as_assumed_and_costs_a_stated_part_of_the_lowest_price(imported: Imported) -> None:
    lowest = dict(imported.expect("SELECT code, min(price) FROM retail WHERE class = 'sale' AND goods GROUP BY code"))
    codes = {level["sku_id"]: level["code"] for level in imported.ask("stock_ledger", "levels")}
    receipts = imported.log.select(EventFilter(types=["StockReceived"]), limit=1000)
    assert len(receipts) == 1000
    for receipt in receipts:
        cost = receipt.data["unit_cost"]
        assert receipt.data["cost_assumed"] is (cost is not None)
        price = lowest.get(codes[receipt.stream_id])
        assert cost is None if price is None else Decimal(cost) == (price * 6 / 10)


def test_every_event_says_that_it_was_imported_and_when_it_happened(imported: Imported) -> None:
    (first,) = imported.log.select(EventFilter(types=["OrderPlaced"]), limit=1)
    (last,) = imported.log.select(EventFilter(types=["OrderPlaced"]), limit=1, newest_first=True)
    assert {first.origin, last.origin} == {"import"}
    # British summer time: the file's clock is an hour ahead of UTC.
    assert [(first.occurred_at.replace(tzinfo=None), last.occurred_at.replace(tzinfo=None))] == imported.expect(
        "SELECT min(ts) - INTERVAL 1 HOUR, max(ts) - INTERVAL 1 HOUR FROM retail WHERE class = 'sale'"
    )


def test_the_checks_of_every_projection_hold(imported: Imported) -> None:
    assert imported.projector.check() == []


def test_importing_the_same_file_again_adds_no_event(imported: Imported) -> None:
    before = imported.log.head()
    again = import_online_retail(imported.writer, SLICE)
    assert imported.log.head() == before
    assert again.added == 0
    assert again.verdicts == imported.report.verdicts
