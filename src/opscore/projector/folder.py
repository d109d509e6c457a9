"""A projection as a folder of text: read, checked, named by version, and made ready to run in one schema.

Files: projection.toml (version, question, events, [rules]), tables.sql, apply.sql, queries.sql, explain.sql, checks.sql
and, where needed, functions.sql. The texts of a version travel together: the catalogue keeps them all, and what runs is
what the catalogue keeps.
"""

from __future__ import annotations

import datetime
import hashlib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from opscore.domain.aggregate import EVENT_CLASSES
from opscore.projector import counting, sqltext
from opscore.projector.relations import EVERY_EVENT, IN_PART, Relation, all_relations, every_event_cte
from opscore.projector.sqltext import SqlFileError, Statement

FILES = (
    "projection.toml", "tables.sql", "functions.sql", "apply.sql", "queries.sql", "explain.sql", "checks.sql",
)  # fmt: skip
RULE_FILES = ("tables.sql", "functions.sql", "apply.sql", "queries.sql", "explain.sql")
"""The SQL files whose change (comments and spacing apart) changes a figure or what it means: it needs a new version."""
WHATIF_FILE = "whatif.toml"
"""Rules that a what-if changes, beside the texts of the version it changes; never a file of a folder."""
NAME_BYTES_MAX = 63
"""PostgreSQL cuts longer names off."""
VERSION_MAX = 2**31 - 1
"""The catalogue keeps versions as PostgreSQL's integer."""
WINDOW_PARAMETERS = frozenset({"window_from", "window_to"})
_RULE_TYPES: dict[type, str] = {bool: "boolean", int: "bigint", str: "text", Decimal: "numeric", datetime.date: "date"}


@dataclass(frozen=True)
class Definition:
    """One version of a projection, as text.

    Raises `SqlFileError` on reading when a file does not follow the rules of a projection folder.
    """

    name: str
    texts: Mapping[str, str] = field(repr=False)

    @classmethod
    def read(cls, folder: Path) -> Definition:
        """Read a folder; its name is the projection's."""
        texts = {}
        for file in FILES:
            if (folder / file).exists():
                try:
                    texts[file] = (folder / file).read_text("utf-8")
                except UnicodeDecodeError:
                    raise SqlFileError(f"{folder.name}/{file} is no text in UTF-8; save it as that") from None
        return _checked(folder.name, tuple(texts.items()))

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Return projection.toml; amounts in it are integers or decimals, never floats."""
        try:
            return tomllib.loads(self.texts["projection.toml"], parse_float=_refuse_float)
        except KeyError:
            raise SqlFileError(f"{self.name}: projection.toml is missing") from None
        except tomllib.TOMLDecodeError as error:
            raise SqlFileError(f"{self.name}/projection.toml is no TOML: {error}") from None

    @property
    def version(self) -> int:
        """Return the version, from 1."""
        return int(self.settings["version"])

    @property
    def question(self) -> str:
        """Return the question this projection answers."""
        return str(self.settings["question"])

    @property
    def stream_by_stream(self) -> bool:
        """Say whether what becomes of a stream depends on that stream alone, so that a rebuild may be done in parts.

        Then every row belongs to one stream, and no statement reads or writes a row of another, but for what comes from
        `shared_events`.
        """
        return bool(self.settings.get("stream_by_stream", False))

    @property
    def shared_events(self) -> frozenset[str]:
        """Return the events that each part of a rebuild takes in, whatever their stream.

        Statements over them must do so once and again to the same effect (ON CONFLICT DO NOTHING), and no further than
        `:window_to` must anything read what they keep: another part may be ahead. `in_part(stream_id)` says which rows
        of other streams belong to the part that is being worked on.
        """
        return frozenset(self.settings.get("shared_events", ()))

    @property
    def events(self) -> tuple[str, ...]:
        """Return the event types that are read."""
        return tuple(self.settings["events"])

    @property
    def operator_wide(self) -> frozenset[str]:
        """Return the queries that may be asked without a store scope."""
        return frozenset(self.settings.get("operator_wide", ()))

    @property
    def columns(self) -> dict[str, str]:
        """Return [columns]: what the columns of its queries mean, by name."""
        return dict(self.settings.get("columns", {}))

    @property
    def keys(self) -> dict[str, list[str]]:
        """Return [keys]: for a query, the columns that name a row and never are null; pages go along them."""
        said: dict[str, Any] = self.settings.get("keys", {})
        for query, columns in said.items():
            if not isinstance(columns, list) or not columns or not all(isinstance(each, str) for each in columns):
                raise SqlFileError(f"{self.name}/projection.toml: the key of {query} is a list of columns")
        return said

    @property
    def compare(self) -> dict[str, dict[str, Any]]:
        """Return [compare]: for a query, values of parameters without which it cannot be asked as a whole."""
        said: dict[str, Any] = self.settings.get("compare", {})
        for query, given in said.items():
            if not isinstance(given, dict):
                raise SqlFileError(
                    f"{self.name}/projection.toml: under [compare], {query} is a table of values by name"
                )
        return said

    @cached_property
    def _whatif(self) -> dict[str, Any]:
        return tomllib.loads(self.texts.get(WHATIF_FILE, ""), parse_float=_refuse_float)

    @cached_property
    def rules(self) -> dict[str, Any]:
        """Return [rules]: int, bool, str, date, or Decimal (written `{ decimal = "0.015" }`)."""
        said = {**self.settings.get("rules", {}), **self._whatif.get("rules", {})}
        return {name: _rule(self.name, name, value) for name, value in said.items()}

    @cached_property
    def rules_from(self) -> list[tuple[datetime.date, dict[str, Any]]]:
        """Return [[rules_from]]: (first day, the rules that change on it), earliest first."""
        found: dict[datetime.date, dict[str, Any]] = {}
        # What a what-if sets for all history was so on every day.
        kept = [
            {name: value for name, value in said.items() if name not in self._whatif.get("rules", {})}
            for said in self.settings.get("rules_from", ())
        ]
        for said in [*kept, *self._whatif.get("rules_from", ())]:
            changes = {name: _rule(self.name, name, value) for name, value in said.items() if name != "day"}
            day = said.get("day")
            if type(day) is not datetime.date:
                raise SqlFileError(f"{self.name}/projection.toml: [[rules_from]] needs a day, such as day = 2026-02-01")
            for name, value in changes.items():
                if type(value) is not type(self.rules.get(name)):
                    raise SqlFileError(f"{self.name}/projection.toml: {name} from {day} is no rule of this type")
            if changes:
                found.setdefault(day, {}).update(changes)
        return sorted(found.items())

    @property
    def rules_by_day(self) -> list[tuple[datetime.date | None, datetime.date | None, dict[str, Any]]]:
        """Return (first day, first day of the next, all rules as they are from then on); None: since or for ever."""
        starts: list[datetime.date | None] = [None, *(day for day, _ in self.rules_from)]
        found, now = [], dict(self.rules)
        for place, start in enumerate(starts):
            now |= {} if start is None else dict(self.rules_from)[start]
            found.append((start, starts[place + 1] if place + 1 < len(starts) else None, dict(now)))
        return found

    @cached_property
    def rules_json(self) -> dict[str, Any]:
        """Return the rules as the catalogue shows them (decimals and dates as strings)."""
        found: dict[str, Any] = {name: _plain(value) for name, value in self.rules.items()}
        if self.rules_from:
            found["rules_from"] = [
                {"day": str(day), **{name: _plain(value) for name, value in changes.items()}}
                for day, changes in self.rules_from
            ]
        return found

    @cached_property
    def digest(self) -> str:
        """Return SHA-256 (hex) over everything that decides a figure; comments and spacing do not count."""
        parts = [f"events {' '.join(sorted(self.events))}"]
        parts += [f"rule {name} {value!r}" for name, value in sorted(self.rules_json.items())]
        parts += [f"operator_wide {' '.join(sorted(self.operator_wide))}"]
        parts += [f"{file} {sqltext.canonical(self.texts.get(file, ''))}" for file in RULE_FILES]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def statements(self, file: str) -> tuple[Statement, ...]:
        """Return the named statements of a file, none when it is absent."""
        return sqltext.statements(self.texts.get(file, ""), f"{self.name}/{file}")

    @cached_property
    def literals(self) -> frozenset[str]:
        """Return every word that stands in quotes, the measures of its facts among them."""
        return frozenset(word for text in self.texts.values() for word in re.findall(r"'(\w+)'", text))

    def check(self) -> None:
        """Refuse a folder that breaks a rule of the house; the message says how to mend it."""
        self._check_settings()
        self._check_names()
        for query in self.statements("queries.sql"):
            if "store_ids" not in query.parameters and query.name not in self.operator_wide:
                raise SqlFileError(
                    f"{self.name}/queries.sql: {query.name} must filter by :store_ids, or be named in operator_wide"
                )
        read: set[str] = set()
        for file in ("apply.sql", "queries.sql", "explain.sql", "checks.sql"):
            for statement in self.statements(file):
                used = self._events_of(statement, file)
                if file == "apply.sql":
                    self._check_window(statement, used)
                if file in ("apply.sql", "queries.sql"):
                    read |= used
        if unread := sorted(set(self.events) - read):
            raise SqlFileError(f"{self.name}/projection.toml: no statement reads {unread[0]}; take it out")

    def _check_settings(self) -> None:
        """Refuse what projection.toml says amiss by itself."""
        for key in ("version", "question", "events"):
            if key not in self.settings:
                raise SqlFileError(f"{self.name}/projection.toml: add '{key}'")
        if type(self.settings["version"]) is not int or self.version < 1:
            raise SqlFileError(f"{self.name}/projection.toml: versions start at 1")
        if self.version > VERSION_MAX:
            raise SqlFileError(f"{self.name}/projection.toml: versions end at {VERSION_MAX}; count them one by one")
        for key in ("events", "shared_events", "operator_wide"):
            said = self.settings.get(key, [])
            if not isinstance(said, list) or not all(isinstance(each, str) for each in said):
                raise SqlFileError(f'{self.name}/projection.toml: {key} is a list of names such as ["OrderPaid"]')
        if strangers := sorted(self.shared_events - set(self.events)):
            raise SqlFileError(
                f"{self.name}/projection.toml: shared_events names {strangers[0]}, which it does not read"
            )
        if unknown := sorted(set(self.events) - set(EVENT_CLASSES)):
            raise SqlFileError(f"{self.name}/projection.toml: there is no event {', '.join(unknown)}")
        if "rules_from" in self.rules:
            raise SqlFileError(f"{self.name}/projection.toml: a rule cannot be called rules_from; rename it")

    def _check_names(self) -> None:
        """Refuse names that stand for nothing, or for two things."""
        queries = {query.name for query in self.statements("queries.sql")}
        for section, named in (("keys", self.keys), ("compare", self.compare)):
            if strangers := sorted(set(named) - queries):
                raise SqlFileError(f"{self.name}/projection.toml: [{section}] names {strangers[0]}, which is no query")
        if self.rules_from and not any("rules_by_day" in self.texts.get(file, "") for file in RULE_FILES):
            raise SqlFileError(
                f"{self.name}/projection.toml: nothing reads rules_by_day, so [[rules_from]] would change nothing;"
                " join it on the day that the rule is for"
            )
        created = {name for kind, name in self.created}
        if clash := sorted((created | {"rules", "rules_by_day"}) & set(_relations())):
            raise SqlFileError(f"{self.name}/tables.sql: {clash[0]} is the name of an event relation; choose another")

    def _events_of(self, statement: Statement, file: str) -> set[str]:
        """Return the types of events that a statement reads; refuses one that projection.toml does not declare."""
        relations = _relations()
        used = {relations[name].event_type for name in statement.names if name in relations}
        if EVERY_EVENT in statement.words:
            used |= statement.strings & EVENT_CLASSES.keys()
        if undeclared := sorted(used - set(self.events)):
            raise SqlFileError(
                f"{self.name}/{file}: {statement.name} reads {undeclared[0]}; add it to events in projection.toml"
            )
        return used

    def _check_window(self, statement: Statement, used: set[str]) -> None:
        """Refuse a statement of apply.sql that does the same for every window, or cannot be run in parts."""
        if not (used or EVERY_EVENT in statement.words or statement.parameters >= WINDOW_PARAMETERS):
            raise SqlFileError(
                f"{self.name}/apply.sql: {statement.name} reads no event; use :window_from and :window_to"
            )
        # What shared events have left is read up to the end of the window; nothing else by position.
        allowed = {"window_to"} if self.shared_events else set()
        if self.stream_by_stream and statement.parameters & WINDOW_PARAMETERS - allowed:
            raise SqlFileError(
                f"{self.name}/apply.sql: {statement.name} reads by position what other parts of a rebuild write; read"
                " events, or take stream_by_stream out of projection.toml"
            )

    @cached_property
    def created(self) -> list[tuple[str, str]]:
        """Return (kind, name) of everything that tables.sql and functions.sql create, in order."""
        found = []
        for file in ("tables.sql", "functions.sql"):
            for statement in self.statements(file):
                made = sqltext.created_name(statement.sql)
                if made is None:
                    raise SqlFileError(f"{self.name}/{file}: {statement.name} creates nothing; only CREATE stands here")
                found.append(made)
        return found

    @property
    def tables(self) -> list[str]:
        """Return the names of the tables, in order of creation; the table of rules is not among them."""
        return [name for kind, name in self.created if kind == "table"]


class Ready:
    """A statement that can run: SQL with psycopg parameters, and the event types it reads.

    Its text is taken apart when it is first asked for: facts can be counted in more ways than anybody asks for.
    """

    def __init__(self, statement: Statement, loaded: Loaded) -> None:
        self.statement = statement
        self.name = statement.name
        self.description = statement.description
        self._schema = loaded.schema
        self._names = loaded.names
        self._types = loaded.definition.events
        self._shared = loaded.definition.shared_events
        self._by_types: dict[tuple[frozenset[str], bool], str] = {}

    @cached_property
    def _relations(self) -> list[Relation]:
        names = self.statement.names
        return [relation for name, relation in _relations().items() if name in names]

    @property
    def _reads_every(self) -> bool:
        return EVERY_EVENT in self.statement.words

    @cached_property
    def _body(self) -> str:
        return sqltext.qualify(self.statement.sql, self._names)

    @cached_property
    def events(self) -> frozenset[str]:
        """Return the event types that it reads."""
        return frozenset(self._types if self._reads_every else (each.event_type for each in self._relations))

    @cached_property
    def parameters(self) -> frozenset[str]:
        """Return the names of its parameters."""
        return self.statement.parameters | (WINDOW_PARAMETERS if self.events else frozenset())

    @cached_property
    def sql(self) -> str:
        """Return the text with `%(name)s` parameters."""
        return sqltext.bind(self._text(self.events))

    def over_window(self, occurring: Iterable[str], *, part: bool = False) -> str:
        """Return the text for a window in which only these types occur; its bounds are $1 and $2.

        part: only over streams of one part; $3 and $4 are the first and the last id of its range.
        """
        types = self.events.intersection(occurring)
        found = self._by_types.get((types, part))
        if found is None:
            found = self._by_types[types, part] = sqltext.bind_window(self._text(types, part=part))
        return found

    def _text(self, types: frozenset[str], *, part: bool = False) -> str:
        body = sqltext.with_parts(self._body, IN_PART if part else None)
        if not self.events:
            return body
        words = self.statement.words
        relations = [
            relation.cte(
                self._schema,
                words,
                empty=relation.event_type not in types,
                part=part and relation.event_type not in self._shared,
            )
            for relation in self._relations
        ]
        if self._reads_every:
            read = [each for each in _relations().values() if each.event_type in self._types and not each.list_path]
            relations.append(every_event_cte(self._schema, read, words, part=part, shared=self._shared))
        ctes = ", ".join(relations)
        first, rest = body.split(None, 1)
        if first.upper() != "WITH":
            return f"WITH {ctes} {body}"
        second, after = rest.split(None, 1)
        return f"WITH RECURSIVE {ctes}, {after}" if second.upper() == "RECURSIVE" else f"WITH {ctes}, {rest}"


class Loaded:
    """A definition made ready for one schema: every name qualified by schema, projection and version."""

    def __init__(self, definition: Definition, schema: str, name: str | None = None) -> None:
        """Load `definition` under `name` (its own, or that of a copy such as `march/kpi_daily`)."""
        self.definition = definition
        self.schema = schema
        self.cells: dict[str, Any] = {}
        """What `explaining.cell` has found of this version, by name."""
        self._countings: dict[tuple[str, frozenset[str]], Ready] = {}
        self.name = name or definition.name
        self.version = definition.version
        self.prefix = _fitting(
            f"{self.name.replace('/', '__')}_v{definition.version}__",
            max(len(created) for created in ("rules_by_day", *(each for _, each in definition.created))),
            self.name,
        )
        self.names = {"rules": self.table("rules"), "rules_by_day": self.table("rules_by_day")}
        for kind, created in definition.created:
            bare = f'"{self.prefix}{created}"'
            # The name of an index may not carry a schema: it lies where its table lies.
            self.names[created] = bare if "index" in kind else f'"{schema}".{bare}'

    def table(self, name: str) -> str:
        """Return the qualified name of one of this version's tables."""
        return f'"{self.schema}"."{self.prefix}{name}"'

    def create(self) -> list[str]:
        """Return the DDL that makes the tables, the rules and the functions, in order; indexes come later."""
        rules = self.definition.rules
        columns = ", ".join(f'"{name}" {_rule_type(value)} NOT NULL' for name, value in rules.items())
        made = [
            f"CREATE TABLE {self.table('rules')} ({columns})",
            f"CREATE TABLE {self.table('rules_by_day')} (from_day date PRIMARY KEY, until_day date NOT NULL"
            f"{', ' if rules else ''}{columns})",
        ]
        for file in ("tables.sql", "functions.sql"):
            made += [
                sqltext.qualify(statement.sql, self.names, bodies=True)
                for statement in self.definition.statements(file)
                if not _is_index(statement)
            ]
        return made

    def create_indexes(self) -> list[str]:
        """Return the DDL of the indexes, which are built once the bulk of the rows is in.

        What a statement needs while the table is being filled is a key or a UNIQUE of the table itself.
        """
        return [
            sqltext.qualify(_if_not_exists(statement.sql), self.names)
            for statement in self.definition.statements("tables.sql")
            if _is_index(statement)
        ]

    @cached_property
    def apply(self) -> list[Ready]:
        """Return the statements that take in a window, in order."""
        return [self._ready(statement) for statement in self.definition.statements("apply.sql")]

    @cached_property
    def queries(self) -> dict[str, Ready]:
        """Return what may be asked, by name."""
        return {statement.name: self._ready(statement) for statement in self.definition.statements("queries.sql")}

    @cached_property
    def countings(self) -> dict[str, Ready]:
        """Return the queries that queries of facts bring with them, by name."""
        asked = self.definition.statements("queries.sql")
        made = [each for facts in asked if facts.name in counting.WHOLE for each in counting.counted(facts)]
        return {statement.name: self._ready(statement) for statement in made}

    def counting(self, name: str, measures: Iterable[str]) -> Ready:
        """Return one of `countings` as it is asked of these measures alone; it knows no others."""
        key = (name, frozenset(measures))
        found = self._countings.get(key)
        if found is None:
            asked = {statement.name: statement for statement in self.definition.statements("queries.sql")}
            found = self._countings[key] = self._ready(counting.counting_of(asked, *key))
        return found

    @cached_property
    def explains(self) -> dict[str, Ready]:
        """Return the statements that open a figure, by the name of the cell they open."""
        return {statement.name: self._ready(statement) for statement in self.definition.statements("explain.sql")}

    @cached_property
    def checks(self) -> dict[str, Ready]:
        """Return what must always hold: statements that return no row."""
        return {statement.name: self._ready(statement) for statement in self.definition.statements("checks.sql")}

    def _ready(self, statement: Statement) -> Ready:
        return Ready(statement, self)


def _fitting(prefix: str, longest: int, name: str) -> str:
    """Return the prefix of a version's names so short that its longest name has at most `NAME_BYTES_MAX` bytes.

    One that fits stays as it is; of another the beginning is left, and a digest that no other prefix has.
    """
    if len(prefix.encode()) + longest <= NAME_BYTES_MAX:
        return prefix
    digest = f"_{hashlib.sha256(prefix.encode()).hexdigest()[:12]}__"
    room = NAME_BYTES_MAX - longest - len(digest)
    if room < 1:
        raise SqlFileError(f"{name}: a table, index or function has a name of {longest} letters; shorten it")
    return prefix.encode()[:room].decode(errors="ignore") + digest


@lru_cache(maxsize=256)
def _checked(name: str, texts: tuple[tuple[str, str], ...]) -> Definition:
    """Return a definition that was checked: taking texts apart takes far longer than reading them again."""
    definition = Definition(name, dict(texts))
    definition.check()
    return definition


def read_all(folder: Path) -> dict[str, Definition]:
    """Return every projection of a folder of folders, by name."""
    return {path.parent.name: Definition.read(path.parent) for path in sorted(folder.glob("*/projection.toml"))}


_known: dict[str, Relation] = {}


def _relations() -> dict[str, Relation]:
    """Return every event relation; made once, after all aggregates are imported."""
    if not _known:
        import opscore.domain.catalogue  # noqa: F401  (imports every aggregate, so that every event class is known)

        _known.update(all_relations(EVENT_CLASSES))
    return _known


def _refuse_float(text: str) -> Any:
    raise SqlFileError(f'projection.toml: write {text} as {{ decimal = "{text}" }}; a float is not exact')


def _rule(projection: str, name: str, value: Any) -> Any:
    if isinstance(value, dict) and set(value) == {"decimal"}:
        try:
            return Decimal(value["decimal"])
        except (InvalidOperation, TypeError):
            raise SqlFileError(f"{projection}: rule {name} is no decimal number") from None
    if type(value) in _RULE_TYPES:
        return value
    raise SqlFileError(f"{projection}: rule {name} must be an integer, boolean, text, date or decimal")


def _is_index(statement: Statement) -> bool:
    created = sqltext.created_name(statement.sql)
    return created is not None and created[0].endswith("index")


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | str) else str(value)


def _rule_type(value: Any) -> str:
    return _RULE_TYPES[type(value)]


def _if_not_exists(sql: str) -> str:
    return re.sub(r"\bINDEX\s+(?!IF\s+NOT\s+EXISTS\b)", "INDEX IF NOT EXISTS ", sql, count=1, flags=re.IGNORECASE)
