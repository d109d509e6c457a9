"""Webhooks over GraphQL: for owners, who register them, read how they get on, and mend what went wrong."""

# Strawberry declares its field decorator untyped; the resolvers themselves are checked.
# mypy: disable-error-code="untyped-decorator"
# ruff: noqa: A002 -- arguments are called what the schema calls them.

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import strawberry

from opscore.api.arguments import ContextInfo
from opscore.api.context import Context
from opscore.api.enums import expose
from opscore.api.errors import BadInput
from opscore.api.ids import key_of
from opscore.api.nodes import store_gid
from opscore.api.operations import answered, checked_key, error_type, user_error
from opscore.api.scalars import Position
from opscore.api.sizing import PAGE_MAX
from opscore.domain.refusals import IdempotencyKeyReused, InvalidField, NotAuthorised, NotFound, Refusal, WrongState
from opscore.webhooks import book
from opscore.webhooks.addresses import UrlRefused

WebhookError, _CODE = error_type(
    "WebhookError",
    "something about a webhook",
    (
        UrlRefused,
        book.EventTypeUnknown,
        book.TooManyWebhooks,
        IdempotencyKeyReused,
        InvalidField,
        NotAuthorised,
        NotFound,
        WrongState,
    ),
)


class WebhookState(enum.StrEnum):
    """What a webhook does."""

    ACTIVE = "active"
    """It delivers."""
    PAUSED = "paused"
    """A person has stopped it; its place in the log is kept."""
    DISABLED = "disabled"
    """It stopped by itself because events were not taken; the reason is given, and its place in the log is kept."""


expose(WebhookState)


@strawberry.type(
    description="Sends events of the log to a URL: signed as Standard Webhooks 1.0.0 says, in the order of the log, "
    "each at least once and under the same `webhook-id` each time. Personal fields are null."
)
class Webhook:
    id: UUID = strawberry.field(description="Its id.")
    url: str = strawberry.field(description="Where it sends to.")
    description: str = strawberry.field(description="What it is for.")
    types: list[str] | None = strawberry.field(description="Event types that it sends; null: all.")
    store_ids: list[strawberry.ID] | None = strawberry.field(description="Stores whose events it sends; null: all.")
    include_imports: bool = strawberry.field(description="Whether it sends imported history as well.")
    state: WebhookState = strawberry.field(description="What it does.")
    reason: str | None = strawberry.field(description="Why it does not deliver.")
    changed_at: datetime = strawberry.field(description="Since when it does that.")
    registered_by: str = strawberry.field(description="Who registered it: a pseudonym.")
    registered_at: datetime = strawberry.field(description="When it was registered.")
    position: Position = strawberry.field(description="Everything up to this position has been dealt with.")
    behind: int = strawberry.field(description="How many events of the log, of any kind, it has not looked at.")
    failures: int = strawberry.field(description="How often in a row the event that is next was not taken.")
    next_try_at: datetime | None = strawberry.field(description="When that event is tried again.")
    tried_at: datetime | None = strawberry.field(description="When it last tried to deliver.")
    delivered_at: datetime | None = strawberry.field(description="When an event was last taken.")
    last_error: str | None = strawberry.field(description="Why the last try failed; null when it did not.")
    dead_letters: int = strawberry.field(description="How many events were put aside after their last try.")
    secrets: int = strawberry.field(description="How many secrets sign now: more than one after a rotation.")


@strawberry.type(description="An event that was put aside because it was not taken, however often it was tried.")
class WebhookDeadLetter:
    position: Position = strawberry.field(description="Position of the event in the log.")
    type: str = strawberry.field(description="Its type.")
    attempts: int = strawberry.field(description="How often it was tried.")
    error: str = strawberry.field(description="Why the last try failed.")
    dead_at: datetime = strawberry.field(description="When it was put aside.")
    waits: bool = strawberry.field(description="Whether it is about to be tried once more.")


@strawberry.type(description="Answer to a mutation of a webhook.")
class WebhookPayload:
    webhook: Webhook | None = strawberry.field(description="The webhook afterwards; null when it was refused.")
    # Its type is made from the refusals when the program starts.
    user_errors: list[WebhookError] = strawberry.field(  # type: ignore[valid-type]
        description="Why it was refused; empty when it was done."
    )


@strawberry.type(description="Answer to a mutation that makes a secret.")
class WebhookSecretPayload(WebhookPayload):
    secret: str | None = strawberry.field(
        description="The new secret (`whsec_...`). It is shown this once: a repeated answer has null here."
    )
    replayed: bool = strawberry.field(description="Whether this key had been answered before.")


@strawberry.type(description="Answer to `redeliverWebhookEvents`.")
class RedeliverWebhookEventsPayload(WebhookPayload):
    events: int = strawberry.field(description="How many dead letters are tried once more.")


@strawberry.type(description="Answer to `pingWebhook`.")
class PingWebhookPayload(WebhookPayload):
    taken: bool = strawberry.field(description="Whether the receiver answered with a status of 200 to 299.")
    status: int | None = strawberry.field(description="The status it answered with; null without an answer.")
    error: str | None = strawberry.field(description="Why it was not taken, in words.")


@strawberry.input(description="Which events go where.")
class RegisterWebhookInput:
    url: str = strawberry.field(
        description="Where to send to: https, to an address of the public internet unless the operator allows others."
    )
    description: str = strawberry.field(default="", description="What it is for; no personal data.")
    types: list[str] | None = strawberry.field(
        default=strawberry.UNSET, description="Event types to send, such as OrderPaid; all if left out."
    )
    store_ids: list[strawberry.ID] | None = strawberry.field(
        default=strawberry.UNSET, description="Stores whose events to send; all that the token may see if left out."
    )
    include_imports: bool = strawberry.field(default=False, description="Whether to send imported history as well.")
    after: Position | None = strawberry.field(
        default=strawberry.UNSET,
        description="Begin behind this position, 0 for the whole log; from now on if left out.",
    )
    idempotency_key: str = strawberry.field(description="Names this request: sent again it registers nothing more.")


@strawberry.input(description="Whose secret to change.")
class RotateWebhookSecretInput:
    webhook_id: UUID = strawberry.field(description="The webhook.")
    overlap_hours: int = strawberry.field(
        default=24, description="For how many hours, at most 168, the secrets so far sign as well."
    )
    idempotency_key: str = strawberry.field(description="Names this request: sent again it makes no further secret.")


@strawberry.input(description="Which webhook.")
class WebhookInput:
    webhook_id: UUID = strawberry.field(description="The webhook.")


@strawberry.input(description="What to try once more.")
class RedeliverWebhookEventsInput:
    webhook_id: UUID = strawberry.field(description="The webhook; it has to be active.")
    positions: list[Position] | None = strawberry.field(
        default=strawberry.UNSET, description="Positions of its dead letters, at most 1000; all of them if left out."
    )


def webhook_view(found: book.Webhook) -> Webhook:
    """Return a webhook as the API shows it."""
    return Webhook(
        id=found.id,
        url=found.url,
        description=found.description,
        types=found.types,
        store_ids=None if found.store_ids is None else [store_gid(each) for each in found.store_ids],
        include_imports=found.with_imports,
        state=WebhookState(found.state),
        reason=found.reason,
        changed_at=found.changed_at,
        registered_by=found.registered_by,
        registered_at=found.registered_at,
        position=Position(found.position),
        behind=max(0, found.head - found.position),
        failures=found.attempts,
        next_try_at=found.due_at if found.attempts and found.state == "active" else None,
        tried_at=found.tried_at,
        delivered_at=found.delivered_at,
        last_error=found.last_error,
        dead_letters=found.dead_letters,
        secrets=found.secrets,
    )


def _given(value: Any) -> Any:
    return None if value is strawberry.UNSET else value


def _book(context: Context) -> book.WebhookBook:
    return book.WebhookBook(context.services.database)


def _errors(refusal: Refusal) -> list[Any]:
    return [user_error(WebhookError, _CODE, refusal)]


async def _change(info: ContextInfo, work: Callable[[book.WebhookBook], book.Answer]) -> WebhookPayload:
    found = await info.context.services.read(answered, lambda: work(_book(info.context)))
    if isinstance(found, Refusal):
        return WebhookPayload(webhook=None, user_errors=_errors(found))
    return WebhookPayload(webhook=webhook_view(found.webhook), user_errors=[])


async def _secret(info: ContextInfo, work: Callable[[book.WebhookBook], book.Answer]) -> WebhookSecretPayload:
    found = await info.context.services.read(answered, lambda: work(_book(info.context)))
    if isinstance(found, Refusal):
        return WebhookSecretPayload(webhook=None, user_errors=_errors(found), secret=None, replayed=False)
    return WebhookSecretPayload(
        webhook=webhook_view(found.webhook), user_errors=[], secret=found.secret, replayed=found.replayed
    )


@strawberry.type
class WebhookQueries:
    """Questions about webhooks."""

    @strawberry.field(description="The webhooks all of whose stores the token may see, oldest first.")
    async def webhooks(self, info: ContextInfo) -> list[Webhook]:
        context = info.context
        found = await context.services.read(lambda: _book(context).listed(context.viewer))
        return [webhook_view(each) for each in found]

    @strawberry.field(description="What a webhook's receiver would not take, by position.")
    async def webhook_dead_letters(
        self,
        info: ContextInfo,
        webhook_id: Annotated[UUID, strawberry.argument(description="The webhook.")],
        first: Annotated[int, strawberry.argument(description="How many, 1 to 100.")],
        after: Annotated[Position, strawberry.argument(description="Only those behind this position.")] = Position(0),
    ) -> list[WebhookDeadLetter]:
        if not 1 <= first <= PAGE_MAX:
            raise BadInput(f"Ask for 1 to {PAGE_MAX} at once.")
        context = info.context
        found = await context.services.read(
            lambda: _book(context).dead_letters(context.viewer, webhook_id, after=after, limit=first)
        )
        return [
            WebhookDeadLetter(
                position=Position(each.position),
                type=each.type,
                attempts=each.attempts,
                error=each.error,
                dead_at=each.dead_at,
                waits=each.waits,
            )
            for each in found
        ]


_Register = Annotated[RegisterWebhookInput, strawberry.argument(description="The webhook.")]
_Rotate = Annotated[RotateWebhookSecretInput, strawberry.argument(description="The webhook.")]
_Which = Annotated[WebhookInput, strawberry.argument(description="The webhook.")]
_Again = Annotated[RedeliverWebhookEventsInput, strawberry.argument(description="The webhook and the events.")]


@strawberry.type
class WebhookMutations:
    """What can be done with webhooks."""

    @strawberry.mutation(description="Sends events to a URL from now on. Shows the secret that signs, this once.")
    async def register_webhook(self, info: ContextInfo, input: _Register) -> WebhookSecretPayload:
        viewer = info.context.viewer
        stores = _given(input.store_ids)
        keys = None if stores is None else [key_of(each, "Store") for each in stores]
        return await _secret(
            info,
            lambda found: found.register(
                viewer,
                checked_key(input.idempotency_key),
                input.url,
                description=input.description,
                types=_given(input.types),
                store_ids=keys,
                with_imports=input.include_imports,
                after=_given(input.after),
            ),
        )

    @strawberry.mutation(description="Makes a new secret; for a while the ones before sign as well.")
    async def rotate_webhook_secret(self, info: ContextInfo, input: _Rotate) -> WebhookSecretPayload:
        viewer = info.context.viewer
        return await _secret(
            info,
            lambda found: found.rotate(
                viewer, input.webhook_id, checked_key(input.idempotency_key), timedelta(hours=input.overlap_hours)
            ),
        )

    @strawberry.mutation(description="Delivers no more until the webhook is resumed; its place in the log is kept.")
    async def pause_webhook(self, info: ContextInfo, input: _Which) -> WebhookPayload:
        return await _change(info, lambda found: found.pause(info.context.viewer, input.webhook_id))

    @strawberry.mutation(description="Goes on where a webhook stopped, at once; nothing in between is left out.")
    async def resume_webhook(self, info: ContextInfo, input: _Which) -> WebhookPayload:
        return await _change(info, lambda found: found.resume(info.context.viewer, input.webhook_id))

    @strawberry.mutation(description="Ends a webhook and forgets its secrets; answers with what it was.")
    async def delete_webhook(self, info: ContextInfo, input: _Which) -> WebhookPayload:
        return await _change(info, lambda found: book.Answer(found.delete(info.context.viewer, input.webhook_id)))

    @strawberry.mutation(description="Tries dead letters once more, soon, beside what is being delivered in order.")
    async def redeliver_webhook_events(self, info: ContextInfo, input: _Again) -> RedeliverWebhookEventsPayload:
        context = info.context
        positions = _given(input.positions)
        if positions is not None and not 1 <= len(positions) <= 1_000:
            raise BadInput("Name 1 to 1000 positions, or none for all.")
        found = await context.services.read(
            answered, lambda: _book(context).redeliver(context.viewer, input.webhook_id, positions)
        )
        if isinstance(found, Refusal):
            return RedeliverWebhookEventsPayload(webhook=None, user_errors=_errors(found), events=0)
        answer, events = found
        return RedeliverWebhookEventsPayload(webhook=webhook_view(answer.webhook), user_errors=[], events=events)

    @strawberry.mutation(description="Sends a signed message of type webhook.ping now, once, whatever the state.")
    async def ping_webhook(self, info: ContextInfo, input: _Which) -> PingWebhookPayload:
        context = info.context
        webhooks = _book(context)
        # The receiver may take its time; the threads that answer questions do not wait for it.
        sent = await asyncio.to_thread(answered, lambda: webhooks.ping(context.viewer, input.webhook_id))
        if isinstance(sent, Refusal):
            return PingWebhookPayload(webhook=None, user_errors=_errors(sent), taken=False, status=None, error=None)
        found = await context.services.read(lambda: webhooks.one(context.viewer, input.webhook_id))
        return PingWebhookPayload(
            webhook=None if found is None else webhook_view(found),
            user_errors=[],
            taken=sent.error is None,
            status=sent.status,
            error=sent.error,
        )
