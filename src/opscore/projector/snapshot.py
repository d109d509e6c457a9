"""One moment of the database, read a piece at a time: for whoever wants all the rows of a query, however many."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import errors

from opscore.projector.answers import Answers, Connects, ProjectionRefused
from opscore.projector.catalogue import Connection, Entry

Batch = list[tuple[Any, ...]]


class Snapshot:
    """A read-only transaction (REPEATABLE READ): every statement in it sees the same rows and checkpoints."""

    def __init__(self, connection: Connection, answers: Answers) -> None:
        self.connection = connection
        self._answers = answers
        self._names = itertools.count(1)

    def serving(self, projection: str) -> Entry:
        """Return the version that serves, as this moment has it, and keep its tables from being dropped while it lasts.

        Raises ProjectionRefused when there is none, or it went before it could be kept.
        """
        entry = self._answers.catalogue.serving(self.connection, projection)
        if entry is None:
            raise ProjectionRefused(f"{projection} has not been built; run: opscore projections rebuild {projection}")
        loaded = self._answers.loaded(self.connection, entry)
        # In the order in which they would be dropped, so that neither has what the other waits for.
        tables = ", ".join(loaded.table(name) for name in loaded.definition.tables)
        try:
            # What is read last may be looked at in an hour only, when another version serves and this one may be gone.
            self.connection.execute(f"LOCK TABLE {tables} IN ACCESS SHARE MODE")
        except errors.UndefinedTable:
            raise ProjectionRefused(
                f"{projection} {entry.version} was dropped at this very moment; ask again"
            ) from None
        return entry

    def query(
        self, entry: Entry, name: str, values: Mapping[str, Any], store_ids: Sequence[UUID] | None
    ) -> tuple[str, dict[str, Any]]:
        """Return a version's query and all its values. store_ids: the stores that the asker may see, None for all.

        Raises Outdated for one that only newer versions have.
        """
        ready = self._answers.ready(self.connection, entry, name)
        given: dict[str, Any] = {**dict.fromkeys(ready.parameters), **values}
        given["store_ids"] = None if store_ids is None else list(store_ids)
        given.update(window_from=0, window_to=entry.position)
        return ready.sql, given

    def answer(
        self, entry: Entry, name: str, values: Mapping[str, Any], store_ids: Sequence[UUID] | None
    ) -> list[dict[str, Any]]:
        """Return the rows of a version's query, by column; see `query`."""
        with self.connection.cursor(row_factory=self._answers.by_column(entry)) as cursor:
            return cursor.execute(*self.query(entry, name, values, store_ids)).fetchall()

    @staticmethod
    def listed(
        sql: str,
        values: Mapping[str, Any],
        *,
        order: Sequence[str],
        time: str,
        since: datetime | None,
        before: datetime | None,
        until: int | None = None,
    ) -> tuple[str, dict[str, Any]]:
        """Return a query's rows sorted and, by one of their times, narrowed to a period (UTC, end exclusive).

        order: names of columns, with DESC behind one that falls. time: name of a column. Both are ours. until: the last
        position of the log that rows may have, None for no bound.
        """
        bounds = [
            f"found.{time} {sign} %({name})s::timestamptz"
            for sign, name, bound in ((">=", "period_since", since), ("<", "period_before", before))
            if bound is not None
        ]
        if until is not None:
            bounds.append("found.position <= %(period_until)s::bigint")
        where = f" WHERE {' AND '.join(bounds)}" if bounds else ""
        by = ", ".join(f"found.{each}" for each in order)
        return (
            f"SELECT found.* FROM ({sql}) AS found{where} ORDER BY {by}",
            {**values, "period_since": since, "period_before": before, "period_until": until},
        )

    def stream(self, sql: Any, values: Mapping[str, Any], rows_at_once: int) -> Iterator[Batch]:
        """Yield the rows of a statement through a cursor on the server."""
        with self.connection.cursor(name=f"piece_{next(self._names)}") as cursor:
            cursor.execute(sql, values)
            while batch := cursor.fetchmany(rows_at_once):
                yield batch

    def columns(self, sql: Any, values: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return (name, type of PostgreSQL) of each column of a statement; none of its rows is read."""
        text = sql if isinstance(sql, str) else sql.as_string(self.connection)
        shown = self.connection.execute(f"SELECT found.* FROM ({text}) AS found LIMIT 0", values, prepare=False)
        codes = [(column.name, column.type_code) for column in shown.description or ()]
        names = dict(
            self.connection.execute(
                "SELECT oid, format_type(oid, NULL) FROM pg_type WHERE oid = ANY (%s)", ([code for _, code in codes],)
            ).fetchall()
        )
        return [(name, names[code]) for name, code in codes]

    def total(self, sql: str, values: Mapping[str, Any], what: str = "count(*)") -> int:
        """Return a figure over all rows of a statement. what: an expression of ours, such as sum(found.orders)."""
        row = self.connection.execute(f"SELECT {what} FROM ({sql}) AS found", values, prepare=False).fetchone()
        return 0 if row is None or row[0] is None else int(row[0])


@contextmanager
def snapshot(database: Connects, answers: Answers) -> Iterator[Snapshot]:
    """Open a connection of its own on the present moment, which lasts as long as the block."""
    with database.connect("app", autocommit=True) as connection, connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        connection.execute("SET LOCAL cursor_tuple_fraction = 1.0")  # All rows will be fetched: plan for all.
        yield Snapshot(connection, answers)
