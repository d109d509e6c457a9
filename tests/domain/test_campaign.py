"""Campaigns: planned for a goal, timed, checked, run, paid for, and given back by orders that come to nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.domain.desk import MANAGER, OWNER, SECOND, Desk

from opscore.domain.aggregate import Aggregate
from opscore.domain.campaign import (
    AdRevisionSuperseded,
    BudgetBelowClaimed,
    Campaign,
    CampaignBudgetUsed,
    CampaignGoal,
    CampaignIncomplete,
    CampaignKind,
    CampaignLineBelowCost,
    CampaignMembersOnly,
    CampaignNotDue,
    CampaignNotInStore,
    CampaignNotLive,
    CampaignStatus,
    CampaignType,
    CouponInvalid,
    CouponUsedUp,
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
    AddPromotion,
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
    RecordAdSpend,
    ResumeCampaign,
    ScheduleCampaign,
    SetCampaignBudget,
    SetForecast,
    StartCampaign,
    ThresholdStepTerms,
    ThresholdTerms,
    coupon_campaign,
)
from opscore.domain.command import COMMANDS, Actor, Command, Role, UnitOfWork
from opscore.domain.pricing import Buyer, MemberScope, PromotionForm
from opscore.domain.refusals import (
    CurrencyMismatch,
    InvalidField,
    NotAuthorised,
    ReasonMissing,
    ReferenceTaken,
    Refusal,
    SamePerson,
    WrongState,
)
from opscore.domain.sku import Sku
from opscore.domain.sku_commands import PriceSku, RegisterSku
from opscore.domain.stock_commands import AllocateCampaignStock, ReceiveStock
from opscore.domain.store_commands import SetPolicy, SuspendStore
from opscore.domain.store_events import StoreNotOpen

PROMOTER = Actor(id="petra", role=Role.PROMOTER)
REGISTERED = Buyer(registered=True)
GUEST = Buyer()
MAY = datetime(2024, 5, 1, 12, tzinfo=UTC)
JUNE = datetime(2024, 6, 1, tzinfo=UTC)
JULY = datetime(2024, 7, 1, tzinfo=UTC)
MID_JUNE = datetime(2024, 6, 15, tzinfo=UTC)


class Market:
    """An open store with two articles at 100.00 (cost 60.00), 50 units each."""

    def __init__(self) -> None:
        self.desk = Desk(MAY)
        self.store_id = self.desk.open_store()
        self.location_id = self.desk.location(self.store_id)
        self.tea = self.article("TEA")
        self.cup = self.article("CUP")

    def do(self, command: Command, *, actor: Actor = MANAGER, at: datetime | None = None) -> UUID:
        return self.desk.do(command, actor=actor, at=at)

    def article(self, code: str) -> UUID:
        sku_id = self.do(RegisterSku(store_id=self.store_id, code=code, name=code, category="tea"))
        self.do(PriceSku(sku_id=sku_id, list_price=Decimal(100), cost=Decimal(60), reason="first price"))
        self.do(ReceiveStock(sku_id=sku_id, location_id=self.location_id, quantity=Decimal(50)))
        return sku_id

    def plan(self, name: str = "Spring", **fields: Any) -> UUID:
        fields = {"store_id": self.store_id, "goal": CampaignGoal.RAISE_SALES} | fields
        return self.do(PlanCampaign(name=name, **fields))

    def add_line(self, campaign_id: UUID, sku_id: UUID | None = None, **fields: Any) -> UUID:
        fields = {"role": LineRole.BASE, "price": Decimal(80)} | fields
        return self.do(AddCampaignLine(campaign_id=campaign_id, sku_id=sku_id or self.tea, **fields))

    def add_promotion(self, campaign_id: UUID, offer: Any, **fields: Any) -> UUID:
        return self.do(AddPromotion(campaign_id=campaign_id, label="Offer", offer=offer, **fields))

    def schedule(self, campaign_id: UUID, **fields: Any) -> UUID:
        fields = {"starts_at": JUNE, "ends_at": JULY} | fields
        return self.do(ScheduleCampaign(campaign_id=campaign_id, **fields))

    def forecast(self, campaign_id: UUID) -> UUID:
        targets = {"visitors": 1000, "conversion": Decimal("0.03"), "units": Decimal(30), "gmv_minor": 2400_00}
        return self.do(SetForecast(campaign_id=campaign_id, **targets))  # type: ignore[arg-type]

    def check(self, campaign_id: UUID, actor: Actor = SECOND, **read: Decimal) -> UUID:
        lines = []
        for sku_id, line in self.get(campaign_id).lines.items():
            prices = {"label": line.price, "detail": line.price, "plan": line.price} | read
            lines.append(CheckedPriceTerms(sku_id=sku_id, **prices))
        return self.do(CheckCampaignPrices(campaign_id=campaign_id, lines=tuple(lines)), actor=actor)

    def ready(self, campaign_id: UUID) -> UUID:
        """Schedule the campaign for June, forecast it and check its prices."""
        self.schedule(campaign_id)
        self.forecast(campaign_id)
        return self.check(campaign_id)

    def live(self, campaign_id: UUID | None = None) -> UUID:
        """Bring a campaign (by default one with tea at 80.00) to life on 1 June."""
        if campaign_id is None:
            campaign_id = self.plan()
            self.add_line(campaign_id)
        self.ready(campaign_id)
        return self.do(StartCampaign(campaign_id=campaign_id), at=JUNE)

    def get(self, campaign_id: UUID) -> Campaign:
        return self.desk.get(Campaign, campaign_id)

    def order(self, campaign_id: UUID, act: Callable[[Campaign, datetime], Any], at: datetime = MID_JUNE) -> Any:
        """Do what an order does to a campaign; return what `act` answers."""
        campaign = self.get(campaign_id)
        try:
            answer = act(campaign, at)
        except Refusal:
            assert not campaign.pending_events, "refused after it had recorded"
            raise
        for event in campaign.collect_events():
            self.desk._record(event)  # type: ignore[arg-type]
        return answer

    def claim(self, campaign_id: UUID, minor: int, code: str | None = None, customer_id: UUID | None = None) -> UUID:
        """Take a part of the budget and a use of a coupon for a new order."""
        order_id = uuid4()

        def act(campaign: Campaign, at: datetime) -> None:
            campaign.plan_claim(order_id, customer_id, minor, code)
            campaign.claim(order_id, customer_id, minor, code, at)

        self.order(campaign_id, act)
        return order_id

    def release(self, campaign_id: UUID, order_id: UUID, minor: int, code: str | None = None) -> None:
        self.order(
            campaign_id, lambda campaign, at: campaign.release_claim(order_id, at, amount_minor=minor, coupon_code=code)
        )


@pytest.fixture
def market() -> Market:
    return Market()


def refused(kind: type[Refusal], act: Callable[[], Any]) -> Refusal:
    with pytest.raises(kind) as caught:
        act()
    return caught.value


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


def test_a_line_added_again_replaces_the_line_of_that_sku(market: Market) -> None:
    campaign_id = market.plan()
    market.add_line(campaign_id, price=Decimal(80))
    market.add_line(campaign_id, price=Decimal("75.50"), quota=Decimal(10), max_per_customer=2)

    [line] = market.get(campaign_id).lines.values()

    assert (line.price, line.quota, line.max_per_customer) == (Decimal("75.5"), Decimal(10), 2)


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
    free = {"price": Decimal(0), "quota": Decimal(5), "below_cost_reason": "0 yuan", "loss_budget_minor": 300_00}
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
    allocate = {"sku_id": market.tea, "campaign_id": campaign_id, "location_id": market.location_id}
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
    assert (tea.sellable, tea.allocations) == (50, {})


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


# What orders use ------------------------------------------------------------------------------------------------------


def offers(market: Market, campaign_id: UUID, buyer: Buyer = GUEST, at: datetime = MID_JUNE) -> Any:
    return market.order(campaign_id, lambda campaign, now: campaign.offers(market.store_id, now, buyer), at)


def test_orders_use_a_campaign_while_it_is_live_and_within_its_time(market: Market) -> None:
    campaign_id = market.live()

    assert set(offers(market, campaign_id).lines) == {market.tea}
    assert offers(market, campaign_id, at=JUNE).campaign_id == campaign_id
    refused(CampaignNotLive, lambda: offers(market, campaign_id, at=JULY))
    market.do(PauseCampaign(campaign_id=campaign_id, reason="page broken"), at=MID_JUNE)
    assert "paused" in refused(CampaignNotLive, lambda: offers(market, campaign_id)).message


def test_orders_of_another_store_do_not_use_it(market: Market) -> None:
    campaign_id = market.live()

    no = refused(
        CampaignNotInStore,
        lambda: market.order(campaign_id, lambda campaign, at: campaign.require_live(uuid4(), at, ("campaign_ids", 0))),
    )
    assert no.path == ("campaign_ids", 0)


@pytest.mark.parametrize(
    ("scope", "tiers", "buyer", "admitted"),
    [
        (MemberScope.EVERYONE, (), GUEST, True),
        (MemberScope.REGISTERED, (), GUEST, False),
        (MemberScope.REGISTERED, (), REGISTERED, True),
        (MemberScope.MEMBERS, (), REGISTERED, False),
        (MemberScope.MEMBERS, (), Buyer(registered=True, tiers=("gold",)), True),
        (MemberScope.TIERS, ("gold",), Buyer(registered=True, tiers=("silver",)), False),
        (MemberScope.TIERS, ("gold",), Buyer(registered=True, tiers=("silver", "gold")), True),
    ],
)
def test_a_campaign_for_a_circle_is_used_by_that_circle(
    market: Market, scope: MemberScope, tiers: tuple[str, ...], buyer: Buyer, admitted: bool
) -> None:
    campaign_id = market.plan(member_scope=scope, tiers=tiers)
    market.add_line(campaign_id)
    market.live(campaign_id)

    if admitted:
        assert offers(market, campaign_id, buyer).name == "Spring"
    else:
        refused(CampaignMembersOnly, lambda: offers(market, campaign_id, buyer))


def test_the_budget_is_claimed_to_the_last_minor_unit_and_not_beyond(market: Market) -> None:
    campaign_id = market.live()
    market.do(SetCampaignBudget(campaign_id=campaign_id, budget_minor=50_00, currency="CNY"), actor=OWNER)
    first = market.claim(campaign_id, 30_00)

    no = refused(CampaignBudgetUsed, lambda: market.claim(campaign_id, 20_01))
    assert "2000" in no.message
    market.claim(campaign_id, 20_00)
    refused(CampaignBudgetUsed, lambda: market.claim(campaign_id, 1))
    market.release(campaign_id, first, 10_00)
    market.claim(campaign_id, 10_00)

    assert market.get(campaign_id).budget_claimed_minor == 50_00


def test_planning_a_claim_records_nothing(market: Market) -> None:
    campaign_id = market.live()
    since = len(market.desk.events)

    market.order(campaign_id, lambda campaign, at: campaign.plan_claim(uuid4(), None, 10_00, None))

    assert market.desk.recorded(since=since) == []


def test_a_budget_is_in_the_campaigns_currency_and_not_below_what_orders_have_taken(market: Market) -> None:
    campaign_id = market.live()
    market.claim(campaign_id, 30_00)

    def set_budget(minor: int, currency: str = "CNY") -> UUID:
        return market.do(SetCampaignBudget(campaign_id=campaign_id, budget_minor=minor, currency=currency), actor=OWNER)

    refused(BudgetBelowClaimed, lambda: set_budget(29_99))
    refused(CurrencyMismatch, lambda: set_budget(30_00, "GBP"))
    set_budget(30_00)
    since = len(market.desk.events)
    set_budget(30_00)

    assert market.desk.recorded(since=since) == []


def coupon_market(market: Market, **terms: Any) -> UUID:
    campaign_id = market.plan()
    market.add_promotion(campaign_id, CouponTermsOffered(code="SPRING", off_minor=5_00, **terms))
    return market.live(campaign_id)


def test_a_coupon_is_used_as_often_as_it_may_be_and_a_use_comes_back(market: Market) -> None:
    campaign_id = coupon_market(market, usage_limit=2)
    first = market.claim(campaign_id, 5_00, "SPRING")
    market.claim(campaign_id, 5_00, "SPRING")

    refused(CouponUsedUp, lambda: market.claim(campaign_id, 5_00, "SPRING"))
    refused(
        CouponUsedUp, lambda: market.order(campaign_id, lambda campaign, at: campaign.coupon("SPRING", at, REGISTERED))
    )
    market.release(campaign_id, first, 5_00, "SPRING")
    market.claim(campaign_id, 5_00, "SPRING")

    campaign = market.get(campaign_id)
    assert (campaign.coupon_uses, campaign.budget_claimed_minor) == ({"SPRING": 2}, 10_00)


@pytest.mark.parametrize(
    ("terms", "buyer", "at", "valid"),
    [
        ({}, GUEST, MID_JUNE, True),
        ({"valid_from": MID_JUNE}, GUEST, MID_JUNE, True),
        ({"valid_from": MID_JUNE}, GUEST, MID_JUNE - timedelta(seconds=1), False),
        ({"valid_until": MID_JUNE}, GUEST, MID_JUNE, False),
        ({"valid_until": MID_JUNE}, GUEST, MID_JUNE - timedelta(seconds=1), True),
        ({"per_customer_limit": 1}, GUEST, MID_JUNE, False),
        ({"per_customer_limit": 1}, REGISTERED, MID_JUNE, True),
    ],
)
def test_a_coupon_is_valid_in_its_time_for_its_customers(
    market: Market, terms: dict[str, Any], buyer: Buyer, at: datetime, valid: bool
) -> None:
    campaign_id = coupon_market(market, **terms)

    def look_up() -> Any:
        return market.order(campaign_id, lambda campaign, now: campaign.coupon("SPRING", now, buyer), at)

    if valid:
        assert (look_up().off_minor, look_up().source_id) == (5_00, campaign_id)
    else:
        refused(CouponInvalid, look_up)


def test_a_guest_does_not_claim_a_coupon_that_is_limited_per_customer(market: Market) -> None:
    campaign_id = coupon_market(market, per_customer_limit=1)

    refused(CouponInvalid, lambda: market.claim(campaign_id, 5_00, "SPRING"))
    market.claim(campaign_id, 5_00, "SPRING", customer_id=uuid4())


def test_a_code_alone_leads_to_its_campaign_while_that_is_live(market: Market) -> None:
    campaign_id = market.plan()
    market.add_promotion(campaign_id, CouponTermsOffered(code="SPRING", off_minor=5_00))

    def look_up(code: str) -> UUID:
        found: list[UUID] = []

        class LookUp(Command):
            def decide(self, work: UnitOfWork) -> UUID:
                found.append(coupon_campaign(work, market.store_id, code).id)
                return campaign_id

        del COMMANDS["lookUp"]
        market.do(LookUp(), at=MID_JUNE)
        return found[0]

    refused(CampaignNotLive, lambda: look_up("SPRING"))
    market.live(campaign_id)
    assert look_up("SPRING") == campaign_id
    refused(CouponInvalid, lambda: look_up("WINTER"))
    market.do(EndCampaign(campaign_id=campaign_id), at=MID_JUNE)
    refused(CouponInvalid, lambda: look_up("SPRING"))


def test_a_release_never_refuses_even_after_the_end_and_never_gives_back_more_than_was_taken(market: Market) -> None:
    campaign_id = coupon_market(market)
    order_id = market.claim(campaign_id, 5_00, "SPRING")
    market.do(EndCampaign(campaign_id=campaign_id), at=MID_JUNE)

    for _ in range(2):
        market.release(campaign_id, order_id, 5_00, "SPRING")

    campaign = market.get(campaign_id)
    assert (campaign.budget_claimed_minor, campaign.coupon_uses) == (0, {"SPRING": 0})
    assert market.desk.recorded(campaign_id)[-2:] == ["CampaignBudgetReleased", "CouponReleased"]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 30), st.booleans()), max_size=30))
def test_no_budget_and_no_coupon_use_is_ever_lost_or_taken_twice(steps: list[tuple[bool, int, bool]]) -> None:
    market = Market()
    campaign_id = coupon_market(market, usage_limit=3)
    market.do(SetCampaignBudget(campaign_id=campaign_id, budget_minor=100, currency="CNY"), actor=OWNER)
    held: list[tuple[UUID, int, str | None]] = []
    for takes, minor, with_coupon in steps:
        code = "SPRING" if with_coupon else None
        if takes:
            taken, used = sum(each[1] for each in held), sum(1 for each in held if each[2])
            if taken + minor > 100 or (code and used == 3):
                with pytest.raises((CampaignBudgetUsed, CouponUsedUp)):
                    market.claim(campaign_id, minor, code)
            else:
                held.append((market.claim(campaign_id, minor, code), minor, code))
        elif held:
            market.release(campaign_id, *held.pop(0))
    campaign = market.get(campaign_id)
    assert campaign.budget_claimed_minor == sum(each[1] for each in held)
    assert campaign.coupon_uses.get("SPRING", 0) == sum(1 for each in held if each[2])


def test_the_state_of_a_campaign_stays_small_however_many_orders_use_it(market: Market) -> None:
    campaign_id = coupon_market(market)
    sizes = []
    for _ in range(2):
        for _ in range(20):
            market.claim(campaign_id, 9, "SPRING")
        state = {name: value for name, value in vars(market.get(campaign_id)).items() if not name.startswith("_")}
        sizes.append(len(msgspec.json.encode(state)))

    assert sizes[0] == sizes[1]


# Advertising ----------------------------------------------------------------------------------------------------------


def spend(campaign_id: UUID, **fields: Any) -> RecordAdSpend:
    known = {"day": date(2024, 6, 2), "channel": "search", "cost_minor": 120_00, "currency": "CNY"}
    return RecordAdSpend(campaign_id=campaign_id, **(known | fields))  # type: ignore[arg-type]


def test_a_higher_revision_of_a_days_spend_replaces_the_lower_and_only_the_higher(market: Market) -> None:
    campaign_id = market.live()
    at = {"at": MID_JUNE}
    market.do(spend(campaign_id), **at)
    since = len(market.desk.events)
    market.do(spend(campaign_id), **at)
    assert market.desk.recorded(since=since) == []

    refused(AdRevisionSuperseded, lambda: market.do(spend(campaign_id, cost_minor=99), **at))
    market.do(spend(campaign_id, cost_minor=130_00, revision=3), **at)
    refused(AdRevisionSuperseded, lambda: market.do(spend(campaign_id, cost_minor=99, revision=2), **at))
    market.do(spend(campaign_id, channel="banner", cost_minor=1), **at)

    costs = {key: each.cost_minor for key, each in market.get(campaign_id).ad_spend.items()}
    assert costs == {"2024-06-02 search": 130_00, "2024-06-02 banner": 1}


def test_spend_of_a_day_that_has_not_come_in_the_stores_zone_is_refused(market: Market) -> None:
    campaign_id = market.live()
    before_midnight_in_shanghai = datetime(2024, 6, 1, 15, 59, tzinfo=UTC)

    refused(InvalidField, lambda: market.do(spend(campaign_id), at=before_midnight_in_shanghai))
    market.do(spend(campaign_id), at=before_midnight_in_shanghai + timedelta(minutes=1))
    refused(CurrencyMismatch, lambda: market.do(spend(campaign_id, currency="GBP", revision=2), at=MID_JUNE))


def test_every_campaign_can_be_kept_in_a_snapshot(market: Market) -> None:
    campaign_id = market.plan()
    for terms, _ in OFFERS:
        market.add_promotion(campaign_id, terms)
    market.add_promotion(campaign_id, GiftTerms(sku_id=market.cup))
    market.add_line(campaign_id)
    market.live(campaign_id)
    market.do(spend(campaign_id), at=MID_JUNE)
    campaign: Aggregate = market.get(campaign_id)

    for name, hint in Campaign.__annotations__.items():
        assert hasattr(campaign, name), f"{name}: {hint} is not set"
    assert all(snapshot for snapshot in market.desk.snapshots())
