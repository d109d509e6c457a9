"""Stock as the ledger has it: levels, every movement, and what it is all worth, on either axis of time."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import strawberry

from opscore.api.context import Context
from opscore.api.enums import expose
from opscore.api.errors import BadInput
from opscore.api.figures import ask, reading
from opscore.api.filters import (
    DecimalFilter,
    Direction,
    IdFilter,
    PositionFilter,
    TextFilter,
    TimeFilter,
    UuidFilter,
    either,
    every,
    on,
    without,
)
from opscore.api.ids import global_id
from opscore.api.lists import Listing, PageArguments, listed, rows_of
from opscore.api.money import Money, UnitPrice, money, unit_price_or_none
from opscore.api.nodes import gid
from opscore.api.numbers import order_number_field
from opscore.api.scalars import Position
from opscore.api.selected import Selected
from opscore.domain.values import is_time_zone, plain
from opscore.permissions import may_see_field
from opscore.projector.lists import Column, Compare, Condition, Every, Operator, Total

SKUS_MAX = 100

STATES = ("on_hand", "reserved", "allocated", "quarantined", "damaged", "in_transit", "sellable")
"""Quantities of a level, in the queries as in the API."""

KINDS = (
    "received", "reserved", "released", "allocated", "deallocated", "shipped", "returned", "written_off", "sample",
    "reclassified", "counted", "adjusted", "transferred_out", "transferred_in",
)  # fmt: skip
"""Kinds of movements, as the ledger calls them."""
UNVALUED = frozenset({"reserved", "released", "allocated", "deallocated", "reclassified", "counted"})
"""Those that change no value."""
KIND = f"What it was: {', '.join(KINDS)}."
UNIT_COST = (
    "What one of the article's units cost, by the costing method of its home store (under FIFO the mean of its "
    "layers); null when unknown or for roles that see no cost."
)
NOT_YET = "null for roles that see no cost, and until the valuation has come as far"


@strawberry.type(description="The units of an article at one place, as the ledger has them.")
class StockBalance:
    sku_id: strawberry.ID = strawberry.field(description="The article.")
    sku_code: str = strawberry.field(description="Its code.")
    name: str = strawberry.field(description="Its name.")
    location_id: UUID = strawberry.field(description="The place.")
    unit: str = strawberry.field(description="What one of it is.")
    on_hand: Decimal = strawberry.field(description="Units that are there.")
    reserved: Decimal = strawberry.field(description="Units set apart for orders.")
    allocated: Decimal = strawberry.field(description="Units set apart for campaigns.")
    quarantined: Decimal = strawberry.field(description="Units that nobody may sell until they are looked at.")
    damaged: Decimal = strawberry.field(description="Units that cannot be sold.")
    in_transit: Decimal = strawberry.field(description="Units on the way here.")
    sellable: Decimal = strawberry.field(description="Units that anybody may buy.")
    unit_cost: UnitPrice | None = strawberry.field(description=UNIT_COST)
    position: Position = strawberry.field(description="The last event that moved it.")


@strawberry.type(description="The units of an article at one place, in a list that is narrowed and sorted.")
class StockRow(StockBalance):
    category: str = strawberry.field(description="The article's category.")
    store_id: strawberry.ID = strawberry.field(description="Its home store.")
    low_line: Decimal | None = strawberry.field(
        description="Sellable units of the article, over all places, at which its stock is low; null where nobody said."
    )
    is_low: bool = strawberry.field(description="Whether it is at that line or below.")
    high_line: Decimal | None = strawberry.field(
        description="Sellable units of the article, over all places, above which there are too many; null where "
        "nobody said."
    )
    is_high: bool = strawberry.field(description="Whether it is above that line.")
    # Declared anew, because who may see a field is noted on the field of each type.
    unit_cost: UnitPrice | None = strawberry.field(description=UNIT_COST)


@strawberry.input(description="What is where; all that is given has to hold.")
class StockBalanceFilter:
    and_: list[StockBalanceFilter] | None = every()
    or_: list[StockBalanceFilter] | None = either()
    not_: StockBalanceFilter | None = without()
    sku_id: IdFilter | None = on("sku_id", "The article.", of="Sku")
    sku_code: TextFilter | None = on("sku_code", "The article's code.")
    name: TextFilter | None = on("name", "The article's name.")
    category: TextFilter | None = on("category", "The article's category.")
    store_id: IdFilter | None = on("store_id", "The article's home store.", of="Store")
    location_id: UuidFilter | None = on("location_id", "The place.")
    on_hand: DecimalFilter | None = on("on_hand", "Units that are there.")
    reserved: DecimalFilter | None = on("reserved", "Units set apart for orders.")
    allocated: DecimalFilter | None = on("allocated", "Units set apart for campaigns.")
    quarantined: DecimalFilter | None = on("quarantined", "Units that nobody may sell until they are looked at.")
    damaged: DecimalFilter | None = on("damaged", "Units that cannot be sold.")
    in_transit: DecimalFilter | None = on("in_transit", "Units on the way here.")
    sellable: DecimalFilter | None = on("sellable", "Units that anybody may buy.")
    is_low: bool | None = on("is_low", "Whether the article, over all places, is at its low line or below.")
    is_high: bool | None = on("is_high", "Whether the article, over all places, is above its high line.")


class StockBalanceSortKey(enum.StrEnum):
    """What the stock at places is sorted by."""

    SKU_CODE = "sku_code"
    """The articles' codes, character by character."""
    NAME = "name"
    """The articles' names, character by character."""
    ON_HAND = "on_hand"
    """Units that are there."""
    SELLABLE = "sellable"
    """Units that anybody may buy."""


expose(StockBalanceSortKey)


@strawberry.input(description="How the stock at places is sorted; of two that are equal, the ids decide.")
class StockBalanceSort:
    by: StockBalanceSortKey = strawberry.field(description="What it is sorted by.")
    direction: Direction = strawberry.field(default=Direction.ASC, description="Which end comes first.")


BALANCES = Listing(
    "stock_ledger",
    "balance_rows",
    (Column("sku_id", "uuid"), Column("location_id", "uuid")),
    {
        StockBalanceSortKey.SKU_CODE: Column("sku_code", "text"),
        StockBalanceSortKey.NAME: Column("name", "text"),
        StockBalanceSortKey.ON_HAND: Column("on_hand", "numeric"),
        StockBalanceSortKey.SELLABLE: Column("sellable", "numeric"),
    },
    (StockBalanceSortKey.SKU_CODE, Direction.ASC),
)


@strawberry.type(description="What was at one place at a moment in the past.")
class PastStock:
    location_id: UUID = strawberry.field(description="The place.")
    unit: str = strawberry.field(description="What one of it is.")
    on_hand: Decimal = strawberry.field(description="Units that were there.")
    reserved: Decimal = strawberry.field(description="Units that were set apart for orders.")
    allocated: Decimal = strawberry.field(description="Units that were set apart for campaigns.")
    quarantined: Decimal = strawberry.field(description="Units that nobody might sell until they were looked at.")
    damaged: Decimal = strawberry.field(description="Units that could not be sold.")
    in_transit: Decimal = strawberry.field(description="Units that were on the way there.")
    sellable: Decimal = strawberry.field(description="Units that anybody might have bought.")


@strawberry.input(one_of=True, description="A moment of the ledger: exactly one of its members.")
class StockAsOf:
    position: Position | None = strawberry.field(
        default=strawberry.UNSET, description="What the ledger said when the log stood at this position."
    )
    recorded_at: datetime | None = strawberry.field(
        default=strawberry.UNSET, description="What the ledger said at this moment."
    )
    occurred_at: datetime | None = strawberry.field(
        default=strawberry.UNSET, description="What we know today was there at this moment, late entries included."
    )


@strawberry.input(one_of=True, description="Up to when something was known: exactly one of its members.")
class StockKnownAt:
    position: Position | None = strawberry.field(
        default=strawberry.UNSET, description="When the log stood at this position."
    )
    recorded_at: datetime | None = strawberry.field(default=strawberry.UNSET, description="At this moment.")


@strawberry.type(
    description="What is or was left of one batch of an article at one place. Units are reserved of the article, not "
    "of a batch, so a batch has no sellable units of its own."
)
class StockBatch:
    sku_id: strawberry.ID = strawberry.field(description="The article.")
    sku_code: str = strawberry.field(description="Its code.")
    location_id: UUID = strawberry.field(description="The place.")
    batch: str = strawberry.field(description="Number of the batch.")
    unit: str = strawberry.field(description="What one of it is.")
    on_hand: Decimal = strawberry.field(
        description="Units that are there; below zero, more left under this number than had come in under it."
    )
    quarantined: Decimal = strawberry.field(
        description="Of these, units that nobody may sell until they are looked at."
    )
    damaged: Decimal = strawberry.field(description="Of these, units that cannot be sold.")
    good: Decimal = strawberry.field(description="The others.")
    in_transit: Decimal = strawberry.field(description="Units on the way here.")
    position: Position = strawberry.field(description="The last event that moved it.")


@strawberry.type(description="One line of the stock ledger: one event's effect at one place.")
class StockMovement:
    position: Position = strawberry.field(description="The event in the log.")
    leg: int = strawberry.field(description="Which line of that event it is.")
    kind: str = strawberry.field(description=KIND)
    sku_id: strawberry.ID = strawberry.field(description="The article.")
    location_id: UUID = strawberry.field(description="The place.")
    store_id: strawberry.ID = strawberry.field(description="The store it was for.")
    occurred_at: datetime = strawberry.field(description="When it happened.")
    recorded_at: datetime = strawberry.field(description="When we recorded it.")
    actor: str = strawberry.field(description="Who gave the command: a pseudonym.")
    origin: str = strawberry.field(description="live or import.")
    order_id: strawberry.ID | None = strawberry.field(description="The order it was for.")
    order_number = order_number_field()
    parcel_id: UUID | None = strawberry.field(description="The parcel it left in.")
    campaign_id: strawberry.ID | None = strawberry.field(description="The campaign whose quota it was.")
    transfer_id: UUID | None = strawberry.field(description="The transfer it belongs to.")
    return_id: UUID | None = strawberry.field(description="The return by which it came back.")
    batch: str | None = strawberry.field(description="Batch of the goods.")
    document: str | None = strawberry.field(description="The document behind it.")
    reason: str | None = strawberry.field(description="Why.")
    on_hand: Decimal = strawberry.field(description="Change of units there.")
    reserved: Decimal = strawberry.field(description="Change of units set apart for orders.")
    allocated: Decimal = strawberry.field(description="Change of units set apart for campaigns.")
    quarantined: Decimal = strawberry.field(
        description="Change of units that nobody may sell until they are looked at."
    )
    damaged: Decimal = strawberry.field(description="Change of units that cannot be sold.")
    in_transit: Decimal = strawberry.field(description="Change of units on the way here.")
    running_on_hand: Decimal = strawberry.field(description="Units at this place after it.")
    running_quantity: Decimal = strawberry.field(
        description="Units of the article over all places after it, those in transit included."
    )
    unit_cost: UnitPrice | None = strawberry.field(
        description="What one of the units that moved cost, by the costing method of the home store, as it was known "
        f"when it was recorded; {NOT_YET}, where none moved, and where it was unknown."
    )
    value: Money | None = strawberry.field(
        description="Change of the stock's value by its event, by that method, as it was known when it was recorded; "
        f"{NOT_YET}."
    )
    adjustment: Money | None = strawberry.field(
        description=f"What later records taught about that change, to be added to it; {NOT_YET}."
    )
    running_value: Money | None = strawberry.field(
        description=f"Value of the article's stock, by that method, right after it was recorded; {NOT_YET}."
    )


@strawberry.input(description="Which lines of the stock ledger; all that is given has to hold.")
class StockMovementFilter:
    and_: list[StockMovementFilter] | None = every()
    or_: list[StockMovementFilter] | None = either()
    not_: StockMovementFilter | None = without()
    position: PositionFilter | None = on("position", "The event in the log.")
    sku_id: IdFilter | None = on("sku_id", "The article.", of="Sku")
    sku_code: TextFilter | None = on("sku_code", "The article's code.")
    category: TextFilter | None = on("category", "The article's category.")
    location_id: UuidFilter | None = on("location_id", "The place.")
    store_id: IdFilter | None = on("store_id", "The store it was for.", of="Store")
    kind: TextFilter | None = on("kind", KIND)
    order_id: IdFilter | None = on("order_id", "The order it was for.", of="Order")
    campaign_id: IdFilter | None = on("campaign_id", "The campaign whose quota it was.", of="Campaign")
    parcel_id: UuidFilter | None = on("parcel_id", "The parcel it left in.")
    transfer_id: UuidFilter | None = on("transfer_id", "The transfer it belongs to.")
    return_id: UuidFilter | None = on("return_id", "The return by which it came back.")
    batch: TextFilter | None = on("batch", "Batch of the goods.")
    document: TextFilter | None = on("document", "The document behind it.")
    reason: TextFilter | None = on("reason", "Why.")
    actor: TextFilter | None = on("actor", "Who gave the command: a pseudonym.")
    origin: TextFilter | None = on("origin", "live or import.")
    occurred_at: TimeFilter | None = on("occurred_at", "When it happened.")
    recorded_at: TimeFilter | None = on("recorded_at", "When we recorded it.")
    on_hand: DecimalFilter | None = on("on_hand", "Change of units there.")


class StockMovementSortKey(enum.StrEnum):
    """What movements are sorted by."""

    POSITION = "position"
    """The order in which they were recorded."""
    OCCURRED_AT = "occurred_at"
    """When they happened."""


expose(StockMovementSortKey)


@strawberry.input(description="How movements are sorted; of two that are equal, their places in the log decide.")
class StockMovementSort:
    by: StockMovementSortKey = strawberry.field(description="What they are sorted by.")
    direction: Direction = strawberry.field(default=Direction.ASC, description="Which end comes first.")


LATEST = StockMovementSort(by=StockMovementSortKey.POSITION, direction=Direction.DESC)

MOVEMENTS = Listing(
    "stock_ledger",
    "movement_rows",
    (Column("position", "bigint"), Column("leg", "smallint")),
    {
        StockMovementSortKey.POSITION: Column("position", "bigint"),
        StockMovementSortKey.OCCURRED_AT: Column("occurred_at", "timestamptz"),
    },
    (StockMovementSortKey.POSITION, Direction.ASC),
)


@strawberry.type(description="What the stock of an article is worth.")
class StockWorth:
    sku_id: strawberry.ID = strawberry.field(description="The article.")
    sku_code: str = strawberry.field(description="Its code.")
    name: str = strawberry.field(description="Its name.")
    unit: str = strawberry.field(description="What one of it is.")
    quantity: Decimal = strawberry.field(description="Units over all places, those in transit included.")
    unit_cost: UnitPrice | None = strawberry.field(
        description="What one of them cost, by the costing method of the home store; under FIFO the mean of the "
        "layers. Null while unknown."
    )
    value: Money = strawberry.field(description="What they are worth, by that method.")


@strawberry.type(
    description="What the stock of an article was worth at true cost, by the costing method of its home store."
)
class StockValuation:
    sku_id: strawberry.ID = strawberry.field(description="The article.")
    sku_code: str = strawberry.field(description="Its code.")
    quantity: Decimal = strawberry.field(description="Units over all places, those in transit included.")
    value: Money = strawberry.field(description="What they were worth.")


@strawberry.type(
    description="Units of an article that cost the same: under FIFO a layer, under an average all of them."
)
class StockLayer:
    sku_id: strawberry.ID = strawberry.field(description="The article.")
    number: int = strawberry.field(description="Its place, oldest first, from 1.")
    quantity: Decimal = strawberry.field(description="Units of the layer, over all places.")
    unit_cost: UnitPrice | None = strawberry.field(description="What one of them cost; null while unknown.")


@strawberry.type(
    description="A movement that changed what stock is worth, as it was recorded and as it is known since."
)
class ValuedMovement:
    sku_id: strawberry.ID = strawberry.field(description="The article.")
    position: Position = strawberry.field(description="The event in the log.")
    occurred_at: datetime = strawberry.field(description="When it happened.")
    recorded_at: datetime = strawberry.field(description="When we recorded it.")
    kind: str = strawberry.field(
        description=f"What it was: {', '.join(kind for kind in KINDS if kind not in UNVALUED)}."
    )
    location_id: UUID = strawberry.field(description="The place.")
    order_id: strawberry.ID | None = strawberry.field(description="The order it was for.")
    order_number = order_number_field()
    batch: str | None = strawberry.field(description="Batch of the goods.")
    document: str | None = strawberry.field(description="The document behind it.")
    method: str = strawberry.field(description="How it was valued: moving_average or fifo.")
    quantity: Decimal = strawberry.field(description="Change of units, those in transit included.")
    unit_cost: UnitPrice | None = strawberry.field(
        description="What one of them cost, as it was known when it was recorded; null where none moved or it was "
        "unknown."
    )
    value: Money = strawberry.field(description="Change of value by its own units, as it was recorded.")
    revaluation: Money = strawberry.field(
        description="Change of value of units that were there before or were owed, whose cost is known by it."
    )
    adjustment: Money = strawberry.field(description="What later records taught about both, to be added.")
    running_quantity: Decimal = strawberry.field(description="Units right after it was recorded.")
    running_value: Money = strawberry.field(description="Their value right after it was recorded.")


@strawberry.type(
    description="What a later record taught about the value of a movement: a row of its own, that rewrites nothing."
)
class StockAdjustment:
    cause_position: Position = strawberry.field(description="The record by which it was learnt.")
    position: Position | None = strawberry.field(
        description="The movement it is about; null for all of closed periods together."
    )
    sku_id: strawberry.ID = strawberry.field(description="The article.")
    sku_code: str = strawberry.field(description="Its code.")
    kind: str = strawberry.field(description="What the movement was, or closed_period.")
    occurred_at: datetime = strawberry.field(
        description="When the movement happened; of closed periods, when the books opened."
    )
    recorded_at: datetime = strawberry.field(description="When it was learnt.")
    value: Money = strawberry.field(description="Change of the stock's value.")
    cost_of_goods: Money = strawberry.field(description="Change of the cost of goods sold.")


@strawberry.type(description="What the goods cost that left in a period, less those that came back, in one currency.")
class CogsPeriod:
    starts_on: date = strawberry.field(description="First day of the period.")
    shipped: Money = strawberry.field(description="Cost of what was shipped, as it was recorded.")
    returned: Money = strawberry.field(description="Cost of what came back, when it came back.")
    corrected: Money = strawberry.field(
        description="What later records taught about both, in the period it is booked in."
    )
    cost_of_goods: Money = strawberry.field(description="Shipped, less returned, corrected.")
    variance: Money = strawberry.field(
        description="What units cost more that had left before they were there, or before their cost was known."
    )
    other: Money = strawberry.field(description="Change of value by counts, samples, write-offs and losses.")


@strawberry.type(description="What all the stock of these stores is worth, in one currency.")
class StockTotal:
    currency_code: str = strawberry.field(description="ISO 4217 code of the currency.")
    skus: int = strawberry.field(description="Articles that ever had stock.")
    value: Money = strawberry.field(description="What it is worth.")


@strawberry.type(description="All movements of one kind of an article together.")
class StockMovementTotal:
    sku_id: strawberry.ID = strawberry.field(description="The article.")
    sku_code: str = strawberry.field(description="Its code.")
    kind: str = strawberry.field(description=KIND)
    movements: int = strawberry.field(description="How many lines of the ledger.")
    on_hand: Decimal = strawberry.field(description="Units they brought or took.")


def _few(sku_ids: list[UUID]) -> list[UUID]:
    if not 1 <= len(sku_ids) <= SKUS_MAX:
        raise BadInput(f"Ask for 1 to {SKUS_MAX} articles at once.")
    return sku_ids


def levels(context: Context, sku_ids: list[UUID], location_id: UUID | None, at_least: int | None) -> list[StockBalance]:
    """Return where the units of these articles are now (blocking)."""
    asked = {"sku_ids": _few(sku_ids), "location_id": location_id}
    rows = ask(context, "stock_ledger", "levels", asked, store_ids=context.store_ids, at_least=at_least)
    costs = _costs(context, rows, at_least)
    return [StockBalance(sku_code=row["code"], **_balance(row, costs)) for row in rows]


def balances(
    context: Context,
    wanted: Condition,
    sort: StockBalanceSort | None,
    page: PageArguments,
    counted: bool,
    selected: Selected,
    at_least: int | None,
) -> Any:
    """Return a page of what is where now, by the articles' codes unless sorted (blocking).

    selected: what is selected of a row; a version of before the high lines is missed by those alone who ask for them.
    """
    asked = listed(BALANCES, wanted, sort, page, counted=counted)
    rows, total = rows_of(context, asked, store_ids=context.store_ids, at_least=at_least)
    costs = _costs(context, asked.cut(rows), at_least)

    def shown(row: dict[str, Any]) -> StockRow:
        return StockRow(
            sku_code=row["sku_code"],
            category=row["category"],
            store_id=gid("Store", row["store_id"]),
            low_line=None if row["low_line"] is None else plain(row["low_line"]),
            is_low=row["is_low"],
            high_line=plain(row["high_line"]) if "highLine" in selected and row["high_line"] is not None else None,
            is_high="isHigh" in selected and row["is_high"],
            **_balance(row, costs),
        )

    return asked.connection(rows, shown, total)


def _costs(context: Context, rows: Sequence[dict[str, Any]], at_least: int | None) -> dict[UUID, Decimal | None]:
    """Return what the articles of these rows cost, as the valuation has it; nothing for roles that see no cost."""
    if not rows or not may_see_field(context.viewer.role, "StockBalance.unitCost"):
        return {}
    worth = {"sku_ids": list({row["sku_id"] for row in rows}), "row_limit": None}
    found = ask(context, "stock_valuation", "report", worth, store_ids=context.store_ids, at_least=at_least)
    return {row["sku_id"]: row["mean_cost"] for row in found}


def _balance(row: dict[str, Any], costs: dict[UUID, Decimal | None]) -> dict[str, Any]:
    return {
        "sku_id": gid("Sku", row["sku_id"]),
        "name": row["name"],
        "location_id": row["location_id"],
        "unit": row["unit"],
        **{name: plain(row[name]) for name in STATES},
        "unit_cost": unit_price_or_none(costs.get(row["sku_id"]), row["currency"]),
        "position": Position(row["position"]),
    }


def _given(value: Any) -> Any:
    return None if value is strawberry.UNSET else value


def known_at(context: Context, said: StockKnownAt | None) -> int | None:
    """Return the position of the log at which something was known, None for now (blocking)."""
    if said is None:
        return None
    recorded_at = _given(said.recorded_at)
    return _given(said.position) if recorded_at is None else context.services.read_models.position_of(recorded_at)


def _axes(context: Context, moment: StockAsOf | None, known: StockKnownAt | None) -> dict[str, Any]:
    """Return a moment on both axes as the queries take it (blocking); raises BadInput when it is said twice."""
    occurred_at = None if moment is None else _given(moment.occurred_at)
    if moment is not None and occurred_at is None:
        if known is not None:
            raise BadInput("knownAt goes with asOf: {occurredAt}; a position or recordedAt says it already.")
        known = StockKnownAt(position=moment.position, recorded_at=moment.recorded_at)
    return {"occurred_at": occurred_at, "position": known_at(context, known)}


def past_levels(
    context: Context, sku_id: UUID, moment: StockAsOf, known: StockKnownAt | None, at_least: int | None
) -> list[PastStock]:
    """Return where the units of an article were at a moment (blocking)."""
    asked = {"sku_id": sku_id, **_axes(context, moment, known)}
    rows = ask(context, "stock_ledger", "levels_at", asked, store_ids=context.store_ids, at_least=at_least)
    return [
        PastStock(location_id=row["location_id"], unit=row["unit"], **{name: plain(row[name]) for name in STATES})
        for row in rows
    ]


def batches(
    context: Context,
    sku_ids: list[UUID],
    location_id: UUID | None,
    batch: str | None,
    moment: StockAsOf | None,
    known: StockKnownAt | None,
    at_least: int | None,
) -> list[StockBatch]:
    """Return what is left of the batches of these articles, now or at a moment (blocking)."""
    asked = {"sku_ids": _few(sku_ids), "location_id": location_id, "batch": batch}
    query = "batches"
    if moment is not None or known is not None:
        query, asked = "batches_at", {**asked, **_axes(context, moment, known)}
    rows = ask(context, "stock_ledger", query, asked, store_ids=context.store_ids, at_least=at_least)
    return [
        StockBatch(
            sku_id=gid("Sku", row["sku_id"]),
            sku_code=row["code"],
            location_id=row["location_id"],
            batch=row["batch"],
            unit=row["unit"],
            **{name: plain(row[name]) for name in ("on_hand", "quarantined", "damaged", "good", "in_transit")},
            position=Position(row["position"]),
        )
        for row in rows
    ]


def ledger_of(sku_id: UUID, location_id: UUID | None, until_position: int | None) -> Condition:
    """Return which movements make the ledger of an article, at one place or all, up to a position or to its end."""
    wanted = [Compare(Column("sku_id", "uuid"), Operator.IS_IN, [sku_id])]
    if location_id is not None:
        wanted.append(Compare(Column("location_id", "uuid"), Operator.IS_IN, [location_id]))
    if until_position is not None:
        wanted.append(Compare(Column("position", "bigint"), Operator.AT_MOST, until_position))
    return Every(tuple(wanted))


def movements(
    context: Context,
    wanted: Condition,
    sort: StockMovementSort | None,
    page: PageArguments,
    counted: bool,
    at_least: int | None,
) -> Any:
    """Return a page of the ledgers' lines, first recorded first unless sorted (blocking)."""
    asked = listed(MOVEMENTS, wanted, sort, page, counted=counted)
    rows, total = rows_of(context, asked, store_ids=context.store_ids, at_least=at_least)
    worth: dict[int, dict[str, Any]] = {}
    if rows and may_see_field(context.viewer.role, "StockMovement.unitCost"):
        which = {"positions": [row["position"] for row in rows], "sku_ids": [row["sku_id"] for row in rows]}
        found = ask(context, "stock_valuation", "values_after", which, store_ids=context.store_ids, at_least=at_least)
        worth = {row["position"]: row for row in found}
    return asked.connection(rows, lambda row: _movement(row, worth.get(row["position"])), total)


def _movement(row: dict[str, Any], valued: dict[str, Any] | None) -> StockMovement:
    currency = row["currency"]
    if valued is not None and not valued["is_valued"] and row["kind"] not in UNVALUED:
        valued = None  # The valuation has not come as far yet.

    def worth(name: str) -> Money | None:
        return None if valued is None else money(int(valued[name]), currency)

    return StockMovement(
        position=Position(row["position"]),
        leg=row["leg"],
        kind=row["kind"],
        sku_id=gid("Sku", row["sku_id"]),
        location_id=row["location_id"],
        store_id=gid("Store", row["store_id"]),
        occurred_at=row["occurred_at"],
        recorded_at=row["recorded_at"],
        actor=row["actor"],
        origin=row["origin"],
        order_id=gid("Order", row["order_id"]),
        parcel_id=row["parcel_id"],
        campaign_id=gid("Campaign", row["campaign_id"]),
        transfer_id=row["transfer_id"],
        return_id=row["return_id"],
        batch=row["batch"],
        document=row["document"],
        reason=row["reason"],
        **{
            name: plain(row[name])
            for name in (
                "on_hand",
                "reserved",
                "allocated",
                "quarantined",
                "damaged",
                "in_transit",
                "running_on_hand",
                "running_quantity",
            )
        },
        unit_cost=unit_price_or_none(None if valued is None else valued["unit_cost"], currency),
        value=worth("value_minor"),
        adjustment=worth("adjusted_minor"),
        running_value=worth("running_value_minor"),
    )


def worth(context: Context, first: int, store_ids: list[UUID] | None, at_least: int | None) -> list[StockWorth]:
    """Return the articles whose stock is worth most (blocking)."""
    if not 1 <= first <= SKUS_MAX:
        raise BadInput(f"Ask for 1 to {SKUS_MAX} articles at once.")
    asked = {"sku_ids": None, "row_limit": first}
    rows = ask(context, "stock_valuation", "report", asked, store_ids=store_ids, at_least=at_least)
    return [
        StockWorth(
            sku_id=gid("Sku", row["sku_id"]),
            sku_code=row["code"],
            name=row["name"],
            unit=row["unit"],
            quantity=plain(row["quantity"]),
            unit_cost=unit_price_or_none(row["mean_cost"], row["currency"]),
            value=money(int(row["value_minor"]), row["currency"]),
        )
        for row in rows
    ]


def valuation(
    context: Context,
    asked: dict[str, Any],
    recorded_at: datetime | None,
    store_ids: list[UUID] | None,
    at_least: int | None,
) -> list[StockValuation]:
    """Return what articles were worth at a time, as known at a position or at recorded_at (blocking)."""
    if recorded_at is not None:
        if asked["position"] is not None:
            raise BadInput("Say knownAt or recordedAt, not both.")
        asked = {**asked, "position": context.services.read_models.position_of(recorded_at)}
    rows = ask(context, "stock_valuation", "value_at", asked, store_ids=store_ids, at_least=at_least)
    return [
        StockValuation(
            sku_id=gid("Sku", row["sku_id"]),
            sku_code=row["code"],
            quantity=plain(row["quantity"]),
            value=money(int(row["value_minor"]), row["currency"]),
        )
        for row in rows
    ]


def totals(context: Context, store_ids: list[UUID] | None, at_least: int | None) -> list[StockTotal]:
    """Return what all stock is worth, by currency (blocking)."""
    rows = ask(context, "stock_valuation", "totals", {}, store_ids=store_ids, at_least=at_least)
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["currency"], []).append(row)
    return [
        StockTotal(
            currency_code=currency,
            skus=sum(row["skus"] for row in of_stores),
            value=money(sum(int(row["value_minor"]) for row in of_stores), currency),
        )
        for currency, of_stores in sorted(found.items())
    ]


def layers(context: Context, sku_ids: list[UUID], at_least: int | None) -> list[StockLayer]:
    """Return the units of these articles by what they cost, oldest first (blocking)."""
    asked = {"sku_ids": _few(sku_ids)}
    rows = ask(context, "stock_valuation", "layers", asked, store_ids=context.store_ids, at_least=at_least)
    return [
        StockLayer(
            sku_id=gid("Sku", row["sku_id"]),
            number=row["number"],
            quantity=plain(row["quantity"]),
            unit_cost=unit_price_or_none(row["unit_cost"], row["currency"]),
        )
        for row in rows
    ]


class _InOrder(enum.Enum):
    """The one order of a list."""

    ONLY = enum.auto()


VALUED = Listing(
    "stock_valuation",
    "movements",
    (Column("occurred_at", "timestamptz"), Column("position", "bigint")),
    {_InOrder.ONLY: Column("occurred_at", "timestamptz")},
    (_InOrder.ONLY, Direction.ASC),
)
ADJUSTMENTS = Listing(
    "stock_valuation",
    "adjustments",
    (Column("cause_position", "bigint"), Column("position", "bigint"), Column("sku_id", "uuid")),
    {_InOrder.ONLY: Column("cause_position", "bigint")},
    (_InOrder.ONLY, Direction.ASC),
)


def valued_movements(
    context: Context, sku_id: UUID, known: StockKnownAt | None, page: PageArguments, counted: bool, at_least: int | None
) -> Any:
    """Return a page of the movements of an article at their true value, oldest first (blocking)."""
    params = {"sku_id": sku_id, "position": known_at(context, known)}
    asked = listed(VALUED, Every(), None, page, counted=counted, scope=sorted(params.items()))
    rows, total = rows_of(context, asked, params, store_ids=context.store_ids, at_least=at_least)
    return asked.connection(rows, _valued, total)


def _valued(row: dict[str, Any]) -> ValuedMovement:
    currency = row["currency"]
    return ValuedMovement(
        sku_id=gid("Sku", row["sku_id"]),
        position=Position(row["position"]),
        occurred_at=row["occurred_at"],
        recorded_at=row["recorded_at"],
        kind=row["kind"],
        location_id=row["location_id"],
        order_id=gid("Order", row["order_id"]),
        batch=row["batch"],
        document=row["document"],
        method=row["method"],
        quantity=plain(row["quantity"]),
        unit_cost=unit_price_or_none(row["unit_cost"], currency),
        value=money(int(row["value_minor"]), currency),
        revaluation=money(int(row["revalued_minor"]), currency),
        adjustment=money(int(row["adjusted_minor"] + row["adjusted_revalued_minor"]), currency),
        running_quantity=plain(row["running_quantity"]),
        running_value=money(int(row["running_value_minor"]), currency),
    )


def adjustments(
    context: Context,
    sku_id: UUID | None,
    cause: int | None,
    page: PageArguments,
    counted: bool,
    at_least: int | None,
) -> Any:
    """Return a page of what was learnt afterwards, of one article or by one record or all (blocking)."""
    params = {"sku_id": sku_id, "cause_position": cause}
    asked = listed(ADJUSTMENTS, Every(), None, page, counted=counted, scope=sorted(params.items()))
    rows, total = rows_of(context, asked, params, store_ids=context.store_ids, at_least=at_least)
    return asked.connection(rows, _adjustment, total)


def _adjustment(row: dict[str, Any]) -> StockAdjustment:
    return StockAdjustment(
        cause_position=Position(row["cause_position"]),
        position=Position(row["position"]) if row["position"] else None,
        sku_id=gid("Sku", row["sku_id"]),
        sku_code=row["code"],
        kind=row["kind"],
        occurred_at=row["occurred_at"],
        recorded_at=row["recorded_at"],
        value=money(int(row["value_minor"] + row["revalued_minor"]), row["currency"]),
        cost_of_goods=money(int(row["cogs_minor"]), row["currency"]),
    )


def cogs_periods(
    context: Context,
    asked: dict[str, Any],
    known: StockKnownAt | None,
    store_ids: list[UUID] | None,
    at_least: int | None,
) -> list[CogsPeriod]:
    """Return what goods cost that left, by period and currency (blocking)."""
    if not is_time_zone(asked["time_zone"]):
        raise BadInput(f"{asked['time_zone']!r} is no time zone; say one like Europe/London.")
    zone = ZoneInfo(asked["time_zone"])
    params = {
        "grain": asked["grain"],
        "time_zone": asked["time_zone"],
        "from_time": datetime.combine(asked["from_day"], time(), zone),
        "until_time": datetime.combine(asked["to_day"] + timedelta(days=1), time(), zone),
        "position": known_at(context, known),
        "sku_ids": asked["sku_ids"],
    }
    rows = ask(context, "stock_valuation", "cogs", params, store_ids=store_ids, at_least=at_least)
    return [
        CogsPeriod(
            starts_on=row["starts_on"],
            shipped=money(int(row["shipped_minor"]), row["currency"]),
            returned=money(int(row["returned_minor"]), row["currency"]),
            corrected=money(int(row["corrected_minor"]), row["currency"]),
            cost_of_goods=money(int(row["cogs_minor"]), row["currency"]),
            variance=money(int(row["variance_minor"]), row["currency"]),
            other=money(int(row["other_minor"]), row["currency"]),
        )
        for row in rows
    ]


def movement_totals(
    context: Context, sku_ids: list[UUID], wanted: Condition, at_least: int | None
) -> list[StockMovementTotal]:
    """Return the movements of these articles by kind (blocking)."""
    these = Compare(Column("sku_id", "uuid"), Operator.IS_IN, _few(sku_ids))
    shape = Total(
        Every((these, wanted)),
        by=(Column("sku_code", "text"), Column("sku_id", "uuid"), Column("kind", "text")),
        sums=(Column("on_hand", "numeric"),),
    )
    rows = reading(
        context,
        MOVEMENTS.projection,
        lambda ask: ask(MOVEMENTS.query, None, shape),
        store_ids=context.store_ids,
        at_least=at_least,
    )
    return [
        StockMovementTotal(
            sku_id=strawberry.ID(global_id("Sku", row["sku_id"])),
            sku_code=row["sku_code"],
            kind=row["kind"],
            movements=row["rows"],
            on_hand=plain(row["on_hand"]),
        )
        for row in rows
    ]
