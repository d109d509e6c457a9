"""One PostgreSQL for the test session and a fresh, migrated database for every test that asks for one."""

from __future__ import annotations

import gc
import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from opscore import kpi_versions
from opscore.database import Database
from opscore.embedded import EmbeddedServer
from opscore.migrations import migrate
from opscore.projector import Projector
from opscore.projector.filling import cores
from opscore.settings import Settings

MASTER_KEY = "b3BzY29yZS10ZXN0LWtleS1vZi0zMi1ieXRlcy4uLi4="

LONGEST_FIRST = ("tests", "end_to_end", "webhooks", "exports", "projections", "api")
"""Folders in the order in which their tests begin, before all others; the first of them start whole programs."""
SHARED = pytest.StashKey[Path]()
"""The folder that all processes of a run share."""
MEMORY = Path("/dev/shm")
MEMORY_FREE_MIN = 6 * 2**30


def pytest_xdist_auto_num_workers() -> int:
    """Run three tests on two processors: they wait for servers of their own for a good part of their time."""
    return max(2, cores() * 3 // 2)


def pytest_configure(config: pytest.Config) -> None:
    """Look for no dead objects while everything is imported: there are next to none, and each look walks all others.

    And make a folder for what is made once for all processes of a run, or learn where it is.
    """
    gc.disable()
    told = getattr(config, "workerinput", None)
    config.stash[SHARED] = new_folder("opscore-tests-") if told is None else Path(told["shared"])


def pytest_configure_node(node: Any) -> None:
    """Tell a process that is about to test where that folder is."""
    node.workerinput["shared"] = str(node.config.stash[SHARED])


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove it, in the process that made it: it ends when all others have ended."""
    if not hasattr(config, "workerinput"):
        shutil.rmtree(config.stash[SHARED])


def pytest_collection_finish() -> None:
    """Leave what was imported to be: otherwise whoever looks for dead objects walks a million live ones each time."""
    gc.collect()
    gc.freeze()
    gc.enable()
    gc.set_threshold(20_000, 20, 50)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the rooms whose files take longest: begun last, one of them would be waited for at the end."""
    places = {folder: place for place, folder in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(item.path.parent.name, len(places)))


def new_folder(prefix: str) -> Path:
    """Return a new folder for a server's data: in memory where there is plenty, because hundreds of tests wait for it.

    Killing a process shows the same there as on a disk; what only a disk could show is not tested by killing.
    """
    roomy = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= MEMORY_FREE_MIN
    return Path(tempfile.mkdtemp(prefix=prefix, dir=MEMORY if roomy else None))


@pytest.fixture(scope="session")
def shared(pytestconfig: pytest.Config) -> Path:
    """A folder that all processes of this run share; who makes something there holds a lock meanwhile."""
    return pytestconfig.stash[SHARED]


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedServer]:
    """A PostgreSQL of this test process's own, durable as in earnest."""
    # A short path of our own: sockets allow 107 bytes, and pytest's folders are closed to the server's user.
    folder = new_folder("opscore-test-")
    running = EmbeddedServer(folder / "data")
    with psycopg.connect(running.url, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET max_wal_size = '256MB'")
        connection.execute("SELECT pg_reload_conf()")
    try:
        yield running
    finally:
        running.close()
        shutil.rmtree(folder)


def make_database(server: EmbeddedServer, name: str, template: str | None = None) -> str:
    """Make a database, empty or as a copy of another that nobody is connected to; return its URL."""
    statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
    if template is not None:
        # Copying the files takes half as long as writing each of their pages to the journal.
        statement += sql.SQL(" TEMPLATE {} STRATEGY FILE_COPY").format(sql.Identifier(template))
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(statement)
    return make_conninfo(server.url, dbname=name)


@pytest.fixture(scope="session")
def template(server: EmbeddedServer) -> str:
    """The name of a migrated database that tests copy; copying is ten times faster than migrating."""
    url = make_database(server, "migrated_once")
    with Database(Settings(_env_file=None, database_url=url, master_key=MASTER_KEY), url) as database:
        migrate(database)
    return "migrated_once"


@pytest.fixture(scope="session")
def deployed(server: EmbeddedServer, template: str) -> str:
    """The name of a database that a server has been started on, so that what it builds at first is there."""
    url = make_database(server, "deployed_once", template)
    with Database(Settings(_env_file=None, database_url=url, master_key=MASTER_KEY), url) as database:
        kpi_versions.take_into_service(database)
        Projector(database).deploy(by="serve")
    return "deployed_once"


@pytest.fixture(scope="session")
def copied(server: EmbeddedServer) -> Callable[[str], AbstractContextManager[str]]:
    """Copy a database under a name that no other has; the copy, whose URL this returns, is gone afterwards."""
    numbers = itertools.count(1)

    @contextmanager
    def copy(template: str) -> Iterator[str]:
        name = f"t{next(numbers)}"
        yield make_database(server, name, template)
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    return copy


@pytest.fixture
def new_settings(
    template: str, copied: Callable[[str], AbstractContextManager[str]]
) -> Iterator[Callable[[], Settings]]:
    """Make settings that name a fresh, migrated database; each call makes another one."""
    with ExitStack() as made:

        def make() -> Settings:
            url = made.enter_context(copied(template))
            return Settings(_env_file=None, database_url=url, master_key=MASTER_KEY, port=0)

        yield make


@pytest.fixture
def settings(new_settings: Callable[[], Settings]) -> Settings:
    """Settings that name this test's own database."""
    return new_settings()


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    """This test's own database, migrated and empty."""
    with Database.open(settings) as opened:
        yield opened
