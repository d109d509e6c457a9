"""Which grade figures put a store into, and what that makes of commissions."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest

from opscore.domain.command import Actor, Role
from opscore.domain.commission_events import CommissionSettlement
from opscore.domain.commissions import (
    ApproveCommissionScheme,
    CommissionFigures,
    CommissionFiguresOutdated,
    CommissionGradeTerms,
    CommissionGradeUnknown,
    CommissionTierTerms,
    ProposeCommissionScheme,
    SettleCommission,
    month_due,
)
from opscore.domain.policies import GradeTerms, PolicyInvalid, StoreGrades
from opscore.domain.refusals import InvalidField
from opscore.domain.store import Store
from opscore.domain.store_commands import SetPolicy
from opscore.domain.store_grades import StoreFigures, graded, grades_of, meets
from tests.domain.desk import OWNER, SECOND, Desk

MAY, JUNE, JULY = (date(2024, month, 1) for month in (5, 6, 7))
FINANCE = Actor(id="fay", role=Role.FINANCE)
TIERS = (CommissionTierTerms(from_minor=0, rate=Decimal("0.01")),)
GRADES = StoreGrades(
    grades=(
        GradeTerms(
            grade="A", attainment_min=Decimal("1.2"), growth_min=Decimal("0.1"), margin_min=Decimal("0.3"),
            breach_share_max=Decimal("0.02"),
        ),
        GradeTerms(grade="B", attainment_min=Decimal(1)),
        GradeTerms(grade="C"),
    )
)  # fmt: skip
BEST = StoreFigures(Fraction("1.2"), Fraction("0.1"), Fraction("0.3"), Fraction("0.02"))
"""Exactly what grade A asks for."""
HAIR = Fraction(1, 10**9)


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def store_id(desk: Desk) -> UUID:
    """A store in China, at midnight UTC of the last day of April, when its April has 16 hours left."""
    store_id = desk.open_store()
    desk.now = datetime(2024, 4, 30, tzinfo=UTC)
    return store_id


def set_grades(desk: Desk, store_id: UUID, *grades: dict[str, Any], effective_from: datetime | None = None) -> None:
    policy = SetPolicy(
        store_id=store_id, kind="store_grades", params={"grades": list(grades)}, effective_from=effective_from
    )
    desk.do(policy, actor=OWNER)


def scheme(desk: Desk, store_id: UUID, month: date = MAY, **factors: int) -> None:
    """Put a scheme in force with a factor for each grade, and no grade named."""
    grades = tuple(CommissionGradeTerms(grade=grade, factor=Decimal(factor)) for grade, factor in factors.items())
    desk.do(ProposeCommissionScheme(store_id=store_id, effective_month=month, tiers=TIERS, grades=grades))
    version = len(desk.get(Store, store_id).commissions.schemes)
    desk.do(ApproveCommissionScheme(store_id=store_id, scheme_version=version), actor=SECOND)


def figures(desk: Desk, store_id: UUID, of_store: StoreFigures | None, **sold: dict[date, int]) -> CommissionFigures:
    by_month = {(month, agent): minor for agent, months in sold.items() for month, minor in months.items()}
    return CommissionFigures(100, desk.get(Store, store_id).version, by_month, of_store)


def settle(
    desk: Desk, store_id: UUID, month: date, of_store: StoreFigures | None, **sold: dict[date, int]
) -> CommissionSettlement:
    known = figures(desk, store_id, of_store, **sold)
    desk.do(SettleCommission(store_id=store_id, month=month), actor=FINANCE, figures=known)
    return desk.get(Store, store_id).commissions.settlements[-1]


@pytest.mark.parametrize(
    ("measured", "grade"),
    [
        (BEST, "A"),
        (replace(BEST, attainment=Fraction("1.2") - HAIR), "B"),
        (replace(BEST, growth=Fraction("0.1") - HAIR), "B"),
        (replace(BEST, margin=Fraction("0.3") - HAIR), "B"),
        (replace(BEST, breach_share=Fraction("0.02") + HAIR), "B"),
        (replace(BEST, growth=None), "B"),
        (replace(BEST, breach_share=None), "A"),  # Nothing was due, so no promise was broken.
        (replace(BEST, attainment=Fraction("0.99")), "C"),
        (StoreFigures(), "C"),
    ],
)
def test_a_store_is_in_the_best_grade_whose_terms_are_all_met_exactly(measured: StoreFigures, grade: str) -> None:
    assert graded(GRADES, measured) == grade


def test_without_a_grade_whose_terms_are_met_there_is_none() -> None:
    assert graded(StoreGrades(grades=GRADES.grades[:2]), StoreFigures()) is None
    assert graded(StoreGrades(), BEST) is None
    assert meets(GRADES.grades[2], StoreFigures())


@pytest.mark.parametrize(
    "grades",
    [
        [{"grade": "A"}, {"grade": "A"}],
        [{"grade": "A", "margin_min": "NaN"}],
        [{"grade": "A", "margin_min": "0.0000001"}],
        [{"grade": "A", "growth": "1"}],
        [{"grade": ""}],
    ],
)
def test_terms_that_make_no_grades_are_refused(desk: Desk, store_id: UUID, grades: list[dict[str, Any]]) -> None:
    with pytest.raises(PolicyInvalid):
        set_grades(desk, store_id, *grades)


def test_a_month_is_graded_by_what_was_in_force_when_it_began_in_the_store(desk: Desk, store_id: UUID) -> None:
    midnight = datetime(2024, 4, 30, 16, tzinfo=UTC)
    set_grades(desk, store_id, {"grade": "A"}, effective_from=midnight)
    set_grades(desk, store_id, {"grade": "B"}, effective_from=midnight + timedelta(seconds=1))
    store = desk.get(Store, store_id)
    known = [[each.grade for each in grades_of(store, month).grades] for month in (date(2024, 4, 1), MAY, JUNE)]
    assert known == [[], ["A"], ["B"]]


def test_a_scheme_names_the_grade_or_has_a_factor_for_each_that_the_policy_may_give(desk: Desk, store_id: UUID) -> None:
    def propose(*names: str, month: date = MAY) -> None:
        grades = tuple(CommissionGradeTerms(grade=name, factor=Decimal(1)) for name in names)
        desk.do(ProposeCommissionScheme(store_id=store_id, effective_month=month, tiers=TIERS, grades=grades))

    for month in (MAY, date.min, date(9999, 12, 1)):
        with pytest.raises(InvalidField) as refused:
            propose("A", "B", month=month)
        assert refused.value.path == ("grade",) and "store_grades" in str(refused.value)
    set_grades(desk, store_id, {"grade": "A", "margin_min": "0.1"}, {"grade": "B"})
    with pytest.raises(InvalidField) as refused:
        propose("A")
    assert refused.value.path == ("grades",) and "into B" in str(refused.value)
    propose("A", "B")


def test_commissions_go_by_the_grade_of_the_months_figures_and_keep_the_one_they_were_settled_by(
    desk: Desk, store_id: UUID
) -> None:
    set_grades(desk, store_id, {"grade": "A", "margin_min": "0.3"}, {"grade": "B", "margin_min": "0.1"})
    scheme(desk, store_id, A=3, B=2)
    desk.now = datetime(2024, 8, 15, tzinfo=UTC)
    running = month_due(
        desk.get(Store, store_id),
        MAY,
        figures(desk, store_id, StoreFigures(margin=Fraction("0.05")), sue={MAY: 10_000}),
    )
    assert running is not None
    assert (running.grade, running.grade_factor, running.amount_minor) == (None, 1, 100), "no grade, nothing multiplied"
    with pytest.raises(CommissionFiguresOutdated):
        settle(desk, store_id, MAY, None, sue={MAY: 10_000})
    may = settle(desk, store_id, MAY, StoreFigures(margin=Fraction("0.1")), sue={MAY: 10_000})
    assert (may.grade, may.grade_factor, may.amount_minor) == ("B", 2, 200)
    # June is a better month; of May 5,000 went back since, at the factor of May.
    june = settle(desk, store_id, JUNE, StoreFigures(margin=Fraction("0.3")), sue={MAY: 5_000, JUNE: 10_000})
    [line] = june.lines
    assert (june.grade, line.due_minor, line.correction_minor) == ("A", 300, -100)


def test_a_grade_that_the_scheme_does_not_know_is_no_reason_to_pay_as_if_there_were_none(
    desk: Desk, store_id: UUID
) -> None:
    set_grades(desk, store_id, {"grade": "A"})
    scheme(desk, store_id, A=3)
    set_grades(desk, store_id, {"grade": "top"}, effective_from=datetime(2024, 4, 30, 8, tzinfo=UTC))
    desk.now = datetime(2024, 8, 15, tzinfo=UTC)
    with pytest.raises(CommissionGradeUnknown) as refused:
        settle(desk, store_id, MAY, StoreFigures(), sue={MAY: 10_000})
    assert "grade top" in str(refused.value)
    scheme(desk, store_id, A=3, top=4)
    assert settle(desk, store_id, MAY, StoreFigures(), sue={MAY: 10_000}).amount_minor == 400


def test_a_grade_that_the_scheme_names_holds_whatever_the_figures_are(desk: Desk, store_id: UUID) -> None:
    set_grades(desk, store_id, {"grade": "A"})
    grades = tuple(CommissionGradeTerms(grade=name, factor=Decimal(factor)) for name, factor in (("A", 3), ("B", 2)))
    desk.do(ProposeCommissionScheme(store_id=store_id, effective_month=MAY, tiers=TIERS, grades=grades, grade="B"))
    desk.do(ApproveCommissionScheme(store_id=store_id, scheme_version=1), actor=SECOND)
    desk.now = datetime(2024, 8, 15, tzinfo=UTC)
    settled = settle(desk, store_id, MAY, None, sue={MAY: 10_000})
    assert (settled.grade, settled.amount_minor) == ("B", 200)
