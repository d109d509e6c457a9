"""What can be exported: for each, the question of the API whose roles may have it, and how its rows are read.

Rows come from the projections' own queries, as the version that serves keeps them, so what an export says is what the
API says. Every statement takes the stores that the asker may see. All of a file is read in one transaction over one
snapshot (REPEATABLE READ), through cursors on the server, so that no more than `FETCH_ROWS` rows are here at once.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg

from opscore.database import Database
from opscore.domain.refusals import NotFound
from opscore.log.event_log import missing_streams
from opscore.projector import Projector
from opscore.projector.catalogue import Entry
from opscore.projector.snapshot import Batch, Snapshot, snapshot
from opscore.sqlfiles import load

STATEMENTS = load(__file__, "exports.sql")

FETCH_ROWS = 1_000
ALL_ROWS = 2**31
"""For a query that hands out no more rows than it is asked for."""
VALUATION = "stock_valuation"
"""What says what stock is worth, by each store's costing policy, here as in the API."""


class Dataset(enum.StrEnum):
    """What can be exported."""

    ORDERS = "orders"
    """A row for each order, latest first."""
    ORDER_LINES = "order_lines"
    """A row for each line of each order, and of each return of no order we know (kind `return`: nothing ordered, what
    came back returned and refunded); the lines of an order follow each other."""
    STOCK_MOVEMENTS = "stock_movements"
    """The stock ledger, oldest movement first, at the values that the store's costing policy makes."""
    STOCK_LEVELS = "stock_levels"
    """What of each article is at each location, and its unit cost by that policy."""
    SKUS = "skus"
    """A row for each article, by code: what it is, where it stands, and its list price in its home store."""
    CUSTOMERS = "customers"
    """A row for each customer, latest first: pseudonym, standing, points, and how often and when they bought."""
    CUSTOMER_SALES = "customer_sales"
    """What each of these customers bought, a row for each currency; nothing of who bought nothing."""
    REVIEWS = "reviews"
    """A row for each review, latest first: its score, how it stands and who waits for whom; not what it says."""
    CAMPAIGN_RESULTS = "campaign_results"
    """What each campaign sold, gave and cost, a row for each currency."""
    EVENTS = "events"
    """The event log by position, personal fields as ciphertext."""
    KPI_DAILY = "kpi_daily"
    """What each store sold on each of its days."""
    COMPARES = "compares"
    """Every row in which compared versions of projections differed; for tokens of all stores."""


@dataclass(frozen=True, slots=True)
class About:
    """What is known of a dataset before it is read.

    question: whose roles may have it. projection: what it is read from; None for the log. period: whether it can be
    narrowed to a time. hidden: column -> the field of the schema whose roles see it; others get null.
    """

    question: str
    projection: str | None
    period: bool
    hidden: Mapping[str, str] = field(default_factory=dict)
    all_stores: bool = False


ABOUT: dict[Dataset, About] = {
    Dataset.ORDERS: About(
        "orders",
        "order_book",
        True,
        {
            "goods_minor": "Order.goods",
            "discount_minor": "Order.discount",
            "freight_minor": "Order.freight",
            "total_minor": "Order.total",
            "cancelled_goods_minor": "Order.netTotal",
            "cancelled_freight_minor": "Order.netTotal",
            "paid_minor": "Order.paid",
            "refunded_minor": "Order.refunded",
            "tags": "Order.tags",
        },
    ),
    Dataset.ORDER_LINES: About(
        "orders",
        "order_book",
        True,
        {
            "list_price": "OrderLine.listPrice",
            "unit_price": "OrderLine.unitPrice",
            "gross_minor": "OrderLine.gross",
            "discount_minor": "OrderLine.discount",
            "amount_minor": "OrderLine.amount",
            "cancelled_minor": "OrderLine.amount",
            "exchanged_minor": "OrderLine.amount",
            "refunded_minor": "OrderLine.amount",
        },
    ),
    Dataset.STOCK_MOVEMENTS: About(
        "stockLedger",
        "stock_ledger",
        True,
        {
            "unit_cost": "StockMovement.unitCost",
            "value_minor": "StockMovement.value",
            "running_value_minor": "StockMovement.runningValue",
            "adjustment_minor": "StockMovement.adjustment",
        },
    ),
    Dataset.STOCK_LEVELS: About("stockLevels", "stock_ledger", False, {"unit_cost": "StockBalance.unitCost"}),
    Dataset.SKUS: About("skus", "directory", True, {"list_price": "Sku.prices"}),
    Dataset.CUSTOMERS: About("customers", "customer_card", True),
    Dataset.CUSTOMER_SALES: About("customers", "customer_card", True),
    Dataset.REVIEWS: About("reviews", "reviews", True),
    Dataset.CAMPAIGN_RESULTS: About("campaignResults", "campaign_results", False),
    Dataset.EVENTS: About("events", None, True),
    Dataset.KPI_DAILY: About("kpiDaily", "kpi_daily", False),
    Dataset.COMPARES: About("projectionCompare", None, True, all_stores=True),
}


class Kind(enum.StrEnum):
    """What the values of a column are, whatever the format."""

    TEXT = "text"
    INTEGER = "integer"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"
    TIME = "time"
    """A moment in UTC."""
    DAY = "day"
    JSON = "json"


KINDS = {
    "text": Kind.TEXT,
    "uuid": Kind.TEXT,
    "smallint": Kind.INTEGER,
    "integer": Kind.INTEGER,
    "bigint": Kind.INTEGER,
    "numeric": Kind.DECIMAL,
    "boolean": Kind.BOOLEAN,
    "timestamp with time zone": Kind.TIME,
    "date": Kind.DAY,
}
"""Type of PostgreSQL -> kind; anything else (lists, objects) is JSON."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of an export."""

    name: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of a dataset is read.

    store_ids: None for all. since, before: a period, end exclusive, None for no bound. compare_id: of the rows that
    differed, those of one comparison.
    """

    dataset: Dataset
    store_ids: Sequence[UUID] | None
    since: datetime | None = None
    before: datetime | None = None
    compare_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a dataset at one position of the log.

    version: of the projection that answered, None for the log. valuation: the version of stock_valuation that costs and
    values are from, None where there are none. batches: rows, with how much is done in percent (None:
    unknown), at most `FETCH_ROWS` of them at a time.
    """

    columns: list[Column]
    position: int
    version: int | None
    batches: Iterator[tuple[Batch, int | None]]
    valuation: int | None = None


def require_there(
    connection: psycopg.Connection[Any], store_ids: Sequence[UUID] | None, compare_id: UUID | None
) -> None:
    """Refuse stores and a comparison that are not there, of which a file would hold nothing: raises NotFound."""
    wanted = list(store_ids or ())
    for store_id in missing_streams(connection, "Store", wanted):
        raise NotFound(what="store", path=("store_ids", wanted.index(store_id)), ids=[store_id])
    if compare_id is not None:
        made = connection.execute(STATEMENTS["comparison"], {"compare_id": compare_id}).fetchone()
        if made is None or not made[0]:
            raise NotFound(what="comparison", path=("compare_id",), ids=[compare_id])


@contextmanager
def opened(database: Database, projector: Projector, wanted: Wanted) -> Iterator[Rows]:
    """Open a dataset on a snapshot of its own, which lasts as long as the block.

    Raises ProjectionRefused when what it is read from has not been built.
    """
    about = ABOUT[wanted.dataset]
    with snapshot(database, projector) as moment:
        if about.projection is None:
            yield _of_statement(moment, wanted)
        else:
            yield _READERS[wanted.dataset](moment, moment.serving(about.projection), wanted)


def _columns(moment: Snapshot, sql: Any, values: Mapping[str, Any]) -> list[Column]:
    return [Column(name, KINDS.get(type_, Kind.JSON)) for name, type_ in moment.columns(sql, values)]


def _stream(moment: Snapshot, sql: Any, values: Mapping[str, Any]) -> Iterator[Batch]:
    return moment.stream(sql, values, FETCH_ROWS)


def _of_statement(moment: Snapshot, wanted: Wanted) -> Rows:
    head = moment.connection.execute(STATEMENTS["head"]).fetchone()
    position: int = 0 if head is None else head[0]
    statement = STATEMENTS[wanted.dataset.value]
    values = {
        "store_ids": None if wanted.store_ids is None else list(wanted.store_ids),
        "since": wanted.since,
        "before": wanted.before,
        "position": position,
        "compare_id": wanted.compare_id,
    }

    def batches() -> Iterator[tuple[Batch, int | None]]:
        for batch in _stream(moment, statement, values):
            # The log's rows begin with their position, which tells how far they are.
            yield batch, batch[-1][0] * 100 // position if wanted.dataset is Dataset.EVENTS else None

    return Rows(_columns(moment, statement, values), position, None, batches())


def _counted(moment: Snapshot, entry: Entry, sql: str, values: Mapping[str, Any]) -> Rows:
    """Return the rows of a statement, which are counted before they are read."""
    total = moment.total(sql, values)

    def batches() -> Iterator[tuple[Batch, int | None]]:
        done = 0
        for batch in _stream(moment, sql, values):
            done += len(batch)
            yield batch, done * 100 // total

    return Rows(_columns(moment, sql, values), entry.position, entry.version, batches())


def _listed(
    moment: Snapshot, entry: Entry, wanted: Wanted, query: str, time: str, *order: str, until: int | None = None
) -> Rows:
    """Return the rows of a query in an order, narrowed to the period by one of their times, up to a position."""
    sql, values = moment.query(entry, query, {}, wanted.store_ids)
    listed = moment.listed(sql, values, order=order, time=time, since=wanted.since, before=wanted.before, until=until)
    return _counted(moment, entry, *listed)


def _orders(moment: Snapshot, entry: Entry, wanted: Wanted) -> Rows:
    return _listed(moment, entry, wanted, "order_rows", "placed_at", "placed_at DESC", "order_id DESC")


def _order_lines(moment: Snapshot, entry: Entry, wanted: Wanted) -> Rows:
    # The lines of a batch come by order, as its statement sorts them.
    return _each(moment, entry, wanted, _orders(moment, entry, wanted), "order_id", "lines", "order_ids")


def _skus(moment: Snapshot, entry: Entry, wanted: Wanted) -> Rows:
    return _listed(moment, entry, wanted, "sku_rows", "registered_at", 'code COLLATE "C"', "sku_id")


def _customers(moment: Snapshot, entry: Entry, wanted: Wanted) -> Rows:
    by = ("registered_at DESC NULLS LAST", "customer_id DESC")
    # Amounts are of one currency each: they stand in the rows of what was bought.
    return _without(_listed(moment, entry, wanted, "customer_rows", "registered_at", *by), "net_sales_minor")


def _customer_sales(moment: Snapshot, entry: Entry, wanted: Wanted) -> Rows:
    return _each(moment, entry, wanted, _customers(moment, entry, wanted), "customer_id", "sales", "customer_ids")


def _reviews(moment: Snapshot, entry: Entry, wanted: Wanted) -> Rows:
    return _listed(moment, entry, wanted, "review_rows", "posted_at", "posted_at DESC", "order_id", "line")


def _campaign_results(moment: Snapshot, entry: Entry, wanted: Wanted) -> Rows:
    return _counted(moment, entry, *moment.query(entry, "results", {"row_limit": ALL_ROWS}, wanted.store_ids))


def _each(moment: Snapshot, entry: Entry, wanted: Wanted, owners: Rows, key: str, query: str, parameter: str) -> Rows:
    """Return the rows that a query has of each of others, batch by batch. key: the column that `parameter` lists."""
    place = [column.name for column in owners.columns].index(key)
    sql, values = moment.query(entry, query, {parameter: []}, wanted.store_ids)

    def batches() -> Iterator[tuple[Batch, int | None]]:
        for found, percent in owners.batches:
            for batch in _stream(moment, sql, {**values, parameter: [row[place] for row in found]}):
                yield batch, percent

    return Rows(_columns(moment, sql, values), entry.position, entry.version, batches())


def _without(rows: Rows, name: str) -> Rows:
    """Return the same rows without a column."""
    place = [column.name for column in rows.columns].index(name)
    columns = [*rows.columns[:place], *rows.columns[place + 1 :]]
    batches = (([(*row[:place], *row[place + 1 :]) for row in batch], percent) for batch, percent in rows.batches)
    return replace(rows, columns=columns, batches=batches)


def _stock_movements(moment: Snapshot, entry: Entry, wanted: Wanted) -> Rows:
    """Return the ledger's lines with the values of the valuation, as far as both have come."""
    valuation = moment.serving(VALUATION)
    position = min(entry.position, valuation.position)
    lines = _listed(moment, entry, wanted, "movement_rows", "occurred_at", "position", "leg", until=position)
    place = {column.name: number for number, column in enumerate(lines.columns)}

    def valued(batch: Batch) -> Batch:
        which = {
            "positions": [row[place["position"]] for row in batch],
            "sku_ids": [row[place["sku_id"]] for row in batch],
        }
        found = {row["position"]: row for row in moment.answer(valuation, "values_after", which, wanted.store_ids)}
        changed = []
        for row in batch:
            worth, values = found[row[place["position"]]], list(row)
            for name in ("unit_cost", "value_minor", "running_value_minor"):
                values[place[name]] = worth[name]
            changed.append((*values, worth["adjusted_minor"]))
        return changed

    columns = [*lines.columns, Column("adjustment_minor", Kind.INTEGER)]
    return replace(_valued(lines, valuation, valued), columns=columns, position=position)


def _stock_levels(moment: Snapshot, entry: Entry, wanted: Wanted) -> Rows:
    """Return the ledger's levels with the costs of the valuation."""
    valuation = moment.serving(VALUATION)
    levels = _counted(moment, entry, *moment.query(entry, "levels", {}, wanted.store_ids))
    place = {column.name: number for number, column in enumerate(levels.columns)}
    sku, cost = place["sku_id"], place["unit_cost"]

    def valued(batch: Batch) -> Batch:
        which = {"sku_ids": list({row[sku] for row in batch})}
        costs = {row["sku_id"]: row["mean_cost"] for row in moment.answer(valuation, "report", which, wanted.store_ids)}
        return [(*row[:cost], costs.get(row[sku]), *row[cost + 1 :]) for row in batch]

    return _valued(levels, valuation, valued)


def _valued(rows: Rows, valuation: Entry, valued: Callable[[Batch], Batch]) -> Rows:
    """Return the ledger's rows, in which its running average gives way to what the valuation says."""
    return replace(
        rows, batches=((valued(batch), percent) for batch, percent in rows.batches), valuation=valuation.version
    )


def _kpi_daily(moment: Snapshot, entry: Entry, wanted: Wanted) -> Rows:
    return _counted(moment, entry, *moment.query(entry, "days", {}, wanted.store_ids))


_READERS: dict[Dataset, Callable[[Snapshot, Entry, Wanted], Rows]] = {
    Dataset.ORDERS: _orders,
    Dataset.ORDER_LINES: _order_lines,
    Dataset.STOCK_MOVEMENTS: _stock_movements,
    Dataset.STOCK_LEVELS: _stock_levels,
    Dataset.SKUS: _skus,
    Dataset.CUSTOMERS: _customers,
    Dataset.CUSTOMER_SALES: _customer_sales,
    Dataset.REVIEWS: _reviews,
    Dataset.CAMPAIGN_RESULTS: _campaign_results,
    Dataset.KPI_DAILY: _kpi_daily,
}
