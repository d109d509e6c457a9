"""Any query of a version asked in one general way: columns with types, filters, and pages along its key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
from psycopg.rows import tuple_row
from psycopg.sql import Identifier

from opscore.projector import sqltext
from opscore.projector.catalogue import Connection, Version
from opscore.projector.folder import Loaded, Ready
from opscore.projector.sqltext import Statement

STATEMENT_SECONDS_MAX = 5.0
"""How long one page may take that somebody asked for over the API."""
OPERATORS = {"EQ": "=", "NE": "<>", "LT": "<", "LE": "<=", "GT": ">", "GE": ">="}
OWN_PARAMETERS = frozenset({"store_ids", "window_from", "window_to"})
"""Parameters that are filled in by us: which stores the asker may see, and how far the version is."""


class CannotAsk(ValueError):
    """The question does not fit the query; the message says what does."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of an answer; type: as PostgreSQL writes it; description: of [columns] in projection.toml, or None."""

    name: str
    type: str
    description: str | None


@dataclass(frozen=True, slots=True)
class Parameter:
    """A value that a query takes; type: the one it is cast to in the query, or None."""

    name: str
    type: str | None


@dataclass(frozen=True, slots=True)
class Filter:
    """A condition on a column of the answer; operator: one of `OPERATORS`; value: as text."""

    column: str
    operator: str
    value: str


@dataclass(frozen=True, slots=True)
class Question:
    """What may be asked of a version: columns of the answer, parameters, and the key along which pages go.

    operator_wide: it looks at all stores, so only those who may see all may ask it.
    """

    name: str
    description: str
    parameters: list[Parameter]
    columns: list[Column]
    key: list[str]
    operator_wide: bool


@dataclass(frozen=True, slots=True)
class Rows:
    """A page: rows in the order of their key (in the query's own order without one), each as its columns say.

    keys: the key of each row, to go on from. version, position: what answered, and how far it was.
    """

    question: Question
    rows: list[tuple[Any, ...]]
    keys: list[list[Any]]
    version: int
    position: int


def question(connection: Connection, loaded: Loaded, ready: Ready) -> Question:
    """Describe a query of a version: PostgreSQL says the types of its columns, nothing is read."""
    meanings = loaded.definition.columns
    columns = [Column(name, type_, meanings.get(name)) for name, type_ in described(connection, ready).items()]
    key = loaded.definition.keys.get(ready.name, [])
    if strangers := sorted(set(key) - {column.name for column in columns}):
        raise CannotAsk(f"{loaded.name}: the key of {ready.name} names {strangers[0]}, which is no column of it")
    return Question(
        ready.name,
        ready.description,
        parameters(ready.statement),
        columns,
        key,
        ready.name in loaded.definition.operator_wide,
    )


def described(connection: Connection, ready: Ready) -> dict[str, str]:
    """Return the columns of a statement's answer with their types as PostgreSQL writes them; nothing is read."""
    shown = connection.execute(
        f"SELECT found.* FROM ({ready.sql}) AS found LIMIT 0", dict.fromkeys(ready.parameters), prepare=False
    ).description
    codes = [column.type_code for column in shown or ()]
    types = dict(
        connection.execute("SELECT oid, format_type(oid, NULL) FROM pg_type WHERE oid = ANY (%s)", (codes,)).fetchall()
    )
    return {column.name: types[column.type_code] for column in shown or ()}


def parameters(statement: Statement) -> list[Parameter]:
    """Return what a statement takes beside `OWN_PARAMETERS`, in order of appearance."""
    found: dict[str, str | None] = {}
    pieces = [token for token in sqltext.tokens(statement.sql) if token.kind not in ("space", "comment")]
    for place, token in enumerate(pieces):
        name = token.text[1:]
        if token.kind == "parameter" and name not in OWN_PARAMETERS:
            is_cast = len(pieces) > place + 2 and pieces[place + 1].kind == "cast"
            array = "[]" if is_cast and [piece.text for piece in pieces[place + 3 : place + 5]] == ["[", "]"] else ""
            kind = pieces[place + 2].text + array if is_cast else None
            found[name] = found.get(name) or kind
    return [Parameter(name, kind) for name, kind in found.items()]


def ask(
    connection: Connection,
    loaded: Loaded,
    entry: Version,
    ready: Ready,
    values: Mapping[str, Any],
    *,
    store_ids: Sequence[UUID] | None,
    filters: Sequence[Filter] = (),
    after: Sequence[Any] | None = None,
    limit: int | None = None,
) -> Rows:
    """Return a page of a query; the caller's transaction, which should be read-only and bounded in time.

    values: for the query's parameters, as text or as Python has them; one that is not given is NULL.
    store_ids: the stores that the asker may see, None for all. after: the key of the row to go on behind.
    Raises CannotAsk; psycopg.DataError for a value that is none of its type.
    """
    asked = question(connection, loaded, ready)
    known = {parameter.name for parameter in asked.parameters}
    if strangers := sorted(set(values) - known):
        raise CannotAsk(f"{loaded.name} {ready.name} takes {', '.join(sorted(known)) or 'nothing'}, not {strangers[0]}")
    if asked.operator_wide and store_ids is not None:
        raise CannotAsk(f"{loaded.name} {ready.name} looks at all stores; your token is bound to some")
    bound: dict[str, Any] = {**dict.fromkeys(ready.parameters), **values}
    bound |= {
        "store_ids": None if store_ids is None else list(store_ids), "window_from": 0, "window_to": entry.position,
    }  # fmt: skip
    types = {column.name: column.type for column in asked.columns}
    conditions = []
    for number, each in enumerate(filters):
        if each.column not in types:
            raise CannotAsk(f"{ready.name} has the columns {', '.join(types)}, not {each.column}")
        bound[f"filter {number}"] = each.value
        conditions.append(
            f"found.{_quoted(each.column)} {OPERATORS[each.operator]} %(filter {number})s::text::{types[each.column]}"
        )
    order = ""
    if asked.key:
        listed = ", ".join(f"found.{_quoted(column)}" for column in asked.key)
        order = f" ORDER BY {listed}"
        if after is not None:
            for number, value in enumerate(after):
                bound[f"after {number}"] = str(value)
            last = ", ".join(f"%(after {number})s::text::{types[column]}" for number, column in enumerate(asked.key))
            conditions.append(f"({listed}) > ({last})")
    elif after is not None:
        raise CannotAsk(f"{ready.name} has no key to page along; name one under [keys] in its projection.toml")
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    rows_max = "" if limit is None else " LIMIT %(page rows)s"
    bound["page rows"] = limit
    places = [[column.name for column in asked.columns].index(name) for name in asked.key]
    with connection.cursor(row_factory=tuple_row) as cursor:
        rows = cursor.execute(
            f"SELECT found.* FROM ({ready.sql}) AS found{where}{order}{rows_max}", bound, prepare=False
        ).fetchall()
    return Rows(asked, rows, [[row[place] for place in places] for row in rows], entry.version, entry.position)


def bounded(connection: Connection, seconds: float) -> None:
    """Let the transaction that was begun only read, and no statement of it take longer."""
    connection.execute("SET TRANSACTION READ ONLY")
    connection.execute(f"SET LOCAL statement_timeout = {round(seconds * 1000)}")


def plain_rows(page: Rows) -> Iterator[dict[str, Any]]:
    """Yield the rows of a page as dicts."""
    names = [column.name for column in page.question.columns]
    for row in page.rows:
        yield dict(zip(names, row, strict=True))


def _json(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    raise TypeError(f"{type(value).__name__} has no JSON form")


def plain(value: Any) -> Any:
    """Return a value as JSON has it, exact: decimals as text."""
    return orjson.loads(orjson.dumps(value, default=_json))


def _quoted(name: str) -> str:
    return Identifier(name).as_string(None).replace("%", "%%")
