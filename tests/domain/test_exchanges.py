"""Goods for goods that came back: the order opens again, and its money stays what it was."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from opscore.domain.order import Order
from opscore.domain.order_commands import (
    CancelOrderLines,
    CompleteOrder,
    ContactCustomer,
    DeliverOrder,
    ExchangeFor,
    LineQuantity,
    ReportShortage,
    ResolveShortage,
)
from opscore.domain.order_dispute_commands import (
    AcceptDispute,
    AgreeDispute,
    NegotiateDispute,
    OpenDispute,
    SettleDispute,
    VerifyDispute,
)
from opscore.domain.order_disputes import DisputeRemedy, DisputeStatus, FaultParty, RemedyNotDone
from opscore.domain.order_events import ReturnExchanged, ReturnRemedy, ShortageRemedy
from opscore.domain.order_exchanges import ExchangeOf, ExchangeReturn
from opscore.domain.order_losses import ReplaceLostParcel, ReportParcelLost
from opscore.domain.order_refunds import RefundOf, RefundOrder
from opscore.domain.order_refusals import ExchangeExceedsReturned, NothingToRefund, ReturnWindowOver
from opscore.domain.order_returns import RequestReturn
from opscore.domain.order_state import OrderStatus
from opscore.domain.policies import ProblemKind
from opscore.domain.refusals import InvalidField, WrongState
from opscore.domain.sku import StockInsufficient
from opscore.domain.store_commands import SetPolicy
from tests.domain.selling import Shop
from tests.domain.test_readiness import codes


@pytest.fixture
def shop() -> Shop:
    return Shop()


def exchange(shop: Shop, order_id: UUID, return_id: UUID, quantity: str, sku_id: UUID | None = None) -> None:
    lines = (ExchangeOf(line=1, quantity=Decimal(quantity), sku_id=sku_id),)
    shop.desk.do(ExchangeReturn(order_id=order_id, return_id=return_id, lines=lines))


def arrive(shop: Shop, order_id: UUID) -> None:
    parcel_id = shop.pack(order_id)
    shop.ship(order_id, parcel_id)
    shop.desk.do(DeliverOrder(order_id=order_id, parcel_id=parcel_id))


@pytest.mark.parametrize("final", [False, True])
def test_the_same_article_is_sent_once_more_and_the_order_is_open_until_it_has_arrived(shop: Shop, final: bool) -> None:
    lamp = shop.article(stock="10")
    order_id = shop.delivered((lamp, "3"))
    if final:
        shop.desk.do(CompleteOrder(order_id=order_id))
    return_id = shop.returned(order_id, (1, "2"))

    exchange(shop, order_id, return_id, "2")

    order = shop.order(order_id)
    assert order.status is OrderStatus.CONFIRMED
    assert order.lines[0].to_pack == 2 == shop.sku(lamp).reserved_for(order_id)
    assert [entry.quantity for entry in shop.desk.last(ReturnExchanged).lines] == [2]
    assert codes(shop.desk, Order, order_id)["exchangeReturn"] == "WRONG_STATE"
    arrive(shop, order_id)
    assert shop.order(order_id).status is (OrderStatus.COMPLETED if final else OrderStatus.DELIVERED)
    assert (shop.order(order_id).paid_minor, shop.order(order_id).refunded_minor) == (30_000, 0)


def test_a_stand_in_gives_back_exactly_the_money_of_the_units_it_was_sent_for(shop: Shop) -> None:
    lamp, cup = shop.article(price="33.335"), shop.article("cup", "5")
    order_id = shop.delivered((lamp, "3"))
    first = shop.returned(order_id, (1, "1"))
    exchange(shop, order_id, first, "1", cup)
    second = shop.returned(order_id, (1, "1"))
    exchange(shop, order_id, second, "1", cup)
    assert sum(line.amount_minor for line in shop.order(order_id).lines[1:]) == 6_667
    arrive(shop, order_id)

    shop.returned(order_id, (1, "1"), (2, "1"), (3, "1"))
    shop.desk.do(RefundOrder(order_id=order_id))

    assert shop.order(order_id).refunded_minor == shop.order(order_id).paid_minor == 10_000


def test_no_more_is_exchanged_than_came_back_and_was_not_refunded(shop: Shop) -> None:
    order_id = shop.delivered((shop.article(), "3"))
    return_id = shop.returned(order_id, (1, "2"))
    with pytest.raises(ExchangeExceedsReturned):
        exchange(shop, order_id, return_id, "3")
    shop.desk.do(RefundOrder(order_id=order_id))
    with pytest.raises(WrongState):
        exchange(shop, order_id, return_id, "1")
    assert codes(shop.desk, Order, order_id)["exchangeReturn"] == "WRONG_STATE"


def test_nothing_is_exchanged_for_what_is_not_there_nor_for_another_quantity_of_the_same(shop: Shop) -> None:
    order_id = shop.delivered((shop.article(stock="3"), "3"))
    return_id = shop.returned(order_id, (1, "2"))
    with pytest.raises(StockInsufficient):
        exchange(shop, order_id, return_id, "2")
    lines = (ExchangeOf(line=1, quantity=Decimal(1), sent_quantity=Decimal(2)),)
    with pytest.raises(InvalidField):
        shop.desk.do(ExchangeReturn(order_id=order_id, return_id=return_id, lines=lines))
    assert shop.order(order_id).status is OrderStatus.DELIVERED


def test_units_for_which_goods_are_wanted_are_refunded_when_they_are_named(shop: Shop) -> None:
    order_id = shop.delivered((shop.article(), "3"))
    shop.returned(order_id, (1, "1"), remedy=ReturnRemedy.EXCHANGE)
    with pytest.raises(NothingToRefund):
        shop.desk.do(RefundOrder(order_id=order_id))
    shop.returned(order_id, (1, "1"))
    shop.desk.do(RefundOrder(order_id=order_id))
    assert shop.order(order_id).refunded_minor == 10_000, "the unit of the other return alone"
    shop.desk.do(RefundOrder(order_id=order_id, lines=(RefundOf(line=1, quantity=Decimal(1)),)))
    assert shop.order(order_id).refunded_minor == 20_000


def test_the_days_in_which_goods_are_exchanged_may_be_more_than_those_for_money(shop: Shop) -> None:
    params = {"days": 3, "exchange_days": 9}
    shop.desk.do(SetPolicy(store_id=shop.store_id, kind="after_sale", params=params))
    order_id = shop.delivered((shop.article(), "1"))
    there = shop.order(order_id).delivered_at
    assert there is not None
    late, wanted = there + timedelta(days=4), (LineQuantity(line=1, quantity=Decimal(1)),)
    with pytest.raises(ReturnWindowOver):
        shop.desk.do(RequestReturn(order_id=order_id, lines=wanted), at=late)
    shop.desk.do(RequestReturn(order_id=order_id, lines=wanted, remedy=ReturnRemedy.EXCHANGE), at=late)


def test_the_same_units_are_exchanged_again_and_the_replacement_may_be_called_off_for_money(shop: Shop) -> None:
    lamp = shop.article()
    order_id = shop.delivered((lamp, "2"))
    for _ in range(2):
        exchange(shop, order_id, shop.returned(order_id, (1, "1")), "1")
        arrive(shop, order_id)
    shop.desk.do(CompleteOrder(order_id=order_id))
    exchange(shop, order_id, shop.returned(order_id, (1, "1")), "1")

    shop.desk.do(CancelOrderLines(order_id=order_id, lines=(LineQuantity(line=1, quantity=Decimal(1)),)))

    order = shop.order(order_id)
    assert order.status is OrderStatus.COMPLETED and not shop.sku(lamp).reserved_for(order_id)
    shop.desk.do(RefundOrder(order_id=order_id))
    assert shop.order(order_id).refunded_minor == 10_000


def test_a_replacement_that_is_short_or_lost_is_dealt_with_like_any_other(shop: Shop) -> None:
    cup = shop.article("cup", "5")
    order_id = shop.delivered((shop.article(), "1"))
    shop.desk.do(CompleteOrder(order_id=order_id))
    exchange(shop, order_id, shop.returned(order_id, (1, "1")), "1")
    missing = (LineQuantity(line=1, quantity=Decimal(1)),)
    shop.desk.do(ReportShortage(order_id=order_id, lines=missing))
    assert shop.order(order_id).status is OrderStatus.SHORTAGE
    shop.desk.do(ContactCustomer(order_id=order_id))
    other = (ExchangeFor(line=1, sku_id=cup, quantity=Decimal(1)),)
    shop.desk.do(ResolveShortage(order_id=order_id, kind=ShortageRemedy.EXCHANGE, exchanges=other))
    parcel_id = shop.pack(order_id)
    shop.ship(order_id, parcel_id)
    shop.desk.do(ReportParcelLost(order_id=order_id, parcel_id=parcel_id))
    assert shop.order(order_id).status is OrderStatus.LOST
    shop.desk.do(ReplaceLostParcel(order_id=order_id, parcel_id=parcel_id))
    arrive(shop, order_id)

    order = shop.order(order_id)
    assert order.status is OrderStatus.COMPLETED
    assert [line.amount_minor for line in order.lines] == [0, 10_000]


def test_units_of_a_campaign_s_quota_are_replaced_from_open_stock(shop: Shop) -> None:
    lamp = shop.article()
    campaign = shop.campaign({lamp: "80"}, quota="4")
    order_id = shop.delivered((lamp, "2"), campaign_ids=(campaign,))
    quota = shop.sku(lamp).allocations[campaign][shop.location_id]
    exchange(shop, order_id, shop.returned(order_id, (1, "2")), "2")
    arrive(shop, order_id)
    assert shop.sku(lamp).allocations[campaign][shop.location_id] == quota
    assert shop.order(order_id).status is OrderStatus.DELIVERED


def test_an_exchange_settles_a_dispute_that_was_to_end_with_one(shop: Shop) -> None:
    order_id = shop.delivered((shop.article(), "1"))
    shop.desk.do(OpenDispute(order_id=order_id, kind=ProblemKind.QUALITY))
    [dispute_id] = shop.order(order_id).disputes
    case: dict[str, Any] = {"order_id": order_id, "dispute_id": dispute_id}
    shop.desk.do(AcceptDispute(**case))
    shop.desk.do(VerifyDispute(**case, real=True, fault_party=FaultParty.OWNER, solution=DisputeRemedy.EXCHANGE))
    shop.desk.do(NegotiateDispute(**case, remedy=DisputeRemedy.EXCHANGE))
    shop.desk.do(AgreeDispute(**case))
    return_id = shop.returned(order_id, (1, "1"), remedy=ReturnRemedy.EXCHANGE)
    with pytest.raises(RemedyNotDone):
        shop.desk.do(SettleDispute(**case, return_id=return_id))
    exchange(shop, order_id, return_id, "1")
    shop.desk.do(SettleDispute(**case, return_id=return_id))
    assert shop.order(order_id).disputes[dispute_id].status is DisputeStatus.SETTLED
