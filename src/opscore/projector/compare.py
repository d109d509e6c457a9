"""Says which rows of two versions differ, by how much, and which events are behind each difference."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from opscore.projector.catalogue import Connection
from opscore.projector.folder import Loaded

EVENTS_MAX = 200
"""How many events are named for one differing row; `explain` pages through all of them."""
ROWS_KEPT_MAX = 100_000
"""How many differing rows of one comparison are kept with both values; all are counted."""

Keep = Callable[[int, Mapping[str, Any]], None]
"""Takes a differing row {table, key, old, new} with its number."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two versions of a projection at one position.

    totals: by table {"differing_rows", "only_old", "only_new", "old", "new", "columns"}: counts of rows, and for each
    column whose sum differs {old, new, difference}.
    sample: rows {table, key, old, new, events}; `old` or `new` is None when only the other version has the row. An
    event is {position, old, new}: what it contributed under either version, where that differs.
    digest: of both versions' rules as they were.
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
) -> Comparison:
    """Compare every table that both versions have, in the reader's snapshot. See `Comparison` for what is returned.

    sample: for how many differing rows the events behind are looked up. keep: gets at most `ROWS_KEPT_MAX` differing
    rows as they are found, each with its number from 1.
    """
    totals: dict[str, Any] = {}
    rows: list[dict[str, Any]] = []
    number = 0
    for table in old.definition.tables:
        if table not in new.definition.tables:
            continue
        columns, key, numeric = _shape(reader, old, new, table)
        totals[table] = _totals(reader, old, new, table, columns, key, numeric)
        if totals[table]["differing_rows"] and number < ROWS_KEPT_MAX:
            found: list[dict[str, Any]] = []
            for row in _differing(reader, old, new, table, columns, key, ROWS_KEPT_MAX - number):
                number += 1
                keep(number, row)
                if len(rows) + len(found) < sample:
                    found.append(row)
            # Only now: while its rows come in, the reader can be asked nothing else.
            for row in found:
                row["events"] = events_behind(reader, old, new, table, row["key"], position)
            rows += found
    return Comparison(
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
        sample=rows,
    )


def _shape(reader: Connection, old: Loaded, new: Loaded, table: str) -> tuple[list[str], list[str], list[str]]:
    """Return (common columns, key columns, common numeric columns that are no part of the key)."""

    def columns_of(loaded: Loaded) -> dict[str, str]:
        return dict(
            reader.execute(
                "SELECT attname::text, format_type(atttypid, NULL) FROM pg_attribute"
                " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
                (loaded.table(table),),
            ).fetchall()
        )

    def key_of(loaded: Loaded) -> list[str]:
        # A table that only grows may have a unique index, built once its bulk is in, in place of a primary key.
        return [
            row[0]
            for row in reader.execute(
                "SELECT attribute.attname::text FROM pg_index AS index CROSS JOIN LATERAL"
                " unnest(index.indkey::int2[]) WITH ORDINALITY AS part(number, place)"
                " JOIN pg_attribute AS attribute ON attribute.attrelid = index.indrelid"
                " AND attribute.attnum = part.number"
                " WHERE index.indexrelid = (SELECT indexrelid FROM pg_index WHERE indrelid = %s::regclass"
                " AND indisunique AND indpred IS NULL AND indexprs IS NULL"
                " ORDER BY NOT indisprimary, indexrelid LIMIT 1) ORDER BY part.place",
                (loaded.table(table),),
            ).fetchall()
        ]

    in_old, in_new = columns_of(old), columns_of(new)
    key = key_of(old)
    if not key or key != key_of(new):
        # With another key nothing matches: every row differs, and only the totals can be compared.
        key = [column for column in (key or list(in_old)) if column in in_new]
    columns = [column for column in in_old if column in in_new]
    numeric = [
        column
        for column in columns
        if in_old[column] in {"bigint", "integer", "numeric"} and column not in key and in_new[column] == in_old[column]
    ]
    return columns, key, numeric


def _joined(old: Loaded, new: Loaded, table: str, columns: list[str], key: list[str]) -> str:
    """Return the FROM and WHERE of the differing rows."""
    equal_key = ", ".join(f'"{column}"' for column in key)
    values = [column for column in columns if column not in key]
    differs = " OR ".join(
        ["old.present IS NULL", "new.present IS NULL"]
        + [f'old."{column}" IS DISTINCT FROM new."{column}"' for column in values]
    )
    listed = ", ".join(f'"{column}"' for column in columns)
    return (
        f"(SELECT true AS present, {listed} FROM {old.table(table)}) AS old"
        f" FULL JOIN (SELECT true AS present, {listed} FROM {new.table(table)}) AS new USING ({equal_key})"
        f" WHERE {differs}"
    )


def _totals(
    reader: Connection, old: Loaded, new: Loaded, table: str, columns: list[str], key: list[str], numeric: list[str]
) -> dict[str, Any]:
    joined = _joined(old, new, table, columns, key)
    row = reader.execute(
        "SELECT count(*), count(*) FILTER (WHERE new.present IS NULL), count(*) FILTER (WHERE old.present IS NULL)"
        f" FROM {joined}"
    ).fetchone()
    assert row is not None
    sums: dict[str, Any] = {}
    for side, loaded in (("old", old), ("new", new)):
        listed = ", ".join(["count(*)", *(f'coalesce(sum("{column}"), 0)' for column in numeric)])
        found = reader.execute(f"SELECT {listed} FROM {loaded.table(table)}").fetchone()
        assert found is not None
        sums[side] = found
    return {
        "differing_rows": row[0],
        "only_old": row[1],
        "only_new": row[2],
        "old": sums["old"][0],
        "new": sums["new"][0],
        "columns": {
            column: {
                "old": str(sums["old"][place]),
                "new": str(sums["new"][place]),
                "difference": str(sums["new"][place] - sums["old"][place]),
            }
            for place, column in enumerate(numeric, start=1)
            if sums["old"][place] != sums["new"][place]
        },
    }


def _differing(
    reader: Connection, old: Loaded, new: Loaded, table: str, columns: list[str], key: list[str], limit: int
) -> Iterator[dict[str, Any]]:
    values = [column for column in columns if column not in key]
    listed = ", ".join(
        [f'"{column}" AS "key {column}"' for column in key]
        + [f'{side}."{column}" AS "{side} {column}"' for side in ("old", "new") for column in values]
    )
    order = ", ".join(f'"{column}"' for column in key)
    with reader.cursor(row_factory=dict_row) as cursor:
        for row in cursor.stream(
            f"SELECT old.present AS in_old, new.present AS in_new, {listed}"
            f" FROM {_joined(old, new, table, columns, key)} ORDER BY {order} LIMIT %s",
            (limit,),
        ):
            yield {
                "table": table,
                "key": {column: row[f"key {column}"] for column in key},
                "old": {column: row[f"old {column}"] for column in values} if row["in_old"] else None,
                "new": {column: row[f"new {column}"] for column in values} if row["in_new"] else None,
            }


def events_behind(
    reader: Connection, old: Loaded, new: Loaded, table: str, key: Mapping[str, Any], position: int
) -> list[dict[str, Any]]:
    """Return the events that contributed differently to a row under the two versions: {position, old, new}."""
    contributions: list[dict[int, dict[str, Any]]] = []
    for loaded in (old, new):
        ready = loaded.explains.get(table)
        if ready is None:
            return []
        values = {**dict.fromkeys(ready.parameters), **key, "window_from": 0, "window_to": position, "store_ids": None}
        with reader.cursor(row_factory=dict_row) as cursor:
            by_position: dict[int, dict[str, Any]] = {}
            for row in cursor.execute(ready.sql, values):
                contribution = {name: value for name, value in row.items() if name != "position"}
                by_position.setdefault(row["position"], contribution)
            contributions.append(by_position)
    before, after = contributions
    return [
        {"position": at, "old": before.get(at), "new": after.get(at)}
        for at in sorted(before.keys() | after.keys())
        if before.get(at) != after.get(at)
    ][:EVENTS_MAX]


def _json(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _plain(value: Any) -> Jsonb:
    return Jsonb(orjson.loads(orjson.dumps(value, default=_json)))


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
            sides = [None if row[side] is None else _plain(row[side]) for side in ("old", "new")]
            copy.write_row((comparison_id, number, row["table"], _plain(row["key"]), *sides))

        yield keep


def store(connection: Connection, schema: str, result: Comparison) -> None:
    """Keep a comparison whose rows were kept before, with the events behind the first of them."""
    connection.execute(
        f'INSERT INTO "{schema}".projection_compares (id, name, old_version, new_version, compared_at, compared_by,'
            " position, digest, differing_rows, totals, sample)"
            " VALUES (%s, %s, %s, %s, clock_timestamp(), %s, %s, %s, %s, %s, %s)",
        (
            result.id, result.name, result.old_version, result.new_version, result.compared_by, result.position,
            result.digest, result.differing_rows, _plain(result.totals), _plain(result.sample),
        ),
    )  # fmt: skip


def stored(connection: Connection, schema: str, name: str | None) -> list[Comparison]:
    """Return the comparisons that were kept (of one projection), latest first; samples hold values as JSON has them."""
    rows = connection.execute(
        "SELECT id, name, old_version, new_version, compared_at, compared_by, position, digest, differing_rows,"
        f' totals, sample FROM "{schema}".projection_compares WHERE %(name)s::text IS NULL OR name = %(name)s'
        " ORDER BY compared_at DESC, id",
        {"name": name},
    ).fetchall()
    return [Comparison(*row) for row in rows]


def stored_page(
    connection: Connection, schema: str, name: str | None, after: Sequence[Any] | None, limit: int
) -> list[Comparison]:
    """Return kept comparisons (of one projection), latest first, behind (compared_at, id), at most `limit`."""
    rows = connection.execute(
        "SELECT id, name, old_version, new_version, compared_at, compared_by, position, digest, differing_rows,"
        f' totals, sample FROM "{schema}".projection_compares'
        " WHERE (%(name)s::text IS NULL OR name = %(name)s)"
        " AND (%(at)s::text IS NULL OR (compared_at, id) < (%(at)s::text::timestamptz, %(id)s::text::uuid))"
        " ORDER BY compared_at DESC, id DESC LIMIT %(limit)s",
        {"name": name, "at": after and after[0], "id": after and after[1], "limit": limit},
    ).fetchall()
    return [Comparison(*row) for row in rows]


def stored_count(connection: Connection, schema: str, name: str | None) -> int:
    """Return how many comparisons are kept (of one projection)."""
    [(count,)] = connection.execute(
        f'SELECT count(*) FROM "{schema}".projection_compares WHERE %(name)s::text IS NULL OR name = %(name)s',
        {"name": name},
    ).fetchall()
    return int(count)


def stored_one(connection: Connection, schema: str, comparison_id: UUID) -> Comparison | None:
    """Return a comparison by its id."""
    row = connection.execute(
        "SELECT id, name, old_version, new_version, compared_at, compared_by, position, digest, differing_rows,"
        f' totals, sample FROM "{schema}".projection_compares WHERE id = %s',
        (comparison_id,),
    ).fetchone()
    return None if row is None else Comparison(*row)


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
