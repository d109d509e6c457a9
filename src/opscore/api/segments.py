"""Segments of customers: who meets the rules of a store's policy `customer_segments`, and what they bought."""

# Strawberry declares its field decorator untyped; the resolvers themselves are checked.
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import strawberry

from opscore.api import reads
from opscore.api.arguments import After, AtLeast, ContextInfo, First
from opscore.api.context import Context
from opscore.api.customers import Customer, customer_view
from opscore.api.errors import BadInput
from opscore.api.figures import ask
from opscore.api.ids import key_of
from opscore.api.kpis import KpiAsOf, moment, position_reached
from opscore.api.lists import PageArguments
from opscore.api.money import Money, money, money_or_none
from opscore.api.nodes import gid, store_gid
from opscore.api.paging import Connection, amount, connection, plain_id
from opscore.api.policies import gone_by
from opscore.api.scalars import Position
from opscore.api.selected import selected_of, wants_total
from opscore.domain import customer as customer_domain
from opscore.domain.calendars import end_of_day
from opscore.domain.policies import CustomerSegments, SegmentTerms
from opscore.domain.store import Store
from opscore.projector import counting

FACTS = "kpi_facts"
ORDERS_OF = ("kept",)
"""Orders paid, without those that were given back as a whole."""
AMOUNTS_OF = ("sold_to_customers", "refunded")
PROMOTED_OF = ("sold_in_campaigns", "refunded_in_campaigns")
LESS = ("refunded", "refunded_in_campaigns")
FIRST_DAY = date(1900, 1, 1)
"""Nothing is on record of a day before."""


@strawberry.type(description="Who is in a segment; null: that does not matter.")
class CustomerSegmentTerms:
    days: int | None = strawberry.field(
        description="How many days are looked at, of which the one asked for is the last; null: all on record."
    )
    orders_min: int | None = strawberry.field(
        description="So many paid orders at least, not counting those given back as a whole."
    )
    orders_max: int | None = strawberry.field(description="So many at most.")
    spend_min: Money | None = strawberry.field(
        description="So much paid for goods at least, less the goods refunded in these days."
    )
    spend_max: Money | None = strawberry.field(description="So much at most.")
    campaign_share_min: Decimal | None = strawberry.field(
        description="Such a part of it at least was bought in campaigns: who waits for discounts."
    )
    quiet_days_min: int | None = strawberry.field(
        description="The last such order is so many days ago at least: who may be won back."
    )
    quiet_days_max: int | None = strawberry.field(description="It is so many days ago at most.")


@strawberry.type(description="A segment of a store's customers on a day (K043). A customer can be in several, or none.")
class CustomerSegment:
    store_id: strawberry.ID = strawberry.field(description="The store.")
    segment: str = strawberry.field(description="What it is called.")
    day: date = strawberry.field(description="The day, in the store's calendar.")
    from_day: date | None = strawberry.field(description="The first day that is looked at; null: the first on record.")
    terms: CustomerSegmentTerms = strawberry.field(description="Who is in it.")
    customers: int = strawberry.field(description="How many are in it; records that were merged are one customer.")
    orders: int = strawberry.field(description="Their orders in these days.")
    net_sales: Money = strawberry.field(description="What they paid for goods in these days, less the goods refunded.")
    policy_version: int = strawberry.field(description="The version of the policy `customer_segments` that it goes by.")
    known_at_position: Position = strawberry.field(
        description="Every event of the log up to this position is in it, and none behind it."
    )


@strawberry.type(description="A customer in a segment, with what puts the customer into it.")
class SegmentCustomer:
    customer_id: strawberry.ID = strawberry.field(description="The customer; of merged records the one that is left.")
    customer: Customer | None = strawberry.field(
        description="The customer as of now, with the consents to be asked before anybody writes; null where the token "
        "may not see it."
    )
    orders: int = strawberry.field(description="Orders in the days of the segment.")
    net_sales: Money = strawberry.field(description="Paid for goods in these days, less the goods refunded.")
    in_campaigns: Money = strawberry.field(description="What of it was bought in campaigns.")
    first_order_on: date = strawberry.field(description="Day of the first of these orders, in the store's calendar.")
    last_order_on: date = strawberry.field(description="Day of the last of them.")


StoreId = Annotated[strawberry.ID, strawberry.argument(description="The store whose customers and rules are meant.")]
Day = Annotated[
    date | None, strawberry.argument(description="The last day that counts; left out: today in the store's calendar.")
]
PolicyVersion = Annotated[
    int | None,
    strawberry.argument(
        description="Go by this version of the policy `customer_segments`, to see what it would come to; left out: by "
        "the one that was in force at the end of the day."
    ),
]
AsOf = Annotated[
    KpiAsOf | None, strawberry.argument(description="What we knew then: later orders and refunds are left out.")
]


@strawberry.type
class SegmentQueries:
    """Questions about segments of customers."""

    @strawberry.field(
        description="The segments of a store in the order of its policy: how many customers are in each, and what they "
        "bought. None where the policy `customer_segments` is not set, and of a store that the token may not see."
    )
    async def customer_segments(
        self,
        info: ContextInfo,
        store_id: StoreId,
        day: Day = None,
        policy_version: PolicyVersion = None,
        as_of: AsOf = None,
        at_least: AtLeast = None,
    ) -> list[CustomerSegment]:
        context = info.context
        key = key_of(store_id, "Store")
        return await context.services.read(_segments, context, key, day, policy_version, as_of, at_least)

    @strawberry.field(
        description="The customers of a segment, those who bought most first: whom to care for, to write to, or to win "
        "back. Empty of a store that the token may not see."
    )
    async def segment_customers(
        self,
        info: ContextInfo,
        store_id: StoreId,
        segment: Annotated[str, strawberry.argument(description="What the segment is called.")],
        day: Day = None,
        policy_version: PolicyVersion = None,
        as_of: AsOf = None,
        first: First = None,
        after: After = None,
        at_least: AtLeast = None,
    ) -> Connection[SegmentCustomer]:
        context = info.context
        found: Connection[SegmentCustomer] = await context.services.read(
            _customers,
            context,
            key_of(store_id, "Store"),
            segment,
            (day, policy_version, as_of, at_least),
            PageArguments(first, after, None, None),
            wants_total(info),
            "customer" in selected_of(info).of_rows(),
        )
        return found


@dataclass(frozen=True, slots=True)
class _Question:
    """A store as of a position, the day that is asked of it, and its segments then."""

    store: Store
    day: date
    now: datetime
    position: int
    segments: tuple[SegmentTerms, ...]
    version: int

    def params(self, terms: SegmentTerms) -> dict[str, Any]:
        """Return the parameters of who is in a segment."""
        return {
            "from_day": _since(self.day, terms), "to_day": self.day, "now": self.now, "as_of": self.position,
            "measures": list({*ORDERS_OF, *AMOUNTS_OF, *PROMOTED_OF}), "less": list(LESS),
            "orders_of": list(ORDERS_OF), "amounts_of": list(AMOUNTS_OF), "promoted_of": list(PROMOTED_OF),
            "of_currency": self.store.currency, "orders_min": terms.orders_min, "orders_max": terms.orders_max,
            "amount_min": terms.spend_min_minor, "amount_max": terms.spend_max_minor,
            "promoted_share": terms.campaign_share_min,
            "last_from": None if terms.quiet_days_max is None else _back(self.day, terms.quiet_days_max),
            "last_to": None if terms.quiet_days_min is None else _back(self.day, terms.quiet_days_min),
        }  # fmt: skip

    def rows(self, context: Context, query: str, terms: SegmentTerms, page: dict[str, Any]) -> list[dict[str, Any]]:
        """Return what a query says of a segment."""
        return ask(context, FACTS, query, self.params(terms) | page, store_ids=[self.store.id])


def _back(day: date, days: int) -> date:
    return day - timedelta(days=min(days, (day - FIRST_DAY).days))


def _since(day: date, terms: SegmentTerms) -> date | None:
    return None if terms.days is None else _back(day, terms.days - 1)


def _asked(
    context: Context,
    store_id: UUID,
    day: date | None,
    version: int | None,
    as_of: KpiAsOf | None,
    at_least: int | None,
) -> _Question | None:
    """Return what is asked; None of a store that the viewer may not see. Raises BadInput, Behind (blocking)."""
    reached = position_reached(context, {FACTS}, at_least)
    then = moment(context, as_of)
    position = min(reached, then.get("as_of", reached))
    store = reads.one(context, Store, store_id, position=position)
    if store is None:
        return None
    today = store.local_date(then["now"])
    day = day or today
    if not FIRST_DAY <= day <= today:
        raise BadInput(f"Ask for a day from {FIRST_DAY} to {today}, which is today in {store.name}, not for {day}.")
    # What is set from midnight on is the next day's.
    at = min(end_of_day(day, store.time_zone) - timedelta(microseconds=1), then["now"])
    policy, version = gone_by(store, CustomerSegments, at, version)
    return _Question(store, day, then["now"], position, policy.segments, version)


def _segments(
    context: Context,
    store_id: UUID,
    day: date | None,
    version: int | None,
    as_of: KpiAsOf | None,
    at_least: int | None,
) -> list[CustomerSegment]:
    """Return the segments of a store (blocking)."""
    asked = _asked(context, store_id, day, version, as_of, at_least)
    return [] if asked is None else [_segment(context, asked, terms) for terms in asked.segments]


def _segment(context: Context, asked: _Question, terms: SegmentTerms) -> CustomerSegment:
    [sums] = asked.rows(context, counting.BUYERS_SUMS, terms, {})
    currency = asked.store.currency
    return CustomerSegment(
        store_id=store_gid(asked.store.id),
        segment=terms.segment,
        day=asked.day,
        from_day=_since(asked.day, terms),
        terms=CustomerSegmentTerms(
            days=terms.days,
            orders_min=terms.orders_min,
            orders_max=terms.orders_max,
            spend_min=money_or_none(terms.spend_min_minor, currency),
            spend_max=money_or_none(terms.spend_max_minor, currency),
            campaign_share_min=terms.campaign_share_min,
            quiet_days_min=terms.quiet_days_min,
            quiet_days_max=terms.quiet_days_max,
        ),
        customers=sums["people"],
        orders=sums["orders"],
        net_sales=money(int(sums["amount"]), currency),
        policy_version=asked.version,
        known_at_position=Position(asked.position),
    )


def _customers(
    context: Context,
    store_id: UUID,
    segment: str,
    question: tuple[date | None, int | None, KpiAsOf | None, int | None],
    page: PageArguments,
    counted: bool,
    shown: bool,
) -> Any:
    """Return a page of the customers of a segment (blocking). shown: whether anybody looks at the customers."""
    binding = f"segment:{store_id}:{segment}:{question[:3]}"
    wanted = page.window(binding, (amount, plain_id))
    asked = _asked(context, store_id, *question)
    if asked is None:
        return connection([], wanted, binding, lambda row: [], lambda row: None, total=0)
    terms = next((each for each in asked.segments if each.segment == segment), None)
    if terms is None:
        known = ", ".join(each.segment for each in asked.segments) or "none; set the policy customer_segments"
        raise BadInput(f"{asked.store.name} has no segment {segment} on {asked.day}; there are: {known}.")
    spent, who = wanted.after or (None, None)
    rows = asked.rows(
        context, counting.BUYERS, terms, {"after_amount": spent, "after_who": who, "row_limit": wanted.fetch}
    )
    total = asked.rows(context, counting.BUYERS_SUMS, terms, {})[0]["people"] if counted else None
    people = reads.many(context, customer_domain.Customer, [row["who"] for row in rows]) if shown else {}
    currency = asked.store.currency

    def node(row: dict[str, Any]) -> SegmentCustomer:
        customer = people.get(row["who"])
        return SegmentCustomer(
            customer_id=gid("Customer", row["who"]),
            customer=None if customer is None else customer_view(customer, context),
            orders=row["orders"],
            net_sales=money(int(row["amount"]), currency),
            in_campaigns=money(int(row["promoted"]), currency),
            first_order_on=row["first_day"],
            last_order_on=row["last_day"],
        )

    return connection(rows, wanted, binding, lambda row: [int(row["amount"]), str(row["who"])], node, total=total)
