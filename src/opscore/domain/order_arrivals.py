"""Parcels on their way, and what whoever ordered says when they are there."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, ClassVar
from uuid import UUID

from msgspec import Meta

from opscore.domain.aggregate import Aggregate
from opscore.domain.command import Command, Role, UnitOfWork
from opscore.domain.order import Order, require_each_once
from opscore.domain.order_commands import (
    BUYING,
    SERVICE_DESK,
    SHIPPING,
    LineQuantity,
    Note,
    OrderId,
    ParcelId,
    needs_inspection,
    news_by,
    own_order,
    quantities,
    sealed,
)
from opscore.domain.order_dispute_commands import open_dispute
from opscore.domain.order_disputes import DisputeOpen
from opscore.domain.order_events import ParcelTracked, ReceiptConfirmed, TrackingStatus
from opscore.domain.order_refusals import DefectsExceedArrived, InspectionRequired
from opscore.domain.order_returns import return_lines
from opscore.domain.order_state import OrderStatus, Parcel, Tracking
from opscore.domain.policies import ProblemKind
from opscore.domain.refusals import Refusal, WrongState
from opscore.domain.values import Reason

# What may happen next ------------------------------------------------------------------------------------------------


def require_tracked(order: Order, parcel: Parcel, at: datetime) -> None:
    """Refuse WrongState unless the parcel was on its way at that moment; what is told late of it counts too."""
    if parcel.lost_at is not None:
        state = "lost"
    elif parcel.shipped_at is None or at < parcel.shipped_at:
        state = "packed"
    elif parcel.delivered_at is not None and at > parcel.delivered_at:
        state = "delivered"
    else:
        return
    raise WrongState(what="parcel", state=state, needed="shipped", path=("parcel_id",), ids=[order.id])


def require_received(order: Order) -> None:
    """Refuse unless all that was ordered has at least left: WrongState, DisputeOpen."""
    services_only = not any(line.live for line in order.lines if not line.service)
    order.require(OrderStatus.CONFIRMED if services_only else OrderStatus.DELIVERED, OrderStatus.SHIPPED)
    if order.in_dispute:
        raise DisputeOpen(path=("order_id",), ids=[order.id])


# What can be asked for -----------------------------------------------------------------------------------------------


class TrackParcel(Command):
    """Record what a courier says of a parcel that is on its way. That it arrived is said with `deliverOrder`."""

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = SERVICE_DESK | SHIPPING

    order_id: OrderId
    parcel_id: ParcelId
    status: Annotated[TrackingStatus, Meta(description="How far it is.")]
    place: Annotated[Reason | None, Meta(description="The courier's site; no personal data.")] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Check that it was on its way, then record the word. Told twice, recorded once."""
        order = work.order(self.order_id)
        parcel = order.parcel(self.parcel_id)
        require_tracked(order, parcel, work.occurred_at)
        if Tracking(self.status, self.place, work.occurred_at) not in parcel.tracking:
            order.trigger_event(
                ParcelTracked,
                parcel_id=self.parcel_id,
                status=self.status,
                place=self.place,
                news_by=news_by(work, order),
                occurred_at=work.occurred_at,
            )
        return order.id


class ConfirmReceipt(Command):
    """Say that the goods are there. Without defects the sale is final; with defects it is complained about.

    Parcels of which the courier has not said that they arrived count as arrived.
    """

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = BUYING
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (InspectionRequired, DefectsExceedArrived, DisputeOpen)

    order_id: OrderId
    inspected: Annotated[bool, Meta(description="Whether the goods were looked at.")] = False
    defects: Annotated[tuple[LineQuantity, ...], Meta(description="Units that are not as agreed.")] = ()
    kind: Annotated[ProblemKind, Meta(description="What is wrong with them, if any are named.")] = ProblemKind.QUALITY
    statement: Note = None
    evidence: Annotated[Reason | None, Meta(description="Where it can be seen: a photo, a page; no personal data.")] = (
        None
    )

    def decide(self, work: UnitOfWork) -> UUID:
        """Check that everything left, then record the receipt and what follows. Asked twice, recorded once."""
        order = own_order(work, self.order_id)
        if order.received_at is not None and order.status is OrderStatus.COMPLETED and not self.defects:
            return order.id
        require_received(order)
        if not self.inspected and needs_inspection(work, order):
            raise InspectionRequired(path=("inspected",), ids=[order.id])
        defects = quantities(work, order, self.defects, "defects") if self.defects else []
        require_each_once([number for number, _ in defects])
        for index, (number, quantity) in enumerate(defects):
            there = order.returnable(order.line(number))
            if quantity > there:
                path = ("defects", index, "quantity")
                raise DefectsExceedArrived(available=there, line=number, asked=quantity, path=path, ids=[order.id])
        statement, at = sealed(work, order, self.statement), work.occurred_at
        for parcel_id, parcel in order.parcels.items():
            if parcel.is_on_its_way:
                order.deliver(parcel_id, at)
        order.trigger_event(
            ReceiptConfirmed,
            customer_id=order.customer_id,
            inspected=self.inspected,
            defects=return_lines(order, defects),
            occurred_at=at,
        )
        if defects:
            open_dispute(work, order, self.kind, defects, statement, self.evidence)
        else:
            order.complete(at)
        return order.id
