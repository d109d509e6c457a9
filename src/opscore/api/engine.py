"""Runs a request: who asks, which document, may they, what comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from inspect import isawaitable
from typing import Any

import orjson
from graphql import ExecutionResult, GraphQLError, GraphQLSchema, execute, subscribe
from graphql.language import OperationDefinitionNode

from opscore.api.context import Context, Services
from opscore.api.documents import Document, Documents, is_mutation, is_subscription
from opscore.api.errors import (
    BadInput,
    DocumentUnknown,
    Forbidden,
    MethodNotAllowed,
    NotAuthenticated,
    SubscriptionNeedsSocket,
    ValidationFailed,
    format_graphql_error,
)
from opscore.api.executor import run_with
from opscore.api.fast import shortcut
from opscore.api.guard import INTROSPECTION_FIELDS, Limits, Verdict
from opscore.api.http import Answer, GraphQLRequest
from opscore.api.mutations import Mutation
from opscore.api.throttle import Throttle
from opscore.api.trusted import TrustedDocuments
from opscore.domain.command import READ, WRITE, Actor
from opscore.permissions import OPERATES, may_ask, may_follow, may_operate
from opscore.tokens import RoleNotHeld, TokenRefused


class BadVariables(BadInput, ValidationFailed):
    """Variables that do not fit their types; each fault is shown."""

    CODE = BadInput.CODE

    def __init__(self, errors: list[GraphQLError]) -> None:
        super().__init__("These variables do not fit the document.")
        self.errors = errors


class GraphQLEngine:
    """Runs requests against one schema."""

    def __init__(
        self,
        schema: GraphQLSchema,
        services: Services,
        limits: Limits,
        *,
        introspection: bool = True,
        suggestions: bool = True,
        commands: Mapping[str, Mutation] | None = None,
        compiled: bool = True,
        throttle: Throttle | None = None,
        trusted: TrustedDocuments | None = None,
    ) -> None:
        """Run requests against a schema.

        introspection: whether anybody may read the schema. suggestions: whether errors say "did you mean".
        commands: the mutations that may take the shortcut; None switches it off. compiled: whether plain selections
        are compiled. throttle: the points that tokens have; None for as many as they like. trusted: the documents that
        are known by name, and may be all that is run.
        """
        self._schema = schema
        self._services = services
        self._documents = Documents(schema, limits, suggestions=suggestions)
        self._introspection = introspection
        self._suggestions = suggestions
        self._commands = commands
        self._compiled = compiled
        self._throttle = throttle
        self._trusted = trusted
        self._asking: dict[tuple[str, str | None], asyncio.Task[Actor]] = {}

    def _document(self, request: GraphQLRequest) -> Document:
        """Return the document of a request, sent or named; raises ApiError."""
        text = request.query
        if text is None:
            if self._trusted is None:
                raise DocumentUnknown("This server knows no documents by name; send the document itself.")
            text = self._trusted.find(request.document_id or "")
        elif self._trusted is not None:
            self._trusted.require(text)
        return self._documents.get(text)

    async def run(self, request: GraphQLRequest) -> Answer:
        """Return the answer; raises ApiError when the request is not run."""
        actor = None
        if request.authorization is not None:
            actor = await self.authenticate(request.authorization, request.role)
        document = self._document(request)
        operation = document.operation(request.operation_name)
        if request.read_only and is_mutation(operation):
            raise MethodNotAllowed("Send mutations by POST.", allow="POST")
        if is_subscription(operation):
            raise SubscriptionNeedsSocket("Subscriptions are taken over a websocket (graphql-transport-ws) here.")
        return await self._answer(request, actor, document, operation)

    async def start(self, request: GraphQLRequest, actor: Actor) -> Answer | AsyncGenerator[Answer, None]:
        """Return the answer, or for a subscription its answers; raises ApiError when the request is not run."""
        document = self._document(request)
        operation = document.operation(request.operation_name)
        if not is_subscription(operation):
            return await self._answer(request, actor, document, operation)
        verdict = self._documents.judge(document, operation, request.variables)
        for name in verdict.root_fields:
            if not may_follow(actor.role, name):
                raise Forbidden(f"Your role ({actor.role}) may not follow {name}.")
            _require_scope(actor, READ, name)
        if self._throttle is not None and request.authorization is not None:
            # For the start alone: what comes is paced by how fast the client reads.
            self._throttle.take(self._throttle.key_of(request.authorization), verdict.measure.cost)
        return self._follow(document, request, actor)

    async def _answer(
        self, request: GraphQLRequest, actor: Actor | None, document: Document, operation: OperationDefinitionNode
    ) -> Answer:
        verdict = self._documents.judge(document, operation, request.variables)
        self._require_permitted(actor, verdict.root_fields, is_mutation(operation))
        throttle = self._throttle
        if throttle is None or request.authorization is None:
            body, _ = await self._body(request, actor, document, operation, verdict)
            return Answer(body, ran=True)
        bucket, requested = throttle.key_of(request.authorization), max(1, verdict.measure.cost)
        throttle.take(bucket, requested)
        unused = requested - 1  # Unless it is answered: nothing is free, a mistake neither.
        try:
            body, unused = await self._body(request, actor, document, operation, verdict)
        finally:
            throttle.give_back(bucket, unused)
        # Every body is one object, so it ends with a brace.
        return Answer(body[:-1] + b"," + throttle.extension(bucket, requested, requested - unused) + b"}", ran=True)

    async def _body(
        self,
        request: GraphQLRequest,
        actor: Actor | None,
        document: Document,
        operation: OperationDefinitionNode,
        verdict: Verdict,
    ) -> tuple[bytes, int]:
        """Return the answer and how much of what the request may cost it did not."""
        name = operation.name.value if operation.name else None
        if self._commands is not None and is_mutation(operation):
            assert actor is not None
            if name not in document.shortcuts:
                document.shortcuts[name] = shortcut(operation, self._commands)
            quick = document.shortcuts[name]
            if quick is not None:
                context = Context(self._services, actor, request.request_id)
                body = await quick.run(request.variables, context)
                if body is not None:
                    return body, 0
        settled = verdict.introspects and not request.variables
        if settled and name in document.answers:
            return document.answers[name], 0
        result = await self._execute(document, request, actor)
        body = self._encoded(result, request.request_id)
        if settled:
            document.answers[name] = body
        return body, verdict.unused(result.data)

    async def _execute(self, document: Document, request: GraphQLRequest, actor: Actor | None) -> ExecutionResult:
        running = execute(
            self._schema,
            document.node,
            context_value=Context(self._services, actor, request.request_id),
            variable_values=request.variables,
            operation_name=request.operation_name,
            hide_suggestions=not self._suggestions,
            **run_with(document.plans if self._compiled else None),
        )
        result: ExecutionResult = await running if isawaitable(running) else running
        if result.errors and result.data is None and all(error.path is None for error in result.errors):
            raise BadVariables(result.errors)
        return result

    async def _follow(self, document: Document, request: GraphQLRequest, actor: Actor) -> AsyncGenerator[Answer, None]:
        starting = subscribe(
            self._schema,
            document.node,
            context_value=Context(self._services, actor, request.request_id),
            variable_values=request.variables,
            operation_name=request.operation_name,
            hide_suggestions=not self._suggestions,
        )
        source: Any = await starting if isawaitable(starting) else starting
        if isinstance(source, ExecutionResult):
            faults = source.errors or []
            if all(fault.path is None for fault in faults):
                raise BadVariables(faults)
            raise faults[0]
        try:
            async for result in source:
                yield Answer(self._encoded(result, request.request_id), ran=True)
        finally:
            await source.aclose()

    def _encoded(self, result: ExecutionResult, request_id: str) -> bytes:
        if not result.errors:
            return orjson.dumps({"data": result.data})
        errors = [format_graphql_error(error, request_id) for error in result.errors]
        return orjson.dumps({"errors": errors, "data": result.data})

    def recall(self, authorization: str, role: str | None = None) -> None:
        """Raise NotAuthenticated when the token is known to be no longer good for this role; asks nobody."""
        try:
            self._services.tokens.recall(authorization, role)
        except (TokenRefused, RoleNotHeld) as refused:
            raise NotAuthenticated(str(refused)) from None

    async def authenticate(self, authorization: str, role: str | None = None) -> Actor:
        """Return who asks, in the role that is asked for by name; raises NotAuthenticated, Forbidden."""
        tokens = self._services.tokens
        try:
            known = tokens.recall(authorization, role)
            if known is None:
                known = await asyncio.shield(self._asked(authorization, role))
        except TokenRefused as refused:
            raise NotAuthenticated(str(refused)) from None
        except RoleNotHeld as refused:
            raise Forbidden(str(refused)) from None
        return known

    def _asked(self, authorization: str, role: str | None) -> asyncio.Task[Actor]:
        """Ask the database about a token, once for all requests that wait for the answer."""
        asking = self._asking.get((authorization, role))
        if asking is None:
            asking = asyncio.create_task(self._services.identify(authorization, role))
            self._asking[authorization, role] = asking
            asking.add_done_callback(lambda _: self._asking.pop((authorization, role), None))
        return asking

    def _require_permitted(self, actor: Actor | None, root_fields: tuple[str, ...], mutation: bool) -> None:
        for name in root_fields:
            if name == "__typename":
                continue
            if name in INTROSPECTION_FIELDS:
                if not self._introspection and (actor is None or not may_ask(actor.role, "events")):
                    raise Forbidden("Introspection is switched off here.")
            elif actor is None:
                raise NotAuthenticated("Send 'Authorization: Bearer <token>'.")
            elif mutation and name in OPERATES:
                if not may_operate(actor.role, name):
                    raise Forbidden(f"Your role ({actor.role}) may not do {name}.")
                _require_scope(actor, WRITE, name)
            elif not mutation:
                # Whether a command may be given is answered by the command itself, as a refusal that is kept.
                if not may_ask(actor.role, name):
                    raise Forbidden(f"Your role ({actor.role}) may not ask for {name}.")
                _require_scope(actor, READ, name)


def _require_scope(actor: Actor, kind: str, name: str) -> None:
    """Refuse what the token was not given for; who it is of may always be asked."""
    if name != "viewer" and not actor.covers(kind, name):
        raise Forbidden(f"Your token was not given for {name}; use one that was.")
