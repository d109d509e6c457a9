"""Questions about figures: sales, stock, campaigns, customers, each open down to the events behind it."""

# Strawberry declares its field decorator untyped; the resolvers themselves are checked.
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from datetime import date
from typing import Annotated, Any
from uuid import UUID

import strawberry

from opscore.api import figures, stock
from opscore.api.arguments import (
    After,
    AtLeast,
    Before,
    ContextInfo,
    CurrencyCode,
    ExplainAsOf,
    First,
    FromDay,
    Last,
    SkuId,
    SkuIds,
    StoreIds,
    ToDay,
    skus,
    stores,
)
from opscore.api.ids import key_of
from opscore.api.paging import Connection, connection, window
from opscore.api.scalars import Position


@strawberry.type
class FigureQueries:
    """Questions about figures."""

    @strawberry.field(description="What each store sold on each of its days, oldest first; at most 1100 days.")
    async def kpi_daily(
        self,
        info: ContextInfo,
        from_day: FromDay,
        to_day: ToDay,
        store_ids: StoreIds = None,
        currency_code: CurrencyCode = None,
        at_least: AtLeast = None,
    ) -> list[figures.KpiDay]:
        context = info.context
        asked = {"from_day": from_day, "to_day": to_day, "currency": currency_code}
        return await context.services.read(figures.kpi_days, context, asked, stores(context, store_ids), at_least)

    @strawberry.field(description="What these stores sold together in each period, oldest first.")
    async def kpi_periods(
        self,
        info: ContextInfo,
        grain: Annotated[figures.Grain, strawberry.argument(description="How long a period is.")],
        from_day: FromDay,
        to_day: ToDay,
        store_ids: StoreIds = None,
        currency_code: CurrencyCode = None,
        at_least: AtLeast = None,
    ) -> list[figures.KpiPeriod]:
        context = info.context
        asked = {"grain": grain.value, "from_day": from_day, "to_day": to_day, "currency": currency_code}
        return await context.services.read(figures.kpi_periods, context, asked, stores(context, store_ids), at_least)

    @strawberry.field(
        description="What these stores sold together over a window, one entry for each currency; buyers are different "
        "ones over the whole window."
    )
    async def kpi_totals(
        self,
        info: ContextInfo,
        from_day: FromDay,
        to_day: ToDay,
        store_ids: StoreIds = None,
        currency_code: CurrencyCode = None,
        at_least: AtLeast = None,
    ) -> list[figures.KpiTotal]:
        context = info.context
        asked = {"from_day": from_day, "to_day": to_day, "currency": currency_code}
        return await context.services.read(figures.kpi_totals, context, asked, stores(context, store_ids), at_least)

    @strawberry.field(description="The payments and refunds behind the figures of one store, day and currency.")
    async def kpi_explain(
        self,
        info: ContextInfo,
        store_id: Annotated[strawberry.ID, strawberry.argument(description="The store.")],
        day: Annotated[date, strawberry.argument(description="The day.")],
        currency_code: Annotated[str, strawberry.argument(description="The currency.")],
        first: First = None,
        after: After = None,
        as_of: ExplainAsOf = None,
    ) -> Connection[figures.Contribution]:
        key = {"store_id": key_of(store_id, "Store"), "day": day, "currency": currency_code}
        found: Connection[figures.Contribution] = await _explained(
            info, "kpi_daily", "kpi_daily", key, first, after, as_of
        )
        return found

    @strawberry.field(description="Where the units of these articles are now, as the ledger has them.")
    async def stock_levels(
        self,
        info: ContextInfo,
        sku_ids: SkuIds,
        location_id: Annotated[UUID | None, strawberry.argument(description="Only this place.")] = None,
        at_least: AtLeast = None,
    ) -> list[stock.StockBalance]:
        context = info.context
        return await context.services.read(stock.levels, context, skus(sku_ids), location_id, at_least)

    @strawberry.field(description="Where the units of an article were at a moment, on either axis of time.")
    async def stock_as_of(
        self,
        info: ContextInfo,
        sku_id: SkuId,
        as_of: Annotated[stock.StockAsOf, strawberry.argument(description="The moment.")],
        at_least: AtLeast = None,
    ) -> list[stock.PastStock]:
        context = info.context
        return await context.services.read(stock.past_levels, context, key_of(sku_id, "Sku"), as_of, at_least)

    @strawberry.field(description="Every movement of an article, oldest first, with the balance after it.")
    async def stock_ledger(
        self,
        info: ContextInfo,
        sku_id: SkuId,
        location_id: Annotated[UUID | None, strawberry.argument(description="Only this place.")] = None,
        until_position: Annotated[
            Position | None, strawberry.argument(description="Only events up to this position of the log.")
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        at_least: AtLeast = None,
    ) -> Connection[stock.StockMovement]:
        context = info.context
        page = (first, after, last, before)
        return await context.services.read(
            stock.ledger, context, key_of(sku_id, "Sku"), location_id, until_position, page, at_least
        )

    @strawberry.field(description="The articles whose stock is worth most, at moving average cost.")
    async def stock_worth(
        self,
        info: ContextInfo,
        first: Annotated[int, strawberry.argument(description="How many, 1 to 100.")],
        store_ids: StoreIds = None,
        at_least: AtLeast = None,
    ) -> list[stock.StockWorth]:
        context = info.context
        return await context.services.read(stock.worth, context, first, stores(context, store_ids), at_least)

    @strawberry.field(description="What all the stock of these stores is worth, one entry for each currency.")
    async def stock_totals(
        self, info: ContextInfo, store_ids: StoreIds = None, at_least: AtLeast = None
    ) -> list[stock.StockTotal]:
        context = info.context
        return await context.services.read(stock.totals, context, stores(context, store_ids), at_least)

    @strawberry.field(description="All movements of these articles, by kind, over the whole ledger.")
    async def stock_movement_totals(
        self, info: ContextInfo, sku_ids: SkuIds, at_least: AtLeast = None
    ) -> list[stock.StockMovementTotal]:
        context = info.context
        return await context.services.read(stock.movement_totals, context, skus(sku_ids), at_least)


async def _explained(
    info: ContextInfo,
    projection: str,
    cell: str,
    key: dict[str, Any],
    first: int | None,
    after: str | None,
    as_of: int | None,
) -> Any:
    context = info.context
    binding = f"explain:{projection}:{cell}:{sorted(key.items())}:{as_of}"
    asked = window(binding, 1, first, after, None, None)

    def read() -> Any:
        rows = figures.explain(
            context,
            projection,
            cell,
            key,
            after=asked.after[0] if asked.after else 0,
            limit=asked.fetch,
            as_of=as_of,
        )
        return connection(rows, asked, binding, lambda row: [row["position"]], figures.contribution)

    return await context.services.read(read)
