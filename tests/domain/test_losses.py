"""Parcels that are lost: what it means for the order, for the stock, and for the money, until they are dealt with."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from uuid import UUID

import pytest

from opscore.domain.order import Order
from opscore.domain.order_commands import (
    CancelOrder,
    CancelOrderLines,
    CompleteOrder,
    DeliverOrder,
    LineQuantity,
)
from opscore.domain.order_events import CancelReason, CourierClaimSettled, OrderCancelled, OrderDelivered, ParcelLost
from opscore.domain.order_losses import (
    FileCourierClaim,
    ReplaceLostParcel,
    ReportParcelLost,
    SettleCourierClaim,
    TraceParcel,
)
from opscore.domain.order_refunds import RefundOrder
from opscore.domain.order_refusals import ClaimExists, LossSettled, ParcelAskedBack
from opscore.domain.order_returns import RequestReturn
from opscore.domain.order_state import LineState, OrderStatus, Parcel
from opscore.domain.readiness import DONE_ALREADY
from opscore.domain.refusals import CurrencyMismatch, InvalidField, WrongState
from opscore.domain.sku import StockInsufficient
from tests.domain.desk import WAREHOUSE
from tests.domain.selling import Shop
from tests.domain.test_readiness import codes, possible


@pytest.fixture
def shop() -> Shop:
    return Shop()


def lost(shop: Shop, *lines: tuple[UUID, str], **fields: UUID) -> tuple[UUID, UUID]:
    """Return an order and its one parcel, which is lost."""
    order_id = shop.shipped(*lines or ((shop.article(), "3"),), **fields)
    parcel_id = next(iter(shop.order(order_id).parcels))
    shop.desk.do(ReportParcelLost(order_id=order_id, parcel_id=parcel_id), actor=WAREHOUSE)
    return order_id, parcel_id


def some(quantity: str, line: int = 1) -> tuple[LineQuantity, ...]:
    return (LineQuantity(line=line, quantity=Decimal(quantity)),)


def line(shop: Shop, order_id: UUID) -> LineState:
    return shop.order(order_id).lines[0]


def parcel(shop: Shop, order_id: UUID, parcel_id: UUID) -> Parcel:
    return shop.order(order_id).parcels[parcel_id]


# Reported and traced -------------------------------------------------------------------------------------------------


def test_what_is_lost_is_gone_from_the_stock_and_has_not_left_for_the_order(shop: Shop) -> None:
    lamp = shop.article(stock="10")
    order_id, _ = lost(shop, (lamp, "3"))

    assert shop.order(order_id).status is OrderStatus.LOST
    found = line(shop, order_id)
    assert (found.lost, found.packed, found.shipped, found.to_pack) == (3, 0, 0, 0)
    assert shop.sku(lamp).on_hand == 7 and not shop.sku(lamp).reserved_for(order_id)
    event = shop.desk.last(ParcelLost)
    assert (event.courier, event.waybill, [entry.quantity for entry in event.lines]) == ("sf", "SF1", [3])


def test_reporting_twice_records_once(shop: Shop) -> None:
    order_id, parcel_id = lost(shop)
    before = len(shop.desk.events)

    shop.desk.do(ReportParcelLost(order_id=order_id, parcel_id=parcel_id))

    assert len(shop.desk.events) == before
    assert codes(shop.desk, Order, order_id)["reportParcelLost"] == DONE_ALREADY


@pytest.mark.parametrize("reach", [lambda shop: shop.delivered, lambda shop: shop.confirmed])
def test_only_what_is_on_its_way_is_lost(shop: Shop, reach: Callable[[Shop], Callable[..., UUID]]) -> None:
    order_id = reach(shop)((shop.article(), "1"))
    if not shop.order(order_id).parcels:
        shop.pack(order_id)
    report = ReportParcelLost(order_id=order_id, parcel_id=next(iter(shop.order(order_id).parcels)))

    with pytest.raises(WrongState):
        shop.desk.do(report)
    assert codes(shop.desk, Order, order_id)["reportParcelLost"] == "WRONG_STATE"


def test_what_the_customer_sends_back_was_not_lost(shop: Shop) -> None:
    order_id = shop.shipped((shop.article(), "2"))
    shop.desk.do(RequestReturn(order_id=order_id, lines=some("1")))

    with pytest.raises(ParcelAskedBack):
        shop.desk.do(ReportParcelLost(order_id=order_id, parcel_id=next(iter(shop.order(order_id).parcels))))


def test_a_lost_parcel_neither_arrives_nor_lets_the_order_be_complete(shop: Shop) -> None:
    order_id, parcel_id = lost(shop)
    for command in (DeliverOrder(order_id=order_id, parcel_id=parcel_id), CompleteOrder(order_id=order_id)):
        with pytest.raises(WrongState):
            shop.desk.do(command)


def test_a_parcel_that_was_found_goes_on_to_the_customer(shop: Shop) -> None:
    order_id, parcel_id = lost(shop)
    trace = TraceParcel(order_id=order_id, parcel_id=parcel_id)
    shop.desk.do(trace)
    assert shop.order(order_id).status is OrderStatus.LOST
    assert parcel(shop, order_id, parcel_id).traced_at is not None

    shop.desk.do(TraceParcel(order_id=order_id, parcel_id=parcel_id, found=True))

    assert (shop.order(order_id).status, line(shop, order_id).shipped) == (OrderStatus.SHIPPED, 3)
    with pytest.raises(WrongState):
        shop.desk.do(trace)
    shop.desk.do(DeliverOrder(order_id=order_id, parcel_id=parcel_id))
    assert shop.order(order_id).status is OrderStatus.DELIVERED


# Sent once more ------------------------------------------------------------------------------------------------------


def test_what_was_lost_is_sent_once_more_from_what_there_is(shop: Shop) -> None:
    lamp = shop.article(stock="10")
    order_id, parcel_id = lost(shop, (lamp, "3"))

    shop.desk.do(ReplaceLostParcel(order_id=order_id, parcel_id=parcel_id))

    assert (shop.order(order_id).status, line(shop, order_id).to_pack) == (OrderStatus.CONFIRMED, 3)
    assert shop.sku(lamp).reserved_for(order_id) == 3
    again = shop.pack(order_id)
    shop.ship(order_id, again)
    shop.desk.do(DeliverOrder(order_id=order_id, parcel_id=again))
    assert shop.order(order_id).status is OrderStatus.DELIVERED and shop.desk.last(OrderDelivered).complete
    assert shop.sku(lamp).on_hand == 4


def test_nothing_is_sent_once_more_that_is_not_there(shop: Shop) -> None:
    order_id, parcel_id = lost(shop, (shop.article(stock="3"), "3"))

    with pytest.raises(StockInsufficient):
        shop.desk.do(ReplaceLostParcel(order_id=order_id, parcel_id=parcel_id))
    assert shop.order(order_id).status is OrderStatus.LOST


def test_what_was_dealt_with_is_neither_replaced_again_nor_found(shop: Shop) -> None:
    order_id, parcel_id = lost(shop)
    shop.desk.do(ReplaceLostParcel(order_id=order_id, parcel_id=parcel_id))

    with pytest.raises(LossSettled):
        shop.desk.do(ReplaceLostParcel(order_id=order_id, parcel_id=parcel_id))
    with pytest.raises(LossSettled):
        shop.desk.do(TraceParcel(order_id=order_id, parcel_id=parcel_id, found=True))
    assert codes(shop.desk, Order, order_id)["replaceLostParcel"] == "LOSS_SETTLED"


def test_what_was_lost_holds_up_nothing_else(shop: Shop) -> None:
    order_id = shop.confirmed((shop.article(), "2"), (shop.article("cup"), "1"))
    first = shop.pack(order_id, (1, "2"))
    shop.ship(order_id, first)
    shop.desk.do(ReportParcelLost(order_id=order_id, parcel_id=first))
    assert shop.order(order_id).status is OrderStatus.LOST and "packParcel" in possible(shop.desk, Order, order_id)

    second = shop.pack(order_id)
    shop.ship(order_id, second)
    shop.desk.do(DeliverOrder(order_id=order_id, parcel_id=second))

    assert shop.order(order_id).status is OrderStatus.LOST and not shop.desk.last(OrderDelivered).complete
    assert "packParcel" not in possible(shop.desk, Order, order_id)
    shop.desk.do(CancelOrderLines(order_id=order_id, lines=some("2"), reason=CancelReason.LOST))
    assert shop.order(order_id).status is OrderStatus.DELIVERED and shop.desk.last(OrderCancelled).rest_shipped


# Called off and refunded ---------------------------------------------------------------------------------------------


def test_an_order_whose_only_parcel_is_lost_may_be_called_off_and_refunded(shop: Shop) -> None:
    lamp = shop.article(stock="10")
    order_id, parcel_id = lost(shop, (lamp, "3"))

    shop.desk.do(CancelOrder(order_id=order_id, reason=CancelReason.LOST))

    assert shop.order(order_id).status is OrderStatus.CANCELLED
    assert [entry.lost for entry in shop.desk.last(OrderCancelled).lines] == [3]
    assert shop.sku(lamp).on_hand == 7  # They do not come back.
    shop.desk.do(RefundOrder(order_id=order_id))
    assert shop.order(order_id).refunded_minor == 30_000
    # What the courier owes is owed all the same.
    shop.desk.do(FileCourierClaim(order_id=order_id, parcel_id=parcel_id, amount_minor=5_000))


def test_calling_off_takes_what_is_lost_first_and_leaves_what_is_set_apart(shop: Shop) -> None:
    lamp = shop.article(stock="10")
    order_id = shop.confirmed((lamp, "3"))
    first = shop.pack(order_id, (1, "1"))
    shop.ship(order_id, first)
    shop.desk.do(ReportParcelLost(order_id=order_id, parcel_id=first))

    shop.desk.do(CancelOrderLines(order_id=order_id, lines=some("1"), reason=CancelReason.LOST))

    assert (line(shop, order_id).lost, line(shop, order_id).to_pack) == (0, 2)
    assert shop.sku(lamp).reserved_for(order_id) == 2
    assert shop.order(order_id).status is OrderStatus.CONFIRMED
    shop.ship(order_id, shop.pack(order_id))
    assert shop.order(order_id).status is OrderStatus.SHIPPED


# Claims --------------------------------------------------------------------------------------------------------------


def test_a_claim_on_the_courier_has_a_result(shop: Shop) -> None:
    order_id, parcel_id = lost(shop)
    claim = FileCourierClaim(order_id=order_id, parcel_id=parcel_id, amount_minor=5_000, reference="C-9")
    shop.desk.do(claim)
    with pytest.raises(ClaimExists):
        shop.desk.do(claim)
    with pytest.raises(InvalidField, match="only 5000"):
        shop.desk.do(SettleCourierClaim(order_id=order_id, parcel_id=parcel_id, amount_minor=5_001))

    settle = SettleCourierClaim(order_id=order_id, parcel_id=parcel_id, amount_minor=3_000)
    shop.desk.do(settle)

    found = parcel(shop, order_id, parcel_id).claim
    assert found is not None and (found.amount_minor, found.recovered_minor, found.reference) == (5_000, 3_000, "C-9")
    assert (shop.desk.last(CourierClaimSettled).courier, shop.desk.last(CourierClaimSettled).currency) == ("sf", "CNY")
    before = len(shop.desk.events)
    shop.desk.do(settle)
    assert len(shop.desk.events) == before
    with pytest.raises(WrongState):
        shop.desk.do(SettleCourierClaim(order_id=order_id, parcel_id=parcel_id, amount_minor=0))


def test_nothing_is_claimed_for_what_is_not_lost_nor_in_another_currency(shop: Shop) -> None:
    order_id = shop.shipped((shop.article(), "1"))
    parcel_id = next(iter(shop.order(order_id).parcels))
    claim = FileCourierClaim(order_id=order_id, parcel_id=parcel_id, amount_minor=5_000)
    with pytest.raises(WrongState):
        shop.desk.do(claim)
    with pytest.raises(WrongState):
        shop.desk.do(SettleCourierClaim(order_id=order_id, parcel_id=parcel_id, amount_minor=0))
    shop.desk.do(ReportParcelLost(order_id=order_id, parcel_id=parcel_id))
    with pytest.raises(CurrencyMismatch):
        shop.desk.do(FileCourierClaim(order_id=order_id, parcel_id=parcel_id, amount_minor=5_000, currency="GBP"))


def test_a_claim_stays_open_when_the_parcel_is_found(shop: Shop) -> None:
    order_id, parcel_id = lost(shop)
    shop.desk.do(FileCourierClaim(order_id=order_id, parcel_id=parcel_id, amount_minor=5_000))
    shop.desk.do(TraceParcel(order_id=order_id, parcel_id=parcel_id, found=True))

    shop.desk.do(SettleCourierClaim(order_id=order_id, parcel_id=parcel_id, amount_minor=0))

    claim = parcel(shop, order_id, parcel_id).claim
    assert claim is not None and claim.recovered_minor == 0
