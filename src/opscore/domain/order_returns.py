"""What comes back: returns (asked for, approved, counted, disposed of) and refunds.

First what may happen next (decisions about one order), then what can be asked for (commands).
"""

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
    BUYING,
    SERVICE_DESK,
    SHIPPING,
    LineNumber,
    LineQuantity,
    OrderId,
    Quantity,
    line_quantity,
    own_order,
    quantities,
    require_currency,
    sealed,
)
from opscore.domain.order_events import (
    DisposedLine,
    OrderKind,
    OrderRefunded,
    RefundLine,
    RefundReason,
    ReturnApproved,
    ReturnCondition,
    ReturnDisposed,
    ReturnLine,
    ReturnReason,
    ReturnReceived,
    ReturnRecorded,
    ReturnRequested,
)
from opscore.domain.order_refusals import (
    DisposalExceedsReceived,
    NothingToRefund,
    PriceNotLower,
    PriceProtectedAlready,
    PriceProtectionOver,
    RefundExceedsPaid,
    RefundExceedsPrice,
    RefundExceedsReturned,
    ReturnExceedsApproved,
    ReturnExceedsDelivered,
    ReturnWindowOver,
)
from opscore.domain.order_state import OrderStatus, RefundPlan, ReturnCase, ReturnCaseLine, ReturnStatus
from opscore.domain.periods import OverrideReason, note_override, require_open_books
from opscore.domain.policies import AfterSale, PriceProtection
from opscore.domain.refusals import (
    AlreadyExists,
    CurrencyMismatch,
    InvalidField,
    NotFound,
    ReferenceTaken,
    Refusal,
    WrongState,
)
from opscore.domain.sku_commands import require_unit_price
from opscore.domain.sku_events import CountBelowHeld, FulfilmentMode, StockCondition
from opscore.domain.store import Store
from opscore.domain.store_events import LocationClosedAlready, PeriodClosedAlready
from opscore.domain.values import (
    Code,
    Currency,
    Minor,
    NonNegativeMinor,
    Part,
    Reason,
    Text,
    derived_id,
    line_amount_minor,
    plain,
)

ZERO = Decimal(0)

REFUNDING = AFTER_SALES_DESK | {Role.FINANCE}
HANDLING = SERVICE_DESK | SHIPPING

ReturnId = Annotated[UUID, Meta(description="The return.")]

# What may happen next ------------------------------------------------------------------------------------------------


def case_of(order: Order, return_id: UUID, *needed: ReturnStatus) -> ReturnCase:
    """Return a return of the order; refuses NotFound, WrongState unless it stands at one of `needed`."""
    case = order.returns.get(return_id)
    if case is None:
        raise NotFound(what="return of this order", path=("return_id",), ids=[order.id])
    if needed and case.status not in needed:
        raise WrongState(
            what="return", state=case.status.value, needed=" or ".join(needed), path=("return_id",), ids=[order.id]
        )
    return case


def case_line(order: Order, case: ReturnCase, number: int, index: int) -> ReturnCaseLine:
    """Return the return's entry for an order line; refuses NotFound."""
    entry = case.find(number)
    if entry is None:
        raise NotFound(what=f"line {number} in this return", path=("lines", index, "line"), ids=[order.id])
    return entry


def return_lines(order: Order, wanted: Sequence[tuple[int, Decimal]]) -> tuple[ReturnLine, ...]:
    """Return these (line, quantity) as they are stored."""
    return tuple(
        ReturnLine(line=number, sku_id=order.lines[number - 1].sku_id, quantity=quantity) for number, quantity in wanted
    )


def require_returnable(order: Order, wanted: Sequence[tuple[int, Decimal]]) -> None:
    """Refuse ReturnExceedsDelivered when more would come back than left, InvalidField when a line comes twice."""
    require_each_once([number for number, _ in wanted])
    for index, (number, quantity) in enumerate(wanted):
        available = order.returnable(order.line(number, ("lines", index, "line")))
        if quantity > available:
            raise ReturnExceedsDelivered(
                available=plain(available),
                line=number,
                asked=quantity,
                path=("lines", index, "quantity"),
                ids=[order.id],
            )


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
        if line.refundable > 0:
            # Compensation given before may leave less than the price: nobody gets back more than was paid.
            amount_minor = min(left_minor, line.refund_price_of(line.refundable))
            left_minor -= amount_minor
            lines.append(
                RefundLine(
                    line=line.line,
                    sku_id=line.sku_id,
                    sku_code=line.sku_code,
                    quantity=plain(line.refundable),
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


# What can be asked for: returns --------------------------------------------------------------------------------------


class DisposalOf(Part):
    """What becomes of units that came back."""

    line: LineNumber
    quantity: Quantity
    condition: Annotated[ReturnCondition, Meta(description="Sold again, set aside as damaged, or put in quarantine.")]
    batch: Annotated[Code | None, Meta(description="Number of the batch they are of, if it is known.")] = None


class RefundOf(Part):
    """Units whose money goes back."""

    line: LineNumber
    quantity: Quantity
    amount_minor: Annotated[
        NonNegativeMinor | None,
        Meta(description="Less than their price after discounts, if so agreed; the full price if left out."),
    ] = None


class RequestReturn(Command):
    """Ask to send goods back."""

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = BUYING | AFTER_SALES_DESK
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (ReturnExceedsDelivered, ReturnWindowOver)

    order_id: OrderId
    lines: Annotated[tuple[LineQuantity, ...], Meta(min_length=1, description="What is to come back.")]
    reason: Annotated[ReturnReason, Meta(description="Why.")] = ReturnReason.CHANGED_MIND
    note: Annotated[Text | None, Meta(description="In the customer's words; kept encrypted.")] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Check that so much has left, and in time, then open the return."""
        order = own_order(work, self.order_id)
        wanted = quantities(work, order, self.lines)
        require_returnable(order, wanted)
        require_in_return_window(order, work.get(Store, order.store_id, scoped=False), work.occurred_at)
        order.trigger_event(
            ReturnRequested,
            return_id=work.new_id(),
            reason=self.reason,
            lines=return_lines(order, wanted),
            note=sealed(work, order, self.note),
            occurred_at=work.occurred_at,
        )
        return order.id


def require_in_return_window(order: Order, store: Store, at: datetime) -> None:
    """Refuse ReturnWindowOver when the last parcel arrived longer ago than the store takes goods back."""
    if order.delivered_at is not None:
        until = order.delivered_at + timedelta(days=store.policy(AfterSale, at).days)
        if at > until:
            raise ReturnWindowOver(until=until.isoformat(), path=("order_id",), ids=[order.id])


class ApproveReturn(Command):
    """Agree to take goods back, all that was asked for or less."""

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = AFTER_SALES_DESK
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (ReturnExceedsApproved,)

    order_id: OrderId
    return_id: ReturnId
    lines: Annotated[
        tuple[LineQuantity, ...], Meta(description="What may come back; all that was asked for if left out.")
    ] = ()

    def decide(self, work: UnitOfWork) -> UUID:
        """Check that it was asked for, then approve."""
        order = work.order(self.order_id)
        case = case_of(order, self.return_id, ReturnStatus.REQUESTED)
        approved = [(entry.line, entry.requested) for entry in case.lines]
        if self.lines:
            approved = quantities(work, order, self.lines)
            require_each_once([number for number, _ in approved])
            for index, (number, quantity) in enumerate(approved):
                asked = case_line(order, case, number, index).requested
                if quantity > asked:
                    raise ReturnExceedsApproved(
                        available=asked, line=number, asked=quantity, path=("lines", index, "quantity"), ids=[order.id]
                    )
        order.trigger_event(
            ReturnApproved,
            return_id=self.return_id,
            lines=return_lines(order, approved),
            occurred_at=work.occurred_at,
        )
        return order.id


class ReceiveReturn(Command):
    """Count goods that came back; what is counted, not what was announced, is what can be refunded."""

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = HANDLING
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (ReturnExceedsApproved, LocationClosedAlready)

    order_id: OrderId
    return_id: ReturnId
    location_id: Annotated[UUID, Meta(description="Where they were counted.")]
    lines: Annotated[tuple[LineQuantity, ...], Meta(min_length=1, description="What was counted.")]

    def decide(self, work: UnitOfWork) -> UUID:
        """Check that no more came than was approved, then record the count."""
        order = work.order(self.order_id)
        case = case_of(order, self.return_id, ReturnStatus.APPROVED, ReturnStatus.RECEIVED, ReturnStatus.DISPOSED)
        work.get(Store, order.store_id, scoped=False).require_location(self.location_id, ("location_id",))
        counted = quantities(work, order, self.lines)
        require_each_once([number for number, _ in counted])
        for index, (number, quantity) in enumerate(counted):
            expected = case.expected(case_line(order, case, number, index))
            if quantity > expected:
                raise ReturnExceedsApproved(
                    available=plain(expected),
                    line=number,
                    asked=quantity,
                    path=("lines", index, "quantity"),
                    ids=[order.id],
                )
        order.trigger_event(
            ReturnReceived,
            return_id=self.return_id,
            location_id=self.location_id,
            lines=return_lines(order, counted),
            occurred_at=work.occurred_at,
        )
        return order.id


class DisposeReturn(Command):
    """Decide what becomes of goods that came back: back on sale, into quarantine, or set aside as damaged."""

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = SHIPPING
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (DisposalExceedsReceived, CountBelowHeld, PeriodClosedAlready)

    order_id: OrderId
    return_id: ReturnId
    lines: Annotated[
        tuple[DisposalOf, ...], Meta(min_length=1, description="What becomes of which units; a line may come twice.")
    ]
    override_reason: OverrideReason = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Check that they were counted, then put them where they belong."""
        order = work.order(self.order_id)
        case = case_of(order, self.return_id, ReturnStatus.RECEIVED)
        disposed = []
        taken: dict[int, Decimal] = {}
        for index, asked in enumerate(self.lines):
            quantity = line_quantity(work, order, asked.line, asked.quantity, index)
            entry = case_line(order, case, asked.line, index)
            available = entry.received - entry.disposed - taken.get(asked.line, ZERO)
            if quantity > available:
                raise DisposalExceedsReceived(
                    available=plain(available),
                    line=asked.line,
                    asked=quantity,
                    path=("lines", index, "quantity"),
                    ids=[order.id],
                )
            taken[asked.line] = taken.get(asked.line, ZERO) + quantity
            disposed.append(
                DisposedLine(
                    line=asked.line,
                    sku_id=order.lines[asked.line - 1].sku_id,
                    quantity=quantity,
                    condition=asked.condition,
                    batch=asked.batch,
                )
            )
        if case.location_id is not None:
            _require_room(work, case.location_id, disposed, self.override_reason)
        order.trigger_event(
            ReturnDisposed,
            return_id=self.return_id,
            location_id=case.location_id,
            lines=tuple(disposed),
            occurred_at=work.occurred_at,
        )
        if case.location_id is not None:
            for line in disposed:
                _take_back(work, order.id, self.return_id, order.store_id, case.location_id, line)
            for sku_id in dict.fromkeys(line.sku_id for line in disposed):
                note_override(work, work.sku(sku_id, scoped=False), self.override_reason)
        return order.id


def _require_room(
    work: UnitOfWork, location_id: UUID, lines: Sequence[DisposedLine], override_reason: str | None
) -> None:
    """Refuse PeriodClosedAlready, or CountBelowHeld when a count has what is to be set aside among the free units."""
    for line in lines:
        require_open_books(work, work.sku(line.sku_id, scoped=False), override_reason)
    for sku_id in dict.fromkeys(line.sku_id for line in lines):
        sku = work.sku(sku_id, scoped=False)
        if sku.mode is FulfilmentMode.STOCKED:
            units = [
                (_CONDITIONS[line.condition], line.quantity, line.batch) for line in lines if line.sku_id == sku_id
            ]
            sku.require_uncounted(location_id, work.occurred_at, units, ("lines",))


_CONDITIONS = {
    ReturnCondition.RESTOCK: StockCondition.GOOD,
    ReturnCondition.DAMAGED: StockCondition.DAMAGED,
    ReturnCondition.QUARANTINE: StockCondition.QUARANTINED,
}


def _take_back(
    work: UnitOfWork,
    order_id: UUID | None,
    return_id: UUID,
    store_id: UUID,
    location_id: UUID,
    back: DisposedLine,
) -> None:
    work.sku(back.sku_id, scoped=False).take_back(
        order_id,
        store_id,
        location_id,
        back.quantity,
        _CONDITIONS[back.condition],
        work.occurred_at,
        return_id=return_id,
        batch=back.batch,
    )


# What can be asked for: refunds --------------------------------------------------------------------------------------


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


class RecordedReturnLine(Part):
    """Units that came back elsewhere, and the money that went back for them."""

    sku_id: Annotated[UUID, Meta(description="The article.")]
    quantity: Annotated[Decimal, Meta(description="How much came back.")]
    amount_minor: Annotated[
        Minor,
        Meta(
            description="What was given back for them, in minor units; below zero for a service that a credit note "
            "of no order charges."
        ),
    ]
    line: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="Number of the order's line; found by the article if left out."),
    ] = None
    batch: Annotated[Code | None, Meta(description="Number of the batch they are of, if it is known.")] = None


class RecordReturn(Command):
    """Take in a return with its refund that was agreed elsewhere, for an order we know or for none."""

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = frozenset({Role.OWNER, Role.MANAGER})
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (
        ReturnExceedsDelivered,
        RefundExceedsPaid,
        ReferenceTaken,
        CurrencyMismatch,
        AlreadyExists,
        CountBelowHeld,
        PeriodClosedAlready,
    )

    store_id: Annotated[UUID, Meta(description="The store that sold.")]
    lines: Annotated[
        tuple[RecordedReturnLine, ...], Meta(min_length=1, max_length=2_000, description="What came back.")
    ]
    order_id: Annotated[UUID | None, Meta(description="The order that it belongs to, if known.")] = None
    customer_id: Annotated[UUID | None, Meta(description="Whose return it is, when no order says so.")] = None
    external_reference: Annotated[
        Code | None, Meta(description="The return's number elsewhere; unique in the store.")
    ] = None
    channel: Annotated[Code, Meta(description="The sales channel it came through.")] = "external"
    region: Annotated[
        Code | None, Meta(description="Where the goods came from, as a region code, when no order says so.")
    ] = None
    reason: Annotated[ReturnReason, Meta(description="Why.")] = ReturnReason.NOT_STATED
    condition: Annotated[
        ReturnCondition | None, Meta(description="What becomes of the goods; left out, none came back to stock.")
    ] = ReturnCondition.RESTOCK
    location_id: Annotated[
        UUID | None, Meta(description="Where they came back to; the store's first location if left out.")
    ] = None
    currency: Annotated[
        Currency | None, Meta(description="Currency of the amounts; refused if it is not the store's.")
    ] = None
    override_reason: OverrideReason = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Check what left and what was paid where an order is named, then record return, stock and refund."""
        store = work.store(self.store_id)
        if self.currency is not None and self.currency != store.currency:
            raise CurrencyMismatch(expected=store.currency, given=self.currency, path=("currency",), ids=[store.id])
        counted = [self._counted(work, asked, index) for index, asked in enumerate(self.lines)]
        location_id = self._location(store)
        if location_id is not None:
            _require_room(work, location_id, self._disposed([0] * len(counted), counted), self.override_reason)
        if self.order_id is not None:
            return self._of_order(work, work.order(self.order_id), counted, location_id)
        return self._of_no_order(work, store, counted, location_id)

    def _counted(self, work: UnitOfWork, asked: RecordedReturnLine, index: int) -> Decimal:
        sku = work.sku(asked.sku_id, path=("lines", index, "sku_id"), seen=True)
        if asked.amount_minor < 0 and (self.order_id is not None or sku.mode is not FulfilmentMode.SERVICE):
            why = "only a service of no order can be charged with a return"
            raise InvalidField(why=why, path=("lines", index, "amount_minor"), ids=[sku.id])
        return sku.require_quantity(asked.quantity, ("lines", index, "quantity"))

    def _location(self, store: Store) -> UUID | None:
        if self.location_id is not None:
            store.require_location(self.location_id, ("location_id",), closed_too=True)
            return self.location_id
        if self.condition is None:
            return None
        if not store.open_location_ids:
            raise InvalidField(why="the store has no open location to take goods back", path=("location_id",))
        return store.open_location_ids[0]

    def _of_order(self, work: UnitOfWork, order: Order, counted: list[Decimal], location_id: UUID | None) -> UUID:
        if order.store_id != self.store_id:
            raise NotFound(what="order of this store", path=("order_id",), ids=[order.id])
        if self.external_reference is not None:
            self._require_unused(work, order.id)
        matched = _match(order, self.lines, counted)
        amount_minor = sum(asked.amount_minor for asked in self.lines)
        if amount_minor > order.refundable_goods_minor:
            raise RefundExceedsPaid(
                available=order.refundable_goods_minor, asked=amount_minor, path=("lines",), ids=[order.id]
            )
        customer, before = buyer_with_points(work, order), order.points_given_back
        at = work.occurred_at
        return_id = self._id(work, "return")
        refund_id = self._id(work, "refund")
        if self.external_reference is not None:
            work.claim("external_reference", str(self.store_id), self.external_reference, order.id)
        returned = tuple(
            ReturnLine(line=number, sku_id=asked.sku_id, quantity=quantity)
            for number, asked, quantity in zip(matched, self.lines, counted, strict=True)
        )
        order.trigger_event(
            ReturnReceived,
            return_id=return_id,
            location_id=location_id,
            lines=returned,
            external_reference=self.external_reference,
            occurred_at=at,
        )
        disposed = self._disposed(matched, counted)
        if disposed:
            order.trigger_event(
                ReturnDisposed, return_id=return_id, location_id=location_id, lines=disposed, occurred_at=at
            )
        lines = tuple(
            RefundLine(
                line=number,
                sku_id=asked.sku_id,
                sku_code=order.lines[number - 1].sku_code,
                quantity=quantity,
                amount_minor=asked.amount_minor,
                campaign_id=order.lines[number - 1].campaign_id,
            )
            for number, asked, quantity in zip(matched, self.lines, counted, strict=True)
        )
        refund(order, refund_id, RefundPlan(lines, amount_minor, 0, 0), RefundReason.RETURNED, None, at)
        give_back_points(work, order, customer, before)
        self._restock(work, order.id, return_id, location_id, disposed)
        return order.id

    def _of_no_order(self, work: UnitOfWork, store: Store, counted: list[Decimal], location_id: UUID | None) -> UUID:
        if self.customer_id is not None:
            work.customer(self.customer_id, path=("customer_id",))
        stream_id = self._id(work, "return")
        if self.external_reference is not None:
            self._require_unused(work, stream_id)
            work.require_new(Order, stream_id, path=("external_reference",))
            work.claim("external_reference", str(store.id), self.external_reference, stream_id)
        refund_id = self._id(work, "refund")
        amount_minor = sum(asked.amount_minor for asked in self.lines)
        lines = tuple(
            RefundLine(
                sku_id=asked.sku_id,
                sku_code=work.sku(asked.sku_id, scoped=False).code,
                quantity=quantity,
                amount_minor=asked.amount_minor,
            )
            for asked, quantity in zip(self.lines, counted, strict=True)
        )
        order = Order.start(
            ReturnRecorded,
            stream_id,
            store_id=store.id,
            kind=OrderKind.RETURN,
            customer_id=self.customer_id,
            external_reference=self.external_reference,
            currency=store.currency,
            channel=self.channel,
            reason=self.reason,
            lines=lines,
            amount_minor=amount_minor,
            region=self.region,
            occurred_at=work.occurred_at,
        )
        work.add(order)
        plan = RefundPlan(lines, amount_minor, 0, 0)
        refund(order, refund_id, plan, RefundReason.RETURNED, None, work.occurred_at)
        self._restock(work, None, stream_id, location_id, self._disposed([0] * len(counted), counted))
        return order.id

    def _require_unused(self, work: UnitOfWork, stream_id: UUID) -> None:
        reference = self.external_reference or ""
        holder = work.holder("external_reference", str(self.store_id), reference)
        if holder is not None:
            raise ReferenceTaken(
                what="external reference", value=reference, path=("external_reference",), ids=[holder, stream_id]
            )

    def _id(self, work: UnitOfWork, kind: str) -> UUID:
        if self.external_reference is None:
            return work.new_id()
        return derived_id(kind, self.store_id, self.external_reference)

    def _disposed(self, numbers: Sequence[int], counted: Sequence[Decimal]) -> tuple[DisposedLine, ...]:
        """Return what becomes of the goods, line by line; nothing when none came back to stock."""
        if self.condition is None:
            return ()
        return tuple(
            DisposedLine(
                line=number, sku_id=asked.sku_id, quantity=quantity, condition=self.condition, batch=asked.batch
            )
            for number, asked, quantity in zip(numbers, self.lines, counted, strict=True)
        )

    def _restock(
        self,
        work: UnitOfWork,
        order_id: UUID | None,
        return_id: UUID,
        location_id: UUID | None,
        disposed: Sequence[DisposedLine],
    ) -> None:
        if location_id is None:
            return
        for back in disposed:
            _take_back(work, order_id, return_id, self.store_id, location_id, back)
        for sku_id in dict.fromkeys(back.sku_id for back in disposed):
            note_override(work, work.sku(sku_id, scoped=False), self.override_reason)


def _match(order: Order, asked: Sequence[RecordedReturnLine], counted: Sequence[Decimal]) -> list[int]:
    """Return the order's line for each entry: the one it names, else the first of the article that can still come back.

    Refuses: ReturnExceedsDelivered, NotFound, InvalidField.
    """
    left = {line.line: order.returnable(line) for line in order.lines}
    matched = []
    for index, (entry, quantity) in enumerate(zip(asked, counted, strict=True)):
        if entry.line is not None:
            number = order.line(entry.line, ("lines", index, "line")).line
            if order.lines[number - 1].sku_id != entry.sku_id:
                raise InvalidField(why=f"line {number} is about another article", path=("lines", index, "sku_id"))
        else:
            fitting = [line.line for line in order.lines if line.sku_id == entry.sku_id]
            if not fitting:
                raise NotFound(
                    what="line of this article in the order", path=("lines", index, "sku_id"), ids=[order.id]
                )
            number = next((line for line in fitting if left[line] >= quantity), fitting[0])
        if quantity > left[number]:
            raise ReturnExceedsDelivered(
                available=plain(left[number]),
                line=number,
                asked=quantity,
                path=("lines", index, "quantity"),
                ids=[order.id],
            )
        left[number] -= quantity
        matched.append(number)
    return matched
