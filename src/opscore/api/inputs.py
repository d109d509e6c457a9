"""Input types made from the commands: one declaration says what may be sent, what it means and what is checked.

A command's fields are read with msgspec's own inspection, so that the schema cannot say other than what is decoded.
"""

from __future__ import annotations

import dataclasses
import enum
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from types import GenericAlias
from typing import Any, TypeVar
from uuid import UUID

import msgspec
import strawberry
from graphql import GraphQLError
from msgspec import inspect as msgspec_inspect
from strawberry.types.unset import UNSET

from opscore.api.enums import expose
from opscore.api.errors import BadId
from opscore.api.faults import explained
from opscore.api.ids import AGGREGATE_NAMES, key_of
from opscore.api.naming import camel, describe_field, sentence, wire_words
from opscore.api.scalars import (
    Json,
    MinorUnits,
    parse_date,
    parse_date_time,
    parse_decimal,
    parse_minor_units,
    parse_uuid,
)
from opscore.domain.command import Command

INT_MAX = 2**31 - 1

Convert = Callable[[Any], Any]
StructT = TypeVar("StructT", bound=msgspec.Struct)


class Unusual(Exception):
    """A value that is not plainly right: GraphQL's own coercion has to look at it, and to say what is wrong."""


class InputFault(Exception):
    """A value of the input that cannot be used; `path` leads to it in the spelling of the wire."""

    def __init__(self, message: str, path: list[str | int]) -> None:
        super().__init__(message)
        self.message = message
        self.path = path


@dataclasses.dataclass(frozen=True, slots=True)
class Shape:
    """How a field is declared in the schema and how its value becomes what msgspec converts (None: as it is)."""

    annotation: Any
    convert: Convert | None
    plain: Convert
    """From JSON straight to what msgspec converts; raises Unusual."""
    optional: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Successor:
    """The member of an input that takes the place of another, which is deprecated and said to be so for this reason.

    kind: the aggregate whose global ids it takes.
    """

    name: str
    kind: str
    reason: str


SUCCESSORS = {
    "referrer_id": Successor("referrer", "Customer", "Since 2026-11-30: give `referrer`, which takes a global id."),
    "other_id": Successor("other", "Customer", "Since 2026-11-30: give `other`, which takes a global id."),
}
"""Fields of commands -> the members that they are given by now; until they are gone, the old ones take UUIDs."""


@dataclasses.dataclass(slots=True)
class InputType:
    """An input type of the schema and the way from its values to the keyword names of Python."""

    type_: Any
    fields: dict[str, tuple[str, Convert | None, bool]]
    """Name on the wire -> (name in Python, conversion, whether null is a value)."""
    nullable: tuple[str, ...]
    """Fields without a default that may be null: absent means null."""
    plain: dict[str, tuple[str, Convert, bool]] = dataclasses.field(default_factory=dict)
    """Name on the wire -> (name in Python, conversion from JSON, whether null is a value)."""
    required: frozenset[str] = frozenset()
    """Names on the wire that have to be there."""
    succeeded: dict[str, str] = dataclasses.field(default_factory=dict)
    """Deprecated names on the wire -> those that take their place; only one of the two is given."""

    def from_json(self, value: Any) -> dict[str, Any]:
        """Return a JSON object that is plainly right with the names of Python; raises Unusual for any other."""
        if type(value) is not dict or not self.required <= value.keys() <= self.plain.keys():
            raise Unusual
        found: dict[str, Any] = dict.fromkeys(self.nullable)
        # As they are declared, in which order the ordinary way finds the first of several faults.
        for name, (python_name, convert, optional) in self.plain.items():
            if name in value:
                item = value[name]
                if item is not None:
                    found[python_name] = convert(item)
                elif optional:
                    found[python_name] = None
                else:
                    raise Unusual
        return found

    def to_python(self, value: Mapping[str, Any]) -> dict[str, Any]:
        """Return the value with the names of Python; raises InputFault."""
        found: dict[str, Any] = dict.fromkeys(self.nullable)
        for old, new in self.succeeded.items():
            given = [name for name in (new, old) if value.get(name) is not None]
            if len(given) > 1:
                raise InputFault(f"give {new} alone; {old} is deprecated", [new])
            if not given and new in self.required:
                raise InputFault(f"{new} is missing", [new])
        for name, item in value.items():
            known = self.fields.get(name)
            if known is None:
                continue
            python_name, convert, optional = known
            if item is None:
                if optional:
                    found.setdefault(python_name, None)
            elif convert is None:
                found[python_name] = item
            else:
                try:
                    found[python_name] = convert(item)
                except InputFault as fault:
                    fault.path.insert(0, name)
                    raise
        return found


def aggregate_of(field_name: str) -> str | None:
    """Return the aggregate that an id field names: `store_id`, `sku_ids`, `other_customer_id`; None for other ids."""
    found = re.fullmatch(r"(?:\w+_)?(store|sku|order|campaign|customer)_ids?", field_name)
    return None if found is None else found.group(1).capitalize()


def kind_of(field_name: str) -> str | None:
    """Return the aggregate whose global ids the member of an input takes that gives a field of a command."""
    successor = SUCCESSORS.get(field_name)
    return aggregate_of(field_name) if successor is None else successor.kind


def _id_converter(type_name: str) -> Convert:
    assert type_name in AGGREGATE_NAMES

    def convert(value: str) -> UUID:
        try:
            return key_of(value, type_name)
        except BadId as error:
            raise InputFault(error.message, []) from None

    return convert


def _list_converter(convert: Convert) -> Convert:
    def convert_all(values: list[Any]) -> list[Any]:
        found = []
        for index, value in enumerate(values):
            try:
                found.append(None if value is None else convert(value))
            except InputFault as fault:
                fault.path.insert(0, index)
                raise
        return found

    return convert_all


def _exactly(kind: type) -> Convert:
    def plain(value: Any) -> Any:
        if type(value) is not kind:
            raise Unusual
        return value

    return plain


def _small_integer(value: Any) -> int:
    if type(value) is not int or not -INT_MAX - 1 <= value <= INT_MAX:
        raise Unusual
    return value


def _scalar(parse: Convert) -> Convert:
    def plain(value: Any) -> Any:
        try:
            return parse(value)
        except GraphQLError:
            raise Unusual from None

    return plain


def _plain_id(type_name: str) -> Convert:
    def plain(value: Any) -> UUID:
        if type(value) is not str:
            raise Unusual
        try:
            return key_of(value, type_name)
        except BadId:
            raise Unusual from None

    return plain


def _plain_member(cls: type[enum.Enum]) -> Convert:
    members = dict(cls.__members__)

    def plain(value: Any) -> enum.Enum:
        if type(value) is not str or value not in members:
            raise Unusual
        return members[value]

    return plain


def _plain_list(item: Convert) -> Convert:
    def plain(value: Any) -> list[Any]:
        if type(value) is not list or None in value:
            raise Unusual
        return [item(each) for each in value]

    return plain


def _anything(value: Any) -> Any:
    return value


class InputTypes:
    """Makes the input types of commands, each class once."""

    def __init__(self) -> None:
        self._made: dict[str, tuple[type, InputType]] = {}

    def command(self, command: type[Command]) -> InputType:
        """Return the input type of a command: its own fields and those that every command takes."""
        made = self._struct(
            command, f"{command.__name__}Input", f"Input of `{command.command_name()}`.", _common_fields(command)
        )
        made.type_.__strawberry_definition__.from_input = lambda _type, value, _context: value
        return made

    def struct(self, cls: type) -> InputType:
        """Return the input type of a struct that is no command."""
        made = self._struct(cls, _input_name(cls), sentence(cls.__doc__), {})
        made.type_.__strawberry_definition__.from_input = lambda _type, value, _context: value
        return made

    def _struct(self, cls: type, name: str, description: str, extra: Mapping[str, tuple[Any, Any]]) -> InputType:
        known = self._made.get(name)
        if known is not None:
            if known[0] is not cls:
                raise TypeError(f"{cls.__module__}.{cls.__name__} and {known[0].__module__} both want the name {name}")
            return known[1]
        info = msgspec_inspect.type_info(cls)
        assert isinstance(info, msgspec_inspect.StructType)
        annotations: dict[str, Any] = {}
        members: dict[str, Any] = {}
        made = InputType(None, {}, ())
        nullable = []
        for each in info.fields:
            said, shape = self._shape(each.type, each.name)
            wire = camel(each.name)
            description_of_field = wire_words(said or describe_field(cls, each.name))
            default = _default(each)
            required = each.required and not shape.optional
            if each.required and shape.optional:
                nullable.append(each.name)
            annotation = shape.annotation
            if not required and default is UNSET:
                annotation = annotation | None
            successor = SUCCESSORS.get(each.name)
            if successor is not None:
                new, kind = successor.name, successor.kind
                annotations[new] = strawberry.ID | None
                # What has to be given cannot be required as long as the old one serves as well.
                needed = " It has to be given." if required else ""
                members[new] = strawberry.field(name=new, description=f"{description_of_field}{needed}", default=UNSET)
                made.fields[new] = (each.name, _id_converter(kind), shape.optional)
                made.plain[new] = (each.name, _plain_id(kind), shape.optional)
                made.succeeded[wire] = new
                annotation = shape.annotation | None
            annotations[each.name] = annotation
            members[each.name] = strawberry.field(
                name=wire,
                description=description_of_field,
                deprecation_reason=None if successor is None else successor.reason,
                **({} if required and successor is None else {"default": default}),
            )
            made.fields[wire] = (each.name, shape.convert, shape.optional)
            if successor is None:
                # Who still gives the old one takes the ordinary way.
                made.plain[wire] = (each.name, shape.plain, shape.optional)
            if required:
                made.required |= {wire if successor is None else successor.name}
        for wire, (annotation, member) in extra.items():
            annotations[wire] = annotation
            members[wire] = member
        made.nullable = tuple(nullable)
        made.type_ = strawberry.input(
            type(name, (), {"__annotations__": annotations, "__module__": __name__, **members}),
            name=name,
            description=description,
        )
        self._made[name] = (cls, made)
        return made

    def _shape(self, info: msgspec_inspect.Type, name: str) -> tuple[str | None, Shape]:
        """Return (description, shape) of a field's type."""
        said = None
        while isinstance(info, msgspec_inspect.Metadata):
            said = said or (info.extra_json_schema or {}).get("description")
            info = info.type
        if isinstance(info, msgspec_inspect.UnionType):
            parts = [part for part in info.types if not isinstance(part, msgspec_inspect.NoneType)]
            optional = len(parts) < len(info.types)
            if len(parts) == 1:
                inner_said, inner = self._shape(parts[0], name)
                return said or inner_said, dataclasses.replace(inner, optional=optional)
            return said, dataclasses.replace(self._one_of(parts, name), optional=optional)
        return said, self._single(info, name)

    def _single(self, info: msgspec_inspect.Type, name: str) -> Shape:
        match info:
            case msgspec_inspect.StrType():
                return Shape(str, None, _exactly(str))
            case msgspec_inspect.BoolType():
                return Shape(bool, None, _exactly(bool))
            case msgspec_inspect.IntType():
                if name.endswith("_minor"):
                    return Shape(MinorUnits, None, _scalar(parse_minor_units))
                return Shape(int, None, _small_integer)
            case msgspec_inspect.DecimalType():
                return Shape(Decimal, None, _scalar(parse_decimal))
            case msgspec_inspect.UUIDType():
                kind = aggregate_of(name)
                if kind is None:
                    return Shape(UUID, None, _scalar(parse_uuid))
                return Shape(strawberry.ID, _id_converter(kind), _plain_id(kind))
            case msgspec_inspect.DateTimeType():
                return Shape(datetime, None, _scalar(parse_date_time))
            case msgspec_inspect.DateType():
                return Shape(date, None, _scalar(parse_date))
            case msgspec_inspect.EnumType():
                assert issubclass(info.cls, enum.Enum)
                return Shape(expose(info.cls), None, _plain_member(info.cls))
            case msgspec_inspect.StructType():
                made = self._struct(info.cls, _input_name(info.cls), sentence(info.cls.__doc__), {})
                return Shape(made.type_, made.to_python, made.from_json)
            case (
                msgspec_inspect.ListType()
                | msgspec_inspect.VarTupleType()
                | msgspec_inspect.SetType()
                | msgspec_inspect.FrozenSetType()
            ):
                _, item = self._shape(info.item_type, name)
                convert = None if item.convert is None else _list_converter(item.convert)
                return Shape(GenericAlias(list, (item.annotation,)), convert, _plain_list(item.plain))
            case msgspec_inspect.DictType() | msgspec_inspect.AnyType():
                return Shape(Json, None, _anything)
        raise TypeError(f"the API has no input for {name}: {info}")

    def _one_of(self, parts: list[msgspec_inspect.Type], name: str) -> Shape:
        """Return the `@oneOf` input of a tagged union: one member for each kind, exactly one of which is given."""
        if not all(isinstance(part, msgspec_inspect.StructType) and part.tag_field for part in parts):
            raise TypeError(f"the API has no input for the union {name}: {parts}")
        type_name = f"{camel(name)[:1].upper()}{camel(name)[1:]}Input"
        annotations: dict[str, Any] = {}
        members: dict[str, Any] = {}
        variants: dict[str, tuple[InputType, str, Any]] = {}
        for part in parts:
            assert isinstance(part, msgspec_inspect.StructType)
            made = self._struct(part.cls, _input_name(part.cls), sentence(part.cls.__doc__), {})
            key = camel(str(part.tag))
            annotations[key] = made.type_ | None
            members[key] = strawberry.field(name=key, description=sentence(part.cls.__doc__), default=UNSET)
            variants[key] = (made, str(part.tag_field), part.tag)
        known = self._made.get(type_name)
        if known is None:
            type_ = strawberry.input(
                type(type_name, (), {"__annotations__": annotations, "__module__": __name__, **members}),
                name=type_name,
                description="Exactly one of its members.",
                one_of=True,
            )
            known = self._made[type_name] = (type_, InputType(type_, {}, ()))

        def convert(value: Mapping[str, Any]) -> dict[str, Any]:
            [(key, item)] = value.items()
            made, tag_field, tag = variants[key]
            try:
                return {tag_field: tag, **made.to_python(item)}
            except InputFault as fault:
                fault.path.insert(0, key)
                raise

        def plain(value: Any) -> dict[str, Any]:
            if type(value) is not dict or len(value) != 1:
                raise Unusual
            [(key, item)] = value.items()
            if key not in variants:
                raise Unusual
            made, tag_field, tag = variants[key]
            return {tag_field: tag, **made.from_json(item)}

        return Shape(known[1].type_, convert, plain)


def _input_name(cls: type) -> str:
    return cls.__name__ if cls.__name__.endswith("Input") else f"{cls.__name__}Input"


def _default(each: msgspec_inspect.Field) -> Any:
    """Return the default that the schema can show; UNSET when absent and null mean something of their own."""
    value = each.default
    if isinstance(value, bool | int | Decimal | enum.Enum) or (isinstance(value, str) and value):
        return value
    return UNSET


def _common_fields(command: type[Command]) -> dict[str, tuple[Any, Any]]:
    aggregate = command.AGGREGATE.STREAM_TYPE.lower()
    return {
        "idempotencyKey": (
            str,
            strawberry.field(
                name="idempotencyKey",
                description="1 to 255 characters of your choice for this one command. Sent again with the same input "
                "it changes nothing and gives the first answer again; with another input it is refused. It is yours: "
                "keys are kept apart by holder of the token and by store.",
            ),
        ),
        "expectedVersion": (
            int | None,
            strawberry.field(
                name="expectedVersion",
                default=UNSET,
                description=f"The version of the {aggregate} that you looked at; the command is refused as "
                "STALE_VERSION when it has changed since.",
            ),
        ),
        "occurredAt": (
            datetime | None,
            strawberry.field(
                name="occurredAt",
                default=UNSET,
                description="When it happened, if not now. It may lie in the past, never in the future.",
            ),
        ),
    }


def decoded(command: type[StructT], fields: dict[str, Any]) -> StructT:
    """Return the command (or another struct) of these fields, checked; raises InputFault naming the one at fault."""
    try:
        return msgspec.convert(fields, command)
    except msgspec.ValidationError as error:
        message, path = explained(str(error), fields)
        raise InputFault(message, path) from None
