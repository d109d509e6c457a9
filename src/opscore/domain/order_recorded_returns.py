"""Returns that were agreed elsewhere: recorded in one step, of an order we know or of none."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, ClassVar
from uuid import UUID

from msgspec import Meta

from opscore.domain.aggregate import Aggregate
from opscore.domain.command import Command, Role, UnitOfWork
from opscore.domain.order import Order
from opscore.domain.order_cancelling import give_back_points
from opscore.domain.order_events import (
    DisposedLine,
    OrderKind,
    RefundLine,
    RefundReason,
    ReturnCondition,
    ReturnDisposed,
    ReturnLine,
    ReturnReason,
    ReturnReceived,
    ReturnRecorded,
)
from opscore.domain.order_refunds import buyer_with_points, refund
from opscore.domain.order_refusals import (
    RefundExceedsPaid,
    ReturnExceedsDelivered,
)
from opscore.domain.order_returns import (
    require_room,
    take_back,
)
from opscore.domain.order_state import RefundPlan
from opscore.domain.periods import OverrideReason, note_override
from opscore.domain.refusals import (
    AlreadyExists,
    CurrencyMismatch,
    InvalidField,
    NotFound,
    ReferenceTaken,
    Refusal,
)
from opscore.domain.sku_events import CountBelowHeld, FulfilmentMode
from opscore.domain.store import Store
from opscore.domain.store_events import PeriodClosedAlready
from opscore.domain.values import (
    Code,
    Currency,
    Minor,
    Part,
    derived_id,
    plain,
)


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
            require_room(work, location_id, self._disposed([0] * len(counted), counted), self.override_reason)
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
            take_back(work, order_id, return_id, self.store_id, location_id, back)
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
