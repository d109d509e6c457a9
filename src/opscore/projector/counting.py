"""Counts the facts of a projection: a query `fact_rows` brings with it one query for each way of counting its rows.

A row of `fact_rows` has position, place, event, occurred_at, measure, store_id, day, hour, currency, order_id, who,
channel, amount and slice (what a breakdown :by tells it apart by). `cells_sum` and its like return starts_on, hour,
currency, slice, value and parts (the number is value / parts), those of people who come again also `people` (how many
there are in all); `fact_rows_page` returns the rows themselves;
`fact_rows_cells` what they come to in each store and on each day, for comparisons, and `fact_rows_behind` the rows of
such cells. What a fact is, is the projection's to say; how facts are counted is the same for all of them.

A query `fact_sums` beside it is asked instead where amounts are only added up, of the measures that its text names. It
returns what the rows of `fact_rows` come to, in fewer rows: measure, store_id, day, hour, currency, amount and slice. A
sum of 0 is a row as well, and no row stands for no fact: a window has a cell where it has facts.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from opscore.projector import sqltext
from opscore.projector.sqltext import Statement, statements

FACTS = "fact_rows"
PAGE = "fact_rows_page"
HOW_MANY = "fact_rows_how_many"
CELLS = "fact_rows_cells"
BEHIND = "fact_rows_behind"
BUYERS = "fact_rows_buyers"
BUYERS_SUMS = "fact_rows_buyers_sums"
SUMS = "fact_sums"
SUM_CELLS = "fact_sums_cells"
WHOLE = {FACTS: CELLS, SUMS: SUM_CELLS}
"""As what a query of facts is compared and opened, and not row by row."""
CELL_KEY = ("measure", "store_id", "day", "currency")
"""What names a row of `fact_rows_cells` and `fact_sums_cells`."""
WINDOW_PARAMETERS = frozenset({"from_day", "to_day", "first_day", "last_day", "now", "as_of", "measures", "grain"})
"""Parameters that say which facts are meant, and as known when."""
SLICED_BY = "by"
"""The parameter that says by what a breakdown tells facts apart; without it they are one slice."""
_PLAIN = {PAGE: "page", HOW_MANY: "how_many", CELLS: "cells", BEHIND: "behind", SUM_CELLS: "sum_cells"}
_OF_BUYERS = {BUYERS: "buyers_page", BUYERS_SUMS: "buyers_sums"}
_BUYERS = "buyers"
FROM_THE_BEGINNING = frozenset({"balance", "daily_mean"})
"""Ways of counting that need every fact up to the last day, not only those of the window."""
BY_CHANNEL = "cells_concentration"
"""The query that looks at the channel of a fact."""
OF_PEOPLE = frozenset({"people_again", "people_of_two", "people_of_three"})
"""Ways of counting that say how many people there are in all as well."""
_ADDING = frozenset({SUM_CELLS, "cells_sum", "cells_balance", "cells_daily_mean"})
"""The queries that add amounts up and look at nothing else of a fact."""
_SAYS_WHICH = re.compile(r":measures :: text \[ \] & & array \[ ([^\]]*) \]", re.IGNORECASE)
"""How a branch says that it has rows of some measures only, in canonical text."""


_COLUMNS = (
    "position", "place", "event", "occurred_at", "measure", "store_id", "day", "hour", "currency", "order_id", "who",
    "amount",
)  # fmt: skip
_LATER_COLUMNS = ("channel", "slice")
"""Texts that facts of earlier versions do not have, which are still asked and compared."""
_COLUMNS_OF_SUMS = ("measure", "store_id", "day", "hour", "currency", "amount", "slice")


@functools.cache
def _texts() -> dict[str, Statement]:
    path = Path(__file__).with_name("counting.sql")
    return {each.name: each for each in statements(path.read_text("utf-8"), path.name)}


def ways() -> tuple[str, ...]:
    """Return the ways of counting, by name."""
    return tuple(name for name in _texts() if name not in ("windows", _BUYERS, *_PLAIN.values(), *_OF_BUYERS.values()))


def counted(facts: Statement) -> list[Statement]:
    """Return the queries that come with a query `fact_rows` or `fact_sums`."""
    if facts.name == SUMS:
        return [_counting(SUM_CELLS, facts)]
    names = [PAGE, HOW_MANY, CELLS, BEHIND, *_OF_BUYERS, *(f"cells_{way}" for way in ways())]
    if "channel" in lacking(facts):
        names.remove(BY_CHANNEL)
    return [_counting(name, facts) for name in names]


def lacking(facts: Statement) -> list[str]:
    """Return which of the later columns a query `fact_rows` does not have, being of an earlier version."""
    if facts.name == SUMS:
        return []
    has = {each[-1].lower() for each in sqltext.selected(facts.sql) if each}
    return [each for each in _LATER_COLUMNS if each not in has]


def counting_of(queries: Mapping[str, Statement], name: str, measures: frozenset[str]) -> Statement:
    """Return a query that comes with facts as it is asked of these measures alone; it knows no others.

    queries: those of the projection, by name. name: of one of `counted`.
    """
    sums = queries.get(SUMS)
    facts = sums if sums is not None and name in _ADDING and measures <= sums.strings else queries[FACTS]
    return _counting(name, narrowed(facts, measures))


def _counting(name: str, facts: Statement) -> Statement:
    text = _texts()[(_PLAIN | _OF_BUYERS).get(name, name.removeprefix("cells_"))]
    sql = facts.sql
    if facts.name == SUMS:
        listed = ", ".join(f"one.{each}" for each in _COLUMNS_OF_SUMS)
        sql = f"SELECT {listed}, NULL::uuid AS order_id, NULL::uuid AS who, NULL::text AS channel FROM ({sql}) AS one"
    elif missing := lacking(facts):
        listed = ", ".join(f"one.{each}" for each in (*_COLUMNS, *_LATER_COLUMNS) if each not in missing)
        unknown = ", ".join(f"NULL::text AS {each}" for each in missing)
        sql = f"SELECT {listed}, {unknown} FROM ({sql}) AS one"
    if name in _OF_BUYERS:
        between = f", buyer AS ({_texts()[_BUYERS].sql})"
    else:
        between = "" if name in _PLAIN else f", fact AS ({_texts()['windows'].sql})"
    return Statement(name, text.description, f"WITH wanted AS ({sql}){between} {text.sql}")


def narrowed(facts: Statement, measures: frozenset[str]) -> Statement:
    """Return a query of facts without the branches of its UNION ALL that have no row of these measures.

    PostgreSQL leaves them out as well, but only after it has read and planned each of them. The first branch stays: it
    names the columns and their types. So does every branch whose measures its text does not say: by a constant, or else
    by all that stands in it as `:measures && ARRAY['...']`. A query of another form is returned as it is.
    """
    taken_apart = _taken_apart(facts.sql) if "measures" in facts.parameters else None
    if taken_apart is None:
        return facts
    before, [first, *more], after = taken_apart
    kept = [first.sql, *(each.sql for each in more if each.measures is None or each.measures & measures)]
    return Statement(facts.name, facts.description, f"{before}{' UNION ALL '.join(kept)}{after}")


@dataclass(frozen=True, slots=True)
class _Branch:
    """A branch of a UNION ALL, and the measures that it can have rows of; None: its text does not say."""

    sql: str
    measures: frozenset[str] | None


@functools.lru_cache(maxsize=64)
def _taken_apart(sql: str) -> tuple[str, list[_Branch], str] | None:
    """Return what `sqltext.union` finds, kept: the first question about each figure would read all of them again."""
    found = sqltext.union(sql)
    if found is None:
        return None
    before, branches, after = found
    place = next((at for at, each in enumerate(sqltext.selected(branches[0])) if each[-1] == "measure"), None)
    return before, [_Branch(each, None if place is None else _measures(each, place)) for each in branches], after


def _measures(branch: str, place: int) -> frozenset[str] | None:
    """Return the measures that a branch can have rows of, as far as its text says so; its measure stands at `place`."""
    said = sqltext.selected(branch)[place]
    found = said if len(said) == 1 else _SAYS_WHICH.findall(sqltext.canonical(branch))
    names = [each.text[1:-1] for text in found for each in sqltext.tokens(text) if each.kind == "string"]
    return frozenset(names) or None
