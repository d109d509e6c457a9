"""Which own campaigns there are in a store: kept as one name, of the campaign that was scheduled last there."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from opscore.domain.campaign import Campaign
from opscore.domain.command import UnitOfWork

CAMPAIGN_CALENDAR = "campaign_calendar"
"""Claim kind, scope store id, value `LAST`: the own campaign scheduled last there, which knows those beside it."""
LAST = "last"


def own_campaigns(work: UnitOfWork, store_ids: Collection[UUID]) -> list[Campaign]:
    """Return the own campaigns of these stores that are scheduled and not over, in a settled order.

    The one scheduled last in a store knows every other that was not over then, so this reads one name for each store
    and the campaigns that still run or are to run, however many there have been.
    """
    known: dict[UUID, None] = {}
    for store_id in store_ids:
        last_id = work.holder(CAMPAIGN_CALENDAR, str(store_id), LAST)
        last = None if last_id is None else work.find(Campaign, last_id)
        if last is not None:
            known[last.id] = None
            known.update(dict.fromkeys(last.beside))
    found = (work.find(Campaign, campaign_id) for campaign_id in known)
    stores = set(store_ids)
    return [
        campaign
        for campaign in found
        if campaign is not None and not campaign.is_over(work.occurred_at) and stores & set(campaign.store_ids)
    ]


def enter(work: UnitOfWork, campaign: Campaign) -> None:
    """Take down a campaign as the one scheduled last in its stores (after it was scheduled)."""
    for store_id in campaign.store_ids:
        last_id = work.holder(CAMPAIGN_CALENDAR, str(store_id), LAST)
        if last_id != campaign.id:
            if last_id is not None:
                work.release(CAMPAIGN_CALENDAR, str(store_id), LAST, last_id)
            work.claim(CAMPAIGN_CALENDAR, str(store_id), LAST, campaign.id)
