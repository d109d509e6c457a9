"""What can be done with projections: plan, deploy, rebuild, follow, compare, promote, drop, replay; ask and explain.

Versions of a projection stand side by side. Each has tables of its own, follows the log by itself, and answers with the
SQL it was built with. One of them serves.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg import errors

from opscore import resources, spelling
from opscore.projector import answering, asking, compare as comparing, explaining, lock, whatif
from opscore.projector.agreement import disagreements
from opscore.projector.answers import Answers, ChecksFail, ComparedAlone, Connects, ProjectionRefused, failing_in_words
from opscore.projector.catalogue import FOLLOWING, Connection, Entry, Promotion
from opscore.projector.filling import REBUILD_WINDOW, Filling, Progress, Stop, complete, cores
from opscore.projector.folder import Definition, Loaded, read_all
from opscore.projector.lock import EditedWithoutVersion, refuse_edited
from opscore.projector.own import laid_over
from opscore.projector.sqltext import SqlFileError
from opscore.projector.window import Seen, StatementFailed, advance, advance_together, take_in

FOLLOW_WINDOW = 5_000
NEAR = 500
"""Versions that are at most so many events behind the head are brought to it together."""


DROP_SECONDS_MAX = 10.0
"""How long it is waited for those who read a version that is to be dropped."""


@dataclass(frozen=True, slots=True)
class ProjectionStatus:
    """One version: its state (`failed` while a failure stops it), checkpoint, and how many events it is behind."""

    entry: Entry
    question: str
    lag: int
    definition: Definition


@dataclass(frozen=True, slots=True)
class PlanLine:
    """What deploying would do with one projection. action: nothing, texts, build, resume, refused.

    warning: what does not fit other projections, and what to do; deploying does it all the same.
    """

    name: str
    version: int
    action: str
    why: str
    serving: int | None
    warning: str | None = None


class Projector(Answers):
    """The projections of one operator. Safe to use from several threads and processes at once."""

    def __init__(self, database: Connects, folder: Path | None = None, *, parts: int | None = None) -> None:
        """Use the projections of `folder`, by default those of the package, and the operator's own over them.

        parts: on how many connections a rebuild may work at once; as many as there are processors when None.
        """
        super().__init__(database)
        self._parts = parts or cores()
        self._folder = folder or resources.path("projections")
        self._own = database.own_projections

    # What there is -----------------------------------------------------------------------------------------------

    def definitions(self) -> dict[str, Definition]:
        """Return the projections of the folder and of the operator's own, by name.

        Raises `SqlFileError` when one does not read as it should, `EditedWithoutVersion` when versions.lock knows it
        with other rules.
        """
        definitions = read_all(self._folder)
        refuse_edited(self._folder, definitions)
        return definitions if self._own is None else laid_over(definitions, self._own)

    def definition_of(self, name: str) -> Definition:
        """Return a projection of the folders; raises `ProjectionRefused` with the names there are."""
        definitions = self.definitions()
        if name not in definitions:
            raise ProjectionRefused(_no_projection(name, definitions))
        return definitions[name]

    def require_known(self, name: str) -> None:
        """Raise `ProjectionRefused` for the name of a projection that is in no folder and was never built."""
        with self._shared() as connection:
            known = self._known(connection, self._readable())
        if name not in known:
            raise ProjectionRefused(_no_projection(name, known))

    def _readable(self) -> dict[str, Definition]:
        """Return `definitions`; none when a folder cannot be read, which is no matter to those who serve."""
        try:
            return self.definitions()
        except (SqlFileError, EditedWithoutVersion):
            return {}

    def _known(self, connection: Connection, definitions: Mapping[str, Definition]) -> list[str]:
        built = {entry.name for entry in self.catalogue.entries(connection) if "/" not in entry.name}
        return sorted(built | definitions.keys())

    def _advice(self, connection: Connection, name: str, version: int | None) -> str:
        # To build what is not there is no good advice where its name is a slip, or the version not the newest.
        return self._misnamed(connection, name, version) or super()._advice(connection, name, version)

    def _misnamed(self, connection: Connection, name: str, version: int | None) -> str | None:
        """Return what is wrong with the name, or version, of something that is not there; None when nothing is."""
        replay, _, projection = name.rpartition("/")
        definitions = self._readable()
        known = self._known(connection, definitions)
        if projection not in known:
            return _no_projection(projection, known)
        if replay:
            copies = {entry.name.partition("/")[0] for entry in self.catalogue.entries(connection) if "/" in entry.name}
            near = spelling.hint(replay, copies)
            if replay in copies or not near:
                return None
            return f"there is no replay {replay}{near}; make one: opscore replay --into {replay} --until POSITION"
        if version is None or (projection in definitions and definitions[projection].version == version):
            return None
        entries = self.catalogue.entries(connection, projection)
        there = ", ".join(f"{entry.version} ({entry.state})" for entry in entries if entry.status != "retired")
        dropped = any(entry.version == version for entry in entries)
        what = f"{name} version {version} was dropped" if dropped else f"{name} has no version {version}"
        return (
            f"{what}; there are {there}" if there else f"{what}, nor any yet; run: opscore projections rebuild {name}"
        )

    def status(self) -> list[ProjectionStatus]:
        """Return every version that has not been dropped, by name, newest first."""
        with self._shared() as connection:
            head = self.catalogue.head(connection)
            found = []
            for entry in self.catalogue.entries(connection):
                if entry.status == "retired":
                    continue
                if entry.status == "building":
                    # Built in parts, it stands where they stand on average.
                    parts = self.catalogue.parts(connection, entry.name, entry.version)
                    reached = [position for _, position in parts] or [entry.position]
                    entry = replace(entry, position=sum(reached) // len(reached))
                definition = self.loaded(connection, entry).definition
                lag = 0 if entry.status == "frozen" else max(0, head - entry.position)
                found.append(ProjectionStatus(entry, definition.question, lag, definition))
            return found

    def failures(self) -> list[Entry]:
        """Return the versions that a failure has stopped."""
        with self._shared() as connection:
            return [e for e in self.catalogue.entries(connection) if e.state == "failed" and e.status != "retired"]

    # Plan and build ----------------------------------------------------------------------------------------------

    def plan(self) -> list[PlanLine]:
        """Return what differs between the folder and what is deployed; changes nothing."""
        definitions = self.definitions()
        warnings = disagreements(definitions)
        with self._shared() as connection:
            return [
                replace(self._planned(connection, definition), warning=warnings.get(name))
                for name, definition in definitions.items()
            ]

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
            return line(
                "refused",
                "its rules are not those it was built with. If you edited them, raise the version in projection.toml;"
                " if they came with an update of opscore, run: opscore projections rebuild"
                f" {definition.name} --anew (it answers again once it is built)",
            )
        if entry.status == "building":
            return line("resume", f"its rebuild stands at position {entry.position}")
        if self.catalogue.texts(connection, entry.name, entry.version) != dict(definition.texts):
            return line("texts", "comments or checks changed")
        fails = f"; its checks fail: {', '.join(entry.failing)}" if entry.failing else ""
        return line("nothing", f"version {definition.version} is {entry.state}{fails}")

    def superseding(self) -> list[tuple[Entry, Entry]]:
        """Return (serving, newest) of each projection whose newest version is built and waits beside another one."""
        with self._shared() as connection:
            entries = self.catalogue.entries(connection)
        serving = {entry.name: entry for entry in entries if entry.status == "serving"}
        wanted = {(name, definition.version) for name, definition in self.definitions().items()}
        return [
            (serving[entry.name], entry)
            for entry in entries
            if entry.status == "ready" and (entry.name, entry.version) in wanted and entry.name in serving
        ]

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
        names = [line.name for line in lines if line.action in ("build", "resume")]
        if len(names) < 2:
            for name in names:
                self.rebuild(name, by=by, progress=progress, stop=stop)
        else:
            self._rebuild_all(names, by, progress, stop)
        return lines

    def _rebuild_all(
        self, names: Sequence[str], by: str, progress: Callable[[Progress], None] | None, stop: Stop | None
    ) -> None:
        """Rebuild several projections side by side; each whole, since together they use all processors anyway.

        The first failure is raised once the others have come to an end.
        """
        alone = Projector(self._database, self._folder, parts=1)
        with ThreadPoolExecutor(self._parts, "opscore-rebuild") as pool:
            made = [pool.submit(alone.rebuild, name, by=by, progress=progress, stop=stop) for name in names]
        for each in made:
            each.result()

    def rebuild(
        self,
        name: str,
        *,
        by: str = "rebuild",
        progress: Callable[[Progress], None] | None = None,
        stop: Stop | None = None,
        window: int = REBUILD_WINDOW,
        anew: bool = False,
    ) -> Entry:
        """Build the folder's version of `name` beside the serving one, up to the head of the log, and return its entry.

        The first version of a projection starts to serve. A rebuild that was stopped (`stop()` returned true) or killed
        goes on where it stood. A version that is complete is left as it is, unless `anew`: then it is built from the
        first event once more, with the folder's rules, and does not answer meanwhile.
        Raises `ProjectionRefused` when the rules of a complete version were edited, or an event or statement fails.
        """
        definition = self.definition_of(name)
        loaded = Loaded(definition, self.schema)
        with self.connect() as connection:
            with connection.transaction():
                # Whoever enters the row first makes the tables; others wait for the row and then find them made.
                self.catalogue.claim(connection, loaded)
                line = self._planned(connection, definition)
                if line.action == "refused" and not anew:
                    raise ProjectionRefused(f"{name} version {definition.version}: {line.why}")
                if line.action == "build" or (anew and line.action != "resume"):
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
        """Take in windows until the head (or `until`) is reached."""
        Filling(
            self.connect,
            self.catalogue,
            loaded,
            progress=progress,
            stop=stop,
            window=window,
            until=until,
            parts=self._parts,
        ).run(connection)

    def _finish(self, connection: Connection, loaded: Loaded, by: str) -> None:
        """Build the indexes, run the checks, take in what came meanwhile, and open the version for following.

        The first version of a projection serves, unless its checks fail: then somebody has to decide (see `promote`).
        """
        complete(self.connect, connection, loaded, self._parts)
        failed = self.check_built(connection, loaded)
        with connection.transaction():
            connection.execute("SET LOCAL synchronous_commit = on")
            entry = self.catalogue.lock(connection, loaded.name, loaded.version)
            if entry is None or entry.status != "building" or entry.failed_position is not None:
                return
            head = self.catalogue.head(connection)
            if head > entry.position:
                take_in(connection, self.catalogue, loaded, entry.position, head)
                self.catalogue.move(connection, loaded.name, loaded.version, head)
            self.catalogue.set_checks(connection, loaded.name, loaded.version, failed)
            entry = replace(entry, failed_checks=failed)
            if self.catalogue.serving(connection, loaded.name) is None and not entry.failing:
                self.catalogue.serve(connection, entry, None, by, None, None)
            else:
                self.catalogue.set_status(connection, loaded.name, loaded.version, "ready")

    def make_tables(self, connection: Connection, loaded: Loaded) -> None:
        """Make the tables, rules and functions of a version anew; enter it as building if the catalogue has its row.

        Raises `ProjectionRefused` when PostgreSQL does not take one of them, or a query or explanation over them.
        """
        self._drop_tables(connection, loaded)
        try:
            for statement in loaded.create():
                connection.execute(statement)
        except (psycopg.ProgrammingError, psycopg.DataError, psycopg.NotSupportedError) as error:
            said = error.diag.message_primary or error
            raise ProjectionRefused(f"{loaded.name}/tables.sql or functions.sql: PostgreSQL says: {said}") from None
        self._insert_rules(connection, loaded)
        definition = loaded.definition
        if lock.read(self._folder).get((definition.name, definition.version)) != definition.digest:
            # Not what the package was released with: that was asked before, and planning all of it takes a while.
            _require_answerable(connection, loaded)
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
        listed = ", ".join(["from_day", "until_day", *(f'"{name}"' for name in rules)])
        for first, last, values_then in loaded.definition.rules_by_day:
            connection.execute(
                f"INSERT INTO {loaded.table('rules_by_day')} ({listed}) VALUES (coalesce(%s, '-infinity'::date),"
                f" coalesce(%s, 'infinity'::date){', %s' * len(rules)})",
                [first, last, *values_then.values()],
            )
        connection.execute(f"ANALYZE {loaded.table('rules_by_day')}")

    def _drop_tables(self, connection: Connection, loaded: Loaded) -> None:
        for table in [*loaded.definition.tables, "rules", "rules_by_day"]:
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
        """Bring every version that follows one step nearer to the head: together while all are near, else one by one.

        A version that another process is working on is left to it (`busy`). A version that fails is marked and left
        out from then on; the others go on.
        """
        head, behind = self.catalogue.behind(connection)
        if behind and head - min(position for *_, position in behind) <= min(limit, NEAR):
            near = [
                (self._following(connection, name, version, digest), position)
                for name, version, digest, position in behind
            ]
            try:
                free = advance_together(connection, self.catalogue, near, head)
            except psycopg.OperationalError:
                raise
            except (StatementFailed, psycopg.Error):
                pass  # One by one, it is found which event and statement it was.
            else:
                moved = sum(head - position for loaded, position in near if (loaded.name, loaded.version) in free)
                return Follow(head, moved, busy=len(free) < len(near), more=False)
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

    def resume(self, name: str, version: int) -> None:
        """Let a version that a failure stopped try again from where it stands."""
        self._require(name, version)
        with self._shared() as connection:
            self.catalogue.clear_failure(connection, name, version)

    # Compare, promote, drop --------------------------------------------------------------------------------------

    def compare(
        self,
        name: str,
        old: int,
        new: int,
        *,
        by: str = "compare",
        sample: int = 100,
        comparison_id: UUID | None = None,
        progress: comparing.Parts = comparing.silently,
    ) -> comparing.Comparison:
        """Compare two versions at one position, store the result and return it.

        sample: for how many differing rows the events behind are looked up; all are counted, and at most
        `ROWS_KEPT_MAX` kept with both values. progress: told after each part; when it raises, nothing is stored.
        Raises `ProjectionRefused` unless both versions follow and can be brought to one position.
        """
        return self._compared((name, old), (name, new), by, sample, FOLLOWING, comparison_id, progress)

    def _compared(
        self,
        old: tuple[str, int],
        new: tuple[str, int],
        by: str,
        sample: int,
        statuses: tuple[str, ...],
        comparison_id: UUID | None = None,
        progress: comparing.Parts = comparing.silently,
    ) -> comparing.Comparison:
        comparison_id = comparison_id or uuid4()
        with self.connect() as connection, self.connect() as reader:
            self._level(connection, (old, new), statuses)
            for _ in range(20):
                try:
                    with connection.transaction():
                        entries = [self.catalogue.lock(connection, *version) for version in sorted((old, new))]
                        if entries[0] is None or entries[1] is None or entries[0].position != entries[1].position:
                            raise _Moved
                        # The reader's snapshot is taken while neither version can move; then both go on.
                        reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                        reader.execute("SELECT 1")
                except _Moved:
                    self._level(connection, (old, new), statuses)
                    continue
                break
            else:
                raise ProjectionRefused(f"{old[0]} {old[1]} and {new[1]} could not be brought to one position; again?")
            both = {(entry.name, entry.version): entry for entry in entries if entry is not None}
            try:
                with connection.transaction():
                    connection.execute("SET LOCAL synchronous_commit = on")
                    versions = (self.loaded(reader, both[old]), self.loaded(reader, both[new]))
                    with comparing.storing(connection, self.schema, comparison_id) as keep:
                        result, rows = comparing.compare(
                            reader,
                            *versions,
                            comparison_id=comparison_id,
                            position=both[old].position,
                            digest=comparing.pair_digest(both[old].digest, both[new].digest),
                            by=by,
                            sample=sample,
                            keep=keep,
                            progress=progress,
                        )
                    result = comparing.keep_events(connection, reader, self.schema, result, versions, rows)
                    progress(len(result.totals) + 1, len(result.totals) + 1)
                    comparing.store(connection, self.schema, result)
            finally:
                reader.execute("ROLLBACK")
        return result

    def compares(self, name: str | None = None) -> list[comparing.Comparison]:
        """Return the stored compares (of one projection), latest first."""
        with self._shared() as connection:
            return comparing.stored(connection, self.schema, name)

    def compares_page(self, name: str | None, *, after: Sequence[Any] | None, limit: int) -> list[comparing.Comparison]:
        """Return stored compares (of one projection), latest first, behind (compared_at, id)."""
        with self._shared() as connection:
            return comparing.stored_page(connection, self.schema, name, after, limit)

    def compares_count(self, name: str | None) -> int:
        """Return how many compares are stored (of one projection)."""
        with self._shared() as connection:
            return comparing.stored_count(connection, self.schema, name)

    def compared(self, comparison_id: UUID) -> comparing.Comparison | None:
        """Return a stored compare by its id."""
        with self._shared() as connection:
            return comparing.stored_one(connection, self.schema, comparison_id)

    def compare_rows(self, comparison_id: UUID, *, after: int = 0, limit: int = 100) -> list[comparing.DifferingRow]:
        """Return differing rows that a compare has kept, behind a number, in order."""
        with self._shared() as connection:
            return comparing.stored_rows(connection, self.schema, comparison_id, after, limit)

    def compare_rows_count(self, comparison_id: UUID) -> int:
        """Return how many differing rows a compare has kept."""
        with self._shared() as connection:
            return comparing.stored_rows_count(connection, self.schema, comparison_id)

    def events_behind(
        self,
        compared: comparing.Comparison,
        rows: Sequence[comparing.DifferingRow],
        *,
        after: int = 0,
        limit: int | None = None,
    ) -> dict[int, list[explaining.EventBehind]]:
        """Return the events behind the difference of some rows of a compare, by the row's number.

        after, limit: a page of each row's events, which are numbered from 1 (`place`); `of` says how many there are.
        In a fixed number of statements for the tables of the rows. A row without an entry has events that are not known
        any more (one of the versions is gone, and they were not kept), or that no cell of explain.sql names.
        """
        kept = [row.number for row in rows if row.number <= compared.rows_with_events]
        found: dict[int, list[explaining.EventBehind]] = {number: [] for number in kept}
        with self._shared() as connection, connection.transaction():
            if kept:
                for event in comparing.stored_events(connection, self.schema, compared.id, kept, after, limit):
                    found[event.number].append(event)
            left: dict[str, list[tuple[int, dict[str, Any]]]] = {}
            for row in rows:
                if row.number not in found:
                    left.setdefault(row.table, []).append((row.number, row.key))
            versions = self._still_there(connection, compared) if left else None
            for table, asked in left.items():
                behind = versions and comparing.events_behind(
                    connection, *versions, table, asked, compared.position, after=after, limit=limit
                )
                if behind is not None:
                    found |= {number: [] for number, _ in asked}
                    for event in behind:
                        found[event.number].append(event)
        return found

    def _still_there(self, connection: Connection, compared: comparing.Comparison) -> tuple[Loaded, Loaded] | None:
        """Return the two versions of a compare as they were compared; None when one was dropped or built anew."""
        old_name = compared.name.rpartition("/")[2]
        both = [
            self.catalogue.entry(connection, name, version)
            for name, version in ((old_name, compared.old_version), (compared.name, compared.new_version))
        ]
        there = [entry for entry in both if entry is not None and entry.status not in ("retired", "building")]
        if len(there) < 2 or comparing.pair_digest(there[0].digest, there[1].digest) != compared.digest:
            return None
        return self.loaded(connection, there[0]), self.loaded(connection, there[1])

    def _level(
        self, connection: Connection, versions: Iterable[tuple[str, int]], statuses: tuple[str, ...] = FOLLOWING
    ) -> None:
        """Bring versions to the head that the log has now."""
        head = self.catalogue.head(connection)
        for name, version in versions:
            entry = self._require(name, version)
            if entry.status not in statuses:
                raise ProjectionRefused(f"{name} version {version} is {entry.state}; it must be ready or serving")
            loaded = self.loaded(connection, entry)
            while True:
                step = advance(connection, self.catalogue, loaded, limit=REBUILD_WINDOW, head=head, statuses=statuses)
                if step.failed:
                    raise ProjectionRefused(
                        f"{name} version {version} has stopped at a failure; see: opscore projections list"
                    )
                if step.after >= head:
                    break

    def promote(
        self, name: str, version: int, *, by: str, despite: str | None = None, second_person: bool = False
    ) -> Entry:
        """Let `version` serve from now on, in one transaction; the one that served goes on following beside it.

        despite: why it shall serve though its checks fail; kept with who decided it. second_person: whether it is then
        to be one that somebody other than `by` has compared; raises `ComparedAlone`.
        Raises `ChecksFail` for one whose checks fail, `ProjectionRefused` unless the two were compared as they are now,
        and both are at the head of the log. A serving version that a failure has stopped cannot be compared and need
        not be.
        """
        self._require(name, version)
        with self.connect() as connection:
            # Once outside the lock, so that under it little is left to do.
            self._level(connection, [(name, version)])
            self._check_again(connection, name, version)
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
                if chosen.failing and not despite:
                    raise ChecksFail(f"{failing_in_words(chosen)}; mend it under a new version")
                not_by = by if chosen.failing and second_person else None
                head = self.catalogue.head(connection)
                compare_id = None
                stopped = serving is not None and serving.failed_position is not None
                if serving is not None and not stopped:
                    digest = comparing.pair_digest(serving.digest, chosen.digest)
                    compare_id = comparing.stored_of_digest(connection, self.schema, name, digest, not_by)
                    if compare_id is None and comparing.stored_of_digest(connection, self.schema, name, digest):
                        raise ComparedAlone(f"{name}: nobody but {by} has compared {serving.version} and {version}")
                    if compare_id is None:
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
                before = None if serving is None else serving.version
                self.catalogue.serve(connection, chosen, before, by, compare_id, despite if chosen.failing else None)
            promoted = self.catalogue.entry(connection, name, version)
        assert promoted is not None
        return promoted

    def _check_again(self, connection: Connection, name: str, version: int) -> None:
        """Run the checks of a version that is not known to hold: built before they were run, or mended since."""
        entry = self._require(name, version)
        if entry.failed_checks is None or entry.failing:
            failed = self.check_built(connection, self.loaded(connection, entry))
            self.catalogue.set_checks(connection, name, version, failed)

    def promotions(
        self, name: str | None = None, *, after: Sequence[Any] | None = None, limit: int | None = None
    ) -> list[Promotion]:
        """Return what was let serve (of one projection), latest first, behind (promoted_at, name, number)."""
        with self._shared() as connection:
            return self.catalogue.promotions(connection, name, after, limit)

    def promotions_count(self, name: str | None) -> int:
        """Return how often a version was let serve (of one projection)."""
        with self._shared() as connection:
            return self.catalogue.promotions_count(connection, name)

    def drop(self, name: str, version: int) -> None:
        """Drop a version's tables; its texts stay in the catalogue.

        Raises `ProjectionRefused` for one that serves, and for one that somebody reads and goes on reading.
        """
        self._require(name, version)
        with self.connect() as connection, connection.transaction():
            connection.execute("SET LOCAL synchronous_commit = on")
            entry = self.catalogue.lock(connection, name, version)
            assert entry is not None
            if entry.status == "serving":
                raise ProjectionRefused(f"{name} version {version} serves; promote another version first")
            # Meanwhile nobody else could begin to read it, and the row of the catalogue is held.
            connection.execute(f"SET LOCAL lock_timeout = {round(DROP_SECONDS_MAX * 1000)}")
            try:
                self._drop_tables(connection, self.loaded(connection, entry))
            except errors.LockNotAvailable:
                raise ProjectionRefused(
                    f"{name} version {version} is being read, such as by an export; drop it once that has ended"
                ) from None
            self.catalogue.set_status(connection, name, version, "retired")

    def drop_superseded(self, *, days: int, now: datetime) -> list[Entry]:
        """Drop versions by the rule of retention: lower than one that has served for `days`; return what was dropped.

        Left-over copies of what-ifs go as well when nobody has worked on them for as long.
        """
        before = now - timedelta(days=days)
        with self._shared() as connection:
            entries = self.catalogue.entries(connection)
        served = {
            entry.name: entry.version
            for entry in entries
            if entry.status == "serving" and entry.promoted_at is not None and entry.promoted_at <= before
        }
        dropped = []
        for entry in entries:
            superseded = entry.status == "ready" and entry.version < served.get(entry.name, 0)
            left_over = (
                entry.name.startswith(whatif.COPY_PREFIX)
                and "/" in entry.name
                and entry.status == "building"
                and entry.updated_at <= before
            )
            if superseded or left_over:
                self.drop(entry.name, entry.version)
                dropped.append(entry)
        return dropped

    def whatif(
        self,
        name: str,
        changes: Mapping[str, str],
        *,
        from_day: date | None = None,
        by: str = "whatif",
        sample: int = 100,
        comparison_id: UUID | None = None,
        progress: Callable[[Progress], None] | None = None,
        stop: Stop | None = None,
    ) -> comparing.Comparison:
        """Say what the serving version would show under other rules: build it aside, compare, drop what was built.

        changes: rules with their values as text; from_day: from which local day on, None for all history. The serving
        version and its rules stay as they are. Stopped or killed, the same question goes on where it stood.
        The comparison is stored under the name of the copy, `whatif_<digest>/<name>`.
        Raises `ProjectionRefused` for rules that are not there, values that are none, and statements that fail.
        """
        with self._shared() as connection:
            serving = self._serving(connection, name)
            if serving.status != "serving":
                raise ProjectionRefused(f"{name} is a copy of the past; ask what if of {name.rpartition('/')[2]}")
            asked = self.loaded(connection, serving).definition
        try:
            changed = whatif.changed(asked, changes, from_day)
        except whatif.RuleUnknown as unknown:
            raise ProjectionRefused(str(unknown)) from None
        if (fault := answering.uncovered(changed, changes)) is not None:
            raise ProjectionRefused(f"what if cannot answer this: {fault}")
        loaded = Loaded(changed, self.schema, whatif.copy_name(changed))
        aside = (loaded.name, loaded.version)
        with self.connect() as connection:
            with connection.transaction():
                self.catalogue.claim(connection, loaded)
                entry = self.catalogue.entry(connection, *aside)
                if entry is None or entry.state != "building" or entry.digest != loaded.definition.digest:
                    self.make_tables(connection, loaded)
            try:
                self._fill(connection, loaded, progress, stop, REBUILD_WINDOW)
            except ProjectionRefused:
                entry = self.catalogue.entry(connection, *aside)
                if entry is not None and entry.failed_position is not None:
                    self.drop(*aside)
                raise
            try:
                complete(self.connect, connection, loaded, self._parts)
                result = self._compared(
                    (name, serving.version), aside, by, sample, ("building", *FOLLOWING), comparison_id
                )
            except errors.UndefinedTable:
                raise ProjectionRefused(f"somebody else asked {name} the same at this moment; ask again") from None
        self.drop(*aside)
        return result

    def replay(
        self,
        until: int | datetime,
        into: str,
        *,
        progress: Callable[[Progress], None] | None = None,
        stop: Stop | None = None,
        replace: bool = False,
    ) -> list[Entry]:
        """Build every read model as it was known at a position or time (UTC), as copies named `<into>/<projection>`.

        The copies use the newest rules of the folder, never promoted ones too, stand still, and are asked like any
        projection by that name. A replay that was stopped or killed goes on where it stood; copies that are complete
        stay as they are.
        replace: build complete copies of another end, or of other rules, anew; without it they are refused with
        `ProjectionRefused`, as is a name that cannot be one.
        """
        if not into.isidentifier() or len(into) > 20 or into.startswith(whatif.COPY_PREFIX):
            raise ProjectionRefused(f"a replay needs a plain name of at most 20 letters, not {into!r}")
        made = []
        with self.connect() as connection:
            end = min(self.position_of(until), self.catalogue.head(connection))
            copies = [Loaded(each, self.schema, f"{into}/{each.name}") for each in self.definitions().values()]
            if not replace:
                self._refuse_other_copies(connection, into, copies, end)
            for loaded in copies:
                definition = loaded.definition
                entry = self.catalogue.entry(connection, loaded.name, loaded.version)
                same = entry is not None and entry.digest == definition.digest
                if entry is not None and same and entry.status == "frozen" and entry.position == end:
                    made.append(entry)
                    continue
                if entry is None or not same or entry.state != "building" or entry.position > end:
                    with connection.transaction():
                        self.catalogue.claim(connection, loaded)
                        self.make_tables(connection, loaded)
                if end:
                    self._fill(connection, loaded, progress, stop, REBUILD_WINDOW, until=end)
                complete(self.connect, connection, loaded, self._parts)
                self.catalogue.set_status(connection, loaded.name, loaded.version, "frozen")
                copy = self.catalogue.entry(connection, loaded.name, loaded.version)
                assert copy is not None
                made.append(copy)
        return made

    def head(self) -> int:
        """Return the last position of the log."""
        with self._shared() as connection:
            return self.catalogue.head(connection)

    def position_of(self, moment: int | datetime) -> int:
        """Return a position as it is, and for a time (UTC) the last position recorded by then."""
        if isinstance(moment, int):
            return moment
        with self._shared() as connection:
            return self.catalogue.position_at(connection, moment)

    def _refuse_other_copies(self, connection: Connection, into: str, copies: Sequence[Loaded], end: int) -> None:
        for loaded in copies:
            entry = self.catalogue.entry(connection, loaded.name, loaded.version)
            if entry is None or entry.status != "frozen":
                continue
            if entry.position != end or entry.digest != loaded.definition.digest:
                what = f"as of position {entry.position}" if entry.position != end else "under other rules"
                raise ProjectionRefused(
                    f"there are copies named {into} already, {what}; add --replace to build them anew, or choose"
                    " another name"
                )


@dataclass(frozen=True, slots=True)
class Follow:
    """What one round of following did: the head seen, events taken in (over all versions), and whether to go again."""

    head: int
    moved: int
    busy: bool
    more: bool


def _no_projection(name: str, known: Iterable[str]) -> str:
    return f"there is no projection {name}{spelling.hint(name, known)}; there are {', '.join(known)}"


class _Moved(Exception):
    """The two versions are not at one position."""


def _require_answerable(connection: Connection, loaded: Loaded) -> None:
    """Refuse a version before it is built when nobody could ask it: it would serve, and fail each who asks."""
    for file, statements in (("queries.sql", loaded.queries), ("explain.sql", loaded.explains)):
        for name, ready in statements.items():
            try:
                asking.described(connection, ready)
            except (psycopg.ProgrammingError, psycopg.DataError, psycopg.NotSupportedError) as error:
                said = error.diag.message_primary or error
                raise ProjectionRefused(f"{loaded.name}/{file}: {name}: PostgreSQL says: {said}") from None
