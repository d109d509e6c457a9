"""The questions that can be asked: aggregates at any moment, lists, figures, the log and its proof."""

# Strawberry declares its field decorator untyped; the resolvers themselves are checked.
# mypy: disable-error-code="untyped-decorator"
# ruff: noqa: A002 -- arguments are called what the schema calls them.

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, TypeVar
from uuid import UUID

import strawberry

from opscore.api import reads
from opscore.api.agreements import AgreementQueries
from opscore.api.arguments import After, AtLeast, Before, ContextInfo, First, Last
from opscore.api.batches import BatchQueries
from opscore.api.campaign_candidates import CandidateQueries
from opscore.api.campaigns import Campaign, campaign_view
from opscore.api.carts import CartQueries
from opscore.api.catalogue import CatalogueQueries
from opscore.api.commissions import CommissionQueries
from opscore.api.customers import Customer, customer_view
from opscore.api.directories import (
    CAMPAIGNS,
    CUSTOMERS,
    SKUS,
    STORES,
    CampaignFilter,
    CampaignSort,
    CustomerFilter,
    CustomerSort,
    Directory,
    Question,
    SkuFilter,
    SkuSort,
    StoreFilter,
    StoreSort,
    directory,
    on_now,
    on_sale,
)
from opscore.api.enums import expose
from opscore.api.errors import BadInput
from opscore.api.exports import ExportQueries
from opscore.api.figure_queries import FigureQueries
from opscore.api.ids import global_id, key_of, parse_global_id
from opscore.api.kinds import BY_NAME
from opscore.api.kpi_queries import KpiQueries
from opscore.api.lists import PageArguments
from opscore.api.log_queries import LogQueries
from opscore.api.nodes import Node
from opscore.api.numbers import order_at, position_of
from opscore.api.orders import Order
from opscore.api.paging import Connection
from opscore.api.projection_queries import ProjectionQueries
from opscore.api.purchases import PurchaseQueries
from opscore.api.reorders import ReorderQueries
from opscore.api.reviews import ReviewQueries
from opscore.api.scalars import Position
from opscore.api.segments import SegmentQueries
from opscore.api.selected import selected_of
from opscore.api.skus import SKU, Sku, sku_view
from opscore.api.store_grades import StoreGradeQueries
from opscore.api.stores import Store, store_view
from opscore.api.webhooks import WebhookQueries
from opscore.domain import (
    campaign as campaign_domain,
    customer as customer_domain,
    sku as sku_domain,
    store as store_domain,
)
from opscore.domain.command import WRITE, Role
from opscore.permissions import commands_of

NODES_MAX = 100

expose(Role)


@strawberry.input(one_of=True, description="A moment in the past: exactly one of its members.")
class AsOf:
    version: int | None = strawberry.field(default=strawberry.UNSET, description="After this many of its events.")
    position: Position | None = strawberry.field(
        default=strawberry.UNSET, description="As the log stood at this position."
    )
    recorded_at: datetime | None = strawberry.field(
        default=strawberry.UNSET, description="As we knew it at this moment."
    )


AsOfArgument = Annotated[AsOf | None, strawberry.argument(description="As it was then; as it is now if left out.")]


@strawberry.type(description="Who asks.")
class Viewer:
    name: str = strawberry.field(description="The pseudonym that events show.")
    role: Role = strawberry.field(description="The role that this request is made in.")
    roles: list[Role] = strawberry.field(
        description="The roles that its token gives now; the header X-Opscore-Role names the one to act in."
    )
    store_ids: list[strawberry.ID] | None = strawberry.field(description="Stores it is bound to; null: all.")
    customer_id: strawberry.ID | None = strawberry.field(description="The customer it is.")
    commands: list[str] = strawberry.field(description="Names of the commands that it may give.")
    scopes: list[str] | None = strawberry.field(
        description="What the token was given for: `read`, `write`, names of questions and commands; null: all that "
        "the role may."
    )


ViewT = TypeVar("ViewT")
"""What is shown of an aggregate: a type of the schema, named as the aggregate is."""


async def _get(info: ContextInfo, type_: type[ViewT], id: str, as_of: AsOf | None) -> ViewT | None:
    view: ViewT | None = await _named(info, type_.__name__, id, as_of)
    return view


async def _named(info: ContextInfo, type_name: str, id: str, as_of: AsOf | None) -> Any:
    context = info.context
    kind = BY_NAME[type_name]
    key, moment = key_of(id, type_name), _moment(as_of)
    if moment:
        found = await context.services.read(lambda: reads.one(context, kind.aggregate, key, **moment))
    else:
        found = await reads.current(context, kind.aggregate, key)
    if found is not None and found.version < moment.get("version", 0):
        raise BadInput(
            f"There is no version {moment['version']} yet; the newest is {found.version}.", newest=found.version
        )
    return None if found is None else kind.view(found, context)


def _moment(as_of: AsOf | None) -> dict[str, Any]:
    if as_of is None:
        return {}
    if as_of.version:
        if as_of.version < 1:
            raise BadInput("A version is 1 or more.")
        return {"version": as_of.version}
    if as_of.recorded_at:
        return {"at": as_of.recorded_at}
    if as_of.position is None or as_of.position is strawberry.UNSET:
        raise BadInput("A version is 1 or more.")
    return {"position": as_of.position}


DIRECTORIES = {
    "Store": Directory(store_domain.Store, STORES, store_view),
    "Sku": Directory(sku_domain.Sku, SKUS, sku_view, on_sale, SKU),
    "Campaign": Directory(campaign_domain.Campaign, CAMPAIGNS, campaign_view, on_now),
    "Customer": Directory(customer_domain.Customer, CUSTOMERS, customer_view),
}
"""The lists of aggregates."""


async def _list(
    info: ContextInfo,
    type_: type[ViewT],
    filter_: Any,
    sort: Any,
    page: PageArguments,
    at_least: int | None,
    *,
    currency: str | None = None,
) -> Connection[ViewT]:
    """Return a page of the aggregates of a kind."""
    context = info.context
    asked = Question(filter_, sort, page, at_least, selected_of(info), currency)
    found: Connection[ViewT] = await context.services.read(directory, context, DIRECTORIES[type_.__name__], asked)
    return found


@strawberry.type
class AggregateQueries:
    """Questions about stores, articles, orders, campaigns and customers."""

    @strawberry.field(description="Who asks, and what that role may do.")
    def viewer(self, info: ContextInfo) -> Viewer:
        viewer = info.context.viewer
        return Viewer(
            name=viewer.id,
            role=viewer.role,
            roles=list(viewer.held or (viewer.role,)),
            store_ids=None
            if viewer.stores is None
            else [strawberry.ID(BY_NAME["Store"].global_id(each)) for each in sorted(viewer.stores)],
            customer_id=None
            if viewer.customer_id is None
            else strawberry.ID(BY_NAME["Customer"].global_id(viewer.customer_id)),
            commands=sorted(each for each in commands_of(viewer.role) if viewer.covers(WRITE, each)),
            scopes=None if viewer.scopes is None else sorted(viewer.scopes),
        )

    @strawberry.field(description="Anything by its global id.")
    async def node(
        self, info: ContextInfo, id: Annotated[strawberry.ID, strawberry.argument(description="Its global id.")]
    ) -> Node | None:
        type_name, _ = parse_global_id(id)
        found: Node | None = await _named(info, type_name, id, None)
        return found

    @strawberry.field(description="Several things by their global ids, in the same order; null for what is not there.")
    async def nodes(
        self,
        info: ContextInfo,
        ids: Annotated[list[strawberry.ID], strawberry.argument(description="Their global ids, at most 100.")],
    ) -> list[Node | None]:
        context = info.context
        if len(ids) > NODES_MAX:
            raise BadInput(f"Ask for at most {NODES_MAX} nodes at once.")
        parsed = [parse_global_id(each) for each in ids]

        def read() -> list[Any]:
            shown: dict[tuple[str, UUID], Any] = {}
            for name in sorted({name for name, _ in parsed}):
                kind = BY_NAME[name]
                found = reads.many(context, kind.aggregate, [key for other, key in parsed if other == name])
                shown.update({(name, key): kind.view(aggregate, context) for key, aggregate in found.items()})
            return [shown.get(each) for each in parsed]

        return await context.services.read(read)

    @strawberry.field(description="A store.")
    async def store(
        self,
        info: ContextInfo,
        id: Annotated[strawberry.ID, strawberry.argument(description="Its id.")],
        as_of: AsOfArgument = None,
    ) -> Store | None:
        return await _get(info, Store, id, as_of)

    @strawberry.field(description="The stores, newest first unless sorted.")
    async def stores(
        self,
        info: ContextInfo,
        filter: Annotated[StoreFilter | None, strawberry.argument(description="Which stores; all if left out.")] = None,
        sort: Annotated[
            StoreSort | None, strawberry.argument(description="In which order; newest first if left out.")
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        at_least: AtLeast = None,
    ) -> Connection[Store]:
        page = PageArguments(first, after, last, before)
        return await _list(info, Store, filter, sort, page, at_least)

    @strawberry.field(description="An article.")
    async def sku(
        self,
        info: ContextInfo,
        id: Annotated[strawberry.ID, strawberry.argument(description="Its id.")],
        as_of: AsOfArgument = None,
    ) -> Sku | None:
        return await _get(info, Sku, id, as_of)

    @strawberry.field(description="An article by its code in its home store.")
    async def sku_by_code(
        self,
        info: ContextInfo,
        store_id: Annotated[strawberry.ID, strawberry.argument(description="The home store.")],
        code: Annotated[str, strawberry.argument(description="The code.")],
    ) -> Sku | None:
        return await _held(info, Sku, "sku_code", store_id, code)

    @strawberry.field(
        description="The articles, newest first unless sorted. Those of other home stores that these stores sell or "
        "have a price for are among them. A customer sees those that are on sale."
    )
    async def skus(
        self,
        info: ContextInfo,
        filter: Annotated[SkuFilter | None, strawberry.argument(description="Which articles; all if left out.")] = None,
        sort: Annotated[
            SkuSort | None, strawberry.argument(description="In which order; newest first if left out.")
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        at_least: AtLeast = None,
    ) -> Connection[Sku]:
        page = PageArguments(first, after, last, before)
        return await _list(info, Sku, filter, sort, page, at_least)

    @strawberry.field(description="An order.")
    async def order(
        self,
        info: ContextInfo,
        id: Annotated[strawberry.ID, strawberry.argument(description="Its id.")],
        as_of: AsOfArgument = None,
    ) -> Order | None:
        return await _get(info, Order, id, as_of)

    @strawberry.field(description="An order by the number that another system gave it.")
    async def order_by_external_reference(
        self,
        info: ContextInfo,
        store_id: Annotated[strawberry.ID, strawberry.argument(description="The store it was placed in.")],
        external_reference: Annotated[str, strawberry.argument(description="Its number there.")],
    ) -> Order | None:
        return await _held(info, Order, "external_reference", store_id, external_reference)

    @strawberry.field(description="An order by the number that people call it by.")
    async def order_by_number(
        self,
        info: ContextInfo,
        number: Annotated[
            str,
            strawberry.argument(
                description="Its number; spaces and hyphens in it do not matter. What is no number, because of a digit "
                "that was misheard say, is BAD_USER_INPUT."
            ),
        ],
    ) -> Order | None:
        context, position = info.context, position_of(number)
        found = await context.services.read(order_at, context.services, position)
        return None if found is None else await _get(info, Order, global_id("Order", found), None)

    @strawberry.field(description="A campaign.")
    async def campaign(
        self,
        info: ContextInfo,
        id: Annotated[strawberry.ID, strawberry.argument(description="Its id.")],
        as_of: AsOfArgument = None,
    ) -> Campaign | None:
        return await _get(info, Campaign, id, as_of)

    @strawberry.field(
        description="The campaigns, newest first unless sorted. A customer sees those that are on, latest start first."
    )
    async def campaigns(
        self,
        info: ContextInfo,
        filter: Annotated[
            CampaignFilter | None, strawberry.argument(description="Which campaigns; all if left out.")
        ] = None,
        sort: Annotated[
            CampaignSort | None, strawberry.argument(description="In which order; newest first if left out.")
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        at_least: AtLeast = None,
    ) -> Connection[Campaign]:
        page = PageArguments(first, after, last, before)
        return await _list(info, Campaign, filter, sort, page, at_least)

    @strawberry.field(description="A customer.")
    async def customer(
        self,
        info: ContextInfo,
        id: Annotated[strawberry.ID, strawberry.argument(description="The customer's id.")],
        as_of: AsOfArgument = None,
    ) -> Customer | None:
        return await _get(info, Customer, id, as_of)

    @strawberry.field(description="A customer by what a platform calls it.")
    async def customer_by_reference(
        self,
        info: ContextInfo,
        reference: Annotated[str, strawberry.argument(description="The reference, as it was given.")],
    ) -> Customer | None:
        return await _holder(info, Customer, "customer_reference", "operator", reference)

    @strawberry.field(description="The customers, newest first unless sorted.")
    async def customers(
        self,
        info: ContextInfo,
        filter: Annotated[
            CustomerFilter | None, strawberry.argument(description="Which customers; all if left out.")
        ] = None,
        sort: Annotated[
            CustomerSort | None, strawberry.argument(description="In which order; newest first if left out.")
        ] = None,
        currency_code: Annotated[
            str | None,
            strawberry.argument(
                description="ISO 4217 code of the one currency whose orders and net sales the filter and the sort are "
                "about; if left out, orders of all count, and there are no net sales."
            ),
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        at_least: AtLeast = None,
    ) -> Connection[Customer]:
        page = PageArguments(first, after, last, before)
        return await _list(info, Customer, filter, sort, page, at_least, currency=currency_code)


async def _held(info: ContextInfo, type_: type[ViewT], claim: str, store_id: str, value: str) -> ViewT | None:
    """Return the aggregate that holds a name in a store, in two steps of one read."""
    scope = key_of(store_id, "Store")
    if not info.context.viewer.may_act_for(scope):
        return None
    return await _holder(info, type_, claim, str(scope), value)


async def _holder(info: ContextInfo, type_: type[ViewT], claim: str, scope: str, value: str) -> ViewT | None:
    context = info.context
    kind = BY_NAME[type_.__name__]

    def read() -> Any:
        stream_id = reads.holder(context.services, claim, scope, value)
        return None if stream_id is None else reads.one(context, kind.aggregate, stream_id)

    found = await context.services.read(read)
    view: ViewT | None = None if found is None else kind.view(found, context)
    return view


@strawberry.type(description="Questions. What lies out of a token's scope is answered like what is not there.")
class Query(
    AggregateQueries,
    BatchQueries,
    PurchaseQueries,
    CatalogueQueries,
    CartQueries,
    CandidateQueries,
    AgreementQueries,
    CommissionQueries,
    ReorderQueries,
    SegmentQueries,
    StoreGradeQueries,
    ReviewQueries,
    FigureQueries,
    KpiQueries,
    LogQueries,
    WebhookQueries,
    ExportQueries,
    ProjectionQueries,
):
    """Everything that can be asked."""
