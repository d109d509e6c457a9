"""Figures of what a store plans: sales against targets, expenses against budgets, by month, store and category."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest

from opscore import kpis
from opscore.database import Database
from opscore.domain.order_commands import CancelOrder, PayOrder
from opscore.domain.order_refunds import RefundOrder
from opscore.domain.store_commands import RecordExpense
from opscore.domain.store_plan_events import TargetMeasure
from opscore.domain.store_plans import SetBudget, SetSalesTarget
from opscore.kpis import STORE, KpiGrain, OneCell
from opscore.log.event_log import EventLog
from opscore.projector import Projector
from opscore.settings import Settings
from opscore.writer import Writer
from tests.projections.kpi_cells import KPIS, asked, built, values
from tests.projections.logs import Log
from tests.shop import Shop

JANUARY, FEBRUARY = date(2024, 1, 1), date(2024, 2, 1)
YEAR = (JANUARY, date(2024, 12, 31))
MONTHS = (JANUARY, date(2024, 2, 29))


@pytest.fixture
def writer(database: Database, settings: Settings) -> Iterator[Writer]:
    """A writer of the test's own."""
    writer = Writer(database, settings)
    writer.start()
    try:
        yield writer
    finally:
        writer.stop()


@pytest.fixture
def shop(writer: Writer) -> Shop:
    """An open store with one article at ten pounds."""
    return Shop.open(writer)


def noon(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC)


def aim(shop: Shop, month: date, pounds: int, measure: TargetMeasure = TargetMeasure.GMV) -> None:
    target = {"month": month, "measure": measure, "amount_minor": pounds * 100, "currency": "GBP"}
    shop.do(SetSalesTarget(store_id=shop.store_id, **target), occurred_at=noon(JANUARY))


def sell(shop: Shop, sku: UUID, day: date, units: int) -> UUID:
    """Sell so many units at ten pounds each."""
    order = shop.do(shop.order((sku, units)), occurred_at=noon(day))
    shop.do(PayOrder(order_id=order, amount_minor=units * 1000, method="card"), occurred_at=noon(day))
    return order


def test_sales_of_a_month_are_set_against_its_target_as_it_was_said_last(
    shop: Shop, database: Database, projector: Projector
) -> None:
    sku = shop.sku(stock=100)
    projector.deploy()

    def attainment(grain: KpiGrain = KpiGrain.MONTH, of: tuple[date, date] = MONTHS, **more: Any) -> list[Any]:
        projector.catch_up()
        return values(projector, "K025", asked(grain, of=of, **more))

    sell(shop, sku, date(2024, 1, 20), 5)
    regretted = sell(shop, sku, date(2024, 1, 21), 1)
    sell(shop, sku, date(2024, 2, 20), 3)
    assert attainment() == [], "nobody set a target"
    aim(shop, JANUARY, 120)
    assert attainment() == [Fraction(60, 120)], "February has none, so what it sold counts on neither side"
    early = EventLog(database.pool.connection).head().position
    aim(shop, JANUARY, 80)
    aim(shop, FEBRUARY, 60)
    assert attainment() == [Fraction(60, 80), Fraction(30, 60)]
    assert attainment(as_of=early) == [Fraction(60, 120)], "as it was known then"

    for step in (CancelOrder(order_id=regretted), RefundOrder(order_id=regretted)):
        shop.do(step, occurred_at=noon(date(2024, 2, 2)))
    assert attainment() == [Fraction(60, 80), Fraction(30, 60)], "refunds do not lower GMV"
    aim(shop, FEBRUARY, 60, TargetMeasure.NET_SALES)
    assert attainment() == [Fraction(60, 80), Fraction(20, 60)]
    assert attainment(KpiGrain.TOTAL, YEAR) == [Fraction(60 + 20, 80 + 60)]
    aim(shop, FEBRUARY, 0)
    assert attainment(KpiGrain.TOTAL, YEAR) == [Fraction(60, 80)], "it was taken back"
    assert not projector.check(["kpi_facts"])


def test_an_owner_sees_stores_beside_each_other_and_what_a_figure_is_made_of(
    writer: Writer, projector: Projector
) -> None:
    here, there, aimless = (Shop.open(writer, name) for name in ("Here", "There", "Aimless"))
    for shop, units, pounds in ((here, 9, 100), (there, 5, 40), (aimless, 7, 0)):
        sell(shop, shop.sku(stock=100), date(2024, 1, 20), units)
        if pounds:
            aim(shop, JANUARY, pounds)
    projector.deploy()
    projector.catch_up()

    year = asked(of=YEAR, by=STORE)
    found = {key[3]: cell.value for key, cell in kpis.cells(projector, KPIS, KPIS["K025"], year).items()}
    assert found == {str(here.store_id): Fraction(90, 100), str(there.store_id): Fraction(50, 40)}
    assert values(projector, "K025", asked(of=YEAR)) == [Fraction(90 + 50, 100 + 40)]

    cell = OneCell(currency="GBP", part=str(here.store_id))
    behind = {
        name: [(row["event"], row["amount"]) for row in kpis.facts(projector, KPIS["K025"], parts, year, cell)]
        for name, parts in kpis.sides(KPIS["K025"]).items()
    }
    assert behind == {"numerator": [("OrderPaid", 9000)], "denominator": [("SalesTargetSet", 10000)]}


def test_expenses_are_set_against_the_budgets_of_their_month_and_category(shop: Shop, projector: Projector) -> None:
    projector.deploy()

    def allow(category: str, month: date, pounds: int) -> None:
        budget = {"category": category, "month": month, "amount_minor": pounds * 100, "responsible": "ann"}
        shop.do(SetBudget(store_id=shop.store_id, currency="GBP", **budget), occurred_at=noon(JANUARY))

    def spend(category: str, day: date, pounds: int) -> None:
        spent = {"category": category, "amount_minor": pounds * 100, "reason": "as booked"}
        shop.do(RecordExpense(store_id=shop.store_id, currency="GBP", **spent), occurred_at=noon(day))

    def figure(code: str, grain: KpiGrain = KpiGrain.MONTH, **more: Any) -> list[Fraction | None]:
        projector.catch_up()
        return values(projector, code, asked(grain, of=MONTHS, **more))

    allow("rent", JANUARY, 900)
    allow("packing", JANUARY, 100)
    allow("packing", FEBRUARY, 50)
    for category, day, pounds in (
        ("rent", date(2024, 1, 5), 900),
        ("packing", date(2024, 1, 31), 150),
        ("packing", date(2024, 1, 31), -20),
        ("packing", date(2024, 2, 1), 25),
        ("cleaning", date(2024, 2, 1), 40),
    ):
        spend(category, day, pounds)

    assert figure("K104B") == [Fraction(900 + 130, 1000), Fraction(25, 50)]
    assert figure("K104B", category="packing") == [Fraction(130, 100), Fraction(25, 50)]
    assert figure("K104B", KpiGrain.TOTAL, category="cleaning") == []
    allow("packing", JANUARY, 260)
    assert figure("K104B", category="packing") == [Fraction(130, 260), Fraction(25, 50)]
    assert figure("K104U") == [40_00]
    assert figure("K104E") == [1030_00, 65_00]
    by = kpis.cells(projector, KPIS, KPIS["K104E"], asked(of=MONTHS, by="category"))
    assert {key[3]: cell.value for key, cell in by.items()} == {"rent": 900_00, "packing": 155_00, "cleaning": 40_00}

    sell(shop, shop.sku(stock=100), date(2024, 1, 20), 20)
    assert figure("K104", KpiGrain.TOTAL) == [Fraction(1095, 200)]
    assert figure("K104", KpiGrain.TOTAL, category="packing") == [Fraction(155, 200)], "of all that was sold"
    by = kpis.cells(projector, KPIS, KPIS["K104"], asked(of=MONTHS, by="category"))
    assert {key[3]: cell.value for key, cell in by.items()} == {
        "rent": Fraction(900, 200), "packing": Fraction(155, 200), "cleaning": Fraction(40, 200),
    }  # fmt: skip
    assert not projector.check(["kpi_facts"])


def test_what_the_platform_took_of_a_deposit_is_frozen_no_more(log: Log, projector: Projector) -> None:
    world = log.world()
    money = {"currency": "GBP"}
    world.record("DepositFrozen", world.stores[0], 0, amount_minor=100, policy_version=0, **money)
    world.record("DepositDeducted", world.stores[0], 0, amount_minor=30, reason="fakes", case_reference=None, **money)
    built(log, projector, world)

    assert values(projector, "K105", asked()) == [70]
    assert [values(projector, code, asked()) for code in ("K101O", "K101")] == [[-100], [-100]], "it was paid before"
