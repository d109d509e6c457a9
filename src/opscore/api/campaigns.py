"""Campaigns as the API shows them: what they offer, when, to whom, and what has been claimed of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import strawberry

from opscore.api.context import Context
from opscore.api.enums import expose
from opscore.api.history import HistoryEvent, history_field
from opscore.api.money import Money, UnitPrice, money, money_or_none, unit_price
from opscore.api.nodes import Stream, gid, store_gid, stream_fields
from opscore.api.outputs import output_type
from opscore.api.paging import Connection
from opscore.domain import campaign as domain
from opscore.domain.campaign_events import (
    AdKeyword,
    AdPlanStatus,
    AdReading,
    CampaignGoal,
    CampaignKind,
    CampaignStatus,
    CampaignType,
    OfferStatus,
    ProposalStatus,
    ResourceStatus,
)
from opscore.domain.campaign_state import AdPlan, Proposal, Resource, Supply, SupplyOffer
from opscore.domain.pricing import MemberScope, Promotion
from opscore.permissions import may_see_field

for _enum in (
    CampaignGoal, CampaignKind, CampaignStatus, CampaignType, MemberScope, OfferStatus, ProposalStatus,
    ResourceStatus, AdPlanStatus,
):  # fmt: skip
    expose(_enum)

PromotionType: Any = output_type(Promotion)
AdKeywordType: Any = output_type(AdKeyword)
AdReadingType: Any = output_type(AdReading)


@strawberry.type(description="An article's place in a campaign.")
class CampaignLine:
    sku_id: strawberry.ID = strawberry.field(description="The article.")
    role: str | None = strawberry.field(
        description="What it is there for: traffic, base or image; null for roles of the shop's front."
    )
    price: UnitPrice | None = strawberry.field(
        description="Its price in the campaign; null for roles that see no prices."
    )
    quota: Decimal | None = strawberry.field(
        description="Units that the campaign may sell; null: as many as there are, or not shown."
    )
    max_per_customer: int | None = strawberry.field(description="Units that one customer may have.")
    below_cost: bool | None = strawberry.field(
        description="Whether a price under cost was approved; null for roles that see no cost."
    )


@strawberry.type(description="What a campaign is meant to reach.")
class CampaignForecast:
    visitors: int = strawberry.field(description="Visitors.")
    conversion: Decimal = strawberry.field(description="Part of the visitors who buy, 0 to 1.")
    units: Decimal = strawberry.field(description="Units sold.")
    gmv: Money = strawberry.field(description="Price of the goods sold, after discounts.")
    peak_hour: int | None = strawberry.field(description="Hour of the day with most orders.")
    trough_hour: int | None = strawberry.field(description="Hour of the day with fewest orders.")
    parcels_per_day: int | None = strawberry.field(description="Parcels a day.")


@strawberry.type(description="The latest figures of one advertising channel on one day.")
class CampaignAdSpend:
    day: date = strawberry.field(description="The day.")
    channel: str = strawberry.field(description="The channel.")
    cost: Money = strawberry.field(description="What it cost.")
    impressions: int = strawberry.field(description="How often it was shown.")
    clicks: int = strawberry.field(description="How often it was followed.")
    revision: int = strawberry.field(description="Which revision of the figures this is.")


@strawberry.type(description="A place for advertising that a campaign needs.")
class CampaignResource:
    resource_id: UUID = strawberry.field(description="Its id, by which it is changed, handed in, reviewed and dropped.")
    channel: str = strawberry.field(description="Where it is.")
    form: str = strawberry.field(description="What sort of advertising it is.")
    placement: str = strawberry.field(description="Which place there.")
    quantity: int = strawberry.field(description="How many of them.")
    budget: Money = strawberry.field(description="What it may cost.")
    starts_at: datetime = strawberry.field(description="From when.")
    ends_at: datetime = strawberry.field(description="Until when.")
    needs_review: bool = strawberry.field(description="Whether the platform reviews it before it may be used.")
    submit_by: datetime | None = strawberry.field(
        description="The end of the working day by which it is to be handed in for review; null for no review."
    )
    submit_until: datetime | None = strawberry.field(
        description="The end of the last working day on which it can be handed in; null for no review."
    )
    status: ResourceStatus = strawberry.field(description="How far it is.")
    rejected_because: str | None = strawberry.field(description="Why the platform did not take it.")


@strawberry.type(description="Whether the owner wants the store to join a platform's campaign.")
class CampaignProposal:
    status: ProposalStatus = strawberry.field(description="What they said.")
    proposed_at: datetime | None = strawberry.field(description="When they were asked; null if they said so unasked.")
    note: str | None = strawberry.field(description="Why the store should join.")
    answered_at: datetime | None = strawberry.field(description="When they said so; null until they did.")
    reason: str | None = strawberry.field(description="Why they declined.")


@strawberry.type(description="A call to suppliers to offer goods for a campaign.")
class CampaignSupplierCall:
    until: datetime = strawberry.field(description="Until when they may offer something.")
    wanted: str | None = strawberry.field(description="What is wanted, in words for the suppliers.")
    closed_at: datetime | None = strawberry.field(description="When it was closed before its time; null if it was not.")


@strawberry.type(description="What a supplier offers for a campaign.")
class CampaignOffer:
    offer_id: UUID = strawberry.field(description="Its id, by which it is answered.")
    supplier_id: UUID = strawberry.field(description="The supplier, one of the campaign's store.")
    sku_id: strawberry.ID = strawberry.field(description="The article.")
    quantity: Decimal = strawberry.field(description="Units offered.")
    unit_cost: UnitPrice = strawberry.field(description="What one of them would cost.")
    offered_at: datetime = strawberry.field(description="When it was offered.")
    status: OfferStatus = strawberry.field(description="How far it is.")
    accepted: Decimal = strawberry.field(description="Units that are wanted.")
    rejected_because: str | None = strawberry.field(description="Why it is not wanted.")


@strawberry.type(description="What advertising for a campaign may cost in a month.")
class CampaignAdBudget:
    month: date = strawberry.field(description="The first day of the month.")
    budget: Money = strawberry.field(description="What it may cost.")


@strawberry.type(description="What was found of an ad plan on a day.")
class AdMonitoring:
    day: date = strawberry.field(description="The day.")
    readings: list[AdReadingType] = strawberry.field(description="The figures that were read.")
    note: str | None = strawberry.field(description="What was said of it.")


@strawberry.type(description="A plan by which a campaign advertises on a channel.")
class CampaignAdPlan:
    plan_id: UUID = strawberry.field(description="Its id, by which it is watched, adjusted, paused and ended.")
    channel: str = strawberry.field(description="Where it advertises; what that cost is in `adSpend` of this channel.")
    status: AdPlanStatus = strawberry.field(description="Whether it runs.")
    daily_cap: Money = strawberry.field(description="What it may spend in a day.")
    keywords: list[AdKeywordType] = strawberry.field(
        description="What it bids on; bids are in minor units of the campaign's currency."
    )
    launched_at: datetime = strawberry.field(description="Since when it is there.")
    ended_at: datetime | None = strawberry.field(description="When it ended.")
    adjust_by: datetime | None = strawberry.field(
        description="Until when it is to be adjusted next; null while it does not run."
    )
    monitor_by: datetime | None = strawberry.field(
        description="Until when it is to be looked at next; null while it does not run."
    )
    monitored: list[AdMonitoring] = strawberry.field(description="What was found of it, day by day.")


@strawberry.type(description="How often a coupon of the campaign has been used.")
class CouponUse:
    code: str = strawberry.field(description="The coupon's code.")
    uses: int = strawberry.field(description="Orders that hold it.")


@strawberry.type(description="One campaign: a plan, its offers and what orders have claimed of them.")
class Campaign(Stream):
    history: Connection[HistoryEvent] | None = history_field("Campaign")
    store_id: strawberry.ID = strawberry.field(description="The store whose staff look after it.")
    store_ids: list[strawberry.ID] = strawberry.field(description="The stores it runs in.")
    name: str = strawberry.field(description="What it is called.")
    goal: CampaignGoal = strawberry.field(description="What it is for.")
    kind: CampaignKind = strawberry.field(description="Who runs it.")
    type: CampaignType = strawberry.field(description="What sort of campaign it is.")
    status: CampaignStatus = strawberry.field(description="How far it is.")
    currency_code: str = strawberry.field(description="ISO 4217 code of its amounts.")
    member_scope: MemberScope = strawberry.field(description="Whom it is for.")
    tiers: list[str] = strawberry.field(description="The member tiers it is for.")
    target: str | None = strawberry.field(description="What it aims at, in words; null for roles of the shop's front.")
    warmup_from: datetime | None = strawberry.field(description="When it is announced.")
    starts_at: datetime | None = strawberry.field(description="When it starts.")
    ends_at: datetime | None = strawberry.field(description="When it ends.")
    lines: list[CampaignLine] = strawberry.field(description="Articles with a price of their own in it.")
    promotions: list[PromotionType] = strawberry.field(
        description="Its offers; amounts in minor units are in the campaign's currency. Roles of the shop's front are "
        "not told the codes of coupons; empty for roles that see no prices."
    )
    prices_checked: bool = strawberry.field(description="Whether a second person has confirmed its prices.")
    budget: Money | None = strawberry.field(description="What its discounts may cost; null: no bound, or not shown.")
    budget_claimed: Money | None = strawberry.field(
        description="What orders hold of it; null for roles of the shop's front."
    )
    coupon_uses: list[CouponUse] = strawberry.field(
        description="How often its coupons have been used; empty for roles of the shop's front."
    )
    forecast: CampaignForecast | None = strawberry.field(description="What it is meant to reach.")
    ad_spend: list[CampaignAdSpend] = strawberry.field(
        description="What its advertising cost; empty for roles that see no figures."
    )
    resources: list[CampaignResource] = strawberry.field(
        description="The places for advertising that it needs, which need not be approved when it starts; empty for "
        "roles that see no figures."
    )
    proposal: CampaignProposal | None = strawberry.field(
        description="What the owner said to joining it, where it is a platform's; null where they were not asked, and "
        "for roles of the shop's front."
    )
    supplier_call: CampaignSupplierCall | None = strawberry.field(
        description="The last call to suppliers to offer goods for it; null without one, or for roles that see no "
        "figures."
    )
    offers: list[CampaignOffer] = strawberry.field(
        description="What suppliers offered for it, in order; empty for roles that see no figures."
    )
    ad_budgets: list[CampaignAdBudget] = strawberry.field(
        description="What its advertising may cost, month by month; empty for roles that see no figures."
    )
    ad_plans: list[CampaignAdPlan] = strawberry.field(
        description="The plans by which it advertises; empty for roles that see no figures."
    )


def campaign_view(campaign: domain.Campaign, context: Context) -> Campaign:
    """Return a campaign as the API shows it."""
    currency = campaign.currency
    forecast = campaign.forecast

    def shows(place: str) -> bool:
        return may_see_field(context.viewer.role, place)

    figures, inner, budget = shows("Campaign.adSpend"), shows("Campaign.target"), shows("Campaign.budget")
    supply = campaign.supply if shows("Campaign.offers") else Supply()
    offers = list(campaign.promotions.values()) if shows("Campaign.promotions") else []
    if not shows("Promotion.coupon"):
        # Whoever has the code may use it, so it is no part of what is on show.
        offers = [msgspec.structs.replace(each, coupon=None) for each in offers]
    return Campaign(
        **stream_fields(campaign),
        store_id=store_gid(campaign.store_id),
        store_ids=[store_gid(each) for each in campaign.store_ids],
        name=campaign.name,
        goal=campaign.goal,
        kind=campaign.kind,
        type=campaign.type,
        status=campaign.status,
        currency_code=currency,
        member_scope=campaign.member_scope,
        tiers=list(campaign.tiers),
        target=campaign.target if inner else None,
        warmup_from=campaign.warmup_from,
        starts_at=campaign.starts_at,
        ends_at=campaign.ends_at,
        lines=[_line(sku_id, each, currency, shows) for sku_id, each in campaign.lines.items()],
        promotions=offers,
        prices_checked=campaign.prices_checked,
        budget=money_or_none(campaign.budget_minor if budget else None, currency),
        budget_claimed=money(campaign.budget_claimed_minor, currency) if budget else None,
        coupon_uses=[CouponUse(code=code, uses=uses) for code, uses in campaign.coupon_uses.items()] if inner else [],
        forecast=None if forecast is None or not figures else _forecast(forecast, currency),
        ad_spend=[_ad_spend(key, each, currency) for key, each in campaign.ad_spend.items()] if figures else [],
        resources=[_resource(key, each, currency) for key, each in campaign.resources.items()] if figures else [],
        proposal=_proposal(campaign.proposal) if shows("Campaign.proposal") else None,
        supplier_call=None
        if supply.until is None
        else CampaignSupplierCall(until=supply.until, wanted=supply.wanted, closed_at=supply.closed_at),
        offers=[_supply_offer(key, each, currency) for key, each in supply.offers.items()],
        ad_budgets=[_ad_budget(month, each, currency) for month, each in sorted(campaign.ad_budgets.items())]
        if figures
        else [],
        ad_plans=[_ad_plan(key, each, currency) for key, each in campaign.ad_plans.items()] if figures else [],
    )


def _line(sku_id: UUID, line: Any, currency: str, shows: Callable[[str], bool]) -> CampaignLine:
    return CampaignLine(
        sku_id=gid("Sku", sku_id),
        role=line.role if shows("CampaignLine.role") else None,
        price=unit_price(line.price, currency) if shows("CampaignLine.price") else None,
        quota=line.quota if shows("CampaignLine.quota") else None,
        max_per_customer=line.max_per_customer,
        below_cost=line.below_cost if shows("CampaignLine.belowCost") else None,
    )


def _forecast(forecast: domain.Forecast, currency: str) -> CampaignForecast:
    return CampaignForecast(
        visitors=forecast.visitors,
        conversion=forecast.conversion,
        units=forecast.units,
        gmv=money(forecast.gmv_minor, currency),
        peak_hour=forecast.peak_hour,
        trough_hour=forecast.trough_hour,
        parcels_per_day=forecast.parcels_per_day,
    )


def _ad_spend(key: str, spend: domain.AdSpend, currency: str) -> CampaignAdSpend:
    day, _, channel = key.partition(" ")
    return CampaignAdSpend(
        day=date.fromisoformat(day),
        channel=channel,
        cost=money(spend.cost_minor, currency),
        impressions=spend.impressions,
        clicks=spend.clicks,
        revision=spend.revision,
    )


def _resource(resource_id: UUID, resource: Resource, currency: str) -> CampaignResource:
    return CampaignResource(
        resource_id=resource_id,
        channel=resource.channel,
        form=resource.form,
        placement=resource.placement,
        quantity=resource.quantity,
        budget=money(resource.budget_minor, currency),
        starts_at=resource.starts_at,
        ends_at=resource.ends_at,
        needs_review=resource.needs_review,
        submit_by=resource.submit_by,
        submit_until=resource.submit_until,
        status=resource.status,
        rejected_because=resource.rejected_because,
    )


def _proposal(proposal: Proposal | None) -> CampaignProposal | None:
    if proposal is None:
        return None
    return CampaignProposal(
        status=proposal.status,
        proposed_at=proposal.proposed_at,
        note=proposal.note,
        answered_at=proposal.answered_at,
        reason=proposal.reason,
    )


def _supply_offer(offer_id: UUID, offer: SupplyOffer, currency: str) -> CampaignOffer:
    return CampaignOffer(
        offer_id=offer_id,
        supplier_id=offer.supplier_id,
        sku_id=gid("Sku", offer.sku_id),
        quantity=offer.quantity,
        unit_cost=unit_price(offer.unit_cost, currency),
        offered_at=offer.offered_at,
        status=offer.status,
        accepted=offer.accepted,
        rejected_because=offer.rejected_because,
    )


def _ad_budget(month: str, budget_minor: int, currency: str) -> CampaignAdBudget:
    return CampaignAdBudget(month=date.fromisoformat(month), budget=money(budget_minor, currency))


def _ad_plan(plan_id: UUID, plan: AdPlan, currency: str) -> CampaignAdPlan:
    return CampaignAdPlan(
        plan_id=plan_id,
        channel=plan.channel,
        status=plan.status,
        daily_cap=money(plan.daily_cap_minor, currency),
        keywords=list(plan.keywords),
        launched_at=plan.launched_at,
        ended_at=plan.ended_at,
        adjust_by=plan.adjust_by,
        monitor_by=plan.monitor_by,
        monitored=[
            AdMonitoring(day=date.fromisoformat(day), readings=list(each.readings), note=each.note)
            for day, each in sorted(plan.monitored.items())
        ],
    )
