"""How an order that was agreed elsewhere is taken in (`RecordOrder`): at the prices agreed there, as far as it has got.

One decision over store and articles, as placing is: first every check, then the events.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, ClassVar
from uuid import UUID

from msgspec import Meta

from opscore.domain import pricing
from opscore.domain.aggregate import Aggregate
from opscore.domain.command import Command, Role, UnitOfWork
from opscore.domain.order import Order
from opscore.domain.order_assists import Helper, assist, require_helper
from opscore.domain.order_events import (
    OrderLine,
    ParcelLine,
    PaymentReceived,
    PriceSource,
)
from opscore.domain.order_paying import settle
from opscore.domain.order_placing import (
    MAX_LINES,
    Address,
    CameBy,
    Channel,
    CustomerId,
    Device,
    ExternalReference,
    Recipient,
    Region,
    Remark,
    StoreId,
    begin,
    begin_id,
    require_amounts,
)
from opscore.domain.order_state import ZERO
from opscore.domain.periods import OverrideReason, note_override, require_open_books
from opscore.domain.policies import ShipPromise
from opscore.domain.refusals import CurrencyMismatch, InvalidField, ReferenceTaken, Refusal
from opscore.domain.sku import FulfilmentMode
from opscore.domain.sku_events import StockInsufficient
from opscore.domain.stock_plan import Need, StockPlan, plan_stock
from opscore.domain.store import Store
from opscore.domain.store_events import PeriodClosedAlready
from opscore.domain.values import (
    Code,
    Currency,
    NonNegativeMinor,
    Part,
    derived_id,
    line_amount_minor,
    plain,
)


class RecordedLine(Part):
    """An article that was sold elsewhere, at the price that was agreed there."""

    sku_id: Annotated[UUID, Meta(description="The article.")]
    quantity: Annotated[Decimal, Meta(description="How much, in the article's unit.")]
    unit_price: Annotated[Decimal, Meta(description="Price per unit before the discount, at most six places.")]
    discount_minor: Annotated[NonNegativeMinor, Meta(description="Discount on the whole line, in minor units.")] = 0


class RecordOrder(Command):
    """Take in an order that was agreed elsewhere, at the prices agreed there, as far as it has got by now.

    Neither listings nor prices are checked, they were somebody else's; stock is, because nothing can leave that is not
    there.
    """

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = frozenset({Role.OWNER, Role.MANAGER})
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (
        StockInsufficient,
        ReferenceTaken,
        CurrencyMismatch,
        PeriodClosedAlready,
    )

    store_id: StoreId
    lines: Annotated[tuple[RecordedLine, ...], Meta(min_length=1, max_length=MAX_LINES, description="What was sold.")]
    customer_id: CustomerId = None
    channel: Channel = "external"
    external_reference: ExternalReference = None
    currency: Annotated[
        Currency | None, Meta(description="Currency of the prices; refused if it is not the store's.")
    ] = None
    freight_minor: Annotated[NonNegativeMinor, Meta(description="Freight charged, in minor units.")] = 0
    region: Region = None
    recipient: Recipient = None
    address: Address = None
    remark: Remark = None
    paid: Annotated[bool, Meta(description="It was paid in full.")] = True
    payment_method: Annotated[Code, Meta(description="How it was paid.")] = "external"
    payment_reference: Annotated[Code | None, Meta(description="The payment's number elsewhere.")] = None
    shipped: Annotated[bool, Meta(description="All of it was shipped, in one parcel.")] = False
    location_id: Annotated[
        UUID | None, Meta(description="Where the goods come from; the store's locations in their order if left out.")
    ] = None
    courier: Annotated[Code | None, Meta(description="Who carried it, if known.")] = None
    waybill: Annotated[Code | None, Meta(description="The courier's number, if known.")] = None
    delivered: Annotated[bool, Meta(description="It arrived.")] = False
    completed: Annotated[bool, Meta(description="The sale is final.")] = False
    override_reason: OverrideReason = None
    assisted_by: Helper = None
    traffic_source: CameBy = None
    device: Device = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Check stock and reference, then record the order and how far it has got."""
        store = work.store(self.store_id)
        if self.currency is not None and self.currency != store.currency:
            raise CurrencyMismatch(expected=store.currency, given=self.currency, path=("currency",), ids=[store.id])
        self._require_steps_in_order()
        require_helper(work, store, self.assisted_by)
        if self.customer_id is not None:
            work.customer(self.customer_id, path=("customer_id",))
        order_id = begin_id(work, store.id, self.external_reference)
        if self.waybill is not None:
            work.require_free("waybill", "operator", self.waybill, order_id, path=("waybill",))
        location_ids = store.open_location_ids
        if self.location_id is not None:
            store.require_location(self.location_id, ("location_id",), closed_too=True)
            location_ids = [self.location_id]
        lines, needs = self._lines(work, store)
        require_amounts(lines)
        stock = plan_stock(needs, location_ids)
        for sku, _ in stock:
            require_open_books(work, sku, self.override_reason)
        promise = store.policy(ShipPromise, work.occurred_at)

        order = self._record(work, store, order_id, lines)
        assist(order, self.assisted_by, work.occurred_at)
        for sku, picks in stock:
            sku.reserve(order_id, store.id, picks, work.occurred_at)
        if self.paid:
            self._pay(order, promise, work)
        if self.shipped:
            self._ship(order, stock, work)
        for sku, _ in stock:
            note_override(work, sku, self.override_reason)
        return order_id

    def _require_steps_in_order(self) -> None:
        steps = (("paid", self.paid), ("shipped", self.shipped), ("delivered", self.delivered))
        later = (("shipped", self.shipped), ("delivered", self.delivered), ("completed", self.completed))
        for (before, done), (name, claimed) in zip(steps, later, strict=True):
            if claimed and not done:
                raise InvalidField(why=f"an order is not {name} before it is {before}", path=(name,))

    def _lines(self, work: UnitOfWork, store: Store) -> tuple[tuple[OrderLine, ...], list[Need]]:
        lines = []
        needs: dict[UUID, Need] = {}
        for index, asked in enumerate(self.lines):
            sku = work.sku(asked.sku_id, path=("lines", index, "sku_id"), seen=True)
            path = ("lines", index, "quantity")
            quantity = sku.require_quantity(asked.quantity, path)
            unit_price = asked.unit_price
            if not unit_price.is_finite() or not 0 <= unit_price < 10**12:
                raise InvalidField(why="a unit price is 0 or more and below 10^12", path=("lines", index, "unit_price"))
            unit_price = plain(unit_price)
            if -int(unit_price.as_tuple().exponent) > 6:
                raise InvalidField(why="a unit price has at most 6 places", path=("lines", index, "unit_price"))
            gross_minor = line_amount_minor(unit_price, quantity, store.currency)
            if asked.discount_minor > gross_minor:
                raise InvalidField(why="a discount is no more than the price", path=("lines", index, "discount_minor"))
            service = sku.mode is FulfilmentMode.SERVICE
            lines.append(
                OrderLine(
                    line=index + 1,
                    sku_id=sku.id,
                    sku_code=sku.code,
                    name=sku.name,
                    quantity=quantity,
                    unit=sku.unit,
                    list_price=unit_price,
                    unit_price=unit_price,
                    gross_minor=gross_minor,
                    discount_minor=asked.discount_minor,
                    amount_minor=gross_minor - asked.discount_minor,
                    service=service,
                    discounts=_agreed(asked.discount_minor),
                )
            )
            known = needs.get(sku.id)
            if known is None:
                needs[sku.id] = Need(sku, None, quantity, path)
            else:
                known.quantity += quantity
        return tuple(lines), list(needs.values())

    def _record(self, work: UnitOfWork, store: Store, order_id: UUID, lines: tuple[OrderLine, ...]) -> Order:
        goods_minor = sum(line.amount_minor for line in lines)
        return begin(
            work,
            store,
            order_id,
            self,
            lines=lines,
            goods_minor=goods_minor,
            discount_minor=sum(line.discount_minor for line in lines),
            freight_minor=self.freight_minor,
            freight_waived_minor=0,
            total_minor=goods_minor + self.freight_minor,
            coupon_code=None,
            coupon_id=None,
            coupon_campaign_id=None,
            points_spent=0,
            points_minor=0,
            campaign_ids=(),
            claims=(),
            freight_waivers=(),
            passed_over=(),
            price_source=PriceSource.EXTERNAL,
            surge=False,
        )

    def _pay(self, order: Order, promise: ShipPromise, work: UnitOfWork) -> None:
        if order.total_minor:
            order.trigger_event(
                PaymentReceived,
                amount_minor=order.total_minor,
                currency=order.currency,
                method=self.payment_method,
                provider_reference=self.payment_reference,
                occurred_at=work.occurred_at,
            )
        settle(order, promise, work.occurred_at)

    def _ship(self, order: Order, stock: StockPlan, work: UnitOfWork) -> None:
        """Record only what is known: that it left, and perhaps arrived; not when it was confirmed or packed."""
        at = work.occurred_at
        parcel_id = derived_id("parcel", order.id, 1)
        contents = tuple(
            ParcelLine(line=line.line, sku_id=line.sku_id, quantity=line.ordered)
            for line in order.lines
            if not line.service
        )
        if contents:
            location_id = next((pick.location_id for _, picks in stock for pick in picks), self.location_id)
            order.ship_lines(parcel_id, location_id, contents, self.courier, self.waybill, at)
            if self.waybill is not None:
                work.claim("waybill", "operator", self.waybill, order.id)
            for sku, picks in stock:
                quantity = sum((pick.quantity for pick in picks), ZERO)
                sku.ship(order.id, order.store_id, parcel_id, quantity, at)
            if self.delivered:
                order.deliver(parcel_id, at)
        if self.completed:
            order.complete_as_agreed(at)


def _agreed(discount_minor: int) -> tuple[pricing.Discount, ...]:
    if not discount_minor:
        return ()
    return (
        pricing.Discount(
            source=pricing.DiscountSource.MANUAL, amount_minor=discount_minor, reason="agreed where it was sold"
        ),
    )
