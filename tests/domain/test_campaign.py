"""Campaigns: planned for a goal, timed, checked, run and evaluated."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from opscore.domain.campaign import (
    CampaignGoal,
    CampaignIncomplete,
    CampaignKind,
    CampaignLineBelowCost,
    CampaignNotDue,
    CampaignStatus,
    CampaignType,
    LineRole,
    LossBudgetTooSmall,
    OverlapsCampaign,
    PriceCheckFailed,
    PriceCheckOpen,
    PromotionsConflict,
    StockNotAllocated,
    WarmupStarted,
    WindowInvalid,
)
from opscore.domain.campaign_commands import (
    AddCampaignLine,
    CancelCampaign,
    CheckCampaignPrices,
    CheckedPriceTerms,
    CouponTermsOffered,
    EndCampaign,
    EvaluateCampaign,
    FigureTerms,
    FixedTerms,
    FreeShippingTerms,
    GiftTerms,
    PauseCampaign,
    PercentageTerms,
    PlanCampaign,
    RemoveCampaignLine,
    RemovePromotion,
    RenameCampaign,
    ResumeCampaign,
    ScheduleCampaign,
    StartCampaign,
    ThresholdStepTerms,
    ThresholdTerms,
)
from opscore.domain.command import Actor, Role
from opscore.domain.customer import Customer
from opscore.domain.customer_commands import GrantCoupon
from opscore.domain.pricing import MemberScope, PromotionForm
from opscore.domain.refusals import (
    CurrencyMismatch,
    InvalidField,
    NotAuthorised,
    NotFound,
    ReasonMissing,
    ReferenceTaken,
    Refusal,
    SamePerson,
    WrongState,
)
from opscore.domain.sku import FulfilmentMode, HoldsNoStock, Sku
from opscore.domain.sku_commands import RegisterSku
from opscore.domain.stock_commands import AllocateCampaignStock
from opscore.domain.store_commands import SetPolicy, SuspendStore
from opscore.domain.store_events import StoreNotOpen
from tests.domain.desk import MANAGER, OWNER, SECOND
from tests.domain.market import JULY, JUNE, MAY, MID_JUNE, Market, refused

PROMOTER = Actor(id="petra", role=Role.PROMOTER)


@pytest.fixture
def market() -> Market:
    return Market()


# The plan -------------------------------------------------------------------------------------------------------------


def test_a_campaign_begins_with_one_goal_in_its_home_stores_currency(market: Market) -> None:
    campaign = market.get(market.plan())

    assert (campaign.goal, campaign.status, campaign.currency) == (
        CampaignGoal.RAISE_SALES,
        CampaignStatus.PLANNED,
        "CNY",
    )
    assert campaign.store_ids == [market.store_id]


def test_a_campaign_without_a_goal_is_no_command() -> None:
    with pytest.raises(msgspec.ValidationError, match="goal"):
        msgspec.convert({"store_id": str(uuid4()), "name": "Spring"}, PlanCampaign)


def test_all_stores_of_a_campaign_have_its_currency(market: Market) -> None:
    abroad = market.desk.open_store("Abroad", currency="GBP")

    no = refused(CurrencyMismatch, lambda: market.plan(store_ids=(market.store_id, abroad)))

    assert no.path == ("store_ids", 1)
    assert refused(CurrencyMismatch, lambda: market.plan(currency="EUR")).path == ("currency",)


@pytest.mark.parametrize("fields", [{"member_scope": MemberScope.TIERS}, {"tiers": ("gold",)}])
def test_tiers_are_named_exactly_when_a_campaign_is_for_tiers(market: Market, fields: dict[str, Any]) -> None:
    assert refused(InvalidField, lambda: market.plan(**fields)).path == ("tiers",)


def test_a_campaign_is_renamed_until_it_is_over_also_while_it_runs(market: Market) -> None:
    planned, running = market.plan("Sprung"), market.live()
    rename = RenameCampaign(campaign_id=planned, name="Spring")
    market.do(rename, actor=PROMOTER)
    since = len(market.desk.events)
    market.do(rename)
    assert market.desk.recorded(since=since) == [], "asked twice, recorded once"

    market.do(RenameCampaign(campaign_id=running, name="Summer"), at=MID_JUNE)
    market.do(PauseCampaign(campaign_id=running, reason="page broken"), at=MID_JUNE)
    market.do(RenameCampaign(campaign_id=running, name="High summer"), at=MID_JUNE)
    market.do(EndCampaign(campaign_id=running), at=MID_JUNE)
    market.do(CancelCampaign(campaign_id=planned, reason="no stock"))

    assert (market.get(planned).name, market.get(running).name) == ("Spring", "High summer")
    for campaign_id in (planned, running):
        refused(WrongState, lambda over=campaign_id: market.do(RenameCampaign(campaign_id=over, name="Autumn")))


def test_a_line_added_again_replaces_the_line_of_that_sku(market: Market) -> None:
    campaign_id = market.plan()
    market.add_line(campaign_id, price=Decimal(80))
    market.add_line(campaign_id, price=Decimal("75.50"), quota=Decimal(10), max_per_customer=2)

    [line] = market.get(campaign_id).lines.values()

    assert (line.price, line.quota, line.max_per_customer) == (Decimal("75.5"), Decimal(10), 2)


def test_a_quota_is_kept_of_articles_that_have_stock_of_their_own(market: Market) -> None:
    campaign_id, store_id = market.plan(), market.store_id
    dropship: dict[str, Any] = {"category": "tea", "mode": FulfilmentMode.DROPSHIP}
    sku_id = market.do(RegisterSku(store_id=store_id, code="SET", name="Set", **dropship))
    assert refused(HoldsNoStock, lambda: market.add_line(campaign_id, sku_id, quota=Decimal(1))).path == ("quota",)
    market.add_line(campaign_id, sku_id)


@pytest.mark.parametrize(
    ("fields", "kind", "path"),
    [
        ({}, CampaignLineBelowCost, ("price",)),
        ({"below_cost_reason": "traffic", "quota": Decimal(10)}, CampaignLineBelowCost, ("price",)),
        ({"below_cost_reason": "traffic", "loss_budget_minor": 500_00}, CampaignLineBelowCost, ("price",)),
        (
            {"below_cost_reason": "traffic", "loss_budget_minor": 199_99, "quota": Decimal(10)},
            LossBudgetTooSmall,
            ("loss_budget_minor",),
        ),
    ],
)
def test_a_price_below_cost_needs_a_reason_a_quota_and_a_loss_budget_that_covers_it(
    market: Market, fields: dict[str, Any], kind: type[Refusal], path: tuple[str, ...]
) -> None:
    campaign_id = market.plan()

    assert refused(kind, lambda: market.add_line(campaign_id, price=Decimal(40), **fields)).path == path

    market.add_line(
        campaign_id,
        price=Decimal(40),
        below_cost_reason="draws visitors",
        loss_budget_minor=200_00,
        quota=Decimal(10),
    )
    [line] = market.get(campaign_id).lines.values()
    assert line.below_cost


def test_only_an_owner_or_manager_approves_a_price_below_cost(market: Market) -> None:
    line = AddCampaignLine(
        campaign_id=market.plan(),
        sku_id=market.tea,
        role=LineRole.TRAFFIC,
        price=Decimal(40),
        quota=Decimal(1),
        below_cost_reason="draws visitors",
        loss_budget_minor=20_00,
    )

    refused(NotAuthorised, lambda: market.do(line, actor=PROMOTER))

    market.do(line, actor=OWNER)


def test_goods_given_for_nothing_are_limited_per_customer_by_the_stores_policy(market: Market) -> None:
    campaign_id = market.plan()
    free: dict[str, Any] = {
        "price": Decimal(0),
        "quota": Decimal(5),
        "below_cost_reason": "0 yuan",
        "loss_budget_minor": 300_00,
    }
    market.add_line(campaign_id, **free)
    market.do(SetPolicy(store_id=market.store_id, kind="zero_price", params={"max_per_customer": 3}), actor=OWNER)
    market.add_line(campaign_id, market.cup, **free)

    lines = market.get(campaign_id).lines

    assert (lines[market.tea].max_per_customer, lines[market.cup].max_per_customer) == (1, 3)


OFFERS = [
    (PercentageTerms(percent=Decimal("12.5")), PromotionForm.PERCENTAGE),
    (ThresholdTerms(steps=(ThresholdStepTerms(spend_minor=100_00, off_minor=10_00),)), PromotionForm.THRESHOLD),
    (FixedTerms(off_minor=5_00), PromotionForm.FIXED),
    (FreeShippingTerms(spend_minor=99_00), PromotionForm.FREE_SHIPPING),
    (CouponTermsOffered(code="SPRING", off_minor=5_00), PromotionForm.COUPON),
]


@pytest.mark.parametrize(("terms", "form"), OFFERS)
def test_each_form_of_offer_is_kept_with_its_own_terms_and_no_other(
    market: Market, terms: Any, form: PromotionForm
) -> None:
    campaign_id = market.plan()
    market.add_promotion(campaign_id, terms, stackable=True)

    [promotion] = market.get(campaign_id).promotions.values()

    assert (promotion.form, promotion.stackable) == (form, True)
    assert [each for each in PromotionForm if getattr(promotion, each.value) is not None] == [form]


def test_a_gift_is_an_article_that_exists(market: Market) -> None:
    campaign_id = market.plan()
    market.add_promotion(campaign_id, GiftTerms(sku_id=market.cup, quantity=Decimal(2)))

    [promotion] = market.get(campaign_id).promotions.values()

    assert promotion.gift is not None
    assert (promotion.gift.sku_id, promotion.gift.quantity) == (market.cup, Decimal(2))


@pytest.mark.parametrize(
    ("terms", "path"),
    [
        (PercentageTerms(percent=Decimal(0)), ("offer", "percentage", "percent")),
        (PercentageTerms(percent=Decimal("100.1")), ("offer", "percentage", "percent")),
        (PercentageTerms(percent=Decimal("NaN")), ("offer", "percentage", "percent")),
        (PercentageTerms(percent=Decimal("0.00001")), ("offer", "percentage", "percent")),
        (PercentageTerms(percent=Decimal(5), min_quantity=Decimal(0)), ("offer", "percentage", "min_quantity")),
        (
            ThresholdTerms(
                steps=(
                    ThresholdStepTerms(spend_minor=200, off_minor=10),
                    ThresholdStepTerms(spend_minor=300, off_minor=10),
                )
            ),
            ("offer", "threshold", "steps", 1),
        ),
        (CouponTermsOffered(code="X"), ("offer", "coupon")),
        (CouponTermsOffered(code="X", off_minor=1, percent=Decimal(1)), ("offer", "coupon")),
        (CouponTermsOffered(code="X", off_minor=1, max_off_minor=1), ("offer", "coupon", "max_off_minor")),
        (
            CouponTermsOffered(code="X", off_minor=1, valid_from=JULY, valid_until=JUNE),
            ("offer", "coupon", "valid_until"),
        ),
    ],
)
def test_terms_that_make_no_sense_are_refused_where_they_stand(
    market: Market, terms: Any, path: tuple[Any, ...]
) -> None:
    campaign_id = market.plan()

    assert refused(InvalidField, lambda: market.add_promotion(campaign_id, terms)).path == path


def test_a_coupon_code_means_one_coupon_in_a_store_until_its_campaign_ends(market: Market) -> None:
    coupon = CouponTermsOffered(code="SPRING", off_minor=5_00)
    first, second = market.plan("First"), market.plan("Second")
    market.add_promotion(first, coupon)

    refused(ReferenceTaken, lambda: market.add_promotion(second, coupon))
    refused(PromotionsConflict, lambda: market.add_promotion(first, coupon))
    market.do(CancelCampaign(campaign_id=first, reason="no stock"))

    market.add_promotion(second, coupon)
    assert market.get(second).find_coupon("SPRING") is not None


# What is taken back ---------------------------------------------------------------------------------------------------


def test_a_line_is_taken_out_until_the_campaign_starts_and_may_come_again(market: Market) -> None:
    campaign_id = market.plan()
    market.add_line(campaign_id)
    market.add_line(campaign_id, market.cup)
    market.do(RemoveCampaignLine(campaign_id=campaign_id, sku_id=market.tea), actor=PROMOTER)
    assert list(market.get(campaign_id).lines) == [market.cup]

    market.schedule(campaign_id)
    market.add_line(campaign_id, price=Decimal(75))
    market.do(RemoveCampaignLine(campaign_id=campaign_id, sku_id=market.cup))

    assert {sku_id: line.price for sku_id, line in market.get(campaign_id).lines.items()} == {market.tea: 75}


def test_no_line_is_taken_out_of_a_campaign_that_has_started_or_was_called_off(market: Market) -> None:
    running, cancelled = market.live(), market.plan("Off")
    market.add_line(cancelled, market.cup)
    market.do(CancelCampaign(campaign_id=cancelled, reason="no stock"))
    remove = RemoveCampaignLine(campaign_id=running, sku_id=market.tea)

    refused(WrongState, lambda: market.do(RemoveCampaignLine(campaign_id=cancelled, sku_id=market.cup)))
    refused(WrongState, lambda: market.do(remove, at=MID_JUNE))
    market.do(PauseCampaign(campaign_id=running, reason="page broken"), at=MID_JUNE)
    refused(WrongState, lambda: market.do(remove, at=MID_JUNE))
    market.do(EndCampaign(campaign_id=running), at=MID_JUNE)
    refused(WrongState, lambda: market.do(remove, at=MID_JUNE))
    assert list(market.get(running).lines) == [market.tea]


def test_what_is_on_no_line_cannot_be_taken_out(market: Market) -> None:
    campaign_id = market.plan()
    market.add_line(campaign_id)

    no = refused(NotFound, lambda: market.do(RemoveCampaignLine(campaign_id=campaign_id, sku_id=market.cup)))
    assert (no.path, no.ids) == (("sku_id",), (market.cup,))
    market.do(RemoveCampaignLine(campaign_id=campaign_id, sku_id=market.tea))
    refused(WrongState, lambda: market.do(RemoveCampaignLine(campaign_id=campaign_id, sku_id=market.tea)))


def test_a_line_that_is_taken_out_gives_its_own_stock_back(market: Market) -> None:
    campaign_id = market.plan()
    for sku_id in (market.tea, market.cup):
        market.add_line(campaign_id, sku_id, quota=Decimal(20))
        given: dict[str, Any] = {"sku_id": sku_id, "campaign_id": campaign_id, "location_id": market.location_id}
        market.do(AllocateCampaignStock(quantity=Decimal(15), **given))
    since = len(market.desk.events)

    market.do(RemoveCampaignLine(campaign_id=campaign_id, sku_id=market.tea))

    assert market.desk.recorded(since=since) == ["CampaignLineRemoved", "CampaignStockReleased"]
    tea, cup = market.desk.get(Sku, market.tea), market.desk.get(Sku, market.cup)
    assert (tea.sellable, dict(tea.allocations)) == (50, {})
    assert (cup.sellable, cup.allocations[campaign_id]) == (35, {market.location_id: 15})


def test_who_takes_a_line_out_makes_a_new_check_necessary_and_does_not_do_it(market: Market) -> None:
    campaign_id = market.plan()
    market.add_line(campaign_id)
    market.add_line(campaign_id, market.cup)
    market.check(campaign_id)

    market.do(RemoveCampaignLine(campaign_id=campaign_id, sku_id=market.cup), actor=SECOND)

    assert not market.get(campaign_id).prices_checked
    refused(SamePerson, lambda: market.check(campaign_id))
    market.check(campaign_id, PROMOTER)
    assert market.get(campaign_id).prices_checked


def test_an_offer_is_taken_out_until_the_campaign_starts_and_its_coupon_code_is_free_again(market: Market) -> None:
    abroad = market.desk.open_store("Second shop")
    campaign_id, other = (market.plan(name, store_ids=(market.store_id, abroad)) for name in ("First", "Second"))
    market.add_line(campaign_id)
    coupon = CouponTermsOffered(code="SPRING", off_minor=5_00)
    for offer in (FixedTerms(off_minor=5_00), coupon):
        market.add_promotion(campaign_id, offer)
    fixed, spring = market.get(campaign_id).promotions
    refused(ReferenceTaken, lambda: market.add_promotion(other, coupon))

    market.do(RemovePromotion(campaign_id=campaign_id, promotion_id=spring), actor=PROMOTER)
    assert list(market.get(campaign_id).promotions) == [fixed]
    market.add_promotion(other, coupon)

    market.schedule(campaign_id)
    market.do(RemovePromotion(campaign_id=campaign_id, promotion_id=fixed))
    assert not market.get(campaign_id).promotions
    assert list(market.get(campaign_id).lines) == [market.tea]


def test_the_code_of_an_offer_that_was_taken_out_may_mean_another_coupon_of_the_same_campaign(market: Market) -> None:
    campaign_id = market.plan()
    market.add_promotion(campaign_id, CouponTermsOffered(code="SPRING", off_minor=5_00))
    [wrong] = market.get(campaign_id).promotions

    market.do(RemovePromotion(campaign_id=campaign_id, promotion_id=wrong))
    market.add_promotion(campaign_id, CouponTermsOffered(code="SPRING", off_minor=6_00))

    [right] = market.get(campaign_id).promotions.values()
    assert right.promotion_id != wrong
    assert right.coupon is not None and right.coupon.off_minor == 6_00


def test_no_offer_is_taken_out_of_a_campaign_that_has_started_or_was_called_off(market: Market) -> None:
    running, cancelled = market.plan(), market.plan("Off")
    for campaign_id in (running, cancelled):
        market.add_promotion(campaign_id, FixedTerms(off_minor=5_00))
    market.live(running)
    market.do(CancelCampaign(campaign_id=cancelled, reason="no stock"))

    def remove(campaign_id: UUID) -> None:
        [offer] = market.get(campaign_id).promotions
        no = refused(WrongState, lambda: market.do(RemovePromotion(campaign_id=campaign_id, promotion_id=offer)))
        assert no.ids == (campaign_id,)

    remove(cancelled)
    remove(running)
    market.do(PauseCampaign(campaign_id=running, reason="page broken"), at=MID_JUNE)
    remove(running)
    market.do(EndCampaign(campaign_id=running), at=MID_JUNE)
    remove(running)


def test_an_offer_that_the_campaign_does_not_have_cannot_be_taken_out(market: Market) -> None:
    campaign_id = market.plan()
    market.add_promotion(campaign_id, FixedTerms(off_minor=5_00))
    [offer] = market.get(campaign_id).promotions
    stray = uuid4()

    no = refused(NotFound, lambda: market.do(RemovePromotion(campaign_id=campaign_id, promotion_id=stray)))
    assert (no.path, no.ids) == (("promotion_id",), (stray,))
    market.do(RemovePromotion(campaign_id=campaign_id, promotion_id=offer))
    refused(WrongState, lambda: market.do(RemovePromotion(campaign_id=campaign_id, promotion_id=offer)))


def test_a_coupon_that_a_customer_was_granted_outlives_the_offer_of_the_same_code(market: Market) -> None:
    campaign_id, customer_id = market.plan(), market.desk.register(market.store_id)
    market.add_promotion(campaign_id, CouponTermsOffered(code="SPRING", off_minor=5_00))
    market.do(
        GrantCoupon(customer_id=customer_id, campaign_id=campaign_id, code="SPRING", currency="CNY", off_minor=5_00)
    )
    [offer] = market.get(campaign_id).promotions
    market.do(RemovePromotion(campaign_id=campaign_id, promotion_id=offer))

    customer = market.desk.get(Customer, customer_id)
    [coupon_id] = customer.coupons
    assert customer.plan_coupon(coupon_id, market.store_id, "CNY", MID_JUNE).off_minor == 5_00


def test_who_takes_an_offer_out_makes_a_new_check_necessary_and_does_not_do_it(market: Market) -> None:
    campaign_id = market.plan()
    market.add_line(campaign_id)
    market.add_promotion(campaign_id, FreeShippingTerms())
    market.check(campaign_id)
    [offer] = market.get(campaign_id).promotions

    market.do(RemovePromotion(campaign_id=campaign_id, promotion_id=offer), actor=SECOND)

    assert not market.get(campaign_id).prices_checked
    refused(SamePerson, lambda: market.check(campaign_id))
    market.check(campaign_id, PROMOTER)
    assert market.get(campaign_id).prices_checked


def test_a_campaign_of_which_everything_was_taken_out_is_not_started(market: Market) -> None:
    campaign_id, start = market.plan(), JUNE - timedelta(days=1)
    market.add_line(campaign_id)
    market.ready(campaign_id)
    market.do(RemoveCampaignLine(campaign_id=campaign_id, sku_id=market.tea))
    market.check(campaign_id)

    for at in (start, JUNE):
        refused(CampaignIncomplete, lambda at=at: market.do(StartCampaign(campaign_id=campaign_id), at=at))


def test_an_article_that_was_taken_out_is_free_for_another_campaign(market: Market) -> None:
    first, second = market.plan("First"), market.plan("Second")
    for campaign_id in (first, second):
        market.add_line(campaign_id)
    market.add_line(first, market.cup)
    market.schedule(first)
    refused(OverlapsCampaign, lambda: market.schedule(second))

    market.do(RemoveCampaignLine(campaign_id=first, sku_id=market.tea))

    market.schedule(second)
    refused(OverlapsCampaign, lambda: market.add_line(first))


# Time -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"starts_at": JULY, "ends_at": JUNE}, ("ends_at",)),
        ({"starts_at": JUNE, "ends_at": JUNE}, ("ends_at",)),
        ({"starts_at": MAY - timedelta(days=9), "ends_at": MAY - timedelta(days=1)}, ("ends_at",)),
        ({"warmup_from": MID_JUNE}, ("warmup_from",)),
    ],
)
def test_times_that_cannot_be_a_campaigns_are_refused(market: Market, fields: dict[str, Any], path: tuple[str]) -> None:
    campaign_id = market.plan()
    market.add_line(campaign_id)

    assert refused(WindowInvalid, lambda: market.schedule(campaign_id, **fields)).path == path


def test_a_campaign_with_neither_lines_nor_offers_is_not_scheduled_unless_it_is_a_story(market: Market) -> None:
    refused(CampaignIncomplete, lambda: market.schedule(market.plan()))

    story = market.plan("Story", type=CampaignType.PACKAGING)
    market.schedule(story)
    assert market.get(story).status is CampaignStatus.SCHEDULED


def test_a_campaign_is_moved_with_a_reason_and_only_before_its_warm_up(market: Market) -> None:
    campaign_id = market.plan()
    market.add_line(campaign_id)
    warmup = datetime(2024, 5, 20, tzinfo=UTC)
    market.schedule(campaign_id, warmup_from=warmup)
    since = len(market.desk.events)

    market.schedule(campaign_id, warmup_from=warmup)
    assert market.desk.recorded(since=since) == []
    refused(ReasonMissing, lambda: market.schedule(campaign_id, ends_at=MID_JUNE, warmup_from=warmup))
    market.schedule(campaign_id, ends_at=MID_JUNE, warmup_from=warmup, reason="holiday moved")
    moved = ScheduleCampaign(campaign_id=campaign_id, starts_at=JUNE, ends_at=JULY, reason="again")

    refused(WarmupStarted, lambda: market.do(moved, at=warmup))
    assert market.get(campaign_id).ends_at == MID_JUNE


def test_a_store_may_leave_the_time_open_until_the_start(market: Market) -> None:
    market.do(
        SetPolicy(store_id=market.store_id, kind="campaign_rules", params={"frozen_from_warmup": False}), actor=OWNER
    )
    campaign_id = market.plan()
    market.add_line(campaign_id)
    market.schedule(campaign_id, warmup_from=datetime(2024, 5, 20, tzinfo=UTC))
    moved = ScheduleCampaign(campaign_id=campaign_id, starts_at=MID_JUNE, ends_at=JULY, reason="late stock")

    market.do(moved, at=datetime(2024, 5, 21, tzinfo=UTC))

    assert market.get(campaign_id).starts_at == MID_JUNE


@pytest.mark.parametrize(
    ("window", "overlaps"),
    [
        ((JUNE, JULY), True),
        ((MID_JUNE, JULY + timedelta(days=5)), True),
        ((MAY + timedelta(days=1), JUNE + timedelta(seconds=1)), True),
        ((MID_JUNE, MID_JUNE + timedelta(hours=1)), True),
        ((JULY, JULY + timedelta(days=5)), False),
        ((MAY + timedelta(days=1), JUNE), False),
    ],
)
def test_own_campaigns_with_the_same_sku_do_not_overlap(
    market: Market, window: tuple[datetime, datetime], overlaps: bool
) -> None:
    first, second = market.plan("First"), market.plan("Second")
    for campaign_id in (first, second):
        market.add_line(campaign_id)
    market.schedule(first)
    starts_at, ends_at = window

    if overlaps:
        no = refused(OverlapsCampaign, lambda: market.schedule(second, starts_at=starts_at, ends_at=ends_at))
        assert no.ids == (first, market.tea)
        assert market.get(second).status is CampaignStatus.PLANNED
    else:
        market.schedule(second, starts_at=starts_at, ends_at=ends_at)
        assert market.get(second).status is CampaignStatus.SCHEDULED


def test_other_skus_other_stores_and_platform_events_may_run_at_the_same_time(market: Market) -> None:
    elsewhere = market.desk.open_store("Second shop")
    first = market.plan("First")
    market.add_line(first)
    market.schedule(first)

    for name, fields, sku_id in (
        ("Cups", {}, market.cup),
        ("Elsewhere", {"store_id": elsewhere}, market.tea),
        ("Double 11", {"kind": CampaignKind.OFFICIAL}, market.tea),
    ):
        campaign_id = market.plan(name, **fields)
        market.add_line(campaign_id, sku_id)
        market.schedule(campaign_id)
        assert market.get(campaign_id).status is CampaignStatus.SCHEDULED


def test_an_overlap_is_found_however_many_campaigns_were_scheduled_since(market: Market) -> None:
    both = market.desk.open_store("Second shop")
    first = market.plan("First", store_ids=(market.store_id, both))
    market.add_line(first)
    market.schedule(first)
    for number in range(5):
        other = market.plan(f"Cups {number}", store_ids=((both,), (market.store_id,))[number % 2])
        market.add_line(other, market.cup)
        start = JUNE + timedelta(days=number)
        market.schedule(other, starts_at=start, ends_at=start + timedelta(days=1))
    last = market.plan("Last", store_ids=(both,))
    market.add_line(last)

    assert refused(OverlapsCampaign, lambda: market.schedule(last)).ids[0] == first


def test_a_campaign_that_was_called_off_is_in_nobodys_way(market: Market) -> None:
    first, second = market.plan("First"), market.plan("Second")
    for campaign_id in (first, second):
        market.add_line(campaign_id)
    market.schedule(first)
    market.do(CancelCampaign(campaign_id=first, reason="no stock"))

    market.schedule(second)

    assert market.get(second).status is CampaignStatus.SCHEDULED
    assert market.get(second).beside == []


def test_a_campaign_knows_only_those_beside_it_that_are_not_over(market: Market) -> None:
    old = market.plan("Old")
    market.add_line(old)
    market.schedule(old, starts_at=JUNE, ends_at=MID_JUNE)
    new = market.plan("New")
    market.add_line(new)

    market.do(ScheduleCampaign(campaign_id=new, starts_at=MID_JUNE, ends_at=JULY), at=MID_JUNE)

    assert market.get(new).beside == []


def test_a_line_added_to_a_scheduled_campaign_is_compared_too(market: Market) -> None:
    first, second = market.plan("First"), market.plan("Second")
    market.add_line(first)
    market.add_line(second, market.cup)
    market.schedule(first)
    market.schedule(second)

    assert refused(OverlapsCampaign, lambda: market.add_line(second)).path == ("sku_id",)
    assert refused(OverlapsCampaign, lambda: market.add_line(first, market.cup)).path == ("sku_id",)


windows = st.lists(
    st.tuples(st.integers(1, 20), st.integers(1, 8), st.sampled_from(["tea", "cup"]), st.sampled_from([0, 1])),
    max_size=8,
)


@settings(max_examples=15, deadline=None)
@given(windows)
def test_no_two_scheduled_own_campaigns_ever_sell_the_same_sku_in_one_store_at_one_time(
    asked: list[tuple[int, int, str, int]],
) -> None:
    market = Market()
    stores = [market.store_id, market.desk.open_store("Second shop")]
    accepted: list[tuple[int, int, str, int]] = []
    for start, length, sku, shop in asked:
        campaign_id = market.plan("Any", store_ids=(stores[shop],))
        market.add_line(campaign_id, market.tea if sku == "tea" else market.cup)
        day = JUNE + timedelta(days=start)
        clash = any(
            (sku, shop) == (other_sku, other_shop) and start < other + other_length and other < start + length
            for other, other_length, other_sku, other_shop in accepted
        )
        if clash:
            refused(
                OverlapsCampaign,
                lambda: market.schedule(campaign_id, starts_at=day, ends_at=day + timedelta(days=length)),  # noqa: B023
            )
        else:
            market.schedule(campaign_id, starts_at=day, ends_at=day + timedelta(days=length))
            accepted.append((start, length, sku, shop))


# The price check ------------------------------------------------------------------------------------------------------


def test_prices_are_checked_by_somebody_who_did_not_enter_them_unless_the_store_says_otherwise(market: Market) -> None:
    campaign_id = market.plan()
    market.add_line(campaign_id)

    refused(SamePerson, lambda: market.check(campaign_id, MANAGER))
    market.do(SetPolicy(store_id=market.store_id, kind="second_person", params={"price_check": False}), actor=OWNER)
    market.check(campaign_id, MANAGER)

    assert market.get(campaign_id).prices_checked


def test_a_price_that_a_buyer_reads_differently_fails_the_check_and_says_where(market: Market) -> None:
    campaign_id = market.plan()
    market.add_line(campaign_id)
    market.check(campaign_id)

    market.check(campaign_id, label=Decimal("79.90"), detail=Decimal("80.00"))

    failed = market.desk.last(PriceCheckFailed)
    assert [(each.where, each.planned, each.found) for each in failed.differences] == [("label", "80", "79.9")]
    assert not market.get(campaign_id).prices_checked


def test_a_promise_of_free_shipping_that_the_campaign_does_not_make_fails_the_check(market: Market) -> None:
    campaign_id = market.plan()
    market.add_line(campaign_id)
    read = CheckedPriceTerms(
        sku_id=market.tea, label=Decimal(80), detail=Decimal(80), plan=Decimal(80), label_free_shipping=True
    )

    market.do(CheckCampaignPrices(campaign_id=campaign_id, lines=(read,)), actor=SECOND)

    [difference] = market.desk.last(PriceCheckFailed).differences
    assert (difference.where, difference.planned, difference.found) == ("label free shipping", "no", "yes")


def test_a_check_covers_every_line_and_no_other_sku(market: Market) -> None:
    campaign_id = market.plan()
    market.add_line(campaign_id)
    stray = CheckedPriceTerms(sku_id=market.cup, label=Decimal(1), detail=Decimal(1), plan=Decimal(1))

    no = refused(CampaignIncomplete, lambda: market.do(CheckCampaignPrices(campaign_id=campaign_id), actor=SECOND))
    assert no.ids == (market.tea,)
    check = CheckCampaignPrices(campaign_id=campaign_id, lines=(stray,))
    assert refused(InvalidField, lambda: market.do(check, actor=SECOND)).path == ("lines", 0, "sku_id")
    twice = CheckedPriceTerms(sku_id=market.tea, label=Decimal(80), detail=Decimal(80), plan=Decimal(80))
    check = CheckCampaignPrices(campaign_id=campaign_id, lines=(twice, twice))
    assert refused(InvalidField, lambda: market.do(check, actor=SECOND)).path == ("lines", 1, "sku_id")


def test_whatever_is_entered_after_a_check_needs_a_new_check(market: Market) -> None:
    campaign_id = market.plan()
    market.add_line(campaign_id)
    market.check(campaign_id)
    market.add_promotion(campaign_id, FixedTerms(off_minor=5_00))
    market.schedule(campaign_id)
    market.forecast(campaign_id)

    refused(PriceCheckOpen, lambda: market.do(StartCampaign(campaign_id=campaign_id), at=JUNE))
    market.check(campaign_id)
    market.do(StartCampaign(campaign_id=campaign_id), at=JUNE)

    assert market.get(campaign_id).status is CampaignStatus.LIVE


# Its life -------------------------------------------------------------------------------------------------------------


def test_a_campaign_starts_when_its_time_has_come_and_not_when_it_is_over(market: Market) -> None:
    campaign_id = market.plan()
    market.add_line(campaign_id)
    start = StartCampaign(campaign_id=campaign_id)

    refused(WrongState, lambda: market.do(start, at=JUNE))
    market.ready(campaign_id)
    refused(CampaignNotDue, lambda: market.do(start, at=JUNE - timedelta(seconds=1)))
    refused(WindowInvalid, lambda: market.do(start, at=JULY))
    market.do(start, at=JUNE)
    since = len(market.desk.events)
    market.do(start, at=JUNE)

    assert market.desk.recorded(since=since) == []


def test_a_campaign_without_a_forecast_is_not_started(market: Market) -> None:
    campaign_id = market.plan()
    market.add_line(campaign_id)
    market.schedule(campaign_id)
    market.check(campaign_id)

    refused(CampaignIncomplete, lambda: market.do(StartCampaign(campaign_id=campaign_id), at=JUNE))
    # Told before its time as well, while there is time to mend it.
    refused(CampaignIncomplete, lambda: market.do(StartCampaign(campaign_id=campaign_id), at=JUNE - timedelta(days=1)))


def test_a_campaign_does_not_start_in_a_store_that_does_not_sell(market: Market) -> None:
    campaign_id = market.plan()
    market.add_line(campaign_id)
    market.ready(campaign_id)
    market.do(SuspendStore(store_id=market.store_id, reason="holiday"), actor=OWNER)

    refused(StoreNotOpen, lambda: market.do(StartCampaign(campaign_id=campaign_id), at=JUNE))


def test_a_campaign_starts_with_its_whole_quota_set_apart_and_gives_the_rest_back_when_it_ends(market: Market) -> None:
    campaign_id = market.plan()
    market.add_line(campaign_id, quota=Decimal(20))
    market.add_line(campaign_id, market.cup)
    market.ready(campaign_id)
    allocate: dict[str, Any] = {"sku_id": market.tea, "campaign_id": campaign_id, "location_id": market.location_id}
    market.do(AllocateCampaignStock(quantity=Decimal(19), **allocate))

    no = refused(StockNotAllocated, lambda: market.do(StartCampaign(campaign_id=campaign_id), at=JUNE))
    assert no.ids == (market.tea,)
    market.do(AllocateCampaignStock(quantity=Decimal(1), **allocate))
    market.do(StartCampaign(campaign_id=campaign_id), at=JUNE)
    assert market.desk.get(Sku, market.tea).sellable == 30
    since = len(market.desk.events)
    market.do(EndCampaign(campaign_id=campaign_id), at=MID_JUNE)

    assert market.desk.recorded(since=since) == ["CampaignEnded", "CampaignStockReleased"]
    tea = market.desk.get(Sku, market.tea)
    assert tea.sellable == 50
    assert not tea.allocations


def test_cancelling_gives_stock_back_and_ending_twice_records_once(market: Market) -> None:
    campaign_id = market.plan()
    market.add_line(campaign_id, quota=Decimal(20))
    market.do(
        AllocateCampaignStock(
            sku_id=market.tea, campaign_id=campaign_id, location_id=market.location_id, quantity=Decimal(20)
        )
    )
    market.do(CancelCampaign(campaign_id=campaign_id, reason="supplier late"))
    assert market.desk.get(Sku, market.tea).sellable == 50
    other = market.live()
    market.do(EndCampaign(campaign_id=other), at=MID_JUNE)
    since = len(market.desk.events)

    market.do(CancelCampaign(campaign_id=campaign_id, reason="again"))
    market.do(EndCampaign(campaign_id=other), at=MID_JUNE)

    assert market.desk.recorded(since=since) == []


def test_a_live_campaign_is_paused_resumed_and_ended_but_not_cancelled_or_changed(market: Market) -> None:
    campaign_id = market.live()

    refused(WrongState, lambda: market.do(CancelCampaign(campaign_id=campaign_id, reason="no")))
    refused(WrongState, lambda: market.add_line(campaign_id, market.cup))
    refused(WrongState, lambda: market.forecast(campaign_id))
    for _ in range(2):
        market.do(PauseCampaign(campaign_id=campaign_id, reason="page broken"), at=MID_JUNE)
    for _ in range(2):
        market.do(ResumeCampaign(campaign_id=campaign_id), at=MID_JUNE)
    market.do(PauseCampaign(campaign_id=campaign_id, reason="again"), at=MID_JUNE)
    refused(WindowInvalid, lambda: market.do(ResumeCampaign(campaign_id=campaign_id), at=JULY))
    market.do(EndCampaign(campaign_id=campaign_id), at=JULY)

    assert market.desk.recorded(campaign_id)[-5:] == [
        "CampaignStarted",
        "CampaignPaused",
        "CampaignResumed",
        "CampaignPaused",
        "CampaignEnded",
    ]


def test_a_campaign_is_evaluated_once_it_has_ended_with_figures_quoted_at_a_position(market: Market) -> None:
    campaign_id = market.live()
    evaluate = EvaluateCampaign(
        campaign_id=campaign_id,
        findings="Fewer visitors, better conversion.",
        figures=(FigureTerms(name="gmv_minor", value=Decimal(180000), position=912),),
    )

    refused(WrongState, lambda: market.do(evaluate))
    market.do(EndCampaign(campaign_id=campaign_id), at=JULY)
    market.do(evaluate)

    assert market.get(campaign_id).status is CampaignStatus.EVALUATED
