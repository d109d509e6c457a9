"""Commission: a scheme is proposed, approved by a second person and in force from a month on; a month is settled once.

What staff sold is no state of a store: it is counted from the log by the read models, and handed to a settlement
together with the position at which it was known (`CommissionFigures`). The rest is decided here, so that a settlement
can be made again from the log as it stood at that position.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, ClassVar, NoReturn
from uuid import UUID

from msgspec import Meta

from opscore.domain.aggregate import Aggregate
from opscore.domain.calendars import months_after, require_month
from opscore.domain.command import Command, Role, UnitOfWork
from opscore.domain.commission_events import (
    CommissionCorrection,
    CommissionGrade,
    CommissionGrowthStep,
    CommissionLine,
    CommissionScheme,
    CommissionSchemeApproved,
    CommissionSchemeProposed,
    CommissionSettled,
    CommissionTier,
)
from opscore.domain.departures import left_without_leave
from opscore.domain.order_assists import SILENT
from opscore.domain.policies import SecondPerson
from opscore.domain.refusals import InvalidField, NotFound, Refusal, SamePerson
from opscore.domain.store import Store
from opscore.domain.store_commands import CASHIERS, StoreId
from opscore.domain.store_grades import StoreFigures, graded, grades_of
from opscore.domain.values import MAX_PLACES, Code, NonNegativeMinor, Part, PositiveMinor, Reason, plain

STEPS_MAX = 50
FACTOR_MAX = 100

# How it says no ------------------------------------------------------------------------------------------------------


class CommissionMonthSettled(Refusal):
    """Commissions are settled through {month} already; let the scheme begin with a later month."""


class CommissionSchemeMissing(Refusal):
    """No scheme of commission is approved that is in force in {month}; have one approved first."""


class CommissionMonthNotOver(Refusal):
    """The month from {month} is not over yet in this store; settle it when it is."""


class CommissionAlreadySettled(Refusal):
    """The month from {month} is settled already; what is learnt of it later is corrected when the next one is."""


class CommissionEarlierMonthOpen(Refusal):
    """Months are settled one after the other; settle the one from {month} first."""


class CommissionGradeUnknown(Refusal):
    """The figures of the month put the store into grade {grade}, for which its scheme of commission has no factor;
    have one approved that names it."""


class CommissionFiguresOutdated(Refusal):
    """The figures are missing, or older than the store's last event; settle again, under another key."""


# What it is made from ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CommissionFigures:
    """What was sold in the months of a store, as it was known at a position of the log.

    store_version: the store's own version there. net_sales_minor: by month and agent, minor units of the store's
    currency, SILENT for orders in which nobody helped. of_store: what the store's grade in the last of the months goes
    by; None where the scheme names the grade.
    """

    position: int
    store_version: int
    net_sales_minor: Mapping[tuple[date, str], int]
    of_store: StoreFigures | None = None

    def of(self, month: date) -> dict[str, int]:
        """Return the net sales of a month by agent."""
        return {agent: minor for (each, agent), minor in self.net_sales_minor.items() if each == month}


@dataclass(frozen=True, slots=True)
class MonthDue:
    """What a month comes to under the scheme in force in it. growth: over the base, None without one.

    grade: the one that the scheme names, or that of the month's figures.
    """

    month: date
    scheme: CommissionScheme
    net_sales_minor: int
    growth: Decimal | None
    growth_factor: Decimal
    grade: str | None
    grade_factor: Decimal
    lines: tuple[CommissionLine, ...]
    corrections: tuple[CommissionCorrection, ...]

    @property
    def amount_minor(self) -> int:
        """What is paid in all."""
        return sum(line.amount_minor for line in self.lines)


def month_due(store: Store, month: date, figures: CommissionFigures) -> MonthDue | None:
    """Return what staff are due for a month, and what settled months before it are to be corrected by.

    The factors of the month are those of its figures. None where no scheme is in force.
    """
    scheme = store.commissions.in_force(month)
    if scheme is None:
        return None
    sold = figures.of(month)
    net_sales_minor = sum(sold.values())
    growth_factor = scheme.growth_factor(net_sales_minor)
    grade = scheme.grade
    if scheme.grades_by_figures and figures.of_store is not None:
        grade = graded(grades_of(store, month), figures.of_store)
    grade_factor = scheme.grade_factor(grade)
    corrections = _corrections(store, month, scheme, figures)
    lines = []
    for agent in sorted({*sold, *(each.agent for each in corrections)} - {SILENT}):
        due_minor = scheme.due_minor(sold.get(agent, 0), grade_factor, growth_factor)
        own = [each for each in corrections if each.agent == agent]
        correction_minor = sum(each.amount_minor for each in own)
        withheld_minor = due_minor if _forfeits(store, scheme, agent) else 0
        withheld_minor += sum(each.withheld_minor for each in own)
        lines.append(
            CommissionLine(
                agent=agent,
                net_sales_minor=sold.get(agent, 0),
                due_minor=due_minor,
                correction_minor=correction_minor,
                withheld_minor=withheld_minor,
                amount_minor=due_minor + correction_minor - withheld_minor,
            )
        )
    return MonthDue(
        month=month,
        scheme=scheme,
        net_sales_minor=net_sales_minor,
        growth=scheme.growth(net_sales_minor),
        growth_factor=growth_factor,
        grade=grade,
        grade_factor=grade_factor,
        lines=tuple(lines),
        corrections=corrections,
    )


def _forfeits(store: Store, scheme: CommissionScheme, agent: str) -> bool:
    """Say whether somebody is paid nothing more; what they were paid too much they owe all the same."""
    return scheme.absent_forfeits and left_without_leave(store, agent)


def _corrections(
    store: Store, month: date, current: CommissionScheme, figures: CommissionFigures
) -> tuple[CommissionCorrection, ...]:
    """Return what settled months before this one come to now and did not then: by refunds, or another agent.

    A month that is settled itself is corrected in none: it shows what it comes to now.
    """
    commissions = store.commissions
    found = []
    if commissions.settled_through is not None and month <= commissions.settled_through:
        return ()
    for settled in commissions.settlements:
        scheme = commissions.scheme(settled.scheme_version)
        assert scheme is not None  # What a month was settled by is on record.
        sold = figures.of(settled.month)
        for agent in sorted({*sold, *commissions.paid_for(settled.month)} - {SILENT}):
            due_minor = scheme.due_minor(sold.get(agent, 0), settled.grade_factor, settled.growth_factor)
            amount_minor = due_minor - commissions.settled_minor(settled.month, agent)
            if amount_minor:
                if amount_minor > 0:
                    withheld_minor = amount_minor if _forfeits(store, current, agent) else 0
                else:
                    # What was not paid is not taken back.
                    withheld_minor = -min(-amount_minor, commissions.withheld_minor(settled.month, agent))
                found.append(
                    CommissionCorrection(
                        month=settled.month,
                        agent=agent,
                        net_sales_minor=sold.get(agent, 0),
                        due_minor=due_minor,
                        amount_minor=amount_minor,
                        withheld_minor=withheld_minor,
                    )
                )
    return tuple(found)


# What may happen next ------------------------------------------------------------------------------------------------


def require_unsettled(store: Store, month: date, field: str) -> None:
    """Refuse CommissionMonthSettled for a scheme that would begin in a settled month."""
    through = store.commissions.settled_through
    if through is not None and month <= through:
        raise CommissionMonthSettled(month=through, path=(field,), ids=[store.id])


def approve(store: Store, version: int, approver: str, at: datetime) -> None:
    """Put a proposed scheme in force from its month on. Approved twice, recorded once.

    Refuses: WrongState (the store is closed), NotFound, SamePerson, CommissionMonthSettled.
    """
    store.require_not_closed()
    scheme = store.commissions.scheme(version)
    if scheme is None:
        raise NotFound(what="scheme of commission", path=("scheme_version",), ids=[store.id])
    if scheme.approval is not None:
        return
    if store.policy(SecondPerson, at).commission and approver == scheme.proposed_by:
        raise SamePerson(actor=approver, path=("scheme_version",), ids=[store.id])
    require_unsettled(store, scheme.effective_month, "scheme_version")
    store.trigger_event(
        CommissionSchemeApproved,
        scheme_version=version,
        effective_month=scheme.effective_month,
        approved_by=approver,
        occurred_at=at,
    )


def settle(store: Store, month: date, figures: CommissionFigures | None, by: str, at: datetime) -> None:
    """Freeze what staff are paid for a month.

    Refuses: CommissionSchemeMissing, CommissionAlreadySettled, CommissionEarlierMonthOpen, CommissionMonthNotOver,
    CommissionFiguresOutdated, CommissionGradeUnknown.
    """
    scheme = store.commissions.in_force(month)
    if scheme is None:
        raise CommissionSchemeMissing(month=month, path=("month",), ids=[store.id])
    through = store.commissions.settled_through
    if through is not None and month <= through:
        raise CommissionAlreadySettled(month=month, path=("month",), ids=[store.id])
    following = store.commissions.begins if through is None else months_after(through, 1)
    if following != month:
        raise CommissionEarlierMonthOpen(month=following, path=("month",), ids=[store.id])
    if store.local_date(at).replace(day=1) <= month:
        raise CommissionMonthNotOver(month=month, path=("month",), ids=[store.id])
    if (
        figures is None
        or store.version != figures.store_version
        or (scheme.grades_by_figures and figures.of_store is None)
    ):
        # Who left, or which scheme is in force, may have changed: a settlement is what its position says.
        raise CommissionFiguresOutdated(ids=[store.id])
    due = month_due(store, month, figures)
    assert due is not None
    if due.grade is not None and due.grade not in {each.grade for each in due.scheme.grades}:
        raise CommissionGradeUnknown(grade=due.grade, path=("month",), ids=[store.id])
    store.trigger_event(
        CommissionSettled,
        month=month,
        scheme_version=due.scheme.scheme_version,
        known_at_position=figures.position,
        currency=store.currency,
        net_sales_minor=due.net_sales_minor,
        growth=due.growth,
        growth_factor=due.growth_factor,
        grade=due.grade,
        grade_factor=due.grade_factor,
        lines=due.lines,
        corrections=due.corrections,
        amount_minor=due.amount_minor,
        settled_by=by,
        occurred_at=at,
    )


# What may be asked for -----------------------------------------------------------------------------------------------


class CommissionTierTerms(Part):
    """What is due of what somebody sells above an amount in a month, up to the next tier."""

    from_minor: Annotated[NonNegativeMinor, Meta(description="From how much on, in minor units; the first from 0.")]
    rate: Annotated[Decimal, Meta(description="What part of it: 0.03 is 3 %; 0 to 1, at most six places.")]


class CommissionGrowthTerms(Part):
    """A step of the store's growth over the base."""

    from_growth: Annotated[Decimal, Meta(description="From how much growth on: 0.1 is 10 %, -0.2 is 20 % less.")]
    factor: Annotated[Decimal, Meta(description="What commissions are multiplied by then; 0 to 100.")]


class CommissionGradeTerms(Part):
    """A grade that a store can be in."""

    grade: Annotated[Code, Meta(description="What the grade is called.")]
    factor: Annotated[Decimal, Meta(description="What commissions are multiplied by in such a store; 0 to 100.")]


class ProposeCommissionScheme(Command):
    """Propose a scheme of commission for a store, in force from a month on once somebody else has approved it."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (CommissionMonthSettled,)

    store_id: StoreId
    effective_month: Annotated[
        date, Meta(description="The first day of the month from which on it is in force; no settled one.")
    ]
    tiers: Annotated[
        tuple[CommissionTierTerms, ...],
        Meta(min_length=1, max_length=STEPS_MAX, description="The rates of net sales, lowest tier first."),
    ]
    base_minor: Annotated[
        PositiveMinor | None,
        Meta(description="What the store is to sell in a month, from which growth is counted; none if left out."),
    ] = None
    growth_steps: Annotated[
        tuple[CommissionGrowthTerms, ...],
        Meta(max_length=STEPS_MAX, description="Factors by growth, lowest first; below the first it is 1."),
    ] = ()
    grades: Annotated[
        tuple[CommissionGradeTerms, ...], Meta(max_length=STEPS_MAX, description="Factors by the store's grade.")
    ] = ()
    grade: Annotated[
        Code | None,
        Meta(
            description="The grade, of these, that the store is in; left out: that of each month's figures, by the "
            "policy `store_grades`."
        ),
    ] = None
    absent_forfeits: Annotated[
        bool, Meta(description="Who leaves without leave is paid nothing that is not settled by then.")
    ] = True
    reason: Annotated[Reason | None, Meta(description="Why: what is revised, and for what.")] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Check the numbers, then take the proposal down."""
        store = work.store(self.store_id)
        store.require_not_closed()
        require_month(self.effective_month, "effective_month")
        self._require_numbers(store)
        require_unsettled(store, self.effective_month, "effective_month")
        store.trigger_event(
            CommissionSchemeProposed,
            scheme_version=len(store.commissions.schemes) + 1,
            effective_month=self.effective_month,
            currency=store.currency,
            tiers=tuple(CommissionTier(from_minor=each.from_minor, rate=plain(each.rate)) for each in self.tiers),
            base_minor=self.base_minor,
            growth_steps=tuple(
                CommissionGrowthStep(from_growth=plain(each.from_growth), factor=plain(each.factor))
                for each in self.growth_steps
            ),
            grades=tuple(CommissionGrade(grade=each.grade, factor=plain(each.factor)) for each in self.grades),
            grade=self.grade,
            absent_forfeits=self.absent_forfeits,
            proposed_by=work.actor.id,
            reason=self.reason,
            occurred_at=work.occurred_at,
        )
        return store.id

    def _require_numbers(self, store: Store) -> None:
        for index, tier in enumerate(self.tiers):
            _require_between(tier.rate, 0, 1, ("tiers", index, "rate"))
            if (index == 0) != (tier.from_minor == 0) or tier.from_minor < self.tiers[max(index - 1, 0)].from_minor:
                _invalid("the first tier begins at 0, and each further one above the one before", "tiers", index)
            if index and tier.from_minor == self.tiers[index - 1].from_minor:
                _invalid("two tiers begin at the same amount", "tiers", index)
        growths = [step.from_growth for step in self.growth_steps]
        for index, step in enumerate(self.growth_steps):
            _require_between(step.from_growth, -1, FACTOR_MAX, ("growth_steps", index, "from_growth"))
            _require_between(step.factor, 0, FACTOR_MAX, ("growth_steps", index, "factor"))
            if index and growths[index] <= growths[index - 1]:
                _invalid("each step begins above the one before", "growth_steps", index)
        if growths and self.base_minor is None:
            _invalid("growth is counted from a base; give one, or no steps of growth", "base_minor")
        names = [each.grade for each in self.grades]
        for index, each in enumerate(self.grades):
            _require_between(each.factor, 0, FACTOR_MAX, ("grades", index, "factor"))
            if each.grade in names[:index]:
                _invalid("this grade is named twice", "grades", index)
        if self.grade is not None and self.grade not in names:
            _invalid("it is none of the grades that have a factor", "grade")
        if self.grade is None and names:
            self._require_graded(store, names)

    def _require_graded(self, store: Store, names: list[str]) -> None:
        possible = [each.grade for each in grades_of(store, self.effective_month).grades]
        if not possible:
            _invalid("name the one that the store is in, or set the policy store_grades from that month on", "grade")
        for missing in possible:
            if missing not in names:
                _invalid(f"the policy store_grades may put the store into {missing}; give that a factor too", "grades")


def _require_between(value: Decimal, least: int, most: int, path: tuple[str | int, ...]) -> None:
    if not value.is_finite() or not least <= value <= most or -int(plain(value).as_tuple().exponent) > MAX_PLACES:
        _invalid(f"it lies between {least} and {most} and has at most {MAX_PLACES} places", *path)


def _invalid(why: str, *path: str | int) -> NoReturn:
    raise InvalidField(why=why, path=path)


class ApproveCommissionScheme(Command):
    """Put a proposed scheme of commission in force; by somebody else than who proposed it."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (SamePerson, CommissionMonthSettled)

    store_id: StoreId
    scheme_version: Annotated[int, Meta(ge=1, le=10**6, description="Which of the proposed ones.")]

    def decide(self, work: UnitOfWork) -> UUID:
        """Check who proposed it, then put it in force; asked twice, recorded once."""
        approve(work.store(self.store_id), self.scheme_version, work.actor.id, work.occurred_at)
        return self.store_id


class SettleCommission(Command):
    """Freeze what staff are paid for a month, and correct what was paid for months before."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store
    ROLES: ClassVar[frozenset[Role]] = CASHIERS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (
        CommissionSchemeMissing,
        CommissionAlreadySettled,
        CommissionEarlierMonthOpen,
        CommissionMonthNotOver,
        CommissionFiguresOutdated,
        CommissionGradeUnknown,
    )

    store_id: StoreId
    month: Annotated[date, Meta(description="The first day of the month, in the store's calendar; it is over.")]

    def decide(self, work: UnitOfWork) -> UUID:
        """Work it out from the figures that were read for it."""
        store = work.store(self.store_id)
        require_month(self.month)
        figures = work.figures if isinstance(work.figures, CommissionFigures) else None
        settle(store, self.month, figures, work.actor.id, work.occurred_at)
        return store.id
