"""An order's life after placing: money in, shortage, parcels, completion, calling off."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from opscore.domain.command import Actor, Role
from opscore.domain.order import Order
from opscore.domain.order_commands import (
    AmendOrderPrice,
    CancelOrder,
    CancelOrderLines,
    CompleteOrder,
    ConfirmOrder,
    ContactCustomer,
    DeliverOrder,
    ExchangeFor,
    ExpireOrder,
    LineQuantity,
    PackParcel,
    PayOrder,
    ReportShortage,
    ResolveShortage,
    ScannedLine,
    ShipOrder,
)
from opscore.domain.order_events import (
    CancelReason,
    OrderCancelled,
    OrderCompleted,
    OrderDelivered,
    OrderExpired,
    OrderPaid,
    OrderShipped,
    ShortageRemedy,
    ShortageResolved,
)
from opscore.domain.order_refusals import (
    ArticleMismatch,
    CancelExceedsOpen,
    CustomerNotContacted,
    NothingShort,
    OrderAlreadyPaid,
    OrderAlreadyShipped,
    OrderNotExpired,
    PaymentExceedsDue,
    PaymentReferenceReused,
    QuantityMismatch,
    ReservationExpired,
)
from opscore.domain.order_state import OrderStatus
from opscore.domain.refusals import CurrencyMismatch, InvalidField, NotFound, ReferenceTaken, WrongState
from opscore.domain.sku import StockInsufficient
from opscore.domain.sku_commands import DelistSku
from opscore.domain.sku_events import BelowCost, DelistReason, ProhibitedGoods
from opscore.domain.store_commands import SetPolicy
from opscore.domain.store_events import CourierNotAllowed, PaymentMethodNotEnabled
from tests.domain.desk import SERVICE, WAREHOUSE
from tests.domain.selling import Shop


@pytest.fixture
def shop() -> Shop:
    return Shop()


def part(*lines: tuple[int, str]) -> tuple[LineQuantity, ...]:
    return tuple(LineQuantity(line=line, quantity=Decimal(quantity)) for line, quantity in lines)


# Money in ------------------------------------------------------------------------------------------------------------


def test_a_promise_to_ship_runs_24_and_48_hours_from_payment(shop: Shop) -> None:
    order_id = shop.place((shop.article(), "1"))
    paid_at = datetime(2024, 6, 18, 10, tzinfo=UTC)
    shop.pay(order_id, at=paid_at)
    order = shop.order(order_id)
    assert order.ship_by == datetime(2024, 6, 19, 10, tzinfo=UTC)
    assert order.ship_by_hard == datetime(2024, 6, 20, 10, tzinfo=UTC)
    assert not shop.desk.last(OrderPaid).surge


def test_in_a_surge_the_soft_promise_is_the_hard_one(shop: Shop) -> None:
    lamp = shop.article()
    campaign = shop.campaign({lamp: "90"}, surge=True)
    shop.pay(shop.place((lamp, "1"), campaign_ids=(campaign,)))
    paid = shop.desk.last(OrderPaid)
    assert paid.surge and paid.ship_by == paid.ship_by_hard == paid.occurred_at + timedelta(hours=48)


def test_the_promise_is_the_store_s_own(shop: Shop) -> None:
    params: dict[str, Any] = {"soft_hours": 12, "hard_hours": 36}
    shop.desk.do(SetPolicy(store_id=shop.store_id, kind="ship_promise", params=params))
    shop.pay(shop.place((shop.article(), "1")))
    paid = shop.desk.last(OrderPaid)
    assert (paid.ship_by - paid.occurred_at, paid.ship_by_hard - paid.occurred_at) == (
        timedelta(hours=12),
        timedelta(hours=36),
    )


def test_an_order_is_paid_when_the_last_part_of_the_money_is_in(shop: Shop) -> None:
    order_id = shop.place((shop.article(), "2"))
    shop.pay(order_id, 5000)
    assert shop.order(order_id).status is OrderStatus.PLACED
    assert shop.order(order_id).due_minor == 15000
    shop.pay(order_id, 15000)
    assert shop.order(order_id).status is OrderStatus.PAID
    paid = shop.desk.last(OrderPaid)
    assert (paid.total_minor, paid.goods_minor, paid.freight_minor, paid.units) == (20000, 20000, 0, Decimal(2))


def test_a_payment_reference_counts_once(shop: Shop) -> None:
    order_id = shop.place((shop.article(), "1"))
    shop.pay(order_id, 4000, provider_reference="p-1")
    before = len(shop.desk.events)
    shop.pay(order_id, 4000, provider_reference="p-1")
    assert len(shop.desk.events) == before
    with pytest.raises(PaymentReferenceReused):
        shop.pay(order_id, 4001, provider_reference="p-1")
    shop.pay(order_id, 6000, provider_reference="p-2")
    shop.pay(order_id, 6000, provider_reference="p-2")
    assert shop.order(order_id).paid_minor == 10000


def test_nobody_pays_too_much(shop: Shop) -> None:
    order_id = shop.place((shop.article(), "1"))
    with pytest.raises(PaymentExceedsDue) as refusal:
        shop.pay(order_id, 10001)
    assert refusal.value.path == ("amount_minor",)
    assert "Only 10000" in refusal.value.message


def test_a_payment_needs_an_enabled_method_and_the_order_s_currency(shop: Shop) -> None:
    order_id = shop.place((shop.article(), "1"))
    with pytest.raises(PaymentMethodNotEnabled):
        shop.desk.do(PayOrder(order_id=order_id, amount_minor=1, method="cheque"))
    with pytest.raises(CurrencyMismatch):
        shop.desk.do(PayOrder(order_id=order_id, amount_minor=1, method="alipay", currency="GBP"))


def test_a_paid_order_takes_no_more_money(shop: Shop) -> None:
    order_id = shop.place((shop.article(), "1"))
    shop.pay(order_id)
    with pytest.raises(WrongState):
        shop.pay(order_id, 1)


def test_a_price_may_be_lowered_before_payment(shop: Shop) -> None:
    order_id = shop.place((shop.article(), "2"), (shop.service(), "1"), freight_minor=700)
    shop.desk.do(AmendOrderPrice(order_id=order_id, line=1, unit_price=Decimal("80.005"), reason="late"), actor=SERVICE)
    order = shop.order(order_id)
    assert (order.goods_minor, order.discount_minor, order.total_minor) == (16001 + 500, 3999, 16001 + 500 + 700)
    assert (order.lines[0].amount_minor, order.lines[0].gross_minor) == (16001, 20000)
    before = len(shop.desk.events)
    shop.desk.do(AmendOrderPrice(order_id=order_id, line=1, unit_price=Decimal("80.005"), reason="late"))
    assert len(shop.desk.events) == before


def test_a_price_may_be_raised_before_payment(shop: Shop) -> None:
    order_id = shop.place((shop.article(), "2"))
    shop.desk.do(AmendOrderPrice(order_id=order_id, line=1, unit_price=Decimal(110), reason="engraved"))
    line = shop.order(order_id).lines[0]
    assert (line.gross_minor, line.discount_minor, line.amount_minor) == (22000, 0, 22000)


def test_an_order_amended_to_nothing_is_paid(shop: Shop) -> None:
    order_id = shop.place((shop.article(), "1"))
    shop.desk.do(AmendOrderPrice(order_id=order_id, line=1, unit_price=Decimal(0), reason="a present"))
    assert shop.order(order_id).status is OrderStatus.PAID


def test_a_price_stays_once_money_came_in(shop: Shop) -> None:
    order_id = shop.place((shop.article(), "1"))
    shop.pay(order_id, 1)
    with pytest.raises(OrderAlreadyPaid):
        shop.desk.do(AmendOrderPrice(order_id=order_id, line=1, unit_price=Decimal(1), reason="late"))


def test_service_may_not_sell_below_cost_and_a_manager_may_knowingly(shop: Shop) -> None:
    order_id = shop.place((shop.article(cost="60"), "1"))
    amend = {"order_id": order_id, "line": 1, "unit_price": Decimal("59.99"), "reason": "regular"}
    with pytest.raises(BelowCost):
        shop.desk.do(AmendOrderPrice(**amend, below_cost=True), actor=SERVICE)
    with pytest.raises(BelowCost):
        shop.desk.do(AmendOrderPrice(**amend))
    shop.desk.do(AmendOrderPrice(**amend, below_cost=True))
    assert shop.order(order_id).total_minor == 5999


@pytest.mark.parametrize("price", ["-1", "0.0000001", "NaN", "1e13"])
def test_an_amended_price_is_a_price(shop: Shop, price: str) -> None:
    order_id = shop.place((shop.article(), "1"))
    with pytest.raises(InvalidField):
        shop.desk.do(AmendOrderPrice(order_id=order_id, line=1, unit_price=Decimal(price), reason="x"))


# Confirmation and shortage -------------------------------------------------------------------------------------------


def test_only_a_paid_order_is_confirmed_and_only_once(shop: Shop) -> None:
    order_id = shop.place((shop.article(), "1"))
    with pytest.raises(WrongState):
        shop.desk.do(ConfirmOrder(order_id=order_id))
    shop.pay(order_id)
    shop.desk.do(ConfirmOrder(order_id=order_id))
    shop.desk.do(ConfirmOrder(order_id=order_id))
    assert shop.desk.recorded(order_id).count("OrderConfirmed") == 1


def test_a_shortage_stops_packing_until_the_customer_was_contacted(shop: Shop) -> None:
    order_id = shop.confirmed((shop.article(), "2"))
    shop.desk.do(ReportShortage(order_id=order_id, lines=part((1, "1"))), actor=WAREHOUSE)
    assert shop.order(order_id).status is OrderStatus.SHORTAGE
    with pytest.raises(WrongState):
        shop.pack(order_id, (1, "1"))
    with pytest.raises(CustomerNotContacted):
        shop.desk.do(ResolveShortage(order_id=order_id, kind=ShortageRemedy.WAIT))
    shop.desk.do(ContactCustomer(order_id=order_id, note="rang Ann, she waits"))
    shop.desk.do(ResolveShortage(order_id=order_id, kind=ShortageRemedy.WAIT))
    assert shop.order(order_id).status is OrderStatus.CONFIRMED
    shop.pack(order_id)


def test_a_note_about_the_customer_is_sealed(shop: Shop) -> None:
    order_id = shop.confirmed((shop.article(), "1"))
    shop.desk.do(ReportShortage(order_id=order_id, lines=part((1, "1"))))
    shop.desk.do(ContactCustomer(order_id=order_id, note="rang Ann"))
    contacted = shop.desk.events[-1][1]
    # With a space: what is sealed has none, and three letters alone come up in it by chance.
    assert "g A" not in contacted.note
    assert shop.desk.unseal(order_id, contacted.note) == "rang Ann"


def test_no_more_is_short_than_is_still_to_be_packed(shop: Shop) -> None:
    order_id = shop.confirmed((shop.article(), "3"))
    shop.pack(order_id, (1, "2"))
    with pytest.raises(NothingShort):
        shop.desk.do(ReportShortage(order_id=order_id, lines=part((1, "2"))))
    with pytest.raises(NotFound):
        shop.desk.do(ReportShortage(order_id=order_id, lines=part((2, "1"))))
    with pytest.raises(InvalidField):
        shop.desk.do(ReportShortage(order_id=order_id, lines=part((1, "1"), (1, "1"))))


def shortage(shop: Shop, order_id: Any, *lines: tuple[int, str]) -> None:
    shop.desk.do(ReportShortage(order_id=order_id, lines=part(*lines)))
    shop.desk.do(ContactCustomer(order_id=order_id))


def test_a_shortage_of_a_part_ends_in_money_back_for_it(shop: Shop) -> None:
    lamp = shop.article()
    order_id = shop.confirmed((lamp, "3"))
    shortage(shop, order_id, (1, "1"))
    shop.desk.do(ResolveShortage(order_id=order_id, kind=ShortageRemedy.REFUND))
    cancelled = shop.desk.last(OrderCancelled)
    assert (cancelled.reason, cancelled.whole, cancelled.refund_due_minor) == (CancelReason.INVENTORY, False, 10000)
    assert shop.sku(lamp).reserved_for(order_id) == 2
    assert shop.order(order_id).status is OrderStatus.CONFIRMED


def test_a_shortage_of_everything_ends_the_order(shop: Shop) -> None:
    lamp = shop.article()
    order_id = shop.confirmed((lamp, "3"), freight_minor=500)
    shortage(shop, order_id, (1, "3"))
    shop.desk.do(ResolveShortage(order_id=order_id, kind=ShortageRemedy.REFUND))
    cancelled = shop.desk.last(OrderCancelled)
    assert cancelled.whole and cancelled.refund_due_minor == 30500
    assert shop.order(order_id).status is OrderStatus.CANCELLED
    assert not shop.sku(lamp).reservations


def test_a_shortage_may_end_in_other_goods_for_the_same_money(shop: Shop) -> None:
    lamp, candle = shop.article(), shop.article("candle", "30", "9")
    order_id = shop.confirmed((lamp, "3"))
    shortage(shop, order_id, (1, "1"))
    exchange = (ExchangeFor(line=1, sku_id=candle, quantity=Decimal(4)),)
    shop.desk.do(ResolveShortage(order_id=order_id, kind=ShortageRemedy.EXCHANGE, exchanges=exchange))
    order = shop.order(order_id)
    assert [(line.sku_code, line.live, line.amount_minor) for line in order.lines] == [
        ("lamp", Decimal(2), 20000),
        ("candle", Decimal(4), 10000),
    ]
    assert (shop.sku(lamp).reserved_for(order_id), shop.sku(candle).reserved_for(order_id)) == (2, 4)
    shop.ship(order_id, shop.pack(order_id))
    assert shop.order(order_id).status is OrderStatus.SHIPPED
    assert (shop.sku(lamp).on_hand, shop.sku(candle).on_hand) == (8, 5)


def test_an_exchange_says_whether_anything_is_left_to_be_sent(shop: Shop) -> None:
    lamp, cup, wrapping = shop.article(), shop.article("cup"), shop.service()
    order_id = shop.confirmed((lamp, "3"))
    shop.ship(order_id, shop.pack(order_id, (1, "1")))
    found = []
    for line, instead in ((1, wrapping), (1, cup), (3, wrapping)):
        shortage(shop, order_id, (line, "1"))
        exchange = (ExchangeFor(line=line, sku_id=instead, quantity=Decimal(1)),)
        shop.desk.do(ResolveShortage(order_id=order_id, kind=ShortageRemedy.EXCHANGE, exchanges=exchange))
        found.append((shop.desk.last(ShortageResolved).rest_shipped, shop.order(order_id).status))
    assert found == [
        (False, OrderStatus.CONFIRMED),
        (False, OrderStatus.CONFIRMED),
        (True, OrderStatus.SHIPPED),
    ]


def test_goods_that_may_not_be_sold_are_not_sent_instead(shop: Shop) -> None:
    order_id = shop.confirmed((shop.article(), "1"))
    candle = shop.article("candle", "3")
    shop.desk.do(DelistSku(sku_id=candle, reason=DelistReason.RECALL, prohibited=True))
    shop.desk.do(ReportShortage(order_id=order_id, lines=(LineQuantity(line=1, quantity=Decimal(1)),)))
    shop.desk.do(ContactCustomer(order_id=order_id, note="rang Ann"))
    exchange = (ExchangeFor(line=1, sku_id=candle, quantity=Decimal(1)),)
    with pytest.raises(ProhibitedGoods) as refusal:
        shop.desk.do(ResolveShortage(order_id=order_id, kind=ShortageRemedy.EXCHANGE, exchanges=exchange))
    assert refusal.value.path == ("exchanges", 0, "sku_id")


def test_an_exchange_needs_the_goods_and_names_every_short_line(shop: Shop) -> None:
    lamp, candle = shop.article(), shop.article("candle", "30", "2")
    order_id = shop.confirmed((lamp, "3"))
    shortage(shop, order_id, (1, "1"))
    too_much = (ExchangeFor(line=1, sku_id=candle, quantity=Decimal(3)),)
    with pytest.raises(StockInsufficient) as refusal:
        shop.desk.do(ResolveShortage(order_id=order_id, kind=ShortageRemedy.EXCHANGE, exchanges=too_much))
    assert refusal.value.path == ("exchanges", 0, "quantity")
    with pytest.raises(InvalidField):
        shop.desk.do(ResolveShortage(order_id=order_id, kind=ShortageRemedy.EXCHANGE))
    with pytest.raises(InvalidField):
        shop.desk.do(ResolveShortage(order_id=order_id, kind=ShortageRemedy.WAIT, exchanges=too_much))


# Parcels -------------------------------------------------------------------------------------------------------------


def test_what_is_scanned_has_to_be_what_was_ordered(shop: Shop) -> None:
    lamp, candle = shop.article(), shop.article("candle")
    order_id = shop.confirmed((lamp, "2"))

    def scan(sku_id: Any, quantity: str, line: int = 1) -> None:
        scanned = (ScannedLine(line=line, sku_id=sku_id, quantity=Decimal(quantity)),)
        shop.desk.do(PackParcel(order_id=order_id, location_id=shop.location_id, lines=scanned))

    with pytest.raises(ArticleMismatch) as wrong:
        scan(candle, "1")
    assert (wrong.value.path, wrong.value.ids) == (("lines", 0, "sku_id"), (candle,))
    with pytest.raises(QuantityMismatch):
        scan(lamp, "3")
    with pytest.raises(InvalidField):
        scan(lamp, "0.5")
    with pytest.raises(NotFound):
        scan(lamp, "1", line=2)
    scan(lamp, "2")
    assert shop.order(order_id).status is OrderStatus.PACKED


def test_nothing_is_packed_before_it_is_confirmed(shop: Shop) -> None:
    order_id = shop.place((shop.article(), "1"))
    shop.pay(order_id)
    with pytest.raises(WrongState):
        shop.pack(order_id)


def test_an_order_ships_and_arrives_parcel_by_parcel(shop: Shop) -> None:
    lamp = shop.article()
    order_id = shop.confirmed((lamp, "3"))
    first, second = shop.pack(order_id, (1, "1")), shop.pack(order_id, (1, "2"))
    shop.ship(order_id, first)
    assert not shop.desk.last(OrderShipped).complete
    assert shop.order(order_id).status is OrderStatus.PACKED
    assert (shop.sku(lamp).on_hand, shop.sku(lamp).reserved_for(order_id)) == (9, 2)
    shop.desk.do(DeliverOrder(order_id=order_id, parcel_id=first))
    assert not shop.desk.last(OrderDelivered).complete
    shop.ship(order_id, second)
    assert shop.desk.last(OrderShipped).complete
    assert shop.order(order_id).status is OrderStatus.SHIPPED
    shop.desk.do(DeliverOrder(order_id=order_id, parcel_id=second))
    shop.desk.do(DeliverOrder(order_id=order_id, parcel_id=second))
    assert shop.desk.last(OrderDelivered).complete
    assert shop.order(order_id).status is OrderStatus.DELIVERED
    assert shop.desk.recorded(order_id).count("OrderDelivered") == 2


def test_a_parcel_needs_a_courier_of_the_store_and_a_new_waybill(shop: Shop) -> None:
    lamp = shop.article()
    order_id, other_id = shop.confirmed((lamp, "2")), shop.confirmed((lamp, "1"))
    first, second, third = shop.pack(order_id, (1, "1")), shop.pack(order_id, (1, "1")), shop.pack(other_id)
    with pytest.raises(CourierNotAllowed):
        shop.ship(order_id, first, courier="dhl")
    shop.ship(order_id, first, waybill="W1")
    for parcel_order, parcel in ((order_id, second), (other_id, third)):
        with pytest.raises(ReferenceTaken):
            shop.ship(parcel_order, parcel, waybill="W1")
    before = len(shop.desk.events)
    shop.ship(order_id, first, waybill="W1")
    assert len(shop.desk.events) == before
    with pytest.raises(WrongState):
        shop.ship(order_id, first, waybill="W2")


def test_only_what_left_can_arrive(shop: Shop) -> None:
    order_id = shop.confirmed((shop.article(), "1"))
    parcel_id = shop.pack(order_id)
    with pytest.raises(WrongState):
        shop.desk.do(DeliverOrder(order_id=order_id, parcel_id=parcel_id))
    shop.desk.do(ShipOrder(order_id=order_id, parcel_id=parcel_id, courier="sf", waybill="SF1"))
    with pytest.raises(NotFound):
        shop.desk.do(DeliverOrder(order_id=order_id, parcel_id=order_id))


def test_a_dropshipped_line_moves_no_stock_of_ours(shop: Shop) -> None:
    sofa = shop.article("sofa", "900", "0", mode="dropship")
    order_id = shop.shipped((sofa, "1"))
    assert shop.order(order_id).status is OrderStatus.SHIPPED
    assert "StockShipped" not in shop.desk.recorded()


def test_a_sale_is_final_when_everything_has_arrived(shop: Shop) -> None:
    order_id = shop.shipped((shop.article(), "1"), (shop.service(), "1"))
    with pytest.raises(WrongState):
        shop.desk.do(CompleteOrder(order_id=order_id))
    (parcel_id,) = shop.order(order_id).parcels
    shop.desk.do(DeliverOrder(order_id=order_id, parcel_id=parcel_id))
    shop.desk.do(CompleteOrder(order_id=order_id))
    shop.desk.do(CompleteOrder(order_id=order_id))
    assert shop.desk.recorded(order_id).count("OrderCompleted") == 1
    assert shop.desk.last(OrderCompleted).goods_minor == 10500


def test_an_order_of_services_only_is_complete_without_a_parcel(shop: Shop) -> None:
    order_id = shop.confirmed((shop.service(), "1"))
    shop.desk.do(CompleteOrder(order_id=order_id))
    assert shop.order(order_id).status is OrderStatus.COMPLETED


# Calling off ---------------------------------------------------------------------------------------------------------


def test_cancelling_gives_everything_back_and_cancelling_twice_records_once(shop: Shop) -> None:
    lamp = shop.article()
    order_id = shop.place((lamp, "4"), freight_minor=900)
    shop.desk.do(CancelOrder(order_id=order_id))
    shop.desk.do(CancelOrder(order_id=order_id))
    cancelled = shop.desk.last(OrderCancelled)
    assert (cancelled.whole, cancelled.paid, cancelled.goods_minor, cancelled.freight_minor) == (
        True,
        False,
        40000,
        900,
    )
    assert cancelled.refund_due_minor == 0
    assert shop.desk.recorded(order_id).count("OrderCancelled") == 1
    assert shop.sku(lamp).sellable == 10


def test_auto_delisting_is_not_undone_by_a_cancellation(shop: Shop) -> None:
    lamp = shop.article(stock="1")
    since = len(shop.desk.events)
    order_id = shop.place((lamp, "1"))
    assert shop.desk.recorded(lamp, since) == ["StockReserved", "StockDepleted", "SkuDelisted"]
    shop.desk.do(CancelOrder(order_id=order_id))
    assert shop.sku(lamp).sellable == 1
    assert not shop.sku(lamp).listings[shop.store_id].listed


def test_a_paid_order_is_called_off_with_its_money_due_back(shop: Shop) -> None:
    order_id = shop.confirmed((shop.article(), "2"), freight_minor=900)
    shop.pack(order_id, (1, "1"))
    shop.desk.do(CancelOrder(order_id=order_id, reason=CancelReason.FRAUD))
    cancelled = shop.desk.last(OrderCancelled)
    assert (cancelled.paid, cancelled.refund_due_minor) == (True, 20900)
    assert not shop.order(order_id).parcels
    with pytest.raises(WrongState):
        shop.desk.do(ConfirmOrder(order_id=order_id))


def test_nothing_that_left_can_be_called_off(shop: Shop) -> None:
    lamp = shop.article()
    order_id = shop.confirmed((lamp, "2"))
    shop.ship(order_id, shop.pack(order_id, (1, "1")))
    with pytest.raises(OrderAlreadyShipped):
        shop.desk.do(CancelOrder(order_id=order_id))
    shop.desk.do(CancelOrderLines(order_id=order_id, lines=part((1, "1"))))
    cancelled = shop.desk.last(OrderCancelled)
    assert not cancelled.whole and cancelled.rest_shipped
    assert shop.order(order_id).status is OrderStatus.SHIPPED
    with pytest.raises(OrderAlreadyShipped):
        shop.desk.do(CancelOrderLines(order_id=order_id, lines=part((1, "1"))))


def test_lines_are_called_off_as_far_as_they_are_not_packed(shop: Shop) -> None:
    lamp = shop.article()
    order_id = shop.confirmed((lamp, "3"))
    shop.pack(order_id, (1, "1"))
    with pytest.raises(CancelExceedsOpen):
        shop.desk.do(CancelOrderLines(order_id=order_id, lines=part((1, "3"))))
    shop.desk.do(CancelOrderLines(order_id=order_id, lines=part((1, "2"))))
    assert shop.order(order_id).status is OrderStatus.PACKED
    assert shop.sku(lamp).reserved_for(order_id) == 1


def test_parts_called_off_one_by_one_come_to_the_whole_line(shop: Shop) -> None:
    order_id = shop.place((shop.article(price="33.335"), "3"), (shop.article("cup"), "1"))
    assert shop.order(order_id).lines[0].amount_minor == 10000
    amounts = []
    for _ in range(3):
        shop.desk.do(CancelOrderLines(order_id=order_id, lines=part((1, "1"))))
        amounts.append(shop.desk.last(OrderCancelled).goods_minor)
    assert (amounts, sum(amounts)) == ([3333, 3334, 3333], 10000)
    assert shop.order(order_id).due_minor == 10000


def test_calling_off_the_last_goods_calls_off_services_and_freight_too(shop: Shop) -> None:
    order_id = shop.place((shop.article(), "1"), (shop.service(), "1"), freight_minor=900)
    shop.desk.do(CancelOrderLines(order_id=order_id, lines=part((1, "1"))))
    cancelled = shop.desk.last(OrderCancelled)
    assert (cancelled.whole, cancelled.goods_minor, cancelled.freight_minor) == (True, 10500, 900)


def test_a_part_of_services_alone_is_called_off_and_the_rest_stands(shop: Shop) -> None:
    order_id = shop.place((shop.service(), "3"))
    shop.desk.do(CancelOrderLines(order_id=order_id, lines=part((1, "1"))))
    assert (shop.order(order_id).status, shop.order(order_id).lines[0].live) == (OrderStatus.PLACED, 2)
    assert not shop.desk.last(OrderCancelled).whole
    shop.desk.do(CancelOrderLines(order_id=order_id, lines=part((1, "2"))))
    assert shop.order(order_id).status is OrderStatus.CANCELLED


def test_an_order_that_became_cheap_enough_is_paid(shop: Shop) -> None:
    order_id = shop.place((shop.article(), "2"))
    shop.pay(order_id, 12000)
    shop.desk.do(CancelOrderLines(order_id=order_id, lines=part((1, "1"))))
    order = shop.order(order_id)
    assert order.status is OrderStatus.PAID
    assert (shop.desk.last(OrderPaid).total_minor, order.unearned_minor) == (10000, 2000)
    assert shop.desk.last(OrderCancelled).refund_due_minor == 2000


def test_an_unpaid_order_expires_at_its_time_and_not_before(shop: Shop) -> None:
    lamp = shop.article()
    order_id = shop.place((lamp, "1"))
    shop.pay(order_id, 3000)
    expires_at = shop.order(order_id).expires_at
    assert expires_at is not None and expires_at - shop.order(order_id).placed_at == timedelta(minutes=30)
    with pytest.raises(OrderNotExpired):
        shop.desk.do(ExpireOrder(order_id=order_id), at=expires_at - timedelta(seconds=1))
    shop.desk.do(ExpireOrder(order_id=order_id), at=expires_at)
    shop.desk.do(ExpireOrder(order_id=order_id), at=expires_at)
    expired = shop.desk.last(OrderExpired)
    assert (expired.whole, expired.reason, expired.refund_due_minor) == (True, CancelReason.EXPIRED, 3000)
    assert shop.desk.recorded(order_id).count("OrderExpired") == 1
    assert shop.order(order_id).status is OrderStatus.CANCELLED
    assert shop.sku(lamp).sellable == 10
    with pytest.raises(ReservationExpired):
        shop.pay(order_id, 7000)


def test_a_paid_order_does_not_expire(shop: Shop) -> None:
    order_id = shop.place((shop.article(), "1"))
    shop.pay(order_id)
    with pytest.raises(WrongState):
        shop.desk.do(ExpireOrder(order_id=order_id), at=shop.desk.now + timedelta(days=1))


def test_a_customer_sees_and_cancels_only_their_own_order(shop: Shop) -> None:
    ann, bob = shop.desk.register(shop.store_id), shop.desk.register(shop.store_id)
    order_id = shop.place((shop.article(), "1"), customer_id=ann)
    with pytest.raises(NotFound):
        shop.desk.do(CancelOrder(order_id=order_id), actor=Actor(id="b", role=Role.CUSTOMER, customer_id=bob))
    shop.desk.do(CancelOrder(order_id=order_id), actor=Actor(id="a", role=Role.CUSTOMER, customer_id=ann))
    assert shop.order(order_id).status is OrderStatus.CANCELLED


def test_who_acts_for_another_store_finds_no_order(shop: Shop) -> None:
    order_id = shop.place((shop.article(), "1"))
    stranger = Actor(id="x", role=Role.MANAGER, stores=frozenset())
    for command in (ConfirmOrder(order_id=order_id), CancelOrder(order_id=order_id), CompleteOrder(order_id=order_id)):
        with pytest.raises(NotFound):
            shop.desk.do(command, actor=stranger)


def test_the_state_of_every_order_can_be_kept_as_a_snapshot(shop: Shop) -> None:
    shop.delivered((shop.article(), "2"), (shop.service(), "1"))
    assert list(shop.desk.snapshots())
    assert Order.STREAM_TYPE == "Order"
