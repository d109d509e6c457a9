"""Platform campaigns that a store qualifies for: proposed to its owner, who confirms or declines them."""

from __future__ import annotations

from typing import Annotated, ClassVar
from uuid import UUID

from msgspec import Meta

from opscore.domain import agreements
from opscore.domain.aggregate import Aggregate
from opscore.domain.agreement_events import AgreementParty
from opscore.domain.agreements import NotOwnerParty
from opscore.domain.campaign import Campaign
from opscore.domain.campaign_commands import PROMOTERS, CampaignId
from opscore.domain.campaign_confirming import require_proposable
from opscore.domain.campaign_events import CampaignConfirmed, CampaignDeclined, CampaignProposed, ProposalStatus
from opscore.domain.command import Command, Role, UnitOfWork
from opscore.domain.refusals import Refusal, WrongState
from opscore.domain.store import Store
from opscore.domain.values import Reason

OWNERS = frozenset({Role.OWNER, Role.MANAGER})

Document = Annotated[
    Reason | None, Meta(description="Where the owner said so, if somebody else takes it down; no personal data.")
]


def _said(campaign: Campaign) -> ProposalStatus | None:
    return None if campaign.proposal is None else campaign.proposal.status


def _require_owner(work: UnitOfWork, campaign: Campaign, document: str | None) -> None:
    """Refuse NotOwnerParty unless the agreement with the agency names who speaks, or a document says it."""
    agreement = agreements.running(work.get(Store, campaign.store_id, scoped=False))
    if agreement is not None:
        agreements.require_party(agreement[1], AgreementParty.OWNER, work.actor, document)


class ProposeCampaign(Command):
    """Ask the owner of a store whether it joins a platform's campaign; asked again after a no, they may think again."""

    AGGREGATE: ClassVar[type[Aggregate]] = Campaign
    ROLES: ClassVar[frozenset[Role]] = PROMOTERS

    campaign_id: CampaignId
    note: Annotated[Reason | None, Meta(description="Why it should, and what it costs.")] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Check that it is open, then ask. Asked twice, recorded once; what was confirmed stays so."""
        campaign = work.campaign(self.campaign_id)
        require_proposable(campaign)
        if _said(campaign) in (None, ProposalStatus.DECLINED):
            campaign.trigger_event(CampaignProposed, note=self.note, occurred_at=work.occurred_at)
        return campaign.id


class ConfirmCampaign(Command):
    """Say for the owner that the store joins a platform's campaign. Those whom the agreement names speak for them."""

    AGGREGATE: ClassVar[type[Aggregate]] = Campaign
    ROLES: ClassVar[frozenset[Role]] = OWNERS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (NotOwnerParty,)

    campaign_id: CampaignId
    document: Document = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Check who says it, then confirm. Asked twice, recorded once."""
        campaign = work.campaign(self.campaign_id)
        require_proposable(campaign)
        _require_owner(work, campaign, self.document)
        if _said(campaign) is not ProposalStatus.CONFIRMED:
            campaign.trigger_event(CampaignConfirmed, document=self.document, occurred_at=work.occurred_at)
        return campaign.id


class DeclineCampaign(Command):
    """Say for the owner that the store does not join a platform's campaign that was proposed to them."""

    AGGREGATE: ClassVar[type[Aggregate]] = Campaign
    ROLES: ClassVar[frozenset[Role]] = OWNERS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (NotOwnerParty,)

    campaign_id: CampaignId
    reason: Annotated[Reason, Meta(description="Why not.")]
    document: Document = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Check that they were asked, and who says it, then decline. Asked twice, recorded once."""
        campaign = work.campaign(self.campaign_id)
        require_declinable(campaign)
        _require_owner(work, campaign, self.document)
        if _said(campaign) is not ProposalStatus.DECLINED:
            campaign.trigger_event(
                CampaignDeclined, reason=self.reason, document=self.document, occurred_at=work.occurred_at
            )
        return campaign.id


def require_declinable(campaign: Campaign) -> None:
    """Refuse WrongState unless the owner was asked, and the campaign's time is not fixed yet."""
    require_proposable(campaign)
    if campaign.proposal is None:
        needed = "one that was proposed to the owner"
        raise WrongState(what="campaign", state=campaign.status.value, needed=needed, ids=[campaign.id])
