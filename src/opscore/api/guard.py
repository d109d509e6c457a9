"""The static guard: what one document may ask for, counted in one pass before anything is validated or run.

Every fragment is measured once and its figures are added wherever it is spread, so the time is linear in the length of
the document however often fragments multiply each other. (Limits that walk every spread anew can be made to run for
minutes by a document of a few hundred characters.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from graphql import GraphQLField, GraphQLSchema, get_named_type
from graphql.language import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    ListValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    StringValueNode,
    VariableNode,
)
from graphql.language.visitor import Visitor, visit

from opscore.api.errors import ParseFailed, TooComplex
from opscore.api.sizing import Size, returns_list, size_of

COMMAND_COST = 10
"""What a command costs beside what its answer shows: it is decided alone, and written."""

INTROSPECTION_FIELDS = frozenset({"__schema", "__type"})


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that one request may hold."""

    body_bytes: int = 100_000
    body_seconds: float = 10.0
    characters: int = 15_000
    tokens: int = 2_000
    depth: int = 12
    introspection_depth: int = 16
    aliases: int = 15
    directives: int = 50
    root_fields: int = 15
    fragments: int = 30
    operations: int = 30
    fields: int = 2_000
    nodes: int = 10_000
    cost: int = 5_000
    filter_items: int = 300
    filter_depth: int = 16


@dataclass(frozen=True, slots=True)
class Measure:
    """What a selection asks for. Objects have a cost of one, multiplied by the sizes of the lists above them; each item
    of a filter or of another list that is given costs one as well."""

    depth: int = 0
    fields: int = 0
    aliases: int = 0
    directives: int = 0
    nodes: int = 0
    cost: int = 0


@dataclass(frozen=True, slots=True)
class Page:
    """A list at the root. rows: how many were counted on, each at a cost. sized: whether arguments say so."""

    key: str
    rows: int
    cost: int
    sized: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an operation was measured to be. pages: its lists at the root."""

    measure: Measure
    root_fields: tuple[str, ...]
    pages: tuple[Page, ...]
    introspects: bool
    """Whether every root field is an introspection field, so that the answer depends on the schema alone."""

    def unused(self, data: Mapping[str, Any] | None) -> int:
        """Return how much of its cost an operation with this answer did not have: rows that its pages did not fill.

        Less than none where a list that nothing bounds was longer than was counted on.
        """
        points = 0
        for page in self.pages:
            answer = (data or {}).get(page.key)
            # A connection, whose rows are under one of its members, or a plain list.
            lists = answer.values() if type(answer) is dict else [answer]
            found = max((len(each) for each in lists if type(each) is list), default=0)
            points += (page.rows - (found if page.sized else max(found, page.rows))) * page.cost
        return points


@dataclass(slots=True)
class _Pass:
    fragments: dict[str, FragmentDefinitionNode]
    variables: Mapping[str, Any]
    limits: Limits
    schema: GraphQLSchema | None = None
    root: Any = None
    """The type of root fields, also those in fragments; None without a schema."""
    measured: dict[str, Measure] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Values of the variables that the document gives itself."""
    open: set[str] = field(default_factory=set)
    varies: bool = False
    """Whether the figures depend on variables."""
    pages: list[Page] = field(default_factory=list)
    roots: int = 0
    """Root fields outside fragments; one that takes a list of commands counts for each of them."""

    def measure(self, selections: SelectionSetNode | None, nesting: int, parent: Any) -> Measure:
        """Return the figures of a selection set.

        nesting: bounds this walk itself, before anything is known. parent: the type that it selects of, None for one
        that the schema has not.
        """
        if selections is None:
            return _NOTHING
        if nesting > 4 * self.limits.introspection_depth:
            raise too_much("depth", self.limits.depth)
        depth = fields = aliases = directives = nodes = cost = 0
        for selection in selections.selections:
            directives += len(selection.directives or ())
            if isinstance(selection, FieldNode):
                definition = getattr(parent, "fields", _NO_FIELDS).get(selection.name.value)
                below = None if definition is None else get_named_type(definition.type)
                inner = self.measure(selection.selection_set, nesting + 1, below)
                fields += 1 + inner.fields
                aliases += (selection.alias is not None) + inner.aliases
                depth = max(depth, 1 + inner.depth)
                if selection.selection_set is not None:
                    size = size_of(selection, definition, self.known)
                    row = inner.cost + size.listed
                    nodes += size.rows + size.rows * inner.nodes
                    cost += 1 + size.rows * row + size.beside + self.filter_size(selection)
                    if nesting == 0:
                        self.roots += size.rows
                    if nesting == 0 or (parent is not None and parent is self.root):
                        self.note(selection, definition, size, row)
            else:
                if isinstance(selection, FragmentSpreadNode):
                    inner = self.fragment(selection, nesting + 1)
                else:
                    assert isinstance(selection, InlineFragmentNode)
                    inner = self.measure(selection.selection_set, nesting + 1, self.named(selection, parent))
                depth = max(depth, inner.depth)
                fields += inner.fields
                aliases += inner.aliases
                nodes += inner.nodes
                cost += inner.cost
            directives += inner.directives
        return Measure(depth, fields, aliases, directives, nodes, cost)

    def fragment(self, spread: FragmentSpreadNode, nesting: int) -> Measure:
        name = spread.name.value
        known = self.measured.get(name)
        if known is None:
            definition = self.fragments.get(name)
            if definition is None:
                return _NOTHING  # Validation says so, in its own words.
            if name in self.open:
                raise TooComplex(f"Fragment {name} spreads itself.", limit="fragment_cycle")
            self.open.add(name)
            known = self.measure(definition.selection_set, nesting, self.named(definition, None))
            self.open.discard(name)
            self.measured[name] = known
        return known

    def named(self, node: InlineFragmentNode | FragmentDefinitionNode, parent: Any) -> Any:
        """Return the type that a fragment selects of."""
        condition = node.type_condition
        if condition is None or self.schema is None:
            return parent
        return self.schema.type_map.get(condition.name.value)

    def note(self, node: FieldNode, definition: GraphQLField | None, size: Size, row: int) -> None:
        """Keep a list at the root, to be settled by what was found."""
        key = (node.alias or node.name).value
        if size.rows > 1 or size.sure:
            self.pages.append(Page(key, size.rows, row, True))
        elif definition is not None and returns_list(definition):
            self.pages.append(Page(key, 1, row + 1 - size.listed, False))

    def known(self, value: Any) -> Any:
        """Return a value, that of a variable if it is one."""
        if not isinstance(value, VariableNode):
            return value
        self.varies = True
        name = value.name.value
        return self.variables[name] if name in self.variables else self.defaults.get(name)

    def filter_size(self, node: FieldNode) -> int:
        """Return how many members and items the `filter` of a field has, however they are nested."""
        waiting: list[tuple[Any, int]] = [
            (argument.value, 0) for argument in node.arguments or () if argument.name.value == "filter"
        ]
        items = 0
        while waiting:
            value, depth = waiting.pop()
            value = self.known(value)
            found: Iterable[Any] = ()
            if isinstance(value, ObjectValueNode):
                found = [member.value for member in value.fields]
            elif isinstance(value, ListValueNode):
                found = value.values
            elif isinstance(value, dict):
                found = value.values()
            elif isinstance(value, list):
                found = value
            waiting += [(each, depth + 1) for each in found]
            items += depth > 0
            if depth > self.limits.filter_depth:
                raise too_much("filter_depth", self.limits.filter_depth)
            if items + len(waiting) > self.limits.filter_items:
                raise too_much("filter_items", self.limits.filter_items)
        return items


_NOTHING = Measure()
_NO_FIELDS: Mapping[str, GraphQLField] = {}


def too_much(limit: str, most: int, found: int | None = None) -> TooComplex:
    """Return what says that a document exceeds a limit, by the name of the limit."""
    extra = {} if found is None or found > 10**12 else {"found": found}
    return TooComplex(
        f"This document exceeds the limit of {most} {limit.replace('_', ' ')}; ask for less in one request.",
        limit=limit,
        most=most,
        **extra,
    )


class _Text(Visitor):
    def enter_string_value(self, node: StringValueNode, *_: Any) -> None:
        if "\x00" in node.value:
            raise ParseFailed("A string holds the character U+0000, which cannot be stored.")


def refuse_shape(document: DocumentNode, limits: Limits) -> None:
    """Refuse documents of too many definitions, and texts that no database can keep."""
    operations = sum(isinstance(item, OperationDefinitionNode) for item in document.definitions)
    fragments = sum(isinstance(item, FragmentDefinitionNode) for item in document.definitions)
    if operations > limits.operations:
        raise too_much("operations", limits.operations, operations)
    if fragments > limits.fragments:
        raise too_much("fragments", limits.fragments, fragments)
    source = document.loc.source.body if document.loc else ""
    if "\\u" in source or "\x00" in source:
        visit(document, _Text())


def judge(
    document: DocumentNode,
    operation: OperationDefinitionNode,
    variables: Mapping[str, Any] | None,
    limits: Limits,
    schema: GraphQLSchema | None = None,
) -> tuple[Verdict, bool]:
    """Measure an operation; raises TooComplex beyond any limit.

    variables: the request's own, or None while only the shape of the document is to be judged, not its page sizes.
    schema: says which fields are lists and what is meant where an argument is left out.
    Returns the verdict and whether it holds for every set of variables (no page size and no filter is a variable).
    """
    fragments = {item.name.value: item for item in document.definitions if isinstance(item, FragmentDefinitionNode)}
    defaults = {item.variable.name.value: item.default_value for item in operation.variable_definitions or ()}
    root = None if schema is None else schema.get_root_type(operation.operation)
    run = _Pass(fragments, variables or {}, limits, schema, root, defaults=defaults)
    measure = run.measure(operation.selection_set, 0, root)
    roots = _root_fields(operation.selection_set, fragments, set())
    if operation.operation is OperationType.MUTATION:
        measure = replace(measure, cost=measure.cost + COMMAND_COST * max(run.roots, len(roots)))
    introspects = all(name in INTROSPECTION_FIELDS or name == "__typename" for name in roots)
    introspecting = sum(name in INTROSPECTION_FIELDS for name in roots)
    depth = limits.introspection_depth if introspects else limits.depth
    sized = variables is not None or not run.varies
    for name, found, most in (
        ("depth", measure.depth, depth),
        ("aliases", measure.aliases, limits.aliases),
        ("directives", measure.directives + len(operation.directives or ()), limits.directives),
        ("root_fields", len(roots), limits.root_fields),
        ("introspection_fields", introspecting, 2),
        ("fields", measure.fields, limits.fields),
        ("nodes", measure.nodes if sized else 0, limits.nodes),
        ("cost", measure.cost if sized else 0, limits.cost),
    ):
        if found > most:
            raise too_much(name, most, found)
    return Verdict(measure, tuple(roots), tuple(run.pages), introspects), not run.varies


def _root_fields(
    selections: SelectionSetNode, fragments: dict[str, FragmentDefinitionNode], seen: set[str]
) -> list[str]:
    """Return the names of the root fields, one for each time it is selected; a fragment counts once."""
    names = []
    for selection in selections.selections:
        if isinstance(selection, FieldNode):
            names.append(selection.name.value)
        elif isinstance(selection, InlineFragmentNode):
            names += _root_fields(selection.selection_set, fragments, seen)
        elif isinstance(selection, FragmentSpreadNode) and selection.name.value not in seen:
            seen.add(selection.name.value)
            definition = fragments.get(selection.name.value)
            if definition is not None:
                names += _root_fields(definition.selection_set, fragments, seen)
    return names
