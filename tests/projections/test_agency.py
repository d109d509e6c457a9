"""Figures of agency agreements: how soon advertising began after the first fee, and what an agreement's row says."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest

from opscore.database import Database
from opscore.domain.agreement_events import AgreementParty, BreachKind, NoticeCause
from opscore.domain.agreements import EndAgreement, GiveNotice, PayAgreementFee, RecordBreach, SignAgreement
from opscore.domain.calendars import CalendarKind
from opscore.domain.campaign_ad_commands import AgreeAdBudget, LaunchAdPlan
from opscore.domain.campaign_commands import PlanCampaign
from opscore.domain.campaign_events import CampaignGoal
from opscore.domain.store import Store
from opscore.domain.store_commands import SetCalendar
from opscore.kpis import KpiGrain
from opscore.log.event_log import EventLog
from opscore.projector import Projector
from opscore.settings import Settings
from opscore.writer import Writer
from tests.projections.kpi_cells import asked, values
from tests.shop import Shop

MAY = (date(2024, 5, 1), date(2024, 5, 31))


def noon(day: int, month: int = 5) -> datetime:
    return datetime(2024, month, day, 12, tzinfo=UTC)


class Agency:
    """Runs stores for their owners, through a writer of the test's own."""

    def __init__(self, writer: Writer, log: EventLog) -> None:
        self.writer, self.log = writer, log

    def host(self, name: str, at: datetime) -> tuple[Shop, UUID]:
        """Open a store with an agreement that was signed on a day, and return the agreement."""
        shop = Shop.open(self.writer, name)
        signed = dict.fromkeys(("owner_signed_on", "agency_signed_on", "term_from"), at.date())
        parties = {"owner": "Jade Ltd", "agency": "Gifts Ltd", "owner_people": ("li",)}
        fee = {"term_to": date(2025, 4, 30), "monthly_fee_minor": 310_00, "currency": "GBP"}
        shop.do(SignAgreement(store_id=shop.store_id, **parties, **signed, **fee), occurred_at=at)
        store = self.log.aggregate(Store, shop.store_id)
        assert store is not None
        return shop, next(iter(store.agreements))

    def pay(self, hosted: tuple[Shop, UUID], minor: int, at: datetime) -> None:
        shop, agreement_id = hosted
        of = {"store_id": shop.store_id, "agreement_id": agreement_id}
        shop.do(PayAgreementFee(**of, amount_minor=minor, currency="GBP"), occurred_at=at)

    def launch(self, hosted: tuple[Shop, UUID], at: datetime) -> None:
        """Launch an ad plan of a campaign of the store."""
        shop = hosted[0]
        plan = PlanCampaign(store_id=shop.store_id, name="Sale", goal=CampaignGoal.RAISE_SALES)
        campaign = shop.do(plan, occurred_at=noon(1))
        budget = {"month": at.date().replace(day=1), "budget_minor": 9_000, "currency": "GBP"}
        shop.do(AgreeAdBudget(campaign_id=campaign, **budget), occurred_at=noon(1))
        cap = {"channel": "search", "daily_cap_minor": 10, "currency": "GBP"}
        shop.do(LaunchAdPlan(campaign_id=campaign, **cap), occurred_at=at)


@pytest.fixture
def agency(database: Database, settings: Settings) -> Iterator[Agency]:
    writer = Writer(database, settings)
    writer.start()
    try:
        yield Agency(writer, EventLog(database.pool.connection))
    finally:
        writer.stop()


def test_the_first_plan_is_counted_in_working_days_from_the_first_fee(agency: Agency, projector: Projector) -> None:
    prompt, late, never = (agency.host(name, noon(1)) for name in ("Prompt", "Late", "Never"))
    for shop, _ in (prompt, late, never):
        # The 6th of May 2024 is a Monday and a public holiday.
        holidays = SetCalendar(store_id=shop.store_id, kind=CalendarKind.BUSINESS, holidays=(date(2024, 5, 6),))
        shop.do(holidays, occurred_at=noon(1))
    projector.deploy()

    def figure(code: str, day: int = 31, **more: Any) -> list[Fraction | None]:
        projector.catch_up()
        return values(projector, code, asked(of=MAY, **{"now": noon(day), **more}))

    assert figure("K076") == figure("K076R") == []
    for each in (prompt, late, never):
        agency.pay(each, 310_00, noon(3))
    # Five working days after Friday the 3rd are the 7th, 8th, 9th, 10th and 13th.
    agency.launch(prompt, datetime(2024, 5, 13, 22, 30, tzinfo=UTC))
    known = agency.log.head().position
    agency.launch(late, noon(15))
    agency.pay(never, 310_00, noon(20))

    assert figure("K076R", 13) == [], "nothing is due before the fifth day is over"
    assert figure("K076R", 14) == [Fraction(1, 3)]
    assert figure("K076") == [Fraction(5 + 7, 2)]
    assert figure("K076", as_of=known) == [5]
    assert figure("K076", store_ids=[late[0].store_id]) == [7]
    assert figure("K076", by="store", kept=(str(prompt[0].store_id),)) == [5, 7]
    in_june = asked(of=(date(2024, 6, 1), date(2024, 6, 30)), now=noon(30, 6))
    assert values(projector, "K076", in_june) == [], "it stands on the day of the fee"
    by_day = asked(KpiGrain.DAY, of=MAY, now=noon(31))
    assert values(projector, "K076R", by_day) == [Fraction(1, 3)]
    assert not projector.check(["agency"])


def test_an_agreement_that_ended_before_its_first_plan_was_due_has_none(agency: Agency, projector: Projector) -> None:
    ended, other = agency.host("Ended", noon(1)), agency.host("Other", noon(1))
    for each in (ended, other):
        agency.pay(each, 3 * 310_00, noon(3))
    of = {"store_id": ended[0].store_id, "agreement_id": ended[1]}
    of_owner, of_agency = AgreementParty.OWNER, AgreementParty.AGENCY
    told = RecordBreach(**of, party=of_agency, kind=BreachKind.SECRECY, evidence="mail of Monday")
    ended[0].do(told, occurred_at=noon(6))
    notice = {"party": of_owner, "cause": NoticeCause.SECRECY_BREACH, "reason": "so", "document": "letter 1"}
    ended[0].do(GiveNotice(**of, effective_on=date(2024, 5, 7), **notice), occurred_at=noon(7))
    ended[0].do(EndAgreement(**of), occurred_at=noon(8))
    projector.deploy()

    assert values(projector, "K076R", asked(of=MAY, now=noon(31))) == [0], "one was due, and did not come"
    rows = projector.run_query("agency", "agreement_rows", {}, store_ids=[ended[0].store_id])
    [row] = rows
    assert (row["status"], row["last_day"], row["agency_breaches"]) == ("ended", date(2024, 5, 7), 1)
    # Seven of the 31 days of May came.
    assert (row["fee_paid_minor"], row["refund_minor"], row["unpaid_minor"]) == (3 * 310_00, 3 * 310_00 - 70_00, 0)
    assert row["commission_rate"] == Decimal(0)
    behind = projector.explain("agency", "agreements", {"agreement_id": ended[1]}, store_ids=None)
    assert [each["status"] for each in behind if each["status"]] == ["active", "noticed", "ended"]
    assert not projector.check(["agency"])
