"""Four weeks of real invoices, imported: every figure that opscore is asked for is the one DuckDB finds in the file."""

from __future__ import annotations

import hashlib
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import duckdb
import pytest

from opscore import resources
from opscore.domain.values import derived_id
from opscore.imports.online_retail import import_online_retail
from opscore.imports.report import ImportReport
from opscore.projector.folder import Loaded
from opscore.projector.window import take_in
from tests.api.conftest import Api, api, gid, more_settings
from tests.imports.retail_rows import as_table, figures
from tests.projections.logs import contents

__all__ = ["api", "more_settings"]  # the fixtures: a server with its own database, writer and followers

SLICE = resources.path("data") / "online_retail_slice.csv.gz"
WINDOW = 'fromDay: "2010-04-12", toDay: "2010-05-09"'
SALES = "orders customers gross { amount } refunded { amount } netSales { amount }"
PAGE = 100


def pence(money: dict[str, Any]) -> int:
    """Return an amount of the API in minor units."""
    minor = Decimal(money["amount"]) * 100
    assert minor == int(minor)
    return int(minor)


def digest(rows: list[str]) -> str:
    """Return a hash of the rows of a table."""
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


@dataclass
class Imported:
    """A server that imported the bundled slice, and the same file as a DuckDB table."""

    api: Api
    report: ImportReport
    store_id: UUID
    table: duckdb.DuckDBPyConnection

    def ask(self, query: str, **variables: Any) -> Any:
        """Return what the one field of a query answers over HTTP."""
        (answer,) = self.api.ask(query, variables).values()
        return answer

    def expect(self, query: str) -> list[tuple[Any, ...]]:
        """Return what DuckDB finds in the file."""
        return figures(self.table, query)

    def goods(self) -> list[str]:
        """Return the codes of the file that hold stock."""
        return [code for (code,) in self.expect("SELECT DISTINCT code FROM retail WHERE goods ORDER BY code")]

    def of_skus(self, field: str, selection: str) -> Iterator[dict[str, Any]]:
        """Yield the rows of a field that is asked for at most a hundred articles at once, for all of them."""
        query = f"query ($ids: [ID!]!) {{ {field}(skuIds: $ids) {{ {selection} }} }}"
        ids = [gid("Sku", derived_id("sku", self.store_id, code)) for code in self.goods()]
        for start in range(0, len(ids), PAGE):
            yield from self.ask(query, ids=ids[start : start + PAGE])

    def pages(self, field: str, arguments: str, selection: str) -> Iterator[dict[str, Any]]:
        """Yield every node of a connection, page after page."""
        query = (
            f"query ($after: String) {{ {field}({arguments} first: {PAGE}, after: $after)"
            f" {{ nodes {{ {selection} }} pageInfo {{ hasNextPage endCursor }} }} }}"
        )
        after = None
        while True:
            page = self.ask(query, after=after)
            yield from page["nodes"]
            if not page["pageInfo"]["hasNextPage"]:
                return
            after = page["pageInfo"]["endCursor"]


@pytest.fixture(scope="module")
def imported(api: Api) -> Imported:
    """Import the slice through the server's own writer while its read models follow, and wait until they are there."""
    report = import_online_retail(api.server.writer, SLICE)
    head = api.ask("{ head { position } }")["head"]["position"]
    until = time.monotonic() + 120
    while any(one["position"] != head for one in api.ask("{ projections { position } }")["projections"]):
        assert time.monotonic() < until, api.ask("{ projections { name state lag } }")
        time.sleep(0.1)
    (store,) = api.ask("{ stores(first: 1) { nodes { streamId } } }")["stores"]["nodes"]
    return Imported(api, report, UUID(store["streamId"]), as_table(SLICE))


def sales(row: dict[str, Any]) -> tuple[int, ...]:
    """Return orders, customers, gross sales, refunds and net sales, money in pence."""
    return row["orders"], row["customers"], pence(row["gross"]), pence(row["refunded"]), pence(row["netSales"])


def test_no_row_is_rejected_and_no_command_refused(imported: Imported) -> None:
    assert imported.report.verdicts["rejected"] == 0
    assert not imported.report.commands_refused


def test_orders_customers_sales_and_refunds_of_every_day_are_those_of_the_file(imported: Imported) -> None:
    days = imported.ask(f"{{ kpiDaily({WINDOW}) {{ day units {SALES} }} }}")
    assert [(date.fromisoformat(day["day"]), int(day["units"]), *sales(day)) for day in days] == imported.expect(
        """
        SELECT day, coalesce(sum(quantity) FILTER (WHERE class = 'sale' AND goods), 0)::BIGINT,
            count(DISTINCT invoice) FILTER (WHERE class = 'sale'),
            count(DISTINCT customer) FILTER (WHERE class = 'sale'),
            coalesce(sum(minor) FILTER (WHERE class = 'sale'), 0)::BIGINT,
            -coalesce(sum(minor) FILTER (WHERE class = 'cancellation'), 0)::BIGINT,
            coalesce(sum(minor) FILTER (WHERE class IN ('sale', 'cancellation')), 0)::BIGINT
        FROM retail WHERE class IN ('sale', 'cancellation') GROUP BY day ORDER BY day
        """
    )
    assert len(days) > 20


def test_customers_of_a_month_are_counted_once_however_often_they_come(imported: Imported) -> None:
    months = imported.ask(f"{{ kpiPeriods(grain: MONTH, {WINDOW}) {{ startsOn {SALES} }} }}")
    assert [(date.fromisoformat(month["startsOn"]), *sales(month)) for month in months] == imported.expect(
        """
        SELECT date_trunc('month', day)::DATE, count(DISTINCT invoice) FILTER (WHERE class = 'sale'),
            count(DISTINCT customer) FILTER (WHERE class = 'sale'),
            sum(minor) FILTER (WHERE class = 'sale')::BIGINT, -sum(minor) FILTER (WHERE class = 'cancellation')::BIGINT,
            sum(minor) FILTER (WHERE class IN ('sale', 'cancellation'))::BIGINT
        FROM retail GROUP BY 1 ORDER BY 1
        """
    )


def test_totals_and_repeat_customers_of_the_whole_time_are_those_of_the_file(imported: Imported) -> None:
    (total,) = imported.ask(f"{{ kpiTotals({WINDOW}) {{ repeatCustomers {SALES} }} }}")
    assert [(total["repeatCustomers"], *sales(total))] == imported.expect(
        """
        SELECT (SELECT count(*) FROM (
                SELECT customer FROM retail WHERE class = 'sale' AND customer IS NOT NULL
                GROUP BY customer HAVING count(DISTINCT invoice) > 1)),
            count(DISTINCT invoice) FILTER (WHERE class = 'sale'),
            count(DISTINCT customer) FILTER (WHERE class = 'sale'),
            sum(minor) FILTER (WHERE class = 'sale')::BIGINT, -sum(minor) FILTER (WHERE class = 'cancellation')::BIGINT,
            sum(minor) FILTER (WHERE class IN ('sale', 'cancellation'))::BIGINT
        FROM retail
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
    for movement in imported.of_skus("stockMovementTotals", "skuCode kind onHand"):
        if units := int(movement["onHand"]):
            column, sign = columns[movement["kind"]]
            found[movement["skuCode"]][column] += sign * units
    for level in imported.of_skus("stockLevels", "skuCode onHand sellable"):
        assert level["sellable"] == level["onHand"]
        found[level["skuCode"]]["closing"] += int(level["onHand"])
    assert dict(found) == expected


def test_the_best_selling_skus_are_those_of_the_file_letter_case_and_fees_included(imported: Imported) -> None:
    top = imported.ask("{ topSkus(first: 100) { skuCode units amount { amount } orders } }")
    assert [
        (each["skuCode"], int(each["units"]), pence(each["amount"]), each["orders"]) for each in top
    ] == imported.expect(
        """
        SELECT code, sum(quantity)::BIGINT, sum(minor)::BIGINT, count(DISTINCT invoice)
        FROM retail WHERE class = 'sale' GROUP BY code ORDER BY sum(minor) DESC, code LIMIT 100
        """
    )


def test_orders_sales_and_refunds_of_every_country_are_those_of_the_file(imported: Imported) -> None:
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    customers: dict[str, set[str]] = defaultdict(set)
    for order in imported.pages("orders", "", "region kind customerId goods { amount } refunded { amount }"):
        country = found[order["region"]]
        if order["kind"] == "SALE":
            country[0] += 1
            country[2] += pence(order["goods"])
            if order["customerId"] is not None:
                customers[order["region"]].add(order["customerId"])
        country[3] += pence(order["refunded"])
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
    events = list(imported.pages("events", 'filter: {types: ["ExpenseRecorded"]},', "data"))
    assert [(event["data"]["reference"], -event["data"]["amount_minor"]) for event in events] == imported.expect(
        "SELECT invoice, minor FROM retail WHERE class = 'bad_debt'"
    )
    assert len(events) == 1


def test_opening_stock_is_marked_as_assumed_and_costs_a_stated_part_of_the_lowest_price(imported: Imported) -> None:
    lowest = dict(imported.expect("SELECT code, min(price) FROM retail WHERE class = 'sale' AND goods GROUP BY code"))
    ids = {str(derived_id("sku", imported.store_id, code)): code for code in imported.goods()}
    receipts = list(imported.pages("events", 'filter: {types: ["StockReceived"]},', "streamId data"))
    assert len(receipts) > 2000
    for receipt in receipts:
        cost = receipt["data"]["unit_cost"]
        assert receipt["data"]["cost_assumed"] is (cost is not None)
        price = lowest.get(ids[receipt["streamId"]])
        assert cost is None if price is None else Decimal(cost) == price * 6 / 10


def test_every_event_says_that_it_was_imported_and_when_it_happened(imported: Imported) -> None:
    placed = list(imported.pages("events", 'filter: {types: ["OrderPlaced"]},', "origin timeZone occurredAt"))
    assert {(event["origin"], event["timeZone"]) for event in placed} == {("import", "Europe/London")}
    moments = [datetime.fromisoformat(event["occurredAt"]) for event in placed]
    # British summer time: the file's clock is an hour ahead of UTC.
    assert {moment.utcoffset() for moment in moments} == {timedelta(0)}
    assert [(min(moments).replace(tzinfo=None), max(moments).replace(tzinfo=None))] == imported.expect(
        "SELECT min(ts) - INTERVAL 1 HOUR, max(ts) - INTERVAL 1 HOUR FROM retail WHERE class = 'sale'"
    )


def test_a_day_opens_down_to_the_invoices_behind_it(imported: Imported) -> None:
    store = gid("Store", imported.store_id)
    arguments = f'storeId: "{store}", day: "2010-04-29", currencyCode: "GBP",'
    found = list(imported.pages("kpiExplain", arguments, "event figures"))
    assert [
        (
            sum(each["figures"]["orders"] for each in found),
            sum(each["figures"]["gmv_minor"] for each in found),
            sum(each["figures"]["refunded_minor"] for each in found),
        )
    ] == imported.expect(
        """
        SELECT count(DISTINCT invoice) FILTER (WHERE class = 'sale'), sum(minor) FILTER (WHERE class = 'sale')::BIGINT,
            -sum(minor) FILTER (WHERE class = 'cancellation')::BIGINT
        FROM retail WHERE day = '2010-04-29'
        """
    )


def test_the_checks_of_every_projection_hold(imported: Imported) -> None:
    assert imported.api.server.projector.check() == []


@pytest.mark.parametrize("window", [None, 3_000], ids=["at once", "in windows"])
def test_every_read_model_that_followed_is_what_a_rebuild_makes_of_the_same_history(
    imported: Imported, window: int | None
) -> None:
    projector = imported.api.server.projector
    followed, rebuilt = {}, {}
    with projector.connect() as connection:
        head = projector.catalogue.head(connection)
        for name, definition in projector.definitions().items():
            served, copy = Loaded(definition, projector.schema), Loaded(definition, projector.schema, f"again/{name}")
            projector.make_tables(connection, copy)
            for low in range(0, head, window or head):
                with connection.transaction():
                    take_in(connection, projector.catalogue, copy, low, min(low + (window or head), head))
            for loaded, found in ((served, followed), (copy, rebuilt)):
                found[name] = {table: digest(rows) for table, rows in contents(connection, loaded).items()}

    assert rebuilt == followed


def test_importing_the_same_file_again_adds_no_event(imported: Imported) -> None:
    before = imported.ask("{ head { position hash } }")
    again = import_online_retail(imported.api.server.writer, SLICE)
    assert imported.ask("{ head { position hash } }") == before
    assert again.added == 0
    assert again.verdicts == imported.report.verdicts
