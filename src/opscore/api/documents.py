"""Documents: parsed, measured and validated once, then kept; and found again by their text."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from graphql import GraphQLError, GraphQLSchema, parse, validate
from graphql.language import DocumentNode, OperationDefinitionNode, OperationType

from opscore.api.deprecation import deprecated_parts, headers, used
from opscore.api.errors import OperationNotResolved, ParseFailed, ValidationFailed
from opscore.api.executor import Plans
from opscore.api.fast import Shortcut
from opscore.api.guard import Limits, Verdict, judge, refuse_shape, too_much

KEPT_DOCUMENTS = 500
ERRORS_SHOWN = 10
PARSER_LIMITS = {"contains more than": "tokens", "nested too deeply": "depth"}
"""How the parser words that it gave up, and which limit of ours that is: length and depth are no faults of syntax."""


class Invalid(ValidationFailed):
    """A document with several faults; each is shown."""

    def __init__(self, errors: list[GraphQLError]) -> None:
        super().__init__("This document does not fit the schema.")
        self.errors = errors


@dataclass(slots=True)
class Document:
    """A document that may be run, with what is known about it."""

    node: DocumentNode
    operations: dict[str | None, OperationDefinitionNode]
    verdicts: dict[str | None, Verdict] = field(default_factory=dict)
    answers: dict[str | None, bytes] = field(default_factory=dict)
    """Answers that depend on the schema alone (introspection)."""
    shortcuts: dict[str | None, Shortcut | None] = field(default_factory=dict)
    """Operations that are a single plain command (None: looked at, and it is not)."""
    deprecated: tuple[str, ...] = ()
    """What it uses of the schema that is to go, by coordinates."""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    """What its sender is told of that."""
    plans: Plans = field(init=False)
    """Its selections, compiled."""

    def __post_init__(self) -> None:
        self.plans = Plans(self.node)

    def operation(self, name: str | None) -> OperationDefinitionNode:
        """Return the operation to run; raises OperationNotResolved when it is not certain which."""
        if name is None:
            if len(self.operations) == 1:
                return next(iter(self.operations.values()))
            if not self.operations:
                raise OperationNotResolved("This document has no operation.")
            raise OperationNotResolved("This document has several operations; say operationName.")
        found = self.operations.get(name)
        if found is None:
            raise OperationNotResolved("This document has no operation of that name.")
        return found


class Documents:
    """Documents by their text, at most `KEPT_DOCUMENTS`, the least recently used first to go."""

    def __init__(self, schema: GraphQLSchema, limits: Limits, *, suggestions: bool = True) -> None:
        self._schema = schema
        self._limits = limits
        self._suggestions = suggestions
        self._deprecated = deprecated_parts(schema)
        self._kept: OrderedDict[str, Document] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, text: str) -> Document:
        """Return the document; raises ParseFailed, TooComplex or ValidationFailed."""
        with self._lock:
            known = self._kept.get(text)
            if known is not None:
                self._kept.move_to_end(text)
                return known
        document = self._prepare(text)
        with self._lock:
            self._kept[text] = document
            if len(self._kept) > KEPT_DOCUMENTS:
                self._kept.popitem(last=False)
        return document

    def judge(
        self, document: Document, operation: OperationDefinitionNode, variables: Mapping[str, Any] | None
    ) -> Verdict:
        """Return what the operation asks for with these variables; raises TooComplex beyond a limit.

        variables: None judges the shape alone, whatever the page sizes.
        """
        name = operation.name.value if operation.name else None
        known = document.verdicts.get(name)
        if known is None:
            known, settled = judge(document.node, operation, variables, self._limits, self._schema)
            if settled:
                document.verdicts[name] = known
        return known

    def _prepare(self, text: str) -> Document:
        if len(text) > self._limits.characters:
            raise too_much("characters", self._limits.characters, len(text))
        try:
            node = parse(text, max_tokens=self._limits.tokens)
        except GraphQLError as error:
            for said, limit in PARSER_LIMITS.items():
                if said in error.message:
                    raise too_much(limit, getattr(self._limits, limit)) from None
            raise ParseFailed(
                error.message, locations=[{"line": at.line, "column": at.column} for at in error.locations or ()]
            ) from None
        refuse_shape(node, self._limits)
        operations: dict[str | None, OperationDefinitionNode] = {}
        document = Document(node, operations)
        for item in node.definitions:
            if isinstance(item, OperationDefinitionNode):
                operations[item.name.value if item.name else None] = item
                # Before validation: its rules take quadratic time on documents that this refuses.
                self.judge(document, item, None)
        faults = validate(self._schema, node, max_errors=ERRORS_SHOWN, hide_suggestions=not self._suggestions)
        if faults:
            raise Invalid(faults)
        document.deprecated = used(self._schema, self._deprecated, node)
        document.headers = headers(self._deprecated, document.deprecated)
        return document


def is_mutation(operation: OperationDefinitionNode) -> bool:
    """Say whether the operation changes anything."""
    return operation.operation is OperationType.MUTATION


def is_query(operation: OperationDefinitionNode) -> bool:
    """Say whether the operation only reads."""
    return operation.operation is OperationType.QUERY


def is_subscription(operation: OperationDefinitionNode) -> bool:
    """Say whether the operation follows something."""
    return operation.operation is OperationType.SUBSCRIPTION
