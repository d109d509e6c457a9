"""Figures of advertising by plans: what was spent of the budget, and how often a plan was adjusted in time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest

from opscore.database import Database
from opscore.domain.campaign import Campaign
from opscore.domain.campaign_ad_commands import (
    AdjustAd,
    AgreeAdBudget,
    EndAdPlan,
    LaunchAdPlan,
    MonitorAd,
    PauseAdPlan,
    ResumeAdPlan,
)
from opscore.domain.campaign_commands import RecordAdSpend
from opscore.domain.command import Command
from opscore.kpis import KpiGrain
from opscore.log.event_log import EventLog
from opscore.projector import Projector
from opscore.settings import Settings
from opscore.writer import Writer
from tests.projections.kpi_cells import asked, values
from tests.shop import Shop

JANUARY = date(2024, 1, 1)


@pytest.fixture
def shop(database: Database, settings: Settings) -> Iterator[Shop]:
    """An open store, through a writer of the test's own."""
    writer = Writer(database, settings)
    writer.start()
    try:
        yield Shop.open(writer)
    finally:
        writer.stop()


def on(shop: Shop, day: int, command: Command) -> UUID:
    """Give a command at noon of a day of January 2024; the 8th is a Monday."""
    return shop.do(command, occurred_at=datetime(2024, 1, day, 12, tzinfo=UTC))


def agree(shop: Shop, campaign: UUID, minor: int, month: date = JANUARY) -> None:
    on(shop, 2, AgreeAdBudget(campaign_id=campaign, month=month, budget_minor=minor, currency="GBP"))


def spend(shop: Shop, campaign: UUID, day: int, minor: int) -> None:
    at = date(2024, 1, day)
    on(shop, 31, RecordAdSpend(campaign_id=campaign, day=at, channel="search", cost_minor=minor, currency="GBP"))


def launched(shop: Shop, database: Database, campaign: UUID, day: int) -> dict[str, UUID]:
    """Launch a plan and return what names it."""
    on(shop, day, LaunchAdPlan(campaign_id=campaign, channel="search", daily_cap_minor=1, currency="GBP"))
    found = EventLog(database.pool.connection).aggregate(Campaign, campaign)
    assert found is not None
    return {"campaign_id": campaign, "plan_id": list(found.ad_plans)[-1]}


def test_a_plan_is_adjusted_every_other_working_day_or_it_missed_a_window(
    shop: Shop, database: Database, projector: Projector
) -> None:
    campaign, other = shop.campaign("One"), shop.campaign("Two")
    for each in (campaign, other):
        agree(shop, each, 100_00)
    plan, better = launched(shop, database, campaign, 8), launched(shop, database, other, 8)
    projector.deploy()

    def compliance(**more: Any) -> list[Fraction | None]:
        projector.catch_up()
        return values(projector, "K077", asked(of=(JANUARY, date(2024, 1, 31)), **more))

    assert compliance() == []
    on(shop, 9, MonitorAd(**plan, note="well"))
    assert compliance() == [], "who looks does not adjust"
    on(shop, 10, AdjustAd(**plan, changed="evenings only"))
    on(shop, 15, AdjustAd(**plan, changed="mornings only"))
    assert compliance() == [Fraction(1, 2)], "due on Friday the 12th, and missed"
    on(shop, 16, PauseAdPlan(**plan, reason="no stock"))
    on(shop, 24, AdjustAd(**plan, changed="other pictures"))
    on(shop, 25, ResumeAdPlan(**plan))
    assert compliance() == [Fraction(1, 2)], "a plan that does not run is not to be adjusted"
    on(shop, 30, EndAdPlan(**plan, reason="too dear"))
    assert compliance() == [Fraction(1, 3)], "due on Monday the 29th, and missed"
    on(shop, 9, AdjustAd(**better, changed="evenings only"))
    on(shop, 10, EndAdPlan(**better, reason="sold out"))

    assert compliance(campaign_id=other) == [1]
    assert compliance() == [Fraction(2, 4)]
    assert not projector.check(["kpi_facts", "campaign_results"])


def test_what_was_spent_is_set_against_what_was_agreed_last_for_its_months(shop: Shop, projector: Projector) -> None:
    campaign, without = shop.campaign("One"), shop.campaign("Two")
    agree(shop, campaign, 100_00)
    agree(shop, campaign, 50_00, date(2024, 2, 1))
    projector.deploy()
    for day, minor in ((3, 20_00), (20, 10_00)):
        spend(shop, campaign, day, minor)
    spend(shop, without, 3, 5_00)

    def use(of: tuple[date, date] = (JANUARY, date(2024, 1, 31)), **more: Any) -> list[Fraction | None]:
        projector.catch_up()
        return values(projector, "K072M", asked(KpiGrain.MONTH, of=of, **more))

    assert use(campaign_id=campaign) == [Fraction(30, 100)]
    agree(shop, campaign, 60_00)
    assert use(campaign_id=campaign) == [Fraction(30, 60)], "the last word holds"
    assert use() == [Fraction(35, 60)]
    assert use(campaign_id=without) == [None]
    assert use((JANUARY, date(2024, 2, 29)), campaign_id=campaign) == [Fraction(1, 2), 0]
    assert not projector.check(["kpi_facts"])
