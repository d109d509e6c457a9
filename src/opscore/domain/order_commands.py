"""What can be asked for about an order that was placed: money in, shortage, parcels, completion, calling off."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, ClassVar
from uuid import UUID

from msgspec import Meta

from opscore.domain.aggregate import Aggregate
from opscore.domain.barring import require_not_barred
from opscore.domain.command import Command, Role, UnitOfWork
from opscore.domain.order import Order
from opscore.domain.order_cancelling import Held, cancel, expire, give_back_points, plan_cancel, require_expirable
from opscore.domain.order_disputes import DisputeOpen
from opscore.domain.order_events import CancelReason, ExchangedLine, ParcelLine, ParcelUnpacked, ShortageRemedy
from opscore.domain.order_paying import amend_price, pay, require_amendable, settle
from opscore.domain.order_refusals import (
    ArticleMismatch,
    CancelExceedsOpen,
    CustomerNotContacted,
    InspectionRequired,
    NothingShort,
    OrderAlreadyPaid,
    OrderAlreadyShipped,
    OrderNotExpired,
    ParcelEmpty,
    PaymentExceedsDue,
    PaymentReferenceReused,
    QuantityMismatch,
    ReservationExpired,
)
from opscore.domain.order_state import LineState
from opscore.domain.periods import OverrideReason, note_override, require_open_books
from opscore.domain.policies import OrderTerms, PriceGuard, ShipPromise
from opscore.domain.refusals import CurrencyMismatch, InvalidField, NotFound, ReferenceTaken, Refusal, WrongState
from opscore.domain.sku import FulfilmentMode, Pick, ProhibitedGoods, Sku, StockInsufficient
from opscore.domain.sku_events import BatchBarred, BelowCost, ExceedsBatch, NotReserved
from opscore.domain.store import Store
from opscore.domain.store_events import CourierNotAllowed, PaymentMethodNotEnabled, PeriodClosedAlready
from opscore.domain.values import (
    MAX_MINOR,
    MAX_PLACES,
    Code,
    Currency,
    Part,
    PositiveMinor,
    Reason,
    Text,
    line_amount_minor,
    plain,
)

SERVICE_DESK = frozenset({Role.OWNER, Role.MANAGER, Role.SERVICE})
AFTER_SALES_DESK = frozenset({Role.OWNER, Role.MANAGER, Role.AFTER_SALES})
"""Who decides what goods and money go back: given to experienced people, apart from the rest of the service desk."""
SHIPPING = frozenset({Role.OWNER, Role.MANAGER, Role.WAREHOUSE})
BUYING = frozenset({Role.OWNER, Role.MANAGER, Role.SERVICE, Role.STOREFRONT, Role.CUSTOMER})

OrderId = Annotated[UUID, Meta(description="The order.")]
Note = Annotated[Text | None, Meta(description="What was said or found; kept encrypted.")]
LineNumber = Annotated[int, Meta(ge=1, description="Number of the order's line, from 1.")]
Quantity = Annotated[Decimal, Meta(description="How much, in the article's unit.")]
ParcelId = Annotated[UUID, Meta(description="The parcel.")]


class LineQuantity(Part):
    """A part of one line of an order."""

    line: LineNumber
    quantity: Quantity


class ScannedLine(Part):
    """What was scanned into a parcel for one line of an order."""

    line: LineNumber
    sku_id: Annotated[UUID, Meta(description="The article that was scanned.")]
    quantity: Quantity
    batch: Annotated[
        Code | None, Meta(description="Number of the batch they are of; a line may come once for each batch.")
    ] = None


class ExchangeFor(Part):
    """What replaces the missing units of one line, at the same money."""

    line: LineNumber
    sku_id: Annotated[UUID, Meta(description="The article sent instead.")]
    quantity: Annotated[Decimal, Meta(description="How much of it, in its own unit.")]


def own_order(work: UnitOfWork, order_id: UUID) -> Order:
    """Return an order in the actor's scope; a customer sees only their own, any other is NotFound to them."""
    order = work.order(order_id)
    if work.actor.role is Role.CUSTOMER and (order.customer_id is None or order.customer_id != work.actor.customer_id):
        raise NotFound(what="order", path=("order_id",), ids=[order_id])
    return order


def sealed(work: UnitOfWork, order: Order, text: str | None) -> str | None:
    """Return a text encrypted under the key of the customer, or of the order if a guest placed it; None for none."""
    return work.seal(order.subject_id, text) if text else None


def quantities(
    work: UnitOfWork, order: Order, lines: Sequence[LineQuantity], field: str = "lines"
) -> list[tuple[int, Decimal]]:
    """Return (line, quantity) in canonical spelling; refuses NotFound, InvalidField."""
    if not lines:
        raise InvalidField(why="name at least one line", path=(field,))
    return [
        (entry.line, line_quantity(work, order, entry.line, entry.quantity, index, field))
        for index, entry in enumerate(lines)
    ]


def line_quantity(
    work: UnitOfWork, order: Order, number: int, quantity: Decimal, index: int, field: str = "lines"
) -> Decimal:
    """Return the quantity of a line in its canonical spelling; refuses NotFound, InvalidField."""
    line = order.line(number, (field, index, "line"))
    return work.sku(line.sku_id, scoped=False).require_quantity(quantity, (field, index, "quantity"))


def promise_of(work: UnitOfWork, store_id: UUID) -> ShipPromise:
    """Return the promise to ship that the store gives at the time of this decision."""
    return work.get(Store, store_id, scoped=False).policy(ShipPromise, work.occurred_at)


def news_by(work: UnitOfWork, order: Order) -> datetime:
    """Return when the next word of a parcel of which something is heard now is due (UTC)."""
    days = work.get(Store, order.store_id, scoped=False).policy(OrderTerms, work.occurred_at).stalled_days
    return work.occurred_at + timedelta(days=days)


def needs_inspection(work: UnitOfWork, order: Order) -> bool:
    """Say whether goods of that worth are to be looked at by whoever receives them, by the store's rule."""
    terms = work.get(Store, order.store_id, scoped=False).policy(OrderTerms, work.occurred_at)
    return terms.inspection_from_minor is not None and order.kept_goods_minor >= terms.inspection_from_minor


# Money in ------------------------------------------------------------------------------------------------------------


class AmendOrderPrice(Command):
    """Change the price of one line before any money came in."""

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = SERVICE_DESK
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (OrderAlreadyPaid, BelowCost)

    order_id: OrderId
    line: LineNumber
    unit_price: Annotated[Decimal, Meta(description="New price per unit, after all discounts.")]
    reason: Annotated[Reason, Meta(description="Why; no personal data.")]
    below_cost: Annotated[bool, Meta(description="Sell below cost knowingly; for owners and managers.")] = False

    def decide(self, work: UnitOfWork) -> UUID:
        """Check state, price and cost, then amend."""
        order = work.order(self.order_id)
        line = order.line(self.line, ("line",))
        require_amendable(order, line)
        price = self.unit_price
        if not price.is_finite() or not 0 <= price < 10**12 or -int(plain(price).as_tuple().exponent) > MAX_PLACES:
            why = f"a unit price is 0 or more, below 10^12, with at most {MAX_PLACES} decimal places"
            raise InvalidField(why=why, path=("unit_price",))
        self._require_cost_covered(work, order, line)
        amount_minor = line_amount_minor(plain(price), line.ordered, order.currency)
        if order.total_minor + amount_minor > MAX_MINOR:
            raise InvalidField(why=f"an order comes to at most {MAX_MINOR} minor units", path=("unit_price",))
        amend_price(order, line, plain(price), amount_minor, self.reason, work.occurred_at)
        # Nothing left to pay: the order is paid, there will be no payment to say so.
        settle(order, promise_of(work, order.store_id), work.occurred_at)
        return order.id

    def _require_cost_covered(self, work: UnitOfWork, order: Order, line: LineState) -> None:
        guard = work.get(Store, order.store_id, scoped=False).policy(PriceGuard, work.occurred_at)
        known = work.sku(line.sku_id, scoped=False).price_in(order.store_id)
        cost = known.cost if known is not None else None
        if not guard.cost_is_floor or cost is None or self.unit_price >= cost:
            return
        if self.below_cost and work.actor.role is not Role.SERVICE:
            return
        raise BelowCost(price=plain(self.unit_price), cost=cost, path=("unit_price",), ids=[line.sku_id])


class PayOrder(Command):
    """Take in a payment, in whole or in part. The same provider reference counts once."""

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = frozenset(
        {Role.OWNER, Role.MANAGER, Role.SERVICE, Role.FINANCE, Role.STOREFRONT}
    )
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (
        PaymentExceedsDue,
        PaymentMethodNotEnabled,
        PaymentReferenceReused,
        ReservationExpired,
        CurrencyMismatch,
    )

    order_id: OrderId
    amount_minor: Annotated[PositiveMinor, Meta(description="What came in, in minor units of the order's currency.")]
    method: Annotated[Code, Meta(description="How it was paid; one of the store's payment methods.")]
    provider_reference: Annotated[
        Code | None, Meta(description="The payment provider's own reference; the same one is recorded once.")
    ] = None
    currency: Annotated[
        Currency | None, Meta(description="Currency of the amount; refused if it is not the order's.")
    ] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Check method and amount, record the payment and, with the last one, that the order is paid."""
        order = work.order(self.order_id)
        require_currency(order, self.currency)
        work.get(Store, order.store_id, scoped=False).require_payment_method(self.method, path=("method",))
        promise = promise_of(work, order.store_id)
        pay(order, self.amount_minor, self.method, self.provider_reference, promise, work.occurred_at)
        return order.id


def require_currency(order: Order, currency: str | None) -> None:
    """Refuse CurrencyMismatch when an amount is not in the order's currency."""
    if currency is not None and currency != order.currency:
        raise CurrencyMismatch(expected=order.currency, given=currency, path=("currency",), ids=[order.id])


# Confirmation and shortage -------------------------------------------------------------------------------------------


class ConfirmOrder(Command):
    """Take a paid order on, so that it can be packed."""

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = SERVICE_DESK | SHIPPING

    order_id: OrderId

    def decide(self, work: UnitOfWork) -> UUID:
        """Confirm; asked twice, recorded once."""
        order = work.order(self.order_id)
        order.confirm(work.occurred_at)
        return order.id


class ReportShortage(Command):
    """Say that goods of a confirmed order cannot be found; somebody has to talk to the customer."""

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = SERVICE_DESK | SHIPPING
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (NothingShort,)

    order_id: OrderId
    lines: Annotated[tuple[LineQuantity, ...], Meta(min_length=1, description="What is missing.")]

    def decide(self, work: UnitOfWork) -> UUID:
        """Check that so much is still to be packed, then open the shortage."""
        order = work.order(self.order_id)
        order.report_shortage(quantities(work, order, self.lines), work.occurred_at)
        return order.id


class ContactCustomer(Command):
    """Note that the customer was told about the shortage."""

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = SERVICE_DESK

    order_id: OrderId
    note: Annotated[Text | None, Meta(description="What was said; kept encrypted under the customer's key.")] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Seal the note and record the contact."""
        order = work.order(self.order_id)
        order.contact_customer(sealed(work, order, self.note), work.occurred_at)
        return order.id


class ResolveShortage(Command):
    """End a shortage after talking to the customer: send something else, give the money back, or wait for the goods."""

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = SERVICE_DESK
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (
        CustomerNotContacted,
        StockInsufficient,
        ProhibitedGoods,
        PeriodClosedAlready,
    )

    order_id: OrderId
    kind: Annotated[ShortageRemedy, Meta(description="What was agreed with the customer.")]
    exchanges: Annotated[
        tuple[ExchangeFor, ...], Meta(description="For an exchange: what replaces the missing units of each line.")
    ] = ()
    override_reason: OverrideReason = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Work the remedy out, then record it with what it does to stock, campaign and customer."""
        order = work.order(self.order_id)
        order.require_shortage_resolvable()
        at = work.occurred_at
        if self.exchanges and self.kind is not ShortageRemedy.EXCHANGE:
            raise InvalidField(why="only an exchange names articles to send instead", path=("exchanges",))
        if self.kind is ShortageRemedy.EXCHANGE:
            self._exchange(work, order)
        elif self.kind is ShortageRemedy.REFUND:
            plan = plan_cancel(order, [(short.line, short.quantity) for short in order.shortage])
            held = Held.gather(work, order, plan, self.override_reason)
            order.resolve_shortage(self.kind, at)
            held.give_back(order, plan, work, self.override_reason)
            before = order.points_given_back
            cancel(order, plan, CancelReason.INVENTORY, at)
            give_back_points(work, order, held.customer, before)
        else:
            order.resolve_shortage(self.kind, at)
        return order.id

    def _exchange(self, work: UnitOfWork, order: Order) -> None:
        short = {entry.line: entry.quantity for entry in order.shortage}
        if {entry.line for entry in self.exchanges} != set(short) or len(self.exchanges) != len(short):
            raise InvalidField(why="name a replacement for each line that is short, once", path=("exchanges",))
        store = work.store(order.store_id)
        exchanged: list[ExchangedLine] = []
        reservations: list[tuple[Sku, tuple[Pick, ...]]] = []
        for index, entry in enumerate(self.exchanges):
            path = ("exchanges", index, "quantity")
            sku = work.sku(entry.sku_id, path=("exchanges", index, "sku_id"), seen=True)
            quantity = sku.require_quantity(entry.quantity, path)
            sku.require_allowed(("exchanges", index, "sku_id"))
            taken = [pick for other, picks in reservations if other is sku for pick in picks]
            picks = sku.plan_reservation(quantity, store.open_location_ids, None, path, taken=taken)
            reservations.append((sku, picks))
            line = order.line(entry.line)
            gone, missing = line.cancelled, short[entry.line]
            exchanged.append(
                ExchangedLine(
                    from_line=entry.line,
                    line=len(order.lines) + index + 1,
                    sku_id=sku.id,
                    sku_code=sku.code,
                    name=sku.name,
                    unit=sku.unit,
                    quantity=quantity,
                    replaced_quantity=missing,
                    amount_minor=line.price_of(gone + missing) - line.price_of(gone),
                    service=sku.mode is FulfilmentMode.SERVICE,
                )
            )
        moved = {sku.id: sku for sku, picks in reservations if picks}
        for replaced in exchanged:
            old = work.sku(order.line(replaced.from_line).sku_id, scoped=False)
            moved[old.id] = old
        for sku in moved.values():
            require_open_books(work, sku, self.override_reason)
        for replaced in exchanged:
            line = order.line(replaced.from_line)
            old = moved[line.sku_id]
            old.release(
                order.id, order.store_id, work.occurred_at, replaced.replaced_quantity, campaign_id=line.campaign_id
            )
        for sku, picks in reservations:
            sku.reserve(order.id, order.store_id, picks, work.occurred_at)
        for sku in moved.values():
            note_override(work, sku, self.override_reason)
        order.resolve_shortage(self.kind, work.occurred_at, tuple(exchanged))


# Parcels -------------------------------------------------------------------------------------------------------------


class PackParcel(Command):
    """Close a parcel; what was scanned has to be what the order says, article by article."""

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = SHIPPING
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (ArticleMismatch, QuantityMismatch, ParcelEmpty, BatchBarred)

    order_id: OrderId
    location_id: Annotated[UUID, Meta(description="Where it is packed; its stock is shipped first.")]
    lines: Annotated[tuple[ScannedLine, ...], Meta(min_length=1, description="What was scanned.")]
    parcel_id: Annotated[UUID | None, Meta(description="Your id for the parcel; we choose one if left out.")] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Compare what was scanned with what is still to be packed, then close the parcel."""
        order = work.order(self.order_id)
        store = work.get(Store, order.store_id, scoped=False)
        store.require_location(self.location_id, ("location_id",), closed_too=True)
        scanned = [
            ParcelLine(
                line=entry.line,
                sku_id=entry.sku_id,
                quantity=line_quantity(work, order, entry.line, entry.quantity, index),
                batch=entry.batch,
            )
            for index, entry in enumerate(self.lines)
        ]
        for index, entry in enumerate(self.lines):
            if entry.batch is not None:
                sku = work.sku(order.line(entry.line).sku_id, scoped=False)
                path = ("lines", index, "batch")
                require_not_barred(sku, self.location_id, entry.batch, entry.quantity, path=path)
        order.pack(self.parcel_id or work.new_id(), self.location_id, scanned, work.occurred_at)
        return order.id


class UnpackParcel(Command):
    """Open a parcel again that has not left; what it held can be packed anew, run short, or be cancelled by line."""

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = SHIPPING

    order_id: OrderId
    parcel_id: ParcelId

    def decide(self, work: UnitOfWork) -> UUID:
        """Check that it has not left, then open it. Asked twice, recorded once."""
        order = work.order(self.order_id)
        if self.parcel_id in order.unpacked:
            return order.id
        parcel = order.parcel(self.parcel_id)
        if parcel.shipped_at is not None:
            raise WrongState(what="parcel", state="shipped", needed="packed", path=("parcel_id",), ids=[order.id])
        order.trigger_event(
            ParcelUnpacked, parcel_id=self.parcel_id, lines=tuple(parcel.lines), occurred_at=work.occurred_at
        )
        return order.id


class ShipOrder(Command):
    """Hand a packed parcel to a courier; its units leave the stock."""

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = SHIPPING
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (
        CourierNotAllowed,
        ReferenceTaken,
        NotReserved,
        ExceedsBatch,
        BatchBarred,
        PeriodClosedAlready,
    )

    order_id: OrderId
    parcel_id: ParcelId
    courier: Annotated[Code, Meta(description="Who carries it; one of the store's couriers.")]
    waybill: Annotated[Code, Meta(description="The courier's number of the parcel; used once, ever.")]
    override_reason: OverrideReason = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Check courier, waybill and stock, then record that the parcel and its units left. Asked twice, once."""
        order = work.order(self.order_id)
        parcel = order.parcel(self.parcel_id)
        if parcel.shipped_at is not None and (parcel.courier, parcel.waybill) == (self.courier, self.waybill):
            return order.id
        order.require_shippable(self.parcel_id, self.waybill)
        store = work.get(Store, order.store_id, scoped=False)
        store.require_courier(self.courier, order.region, path=("courier",))
        work.require_free("waybill", "operator", self.waybill, order.id, path=("waybill",))
        needed: dict[UUID, Decimal] = {}
        for entry in parcel.lines:
            needed[entry.sku_id] = needed.get(entry.sku_id, Decimal(0)) + entry.quantity
        skus = {sku_id: work.sku(sku_id, scoped=False) for sku_id in needed}
        for sku_id, quantity in needed.items():
            skus[sku_id].require_reserved(order.id, quantity, path=("parcel_id",))
            contents = [
                (entry.quantity, order.lines[entry.line - 1].campaign_id, entry.batch)
                for entry in parcel.lines
                if entry.sku_id == sku_id
            ]
            skus[sku_id].require_batches(order.id, contents, parcel.location_id, ("parcel_id",))
            require_open_books(work, skus[sku_id], self.override_reason)
        work.claim("waybill", "operator", self.waybill, order.id)
        order.ship(self.parcel_id, self.courier, self.waybill, work.occurred_at, news_by(work, order))
        for entry in parcel.lines:
            skus[entry.sku_id].ship(
                order.id,
                order.store_id,
                self.parcel_id,
                entry.quantity,
                work.occurred_at,
                location_id=parcel.location_id,
                campaign_id=order.lines[entry.line - 1].campaign_id,
                batch=entry.batch,
            )
        for sku in skus.values():
            note_override(work, sku, self.override_reason)
        return order.id


class DeliverOrder(Command):
    """Record that a parcel arrived."""

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = SERVICE_DESK | SHIPPING

    order_id: OrderId
    parcel_id: ParcelId

    def decide(self, work: UnitOfWork) -> UUID:
        """Record the arrival; asked twice, recorded once."""
        order = work.order(self.order_id)
        order.deliver(self.parcel_id, work.occurred_at)
        return order.id


class CompleteOrder(Command):
    """Make a sale final: the customer confirmed the receipt, or the time to object is over."""

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = BUYING
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (DisputeOpen, InspectionRequired)

    order_id: OrderId

    def decide(self, work: UnitOfWork) -> UUID:
        """Check that whoever received dear goods looked at them, then complete. Asked twice, recorded once."""
        order = own_order(work, self.order_id)
        buyer = work.actor.role in (Role.CUSTOMER, Role.STOREFRONT)
        if buyer and order.completed_at is None and not order.inspected and needs_inspection(work, order):
            raise InspectionRequired(path=("order_id",), ids=[order.id])
        order.complete(work.occurred_at)
        return order.id


# Calling off ---------------------------------------------------------------------------------------------------------


class CancelOrder(Command):
    """Call a whole order off before anything of it has shipped; everything that it held is free again."""

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = BUYING
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (OrderAlreadyShipped, PeriodClosedAlready)

    order_id: OrderId
    reason: Annotated[CancelReason, Meta(description="Why.")] = CancelReason.CUSTOMER
    override_reason: OverrideReason = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Work out what goes back, then give it back and cancel. Asked twice, recorded once."""
        order = own_order(work, self.order_id)
        if order.cancelled_at is not None:
            return order.id
        plan = plan_cancel(order)
        held = Held.gather(work, order, plan, self.override_reason)
        held.give_back(order, plan, work, self.override_reason)
        cancel(order, plan, self.reason, work.occurred_at)
        return order.id


class CancelOrderLines(Command):
    """Call a part of an order off that is not packed yet; its stock, quota and budget are free again.

    What is left keeps the price that was agreed, its share of every discount included: nobody pays more for having
    ordered less, even where what is left would not have reached an offer's threshold.
    """

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = BUYING
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (OrderAlreadyShipped, CancelExceedsOpen, PeriodClosedAlready)

    order_id: OrderId
    lines: Annotated[tuple[LineQuantity, ...], Meta(min_length=1, description="What is not wanted any more.")]
    reason: Annotated[CancelReason, Meta(description="Why.")] = CancelReason.CUSTOMER
    override_reason: OverrideReason = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Work out what goes back, then give it back and cancel; an order that has become cheaper may now be paid."""
        order = own_order(work, self.order_id)
        plan = plan_cancel(order, quantities(work, order, self.lines))
        held = Held.gather(work, order, plan, self.override_reason)
        promise = promise_of(work, order.store_id)
        held.give_back(order, plan, work, self.override_reason)
        before = order.points_given_back
        cancel(order, plan, self.reason, work.occurred_at)
        give_back_points(work, order, held.customer, before)
        settle(order, promise, work.occurred_at)
        return order.id


class EraseGuest(Command):
    """Forget who placed an order without being a customer: its key is destroyed. For a customer: eraseCustomer.

    What is to be sent is sent first, the address is lost with the key.
    """

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = SERVICE_DESK

    order_id: OrderId

    def decide(self, work: UnitOfWork) -> UUID:
        """Check that nobody needs the address, then forget."""
        order = work.order(self.order_id)
        order.erase_guest(work.occurred_at)
        work.erase(order.id)
        return order.id


class ExpireOrder(Command):
    """End an order that was not paid in time; everything that it held is free again."""

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (OrderNotExpired, PeriodClosedAlready)

    order_id: OrderId

    def decide(self, work: UnitOfWork) -> UUID:
        """Check that its time is over, then give everything back and end it. Asked twice, recorded once."""
        order = work.order(self.order_id)
        if order.expired:
            return order.id
        require_expirable(order, work.occurred_at)
        plan = plan_cancel(order)
        held = Held.gather(work, order, plan)
        held.give_back(order, plan, work)
        expire(order, plan, work.occurred_at)
        return order.id
