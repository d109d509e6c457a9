"""What is on order of an article: what is on record, what that adds up to, and how it says no.

A purchase is one article of one supplier of the article's home store, due on a day. Units come in against it in as many
receipts as it takes, but no more of them than are open; a delivery that brings more is received without the purchase,
or against another one. What does not come is called off, so that ordered = received + cancelled + open at all times.
The commands are in purchase_commands.py; receipts are those of stock_commands.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec

from opscore.domain.aggregate import Event
from opscore.domain.refusals import Refusal
from opscore.domain.sku_events import StockReceived
from opscore.domain.sku_state import ZERO
from opscore.domain.values import line_amount_minor, plain

if TYPE_CHECKING:
    from opscore.domain.sku import Sku
    from opscore.domain.store import Store

# What is on record ---------------------------------------------------------------------------------------------------


class QuoteRecorded(Event):
    """A supplier said for what it delivers, from a quantity on and through a day (None: until it says otherwise).

    The last word of a supplier for one least quantity holds.
    """

    supplier_id: UUID
    unit_cost: Decimal
    currency: str
    min_quantity: Decimal
    valid_until: date | None = None


class PurchaseOrdered(Event):
    """Units were ordered of a supplier, to arrive on a day of the home store at the latest.

    due_by: when that day is over (UTC). best_quote_cost: the lowest unit cost that an active supplier had quoted for so
    many units, as known then; None without any.
    """

    purchase_id: UUID
    supplier_id: UUID
    quantity: Decimal
    unit_cost: Decimal
    currency: str
    due_on: date
    due_by: datetime
    best_quote_cost: Decimal | None
    document: str | None = None


class PurchaseCancelled(Event):
    """Units on order were called off; they will not come."""

    purchase_id: UUID
    quantity: Decimal
    reason: str


class PurchasePaid(Event):
    """Money went to the supplier for a purchase, before or after the goods came; below zero, it came back."""

    purchase_id: UUID
    amount_minor: int
    currency: str
    document: str | None = None


# What it adds up to --------------------------------------------------------------------------------------------------


class Quote(msgspec.Struct):
    """For what a supplier delivers, from a quantity on, through a day of the home store if it said one."""

    supplier_id: UUID
    unit_cost: Decimal
    min_quantity: Decimal
    valid_until: date | None = None

    def is_for(self, quantity: Decimal, day: date) -> bool:
        """Say whether so many units could be had for it on a day."""
        return self.min_quantity <= quantity and (self.valid_until is None or day <= self.valid_until)


class Purchase(msgspec.Struct):
    """A purchase of which something is open: units to come, or money to be paid or given back."""

    supplier_id: UUID
    ordered: Decimal
    unit_cost: Decimal
    currency: str
    due_on: date
    due_by: datetime
    received: Decimal = ZERO
    cancelled: Decimal = ZERO
    paid_minor: int = 0

    @property
    def open(self) -> Decimal:
        """Units that are still to come."""
        return self.ordered - self.received - self.cancelled

    @property
    def owed_minor(self) -> int:
        """What it costs in all: the units that were not called off, at the cost that was agreed."""
        return line_amount_minor(self.unit_cost, self.ordered - self.cancelled, self.currency)

    @property
    def is_settled(self) -> bool:
        """Whether everything has come or was called off, and was paid."""
        return not self.open and self.paid_minor == self.owed_minor


def take_in(
    purchases: dict[UUID, Purchase], event: PurchaseOrdered | StockReceived | PurchaseCancelled | PurchasePaid
) -> None:
    """Change the purchases of an article by what was recorded; one of which nothing is open any more is forgotten."""
    purchase_id = event.purchase_id
    assert purchase_id is not None
    match event:
        case PurchaseOrdered():
            purchases[purchase_id] = Purchase(
                event.supplier_id, event.quantity, event.unit_cost, event.currency, event.due_on, event.due_by
            )
        case StockReceived():
            purchases[purchase_id].received += event.quantity
        case PurchaseCancelled():
            purchases[purchase_id].cancelled += event.quantity
        case PurchasePaid():
            purchases[purchase_id].paid_minor += event.amount_minor
    if purchases[purchase_id].is_settled:
        del purchases[purchase_id]


def quoted(quotes: Sequence[Quote], event: QuoteRecorded) -> list[Quote]:
    """Return the quotes of an article as they are after one was recorded."""
    said = Quote(event.supplier_id, event.unit_cost, event.min_quantity, event.valid_until)
    others = [each for each in quotes if (each.supplier_id, each.min_quantity) != (said.supplier_id, said.min_quantity)]
    return [*others, said]


def cheapest(sku: Sku, store: Store, quantity: Decimal, day: date) -> Quote | None:
    """Return the quote of an active supplier with the lowest unit cost for so many units on a day; None without any."""
    valid = [
        quote for quote in sku.quotes if quote.is_for(quantity, day) and store.suppliers[quote.supplier_id].is_active
    ]
    return min(valid, key=lambda quote: quote.unit_cost, default=None)


def best_quote(sku: Sku, store: Store, quantity: Decimal, day: date) -> Decimal | None:
    """Return the lowest unit cost that an active supplier quotes for so many units on a day; None without any."""
    found = cheapest(sku, store, quantity, day)
    return None if found is None else found.unit_cost


def on_order(sku: Sku) -> Decimal:
    """Return the units of an article that are still to come."""
    return sum((purchase.open for purchase in sku.purchases.values()), ZERO)


def require_any(sku: Sku) -> None:
    """Refuse PurchaseUnknown for an article of which no purchase is open."""
    if not sku.purchases:
        raise PurchaseUnknown(code=sku.code, path=("purchase_id",), ids=[sku.id])


def find(sku: Sku, purchase_id: UUID) -> Purchase:
    """Return a purchase of the article of which something is open. Refuses: PurchaseUnknown."""
    purchase = sku.purchases.get(purchase_id)
    if purchase is None:
        raise PurchaseUnknown(code=sku.code, path=("purchase_id",), ids=[purchase_id])
    return purchase


def require_open(sku: Sku, purchase_id: UUID, quantity: Decimal) -> Purchase:
    """Return a purchase of which so many units are still to come. Refuses: PurchaseUnknown, ExceedsPurchase."""
    purchase = find(sku, purchase_id)
    if quantity > purchase.open:
        raise ExceedsPurchase(
            code=sku.code, available=plain(purchase.open), asked=quantity, path=("quantity",), ids=[purchase_id]
        )
    return purchase


# How it says no ------------------------------------------------------------------------------------------------------


class PurchaseUnknown(Refusal):
    """Of no purchase of {code} with this id anything is open; check the id, or go on without a purchase."""


class ExceedsPurchase(Refusal):
    """{available} of {code} are still to come of this purchase, not {asked}; name at most so many, and receive without
    a purchase what came beyond it."""


class ExceedsOrdered(Refusal):
    """The purchase costs {owed_minor} minor units, of which {paid_minor} are paid; pay at most the difference."""


class ExceedsPaid(Refusal):
    """Only {paid_minor} minor units were paid for the purchase; no more of them can come back."""


class PurchasesOpen(Refusal):
    """{quantity} of {code} are still to come from suppliers; receive them or call the purchases off first."""
