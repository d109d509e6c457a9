"""The PostgreSQL that opscore stands on: connections as the right role, the settings it refuses, and migration.

Everything of one operator lives in one schema. The owner of that schema connects only to migrate; all other connections
act as `<schema>_app`, which may add to the log and never change it.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

import alembic.command
import alembic.config
import alembic.script
import msgspec
import psycopg
import sqlalchemy
from psycopg import errors, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.types.json import set_json_loads
from psycopg_pool import ConnectionPool

from opscore import resources
from opscore.settings import Settings, SetupError

SERVER_VERSION_MIN = 150000
"""PostgreSQL 15, as `server_version_num` counts."""

_DURABLE = ("fsync", "full_page_writes", "synchronous_commit")
_MIGRATE_SECONDS_MAX = 60

ConnectionRole = Literal["app", "admin"]


class Database:
    """One operator's schema in one PostgreSQL. Make it with `open`; close it when done."""

    def __init__(self, settings: Settings, url: str, *, on_close: Callable[[], None] | None = None) -> None:
        """Use the PostgreSQL at `url` (libpq URL or key=value text, of a role that owns the schema or may make it)."""
        self.settings = settings
        self.schema = settings.schema_name
        self.app_role = settings.app_role
        self.keys_schema = settings.keys_schema
        self._url = url
        self._on_close = on_close
        self._pool: ConnectionPool[psycopg.Connection[Any]] | None = None

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

    @property
    def own_projections(self) -> Path | None:
        """The operator's own folder of projections, if the settings name one."""
        return self.settings.projections

    def conninfo(self, role: ConnectionRole = "app") -> str:
        """Return libpq connection text; `app` acts as the application's role, `admin` as the owner of the schema.

        Both work in UTC and resolve unqualified names in the operator's schema.
        """
        options = [f"-c search_path={self.schema}", "-c timezone=UTC"]
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
        return make_conninfo("", options=" ".join(options), **given)

    def connect(
        self, role: ConnectionRole = "app", *, autocommit: bool = True, **kwargs: Any
    ) -> psycopg.Connection[Any]:
        """Return a new connection of its own; the caller closes it.

        kwargs: as of `psycopg.connect`, for example `prepare_threshold` or `row_factory`.
        Raises `SetupError` when the schema has not been migrated or the server cannot be reached.
        """
        try:
            connection = psycopg.connect(self.conninfo(role), autocommit=autocommit, **kwargs)
        except psycopg.OperationalError as error:
            raise self._explained(error) from error
        _read_json_fast(connection)
        return connection

    @property
    def pool(self) -> ConnectionPool[psycopg.Connection[Any]]:
        """Shared connections of the application's role, in autocommit mode, opened on first use."""
        if self._pool is None:
            self.connect().close()  # Says what is wrong at once; a pool would try in the background until it times out.
            self._pool = ConnectionPool(
                self.conninfo(),
                kwargs={"autocommit": True},
                min_size=1,
                max_size=self.settings.pool_size,
                name="opscore",
                configure=_read_json_fast,
                check=_require_alive,
                open=True,
            )
        return self._pool

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
        return SetupError(f"PostgreSQL cannot be reached: {text.strip()}")

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


def migrate(database: Database) -> bool:
    """Bring the operator's schema to the newest version; return whether there was anything to do.

    Makes the schema and the application's role when they are absent. May be called by any number of processes at once:
    one of them works, the others wait for it.
    Raises `SetupError` when the role that `database` connects as may not do this.
    """
    config = _alembic_config(database)
    head = alembic.script.ScriptDirectory.from_config(config).get_current_head()
    if migrated_version(database) == head:
        return False
    try:
        prepare(database)
        _retry(lambda: _upgrade(database, config))
    except errors.InsufficientPrivilege as error:
        raise SetupError(
            f"The database role may not set up the schema '{database.schema}': {error.diag.message_primary}. Use the "
            "owner of the database, with CREATEROLE, in OPSCORE_DATABASE_URL."
        ) from error
    return True


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


def newest_version(database: Database) -> str | None:
    """Return the newest revision that this installation knows."""
    return alembic.script.ScriptDirectory.from_config(_alembic_config(database)).get_current_head()


def engine(database: Database) -> sqlalchemy.Engine:
    """Return an SQLAlchemy engine over the owner's connections, for Alembic."""
    return sqlalchemy.create_engine(
        "postgresql+psycopg://",
        creator=lambda: database.connect("admin", autocommit=False),
        poolclass=sqlalchemy.NullPool,
        # A script without parameters goes to the server as it is: several statements, and % is just a sign.
        execution_options={"no_parameters": True},
    )


def _alembic_config(database: Database) -> alembic.config.Config:
    config = alembic.config.Config()
    config.set_main_option("script_location", str(resources.path("alembic")).replace("%", "%%"))
    config.attributes["database"] = database
    return config


def _upgrade(database: Database, config: alembic.config.Config) -> None:
    with engine(database).connect() as connection, connection.begin():
        # Whoever is first works; the others wait here and then find nothing left to do.
        connection.exec_driver_sql(f"LOCK TABLE {database.schema}.alembic_version IN ACCESS EXCLUSIVE MODE")
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, "head")


def prepare(database: Database) -> None:
    """Make what a migration stands on, if it is not there: the schema, the application's role, Alembic's own table."""
    _retry(lambda: _bootstrap(database))


def _bootstrap(database: Database) -> None:
    names = {"schema": sql.Identifier(database.schema), "role": sql.Identifier(database.app_role)}
    with database.connect("admin", autocommit=False) as connection:
        role = (database.app_role,)
        if connection.execute("SELECT FROM pg_roles WHERE rolname = %s", role).fetchone() is None:
            connection.execute(sql.SQL("CREATE ROLE {role} NOLOGIN NOSUPERUSER NOBYPASSRLS").format(**names))
        # Since PostgreSQL 16 a membership may exist without the right to act as the role.
        kind = "SET" if connection.info.server_version >= 160000 else "MEMBER"
        acts = connection.execute("SELECT pg_has_role(current_user, %s, %s)", (*role, kind)).fetchone()
        if acts != (True,):
            connection.execute(sql.SQL("GRANT {role} TO CURRENT_USER").format(**names))
        connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {schema}").format(**names))
        if connection.execute("SELECT to_regclass(%s)", (f"{database.schema}.alembic_version",)).fetchone() == (None,):
            connection.execute(
                sql.SQL(
                    "CREATE TABLE {schema}.alembic_version (version_num varchar(32) NOT NULL, "
                    "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)); "
                    "GRANT USAGE ON SCHEMA {schema} TO {role}; GRANT SELECT ON {schema}.alembic_version TO {role}"
                ).format(**names)
            )


ResultT = TypeVar("ResultT")

_SAME_MOMENT = (
    errors.UniqueViolation,
    errors.DuplicateObject,
    errors.DuplicateTable,
    errors.DuplicateSchema,
    errors.DeadlockDetected,
    errors.InternalError_,  # "tuple concurrently updated"
)


def _retry(work: Callable[[], ResultT]) -> ResultT:
    """Do `work`, again when another process was making the very same thing at the same moment."""
    until = time.monotonic() + _MIGRATE_SECONDS_MAX
    while True:
        try:
            return work()
        except (psycopg.Error, sqlalchemy.exc.DBAPIError) as error:
            cause = error.orig if isinstance(error, sqlalchemy.exc.DBAPIError) else error
            if not isinstance(cause, _SAME_MOMENT) or time.monotonic() > until:
                raise
            time.sleep(0.05)
