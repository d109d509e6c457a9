"""What was agreed stays agreed: no price changes when a part is called off, no discount is given a second time."""

from __future__ import annotations

from decimal import Decimal

import pytest

from opscore.domain.campaign import Campaign
from opscore.domain.campaign_commands import PercentageTerms, ThresholdStepTerms, ThresholdTerms
from opscore.domain.order_commands import CancelOrder, CancelOrderLines, LineQuantity
from opscore.domain.order_events import OrderRefunded
from opscore.domain.order_refunds import RefundOrder
from tests.domain.selling import Shop

FROM_200_50_OFF = ThresholdTerms(steps=(ThresholdStepTerms(spend_minor=200_00, off_minor=50_00),))
HALF = PercentageTerms(percent=Decimal(50))


@pytest.fixture
def shop() -> Shop:
    return Shop()


def one(line: int) -> tuple[LineQuantity, ...]:
    return (LineQuantity(line=line, quantity=Decimal(1)),)


def test_what_is_left_keeps_its_share_of_a_threshold_that_is_no_longer_met(shop: Shop) -> None:
    lamp = shop.article("lamp", "100")
    campaign_id = shop.campaign({lamp: "100"}, FROM_200_50_OFF, budget_minor=1000_00)
    order_id = shop.place((lamp, "2"), campaign_ids=(campaign_id,))
    assert shop.order(order_id).total_minor == 150_00

    shop.desk.do(CancelOrderLines(order_id=order_id, lines=one(1)))

    assert shop.order(order_id).due_minor == 75_00, "100.00 less half of the 50.00, though 100.00 is below 200.00"
    assert shop.desk.get(Campaign, campaign_id).budget_claimed_minor == 25_00


def test_what_went_back_of_a_paid_order_and_what_was_kept_are_what_was_paid(shop: Shop) -> None:
    lamp = shop.article("lamp", "100")
    campaign_id = shop.campaign({lamp: "100"}, FROM_200_50_OFF)
    order_id = shop.delivered((lamp, "2"), campaign_ids=(campaign_id,))
    shop.returned(order_id, (1, "1"))

    shop.desk.do(RefundOrder(order_id=order_id))

    assert shop.desk.last(OrderRefunded).amount_minor == 75_00
    assert shop.order(order_id).kept_goods_minor == 75_00


def test_a_discount_on_goods_that_come_back_is_not_given_to_somebody_else(shop: Shop) -> None:
    lamp = shop.article("lamp", "100")
    campaign_id = shop.campaign({lamp: "100"}, HALF, budget_minor=100_00)
    order_id = shop.delivered((lamp, "2"), campaign_ids=(campaign_id,))
    shop.returned(order_id, (1, "2"))

    shop.desk.do(RefundOrder(order_id=order_id))

    assert shop.desk.get(Campaign, campaign_id).budget_claimed_minor == 100_00


def test_a_discount_on_what_never_left_is(shop: Shop) -> None:
    lamp = shop.article("lamp", "100")
    campaign_id = shop.campaign({lamp: "100"}, HALF, budget_minor=100_00)
    order_id = shop.confirmed((lamp, "2"), campaign_ids=(campaign_id,))

    shop.desk.do(CancelOrder(order_id=order_id))

    assert shop.desk.get(Campaign, campaign_id).budget_claimed_minor == 0
