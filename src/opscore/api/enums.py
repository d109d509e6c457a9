"""GraphQL enums of the domain's enums: the same names, with a description for each value."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

from strawberry.types.enum import EnumValue, StrawberryEnumDefinition

from opscore.api.naming import describe_member, sentence, words


def expose(cls: type[enum.Enum], name: str | None = None) -> Any:
    """Make an enum of the domain known to the schema and return it; asked again, it is the same type."""
    if "__strawberry_definition__" not in vars(cls):
        definition = StrawberryEnumDefinition(
            wrapped_cls=cls,
            name=name or cls.__name__,
            values=[EnumValue(member.name, member.value, description=describe_member(cls, member)) for member in cls],
            description=sentence(cls.__doc__) or words(cls.__name__),
        )
        type.__setattr__(cls, "__strawberry_definition__", definition)
    return cls


def make(name: str, description: str, values: Mapping[str, str]) -> Any:
    """Return a new enum of names with their descriptions."""
    members: Any = enum.Enum(name, {value: value for value in values})  # type: ignore[misc]
    definition = StrawberryEnumDefinition(
        wrapped_cls=members,
        name=name,
        values=[EnumValue(value, value, description=text) for value, text in values.items()],
        description=description,
    )
    type.__setattr__(members, "__strawberry_definition__", definition)
    return members
