"""The static guard: what one document may ask for, counted in one pass before anything is validated or run.

Every fragment is measured once and its figures are added wherever it is spread, so the time is linear in the length of
the document however often fragments multiply each other. (Limits that walk every spread anew can be made to run for
minutes by a document of a few hundred characters.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from graphql.language import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    IntValueNode,
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
from opscore.permissions import BULK

PAGE_MAX = 100
"""Most rows of one page of a connection."""

COMMAND_COST = 10
"""What a command costs beside what its answer shows: it is decided alone, and written."""

IN_BULK = frozenset(f"{name}InBulk" for name in BULK)
"""Root fields that take a list of commands."""

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
    """What a selection asks for. Objects have a cost of one, multiplied by the page sizes above them; each item of a
    filter costs one as well."""

    depth: int = 0
    fields: int = 0
    aliases: int = 0
    directives: int = 0
    nodes: int = 0
    cost: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an operation was measured to be. pages: its pages at the root, (response key, rows, cost of a row)."""

    measure: Measure
    root_fields: tuple[str, ...]
    pages: tuple[tuple[str, int, int], ...]
    introspects: bool
    """Whether every root field is an introspection field, so that the answer depends on the schema alone."""

    def unused(self, data: Mapping[str, Any] | None) -> int:
        """Return how much of its cost an operation with this answer did not have: rows that its pages did not fill."""
        points = 0
        for key, rows, cost in self.pages:
            page = (data or {}).get(key)
            # A connection, whose rows are under one of its members, or a plain list.
            lists = page.values() if type(page) is dict else [page]
            found = max((len(each) for each in lists if type(each) is list), default=0)
            points += max(0, rows - found) * cost
        return points


@dataclass(slots=True)
class _Pass:
    fragments: dict[str, FragmentDefinitionNode]
    variables: Mapping[str, Any]
    limits: Limits
    measured: dict[str, Measure] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Values of the variables that the document gives itself."""
    open: set[str] = field(default_factory=set)
    varies: bool = False
    """Whether the figures depend on variables."""
    pages: list[tuple[str, int, int]] = field(default_factory=list)
    roots: int = 0
    """Root fields outside fragments; one that takes a list of commands counts for each of them."""

    def measure(self, selections: SelectionSetNode | None, nesting: int) -> Measure:
        """Return the figures of a selection set. `nesting` bounds this walk itself, before anything is known."""
        if selections is None:
            return _NOTHING
        if nesting > 4 * self.limits.introspection_depth:
            raise _too("depth", self.limits.depth)
        depth = fields = aliases = directives = nodes = cost = 0
        for selection in selections.selections:
            directives += len(selection.directives or ())
            if isinstance(selection, FieldNode):
                inner = self.measure(selection.selection_set, nesting + 1)
                fields += 1 + inner.fields
                aliases += (selection.alias is not None) + inner.aliases
                depth = max(depth, 1 + inner.depth)
                if selection.selection_set is not None:
                    size = self.page_size(selection)
                    nodes += size + size * inner.nodes
                    cost += 1 + size * inner.cost + self.filter_size(selection)
                    if nesting == 0:
                        self.roots += size
                        if size > 1:
                            key = selection.alias or selection.name
                            self.pages.append((key.value, size, inner.cost))
            else:
                if isinstance(selection, FragmentSpreadNode):
                    inner = self.fragment(selection, nesting + 1)
                else:
                    assert isinstance(selection, InlineFragmentNode)
                    inner = self.measure(selection.selection_set, nesting + 1)
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
            known = self.measure(definition.selection_set, nesting)
            self.open.discard(name)
            self.measured[name] = known
        return known

    def page_size(self, node: FieldNode) -> int:
        """Return the rows that a field may bring: its `first` or `last`, the commands it is given, else one."""
        if node.name.value in IN_BULK:
            return max(1, self.commands(node))
        for argument in node.arguments or ():
            if argument.name.value in ("first", "last"):
                value = argument.value
                if isinstance(value, IntValueNode):
                    # Whatever is out of range is refused by the field itself; here it must only not be free.
                    return min(int(value.value[:10]), 10 * PAGE_MAX) if value.value[0] != "-" else PAGE_MAX
                if isinstance(value, VariableNode):
                    self.varies = True
                    given = self.variables.get(value.name.value)
                    return given if type(given) is int and 0 < given <= PAGE_MAX else PAGE_MAX
        return 1

    def commands(self, node: FieldNode) -> int:
        """Return how many rows a list of commands has."""
        for argument in node.arguments or ():
            if argument.name.value == "input":
                value = self.known(argument.value)
                if isinstance(value, ObjectValueNode):
                    value = next((member.value for member in value.fields if member.name.value == "rows"), None)
                    value = self.known(value)
                elif isinstance(value, dict):
                    value = value.get("rows")
                if isinstance(value, ListValueNode):
                    return len(value.values)
                if isinstance(value, list):
                    return len(value)
        return 1

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
                raise _too("filter_depth", self.limits.filter_depth)
            if items + len(waiting) > self.limits.filter_items:
                raise _too("filter_items", self.limits.filter_items)
        return items


_NOTHING = Measure()


def _too(limit: str, most: int, found: int | None = None) -> TooComplex:
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
        raise _too("operations", limits.operations, operations)
    if fragments > limits.fragments:
        raise _too("fragments", limits.fragments, fragments)
    source = document.loc.source.body if document.loc else ""
    if "\\u" in source or "\x00" in source:
        visit(document, _Text())


def judge(
    document: DocumentNode, operation: OperationDefinitionNode, variables: Mapping[str, Any] | None, limits: Limits
) -> tuple[Verdict, bool]:
    """Measure an operation; raises TooComplex beyond any limit.

    variables: the request's own, or None while only the shape of the document is to be judged, not its page sizes.
    Returns the verdict and whether it holds for every set of variables (no page size and no filter is a variable).
    """
    fragments = {item.name.value: item for item in document.definitions if isinstance(item, FragmentDefinitionNode)}
    defaults = {item.variable.name.value: item.default_value for item in operation.variable_definitions or ()}
    run = _Pass(fragments, variables or {}, limits, defaults=defaults)
    measure = run.measure(operation.selection_set, 0)
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
            raise _too(name, most, found)
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
