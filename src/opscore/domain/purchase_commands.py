"""What staff can ask for about what is bought: keep quotes, order of suppliers, call off, pay."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, ClassVar
from uuid import UUID
from zoneinfo import ZoneInfo

from msgspec import Meta

from opscore.domain import sku_purchases
from opscore.domain.aggregate import Aggregate
from opscore.domain.command import Command, Role, UnitOfWork
from opscore.domain.refusals import CurrencyMismatch, InvalidField, Refusal
from opscore.domain.sku import Sku, SkuStatus
from opscore.domain.sku_commands import SkuId, require_unit_price
from opscore.domain.sku_events import HoldsNoStock
from opscore.domain.sku_purchases import (
    ExceedsOrdered,
    ExceedsPaid,
    ExceedsPurchase,
    PurchaseCancelled,
    PurchaseOrdered,
    PurchasePaid,
    PurchaseUnknown,
    Quote,
    QuoteRecorded,
)
from opscore.domain.sku_state import ZERO
from opscore.domain.stock_commands import require_receipt_cost
from opscore.domain.store import Store
from opscore.domain.store_commands import CASHIERS
from opscore.domain.supplier_commands import SupplierId, require_active
from opscore.domain.suppliers import ExchangeTermsMissing, SupplierNotActive
from opscore.domain.values import Code, Currency, Minor, Reason, plain

PurchaseId = Annotated[UUID, Meta(description="Which purchase: `purchaseId` of one of the article's.")]

LAST_DAY = date(9999, 12, 30)
"""The day after it still has a date."""


def _home(work: UnitOfWork, sku: Sku) -> Store:
    return work.get(Store, sku.store_id, scoped=False)


def require_purchasable(sku: Sku, store: Store) -> None:
    """Refuse unless units of the article may be ordered for its home store. Refuses: HoldsNoStock, WrongState."""
    sku.require_stocked()
    sku.require_status(SkuStatus.DRAFT, SkuStatus.REVIEW, SkuStatus.READY)
    store.require_not_closed()


def _require_currency(sku: Sku, currency: str) -> None:
    if currency != sku.currency:
        raise CurrencyMismatch(expected=sku.currency, given=currency, path=("currency",), ids=[sku.id])


class RecordQuote(Command):
    """Keep for what a supplier delivers an article. Its last word for one least quantity holds."""

    AGGREGATE: ClassVar[type[Aggregate]] = Sku
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (ExchangeTermsMissing, SupplierNotActive, CurrencyMismatch)

    sku_id: SkuId
    supplier_id: SupplierId
    unit_cost: Annotated[Decimal, Meta(description="What one unit costs.")]
    currency: Annotated[Currency, Meta(description="Its currency: the article's.")]
    min_quantity: Annotated[
        Decimal | None, Meta(description="From how many units of one purchase on; of any quantity if left out.")
    ] = None
    valid_until: Annotated[
        date | None, Meta(description="Last day on which it holds, in the home store's calendar; no end if left out.")
    ] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Keep it."""
        sku = work.sku(self.sku_id)
        store = _home(work, sku)
        sku.require_status(SkuStatus.DRAFT, SkuStatus.REVIEW, SkuStatus.READY)
        require_active(store, self.supplier_id)
        _require_currency(sku, self.currency)
        least = ZERO if self.min_quantity is None else sku.require_quantity(self.min_quantity, ("min_quantity",))
        if self.valid_until is not None and self.valid_until < store.local_date(work.occurred_at):
            raise InvalidField(why="the quote has run out by then", path=("valid_until",))
        quote = Quote(
            supplier_id=self.supplier_id,
            unit_cost=require_unit_price(self.unit_cost, ("unit_cost",)),
            min_quantity=least,
            valid_until=self.valid_until,
        )
        if quote not in sku.quotes:
            sku.trigger_event(
                QuoteRecorded,
                supplier_id=quote.supplier_id,
                unit_cost=quote.unit_cost,
                currency=sku.currency,
                min_quantity=quote.min_quantity,
                valid_until=quote.valid_until,
                occurred_at=work.occurred_at,
            )
        return sku.id


class OrderPurchase(Command):
    """Order units of an article of a supplier of its home store; they come in by receiveStock with the purchase."""

    AGGREGATE: ClassVar[type[Aggregate]] = Sku
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (
        HoldsNoStock,
        ExchangeTermsMissing,
        SupplierNotActive,
        CurrencyMismatch,
    )

    sku_id: SkuId
    supplier_id: SupplierId
    quantity: Annotated[Decimal, Meta(description="How many units.")]
    unit_cost: Annotated[Decimal, Meta(description="What one unit costs, as agreed.")]
    currency: Annotated[Currency, Meta(description="Its currency: the article's.")]
    due_on: Annotated[
        date, Meta(description="The day by whose end they have to be there, in the home store's calendar.")
    ]
    document: Annotated[Code | None, Meta(description="Number of the order form.")] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Look at the supplier, and keep what was the best quote for so many units."""
        sku = work.sku(self.sku_id)
        store = _home(work, sku)
        require_purchasable(sku, store)
        require_active(store, self.supplier_id)
        quantity = sku.require_quantity(self.quantity)
        _require_currency(sku, self.currency)
        today = store.local_date(work.occurred_at)
        if not today <= self.due_on <= LAST_DAY:
            raise InvalidField(why=f"it is due on a day from {today} to {LAST_DAY}", path=("due_on",))
        midnight = datetime.combine(self.due_on + timedelta(days=1), time(), ZoneInfo(store.time_zone))
        sku.trigger_event(
            PurchaseOrdered,
            purchase_id=work.new_id(),
            supplier_id=self.supplier_id,
            quantity=quantity,
            unit_cost=require_receipt_cost(sku, self.unit_cost, quantity),
            currency=sku.currency,
            due_on=self.due_on,
            due_by=midnight.astimezone(UTC),
            best_quote_cost=sku_purchases.best_quote(sku, store, quantity, today),
            document=self.document,
            occurred_at=work.occurred_at,
        )
        return sku.id


class CancelPurchase(Command):
    """Call off units of a purchase that have not come; what was paid for them is to come back by payPurchase."""

    AGGREGATE: ClassVar[type[Aggregate]] = Sku
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (PurchaseUnknown, ExceedsPurchase)

    sku_id: SkuId
    purchase_id: PurchaseId
    reason: Annotated[Reason, Meta(description="Why.")]
    quantity: Annotated[Decimal | None, Meta(description="How many units; all that are to come if left out.")] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Take them off what is on order."""
        sku = work.sku(self.sku_id)
        purchase = sku_purchases.find(sku, self.purchase_id)
        if self.quantity is not None:
            quantity = sku.require_quantity(self.quantity)
            sku_purchases.require_open(sku, self.purchase_id, quantity)
        elif purchase.open:
            quantity = plain(purchase.open)
        else:
            return sku.id  # There is nothing to call off any more.
        sku.trigger_event(
            PurchaseCancelled,
            purchase_id=self.purchase_id,
            quantity=quantity,
            reason=self.reason,
            occurred_at=work.occurred_at,
        )
        return sku.id


class PayPurchase(Command):
    """Book money that went to the supplier for a purchase, or came back. It costs what was not called off."""

    AGGREGATE: ClassVar[type[Aggregate]] = Sku
    ROLES: ClassVar[frozenset[Role]] = CASHIERS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (PurchaseUnknown, ExceedsOrdered, ExceedsPaid, CurrencyMismatch)

    sku_id: SkuId
    purchase_id: PurchaseId
    amount_minor: Annotated[
        Minor, Meta(description="What was paid, in minor units; below zero, what the supplier gave back.")
    ]
    currency: Annotated[Currency, Meta(description="Its currency: the article's.")]
    document: Annotated[Code | None, Meta(description="Number of the invoice or of the payment.")] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Compare with what the purchase costs and what was paid before."""
        sku = work.sku(self.sku_id)
        purchase = sku_purchases.find(sku, self.purchase_id)
        _require_currency(sku, self.currency)
        if not self.amount_minor:
            raise InvalidField(why="a payment of nothing is no payment", path=("amount_minor",))
        paid_minor, at_fault = purchase.paid_minor + self.amount_minor, ("amount_minor",)
        if self.amount_minor > 0 and paid_minor > purchase.owed_minor:
            raise ExceedsOrdered(
                owed_minor=purchase.owed_minor, paid_minor=purchase.paid_minor, path=at_fault, ids=[self.purchase_id]
            )
        if paid_minor < 0:
            raise ExceedsPaid(paid_minor=purchase.paid_minor, path=at_fault, ids=[self.purchase_id])
        sku.trigger_event(
            PurchasePaid,
            purchase_id=self.purchase_id,
            amount_minor=self.amount_minor,
            currency=sku.currency,
            document=self.document,
            occurred_at=work.occurred_at,
        )
        return sku.id
