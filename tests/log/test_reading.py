"""The log as readers see it: aggregates that are kept once they are folded, and events found by their type."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from opscore.database import Database
from opscore.domain.aggregate import Aggregate
from opscore.domain.order import Order
from opscore.domain.sku import Sku
from opscore.domain.sku_commands import PriceSku
from opscore.domain.store import Store
from opscore.log.batches import FoldedAggregates, load_many
from opscore.log.event_log import EventFilter, EventLog
from opscore.log.event_types import event_types
from opscore.settings import Settings
from opscore.writer import Writer
from tests.shop import Shop


@pytest.fixture
def shop(database: Database, settings: Settings) -> Iterator[Shop]:
    writer = Writer(database, settings)
    writer.start()
    try:
        yield Shop.open(writer)
    finally:
        writer.stop()


@pytest.fixture
def folded(database: Database) -> FoldedAggregates:
    return FoldedAggregates(database.pool.connection, most=3)


def price(shop: Shop, sku: Any, amount: str) -> None:
    shop.do(PriceSku(sku_id=sku, store_id=shop.store_id, list_price=Decimal(amount), currency="GBP", reason="test"))


def test_an_aggregate_is_folded_again_only_when_something_happened_to_it(shop: Shop, folded: FoldedAggregates) -> None:
    still, moved = shop.sku(), shop.sku()
    before = folded.load(Sku, [still, moved])

    price(shop, moved, "7.77")
    after = folded.load(Sku, [still, moved])

    assert after[still] is before[still]
    assert after[moved].version == before[moved].version + 1
    assert after[moved].prices[shop.store_id].list_price == Decimal("7.77")
    assert before[moved].prices[shop.store_id].list_price != Decimal("7.77"), "changed under whoever holds it"


def test_what_is_kept_is_what_the_log_says(database: Database, shop: Shop, folded: FoldedAggregates) -> None:
    skus = [shop.sku(stock=5) for _ in range(5)]
    for number, sku in enumerate(skus):
        shop.do(shop.order((sku, 1)))
        folded.load(Sku, skus[number : number + 2])

    kept = folded.load(Sku, skus)

    fresh = load_many(database.pool.connection, Sku, skus)
    assert {key: vars(each) for key, each in kept.items()} == {key: vars(each) for key, each in fresh.items()}


def test_no_more_are_kept_than_were_asked_for_last(shop: Shop, folded: FoldedAggregates) -> None:
    first, *others = (shop.sku() for _ in range(4))
    before = folded.load(Sku, [first])[first]

    folded.load(Sku, others[:2])
    assert folded.load(Sku, [first])[first] is before

    folded.load(Sku, others)
    assert folded.load(Sku, [first])[first] is not before


def test_what_is_not_there_or_of_another_kind_is_left_out(shop: Shop, folded: FoldedAggregates) -> None:
    sku = shop.sku()
    order = shop.do(shop.order((sku, 1)))
    nothing = uuid4()

    assert set(folded.load(Aggregate, [sku, order, nothing])) == {sku, order}
    assert set(folded.load(Order, [sku, order, nothing])) == {order}
    assert folded.load(Store, [sku, order]) == {}
    assert folded.load(Sku, []) == {}


def test_events_are_found_by_their_types_wherever_they_lie(database: Database, shop: Shop) -> None:
    sku = shop.sku(stock=100)
    for _ in range(6):
        shop.do(shop.order((sku, 1)))
    log = EventLog(database.pool.connection)
    everything = log.select(EventFilter(), limit=1_000)
    wanted: list[tuple[str, ...]] = [
        ("SkuRegistered",), ("OrderPlaced", "StockReserved"), ("OrderPlaced", "OrderPlaced"), tuple(event_types()),
        ("Unheard",),
    ]  # fmt: skip

    for types, newest_first, limit, within in itertools.product(
        wanted, (False, True), (1, 3, 1_000), ({}, {"store_ids": [shop.store_id]}, {"stream_id": sku})
    ):
        bounds = {"after": everything[3].position, "before": everything[-2].position}
        rows = everything[4:-2][:: -1 if newest_first else 1]
        expected = [
            event.position
            for event in rows
            if event.type in types and (within.get("stream_id") in (None, event.stream_id))
        ]

        found = log.select(EventFilter(types=types, **within), limit=limit, newest_first=newest_first, **bounds)

        assert [event.position for event in found] == expected[:limit], (types, within)
