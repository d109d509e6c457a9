"""Goods for goods that came back: the same article once more, or another one at the same money.

It is as if the units that came back had never left: they are set apart, packed and shipped like any others, and the
order stands again where its least advanced unit does, though the sale was final.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, ClassVar
from uuid import UUID

from msgspec import Meta

from opscore.domain.aggregate import Aggregate
from opscore.domain.command import Command, Role, UnitOfWork
from opscore.domain.order import Order, require_each_once
from opscore.domain.order_commands import AFTER_SALES_DESK, SERVICE_DESK, LineNumber, OrderId, Quantity, line_quantity
from opscore.domain.order_events import ExchangedLine, ReturnExchanged
from opscore.domain.order_refusals import ExchangeExceedsReturned
from opscore.domain.order_returns import (
    ReturnId,
    case_line,
    case_of,
    return_lines,
)
from opscore.domain.order_state import ReturnCase, ReturnCaseLine, ReturnStatus
from opscore.domain.periods import OverrideReason, note_override, require_open_books
from opscore.domain.refusals import InvalidField, Refusal
from opscore.domain.sku import FulfilmentMode, Pick, ProhibitedGoods, Sku, StockInsufficient
from opscore.domain.store_events import PeriodClosedAlready
from opscore.domain.values import Part, plain

# What may happen next ------------------------------------------------------------------------------------------------


def exchangeable(order: Order, entry: ReturnCaseLine) -> Decimal:
    """Return for how many units of a return's line that arrived and came back goods may be sent.

    None for units whose money went back.
    """
    line = order.lines[entry.line - 1]
    there = line.returned if line.service else min(line.returned, line.delivered)
    return plain(min(entry.received - entry.exchanged, there, line.refundable))


def can_exchange(order: Order, case: ReturnCase) -> bool:
    """Say whether goods may be sent for anything of a return."""
    came = case.status in (ReturnStatus.RECEIVED, ReturnStatus.DISPOSED)
    return came and any(exchangeable(order, entry) > 0 for entry in case.lines)


# What can be asked for -----------------------------------------------------------------------------------------------


class ExchangeOf(Part):
    """Units that came back, and what is sent for them."""

    line: LineNumber
    quantity: Quantity
    sku_id: Annotated[UUID | None, Meta(description="The article that is sent; the same one if left out.")] = None
    sent_quantity: Annotated[
        Decimal | None, Meta(description="How much of another article, in its own unit; as much as came if left out.")
    ] = None


class ExchangeReturn(Command):
    """Send goods for goods of a return that came back: the same article, or another one, at the same money."""

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = SERVICE_DESK | AFTER_SALES_DESK
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (
        ExchangeExceedsReturned,
        StockInsufficient,
        ProhibitedGoods,
        PeriodClosedAlready,
    )

    order_id: OrderId
    return_id: ReturnId
    lines: Annotated[tuple[ExchangeOf, ...], Meta(min_length=1, description="For which units what is sent.")]
    override_reason: OverrideReason = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Check what came back and that there is enough in stock, then set it apart. It is to be packed."""
        order = work.order(self.order_id)
        case = case_of(order, self.return_id, ReturnStatus.RECEIVED, ReturnStatus.DISPOSED)
        require_each_once([asked.line for asked in self.lines])
        locations = work.store(order.store_id).open_location_ids
        again: list[tuple[int, Decimal]] = []
        others: list[ExchangedLine] = []
        reservations: list[tuple[Sku, tuple[Pick, ...]]] = []
        for index, asked in enumerate(self.lines):
            path = ("lines", index, "quantity")
            quantity = line_quantity(work, order, asked.line, asked.quantity, index)
            available = exchangeable(order, case_line(order, case, asked.line, index))
            if quantity > available:
                raise ExchangeExceedsReturned(
                    available=available, line=asked.line, asked=quantity, path=path, ids=[order.id]
                )
            line = order.lines[asked.line - 1]
            same = asked.sku_id is None or asked.sku_id == line.sku_id
            if same and (line.service or asked.sent_quantity not in (None, asked.quantity)):
                why = "is a service, name another article" if line.service else "is sent once more as it came back"
                raise InvalidField(why=f"what line {asked.line} is about {why}", path=("lines", index), ids=[order.id])
            sku_id = line.sku_id if asked.sku_id is None else asked.sku_id
            sku = work.sku(sku_id, path=("lines", index, "sku_id"), seen=not same, scoped=not same)
            sku.require_allowed(("lines", index, "sku_id"))
            sent = quantity
            if asked.sent_quantity is not None:
                sent = sku.require_quantity(asked.sent_quantity, ("lines", index, "sent_quantity"))
            elif not same:
                sent = sku.require_quantity(quantity, path)
            taken = [pick for other, picks in reservations if other is sku for pick in picks]
            reservations.append((sku, sku.plan_reservation(sent, locations, None, path, taken=taken)))
            if same:
                again.append((asked.line, quantity))
                continue
            others.append(
                ExchangedLine(
                    from_line=asked.line,
                    line=len(order.lines) + len(others) + 1,
                    sku_id=sku.id,
                    sku_code=sku.code,
                    name=sku.name,
                    unit=sku.unit,
                    quantity=sent,
                    replaced_quantity=quantity,
                    amount_minor=line.exchange_price_of(quantity),
                    service=sku.mode is FulfilmentMode.SERVICE,
                )
            )
        moved = {sku.id: sku for sku, picks in reservations if picks}
        for sku in moved.values():
            require_open_books(work, sku, self.override_reason)
        for sku, picks in reservations:
            sku.reserve(order.id, order.store_id, picks, work.occurred_at)
        for sku in moved.values():
            note_override(work, sku, self.override_reason)
        order.trigger_event(
            ReturnExchanged,
            return_id=self.return_id,
            currency=order.currency,
            lines=return_lines(order, again),
            exchanges=tuple(others),
            occurred_at=work.occurred_at,
        )
        return order.id
