"""The log as the rest of the house reads it: aggregates at any moment, and events in order."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, TypeVar, cast
from uuid import UUID

import eventsourcing.persistence as library
from eventsourcing.application import AggregateNotFoundError, Application, Repository
from eventsourcing.utils import Environment
from psycopg import Connection
from psycopg.rows import TupleRow, args_row, class_row

from opscore.domain.aggregate import Aggregate
from opscore.domain.values import derived_id
from opscore.log.event_types import event_types
from opscore.log.mapper import EventMapper
from opscore.log.recorder import ConnectionSource, EventRecorder, Head, SnapshotRecorder, read_head
from opscore.log.snapshots import SnapshotMapper, StateSnapshot, fold_digest

AggregateT = TypeVar("AggregateT", bound=Aggregate)

MAX_EVENTS_PER_PAGE = 1000


@dataclass(frozen=True)
class LoggedEvent:
    """One row of the log as people read it. `data` is plain JSON with personal fields as ciphertext."""

    position: int
    stream_id: UUID
    version: int
    stream_type: str
    type: str
    schema_version: int
    store_id: UUID
    occurred_at: datetime
    recorded_at: datetime
    time_zone: str
    actor: str
    origin: str
    idempotency_key: str
    correlation_id: str | None
    causation_position: int | None
    data: dict[str, Any]
    hash: bytes
    role: str | None = None
    """The role in which the command was given; None of events from before roles were recorded."""

    @property
    def id(self) -> UUID:
        """Its id: of its place in its stream, which is the same for ever."""
        return derived_id("event", self.stream_id, self.version)


@dataclass(frozen=True)
class StreamPage:
    """Which events of a stream: of these types (none: all), strictly between two versions, `limit` from one end."""

    types: tuple[str, ...] = ()
    after: int = 0
    before: int | None = None
    limit: int = 100
    newest_first: bool = False


class Envelope(NamedTuple):
    """What an event filter looks at, without what happened: read when most events are for nobody."""

    position: int
    stream_id: UUID
    stream_type: str
    type: str
    store_id: UUID
    occurred_at: datetime
    actor: str
    correlation_id: str | None


@dataclass(frozen=True)
class EventFilter:
    """Which events: every condition that is set must hold. Times are of `occurred_at`, UTC, end exclusive."""

    store_ids: Sequence[UUID] | None = None
    stream_id: UUID | None = None
    stream_type: str | None = None
    types: Sequence[str] = ()
    actor: str | None = None
    occurred_from: datetime | None = None
    occurred_until: datetime | None = None
    correlation_id: str | None = None


class LogFactory(library.InfrastructureFactory[Any]):
    """Builds the library's recorders over our tables; they are made by Alembic, never here."""

    def __init__(self, env: Environment, connections: ConnectionSource) -> None:
        super().__init__(env)
        self._connections = connections

    def aggregate_recorder(self, purpose: str = "events") -> library.AggregateRecorder:
        """Return the recorder of snapshots, or of events."""
        if purpose == "snapshots":
            return SnapshotRecorder(self._connections, fold_digest())
        return EventRecorder(self._connections)

    def application_recorder(self) -> library.ApplicationRecorder:
        """Return the recorder of events."""
        return EventRecorder(self._connections)

    def tracking_recorder(self, tracking_recorder_class: type[Any] | None = None) -> Any:
        """Checkpoints live with their projections, in the transaction that applies a window."""
        raise library.InfrastructureFactoryError("opscore keeps checkpoints in projection_catalogue")

    def process_recorder(self) -> library.ProcessRecorder:
        """Follow-ups are commands to the writer, keyed by policy and position."""
        raise library.InfrastructureFactoryError("opscore issues follow-ups as commands to its writer")

    def is_snapshotting_enabled(self) -> bool:
        """Snapshots are always read; the writer takes them."""
        return True

    def close(self) -> None:
        """Leave the connections to whoever lent them."""


_WANTED = (
    "(%(store_ids)s::uuid[] IS NULL OR store_id = ANY(%(store_ids)s))"
    " AND (%(stream_id)s::uuid IS NULL OR stream_id = %(stream_id)s)"
    " AND (%(stream_type)s::text IS NULL OR stream_type = %(stream_type)s)"
    " AND (%(types)s::text[] = '{}' OR type = ANY(%(types)s))"
    " AND (%(actor)s::text IS NULL OR actor = %(actor)s)"
    " AND (%(occurred_from)s::timestamptz IS NULL OR occurred_at >= %(occurred_from)s)"
    " AND (%(occurred_until)s::timestamptz IS NULL OR occurred_at < %(occurred_until)s)"
    " AND (%(correlation_id)s::text IS NULL OR correlation_id = %(correlation_id)s)"
)


_ENVELOPES = f"SELECT {', '.join(Envelope._fields)} FROM events WHERE position > %s ORDER BY position LIMIT %s"


def _values(wanted: EventFilter) -> dict[str, Any]:
    return {
        **vars(wanted),
        "store_ids": None if wanted.store_ids is None else list(wanted.store_ids),
        "types": list(wanted.types),
    }


class EventLog(Application[UUID]):
    """The library's Application over our recorder and mapper.

    connections: gives a connection of the application's role for the length of a `with` block.
    """

    name = "opscore"

    def __init__(self, connections: ConnectionSource) -> None:
        self._connections = connections
        super().__init__()

    def construct_factory(self, env: Environment) -> library.InfrastructureFactory[Any]:
        """Build over our tables, whatever the environment says."""
        return LogFactory(env, self._connections)

    def construct_mapper(self) -> library.Mapper[UUID]:
        """Store our own names and plain JSON."""
        return EventMapper()

    def construct_snapshot_store(self) -> library.EventStore[UUID]:
        """Snapshots have their own mapper."""
        return library.EventStore(SnapshotMapper(), self.factory.aggregate_recorder("snapshots"))

    def construct_repository(self) -> Repository[UUID]:
        """No cache here: reads are of the log as it is; the writer keeps its own."""
        return Repository(self.events, snapshot_store=self.snapshots)

    # Aggregates --------------------------------------------------------------------------------------------------

    def aggregate(
        self,
        kind: type[AggregateT],
        stream_id: UUID,
        *,
        version: int | None = None,
        position: int | None = None,
        at: datetime | None = None,
    ) -> AggregateT | None:
        """Return an aggregate now, at a version, or as the log stood at a position or a recording time (UTC).

        None when the stream had not begun then, or is of another kind.
        """
        if version is None and (position is not None or at is not None):
            version = self.version_at(stream_id, position=position, at=at)
            if version == 0:
                return None
        try:
            found: Any = self.repository.get(stream_id, version=version, projector_func=_folded)
        except AggregateNotFoundError:
            return None
        return found if isinstance(found, kind) else None

    def version_at(self, stream_id: UUID, *, position: int | None = None, at: datetime | None = None) -> int:
        """Return the version a stream had when the log stood at a position or time (UTC); 0 before it began."""
        if position is None:
            position = self.head().position if at is None else self.position_at(at)
        with self._connections() as connection:

            def position_of(version: int) -> int:
                return cast(int, _one(connection, "position", "stream_id = %s AND version = %s", stream_id, version))

            newest = _one(connection, "COALESCE(max(version), 0)", "stream_id = %s", stream_id)
            # Versions are dense and rise with positions: bisect instead of reading a long stream.
            return bisect.bisect_right(range(1, newest + 1), position, key=position_of)

    def take_snapshot_of(self, aggregate: Aggregate) -> None:
        """Keep the aggregate's state as of its version."""
        assert self.snapshots is not None
        self.snapshots.put([StateSnapshot.take(aggregate)])

    # Events ------------------------------------------------------------------------------------------------------

    def head(self) -> Head:
        """Return the newest position, its hash and recording time."""
        with self._connections() as connection:
            return read_head(connection)

    def position_at(self, at: datetime) -> int:
        """Return the position at which the log stood at a recording time (UTC); 0 before the first event."""
        with self._connections() as connection:

            def recorded_at_of(position: int) -> datetime:
                return cast(datetime, _one(connection, "recorded_at", "position = %s", position))

            # Positions are dense and recording times strictly rise with them.
            return bisect.bisect_right(range(1, read_head(connection).position + 1), at, key=recorded_at_of)

    def select(
        self,
        wanted: EventFilter,
        *,
        after: int | None = None,
        before: int | None = None,
        limit: int = 100,
        newest_first: bool = False,
    ) -> list[LoggedEvent]:
        """Return at most `limit` events that match, in order of position, strictly between `after` and `before`."""
        order = "DESC" if newest_first else "ASC"
        values = {**_values(wanted), "after": after or 0, "before": before, "limit": min(limit, MAX_EVENTS_PER_PAGE)}
        matching = f"position > %(after)s AND (%(before)s::bigint IS NULL OR position < %(before)s) AND {_WANTED}"
        statement = f"SELECT * FROM events WHERE {matching} ORDER BY position {order} LIMIT %(limit)s"
        if wanted.types and wanted.stream_id is None:
            # Rare events may all lie at the far end of the log: the index by type has those of each version in order.
            statement = (
                "SELECT event.* FROM (SELECT one.position"
                " FROM unnest(%(each_type)s::text[], %(each_version)s::smallint[]) AS kind (type, schema_version)"
                " CROSS JOIN LATERAL (SELECT position FROM events"
                f" WHERE type = kind.type AND schema_version = kind.schema_version AND {matching}"
                f" ORDER BY position {order} LIMIT %(limit)s) AS one ORDER BY one.position {order} LIMIT %(limit)s)"
                f" AS found JOIN events AS event USING (position) ORDER BY position {order}"
            )
            values["each_type"], values["each_version"] = _versions_of(wanted.types)
        with self._connections() as connection, connection.cursor(row_factory=class_row(LoggedEvent)) as cursor:
            return cursor.execute(statement, values).fetchall()

    def envelopes(self, after: int, limit: int) -> list[Envelope]:
        """Return the envelopes of the events behind a position, in order, at most `limit`."""
        with self._connections() as connection, connection.cursor(row_factory=args_row(Envelope)) as cursor:
            return cursor.execute(_ENVELOPES, (after, limit)).fetchall()

    def at(self, positions: Sequence[int]) -> list[LoggedEvent]:
        """Return the events at these positions, in order."""
        with self._connections() as connection, connection.cursor(row_factory=class_row(LoggedEvent)) as cursor:
            return cursor.execute(
                "SELECT * FROM events WHERE position = ANY (%s) ORDER BY position", (list(positions),)
            ).fetchall()

    def pages(self, streams: Mapping[UUID, int], page: StreamPage) -> dict[UUID, list[LoggedEvent]]:
        """Return a page of each of these streams, none behind the version that stands with it, in one statement."""
        found: dict[UUID, list[LoggedEvent]] = {stream_id: [] for stream_id in streams}
        order = "DESC" if page.newest_first else "ASC"
        with self._connections() as connection, connection.cursor(row_factory=class_row(LoggedEvent)) as cursor:
            cursor.execute(
                "SELECT event.* FROM unnest(%(stream_ids)s::uuid[], %(untils)s::integer[]) AS wanted (stream_id, until)"
                " CROSS JOIN LATERAL (SELECT * FROM events AS one WHERE one.stream_id = wanted.stream_id"
                " AND one.version > %(after)s AND one.version <= wanted.until"
                " AND (%(before)s::bigint IS NULL OR one.version < %(before)s)"
                " AND (%(types)s::text[] = '{}' OR one.type = ANY(%(types)s))"
                f" ORDER BY one.version {order} LIMIT %(limit)s) AS event ORDER BY event.version {order}",
                {
                    **vars(page),
                    "types": list(page.types),
                    "stream_ids": list(streams),
                    "untils": list(streams.values()),
                },
            )
            for event in cursor:
                found[event.stream_id].append(event)
        return found

    def counts(self, streams: Mapping[UUID, int], types: Sequence[str] = ()) -> dict[UUID, int]:
        """Return how many events of these types (none: all) each stream has up to the version that stands with it."""
        with self._connections() as connection:
            rows = connection.execute(
                "SELECT wanted.stream_id, (SELECT count(*) FROM events AS one WHERE one.stream_id = wanted.stream_id"
                " AND one.version <= wanted.until AND (%(types)s::text[] = '{}' OR one.type = ANY(%(types)s)))"
                " FROM unnest(%(stream_ids)s::uuid[], %(untils)s::integer[]) AS wanted (stream_id, until)",
                {"types": list(types), "stream_ids": list(streams), "untils": list(streams.values())},
            ).fetchall()
        return dict(rows)

    def count(self, wanted: EventFilter) -> int:
        """Return how many events match."""
        with self._connections() as connection:
            row = connection.execute(f"SELECT count(*) FROM events WHERE {_WANTED}", _values(wanted)).fetchone()
        assert row is not None
        return int(row[0])

    def unknown_types(self) -> list[str]:
        """Return the names (with version) of stored event types that this program does not know."""
        known = event_types()
        with self._connections() as connection:
            rows = connection.execute(
                # Walks from one distinct (type, version) to the next along the index, however long the log is.
                "WITH RECURSIVE seen AS ("
                " (SELECT type, schema_version FROM events ORDER BY type, schema_version LIMIT 1)"
                " UNION ALL"
                " SELECT next.type, next.schema_version FROM seen CROSS JOIN LATERAL ("
                "  SELECT type, schema_version FROM events"
                "  WHERE (type, schema_version) > (seen.type, seen.schema_version)"
                "  ORDER BY type, schema_version LIMIT 1) AS next)"
                " SELECT type, schema_version FROM seen"
            ).fetchall()
        return sorted(
            f"{name} v{version}" for name, version in rows if name not in known or version > known[name].version
        )


def _versions_of(types: Iterable[str]) -> tuple[list[str], list[int]]:
    """Return every version in which events of these types may be stored, as two lists of equal length."""
    known = event_types()
    found = [
        (name, version)
        for name in dict.fromkeys(types)
        if name in known
        for version in range(1, known[name].version + 1)
    ]
    return [name for name, _ in found], [version for _, version in found]


def _folded(aggregate: Any, events: Iterable[Any]) -> Any:
    """Fold as the library does, without its question whether each event can be: that takes longer than folding it."""
    for event in events:
        aggregate = event.mutate(aggregate)
    return aggregate


def _one(connection: Connection[TupleRow], expression: str, condition: str, *values: Any) -> Any:
    row = connection.execute(f"SELECT {expression} FROM events WHERE {condition}", values).fetchone()
    assert row is not None
    return row[0]


def missing_streams(connection: Connection[TupleRow], stream_type: str, stream_ids: Iterable[UUID]) -> list[UUID]:
    """Return which of these streams of a type have not begun, in the order given."""
    wanted = list(stream_ids)
    if not wanted:
        return []
    rows = connection.execute(
        "SELECT stream_id FROM events WHERE stream_id = ANY (%s) AND version = 1 AND stream_type = %s",
        (wanted, stream_type),
    )
    begun = {row[0] for row in rows}
    return [each for each in wanted if each not in begun]


def lend(connection: Connection[TupleRow]) -> ConnectionSource:
    """Return a source that always lends this one connection and leaves it open."""

    class _Lent(AbstractContextManager[Connection[TupleRow]]):
        def __enter__(self) -> Connection[TupleRow]:
            return connection

        def __exit__(self, *_: object) -> None:
            return None

    return _Lent
