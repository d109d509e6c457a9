"""Counts the facts of a projection: a query `fact_rows` brings with it one query for each way of counting its rows.

A row of `fact_rows` has position, place, event, occurred_at, measure, store_id, day, hour, currency, order_id, who,
channel, amount and slice (what a breakdown :by tells it apart by). `cells_sum` and its like return starts_on, hour,
currency, slice, value and parts (the number is value / parts); `fact_rows_page` returns the rows themselves;
`fact_rows_cells` what they come to in each store and on each day, for comparisons, and `fact_rows_behind` the rows of
such cells. What a fact is, is the projection's to say; how facts are counted is the same for all of them.
"""

from __future__ import annotations

import functools
from pathlib import Path

from opscore.projector.sqltext import Statement, statements

FACTS = "fact_rows"
PAGE = "fact_rows_page"
HOW_MANY = "fact_rows_how_many"
CELLS = "fact_rows_cells"
BEHIND = "fact_rows_behind"
CELL_KEY = ("measure", "store_id", "day", "currency")
"""What names a row of `fact_rows_cells`."""
WINDOW_PARAMETERS = frozenset({"from_day", "to_day", "first_day", "last_day", "now", "as_of", "measures", "grain"})
"""Parameters that say which facts are meant, and as known when."""
SLICED_BY = "by"
"""The parameter that says by what a breakdown tells facts apart; without it they are one slice."""
_PLAIN = {PAGE: "page", HOW_MANY: "how_many", CELLS: "cells", BEHIND: "behind"}
FROM_THE_BEGINNING = frozenset({"balance", "daily_mean"})
"""Ways of counting that need every fact up to the last day, not only those of the window."""


_COLUMNS = (
    "position", "place", "event", "occurred_at", "measure", "store_id", "day", "hour", "currency", "order_id", "who",
    "channel", "amount",
)  # fmt: skip


@functools.cache
def _texts() -> dict[str, Statement]:
    path = Path(__file__).with_name("counting.sql")
    return {each.name: each for each in statements(path.read_text("utf-8"), path.name)}


def ways() -> tuple[str, ...]:
    """Return the ways of counting, by name."""
    return tuple(name for name in _texts() if name not in ("windows", *_PLAIN.values()))


def counted(facts: Statement) -> list[Statement]:
    """Return the queries that come with a query `fact_rows`."""
    texts = _texts()
    sql = facts.sql
    if "slice" not in facts.words:
        # A version of before breakdowns has no such column.
        listed = ", ".join(f"one.{name}" for name in _COLUMNS)
        sql = f"SELECT {listed}, NULL::text AS slice FROM ({sql}) AS one"
    wanted = f"WITH wanted AS ({sql})"
    made = [Statement(name, texts[text].description, f"{wanted} {texts[text].sql}") for name, text in _PLAIN.items()]
    for name in ways():
        sql = f"{wanted}, fact AS ({texts['windows'].sql}) {texts[name].sql}"
        made.append(Statement(f"cells_{name}", texts[name].description, sql))
    return made
