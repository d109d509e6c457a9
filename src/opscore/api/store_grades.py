"""The grades of stores: what their figures of a month come to by the policy `store_grades`."""

# Strawberry declares its field decorator untyped; the resolvers themselves are checked.
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Annotated
from uuid import UUID

import strawberry

from opscore import kpis
from opscore.api import reads
from opscore.api.arguments import AtLeast, ContextInfo, few
from opscore.api.context import Context
from opscore.api.errors import BadInput
from opscore.api.ids import key_of
from opscore.api.kpis import KpiAsOf, broken_down, find, moment, position_reached, rests_on
from opscore.api.nodes import store_gid
from opscore.api.policies import gone_by
from opscore.api.scalars import Position
from opscore.domain.calendars import last_of_month
from opscore.domain.policies import StoreGrades
from opscore.domain.store import Store
from opscore.domain.store_grades import StoreFigures, begins, graded, meets
from opscore.kpis import Asked, KpiGrain

BASE = "K109B"
"""The key figure that commissions are counted from, and with which growth over their base is told (K027)."""
GRADED_BY = (BASE, "K025", "K098R", "K082S")
"""The key figures that a grade goes by: growth, attainment, margin, breaches."""


@strawberry.type(description="The figures of a store in a month that its grade goes by; `explainKpi` opens them.")
class StoreGradeFigures:
    attainment: Decimal | None = strawberry.field(description="Sales by the month's target (K025); null without one.")
    growth: Decimal | None = strawberry.field(
        description="Growth over the base of the commission scheme in force (K027, K109B); null without one."
    )
    margin: Decimal | None = strawberry.field(description="Gross margin by net sales (K098R); null without sales.")
    breach_share: Decimal | None = strawberry.field(
        description="Orders not shipped at the latest by the hard promise, by orders due (K082S); null if none was due."
    )


@strawberry.type(description="A grade that a store can be in, and what it asks of a month; null: that does not matter.")
class StoreGradeTerms:
    grade: str = strawberry.field(description="The grade.")
    attainment_min: Decimal | None = strawberry.field(description="So much of the sales target at least.")
    growth_min: Decimal | None = strawberry.field(description="So much growth at least.")
    margin_min: Decimal | None = strawberry.field(description="So much margin at least.")
    breach_share_max: Decimal | None = strawberry.field(description="Such a share of breaches at most.")
    met: bool = strawberry.field(
        description="Whether the figures meet all of it, exact and not as they are rounded here. What is not known is "
        "not met; where no order was due, no promise was broken."
    )


@strawberry.type(description="The grade of a store in a month (K110); it runs on until the month's figures are final.")
class StoreGrade:
    store_id: strawberry.ID = strawberry.field(description="The store.")
    month: date = strawberry.field(description="First day of the month, in the store's calendar.")
    grade: str | None = strawberry.field(description="The best grade whose terms are all met; null if none is.")
    figures: StoreGradeFigures = strawberry.field(description="What it goes by.")
    policy_version: int = strawberry.field(
        description="The version of the policy `store_grades` that it goes by; 0: none was set, and there is no grade."
    )
    terms: list[StoreGradeTerms] = strawberry.field(description="The grades of that version, best first.")
    known_at_position: Position = strawberry.field(
        description="Every event of the log up to this position is in the figures, and none behind it."
    )
    settled_grade: str | None = strawberry.field(
        description="The grade that commissions of the month were settled by; null before, and where there was none. "
        "What is learnt later changes `grade` and not this."
    )


@strawberry.type
class StoreGradeQueries:
    """Questions about the grades of stores."""

    @strawberry.field(
        description="The grades of stores in a month, in the order in which the stores are asked for; one that the "
        "token may not see is left out."
    )
    async def store_grades(
        self,
        info: ContextInfo,
        store_ids: Annotated[list[strawberry.ID], strawberry.argument(description="The stores, 1 to 100.")],
        month: Annotated[date, strawberry.argument(description="Any day of the month, in the stores' calendars.")],
        policy_version: Annotated[
            int | None,
            strawberry.argument(
                description="Grade it by this version of the policy `store_grades`, to see what that would make of the "
                "month; left out: by the one that was in force when the month began."
            ),
        ] = None,
        as_of: Annotated[
            KpiAsOf | None,
            strawberry.argument(description="What we knew then: later sales, refunds and shipments are left out."),
        ] = None,
        at_least: AtLeast = None,
    ) -> list[StoreGrade]:
        context = info.context
        few(len(store_ids))
        if month.year < 1900:
            raise BadInput(f"There are figures since 1900; {month} lies before.")
        keys = list(dict.fromkeys(key_of(each, "Store") for each in store_ids))
        return await context.services.read(
            store_grades, context, keys, month.replace(day=1), policy_version, as_of, at_least
        )


def store_grades(
    context: Context,
    store_ids: Sequence[UUID],
    month: date,
    policy_version: int | None,
    as_of: KpiAsOf | None,
    at_least: int | None,
) -> list[StoreGrade]:
    """Return the grades of the stores that the viewer may see (blocking). Raises BadInput for an unknown version."""
    reached = position_reached(context, rests_on(GRADED_BY), at_least)
    then = moment(context, as_of)
    position = min(reached, then.get("as_of", reached))
    found = [reads.one(context, Store, each, position=position) for each in store_ids]
    stores = [store for store in found if store is not None]
    figures = measured(context, stores, month, position, then["now"])
    return [_graded(store, month, policy_version, figures[store.id], position) for store in stores]


def measured(
    context: Context, stores: Sequence[Store], month: date, position: int, now: datetime
) -> dict[UUID, StoreFigures]:
    """Return the figures of stores in a month as they were known at a position (blocking). stores: as of it.

    now: promises that fall due later (UTC) are broken by nobody yet.
    """
    asked = Asked(
        from_day=month,
        to_day=last_of_month(month),
        grain=KpiGrain.MONTH,
        store_ids=[each.id for each in stores],
        now=now,
        as_of=position,
        by=kpis.STORE,
    )
    cells = {code: broken_down(context, code, asked) for code in GRADED_BY}

    def value(code: str, store: Store) -> Fraction | None:
        currency = store.currency if find(code).by_currency else None
        cell = cells[code].get((month, None, currency, str(store.id)))
        return None if cell is None else cell.value

    return {
        store.id: StoreFigures(
            attainment=value("K025", store),
            growth=_growth(store, month, value(BASE, store)),
            margin=value("K098R", store),
            breach_share=value("K082S", store),
        )
        for store in stores
    }


def _growth(store: Store, month: date, net_sales_minor: Fraction | None) -> Fraction | None:
    scheme = store.commissions.in_force(month)
    return None if scheme is None else scheme.exact_growth(int(net_sales_minor or 0))


def _graded(store: Store, month: date, policy_version: int | None, figures: StoreFigures, position: int) -> StoreGrade:
    grades, version = gone_by(store, StoreGrades, begins(store, month), policy_version)
    settled = next((each for each in store.commissions.settlements if each.month == month), None)
    return StoreGrade(
        store_id=store_gid(store.id),
        month=month,
        grade=graded(grades, figures),
        figures=StoreGradeFigures(
            attainment=_ratio(figures.attainment),
            growth=_ratio(figures.growth),
            margin=_ratio(figures.margin),
            breach_share=_ratio(figures.breach_share),
        ),
        policy_version=version,
        terms=[
            StoreGradeTerms(
                grade=each.grade,
                attainment_min=each.attainment_min,
                growth_min=each.growth_min,
                margin_min=each.margin_min,
                breach_share_max=each.breach_share_max,
                met=meets(each, figures),
            )
            for each in grades.grades
        ],
        known_at_position=Position(position),
        settled_grade=None if settled is None else settled.grade,
    )


def _ratio(value: Fraction | None) -> Decimal | None:
    return None if value is None else kpis.rounded(value, kpis.RATIO_PLACES)
