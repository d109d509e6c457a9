"""What comes back: returns as counted, refunds never above what was paid, returns agreed elsewhere."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from opscore.domain.campaign_commands import ThresholdStepTerms, ThresholdTerms
from opscore.domain.order_commands import (
    AmendOrderPrice,
    CancelOrder,
    CancelOrderLines,
    CompleteOrder,
    ConfirmOrder,
    DeliverOrder,
    LineQuantity,
)
from opscore.domain.order_events import (
    OrderCompleted,
    OrderKind,
    OrderRefunded,
    RefundReason,
    ReturnCondition,
    ReturnReason,
)
from opscore.domain.order_recorded_returns import (
    RecordedReturnLine,
    RecordReturn,
)
from opscore.domain.order_recording import RecordedLine, RecordOrder
from opscore.domain.order_refunds import (
    RefundOf,
    RefundOrder,
)
from opscore.domain.order_refusals import (
    DisposalExceedsReceived,
    NothingToRefund,
    RefundExceedsPaid,
    RefundExceedsPrice,
    RefundExceedsReturned,
    ReturnExceedsApproved,
    ReturnExceedsDelivered,
    ReturnWindowOver,
)
from opscore.domain.order_return_endings import CancelReturn
from opscore.domain.order_returns import (
    ApproveReturn,
    DisposalOf,
    DisposeReturn,
    ReceiveReturn,
    RequestReturn,
)
from opscore.domain.order_state import OrderStatus, ReturnStatus
from opscore.domain.refusals import CurrencyMismatch, InvalidField, NotFound, ReferenceTaken, WrongState
from tests.domain.selling import Shop


@pytest.fixture
def shop() -> Shop:
    return Shop()


def part(*lines: tuple[int, str]) -> tuple[LineQuantity, ...]:
    return tuple(LineQuantity(line=line, quantity=Decimal(quantity)) for line, quantity in lines)


def of(*lines: tuple[int, str]) -> tuple[RefundOf, ...]:
    return tuple(RefundOf(line=line, quantity=Decimal(quantity)) for line, quantity in lines)


def refund(shop: Shop, order_id: UUID, *lines: tuple[int, str], **fields: Any) -> OrderRefunded:
    shop.desk.do(RefundOrder(order_id=order_id, lines=of(*lines), **fields))
    found: OrderRefunded = shop.desk.last(OrderRefunded)
    return found


# Returns -------------------------------------------------------------------------------------------------------------


def test_goods_come_back_step_by_step_and_are_sold_again_or_set_aside(shop: Shop) -> None:
    lamp = shop.article()
    order_id = shop.delivered((lamp, "3"))
    return_id = shop.returned(order_id, (1, "3"))
    disposals = (
        DisposalOf(line=1, quantity=Decimal(2), condition=ReturnCondition.RESTOCK),
        DisposalOf(line=1, quantity=Decimal(1), condition=ReturnCondition.DAMAGED),
    )
    shop.desk.do(DisposeReturn(order_id=order_id, return_id=return_id, lines=disposals))
    level = shop.sku(lamp).level_at(shop.location_id)
    assert (level.on_hand, level.sellable, level.damaged) == (10, 9, 1)
    assert shop.order(order_id).returns[return_id].status is ReturnStatus.DISPOSED
    with pytest.raises(WrongState):
        shop.desk.do(DisposeReturn(order_id=order_id, return_id=return_id, lines=disposals))


def test_only_what_left_and_was_not_asked_back_can_be_asked_back(shop: Shop) -> None:
    order_id = shop.confirmed((shop.article(), "3"))
    shop.ship(order_id, shop.pack(order_id, (1, "2")))
    with pytest.raises(ReturnExceedsDelivered):
        shop.desk.do(RequestReturn(order_id=order_id, lines=part((1, "3"))))
    shop.desk.do(RequestReturn(order_id=order_id, lines=part((1, "1"))))
    with pytest.raises(ReturnExceedsDelivered) as refusal:
        shop.desk.do(RequestReturn(order_id=order_id, lines=part((1, "2"))))
    assert "Only 1 of line 1" in refusal.value.message


def test_goods_come_back_within_the_store_s_window(shop: Shop) -> None:
    order_id = shop.delivered((shop.article(), "2"))
    delivered_at = shop.order(order_id).delivered_at
    assert delivered_at is not None
    shop.desk.do(RequestReturn(order_id=order_id, lines=part((1, "1"))), at=delivered_at + timedelta(days=15))
    with pytest.raises(ReturnWindowOver):
        shop.desk.do(
            RequestReturn(order_id=order_id, lines=part((1, "1"))), at=delivered_at + timedelta(days=15, seconds=1)
        )


def test_what_is_told_late_of_an_earlier_parcel_does_not_shorten_the_window(shop: Shop) -> None:
    order_id = shop.confirmed((shop.article(), "2"))
    first, second = shop.pack(order_id, (1, "1")), shop.pack(order_id, (1, "1"))
    for parcel_id in (first, second):
        shop.ship(order_id, parcel_id)
    arrived_at = shop.desk.now + timedelta(days=9)
    shop.desk.do(DeliverOrder(order_id=order_id, parcel_id=second), at=arrived_at)
    shop.desk.do(DeliverOrder(order_id=order_id, parcel_id=first), at=arrived_at - timedelta(days=8))

    assert shop.order(order_id).delivered_at == arrived_at
    shop.desk.do(RequestReturn(order_id=order_id, lines=part((1, "1"))), at=arrived_at + timedelta(days=15))


def test_less_may_be_approved_and_the_rest_asked_for_again(shop: Shop) -> None:
    order_id = shop.delivered((shop.article(), "3"))
    shop.desk.do(RequestReturn(order_id=order_id, lines=part((1, "3")), reason=ReturnReason.QUALITY, note="broken"))
    (return_id,) = shop.order(order_id).returns
    with pytest.raises(ReturnExceedsApproved):
        shop.desk.do(ApproveReturn(order_id=order_id, return_id=return_id, lines=part((1, "4"))))
    shop.desk.do(ApproveReturn(order_id=order_id, return_id=return_id, lines=part((1, "1"))))
    with pytest.raises(WrongState):
        shop.desk.do(ApproveReturn(order_id=order_id, return_id=return_id))
    assert shop.order(order_id).lines[0].return_requested == 1
    shop.desk.do(RequestReturn(order_id=order_id, lines=part((1, "2"))))


def test_no_more_is_received_than_was_approved_and_no_more_disposed_of_than_was_received(shop: Shop) -> None:
    order_id = shop.delivered((shop.article(), "3"))
    shop.desk.do(RequestReturn(order_id=order_id, lines=part((1, "2"))))
    (return_id,) = shop.order(order_id).returns
    receive: dict[str, Any] = {"order_id": order_id, "return_id": return_id, "location_id": shop.location_id}
    with pytest.raises(WrongState):
        shop.desk.do(ReceiveReturn(**receive, lines=part((1, "1"))))
    shop.desk.do(ApproveReturn(order_id=order_id, return_id=return_id))
    shop.desk.do(ReceiveReturn(**receive, lines=part((1, "1"))))
    with pytest.raises(ReturnExceedsApproved):
        shop.desk.do(ReceiveReturn(**receive, lines=part((1, "2"))))
    restock = DisposalOf(line=1, quantity=Decimal(1), condition=ReturnCondition.RESTOCK)
    with pytest.raises(DisposalExceedsReceived):
        shop.desk.do(DisposeReturn(order_id=order_id, return_id=return_id, lines=(restock, restock)))
    shop.desk.do(DisposeReturn(order_id=order_id, return_id=return_id, lines=(restock,)))
    shop.desk.do(ReceiveReturn(**receive, lines=part((1, "1"))))
    shop.desk.do(DisposeReturn(order_id=order_id, return_id=return_id, lines=(restock,)))
    assert shop.order(order_id).lines[0].returned == 2


def test_a_return_and_its_lines_have_to_be_of_the_order(shop: Shop) -> None:
    order_id = shop.delivered((shop.article(), "1"), (shop.article("cup"), "1"))
    shop.desk.do(RequestReturn(order_id=order_id, lines=part((1, "1"))))
    (return_id,) = shop.order(order_id).returns
    with pytest.raises(NotFound):
        shop.desk.do(ApproveReturn(order_id=order_id, return_id=uuid4()))
    with pytest.raises(NotFound):
        shop.desk.do(ApproveReturn(order_id=order_id, return_id=return_id, lines=part((2, "1"))))


# Refunds -------------------------------------------------------------------------------------------------------------


def test_money_goes_back_for_what_was_counted_not_for_what_was_announced(shop: Shop) -> None:
    order_id = shop.delivered((shop.article(), "3"))
    shop.desk.do(RequestReturn(order_id=order_id, lines=part((1, "3"))))
    (return_id,) = shop.order(order_id).returns
    shop.desk.do(ApproveReturn(order_id=order_id, return_id=return_id))
    with pytest.raises(RefundExceedsReturned):
        refund(shop, order_id, (1, "1"))
    shop.desk.do(
        ReceiveReturn(order_id=order_id, return_id=return_id, location_id=shop.location_id, lines=part((1, "2")))
    )
    with pytest.raises(RefundExceedsReturned):
        refund(shop, order_id, (1, "3"))
    assert refund(shop, order_id, (1, "2")).amount_minor == 20000


def test_a_partial_refund_returns_the_discounted_price(shop: Shop) -> None:
    lamp, cup = shop.article(price="100"), shop.article("cup", "50")
    offer = ThresholdTerms(steps=(ThresholdStepTerms(spend_minor=20000, off_minor=5000),))
    campaign = shop.campaign({lamp: "100", cup: "50"}, offer)
    order_id = shop.delivered((lamp, "2"), (cup, "1"), campaign_ids=(campaign,))
    assert [line.amount_minor for line in shop.order(order_id).lines] == [16000, 4000]
    shop.returned(order_id, (1, "1"), (2, "1"))
    given = refund(shop, order_id, (1, "1"), (2, "1"))
    assert [(line.line, line.amount_minor, line.campaign_id) for line in given.lines] == [
        (1, 8000, campaign),
        (2, 4000, campaign),
    ]
    assert (given.amount_minor, given.goods_minor, given.sold_at) == (12000, 12000, shop.order(order_id).paid_at)


def test_refunds_unit_by_unit_come_to_the_line_s_price(shop: Shop) -> None:
    order_id = shop.delivered((shop.article(price="33.335"), "3"))
    shop.returned(order_id, (1, "3"))
    amounts = [refund(shop, order_id, (1, "1")).amount_minor for _ in range(3)]
    assert (amounts, sum(amounts)) == ([3333, 3334, 3333], 10000)


def test_less_than_the_price_may_go_back_and_never_more(shop: Shop) -> None:
    order_id = shop.delivered((shop.article(), "1"))
    shop.returned(order_id, (1, "1"))
    for amount_minor, refused in ((10001, True), (9000, False)):
        asked = RefundOf(line=1, quantity=Decimal(1), amount_minor=amount_minor)
        if refused:
            with pytest.raises(RefundExceedsPrice):
                shop.desk.do(RefundOrder(order_id=order_id, lines=(asked,)))
        else:
            shop.desk.do(RefundOrder(order_id=order_id, lines=(asked,)))
    assert shop.order(order_id).refunded_minor == 9000


def test_everything_due_goes_back_when_nothing_is_named(shop: Shop) -> None:
    order_id = shop.confirmed((shop.article(), "2"), (shop.service(), "1"), freight_minor=900)
    shop.desk.do(CancelOrder(order_id=order_id))
    given = refund(shop, order_id, reason=RefundReason.CANCELLED)
    assert (given.amount_minor, given.goods_minor, given.freight_minor) == (21400, 20500, 900)
    with pytest.raises(NothingToRefund):
        refund(shop, order_id)
    assert shop.order(order_id).refundable_minor == 0


def test_units_cancelled_before_payment_were_never_paid_for(shop: Shop) -> None:
    order_id = shop.place((shop.article(), "2"))
    shop.desk.do(CancelOrderLines(order_id=order_id, lines=part((1, "1"))))
    shop.pay(order_id)
    assert shop.order(order_id).paid_minor == 10000
    with pytest.raises(RefundExceedsReturned):
        refund(shop, order_id, (1, "1"))
    with pytest.raises(NothingToRefund):
        refund(shop, order_id)


def test_compensation_never_exceeds_what_was_paid(shop: Shop) -> None:
    order_id = shop.delivered((shop.article(), "1"))
    given = refund(shop, order_id, other_minor=4000, reason=RefundReason.PRICE_PROTECTION)
    assert (given.goods_minor, given.unearned_minor, [line.sku_id for line in given.lines]) == (4000, 0, [None])
    with pytest.raises(RefundExceedsPaid):
        refund(shop, order_id, other_minor=6001)
    shop.returned(order_id, (1, "1"))
    with pytest.raises(RefundExceedsPaid):
        refund(shop, order_id, (1, "1"))
    assert refund(shop, order_id).amount_minor == 6000


def test_freight_goes_back_once(shop: Shop) -> None:
    order_id = shop.delivered((shop.article(), "1"), freight_minor=900)
    assert refund(shop, order_id, freight_minor=500).freight_minor == 500
    with pytest.raises(InvalidField):
        refund(shop, order_id, freight_minor=401)


def test_nothing_goes_back_while_an_order_is_being_paid(shop: Shop) -> None:
    order_id = shop.place((shop.article(), "1"))
    shop.pay(order_id, 5000)
    with pytest.raises(NothingToRefund):
        refund(shop, order_id, other_minor=1)
    shop.desk.do(CancelOrder(order_id=order_id))
    given = refund(shop, order_id)
    assert (given.amount_minor, given.goods_minor, given.unearned_minor, given.sold_at) == (5000, 0, 5000, None)


def test_an_overpayment_is_no_part_of_the_sale(shop: Shop) -> None:
    order_id = shop.place((shop.article(), "2"))
    shop.pay(order_id, 12000)
    shop.desk.do(CancelOrderLines(order_id=order_id, lines=part((1, "1"))))
    given = refund(shop, order_id, other_minor=2500)
    assert (given.unearned_minor, given.goods_minor) == (2000, 500)


def test_a_refund_reference_counts_once(shop: Shop) -> None:
    order_id = shop.delivered((shop.article(), "1"))
    refund(shop, order_id, other_minor=100, provider_reference="r-1")
    refund(shop, order_id, other_minor=100, provider_reference="r-1")
    assert shop.order(order_id).refunded_minor == 100
    with pytest.raises(CurrencyMismatch):
        refund(shop, order_id, other_minor=100, currency="GBP")


def test_an_amended_price_is_what_goes_back(shop: Shop) -> None:
    order_id = shop.place((shop.article(), "2"))
    shop.desk.do(AmendOrderPrice(order_id=order_id, line=1, unit_price=Decimal("75.005"), reason="scratched"))
    shop.pay(order_id)
    shop.desk.do(ConfirmOrder(order_id=order_id))
    shop.ship(order_id, shop.pack(order_id))
    shop.returned(order_id, (1, "1"))
    assert refund(shop, order_id).amount_minor == 7500


def test_completing_counts_what_has_not_gone_back(shop: Shop) -> None:
    order_id = shop.delivered((shop.article(), "3"))
    shop.returned(order_id, (1, "1"))
    refund(shop, order_id)
    shop.desk.do(CompleteOrder(order_id=order_id))
    assert shop.desk.last(OrderCompleted).goods_minor == 20000


# Returns agreed elsewhere --------------------------------------------------------------------------------------------


def sold(shop: Shop, *lines: tuple[UUID, str, str], **fields: Any) -> UUID:
    agreed = tuple(
        RecordedLine(sku_id=sku_id, quantity=Decimal(quantity), unit_price=Decimal(price))
        for sku_id, quantity, price in lines
    )
    return shop.desk.do(RecordOrder(store_id=shop.store_id, lines=agreed, shipped=True, **fields))


def back(sku_id: UUID, quantity: str, amount_minor: int, **fields: Any) -> RecordedReturnLine:
    return RecordedReturnLine(sku_id=sku_id, quantity=Decimal(quantity), amount_minor=amount_minor, **fields)


def test_a_return_agreed_elsewhere_is_matched_to_its_order(shop: Shop) -> None:
    lamp = shop.article()
    order_id = sold(shop, (lamp, "2", "8"), (lamp, "3", "9"))
    since = len(shop.desk.events)
    command = RecordReturn(
        store_id=shop.store_id, order_id=order_id, lines=(back(lamp, "3", 2700),), external_reference="C1"
    )
    assert shop.desk.do(command) == order_id
    assert shop.desk.recorded(since=since) == ["ReturnReceived", "ReturnDisposed", "OrderRefunded", "StockReturned"]
    assert [line.returned for line in shop.order(order_id).lines] == [0, 3]
    assert shop.sku(lamp).on_hand == 8
    assert shop.order(order_id).refunded_minor == 2700
    with pytest.raises(ReferenceTaken):
        shop.desk.do(command)


def test_a_line_that_comes_back_in_two_batches_is_one_line_of_its_return(shop: Shop) -> None:
    lamp = shop.article()
    order_id = sold(shop, (lamp, "5", "8"))
    both = (back(lamp, "1", 800, batch="A"), back(lamp, "2", 1600, batch="B"))
    shop.desk.do(RecordReturn(store_id=shop.store_id, order_id=order_id, lines=both))
    ((return_id, case),) = shop.order(order_id).returns.items()
    assert [(entry.line, entry.requested, entry.received, entry.disposed) for entry in case.lines] == [(1, 3, 3, 3)]
    with pytest.raises(WrongState):
        shop.desk.do(CancelReturn(order_id=order_id, return_id=return_id))
    assert shop.order(order_id).lines[0].return_requested == 3


def test_a_matched_return_gives_back_neither_more_units_nor_more_money_than_were_sold(shop: Shop) -> None:
    lamp, cup = shop.article(), shop.article("cup")
    order_id = sold(shop, (lamp, "2", "8"))

    def record(*lines: RecordedReturnLine) -> None:
        shop.desk.do(RecordReturn(store_id=shop.store_id, order_id=order_id, lines=lines))

    with pytest.raises(ReturnExceedsDelivered):
        record(back(lamp, "3", 100))
    with pytest.raises(ReturnExceedsDelivered):
        record(back(lamp, "1", 100), back(lamp, "2", 100))
    with pytest.raises(RefundExceedsPaid):
        record(back(lamp, "1", 1601))
    with pytest.raises(NotFound):
        record(back(cup, "1", 100))
    with pytest.raises(InvalidField):
        record(back(cup, "1", 100, line=1))
    record(back(lamp, "1", 800, line=1), back(lamp, "1", 800))
    assert shop.order(order_id).refundable_minor == 0


def test_a_return_without_an_order_is_a_stream_of_its_own(shop: Shop) -> None:
    lamp, fee = shop.article(), shop.service("fee")
    ann = shop.desk.register(shop.store_id)
    command = RecordReturn(
        store_id=shop.store_id,
        customer_id=ann,
        lines=(back(lamp, "2", 1500), back(fee, "1", 300)),
        external_reference="C2",
    )
    since = len(shop.desk.events)
    return_id = shop.desk.do(command)
    assert shop.desk.recorded(since=since) == ["ReturnRecorded", "OrderRefunded", "StockReturned"]
    order = shop.order(return_id)
    assert (order.kind, order.status, order.refunded_minor) == (OrderKind.RETURN, OrderStatus.RETURNED, 1800)
    given = shop.desk.last(OrderRefunded)
    assert (given.amount_minor, given.sold_at, [line.sku_code for line in given.lines]) == (
        1800,
        None,
        ["lamp", "fee"],
    )
    assert shop.sku(lamp).on_hand == 12
    with pytest.raises(ReferenceTaken):
        shop.desk.do(command)
    for refused in (
        RefundOrder(order_id=return_id, other_minor=1),
        CancelOrder(order_id=return_id),
        CompleteOrder(order_id=return_id),
    ):
        with pytest.raises(WrongState):
            shop.desk.do(refused)


def test_a_return_of_goods_that_never_came_back_moves_no_stock(shop: Shop) -> None:
    lamp = shop.article()
    shop.desk.do(RecordReturn(store_id=shop.store_id, lines=(back(lamp, "2", 1500),), condition=None))
    assert shop.sku(lamp).on_hand == 10
    shop.desk.do(
        RecordReturn(store_id=shop.store_id, lines=(back(lamp, "2", 1500),), condition=ReturnCondition.DAMAGED)
    )
    assert (shop.sku(lamp).on_hand, shop.sku(lamp).sellable) == (12, 10)


def test_compensation_beyond_the_goods_comes_out_of_the_freight(shop: Shop) -> None:
    order_id = shop.delivered((shop.article("pen", "5"), "1"), freight_minor=900)
    given = refund(shop, order_id, other_minor=800, reason=RefundReason.COMPENSATION)
    assert (given.goods_minor, given.freight_minor) == (500, 300)
    shop.returned(order_id, (1, "1"))
    with pytest.raises(RefundExceedsPaid):
        refund(shop, order_id, (1, "1"))
    assert refund(shop, order_id, freight_minor=600).amount_minor == 600
