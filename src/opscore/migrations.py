"""Sets up the schema of an operator and brings it up to date, with Alembic.

Apart from what every process needs of the database, because Alembic takes as long to load as a command to answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import alembic.command
import alembic.config
import psycopg
import sqlalchemy
from psycopg import errors, sql

from opscore import resources
from opscore.database import Database, is_newer, migrated_version, newest_version, version_fault
from opscore.settings import SetupError

_MIGRATE_SECONDS_MAX = 60


def migrate(database: Database) -> bool:
    """Bring the operator's schema to the newest version; return whether there was anything to do.

    Makes the schema and the application's role when they are absent. May be called by any number of processes at once:
    one of them works, the others wait for it.
    Raises `SetupError` when the role that `database` connects as may not do this, or a newer opscore was here.
    """
    found = migrated_version(database)
    if found == newest_version():
        return False
    if is_newer(found):
        raise SetupError(f"This database cannot be used: {version_fault(found)}")
    try:
        prepare(database)
        _retry(lambda: _upgrade(database))
    except errors.InsufficientPrivilege as error:
        raise SetupError(
            f"The database role may not set up the schema '{database.schema}': {error.diag.message_primary}. Use the "
            "owner of the database, with CREATEROLE, in OPSCORE_DATABASE_URL."
        ) from error
    return True


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


def _upgrade(database: Database, revision: str = "head") -> None:
    config = _alembic_config(database)
    with engine(database).connect() as connection, connection.begin():
        # Whoever is first works; the others wait here and then find nothing left to do.
        connection.exec_driver_sql(f"LOCK TABLE {database.schema}.alembic_version IN ACCESS EXCLUSIVE MODE")
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, revision)


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
