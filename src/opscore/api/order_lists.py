"""Lists of orders from the order book, in a fixed number of statements however many orders and lines there are.

The order book holds what a list shows. When a question asks for more of an order than that, the orders of the page are
folded from the log, all at once.
"""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

import strawberry

from opscore.api import reads
from opscore.api.context import Context
from opscore.api.customers import customer_view
from opscore.api.enums import expose
from opscore.api.figures import ask, reading
from opscore.api.filters import (
    AmountFilter,
    Direction,
    Filter,
    IdFilter,
    TextFilter,
    TimeFilter,
    condition,
    either,
    every,
    on,
    without,
)
from opscore.api.ids import key_of
from opscore.api.lists import Listing, PageArguments, listed, refuse_hidden
from opscore.api.money import Money, UnitPrice, money, money_in, unit_price_in
from opscore.api.nodes import gid, gid_in, store_gid
from opscore.api.numbers import order_number_field
from opscore.api.orders import Order, OrderLine, order_view
from opscore.api.rows import Attribute, Found, Made, MadeList, MadeObject, Row, Rows, as_they_are, member_in
from opscore.api.selected import Selected
from opscore.api.skus import sku_view
from opscore.api.stores import store_view
from opscore.domain import (
    customer as customer_domain,
    order as order_domain,
    sku as sku_domain,
    store as store_domain,
)
from opscore.domain.aggregate import Aggregate
from opscore.domain.order_disputes import DisputeStatus, FaultParty
from opscore.domain.order_events import OrderKind, PriceSource, ReturnReason, ReturnRemedy, TrackingStatus
from opscore.domain.order_state import OrderStatus, ReturnStatus
from opscore.domain.policies import ProblemKind
from opscore.domain.values import TrafficSource, plain
from opscore.permissions import may_see_field
from opscore.projector import Ask
from opscore.projector.lists import Column, Compare, Key, Operator, Page, Total

AggregateT = TypeVar("AggregateT", bound=Aggregate)
ViewT = TypeVar("ViewT")


_NET = ("total_minor", "cancelled_goods_minor", "cancelled_freight_minor")


def _net_minor(total_minor: int, cancelled_goods_minor: int, cancelled_freight_minor: int) -> int:
    return total_minor - cancelled_goods_minor - cancelled_freight_minor


def _due_minor(*columns: Any) -> int:
    *net, paid_minor, paid_at, cancelled_at = columns
    settled = paid_at is not None or cancelled_at is not None
    return 0 if settled else max(0, _net_minor(*net) - paid_minor)


def _not_exchanged(minor: int, exchanged_minor: int) -> int:
    return minor - exchanged_minor


LINE = MadeObject(
    OrderLine,
    {
        "sku_id": gid_in("Sku", "sku_id"),
        "campaign_id": gid_in("Campaign", "campaign_id"),
        **as_they_are("line sku_code name unit gift service"),
        **{
            name: Made((name,), plain, repeats=True)
            for name in ("quantity", "cancelled", "exchanged", "returned", "refunded")
        },
        **{name: unit_price_in(name, "currency") for name in ("list_price", "unit_price")},
        **{
            name: money_in(Made((f"{name}_minor", "exchanged_minor"), _not_exchanged), "currency")
            for name in ("gross", "amount")
        },
        "discount": money_in(Made(("discount_minor",)), "currency"),
    },
)
"""What the order book has of a line, by attribute, and how it is made from a row of the book."""

ORDER = MadeObject(
    Order,
    {
        "id": gid_in("Order", "order_id"),
        "stream_id": Made(("order_id",)),
        "store_id": Made(("store_id",), store_gid),
        "customer_id": gid_in("Customer", "customer_id"),
        "kind": member_in(OrderKind, "kind"),
        "status": member_in(OrderStatus, "status"),
        "currency_code": Made(("currency",)),
        "price_source": member_in(PriceSource, "price_source"),
        "traffic_source": member_in(TrafficSource, "traffic_source"),
        **as_they_are(
            """
            number channel external_reference region surge placed_at expires_at paid_at ship_by ship_by_hard
            confirmed_at delivered_at completed_at cancelled_at expired coupon_code device
            """
        ),
        **{
            name: money_in(Made((f"{name}_minor",)), "currency")
            for name in ("goods", "discount", "freight", "total", "paid", "refunded")
        },
        "net_total": money_in(Made(_NET, _net_minor), "currency"),
        "due": money_in(Made((*_NET, "paid_minor", "paid_at", "cancelled_at"), _due_minor), "currency"),
        "campaign_ids": Made(("campaign_ids",), lambda keys: [gid("Campaign", each) for each in keys]),
        "tags": Made(("tags",)),
        "lines": MadeList("order_id", LINE),
    },
)
"""The same of an order."""

_NOTHING = Made((), lambda: None)


def _without_prices(of: MadeObject) -> MadeObject:
    """Return how the same object is made for who sees no prices."""
    shown: dict[str, Attribute] = {
        name: _NOTHING if isinstance(each, MadeObject) and each.kind in (Money, UnitPrice) else each
        for name, each in of.attributes.items()
    }
    return MadeObject(of.kind, shown)


LINE_UNPRICED = _without_prices(LINE)
_unpriced = _without_prices(ORDER)
ORDER_UNPRICED = MadeObject(Order, {**_unpriced.attributes, "lines": MadeList("order_id", LINE_UNPRICED)})
"""What roles see that see no prices; a test holds it against the table of permissions."""

ORDER_OF_BUYERS = MadeObject(Order, {**ORDER.attributes, "tags": Made((), list)})
"""What buyers see, who see no tags; likewise."""

_LINE_KEYS = (Key(Column("order_id", "uuid")), Key(Column("line", "bigint")))

_OF_ORDERS = Compare(Column("unit", "text"), Operator.IS_SET)
"""Lines that were ordered: what came back of no order has neither prices nor a unit, and shows none."""

NAMED = {"customer": "customer_id", "store": "store_id"}
"""Fields of an order that are objects of their own -> the column of the order book that names them."""

IN_THE_BOOK = frozenset({"__typename", *NAMED, *ORDER.fields})
"""Fields of an order that the order book has, or names."""

LINES_IN_THE_BOOK = frozenset({"__typename", "sku", *LINE.fields})
"""Fields of a line that the order book has, or names."""


@strawberry.input(description="Which orders; all that is given has to hold.")
class OrderFilter:
    and_: list[OrderFilter] | None = every()
    or_: list[OrderFilter] | None = either()
    not_: OrderFilter | None = without()
    id: IdFilter | None = on("order_id", "The order itself.", of="Order")
    store_id: IdFilter | None = on("store_id", "Its store.", of="Store")
    customer_id: IdFilter | None = on("customer_id", "Who ordered; not set for a guest.", of="Customer")
    sku_id: IdFilter | None = on("sku_id", "An article in it.", of="Sku", link="order_articles", key="order_id")
    sku_code: TextFilter | None = on("sku_code", "The code of an article in it.", link="order_articles", key="order_id")
    campaign_id: IdFilter | None = on(
        "campaign_id", "A campaign whose price or offer it has.", of="Campaign", link="order_campaigns", key="order_id"
    )
    waybill: TextFilter | None = on("waybill", "The number of a parcel of it.", link="order_parcels", key="order_id")
    courier: TextFilter | None = on("courier", "Who carries a parcel of it.", link="order_parcels", key="order_id")
    tracking_status: Filter[TrackingStatus] | None = on(
        "tracking_status", "The courier's latest word of a parcel of it.", link="order_parcels", key="order_id"
    )
    news_by: TimeFilter | None = on(
        "news_by",
        "By when something is to be heard of a parcel of it that is on its way; past, it is stalled.",
        link="order_parcels",
        key="order_id",
    )
    return_status: Filter[ReturnStatus] | None = on(
        "status", "How far a return of it is.", link="order_returns", key="order_id"
    )
    return_reason: Filter[ReturnReason] | None = on(
        "reason", "Why goods of it go back.", link="order_returns", key="order_id"
    )
    return_remedy: Filter[ReturnRemedy] | None = on(
        "remedy", "What is wanted for goods of it that go back.", link="order_returns", key="order_id"
    )
    return_waybill: TextFilter | None = on(
        "waybill", "The number of a parcel with goods of it that comes back.", link="order_returns", key="order_id"
    )
    return_fault_party: Filter[FaultParty] | None = on(
        "fault_party",
        "Whose fault it is that goods of it come back.",
        link="order_returns",
        key="order_id",
        shown_as="OrderReturn.faultParty",
    )
    return_requested_at: TimeFilter | None = on(
        "requested_at", "When a return of it was asked for.", link="order_returns", key="order_id"
    )
    dispute_status: Filter[DisputeStatus] | None = on(
        "status", "How far a dispute of it is.", link="order_disputes", key="order_id"
    )
    dispute_kind: Filter[ProblemKind] | None = on(
        "kind", "What somebody complains of about it.", link="order_disputes", key="order_id"
    )
    dispute_opened_at: TimeFilter | None = on(
        "opened_at", "When somebody complained about it.", link="order_disputes", key="order_id"
    )
    dispute_changed_at: TimeFilter | None = on(
        "changed_at", "When a dispute of it took its last step.", link="order_disputes", key="order_id"
    )
    dispute_fault_party: Filter[FaultParty] | None = on(
        "fault_party",
        "Whose fault it is that somebody complains about it.",
        link="order_disputes",
        key="order_id",
        shown_as="OrderDispute.faultParty",
    )
    payment_reference: TextFilter | None = on(
        "reference",
        "What the payment provider calls a payment, a refund or a compensation of it.",
        link="order_references",
        key="order_id",
        shown_as="Order.payments",
    )
    tag: TextFilter | None = on("tag", "A tag of it.", link="order_tags", key="order_id", shown_as="Order.tags")
    noted_at: TimeFilter | None = on(
        "written_at", "When a note on it was written.", link="order_notes", key="order_id", shown_as="Order.notes"
    )
    status: Filter[OrderStatus] | None = on("status", "Where it stands.")
    kind: Filter[OrderKind] | None = on("kind", "What kind it is.")
    price_source: Filter[PriceSource] | None = on("price_source", "Who fixed its prices.")
    number: TextFilter | None = on("number", "Its number, as people call it.")
    channel: TextFilter | None = on("channel", "The channel it came from.")
    region: TextFilter | None = on("region", "Where it goes.")
    traffic_source: Filter[TrafficSource] | None = on("traffic_source", "By which way the buyer came.")
    device: TextFilter | None = on("device", "What the buyer ordered with.")
    external_reference: TextFilter | None = on("external_reference", "Its number elsewhere.")
    coupon_code: TextFilter | None = on("coupon_code", "The coupon it was placed with.")
    currency_code: TextFilter | None = on("currency", "Its currency.")
    agent: TextFilter | None = on("agent", "Who of the staff helped the buyer, a pseudonym.", shown_as="Order.agent")
    surge: bool | None = on("surge", "Whether it was paid while a surge was on.")
    placed_at: TimeFilter | None = on("placed_at", "When it was placed.")
    paid_at: TimeFilter | None = on("paid_at", "When it was paid in full.")
    ship_by: TimeFilter | None = on("ship_by", "When it should have left.")
    ship_by_hard: TimeFilter | None = on("ship_by_hard", "When it must have left at the latest.")
    confirmed_at: TimeFilter | None = on("confirmed_at", "When it was confirmed.")
    delivered_at: TimeFilter | None = on("delivered_at", "When all of it had arrived.")
    completed_at: TimeFilter | None = on("completed_at", "When it was completed.")
    cancelled_at: TimeFilter | None = on("cancelled_at", "When it was called off or lapsed.")
    changed_at: TimeFilter | None = on("changed_at", "When its last event was recorded.")
    total: AmountFilter | None = on(
        "total_minor", "What it cost, before anything was called off.", shown_as="Order.total"
    )
    refunded: AmountFilter | None = on("refunded_minor", "What went back.", shown_as="Order.refunded")


class OrderSortKey(enum.StrEnum):
    """What orders are sorted by."""

    PLACED_AT = "placed_at"
    """When they were placed."""
    PAID_AT = "paid_at"
    """When they were paid in full; unpaid ones come last."""
    SHIP_BY = "ship_by"
    """When they should leave; those that need not come last."""
    CHANGED_AT = "changed_at"
    """When their last events were recorded."""
    TOTAL = "total_minor"
    """What they cost in minor units, whatever the currency."""


expose(OrderSortKey)


@strawberry.input(description="How orders are sorted; of two that are equal, their ids decide.")
class OrderSort:
    by: OrderSortKey = strawberry.field(description="What they are sorted by.")
    direction: Direction = strawberry.field(default=Direction.ASC, description="Which end comes first.")


ORDERS = Listing(
    "order_book",
    "order_rows",
    (Column("order_id", "uuid"),),
    {
        OrderSortKey.PLACED_AT: Column("placed_at", "timestamptz"),
        OrderSortKey.PAID_AT: Column("paid_at", "timestamptz", nullable=True),
        OrderSortKey.SHIP_BY: Column("ship_by", "timestamptz", nullable=True),
        OrderSortKey.CHANGED_AT: Column("changed_at", "timestamptz"),
        OrderSortKey.TOTAL: Column("total_minor", "bigint"),
    },
    (OrderSortKey.PLACED_AT, Direction.DESC),
    {OrderSortKey.TOTAL: "Order.total"},
)
COUNTED_BY = (Column("currency", "text"),)
COUNTED = tuple(
    Column(f"{name}_minor", "bigint") for name in ("goods", "discount", "freight", "total", "paid", "refunded")
)


@strawberry.type(
    description="How many orders a filter finds, in one currency; amounts are null for roles that see no prices."
)
class OrderCount:
    orders: int = strawberry.field(description="How many.")
    goods: Money | None = strawberry.field(description="Their goods after discounts, together.")
    discount: Money | None = strawberry.field(description="What was taken off, together.")
    freight: Money | None = strawberry.field(description="Their carriage together.")
    total: Money | None = strawberry.field(description="Their totals together, before anything was called off.")
    paid: Money | None = strawberry.field(description="What was paid of them.")
    refunded: Money | None = strawberry.field(description="What of that went back.")


@strawberry.type(description="How many orders of a store stand at one state.")
class OrdersAtState:
    store_id: strawberry.ID = strawberry.field(description="The store.")
    status: OrderStatus = strawberry.field(description="The state.")
    orders: int = strawberry.field(description="How many.")


@strawberry.type(description="Something that is to be done about an order.")
class DueOrder:
    order_id: strawberry.ID = strawberry.field(description="The order.")
    order_number = order_number_field()
    store_id: strawberry.ID = strawberry.field(description="Its store.")
    status: OrderStatus = strawberry.field(description="Where it stands.")
    what: str = strawberry.field(
        description="expire: it lapses unless it is paid. ship: it should have left. track: something should have been "
        "heard of a parcel of it that is on its way."
    )
    due_at: datetime = strawberry.field(description="When.")


@strawberry.type(description="How well an article sold.")
class SkuSales:
    sku_id: strawberry.ID = strawberry.field(description="The article.")
    sku_code: str = strawberry.field(description="Its code.")
    name: str = strawberry.field(description="Its name.")
    units: Decimal = strawberry.field(description="Units of paid orders, less those called off.")
    amount: Money = strawberry.field(description="What they cost after discounts.")
    orders: int = strawberry.field(description="In how many orders.")


def orders(
    context: Context,
    given: OrderFilter | None,
    sort: OrderSort | None,
    page: PageArguments,
    wanted: Selected,
    at_least: int | None,
) -> Any:
    """Return a page of orders, latest first unless sorted (blocking). wanted: what is selected of the connection."""
    own, role = context.customer_id, context.viewer.role
    refuse_hidden(role, ORDERS, sort)
    order, line = (ORDER, LINE) if may_see_field(role, "Order.total") else (ORDER_UNPRICED, LINE_UNPRICED)
    if not may_see_field(role, "Order.tags"):
        order = ORDER_OF_BUYERS
    scope = {"customer_id": own}
    asked = listed(ORDERS, condition(given, role), sort, page, counted="totalCount" in wanted, scope=own)
    edges = "edges" in wanted
    wanted = wanted.of_rows()
    in_the_book = wanted.keys() <= IN_THE_BOOK and wanted.at("lines").keys() <= LINES_IN_THE_BOOK

    def read(ask: Ask) -> tuple[Rows, int | None]:
        columns = ["order_id", *(column for name, column in NAMED.items() if name in wanted)]
        if in_the_book:
            columns += order.columns(wanted)
        names, rows = asked.tuples(ask, scope, columns)
        total = asked.total(ask, scope)
        lists = {}
        if in_the_book and "lines" in wanted:
            place = names.index("order_id")
            lists["lines"] = _lines(ask, [row[place] for row in asked.cut(rows)], line, wanted.at("lines"))
        return Rows(order, names, rows, lists), total

    rows, total = reading(context, "order_book", read, store_ids=context.store_ids, at_least=at_least)
    if in_the_book and not (NAMED.keys() & wanted.keys() or "sku" in wanted.at("lines")):
        return asked.connection_of_rows(rows, total, edges=edges)
    found = [dict(zip(rows.columns, row, strict=True)) for row in rows.rows]
    shown = asked.cut(found)
    if in_the_book:
        views = {row["order_id"]: view for row, view in zip(shown, asked.cut(rows), strict=True)}
    else:
        orders = reads.many(context, order_domain.Order, [row["order_id"] for row in shown])
        views = {key: order_view(each, context) for key, each in orders.items()}
    _add_named(context, shown, views, wanted)
    # The log may be ahead of the book, never behind it: every order of the book is found.
    return asked.connection(found, lambda row: views[row["order_id"]], total, edges=edges)


def _lines(ask: Ask, order_ids: Sequence[UUID], of: MadeObject, wanted: Selected) -> Found:
    """Return what is wanted of the lines of these orders, by order. of: how a line is made."""
    named = ("sku_id",) if "sku" in wanted else ()
    columns = tuple(dict.fromkeys(("order_id", *of.columns(wanted), *named)))
    of_order: dict[UUID, list[Row]] = defaultdict(list)
    if order_ids:
        shape = Page(_OF_ORDERS, _LINE_KEYS, None, columns=columns, one_plan=True)
        for line in ask.tuples("lines", {"order_ids": order_ids}, shape):
            of_order[line[0]].append(line)
    return Found(columns, of_order)


def _add_named(context: Context, rows: Sequence[dict[str, Any]], views: dict[UUID, Order], wanted: Selected) -> None:
    """Give each order and line the objects that it names and that are wanted, one statement for each kind."""
    if "customer" in wanted:
        customers = _seen(
            context, "Order.customer", customer_domain.Customer, customer_view, [row["customer_id"] for row in rows]
        )
        for row in rows:
            views[row["order_id"]].loaded_customer = customers.get(row["customer_id"])
    if "store" in wanted:
        stores = _seen(context, "Order.store", store_domain.Store, store_view, [row["store_id"] for row in rows])
        for row in rows:
            views[row["order_id"]].loaded_store = stores.get(row["store_id"])
    if "sku" in wanted.at("lines"):
        lines = [(line, key_of(line.sku_id, "Sku")) for view in views.values() for line in view.lines]
        skus = _seen(context, "OrderLine.sku", sku_domain.Sku, sku_view, [key for _, key in lines])
        for line, key in lines:
            line.loaded_sku = skus.get(key)


def _seen(
    context: Context,
    place: str,
    kind: type[AggregateT],
    view: Callable[[AggregateT, Context], ViewT],
    keys: Iterable[UUID | None],
) -> dict[UUID | None, ViewT]:
    """Return those of these aggregates that the viewer sees in a place, as the API shows them (blocking)."""
    if not may_see_field(context.viewer.role, place):
        return {}
    found = reads.many(context, kind, [key for key in dict.fromkeys(keys) if key is not None])
    return {key: view(each, context) for key, each in found.items()}


def count(context: Context, given: OrderFilter | None, at_least: int | None) -> list[OrderCount]:
    """Return how many orders a filter finds and what they are worth, by currency (blocking)."""
    shape = Total(condition(given, context.viewer.role), COUNTED_BY, COUNTED)
    rows = reading(
        context,
        "order_book",
        lambda ask: ask(ORDERS.query, {"customer_id": context.customer_id}, shape),
        store_ids=context.store_ids,
        at_least=at_least,
    )
    prices = may_see_field(context.viewer.role, "OrderCount.total")
    return [
        OrderCount(
            orders=row["rows"],
            **{
                column.name.removesuffix("_minor"): money(row[column.name], row["currency"]) if prices else None
                for column in COUNTED
            },
        )
        for row in rows
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
