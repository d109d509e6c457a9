"""Logs that are made up, and what a projection holds."""

from __future__ import annotations

from typing import Any

import psycopg

from opscore.database import Database
from opscore.projector.folder import Loaded
from tests.benchmarks import generate


class Log:
    """The log of a test's own database, written with made-up events."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def world(self, **sizes: int) -> generate.World:
        """Return a new world whose events come after what is in the log."""
        return generate.World(after=self.head(), **sizes)

    def head(self) -> int:
        """Return the last position."""
        with self.database.connect() as connection:
            row = connection.execute("SELECT coalesce(max(position), 0) FROM events").fetchone()
        assert row is not None
        return int(row[0])

    def append(self, world: generate.World) -> int:
        """Write the world's new events to the log and return the last position."""
        with self.database.connect() as connection:
            generate.copy_in(connection, self.database.schema, world.rows)
        world.rows.clear()
        return world.position

    def fill(self, events: int, seed: int = 1) -> int:
        """Append about this many events of ordinary trade and return the last position."""
        with self.database.connect() as connection:
            rows = generate.busy_log(events, seed=seed, skus=40, back_dated=0.02, after=self.head())
            generate.copy_in(connection, self.database.schema, rows)
        return self.head()


def contents(connection: psycopg.Connection[Any], loaded: Loaded) -> dict[str, list[str]]:
    """Return every row of every table of a version, as text, in one order."""
    return {
        table: [row[0] for row in connection.execute(f"SELECT t::text FROM {loaded.table(table)} AS t ORDER BY 1")]
        for table in loaded.definition.tables
    }
