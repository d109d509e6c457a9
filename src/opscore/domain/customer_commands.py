"""What can be asked for about a customer: who they are, membership, points, coupons, and the end of a record."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, ClassVar, cast
from uuid import UUID

import msgspec
from msgspec import Meta

from opscore.domain.aggregate import AGGREGATE_CLASSES, Aggregate
from opscore.domain.command import Command, Role, UnitOfWork
from opscore.domain.customer import Customer
from opscore.domain.customer_events import (
    AlreadyCredited,
    AlreadyEarned,
    AlreadyMember,
    AlreadyReferred,
    AlreadyRewarded,
    BlockReason,
    CampaignLimitReached,
    ConsentChannel,
    ConsentMissing,
    ContactTaken,
    CouponElsewhere,
    CouponLimitReached,
    CouponOutOfTime,
    CouponUsedAlready,
    CustomerNotActive,
    HeldCoupon,
    MembershipSource,
    NoFirstOrder,
    NotCredited,
    NotEarned,
    NotMember,
    NotReferred,
    OpenOrders,
    PointsInsufficient,
    PointsRuleOff,
    SelfReferral,
    SpendThresholdNotReached,
    TierNotOffered,
    TierUnchanged,
)
from opscore.domain.mergers import hand_on, merge, merged_into, records_of, survivor
from opscore.domain.policies import Membership, Points
from opscore.domain.refusals import (
    CurrencyMismatch,
    InvalidField,
    NotAuthorised,
    NotFound,
    ReasonMissing,
    ReferenceTaken,
    Refusal,
    WrongState,
)
from opscore.domain.store import Store
from opscore.domain.values import Code, Count, Currency, Label, NonNegativeMinor, PositiveMinor, Reason, Text, Value

if TYPE_CHECKING:
    from opscore.domain.order import Order

Moment = Annotated[datetime, Meta(tz=True)]
CustomerId = Annotated[UUID, Meta(description="The customer.")]
OrderId = Annotated[UUID, Meta(description="The order.")]

SERVICE_DESK = frozenset({Role.OWNER, Role.MANAGER, Role.SERVICE})
SHOPFRONT = SERVICE_DESK | {Role.STOREFRONT}
THEMSELVES = SHOPFRONT | {Role.CUSTOMER}
PROMOTERS = SERVICE_DESK | {Role.PROMOTER}
BOOKKEEPERS = frozenset({Role.OWNER, Role.MANAGER})

SHOWN_MAX = 50
"""How many ids a refusal names."""

MANUAL = "manual"
"""The rule by which a person gives points of their own accord, with a reason."""
PURCHASE = "purchase"
REFERRAL = "referral"


def own_customer(work: UnitOfWork, customer_id: UUID) -> Customer:
    """Return a customer in the actor's scope; a customer sees only themselves, any other is NotFound to them."""
    if work.actor.role is Role.CUSTOMER and work.actor.customer_id != customer_id:
        raise NotFound(what="customer", path=("customer_id",), ids=[customer_id])
    return work.customer(customer_id)


def order_of(work: UnitOfWork, customer: Customer, order_id: UUID) -> Order:
    """Return an order of the customer that may still take something of theirs; refuses NotFound, WrongState."""
    order = work.order(order_id)
    if order.customer_id != customer.id:
        raise NotFound(what="order of this customer", path=("order_id",), ids=[order_id])
    if order.cancelled_at is not None:
        raise WrongState(what="order", state="cancelled", needed="not cancelled", path=("order_id",), ids=[order_id])
    return order


def contact_name(what: str, value: str) -> str:
    """Return what is hashed for the look-up of an e-mail address or a phone number, however it is spelt."""
    spelt = value.strip().casefold() if what == "email" else re.sub(r"[^\d+]", "", value)
    return f"{what}:{spelt}"


# Who they are --------------------------------------------------------------------------------------------------------


class RegisterCustomer(Command):
    """Take in a customer."""

    AGGREGATE: ClassVar[type[Aggregate]] = Customer
    ROLES: ClassVar[frozenset[Role]] = SHOPFRONT
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (ReferenceTaken, CustomerNotActive)

    store_id: Annotated[UUID, Meta(description="The store that the customer came to.")]
    channel: Annotated[Code, Meta(description="How they came: shop, app, wechat, import, ...")]
    external_reference: Annotated[
        Code | None,
        Meta(description="The platform's opaque id of the customer; never a name, address or number of theirs."),
    ] = None
    referrer_id: Annotated[UUID | None, Meta(description="The customer who brought them.")] = None
    campaign_id: Annotated[UUID | None, Meta(description="The campaign that brought them.")] = None
    region: Annotated[Label | None, Meta(description="Region, for figures.")] = None
    birth_year: Annotated[int | None, Meta(description="Year of birth, for figures.")] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Take the reference, begin the customer."""
        store = work.store(self.store_id)
        customer_id = work.new_id()
        if self.external_reference is not None:
            work.require_free(
                "customer_reference", "operator", self.external_reference, customer_id, path=("external_reference",)
            )
        if self.campaign_id is not None:
            work.campaign(self.campaign_id, seen=True)
        referrer = None
        if self.referrer_id is not None:
            referrer = work.customer(self.referrer_id, path=("referrer_id",), seen=True)
        customer = Customer.register(
            customer_id,
            store.id,
            work.occurred_at,
            channel=self.channel,
            external_reference=self.external_reference,
            referrer=referrer,
            campaign_id=self.campaign_id,
            region=self.region,
            birth_year=self.birth_year,
        )
        work.add(customer)
        if self.external_reference is not None:
            work.claim("customer_reference", "operator", self.external_reference, customer_id)
        return customer_id


class ContactCard(Value):
    """What is sealed of a contact card."""

    name: str | None = None
    phone: str | None = None
    email: str | None = None
    address: str | None = None
    remark: str | None = None


class SetContactCard(Command):
    """Keep a customer's contact card, encrypted under a key that erasure destroys; it replaces the one before."""

    AGGREGATE: ClassVar[type[Aggregate]] = Customer
    ROLES: ClassVar[frozenset[Role]] = THEMSELVES
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (ConsentMissing, ContactTaken, CustomerNotActive)

    customer_id: CustomerId
    consent: Annotated[bool, Meta(description="That the customer agreed to have this kept.")]
    name: Annotated[Label | None, Meta(description="Name.")] = None
    phone: Annotated[Label | None, Meta(description="Phone number.")] = None
    email: Annotated[Label | None, Meta(description="E-mail address.")] = None
    address: Annotated[Text | None, Meta(description="Postal address.")] = None
    remark: Annotated[Text | None, Meta(description="Anything else.")] = None
    region: Annotated[Label | None, Meta(description="Region, for figures; not encrypted.")] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Check consent and that no other customer has this address or number, then seal."""
        customer = own_customer(work, self.customer_id)
        customer.require_contact_card(self.consent)
        card = ContactCard(name=self.name, phone=self.phone, email=self.email, address=self.address, remark=self.remark)
        if card == ContactCard():
            raise InvalidField(why="the card is empty", path=("name",))
        # Only hashes leave this decision, and only into the look-up table, where erasure deletes them.
        hashes = {
            what: work.keyed_hash(contact_name(what, value))
            for what, value in (("email", self.email), ("phone", self.phone))
            if value is not None
        }
        for what, hashed in hashes.items():
            holder = work.holder("contact", what, hashed)
            # What is on the card of a record that was merged into theirs, however long ago, is theirs.
            if holder is not None and records_of(work, work.customer(holder, scoped=False))[-1] is not customer:
                raise ContactTaken(
                    what="e-mail address" if what == "email" else "phone number", path=(what,), ids=work.shown(holder)
                )
        sealed = work.seal(customer.id, msgspec.json.encode(card).decode())
        region = customer.region if self.region is None else self.region
        customer.set_contact_card(sealed, region, work.occurred_at)
        work.release_all("contact", customer.id)
        for what, hashed in hashes.items():
            work.claim("contact", what, hashed, customer.id)
        return customer.id


class SetConsent(Command):
    """Take down whether a customer wants to be reached by a channel."""

    AGGREGATE: ClassVar[type[Aggregate]] = Customer
    ROLES: ClassVar[frozenset[Role]] = THEMSELVES
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (CustomerNotActive,)

    customer_id: CustomerId
    channel: Annotated[ConsentChannel, Meta(description="By what.")]
    granted: Annotated[bool, Meta(description="Whether they agree.")]

    def decide(self, work: UnitOfWork) -> UUID:
        """Take it down."""
        own_customer(work, self.customer_id).set_consent(self.channel, self.granted, work.occurred_at)
        return self.customer_id


class BlockCustomer(Command):
    """Take no more orders from a customer; what is theirs stays theirs."""

    AGGREGATE: ClassVar[type[Aggregate]] = Customer
    ROLES: ClassVar[frozenset[Role]] = SERVICE_DESK
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (CustomerNotActive,)

    customer_id: CustomerId
    reason: Annotated[BlockReason, Meta(description="Why.")]

    def decide(self, work: UnitOfWork) -> UUID:
        """Block."""
        work.customer(self.customer_id).block(self.reason, work.occurred_at)
        return self.customer_id


class UnblockCustomer(Command):
    """Take orders from a customer again."""

    AGGREGATE: ClassVar[type[Aggregate]] = Customer
    ROLES: ClassVar[frozenset[Role]] = SERVICE_DESK
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (CustomerNotActive,)

    customer_id: CustomerId

    def decide(self, work: UnitOfWork) -> UUID:
        """Unblock."""
        work.customer(self.customer_id).unblock(work.occurred_at)
        return self.customer_id


class MergeCustomers(Command):
    """Make one customer of two records of the same person; orders stay with the record they were placed under."""

    AGGREGATE: ClassVar[type[Aggregate]] = Customer
    ROLES: ClassVar[frozenset[Role]] = SERVICE_DESK
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (CustomerNotActive,)

    customer_id: Annotated[UUID, Meta(description="The record that stays.")]
    other_id: Annotated[UUID, Meta(description="The record that is given up.")]

    def decide(self, work: UnitOfWork) -> UUID:
        """Move everything over; platform references lead to the record that stays."""
        customer = work.customer(self.customer_id)
        other = work.customer(self.other_id, path=("other_id",))
        references = list(other.references)
        at = work.occurred_at
        store = work.get(Store, customer.store_id, scoped=False)
        membership, version = store.policy(Membership, at), store.policy_version(Membership, at)
        merge(customer, other, membership, version, store.currency, at)
        for reference in references:
            work.release("customer_reference", "operator", reference, other.id)
            work.claim("customer_reference", "operator", reference, customer.id)
        return customer.id


class EraseCustomer(Command):
    """Forget a person with all their records: the keys are destroyed, so nothing personal can be read again, ever."""

    AGGREGATE: ClassVar[type[Aggregate]] = Customer
    ROLES: ClassVar[frozenset[Role]] = SERVICE_DESK | {Role.CUSTOMER}
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (OpenOrders,)

    customer_id: CustomerId

    def decide(self, work: UnitOfWork) -> UUID:
        """Check that nothing is on its way to them, then forget every record of theirs, whichever of them is named."""
        kept = records_of(work, own_customer(work, self.customer_id))[-1]
        seen = [kept, *merged_into(work, kept)]
        unfinished = [order for customer in seen for order in work.orders_of(customer.id) if order.is_open]
        if unfinished:
            # That there are some has to be told; which ones, only to who may see them.
            shown = [order.id for order in unfinished if work.actor.may_see(order)]
            raise OpenOrders(path=("customer_id",), ids=sorted(shown)[:SHOWN_MAX])
        for customer in seen:
            references = list(customer.references)
            customer.erase(work.occurred_at)
            for reference in references:
                work.release("customer_reference", "operator", reference, customer.id)
            work.release_all("contact", customer.id)
            work.erase(customer.id)
        return self.customer_id


# Referral and membership ---------------------------------------------------------------------------------------------


class ReferCustomer(Command):
    """Take down afterwards who brought a customer, before their first order is completed."""

    AGGREGATE: ClassVar[type[Aggregate]] = Customer
    ROLES: ClassVar[frozenset[Role]] = SHOPFRONT
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (SelfReferral, AlreadyReferred, CustomerNotActive)

    customer_id: Annotated[UUID, Meta(description="The customer who was brought.")]
    referrer_id: Annotated[UUID, Meta(description="The customer who brought them.")]

    def decide(self, work: UnitOfWork) -> UUID:
        """Follow the referrers upwards, so that nobody comes to have brought themselves."""
        customer = work.customer(self.customer_id)
        referrer = work.customer(self.referrer_id, path=("referrer_id",), seen=True)
        ancestors: list[UUID] = []
        next_id = referrer.referrer_id
        while next_id is not None and next_id not in ancestors:
            ancestors.append(next_id)
            next_id = work.customer(next_id, scoped=False).referrer_id
        customer.refer(referrer, ancestors, work.occurred_at, merged=merged_into(work, customer))
        return customer.id


class RewardReferral(Command):
    """Give the referrer of a customer their points, once, after the customer's first completed order."""

    AGGREGATE: ClassVar[type[Aggregate]] = Customer
    ROLES: ClassVar[frozenset[Role]] = BOOKKEEPERS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (
        NotReferred,
        SelfReferral,
        AlreadyRewarded,
        NoFirstOrder,
        PointsRuleOff,
        AlreadyEarned,
        CustomerNotActive,
    )

    customer_id: Annotated[UUID, Meta(description="The customer who was brought.")]

    def decide(self, work: UnitOfWork) -> UUID:
        """Reckon by the rule `referral` of the customer's store."""
        at = work.occurred_at
        customer = work.customer(self.customer_id)
        records = records_of(work, customer)
        referrer_id = customer.require_referral((records[-1], *merged_into(work, records[-1])))
        if not any(self._is_first_order(work, customer, record) for record in records):
            raise NoFirstOrder(path=("customer_id",), ids=[customer.id])
        referrer = records_of(work, work.customer(referrer_id, scoped=False))[-1]
        if referrer is records[-1]:
            # Two records of one person that were merged since.
            raise SelfReferral(path=("customer_id",), ids=[customer.id])
        referrer.require_not_earned(REFERRAL, str(customer.id), ("customer_id",), merged=merged_into(work, referrer))
        store = work.get(Store, customer.store_id, scoped=False)
        points = store.policy(Points, at)
        amount = _by_rule(points, REFERRAL, 0)
        referrer.earn_points(
            REFERRAL,
            str(customer.id),
            amount,
            at,
            expires_at=_expiry(points, at),
            policy_version=store.policy_version(Points, at),
        )
        customer.mark_referral_rewarded(referrer.id, amount, at)
        return customer.id

    @staticmethod
    def _is_first_order(work: UnitOfWork, customer: Customer, record: Customer) -> bool:
        """Say whether the first order that counted for a record is this customer's, placed before they were merged."""
        if record is customer or record.first_order_id is None:
            return record.first_order_id is not None
        order = work.find(cast("type[Order]", AGGREGATE_CLASSES["Order"]), record.first_order_id)
        return order is not None and order.customer_id == customer.id


class JoinMembership(Command):
    """Make a customer a member."""

    AGGREGATE: ClassVar[type[Aggregate]] = Customer
    ROLES: ClassVar[frozenset[Role]] = SHOPFRONT
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (
        AlreadyMember,
        TierNotOffered,
        SpendThresholdNotReached,
        CustomerNotActive,
    )

    customer_id: CustomerId
    tier: Annotated[Code, Meta(description="A tier of the policy membership.")]
    source: Annotated[MembershipSource, Meta(description="What it is given for.")]

    def decide(self, work: UnitOfWork) -> UUID:
        """Check the tier in the membership policy of the customer's store."""
        customer = work.customer(self.customer_id)
        store = work.get(Store, customer.store_id, scoped=False)
        at = work.occurred_at
        membership, version = store.policy(Membership, at), store.policy_version(Membership, at)
        entry = membership.tiers[0].name if membership.tiers else None
        if work.actor.role is Role.STOREFRONT and self.source is not MembershipSource.SPEND and self.tier != entry:
            why = "above the first tier a storefront lets in by spend only, staff gives the rest"
            raise NotAuthorised(why=why, path=("tier",), ids=[customer.id])
        customer.join(self.source, self.tier, membership, version, store.currency, at)
        return customer.id


class ChangeTier(Command):
    """Move a member to another tier by hand."""

    AGGREGATE: ClassVar[type[Aggregate]] = Customer
    ROLES: ClassVar[frozenset[Role]] = SERVICE_DESK
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (NotMember, TierNotOffered, TierUnchanged, CustomerNotActive)

    customer_id: CustomerId
    tier: Annotated[Code, Meta(description="The new tier, of the policy membership.")]
    reason: Annotated[Reason, Meta(description="Why; nothing personal.")]

    def decide(self, work: UnitOfWork) -> UUID:
        """Check the tier in the membership policy of the customer's store."""
        customer = work.customer(self.customer_id)
        store = work.get(Store, customer.store_id, scoped=False)
        at = work.occurred_at
        membership, version = store.policy(Membership, at), store.policy_version(Membership, at)
        customer.change_tier(self.tier, membership, version, self.reason, at)
        return customer.id


class CreditSpend(Command):
    """Count a completed order towards the customer's running spend, and move them up when it reaches a tier."""

    AGGREGATE: ClassVar[type[Aggregate]] = Customer
    ROLES: ClassVar[frozenset[Role]] = BOOKKEEPERS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (AlreadyCredited, CurrencyMismatch, CustomerNotActive)

    customer_id: CustomerId
    order_id: OrderId
    amount_minor: Annotated[NonNegativeMinor, Meta(description="What the goods came to, in minor units.")]
    currency: Annotated[Currency, Meta(description="Its currency.")]

    def decide(self, work: UnitOfWork) -> UUID:
        """Reckon by the membership policy of the customer's store. A merged record counts for the one that stays."""
        customer = survivor(work, self.customer_id)
        store = work.get(Store, customer.store_id, scoped=False)
        at = work.occurred_at
        membership = store.policy(Membership, at) if store.currency == self.currency else Membership(tiers=())
        customer.credit_spend(
            self.order_id,
            self.amount_minor,
            self.currency,
            membership,
            store.policy_version(Membership, at),
            at,
            merged=merged_into(work, customer),
        )
        return customer.id


class DebitSpend(Command):
    """Lower the customer's running spend by a refund of an order that counted."""

    AGGREGATE: ClassVar[type[Aggregate]] = Customer
    ROLES: ClassVar[frozenset[Role]] = BOOKKEEPERS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (NotCredited,)

    customer_id: CustomerId
    order_id: OrderId
    refund_id: Annotated[UUID, Meta(description="The refund; each counts once.")]
    amount_minor: Annotated[NonNegativeMinor, Meta(description="What was refunded for goods, in minor units.")]
    currency: Annotated[Currency, Meta(description="Its currency.")]

    def decide(self, work: UnitOfWork) -> UUID:
        """Take it off the record that it was counted for, merged since or not."""
        records = records_of(work, work.customer(self.customer_id))
        customer = next((known for known in records if self.order_id in known.credits), records[-1])
        customer.debit_spend(self.order_id, self.refund_id, self.amount_minor, self.currency, work.occurred_at)
        hand_on(work, customer)
        return customer.id


# Points --------------------------------------------------------------------------------------------------------------


def _by_rule(points: Points, rule: str, amount_minor: int) -> int:
    found = points.rules.get(rule)
    if found is None:
        raise PointsRuleOff(rule=rule, path=("rule",))
    return found.earned(amount_minor)


def _expiry(points: Points, at: datetime) -> datetime | None:
    return None if points.lifetime_days is None else at + timedelta(days=points.lifetime_days)


class EarnPoints(Command):
    """Give points for something that happened once, by a rule of the policy points, or by hand with a reason."""

    AGGREGATE: ClassVar[type[Aggregate]] = Customer
    ROLES: ClassVar[frozenset[Role]] = SERVICE_DESK
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (PointsRuleOff, AlreadyEarned, ReasonMissing, CustomerNotActive)

    customer_id: CustomerId
    rule: Annotated[Code, Meta(description="purchase, review, share, sign_in, ... as in the policy, or manual.")]
    reference: Annotated[Code, Meta(description="What earned them, an order's id say; rule and reference earn once.")]
    amount_minor: Annotated[
        NonNegativeMinor, Meta(description="Purchase amount, for a rule that gives points by amount.")
    ] = 0
    points: Annotated[Count | None, Meta(description="How many, with the rule manual only.")] = None
    store_id: Annotated[UUID | None, Meta(description="Whose policy; by default that of the customer's store.")] = None
    reason: Annotated[Reason | None, Meta(description="Why, with the rule manual; nothing personal.")] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Reckon by the policy in force. A record that was merged earns for the one it was merged into."""
        customer = survivor(work, self.customer_id)
        customer.require_not_earned(self.rule, self.reference, merged=merged_into(work, customer))
        store = work.get(
            Store, self.store_id or customer.store_id, path=("store_id",), scoped=self.store_id is not None
        )
        points = store.policy(Points, work.occurred_at)
        if (self.rule == MANUAL) != (self.points is not None):
            raise InvalidField(why="a number of points is given with the rule manual, and only there", path=("points",))
        if self.points is not None:
            if self.reason is None:
                raise ReasonMissing(path=("reason",), ids=[customer.id])
            amount = self.points
        else:
            amount = _by_rule(points, self.rule, self.amount_minor)
        customer.earn_points(
            self.rule,
            self.reference,
            amount,
            work.occurred_at,
            expires_at=_expiry(points, work.occurred_at),
            base_minor=self.amount_minor,
            currency=store.currency,
            policy_version=store.policy_version(Points, work.occurred_at),
            reason=self.reason,
        )
        return customer.id


class SpendPoints(Command):
    """Pay with points for a part of an order that was priced elsewhere, oldest expiry first."""

    AGGREGATE: ClassVar[type[Aggregate]] = Customer
    ROLES: ClassVar[frozenset[Role]] = SERVICE_DESK
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (PointsInsufficient, CustomerNotActive)

    customer_id: CustomerId
    order_id: OrderId
    points: Annotated[Count, Meta(description="How many.")]

    def decide(self, work: UnitOfWork) -> UUID:
        """Check the order and the balance."""
        customer = work.customer(self.customer_id)
        customer.require_active()
        order_of(work, customer, self.order_id)
        customer.plan_points(self.points, work.occurred_at)
        customer.spend_points(self.order_id, self.points, work.occurred_at)
        return customer.id


class ReversePoints(Command):
    """Take back points that were earned, all or in proportion to a refund; the balance may fall below zero."""

    AGGREGATE: ClassVar[type[Aggregate]] = Customer
    ROLES: ClassVar[frozenset[Role]] = BOOKKEEPERS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (NotEarned,)

    customer_id: CustomerId
    rule: Annotated[Code, Meta(description="The rule that gave them.")]
    reference: Annotated[Code, Meta(description="What they were given for.")]
    refund_id: Annotated[UUID | None, Meta(description="The refund; each counts once.")] = None
    refunded_minor: Annotated[
        PositiveMinor | None, Meta(description="Refunded part of the purchase amount; all if left out.")
    ] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Take them from the record that earned them, merged since or not; what is owed then goes on with it."""
        records = records_of(work, work.customer(self.customer_id))
        earner = next(
            (known for known in records if known.lot_id(self.rule, self.reference) in known.earnings), records[-1]
        )
        earner.reverse_points(
            self.rule,
            self.reference,
            work.occurred_at,
            refund_id=self.refund_id,
            refunded_minor=self.refunded_minor,
        )
        hand_on(work, earner)
        return earner.id


class ExpirePoints(Command):
    """Let lapse the points whose time is over."""

    AGGREGATE: ClassVar[type[Aggregate]] = Customer
    ROLES: ClassVar[frozenset[Role]] = BOOKKEEPERS

    customer_id: CustomerId

    def decide(self, work: UnitOfWork) -> UUID:
        """Let them lapse; nothing due, nothing recorded."""
        work.customer(self.customer_id).expire_points(work.occurred_at)
        return self.customer_id


# Coupons and campaigns -----------------------------------------------------------------------------------------------


class GrantCoupon(Command):
    """Put a coupon into a customer's hands."""

    AGGREGATE: ClassVar[type[Aggregate]] = Customer
    ROLES: ClassVar[frozenset[Role]] = PROMOTERS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (CouponLimitReached, CurrencyMismatch, CustomerNotActive)

    customer_id: CustomerId
    code: Annotated[Code, Meta(description="What the coupon is called; several customers hold the same code.")]
    currency: Annotated[Currency, Meta(description="Currency of its amounts.")]
    off_minor: Annotated[PositiveMinor | None, Meta(description="What it takes off, in minor units.")] = None
    percent: Annotated[Decimal | None, Meta(description="What it takes off, in percent, instead.")] = None
    max_off_minor: Annotated[PositiveMinor | None, Meta(description="At most so much, in minor units.")] = None
    spend_minor: Annotated[NonNegativeMinor, Meta(description="From goods worth so much, in minor units.")] = 0
    campaign_id: Annotated[UUID | None, Meta(description="The campaign that grants it.")] = None
    only_store_id: Annotated[UUID | None, Meta(description="The only store that takes it; all do if left out.")] = None
    valid_from: Annotated[Moment | None, Meta(description="Can be used from; with offset.")] = None
    expires_at: Annotated[Moment | None, Meta(description="Can be used until; with offset.")] = None
    held_max: Annotated[Count, Meta(description="How many of this code a customer may have in all.")] = 1

    def decide(self, work: UnitOfWork) -> UUID:
        """Check store, campaign and how many the customer has had."""
        customer = work.customer(self.customer_id)
        if self.campaign_id is not None:
            work.campaign(self.campaign_id)
        if self.only_store_id is not None:
            store = work.store(self.only_store_id, path=("only_store_id",))
            if store.currency != self.currency:
                raise CurrencyMismatch(expected=store.currency, given=self.currency, path=("currency",))
        coupon = HeldCoupon(
            coupon_id=work.new_id(),
            code=self.code,
            currency=self.currency,
            off_minor=self.off_minor,
            percent=self.percent,
            max_off_minor=self.max_off_minor,
            spend_minor=self.spend_minor,
            campaign_id=self.campaign_id,
            only_store_id=self.only_store_id,
            valid_from=None if self.valid_from is None else self.valid_from.astimezone(UTC),
            expires_at=None if self.expires_at is None else self.expires_at.astimezone(UTC),
        )
        customer.grant_coupon(coupon, self.held_max, work.occurred_at, merged=merged_into(work, customer))
        return customer.id


class UseCoupon(Command):
    """Use a customer's coupon on an order that was priced elsewhere."""

    AGGREGATE: ClassVar[type[Aggregate]] = Customer
    ROLES: ClassVar[frozenset[Role]] = SERVICE_DESK
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (
        CouponUsedAlready,
        CouponOutOfTime,
        CouponElsewhere,
        CustomerNotActive,
    )

    customer_id: CustomerId
    coupon_id: Annotated[UUID, Meta(description="The coupon.")]
    order_id: OrderId

    def decide(self, work: UnitOfWork) -> UUID:
        """Check the order and the coupon; used on this order already, nothing is recorded."""
        customer = work.customer(self.customer_id)
        customer.require_active()
        order = order_of(work, customer, self.order_id)
        held = customer.coupons.get(self.coupon_id)
        if held is not None and held.used_by == order.id:
            return customer.id
        customer.plan_coupon(self.coupon_id, order.store_id, order.currency, work.occurred_at)
        customer.use_coupon(self.coupon_id, self.order_id, work.occurred_at)
        return customer.id


class ReturnCoupon(Command):
    """Give a customer back the coupon that an order used."""

    AGGREGATE: ClassVar[type[Aggregate]] = Customer
    ROLES: ClassVar[frozenset[Role]] = SERVICE_DESK

    customer_id: CustomerId
    order_id: OrderId

    def decide(self, work: UnitOfWork) -> UUID:
        """Give it back; nothing used there, nothing recorded."""
        customer = work.customer(self.customer_id)
        customer.return_coupon(self.order_id, work.occurred_at)
        hand_on(work, customer)
        return customer.id


class RedeemCampaign(Command):
    """Count units of a campaign's line that an order priced elsewhere took against the limit per customer."""

    AGGREGATE: ClassVar[type[Aggregate]] = Customer
    ROLES: ClassVar[frozenset[Role]] = SERVICE_DESK
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (CampaignLimitReached, CustomerNotActive)

    customer_id: CustomerId
    order_id: OrderId
    campaign_id: Annotated[UUID, Meta(description="The campaign.")]
    sku_id: Annotated[UUID, Meta(description="The article of the line.")]
    quantity: Annotated[Decimal, Meta(description="How much of it.")]

    def decide(self, work: UnitOfWork) -> UUID:
        """Check the order, the line and its limit."""
        customer = work.customer(self.customer_id)
        customer.require_active()
        order = order_of(work, customer, self.order_id)
        line = work.campaign(self.campaign_id).lines.get(self.sku_id)
        if line is None:
            raise NotFound(what="line of this campaign", path=("sku_id",), ids=[self.sku_id])
        if self.quantity <= 0:
            raise InvalidField(why="redeem more than nothing", path=("quantity",))
        customer.plan_redemption(self.campaign_id, self.sku_id, self.quantity, line.max_per_customer)
        customer.redeem_campaign(order.id, self.campaign_id, self.sku_id, self.quantity, work.occurred_at)
        return customer.id
