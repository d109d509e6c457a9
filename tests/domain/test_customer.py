"""Customers: who they are, what they hold, what an order takes from them and gives back, and how they are forgotten."""

from __future__ import annotations

import json
import typing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from opscore.domain.aggregate import Event
from opscore.domain.command import Actor, Role
from opscore.domain.customer import Customer
from opscore.domain.customer_commands import (
    BlockCustomer,
    ChangeTier,
    CreditSpend,
    DebitSpend,
    EarnPoints,
    EraseCustomer,
    ExpirePoints,
    GrantCoupon,
    JoinMembership,
    MergeCustomers,
    ReferCustomer,
    ReturnCoupon,
    ReversePoints,
    RewardReferral,
    SetConsent,
    SetContactCard,
    SpendPoints,
    UnblockCustomer,
    UseCoupon,
)
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
    ContactCardSet,
    ContactTaken,
    CouponElsewhere,
    CouponLimitReached,
    CouponOutOfTime,
    CouponUsedAlready,
    CustomerBlocked,
    CustomerNotActive,
    MembershipSource,
    NoFirstOrder,
    NotCredited,
    NotEarned,
    NotMember,
    NotReferred,
    PointsInsufficient,
    PointsRuleOff,
    SelfReferral,
    SpendThresholdNotReached,
    TierNotOffered,
    TierUnchanged,
)
from opscore.domain.order import Order
from opscore.domain.order_events import OrderKind, OrderPlaced, PriceSource
from opscore.domain.refusals import InvalidField, NotFound, ReasonMissing, ReferenceTaken
from opscore.domain.store_commands import SetPolicy
from tests.domain.desk import BUYER, Desk


class Counter(Desk):
    """A desk with one open store and a customer."""

    def __init__(self) -> None:
        super().__init__()
        self.store_id = self.open_store()
        self.customer_id = self.register(self.store_id)

    def customer(self, customer_id: UUID | None = None) -> Customer:
        """Return a customer as they are now, by default the one of this counter."""
        return self.get(Customer, customer_id or self.customer_id)

    def act(self, decide: Any, customer_id: UUID | None = None) -> list[Event]:
        """Let a decision of a customer happen as a part of another aggregate's command; return its events."""
        customer = self.customer(customer_id)
        decide(customer)
        events: list[Event] = list(customer.collect_events())
        for event in events:
            self._record(event)
        return events

    def policy(self, kind: str, **params: Any) -> None:
        """Set a policy of the store from now on."""
        self.do(SetPolicy(store_id=self.store_id, kind=kind, params=params))

    def give(self, points: int, reference: str = "gift", at: datetime | None = None) -> None:
        """Give points by hand."""
        command = EarnPoints(
            customer_id=self.customer_id, rule="manual", reference=reference, points=points, reason="goodwill"
        )
        self.do(command, at=at)

    def order(self, customer_id: UUID | None = None) -> UUID:
        """Return an order of the customer's."""
        placed = Order.start(
            OrderPlaced,
            uuid4(),
            occurred_at=self.now,
            store_id=self.store_id,
            customer_id=customer_id or self.customer_id,
            kind=OrderKind.SALE,
            channel="shop",
            external_reference=None,
            currency="CNY",
            lines=(),
            goods_minor=0,
            discount_minor=0,
            freight_minor=0,
            freight_waived_minor=0,
            total_minor=0,
            coupon_code=None,
            coupon_id=None,
            coupon_campaign_id=None,
            points_spent=0,
            points_minor=0,
            campaign_ids=(),
            claims=(),
            freight_waivers=(),
            passed_over=(),
            price_source=PriceSource.EXTERNAL,
            surge=False,
        )
        for event in placed.collect_events():
            self._record(event)
        return placed.id


@pytest.fixture
def counter() -> Counter:
    return Counter()


# Who they are --------------------------------------------------------------------------------------------------------


def test_a_platform_reference_belongs_to_one_customer(counter: Counter) -> None:
    first = counter.register(counter.store_id, external_reference="13085")
    with pytest.raises(ReferenceTaken) as refused:
        counter.register(counter.store_id, external_reference="13085")
    assert refused.value.ids == (first,)


def test_a_year_of_birth_has_to_be_possible(counter: Counter) -> None:
    counter.register(counter.store_id, birth_year=1980)
    for year in (1850, 2025):
        with pytest.raises(InvalidField):
            counter.register(counter.store_id, birth_year=year)


def test_a_contact_card_needs_consent_and_something_on_it(counter: Counter) -> None:
    with pytest.raises(ConsentMissing):
        counter.do(SetContactCard(customer_id=counter.customer_id, consent=False, name="Li Wei"))
    with pytest.raises(InvalidField):
        counter.do(SetContactCard(customer_id=counter.customer_id, consent=True))
    assert not counter.customer().has_contact_card


def test_a_contact_card_is_on_record_as_ciphertext_only(counter: Counter) -> None:
    counter.do(
        SetContactCard(
            customer_id=counter.customer_id,
            consent=True,
            name="Li Wei",
            phone="+86 138 0013 8000",
            email="Li.Wei@example.org",
            region="Shanghai",
        )
    )
    written = repr(counter.events).encode() + b"".join(counter.snapshots()) + repr(counter.claims).encode()
    for personal in (b"Li Wei", b"138 0013", b"13800138000", b"example.org"):
        assert personal not in written
    hashes = [value for kind, _, value in counter.claims if kind == "contact"]
    assert len(hashes) == 2
    log_and_state = repr(counter.events).encode() + b"".join(counter.snapshots())
    assert all(value.encode() not in log_and_state for value in hashes)
    card = json.loads(counter.unseal(counter.customer_id, counter.last(ContactCardSet).card))
    assert (card["name"], card["email"]) == ("Li Wei", "Li.Wei@example.org")
    assert counter.customer().region == "Shanghai"


def test_a_contact_belongs_to_one_customer_however_it_is_spelt(counter: Counter) -> None:
    other = counter.register(counter.store_id)
    counter.do(
        SetContactCard(customer_id=counter.customer_id, consent=True, email="a@x.org", phone="+44 (0)20 7946 0000")
    )
    with pytest.raises(ContactTaken) as refused:
        counter.do(SetContactCard(customer_id=other, consent=True, email=" A@X.ORG "))
    assert refused.value.ids == (counter.customer_id,)
    with pytest.raises(ContactTaken):
        counter.do(SetContactCard(customer_id=other, consent=True, phone="+4402079460000"))
    counter.do(SetContactCard(customer_id=counter.customer_id, consent=True, email="b@x.org"))
    counter.do(SetContactCard(customer_id=other, consent=True, email="a@x.org", phone="+4402079460000"))


def test_consent_is_recorded_when_it_changes(counter: Counter) -> None:
    for granted in (True, True, False):
        counter.do(
            SetConsent(customer_id=counter.customer_id, channel=ConsentChannel.EMAIL, granted=granted), actor=BUYER
        )
    assert counter.recorded(counter.customer_id).count("ConsentSet") == 2
    assert counter.customer().consents == {"email": False}


def test_a_customer_acts_for_themselves_only(counter: Counter) -> None:
    them = Actor(id="c", role=Role.CUSTOMER, customer_id=counter.customer_id)
    counter.do(SetConsent(customer_id=counter.customer_id, channel=ConsentChannel.SMS, granted=True), actor=them)
    other = counter.register(counter.store_id)
    with pytest.raises(NotFound):
        counter.do(SetConsent(customer_id=other, channel=ConsentChannel.SMS, granted=True), actor=them)


def test_who_is_blocked_keeps_what_is_theirs_but_may_not_order(counter: Counter) -> None:
    counter.give(100)
    counter.do(BlockCustomer(customer_id=counter.customer_id, reason=BlockReason.FRAUD))
    counter.do(BlockCustomer(customer_id=counter.customer_id, reason=BlockReason.FRAUD))
    with pytest.raises(CustomerNotActive):
        counter.customer().require_active()
    assert counter.customer().balance == 100
    counter.do(UnblockCustomer(customer_id=counter.customer_id))
    counter.do(UnblockCustomer(customer_id=counter.customer_id))
    counter.customer().require_active()
    assert counter.recorded(counter.customer_id)[-2:] == ["CustomerBlocked", "CustomerUnblocked"]


# Membership ----------------------------------------------------------------------------------------------------------


def test_membership_by_spend_is_off_until_a_threshold_is_set(counter: Counter) -> None:
    join = JoinMembership(customer_id=counter.customer_id, tier="member", source=MembershipSource.SPEND)
    counter.do(CreditSpend(customer_id=counter.customer_id, order_id=uuid4(), amount_minor=10**9, currency="CNY"))
    assert counter.customer().tier is None
    with pytest.raises(SpendThresholdNotReached):
        counter.do(join)
    counter.policy("membership", tiers=[{"name": "member", "spend_minor": 10**9, "discount": "0.98"}])
    counter.do(join)
    assert counter.customer().tier == "member"
    with pytest.raises(AlreadyMember):
        counter.do(join)


def test_a_tier_is_changed_by_hand_to_one_that_is_offered(counter: Counter) -> None:
    change = ChangeTier(customer_id=counter.customer_id, tier="gold", reason="complaint settled")
    with pytest.raises(NotMember):
        counter.do(change)
    counter.do(JoinMembership(customer_id=counter.customer_id, tier="member", source=MembershipSource.GRANTED))
    with pytest.raises(TierNotOffered):
        counter.do(change)
    counter.policy("membership", tiers=[{"name": "member"}, {"name": "gold"}])
    counter.do(change)
    with pytest.raises(TierUnchanged):
        counter.do(change)
    assert counter.customer().tier == "gold"


def test_completed_orders_lift_a_customer_to_the_tier_they_reach_and_refunds_do_not_lower_it(
    counter: Counter,
) -> None:
    counter.policy(
        "membership",
        tiers=[{"name": "silver", "spend_minor": 100_00}, {"name": "gold", "spend_minor": 300_00}],
    )
    orders = [uuid4() for _ in range(3)]

    def credit(order_id: UUID, amount_minor: int) -> None:
        counter.do(
            CreditSpend(customer_id=counter.customer_id, order_id=order_id, amount_minor=amount_minor, currency="CNY")
        )

    credit(orders[0], 99_99)
    assert counter.customer().tier is None
    credit(orders[1], 1)
    assert counter.customer().tier == "silver"
    credit(orders[2], 250_00)
    assert counter.customer().tier == "gold"
    with pytest.raises(AlreadyCredited):
        credit(orders[2], 250_00)
    refund = uuid4()
    for _ in range(2):
        counter.do(
            DebitSpend(
                customer_id=counter.customer_id,
                order_id=orders[2],
                refund_id=refund,
                amount_minor=200_00,
                currency="CNY",
            )
        )
    assert counter.customer().spend_minor == {"CNY": 150_00}
    assert counter.customer().tier == "gold"
    assert counter.recorded(counter.customer_id)[-5:] == [
        "SpendCredited",
        "MembershipJoined",
        "SpendCredited",
        "TierChanged",
        "SpendDebited",
    ]


def test_refunds_lower_the_spend_by_no_more_than_the_order_counted_for(counter: Counter) -> None:
    order_id = uuid4()

    def debit(amount_minor: int) -> None:
        counter.do(
            DebitSpend(
                customer_id=counter.customer_id,
                order_id=order_id,
                refund_id=uuid4(),
                amount_minor=amount_minor,
                currency="CNY",
            )
        )

    with pytest.raises(NotCredited):
        debit(1)
    counter.do(CreditSpend(customer_id=counter.customer_id, order_id=order_id, amount_minor=50, currency="CNY"))
    debit(30)
    debit(30)
    debit(30)
    assert counter.customer().spend_minor == {"CNY": 0}


# Referral ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("newcomer_stays", [True, False])
def test_nobody_is_rewarded_for_bringing_a_second_record_of_their_own(counter: Counter, newcomer_stays: bool) -> None:
    counter.policy("points", rules={"referral": {"points": 50}})
    newcomer = counter.register(counter.store_id, referrer_id=counter.customer_id)
    counter.do(CreditSpend(customer_id=newcomer, order_id=uuid4(), amount_minor=1, currency="CNY"))
    pair = (newcomer, counter.customer_id) if newcomer_stays else (counter.customer_id, newcomer)
    counter.do(MergeCustomers(customer_id=pair[0], other_id=pair[1]))
    with pytest.raises(SelfReferral):
        counter.do(RewardReferral(customer_id=newcomer))
    assert [counter.customer(each).balance for each in pair] == [0, 0]


def test_a_referrer_is_rewarded_once_after_the_first_completed_order(counter: Counter) -> None:
    newcomer = counter.register(counter.store_id, referrer_id=counter.customer_id)
    reward = RewardReferral(customer_id=newcomer)
    with pytest.raises(NoFirstOrder):
        counter.do(reward)
    counter.do(CreditSpend(customer_id=newcomer, order_id=uuid4(), amount_minor=1, currency="CNY"))
    with pytest.raises(PointsRuleOff):
        counter.do(reward)
    counter.policy("points", rules={"referral": {"points": 50}})
    counter.do(reward)
    assert counter.customer().balance == 50
    with pytest.raises(AlreadyRewarded):
        counter.do(reward)
    with pytest.raises(NotReferred):
        counter.do(RewardReferral(customer_id=counter.customer_id))


def test_who_brought_a_customer_can_be_said_until_their_first_order_and_never_in_a_circle(counter: Counter) -> None:
    first = counter.customer_id
    second = counter.register(counter.store_id, referrer_id=first)
    third = counter.register(counter.store_id, referrer_id=second)
    for referrer in (first, second, third):
        with pytest.raises(SelfReferral):
            counter.do(ReferCustomer(customer_id=first, referrer_id=referrer))
    other = counter.register(counter.store_id)
    counter.do(ReferCustomer(customer_id=first, referrer_id=other))
    counter.do(ReferCustomer(customer_id=first, referrer_id=other))
    assert counter.recorded(first).count("ReferralMade") == 1
    with pytest.raises(AlreadyReferred):
        counter.do(ReferCustomer(customer_id=third, referrer_id=other))
    late = counter.register(counter.store_id)
    counter.do(CreditSpend(customer_id=late, order_id=uuid4(), amount_minor=1, currency="CNY"))
    with pytest.raises(AlreadyReferred):
        counter.do(ReferCustomer(customer_id=late, referrer_id=other))


# Points --------------------------------------------------------------------------------------------------------------


def test_no_behaviour_earns_points_until_its_rule_is_set_and_then_each_reference_once(counter: Counter) -> None:
    earn = EarnPoints(customer_id=counter.customer_id, rule="purchase", reference="order-1", amount_minor=199_90)
    with pytest.raises(PointsRuleOff):
        counter.do(earn)
    counter.policy("points", rules={"purchase": {"minor_per_point": 100}}, lifetime_days=90)
    counter.do(earn)
    (lot,) = counter.customer().lots
    assert lot.amount == 199
    assert lot.expires_at == counter.now + timedelta(days=90)
    with pytest.raises(AlreadyEarned):
        counter.do(earn)


def test_points_given_by_hand_need_a_number_and_a_reason(counter: Counter) -> None:
    fields: dict[str, Any] = {"customer_id": counter.customer_id, "rule": "manual", "reference": "r"}
    with pytest.raises(InvalidField):
        counter.do(EarnPoints(**fields))
    with pytest.raises(ReasonMissing):
        counter.do(EarnPoints(**fields, points=5))
    with pytest.raises(InvalidField):
        counter.do(EarnPoints(**(fields | {"rule": "purchase"}), points=5))


def test_points_are_spent_oldest_expiry_first_and_come_back_to_the_lots_they_came_from(counter: Counter) -> None:
    counter.give(100, "late", at=counter.now + timedelta(days=2))
    counter.give(100, "early")
    early, late = (counter.customer().lot_id("manual", name) for name in ("early", "late"))
    order_id = counter.order()
    at = counter.now + timedelta(days=3)
    counter.do(SpendPoints(customer_id=counter.customer_id, order_id=order_id, points=130), at=at)
    assert [(lot.lot_id, lot.amount) for lot in counter.customer().lots] == [(late, 70)]
    with pytest.raises(PointsInsufficient) as refused:
        counter.do(SpendPoints(customer_id=counter.customer_id, order_id=order_id, points=71), at=at)
    assert "Only 70" in refused.value.message
    counter.act(lambda customer: customer.return_points(order_id, at))
    assert [(lot.lot_id, lot.amount) for lot in counter.customer().lots] == [(early, 100), (late, 100)]
    assert counter.act(lambda customer: customer.return_points(order_id, at)) == []


def test_points_are_spent_only_on_an_order_of_ones_own(counter: Counter) -> None:
    counter.give(100)
    other = counter.register(counter.store_id)
    with pytest.raises(NotFound):
        counter.do(SpendPoints(customer_id=counter.customer_id, order_id=counter.order(other), points=1))


def test_points_past_their_expiry_cannot_be_spent_even_before_they_are_taken_off(counter: Counter) -> None:
    counter.give(100)
    (lot,) = counter.customer().lots
    assert lot.expires_at is not None
    customer = counter.customer()
    assert customer.points_at(lot.expires_at - timedelta(microseconds=1)) == 100
    assert customer.points_at(lot.expires_at) == 0
    counter.do(ExpirePoints(customer_id=counter.customer_id), at=lot.expires_at - timedelta(microseconds=1))
    assert counter.customer().balance == 100
    counter.do(ExpirePoints(customer_id=counter.customer_id), at=lot.expires_at)
    counter.do(ExpirePoints(customer_id=counter.customer_id), at=lot.expires_at)
    assert counter.customer().balance == 0
    assert counter.recorded(counter.customer_id).count("PointsExpired") == 1


def test_a_lot_that_has_lapsed_is_passed_over_when_points_are_spent(counter: Counter) -> None:
    counter.give(100, "old")
    counter.give(100, "new", at=counter.now + timedelta(days=300))
    at = counter.now + timedelta(days=400)
    counter.do(SpendPoints(customer_id=counter.customer_id, order_id=counter.order(), points=60), at=at)
    left = {lot.lot_id: lot.amount for lot in counter.customer().lots}
    assert left == {counter.customer().lot_id("manual", "old"): 100, counter.customer().lot_id("manual", "new"): 40}


def test_taking_back_spent_points_leaves_a_debt_that_stops_spending_until_it_is_earned_off(counter: Counter) -> None:
    counter.give(100, "purchase-1")
    counter.do(SpendPoints(customer_id=counter.customer_id, order_id=counter.order(), points=80))
    counter.do(ReversePoints(customer_id=counter.customer_id, rule="manual", reference="purchase-1"))
    assert counter.customer().balance == -80
    with pytest.raises(PointsInsufficient):
        counter.do(SpendPoints(customer_id=counter.customer_id, order_id=counter.order(), points=1))
    counter.give(100, "purchase-2")
    assert counter.customer().balance == 20
    counter.do(SpendPoints(customer_id=counter.customer_id, order_id=counter.order(), points=20))
    assert counter.customer().lots == []
    with pytest.raises(NotEarned):
        counter.do(ReversePoints(customer_id=counter.customer_id, rule="manual", reference="purchase-1"))
    with pytest.raises(NotEarned):
        counter.do(ReversePoints(customer_id=counter.customer_id, rule="manual", reference="never"))


def test_refunds_in_parts_take_back_points_in_proportion_and_all_of_them_in_the_end(counter: Counter) -> None:
    counter.policy("points", rules={"purchase": {"minor_per_point": 100}})
    counter.do(EarnPoints(customer_id=counter.customer_id, rule="purchase", reference="order-1", amount_minor=100_00))
    left = []
    for _ in range(3):
        refund = ReversePoints(
            customer_id=counter.customer_id,
            rule="purchase",
            reference="order-1",
            refund_id=uuid4(),
            refunded_minor=33_33,
        )
        counter.do(refund)
        counter.do(refund)
        left.append(counter.customer().balance)
    assert left == [66, 33, 0]


# Coupons -------------------------------------------------------------------------------------------------------------


def test_a_coupon_is_used_once_and_comes_back_with_its_order(counter: Counter) -> None:
    counter.do(GrantCoupon(customer_id=counter.customer_id, code="TEN", currency="CNY", off_minor=10_00))
    (coupon_id,) = counter.customer().coupons
    first, second = counter.order(), counter.order()
    use = UseCoupon(customer_id=counter.customer_id, coupon_id=coupon_id, order_id=first)
    counter.do(use)
    counter.do(use)
    assert counter.recorded(counter.customer_id).count("CouponUsed") == 1
    with pytest.raises(CouponUsedAlready):
        counter.do(UseCoupon(customer_id=counter.customer_id, coupon_id=coupon_id, order_id=second))
    for _ in range(2):
        counter.do(ReturnCoupon(customer_id=counter.customer_id, order_id=first))
    assert counter.recorded(counter.customer_id).count("CouponReturned") == 1
    counter.do(UseCoupon(customer_id=counter.customer_id, coupon_id=coupon_id, order_id=second))


def test_a_coupon_works_only_in_its_time_its_store_and_its_currency(counter: Counter) -> None:
    begins, ends = counter.now + timedelta(days=1), counter.now + timedelta(days=2)
    counter.do(
        GrantCoupon(
            customer_id=counter.customer_id,
            code="TEN",
            currency="CNY",
            percent=Decimal(10),
            only_store_id=counter.store_id,
            valid_from=begins,
            expires_at=ends,
        )
    )
    (coupon_id,) = counter.customer().coupons
    customer = counter.customer()
    assert customer.plan_coupon(coupon_id, counter.store_id, "CNY", begins).percent == 10
    for at in (begins - timedelta(microseconds=1), ends):
        with pytest.raises(CouponOutOfTime):
            customer.plan_coupon(coupon_id, counter.store_id, "CNY", at)
    with pytest.raises(CouponElsewhere):
        customer.plan_coupon(coupon_id, uuid4(), "CNY", begins)
    with pytest.raises(CouponElsewhere):
        customer.plan_coupon(coupon_id, counter.store_id, "GBP", begins)
    with pytest.raises(NotFound):
        customer.plan_coupon(uuid4(), counter.store_id, "CNY", begins)


def test_a_customer_gets_no_more_of_a_coupon_than_the_limit_used_ones_included(counter: Counter) -> None:
    grant = GrantCoupon(customer_id=counter.customer_id, code="TEN", currency="CNY", off_minor=1, held_max=2)
    counter.do(grant)
    coupon_id = next(iter(counter.customer().coupons))
    counter.do(UseCoupon(customer_id=counter.customer_id, coupon_id=coupon_id, order_id=counter.order()))
    counter.do(grant)
    with pytest.raises(CouponLimitReached):
        counter.do(grant)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"off_minor": 1, "percent": Decimal(1)},
        {"percent": Decimal(0)},
        {"percent": Decimal(101)},
        {"off_minor": 1, "expires_at": datetime(2020, 1, 1, tzinfo=UTC)},
    ],
)
def test_a_coupon_that_makes_no_sense_is_refused(counter: Counter, fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidField):
        counter.do(GrantCoupon(customer_id=counter.customer_id, code="TEN", currency="CNY", **fields))


# Campaign limits -----------------------------------------------------------------------------------------------------


def test_a_second_order_beyond_the_limit_per_customer_is_refused_until_the_first_is_cancelled(
    counter: Counter,
) -> None:
    campaign_id, sku_id, order_id = uuid4(), uuid4(), uuid4()
    one = Decimal(1)
    counter.customer().plan_redemption(campaign_id, sku_id, one, 1)
    counter.act(lambda customer: customer.redeem_campaign(order_id, campaign_id, sku_id, one, counter.now))
    with pytest.raises(CampaignLimitReached):
        counter.customer().plan_redemption(campaign_id, sku_id, one, 1)
    counter.customer().plan_redemption(campaign_id, uuid4(), one, 1)
    counter.customer().plan_redemption(campaign_id, sku_id, one, None)
    counter.act(lambda customer: customer.reverse_redemption(order_id, counter.now))
    assert counter.act(lambda customer: customer.reverse_redemption(order_id, counter.now)) == []
    counter.customer().plan_redemption(campaign_id, sku_id, one, 1)


def test_a_line_that_is_cancelled_gives_back_its_part_of_the_limit_only(counter: Counter) -> None:
    campaign_id, lamp, vase, order_id = uuid4(), uuid4(), uuid4(), uuid4()

    def take(customer: Customer) -> None:
        customer.redeem_campaign(order_id, campaign_id, lamp, Decimal(3), counter.now)
        customer.redeem_campaign(order_id, campaign_id, vase, Decimal(1), counter.now)

    counter.act(take)
    counter.act(lambda customer: customer.reverse_redemption(order_id, counter.now, sku_id=lamp, quantity=Decimal(2)))
    customer = counter.customer()
    assert (customer.redeemed(campaign_id, lamp), customer.redeemed(campaign_id, vase)) == (1, 1)
    counter.act(lambda customer: customer.reverse_redemption(order_id, counter.now))
    customer = counter.customer()
    assert (customer.redeemed(campaign_id, lamp), customer.redeemed(campaign_id, vase)) == (0, 0)


# Merging and forgetting ----------------------------------------------------------------------------------------------


def test_merging_moves_all_that_the_other_record_held(counter: Counter) -> None:
    kept, given_up = counter.customer_id, counter.register(counter.store_id, external_reference="T-1")
    campaign_id, sku_id = uuid4(), uuid4()
    counter.give(30)
    counter.do(EarnPoints(customer_id=given_up, rule="manual", reference="gift", points=70, reason="goodwill"))
    counter.do(GrantCoupon(customer_id=given_up, code="TEN", currency="CNY", off_minor=1))
    counter.do(JoinMembership(customer_id=given_up, tier="member", source=MembershipSource.GRANTED))
    counter.do(CreditSpend(customer_id=given_up, order_id=uuid4(), amount_minor=500, currency="CNY"))
    counter.act(
        lambda customer: customer.redeem_campaign(uuid4(), campaign_id, sku_id, Decimal(1), counter.now), given_up
    )
    counter.do(MergeCustomers(customer_id=kept, other_id=given_up))
    customer, other = counter.customer(kept), counter.customer(given_up)
    assert (customer.balance, other.balance) == (100, 0)
    assert [coupon.code for coupon in customer.coupons.values()] == ["TEN"]
    assert other.coupons == {}
    assert customer.tier == "member"
    assert customer.spend_minor == {"CNY": 500}
    assert customer.redeemed(campaign_id, sku_id) == 1
    assert counter.claims["customer_reference", "operator", "T-1"] == kept
    with pytest.raises(CustomerNotActive) as refused:
        other.require_active()
    assert refused.value.ids == (kept,)


def test_what_comes_back_to_a_merged_record_is_swept_to_the_one_that_stays(counter: Counter) -> None:
    kept, given_up = counter.customer_id, counter.register(counter.store_id)
    counter.do(EarnPoints(customer_id=given_up, rule="manual", reference="gift", points=70, reason="goodwill"))
    counter.do(GrantCoupon(customer_id=given_up, code="TEN", currency="CNY", off_minor=1))
    (coupon_id,) = counter.customer(given_up).coupons
    order_id = counter.order(given_up)
    counter.do(SpendPoints(customer_id=given_up, order_id=order_id, points=70))
    counter.do(UseCoupon(customer_id=given_up, coupon_id=coupon_id, order_id=order_id))
    merge = MergeCustomers(customer_id=kept, other_id=given_up)
    counter.do(merge)
    recorded = len(counter.events)
    counter.do(merge)
    assert len(counter.events) == recorded
    counter.act(lambda customer: customer.return_points(order_id, counter.now), given_up)
    counter.do(ReturnCoupon(customer_id=given_up, order_id=order_id))
    assert (counter.customer(kept).balance, counter.customer(given_up).balance) == (70, 0)
    assert list(counter.customer(kept).coupons) == [coupon_id]


def test_a_contact_of_a_record_that_was_merged_twice_is_still_their_own(counter: Counter) -> None:
    first, second, kept, other = (counter.register(counter.store_id) for _ in range(4))
    counter.do(SetContactCard(customer_id=first, consent=True, email="a@x.org"))
    counter.do(MergeCustomers(customer_id=second, other_id=first))
    counter.do(MergeCustomers(customer_id=kept, other_id=second))
    with pytest.raises(ContactTaken):
        counter.do(SetContactCard(customer_id=other, consent=True, email="a@x.org"))
    counter.do(SetContactCard(customer_id=kept, consent=True, email="a@x.org"))
    assert [holder for (kind, *_), holder in counter.claims.items() if kind == "contact"] == [kept]


def test_a_debt_moves_with_a_merge_and_points_taken_back_later_follow_it(counter: Counter) -> None:
    kept, given_up = counter.customer_id, counter.register(counter.store_id)
    counter.give(100)

    def earn(reference: str) -> None:
        counter.do(EarnPoints(customer_id=given_up, rule="manual", reference=reference, points=40, reason="goodwill"))

    def take_back(reference: str) -> None:
        counter.do(ReversePoints(customer_id=given_up, rule="manual", reference=reference))

    earn("a")
    counter.do(SpendPoints(customer_id=given_up, order_id=counter.order(given_up), points=40))
    take_back("a")
    earn("b")
    earn("c")
    counter.do(SpendPoints(customer_id=given_up, order_id=counter.order(given_up), points=30))
    take_back("b")
    assert counter.customer(given_up).balance == -30
    counter.do(MergeCustomers(customer_id=kept, other_id=given_up))
    assert (counter.customer(kept).balance, counter.customer(given_up).balance) == (70, 0)
    take_back("c")
    assert (counter.customer(kept).balance, counter.customer(given_up).balance) == (30, 0)


def test_a_sale_of_a_merged_record_counts_for_the_one_that_stays_and_so_does_its_refund(counter: Counter) -> None:
    middle, first = counter.register(counter.store_id), counter.register(counter.store_id)
    before, after = uuid4(), uuid4()

    def credit(order_id: UUID) -> UUID:
        return counter.do(CreditSpend(customer_id=first, order_id=order_id, amount_minor=500, currency="CNY"))

    def debit(order_id: UUID) -> None:
        counter.do(
            DebitSpend(customer_id=first, order_id=order_id, refund_id=uuid4(), amount_minor=200, currency="CNY")
        )

    assert credit(before) == first
    counter.do(MergeCustomers(customer_id=middle, other_id=first))
    counter.do(MergeCustomers(customer_id=counter.customer_id, other_id=middle))
    assert credit(after) == counter.customer_id
    debit(before)
    debit(after)
    assert counter.customer().spend_minor == {"CNY": 600}
    assert not any(counter.customer(first).spend_minor.values())
    with pytest.raises(NotCredited):
        debit(uuid4())


def test_a_merged_record_earns_for_the_one_it_was_merged_into(counter: Counter) -> None:
    given_up = counter.register(counter.store_id)
    counter.do(MergeCustomers(customer_id=counter.customer_id, other_id=given_up))
    command = EarnPoints(customer_id=given_up, rule="manual", reference="late", points=5, reason="goodwill")
    assert counter.do(command) == counter.customer_id
    assert counter.customer().balance == 5


def test_who_was_blocked_under_a_record_that_is_merged_stays_blocked(counter: Counter) -> None:
    given_up = counter.register(counter.store_id)
    counter.do(BlockCustomer(customer_id=given_up, reason=BlockReason.FRAUD))
    merge = MergeCustomers(customer_id=counter.customer_id, other_id=given_up)
    counter.do(merge)
    assert counter.last(CustomerBlocked).reason is BlockReason.FRAUD
    with pytest.raises(CustomerNotActive):
        counter.customer().require_active()
    counter.do(UnblockCustomer(customer_id=counter.customer_id))
    counter.do(merge)
    counter.customer().require_active()


def test_a_merger_keeps_the_higher_tier_and_gives_the_one_that_the_spend_of_both_reaches(counter: Counter) -> None:
    tiers = [{"name": "silver"}, {"name": "gold"}, {"name": "black", "spend_minor": 1000}]
    counter.policy("membership", tiers=tiers)

    def member(tier: str, spent_minor: int = 0) -> UUID:
        customer_id = counter.register(counter.store_id)
        counter.do(JoinMembership(customer_id=customer_id, tier=tier, source=MembershipSource.GRANTED))
        if spent_minor:
            spent: dict[str, Any] = {"amount_minor": spent_minor, "currency": "CNY"}
            counter.do(CreditSpend(customer_id=customer_id, order_id=uuid4(), **spent))
        return customer_id

    kept, gold, silver = member("silver"), member("gold"), member("silver", 600)
    counter.do(MergeCustomers(customer_id=kept, other_id=gold))
    assert counter.customer(kept).tier == "gold"
    counter.do(MergeCustomers(customer_id=kept, other_id=silver))
    assert counter.customer(kept).tier == "gold"
    counter.do(ChangeTier(customer_id=kept, tier="silver", reason="asked for"))
    counter.do(MergeCustomers(customer_id=kept, other_id=gold))
    assert counter.customer(kept).tier == "silver"
    counter.do(MergeCustomers(customer_id=kept, other_id=member("silver", 400)))
    assert counter.customer(kept).tier == "black"
    assert counter.recorded(kept)[-1] == "TierChanged"


def test_what_happens_once_to_a_person_happens_once_whichever_record_it_happened_to(counter: Counter) -> None:
    kept, middle, first = counter.customer_id, counter.register(counter.store_id), counter.register(counter.store_id)
    order_id, used_on = uuid4(), counter.order(first)
    credit: dict[str, Any] = {"order_id": order_id, "amount_minor": 500, "currency": "CNY"}
    earn: dict[str, Any] = {"rule": "manual", "reference": "review 1", "points": 5, "reason": "goodwill"}
    coupon: dict[str, Any] = {"code": "WELCOME", "currency": "CNY", "off_minor": 100}
    counter.do(CreditSpend(customer_id=first, **credit))
    counter.do(EarnPoints(customer_id=first, **earn))
    counter.do(GrantCoupon(customer_id=first, **coupon))
    (coupon_id,) = counter.customer(first).coupons
    counter.do(UseCoupon(customer_id=first, coupon_id=coupon_id, order_id=used_on))
    counter.do(MergeCustomers(customer_id=middle, other_id=first))
    counter.do(MergeCustomers(customer_id=kept, other_id=middle))
    for customer_id in (kept, first):
        with pytest.raises(AlreadyCredited):
            counter.do(CreditSpend(customer_id=customer_id, **credit))
        with pytest.raises(AlreadyEarned):
            counter.do(EarnPoints(customer_id=customer_id, **earn))
    # What comes back to a record goes to the one that stays, and leads there by two ways from then on.
    counter.do(SpendPoints(customer_id=kept, order_id=counter.order(kept), points=5))
    counter.do(ReversePoints(customer_id=first, rule="manual", reference="review 1"))
    with pytest.raises(CouponLimitReached):
        counter.do(GrantCoupon(customer_id=kept, **coupon))
    counter.do(GrantCoupon(customer_id=kept, **coupon, held_max=2))
    with pytest.raises(AlreadyReferred):
        counter.do(ReferCustomer(customer_id=kept, referrer_id=counter.register(counter.store_id)))


def test_a_merged_record_brings_its_referrer_the_reward_by_its_own_order_and_a_person_is_brought_once(
    counter: Counter,
) -> None:
    counter.policy("points", rules={"referral": {"points": 50}})
    referrer, other = counter.customer_id, counter.register(counter.store_id)
    newcomer, kept = (counter.register(counter.store_id, referrer_id=referrer), counter.register(counter.store_id))
    second = counter.register(counter.store_id, referrer_id=other)
    order_id = counter.order(newcomer)
    counter.do(MergeCustomers(customer_id=kept, other_id=newcomer))
    with pytest.raises(NoFirstOrder):
        counter.do(RewardReferral(customer_id=newcomer))
    counter.do(CreditSpend(customer_id=newcomer, order_id=order_id, amount_minor=1, currency="CNY"))
    counter.do(RewardReferral(customer_id=newcomer))
    assert counter.customer(referrer).balance == 50
    counter.do(MergeCustomers(customer_id=second, other_id=kept))
    counter.do(CreditSpend(customer_id=second, order_id=counter.order(second), amount_minor=1, currency="CNY"))
    with pytest.raises(AlreadyRewarded):
        counter.do(RewardReferral(customer_id=second))
    assert counter.customer(other).balance == 0


def test_who_had_bought_before_was_not_brought_by_whoever_brought_a_second_record_of_theirs(counter: Counter) -> None:
    counter.policy("points", rules={"referral": {"points": 50}})
    kept = counter.register(counter.store_id)
    counter.do(CreditSpend(customer_id=kept, order_id=counter.order(kept), amount_minor=1, currency="CNY"))
    newcomer = counter.register(counter.store_id, referrer_id=counter.customer_id)
    order_id = counter.order(newcomer)
    counter.do(MergeCustomers(customer_id=kept, other_id=newcomer))
    counter.do(CreditSpend(customer_id=newcomer, order_id=order_id, amount_minor=1, currency="CNY"))
    with pytest.raises(NoFirstOrder):
        counter.do(RewardReferral(customer_id=newcomer))


def test_whether_a_person_may_be_written_to_is_said_by_the_record_that_stays(counter: Counter) -> None:
    given_up = counter.register(counter.store_id)
    for customer_id, granted in ((given_up, True), (counter.customer_id, False)):
        counter.do(SetConsent(customer_id=customer_id, channel=ConsentChannel.EMAIL, granted=granted))
    counter.do(MergeCustomers(customer_id=counter.customer_id, other_id=given_up))
    assert counter.customer(given_up).consents == {}
    assert counter.customer().consents == {"email": False}


def test_a_record_is_not_merged_with_itself_or_with_one_that_is_gone(counter: Counter) -> None:
    other, third = counter.register(counter.store_id), counter.register(counter.store_id)
    with pytest.raises(InvalidField):
        counter.do(MergeCustomers(customer_id=counter.customer_id, other_id=counter.customer_id))
    counter.do(MergeCustomers(customer_id=counter.customer_id, other_id=other))
    with pytest.raises(CustomerNotActive):
        counter.do(MergeCustomers(customer_id=third, other_id=other))
    with pytest.raises(CustomerNotActive):
        counter.do(MergeCustomers(customer_id=other, other_id=third))


def test_who_is_erased_can_be_read_nowhere_and_their_contact_and_reference_are_free_again(counter: Counter) -> None:
    customer_id = counter.register(counter.store_id, external_reference="T-9")
    counter.do(SetContactCard(customer_id=customer_id, consent=True, name="Li Wei", email="li@example.org"))
    counter.do(EarnPoints(customer_id=customer_id, rule="manual", reference="gift", points=5, reason="goodwill"))
    sealed = counter.last(ContactCardSet).card
    erase = EraseCustomer(customer_id=customer_id)
    counter.do(erase)
    counter.do(erase)
    assert counter.recorded(customer_id)[-2:] == ["PointsExpired", "CustomerErased"]
    with pytest.raises(KeyError):
        counter.unseal(customer_id, sealed)
    assert customer_id not in counter.claims.values()
    with pytest.raises(CustomerNotActive):
        counter.do(SetContactCard(customer_id=customer_id, consent=True, name="Li Wei"))
    again = counter.register(counter.store_id, external_reference="T-9")
    counter.do(SetContactCard(customer_id=again, consent=True, email="li@example.org"))


@pytest.mark.parametrize("named", [0, 1, 2])
def test_erasing_a_customer_erases_every_record_of_theirs_whichever_is_named(counter: Counter, named: int) -> None:
    first, second = counter.register(counter.store_id), counter.register(counter.store_id)
    for customer_id, name in ((first, "a"), (second, "b"), (counter.customer_id, "c")):
        counter.do(SetContactCard(customer_id=customer_id, consent=True, email=f"{name}@example.org"))
    counter.do(MergeCustomers(customer_id=second, other_id=first))
    counter.do(MergeCustomers(customer_id=counter.customer_id, other_id=second))
    erase = EraseCustomer(customer_id=(first, second, counter.customer_id)[named])
    counter.do(erase)
    counter.do(erase)
    assert counter.erased == {first, second, counter.customer_id}
    assert counter.recorded().count("CustomerErased") == 3
    assert not [name for name in counter.claims if name[0] == "contact"]


def test_who_is_erased_gets_nothing_back_from_a_cancelled_order(counter: Counter) -> None:
    counter.give(10)
    order_id = uuid4()
    counter.act(lambda customer: customer.spend_points(order_id, 10, counter.now))
    counter.do(EraseCustomer(customer_id=counter.customer_id))
    assert counter.act(lambda customer: customer.return_points(order_id, counter.now)) == []


def test_the_state_of_a_customer_can_be_kept_as_a_snapshot_and_read_again(counter: Counter) -> None:
    counter.give(10)
    counter.do(SpendPoints(customer_id=counter.customer_id, order_id=counter.order(), points=4))
    counter.do(GrantCoupon(customer_id=counter.customer_id, code="TEN", currency="CNY", off_minor=1))
    counter.act(lambda customer: customer.redeem_campaign(uuid4(), uuid4(), uuid4(), Decimal(1), counter.now))
    customer = counter.customer()
    hints = {name: kind for name, kind in typing.get_type_hints(Customer).items() if name in vars(customer)}
    for name, kind in hints.items():
        value = getattr(customer, name)
        assert msgspec.json.decode(msgspec.json.encode(value), type=kind) == value, name
    assert set(hints) == {name for name in vars(customer) if not name.startswith("_")}
