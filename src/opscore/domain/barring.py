"""Keeps units of batches that were recalled or have expired from being sold: they are set aside, and none leaves."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

from opscore.domain.sku_events import BatchBarred, CampaignStockReleased, StockReclassified, StockState
from opscore.domain.sku_state import ZERO, Batch
from opscore.domain.values import plain

if TYPE_CHECKING:
    from opscore.domain.sku import Sku


def bar_of(sku: Sku, batch: str) -> str | None:
    """Return why units of a batch may not be sold; None when they may."""
    return sku.batches.get(batch, Batch()).bar


def require_not_barred(
    sku: Sku,
    location_id: UUID,
    batch: str | None,
    quantity: Decimal,
    state: StockState = StockState.AVAILABLE,
    path: Sequence[str | int] = ("quantity",),
) -> None:
    """Refuse BatchBarred when units that leave a location, or become free there, may be of a batch not to be sold.

    Units of no named batch are not, as long as there are enough others in that state.
    """
    level = sku.level_at(location_id)
    if batch is not None:
        barred = [batch] if bar_of(sku, batch) else []
    else:
        there = level.barred(sku.batches, state)
        enough = level.in_state(state) - sum(there.values(), ZERO) >= quantity
        barred = [] if enough else list(there)
    if barred:
        why = "; ".join(sorted({str(bar_of(sku, name)) for name in barred}))
        raise BatchBarred(batch=", ".join(barred), code=sku.code, why=why, path=path, ids=[sku.id])


def set_barred_aside(sku: Sku, location_id: UUID, at: datetime) -> None:
    """Set units at a location aside that are of batches not to be sold, as far as they are free.

    What campaigns have left of their quotas becomes free for it. What orders hold stays theirs, of another batch; where
    there is none, nothing leaves, and what they give back is set aside then.
    """
    level = sku.level_at(location_id)
    for batch, owed in level.barred(sku.batches, StockState.AVAILABLE).items():
        for campaign_id, quota in sku.allocations.items():
            units = min(owed - level.sellable, quota.get(location_id, ZERO))
            if units > 0:
                sku.trigger_event(
                    CampaignStockReleased,
                    campaign_id=campaign_id,
                    location_id=location_id,
                    quantity=plain(units),
                    occurred_at=at,
                )
        units = min(owed, level.sellable)
        if units > 0:
            sku.trigger_event(
                StockReclassified,
                location_id=location_id,
                quantity=plain(units),
                from_state=StockState.AVAILABLE,
                to_state=StockState.QUARANTINED,
                reason=str(bar_of(sku, batch)),
                batch=batch,
                occurred_at=at,
            )
