"""Advertising for a campaign: plans that spend within a budget that was agreed for the month, watched and adjusted.

What a day's advertising cost is recorded by channel (`Campaign.record_ad_spend`), with a plan or without one. Looking
at a plan is not adjusting it: an adjustment changes something. Being late with either is no refusal; it is told by the
moments that the events freeze.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import NoReturn
from uuid import UUID
from zoneinfo import ZoneInfo

from opscore.domain.calendars import Calendar, add_working_days, month_of, months_after, require_month
from opscore.domain.campaign import OPEN_STATUSES, Campaign
from opscore.domain.campaign_events import (
    AdAdjusted,
    AdBudgetAgreed,
    AdKeyword,
    AdMonitored,
    AdPlanEnded,
    AdPlanLaunched,
    AdPlanPaused,
    AdPlanResumed,
    AdPlanStatus,
)
from opscore.domain.campaign_state import AdMonitoring, AdPlan
from opscore.domain.policies import AdService
from opscore.domain.refusals import InvalidField, NotFound, Refusal, WrongState
from opscore.domain.store import Store

DAY = timedelta(days=1)
EVERY_DAY = Calendar(weekdays=(1, 2, 3, 4, 5, 6, 7))

# How it says no ------------------------------------------------------------------------------------------------------


class AdBudgetNotAgreed(Refusal):
    """No budget for advertising was agreed for the month from {month}; agree on one first."""


class AdBudgetExceeded(Refusal):
    """Advertising may come to {planned_minor} minor units in the month from {month}, and {budget_minor} are agreed;
    agree on more, or set lower daily caps."""


class AdPlanUnchanged(Refusal):
    """Nothing of the ad plan would change; that somebody looked at it is recorded by monitorAd."""


# What it may spend ---------------------------------------------------------------------------------------------------


def planned_minor(campaign: Campaign, store: Store, month: date, today: date, *, without: UUID | None = None) -> int:
    """Return what advertising may come to in a month, in minor units.

    What was spent on days before today, on any channel, and the daily caps of the plans that run (`without` one of
    them), for each day from today until the month or the campaign is over.
    """
    end = months_after(month, 1)
    spent = sum(
        spend.cost_minor
        for key, spend in campaign.ad_spend.items()
        if month <= date.fromisoformat(key.partition(" ")[0]) < min(today, end)
    )
    caps = sum(
        plan.daily_cap_minor
        for plan_id, plan in campaign.ad_plans.items()
        if plan.status is AdPlanStatus.RUNNING and plan_id != without
    )
    return spent + caps * _days_left(campaign, store, month, today)


def _days_left(campaign: Campaign, store: Store, month: date, today: date) -> int:
    end = months_after(month, 1)
    if campaign.ends_at is not None:
        # The end is no moment of the campaign, so that its last day is the one before midnight.
        end = min(end, store.local_date(campaign.ends_at - timedelta(microseconds=1)) + DAY)
    return max((end - max(today, month)).days, 0)


def _require_budget(campaign: Campaign, store: Store, plan_id: UUID, daily_cap_minor: int, at: datetime) -> None:
    """Refuse AdBudgetNotAgreed or AdBudgetExceeded unless a plan may run with this cap for the rest of the month."""
    today = store.local_date(at)
    month = month_of(today)
    budget_minor = campaign.ad_budgets.get(month.isoformat())
    if budget_minor is None:
        raise AdBudgetNotAgreed(month=month, path=("campaign_id",), ids=[campaign.id])
    others_minor = planned_minor(campaign, store, month, today, without=plan_id)
    own_minor = daily_cap_minor * _days_left(campaign, store, month, today)
    if others_minor + own_minor > budget_minor:
        _exceeds(month, others_minor + own_minor, budget_minor, "campaign_id", campaign)


def _exceeds(month: date, planned_minor: int, budget_minor: int, field: str, campaign: Campaign) -> NoReturn:
    raise AdBudgetExceeded(
        month=month, planned_minor=planned_minor, budget_minor=budget_minor, path=(field,), ids=[campaign.id]
    )


# What may happen next ------------------------------------------------------------------------------------------------


def agree_budget(campaign: Campaign, store: Store, month: date, budget_minor: int, at: datetime) -> None:
    """Say what advertising may cost in a month. Refuses: InvalidField, AdBudgetExceeded (plans that run need more)."""
    campaign.require_status(*OPEN_STATUSES)
    require_month(month)
    if campaign.ad_budgets.get(month.isoformat()) == budget_minor:
        return
    needed_minor = planned_minor(campaign, store, month, store.local_date(at))
    if needed_minor > budget_minor:
        _exceeds(month, needed_minor, budget_minor, "budget_minor", campaign)
    campaign.trigger_event(
        AdBudgetAgreed, month=month, budget_minor=budget_minor, currency=campaign.currency, occurred_at=at
    )


def launch(
    campaign: Campaign,
    store: Store,
    plan_id: UUID,
    channel: str,
    daily_cap_minor: int,
    keywords: Sequence[AdKeyword],
    at: datetime,
) -> None:
    """Begin to advertise on a channel. Refuses: AdBudgetNotAgreed, AdBudgetExceeded, InvalidField (keywords)."""
    campaign.require_status(*OPEN_STATUSES)
    _require_keywords(keywords)
    _require_budget(campaign, store, plan_id, daily_cap_minor, at)
    campaign.trigger_event(
        AdPlanLaunched,
        plan_id=plan_id,
        channel=channel,
        daily_cap_minor=daily_cap_minor,
        currency=campaign.currency,
        keywords=tuple(keywords),
        adjust_by=_adjust_by(store, at),
        monitor_by=_monitor_by(store, store.local_date(at), at),
        occurred_at=at,
    )


def monitor(campaign: Campaign, store: Store, plan_id: UUID, day: date, found: AdMonitoring, at: datetime) -> None:
    """Say what was found of a plan on a day on which it was there; the last word about a day holds.

    Refuses: NotFound, InvalidField (a day that has not come, or on which there was no such plan).
    """
    plan = find(campaign, plan_id)
    if day > store.local_date(at):
        raise InvalidField(why="this day has not come yet", path=("day",))
    if day < store.local_date(plan.launched_at):
        raise InvalidField(why="the ad plan was launched later", path=("day",), ids=[plan_id])
    if plan.ended_at is not None and day > store.local_date(plan.ended_at):
        raise InvalidField(why="the ad plan was over by then", path=("day",), ids=[plan_id])
    if plan.monitored.get(day.isoformat()) == found:
        return
    # What is said late of a day before does not bring the next one forward.
    by = None if plan.monitor_by is None else max(plan.monitor_by, _monitor_by(store, day, at))
    campaign.trigger_event(
        AdMonitored, plan_id=plan_id, day=day, note=found.note, readings=found.readings, monitor_by=by, occurred_at=at
    )


def adjust(
    campaign: Campaign,
    store: Store,
    plan_id: UUID,
    daily_cap_minor: int | None,
    keywords: Sequence[AdKeyword] | None,
    changed: str | None,
    at: datetime,
) -> None:
    """Change something of a plan; what is None stays. changed: what else was changed on the channel, in words.

    Refuses: NotFound, WrongState (it is over), AdPlanUnchanged, AdBudgetNotAgreed and AdBudgetExceeded (a higher cap of
    a plan that runs), InvalidField (keywords).
    """
    require_plans(campaign)
    plan = find(campaign, plan_id)
    _require_plan(plan, plan_id, AdPlanStatus.RUNNING, AdPlanStatus.PAUSED)
    cap_minor = plan.daily_cap_minor if daily_cap_minor is None else daily_cap_minor
    wanted = plan.keywords if keywords is None else tuple(keywords)
    _require_keywords(wanted)
    if (cap_minor, wanted) == (plan.daily_cap_minor, plan.keywords) and changed is None:
        raise AdPlanUnchanged(path=("plan_id",), ids=[plan_id])
    if plan.status is AdPlanStatus.RUNNING and cap_minor > plan.daily_cap_minor:
        _require_budget(campaign, store, plan_id, cap_minor, at)
    # What is said late does not bring the next one forward.
    by = None if plan.adjust_by is None else max(plan.adjust_by, _adjust_by(store, at))
    campaign.trigger_event(
        AdAdjusted,
        plan_id=plan_id,
        daily_cap_minor=cap_minor,
        currency=campaign.currency,
        keywords=wanted,
        changed=changed,
        due_by=plan.adjust_by,
        adjust_by=by,
        occurred_at=at,
    )


def pause(campaign: Campaign, plan_id: UUID, reason: str, at: datetime) -> None:
    """Keep a plan from spending for the time being. Refuses: NotFound, WrongState (it is over)."""
    require_plans(campaign)
    plan = find(campaign, plan_id)
    if plan.status is AdPlanStatus.PAUSED:
        return
    _require_plan(plan, plan_id, AdPlanStatus.RUNNING)
    campaign.trigger_event(AdPlanPaused, plan_id=plan_id, reason=reason, due_by=plan.adjust_by, occurred_at=at)


def resume(campaign: Campaign, store: Store, plan_id: UUID, at: datetime) -> None:
    """Let a plan spend again. Refuses: NotFound, WrongState (it is over), AdBudgetNotAgreed, AdBudgetExceeded."""
    require_plans(campaign)
    plan = find(campaign, plan_id)
    if plan.status is AdPlanStatus.RUNNING:
        return
    _require_plan(plan, plan_id, AdPlanStatus.PAUSED)
    _require_budget(campaign, store, plan_id, plan.daily_cap_minor, at)
    campaign.trigger_event(
        AdPlanResumed,
        plan_id=plan_id,
        adjust_by=_adjust_by(store, at),
        monitor_by=_monitor_by(store, store.local_date(at), at),
        occurred_at=at,
    )


def end(campaign: Campaign, plan_id: UUID, reason: str, at: datetime) -> None:
    """Close a plan. Refuses: NotFound."""
    plan = find(campaign, plan_id)
    if plan.status is not AdPlanStatus.ENDED:
        campaign.trigger_event(AdPlanEnded, plan_id=plan_id, reason=reason, due_by=plan.adjust_by, occurred_at=at)


def end_all(campaign: Campaign, reason: str, at: datetime) -> None:
    """Close the plans of a campaign that is over; never refuses."""
    for plan_id in campaign.ad_plans:
        end(campaign, plan_id, reason, at)


def require_any(campaign: Campaign) -> None:
    """Refuse WrongState for a campaign that never had an ad plan."""
    if not campaign.ad_plans:
        state = campaign.status.value
        raise WrongState(what="campaign", state=state, needed="one with ad plans", ids=[campaign.id])


def require_plans(campaign: Campaign) -> None:
    """Refuse WrongState once the campaign is over, and where it has no ad plans at all."""
    campaign.require_status(*OPEN_STATUSES)
    require_any(campaign)


def find(campaign: Campaign, plan_id: UUID) -> AdPlan:
    """Return an ad plan of the campaign. Refuses: NotFound."""
    require_any(campaign)
    plan = campaign.ad_plans.get(plan_id)
    if plan is None:
        raise NotFound(what="ad plan of this campaign", path=("plan_id",), ids=[plan_id])
    return plan


def _require_plan(plan: AdPlan, plan_id: UUID, *statuses: AdPlanStatus) -> None:
    if plan.status not in statuses:
        needed = " or ".join(status.value for status in statuses)
        raise WrongState(what="ad plan", state=plan.status.value, needed=needed, path=("plan_id",), ids=[plan_id])


def _require_keywords(keywords: Sequence[AdKeyword]) -> None:
    seen: set[tuple[str, str | None, str | None]] = set()
    for index, each in enumerate(keywords):
        target = (each.keyword, each.region, each.attribute)
        if target in seen:
            why = "this keyword is named twice for the same region and attribute"
            raise InvalidField(why=why, path=("keywords", index, "keyword"))
        seen.add(target)


def _adjust_by(store: Store, at: datetime) -> datetime:
    return store.add_working_days(at, store.policy(AdService, at).adjust_days)


def _monitor_by(store: Store, day: date, at: datetime) -> datetime:
    """Return the end of the day (UTC) on which a plan is to be looked at next, once it was on `day`."""
    calendar = EVERY_DAY if store.policy(AdService, at).monitor_every_day else store.calendar()
    noon = datetime.combine(day, time(12), ZoneInfo(store.time_zone))
    return add_working_days(calendar, store.time_zone, noon, 1)
