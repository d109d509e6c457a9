"""Brings a version that is being built to the head of the log: window by window, in parts side by side if it may."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from psycopg import errors

from opscore.projector.answers import ProjectionRefused
from opscore.projector.catalogue import Catalogue, Connection, Part
from opscore.projector.folder import Loaded
from opscore.projector.window import Advance, advance

REBUILD_WINDOW = 100_000

WORTH_A_CONNECTION = 2**25
"""Bytes of tables from which on their indexes are built on several connections."""

Stop = Callable[[], bool]
"""Says whether to stop; asked between windows."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a rebuild is: positions done of `target`, events a second so far, seconds to go (None: unknown)."""

    name: str
    version: int
    position: int
    target: int
    events_per_second: float
    eta_seconds: float | None


def cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Filling:
    """One rebuild under way, for as long as this process is at it."""

    def __init__(
        self,
        connect: Callable[[], Connection],
        catalogue: Catalogue,
        loaded: Loaded,
        *,
        progress: Callable[[Progress], None] | None,
        stop: Stop | None,
        window: int,
        until: int | None,
        parts: int,
    ) -> None:
        """Fill the tables of `loaded` up to `until`, or to the head of the log as it grows, in windows of `window`.

        parts: into how many parts to divide the work, each on a connection and a thread of its own.
        """
        self._connect = connect
        self._catalogue = catalogue
        self._loaded = loaded
        self._progress = progress
        self._asked_to_stop = stop
        self._window = window
        self._until = until
        self._parts = parts
        self._began = time.monotonic()
        self._first: int | None = None
        self._analyzed = 0
        self._giving_up = threading.Event()
        self._telling = threading.Lock()

    def run(self, connection: Connection) -> None:
        """Do what is left to do.

        Raises `ProjectionRefused` when asked to stop, or when an event or a statement fails; what was done stays.
        """
        self._catalogue.know_log(connection)
        parts = self._divided(connection)
        if parts:
            self._fill_parts(connection, parts)
            with connection.transaction():
                self._catalogue.unite(connection, self._loaded.name, self._loaded.version)
        self._fill(connection, self._until, None, lambda step: step.after)

    def _divided(self, connection: Connection) -> list[tuple[Part, int]]:
        """Return the parts with their positions; none when the work is not, and is not to be, divided."""
        name, version = self._loaded.name, self._loaded.version
        with connection.transaction():
            parts = self._catalogue.parts(connection, name, version)
            entry = self._catalogue.entry(connection, name, version)
            if parts or entry is None or self._parts < 2 or not self._loaded.definition.stream_by_stream:
                return parts
            end = self._until or self._catalogue.head(connection)
            if end - entry.position < 2 * self._window:
                return []
            return self._catalogue.divide(connection, self._loaded, self._parts)

    def _fill_parts(self, connection: Connection, parts: list[tuple[Part, int]]) -> None:
        """Bring every part to one position; the first that fails or is stopped stops the others after their window."""
        reached = [position for _, position in parts]
        end = max(self._until or self._catalogue.head(connection), *reached)

        def work(part: Part) -> None:
            def whole(step: Advance) -> int:
                reached[part.number] = max(step.after, reached[part.number])
                return sum(reached) // len(reached)

            try:
                with self._connect() as own:
                    self._fill(own, end, part, whole)
            except BaseException:
                self._giving_up.set()
                raise

        with ThreadPoolExecutor(len(parts), "opscore-rebuild") as pool:
            futures = [pool.submit(work, part) for part, _ in parts]
            try:
                raised = [future.exception() for future in futures]
            except BaseException:
                self._giving_up.set()
                raise
        self._giving_up.clear()
        failed = [error for error in raised if error is not None]
        if failed:
            # What made the others give up comes first.
            raise min(failed, key=lambda error: isinstance(error, _GivenUp))

    def _fill(
        self, connection: Connection, end: int | None, part: Part | None, whole: Callable[[Advance], int]
    ) -> None:
        """Take in windows until the head (or `end`) is reached; ANALYZE each time the tables have grown fourfold."""
        loaded = self._loaded
        while True:
            if self._giving_up.is_set():
                raise _GivenUp(f"the rebuild of {loaded.name} was given up; rebuild again to go on")
            if self._asked_to_stop is not None and self._asked_to_stop():
                raise ProjectionRefused(f"the rebuild of {loaded.name} was stopped; rebuild again to go on")
            step = advance(
                connection,
                self._catalogue,
                loaded,
                limit=self._window,
                head=end,
                statuses=("building",),
                part=part,
            )
            if step.failed:
                self._refuse(connection)
                return  # Complete already: another process did it.
            if step.busy:
                return  # The parts were united by another process.
            self._tell(whole(step), step)
            if step.after >= step.head:
                return
            if self._outgrown(step.after):
                with connection.transaction():
                    # Enough to tell large from small; whoever finishes the rebuild looks closer.
                    connection.execute("SET LOCAL default_statistics_target = 10")
                    analyze(connection, loaded)

    def _outgrown(self, position: int) -> bool:
        """Say whether the tables have grown fourfold since they were last looked at, to the first part that finds it.

        That is the one ahead, and it has the time.
        """
        with self._telling:
            if position < 4 * self._analyzed:
                return False
            self._analyzed = position
            return True

    def _refuse(self, connection: Connection) -> None:
        entry = self._catalogue.entry(connection, self._loaded.name, self._loaded.version)
        if entry is not None and entry.failed_position is not None:
            raise ProjectionRefused(
                f"{entry.name} version {entry.version} stopped at position {entry.failed_position}, in"
                f" {entry.failed_statement}: {entry.error}"
            )

    def _tell(self, position: int, step: Advance) -> None:
        """Report progress; parts tell one at a time."""
        with self._telling:
            if self._first is None:
                self._first = step.before
            if self._progress is not None:
                rate = (position - self._first) / max(time.monotonic() - self._began, 1e-6)
                eta = (step.head - position) / rate if rate > 0 else None
                self._progress(Progress(self._loaded.name, self._loaded.version, position, step.head, rate, eta))


class _GivenUp(ProjectionRefused):
    """Another part failed or was stopped."""


def complete(connect: Callable[[], Connection], connection: Connection, loaded: Loaded, parts: int) -> None:
    """Build the indexes of a version whose rows are in, and let the planner know how large its tables are.

    Indexes that are there already stay; several are built side by side, on up to `parts` connections.
    Raises `ProjectionRefused` when rows do not allow an index: two of one key, or one that is too long.
    """
    statements = loaded.create_indexes()
    tables = [loaded.table(table) for table in loaded.definition.tables]
    if parts > 1 and sum(_bytes(connection, table) for table in tables) >= WORTH_A_CONNECTION:

        def build(statement: str) -> None:
            with connect() as own:
                # The processors have work enough without more processes for each index.
                own.execute("SET max_parallel_maintenance_workers = 0")
                _build_index(own, loaded, statement)

        def look_at(table: str) -> None:
            with connect() as own:
                own.execute(f"ANALYZE {table}")

        with ThreadPoolExecutor(parts, "opscore-index") as pool:
            list(pool.map(build, statements))
            # Not before the last index is there: of what an index works out, statistics are kept as well.
            list(pool.map(look_at, tables))
    else:
        for statement in statements:
            _build_index(connection, loaded, statement)
        analyze(connection, loaded)


def _bytes(connection: Connection, table: str) -> int:
    row = connection.execute("SELECT pg_relation_size(%s)", (table,)).fetchone()
    assert row is not None
    return int(row[0])


def _build_index(connection: Connection, loaded: Loaded, statement: str) -> None:
    try:
        try:
            connection.execute(statement)
        except (errors.UniqueViolation, errors.DuplicateTable):
            # Another process built it at the same moment and has committed: now it is found, or built if it failed.
            connection.execute(statement)
    except (errors.UniqueViolation, errors.ProgramLimitExceeded) as error:
        detail = f" ({error.diag.message_detail})" if error.diag.message_detail else ""
        raise ProjectionRefused(
            f"{loaded.name} version {loaded.version}: {error.diag.message_primary}{detail}; mend its tables.sql or"
            " apply.sql, then rebuild it"
        ) from error


def analyze(connection: Connection, loaded: Loaded) -> None:
    """Let the planner know how large the tables are."""
    for table in loaded.definition.tables:
        connection.execute(f"ANALYZE {loaded.table(table)}")
