"""Questions of auditors: the event log, the read models' state, and whether the log is what it was."""

# Strawberry declares its field decorator untyped; the resolvers themselves are checked.
# mypy: disable-error-code="untyped-decorator"
# ruff: noqa: A002 -- arguments are called what the schema calls them.

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import strawberry

from opscore.api import log
from opscore.api.arguments import After, Before, ContextInfo, First, Last, stores
from opscore.api.context import Context
from opscore.api.errors import BadInput
from opscore.api.ids import AGGREGATE_NAMES
from opscore.api.paging import Connection, connection, number, window
from opscore.api.scalars import Position
from opscore.api.selected import wants_total
from opscore.log.event_log import EventFilter
from opscore.log.event_types import event_types
from opscore.spelling import hint


@strawberry.input(description="Which events; every condition that is given has to hold.")
class EventFilterInput:
    store_ids: list[strawberry.ID] | None = strawberry.field(default=strawberry.UNSET, description="Of these stores.")
    stream_id: UUID | None = strawberry.field(default=strawberry.UNSET, description="Of this stream.")
    stream_type: str | None = strawberry.field(default=strawberry.UNSET, description="Of streams of this kind.")
    types: list[str] | None = strawberry.field(default=strawberry.UNSET, description="Of one of these types.")
    actor: str | None = strawberry.field(default=strawberry.UNSET, description="By this actor.")
    occurred_from: datetime | None = strawberry.field(default=strawberry.UNSET, description="Not before this moment.")
    occurred_until: datetime | None = strawberry.field(default=strawberry.UNSET, description="Before this moment.")
    correlation_id: str | None = strawberry.field(default=strawberry.UNSET, description="Of this correlation.")


@strawberry.type
class LogQueries:
    """Questions about the log."""

    @strawberry.field(description="The event log, oldest first. Personal fields are ciphertext.")
    async def events(
        self,
        info: ContextInfo,
        filter: Annotated[
            EventFilterInput | None, strawberry.argument(description="Which events; all if left out.")
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[log.LogEvent]:
        context = info.context
        wanted = event_filter(context, filter)
        binding = f"events:{wanted}"
        asked = window(binding, (number,), first, after, last, before)
        counted = wants_total(info)

        def read() -> Any:
            rows = context.services.log.select(
                wanted,
                after=asked.after[0] if asked.after else None,
                before=asked.before[0] if asked.before else None,
                limit=asked.fetch,
                newest_first=asked.backwards,
            )
            if asked.backwards:
                rows.reverse()
            total = context.services.log.count(wanted) if counted else None
            return connection(rows, asked, binding, lambda row: [row.position], log.log_event, total=total)

        return await context.services.read(read)

    @strawberry.field(description="The end of the log.")
    async def head(self, info: ContextInfo) -> log.LogHead:
        return await info.context.services.read(log.head, info.context)

    @strawberry.field(description="The read models: versions, rules, how far they are.")
    async def projections(self, info: ContextInfo) -> list[log.Projection]:
        return await info.context.services.read(log.projections, info.context)

    @strawberry.field(
        description="Checks a part of the log: positions without gaps, hashes, recording times that rise."
    )
    async def verification(
        self,
        info: ContextInfo,
        after: Annotated[
            Position, strawberry.argument(description="Check the events behind this position.")
        ] = Position(0),
        limit: Annotated[int, strawberry.argument(description="How many events, at most 20000.")] = log.VERIFY_MAX,
    ) -> log.Verification:
        if not 1 <= limit <= log.VERIFY_MAX:
            raise BadInput(f"Check from 1 to {log.VERIFY_MAX} events at once.")
        return await info.context.services.read(log.verify, info.context, after, limit)


def event_filter(context: Context, given: EventFilterInput | None) -> EventFilter:
    """Return the filter that is asked for, within the stores that the viewer may see.

    Raises BadInput for a type or a kind of stream that there is not: an auditor would take nothing for an answer.
    """
    if given is None:
        return EventFilter(store_ids=context.store_ids)

    def value(name: str) -> Any:
        found = getattr(given, name)
        return None if found is strawberry.UNSET else found

    for name in value("types") or ():
        if name not in event_types():
            raise BadInput(f"There is no event {name}{hint(name, event_types())}.")
    kind = value("stream_type")
    if kind is not None and kind not in AGGREGATE_NAMES:
        raise BadInput(f"There is no kind of stream {kind}; there are {', '.join(AGGREGATE_NAMES)}.")
    return EventFilter(
        store_ids=stores(context, value("store_ids")),
        stream_id=value("stream_id"),
        stream_type=kind,
        types=tuple(value("types") or ()),
        actor=value("actor"),
        occurred_from=value("occurred_from"),
        occurred_until=value("occurred_until"),
        correlation_id=value("correlation_id"),
    )
