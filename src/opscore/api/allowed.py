"""What the viewer may do with an aggregate now: `allowedCommands`, told before anybody fills a form in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

import strawberry
from strawberry.dataloader import DataLoader

from opscore.domain.aggregate import Aggregate
from opscore.domain.readiness import readiness
from opscore.domain.store import Store

if TYPE_CHECKING:
    from opscore.api.context import Context


@strawberry.type(
    description="A command about this object, and whether you may give it now: by your role and stores, and by the "
    "state that the object is shown in. What depends on the input, or on other objects, is decided when it is given."
)
class AllowedCommand:
    name: str = strawberry.field(description="Its name as a mutation.")
    allowed: bool = strawberry.field(description="Whether it would be carried out, given the right input.")
    code: str | None = strawberry.field(
        description="If not: the code it would be refused with whatever the input, or DONE_ALREADY where it would "
        "change nothing."
    )
    reason: str | None = strawberry.field(description="If not: why, and what to do about it.")


async def allowed_commands(aggregate: Aggregate, context: Context, *, mine: bool) -> list[AllowedCommand]:
    """Return the commands about an aggregate; the home stores of a whole answer's aggregates are read together.

    mine: those alone that the viewer may give in some state.
    """
    store = aggregate if isinstance(aggregate, Store) else await _stores(context).load(aggregate.store_id)
    if store is None:
        return []
    return [
        AllowedCommand(name=each.command.command_name(), allowed=each.code is None, code=each.code, reason=each.reason)
        for each in readiness(aggregate, context.viewer, datetime.now(UTC), store, of_others=not mine)
    ]


def _stores(context: Context) -> DataLoader[UUID, Store | None]:
    if context.stores is None:

        async def load(store_ids: list[UUID]) -> Sequence[Store | None]:
            found = await context.services.read(context.services.folded.load, Store, store_ids)
            return [found.get(each) for each in store_ids]

        context.stores = DataLoader(load_fn=load)
    return context.stores
