"""What an operator may set, from the environment (`OPSCORE_...`) or a `.env` file; every default works as it is."""

from __future__ import annotations

import base64
import binascii
import os
import secrets
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from opscore.spelling import hint

MASTER_KEY_BYTES = 32
TOKEN_ROLES = (
    "owner", "manager", "service", "after_sales", "editor", "promoter", "warehouse", "finance", "auditor", "platform",
    "storefront", "customer",
)  # fmt: skip
"""The roles that a token can have."""
ASYMMETRIC = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"})
"""Signatures whose keys can be published."""


class SetupError(Exception):
    """Something about this installation has to be mended first; the message says what and how."""


class Settings(BaseSettings):
    """Settings of one opscore process. Every field can be given as `OPSCORE_<FIELD>`."""

    model_config = SettingsConfigDict(env_prefix="OPSCORE_", env_file=".env", extra="ignore", frozen=True)

    database_url: SecretStr | None = Field(
        default=None,
        description="URL of a PostgreSQL 15 or later and a role that may migrate; without it, opscore starts its own.",
    )
    schema_name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")] = Field(
        default="opscore", description="The schema that holds everything of this operator."
    )
    data_dir: Path = Field(
        default=Path(".opscore"), description="Where the embedded PostgreSQL and the master key live."
    )
    master_key: SecretStr | None = Field(
        default=None, description="32 bytes in base64 that wrap the keys of personal data; kept away from the database."
    )

    projections: Path | None = Field(
        default=None, description="The operator's own folder of projections, laid over those of the package."
    )
    keep_versions_days: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="Days after which versions of projections that a promoted one has replaced are dropped; never if "
        "not set.",
    )

    host: str = Field(default="127.0.0.1", min_length=1, description="Address the server listens on.")
    port: Annotated[int, Field(ge=0, le=65535)] = Field(default=8000, description="Port the server listens on.")

    explorer: bool = Field(default=True, description="Whether /graphql shows the explorer page to browsers.")
    introspection: bool = Field(
        default=True, description="Whether anybody may read the schema, and errors suggest names from it."
    )

    oidc_issuer: str | None = Field(
        default=None,
        description="The identity provider whose tokens are taken beside our own, exactly as their `iss` names it.",
    )
    oidc_audience: str | None = Field(default=None, description="What `aud` of these tokens has to hold: this server.")
    oidc_jwks_url: str | None = Field(
        default=None, description="Where the provider publishes its keys (JWKS); https, or http on this machine."
    )
    oidc_algorithms: tuple[str, ...] = Field(
        default=("RS256", "ES256"), description="Signatures that are taken; asymmetric ones only."
    )
    oidc_leeway_seconds: Annotated[int, Field(ge=0, le=300)] = Field(
        default=30, description="How far the provider's clock may be from ours."
    )
    oidc_keys_seconds: Annotated[int, Field(ge=10)] = Field(
        default=600, description="How long fetched keys are used; a withdrawn one is dead after this at the latest."
    )
    oidc_name_claim: str = Field(
        default="sub", description="The claim that names who asks, for ever in events: a pseudonym, no e-mail address."
    )
    oidc_role_claim: str = Field(
        default="opscore_role", description="The claim that names the role; dots lead into objects."
    )
    oidc_roles: dict[str, str] = Field(
        default_factory=lambda: {role: role for role in TOKEN_ROLES},
        description='What values of it mean, as JSON: {"shop-managers": "manager"}. Our own names if not set.',
    )
    oidc_stores_claim: str = Field(
        default="opscore_stores", description='The claim that lists the ids (UUIDs) of stores; "*" stands for all.'
    )
    oidc_customer_claim: str = Field(
        default="opscore_customer", description="The claim with the customer's id (UUID), for the role customer."
    )

    cors_origins: tuple[str, ...] = Field(
        default=(),
        description="Web pages of other addresses that may ask from a browser, as a JSON list of origins "
        '(`["https://shop.example"]`), or of "*" for all; none if not set.',
    )

    trusted_documents_only: bool = Field(
        default=False, description="Whether only documents are run that are known: our own and those of documents_dir."
    )
    documents_dir: Path | None = Field(
        default=None, description="Documents (.graphql) and manifests (.json, hash -> document) of your own clients."
    )

    compiled_executor: bool = Field(
        default=True,
        description="Whether plain selections of a query and single commands are compiled; off, each field is run by "
        "itself.",
    )

    read_seconds_max: Annotated[float, Field(gt=0)] = Field(
        default=10,
        description="How long a query may take in all; then its statements are cancelled and it is TIMED_OUT.",
    )
    statement_seconds_max: Annotated[float, Field(ge=0.001, le=86_400)] = Field(
        default=5, description="How long the database may take over one statement of what is read for the API."
    )
    body_seconds_max: Annotated[float, Field(gt=0)] = Field(
        default=10, description="How long the body of a request may take to come; then it is answered with 408."
    )

    throttle_points: Annotated[int, Field(ge=0)] = Field(
        default=500_000,
        description="Points that a token has in this process when it is rested; an object costs 1, a command 10. 0: no "
        "throttle.",
    )
    throttle_points_per_second: Annotated[int, Field(ge=1)] = Field(
        default=100_000, description="Points that come back to a token in a second; two cores earn fewer."
    )

    throttle_address_points: Annotated[int, Field(ge=0)] = Field(
        default=2_000,
        description="Points of an address from which requests without a token, or with an unknown one, come; behind "
        "a proxy, the address that it forwards (FORWARDED_ALLOW_IPS says which proxies are believed). 0: no throttle.",
    )
    throttle_address_points_per_second: Annotated[int, Field(ge=1)] = Field(
        default=100, description="Points that come back to an address in a second."
    )

    queue_size: Annotated[int, Field(ge=1)] = Field(
        default=1024, description="Commands that may wait for the writer before more are answered with BUSY."
    )
    batch_commands: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=256, description="Most commands that are committed together."
    )
    batch_ms: Annotated[int, Field(ge=1)] = Field(
        default=20, description="Longest time, in milliseconds, that one batch of decisions may take."
    )
    cache_aggregates: Annotated[int, Field(ge=100)] = Field(
        default=20_000, description="Most aggregates that the writer keeps in memory."
    )
    unavailable_after_seconds: Annotated[int, Field(ge=1)] = Field(
        default=15, description="How long a command waits for a lost database before it is answered with UNAVAILABLE."
    )
    pool_size: Annotated[int, Field(ge=1, le=200)] = Field(
        default=8, description="Most database connections of this process that answer queries."
    )
    keep_commands_days: Annotated[int, Field(ge=1)] = Field(
        default=30, description="Days for which an idempotency key is remembered."
    )

    webhook_loopback: bool = Field(
        default=False,
        description="Whether webhooks may go to this machine itself, also by plain http; for development.",
    )
    webhook_private: bool = Field(
        default=False, description="Whether webhooks may go to private networks; link-local addresses they never may."
    )
    webhook_tries: Annotated[int, Field(ge=1, le=30)] = Field(
        default=12, description="How often the delivery of an event is tried before it is put aside."
    )
    webhook_threads: Annotated[int, Field(ge=0, le=64)] = Field(
        default=4, description="Webhooks that this process delivers to at once; 0 leaves it to other servers."
    )

    exports_dir: Path | None = Field(
        default=None,
        description="Where exports are written, shared by all servers; default: exports in the data folder.",
    )
    keep_exports_days: Annotated[int, Field(ge=1)] = Field(
        default=7, description="Days for which an export can be fetched."
    )

    @property
    def exports_folder(self) -> Path:
        """The folder of this operator's exports."""
        return (self.exports_dir or self.data_dir / "exports") / self.schema_name

    @model_validator(mode="after")
    def _require_whole_oidc(self) -> Settings:
        given = (self.oidc_issuer, self.oidc_audience, self.oidc_jwks_url)
        if any(given) and not all(given):
            raise ValueError("OPSCORE_OIDC_ISSUER, OPSCORE_OIDC_AUDIENCE and OPSCORE_OIDC_JWKS_URL are set together")
        if self.oidc_jwks_url is not None:
            url = urlsplit(self.oidc_jwks_url)
            here = url.hostname in ("127.0.0.1", "::1", "localhost")
            if url.scheme != "https" and not (url.scheme == "http" and here):
                raise ValueError("OPSCORE_OIDC_JWKS_URL has to be https: keys altered on the way sign for anybody")
        if not self.oidc_algorithms or not ASYMMETRIC.issuperset(self.oidc_algorithms):
            raise ValueError(f"OPSCORE_OIDC_ALGORITHMS is a JSON list of {', '.join(sorted(ASYMMETRIC))}")
        if unknown := set(self.oidc_roles.values()) - set(TOKEN_ROLES):
            raise ValueError(f"OPSCORE_OIDC_ROLES names {', '.join(sorted(unknown))}, which is no role of a token")
        return self

    @model_validator(mode="after")
    def _require_origins(self) -> Settings:
        for origin in self.cors_origins:
            url = urlsplit(origin)
            plain = f"{url.scheme}://{url.netloc}"
            if origin != "*" and (url.scheme not in ("http", "https") or not url.hostname or origin != plain):
                raise ValueError(
                    f"OPSCORE_CORS_ORIGINS holds '{origin}', which is no origin such as https://shop.example"
                )
        return self

    @property
    def app_role(self) -> str:
        """The database role that the application acts as."""
        return f"{self.schema_name}_app"

    @property
    def keys_schema(self) -> str:
        """The schema that holds the wrapped keys of personal data; a backup of `schema_name` does not reach it."""
        return f"{self.schema_name}_keys"

    def master_key_bytes(self) -> bytes:
        """Return the 32 bytes that wrap the keys of personal data.

        From `OPSCORE_MASTER_KEY`, else from `master.key` in the data directory. With the embedded PostgreSQL that file
        is made when it is absent; for any other database the operator has to give a key, because a key that one of
        several servers made by itself would lock the others out. Raises `SetupError` saying what to do.
        """
        if self.master_key is not None:
            return _decode_key(self.master_key.get_secret_value(), "OPSCORE_MASTER_KEY")
        path = self.data_dir / "master.key"
        if not path.exists():
            if self.database_url is not None:
                raise SetupError(
                    "There is no master key for personal data. Set OPSCORE_MASTER_KEY to 32 random bytes in base64, "
                    "the same for every server of this database: "
                    'python -c "import base64, os; print(base64.b64encode(os.urandom(32)).decode())"'
                )
            _write_key(path)
        if path.stat().st_mode & 0o077:
            raise SetupError(f"{path} can be read by others; run: chmod 600 {path}")
        return _decode_key(path.read_text(encoding="ascii", errors="replace"), str(path))


def load_settings() -> Settings:
    """Return the settings of this process; raises `SetupError` naming each variable that cannot be used."""
    try:
        return Settings()
    except ValidationError as error:
        faults = "; ".join(
            f"OPSCORE_{'_'.join(map(str, fault['loc'])).upper()}: {fault['msg']}" if fault["loc"] else fault["msg"]
            for fault in error.errors()
        )
        raise SetupError(f"These settings cannot be used. {faults}") from None
    except UnicodeDecodeError:
        raise SetupError("The file .env is no text in UTF-8; save it as that, with a line NAME=value each.") from None
    except SettingsError as error:
        raise SetupError(f"These settings cannot be used: {error}; lists and objects are written as JSON.") from None


def unknown_settings() -> list[str]:
    """Return a sentence on each variable that is named like a setting and is none; it takes no effect.

    They are not refused: some systems set variables after the names of their services.
    """
    try:
        given = {*EnvSettingsSource(Settings).env_vars, *DotEnvSettingsSource(Settings).env_vars}
    except UnicodeDecodeError:
        return []  # `load_settings` says so.
    known = {name.upper() for name in Settings.model_fields}
    named = (name.upper().removeprefix("OPSCORE_") for name in sorted(given) if name.upper().startswith("OPSCORE_"))
    return [
        f"OPSCORE_{name} is no setting of opscore and takes no effect{hint(name, known)}."
        for name in named
        if name not in known
    ]


def _decode_key(text: str, source: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != MASTER_KEY_BYTES:
        raise SetupError(f"{source} must hold {MASTER_KEY_BYTES} bytes in base64.")
    return key


def _write_key(path: Path) -> None:
    """Make the key file; when another process is first, its key stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(base64.b64encode(secrets.token_bytes(MASTER_KEY_BYTES)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        # A hard link appears with its whole content or not at all, and never replaces a key.
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
