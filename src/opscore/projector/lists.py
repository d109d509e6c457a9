"""Puts conditions, an order and a page around a query of a projection: names from the code, values as parameters.

The query says which rows there are and who may see them. What is put around it can only choose among those rows, so
a condition never widens a store's scope. Nothing a caller says becomes SQL text: columns and operators are named by the
code that asks, and every value travels as a parameter.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol


class Operator(enum.Enum):
    """How a column is compared. `{column}` and `{value}` are put in; both are of the column's type."""

    IS_IN = "{column} = ANY ({value}[])"
    AT_LEAST = "{column} >= {value}"
    BEFORE = "{column} < {value}"
    AT_MOST = "{column} <= {value}"
    STARTS_WITH = "{column} ^@ {value}"
    # Not LIKE: no character of the text means anything but itself. Case is folded for the letters A to Z alone,
    # whatever the locale of the database.
    CONTAINS = 'strpos(lower({column} COLLATE "C"), lower({value} COLLATE "C")) > 0'
    IS_SET = "{column} IS NOT NULL"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a list's rows, of this type of PostgreSQL.

    link: another query of the projection; then the column is one of its rows, and a row of the list meets a condition
    when any row of that query does which names it in the column `key`.
    """

    name: str
    type: str
    nullable: bool = False
    link: str | None = None
    key: str = ""

    def __post_init__(self) -> None:
        if not all(each.isidentifier() for each in (self.name, self.type, self.link or "x", self.key or "x")):
            raise ValueError(f"{self} does not name a column")


@dataclass(frozen=True, slots=True)
class Compare:
    """A column compared with a value (a list of values for IS_IN, nothing for IS_SET)."""

    column: Column
    operator: Operator
    value: Any = None


@dataclass(frozen=True, slots=True)
class Every:
    """All of these conditions; none given is always met."""

    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Either:
    """At least one of these conditions; none given is never met."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Without:
    """Every row that does not meet this condition."""

    condition: Condition


Condition = Compare | Every | Either | Without

ALL = Every()


@dataclass(frozen=True, slots=True)
class Key:
    """A column to sort by. Rows without a value come last, in either direction."""

    column: Column
    descending: bool = False


class Shape(Protocol):
    """What is asked of a list's rows."""

    @property
    def links(self) -> frozenset[str]:
        """The other queries that it looks into."""

    @property
    def one_plan(self) -> bool:
        """Whether one plan is good whatever is asked for, so that it is worth keeping."""

    def around(self, rows: str, linked: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
        """Return (SQL, parameters) around the list's query and those of its links, as psycopg takes them."""


@dataclass(frozen=True, slots=True)
class Page:
    """At most `limit` rows that meet a condition, strictly between two rows, from the end of the list if `backwards`.

    keys: the order; the last of them is unique. limit: None for all. after, before: values of the keys of a row, or
    None. columns: what is wanted of the rows, everything if none is named. one_plan: whether rows are looked up by keys
    that the query is given, in the same way whichever these are. The rows come in the order in which they are met: last
    first when `backwards`.
    """

    condition: Condition
    keys: tuple[Key, ...]
    limit: int | None
    after: Sequence[Any] | None = None
    before: Sequence[Any] | None = None
    backwards: bool = False
    columns: tuple[str, ...] = ()
    one_plan: bool = False

    @property
    def links(self) -> frozenset[str]:
        """The other queries that it looks into."""
        return _links(self.condition)

    def around(self, rows: str, linked: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
        """Return (SQL, parameters)."""
        text = _Text(linked)
        where = text.condition(self.condition)
        for values, forwards in ((self.after, True), (self.before, False)):
            if values is not None:
                where += f" AND {text.beyond(self.keys, values, forwards)}"
        order = ", ".join(_order(key, self.backwards) for key in self.keys)
        chosen = ", ".join(f"found.{name}" for name in self.columns or "*")
        limit = "" if self.limit is None else f" LIMIT {text.parameter(self.limit, 'bigint')}"
        return f"SELECT {chosen} FROM ({rows}) AS found WHERE {where} ORDER BY {order}{limit}", text.parameters


@dataclass(frozen=True, slots=True)
class Total:
    """How many rows meet a condition (`rows`), and the sums of columns over them; one row for each value of `by`."""

    condition: Condition
    by: tuple[Column, ...] = ()
    sums: tuple[Column, ...] = ()
    one_plan: ClassVar[bool] = False

    @property
    def links(self) -> frozenset[str]:
        """The other queries that it looks into."""
        return _links(self.condition)

    def around(self, rows: str, linked: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
        """Return (SQL, parameters)."""
        text = _Text(linked)
        names = [f"found.{column.name}" for column in self.by]
        sums = [f"coalesce(sum(found.{column.name}), 0)::{column.type} AS {column.name}" for column in self.sums]
        grouped = f" GROUP BY {', '.join(names)} ORDER BY {', '.join(names)}" if names else ""
        chosen = ", ".join([*names, "count(*) AS rows", *sums])
        return (
            f"SELECT {chosen} FROM ({rows}) AS found WHERE {text.condition(self.condition)}{grouped}",
            text.parameters,
        )


@dataclass(frozen=True, slots=True)
class Facets:
    """How many rows meet a condition: in all, and of each value of several columns by itself.

    by: the columns. most: how many values of each are counted out, the most frequent first, of equal ones the first.
    spans: columns of which the least and the greatest value of all are wanted. banded, bounds: a column to be counted
    by the part into which its values fall, from 0 (below the first bound) on; the bounds ascend.
    A row has `facet` (the name of the column, `BAND`, or None for all rows), `value` (as text, None where there is
    none), `rows`, and `least_` and `greatest_` of each span.
    """

    condition: Condition
    by: tuple[Column, ...]
    most: int
    spans: tuple[Column, ...] = ()
    banded: Column | None = None
    bounds: tuple[Any, ...] = ()

    BAND: ClassVar[str] = "band"
    one_plan: ClassVar[bool] = False

    @property
    def links(self) -> frozenset[str]:
        """The other queries that it looks into."""
        return _links(self.condition)

    def around(self, rows: str, linked: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
        """Return (SQL, parameters)."""
        text = _Text(linked)
        names = [column.name for column in self.by]
        chosen = "found.*"
        if self.banded is not None:
            bounds = text.parameter(list(self.bounds), f"{self.banded.type}[]")
            chosen += f", width_bucket(found.{self.banded.name}, {bounds}) AS {self.BAND}"
            names.append(self.BAND)
        # Taken apart no further: what is counted by several columns is worked out once for each row.
        met = f"SELECT {chosen} FROM ({rows}) AS found WHERE {text.condition(self.condition)} OFFSET 0"

        def of_facet(made: str) -> str:
            cases = " ".join(f"WHEN grouping(met.{name}) = 0 THEN {made.format(name)}" for name in names)
            return f"CASE {cases} END" if names else "NULL::text"

        sets = ", ".join([*(f"(met.{name})" for name in names), "()"])
        spans = "".join(
            f", min(met.{column.name}) AS least_{column.name}, max(met.{column.name}) AS greatest_{column.name}"
            for column in self.spans
        )
        facet, value = of_facet("'{}'"), of_facet("met.{}::text")
        counted = (
            f"SELECT {facet} AS facet, {value} AS value, count(*) AS rows{spans} FROM ({met}) AS met"
            f" GROUP BY GROUPING SETS ({sets})"
        )
        order = 'counted.rows DESC, counted.value COLLATE "C"'
        ranked = (
            f"SELECT counted.*, row_number() OVER (PARTITION BY counted.facet ORDER BY {order}) AS place"
            f" FROM ({counted}) AS counted"
        )
        most = text.parameter(self.most, "bigint")
        return (
            f"SELECT ranked.* FROM ({ranked}) AS ranked WHERE ranked.place <= {most} OR ranked.facet = '{self.BAND}'"
            " ORDER BY ranked.facet, ranked.place",
            text.parameters,
        )


def compared(condition: Condition) -> Iterator[Column]:
    """Yield the columns that a condition compares."""
    match condition:
        case Compare():
            yield condition.column
        case Without():
            yield from compared(condition.condition)
        case Every() | Either():
            for each in condition.conditions:
                yield from compared(each)


def _links(condition: Condition) -> frozenset[str]:
    return frozenset(column.link for column in compared(condition) if column.link is not None)


def _order(key: Key, backwards: bool) -> str:
    down = key.descending != backwards
    # Said only where it matters: an index as it is written down has no such words.
    nulls = f" NULLS {'FIRST' if backwards else 'LAST'}" if key.column.nullable else ""
    return f"{_sorted(key.column)}{' DESC' if down else ''}{nulls}"


def _sorted(column: Column) -> str:
    return f'found.{column.name} COLLATE "C"' if column.type == "text" else f"found.{column.name}"


class _Text:
    """Writes conditions as SQL and collects their values."""

    def __init__(self, linked: Mapping[str, str]) -> None:
        self.parameters: dict[str, Any] = {}
        self._linked = linked

    def parameter(self, value: Any, type_: str) -> str:
        name = f"given_{len(self.parameters)}"
        self.parameters[name] = value
        return f"%({name})s::{type_}"

    def condition(self, condition: Condition) -> str:
        match condition:
            case Every(conditions):
                return " AND ".join(f"({self.condition(each)})" for each in conditions) or "true"
            case Either(conditions):
                return " OR ".join(f"({self.condition(each)})" for each in conditions) or "false"
            case Without(inner):
                # A comparison with nothing is neither true nor false; what is not met is left.
                return f"({self.condition(inner)}) IS NOT TRUE"
            case Compare(column):
                if column.link is None:
                    return self._comparison(f"found.{column.name}", condition)
                # Rows of the link carry no condition of their own but its scope, which is the list's.
                test = self._comparison(f"linked.{column.name}", condition)
                rows = self._linked[column.link]
                return f"found.{column.key} IN (SELECT linked.{column.key} FROM ({rows}) AS linked WHERE {test})"

    def _comparison(self, name: str, compare: Compare) -> str:
        operator = compare.operator
        value = "" if operator is Operator.IS_SET else self.parameter(compare.value, compare.column.type)
        return operator.value.format(column=name, value=value)

    def beyond(self, keys: Sequence[Key], values: Sequence[Any], forwards: bool) -> str:
        """Return the condition that a row lies behind (before, if not `forwards`) the row with these keys."""
        names = [_sorted(key.column) for key in keys]
        places = [self.parameter(value, key.column.type) for key, value in zip(keys, values, strict=True)]
        descending = {key.descending for key in keys}
        if len(descending) == 1 and not any(key.column.nullable for key in keys):
            # One comparison of whole rows, which an index over these columns answers.
            sign = "<" if descending.pop() == forwards else ">"
            return f"({', '.join(names)}) {sign} ({', '.join(places)})"
        same: list[str] = []
        steps = []
        for key, name, place, value in zip(keys, names, places, values, strict=True):
            sign = "<" if key.descending == forwards else ">"
            if value is None:
                step = "false" if forwards else f"{name} IS NOT NULL"
            elif key.column.nullable and forwards:
                step = f"({name} {sign} {place} OR {name} IS NULL)"
            else:
                step = f"{name} {sign} {place}"
            steps.append(" AND ".join([*same, step]))
            same.append(f"{name} IS NULL" if value is None else f"{name} = {place}")
        return "(" + " OR ".join(f"({step})" for step in steps) + ")"
