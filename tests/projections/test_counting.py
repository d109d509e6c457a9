"""Facts are read by what is asked of them: no branch of other measures, and sums where amounts are only added up."""

from __future__ import annotations

import pytest

from opscore import resources
from opscore.projector import counting, read_all, sqltext
from opscore.projector.folder import Loaded
from opscore.projector.sqltext import Statement

FACTS = """
SELECT fact.measure, fact.amount, extract(hour FROM fact.at) AS hour
FROM (
    SELECT one.at, 'sold' AS measure, coalesce(one.amount, 0) AS amount FROM sold AS one
    UNION ALL
    SELECT one.at, 'back', one.amount FROM (SELECT a.at, a.amount FROM a UNION ALL SELECT b.at, b.amount FROM b) AS one
    UNION ALL
    SELECT one.at, said.measure, said.amount FROM moves AS one CROSS JOIN said
    UNION ALL
    SELECT one.at, said.measure, said.amount FROM ads AS one CROSS JOIN said
    WHERE :measures::text[] IS NULL OR :measures::text[] && ARRAY['cost', 'clicks']
) AS fact
WHERE :measures::text[] IS NULL OR fact.measure = ANY (:measures::text[])
"""


def narrowed(*measures: str) -> list[str]:
    """Return the tables that are left when facts are asked of these measures."""
    sql = counting.narrowed(Statement("fact_rows", "", FACTS), frozenset(measures)).sql
    return [table for table in ("sold", "a", "b", "moves", "ads") if f"FROM {table} " in f"{sql} ".replace(")", " ")]


@pytest.mark.parametrize(
    ("measures", "tables"),
    [
        # The first branch names the columns; of the moves nobody can tell.
        (["sold"], ["sold", "moves"]),
        (["back"], ["sold", "a", "b", "moves"]),
        (["clicks"], ["sold", "moves", "ads"]),
        (["back", "cost"], ["sold", "a", "b", "moves", "ads"]),
        (["nothing"], ["sold", "moves"]),
    ],
)
def test_a_branch_of_other_measures_is_left_out(measures: list[str], tables: list[str]) -> None:
    assert narrowed(*measures) == tables


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT one.measure FROM one WHERE one.measure = ANY (:measures::text[])",
        "SELECT one.measure FROM one UNION ALL SELECT 'b' FROM two WHERE :measures::text[] IS NULL",
        "SELECT each.measure FROM (SELECT one.measure FROM one WHERE :measures::text[] IS NULL) AS each",
        # It knows of no measures to be asked by.
        "SELECT each.measure FROM (SELECT 'a' AS measure FROM one UNION ALL SELECT 'b' FROM two) AS each",
    ],
)
def test_facts_of_another_form_are_asked_as_they_are(sql: str) -> None:
    assert counting.narrowed(Statement("fact_rows", "", sql), frozenset(["x"])).sql == sql


def test_facts_of_before_channels_are_counted_but_by_channel() -> None:
    early = "WITH said AS (SELECT 1 AS channel) SELECT one.position, one.measure, one.amount FROM one"
    facts = Statement("fact_rows", "", early)
    assert counting.lacking(facts) == ["channel", "slice"]
    names = {each.name for each in counting.counted(facts)}
    assert counting.BY_CHANNEL not in names and {counting.CELLS, counting.BEHIND, "cells_people"} <= names
    later = Statement("fact_rows", "", early.replace("one.amount", "one.amount, one.channel, NULL::text AS slice"))
    assert counting.lacking(later) == [] and counting.BY_CHANNEL in {each.name for each in counting.counted(later)}


def test_facts_of_the_package_have_every_column() -> None:
    found = {
        name: counting.lacking(facts)
        for name, definition in read_all(resources.path("projections")).items()
        for facts in definition.statements("queries.sql")
        if facts.name == counting.FACTS
    }
    assert found and not any(found.values())


def test_a_statement_that_is_taken_apart_is_the_statement_again() -> None:
    taken_apart = sqltext.union(FACTS)
    assert taken_apart is not None
    before, branches, after = taken_apart
    assert len(branches) == 4
    assert "UNION ALL".join((f"{before}{branches[0]}", *branches[1:-1], f"{branches[-1]}{after}")) == FACTS


def test_each_branch_of_the_package_says_its_measures_but_that_of_what_moved() -> None:
    """One that does not is planned for every figure of its projection."""
    silent = []
    for name, definition in read_all(resources.path("projections")).items():
        for facts in definition.statements("queries.sql"):
            taken_apart = sqltext.union(facts.sql) if facts.name == counting.FACTS else None
            if taken_apart is not None:
                _, branches, _ = taken_apart
                none = counting.narrowed(facts, frozenset(["nothing"])).sql
                silent += [name for branch in branches[1:] if branch.strip() in none]
    assert silent == ["kpi_facts", "stock_valuation"]


@pytest.mark.parametrize(
    ("name", "way", "measures", "reads"),
    [
        ("stock_facts", "cells_balance", ["on_hand", "reserved"], "store_days"),
        ("stock_facts", "cells_sum", ["in_stock_days"], "article_days"),
        ("kpi_facts", "cells_sum", ["units_of_week"], "sold"),
        ("stock_valuation", "cells_daily_mean", ["value"], "value_days"),
        ("stock_valuation", "cells_sum", ["cogs", "cogs_in_campaigns"], "value_days"),
    ],
)
def test_sums_of_now_are_read_from_what_is_kept(name: str, way: str, measures: list[str], reads: str) -> None:
    loaded = Loaded(read_all(resources.path("projections"))[name], "opscore")
    ready = loaded.counting(way, measures)
    assert loaded.table(reads) in ready.sql
    assert ready is loaded.counting(way, measures)
    # Whom a fact is of, and how many there are, no sum can tell.
    asked = loaded.counting("cells_people", measures)
    assert loaded.table("store_days") not in asked.sql
    assert loaded.table("value_days") not in asked.sql
