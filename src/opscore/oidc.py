"""Tokens of an identity provider (OpenID Connect): JSON Web Tokens, checked with the keys that the provider publishes.

What is checked, and against what, is fixed by settings and never by the token: one issuer, one audience, a list of
asymmetric algorithms, each key only with its own. Keys are fetched once for many tokens. A token that names a key not
seen before has them fetched anew, at most once in a while, so that a rotated key is found and a flood of invented
names stays here. When the provider cannot be reached, the next try waits as well.
"""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import jwt
import structlog

from opscore.domain.command import Actor, Role
from opscore.settings import Settings

log = structlog.get_logger("opscore.oidc")

NAME_PREFIX = "oidc:"
"""Begins the name of everybody whom the provider vouches for, so that it is nobody else's.

A second person is asked for by name, so a token of ours for somebody who signs in there carries the same one."""
NAME_LENGTH_MAX = 100
FETCH_SECONDS = 5.0
"""How long the provider may take to hand out its keys."""
KEYS_BYTES_MAX = 1_000_000
COOLDOWN_SECONDS = 10.0
"""Between two tries to fetch the keys, however many tokens want one that is not known."""
ALL_STORES = "*"
A_DAY = 86_400

_SAID: tuple[tuple[type[Exception], str], ...] = (
    (
        jwt.PyJWKClientConnectionError,
        "The keys of the identity provider cannot be fetched now; send the same token again in a moment.",
    ),
    (
        jwt.PyJWKClientError,
        "This token is signed with a key that its issuer does not publish (any more); sign in again.",
    ),
    (jwt.ExpiredSignatureError, "This token has expired; sign in again."),
    (jwt.ImmatureSignatureError, "This token is not good yet; have the clock of its issuer checked."),
    (jwt.InvalidAudienceError, "This token is for another audience; ask for one for '{audience}'."),
    (jwt.InvalidIssuerError, "This token is of another issuer; sign in at {issuer}."),
    (jwt.MissingRequiredClaimError, "This token lacks the claim '{claim}'; have the identity provider add it."),
    (Exception, "This token is malformed, or not signed as this server asks for; sign in again."),
)
"""What is said of a token that is not good: the first that fits."""
_FAULTS = (jwt.PyJWTError, ValueError, TypeError, LookupError, OverflowError, RecursionError)
"""What the library and the claims of a stranger may raise."""


class TokenRefused(Exception):
    """No good token came with the request; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What the holder of a token may act as, and from and until when (UTC, None: no bound)."""

    actor: Actor
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    by_default: bool = False
    """Whether it is taken when a request asks for no role by name."""

    def holds_at(self, now: datetime) -> bool:
        """Say whether it holds at a moment."""
        return (self.valid_from is None or self.valid_from <= now) and (
            self.valid_until is None or now < self.valid_until
        )


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a token names, in each role that it names, and until when it is good (UTC)."""

    grants: tuple[Grant, ...]
    expires_at: datetime


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Takes keys from the address of the settings, and from no other that it names."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow none."""


class _Keys(jwt.PyJWKClient):
    """The provider's keys, with a pause after a failure too."""

    def __init__(self, url: str, lifespan: float) -> None:
        super().__init__(url, lifespan=lifespan, timeout=FETCH_SECONDS, cooldown_duration=COOLDOWN_SECONDS)
        self._failed_at: float | None = None

    def fetch_data(self) -> Any:
        """Fetch the keys; raises PyJWTError."""
        if self._failed_at is not None and time.monotonic() - self._failed_at < COOLDOWN_SECONDS:
            raise jwt.PyJWKClientConnectionError("the last try failed a moment ago")
        try:
            found = self._published()
            jwt.PyJWKSet.from_dict(found)
        except Exception as error:
            # Whatever the provider sends, or does not: the library stumbles over broken keys in many ways.
            self._failed_at = time.monotonic()
            log.warning("keys_not_fetched", url=self.uri, error=type(error).__name__)
            raise jwt.PyJWKClientConnectionError("the keys could not be fetched") from error
        self._failed_at = None
        self._last_successful_fetch = time.monotonic()
        return found

    def _published(self) -> dict[str, Any]:
        """Return what the provider publishes now; raises whatever goes wrong.

        The library would read as long as something comes, while everybody who signs in waits, and as much as comes.
        """
        until = time.monotonic() + FETCH_SECONDS
        body = bytearray()
        with urllib.request.build_opener(_NoRedirects).open(self.uri, timeout=FETCH_SECONDS) as answer:
            while piece := answer.read1(KEYS_BYTES_MAX):
                body += piece
                if len(body) > KEYS_BYTES_MAX or time.monotonic() > until:
                    raise ValueError("the keys are too large, or come too slowly")
        found: dict[str, Any] = json.loads(body)
        # Whoever has read a private key signs as its owner does, and the library cannot verify with one.
        secret = [key for key in found["keys"] if "d" in key]
        if secret:
            log.error("private_keys_published", url=self.uri, keys=len(secret))
        return {**found, "keys": [key for key in found["keys"] if key not in secret]}


class Oidc:
    """Says whom a token of the provider names."""

    def __init__(self, settings: Settings) -> None:
        """Take the settings `oidc_...`; `oidc_issuer`, `oidc_audience` and `oidc_jwks_url` have to be set."""
        if settings.oidc_issuer is None or settings.oidc_audience is None or settings.oidc_jwks_url is None:
            raise ValueError("OpenID Connect needs an issuer, an audience and a URL of keys")
        self._settings = settings
        self._issuer = settings.oidc_issuer
        self._audience = settings.oidc_audience
        self._keys = _Keys(settings.oidc_jwks_url, settings.oidc_keys_seconds)

    def identify(self, token: str) -> Identity:
        """Return whom a token names (blocking: it may have to fetch keys). Raises TokenRefused."""
        try:
            claims = self._verified(token)
        except _FAULTS as error:
            why = next(why for kind, why in _SAID if isinstance(error, kind))
            claim = getattr(error, "claim", "")
            raise TokenRefused(why.format(issuer=self._issuer, audience=self._audience, claim=claim)) from None
        # However late it says, it is looked at again within seconds.
        expires_at = min(int(claims["exp"]), time.time() + A_DAY) + self._leeway
        grants = tuple(Grant(self._actor(claims, role)) for role in self._roles(claims))
        return Identity(grants, datetime.fromtimestamp(expires_at, UTC))

    @property
    def _leeway(self) -> int:
        return self._settings.oidc_leeway_seconds

    def _verified(self, token: str) -> dict[str, Any]:
        header = jwt.get_unverified_header(token)
        allowed = self._settings.oidc_algorithms
        # Before any key is looked for: what is not signed as agreed costs nobody a request.
        if header.get("alg") not in allowed:
            raise jwt.InvalidAlgorithmError("not an algorithm of the settings")
        key_id = header.get("kid")
        if not isinstance(key_id, str) or not key_id:
            raise jwt.InvalidTokenError("no key is named")
        # The library verifies with the key's own algorithm, and refuses a token that says another one.
        return jwt.decode(
            token,
            self._keys.get_signing_key(key_id),
            algorithms=list(allowed),
            issuer=self._issuer,
            audience=self._audience,
            leeway=self._leeway,
            options={
                "require": ["exp", "iss", "aud", self._settings.oidc_name_claim],
                "enforce_minimum_key_length": True,
            },
        )

    # Claims to rights --------------------------------------------------------------------------------------------

    def _actor(self, claims: Mapping[str, Any], role: Role) -> Actor:
        return Actor(
            id=self._name(claims),
            role=role,
            stores=self._stores(claims, role),
            customer_id=self._customer(claims) if role is Role.CUSTOMER else None,
        )

    def _name(self, claims: Mapping[str, Any]) -> str:
        claim = self._settings.oidc_name_claim
        name = claims[claim]
        if (
            not isinstance(name, str)
            or not name.isprintable()
            or not 0 < len(name) <= NAME_LENGTH_MAX
            or name.isspace()
        ):
            raise TokenRefused(
                f"The claim '{claim}' has to be a text of 1 to {NAME_LENGTH_MAX} printable characters, not all blank."
            )
        return NAME_PREFIX + name

    def _roles(self, claims: Mapping[str, Any]) -> list[Role]:
        claim = self._settings.oidc_role_claim
        known = self._settings.oidc_roles
        # Groups that mean nothing here may stand beside the one that does.
        named = {known[each] for each in _texts(_claim(claims, claim)) if each in known}
        if not named:
            raise TokenRefused(f"The claim '{claim}' names no role of this server; ask its operator for one.")
        return sorted(map(Role, named), key=list(Role).index)

    def _stores(self, claims: Mapping[str, Any], role: Role) -> frozenset[UUID] | None:
        claim = self._settings.oidc_stores_claim
        named = _texts(_claim(claims, claim))
        if ALL_STORES in named:
            return None
        if not named and role is not Role.CUSTOMER:
            raise TokenRefused(f"The claim '{claim}' names no store; ask the operator for some, or for '*'.")
        # A customer sees what is on offer anywhere, and of people and orders only itself and its own.
        return frozenset(_uuid(claim, each) for each in named) or None

    def _customer(self, claims: Mapping[str, Any]) -> UUID:
        claim = self._settings.oidc_customer_claim
        named = _texts(_claim(claims, claim))
        if len(named) != 1:
            raise TokenRefused(f"The claim '{claim}' has to name the customer.")
        return _uuid(claim, named[0])


def _claim(claims: Mapping[str, Any], name: str) -> Any:
    """Return a claim by its name, or by the dots in it one inside the other (`realm_access.roles`)."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for step in name.split("."):
        found = found.get(step) if isinstance(found, Mapping) else None
    return found


def _texts(value: Any) -> list[str]:
    """Return a claim's texts: a list of them, or one text with spaces between them."""
    if isinstance(value, str):
        return value.split()
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _uuid(claim: str, value: str) -> UUID:
    try:
        return UUID(value)
    except ValueError:
        raise TokenRefused(f"The claim '{claim}' holds what is no id (a UUID).") from None
