"""Money that goes back for an order: for goods, for freight, or because a price fell."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, ClassVar
from uuid import UUID

from msgspec import Meta

from opscore.domain.aggregate import Aggregate
from opscore.domain.command import Command, Role, UnitOfWork
from opscore.domain.customer import Customer
from opscore.domain.order import Order, require_each_once
from opscore.domain.order_cancelling import give_back_points
from opscore.domain.order_commands import (
    AFTER_SALES_DESK,
    LineNumber,
    OrderId,
    Quantity,
    line_quantity,
    require_currency,
)
from opscore.domain.order_events import (
    OrderKind,
    OrderRefunded,
    RefundLine,
    RefundReason,
)
from opscore.domain.order_refusals import (
    NothingToRefund,
    PriceNotLower,
    PriceProtectedAlready,
    PriceProtectionOver,
    RefundExceedsPaid,
    RefundExceedsPrice,
    RefundExceedsReturned,
)
from opscore.domain.order_state import ZERO, OrderStatus, RefundPlan
from opscore.domain.policies import PriceProtection
from opscore.domain.refusals import (
    CurrencyMismatch,
    InvalidField,
    Refusal,
    WrongState,
)
from opscore.domain.sku_commands import require_unit_price
from opscore.domain.store import Store
from opscore.domain.values import (
    Code,
    Currency,
    NonNegativeMinor,
    Part,
    Reason,
    line_amount_minor,
    plain,
)

REFUNDING = AFTER_SALES_DESK | {Role.FINANCE}

# What may happen next ------------------------------------------------------------------------------------------------


def plan_refund(
    order: Order,
    wanted: Sequence[tuple[int, Decimal, int | None]],
    freight_minor: int,
    other_minor: int,
) -> RefundPlan:
    """Work out a refund of these (line, quantity, amount or None for the price paid); records nothing.

    Refuses: RefundExceedsReturned, RefundExceedsPrice, RefundExceedsPaid, InvalidField.
    """
    require_each_once([number for number, _, _ in wanted])
    lines = []
    for index, (number, quantity, amount_minor) in enumerate(wanted):
        line = order.line(number, ("lines", index, "line"))
        if quantity > line.refundable:
            raise RefundExceedsReturned(
                available=plain(line.refundable),
                line=number,
                asked=quantity,
                path=("lines", index, "quantity"),
                ids=[order.id],
            )
        price_minor = line.refund_price_of(quantity)
        if amount_minor is not None and amount_minor > price_minor:
            raise RefundExceedsPrice(
                line=number,
                price_minor=price_minor,
                asked=amount_minor,
                path=("lines", index, "amount_minor"),
                ids=[order.id],
            )
        lines.append(
            RefundLine(
                line=number,
                sku_id=line.sku_id,
                sku_code=line.sku_code,
                quantity=quantity,
                amount_minor=price_minor if amount_minor is None else amount_minor,
                campaign_id=line.campaign_id,
            )
        )
    if freight_minor > order.refundable_freight_minor:
        why = f"{order.refundable_freight_minor} minor units of freight were paid and not given back"
        raise InvalidField(why=why, path=("freight_minor",), ids=[order.id])
    return _within_ceiling(order, lines, freight_minor, other_minor)


def _within_ceiling(order: Order, lines: list[RefundLine], freight_minor: int, other_minor: int) -> RefundPlan:
    line_minor = sum(line.amount_minor for line in lines)
    if line_minor > order.refundable_goods_minor:
        raise RefundExceedsPaid(
            available=order.refundable_goods_minor, asked=line_minor, path=("lines",), ids=[order.id]
        )
    # Money that was never part of a sale goes back first, then money for goods, then freight.
    unearned_minor = min(other_minor, order.unearned_minor - order.refunded_unearned_minor)
    other_goods_minor = min(other_minor - unearned_minor, order.refundable_goods_minor - line_minor)
    if other_goods_minor:
        lines.append(RefundLine(quantity=ZERO, amount_minor=other_goods_minor))
    freight_minor += other_minor - unearned_minor - other_goods_minor
    plan = RefundPlan(
        lines=tuple(lines),
        goods_minor=sum(line.amount_minor for line in lines),
        freight_minor=freight_minor,
        unearned_minor=unearned_minor,
    )
    if plan.amount_minor > order.refundable_minor:
        raise RefundExceedsPaid(
            available=order.refundable_minor, asked=plan.amount_minor, path=("order_id",), ids=[order.id]
        )
    if not plan.amount_minor and not plan.lines:
        raise NothingToRefund(path=("order_id",), ids=[order.id])
    return plan


def plan_refund_due(order: Order) -> RefundPlan:
    """Work out everything due back: for goods that came back or were cancelled once paid, and what was paid too much.

    Refuses: NothingToRefund.
    """
    unearned_minor = min(order.refundable_minor, order.unearned_minor - order.refunded_unearned_minor)
    left_minor = order.refundable_goods_minor
    lines = []
    for line in order.lines:
        # Units for which the customer wants other goods wait for these; named in a refund, they are paid all the same.
        units = plain(line.refundable - order.owed_in_goods(line))
        if units > 0:
            # Compensation given before may leave less than the price: nobody gets back more than was paid.
            amount_minor = min(left_minor, line.refund_price_of(units))
            left_minor -= amount_minor
            lines.append(
                RefundLine(
                    line=line.line,
                    sku_id=line.sku_id,
                    sku_code=line.sku_code,
                    quantity=units,
                    amount_minor=amount_minor,
                    campaign_id=line.campaign_id,
                )
            )
    freight_minor = 0
    if order.paid_at is not None:
        freight_minor = max(0, order.cancelled_freight_minor - order.refunded_freight_minor)
    goods_minor = sum(line.amount_minor for line in lines)
    if not lines and not freight_minor and not unearned_minor:
        raise NothingToRefund(path=("order_id",), ids=[order.id])
    return RefundPlan(tuple(lines), goods_minor, freight_minor, unearned_minor)


def refund(
    order: Order,
    refund_id: UUID,
    plan: RefundPlan,
    reason: RefundReason,
    reference: str | None,
    at: datetime,
    *,
    evidence: str | None = None,
) -> None:
    """Record a planned refund."""
    order.trigger_event(
        OrderRefunded,
        refund_id=refund_id,
        amount_minor=plan.amount_minor,
        goods_minor=plan.goods_minor,
        freight_minor=plan.freight_minor,
        unearned_minor=plan.unearned_minor,
        currency=order.currency,
        customer_id=order.customer_id,
        reason=reason,
        sold_at=order.paid_at,
        provider_reference=reference,
        lines=plan.lines,
        evidence=evidence,
        occurred_at=at,
    )


# What can be asked for -----------------------------------------------------------------------------------------------


class RefundOf(Part):
    """Units whose money goes back."""

    line: LineNumber
    quantity: Quantity
    amount_minor: Annotated[
        NonNegativeMinor | None,
        Meta(description="Less than their price after discounts, if so agreed; the full price if left out."),
    ] = None


def buyer_with_points(work: UnitOfWork, order: Order) -> Customer | None:
    """Return the customer if points paid for a part of the order, so that some may go back; else None."""
    if order.customer_id is None or not order.points_spent:
        return None
    return work.customer(order.customer_id, scoped=False)


class RefundOrder(Command):
    """Give money back: for goods that came back or were cancelled, for freight, or as compensation.

    Without lines and amounts, everything that is due goes back.
    """

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = REFUNDING
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (
        RefundExceedsReturned,
        RefundExceedsPrice,
        RefundExceedsPaid,
        NothingToRefund,
        CurrencyMismatch,
    )

    order_id: OrderId
    lines: Annotated[tuple[RefundOf, ...], Meta(description="Units whose money goes back.")] = ()
    freight_minor: Annotated[NonNegativeMinor, Meta(description="Freight that goes back, in minor units.")] = 0
    other_minor: Annotated[
        NonNegativeMinor,
        Meta(description="Money for no particular unit: compensation, price protection, a payment too much."),
    ] = 0
    reason: Annotated[RefundReason, Meta(description="Why.")] = RefundReason.RETURNED
    provider_reference: Annotated[
        Code | None, Meta(description="The payment provider's own reference; the same one is recorded once.")
    ] = None
    currency: Annotated[
        Currency | None, Meta(description="Currency of the amounts; refused if it is not the order's.")
    ] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Check units, prices and what was paid, then record the refund. A reference counts once."""
        order = work.order(self.order_id)
        require_currency(order, self.currency)
        if order.kind is OrderKind.RETURN:
            order.require(*(status for status in OrderStatus if status is not OrderStatus.RETURNED))
        if self.provider_reference is not None and any(
            known.provider_reference == self.provider_reference for known in order.refunds
        ):
            return order.id
        if self.lines or self.freight_minor or self.other_minor:
            wanted = [
                (asked.line, line_quantity(work, order, asked.line, asked.quantity, index), asked.amount_minor)
                for index, asked in enumerate(self.lines)
            ]
            plan = plan_refund(order, wanted, self.freight_minor, self.other_minor)
        else:
            plan = plan_refund_due(order)
        customer, before = buyer_with_points(work, order), order.points_given_back
        refund(order, work.new_id(), plan, self.reason, self.provider_reference, work.occurred_at)
        give_back_points(work, order, customer, before)
        return order.id


class ProtectPrice(Command):
    """Give the difference back when an article became cheaper soon after its delivery; once for each line."""

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = AFTER_SALES_DESK
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (
        PriceProtectionOver,
        PriceProtectedAlready,
        PriceNotLower,
        RefundExceedsPaid,
    )

    order_id: OrderId
    line: LineNumber
    lower_price: Annotated[Decimal, Meta(description="The lower price per unit that was seen.")]
    evidence: Annotated[Reason, Meta(description="Where it was seen: a page, an advertisement; no personal data.")]

    def decide(self, work: UnitOfWork) -> UUID:
        """Check time and price, then give back the difference for the units that the buyer keeps."""
        order = work.order(self.order_id)
        line = order.line(self.line, ("line",))
        require_in_price_protection(order, work.get(Store, order.store_id, scoped=False), work.occurred_at)
        if line.price_protected:
            raise PriceProtectedAlready(line=self.line, path=("line",), ids=[order.id])
        lower_price = require_unit_price(self.lower_price, ("lower_price",))
        kept, bought = line.live - line.returned, line.ordered - line.exchanged
        paid_minor = line.price_of(bought) - line.price_of(bought - kept)
        difference_minor = paid_minor - line_amount_minor(lower_price, kept, order.currency)
        if difference_minor <= 0:
            raise PriceNotLower(line=self.line, paid_minor=paid_minor, path=("lower_price",), ids=[order.id])
        back = RefundLine(
            line=self.line,
            sku_id=line.sku_id,
            sku_code=line.sku_code,
            quantity=ZERO,
            amount_minor=difference_minor,
            campaign_id=line.campaign_id,
        )
        plan = _within_ceiling(order, [back], 0, 0)
        reason, at = RefundReason.PRICE_PROTECTION, work.occurred_at
        refund(order, work.new_id(), plan, reason, None, at, evidence=self.evidence)
        return order.id


def require_in_price_protection(order: Order, store: Store, at: datetime) -> None:
    """Refuse unless it has arrived and not too long ago: WrongState, PriceProtectionOver."""
    if order.delivered_at is None:
        state = order.status.value
        raise WrongState(what="order", state=state, needed="delivered", path=("order_id",), ids=[order.id])
    until = order.delivered_at + timedelta(days=store.policy(PriceProtection, at).days)
    if at > until:
        raise PriceProtectionOver(until=until.isoformat(), path=("order_id",), ids=[order.id])
