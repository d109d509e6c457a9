"""A compiled executor for what resolvers return: a selection of plain attributes becomes one Python function.

The stock executor takes some thirty calls for every leaf of an answer. Where a selection only reads attributes of ready
objects, a function that reads them and nothing else is generated here, once, and kept with its document. It checks the
exact type of every value. Whatever is not of the plain form, and every value that is not plainly right, is left to the
stock executor, so that what an error says, where it points and what becomes null is decided in one place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from graphql import Executor, GraphQLError
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

from opscore.api.compiling import NotPlain, Read, compiled

_NO_HELPERS: Any = None
PLANS_KEPT = 64
"""Most functions of one document; a document that would need more is left to the stock executor there."""


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

    def build_response(self, data: Any) -> Any:
        """Return the result, which is the last that this executor is asked for."""
        # Its helpers hold its methods, and so the executor itself: only the collector of cycles would free it, and that
        # walks everything young for a dozen objects of each request.
        self.async_helpers = _NO_HELPERS
        return super().build_response(data)

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
            return compiled(self, return_type, field_details_list)
        except (NotPlain, GraphQLError):
            return None


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
