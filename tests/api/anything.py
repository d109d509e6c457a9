"""Documents and inputs made from the schema itself: something of every type, everything of an object."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from graphql import (
    GraphQLEnumType,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    build_schema,
    get_named_type,
    is_leaf_type,
    is_required_argument,
    is_required_input_field,
)

from opscore.api.inputs import SUCCESSORS, aggregate_of
from opscore.api.schema import export_schema
from tests.api.conftest import gid

SCHEMA = build_schema(export_schema())

_SCALARS: dict[str, Any] = {
    "String": "x", "Boolean": True, "Int": 1, "Decimal": "1", "MinorUnits": 1, "Date": "2026-01-01", "JSON": {},
    "DateTime": "2026-01-01T00:00:00Z", "Position": 1,
}  # fmt: skip
_NAMED = {"currency": "GBP"}
NEW = {each.name: each.kind for each in SUCCESSORS.values()}
"""Members of inputs that take the place of deprecated ones -> the aggregate whose global ids they take."""


def snake(name: str) -> str:
    """Return a name of the wire as Python spells it."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def is_needed(field: GraphQLInputField) -> bool:
    """Say whether a member of an input has to be given: by its type, or beside a deprecated one by its description."""
    return is_required_input_field(field) or (field.description or "").endswith(" It has to be given.")


def value_of(name: str, kind: Any) -> Any:
    """Return a value that a required argument or field of this name and type takes, with ids of nothing."""
    if isinstance(kind, GraphQLNonNull):
        return value_of(name, kind.of_type)
    if isinstance(kind, GraphQLList):
        return [value_of(name, kind.of_type)]
    if isinstance(kind, GraphQLEnumType):
        return next(iter(kind.values))
    if isinstance(kind, GraphQLInputObjectType):
        if kind.is_one_of:
            first, field = next(iter(kind.fields.items()))
            return {first: value_of(first, field.type)}
        return {key: value_of(key, field.type) for key, field in kind.fields.items() if is_needed(field)}
    if kind.name == "ID":
        return gid(NEW.get(name) or aggregate_of(snake(name)) or "Order", uuid4())
    if kind.name == "UUID":
        return str(uuid4())
    return _NAMED.get(name, _SCALARS[kind.name])


def question(operation: str, name: str) -> tuple[str, dict[str, Any]]:
    """Return (document, variables) that select a root field of `query` or `subscription` with what it needs."""
    root = SCHEMA.query_type if operation == "query" else SCHEMA.subscription_type
    assert root is not None
    field = root.fields[name]
    needed = {key: each.type for key, each in field.args.items() if is_required_argument(each)}
    if "first" in field.args:
        needed["first"] = field.args["first"].type
    declared = ", ".join(f"${key}: {kind}" for key, kind in needed.items())
    given = ", ".join(f"{key}: ${key}" for key in needed)
    below = "" if is_leaf_type(get_named_type(field.type)) else " { __typename }"
    head = f"{operation} ({declared})" if needed else operation
    return (
        f"{head} {{ {name}{f'({given})' if needed else ''}{below} }}",
        {key: value_of(key, kind) for key, kind in needed.items()},
    )


def everything_of(type_name: str, depth: int = 6, above: tuple[str, ...] = ()) -> str:
    """Return a selection of every field of an object that needs no argument; of another aggregate, only its id.

    Left out is `allowedCommands`, which is about who asks, not about the object.
    """
    kind = SCHEMA.type_map[type_name]
    assert isinstance(kind, GraphQLObjectType)
    chosen = []
    for name, field in kind.fields.items():
        if name == "allowedCommands" or any(is_required_argument(each) for each in field.args.values()):
            continue
        below = get_named_type(field.type)
        name += "(first: 1)" if "first" in field.args else ""
        if is_leaf_type(below):
            chosen.append(name)
        elif {each.name for each in getattr(below, "interfaces", ())} & {"Node"}:
            chosen.append(f"{name} {{ id }}")
        elif depth and below.name not in above:
            chosen.append(f"{name} {{ {everything_of(below.name, depth - 1, (*above, type_name))} }}")
    return " ".join(chosen)


def differences(one: Any, other: Any, place: str = "") -> set[str]:
    """Return the names of the fields in which two answers to one selection differ, list indexes left out."""
    if isinstance(one, dict) and isinstance(other, dict):
        places = {key: f"{place}.{key}" if place else key for key in one}
        there = {found for key in one if key in other for found in differences(one[key], other[key], places[key])}
        return there | {places[key] for key in one if key not in other}
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return {found for a, b in zip(one, other, strict=True) for found in differences(a, b, place)}
    return set() if one == other else {place}
