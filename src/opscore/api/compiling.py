"""Selections as Python functions: from a ready object, or from a row of a read model, to what the answer shows of it.

A selection is first read into `Chosen`, which is all that a function depends on; then its source is written: for
objects at once, for rows when rows of some layout come. Every value is checked for its exact type.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import functools
import keyword
import sys
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import CoroutineType, GeneratorType
from typing import Any, NamedTuple

from graphql import Executor, GraphQLField, Undefined
from graphql.language import FieldNode
from graphql.type import (
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLID,
    GraphQLInt,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLScalarType,
    GraphQLString,
    get_named_type,
    get_nullable_type,
)
from strawberry.types.base import StrawberryObjectDefinition
from strawberry.types.field import StrawberryField

from opscore.api.rows import Made, MadeList, MadeObject, Rows

FIELDS_MAX = 2_000
"""Most fields that one function reads."""
_LAYOUTS_KEPT = 8
_VALUES_KEPT = 10_000
_TYPES_KEPT = 10_000
_INT_MIN, _INT_MAX = -(2**31), 2**31 - 1
_DIGIT = 2**sys.int_info.bits_per_digit

Read = Callable[[Any], Any]

_VALUES = frozenset({str, int, bool, float, decimal.Decimal, datetime.datetime, datetime.date, uuid.UUID, dict, list})
"""Types of values that are neither errors nor awaited, and so may be given to a scalar as they are."""


class Unusual(Exception):
    """A value that the stock executor has to look at."""


class NotPlain(Exception):
    """A selection that cannot be compiled."""


class Member(NamedTuple):
    """One field of an answer."""

    key: str
    attribute: str | None
    """The attribute that it reads; None for __typename."""
    type: GraphQLOutputType
    chosen: Chosen | None
    """What is selected below it, if it is an object or a list of them."""


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """What is selected of an object: attributes that are read as they are, and nothing else."""

    type: GraphQLObjectType
    members: Sequence[Member]


def compiled(executor: Executor[Any], return_type: GraphQLOutputType, field_details_list: Any) -> Read:
    """Return the function that answers for a value of this type that is not null; raises NotPlain.

    Given anything out of the ordinary it raises, whatever it may be, and the value is left to the stock executor.
    """
    chosen = _Chooser(executor).below(return_type, field_details_list)
    return _Writer().function(return_type, chosen)


class _Chooser:
    """Reads selections."""

    def __init__(self, executor: Executor[Any]) -> None:
        self._executor = executor
        self._fields = 0

    def below(self, type_: GraphQLOutputType, field_details_list: Any) -> Chosen | None:
        """Return what is selected of the objects of a field; None for a leaf. Raises NotPlain."""
        named = get_named_type(type_)
        if isinstance(named, GraphQLScalarType | GraphQLEnumType):
            return None
        if not isinstance(named, GraphQLObjectType):
            raise NotPlain
        collected = self._executor.collect_subfields(named, field_details_list)
        if collected.new_defer_usages:
            raise NotPlain
        return Chosen(named, [self._member(named, key, inner) for key, inner in collected.grouped_field_set.items()])

    def _member(self, type_: GraphQLObjectType, key: str, field_details_list: Any) -> Member:
        self._fields += 1
        if self._fields > FIELDS_MAX or any(each.fragment_variable_values is not None for each in field_details_list):
            raise NotPlain
        node: FieldNode = field_details_list[0].node
        if node.name.value == "__typename":
            return Member(key, None, GraphQLString, None)
        field = type_.fields.get(node.name.value)
        if field is None or field.args or node.arguments:
            raise NotPlain
        return Member(key, _attribute(field), field.type, self.below(field.type, field_details_list))


class _Writer:
    """Writes the source of a function."""

    def __init__(self) -> None:
        self._names: dict[str, Any] = {
            "Unusual": Unusual, "admitted": _ADMITTED, "admit": _admit, "VALUES": _VALUES, "Rows": Rows
        }  # fmt: skip
        self._variables = 0

    def function(self, type_: GraphQLOutputType, chosen: Chosen | None) -> Read:
        """Return the function that reads a value of this type; raises NotPlain."""
        read: Read = self._made("v", [*self._given(type_, chosen, "v"), "return v"])
        return read

    def function_of_rows(self, chosen: Chosen, rows: Rows) -> Callable[[Rows], list[Any]]:
        """Return the function that reads rows of this layout; raises Unusual if they have not what is selected."""
        m = "m = {name: found.rows for name, found in o.lists.items()}"
        all_, loop = self._row_list("o.rows", chosen, rows.of, rows.columns, rows)
        read: Callable[[Rows], list[Any]] = self._made("o", [m, *loop, f"return {all_}"])
        return read

    def _made(self, parameter: str, body: list[str]) -> Any:
        # All in one function: a call for each row would take as long as reading it.
        source = "\n".join([f"def read({parameter}):", *_indented(body)])
        # The source holds names made here, and attributes of our own classes that are identifiers. The keys of answers,
        # which clients choose, are in it as the repr of what the parser took for GraphQL names: none becomes code.
        exec(source, self._names)  # noqa: S102
        return self._names["read"]

    def _name(self, value: Any = None) -> str:
        name = f"n{len(self._names)}"
        self._names[name] = value
        return name

    def _variable(self) -> str:
        self._variables += 1
        return f"v{self._variables}"

    def _nullable(self, type_: GraphQLOutputType, chosen: Chosen | None, value: str) -> list[str]:
        """Return the lines that put the answer for a value into its own variable."""
        if isinstance(type_, GraphQLNonNull):
            return self._given(type_.of_type, chosen, value)
        return [f"if {value} is not None:", *_indented(self._given(type_, chosen, value))]

    def _given(self, type_: GraphQLOutputType, chosen: Chosen | None, value: str) -> list[str]:
        """Return the same lines for a value that is not null."""
        if isinstance(type_, GraphQLList):
            return self._list(type_, chosen, value)
        if isinstance(type_, GraphQLScalarType | GraphQLEnumType):
            return self._leaf(type_, value)
        assert chosen is not None
        return self._object(chosen, value)

    def _object(self, chosen: Chosen, value: str) -> list[str]:
        type_ = chosen.type
        lines = [f"if type({value}) not in admitted: admit({value})"]
        if type_.is_type_of is not None:
            definition = type_.extensions.get("strawberry-definition")
            # A predicate of a type's own may look at the request; the one that Strawberry makes does not.
            if not isinstance(definition, StrawberryObjectDefinition) or definition.is_type_of is not None:
                raise NotPlain
            lines.append(f"if {self._name(type_.is_type_of)}({value}, None) is not True: raise Unusual")
            if _is_ready(definition.origin):
                # Nothing to find out about an object of the very class.
                lines = [f"if type({value}) is not {self._name(definition.origin)}:", *_indented(lines)]
        members = []
        for member in chosen.members:
            if member.attribute is None:
                members.append(f"{member.key!r}: {type_.name!r}")
                continue
            inner = self._variable()
            lines.append(f"{inner} = {value}.{member.attribute}")
            lines += self._nullable(member.type, member.chosen, inner)
            members.append(f"{member.key!r}: {inner}")
        return [*lines, f"{value} = {{{', '.join(members)}}}"]

    def _list(self, type_: GraphQLList[Any], chosen: Chosen | None, value: str) -> list[str]:
        item = type_.of_type
        all_, each = self._variable(), self._variable()
        lines = [
            f"if type({value}) is not list and type({value}) is not tuple: raise Unusual",
            f"{all_} = []",
            f"for {each} in {value}:",
            *_indented([*self._nullable(item, chosen, each), f"{all_}.append({each})"]),
            f"{value} = {all_}",
        ]
        if isinstance(item.of_type if isinstance(item, GraphQLNonNull) else item, GraphQLObjectType):
            assert chosen is not None
            rows = f"{value} = {self._name(_RowsReader(chosen))}({value})"
            lines = [f"if type({value}) is Rows: {rows}", "else:", *_indented(lines)]
        return lines

    def _leaf(self, type_: GraphQLScalarType | GraphQLEnumType, value: str) -> list[str]:
        if type_ is GraphQLString or type_ is GraphQLID:
            return [f"if type({value}) is not str: raise Unusual"]
        if type_ is GraphQLInt:
            # Numbers of one digit, as Python counts them, are compared in half the time.
            outside = f"not {-_DIGIT} < {value} < {_DIGIT} and not {_INT_MIN} <= {value} <= {_INT_MAX}"
            return [f"if type({value}) is not int or {outside}: raise Unusual"]
        if type_ is GraphQLBoolean:
            return [f"if type({value}) is not bool: raise Unusual"]
        coerce = self._name(type_.coerce_output_value)
        coerced = [
            f"if type({value}) not in VALUES: raise Unusual",
            f"{value} = {coerce}({value})",
            f"if {value} is None or {value} is {self._name(Undefined)}: raise Unusual",
        ]
        members = getattr(type_, "wrapped_cls", None)
        if not isinstance(type_, GraphQLEnumType) or not (isinstance(members, type) and issubclass(members, enum.Enum)):
            return coerced
        try:
            table = {member: type_.coerce_output_value(member) for member in members}
        except Exception:
            # A member that the schema does not know.
            raise NotPlain from None
        return [
            f"if type({value}) is {self._name(members)}: {value} = {self._name(table)}[{value}]",
            "else:",
            *(f"    {line}" for line in coerced),
        ]

    # Rows: `m` has the rows of each list by what they are looked up under ---------------------------------------------

    def _row_list(
        self, given: str, chosen: Chosen, of: MadeObject, columns: Sequence[str], rows: Rows
    ) -> tuple[str, list[str]]:
        """Return the variable of the answer for a list of rows, and the lines that fill it."""
        all_, row = self._variable(), self._variable()
        lines, answer = self._row_object(row, chosen, of, columns, rows)
        return all_, [f"{all_} = []", f"for {row} in {given}:", *_indented([*lines, f"{all_}.append({answer})"])]

    def _row_object(
        self, row: str, chosen: Chosen, of: MadeObject, columns: Sequence[str], rows: Rows
    ) -> tuple[list[str], str]:
        """Return the lines that read an object out of a row, and the expression for its answer."""
        definition = chosen.type.extensions.get("strawberry-definition")
        # Of a generic class (an edge), the schema has one of its own that is made of it.
        if not isinstance(definition, StrawberryObjectDefinition) or not issubclass(definition.origin, of.kind):
            raise Unusual
        lines: list[str] = []
        members = []
        for member in chosen.members:
            if member.attribute is None:
                members.append(f"{member.key!r}: {chosen.type.name!r}")
                continue
            made = of.attributes.get(member.attribute)
            match made:
                case Made(own, make, repeats):
                    value = self._variable()
                    given = ", ".join(f"{row}[{_place(each, columns)}]" for each in own)
                    leaf = get_nullable_type(member.type)
                    if repeats and make is not None and isinstance(leaf, GraphQLScalarType):
                        lines.append(f"{value} = {self._name(_remembering(make, leaf))}({given})")
                        if leaf is not member.type:
                            lines.append(f"if {value} is None: raise Unusual")
                    else:
                        lines.append(f"{value} = {given if make is None else f'{self._name(make)}({given})'}")
                        lines += self._nullable(member.type, member.chosen, value)
                case MadeObject():
                    assert member.chosen is not None
                    inner, value = self._row_object(row, member.chosen, made, columns, rows)
                    lines += inner
                case MadeList(column, item) if member.attribute in rows.lists:
                    assert member.chosen is not None
                    found = rows.lists[member.attribute]
                    of_this = f"m[{member.attribute!r}].get({row}[{_place(column, columns)}], ())"
                    value, loop = self._row_list(of_this, member.chosen, item, found.columns, rows)
                    lines += loop
                case _:
                    raise Unusual
            members.append(f"{member.key!r}: {value}")
        return lines, f"{{{', '.join(members)}}}"


def _indented(lines: list[str]) -> list[str]:
    return [f"    {line}" for line in lines]


class _RowsReader:
    """Reads rows of read models; it has a function for each layout that they have come in."""

    def __init__(self, chosen: Chosen) -> None:
        self._chosen = chosen
        self._kept: dict[tuple[Any, ...], Callable[[Rows], list[Any]]] = {}

    def __call__(self, rows: Rows) -> list[Any]:
        layout = rows.layout
        read = self._kept.get(layout)
        if read is None:
            if len(self._kept) >= _LAYOUTS_KEPT:
                raise Unusual
            read = self._kept[layout] = _Writer().function_of_rows(self._chosen, rows)
        return read(rows)


@functools.cache
def _remembering(make: Callable[..., Any], type_: GraphQLScalarType) -> Callable[..., Any]:
    """Return the function from columns to the answer for what is made of them, which keeps what it answered last.

    One for all documents, so that what is kept is bounded. It raises Unusual as the functions of selections do.
    """
    written = _Writer().function(type_, None)

    @functools.lru_cache(maxsize=_VALUES_KEPT)
    def answer(*columns: Any) -> Any:
        value = make(*columns)
        return None if value is None else written(value)

    return answer


def _place(column: str, columns: Sequence[str]) -> int:
    try:
        return columns.index(column)
    except ValueError:
        raise Unusual from None


def _attribute(field: GraphQLField) -> str:
    """Return the expression for a field that is an attribute of `o`; raises NotPlain for every other resolver."""
    definition = field.extensions.get("strawberry-definition")
    if (
        not isinstance(definition, StrawberryField)
        or not definition.is_basic_field
        or definition.default_resolver is not getattr
        or type(definition).get_result is not StrawberryField.get_result
        # Any other function means that something was put around the attribute.
        or getattr(field.resolve, "__name__", "") != "_get_basic_result"
    ):
        raise NotPlain
    name = definition.python_name
    if not name.isidentifier() or keyword.iskeyword(name) or not name.isascii():
        raise NotPlain
    return name


_ADMITTED: set[type] = set()
"""Types of objects that are neither errors nor awaited."""


def _is_ready(kind: type) -> bool:
    """Say whether attributes may be read from every object of this very class, whatever it holds."""
    return not (issubclass(kind, BaseException) or hasattr(kind, "__await__") or hasattr(kind, "__getattr__"))


def _admit(value: Any) -> None:
    """Note the type of an object as one to read attributes from; raises Unusual when it may be more than that."""
    kind = type(value)
    if (
        value is None
        or value is Undefined
        or issubclass(kind, CoroutineType | GeneratorType)
        or not _is_ready(kind)
        or hasattr(value, "__await__")
    ):
        raise Unusual
    if len(_ADMITTED) < _TYPES_KEPT:
        _ADMITTED.add(kind)
