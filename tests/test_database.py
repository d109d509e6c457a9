"""The database as opscore meets it: roles, the settings it refuses, and migration by many at once."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from psycopg import errors, sql
from psycopg.conninfo import conninfo_to_dict

from opscore import migrations
from opscore.database import LENT_SECONDS_MAX, Database, has_data_checksums, is_away, migrated_version, newest_version
from opscore.deadlines import WatchedPool
from opscore.migrations import migrate
from opscore.projector import Projector
from opscore.projector.folder import Loaded
from opscore.settings import Settings, SetupError

ROOT = Path(__file__).parents[1]


def test_the_application_acts_as_its_own_role_in_its_own_schema_and_in_utc(database: Database) -> None:
    with database.connect() as connection:
        row = connection.execute(
            "SELECT current_user, current_schema, current_setting('timezone'), pg_is_in_recovery()"
        ).fetchone()
    assert row == ("opscore_app", "opscore", "UTC", False)


def test_pooled_connections_act_as_the_application(database: Database) -> None:
    with database.pool.connection() as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("opscore_app",)


def test_threads_that_ask_first_at_once_share_one_pool(database: Database) -> None:
    together = threading.Barrier(8)

    def pool() -> WatchedPool:
        together.wait()
        return database.pool

    with ThreadPoolExecutor(8) as threads:
        found = [asked.result() for asked in [threads.submit(pool) for _ in range(8)]]
    assert all(each is database.pool for each in found)


@pytest.mark.parametrize("statement", ["UPDATE events SET actor = 'x'", "DELETE FROM events", "TRUNCATE events"])
@pytest.mark.parametrize("role", ["app", "admin"])
def test_nobody_changes_the_log(database: Database, role: str, statement: str) -> None:
    with (
        database.connect(role) as connection,
        pytest.raises((errors.InsufficientPrivilege, errors.RestrictViolation)),
    ):
        connection.execute(
            "INSERT INTO events SELECT 1, gen_random_uuid(), 1, 'Order', 'OrderPaid', 1, gen_random_uuid(),"
            " now(), now(), 'UTC', 'a', 'live', 'k', NULL, NULL, '{}', decode(repeat('00', 32), 'hex')"
        )
        connection.execute(statement)


def test_the_application_may_not_become_the_owner(database: Database) -> None:
    with database.connect() as connection:
        row = connection.execute(
            "SELECT rolsuper, rolbypassrls, rolcanlogin FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
    assert row == (False, False, False)


@pytest.mark.parametrize("name", ["fsync", "full_page_writes", "synchronous_commit"])
def test_a_server_that_could_lose_an_acknowledged_command_is_refused(database: Database, name: str) -> None:
    database.require_durable()
    with database.connect("admin") as connection:
        connection.execute(sql.SQL("ALTER SYSTEM SET {} = off").format(sql.Identifier(name)))
        try:
            connection.execute("SELECT pg_reload_conf()")
            wait_for(lambda: setting(database, name) == "off")
            with pytest.raises(SetupError, match=f"{name} is off.*set {name} = on"):
                database.require_durable()
        finally:
            connection.execute(sql.SQL("ALTER SYSTEM RESET {}").format(sql.Identifier(name)))
            connection.execute("SELECT pg_reload_conf()")
            wait_for(lambda: setting(database, name) == "on")
    database.require_durable()


def test_a_role_that_commits_without_waiting_is_refused(database: Database) -> None:
    with database.connect("admin") as connection:
        name = connection.info.dbname
        connection.execute(sql.SQL("ALTER DATABASE {} SET synchronous_commit = off").format(sql.Identifier(name)))
    with pytest.raises(SetupError, match="synchronous_commit is off"):
        database.require_durable()


def test_the_embedded_server_checks_its_pages(database: Database) -> None:
    assert has_data_checksums(database)


def test_migrating_twice_does_nothing(database: Database) -> None:
    assert migrated_version(database) == newest_version()
    assert migrate(database) is False


def test_a_schema_that_a_newer_opscore_has_migrated_is_left_alone(database: Database) -> None:
    with database.connect("admin") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SetupError, match=r"the schema is at 9999, where a newer opscore brought it.*upgrade opscore"):
        migrate(database)
    assert migrated_version(database) == "9999"


def test_eight_that_migrate_at_once_all_succeed_and_one_works(new_settings: Callable[[], Settings]) -> None:
    settings = new_settings().model_copy(update={"schema_name": "crowd"})
    databases = [Database.open(settings) for _ in range(8)]
    worked: list[bool] = []
    failed: list[Exception] = []

    def work(database: Database) -> None:
        try:
            worked.append(migrate(database))
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(database,)) for database in databases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(worked) == 8
    assert migrated_version(databases[0]) == newest_version()
    with databases[0].connect() as connection:
        assert connection.execute("SELECT count(*) FROM events").fetchone() == (0,)


def test_a_rebuild_that_was_divided_by_hash_is_begun_anew(new_settings: Callable[[], Settings]) -> None:
    settings = new_settings().model_copy(update={"schema_name": "older"})
    with Database.open(settings) as database:
        migrations.prepare(database)
        migrations._upgrade(database, "0008")
        projector = Projector(database)
        loaded = Loaded(projector.definitions()["stock_ledger"], projector.schema)
        with projector.connect() as connection:
            connection.execute(
                "INSERT INTO projection_catalogue (name, version, digest, sql, rules, status)"
                " VALUES (%s, %s, %s, '{}', '{}', 'building')",
                (loaded.name, loaded.version, loaded.definition.digest),
            )
            connection.execute(
                "INSERT INTO projection_parts (name, version, part, position, bucket_count, buckets)"
                " SELECT %s, %s, part, 100 * part, 3, ARRAY[part] FROM generate_series(0, 2) AS part",
                (loaded.name, loaded.version),
            )
        assert migrate(database) is True
        with projector.connect() as connection:
            entry = projector.catalogue.entry(connection, loaded.name, loaded.version)
            assert entry is not None and entry.status == "retired"
            assert projector.catalogue.parts(connection, loaded.name, loaded.version) == []
        [line] = [line for line in projector.plan() if line.name == "stock_ledger"]
        assert line.action == "build"


def test_alembic_by_itself_comes_to_the_same(new_settings: Callable[[], Settings]) -> None:
    settings = new_settings().model_copy(update={"schema_name": "by_hand"})
    assert settings.database_url is not None
    done = subprocess.run(
        [sys.executable, "-m", "alembic", "upgrade", "head"],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT / "src"),
            "OPSCORE_DATABASE_URL": settings.database_url.get_secret_value(),
            "OPSCORE_SCHEMA_NAME": "by_hand",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with Database.open(settings) as database:
        assert migrated_version(database) == newest_version()
        assert migrate(database) is False
        with database.connect() as connection:
            assert connection.execute("SELECT count(*) FROM events").fetchone() == (0,)


def test_two_operators_share_a_server_without_seeing_each_other(new_settings: Callable[[], Settings]) -> None:
    first = new_settings()
    second = first.model_copy(update={"schema_name": "other"})
    with Database.open(first) as mine, Database.open(second) as theirs:
        migrate(theirs)
        with mine.connect() as connection, pytest.raises(errors.InsufficientPrivilege):
            connection.execute("SELECT * FROM other.events")


def test_an_application_before_its_migration_is_told_to_migrate(new_settings: Callable[[], Settings]) -> None:
    settings = new_settings().model_copy(update={"schema_name": "unborn"})
    with Database.open(settings) as database, pytest.raises(SetupError, match="opscore migrate"):
        database.connect()


def test_a_url_that_is_none_is_refused_without_showing_its_password() -> None:
    settings = Settings(_env_file=None, database_url="postgres//me:hunter2@nowhere")
    with Database.open(settings) as database, pytest.raises(SetupError) as refused:
        database.connect()
    assert "hunter2" not in str(refused.value)


def test_a_role_that_may_not_make_a_schema_is_told_so(database: Database) -> None:
    with database.connect("admin") as connection:
        connection.execute("DROP ROLE IF EXISTS visitor")
        connection.execute("CREATE ROLE visitor NOLOGIN")
    settings = database.settings.model_copy(update={"schema_name": "forbidden"})
    url = psycopg.conninfo.make_conninfo(
        database.settings.database_url.get_secret_value(),
        options="-c role=visitor",
    )
    with Database(settings, url) as visiting, pytest.raises(SetupError, match="may not set up the schema 'forbidden'"):
        migrate(visiting)


def setting(database: Database, name: str) -> str:
    with database.connect("admin") as connection:
        row = connection.execute("SELECT current_setting(%s)", (name,)).fetchone()
    assert row is not None
    return str(row[0])


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until the server has taken over a changed setting."""
    ended = threading.Event()
    for _ in range(200):
        if condition():
            return
        ended.wait(0.02)
    raise AssertionError("the server did not take over the setting within 4 seconds")


def test_a_database_that_is_away_is_told_from_a_statement_at_fault(database: Database) -> None:
    with database.connect("admin") as connection:
        for statement, away in (
            ("SELECT 1 / 0", False),
            ("SELECT pg_cancel_backend(pg_backend_pid()), pg_sleep(60)", False),
            ("SELECT pg_terminate_backend(pg_backend_pid())", True),
            ("SELECT 1", True),
        ):
            with pytest.raises(psycopg.Error) as raised:
                connection.execute(statement)
            assert is_away(raised.value) is away, statement
    assert database.pool.timeout == database.pool.reconnect_timeout == LENT_SECONDS_MAX, (
        "after an hour without PostgreSQL the pool would wait for another one before it looks again"
    )


def test_a_server_that_is_gone_without_a_word_is_noticed_unless_its_url_says_otherwise() -> None:
    for url, wanted in (
        ("postgresql://me@far/shop", ("15", "30000")),
        ("postgresql://me@far/shop?keepalives_idle=300&tcp_user_timeout=0", ("300", "0")),
    ):
        with Database.open(Settings(_env_file=None, database_url=url)) as database:
            given = conninfo_to_dict(database.conninfo())
        assert (given["keepalives_idle"], given["tcp_user_timeout"]) == wanted
