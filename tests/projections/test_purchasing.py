"""Figures of what is bought: what came in time, what came at all, and how far costs lie above the best quote."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest

from opscore.database import Database
from opscore.domain.inspections import InspectBatch
from opscore.domain.purchase_commands import CancelPurchase, PayPurchase
from opscore.domain.sku import StockCondition
from opscore.domain.stock_commands import ReceiveStock
from opscore.domain.supplier_commands import ExpelSupplier
from opscore.kpis import KpiGrain
from opscore.log.event_log import EventLog
from opscore.projector import Projector
from opscore.settings import Settings
from opscore.writer import Writer
from tests.buying import Buyer
from tests.projections.kpi_cells import asked, values
from tests.shop import Shop

JANUARY = (date(2024, 1, 1), date(2024, 1, 31))


def noon(day: int, month: int = 1) -> datetime:
    return datetime(2024, month, day, 12, tzinfo=UTC)


@pytest.fixture
def buyer(database: Database, settings: Settings) -> Iterator[Buyer]:
    """Somebody who buys for an open store, through a writer of the test's own."""
    writer = Writer(database, settings)
    writer.start()
    try:
        yield Buyer(Shop.open(writer), EventLog(database.pool.connection))
    finally:
        writer.stop()


def receive(buyer: Buyer, sku: UUID, purchase: UUID, quantity: int, at: datetime) -> None:
    of = {"sku_id": sku, "location_id": buyer.shop.location_id, "purchase_id": purchase}
    buyer.do(ReceiveStock(**of, quantity=Decimal(quantity)), at)


def cancel(buyer: Buyer, sku: UUID, purchase: UUID, quantity: int, at: datetime) -> None:
    of = {"sku_id": sku, "purchase_id": purchase}
    buyer.do(CancelPurchase(**of, reason="sold elsewhere", quantity=Decimal(quantity)), at)


def test_what_was_due_came_in_time_or_late_or_never(buyer: Buyer, projector: Projector) -> None:
    sku, other = buyer.shop.sku_to_review(stock=0), buyer.shop.sku_to_review(stock=0)
    oak, elm = buyer.supplier("Oak Ltd", noon(1)), buyer.supplier("Elm Ltd", noon(1))
    projector.deploy()

    def figure(code: str, day: int = 31, **more: Any) -> list[Fraction | None]:
        projector.catch_up()
        return values(projector, code, asked(of=JANUARY, **{"now": noon(day), **more}))

    late = buyer.order(sku, oak, 10, due_on=date(2024, 1, 10), at=noon(2))
    short = buyer.order(other, elm, 5, due_on=date(2024, 1, 20), at=noon(3))
    buyer.order(sku, oak, 99, due_on=date(2024, 2, 1), at=noon(3))
    receive(buyer, sku, late, 4, datetime(2024, 1, 10, 23, 59, tzinfo=UTC))
    receive(buyer, sku, late, 2, datetime(2024, 1, 11, tzinfo=UTC))
    cancel(buyer, other, short, 2, noon(8))
    assert figure("K114", 10) == figure("K116", 10) == [], "nothing is due before its day is over"
    assert figure("K114", 12) == [Fraction(4, 10)]
    assert figure("K116", 12) == [Fraction(6, 10)]
    cancel(buyer, sku, late, 1, noon(13))
    assert figure("K114", 14) == [Fraction(4, 10)], "what is called off when it is late was late"
    assert figure("K116", 14) == [Fraction(6, 9)], "what is called off is no longer wanted"
    known = buyer.log.head().position
    receive(buyer, sku, late, 3, noon(25))
    assert figure("K114") == [Fraction(4 + 0, 10 + 3)], "what was called off in time was never due"
    assert figure("K116") == [Fraction(9 + 0, 9 + 3)]
    assert figure("K116", as_of=known) == [Fraction(6, 12)]
    assert figure("K114", supplier_id=elm) == [0]
    assert figure("K114", sku_id=sku) == [Fraction(4, 10)]
    in_february = asked(of=(date(2024, 2, 1), date(2024, 2, 29)), now=noon(1, 2))
    assert values(projector, "K114", in_february) == [], "its day is not over before midnight"
    broken_down = asked(KpiGrain.MONTH, of=JANUARY, now=noon(31), by="supplier", kept=(str(oak), str(elm)))
    assert sorted(values(projector, "K114", broken_down)) == [0, Fraction(4, 10)]

    rows = projector.run_query("purchasing", "supplier_rows", {"now": noon(31)}, store_ids=None)
    [row] = [each for each in rows if each["supplier_id"] == oak]
    assert (row["purchases"], row["open_purchases"], row["overdue_purchases"]) == (2, 1, 0)
    assert (row["due_units"], row["in_time_units"], row["on_time_rate"]) == (10, 4, Decimal("0.4"))
    assert (row["wanted_units"], row["received_units"], row["fill_rate"]) == (9, 9, 1)
    behind = projector.explain("purchasing", "supplier_rows", {"supplier_id": oak}, store_ids=None)
    assert sum(each["received"] for each in behind) == 9
    assert [each["status"] for each in behind if each["status"]] == ["applied", "qualified", "active"]
    assert not projector.check(["purchasing"])


def test_what_is_bought_is_set_against_the_best_quote_of_its_day(buyer: Buyer, projector: Projector) -> None:
    sku = buyer.shop.sku_to_review(stock=0)
    oak, elm = buyer.supplier("Oak Ltd", noon(1)), buyer.supplier("Elm Ltd", noon(1))
    projector.deploy()

    def variance(**more: Any) -> list[Fraction | None]:
        projector.catch_up()
        return values(projector, "K118", asked(of=JANUARY, **more))

    buyer.order(sku, oak, 7, "9.99", at=noon(2))
    assert variance() == [], "there was nothing to compare with"
    buyer.quote(sku, elm, "3.80", at=noon(3))
    dear = buyer.order(sku, oak, 10, "4.00", at=noon(4))
    buyer.order(sku, elm, 10, "3.80", at=noon(5))
    assert variance() == [Fraction(10 * 20 + 0, 20)]
    cancel(buyer, sku, dear, 5, noon(6))
    assert variance() == [Fraction(5 * 20 + 0, 15)], "what is called off is not bought"
    assert variance(supplier_id=oak) == [20]
    buyer.quote(sku, elm, "1.00", at=noon(7))
    assert variance(supplier_id=oak) == [20], "a later quote is no reproach"
    assert not projector.check(["purchasing"])


def test_what_failed_is_set_against_what_was_inspected_and_is_its_suppliers(buyer: Buyer, projector: Projector) -> None:
    sku = buyer.shop.sku_to_review(stock=0)
    oak = buyer.supplier("Oak Ltd", noon(1))
    purchase = buyer.order(sku, oak, 10, at=noon(2))
    at = {"sku_id": sku, "location_id": buyer.shop.location_id}
    waits = {"condition": StockCondition.QUARANTINED}
    buyer.do(ReceiveStock(**at, quantity=Decimal(10), batch="B1", purchase_id=purchase, **waits), noon(3))
    buyer.do(ReceiveStock(**at, quantity=Decimal(5), batch="B2", **waits), noon(3))
    for batch, accepted, failed in (("B1", 6, 2), ("B1", 2, 0), ("B2", 4, 1)):
        found = {"batch": batch, "accepted": Decimal(accepted), "failed": Decimal(failed), "finding": "mould"}
        buyer.do(InspectBatch(**at, **found), noon(4))
    projector.deploy()

    assert values(projector, "K115", asked(of=JANUARY)) == [Fraction(3, 15)]
    assert values(projector, "K115", asked(of=JANUARY, supplier_id=oak)) == [Fraction(2, 10)]
    assert not projector.check(["purchasing"])


def test_every_purchase_says_what_became_of_it_and_of_its_money(buyer: Buyer, projector: Projector) -> None:
    sku = buyer.shop.sku_to_review(stock=0)
    oak = buyer.supplier("Oak Ltd", noon(1))
    purchases = [buyer.order(sku, oak, 3, cost, at=noon(2)) for cost in ("1.335", "1.00", "1.00", "1.00")]
    for purchase in purchases[1:3]:
        receive(buyer, sku, purchase, 1, noon(3))
    receive(buyer, sku, purchases[2], 2, noon(4))
    buyer.do(PayPurchase(sku_id=sku, purchase_id=purchases[3], amount_minor=3_00, currency="GBP"), noon(4))
    cancel(buyer, sku, purchases[3], 3, noon(5))
    buyer.do(ExpelSupplier(store_id=buyer.shop.store_id, supplier_id=oak, reason="dear"), noon(6))
    projector.deploy()

    rows = {row["purchase_id"]: row for row in projector.run_query("purchasing", "purchase_rows", {}, store_ids=None)}
    told = [(rows[each]["state"], rows[each]["open"], rows[each]["unpaid_minor"]) for each in purchases]
    assert told == [("on_order", 3, 4_00), ("partly_received", 2, 3_00), ("received", 0, 3_00), ("cancelled", 0, -3_00)]
    assert not projector.check(["purchasing"])
