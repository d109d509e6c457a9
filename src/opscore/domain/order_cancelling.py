"""Calling an order off, the whole of it or a part: what that means in units and money, and what is given back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from opscore.domain.campaign import Campaign
from opscore.domain.command import UnitOfWork
from opscore.domain.customer import Customer
from opscore.domain.mergers import hand_on
from opscore.domain.order import Order, require_each_once
from opscore.domain.order_events import CancelledLine, CancelReason, OrderCancelled, OrderExpired
from opscore.domain.order_refusals import CancelExceedsOpen, OrderAlreadyShipped, OrderNotExpired
from opscore.domain.order_state import ZERO, Cancellation, OrderStatus
from opscore.domain.periods import note_override, require_open_books
from opscore.domain.sku import Sku

# What it means -------------------------------------------------------------------------------------------------------


def plan_cancel(order: Order, wanted: Sequence[tuple[int, Decimal]] | None = None) -> Cancellation:
    """Work out what calling off these (line, quantity) means; None is the whole order. Records nothing.

    When nothing but gifts, and services that came with goods (none that stands in for some), would be left of an
    order of which nothing has shipped, all of it goes.
    Refuses: WrongState, OrderAlreadyShipped, CancelExceedsOpen, NotFound.
    """
    require_cancellable(order)
    if wanted is None:
        if order.has_shipped:
            raise OrderAlreadyShipped(path=("order_id",), ids=[order.id])
        whole, going = True, {line.line: line.live for line in order.lines if line.live}
    else:
        going = _open_units(order, wanted)
        bought = [line for line in order.lines if line.live and not line.gift]
        goods = [line for line in bought if not line.service or line.stands_in]
        left = any(line.live > going.get(line.line, ZERO) for line in goods or bought)
        whole = not left and not order.has_shipped
        if whole:
            going = {line.line: line.live for line in order.lines if line.live}
    return _cancellation(order, going, whole)


def require_cancellable(order: Order) -> None:
    """Refuse unless something may still be called off: OrderAlreadyShipped, WrongState."""
    if order.status in (OrderStatus.SHIPPED, OrderStatus.DELIVERED, OrderStatus.COMPLETED):
        raise OrderAlreadyShipped(path=("order_id",), ids=[order.id])
    order.require(
        OrderStatus.PLACED,
        OrderStatus.PAID,
        OrderStatus.CONFIRMED,
        OrderStatus.SHORTAGE,
        OrderStatus.LOST,
        OrderStatus.PACKED,
    )


def require_expirable(order: Order, at: datetime) -> None:
    """Refuse unless the order ran out unpaid: WrongState, OrderNotExpired."""
    order.require(OrderStatus.PLACED)
    if order.expires_at is None or at < order.expires_at:
        until = "it is paid or cancelled" if order.expires_at is None else order.expires_at.isoformat()
        raise OrderNotExpired(expires_at=until, path=("order_id",), ids=[order.id])


def _open_units(order: Order, wanted: Sequence[tuple[int, Decimal]]) -> dict[int, Decimal]:
    require_each_once([number for number, _ in wanted])
    for index, (number, quantity) in enumerate(wanted):
        line = order.line(number, ("lines", index, "line"))
        available = line.live - line.return_requested if line.service else line.to_pack + line.lost
        if quantity > available:
            raise CancelExceedsOpen(
                available=available, line=number, asked=quantity, path=("lines", index, "quantity"), ids=[order.id]
            )
    return dict(wanted)


def _cancellation(order: Order, going: dict[int, Decimal], whole: bool) -> Cancellation:
    lines = []
    for number, quantity in sorted(going.items()):
        line = order.lines[number - 1]
        amount_minor = max(0, line.price_of(line.cancelled + quantity) - line.cancelled_minor)
        lines.append(
            CancelledLine(
                line=number,
                sku_id=line.sku_id,
                quantity=quantity,
                amount_minor=amount_minor,
                campaign_id=line.campaign_id,
                # What is lost goes first: nobody waits for it to be packed.
                lost=min(line.lost, quantity),
            )
        )
    goods_minor = sum(line.amount_minor for line in lines)
    freight_minor = order.freight_minor - order.cancelled_freight_minor if whole else 0
    gone_minor = goods_minor + freight_minor
    held_minor = order.paid_minor - order.refunded_minor
    if order.paid_at is not None:
        refund_due_minor = min(gone_minor, held_minor)
    else:
        refund_due_minor = max(0, held_minor - (order.net_total_minor - gone_minor))
    return Cancellation(tuple(lines), whole, goods_minor, freight_minor, refund_due_minor)


# Recording it --------------------------------------------------------------------------------------------------------


def cancel(order: Order, plan: Cancellation, reason: CancelReason, at: datetime) -> None:
    """Record a planned cancellation; what the order held elsewhere is given back by the caller (see `Held`)."""
    _call_off(order, OrderCancelled, plan, reason, at)


def expire(order: Order, plan: Cancellation, at: datetime) -> None:
    """Record that the order ran out unpaid; `require_expirable` and `plan_cancel` first."""
    _call_off(order, OrderExpired, plan, CancelReason.EXPIRED, at)


def _call_off(
    order: Order,
    event_class: type[OrderCancelled] | type[OrderExpired],
    plan: Cancellation,
    reason: CancelReason,
    at: datetime,
) -> None:
    gone = {line.line: line.quantity for line in plan.lines}
    order.trigger_event(
        event_class,
        reason=reason,
        lines=plan.lines,
        whole=plan.whole,
        goods_minor=plan.goods_minor,
        freight_minor=plan.freight_minor,
        currency=order.currency,
        customer_id=order.customer_id,
        paid=order.paid_at is not None,
        refund_due_minor=plan.refund_due_minor,
        rest_shipped=(order.has_shipped or not plan.whole) and order.all_shipped(gone),
        occurred_at=at,
    )


# What others get back ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Held:
    """What an order holds with others, looked up before anything is recorded, so that giving it back cannot refuse."""

    skus: dict[UUID, Sku]
    campaigns: dict[UUID, Campaign]
    customer: Customer | None

    @classmethod
    def gather(cls, work: UnitOfWork, order: Order, plan: Cancellation, override_reason: str | None = None) -> Held:
        """Look everything up that the cancellation gives something back to; refuses NotFound, PeriodClosedAlready."""
        campaign_ids = set(order.claims)
        if order.coupon_campaign_id is not None:
            campaign_ids.add(order.coupon_campaign_id)
        skus = {line.sku_id: work.sku(line.sku_id, scoped=False) for line in plan.lines}
        for sku in skus.values():
            if order.id in sku.reservations:
                require_open_books(work, sku, override_reason)
        return cls(
            skus=skus,
            campaigns={found: work.campaign(found, scoped=False) for found in sorted(campaign_ids)},
            customer=None if order.customer_id is None else work.customer(order.customer_id, scoped=False),
        )

    def give_back(self, order: Order, plan: Cancellation, work: UnitOfWork, override_reason: str | None = None) -> None:
        """Free stock, quota, budget, coupon, points and limits; before the order itself records the cancellation."""
        at = work.occurred_at
        freed = [sku for sku in self.skus.values() if order.id in sku.reservations]
        if plan.whole:
            for sku in freed:
                sku.release(order.id, order.store_id, at)
            self._give_back_everything(order, work)
        else:
            self._give_back_lines(order, plan, at)
        for sku in freed:
            note_override(work, sku, override_reason)
        if self.customer is not None:
            hand_on(work, self.customer)

    def _give_back_lines(self, order: Order, plan: Cancellation, at: datetime) -> None:
        for gone in plan.lines:
            # What was lost is set apart no longer: it left.
            held = gone.quantity - gone.lost
            if held:
                self.skus[gone.sku_id].release(order.id, order.store_id, at, held, campaign_id=gone.campaign_id)
            for campaign_id, amount_minor in order.lines[gone.line - 1].claims_of(gone.quantity).items():
                self.campaigns[campaign_id].release_claim(order.id, at, amount_minor=amount_minor)
            # Neither a gift nor what was sent in exchange counted against a limit, even if it is of the article that
            # is limited.
            if self.customer is not None and gone.campaign_id is not None and not order.lines[gone.line - 1].gift:
                self.customer.reverse_redemption(order.id, at, sku_id=gone.sku_id, quantity=gone.quantity)

    def _give_back_everything(self, order: Order, work: UnitOfWork) -> None:
        at = work.occurred_at
        for campaign_id, campaign in self.campaigns.items():
            campaign.release_claim(
                order.id,
                at,
                amount_minor=order.claims.get(campaign_id, 0),
                coupon_code=order.coupon_code if campaign_id == order.coupon_campaign_id else None,
                customer_id=order.customer_id,
            )
        if self.customer is not None:
            self.customer.reverse_redemption(order.id, at)
            self.customer.return_coupon(order.id, at)
            self.customer.return_points(order.id, at)


def give_back_points(work: UnitOfWork, order: Order, customer: Customer | None, before: int) -> None:
    """Return the points that fall to units gone since `before` (`order.points_given_back`). Refuses nothing."""
    gone = order.points_given_back - before
    if customer is not None and gone > 0:
        customer.return_points(order.id, work.occurred_at, gone)
        hand_on(work, customer)
