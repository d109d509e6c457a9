"""How goods of a return come back: sent off, whose fault it turns out to be, and who pays for carrying them."""

from __future__ import annotations

from typing import Annotated, ClassVar
from uuid import UUID

from msgspec import Meta

from opscore.domain.aggregate import Aggregate
from opscore.domain.command import Command, Role, UnitOfWork
from opscore.domain.order import Order
from opscore.domain.order_commands import (
    AFTER_SALES_DESK,
    BUYING,
    Note,
    OrderId,
    own_order,
    require_currency,
    sealed,
)
from opscore.domain.order_disputes import FaultParty
from opscore.domain.order_events import (
    FreightPayee,
    ReturnFreightPaid,
    ReturnReason,
    ReturnShipped,
    ReturnVerified,
)
from opscore.domain.order_refunds import REFUNDING
from opscore.domain.order_refusals import FaultUnknown, FreightNotOurs, FreightPaidAlready
from opscore.domain.order_returns import (
    COMING,
    HANDLING,
    ReturnId,
    case_of,
)
from opscore.domain.order_state import ReturnCase, ReturnStatus
from opscore.domain.refusals import CurrencyMismatch, Refusal, WrongState
from opscore.domain.sku_events import FulfilmentMode
from opscore.domain.values import Code, Currency, PositiveMinor

# What may happen next ------------------------------------------------------------------------------------------------


def require_awaited(order: Order, case: ReturnCase) -> None:
    """Refuse WrongState unless units of the return were approved and have not come."""
    if case.status not in COMING or not any(case.expected(entry) > 0 for entry in case.lines):
        needed = "one whose goods are expected"
        raise WrongState(what="return", state=case.status.value, needed=needed, path=("return_id",), ids=[order.id])


def require_freight_due(order: Order, case: ReturnCase) -> None:
    """Refuse unless the store may pay for carrying the goods back: WrongState, FaultUnknown, FreightNotOurs."""
    if case.status not in COMING or case.status is ReturnStatus.APPROVED:
        needed = "one whose goods were sent off"
        raise WrongState(what="return", state=case.status.value, needed=needed, path=("return_id",), ids=[order.id])
    if case.freight_borne_by is None:
        raise FaultUnknown(path=("return_id",), ids=[order.id])
    if case.freight_borne_by is FaultParty.CUSTOMER:
        raise FreightNotOurs(bearer="the customer", path=("return_id",), ids=[order.id])
    if case.freight_minor is not None:
        raise FreightPaidAlready(amount_minor=case.freight_minor, path=("return_id",), ids=[order.id])


def freight_bearer(fault: FaultParty, *, dropship: bool) -> FaultParty:
    """Return who bears what carrying goods back costs: whose fault it is.

    Goods that a supplier ships are the seller's to take back, unless it is that supplier's fault.
    """
    return FaultParty.OWNER if dropship and fault is not FaultParty.SUPPLIER else fault


# What can be asked for -----------------------------------------------------------------------------------------------


class ShipReturn(Command):
    """Say that the goods of a return were sent off, and by which courier; another parcel of it may follow."""

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = BUYING | HANDLING | AFTER_SALES_DESK

    order_id: OrderId
    return_id: ReturnId
    courier: Annotated[Code | None, Meta(description="Who carries them.")] = None
    waybill: Annotated[
        Code | None, Meta(description="The courier's number, by which the parcel is known when it comes.")
    ] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Check that goods are expected, then record it. Asked twice, recorded once."""
        order = own_order(work, self.order_id)
        case = case_of(order, self.return_id)
        if case.sent_at is not None and (case.courier, case.waybill) == (self.courier, self.waybill):
            return order.id
        require_awaited(order, case)
        order.trigger_event(
            ReturnShipped,
            return_id=self.return_id,
            courier=self.courier,
            waybill=self.waybill,
            occurred_at=work.occurred_at,
        )
        return order.id


class VerifyReturn(Command):
    """Record why goods really come back, and whose fault that is; until its freight is paid, the last word holds."""

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = AFTER_SALES_DESK
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (FreightPaidAlready,)

    order_id: OrderId
    return_id: ReturnId
    reason: Annotated[ReturnReason, Meta(description="Why, as it was found out.")]
    fault_party: Annotated[FaultParty, Meta(description="Whose fault it is, and who bears what it costs.")]
    note: Note = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Check that the return stands, then record it with who bears the freight. Asked twice, recorded once."""
        order = work.order(self.order_id)
        case = case_of(order, self.return_id, ReturnStatus.REQUESTED, *COMING)
        if (case.verified_reason, case.fault_party) == (self.reason, self.fault_party):
            return order.id
        if case.freight_minor is not None:
            raise FreightPaidAlready(amount_minor=case.freight_minor, path=("return_id",), ids=[order.id])
        skus = [work.sku(order.lines[entry.line - 1].sku_id, scoped=False) for entry in case.lines]
        dropship = any(sku.mode is FulfilmentMode.DROPSHIP for sku in skus)
        order.trigger_event(
            ReturnVerified,
            return_id=self.return_id,
            reason=self.reason,
            fault_party=self.fault_party,
            freight_borne_by=freight_bearer(self.fault_party, dropship=dropship),
            note=sealed(work, order, self.note),
            occurred_at=work.occurred_at,
        )
        return order.id


class PayReturnFreight(Command):
    """Pay for carrying goods back, where it is not the customer's fault: to the customer, or to the courier."""

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = REFUNDING
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (FaultUnknown, FreightNotOurs, FreightPaidAlready, CurrencyMismatch)

    order_id: OrderId
    return_id: ReturnId
    amount_minor: Annotated[PositiveMinor, Meta(description="How much, in minor units of the order's currency.")]
    paid_to: Annotated[FreightPayee, Meta(description="Who gets it.")] = FreightPayee.CUSTOMER
    provider_reference: Annotated[
        Code | None, Meta(description="The payment provider's own reference; the same one is recorded once.")
    ] = None
    currency: Annotated[
        Currency | None, Meta(description="Currency of the amount; refused if it is not the order's.")
    ] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Check whose fault it is, then record the payment; one return's freight is paid once."""
        order = work.order(self.order_id)
        require_currency(order, self.currency)
        case = case_of(order, self.return_id)
        if self.provider_reference is not None and self.provider_reference == case.freight_reference:
            return order.id
        require_freight_due(order, case)
        order.trigger_event(
            ReturnFreightPaid,
            return_id=self.return_id,
            amount_minor=self.amount_minor,
            currency=order.currency,
            paid_to=self.paid_to,
            borne_by=case.freight_borne_by,
            customer_id=order.customer_id,
            provider_reference=self.provider_reference,
            occurred_at=work.occurred_at,
        )
        return order.id
