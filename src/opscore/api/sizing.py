"""How many rows a field may bring, by its arguments, their defaults in the schema, and the variables of the request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from graphql import GraphQLField, GraphQLList, GraphQLNonNull
from graphql.language import (
    EnumValueNode,
    FieldNode,
    IntValueNode,
    ListValueNode,
    NullValueNode,
    ObjectValueNode,
    StringValueNode,
)

from opscore.permissions import BULK

PAGE_MAX = 100
"""Most rows of one page of a connection."""

LOOKED_AT_PER_POINT = 10
"""Of rows that are only looked at (`limit` of a check), so many cost what one that is shown does."""

IN_BULK = frozenset(f"{name}InBulk" for name in BULK)
"""Root fields that take a list of commands."""

DAYS_OF_A_ROW = {"kpiDaily": 1, "retentionCohorts": 30}
"""Of lists that have a row for each so many days of their window."""

DAYS_OF_A_GRAIN = {"DAY": 1, "WEEK": 7, "MONTH": 30, "QUARTER": 91, "YEAR": 365}
HOURS_OF_A_DAY = 24

_MANY = 10**6


@dataclass(frozen=True, slots=True)
class Size:
    """How many rows a field may bring.

    listed: the rows are what it returns, and objects of their own; else they are below it, as those of a connection.
    sure: there cannot be more of them. beside: points for what it is given or looks at beside its rows.
    """

    rows: int = 1
    listed: bool = False
    sure: bool = False
    beside: int = 0


ONE = Size()


def size_of(node: FieldNode, field: GraphQLField | None, known: Callable[[Any], Any]) -> Size:
    """Return the size of a field.

    field: as the schema has it; None for one that it has not. known: gives a value, that of a variable if it is one.
    """
    if not node.arguments and (field is None or not field.args):
        return ONE
    given = {argument.name.value: argument.value for argument in node.arguments or ()}
    if node.name.value in IN_BULK:
        return Size(max(1, _commands(known(given.get("input")), known)))
    defaults = {} if field is None else {name: each.default_value for name, each in field.args.items()}
    listed = field is not None and returns_list(field)
    beside, asked = _items(given, field, known)
    for name in ("first", "last"):
        rows = _page(name, given, defaults, known)
        if rows is not None:
            return Size(rows, listed, True, beside + (asked or 0))
    if asked is not None:
        return Size(max(1, asked), listed, True, beside)
    if "limit" in defaults:
        looked_at = _whole(known(given["limit"])) if "limit" in given else None
        beside += -(-(looked_at or _whole(defaults["limit"]) or 0) // LOOKED_AT_PER_POINT)
    rows = _periods(node.name.value, given, defaults, known)
    return Size(1, beside=beside) if rows is None else Size(rows, listed, False, beside)


def returns_list(field: GraphQLField) -> bool:
    """Say whether a field returns a list and not one thing."""
    kind = field.type.of_type if isinstance(field.type, GraphQLNonNull) else field.type
    return isinstance(kind, GraphQLList)


def _page(name: str, given: Mapping[str, Any], defaults: Mapping[str, Any], known: Callable[[Any], Any]) -> int | None:
    """Return how many rows `first` or `last` asks for; None where it is not there."""
    default = _whole(defaults.get(name))
    if name not in given:
        return default
    node = given[name]
    if isinstance(node, IntValueNode):
        # Whatever is out of range is refused by the field itself; here it must only not be free.
        return min(int(node.value[:10]), 10 * PAGE_MAX) if node.value[0] != "-" else PAGE_MAX
    if isinstance(node, NullValueNode):
        return None
    found = known(node)
    if found is None and default is not None:
        return default
    rows = _whole(found)
    return rows if rows is not None and 0 < rows <= PAGE_MAX else PAGE_MAX


def _items(given: Mapping[str, Any], field: GraphQLField | None, known: Callable[[Any], Any]) -> tuple[int, int | None]:
    """Return the items of lists that are conditions, and of one that says what is asked for (None: there is none).

    A list that has to be given names what the rows are of; one that may be left out narrows them.
    """
    beside, asked = 0, None
    for name, value in given.items():
        kind = field.args[name].type if field is not None and name in field.args else None
        needed = isinstance(kind, GraphQLNonNull)
        if isinstance(kind, GraphQLNonNull):
            kind = kind.of_type
        if not isinstance(kind, GraphQLList):
            continue
        items = _length(known(value))
        if needed:
            asked = (asked or 0) + items
        else:
            beside += items
    return beside, asked


def _commands(value: Any, known: Callable[[Any], Any]) -> int:
    """Return how many rows the input of a list of commands has."""
    rows: Any = None
    if isinstance(value, ObjectValueNode):
        rows = next((known(member.value) for member in value.fields if member.name.value == "rows"), None)
    elif isinstance(value, dict):
        rows = value.get("rows")
    return _length(rows)


def _periods(
    name: str, given: Mapping[str, Any], defaults: Mapping[str, Any], known: Callable[[Any], Any]
) -> int | None:
    """Return how many rows the window of days of a field has at most, for one store and currency; None without one."""
    if "fromDay" not in given or "toDay" not in given or not ("grain" in given or name in DAYS_OF_A_ROW):
        return None
    first, last = (_day(known(given[end])) for end in ("fromDay", "toDay"))
    if first is None or last is None or last < first:
        return 1  # The field itself says what is wrong.
    days = (last - first).days + 1
    if name in DAYS_OF_A_ROW:
        return -(-days // DAYS_OF_A_ROW[name])
    grain = known(given["grain"])
    grain = grain.value if isinstance(grain, EnumValueNode) else grain
    if grain == "HOUR":
        return days * HOURS_OF_A_DAY
    return days // DAYS_OF_A_GRAIN[grain] + 1 if grain in DAYS_OF_A_GRAIN else 1


def _length(value: Any) -> int:
    if isinstance(value, ListValueNode):
        return len(value.values)
    if isinstance(value, list):
        return len(value)
    # A value by itself stands for a list of it.
    return 0 if value is None or isinstance(value, NullValueNode) else 1


def _whole(value: Any) -> int | None:
    if isinstance(value, IntValueNode):
        value = int(value.value[:10])
    return min(value, _MANY) if type(value) is int and value >= 0 else None


def _day(value: Any) -> date | None:
    text = value.value if isinstance(value, StringValueNode) else value
    if not isinstance(text, str):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
