"""The PostgreSQL that opscore stands on: connections as the right role, the settings it refuses, and its version.

Everything of one operator lives in one schema. The owner of that schema connects only to migrate; all other connections
act as `<schema>_app`, which may add to the log and never change it.
"""

from __future__ import annotations

import select
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import msgspec
import psycopg
from psycopg import errors, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.types.json import set_json_loads
from psycopg_pool import ConnectionPool

from opscore import resources
from opscore.deadlines import WatchedConnection, WatchedPool
from opscore.settings import Settings, SetupError

SERVER_VERSION_MIN = 150000
"""PostgreSQL 15, as `server_version_num` counts."""

LENT_SECONDS_MAX = 5.0
"""How long it is waited for one of the shared connections; and how long the pool goes on trying, ever more seldom, to
make a new one before it begins afresh: once PostgreSQL is back, so are its connections."""

_DURABLE = ("fsync", "full_page_writes", "synchronous_commit")

_NOTICED = {
    "connect_timeout": 10,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
"""That a server over the network is gone without a word is noticed in half a minute, unless its URL says otherwise: the
system would send in vain for a quarter of an hour, and wait in vain for two."""

_AWAY = ("08", "57P", "53300")
"""How SQLSTATE begins where a connection is lost, the server stops or starts, or has no connection left."""

ConnectionRole = Literal["app", "admin"]


class Unreachable(SetupError):
    """PostgreSQL cannot be reached. The message says where it was looked for, so it is for the operator alone."""


class Database:
    """One operator's schema in one PostgreSQL. Make it with `open`; close it when done."""

    def __init__(
        self,
        settings: Settings,
        url: str,
        *,
        on_close: Callable[[], None] | None = None,
        statement_seconds_max: float | None = None,
    ) -> None:
        """Use the PostgreSQL at `url` (libpq URL or key=value text, of a role that owns the schema or may make it).

        statement_seconds_max: how long a statement on the shared connections may take; None for as long as it takes.
        """
        self.settings = settings
        self.schema = settings.schema_name
        self.app_role = settings.app_role
        self.keys_schema = settings.keys_schema
        self._url = url
        self._on_close = on_close
        self._statement_seconds_max = statement_seconds_max
        self._pool: WatchedPool | None = None
        self._opening = threading.Lock()

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """Return the database that the settings name, starting the embedded PostgreSQL when they name none.

        Raises `SetupError` when there is neither.
        """
        if settings.database_url is not None:
            return cls(settings, settings.database_url.get_secret_value())
        from opscore.embedded import EmbeddedServer

        server = EmbeddedServer(settings.data_dir)
        server.watch()
        return cls(settings, server.url, on_close=server.close)

    def for_reads(self) -> Database:
        """Return the same database for whoever answers requests; the caller closes it.

        On its shared connections no statement takes longer than the settings allow, and the deadline of a request holds
        (`opscore.deadlines`); connections of one's own are as they are here.
        """
        return Database(self.settings, self._url, statement_seconds_max=self.settings.statement_seconds_max)

    @property
    def own_projections(self) -> Path | None:
        """The operator's own folder of projections, if the settings name one."""
        return self.settings.projections

    def conninfo(self, role: ConnectionRole = "app", *, statement_seconds_max: float | None = None) -> str:
        """Return libpq connection text; `app` acts as the application's role, `admin` as the owner of the schema.

        Both work in UTC and resolve unqualified names in the operator's schema.
        statement_seconds_max: how long each statement may take; None for as long as it takes.
        """
        options = [f"-c search_path={self.schema}", "-c timezone=UTC"]
        if statement_seconds_max is not None:
            options.append(f"-c statement_timeout={round(statement_seconds_max * 1000)}")
        if role == "app":
            options.insert(0, f"-c role={self.app_role}")
        try:
            given = conninfo_to_dict(self._url)
        except psycopg.ProgrammingError:
            # Its message would quote the text, password included.
            raise SetupError("OPSCORE_DATABASE_URL is no PostgreSQL URL (postgresql://user@host/name)") from None
        earlier = given.pop("options", None)
        if earlier:
            options.insert(0, str(earlier))
        given.setdefault("application_name", "opscore")
        for name, value in _NOTICED.items():
            given.setdefault(name, value)
        return make_conninfo("", options=" ".join(options), **given)

    def connect(
        self, role: ConnectionRole = "app", *, autocommit: bool = True, **kwargs: Any
    ) -> psycopg.Connection[Any]:
        """Return a new connection of its own; the caller closes it.

        kwargs: as of `psycopg.connect`, for example `prepare_threshold` or `row_factory`.
        Raises `SetupError` when the schema has not been migrated, `Unreachable` when the server cannot be reached.
        """
        try:
            connection = psycopg.connect(self.conninfo(role), autocommit=autocommit, **kwargs)
        except psycopg.OperationalError as error:
            raise self._explained(error) from error
        _read_json_fast(connection)
        return connection

    @property
    def pool(self) -> WatchedPool:
        """Shared connections of the application's role, in autocommit mode, opened on first use."""
        if self._pool is None:
            # One alone: of two that were opened at once, nobody would close the first.
            with self._opening:
                if self._pool is None:
                    self._pool = self._opened()
        return self._pool

    def _opened(self) -> WatchedPool:
        self.connect().close()  # Says what is wrong at once; a pool would try in the background until it times out.
        return WatchedPool(
            self.conninfo(statement_seconds_max=self._statement_seconds_max),
            connection_class=WatchedConnection,
            kwargs={"autocommit": True},
            min_size=1,
            max_size=self.settings.pool_size,
            name="opscore",
            timeout=LENT_SECONDS_MAX,
            reconnect_timeout=LENT_SECONDS_MAX,
            configure=_read_json_fast,
            check=_require_alive,
            open=True,
        )

    def require_durable(self) -> None:
        """Refuse a server on which an acknowledged command could be lost, or that is too old.

        Raises `SetupError` naming every fault and how to mend it.
        """
        with self.connect("admin") as connection:
            faults = [*_unsafe_settings(connection), *self._unsafe_for_app()]
        if faults:
            raise SetupError("opscore does not use this PostgreSQL as it is. " + " ".join(dict.fromkeys(faults)))

    def _unsafe_for_app(self) -> list[str]:
        # A role can carry settings of its own (ALTER ROLE ... SET), so the application's own session is asked as well.
        try:
            with psycopg.connect(self.conninfo("app"), autocommit=True) as connection:
                return _unsafe_settings(connection)
        except psycopg.OperationalError:
            return []  # Not migrated yet: that is for the caller to find, and there is no session to lose anything.

    def _explained(self, error: psycopg.OperationalError) -> SetupError:
        text = str(error)
        if f'role "{self.app_role}" does not exist' in text:
            return SetupError(f"The schema '{self.schema}' has not been set up yet; run: opscore migrate")
        return Unreachable(f"PostgreSQL cannot be reached: {text.strip()}")

    def close(self) -> None:
        """Close the pool, and leave the embedded PostgreSQL if this opened it."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None
        if self._on_close is not None:
            self._on_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def is_away(error: BaseException) -> bool:
    """Say whether an error is that PostgreSQL does not answer or ends sessions; any other is about what was asked."""
    if isinstance(error, psycopg.OperationalError):
        state = error.sqlstate or ""
        return not state or state.startswith(_AWAY)
    return isinstance(error, psycopg.InterfaceError)


def _read_json_fast(connection: psycopg.Connection[Any]) -> None:
    """Let JSON be read by msgspec, five times as fast as by Python's own reader."""
    set_json_loads(msgspec.json.decode, connection)


def _require_alive(connection: psycopg.Connection[Any]) -> None:
    """Raise when a session ended while it lay in the pool, which then gives another; costs no round trip otherwise."""
    waiting = select.poll()
    waiting.register(connection.fileno(), select.POLLIN)
    # Nobody has asked anything: something to read is a notice, or the end.
    if waiting.poll(0):
        ConnectionPool.check_connection(connection)


def _unsafe_settings(connection: psycopg.Connection[Any]) -> list[str]:
    faults = []
    if connection.info.server_version < SERVER_VERSION_MIN:
        faults.append("It is too old: opscore needs PostgreSQL 15 or later.")
    for name in _DURABLE:
        row = connection.execute("SELECT current_setting(%s)", (name,)).fetchone()
        assert row is not None
        if row[0] == "off":
            faults.append(
                f"{name} is off, so an acknowledged command could be lost; set {name} = on where it is set "
                "(postgresql.conf, ALTER SYSTEM, ALTER DATABASE or ALTER ROLE) and start again."
            )
    return faults


def has_data_checksums(database: Database) -> bool:
    """Say whether the server would notice a page that its disk has altered."""
    with database.connect("admin") as connection:
        row = connection.execute("SELECT current_setting('data_checksums')").fetchone()
    return row is not None and row[0] == "on"


# Migration -----------------------------------------------------------------------------------------------------------


def migrated_version(database: Database) -> str | None:
    """Return the revision that the schema is at; None when it has not been set up."""
    with database.connect("admin") as connection:
        try:
            row = connection.execute(
                sql.SQL("SELECT version_num FROM {}.alembic_version").format(sql.Identifier(database.schema))
            ).fetchone()
        except (errors.UndefinedTable, errors.InvalidSchemaName):
            return None
    return None if row is None else str(row[0])


def newest_version() -> str:
    """Return the newest revision that this installation knows; the file of each begins with its number."""
    return max(path.name.partition("_")[0] for path in (resources.path("alembic") / "versions").glob("[0-9]*.py"))


def is_newer(found: str | None) -> bool:
    """Say whether a schema at this revision was brought there by a newer opscore; revisions are of equal length."""
    return found is not None and found > newest_version()


def version_fault(found: str | None) -> str | None:
    """Return why this program cannot work on a schema at this revision, and what to do; None when it can."""
    newest = newest_version()
    if found == newest:
        return None
    if is_newer(found):
        return f"the schema is at {found}, where a newer opscore brought it; this one knows {newest}: upgrade opscore"
    return f"the schema is at {found}, not at {newest}; run: opscore migrate"
