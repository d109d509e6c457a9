"""The law of windows: however the log is cut, every read model comes out the same, to the last character."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings as examples, strategies as st

from opscore import resources
from opscore.database import Database
from opscore.projector import Projector
from opscore.projector.catalogue import even_parts
from opscore.projector.folder import Loaded
from opscore.projector.window import take_in
from opscore.settings import Settings
from tests.projections.logs import Doings, Log, contents

PROJECTIONS = [
    "kpi_daily",
    "stock_ledger",
    "stock_valuation",
    "order_book",
    "reviews",
    "campaign_results",
    "customer_card",
    "directory",
    "traffic",
    "kpi_facts",
    "funds",
    "income_split",
    "stock_facts",
    "purchasing",
    "agency",
    "ad_service",
    "inquiries",
    "heroes",
    "costs",
]
OWN = resources.path("data") / "own_projections"
"""What an operator's folder begins with holds to the law as well."""

small = st.integers(0, 8)
action = st.tuples(st.integers(0, Doings.COUNT - 1), small, small, st.integers(0, 400))
Action = tuple[int, int, int, int]


WAYS = ("one", "cut", "each", "parts")


class Copies:
    """One projection, kept four times over the same log, each taking it in by other windows."""

    def __init__(self, database: Database, name: str) -> None:
        self.log = Log(database)
        self.projector = Projector(database)
        definition = self.projector.definitions()[name]
        self.copies = {way: Loaded(definition, database.schema, f"{way}/{name}") for way in WAYS}
        self.connection = self.projector.connect()
        for loaded in self.copies.values():
            self.projector.make_tables(self.connection, loaded)

    def take(self, way: str, bounds: list[int]) -> dict[str, list[str]]:
        """Empty a copy, take in the windows between `bounds`, and return its rows."""
        for table in self.copies[way].definition.tables:
            self.connection.execute(f"TRUNCATE {self.copies[way].table(table)}")
        return self.take_more(way, bounds)

    def take_more(self, way: str, bounds: list[int]) -> dict[str, list[str]]:
        """Take in the windows between `bounds` behind what a copy holds, and return its rows."""
        loaded = self.copies[way]
        for low, high in itertools.pairwise(bounds):
            with self.connection.transaction():
                take_in(self.connection, self.projector.catalogue, loaded, low, high)
        return contents(self.connection, loaded)

    def take_parts(self, bounds: list[int]) -> dict[str, list[str]]:
        """Take in three parts, one after the other, each by other windows, and return the rows."""
        loaded = self.copies["parts"]
        for table in loaded.definition.tables:
            self.connection.execute(f"TRUNCATE {loaded.table(table)}")
        parts = even_parts([(UUID(int=each << 120), 1) for each in range(256)], 3)
        for part, windows in zip(parts, (bounds, [bounds[0], bounds[-1]], bounds), strict=True):
            for low, high in itertools.pairwise(windows):
                with self.connection.transaction():
                    take_in(self.connection, self.projector.catalogue, loaded, low, high, part=part)
        return contents(self.connection, loaded)

    def broken_checks(self, high: int, low: int) -> list[Any]:
        """Return what the checks find in the copy that took everything at once."""
        found = []
        for check in self.copies["one"].checks.values():
            rows = self.connection.execute(check.sql, {"window_from": low, "window_to": high}).fetchall()
            found += [(check.name, row) for row in rows]
        return found


@pytest.fixture(params=PROJECTIONS)
def copies(request: pytest.FixtureRequest, settings: Settings) -> Iterator[Copies]:
    """Four copies of one projection; every example writes its own log behind the one before."""
    with Database.open(settings.model_copy(update={"projections": OWN})) as database:
        made = Copies(database, request.param)
        yield made
        made.connection.close()


@examples(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(log=st.lists(action, min_size=30, max_size=100), cuts=st.lists(st.floats(0, 1), max_size=6))
def test_any_windows_give_the_same_rows(copies: Copies, log: list[Action], cuts: list[float]) -> None:
    start = copies.log.head()
    world = copies.log.world()
    doing = Doings(world)
    for one in log:
        doing.do(*one)
    end = copies.log.append(world)
    between = sorted({start, end, *(start + int(cut * (end - start)) for cut in cuts)})

    whole = copies.take("one", [start, end])

    assert copies.take("cut", between) == whole
    assert copies.take("each", list(range(start, end + 1))) == whole
    if copies.copies["one"].definition.stream_by_stream:
        assert copies.take_parts(between) == whole
    assert copies.broken_checks(end, start) == []
