"""What all five aggregates have in common in the schema, and who may see which of them."""

# Strawberry declares its field decorator untyped; the resolvers themselves are checked.
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import functools
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import strawberry
from strawberry.types import Info

from opscore.api.allowed import AllowedCommand, allowed_commands
from opscore.api.ids import global_id
from opscore.api.rows import Made
from opscore.domain.aggregate import Aggregate
from opscore.domain.command import Actor
from opscore.permissions import may_see_kind


@strawberry.interface(description="Anything with a global id.")
class Node:
    id: strawberry.ID = strawberry.field(description="Its id, opaque and the same for ever.")


_Mine = Annotated[
    bool,
    strawberry.argument(
        description="Leave out what is never yours to do, by your role or the stores of your token: a page has no "
        "button for it."
    ),
]


@strawberry.interface(description="What every aggregate has: a stream of events and what they add up to.")
class Stream(Node):
    stream_id: UUID = strawberry.field(description="The id of its stream in the event log.")
    version: int = strawberry.field(description="How many events it has; pass it as `expectedVersion`.")
    created_at: datetime = strawberry.field(description="When its first event was recorded.")
    changed_at: datetime = strawberry.field(description="When its last event was recorded.")
    source: strawberry.Private[Any] = None
    """The aggregate that is shown; None where rows of a read model were enough."""

    @strawberry.field(description="The commands about it, by name, and whether you may give each of them now.")
    async def allowed_commands(self, info: Info, mine: _Mine = False) -> list[AllowedCommand]:
        return await allowed_commands(self.source, info.context, mine=mine)


def stream_fields(aggregate: Aggregate) -> dict[str, Any]:
    """Return the values of `Stream`'s fields."""
    return {
        "id": global_id(aggregate.STREAM_TYPE, aggregate.id),
        "stream_id": aggregate.id,
        "version": aggregate.version,
        "created_at": aggregate.created_on,
        "changed_at": aggregate.modified_on,
        "source": aggregate,
    }


@functools.lru_cache(10_000)
def store_gid(store_id: UUID) -> strawberry.ID:
    """Return the global id of a store."""
    return strawberry.ID(global_id("Store", store_id))


def gid_in(type_name: str, column: str) -> Made:
    """Return how a global id is made of a column with a key; None of one without."""
    return Made((column,), functools.partial(gid, type_name))


def gid(type_name: str, key: UUID | None) -> Any:
    """Return a global id, or None for no key."""
    return None if key is None else global_id(type_name, key)


def may_see(viewer: Actor, aggregate: Aggregate) -> bool:
    """Say whether an aggregate lies in a viewer's scope; what does not is answered like what is not there.

    An article is seen by every store that sells it, a campaign by every store it runs in. A customer sees itself, its
    own orders, articles that are on sale and campaigns that are on. A line of an order names its article as it was
    ordered, whether or not that is still on sale. Who may not ask for a kind does not reach it by another way either.
    """
    if not may_see_kind(viewer.role, aggregate.STREAM_TYPE):
        return False
    return viewer.may_see(aggregate)
