"""Questions about key figures: what there are, what they were in any window, and which events made a cell."""

# Strawberry declares its field decorator untyped; the resolvers themselves are checked.
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Any
from uuid import UUID

import strawberry

from opscore.api import kpis as views
from opscore.api.arguments import (
    After,
    AtLeast,
    ContextInfo,
    First,
    FromDay,
    StoreIds,
    ToDay,
    stores,
    window_of_days,
)
from opscore.api.errors import BadInput
from opscore.api.ids import key_of
from opscore.api.lists import PageArguments
from opscore.api.paging import Connection
from opscore.api.selected import wants_total
from opscore.domain.order_events import ReturnReason
from opscore.domain.values import TrafficSource
from opscore.kpis import Asked, KpiComparison, KpiGrain, OneCell

Code = Annotated[str, strawberry.argument(description="Code of the figure, such as K017.")]
Grain = Annotated[KpiGrain, strawberry.argument(description="How long its windows are.")]
Channel = Annotated[str | None, strawberry.argument(description="Only what came through this channel.")]
OfSku = Annotated[strawberry.ID | None, strawberry.argument(description="Only this article.")]
OfCampaign = Annotated[strawberry.ID | None, strawberry.argument(description="Only what counts for this campaign.")]
OfReason = Annotated[
    ReturnReason | None, strawberry.argument(description="Only what somebody wanted to send back for this reason.")
]
OfTier = Annotated[str | None, strawberry.argument(description="Only members of this tier.")]
OfLocation = Annotated[strawberry.ID | None, strawberry.argument(description="Only what lies at this location.")]
OfBatch = Annotated[str | None, strawberry.argument(description="Only units of this batch.")]
OfAge = Annotated[str | None, strawberry.argument(description="Only units of this age band, such as 31-90 (days).")]
OfSupplier = Annotated[UUID | None, strawberry.argument(description="Only what was bought of this supplier.")]
OfCategory = Annotated[str | None, strawberry.argument(description="Only costs of this category.")]
OfAgent = Annotated[
    str | None,
    strawberry.argument(description="Only orders in which this one of the staff helped; silent: nobody is named."),
]
OfSource = Annotated[TrafficSource | None, strawberry.argument(description="Only what came to the shop by this way.")]
OfDevice = Annotated[str | None, strawberry.argument(description="Only what came with this device, such as pc or app.")]
By = Annotated[
    views.KpiSlice | None,
    strawberry.argument(
        description="Break it down: rows of their own for the largest slices, and one row for all others together."
    ),
]
KpiMoment = Annotated[
    views.KpiAsOf | None,
    strawberry.argument(
        description="What we knew then: later reports, refunds, mergers and shipments are left out. Now if left out."
    ),
]


def _asked(
    info: ContextInfo,
    window: tuple[Any, Any, KpiGrain],
    store_ids: list[strawberry.ID] | None,
    channel: str | None,
    sku_id: strawberry.ID | None,
    campaign_id: strawberry.ID | None,
    reason: ReturnReason | None = None,
    tier: str | None = None,
    location_id: strawberry.ID | None = None,
    batch: str | None = None,
    age: str | None = None,
    supplier_id: UUID | None = None,
    category: str | None = None,
    agent: str | None = None,
    source: TrafficSource | None = None,
    device: str | None = None,
    by: views.KpiSlice | None = None,
) -> Asked:
    scope: list[UUID] | None = stores(info.context, store_ids)
    return Asked(
        from_day=window[0],
        to_day=window[1],
        grain=window[2],
        store_ids=scope,
        now=datetime.now(UTC),
        channel=channel,
        sku_id=None if sku_id is None else key_of(sku_id, "Sku"),
        campaign_id=None if campaign_id is None else key_of(campaign_id, "Campaign"),
        reason=None if reason is None else reason.value,
        tier=tier,
        location_id=None if location_id is None else key_of(location_id, "Location"),
        batch=batch,
        age=age,
        supplier_id=supplier_id,
        category=category,
        agent=agent,
        source=None if source is None else source.value,
        device=device,
        by=None if by is None else by.value.lower(),
    )


@strawberry.type
class KpiQueries:
    """Questions about key figures."""

    @strawberry.field(
        description="Every key figure: what it asks, how it is worked out, from what, and when it is null; with "
        "`past`, by what was in force when, oldest first."
    )
    async def kpi_definitions(
        self,
        info: ContextInfo,
        code: Annotated[str | None, strawberry.argument(description="Only the figure of this code.")] = None,
        past: Annotated[
            bool, strawberry.argument(description="Every version that was ever in force here, and when.")
        ] = False,
    ) -> list[views.KpiDefinition]:
        return await info.context.services.read(views.definitions, info.context, code, past)

    @strawberry.field(
        description="A key figure of these stores together, window by window. Different buyers are counted exactly "
        "over each window and never added up."
    )
    async def kpi(
        self,
        info: ContextInfo,
        code: Code,
        from_day: FromDay,
        to_day: ToDay,
        grain: Grain,
        store_ids: StoreIds = None,
        channel: Channel = None,
        sku_id: OfSku = None,
        campaign_id: OfCampaign = None,
        reason: OfReason = None,
        tier: OfTier = None,
        location_id: OfLocation = None,
        batch: OfBatch = None,
        age: OfAge = None,
        supplier_id: OfSupplier = None,
        category: OfCategory = None,
        agent: OfAgent = None,
        source: OfSource = None,
        device: OfDevice = None,
        by: By = None,
        top: Annotated[
            int,
            strawberry.argument(
                description="With `by`: how many slices of each currency have rows of their own, by their value over "
                "all the days; 1 to 100."
            ),
        ] = 10,
        compare: Annotated[
            KpiComparison | None, strawberry.argument(description="Set each window beside an earlier one.")
        ] = None,
        as_of: KpiMoment = None,
        at_least: AtLeast = None,
    ) -> views.KpiAnswer:
        context = info.context
        asked = _asked(
            info, (from_day, to_day, grain), store_ids, channel, sku_id, campaign_id, reason, tier, location_id, batch,
            age, supplier_id, category, agent, source, device, by,
        )  # fmt: skip
        return await context.services.read(
            views.answer, context, views.find(code), asked, compare, at_least, as_of, top
        )

    @strawberry.field(
        description="The platform book and the accounting book of these stores, side by side, window by window."
    )
    async def sales_books(
        self,
        info: ContextInfo,
        from_day: FromDay,
        to_day: ToDay,
        grain: Grain,
        store_ids: StoreIds = None,
        as_of: KpiMoment = None,
        at_least: AtLeast = None,
    ) -> views.SalesBooks:
        context = info.context
        asked = _asked(info, (from_day, to_day, grain), store_ids, None, None, None)
        return await context.services.read(views.books, context, asked, at_least, as_of)

    @strawberry.field(
        description="The rows behind one side of a cell, oldest event first: counted as the definition's source says, "
        "all of them make the cell. The window is the row's own: startsOn, endsOn, hour and currency; of a breakdown "
        "its slice too."
    )
    async def explain_kpi(
        self,
        info: ContextInfo,
        code: Code,
        from_day: FromDay,
        to_day: ToDay,
        grain: Grain,
        side: Annotated[views.KpiSide, strawberry.argument(description="Which side is opened.")],
        store_ids: StoreIds = None,
        channel: Channel = None,
        sku_id: OfSku = None,
        campaign_id: OfCampaign = None,
        reason: OfReason = None,
        tier: OfTier = None,
        location_id: OfLocation = None,
        batch: OfBatch = None,
        age: OfAge = None,
        supplier_id: OfSupplier = None,
        category: OfCategory = None,
        agent: OfAgent = None,
        source: OfSource = None,
        device: OfDevice = None,
        by: Annotated[
            views.KpiSlice | None, strawberry.argument(description="What the breakdown is by that the row is of.")
        ] = None,
        of_slice: Annotated[
            str | None, strawberry.argument(name="slice", description="The row's slice; empty: what is of none.")
        ] = None,
        rest_of: Annotated[
            list[str] | None,
            strawberry.argument(description="For the row of all others: the slices of the answer that it leaves out."),
        ] = None,
        hour: Annotated[int | None, strawberry.argument(description="The row's hour.")] = None,
        currency_code: Annotated[str | None, strawberry.argument(description="The row's currency.")] = None,
        first: First = None,
        after: After = None,
        as_of: KpiMoment = None,
    ) -> Connection[views.KpiFact]:
        context = info.context
        asked = _asked(
            info, (from_day, to_day, grain), store_ids, channel, sku_id, campaign_id, reason, tier, location_id, batch,
            age, supplier_id, category, agent, source, device, by,
        )  # fmt: skip
        if (asked.by is None) != (of_slice is None and rest_of is None) or (
            of_slice is not None and rest_of is not None
        ):
            raise BadInput("A row of a breakdown is opened with `by` and either its `slice` or `restOf`.")
        part = None if of_slice is None or asked.by is None else views.slice_key(asked.by, of_slice)
        others = None if rest_of is None or asked.by is None else [views.slice_key(asked.by, each) for each in rest_of]
        found: Connection[views.KpiFact] = await context.services.read(
            views.explained,
            context,
            views.find(code),
            side,
            asked,
            OneCell(hour, currency_code, part, None if others is None else tuple(others)),
            PageArguments(first, after, None, None),
            as_of,
            wants_total(info),
        )
        return found

    @strawberry.field(
        description="Of the customers whose first paid order fell into the window, month by month: how many paid "
        "again, and how many months later."
    )
    async def retention_cohorts(
        self,
        info: ContextInfo,
        from_day: FromDay,
        to_day: ToDay,
        store_ids: StoreIds = None,
        at_least: AtLeast = None,
        as_of: KpiMoment = None,
    ) -> list[views.RetentionCohort]:
        context = info.context
        asked = window_of_days(from_day, to_day)
        return await context.services.read(views.cohorts, context, asked, stores(context, store_ids), at_least, as_of)

    @strawberry.field(
        description="The payments behind a cell of retentionCohorts, oldest first: `activeCustomers` are their "
        "different buyers, `customers` those of `monthsLater` 0. The days and stores are those of the question."
    )
    async def explain_retention_cohort(
        self,
        info: ContextInfo,
        from_day: FromDay,
        to_day: ToDay,
        starts_on: Annotated[date, strawberry.argument(description="The cell's month, by its first day.")],
        months_later: Annotated[int, strawberry.argument(description="The cell's number of months later.")],
        store_ids: StoreIds = None,
        first: First = None,
        after: After = None,
        as_of: KpiMoment = None,
    ) -> Connection[views.RetentionPayment]:
        context = info.context
        found: Connection[views.RetentionPayment] = await context.services.read(
            views.cohort_payments,
            context,
            window_of_days(from_day, to_day),
            (starts_on, months_later),
            stores(context, store_ids),
            PageArguments(first, after, None, None),
            as_of,
            wants_total(info),
        )
        return found
