"""Which grade a store is in: what its figures of a month come to by the policy `store_grades`.

The figures are those of the read models and no state of the store; which of them puts it into which grade is said here,
so that a settlement of commissions freezes what everybody could see before.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction

from opscore.domain.calendars import end_of_day
from opscore.domain.policies import GradeTerms, StoreGrades
from opscore.domain.store import Store

NO_POLICY_BEFORE = date(1900, 1, 1)
"""No policy is as old as that, and no calendar knows what lay before the first day of all."""


@dataclass(frozen=True, slots=True)
class StoreFigures:
    """Exact figures of a store in a month; None where there is none, such as attainment without a target.

    attainment: K025. growth: K027, over the base of the commission scheme in force. margin: K098R. breach_share: K082S.
    """

    attainment: Fraction | None = None
    growth: Fraction | None = None
    margin: Fraction | None = None
    breach_share: Fraction | None = None


def begins(store: Store, month: date) -> datetime:
    """Return when (UTC) a month begins in a store, named by its first day: it is graded by what is in force then."""
    return end_of_day(max(month, NO_POLICY_BEFORE) - timedelta(days=1), store.time_zone)


def grades_of(store: Store, month: date) -> StoreGrades:
    """Return the grades by which a month is graded."""
    return store.policy(StoreGrades, begins(store, month))


def meets(terms: GradeTerms, figures: StoreFigures) -> bool:
    """Say whether figures are what a grade asks for. What is not known is not met, except that where nothing was due
    no promise was broken."""
    at_least = (
        (figures.attainment, terms.attainment_min),
        (figures.growth, terms.growth_min),
        (figures.margin, terms.margin_min),
    )
    if any(bound is not None and (value is None or value < Fraction(bound)) for value, bound in at_least):
        return False
    return terms.breach_share_max is None or (figures.breach_share or 0) <= Fraction(terms.breach_share_max)


def graded(grades: StoreGrades, figures: StoreFigures) -> str | None:
    """Return the best grade whose terms are met; None where there is none."""
    return next((each.grade for each in grades.grades if meets(each, figures)), None)
