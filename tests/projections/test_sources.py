"""Figures by the source of traffic and by device: of orders as they were placed, of visitors as they were reported."""

from __future__ import annotations

import json
from datetime import date
from fractions import Fraction
from typing import Any

import pytest

from opscore import kpis
from opscore.kpis import OneCell, Side
from opscore.projector import Projector
from tests.projections.kpi_cells import KPIS, asked, built, figures, made_again, sold, values
from tests.projections.logs import Log, Trade

DAY = date(2025, 1, 1)


def by(projector: Projector, code: str, slice_: str, **more: Any) -> dict[str | None, Fraction | None]:
    found = kpis.cells(projector, KPIS, KPIS[code], asked(by=slice_, of=(DAY, DAY), **more))
    return {key[3]: cell.value for key, cell in found.items()}


def report(world: Trade, visitors: int, **about: Any) -> None:
    day = world.made_id("traffic", 1)
    if day not in world.versions:
        world.record("TrafficDayOpened", day, 0, store_id=world.stores[0], day=DAY)
    told = {"page_views": 5 * visitors, "visits": visitors, "single_page_visits": visitors // 2}
    world.record("TrafficReported", day, 0, **figures(visitors=visitors, **told, **about))


@pytest.fixture
def trade(log: Log, projector: Projector) -> Projector:
    """Four orders of one, two, three and four units at a pound: a customer's two, another's and a guest's.

    The generator says of customers whence they came: 0 by themselves with a PC, 1 by search with the app; of a guest
    nothing.
    """
    world = log.world(stores=1)
    orders = [sold(world, customer, units) for customer, units in ((0, 1), (0, 2), (1, 3), (-1, 4))]
    world.refund(orders[1], orders[1].lines[:1])
    report(world, 100)
    report(world, 40, traffic_source="direct")
    report(world, 50, traffic_source="organic_search")
    report(world, 10, traffic_source="paid_search")
    report(world, 60, device="app")
    return built(log, projector, world)


def test_orders_are_told_apart_by_source_and_device_and_what_is_not_known_stands_by_itself(trade: Projector) -> None:
    [direct] = values(trade, "K017", asked(source="direct"))
    assert direct is not None
    price = direct / 3
    assert by(trade, "K017", "source") == {"direct": 3 * price, "organic_search": 3 * price, "": 4 * price}
    assert by(trade, "K017", "device") == {"pc": 3 * price, "app": 3 * price, "": 4 * price}
    assert values(trade, "K017", asked()) == [10 * price], "all together as ever"
    assert by(trade, "K019", "source") == {"direct": 2, "organic_search": 1, "": 1}
    assert by(trade, "K019P", "source") == {"direct": 2, "organic_search": 1, "": 1}
    assert by(trade, "K023", "source") == {"direct": price, "organic_search": 3 * price, "": 4 * price}
    assert by(trade, "K080", "source") == {"direct": 1, "organic_search": 1}, (
        "a guest is no new customer, nor an old one"
    )
    assert by(trade, "K014G", "source") == {
        "direct": Fraction(3, 10), "organic_search": Fraction(3, 10), "": Fraction(4, 10),
    }  # fmt: skip
    assert values(trade, "K019", asked(source="direct", device="app")) == []
    assert values(trade, "K019", asked(source="direct", channel="web")) == [2], "apart from the sales channel"
    assert values(trade, "K019", asked(source="paid_search")) == []


def test_visitors_are_those_of_the_report_of_a_source_or_a_device_and_never_of_the_whole(trade: Projector) -> None:
    assert values(trade, "K002", asked()) == [100]
    assert by(trade, "K002", "source") == {"direct": 40, "organic_search": 50, "paid_search": 10}
    assert by(trade, "K002", "device") == {"app": 60}
    assert values(trade, "K002", asked(source="external")) == []
    assert by(trade, "K014", "source") == {
        "direct": Fraction(40, 100), "organic_search": Fraction(50, 100), "paid_search": Fraction(10, 100),
    }  # fmt: skip
    assert by(trade, "K004", "source")["direct"] == Fraction(20, 40), "how many of them saw one page only"


def test_conversion_is_of_buyers_and_visitors_of_the_same_source(trade: Projector) -> None:
    assert values(trade, "K012", asked()) == [Fraction(3, 100)]
    assert by(trade, "K012", "source") == {
        "direct": Fraction(1, 40), "organic_search": Fraction(1, 50), "paid_search": 0, "": None,
    }  # fmt: skip
    assert by(trade, "K012", "device") == {"app": Fraction(1, 60), "pc": None, "": None}, (
        "nobody counted those with PCs"
    )
    [product] = values(trade, "K018", asked(source="direct"))
    assert [product] == values(trade, "K017", asked(source="direct"))


def test_a_cell_of_a_source_opens_to_its_own_events(trade: Projector) -> None:
    kpi = KPIS["K012"]
    window = asked(by="source", of=(DAY, DAY))
    for key, cell in kpis.cells(trade, KPIS, kpi, window).items():
        assert cell == made_again(trade, kpi, window, OneCell(part=key[3])), key
    rows = kpis.facts(trade, KPIS["K019"], KPIS["K019"].numerator, window, OneCell(part=""))
    assert [row["event"] for row in rows] == ["OrderPaid"]


@pytest.mark.parametrize("query", ["cells_people", "cells_sum"])
def test_orders_are_looked_up_only_where_a_source_or_a_device_is_asked_for(trade: Projector, query: str) -> None:
    with trade.connect() as connection, connection.transaction():
        entry = trade.catalogue.serving(connection, "kpi_facts")
        assert entry is not None
        ready = trade.loaded(connection, entry).counting(query, ("sold",))

        def looks(**more: Any) -> bool:
            params = kpis.parameters(Side("kpi_facts", "sum", ("sold",)), asked(**more), by_currency=True)
            given = dict.fromkeys(ready.parameters) | params | {"window_from": 0, "window_to": entry.position}
            return any("origins" in line for (line,) in connection.execute(f"EXPLAIN {ready.sql}", given))

        assert not looks() and not looks(by="sku")
        assert looks(by="source") and looks(by="device") and looks(source="direct") and looks(device="app")


def test_what_was_recorded_before_there_were_sources_is_of_none(log: Log, projector: Projector) -> None:
    world = log.world(stores=1)
    sold(world, 0, 1)
    report(world, 100)
    for place, row in enumerate(world.rows):
        if row[4] in ("OrderPlaced", "TrafficReported"):
            data = json.loads(row[15])
            del data["traffic_source"]
            if row[4] == "OrderPlaced":
                del data["device"]
            world.rows[place] = (*row[:5], 1, *row[6:15], json.dumps(data), row[16])
    built(log, projector, world)

    assert by(projector, "K019", "source") == by(projector, "K019", "device") == {"": 1}
    assert values(projector, "K002", asked()) == [100]
    assert by(projector, "K002", "source") == {}
    assert not projector.check(["kpi_facts", "traffic"])
