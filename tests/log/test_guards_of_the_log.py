"""Nobody changes history: not the application's role, not the owner, not by cutting the table."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors

from opscore.database import Database

CHANGES = [
    "UPDATE events SET actor = 'somebody else'",
    "DELETE FROM events",
    "TRUNCATE events",
]


@pytest.mark.parametrize("change", CHANGES)
def test_the_application_has_no_right_to_change_an_event(database: Database, change: str) -> None:
    with database.connect() as connection, pytest.raises(errors.InsufficientPrivilege):
        connection.execute(change)


@pytest.mark.parametrize("change", CHANGES)
def test_a_trigger_refuses_even_the_owner(database: Database, change: str) -> None:
    with database.connect("admin") as connection:
        _append_one(connection)
        # A session that asks for triggers to be left out, as replication does, is refused as well.
        connection.execute("SET session_replication_role = replica")
        with pytest.raises(errors.RestrictViolation, match="the log only grows"):
            connection.execute(change)


def test_the_application_owns_nothing_of_the_log_and_bypasses_nothing(database: Database) -> None:
    with database.connect() as connection:
        assert connection.execute("SELECT current_user").fetchone() == (f"{database.schema}_app",)
        row = connection.execute(
            "SELECT rolsuper, rolbypassrls, rolcanlogin FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
        assert row == (False, False, False)
        owner = connection.execute(
            "SELECT tableowner = current_user FROM pg_tables WHERE schemaname = %s AND tablename = 'events'",
            (database.schema,),
        ).fetchone()
        assert owner == (False,)
        rights = connection.execute(
            "SELECT array_agg(privilege_type::text ORDER BY 1) FROM information_schema.role_table_grants"
            " WHERE table_schema = %s AND table_name = 'events' AND grantee = current_user",
            (database.schema,),
        ).fetchone()
        assert rights == (["INSERT", "SELECT"],)


def test_what_the_owner_lends_runs_nothing_that_the_application_made(database: Database) -> None:
    with database.connect("admin") as owner:
        _append_one(owner)
    with database.connect() as connection:
        lent = connection.execute(
            "SELECT proname, proconfig FROM pg_proc WHERE prosecdef AND pronamespace = %s::regnamespace",
            (f'"{database.schema}"',),
        ).fetchall()
        assert lent == [("analyze_events", ["search_path=pg_catalog, pg_temp"])]
        # It may make functions in the schema of the log, also some that are called like those of PostgreSQL.
        connection.execute(
            f'CREATE FUNCTION "{database.schema}".pg_advisory_xact_lock(bigint) RETURNS void LANGUAGE plpgsql AS'
            " $$ BEGIN RAISE EXCEPTION 'run as %', current_user; END $$"
        )
        assert connection.execute("SELECT analyze_events()").fetchone() == (True,)
        assert connection.execute("SELECT analyze_events()").fetchone() == (False,)


def _append_one(connection: psycopg.Connection) -> None:
    connection.execute(
        "INSERT INTO events VALUES (1, gen_random_uuid(), 1, 'Store', 'StoreApplied', 1, gen_random_uuid(), now(),"
        " now(), 'UTC', 'ann', 'live', 'key', NULL, NULL, '{}', sha256('')::bytea)"
    )
