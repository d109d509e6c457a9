"""Points and coupons are neither made nor lost: laws that hold after any run of decisions on two records."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid5

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from opscore.domain.aggregate import Event
from opscore.domain.customer import Customer
from opscore.domain.customer_commands import (
    EarnPoints,
    EraseCustomer,
    ExpirePoints,
    GrantCoupon,
    MergeCustomers,
    ReversePoints,
)
from opscore.domain.customer_events import (
    CampaignRedeemed,
    CouponReturned,
    CouponUsed,
    CustomerMergedInto,
    CustomersMerged,
    CustomerStatus,
    PointsEarned,
    PointsExpired,
    PointsReturned,
    PointsReversed,
    PointsSpent,
    RedemptionReversed,
)
from opscore.domain.refusals import Refusal
from tests.domain.desk import Desk

SIDES = st.integers(0, 1)
AMOUNTS = st.integers(1, 60)
CAMPAIGN, SKU = UUID(int=1), UUID(int=2)
LIMIT = 5


class Holdings(RuleBasedStateMachine):
    """Two records of customers, orders that take from them and fall through, refunds, merges, time passing."""

    orders = Bundle("orders")
    earned = Bundle("earned")

    @initialize()
    def open_the_desk(self) -> None:
        self.desk = Desk()
        self.store_id = self.desk.open_store()
        self.ids = [self.desk.register(self.store_id) for _ in range(2)]
        self.count = 0

    def name(self) -> UUID:
        self.count += 1
        return uuid5(UUID(int=0), str(self.count))

    def customer(self, side: int) -> Customer:
        return self.desk.get(Customer, self.ids[side])

    def attempt(self, command: Any) -> bool:
        """Give a command that may well be refused; the desk checks that a refusal leaves nothing behind."""
        try:
            self.desk.do(command)
        except Refusal:
            return False
        return True

    def record(self, customer: Customer) -> None:
        for event in customer.collect_events():
            self.desk._record(event)

    @rule(target=earned, side=SIDES, amount=AMOUNTS)
    def earn(self, side: int, amount: int) -> Any:
        reference = str(self.name())
        given = self.attempt(
            EarnPoints(customer_id=self.ids[side], rule="manual", reference=reference, points=amount, reason="goodwill")
        )
        return (side, reference) if given else multiple()

    @rule(side=SIDES, code=st.sampled_from("AB"))
    def grant(self, side: int, code: str) -> None:
        self.attempt(GrantCoupon(customer_id=self.ids[side], code=code, currency="CNY", off_minor=1, held_max=3))

    @rule(target=orders, side=SIDES, points=st.integers(0, 80), quantity=st.integers(0, 3))
    def place(self, side: int, points: int, quantity: int) -> Any:
        """As placing an order does: every check of the customer first, then every record."""
        customer, order_id, at = self.customer(side), self.name(), self.desk.now
        coupon = next((held for held in customer.coupons.values() if held.used_by is None), None)
        try:
            customer.require_active()
            customer.plan_points(points, at)
            customer.plan_redemption(CAMPAIGN, SKU, Decimal(quantity), LIMIT)
            if coupon is not None:
                customer.plan_coupon(coupon.coupon_id, self.store_id, "CNY", at)
        except Refusal:
            assert not customer.pending_events
            return multiple()
        customer.spend_points(order_id, points, at)
        if quantity:
            customer.redeem_campaign(order_id, CAMPAIGN, SKU, Decimal(quantity), at)
        if coupon is not None:
            customer.use_coupon(coupon.coupon_id, order_id, at)
        self.record(customer)
        return (side, order_id)

    @rule(order=orders)
    def cancel(self, order: tuple[int, UUID]) -> None:
        side, order_id = order
        for _ in range(2):
            customer = self.customer(side)
            customer.return_points(order_id, self.desk.now)
            customer.return_coupon(order_id, self.desk.now)
            customer.reverse_redemption(order_id, self.desk.now)
            self.record(customer)

    @rule(gift=consumes(earned))
    def reverse(self, gift: tuple[int, str]) -> None:
        side, reference = gift
        self.attempt(ReversePoints(customer_id=self.ids[side], rule="manual", reference=reference))

    @rule(side=SIDES, amount=AMOUNTS, spent=AMOUNTS)
    def fall_into_debt(self, side: int, amount: int, spent: int) -> None:
        gift = self.earn(side, amount)
        if isinstance(gift, tuple):
            self.place(side, min(spent, amount), 0)
            self.reverse(gift)

    @rule(days=st.integers(1, 200))
    def let_time_pass(self, days: int) -> None:
        self.desk.now += timedelta(days=days)

    @rule(side=SIDES)
    def expire(self, side: int) -> None:
        self.attempt(ExpirePoints(customer_id=self.ids[side]))

    @rule(side=SIDES)
    def merge(self, side: int) -> None:
        self.attempt(MergeCustomers(customer_id=self.ids[side], other_id=self.ids[1 - side]))

    @rule(side=SIDES, really=st.sampled_from((True, False, False, False, False)))
    def erase(self, side: int, really: bool) -> None:
        if really:
            self.attempt(EraseCustomer(customer_id=self.ids[side]))

    # Laws ------------------------------------------------------------------------------------------------------------

    def _ledger(self, customer_id: UUID) -> int:
        """The balance as an auditor adds it up from the log."""
        balance = 0
        for stream_id, event in self.desk.events:
            if stream_id == customer_id:
                balance += _points(event)
        return balance

    @invariant()
    def the_balance_is_what_the_log_adds_up_to(self) -> None:
        for side in (0, 1):
            customer = self.customer(side)
            assert customer.balance == self._ledger(customer.id)

    @invariant()
    def points_are_held_or_owed_but_never_both_and_no_lot_is_below_zero(self) -> None:
        for side in (0, 1):
            customer = self.customer(side)
            assert all(lot.amount > 0 for lot in customer.lots)
            assert customer.owed >= 0
            assert not (customer.owed and customer.lots)
            assert customer.points_at(self.desk.now) <= max(0, customer.balance)

    @invariant()
    def what_may_be_spent_never_exceeds_what_was_earned(self) -> None:
        taken_in = sum(event.amount for _, event in self.desk.events if isinstance(event, PointsEarned))
        assert sum(self.customer(side).points_at(self.desk.now) for side in (0, 1)) <= taken_in

    @invariant()
    def a_coupon_is_used_by_one_order_at_a_time_and_held_by_one_record(self) -> None:
        uses: Counter[UUID] = Counter()
        for _, event in self.desk.events:
            if isinstance(event, CouponUsed):
                uses[event.coupon_id] += 1
            elif isinstance(event, CouponReturned):
                uses[event.coupon_id] -= 1
        assert set(uses.values()) <= {0, 1}
        held: Counter[UUID] = Counter()
        for side in (0, 1):
            held.update(self.customer(side).coupons.keys())
        assert set(held.values()) <= {1}
        for side in (0, 1):
            for coupon in self.customer(side).coupons.values():
                assert (coupon.used_by is not None) == (uses[coupon.coupon_id] == 1)

    @invariant()
    def units_that_count_against_the_limit_are_those_of_orders_that_stand(self) -> None:
        standing = Decimal(0)
        for _, event in self.desk.events:
            if isinstance(event, CampaignRedeemed):
                standing += event.quantity
            elif isinstance(event, RedemptionReversed):
                standing -= event.quantity
        assert sum(self.customer(side).redeemed(CAMPAIGN, SKU) for side in (0, 1)) == standing

    @invariant()
    def whoever_is_erased_holds_no_points(self) -> None:
        for side in (0, 1):
            customer = self.customer(side)
            if customer.status is CustomerStatus.ERASED:
                assert customer.lots == []


def _points(event: Event) -> int:
    if isinstance(event, PointsEarned | PointsReturned):
        return event.amount
    if isinstance(event, PointsSpent | PointsReversed | PointsExpired):
        return -event.amount
    if isinstance(event, CustomersMerged):
        return sum(use.amount for use in event.lots) - event.owed
    if isinstance(event, CustomerMergedInto):
        return event.owed - sum(use.amount for use in event.lots)
    return 0


TestHoldings = Holdings.TestCase
TestHoldings.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
