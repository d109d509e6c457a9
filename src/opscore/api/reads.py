"""Reads of the log for resolvers, each bounded by what the viewer may see; all block but the one that is awaited."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

from opscore.api.ids import AGGREGATE_NAMES, global_id
from opscore.api.nodes import may_see
from opscore.domain.aggregate import Aggregate
from opscore.domain.command import Role
from opscore.sqlfiles import load

if TYPE_CHECKING:
    from opscore.api.context import Context, Services

SQL = load(__file__, "reads.sql")
KINDS_KEPT = 50_000

AggregateT = TypeVar("AggregateT", bound=Aggregate)


def one(
    context: Context,
    kind: type[AggregateT],
    stream_id: UUID,
    *,
    version: int | None = None,
    position: int | None = None,
    at: datetime | None = None,
) -> AggregateT | None:
    """Return an aggregate as of a version, position or time (UTC), now without any; None out of the viewer's scope.

    What the viewer may see is decided by the aggregate as it is at that moment, and for a customer as it is now too:
    what has gone off offer has no past for buyers.
    """
    log, viewer = context.services.log, context.viewer
    found = log.aggregate(kind, stream_id, version=version, position=position, at=at)
    if found is None or not may_see(viewer, found):
        return None
    if viewer.role is Role.CUSTOMER and (version, position, at) != (None, None, None):
        now = log.aggregate(kind, stream_id)
        return found if now is not None and may_see(viewer, now) else None
    return found


async def current(context: Context, kind: type[AggregateT], stream_id: UUID) -> AggregateT | None:
    """Return an aggregate as it is now; None out of the viewer's scope. Does not block."""
    found = await context.services.current(kind, stream_id)
    return found if found is not None and may_see(context.viewer, found) else None


def many(context: Context, kind: type[AggregateT], stream_ids: Sequence[UUID]) -> dict[UUID, AggregateT]:
    """Return the aggregates of these streams that the viewer may see, in one statement."""
    found = behind(context, kind, stream_ids)
    return {key: aggregate for key, aggregate in found.items() if may_see(context.viewer, aggregate)}


def behind(context: Context, kind: type[AggregateT], stream_ids: Sequence[UUID]) -> dict[UUID, AggregateT]:
    """Return the aggregates of these streams, whoever may see them, for what is shown of them to others; see `many`.

    Of a replay they are folded one by one as of its position: a statement for each is what history costs.
    """
    services = context.services
    if services.until is None:
        found = services.folded.load(kind, stream_ids)
    else:
        then = {key: services.log.aggregate(kind, key, position=services.until) for key in stream_ids}
        found = {key: aggregate for key, aggregate in then.items() if aggregate is not None}
    return found


def holder(services: Services, kind: str, scope: str, value: str) -> UUID | None:
    """Return the stream that holds a name."""
    with services.database.pool.connection() as connection:
        row = connection.execute(SQL["holder"], {"kind": kind, "scope": scope, "value": value}).fetchone()
    return None if row is None else row[0]


class StreamKinds:
    """Which aggregate an id is of. A stream never changes its kind, so an answer is good for ever."""

    def __init__(self) -> None:
        self._known: OrderedDict[UUID, str] = OrderedDict()
        self._lock = threading.Lock()

    def recall(self, ids: Sequence[UUID]) -> list[str] | None:
        """Return the global ids if all are known without asking the database."""
        with self._lock:
            if all(each in self._known for each in ids):
                return [global_id(self._known[each], each) for each in ids]
        return None

    def ask(self, services: Services, ids: Sequence[UUID]) -> list[str]:
        """Return the global ids; what is no stream (a parcel, something that is not there) keeps its plain id."""
        with services.database.pool.connection() as connection:
            rows = connection.execute(SQL["kinds"], {"ids": list(ids)}).fetchall()
        kinds = {stream_id: kind for stream_id, kind in rows if kind in AGGREGATE_NAMES}
        with self._lock:
            self._known.update(kinds)
            while len(self._known) > KINDS_KEPT:
                self._known.popitem(last=False)
        return [global_id(kinds[each], each) if each in kinds else str(each) for each in ids]
