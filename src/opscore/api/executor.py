"""A compiled executor for what resolvers return: a selection of plain attributes becomes one Python function.

The stock executor takes some thirty calls for every leaf of an answer. Where a selection only reads attributes of ready
objects, a function that reads them and nothing else is generated here, once, and kept with its document. It checks the
exact type of every value. Whatever is not of the plain form, and every value that is not plainly right, is left to the
stock executor, so that what an error says, where it points and what becomes null is decided in one place.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import keyword
import uuid
from collections.abc import Callable, Mapping
from types import CoroutineType, GeneratorType
from typing import Any

from graphql import Executor, GraphQLError, GraphQLField, Undefined
from graphql.language import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
)
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
)
from strawberry.types.base import StrawberryObjectDefinition
from strawberry.types.field import StrawberryField

PLANS_KEPT = 64
"""Most functions of one document; a document that would need more is left to the stock executor there."""
FIELDS_MAX = 2_000
"""Most fields that one function reads."""
_TYPES_KEPT = 10_000
_INT_MIN, _INT_MAX = -(2**31), 2**31 - 1

Read = Callable[[Any], Any]

_VALUES = frozenset({str, int, bool, float, decimal.Decimal, datetime.datetime, datetime.date, uuid.UUID, dict, list})
"""Types of values that are neither errors nor awaited, and so may be given to a scalar as they are."""


class Unusual(Exception):
    """A value that the stock executor has to look at."""


class NotPlain(Exception):
    """A selection that cannot be compiled."""


class Plans:
    """The compiled functions of one document."""

    def __init__(self, document: DocumentNode) -> None:
        self._document = document
        self._switches: tuple[str, ...] | None = None
        self._kept: dict[tuple[Any, ...], Read | None] = {}
        self.ran = 0
        """How often a compiled function gave an answer."""
        self.left = 0
        """How often one met a value that it left to the stock executor."""

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def switches(self) -> tuple[str, ...]:
        """The variables that @skip and @include look at; the shape of a selection depends on nothing else."""
        if self._switches is None:
            found: set[str] = set()
            for definition in self._document.definitions:
                if isinstance(definition, OperationDefinitionNode | FragmentDefinitionNode):
                    _find_switches(definition.selection_set, found)
            self._switches = tuple(sorted(found))
        return self._switches

    def get(self, key: tuple[Any, ...], compile_: Callable[[], Read | None]) -> Read | None:
        """Return the function of a place, compiled when it is first asked for; None: the stock executor does it."""
        try:
            return self._kept[key]
        except KeyError:
            if len(self._kept) >= PLANS_KEPT:
                return None
        made = self._kept[key] = compile_()
        return made


class CompiledExecutor(Executor[Any]):
    """Runs an operation, with a compiled function for each list and object whose whole selection is plain."""

    def __init__(self, *arguments: Any, plans: Plans, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._plans = plans
        self._set: tuple[Any, ...] | None = None

    def complete_list_value(
        self, return_type: Any, field_details_list: Any, info: Any, path: Any, result: Any, position_context: Any
    ) -> Any:
        """Return the answer for a list."""
        read = self._read(return_type, field_details_list)
        if read is not None:
            try:
                answer = read(result)
            except Exception:
                # Of whatever kind: the stock executor meets it again and reports it in its own words.
                self._plans.left += 1
            else:
                self._plans.ran += 1
                return answer
        return super().complete_list_value(return_type, field_details_list, info, path, result, position_context)

    def complete_object_value(
        self, return_type: Any, field_details_list: Any, info: Any, path: Any, result: Any, position_context: Any
    ) -> Any:
        """Return the answer for an object of a known type."""
        read = self._read(return_type, field_details_list)
        if read is not None:
            try:
                answer = read(result)
            except Exception:
                self._plans.left += 1
            else:
                self._plans.ran += 1
                return answer
        return super().complete_object_value(return_type, field_details_list, info, path, result, position_context)

    def _read(self, return_type: Any, field_details_list: Any) -> Read | None:
        if self._set is None:
            values = self.variable_values.coerced
            self._set = tuple(
                value if type(value := values.get(name)) is bool else None for name in self._plans.switches
            )
        key = (return_type, self._set, *[id(details.node) for details in field_details_list])
        return self._plans.get(key, lambda: self._compiled(return_type, field_details_list))

    def _compiled(self, return_type: Any, field_details_list: Any) -> Read | None:
        if self.middleware_manager is not None:
            return None
        try:
            return _Writer(self).function(return_type, field_details_list)
        except (NotPlain, GraphQLError):
            return None


class _Writer:
    """Writes the source of the functions for one place, innermost first."""

    def __init__(self, executor: Executor[Any]) -> None:
        self._executor = executor
        self._lines: list[str] = []
        self._names: dict[str, Any] = {"Unusual": Unusual, "admitted": _ADMITTED, "admit": _admit, "VALUES": _VALUES}
        self._fields = 0

    def function(self, return_type: GraphQLOutputType, field_details_list: Any) -> Read:
        """Return the function that reads a value of this type; raises NotPlain."""
        name = self._reader(return_type, field_details_list)
        # The source holds only names made here, attribute names that are identifiers, and literals by their repr.
        exec("\n".join(self._lines), self._names)  # noqa: S102
        read: Read = self._names[name]
        return read

    def _name(self, value: Any = None) -> str:
        name = f"n{len(self._names)}"
        self._names[name] = value
        return name

    def _reader(self, type_: GraphQLOutputType, field_details_list: Any) -> str:
        """Write the function for a value that is not null, and return its name."""
        if isinstance(type_, GraphQLObjectType):
            body = self._object(type_, field_details_list)
        elif isinstance(type_, GraphQLList):
            body = ["v = o", *self._list(type_, field_details_list, "v"), "return v"]
        elif isinstance(type_, GraphQLScalarType | GraphQLEnumType):
            body = ["v = o", *self._leaf(type_, "v"), "return v"]
        else:
            raise NotPlain
        name = self._name()
        self._lines += [f"def {name}(o):", *(f"    {line}" for line in body)]
        return name

    def _object(self, type_: GraphQLObjectType, field_details_list: Any) -> list[str]:
        lines = ["if type(o) not in admitted: admit(o)"]
        if type_.is_type_of is not None:
            definition = type_.extensions.get("strawberry-definition")
            # A predicate of a type's own may look at the request; the one that Strawberry makes does not.
            if not isinstance(definition, StrawberryObjectDefinition) or definition.is_type_of is not None:
                raise NotPlain
            lines.append(f"if {self._name(type_.is_type_of)}(o, None) is not True: raise Unusual")
            if _is_ready(definition.origin):
                # Nothing to find out about an object of the very class.
                lines = [f"if type(o) is not {self._name(definition.origin)}:", *(f"    {line}" for line in lines)]
        collected = self._executor.collect_subfields(type_, field_details_list)
        if collected.new_defer_usages:
            raise NotPlain
        members = []
        for key, inner in collected.grouped_field_set.items():
            self._fields += 1
            if self._fields > FIELDS_MAX or any(each.fragment_variable_values is not None for each in inner):
                raise NotPlain
            node: FieldNode = inner[0].node
            if node.name.value == "__typename":
                members.append(f"{key!r}: {type_.name!r}")
                continue
            field = type_.fields.get(node.name.value)
            if field is None or field.args or node.arguments:
                raise NotPlain
            value = f"v{len(members)}"
            lines.append(f"{value} = {_attribute(field)}")
            lines += self._nullable(field.type, inner, value)
            members.append(f"{key!r}: {value}")
        lines.append(f"return {{{', '.join(members)}}}")
        return lines

    def _nullable(self, type_: GraphQLOutputType, field_details_list: Any, value: str) -> list[str]:
        """Return the lines that put the answer for a value into its own variable."""
        if isinstance(type_, GraphQLNonNull):
            return self._given(type_.of_type, field_details_list, value)
        return [
            f"if {value} is not None:",
            *(f"    {line}" for line in self._given(type_, field_details_list, value)),
        ]

    def _given(self, type_: GraphQLOutputType, field_details_list: Any, value: str) -> list[str]:
        if isinstance(type_, GraphQLList):
            return self._list(type_, field_details_list, value)
        if isinstance(type_, GraphQLScalarType | GraphQLEnumType):
            return self._leaf(type_, value)
        return [f"{value} = {self._reader(type_, field_details_list)}({value})"]

    def _list(self, type_: GraphQLList[Any], field_details_list: Any, value: str) -> list[str]:
        item = type_.of_type
        if isinstance(item, GraphQLNonNull):
            each = f"{self._reader(item.of_type, field_details_list)}(i)"
        else:
            each = f"None if i is None else {self._reader(item, field_details_list)}(i)"
        return [
            f"if type({value}) is not list and type({value}) is not tuple: raise Unusual",
            f"{value} = [{each} for i in {value}]",
        ]

    def _leaf(self, type_: GraphQLScalarType | GraphQLEnumType, value: str) -> list[str]:
        if type_ is GraphQLString or type_ is GraphQLID:
            return [f"if type({value}) is not str: raise Unusual"]
        if type_ is GraphQLInt:
            return [f"if type({value}) is not int or not {_INT_MIN} <= {value} <= {_INT_MAX}: raise Unusual"]
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
    return f"o.{name}"


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


def _find_switches(selections: SelectionSetNode | None, found: set[str]) -> None:
    if selections is None:
        return
    for node in selections.selections:
        for directive in node.directives or ():
            for argument in directive.arguments or ():
                if isinstance(argument.value, VariableNode):
                    found.add(argument.value.name.value)
        if isinstance(node, FieldNode | InlineFragmentNode):
            _find_switches(node.selection_set, found)
        else:
            assert isinstance(node, FragmentSpreadNode)  # Its definition is visited in its own turn.


def run_with(plans: Plans | None) -> Mapping[str, Any]:
    """Return what `graphql.execute` is to be given so that these plans are used; None: the stock executor."""
    return {} if plans is None else {"executor_class": CompiledExecutor, "plans": plans}
