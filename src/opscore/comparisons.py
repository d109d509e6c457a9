"""Comparisons of read models that somebody asked a server for: on record until they are made, whoever makes them.

The server that makes one holds its row (SKIP LOCKED, as exports do). When it is killed the row is free, and the
comparison is taken up again: by every server as it starts, and by whichever is asked for it.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from datetime import date
from typing import Any
from uuid import UUID

import msgspec
from psycopg.types.json import Jsonb

from opscore.database import Database
from opscore.projector import ProjectionRefused, Projector
from opscore.projector.lock import EditedWithoutVersion
from opscore.projector.sqltext import SqlFileError
from opscore.sqlfiles import load
from opscore.works import Works

SQL = load(__file__, "comparisons.sql")
BEGUN_MAX = 3
"""How often a comparison is begun before it is given up: something ends the server each time."""
LOST = "it was begun {times} times and ended with its server each time; see the server's log, then ask again"

REFUSED = (ProjectionRefused, SqlFileError, EditedWithoutVersion)
"""What a comparison may be refused with; the message says what to do."""


class OfVersions(msgspec.Struct, frozen=True, tag="versions"):
    """How do two versions of a read model differ?"""

    name: str
    old_version: int
    new_version: int


class WhatIf(msgspec.Struct, frozen=True, tag="what_if"):
    """What would the version that serves show under other rules, from a local day on or in all history?"""

    name: str
    rules: dict[str, str]
    from_day: date | None = None


class Comparisons:
    """Asks for comparisons and makes them. Methods block, but for those that return a future."""

    def __init__(self, database: Database, projector: Projector, works: Works) -> None:
        self._database = database
        self._projector = projector
        self._works = works

    def ask(self, comparison_id: UUID, question: OfVersions | WhatIf, asked_by: str) -> None:
        """Put on record that a comparison is to be made; asked twice it is made once, refused it is tried again."""
        given = {"id": comparison_id, "question": Jsonb(msgspec.to_builtins(question)), "asked_by": asked_by}
        with self._database.pool.connection() as connection, connection.transaction():
            if connection.execute(SQL["ask"], given).rowcount:
                connection.execute(SQL["begin_anew"], {"id": comparison_id})

    def take_up(self, comparison_id: UUID) -> Future[Any]:
        """Make a comparison that is waiting, or join whoever makes it here; the future has nothing to say."""
        return self._works.begin(f"compare {comparison_id}", lambda stop: self._make(comparison_id, stop))

    def resume(self) -> int:
        """Take up every comparison that is waiting; return how many. Those that another server makes are left to it."""
        with self._database.pool.connection() as connection:
            waiting = [row[0] for row in connection.execute(SQL["waiting"]).fetchall()]
        for comparison_id in waiting:
            self.take_up(comparison_id)
        return len(waiting)

    def refusal(self, comparison_id: UUID) -> str | None:
        """Return why a comparison was not made and what to do; None when it is made, or is being made."""
        with self._database.pool.connection() as connection:
            row = connection.execute(SQL["refusal"], {"id": comparison_id}).fetchone()
        return None if row is None else str(row[0])

    def _make(self, comparison_id: UUID, stop: Callable[[], bool]) -> None:
        one = {"id": comparison_id}
        # The transaction is the hold: it ends with this process, however that ends.
        with self._database.connect() as holder, holder.transaction():
            held = holder.execute(SQL["hold"], one).fetchone()
            if held is None:
                return
            if self._projector.compared(comparison_id) is None:
                with self._database.pool.connection() as connection:
                    counted = connection.execute(SQL["count"], one).fetchone()
                times = 1 if counted is None else int(counted[0])
                try:
                    if times > BEGUN_MAX:
                        raise ProjectionRefused(LOST.format(times=BEGUN_MAX))
                    self._answer(comparison_id, msgspec.convert(held[0], OfVersions | WhatIf), held[1], stop)
                except REFUSED as refused:
                    if stop():
                        return  # The server is being stopped; the next one goes on.
                    holder.execute(SQL["refuse"], {**one, "refusal": str(refused).rstrip(".")})
                    return
            holder.execute(SQL["done"], one)

    def _answer(
        self, comparison_id: UUID, question: OfVersions | WhatIf, asked_by: str, stop: Callable[[], bool]
    ) -> None:
        if isinstance(question, OfVersions):
            self._projector.compare(
                question.name, question.old_version, question.new_version, by=asked_by, comparison_id=comparison_id
            )
        else:
            self._projector.whatif(
                question.name,
                question.rules,
                from_day=question.from_day,
                by=asked_by,
                comparison_id=comparison_id,
                stop=stop,
            )
