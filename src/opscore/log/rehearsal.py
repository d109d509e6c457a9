"""Decisions tried over one moment of the log: everything is checked as if it were decided, and nothing is written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import Connection

from opscore.domain.aggregate import Aggregate
from opscore.domain.command import Actor, UnitOfWork
from opscore.log.batches import load_many
from opscore.log.event_log import lend
from opscore.log.recorder import ConnectionSource

_ONE_MOMENT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_HOLDER = "SELECT stream_id FROM claims WHERE kind = %s AND scope = %s AND value = %s"


class Rehearsal(UnitOfWork):
    """A unit of work that only reads. What a decision records in it is forgotten with it."""

    def bind(self, connection: Connection[Any]) -> Rehearsal:
        """Read over this connection."""
        self._connection = connection
        self._known: dict[UUID, Aggregate | None] = {}
        self._holders: dict[tuple[str, str, str], UUID | None] = {}
        return self

    def fetch(self, stream_ids: Iterable[UUID]) -> None:
        """Read these streams in one statement, those that are known already left out; ids of nothing do no harm."""
        wanted = [each for each in dict.fromkeys(stream_ids) if each not in self._known]
        found = load_many(lend(self._connection), Aggregate, wanted)
        self._known.update((each, found.get(each)) for each in wanted)

    def _load(self, stream_id: UUID) -> Aggregate | None:
        self.fetch([stream_id])
        return self._known[stream_id]

    def _holder(self, kind: str, scope: str, value: str) -> UUID | None:
        name = (kind, scope, value)
        if name not in self._holders:
            row = self._connection.execute(_HOLDER, name).fetchone()
            self._holders[name] = None if row is None else row[0]
        return self._holders[name]


@contextmanager
def rehearsal(connections: ConnectionSource, actor: Actor, now: datetime) -> Iterator[Rehearsal]:
    """Open a unit of work over the log as it is, for as long as the block. now: the time of the decision, UTC."""
    with connections() as connection, connection.transaction():
        connection.execute(_ONE_MOMENT)
        yield Rehearsal(actor=actor, now=now, occurred_at=now).bind(connection)
