"""Where the units of an order come from: planned before anything is recorded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from opscore.domain.sku import Pick, Sku


@dataclass(slots=True)
class Need:
    """How much of one article an order takes, from a campaign's quota or from open stock."""

    sku: Sku
    campaign_id: UUID | None
    quantity: Decimal
    path: tuple[str | int, ...]
    """The first line that asks for it."""


class StockPlan:
    """Where the units of an order come from, none of them twice: picks by article, in the order they were planned."""

    def __init__(self, location_ids: Sequence[UUID]) -> None:
        """Plan over these locations, in order of preference."""
        self._location_ids = location_ids
        self._picks: dict[UUID, tuple[Sku, tuple[Pick, ...]]] = {}

    def add(self, need: Need) -> None:
        """Say where the units come from; records nothing. Refuses StockInsufficient, CampaignQuotaUsed."""
        sku = need.sku
        _, taken = self._picks.get(sku.id, (sku, ()))
        picks = sku.plan_reservation(need.quantity, self._location_ids, need.campaign_id, need.path, taken=taken)
        self._picks[sku.id] = (sku, (*taken, *picks))

    def __iter__(self) -> Iterator[tuple[Sku, tuple[Pick, ...]]]:
        """Give each article with its picks."""
        return iter(self._picks.values())


def plan_stock(needs: Sequence[Need], location_ids: Sequence[UUID]) -> StockPlan:
    """Say where every unit comes from; records nothing. Refuses StockInsufficient, CampaignQuotaUsed."""
    plan = StockPlan(location_ids)
    for need in needs:
        plan.add(need)
    return plan
