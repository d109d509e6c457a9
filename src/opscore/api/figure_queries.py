"""Questions about figures: sales, stock, campaigns, customers, each open down to the events behind it."""

# Strawberry declares its field decorator untyped; the resolvers themselves are checked.
# mypy: disable-error-code="untyped-decorator"
# ruff: noqa: A002 -- arguments are called what the schema calls them.

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

import strawberry

from opscore.api import figures, order_lists, results, stock
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
    few,
    skus,
    stores,
    window_of_days,
)
from opscore.api.errors import BadInput
from opscore.api.filters import condition
from opscore.api.ids import key_of
from opscore.api.lists import PageArguments
from opscore.api.orders import Order
from opscore.api.paging import Connection, connection, number, window
from opscore.api.scalars import Json, Position
from opscore.api.selected import selected_of, wants_total

KnownAt = Annotated[
    stock.StockKnownAt | None,
    strawberry.argument(
        description="With a time at which things happened: up to when they were known; now if left out."
    ),
]
Known = Annotated[
    stock.StockKnownAt | None, strawberry.argument(description="Up to when it was known; now if left out.")
]


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
        asked = {**window_of_days(from_day, to_day), "currency": currency_code}
        return await context.services.read(
            figures.kpi_days, context, asked, stores(context, store_ids), at_least, selected_of(info)
        )

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
        asked = {"grain": grain.value, **window_of_days(from_day, to_day), "currency": currency_code}
        return await context.services.read(
            figures.kpi_periods, context, asked, stores(context, store_ids), at_least, selected_of(info)
        )

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
        asked = {**window_of_days(from_day, to_day), "currency": currency_code}
        return await context.services.read(
            figures.kpi_totals, context, asked, stores(context, store_ids), at_least, selected_of(info)
        )

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

    @strawberry.field(
        description="What is where now, article by article and place by place: what is sold out, what is low, what "
        "lies in a warehouse. Where an article never had a unit there is no row."
    )
    async def stock_balances(
        self,
        info: ContextInfo,
        filter: Annotated[
            stock.StockBalanceFilter | None, strawberry.argument(description="Which rows; all if left out.")
        ] = None,
        sort: Annotated[
            stock.StockBalanceSort | None,
            strawberry.argument(description="In which order; by the articles' codes if left out."),
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        at_least: AtLeast = None,
    ) -> Connection[stock.StockRow]:
        context = info.context
        asked = condition(filter, context.viewer.role)
        page = PageArguments(first, after, last, before)
        shown = selected_of(info).of_rows()
        return await context.services.read(
            stock.balances, context, asked, sort, page, wants_total(info), shown, at_least
        )

    @strawberry.field(
        description="Where the units of an article were at a moment, on either axis of time or on both: what had "
        "happened by then, as it was known by then."
    )
    async def stock_as_of(
        self,
        info: ContextInfo,
        sku_id: SkuId,
        as_of: Annotated[stock.StockAsOf, strawberry.argument(description="The moment.")],
        known_at: KnownAt = None,
        at_least: AtLeast = None,
    ) -> list[stock.PastStock]:
        context = info.context
        return await context.services.read(stock.past_levels, context, key_of(sku_id, "Sku"), as_of, known_at, at_least)

    @strawberry.field(
        description="What is left of each batch of these articles, now or as of a moment. A movement is of the batch "
        "that it named; units that moved without are of none."
    )
    async def stock_batches(
        self,
        info: ContextInfo,
        sku_ids: SkuIds,
        location_id: Annotated[UUID | None, strawberry.argument(description="Only this place.")] = None,
        batch: Annotated[str | None, strawberry.argument(description="Only this batch.")] = None,
        as_of: Annotated[
            stock.StockAsOf | None, strawberry.argument(description="The moment; now if left out.")
        ] = None,
        known_at: KnownAt = None,
        at_least: AtLeast = None,
    ) -> list[stock.StockBatch]:
        context = info.context
        return await context.services.read(
            stock.batches, context, skus(sku_ids), location_id, batch, as_of, known_at, at_least
        )

    @strawberry.field(
        description="Every movement of an article in the order in which it was recorded, with the balance after "
        "it; `valuedMovements` has them by when they happened."
    )
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
        asked = stock.ledger_of(key_of(sku_id, "Sku"), location_id, until_position)
        page = PageArguments(first, after, last, before)
        return await context.services.read(stock.movements, context, asked, None, page, wants_total(info), at_least)

    @strawberry.field(
        description="Movements of any articles, latest recorded first unless sorted: what was written off this week, "
        "what an order took."
    )
    async def stock_movements(
        self,
        info: ContextInfo,
        filter: Annotated[
            stock.StockMovementFilter | None, strawberry.argument(description="Which movements; all if left out.")
        ] = None,
        sort: Annotated[
            stock.StockMovementSort | None,
            strawberry.argument(description="In which order; latest recorded first if left out."),
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        at_least: AtLeast = None,
    ) -> Connection[stock.StockMovement]:
        context = info.context
        asked = condition(filter, context.viewer.role)
        page = PageArguments(first, after, last, before)
        sort = sort or stock.LATEST
        return await context.services.read(stock.movements, context, asked, sort, page, wants_total(info), at_least)

    @strawberry.field(description="The articles whose stock is worth most, by the costing method of their home store.")
    async def stock_worth(
        self,
        info: ContextInfo,
        first: Annotated[int, strawberry.argument(description="How many, 1 to 100.")],
        store_ids: StoreIds = None,
        at_least: AtLeast = None,
    ) -> list[stock.StockWorth]:
        context = info.context
        return await context.services.read(stock.worth, context, first, stores(context, store_ids), at_least)

    @strawberry.field(
        description="What these articles were worth at true cost (moving average or FIFO, as their home store's policy "
        "`costing` says): at a time, corrected by what came late, or as it was known at a position."
    )
    async def stock_valuation(
        self,
        info: ContextInfo,
        sku_ids: SkuIds,
        occurred_at: Annotated[
            datetime | None, strawberry.argument(description="By what had happened at this time; now if left out.")
        ] = None,
        known_at: Annotated[
            Position | None,
            strawberry.argument(description="By what the log said at this position; all of it if left out."),
        ] = None,
        recorded_at: Annotated[
            datetime | None, strawberry.argument(description="By what the log said at this time; instead of knownAt.")
        ] = None,
        at_least: AtLeast = None,
    ) -> list[stock.StockValuation]:
        context = info.context
        asked = {"sku_ids": skus(sku_ids), "occurred_at": occurred_at, "position": known_at}
        return await context.services.read(stock.valuation, context, asked, recorded_at, context.store_ids, at_least)

    @strawberry.field(
        description="Units of these articles by what they cost, oldest first: layers of FIFO, or all at their average."
    )
    async def stock_layers(
        self, info: ContextInfo, sku_ids: SkuIds, at_least: AtLeast = None
    ) -> list[stock.StockLayer]:
        context = info.context
        return await context.services.read(stock.layers, context, skus(sku_ids), at_least)

    @strawberry.field(
        description="The movements of an article that changed its value, by when they happened, each as it was "
        "recorded and with what was learnt since."
    )
    async def valued_movements(
        self,
        info: ContextInfo,
        sku_id: SkuId,
        known_at: Known = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        at_least: AtLeast = None,
    ) -> Connection[stock.ValuedMovement]:
        context = info.context
        page = PageArguments(first, after, last, before)
        return await context.services.read(
            stock.valued_movements, context, key_of(sku_id, "Sku"), known_at, page, wants_total(info), at_least
        )

    @strawberry.field(
        description="What later records taught about the value of earlier movements, as it was learnt one by one."
    )
    async def stock_adjustments(
        self,
        info: ContextInfo,
        sku_id: Annotated[strawberry.ID | None, strawberry.argument(description="Only this article.")] = None,
        cause_position: Annotated[
            Position | None, strawberry.argument(description="Only what this record taught.")
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        at_least: AtLeast = None,
    ) -> Connection[stock.StockAdjustment]:
        context = info.context
        page = PageArguments(first, after, last, before)
        of = None if sku_id is None else key_of(sku_id, "Sku")
        return await context.services.read(
            stock.adjustments, context, of, cause_position, page, wants_total(info), at_least
        )

    @strawberry.field(
        description="What the goods cost that left in each period, less those that came back, by the costing method of "
        "each article's home store; an entry for each currency."
    )
    async def cogs_periods(
        self,
        info: ContextInfo,
        grain: Annotated[figures.Grain, strawberry.argument(description="How long a period is.")],
        from_day: Annotated[date, strawberry.argument(description="First day of the window, in that time zone.")],
        to_day: ToDay,
        time_zone: Annotated[str, strawberry.argument(description="IANA zone whose days these are.")] = "UTC",
        sku_ids: Annotated[
            list[strawberry.ID] | None, strawberry.argument(description="Only these articles, at most 100.")
        ] = None,
        known_at: Known = None,
        store_ids: StoreIds = None,
        at_least: AtLeast = None,
    ) -> list[stock.CogsPeriod]:
        context = info.context
        of = None if sku_ids is None else skus(sku_ids)
        asked = {"grain": grain.value, "time_zone": time_zone, "sku_ids": of, **window_of_days(from_day, to_day)}
        return await context.services.read(
            stock.cogs_periods, context, asked, known_at, stores(context, store_ids), at_least
        )

    @strawberry.field(
        description="What all the stock of these stores is worth, by the costing method of each article's home store; "
        "one entry for each currency."
    )
    async def stock_totals(
        self, info: ContextInfo, store_ids: StoreIds = None, at_least: AtLeast = None
    ) -> list[stock.StockTotal]:
        context = info.context
        return await context.services.read(stock.totals, context, stores(context, store_ids), at_least)

    @strawberry.field(description="Movements of these articles, by kind, over the whole ledger or what a filter finds.")
    async def stock_movement_totals(
        self,
        info: ContextInfo,
        sku_ids: SkuIds,
        filter: Annotated[
            stock.StockMovementFilter | None, strawberry.argument(description="Which movements; all if left out.")
        ] = None,
        at_least: AtLeast = None,
    ) -> list[stock.StockMovementTotal]:
        context = info.context
        return await context.services.read(
            stock.movement_totals, context, skus(sku_ids), condition(filter, context.viewer.role), at_least
        )

    @strawberry.field(
        description="Orders. A page costs the same few statements however long its lines are. Rows that arrive between "
        "pages neither hide a row nor show one twice; one that moves in the order meanwhile may be met twice or missed."
    )
    async def orders(
        self,
        info: ContextInfo,
        filter: Annotated[
            order_lists.OrderFilter | None, strawberry.argument(description="Which orders; all if left out.")
        ] = None,
        sort: Annotated[
            order_lists.OrderSort | None, strawberry.argument(description="In which order; latest first if left out.")
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        at_least: AtLeast = None,
    ) -> Connection[Order]:
        context = info.context
        wanted = selected_of(info)
        page = PageArguments(first, after, last, before)
        return await context.services.read(order_lists.orders, context, filter, sort, page, wanted, at_least)

    @strawberry.field(description="How many orders a filter finds and what they come to, one entry for each currency.")
    async def order_count(
        self,
        info: ContextInfo,
        filter: Annotated[
            order_lists.OrderFilter | None, strawberry.argument(description="Which orders; all if left out.")
        ] = None,
        at_least: AtLeast = None,
    ) -> list[order_lists.OrderCount]:
        context = info.context
        return await context.services.read(order_lists.count, context, filter, at_least)

    @strawberry.field(description="How many orders stand at each state, by store.")
    async def order_states(
        self, info: ContextInfo, store_ids: StoreIds = None, at_least: AtLeast = None
    ) -> list[order_lists.OrdersAtState]:
        context = info.context
        return await context.services.read(order_lists.states, context, stores(context, store_ids), at_least)

    @strawberry.field(description="What is to be done about orders before a moment, soonest first.")
    async def orders_due(
        self,
        info: ContextInfo,
        before: Annotated[datetime, strawberry.argument(description="The moment.")],
        first: Annotated[int, strawberry.argument(description="How many, 1 to 100.")] = 50,
        store_ids: StoreIds = None,
        at_least: AtLeast = None,
    ) -> list[order_lists.DueOrder]:
        context = info.context
        limit = few(first)
        return await context.services.read(
            order_lists.due, context, before, limit, stores(context, store_ids), at_least
        )

    @strawberry.field(
        description="The articles that sold most among paid orders, by amount after discounts. Every line of the "
        "window is added up, so a page that is looked at often names one; without, it is all that was ever sold."
    )
    async def top_skus(
        self,
        info: ContextInfo,
        first: Annotated[int, strawberry.argument(description="How many, 1 to 100.")] = 20,
        placed_from: Annotated[
            datetime | None, strawberry.argument(description="Of orders placed at this moment or later.")
        ] = None,
        placed_before: Annotated[
            datetime | None, strawberry.argument(description="Of orders placed before this moment.")
        ] = None,
        store_ids: StoreIds = None,
        at_least: AtLeast = None,
    ) -> list[order_lists.SkuSales]:
        context = info.context
        limit = few(first)
        if placed_from is not None and placed_before is not None and placed_from >= placed_before:
            raise BadInput(
                "No moment is at placedFrom or later and before placedBefore; give the earlier as placedFrom."
            )
        return await context.services.read(
            order_lists.top_skus, context, placed_from, placed_before, limit, stores(context, store_ids), at_least
        )

    @strawberry.field(description="What campaigns brought, latest first; an entry for each currency.")
    async def campaign_results(
        self,
        info: ContextInfo,
        campaign_ids: Annotated[
            list[strawberry.ID] | None, strawberry.argument(description="Only these campaigns, at most 100.")
        ] = None,
        first: Annotated[int, strawberry.argument(description="How many entries, 1 to 100.")] = 50,
        store_ids: StoreIds = None,
        at_least: AtLeast = None,
    ) -> list[results.CampaignResult]:
        context = info.context
        wanted = None if campaign_ids is None else [key_of(each, "Campaign") for each in campaign_ids]
        return await context.services.read(
            results.campaign_results, context, wanted, stores(context, store_ids), first, at_least
        )

    @strawberry.field(description="What is to be done for campaigns before a moment, soonest first.")
    async def campaigns_due(
        self,
        info: ContextInfo,
        before: Annotated[datetime, strawberry.argument(description="The moment.")],
        first: Annotated[int, strawberry.argument(description="How many, 1 to 100.")] = 50,
        store_ids: StoreIds = None,
        at_least: AtLeast = None,
    ) -> list[results.DueForCampaign]:
        context = info.context
        limit = few(first)
        return await context.services.read(
            results.campaigns_due, context, before, limit, stores(context, store_ids), at_least
        )

    @strawberry.field(description="What the figures know of these customers.")
    async def customer_cards(
        self,
        info: ContextInfo,
        customer_ids: Annotated[list[strawberry.ID], strawberry.argument(description="The customers, 1 to 100.")],
        at_least: AtLeast = None,
    ) -> list[results.CustomerCard]:
        context = info.context
        wanted = [key_of(each, "Customer") for each in customer_ids]
        return await context.services.read(results.customer_cards, context, wanted, at_least)

    @strawberry.field(description="The events behind any figure of a read model, oldest first.")
    async def explain(
        self,
        info: ContextInfo,
        projection: Annotated[str, strawberry.argument(description="The read model, such as stock_ledger.")],
        cell: Annotated[str, strawberry.argument(description="The table of the figure, such as stock_levels.")],
        key: Annotated[
            Json,
            strawberry.argument(
                description="The key of the row in the names of its columns, such as "
                '{"sku_id": "...", "location_id": "..."}; global ids are taken for *_id.'
            ),
        ],
        first: First = None,
        after: After = None,
        as_of: ExplainAsOf = None,
    ) -> Connection[figures.Contribution]:
        found: Connection[figures.Contribution] = await _explained(
            info, projection, cell, figures.explain_key(key), first, after, as_of
        )
        return found


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
    asked = window(binding, (number, number), first, after, None, None)
    counted = wants_total(info)

    def read() -> Any:
        rows = figures.explain(
            context,
            projection,
            cell,
            key,
            after=asked.numbers_after(2),
            limit=asked.fetch,
            as_of=as_of,
        )
        total = figures.explain_count(context, projection, cell, key, as_of) if counted else None

        def place(row: dict[str, Any]) -> list[Any]:
            return [row["position"], row["page_place"]]

        return connection(rows, asked, binding, place, figures.contribution, total=total)

    return await context.services.read(read)
