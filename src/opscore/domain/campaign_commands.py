"""What staff can ask of a campaign: plan it, give it lines and offers, fix its time, run it, and learn from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, ClassVar
from uuid import UUID

from msgspec import Meta

from opscore.domain import campaign_ads, campaign_calendar
from opscore.domain.aggregate import Aggregate
from opscore.domain.campaign import (
    AdRevisionSuperseded,
    AdSpend,
    BudgetBelowClaimed,
    Campaign,
    CampaignGoal,
    CampaignIncomplete,
    CampaignKind,
    CampaignLineBelowCost,
    CampaignNotDue,
    CampaignPlanned,
    CampaignType,
    CheckedPrice,
    CouponInvalid,
    Forecast,
    LineRole,
    LossBudgetTooSmall,
    OverlapsCampaign,
    PriceCheckOpen,
    PromotionsConflict,
    QuotedFigure,
    StockNotAllocated,
    WarmupStarted,
    WindowInvalid,
)
from opscore.domain.campaign_calendar import own_campaigns
from opscore.domain.campaign_confirming import OwnerNotConfirmed, require_confirmed
from opscore.domain.command import Command, Role, UnitOfWork
from opscore.domain.periods import OverrideReason, require_open_books
from opscore.domain.policies import CampaignRules, SecondPerson, ZeroPrice
from opscore.domain.pricing import (
    CampaignLine,
    CouponOff,
    FixedOff,
    FreeShipping,
    GiftWithPurchase,
    MemberScope,
    PercentageOff,
    Promotion,
    PromotionForm,
    PromotionScope,
    ThresholdOff,
    ThresholdStep,
)
from opscore.domain.refusals import (
    CurrencyMismatch,
    InvalidField,
    NotAuthorised,
    ReasonMissing,
    ReferenceTaken,
    Refusal,
    SamePerson,
)
from opscore.domain.sku import Sku
from opscore.domain.sku_commands import require_unit_price
from opscore.domain.sku_events import AllocationExceedsQuota, HoldsNoStock
from opscore.domain.stock_commands import ReleaseCampaignStock
from opscore.domain.store import Store
from opscore.domain.store_events import PeriodClosedAlready, StoreNotOpen
from opscore.domain.values import (
    Code,
    Count,
    Currency,
    Label,
    NonNegativeMinor,
    Part,
    PositiveMinor,
    Reason,
    Text,
    line_amount_minor,
    local_day,
    plain,
)

PROMOTERS = frozenset({Role.OWNER, Role.MANAGER, Role.PROMOTER})
CHECKERS = PROMOTERS | {Role.EDITOR, Role.SERVICE, Role.FINANCE}
APPROVERS = frozenset({Role.OWNER, Role.MANAGER, Role.PLATFORM, Role.SYSTEM})

COUPON_CODE = "coupon_code"
"""Claim kind, scope store id: a code means one campaign's coupon there until the campaign ends."""

CampaignId = Annotated[UUID, Meta(description="The campaign.")]
Moment = Annotated[datetime, Meta(tz=True)]
Hour = Annotated[int, Meta(ge=0, le=23)]
WholeNumber = Annotated[int, Meta(ge=0, le=10**12)]


def coupon_campaign(
    work: UnitOfWork, store_id: UUID, code: str, path: Sequence[str | int] = ("coupon_code",)
) -> Campaign:
    """Return the campaign whose coupon a code is in a store, for a buyer who knows nothing but the code.

    Refuses: CouponInvalid, CampaignNotLive.
    """
    holder = work.holder(COUPON_CODE, str(store_id), code)
    campaign = None if holder is None else work.find(Campaign, holder)
    if campaign is None:
        raise CouponInvalid(code=code, why="no campaign of this store has it now", path=path)
    campaign.require_live(store_id, work.occurred_at, path)
    return campaign


def own_campaigns_beside(work: UnitOfWork, campaign: Campaign) -> list[Campaign]:
    """Return the own campaigns of the same stores that are not over, without this one."""
    return [other for other in own_campaigns(work, campaign.store_ids) if other.id != campaign.id]


def _skus_with_stock(
    work: UnitOfWork, campaign: Campaign, sku_ids: Iterable[UUID], override_reason: str | None
) -> list[Sku]:
    """Return those of these SKUs that still hold stock for the campaign; only those on its lines can.

    Refuses PeriodClosedAlready where they could not give it back.
    """
    found = (work.find(Sku, sku_id) for sku_id in sku_ids)
    skus = [sku for sku in found if sku is not None and campaign.id in sku.allocations]
    for sku in skus:
        require_open_books(work, sku, override_reason)
    return skus


def _give_stock_back(work: UnitOfWork, campaign: Campaign, skus: Sequence[Sku], override_reason: str | None) -> None:
    """Return what is left of the campaign's stock of these SKUs to ordinary sale."""
    for sku in skus:
        ReleaseCampaignStock(sku_id=sku.id, campaign_id=campaign.id, override_reason=override_reason).decide(work)


def _give_back(work: UnitOfWork, campaign: Campaign, skus: Sequence[Sku], override_reason: str | None) -> None:
    """Return what is left of the campaign's stock to ordinary sale, and its coupon codes to whoever wants them.

    Its advertising is over with it.
    """
    campaign_ads.end_all(campaign, f"the campaign was {campaign.status.value}", work.occurred_at)
    _give_stock_back(work, campaign, skus, override_reason)
    for promotion in campaign.promotions.values():
        _give_code_back(work, campaign, promotion)


def _give_code_back(work: UnitOfWork, campaign: Campaign, promotion: Promotion) -> None:
    """Return the coupon code of an offer, if it is one, to whoever wants it."""
    if promotion.coupon is None:
        return
    for store_id in campaign.store_ids:
        if work.holder(COUPON_CODE, str(store_id), promotion.coupon.code) == campaign.id:
            work.release(COUPON_CODE, str(store_id), promotion.coupon.code, campaign.id)


# The plan -------------------------------------------------------------------------------------------------------------


class PlanCampaign(Command):
    """Begin a campaign for one goal."""

    # Not annotated here: its field `type` would stand in for the built-in one when the annotations are read.
    AGGREGATE = Campaign
    ROLES = PROMOTERS
    REFUSES = (CurrencyMismatch,)

    store_id: Annotated[UUID, Meta(description="Its home store, whose staff look after it.")]
    name: Annotated[Label, Meta(description="Its theme, as customers read it.")]
    goal: Annotated[CampaignGoal, Meta(description="The one thing it is for.")]
    kind: Annotated[CampaignKind, Meta(description="The store's own, or a platform's event.")] = CampaignKind.OWN
    type: Annotated[CampaignType, Meta(description="Prices, an event, or a story.")] = CampaignType.PROMOTION
    store_ids: Annotated[
        tuple[UUID, ...], Meta(max_length=200, description="The stores it runs in; the home store alone if left out.")
    ] = ()
    currency: Annotated[
        Currency | None, Meta(description="Currency of its amounts: that of its stores, also if left out.")
    ] = None
    member_scope: Annotated[MemberScope, Meta(description="Who may use it at all.")] = MemberScope.EVERYONE
    tiers: Annotated[
        tuple[Code, ...], Meta(max_length=50, description="The tiers that may use it, for the scope `TIERS`.")
    ] = ()
    target: Annotated[Text | None, Meta(description="What would make it a success, in words.")] = None
    surge: Annotated[
        bool, Meta(description="So many orders are expected that they ship by the hard promise, without being late.")
    ] = False

    def decide(self, work: UnitOfWork) -> UUID:
        """Check the stores and their currency."""
        store = work.store(self.store_id)
        currency = self.currency or store.currency
        store_ids = tuple(dict.fromkeys(self.store_ids or (self.store_id,)))
        for index, store_id in enumerate(store_ids):
            other = work.store(store_id, path=("store_ids", index))
            if other.currency != currency:
                raise CurrencyMismatch(
                    expected=other.currency,
                    given=currency,
                    path=("currency",) if self.currency is not None else ("store_ids", index),
                    ids=[store_id],
                )
        _require_scope(self.member_scope, self.tiers)
        campaign = Campaign.start(
            CampaignPlanned,
            work.new_id(),
            store_id=self.store_id,
            name=self.name,
            goal=self.goal,
            kind=self.kind,
            type=self.type,
            store_ids=store_ids,
            currency=currency,
            member_scope=self.member_scope,
            tiers=self.tiers,
            target=self.target,
            surge=self.surge,
            occurred_at=work.occurred_at,
        )
        work.add(campaign)
        return campaign.id


def _require_scope(scope: MemberScope, tiers: Sequence[str]) -> None:
    if (scope is MemberScope.TIERS) != bool(tiers):
        raise InvalidField(why="tiers are named exactly when the scope is tiers", path=("tiers",))


class RenameCampaign(Command):
    """Give a campaign another name until it is over, also while it runs."""

    AGGREGATE: ClassVar[type[Aggregate]] = Campaign
    ROLES: ClassVar[frozenset[Role]] = PROMOTERS

    campaign_id: CampaignId
    name: Annotated[Label, Meta(description="Its theme, as customers read it.")]

    def decide(self, work: UnitOfWork) -> UUID:
        """Record the name unless it is called that already."""
        campaign = work.campaign(self.campaign_id)
        campaign.rename(self.name, work.occurred_at)
        return campaign.id


class AddCampaignLine(Command):
    """Take a SKU into a campaign at a price, or change the line it has there, until the campaign starts."""

    AGGREGATE: ClassVar[type[Aggregate]] = Campaign
    ROLES: ClassVar[frozenset[Role]] = PROMOTERS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (
        CampaignLineBelowCost,
        LossBudgetTooSmall,
        HoldsNoStock,
        AllocationExceedsQuota,
        OverlapsCampaign,
        CurrencyMismatch,
    )

    campaign_id: CampaignId
    sku_id: Annotated[UUID, Meta(description="The article.")]
    role: Annotated[LineRole, Meta(description="What it does in the campaign.")]
    price: Annotated[Decimal, Meta(description="Price per unit in the campaign; six decimal places at most.")]
    quota: Annotated[
        Decimal | None, Meta(description="Units kept for the campaign; if left out it sells from ordinary stock.")
    ] = None
    max_per_customer: Annotated[
        Count | None,
        Meta(description="Units one customer may have; for goods at price 0 the store's policy if left out."),
    ] = None
    below_cost_reason: Annotated[
        Reason | None, Meta(description="Why it may sell below cost; an owner's or manager's to give.")
    ] = None
    loss_budget_minor: Annotated[
        NonNegativeMinor | None,
        Meta(
            description="What selling the whole quota below cost may lose, in minor units of the campaign's currency."
        ),
    ] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Check price, cost, quota and, once the time is fixed, other campaigns with the same SKU."""
        campaign = work.campaign(self.campaign_id)
        sku = work.sku(self.sku_id, path=("sku_id",), seen=True)
        if sku.currency != campaign.currency:
            raise CurrencyMismatch(
                expected=campaign.currency, given=sku.currency, path=("sku_id",), ids=[campaign.id, sku.id]
            )
        price = require_unit_price(self.price, ("price",))
        if self.quota is not None:
            sku.require_stocked(("quota",))
        quota = None if self.quota is None else sku.require_quantity(self.quota, ("quota",))
        sku.require_within_quota(campaign.id, Decimal(0), quota, ("quota",))
        max_per_customer = self.max_per_customer
        if not price and max_per_customer is None:
            max_per_customer = work.store(campaign.store_id).policy(ZeroPrice, work.occurred_at).max_per_customer
        costs = [found.cost for store_id in campaign.store_ids if (found := sku.price_in(store_id)) is not None]
        cost = max((each for each in costs if each is not None), default=None)
        if self.below_cost_reason is not None and work.actor.role not in APPROVERS:
            raise NotAuthorised(why="an owner or manager approves a price below cost", path=("below_cost_reason",))
        if campaign.kind is CampaignKind.OWN and campaign.starts_at is not None and campaign.ends_at is not None:
            others = own_campaigns_beside(work, campaign)
            campaign.require_no_overlap(others, [sku.id], campaign.starts_at, campaign.ends_at, path=("sku_id",))
        campaign.add_line(
            sku.id,
            CampaignLine(role=self.role.value, price=price, quota=quota, max_per_customer=max_per_customer),
            work.actor.id,
            work.occurred_at,
            cost=cost,
            below_cost_reason=self.below_cost_reason,
            loss_budget_minor=self.loss_budget_minor,
            loss_minor=0 if cost is None else line_amount_minor(cost - price, quota or Decimal(0), campaign.currency),
        )
        return campaign.id


class RemoveCampaignLine(Command):
    """Take a SKU out of a campaign until the campaign starts; stock kept for it goes back to ordinary sale at once.

    A line that is only to be changed is added again: that replaces it and leaves its stock.
    """

    AGGREGATE: ClassVar[type[Aggregate]] = Campaign
    ROLES: ClassVar[frozenset[Role]] = PROMOTERS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (PeriodClosedAlready,)

    campaign_id: CampaignId
    sku_id: Annotated[UUID, Meta(description="The article.")]
    override_reason: OverrideReason = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Take the line out and release its stock in one decision."""
        campaign = work.campaign(self.campaign_id)
        skus = _skus_with_stock(work, campaign, [self.sku_id], self.override_reason)
        campaign.remove_line(self.sku_id, work.actor.id, work.occurred_at)
        _give_stock_back(work, campaign, skus, self.override_reason)
        return campaign.id


class PercentageTerms(Part, tag_field="form", tag="percentage"):
    """Percent off each line."""

    percent: Annotated[Decimal, Meta(description="Above 0 and at most 100; four decimal places at most.")]
    min_quantity: Annotated[Decimal | None, Meta(description="Units of the goods from which on it counts.")] = None


class ThresholdStepTerms(Part):
    """Spend so much, pay so much less."""

    spend_minor: Annotated[PositiveMinor, Meta(description="What the goods must come to, in minor units.")]
    off_minor: Annotated[PositiveMinor, Meta(description="What is taken off, in minor units.")]


class ThresholdTerms(Part, tag_field="form", tag="threshold"):
    """Money off from an amount of spending on; the highest step reached counts."""

    steps: Annotated[
        tuple[ThresholdStepTerms, ...],
        Meta(min_length=1, max_length=20, description="Steps, rising in both figures."),
    ]


class FixedTerms(Part, tag_field="form", tag="fixed"):
    """A fixed amount off the goods."""

    off_minor: Annotated[PositiveMinor, Meta(description="What is taken off, in minor units.")]
    each_unit: Annotated[bool, Meta(description="Off each unit of the goods, or once for the order.")] = False


class GiftTerms(Part, tag_field="form", tag="gift"):
    """Goods for nothing with a purchase."""

    sku_id: Annotated[UUID, Meta(description="The article that is given.")]
    quantity: Annotated[Decimal, Meta(description="Units of it.")] = Decimal(1)
    spend_minor: Annotated[NonNegativeMinor, Meta(description="What the goods must come to, in minor units.")] = 0
    min_quantity: Annotated[Decimal | None, Meta(description="Units of the goods from which on it is given.")] = None
    repeats: Annotated[bool, Meta(description="Given once for every full minimum quantity, or once.")] = False


class FreeShippingTerms(Part, tag_field="form", tag="free_shipping"):
    """Freight waived, all or in part."""

    spend_minor: Annotated[NonNegativeMinor, Meta(description="What the goods must come to, in minor units.")] = 0
    regions: Annotated[
        tuple[Code, ...], Meta(max_length=500, description="Regions it goes to; every region if left out.")
    ] = ()
    waive_up_to_minor: Annotated[
        PositiveMinor | None, Meta(description="The most that is waived, in minor units; all if left out.")
    ] = None


class CouponTermsOffered(Part, tag_field="form", tag="coupon"):
    """A code that customers enter."""

    code: Annotated[Code, Meta(description="The code; in its stores it means this coupon until the campaign ends.")]
    off_minor: Annotated[PositiveMinor | None, Meta(description="What is taken off; this or a percentage.")] = None
    percent: Annotated[Decimal | None, Meta(description="Percent off the goods; this or an amount.")] = None
    max_off_minor: Annotated[PositiveMinor | None, Meta(description="The most a percentage may take off.")] = None
    spend_minor: Annotated[NonNegativeMinor, Meta(description="What the goods must come to, in minor units.")] = 0
    usage_limit: Annotated[Count | None, Meta(description="Uses by all customers together.")] = None
    per_customer_limit: Annotated[Count | None, Meta(description="Uses by one customer; bars guests.")] = None
    valid_from: Annotated[Moment | None, Meta(description="From when on, if not with the campaign.")] = None
    valid_until: Annotated[Moment | None, Meta(description="Until when, if not with the campaign.")] = None


Offer = PercentageTerms | ThresholdTerms | FixedTerms | GiftTerms | FreeShippingTerms | CouponTermsOffered


class AddPromotion(Command):
    """Add an offer to a campaign, until it starts."""

    AGGREGATE: ClassVar[type[Aggregate]] = Campaign
    ROLES: ClassVar[frozenset[Role]] = PROMOTERS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (PromotionsConflict, ReferenceTaken)

    campaign_id: CampaignId
    label: Annotated[Label, Meta(description="What customers read: on the bill it is the reason for the discount.")]
    offer: Annotated[Offer, Meta(description="The form of the offer with its terms.")]
    stackable: Annotated[
        bool, Meta(description="Whether it adds up with other stackable offers; one that does not stands alone.")
    ] = False
    scope: Annotated[
        PromotionScope, Meta(description="The goods on the campaign's lines, or everything in the order.")
    ] = PromotionScope.LINES
    member_scope: Annotated[MemberScope, Meta(description="Whom it is for.")] = MemberScope.EVERYONE
    tiers: Annotated[tuple[Code, ...], Meta(max_length=50, description="The tiers it is for, for scope `TIERS`.")] = ()

    def decide(self, work: UnitOfWork) -> UUID:
        """Check the terms; a coupon's code must be free in every store of the campaign."""
        campaign = work.campaign(self.campaign_id)
        _require_scope(self.member_scope, self.tiers)
        promotion = self._promotion(work)
        coupon = promotion.coupon
        if coupon is not None:
            for store_id in campaign.store_ids:
                work.require_free(
                    COUPON_CODE, str(store_id), coupon.code, campaign.id, path=("offer", "coupon", "code")
                )
        campaign.add_promotion(promotion, work.actor.id, work.occurred_at)
        if coupon is not None:
            for store_id in campaign.store_ids:
                work.claim(COUPON_CODE, str(store_id), coupon.code, campaign.id)
        return campaign.id

    def _promotion(self, work: UnitOfWork) -> Promotion:
        """Return the offer as the campaign keeps it."""
        terms = self.offer
        form: PromotionForm
        percentage = threshold = fixed = gift = free_shipping = coupon = None
        match terms:
            case PercentageTerms():
                form = PromotionForm.PERCENTAGE
                percentage = PercentageOff(
                    percent=_percent(terms.percent, ("offer", "percentage", "percent")),
                    min_quantity=_quantity(terms.min_quantity, ("offer", "percentage", "min_quantity")),
                )
            case ThresholdTerms():
                form = PromotionForm.THRESHOLD
                steps = [ThresholdStep(spend_minor=step.spend_minor, off_minor=step.off_minor) for step in terms.steps]
                for index, (step, higher) in enumerate(pairwise(steps)):
                    if step.spend_minor >= higher.spend_minor or step.off_minor >= higher.off_minor:
                        why = "steps rise in both figures"
                        raise InvalidField(why=why, path=("offer", "threshold", "steps", index + 1))
                threshold = ThresholdOff(steps=tuple(steps))
            case FixedTerms():
                form = PromotionForm.FIXED
                fixed = FixedOff(off_minor=terms.off_minor, each_unit=terms.each_unit)
            case GiftTerms():
                form = PromotionForm.GIFT
                given = work.sku(terms.sku_id, path=("offer", "gift", "sku_id"), seen=True)
                if terms.repeats and terms.min_quantity is None:
                    raise InvalidField(why="it repeats for a minimum quantity", path=("offer", "gift", "min_quantity"))
                gift = GiftWithPurchase(
                    sku_id=given.id,
                    quantity=given.require_quantity(terms.quantity, ("offer", "gift", "quantity")),
                    spend_minor=terms.spend_minor,
                    min_quantity=_quantity(terms.min_quantity, ("offer", "gift", "min_quantity")),
                    repeats=terms.repeats,
                )
            case FreeShippingTerms():
                form = PromotionForm.FREE_SHIPPING
                free_shipping = FreeShipping(
                    spend_minor=terms.spend_minor, regions=terms.regions, waive_up_to_minor=terms.waive_up_to_minor
                )
            case CouponTermsOffered():
                form = PromotionForm.COUPON
                coupon = _coupon(terms)
        return Promotion(
            promotion_id=work.new_id(),
            form=form,
            label=self.label,
            stackable=self.stackable,
            scope=self.scope,
            member_scope=self.member_scope,
            tiers=self.tiers,
            percentage=percentage,
            threshold=threshold,
            fixed=fixed,
            gift=gift,
            free_shipping=free_shipping,
            coupon=coupon,
        )


class RemovePromotion(Command):
    """Take an offer out of a campaign until it starts, also to add it as it should be; a coupon's code is free at once.

    Coupons that customers were granted have terms of their own and stay theirs.
    """

    AGGREGATE: ClassVar[type[Aggregate]] = Campaign
    ROLES: ClassVar[frozenset[Role]] = PROMOTERS

    campaign_id: CampaignId
    promotion_id: Annotated[UUID, Meta(description="The offer: `promotionId` of one of the campaign's promotions.")]

    def decide(self, work: UnitOfWork) -> UUID:
        """Take the offer out and release its coupon code in one decision."""
        campaign = work.campaign(self.campaign_id)
        promotion = campaign.remove_promotion(self.promotion_id, work.actor.id, work.occurred_at)
        _give_code_back(work, campaign, promotion)
        return campaign.id


def _coupon(terms: CouponTermsOffered) -> CouponOff:
    path = ("offer", "coupon")
    if (terms.off_minor is None) == (terms.percent is None):
        raise InvalidField(why="a coupon takes off an amount or a percentage, one of the two", path=path)
    if terms.max_off_minor is not None and terms.percent is None:
        raise InvalidField(why="only a percentage needs a ceiling", path=(*path, "max_off_minor"))
    if terms.valid_from is not None and terms.valid_until is not None and terms.valid_from >= terms.valid_until:
        raise InvalidField(why="it would end before it begins", path=(*path, "valid_until"))
    return CouponOff(
        code=terms.code,
        off_minor=terms.off_minor,
        percent=None if terms.percent is None else _percent(terms.percent, (*path, "percent")),
        max_off_minor=terms.max_off_minor,
        spend_minor=terms.spend_minor,
        usage_limit=terms.usage_limit,
        per_customer_limit=terms.per_customer_limit,
        valid_from=_utc(terms.valid_from),
        valid_until=_utc(terms.valid_until),
    )


def _percent(value: Decimal, path: tuple[str | int, ...]) -> Decimal:
    if not value.is_finite() or not 0 < value <= 100 or plain(value) != round(value, 4):
        raise InvalidField(why="a percentage is above 0, at most 100, with four decimal places at most", path=path)
    return plain(value)


def _quantity(value: Decimal | None, path: tuple[str | int, ...]) -> Decimal | None:
    if value is None:
        return None
    if not value.is_finite() or not 0 < value < 10**12 or value != round(value, 6):
        raise InvalidField(why="a quantity is above 0 with six decimal places at most", path=path)
    return plain(value)


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(UTC)


class ScheduleCampaign(Command):
    """Fix when a campaign runs, by itself from start to end; move it, with a reason, only before its warm-up begins."""

    AGGREGATE: ClassVar[type[Aggregate]] = Campaign
    ROLES: ClassVar[frozenset[Role]] = PROMOTERS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (
        WindowInvalid,
        CampaignIncomplete,
        OverlapsCampaign,
        OwnerNotConfirmed,
        ReasonMissing,
        WarmupStarted,
    )

    campaign_id: CampaignId
    starts_at: Annotated[Moment, Meta(description="When orders may use it from, with offset.")]
    ends_at: Annotated[Moment, Meta(description="When it is over, with offset; this moment itself is after it.")]
    warmup_from: Annotated[
        Moment | None,
        Meta(description="When it is announced; from then on its time is fixed. At the start if left out."),
    ] = None
    reason: Annotated[Reason | None, Meta(description="Why it is moved; needed once its time was fixed.")] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Compare with the own campaigns of the same stores; a platform's event may run beside them."""
        campaign = work.campaign(self.campaign_id)
        require_confirmed(campaign, work.get(Store, campaign.store_id, scoped=False))
        announced = (self.warmup_from or self.starts_at).astimezone(UTC)
        if campaign.supply.is_open(announced):
            why = "suppliers are called on until after it is announced; end the call first, or announce it later"
            raise WindowInvalid(why=why, path=("warmup_from",), ids=[campaign.id])
        own = campaign.kind is CampaignKind.OWN
        others = own_campaigns_beside(work, campaign) if own else []
        rules = work.store(campaign.store_id).policy(CampaignRules, work.occurred_at)
        campaign.schedule(
            _utc(self.warmup_from),
            self.starts_at.astimezone(UTC),
            self.ends_at.astimezone(UTC),
            others,
            self.reason,
            work.occurred_at,
            frozen_from_warmup=rules.frozen_from_warmup,
        )
        if own:
            campaign_calendar.enter(work, campaign)
        return campaign.id


class SetForecast(Command):
    """Say what a campaign is expected to bring: the targets it is measured by."""

    AGGREGATE: ClassVar[type[Aggregate]] = Campaign
    ROLES: ClassVar[frozenset[Role]] = PROMOTERS

    campaign_id: CampaignId
    visitors: Annotated[WholeNumber, Meta(description="Visitors.")]
    conversion: Annotated[Decimal, Meta(description="Buyers for each visitor, a fraction between 0 and 1.")]
    units: Annotated[Decimal, Meta(description="Units sold.")]
    gmv_minor: Annotated[NonNegativeMinor, Meta(description="Goods sold, in minor units of the campaign's currency.")]
    peak_hour: Annotated[Hour | None, Meta(description="The busiest hour of the day.")] = None
    trough_hour: Annotated[Hour | None, Meta(description="The quietest hour of the day.")] = None
    parcels_per_day: Annotated[WholeNumber | None, Meta(description="Parcels a day to send.")] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Record the targets unless they stand already."""
        campaign = work.campaign(self.campaign_id)
        for name, value in (("conversion", self.conversion), ("units", self.units)):
            if not value.is_finite() or not 0 <= value < 10**12 or value != round(value, 6):
                raise InvalidField(why="six decimal places at most, and not below 0", path=(name,))
        forecast = Forecast(
            visitors=self.visitors,
            conversion=plain(self.conversion),
            units=plain(self.units),
            gmv_minor=self.gmv_minor,
            peak_hour=self.peak_hour,
            trough_hour=self.trough_hour,
            parcels_per_day=self.parcels_per_day,
        )
        campaign.set_forecast(forecast, work.occurred_at)
        return campaign.id


class CheckedPriceTerms(Part):
    """What was read for one article, per unit."""

    sku_id: Annotated[UUID, Meta(description="The article.")]
    label: Annotated[Decimal, Meta(description="The price on the label in its picture.")]
    detail: Annotated[Decimal, Meta(description="The price on its detail page.")]
    plan: Annotated[Decimal, Meta(description="The price in the written plan.")]
    label_free_shipping: Annotated[
        bool | None, Meta(description="Whether the label promises free shipping; left out: not looked at.")
    ] = None
    detail_free_shipping: Annotated[
        bool | None, Meta(description="Whether the detail page promises free shipping; left out: not looked at.")
    ] = None


class CheckCampaignPrices(Command):
    """Say what a buyer reads: the check passes when all of it agrees with the campaign, else it fails."""

    AGGREGATE: ClassVar[type[Aggregate]] = Campaign
    ROLES: ClassVar[frozenset[Role]] = CHECKERS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (SamePerson, CampaignIncomplete)

    campaign_id: CampaignId
    lines: Annotated[
        tuple[CheckedPriceTerms, ...], Meta(max_length=10_000, description="One for every line of the campaign.")
    ] = ()

    def decide(self, work: UnitOfWork) -> UUID:
        """Compare line by line; by the store's policy somebody else than whoever entered the lines."""
        campaign = work.campaign(self.campaign_id)
        second_person = work.store(campaign.store_id).policy(SecondPerson, work.occurred_at).price_check
        found = [
            CheckedPrice(
                sku_id=line.sku_id,
                label=require_unit_price(line.label, ("lines", index, "label")),
                detail=require_unit_price(line.detail, ("lines", index, "detail")),
                plan=require_unit_price(line.plan, ("lines", index, "plan")),
                label_free_shipping=line.label_free_shipping,
                detail_free_shipping=line.detail_free_shipping,
            )
            for index, line in enumerate(self.lines)
        ]
        campaign.check_prices(found, work.actor.id, second_person, work.occurred_at)
        return campaign.id


# Its life -------------------------------------------------------------------------------------------------------------


class StartCampaign(Command):
    """Let orders use a campaign that could not start by itself: its time has come and nothing is lacking."""

    AGGREGATE: ClassVar[type[Aggregate]] = Campaign
    ROLES: ClassVar[frozenset[Role]] = PROMOTERS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (
        CampaignNotDue,
        WindowInvalid,
        CampaignIncomplete,
        PriceCheckOpen,
        StockNotAllocated,
        StoreNotOpen,
    )

    campaign_id: CampaignId

    def decide(self, work: UnitOfWork) -> UUID:
        """Check the stores, and in the SKUs the stock that is set apart."""
        campaign = work.campaign(self.campaign_id)
        for store_id in campaign.store_ids:
            work.store(store_id, path=("campaign_id",)).require_open(("campaign_id",))
        allocated: dict[UUID, Decimal] = {}
        for sku_id, line in campaign.lines.items():
            if line.quota is not None:
                held = work.sku(sku_id, path=("campaign_id",), scoped=False).allocations.get(campaign.id, {})
                allocated[sku_id] = sum(held.values(), Decimal(0))
        campaign.go_live(allocated, work.occurred_at)
        return campaign.id


class PauseCampaign(Command):
    """Keep orders from using a campaign for the time being."""

    AGGREGATE: ClassVar[type[Aggregate]] = Campaign
    ROLES: ClassVar[frozenset[Role]] = PROMOTERS

    campaign_id: CampaignId
    reason: Annotated[Reason, Meta(description="Why.")]

    def decide(self, work: UnitOfWork) -> UUID:
        """Record the pause unless it is paused already."""
        campaign = work.campaign(self.campaign_id)
        campaign.pause(self.reason, work.occurred_at)
        return campaign.id


class ResumeCampaign(Command):
    """Let orders use a paused campaign again."""

    AGGREGATE: ClassVar[type[Aggregate]] = Campaign
    ROLES: ClassVar[frozenset[Role]] = PROMOTERS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (WindowInvalid,)

    campaign_id: CampaignId

    def decide(self, work: UnitOfWork) -> UUID:
        """Record it unless the campaign is live already."""
        campaign = work.campaign(self.campaign_id)
        campaign.resume(work.occurred_at)
        return campaign.id


class EndCampaign(Command):
    """Close a campaign; stock that is left of it goes back to ordinary sale at once."""

    AGGREGATE: ClassVar[type[Aggregate]] = Campaign
    ROLES: ClassVar[frozenset[Role]] = PROMOTERS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (PeriodClosedAlready,)

    campaign_id: CampaignId
    reason: Annotated[Reason | None, Meta(description="Why, if before its time.")] = None
    override_reason: OverrideReason = None

    def decide(self, work: UnitOfWork) -> UUID:
        """End it and release its stock and coupon codes in one decision."""
        campaign = work.campaign(self.campaign_id)
        skus = _skus_with_stock(work, campaign, campaign.lines, self.override_reason)
        campaign.end(self.reason, work.occurred_at)
        _give_back(work, campaign, skus, self.override_reason)
        return campaign.id


class CancelCampaign(Command):
    """Call a campaign off before it starts."""

    AGGREGATE: ClassVar[type[Aggregate]] = Campaign
    ROLES: ClassVar[frozenset[Role]] = PROMOTERS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (PeriodClosedAlready,)

    campaign_id: CampaignId
    reason: Annotated[Reason, Meta(description="Why.")]
    override_reason: OverrideReason = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Cancel it and release its stock and coupon codes in one decision."""
        campaign = work.campaign(self.campaign_id)
        skus = _skus_with_stock(work, campaign, campaign.lines, self.override_reason)
        campaign.cancel(self.reason, work.occurred_at)
        _give_back(work, campaign, skus, self.override_reason)
        return campaign.id


class SetCampaignBudget(Command):
    """Bound what a campaign gives away in discounts, coupons and freight, all orders together."""

    AGGREGATE: ClassVar[type[Aggregate]] = Campaign
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (BudgetBelowClaimed, CurrencyMismatch)

    campaign_id: CampaignId
    budget_minor: Annotated[NonNegativeMinor, Meta(description="The budget, in minor units.")]
    currency: Annotated[Currency, Meta(description="Its currency: the campaign's.")]

    def decide(self, work: UnitOfWork) -> UUID:
        """Record the budget unless it stands already."""
        campaign = work.campaign(self.campaign_id)
        campaign.set_budget(self.budget_minor, self.currency, work.occurred_at)
        return campaign.id


class RecordAdSpend(Command):
    """Book what advertising for a campaign cost on a channel on a day; a higher revision replaces a lower one."""

    AGGREGATE: ClassVar[type[Aggregate]] = Campaign
    ROLES: ClassVar[frozenset[Role]] = PROMOTERS | {Role.FINANCE}
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (AdRevisionSuperseded, CurrencyMismatch)

    campaign_id: CampaignId
    day: Annotated[date, Meta(description="The day, in the home store's time zone.")]
    channel: Annotated[Code, Meta(description="Where the advertising ran.")]
    cost_minor: Annotated[NonNegativeMinor, Meta(description="Its cost, in minor units.")]
    currency: Annotated[Currency, Meta(description="Currency of the cost: the campaign's.")]
    impressions: Annotated[WholeNumber, Meta(description="How often it was shown.")] = 0
    clicks: Annotated[WholeNumber, Meta(description="How often it was clicked.")] = 0
    revision: Annotated[Count, Meta(description="Rises with each correction of the same day and channel.")] = 1

    def decide(self, work: UnitOfWork) -> UUID:
        """Check the day and the revision on record."""
        campaign = work.campaign(self.campaign_id)
        store = work.store(campaign.store_id, path=("campaign_id",))
        if self.day.isoformat() > local_day(work.occurred_at, store.time_zone):
            raise InvalidField(why="this day has not come yet", path=("day",))
        spend = AdSpend(
            cost_minor=self.cost_minor, impressions=self.impressions, clicks=self.clicks, revision=self.revision
        )
        campaign.record_ad_spend(self.day, self.channel, spend, self.currency, work.occurred_at)
        return campaign.id


class FigureTerms(Part):
    """A figure of a read model, and the position of the log that it was read at."""

    name: Annotated[Code, Meta(description="Which figure, for example gmv_minor.")]
    value: Annotated[Decimal, Meta(description="What it was.")]
    position: Annotated[int, Meta(ge=1, description="The position of the log that the read model stood at.")]


class EvaluateCampaign(Command):
    """Say what a campaign that has ended taught, with the figures it rests on."""

    AGGREGATE: ClassVar[type[Aggregate]] = Campaign
    ROLES: ClassVar[frozenset[Role]] = PROMOTERS | {Role.FINANCE}

    campaign_id: CampaignId
    findings: Annotated[
        str, Meta(min_length=1, max_length=5000, pattern=r"^[^\x00]*\S[^\x00]*$", description="What was learned.")
    ]
    figures: Annotated[
        tuple[FigureTerms, ...], Meta(max_length=200, description="The figures, as they stood at a position.")
    ] = ()
    actions: Annotated[Text | None, Meta(description="What will be done about it.")] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Record the findings once."""
        campaign = work.campaign(self.campaign_id)
        figures = []
        for index, figure in enumerate(self.figures):
            if not figure.value.is_finite():
                raise InvalidField(why="a figure is a number", path=("figures", index, "value"))
            figures.append(QuotedFigure(name=figure.name, value=plain(figure.value), position=figure.position))
        campaign.evaluate(self.findings, figures, self.actions, work.occurred_at)
        return campaign.id
