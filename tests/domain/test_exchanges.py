"""Goods for goods that came back: the order opens again, and its money stays what it was."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

import pytest

from opscore.domain.order import Order
from opscore.domain.order_commands import CompleteOrder, DeliverOrder
from opscore.domain.order_events import ReturnExchanged
from opscore.domain.order_exchanges import ExchangeOf, ExchangeReturn
from opscore.domain.order_refunds import RefundOrder
from opscore.domain.order_refusals import ExchangeExceedsReturned
from opscore.domain.order_state import OrderStatus
from opscore.domain.refusals import InvalidField, WrongState
from opscore.domain.sku import StockInsufficient
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
    assert (order.status, order.lines[0].to_pack, shop.sku(lamp).reserved_for(order_id)) == (
        OrderStatus.CONFIRMED,
        2,
        2,
    )
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
