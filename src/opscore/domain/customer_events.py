"""A customer's record: what is on record about them, and how it says no. What these add up to is in customer.py."""

from __future__ import annotations

import enum
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from opscore.domain.aggregate import Event, FirstEvent
from opscore.domain.refusals import Refusal
from opscore.domain.values import Sealed, Value

# What is on record ---------------------------------------------------------------------------------------------------


class CustomerStatus(enum.StrEnum):
    """Whether a customer may act."""

    REGISTERED = "registered"
    BLOCKED = "blocked"
    MERGED = "merged"
    ERASED = "erased"


class ConsentChannel(enum.StrEnum):
    """What a customer may agree to be reached by."""

    EMAIL = "email"
    SMS = "sms"
    PHONE = "phone"
    POST = "post"
    WECHAT = "wechat"


class MembershipSource(enum.StrEnum):
    """Why somebody became a member."""

    SPEND = "spend"
    PAID = "paid"
    CAMPAIGN = "campaign"
    GRANTED = "granted"


class BlockReason(enum.StrEnum):
    """Why somebody may not order; a word of this list, so that nothing personal gets into the record."""

    FRAUD = "fraud"
    UNPAID = "unpaid"
    ABUSE = "abuse"
    REQUEST = "request"
    OTHER = "other"


class HeldCoupon(Value):
    """A coupon in a customer's hands: `off_minor` or `percent` off goods worth at least `spend_minor`."""

    coupon_id: UUID
    code: str
    currency: str
    off_minor: int | None = None
    percent: Decimal | None = None
    max_off_minor: int | None = None
    spend_minor: int = 0
    campaign_id: UUID | None = None
    only_store_id: UUID | None = None
    valid_from: datetime | None = None
    expires_at: datetime | None = None
    used_by: UUID | None = None
    """The order it was used on."""


class LotUse(Value):
    """Points taken from one lot, or put back into it."""

    lot_id: UUID
    amount: int
    expires_at: datetime | None = None


class RedemptionCount(Value):
    """How many units of a campaign's line a customer has had."""

    campaign_id: UUID
    sku_id: UUID
    quantity: Decimal


class SpendTotal(Value):
    """Running spend in one currency."""

    currency: str
    amount_minor: int


class PointsLot(Value):
    """Points left of one earning."""

    lot_id: UUID
    amount: int
    expires_at: datetime | None = None

    def lives_at(self, at: datetime) -> bool:
        """Say whether the points can still be spent."""
        return self.expires_at is None or at < self.expires_at


class Earning(Value):
    """What a rule gave for one reference, and what was taken back of it."""

    rule: str
    reference: str
    amount: int
    base_minor: int = 0
    currency: str | None = None
    reversed: int = 0
    refunded_minor: int = 0
    refund_ids: tuple[UUID, ...] = ()


class CustomerRegistered(FirstEvent):
    """Somebody became a customer of this store; the reference is the platform's opaque one, never a name or address."""

    store_id: UUID
    channel: str
    external_reference: str | None = None
    referrer_id: UUID | None = None
    campaign_id: UUID | None = None
    region: str | None = None
    birth_year: int | None = None


class ContactCardSet(Event):
    """The customer agreed that this card is kept; it replaces the one before. The card is a JSON object, sealed."""

    card: Sealed
    region: str | None = None


class CustomerContactDisclosed(Event):
    """Somebody was shown the contact card: who looked, and why. What they saw is not repeated here."""

    reader: str
    reason: str


class ConsentSet(Event):
    """The customer agreed, or no longer agrees, to be reached by a channel."""

    channel: ConsentChannel
    granted: bool


class MembershipJoined(Event):
    """The customer became a member."""

    source: MembershipSource
    tier: str
    policy_version: int


class TierChanged(Event):
    """The member moved to another tier."""

    from_tier: str
    to_tier: str
    policy_version: int
    reason: str | None = None


class PointsEarned(Event):
    """A rule gave points for something that happened once; they form a lot."""

    lot_id: UUID
    rule: str
    reference: str
    amount: int
    expires_at: datetime | None = None
    base_minor: int = 0
    """The purchase amount it was reckoned from; 0 for a fixed number."""
    currency: str | None = None
    """Of the purchase amount, when it was reckoned from one."""
    policy_version: int = 0
    reason: str | None = None


class PointsSpent(Event):
    """Points paid for a part of an order."""

    order_id: UUID
    amount: int
    lots: tuple[LotUse, ...]


class PointsReturned(Event):
    """Points that an order had spent came back into the lots they were taken from."""

    order_id: UUID
    amount: int
    lots: tuple[LotUse, ...]


class PointsReversed(Event):
    """Points that had been earned were taken back, spent or not: the balance may fall below zero."""

    lot_id: UUID
    rule: str
    reference: str
    amount: int
    refund_id: UUID | None = None
    refunded_minor: int = 0
    """The refunded part of the purchase amount."""
    currency: str | None = None
    """Of the purchase amount."""


class PointsExpired(Event):
    """Points lapsed with their lots."""

    amount: int
    lots: tuple[LotUse, ...]


class CouponGranted(Event):
    """The customer was given a coupon: what it takes off, from how much spend, where and until when."""

    coupon_id: UUID
    code: str
    currency: str
    off_minor: int | None = None
    percent: Decimal | None = None
    max_off_minor: int | None = None
    spend_minor: int = 0
    campaign_id: UUID | None = None
    only_store_id: UUID | None = None
    valid_from: datetime | None = None
    expires_at: datetime | None = None


class CouponUsed(Event):
    """A coupon was used on an order."""

    coupon_id: UUID
    order_id: UUID


class CouponReturned(Event):
    """A coupon came back from an order that came to nothing."""

    coupon_id: UUID
    order_id: UUID


class CampaignRedeemed(Event):
    """An order took units of a campaign's line, which count against the limit per customer."""

    campaign_id: UUID
    sku_id: UUID
    order_id: UUID
    quantity: Decimal


class RedemptionReversed(Event):
    """Units of a campaign's line no longer count: their order came to nothing."""

    campaign_id: UUID
    sku_id: UUID
    order_id: UUID
    quantity: Decimal


class SpendCredited(Event):
    """A completed order counts towards the customer's running spend."""

    order_id: UUID
    amount_minor: int
    currency: str


class SpendDebited(Event):
    """A refund lowers the customer's running spend."""

    order_id: UUID
    refund_id: UUID
    amount_minor: int
    currency: str


class ReferralMade(Event):
    """It became known after registration who had brought this customer."""

    referrer_id: UUID


class ReferralRewarded(Event):
    """The referrer of this customer was rewarded, once."""

    referrer_id: UUID
    amount: int


class CustomersMerged(Event):
    """Another record of the same person was taken in, with everything it held."""

    merged_id: UUID
    lots: tuple[LotUse, ...] = ()
    owed: int = 0
    coupons: tuple[HeldCoupon, ...] = ()
    redemptions: tuple[RedemptionCount, ...] = ()
    spend: tuple[SpendTotal, ...] = ()
    references: tuple[str, ...] = ()
    tier: str | None = None
    """The tier that was taken over, when this record had none."""


class CustomerMergedInto(Event):
    """This record was given up: what it held is at another one now."""

    into_id: UUID
    lots: tuple[LotUse, ...] = ()
    owed: int = 0


class CustomerBlocked(Event):
    """The customer may not order."""

    reason: BlockReason


class CustomerUnblocked(Event):
    """The customer may order again."""


class CustomerErased(Event):
    """The customer's key was destroyed: nothing personal can be read any more."""


# How it says no ------------------------------------------------------------------------------------------------------


class CustomerNotActive(Refusal):
    """This customer is {status}; {remedy}."""


class OpenOrders(Refusal):
    """Orders of this customer are still to be paid or sent; ship or cancel them, then erase: the address goes too."""


class ConsentMissing(Refusal):
    """A contact card is kept only with the customer's consent; ask for it first."""


class ContactTaken(Refusal):
    """Another customer has this {what}; merge the two records if they are one person."""


class SelfReferral(Refusal):
    """Nobody brings themselves, nor somebody who brought them; name another referrer."""


class AlreadyReferred(Refusal):
    """It is on record already who brought this customer."""


class NotReferred(Refusal):
    """Nobody is on record as having brought this customer."""


class AlreadyRewarded(Refusal):
    """The referrer of this customer has been rewarded; a reward is given once."""


class NoFirstOrder(Refusal):
    """This customer has completed no order yet; the referrer is rewarded after the first one."""


class AlreadyMember(Refusal):
    """The customer is a member of the tier '{tier}' already; change the tier instead."""


class NotMember(Refusal):
    """The customer is no member yet; join first."""


class TierNotOffered(Refusal):
    """The membership policy has no tier '{tier}'; the tiers are {known}."""


class SpendThresholdNotReached(Refusal):
    """The tier '{tier}' is given by spend from {needed}; the customer has spent {spent_minor} minor units."""


class TierUnchanged(Refusal):
    """The member has the tier '{tier}' already."""


class PointsRuleOff(Refusal):
    """No points are given for '{rule}'; set a rule for it in the policy points first."""


class AlreadyEarned(Refusal):
    """'{rule}' has given points for '{reference}' already; each earns once."""


class NotEarned(Refusal):
    """'{rule}' gave no points for '{reference}' that could be taken back."""


class PointsInsufficient(Refusal):
    """Only {available} points can be spent, not {asked}; spend at most that."""


class CouponLimitReached(Refusal):
    """The customer has had {granted} coupons with the code '{code}', which is the limit."""


class CouponUsedAlready(Refusal):
    """The coupon '{code}' has been used on another order; leave it out."""


class CouponOutOfTime(Refusal):
    """The coupon '{code}' can be used from {valid_from} to {expires_at} only; leave it out."""


class CouponElsewhere(Refusal):
    """The coupon '{code}' is for another store or currency; leave it out."""


class CampaignLimitReached(Refusal):
    """A customer may have {max_per_customer} of this line and has had {redeemed}; {asked} more are too many."""


class AlreadyCredited(Refusal):
    """This order counts towards the customer's spend already."""


class NotCredited(Refusal):
    """This order never counted towards the customer's spend."""
