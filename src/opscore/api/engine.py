"""Runs a request: who asks, which document, may they, what comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Mapping
from inspect import isawaitable
from typing import Any, cast

import orjson
from graphql import ExecutionResult, GraphQLError, GraphQLSchema, execute, subscribe
from graphql.language import OperationDefinitionNode

from opscore.api.context import Context, Services
from opscore.api.counting import RequestCounts, TimedRequest
from opscore.api.documents import Document, Documents, is_mutation, is_subscription
from opscore.api.errors import (
    BadInput,
    ClientLeft,
    DocumentUnknown,
    Forbidden,
    MethodNotAllowed,
    NotAuthenticated,
    NotReady,
    SubscriptionNeedsSocket,
    TimedOut,
    ValidationFailed,
    cause_of,
    format_graphql_error,
)
from opscore.api.executor import run_with
from opscore.api.fast import shortcut
from opscore.api.guard import INTROSPECTION_FIELDS, Limits, Verdict
from opscore.api.http import Answer, GraphQLRequest
from opscore.api.mutations import Mutation
from opscore.api.patience import Patience
from opscore.api.throttle import ENTRY, Account, Throttle
from opscore.api.trusted import TrustedDocuments
from opscore.deadlines import CURRENT as DEADLINE, Deadline
from opscore.domain.command import READ, WRITE, Actor
from opscore.permissions import OF_REPLAY, OPERATES, REPLAYS, may_ask, may_follow, may_operate
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
        strangers: Throttle | None = None,
        trusted: TrustedDocuments | None = None,
        counts: RequestCounts | None = None,
        read_seconds_max: float = 10.0,
    ) -> None:
        """Run requests against a schema.

        introspection: whether anybody may read the schema. suggestions: whether errors say "did you mean".
        commands: the mutations that may take the shortcut. compiled: whether plain selections are compiled and the
        shortcut is taken; off, all goes through the stock executor. throttle: the points that tokens have, strangers:
        those of addresses that show none that is known; None for as many as they like. trusted: the documents that are
        known by name, and may be all that is run. counts: where requests are counted.
        read_seconds_max: how long a query may take; a mutation takes as long as it takes.
        """
        self._schema = schema
        self._services = services
        self._documents = Documents(schema, limits, suggestions=suggestions)
        self._introspection = introspection
        self._suggestions = suggestions
        self._commands = commands if compiled else None
        self._compiled = compiled
        self._throttle = throttle
        self._strangers = strangers
        self._trusted = trusted
        self._counts = counts or RequestCounts()
        self._read_seconds_max = read_seconds_max
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
        with self._counts.timed() as timed:
            actor = None
            if request.authorization is not None:
                actor = await self.authenticate(request.authorization, request.address, request.role)
            account = self._account(request)
            document, operation = self._resolved(request, timed)
            if request.read_only and is_mutation(operation):
                raise MethodNotAllowed("Send mutations by POST.", allow="POST")
            if is_subscription(operation):
                raise SubscriptionNeedsSocket("Subscriptions are taken over a websocket (graphql-transport-ws) here.")
            answer = await self._answer(request, actor, document, operation, account)
            timed.answered(answer.body)
            return answer

    async def start(self, request: GraphQLRequest, actor: Actor) -> Answer | AsyncGenerator[Answer, None]:
        """Return the answer, or for a subscription its answers; raises ApiError when the request is not run."""
        with self._counts.timed() as timed:
            account = self._account(request)
            document, operation = self._resolved(request, timed)
            if is_subscription(operation):
                self._require_followable(request, actor, document, operation, account)
                return self._follow(await self._source(document, request, actor), request.request_id)
            answer = await self._answer(request, actor, document, operation, account)
            timed.answered(answer.body)
            return answer

    def _resolved(self, request: GraphQLRequest, timed: TimedRequest) -> tuple[Document, OperationDefinitionNode]:
        """Return the document of a request and which of its operations is to be run; raises ApiError."""
        document = self._document(request)
        operation = document.operation(request.operation_name)
        timed.operation = operation.operation.value
        if document.deprecated:
            self._counts.deprecated(document.deprecated)
        return document, operation

    def _require_followable(
        self,
        request: GraphQLRequest,
        actor: Actor,
        document: Document,
        operation: OperationDefinitionNode,
        account: Account,
    ) -> None:
        verdict = self._documents.judge(document, operation, request.variables)
        for name in verdict.root_fields:
            if not may_follow(actor.role, name):
                raise Forbidden(f"Your role ({actor.role}) may not follow {name}.")
            _require_scope(actor, READ, name)
        # For the start alone: what comes is paced by how fast the client reads.
        account.take(verdict.measure.cost)

    def _account(self, request: GraphQLRequest) -> Account:
        """Return where a request's points are taken from, the first of them taken; raises Throttled.

        Before its document is looked at, since a bad one costs us as much as a good one.
        """
        if request.authorization is None:
            return self._stranger(request.address)
        return Account(self._throttle, Throttle.key_of(request.authorization))

    def _stranger(self, address: str) -> Account:
        return Account(self._strangers, Throttle.key_of_address(address))

    async def _answer(
        self,
        request: GraphQLRequest,
        actor: Actor | None,
        document: Document,
        operation: OperationDefinitionNode,
        account: Account,
    ) -> Answer:
        verdict = self._documents.judge(document, operation, request.variables)
        self._require_permitted(actor, verdict.root_fields, is_mutation(operation))
        if request.replay is not None:
            self._require_of_replay(actor, verdict.root_fields)
        requested = max(ENTRY, verdict.measure.cost)
        account.take(requested)
        unused = requested - ENTRY  # Unless it is answered: nothing is free, a mistake neither.
        try:
            body, unused = await self._body(request, actor, document, operation, verdict)
        except (ClientLeft, asyncio.CancelledError):
            unused = 0  # As for one that took too long: the work was done, whoever wants to see it.
            raise
        finally:
            account.give_back(unused)
        extension = None if actor is None else account.extension(requested, requested - unused)
        if extension is not None:
            # Every body is one object, so it ends with a brace.
            body = body[:-1] + b"," + extension + b"}"
        return Answer(body, ran=True, headers=document.headers)

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
        if is_mutation(operation):
            # Never left before it is answered: what was decided stays decided.
            result = await self._execute(document, request, actor)
        else:
            result = await self._timely(document, request, actor)
        body = self._encoded(result, request.request_id)
        if result.errors and any(isinstance(each.original_error, TimedOut) for each in result.errors):
            return body, 0
        if settled:
            document.answers[name] = body
        return body, verdict.unused(result.data)

    async def _timely(self, document: Document, request: GraphQLRequest, actor: Actor | None) -> ExecutionResult:
        """Return the result of a query; when it takes too long, end what it reads and say so in place of its data.

        When its client leaves, end what it reads as well; raises ClientLeft.
        """
        deadline = Deadline()
        token = DEADLINE.set(deadline)
        patience = Patience(self._read_seconds_max, request.leaving)
        try:
            running = self._begin(document, request, actor, self._services) if request.replay is None else None
            if isinstance(running, ExecutionResult):
                return _require_run(running)  # It waited for nothing, so there is nothing to be patient about.
            async with patience:
                return _require_run(await running) if running else await self._execute(document, request, actor)
        except TimeoutError:
            if not patience.expired:
                raise
            _end(deadline)
            if patience.client_left:
                raise ClientLeft from None
            late = TimedOut()
            return ExecutionResult(None, [GraphQLError(late.message, original_error=late)])
        except asyncio.CancelledError:
            # What runs over a socket is cancelled with it, and when its client wants no answer any more.
            _end(deadline)
            raise
        finally:
            DEADLINE.reset(token)

    async def _execute(self, document: Document, request: GraphQLRequest, actor: Actor | None) -> ExecutionResult:
        services = self._services
        if request.replay is not None:
            services = await services.read(services.of_replay, request.replay)
        running = self._begin(document, request, actor, services)
        return _require_run(running if isinstance(running, ExecutionResult) else await running)

    def _begin(
        self, document: Document, request: GraphQLRequest, actor: Actor | None, services: Services
    ) -> ExecutionResult | Awaitable[ExecutionResult]:
        """Run an operation as far as it goes without waiting."""
        return execute(
            self._schema,
            document.node,
            context_value=Context(services, actor, request.request_id),
            variable_values=request.variables,
            operation_name=request.operation_name,
            hide_suggestions=not self._suggestions,
            **run_with(document.plans if self._compiled else None),
        )

    async def _source(
        self, document: Document, request: GraphQLRequest, actor: Actor
    ) -> AsyncGenerator[ExecutionResult, None]:
        """Begin a subscription and return what comes of it; raises ApiError, or GraphQLError for a fault of ours."""
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
            raise cause_of(faults[0])
        return cast("AsyncGenerator[ExecutionResult, None]", source)

    async def _follow(
        self, source: AsyncGenerator[ExecutionResult, None], request_id: str
    ) -> AsyncGenerator[Answer, None]:
        with self._counts.subscriptions.track_inprogress():
            try:
                async for result in source:
                    yield Answer(self._encoded(result, request_id), ran=True)
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

    async def authenticate(self, authorization: str, address: str, role: str | None = None) -> Actor:
        """Return who asks; raises NotAuthenticated, Throttled where too many unknown tokens come from an address, or
        NotReady when nobody says it in time.

        address: where the request came from, as far as we know. role: the one to act in, of those that the token gives;
        raises Forbidden for another.
        """
        tokens = self._services.tokens
        try:
            known = tokens.recall(authorization, role)
        except TokenRefused as refused:
            self._stranger(address)
            raise NotAuthenticated(str(refused)) from None
        except RoleNotHeld as refused:
            raise Forbidden(str(refused)) from None
        if known is not None:
            return known
        # Whoever was somebody shortly ago does not suffer from strangers at the same address.
        stranger = None if tokens.was_good(authorization) else self._stranger(address)
        try:
            async with asyncio.timeout(self._read_seconds_max):
                known = await asyncio.shield(self._asked(authorization, role))
        except TokenRefused as refused:
            raise NotAuthenticated(str(refused)) from None
        except RoleNotHeld as refused:
            if stranger is not None:
                stranger.give_back(ENTRY)
            raise Forbidden(str(refused)) from None
        except TimeoutError:
            raise NotReady(
                "Nobody says in time whose token this is; send the same request again in a moment."
            ) from None
        if stranger is not None:
            stranger.give_back(ENTRY)
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

    def _require_of_replay(self, actor: Actor | None, root_fields: tuple[str, ...]) -> None:
        """Refuse what a replay does not answer, a mutation among it, and whoever may not ask for rows of any kind."""
        if actor is None or not may_ask(actor.role, REPLAYS):
            raise Forbidden("Only who may ask projectionRows may ask a replay; leave the header Opscore-Replay out.")
        _require_scope(actor, READ, REPLAYS)
        for name in root_fields:
            if name not in OF_REPLAY and name != "__typename":
                raise BadInput(f"{name} is not answered by a replay; leave the header Opscore-Replay out.")


def _require_run(result: ExecutionResult) -> ExecutionResult:
    """Return a result of an operation that was run; raises BadVariables for one that was not."""
    if result.errors and result.data is None and all(error.path is None for error in result.errors):
        raise BadVariables(result.errors)
    return result


def _end(deadline: Deadline) -> None:
    """Let a deadline pass now."""
    deadline.passed = True
    # Not awaited, and not by the threads that read: they may all be waiting for this.
    asyncio.get_running_loop().run_in_executor(None, deadline.cancel)


def _require_scope(actor: Actor, kind: str, name: str) -> None:
    """Refuse what the token was not given for; who it is of may always be asked."""
    if name != "viewer" and not actor.covers(kind, name):
        raise Forbidden(f"Your token was not given for {name}; use one that was.")
