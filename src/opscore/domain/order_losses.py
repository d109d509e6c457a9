"""Parcels that are lost: reported, asked after, claimed for, and what becomes of the units that went with them.

The units left the stock when they were shipped, and nothing comes back to it: what was lost is sent once more from what
there is, or called off like anything that was not sent (`cancelOrder`, `cancelOrderLines`), and its money goes back.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, ClassVar
from uuid import UUID

from msgspec import Meta

from opscore.domain.aggregate import Aggregate
from opscore.domain.command import Command, Role, UnitOfWork
from opscore.domain.order import Order
from opscore.domain.order_commands import (
    AFTER_SALES_DESK,
    SERVICE_DESK,
    SHIPPING,
    Note,
    OrderId,
    ParcelId,
    news_by,
    require_currency,
    sealed,
)
from opscore.domain.order_events import (
    ClaimCause,
    CourierClaimFiled,
    CourierClaimSettled,
    LostUnitsReplaced,
    ParcelLine,
    ParcelLost,
    ParcelTraced,
    ReturnReason,
)
from opscore.domain.order_refunds import REFUNDING
from opscore.domain.order_refusals import ClaimExists, DamageUnreported, LossSettled, ParcelAskedBack
from opscore.domain.order_state import OrderStatus, Parcel, units_by_line
from opscore.domain.periods import OverrideReason, note_override, require_open_books
from opscore.domain.policies import ProblemKind
from opscore.domain.refusals import CurrencyMismatch, InvalidField, Refusal, WrongState
from opscore.domain.sku import Pick, Sku, StockInsufficient
from opscore.domain.store import Store
from opscore.domain.store_events import PeriodClosedAlready
from opscore.domain.values import Code, Currency, NonNegativeMinor, PositiveMinor, plain

LOSSES_DESK = SERVICE_DESK | AFTER_SALES_DESK | SHIPPING


# What may happen next ------------------------------------------------------------------------------------------------


def require_losable(order: Order, parcel: Parcel) -> None:
    """Refuse WrongState unless the parcel is on its way, ParcelAskedBack when the customer has units of it."""
    state = "shipped" if parcel.shipped_at is not None else "packed"
    if parcel.delivered_at is not None:
        state = "delivered"
    if state != "shipped":
        raise WrongState(what="parcel", state=state, needed="shipped", path=("parcel_id",), ids=[order.id])
    if order.status is OrderStatus.COMPLETED:
        raise WrongState(what="order", state=order.status.value, needed="not final", path=("order_id",), ids=[order.id])
    for number, quantity in units_by_line(parcel.lines).items():
        line = order.lines[number - 1]
        if line.shipped - quantity < line.return_requested:
            raise ParcelAskedBack(line=number, path=("parcel_id",), ids=[order.id])


def lost_parcel(order: Order, parcel_id: UUID) -> Parcel:
    """Return a parcel that is lost; refuses NotFound, WrongState."""
    parcel = order.parcel(parcel_id)
    if parcel.lost_at is None:
        state = "packed" if parcel.shipped_at is None else "shipped" if parcel.delivered_at is None else "delivered"
        raise WrongState(what="parcel", state=state, needed="lost", path=("parcel_id",), ids=[order.id])
    return parcel


def still_lost(order: Order, parcel: Parcel) -> tuple[ParcelLine, ...]:
    """Return what of a parcel was neither sent once more nor called off."""
    left = {line.line: line.lost for line in order.lines}
    found = []
    for entry in parcel.lines:
        quantity = min(entry.quantity, left[entry.line])
        if quantity:
            left[entry.line] -= quantity
            found.append(ParcelLine(line=entry.line, sku_id=entry.sku_id, quantity=plain(quantity), batch=entry.batch))
    return tuple(found)


def require_damaged(order: Order, parcel: Parcel) -> None:
    """Refuse WrongState unless the parcel arrived, DamageUnreported unless a complaint or a return says damage."""
    if parcel.delivered_at is None:
        state = "packed" if parcel.shipped_at is None else "shipped" if parcel.lost_at is None else "lost"
        raise WrongState(what="parcel", state=state, needed="delivered", path=("parcel_id",), ids=[order.id])
    held = {entry.line for entry in parcel.lines}
    told = [
        not dispute.lines or not held.isdisjoint(entry.line for entry in dispute.lines)
        for dispute in order.disputes.values()
        if dispute.real is not False and (dispute.found_kind or dispute.kind) is ProblemKind.COURIER_DAMAGE
    ]
    told += [
        not held.isdisjoint(entry.line for entry in case.lines)
        for case in order.returns.values()
        if case.real_reason is ReturnReason.COURIER_DAMAGE
    ]
    if not any(told):
        raise DamageUnreported(path=("parcel_id",), ids=[order.id])


# What can be asked for -----------------------------------------------------------------------------------------------


class ReportParcelLost(Command):
    """Say that a parcel which left is lost. Its units count as not sent until it is found or they are dealt with."""

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = LOSSES_DESK
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (ParcelAskedBack,)

    order_id: OrderId
    parcel_id: ParcelId
    note: Note = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Check that it is on its way, then record the loss. Asked twice, recorded once."""
        order = work.order(self.order_id)
        parcel = order.parcel(self.parcel_id)
        if parcel.lost_at is not None:
            return order.id
        require_losable(order, parcel)
        order.trigger_event(
            ParcelLost,
            parcel_id=self.parcel_id,
            courier=parcel.courier,
            waybill=parcel.waybill,
            lines=tuple(parcel.lines),
            note=sealed(work, order, self.note),
            occurred_at=work.occurred_at,
        )
        return order.id


class TraceParcel(Command):
    """Record what the courier said of a lost parcel. A parcel that was found is on its way again."""

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = LOSSES_DESK
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (LossSettled,)

    order_id: OrderId
    parcel_id: ParcelId
    found: Annotated[bool, Meta(description="Whether it was found, and goes on to the customer.")] = False
    note: Note = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Check that nothing of it was sent once more or called off if it was found, then record the answer."""
        order = work.order(self.order_id)
        parcel = lost_parcel(order, self.parcel_id)
        lines: tuple[ParcelLine, ...] = ()
        if self.found:
            lines = still_lost(order, parcel)
            if units_by_line(lines) != units_by_line(parcel.lines):
                raise LossSettled(path=("parcel_id",), ids=[order.id])
        order.trigger_event(
            ParcelTraced,
            parcel_id=self.parcel_id,
            found=self.found,
            lines=lines,
            note=sealed(work, order, self.note),
            news_by=news_by(work, order) if self.found else None,
            occurred_at=work.occurred_at,
        )
        return order.id


class ReplaceLostParcel(Command):
    """Send what was lost once more: it is set apart from what there is, and is to be packed."""

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = SERVICE_DESK | AFTER_SALES_DESK
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (LossSettled, StockInsufficient, PeriodClosedAlready)

    order_id: OrderId
    parcel_id: ParcelId
    override_reason: OverrideReason = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Check that there is enough in stock, then set it apart."""
        order = work.order(self.order_id)
        lines = still_lost(order, lost_parcel(order, self.parcel_id))
        if not lines:
            raise LossSettled(path=("parcel_id",), ids=[order.id])
        store = work.get(Store, order.store_id, scoped=False)
        needed: dict[UUID, Decimal] = {}
        for entry in lines:
            needed[entry.sku_id] = needed.get(entry.sku_id, Decimal(0)) + entry.quantity
        planned: list[tuple[Sku, tuple[Pick, ...]]] = []
        for sku_id, quantity in needed.items():
            sku = work.sku(sku_id, scoped=False)
            planned.append((sku, sku.plan_reservation(quantity, store.open_location_ids, None, ("parcel_id",))))
            require_open_books(work, sku, self.override_reason)
        for sku, picks in planned:
            sku.reserve(order.id, order.store_id, picks, work.occurred_at)
            note_override(work, sku, self.override_reason)
        order.trigger_event(LostUnitsReplaced, parcel_id=self.parcel_id, lines=lines, occurred_at=work.occurred_at)
        return order.id


class FileCourierClaim(Command):
    """Claim money from the courier for a parcel that is lost, or whose goods came damaged."""

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = LOSSES_DESK
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (ClaimExists, DamageUnreported, CurrencyMismatch)

    order_id: OrderId
    parcel_id: ParcelId
    amount_minor: Annotated[PositiveMinor, Meta(description="How much, in minor units of the order's currency.")]
    reference: Annotated[Code | None, Meta(description="The courier's number of the claim.")] = None
    cause: Annotated[ClaimCause, Meta(description="What the courier did to it.")] = ClaimCause.LOST
    currency: Annotated[
        Currency | None, Meta(description="Currency of the amount; refused if it is not the order's.")
    ] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Check that it is lost, or came damaged, and nothing was claimed yet, then record the claim."""
        order = work.order(self.order_id)
        require_currency(order, self.currency)
        parcel = order.parcel(self.parcel_id)
        if parcel.claim is not None:
            raise ClaimExists(amount_minor=parcel.claim.amount_minor, path=("parcel_id",), ids=[order.id])
        if self.cause is ClaimCause.LOST:
            lost_parcel(order, self.parcel_id)
        else:
            require_damaged(order, parcel)
        order.trigger_event(
            CourierClaimFiled,
            parcel_id=self.parcel_id,
            courier=parcel.courier,
            amount_minor=self.amount_minor,
            currency=order.currency,
            reference=self.reference,
            cause=self.cause,
            occurred_at=work.occurred_at,
        )
        return order.id


class SettleCourierClaim(Command):
    """Record what the courier paid for a parcel; 0 if the claim came to nothing, or the parcel was found."""

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = REFUNDING
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (CurrencyMismatch,)

    order_id: OrderId
    parcel_id: ParcelId
    amount_minor: Annotated[NonNegativeMinor, Meta(description="What was paid, in minor units; 0 for nothing.")]
    note: Note = None
    currency: Annotated[
        Currency | None, Meta(description="Currency of the amount; refused if it is not the order's.")
    ] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Check that so much was claimed, then record the answer. Asked twice, recorded once."""
        order = work.order(self.order_id)
        require_currency(order, self.currency)
        parcel = order.parcel(self.parcel_id)
        claim = parcel.claim
        if claim is None or claim.recovered_minor not in (None, self.amount_minor):
            state = "not claimed for" if claim is None else "settled"
            raise WrongState(
                what="parcel", state=state, needed="one with an open claim", path=("parcel_id",), ids=[order.id]
            )
        if claim.recovered_minor is not None:
            return order.id
        if self.amount_minor > claim.amount_minor:
            why = f"only {claim.amount_minor} minor units were claimed"
            raise InvalidField(why=why, path=("amount_minor",), ids=[order.id])
        order.trigger_event(
            CourierClaimSettled,
            parcel_id=self.parcel_id,
            courier=parcel.courier,
            amount_minor=self.amount_minor,
            currency=order.currency,
            note=sealed(work, order, self.note),
            occurred_at=work.occurred_at,
        )
        return order.id
