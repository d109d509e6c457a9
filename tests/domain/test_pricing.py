"""Pricing: what an order costs and why. Examples as tables, laws by Hypothesis."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from opscore.domain.pricing import (
    Buyer,
    CampaignLine,
    CampaignOffers,
    CouponOff,
    CouponTerms,
    CouponThresholdNotReached,
    DiscountBelowCost,
    DiscountSource,
    FixedOff,
    FreeShipping,
    GiftWithPurchase,
    LineToPrice,
    MemberScope,
    PercentageOff,
    Points,
    PricedOrder,
    Promotion,
    PromotionForm,
    PromotionScope,
    RegistrationNeeded,
    ThresholdOff,
    ThresholdStep,
    price_order,
)

TEA, CUP, POT, POSTAGE = UUID(int=1), UUID(int=2), UUID(int=3), UUID(int=4)
SPRING, PLATFORM = UUID(int=101), UUID(int=102)
MEMBER = Buyer(registered=True, tiers=("gold",))
REGISTERED = Buyer(registered=True)


def line(
    sku_id: UUID = TEA, quantity: str = "1", price: str = "100.00", number: int = 1, **more: object
) -> LineToPrice:
    return LineToPrice(line=number, sku_id=sku_id, quantity=Decimal(quantity), list_price=Decimal(price), **more)


def promotion(label: str, **terms: object) -> Promotion:
    [form] = [PromotionForm(name) for name in terms if name in set(PromotionForm)]
    return Promotion(
        promotion_id=uuid4(),
        form=form,
        label=label,
        **{"scope": PromotionScope.STORE, **terms},
    )


def campaign(*promotions: Promotion, campaign_id: UUID = SPRING, **prices: CampaignLine) -> CampaignOffers:
    skus = {"tea": TEA, "cup": CUP, "pot": POT}
    lines = {skus[name]: terms for name, terms in prices.items()}
    return CampaignOffers(campaign_id=campaign_id, name="Spring", lines=lines, promotions=promotions)


def at_price(price: str, **more: object) -> CampaignLine:
    return CampaignLine(role="base", price=Decimal(price), **more)


def reasons(order: PricedOrder) -> list[str]:
    return [offer.reason for offer in order.rejected]


def taken(order: PricedOrder) -> dict[str, int]:
    sums: dict[str, int] = {}
    for each in order.lines:
        for discount in each.discounts:
            sums[discount.reason] = sums.get(discount.reason, 0) + discount.amount_minor
    return sums


# Unit prices ----------------------------------------------------------------------------------------------------------


def test_a_line_without_offers_costs_its_list_price_and_freight_comes_on_top() -> None:
    order = price_order("CNY", [line(quantity="3", price="19.99")], freight_minor=10_00)

    assert (order.gross_minor, order.discount_minor, order.goods_minor) == (59_97, 0, 59_97)
    assert (order.freight_minor, order.total_minor) == (10_00, 69_97)
    assert not order.lines[0].discounts
    assert not order.lines[0].rejected


def test_a_line_amount_is_rounded_half_even_once() -> None:
    order = price_order("GBP", [line(quantity="0.5", price="0.25"), line(CUP, "1.5", "0.25", number=2)])

    assert [each.amount_minor for each in order.lines] == [12, 38]


def test_a_member_pays_the_tier_price_and_the_line_says_so() -> None:
    order = price_order("CNY", [line(price="199.00", tier_price=Decimal("195.02"), tier="gold")], buyer=MEMBER)

    [priced] = order.lines
    assert (priced.unit_price, priced.amount_minor) == (Decimal("195.02"), 195_02)
    assert [(each.source, each.amount_minor, each.reason) for each in priced.discounts] == [
        (DiscountSource.TIER, 3_98, "gold price 195.02")
    ]


@pytest.mark.parametrize(
    ("tier_price", "campaign_price", "charged", "source", "left_out"),
    [
        ("90.00", "80.00", "80.00", DiscountSource.CAMPAIGN_PRICE, DiscountSource.TIER),
        ("80.00", "90.00", "80.00", DiscountSource.TIER, DiscountSource.CAMPAIGN_PRICE),
    ],
)
def test_tier_price_and_campaign_price_are_not_added_the_lower_wins(
    tier_price: str, campaign_price: str, charged: str, source: DiscountSource, left_out: DiscountSource
) -> None:
    order = price_order(
        "CNY",
        [line(tier_price=Decimal(tier_price), tier="gold")],
        campaigns=[campaign(tea=at_price(campaign_price))],
        buyer=MEMBER,
    )

    [priced] = order.lines
    assert priced.unit_price == Decimal(charged)
    assert [each.source for each in priced.discounts] == [source]
    assert [each.source for each in priced.rejected] == [left_out]


def test_a_campaign_price_equal_to_the_list_price_still_sells_from_the_campaigns_quota() -> None:
    order = price_order("CNY", [line()], campaigns=[campaign(tea=at_price("100.00", quota=Decimal(5)))])

    [priced] = order.lines
    assert (priced.campaign_id, priced.from_quota, priced.discounts) == (SPRING, True, ())
    assert order.campaign_ids == (SPRING,)
    assert order.campaign_discounts == {SPRING: 0}


def test_of_two_campaigns_with_the_same_sku_the_lower_price_wins_and_the_other_says_why_not() -> None:
    cheaper = campaign(campaign_id=PLATFORM, tea=at_price("70.00"))

    order = price_order("CNY", [line()], campaigns=[campaign(tea=at_price("80.00")), cheaper])

    [priced] = order.lines
    assert (priced.unit_price, priced.campaign_id) == (Decimal("70.00"), PLATFORM)
    assert [(each.source_id, each.reason) for each in priced.rejected] == [
        (SPRING, "another campaign's price is lower")
    ]


def test_a_campaign_price_that_is_limited_per_customer_needs_a_registered_buyer() -> None:
    offers = campaign(tea=at_price("0", max_per_customer=1, below_cost=True))

    with pytest.raises(RegistrationNeeded) as refused:
        price_order("CNY", [line(CUP), line(number=2)], campaigns=[offers])

    assert refused.value.path == ("lines", 1)
    order = price_order("CNY", [line(cost=Decimal(3))], campaigns=[offers], buyer=REGISTERED, freight_minor=10_00)
    assert (order.goods_minor, order.total_minor, order.lines[0].max_per_customer) == (0, 10_00, 1)


# Promotions -----------------------------------------------------------------------------------------------------------

TEN_PERCENT = PercentageOff(percent=Decimal(10))
STEPS = ThresholdOff(
    steps=(ThresholdStep(spend_minor=100_00, off_minor=10_00), ThresholdStep(spend_minor=200_00, off_minor=30_00))
)


@pytest.mark.parametrize(
    ("terms", "quantity", "off_minor"),
    [
        ({"percentage": TEN_PERCENT}, "1", 10_00),
        ({"percentage": PercentageOff(percent=Decimal(10), min_quantity=Decimal(2))}, "1", 0),
        ({"percentage": PercentageOff(percent=Decimal(10), min_quantity=Decimal(2))}, "2", 20_00),
        ({"threshold": STEPS}, "0.5", 0),
        ({"threshold": STEPS}, "1", 10_00),
        ({"threshold": STEPS}, "1.999", 10_00),
        ({"threshold": STEPS}, "2", 30_00),
        ({"threshold": STEPS}, "9", 30_00),
        ({"fixed": FixedOff(off_minor=7_00)}, "3", 7_00),
        ({"fixed": FixedOff(off_minor=7_00, each_unit=True)}, "3", 21_00),
        ({"fixed": FixedOff(off_minor=500_00)}, "3", 300_00),
    ],
)
def test_each_form_of_promotion_takes_off_what_it_says(terms: dict[str, object], quantity: str, off_minor: int) -> None:
    order = price_order("CNY", [line(quantity=quantity)], campaigns=[campaign(promotion("Offer", **terms))])

    assert order.discount_minor == off_minor
    assert order.campaign_discounts == ({SPRING: off_minor} if off_minor else {})
    assert len(order.rejected) == (0 if off_minor else 1)


def test_a_promotion_of_its_lines_leaves_other_goods_alone() -> None:
    offers = campaign(promotion("Tea week", percentage=TEN_PERCENT, scope=PromotionScope.LINES), tea=at_price("100.00"))

    order = price_order("CNY", [line(), line(CUP, number=2)], campaigns=[offers])

    assert [each.amount_minor for each in order.lines] == [90_00, 100_00]


def test_a_promotion_says_what_is_missing_when_its_condition_is_not_met() -> None:
    offers = campaign(
        promotion("Steps", threshold=STEPS),
        promotion("Members", percentage=TEN_PERCENT, member_scope=MemberScope.MEMBERS),
        promotion("Gold", percentage=TEN_PERCENT, member_scope=MemberScope.TIERS, tiers=("gold",)),
        promotion("Pots", percentage=TEN_PERCENT, scope=PromotionScope.LINES),
        pot=at_price("1"),
    )

    order = price_order("CNY", [line(price="50.00")], campaigns=[offers], buyer=REGISTERED)

    assert order.discount_minor == 0
    assert reasons(order) == [
        "needs goods worth 10000 minor units; these come to 5000",
        "only for members",
        "only for tier gold",
        "none of its goods are in the order",
    ]


def test_stackable_offers_add_up_each_computed_on_the_same_base() -> None:
    offers = campaign(
        promotion("Ten", percentage=TEN_PERCENT, stackable=True), promotion("Steps", threshold=STEPS, stackable=True)
    )

    order = price_order("CNY", [line(quantity="2")], campaigns=[offers])

    assert taken(order) == {"Ten": 20_00, "Steps": 30_00}
    assert order.rejected == ()


def test_an_offer_that_stands_alone_wins_when_it_is_worth_more_than_the_others_together() -> None:
    offers = campaign(
        promotion("Ten", percentage=TEN_PERCENT, stackable=True),
        promotion("Five", fixed=FixedOff(off_minor=5_00), stackable=True),
        promotion("Twenty", percentage=PercentageOff(percent=Decimal(20))),
        promotion("Twelve", percentage=PercentageOff(percent=Decimal(12))),
    )

    order = price_order("CNY", [line()], campaigns=[offers])

    assert taken(order) == {"Twenty": 20_00}
    assert reasons(order) == ["cannot be combined with 'Twenty', which gives as much or more"] * 3


def test_stackable_offers_win_when_together_they_are_worth_more() -> None:
    offers = campaign(
        promotion("Ten", percentage=TEN_PERCENT, stackable=True),
        promotion("Five", fixed=FixedOff(off_minor=5_00), stackable=True),
        promotion("Twelve", percentage=PercentageOff(percent=Decimal(12))),
    )

    order = price_order("CNY", [line()], campaigns=[offers])

    assert taken(order) == {"Ten": 10_00, "Five": 5_00}
    assert reasons(order) == ["stands alone, and the offers taken together give as much or more"]


def test_an_order_level_discount_is_split_over_the_lines_so_that_the_parts_sum_exactly() -> None:
    offers = campaign(promotion("Off", fixed=FixedOff(off_minor=10_00)))

    order = price_order(
        "CNY", [line(price="33.33", number=1 + i, sku_id=UUID(int=i)) for i in range(3)], campaigns=[offers]
    )

    assert sorted(each.discount_minor for each in order.lines) == [3_33, 3_33, 3_34]
    assert order.discount_minor == 10_00


def test_offers_never_take_a_line_below_zero() -> None:
    offers = campaign(
        promotion("All", percentage=PercentageOff(percent=Decimal(100)), stackable=True),
        promotion("More", fixed=FixedOff(off_minor=50_00), stackable=True),
    )

    order = price_order("CNY", [line()], campaigns=[offers])

    assert order.goods_minor == 0
    assert reasons(order) == ["there is nothing left to take off"]


# Coupons --------------------------------------------------------------------------------------------------------------


def coupon(**terms: object) -> CouponTerms:
    return CouponTerms(source_id=SPRING, promotion_id=uuid4(), label="SPRING10", code="SPRING10", **terms)


def test_a_coupon_below_its_threshold_is_refused_and_not_silently_dropped() -> None:
    with pytest.raises(CouponThresholdNotReached) as refused:
        price_order("CNY", [line(price="50.00")], coupon=coupon(off_minor=10_00, spend_minor=60_00))

    assert refused.value.path == ("coupon_code",)
    assert "6000" in refused.value.message
    assert "5000" in refused.value.message


@pytest.mark.parametrize(
    ("terms", "off_minor"),
    [
        ({"off_minor": 10_00}, 10_00),
        ({"percent": Decimal(15)}, 15_00),
        ({"percent": Decimal(15), "max_off_minor": 9_00}, 9_00),
        ({"off_minor": 250_00}, 100_00),
    ],
)
def test_a_coupon_takes_off_an_amount_or_a_percentage_with_a_ceiling(terms: dict[str, object], off_minor: int) -> None:
    order = price_order("CNY", [line()], coupon=coupon(**terms))

    assert (order.coupon_minor, order.discount_minor) == (off_minor, off_minor)
    assert order.coupon is not None


def test_a_coupon_that_loses_against_a_better_offer_is_not_used() -> None:
    order = price_order(
        "CNY",
        [line()],
        campaigns=[campaign(promotion("Twenty", percentage=PercentageOff(percent=Decimal(20))))],
        coupon=coupon(off_minor=10_00),
    )

    assert (order.coupon, order.coupon_minor) == (None, 0)
    assert [offer.source for offer in order.rejected] == [DiscountSource.COUPON]


def test_a_stackable_coupon_adds_to_stackable_promotions_and_counts_for_its_campaign() -> None:
    order = price_order(
        "CNY",
        [line()],
        campaigns=[campaign(promotion("Ten", percentage=TEN_PERCENT, stackable=True))],
        coupon=coupon(off_minor=5_00, stackable=True),
    )

    assert taken(order) == {"Ten": 10_00, "SPRING10": 5_00}
    assert order.campaign_discounts == {SPRING: 15_00}


def test_coupon_offers_whose_code_was_not_given_are_not_even_mentioned() -> None:
    secret = promotion("Secret", coupon=CouponOff(code="SECRET", off_minor=90_00))

    order = price_order("CNY", [line()], campaigns=[campaign(secret)])

    assert (order.discount_minor, order.rejected) == (0, ())


# Cost, gifts, freight, points -----------------------------------------------------------------------------------------


def test_a_discount_that_goes_below_cost_is_refused_with_the_line_at_fault() -> None:
    offers = campaign(promotion("Half", percentage=PercentageOff(percent=Decimal(50))))

    with pytest.raises(DiscountBelowCost) as refused:
        price_order("CNY", [line(CUP), line(cost=Decimal("50.01"), number=2)], campaigns=[offers])

    assert (refused.value.path, refused.value.ids) == (("lines", 1), (TEA,))
    assert price_order("CNY", [line(cost=Decimal("50.00"))], campaigns=[offers]).goods_minor == 50_00


def test_a_campaign_line_approved_below_cost_may_sell_below_cost() -> None:
    approved, unapproved = at_price("40.00", below_cost=True), at_price("40.00")

    order = price_order("CNY", [line(cost=Decimal(60))], campaigns=[campaign(tea=approved)])

    assert order.goods_minor == 40_00
    with pytest.raises(DiscountBelowCost):
        price_order("CNY", [line(cost=Decimal(60))], campaigns=[campaign(tea=unapproved)])


def test_a_list_price_below_cost_was_approved_with_the_sku_and_is_not_questioned_again() -> None:
    order = price_order("CNY", [line(cost=Decimal(120))], campaigns=[campaign()])

    assert order.goods_minor == 100_00


def test_points_are_means_of_the_customer_and_may_pay_below_cost() -> None:
    order = price_order("CNY", [line(cost=Decimal(90))], points=Points(points=50_00))

    assert (order.goods_minor, order.points_minor, order.points_spent) == (50_00, 50_00, 50_00)


def test_a_gift_is_a_zero_price_line_that_carries_stock() -> None:
    gift = GiftWithPurchase(sku_id=CUP, quantity=Decimal(2), spend_minor=100_00)

    order = price_order("CNY", [line()], campaigns=[campaign(promotion("Cups", gift=gift))])

    tea, cups = order.lines
    assert tea.amount_minor == 100_00
    assert (cups.line, cups.sku_id, cups.quantity, cups.gift, cups.amount_minor) == (2, CUP, Decimal(2), True, 0)
    assert cups.campaign_id == SPRING
    assert [discount.reason for discount in cups.discounts] == ["Cups"]


@pytest.mark.parametrize(("bought", "given"), [("2", None), ("3", 1), ("5", 1), ("6", 2), ("9", 3)])
def test_a_repeating_gift_comes_once_for_every_full_quantity(bought: str, given: int | None) -> None:
    gift = GiftWithPurchase(sku_id=CUP, quantity=Decimal(1), min_quantity=Decimal(3), repeats=True)

    order = price_order("CNY", [line(quantity=bought)], campaigns=[campaign(promotion("Buy 3", gift=gift))])

    assert [int(each.quantity) for each in order.lines if each.gift] == ([] if given is None else [given])


def test_of_gifts_that_stand_alone_the_one_for_most_spending_is_given() -> None:
    small = GiftWithPurchase(sku_id=CUP, quantity=Decimal(1), spend_minor=10_00)
    large = GiftWithPurchase(sku_id=POT, quantity=Decimal(1), spend_minor=90_00)
    too_large = GiftWithPurchase(sku_id=TEA, quantity=Decimal(1), spend_minor=900_00)

    order = price_order(
        "CNY",
        [line()],
        campaigns=[campaign(promotion("S", gift=small), promotion("L", gift=large), promotion("X", gift=too_large))],
    )

    assert [each.sku_id for each in order.lines if each.gift] == [POT]
    assert len(order.rejected) == 2


@pytest.mark.parametrize(
    ("waiver", "region", "waived_minor"),
    [
        (FreeShipping(), None, 12_00),
        (FreeShipping(spend_minor=100_01), None, 0),
        (FreeShipping(regions=("CN-31",)), "CN-31", 12_00),
        (FreeShipping(regions=("CN-31",)), "CN-11", 0),
        (FreeShipping(regions=("CN-31",)), None, 0),
        (FreeShipping(waive_up_to_minor=5_00), None, 5_00),
    ],
)
def test_freight_is_waived_as_far_as_the_offer_goes(
    waiver: FreeShipping, region: str | None, waived_minor: int
) -> None:
    offers = campaign(promotion("Free", free_shipping=waiver))

    order = price_order("CNY", [line()], campaigns=[offers], freight_minor=12_00, region=region)

    assert (order.freight_minor, order.freight_waived_minor) == (12_00 - waived_minor, waived_minor)
    assert order.total_minor == 112_00 - waived_minor
    assert order.campaign_discounts == ({SPRING: waived_minor} if waived_minor else {})
    assert len(order.rejected) == (0 if waived_minor else 1)


@pytest.mark.parametrize("stackable", [True, False])
def test_an_offer_that_has_nothing_to_take_off_says_just_that(stackable: bool) -> None:
    offers = campaign(promotion("Free", free_shipping=FreeShipping(), stackable=stackable))

    order = price_order("CNY", [line()], campaigns=[offers], freight_minor=0)

    assert reasons(order) == ["there is nothing left to take off"]


def test_freight_offers_do_not_compete_with_offers_on_goods() -> None:
    offers = campaign(promotion("Free", free_shipping=FreeShipping()), promotion("Ten", percentage=TEN_PERCENT))

    order = price_order("CNY", [line()], campaigns=[offers], freight_minor=12_00)

    assert order.total_minor == 90_00


@pytest.mark.parametrize(
    ("points", "worth", "goods_minor", "spent"),
    [
        (300, "1", 97_00, 300),
        (30_000, "1", 0, 10_000),
        (301, "0.5", 98_50, 300),
        (25_000, "0.5", 0, 20_000),
        (7, "3", 99_79, 7),
    ],
)
def test_no_more_points_are_spent_than_the_goods_cost(points: int, worth: str, goods_minor: int, spent: int) -> None:
    order = price_order("CNY", [line()], points=Points(points=points, minor_per_point=Decimal(worth)))

    assert (order.goods_minor, order.points_spent) == (goods_minor, spent)


def test_services_take_part_in_no_offer_and_are_not_paid_with_points() -> None:
    offers = campaign(promotion("All", percentage=PercentageOff(percent=Decimal(100))))

    order = price_order(
        "CNY",
        [line(), line(POSTAGE, price="15.00", number=2, service=True)],
        campaigns=[offers],
        points=Points(points=500),
    )

    assert [each.amount_minor for each in order.lines] == [0, 15_00]
    assert (order.points_spent, order.total_minor) == (0, 15_00)


# Laws -----------------------------------------------------------------------------------------------------------------

law = settings(max_examples=60, deadline=None)
minor = st.integers(min_value=0, max_value=50_000)
prices = st.decimals(min_value=0, max_value=1000, places=4)
quantities = st.decimals(min_value=Decimal("0.001"), max_value=50, places=3)


@st.composite
def promotions(draw: st.DrawFn) -> Promotion:
    terms: dict[str, object] = draw(
        st.one_of(
            st.builds(
                lambda percent: {"percentage": PercentageOff(percent=percent)},
                st.decimals(min_value=Decimal("0.01"), max_value=100, places=2),
            ),
            st.builds(
                lambda spend, off: {
                    "threshold": ThresholdOff(steps=(ThresholdStep(spend_minor=spend, off_minor=off),))
                },
                minor,
                minor,
            ),
            st.builds(lambda off, each: {"fixed": FixedOff(off_minor=off, each_unit=each)}, minor, st.booleans()),
            st.builds(
                lambda spend: {"gift": GiftWithPurchase(sku_id=CUP, quantity=Decimal(1), spend_minor=spend)}, minor
            ),
            st.builds(
                lambda spend, most: {"free_shipping": FreeShipping(spend_minor=spend, waive_up_to_minor=most)},
                minor,
                st.none() | st.integers(1, 2000),
            ),
        )
    )
    return promotion(
        draw(st.sampled_from("ABCDEF")),
        stackable=draw(st.booleans()),
        scope=draw(st.sampled_from(PromotionScope)),
        **terms,
    )


@st.composite
def orders(draw: st.DrawFn) -> tuple[list[LineToPrice], dict[str, object]]:
    lines = [
        LineToPrice(
            line=number,
            sku_id=UUID(int=draw(st.integers(1, 5))),
            quantity=draw(quantities),
            list_price=draw(prices),
            tier_price=draw(st.none() | prices),
            tier="gold",
            service=draw(st.booleans()) and draw(st.booleans()),
        )
        for number in range(1, draw(st.integers(1, 5)) + 1)
    ]
    campaigns = [
        CampaignOffers(
            campaign_id=UUID(int=100 + number),
            name=f"campaign {number}",
            lines={
                UUID(int=sku): CampaignLine(role="base", price=draw(prices)) for sku in draw(st.sets(st.integers(1, 5)))
            },
            promotions=tuple(draw(st.lists(promotions(), max_size=4))),
        )
        for number in range(draw(st.integers(0, 2)))
    ]
    given_coupon = draw(
        st.none()
        | st.builds(
            lambda off, stackable: CouponTerms(
                source_id=UUID(int=100), promotion_id=UUID(int=999), label="C", off_minor=off, stackable=stackable
            ),
            minor,
            st.booleans(),
        )
    )
    if all(each.service for each in lines):
        given_coupon = None
    more: dict[str, object] = {
        "campaigns": campaigns,
        "coupon": given_coupon,
        "buyer": REGISTERED,
        "points": draw(
            st.none()
            | st.builds(Points, points=minor, minor_per_point=st.sampled_from([Decimal(1), Decimal("0.3"), Decimal(7)]))
        ),
        "freight_minor": draw(st.integers(0, 3000)),
    }
    return lines, more


@law
@given(orders())
def test_discounts_and_totals_sum_exactly_and_no_line_falls_below_zero(
    asked: tuple[list[LineToPrice], dict[str, object]],
) -> None:
    lines, more = asked

    order = price_order("CNY", lines, **more)

    assert [each.line for each in order.lines] == list(range(1, len(order.lines) + 1))
    for each in order.lines:
        assert each.amount_minor >= 0
        assert all(discount.amount_minor >= 0 for discount in each.discounts)
        assert each.discount_minor == sum(discount.amount_minor for discount in each.discounts)
        assert each.gross_minor - each.discount_minor == each.amount_minor
    assert order.gross_minor == sum(each.gross_minor for each in order.lines)
    assert order.goods_minor == sum(each.amount_minor for each in order.lines)
    assert order.gross_minor - order.discount_minor == order.goods_minor
    assert order.freight_minor >= 0
    assert order.freight_minor + order.freight_waived_minor == more["freight_minor"]
    assert order.freight_waived_minor == sum(waiver.amount_minor for waiver in order.freight_waivers)
    assert order.total_minor == order.goods_minor + order.freight_minor
    of_points = [d.amount_minor for each in order.lines for d in each.discounts if d.source is DiscountSource.POINTS]
    assert order.points_minor == sum(of_points)
    of_coupon = [d.amount_minor for each in order.lines for d in each.discounts if d.source is DiscountSource.COUPON]
    assert order.coupon_minor == sum(of_coupon)


@law
@given(orders())
def test_every_minor_unit_given_away_belongs_to_exactly_one_source(
    asked: tuple[list[LineToPrice], dict[str, object]],
) -> None:
    lines, more = asked
    campaigns: list[CampaignOffers] = more["campaigns"]

    order = price_order("CNY", lines, **more)

    known = {each.campaign_id for each in campaigns}
    discounts = [discount for each in order.lines for discount in each.discounts] + list(order.freight_waivers)
    assert set(order.campaign_ids) <= known | {UUID(int=100)}
    for campaign_id, given_minor in order.campaign_discounts.items():
        assert given_minor == sum(each.amount_minor for each in discounts if each.source_id == campaign_id)
    own = {DiscountSource.TIER, DiscountSource.POINTS}
    assert all((each.source_id in order.campaign_discounts) != (each.source in own) for each in discounts)


@law
@given(orders())
def test_more_offers_never_make_an_order_dearer(asked: tuple[list[LineToPrice], dict[str, object]]) -> None:
    lines, more = asked

    with_offers = price_order("CNY", lines, **more)
    without = price_order("CNY", lines, freight_minor=more["freight_minor"])

    assert with_offers.total_minor <= without.total_minor


@law
@given(orders())
def test_no_single_offer_alone_would_have_been_better_for_the_customer(
    asked: tuple[list[LineToPrice], dict[str, object]],
) -> None:
    lines, more = asked
    campaigns: list[CampaignOffers] = more["campaigns"]

    order = price_order("CNY", lines, **more)

    none = [msgspec.structs.replace(each, promotions=()) for each in campaigns]
    alone: list[dict[str, object]] = [{"campaigns": none}]
    for index, each in enumerate(campaigns):
        for offer in each.promotions:
            only = msgspec.structs.replace(each, promotions=(offer,))
            alone.append({"campaigns": [*none[:index], only, *none[index + 1 :]], "coupon": None})
    for fewer in alone:
        assert order.total_minor <= price_order("CNY", lines, **(more | fewer)).total_minor


@law
@given(orders())
def test_every_offer_that_was_looked_at_was_either_taken_or_says_why_not(
    asked: tuple[list[LineToPrice], dict[str, object]],
) -> None:
    lines, more = asked
    campaigns: list[CampaignOffers] = more["campaigns"]

    order = price_order("CNY", lines, **more)

    used = {discount.promotion_id for each in order.lines for discount in each.discounts}
    used |= {waiver.promotion_id for waiver in order.freight_waivers}
    refused = {offer.promotion_id for offer in order.rejected}
    for each in campaigns:
        for offer in each.promotions:
            assert (offer.promotion_id in used) != (offer.promotion_id in refused)
    assert all(offer.reason for offer in order.rejected)


@law
@given(orders())
def test_the_same_question_has_the_same_answer(asked: tuple[list[LineToPrice], dict[str, object]]) -> None:
    lines, more = asked

    assert price_order("CNY", lines, **more) == price_order("CNY", lines, **more)
