"""Lists of stores, articles, campaigns and customers: what they can be narrowed to and sorted by.

Which rows there are and in which order comes from a read model, which `atLeast` waits for. A page that asks of its
articles only what the read model has of them is made of that; for more they are folded from the log, all at once.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import strawberry

from opscore.api import reads
from opscore.api.context import Context
from opscore.api.enums import expose
from opscore.api.figures import reading
from opscore.api.filters import (
    AmountFilter,
    DecimalFilter,
    Direction,
    Filter,
    IdFilter,
    IntFilter,
    TextFilter,
    TimeFilter,
    condition,
    either,
    every,
    on,
    without,
)
from opscore.api.lists import Listed, Listing, PageArguments, listed, refuse_hidden, refuse_unsaid
from opscore.api.rows import MadeObject, Rows
from opscore.api.selected import Selected
from opscore.domain.aggregate import Aggregate
from opscore.domain.campaign_events import (
    AdPlanStatus,
    CampaignGoal,
    CampaignKind,
    CampaignStatus,
    CampaignType,
    OfferStatus,
    ProposalStatus,
    ResourceStatus,
)
from opscore.domain.command import Role
from opscore.domain.customer_events import CustomerStatus
from opscore.domain.sku_events import DelistReason, FulfilmentMode, SkuStatus
from opscore.domain.store_events import StoreStatus
from opscore.projector import Outdated
from opscore.projector.lists import Column, Compare, Condition, Every, Operator

for each in (
    StoreStatus, SkuStatus, FulfilmentMode, DelistReason, CampaignStatus, CampaignGoal, CampaignKind, CampaignType,
    CustomerStatus,
):  # fmt: skip
    expose(each)

_BY = "What it is sorted by."
_DIRECTION = "Which end comes first."
_ALL = "all that is given has to hold."


# Stores --------------------------------------------------------------------------------------------------------------


@strawberry.input(description=f"Which stores; {_ALL}")
class StoreFilter:
    and_: list[StoreFilter] | None = every()
    or_: list[StoreFilter] | None = either()
    not_: StoreFilter | None = without()
    id: IdFilter | None = on("store_id", "The store itself.", of="Store")
    name: TextFilter | None = on("name", "Its name.")
    platform: TextFilter | None = on("platform", "The platform it is on.")
    kind: TextFilter | None = on("kind", "What kind of store it is.")
    status: Filter[StoreStatus] | None = on("status", "How far it is in its life.")
    currency_code: TextFilter | None = on("currency", "Its currency.")
    time_zone: TextFilter | None = on("time_zone", "Its IANA time zone.")
    applied_at: TimeFilter | None = on("applied_at", "When it was applied for.")
    opened_at: TimeFilter | None = on("opened_at", "When it first opened.")
    changed_at: TimeFilter | None = on("changed_at", "When its last event was recorded.")


class StoreSortKey(enum.StrEnum):
    """What stores are sorted by."""

    APPLIED_AT = "applied_at"
    """When they were applied for."""
    OPENED_AT = "opened_at"
    """When they first opened; those that never did come last."""
    CHANGED_AT = "changed_at"
    """When their last events were recorded."""
    NAME = "name"
    """Their names, character by character."""


expose(StoreSortKey)


@strawberry.input(description="How stores are sorted; of two that are equal, their ids decide.")
class StoreSort:
    by: StoreSortKey = strawberry.field(description=_BY)
    direction: Direction = strawberry.field(default=Direction.ASC, description=_DIRECTION)


# Articles ------------------------------------------------------------------------------------------------------------

_SHELF = {"link": "sku_shelves", "key": "sku_id"}


@strawberry.input(description=f"Which articles; {_ALL}")
class SkuFilter:
    and_: list[SkuFilter] | None = every()
    or_: list[SkuFilter] | None = either()
    not_: SkuFilter | None = without()
    id: IdFilter | None = on("sku_id", "The article itself.", of="Sku")
    store_id: IdFilter | None = on("store_id", "Its home store.", of="Store")
    listed_in: IdFilter | None = on("listed_in", "A store in which it is on sale now.", of="Store", **_SHELF)
    delist_reason: Filter[DelistReason] | None = on("reason", "Why it is off sale in a store.", **_SHELF)
    code: TextFilter | None = on("code", "The operator's own code.")
    name: TextFilter | None = on("name", "What it is called inside the operation.")
    brand: TextFilter | None = on("brand", "Its brand.")
    category: TextFilter | None = on("category", "Its category.")
    mode: Filter[FulfilmentMode] | None = on("mode", "Where the goods come from once sold.")
    status: Filter[SkuStatus] | None = on("status", "How far it is between draft and retirement.")
    currency_code: TextFilter | None = on("currency", "The currency of its prices.")
    list_price: DecimalFilter | None = on(
        "list_price", "Its list price in its home store, in main units.", shown_as="Sku.prices"
    )
    season_end: TimeFilter | None = on("season_end", "When its season ends.")
    registered_at: TimeFilter | None = on("registered_at", "When it was registered.")
    changed_at: TimeFilter | None = on(
        "changed_at", "When its last event was recorded; each movement of its stock is one."
    )


class SkuSortKey(enum.StrEnum):
    """What articles are sorted by."""

    REGISTERED_AT = "registered_at"
    """When they were registered."""
    CHANGED_AT = "changed_at"
    """When their last events were recorded; ascending, what changes meanwhile is met again further on."""
    CODE = "code"
    """Their codes, character by character."""
    NAME = "name"
    """Their names, character by character."""
    LIST_PRICE = "list_price"
    """Their list prices in their home stores, whatever the currency; those without one come last."""


expose(SkuSortKey)


@strawberry.input(description="How articles are sorted; of two that are equal, their ids decide.")
class SkuSort:
    by: SkuSortKey = strawberry.field(description=_BY)
    direction: Direction = strawberry.field(default=Direction.ASC, description=_DIRECTION)


# Campaigns -----------------------------------------------------------------------------------------------------------


_RESOURCE = {"link": "campaign_resources", "key": "campaign_id"}
_OFFER = {"link": "campaign_offers", "key": "campaign_id"}
_AD_PLAN = {"link": "campaign_ad_plans", "key": "campaign_id"}


@strawberry.input(description=f"Which campaigns; {_ALL}")
class CampaignFilter:
    and_: list[CampaignFilter] | None = every()
    or_: list[CampaignFilter] | None = either()
    not_: CampaignFilter | None = without()
    id: IdFilter | None = on("campaign_id", "The campaign itself.", of="Campaign")
    store_id: IdFilter | None = on(
        "store_id", "A store that it runs in.", of="Store", link="campaign_stores", key="campaign_id"
    )
    sku_id: IdFilter | None = on(
        "sku_id", "An article that it sells.", of="Sku", link="campaign_articles", key="campaign_id"
    )
    name: TextFilter | None = on("name", "Its name.")
    goal: Filter[CampaignGoal] | None = on("goal", "What it is for.")
    kind: Filter[CampaignKind] | None = on("kind", "Whose campaign it is.")
    type: Filter[CampaignType] | None = on("type", "What sort of campaign it is.")
    status: Filter[CampaignStatus] | None = on("status", "Where it stands.")
    currency_code: TextFilter | None = on("currency", "Its currency.")
    starts_at: TimeFilter | None = on("starts_at", "When it starts.")
    ends_at: TimeFilter | None = on("ends_at", "When it ends.")
    changed_at: TimeFilter | None = on("changed_at", "When its last event was recorded.")
    budget: AmountFilter | None = on("budget_minor", "What its discounts may cost.", shown_as="Campaign.budget")
    resource_status: Filter[ResourceStatus] | None = on(
        "status", "How far a resource that it needs is.", **_RESOURCE, shown_as="Campaign.resources"
    )
    resource_channel: TextFilter | None = on(
        "channel", "Where a resource that it needs is.", **_RESOURCE, shown_as="Campaign.resources"
    )
    proposal_status: Filter[ProposalStatus] | None = on(
        "proposal_status",
        "What the owner said to the store's joining it; proposed: they have not said anything yet.",
        shown_as="Campaign.proposal",
    )
    proposed_at: TimeFilter | None = on(
        "proposed_at", "When it was proposed to the owner.", shown_as="Campaign.proposal"
    )
    call_until: TimeFilter | None = on(
        "call_until", "Until when suppliers are called on to offer something for it.", shown_as="Campaign.offers"
    )
    offer_status: Filter[OfferStatus] | None = on(
        "status", "How far an offer of a supplier to it is.", **_OFFER, shown_as="Campaign.offers"
    )
    offered_at: TimeFilter | None = on(
        "offered_at", "When a supplier offered something for it.", **_OFFER, shown_as="Campaign.offers"
    )
    ad_plan_status: Filter[AdPlanStatus] | None = on(
        "status", "Whether an ad plan of it runs.", **_AD_PLAN, shown_as="Campaign.adPlans"
    )
    ad_plan_channel: TextFilter | None = on(
        "channel", "Where an ad plan of it advertises.", **_AD_PLAN, shown_as="Campaign.adPlans"
    )


class CampaignSortKey(enum.StrEnum):
    """What campaigns are sorted by."""

    STARTS_AT = "starts_at"
    """When they start; those without a date come last."""
    ENDS_AT = "ends_at"
    """When they end; those without a date come last."""
    CHANGED_AT = "changed_at"
    """When their last events were recorded."""
    NAME = "name"
    """Their names, character by character."""


expose(CampaignSortKey)


@strawberry.input(description="How campaigns are sorted; of two that are equal, their ids decide.")
class CampaignSort:
    by: CampaignSortKey = strawberry.field(description=_BY)
    direction: Direction = strawberry.field(default=Direction.ASC, description=_DIRECTION)


# Customers -----------------------------------------------------------------------------------------------------------


@strawberry.input(description=f"Which customers; {_ALL} Nothing personal can be asked for.")
class CustomerFilter:
    and_: list[CustomerFilter] | None = every()
    or_: list[CustomerFilter] | None = either()
    not_: CustomerFilter | None = without()
    id: IdFilter | None = on("customer_id", "The customer.", of="Customer")
    store_id: IdFilter | None = on("store_id", "The store that registered the customer.", of="Store")
    referrer_id: IdFilter | None = on("referrer_id", "The customer who brought this one.", of="Customer")
    status: Filter[CustomerStatus] | None = on("status", "Whether the customer may act.")
    channel: TextFilter | None = on("channel", "Where the customer came in.")
    region: TextFilter | None = on("region", "Where the customer is.")
    birth_year: IntFilter | None = on("birth_year", "Year of birth.")
    tier: TextFilter | None = on("tier", "Member tier.")
    member_since: TimeFilter | None = on("member_since", "Since when a member.")
    points: IntFilter | None = on("points", "Points to spend.")
    consent: TextFilter | None = on(
        "channel", "A channel that the customer agreed to be reached by.", link="customer_consents", key="customer_id"
    )
    registered_at: TimeFilter | None = on("registered_at", "Since when.")
    changed_at: TimeFilter | None = on(
        "changed_at", "When the customer's last event was recorded: whatever was said of the customer itself."
    )
    orders: IntFilter | None = on("orders", "How many orders were paid, as the customer's card says.")
    net_sales: AmountFilter | None = on(
        "net_sales_minor",
        "What was bought less what went back, as the customer's card says; needs `currencyCode`.",
        shown_as="Order.total",
    )
    last_order_at: TimeFilter | None = on("last_order_at", "When the last of these orders was paid.")


class CustomerSortKey(enum.StrEnum):
    """What customers are sorted by."""

    REGISTERED_AT = "registered_at"
    """Since when they are customers."""
    CHANGED_AT = "changed_at"
    """When their last events were recorded; ascending, whoever changes meanwhile is met again further on."""
    POINTS = "points"
    """How many points they have to spend."""
    MEMBER_SINCE = "member_since"
    """Since when they are members; those who are none come last."""
    ORDERS = "orders"
    """How many of their orders were paid."""
    NET_SALES = "net_sales_minor"
    """What they bought less what went back; needs `currencyCode`."""
    LAST_ORDER_AT = "last_order_at"
    """When the last of their orders was paid; those who bought nothing come last."""


expose(CustomerSortKey)


@strawberry.input(description="How customers are sorted; of two that are equal, their ids decide.")
class CustomerSort:
    by: CustomerSortKey = strawberry.field(description=_BY)
    direction: Direction = strawberry.field(default=Direction.ASC, description=_DIRECTION)


# How they are read ---------------------------------------------------------------------------------------------------


def _time(name: str, *, nullable: bool = False) -> Column:
    return Column(name, "timestamptz", nullable=nullable)


STORES = Listing(
    "directory",
    "store_rows",
    (Column("store_id", "uuid"),),
    {
        StoreSortKey.APPLIED_AT: _time("applied_at"),
        StoreSortKey.OPENED_AT: _time("opened_at", nullable=True),
        StoreSortKey.CHANGED_AT: _time("changed_at"),
        StoreSortKey.NAME: Column("name", "text"),
    },
    (StoreSortKey.APPLIED_AT, Direction.DESC),
)
SKUS = Listing(
    "directory",
    "sku_rows",
    (Column("sku_id", "uuid"),),
    {
        SkuSortKey.REGISTERED_AT: _time("registered_at"),
        SkuSortKey.CHANGED_AT: _time("changed_at"),
        SkuSortKey.CODE: Column("code", "text"),
        SkuSortKey.NAME: Column("name", "text"),
        SkuSortKey.LIST_PRICE: Column("list_price", "numeric", nullable=True),
    },
    (SkuSortKey.REGISTERED_AT, Direction.DESC),
    {SkuSortKey.LIST_PRICE: "Sku.prices"},
)
CAMPAIGNS = Listing(
    "campaign_results",
    "campaign_rows",
    (Column("campaign_id", "uuid"),),
    {
        CampaignSortKey.STARTS_AT: _time("starts_at", nullable=True),
        CampaignSortKey.ENDS_AT: _time("ends_at", nullable=True),
        CampaignSortKey.CHANGED_AT: _time("changed_at"),
        CampaignSortKey.NAME: Column("name", "text"),
    },
    (CampaignSortKey.STARTS_AT, Direction.DESC),
)


def on_sale(_: Sequence[UUID] | None) -> Condition:
    """Return which articles are on sale in the stores of who asks, as `Sku.offered_in` says of each by itself."""
    return Compare(Column("listed_in", "uuid", link=_SHELF["link"], key=_SHELF["key"]), Operator.IS_SET)


def on_now(store_ids: Sequence[UUID] | None) -> Condition:
    """Return which campaigns are on in these stores (None: all), as `Campaign.offered_in` says of each by itself."""
    live = Compare(Column("status", "text"), Operator.IS_IN, [CampaignStatus.LIVE.value])
    if store_ids is None:
        return live
    place = Column("store_id", "uuid", link="campaign_stores", key="campaign_id")
    return Every((live, Compare(place, Operator.IS_IN, list(store_ids))))


CUSTOMERS = Listing(
    "customer_card",
    "customer_rows",
    (Column("customer_id", "uuid"),),
    {
        CustomerSortKey.REGISTERED_AT: _time("registered_at"),
        CustomerSortKey.CHANGED_AT: _time("changed_at"),
        CustomerSortKey.POINTS: Column("points", "bigint"),
        CustomerSortKey.MEMBER_SINCE: _time("member_since", nullable=True),
        CustomerSortKey.ORDERS: Column("orders", "bigint"),
        CustomerSortKey.NET_SALES: Column("net_sales_minor", "bigint"),
        CustomerSortKey.LAST_ORDER_AT: _time("last_order_at", nullable=True),
    },
    (CustomerSortKey.REGISTERED_AT, Direction.DESC),
    # What a customer spent is the sum of what orders cost.
    {CustomerSortKey.NET_SALES: "Order.total"},
    {"net_sales_minor": "currencyCode"},
)


@dataclass(frozen=True, slots=True)
class Directory:
    """A list of one kind of aggregate, in a read model under its listing."""

    aggregate: type[Aggregate]
    listing: Listing
    view: Callable[[Any, Context], Any]
    on_offer: Callable[[Sequence[UUID] | None], Condition] | None = None
    """Says which rows there are for buyers of some stores, if not all of theirs."""
    row: MadeObject | None = None
    """How one is made of what the read model has of it; buyers see what is on offer by the log."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a list is asked for. filter_, sort: inputs of the list's own; wanted: what is selected of the connection.

    currency: in which alone sales are counted, of a list that knows of any.
    """

    filter_: Any
    sort: Any
    page: PageArguments
    at_least: int | None
    wanted: Selected
    currency: str | None = None


def directory(context: Context, of: Directory, asked: Question) -> Any:
    """Return a page of aggregates of one kind, in a fixed number of statements (blocking)."""
    role = context.viewer.role
    refuse_hidden(role, of.listing, asked.sort)
    wanted = condition(asked.filter_, role)
    if role is Role.CUSTOMER and of.on_offer is not None:
        wanted = Every((of.on_offer(context.store_ids), wanted))
    scope = None if asked.currency is None else {"currency": asked.currency}
    refuse_unsaid(of.listing, wanted, asked.sort, () if scope is None else ("currencyCode",))
    page = listed(of.listing, wanted, asked.sort, asked.page, counted="totalCount" in asked.wanted, scope=scope)
    if role is not Role.CUSTOMER and of.row is not None:
        shown = asked.wanted.of_rows()
        if shown.keys() <= {"__typename", *of.row.fields}:
            # Where an earlier version serves that has less, the log has the rest.
            with suppress(Outdated):
                return _of_rows(context, of.row, of, asked, page, shown, scope)
    name = of.listing.tail[0].name
    (columns, rows), total = reading(
        context,
        of.listing.projection,
        lambda ask: (page.tuples(ask, scope or {}, [name]), page.total(ask, scope)),
        store_ids=context.store_ids,
        at_least=asked.at_least,
    )
    keys = [dict(zip(columns, row, strict=True)) for row in rows]
    found = reads.many(context, of.aggregate, [row[name] for row in page.cut(keys)])
    # The log may be ahead of a read model, never behind it: what is not found has gone off offer since.
    return page.connection(
        keys, lambda row: _shown(of, found.get(row[name]), context), total, edges="edges" in asked.wanted
    )


def _of_rows(
    context: Context,
    row: MadeObject,
    of: Directory,
    asked: Question,
    page: Listed,
    wanted: Selected,
    scope: dict[str, Any] | None,
) -> Any:
    """Return a page made of the read model alone; raises Outdated."""
    (columns, rows), total = reading(
        context,
        of.listing.projection,
        lambda ask: (page.tuples(ask, scope or {}, row.columns(wanted)), page.total(ask, scope)),
        store_ids=context.store_ids,
        at_least=asked.at_least,
    )
    return page.connection_of_rows(Rows(row, columns, rows, {}), total, edges="edges" in asked.wanted)


def _shown(of: Directory, aggregate: Aggregate | None, context: Context) -> Any:
    return None if aggregate is None else of.view(aggregate, context)
