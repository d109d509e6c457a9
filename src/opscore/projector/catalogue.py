"""The catalogue: one row for each version of each projection, with its own texts, its checkpoint and its failure."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from opscore.projector.folder import Loaded

Connection = psycopg.Connection[Any]

FOLLOWING = ("ready", "serving")
"""Versions that take in new events as they come."""
QUERYABLE = ("serving", "frozen")
"""Versions that answer when no version is named: the one that serves, or a copy that a replay has made."""


@dataclass(frozen=True, slots=True)
class Version:
    """What has to be known of a version to ask it, and where it stands.

    status: building, ready (follows beside the serving one), serving, frozen (a replay, stands still) or retired
    (dropped).
    """

    name: str
    version: int
    digest: str
    status: str
    position: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Entry(Version):
    """A row of `projection_catalogue` without its texts.

    A version whose statement failed keeps its status; `failed_position` says where it stopped.
    failed_checks: what checks.sql said once the version was built, None while it has not been asked: {check,
    description, rows}, the first rows that should not be there; rows is None for a check that took too long to end.
    """

    rules: dict[str, Any]
    failed_position: int | None
    failed_statement: str | None
    error: str | None
    updated_at: datetime
    promoted_at: datetime | None
    promoted_by: str | None
    failed_checks: list[dict[str, Any]] | None

    @property
    def failing(self) -> list[str]:
        """Return the checks that are known to fail, by name."""
        return [each["check"] for each in self.failed_checks or () if each["rows"] is not None]

    @property
    def state(self) -> str:
        """Return the status, or `failed` while a failure stops it."""
        return self.status if self.failed_position is None else "failed"


_QUERYABLE = ", ".join(f"'{status}'" for status in QUERYABLE)
_VERSION_COLUMNS = ", ".join(Version.__dataclass_fields__)
_COLUMNS = ", ".join(Entry.__dataclass_fields__)
_PART_COLUMNS = ", ".join(
    "part.position" if column == "position" else f"entry.{column}" for column in Entry.__dataclass_fields__
)


@dataclass(frozen=True, slots=True)
class Promotion:
    """That a version was let serve: the number-th time of its projection.

    from_version: the one that served before; None for the first, and where it is not known. position: how far the
    version was. compare_id: the comparison of the two that it relied on. despite: why, though its checks failed.
    """

    name: str
    number: int
    version: int
    from_version: int | None
    digest: str
    position: int
    promoted_at: datetime
    promoted_by: str
    compare_id: UUID | None
    despite: str | None


SAMPLE = 50_000
"""How many events are looked at, about, to learn how heavy each stream is."""

SHARE_BITS = 6
"""So many first bits of its id say of which share a stream is: one of 64."""

LAST_STREAM = UUID(int=2**128 - 1)


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a rebuild, by number from 0: the streams with these ids, both ends included."""

    number: int
    first_stream: UUID
    last_stream: UUID


def even_parts(weights: Sequence[tuple[UUID, int]], of: int) -> list[Part]:
    """Divide all streams into at most `of` parts that are about equally heavy.

    weights: how heavy a stream is, by its id, which rises; streams that are not named weigh nothing. Each part ends
    with the stream that brings all parts so far closest to their share.
    """
    whole = sum(weight for _, weight in weights)
    parts: list[Part] = []
    first, weight = UUID(int=0), 0
    for (stream_id, own), following in itertools.pairwise(weights):
        weight += own
        share = whole * (len(parts) + 1) / of
        if len(parts) < of - 1 and share - weight <= weight + following[1] - share:
            parts.append(Part(len(parts), first, stream_id))
            first = UUID(int=stream_id.int + 1)
    return [*parts, Part(len(parts), first, LAST_STREAM)]


def by_share(weights: Sequence[tuple[UUID, int]]) -> list[tuple[UUID, int]]:
    """Return how heavy each share of the streams is, by the last id that it can have; ids of a share begin alike.

    weights: how heavy a stream is, by its id, which rises. A part has whole shares, so that what a projection keeps for
    a share of its streams is written by one part alone: two that change one row wait for each other to the end of a
    window, or for ever.
    """
    shares = itertools.groupby(weights, lambda each: each[0].int | (1 << 128 - SHARE_BITS) - 1)
    return [(UUID(int=last), sum(weight for _, weight in streams)) for last, streams in shares]


class Catalogue:
    """The statements over `projection_catalogue` of one schema."""

    def __init__(self, schema: str) -> None:
        self._table = f'"{schema}".projection_catalogue'
        self._parts = f'"{schema}".projection_parts'
        self._promotions = f'"{schema}".projection_promotions'
        self._events = f'"{schema}".events'
        self._analyze = f'"{schema}".analyze_events()'

    def _sql(self, text: str) -> str:
        # The names in it come from settings and from this file, never from a caller.
        names = {
            "CATALOGUE": self._table, "EVENTS": self._events, "PARTS": self._parts, "PROMOTIONS": self._promotions,
        }  # fmt: skip
        return re.sub("|".join(names), lambda found: names[found[0]], text)

    def entries(self, connection: Connection, name: str | None = None) -> list[Entry]:
        """Return all entries (of one name), newest version first."""
        with connection.cursor(row_factory=class_row(Entry)) as cursor:
            return cursor.execute(
                self._sql(
                    f"SELECT {_COLUMNS} FROM CATALOGUE WHERE %(name)s::text IS NULL OR name = %(name)s"
                    " ORDER BY name, version DESC"
                ),
                {"name": name},
            ).fetchall()

    def entry(self, connection: Connection, name: str, version: int) -> Entry | None:
        """Return one entry."""
        return next((entry for entry in self.entries(connection, name) if entry.version == version), None)

    def answering(self, connection: Connection, name: str) -> Version | None:
        """Return the version that answers for `name`; asked before every question, so for no more than that takes."""
        row = connection.execute(
            self._sql(
                f"SELECT {_VERSION_COLUMNS} FROM CATALOGUE WHERE name = %s AND status IN ({_QUERYABLE})"
                " ORDER BY version DESC LIMIT 1"
            ),
            (name,),
        ).fetchone()
        return None if row is None else Version(*row)

    def serving(self, connection: Connection, name: str) -> Entry | None:
        """Return the same with all that is known of it."""
        return next((entry for entry in self.entries(connection, name) if entry.status in QUERYABLE), None)

    def lock(
        self, connection: Connection, name: str, version: int, *, wait: bool = True, part: Part | None = None
    ) -> Entry | None:
        """Lock and return an entry; None when it is gone or (not `wait`) somebody else holds it.

        part: lock the row of this part instead; the position is the part's.
        """
        with connection.cursor(row_factory=class_row(Entry)) as cursor:
            if part is not None:
                return cursor.execute(
                    self._sql(
                        f"SELECT {_PART_COLUMNS} FROM CATALOGUE AS entry JOIN PARTS AS part USING (name, version)"
                        " WHERE name = %s AND version = %s AND part.part = %s FOR UPDATE OF part"
                    ),
                    (name, version, part.number),
                ).fetchone()
            return cursor.execute(
                self._sql(
                    f"SELECT {_COLUMNS} FROM CATALOGUE WHERE name = %s AND version = %s"
                    f" FOR UPDATE{'' if wait else ' SKIP LOCKED'}"
                ),
                (name, version),
            ).fetchone()

    def texts(self, connection: Connection, name: str, version: int) -> dict[str, str]:
        """Return the SQL texts of a version, by file name."""
        row = connection.execute(
            self._sql("SELECT sql FROM CATALOGUE WHERE name = %s AND version = %s"), (name, version)
        ).fetchone()
        return {} if row is None else dict(row[0])

    def claim(self, connection: Connection, loaded: Loaded) -> None:
        """Make sure that a version has a row, and lock it; one that is new stands as retired until it is begun."""
        connection.execute(
            self._sql(
                "INSERT INTO CATALOGUE (name, version, digest, sql, rules, status) VALUES (%s, %s, %s, '{}', '{}',"
                " 'retired') ON CONFLICT (name, version) DO NOTHING"
            ),
            (loaded.name, loaded.version, loaded.definition.digest),
        )
        self.lock(connection, loaded.name, loaded.version)

    def begin(self, connection: Connection, loaded: Loaded) -> None:
        """Enter a version as building, at position 0."""
        connection.execute(
            self._sql("DELETE FROM PARTS WHERE name = %s AND version = %s"), (loaded.name, loaded.version)
        )
        connection.execute(
            self._sql(
                "UPDATE CATALOGUE SET digest = %s, sql = %s, rules = %s, status = 'building', position = 0,"
                " failed_position = NULL, failed_statement = NULL, error = NULL, created_at = clock_timestamp(),"
                " updated_at = clock_timestamp(), promoted_at = NULL, promoted_by = NULL, failed_checks = NULL"
                " WHERE name = %s AND version = %s"
            ),
            (
                loaded.definition.digest,
                Jsonb(dict(loaded.definition.texts)),
                Jsonb(loaded.definition.rules_json),
                loaded.name,
                loaded.version,
            ),
        )

    def set_texts(self, connection: Connection, loaded: Loaded) -> None:
        """Take over texts that changed without changing a figure: comments, checks, the question."""
        connection.execute(
            self._sql(
                "UPDATE CATALOGUE SET sql = %s, failed_checks = NULL, updated_at = now()"
                " WHERE name = %s AND version = %s"
            ),
            (Jsonb(dict(loaded.definition.texts)), loaded.name, loaded.version),
        )

    def move(self, connection: Connection, name: str, version: int, position: int, *, part: Part | None = None) -> None:
        """Move the checkpoint, or that of a part."""
        if part is not None:
            connection.execute(
                self._sql("UPDATE PARTS SET position = %s WHERE name = %s AND version = %s AND part = %s"),
                (position, name, version, part.number),
            )
            return
        connection.execute(
            self._sql("UPDATE CATALOGUE SET position = %s, updated_at = now() WHERE name = %s AND version = %s"),
            (position, name, version),
        )

    def parts(self, connection: Connection, name: str, version: int) -> list[tuple[Part, int]]:
        """Return the parts of a rebuild, by number, each with its position; none while it is not done in parts."""
        rows = connection.execute(
            self._sql(
                "SELECT part, first_stream, last_stream, position FROM PARTS WHERE name = %s AND version = %s"
                " ORDER BY part"
            ),
            (name, version),
        ).fetchall()
        return [(Part(number, first, last), position) for number, first, last, position in rows]

    def divide(self, connection: Connection, loaded: Loaded, of: int) -> list[tuple[Part, int]]:
        """Divide what is left of a rebuild into `of` parts, about equally heavy, unless it is divided already."""
        entry = self.lock(connection, loaded.name, loaded.version)
        found = self.parts(connection, loaded.name, loaded.version)
        if entry is None or entry.status != "building" or found:
            return found
        for part in even_parts(by_share(self._weights(connection, loaded, entry.position)), of):
            connection.execute(
                self._sql(
                    "INSERT INTO PARTS (name, version, part, position, first_stream, last_stream)"
                    " VALUES (%s, %s, %s, %s, %s, %s)"
                ),
                (loaded.name, loaded.version, part.number, entry.position, part.first_stream, part.last_stream),
            )
        return self.parts(connection, loaded.name, loaded.version)

    def _weights(self, connection: Connection, loaded: Loaded, after: int) -> list[tuple[UUID, int]]:
        """Return how many events of a sample each stream has, by its id."""
        left = max(self.head(connection) - after, 1)
        return connection.execute(
            self._sql(
                "SELECT stream_id, count(*) FROM EVENTS TABLESAMPLE SYSTEM (%(percent)s)"
                " WHERE type = ANY (%(types)s) AND position > %(after)s GROUP BY 1 ORDER BY 1"
            ),
            {
                "percent": min(100.0, 100.0 * SAMPLE / left),
                "types": list(loaded.definition.events),
                "after": after,
            },
        ).fetchall()

    def unite(self, connection: Connection, name: str, version: int) -> None:
        """Let the parts be one rebuild again, once all of them stand at the same position."""
        self.lock(connection, name, version)
        positions = {position for _, position in self.parts(connection, name, version)}
        if len(positions) == 1:
            self.move(connection, name, version, positions.pop())
            connection.execute(self._sql("DELETE FROM PARTS WHERE name = %s AND version = %s"), (name, version))

    def set_checks(self, connection: Connection, name: str, version: int, failed: list[dict[str, Any]]) -> None:
        """Keep what the checks of a version said; see `Entry.failed_checks`."""
        connection.execute(
            self._sql("UPDATE CATALOGUE SET failed_checks = %s WHERE name = %s AND version = %s"),
            (Jsonb(failed), name, version),
        )

    def serve(
        self,
        connection: Connection,
        entry: Entry,
        before: int | None,
        by: str,
        compare_id: UUID | None,
        despite: str | None,
    ) -> None:
        """Let a version serve, and keep for ever who let it: the caller holds its row and that of the one before.

        before: the version that served until now. compare_id: the comparison that this relies on. despite: why, though
        its checks fail.
        """
        self.set_status(connection, entry.name, entry.version, "serving", by)
        connection.execute(
            self._sql(
                "INSERT INTO PROMOTIONS (name, number, version, from_version, digest, position, promoted_at,"
                " promoted_by, compare_id, despite) SELECT entry.name, coalesce((SELECT max(number) FROM PROMOTIONS"
                " WHERE name = entry.name), 0) + 1, entry.version, %s, entry.digest, entry.position,"
                " entry.promoted_at, entry.promoted_by, %s, %s FROM CATALOGUE AS entry"
                " WHERE entry.name = %s AND entry.version = %s"
            ),
            (before, compare_id, despite, entry.name, entry.version),
        )

    def promotions(
        self, connection: Connection, name: str | None, after: Sequence[Any] | None, limit: int | None
    ) -> list[Promotion]:
        """Return what was let serve (of one projection), latest first, behind (promoted_at, name, number)."""
        with connection.cursor(row_factory=class_row(Promotion)) as cursor:
            return cursor.execute(
                self._sql(
                    f"SELECT {', '.join(Promotion.__dataclass_fields__)} FROM PROMOTIONS"
                    " WHERE (%(name)s::text IS NULL OR name = %(name)s) AND (%(at)s::text IS NULL"
                    " OR (promoted_at, name, number)"
                    " < (%(at)s::text::timestamptz, %(of)s::text, %(number)s::text::bigint))"
                    " ORDER BY promoted_at DESC, name DESC, number DESC LIMIT %(limit)s"
                ),
                {
                    "name": name,
                    "limit": limit,
                    **dict(
                        zip(("at", "of", "number"), map(str, after), strict=True)
                        if after
                        else (dict.fromkeys(("at", "of", "number")).items())
                    ),
                },
            ).fetchall()

    def promotions_count(self, connection: Connection, name: str | None) -> int:
        """Return how often a version was let serve (of one projection)."""
        [(count,)] = connection.execute(
            self._sql("SELECT count(*) FROM PROMOTIONS WHERE %(name)s::text IS NULL OR name = %(name)s"), {"name": name}
        ).fetchall()
        return int(count)

    def set_status(self, connection: Connection, name: str, version: int, status: str, by: str | None = None) -> None:
        """Set the status; `by` says who promoted it."""
        connection.execute(
            self._sql(
                "UPDATE CATALOGUE SET status = %(status)s, updated_at = now(),"
                " promoted_at = CASE WHEN %(by)s::text IS NULL THEN promoted_at ELSE clock_timestamp() END,"
                " promoted_by = coalesce(%(by)s, promoted_by) WHERE name = %(name)s AND version = %(version)s"
            ),
            {"status": status, "by": by, "name": name, "version": version},
        )

    def fail(
        self, connection: Connection, name: str, version: int, position: int, statement: str, message: str
    ) -> None:
        """Record where and why a version stopped, if nobody has taken it past there since."""
        connection.execute(
            self._sql(
                "UPDATE CATALOGUE SET failed_position = %s, failed_statement = %s, error = %s, updated_at = now()"
                " WHERE name = %s AND version = %s AND position < %s AND failed_position IS NULL"
            ),
            (position, statement, message, name, version, position),
        )

    def clear_failure(self, connection: Connection, name: str, version: int) -> None:
        """Let a version go on from where it stopped."""
        connection.execute(
            self._sql(
                "UPDATE CATALOGUE SET failed_position = NULL, failed_statement = NULL, error = NULL,"
                " updated_at = now() WHERE name = %s AND version = %s"
            ),
            (name, version),
        )

    def behind(self, connection: Connection) -> tuple[int, list[tuple[str, int, str, int]]]:
        """Return the head of the log and (name, version, digest, position) of each version that follows behind it."""
        rows = connection.execute(
            self._sql(
                "WITH head AS (SELECT coalesce(max(position), 0) AS position FROM EVENTS)"
                " SELECT head.position, entry.name, entry.version, entry.digest, entry.position FROM head LEFT JOIN"
                " CATALOGUE AS entry ON entry.status IN ('ready', 'serving') AND entry.failed_position IS NULL"
                " AND entry.position < head.position ORDER BY entry.status DESC, entry.name, entry.version"
            )
        ).fetchall()
        return rows[0][0], [(row[1], row[2], row[3], row[4]) for row in rows if row[1] is not None]

    def lock_free(self, connection: Connection, wanted: Sequence[tuple[str, int, int]]) -> list[tuple[str, int]]:
        """Lock those of these (name, version, position) that nobody holds and that still follow from there."""
        names, versions, positions = zip(*wanted, strict=True)
        return connection.execute(
            self._sql(
                "SELECT entry.name, entry.version FROM CATALOGUE AS entry"
                " JOIN unnest(%s::text[], %s::integer[], %s::bigint[]) AS wanted (name, version, position)"
                " USING (name, version, position)"
                " WHERE entry.status IN ('ready', 'serving') AND entry.failed_position IS NULL"
                " FOR UPDATE OF entry SKIP LOCKED"
            ),
            (list(names), list(versions), list(positions)),
        ).fetchall()

    def move_all(self, connection: Connection, entries: Sequence[tuple[str, int]], position: int) -> None:
        """Move the checkpoints of these (name, version) to one position."""
        connection.execute(
            self._sql(
                "UPDATE CATALOGUE AS entry SET position = %s, updated_at = now()"
                " FROM unnest(%s::text[], %s::integer[]) AS moved (name, version)"
                " WHERE entry.name = moved.name AND entry.version = moved.version"
            ),
            (position, [name for name, _ in entries], [version for _, version in entries]),
        )

    def checkpoints(self, connection: Connection) -> tuple[int, dict[tuple[str, int], tuple[int, bool]]]:
        """Return the last position of the log, and of each version by (name, version) where it stands and whether it
        goes on from there. All of one snapshot.
        """
        rows = connection.execute(
            self._sql(
                "SELECT (SELECT coalesce(max(position), 0) FROM EVENTS), name, version, position,"
                " failed_position IS NULL AND status <> 'frozen' FROM CATALOGUE WHERE status <> 'retired'"
            )
        ).fetchall()
        head = rows[0][0] if rows else self.head(connection)
        return head, {(name, version): (position, goes_on) for _, name, version, position, goes_on in rows}

    def know_log(self, connection: Connection) -> None:
        """Let the planner know what the log holds, if nobody has looked since half of it was written.

        After an import or a restore it knows nothing, and plans each statement as if next to nothing were there.
        """
        connection.execute(f"SELECT {self._analyze}")

    def head(self, connection: Connection) -> int:
        """Return the last position of the log."""
        row = connection.execute(self._sql("SELECT coalesce(max(position), 0) FROM EVENTS")).fetchone()
        assert row is not None
        return int(row[0])

    def position_at(self, connection: Connection, time: datetime) -> int:
        """Return the last position that was recorded at `time` (UTC) or before.

        Positions are dense and recorded times never run backwards, so twenty look-ups find it among a million events.
        """
        low, high = 0, self.head(connection)
        while low < high:
            middle = (low + high + 1) // 2
            row = connection.execute(
                self._sql("SELECT recorded_at <= %s FROM EVENTS WHERE position = %s"), (time, middle)
            ).fetchone()
            if row is not None and row[0]:
                low = middle
            else:
                high = middle - 1
        return low

    def event_types(self, connection: Connection, low: int, high: int) -> list[tuple[str, int]]:
        """Return the (type, schema_version) pairs that occur in the window (low, high]."""
        return connection.execute(
            self._sql("SELECT DISTINCT type, schema_version FROM EVENTS WHERE position > %s AND position <= %s"),
            (low, high),
        ).fetchall()

    def first_unknown(
        self, connection: Connection, low: int, high: int, types: list[str], versions: list[int]
    ) -> tuple[int, str, int] | None:
        """Return (position, type, schema_version) of the first event of `types` that is newer than we know."""
        # The newest version of a type is the end of an index. Only where it is news is the window looked through, which
        # costs as much as taking it in.
        newer = connection.execute(
            self._sql(
                "SELECT known.type, known.version FROM unnest(%s::text[], %s::int[]) AS known (type, version)"
                " WHERE (SELECT max(event.schema_version) FROM EVENTS AS event WHERE event.type = known.type)"
                " > known.version"
            ),
            (types, versions),
        ).fetchall()
        if not newer:
            return None
        return connection.execute(
            self._sql(
                "SELECT event.position, event.type, event.schema_version FROM unnest(%s::text[], %s::int[])"
                " AS known (type, version) JOIN EVENTS AS event ON event.type = known.type"
                " AND event.schema_version > known.version WHERE event.position > %s AND event.position <= %s"
                " ORDER BY event.position LIMIT 1"
            ),
            ([each[0] for each in newer], [each[1] for each in newer], low, high),
        ).fetchone()
