"""What may happen to an order's prices and its money, up to the moment at which it is paid in full."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from opscore.domain.order import Order
from opscore.domain.order_events import OrderPaid, OrderPriceAmended, PaymentReceived
from opscore.domain.order_refusals import (
    OrderAlreadyPaid,
    PaymentExceedsDue,
    PaymentReferenceReused,
    ReservationExpired,
)
from opscore.domain.order_state import ZERO, LineState, OrderStatus
from opscore.domain.policies import ShipPromise
from opscore.domain.refusals import InvalidField


def require_unpaid(order: Order) -> None:
    """Refuse unless prices may still change: OrderAlreadyPaid once any money came in, WrongState."""
    if order.paid_minor or order.paid_at is not None:
        raise OrderAlreadyPaid(path=("order_id",), ids=[order.id])
    order.require(OrderStatus.PLACED)


def require_amendable(order: Order, line: LineState) -> None:
    """Refuse unless the line's price may still change: OrderAlreadyPaid, WrongState, InvalidField."""
    require_unpaid(order)
    if line.cancelled or line.gift:
        why = "it is a gift" if line.gift else "a part of it was cancelled at the old price"
        raise InvalidField(why=f"line {line.line} cannot get another price, {why}", path=("line",), ids=[order.id])


def amend_price(
    order: Order, line: LineState, unit_price: Decimal, amount_minor: int, reason: str, at: datetime
) -> None:
    """Charge `amount_minor` for the whole line; `require_amendable` first. Asked twice, recorded once."""
    if line.unit_price == unit_price and line.amount_minor == amount_minor:
        return
    difference = amount_minor - line.amount_minor
    gross_minor = max(line.gross_minor, amount_minor)
    discount_minor = gross_minor - amount_minor
    order.trigger_event(
        OrderPriceAmended,
        line=line.line,
        unit_price=unit_price,
        gross_minor=gross_minor,
        discount_minor=discount_minor,
        amount_minor=amount_minor,
        goods_minor=order.goods_minor + difference,
        order_discount_minor=order.discount_minor + discount_minor - line.discount_minor,
        total_minor=order.total_minor + difference,
        currency=order.currency,
        reason=reason,
        occurred_at=at,
    )


def pay(
    order: Order, amount_minor: int, method: str, provider_reference: str | None, promise: ShipPromise, at: datetime
) -> None:
    """Take in money, in whole or in part; in full, the promise to ship starts. A reference counts once.

    Refuses: PaymentReferenceReused, ReservationExpired, PaymentExceedsDue, WrongState.
    """
    if provider_reference is not None:
        for known in order.payments:
            if known.provider_reference == provider_reference:
                if known.amount_minor == amount_minor:
                    return  # Asked twice, recorded once.
                raise PaymentReferenceReused(
                    reference=provider_reference,
                    recorded=known.amount_minor,
                    given=amount_minor,
                    path=("provider_reference",),
                    ids=[order.id],
                )
    require_payable(order)
    if amount_minor > order.due_minor:
        raise PaymentExceedsDue(due=order.due_minor, given=amount_minor, path=("amount_minor",), ids=[order.id])
    order.trigger_event(
        PaymentReceived,
        amount_minor=amount_minor,
        currency=order.currency,
        method=method,
        provider_reference=provider_reference,
        occurred_at=at,
    )
    settle(order, promise, at)


def require_payable(order: Order) -> None:
    """Refuse unless money may come in: ReservationExpired, WrongState."""
    if order.expired:
        raise ReservationExpired(path=("order_id",), ids=[order.id])
    order.require(OrderStatus.PLACED)


def settle(order: Order, promise: ShipPromise, at: datetime) -> None:
    """Record that the order is paid in full, once it is."""
    if order.paid_at is not None or order.cancelled_at is not None or order.paid_minor < order.net_total_minor:
        return
    ship_by_hard = at + timedelta(hours=promise.hard_hours)
    order.trigger_event(
        OrderPaid,
        customer_id=order.customer_id,
        channel=order.channel,
        currency=order.currency,
        goods_minor=order.goods_minor - order.cancelled_goods_minor,
        discount_minor=sum(line.live_discount_minor for line in order.lines),
        freight_minor=order.freight_minor - order.cancelled_freight_minor,
        total_minor=order.net_total_minor,
        units=sum((line.live for line in order.lines if not line.service and not line.gift), ZERO),
        # In a surge the soft promise is the hard one: the time between counts as in time.
        ship_by=ship_by_hard if order.surge else at + timedelta(hours=promise.soft_hours),
        ship_by_hard=ship_by_hard,
        surge=order.surge,
        occurred_at=at,
    )
