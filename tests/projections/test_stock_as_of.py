"""Stock as of any moment: what had happened by a time, as known at a position, is what its movements add up to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from opscore.database import Database
from opscore.projector.folder import Loaded
from tests.projections.logs import Doings, Trade
from tests.projections.test_window_law import Action, Copies, action

BLOCK = 1 << 14
"""So many positions of the log are added up together."""
STATES = ("on_hand", "reserved", "allocated", "quarantined", "damaged", "in_transit")
OF_BATCH = ("on_hand", "quarantined", "damaged", "in_transit")

Levels = dict[Any, dict[str, Decimal]]


@pytest.fixture
def copies(database: Database) -> Iterator[Copies]:
    """A stock ledger; every example writes its own log behind the one before."""
    made = Copies(database, "stock_ledger")
    yield made
    made.connection.close()


def rows(copies: Copies, name: str, **asked: Any) -> list[dict[str, Any]]:
    """Ask the ledger one of its own queries."""
    loaded: Loaded = copies.copies["one"]
    cursor = copies.connection.execute(loaded.queries[name].sql, {"store_ids": None, **asked})
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def added_up(copies: Copies, sku: UUID, at: Any, position: int | None, *, by_batch: bool = False) -> Levels:
    """Add the movements of an article up one by one, by location or by location and batch."""
    table = copies.copies["one"].table("stock_batch_movements" if by_batch else "stock_movements")
    states = OF_BATCH if by_batch else STATES
    found: Levels = defaultdict(lambda: dict.fromkeys(states, Decimal(0)))
    for occurred_at, known_at, place, batch, *changes in copies.connection.execute(
        f"SELECT occurred_at, position, location_id, {'batch' if by_batch else 'NULL'}, {', '.join(states)}"
        f" FROM {table} WHERE sku_id = %s",
        (sku,),
    ):
        if (at is None or occurred_at <= at) and (position is None or known_at <= position):
            level = found[(place, batch) if by_batch else place]
            for state, change in zip(states, changes, strict=True):
                level[state] += change or 0
    return dict(found)


moments = st.lists(st.tuples(st.none() | st.floats(0, 1), st.none() | st.floats(0, 1)), min_size=3, max_size=8)


@examples(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(log=st.lists(action, min_size=20, max_size=70), late=st.integers(0, 3), asked=moments)
def test_given_any_log_levels_as_of_any_moment_are_the_movements_until_then(
    copies: Copies, log: list[Action], late: int, asked: list[tuple[float | None, float | None]]
) -> None:
    # The log goes over the edge of a block, so that some of it is added up beforehand and some is not.
    start = (copies.log.head() // BLOCK + 2) * BLOCK - 60
    world = Trade(after=start)
    begun = world.now
    doing = Doings(world)
    for number, one in enumerate(log):
        world.back_date(late * 900 * (number % 3 == 0))
        doing.do(*one)
        world.receive(number, 1 + number % 5, 1000)
    spent = world.now - begun
    end = copies.log.append(world)
    copies.take("one", [start, end])

    for happened, known in asked:
        at = None if happened is None else begun + timedelta(days=-2) + happened * (spent + timedelta(days=2))
        position = None if known is None else start + int(known * (end - start))
        for sku in world.skus:
            told = rows(copies, "levels_at", sku_id=sku, occurred_at=at, position=position)
            expected = added_up(copies, sku, at, position)
            assert {row["location_id"]: {state: row[state] for state in STATES} for row in told} == expected
            for row in told:
                aside = row["reserved"] + row["allocated"] + row["quarantined"] + row["damaged"]
                assert row["sellable"] == row["on_hand"] - aside
            of = {"sku_ids": [sku], "location_id": None, "batch": None}
            batches = rows(copies, "batches_at", **of, occurred_at=at, position=position)
            found = {(row["location_id"], row["batch"]): {state: row[state] for state in OF_BATCH} for row in batches}
            left = added_up(copies, sku, at, position, by_batch=True)
            assert found == {key: level for key, level in left.items() if any(level.values())}
            if at is None and position is None:
                now = rows(copies, "batches", **of)
                assert [{**row, "position": 0} for row in now] == [{**row, "position": 0} for row in batches]


def test_an_old_event_without_the_newer_fields_is_of_no_batch_and_good(copies: Copies) -> None:
    start = copies.log.head()
    world = copies.log.world(stores=1, skus=1, customers=1, campaigns=1)
    world.receive(0, 5, 1000)
    world.record(
        "StockReturned", world.skus[0], 0, order_id=None, store_id=world.stores[0], location_id=world._place(0),
        quantity=Decimal(2), condition="damaged",
    )  # fmt: skip
    for number, row in enumerate(world.rows):
        if row[4] in ("StockReceived", "StockReturned"):
            data = row[15].replace(',"condition":"good"', "").replace(',"return_id":null,"batch":null', "")
            assert data != row[15]
            world.rows[number] = (*row[:5], 1, *row[6:15], data, row[16])
    end = copies.log.append(world)
    copies.take("one", [start, end])

    [level] = rows(copies, "levels_at", sku_id=world.skus[0], occurred_at=None, position=None)
    assert (level["on_hand"], level["sellable"], level["damaged"], level["quarantined"]) == (7, 5, 2, 0)
    assert rows(copies, "batches", sku_ids=None, location_id=None, batch=None) == []
    assert copies.broken_checks(end, start) == []
