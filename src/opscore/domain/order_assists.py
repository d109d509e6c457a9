"""Who of the staff helped a buyer: named as the order is placed, or afterwards while it is open; the last word holds.

What somebody sold by helping is counted by it, and their commission. People are named by the pseudonym that their
tokens carry, and have to be of the store's staff on the day of which it is said.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, ClassVar
from uuid import UUID

from msgspec import Meta

from opscore.domain.aggregate import Aggregate
from opscore.domain.command import Command, Role, UnitOfWork
from opscore.domain.order import Order
from opscore.domain.order_commands import SERVICE_DESK, OrderId
from opscore.domain.order_events import OrderAssisted
from opscore.domain.refusals import InvalidField, NotAuthorised, WrongState
from opscore.domain.store import Store
from opscore.domain.store_state import held_on
from opscore.domain.values import Code

SILENT = "silent"
"""What figures call the agent of orders in which nobody helped; nobody of the staff goes by it."""

Helper = Annotated[
    Code | None,
    Meta(
        description="Who of the staff helped the buyer: the name that their tokens carry. Customers do not say so "
        "themselves."
    ),
]


def require_helper(work: UnitOfWork, store: Store, agent: str | None, path: str = "assisted_by") -> None:
    """Refuse NotAuthorised to a customer who names one, InvalidField unless they are of the store's staff that day."""
    if agent is None:
        return
    if work.actor.role is Role.CUSTOMER:
        raise NotAuthorised(why="who helped a buyer is for the store to say, leave it out", path=(path,))
    day = store.local_date(work.occurred_at)
    if agent == SILENT or not held_on(store.staff, agent, day):
        why = f"{agent} is not of the store's staff on {day}; give them a role in it first"
        raise InvalidField(why=why, path=(path,), ids=[store.id])


def assist(order: Order, agent: str | None, at: datetime) -> None:
    """Record who helped the buyer; told again, nothing more is recorded."""
    if order.agent != agent:
        order.trigger_event(OrderAssisted, agent=agent, occurred_at=at)


def require_open(order: Order) -> None:
    """Refuse WrongState once all of the order was paid and has left, or it is over: it is settled then who helped."""
    if not order.is_open:
        needed = "one that is still to be paid, or of which goods are still to leave"
        raise WrongState(what="order", state=order.status.value, needed=needed, path=("order_id",), ids=[order.id])


class NameOrderAgent(Command):
    """Say who of the staff helped the buyer of an open order; the last one who is named counts."""

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = SERVICE_DESK

    order_id: OrderId
    agent: Annotated[
        Code | None,
        Meta(description="The name that their tokens carry; left out, nobody helped, whatever was said before."),
    ] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Check that they are of the staff, then record it; told again, nothing more is recorded."""
        order = work.order(self.order_id)
        require_open(order)
        require_helper(work, work.store(order.store_id), self.agent, "agent")
        assist(order, self.agent, work.occurred_at)
        return order.id
