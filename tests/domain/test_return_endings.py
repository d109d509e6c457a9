"""Returns that end without goods: declined by the seller, or called off while somebody still waited for them."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

import pytest

from opscore.domain.command import Actor, Role
from opscore.domain.order_commands import LineQuantity
from opscore.domain.order_events import DeclineReason, ReturnCancelled, ReturnDeclined
from opscore.domain.order_refusals import ReturnExceedsApproved
from opscore.domain.order_return_endings import CancelReturn, DeclineReturn
from opscore.domain.order_returns import (
    ApproveReturn,
    DisposalOf,
    DisposeReturn,
    ReceiveReturn,
    RequestReturn,
)
from opscore.domain.order_state import ReturnCase, ReturnStatus
from opscore.domain.readiness import DONE_ALREADY
from opscore.domain.refusals import NotFound, WrongState
from tests.domain.desk import SERVICE
from tests.domain.selling import Shop
from tests.domain.test_readiness import codes


@pytest.fixture
def shop() -> Shop:
    return Shop()


def some(quantity: str) -> tuple[LineQuantity, ...]:
    return (LineQuantity(line=1, quantity=Decimal(quantity)),)


def asked(shop: Shop, quantity: str = "2", **fields: UUID) -> tuple[UUID, UUID]:
    """Return an order of three lamps and the return that was asked for."""
    order_id = shop.delivered((shop.article(), "3"), **fields)
    shop.desk.do(RequestReturn(order_id=order_id, lines=some(quantity)))
    return order_id, next(iter(shop.order(order_id).returns))


def case(shop: Shop, order_id: UUID, return_id: UUID) -> ReturnCase:
    return shop.order(order_id).returns[return_id]


# Declined ------------------------------------------------------------------------------------------------------------


def test_a_request_that_is_declined_is_over_and_says_why(shop: Shop) -> None:
    order_id, return_id = asked(shop)

    decline = DeclineReturn(order_id=order_id, return_id=return_id, reason=DeclineReason.USED, note="it was worn")
    shop.desk.do(decline, actor=SERVICE)

    found = case(shop, order_id, return_id)
    assert (found.status, found.decline_reason) == (ReturnStatus.DECLINED, DeclineReason.USED)
    event = shop.desk.last(ReturnDeclined)
    assert [(line.line, line.quantity) for line in event.lines] == [(1, Decimal(2))]
    assert shop.desk.unseal(order_id, event.note) == "it was worn"
    with pytest.raises(WrongState):
        shop.desk.do(ApproveReturn(order_id=order_id, return_id=return_id))


def test_declining_twice_records_once(shop: Shop) -> None:
    order_id, return_id = asked(shop)
    decline = DeclineReturn(order_id=order_id, return_id=return_id, reason=DeclineReason.OTHER)
    shop.desk.do(decline)
    before = len(shop.desk.events)

    shop.desk.do(decline)

    assert len(shop.desk.events) == before
    assert codes(shop.desk, type(shop.order(order_id)), order_id)["declineReturn"] == DONE_ALREADY


def test_what_was_declined_may_be_asked_for_again(shop: Shop) -> None:
    order_id, return_id = asked(shop, "3")
    shop.desk.do(DeclineReturn(order_id=order_id, return_id=return_id, reason=DeclineReason.NO_EVIDENCE))

    shop.desk.do(RequestReturn(order_id=order_id, lines=some("3")))

    assert [each.status for each in shop.order(order_id).returns.values()] == ["declined", "requested"]


def test_a_return_that_was_approved_is_declined_no_more(shop: Shop) -> None:
    order_id, return_id = asked(shop)
    shop.desk.do(ApproveReturn(order_id=order_id, return_id=return_id))

    with pytest.raises(WrongState):
        shop.desk.do(DeclineReturn(order_id=order_id, return_id=return_id, reason=DeclineReason.OTHER))


# Called off ----------------------------------------------------------------------------------------------------------


def test_a_customer_may_keep_the_goods_after_all(shop: Shop) -> None:
    ann = shop.desk.register(shop.store_id)
    order_id, return_id = asked(shop, customer_id=ann)
    herself = Actor(id="ann", role=Role.CUSTOMER, customer_id=ann)

    shop.desk.do(CancelReturn(order_id=order_id, return_id=return_id), actor=herself)

    assert case(shop, order_id, return_id).status is ReturnStatus.CANCELLED
    assert shop.order(order_id).lines[0].return_requested == 0


def test_a_stranger_does_not_call_off_somebody_elses_return(shop: Shop) -> None:
    order_id, return_id = asked(shop, customer_id=shop.desk.register(shop.store_id))
    stranger = Actor(id="bob", role=Role.CUSTOMER, customer_id=shop.desk.register(shop.store_id))

    with pytest.raises(NotFound):
        shop.desk.do(CancelReturn(order_id=order_id, return_id=return_id), actor=stranger)


def test_goods_that_were_approved_and_never_came_are_expected_no_longer(shop: Shop) -> None:
    order_id, return_id = asked(shop)
    shop.desk.do(ApproveReturn(order_id=order_id, return_id=return_id))

    shop.desk.do(CancelReturn(order_id=order_id, return_id=return_id))

    assert case(shop, order_id, return_id).status is ReturnStatus.CANCELLED
    with pytest.raises(WrongState):
        shop.desk.do(
            ReceiveReturn(order_id=order_id, return_id=return_id, location_id=shop.location_id, lines=some("1"))
        )


def test_what_came_stays_counted_and_goes_its_way_when_the_rest_is_called_off(shop: Shop) -> None:
    order_id, return_id = asked(shop, "3")
    target = {"order_id": order_id, "return_id": return_id}
    shop.desk.do(ApproveReturn(**target))
    shop.desk.do(ReceiveReturn(**target, location_id=shop.location_id, lines=some("1")))

    shop.desk.do(CancelReturn(**target))

    found = case(shop, order_id, return_id)
    assert (found.status, found.lines[0].received, found.lines[0].given_up) == (ReturnStatus.RECEIVED, 1, 2)
    assert [(line.line, line.quantity) for line in shop.desk.last(ReturnCancelled).lines] == [(1, Decimal(2))]
    with pytest.raises(ReturnExceedsApproved):
        shop.desk.do(ReceiveReturn(**target, location_id=shop.location_id, lines=some("1")))
    shop.desk.do(DisposeReturn(**target, lines=(DisposalOf(line=1, quantity=Decimal(1), condition="restock"),)))
    assert case(shop, order_id, return_id).status is ReturnStatus.DISPOSED
    shop.desk.do(RequestReturn(order_id=order_id, lines=some("2")))


def test_calling_off_twice_records_once(shop: Shop) -> None:
    order_id, return_id = asked(shop)
    shop.desk.do(CancelReturn(order_id=order_id, return_id=return_id))
    before = len(shop.desk.events)

    shop.desk.do(CancelReturn(order_id=order_id, return_id=return_id))

    assert len(shop.desk.events) == before


def test_nothing_is_called_off_of_a_return_that_is_back(shop: Shop) -> None:
    order_id = shop.delivered((shop.article(), "1"))
    return_id = shop.returned(order_id, (1, "1"))

    assert codes(shop.desk, type(shop.order(order_id)), order_id)["cancelReturn"] == "WRONG_STATE"
    with pytest.raises(WrongState):
        shop.desk.do(CancelReturn(order_id=order_id, return_id=return_id))
