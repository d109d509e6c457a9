"""A supplier of a shop and what is ordered of it: what tests of purchases through the writer start from."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from opscore.domain.policies import SupplierDocumentKind
from opscore.domain.purchase_commands import OrderPurchase, RecordQuote
from opscore.domain.sku import Sku
from opscore.domain.store import Store
from opscore.domain.supplier_commands import (
    ActivateSupplier,
    AgreeSupplierTerms,
    ApplyAsSupplier,
    QualifySupplier,
    SubmitSupplierDocument,
)
from opscore.domain.suppliers import SupplierKind
from opscore.log.event_log import EventLog
from tests.shop import Shop

FAR = date(2999, 1, 31)


class Buyer:
    """Buys for a shop; each command is given at `at` (UTC), now if None."""

    def __init__(self, shop: Shop, log: EventLog) -> None:
        self.shop = shop
        self.log = log

    def do(self, command: Any, at: datetime | None = None) -> UUID:
        """Give a command."""
        return self.shop.do(command, **({} if at is None else {"occurred_at": at}))

    def supplier(self, company: str = "Oak Ltd", at: datetime | None = None) -> UUID:
        """Return an active supplier."""
        store_id = self.shop.store_id
        self.do(ApplyAsSupplier(store_id=store_id, kind=SupplierKind.MANUFACTURER, company=company), at)
        store = self.log.aggregate(Store, store_id)
        assert store is not None
        of = {"store_id": store_id, "supplier_id": list(store.suppliers)[-1]}
        for kind in (SupplierDocumentKind.LICENCE, SupplierDocumentKind.TAX, SupplierDocumentKind.ORGANISATION):
            self.do(SubmitSupplierDocument(**of, kind=kind), at)
        self.do(QualifySupplier(**of), at)
        self.do(AgreeSupplierTerms(**of, exchange_terms="within 30 days", return_terms="unsold, at cost"), at)
        self.do(ActivateSupplier(**of), at)
        return of["supplier_id"]

    def quote(self, sku_id: UUID, supplier_id: UUID, unit_cost: str, at: datetime | None = None, **fields: Any) -> None:
        """Keep for what a supplier delivers an article."""
        of = {"sku_id": sku_id, "supplier_id": supplier_id, "currency": "GBP"}
        self.do(RecordQuote(**of, unit_cost=Decimal(unit_cost), **fields), at)

    def order(
        self,
        sku_id: UUID,
        supplier_id: UUID,
        quantity: int,
        unit_cost: str = "4.00",
        due_on: date = FAR,
        at: datetime | None = None,
        **fields: Any,
    ) -> UUID:
        """Order units and return the purchase."""
        of = {"sku_id": sku_id, "supplier_id": supplier_id, "currency": "GBP", "due_on": due_on}
        self.do(OrderPurchase(**of, quantity=Decimal(quantity), unit_cost=Decimal(unit_cost), **fields), at)
        sku = self.log.aggregate(Sku, sku_id)
        assert sku is not None
        return list(sku.purchases)[-1]
