"""Says which rows of two versions differ, by how much, and which events are behind each difference."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import class_row, dict_row
from psycopg.sql import Identifier
from psycopg.types.json import Jsonb

from opscore.projector import answering, counting, explaining
from opscore.projector.answering import Compared
from opscore.projector.asking import plain
from opscore.projector.catalogue import Connection
from opscore.projector.explaining import EventBehind
from opscore.projector.folder import Loaded

EVENTS_MAX = 200
"""How many events are named beside a differing row; the others are asked for page by page."""
EVENTS_OF_ROWS = 1_000
"""Of how many differing rows the events are kept, so that they are named after a version was dropped as well."""
EVENTS_KEPT_MAX = 100_000
"""How many events of one comparison are kept: those of a row all or not at all."""
ROWS_KEPT_MAX = 100_000
"""How many differing rows of one comparison are kept with both values; all are counted."""

Keep = Callable[[int, Mapping[str, Any]], None]
"""Takes a differing row {table, key, old, new} with its number."""
Parts = Callable[[int, int], None]
"""Is told how many parts of a comparison are done, and how many there are; what it raises ends the comparison."""


def silently(done: int, parts: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two versions of a projection at one position.

    totals: by table, or `query <name>` for the answers of a query, {"differing_rows", "only_old", "only_new", "old",
    "new", "columns"}: counts of rows, and for each column whose sum differs {old, new, difference}.
    sample: the first rows {table, key, old, new, events, event_count}; `old` or `new` is None when only the other
    version has the row. An event is {position, old, new}: what it contributed under either version, where that differs.
    events: the first of them, `event_count` all; both None for a row of an answer that nothing opens.
    digest: of both versions' rules as they were. remarks: what could not be compared, in words.
    rows_with_events: of the rows up to this number all events are kept.
    """

    id: UUID
    name: str
    old_version: int
    new_version: int
    compared_at: datetime | None
    compared_by: str
    position: int
    digest: str
    differing_rows: int
    totals: dict[str, Any]
    sample: list[dict[str, Any]]
    remarks: list[str]
    rows_with_events: int


_COLUMNS = ", ".join(Comparison.__dataclass_fields__)


def pair_digest(one: str, other: str) -> str:
    """Return the digest of two versions' digests in either order, so that going back needs no new compare."""
    return hashlib.sha256(" ".join(sorted((one, other))).encode()).hexdigest()


def compare(
    reader: Connection,
    old: Loaded,
    new: Loaded,
    *,
    comparison_id: UUID,
    position: int,
    digest: str,
    by: str,
    sample: int,
    keep: Keep,
    progress: Parts,
) -> tuple[Comparison, list[dict[str, Any]]]:
    """Compare in the reader's snapshot every table that both versions have, and the answers of their queries that the
    tables alone do not decide (see `answering.compared`).

    Returns the comparison, and its first rows, at least `EVENTS_OF_ROWS` if it has so many.

    sample: how many differing rows are in the comparison. keep: gets at most `ROWS_KEPT_MAX` differing rows as they are
    found, each with its number from 1. progress: told before each table and answer, and before the events of rows.
    """
    tables, remarks = _tables(reader, old, new)
    answers, more = answering.compared(reader, old, new, position)
    totals: dict[str, Any] = {}
    rows: list[dict[str, Any]] = []
    number = 0
    parts = [*tables, *answers]
    for done, compared in enumerate(parts):
        progress(done, len(parts) + 1)
        totals[compared.name] = _totals(reader, compared)
        if totals[compared.name]["differing_rows"] and number < ROWS_KEPT_MAX:
            for row in _differing(reader, compared, ROWS_KEPT_MAX - number):
                number += 1
                keep(number, row)
                if number <= max(sample, EVENTS_OF_ROWS):
                    rows.append(row)
    progress(len(parts), len(parts) + 1)
    made = Comparison(
        id=comparison_id,
        name=new.name,
        old_version=old.version,
        new_version=new.version,
        compared_at=None,
        compared_by=by,
        position=position,
        digest=digest,
        differing_rows=sum(entry["differing_rows"] for entry in totals.values()),
        totals=totals,
        sample=rows[:sample],
        remarks=[*remarks, *more],
        rows_with_events=0,
    )
    return made, rows


def _tables(reader: Connection, old: Loaded, new: Loaded) -> tuple[list[Compared], list[str]]:
    """Return the tables that both versions have, and what of them cannot be compared, in words."""
    remarks = [
        f"only version {one.version} has the table {table}"
        for one, other in ((old, new), (new, old))
        for table in one.definition.tables
        if table not in other.definition.tables
    ]
    found = []
    for table in old.definition.tables:
        if table not in new.definition.tables:
            continue
        in_old, in_new = (explaining.columns_of(reader, each.table(table)) for each in (old, new))
        key, other_key = (explaining.key_of(reader, each.table(table)) for each in (old, new))
        remarks += [
            f"only version {version} has the column {column} of {table}"
            for version, one, other in ((old.version, in_old, in_new), (new.version, in_new, in_old))
            for column in one
            if column not in other
        ]
        if key != other_key:
            # With another key nothing matches: every row differs, and only the totals can be compared.
            remarks.append(f"rows of {table} have another key in either version, so every row of it differs")
        if not key or key != other_key:
            key = [column for column in (key or list(in_old)) if column in in_new]
        found.append(answering.pair(table, (old.table(table), new.table(table)), (in_old, in_new), key))
    return found, remarks


def _joined(compared: Compared) -> str:
    """Return the FROM and WHERE of the differing rows."""
    equal_key = ", ".join(_quoted(column) for column in compared.key)
    differs = " OR ".join(
        ["old.present IS NULL", "new.present IS NULL"]
        + [f"old.{_quoted(column)} IS DISTINCT FROM new.{_quoted(column)}" for column in compared.values]
    )
    old, new = (f"(SELECT true AS present, side.* FROM ({side}) AS side)" for side in compared.sides)
    return f"{old} AS old FULL JOIN {new} AS new USING ({equal_key}) WHERE {differs}"


def _totals(reader: Connection, compared: Compared) -> dict[str, Any]:
    row = reader.execute(
        "SELECT count(*), count(*) FILTER (WHERE new.present IS NULL), count(*) FILTER (WHERE old.present IS NULL)"
        f" FROM {_joined(compared)}",
        compared.parameters,
    ).fetchone()
    assert row is not None
    listed = ", ".join(["count(*)", *(f"coalesce(sum({_quoted(column)}), 0)" for column in compared.numeric)])
    old, new = (
        reader.execute(f"SELECT {listed} FROM ({side}) AS side", compared.parameters).fetchone()
        for side in compared.sides
    )
    assert old is not None and new is not None
    return {
        "differing_rows": row[0],
        "only_old": row[1],
        "only_new": row[2],
        "old": old[0],
        "new": new[0],
        "columns": {
            column: {"old": str(old[place]), "new": str(new[place]), "difference": str(new[place] - old[place])}
            for place, column in enumerate(compared.numeric, start=1)
            if old[place] != new[place]
        },
    }


def _differing(reader: Connection, compared: Compared, limit: int) -> Iterator[dict[str, Any]]:
    key, values = compared.key, compared.values
    listed = ", ".join(
        [f"{_quoted(column)} AS {_quoted(f'key {column}')}" for column in key]
        + [f"{side}.{_quoted(column)} AS {_quoted(f'{side} {column}')}" for side in ("old", "new") for column in values]
    )
    order = ", ".join(_quoted(column) for column in key)
    with reader.cursor(row_factory=dict_row) as cursor:
        for row in cursor.stream(
            f"SELECT old.present AS in_old, new.present AS in_new, {listed}"
            f" FROM {_joined(compared)} ORDER BY {order} LIMIT %(rows at most)s",
            {**compared.parameters, "rows at most": limit},
        ):
            yield {
                "table": compared.name,
                "key": {column: row[f"key {column}"] for column in key},
                "old": {column: row[f"old {column}"] for column in values} if row["in_old"] else None,
                "new": {column: row[f"new {column}"] for column in values} if row["in_new"] else None,
            }


def _quoted(name: str) -> str:
    return Identifier(name).as_string(None).replace("%", "%%")


# Events --------------------------------------------------------------------------------------------------------------


def events_behind(
    reader: Connection,
    old: Loaded,
    new: Loaded,
    table: str,
    rows: Sequence[tuple[int, Mapping[str, Any]]],
    position: int,
    *,
    after: int = 0,
    limit: int | None = None,
) -> Iterator[EventBehind] | None:
    """Yield the events behind differing rows, (number, key) each, of one table or answer, by number and place.

    In one statement, however many rows; see `explaining.behind`. None for an answer that no cell opens.
    after, limit: a page of each row's events.
    """
    name = answering.query_of(table) or table
    cells = [explaining.cell(reader, loaded, name) for loaded in (old, new)]
    if cells[0] is None or cells[1] is None:
        return None
    given = answering.values(reader, old, name, position)
    if name in counting.WHOLE:
        given["measures"] = sorted({str(key["measure"]) for _, key in rows})
    whole = [(number, plain({**given, **key})) for number, key in rows]
    return explaining.behind(reader, (cells[0], cells[1]), whole, given, after=after, limit=limit)


def _jsonb(value: Any) -> Jsonb | None:
    return None if value is None else Jsonb(plain(value))


@contextmanager
def storing(connection: Connection, schema: str, comparison_id: UUID) -> Iterator[Keep]:
    """Give what takes the differing rows of a comparison into the database as they come; one transaction with it."""
    with (
        connection.cursor() as cursor,
        cursor.copy(
            f'COPY "{schema}".projection_compare_rows (compare_id, number, table_name, key, old, new) FROM STDIN'
        ) as copy,
    ):

        def keep(number: int, row: Mapping[str, Any]) -> None:
            sides = (_jsonb(row[side]) for side in ("old", "new"))
            copy.write_row((comparison_id, number, row["table"], _jsonb(row["key"]), *sides))

        yield keep


def keep_events(
    connection: Connection,
    reader: Connection,
    schema: str,
    made: Comparison,
    versions: tuple[Loaded, Loaded],
    rows: Sequence[Mapping[str, Any]],
) -> Comparison:
    """Look the events behind the first rows up and keep them; return the comparison with those of its sample.

    rows: the first rows, from number 1 on.
    """
    left, unfit = EVENTS_KEPT_MAX, len(rows) + 1
    sample = [{**row, "events": [], "event_count": 0} for row in made.sample]
    number = 0
    with (
        connection.cursor() as cursor,
        cursor.copy(
            f'COPY "{schema}".projection_compare_events (compare_id, number, place, position, old, new) FROM STDIN'
        ) as copy,
    ):
        for table, group in itertools.groupby(rows, lambda row: str(row["table"])):
            asked = [(at, row["key"]) for at, row in enumerate(group, number + 1)]
            number += len(asked)
            found = events_behind(reader, *versions, table, asked, made.position, limit=EVENTS_KEPT_MAX)
            if found is None:
                for at, _ in asked:
                    if at <= len(sample):
                        sample[at - 1] |= {"events": None, "event_count": None}
                continue
            for event in found:
                if event.number <= len(sample) and event.place <= EVENTS_MAX:
                    shown = sample[event.number - 1]
                    shown["events"].append({"position": event.position, "old": event.old, "new": event.new})
                    shown["event_count"] = event.of
                if event.place == 1:
                    left -= event.of
                    unfit = min(unfit, event.number) if left < 0 else unfit
                if event.number < unfit:
                    sides = (_jsonb(event.old), _jsonb(event.new))
                    copy.write_row((made.id, event.number, event.place, event.position, *sides))
    return replace(made, sample=sample, rows_with_events=unfit - 1)


def store(connection: Connection, schema: str, result: Comparison) -> None:
    """Keep a comparison whose rows and events were kept before."""
    connection.execute(
        f'INSERT INTO "{schema}".projection_compares ({_COLUMNS})'
            " VALUES (%s, %s, %s, %s, clock_timestamp(), %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            result.id, result.name, result.old_version, result.new_version, result.compared_by, result.position,
            result.digest, result.differing_rows, _jsonb(result.totals), _jsonb(result.sample), Jsonb(result.remarks),
            result.rows_with_events,
        ),
    )  # fmt: skip


def _stored(connection: Connection, schema: str, rest: str, values: Mapping[str, Any]) -> list[Comparison]:
    """Return the kept comparisons that `rest`, text of ours behind FROM, chooses; values are as JSON has them."""
    with connection.cursor(row_factory=class_row(Comparison)) as cursor:
        return cursor.execute(f'SELECT {_COLUMNS} FROM "{schema}".projection_compares {rest}', values).fetchall()


def stored(connection: Connection, schema: str, name: str | None) -> list[Comparison]:
    """Return the comparisons that were kept (of one projection), latest first."""
    rest = "WHERE %(name)s::text IS NULL OR name = %(name)s ORDER BY compared_at DESC, id"
    return _stored(connection, schema, rest, {"name": name})


def stored_page(
    connection: Connection, schema: str, name: str | None, after: Sequence[Any] | None, limit: int
) -> list[Comparison]:
    """Return kept comparisons (of one projection), latest first, behind (compared_at, id), at most `limit`."""
    rest = (
        "WHERE (%(name)s::text IS NULL OR name = %(name)s)"
        " AND (%(at)s::text IS NULL OR (compared_at, id) < (%(at)s::text::timestamptz, %(id)s::text::uuid))"
        " ORDER BY compared_at DESC, id DESC LIMIT %(limit)s"
    )
    values = {"name": name, "at": after and after[0], "id": after and after[1], "limit": limit}
    return _stored(connection, schema, rest, values)


def stored_count(connection: Connection, schema: str, name: str | None) -> int:
    """Return how many comparisons are kept (of one projection)."""
    [(count,)] = connection.execute(
        f'SELECT count(*) FROM "{schema}".projection_compares WHERE %(name)s::text IS NULL OR name = %(name)s',
        {"name": name},
    ).fetchall()
    return int(count)


def stored_one(connection: Connection, schema: str, comparison_id: UUID) -> Comparison | None:
    """Return a comparison by its id."""
    found = _stored(connection, schema, "WHERE id = %(id)s", {"id": comparison_id})
    return found[0] if found else None


def stored_of_digest(
    connection: Connection, schema: str, name: str, digest: str, not_by: str | None = None
) -> UUID | None:
    """Return the latest comparison of a projection whose two versions had this digest (see `pair_digest`).

    not_by: pass over those that this one asked for.
    """
    row = connection.execute(
        f'SELECT id FROM "{schema}".projection_compares WHERE name = %s AND digest = %s'
        " AND compared_by IS DISTINCT FROM %s ORDER BY compared_at DESC, id LIMIT 1",
        (name, digest, not_by),
    ).fetchone()
    return None if row is None else row[0]


@dataclass(frozen=True, slots=True)
class DifferingRow:
    """A kept row of a comparison; `old` or `new` is None when only the other version has it. Values are JSON's."""

    number: int
    table: str
    key: dict[str, Any]
    old: dict[str, Any] | None
    new: dict[str, Any] | None


def stored_rows(connection: Connection, schema: str, comparison_id: UUID, after: int, limit: int) -> list[DifferingRow]:
    """Return kept rows behind a number, in order."""
    rows = connection.execute(
        f'SELECT number, table_name, key, old, new FROM "{schema}".projection_compare_rows'
        " WHERE compare_id = %s AND number > %s ORDER BY number LIMIT %s",
        (comparison_id, after, limit),
    ).fetchall()
    return [DifferingRow(*row) for row in rows]


def stored_rows_count(connection: Connection, schema: str, comparison_id: UUID) -> int:
    """Return how many rows of a comparison are kept."""
    [(count,)] = connection.execute(
        f'SELECT count(*) FROM "{schema}".projection_compare_rows WHERE compare_id = %s', (comparison_id,)
    ).fetchall()
    return int(count)


def stored_events(
    connection: Connection, schema: str, comparison_id: UUID, numbers: Sequence[int], after: int, limit: int | None
) -> list[EventBehind]:
    """Return kept events of rows with these numbers: of each those behind a place, at most `limit`, in order."""
    rows = connection.execute(
        "SELECT number, place, of_all, position, old, new FROM ("
        " SELECT number, place, count(*) OVER (PARTITION BY number) AS of_all, position, old, new"
        f' FROM "{schema}".projection_compare_events WHERE compare_id = %(id)s AND number = ANY (%(numbers)s)'
        ") AS kept WHERE place > %(after)s"
        " AND (%(limit)s::bigint IS NULL OR place <= %(after)s + %(limit)s::bigint) ORDER BY number, place",
        {"id": comparison_id, "numbers": list(numbers), "after": after, "limit": limit},
    ).fetchall()
    return [EventBehind(*row) for row in rows]
