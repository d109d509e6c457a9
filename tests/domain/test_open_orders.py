"""Nobody is forgotten while something is on its way to them: the address would be lost with the key."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import pytest

from opscore.domain.command import Actor, Role
from opscore.domain.customer import Customer
from opscore.domain.customer_commands import EraseCustomer, MergeCustomers
from opscore.domain.customer_events import CustomerStatus, OpenOrders
from opscore.domain.order_commands import CancelOrder, ConfirmOrder, LineQuantity, ReportShortage
from tests.domain.desk import SERVICE
from tests.domain.selling import Shop

Journey = Callable[[Shop, UUID, UUID], UUID]


def placed(shop: Shop, lamp: UUID, ann: UUID) -> UUID:
    return shop.place((lamp, "2"), customer_id=ann)


def paid(shop: Shop, lamp: UUID, ann: UUID) -> UUID:
    return shop.pay(placed(shop, lamp, ann))


def confirmed(shop: Shop, lamp: UUID, ann: UUID) -> UUID:
    return shop.confirmed((lamp, "2"), customer_id=ann)


def short(shop: Shop, lamp: UUID, ann: UUID) -> UUID:
    order_id = confirmed(shop, lamp, ann)
    return shop.desk.do(ReportShortage(order_id=order_id, lines=(LineQuantity(line=1, quantity="1"),)))


def packed(shop: Shop, lamp: UUID, ann: UUID) -> UUID:
    order_id = confirmed(shop, lamp, ann)
    shop.pack(order_id)
    return order_id


def shipped_in_part(shop: Shop, lamp: UUID, ann: UUID) -> UUID:
    order_id = confirmed(shop, lamp, ann)
    shop.ship(order_id, shop.pack(order_id, (1, "1")))
    return order_id


def shipped(shop: Shop, lamp: UUID, ann: UUID) -> UUID:
    return shop.shipped((lamp, "2"), customer_id=ann)


def delivered(shop: Shop, lamp: UUID, ann: UUID) -> UUID:
    return shop.delivered((lamp, "2"), customer_id=ann)


def cancelled(shop: Shop, lamp: UUID, ann: UUID) -> UUID:
    return shop.desk.do(CancelOrder(order_id=placed(shop, lamp, ann)))


def rendered(shop: Shop, lamp: UUID, ann: UUID) -> UUID:
    """A service is rendered once it is paid: nothing is to be sent."""
    order_id = shop.pay(shop.place((shop.service(), "1"), customer_id=ann))
    return shop.desk.do(ConfirmOrder(order_id=order_id))


@pytest.mark.parametrize("journey", [placed, paid, confirmed, short, packed, shipped_in_part])
def test_a_customer_whose_order_is_still_to_be_paid_or_sent_is_not_erased(journey: Journey) -> None:
    shop = Shop()
    ann = shop.desk.register(shop.store_id)
    order_id = journey(shop, shop.article(), ann)

    with pytest.raises(OpenOrders) as refused:
        shop.desk.do(EraseCustomer(customer_id=ann), actor=SERVICE)

    assert refused.value.ids == (order_id,)
    assert shop.desk.get(Customer, ann).status is CustomerStatus.REGISTERED


@pytest.mark.parametrize("journey", [shipped, delivered, cancelled, rendered])
def test_a_customer_whose_orders_have_left_or_are_over_is_erased(journey: Journey) -> None:
    shop = Shop()
    ann = shop.desk.register(shop.store_id)
    journey(shop, shop.article(), ann)

    shop.desk.do(EraseCustomer(customer_id=ann))

    assert ann in shop.desk.erased


def test_once_the_open_order_is_cancelled_the_customer_may_be_erased() -> None:
    shop = Shop()
    ann = shop.desk.register(shop.store_id)
    order_id = confirmed(shop, shop.article(), ann)
    with pytest.raises(OpenOrders):
        shop.desk.do(EraseCustomer(customer_id=ann))

    shop.desk.do(CancelOrder(order_id=order_id))
    shop.desk.do(EraseCustomer(customer_id=ann))

    assert ann in shop.desk.erased


def test_an_open_order_of_a_merged_record_counts_too() -> None:
    shop = Shop()
    ann, known_twice = shop.desk.register(shop.store_id), shop.desk.register(shop.store_id)
    order_id = placed(shop, shop.article(), known_twice)
    shop.desk.do(MergeCustomers(customer_id=ann, other_id=known_twice))

    with pytest.raises(OpenOrders) as refused:
        shop.desk.do(EraseCustomer(customer_id=ann))

    assert refused.value.ids == (order_id,)


def test_an_open_order_of_another_store_is_not_named_to_who_may_not_see_it() -> None:
    here = Shop()
    there = Shop(here.desk, name="There")
    ann = here.desk.register(here.store_id)
    there.place((there.article(), "1"), customer_id=ann)
    local = Actor(id="lisa", role=Role.SERVICE, stores=frozenset({here.store_id}))

    with pytest.raises(OpenOrders) as refused:
        here.desk.do(EraseCustomer(customer_id=ann), actor=local)

    assert refused.value.ids == ()


def test_a_customer_is_told_which_of_their_own_orders_are_open() -> None:
    shop = Shop()
    ann = shop.desk.register(shop.store_id)
    order_id = placed(shop, shop.article(), ann)
    herself = Actor(id="ann", role=Role.CUSTOMER, customer_id=ann)

    with pytest.raises(OpenOrders) as refused:
        shop.desk.do(EraseCustomer(customer_id=ann), actor=herself)

    assert refused.value.ids == (order_id,)
