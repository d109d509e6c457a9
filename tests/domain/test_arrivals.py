"""Parcels on their way: what the courier says, when something is to be heard, and the word of whoever ordered."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from opscore.domain.command import Actor, Role
from opscore.domain.order import Order
from opscore.domain.order_arrivals import ConfirmReceipt, TrackParcel
from opscore.domain.order_commands import CompleteOrder, DeliverOrder, LineQuantity
from opscore.domain.order_disputes import DisputeOpen, DisputeOpened, FaultParty
from opscore.domain.order_events import (
    ClaimCause,
    CourierClaimFiled,
    OrderCompleted,
    OrderDelivered,
    ParcelTracked,
    ReceiptConfirmed,
    ReturnReason,
    TrackingStatus,
)
from opscore.domain.order_losses import FileCourierClaim, ReportParcelLost, SettleCourierClaim, TraceParcel
from opscore.domain.order_refusals import ClaimExists, DamageUnreported, DefectsExceedArrived, InspectionRequired
from opscore.domain.order_return_ways import VerifyReturn
from opscore.domain.order_returns import RequestReturn
from opscore.domain.order_state import OrderStatus, Parcel
from opscore.domain.policies import ProblemKind
from opscore.domain.readiness import DONE_ALREADY
from opscore.domain.refusals import NotFound, WrongState
from opscore.domain.store_commands import SetPolicy
from tests.domain.desk import BUYER
from tests.domain.selling import Shop
from tests.domain.test_readiness import codes


@pytest.fixture
def shop() -> Shop:
    return Shop()


def only_parcel(shop: Shop, order_id: UUID) -> tuple[UUID, Parcel]:
    [(parcel_id, parcel)] = shop.order(order_id).parcels.items()
    return parcel_id, parcel


def terms(shop: Shop, **params: Any) -> None:
    shop.desk.do(SetPolicy(store_id=shop.store_id, kind="order_terms", params=params))


def part(quantity: str) -> tuple[LineQuantity, ...]:
    return (LineQuantity(line=1, quantity=Decimal(quantity)),)


# On its way ----------------------------------------------------------------------------------------------------------


def test_by_when_something_is_to_be_heard_is_frozen_by_the_policy_of_that_moment(shop: Shop) -> None:
    terms(shop, stalled_days=2)
    order_id = shop.shipped((shop.article(), "1"))
    parcel_id, parcel = only_parcel(shop, order_id)
    assert parcel.shipped_at is not None and parcel.news_by == parcel.shipped_at + timedelta(days=2)

    terms(shop, stalled_days=5)
    assert only_parcel(shop, order_id)[1].news_by == parcel.news_by
    at = shop.desk.now + timedelta(hours=3)
    shop.desk.do(TrackParcel(order_id=order_id, parcel_id=parcel_id, status=TrackingStatus.HELD, place="hub"), at=at)

    assert only_parcel(shop, order_id)[1].news_by == at + timedelta(days=5) == shop.desk.last(ParcelTracked).news_by


def test_what_is_told_late_stands_at_its_time_and_told_twice_once(shop: Shop) -> None:
    order_id = shop.shipped((shop.article(), "1"))
    parcel_id, parcel = only_parcel(shop, order_id)
    assert parcel.shipped_at is not None
    collected, out = parcel.shipped_at + timedelta(minutes=5), parcel.shipped_at + timedelta(days=1)
    told = [(TrackingStatus.OUT_FOR_DELIVERY, out), *[(TrackingStatus.COLLECTED, collected)] * 2]
    for status, at in told:
        shop.desk.do(TrackParcel(order_id=order_id, parcel_id=parcel_id, status=status), at=at)

    parcel = only_parcel(shop, order_id)[1]
    assert [(each.status, each.at) for each in parcel.tracking] == [
        (TrackingStatus.COLLECTED, collected), (TrackingStatus.OUT_FOR_DELIVERY, out),
    ]  # fmt: skip
    assert parcel.news_by == out + timedelta(days=3), "the later word counts"


def test_only_what_was_on_its_way_then_is_tracked(shop: Shop) -> None:
    order_id = shop.confirmed((shop.article(), "1"))
    parcel_id = shop.pack(order_id)
    track = TrackParcel(order_id=order_id, parcel_id=parcel_id, status=TrackingStatus.IN_TRANSIT)
    with pytest.raises(WrongState):
        shop.desk.do(track)
    assert codes(shop.desk, Order, order_id)["trackParcel"] == "WRONG_STATE"
    shop.ship(order_id, parcel_id)
    left = only_parcel(shop, order_id)[1].shipped_at
    assert left is not None
    with pytest.raises(WrongState):
        shop.desk.do(track, at=left - timedelta(seconds=1))
    shop.desk.do(ReportParcelLost(order_id=order_id, parcel_id=parcel_id))
    with pytest.raises(WrongState):
        shop.desk.do(track)
    shop.desk.do(TraceParcel(order_id=order_id, parcel_id=parcel_id, found=True))
    assert only_parcel(shop, order_id)[1].news_by is not None
    shop.desk.do(DeliverOrder(order_id=order_id, parcel_id=parcel_id), at=left + timedelta(days=2))
    shop.desk.do(track, at=left + timedelta(days=1))
    with pytest.raises(WrongState):
        shop.desk.do(track, at=left + timedelta(days=3))


# There ---------------------------------------------------------------------------------------------------------------


def test_the_word_that_it_is_there_delivers_what_is_on_its_way_and_ends_the_sale(shop: Shop) -> None:
    ann = shop.desk.register(shop.store_id)
    order_id = shop.shipped((shop.article(), "2"), customer_id=ann)
    herself = Actor(id="ann", role=Role.CUSTOMER, customer_id=ann)
    another = Actor(id="bob", role=Role.CUSTOMER, customer_id=shop.desk.register(shop.store_id))
    with pytest.raises(NotFound):
        shop.desk.do(ConfirmReceipt(order_id=order_id), actor=another)

    shop.desk.do(ConfirmReceipt(order_id=order_id), actor=herself)

    order = shop.order(order_id)
    assert order.status is OrderStatus.COMPLETED and order.received_at == order.delivered_at == order.completed_at
    names = [type(event).__name__ for _, event in shop.desk.events][-3:]
    assert names == [OrderDelivered.__name__, ReceiptConfirmed.__name__, OrderCompleted.__name__]
    before = len(shop.desk.events)
    shop.desk.do(ConfirmReceipt(order_id=order_id), actor=herself)
    assert len(shop.desk.events) == before
    assert codes(shop.desk, Order, order_id)["confirmReceipt"] == DONE_ALREADY


def test_nothing_is_received_while_units_are_still_to_be_sent(shop: Shop) -> None:
    order_id = shop.confirmed((shop.article(), "2"))
    shop.ship(order_id, shop.pack(order_id, (1, "1")))
    with pytest.raises(WrongState):
        shop.desk.do(ConfirmReceipt(order_id=order_id))
    assert codes(shop.desk, Order, order_id)["confirmReceipt"] == "WRONG_STATE"


def test_dear_goods_are_looked_at_by_whoever_receives_them(shop: Shop) -> None:
    terms(shop, inspection_from_minor=20_000)
    cheap, dear = shop.delivered((shop.article("cup"), "1")), shop.delivered((shop.article(), "2"))
    shop.desk.do(ConfirmReceipt(order_id=cheap), actor=BUYER)
    for command in (ConfirmReceipt(order_id=dear), CompleteOrder(order_id=dear)):
        with pytest.raises(InspectionRequired):
            shop.desk.do(command, actor=BUYER)
    shop.desk.do(CompleteOrder(order_id=dear))
    assert not shop.order(dear).inspected, "the time to object was over, or staff say so"

    other = shop.delivered((shop.article("jar"), "2"))
    shop.desk.do(ConfirmReceipt(order_id=other, inspected=True), actor=BUYER)
    assert shop.order(other).inspected and shop.order(other).status is OrderStatus.COMPLETED


def test_defects_become_a_complaint_which_holds_the_sale_up(shop: Shop) -> None:
    order_id = shop.shipped((shop.article(), "3"))
    with pytest.raises(DefectsExceedArrived):
        shop.desk.do(ConfirmReceipt(order_id=order_id, defects=part("4")))

    shop.desk.do(ConfirmReceipt(order_id=order_id, inspected=True, defects=part("2"), statement="torn"))

    order, opened = shop.order(order_id), shop.desk.last(DisputeOpened)
    assert order.status is OrderStatus.DELIVERED and order.in_dispute and order.completed_at is None
    assert (opened.kind, opened.lines[0].quantity) == (ProblemKind.QUALITY, 2)
    assert opened.statement is not None and "torn" not in opened.statement
    with pytest.raises(DisputeOpen):
        shop.desk.do(ConfirmReceipt(order_id=order_id))


# Damaged on the way --------------------------------------------------------------------------------------------------


def test_damage_is_claimed_for_once_somebody_complained_of_it(shop: Shop) -> None:
    order_id = shop.delivered((shop.article(), "2"))
    parcel_id, _ = only_parcel(shop, order_id)
    claim = FileCourierClaim(order_id=order_id, parcel_id=parcel_id, amount_minor=900, cause=ClaimCause.DAMAGED)
    shop.desk.do(ConfirmReceipt(order_id=order_id, defects=part("1")))
    with pytest.raises(DamageUnreported):
        shop.desk.do(claim)
    assert codes(shop.desk, Order, order_id)["fileCourierClaim"] == "DAMAGE_UNREPORTED"
    shop.desk.do(RequestReturn(order_id=order_id, lines=part("1"), reason=ReturnReason.QUALITY))
    [return_id] = shop.order(order_id).returns
    found = {"reason": ReturnReason.COURIER_DAMAGE, "fault_party": FaultParty.COURIER}
    shop.desk.do(VerifyReturn(order_id=order_id, return_id=return_id, **found))

    shop.desk.do(claim)

    assert shop.desk.last(CourierClaimFiled).cause is ClaimCause.DAMAGED
    with pytest.raises(ClaimExists):
        shop.desk.do(claim)
    shop.desk.do(SettleCourierClaim(order_id=order_id, parcel_id=parcel_id, amount_minor=400))
    found_claim = only_parcel(shop, order_id)[1].claim
    assert found_claim is not None and (found_claim.cause, found_claim.recovered_minor) == (ClaimCause.DAMAGED, 400)


def test_what_has_not_arrived_did_not_come_damaged(shop: Shop) -> None:
    order_id = shop.shipped((shop.article(), "1"))
    parcel_id, _ = only_parcel(shop, order_id)
    with pytest.raises(WrongState):
        shop.desk.do(
            FileCourierClaim(order_id=order_id, parcel_id=parcel_id, amount_minor=900, cause=ClaimCause.DAMAGED)
        )
