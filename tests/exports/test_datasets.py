"""What an export holds: every row of the stores that were asked for, of one moment, and never all of it in memory."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from opscore.domain.command import Role
from opscore.domain.order_commands import ConfirmOrder, PackParcel, PayOrder, ScannedLine, ShipOrder
from opscore.domain.order_recorded_returns import (
    RecordedReturnLine,
    RecordReturn,
)
from opscore.exports import datasets
from opscore.exports.datasets import ABOUT, FETCH_ROWS, Dataset
from opscore.exports.files import ExportStopped
from opscore.log.event_log import EventFilter, EventLog
from opscore.permissions import FIELDS, READS
from opscore.projector import ProjectionRefused
from opscore.projector.snapshot import snapshot
from tests.exports.conftest import Trade


def test_orders_and_lines_are_those_of_the_order_book(trade: Trade) -> None:
    orders = trade.rows(Dataset.ORDERS)
    asked = trade.projector.run_query("order_book", "order_rows", store_ids=None)
    asked.sort(key=lambda row: (row["placed_at"], row["order_id"]), reverse=True)
    assert [row["order_id"] for row in orders] == [str(row["order_id"]) for row in asked]
    assert {row["total_minor"] for row in orders} == {2000} and {row["units"] for row in orders} == {"3"}
    assert sum(row["status"] == "paid" for row in orders) == 2

    lines = trade.rows(Dataset.ORDER_LINES)
    assert len(lines) == 2 * len(orders)
    by_order: dict[str, list[int]] = {}
    for line in lines:
        by_order.setdefault(line["order_id"], []).append(line["line"])
    assert by_order == {row["order_id"]: [1, 2] for row in orders}
    assert sum(line["amount_minor"] for line in lines) == sum(row["goods_minor"] for row in orders)


def test_lines_say_what_came_back_and_what_went_back_for_it_of_orders_and_of_none(trade: Trade) -> None:
    shop, order = trade.shop, trade.orders[trade.shop.store_id][0]
    sold = [line for line in trade.rows(Dataset.ORDER_LINES) if line["order_id"] == str(order)]
    sku, parcel = UUID(sold[0]["sku_id"]), uuid4()
    shop.do(ConfirmOrder(order_id=order))
    scanned = (ScannedLine(line=1, sku_id=sku, quantity=Decimal(1)),)
    shop.do(PackParcel(order_id=order, parcel_id=parcel, location_id=shop.location_id, lines=scanned))
    shop.do(ShipOrder(order_id=order, parcel_id=parcel, courier="DPD", waybill="1"))
    amounts = [(order, "1", 300), (None, "4", 900)]
    for of_order, units, amount_minor in amounts:
        back = RecordedReturnLine(sku_id=sku, quantity=Decimal(units), amount_minor=amount_minor)
        given = {"store_id": shop.store_id, "order_id": of_order, "condition": None}
        shop.do(RecordReturn(lines=(back,), **given))
    trade.projector.catch_up()

    lines = trade.rows(Dataset.ORDER_LINES, store_ids=[shop.store_id])
    [alone] = [line for line in lines if line["kind"] == "return"]
    assert (alone["quantity"], alone["amount_minor"], alone["unit"]) == ("0", 0, None), "nothing was ordered"
    assert (alone["returned"], alone["refunded"], alone["refunded_minor"]) == ("4", "4", 900)
    assert alone["store_id"] == str(shop.store_id) and alone["placed_at"] is not None
    assert sum(Decimal(line["returned"]) for line in lines if line["sku_id"] == str(sku)) == 5
    orders = trade.rows(Dataset.ORDERS, store_ids=[shop.store_id])
    for of_line, of_order in (("refunded_minor", "refunded_minor"), ("amount_minor", "goods_minor")):
        assert sum(line[of_line] for line in lines) == sum(row[of_order] for row in orders)
    assert {row["units"] for row in orders if row["kind"] == "return"} == {"0"}


def test_the_ledger_holds_every_movement_and_its_levels_add_up(trade: Trade) -> None:
    movements = trade.rows(Dataset.STOCK_MOVEMENTS)
    levels = trade.rows(Dataset.STOCK_LEVELS)
    with trade.database.connect() as connection:
        table = trade.table("stock_ledger", "stock_movements")
        row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    assert row == (len(movements),)
    for level in levels:
        own = [row for row in movements if row["sku_id"] == level["sku_id"]]
        assert sum(int(row["reserved"]) for row in own) == int(level["reserved"]), "units set apart"
        assert own == sorted(own, key=lambda row: (row["position"], row["leg"]))


def test_a_version_that_is_dropped_meanwhile_is_read_to_the_end(trade: Trade, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("opscore.projector.projector.DROP_SECONDS_MAX", 0.1)
    before = trade.rows(Dataset.STOCK_MOVEMENTS)
    with datasets.opened(trade.database, trade.projector, datasets.Wanted(Dataset.STOCK_MOVEMENTS, None)) as found:
        _replace(trade, "stock_valuation")
        with pytest.raises(ProjectionRefused, match="is being read, such as by an export; drop it once that has ended"):
            trade.projector.drop("stock_valuation", found.valuation or 0)
        assert sum(len(batch) for batch, _ in found.batches) == len(before)
    trade.projector.drop("stock_valuation", found.valuation or 0)


def test_a_version_that_is_dropped_before_it_was_looked_at_is_asked_for_again(trade: Trade) -> None:
    status = [each.entry for each in trade.projector.status()]
    serving = {entry.name: entry.version for entry in status if entry.status == "serving"}
    with snapshot(trade.database, trade.projector) as moment:
        version = moment.serving("kpi_daily").version
        _replace(trade, "stock_valuation")
        trade.projector.drop("stock_valuation", serving["stock_valuation"])
        with pytest.raises(ProjectionRefused, match="dropped at this very moment; ask again"):
            moment.serving("stock_valuation")
    assert version == serving["kpi_daily"]


def _replace(trade: Trade, name: str) -> None:
    """Let a version serve no longer, as the promotion of another one does."""
    with trade.database.connect() as connection:
        connection.execute("UPDATE projection_catalogue SET status = 'ready' WHERE name = %s", (name,))


def test_movements_are_exported_as_far_as_it_is_known_what_they_are_worth(trade: Trade) -> None:
    before, _ = trade.write(Dataset.STOCK_MOVEMENTS)
    trade.shop.sku(stock=3)
    trade.projector.rebuild("stock_ledger", anew=True)

    part, _ = trade.write(Dataset.STOCK_MOVEMENTS)
    assert (part.rows, part.position) == (before.rows, before.position)
    trade.projector.catch_up()
    whole, _ = trade.write(Dataset.STOCK_MOVEMENTS)
    assert whole.rows == before.rows + 1 and whole.position > before.position


def test_the_log_and_the_figures_are_exported_whole(trade: Trade) -> None:
    events = trade.rows(Dataset.EVENTS)
    logged = EventLog(trade.database.pool.connection).select(EventFilter(), limit=1_000)
    assert [(row["position"], row["type"], row["hash"]) for row in events] == [
        (event.position, event.type, bytes(event.hash).hex()) for event in logged
    ]
    assert events[-1]["data"] == logged[-1].data
    days = trade.rows(Dataset.KPI_DAILY)
    assert {(row["store_id"], row["orders"], row["gmv_minor"]) for row in days} == {
        (str(store), 1, 2000) for store in trade.orders
    }


def test_rows_in_which_versions_differ_are_exported_for_whoever_sees_all_stores(trade: Trade) -> None:
    with trade.database.connect() as connection:
        made = connection.execute(
            "INSERT INTO projection_compares (id, name, old_version, new_version, compared_by, position, digest,"
            " differing_rows, totals, sample)"
            " VALUES (gen_random_uuid(), 'kpi_daily', 1, 2, 'a', 9, 'd', 1, '{}', '[]') RETURNING id"
        ).fetchone()
        assert made is not None
        connection.execute(
            "INSERT INTO projection_compare_rows VALUES (%s, 1, 'kpi_daily', '{\"day\": \"2030-01-01\"}', '{}', NULL),"
            " (%s, 2, 'kpi_daily', '{\"day\": \"2030-01-02\"}', '{}', NULL)",
            made * 2,
        )
        connection.execute(
            "INSERT INTO projection_compare_events VALUES (%s, 1, 1, 7, '{}', NULL), (%s, 1, 2, 7, NULL, '{}'),"
            " (%s, 1, 3, 9, NULL, '{}')",
            made * 3,
        )
        connection.execute("UPDATE projection_compares SET rows_with_events = 1")
    [row, other] = trade.rows(Dataset.COMPARES)
    assert (row["event_positions"], other["event_positions"]) == ([7, 9], None)
    assert trade.rows(Dataset.COMPARES, compare_id=made[0]) == [row, other]
    assert trade.rows(Dataset.COMPARES, compare_id=UUID(int=1)) == []
    assert (row["name"], row["table_name"], row["key"]) == ("kpi_daily", "kpi_daily", {"day": "2030-01-01"})
    assert trade.rows(Dataset.COMPARES, store_ids=[trade.shop.store_id]) == []


def test_articles_customers_and_campaigns_are_those_of_the_lists(trade: Trade) -> None:
    skus = trade.rows(Dataset.SKUS)
    assert [row["code"] for row in skus] == sorted(row["code"] for row in skus) and len(skus) == 4
    assert sorted(row["list_price"] for row in skus) == ["10", "10", "5", "5"]

    customers = {row["customer_id"]: row for row in trade.rows(Dataset.CUSTOMERS)}
    sales = trade.rows(Dataset.CUSTOMER_SALES)
    assert len(customers) == 4 and sorted(row["orders"] for row in customers.values()) == [0, 0, 1, 1]
    assert {row["customer_id"] for row in sales} == {key for key, row in customers.items() if row["orders"]}
    assert {(row["currency"], row["orders"], row["net_sales_minor"]) for row in sales} == {("GBP", 1, 2000)}
    assert not any("net_sales_minor" in row for row in customers.values()), "of several currencies there is no sum"

    campaigns = trade.rows(Dataset.CAMPAIGN_RESULTS)
    asked = trade.projector.run_query("campaign_results", "results", store_ids=None)
    assert [row["campaign_id"] for row in campaigns] == [str(row["campaign_id"]) for row in asked]
    assert [(row["currency"], row["orders"]) for row in campaigns] == [("GBP", 0)] * 2


def test_reviews_have_how_they_stand_and_not_what_they_say(trade: Trade) -> None:
    trade.review()
    rows = trade.rows(Dataset.REVIEWS)
    asked = trade.projector.run_query("reviews", "review_rows", store_ids=None)
    asked.sort(key=lambda row: row["posted_at"], reverse=True)
    assert [row["order_id"] for row in rows] == [str(row["order_id"]) for row in asked]
    assert [(row["score"], row["status"], row["has_text"], row["replies"]) for row in rows] == [
        (4, "shown", True, 0)
    ] * 2
    assert "Ann" not in str(rows)


@pytest.mark.parametrize("dataset", list(Dataset))
def test_of_another_store_not_one_row_is_there(trade: Trade, dataset: Dataset) -> None:
    mine, theirs = trade.shop, trade.other
    if dataset is Dataset.REVIEWS:
        trade.review()
    whole = trade.rows(dataset)
    rows = trade.rows(dataset, store_ids=[mine.store_id])
    text = str(rows)

    assert str(theirs.store_id) not in text and str(theirs.location_id) not in text
    assert not any(str(order) in text for order in trade.orders[theirs.store_id])
    if dataset is not Dataset.COMPARES:
        assert 0 < len(rows) < len(whole)
        assert len(rows) + len(trade.rows(dataset, store_ids=[theirs.store_id])) == len(whole)
    assert trade.rows(dataset, store_ids=[UUID(int=5)]) == []
    assert trade.rows(dataset, store_ids=[]) == []


def test_a_period_holds_what_began_in_it_and_not_what_began_at_its_end(trade: Trade) -> None:
    whole = trade.rows(Dataset.ORDERS)
    moments = sorted(datetime.fromisoformat(row["placed_at"]) for row in whole)
    middle = moments[2]
    for dataset in (Dataset.ORDERS, Dataset.ORDER_LINES):
        early = trade.rows(dataset, before=middle)
        late = trade.rows(dataset, since=middle)
        assert {row["order_id"] for row in early}.isdisjoint(row["order_id"] for row in late)
        assert len({row["order_id"] for row in early}) == 2
        assert len({row["order_id"] for row in late}) == len(whole) - 2
    registered = sorted(datetime.fromisoformat(row["registered_at"]) for row in trade.rows(Dataset.CUSTOMERS))
    assert len(trade.rows(Dataset.CUSTOMERS, before=registered[2])) == 2
    # They are what was bought, whenever it was, by who was registered in the period.
    assert len(trade.rows(Dataset.CUSTOMER_SALES, since=registered[2])) == 1
    for dataset in (Dataset.STOCK_MOVEMENTS, Dataset.EVENTS, Dataset.SKUS, Dataset.CUSTOMERS):
        halves = [*trade.rows(dataset, before=middle), *trade.rows(dataset, since=middle)]
        assert len(halves) == len(trade.rows(dataset))
        later = datetime.now(UTC) + timedelta(days=1)
        assert trade.rows(dataset, since=later) == []


def test_who_sees_no_cost_or_price_gets_none(trade: Trade) -> None:
    for dataset in (Dataset.STOCK_MOVEMENTS, Dataset.STOCK_LEVELS, Dataset.SKUS):
        seen = trade.rows(dataset)
        blind = trade.rows(dataset, role=Role.WAREHOUSE)
        hidden = ABOUT[dataset].hidden
        assert all(any(row[name] is not None for row in seen) for name in hidden)
        for whole, part in zip(seen, blind, strict=True):
            assert part == {name: None if name in hidden else value for name, value in whole.items()}


def test_every_dataset_names_a_question_and_fields_that_there_are() -> None:
    for dataset, about in ABOUT.items():
        assert about.question in READS, dataset
        assert set(about.hidden.values()) <= set(FIELDS), dataset


# One moment ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dataset", [Dataset.ORDERS, Dataset.ORDER_LINES, Dataset.STOCK_MOVEMENTS, Dataset.EVENTS])
def test_what_happens_while_a_file_is_written_is_not_in_it(
    trade: Trade, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = trade.rows(dataset)
    monkeypatch.setattr(datasets, "FETCH_ROWS", 1)
    meanwhile = []

    def happen(rows: int, percent: int | None) -> None:
        if rows == 1:
            order = trade.orders[trade.shop.store_id][1]
            trade.shop.do(PayOrder(order_id=order, amount_minor=2000, method="card", currency="GBP"))
            meanwhile.append(trade.shop.do(trade.shop.order((trade.shop.sku(), 1))))
            trade.projector.catch_up()

    manifest, file = trade.write(dataset, progress=happen)
    assert meanwhile
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    if dataset is Dataset.ORDER_LINES:
        # Orders come in the order in which they are fetched, which this test has made another.
        for each in (rows, before):
            each.sort(key=lambda row: (row["order_id"], row["line"]))
    assert rows == before
    assert manifest.position < trade.write(dataset)[0].position
    assert len(trade.rows(dataset)) > len(before)


def test_the_manifest_says_where_it_was_read_and_what_is_in_it(trade: Trade) -> None:
    manifest, file = trade.write(Dataset.ORDERS)
    assert (manifest.rows, manifest.bytes) == (5, file.stat().st_size)
    assert (manifest.projection, manifest.version) == (
        "order_book",
        trade.projector.definitions()["order_book"].version,
    )
    assert manifest.position == EventLog(trade.database.pool.connection).head().position
    kinds = {column["name"]: column["kind"] for column in manifest.columns}
    assert (kinds["order_id"], kinds["total_minor"], kinds["units"]) == ("text", "integer", "decimal")
    assert (kinds["placed_at"], kinds["campaign_ids"], kinds["surge"]) == ("time", "json", "boolean")
    again, _ = trade.write(Dataset.ORDERS)
    assert again.sha256 == manifest.sha256, "the same moment gives the same bytes"


def test_an_export_that_is_stopped_leaves_nothing(trade: Trade) -> None:
    with pytest.raises(ExportStopped):
        trade.write(Dataset.EVENTS, stop=lambda: True)
    assert [path.name for path in trade.folder.iterdir() if "events" in path.name] == []


def test_what_has_not_been_built_cannot_be_exported(trade: Trade) -> None:
    with trade.database.connect() as connection:
        connection.execute("UPDATE projection_catalogue SET status = 'ready' WHERE name = 'order_book'")
    with pytest.raises(ProjectionRefused, match="opscore projections rebuild order_book"):
        trade.write(Dataset.ORDERS)


# Bounded memory ------------------------------------------------------------------------------------------------------


def test_however_long_the_table_only_a_thousand_rows_are_fetched_at_once(
    trade: Trade, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = 30_000
    book = trade.table("order_book", "order_book")
    with trade.database.connect() as connection:
        connection.execute(
            f"INSERT INTO {book} (order_id, store_id, currency, placed_at, total_minor,"
            " cancelled_goods_minor, cancelled_freight_minor, paid_minor, refunded_minor, expired, position,"
            " changed_at)"
            " SELECT gen_random_uuid(), %s, 'GBP', now() + make_interval(secs => n), n, 0, 0, 0, 0, false, 1, now()"
            " FROM generate_series(1, %s) AS n",
            (trade.shop.store_id, many),
        )
        connection.execute(
            f"INSERT INTO {trade.table('order_book', 'order_book_lines')} (order_id, line, quantity, cancelled,"
            " cancelled_minor, exchanged, exchanged_minor, returned, refunded, refunded_minor)"
            " SELECT book.order_id, n, 1, 0, 0, 0, 0, 0, 0, 0"
            f" FROM {book} AS book, generate_series(11, 12) AS n"
        )
    fetched: list[int] = []
    whole: list[int] = []
    fetch, execute = psycopg.ServerCursor.fetchmany, psycopg.Cursor.execute

    def fetchmany(self: Any, size: int = 0) -> Any:
        found = fetch(self, size)
        fetched.append(len(found))
        return found

    def executed(self: Any, *given: Any, **more: Any) -> Any:
        found = execute(self, *given, **more)
        whole.append(self.rowcount)
        return found

    monkeypatch.setattr(psycopg.ServerCursor, "fetchmany", fetchmany)
    monkeypatch.setattr(psycopg.Cursor, "execute", executed)
    for dataset, rows in ((Dataset.ORDERS, many + 5), (Dataset.ORDER_LINES, 2 * (many + 5) + 10)):
        fetched.clear()
        whole.clear()
        told: list[int] = []
        manifest, _ = trade.write(dataset, progress=lambda done, percent: told.append(percent or 0))  # noqa: B023
        assert manifest.rows == rows, dataset
        assert max(fetched) <= FETCH_ROWS
        assert max(whole) <= 100, "no statement but those of the cursors brings rows by the thousand"
        assert told == sorted(told) and told[-1] == 100
