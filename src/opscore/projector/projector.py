"""What can be done with projections: plan, deploy, rebuild, follow, compare, promote, drop, replay; ask and explain.

Versions of a projection stand side by side. Each has tables of its own, follows the log by itself, and answers with the
SQL it was built with. One of them serves.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, cast
from uuid import UUID

from psycopg import errors
from psycopg.rows import dict_row

from opscore import resources
from opscore.projector import compare as comparing
from opscore.projector.catalogue import Catalogue, Connection, Entry
from opscore.projector.folder import Definition, Loaded, Ready, read_all
from opscore.projector.lock import refuse_edited
from opscore.projector.window import Seen, advance, take_in

REBUILD_WINDOW = 100_000
FOLLOW_WINDOW = 5_000
WAIT_SECONDS_MAX = 5.0
_SESSION = (
    # A statement is parsed once but planned for each window: a plan that was made for one event and kept did not finish
    # a window of 400,000.
    "SET plan_cache_mode = force_custom_plan;"
    # A checkpoint that is lost with its rows is taken in again; the log itself is never written here.
    " SET synchronous_commit = off; SET jit = off; SET work_mem = '128MB'; SET maintenance_work_mem = '256MB';"
    # A window of the log lies in memory: the index by type beats a walk over every event of the window. Statistics are
    # for choosing joins between own tables, which a small sample decides as well.
    " SET seq_page_cost = 0.1; SET random_page_cost = 0.1; SET default_statistics_target = 10"
)


class ProjectionRefused(Exception):
    """What was asked of a projection cannot be done now; the message says why and what to do."""


class Connects(Protocol):
    """What the projector needs of a database."""

    schema: str

    def connect(self, role: Any = ..., *, autocommit: bool = ..., **kwargs: Any) -> Connection:
        """Return a new connection; the caller closes it."""

    @property
    def pool(self) -> Any:
        """Shared connections in autocommit mode."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a rebuild is: positions done of `target`, events a second so far, seconds to go (None: unknown)."""

    name: str
    version: int
    position: int
    target: int
    events_per_second: float
    eta_seconds: float | None


@dataclass(frozen=True, slots=True)
class ProjectionStatus:
    """One version: its state (`failed` while a failure stops it), checkpoint, and how many events it is behind."""

    entry: Entry
    question: str
    lag: int
    definition: Definition


@dataclass(frozen=True, slots=True)
class PlanLine:
    """What deploying would do with one projection. action: nothing, texts, build, resume, refused."""

    name: str
    version: int
    action: str
    why: str
    serving: int | None


@dataclass(frozen=True, slots=True)
class CheckFailure:
    """A row that a check returned, though it must return none."""

    name: str
    version: int
    check: str
    description: str
    row: dict[str, Any]


class Projector:
    """The projections of one operator. Safe to use from several threads and processes at once."""

    def __init__(self, database: Connects, folder: Path | None = None) -> None:
        """Use the projections of `folder`, by default those of the package."""
        self._database = database
        self._folder = folder or resources.path("projections")
        self.schema = database.schema
        self.catalogue = Catalogue(database.schema)
        self._loaded: dict[tuple[str, int, str, int], Loaded] = {}

    # What there is -----------------------------------------------------------------------------------------------

    def definitions(self) -> dict[str, Definition]:
        """Return the projections of the folder, by name.

        Raises `SqlFileError` when one does not read as it should, `EditedWithoutVersion` when versions.lock knows it
        with other rules.
        """
        definitions = read_all(self._folder)
        refuse_edited(self._folder, definitions)
        return definitions

    def connect(self) -> Connection:
        """Return a connection as the projector uses it: plans made for each window, commits not waited for."""
        connection = self._database.connect("app", autocommit=True, prepare_threshold=2)
        connection.execute(_SESSION)
        return connection

    def loaded(self, connection: Connection, entry: Entry) -> Loaded:
        """Return a version as the catalogue keeps it, ready to run."""
        # A text may change without the digest (a comment, a check); the time of that change tells.
        key = (entry.name, entry.version, entry.digest, hash(entry.created_at))
        found = self._loaded.get(key)
        if found is None:
            texts = self.catalogue.texts(connection, entry.name, entry.version)
            found = Loaded(Definition(entry.name.rpartition("/")[2], texts), self.schema, entry.name)
            self._loaded[key] = found
        return found

    def status(self) -> list[ProjectionStatus]:
        """Return every version that has not been dropped, by name, newest first."""
        with self._shared() as connection:
            head = self.catalogue.head(connection)
            return [
                ProjectionStatus(
                    entry,
                    self.loaded(connection, entry).definition.question,
                    0 if entry.status == "frozen" else max(0, head - entry.position),
                    self.loaded(connection, entry).definition,
                )
                for entry in self.catalogue.entries(connection)
                if entry.status != "retired"
            ]

    def failures(self) -> list[Entry]:
        """Return the versions that a failure has stopped."""
        with self._shared() as connection:
            return [e for e in self.catalogue.entries(connection) if e.state == "failed" and e.status != "retired"]

    # Plan and build ----------------------------------------------------------------------------------------------

    def plan(self) -> list[PlanLine]:
        """Return what differs between the folder and what is deployed; changes nothing."""
        with self._shared() as connection:
            return [self._planned(connection, definition) for definition in self.definitions().values()]

    def _planned(self, connection: Connection, definition: Definition) -> PlanLine:
        entries = self.catalogue.entries(connection, definition.name)
        serving = next((entry.version for entry in entries if entry.status == "serving"), None)
        entry = next((entry for entry in entries if entry.version == definition.version), None)

        def line(action: str, why: str) -> PlanLine:
            return PlanLine(definition.name, definition.version, action, why, serving)

        if entry is None or entry.status == "retired":
            return line("build", "there is no such version yet" if entry is None else "it was dropped")
        if entry.digest != definition.digest:
            if entry.status == "building":
                return line("build", "its rules changed while it was being built: it starts afresh")
            return line("refused", "its rules were edited; raise the version in projection.toml")
        if entry.status == "building":
            return line("resume", f"its rebuild stands at position {entry.position}")
        if self.catalogue.texts(connection, entry.name, entry.version) != dict(definition.texts):
            return line("texts", "comments or checks changed")
        return line("nothing", f"version {definition.version} is {entry.state}")

    def deploy(
        self, *, by: str = "deploy", progress: Callable[[Progress], None] | None = None, stop: Stop | None = None
    ) -> list[PlanLine]:
        """Build every version that is missing; the first version of a projection starts to serve. Returns the plan.

        A newer version is left beside the serving one, for `compare` and `promote`.
        Raises `ProjectionRefused` when rules were edited without a new version.
        """
        lines = self.plan()
        refused = [line for line in lines if line.action == "refused"]
        if refused:
            raise ProjectionRefused(f"{refused[0].name} version {refused[0].version}: {refused[0].why}")
        for line in lines:
            if line.action == "texts":
                with self._shared() as connection:
                    self.catalogue.set_texts(connection, Loaded(self.definitions()[line.name], self.schema))
                self._loaded.clear()
            elif line.action != "nothing":
                self.rebuild(line.name, by=by, progress=progress, stop=stop)
        return lines

    def rebuild(
        self,
        name: str,
        *,
        by: str = "rebuild",
        progress: Callable[[Progress], None] | None = None,
        stop: Stop | None = None,
        window: int = REBUILD_WINDOW,
    ) -> Entry:
        """Build the folder's version of `name` beside the serving one, up to the head of the log, and return its entry.

        The first version of a projection starts to serve. A rebuild that was stopped (`stop()` returned true) or killed
        goes on where it stood. A version that is complete is left as it is.
        Raises `ProjectionRefused` when the rules of a complete version were edited, or an event or statement fails.
        """
        definition = self.definitions().get(name)
        if definition is None:
            raise ProjectionRefused(f"there is no projection {name}; there are {', '.join(self.definitions())}")
        loaded = Loaded(definition, self.schema)
        with self.connect() as connection:
            with connection.transaction():
                # Whoever enters the row first makes the tables; others wait for the row and then find them made.
                self.catalogue.claim(connection, loaded)
                line = self._planned(connection, definition)
                if line.action == "refused":
                    raise ProjectionRefused(f"{name} version {definition.version}: {line.why}")
                if line.action == "build":
                    self.make_tables(connection, loaded)
            self._fill(connection, loaded, progress, stop, window)
            self._finish(connection, loaded, by)
            entry = self.catalogue.entry(connection, name, definition.version)
        assert entry is not None
        return entry

    def _fill(
        self,
        connection: Connection,
        loaded: Loaded,
        progress: Callable[[Progress], None] | None,
        stop: Stop | None,
        window: int,
        until: int | None = None,
    ) -> None:
        """Take in windows until the head (or `until`) is reached; ANALYZE each time the tables have doubled."""
        began, first, analyzed = time.monotonic(), None, 0
        while True:
            if stop is not None and stop():
                raise ProjectionRefused(f"the rebuild of {loaded.name} was stopped; rebuild again to go on")
            step = advance(connection, self.catalogue, loaded, limit=window, head=until, statuses=("building",))
            if step.failed:
                entry = self.catalogue.entry(connection, loaded.name, loaded.version)
                if entry is not None and entry.failed_position is not None:
                    raise ProjectionRefused(
                        f"{loaded.name} version {loaded.version} stopped at position {entry.failed_position}, in"
                        f" {entry.failed_statement}: {entry.error}"
                    )
                return  # Complete already: another process did it.
            first = step.before if first is None else first
            if progress is not None:
                seconds = max(time.monotonic() - began, 1e-6)
                rate = (step.after - first) / seconds
                eta = (step.head - step.after) / rate if rate else None
                progress(Progress(loaded.name, loaded.version, step.after, step.head, rate, eta))
            if step.after >= step.head:
                return
            if step.after >= 2 * analyzed:
                self._analyze(connection, loaded)
                analyzed = step.after

    def _finish(self, connection: Connection, loaded: Loaded, by: str) -> None:
        """Build the indexes, take in what came meanwhile, and open the version for following, in one transaction."""
        for statement in loaded.create_indexes():
            try:
                connection.execute(statement)
            except (errors.UniqueViolation, errors.DuplicateTable):
                # Another process built it at the same moment and has committed: now it is found, or built if it failed.
                connection.execute(statement)
        self._analyze(connection, loaded)
        with connection.transaction():
            connection.execute("SET LOCAL synchronous_commit = on")
            entry = self.catalogue.lock(connection, loaded.name, loaded.version)
            if entry is None or entry.status != "building" or entry.failed_position is not None:
                return
            head = self.catalogue.head(connection)
            if head > entry.position:
                take_in(connection, self.catalogue, loaded, entry.position, head)
                self.catalogue.move(connection, loaded.name, loaded.version, head)
            if self.catalogue.serving(connection, loaded.name) is None:
                self.catalogue.set_status(connection, loaded.name, loaded.version, "serving", by)
            else:
                self.catalogue.set_status(connection, loaded.name, loaded.version, "ready")

    def make_tables(self, connection: Connection, loaded: Loaded) -> None:
        """Make the tables, rules and functions of a version anew; enter it as building if the catalogue has its row."""
        self._drop_tables(connection, loaded)
        for statement in loaded.create():
            connection.execute(statement)
        self._insert_rules(connection, loaded)
        self.catalogue.begin(connection, loaded)

    def _insert_rules(self, connection: Connection, loaded: Loaded) -> None:
        rules = loaded.definition.rules
        columns = ", ".join(f'"{name}"' for name in rules)
        values = ", ".join(["%s"] * len(rules))
        text = f"INSERT INTO {loaded.table('rules')} ({columns}) VALUES ({values})" if rules else (
            f"INSERT INTO {loaded.table('rules')} DEFAULT VALUES"
        )  # fmt: skip
        connection.execute(text, list(rules.values()))
        connection.execute(f"ANALYZE {loaded.table('rules')}")

    def _analyze(self, connection: Connection, loaded: Loaded) -> None:
        for table in loaded.definition.tables:
            connection.execute(f"ANALYZE {loaded.table(table)}")

    def _drop_tables(self, connection: Connection, loaded: Loaded) -> None:
        for table in [*loaded.definition.tables, "rules"]:
            connection.execute(f"DROP TABLE IF EXISTS {loaded.table(table)} CASCADE")
        found = connection.execute(
            "SELECT proc.oid::regprocedure::text, CASE proc.prokind WHEN 'a' THEN 'AGGREGATE' ELSE 'FUNCTION' END"
            " FROM pg_proc AS proc JOIN pg_namespace AS space ON space.oid = proc.pronamespace"
            " WHERE space.nspname = %s AND starts_with(proc.proname, %s) ORDER BY proc.prokind",
            (self.schema, loaded.prefix),
        ).fetchall()
        for signature, kind in found:
            connection.execute(f"DROP {kind} IF EXISTS {signature} CASCADE")
        types = connection.execute(
            "SELECT type.oid::regtype::text FROM pg_type AS type JOIN pg_namespace AS space"
            " ON space.oid = type.typnamespace JOIN pg_class AS class ON class.oid = type.typrelid"
            " WHERE class.relkind = 'c' AND space.nspname = %s AND starts_with(type.typname, %s)",
            (self.schema, loaded.prefix),
        ).fetchall()
        for (type_name,) in types:
            connection.execute(f"DROP TYPE IF EXISTS {type_name} CASCADE")

    # Follow ------------------------------------------------------------------------------------------------------

    def follow_once(self, connection: Connection, *, limit: int = FOLLOW_WINDOW) -> Follow:
        """Bring every version that follows one step nearer to the head; each in a transaction of its own.

        A version that another process is working on is left to it (`busy`). A version that fails is marked and left
        out from then on; the others go on.
        """
        head, behind = self.catalogue.behind(connection)
        busy = more = False
        moved = 0
        seen: Seen = {}
        for name, version, digest, _ in behind:
            loaded = self._following(connection, name, version, digest)
            step = advance(connection, self.catalogue, loaded, limit=limit, head=head, wait=False, seen=seen)
            busy = busy or step.busy
            more = more or (step.after < step.head and not step.failed and not step.busy)
            moved += step.after - step.before
        return Follow(head, moved, busy, more)

    def _following(self, connection: Connection, name: str, version: int, digest: str) -> Loaded:
        for (known, number, its_digest, _), loaded in self._loaded.items():
            if (known, number, its_digest) == (name, version, digest):
                return loaded
        entry = self.catalogue.entry(connection, name, version)
        assert entry is not None, f"{name} {version} was deleted from the catalogue"
        return self.loaded(connection, entry)

    def catch_up(self) -> int:
        """Bring every version that follows to the head as it is now; return the head."""
        with self.connect() as connection:
            while True:
                step = self.follow_once(connection)
                if not step.busy and not step.more:
                    return step.head
                if step.busy:
                    time.sleep(0.005)

    def wait_for(self, name: str, position: int, *, timeout_seconds: float = WAIT_SECONDS_MAX) -> bool:
        """Wait until the serving version of `name` has taken in `position`; return whether it has in time."""
        until = time.monotonic() + timeout_seconds
        while True:
            with self._shared() as connection:
                entry = self._serving(connection, name)
            if entry.position >= position:
                return True
            if time.monotonic() >= until or entry.failed_position is not None:
                return False
            time.sleep(0.01)

    def resume(self, name: str, version: int) -> None:
        """Let a version that a failure stopped try again from where it stands."""
        self._require(name, version)
        with self._shared() as connection:
            self.catalogue.clear_failure(connection, name, version)

    # Compare, promote, drop --------------------------------------------------------------------------------------

    def compare(self, name: str, old: int, new: int, *, by: str = "compare", sample: int = 100) -> comparing.Comparison:
        """Compare two versions at one position, store the result and return it.

        sample: how many differing rows are kept with both values and the events behind them; all are counted.
        Raises `ProjectionRefused` unless both versions follow and can be brought to one position.
        """
        with self.connect() as connection, self.connect() as reader:
            self._level(connection, name, (old, new))
            for _ in range(20):
                try:
                    with connection.transaction():
                        entries = [self.catalogue.lock(connection, name, version) for version in sorted((old, new))]
                        if entries[0] is None or entries[1] is None or entries[0].position != entries[1].position:
                            raise _Moved
                        # The reader's snapshot is taken while neither version can move; then both go on.
                        reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                        reader.execute("SELECT 1")
                except _Moved:
                    self._level(connection, name, (old, new))
                    continue
                break
            else:
                raise ProjectionRefused(f"{name} {old} and {new} could not be brought to one position; try again")
            both = {entry.version: entry for entry in entries if entry is not None}
            try:
                result = comparing.compare(
                    reader,
                    self.loaded(reader, both[old]),
                    self.loaded(reader, both[new]),
                    position=both[old].position,
                    digest=comparing.pair_digest(both[old].digest, both[new].digest),
                    by=by,
                    sample=sample,
                )
            finally:
                reader.execute("ROLLBACK")
            connection.execute("SET synchronous_commit = on")
            comparing.store(connection, self.catalogue.compares, result)
        return result

    def compares(self, name: str | None = None) -> list[comparing.Comparison]:
        """Return the stored compares (of one projection), latest first."""
        with self._shared() as connection:
            return comparing.stored(connection, self.catalogue.compares, name)

    def _level(self, connection: Connection, name: str, versions: tuple[int, ...]) -> None:
        """Bring versions to the head that the log has now."""
        head = self.catalogue.head(connection)
        for version in versions:
            entry = self._require(name, version)
            if entry.status not in ("ready", "serving"):
                raise ProjectionRefused(f"{name} version {version} is {entry.state}; it must be ready or serving")
            loaded = self.loaded(connection, entry)
            while True:
                step = advance(connection, self.catalogue, loaded, limit=REBUILD_WINDOW, head=head)
                if step.failed:
                    raise ProjectionRefused(f"{name} version {version} has stopped at a failure; see its status")
                if step.after >= head:
                    break

    def promote(self, name: str, version: int, *, by: str) -> Entry:
        """Let `version` serve from now on, in one transaction; the one that served goes on following beside it.

        Raises `ProjectionRefused` unless the two were compared as they are now, and both are at the head of the log. A
        serving version that a failure has stopped cannot be compared and need not be.
        """
        self._require(name, version)
        with self.connect() as connection:
            # Once outside the lock, so that under it little is left to do.
            self._level(connection, name, (version,))
            with connection.transaction():
                connection.execute("SET LOCAL synchronous_commit = on")
                entries = {
                    entry.version: entry
                    for entry in self.catalogue.entries(connection, name)
                    if entry.status == "serving" or entry.version == version
                }
                for number in sorted(entries):
                    locked = self.catalogue.lock(connection, name, number)
                    assert locked is not None
                    entries[number] = locked
                serving = next((e for e in entries.values() if e.status == "serving"), None)
                chosen = entries[version]
                if serving is not None and serving.version == version:
                    return serving  # Asked twice, done once.
                head = self.catalogue.head(connection)
                stopped = serving is not None and serving.failed_position is not None
                if serving is not None and not stopped:
                    digest = comparing.pair_digest(serving.digest, chosen.digest)
                    known = comparing.stored(connection, self.catalogue.compares, name)
                    if not any(compared.digest == digest for compared in known):
                        raise ProjectionRefused(
                            f"{name}: compare {serving.version} and {version} first; they were not compared as they are"
                        )
                for entry in [chosen] if stopped else entries.values():
                    if entry.status not in ("ready", "serving") or entry.failed_position is not None:
                        raise ProjectionRefused(f"{name} version {entry.version} is {entry.state}; it must be ready")
                    if entry.position < head:
                        take_in(connection, self.catalogue, self.loaded(connection, entry), entry.position, head)
                        self.catalogue.move(connection, name, entry.version, head)
                if serving is not None:
                    self.catalogue.set_status(connection, name, serving.version, "ready")
                self.catalogue.set_status(connection, name, version, "serving", by)
            promoted = self.catalogue.entry(connection, name, version)
        assert promoted is not None
        return promoted

    def drop(self, name: str, version: int) -> None:
        """Drop a version's tables; its texts stay in the catalogue. Raises `ProjectionRefused` for one that serves."""
        self._require(name, version)
        with self.connect() as connection, connection.transaction():
            connection.execute("SET LOCAL synchronous_commit = on")
            entry = self.catalogue.lock(connection, name, version)
            assert entry is not None
            if entry.status == "serving":
                raise ProjectionRefused(f"{name} version {version} serves; promote another version first")
            self._drop_tables(connection, self.loaded(connection, entry))
            self.catalogue.set_status(connection, name, version, "retired")

    def replay(
        self,
        until: int | datetime,
        into: str,
        *,
        progress: Callable[[Progress], None] | None = None,
        stop: Stop | None = None,
    ) -> list[Entry]:
        """Build every read model as it was known at a position or time (UTC), as copies named `<into>/<projection>`.

        The copies use the rules of the folder, stand still, and are asked like any projection by that name.
        Replaying again into the same name goes on, or starts afresh when the end differs.
        """
        if not into.isidentifier() or len(into) > 20:
            raise ProjectionRefused(f"a replay needs a plain name of at most 20 letters, not {into!r}")
        made = []
        with self.connect() as connection:
            end = until if isinstance(until, int) else self.catalogue.position_at(connection, until)
            end = min(end, self.catalogue.head(connection))
            for definition in self.definitions().values():
                loaded = Loaded(definition, self.schema, f"{into}/{definition.name}")
                entry = self.catalogue.entry(connection, loaded.name, loaded.version)
                same = entry is not None and entry.digest == definition.digest
                if entry is None or not same or entry.status != "building" or entry.position > end:
                    with connection.transaction():
                        self.catalogue.claim(connection, loaded)
                        self.make_tables(connection, loaded)
                if end:
                    self._fill(connection, loaded, progress, stop, REBUILD_WINDOW, until=end)
                for statement in loaded.create_indexes():
                    connection.execute(statement)
                self.catalogue.set_status(connection, loaded.name, loaded.version, "frozen")
                copy = self.catalogue.entry(connection, loaded.name, loaded.version)
                assert copy is not None
                made.append(copy)
        return made

    # Ask ---------------------------------------------------------------------------------------------------------

    def query(self, name: str, query: str, *, version: int | None = None) -> Ready:
        """Return a query of the serving version (or `version`) as SQL with psycopg parameters."""
        with self._shared() as connection:
            entry = self._serving(connection, name, version)
            return self._query(self.loaded(connection, entry), query)

    def run_query(
        self,
        name: str,
        query: str,
        params: Mapping[str, Any] | None = None,
        *,
        store_ids: Sequence[UUID] | None,
        version: int | None = None,
    ) -> list[dict[str, Any]]:
        """Ask the serving version (or `version`) one of its own queries; return rows as dicts.

        store_ids: the stores that the asker may see; None for all of them.
        params: values for the query's other `:parameters`; one that is not given is NULL.
        """
        for attempt in (1, 2):
            with self._shared() as connection, connection.transaction():
                entry = self._serving(connection, name, version)
                ready = self._query(self.loaded(connection, entry), query)
                values = {**dict.fromkeys(ready.parameters), **(params or {})}
                values["store_ids"] = None if store_ids is None else list(store_ids)
                values.update(window_from=0, window_to=entry.position)
                try:
                    with connection.cursor(row_factory=dict_row) as cursor:
                        # Planned for the values asked with: a kept plan would have to suit any store and any page.
                        return cursor.execute(ready.sql, values, prepare=False).fetchall()
                except errors.UndefinedTable:
                    # Between the look at the catalogue and the query another version was promoted and this one dropped.
                    if attempt == 2:
                        raise
        raise AssertionError("unreachable")

    def explain(
        self,
        name: str,
        cell: str,
        key: Mapping[str, Any],
        *,
        store_ids: Sequence[UUID] | None,
        version: int | None = None,
        as_of: int | None = None,
        after: int = 0,
        limit: int = 1000,
    ) -> list[dict[str, Any]]:
        """Open a figure: return the events that made it, by position, each with what it contributed.

        cell: a statement of explain.sql, named as the table whose row is opened; key: the values of that row's key.
        as_of: look no further than this position. after, limit: a page, by position.
        Each row has `position`, `rule_version` and the contributions under the names of the figures.
        """
        with self._shared() as connection, connection.transaction():
            entry = self._serving(connection, name, version)
            ready = self.loaded(connection, entry).explains.get(cell)
            if ready is None:
                raise ProjectionRefused(f"{name} has no cell {cell}; there are {', '.join(self.cells(name))}")
            wanted = set(ready.parameters) - {"store_ids", "window_from", "window_to", "row_limit"}
            if missing := sorted(wanted - key.keys()):
                # Left out, they would match nothing, and a figure would seem to have no event behind it.
                raise ProjectionRefused(
                    f"a row of {name} {cell} is named by {', '.join(sorted(wanted))}; give {', '.join(missing)} too"
                )
            values: dict[str, Any] = {**dict.fromkeys(ready.parameters), **key}
            values["store_ids"] = None if store_ids is None else list(store_ids)
            values.update(window_from=after, window_to=min(entry.position, as_of or entry.position), row_limit=limit)
            sql = f"SELECT found.* FROM ({ready.sql}) AS found ORDER BY found.position LIMIT %(row_limit)s"
            with connection.cursor(row_factory=dict_row) as cursor:
                rows = cursor.execute(sql, values, prepare=False).fetchall()
        return [{**row, "rule_version": entry.version} for row in rows]

    def cells(self, name: str) -> list[str]:
        """Return the names of the figures that `explain` opens."""
        with self._shared() as connection:
            return list(self.loaded(connection, self._serving(connection, name)).explains)

    def check(self, names: Iterable[str] | None = None) -> list[CheckFailure]:
        """Run checks.sql of every version that is complete (of `names`); return the rows that should not be there."""
        found: list[CheckFailure] = []
        with self.connect() as connection:
            for entry in self.catalogue.entries(connection):
                if entry.status not in ("ready", "serving", "frozen") or (names and entry.name not in names):
                    continue
                with connection.transaction():
                    connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
                    # The checkpoint and the rows have to be of one snapshot.
                    now = self.catalogue.entry(connection, entry.name, entry.version)
                    assert now is not None
                    window = {"window_from": 0, "window_to": now.position}
                    for check in self.loaded(connection, entry).checks.values():
                        with connection.cursor(row_factory=dict_row) as cursor:
                            rows = cursor.execute(check.sql, window).fetchmany(20)
                        found += [
                            CheckFailure(entry.name, entry.version, check.name, check.description, row) for row in rows
                        ]
        return found

    # -------------------------------------------------------------------------------------------------------------

    def _query(self, loaded: Loaded, query: str) -> Ready:
        try:
            return loaded.queries[query]
        except KeyError:
            raise ProjectionRefused(
                f"{loaded.name} has no query {query}; there are {', '.join(loaded.queries)}"
            ) from None

    def _serving(self, connection: Connection, name: str, version: int | None = None) -> Entry:
        entry = (
            self.catalogue.serving(connection, name)
            if version is None
            else self.catalogue.entry(connection, name, version)
        )
        if entry is None or entry.status == "retired":
            what = name if version is None else f"{name} version {version}"
            raise ProjectionRefused(f"{what} has not been built; run: opscore projections rebuild {name}")
        return entry

    def _require(self, name: str, version: int) -> Entry:
        with self._shared() as connection:
            return self._serving(connection, name, version)

    @contextmanager
    def _lent(self) -> Any:
        with self._database.pool.connection() as connection:
            yield connection

    def _shared(self) -> AbstractContextManager[Connection]:
        return cast("AbstractContextManager[Connection]", self._lent())


Stop = Callable[[], bool]
"""Says whether to stop; asked between windows."""


@dataclass(frozen=True, slots=True)
class Follow:
    """What one round of following did: the head seen, events taken in (over all versions), and whether to go again."""

    head: int
    moved: int
    busy: bool
    more: bool


class _Moved(Exception):
    """The two versions are not at one position."""
