"""A customer: what it adds up to, and what may happen next. Record: customer_events.py; commands: customer_commands.py.

Points live in lots, each with its own expiry; the oldest expiry is spent first. What an order took from a customer
(points, a coupon, a share of a campaign's limit) is kept by order, so that it can come back.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec

from opscore.domain import lots
from opscore.domain.aggregate import Aggregate, folds
from opscore.domain.customer_events import (
    AlreadyCredited,
    AlreadyEarned,
    AlreadyMember,
    AlreadyReferred,
    AlreadyRewarded,
    BlockReason,
    CampaignLimitReached,
    CampaignRedeemed,
    ConsentChannel,
    ConsentMissing,
    ConsentSet,
    ContactCardSet,
    CouponElsewhere,
    CouponGranted,
    CouponLimitReached,
    CouponOutOfTime,
    CouponReturned,
    CouponUsed,
    CouponUsedAlready,
    CustomerBlocked,
    CustomerContactDisclosed,
    CustomerErased,
    CustomerMergedInto,
    CustomerNotActive,
    CustomerRegistered,
    CustomersMerged,
    CustomerStatus,
    CustomerUnblocked,
    Earning,
    HeldCoupon,
    LotUse,
    MembershipJoined,
    MembershipSource,
    NotCredited,
    NotEarned,
    NotMember,
    NotReferred,
    PointsEarned,
    PointsExpired,
    PointsInsufficient,
    PointsLot,
    PointsReturned,
    PointsReversed,
    PointsSpent,
    RedemptionCount,
    RedemptionReversed,
    ReferralMade,
    ReferralRewarded,
    SelfReferral,
    SpendCredited,
    SpendDebited,
    SpendThresholdNotReached,
    TierChanged,
    TierNotOffered,
    TierUnchanged,
)
from opscore.domain.policies import Membership, MemberTier
from opscore.domain.refusals import InvalidField, NotFound
from opscore.domain.values import derived_id, plain

# What it adds up to --------------------------------------------------------------------------------------------------


class Customer(Aggregate):
    """One customer of the operator, known to all stores, registered in one.

    What is kept by order or by earning grows with the customer's own history and nothing else.
    """

    channel: str
    region: str | None
    birth_year: int | None
    status: CustomerStatus
    references: list[str]
    """References at platforms, those of merged records included."""
    merged_into: UUID | None
    merged_ids: list[UUID]
    has_contact_card: bool
    consents: dict[str, bool]
    block_reason: BlockReason | None
    """Why they may not order; None for who is not blocked."""
    tier: str | None
    referrer_id: UUID | None
    referral_rewarded: bool
    first_order_id: UUID | None
    """The first order that was completed."""
    lots: list[PointsLot]
    """Oldest expiry first."""
    owed: int
    """Points taken back beyond what was left; the next ones to come in pay for them."""
    earnings: dict[UUID, Earning]
    points_by_order: dict[UUID, list[LotUse]]
    coupons: dict[UUID, HeldCoupon]
    redemptions: dict[UUID, dict[UUID, Decimal]]
    """Units by campaign and SKU."""
    redemptions_by_order: dict[UUID, list[RedemptionCount]]
    spend_minor: dict[str, int]
    """Running spend by currency."""
    credits: dict[UUID, int]
    """What completed orders count for, less refunds."""
    debits: dict[UUID, int]

    @folds(CustomerRegistered)
    def _registered(self, event: CustomerRegistered) -> None:
        self.store_id = event.store_id
        self.channel = event.channel
        self.region = event.region
        self.birth_year = event.birth_year
        self.status = CustomerStatus.REGISTERED
        self.references = [] if event.external_reference is None else [event.external_reference]
        self.merged_into = None
        self.merged_ids = []
        self.has_contact_card = False
        self.consents = {}
        self.block_reason = None
        self.tier = None
        self.referrer_id = event.referrer_id
        self.referral_rewarded = False
        self.first_order_id = None
        self.lots = []
        self.owed = 0
        self.earnings = {}
        self.points_by_order = {}
        self.coupons = {}
        self.redemptions = {}
        self.redemptions_by_order = {}
        self.spend_minor = {}
        self.credits = {}
        self.debits = {}

    @folds(ContactCardSet)
    def _contact_card_set(self, event: ContactCardSet) -> None:
        self.has_contact_card = True
        self.region = event.region

    @folds(CustomerContactDisclosed)
    def _contact_disclosed(self, event: CustomerContactDisclosed) -> None:
        """It is on record who looked; the customer is who they were."""

    @folds(ConsentSet)
    def _consent_set(self, event: ConsentSet) -> None:
        self.consents[event.channel] = event.granted

    @folds(MembershipJoined)
    def _membership_joined(self, event: MembershipJoined) -> None:
        self.tier = event.tier

    @folds(TierChanged)
    def _tier_changed(self, event: TierChanged) -> None:
        self.tier = event.to_tier

    @folds(ReferralMade)
    def _referral_made(self, event: ReferralMade) -> None:
        self.referrer_id = event.referrer_id

    @folds(ReferralRewarded)
    def _referral_rewarded(self, event: ReferralRewarded) -> None:
        self.referral_rewarded = True

    @folds(PointsEarned)
    def _points_earned(self, event: PointsEarned) -> None:
        self.earnings[event.lot_id] = Earning(
            rule=event.rule,
            reference=event.reference,
            amount=event.amount,
            base_minor=event.base_minor,
            currency=event.currency,
        )
        self.lots = lots.put(self.lots, LotUse(lot_id=event.lot_id, amount=event.amount, expires_at=event.expires_at))
        self._settle()

    @folds(PointsSpent)
    def _points_spent(self, event: PointsSpent) -> None:
        for use in event.lots:
            self.lots = lots.take(self.lots, use)
        self.points_by_order.setdefault(event.order_id, []).extend(event.lots)

    @folds(PointsReturned)
    def _points_returned(self, event: PointsReturned) -> None:
        kept = lots.without(self.points_by_order.pop(event.order_id, []), event.lots)
        if kept:
            self.points_by_order[event.order_id] = kept
        for use in event.lots:
            self.lots = lots.put(self.lots, use)
        self._settle()

    @folds(PointsReversed)
    def _points_reversed(self, event: PointsReversed) -> None:
        earning = self.earnings[event.lot_id]
        refund_ids = earning.refund_ids if event.refund_id is None else (*earning.refund_ids, event.refund_id)
        self.earnings[event.lot_id] = msgspec.structs.replace(
            earning,
            reversed=earning.reversed + event.amount,
            refunded_minor=earning.refunded_minor + event.refunded_minor,
            refund_ids=refund_ids,
        )
        left = next((lot.amount for lot in self.lots if lot.lot_id == event.lot_id), 0)
        own = min(left, event.amount)
        self.lots = lots.take(self.lots, LotUse(lot_id=event.lot_id, amount=own))
        self.owed += event.amount - own
        self._settle()

    @folds(PointsExpired)
    def _points_expired(self, event: PointsExpired) -> None:
        for use in event.lots:
            self.lots = lots.take(self.lots, use)

    def _settle(self) -> None:
        """Pay what is owed out of the lots, so that never both are there."""
        while self.owed and self.lots:
            lot = self.lots[0]
            paid = min(self.owed, lot.amount)
            self.owed -= paid
            self.lots = lots.take(self.lots, LotUse(lot_id=lot.lot_id, amount=paid))

    @folds(CouponGranted)
    def _coupon_granted(self, event: CouponGranted) -> None:
        self.coupons[event.coupon_id] = HeldCoupon(
            coupon_id=event.coupon_id,
            code=event.code,
            currency=event.currency,
            off_minor=event.off_minor,
            percent=event.percent,
            max_off_minor=event.max_off_minor,
            spend_minor=event.spend_minor,
            campaign_id=event.campaign_id,
            only_store_id=event.only_store_id,
            valid_from=event.valid_from,
            expires_at=event.expires_at,
        )

    @folds(CouponUsed)
    def _coupon_used(self, event: CouponUsed) -> None:
        self.coupons[event.coupon_id] = msgspec.structs.replace(self.coupons[event.coupon_id], used_by=event.order_id)

    @folds(CouponReturned)
    def _coupon_returned(self, event: CouponReturned) -> None:
        self.coupons[event.coupon_id] = msgspec.structs.replace(self.coupons[event.coupon_id], used_by=None)

    @folds(CampaignRedeemed)
    def _campaign_redeemed(self, event: CampaignRedeemed) -> None:
        self._count(event.campaign_id, event.sku_id, event.quantity)
        self.redemptions_by_order.setdefault(event.order_id, []).append(
            RedemptionCount(campaign_id=event.campaign_id, sku_id=event.sku_id, quantity=event.quantity)
        )

    @folds(RedemptionReversed)
    def _redemption_reversed(self, event: RedemptionReversed) -> None:
        self._count(event.campaign_id, event.sku_id, -event.quantity)
        left = event.quantity
        kept = []
        for taken in self.redemptions_by_order.pop(event.order_id, []):
            if (taken.campaign_id, taken.sku_id) == (event.campaign_id, event.sku_id):
                back = min(left, taken.quantity)
                left -= back
                taken = msgspec.structs.replace(taken, quantity=taken.quantity - back)
            if taken.quantity:
                kept.append(taken)
        if kept:
            self.redemptions_by_order[event.order_id] = kept

    def _count(self, campaign_id: UUID, sku_id: UUID, quantity: Decimal) -> None:
        by_sku = self.redemptions.setdefault(campaign_id, {})
        by_sku[sku_id] = plain(by_sku.get(sku_id, Decimal(0)) + quantity)

    @folds(SpendCredited)
    def _spend_credited(self, event: SpendCredited) -> None:
        if self.first_order_id is None:
            self.first_order_id = event.order_id
        self.credits[event.order_id] = event.amount_minor
        self._spend(event.currency, event.amount_minor)

    @folds(SpendDebited)
    def _spend_debited(self, event: SpendDebited) -> None:
        self.debits[event.refund_id] = event.amount_minor
        self.credits[event.order_id] -= event.amount_minor
        self._spend(event.currency, -event.amount_minor)

    def _spend(self, currency: str, amount_minor: int) -> None:
        self.spend_minor[currency] = self.spend_minor.get(currency, 0) + amount_minor

    @folds(CustomersMerged)
    def _merged(self, event: CustomersMerged) -> None:
        if event.merged_id not in self.merged_ids:
            self.merged_ids.append(event.merged_id)
        for use in event.lots:
            self.lots = lots.put(self.lots, use)
        self.owed += event.owed
        self._settle()
        for coupon in event.coupons:
            self.coupons[coupon.coupon_id] = coupon
        for taken in event.redemptions:
            self._count(taken.campaign_id, taken.sku_id, taken.quantity)
        for total in event.spend:
            self._spend(total.currency, total.amount_minor)
        self.references.extend(event.references)
        self.tier = event.tier or self.tier

    @folds(CustomerMergedInto)
    def _merged_into(self, event: CustomerMergedInto) -> None:
        # What came of single orders stays here: a cancelled order still brings its points and coupon back to this
        # record, and a sweep moves them on.
        self.status = CustomerStatus.MERGED
        self.merged_into = event.into_id
        # Whether the person may be written to is said by the record that stays.
        self.consents = {}
        self.references = []
        self.lots = []
        self.owed = 0
        self.coupons = {key: coupon for key, coupon in self.coupons.items() if coupon.used_by is not None}
        self.redemptions = {}
        self.spend_minor = {}

    @folds(CustomerBlocked)
    def _blocked(self, event: CustomerBlocked) -> None:
        self.status = CustomerStatus.BLOCKED
        self.block_reason = event.reason

    @folds(CustomerUnblocked)
    def _unblocked(self, event: CustomerUnblocked) -> None:
        self.status = CustomerStatus.REGISTERED
        self.block_reason = None

    @folds(CustomerErased)
    def _erased(self, event: CustomerErased) -> None:
        self.status = CustomerStatus.ERASED
        self.has_contact_card = False
        self.consents = {}
        self.references = []

    # What others ask of a customer ------------------------------------------------------------------------------------

    @property
    def balance(self) -> int:
        """Points held, less points owed; below zero after a reversal of points that had been spent."""
        return sum(lot.amount for lot in self.lots) - self.owed

    def points_at(self, at: datetime) -> int:
        """Return the points that can be spent at a moment: lots that have lapsed do not count."""
        return max(0, sum(lot.amount for lot in self.lots if lot.lives_at(at)) - self.owed)

    def redeemed(self, campaign_id: UUID, sku_id: UUID) -> Decimal:
        """Return how many units of a campaign's line the customer has had."""
        return self.redemptions.get(campaign_id, {}).get(sku_id, Decimal(0))

    def require_active(self, path: Sequence[str | int] = ()) -> None:
        """Refuse CustomerNotActive for who is blocked, merged into another or erased."""
        remedies = {
            CustomerStatus.BLOCKED: "unblock them first",
            CustomerStatus.MERGED: "use the customer they were merged into",
            CustomerStatus.ERASED: "register them anew",
        }
        if self.status is not CustomerStatus.REGISTERED:
            raise CustomerNotActive(
                status=self.status.value,
                remedy=remedies[self.status],
                path=path or ("customer_id",),
                ids=[self.merged_into or self.id],
            )

    def require_known(self, path: Sequence[str | int] = ()) -> None:
        """Refuse CustomerNotActive for who is merged or erased; who is only blocked keeps what is theirs."""
        if self.status is not CustomerStatus.BLOCKED:
            self.require_active(path)

    # What may happen next: who they are, membership, spend ------------------------------------------------------------

    @classmethod
    def register(
        cls,
        customer_id: UUID,
        store_id: UUID,
        at: datetime,
        *,
        channel: str,
        external_reference: str | None = None,
        referrer: Customer | None = None,
        campaign_id: UUID | None = None,
        region: str | None = None,
        birth_year: int | None = None,
    ) -> Customer:
        """Begin a customer.

        Refuses: CustomerNotActive (the referrer), InvalidField (a year of birth that is not possible).
        """
        if referrer is not None:
            referrer.require_active(("referrer_id",))
        _require_birth_year(birth_year, at)
        return cls.start(
            CustomerRegistered,
            customer_id,
            occurred_at=at,
            store_id=store_id,
            channel=channel,
            external_reference=external_reference,
            referrer_id=None if referrer is None else referrer.id,
            campaign_id=campaign_id,
            region=region,
            birth_year=birth_year,
        )

    def require_contact_card(self, consent: bool) -> None:
        """Check that a contact card may be kept. Refuses: CustomerNotActive, ConsentMissing."""
        self.require_known()
        if not consent:
            raise ConsentMissing(path=("consent",), ids=[self.id])

    def set_contact_card(self, sealed_card: str, region: str | None, at: datetime) -> None:
        """Keep a contact card in place of the one before (`require_contact_card` first).

        sealed_card: ciphertext of the card under this customer's key.
        """
        self.trigger_event(ContactCardSet, occurred_at=at, card=sealed_card, region=region)

    def set_consent(self, channel: ConsentChannel, granted: bool, at: datetime) -> None:
        """Take down whether the customer may be reached by a channel. Refuses: CustomerNotActive."""
        self.require_known()
        if self.consents.get(channel) is not granted:
            self.trigger_event(ConsentSet, occurred_at=at, channel=channel, granted=granted)

    def block(self, reason: BlockReason, at: datetime) -> None:
        """Take no more orders from this customer. Refuses: CustomerNotActive (merged, erased)."""
        self.require_known()
        if self.status is not CustomerStatus.BLOCKED:
            self.trigger_event(CustomerBlocked, occurred_at=at, reason=reason)

    def unblock(self, at: datetime) -> None:
        """Take orders again. Refuses: CustomerNotActive (merged, erased)."""
        self.require_known()
        if self.status is CustomerStatus.BLOCKED:
            self.trigger_event(CustomerUnblocked, occurred_at=at)

    def erase(self, at: datetime) -> None:
        """Forget the person: points lapse, and with the key everything personal becomes unreadable.

        Orders are streams of their own: that none of them still needs the address is checked by the command.
        """
        if self.status is CustomerStatus.ERASED:
            return  # Asked twice, recorded once.
        self._expire(list(self.lots), at)
        self.trigger_event(CustomerErased, occurred_at=at)

    def refer(
        self, referrer: Customer, ancestors: Sequence[UUID], at: datetime, *, merged: Sequence[Customer] = ()
    ) -> None:
        """Take down afterwards who brought this customer, as long as no order has been completed.

        ancestors: the referrer's own referrer, that one's, and so on. merged: the records merged into this one.
        Refuses: CustomerNotActive, AlreadyReferred, SelfReferral.
        """
        self.require_active()
        if self.referrer_id == referrer.id:
            return
        if any(known.referrer_id is not None or known.first_order_id is not None for known in (self, *merged)):
            raise AlreadyReferred(path=("customer_id",), ids=[self.id])
        if self.id == referrer.id or self.id in ancestors:
            raise SelfReferral(path=("referrer_id",), ids=[self.id])
        referrer.require_active(("referrer_id",))
        self.trigger_event(ReferralMade, occurred_at=at, referrer_id=referrer.id)

    def require_referral(self, person: Sequence[Customer] = ()) -> UUID:
        """Return who brought this customer and was not rewarded for it yet.

        person: all records of the person, who is brought once. Refuses: NotReferred, AlreadyRewarded.
        """
        if self.referrer_id is None:
            raise NotReferred(path=("customer_id",), ids=[self.id])
        if any(known.referral_rewarded for known in (self, *person)):
            raise AlreadyRewarded(path=("customer_id",), ids=[self.id])
        return self.referrer_id

    def mark_referral_rewarded(self, referrer_id: UUID, amount: int, at: datetime) -> None:
        """Take down that the referrer got `amount` points for this customer (`require_referral` first)."""
        self.trigger_event(ReferralRewarded, occurred_at=at, referrer_id=referrer_id, amount=amount)

    def join(
        self,
        source: MembershipSource,
        tier: str,
        membership: Membership,
        policy_version: int,
        currency: str,
        at: datetime,
    ) -> None:
        """Become a member; by spend only once the running spend in `currency` has reached the tier's.

        Refuses: CustomerNotActive, AlreadyMember, TierNotOffered, SpendThresholdNotReached.
        """
        self.require_active()
        if self.tier is not None:
            raise AlreadyMember(tier=self.tier, path=("customer_id",), ids=[self.id])
        offered = _require_tier(membership, tier)
        if source is MembershipSource.SPEND:
            spent_minor = self.spend_minor.get(currency, 0)
            if offered.spend_minor is None or spent_minor < offered.spend_minor:
                needed = "no amount yet" if offered.spend_minor is None else f"{offered.spend_minor} minor units"
                raise SpendThresholdNotReached(
                    tier=tier, needed=needed, spent_minor=spent_minor, path=("source",), ids=[self.id]
                )
        self.trigger_event(MembershipJoined, occurred_at=at, source=source, tier=tier, policy_version=policy_version)

    def change_tier(self, tier: str, membership: Membership, policy_version: int, reason: str, at: datetime) -> None:
        """Move to another tier by hand.

        Refuses: CustomerNotActive, NotMember, TierNotOffered, TierUnchanged.
        """
        self.require_active()
        if self.tier is None:
            raise NotMember(path=("customer_id",), ids=[self.id])
        _require_tier(membership, tier)
        if tier == self.tier:
            raise TierUnchanged(tier=tier, path=("tier",), ids=[self.id])
        self._move_to(tier, policy_version, reason, at)

    def _move_to(self, tier: str, policy_version: int, reason: str, at: datetime) -> None:
        self.trigger_event(
            TierChanged,
            occurred_at=at,
            from_tier=self.tier,
            to_tier=tier,
            policy_version=policy_version,
            reason=reason,
        )

    def credit_spend(
        self,
        order_id: UUID,
        amount_minor: int,
        currency: str,
        membership: Membership,
        policy_version: int,
        at: datetime,
        *,
        merged: Sequence[Customer] = (),
    ) -> None:
        """Count a completed order; when the spend reaches a higher tier, the customer moves up with it, never down.

        merged: the records merged into this one, for which it may have been counted.
        Refuses: CustomerNotActive (merged, erased), AlreadyCredited.
        """
        self.require_known()
        if any(order_id in known.credits for known in (self, *merged)):
            raise AlreadyCredited(path=("order_id",), ids=[order_id])
        self.trigger_event(
            SpendCredited, occurred_at=at, order_id=order_id, amount_minor=amount_minor, currency=currency
        )
        self.rise_by_spend(currency, membership, policy_version, at)

    def rise_by_spend(self, currency: str, membership: Membership, policy_version: int, at: datetime) -> None:
        """Move up to the tier that the spend reaches, if that is higher."""
        reached = membership.tier_by_spend(self.spend_minor[currency])
        if reached is None or self.status is not CustomerStatus.REGISTERED:
            return
        if self.tier is None:
            self.trigger_event(
                MembershipJoined,
                occurred_at=at,
                source=MembershipSource.SPEND,
                tier=reached.name,
                policy_version=policy_version,
            )
        elif membership.is_higher(reached.name, self.tier):
            self._move_to(reached.name, policy_version, "spend", at)

    def debit_spend(self, order_id: UUID, refund_id: UUID, amount_minor: int, currency: str, at: datetime) -> None:
        """Lower the running spend by a refund of an order that counted, at most by what is left of it.

        Asked twice for the same refund, recorded once.
        Refuses: NotCredited.
        """
        if order_id not in self.credits:
            raise NotCredited(path=("order_id",), ids=[order_id])
        amount_minor = min(amount_minor, self.credits[order_id])
        if refund_id not in self.debits and amount_minor:
            self.trigger_event(
                SpendDebited,
                occurred_at=at,
                order_id=order_id,
                refund_id=refund_id,
                amount_minor=amount_minor,
                currency=currency,
            )

    # What may happen next: points -------------------------------------------------------------------------------------

    def lot_id(self, rule: str, reference: str) -> UUID:
        """Return the id of the lot that this rule and reference give; the pair earns once, so it is one lot."""
        return derived_id("points", self.id, rule, reference)

    def has_earned(self, rule: str, reference: str) -> bool:
        """Say whether this rule and reference gave points to this very record."""
        return self.lot_id(rule, reference) in self.earnings

    def require_not_earned(
        self,
        rule: str,
        reference: str,
        path: Sequence[str | int] = ("reference",),
        *,
        merged: Sequence[Customer] = (),
    ) -> None:
        """Refuse AlreadyEarned, by this record or one merged into it, and CustomerNotActive (merged, erased)."""
        self.require_known()
        if any(known.has_earned(rule, reference) for known in (self, *merged)):
            raise AlreadyEarned(rule=rule, reference=reference, path=path, ids=[self.id])

    def earn_points(
        self,
        rule: str,
        reference: str,
        amount: int,
        at: datetime,
        *,
        expires_at: datetime | None,
        base_minor: int = 0,
        currency: str | None = None,
        policy_version: int = 0,
        reason: str | None = None,
    ) -> None:
        """Take in points (`require_not_earned` first). Nothing earned, nothing recorded.

        base_minor, currency: the purchase amount they were reckoned from, if from one.
        """
        if amount > 0:
            self.trigger_event(
                PointsEarned,
                occurred_at=at,
                lot_id=self.lot_id(rule, reference),
                rule=rule,
                reference=reference,
                amount=amount,
                expires_at=expires_at,
                base_minor=base_minor,
                currency=currency if base_minor else None,
                policy_version=policy_version,
                reason=reason,
            )

    def plan_points(self, amount: int, at: datetime, path: Sequence[str | int] = ()) -> tuple[LotUse, ...]:
        """Return what would be taken from which lots, oldest expiry first. Refuses: PointsInsufficient."""
        available = self.points_at(at)
        if amount > available:
            raise PointsInsufficient(available=available, asked=amount, path=path or ("points",), ids=[self.id])
        uses = []
        left = amount
        for lot in self.lots:
            if left and lot.lives_at(at):
                taken = min(left, lot.amount)
                left -= taken
                uses.append(LotUse(lot_id=lot.lot_id, amount=taken, expires_at=lot.expires_at))
        return tuple(uses)

    def spend_points(self, order_id: UUID, amount: int, at: datetime) -> None:
        """Pay for a part of an order with points (`plan_points` first). No points, nothing recorded."""
        if amount > 0:
            lots = self.plan_points(amount, at)
            self.trigger_event(PointsSpent, occurred_at=at, order_id=order_id, amount=amount, lots=lots)

    def return_points(self, order_id: UUID, at: datetime, amount: int | None = None) -> None:
        """Undo what an order that came to nothing did to points: those spent on it come back into their lots.

        amount: only so many, for a part of the order; the lots that live longest come back first.
        All of them asked twice, recorded once. Somebody who is erased gets nothing back.
        """
        back = tuple(self.points_by_order.get(order_id, ()))
        if amount is not None:
            back = lots.last_of(back, amount)
        if back and self.status is not CustomerStatus.ERASED:
            amount = sum(use.amount for use in back)
            self.trigger_event(PointsReturned, occurred_at=at, order_id=order_id, amount=amount, lots=back)

    def reverse_points(
        self,
        rule: str,
        reference: str,
        at: datetime,
        *,
        refund_id: UUID | None = None,
        refunded_minor: int | None = None,
    ) -> None:
        """Take back points that were earned, spent or not: the balance may fall below zero, which stops spending.

        refunded_minor: the part of the purchase amount that was refunded; None takes back all that is left. What is
        kept is the same share of the points as of the amount, rounded down, so that refunds in parts add up.
        Refuses: NotEarned. Asked twice for the same refund, recorded once.
        """
        lot_id = self.lot_id(rule, reference)
        earning = self.earnings.get(lot_id)
        if earning is None:
            raise NotEarned(rule=rule, reference=reference, path=("reference",), ids=[self.id])
        if refund_id is not None and refund_id in earning.refund_ids:
            return
        kept = 0
        if refunded_minor is not None and earning.base_minor:
            left_minor = max(0, earning.base_minor - earning.refunded_minor - refunded_minor)
            kept = earning.amount * left_minor // earning.base_minor
        amount = earning.amount - earning.reversed - kept
        if amount <= 0 and refunded_minor is None:
            raise NotEarned(rule=rule, reference=reference, path=("reference",), ids=[self.id])
        if self.status is not CustomerStatus.ERASED:
            self.trigger_event(
                PointsReversed,
                occurred_at=at,
                lot_id=lot_id,
                rule=rule,
                reference=reference,
                amount=max(0, amount),
                refund_id=refund_id,
                refunded_minor=refunded_minor or 0,
                currency=earning.currency,
            )

    def expire_points(self, at: datetime) -> None:
        """Let lapse what has passed its expiry. Nothing due, nothing recorded."""
        self._expire([lot for lot in self.lots if not lot.lives_at(at)], at)

    def _expire(self, lots: list[PointsLot], at: datetime) -> None:
        if lots:
            uses = tuple(LotUse(lot_id=lot.lot_id, amount=lot.amount, expires_at=lot.expires_at) for lot in lots)
            self.trigger_event(PointsExpired, occurred_at=at, amount=sum(lot.amount for lot in lots), lots=uses)

    # What may happen next: coupons and campaigns ----------------------------------------------------------------------

    def grant_coupon(self, coupon: HeldCoupon, held_max: int, at: datetime, *, merged: Sequence[Customer] = ()) -> None:
        """Give the customer a coupon, unless they have had `held_max` of this code already, used ones included.

        merged: the records merged into this one, which keep the coupons that they used.
        Refuses: CustomerNotActive, CouponLimitReached, InvalidField.
        """
        self.require_active()
        if (coupon.off_minor is None) == (coupon.percent is None):
            raise InvalidField(why="a coupon takes off either an amount or a percentage", path=("off_minor",))
        if coupon.percent is not None and not 0 < coupon.percent <= 100:
            raise InvalidField(why="a percentage lies above 0 and at most at 100", path=("percent",))
        if coupon.expires_at is not None and coupon.expires_at <= max(at, coupon.valid_from or at):
            raise InvalidField(why="the coupon would lapse before it can be used", path=("expires_at",))
        had = (held for record in (self, *merged) for held in record.coupons.values())
        granted = sum(1 for held in had if held.code == coupon.code)
        if granted >= held_max:
            raise CouponLimitReached(granted=granted, code=coupon.code, path=("code",), ids=[self.id])
        fields = msgspec.structs.asdict(coupon)
        del fields["used_by"]
        self.trigger_event(CouponGranted, occurred_at=at, **fields)

    def plan_coupon(
        self, coupon_id: UUID, store_id: UUID, currency: str, at: datetime, path: Sequence[str | int] = ()
    ) -> HeldCoupon:
        """Return a coupon that can be used on an order of this store now; pricing checks whether enough is bought.

        Refuses: NotFound, CouponUsedAlready, CouponElsewhere, CouponOutOfTime.
        """
        path = path or ("coupon_id",)
        coupon = self.coupons.get(coupon_id)
        if coupon is None:
            raise NotFound(what="coupon of this customer", path=path, ids=[coupon_id])
        if coupon.used_by is not None:
            raise CouponUsedAlready(code=coupon.code, path=path, ids=[coupon_id, coupon.used_by])
        if coupon.only_store_id not in (None, store_id) or coupon.currency != currency:
            raise CouponElsewhere(code=coupon.code, path=path, ids=[coupon_id])
        begins, ends = coupon.valid_from, coupon.expires_at
        if (begins is not None and at < begins) or (ends is not None and at >= ends):
            raise CouponOutOfTime(
                code=coupon.code,
                valid_from="now" if begins is None else begins.isoformat(),
                expires_at="any time" if ends is None else ends.isoformat(),
                path=path,
                ids=[coupon_id],
            )
        return coupon

    def use_coupon(self, coupon_id: UUID, order_id: UUID, at: datetime) -> None:
        """Use a coupon on an order (`plan_coupon` first)."""
        self.trigger_event(CouponUsed, occurred_at=at, coupon_id=coupon_id, order_id=order_id)

    def return_coupon(self, order_id: UUID, at: datetime) -> None:
        """Give back the coupon that an order used, whether or not it has lapsed since. Asked twice, recorded once."""
        for coupon in list(self.coupons.values()):
            if coupon.used_by == order_id and self.status is not CustomerStatus.ERASED:
                self.trigger_event(CouponReturned, occurred_at=at, coupon_id=coupon.coupon_id, order_id=order_id)

    def plan_redemption(
        self,
        campaign_id: UUID,
        sku_id: UUID,
        quantity: Decimal,
        max_per_customer: int | Decimal | None,
        path: Sequence[str | int] = (),
    ) -> None:
        """Check that the customer may have so many more units of a campaign's line. Refuses: CampaignLimitReached."""
        redeemed = self.redeemed(campaign_id, sku_id)
        if max_per_customer is not None and redeemed + quantity > max_per_customer:
            raise CampaignLimitReached(
                max_per_customer=max_per_customer,
                redeemed=redeemed,
                asked=quantity,
                path=path or ("quantity",),
                ids=[campaign_id, sku_id],
            )

    def redeem_campaign(self, order_id: UUID, campaign_id: UUID, sku_id: UUID, quantity: Decimal, at: datetime) -> None:
        """Count units of a campaign's line against the limit (`plan_redemption` first)."""
        self.trigger_event(
            CampaignRedeemed,
            occurred_at=at,
            campaign_id=campaign_id,
            sku_id=sku_id,
            order_id=order_id,
            quantity=plain(quantity),
        )

    def reverse_redemption(
        self, order_id: UUID, at: datetime, *, sku_id: UUID | None = None, quantity: Decimal | None = None
    ) -> None:
        """Count units no longer: all that an order took, or those of one SKU, or only `quantity` of these.

        Asked twice for the whole order, recorded once.
        """
        left = quantity
        for taken in list(self.redemptions_by_order.get(order_id, ())):
            if sku_id is not None and taken.sku_id != sku_id:
                continue
            back = taken.quantity if left is None else min(left, taken.quantity)
            if left is not None:
                left -= back
            if back:
                self.trigger_event(
                    RedemptionReversed,
                    occurred_at=at,
                    campaign_id=taken.campaign_id,
                    sku_id=taken.sku_id,
                    order_id=order_id,
                    quantity=plain(back),
                )


def _require_tier(membership: Membership, name: str) -> MemberTier:
    found = membership.tier(name)
    if found is None:
        known = ", ".join(tier.name for tier in membership.tiers) or "none"
        raise TierNotOffered(tier=name, known=known, path=("tier",))
    return found


def _require_birth_year(birth_year: int | None, at: datetime) -> None:
    if birth_year is not None and not at.year - 130 <= birth_year <= at.year:
        raise InvalidField(why=f"nobody alive was born in {birth_year}", path=("birth_year",))
