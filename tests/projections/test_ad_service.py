"""How often ad plans are looked at: the days that count, by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest

from opscore.database import Database
from opscore.domain.calendars import CalendarKind
from opscore.domain.campaign import Campaign
from opscore.domain.campaign_ad_commands import (
    AgreeAdBudget,
    EndAdPlan,
    LaunchAdPlan,
    MonitorAd,
    PauseAdPlan,
    ResumeAdPlan,
)
from opscore.domain.campaign_commands import PlanCampaign
from opscore.domain.campaign_events import CampaignGoal
from opscore.domain.store_commands import SetCalendar, SetPolicy
from opscore.kpis import KpiGrain
from opscore.log.event_log import EventLog
from opscore.projector import Projector
from opscore.settings import Settings
from opscore.writer import Writer
from tests.projections.kpi_cells import asked, values
from tests.shop import Shop

JUNE = (date(2024, 6, 1), date(2024, 6, 30))
"""The 3rd is a Monday."""


def noon(day: int, month: int = 6) -> datetime:
    return datetime(2024, month, day, 12, tzinfo=UTC)


class Desk:
    """Advertises for one campaign of a shop in London, through a writer of the test's own."""

    def __init__(self, writer: Writer, log: EventLog) -> None:
        self.shop, self.log = Shop.open(writer), log
        self.campaign_id = self.plan_campaign()

    def plan_campaign(self) -> UUID:
        goal = CampaignGoal.RAISE_SALES
        plan = PlanCampaign(store_id=self.shop.store_id, name="Sale", goal=goal)
        campaign_id = self.shop.do(plan, occurred_at=noon(1, 5))
        budget = {"month": JUNE[0], "budget_minor": 9_000, "currency": "GBP"}
        self.shop.do(AgreeAdBudget(campaign_id=campaign_id, **budget), occurred_at=noon(1, 5))
        return campaign_id

    def launch(self, at: datetime, campaign_id: UUID | None = None) -> dict[str, UUID]:
        """Launch a plan and return what commands about it take."""
        campaign_id = campaign_id or self.campaign_id
        cap = {"channel": "search", "daily_cap_minor": 10, "currency": "GBP"}
        self.shop.do(LaunchAdPlan(campaign_id=campaign_id, **cap), occurred_at=at)
        campaign = self.log.aggregate(Campaign, campaign_id)
        assert campaign is not None
        return {"campaign_id": campaign_id, "plan_id": list(campaign.ad_plans)[-1]}

    def look(self, plan: dict[str, UUID], *days: int) -> None:
        for day in days:
            self.shop.do(MonitorAd(**plan, day=date(2024, 6, day), note="well"), occurred_at=noon(28))


@pytest.fixture
def desk(database: Database, settings: Settings) -> Iterator[Desk]:
    writer = Writer(database, settings)
    writer.start()
    try:
        yield Desk(writer, EventLog(database.pool.connection))
    finally:
        writer.stop()


def test_a_plan_is_to_be_looked_at_on_each_working_day_that_it_ran(desk: Desk, projector: Projector) -> None:
    # The 7th is a holiday, and Saturday the 8th a working day.
    days = {"holidays": (date(2024, 6, 7),), "extra_days": (date(2024, 6, 8),)}
    desk.shop.do(SetCalendar(store_id=desk.shop.store_id, kind=CalendarKind.BUSINESS, **days), occurred_at=noon(1))
    projector.deploy()

    def figure(day: int = 29, **more: Any) -> list[Fraction | None]:
        projector.catch_up()
        return values(projector, "K078", asked(of=JUNE, **{"now": noon(day), **more}))

    plan = desk.launch(noon(3))
    assert figure(4) == [], "the day of the launch is none, and the 4th is not over"
    desk.look(plan, 3, 4, 7)
    # Over by the 11th: the 4th, 5th, 6th, 8th and 10th; of these the 4th was looked at.
    assert figure(11) == [Fraction(1, 5)]
    known = desk.log.head().position
    desk.shop.do(PauseAdPlan(**plan, reason="no stock"), occurred_at=noon(11))
    desk.shop.do(ResumeAdPlan(**plan), occurred_at=noon(13))
    desk.look(plan, 14, 14)
    desk.shop.do(EndAdPlan(**plan, reason="over"), occurred_at=noon(18))
    # A pause stops the clock: after it only the 14th and the 17th count.
    assert figure() == [Fraction(1 + 1, 5 + 2)]
    assert figure(11, as_of=known) == [Fraction(1, 5)]
    other = desk.launch(noon(18), desk.plan_campaign())
    desk.look(other, 19, 20)
    assert figure(22, campaign_id=other["campaign_id"]) == [Fraction(2, 3)]
    both = tuple(str(each["campaign_id"]) for each in (plan, other))
    assert sorted(figure(22, by="campaign", kept=both)) == [Fraction(2, 7), Fraction(2, 3)]
    week = asked(KpiGrain.WEEK, of=JUNE, now=noon(22))
    assert values(projector, "K078", week) == [Fraction(1, 4), Fraction(1, 2), Fraction(2, 4)]
    assert not projector.check(["ad_service"])


def test_a_policy_may_ask_for_every_day_from_a_moment_on(desk: Desk, projector: Projector) -> None:
    every = {"kind": "ad_service", "params": {"monitor_every_day": True}, "effective_from": noon(10)}
    desk.shop.do(SetPolicy(store_id=desk.shop.store_id, **every), occurred_at=noon(10))
    plan = desk.launch(noon(6))
    desk.look(plan, 8, 15)
    projector.deploy()
    # The 7th, then the 10th to the 16th; on the 8th, a Saturday, nobody had to look.
    assert values(projector, "K078", asked(of=JUNE, now=noon(17))) == [Fraction(1, 1 + 7)]
    [row] = projector.run_query("ad_service", "plan_spans", {}, store_ids=None)
    assert (row["started_on"], row["stopped_on"]) == (date(2024, 6, 6), None)
    assert [each["event"] for each in projector.explain("ad_service", "ad_spans", row, store_ids=None)] == [
        "AdPlanLaunched"
    ]
