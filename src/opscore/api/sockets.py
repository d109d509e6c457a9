"""GraphQL over websockets (subprotocol graphql-transport-ws): which messages are taken, and when a socket is cut.

A socket is authorised by a bearer token, in the payload of `connection_init` or in the header of the handshake, never
by a cookie; and a browser's handshake from another origin is refused. Each subscription is pulled: its next event is
read when the one before has been handed to the connection, so that a client that does not read makes us wait, not keep.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, MutableMapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

import orjson
from starlette.types import Receive, Scope, Send

from opscore.api.counting import RequestCounts
from opscore.api.errors import (
    ApiError,
    Forbidden,
    MalformedRequest,
    NotAuthenticated,
    NotReady,
    NotServed,
    Throttled,
    TooManyOperations,
    cause_of,
    log_unexpected,
    masked,
)
from opscore.api.http import (
    Answer,
    GraphQLRequest,
    address_of_scope,
    checked_request,
    error_list,
    headers_of_scope,
    new_request_id,
    parse_json,
)
from opscore.domain.command import Actor
from opscore.tokens import ROLE_HEADER

SUBPROTOCOL = "graphql-transport-ws"
ID_MAX = 128

GOING_AWAY = 1001
INTERNAL_ERROR = 1011
TRY_AGAIN_LATER = 1013
"""Clients come back after this one; after 1011 those of graphql-ws never do."""
BAD_REQUEST = 4400
UNAUTHORIZED = 4401
FORBIDDEN = 4403
INIT_TIMEOUT = 4408
SUBSCRIBER_EXISTS = 4409
TOO_SLOW = 4413
"""Our own: the client has not read for too long. It may come back and go on behind its last position."""
TOO_MANY_INITS = 4429


@dataclass(frozen=True, slots=True)
class SocketLimits:
    """The most that one socket may hold or take, times in seconds."""

    operations: int = 100
    init_seconds: float = 10.0
    stalled_seconds: float = 10.0
    """How long one message may wait for a client that does not read."""
    farewell_seconds: float = 10.0
    """How long the close code of a cut socket may wait for it."""
    token_seconds: float = 3.0
    """How often a token is looked at again."""


class SocketEngine(Protocol):
    """Runs what is asked over a socket."""

    async def authenticate(self, authorization: str, address: str, role: str | None = None) -> Actor:
        """Return who asks, in the role that is asked for by name; raises NotAuthenticated, Forbidden or Throttled."""

    def recall(self, authorization: str, role: str | None = None) -> None:
        """Raise NotAuthenticated when the token is known to be no longer good for this role; asks nobody."""

    async def start(self, request: GraphQLRequest, actor: Actor) -> Any:
        """Return an Answer, or an asynchronous generator of them for a subscription; raises ApiError."""


class _Close(Exception):
    """The socket is to be closed."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class SocketEndpoint:
    """The ASGI application behind `/graphql` for websockets."""

    def __init__(
        self,
        engine: SocketEngine,
        limits: SocketLimits | None = None,
        *,
        origins: Collection[str] = (),
        counts: RequestCounts | None = None,
    ) -> None:
        """origins: of other pages from which sockets are opened too, as browsers name them; `*` stands for all.

        counts: where sockets are counted.
        """
        self.engine = engine
        self.origins = frozenset(origins)
        self.limits = limits or SocketLimits()
        self.counts = counts or RequestCounts()
        self.sessions: set[_Session] = set()
        self._leaving = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one socket until it ends."""
        await receive()
        # The server logs each handshake with its query string, which means nothing here and may hold personal data.
        scope["query_string"] = b""
        refusal = self._refusal(scope)
        if refusal is not None:
            return await _refuse(scope, send, refusal)
        await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL})
        session = _Session(self, scope, receive, send)
        scope["headers"] = []  # Read: a kilobyte that would be kept for as long as the socket is open.
        self.sessions.add(session)
        try:
            with self.counts.sockets.track_inprogress():
                await session.run()
        finally:
            self.sessions.discard(session)
        return None

    def _refusal(self, scope: Scope) -> ApiError | None:
        """Return why this socket is not opened."""
        if self._leaving:
            return NotReady("This server is about to stop.")
        headers = headers_of_scope(scope)
        origin = headers.get("origin")
        if origin is not None and not self._is_welcome(origin, headers.get("host", "")):
            return Forbidden("Sockets are not opened from pages of other sites.")
        if SUBPROTOCOL not in scope.get("subprotocols", ()):
            return MalformedRequest(f"Speak the subprotocol {SUBPROTOCOL}.")
        return None

    def _is_welcome(self, origin: str, host: str) -> bool:
        return urlsplit(origin).netloc.lower() == host.lower() or not self.origins.isdisjoint({origin, "*"})

    async def close(self) -> None:
        """Say goodbye on every socket and take no other; returns when all are closed, or two seconds later."""
        self._leaving = True
        for session in self.sessions:
            session.end(_Close(GOING_AWAY, "The server is about to stop; connect again."))
        for _ in range(100):
            if not self.sessions:
                break
            await asyncio.sleep(0.02)


class NoSocket:
    """The ASGI application behind every other path for websockets: it refuses the handshake."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Say where sockets are opened."""
        await receive()
        scope["query_string"] = b""
        await _refuse(scope, send, NotServed("Sockets are opened at /graphql."))


async def _refuse(scope: Scope, send: Send, error: ApiError) -> None:
    """Answer the handshake with an error."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close"})
        return
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    await send({"type": "websocket.http.response.start", "status": error.STATUS, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": orjson.dumps({"errors": error_list(error)})})


class _Session:
    """One socket and what runs over it; thousands of them wait at a time, so each keeps little."""

    def __init__(self, endpoint: SocketEndpoint, scope: Scope, receive: Receive, send: Send) -> None:
        headers = headers_of_scope(scope)
        self._engine = endpoint.engine
        self._limits = endpoint.limits
        self._counts = endpoint.counts
        self._authorization = headers.get("authorization")
        self._role = headers.get(ROLE_HEADER.lower())
        self._address = address_of_scope(scope)
        self._receive = receive
        self._asgi_send = send
        self._actor: Actor | None = None
        self._initialised = False
        self._operations: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._sending = asyncio.Lock()
        self._open = asyncio.timeout(None)
        self._is_read = True
        self._closing: _Close | None = None
        self._next_look: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Serve until the client leaves or the socket has to be closed."""
        try:
            close = await self._until_closed()
        finally:
            if self._next_look is not None:
                self._next_look.cancel()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        if close is not None:
            self._counts.closed(close.code)
            try:
                async with asyncio.timeout(self._limits.farewell_seconds):
                    await self._asgi_send(
                        {"type": "websocket.close", "code": close.code, "reason": _short(close.reason)}
                    )
            except (OSError, TimeoutError):
                pass  # Nobody is there to be told.

    async def _until_closed(self) -> _Close | None:
        """Read until the client leaves, None, or the socket has to be closed."""
        try:
            async with self._open:
                await self._read()
        except _Close as close:
            return self._closing or close
        except OSError:
            pass  # The connection is gone, or `end` let its deadline pass.
        except Exception as error:
            request_id = new_request_id()
            log_unexpected(error, request_id)
            return _Close(INTERNAL_ERROR, f"Something went wrong on our side; tell us the id {request_id}.")
        finally:
            self._is_read = False
        return self._closing

    def end(self, close: _Close) -> None:
        """Have the socket closed; the first reason stands."""
        if self._closing is None and self._is_read:
            self._closing = close
            # What is being read for ends as at a deadline.
            self._open.reschedule(asyncio.get_running_loop().time())

    # What comes in -----------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout_at(loop.time() + self._limits.init_seconds):
                while not self._initialised:
                    if not await self._take(await self._receive()):
                        return
        except TimeoutError:
            raise _Close(INIT_TIMEOUT, "Connection initialisation timeout") from None
        self._look_later()
        while await self._take(await self._receive()):
            pass

    async def _take(self, message: MutableMapping[str, Any]) -> bool:
        """Deal with one message; return whether the client is still there."""
        if message["type"] == "websocket.disconnect":
            return False
        text = message.get("text")
        if text is None:
            raise _Close(BAD_REQUEST, "Messages are text.")
        try:
            given = parse_json(text.encode("utf-8", "surrogatepass"))
        except MalformedRequest as error:
            raise _Close(BAD_REQUEST, error.message) from None
        if not isinstance(given, dict):
            raise _Close(BAD_REQUEST, "A message is a JSON object.")
        kind, payload = given.get("type"), given.get("payload")
        if kind in ("connection_init", "ping", "pong") and payload is not None and not isinstance(payload, dict):
            raise _Close(BAD_REQUEST, f"The payload of {kind} is an object.")
        if kind == "connection_init":
            await self._initialise(payload or {})
        elif kind == "ping":
            await self._send({"type": "pong"} if payload is None else {"type": "pong", "payload": payload})
        elif kind == "subscribe":
            await self._subscribe(given.get("id"), payload)
        elif kind == "complete":
            running = self._operations.pop(_checked_id(given.get("id")), None)
            if running is not None:
                running.cancel()
        elif kind != "pong":
            raise _Close(BAD_REQUEST, "There is no message of that type.")
        return True

    async def _initialise(self, payload: dict[str, Any]) -> None:
        if self._initialised:
            raise _Close(TOO_MANY_INITS, "Too many initialisation requests")
        self._initialised = True
        given = payload.get("authorization", payload.get("Authorization", self._authorization))
        if not isinstance(given, str):
            raise _Close(FORBIDDEN, 'Forbidden: send {"authorization": "Bearer <token>"} with connection_init.')
        role = payload.get("role", self._role)
        if role is not None and not isinstance(role, str):
            raise _Close(FORBIDDEN, "Forbidden: role names one of the roles that the token gives.")
        self._role = role
        try:
            self._actor = await self._engine.authenticate(given, self._address, role)
        except (NotAuthenticated, Forbidden, Throttled) as error:
            raise _Close(FORBIDDEN, f"Forbidden: {error.message}") from None
        except NotReady:
            raise _Close(TRY_AGAIN_LATER, "The database does not answer; connect again in a moment.") from None
        self._authorization = given
        await self._send({"type": "connection_ack"})

    async def _subscribe(self, operation_id: Any, payload: Any) -> None:
        if self._actor is None:
            raise _Close(UNAUTHORIZED, "Unauthorized")
        operation_id = _checked_id(operation_id)
        if operation_id in self._operations:
            raise _Close(SUBSCRIBER_EXISTS, f"Subscriber for {operation_id} already exists")
        try:
            request = checked_request(payload, False, self._authorization, new_request_id(), self._address)
        except MalformedRequest as error:
            raise _Close(BAD_REQUEST, error.message) from None
        if len(self._operations) >= self._limits.operations:
            refusal = TooManyOperations(f"One socket carries at most {self._limits.operations} operations at once.")
            await self._send({"id": operation_id, "type": "error", "payload": error_list(refusal)})
            return
        self._operations[operation_id] = self._run_task(self._operate(operation_id, request, self._actor))

    # What goes out -----------------------------------------------------------------------------------------------

    def _run_task(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _operate(self, operation_id: str, request: GraphQLRequest, actor: Actor) -> None:
        last: dict[str, Any] = {"id": operation_id, "type": "complete"}
        try:
            started = await self._engine.start(request, actor)
            if isinstance(started, Answer):
                await self._next(operation_id, started)
            else:
                async with aclosing(started) as answers:
                    async for answer in answers:
                        await self._next(operation_id, answer)
        except _Close as close:
            self.end(close)
            return
        except OSError:
            return  # The connection is gone, which the reader notices as well.
        except Exception as error:
            last = {"id": operation_id, "type": "error", "payload": _shown(error, request.request_id)}
        # From here on the client may use the id again.
        self._operations.pop(operation_id, None)
        try:
            await self._send(last)
        except _Close as close:
            self.end(close)
        except OSError:
            pass

    async def _next(self, operation_id: str, answer: Answer) -> None:
        assert self._authorization is not None
        try:
            self._engine.recall(self._authorization, self._role)
        except NotAuthenticated as error:
            raise _Close(FORBIDDEN, f"Forbidden: {error.message}") from None
        head = b'{"id":' + orjson.dumps(operation_id) + b',"type":"next","payload":'
        await self._send_text((head + answer.body + b"}").decode())
        # A connection that takes everything at once would otherwise keep all others waiting.
        await asyncio.sleep(0)

    async def _send(self, message: dict[str, Any]) -> None:
        await self._send_text(orjson.dumps(message).decode())

    async def _send_text(self, text: str) -> None:
        async with self._sending:
            try:
                async with asyncio.timeout(self._limits.stalled_seconds):
                    await self._asgi_send({"type": "websocket.send", "text": text})
            except TimeoutError:
                raise _Close(TOO_SLOW, "Too slow: go on behind the last position that came.") from None

    def _look_later(self) -> None:
        """Have the token looked at again after a while; a timer: a task that sleeps keeps four times as much."""
        self._next_look = asyncio.get_running_loop().call_later(self._limits.token_seconds, self._look)

    def _look(self) -> None:
        self._run_task(self._look_at_token())

    async def _look_at_token(self) -> None:
        assert self._authorization is not None
        try:
            await self._engine.authenticate(self._authorization, self._address, self._role)
        except (NotAuthenticated, Forbidden) as error:
            self.end(_Close(FORBIDDEN, f"Forbidden: {error.message}"))
            return
        except NotReady:
            pass  # Nothing comes from it either until it answers.
        except Exception as error:
            log_unexpected(error, "token")
        self._look_later()


def _checked_id(given: Any) -> str:
    if not isinstance(given, str) or not 0 < len(given) <= ID_MAX:
        raise _Close(BAD_REQUEST, f"An id is a string of 1 to {ID_MAX} characters.")
    return given


def _shown(error: Exception, request_id: str) -> list[dict[str, Any]]:
    """Return an error that ended an operation, as the client may see it."""
    cause = cause_of(error)
    if isinstance(cause, ApiError):
        return error_list(cause)
    return [masked(cause, request_id)]


def _short(reason: str) -> str:
    """Return as much of a reason as a close frame holds (123 bytes)."""
    return reason.encode()[:123].decode(errors="ignore")
