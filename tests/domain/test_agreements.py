"""Agency agreements: who may say what, what is due when, how they end or go on, and what the fee comes to."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, strategies as st

from opscore.domain.agreement_events import (
    Agreement,
    AgreementEnded,
    AgreementEnding,
    AgreementFeePaid,
    AgreementFirstPlanLaunched,
    AgreementParty,
    AgreementRenewalRequested,
    AgreementStatus,
    AgreementTerminationNoticed,
    AgreementWork,
    BreachKind,
    NoticeCause,
)
from opscore.domain.agreements import (
    AgreementDutyTerms,
    AgreementNoticeTooShort,
    AgreementRunning,
    AgreementTermRunning,
    AnswerRenewal,
    AskRenewal,
    BothSignaturesRequired,
    EndAgreement,
    EvidenceMissing,
    ExtendAgreementByDefault,
    GiveNotice,
    NotAgencyParty,
    NoticeRunning,
    NotOwnerParty,
    PayAgreementFee,
    RecordBreach,
    RenewalAnswerLate,
    RenewalAnswerNotDue,
    RenewalAskedTooLate,
    RenewalNotAsked,
    SignAgreement,
)
from opscore.domain.calendars import CalendarKind
from opscore.domain.campaign_ad_commands import AgreeAdBudget, LaunchAdPlan
from opscore.domain.command import Actor, Role
from opscore.domain.policies import PolicyInvalid
from opscore.domain.refusals import CurrencyMismatch, InvalidField, NotFound, WrongState
from opscore.domain.store import Store
from opscore.domain.store_commands import CloseStore, SetCalendar, SetPolicy
from tests.domain.desk import MANAGER, OWNER, Desk
from tests.domain.market import Market, refused

LI = Actor(id="li", role=Role.MANAGER)
"""Speaks for the owner; everybody else is of the agency."""
SHANGHAI = ZoneInfo("Asia/Shanghai")
FEE = 3_100_00
BY_OWNER, BY_AGENCY = AgreementParty.OWNER, AgreementParty.AGENCY
DONE, ASKED, EXPIRING = AgreementStatus.ENDED, AgreementStatus.RENEWAL_ASKED, AgreementStatus.EXPIRING


def on(year: int, month: int, day: int, hour: int = 10) -> datetime:
    """Return a moment of a day in the store's zone."""
    return datetime(year, month, day, hour, tzinfo=SHANGHAI).astimezone(UTC)


class Office:
    """A store with an agreement from 1 January to 31 December 2025, signed in December."""

    def __init__(self, desk: Desk, store_id: UUID) -> None:
        self.desk, self.store_id = desk, store_id

    def sign(self, at: datetime, **fields: Any) -> UUID:
        terms: dict[str, Any] = {
            "owner": "Jade Ltd",
            "agency": "Acme Ltd",
            "owner_people": ("li",),
            "term_from": date(2025, 1, 1),
            "term_to": date(2025, 12, 31),
            "monthly_fee_minor": FEE,
            "currency": "CNY",
            "owner_signed_on": date(2024, 12, 20),
            "agency_signed_on": date(2024, 12, 18),
        }
        self.desk.do(SignAgreement(store_id=self.store_id, **(terms | fields)), at=at)
        return list(self.desk.get(Store, self.store_id).agreements)[-1]

    def say(self, command: type[Any], at: datetime, *, actor: Actor = MANAGER, **fields: Any) -> None:
        known = {"store_id": self.store_id, "agreement_id": list(self.agreements)[-1]} | fields
        self.desk.do(command(**known), actor=actor, at=at)

    def pay(self, at: datetime, minor: int = FEE) -> AgreementFeePaid:
        self.say(PayAgreementFee, at, amount_minor=minor, currency="CNY")
        paid: AgreementFeePaid = self.desk.last(AgreementFeePaid)
        return paid

    def breach(self, at: datetime, party: AgreementParty, kind: BreachKind = BreachKind.OTHER, **more: Any) -> None:
        self.say(RecordBreach, at, party=party, kind=kind, **{"evidence": "mail of the day", **more})

    def notice(self, at: datetime, effective_on: date, **more: Any) -> None:
        known = {"party": BY_AGENCY, "reason": "it does not pay"} | more
        self.say(GiveNotice, at, effective_on=effective_on, **known)

    @property
    def agreements(self) -> dict[UUID, Agreement]:
        return self.desk.get(Store, self.store_id).agreements

    @property
    def known(self) -> Agreement:
        return list(self.agreements.values())[-1]


@pytest.fixture
def office() -> Office:
    desk = Desk(now=on(2024, 12, 20))
    office = Office(desk, desk.open_store())
    office.sign(on(2024, 12, 21))
    return office


# Signing --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["owner_signed_on", "agency_signed_on"])
def test_both_sign_before_it_is_an_agreement(missing: str) -> None:
    desk = Desk(now=on(2024, 12, 20))
    office = Office(desk, desk.open_store())
    no = refused(BothSignaturesRequired, lambda: office.sign(on(2024, 12, 21), **{missing: None}))
    assert no.path == (missing,)


@pytest.mark.parametrize(
    ("fields", "at_fault"),
    [
        ({"term_from": date(2024, 12, 19)}, "term_from"),
        ({"term_to": date(2024, 12, 31)}, "term_to"),
        ({"term_to": date(3000, 1, 1)}, "term_to"),
        ({"agency_signed_on": date(2024, 12, 22)}, "agency_signed_on"),
        ({"commission_rate": Decimal("1.01")}, "commission_rate"),
        ({"commission_rate": Decimal("0.0000001")}, "commission_rate"),
        ({"scope": 2 * (AgreementDutyTerms(work=AgreementWork.SHIPPING, party=BY_OWNER),)}, "scope"),
    ],
)
def test_what_makes_no_agreement_is_refused(fields: dict[str, Any], at_fault: str) -> None:
    desk = Desk(now=on(2024, 12, 20))
    office = Office(desk, desk.open_store())
    assert refused(InvalidField, lambda: office.sign(on(2024, 12, 21), **fields)).path[0] == at_fault


def test_one_agreement_runs_at_a_time_and_says_who_does_what(office: Office) -> None:
    assert [(each.work.value, each.party.value) for each in office.known.scope] == [
        ("decoration", "agency"),
        ("maintenance", "agency"),
        ("marketing", "agency"),
        ("customer_service", "owner"),
        ("shipping", "owner"),
    ]
    assert office.known.platforms == ("own",)
    refused(AgreementRunning, lambda: office.sign(on(2024, 12, 22)))
    refused(CurrencyMismatch, lambda: office.say(PayAgreementFee, on(2024, 12, 22), amount_minor=1, currency="USD"))
    refused(NotFound, lambda: office.say(EndAgreement, on(2024, 12, 22), agreement_id=office.store_id))


def test_a_store_without_an_agreement_says_so() -> None:
    desk = Desk(now=on(2024, 12, 20))
    store_id = desk.open_store()
    of = {"store_id": store_id, "agreement_id": store_id}
    refused(WrongState, lambda: desk.do(EndAgreement(**of)))
    desk.do(CloseStore(store_id=store_id, reason="over"))
    refused(WrongState, lambda: Office(desk, store_id).sign(on(2024, 12, 22)))


# Fees and the first plan ----------------------------------------------------------------------------------------------


def test_the_first_fee_says_when_the_first_plan_is_due_and_later_ones_start_no_new_clock(office: Office) -> None:
    # 1 January 2025 is a Wednesday and a public holiday here: five working days after Monday end with Tuesday.
    office.desk.do(SetCalendar(store_id=office.store_id, kind=CalendarKind.BUSINESS, holidays=(date(2025, 1, 1),)))
    assert office.pay(on(2024, 12, 30)).first_plan_due_by == on(2025, 1, 8, 0)
    assert office.pay(on(2025, 1, 30)).first_plan_due_by is None
    assert (office.known.fee_paid_minor, office.known.first_plan_due_by) == (2 * FEE, on(2025, 1, 8, 0))


def test_a_policy_says_within_how_many_working_days(office: Office) -> None:
    params = {"first_plan_days": 1}
    start = on(2024, 12, 23)
    office.desk.do(
        SetPolicy(store_id=office.store_id, kind="ad_service", params=params, effective_from=start), at=start
    )
    assert office.pay(on(2024, 12, 27)).first_plan_due_by == on(2024, 12, 31, 0)


@pytest.mark.parametrize(
    ("paid", "launched", "days", "in_time"),
    [
        (on(2024, 6, 10), on(2024, 6, 17, 23), 5, True),
        (on(2024, 6, 10), on(2024, 6, 18, 0), 6, False),
        (on(2024, 6, 14), on(2024, 6, 16), 0, True),
        (on(2024, 6, 17, 12), on(2024, 6, 17, 11), 0, True),
        (None, on(2024, 6, 17), None, None),
    ],
)
def test_the_first_plan_is_told_by_working_days_since_the_first_fee(
    paid: datetime | None, launched: datetime, days: int | None, in_time: bool | None
) -> None:
    market = Market()
    campaign_id = market.plan()
    store_id = market.get(campaign_id).store_id
    office = Office(market.desk, store_id)
    signed = {"owner_signed_on": date(2024, 6, 1), "agency_signed_on": date(2024, 6, 1)}
    office.sign(on(2024, 6, 3), term_from=date(2024, 6, 1), **signed)
    june = {"month": date(2024, 6, 1), "budget_minor": 1000_00, "currency": "CNY"}
    market.do(AgreeAdBudget(campaign_id=campaign_id, **june), at=on(2024, 6, 3))
    if paid is not None:
        office.pay(paid)
    plan = LaunchAdPlan(campaign_id=campaign_id, channel="search", daily_cap_minor=10_00, currency="CNY")
    market.do(plan, at=launched)

    first: AgreementFirstPlanLaunched = market.desk.last(AgreementFirstPlanLaunched)
    assert (first.working_days, first.in_time) == (days, in_time)
    assert first.plan_id in market.get(campaign_id).ad_plans
    assert office.known.first_plan_working_days == days

    market.do(plan, at=launched + timedelta(hours=1))
    assert market.desk.recorded().count("AgreementFirstPlanLaunched") == 1
    if paid is None:
        assert office.pay(on(2024, 6, 18)).first_plan_due_by is None, "it is there already"


# Breaches and notice --------------------------------------------------------------------------------------------------


def test_a_breach_is_recorded_once_with_what_proves_it(office: Office) -> None:
    refused(EvidenceMissing, lambda: office.breach(on(2025, 2, 3), BY_OWNER, evidence=None))
    refused(InvalidField, lambda: office.breach(on(2025, 2, 3), BY_OWNER, BreachKind.SECRECY))
    refused(InvalidField, lambda: office.breach(on(2025, 2, 3), BY_OWNER, happened_on=date(2025, 2, 4)))
    for _ in range(2):
        office.breach(on(2025, 2, 3), BY_OWNER, loss_minor=5_00)
    [breach] = office.known.breaches
    assert (breach.happened_on, breach.loss_minor) == (date(2025, 2, 3), 5_00)


def test_notice_is_thirty_days_ahead_and_the_agreement_ends_with_that_day(office: Office) -> None:
    given = on(2025, 3, 1)
    short = refused(AgreementNoticeTooShort, lambda: office.notice(given, date(2025, 3, 30)))
    assert "2025-03-31" in short.message
    refused(InvalidField, lambda: office.notice(given, date(2026, 1, 1)))
    refused(InvalidField, lambda: office.notice(given, date(2025, 2, 28)))
    for _ in range(2):
        office.notice(given, date(2025, 3, 31))
    assert office.desk.recorded().count("AgreementTerminationNoticed") == 1
    assert office.desk.last(AgreementTerminationNoticed).ends_at == on(2025, 4, 1, 0)
    refused(WrongState, lambda: office.notice(given, date(2025, 4, 30)))
    refused(WrongState, lambda: office.say(AskRenewal, given, party=BY_AGENCY, term_to=date(2026, 12, 31)))
    refused(NoticeRunning, lambda: office.say(EndAgreement, on(2025, 3, 31, 23)))
    office.say(EndAgreement, on(2025, 4, 1, 0))
    assert (office.known.status, office.known.last_day) == (DONE, date(2025, 3, 31))
    refused(WrongState, lambda: office.notice(given, date(2025, 3, 31)))


@pytest.mark.parametrize(
    ("cause", "party", "breaches", "soon_enough"),
    [
        (NoticeCause.UNPAID_COMMISSION, BY_AGENCY, [(BY_OWNER, BreachKind.UNPAID_COMMISSION)], True),
        (NoticeCause.UNPAID_COMMISSION, BY_OWNER, [(BY_OWNER, BreachKind.UNPAID_COMMISSION)], False),
        (NoticeCause.UNPAID_COMMISSION, BY_AGENCY, [], False),
        (NoticeCause.SECRECY_BREACH, BY_OWNER, [(BY_AGENCY, BreachKind.SECRECY)], True),
        (NoticeCause.SECRECY_BREACH, BY_AGENCY, [(BY_AGENCY, BreachKind.SECRECY)], False),
        (NoticeCause.REPEATED_BREACH, BY_OWNER, 3 * [(BY_AGENCY, BreachKind.OTHER)], True),
        (NoticeCause.REPEATED_BREACH, BY_OWNER, 2 * [(BY_AGENCY, BreachKind.OTHER)], False),
        (NoticeCause.REPEATED_BREACH, BY_OWNER, 3 * [(BY_OWNER, BreachKind.OTHER)], False),
    ],
)
def test_a_cause_on_record_makes_notice_hold_at_once(
    office: Office,
    cause: NoticeCause,
    party: AgreementParty,
    breaches: list[tuple[AgreementParty, BreachKind]],
    soon_enough: bool,
) -> None:
    for number, (who, kind) in enumerate(breaches):
        office.breach(on(2025, 2, 3), who, kind, evidence=f"mail {number}")
    today, paper = date(2025, 3, 1), {"party": party, "document": "letter 7"}

    def give() -> None:
        office.notice(on(2025, 3, 1), today, cause=cause, **paper)

    if soon_enough:
        give()
        office.say(EndAgreement, on(2025, 3, 2, 0))
        assert office.known.last_day == today
    else:
        assert refused(AgreementNoticeTooShort, give).path == ("cause",)


@pytest.mark.parametrize(
    ("party", "actor", "document", "no"),
    [
        (BY_OWNER, LI, None, None),
        (BY_OWNER, OWNER, None, NotOwnerParty),
        (BY_OWNER, OWNER, "letter 7", None),
        (BY_AGENCY, OWNER, None, None),
        (BY_AGENCY, LI, None, NotAgencyParty),
        (BY_AGENCY, LI, "letter 8", None),
    ],
)
def test_each_speaks_for_the_own_party_or_names_the_paper(
    office: Office, party: AgreementParty, actor: Actor, document: str | None, no: type[Exception] | None
) -> None:
    def give() -> None:
        office.notice(on(2025, 3, 1), date(2025, 3, 31), party=party, actor=actor, document=document)

    if no is None:
        give()
    else:
        refused(no, give)


# What the fee comes to ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("months_paid", "last_day", "due", "refund", "unpaid"),
    [
        (12, date(2025, 3, 31), 3 * FEE, 9 * FEE, 0),
        (12, date(2025, 3, 10), 2 * FEE + 1_000_00, 12 * FEE - 2 * FEE - 1_000_00, 0),
        (1, date(2025, 3, 31), 3 * FEE, 0, 2 * FEE),
    ],
)
def test_what_was_paid_for_days_that_do_not_come_goes_back(
    office: Office, months_paid: int, last_day: date, due: int, refund: int, unpaid: int
) -> None:
    office.pay(on(2025, 1, 2), months_paid * FEE)
    office.notice(on(2025, 1, 3), last_day)
    office.say(EndAgreement, on(2025, 4, 2))
    ended: AgreementEnded = office.desk.last(AgreementEnded)
    assert (ended.fee_due_minor, ended.refund_minor, ended.unpaid_minor) == (due, refund, unpaid)
    assert ended.ending is AgreementEnding.NOTICED
    assert ended.access_until == on(last_day.year, last_day.month, last_day.day, 0) + timedelta(days=1)
    office.say(EndAgreement, on(2025, 4, 3))
    assert office.desk.recorded().count("AgreementEnded") == 1
    if unpaid:
        refused(InvalidField, lambda: office.pay(on(2025, 4, 3), unpaid + 1))
        assert office.pay(on(2025, 4, 3), unpaid).first_plan_due_by is None
    refused(WrongState, lambda: office.pay(on(2025, 4, 3), 1))
    refused(WrongState, lambda: office.breach(on(2025, 4, 3), BY_OWNER))
    office.sign(on(2025, 4, 4), term_from=date(2025, 4, 4))
    assert len(office.agreements) == 2


days = st.integers(0, 800)


@given(fee=st.integers(0, 10**9), first=st.dates(date(2020, 1, 1), date(2030, 1, 1)), one=days, two=days)
def test_the_fee_never_falls_with_days_and_whole_months_are_due_in_full(
    fee: int, first: date, one: int, two: int
) -> None:
    agreement = Agreement(
        owner="o",
        agency="a",
        owner_people=("li",),
        platforms=(),
        scope=(),
        signed_on=first,
        term_from=first,
        term_to=date(2040, 1, 1),
        period_from=first,
        ends_at=on(2040, 1, 2),
        monthly_fee_minor=fee,
        commission_rate=Decimal(0),
        commission_due_day=None,
        document=None,
    )
    sooner, later = (first + timedelta(days=each) for each in sorted((one, two)))
    assert 0 <= agreement.fee_due_minor(sooner) <= agreement.fee_due_minor(later)
    assert agreement.fee_due_minor(first - timedelta(days=1)) == 0
    if first.day == 1:
        assert agreement.fee_due_minor(date(first.year + 1, first.month, 1) - timedelta(days=1)) == 12 * fee


# Renewals -------------------------------------------------------------------------------------------------------------


def ask(office: Office, at: datetime = on(2025, 12, 1), term_to: date = date(2026, 6, 30), **more: Any) -> None:
    office.say(AskRenewal, at, **{"party": BY_AGENCY, "term_to": term_to, **more})


def test_a_renewal_is_asked_for_in_time_and_answered_by_the_other_party(office: Office) -> None:
    late = refused(RenewalAskedTooLate, lambda: ask(office, on(2025, 12, 2)))
    assert "2025-12-01" in late.message
    refused(InvalidField, lambda: ask(office, term_to=date(2025, 12, 31)))
    refused(RenewalNotAsked, lambda: office.say(AnswerRenewal, on(2025, 12, 1), accepted=True, actor=LI))
    for _ in range(2):
        ask(office)
    assert office.desk.recorded().count("AgreementRenewalRequested") == 1
    asked: AgreementRenewalRequested = office.desk.last(AgreementRenewalRequested)
    assert (asked.answer_due_by, asked.extends_to) == (on(2025, 12, 7, 0), date(2026, 12, 31))
    refused(WrongState, lambda: ask(office, term_to=date(2027, 12, 31)))
    refused(NotOwnerParty, lambda: office.say(AnswerRenewal, on(2025, 12, 6), accepted=True))
    for _ in range(2):
        office.say(AnswerRenewal, on(2025, 12, 6), accepted=True, actor=LI)
    assert (office.known.status, office.known.term_to) == (AgreementStatus.ACTIVE, date(2026, 6, 30))
    refused(AgreementTermRunning, lambda: office.say(EndAgreement, on(2026, 6, 30)))
    office.say(EndAgreement, on(2026, 7, 1, 0))
    assert office.desk.last(AgreementEnded).ending is AgreementEnding.EXPIRED


def test_a_renewal_that_is_declined_lets_the_agreement_expire(office: Office) -> None:
    ask(office, party=BY_OWNER, actor=LI)
    office.say(AnswerRenewal, on(2025, 12, 2), accepted=False)
    assert office.known.status is EXPIRING
    refused(WrongState, lambda: ask(office))
    refused(RenewalNotAsked, lambda: office.say(ExtendAgreementByDefault, on(2025, 12, 9)))
    office.say(EndAgreement, on(2026, 1, 1, 0))
    assert office.known.last_day == date(2025, 12, 31)


def test_silence_extends_the_agreement_by_the_same_term(office: Office) -> None:
    ask(office)
    assert office.known.status is ASKED
    refused(RenewalAnswerNotDue, lambda: office.say(ExtendAgreementByDefault, on(2025, 12, 6, 23)))
    refused(RenewalAnswerLate, lambda: office.say(AnswerRenewal, on(2025, 12, 7, 0), accepted=False, actor=LI))
    office.say(ExtendAgreementByDefault, on(2025, 12, 7, 0))
    assert (office.known.status, office.known.term_to) == (AgreementStatus.ACTIVE, date(2026, 12, 31))
    ask(office, on(2026, 11, 1), date(2027, 1, 31))
    assert office.desk.last(AgreementRenewalRequested).extends_to == date(2027, 12, 31)


@pytest.mark.parametrize(
    ("first", "last", "again"),
    [
        (date(2025, 1, 1), date(2025, 12, 31), date(2026, 12, 31)),
        (date(2024, 12, 21), date(2025, 6, 20), date(2025, 12, 20)),
        (date(2025, 1, 1), date(2025, 3, 31), date(2025, 6, 30)),
        (date(2025, 1, 1), date(2025, 4, 10), date(2025, 7, 19)),
    ],
)
def test_the_same_term_is_counted_in_months_if_it_is_whole_months(first: date, last: date, again: date) -> None:
    desk = Desk(now=on(2024, 12, 20))
    office = Office(desk, desk.open_store())
    office.sign(on(2024, 12, 21), term_from=first, term_to=last)
    assert office.known.same_term_again == again


def test_an_answer_is_due_before_it_is_too_late_to_ask(office: Office) -> None:
    def put(**params: int) -> Callable[[], Any]:
        start = on(2025, 1, 1)
        policy = SetPolicy(store_id=office.store_id, kind="agreement", params=params, effective_from=start)
        return lambda: office.desk.do(policy, at=start)

    refused(PolicyInvalid, put(renewal_days=5))
    put(renewal_days=6, notice_days=0, breaches=1)()
    ask(office, on(2025, 12, 25))
    office.breach(on(2025, 12, 26), BY_AGENCY)
    office.notice(on(2025, 12, 26), date(2025, 12, 26), party=BY_OWNER, actor=LI)
    refused(RenewalNotAsked, lambda: office.say(ExtendAgreementByDefault, on(2025, 12, 31)))
