"""What can be followed: the log from any position on, today's figures, how far the read models are."""

# Strawberry declares its field decorator untyped; the resolvers themselves are checked.
# mypy: disable-error-code="untyped-decorator"
# ruff: noqa: A002 -- arguments are called what the schema calls them.

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated

import strawberry

from opscore.api import log
from opscore.api.arguments import ContextInfo, StoreIds, stores
from opscore.api.figures import KpiDay
from opscore.api.log_queries import EventFilterInput, event_filter
from opscore.api.scalars import Position


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
