"""What is on record about commissions in a store's stream, what one comes to, and the part of the state it adds up to.

A scheme says what staff are due of what they sold in a month: rates by tiers, times the factor of the store's grade,
times the factor of its growth over a base. It is proposed by one person, approved by another, and in force from a month
on. A settlement freezes a month; what is learnt of it later is a correction in the next settlement.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction

import msgspec

from opscore.domain.aggregate import Event
from opscore.domain.values import MAX_PLACES, Value, plain

_EXACT = Context(prec=100)
"""More digits than any amount times a rate and two factors has."""
_ONE = Decimal(1)

# What is on record ---------------------------------------------------------------------------------------------------


class CommissionTier(Value):
    """What part of net sales is due of what lies above `from_minor` in a month, up to the next tier."""

    from_minor: int
    rate: Decimal


class CommissionGrowthStep(Value):
    """What commissions are multiplied by where the store's growth over the base is this much or more (0.1: 10 %)."""

    from_growth: Decimal
    factor: Decimal


class CommissionGrade(Value):
    """What commissions are multiplied by in a store of this grade."""

    grade: str
    factor: Decimal


class CommissionSchemeProposed(Event):
    """Somebody proposed a scheme of commission; it is in force once somebody else has approved it.

    base_minor: what the store is to sell in a month, from which its growth is counted. grade: the grade that the store
    is in; None with grades: that of the month's figures, by the policy `store_grades`. absent_forfeits: whether who
    leaves without leave is paid nothing that is not settled yet.
    """

    scheme_version: int
    effective_month: date
    currency: str
    tiers: tuple[CommissionTier, ...]
    base_minor: int | None
    growth_steps: tuple[CommissionGrowthStep, ...]
    grades: tuple[CommissionGrade, ...]
    grade: str | None
    absent_forfeits: bool
    proposed_by: str
    reason: str | None = None


class CommissionSchemeApproved(Event):
    """A proposed scheme is in force from the first day of its month on."""

    scheme_version: int
    effective_month: date
    approved_by: str


class CommissionLine(Value):
    """What somebody is paid: `amount_minor` = `due_minor` + `correction_minor` - `withheld_minor`.

    net_sales_minor: what the month's orders that they helped in brought, less what went back of them. due_minor: what
    is due of that. correction_minor: what was due of settled months besides. withheld_minor: what is forfeited of both;
    below 0 where what was forfeited once turns out not to have been due.
    """

    agent: str
    net_sales_minor: int
    due_minor: int
    correction_minor: int
    withheld_minor: int
    amount_minor: int


class CommissionCorrection(Value):
    """What somebody's sales of a settled month come to as they are known now: `amount_minor` more is due for them.

    Rates and factors are those with which the month was settled. withheld_minor: what of it is forfeited.
    """

    month: date
    agent: str
    net_sales_minor: int
    due_minor: int
    amount_minor: int
    withheld_minor: int


class CommissionSettled(Event):
    """What staff are paid for a month (its first day), made from what was on record at `known_at_position`.

    net_sales_minor: the store's, orders included in which nobody helped. growth: over the base, to six places.
    """

    month: date
    scheme_version: int
    known_at_position: int
    currency: str
    net_sales_minor: int
    growth: Decimal | None
    growth_factor: Decimal
    grade: str | None
    grade_factor: Decimal
    lines: tuple[CommissionLine, ...]
    corrections: tuple[CommissionCorrection, ...]
    amount_minor: int
    settled_by: str


CommissionEvent = CommissionSchemeProposed | CommissionSchemeApproved | CommissionSettled

# What it adds up to --------------------------------------------------------------------------------------------------


class CommissionScheme(Value):
    """A scheme, in force from `effective_month` on once it is approved.

    approval: the how many-th it was that was approved; None while it is not.
    """

    scheme_version: int
    effective_month: date
    tiers: tuple[CommissionTier, ...]
    base_minor: int | None
    growth_steps: tuple[CommissionGrowthStep, ...]
    grades: tuple[CommissionGrade, ...]
    grade: str | None
    absent_forfeits: bool
    proposed_by: str
    reason: str | None
    approval: int | None = None
    approved_by: str | None = None

    @property
    def grades_by_figures(self) -> bool:
        """Whether the grade of the store is that of the month's figures, by the policy `store_grades`."""
        return self.grade is None and bool(self.grades)

    def grade_factor(self, grade: str | None) -> Decimal:
        """Return what commissions are multiplied by in a store of a grade; 1 for none, and for one it does not name."""
        return next((each.factor for each in self.grades if each.grade == grade), _ONE)

    def exact_growth(self, net_sales_minor: int) -> Fraction | None:
        """Return how far sales lie above the base, as a part of it; None without a base."""
        return None if self.base_minor is None else Fraction(net_sales_minor, self.base_minor) - 1

    def growth(self, net_sales_minor: int) -> Decimal | None:
        """Return how far sales lie above the base, to six places, half-even; None without a base."""
        above = self.exact_growth(net_sales_minor)
        # Rounding a fraction goes half to even.
        return None if above is None else plain(Decimal(round(above * 10**MAX_PLACES)).scaleb(-MAX_PLACES))

    def growth_factor(self, net_sales_minor: int) -> Decimal:
        """Return the factor of the highest step that is reached exactly or passed; 1 below the first."""
        above = self.exact_growth(net_sales_minor)
        reached = [] if above is None else [each for each in self.growth_steps if Fraction(each.from_growth) <= above]
        return max(reached, key=lambda each: each.from_growth).factor if reached else _ONE

    def due_minor(self, net_sales_minor: int, grade_factor: Decimal, growth_factor: Decimal) -> int:
        """Return what is due of somebody's net sales of a month, rounded half-even once; nothing of less than 0.

        Each rate counts for what lies in its tier.
        """
        exact = Decimal(0)
        ends = [tier.from_minor for tier in self.tiers[1:]]
        for tier, end in zip(self.tiers, [*ends, None], strict=True):
            reached = net_sales_minor if end is None else min(net_sales_minor, end)
            exact = _EXACT.add(exact, _EXACT.multiply(Decimal(max(reached - tier.from_minor, 0)), tier.rate))
        exact = _EXACT.multiply(_EXACT.multiply(exact, grade_factor), growth_factor)
        return int(exact.to_integral_value(rounding=ROUND_HALF_EVEN))


class CommissionSettlement(Value):
    """A settled month, as `CommissionSettled` says; `settled_at` is when it happened (UTC)."""

    month: date
    scheme_version: int
    known_at_position: int
    net_sales_minor: int
    growth: Decimal | None
    growth_factor: Decimal
    grade: str | None
    grade_factor: Decimal
    lines: tuple[CommissionLine, ...]
    corrections: tuple[CommissionCorrection, ...]
    amount_minor: int
    settled_by: str
    settled_at: datetime


class Commissions(Value):
    """The schemes of a store, as they were proposed, and its settled months, oldest first."""

    schemes: tuple[CommissionScheme, ...] = ()
    settlements: tuple[CommissionSettlement, ...] = ()

    @property
    def settled_through(self) -> date | None:
        """The last settled month; months are settled one after the other."""
        return self.settlements[-1].month if self.settlements else None

    @property
    def begins(self) -> date | None:
        """The first month with a scheme."""
        return min((each.effective_month for each in self._approved()), default=None)

    def scheme(self, version: int) -> CommissionScheme | None:
        """Return the scheme of this version."""
        return next((each for each in self.schemes if each.scheme_version == version), None)

    def in_force(self, month: date) -> CommissionScheme | None:
        """Return the scheme of a month: the one that began last, of two that began together the one approved last."""
        begun = [each for each in self._approved() if each.effective_month <= month]
        return max(begun, key=lambda each: (each.effective_month, each.approval or 0)) if begun else None

    def paid_for(self, month: date) -> set[str]:
        """Return to whom anything was said to be due for a month so far."""
        first = {line.agent for each in self.settlements if each.month == month for line in each.lines}
        return first | {line.agent for each in self.settlements for line in each.corrections if line.month == month}

    def settled_minor(self, month: date, agent: str) -> int:
        """Return what was said to be due to somebody for a month so far, corrections included."""
        first = sum(line.due_minor for line in self._lines(month, agent))
        return first + sum(each.amount_minor for each in self._corrections(month, agent))

    def withheld_minor(self, month: date, agent: str) -> int:
        """Return what of that was forfeited."""
        first = sum(line.withheld_minor for line in self._lines(month, agent))
        # A line's own is what its corrections of earlier months do not account for.
        besides = (each for settled in self.settlements if settled.month == month for each in settled.corrections)
        first -= sum(each.withheld_minor for each in besides if each.agent == agent)
        return first + sum(each.withheld_minor for each in self._corrections(month, agent))

    def after(self, event: CommissionEvent) -> Commissions:
        """Return what it is after an event."""
        match event:
            case CommissionSchemeProposed():
                return msgspec.structs.replace(self, schemes=(*self.schemes, _proposed(event)))
            case CommissionSchemeApproved():
                approval = len(list(self._approved())) + 1
                schemes = tuple(
                    msgspec.structs.replace(each, approval=approval, approved_by=event.approved_by)
                    if each.scheme_version == event.scheme_version
                    else each
                    for each in self.schemes
                )
                return msgspec.structs.replace(self, schemes=schemes)
        return msgspec.structs.replace(self, settlements=(*self.settlements, _settled(event)))

    def _lines(self, month: date, agent: str) -> list[CommissionLine]:
        found = (line for each in self.settlements if each.month == month for line in each.lines)
        return [line for line in found if line.agent == agent]

    def _corrections(self, month: date, agent: str) -> list[CommissionCorrection]:
        found = (line for each in self.settlements for line in each.corrections)
        return [line for line in found if (line.month, line.agent) == (month, agent)]

    def _approved(self) -> Iterable[CommissionScheme]:
        return (each for each in self.schemes if each.approval is not None)


def _proposed(event: CommissionSchemeProposed) -> CommissionScheme:
    return CommissionScheme(
        scheme_version=event.scheme_version,
        effective_month=event.effective_month,
        tiers=event.tiers,
        base_minor=event.base_minor,
        growth_steps=event.growth_steps,
        grades=event.grades,
        grade=event.grade,
        absent_forfeits=event.absent_forfeits,
        proposed_by=event.proposed_by,
        reason=event.reason,
    )


def _settled(event: CommissionSettled) -> CommissionSettlement:
    return CommissionSettlement(
        month=event.month,
        scheme_version=event.scheme_version,
        known_at_position=event.known_at_position,
        net_sales_minor=event.net_sales_minor,
        growth=event.growth,
        growth_factor=event.growth_factor,
        grade=event.grade,
        grade_factor=event.grade_factor,
        lines=event.lines,
        corrections=event.corrections,
        amount_minor=event.amount_minor,
        settled_by=event.settled_by,
        settled_at=event.occurred_at,
    )
