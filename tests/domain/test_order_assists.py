"""Who of the staff helped a buyer: named at placing or while the order is open, the last word holds."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from uuid import UUID

import pytest

from opscore.domain.command import Actor, Role
from opscore.domain.departures import RecordDeparture
from opscore.domain.order_assists import NameOrderAgent
from opscore.domain.order_placing import PlaceLine, PlaceOrder
from opscore.domain.order_recording import RecordedLine, RecordOrder
from opscore.domain.refusals import InvalidField, NotAuthorised, WrongState
from opscore.domain.staff import AssignStaffRole
from opscore.domain.store_events import StaffRole
from tests.domain.desk import SERVICE
from tests.domain.selling import Shop


@pytest.fixture
def shop() -> Shop:
    """A store in which Ann is manager and Sue and Tim serve."""
    shop = Shop()
    for person, role in (("ann", StaffRole.MANAGER), ("sue", StaffRole.SERVICE), ("tim", StaffRole.SERVICE)):
        shop.desk.do(AssignStaffRole(store_id=shop.store_id, person=person, role=role, from_day=date(2024, 5, 1)))
    return shop


def name(shop: Shop, order_id: UUID, agent: str | None, actor: Actor = SERVICE) -> None:
    shop.desk.do(NameOrderAgent(order_id=order_id, agent=agent), actor=actor)


def test_the_last_one_who_is_named_counts_and_may_be_taken_back(shop: Shop) -> None:
    lamp = shop.article()
    order_id = shop.place((lamp, "1"), assisted_by="sue")
    assert shop.order(order_id).agent == "sue"
    shop.pay(order_id)
    name(shop, order_id, "tim")
    name(shop, order_id, "tim")
    assert shop.order(order_id).agent == "tim"
    assert shop.desk.recorded(order_id).count("OrderAssisted") == 2, "told again, nothing more is recorded"
    name(shop, order_id, None)
    assert shop.order(order_id).agent is None
    assert shop.order(shop.place((lamp, "1"))).agent is None


def test_nobody_helps_who_is_not_of_the_staff_on_that_day(shop: Shop) -> None:
    lamp = shop.article()
    order_id = shop.place((lamp, "1"))
    for agent in ("nobody", "silent"):
        with pytest.raises(InvalidField, match="give them a role"):
            name(shop, order_id, agent)
        with pytest.raises(InvalidField, match="give them a role"):
            shop.place((lamp, "1"), assisted_by=agent)
    before = shop.desk.now
    shop.desk.do(RecordDeparture(store_id=shop.store_id, person="tim", absent_after=date(2024, 5, 1)))
    shop.desk.now = before.replace(day=2)
    with pytest.raises(InvalidField, match="tim is not of the store's staff on 2024-05-02"):
        name(shop, order_id, "tim")
    shop.desk.do(NameOrderAgent(order_id=order_id, agent="tim"), actor=SERVICE, at=before)
    assert shop.order(order_id).agent == "tim", "on the day of which it is said they were"


def test_a_customer_does_not_say_who_helped(shop: Shop) -> None:
    lamp, customer = shop.article(), shop.desk.register(shop.store_id)
    buyer = Actor(id="c", role=Role.CUSTOMER, customer_id=customer)
    asked = PlaceOrder(
        store_id=shop.store_id, lines=(PlaceLine(sku_id=lamp, quantity=Decimal(1)),), customer_id=customer,
        assisted_by="sue",
    )  # fmt: skip
    with pytest.raises(NotAuthorised):
        shop.desk.do(asked, actor=buyer)
    assert shop.order(shop.desk.do(asked)).agent == "sue"


def test_once_all_has_left_it_is_settled_who_helped(shop: Shop) -> None:
    order_id = shop.shipped((shop.article(), "1"))
    with pytest.raises(WrongState):
        name(shop, order_id, "sue")


def test_an_order_agreed_elsewhere_may_name_who_helped(shop: Shop) -> None:
    line = RecordedLine(sku_id=shop.article(), quantity=Decimal(1), unit_price=Decimal(9))
    recorded = shop.desk.do(
        RecordOrder(store_id=shop.store_id, lines=(line,), shipped=True, delivered=True, assisted_by="sue")
    )
    assert shop.order(recorded).agent == "sue"
    events = shop.desk.recorded(recorded)
    assert events.index("OrderAssisted") < events.index("OrderPaid"), "it is known when it counts"
    with pytest.raises(InvalidField):
        shop.desk.do(RecordOrder(store_id=shop.store_id, lines=(line,), assisted_by="stranger"))
