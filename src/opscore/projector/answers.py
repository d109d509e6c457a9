"""What can be asked of the projections: queries of a version, the events behind a figure, whether its checks hold."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar, cast
from uuid import UUID

import psycopg
from psycopg import errors
from psycopg.rows import dict_row, tuple_row

from opscore.projector import asking, explaining
from opscore.projector.asking import plain
from opscore.projector.catalogue import Catalogue, Connection, Entry, Version
from opscore.projector.folder import Definition, Loaded, Ready
from opscore.projector.lists import Shape

ReadT = TypeVar("ReadT")
RowT = TypeVar("RowT")

CHECK_SECONDS_MAX = 300
"""How long one check may take once a version is built; `audit verify` waits for all of them."""
CHECK_ROWS_MAX = 20
"""How many rows that should not be there a check names."""
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


class TookTooLong(ProjectionRefused):
    """A statement took longer than it may and was cancelled."""


class Outdated(ProjectionRefused):
    """The version that answers is of before what was asked of it; the message says how to let a newer one answer."""


class Behind(Exception):
    """A version has not taken in a position that the asker wants it to have; nothing was read."""

    def __init__(self, name: str, version: int, position: int) -> None:
        super().__init__(f"{name} version {version} has not reached position {position}")
        self.name = name
        self.version = version
        self.position = position


class ChecksFail(ProjectionRefused):
    """A version does not serve because of what its checks say; the message names them."""


class ComparedAlone(ProjectionRefused):
    """A version does not serve despite its checks because nobody but the one who decides has compared it."""


class Connects(Protocol):
    """What the projector needs of a database."""

    schema: str

    @property
    def own_projections(self) -> Path | None:
        """The operator's own folder of projections, if there is one."""

    def connect(self, role: Any = ..., *, autocommit: bool = ..., **kwargs: Any) -> Connection:
        """Return a new connection; the caller closes it."""

    @property
    def pool(self) -> Any:
        """Shared connections in autocommit mode."""


@dataclass(frozen=True, slots=True)
class CheckFailure:
    """A row that a check returned, though it must return none."""

    name: str
    version: int
    check: str
    description: str
    row: dict[str, Any]


class Answers:
    """The versions that answer, of one operator. Safe to use from several threads at once."""

    def __init__(self, database: Connects) -> None:
        self._database = database
        self.schema = database.schema
        self.catalogue = Catalogue(database.schema)
        self._loaded: dict[tuple[str, int, str, int], Loaded] = {}
        self._replay: str | None = None

    def of_replay(self, replay: str) -> tuple[Self, int]:
        """Return the same with every projection answered by the copy of a replay, and the position it stands at.

        Raises `ProjectionRefused` when there is no whole replay of this name.
        """
        with self._shared() as connection:
            copies = [entry for entry in self.catalogue.entries(connection) if "/" in entry.name]
        made = [entry for entry in copies if entry.name.partition("/")[0] == replay]
        if not made:
            known = sorted({each.name.partition("/")[0] for each in copies if each.status == "frozen"})
            others = f"there are {', '.join(known)}" if known else "there are none yet"
            raise ProjectionRefused(
                f"there is no replay {replay}; {others}, and opscore replay --until TIME --into {replay} makes one"
            )
        if any(each.status == "building" for each in made) or len({each.position for each in made}) > 1:
            raise ProjectionRefused(f"the replay {replay} is not whole; make it again: opscore replay --into {replay}")
        then = copy.copy(self)
        then._replay = replay
        return then, made[0].position

    def connect(self) -> Connection:
        """Return a connection as the projector uses it: plans made for each window, commits not waited for."""
        connection = self._database.connect("app", autocommit=True, prepare_threshold=2)
        # Statements are told apart by the types that occur in a window: there are some hundreds of them.
        connection.prepared_max = 500
        connection.execute(_SESSION)
        return connection

    def loaded(self, connection: Connection, entry: Version) -> Loaded:
        """Return a version as the catalogue keeps it, ready to run."""
        # A text may change without the digest (a comment, a check); the time of that change tells.
        key = (entry.name, entry.version, entry.digest, hash(entry.created_at))
        found = self._loaded.get(key)
        if found is None:
            texts = self.catalogue.texts(connection, entry.name, entry.version)
            found = Loaded(Definition(entry.name.rpartition("/")[2], texts), self.schema, entry.name)
            self._loaded[key] = found
        return found

    def checkpoints(self) -> tuple[int, dict[tuple[str, int], tuple[int, bool]]]:
        """Return the last position of the log, and of each version by (name, version) where it stands and whether it
        goes on from there. Cheap enough to be asked again and again by somebody who waits.
        """
        with self._shared() as connection:
            return self.catalogue.checkpoints(connection)

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
        return self.read(name, lambda ask: ask(query, params), store_ids=store_ids, version=version)

    def read(
        self,
        name: str,
        work: Callable[[Ask], ReadT],
        *,
        store_ids: Sequence[UUID] | None,
        version: int | None = None,
        at_least: int | None = None,
    ) -> ReadT:
        """Ask the serving version (or `version`) several of its queries; return what `work` makes of them.

        work: is given a function that asks a query; it may be run twice.
        store_ids: the stores that the asker may see; None for all of them.
        at_least: a position that the version has to have taken in; raises `Behind` while it has not.
        """
        for attempt in (1, 2):
            # No transaction: it would hold no common snapshot, and cost two more ways to the database.
            with self._shared() as connection:
                entry = self._serving(connection, name, version)
                _require_reached(entry, at_least)
                try:
                    return work(_Asking(self, connection, entry, store_ids))
                except errors.UndefinedTable:
                    # Between the look at the catalogue and the query another version was promoted and this one dropped.
                    if attempt == 2:
                        raise
        raise AssertionError("unreachable")

    def questions(self, name: str, *, version: int | None = None) -> tuple[Entry, list[asking.Question]]:
        """Return the serving version (or `version`) of a projection or copy, and what may be asked of it."""
        with self._shared() as connection, connection.transaction():
            entry = self._entry(connection, name, version)
            loaded = self.loaded(connection, entry)
            return entry, [asking.question(connection, loaded, ready) for ready in loaded.queries.values()]

    def key_of_query(self, name: str, query: str, *, version: int | None = None) -> list[str]:
        """Return the columns along which pages of a query go; empty for one that has a single page."""
        with self._shared() as connection:
            loaded = self.loaded(connection, self._serving(connection, name, version))
            return loaded.definition.keys.get(self._query(loaded, query).name, [])

    def rows(
        self,
        name: str,
        query: str,
        params: Mapping[str, Any],
        *,
        store_ids: Sequence[UUID] | None,
        version: int | None = None,
        filters: Sequence[asking.Filter] = (),
        after: Sequence[Any] | None = None,
        limit: int | None = None,
        at_least: int | None = None,
        seconds_max: float = asking.STATEMENT_SECONDS_MAX,
    ) -> asking.Rows:
        """Ask any query of the serving version (or `version`) for a page of its rows; see `asking.ask`.

        at_least: as of `read`. seconds_max: how long the statement may take.
        Raises `ProjectionRefused` for what cannot be asked, `TookTooLong` for what takes longer.
        """
        try:
            with self._shared() as connection, connection.transaction():
                asking.bounded(connection, seconds_max)
                entry = self._serving(connection, name, version)
                _require_reached(entry, at_least)
                loaded = self.loaded(connection, entry)
                ready = self._query(loaded, query)
                return asking.ask(
                    connection, loaded, entry, ready, params,
                    store_ids=store_ids, filters=filters, after=after, limit=limit,
                )  # fmt: skip
        except asking.CannotAsk as fault:
            raise ProjectionRefused(str(fault)) from None
        except errors.QueryCanceled:
            raise TookTooLong(f"{name} {query} took longer than {seconds_max:g} s; ask for less") from None
        except errors.DataError as fault:
            raise ProjectionRefused(f"{name} {query}: {fault.diag.message_primary or 'a value does not fit'}") from None

    def explain(
        self,
        name: str,
        cell: str,
        key: Mapping[str, Any],
        *,
        store_ids: Sequence[UUID] | None,
        version: int | None = None,
        as_of: int | None = None,
        after: tuple[int, ...] = (0, 0),
        limit: int = 1000,
    ) -> list[dict[str, Any]]:
        """Open a figure: return the events that made it, by position, each with what it contributed.

        cell: a table whose row is opened, or another statement of explain.sql; key: the values of that row's key.
        as_of: look no further than this position. after, limit: a page, behind (position, page_place) of a row.
        Each row has `position`, `page_place` (from 1 among those of one position), `rule_version` and the contributions
        under the names of the figures.
        """
        with self._shared() as connection, connection.transaction():
            entry = self._serving(connection, name, version)
            found, values = self._explaining(connection, entry, cell, key, store_ids, as_of)
            position, place = after
            # All that stands at the position of the page before is numbered anew, to the same numbers.
            values |= {
                "window_from": max(position - 1, 0), "after position": position, "after place": place,
                "page rows": limit,
            }  # fmt: skip
            with connection.cursor(row_factory=dict_row) as cursor:
                rows = cursor.execute(explaining.page(found), values, prepare=False).fetchall()
        return [{**row, "rule_version": entry.version} for row in rows]

    def explain_count(
        self,
        name: str,
        cell: str,
        key: Mapping[str, Any],
        *,
        store_ids: Sequence[UUID] | None,
        as_of: int | None = None,
    ) -> int:
        """Return how many rows `explain` has in all."""
        with self._shared() as connection, connection.transaction():
            entry = self._serving(connection, name)
            found, values = self._explaining(connection, entry, cell, key, store_ids, as_of)
            row = connection.execute(f"SELECT count(*) FROM ({found.sql}) AS found", values, prepare=False).fetchone()
        assert row is not None
        return int(row[0])

    def _explaining(
        self,
        connection: Connection,
        entry: Version,
        name: str,
        key: Mapping[str, Any],
        store_ids: Sequence[UUID] | None,
        as_of: int | None,
    ) -> tuple[explaining.Cell, dict[str, Any]]:
        """Return the cell of the events behind a figure, and its parameters."""
        loaded = self.loaded(connection, entry)
        known = explaining.names(loaded.definition)
        found = explaining.cell(connection, loaded, name) if name in known else None
        if found is None:
            raise ProjectionRefused(f"{entry.name} has no cell {name}; there are {', '.join(known)}")
        if missing := sorted(found.key.keys() - key.keys()):
            # Left out, they would match nothing, and a figure would seem to have no event behind it.
            raise ProjectionRefused(
                f"a row of {entry.name} {name} is named by {', '.join(sorted(found.key))}; give {', '.join(missing)}"
                " too"
            )
        values: dict[str, Any] = {**dict.fromkeys(found.parameters), **key}
        values["store_ids"] = None if store_ids is None else list(store_ids)
        values.update(window_from=0, window_to=min(entry.position, as_of or entry.position))
        return found, values

    def cells(self, name: str) -> list[str]:
        """Return the names of the figures that `explain` opens."""
        with self._shared() as connection:
            return explaining.names(self.loaded(connection, self._serving(connection, name)).definition)

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
                        found += [
                            CheckFailure(entry.name, entry.version, check.name, check.description, row)
                            for row in _rows_of_check(connection, check, window)
                        ]
        return found

    def check_built(self, connection: Connection, loaded: Loaded) -> list[dict[str, Any]]:
        """Run the checks of a version, each as of where it stands then and for `CHECK_SECONDS_MAX` at most.

        Returns what fails, see `Entry.failed_checks`; a check that cannot be run fails with what PostgreSQL says.
        """
        found = []
        for check in loaded.checks.values():
            rows: list[dict[str, Any]] | None
            try:
                with connection.transaction():
                    connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                    asking.bounded(connection, CHECK_SECONDS_MAX)
                    now = self.catalogue.entry(connection, loaded.name, loaded.version)
                    assert now is not None
                    rows = _rows_of_check(connection, check, {"window_from": 0, "window_to": now.position})
            except errors.QueryCanceled:
                rows = None
            except psycopg.OperationalError:
                raise
            except psycopg.Error as error:
                rows = [{"error": error.diag.message_primary or str(error)}]
            if rows is None or rows:
                found.append({"check": check.name, "description": check.description, "rows": plain(rows)})
        return found

    # -------------------------------------------------------------------------------------------------------------

    def _query(self, loaded: Loaded, query: str) -> Ready:
        try:
            return loaded.countings[query] if query in loaded.countings else loaded.queries[query]
        except KeyError:
            raise ProjectionRefused(
                f"{loaded.name} has no query {query}; there are {', '.join(loaded.queries)}"
            ) from None

    def _serving(self, connection: Connection, name: str, version: int | None = None) -> Version:
        if self._replay is not None and "/" not in name:
            name = f"{self._replay}/{name}"
        entry = (
            self.catalogue.answering(connection, name)
            if version is None
            else self.catalogue.entry(connection, name, version)
        )
        if entry is None and version is None:
            for beside in self.catalogue.entries(connection, name):
                if beside.status == "ready" and beside.failing:
                    raise ChecksFail(
                        f"{failing_in_words(beside)}; nothing serves until it is mended under a new version, or"
                        " promoted all the same: opscore projections promote --help"
                    )
        if entry is None or entry.status == "retired":
            raise ProjectionRefused(self._advice(connection, name, version))
        return entry

    def _advice(self, connection: Connection, name: str, version: int | None) -> str:
        """Return what to do about a projection (or version of it) that is not there."""
        replay, _, projection = name.rpartition("/")
        if replay:
            return (
                f"there is no copy of {projection} in a replay {replay}; make one: opscore replay --into {replay} "
                "--until POSITION"
            )
        what = name if version is None else f"{name} version {version}"
        return f"{what} has not been built; run: opscore projections rebuild {name}"

    def outdated(self, entry: Version, what: str) -> Outdated | None:
        """Return what to say when a version has not what this program asks of it; None for the newest there is.

        what: it has not, such as "column quarantined".
        """
        replay, _, name = entry.name.rpartition("/")
        # Not a shared one: whoever asks may hold the last of them, and would wait for itself.
        with self.connect() as connection:
            beside = self.catalogue.entries(connection, name)
        newest = max((each.version for each in beside if each.status != "retired"), default=0)
        if entry.version >= newest:
            return None
        advice = (
            f"make the replay again: opscore replay --into {replay} --until {entry.position}"
            if replay
            else f"version {newest} has; compare the two and let it serve: opscore projections upgrade {name} --promote"
        )
        return Outdated(f"{entry.name} version {entry.version}, which answers, has no {what}; {advice}")

    def ready(self, connection: Connection, entry: Version, query: str) -> Ready:
        """Return a query of a version; raises Outdated where only newer ones have it, ProjectionRefused where none."""
        loaded = self.loaded(connection, entry)
        known = query in loaded.queries or query in loaded.countings
        outdated = None if known else self.outdated(entry, f"query {query}")
        if outdated is not None:
            raise outdated
        return self._query(loaded, query)

    def by_column(self, entry: Version) -> Callable[[psycopg.Cursor[Any]], Callable[[Sequence[Any]], dict[str, Any]]]:
        """Return a row factory: rows as dicts that raise Outdated for a column that only newer versions have."""

        def lacking(column: str) -> Exception:
            return self.outdated(entry, f"column {column}") or KeyError(column)

        def factory(cursor: psycopg.Cursor[Any]) -> Callable[[Sequence[Any]], dict[str, Any]]:
            names = [column.name for column in cursor.description or ()]

            def made(values: Sequence[Any]) -> dict[str, Any]:
                row = _Row(zip(names, values, strict=True))
                row.lacking = lacking
                return row

            return made

        return factory

    def _require(self, name: str, version: int) -> Entry:
        with self._shared() as connection:
            return self._entry(connection, name, version)

    def _entry(self, connection: Connection, name: str, version: int | None) -> Entry:
        """Return the serving version (or `version`) with all that is known of it."""
        found = self._serving(connection, name, version)
        entry = found if isinstance(found, Entry) else self.catalogue.entry(connection, found.name, found.version)
        assert entry is not None, "rows of the catalogue are never deleted while they answer"
        return entry

    @contextmanager
    def _lent(self) -> Any:
        with self._database.pool.connection() as connection:
            yield connection

    def _shared(self) -> AbstractContextManager[Connection]:
        return cast("AbstractContextManager[Connection]", self._lent())


def _require_reached(entry: Version, position: int | None) -> None:
    if position is not None and entry.position < position:
        raise Behind(entry.name, entry.version, position)


def failing_in_words(entry: Entry) -> str:
    """Return what the checks of a version say that fails."""
    found = next(each for each in entry.failed_checks or () if each["rows"])
    return (
        f"{entry.name} version {entry.version}: {', '.join(entry.failing)} of its checks.sql found rows that should not"
        f" be there ({found['description']}), such as {found['rows'][0]}"
    )


def _rows_of_check(connection: Connection, check: Ready, window: Mapping[str, Any]) -> list[dict[str, Any]]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(f"SELECT found.* FROM ({check.sql}) AS found LIMIT {CHECK_ROWS_MAX}", window).fetchall()


class Ask(Protocol):
    """Asks one query of the version that is being read."""

    def __call__(
        self, query: str, params: Mapping[str, Any] | None = None, shape: Shape | None = None
    ) -> list[dict[str, Any]]:
        """Return its rows as dicts. params: one that is not given is NULL. shape: what is asked of them, if not all."""

    def tuples(
        self, query: str, params: Mapping[str, Any] | None = None, shape: Shape | None = None
    ) -> list[tuple[Any, ...]]:
        """Return its rows as tuples, in the order of the shape's columns; see `__call__`."""


@dataclass(frozen=True, slots=True)
class _Asking:
    """One connection to one version."""

    answers: Answers
    connection: Connection
    entry: Version
    store_ids: Sequence[UUID] | None

    def __call__(
        self, query: str, params: Mapping[str, Any] | None = None, shape: Shape | None = None
    ) -> list[dict[str, Any]]:
        with self.connection.cursor(row_factory=self.answers.by_column(self.entry)) as cursor:
            return self._run(cursor, query, params, shape).fetchall()

    def tuples(
        self, query: str, params: Mapping[str, Any] | None = None, shape: Shape | None = None
    ) -> list[tuple[Any, ...]]:
        with self.connection.cursor(row_factory=tuple_row) as cursor:
            return self._run(cursor, query, params, shape).fetchall()

    def _run(
        self, cursor: psycopg.Cursor[RowT], query: str, params: Mapping[str, Any] | None, shape: Shape | None
    ) -> psycopg.Cursor[RowT]:
        ready = self._ready(query, (params or {}).get("measures"))
        sql, values = ready.sql, dict.fromkeys(ready.parameters)
        if shape is not None:
            linked = {name: self._ready(name, None) for name in shape.links}
            for each in linked.values():
                values.update(dict.fromkeys(each.parameters))
            sql, given = shape.around(sql, {name: each.sql for name, each in linked.items()})
            values.update(given)
        values.update(params or {})
        values["store_ids"] = None if self.store_ids is None else list(self.store_ids)
        values.update(window_from=0, window_to=self.entry.position)
        try:
            # Planned for the values asked with: a kept plan would have to suit any store and any page.
            steady = shape is not None and shape.one_plan
            return cursor.execute(sql, values, prepare=None if steady else False)
        except errors.UndefinedColumn as fault:
            found = re.match(r'column "?(?:\w+\.)?(\w+)', fault.diag.message_primary or "")
            outdated = self.answers.outdated(self.entry, f"column {found[1]}") if found else None
            if outdated is None:
                raise
        raise outdated

    def _ready(self, query: str, measures: Sequence[str] | None) -> Ready:
        """Return a query, asked of these measures alone when it counts facts; raises ProjectionRefused."""
        loaded = self.answers.loaded(self.connection, self.entry)
        if not measures or query not in loaded.countings:
            return self.answers.ready(self.connection, self.entry, query)
        for each in measures:
            if each not in loaded.definition.literals and (why := self.answers.outdated(self.entry, f"measure {each}")):
                raise why
        return loaded.counting(query, measures)


class _Row(dict[str, Any]):
    """A row by column."""

    __slots__ = ("lacking",)
    lacking: Callable[[str], Exception]

    def __missing__(self, column: str) -> Any:
        raise self.lacking(column)
