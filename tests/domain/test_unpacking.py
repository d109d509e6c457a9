"""A parcel that has not left can be opened again; what it held is packed anew, runs short or is called off."""

from __future__ import annotations

from decimal import Decimal

import pytest

from opscore.domain.command import Actor, Role
from opscore.domain.order import Order
from opscore.domain.order_commands import (
    CancelOrderLines,
    LineQuantity,
    PackParcel,
    ReportShortage,
    ScannedLine,
    UnpackParcel,
)
from opscore.domain.order_refusals import CancelExceedsOpen
from opscore.domain.order_state import OrderStatus
from opscore.domain.readiness import DONE_ALREADY
from opscore.domain.refusals import NotAuthorised, NotFound, WrongState
from tests.domain.desk import SERVICE, WAREHOUSE
from tests.domain.selling import Shop
from tests.domain.test_readiness import codes


@pytest.fixture
def shop() -> Shop:
    return Shop()


ONE = (LineQuantity(line=1, quantity=Decimal(1)),)


def test_what_was_unpacked_is_packed_anew_and_leaves_as_ever(shop: Shop) -> None:
    lamp = shop.article()
    order_id = shop.confirmed((lamp, "2"))
    wrong = shop.pack(order_id)

    shop.desk.do(UnpackParcel(order_id=order_id, parcel_id=wrong), actor=WAREHOUSE)

    order = shop.order(order_id)
    assert (order.status, order.lines[0].to_pack, order.parcels) == (OrderStatus.CONFIRMED, 2, {})
    shop.ship(order_id, shop.pack(order_id))
    assert shop.order(order_id).status is OrderStatus.SHIPPED
    assert shop.sku(lamp).level_at(shop.location_id).on_hand == 8


def test_a_part_that_was_packed_can_be_cancelled_once_it_is_unpacked(shop: Shop) -> None:
    order_id = shop.confirmed((shop.article(), "2"))
    parcel_id = shop.pack(order_id)
    with pytest.raises(CancelExceedsOpen, match="unpack its parcel first"):
        shop.desk.do(CancelOrderLines(order_id=order_id, lines=ONE))

    shop.desk.do(UnpackParcel(order_id=order_id, parcel_id=parcel_id))
    shop.desk.do(CancelOrderLines(order_id=order_id, lines=ONE))

    assert shop.order(order_id).lines[0].live == 1


def test_what_turns_out_to_be_broken_in_its_parcel_can_run_short(shop: Shop) -> None:
    order_id = shop.confirmed((shop.article(), "2"))
    shop.desk.do(UnpackParcel(order_id=order_id, parcel_id=shop.pack(order_id)))

    shop.desk.do(ReportShortage(order_id=order_id, lines=ONE))

    assert shop.order(order_id).status is OrderStatus.SHORTAGE


def test_other_parcels_stay_closed(shop: Shop) -> None:
    order_id = shop.confirmed((shop.article(), "3"))
    first, second = shop.pack(order_id, (1, "1")), shop.pack(order_id, (1, "2"))

    shop.desk.do(UnpackParcel(order_id=order_id, parcel_id=first))

    order = shop.order(order_id)
    assert (list(order.parcels), order.lines[0].packed) == ([second], 2)


def test_unpacking_twice_records_once(shop: Shop) -> None:
    order_id = shop.confirmed((shop.article(), "1"))
    unpack = UnpackParcel(order_id=order_id, parcel_id=shop.pack(order_id))
    shop.desk.do(unpack)
    before = len(shop.desk.events)

    shop.desk.do(unpack)

    assert len(shop.desk.events) == before
    assert codes(shop.desk, Order, order_id)["unpackParcel"] == DONE_ALREADY


def test_a_parcel_that_has_left_stays_what_it_was(shop: Shop) -> None:
    order_id = shop.shipped((shop.article(), "1"))
    (parcel_id,) = shop.order(order_id).parcels

    with pytest.raises(WrongState):
        shop.desk.do(UnpackParcel(order_id=order_id, parcel_id=parcel_id))


def test_a_new_parcel_does_not_get_the_name_of_one_that_was_unpacked(shop: Shop) -> None:
    lamp = shop.article()
    order_id = shop.confirmed((lamp, "1"))
    parcel_id = shop.pack(order_id)
    shop.desk.do(UnpackParcel(order_id=order_id, parcel_id=parcel_id))
    scanned = (ScannedLine(line=1, sku_id=lamp, quantity=Decimal(1)),)

    with pytest.raises(WrongState):
        shop.desk.do(PackParcel(order_id=order_id, location_id=shop.location_id, lines=scanned, parcel_id=parcel_id))


def test_who_does_not_pack_does_not_unpack_and_a_parcel_of_another_order_is_not_there(shop: Shop) -> None:
    lamp = shop.article()
    order_id, other_id = shop.confirmed((lamp, "1")), shop.confirmed((lamp, "1"))
    parcel_id = shop.pack(other_id)
    shop.pack(order_id)

    with pytest.raises(NotAuthorised):
        UnpackParcel.require_role(Actor(id="sue", role=Role.SERVICE))
    assert codes(shop.desk, Order, order_id, SERVICE)["unpackParcel"] == "NOT_AUTHORISED"
    with pytest.raises(NotFound):
        shop.desk.do(UnpackParcel(order_id=order_id, parcel_id=parcel_id))
