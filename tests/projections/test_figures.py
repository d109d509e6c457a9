"""Figures: right by hand, the same as the aggregates', open down to the events, and nobody else's to see."""

from __future__ import annotations

import random
from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from babel.core import get_global
from hypothesis import given, strategies as st

from opscore.database import Database
from opscore.domain.order import Order
from opscore.domain.sku import Sku
from opscore.domain.values import minor_digits
from opscore.log.event_log import EventLog
from opscore.projector import Projector
from opscore.projector.folder import Loaded
from opscore.projector.lists import ALL, Column, Key, Page
from tests.projections.logs import Doings, Log, Trade


def busy(log: Log, actions: int = 400, seed: int = 3, minutes: int = 300) -> Trade:
    """Write a log in which everything happens, and return its world."""
    world = log.world(customers=20)
    doing = Doings(world)
    chance = random.Random(seed)
    for _ in range(actions):
        doing.do(chance.randrange(doing.COUNT), chance.randrange(9), chance.randrange(9), chance.randrange(minutes))
    log.append(world)
    return world


def orderly(log: Log) -> Trade:
    """Write a log of stock and orders that the aggregates themselves can fold, and return its world."""
    world, chance = log.world(), random.Random(5)
    steps = [world.pay, world.confirm, world.ship, world.ship, world.deliver, world.deliver, world.send_back]
    for kind in (0, 1):  # A purchase, of which a part is called off before it is due.
        world.buy(0, kind, 4)
    for kind in (0, 6, 3, 5):  # An agreement is signed, paid for, noticed, and ends before a first plan was due.
        world.contract(0, kind)
    world.name_heroes(0, 0)
    for number in range(6):
        world.receive(number, 100, 500)
        world.other_movement(number, chance.randrange(5), 2 * chance.randrange(1, 3))
    for _ in range(60):
        world.pass_time(chance.randrange(90))
        order = world.place(chance.randrange(-1, 8), [(chance.randrange(6), 1 + chance.randrange(3)), (2, 1)])
        if chance.random() < 0.2:
            world.amend(order)
        for step in steps[: chance.randrange(len(steps) + 1)]:
            step(order)
        if chance.random() < 0.2:
            world.unpack(order)
        if chance.random() < 0.3:
            world.shortage(order, exchange=False)
        if chance.random() < 0.3:
            world.cancel(order, whole=chance.random() < 0.5, expired=chance.random() < 0.5)
    world.return_unknown(1, 2, 3)
    world.campaign_fact(0, 6, 10)
    world.report_traffic(0, 8, 10)
    world.customer_fact(0, 10, 10)
    world.sku_fact(0, 3, 0)
    world.store_fact(0, 3)
    log.append(world)
    return world


def table_rows(
    connection: psycopg.Connection[Any], projector: Projector, name: str, table: str
) -> list[dict[str, Any]]:
    """Return the rows of a table of the serving version."""
    entry = projector.catalogue.serving(connection, name)
    assert entry is not None
    with connection.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        return cursor.execute(f"SELECT * FROM {projector.loaded(connection, entry).table(table)}").fetchall()


LATEST_FIRST = (Key(Column("placed_at", "timestamptz"), True), Key(Column("order_id", "uuid"), True))
LEDGER = (Key(Column("position", "bigint")), Key(Column("leg", "smallint")))


def listed(
    projector: Projector,
    name: str,
    query: str,
    keys: tuple[Key, ...],
    *,
    limit: int = 10**6,
    after: tuple[Any, ...] | None = None,
    store_ids: list[UUID] | None = None,
) -> list[dict[str, Any]]:
    """Return rows of a list in this order."""
    page = Page(ALL, keys, limit, after)
    return projector.read(name, lambda ask: ask(query, shape=page), store_ids=store_ids)


# The stock ledger ----------------------------------------------------------------------------------------------------

# What happens to one SKU (GBP), and what the ledger says after it: units, average cost, value in pence.
MOVING_AVERAGE = """
receive  10  at 2.00      ->  10  2         2000
receive  10  at 3.00      ->  20  2.5       5000
adjust   -5               ->  15  2.5       3750
receive   1  at 0.005     ->  16  2.344062  3750
adjust  -16               ->   0  2.344062     0
adjust    2               ->   2  2.344062   469
receive   2  at unknown   ->   4  2.344062   938
adjust   -6               ->  -2  2.344062  -468
receive   5  at 1.00      ->   3  1          300
adjust   -1               ->   2  1          200
receive   1  at 0.125     ->   3  0.708333   212
adjust   -1               ->   2  0.708333   141
adjust   -2               ->   0  0.708333     0
"""


def test_the_ledger_keeps_the_moving_average_as_an_accountant_would(
    log: Log, projector: Projector, connection: psycopg.Connection[Any]
) -> None:
    world = log.world()
    sku, place = world.skus[0], world._place(0)
    expected = []
    for line in MOVING_AVERAGE.strip().splitlines():
        did, _, said = line.partition("->")
        words = did.split()
        if words[0] == "receive":
            cost = None if words[3] == "unknown" else Decimal(words[3])
            world.record(
                "StockReceived", sku, 0, location_id=place, batch=None, quantity=Decimal(words[1]), unit_cost=cost,
                currency="GBP", cost_assumed=cost is None,
            )  # fmt: skip
        else:
            world.record("StockAdjusted", sku, 0, location_id=place, difference=Decimal(words[1]), reason="count")
        expected.append(tuple(Decimal(word) for word in said.split()))
    log.append(world)
    projector.deploy()

    rows = listed(projector, "stock_ledger", "movement_rows", LEDGER)

    assert [(row["running_quantity"], row["unit_cost"], row["running_value_minor"]) for row in rows] == expected
    assert sum(row["value_minor"] for row in rows) == rows[-1]["running_value_minor"]
    assert projector.check(["stock_ledger"]) == []


@given(st.integers(-(10**12), 10**12), st.integers(0, 8))
def test_amounts_are_rounded_half_to_even(number: int, places: int) -> None:
    value = Decimal(number).scaleb(-places)
    with psycopg.connect(ROUNDING["url"]) as connection:
        row = connection.execute(f"SELECT {ROUNDING['name']}(%s)", (value,)).fetchone()
    assert row is not None
    assert row[0] == value.to_integral_value(rounding=ROUND_HALF_EVEN)


ROUNDING: dict[str, str] = {}


def ledger(projector: Projector) -> str:
    """Return what the names of the ledger's tables and functions begin with."""
    return Loaded(projector.definitions()["stock_ledger"], projector.schema).prefix


@pytest.fixture(autouse=True)
def rounding(request: pytest.FixtureRequest) -> None:
    """Tell the test of rounding which function to ask; Hypothesis takes no fixture of one example."""
    if request.node.name == "test_amounts_are_rounded_half_to_even":
        projector: Projector = request.getfixturevalue("projector")
        projector.rebuild("stock_ledger")
        ROUNDING["url"] = request.getfixturevalue("database").conninfo()
        ROUNDING["name"] = f'"{projector.schema}"."{ledger(projector)}round_half_even"'


def test_the_ledger_knows_the_minor_unit_of_every_currency(
    projector: Projector, connection: psycopg.Connection[Any]
) -> None:
    projector.rebuild("stock_ledger")
    currencies = [code for code in get_global("currency_fractions") if code != "DEFAULT"] + ["GBP", "CNY", "EUR", "USD"]

    found = connection.execute(
        f'SELECT code, "{projector.schema}"."{ledger(projector)}currency_digits"(code) FROM unnest(%s::text[]) AS code',
        (currencies,),
    ).fetchall()

    assert dict(found) == {code: minor_digits(code) for code in currencies}


def test_levels_and_states_are_those_of_the_aggregates(
    log: Log, projector: Projector, database: Database, connection: psycopg.Connection[Any]
) -> None:
    world = orderly(log)
    projector.deploy()
    events = EventLog(database.pool.connection)
    levels = {
        (row["sku_id"], row["location_id"]): tuple(
            row[name] for name in ("on_hand", "reserved", "allocated", "damaged", "in_transit")
        )
        for row in projector.run_query("stock_ledger", "levels", store_ids=None)
    }
    for sku in world.skus:
        aggregate = events.aggregate(Sku, sku)
        assert aggregate is not None
        assert aggregate.levels
        for place, level in aggregate.levels.items():
            assert levels[sku, place] == (
                level.on_hand, level.reserved, level.allocated, level.damaged, level.in_transit
            )  # fmt: skip
    book = {row["order_id"]: row for row in projector.run_query("order_book", "order_rows", store_ids=None)}
    for made in world.orders:
        order = events.aggregate(Order, made.id)
        assert order is not None
        row = book[made.id]
        assert row["status"] == order.status.value
        assert (row["total_minor"], row["paid_minor"]) == (order.total_minor, order.paid_minor)
        assert row["refunded_minor"] == order.refunded_minor
        assert row["lines"] == len(order.lines)
    assert {row["status"] for row in book.values()} == {
        "placed", "paid", "confirmed", "shortage", "packed", "shipped", "delivered", "completed", "cancelled",
        "returned",
    }  # fmt: skip


def test_stock_can_be_asked_as_it_was_known_and_as_it_was(
    log: Log, projector: Projector, connection: psycopg.Connection[Any]
) -> None:
    world = log.world()
    sku = world.skus[0]
    world.receive(0, 10, 1000)
    world.pass_time(24 * 60)
    known_then, now = log.append(world), world.now
    world.pass_time(24 * 60)
    world.back_date(36 * 60)
    world.receive(0, 5, 2000)
    head = log.append(world)
    projector.deploy()

    def levels_at(**when: Any) -> list[dict[str, Any]]:
        asked = {"sku_id": sku, "position": None, "occurred_at": None, **when}
        return projector.run_query("stock_ledger", "levels_at", asked, store_ids=None)

    def known(position: int) -> tuple[Decimal, Decimal, int]:
        level = levels_at(position=position)
        worth = projector.run_query(
            "stock_ledger", "worth_known_at", {"sku_id": sku, "position": position}, store_ids=None
        )
        return level[0]["on_hand"], worth[0]["unit_cost"], worth[0]["value_minor"]

    assert known(known_then) == (Decimal(10), Decimal(1), 1000)
    assert known(head) == (Decimal(15), Decimal("1.333333"), 2000)
    assert [row["on_hand"] for row in levels_at(occurred_at=now)] == [Decimal(15)]
    before = now - timedelta(hours=13)
    assert [row["on_hand"] for row in levels_at(occurred_at=before)] == [Decimal(10)]
    assert [row["on_hand"] for row in levels_at(occurred_at=now, position=known_then)] == [Decimal(10)]


# Figures and the events behind them ----------------------------------------------------------------------------------

CELLS = [
    ("kpi_daily", "kpi_daily", ["orders", "guest_orders", "units", "gmv_minor", "discount_minor", "freight_minor",
                                "refunds", "refunded_minor", "refunded_freight_minor"]),
    ("kpi_daily", "kpi_daily_buyers", ["orders"]),
    ("stock_ledger", "stock_levels", ["on_hand", "reserved", "allocated", "damaged", "in_transit"]),
    ("stock_ledger", "stock_values", ["quantity", "value_minor"]),
    ("stock_ledger", "stock_days", ["on_hand", "reserved", "allocated", "damaged", "in_transit", "value_minor"]),
    ("order_book", "order_book", ["paid_minor", "refunded_minor"]),
    ("order_book", "order_book_lines", ["quantity", "cancelled", "cancelled_minor", "exchanged", "exchanged_minor",
                                        "returned", "refunded", "refunded_minor"]),
    ("campaign_results", "campaign_sales", ["orders", "units", "gmv_minor", "refunds", "refunded_units",
                                            "refunded_minor"]),
    ("campaign_results", "campaign_skus", ["allocated", "released", "units", "gmv_minor", "refunded_units",
                                           "refunded_minor"]),
    ("campaign_results", "campaigns", ["budget_claimed_minor", "budget_released_minor"]),
    ("customer_card", "customer_card", ["points", "points_earned", "points_spent", "points_reversed",
                                        "points_expired"]),
    ("customer_card", "customer_card_sales", ["orders", "units", "gmv_minor", "refunds", "refunded_minor"]),
    ("traffic", "traffic_reports", ["page_views"]),
    ("reviews", "ratings", ["reviews", "scores", "positive", "hidden"]),
    ("reviews", "order_reviews", ["replies"]),
    ("kpi_facts", "paid", ["goods_minor", "total_minor"]),
    ("stock_valuation", "value_days", ["amount_minor"]),
    ("purchasing", "purchases", ["quantity", "received", "received_in_time", "cancelled", "paid_minor"]),
    ("purchasing", "suppliers", ["deposit_minor"]),
    ("agency", "agreements", ["fee_paid_minor", "owner_breaches", "agency_breaches"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "cell", "figures"), CELLS, ids=[f"{name}-{cell}" for name, cell, _ in CELLS])
def test_what_the_events_behind_a_cell_add_is_the_cell(
    name: str, cell: str, figures: list[str], log: Log, projector: Projector, connection: psycopg.Connection[Any]
) -> None:
    busy(log)
    projector.rebuild(name)
    rows = table_rows(connection, projector, name, cell)
    assert rows

    for row in rows:
        behind = projector.explain(name, cell, row, store_ids=None)
        assert {event["rule_version"] for event in behind} <= {projector.definitions()[name].version}
        assert {figure: sum(event[figure] for event in behind) for figure in figures} == {
            figure: row[figure] for figure in figures
        }


def test_a_figure_can_be_opened_page_by_page_and_as_of_a_position(log: Log, projector: Projector) -> None:
    busy(log, minutes=2)
    projector.rebuild("kpi_daily")
    cell = max(projector.run_query("kpi_daily", "days", store_ids=None), key=lambda row: row["orders"] + row["refunds"])
    whole = projector.explain("kpi_daily", "kpi_daily", cell, store_ids=None)
    assert len(whole) > 3

    pages: list[dict[str, Any]] = []
    after = (0, 0)
    while page := projector.explain("kpi_daily", "kpi_daily", cell, store_ids=None, after=after, limit=2):
        pages += page
        after = (page[-1]["position"], page[-1]["page_place"])

    assert pages == whole
    middle = whole[1]["position"]
    assert projector.explain("kpi_daily", "kpi_daily", cell, store_ids=None, as_of=middle) == whole[:2]


def test_distinct_buyers_are_counted_over_the_window_and_never_added_up(log: Log, projector: Projector) -> None:
    world = log.world()
    for day in range(3):
        for customer in (0, 0, 1 + day % 2, -1):
            world.pay(world.place(customer, [(0, 1)]))
        world.pass_time(24 * 60)
    log.append(world)
    projector.rebuild("kpi_daily")

    days = projector.run_query("kpi_daily", "days", store_ids=None)
    (total,) = projector.run_query("kpi_daily", "totals", store_ids=None)
    (month,) = projector.run_query("kpi_daily", "periods", {"grain": "month"}, store_ids=None)

    assert [(day["orders"], day["customers"], day["guest_orders"], day["buyers"]) for day in days] == [(4, 2, 1, 3)] * 3
    assert (total["orders"], total["customers"], total["buyers"], total["repeat_customers"]) == (12, 3, 6, 2)
    assert (month["customers"], month["buyers"]) == (3, 6)
    assert total["value_per_order_minor"] == round(Decimal(total["gmv_minor"]) / 12, 4)
    assert total["value_per_customer_minor"] == round(Decimal(total["gmv_minor"]) / 6, 4)


def test_two_records_of_one_person_are_one_buyer_once_they_are_merged_and_the_events_say_so(
    log: Log, projector: Projector
) -> None:
    world = log.world()
    for customer in (0, 2, 4, 6, -1):
        world.pay(world.place(customer, [(0, 1)]))
    before = log.append(world)
    projector.rebuild("kpi_daily")

    def buyers() -> list[int]:
        asked = (("days", {}), ("periods", {"grain": "month"}), ("totals", {}))
        return [projector.run_query("kpi_daily", name, given, store_ids=None)[0]["buyers"] for name, given in asked]

    assert buyers() == [5, 5, 5]

    # Merged from record to record: 0 into 2, 2 into 4; and later 6 into what is no record of its own any more.
    world.merge_customers(2, 0, 1)
    world.merge_customers(4, 2, 1)
    log.append(world)
    projector.catch_up()
    assert buyers() == [3, 3, 3]
    world.merge_customers(4, 6, 1)
    log.append(world)
    projector.catch_up()
    assert buyers() == [2, 2, 2]

    (total,) = projector.run_query("kpi_daily", "totals", store_ids=None)
    assert (total["orders"], total["customers"], total["repeat_customers"]) == (5, 1, 1)
    (day,) = projector.run_query("kpi_daily", "days", store_ids=None)
    behind = projector.explain("kpi_daily", "kpi_daily", day, store_ids=None)
    known = {event["person_id"] for event in behind if event["person_id"] is not None}
    guests = sum(event["guest_orders"] for event in behind)
    assert (len(known), guests, len(known) + guests) == (1, 1, day["buyers"])
    assert len({event["customer_id"] for event in behind}) == 5
    # What was known before the mergers is what a copy as of then says.
    projector.replay(before, "then")
    (known_then,) = projector.run_query("then/kpi_daily", "totals", store_ids=None)
    assert known_then["buyers"] == 5


def test_a_day_is_the_stores_own_and_a_refund_counts_on_its_own_day(log: Log, projector: Projector) -> None:
    world = log.world()
    world.pass_time(23 * 60 + 30)
    late = world.place(0, [(0, 2)])
    world.pay(late)
    world.pay(world.place(0, [(1, 2)]))
    world.pass_time(48 * 60)
    world.refund(late)
    log.append(world)
    projector.rebuild("kpi_daily")

    days = projector.run_query("kpi_daily", "days", store_ids=None)

    london, shanghai = world.stores
    found = {(row["store_id"], row["day"].isoformat()): row for row in days}
    assert set(found) == {(london, "2025-01-01"), (london, "2025-01-03"), (shanghai, "2025-01-02")}
    sold, back = found[london, "2025-01-01"], found[london, "2025-01-03"]
    assert sold["net_sales_minor"] == sold["gmv_minor"] == sold["gross_minor"] - sold["discount_minor"] > 0
    assert (back["gmv_minor"], back["net_sales_minor"]) == (0, -sold["gmv_minor"])
    assert back["value_per_order_minor"] is None


def test_no_query_and_no_explanation_shows_a_foreign_store(
    log: Log, projector: Projector, connection: psycopg.Connection[Any]
) -> None:
    first, world = busy(log), orderly(log)
    world.supply(0, 1, 2)
    log.append(world)
    projector.deploy()
    far = world.now + timedelta(days=9)
    params = {
        "sku_id": world.skus[0], "customer_ids": first.customers, "sku_ids": (skus := [*first.skus, *world.skus]),
        "positions": [log.head()] * len(skus),
        "order_ids": [order.id for order in first.orders + world.orders],
        "position": log.head(), "occurred_at": far, "due_before": far, "grain": "year", "row_limit": 10**6,
        "from_day": date(2024, 1, 1), "first_day": date(2024, 1, 1), "to_day": date(2026, 1, 1),
        "last_day": date(2026, 1, 1), "as_of": log.head(), "now": far, "less": [],
        "from_time": far - timedelta(days=3650), "until_time": far, "time_zone": "UTC",
    }  # fmt: skip
    # Of few articles only did an order get units of a batch that has a name.
    [status] = [each for each in projector.status() if each.entry.name == "stock_ledger"]
    traced = projector.loaded(connection, status.entry).table("stock_batch_orders")
    row = connection.execute(
        f"SELECT sku_id, batch, order_id FROM {traced} ORDER BY order_id, sku_id LIMIT 1"
    ).fetchone()
    of_batches = params | dict(zip(("sku_id", "batch", "order_id"), row or (), strict=True))
    params["starts_on"] = projector.run_query("kpi_facts", "cohorts", params, store_ids=None)[0]["starts_on"]
    params["months_later"] = 0
    asked = 0
    for status in projector.status():
        name = status.entry.name
        for query in projector.loaded(connection, status.entry).queries:
            if query == "adjustments":
                continue  # Nothing in this log came late; the tests of the valuation ask for what did.
            given = of_batches if query in ("batch_order_rows", "order_batches") else params
            assert projector.run_query(name, query, given, store_ids=None), f"{name} {query} finds nothing at all"
            assert projector.run_query(name, query, given, store_ids=[uuid4()]) == [], f"{name} {query}"
            asked += 1
        for cell in projector.cells(name):
            is_table = cell in projector.loaded(connection, status.entry).definition.tables
            rows = (
                table_rows(connection, projector, name, cell)
                if is_table
                else projector.run_query(name, cell, params, store_ids=None)
            )
            for row in rows[:1]:
                assert projector.explain(name, cell, {**params, **row}, store_ids=[uuid4()]) == [], f"{name} {cell}"
                asked += 1
    assert asked > 30


def test_a_store_scope_shows_the_stores_in_it_alone(log: Log, projector: Projector) -> None:
    world = busy(log)
    projector.rebuild("order_book")
    one, other = world.stores

    both = listed(projector, "order_book", "order_rows", LATEST_FIRST, store_ids=[one, other])
    mine = listed(projector, "order_book", "order_rows", LATEST_FIRST, store_ids=[one])

    assert {row["store_id"] for row in mine} == {one}
    assert [row for row in both if row["store_id"] == one] == mine


def test_pages_of_the_order_book_leave_nothing_out_and_repeat_nothing(log: Log, projector: Projector) -> None:
    busy(log)
    projector.rebuild("order_book")
    whole = listed(projector, "order_book", "order_rows", LATEST_FIRST)

    pages: list[dict[str, Any]] = []
    after: tuple[Any, ...] | None = None
    while page := listed(projector, "order_book", "order_rows", LATEST_FIRST, limit=7, after=after):
        pages += page
        after = (page[-1]["placed_at"], page[-1]["order_id"])

    assert pages == whole
    assert len({row["order_id"] for row in pages}) == len(pages) > 20
