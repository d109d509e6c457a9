"""The webhooks there are: registered, read, rotated, paused, resumed, deleted; what could not be delivered, again.

Whoever registers one binds it to stores of their own for good; who may see it later is who may act for all of these.
All of it is bound to the asker in the statements themselves.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import orjson
import psycopg
from psycopg.rows import class_row

from opscore.database import Database
from opscore.domain.command import READ, Actor
from opscore.domain.refusals import (
    IdempotencyKeyReused,
    InvalidField,
    NotAuthorised,
    NotFound,
    Refusal,
    WrongState,
)
from opscore.domain.values import derived_id
from opscore.log.event_log import missing_streams
from opscore.log.event_types import event_types
from opscore.retries import Attempt
from opscore.settings import Settings
from opscore.spelling import hint
from opscore.sqlfiles import load
from opscore.webhooks.addresses import Bounds
from opscore.webhooks.message import ping_body
from opscore.webhooks.sending import Sender, Sent
from opscore.webhooks.signing import SECRET_BYTES, Safe, shown, signature

SQL = load(__file__, "webhooks.sql")

WEBHOOKS_MAX = 100
OVERLAP = timedelta(hours=24)
OVERLAP_MAX = timedelta(days=7)
DESCRIPTION_MAX = 200
Clock = Callable[[], datetime]


class EventTypeUnknown(Refusal):
    """There is no event type {name}; the names are those of schema/events and of the question `events`."""


class TooManyWebhooks(Refusal):
    """There are {most} webhooks already; delete one that nobody needs."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook, where it stands in the log, and how it gets on."""

    id: UUID
    url: str
    description: str
    types: list[str] | None
    store_ids: list[UUID] | None
    with_imports: bool
    state: str
    reason: str | None
    changed_at: datetime
    registered_by: str
    registered_at: datetime
    position: int
    attempts: int
    due_at: datetime
    tried_at: datetime | None
    delivered_at: datetime | None
    last_error: str | None
    head: int
    dead_letters: int
    secrets: int


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that a webhook would not take, after its last try. waits: whether it is about to be tried again."""

    position: int
    type: str
    attempts: int
    error: str
    dead_at: datetime
    waits: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """A webhook after what was asked; the secret where one was made, which is never shown again."""

    webhook: Webhook
    secret: str | None = None
    replayed: bool = False


def bounds_of(settings: Settings) -> Bounds:
    """Return where this operator lets webhooks go."""
    return Bounds(loopback=settings.webhook_loopback, private=settings.webhook_private)


def now_utc() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


class WebhookBook:
    """Everything about webhooks but the delivery. Methods block; each is one transaction."""

    def __init__(self, database: Database, clock: Clock = now_utc) -> None:
        self._database = database
        self._settings = database.settings
        self._safe = Safe(database.settings.master_key_bytes())
        self._clock = clock

    def register(
        self,
        actor: Actor,
        key: str,
        url: str,
        *,
        description: str = "",
        types: Sequence[str] | None = None,
        store_ids: Sequence[UUID] | None = None,
        with_imports: bool = False,
        after: int | None = None,
    ) -> Answer:
        """Make a webhook and its secret; the same key again returns it as it is, without the secret.

        types: event types, None for all. store_ids: stores of the actor, None for all of them. after: position behind
        which it begins, None for from now on.
        Refuses: NotAuthorised (a token that was not given for reading events), UrlRefused, EventTypeUnknown, NotFound
        (a store that is not there, or not the actor's), InvalidField, TooManyWebhooks, IdempotencyKeyReused.
        """
        webhook_id = derived_id("webhook", actor.id, key)
        asked = [url, description, types and sorted(types), store_ids and sorted(store_ids), with_imports, after]
        digest = hashlib.sha256(orjson.dumps(asked)).digest()
        with self._transaction() as connection:
            known = connection.execute(SQL["request"], {"id": webhook_id}).fetchone()
        if known is None:
            self._require_usable(actor, url, description, types, store_ids)
        now = self._clock()
        secret = os.urandom(SECRET_BYTES)
        with self._transaction() as connection:
            head = _number(connection, "head")
            if known is None and not 0 <= (after or 0) <= head:
                raise InvalidField(why=f"the log ends at position {head}", path=("after",))
            if known is None and _number(connection, "counted") >= WEBHOOKS_MAX:
                raise TooManyWebhooks(most=WEBHOOKS_MAX)
            bound = actor.stores if store_ids is None else store_ids
            row = {
                "id": webhook_id,
                "url": url,
                "description": description,
                "types": None if types is None else sorted(set(types)),
                "store_ids": None if bound is None else sorted(set(bound)),
                "with_imports": with_imports,
                "now": now,
                "actor": actor.id,
                "request_hash": digest,
            }
            made = known is None and connection.execute(SQL["add"], row).rowcount == 1
            if made:
                connection.execute(
                    SQL["add_cursor"], {"id": webhook_id, "position": head if after is None else after, "now": now}
                )
                self._add_secret(connection, webhook_id, secret, key, now)
            else:
                first = connection.execute(SQL["request"], {"id": webhook_id}).fetchone()
                if first is None or bytes(first[0]) != digest:
                    raise IdempotencyKeyReused
            webhook = self._one(connection, actor, webhook_id)
        return Answer(webhook, shown(secret) if made else None, replayed=not made)

    def _require_usable(
        self,
        actor: Actor,
        url: str,
        description: str,
        types: Sequence[str] | None,
        store_ids: Sequence[UUID] | None,
    ) -> None:
        if not actor.covers(READ, "events"):
            raise NotAuthorised(why="your token was not given for events, and a webhook would send them")
        if len(description) > DESCRIPTION_MAX or (description and not description.isprintable()):
            why = f"a description is one line of at most {DESCRIPTION_MAX} characters"
            raise InvalidField(why=why, path=("description",))
        for index, name in enumerate(types or ()):
            if name not in event_types():
                raise EventTypeUnknown(name=f"{name}{hint(name, event_types())}", path=("types", index))
        if types is not None and not types:
            raise InvalidField(why="name at least one event type, or leave it out for all", path=("types",))
        if store_ids is not None and not store_ids:
            raise InvalidField(why="name at least one store, or leave it out for all", path=("store_ids",))
        with self._transaction() as connection:
            # One that is not there would be waited for without a word.
            missing = missing_streams(connection, "Store", store_ids or ())
        for index, store_id in enumerate(store_ids or ()):
            if store_id in missing or not actor.may_act_for(store_id):
                raise NotFound(what="store", path=("store_ids", index), ids=[store_id])
        bounds_of(self._settings).require(url)

    def rotate(self, actor: Actor, webhook_id: UUID, key: str, overlap: timedelta = OVERLAP) -> Answer:
        """Make a new secret; the ones before sign as well until the overlap is over.

        The same key again changes nothing and shows no secret. Refuses: NotFound, InvalidField.
        """
        if not timedelta(0) <= overlap <= OVERLAP_MAX:
            raise InvalidField(why=f"an overlap has at most {OVERLAP_MAX.days * 24} hours", path=("overlap_hours",))
        now = self._clock()
        secret = os.urandom(SECRET_BYTES)
        with self._transaction() as connection:
            self._hold(connection, actor, webhook_id)
            asked = {"id": webhook_id, "rotation_key": key}
            replayed = connection.execute(SQL["rotated"], asked).fetchone() is not None
            if not replayed:
                connection.execute(SQL["let_expire"], {"id": webhook_id, "expires_at": now + overlap})
                self._add_secret(connection, webhook_id, secret, key, now)
            webhook = self._one(connection, actor, webhook_id)
        return Answer(webhook, None if replayed else shown(secret), replayed)

    # Each of these may be given a key: sent again under it, it does nothing and returns what it returned.

    def pause(self, actor: Actor, webhook_id: UUID, key: str | None = None) -> Answer:
        """Deliver no more until it is resumed; its place in the log is kept.

        Refuses: NotFound, IdempotencyKeyReused.
        """

        def work(connection: psycopg.Connection[Any]) -> Webhook:
            if self._hold(connection, actor, webhook_id) == "active":
                self._set_state(connection, webhook_id, "paused", f"paused by {actor.id}")
            return self._one(connection, actor, webhook_id)

        return self._once(Attempt(actor, key, ("pauseWebhook", webhook_id)), work)

    def resume(self, actor: Actor, webhook_id: UUID, key: str | None = None) -> Answer:
        """Go on behind the last event that was delivered or put aside, at once.

        Refuses: NotFound, IdempotencyKeyReused.
        """

        def work(connection: psycopg.Connection[Any]) -> Webhook:
            if self._hold(connection, actor, webhook_id) != "active":
                self._set_state(connection, webhook_id, "active", None)
                connection.execute(SQL["begin_again"], {"id": webhook_id, "now": self._clock()})
            return self._one(connection, actor, webhook_id)

        return self._once(Attempt(actor, key, ("resumeWebhook", webhook_id)), work)

    def delete(self, actor: Actor, webhook_id: UUID, key: str | None = None) -> Answer:
        """End a webhook and forget its secrets; return it as it was. Refuses: NotFound, IdempotencyKeyReused."""

        def work(connection: psycopg.Connection[Any]) -> Webhook:
            self._hold(connection, actor, webhook_id)
            found = self._one(connection, actor, webhook_id)
            self._set_state(connection, webhook_id, "deleted", f"deleted by {actor.id}")
            connection.execute(SQL["forget_secrets"], {"id": webhook_id})
            return found

        return self._once(Attempt(actor, key, ("deleteWebhook", webhook_id)), work)

    def redeliver(
        self, actor: Actor, webhook_id: UUID, positions: Sequence[int] | None = None, key: str | None = None
    ) -> tuple[Answer, int]:
        """Try dead letters (None: all) once more, soon; return how many.

        Refuses: NotFound, WrongState, IdempotencyKeyReused.
        """
        with self._transaction() as connection:

            def work() -> tuple[Webhook, int]:
                state = self._hold(connection, actor, webhook_id)
                if state != "active":
                    needed = "active; resume it first"
                    raise WrongState(what="webhook", state=state, needed=needed, path=("webhook_id",))
                wanted = {"id": webhook_id, "positions": None if positions is None else list(positions)}
                count = connection.execute(SQL["again"], {**wanted, "now": self._clock()}).rowcount
                return self._one(connection, actor, webhook_id), count

            attempt = Attempt(actor, key, ("redeliverWebhookEvents", webhook_id, positions and sorted(positions)))
            (webhook, count), replayed = attempt.once(connection, tuple[Webhook, int], work)
        return Answer(webhook, replayed=replayed), count

    def ping(
        self, actor: Actor, webhook_id: UUID, sender: Sender | None = None, *, key: str | None = None
    ) -> tuple[Sent, bool]:
        """Send a signed message of type `webhook.ping` now, once; return what came of it, and if it was sent before.

        Under a key it is sent once even if this process ends before it hears what came of it; then nobody knows.
        Refuses: NotFound, IdempotencyKeyReused.
        """
        now = self._clock()
        attempt = Attempt(actor, key, ("pingWebhook", webhook_id))
        with self._transaction() as connection:
            webhook = self._one(connection, actor, webhook_id)
            known = attempt.begin(connection, Sent)
            if known is None:
                return Sent(None, "it was sent before, and what came of it is not known"), True
            if isinstance(known, Sent):
                return known, True
            keys = self.signing(connection, webhook_id, now)
        body = ping_body(webhook_id, now.isoformat().replace("+00:00", "Z"))
        headers = signed_headers(keys, f"msg_{webhook_id.hex}_ping_{secrets.token_hex(8)}", now, body)
        sent = (sender or Sender(bounds_of(self._settings))).post(webhook.url, headers, body)
        with self._transaction() as connection:
            attempt.end(connection, sent)
        return sent, False

    def _once(self, attempt: Attempt, work: Callable[[psycopg.Connection[Any]], Webhook]) -> Answer:
        with self._transaction() as connection:
            webhook, replayed = attempt.once(connection, Webhook, lambda: work(connection))
        return Answer(webhook, replayed=replayed)

    # Questions ---------------------------------------------------------------------------------------------------

    def listed(self, actor: Actor) -> list[Webhook]:
        """Return the webhooks that lie within the actor's stores, oldest first."""
        with self._transaction() as connection:
            return self._select(connection, actor, None)

    def one(self, actor: Actor, webhook_id: UUID) -> Webhook | None:
        """Return a webhook that lies within the actor's stores."""
        with self._transaction() as connection:
            return next(iter(self._select(connection, actor, webhook_id)), None)

    def dead_letters(self, actor: Actor, webhook_id: UUID, *, after: int = 0, limit: int = 100) -> list[DeadLetter]:
        """Return what a webhook would not take, by position behind `after`."""
        asked = {"id": webhook_id, "after": after, "limit": limit, "store_ids": _stores(actor)}
        with self._transaction() as connection, connection.cursor(row_factory=class_row(DeadLetter)) as cursor:
            return cursor.execute(SQL["dead_letters"], asked).fetchall()

    def signing(self, connection: psycopg.Connection[Any], webhook_id: UUID, now: datetime) -> list[bytes]:
        """Return the secrets that sign at a moment, newest first."""
        rows = connection.execute(SQL["secrets"], {"id": webhook_id, "now": now}).fetchall()
        return [self._safe.open(webhook_id, bytes(sealed)) for (sealed,) in rows]

    # -------------------------------------------------------------------------------------------------------------

    @contextmanager
    def _transaction(self) -> Iterator[psycopg.Connection[Any]]:
        with self._database.pool.connection() as connection, connection.transaction():
            yield connection

    def _select(self, connection: psycopg.Connection[Any], actor: Actor, webhook_id: UUID | None) -> list[Webhook]:
        with connection.cursor(row_factory=class_row(Webhook)) as cursor:
            return cursor.execute(SQL["webhooks"], {"id": webhook_id, "store_ids": _stores(actor)}).fetchall()

    def _one(self, connection: psycopg.Connection[Any], actor: Actor, webhook_id: UUID) -> Webhook:
        found = self._select(connection, actor, webhook_id)
        if not found:
            raise NotFound(what="webhook", path=("webhook_id",), ids=[webhook_id])
        return found[0]

    def _hold(self, connection: psycopg.Connection[Any], actor: Actor, webhook_id: UUID) -> str:
        row = connection.execute(SQL["hold"], {"id": webhook_id, "store_ids": _stores(actor)}).fetchone()
        if row is None:
            raise NotFound(what="webhook", path=("webhook_id",), ids=[webhook_id])
        return cast(str, row[0])

    def _set_state(self, connection: psycopg.Connection[Any], webhook_id: UUID, state: str, reason: str | None) -> None:
        connection.execute(SQL["set_state"], {"id": webhook_id, "state": state, "reason": reason, "now": self._clock()})

    def _add_secret(
        self, connection: psycopg.Connection[Any], webhook_id: UUID, secret: bytes, key: str, now: datetime
    ) -> None:
        sealed = self._safe.seal(webhook_id, secret)
        connection.execute(SQL["add_secret"], {"id": webhook_id, "sealed": sealed, "now": now, "rotation_key": key})


def signed_headers(keys: Sequence[bytes], message_id: str, now: datetime, body: bytes) -> dict[str, str]:
    """Return the three headers of a message that is sent now."""
    timestamp = int(now.timestamp())
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(keys, message_id, timestamp, body),
    }


def _stores(actor: Actor) -> list[UUID] | None:
    return None if actor.stores is None else sorted(actor.stores)


def _number(connection: psycopg.Connection[Any], statement: str) -> int:
    row = connection.execute(SQL[statement]).fetchone()
    assert row is not None
    return cast(int, row[0])
