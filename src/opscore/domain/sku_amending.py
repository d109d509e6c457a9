"""Correcting what an article was registered with, at any time before it is retired."""

from __future__ import annotations

from datetime import UTC
from decimal import Decimal
from typing import Annotated, ClassVar
from uuid import UUID

from msgspec import Meta

from opscore.domain.aggregate import Aggregate
from opscore.domain.command import Command, Role, UnitOfWork
from opscore.domain.policies import Inspection
from opscore.domain.refusals import Refusal
from opscore.domain.sku import Sku, SkuStatus
from opscore.domain.sku_commands import EDITORS, Moment, SkuId, SpecificationItem, least_quantity, specified
from opscore.domain.sku_events import InspectionNeeded, SkuAmended
from opscore.domain.store import Store
from opscore.domain.store_events import (
    BrandNotAuthorised,
    CategoryOutOfScope,
    DocumentExpired,
    DocumentMissing,
    LicenceMissing,
)
from opscore.domain.values import Code, Label


class AmendSku(Command):
    """Correct what an article was registered with: all of it, what is left out is gone.

    Its code, unit, decimal places, mode and currency stay: orders and stock are told by them. Orders keep the name, and
    campaigns the articles, that they have. Where it is on sale, the papers of that store have to allow the new category
    and brand. Goods whose residue is to be measured are measured under the category that they came in with.
    """

    AGGREGATE: ClassVar[type[Aggregate]] = Sku
    ROLES: ClassVar[frozenset[Role]] = EDITORS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (
        DocumentMissing,
        DocumentExpired,
        CategoryOutOfScope,
        LicenceMissing,
        BrandNotAuthorised,
        InspectionNeeded,
    )

    sku_id: SkuId
    name: Annotated[Label, Meta(description="What it is called inside the operation.")]
    category: Annotated[Code, Meta(description="Its one leaf category.")]
    brand: Annotated[Code | None, Meta(description="Its brand, if it bears one.")] = None
    min_order_quantity: Annotated[
        Decimal | None, Meta(description="Least quantity per order; left out, it is the smallest there is.")
    ] = None
    specification: Annotated[tuple[SpecificationItem, ...], Meta(description="Its size, material and so on.")] = ()
    season_end: Annotated[Moment | None, Meta(description="When its season ends, with offset; for seasonal goods.")] = (
        None
    )

    def decide(self, work: UnitOfWork) -> UUID:
        """Check what waits to be measured and the papers of the stores that sell it. Asked twice, recorded once."""
        sku = work.sku(self.sku_id)
        sku.require_status(SkuStatus.DRAFT, SkuStatus.READY)
        season_end = None if self.season_end is None else self.season_end.astimezone(UTC)
        specification = specified(self.specification)
        least = least_quantity(self.min_order_quantity, sku.quantity_places)
        limits = work.get(Store, sku.store_id, scoped=False).policy(Inspection, work.occurred_at).residue_limits
        waiting = any(level.quarantined or level.damaged for level in sku.levels.values())
        if waiting and sku.category in limits and self.category not in limits:
            raise InspectionNeeded(category=sku.category, path=("category",), ids=[sku.id])
        for store_id in [store_id for store_id, listing in sku.listings.items() if listing.listed]:
            store = work.find(Store, store_id)
            assert store is not None
            category = self.category if self.category != sku.category else None
            brand = self.brand if self.brand != sku.brand else None
            if category is not None or brand is not None:
                store.require_may_list(category, brand, work.occurred_at, path=("brand",) if brand else ("category",))
        told = (sku.name, sku.brand, sku.category, sku.min_order_quantity, sku.specification, sku.season_end)
        if told != (self.name, self.brand, self.category, least, specification, season_end):
            sku.trigger_event(
                SkuAmended,
                name=self.name,
                brand=self.brand,
                category=self.category,
                min_order_quantity=least,
                specification=specification,
                season_end=season_end,
                editor=work.actor.id,
                occurred_at=work.occurred_at,
            )
        return sku.id
