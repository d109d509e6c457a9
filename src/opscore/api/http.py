"""GraphQL over HTTP: which requests are taken, in which media type they are answered, and with which status.

Follows the GraphQL-over-HTTP draft as its audit suite (npm `graphql-http`) tests it: under
`application/graphql-response+json` a document that cannot be run is answered 400 without `data`, under
`application/json` it is answered 200.

Requests are authorised by a bearer token alone, never by a cookie, and a POST has to be `application/json`; so another
site cannot make a browser send a request that carries anybody's rights.
"""

from __future__ import annotations

import functools
import json
import random
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import orjson
from starlette.datastructures import QueryParams
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from opscore.api.errors import (
    ApiError,
    BadInput,
    BodyTooLarge,
    BodyTooSlow,
    DocumentNotTrusted,
    DocumentUnknown,
    MalformedRequest,
    MethodNotAllowed,
    NotAcceptable,
    OperationNotResolved,
    ParseFailed,
    TooComplex,
    UnsupportedMediaType,
    ValidationFailed,
    format_api_error,
    masked,
)
from opscore.api.explorer import CONTENT_SECURITY_POLICY
from opscore.api.guard import Limits
from opscore.api.patience import Leaving, at_once_or_within
from opscore.tokens import ROLE_HEADER

JSON = "application/json"
GRAPHQL_JSON = "application/graphql-response+json"
HTML = "text/html"

REPLAY = "opscore-replay"
"""The header that names a replay to be asked."""

ANSWERED_IN_200 = (
    ParseFailed,
    ValidationFailed,
    TooComplex,
    OperationNotResolved,
    BadInput,
    DocumentUnknown,
    DocumentNotTrusted,
)
"""Faults of a document or its variables: 200 under application/json, 400 under the media type of GraphQL."""

PARAMETERS = ("query", "documentId", "operationName", "variables", "extensions")
"""What a request is made of, by GET as in the members of a body."""

_QUOTED = tuple(f'"{name}"'.encode() for name in PARAMETERS)
_ROLE = ROLE_HEADER.lower()
_FOR_ALL_ANSWERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"vary", f"accept, authorization, {_ROLE}".encode()),
)
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True)
class GraphQLRequest:
    """A well-formed request, not yet looked into."""

    query: str | None
    """The document; None when `document_id` names it."""
    variables: dict[str, Any]
    operation_name: str | None
    read_only: bool
    """Whether it came by GET, which must change nothing."""
    authorization: str | None
    request_id: str
    document_id: str | None = None
    address: str = ""
    """Where it came from: the client's, as far as the proxies that the server trusts tell; empty when nobody does."""
    replay: str | None = None
    """The replay that shall be asked in place of what serves."""
    role: str | None = None
    """The role to act in, of those that the token gives; None for its own."""
    leaving: Leaving | None = None
    """Waits until the client leaves; None where whoever runs the request is cancelled then."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The body of an answer, and whether the operation was run at all."""

    body: bytes
    ran: bool
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Engine(Protocol):
    """Runs a request; raises ApiError when it is not run."""

    async def run(self, request: GraphQLRequest) -> Answer:
        """Return the answer."""


class GraphQLEndpoint:
    """The ASGI application behind `/graphql`."""

    def __init__(self, engine: Engine, limits: Limits, explorer: bytes | None) -> None:
        """explorer: the page that a browser gets, or None where there is none."""
        self._engine = engine
        self._limits = limits
        self._explorer = explorer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = headers_of_scope(scope)
        given_id = headers.get("x-request-id", "")
        request_id = given_id if _REQUEST_ID.fullmatch(given_id) else new_request_id()
        media = JSON
        try:
            method = scope["method"]
            if method not in ("GET", "POST"):
                raise MethodNotAllowed("Send queries by GET or POST, mutations by POST.", allow="GET, POST")
            accepted = negotiate(headers.get("accept"), explorer=self._wants_page(scope))
            if accepted is None:
                raise NotAcceptable(f"This endpoint answers in {GRAPHQL_JSON} or {JSON}.")
            media = accepted
            if media == HTML:
                assert self._explorer is not None
                policy = (b"content-security-policy", CONTENT_SECURITY_POLICY.encode())
                await _send(send, 200, "text/html; charset=utf-8", self._explorer, request_id, policy)
                return
            if method == "GET":
                parameters = self._from_query_string(scope)
            else:
                parameters = await self._from_body(headers, receive)
            request = checked_request(
                parameters,
                method == "GET",
                headers.get("authorization"),
                request_id,
                address_of_scope(scope),
                replay=headers.get(REPLAY),
                role=headers.get(_ROLE),
                leaving=functools.partial(_left, receive),
            )
            answer = await self._engine.run(request)
            await _send(send, 200, f"{media}; charset=utf-8", answer.body, request_id, *answer.headers)
        except ApiError as error:
            status = error.STATUS
            if media == JSON and isinstance(error, ANSWERED_IN_200):
                status = 200
            extra = _headers_of(error)
            await _send(
                send, status, f"{media}; charset=utf-8", orjson.dumps({"errors": error_list(error)}), request_id, *extra
            )
        except Exception as error:
            body = orjson.dumps({"errors": [masked(error, request_id)]})
            await _send(send, 500, f"{media}; charset=utf-8", body, request_id)

    def _wants_page(self, scope: Scope) -> bool:
        return (
            self._explorer is not None
            and scope["method"] == "GET"
            and not {"query", "documentId"} & set(QueryParams(scope.get("query_string", b"")))
        )

    def _from_query_string(self, scope: Scope) -> dict[str, Any]:
        raw = scope.get("query_string", b"")
        if len(raw) > self._limits.body_bytes:
            raise BodyTooLarge(f"A request holds at most {self._limits.body_bytes} bytes.")
        given = QueryParams(raw)
        _refuse_repeated(name for name, _ in given.multi_items())
        parameters: dict[str, Any] = {}
        for name in ("query", "documentId", "operationName"):
            if given.get(name):
                parameters[name] = given[name]
        for name in ("variables", "extensions"):
            if given.get(name):
                parameters[name] = parse_json(given[name].encode("utf-8", "surrogatepass"))
        return parameters

    async def _from_body(self, headers: dict[str, str], receive: Receive) -> Any:
        given = headers.get("content-type", "")
        if given != JSON and not _is_json(given):
            raise UnsupportedMediaType(f"Send the request as {JSON}, in UTF-8.")
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise UnsupportedMediaType("Send the body as it is, without compression.")
        body = await self._read(headers, receive)
        parameters = parse_json(body)
        # JSON leaves open which of two members of one name counts, so whoever looked at the request on its way here may
        # have read another one. The second look takes ten times as long, and next to no request needs it.
        suspect = b"\\u00" in body or any(body.count(name) > 1 for name in _QUOTED)
        if suspect and isinstance(parameters, dict):
            _refuse_repeated(_member_names(body))
        return parameters

    async def _read(self, headers: dict[str, str], receive: Receive) -> bytes:
        most = self._limits.body_bytes
        declared = headers.get("content-length", "")
        if declared.isascii() and declared.isdigit() and int(declared[:12]) > most:
            raise BodyTooLarge(f"A request holds at most {most} bytes.")
        try:
            return await at_once_or_within(self._limits.body_seconds, _whole(receive, most))
        except TimeoutError:
            raise BodyTooSlow(f"A request has to be here within {self._limits.body_seconds:g} s.") from None


def _is_json(content_type: str) -> bool:
    """Say whether a media type is that of JSON in UTF-8, however it is spelled."""
    name, _, detail = content_type.partition(";")
    charset = re.fullmatch(r'\s*(?:charset\s*=\s*"?utf-?8"?\s*)?', detail, re.IGNORECASE)
    return name.strip().lower() == JSON and charset is not None


async def _whole(receive: Receive, most: int) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise MalformedRequest("The connection ended before the request did.")
        body += message.get("body", b"")
        if len(body) > most:
            raise BodyTooLarge(f"A request holds at most {most} bytes.")
        if not message.get("more_body", False):
            return bytes(body)


async def _left(receive: Receive) -> None:
    """Return once the client of a request has left, whose body has been read as far as it is read at all."""
    while (await receive())["type"] != "http.disconnect":
        pass  # What of a body is left over: a GET has an empty one.


def new_request_id() -> str:
    """Return an id for a request that has none.

    Nobody gains by guessing one; a secret would be asked of the system, with all other threads let through meanwhile.
    """
    return f"{random.getrandbits(64):016x}"


def headers_of_scope(scope: Scope) -> dict[str, str]:
    """Return the headers by lower-case name; of several with one name, the first."""
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1"), value.decode("latin-1"))
    return found


def address_of_scope(scope: Scope) -> str:
    """Return the address that a request came from; empty where there is none."""
    client = scope.get("client")
    return str(client[0]) if client else ""


@functools.lru_cache(maxsize=64)
def negotiate(accept: str | None, *, explorer: bool) -> str | None:
    """Return the media type to answer in, or None when the client takes none of ours.

    explorer: whether a page can be served instead. It wins only where the client names text/html.
    """
    if not accept:
        return JSON
    ranges = []
    for part in accept.split(",")[:50]:
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    quality = float(parameter[2:])
                except ValueError:
                    quality = 0.0
            elif parameter.startswith("charset=") and parameter[8:].strip('"') not in ("utf-8", "utf8"):
                quality = 0.0
        if 0.0 < quality <= 1.0:
            ranges.append((-quality, name))
    for _, name in sorted(ranges, key=lambda entry: entry[0]):
        if name in (GRAPHQL_JSON, JSON):
            return name
        if name == HTML and explorer:
            return HTML
        if name in ("*/*", "application/*"):
            return JSON
    return None


def parse_json(raw: bytes) -> Any:
    """Return what the bytes say; raises MalformedRequest."""
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise MalformedRequest(
            "The request is not JSON in UTF-8, nests too deeply, or holds a number of hundreds of digits."
        ) from None
    if b"\\u0000" in raw:
        _refuse_nul(value)
    return value


def _member_names(raw: bytes) -> Iterable[str]:
    """Return the names of the members of a JSON object in the order they stand in, repeated ones too."""
    try:
        # Called for each object within as well; the outermost one comes last.
        names: list[str] = json.loads(raw, object_pairs_hook=lambda pairs: [name for name, _ in pairs])
    except RecursionError:
        raise MalformedRequest("The request nests too deeply.") from None
    return names


def _refuse_repeated(names: Iterable[str]) -> None:
    seen = set()
    for name in names:
        if name in PARAMETERS and name in seen:
            raise MalformedRequest(f"The request has `{name}` more than once; send one.")
        seen.add(name)


def _refuse_nul(value: Any) -> None:
    """Refuse the one character that PostgreSQL cannot store; orjson refuses lone surrogates by itself."""
    if isinstance(value, str):
        if "\x00" in value:
            raise MalformedRequest("A string holds the character U+0000, which cannot be stored.")
    elif isinstance(value, dict):
        for key, item in value.items():
            _refuse_nul(key)
            _refuse_nul(item)
    elif isinstance(value, list):
        for item in value:
            _refuse_nul(item)


def checked_request(
    parameters: Any,
    read_only: bool,
    authorization: str | None,
    request_id: str,
    address: str,
    *,
    replay: str | None = None,
    role: str | None = None,
    leaving: Leaving | None = None,
) -> GraphQLRequest:
    """Return the request that these parameters make; raises MalformedRequest. The rest: see `GraphQLRequest`."""
    if not isinstance(parameters, dict):
        raise MalformedRequest("A request is one JSON object with `query`; batches are not taken.")
    query = parameters.get("query")
    document_id = parameters.get("documentId")
    variables = parameters.get("variables")
    operation_name = parameters.get("operationName")
    extensions = parameters.get("extensions")
    if document_id is not None and query == "":
        query = None  # Clients of graphql-ws cannot leave it out.
    if document_id is None:
        if not isinstance(query, str) or not query:
            raise MalformedRequest("`query` has to be a string that holds a GraphQL document.")
    elif query is not None:
        raise MalformedRequest("Send a document, or by `documentId` the name of one, not both.")
    elif not isinstance(document_id, str) or not document_id:
        raise MalformedRequest("`documentId` has to be a string: sha256: and the hash of a document.")
    if variables is not None and not isinstance(variables, dict):
        raise MalformedRequest("`variables` has to be an object.")
    if operation_name is not None and not isinstance(operation_name, str):
        raise MalformedRequest("`operationName` has to be a string.")
    if extensions is not None and not isinstance(extensions, dict):
        raise MalformedRequest("`extensions` has to be an object.")
    return GraphQLRequest(
        query,
        variables or {},
        operation_name or None,
        read_only,
        authorization,
        request_id,
        document_id,
        address,
        replay,
        role,
        leaving,
    )


def error_list(error: ApiError) -> list[dict[str, Any]]:
    """Return an error as the entries of `errors`; a document can have several faults."""
    faults = getattr(error, "errors", None)
    if faults:
        shown: list[dict[str, Any]] = [{**fault.formatted, "extensions": error.extensions} for fault in faults]
    else:
        shown = [format_api_error(error)]
        locations = shown[0]["extensions"].get("locations")
        if locations is not None:
            shown[0]["locations"] = locations
            shown[0]["extensions"] = {"code": error.CODE}
    return shown


def error_response(error: ApiError) -> Response:
    """Return the answer of another address than /graphql to a request that is refused: the same shape, as JSON."""
    headers = {"cache-control": "no-store"}
    headers |= {name.decode(): value.decode() for name, value in _headers_of(error)}
    return Response(orjson.dumps({"errors": error_list(error)}), error.STATUS, headers, JSON)


def _headers_of(error: ApiError) -> list[tuple[bytes, bytes]]:
    if error.STATUS == 408:
        return [(b"connection", b"close")]  # What comes yet of this body would be taken for the next request.
    if error.STATUS == 405:
        return [(b"allow", str(error.extensions.get("allow", "POST")).encode())]
    if error.STATUS == 401:
        return [(b"www-authenticate", b'Bearer realm="opscore"')]
    if error.STATUS == 429:
        return [(b"retry-after", str(error.extensions["retryAfter"]).encode())]
    if error.STATUS == 503:
        return [(b"retry-after", b"1")]
    return []


async def _send(
    send: Send, status: int, content_type: str, body: bytes, request_id: str, *extra: tuple[bytes, bytes]
) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", content_type.encode()),
                (b"content-length", str(len(body)).encode()),
                (b"x-request-id", request_id.encode()),
                *_FOR_ALL_ANSWERS,
                *extra,
            ],
        }
    )
    await send({"type": "http.response.body", "body": body})
