"""Commission: schemes, what staff are due of a month as far as it is known, and what was settled."""

# Strawberry declares its field decorator untyped; the resolvers themselves are checked.
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import strawberry

from opscore.api import reads
from opscore.api.arguments import AtLeast, ContextInfo
from opscore.api.context import Context
from opscore.api.ids import key_of
from opscore.api.kpis import KpiAsOf, broken_down, moment, position_reached, rests_on
from opscore.api.money import Money, money
from opscore.api.scalars import Position
from opscore.api.store_grades import BASE, GRADED_BY, measured
from opscore.domain import commission_events as domain
from opscore.domain.calendars import last_of_month
from opscore.domain.commissions import CommissionFigures, MonthDue, SettleCommission, month_due
from opscore.domain.store import Store
from opscore.kpis import Asked, KpiGrain
from opscore.permissions import may_give, may_see_field


@strawberry.type(description="What part is due of what somebody sells above an amount in a month, up to the next tier.")
class CommissionTier:
    starts_at: Money = strawberry.field(description="From how much on.")
    rate: Decimal = strawberry.field(description="What part of it: 0.03 is 3 %.")


@strawberry.type(description="What commissions are multiplied by from so much growth over the base on.")
class CommissionGrowthStep:
    from_growth: Decimal = strawberry.field(description="From how much growth on: 0.1 is 10 %.")
    factor: Decimal = strawberry.field(description="The factor.")


@strawberry.type(description="What commissions are multiplied by in a store of a grade.")
class CommissionGrade:
    grade: str = strawberry.field(description="The grade.")
    factor: Decimal = strawberry.field(description="The factor.")


@strawberry.type(description="A scheme of commission: proposed by one person, in force once another has approved it.")
class CommissionScheme:
    scheme_version: int = strawberry.field(description="Its number, counted from 1 in the store.")
    effective_month: date = strawberry.field(description="First day of the month from which on it is in force.")
    approved: bool = strawberry.field(description="Whether it is approved.")
    proposed_by: str = strawberry.field(description="Who proposed it: a pseudonym.")
    approved_by: str | None = strawberry.field(description="Who approved it.")
    reason: str | None = strawberry.field(description="Why it was proposed.")
    tiers: list[CommissionTier] = strawberry.field(description="Its rates, lowest tier first.")
    base: Money | None = strawberry.field(description="What the store is to sell in a month; null: no growth counts.")
    growth_steps: list[CommissionGrowthStep] = strawberry.field(
        description="Factors by growth over the base, lowest first; below the first it is 1."
    )
    grades: list[CommissionGrade] = strawberry.field(description="Factors by the grade of the store.")
    grade: str | None = strawberry.field(
        description="The grade that the store is in; null with grades: that of each month's figures (`storeGrades`)."
    )
    absent_forfeits: bool = strawberry.field(
        description="Whether who leaves without leave is paid nothing that is not settled by then."
    )


@strawberry.type(description="What one of the staff is paid for a month: due and correction, less what is withheld.")
class CommissionLine:
    agent: str = strawberry.field(description="Who: the pseudonym that events name as the actor.")
    net_sales: Money = strawberry.field(
        description="What the month's orders that they helped in brought, less what went back of their goods since."
    )
    due: Money = strawberry.field(description="What is due of that.")
    correction: Money = strawberry.field(description="What is due besides of settled months; negative: too much then.")
    withheld: Money = strawberry.field(
        description="What is forfeited by leaving without leave; negative: what was, and is not due after all."
    )
    amount: Money = strawberry.field(description="What is paid.")


@strawberry.type(description="What a settled month comes to for one of the staff, as it is known now.")
class CommissionCorrection:
    month: date = strawberry.field(description="First day of the month.")
    agent: str = strawberry.field(description="Who.")
    net_sales: Money = strawberry.field(description="What they sold in it, as it is known now.")
    due: Money = strawberry.field(description="What is due of that, by the rates and factors it was settled with.")
    amount: Money = strawberry.field(description="How much more that is than was settled so far.")
    withheld: Money = strawberry.field(description="What of it is forfeited.")


@strawberry.type(description="A month as it was settled; it stays so.")
class CommissionSettlement:
    month: date = strawberry.field(description="First day of the month.")
    scheme_version: int = strawberry.field(description="The scheme that was in force.")
    known_at_position: Position = strawberry.field(
        description="The position of the log that it was made from: `commissions` as of it gives the same lines."
    )
    settled_by: str = strawberry.field(description="Who settled it.")
    settled_at: datetime = strawberry.field(description="When.")
    net_sales: Money | None = strawberry.field(
        description="Net sales of the store, orders without help included; null for who sees their own lines only."
    )
    growth: Decimal | None = strawberry.field(description="Growth over the base; null without one, and as netSales is.")
    growth_factor: Decimal = strawberry.field(description="What growth multiplied commissions by.")
    grade: str | None = strawberry.field(description="The grade that the store was in.")
    grade_factor: Decimal = strawberry.field(description="What the grade multiplied commissions by.")
    lines: list[CommissionLine] = strawberry.field(description="What each of the staff is paid.")
    corrections: list[CommissionCorrection] = strawberry.field(description="What the corrections are made of.")
    amount: Money | None = strawberry.field(description="What is paid in all; null for who sees their own lines only.")


@strawberry.type(description="What staff are due of a month, as far as it is known: it runs on until it is settled.")
class Commissions:
    month: date = strawberry.field(description="First day of the month.")
    scheme: CommissionScheme = strawberry.field(description="The scheme in force in it.")
    known_at_position: Position = strawberry.field(
        description="Every event of the log up to this position is in the figures, and none behind it."
    )
    net_sales: Money | None = strawberry.field(
        description="Net sales of the store, orders without help included; null for who sees their own line only."
    )
    growth: Decimal | None = strawberry.field(
        description="Growth over the base (K027); null without one, and as netSales is."
    )
    growth_factor: Decimal = strawberry.field(description="What growth multiplies commissions by.")
    grade: str | None = strawberry.field(description="The grade that the store is in, as far as it is known.")
    grade_factor: Decimal = strawberry.field(description="What the grade multiplies commissions by; 1 for none.")
    lines: list[CommissionLine] = strawberry.field(
        description="What each of the staff is due (K109); roles that do not see pay see their own line. Opened by "
        "`explainKpi` of K109B, by AGENT."
    )
    corrections: list[CommissionCorrection] = strawberry.field(
        description="What settled months before it come to now and did not then."
    )
    settlement: CommissionSettlement | None = strawberry.field(description="The month as it was settled, once it is.")


Moment = Annotated[
    KpiAsOf | None,
    strawberry.argument(description="What we knew then: later refunds and agents are left out. Now if left out."),
]


@strawberry.type
class CommissionQueries:
    """Questions about commissions."""

    @strawberry.field(
        description="What staff are due of a month of a store, running while it lasts. Null where no scheme is in "
        "force, and where the token may not see the store."
    )
    async def commissions(
        self,
        info: ContextInfo,
        store_id: Annotated[strawberry.ID, strawberry.argument(description="The store.")],
        month: Annotated[date, strawberry.argument(description="Any day of the month, in the store's calendar.")],
        as_of: Moment = None,
        at_least: AtLeast = None,
    ) -> Commissions | None:
        context, first = info.context, month.replace(day=1)
        return await context.services.read(running, context, key_of(store_id, "Store"), first, as_of, at_least)


def running(
    context: Context, store_id: UUID, month: date, as_of: KpiAsOf | None, at_least: int | None
) -> Commissions | None:
    """Return what a month comes to at a position, by default as far as the read models are (blocking)."""
    position, store = _known(context, store_id, (BASE,), as_of, at_least)
    if store is not None and _by_figures(store, month):
        position, store = _known(context, store_id, GRADED_BY, as_of, at_least)
    if store is None or store.commissions.in_force(month) is None:
        return None
    due = month_due(store, month, figures(context, store, month, position))
    assert due is not None
    return _running(store, due, position, context)


def _known(
    context: Context, store_id: UUID, codes: Iterable[str], as_of: KpiAsOf | None, at_least: int | None
) -> tuple[int, Store | None]:
    """Return up to which position figures are known of what is asked for, and the store there."""
    reached = position_reached(context, rests_on(codes), at_least)
    position = min(reached, moment(context, as_of).get("as_of", reached))
    return position, reads.one(context, Store, store_id, position=position)


def _by_figures(store: Store, month: date) -> bool:
    """Say whether the grade of a month is that of its figures, and not the one that its scheme names."""
    scheme = store.commissions.in_force(month)
    return scheme is not None and scheme.grades_by_figures


def figures(context: Context, store: Store, month: date, position: int) -> CommissionFigures:
    """Return what was sold in a month and the settled ones, as it was known at a position (blocking).

    store: as of that position.
    """
    first = min([month, *(each.month for each in store.commissions.settlements)])
    last = max([month, *(each.month for each in store.commissions.settlements)])
    asked = Asked(
        from_day=first,
        to_day=last_of_month(last),
        grain=KpiGrain.MONTH,
        store_ids=[store.id],
        now=datetime.now(UTC),
        as_of=position,
        by="agent",
    )
    cells = broken_down(context, BASE, asked)
    sold = {
        (starts_on, agent or ""): int(cell.value or 0)
        for (starts_on, _, currency, agent), cell in cells.items()
        if currency == store.currency
    }
    of_store = None
    if _by_figures(store, month):
        # As the clock stood at that position, so that the same position always gives the same figures.
        now = moment(context, KpiAsOf(position=Position(position)))["now"]
        of_store = measured(context, [store], month, position, now)[store.id]
    return CommissionFigures(position, store.version, sold, of_store)


def figures_to_settle(context: Context, command: Any, head: int) -> CommissionFigures | None:
    """Return what a settlement is made from, with all that was recorded up to `head` (blocking).

    None where the command will be refused whatever the figures are: by role, store or month. Raises Behind.
    """
    viewer = context.viewer
    if not isinstance(command, SettleCommission) or not may_give(viewer.role, SettleCommission):
        return None
    store = reads.one(context, Store, command.store_id, position=head)
    if store is None or command.month.day != 1:
        return None
    codes = GRADED_BY if _by_figures(store, command.month) else (BASE,)
    position_reached(context, rests_on(codes), head)
    return figures(context, store, command.month, head)


# Shown ---------------------------------------------------------------------------------------------------------------


def scheme_view(scheme: domain.CommissionScheme, currency: str) -> CommissionScheme:
    """Return a scheme as the API shows it."""
    return CommissionScheme(
        scheme_version=scheme.scheme_version,
        effective_month=scheme.effective_month,
        approved=scheme.approval is not None,
        proposed_by=scheme.proposed_by,
        approved_by=scheme.approved_by,
        reason=scheme.reason,
        tiers=[CommissionTier(starts_at=money(each.from_minor, currency), rate=each.rate) for each in scheme.tiers],
        base=None if scheme.base_minor is None else money(scheme.base_minor, currency),
        growth_steps=[
            CommissionGrowthStep(from_growth=each.from_growth, factor=each.factor) for each in scheme.growth_steps
        ],
        grades=[CommissionGrade(grade=each.grade, factor=each.factor) for each in scheme.grades],
        grade=scheme.grade,
        absent_forfeits=scheme.absent_forfeits,
    )


def settlement_view(
    settled: domain.CommissionSettlement, currency: str, only: str | None = None
) -> CommissionSettlement:
    """Return a settled month as the API shows it. only: whose lines alone; None: all."""
    return CommissionSettlement(
        month=settled.month,
        scheme_version=settled.scheme_version,
        known_at_position=Position(settled.known_at_position),
        settled_by=settled.settled_by,
        settled_at=settled.settled_at,
        net_sales=money(settled.net_sales_minor, currency) if only is None else None,
        growth=settled.growth if only is None else None,
        growth_factor=settled.growth_factor,
        grade=settled.grade,
        grade_factor=settled.grade_factor,
        lines=_lines(settled.lines, currency, only),
        corrections=_corrections(settled.corrections, currency, only),
        amount=money(settled.amount_minor, currency) if only is None else None,
    )


def _running(store: Store, due: MonthDue, position: int, context: Context) -> Commissions:
    viewer, currency = context.viewer, store.currency
    only = None if may_see_field(viewer.role, "Store.commissionSettlements") else viewer.id
    settled = next((each for each in store.commissions.settlements if each.month == due.month), None)
    return Commissions(
        month=due.month,
        scheme=scheme_view(due.scheme, currency),
        known_at_position=Position(position),
        net_sales=money(due.net_sales_minor, currency) if only is None else None,
        growth=due.growth if only is None else None,
        growth_factor=due.growth_factor,
        grade=due.grade,
        grade_factor=due.grade_factor,
        lines=_lines(due.lines, currency, only),
        corrections=_corrections(due.corrections, currency, only),
        settlement=None if settled is None else settlement_view(settled, currency, only),
    )


def _lines(lines: Iterable[domain.CommissionLine], currency: str, only: str | None) -> list[CommissionLine]:
    return [
        CommissionLine(
            agent=each.agent,
            net_sales=money(each.net_sales_minor, currency),
            due=money(each.due_minor, currency),
            correction=money(each.correction_minor, currency),
            withheld=money(each.withheld_minor, currency),
            amount=money(each.amount_minor, currency),
        )
        for each in lines
        if only in (None, each.agent)
    ]


def _corrections(
    corrections: Iterable[domain.CommissionCorrection], currency: str, only: str | None
) -> list[CommissionCorrection]:
    return [
        CommissionCorrection(
            month=each.month,
            agent=each.agent,
            net_sales=money(each.net_sales_minor, currency),
            due=money(each.due_minor, currency),
            amount=money(each.amount_minor, currency),
            withheld=money(each.withheld_minor, currency),
        )
        for each in corrections
        if only in (None, each.agent)
    ]
