"""What staff can ask of a campaign's advertising: agree on a budget, launch plans, watch and adjust them, stop them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Annotated, ClassVar
from uuid import UUID

from msgspec import Meta

from opscore.domain import agreements, campaign_ads
from opscore.domain.aggregate import Aggregate
from opscore.domain.campaign import Campaign
from opscore.domain.campaign_ads import AdBudgetExceeded, AdBudgetNotAgreed, AdPlanUnchanged
from opscore.domain.campaign_commands import PROMOTERS, CampaignId
from opscore.domain.campaign_events import AdKeyword, AdReading
from opscore.domain.campaign_state import AdMonitoring
from opscore.domain.command import Command, Role, UnitOfWork
from opscore.domain.refusals import CurrencyMismatch, InvalidField, Refusal
from opscore.domain.store import Store
from opscore.domain.values import Code, Currency, Label, NonNegativeMinor, Part, PositiveMinor, Reason, Text, plain

AdPlanId = Annotated[UUID, Meta(description="Which of the campaign's ad plans: `planId` of one of them.")]


class AgreeAdBudget(Command):
    """Say what advertising for a campaign may cost in a month; without that no ad plan is launched in it."""

    AGGREGATE: ClassVar[type[Aggregate]] = Campaign
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (AdBudgetExceeded, CurrencyMismatch)

    campaign_id: CampaignId
    month: Annotated[date, Meta(description="The first day of the month, in the home store's calendar.")]
    budget_minor: Annotated[NonNegativeMinor, Meta(description="What it may cost, in minor units.")]
    currency: Annotated[Currency, Meta(description="Currency of the budget: the campaign's.")]

    def decide(self, work: UnitOfWork) -> UUID:
        """Compare with what was spent and what the plans that run may still spend."""
        campaign = work.campaign(self.campaign_id)
        campaign.require_currency(self.currency)
        campaign_ads.agree_budget(campaign, _home(work, campaign), self.month, self.budget_minor, work.occurred_at)
        return campaign.id


class AdKeywordTerms(Part):
    """A keyword, for whom it is, and what is shown to them."""

    keyword: Annotated[Label, Meta(description="The word or phrase.")]
    region: Annotated[Code | None, Meta(description="Where those are for whom it is; anywhere if left out.")] = None
    attribute: Annotated[
        Label | None, Meta(description="What else they have in common; nobody in particular if left out.")
    ] = None
    bid_minor: Annotated[
        NonNegativeMinor | None, Meta(description="What is bid for it, in minor units of the campaign's currency.")
    ] = None
    creative: Annotated[Label | None, Meta(description="What they are shown.")] = None
    landing: Annotated[Label | None, Meta(description="Where it leads them.")] = None


Keywords = Annotated[tuple[AdKeywordTerms, ...], Meta(max_length=1000)]


class LaunchAdPlan(Command):
    """Begin to advertise for a campaign on a channel, within the budget that was agreed for the month.

    What was spent, and the daily caps of all its plans until the end of the month or of the campaign, have to stay
    within the budget.
    """

    AGGREGATE: ClassVar[type[Aggregate]] = Campaign
    ROLES: ClassVar[frozenset[Role]] = PROMOTERS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (AdBudgetNotAgreed, AdBudgetExceeded, CurrencyMismatch)

    campaign_id: CampaignId
    channel: Annotated[Code, Meta(description="Where it advertises, as in the reports of what advertising cost.")]
    daily_cap_minor: Annotated[PositiveMinor, Meta(description="What it may spend in a day, in minor units.")]
    currency: Annotated[Currency, Meta(description="Currency of the cap: the campaign's.")]
    keywords: Annotated[Keywords, Meta(description="What it bids on, where the channel works by keywords.")] = ()

    def decide(self, work: UnitOfWork) -> UUID:
        """Check the budget, and say until when it is to be looked at and adjusted."""
        campaign, plan_id = work.campaign(self.campaign_id), work.new_id()
        store = _home(work, campaign)
        campaign.require_currency(self.currency)
        keywords = _keywords(self.keywords)
        campaign_ads.launch(campaign, store, plan_id, self.channel, self.daily_cap_minor, keywords, work.occurred_at)
        agreements.note_plan(store, campaign.id, plan_id, work.occurred_at)
        return campaign.id


class AdReadingTerms(Part):
    """A figure that was read."""

    name: Annotated[Code, Meta(description="Which figure, for example click_rate or rank.")]
    value: Annotated[Decimal, Meta(description="What it was.")]


class MonitorAd(Command):
    """Say how an ad plan did on a day. It is no adjustment; what the day cost is told by recordAdSpend.

    Said again of the same day, it replaces what was said before.
    """

    AGGREGATE: ClassVar[type[Aggregate]] = Campaign
    ROLES: ClassVar[frozenset[Role]] = PROMOTERS

    campaign_id: CampaignId
    plan_id: AdPlanId
    day: Annotated[date | None, Meta(description="The day, in the home store's calendar; today if left out.")] = None
    readings: Annotated[
        tuple[AdReadingTerms, ...], Meta(max_length=100, description="The figures that were read, each once.")
    ] = ()
    note: Annotated[Text | None, Meta(description="What is to be said of it.")] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Check the day and the figures."""
        campaign = work.campaign(self.campaign_id)
        store = _home(work, campaign)
        names: set[str] = set()
        for index, reading in enumerate(self.readings):
            if not reading.value.is_finite():
                raise InvalidField(why="a figure is a number", path=("readings", index, "value"))
            if reading.name in names:
                raise InvalidField(why="this figure is named twice", path=("readings", index, "name"))
            names.add(reading.name)
        found = AdMonitoring(
            note=self.note, readings=tuple(AdReading(name=each.name, value=plain(each.value)) for each in self.readings)
        )
        day = self.day or store.local_date(work.occurred_at)
        campaign_ads.monitor(campaign, store, self.plan_id, day, found, work.occurred_at)
        return campaign.id


class AdjustAd(Command):
    """Change something of an ad plan: its daily cap, its keywords, or anything else that is set on the channel.

    A plan that runs is adjusted at least every other working day, by the store's policy `ad_service`; one for which
    that is overdue is listed by `campaignsDue`.
    """

    AGGREGATE: ClassVar[type[Aggregate]] = Campaign
    ROLES: ClassVar[frozenset[Role]] = PROMOTERS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (
        AdPlanUnchanged,
        AdBudgetNotAgreed,
        AdBudgetExceeded,
        CurrencyMismatch,
    )

    campaign_id: CampaignId
    plan_id: AdPlanId
    daily_cap_minor: Annotated[
        PositiveMinor | None, Meta(description="What it may spend in a day, in minor units; as before if left out.")
    ] = None
    keywords: Annotated[
        Keywords | None, Meta(description="All that it bids on from now on; as before if left out.")
    ] = None
    changed: Annotated[
        Reason | None, Meta(description="What else was changed on the channel: times of day, audience, ...")
    ] = None
    currency: Annotated[
        Currency | None, Meta(description="Currency of what is given: the campaign's, also if left out.")
    ] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Check that something changes, and that the budget bears it."""
        campaign = work.campaign(self.campaign_id)
        campaign.require_currency(self.currency or campaign.currency)
        campaign_ads.adjust(
            campaign,
            _home(work, campaign),
            self.plan_id,
            self.daily_cap_minor,
            None if self.keywords is None else _keywords(self.keywords),
            self.changed,
            work.occurred_at,
        )
        return campaign.id


class PauseAdPlan(Command):
    """Keep an ad plan from spending for the time being; it need not be looked at or adjusted until it is resumed."""

    AGGREGATE: ClassVar[type[Aggregate]] = Campaign
    ROLES: ClassVar[frozenset[Role]] = PROMOTERS

    campaign_id: CampaignId
    plan_id: AdPlanId
    reason: Annotated[Reason, Meta(description="Why.")]

    def decide(self, work: UnitOfWork) -> UUID:
        """Record the pause unless it is paused already."""
        campaign = work.campaign(self.campaign_id)
        campaign_ads.pause(campaign, self.plan_id, self.reason, work.occurred_at)
        return campaign.id


class ResumeAdPlan(Command):
    """Let a paused ad plan spend again, within the budget of the month."""

    AGGREGATE: ClassVar[type[Aggregate]] = Campaign
    ROLES: ClassVar[frozenset[Role]] = PROMOTERS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (AdBudgetNotAgreed, AdBudgetExceeded)

    campaign_id: CampaignId
    plan_id: AdPlanId

    def decide(self, work: UnitOfWork) -> UUID:
        """Check the budget, and count the days anew."""
        campaign = work.campaign(self.campaign_id)
        campaign_ads.resume(campaign, _home(work, campaign), self.plan_id, work.occurred_at)
        return campaign.id


class EndAdPlan(Command):
    """Close an ad plan; those of a campaign that is over are closed with it."""

    AGGREGATE: ClassVar[type[Aggregate]] = Campaign
    ROLES: ClassVar[frozenset[Role]] = PROMOTERS

    campaign_id: CampaignId
    plan_id: AdPlanId
    reason: Annotated[Reason, Meta(description="Why.")]

    def decide(self, work: UnitOfWork) -> UUID:
        """Record the end once."""
        campaign = work.campaign(self.campaign_id)
        campaign_ads.end(campaign, self.plan_id, self.reason, work.occurred_at)
        return campaign.id


def _home(work: UnitOfWork, campaign: Campaign) -> Store:
    return work.store(campaign.store_id, path=("campaign_id",))


def _keywords(terms: Sequence[AdKeywordTerms]) -> tuple[AdKeyword, ...]:
    return tuple(
        AdKeyword(
            keyword=each.keyword,
            region=each.region,
            attribute=each.attribute,
            bid_minor=each.bid_minor,
            creative=each.creative,
            landing=each.landing,
        )
        for each in terms
    )
