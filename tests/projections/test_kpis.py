"""Key figures: defined well, right by hand, and in every cell what their own formula makes of the rows behind it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from opscore import kpis, resources
from opscore.kpis import Asked, Cell, KpiComparison, KpiFileError, KpiGrain, Side, Unit
from opscore.projector import Projector
from tests.benchmarks import generate
from tests.projections.logs import Log
from tests.projections.test_figures import busy

KPIS = kpis.load()
FROM, TO = date(2024, 12, 1), date(2025, 12, 31)
LATE = datetime(2030, 1, 1, tzinfo=UTC)


def asked(grain: KpiGrain = KpiGrain.TOTAL, *, of: tuple[date, date] = (FROM, TO), **more: Any) -> Asked:
    return Asked(**{"from_day": of[0], "to_day": of[1], "grain": grain, "store_ids": None, "now": LATE, **more})


def counted(side: Side, rows: Sequence[Mapping[str, Any]]) -> Fraction | None:
    """Count rows as the definition says, without SQL."""
    amounts = sorted(Fraction(row["amount"]) for row in rows)
    people: dict[UUID, set[date]] = defaultdict(set)
    for row in rows:
        if row["who"] is not None:
            people[row["who"]].add(row["day"])
    match side.counts:
        case "sum":
            return sum(amounts, Fraction(0))
        case "only":
            return amounts[0] if len(amounts) == 1 else None
        case "orders":
            return Fraction(len({row["order_id"] for row in rows} - {None}))
        case "people":
            return Fraction(len(people))
        case "people_again":
            return Fraction(sum(len(days) > 1 for days in people.values()))
        case "median" | "p90":
            share = Fraction(1, 2) if side.counts == "median" else Fraction(9, 10)
            return next(value for at, value in enumerate(amounts, 1) if Fraction(at, len(amounts)) >= share)
    raise AssertionError(side.counts)


def rows_behind(
    projector: Projector, kpi: kpis.Kpi, side: Side, window: Asked, key: kpis.Key, size: int
) -> list[dict[str, Any]]:
    """Return all rows behind a side of a cell, page by page."""
    rows: list[dict[str, Any]] = []
    while True:
        after = (rows[-1]["position"], rows[-1]["place"]) if rows else (0, 0)
        page = kpis.facts(projector, kpi, side, window, hour=key[1], currency=key[2], after=after, limit=size)
        rows += page
        if len(page) < size:
            return rows


@pytest.fixture
def trade(log: Log, projector: Projector) -> Projector:
    """A log in which everything happens, over two stores, two currencies and changes of time zone."""
    busy(log, 500, seed=8, minutes=200)
    for name in ("traffic", "kpi_facts"):
        projector.rebuild(name)
    return projector


def test_every_cell_of_every_figure_is_its_own_formula_over_the_rows_behind_it(trade: Projector) -> None:
    opened: dict[str, int] = defaultdict(int)
    for kpi in KPIS.values():
        if kpi.factors:
            continue
        for grain in kpi.grains:
            question = asked(grain)
            for key, cell in list(kpis.cells(trade, KPIS, kpi, question).items())[:6]:
                window = asked(grain, of=(key[0], kpis.ends_on(key[0], question)))
                made: dict[str, Fraction | None] = {}
                for name, side in kpis.sides(kpi).items():
                    rows = rows_behind(trade, kpi, side, window, key, 7)
                    assert [(row["position"], row["place"]) for row in rows] == sorted(
                        {(row["position"], row["place"]) for row in rows}
                    ), f"{kpi.code}: a row twice or out of order"
                    made[name] = counted(side, rows) if rows else None
                top, bottom = made["numerator"], made.get("denominator")
                if "denominator" in made:
                    if top is None and kpi.numerator is not None and kpi.numerator.counts not in kpis.NEVER_ZERO:
                        top = Fraction(0)
                    value = top / bottom if top is not None and bottom else None
                else:
                    value = top
                assert cell == Cell(value, top, bottom), (kpi.code, grain, key)
                opened[kpi.code] += 1
    never = {code for code, kpi in KPIS.items() if not kpi.factors} - set(opened)
    # The generator reports no addresses; every other figure has cells in such a log.
    assert never == {"K003"}


def test_gmv_orders_and_buyers_are_those_of_the_daily_figures(trade: Projector) -> None:
    trade.rebuild("kpi_daily")
    totals = {row["currency"]: row for row in trade.run_query("kpi_daily", "totals", store_ids=None)}
    assert set(totals) == {"GBP", "JPY"}

    for code, figure in (("K017", "gmv_minor"), ("K023", "net_sales_minor")):
        found = kpis.cells(trade, KPIS, KPIS[code], asked())
        assert {key[2]: cell.value for key, cell in found.items()} == {
            currency: row[figure] for currency, row in totals.items()
        }
    per_customer = kpis.cells(trade, KPIS, KPIS["K020"], asked())
    assert {key[2]: cell.denominator for key, cell in per_customer.items()} == {
        currency: row["buyers"] for currency, row in totals.items()
    }
    (orders,) = kpis.cells(trade, KPIS, KPIS["K019"], asked()).values()
    assert orders.value == sum(row["orders"] for row in totals.values())


def sold(world: generate.World, customer: int, units: int, *, sku: int = 0) -> generate.Order:
    order = world.place(customer, [(sku, units)])
    world.pay(order)
    return order


def built(log: Log, projector: Projector, world: generate.World) -> Projector:
    log.append(world)
    for name in ("traffic", "kpi_facts"):
        projector.rebuild(name)
    return projector


def values(projector: Projector, code: str, question: Asked) -> list[Fraction | None]:
    return [cell.value for cell in kpis.cells(projector, KPIS, KPIS[code], question).values()]


def test_visitors_conversion_and_value_per_customer_multiply_to_gmv(log: Log, projector: Projector) -> None:
    world = log.world()
    for customer in (0, 0, 2, -1):
        sold(world, customer, 3)
    stream, store = world.made_id("traffic", 0), world.stores[0]
    world.record("TrafficDayOpened", stream, 0, store_id=store, day=date(2025, 1, 1))
    world.record("TrafficReported", stream, 0, **figures(visitors=7, page_views=20))
    built(log, projector, world)
    day = asked(KpiGrain.DAY, store_ids=[store])

    (gmv,) = values(projector, "K017", day)
    (conversion,) = values(projector, "K012", day)
    (identity,) = values(projector, "K018", day)

    assert conversion == Fraction(3, 7)
    assert identity == gmv != 0
    assert values(projector, "K018", asked(KpiGrain.HOUR, store_ids=[store])) == [None]


def figures(**told: Any) -> dict[str, Any]:
    return {
        "day": date(2025, 1, 1), "channel": "all", "device": "all", "campaign_id": None, "sku_id": None, "hour": None,
        "revision": 1, "source": None, "page_views": 0, "visitors": None, "visits": None, "single_page_visits": None,
        "ip": None, "dwell_seconds": None, "exits": None, "shares": None, "favourites": None, "cart_adds": None, **told,
    }  # fmt: skip


def test_the_widest_report_counts_and_parts_are_added_only_without_it(log: Log, projector: Projector) -> None:
    world = log.world()
    stream = world.made_id("traffic", 0)
    world.record("TrafficDayOpened", stream, 0, store_id=world.stores[0], day=date(2025, 1, 1))
    for channel, views, visitors in (("search", 10, 4), ("social", 20, 6)):
        world.record(
            "TrafficReported", stream, 0, **figures(channel=channel, page_views=views, visitors=visitors, ip=visitors)
        )
    built(log, projector, world)

    assert values(projector, "K001", asked()) == [30]
    assert values(projector, "K002", asked()) == [None], "people of two channels are not added"
    assert values(projector, "K002", asked(channel="search")) == [4]
    assert values(projector, "K003", asked()) == [10]

    world.record("TrafficReported", stream, 0, **figures(page_views=29, visitors=9))
    world.record("TrafficReported", stream, 0, **figures(page_views=28, visitors=8, revision=3))
    world.record("TrafficReported", stream, 0, **figures(page_views=27, visitors=7, revision=2))
    log.append(world)
    projector.catch_up()

    assert values(projector, "K001", asked()) == [28]
    assert values(projector, "K002", asked()) == [8]
    assert values(projector, "K014", asked(channel="social")) == [Fraction(6, 8)]


def test_new_returning_and_repeat_customers_are_known_by_their_first_paid_order(log: Log, projector: Projector) -> None:
    world = log.world()
    sold(world, 0, 1)
    sold(world, 2, 1)
    world.pass_time(24 * 60)
    sold(world, 0, 2)
    sold(world, 4, 1)
    world.pass_time(24 * 60)
    world.back_date(3 * 24 * 60)
    sold(world, 4, 1)
    built(log, projector, world)

    # The customer of the second day had bought before all others, as a late report says.
    days = kpis.cells(projector, KPIS, KPIS["K031"], asked(KpiGrain.DAY))
    assert {key[0].isoformat(): cell.value for key, cell in days.items()} == {"2024-12-31": 1, "2025-01-01": 2}
    assert values(projector, "K034", asked()) == [Fraction(2, 3)]
    assert values(projector, "K035", asked()) == [Fraction(3 * 90, 6 * 90)]
    cohorts = projector.run_query("kpi_facts", "cohorts", store_ids=None)
    assert [(row["starts_on"].isoformat(), row["months_later"], row["active_customers"]) for row in cohorts] == [
        ("2024-12-01", 0, 1), ("2024-12-01", 1, 1), ("2025-01-01", 0, 2),
    ]  # fmt: skip


def test_a_refund_counts_on_its_own_day_and_on_the_day_of_the_sale_in_two_books(log: Log, projector: Projector) -> None:
    world = log.world()
    order = sold(world, 0, 10)
    world.pass_time(2 * 24 * 60)
    world.refund(order)
    built(log, projector, world)
    by_day = {
        code: [
            (key[0].day, cell.value)
            for key, cell in kpis.cells(projector, KPIS, KPIS[code], asked(KpiGrain.DAY)).items()
        ]
        for code in ("K017", "K023", "K023C", "K024", "P001", "P002", "K034")
    }

    assert by_day == {
        "K017": [(1, 900)], "K023": [(1, 900), (3, -900)], "K023C": [(1, 0)], "K024": [(1, 1)],
        "P001": [(1, 1200)], "P002": [(1, 1200), (3, -900)], "K034": [],
    }  # fmt: skip


def test_promises_to_ship_are_judged_when_they_fall_due(log: Log, projector: Projector) -> None:
    world = log.world()
    orders = [sold(world, customer, 1) for customer in (0, 2, 4, 6)]
    world.cancel(orders[3], whole=True)
    for order, wait in zip(orders[:2], (60, 30 * 60), strict=True):
        world.pass_time(wait)
        world.confirm(order)
        world.ship(order)
        world.ship(order)
    built(log, projector, world)

    assert values(projector, "K081", asked()) == [Fraction(1, 3)]
    assert values(projector, "K082", asked()) == [1]
    assert values(projector, "K082S", asked()) == [Fraction(1, 3)]
    assert values(projector, "K083", asked()) == [3600]
    assert values(projector, "K083P", asked()) == [31 * 3600]
    early = generate.START + timedelta(hours=12)
    assert values(projector, "K081", asked(now=early)) == []


@pytest.mark.parametrize(
    ("grain", "comparison", "starts_on", "then"),
    [
        (KpiGrain.DAY, KpiComparison.PREVIOUS_PERIOD, date(2025, 3, 1), (date(2025, 2, 28), date(2025, 2, 28))),
        (KpiGrain.WEEK, KpiComparison.PREVIOUS_PERIOD, date(2025, 3, 10), (date(2025, 3, 3), date(2025, 3, 9))),
        (KpiGrain.MONTH, KpiComparison.PREVIOUS_PERIOD, date(2025, 3, 1), (date(2025, 2, 1), date(2025, 2, 28))),
        (KpiGrain.TOTAL, KpiComparison.PREVIOUS_PERIOD, date(2025, 3, 1), (date(2025, 1, 29), date(2025, 2, 28))),
        (KpiGrain.MONTH, KpiComparison.YEAR_ON_YEAR, date(2025, 3, 1), (date(2024, 3, 1), date(2024, 3, 31))),
        (KpiGrain.WEEK, KpiComparison.YEAR_ON_YEAR, date(2025, 3, 10), (date(2024, 3, 11), date(2024, 3, 17))),
        (KpiGrain.DAY, KpiComparison.YEAR_ON_YEAR, date(2025, 3, 5), (date(2024, 3, 5), date(2024, 3, 5))),
    ],
)
def test_a_window_is_compared_with_the_one_before_or_a_year_before(
    grain: KpiGrain, comparison: KpiComparison, starts_on: date, then: tuple[date, date]
) -> None:
    question = asked(grain, of=(date(2025, 3, 1), date(2025, 3, 31)))
    start = kpis.earlier_start(starts_on, question, comparison)

    assert (start, kpis.ends_on(start, kpis.earlier(question, comparison))) == then


def test_numbers_are_shown_exactly_and_rounded_half_even() -> None:
    per_order, ratio = KPIS["K021"], KPIS["K012"]
    assert per_order.unit is Unit.MONEY
    assert str(kpis.shown(Fraction(1000, 3), per_order, "GBP")) == "3.333333"
    assert str(kpis.shown(Fraction(1000, 3), per_order, "JPY")) == "333.3333"
    assert str(kpis.shown(Fraction(1, 8), ratio, None)) == "0.125"
    assert str(kpis.rounded(Fraction(5, 2), 0)) == "2"
    assert kpis.shown(None, ratio, None) is None


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("[K001]", "[X1]", "a code is"),
        ('unit = "COUNT"', 'unit = "APPLES"', "APPLES"),
        ('of = ["page_views"]', 'of = ["page_looks"]', "no measure page_looks"),
        ('projection = "traffic"', 'projection = "trafic"', "no projection trafic"),
        ('counts = "only"', 'counts = "guess"', "counts is one of"),
        ("by_currency = true\n", "", "by_currency"),
        ('factors = ["K002"', 'factors = ["K999"', "K999"),
        ('slices = ["channel", "sku", "campaign"]', 'slices = ["moon"]', "slices are of"),
        ("version = 1", "version = 0", "versions start at 1"),
    ],
)
def test_a_definition_that_does_not_hold_is_refused(tmp_path: Path, old: str, new: str, says: str) -> None:
    folder = resources.path("projections")
    for name in ("traffic", "kpi_facts"):
        (tmp_path / name).symlink_to(folder / name)
    text = (folder / "kpis.toml").read_text("utf-8")
    assert old in text
    (tmp_path / "kpis.toml").write_text(text.replace(old, new), "utf-8")

    with pytest.raises(KpiFileError, match=says):
        kpis.load(tmp_path)


def test_every_figure_says_everything_in_both_languages() -> None:
    for kpi in KPIS.values():
        assert kpi.name and kpi.question and kpi.formula and kpi.null_rule
        assert any("\u4e00" <= letter <= "\u9fff" for letter in kpi.question_zh), kpi.code
        assert kpi.name_zh, kpi.code
