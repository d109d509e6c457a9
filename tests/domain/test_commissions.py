"""Commission: what a scheme makes of sales, who puts it in force, and how a settled month stays as it was settled."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, strategies as st

from opscore.domain.command import Actor, Role
from opscore.domain.commission_events import (
    CommissionScheme,
    CommissionSettled,
    CommissionSettlement,
    CommissionTier,
)
from opscore.domain.commissions import (
    ApproveCommissionScheme,
    CommissionAlreadySettled,
    CommissionEarlierMonthOpen,
    CommissionFigures,
    CommissionFiguresOutdated,
    CommissionGradeTerms,
    CommissionGrowthTerms,
    CommissionMonthNotOver,
    CommissionMonthSettled,
    CommissionSchemeMissing,
    CommissionTierTerms,
    ProposeCommissionScheme,
    SettleCommission,
    month_due,
)
from opscore.domain.departures import RecordDeparture
from opscore.domain.refusals import InvalidField, NotFound, SamePerson, WrongState
from opscore.domain.staff import AssignStaffRole
from opscore.domain.store import Store
from opscore.domain.store_commands import CloseStore, SetPolicy
from opscore.domain.store_events import StaffRole
from tests.domain.desk import MANAGER, OWNER, SECOND, Desk

MAY, JUNE, JULY, AUGUST = (date(2024, month, 1) for month in (5, 6, 7, 8))
FINANCE = Actor(id="fay", role=Role.FINANCE)
TIERS = (
    CommissionTierTerms(from_minor=0, rate=Decimal("0.01")),
    CommissionTierTerms(from_minor=100_000, rate=Decimal("0.03")),
)
"""1 % of the first 1,000 yuan, 3 % of what lies above."""


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def store_id(desk: Desk) -> UUID:
    """A store with a manager, in the middle of August."""
    store_id = desk.open_store()
    desk.now = datetime(2024, 8, 15, tzinfo=UTC)
    for person, role in (("ann", StaffRole.MANAGER), ("sue", StaffRole.SERVICE), ("tim", StaffRole.SERVICE)):
        desk.do(AssignStaffRole(store_id=store_id, person=person, role=role, from_day=MAY))
    return store_id


def propose(desk: Desk, store_id: UUID, month: date = JUNE, *, actor: Actor = MANAGER, **terms: Any) -> int:
    """Propose a scheme and return its version."""
    desk.do(ProposeCommissionScheme(store_id=store_id, effective_month=month, **{"tiers": TIERS, **terms}), actor=actor)
    return len(desk.get(Store, store_id).commissions.schemes)


def scheme(desk: Desk, store_id: UUID, month: date = JUNE, **terms: Any) -> int:
    """Put a scheme in force and return its version."""
    version = propose(desk, store_id, month, **terms)
    desk.do(ApproveCommissionScheme(store_id=store_id, scheme_version=version), actor=SECOND)
    return version


def figures(desk: Desk, store_id: UUID, *, position: int = 100, **sold: dict[date, int]) -> CommissionFigures:
    """Return figures as read models would give them now: minor units by agent and month."""
    by_month = {(month, agent): minor for agent, months in sold.items() for month, minor in months.items()}
    return CommissionFigures(position, desk.get(Store, store_id).version, by_month)


def settle(
    desk: Desk, store_id: UUID, month: date, *, actor: Actor = FINANCE, **sold: dict[date, int]
) -> CommissionSettlement:
    known = figures(desk, store_id, position=100 + month.month, **sold)
    desk.do(SettleCommission(store_id=store_id, month=month), actor=actor, figures=known)
    return desk.get(Store, store_id).commissions.settlements[-1]


def paid(settled: CommissionSettlement) -> dict[str, tuple[int, ...]]:
    """Return due, correction, withheld and amount of each line."""
    return {
        line.agent: (line.due_minor, line.correction_minor, line.withheld_minor, line.amount_minor)
        for line in settled.lines
    }


# What a scheme makes of sales ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sold", "factor", "due"),
    [
        (0, "1", 0),
        (-5_000, "1", 0),
        (100_000, "1", 1_000),
        (150_000, "1", 1_000 + 1_500),
        (150_000, "1.2", 3_000),
        (50, "1", 0),  # Half a fen goes to the even side, here and below.
        (150, "1", 2),
        (250, "1", 2),
    ],
)
def test_each_rate_counts_for_what_lies_in_its_tier_and_a_line_is_rounded_once(
    desk: Desk, store_id: UUID, sold: int, factor: str, due: int
) -> None:
    scheme(desk, store_id)
    rules = desk.get(Store, store_id).commissions.schemes[0]
    assert rules.due_minor(sold, Decimal(1), Decimal(factor)) == due


@given(
    cuts=st.lists(st.integers(1, 10**7), max_size=4, unique=True),
    rates=st.lists(st.decimals(0, 1, places=4), min_size=5, max_size=5),
    sold=st.integers(-(10**6), 10**8),
    grade=st.decimals(0, 5, places=3),
    factor=st.decimals(0, 5, places=3),
)
def test_what_is_due_is_the_sum_over_every_single_fen(
    cuts: list[int], rates: list[Decimal], sold: int, grade: Decimal, factor: Decimal
) -> None:
    starts = [0, *sorted(cuts)]
    rules = CommissionScheme(
        scheme_version=1, effective_month=JUNE, base_minor=None, growth_steps=(), grades=(), grade=None,
        absent_forfeits=True, proposed_by="m", reason=None,
        tiers=tuple(CommissionTier(from_minor=start, rate=rate) for start, rate in zip(starts, rates, strict=False)),
    )  # fmt: skip
    exact = Fraction(0)
    for number, start in enumerate(starts):
        end = starts[number + 1] if number + 1 < len(starts) else max(sold, start)
        exact += max(min(sold, end) - start, 0) * Fraction(rates[number])
    assert rules.due_minor(sold, grade, factor) == round(exact * Fraction(grade) * Fraction(factor))


def test_growth_over_the_base_and_the_grade_of_the_store_multiply(desk: Desk, store_id: UUID) -> None:
    scheme(
        desk,
        store_id,
        base_minor=100_000,
        growth_steps=(
            CommissionGrowthTerms(from_growth=Decimal("-0.5"), factor=Decimal("0.5")),
            CommissionGrowthTerms(from_growth=Decimal("0.1"), factor=Decimal(2)),
        ),
        grades=(
            CommissionGradeTerms(grade="A", factor=Decimal("1.5")),
            CommissionGradeTerms(grade="B", factor=Decimal(1)),
        ),
        grade="A",
    )
    store = desk.get(Store, store_id)
    for silent, growth, factor in (
        (0, "-0.9", "1"),  # Below the first step nothing is multiplied.
        (40_000, "-0.5", "0.5"),
        (99_999, "0.09999", "0.5"),
        (100_000, "0.1", "2"),  # A step is reached exactly.
    ):
        due = month_due(store, JUNE, figures(desk, store_id, sue={JUNE: 10_000}, silent={JUNE: silent}))
        assert due is not None
        assert (due.growth, due.growth_factor) == (Decimal(growth), Decimal(factor))
        [line] = due.lines
        assert (line.agent, line.due_minor) == ("sue", 100 * Decimal("1.5") * Decimal(factor)), "silent is nobody"
    without = scheme(desk, store_id)
    plain = month_due(desk.get(Store, store_id), JUNE, figures(desk, store_id, sue={JUNE: 10_000}))
    assert plain is not None and plain.scheme.scheme_version == without
    assert (plain.growth, plain.growth_factor, plain.lines[0].due_minor) == (None, 1, 100)


@pytest.mark.parametrize(
    ("terms", "path"),
    [
        ({"tiers": (CommissionTierTerms(from_minor=5, rate=Decimal(0)),)}, ("tiers", 0)),
        ({"tiers": (*TIERS, CommissionTierTerms(from_minor=100_000, rate=Decimal(0)))}, ("tiers", 2)),
        ({"tiers": (TIERS[0], TIERS[0])}, ("tiers", 1)),
        ({"tiers": (CommissionTierTerms(from_minor=0, rate=Decimal("1.1")),)}, ("tiers", 0, "rate")),
        ({"tiers": (CommissionTierTerms(from_minor=0, rate=Decimal("0.0000001")),)}, ("tiers", 0, "rate")),
        ({"tiers": (CommissionTierTerms(from_minor=0, rate=Decimal("NaN")),)}, ("tiers", 0, "rate")),
        (
            {"growth_steps": (CommissionGrowthTerms(from_growth=Decimal(0), factor=Decimal(1)),)},
            ("base_minor",),
        ),
        (
            {
                "base_minor": 1,
                "growth_steps": (CommissionGrowthTerms(from_growth=Decimal(0), factor=Decimal(1)),) * 2,
            },
            ("growth_steps", 1),
        ),
        ({"grade": "A"}, ("grade",)),
        ({"grades": (CommissionGradeTerms(grade="A", factor=Decimal(1)),)}, ("grade",)),
        ({"grades": (CommissionGradeTerms(grade="A", factor=Decimal(1)),) * 2, "grade": "A"}, ("grades", 1)),
        ({"grades": (CommissionGradeTerms(grade="A", factor=Decimal(-1)),), "grade": "A"}, ("grades", 0, "factor")),
        ({"effective_month": date(2024, 6, 2)}, ("effective_month",)),
    ],
)
def test_numbers_that_make_no_scheme_are_refused(
    desk: Desk, store_id: UUID, terms: dict[str, Any], path: tuple[str | int, ...]
) -> None:
    with pytest.raises(InvalidField) as refused:
        desk.do(ProposeCommissionScheme(store_id=store_id, **{"effective_month": JUNE, "tiers": TIERS, **terms}))
    assert refused.value.path == path


# Who puts it in force, and from when on -------------------------------------------------------------------------------


def test_a_scheme_is_approved_by_a_second_person_unless_the_owner_lets_them(desk: Desk, store_id: UUID) -> None:
    version = propose(desk, store_id)
    approval = ApproveCommissionScheme(store_id=store_id, scheme_version=version)
    assert desk.get(Store, store_id).commissions.in_force(JUNE) is None, "a proposal is not in force"
    with pytest.raises(SamePerson):
        desk.do(approval, actor=MANAGER)
    desk.do(approval, actor=SECOND)
    desk.do(approval, actor=SECOND)
    assert desk.recorded(store_id).count("CommissionSchemeApproved") == 1
    with pytest.raises(NotFound):
        desk.do(ApproveCommissionScheme(store_id=store_id, scheme_version=9), actor=SECOND)
    desk.do(SetPolicy(store_id=store_id, kind="second_person", params={"commission": False}), actor=OWNER)
    own = propose(desk, store_id, JULY)
    desk.do(ApproveCommissionScheme(store_id=store_id, scheme_version=own), actor=MANAGER)
    commissions = desk.get(Store, store_id).commissions
    known = [commissions.in_force(month) for month in (MAY, JUNE, JULY, AUGUST)]
    assert [each and each.scheme_version for each in known] == [None, version, own, own]


def test_of_two_schemes_that_begin_together_the_one_approved_last_holds(desk: Desk, store_id: UUID) -> None:
    first, second = propose(desk, store_id), propose(desk, store_id)
    for version in (second, first):
        desk.do(ApproveCommissionScheme(store_id=store_id, scheme_version=version), actor=SECOND)
    held = desk.get(Store, store_id).commissions.in_force(JUNE)
    assert held is not None and held.scheme_version == first


def test_no_scheme_begins_in_a_settled_month(desk: Desk, store_id: UUID) -> None:
    scheme(desk, store_id)
    late = propose(desk, store_id)
    settle(desk, store_id, JUNE, sue={JUNE: 100})
    for refused in (
        ApproveCommissionScheme(store_id=store_id, scheme_version=late),
        ProposeCommissionScheme(store_id=store_id, effective_month=JUNE, tiers=TIERS),
    ):
        with pytest.raises(CommissionMonthSettled):
            desk.do(refused, actor=SECOND)
    scheme(desk, store_id, JULY, tiers=TIERS[:1])


def test_a_closed_store_gets_no_scheme_and_pays_what_is_due(desk: Desk, store_id: UUID) -> None:
    scheme(desk, store_id)
    desk.do(CloseStore(store_id=store_id, reason="sold"))
    with pytest.raises(WrongState):
        propose(desk, store_id)
    assert paid(settle(desk, store_id, JUNE, sue={JUNE: 100_000})) == {"sue": (1_000, 0, 0, 1_000)}


# Settling -------------------------------------------------------------------------------------------------------------


def test_a_settlement_records_lines_scheme_and_the_position_of_its_figures(desk: Desk, store_id: UUID) -> None:
    version = scheme(desk, store_id)
    settled = settle(
        desk, store_id, JUNE, sue={JUNE: 150_000, JULY: 9_999_999}, tim={JUNE: 100}, silent={JUNE: 5_000_000}
    )
    assert (settled.month, settled.scheme_version, settled.known_at_position) == (JUNE, version, 106)
    assert paid(settled) == {"sue": (2_500, 0, 0, 2_500), "tim": (1, 0, 0, 1)}
    assert (settled.net_sales_minor, settled.amount_minor, settled.settled_by) == (5_150_100, 2_501, "fay")
    assert desk.last(CommissionSettled).currency == "CNY"


def test_a_month_is_settled_once_it_is_over_in_turn_and_under_a_scheme(desk: Desk, store_id: UUID) -> None:
    with pytest.raises(CommissionSchemeMissing):
        settle(desk, store_id, JUNE)
    scheme(desk, store_id)
    with pytest.raises(CommissionSchemeMissing):
        settle(desk, store_id, MAY)
    with pytest.raises(CommissionEarlierMonthOpen, match="2024-06-01"):
        settle(desk, store_id, JULY)
    with pytest.raises(InvalidField, match="first day"):
        settle(desk, store_id, date(2024, 6, 2))
    settle(desk, store_id, JUNE)
    with pytest.raises(CommissionAlreadySettled):
        settle(desk, store_id, JUNE)
    settle(desk, store_id, JULY)
    with pytest.raises(CommissionMonthNotOver):
        settle(desk, store_id, AUGUST)
    # In Shanghai August is over while it is still August in Greenwich.
    desk.now = datetime(2024, 8, 31, 16, 30, tzinfo=UTC)
    settle(desk, store_id, AUGUST)


def test_figures_from_before_something_happened_to_the_store_settle_nothing(desk: Desk, store_id: UUID) -> None:
    scheme(desk, store_id)
    known = figures(desk, store_id, sue={JUNE: 100_000})
    scheme(desk, store_id, tiers=TIERS[:1])
    for said in (known, None):
        with pytest.raises(CommissionFiguresOutdated):
            desk.do(SettleCommission(store_id=store_id, month=JUNE), actor=FINANCE, figures=said)


def test_what_is_learnt_of_a_settled_month_is_corrected_in_the_next_ones(desk: Desk, store_id: UUID) -> None:
    scheme(desk, store_id)
    june = settle(desk, store_id, JUNE, sue={JUNE: 150_000}, tim={JUNE: 50_000})
    # 30,000 of Sue's orders went back: at 3 %, as they were paid. Tim's best order turned out to be Zoe's.
    scheme(desk, store_id, JULY, tiers=TIERS[:1])
    july = settle(desk, store_id, JULY, sue={JUNE: 120_000, JULY: 10_000}, tim={JUNE: 0, JULY: 0}, zoe={JUNE: 50_000})
    assert paid(july) == {"sue": (100, -900, 0, -800), "tim": (0, -500, 0, -500), "zoe": (0, 500, 0, 500)}
    assert [(each.month, each.agent, each.net_sales_minor, each.due_minor, each.amount_minor)
            for each in july.corrections] == [
        (JUNE, "sue", 120_000, 1_600, -900), (JUNE, "tim", 0, 0, -500), (JUNE, "zoe", 50_000, 500, 500),
    ]  # fmt: skip
    commissions = desk.get(Store, store_id).commissions
    assert commissions.settlements[0] == june, "a settled month stays as it was settled"
    # What was corrected is not corrected again; what went back since is, and it was Tim's order after all.
    desk.now = datetime(2024, 9, 2, tzinfo=UTC)
    august = settle(desk, store_id, AUGUST, sue={JUNE: 100_000, JULY: 5_000, AUGUST: 20_000}, tim={JUNE: 50_000})
    assert paid(august) == {"sue": (200, -600 - 50, 0, -450), "tim": (0, 500, 0, 500), "zoe": (0, -500, 0, -500)}
    # All that was ever paid is what everything comes to in the end.
    every = [line for each in (june, july, august) for line in each.lines if line.agent == "sue"]
    assert sum(line.amount_minor for line in every) == 1_000 + 50 + 200


def test_the_factor_of_growth_of_a_settled_month_is_not_counted_anew(desk: Desk, store_id: UUID) -> None:
    step = CommissionGrowthTerms(from_growth=Decimal(0), factor=Decimal(2))
    scheme(desk, store_id, base_minor=100_000, growth_steps=(step,))
    settle(desk, store_id, JUNE, sue={JUNE: 100_000})
    july = settle(desk, store_id, JULY, sue={JUNE: 90_000})
    assert paid(july) == {"sue": (0, -200, 0, -200)}, "1 % of what went back, twice as it was paid"


def test_who_left_without_leave_is_paid_nothing_that_is_not_settled(desk: Desk, store_id: UUID) -> None:
    scheme(desk, store_id)
    settle(desk, store_id, JUNE, sue={JUNE: 100_000}, tim={JUNE: 100_000})
    desk.do(RecordDeparture(store_id=store_id, person="tim", absent_after=JULY))
    sold = {JUNE: 100_000, JULY: 50_000}
    assert paid(settle(desk, store_id, JULY, sue=sold, tim=sold)) == {
        "sue": (500, 0, 0, 500),
        "tim": (500, 0, 500, 0),
    }
    # What they were paid too much they owe all the same; what they never got is not taken back.
    desk.now = datetime(2024, 9, 2, tzinfo=UTC)
    less = {JUNE: 90_000, JULY: 20_000}
    august = settle(desk, store_id, AUGUST, sue=sold, tim=less)
    assert paid(august)["tim"] == (0, -100 - 300, -300, -100)
    desk.now = datetime(2024, 10, 2, tzinfo=UTC)
    desk.do(AssignStaffRole(store_id=store_id, person="tim", role=StaffRole.SERVICE, from_day=date(2024, 10, 1)))
    back = settle(desk, store_id, date(2024, 9, 1), sue=sold, tim={JUNE: 95_000, JULY: 0})
    assert paid(back)["tim"] == (0, 50 - 200, -200, 50), "they are paid again, and nothing of July was"


def test_who_left_without_leave_is_paid_where_the_scheme_says_so_or_they_came_back(desk: Desk, store_id: UUID) -> None:
    scheme(desk, store_id)
    desk.do(RecordDeparture(store_id=store_id, person="tim", absent_after=JUNE))
    store = desk.get(Store, store_id)
    sold = figures(desk, store_id, tim={JUNE: 100_000})
    held = month_due(store, JUNE, sold)
    assert held is not None and held.lines[0].withheld_minor == 1_000
    desk.do(AssignStaffRole(store_id=store_id, person="tim", role=StaffRole.SERVICE, from_day=AUGUST))
    back = month_due(desk.get(Store, store_id), JUNE, sold)
    assert back is not None and back.lines[0].withheld_minor == 0
    desk.do(RecordDeparture(store_id=store_id, person="tim", absent_after=AUGUST))
    scheme(desk, store_id, absent_forfeits=False)
    kind = month_due(desk.get(Store, store_id), JUNE, sold)
    assert kind is not None and kind.lines[0].amount_minor == 1_000
