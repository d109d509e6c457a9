"""Output types made from the domain's value structs: what the domain says of a field is its description here."""

from __future__ import annotations

import enum
from collections.abc import Collection
from datetime import date, datetime
from decimal import Decimal
from types import GenericAlias
from typing import Annotated, Any
from uuid import UUID

import strawberry
from msgspec import inspect as msgspec_inspect
from strawberry.parent import StrawberryParent

from opscore.api.enums import expose
from opscore.api.ids import global_id
from opscore.api.inputs import aggregate_of
from opscore.api.naming import camel, describe_field, sentence, wire_words
from opscore.api.scalars import Json, MinorUnits

PARENT: Any = Annotated[Any, StrawberryParent()]
"""Marks the parameter of a resolver that takes the object whose field it is."""
NULLABLE_ID: Any = strawberry.ID | None

_MADE: dict[str, tuple[type, Any]] = {}


def output_type(cls: type, name: str | None = None, *, leave_out: Collection[str] = ()) -> Any:
    """Return the schema's object type of a value struct. It is resolved from instances of the struct as they are."""
    type_name = name or cls.__name__
    known = _MADE.get(type_name)
    if known is not None:
        if known[0] is not cls:
            raise TypeError(f"{cls} and {known[0]} both want the name {type_name}")
        return known[1]
    info = msgspec_inspect.type_info(cls)
    assert isinstance(info, msgspec_inspect.StructType)
    annotations: dict[str, Any] = {}
    members: dict[str, Any] = {}
    for each in info.fields:
        if each.name in leave_out:
            continue
        said, annotation, optional = _shape(each.type, each.name)
        annotations[each.name] = annotation | None if optional else annotation
        description = wire_words(said or describe_field(cls, each.name))
        kind = aggregate_of(each.name)
        if kind is not None and annotation == strawberry.ID:
            members[each.name] = strawberry.field(
                resolver=_id_resolver(each.name, kind, optional), name=camel(each.name), description=description
            )
            del annotations[each.name]
        else:
            members[each.name] = strawberry.field(name=camel(each.name), description=description)
    made = strawberry.type(
        type(type_name, (), {"__annotations__": annotations, "__module__": __name__, **members}),
        name=type_name,
        description=sentence(cls.__doc__),
    )
    _MADE[type_name] = (cls, made)
    return made


def _id_resolver(name: str, kind: str, optional: bool) -> Any:
    def resolve(root: Any) -> Any:
        key = getattr(root, name)
        return None if key is None else global_id(kind, key)

    resolve.__annotations__["root"] = PARENT
    resolve.__annotations__["return"] = NULLABLE_ID if optional else strawberry.ID
    return resolve


def _shape(info: msgspec_inspect.Type, name: str) -> tuple[str | None, Any, bool]:
    """Return (description, annotation, whether it may be null) of a field."""
    said = None
    while isinstance(info, msgspec_inspect.Metadata):
        said = said or (info.extra_json_schema or {}).get("description")
        info = info.type
    if isinstance(info, msgspec_inspect.UnionType):
        parts = [part for part in info.types if not isinstance(part, msgspec_inspect.NoneType)]
        if len(parts) != 1:
            raise TypeError(f"the API has no output for the union {name}")
        inner_said, annotation, _ = _shape(parts[0], name)
        return said or inner_said, annotation, len(parts) < len(info.types)
    return said, _plain(info, name), False


def _plain(info: msgspec_inspect.Type, name: str) -> Any:
    match info:
        case msgspec_inspect.StrType():
            return str
        case msgspec_inspect.BoolType():
            return bool
        case msgspec_inspect.IntType():
            return MinorUnits if name.endswith("_minor") else int
        case msgspec_inspect.DecimalType():
            return Decimal
        case msgspec_inspect.UUIDType():
            return UUID if aggregate_of(name) is None else strawberry.ID
        case msgspec_inspect.DateTimeType():
            return datetime
        case msgspec_inspect.DateType():
            return date
        case msgspec_inspect.EnumType():
            assert issubclass(info.cls, enum.Enum)
            return expose(info.cls)
        case msgspec_inspect.StructType():
            return output_type(info.cls)
        case msgspec_inspect.ListType() | msgspec_inspect.VarTupleType():
            _, item, _ = _shape(info.item_type, name.removesuffix("s") if aggregate_of(name) is None else "")
            return GenericAlias(list, (item,))
        case msgspec_inspect.DictType():
            return Json
    raise TypeError(f"the API has no output for {name}: {info}")
