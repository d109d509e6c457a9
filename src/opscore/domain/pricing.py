"""What an order costs and why: pure arithmetic on exact integers, the same answer for the same question.

A line's unit price is the lowest of list price, tier price and campaign price; they are never added. On top of that
come promotions, each computed on the same base: an offer that is not stackable stands alone, stackable offers add up,
and the customer gets whichever is worth more. Points come last. Freight and gifts are decided beside the money.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from opscore.domain.refusals import Refusal
from opscore.domain.values import Value

# What offers are made of ----------------------------------------------------------------------------------------------


class PromotionForm(enum.StrEnum):
    """The forms of promotion; each has parameters of its own."""

    PERCENTAGE = "percentage"
    THRESHOLD = "threshold"
    FIXED = "fixed"
    GIFT = "gift"
    FREE_SHIPPING = "free_shipping"
    COUPON = "coupon"


class PromotionScope(enum.StrEnum):
    """Which goods an offer is about: everything in the order, or the goods on the campaign's lines."""

    STORE = "store"
    LINES = "lines"


class MemberScope(enum.StrEnum):
    """Whom an offer is for."""

    EVERYONE = "everyone"
    REGISTERED = "registered"
    MEMBERS = "members"
    TIERS = "tiers"


class PercentageOff(Value):
    """`percent` off each line (0 < percent <= 100), from `min_quantity` units of the goods on."""

    percent: Decimal
    min_quantity: Decimal | None = None


class ThresholdStep(Value):
    """Spend `spend_minor` on the goods, pay `off_minor` less."""

    spend_minor: int
    off_minor: int


class ThresholdOff(Value):
    """The highest step that is reached counts, once; steps rise in both figures."""

    steps: tuple[ThresholdStep, ...]


class FixedOff(Value):
    """`off_minor` less: once for the order, or on each unit of the goods."""

    off_minor: int
    each_unit: bool = False


class GiftWithPurchase(Value):
    """`quantity` of a SKU for nothing, from `spend_minor` and `min_quantity` of the goods on.

    With `repeats`, once for every full `min_quantity` (buy n, get m).
    """

    sku_id: UUID
    quantity: Decimal
    spend_minor: int = 0
    min_quantity: Decimal | None = None
    repeats: bool = False


class FreeShipping(Value):
    """Freight waived from `spend_minor` on, in these regions (none named: all), up to `waive_up_to_minor`."""

    spend_minor: int = 0
    regions: tuple[str, ...] = ()
    waive_up_to_minor: int | None = None


class CouponOff(Value):
    """A code that buys `off_minor`, or `percent` of the goods (at most `max_off_minor`), from `spend_minor` on."""

    code: str
    off_minor: int | None = None
    percent: Decimal | None = None
    max_off_minor: int | None = None
    spend_minor: int = 0
    usage_limit: int | None = None
    per_customer_limit: int | None = None
    valid_from: datetime | None = None
    valid_until: datetime | None = None


class Promotion(Value):
    """One offer of a campaign; of the parameter structs exactly the one that `form` names is set."""

    promotion_id: UUID
    form: PromotionForm
    label: str
    stackable: bool = False
    scope: PromotionScope = PromotionScope.LINES
    member_scope: MemberScope = MemberScope.EVERYONE
    tiers: tuple[str, ...] = ()
    percentage: PercentageOff | None = None
    threshold: ThresholdOff | None = None
    fixed: FixedOff | None = None
    gift: GiftWithPurchase | None = None
    free_shipping: FreeShipping | None = None
    coupon: CouponOff | None = None


class CampaignLine(Value):
    """A SKU's place in a campaign: price per unit, quota (None: ordinary stock), units one customer may have.

    `below_cost` says that a price under cost was approved with a reason and a loss budget.
    """

    role: str
    price: Decimal
    quota: Decimal | None = None
    max_per_customer: int | None = None
    below_cost: bool = False


class CampaignOffers(Value):
    """What one live campaign offers this buyer (`Campaign.offers`)."""

    campaign_id: UUID
    name: str
    lines: dict[UUID, CampaignLine]
    promotions: tuple[Promotion, ...]


class CouponTerms(Value):
    """A coupon as pricing needs it, from a campaign's code (`Campaign.coupon`) or granted to a customer.

    source_id: the campaign, or the granted coupon. sku_ids: the goods it is about; None for all.
    """

    source_id: UUID
    label: str
    promotion_id: UUID | None = None
    code: str | None = None
    off_minor: int | None = None
    percent: Decimal | None = None
    max_off_minor: int | None = None
    spend_minor: int = 0
    stackable: bool = False
    sku_ids: frozenset[UUID] | None = None
    from_campaign: bool = False


class Buyer(Value):
    """Who buys, as far as prices depend on it."""

    registered: bool = False
    tiers: tuple[str, ...] = ()


GUEST = Buyer()


class Points(Value):
    """Points that the customer wants to spend; one is worth `minor_per_point` minor units."""

    points: int
    minor_per_point: Decimal = Decimal(1)


class LineToPrice(Value):
    """One line of an order before its price is known. Prices and cost are per unit.

    tier_price: the lowest price of the buyer's tiers, with the tier's name; None without one.
    service: moves no stock and takes part in no promotion (postage, fees).
    """

    line: int
    sku_id: UUID
    quantity: Decimal
    list_price: Decimal
    cost: Decimal | None = None
    tier_price: Decimal | None = None
    tier: str | None = None
    service: bool = False


# What the answer is made of -------------------------------------------------------------------------------------------


class DiscountSource(enum.StrEnum):
    """Where a discount comes from."""

    TIER = "tier"
    CAMPAIGN_PRICE = "campaign_price"
    PERCENTAGE = "percentage"
    THRESHOLD = "threshold"
    FIXED = "fixed"
    GIFT = "gift"
    FREE_SHIPPING = "free_shipping"
    COUPON = "coupon"
    POINTS = "points"
    MANUAL = "manual"


class Discount(Value):
    """A part of a line's (or the freight's) price that is not charged, and why.

    source_id: the campaign or granted coupon behind it; promotion_id: which offer of the campaign.
    """

    source: DiscountSource
    amount_minor: int
    reason: str
    source_id: UUID | None = None
    promotion_id: UUID | None = None


class RejectedOffer(Value):
    """An offer that was looked at and not taken, and why."""

    source: DiscountSource
    reason: str
    source_id: UUID | None = None
    promotion_id: UUID | None = None


class PricedLine(Value):
    """One line with its price: `gross_minor - sum(discounts) == amount_minor >= 0`.

    gross_minor: list price x quantity. unit_price: list, tier or campaign price, before promotions.
    campaign_id: the campaign whose line price is charged (or that gives the gift); with `from_quota` its allocated
    stock is what is sold, and `max_per_customer` is to be redeemed with the customer.
    """

    line: int
    sku_id: UUID
    quantity: Decimal
    list_price: Decimal
    unit_price: Decimal
    gross_minor: int
    discount_minor: int
    amount_minor: int
    discounts: tuple[Discount, ...] = ()
    rejected: tuple[RejectedOffer, ...] = ()
    campaign_id: UUID | None = None
    from_quota: bool = False
    max_per_customer: int | None = None
    gift: bool = False
    service: bool = False


class PricedOrder(Value):
    """The whole order, all amounts in minor units: `goods + freight == total`, and every sum is the sum of its parts.

    lines: those asked for, in order, then gifts. goods_minor: after every discount, points included.
    freight_minor: what is left to pay after `freight_waivers`.
    campaign_discounts: what each campaign gives away here, freight included: the amount to claim of its budget.
    coupon: set when the coupon was taken; one that lost against a better offer is in `rejected` and is not used.
    points_spent: points really needed for `points_minor`, never more than asked.
    """

    lines: tuple[PricedLine, ...]
    gross_minor: int
    discount_minor: int
    goods_minor: int
    freight_minor: int
    freight_waived_minor: int
    total_minor: int
    freight_waivers: tuple[Discount, ...] = ()
    campaign_discounts: dict[UUID, int] = {}
    coupon: CouponTerms | None = None
    coupon_minor: int = 0
    points_spent: int = 0
    points_minor: int = 0
    rejected: tuple[RejectedOffer, ...] = ()


# How it says no -------------------------------------------------------------------------------------------------------


class CouponThresholdNotReached(Refusal):
    """Coupon '{code}' needs goods worth {spend_minor} minor units but these come to {goods_minor}; add goods or leave the coupon out."""


class DiscountBelowCost(Refusal):
    """Line {line} would sell below cost after its discounts; leave an offer out, or have a campaign line approved for it."""


class RegistrationNeeded(Refusal):
    """This campaign price is limited per customer; register before buying."""


def price_order(
    currency: str,
    lines: Sequence[LineToPrice],
    *,
    campaigns: Sequence[CampaignOffers] = (),
    coupon: CouponTerms | None = None,
    buyer: Buyer = GUEST,
    points: Points | None = None,
    freight_minor: int = 0,
    region: str | None = None,
) -> PricedOrder:
    """Price an order; see the module for the rules.

    lines: at least one, numbered 1..n. freight_minor: before waivers. region: where it goes, for freight waivers.
    Refuses: CouponThresholdNotReached, DiscountBelowCost, RegistrationNeeded.
    """
    return _Pricing(currency, lines, campaigns, coupon, buyer).order(points, freight_minor, region)
