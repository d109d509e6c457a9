"""What is in the funds of a store: capital and incomes by their shares, less what was spent; and payback."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest

from opscore import resources
from opscore.database import Database
from opscore.domain.order_commands import CancelOrder, ConfirmOrder, PayOrder
from opscore.domain.order_refunds import RefundOrder
from opscore.domain.policies import IncomeSplit
from opscore.domain.purchase_commands import PayPurchase
from opscore.domain.store_capital import InvestCapital, MoveFunds
from opscore.domain.store_commands import RecordExpense, SetPolicy
from opscore.domain.store_plan_events import Fund
from opscore.kpis import KpiGrain
from opscore.log.event_log import EventLog
from opscore.projector import Projector, read_all
from opscore.settings import Settings
from opscore.writer import Writer
from tests.buying import Buyer
from tests.projections.kpi_cells import asked, values
from tests.shop import Shop

JANUARY = date(2024, 1, 1)
YEAR = (JANUARY, date(2024, 12, 31))


@pytest.fixture
def shop(database: Database, settings: Settings) -> Iterator[Shop]:
    """An open store, through a writer of the test's own."""
    writer = Writer(database, settings)
    writer.start()
    try:
        yield Shop.open(writer)
    finally:
        writer.stop()


def on(shop: Shop, day: date, command: Any) -> UUID:
    return shop.do(command, occurred_at=datetime(day.year, day.month, day.day, 12, tzinfo=UTC))


def sell(shop: Shop, day: date, minor: int) -> UUID:
    """Sell one article at this price, and return the order."""
    price = Decimal(minor) / 100
    sku = shop.sku(price=str(price), cost=str(price), stock=1)
    order = on(shop, day, shop.order((sku, 1)))
    on(shop, day, PayOrder(order_id=order, amount_minor=minor, method="card"))
    on(shop, day, ConfirmOrder(order_id=order))
    return order


def call_off(shop: Shop, day: date, order: UUID) -> None:
    for step in (CancelOrder(order_id=order), RefundOrder(order_id=order)):
        on(shop, day, step)


def funds(projector: Projector, **more: Any) -> list[Fraction | None]:
    """Return purchasing, working and other at the end of the year."""
    projector.catch_up()
    [found] = zip(
        *(values(projector, code, asked(of=YEAR, **more)) for code in ("K101P", "K101W", "K101O")), strict=True
    )
    return list(found)


def test_capital_and_incomes_fill_the_funds_and_what_is_paid_leaves_them(shop: Shop, projector: Projector) -> None:
    projector.deploy()
    on(shop, JANUARY, InvestCapital(store_id=shop.store_id, amount_minor=50_000_00, currency="GBP"))
    assert funds(projector) == [35_000_00, 10_000_00, 5_000_00]
    order = sell(shop, date(2024, 1, 5), 199_90)
    assert funds(projector) == [35_000_00 + 159_92, 10_000_00 + 19_99, 5_000_00 + 19_99]
    small = sell(shop, date(2024, 1, 5), 5)
    assert funds(projector) == [35_000_00 + 159_97, 10_000_00 + 19_99, 5_000_00 + 19_99], "odd pence buy goods"
    for each in (order, small):
        call_off(shop, date(2024, 1, 6), each)
    assert funds(projector) == [35_000_00, 10_000_00, 5_000_00], "exactly back"

    rent = {"category": "rent", "amount_minor": 10_500_00, "currency": "GBP"}
    on(shop, date(2024, 1, 7), RecordExpense(store_id=shop.store_id, **rent))
    assert funds(projector) == [35_000_00, -500_00, 5_000_00], "below 0, and shown"
    money = {"amount_minor": 700_00, "currency": "GBP", "reason": "rent"}
    move = MoveFunds(store_id=shop.store_id, from_fund=Fund.PURCHASING, to_fund=Fund.WORKING, **money)
    on(shop, date(2024, 1, 8), move)
    assert funds(projector) == [34_300_00, 200_00, 5_000_00]
    days = asked(KpiGrain.DAY, of=(date(2024, 1, 6), date(2024, 1, 8)))
    assert values(projector, "K101W", days) == [10_000_00, -500_00, 200_00]
    assert values(projector, "K101", days) == [50_000_00, 39_500_00, 39_500_00]
    assert values(projector, "K101I", days) == [50_000_00] * 3
    assert not projector.check(["funds"])


def test_what_suppliers_are_paid_leaves_the_purchasing_fund_and_what_they_give_back_returns(
    shop: Shop, projector: Projector, database: Database
) -> None:
    projector.deploy()
    buyer = Buyer(shop, EventLog(database.pool.connection))
    noon = datetime(2024, 1, 5, 12, tzinfo=UTC)
    on(shop, JANUARY, InvestCapital(store_id=shop.store_id, amount_minor=50_00, currency="GBP"))
    sku_id = shop.sku_to_review(stock=0)
    purchase = buyer.order(sku_id, buyer.supplier(at=noon), 10, "4.00", at=noon)
    assert funds(projector) == [35_00, 10_00, 5_00], "what is only ordered is not paid"
    of = {"sku_id": sku_id, "purchase_id": purchase, "currency": "GBP"}
    on(shop, date(2024, 1, 6), PayPurchase(**of, amount_minor=40_00))
    assert funds(projector) == [-5_00, 10_00, 5_00]
    on(shop, date(2024, 1, 7), PayPurchase(**of, amount_minor=-15_00))
    assert funds(projector) == [10_00, 10_00, 5_00]
    assert not projector.check(["funds"])


def test_shares_of_an_income_are_those_of_its_day_and_so_are_those_of_what_goes_back(
    shop: Shop, projector: Projector
) -> None:
    projector.deploy()
    before = sell(shop, date(2024, 1, 20), 100_00)
    shares = {"working_share": "0.15", "other_share": "0.15"}
    february = datetime(2024, 2, 1, tzinfo=UTC)
    policy = SetPolicy(store_id=shop.store_id, kind="income_split", params=shares, effective_from=february)
    on(shop, date(2024, 1, 21), policy)
    sell(shop, date(2024, 1, 31), 100_00)
    assert funds(projector) == [160_00, 20_00, 20_00]
    after = sell(shop, date(2024, 2, 1), 100_00)
    assert funds(projector) == [230_00, 35_00, 35_00]
    call_off(shop, date(2024, 2, 2), before)
    assert funds(projector) == [150_00, 25_00, 25_00], "of January, though February has come"
    call_off(shop, date(2024, 2, 2), after)
    assert funds(projector) == [80_00, 10_00, 10_00]

    # What a store works by that set no policy is what the rules of the figure say.
    rules = read_all(resources.path("projections"))["funds"].rules
    assert (rules["working_share"], rules["other_share"]) == (IncomeSplit().working_share, IncomeSplit().other_share)
    assert not projector.check(["funds"])


def test_capital_is_earned_back_by_profit_and_further_capital_moves_the_line(shop: Shop, projector: Projector) -> None:
    projector.deploy()

    def payback(until: date) -> list[Fraction | None]:
        projector.catch_up()
        return values(projector, "K103", asked(of=(JANUARY, until)))

    assert payback(YEAR[1]) == []
    sell(shop, date(2024, 1, 5), 60_00)
    assert payback(YEAR[1]) == [None], "nothing was put in"
    on(shop, date(2024, 1, 6), InvestCapital(store_id=shop.store_id, amount_minor=100_00, currency="GBP"))
    rent = {"category": "rent", "amount_minor": 10_00, "currency": "GBP"}
    on(shop, date(2024, 1, 7), RecordExpense(store_id=shop.store_id, **rent))
    assert payback(date(2024, 1, 31)) == [Fraction(60 - 10, 100)]
    sell(shop, date(2024, 2, 5), 80_00)
    assert [payback(date(2024, 1, 31)), payback(date(2024, 2, 5))] == [[Fraction(50, 100)], [Fraction(130, 100)]]
    on(shop, date(2024, 2, 4), InvestCapital(store_id=shop.store_id, amount_minor=100_00, currency="GBP"))
    assert [payback(date(2024, 1, 31)), payback(date(2024, 2, 5))] == [[Fraction(50, 100)], [Fraction(130, 200)]]
