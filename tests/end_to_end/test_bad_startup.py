"""A server does not start on a PostgreSQL that could lose what it acknowledged; it says why and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from opscore.embedded import EmbeddedServer
from opscore.settings import Settings
from tests.end_to_end.servers import ServerProcess, wait_until

UNSAFE = ("fsync", "full_page_writes", "synchronous_commit")


def set_all(server: EmbeddedServer, value: str | None) -> None:
    """Set every one of the settings for the whole PostgreSQL, None for as it was, and wait until that holds."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        for name in UNSAFE:
            word = sql.SQL("ALTER SYSTEM RESET {}" if value is None else "ALTER SYSTEM SET {} = off")
            connection.execute(word.format(sql.Identifier(name)))
        connection.execute("SELECT pg_reload_conf()")
    wait_until(lambda: settings_of(server) == {value or "on"}, f"the settings are {value or 'on'}")


def settings_of(server: EmbeddedServer) -> set[str]:
    """Return the values that the settings have in a new session."""
    with psycopg.connect(server.url) as connection:
        rows = connection.execute("SELECT setting FROM pg_settings WHERE name = ANY(%s)", (list(UNSAFE),)).fetchall()
    return {row[0] for row in rows}


@pytest.fixture
def unsafe(server: EmbeddedServer) -> Iterator[None]:
    """Let the PostgreSQL of the test session be unsafe for a while."""
    try:
        set_all(server, "off")
        yield
    finally:
        set_all(server, None)


def test_a_server_refuses_to_start_on_a_postgresql_that_could_lose_what_it_acknowledged(
    settings: Settings, unsafe: None, tmp_path: Path
) -> None:
    server = ServerProcess("server-1", settings, tmp_path).start()
    try:
        assert server.wait_end() == 1
    finally:
        server.stop()
    said = " ".join(server.log().split())
    for name in UNSAFE:
        assert f"{name} is off, so an acknowledged command could be lost; set {name} = on" in said
    assert "Traceback" not in said
