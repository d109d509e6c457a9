"""A document for every mutation, made from the schema: its whole answer, and the object as it then is.

They stand in `schema/operations/commands_<of what>.graphql`, so that a client that may send known documents only can
give any command of its role, and finds the object's new state in the answer without asking again. `opscore schema
export` writes them; documents of particular screens are written by hand beside them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from graphql import (
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    get_named_type,
    is_leaf_type,
    is_required_argument,
    parse,
    print_ast,
)

from opscore.domain.command import COMMANDS
from opscore.permissions import BULK

OTHERS = "servers"
"""Of what the mutations are that are no commands of the domain."""
LEFT_OUT = frozenset({"allowedCommands"})
"""Fields that are about who asks, not about the object."""
_HEADS = {
    OTHERS: "What tells the servers something and records no event: exports, webhooks, versions of projections.",
}


def command_documents(schema: GraphQLSchema) -> dict[str, str]:
    """Return the documents of all mutations by the name of their file."""
    assert schema.mutation_type is not None
    found: dict[str, list[str]] = {}
    whole: dict[str, set[str]] = {}
    for name, field in schema.mutation_type.fields.items():
        about = _about(name)
        writing = _Writing(schema)
        answer = writing.selection(get_named_type(field.type))
        [(argument, given)] = field.args.items()
        operation = name[0].upper() + name[1:]
        found.setdefault(about, []).append(
            f"mutation {operation}(${argument}: {given.type}) {{ {name}({argument}: ${argument}) {{ {answer} }} }}"
        )
        whole.setdefault(about, set()).update(writing.spread)
    return {
        f"commands_{about}.graphql": "\n\n".join(
            [_head(about), *map(_laid_out, [*_fragments(schema, whole[about]), *made])]
        )
        + "\n"
        for about, made in found.items()
    }


def _about(mutation: str) -> str:
    command = COMMANDS.get(mutation.removesuffix("InBulk") if mutation.removesuffix("InBulk") in BULK else mutation)
    return OTHERS if command is None else f"{command.AGGREGATE.STREAM_TYPE.lower()}"


def _head(about: str) -> str:
    text = _HEADS.get(about, f"Every command of a {about}, with its whole answer and the {about} as it then is.")
    return f"# {text}\n# Made from the schema by `opscore schema export`; documents of screens are in the other files."


def _fragments(schema: GraphQLSchema, names: set[str]) -> Iterator[str]:
    for name in sorted(names):
        kind = schema.type_map[name]
        assert isinstance(kind, GraphQLObjectType)
        yield f"fragment Whole{name} on {name} {{ {_Writing(schema).members(kind, ())} }}"


def _laid_out(text: str) -> str:
    return print_ast(parse(text))


class _Writing:
    """Writes one selection. spread: the aggregates whose fragment it spreads."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self.spread: set[str] = set()

    def selection(self, kind: Any) -> str:
        """Return everything of an answer; of an aggregate by its fragment."""
        return self.members(kind, (), spreading=True)

    def members(self, kind: Any, above: tuple[str, ...], *, spreading: bool = False) -> str:
        """Return every field that needs no argument; of another aggregate the id alone."""
        if isinstance(kind, GraphQLInterfaceType | GraphQLUnionType):
            shared = " ".join(kind.fields) if isinstance(kind, GraphQLInterfaceType) else ""
            of_each = (
                f"... on {each.name} {{ {self.members(each, above, spreading=spreading)} }}"
                for each in self._schema.get_possible_types(kind)
            )
            return " ".join(["__typename", shared, *of_each])
        chosen = []
        for name, field in kind.fields.items():
            below: Any = get_named_type(field.type)
            if name in LEFT_OUT or below.name in above or any(map(is_required_argument, field.args.values())):
                continue
            if is_leaf_type(below):
                chosen.append(name)
            elif _is_aggregate(below) and spreading:
                self.spread.add(below.name)
                chosen.append(f"{name} {{ ...Whole{below.name} }}")
            elif _is_aggregate(below):
                chosen.append(f"{name} {{ id }}")
            elif "first" not in field.args:
                chosen.append(f"{name} {{ {self.members(below, (*above, kind.name), spreading=spreading)} }}")
        return " ".join(chosen)


def _is_aggregate(kind: Any) -> bool:
    return "Node" in {each.name for each in getattr(kind, "interfaces", ())}
