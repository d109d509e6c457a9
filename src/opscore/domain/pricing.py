"""What an order costs and why: pure arithmetic on exact integers, the same answer for the same question.

A line's unit price is the lowest of list price, tier price and campaign price; they are never added. On top of that
come promotions, each computed on the same base: an offer that is not stackable stands alone, stackable offers add up,
and the customer gets whichever is worth more. Points come last. Freight and gifts are decided beside the money.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from uuid import UUID

from opscore.domain.refusals import Refusal
from opscore.domain.values import MAX_MINOR, Value, line_amount_minor, plain, share_minor

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

    source_id: the campaign, with `promotion_id`, or else something of the customer's own. sku_ids: the goods it is
    about; None for all. A coupon with a `per_customer_limit` is redeemed with the customer, as one unit of
    (source_id, promotion_id).
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
    per_customer_limit: int | None = None


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
    campaign_ids: campaigns of which a price, an offer or a gift was taken.
    campaign_discounts: what each of them gives away here, freight included: the amount to claim of its budget.
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
    campaign_ids: tuple[UUID, ...] = ()
    campaign_discounts: dict[UUID, int] = {}
    coupon: CouponTerms | None = None
    coupon_minor: int = 0
    points_spent: int = 0
    points_minor: int = 0
    rejected: tuple[RejectedOffer, ...] = ()


# How it says no -------------------------------------------------------------------------------------------------------


class CouponThresholdNotReached(Refusal):
    """Coupon '{code}' needs goods worth {spend_minor} minor units but these come to {goods_minor}; add goods or
    leave the coupon out."""


class DiscountBelowCost(Refusal):
    """Line {line} would sell below cost after its discounts; leave an offer out, or have a campaign line approved
    below cost."""


class RegistrationNeeded(Refusal):
    """This campaign price is limited per customer; register before buying."""


# The arithmetic -------------------------------------------------------------------------------------------------------


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
    """Price an order; the module says by which rules.

    lines: at least one, numbered 1..n. freight_minor: before waivers. region: where it goes, for freight waivers.
    What a promotion asks to be spent is counted at unit prices, before any promotion.
    Refuses: CouponThresholdNotReached, DiscountBelowCost, RegistrationNeeded.
    """
    works = [_unit_price(line, campaigns, buyer, currency) for line in lines]
    rejected: list[RejectedOffer] = []
    coupon_minor = 0
    gifts: list[PricedLine] = []
    waivers: list[Discount] = []
    if campaigns or coupon is not None:
        offers, freight_offers, gifts = _looked_at(campaigns, coupon, works, buyer, region, currency, rejected)
        taken = _best(offers, [work.left_minor for work in works], rejected)
        for offer, parts in taken:
            for work, part in zip(works, parts, strict=True):
                work.take(offer, part)
            if coupon is not None and offer.source is DiscountSource.COUPON:
                coupon_minor = sum(parts)
        waivers = [offer.discount(parts[0]) for offer, parts in _best(freight_offers, [freight_minor], rejected)]
        for index, work in enumerate(works):
            work.require_cost_covered(index, currency)
    points_spent, points_minor = _spend_points(points, works, rejected)
    priced = [work.priced() for work in works]
    priced += gifts
    waived_minor = sum(waiver.amount_minor for waiver in waivers)
    gross_minor = sum(line.gross_minor for line in priced)
    goods_minor = sum(line.amount_minor for line in priced)
    campaign_discounts = _by_campaign(campaigns, coupon, priced, waivers) if campaigns or coupon is not None else {}
    return PricedOrder(
        lines=tuple(priced),
        gross_minor=gross_minor,
        discount_minor=gross_minor - goods_minor,
        goods_minor=goods_minor,
        freight_minor=freight_minor - waived_minor,
        freight_waived_minor=waived_minor,
        total_minor=goods_minor + freight_minor - waived_minor,
        freight_waivers=tuple(waivers),
        campaign_ids=tuple(campaign_discounts),
        campaign_discounts=campaign_discounts,
        coupon=coupon if coupon_minor else None,
        coupon_minor=coupon_minor,
        points_spent=points_spent,
        points_minor=points_minor,
        rejected=tuple(rejected),
    )


@dataclass(slots=True)
class _Work:
    """A line while it is being priced; `left_minor` is what is still to pay."""

    asked: LineToPrice
    unit_price: Decimal
    gross_minor: int
    own_minor: int
    """At the SKU's own prices (list or tier), which were approved with the SKU."""
    base_minor: int
    """At the unit price, which promotions are computed on."""
    left_minor: int
    campaign_id: UUID | None = None
    campaign_line: CampaignLine | None = None
    discounts: list[Discount] = field(default_factory=list)
    rejected: list[RejectedOffer] = field(default_factory=list)

    def take(self, offer: _Offer, amount_minor: int) -> None:
        if amount_minor:
            self.discounts.append(offer.discount(amount_minor))
            self.left_minor -= amount_minor

    def require_cost_covered(self, index: int, currency: str) -> None:
        cost = self.asked.cost
        if cost is None or not self.discounts or (self.campaign_line is not None and self.campaign_line.below_cost):
            return
        if self.left_minor < min(self.own_minor, line_amount_minor(cost, self.asked.quantity, currency)):
            raise DiscountBelowCost(line=self.asked.line, path=("lines", index), ids=[self.asked.sku_id])

    def priced(self) -> PricedLine:
        asked, line = self.asked, self.campaign_line
        return PricedLine(
            line=asked.line,
            sku_id=asked.sku_id,
            quantity=asked.quantity,
            list_price=asked.list_price,
            unit_price=self.unit_price,
            gross_minor=self.gross_minor,
            discount_minor=self.gross_minor - self.left_minor,
            amount_minor=self.left_minor,
            discounts=tuple(self.discounts),
            rejected=tuple(self.rejected),
            campaign_id=self.campaign_id,
            from_quota=line is not None and line.quota is not None,
            max_per_customer=line.max_per_customer if line is not None else None,
            service=asked.service,
        )


@dataclass(slots=True)
class _Offer:
    """An offer whose conditions are met: an amount to split over lines in proportion, or an amount for each line."""

    source: DiscountSource
    label: str
    stackable: bool
    source_id: UUID | None
    promotion_id: UUID | None
    goods: list[bool]
    """For each line whether the offer is about it."""
    total_minor: int = 0
    each_minor: list[int] | None = None

    def parts(self, left: list[int]) -> list[int]:
        """Return what the offer takes off each line when this much is left on them; never more than that."""
        if self.each_minor is not None:
            return [min(part, rest) for part, rest in zip(self.each_minor, left, strict=True)]
        weights = [rest if concerned else 0 for rest, concerned in zip(left, self.goods, strict=True)]
        total = min(self.total_minor, sum(weights))
        return share_minor(total, weights) if total else [0] * len(left)

    def discount(self, amount_minor: int) -> Discount:
        return Discount(
            source=self.source,
            amount_minor=amount_minor,
            reason=self.label,
            source_id=self.source_id,
            promotion_id=self.promotion_id,
        )

    def rejection(self, reason: str) -> RejectedOffer:
        return RejectedOffer(
            source=self.source, reason=reason, source_id=self.source_id, promotion_id=self.promotion_id
        )


def _unit_price(line: LineToPrice, campaigns: Sequence[CampaignOffers], buyer: Buyer, currency: str) -> _Work:
    """Choose the lowest of list, tier and campaign price; the campaign wins a tie, because its stock is kept for it."""
    gross_minor = line_amount_minor(line.list_price, line.quantity, currency)
    tier_price = line.tier_price
    by_tier = tier_price is not None and tier_price < line.list_price
    own_price = tier_price if tier_price is not None and by_tier else line.list_price
    own_minor = line_amount_minor(own_price, line.quantity, currency) if by_tier else gross_minor
    work = _Work(line, own_price, gross_minor, own_minor, own_minor, own_minor)
    best: CampaignOffers | None = None
    if campaigns and not line.service:
        for campaign in campaigns:
            terms = campaign.lines.get(line.sku_id)
            if terms is None:
                continue
            if terms.price < work.unit_price or (best is None and terms.price == work.unit_price):
                if best is not None:
                    work.rejected.append(_price_rejection(best, "another campaign's price is lower"))
                best, work.unit_price, work.campaign_line = campaign, terms.price, terms
            else:
                work.rejected.append(_price_rejection(campaign, "the price without it is not higher"))
    if best is not None:
        if work.campaign_line is not None and work.campaign_line.max_per_customer is not None and not buyer.registered:
            raise RegistrationNeeded(path=("lines", line.line - 1), ids=[best.campaign_id])
        work.campaign_id = best.campaign_id
        work.base_minor = work.left_minor = line_amount_minor(work.unit_price, line.quantity, currency)
        if gross_minor > work.base_minor:
            work.discounts.append(
                Discount(
                    source=DiscountSource.CAMPAIGN_PRICE,
                    amount_minor=gross_minor - work.base_minor,
                    reason=f"campaign price {plain(work.unit_price)} of {best.name}",
                    source_id=best.campaign_id,
                )
            )
        if by_tier:
            reason = "the campaign price is not higher; prices are not added"
            work.rejected.append(RejectedOffer(source=DiscountSource.TIER, reason=reason))
    elif gross_minor > own_minor:
        reason = f"{line.tier or 'member'} price {plain(own_price)}"
        work.discounts.append(Discount(source=DiscountSource.TIER, amount_minor=gross_minor - own_minor, reason=reason))
    return work


def _price_rejection(campaign: CampaignOffers, reason: str) -> RejectedOffer:
    return RejectedOffer(source=DiscountSource.CAMPAIGN_PRICE, reason=reason, source_id=campaign.campaign_id)


def _looked_at(
    campaigns: Sequence[CampaignOffers],
    coupon: CouponTerms | None,
    works: list[_Work],
    buyer: Buyer,
    region: str | None,
    currency: str,
    rejected: list[RejectedOffer],
) -> tuple[list[_Offer], list[_Offer], list[PricedLine]]:
    """Return the offers whose conditions are met: on goods, on freight, and gifts as lines; the others are rejected."""
    money: list[tuple[int, _Offer]] = []
    freight: list[_Offer] = []
    gifts: list[tuple[_Offer, GiftWithPurchase, Decimal]] = []
    for campaign in campaigns:
        for promotion in campaign.promotions:
            if promotion.form is PromotionForm.COUPON:
                continue  # A coupon takes part when its code is given; offers of other codes are nobody's business.
            offer = _Offer(
                source=DiscountSource(promotion.form.value),
                label=promotion.label,
                stackable=promotion.stackable,
                source_id=campaign.campaign_id,
                promotion_id=promotion.promotion_id,
                goods=[
                    not work.asked.service
                    and (promotion.scope is PromotionScope.STORE or work.asked.sku_id in campaign.lines)
                    for work in works
                ],
            )
            reason = _unmet(promotion, offer, works, buyer, region, currency)
            if reason is not None:
                rejected.append(offer.rejection(reason))
            elif promotion.gift is not None:
                gifts.append((offer, promotion.gift, _goods_quantity(offer, works)))
            elif promotion.free_shipping is not None:
                freight.append(offer)
            else:
                money.append((_ORDER_OF_FORMS.index(promotion.form), offer))
    if coupon is not None:
        money.append((len(_ORDER_OF_FORMS), _coupon_offer(coupon, works)))
    money.sort(key=_first)
    return [offer for _, offer in money], freight, _gift_lines(gifts, len(works), rejected)


_ORDER_OF_FORMS = (PromotionForm.PERCENTAGE, PromotionForm.FIXED, PromotionForm.THRESHOLD)
"""Stackable offers are taken in this order, coupons last; it decides only which of them is cut when nothing is left."""


def _first(pair: tuple[int, _Offer]) -> int:
    return pair[0]


def _goods_minor(offer: _Offer, works: list[_Work]) -> int:
    return sum(work.base_minor for work, concerned in zip(works, offer.goods, strict=True) if concerned)


def _goods_quantity(offer: _Offer, works: list[_Work]) -> Decimal:
    quantities = [work.asked.quantity for work, concerned in zip(works, offer.goods, strict=True) if concerned]
    return sum(quantities, Decimal(0))


def _unmet(
    promotion: Promotion, offer: _Offer, works: list[_Work], buyer: Buyer, region: str | None, currency: str
) -> str | None:
    """Put the promotion's amounts into `offer`; return the condition that is not met, or None."""
    unwanted = outside(promotion.member_scope, promotion.tiers, buyer)
    if unwanted is not None:
        return unwanted
    if not any(offer.goods):
        return "none of its goods are in the order"
    goods_minor = _goods_minor(offer, works)
    if promotion.percentage is not None:
        terms = promotion.percentage
        if terms.min_quantity is not None and _goods_quantity(offer, works) < terms.min_quantity:
            return f"needs {plain(terms.min_quantity)} units of its goods"
        offer.each_minor = [
            _percent_of(work.base_minor, terms.percent) if concerned else 0
            for work, concerned in zip(works, offer.goods, strict=True)
        ]
    elif promotion.threshold is not None:
        reached = [step for step in promotion.threshold.steps if step.spend_minor <= goods_minor]
        if not reached:
            lowest = min(step.spend_minor for step in promotion.threshold.steps)
            return f"needs goods worth {lowest} minor units; these come to {goods_minor}"
        offer.total_minor = max(step.off_minor for step in reached)
    elif promotion.fixed is not None:
        if promotion.fixed.each_unit:
            offer.each_minor = [
                _rounded(promotion.fixed.off_minor * work.asked.quantity) if concerned else 0
                for work, concerned in zip(works, offer.goods, strict=True)
            ]
        else:
            offer.total_minor = promotion.fixed.off_minor
    elif promotion.gift is not None:
        gift = promotion.gift
        if goods_minor < gift.spend_minor:
            return f"needs goods worth {gift.spend_minor} minor units; these come to {goods_minor}"
        if gift.min_quantity is not None and _goods_quantity(offer, works) < gift.min_quantity:
            return f"needs {plain(gift.min_quantity)} units of its goods"
    elif promotion.free_shipping is not None:
        waiver = promotion.free_shipping
        if goods_minor < waiver.spend_minor:
            return f"needs goods worth {waiver.spend_minor} minor units; these come to {goods_minor}"
        if waiver.regions and region not in waiver.regions:
            return f"not for region {region or 'unknown'}"
        offer.goods = [True]
        offer.total_minor = MAX_MINOR if waiver.waive_up_to_minor is None else waiver.waive_up_to_minor
    return None


def outside(scope: MemberScope, tiers: Sequence[str], buyer: Buyer) -> str | None:
    """Say why an offer for this circle is not for this buyer; None when it is."""
    if scope is MemberScope.EVERYONE:
        return None
    if not buyer.registered:
        return "only for registered customers"
    if scope is MemberScope.MEMBERS and not buyer.tiers:
        return "only for members"
    if scope is MemberScope.TIERS and not set(tiers) & set(buyer.tiers):
        return f"only for tier {', '.join(tiers)}"
    return None


def _coupon_offer(coupon: CouponTerms, works: list[_Work]) -> _Offer:
    """Return the coupon as an offer. It was asked for, so it is refused rather than left out when it does not apply."""
    offer = _Offer(
        source=DiscountSource.COUPON,
        label=coupon.label,
        stackable=coupon.stackable,
        source_id=coupon.source_id,
        promotion_id=coupon.promotion_id,
        goods=[
            not work.asked.service and (coupon.sku_ids is None or work.asked.sku_id in coupon.sku_ids) for work in works
        ],
    )
    goods_minor = _goods_minor(offer, works)
    if goods_minor < coupon.spend_minor or not any(offer.goods):
        raise CouponThresholdNotReached(
            code=coupon.code or coupon.label,
            spend_minor=coupon.spend_minor,
            goods_minor=goods_minor,
            path=("coupon_code",),
            ids=[coupon.source_id],
        )
    off_minor = coupon.off_minor if coupon.off_minor is not None else goods_minor
    if coupon.percent is not None:
        off_minor = _percent_of(goods_minor, coupon.percent)
    offer.total_minor = off_minor if coupon.max_off_minor is None else min(off_minor, coupon.max_off_minor)
    return offer


def _best(offers: list[_Offer], left: list[int], rejected: list[RejectedOffer]) -> list[tuple[_Offer, list[int]]]:
    """Choose what is worth most to the customer: all stackable offers together, or one other alone.

    Returns the offers taken with their part of each line; `left` bounds the parts line by line.
    """
    if not offers:
        return []
    together, together_minor = [], 0
    rest = list(left)
    for offer in offers:
        if offer.stackable:
            parts = offer.parts(rest)
            rest = [minor - part for minor, part in zip(rest, parts, strict=True)]
            together.append((offer, parts))
            together_minor += sum(parts)
    alone: tuple[_Offer, list[int]] | None = None
    alone_minor = 0
    for offer in offers:
        if not offer.stackable and (minor := sum(parts := offer.parts(left))) > alone_minor:
            alone, alone_minor = (offer, parts), minor
    if alone is not None and alone_minor > together_minor:
        chosen, reason = [alone], f"cannot be combined with '{alone[0].label}', which gives as much or more"
    else:
        chosen, reason = together, "stands alone, and the offers taken together give as much or more"
    taken = {id(offer) for offer, parts in chosen if any(parts)}
    for offer in offers:
        if id(offer) not in taken:
            idle = (offer.stackable and chosen is together) or not any(offer.parts(left))
            rejected.append(offer.rejection("there is nothing left to take off" if idle else reason))
    return [(offer, parts) for offer, parts in chosen if any(parts)]


def _gift_lines(
    gifts: list[tuple[_Offer, GiftWithPurchase, Decimal]], after: int, rejected: list[RejectedOffer]
) -> list[PricedLine]:
    """Return a zero-price line for every stackable gift and for the one other gift that asks the most spending."""
    alone = max((pair for pair in gifts if not pair[0].stackable), key=_spend_needed, default=None)
    lines: list[PricedLine] = []
    for pair in gifts:
        offer, gift, bought = pair
        if not offer.stackable and pair is not alone:
            rejected.append(offer.rejection("stands alone, and a gift for more spending was given"))
            continue
        times = int(bought // gift.min_quantity) if gift.repeats and gift.min_quantity else 1
        lines.append(
            PricedLine(
                line=after + len(lines) + 1,
                sku_id=gift.sku_id,
                quantity=gift.quantity * times,
                list_price=Decimal(0),
                unit_price=Decimal(0),
                gross_minor=0,
                discount_minor=0,
                amount_minor=0,
                discounts=(offer.discount(0),),
                campaign_id=offer.source_id,
                gift=True,
            )
        )
    return lines


def _spend_needed(pair: tuple[_Offer, GiftWithPurchase, Decimal]) -> int:
    return pair[1].spend_minor


def _spend_points(points: Points | None, works: list[_Work], rejected: list[RejectedOffer]) -> tuple[int, int]:
    """Spread points over what is left to pay for goods; return (points really spent, their value in minor units)."""
    if points is None or points.points <= 0 or points.minor_per_point <= 0:
        return 0, 0
    worth = int((points.points * points.minor_per_point).to_integral_value(rounding=ROUND_FLOOR))
    offer = _Offer(
        source=DiscountSource.POINTS,
        label="points",
        stackable=True,
        source_id=None,
        promotion_id=None,
        goods=[not work.asked.service for work in works],
        total_minor=worth,
    )
    parts = offer.parts([work.left_minor for work in works])
    spent_minor = sum(parts)
    if not spent_minor:
        rejected.append(offer.rejection("there is nothing left to pay with points"))
        return 0, 0
    for work, part in zip(works, parts, strict=True):
        work.take(offer, part)
    spent = int((spent_minor / points.minor_per_point).to_integral_value(rounding=ROUND_CEILING))
    return min(spent, points.points), spent_minor


def _by_campaign(
    campaigns: Sequence[CampaignOffers], coupon: CouponTerms | None, lines: list[PricedLine], waivers: list[Discount]
) -> dict[UUID, int]:
    """Return what each campaign that is used gives away, in minor units."""
    known = {campaign.campaign_id for campaign in campaigns}
    if coupon is not None and coupon.promotion_id is not None:
        known.add(coupon.source_id)
    sums: dict[UUID, int] = {}
    for line in lines:
        if line.campaign_id is not None:
            sums.setdefault(line.campaign_id, 0)
        for discount in line.discounts:
            if discount.source_id in known:
                sums[discount.source_id] = sums.get(discount.source_id, 0) + discount.amount_minor
    for waiver in waivers:
        if waiver.source_id is not None:
            sums[waiver.source_id] = sums.get(waiver.source_id, 0) + waiver.amount_minor
    return sums


def _percent_of(amount_minor: int, percent: Decimal) -> int:
    return _rounded(amount_minor * percent / 100)


def _rounded(amount: Decimal) -> int:
    return int(amount.to_integral_value(rounding=ROUND_HALF_EVEN))
