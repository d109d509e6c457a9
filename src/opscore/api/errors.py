"""Errors of the API: what a client did wrong is named with a stable code, what we did wrong is masked with an id."""

from __future__ import annotations

from typing import Any, ClassVar

import structlog
from graphql import GraphQLError
from graphql.error import GraphQLFormattedError

from opscore.logs import exception_facts

log = structlog.get_logger("opscore.api")


class ApiError(Exception):
    """A request that cannot be served as it stands. Subclasses carry a stable code and the HTTP status."""

    CODE: ClassVar[str] = "BAD_REQUEST"
    STATUS: ClassVar[int] = 400

    def __init__(self, message: str, **extensions: Any) -> None:
        super().__init__(message)
        self.message = message
        self.extensions = {"code": self.CODE, **extensions}


class MalformedRequest(ApiError):
    """The request is not a GraphQL request: bad JSON, a missing query, a field of the wrong kind."""

    CODE = "MALFORMED_REQUEST"


class BodyTooLarge(ApiError):
    """The body is longer than the server takes."""

    CODE = "BODY_TOO_LARGE"
    STATUS = 413


class BodyTooSlow(ApiError):
    """The body did not come to its end in time; the connection is closed."""

    CODE = "BODY_TOO_SLOW"
    STATUS = 408


class NotServed(ApiError):
    """There is nothing at this path."""

    CODE = "NOT_FOUND"
    STATUS = 404


class UnsupportedMediaType(ApiError):
    """The body is of another type than application/json."""

    CODE = "UNSUPPORTED_MEDIA_TYPE"
    STATUS = 415


class NotAcceptable(ApiError):
    """The client accepts no media type that the server can answer in."""

    CODE = "NOT_ACCEPTABLE"
    STATUS = 406


class MethodNotAllowed(ApiError):
    """Another method than GET or POST, or a mutation by GET."""

    CODE = "METHOD_NOT_ALLOWED"
    STATUS = 405


class ParseFailed(ApiError):
    """The document is not GraphQL."""

    CODE = "GRAPHQL_PARSE_FAILED"


class DocumentUnknown(ApiError):
    """No document is known by the `documentId` that was sent in place of one."""

    CODE = "PERSISTED_DOCUMENT_NOT_FOUND"


class DocumentNotTrusted(ApiError):
    """The server runs trusted documents only, and this is none of them."""

    CODE = "DOCUMENT_NOT_TRUSTED"


class ValidationFailed(ApiError):
    """The document does not fit the schema."""

    CODE = "GRAPHQL_VALIDATION_FAILED"


class OperationNotResolved(ApiError):
    """The document has several operations and none, or an unknown one, was named."""

    CODE = "OPERATION_RESOLUTION_FAILURE"


class SubscriptionNeedsSocket(ApiError):
    """A subscription was sent over HTTP."""

    CODE = "SUBSCRIPTION_NEEDS_SOCKET"


class TooManyOperations(ApiError):
    """One socket carries no more operations at once."""

    CODE = "TOO_MANY_OPERATIONS"


class TooComplex(ApiError):
    """The document asks for more than one request may."""

    CODE = "QUERY_TOO_COMPLEX"


class BadInput(ApiError):
    """A variable or argument has a value that cannot be used."""

    CODE = "BAD_USER_INPUT"


class BadId(BadInput):
    """A global id that is not one of ours, or of another type."""

    CODE = "INVALID_ID"


class BadCursor(BadInput):
    """A cursor that was not made for this list."""

    CODE = "INVALID_CURSOR"


class PageSize(BadInput):
    """`first` or `last` is missing, doubled or out of range."""

    CODE = "INVALID_PAGE_SIZE"


class TooManyRows(BadInput):
    """A list of commands has no row, or more than one request may have."""

    CODE = "TOO_MANY_ROWS"


class NotAuthenticated(ApiError):
    """No token, or one that is unknown, expired or revoked."""

    CODE = "UNAUTHENTICATED"
    STATUS = 401


class Forbidden(ApiError):
    """The token's role may not ask this."""

    CODE = "FORBIDDEN"
    STATUS = 403


class Overloaded(ApiError):
    """The server has more commands waiting than it takes; nothing was decided, so the same request may be repeated."""

    CODE = "OVERLOADED"
    STATUS = 503


class Throttled(ApiError):
    """The token has used up its points for now, and nothing was run; in `retryAfter` seconds there are enough."""

    CODE = "THROTTLED"
    STATUS = 429


class NotYetVisible(ApiError):
    """The read model has not reached the position asked for; repeat the query a little later."""

    CODE = "NOT_YET_VISIBLE"


class TimedOut(ApiError):
    """A query, or a statement of it, took longer than this server lets it, and was cancelled."""

    CODE = "TIMED_OUT"

    def __init__(self) -> None:
        super().__init__(
            "This took longer than the server lets one question take, and was cancelled. The same question would be"
            " again: narrow it (fewer days, stores or rows, no totalCount), or have the rows written with startExport.",
            retryable=False,
        )


class ClientLeft(ApiError):
    """The connection ended before the answer was there, and what was read for it was cancelled; nobody is told."""

    CODE = "CLIENT_LEFT"
    STATUS = 499  # Of no standard; proxies write it to their logs for this.

    def __init__(self) -> None:
        super().__init__("The connection ended before the answer was there.")


class PositionNotRecorded(BadInput):
    """`atLeast` names a position that the log has not reached, so that there is nothing to wait for."""

    CODE = "POSITION_NOT_RECORDED"


class NotReady(ApiError):
    """A part of the server that this needs is not there (yet)."""

    CODE = "NOT_READY"
    STATUS = 503


class DatabaseAway(NotReady):
    """PostgreSQL does not answer; what was asked can be asked again as it is."""

    def __init__(self) -> None:
        super().__init__("The database does not answer; send the same request again in a moment.")


def format_api_error(error: ApiError) -> dict[str, Any]:
    """Return a request error in the shape of a GraphQL answer."""
    return {"message": error.message, "extensions": error.extensions}


def log_unexpected(error: BaseException, request_id: str, **facts: Any) -> None:
    """Write an unexpected exception to the log under the id that the client was told."""
    log.error(
        "unexpected_error",
        error_id=request_id,
        **exception_facts(error),
        **facts,
    )


def masked(error: BaseException, request_id: str, **facts: Any) -> dict[str, Any]:
    """Return what a client is told of a fault of ours: the id under which it is written to the log, and no more."""
    log_unexpected(error, request_id, **facts)
    return {
        "message": f"Something went wrong on our side; tell us the id {request_id}.",
        "extensions": {"code": "INTERNAL", "id": request_id},
    }


def cause_of(error: BaseException) -> BaseException:
    """Return what an error of the execution was raised for; the error itself when it was raised for nothing else."""
    while isinstance(error, GraphQLError) and error.original_error is not None:
        error = error.original_error
    return error


def format_graphql_error(error: GraphQLError, request_id: str) -> GraphQLFormattedError | dict[str, Any]:
    """Return an error of the execution for the client: ours by its code, anything else masked and logged."""
    cause = cause_of(error)
    formatted = error.formatted
    if isinstance(cause, ApiError):
        formatted["message"] = cause.message
        formatted["extensions"] = cause.extensions
    elif isinstance(cause, GraphQLError):
        formatted["extensions"] = {"code": BadInput.CODE, **(error.extensions or {})}
    else:
        return {**formatted, **masked(cause, request_id, path=error.path)}
    return formatted
