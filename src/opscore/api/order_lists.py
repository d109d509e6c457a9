"""Lists of orders from the order book, in a fixed number of statements however many orders and lines there are.

The order book holds what a list shows. When a question asks for more of an order than that, the orders of the page are
folded from the log, all at once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from operator import itemgetter
from typing import Any, TypeVar
from uuid import UUID

import strawberry

from opscore.api import reads
from opscore.api.context import Context
from opscore.api.customers import customer_view
from opscore.api.figures import ask
from opscore.api.ids import key_of
from opscore.api.money import Money, money, unit_price
from opscore.api.naming import camel
from opscore.api.nodes import gid, store_gid
from opscore.api.orders import Order, OrderLine, order_view
from opscore.api.paging import connection, window
from opscore.api.selected import Selected
from opscore.domain import customer as customer_domain
from opscore.domain import order as order_domain
from opscore.domain.order_events import OrderKind, PriceSource
from opscore.domain.order_state import OrderStatus
from opscore.domain.values import plain
from opscore.permissions import may_see_field

ShownT = TypeVar("ShownT")
Make = Callable[[dict[str, Any]], Any]


def _columns(names: str) -> dict[str, Make]:
    """Return the fields that are columns as they are."""
    return {name: itemgetter(name) for name in names.split()}


def _money(column: str) -> Make:
    return lambda row: money(row[column], row["currency"])


def _unit_price(column: str) -> Make:
    return lambda row: unit_price(row[column], row["currency"])


def _quantity(column: str) -> Make:
    return lambda row: plain(row[column])


def _gid(kind: str, column: str) -> Make:
    return lambda row: gid(kind, row[column])


def _net_minor(row: dict[str, Any]) -> int:
    net: int = row["total_minor"] - row["cancelled_goods_minor"] - row["cancelled_freight_minor"]
    return net


def _due(row: dict[str, Any]) -> Money:
    settled = row["paid_at"] is not None or row["cancelled_at"] is not None
    return money(0 if settled else max(0, _net_minor(row) - row["paid_minor"]), row["currency"])


ORDER_MADE: dict[str, Make] = {
    "id": _gid("Order", "order_id"),
    "stream_id": itemgetter("order_id"),
    "store_id": lambda row: store_gid(row["store_id"]),
    "customer_id": _gid("Customer", "customer_id"),
    "kind": lambda row: OrderKind(row["kind"]),
    "status": lambda row: OrderStatus(row["status"]),
    "currency_code": itemgetter("currency"),
    "price_source": lambda row: PriceSource(row["price_source"]),
    **_columns(
        """
        channel external_reference region surge placed_at expires_at paid_at ship_by ship_by_hard confirmed_at
        delivered_at completed_at cancelled_at expired coupon_code
        """
    ),
    **{name: _money(f"{name}_minor") for name in ("goods", "discount", "freight", "total", "paid", "refunded")},
    "net_total": lambda row: money(_net_minor(row), row["currency"]),
    "due": _due,
    "campaign_ids": lambda row: [gid("Campaign", each) for each in row["campaign_ids"]],
}
"""What the order book has of an order, by attribute, and how it is made from a row of the book."""

LINE_MADE: dict[str, Make] = {
    "sku_id": _gid("Sku", "sku_id"),
    "campaign_id": _gid("Campaign", "campaign_id"),
    **_columns("line sku_code name unit gift service"),
    **{name: _quantity(name) for name in ("quantity", "cancelled", "exchanged", "returned", "refunded")},
    **{name: _unit_price(name) for name in ("list_price", "unit_price")},
    **{name: _money(f"{name}_minor") for name in ("gross", "discount", "amount")},
}
"""The same of a line."""

IN_THE_BOOK = frozenset({"__typename", "customer", "lines", *map(camel, ORDER_MADE)})
"""Fields of an order that the order book has."""

LINES_IN_THE_BOOK = frozenset({"__typename", *map(camel, LINE_MADE)})
"""Fields of a line that the order book has."""


@strawberry.input(description="Which orders; every condition that is given has to hold.")
class OrderFilter:
    store_ids: list[strawberry.ID] | None = strawberry.field(default=strawberry.UNSET, description="Of these stores.")
    statuses: list[OrderStatus] | None = strawberry.field(
        default=strawberry.UNSET, description="In one of these states."
    )
    customer_id: strawberry.ID | None = strawberry.field(default=strawberry.UNSET, description="Of this customer.")
    sku_id: strawberry.ID | None = strawberry.field(default=strawberry.UNSET, description="With this article.")
    campaign_id: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET, description="With a price or offer of this campaign."
    )
    channel: str | None = strawberry.field(default=strawberry.UNSET, description="From this channel.")
    external_reference: str | None = strawberry.field(
        default=strawberry.UNSET, description="With this number elsewhere."
    )
    waybill: str | None = strawberry.field(default=strawberry.UNSET, description="With a parcel of this number.")
    placed_from: datetime | None = strawberry.field(
        default=strawberry.UNSET, description="Placed at this moment or later."
    )
    placed_before: datetime | None = strawberry.field(
        default=strawberry.UNSET, description="Placed before this moment."
    )


@strawberry.type(description="How many orders a filter finds, in one currency.")
class OrderCount:
    orders: int = strawberry.field(description="How many.")
    total: Money = strawberry.field(description="Their totals together.")


@strawberry.type(description="How many orders of a store stand at one state.")
class OrdersAtState:
    store_id: strawberry.ID = strawberry.field(description="The store.")
    status: OrderStatus = strawberry.field(description="The state.")
    orders: int = strawberry.field(description="How many.")


@strawberry.type(description="Something that is to be done about an order.")
class DueOrder:
    order_id: strawberry.ID = strawberry.field(description="The order.")
    store_id: strawberry.ID = strawberry.field(description="Its store.")
    status: OrderStatus = strawberry.field(description="Where it stands.")
    what: str = strawberry.field(description="expire: it lapses unless it is paid. ship: it should have left.")
    due_at: datetime = strawberry.field(description="When.")


@strawberry.type(description="How well an article sold.")
class SkuSales:
    sku_id: strawberry.ID = strawberry.field(description="The article.")
    sku_code: str = strawberry.field(description="Its code.")
    name: str = strawberry.field(description="Its name.")
    units: Decimal = strawberry.field(description="Units of paid orders, less those called off.")
    amount: Money = strawberry.field(description="What they cost after discounts.")
    orders: int = strawberry.field(description="In how many orders.")


def book_filter(context: Context, given: OrderFilter | None) -> tuple[dict[str, Any], list[UUID] | None]:
    """Return (parameters of the order book's queries, stores to look into); a customer sees none but its own orders."""

    def value(name: str) -> Any:
        found = None if given is None else getattr(given, name)
        return None if found is strawberry.UNSET else found

    def key(name: str, kind: str) -> UUID | None:
        found = value(name)
        return None if found is None else key_of(found, kind)

    customer_id = key("customer_id", "Customer")
    own = context.customer_id
    stores = value("store_ids")
    asked = {
        "statuses": None if value("statuses") is None else [each.value for each in value("statuses")],
        "customer_id": customer_id if own is None else own,
        "sku_id": key("sku_id", "Sku"),
        "campaign_id": key("campaign_id", "Campaign"),
        "channel": value("channel"),
        "external_reference": value("external_reference"),
        "waybill": value("waybill"),
        "placed_from": value("placed_from"),
        "placed_before": value("placed_before"),
    }
    look_into = context.narrowed(None if stores is None else [key_of(each, "Store") for each in stores])
    if own is not None and customer_id not in (None, own):
        look_into = []  # Somebody else's orders: there are none.
    return asked, look_into


def orders(
    context: Context,
    given: OrderFilter | None,
    first: int | None,
    after: str | None,
    wanted: Selected,
    at_least: int | None,
) -> Any:
    """Return a page of orders, latest first (blocking). wanted: what is selected of the connection."""
    asked, look_into = book_filter(context, given)
    binding = f"orders:{sorted(asked.items(), key=str)}:{look_into}"
    page = window(binding, 2, first, after, None, None)
    keys = page.after or [None, None]
    asked |= {"before_placed_at": keys[0], "before_order_id": keys[1], "row_limit": page.fetch}
    rows = ask(context, "order_book", "orders", asked, store_ids=look_into, at_least=at_least)
    shown = rows[: page.limit]
    wanted = Selected().merge(wanted.at("nodes")).merge(wanted.at("edges", "node"))
    if wanted.keys() <= IN_THE_BOOK and wanted.at("lines").keys() <= LINES_IN_THE_BOOK:
        views = _from_the_book(context, shown, look_into, wanted)
    else:
        found = reads.many(context, order_domain.Order, [row["order_id"] for row in shown])
        # The log may be ahead of the book, never behind it: every order of the book is found.
        views = {key: order_view(order, context) for key, order in found.items()}
    if "customer" in wanted:
        _add_customers(context, shown, views)
    kept = [row for row in rows if row["order_id"] in views or row not in shown]
    return connection(
        kept,
        page,
        binding,
        lambda row: [row["placed_at"].isoformat(), row["order_id"]],
        lambda row: views[row["order_id"]],
    )


def _from_the_book(
    context: Context, rows: list[dict[str, Any]], look_into: list[UUID] | None, wanted: Selected
) -> dict[UUID, Order]:
    """Return the orders of these rows with what is wanted of them and no more: making it all takes longer."""
    of_order: dict[UUID, list[OrderLine]] = defaultdict(list)
    if "lines" in wanted and rows:
        asked = {"order_ids": [row["order_id"] for row in rows]}
        making = making_of(LINE_MADE, wanted.at("lines"))
        for line in ask(context, "order_book", "lines", asked, store_ids=look_into):
            of_order[line["order_id"]].append(shown_as(OrderLine, making, line))
    making = making_of(ORDER_MADE, wanted)
    views = {row["order_id"]: shown_as(Order, making, row) for row in rows}
    for key, view in views.items():
        view.lines = of_order[key]
    return views


def making_of(made: dict[str, Make], wanted: Selected) -> list[tuple[str, Make]]:
    """Return how to make each attribute that is wanted."""
    return [(name, make) for name, make in made.items() if camel(name) in wanted]


def shown_as(kind: type[ShownT], making: list[tuple[str, Make]], row: dict[str, Any]) -> ShownT:
    """Return an object of the schema that has these attributes of a row and no others."""
    view = object.__new__(kind)
    view.__dict__.update([(name, make(row)) for name, make in making])
    return view


def _add_customers(context: Context, rows: list[dict[str, Any]], views: dict[UUID, Order]) -> None:
    found: dict[UUID, Any] = {}
    if may_see_field(context.viewer.role, "Order.customer"):
        wanted = [row["customer_id"] for row in rows if row["customer_id"] is not None]
        found = reads.many(context, customer_domain.Customer, wanted)
    shown = {key: customer_view(each, context) for key, each in found.items()}
    for row in rows:
        view = views.get(row["order_id"])
        if view is not None:
            view.loaded_customer = shown.get(row["customer_id"])


def count(context: Context, given: OrderFilter | None, at_least: int | None) -> list[OrderCount]:
    """Return how many orders a filter finds, by currency (blocking)."""
    asked, look_into = book_filter(context, given)
    rows = ask(context, "order_book", "order_count", asked, store_ids=look_into, at_least=at_least)
    return [
        OrderCount(orders=row["orders"], total=money(int(row["total_minor"] or 0), row["currency"])) for row in rows
    ]


def states(context: Context, store_ids: list[UUID] | None, at_least: int | None) -> list[OrdersAtState]:
    """Return how many orders stand at each state (blocking)."""
    rows = ask(context, "order_book", "states", {}, store_ids=store_ids, at_least=at_least)
    return [
        OrdersAtState(store_id=store_gid(row["store_id"]), status=OrderStatus(row["status"]), orders=row["orders"])
        for row in rows
    ]


def due(
    context: Context, before: datetime, limit: int, store_ids: list[UUID] | None, at_least: int | None
) -> list[DueOrder]:
    """Return what is to be done about orders before a moment, soonest first (blocking)."""
    asked = {"due_before": before, "row_limit": limit}
    rows = ask(context, "order_book", "due", asked, store_ids=store_ids, at_least=at_least)
    return [
        DueOrder(
            order_id=gid("Order", row["order_id"]),
            store_id=store_gid(row["store_id"]),
            status=OrderStatus(row["status"]),
            what=row["what"],
            due_at=row["due_at"],
        )
        for row in rows
    ]


def top_skus(
    context: Context,
    placed_from: datetime | None,
    placed_before: datetime | None,
    limit: int,
    store_ids: list[UUID] | None,
    at_least: int | None,
) -> list[SkuSales]:
    """Return the articles that sold most (blocking)."""
    asked = {"placed_from": placed_from, "placed_before": placed_before, "row_limit": limit}
    rows = ask(context, "order_book", "top_skus", asked, store_ids=store_ids, at_least=at_least)
    return [
        SkuSales(
            sku_id=gid("Sku", row["sku_id"]),
            sku_code=row["sku_code"],
            name=row["name"],
            units=plain(row["units"]),
            amount=money(int(row["amount_minor"]), row["currency"]),
            orders=row["orders"],
        )
        for row in rows
    ]
