"""How a return ends without goods: the seller declines what was asked, or nobody expects the goods any more."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, ClassVar
from uuid import UUID

from msgspec import Meta

from opscore.domain.aggregate import Aggregate
from opscore.domain.command import Command, DoneAlready, Role, UnitOfWork
from opscore.domain.order import Order
from opscore.domain.order_commands import AFTER_SALES_DESK, BUYING, SERVICE_DESK, OrderId, own_order, sealed
from opscore.domain.order_events import DeclineReason, ReturnCancelled, ReturnDeclined
from opscore.domain.order_returns import (
    ReturnId,
    case_of,
    return_lines,
)
from opscore.domain.order_state import ReturnCase, ReturnStatus
from opscore.domain.refusals import WrongState
from opscore.domain.values import Text, plain

# What may happen next ------------------------------------------------------------------------------------------------


def still_expected(case: ReturnCase) -> list[tuple[int, Decimal]]:
    """Return (line, quantity) of what was asked back or approved and has not come; nothing once declined."""
    if case.status in (ReturnStatus.DECLINED, ReturnStatus.CANCELLED):
        return []
    return [(entry.line, plain(case.expected(entry))) for entry in case.lines if case.expected(entry) > 0]


def require_declinable(order: Order) -> None:
    """Refuse WrongState unless a return waits for an answer; DoneAlready when one was declined."""
    _require_some(order, lambda case: case.status is ReturnStatus.REQUESTED, ReturnStatus.DECLINED)


def require_return_cancellable(order: Order) -> None:
    """Refuse WrongState unless goods are expected back; DoneAlready when a return was called off."""
    _require_some(order, lambda case: bool(still_expected(case)), ReturnStatus.CANCELLED)


def _require_some(order: Order, fits: Callable[[ReturnCase], bool], done: ReturnStatus) -> None:
    cases = order.returns.values()
    if not any(fits(case) for case in cases):
        if any(case.status is done for case in cases):
            raise DoneAlready
        needed = "one with a return whose goods have not come"
        raise WrongState(what="order", state=order.status.value, needed=needed, path=("order_id",), ids=[order.id])


# What can be asked for -----------------------------------------------------------------------------------------------


class DeclineReturn(Command):
    """Do not take goods back that were asked to be sent back; the customer may ask again."""

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = SERVICE_DESK | AFTER_SALES_DESK

    order_id: OrderId
    return_id: ReturnId
    reason: Annotated[DeclineReason, Meta(description="Why.")]
    note: Annotated[Text | None, Meta(description="What the customer was told; kept encrypted.")] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Check that it was asked for and not answered, then decline. Asked twice, recorded once."""
        order = work.order(self.order_id)
        case = case_of(order, self.return_id, ReturnStatus.REQUESTED, ReturnStatus.DECLINED)
        if case.status is ReturnStatus.REQUESTED:
            order.trigger_event(
                ReturnDeclined,
                return_id=self.return_id,
                reason=self.reason,
                lines=return_lines(order, still_expected(case)),
                note=sealed(work, order, self.note),
                occurred_at=work.occurred_at,
            )
        return order.id


class CancelReturn(Command):
    """Expect the goods of a return no longer: the customer keeps them, or they never came. What came stays counted."""

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = BUYING | AFTER_SALES_DESK

    order_id: OrderId
    return_id: ReturnId

    def decide(self, work: UnitOfWork) -> UUID:
        """Check that something is still expected, then call it off. Asked twice, recorded once."""
        order = own_order(work, self.order_id)
        case = case_of(order, self.return_id)
        expected = still_expected(case)
        if expected:
            order.trigger_event(
                ReturnCancelled,
                return_id=self.return_id,
                lines=return_lines(order, expected),
                whole=not any(entry.received for entry in case.lines),
                occurred_at=work.occurred_at,
            )
        elif case.status is not ReturnStatus.CANCELLED:
            needed = "one whose goods have not come"
            raise WrongState(what="return", state=case.status.value, needed=needed, path=("return_id",), ids=[order.id])
        return order.id
