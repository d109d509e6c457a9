"""Points belong to the operator, what one is worth to each store: in the store's own currency, as its policy says."""

from __future__ import annotations

from decimal import Decimal

from opscore.domain.customer import Customer
from opscore.domain.customer_commands import EarnPoints
from opscore.domain.customer_events import PointsEarned
from opscore.domain.order_refunds import RefundOrder
from opscore.domain.store_commands import SetPolicy
from tests.domain.selling import Shop


def test_points_that_one_store_gave_pay_in_another_by_what_they_are_worth_there() -> None:
    china = Shop()
    japan = Shop(china.desk, name="Tokyo", currency="JPY")
    do = china.desk.do
    do(SetPolicy(store_id=china.store_id, kind="points", params={"rules": {"purchase": {"minor_per_point": 100}}}))
    do(SetPolicy(store_id=japan.store_id, kind="points", params={"value_minor": 20}))
    ann = china.desk.register(china.store_id)
    do(EarnPoints(customer_id=ann, rule="purchase", reference="o1", amount_minor=5_000, store_id=china.store_id))
    assert (china.desk.last(PointsEarned).amount, china.desk.last(PointsEarned).currency) == (50, "CNY")

    order_id = japan.place((japan.article("fan", "3000"), "1"), customer_id=ann, points_to_spend=30)

    order = japan.order(order_id)
    assert (order.currency, order.points_spent, order.points_minor, order.total_minor) == ("JPY", 30, 600, 2_400)
    assert china.desk.get(Customer, ann).balance == 20


def test_points_come_back_as_points_whatever_they_are_worth_by_then() -> None:
    shop = Shop()
    ann = shop.desk.register(shop.store_id)
    shop.desk.do(EarnPoints(customer_id=ann, rule="manual", reference="gift", points=100, reason="goodwill"))
    order_id = shop.delivered((shop.article("lamp", "100"), "1"), customer_id=ann, points_to_spend=100)
    shop.desk.do(SetPolicy(store_id=shop.store_id, kind="points", params={"value_minor": 50}))
    shop.returned(order_id, (1, "1"))

    shop.desk.do(RefundOrder(order_id=order_id))

    assert shop.desk.get(Customer, ann).balance == 100
    assert shop.order(order_id).lines[0].refunded == Decimal(1)
