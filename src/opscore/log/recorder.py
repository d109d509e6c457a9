"""The library's recorder, ours: rows of `events` at dense positions, chained by hash, under one writer's lock."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from uuid import UUID

import eventsourcing.persistence as library
from psycopg import Connection
from psycopg.rows import TupleRow

from opscore.log.canonical import GENESIS, event_hash, microseconds, with_role
from opscore.log.mapper import RecordedEvent

ConnectionSource = Callable[[], AbstractContextManager[Connection[TupleRow]]]

LOCK = "SELECT held FROM log_lock FOR UPDATE"
HEAD = "SELECT position, hash, recorded_at FROM events ORDER BY position DESC LIMIT 1"
_SELECT = (
    "SELECT stream_id, version, type, convert_to(data::text, 'UTF8'), schema_version, occurred_at, recorded_at,"
    " position FROM events WHERE stream_id = %s AND version > %s AND version <= %s"
)
_COLUMNS = (
    "position, stream_id, version, stream_type, type, schema_version, store_id, occurred_at, recorded_at, time_zone, "
    "actor, origin, idempotency_key, correlation_id, causation_position, data, hash, "
    "role"
)
_TYPES = (
    "int8", "uuid", "int4", "text", "text", "int2", "uuid", "timestamptz", "timestamptz", "text",
    "text", "text", "text", "text", "int8", "text", "bytea", "text",
)  # fmt: skip
_MAX_VERSION = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Head:
    """The newest event: position, hash and recording time (None on an empty log)."""

    position: int = 0
    hash: bytes = GENESIS
    recorded_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Envelope:
    """What the log keeps of the command behind an event."""

    stream_type: str
    store_id: UUID
    time_zone: str
    actor: str
    origin: str
    idempotency_key: str
    correlation_id: str | None = None
    causation_position: int | None = None
    role: str | None = None


def lock_log(connection: Connection[Any]) -> Head:
    """Become this tenant's one writer until the transaction ends; return the head of the log."""
    connection.execute(LOCK)
    return read_head(connection)


def read_head(connection: Connection[Any]) -> Head:
    """Return the head of the log as committed now."""
    row = connection.execute(HEAD).fetchone()
    return Head() if row is None else Head(row[0], bytes(row[1]), row[2])


LogRow = tuple[
    UUID, int, str, str, int, UUID, datetime, datetime, str, str, str, str, str | None, int | None, bytes, str | None
]
"""The columns of `HASHED_COLUMNS` behind `position`, in their order, the canonical form of `data`, and the role."""


def append_rows(connection: Connection[Any], head: Head, rows: Iterable[LogRow]) -> Head:
    """Append rows behind `head` in one COPY and return the new head.

    The caller holds the lock and commits. Positions are dense, each hash covers the one before.
    """
    position, previous, recorded_at = head.position, head.hash, head.recorded_at
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY events ({_COLUMNS}) FROM STDIN") as copy,
    ):
        copy.set_types(_TYPES)
        for row in rows:
            position += 1
            recorded_at = row[7]
            columns = (position, *row[:6], microseconds(row[6]), microseconds(recorded_at), *row[8:14])
            previous = event_hash(previous, with_role(columns, row[15]), row[14])
            copy.write_row((position, *row[:14], row[14].decode(), previous, row[15]))
    return Head(position, previous, recorded_at)


def append_events(connection: Connection[Any], head: Head, recorded: Iterable[tuple[RecordedEvent, Envelope]]) -> Head:
    """Append events with their envelopes behind `head`; see `append_rows`."""
    return append_rows(
        connection,
        head,
        (
            (
                cast(UUID, event.originator_id),
                event.originator_version,
                envelope.stream_type,
                event.topic,
                event.schema_version,
                envelope.store_id,
                event.occurred_at,
                event.recorded_at,
                envelope.time_zone,
                envelope.actor,
                envelope.origin,
                envelope.idempotency_key,
                envelope.correlation_id,
                envelope.causation_position,
                event.state,
                envelope.role,
            )
            for event, envelope in recorded
        ),
    )


class EventRecorder(library.ApplicationRecorder):
    """Reads streams and notifications of the log, and appends when the library's Application saves.

    The writer appends with `append_events` under its own lock; `insert_events` is for programs that use the library's
    `Application.save` and gives each call a transaction of its own.
    """

    def __init__(self, connections: ConnectionSource) -> None:
        self._connections = connections

    def insert_events(
        self, stored_events: Sequence[library.StoredEvent], *, envelope: Envelope | None = None, **_: Any
    ) -> Sequence[int] | None:
        """Append events in a transaction of their own; return their positions.

        Raises IntegrityError when a version is taken: read the stream again and decide anew.
        """
        if not stored_events:
            return []
        if envelope is None:
            raise library.ProgrammingError("pass envelope=Envelope(...): an event needs a store, an actor and a key")
        from psycopg.errors import UniqueViolation

        with self._connections() as connection, connection.transaction():
            head = lock_log(connection)
            try:
                end = append_events(connection, head, ((cast(RecordedEvent, s), envelope) for s in stored_events))
            except UniqueViolation as error:
                raise library.IntegrityError(str(error)) from error
        return list(range(head.position + 1, end.position + 1))

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[library.StoredEvent]:
        """Return the events of one stream in order of version."""
        query = f"{_SELECT} ORDER BY version {'DESC' if desc else 'ASC'} LIMIT %s"
        with self._connections() as connection:
            rows = connection.execute(
                query, (originator_id, gt or 0, _MAX_VERSION if lte is None else lte, limit), binary=True
            )
            return [RecordedEvent(*row) for row in rows]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[library.Notification]:
        """Return events in order of position."""
        after = (start or 0) - (1 if inclusive_of_start and start else 0)
        with self._connections() as connection:
            rows = connection.execute(
                "SELECT stream_id, version, type, convert_to(data::text, 'UTF8'), position FROM events"
                " WHERE position > %(after)s AND (%(stop)s::bigint IS NULL OR position <= %(stop)s)"
                " AND (%(topics)s::text[] = '{}' OR type = ANY(%(topics)s)) ORDER BY position LIMIT %(limit)s",
                {"after": after, "stop": stop, "topics": list(topics), "limit": limit},
                binary=True,
            )
            return [
                library.Notification(
                    originator_id=row[0], originator_version=row[1], topic=row[2], state=row[3], id=row[4]
                )
                for row in rows
            ]

    def max_notification_id(self) -> int | None:
        """Return the position of the newest event, None on an empty log."""
        with self._connections() as connection:
            return read_head(connection).position or None

    def subscribe(
        self, gt: int | None = None, topics: Sequence[str] = ()
    ) -> library.Subscription[library.ApplicationRecorder]:
        """Return an endless iterator over the events after `gt`; it polls, so nothing is passed over or freezes."""
        return PollingSubscription(self, gt, topics)


class PollingSubscription(library.Subscription[library.ApplicationRecorder]):
    """Asks for what is new at least twice a second; positions are dense and in commit order, so nothing is missed."""

    POLL_SECONDS = 0.2

    def __init__(self, recorder: EventRecorder, gt: int | None, topics: Sequence[str]) -> None:
        super().__init__(recorder, gt, topics)
        self._after = gt or 0
        self._buffer: Iterator[library.Notification] = iter(())

    def __next__(self) -> library.Notification:
        while not self._has_been_stopped:
            for notification in self._buffer:
                self._after = notification.id
                return notification
            found = self._recorder.select_notifications(self._after, 500, topics=self._topics, inclusive_of_start=False)
            self._buffer = iter(found)
            if not found:
                time.sleep(self.POLL_SECONDS)
        raise StopIteration


class SnapshotRecorder(library.AggregateRecorder):
    """Keeps snapshots in their own table; only those that the present folds made are ever returned."""

    def __init__(self, connections: ConnectionSource, fold_digest: str) -> None:
        self._connections = connections
        self._fold_digest = fold_digest

    def insert_events(self, stored_events: Sequence[library.StoredEvent], **_: Any) -> Sequence[int] | None:
        """Keep snapshots (rows made by `SnapshotMapper`); one that is there already stays."""
        with self._connections() as connection:
            for stored in stored_events:
                row = cast(SnapshotRow, stored)
                connection.execute(
                    "INSERT INTO snapshots"
                    " (stream_id, version, stream_type, fold_digest, state, started_at, recorded_at)"
                    " VALUES (%s, %s, %s, %s, %s::json, %s, %s) ON CONFLICT (stream_id, version) DO UPDATE"
                    " SET fold_digest = excluded.fold_digest, state = excluded.state",
                    (
                        row.originator_id,
                        row.originator_version,
                        row.topic,
                        row.digest,
                        row.state.decode(),
                        row.started_at,
                        row.recorded_at,
                    ),
                )
        return None

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[library.StoredEvent]:
        """Return snapshots of one stream."""
        query = (
            "SELECT stream_id, version, stream_type, convert_to(state::text, 'UTF8'), fold_digest, started_at,"
            " recorded_at, (SELECT first.position FROM events AS first WHERE first.stream_id = snapshots.stream_id"
            " AND first.version = 1)"
            " FROM snapshots WHERE stream_id = %s AND version > %s AND version <= %s AND fold_digest = %s"
            f" ORDER BY version {'DESC' if desc else 'ASC'} LIMIT %s"
        )
        with self._connections() as connection:
            rows = connection.execute(
                query,
                (originator_id, gt or 0, _MAX_VERSION if lte is None else lte, self._fold_digest, limit),
                binary=True,
            )
            return [SnapshotRow(*row) for row in rows]


@dataclass(frozen=True)
class SnapshotRow(library.StoredEvent):
    """A row of `snapshots`."""

    digest: str
    started_at: datetime
    recorded_at: datetime
    first_position: int | None = None
    """Position of the stream's first event; not kept, but looked up in the log."""
