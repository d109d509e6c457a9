"""What a question selects, read from its document: so that one statement fetches what many rows will show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from graphql.language import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    SelectionSetNode,
)


class Selected(dict[str, "Selected"]):
    """Names of the selected fields, each with what is selected below it, as if every directive let it through."""

    def at(self, *path: str) -> Selected:
        """Return what is selected below a path; nothing when it is not selected."""
        found = self
        for name in path:
            found = found.get(name, Selected())
        return found

    def of_rows(self) -> Selected:
        """Return what is selected of the rows of a connection, with or without their cursors."""
        return Selected().merge(self.at("nodes")).merge(self.at("edges", "node"))

    def merge(self, other: Selected) -> Selected:
        """Take in another selection of the same object."""
        for name, below in other.items():
            self.setdefault(name, Selected()).merge(below)
        return self


def selected(nodes: Iterable[FieldNode], fragments: Mapping[str, FragmentDefinitionNode]) -> Selected:
    """Return what these field nodes (of one field) select, fragments included; the guard has bounded its size."""
    found = Selected()
    for node in nodes:
        _collect(node.selection_set, fragments, found)
    return found


def selected_of(info: Any) -> Selected:
    """Return what is selected of the field of a resolver (its Info)."""
    raw = info._raw_info
    return selected(raw.field_nodes, raw.fragments)


def wants_total(info: Any) -> bool:
    """Say whether a resolver of a connection (its Info) is asked how long the whole list is."""
    return "totalCount" in selected_of(info)


def _collect(
    selections: SelectionSetNode | None, fragments: Mapping[str, FragmentDefinitionNode], found: Selected
) -> None:
    if selections is None:
        return
    for selection in selections.selections:
        if isinstance(selection, FieldNode):
            _collect(selection.selection_set, fragments, found.setdefault(selection.name.value, Selected()))
        elif isinstance(selection, InlineFragmentNode):
            _collect(selection.selection_set, fragments, found)
        elif isinstance(selection, FragmentSpreadNode):
            _collect(fragments[selection.name.value].selection_set, fragments, found)
