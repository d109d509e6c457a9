"""Whether the owner of a store wants it to join a platform's campaign, where an agency runs the store for them."""

from __future__ import annotations

from opscore.domain import agreements
from opscore.domain.campaign import Campaign
from opscore.domain.campaign_events import CampaignKind, ProposalStatus
from opscore.domain.refusals import Refusal, WrongState
from opscore.domain.store import Store

# How it says no ------------------------------------------------------------------------------------------------------


class OwnerNotConfirmed(Refusal):
    """The owner has not confirmed that the store joins this campaign; propose it to them, and wait for their word."""


# What may happen next ------------------------------------------------------------------------------------------------


def require_confirmed(campaign: Campaign, store: Store) -> None:
    """Refuse OwnerNotConfirmed unless the store may join a platform's campaign.

    Where an agency runs the store, the owner has to have confirmed it; elsewhere, if it was proposed to them. One that
    the store has joined already may be moved.
    """
    if campaign.kind is not CampaignKind.OFFICIAL or campaign.starts_at is not None:
        return
    said = None if campaign.proposal is None else campaign.proposal.status
    if said is not ProposalStatus.CONFIRMED and (said is not None or agreements.running(store) is not None):
        raise OwnerNotConfirmed(path=("campaign_id",), ids=[campaign.id])


def require_proposable(campaign: Campaign) -> None:
    """Refuse WrongState unless it is a platform's campaign whose time is not fixed yet."""
    campaign.require_changeable()
    if campaign.kind is not CampaignKind.OFFICIAL or campaign.starts_at is not None:
        own = campaign.kind is not CampaignKind.OFFICIAL
        state = "the store's own" if own else campaign.status.value
        needed = "a platform's, which is not scheduled yet"
        raise WrongState(what="campaign", state=state, needed=needed, path=("campaign_id",), ids=[campaign.id])
