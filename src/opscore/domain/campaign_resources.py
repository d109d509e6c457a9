"""What a campaign needs from outside: places for advertising, some of which a platform reviews before they may be used.

Whether all of them were approved does not hold up the start of the campaign: its time is fixed and known to buyers, the
answer is the platform's to give, and advertising may be changed while the campaign runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, ClassVar, NoReturn
from uuid import UUID

import msgspec
from msgspec import Meta

from opscore.domain.aggregate import Aggregate
from opscore.domain.campaign import OPEN_STATUSES, Campaign, WindowInvalid
from opscore.domain.campaign_commands import PROMOTERS, CampaignId, Moment
from opscore.domain.campaign_events import (
    ResourceApproved,
    ResourceDropped,
    ResourcePlanned,
    ResourceRejected,
    ResourceStatus,
    ResourceSubmitted,
)
from opscore.domain.campaign_state import Resource
from opscore.domain.command import Command, Role, UnitOfWork
from opscore.domain.policies import CampaignRules
from opscore.domain.refusals import CurrencyMismatch, InvalidField, NotFound, ReasonMissing, Refusal, WrongState
from opscore.domain.values import Code, Count, Currency, Label, NonNegativeMinor, Reason

ResourceId = Annotated[UUID, Meta(description="Which of the campaign's resources: `resourceId` of one of them.")]

TO_SUBMIT = (ResourceStatus.PLANNED, ResourceStatus.REJECTED)

# How it says no ------------------------------------------------------------------------------------------------------


class SubmittedTooLate(Refusal):
    """The last day to hand it in was {last_day}; plan it again for a later start."""


# What may happen next ------------------------------------------------------------------------------------------------


def plan(campaign: Campaign, resource_id: UUID, resource: Resource, at: datetime) -> None:
    """Take a place for advertising into the plan, or put another in the place of one; its review begins anew.

    Refuses: WindowInvalid (it ends before it starts).
    """
    campaign.require_status(*OPEN_STATUSES)
    if resource.starts_at >= resource.ends_at:
        raise WindowInvalid(why="it ends before it starts", path=("ends_at",), ids=[campaign.id])
    known = campaign.resources.get(resource_id)
    if known is not None and resource == msgspec.structs.replace(
        known, status=ResourceStatus.PLANNED, rejected_because=None
    ):
        return  # Asked twice, recorded once.
    campaign.trigger_event(
        ResourcePlanned,
        resource_id=resource_id,
        channel=resource.channel,
        form=resource.form,
        placement=resource.placement,
        quantity=resource.quantity,
        budget_minor=resource.budget_minor,
        currency=campaign.currency,
        starts_at=resource.starts_at,
        ends_at=resource.ends_at,
        needs_review=resource.needs_review,
        submit_by=resource.submit_by,
        submit_until=resource.submit_until,
        occurred_at=at,
    )


def drop(campaign: Campaign, resource_id: UUID, reason: str, at: datetime) -> None:
    """Do without a place for advertising. Refuses: NotFound."""
    require_resources(campaign)
    find(campaign, resource_id)
    campaign.trigger_event(ResourceDropped, resource_id=resource_id, reason=reason, occurred_at=at)


def submit(campaign: Campaign, resource_id: UUID, last_day: date | None, at: datetime) -> None:
    """Hand a place for advertising in for review, for the first time or after it was rejected.

    last_day: the store's day on which that was possible for the last time, to be named.
    Refuses: NotFound, WrongState (no review is needed, or it was approved), SubmittedTooLate.
    """
    require_resources(campaign)
    resource = find(campaign, resource_id)
    if resource.status is ResourceStatus.SUBMITTED:
        return
    if resource.submit_until is None:
        _refuse("one that nobody reviews", "one that needs a review", resource_id)
    _require_resource(resource, resource_id, TO_SUBMIT)
    if at >= resource.submit_until:
        raise SubmittedTooLate(last_day=last_day, path=("resource_id",), ids=[resource_id])
    campaign.trigger_event(ResourceSubmitted, resource_id=resource_id, occurred_at=at)


def review(campaign: Campaign, resource_id: UUID, approved: bool, reason: str | None, at: datetime) -> None:
    """Record what the platform says to a place for advertising. Refuses: NotFound, WrongState, ReasonMissing."""
    require_resources(campaign)
    resource = find(campaign, resource_id)
    if resource.status is (ResourceStatus.APPROVED if approved else ResourceStatus.REJECTED):
        return
    _require_resource(resource, resource_id, (ResourceStatus.SUBMITTED,))
    if approved:
        campaign.trigger_event(ResourceApproved, resource_id=resource_id, occurred_at=at)
    elif reason is None:
        raise ReasonMissing(path=("reason",), ids=[resource_id])
    else:
        campaign.trigger_event(ResourceRejected, resource_id=resource_id, reason=reason, occurred_at=at)


def require_resources(campaign: Campaign) -> None:
    """Refuse WrongState once the campaign is over, and where it has no resources at all."""
    campaign.require_status(*OPEN_STATUSES)
    if not campaign.resources:
        state = campaign.status.value
        raise WrongState(what="campaign", state=state, needed="one with resources", ids=[campaign.id])


def find(campaign: Campaign, resource_id: UUID) -> Resource:
    """Return a resource of the campaign. Refuses: NotFound."""
    resource = campaign.resources.get(resource_id)
    if resource is None:
        raise NotFound(what="resource of this campaign", path=("resource_id",), ids=[resource_id])
    return resource


def _require_resource(resource: Resource, resource_id: UUID, statuses: Sequence[ResourceStatus]) -> None:
    if resource.status not in statuses:
        _refuse(resource.status.value, " or ".join(status.value for status in statuses), resource_id)


def _refuse(state: str, needed: str, resource_id: UUID) -> NoReturn:
    raise WrongState(what="resource", state=state, needed=needed, path=("resource_id",), ids=[resource_id])


# What may be asked for -----------------------------------------------------------------------------------------------


class PlanResource(Command):
    """Plan a place for advertising that a campaign needs, or change one; a changed one is to be reviewed anew.

    One that a platform reviews is handed in so many working days before it starts; the days are fixed here, by the
    store's calendar and its policy `campaign_rules`. Moving the campaign moves no resource: plan it again.
    """

    AGGREGATE: ClassVar[type[Aggregate]] = Campaign
    ROLES: ClassVar[frozenset[Role]] = PROMOTERS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (CurrencyMismatch, WindowInvalid)

    campaign_id: CampaignId
    channel: Annotated[Code, Meta(description="Where it is, as in the reports of what advertising cost.")]
    form: Annotated[Code, Meta(description="What sort of advertising: search, display, affiliate, sms, ...")]
    placement: Annotated[Label, Meta(description="Which place there, as the channel calls it.")]
    budget_minor: Annotated[NonNegativeMinor, Meta(description="What it may cost, in minor units.")]
    currency: Annotated[Currency, Meta(description="Currency of the budget: the campaign's.")]
    quantity: Annotated[Count, Meta(description="How many of them.")] = 1
    starts_at: Annotated[
        Moment | None, Meta(description="From when, with offset; when the campaign starts if left out.")
    ] = None
    ends_at: Annotated[
        Moment | None, Meta(description="Until when, with offset; when the campaign ends if left out.")
    ] = None
    needs_review: Annotated[bool, Meta(description="Whether the platform reviews it first.")] = False
    resource_id: Annotated[
        UUID | None, Meta(description="The resource that it takes the place of; a further one if left out.")
    ] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Say by when it is to be handed in, and record it."""
        campaign = work.campaign(self.campaign_id)
        campaign.require_status(*OPEN_STATUSES)
        campaign.require_currency(self.currency)
        if self.resource_id is not None:
            find(campaign, self.resource_id)
        starts_at = _moment(self.starts_at, campaign.starts_at, "starts_at")
        ends_at = _moment(self.ends_at, campaign.ends_at, "ends_at")
        store = work.store(campaign.store_id, path=("campaign_id",))
        rules = store.policy(CampaignRules, work.occurred_at)
        resource = Resource(
            channel=self.channel,
            form=self.form,
            placement=self.placement,
            quantity=self.quantity,
            budget_minor=self.budget_minor,
            starts_at=starts_at,
            ends_at=ends_at,
            needs_review=self.needs_review,
            submit_by=store.add_working_days(starts_at, -rules.review_days) if self.needs_review else None,
            submit_until=store.add_working_days(starts_at, -rules.review_days_min) if self.needs_review else None,
        )
        plan(campaign, self.resource_id or work.new_id(), resource, work.occurred_at)
        return campaign.id


def _moment(given: datetime | None, of_campaign: datetime | None, name: str) -> datetime:
    moment = given or of_campaign
    if moment is None:
        raise InvalidField(why="the campaign has no time yet; say when, or schedule it first", path=(name,))
    return moment.astimezone(UTC)


class DropResource(Command):
    """Do without a place for advertising that was planned for a campaign."""

    AGGREGATE: ClassVar[type[Aggregate]] = Campaign
    ROLES: ClassVar[frozenset[Role]] = PROMOTERS

    campaign_id: CampaignId
    resource_id: ResourceId
    reason: Annotated[Reason, Meta(description="Why.")]

    def decide(self, work: UnitOfWork) -> UUID:
        """Take it out of the plan."""
        campaign = work.campaign(self.campaign_id)
        drop(campaign, self.resource_id, self.reason, work.occurred_at)
        return campaign.id


class SubmitResource(Command):
    """Say that a place for advertising was handed in for review by the platform; after its last day that is refused."""

    AGGREGATE: ClassVar[type[Aggregate]] = Campaign
    ROLES: ClassVar[frozenset[Role]] = PROMOTERS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (SubmittedTooLate,)

    campaign_id: CampaignId
    resource_id: ResourceId

    def decide(self, work: UnitOfWork) -> UUID:
        """Compare with the day that was fixed when it was planned."""
        campaign = work.campaign(self.campaign_id)
        resource = campaign.resources.get(self.resource_id)
        last_day = None
        if resource is not None and resource.submit_until is not None:
            store = work.store(campaign.store_id, path=("campaign_id",))
            # It is the end of that day, which is no moment of it.
            last_day = store.local_date(resource.submit_until - timedelta(microseconds=1))
        submit(campaign, self.resource_id, last_day, work.occurred_at)
        return campaign.id


class ReviewResource(Command):
    """Say what the platform decided about a place for advertising that was handed in."""

    AGGREGATE: ClassVar[type[Aggregate]] = Campaign
    ROLES: ClassVar[frozenset[Role]] = PROMOTERS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (ReasonMissing,)

    campaign_id: CampaignId
    resource_id: ResourceId
    approved: Annotated[bool, Meta(description="Whether it may be used.")]
    reason: Annotated[Reason | None, Meta(description="Why not; needed where it was rejected.")] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Record the answer."""
        campaign = work.campaign(self.campaign_id)
        review(campaign, self.resource_id, self.approved, self.reason, work.occurred_at)
        return campaign.id
