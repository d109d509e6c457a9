"""Advertising for a campaign: a budget first, then plans that are watched every day and adjusted every other one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from opscore.domain.campaign_ad_commands import (
    AdjustAd,
    AdKeywordTerms,
    AdReadingTerms,
    AgreeAdBudget,
    EndAdPlan,
    LaunchAdPlan,
    MonitorAd,
    PauseAdPlan,
    ResumeAdPlan,
)
from opscore.domain.campaign_ads import AdBudgetExceeded, AdBudgetNotAgreed, AdPlanUnchanged
from opscore.domain.campaign_commands import CancelCampaign, EndCampaign, RecordAdSpend, ScheduleCampaign
from opscore.domain.campaign_events import AdAdjusted, AdPlanStatus
from opscore.domain.campaign_state import AdPlan
from opscore.domain.command import Actor, Role
from opscore.domain.refusals import CurrencyMismatch, InvalidField, NotAuthorised, NotFound, WrongState
from opscore.domain.store_commands import SetPolicy
from tests.domain.desk import OWNER
from tests.domain.market import JULY, JUNE, Market, refused

PROMOTER = Actor(id="petra", role=Role.PROMOTER)
SHANGHAI = ZoneInfo("Asia/Shanghai")


def june(day: int, hour: int = 10) -> datetime:
    """Return a moment of a day of June 2024 in the store's zone; the 17th is a Monday."""
    return datetime(2024, 6, day, hour, tzinfo=SHANGHAI).astimezone(UTC)


def end_of(day: int) -> datetime:
    return june(day + 1, 0)


@pytest.fixture
def market() -> Market:
    return Market()


def agree(market: Market, campaign_id: UUID, minor: int, month: date = date(2024, 6, 1), at: datetime = JUNE) -> None:
    market.do(AgreeAdBudget(campaign_id=campaign_id, month=month, budget_minor=minor, currency="CNY"), at=at)


def launched(market: Market, campaign_id: UUID, at: datetime | None = None, **fields: Any) -> UUID:
    """Launch a plan of 10.00 a day on that Monday and return its id."""
    known: dict[str, Any] = {"channel": "zhitongche", "daily_cap_minor": 10_00, "currency": "CNY"}
    market.do(LaunchAdPlan(campaign_id=campaign_id, **(known | fields)), actor=PROMOTER, at=at or june(17))
    return list(market.get(campaign_id).ad_plans)[-1]


@pytest.fixture
def campaign_id(market: Market) -> UUID:
    """A campaign with 1000.00 for advertising in June."""
    campaign_id = market.plan()
    agree(market, campaign_id, 1000_00)
    return campaign_id


@pytest.fixture
def plan_id(market: Market, campaign_id: UUID) -> UUID:
    return launched(market, campaign_id)


@pytest.fixture
def plan(market: Market, campaign_id: UUID, plan_id: UUID) -> Callable[[], AdPlan]:
    return lambda: market.get(campaign_id).ad_plans[plan_id]


# The budget -----------------------------------------------------------------------------------------------------------


def test_no_plan_is_launched_before_a_budget_was_agreed_for_the_month(market: Market) -> None:
    campaign_id = market.plan()
    agree(market, campaign_id, 1000_00, date(2024, 5, 1))

    no = refused(AdBudgetNotAgreed, lambda: launched(market, campaign_id))
    assert "2024-06-01" in no.message

    agree(market, campaign_id, 1000_00)
    assert launched(market, campaign_id)


def test_the_month_is_the_one_of_the_stores_calendar(market: Market, campaign_id: UUID) -> None:
    last_minute = datetime(2024, 6, 30, 15, 59, tzinfo=UTC)
    assert launched(market, campaign_id, last_minute)

    no = refused(AdBudgetNotAgreed, lambda: launched(market, campaign_id, last_minute + timedelta(minutes=1)))

    assert "2024-07-01" in no.message


def test_what_was_spent_and_the_caps_to_the_months_end_stay_within_the_budget(market: Market) -> None:
    campaign_id = market.plan()
    agree(market, campaign_id, 400_00)
    for day, minor in ((14, 60_00), (17, 500_00)):
        spend = RecordAdSpend(
            campaign_id=campaign_id, day=date(2024, 6, day), channel="search", cost_minor=minor, currency="CNY"
        )
        market.do(spend, at=june(day))
    # From the 17th to the 30th there are 14 days; today is in the cap, whatever was spent already.
    launched(market, campaign_id)

    no = refused(AdBudgetExceeded, lambda: launched(market, campaign_id, daily_cap_minor=14_29))
    assert f" {60_00 + 140_00 + 14 * 14_29} minor units" in no.message and " 40000 are agreed" in no.message
    assert launched(market, campaign_id, daily_cap_minor=14_28)


def test_a_plan_spends_to_the_end_of_the_campaign_and_no_longer(market: Market) -> None:
    campaign_id = market.plan()
    market.add_line(campaign_id)
    agree(market, campaign_id, 30_00)
    refused(AdBudgetExceeded, lambda: launched(market, campaign_id))
    # Over at midnight after the 19th: three days are left.
    market.do(ScheduleCampaign(campaign_id=campaign_id, starts_at=june(18, 0), ends_at=june(20, 0)), at=june(1))

    assert launched(market, campaign_id)


def test_a_budget_is_not_set_below_what_plans_that_run_may_spend(market: Market, campaign_id: UUID) -> None:
    plan_id = launched(market, campaign_id)

    no = refused(AdBudgetExceeded, lambda: agree(market, campaign_id, 139_99, at=june(17)))
    assert no.path == ("budget_minor",)
    agree(market, campaign_id, 140_00, at=june(17))
    market.do(PauseAdPlan(campaign_id=campaign_id, plan_id=plan_id, reason="too dear"), at=june(18))
    agree(market, campaign_id, 0, at=june(18))
    refused(
        AdBudgetExceeded,
        lambda: market.do(ResumeAdPlan(campaign_id=campaign_id, plan_id=plan_id), at=june(19)),
    )


def test_agreeing_twice_records_once(market: Market, campaign_id: UUID) -> None:
    version = market.get(campaign_id).version

    agree(market, campaign_id, 1000_00)

    assert market.get(campaign_id).version == version


def test_a_month_is_named_by_its_first_day_and_a_budget_is_in_the_campaigns_currency(
    market: Market, campaign_id: UUID
) -> None:
    assert refused(InvalidField, lambda: agree(market, campaign_id, 1, date(2024, 6, 2))).path == ("month",)
    foreign = AgreeAdBudget(campaign_id=campaign_id, month=date(2024, 6, 1), budget_minor=1, currency="EUR")
    refused(CurrencyMismatch, lambda: market.do(foreign))
    refused(CurrencyMismatch, lambda: launched(market, campaign_id, currency="EUR"))


def test_who_spends_the_budget_does_not_agree_on_it() -> None:
    refused(NotAuthorised, lambda: AgreeAdBudget.require_role(PROMOTER))
    LaunchAdPlan.require_role(PROMOTER)


# Adjusting ------------------------------------------------------------------------------------------------------------


def test_a_plan_is_adjusted_within_two_working_days_and_a_late_adjustment_says_that_it_was_late(
    market: Market, campaign_id: UUID, plan_id: UUID, plan: Callable[[], AdPlan]
) -> None:
    def adjust(cap_minor: int) -> AdjustAd:
        return AdjustAd(campaign_id=campaign_id, plan_id=plan_id, daily_cap_minor=cap_minor)

    assert plan().adjust_by == end_of(19)
    market.do(adjust(9_00), at=june(19))
    assert plan().adjust_by == end_of(21), "the clock begins anew with the adjustment"
    market.do(adjust(8_00), at=june(24))

    kept = [
        event.occurred_at < event.due_by
        for _, event in market.desk.events
        if isinstance(event, AdAdjusted) and event.due_by is not None
    ]
    assert kept == [True, False]
    assert (plan().daily_cap_minor, plan().adjust_by) == (8_00, end_of(26))


def test_how_often_a_plan_is_seen_to_is_the_stores_policy(market: Market, campaign_id: UUID) -> None:
    params = {"adjust_days": 1, "monitor_every_day": True}
    market.do(SetPolicy(store_id=market.store_id, kind="ad_service", params=params), actor=OWNER)

    # A Friday: Saturday is a day to look at it, and no working day.
    plan_id = launched(market, campaign_id, june(21))
    found = market.get(campaign_id).ad_plans[plan_id]

    assert (found.adjust_by, found.monitor_by) == (end_of(24), end_of(22))


def test_looking_at_a_plan_is_no_adjustment_and_an_adjustment_changes_something(
    market: Market, campaign_id: UUID, plan_id: UUID, plan: Callable[[], AdPlan]
) -> None:
    market.do(MonitorAd(campaign_id=campaign_id, plan_id=plan_id, note="all well"), at=june(18))
    assert plan().adjust_by == end_of(19)
    for nothing in ({}, {"daily_cap_minor": 10_00}, {"keywords": ()}):
        refused(
            AdPlanUnchanged,
            lambda nothing=nothing: market.do(AdjustAd(campaign_id=campaign_id, plan_id=plan_id, **nothing)),
        )

    market.do(AdjustAd(campaign_id=campaign_id, plan_id=plan_id, changed="evenings only"), at=june(18))

    assert plan().adjust_by == end_of(20)


def test_an_adjustment_that_is_entered_late_does_not_bring_the_next_one_forward(
    market: Market, campaign_id: UUID, plan_id: UUID, plan: Callable[[], AdPlan]
) -> None:
    change = AdjustAd(campaign_id=campaign_id, plan_id=plan_id, changed="evenings only")
    market.do(change, at=june(20))
    market.do(change, at=june(18))

    assert plan().adjust_by == end_of(24)


def test_keywords_are_told_apart_by_region_and_attribute(
    market: Market, campaign_id: UUID, plan_id: UUID, plan: Callable[[], AdPlan]
) -> None:
    north, south = (AdKeywordTerms(keyword="green tea", region=each, bid_minor=50) for each in ("north", "south"))

    def adjust(*keywords: AdKeywordTerms) -> None:
        market.do(AdjustAd(campaign_id=campaign_id, plan_id=plan_id, keywords=keywords), at=june(18))

    adjust(north, south)
    assert [(each.keyword, each.region, each.bid_minor) for each in plan().keywords] == [
        ("green tea", "north", 50), ("green tea", "south", 50),
    ]  # fmt: skip
    assert refused(InvalidField, lambda: adjust(north, south, north)).path == ("keywords", 2, "keyword")
    twice = (north, north)
    assert refused(InvalidField, lambda: launched(market, campaign_id, keywords=twice)).path[1] == 1
    adjust()
    assert plan().keywords == ()


def test_a_higher_cap_needs_the_budget_and_a_lower_one_does_not(
    market: Market, campaign_id: UUID, plan_id: UUID, plan: Callable[[], AdPlan]
) -> None:
    agree(market, campaign_id, 140_00, at=june(17))
    higher = AdjustAd(campaign_id=campaign_id, plan_id=plan_id, daily_cap_minor=11_00)
    lower = AdjustAd(campaign_id=campaign_id, plan_id=plan_id, daily_cap_minor=9_00)

    refused(AdBudgetExceeded, lambda: market.do(higher, at=june(17)))
    # In July nothing was agreed; to spend less is allowed all the same.
    market.do(lower, at=JULY)

    assert plan().daily_cap_minor == 9_00


# Watching -------------------------------------------------------------------------------------------------------------


def test_a_plan_is_looked_at_each_working_day_and_the_last_word_of_a_day_holds(
    market: Market, campaign_id: UUID, plan_id: UUID, plan: Callable[[], AdPlan]
) -> None:
    def look(at: datetime, **fields: Any) -> None:
        market.do(MonitorAd(campaign_id=campaign_id, plan_id=plan_id, **fields), actor=PROMOTER, at=at)

    rank = AdReadingTerms(name="rank", value=Decimal("3.0"))
    assert plan().monitor_by == end_of(18)
    look(june(21), readings=(rank,))
    assert plan().monitor_by == end_of(24), "the next working day after a Friday"
    look(june(21), day=date(2024, 6, 19), note="fewer clicks")
    assert plan().monitor_by == end_of(24), "what is said late does not bring the next day forward"
    look(june(24), day=date(2024, 6, 21), note="rank was wrong")
    version = market.get(campaign_id).version
    look(june(24), day=date(2024, 6, 21), note="rank was wrong")

    assert market.get(campaign_id).version == version, "said twice, recorded once"
    assert {day: (each.note, each.readings) for day, each in plan().monitored.items()} == {
        "2024-06-21": ("rank was wrong", ()),
        "2024-06-19": ("fewer clicks", ()),
    }


@pytest.mark.parametrize("day", [16, 19])
def test_only_a_day_on_which_the_plan_was_there_is_looked_at(
    market: Market, campaign_id: UUID, plan_id: UUID, day: int
) -> None:
    look = MonitorAd(campaign_id=campaign_id, plan_id=plan_id, day=date(2024, 6, day))
    market.do(EndAdPlan(campaign_id=campaign_id, plan_id=plan_id, reason="too dear"), at=june(18))

    assert refused(InvalidField, lambda: market.do(look, at=june(20))).path == ("day",)
    market.do(MonitorAd(campaign_id=campaign_id, plan_id=plan_id, day=date(2024, 6, 18)), at=june(20))


def test_a_day_that_has_not_come_is_not_looked_at(market: Market, campaign_id: UUID, plan_id: UUID) -> None:
    look = MonitorAd(campaign_id=campaign_id, plan_id=plan_id, day=date(2024, 6, 19))

    assert refused(InvalidField, lambda: market.do(look, at=june(18, 23))).path == ("day",)


@pytest.mark.parametrize(
    ("readings", "field"),
    [
        ((AdReadingTerms(name="rank", value=Decimal("NaN")),), "value"),
        ((AdReadingTerms(name="rank", value=Decimal(1)), AdReadingTerms(name="rank", value=Decimal(2))), "name"),
    ],
)
def test_figures_are_numbers_each_named_once(
    market: Market, campaign_id: UUID, plan_id: UUID, readings: Any, field: str
) -> None:
    look = MonitorAd(campaign_id=campaign_id, plan_id=plan_id, readings=readings)

    assert refused(InvalidField, lambda: market.do(look, at=june(18))).path[-1] == field


# Its life -------------------------------------------------------------------------------------------------------------


def test_a_paused_plan_need_not_be_seen_to_and_its_days_are_counted_anew(
    market: Market, campaign_id: UUID, plan_id: UUID, plan: Callable[[], AdPlan]
) -> None:
    pause = PauseAdPlan(campaign_id=campaign_id, plan_id=plan_id, reason="no stock")
    resume = ResumeAdPlan(campaign_id=campaign_id, plan_id=plan_id)
    for _ in range(2):
        market.do(pause, at=june(18))
    assert (plan().status, plan().adjust_by, plan().monitor_by) == (AdPlanStatus.PAUSED, None, None)
    market.do(AdjustAd(campaign_id=campaign_id, plan_id=plan_id, daily_cap_minor=5_00), at=june(19))
    market.do(MonitorAd(campaign_id=campaign_id, plan_id=plan_id), at=june(19))
    assert (plan().adjust_by, plan().monitor_by) == (None, None)
    version = market.get(campaign_id).version
    for _ in range(2):
        market.do(resume, at=june(21))

    assert market.get(campaign_id).version == version + 1
    assert (plan().status, plan().daily_cap_minor) == (AdPlanStatus.RUNNING, 5_00)
    assert (plan().adjust_by, plan().monitor_by) == (end_of(25), end_of(24))


def test_a_plan_that_ended_is_over(
    market: Market, campaign_id: UUID, plan_id: UUID, plan: Callable[[], AdPlan]
) -> None:
    stop = EndAdPlan(campaign_id=campaign_id, plan_id=plan_id, reason="too dear")
    market.do(stop, at=june(18))
    version = market.get(campaign_id).version
    market.do(stop, at=june(18))

    assert market.get(campaign_id).version == version
    assert (plan().status, plan().ended_at, plan().adjust_by) == (AdPlanStatus.ENDED, june(18), None)
    for command in (
        AdjustAd(campaign_id=campaign_id, plan_id=plan_id, daily_cap_minor=1),
        PauseAdPlan(campaign_id=campaign_id, plan_id=plan_id, reason="late"),
        ResumeAdPlan(campaign_id=campaign_id, plan_id=plan_id),
    ):
        refused(WrongState, lambda command=command: market.do(command, at=june(19)))


def test_advertising_is_over_with_its_campaign(market: Market) -> None:
    live, off = market.live(), market.plan("Off")
    plans = {}
    for campaign_id in (live, off):
        agree(market, campaign_id, 1000_00)
        plans[campaign_id] = launched(market, campaign_id)
    market.do(EndCampaign(campaign_id=live), at=june(20))
    market.do(CancelCampaign(campaign_id=off, reason="no stock"), at=june(20))

    for campaign_id, plan_id in plans.items():
        assert market.get(campaign_id).ad_plans[plan_id].status is AdPlanStatus.ENDED
        refused(WrongState, lambda campaign_id=campaign_id: launched(market, campaign_id))
        refused(WrongState, lambda campaign_id=campaign_id: agree(market, campaign_id, 1, at=june(20)))
        # What its last day was like may be said afterwards.
        market.do(MonitorAd(campaign_id=campaign_id, plan_id=plan_id, day=date(2024, 6, 20)), at=june(21))


def test_what_is_no_plan_of_this_campaign_is_not_found(market: Market, campaign_id: UUID, plan_id: UUID) -> None:
    other = market.plan("Other")
    stranger = {"campaign_id": campaign_id, "plan_id": other}

    refused(WrongState, lambda: market.do(MonitorAd(campaign_id=other, plan_id=plan_id), at=june(18)))
    for command in (
        MonitorAd(**stranger), AdjustAd(**stranger, changed="all"), PauseAdPlan(**stranger, reason="why"),
        ResumeAdPlan(**stranger), EndAdPlan(**stranger, reason="why"),
    ):  # fmt: skip
        assert refused(NotFound, lambda command=command: market.do(command, at=june(18))).path == ("plan_id",)
