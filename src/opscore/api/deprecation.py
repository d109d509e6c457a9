"""What of the schema is to go: since when, what takes its place, and which documents still use it.

A part of the API is deprecated before it is removed, with a reason that begins `Since 2026-10-01: ` and says what
takes its place. Whoever sends a document that uses it is told in two headers: `Deprecation` (RFC 9745), the moment
since which the oldest part that it uses is deprecated, and `x-deprecated`, the parts. /metrics counts them, so that a
part is removed when nobody uses it any more. Over a websocket, which has no headers, they are only counted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    TypeInfo,
    TypeInfoVisitor,
    get_named_type,
    visit,
)
from graphql.language import ArgumentNode, DocumentNode, EnumValueNode, FieldNode, ObjectFieldNode, Visitor

SINCE = re.compile(r"Since (\d{4}-\d{2}-\d{2}): \S")
"""How a reason has to begin."""


class UndatedDeprecation(ValueError):
    """A reason of a deprecation says not since when, or not what to use instead."""


def deprecated_parts(schema: GraphQLSchema) -> dict[str, int]:
    """Return the deprecated parts by their coordinates, each with the beginning (Unix time) of the day it is so since.

    Coordinates are those of the specification: `Order.note`, `Query.order(ref:)`, `OrderFilter.ref`, `OrderKind.OLD`.
    Raises UndatedDeprecation for a reason that is not of our form.
    """
    reasons: dict[str, str | None] = {}
    for name, kind in schema.type_map.items():
        if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType) and not name.startswith("__"):
            for field_name, field in kind.fields.items():
                reasons[f"{name}.{field_name}"] = field.deprecation_reason
                for argument_name, argument in field.args.items():
                    reasons[f"{name}.{field_name}({argument_name}:)"] = argument.deprecation_reason
        elif isinstance(kind, GraphQLInputObjectType):
            reasons |= {f"{name}.{each}": field.deprecation_reason for each, field in kind.fields.items()}
        elif isinstance(kind, GraphQLEnumType):
            reasons |= {f"{name}.{each}": value.deprecation_reason for each, value in kind.values.items()}
    return {part: _since(part, reason) for part, reason in reasons.items() if reason is not None}


def _since(part: str, reason: str) -> int:
    found = SINCE.match(reason)
    if found is None:
        raise UndatedDeprecation(
            f"{part}: begin the reason with 'Since <year>-<month>-<day>: ' and what to use instead"
        )
    return int(datetime.fromisoformat(found[1]).replace(tzinfo=UTC).timestamp())


def used(schema: GraphQLSchema, parts: Mapping[str, int], document: DocumentNode) -> tuple[str, ...]:
    """Return which of these parts a valid document uses, in order. What stands in variables is not looked at."""
    if not parts:
        return ()
    types = TypeInfo(schema)
    uses = _Uses(types)
    visit(document, TypeInfoVisitor(types, uses))
    return tuple(sorted(uses.found & parts.keys()))


def headers(parts: Mapping[str, int], found: tuple[str, ...]) -> tuple[tuple[bytes, bytes], ...]:
    """Return the headers that tell the sender of a document what of it is deprecated; none when nothing is."""
    if not found:
        return ()
    since = min(parts[each] for each in found)
    return ((b"deprecation", f"@{since}".encode()), (b"x-deprecated", ", ".join(found).encode()))


class _Uses(Visitor):
    """Collects the coordinates of everything that a document names."""

    def __init__(self, types: TypeInfo) -> None:
        super().__init__()
        self._types = types
        self._field = ""
        self.found: set[str] = set()

    def enter_field(self, node: FieldNode, *_: Any) -> None:
        self._field = f"{self._types.get_parent_type()}.{node.name.value}"
        self.found.add(self._field)

    def enter_argument(self, node: ArgumentNode, *_: Any) -> None:
        if self._types.get_directive() is None:
            self.found.add(f"{self._field}({node.name.value}:)")

    def enter_object_field(self, node: ObjectFieldNode, *_: Any) -> None:
        self.found.add(f"{get_named_type(self._types.get_parent_input_type())}.{node.name.value}")

    def enter_enum_value(self, node: EnumValueNode, *_: Any) -> None:
        self.found.add(f"{get_named_type(self._types.get_input_type())}.{node.value}")
