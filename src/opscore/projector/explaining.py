"""Opens figures: which statement names the events behind a row of a table or of an answer, and what each contributed.

A cell is a statement of explain.sql, named as the table or query whose row it opens. A table that has none there is
opened all the same: by the events whose positions its row keeps (`position`, `shipped_position` and their like), or,
where it keeps none, by those of the streams that its key names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.sql import Identifier, Literal
from psycopg.types.json import Jsonb

from opscore.projector import asking, counting
from opscore.projector.catalogue import Connection
from opscore.projector.folder import Definition, Loaded, Ready
from opscore.projector.sqltext import Statement

OWN_PARAMETERS = asking.OWN_PARAMETERS | {"row_limit"}
"""Parameters that do not name a row."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A statement that opens a row: psycopg SQL and its parameters.

    key: what names the row, each with the type it is cast to (None: it casts by itself). columns: of the answer, with
    their types. at_once: its rows carry the key themselves under `key <name>`, so that one run answers for many rows.
    """

    sql: str
    parameters: frozenset[str]
    key: Mapping[str, str | None]
    columns: Mapping[str, str]
    at_once: bool = False


def columns_of(connection: Connection, table: str) -> dict[str, str]:
    """Return the columns of a table (qualified) with their types, in order."""
    return dict(
        connection.execute(
            "SELECT attname::text, format_type(atttypid, NULL) FROM pg_attribute"
            " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            (table,),
        ).fetchall()
    )


def key_of(connection: Connection, table: str) -> list[str]:
    """Return the columns of a table's primary key, or of its first unique index; none if it has neither."""
    # A table that only grows may have a unique index, built once its bulk is in, in place of a primary key.
    return [
        row[0]
        for row in connection.execute(
            "SELECT attribute.attname::text FROM pg_index AS index CROSS JOIN LATERAL"
            " unnest(index.indkey::int2[]) WITH ORDINALITY AS part(number, place)"
            " JOIN pg_attribute AS attribute ON attribute.attrelid = index.indrelid"
            " AND attribute.attnum = part.number"
            " WHERE index.indexrelid = (SELECT indexrelid FROM pg_index WHERE indrelid = %s::regclass"
            " AND indisunique AND indpred IS NULL AND indexprs IS NULL"
            " ORDER BY NOT indisprimary, indexrelid LIMIT 1) ORDER BY part.place",
            (table,),
        ).fetchall()
    ]


def names(definition: Definition) -> list[str]:
    """Return the names of all cells: those of explain.sql, and the tables beside them."""
    said = [statement.name for statement in definition.statements("explain.sql")]
    return list(dict.fromkeys([*said, *definition.tables]))


def cell(connection: Connection, loaded: Loaded, name: str) -> Cell | None:
    """Return the cell that opens a row of a table, or of the answer of a query; None where there is none."""
    if name not in loaded.cells:
        loaded.cells[name] = _found(connection, loaded, name)
    found = loaded.cells[name]
    assert found is None or isinstance(found, Cell)
    return found


_NEVER_NULL = frozenset({"measure", "day"})
"""Keys of facts that can be equal: by them the cells asked for are hashed, or each would be held against each fact."""


def _found(connection: Connection, loaded: Loaded, name: str) -> Cell | None:
    definition = loaded.definition
    if name in loaded.explains:
        types = columns_of(connection, loaded.table(name)) if name in definition.tables else {}
        given = {
            each.name: types.get(each.name) or each.type for each in asking.parameters(loaded.explains[name].statement)
        }
        key = {each: type_ for each, type_ in given.items() if each not in OWN_PARAMETERS}
        return _described(connection, loaded.explains[name], key)
    if name in definition.tables:
        return _of_table(connection, loaded, name)
    if name in counting.WHOLE and name in loaded.queries:
        # Whoever looks for a cell of facts works them all out; they are looked through once for all rows.
        key = {"measure": "text", "store_id": "uuid", "day": "date", "currency": "text"}
        return _described(connection, loaded.countings[counting.BEHIND], key, at_once=True)
    if name in loaded.queries:
        wanted = definition.keys.get(name, [])
        for other in loaded.explains:
            opened = cell(connection, loaded, other)
            if opened is not None and set(opened.key) == set(wanted):
                return opened
        for table in definition.tables:
            if table not in loaded.explains and set(key_of(connection, loaded.table(table))) == set(wanted):
                return cell(connection, loaded, table)
    return None


def _of_table(connection: Connection, loaded: Loaded, table: str) -> Cell:
    columns = columns_of(connection, loaded.table(table))
    key = key_of(connection, loaded.table(table))
    equal = "=" if key else "IS NOT DISTINCT FROM"
    key = key or list(columns)
    here = " AND ".join(f"named_row.{_quoted(each)} {equal} :{each}::{columns[each]}" for each in key)
    positions = [
        each
        for each, type_ in columns.items()
        if type_ == "bigint" and (each == "position" or each.endswith("_position"))
    ]
    if positions:
        listed = ", ".join(f"named_row.{_quoted(each)}" for each in positions)
        which = (
            f"named_event.position = ANY (ARRAY(SELECT unnest(ARRAY[{listed}]) FROM {table} AS named_row WHERE {here}))"
        )
    else:
        streams = ", ".join(f":{each}::uuid" for each in key if columns[each] == "uuid")
        which = f"named_event.stream_id = ANY (ARRAY[{streams}]::uuid[])"
    statement = Statement(
        table,
        f"the events that a row of {table} names",
        "SELECT named_event.position, named_event.type AS event, named_event.occurred_at"
        f" FROM every_event AS named_event WHERE {which}"
        " AND (:store_ids::uuid[] IS NULL OR named_event.store_id = ANY (:store_ids::uuid[]))",
    )
    return _described(connection, Ready(statement, loaded), {each: columns[each] for each in key})


def _described(connection: Connection, ready: Ready, key: Mapping[str, str | None], *, at_once: bool = False) -> Cell:
    columns = asking.described(connection, ready)
    return Cell(ready.sql, ready.parameters | key.keys(), key, columns, at_once)


# One row, page by page -----------------------------------------------------------------------------------------------


def page(found: Cell) -> str:
    """Return the SQL of a page of one row's events, behind (%(after position)s, %(after place)s).

    Several events' contributions may stand at one position; `page_place` tells them apart, from 1 at each position.
    """
    return (
        "SELECT placed.* FROM (SELECT found.*, row_number() OVER (PARTITION BY found.position ORDER BY found::text)"
        f" AS page_place FROM ({found.sql}) AS found) AS placed"
        " WHERE (placed.position, placed.page_place) > (%(after position)s::bigint, %(after place)s::bigint)"
        " ORDER BY placed.position, placed.page_place LIMIT %(page rows)s"
    )


# Many rows of two versions, at once ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EventBehind:
    """An event behind a difference: what it contributed under either version; None: nothing.

    number: of the row; place: among the row's events, from 1; of: how many the row has.
    """

    number: int
    place: int
    of: int
    position: int
    old: dict[str, Any] | None
    new: dict[str, Any] | None


def behind(
    connection: Connection,
    cells: tuple[Cell, Cell],
    rows: Sequence[tuple[int, Mapping[str, Any]]],
    values: Mapping[str, Any],
    *,
    after: int = 0,
    limit: int | None = None,
) -> Iterator[EventBehind]:
    """Yield the events behind some rows, (number, key) each, in one statement, by number and place.

    Those that contributed differently under the two versions; where every single one contributed the same, all of them.
    values: of parameters that do not name the row. after, limit: a page of each row's events.
    """
    columns = _common(*cells)
    sides = ", ".join(
        f"{side} AS MATERIALIZED ({_said(each, columns)})" for side, each in zip(("old", "new"), cells, strict=True)
    )
    numbered = "row_number() OVER (PARTITION BY number, position ORDER BY said) AS turn"
    sql = (
        "WITH asked AS (SELECT number, key FROM unnest(%(rows asked)s::bigint[], %(keys asked)s::jsonb[])"
        f" AS given (number, key)), {sides},"
        f" gone AS (SELECT number, position, said, {numbered} FROM (TABLE old EXCEPT ALL TABLE new) AS one),"
        f" came AS (SELECT number, position, said, {numbered} FROM (TABLE new EXCEPT ALL TABLE old) AS one),"
        " event AS ("
        " SELECT number, position, turn, gone.said AS was, came.said AS is_now"
        " FROM gone FULL JOIN came USING (number, position, turn)"
        f" UNION ALL SELECT number, position, {numbered}, said, said FROM old"
        " WHERE number NOT IN (SELECT number FROM gone UNION ALL SELECT number FROM came)),"
        " placed AS (SELECT number, row_number() OVER row_events AS place,"
        " count(*) OVER (PARTITION BY number) AS of_all, position, was, is_now"
        " FROM event WINDOW row_events AS (PARTITION BY number ORDER BY position, turn))"
        " SELECT number, place, of_all, position, was, is_now FROM placed"
        " WHERE place > %(events after)s AND (%(events limit)s::bigint IS NULL OR place <= %(events after)s"
        " + %(events limit)s::bigint) ORDER BY number, place"
    )
    bound: dict[str, Any] = {
        **dict.fromkeys(cells[0].parameters | cells[1].parameters),
        **values,
        "rows asked": [number for number, _ in rows],
        "keys asked": [Jsonb(dict(key)) for _, key in rows],
        "events after": after,
        "events limit": limit,
    }
    with connection.cursor() as cursor:
        for row in cursor.stream(sql, bound):
            yield EventBehind(*row)


def _common(old: Cell, new: Cell) -> dict[str, str]:
    """Return what both cells say of an event, by name, as JSON has it without loss: decimals as text."""
    found = {}
    for name, type_ in old.columns.items():
        if name in new.columns and name != "position" and not name.startswith("key "):
            column = f"found.{_quoted(name)}"
            kinds = {type_, new.columns[name]}
            exact = (
                f"trim_scale({column}::numeric)::text"
                if kinds <= {"numeric", "bigint", "integer"}
                else f"{column}::text"
            )
            found[name] = column if len(kinds) == 1 and type_ != "numeric" else exact
    return found


def _said(found: Cell, columns: Mapping[str, str]) -> str:
    """Return the SQL of the events of all rows asked for: number, position, and the contribution as JSON."""
    listed = ", ".join(f"{Literal(name).as_string(None)}, {column}" for name, column in columns.items())
    said = listed.replace("%", "%%")
    if found.at_once:
        same = " AND ".join(
            f'found."key {name}" {"=" if name in _NEVER_NULL else "IS NOT DISTINCT FROM"}'
            f" (asked.key->>'{name}')::{type_}"
            for name, type_ in found.key.items()
        )
        return (
            f"SELECT asked.number, found.position, jsonb_build_object({said}) AS said"
            f" FROM asked JOIN ({found.sql}) AS found ON {same}"
        )
    sql = found.sql
    for name, type_ in found.key.items():
        value = f"(asked.key->>'{name}')"
        sql = sql.replace(f"%({name})s", f"{value}::{type_}" if type_ else value)
    return (
        f"SELECT asked.number, found.position, jsonb_build_object({said}) AS said"
        f" FROM asked CROSS JOIN LATERAL ({sql}) AS found"
    )


def _quoted(name: str) -> str:
    return Identifier(name).as_string(None)
