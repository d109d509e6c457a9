"""Which answers a comparison asks beside the tables: a rule may be read by a query alone and leave every row as it is.

An answer is compared where the tables do not decide it: where the query, or a view or function that it uses, was edited
or reads a rule that differs. It is asked as a whole: with no value for what merely narrows it down, with those of
[compare] in projection.toml for what it cannot do without. Of facts (`fact_rows`, `fact_sums`) it is compared what they
come to of each measure in each store and on each day, which every key figure is made of.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from psycopg.sql import Identifier

from opscore.projector import asking, counting, sqltext
from opscore.projector.catalogue import Connection
from opscore.projector.folder import Definition, Loaded, Ready
from opscore.projector.sqltext import Statement

_ANSWERS_OF = "query "
"""What the name of a compared answer begins with; no table has a blank in its name."""
_NO_LIMIT = 2**63 - 1
_NUMBERS = frozenset({"bigint", "integer", "numeric"})


@dataclass(frozen=True, slots=True)
class Compared:
    """A table, or the answer of a query, as two versions have it.

    name: of the table, or `query <name>`. sides: psycopg SQL of the rows of either version, with the same columns.
    columns: what both have, with its type, or `text` where the types differ. key: what names a row.
    """

    name: str
    sides: tuple[str, str]
    columns: Mapping[str, str]
    key: list[str]
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def values(self) -> list[str]:
        """The columns beside the key."""
        return [column for column in self.columns if column not in self.key]

    @property
    def numeric(self) -> list[str]:
        """The columns beside the key that can be added up."""
        return [column for column in self.values if self.columns[column] in _NUMBERS]


def pair(
    name: str,
    rows: tuple[str, str],
    columns: tuple[Mapping[str, str], Mapping[str, str]],
    key: list[str],
    parameters: Mapping[str, Any] | None = None,
) -> Compared:
    """Return what two versions have in common. rows: something to select from; columns: what it has, with types."""
    old, new = columns
    common = {each: type_ if new[each] == type_ else "text" for each, type_ in old.items() if each in new}
    listed = ", ".join(
        _quoted(each) if old[each] == new[each] else f"{_quoted(each)}::text AS {_quoted(each)}" for each in common
    )
    return Compared(name, (_select(listed, rows[0]), _select(listed, rows[1])), common, key, parameters or {})


def _select(listed: str, rows: str) -> str:
    return f"SELECT {listed} FROM {rows}"


def query_of(name: str) -> str | None:
    """Return the query that a compared answer is of; None for a table."""
    return name.removeprefix(_ANSWERS_OF) if name.startswith(_ANSWERS_OF) else None


def compared(reader: Connection, old: Loaded, new: Loaded, position: int) -> tuple[list[Compared], list[str]]:
    """Return the answers of two versions to compare at a position, and in words what cannot be compared."""
    remarks = [
        f"only version {one.version} has the query {query}"
        for one, other in ((old, new), (new, old))
        for query in one.queries
        if query not in other.queries
    ]
    rules = changed_rules(old.definition, new.definition)
    found = []
    for query in old.queries:
        if query not in new.queries:
            continue
        one, other = (_Reach.of(each.definition, _statement(each.definition, query)) for each in (old, new))
        if one.text == other.text and not rules & (one.rules | other.rules):
            continue
        fault = next(filter(None, (fault_of(each.definition, query) for each in (old, new))), None)
        if fault is None and _key(old.definition, query) != _key(new.definition, query):
            fault = "its rows have another key in either version"
        if fault is not None:
            remarks.append(f"the answers of {query} were not compared: {fault}")
            continue
        given = {**values(reader, new, query, position), **values(reader, old, query, position)}
        sides = (_asked(old, query), _asked(new, query))
        columns = (asking.described(reader, sides[0]), asking.described(reader, sides[1]))
        remarks += [
            f"only version {version} answers {query} with {column}"
            for version, has, lacks in ((old.version, columns[0], columns[1]), (new.version, columns[1], columns[0]))
            for column in has
            if column not in lacks
        ]
        rows = (f"({sides[0].sql}) AS found", f"({sides[1].sql}) AS found")
        found.append(pair(_ANSWERS_OF + query, rows, columns, _key(old.definition, query), given))
    return found, remarks


def uncovered(definition: Definition, rules: Iterable[str]) -> str | None:
    """Return in words why a change of these rules could not be seen by a comparison; None when it could."""
    written = [_Reach.of(definition, each).rules for each in definition.statements("apply.sql")]
    queries = {each.name: _Reach.of(definition, each).rules for each in definition.statements("queries.sql")}
    for rule in rules:
        if any(rule in read for read in written):
            continue
        faults = {name: fault_of(definition, name) for name, read in queries.items() if rule in read}
        if not faults:
            return f"no figure of {definition.name} depends on {rule}"
        if all(faults.values()):
            said = "; ".join(f"{name}: {fault}" for name, fault in faults.items())
            return f"{rule} changes no row, only answers that cannot be compared as a whole ({said})"
    return None


def fault_of(definition: Definition, query: str) -> str | None:
    """Return why a query cannot be asked as a whole, and what to do; None when it can."""
    statement = _statement(definition, query)
    given = asking.OWN_PARAMETERS | {"row_limit"} | definition.compare.get(query, {}).keys()
    if query in counting.WHOLE:
        given |= counting.WINDOW_PARAMETERS | {counting.SLICED_BY}
    elif query not in definition.keys:
        return "name the columns of its key under [keys] in projection.toml"
    needed = sorted(statement.parameters - given - _optional(statement))
    return f"give it a value of {needed[0]} under [compare] in projection.toml" if needed else None


def values(reader: Connection, loaded: Loaded, query: str, position: int) -> dict[str, Any]:
    """Return the parameters with which a query is asked as a whole, as of a position."""
    if query not in loaded.queries:
        return {"store_ids": None, "window_from": 0, "window_to": position}
    given: dict[str, Any] = dict.fromkeys(_asked(loaded, query).parameters)
    given |= loaded.definition.compare.get(query, {})
    if "row_limit" in given:
        given["row_limit"] = _NO_LIMIT
    if query in counting.WHOLE:
        given |= _window_of_facts(reader, loaded.schema, position)
    return given | {"store_ids": None, "window_from": 0, "window_to": position}


def changed_rules(one: Definition, other: Definition) -> frozenset[str]:
    """Return the rules that have different values in two versions on some day."""
    return frozenset(
        name for name in one.rules.keys() | other.rules.keys() if _by_day(one, name) != _by_day(other, name)
    )


def _by_day(definition: Definition, name: str) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    for first, _, rules in definition.rules_by_day:
        if not found or found[-1][1] != rules.get(name):
            found.append((first, rules.get(name)))
    return found


def _window_of_facts(reader: Connection, schema: str, position: int) -> dict[str, Any]:
    """Return the window that all facts up to a position lie in, as known then: now is when something last happened."""
    row = reader.execute(
        "SELECT (min(occurred_at) AT TIME ZONE 'UTC')::date - 1, (max(occurred_at) AT TIME ZONE 'UTC')::date + 1,"
        f' max(occurred_at) FROM "{schema}".events WHERE position <= %s',
        (position,),
    ).fetchone()
    assert row is not None
    first, last, now = row
    return {
        "from_day": first, "first_day": first, "to_day": last, "last_day": last, "now": now, "as_of": position,
        "measures": None, "grain": "day",
    }  # fmt: skip


def _asked(loaded: Loaded, query: str) -> Ready:
    return loaded.countings[counting.WHOLE[query]] if query in counting.WHOLE else loaded.queries[query]


def _key(definition: Definition, query: str) -> list[str]:
    return list(counting.CELL_KEY) if query in counting.WHOLE else definition.keys.get(query, [])


def _statement(definition: Definition, query: str) -> Statement:
    return next(each for each in definition.statements("queries.sql") if each.name == query)


def _optional(statement: Statement) -> frozenset[str]:
    """Return the parameters that merely narrow an answer down: `:name IS NULL OR ...`, `coalesce(:name, ...)`."""
    pieces = [token for token in sqltext.tokens(statement.sql) if token.kind not in ("space", "comment")]
    found = set()
    for place, token in enumerate(pieces):
        if token.kind != "parameter":
            continue
        before = [piece.text.lower() for piece in pieces[max(place - 2, 0) : place]]
        after = [piece.text.lower() for piece in pieces[place + 1 : place + 8]]
        if after[:1] == ["::"]:
            after = after[4:] if after[2:4] == ["[", "]"] else after[2:]
        if before == ["coalesce", "("] or after[:3] == ["is", "null", "or"]:
            found.add(token.text[1:])
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class _Reach:
    """What a statement says together with the views and functions that it uses: its text, and the rules it may read."""

    text: str
    rules: frozenset[str]

    @classmethod
    def of(cls, definition: Definition, statement: Statement) -> _Reach:
        """Follow the names of what the folder creates, tables apart."""
        made: dict[str, list[str]] = {}
        for file in ("tables.sql", "functions.sql"):
            for each in definition.statements(file):
                created = sqltext.created_name(each.sql)
                if created is not None and created[0] not in ("table", "index", "unique index"):
                    made.setdefault(created[1], []).append(each.sql)
        words: set[str] = set()
        texts, left = {statement.sql}, [statement.sql]
        while left:
            new = _words(left.pop())
            for sql in [sql for name in new & made.keys() for sql in made[name] if sql not in texts]:
                texts.add(sql)
                left.append(sql)
            words |= new
        # A word may be a column as well: a rule is read where the table of rules is.
        rules = words & definition.rules.keys() if words & {"rules", "rules_by_day"} else ()
        return cls("\n".join(sorted(map(sqltext.canonical, texts))), frozenset(rules))


def _words(sql: str) -> set[str]:
    """Return every bare word in lower case, those of function bodies included."""
    found: set[str] = set()
    for token in sqltext.tokens(sql):
        if token.kind == "word":
            found.add(token.text.lower())
        elif token.kind == "dollar":
            mark = len(token.text[: token.text.index("$", 1) + 1])
            found |= _words(token.text[mark:-mark])
    return found


def _quoted(name: str) -> str:
    return Identifier(name).as_string(None).replace("%", "%%")
