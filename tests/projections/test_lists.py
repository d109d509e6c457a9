"""Conditions, orders and pages around a query: they choose what Python would choose, whatever the texts hold."""

from __future__ import annotations

import bisect
import functools
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from psycopg.rows import dict_row

from opscore.database import Database
from opscore.projector import Projector
from opscore.projector.lists import (
    ALL,
    Column,
    Compare,
    Condition,
    Either,
    Every,
    Facets,
    Key,
    Operator,
    Page,
    Total,
    Without,
)
from tests.projections.logs import Log

START = datetime(2026, 1, 1, tzinfo=UTC)
ID = Column("id", "bigint")
WORD = Column("word", "text", nullable=True)
AT = Column("at", "timestamptz")
AMOUNT = Column("amount", "bigint", nullable=True)
TAG = Column("tag", "text", link="tags", key="id")

NASTY = [
    "", "a", "A", "ab", "%", "_", "\\", "'", "''", '"', "a%", "%a%", "_b", "a_b", "\\%", "'; DROP TABLE rows; --",
    "%(given_0)s", "%s", "{column}", ":store_ids", "$1", "$$", "é", "É", "中文", "\n", "E'\\x41'", "*/ /*", "İ", "ǅ",
]  # fmt: skip


@pytest.fixture
def rows(database: Database) -> Iterator[tuple[psycopg.Connection[Any], list[dict[str, Any]], dict[int, set[str]]]]:
    """Rows of every kind of text, with ties and gaps in what they are sorted by, and tags for some of them."""
    made = [
        {
            "id": number,
            "word": None if number % 5 == 0 else NASTY[number % len(NASTY)],
            "at": START + timedelta(hours=number % 7),
            "amount": None if number % 3 == 0 else number % 4,
        }
        for number in range(70)
    ]
    tags = {number: {NASTY[number % 11], NASTY[number % 13]} for number in range(0, 70, 2)}
    with database.connect() as connection, connection.cursor(row_factory=dict_row) as cursor:
        connection.execute("CREATE TEMP TABLE rows (id bigint, word text, at timestamptz, amount bigint)")
        connection.execute("CREATE TEMP TABLE tags (id bigint, tag text)")
        cursor.executemany("INSERT INTO rows VALUES (%(id)s, %(word)s, %(at)s, %(amount)s)", made)
        cursor.executemany("INSERT INTO tags VALUES (%s, %s)", [(key, tag) for key in tags for tag in tags[key]])
        yield connection, made, tags


Rows = tuple[psycopg.Connection[Any], list[dict[str, Any]], dict[int, set[str]]]


def ask(connection: psycopg.Connection[Any], shape: Page | Total | Facets) -> list[dict[str, Any]]:
    """Return the rows of a shape around the table."""
    sql, values = shape.around("SELECT id, word, at, amount FROM rows", {"tags": "SELECT id, tag FROM tags"})
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(sql, values).fetchall()


def lowered(text: str) -> str:
    """Return a text with the letters A to Z, and no others, in lower case."""
    return "".join(letter.lower() if letter.isascii() else letter for letter in text)


def met(condition: Condition, row: dict[str, Any], tags: dict[int, set[str]]) -> bool:
    """Say what Python thinks of a condition."""
    match condition:
        case Every(conditions):
            return all(met(each, row, tags) for each in conditions)
        case Either(conditions):
            return any(met(each, row, tags) for each in conditions)
        case Without(inner):
            return not met(inner, row, tags)
        case Compare(column, operator, value):
            found = tags.get(row["id"], ()) if column.link else [row[column.name]]
            return any(compared(each, operator, value) for each in found if each is not None)


def compared(found: Any, operator: Operator, value: Any) -> bool:
    match operator:
        case Operator.IS_IN:
            return found in value
        case Operator.AT_LEAST:
            return bool(found >= value)
        case Operator.BEFORE:
            return bool(found < value)
        case Operator.AT_MOST:
            return bool(found <= value)
        case Operator.STARTS_WITH:
            return bool(found.startswith(value))
        case Operator.CONTAINS:
            return lowered(value) in lowered(found)
        case Operator.IS_SET:
            return True


texts = st.sampled_from(NASTY) | st.text(
    st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=4
)
columns_of_text = st.sampled_from([WORD, TAG])
comparisons = st.one_of(
    st.builds(Compare, columns_of_text, st.just(Operator.IS_IN), st.lists(texts, max_size=3)),
    st.builds(Compare, columns_of_text, st.sampled_from([Operator.STARTS_WITH, Operator.CONTAINS]), texts),
    st.builds(
        Compare,
        st.just(AMOUNT),
        st.sampled_from([Operator.AT_LEAST, Operator.AT_MOST, Operator.BEFORE]),
        st.integers(-1, 5),
    ),
    st.builds(
        Compare,
        st.just(AT),
        st.sampled_from([Operator.AT_LEAST, Operator.BEFORE]),
        st.integers(-1, 8).map(lambda hours: START + timedelta(hours=hours)),
    ),
    st.builds(Compare, st.sampled_from([WORD, AMOUNT, TAG]), st.just(Operator.IS_SET)),
)
conditions: st.SearchStrategy[Condition] = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        st.builds(Every, st.lists(inner, max_size=3).map(tuple)),
        st.builds(Either, st.lists(inner, max_size=3).map(tuple)),
        st.builds(Without, inner),
    ),
    max_leaves=6,
)
orders = st.lists(
    st.tuples(st.sampled_from([WORD, AT, AMOUNT]), st.booleans()), max_size=2, unique_by=lambda each: each[0].name
).flatmap(lambda chosen: st.booleans().map(lambda down: (*(Key(*each) for each in chosen), Key(ID, down))))

many = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@many
@given(condition=conditions)
def test_a_condition_finds_and_counts_what_python_finds(rows: Rows, condition: Condition) -> None:
    connection, made, tags = rows
    expected = [row["id"] for row in made if met(condition, row, tags)]

    assert [row["id"] for row in ask(connection, Page(condition, (Key(ID),), 100))] == expected
    assert ask(connection, Total(condition)) == [{"rows": len(expected)}]


@pytest.mark.parametrize("text", NASTY)
@pytest.mark.parametrize("operator", [Operator.STARTS_WITH, Operator.CONTAINS])
def test_no_character_of_a_text_means_anything_but_itself(rows: Rows, operator: Operator, text: str) -> None:
    connection, made, tags = rows
    condition = Compare(WORD, operator, text)

    found = {row["id"] for row in ask(connection, Page(condition, (Key(ID),), 100))}

    assert found == {row["id"] for row in made if met(condition, row, tags)}


def in_order(rows: list[dict[str, Any]], keys: tuple[Key, ...]) -> list[dict[str, Any]]:
    """Sort as Python does; rows without a value come last."""

    def compare(one: dict[str, Any], other: dict[str, Any]) -> int:
        for key in keys:
            left, right = one[key.column.name], other[key.column.name]
            if left == right:
                continue
            if left is None or right is None:
                return 1 if left is None else -1
            if isinstance(left, str):
                left, right = left.encode(), right.encode()
            return (1 if left > right else -1) * (-1 if key.descending else 1)
        return 0

    return sorted(rows, key=functools.cmp_to_key(compare))


@many
@given(keys=orders, limit=st.integers(1, 30), backwards=st.booleans(), condition=comparisons | st.just(ALL))
def test_walking_the_pages_either_way_meets_every_row_once_in_order(
    rows: Rows, keys: tuple[Key, ...], limit: int, backwards: bool, condition: Condition
) -> None:
    connection, made, tags = rows
    whole = in_order([row for row in made if met(condition, row, tags)], keys)
    walked: list[dict[str, Any]] = []
    edge: list[Any] | None = None
    while page := ask(
        connection,
        Page(
            condition, keys, limit, backwards=backwards,
            after=None if backwards else edge, before=edge if backwards else None,
        ),
    ):  # fmt: skip
        walked += page
        edge = [page[-1][key.column.name] for key in keys]

    assert walked == (whole[::-1] if backwards else whole)


@many
@given(keys=orders, edges=st.tuples(st.integers(0, 69), st.integers(0, 69)), backwards=st.booleans())
def test_a_page_lies_strictly_between_two_rows(
    rows: Rows, keys: tuple[Key, ...], edges: tuple[int, int], backwards: bool
) -> None:
    connection, made, _ = rows
    whole = in_order(made, keys)
    low, high = min(edges), max(edges)
    values = [[whole[place][key.column.name] for key in keys] for place in (low, high)]

    page = ask(connection, Page(ALL, keys, 100, after=values[0], before=values[1], backwards=backwards))

    assert (page[::-1] if backwards else page) == whole[low + 1 : high]


def test_totals_are_added_up_group_by_group(rows: Rows) -> None:
    connection, made, _ = rows
    groups = ask(connection, Total(Compare(AMOUNT, Operator.IS_SET), by=(AT,), sums=(AMOUNT,)))

    kept = [row for row in made if row["amount"] is not None]
    assert [group["at"] for group in groups] == sorted({row["at"] for row in kept})
    for group in groups:
        amounts = [row["amount"] for row in kept if row["at"] == group["at"]]
        assert (group["rows"], group["amount"]) == (len(amounts), sum(amounts))
    assert ask(connection, Total(Either(()), sums=(AMOUNT,))) == [{"rows": 0, "amount": 0}]


@many
@given(condition=conditions, most=st.integers(1, 9), bounds=st.sets(st.integers(-1, 4), max_size=4))
def test_facets_count_each_column_by_itself(rows: Rows, condition: Condition, most: int, bounds: set[int]) -> None:
    connection, made, tags = rows
    kept = [row for row in made if met(condition, row, tags)]
    ends = sorted(bounds)

    found = ask(
        connection, Facets(condition, (WORD, AMOUNT), most, (AMOUNT, AT), AMOUNT if ends else None, tuple(ends))
    )

    def counted(values: Iterable[Any]) -> list[tuple[str | None, int]]:
        counts = Counter(None if value is None else str(value) for value in values)
        # Of equal counts the first of the alphabet comes first, and what has no value last.
        return sorted(counts.items(), key=lambda each: (-each[1], each[0] is None, (each[0] or "").encode()))

    facets = {
        name: [(row["value"], row["rows"]) for row in found if row["facet"] == name]
        for name in ("word", "amount", Facets.BAND)
    }
    assert facets["word"] == counted(row["word"] for row in kept)[:most]
    assert facets["amount"] == counted(row["amount"] for row in kept)[:most]
    bands = (None if row["amount"] is None else bisect.bisect_right(ends, row["amount"]) for row in kept)
    assert facets[Facets.BAND] == (counted(bands) if ends else [])
    [whole] = (row for row in found if row["facet"] is None)
    amounts = [row["amount"] for row in kept if row["amount"] is not None]
    assert whole["rows"] == len(kept)
    assert (whole["least_amount"], whole["greatest_amount"]) == (min(amounts, default=None), max(amounts, default=None))
    assert whole["least_at"] == min((row["at"] for row in kept), default=None)


@pytest.mark.parametrize("name", ["id; DROP TABLE rows", "id)", 'i"d', "", "lower(word)"])
def test_a_column_is_a_plain_name(name: str) -> None:
    with pytest.raises(ValueError, match="does not name a column"):
        Column(name, "text")


@pytest.mark.parametrize(
    ("projection", "query", "moment", "key", "index"),
    [
        ("order_book", "order_rows", "placed_at", "order_id", "_latest"),
        ("order_book", "order_rows", "changed_at", "order_id", "_changed"),
        ("customer_card", "customer_rows", "registered_at", "customer_id", "_latest"),
        ("customer_card", "customer_rows", "changed_at", "customer_id", "_changed"),
        ("directory", "sku_rows", "registered_at", "sku_id", "_latest"),
    ],
)
def test_the_latest_of_all_stores_are_read_from_an_index_and_not_sorted_out_of_everything(
    log: Log,
    projector: Projector,
    connection: psycopg.Connection[Any],
    projection: str,
    query: str,
    moment: str,
    key: str,
    index: str,
) -> None:
    log.fill(200)
    projector.rebuild(projection)
    entry = projector.catalogue.serving(connection, projection)
    assert entry is not None
    ready = projector.loaded(connection, entry).queries[query]
    keys = (Key(Column(moment, "timestamptz"), descending=True), Key(Column(key, "uuid"), descending=True))
    sql, given = Page(ALL, keys, 51, columns=(key,)).around(ready.sql, {})
    # Of a table this small everything is read all the same, unless reading it is dear.
    connection.execute("SET enable_seqscan = off; SET enable_sort = off")

    plan = connection.execute(f"EXPLAIN {sql}", {**dict.fromkeys(ready.parameters), **given}).fetchall()

    text = "\n".join(line for (line,) in plan)
    assert "Sort" not in text, text
    assert index in text, text
