"""Figures of the read models: each asked within the viewer's stores, each open down to the events behind it."""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

import psycopg
import strawberry

from opscore.api.context import Context
from opscore.api.enums import expose
from opscore.api.errors import BadInput, NotReady
from opscore.api.ids import key_of
from opscore.api.inputs import aggregate_of
from opscore.api.money import Money, UnitPrice, money_in, unit_price
from opscore.api.nodes import store_gid
from opscore.api.rows import Attribute, Made, MadeObject, Rows
from opscore.api.scalars import MAX_POSITION, Json, Position
from opscore.domain.values import minor_digits
from opscore.projector import Ask, Outdated, ProjectionRefused, Projector
from opscore.projector.lists import ALL, Column, Key, Page

FoundT = TypeVar("FoundT")

DAYS_MAX = 1_100
"""Most days of one question about single days."""


class Grain(enum.StrEnum):
    """How long a period is."""

    DAY = "day"
    WEEK = "week"
    """Monday to Sunday."""
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


expose(Grain)


def ask(
    context: Context,
    projection: str,
    query: str,
    params: dict[str, Any],
    *,
    store_ids: list[UUID] | None,
    at_least: int | None = None,
) -> list[dict[str, Any]]:
    """Return the rows of a projection's query within these stores (blocking).

    at_least: a position that the read model has to have reached; raises Behind, and `Services.read` waits for it.
    """
    return reading(context, projection, lambda ask: ask(query, params), store_ids=store_ids, at_least=at_least)


def reading(
    context: Context,
    projection: str,
    work: Callable[[Ask], FoundT],
    *,
    store_ids: list[UUID] | None,
    at_least: int | None = None,
) -> FoundT:
    """Return what `work` makes of several queries of one version of a projection (blocking); see `ask`."""
    try:
        return context.services.read_models.read(projection, work, store_ids=store_ids, at_least=at_least)
    except Outdated:
        raise  # There may be another way to the answer; `Services.read` says so where there is none.
    except ProjectionRefused as refused:
        raise NotReady(str(refused)) from None


@strawberry.interface(description="What was sold, and what of it went back. Reversals count on their own day.")
class SalesFigures:
    currency_code: str = strawberry.field(description="ISO 4217 code of its amounts.")
    orders: int = strawberry.field(description="Orders paid in full.")
    guest_orders: int = strawberry.field(description="Those of them without a customer.")
    units: Decimal = strawberry.field(description="Units sold.")
    gross: Money = strawberry.field(description="The goods at list price.")
    discount: Money = strawberry.field(description="What was taken off.")
    gmv: Money = strawberry.field(description="The goods after discounts (gross merchandise value).")
    freight: Money = strawberry.field(description="What was paid for carriage.")
    refunds: int = strawberry.field(description="How often money went back.")
    refunded: Money = strawberry.field(description="What went back for goods.")
    refunded_freight: Money = strawberry.field(description="What went back for carriage.")
    net_sales: Money = strawberry.field(description="GMV less what went back.")
    customers: int = strawberry.field(description="Different customers who paid.")
    buyers: int = strawberry.field(description="Customers and guests, as the rules count them; exact for any window.")
    value_per_customer: UnitPrice | None = strawberry.field(description="GMV by buyers; null without any.")
    value_per_order: UnitPrice | None = strawberry.field(description="GMV by orders; null without any.")


@strawberry.type(description="What one store sold on one of its own calendar days, in one currency.")
class KpiDay(SalesFigures):
    store_id: strawberry.ID = strawberry.field(description="The store.")
    day: date = strawberry.field(description="The day, in the zone that the store had then.")


@strawberry.type(description="What these stores sold together in one period, in one currency.")
class KpiPeriod(SalesFigures):
    starts_on: date = strawberry.field(description="First day of the period.")


@strawberry.type(description="What these stores sold together over a window, in one currency.")
class KpiTotal(SalesFigures):
    first_day: date = strawberry.field(description="First day of the window with any figure.")
    last_day: date = strawberry.field(description="Last day of the window with any figure.")
    repeat_customers: int = strawberry.field(description="Customers with more than one order in the window.")


@strawberry.type(description="An event behind a figure, with what it added.")
class Contribution:
    position: Position = strawberry.field(description="Position of the event in the log.")
    event: str | None = strawberry.field(description="Its type.")
    occurred_at: datetime | None = strawberry.field(description="When it happened.")
    rule_version: int = strawberry.field(description="Version of the rules that counted it.")
    figures: Json = strawberry.field(
        description="What it added to each figure; amounts in minor units, decimals as strings."
    )


def _per_unit(value_minor: Decimal | None, currency: str) -> UnitPrice | None:
    """Return a quotient of minor units as a price in main units, exact to its last place."""
    return None if value_minor is None else unit_price(value_minor.scaleb(-minor_digits(currency)), currency)


_SALES: dict[str, Attribute] = {
    "currency_code": Made(("currency",)),
    **{name: Made((name,)) for name in ("orders", "guest_orders", "units", "refunds", "customers", "buyers")},
    **{
        name: money_in(Made((f"{name}_minor",)), "currency")
        for name in ("gross", "discount", "gmv", "freight", "refunded", "refunded_freight", "net_sales")
    },
    **{name: Made((f"{name}_minor", "currency"), _per_unit) for name in ("value_per_customer", "value_per_order")},
}
DAY = MadeObject(KpiDay, {**_SALES, "store_id": Made(("store_id",), store_gid), "day": Made(("day",))})
PERIOD = MadeObject(KpiPeriod, {**_SALES, "starts_on": Made(("starts_on",))})
TOTAL = MadeObject(
    KpiTotal, {**_SALES, **{name: Made((name,)) for name in ("first_day", "last_day", "repeat_customers")}}
)
_DAY, _STORE, _STARTS_ON, _CURRENCY = (
    Key(Column(name, type_))
    for name, type_ in (("day", "date"), ("store_id", "uuid"), ("starts_on", "date"), ("currency", "text"))
)


def kpi_days(
    context: Context,
    window: dict[str, Any],
    store_ids: list[UUID] | None,
    at_least: int | None,
    wanted: Collection[str] = DAY.fields,
) -> Any:
    """Return the figures of each store and day of a window, as rows (blocking). wanted: which fields of them."""
    if (window["to_day"] - window["from_day"]).days >= DAYS_MAX:
        raise BadInput(f"Ask for at most {DAYS_MAX} days at once, or for kpiPeriods.")
    return _sold(context, DAY, ("days", window, (_DAY, _STORE, _CURRENCY)), store_ids, at_least, wanted)


def kpi_periods(
    context: Context,
    window: dict[str, Any],
    store_ids: list[UUID] | None,
    at_least: int | None,
    wanted: Collection[str],
) -> Any:
    """Return the figures of all stores together for each period of a window (blocking); see `kpi_days`."""
    return _sold(context, PERIOD, ("periods", window, (_STARTS_ON, _CURRENCY)), store_ids, at_least, wanted)


def kpi_totals(
    context: Context,
    window: dict[str, Any],
    store_ids: list[UUID] | None,
    at_least: int | None,
    wanted: Collection[str],
) -> Any:
    """Return the figures of all stores together over a window, one row for each currency (blocking); see `kpi_days`."""
    return _sold(context, TOTAL, ("totals", window, (_CURRENCY,)), store_ids, at_least, wanted)


def _sold(
    context: Context,
    of: MadeObject,
    question: tuple[str, dict[str, Any], tuple[Key, ...]],
    store_ids: list[UUID] | None,
    at_least: int | None,
    wanted: Collection[str],
) -> Rows:
    query, params, keys = question
    columns = of.columns(wanted) or (keys[0].column.name,)
    shape = Page(ALL, keys, None, columns=columns)
    rows = reading(
        context,
        "kpi_daily",
        lambda ask: ask.tuples(query, params, shape),
        store_ids=store_ids,
        at_least=at_least,
    )
    return Rows(of, columns, rows)


def explain(
    context: Context,
    projection: str,
    cell: str,
    key: dict[str, Any],
    *,
    after: tuple[int, ...],
    limit: int,
    as_of: int | None,
) -> list[dict[str, Any]]:
    """Return the events behind a figure, behind (position, page_place) of one of them (blocking)."""
    projector = _known(context, projection)
    with _refused():
        return projector.explain(
            projection, cell, key, store_ids=context.store_ids, after=after, limit=limit, as_of=as_of
        )


def explain_count(context: Context, projection: str, cell: str, key: dict[str, Any], as_of: int | None) -> int:
    """Return how many events are behind a figure (blocking)."""
    projector = _known(context, projection)
    with _refused():
        return projector.explain_count(projection, cell, key, store_ids=context.store_ids, as_of=as_of)


def _known(context: Context, projection: str) -> Projector:
    """Return the projector; raises BadInput for a read model that nobody could build."""
    projector = context.services.read_models
    names = {status.entry.name for status in projector.status()}
    if projection not in names:
        raise BadInput(f"There is no read model {projection}; there are {', '.join(sorted(names))}.")
    return projector


@contextmanager
def _refused() -> Iterator[None]:
    try:
        yield
    except ProjectionRefused as refused:
        raise BadInput(str(refused)) from None
    except psycopg.DataError:
        raise BadInput("A value of the key is not of its column's type.") from None


def explain_key(given: Any) -> dict[str, Any]:
    """Return the key of a row with the ids it names as plain UUIDs; raises BadInput for anything but flat values."""
    if not isinstance(given, dict) or not all(
        isinstance(value, str) or (type(value) is int and abs(value) <= MAX_POSITION) for value in given.values()
    ):
        raise BadInput("A key is an object of strings and whole numbers.")
    found = {}
    for name, value in given.items():
        kind = aggregate_of(name)
        found[name] = value
        if kind is not None and isinstance(value, str):
            found[name] = key_of(value, kind)
        elif name.endswith("_id"):
            try:
                found[name] = UUID(str(value))
            except ValueError:
                raise BadInput(f"{name} has to be a UUID.") from None
    return found


def contribution(row: dict[str, Any]) -> Contribution:
    """Return an event behind a figure as the API shows it."""
    known = {"position", "page_place", "event", "occurred_at", "rule_version"}
    return Contribution(
        position=Position(row["position"]),
        event=row.get("event"),
        occurred_at=row.get("occurred_at"),
        rule_version=row["rule_version"],
        figures=Json({name: _plain(value) for name, value in row.items() if name not in known}),
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, UUID | date | datetime):
        return str(value)
    return value
