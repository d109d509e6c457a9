"""Batches through the API: what expires where, which to pick first, who got units of one, where these came from."""

# Strawberry declares its field decorator untyped; the resolvers themselves are checked.
# mypy: disable-error-code="untyped-decorator"
# ruff: noqa: A002 -- arguments are called what the schema calls them.

from __future__ import annotations

import enum
from collections import defaultdict
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import strawberry

from opscore.api import reads
from opscore.api.arguments import After, AtLeast, Before, ContextInfo, First, Last, SkuId
from opscore.api.context import Context
from opscore.api.enums import expose
from opscore.api.figures import ask
from opscore.api.filters import (
    DayFilter,
    DecimalFilter,
    Direction,
    IdFilter,
    TextFilter,
    TimeFilter,
    UuidFilter,
    condition,
    either,
    every,
    on,
    without,
)
from opscore.api.ids import key_of
from opscore.api.lists import Listing, PageArguments, listed, rows_of
from opscore.api.nodes import gid, store_gid
from opscore.api.orders import Order, order_view
from opscore.api.paging import Connection
from opscore.api.scalars import Position
from opscore.api.selected import Selected, selected_of, wants_total
from opscore.domain import order as order_domain, sku as sku_domain
from opscore.domain.sku_state import first_expired
from opscore.domain.values import plain
from opscore.projector.lists import Column, Condition

OrderId = Annotated[strawberry.ID, strawberry.argument(description="The order.")]
BatchNumber = Annotated[str, strawberry.argument(description="Number of the batch.")]


@strawberry.type(description="What was said of a batch, and what keeps its units from being sold.")
class BatchNotes:
    produced_on: date | None = strawberry.field(description="Day on which it was made; null where nobody said.")
    expires_on: date | None = strawberry.field(
        description="Last day on which its units may be sold, by the calendar of the article's home store; null where "
        "nobody said."
    )
    place_of_origin: str | None = strawberry.field(description="Where it comes from; null where nobody said.")
    expired_at: datetime | None = strawberry.field(
        description="When its units were set aside after that day; null while they may be sold."
    )
    recalled_at: datetime | None = strawberry.field(
        description="When it was recalled; null when it was not, or may be sold after all."
    )
    recall_reason: str | None = strawberry.field(description="Why it was recalled.")


@strawberry.type(description="What is left of one batch at one place, with what is known of the batch.")
class BatchInStock:
    sku_id: strawberry.ID = strawberry.field(description="The article.")
    sku_code: str = strawberry.field(description="Its code.")
    name: str = strawberry.field(description="Its name.")
    category: str = strawberry.field(description="Its category.")
    store_id: strawberry.ID = strawberry.field(description="Its home store.")
    location_id: UUID = strawberry.field(description="The place.")
    batch: str = strawberry.field(description="Number of the batch.")
    unit: str = strawberry.field(description="What one of it is.")
    on_hand: Decimal = strawberry.field(
        description="Units that are there; below zero, more left under this number than had come in under it."
    )
    quarantined: Decimal = strawberry.field(
        description="Of these, units that nobody may sell until they are looked at, or because of their batch."
    )
    damaged: Decimal = strawberry.field(description="Of these, units that cannot be sold.")
    good: Decimal = strawberry.field(
        description="The others. Of a batch that may not be sold, orders hold as many of the article, and wait for "
        "units of another one."
    )
    in_transit: Decimal = strawberry.field(description="Units on the way here.")
    notes: BatchNotes = strawberry.field(description="What is known of the batch.")


@strawberry.input(description="What is left of batches; all that is given has to hold.")
class BatchInStockFilter:
    and_: list[BatchInStockFilter] | None = every()
    or_: list[BatchInStockFilter] | None = either()
    not_: BatchInStockFilter | None = without()
    sku_id: IdFilter | None = on("sku_id", "The article.", of="Sku")
    sku_code: TextFilter | None = on("sku_code", "The article's code.")
    category: TextFilter | None = on("category", "The article's category.")
    store_id: IdFilter | None = on("store_id", "The article's home store.", of="Store")
    location_id: UuidFilter | None = on("location_id", "The place.")
    batch: TextFilter | None = on("batch", "Number of the batch.")
    on_hand: DecimalFilter | None = on("on_hand", "Units that are there.")
    good: DecimalFilter | None = on("good", "Units that are neither in quarantine nor damaged.")
    produced_on: DayFilter | None = on("produced_on", "Day on which the batch was made.")
    expires_on: DayFilter | None = on("expires_on", "Last day on which its units may be sold.")
    expired_at: TimeFilter | None = on("expired_at", "When its units were set aside after that day.")
    recalled_at: TimeFilter | None = on("recalled_at", "When it was recalled.")


class BatchInStockSortKey(enum.StrEnum):
    """What batches in stock are sorted by."""

    EXPIRES_ON = "expires_on"
    """Last days; batches without one come last."""
    SKU_CODE = "sku_code"
    """The articles' codes, character by character."""


expose(BatchInStockSortKey)


@strawberry.input(description="How batches in stock are sorted; of two that are equal, the ids decide.")
class BatchInStockSort:
    by: BatchInStockSortKey = strawberry.field(description="What they are sorted by.")
    direction: Direction = strawberry.field(default=Direction.ASC, description="Which end comes first.")


IN_STOCK = Listing(
    "stock_ledger",
    "batch_rows",
    (Column("sku_id", "uuid"), Column("location_id", "uuid"), Column("batch", "text")),
    {
        BatchInStockSortKey.EXPIRES_ON: Column("expires_on", "date", nullable=True),
        BatchInStockSortKey.SKU_CODE: Column("sku_code", "text"),
    },
    (BatchInStockSortKey.EXPIRES_ON, Direction.ASC),
)


@strawberry.type(description="An order that got units of a batch.")
class BatchOrder:
    order_id: strawberry.ID = strawberry.field(description="The order, or what else the units were held for.")
    store_id: strawberry.ID = strawberry.field(description="The store it was for.")
    shipped: Decimal = strawberry.field(description="Units of the batch that left for it.")
    returned: Decimal = strawberry.field(description="Units of the batch that came back from it.")
    kept: Decimal = strawberry.field(description="The others.")
    first_shipped_at: datetime | None = strawberry.field(
        description="When the first of them left; null when units came back under this number and none had left."
    )
    order: Order | None = strawberry.field(
        description="The order itself, whose customer is to be told; null when units left without one."
    )


@strawberry.input(description="Which orders that got units of a batch; all that is given has to hold.")
class BatchOrderFilter:
    and_: list[BatchOrderFilter] | None = every()
    or_: list[BatchOrderFilter] | None = either()
    not_: BatchOrderFilter | None = without()
    store_id: IdFilter | None = on("store_id", "The store it was for.", of="Store")
    kept: DecimalFilter | None = on("kept", "Units of the batch that left for it and did not come back.")
    first_shipped_at: TimeFilter | None = on("first_shipped_at", "When the first of them left.")


class _ByShipment(enum.Enum):
    """The one order of the list."""

    ONLY = enum.auto()


GOT = Listing(
    "stock_ledger",
    "batch_order_rows",
    (Column("order_id", "uuid"), Column("store_id", "uuid")),
    {_ByShipment.ONLY: Column("first_shipped_at", "timestamptz", nullable=True)},
    (_ByShipment.ONLY, Direction.ASC),
)


@strawberry.type(description="A receipt of units of a batch.")
class BatchReceipt:
    position: Position = strawberry.field(description="The event in the log.")
    location_id: UUID = strawberry.field(description="The place they came to.")
    occurred_at: datetime = strawberry.field(description="When they came in.")
    quantity: Decimal = strawberry.field(description="How many units.")
    document: str | None = strawberry.field(description="The document behind it.")


@strawberry.type(description="A batch of which an order got units, and how it came in.")
class OrderBatch:
    sku_id: strawberry.ID = strawberry.field(description="The article.")
    sku_code: str = strawberry.field(description="Its code.")
    batch: str = strawberry.field(description="Number of the batch.")
    lines: list[int] = strawberry.field(
        description="The lines of the order whose parcels had units of it; empty when units left without an order."
    )
    shipped: Decimal = strawberry.field(description="Units of the batch that left for the order.")
    returned: Decimal = strawberry.field(description="Units of the batch that came back from it.")
    notes: BatchNotes = strawberry.field(description="What is known of the batch.")
    receipts: list[BatchReceipt] = strawberry.field(description="Its receipts, first recorded first.")


@strawberry.type(description="Units to take from a place for an order, and of which batch.")
class BatchPick:
    sku_id: strawberry.ID = strawberry.field(description="The article.")
    sku_code: str = strawberry.field(description="Its code.")
    location_id: UUID = strawberry.field(description="The place.")
    batch: str | None = strawberry.field(
        description="Number of the batch; null for units that are of no batch that may be sold as far as is known."
    )
    expires_on: date | None = strawberry.field(description="Last day of the batch; null where nobody said.")
    quantity: Decimal = strawberry.field(description="How many units.")


@strawberry.type
class BatchQueries:
    """Questions about batches."""

    @strawberry.field(
        description="What is left of batches, article by article and place by place, what expires first first: what "
        "expires by a day, what has expired, what was recalled."
    )
    async def batches_in_stock(
        self,
        info: ContextInfo,
        filter: Annotated[
            BatchInStockFilter | None, strawberry.argument(description="Which rows; all if left out.")
        ] = None,
        sort: Annotated[
            BatchInStockSort | None,
            strawberry.argument(description="In which order; by their last days if left out."),
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        at_least: AtLeast = None,
    ) -> Connection[BatchInStock]:
        context = info.context
        asked = condition(filter, context.viewer.role)
        page = PageArguments(first, after, last, before)
        return await context.services.read(_in_stock, context, asked, sort, page, wants_total(info), at_least)

    @strawberry.field(
        description="The orders that got units of a batch, as far as shipments named it, by when the first left: whom "
        "to tell of a recall. Of one's own stores alone."
    )
    async def batch_orders(
        self,
        info: ContextInfo,
        sku_id: SkuId,
        batch: BatchNumber,
        filter: Annotated[
            BatchOrderFilter | None, strawberry.argument(description="Which orders; all if left out.")
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        at_least: AtLeast = None,
    ) -> Connection[BatchOrder]:
        context = info.context
        params = {"sku_id": key_of(sku_id, "Sku"), "batch": batch}
        asked = condition(filter, context.viewer.role)
        page = PageArguments(first, after, last, before)
        return await context.services.read(_orders, context, params, asked, page, selected_of(info), at_least)

    @strawberry.field(
        description="Of which batches the units were that an order got, as far as shipments named them, and every "
        "receipt of these batches with its document."
    )
    async def order_batches(self, info: ContextInfo, order_id: OrderId, at_least: AtLeast = None) -> list[OrderBatch]:
        context = info.context
        return await context.services.read(_batches, context, key_of(order_id, "Order"), at_least)

    @strawberry.field(
        description="From which batches to take the units that are set apart for an order and have not left: first "
        "expired first out, place by place. A proposal that sets nothing apart: two orders may be told of the same."
    )
    async def batches_to_pick(self, info: ContextInfo, order_id: OrderId) -> list[BatchPick]:
        context = info.context
        return await context.services.read(_to_pick, context, key_of(order_id, "Order"))


def _notes(row: dict[str, Any]) -> BatchNotes:
    return BatchNotes(
        produced_on=row["produced_on"],
        expires_on=row["expires_on"],
        place_of_origin=row["place_of_origin"],
        expired_at=row["expired_at"],
        recalled_at=row["recalled_at"],
        recall_reason=row["recall_reason"],
    )


def _in_stock(
    context: Context,
    wanted: Condition,
    sort: BatchInStockSort | None,
    page: PageArguments,
    counted: bool,
    at_least: int | None,
) -> Any:
    """Return a page of what is left of batches, by their last days unless sorted (blocking)."""
    asked = listed(IN_STOCK, wanted, sort, page, counted=counted)
    rows, total = rows_of(context, asked, store_ids=context.store_ids, at_least=at_least)

    def shown(row: dict[str, Any]) -> BatchInStock:
        return BatchInStock(
            sku_id=gid("Sku", row["sku_id"]),
            store_id=store_gid(row["store_id"]),
            sku_code=row["sku_code"],
            name=row["name"],
            category=row["category"],
            location_id=row["location_id"],
            batch=row["batch"],
            unit=row["unit"],
            **{name: plain(row[name]) for name in ("on_hand", "quarantined", "damaged", "good", "in_transit")},
            notes=_notes(row),
        )

    return asked.connection(rows, shown, total)


def _orders(
    context: Context,
    params: dict[str, Any],
    wanted: Condition,
    page: PageArguments,
    selected: Selected,
    at_least: int | None,
) -> Any:
    """Return a page of the orders that got units of a batch, by when the first left (blocking)."""
    scope = sorted(params.items())
    asked = listed(GOT, wanted, None, page, counted="totalCount" in selected, scope=scope)
    rows, total = rows_of(context, asked, params, store_ids=context.store_ids, at_least=at_least)
    of_node = selected.of_rows()
    keys = [row["order_id"] for row in asked.cut(rows)] if "order" in of_node else []
    orders = reads.many(context, order_domain.Order, keys)

    def shown(row: dict[str, Any]) -> BatchOrder:
        order = orders.get(row["order_id"])
        return BatchOrder(
            order_id=gid("Order", row["order_id"]),
            store_id=store_gid(row["store_id"]),
            **{name: plain(row[name]) for name in ("shipped", "returned", "kept")},
            first_shipped_at=row["first_shipped_at"],
            order=None if order is None else order_view(order, context),
        )

    return asked.connection(rows, shown, total)


def _batches(context: Context, order_id: UUID, at_least: int | None) -> list[OrderBatch]:
    """Return of which batches an order got units, by the articles' codes, with their receipts (blocking)."""
    rows = ask(
        context, "stock_ledger", "order_batches", {"order_id": order_id}, store_ids=context.store_ids, at_least=at_least
    )
    order = reads.one(context, order_domain.Order, order_id)
    parcels = [] if order is None else [parcel for parcel in order.parcels.values() if parcel.shipped_at is not None]
    lines: dict[tuple[UUID, str | None], set[int]] = defaultdict(set)
    for each in (each for parcel in parcels for each in parcel.lines):
        lines[each.sku_id, each.batch].add(each.line)
    found: dict[tuple[UUID, str], OrderBatch] = {}
    for row in rows:
        of = found.get((row["sku_id"], row["batch"]))
        if of is None:
            of = found[row["sku_id"], row["batch"]] = OrderBatch(
                sku_id=gid("Sku", row["sku_id"]),
                sku_code=row["sku_code"],
                batch=row["batch"],
                lines=sorted(lines[row["sku_id"], row["batch"]]),
                shipped=plain(row["shipped"]),
                returned=plain(row["returned"]),
                notes=_notes(row),
                receipts=[],
            )
        if row["position"] is not None:
            receipt = BatchReceipt(
                position=Position(row["position"]),
                location_id=row["location_id"],
                occurred_at=row["occurred_at"],
                quantity=plain(row["quantity"]),
                document=row["document"],
            )
            of.receipts.append(receipt)
    return list(found.values())


def _to_pick(context: Context, order_id: UUID) -> list[BatchPick]:
    """Return from which batches to take what is set apart for an order; nothing of one that is not seen (blocking)."""
    order = reads.one(context, order_domain.Order, order_id)
    if order is None:
        return []
    skus = reads.many(context, sku_domain.Sku, list(dict.fromkeys(line.sku_id for line in order.lines)))
    found: list[BatchPick] = []
    for sku in sorted(skus.values(), key=lambda each: each.code):
        held: dict[UUID, Decimal] = defaultdict(Decimal)
        for part in sku.reservations.get(order_id, ()):
            held[part.location_id] += part.quantity
        for location_id, quantity in held.items():
            picks: list[tuple[str | None, Decimal]] = [*first_expired(sku.level_at(location_id), sku.batches, quantity)]
            rest = quantity - sum(units for _, units in picks)
            for batch, units in [*picks, (None, rest)] if rest else picks:
                known = None if batch is None else sku.batches.get(batch)
                pick = BatchPick(
                    sku_id=gid("Sku", sku.id),
                    sku_code=sku.code,
                    location_id=location_id,
                    batch=batch,
                    expires_on=None if known is None else known.expires_on,
                    quantity=plain(units),
                )
                found.append(pick)
    return found
