"""The hero articles of a store, as the API shows them."""

# Strawberry declares its field decorator untyped; the resolvers themselves are checked.
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import asyncio
from datetime import date

import strawberry
from strawberry.types import Info

from opscore.api import reads
from opscore.api.context import Context
from opscore.api.ids import key_of
from opscore.api.nodes import gid
from opscore.api.skus import Sku, sku_view
from opscore.domain import sku as sku_domain, store as domain


@strawberry.type(
    description="The hero articles that a store named for a month: they are so from its first day, or from the day on "
    "which they were named where that is later, until the next list. What they sold is the key figure K046."
)
class HeroSkus:
    month: date = strawberry.field(description="The month, by its first day in the store's calendar.")
    sku_ids: list[strawberry.ID] = strawberry.field(description="The articles, the first one first.")

    @strawberry.field(description="The articles as they are now; those that the token may not see are left out.")
    async def skus(self, info: Info[Context, None]) -> list[Sku]:
        context = info.context
        found = await asyncio.gather(
            *(reads.current(context, sku_domain.Sku, key_of(each, "Sku")) for each in self.sku_ids)
        )
        return [sku_view(each, context) for each in found if each is not None]


def hero_skus(store: domain.Store) -> list[HeroSkus]:
    """Return the lists of a store, by month; of a month the one that was named last."""
    return [
        HeroSkus(month=date.fromisoformat(month), sku_ids=[gid("Sku", each) for each in sku_ids])
        for month, sku_ids in sorted(store.plans.hero_skus.items())
    ]
