"""Makes typed relations of a window of events: `OrderPaid` is `order_paid(position, stream_id, ..., goods_minor, ...)`.

A relation is a common table expression in front of a statement, over the events of one type with
`:window_from < position <= :window_to`. Its columns are the envelope (position, stream_id, version, store_id,
occurred_at, recorded_at, time_zone, actor, origin) and the fields of the event class. A value inside an event is
flattened (`price_amount`); a list of values is a child relation (`order_placed_lines`, with `ordinal` from 1 and the
columns of its event) and stays a jsonb column of the event's own relation; a list of plain words is an array; anything
else is jsonb. This is the only place that knows how an event is stored.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from uuid import UUID

import msgspec

from opscore.domain.aggregate import Event
from opscore.log.upcasts import upcast_sql

ENVELOPE = {
    "position": "bigint", "stream_id": "uuid", "version": "integer", "store_id": "uuid", "occurred_at": "timestamptz",
    "recorded_at": "timestamptz", "time_zone": "text", "actor": "text", "origin": "text",
}  # fmt: skip
_LIBRARY_FIELDS = {"originator_id", "originator_version", "timestamp", "occurred_at"}
_SQL_TYPES: dict[type, str] = {
    str: "text", int: "bigint", bool: "boolean", Decimal: "numeric", UUID: "uuid", date: "date",
    datetime: "timestamptz",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Relation:
    """A typed relation of one event type: column name to SQL expression over `event` (and `item` of a child)."""

    name: str
    event_type: str
    versions: str
    """The schema versions that are read, as PostgreSQL writes the inside of an array: `1,2`."""
    upcast: str | None
    """SQL that brings `event.data` of an older version to the newest shape; None while there is one version only."""
    columns: Mapping[str, str] = field(repr=False)
    list_path: str | None = None

    def cte(self, schema: str, words: Iterable[str], *, empty: bool = False, part: bool = False) -> str:
        """Return `name AS (SELECT ...)` with the columns that occur among `words` (position always).

        empty: no event of the type is in the window. Planning is most of the cost of a statement over many types and a
        window of one event, and of an empty relation there is nothing to plan.
        part: only the streams of one part, see `IN_PART`.
        """
        wanted = {"position", *words}
        if empty:
            nulls = ", ".join(
                f"NULL::{_type_of(sql)} AS {name}" for name, sql in self.columns.items() if name in wanted
            )
            return f"{self.name} AS (SELECT {nulls} WHERE false)"
        columns = ", ".join(f"{sql} AS {name}" for name, sql in self.columns.items() if name in wanted)
        lateral = (
            f" CROSS JOIN LATERAL jsonb_array_elements({self.list_path}) WITH ORDINALITY AS item(data, ordinal)"
            if self.list_path
            else ""
        )
        where = (
            f"event.type = '{self.event_type}' AND event.schema_version = ANY ('{{{self.versions}}}')"
            " AND event.position > :window_from AND event.position <= :window_to"
        )
        if part:
            where += f" AND {IN_PART.format(stream_id='event.stream_id')}"
        events = f'"{schema}".events AS event'
        if self.upcast is None:
            return f"{self.name} AS (SELECT {columns} FROM {events}{lateral} WHERE {where})"
        envelope = ", ".join(f"event.{column}" for column in ENVELOPE)
        newest = f"(SELECT {envelope}, {self.upcast} AS data FROM {events} WHERE {where}) AS event"
        return f"{self.name} AS (SELECT {columns} FROM {newest}{lateral})"


def _type_of(sql: str) -> str:
    """Return the SQL type of a column's expression."""
    cast = re.search(r"::(\w+(?:\[\])?)$", sql)
    if cast:
        return cast[1]
    if sql == "item.ordinal":
        return "bigint"
    if sql.startswith("event.") and sql[6:] in ENVELOPE:
        return ENVELOPE[sql[6:]]
    return "text" if "->>" in sql else "jsonb"


IN_PART = "{stream_id} BETWEEN :first_stream AND :last_stream"
"""Whether a stream belongs to a part of a rebuild. The index by type answers it: no part fetches events of others."""

EVERY_EVENT = "every_event"
"""The relation of all events of the window of the types that a projection reads: envelope, `type`, `data`, and each
field of these events under its name, null where an event has none. For statements that treat several types alike: the
window is read once, and not once for each type.
"""


def every_event_cte(
    schema: str,
    relations: Iterable[Relation],
    words: Iterable[str],
    *,
    part: bool = False,
    shared: Iterable[str] = (),
) -> str:
    """Return the relation of every event of the types of `relations`, with what occurs among `words`.

    A field that has one name and two types of value in two events has no column, nor has one called `type` or `data`.
    part: only the streams of one part, see `IN_PART`, and the events whose types are `shared`.
    """
    relations = sorted(relations, key=lambda each: each.event_type)
    wanted = set(words)
    fields: dict[str, str | None] = {}
    for relation in relations:
        for name, sql in relation.columns.items():
            if name in wanted and name not in {*ENVELOPE, "type", "data"}:
                fields[name] = sql if fields.get(name, sql) == sql else None
    columns = [*(f"event.{column}" for column in ENVELOPE), "event.type"]
    if "data" in wanted:
        columns.append("event.data")
    columns += [f"{sql} AS {name}" for name, sql in fields.items() if sql is not None]
    listed = ", ".join(f"'{relation.event_type}'" for relation in relations)
    where = f"event.type IN ({listed}) AND event.position > :window_from AND event.position <= :window_to"
    if part:
        seen_by_all = "".join(f" OR event.type = '{each}'" for each in sorted(shared))
        where += f" AND ({IN_PART.format(stream_id='event.stream_id')}{seen_by_all})"
    events = f'"{schema}".events AS event'
    upcasts = "".join(f" WHEN '{each.event_type}' THEN {each.upcast}" for each in relations if each.upcast is not None)
    if not upcasts:
        return f"{EVERY_EVENT} AS (SELECT {', '.join(columns)} FROM {events} WHERE {where})"
    envelope = ", ".join(f"event.{column}" for column in (*ENVELOPE, "type"))
    newest = f"(SELECT {envelope}, CASE event.type{upcasts} ELSE event.data END AS data FROM {events} WHERE {where})"
    return f"{EVERY_EVENT} AS (SELECT {', '.join(columns)} FROM {newest} AS event)"


def snake(name: str) -> str:
    """Return `OrderPaid` as `order_paid`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def relations_of(event_class: type[Event]) -> list[Relation]:
    """Return the relation of an event class and one child relation for each list of values in it."""
    hints = typing.get_type_hints(event_class)
    fields = {
        name: hint
        for name, hint in hints.items()
        if name not in _LIBRARY_FIELDS and typing.get_origin(hint) is not typing.ClassVar
    }
    name = snake(event_class.__name__)
    columns: dict[str, str] = {column: f"event.{column}" for column in ENVELOPE}
    children: list[tuple[str, type[msgspec.Struct]]] = []
    for field_name, hint in fields.items():
        element = _list_of_values(hint)
        if element is not None:
            children.append((field_name, element))
            columns.setdefault(field_name, f"(event.data->'{field_name}')")
        else:
            # The log's store_id column already is the event's own store_id where it has one.
            columns = {**_columns("event.data", field_name, hint, field_name), **columns}
    versions = ",".join(map(str, range(1, event_class.VERSION + 1)))
    upcasts = getattr(event_class, "UPCASTS", ())
    # An absent field is null already: where old shapes only lack fields, they are read as they are.
    upcast = upcast_sql("event.data", "event.schema_version", upcasts) if any(upcasts) else None
    found = [Relation(name, event_class.__name__, versions, upcast, columns)]
    for field_name, element in children:
        own = {"ordinal": "item.ordinal"}
        for child_name, hint in typing.get_type_hints(element).items():
            if typing.get_origin(hint) is not typing.ClassVar:
                own.update(_columns("item.data", child_name, hint, child_name))
        found.append(
            Relation(
                f"{name}_{field_name}",
                event_class.__name__,
                versions,
                upcast,
                {**columns, **own, **{column: f"event.{column}" for column in ENVELOPE}},
                f"event.data->'{field_name}'",
            )
        )
    return found


def all_relations(event_classes: Mapping[str, type[Event]]) -> dict[str, Relation]:
    """Return every relation by name."""
    return {relation.name: relation for event_class in event_classes.values() for relation in relations_of(event_class)}


def _without_none(hint: typing.Any) -> typing.Any:
    """Return X for `X | None` and `Annotated[X, ...]`; a union of several stays as it is."""
    while True:
        origin = typing.get_origin(hint)
        if origin is typing.Annotated:
            hint = typing.get_args(hint)[0]
        elif origin in (types.UnionType, typing.Union):
            parts = [part for part in typing.get_args(hint) if part is not type(None)]
            if len(parts) != 1:
                return hint
            hint = parts[0]
        else:
            return hint


def _list_of_values(hint: typing.Any) -> type[msgspec.Struct] | None:
    hint = _without_none(hint)
    if typing.get_origin(hint) in (tuple, list):
        element = _without_none(typing.get_args(hint)[0])
        if isinstance(element, type) and issubclass(element, msgspec.Struct):
            return element
    return None


def _columns(source: str, key: str, hint: typing.Any, name: str) -> dict[str, str]:
    """Return the columns of one field: one, or several when it is a value."""
    hint = _without_none(hint)
    if isinstance(hint, type):
        if issubclass(hint, msgspec.Struct):
            flattened: dict[str, str] = {}
            for inner, inner_hint in typing.get_type_hints(hint).items():
                if typing.get_origin(inner_hint) is not typing.ClassVar:
                    flattened.update(_columns(f"{source}->'{key}'", inner, inner_hint, f"{name}_{inner}"))
            return flattened
        scalar = _scalar(hint)
        if scalar is not None:
            text = f"({source}->>'{key}')"
            return {name: text if scalar == "text" else f"{text}::{scalar}"}
    if typing.get_origin(hint) in (tuple, list):
        scalar = _scalar(_without_none(typing.get_args(hint)[0]))
        if scalar is not None:
            given = f"{source}->'{key}'"
            # Most lists are empty, and to find that out by a subquery takes as long as ten plain columns.
            listed = f"CASE WHEN jsonb_array_length({given}) > 0 THEN ARRAY(SELECT jsonb_array_elements_text({given}))"
            return {name: f"({listed} ELSE '{{}}' END)::{scalar}[]"}
    return {name: f"({source}->'{key}')"}


def _scalar(hint: typing.Any) -> str | None:
    if isinstance(hint, type):
        if issubclass(hint, Enum):
            return "text"
        return _SQL_TYPES.get(hint)
    return None
