"""A platform's campaign is joined by the owner's will where an agency runs the store, and where they were asked."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from opscore.domain.agreements import NotOwnerParty, SignAgreement
from opscore.domain.campaign import Campaign, LineRole
from opscore.domain.campaign_commands import AddCampaignLine, ScheduleCampaign
from opscore.domain.campaign_confirming import OwnerNotConfirmed
from opscore.domain.campaign_events import CampaignConfirmed, CampaignKind, ProposalStatus
from opscore.domain.campaign_proposals import ConfirmCampaign, DeclineCampaign, ProposeCampaign
from opscore.domain.command import Actor, Role
from opscore.domain.readiness import DONE_ALREADY
from opscore.domain.refusals import WrongState
from tests.domain.desk import MANAGER, OWNER
from tests.domain.market import JULY, JUNE, Market
from tests.domain.test_readiness import codes

LI = Actor(id="li", role=Role.MANAGER)
"""Who speaks for the owner by the agreement."""


class Desk:
    """A store with a platform's campaign to join, run by an agency if there is an agreement."""

    def __init__(self, *, agency: bool) -> None:
        self.market = Market()
        if agency:
            self.sign()
        self.campaign_id = self.plan(CampaignKind.OFFICIAL)

    def sign(self) -> None:
        """Let an agency run the store from now on."""
        days = dict.fromkeys(("owner_signed_on", "agency_signed_on", "term_from"), date(2024, 1, 1))
        parties = {"owner": "Jade Ltd", "agency": "Gifts Ltd", "owner_people": (LI.id,)}
        fee = {"term_to": date(2099, 1, 1), "monthly_fee_minor": 100, "currency": "CNY"}
        self.market.do(SignAgreement(store_id=self.market.store_id, **parties, **days, **fee), actor=OWNER)

    def plan(self, kind: CampaignKind) -> UUID:
        campaign_id = self.market.plan(kind.value, kind=kind)
        line = {"sku_id": self.market.tea, "role": LineRole.BASE, "price": Decimal(80)}
        self.market.do(AddCampaignLine(campaign_id=campaign_id, **line))
        return campaign_id

    def give(self, command: type[Any], actor: Actor = MANAGER, **fields: Any) -> None:
        self.market.do(command(campaign_id=self.campaign_id, **fields), actor=actor)

    def schedule(self, campaign_id: UUID | None = None, **fields: Any) -> None:
        times: dict[str, Any] = {"starts_at": JUNE, "ends_at": JULY} | fields
        self.market.do(ScheduleCampaign(campaign_id=campaign_id or self.campaign_id, **times))

    @property
    def status(self) -> ProposalStatus | None:
        proposal = self.market.get(self.campaign_id).proposal
        return None if proposal is None else proposal.status

    def codes(self) -> dict[str, str | None]:
        return codes(self.market.desk, Campaign, self.campaign_id)


def test_where_an_agency_runs_the_store_the_owner_confirms_first() -> None:
    desk = Desk(agency=True)
    with pytest.raises(OwnerNotConfirmed):
        desk.schedule()
    assert desk.codes()["scheduleCampaign"] == "OWNER_NOT_CONFIRMED"
    desk.give(ProposeCampaign, note="a million visitors")
    with pytest.raises(OwnerNotConfirmed):
        desk.schedule()
    with pytest.raises(NotOwnerParty):
        desk.give(ConfirmCampaign)
    assert desk.status is ProposalStatus.PROPOSED

    desk.give(ConfirmCampaign, actor=LI)

    assert desk.status is ProposalStatus.CONFIRMED
    before = len(desk.market.desk.events)
    for command in (ConfirmCampaign, ProposeCampaign):
        desk.give(command, actor=LI)
    assert len(desk.market.desk.events) == before, "told twice, recorded once"
    assert {desk.codes()[name] for name in ("proposeCampaign", "confirmCampaign")} == {DONE_ALREADY}
    desk.schedule()
    with pytest.raises(WrongState):
        desk.give(DeclineCampaign, actor=LI, reason="too late")


def test_what_the_owner_said_on_paper_is_taken_down_with_the_document() -> None:
    desk = Desk(agency=True)
    desk.give(ConfirmCampaign, document="letter of 3 May")
    assert desk.market.desk.last(CampaignConfirmed).document == "letter of 3 May"
    proposal = desk.market.get(desk.campaign_id).proposal
    assert proposal is not None and proposal.proposed_at is None, "said unasked"
    desk.schedule()


def test_who_declined_may_be_asked_again_and_think_again() -> None:
    desk = Desk(agency=True)
    with pytest.raises(WrongState):
        desk.give(DeclineCampaign, actor=LI, reason="too dear")
    desk.give(ProposeCampaign)
    desk.give(DeclineCampaign, actor=LI, reason="too dear")
    declined = desk.market.get(desk.campaign_id).proposal
    assert declined is not None and (declined.status, declined.reason) == (ProposalStatus.DECLINED, "too dear")
    with pytest.raises(OwnerNotConfirmed):
        desk.schedule()
    desk.give(ProposeCampaign, note="at half the fee")
    assert desk.status is ProposalStatus.PROPOSED
    desk.give(ConfirmCampaign, actor=LI)
    desk.schedule()


def test_without_an_agency_only_what_was_proposed_waits_for_the_owner() -> None:
    desk = Desk(agency=False)
    desk.give(ProposeCampaign)
    with pytest.raises(OwnerNotConfirmed):
        desk.schedule()
    desk.give(ConfirmCampaign)
    desk.schedule()
    other = Desk(agency=False)
    other.schedule()
    assert other.status is None


def test_what_was_scheduled_before_an_agency_came_may_still_be_moved() -> None:
    desk = Desk(agency=False)
    desk.schedule()
    desk.sign()
    moved = datetime(2024, 6, 2, tzinfo=UTC)
    assert desk.codes()["scheduleCampaign"] is None
    desk.schedule(starts_at=moved, reason="the platform moved it")
    assert desk.market.get(desk.campaign_id).starts_at == moved


def test_the_store_s_own_campaigns_need_nobody_s_word() -> None:
    desk = Desk(agency=True)
    own = desk.plan(CampaignKind.OWN)
    desk.schedule(own)
    desk.campaign_id = own
    with pytest.raises(WrongState):
        desk.give(ProposeCampaign)
    assert desk.codes()["proposeCampaign"] == "WRONG_STATE"
    assert desk.market.get(own).starts_at == datetime(2024, 6, 1, tzinfo=UTC)
