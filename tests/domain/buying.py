"""A shelf with an article, and a store that buys for it: what tests of suppliers and purchases start from."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from opscore.domain.policies import SupplierDocumentKind
from opscore.domain.purchase_commands import CancelPurchase, OrderPurchase, PayPurchase, RecordQuote
from opscore.domain.sku_purchases import Purchase, PurchaseOrdered
from opscore.domain.store import Store
from opscore.domain.store_commands import SetPolicy
from opscore.domain.supplier_commands import (
    ActivateSupplier,
    AgreeSupplierTerms,
    ApplyAsSupplier,
    QualifySupplier,
    SubmitSupplierDocument,
)
from opscore.domain.suppliers import Supplier, SupplierKind
from tests.domain.shelf import Shelf

MAY_10 = date(2024, 5, 10)
"""The desk's clock begins on 1 May 2024."""
PAPERS = (SupplierDocumentKind.LICENCE, SupplierDocumentKind.TAX, SupplierDocumentKind.ORGANISATION)


class Buying:
    """A shelf with an article, and a store that buys for it."""

    def __init__(self) -> None:
        self.shelf = Shelf()
        self.store_id = self.shelf.store_id
        self.sku_id = self.shelf.article()

    def supplier(self, supplier_id: UUID) -> Supplier:
        return self.shelf.get(Store, self.store_id).suppliers[supplier_id]

    def applied(self, company: str = "Oak & Co", kind: SupplierKind = SupplierKind.MANUFACTURER) -> UUID:
        """Return a supplier that has applied."""
        self.shelf.do(ApplyAsSupplier(store_id=self.store_id, kind=kind, company=company))
        return list(self.shelf.get(Store, self.store_id).suppliers)[-1]

    def file(self, supplier_id: UUID, *kinds: SupplierDocumentKind, **fields: Any) -> None:
        for kind in kinds:
            of = {"store_id": self.store_id, "supplier_id": supplier_id}
            self.shelf.do(SubmitSupplierDocument(**of, kind=kind, **fields))

    def step(self, kind: type[Any], supplier_id: UUID, **fields: Any) -> None:
        self.shelf.do(kind(store_id=self.store_id, supplier_id=supplier_id, **fields))

    def agree(self, supplier_id: UUID) -> None:
        self.step(AgreeSupplierTerms, supplier_id, exchange_terms="within 30 days", return_terms="unsold, at cost")

    def qualified(self, company: str = "Oak & Co") -> UUID:
        supplier_id = self.applied(company)
        self.file(supplier_id, *PAPERS)
        self.step(QualifySupplier, supplier_id)
        return supplier_id

    def active(self, company: str = "Oak & Co") -> UUID:
        supplier_id = self.qualified(company)
        self.agree(supplier_id)
        self.step(ActivateSupplier, supplier_id)
        return supplier_id

    def ask_deposit(self, minor: int) -> None:
        self.shelf.do(SetPolicy(store_id=self.store_id, kind="supplier_rules", params={"deposit_minor": minor}))

    def order(self, supplier_id: UUID, quantity: int | str = 10, unit_cost: str = "4.00", **fields: Any) -> UUID:
        """Order units and return the purchase."""
        terms = {"currency": "GBP", "due_on": MAY_10} | fields
        of = {"sku_id": self.sku_id, "supplier_id": supplier_id}
        self.shelf.do(OrderPurchase(**of, quantity=Decimal(quantity), unit_cost=Decimal(unit_cost), **terms))
        purchase_id: UUID = self.shelf.last(PurchaseOrdered).purchase_id
        return purchase_id

    def purchase(self, purchase_id: UUID) -> Purchase:
        return self.shelf.sku(self.sku_id).purchases[purchase_id]

    def receive(self, purchase_id: UUID, quantity: int, **fields: Any) -> None:
        self.shelf.receive(self.sku_id, quantity, purchase_id=purchase_id, **fields)

    def cancel(self, purchase_id: UUID, quantity: int | None = None) -> None:
        units = None if quantity is None else Decimal(quantity)
        of = {"sku_id": self.sku_id, "purchase_id": purchase_id}
        self.shelf.do(CancelPurchase(**of, reason="sold elsewhere", quantity=units))

    def pay(self, purchase_id: UUID, minor: int) -> None:
        of = {"sku_id": self.sku_id, "purchase_id": purchase_id}
        self.shelf.do(PayPurchase(**of, amount_minor=minor, currency="GBP"))

    def quote(self, supplier_id: UUID, unit_cost: str, **fields: Any) -> None:
        of = {"sku_id": self.sku_id, "supplier_id": supplier_id}
        self.shelf.do(RecordQuote(**of, unit_cost=Decimal(unit_cost), currency="GBP", **fields))
