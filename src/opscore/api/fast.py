"""A shortcut for the commonest request: one command, its input in one variable, a plain selection of its payload.

The executor of GraphQL takes longer than deciding the command. So a document of that one form is compiled to a
function, kept with the document. Whatever is not of that form, and every input that is not plainly right, takes the
ordinary way, so that what an error says and where it points is decided in one place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
from graphql import GraphQLError
from graphql.language import (
    FieldNode,
    NamedTypeNode,
    NonNullTypeNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
)

from opscore.api.errors import format_graphql_error
from opscore.api.inputs import Unusual
from opscore.api.scalars import parse_date_time

if TYPE_CHECKING:
    from opscore.api.context import Context
    from opscore.api.mutations import Mutation, Payload

Read = Callable[[Any], Any]

_ERROR_FIELDS: dict[str, Read] = {
    "code": lambda error: error.code.name,
    "message": lambda error: error.message,
    "path": lambda error: error.path,
    "ids": lambda error: error.ids,
    "currentVersion": lambda error: error.current_version,
    "retryable": lambda error: error.retryable,
}
_PAYLOAD_FIELDS: dict[str, Read] = {
    "position": lambda payload: payload.position,
    "replayed": lambda payload: payload.replayed,
}


@dataclass(frozen=True, slots=True)
class Shortcut:
    """A compiled operation."""

    mutation: Mutation
    key: str
    """The response key of the command."""
    variable: str
    payload: Read
    root: FieldNode
    """Where an error of the command points."""

    async def run(self, variables: Mapping[str, Any], context: Context) -> bytes | None:
        """Return the body of the answer; None, before anything has been done, when the ordinary way has to be taken."""
        given = variables.get(self.variable)
        if type(given) is not dict:
            return None
        try:
            key, expected_version, occurred_at = _common(given)
            own = {name: value for name, value in given.items() if name not in _COMMON}
            fields = self.mutation.input.from_json(own)
        except Unusual:
            return None
        try:
            answer = await self.mutation.give(fields, key, expected_version, occurred_at, context)
            return orjson.dumps({"data": {self.key: self.payload(answer)}})
        except Exception as error:
            # A payload is never null, so an error of the command leaves no data, as it would on the ordinary way.
            located = GraphQLError(str(error), self.root, path=[self.key], original_error=error)
            return orjson.dumps({"errors": [format_graphql_error(located, context.request_id)], "data": None})


_COMMON = frozenset({"idempotencyKey", "expectedVersion", "occurredAt"})


def _common(given: Mapping[str, Any]) -> tuple[str, int | None, Any]:
    key, version, occurred_at = given.get("idempotencyKey"), given.get("expectedVersion"), given.get("occurredAt")
    if type(key) is not str:
        raise Unusual
    if version is not None and (type(version) is not int or not -(2**31) <= version < 2**31):
        raise Unusual
    if occurred_at is None:
        return key, version, None
    try:
        return key, version, parse_date_time(occurred_at)
    except GraphQLError:
        raise Unusual from None


def shortcut(operation: OperationDefinitionNode, mutations: Mapping[str, Mutation]) -> Shortcut | None:
    """Return the operation compiled, or None when it is not of the one form that is (it has been validated)."""
    roots = operation.selection_set.selections
    definitions = operation.variable_definitions or ()
    if len(roots) != 1 or len(definitions) != 1 or operation.directives:
        return None
    [root], [definition] = roots, definitions
    if not isinstance(root, FieldNode) or root.directives or root.selection_set is None:
        return None
    mutation = mutations.get(root.name.value)
    if mutation is None or definition.default_value is not None or definition.directives:
        return None
    if not isinstance(definition.type, NonNullTypeNode) or not isinstance(definition.type.type, NamedTypeNode):
        return None
    [argument] = root.arguments or ()  # A command has exactly one, and validation has seen to it.
    if not isinstance(argument.value, VariableNode):
        return None
    payload = _payload(root.selection_set, mutation)
    if payload is None:
        return None
    return Shortcut(mutation, _key(root), definition.variable.name.value, payload, root)


def _key(node: FieldNode) -> str:
    return node.alias.value if node.alias is not None else node.name.value


def _payload(selections: SelectionSetNode, mutation: Mutation) -> Read | None:
    readers: dict[str, Read] = {}
    for node in selections.selections:
        if not isinstance(node, FieldNode) or node.directives or node.arguments or _key(node) in readers:
            return None
        name = node.name.value
        read: Read | None
        if name == "__typename":
            read = _constant(mutation.payload_name)
        elif name == "userErrors":
            read = _errors(node.selection_set, mutation)
        elif name == mutation.aggregate_field:
            read = _aggregate(node.selection_set, mutation)
        else:
            read = _PAYLOAD_FIELDS.get(name)
        if read is None:
            return None
        readers[_key(node)] = read

    def payload(answer: Payload) -> dict[str, Any]:
        return {key: read(answer) for key, read in readers.items()}

    return payload


def _constant(value: str) -> Read:
    return lambda _: value


def _flat(selections: SelectionSetNode | None, known: Mapping[str, Read]) -> dict[str, Read] | None:
    """Return how to read each field of a selection of known leaves, by response key."""
    if selections is None:
        return None
    readers: dict[str, Read] = {}
    for node in selections.selections:
        if not isinstance(node, FieldNode) or node.directives or node.arguments or _key(node) in readers:
            return None
        if node.name.value not in known:
            return None
        readers[_key(node)] = known[node.name.value]
    return readers


def _errors(selections: SelectionSetNode | None, mutation: Mutation) -> Read | None:
    readers = _flat(selections, {**_ERROR_FIELDS, "__typename": _constant(mutation.error_name)})
    if readers is None:
        return None
    return lambda answer: [{key: read(error) for key, read in readers.items()} for error in answer.user_errors]


def _aggregate(selections: SelectionSetNode | None, mutation: Mutation) -> Read | None:
    """Return how to show the object by its id; more of it is read from the log, on the ordinary way."""
    kind = mutation.kind
    known: dict[str, Read] = {"id": kind.global_id, "__typename": _constant(kind.aggregate.STREAM_TYPE)}
    readers = _flat(selections, known)
    if readers is None:
        return None
    return lambda answer: (
        None if answer.aggregate_id is None else {key: read(answer.aggregate_id) for key, read in readers.items()}
    )
