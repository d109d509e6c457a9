"""The parts of a campaign's state: its targets, its advertising, and what it needs from outside."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec

from opscore.domain.campaign_events import (
    AdAdjusted,
    AdKeyword,
    AdMonitored,
    AdPlanEnded,
    AdPlanLaunched,
    AdPlanPaused,
    AdPlanResumed,
    AdPlanStatus,
    AdReading,
    AdSpendRecorded,
    CampaignConfirmed,
    CampaignDeclined,
    CampaignProposed,
    OfferStatus,
    ProposalStatus,
    ResourceApproved,
    ResourceDropped,
    ResourcePlanned,
    ResourceRejected,
    ResourceStatus,
    ResourceSubmitted,
    SupplierCallClosed,
    SupplierCallOpened,
    SupplyOfferAccepted,
    SupplyOffered,
    SupplyOfferRejected,
    SupplyOfferWithdrawn,
)
from opscore.domain.values import Value

ResourceEvent = ResourcePlanned | ResourceDropped | ResourceSubmitted | ResourceApproved | ResourceRejected
ProposalEvent = CampaignProposed | CampaignConfirmed | CampaignDeclined
SupplyEvent = (
    SupplierCallOpened
    | SupplierCallClosed
    | SupplyOffered
    | SupplyOfferWithdrawn
    | SupplyOfferAccepted
    | SupplyOfferRejected
)
AdPlanEvent = AdPlanLaunched | AdMonitored | AdAdjusted | AdPlanPaused | AdPlanResumed | AdPlanEnded


class Forecast(Value):
    """The campaign's targets; see `ForecastSet`."""

    visitors: int
    conversion: Decimal
    units: Decimal
    gmv_minor: int
    peak_hour: int | None = None
    trough_hour: int | None = None
    parcels_per_day: int | None = None


class AdSpend(Value):
    """The latest figures of one channel on one day."""

    cost_minor: int
    impressions: int
    clicks: int
    revision: int


def spent(spend: Mapping[str, AdSpend], event: AdSpendRecorded) -> dict[str, AdSpend]:
    """Return what a campaign's advertising cost, as it is after a report."""
    told = AdSpend(
        cost_minor=event.cost_minor, impressions=event.impressions, clicks=event.clicks, revision=event.revision
    )
    return {**spend, f"{event.day.isoformat()} {event.channel}": told}


class Proposal(Value):
    """Whether the owner was asked to join a platform's campaign, and what they said."""

    status: ProposalStatus
    proposed_at: datetime | None = None
    """When they were asked last; None if they said so unasked."""
    note: str | None = None
    answered_at: datetime | None = None
    reason: str | None = None
    """Why it was declined."""


def proposed(known: Proposal | None, event: ProposalEvent) -> Proposal:
    """Return how a proposal stands after an event."""
    if isinstance(event, CampaignProposed):
        return Proposal(status=ProposalStatus.PROPOSED, proposed_at=event.occurred_at, note=event.note)
    asked = known or Proposal(status=ProposalStatus.PROPOSED)
    said = ProposalStatus.DECLINED if isinstance(event, CampaignDeclined) else ProposalStatus.CONFIRMED
    reason = event.reason if isinstance(event, CampaignDeclined) else None
    return msgspec.structs.replace(asked, status=said, answered_at=event.occurred_at, reason=reason)


class SupplyOffer(Value):
    """What a supplier offers for a campaign: units at a cost each, in the campaign's currency."""

    supplier_id: UUID
    sku_id: UUID
    quantity: Decimal
    unit_cost: Decimal
    offered_at: datetime
    status: OfferStatus = OfferStatus.OFFERED
    accepted: Decimal = Decimal(0)
    """How many of the units are wanted."""
    rejected_because: str | None = None


class Supply(Value):
    """The call to suppliers, and what they offered. until: None as long as none was called."""

    until: datetime | None = None
    wanted: str | None = None
    closed_at: datetime | None = None
    offers: dict[UUID, SupplyOffer] = {}

    def is_open(self, at: datetime) -> bool:
        """Say whether suppliers may offer something at that moment."""
        return self.until is not None and self.closed_at is None and at < self.until

    def after(self, event: SupplyEvent) -> Supply:
        """Return the call and its offers as they are after an event."""
        change = msgspec.structs.replace
        match event:
            case SupplierCallOpened():
                return change(self, until=event.until, wanted=event.wanted, closed_at=None)
            case SupplierCallClosed():
                return change(self, closed_at=event.occurred_at)
            case SupplyOffered():
                offer = SupplyOffer(
                    supplier_id=event.supplier_id,
                    sku_id=event.sku_id,
                    quantity=event.quantity,
                    unit_cost=event.unit_cost,
                    offered_at=event.occurred_at,
                )
            case SupplyOfferAccepted():
                known = self.offers[event.offer_id]
                offer = change(known, status=OfferStatus.ACCEPTED, accepted=event.quantity)
            case SupplyOfferRejected():
                known = self.offers[event.offer_id]
                offer = change(known, status=OfferStatus.REJECTED, rejected_because=event.reason)
            case SupplyOfferWithdrawn():
                offer = change(self.offers[event.offer_id], status=OfferStatus.WITHDRAWN)
        return change(self, offers={**self.offers, event.offer_id: offer})


class CheckedPrice(Value):
    """What a second person read for one SKU, per unit; a free-shipping note is None where they did not look for it."""

    sku_id: UUID
    label: Decimal
    detail: Decimal
    plan: Decimal
    label_free_shipping: bool | None = None
    detail_free_shipping: bool | None = None


class Resource(Value):
    """A place for advertising, from when to when, and how far its review is."""

    channel: str
    form: str
    placement: str
    quantity: int
    budget_minor: int
    starts_at: datetime
    ends_at: datetime
    needs_review: bool
    submit_by: datetime | None = None
    """Until when it is to be handed in for review."""
    submit_until: datetime | None = None
    """From when on it is too late for that."""
    status: ResourceStatus = ResourceStatus.PLANNED
    rejected_because: str | None = None


def resourced(resources: Mapping[UUID, Resource], event: ResourceEvent) -> dict[UUID, Resource]:
    """Return the resources of a campaign as they are after an event."""
    changed = dict(resources)
    if isinstance(event, ResourceDropped):
        changed.pop(event.resource_id, None)
    elif isinstance(event, ResourcePlanned):
        changed[event.resource_id] = Resource(
            channel=event.channel,
            form=event.form,
            placement=event.placement,
            quantity=event.quantity,
            budget_minor=event.budget_minor,
            starts_at=event.starts_at,
            ends_at=event.ends_at,
            needs_review=event.needs_review,
            submit_by=event.submit_by,
            submit_until=event.submit_until,
        )
    else:
        changed[event.resource_id] = msgspec.structs.replace(
            changed[event.resource_id],
            status=_REVIEWED[type(event)],
            rejected_because=event.reason if isinstance(event, ResourceRejected) else None,
        )
    return changed


_REVIEWED = {
    ResourceSubmitted: ResourceStatus.SUBMITTED,
    ResourceApproved: ResourceStatus.APPROVED,
    ResourceRejected: ResourceStatus.REJECTED,
}


class AdMonitoring(Value):
    """What was found of an ad plan on a day."""

    note: str | None
    readings: tuple[AdReading, ...]


class AdPlan(Value):
    """Advertising on a channel, and until when it is to be looked at and adjusted (None while it does not run)."""

    channel: str
    daily_cap_minor: int
    keywords: tuple[AdKeyword, ...]
    launched_at: datetime
    adjust_by: datetime | None
    monitor_by: datetime | None
    status: AdPlanStatus = AdPlanStatus.RUNNING
    ended_at: datetime | None = None
    monitored: dict[str, AdMonitoring] = {}
    """By day ("2024-06-18"); as long as the plan is."""


def advertised(plans: Mapping[UUID, AdPlan], event: AdPlanEvent) -> dict[UUID, AdPlan]:
    """Return the ad plans of a campaign as they are after an event."""
    return {**plans, event.plan_id: _after(plans.get(event.plan_id), event)}


def _after(plan: AdPlan | None, event: AdPlanEvent) -> AdPlan:
    if isinstance(event, AdPlanLaunched):
        return AdPlan(
            channel=event.channel,
            daily_cap_minor=event.daily_cap_minor,
            keywords=tuple(event.keywords),
            launched_at=event.occurred_at,
            adjust_by=event.adjust_by,
            monitor_by=event.monitor_by,
        )
    assert plan is not None, "an ad plan begins with its launch"
    change = msgspec.structs.replace
    match event:
        case AdMonitored():
            found = AdMonitoring(note=event.note, readings=tuple(event.readings))
            monitored = {**plan.monitored, event.day.isoformat(): found}
            return change(plan, monitored=monitored, monitor_by=event.monitor_by)
        case AdAdjusted():
            return change(
                plan,
                daily_cap_minor=event.daily_cap_minor,
                keywords=tuple(event.keywords),
                adjust_by=event.adjust_by,
            )
        case AdPlanPaused():
            return change(plan, status=AdPlanStatus.PAUSED, adjust_by=None, monitor_by=None)
        case AdPlanResumed():
            return change(plan, status=AdPlanStatus.RUNNING, adjust_by=event.adjust_by, monitor_by=event.monitor_by)
        case AdPlanEnded():
            return change(plan, status=AdPlanStatus.ENDED, adjust_by=None, monitor_by=None, ended_at=event.occurred_at)
