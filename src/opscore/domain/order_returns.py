"""What comes back: returns that are asked for, approved, counted and disposed of.

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
from opscore.domain.order import Order, require_each_once
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
    sealed,
)
from opscore.domain.order_events import (
    DisposedLine,
    ReturnApproved,
    ReturnCondition,
    ReturnDisposed,
    ReturnLine,
    ReturnReason,
    ReturnReceived,
    ReturnRemedy,
    ReturnRequested,
)
from opscore.domain.order_refusals import (
    DisposalExceedsReceived,
    ReturnExceedsApproved,
    ReturnExceedsDelivered,
    ReturnWindowOver,
)
from opscore.domain.order_state import ZERO, ReturnCase, ReturnCaseLine, ReturnStatus
from opscore.domain.periods import OverrideReason, note_override, require_open_books
from opscore.domain.policies import AfterSale
from opscore.domain.refusals import (
    NotFound,
    Refusal,
    WrongState,
)
from opscore.domain.sku_events import CountBelowHeld, FulfilmentMode, StockCondition
from opscore.domain.store import Store
from opscore.domain.store_events import LocationClosedAlready, PeriodClosedAlready
from opscore.domain.values import (
    Code,
    Part,
    Text,
    plain,
)

HANDLING = SERVICE_DESK | SHIPPING

ReturnId = Annotated[UUID, Meta(description="The return.")]

COMING = (ReturnStatus.APPROVED, ReturnStatus.SENT, ReturnStatus.RECEIVED, ReturnStatus.DISPOSED)
"""Where goods of a return may come in, the first ones or the rest."""

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


# What can be asked for: returns --------------------------------------------------------------------------------------


class DisposalOf(Part):
    """What becomes of units that came back."""

    line: LineNumber
    quantity: Quantity
    condition: Annotated[ReturnCondition, Meta(description="Sold again, set aside as damaged, or put in quarantine.")]
    batch: Annotated[Code | None, Meta(description="Number of the batch they are of, if it is known.")] = None


class RequestReturn(Command):
    """Ask to send goods back."""

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = BUYING | AFTER_SALES_DESK
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (ReturnExceedsDelivered, ReturnWindowOver)

    order_id: OrderId
    lines: Annotated[tuple[LineQuantity, ...], Meta(min_length=1, description="What is to come back.")]
    reason: Annotated[ReturnReason, Meta(description="Why.")] = ReturnReason.CHANGED_MIND
    note: Annotated[Text | None, Meta(description="In the customer's words; kept encrypted.")] = None
    remedy: Annotated[ReturnRemedy, Meta(description="What the customer wants for them.")] = ReturnRemedy.REFUND

    def decide(self, work: UnitOfWork) -> UUID:
        """Check that so much has left, and in time, then open the return."""
        order = own_order(work, self.order_id)
        wanted = quantities(work, order, self.lines)
        require_returnable(order, wanted)
        store = work.get(Store, order.store_id, scoped=False)
        require_in_return_window(order, store, work.occurred_at, self.remedy)
        order.trigger_event(
            ReturnRequested,
            return_id=work.new_id(),
            reason=self.reason,
            lines=return_lines(order, wanted),
            note=sealed(work, order, self.note),
            remedy=self.remedy,
            occurred_at=work.occurred_at,
        )
        return order.id


def require_in_return_window(order: Order, store: Store, at: datetime, remedy: ReturnRemedy | None = None) -> None:
    """Refuse ReturnWindowOver when the last parcel arrived longer ago than the store takes goods back.

    remedy: what is wanted for them; None asks whether anything may be.
    """
    if order.delivered_at is not None:
        terms = store.policy(AfterSale, at)
        exchange_days = terms.days if terms.exchange_days is None else terms.exchange_days
        days = {ReturnRemedy.REFUND: terms.days, ReturnRemedy.EXCHANGE: exchange_days}
        until = order.delivered_at + timedelta(days=max(days.values()) if remedy is None else days[remedy])
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
        case = case_of(order, self.return_id, *COMING)
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
            require_room(work, case.location_id, disposed, self.override_reason)
        order.trigger_event(
            ReturnDisposed,
            return_id=self.return_id,
            location_id=case.location_id,
            lines=tuple(disposed),
            occurred_at=work.occurred_at,
        )
        if case.location_id is not None:
            for line in disposed:
                take_back(work, order.id, self.return_id, order.store_id, case.location_id, line)
            for sku_id in dict.fromkeys(line.sku_id for line in disposed):
                note_override(work, work.sku(sku_id, scoped=False), self.override_reason)
        return order.id


def require_room(
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


def take_back(
    work: UnitOfWork,
    order_id: UUID | None,
    return_id: UUID,
    store_id: UUID,
    location_id: UUID,
    back: DisposedLine,
) -> None:
    """Put units that came back where it was decided; `require_room` first."""
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
