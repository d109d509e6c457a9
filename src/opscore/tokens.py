"""API tokens: random, stored as a hash, bound to a role and to stores, good until a date or until revoked."""

from __future__ import annotations

import hashlib
import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from psycopg.rows import class_row

from opscore.database import Database
from opscore.domain.command import Actor, Role
from opscore.sqlfiles import load

SQL = load(__file__, "tokens.sql")

PREFIX = "opscore_"
LIFETIME = timedelta(days=90)
TRUSTED_SECONDS = 3.0
"""How long an answer of the database is believed; a revoked token is dead after this at the latest."""
REMEMBERED = 5_000

_TOKEN = re.compile(r"opscore_[A-Za-z0-9_-]{43}")
_BEARER = re.compile(r"Bearer +([^\s]+) *", re.IGNORECASE)


class TokenRefused(Exception):
    """No good token came with the request."""


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A token as it is listed; what it grants, never the token itself."""

    id: UUID
    name: str
    role: str
    store_ids: list[UUID] | None
    customer_id: UUID | None
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class _Known:
    actor: Actor | None
    expires_at: datetime
    asked_at: float


def token_hash(token: str) -> bytes:
    """Return what is stored of a token. It is 256 random bits, so one round of SHA-256 cannot be guessed backwards."""
    return hashlib.sha256(token.encode()).digest()


def create_token(
    database: Database,
    name: str,
    role: Role,
    *,
    store_ids: Sequence[UUID] | None = None,
    customer_id: UUID | None = None,
    expires_at: datetime | None = None,
) -> tuple[UUID, str]:
    """Make a token and return (id, token); it is shown this once.

    name: who holds it, as events will show: a pseudonym, no personal data. Tokens of one holder carry one name, because
    a second person is asked for by name.
    store_ids: the stores it may act for; None means all. customer_id: the customer that a token of that role is of.
    expires_at: UTC; 90 days from now when None.
    Raises ValueError for a customer's token without its customer.
    """
    if not name or len(name) > 100 or not name.isprintable():
        raise ValueError("a token needs a name of 1 to 100 printable characters")
    if (role is Role.CUSTOMER) != (customer_id is not None):
        raise ValueError("A token of the role customer has to name its customer; a token of another role names none.")
    token = PREFIX + secrets.token_urlsafe(32)
    token_id = uuid4()
    with database.pool.connection() as connection:
        connection.execute(
            SQL["add"],
            {
                "id": token_id,
                "token_hash": token_hash(token),
                "name": name,
                "role": role.value,
                "store_ids": None if store_ids is None else list(store_ids),
                "customer_id": customer_id,
                "expires_at": expires_at or datetime.now(UTC) + LIFETIME,
            },
        )
    return token_id, token


def revoke_token(database: Database, token_id: UUID) -> bool:
    """End a token; return whether it was good until now. Every server stops taking it within seconds."""
    with database.pool.connection() as connection:
        return connection.execute(SQL["revoke"], {"id": token_id}).rowcount == 1


def list_tokens(database: Database) -> list[TokenRow]:
    """Return every token, newest first."""
    with database.pool.connection() as connection, connection.cursor(row_factory=class_row(TokenRow)) as cursor:
        return cursor.execute(SQL["list"]).fetchall()


class TokenBook:
    """Says who a request comes from. Answers are kept for a few seconds, unknown tokens' too."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._lock = threading.Lock()

    def recall(self, authorization: str | None) -> Actor | None:
        """Return the actor if this is known without asking the database; None when `ask` has to be called.

        Raises TokenRefused.
        """
        key = _key(authorization)
        with self._lock:
            known = self._known.get(key)
        if known is None or time.monotonic() - known.asked_at > TRUSTED_SECONDS:
            return None
        return _good(known)

    def ask(self, authorization: str | None) -> Actor:
        """Return the actor as the database knows it now. Raises TokenRefused."""
        key = _key(authorization)
        with self._database.pool.connection() as connection:
            row = connection.execute(SQL["find"], {"token_hash": key}).fetchone()
            if row is not None and row[6] is None:
                connection.execute(SQL["use"], {"token_hash": key})
        known = _Known(_actor(row), datetime.now(UTC) if row is None else row[5], time.monotonic())
        with self._lock:
            self._known[key] = known
            self._known.move_to_end(key)
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return _good(known)


def _key(authorization: str | None) -> bytes:
    found = _BEARER.fullmatch(authorization or "")
    if found is None or not _TOKEN.fullmatch(found.group(1)):
        raise TokenRefused("Send 'Authorization: Bearer <token>' with a token of this server.")
    return token_hash(found.group(1))


def _good(known: _Known) -> Actor:
    if known.actor is None or known.expires_at <= datetime.now(UTC):
        raise TokenRefused("This token is unknown, expired or revoked.")
    return known.actor


def _actor(row: Any) -> Actor | None:
    if row is None or row[6] is not None:
        return None
    _, name, role, store_ids, customer_id, _, _ = row
    return Actor(
        id=name,
        role=Role(role),
        stores=None if store_ids is None else frozenset(store_ids),
        customer_id=customer_id,
    )
