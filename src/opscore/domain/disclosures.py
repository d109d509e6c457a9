"""Looking at personal data: allowed to few, for a reason, and on record before anything is shown."""

from __future__ import annotations

from typing import Annotated, ClassVar
from uuid import UUID

from msgspec import Meta

from opscore.domain.aggregate import Aggregate
from opscore.domain.command import Command, Role, UnitOfWork
from opscore.domain.customer import Customer
from opscore.domain.customer_events import CustomerContactDisclosed
from opscore.domain.order import Order
from opscore.domain.order_commands import own_order
from opscore.domain.order_events import OrderContactDisclosed
from opscore.domain.refusals import NotFound
from opscore.domain.values import Reason

Why = Annotated[Reason, Meta(description="What it is needed for, such as packing the parcel; no personal data.")]


class DiscloseOrderContact(Command):
    """Show who ordered and where it goes. Who asked, and why, is recorded first."""

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = frozenset(
        {Role.OWNER, Role.MANAGER, Role.SERVICE, Role.AFTER_SALES, Role.WAREHOUSE, Role.AUDITOR, Role.CUSTOMER}
    )
    DISCLOSES: ClassVar[bool] = True

    order_id: Annotated[UUID, Meta(description="The order.")]
    reason: Why

    def decide(self, work: UnitOfWork) -> UUID:
        """Record who looks; a customer sees only their own orders."""
        order = own_order(work, self.order_id)
        order.trigger_event(
            OrderContactDisclosed, reader=work.actor.id, reason=self.reason, occurred_at=work.occurred_at
        )
        return order.id


class DiscloseCustomerContact(Command):
    """Show a customer's contact card. Who asked, and why, is recorded first."""

    AGGREGATE: ClassVar[type[Aggregate]] = Customer
    ROLES: ClassVar[frozenset[Role]] = frozenset(
        {Role.OWNER, Role.MANAGER, Role.SERVICE, Role.AFTER_SALES, Role.AUDITOR, Role.CUSTOMER}
    )
    DISCLOSES: ClassVar[bool] = True

    customer_id: Annotated[UUID, Meta(description="The customer.")]
    reason: Why

    def decide(self, work: UnitOfWork) -> UUID:
        """Record who looks; a customer sees only their own card."""
        customer = work.customer(self.customer_id)
        if work.actor.role is Role.CUSTOMER and work.actor.customer_id != customer.id:
            raise NotFound(what="customer", path=("customer_id",), ids=[customer.id])
        customer.trigger_event(
            CustomerContactDisclosed, reader=work.actor.id, reason=self.reason, occurred_at=work.occurred_at
        )
        return customer.id
