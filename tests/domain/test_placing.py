"""Placing an order: prices and their reasons, stock, quota, budget, coupon, points and limits in one decision."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from opscore.domain.campaign import (
    Campaign,
    CampaignBudgetUsed,
    CampaignNotInStore,
    CampaignNotLive,
    CouponInvalid,
    CouponUsedUp,
)
from opscore.domain.campaign_commands import (
    CouponTermsOffered,
    EndCampaign,
    FreeShippingTerms,
    GiftTerms,
    PercentageTerms,
    ThresholdStepTerms,
    ThresholdTerms,
)
from opscore.domain.command import Actor, Role
from opscore.domain.customer import Customer
from opscore.domain.customer_commands import BlockCustomer, EarnPoints, GrantCoupon, JoinMembership
from opscore.domain.customer_events import (
    CampaignLimitReached,
    CouponUsedAlready,
    CustomerNotActive,
    MembershipSource,
    PointsInsufficient,
)
from opscore.domain.order_commands import CancelOrder, CancelOrderLines, ExpireOrder, LineQuantity, PayOrder
from opscore.domain.order_events import OrderPlaced, PriceSource
from opscore.domain.order_placing import PlaceLine, PlaceOrder
from opscore.domain.order_recording import RecordedLine, RecordOrder
from opscore.domain.order_refusals import PriceChanged, TotalChanged
from opscore.domain.order_state import OrderStatus
from opscore.domain.pricing import CouponThresholdNotReached, DiscountSource, RegistrationNeeded
from opscore.domain.refusals import CurrencyMismatch, InvalidField, NotAuthorised, NotFound, ReferenceTaken
from opscore.domain.sku import StockInsufficient
from opscore.domain.sku_commands import DelistSku, ListSku, SetTierPrices, TierPriceEntry
from opscore.domain.sku_events import BelowMinimumQuantity, CampaignQuotaUsed, DelistReason, SkuNotListed
from opscore.domain.store_commands import AddLocation, SetPolicy, SuspendStore
from opscore.domain.store_events import LocationAdded, StoreNotOpen
from opscore.domain.values import TrafficSource
from tests.domain.desk import Desk
from tests.domain.selling import Shop


@pytest.fixture
def shop() -> Shop:
    return Shop()


def points(shop: Shop, customer_id: UUID, amount: int) -> None:
    shop.desk.do(
        EarnPoints(customer_id=customer_id, rule="manual", reference=str(uuid4()), points=amount, reason="a present")
    )


# Prices --------------------------------------------------------------------------------------------------------------


def test_an_order_says_by_which_way_and_with_what_the_buyer_came_where_somebody_knows(shop: Shop) -> None:
    lamp = shop.article(price="19.95")
    line = RecordedLine(sku_id=lamp, quantity=Decimal(1), unit_price=Decimal(19))
    known: dict[str, Any] = {"traffic_source": TrafficSource.PAID_SEARCH, "device": "app"}
    orders = [shop.place((lamp, "1"), channel="web", **known), shop.place((lamp, "1"))]
    orders += [
        shop.desk.do(RecordOrder(store_id=shop.store_id, lines=(line,), **came, paid=False)) for came in (known, {})
    ]

    came = [(order.channel, order.traffic_source, order.device) for order in map(shop.order, orders)]
    assert came == [
        ("web", TrafficSource.PAID_SEARCH, "app"), ("web", None, None),
        ("external", TrafficSource.PAID_SEARCH, "app"), ("external", None, None),
    ]  # fmt: skip


def test_an_order_freezes_lines_prices_and_freight(shop: Shop) -> None:
    lamp, postage = shop.article(price="19.95"), shop.service()
    order_id = shop.place((lamp, "3"), (postage, "1"), freight_minor=800, channel="app", region="CN-31")
    placed = shop.desk.last(OrderPlaced)
    assert [(line.line, line.sku_code, line.gross_minor, line.amount_minor, line.service) for line in placed.lines] == [
        (1, "lamp", 5985, 5985, False),
        (2, "postage", 500, 500, True),
    ]
    assert (placed.goods_minor, placed.discount_minor, placed.freight_minor, placed.total_minor) == (6485, 0, 800, 7285)
    assert (placed.channel, placed.region, placed.currency, placed.price_source) == (
        "app",
        "CN-31",
        "CNY",
        PriceSource.OPSCORE,
    )
    assert placed.expires_at - placed.occurred_at == timedelta(minutes=30)
    assert shop.order(order_id).status is OrderStatus.PLACED
    assert shop.sku(lamp).reserved_for(order_id) == 3


def test_a_line_amount_is_rounded_half_even_once(shop: Shop) -> None:
    order_id = shop.place((shop.article(price="0.005", stock="99"), "1"), (shop.article("nut", "0.015", "99"), "1"))
    assert [line.amount_minor for line in shop.order(order_id).lines] == [0, 2]


def test_a_member_pays_the_tier_price(shop: Shop) -> None:
    lamp, ann = shop.article(price="199"), shop.desk.register(shop.store_id)
    tier = TierPriceEntry(tier="member", factor=Decimal("0.98"))
    shop.desk.do(SetTierPrices(sku_id=lamp, tiers=(tier,)))
    shop.desk.do(JoinMembership(customer_id=ann, tier="member", source=MembershipSource.GRANTED))
    shop.place((lamp, "1"), customer_id=ann)
    (line,) = shop.desk.last(OrderPlaced).lines
    assert (line.unit_price, line.amount_minor) == (Decimal("195.02"), 19502)
    assert [(part.source, part.amount_minor) for part in line.discounts] == [(DiscountSource.TIER, 398)]


def test_a_member_pays_195_02_for_199_at_once_and_what_the_article_says_of_the_tier_comes_first(shop: Shop) -> None:
    ann, postage = shop.desk.register(shop.store_id), shop.service()
    lamp, vase = shop.article(price="199"), shop.article("vase", price="199")
    shop.desk.do(SetTierPrices(sku_id=vase, tiers=(TierPriceEntry(tier="member", price=Decimal(198)),)))
    tight, given = shop.article("tight", price="10", cost="9.90"), shop.article("given", price="10", cost="10")
    shop.desk.do(JoinMembership(customer_id=ann, tier="member", source=MembershipSource.GRANTED))
    wanted = [(each, "1") for each in (lamp, vase, tight, given, postage)]
    shop.place(*wanted, customer_id=ann)
    member = shop.desk.last(OrderPlaced)
    assert [line.amount_minor for line in member.lines] == [19502, 19800, 990, 1000, 500]
    assert [part.reason for part in member.lines[0].discounts] == ["member price 195.02"]
    shop.place(*wanted, customer_id=shop.desk.register(shop.store_id))
    assert [line.amount_minor for line in shop.desk.last(OrderPlaced).lines] == [19900, 19900, 1000, 1000, 500]


def test_a_line_says_why_it_costs_what_it_does(shop: Shop) -> None:
    lamp = shop.article(price="100")
    half = PercentageTerms(percent=Decimal(10))
    alone = ThresholdTerms(steps=(ThresholdStepTerms(spend_minor=100_000, off_minor=5_000),))
    campaign = shop.campaign({lamp: "90"}, half, alone)
    shop.place((lamp, "2"), campaign_ids=(campaign,))
    placed = shop.desk.last(OrderPlaced)
    (line,) = placed.lines
    assert (line.gross_minor, line.discount_minor, line.amount_minor) == (20000, 3800, 16200)
    assert [(part.source, part.source_id, part.amount_minor) for part in line.discounts] == [
        (DiscountSource.CAMPAIGN_PRICE, campaign, 2000),
        (DiscountSource.PERCENTAGE, campaign, 1800),
    ]
    (passed,) = placed.passed_over
    assert passed.source is DiscountSource.THRESHOLD and "100000" in passed.reason


def test_the_buyer_pays_the_price_that_was_shown_or_is_told(shop: Shop) -> None:
    lamp = shop.article(price="100")

    def place(price: str, total: int | None = None) -> UUID:
        line = PlaceLine(sku_id=lamp, quantity=Decimal(1), client_unit_price=Decimal(price))
        return shop.desk.do(PlaceOrder(store_id=shop.store_id, lines=(line,), client_total_minor=total))

    with pytest.raises(PriceChanged) as refusal:
        place("99.99")
    assert refusal.value.path == ("lines", 0, "client_unit_price")
    assert "lamp is 100 now, not 99.99" in refusal.value.message
    with pytest.raises(TotalChanged):
        place("100.00", 9999)
    place("100.00", 10000)


def test_freight_is_waived_by_an_offer(shop: Shop) -> None:
    lamp = shop.article()
    campaign = shop.campaign({lamp: "100"}, FreeShippingTerms(spend_minor=15000, waive_up_to_minor=600))
    shop.place((lamp, "2"), campaign_ids=(campaign,), freight_minor=1000)
    placed = shop.desk.last(OrderPlaced)
    assert (placed.freight_minor, placed.freight_waived_minor, placed.total_minor) == (400, 600, 20400)
    assert [waiver.source_id for waiver in placed.freight_waivers] == [campaign]


def test_goods_for_the_postage_alone_count_as_an_order_and_once_per_customer(shop: Shop) -> None:
    comb, ann = shop.article("comb", "10"), shop.desk.register(shop.store_id)
    campaign = shop.campaign({comb: "0"}, below_cost=True)
    with pytest.raises(RegistrationNeeded):
        shop.place((comb, "1"), campaign_ids=(campaign,), freight_minor=1000)
    order_id = shop.place((comb, "1"), customer_id=ann, campaign_ids=(campaign,), freight_minor=1000)
    shop.pay(order_id)
    order = shop.order(order_id)
    assert (order.status, order.goods_minor, order.freight_minor) == (OrderStatus.PAID, 0, 1000)
    with pytest.raises(CampaignLimitReached):
        shop.place((comb, "1"), customer_id=ann, campaign_ids=(campaign,), freight_minor=1000)


def test_an_order_that_costs_nothing_is_paid_as_it_is_placed(shop: Shop) -> None:
    comb, ann = shop.article("comb", "10"), shop.desk.register(shop.store_id)
    campaign = shop.campaign({comb: "0"}, below_cost=True)
    order_id = shop.place((comb, "1"), customer_id=ann, campaign_ids=(campaign,))
    assert shop.order(order_id).status is OrderStatus.PAID


# Stock ---------------------------------------------------------------------------------------------------------------


def test_no_more_is_sold_than_there_is(shop: Shop) -> None:
    lamp, cup = shop.article(stock="2"), shop.article("cup")
    before = len(shop.desk.events)
    with pytest.raises(StockInsufficient) as refusal:
        shop.place((cup, "1"), (lamp, "3"))
    assert (refusal.value.path, refusal.value.ids) == (("lines", 1, "quantity"), (lamp,))
    with pytest.raises(StockInsufficient):
        shop.place((lamp, "1"), (lamp, "2"))
    assert len(shop.desk.events) == before
    shop.place((lamp, "1"), (lamp, "1"))
    with pytest.raises(StockInsufficient):
        shop.place((lamp, "1"))


def test_stock_is_picked_by_the_order_of_the_locations(shop: Shop) -> None:
    lamp = shop.article(stock="2")
    shop.desk.do(AddLocation(store_id=shop.store_id, name="Second"))
    second = shop.desk.last(LocationAdded).location_id
    shop.receive(lamp, "5", second)
    order_id = shop.place((lamp, "4"))
    picked = {held.location_id: held.quantity for held in shop.sku(lamp).reservations[order_id]}
    assert picked == {second: 4}
    other = shop.place((lamp, "3"))
    picked = {held.location_id: held.quantity for held in shop.sku(lamp).reservations[other]}
    assert picked == {shop.location_id: 2, second: 1}


def test_what_cannot_be_ordered_is_refused(shop: Shop) -> None:
    lamp = shop.article(min_order_quantity=Decimal(2))
    with pytest.raises(BelowMinimumQuantity):
        shop.place((lamp, "1"))
    with pytest.raises(InvalidField):
        shop.place((lamp, "2.5"))
    with pytest.raises(NotFound) as refusal:
        shop.place((lamp, "2"), (uuid4(), "1"))
    assert refusal.value.path == ("lines", 1, "sku_id")
    shop.desk.do(DelistSku(sku_id=lamp, reason="season"))
    with pytest.raises(SkuNotListed):
        shop.place((lamp, "2"))


def test_an_order_has_lines_and_a_bounded_number_of_them(shop: Shop) -> None:
    with pytest.raises(msgspec.ValidationError):
        shop.place()
    lamp = shop.article()
    with pytest.raises(msgspec.ValidationError):
        shop.place(*[(lamp, "1")] * 2001)


def test_a_suspended_store_takes_no_orders(shop: Shop) -> None:
    lamp = shop.article()
    order_id = shop.confirmed((lamp, "1"))
    shop.desk.do(SuspendStore(store_id=shop.store_id, reason="audit"))
    with pytest.raises(StoreNotOpen):
        shop.place((lamp, "1"))
    shop.ship(order_id, shop.pack(order_id))


def test_goods_of_another_currency_are_not_sold_here() -> None:
    shop = Shop()
    lamp = shop.article()
    other = Shop(shop.desk, name="London", currency="GBP")
    with pytest.raises((CurrencyMismatch, SkuNotListed)):
        other.place((lamp, "1"))


# Campaigns -----------------------------------------------------------------------------------------------------------


def test_a_quota_is_sold_out_while_ordinary_stock_is_left(shop: Shop) -> None:
    lamp = shop.article(stock="10")
    campaign = shop.campaign({lamp: "80"}, quota="3")
    order_id = shop.place((lamp, "3"), campaign_ids=(campaign,))
    with pytest.raises(CampaignQuotaUsed):
        shop.place((lamp, "1"), campaign_ids=(campaign,))
    shop.place((lamp, "7"))
    shop.desk.do(CancelOrder(order_id=order_id))
    assert shop.sku(lamp).allocations[campaign] == {shop.location_id: 3}
    assert shop.sku(lamp).sellable == 0
    # Sold out in between, the article went off sale; the quota that came back does not put it back by itself.
    with pytest.raises(SkuNotListed):
        shop.place((lamp, "2"), campaign_ids=(campaign,))


def test_a_cancellation_frees_quota_for_the_next_buyer(shop: Shop) -> None:
    lamp = shop.article(stock="10")
    campaign = shop.campaign({lamp: "80"}, quota="3")
    order_id = shop.place((lamp, "3"), campaign_ids=(campaign,))
    line = LineQuantity(line=1, quantity=Decimal(2))
    shop.desk.do(CancelOrderLines(order_id=order_id, lines=(line,)))
    assert shop.sku(lamp).allocations[campaign] == {shop.location_id: 2}
    shop.place((lamp, "2"), campaign_ids=(campaign,))


def test_a_campaign_gives_away_no_more_than_its_budget(shop: Shop) -> None:
    lamp = shop.article()
    campaign = shop.campaign({lamp: "80"}, budget_minor=5000)
    order_id = shop.place((lamp, "2"), campaign_ids=(campaign,))
    with pytest.raises(CampaignBudgetUsed):
        shop.place((lamp, "1"), campaign_ids=(campaign,))
    line = LineQuantity(line=1, quantity=Decimal(1))
    shop.desk.do(CancelOrderLines(order_id=order_id, lines=(line,)))
    assert shop.desk.get(Campaign, campaign).budget_claimed_minor == 2000
    shop.place((lamp, "1"), campaign_ids=(campaign,))
    shop.desk.do(CancelOrder(order_id=order_id))
    assert shop.desk.get(Campaign, campaign).budget_claimed_minor == 2000


def test_a_campaign_has_to_be_live_and_of_this_store(shop: Shop) -> None:
    lamp = shop.article()
    campaign = shop.campaign({lamp: "80"})
    with pytest.raises(InvalidField):
        shop.place((lamp, "1"), campaign_ids=(campaign, campaign))
    other = Shop(shop.desk, name="Other")
    with pytest.raises(CampaignNotInStore):
        other.place((other.article("cup"), "1"), campaign_ids=(campaign,))
    shop.desk.do(EndCampaign(campaign_id=campaign, reason="over"))
    with pytest.raises(CampaignNotLive):
        shop.place((lamp, "1"), campaign_ids=(campaign,))
    with pytest.raises(NotFound):
        shop.place((lamp, "1"), campaign_ids=(uuid4(),))


def test_a_limit_per_customer_counts_orders_that_were_not_cancelled(shop: Shop) -> None:
    lamp, ann = shop.article(), shop.desk.register(shop.store_id)
    campaign = shop.campaign({lamp: "80"}, max_per_customer=2)
    buy: dict[str, Any] = {"customer_id": ann, "campaign_ids": (campaign,)}
    with pytest.raises(CampaignLimitReached) as refusal:
        shop.place((lamp, "1"), (lamp, "2"), **buy)
    assert campaign in refusal.value.ids
    order_id = shop.place((lamp, "2"), **buy)
    with pytest.raises(CampaignLimitReached):
        shop.place((lamp, "1"), **buy)
    shop.desk.do(CancelOrderLines(order_id=order_id, lines=(LineQuantity(line=1, quantity=Decimal(1)),)))
    assert shop.desk.get(Customer, ann).redeemed(campaign, lamp) == 1
    shop.place((lamp, "1"), **buy)
    shop.desk.do(CancelOrder(order_id=order_id))
    assert shop.desk.get(Customer, ann).redeemed(campaign, lamp) == 1


def test_a_gift_comes_with_the_goods_and_out_of_stock_leaves_them(shop: Shop) -> None:
    lamp, bulb = shop.article(), shop.article("bulb", "5", "1")
    campaign = shop.campaign({lamp: "100"}, GiftTerms(sku_id=bulb, spend_minor=10000))
    order_id = shop.place((lamp, "1"), campaign_ids=(campaign,))
    first = shop.desk.last(OrderPlaced)
    assert [(line.sku_code, line.gift, line.amount_minor) for line in first.lines] == [
        ("lamp", False, 10000),
        ("bulb", True, 0),
    ]
    assert shop.sku(bulb).reserved_for(order_id) == 1
    shop.place((lamp, "1"), campaign_ids=(campaign,))
    second = shop.desk.last(OrderPlaced)
    assert [line.sku_code for line in second.lines] == ["lamp"]
    assert "has run out" in second.passed_over[-1].reason
    shop.desk.do(CancelOrderLines(order_id=order_id, lines=(LineQuantity(line=1, quantity=Decimal(1)),)))
    assert shop.order(order_id).status is OrderStatus.CANCELLED
    assert shop.sku(bulb).sellable == 1


def test_a_gift_that_may_not_be_sold_any_more_is_not_given(shop: Shop) -> None:
    lamp, bulb = shop.article(), shop.article("bulb", "5")
    campaign = shop.campaign({lamp: "100"}, GiftTerms(sku_id=bulb, spend_minor=10000))
    shop.desk.do(DelistSku(sku_id=bulb, reason=DelistReason.RECALL, prohibited=True))
    shop.place((lamp, "1"), campaign_ids=(campaign,))
    placed = shop.desk.last(OrderPlaced)
    assert [line.sku_code for line in placed.lines] == ["lamp"]
    assert "may not be given" in placed.passed_over[-1].reason


def test_a_gift_is_not_the_unit_that_the_same_order_buys(shop: Shop) -> None:
    lamp, bulb = shop.article(), shop.article("bulb", "5", "2")
    campaign = shop.campaign({lamp: "100"}, GiftTerms(sku_id=bulb, spend_minor=10000))
    order_id = shop.place((lamp, "1"), (bulb, "1"), campaign_ids=(campaign,))
    assert [(line.sku_code, line.gift) for line in shop.order(order_id).lines] == [
        ("lamp", False),
        ("bulb", False),
        ("bulb", True),
    ]
    assert (shop.sku(bulb).reserved_for(order_id), shop.sku(bulb).sellable) == (2, 0)
    shop.desk.do(CancelOrder(order_id=order_id))
    shop.desk.do(ListSku(sku_id=bulb))
    other_id = shop.place((lamp, "1"), (bulb, "2"), campaign_ids=(campaign,))
    assert [line.sku_code for line in shop.order(other_id).lines] == ["lamp", "bulb"]


def test_two_lines_of_an_article_come_from_the_same_shelf(shop: Shop) -> None:
    lamp, cup = shop.article(stock="3"), shop.article("cup")
    first = shop.campaign({lamp: "90"}, GiftTerms(sku_id=cup, quantity=Decimal(2)))
    with pytest.raises(StockInsufficient):
        shop.place((lamp, "2"), (lamp, "2"), campaign_ids=(first,))
    order_id = shop.place((lamp, "2"), (lamp, "1"), campaign_ids=(first,))
    assert shop.sku(lamp).reserved_for(order_id) == 3


# Coupons and points --------------------------------------------------------------------------------------------------


def test_a_coupon_code_is_used_up_and_comes_back_with_a_cancellation(shop: Shop) -> None:
    lamp = shop.article()
    terms = CouponTermsOffered(code="TEN", off_minor=1000, spend_minor=5000, usage_limit=1)
    campaign = shop.campaign({lamp: "100"}, terms)
    order_id = shop.place((lamp, "1"), coupon_code="TEN")
    order = shop.order(order_id)
    assert (order.total_minor, order.coupon_code, order.coupon_campaign_id) == (9000, "TEN", campaign)
    with pytest.raises(CouponUsedUp):
        shop.place((lamp, "1"), coupon_code="TEN", campaign_ids=(campaign,))
    shop.desk.do(CancelOrder(order_id=order_id))
    assert shop.desk.get(Campaign, campaign).coupon_uses["TEN"] == 0
    shop.place((lamp, "1"), coupon_code="TEN")


def test_a_coupon_code_has_to_be_one_and_to_be_reached(shop: Shop) -> None:
    lamp = shop.article()
    shop.campaign({lamp: "100"}, CouponTermsOffered(code="TEN", off_minor=1000, spend_minor=50000))
    with pytest.raises(CouponInvalid):
        shop.place((lamp, "1"), coupon_code="NINE")
    with pytest.raises(CouponThresholdNotReached):
        shop.place((lamp, "1"), coupon_code="TEN")


def test_a_coupon_has_a_limit_per_customer(shop: Shop) -> None:
    lamp, ann = shop.article(), shop.desk.register(shop.store_id)
    shop.campaign({lamp: "100"}, CouponTermsOffered(code="TEN", off_minor=1000, per_customer_limit=1))
    with pytest.raises(CouponInvalid):
        shop.place((lamp, "1"), coupon_code="TEN")
    order_id = shop.place((lamp, "1"), coupon_code="TEN", customer_id=ann)
    with pytest.raises(CampaignLimitReached):
        shop.place((lamp, "1"), coupon_code="TEN", customer_id=ann)
    shop.desk.do(CancelOrder(order_id=order_id))
    shop.place((lamp, "1"), coupon_code="TEN", customer_id=ann)


def held_coupon(shop: Shop, customer_id: UUID) -> UUID:
    shop.desk.do(GrantCoupon(customer_id=customer_id, code="GIFT", currency="CNY", off_minor=500))
    return next(iter(shop.desk.get(Customer, customer_id).coupons))


def test_a_held_coupon_is_used_once_and_comes_back_with_expiry(shop: Shop) -> None:
    lamp, ann = shop.article(), shop.desk.register(shop.store_id)
    coupon = held_coupon(shop, ann)
    order_id = shop.place((lamp, "1"), customer_id=ann, coupon_id=coupon)
    assert shop.order(order_id).total_minor == 9500
    with pytest.raises(CouponUsedAlready):
        shop.place((lamp, "1"), customer_id=ann, coupon_id=coupon)
    shop.desk.do(ExpireOrder(order_id=order_id), at=shop.desk.now + timedelta(hours=1))
    assert shop.desk.get(Customer, ann).coupons[coupon].used_by is None


def test_a_guest_has_neither_coupons_nor_points(shop: Shop) -> None:
    lamp, ann = shop.article(), shop.desk.register(shop.store_id)
    coupon = held_coupon(shop, ann)
    for fields in ({"coupon_id": coupon}, {"points_to_spend": 5}):
        with pytest.raises(InvalidField):
            shop.place((lamp, "1"), **fields)
    with pytest.raises(InvalidField):
        shop.place((lamp, "1"), customer_id=ann, coupon_id=coupon, coupon_code="TEN")


def test_points_pay_for_goods_and_come_back_with_a_cancellation(shop: Shop) -> None:
    lamp, ann = shop.article(), shop.desk.register(shop.store_id)
    points(shop, ann, 3000)
    with pytest.raises(PointsInsufficient):
        shop.place((lamp, "1"), customer_id=ann, points_to_spend=3001)
    order_id = shop.place((lamp, "1"), customer_id=ann, points_to_spend=2500)
    order = shop.order(order_id)
    assert (order.points_spent, order.points_minor, order.total_minor) == (2500, 2500, 7500)
    assert shop.desk.get(Customer, ann).balance == 500
    shop.desk.do(CancelOrder(order_id=order_id))
    assert shop.desk.get(Customer, ann).balance == 3000


def test_no_more_points_are_taken_than_the_goods_cost(shop: Shop) -> None:
    pen, ann = shop.article("pen", "12"), shop.desk.register(shop.store_id)
    points(shop, ann, 3000)
    order_id = shop.place((pen, "1"), customer_id=ann, points_to_spend=3000, freight_minor=100)
    order = shop.order(order_id)
    assert (order.points_spent, order.goods_minor, order.total_minor) == (1200, 0, 100)
    assert shop.desk.get(Customer, ann).balance == 1800


def test_points_pay_for_no_more_than_their_share_of_the_goods(shop: Shop) -> None:
    lamp, ann = shop.article(), shop.desk.register(shop.store_id)
    params: dict[str, Any] = {"share_of_goods_max": "0.3", "value_minor": 7}
    shop.desk.do(SetPolicy(store_id=shop.store_id, kind="points", params=params))
    points(shop, ann, 9000)
    order_id = shop.place((lamp, "1"), customer_id=ann, points_to_spend=9000)
    order = shop.order(order_id)
    assert (order.points_spent, order.points_minor) == (428, 2996)


# Whose order it is ---------------------------------------------------------------------------------------------------


def test_a_customer_orders_in_their_own_name(shop: Shop) -> None:
    lamp = shop.article()
    ann, bob = shop.desk.register(shop.store_id), shop.desk.register(shop.store_id)
    actor = Actor(id="a", role=Role.CUSTOMER, customer_id=ann)
    for customer_id in (bob, None):
        with pytest.raises(NotAuthorised):
            shop.place((lamp, "1"), customer_id=customer_id, actor=actor)
    assert shop.order(shop.place((lamp, "1"), customer_id=ann, actor=actor)).customer_id == ann


def test_a_customer_cannot_take_the_number_of_an_order_of_another_system(shop: Shop) -> None:
    lamp, ann = shop.article(), shop.desk.register(shop.store_id)
    actor = Actor(id="a", role=Role.CUSTOMER, customer_id=ann)
    with pytest.raises(NotAuthorised) as refused:
        shop.place((lamp, "1"), customer_id=ann, actor=actor, external_reference="TB-1")
    assert refused.value.path == ("external_reference",)
    assert shop.place((lamp, "1"), customer_id=ann, external_reference="TB-1")


def test_a_blocked_customer_orders_nothing(shop: Shop) -> None:
    lamp, ann = shop.article(), shop.desk.register(shop.store_id)
    shop.desk.do(BlockCustomer(customer_id=ann, reason="fraud"))
    with pytest.raises(CustomerNotActive):
        shop.place((lamp, "1"), customer_id=ann)


@pytest.mark.parametrize("guest", [True, False])
def test_personal_data_is_sealed_under_the_customer_or_the_order(shop: Shop, guest: bool) -> None:
    lamp = shop.article()
    ann = None if guest else shop.desk.register(shop.store_id)
    order_id = shop.place((lamp, "1"), customer_id=ann, recipient="Ann Lee", address="1 Elm Street", remark="ring")
    order = shop.order(order_id)
    sealed = (order.recipient, order.address, order.remark)
    assert [shop.desk.unseal(ann or order_id, text or "") for text in sealed] == ["Ann Lee", "1 Elm Street", "ring"]
    assert not any(b"Elm Street" in snapshot for snapshot in shop.desk.snapshots())


def test_an_external_reference_is_taken_once_in_a_store(shop: Shop) -> None:
    lamp = shop.article()
    order_id = shop.place((lamp, "1"), external_reference="T-1")
    with pytest.raises(ReferenceTaken) as refusal:
        shop.place((lamp, "1"), external_reference="T-1")
    assert refusal.value.ids == (order_id,)
    other = Shop(shop.desk, name="Other")
    other.place((other.article("cup"), "1"), external_reference="T-1")


def test_a_refusal_leaves_every_aggregate_as_it_was(shop: Shop) -> None:
    lamp, cup, ann = shop.article(), shop.article("cup", stock="1"), shop.desk.register(shop.store_id)
    points(shop, ann, 100)
    terms = CouponTermsOffered(code="TEN", off_minor=1000, usage_limit=5)
    campaign = shop.campaign({lamp: "80"}, terms, quota="5", budget_minor=100000, max_per_customer=9)
    before, events = sorted(shop.desk.snapshots()), len(shop.desk.events)
    with pytest.raises(StockInsufficient):
        shop.place(
            (lamp, "2"),
            (cup, "2"),
            customer_id=ann,
            campaign_ids=(campaign,),
            coupon_code="TEN",
            points_to_spend=50,
            external_reference="T-9",
        )
    assert sorted(shop.desk.snapshots()) == before
    assert len(shop.desk.events) == events
    shop.place((lamp, "1"), external_reference="T-9")


# Orders agreed elsewhere ---------------------------------------------------------------------------------------------


def recorded(shop: Shop, *lines: tuple[UUID, str, str], **fields: Any) -> UUID:
    agreed = tuple(
        RecordedLine(sku_id=sku_id, quantity=Decimal(quantity), unit_price=Decimal(price))
        for sku_id, quantity, price in lines
    )
    return shop.desk.do(RecordOrder(store_id=shop.store_id, lines=agreed, **fields))


def test_an_order_agreed_elsewhere_is_taken_in_as_far_as_it_got(shop: Shop) -> None:
    lamp, postage = shop.article(), shop.service()
    since = len(shop.desk.events)
    order_id = recorded(shop, (lamp, "3", "7.5"), (postage, "1", "2"), external_reference="489434", shipped=True)
    assert shop.desk.recorded(since=since) == [
        "OrderPlaced",
        "StockReserved",
        "PaymentReceived",
        "OrderPaid",
        "OrderShipped",
        "StockShipped",
    ]
    order = shop.order(order_id)
    assert (order.status, order.total_minor, order.price_source) == (OrderStatus.SHIPPED, 2450, PriceSource.EXTERNAL)
    assert order.expires_at is None
    assert shop.sku(lamp).on_hand == 7


@pytest.mark.parametrize(
    ("steps", "status"),
    [
        ({"paid": False}, OrderStatus.PLACED),
        ({}, OrderStatus.PAID),
        ({"shipped": True}, OrderStatus.SHIPPED),
        ({"shipped": True, "delivered": True}, OrderStatus.DELIVERED),
        ({"shipped": True, "delivered": True, "completed": True}, OrderStatus.COMPLETED),
    ],
)
def test_each_step_that_the_source_shows_is_recorded(shop: Shop, steps: dict[str, Any], status: OrderStatus) -> None:
    assert shop.order(recorded(shop, (shop.article(), "1", "5"), **steps)).status is status


@pytest.mark.parametrize("steps", [{"paid": False, "shipped": True}, {"delivered": True}, {"completed": True}])
def test_a_step_without_the_one_before_is_refused(shop: Shop, steps: dict[str, Any]) -> None:
    with pytest.raises(InvalidField):
        recorded(shop, (shop.article(), "1", "5"), **steps)


def test_an_order_agreed_elsewhere_needs_neither_listing_nor_our_price_but_stock(shop: Shop) -> None:
    lamp = shop.article(price="100", stock="2")
    shop.desk.do(DelistSku(sku_id=lamp, reason="season"))
    with pytest.raises(StockInsufficient) as refusal:
        recorded(shop, (lamp, "1", "1"), (lamp, "2", "1"), external_reference="1", shipped=True)
    assert "Only 2 of lamp" in refusal.value.message and "not 3" in refusal.value.message
    recorded(shop, (lamp, "1", "1"), (lamp, "1", "1"), external_reference="1", shipped=True)
    assert shop.sku(lamp).on_hand == 0


def test_a_price_finer_than_a_penny_is_rounded_per_line(shop: Shop) -> None:
    lamp = shop.article(stock="50")
    order_id = recorded(shop, (lamp, "1", "0.001"), (lamp, "25", "0.001"), (lamp, "10", "0.0015"), shipped=True)
    assert [line.amount_minor for line in shop.order(order_id).lines] == [0, 2, 2]
    assert shop.order(order_id).paid_minor == 4


def test_an_order_agreed_elsewhere_is_taken_in_once(shop: Shop) -> None:
    lamp = shop.article()
    recorded(shop, (lamp, "1", "5"), external_reference="1")
    with pytest.raises(ReferenceTaken):
        recorded(shop, (lamp, "1", "5"), external_reference="1")


def test_an_order_agreed_elsewhere_comes_from_the_location_it_names(shop: Shop) -> None:
    lamp = shop.article()
    shop.desk.do(AddLocation(store_id=shop.store_id, name="Second"))
    second = shop.desk.last(LocationAdded).location_id
    with pytest.raises(StockInsufficient):
        recorded(shop, (lamp, "1", "5"), location_id=second)
    shop.receive(lamp, "1", second)
    recorded(shop, (lamp, "1", "5"), location_id=second, shipped=True)
    assert shop.sku(lamp).level_at(second).on_hand == 0


@pytest.mark.parametrize(
    "line",
    [
        {"unit_price": Decimal(-1)},
        {"unit_price": Decimal("NaN")},
        {"unit_price": Decimal("0.0000001")},
        {"unit_price": Decimal(1), "discount_minor": 101},
        {"unit_price": Decimal(1), "quantity": Decimal(0)},
    ],
)
def test_a_recorded_line_has_to_add_up(shop: Shop, line: dict[str, Any]) -> None:
    agreed = RecordedLine(sku_id=shop.article(), **({"quantity": Decimal(1)} | line))
    with pytest.raises(InvalidField):
        shop.desk.do(RecordOrder(store_id=shop.store_id, lines=(agreed,)))


def test_an_order_agreed_in_another_currency_is_refused(shop: Shop) -> None:
    with pytest.raises(CurrencyMismatch):
        recorded(shop, (shop.article(), "1", "5"), currency="GBP")


def test_the_same_command_always_gives_the_same_order_id() -> None:
    ids = []
    for _ in range(2):
        shop = Shop(Desk())
        ids.append(shop.place((shop.article(), "1")))
    assert ids[0] == ids[1]


def test_a_storefront_places_and_takes_payment(shop: Shop) -> None:
    storefront = Actor(id="web", role=Role.STOREFRONT, stores=frozenset({shop.store_id}))
    order_id = shop.place((shop.article(), "1"), actor=storefront)
    shop.desk.do(PayOrder(order_id=order_id, amount_minor=10000, method="alipay"), actor=storefront)
    assert shop.order(order_id).status is OrderStatus.PAID
