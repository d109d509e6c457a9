"""What is on record about a campaign: the events of its stream, and the words they are made of."""

from __future__ import annotations

import enum
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from opscore.domain.aggregate import Event, FirstEvent
from opscore.domain.pricing import (
    CouponOff,
    FixedOff,
    FreeShipping,
    GiftWithPurchase,
    MemberScope,
    PercentageOff,
    PromotionForm,
    PromotionScope,
    ThresholdOff,
)
from opscore.domain.values import Value

# What is on record ----------------------------------------------------------------------------------------------------


class CampaignGoal(enum.StrEnum):
    """What a campaign is for; it has exactly one goal."""

    RAISE_SALES = "raise_sales"
    WIN_CUSTOMERS = "win_customers"
    CLEAR_STOCK = "clear_stock"
    RAISE_ACTIVITY = "raise_activity"
    BUILD_BRAND = "build_brand"


class CampaignKind(enum.StrEnum):
    """Whose campaign it is: the store's own, or a platform's event that the store joins."""

    OWN = "own"
    OFFICIAL = "official"


class CampaignType(enum.StrEnum):
    """Promotion (prices), event, or packaging (a story without a discount)."""

    PROMOTION = "promotion"
    EVENT = "event"
    PACKAGING = "packaging"


class LineRole(enum.StrEnum):
    """What a SKU does in a campaign: draw visitors, carry the sales, or show what the brand can do."""

    TRAFFIC = "traffic"
    BASE = "base"
    IMAGE = "image"


class CampaignStatus(enum.StrEnum):
    """Where a campaign stands."""

    PLANNED = "planned"
    SCHEDULED = "scheduled"
    LIVE = "live"
    PAUSED = "paused"
    ENDED = "ended"
    EVALUATED = "evaluated"
    CANCELLED = "cancelled"


class ProposalStatus(enum.StrEnum):
    """What the owner of a store said to a platform's campaign that was proposed to them."""

    PROPOSED = "proposed"
    CONFIRMED = "confirmed"
    DECLINED = "declined"


class OfferStatus(enum.StrEnum):
    """How far an offer of a supplier to a campaign is."""

    OFFERED = "offered"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


class ResourceStatus(enum.StrEnum):
    """How far a place for advertising is that a campaign needs."""

    PLANNED = "planned"
    """Not handed in for review; one that needs no review stays here."""
    SUBMITTED = "submitted"
    """Handed in; the platform has not answered."""
    APPROVED = "approved"
    """The platform took it."""
    REJECTED = "rejected"
    """The platform did not take it; it may be handed in again."""


class AdPlanStatus(enum.StrEnum):
    """Whether an ad plan runs."""

    RUNNING = "running"
    """It spends, and is to be watched and adjusted."""
    PAUSED = "paused"
    """It does not spend for the time being."""
    ENDED = "ended"
    """It is over."""


class CampaignPlanned(FirstEvent):
    """A campaign was planned for a goal. `member_scope` says who may buy at its line prices.

    surge: so many orders are expected that all of them ship by the hard promise only, without being late.
    """

    store_id: UUID
    name: str
    goal: CampaignGoal
    kind: CampaignKind
    type: CampaignType
    store_ids: tuple[UUID, ...]
    currency: str
    member_scope: MemberScope = MemberScope.EVERYONE
    tiers: tuple[str, ...] = ()
    target: str | None = None
    surge: bool = False


class CampaignRenamed(Event):
    """The campaign has another name from now on."""

    name: str


class CampaignLineAdded(Event):
    """A SKU takes part at a price per unit; a line for the same SKU before it is replaced."""

    sku_id: UUID
    role: LineRole
    price: Decimal
    quota: Decimal | None
    max_per_customer: int | None
    entered_by: str
    currency: str
    below_cost_reason: str | None = None
    loss_budget_minor: int | None = None


class CampaignLineRemoved(Event):
    """A SKU takes part no more."""

    sku_id: UUID
    removed_by: str


class PromotionAdded(Event):
    """An offer was added; the parameters that `form` names are set."""

    promotion_id: UUID
    form: PromotionForm
    label: str
    stackable: bool
    scope: PromotionScope
    member_scope: MemberScope
    entered_by: str
    currency: str
    tiers: tuple[str, ...] = ()
    percentage: PercentageOff | None = None
    threshold: ThresholdOff | None = None
    fixed: FixedOff | None = None
    gift: GiftWithPurchase | None = None
    free_shipping: FreeShipping | None = None
    coupon: CouponOff | None = None


class PromotionRemoved(Event):
    """An offer was taken out of the campaign."""

    promotion_id: UUID
    removed_by: str


class CampaignScheduled(Event):
    """The time was fixed; scheduled again, it was moved for a reason.

    beside: the own campaigns of the same stores that were not over then. The campaign scheduled last in a store knows
    all of that store's, so that the next one is compared with them and nothing else.
    """

    warmup_from: datetime | None
    starts_at: datetime
    ends_at: datetime
    beside: tuple[UUID, ...] = ()
    reason: str | None = None


class ForecastSet(Event):
    """What the campaign is expected to bring: its targets. `conversion` is a fraction of visitors."""

    visitors: int
    conversion: Decimal
    units: Decimal
    gmv_minor: int
    currency: str
    peak_hour: int | None = None
    trough_hour: int | None = None
    parcels_per_day: int | None = None


class PriceDifference(Value):
    """A price (or the free-shipping note) that is not what the plan says."""

    sku_id: UUID
    where: str
    planned: str
    found: str


class PriceCheckPassed(Event):
    """Label, detail page and plan agree for every line."""

    checked_by: str
    lines_checked: int


class PriceCheckFailed(Event):
    """Somewhere a buyer would have read another price than the plan's."""

    checked_by: str
    differences: tuple[PriceDifference, ...]


class CampaignStarted(Event):
    """Orders may use the campaign from now on."""


class CampaignPaused(Event):
    """Orders may not use the campaign for the time being."""

    reason: str


class CampaignResumed(Event):
    """Orders may use the campaign again."""


class CampaignEnded(Event):
    """The campaign is over; what was left of its stock went back to ordinary sale with it."""

    reason: str | None = None


class CampaignCancelled(Event):
    """The campaign was called off before it started."""

    reason: str


class CampaignBudgetSet(Event):
    """The campaign may give away this much in discounts, in all."""

    budget_minor: int
    currency: str


class CampaignBudgetClaimed(Event):
    """An order takes discounts of this campaign."""

    order_id: UUID
    amount_minor: int
    currency: str


class CampaignBudgetReleased(Event):
    """An order gave discounts back, all or a part."""

    order_id: UUID
    amount_minor: int
    currency: str


class CouponClaimed(Event):
    """An order uses the coupon once."""

    order_id: UUID
    customer_id: UUID | None
    code: str


class CouponReleased(Event):
    """An order gave its use of the coupon back."""

    order_id: UUID
    customer_id: UUID | None
    code: str


class AdSpendRecorded(Event):
    """What advertising on a channel cost on a day; a higher revision replaces the figures of the lower one."""

    day: date
    channel: str
    cost_minor: int
    currency: str
    impressions: int
    clicks: int
    revision: int


class CampaignProposed(Event):
    """The owner was asked whether the store joins a platform's campaign. note: why it should."""

    note: str | None


class CampaignConfirmed(Event):
    """The owner wants the store to join. document: where they said so, if somebody else took it down."""

    document: str | None


class CampaignDeclined(Event):
    """The owner does not want the store to join. document: where they said so, if somebody else took it down."""

    reason: str
    document: str | None


class SupplierCallOpened(Event):
    """Suppliers may offer goods for the campaign until then (UTC); said again, until the new moment."""

    until: datetime
    wanted: str | None


class SupplierCallClosed(Event):
    """Suppliers may offer nothing more, though the call was to last longer."""


class SupplyOffered(Event):
    """A supplier offers units of an article for the campaign, at a cost per unit of at most six decimal places."""

    offer_id: UUID
    supplier_id: UUID
    sku_id: UUID
    quantity: Decimal
    unit_cost: Decimal
    currency: str


class SupplyOfferWithdrawn(Event):
    """A supplier took an offer back before it was answered."""

    offer_id: UUID


class SupplyOfferAccepted(Event):
    """So many of the units that were offered are wanted."""

    offer_id: UUID
    quantity: Decimal


class SupplyOfferRejected(Event):
    """An offer is not wanted."""

    offer_id: UUID
    reason: str


class ResourcePlanned(Event):
    """A place for advertising is needed from a moment until another; planned again, its review begins anew.

    submit_by, submit_until: the ends of the working days by which it is to be handed in for review, and after which it
    is too late, by calendar and policy as they were then; None for one that needs no review.
    """

    resource_id: UUID
    channel: str
    form: str
    placement: str
    quantity: int
    budget_minor: int
    currency: str
    starts_at: datetime
    ends_at: datetime
    needs_review: bool
    submit_by: datetime | None = None
    submit_until: datetime | None = None


class ResourceDropped(Event):
    """The campaign does without a place for advertising."""

    resource_id: UUID
    reason: str


class ResourceSubmitted(Event):
    """A place for advertising was handed in for review by the platform."""

    resource_id: UUID


class ResourceApproved(Event):
    """The platform took it."""

    resource_id: UUID


class ResourceRejected(Event):
    """The platform did not take it."""

    resource_id: UUID
    reason: str


class AdBudgetAgreed(Event):
    """The campaign's ad plans may spend this much in a month, which is named by its first day."""

    month: date
    budget_minor: int
    currency: str


class AdKeyword(Value):
    """What an ad plan bids on, for whom, and what is shown to them."""

    keyword: str
    region: str | None = None
    attribute: str | None = None
    bid_minor: int | None = None
    creative: str | None = None
    landing: str | None = None


class AdPlanLaunched(Event):
    """Advertising on a channel began.

    adjust_by, monitor_by: the ends of the days by which it is to be adjusted and looked at next, by calendar and policy
    as they were then.
    """

    plan_id: UUID
    channel: str
    daily_cap_minor: int
    currency: str
    keywords: tuple[AdKeyword, ...]
    adjust_by: datetime
    monitor_by: datetime


class AdReading(Value):
    """A figure that somebody read of an ad plan: a rank, a rate."""

    name: str
    value: Decimal


class AdMonitored(Event):
    """Somebody looked at how an ad plan did on a day; said again of the same day, it replaces what was said before.

    What the day cost is in `AdSpendRecorded`. monitor_by: None while the plan does not run.
    """

    plan_id: UUID
    day: date
    note: str | None
    readings: tuple[AdReading, ...]
    monitor_by: datetime | None


class AdAdjusted(Event):
    """Something of an ad plan was changed; it goes on with this cap and these keywords.

    due_by: until when it was to be adjusted; it was in time if this happened before. adjust_by: until when it is to be
    adjusted next. Both are None while the plan does not run.
    """

    plan_id: UUID
    daily_cap_minor: int
    currency: str
    keywords: tuple[AdKeyword, ...]
    changed: str | None
    due_by: datetime | None
    adjust_by: datetime | None


class AdPlanPaused(Event):
    """An ad plan does not spend for the time being, and nobody has to see to it. due_by: as in `AdAdjusted`."""

    plan_id: UUID
    reason: str
    due_by: datetime


class AdPlanResumed(Event):
    """An ad plan spends again; the days by which it is to be adjusted and looked at are counted anew."""

    plan_id: UUID
    adjust_by: datetime
    monitor_by: datetime


class AdPlanEnded(Event):
    """Advertising by a plan is over. due_by: as in `AdAdjusted`."""

    plan_id: UUID
    reason: str
    due_by: datetime | None


class QuotedFigure(Value):
    """A figure as it stood at a position of the log when the campaign was evaluated."""

    name: str
    value: Decimal
    position: int


class CampaignEvaluated(Event):
    """What was learned, with the figures it rests on."""

    findings: str
    figures: tuple[QuotedFigure, ...]
    actions: str | None = None
