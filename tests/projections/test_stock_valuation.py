"""Stock at true cost: worked cases, a model that values every history anew, and laws of what was known when."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from opscore.database import Database
from tests.projections.costing import Books, Record, Truth, keep_books, moment, read_cases, stored_books, write
from tests.projections.logs import Trade
from tests.projections.test_stock_as_of import BLOCK
from tests.projections.test_window_law import Copies

UNITS = [Decimal(text) for text in ("1", "2", "3", "7", "10", "0.5", "0.001")]
COSTS = [None, *(Decimal(text) for text in ("1", "2", "5", "1.333333", "0.005", "2.000001", "0", "0.3333"))]
WHATS = ["receive"] * 5 + ["ship"] * 5 + ["return"] * 3 + ["write_off", "adjust", "adjust", "send", "arrive"]
WHATS += ["method", "close"]


@st.composite
def histories(draw: st.DrawFn) -> list[Record]:
    """Make up the records of one article: bought, sold, brought back, late, before a close, under either method."""
    found: list[Record] = []
    latest, opened = 48, 0
    if draw(st.booleans()):
        found.append(Record("method", at=0, text="fifo"))
    for _ in range(draw(st.integers(1, 22))):
        what = draw(st.sampled_from(WHATS))
        step = draw(st.sampled_from([0, 0, 5, 5, 30, -5, -20, -45]))
        at = max(0, latest + step)
        order = draw(st.sampled_from([None, "a", "b", "c"]))
        units = draw(st.sampled_from(UNITS))
        if what == "method":
            found.append(Record(what, at=at, text=draw(st.sampled_from(["fifo", "moving_average"]))))
            continue
        if what == "close":
            opened = max(opened, at // 24 * 24)
            found.append(Record(what, at=opened))
            continue
        latest = max(latest, at)
        if what == "receive":
            found.append(Record(what, at, units, cost=draw(st.sampled_from(COSTS))))
        elif what == "adjust":
            change, cost = units if draw(st.booleans()) else -units, draw(st.sampled_from([None, *COSTS]))
            counted = None if cost is None else draw(st.sampled_from(UNITS))
            found.append(Record(what, at, change, cost=cost, counted=counted))
        elif what == "arrive":
            found.append(Record(what, at, units, lost=draw(st.sampled_from([Decimal(0), Decimal(1)]))))
        else:
            found.append(Record(what, at, units, order=order if what in ("ship", "return") else None))
    return found


@pytest.fixture
def copies(database: Database) -> Iterator[Copies]:
    """Three copies of the valuation; every example writes its own log behind the one before."""
    made = Copies(database, "stock_valuation")
    yield made
    made.connection.close()


def keep(copies: Copies, history: list[Record], skus: int = 1) -> tuple[int, int, list[int], Any]:
    """Write a history to the log; return the positions before and after it, those of its records, and the article."""
    start = copies.log.head()
    world = copies.log.world(stores=1, skus=skus, customers=1, campaigns=1)
    positions = write(world, history)
    sku = world.skus[0]
    return start, copies.log.append(world), positions, sku


def plain_lots(truth: Truth) -> list[list[Fraction]]:
    """Return the lots with neighbours of one cost put together."""
    found: list[list[Fraction]] = []
    for size, cost in truth.lots:
        if found and found[-1][1] == cost:
            found[-1][0] += size
        else:
            found.append([size, cost])
    return found


def assert_same(stored: Books, expected: Books) -> None:
    """Compare what is on record with what should be."""
    assert stored.movements == expected.movements
    assert stored.adjustments == expected.adjustments
    assert (stored.truth.quantity, stored.truth.worth) == (expected.truth.quantity, expected.truth.worth)
    assert plain_lots(stored.truth) == plain_lots(expected.truth)
    assert stored.truth.cost == expected.truth.cost


@settings(
    max_examples=60,
    phases=[__import__("hypothesis").Phase.generate],
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(history=histories(), cuts=st.lists(st.floats(0, 1), max_size=4))
def test_given_any_history_however_it_is_cut_the_books_are_those_of_the_model(
    copies: Copies, history: list[Record], cuts: list[float]
) -> None:
    start, end, positions, sku = keep(copies, history)
    between = sorted({start, end, *(start + int(cut * (end - start)) for cut in cuts)})

    whole = copies.take("one", [start, end])

    assert copies.take("each", list(range(start, end + 1))) == whole
    assert copies.take("cut", between) == whole
    assert copies.take_parts(between) == whole
    stored = stored_books(copies.connection, copies.copies["one"].table, sku)
    assert_same(stored, keep_books(history, positions))
    assert copies.broken_checks(end, start) == []


def test_given_many_articles_windows_of_any_size_give_what_one_gives(copies: Copies) -> None:
    start = copies.log.head()
    end = copies.log.fill(700)

    whole = copies.take("one", [start, end])

    assert copies.take("cut", [*range(start, end, 37), end]) == whole
    assert copies.take("each", [start, start + 300, start + 301, end]) == whole
    assert copies.broken_checks(end, start) == []


def test_what_a_store_decides_reaches_its_articles_in_every_part_and_none_too_early(copies: Copies) -> None:
    start = copies.log.head()
    world = copies.log.world(stores=2, skus=12, customers=1, campaigns=1)

    def trade(rounds: int) -> None:
        for turn in range(rounds):
            world.pass_time(60)
            for number in range(12):
                world.receive(number, 5 + turn, 1000 + 100 * turn + number)
                world.other_movement(number, 1, 3)

    def decide(name: str, **said: Any) -> None:
        for store in range(2):
            world.record(name, world.stores[store], store, **said)

    trade(4)
    decide("PolicySet", kind="costing", policy_version=1, effective_from=world.now, params={"method": "fifo"})
    trade(4)
    # In force before movements that are known, and then a month that is closed with late records to come.
    early = world.now - timedelta(hours=3)
    decide("PolicySet", kind="costing", policy_version=2, effective_from=early, params={"method": "moving_average"})
    trade(3)
    decide("PeriodClosed", through=world.now.date(), open_from=world.now, reason="month")
    world.back_date(240)
    trade(2)
    end = copies.log.append(world)
    between = [start, start + (end - start) // 3, start + 2 * (end - start) // 3, end]

    whole = copies.take("one", [start, end])

    assert copies.take("cut", between) == whole
    assert copies.take_parts(between) == whole
    assert copies.broken_checks(end, start) == []
    assert len(whole["value_adjustments"]) > 12


def test_given_late_records_of_many_articles_one_window_gives_what_single_events_give(copies: Copies) -> None:
    start = copies.log.head()
    skus = 120  # More than are valued anew in one statement.
    world = copies.log.world(stores=1, skus=skus, customers=1, campaigns=1)
    home = world.stores[0]
    for turn in range(4):
        world.pass_time(400)
        for number in range(skus):
            world.back_date(0)
            world.receive(number, 5 + turn, 1000 + 100 * turn + number)
            world.other_movement(number, 1, 3)
            # Some articles have no late record, some one, some several that reach back to before one another.
            for late in range(number % 4 * (turn % 2)):
                world.back_date(300 + 700 * ((late + number) % 3))
                world.receive(number, 2, 700 + late)
                world.other_movement(number, 1, 2)
        world.back_date(0)
        before = world.now - timedelta(hours=9 * turn)
        world.record(
            "PolicySet", home, 0, kind="costing", policy_version=turn + 1, effective_from=before,
            params={"method": ("fifo", "moving_average")[turn % 2]},
        )  # fmt: skip
    end = copies.log.append(world)

    whole = copies.take("one", [start, end])

    assert copies.take("each", list(range(start, end + 1))) == whole
    assert copies.take_parts([*range(start, end, 97), end]) == whole
    assert copies.broken_checks(end, start) == []
    assert len(whole["value_adjustments"]) > 2 * skus


def value_at(copies: Copies, sku: Any, *, position: int | None = None, hour: int | None = None) -> tuple[Fraction, int]:
    """Ask what an article is worth at a time, as known at a position."""
    query = copies.copies["one"].queries["value_at"]
    rows = copies.connection.execute(
        query.sql,
        {
            "store_ids": None,
            "sku_ids": [sku],
            "position": position,
            "occurred_at": None if hour is None else moment(hour),
        },
    ).fetchall()
    return (Fraction(rows[0][4]), rows[0][5]) if rows else (Fraction(0), 0)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=histories(), hour=st.integers(0, 200))
def test_given_any_history_what_was_known_at_any_position_prints_again(
    copies: Copies, history: list[Record], hour: int
) -> None:
    start, _, positions, sku = keep(copies, history)
    expected = keep_books(history, positions)
    said: dict[int, tuple[Any, Any]] = {}
    copies.take("one", [start, positions[0] - 1])
    # Each prefix is asked when it is the newest, over all time and at one; later records must not change the answers.
    for before, position in itertools.pairwise([positions[0] - 1, *positions]):
        copies.take_more("one", [before, position])
        said[position] = (value_at(copies, sku), value_at(copies, sku, hour=hour))
        assert said[position][0] == expected.totals[position]

    for position in positions:
        again = value_at(copies, sku, position=position), value_at(copies, sku, position=position, hour=hour)
        assert again == said[position]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=histories())
def test_given_any_history_what_was_booked_less_rounding_is_what_the_units_are_worth_exactly(
    copies: Copies, history: list[Record]
) -> None:
    start, end, positions, sku = keep(copies, history)
    copies.take("one", [start, end])
    booked = sum(
        own + revalued
        for own, revalued, _, _ in stored_books(copies.connection, copies.copies["one"].table, sku).movements.values()
    )
    table = copies.copies["one"].table
    (more,) = copies.connection.execute(
        f"SELECT coalesce(sum(value_minor + revalued_minor), 0) FROM {table('value_adjustments')} WHERE sku_id = %s",
        (sku,),
    ).fetchone() or (0,)
    query = copies.copies["one"].queries["report"]
    cursor = copies.connection.execute(query.sql, {"store_ids": None, "sku_ids": [sku], "row_limit": None})
    names = [column.name for column in cursor.description or ()]
    rows = [dict(zip(names, row, strict=True)) for row in cursor]
    truth = keep_books(history, positions).truth
    if not rows:
        assert booked == more == 0
        return
    [row] = rows
    fifo = row["method"] == "fifo" and truth.quantity > 0
    units = sum((size * cost for size, cost in truth.lots), Fraction(0)) if fifo else truth.quantity * (truth.cost or 0)
    assert Fraction(row["exact_minor"]) == units * 100
    assert booked + more - row["rounding_minor"] == row["exact_minor"]
    assert row["value_minor"] == booked + more
    if not truth.quantity:
        assert row["rounding_minor"] == 0
    if truth.cost is not None and truth.quantity > 0:
        low, high = (min, max)
        costs = [cost for _, cost in truth.lots] if fifo else [truth.cost]
        assert low(costs) <= Fraction(row["mean_cost"]) <= high(costs)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=histories(), hour=st.none() | st.integers(0, 200), known=st.none() | st.integers(0, 21))
def test_given_any_log_over_the_edge_of_a_block_value_as_of_both_axes_is_what_its_rows_add_up_to(
    copies: Copies, history: list[Record], hour: int | None, known: int | None
) -> None:
    start = (copies.log.head() // BLOCK + 2) * BLOCK - 12 - len(history) // 2
    world = Trade(after=start, stores=1, skus=1, customers=1, campaigns=1)
    positions = write(world, history)
    sku = world.skus[0]
    end = copies.log.append(world)
    copies.take("one", [start, end])
    position = None if known is None else positions[known % len(positions)]
    table = copies.copies["one"].table
    quantity, value = Fraction(0), 0
    for units, minor in copies.connection.execute(
        f"SELECT quantity, value_minor + revalued_minor FROM {table('valued_movements')}"
        " WHERE sku_id = %(sku)s AND position <= %(known)s AND occurred_at <= %(at)s"
        f" UNION ALL SELECT 0, value_minor + revalued_minor FROM {table('value_adjustments')}"
        " WHERE sku_id = %(sku)s AND cause_position <= %(known)s AND occurred_at <= %(at)s",
        {"sku": sku, "known": position or end, "at": moment(10**6 if hour is None else hour)},
    ):
        quantity, value = quantity + Fraction(units), value + minor
    assert value_at(copies, sku, position=position, hour=hour) == (quantity, value)


# Cases worked by hand ------------------------------------------------------------------------------------------------


def test_given_a_case_worked_by_hand_the_valuation_gives_its_figures(copies: Copies) -> None:
    cases = read_cases()
    assert len(cases) >= 30
    wrong = {}
    for case in cases:
        start = copies.log.head()
        world = copies.log.world(stores=2, skus=2, customers=1, campaigns=1)
        number = 1 if case.currency == "JPY" else 0
        positions = write(world, case.history, number)
        end = copies.log.append(world)
        copies.take_more("one", list(range(start, end + 1)))
        stored = stored_books(copies.connection, copies.copies["one"].table, world.skus[number])
        found = case.found(stored, positions)
        if found != case.expected:
            wrong[case.name] = {key: (found.get(key), case.expected.get(key)) for key in found | case.expected}
    assert copies.broken_checks(copies.log.head(), 0) == []
    assert wrong == {}, "each with what was found, and what was expected"
    query = copies.copies["one"].queries["adjustments"]
    shown: dict[str, Any] = dict.fromkeys(
        ("store_ids", "sku_id", "cause_position", "after_cause", "after_position", "row_limit")
    )
    assert copies.connection.execute(query.sql, shown).fetchall()
    assert copies.connection.execute(query.sql, shown | {"store_ids": [uuid4()]}).fetchall() == []


def test_given_a_case_worked_by_hand_the_model_gives_its_figures() -> None:
    for case in read_cases():
        positions = list(range(1, len(case.history) + 1))
        books = keep_books(case.history, positions, 1 if case.currency == "JPY" else 100)
        books.truth.lots = plain_lots(books.truth)
        assert case.found(books, positions) == case.expected, case.name
