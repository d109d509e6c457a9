"""Who asks: by an API token of ours, or by a token of the operator's identity provider.

An API token is random, stored as a hash, bound to a role and to stores, good until a date or until revoked.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg.rows import class_row

from opscore.database import Database
from opscore.domain.command import READ, WRITE, Actor, Role
from opscore.log.event_log import missing_streams
from opscore.oidc import NAME_PREFIX, Grant, Oidc, TokenRefused as TokenRefused
from opscore.permissions import BULK, METRICS, table
from opscore.spelling import hint
from opscore.sqlfiles import load

SQL = load(__file__, "tokens.sql")

PREFIX = "opscore_"
LIFETIME = timedelta(days=90)
TRUSTED_SECONDS = 3.0
"""How long an answer of the database is believed; a revoked token is dead after this at the latest."""
REMEMBERED = 5_000
ROLE_HEADER = "X-Opscore-Role"
"""Names the one role that a request is made in, of those that its token gives."""

_TOKEN = re.compile(r"opscore_[A-Za-z0-9_-]{43}")
PART_LENGTH_MAX = 8_000
_JWT = re.compile(r"\.".join([rf"[A-Za-z0-9_-]{{1,{PART_LENGTH_MAX}}}"] * 3))
_BEARER = re.compile(r"Bearer +([^\s]+) *", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A token as it is listed; what it grants, never the token itself."""

    id: UUID
    name: str
    role: str
    store_ids: list[UUID] | None
    customer_id: UUID | None
    scopes: list[str] | None
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class FurtherRole:
    """A role of a token's holder besides the token's own: where, and from and until when (None: no bound)."""

    token_id: UUID
    role: str
    store_ids: list[UUID] | None
    valid_from: datetime | None
    valid_until: datetime | None


class RoleNotHeld(Exception):
    """The request is to be made in a role that its token does not have, or not now; the message says which it has."""


@dataclass(frozen=True, slots=True)
class _Known:
    grants: tuple[Grant, ...]
    """What the holder may act as, the token's own role first; none when the token is not good."""
    expires_at: datetime
    asked_at: float
    why: str = "This token is unknown, expired or revoked."
    """What is said once it is not good."""


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
    scopes: Sequence[str] | None = None,
    expires_at: datetime | None = None,
    signs_in: bool = False,
) -> tuple[UUID, str]:
    """Make a token and return (id, token); it is shown this once.

    name: who holds it, as events will show: a pseudonym, no personal data. Tokens of one holder carry one name, because
    a second person is asked for by name.
    store_ids: the stores it may act for; None means all. customer_id: the customer that a token of that role is of.
    scopes: all that it is for: `read`, `write`, `metrics`, or names of questions and commands; None means all that the
        role may.
    expires_at: UTC; 90 days from now when None. signs_in: whether the holder is somebody whom the identity provider
        knows under this name; events then show both as one person.
    Raises ValueError for a customer's token without its customer, for what is not there, and for an unknown scope.
    """
    if not name or len(name) > 100 or not name.isprintable():
        raise ValueError("a token needs a name of 1 to 100 printable characters")
    if name.startswith(NAME_PREFIX):
        raise ValueError(
            f"a token's name does not begin with '{NAME_PREFIX}'; for somebody who signs in at the identity provider, "
            "give the name there and say that it is one"
        )
    if (role is Role.CUSTOMER) != (customer_id is not None):
        raise ValueError("A token of the role customer has to name its customer; a token of another role names none.")
    if role is Role.SYSTEM:
        raise ValueError("The role system is the program's own; no token has it.")
    if scopes is not None and (unknown := sorted(set(scopes) - scope_names())):
        named = ", ".join(f"{each}{hint(each, scope_names())}" for each in unknown)
        raise ValueError(f"There is no scope {named}; give read, write, metrics, or names of questions and commands.")
    token = PREFIX + secrets.token_urlsafe(32)
    token_id = uuid4()
    with database.pool.connection() as connection:
        _require_begun(connection, "Store", store_ids or ())
        _require_begun(connection, "Customer", () if customer_id is None else (customer_id,))
        connection.execute(
            SQL["add"],
            {
                "id": token_id,
                "token_hash": token_hash(token),
                "name": NAME_PREFIX + name if signs_in else name,
                "role": role.value,
                "store_ids": None if store_ids is None else list(store_ids),
                "customer_id": customer_id,
                "scopes": None if scopes is None else sorted(set(scopes)),
                "expires_at": expires_at or datetime.now(UTC) + LIFETIME,
            },
        )
    return token_id, token


def add_role(
    database: Database,
    token_id: UUID,
    role: Role,
    *,
    store_ids: Sequence[UUID] | None = None,
    valid_from: datetime | None = None,
    valid_until: datetime | None = None,
) -> None:
    """Let the holder of a token act in a further role, when a request asks for it by name; once more, it is replaced.

    store_ids: the stores in that role, None for all. valid_from, valid_until: UTC, None for no bound.
    Raises ValueError for what makes no sense or is not there.
    """
    if role in (Role.CUSTOMER, Role.SYSTEM):
        raise ValueError(f"The role {role} is nobody's further role.")
    if valid_from is not None and valid_until is not None and valid_until <= valid_from:
        raise ValueError("A role ends after it begins.")
    with database.pool.connection() as connection:
        _require_begun(connection, "Store", store_ids or ())
        found = connection.execute(SQL["token"], {"id": token_id}).fetchone()
        if found is None or found[0] in (role, Role.CUSTOMER):
            raise ValueError(
                "There is no good token of this id that could have this role as a further one; see: opscore token list"
            )
        connection.execute(
            SQL["add_role"],
            {
                "token_id": token_id,
                "role": role.value,
                "store_ids": None if store_ids is None else list(store_ids),
                "valid_from": valid_from,
                "valid_until": valid_until,
            },
        )


def end_role(database: Database, token_id: UUID, role: Role) -> bool:
    """Take a further role from a token now; return whether there was one. Every server heeds it within seconds."""
    with database.pool.connection() as connection:
        return connection.execute(SQL["end_role"], {"token_id": token_id, "role": role.value}).rowcount == 1


def list_roles(database: Database) -> list[FurtherRole]:
    """Return the further roles of all tokens."""
    with database.pool.connection() as connection, connection.cursor(row_factory=class_row(FurtherRole)) as cursor:
        return cursor.execute(SQL["roles"]).fetchall()


def scope_names() -> frozenset[str]:
    """Return everything that a token can be given for; a command's name stands for lists of it as well."""
    roots = ("Query.", "Mutation.", "Subscription.")
    names = {place.partition(".")[2] for place in table() if place.startswith(roots)}
    return frozenset({READ, WRITE, METRICS, *names} - {f"{name}InBulk" for name in BULK})


def _require_begun(connection: psycopg.Connection[Any], kind: str, ids: Sequence[UUID]) -> None:
    if missing := missing_streams(connection, kind, ids):
        raise ValueError(f"There is no {kind.lower()} {', '.join(map(str, missing))}.")


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

    def __init__(self, database: Database, oidc: Oidc | None = None) -> None:
        self._database = database
        self._oidc = oidc
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._lock = threading.Lock()

    def recall(self, authorization: str | None, role: str | None = None) -> Actor | None:
        """Return the actor if this is known without asking the database; None when `ask` has to be called.

        role: the one that is asked for by name, None for the token's own. Raises TokenRefused, RoleNotHeld.
        """
        key = _key(authorization)
        with self._lock:
            known = self._known.get(key)
        if known is None or time.monotonic() - known.asked_at > TRUSTED_SECONDS:
            return None
        return _good(known, role)

    def was_good(self, authorization: str | None) -> bool:
        """Say whether this is remembered as a token that was good when it was last asked about. Raises TokenRefused."""
        with self._lock:
            known = self._known.get(_key(authorization))
        return known is not None and bool(known.grants)

    def ask(self, authorization: str | None, role: str | None = None) -> Actor:
        """Return the actor as the database, or the identity provider, knows it now (blocking). Raises as `recall`."""
        key = _key(authorization)
        if self.is_foreign(authorization):
            known = self._identified(_given(authorization))
            self._keep(key, known)
            return _good(known, role)
        with self._database.pool.connection() as connection:
            row = connection.execute(SQL["find"], {"token_hash": key}).fetchone()
            if row is not None and row[6] is None:
                connection.execute(SQL["use"], {"token_hash": key})
        known = _Known(_grants(row), datetime.now(UTC) if row is None else row[5], time.monotonic())
        self._keep(key, known)
        return _good(known, role)

    def is_foreign(self, authorization: str | None) -> bool:
        """Say whether this is a token of the identity provider, for which somebody else's server may have to answer."""
        return self._oidc is not None and _JWT.fullmatch(_given(authorization)) is not None

    def _identified(self, token: str) -> _Known:
        assert self._oidc is not None
        try:
            identity = self._oidc.identify(token)
        except TokenRefused as refused:
            return _Known((), datetime.now(UTC), time.monotonic(), str(refused))
        return _Known(identity.grants, identity.expires_at, time.monotonic())

    def _keep(self, key: bytes, known: _Known) -> None:
        with self._lock:
            self._known[key] = known
            self._known.move_to_end(key)
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)


def _given(authorization: str | None) -> str:
    found = _BEARER.fullmatch(authorization or "")
    return "" if found is None else found.group(1)


def _key(authorization: str | None) -> bytes:
    given = _given(authorization)
    if _TOKEN.fullmatch(given) or _JWT.fullmatch(given):
        return token_hash(given)
    if len(given) > PART_LENGTH_MAX:
        # As some become by a long list of groups.
        raise TokenRefused(
            f"This token is too long: each of its parts may have {PART_LENGTH_MAX} characters; have its issuer put less"
            " into it."
        )
    raise TokenRefused("Send 'Authorization: Bearer <token>' with a token of this server.")


def _good(known: _Known, role: str | None) -> Actor:
    """Return who acts, in the one role that is asked for; without any, in the token's own."""
    now = datetime.now(UTC)
    if not known.grants or known.expires_at <= now:
        raise TokenRefused(known.why)
    held = [grant for grant in known.grants if grant.holds_at(now)]
    if role is None:
        chosen = next((grant for grant in held if grant.by_default or len(held) == 1), None)
    else:
        chosen = next((grant for grant in held if grant.actor.role == role.lower()), None)
    if chosen is None:
        names = ", ".join(grant.actor.role for grant in held) or "none"
        if role is None:
            raise TokenRefused(f"This token names several roles ({names}); say in {ROLE_HEADER} which one to act in.")
        raise RoleNotHeld(f"This token does not give the role that {ROLE_HEADER} asks for; it gives {names} now.")
    return chosen.actor if len(held) == 1 else replace(chosen.actor, held=tuple(grant.actor.role for grant in held))


def _grants(row: Any) -> tuple[Grant, ...]:
    if row is None or row[6] is not None:
        return ()
    name, role, store_ids, customer_id, scopes, _, _, further = row

    def actor(role: str, store_ids: list[UUID] | None) -> Actor:
        return Actor(
            id=name,
            role=Role(role),
            stores=None if store_ids is None else frozenset(store_ids),
            customer_id=customer_id,
            scopes=None if scopes is None else frozenset(scopes),
        )

    return (
        Grant(actor(role, store_ids), by_default=True),
        *(
            Grant(
                actor(each["role"], None if each["store_ids"] is None else [UUID(key) for key in each["store_ids"]]),
                valid_from=_moment(each["from"]),
                valid_until=_moment(each["until"]),
            )
            for each in further
        ),
    )


def _moment(said: str | None) -> datetime | None:
    return None if said is None else datetime.fromisoformat(said)
