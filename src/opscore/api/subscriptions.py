"""What can be followed: the log from any position on, orders, today's figures, how far the read models are."""

# Strawberry declares its field decorator untyped; the resolvers themselves are checked.
# mypy: disable-error-code="untyped-decorator"
# ruff: noqa: A002 -- arguments are called what the schema calls them.

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated
from uuid import UUID

import strawberry

from opscore.api import log, reads
from opscore.api.arguments import ContextInfo, StoreIds, stores
from opscore.api.errors import BadInput
from opscore.api.figures import KpiDay
from opscore.api.ids import key_of
from opscore.api.log_queries import EventFilterInput, event_filter
from opscore.api.orders import Order, order_view
from opscore.api.scalars import Position
from opscore.domain import order as order_domain
from opscore.domain.command import Role
from opscore.log.event_log import EventFilter

TOLD_MAX = 1_000
"""Of how many orders a subscription remembers what it told; of one that it forgot, the same may come twice."""


@strawberry.type(description="What can be followed over a websocket (graphql-transport-ws) on the same path.")
class Subscription:
    """Everything that can be followed."""

    @strawberry.subscription(
        description="The events behind a position: first those that are there, then each as it is recorded; none is "
        "missed, none comes twice. To go on after a break, give the position of the last one that came."
    )
    async def events(
        self,
        info: ContextInfo,
        after: Annotated[
            Position | None,
            strawberry.argument(
                description="Begin behind this position, 0 for the whole log; from now on if left out."
            ),
        ] = None,
        filter: Annotated[
            EventFilterInput | None, strawberry.argument(description="Which events; all if left out.")
        ] = None,
    ) -> AsyncGenerator[log.LogEvent, None]:
        context = info.context
        async with aclosing(context.services.follow.events(event_filter(context, filter), after)) as found:
            async for event in found:
                yield log.log_event(event)

    @strawberry.subscription(
        description="An order as it is, whenever something has become of it, from now on; what one command did is told "
        "once. Of one order it is told at once as well, and a customer follows one. After a break, ask the list anew."
    )
    async def order_changes(
        self,
        info: ContextInfo,
        id: Annotated[strawberry.ID | None, strawberry.argument(description="Only this order.")] = None,
        store_ids: StoreIds = None,
    ) -> AsyncGenerator[Order, None]:
        context = info.context
        if id is None and context.viewer.role is Role.CUSTOMER:
            raise BadInput("Say which order: a customer follows one.")
        key = None if id is None else key_of(id, "Order")
        wanted = EventFilter(store_ids=stores(context, store_ids), stream_id=key, stream_type="Order")
        told: dict[UUID, int] = {}
        after = None
        if key is not None:
            # The head is read first: what happens to the order after this look comes behind it.
            after = (await context.services.read(context.services.log.head)).position
            order = await reads.current(context, order_domain.Order, key)
            if order is None or (wanted.store_ids is not None and order.store_id not in wanted.store_ids):
                raise BadInput("There is no such order that you may see.")
            told[key] = order.version
            yield order_view(order, context)
        async with aclosing(context.services.follow.events(wanted, after)) as found:
            async for event in found:
                if told.get(event.stream_id, 0) >= event.version:
                    continue  # It was told with an event before this one.
                order = await reads.current(context, order_domain.Order, event.stream_id)
                if order is not None:
                    if len(told) >= TOLD_MAX:
                        told.clear()
                    told[order.id] = order.version
                    yield order_view(order, context)

    @strawberry.subscription(
        description="What each store sold today, in its own zone: at once, and again whenever it has changed."
    )
    async def figures(self, info: ContextInfo, store_ids: StoreIds = None) -> AsyncGenerator[list[KpiDay], None]:
        context = info.context
        async with aclosing(context.services.follow.figures(stores(context, store_ids))) as found:
            async for days in found:
                yield days

    @strawberry.subscription(
        description="The read models and how far they are: at once, and again whenever that has changed."
    )
    async def projection_progress(self, info: ContextInfo) -> AsyncGenerator[list[log.Projection], None]:
        async with aclosing(info.context.services.follow.progress()) as found:
            async for state in found:
                yield state
