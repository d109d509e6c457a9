"""Key figures: defined well, right by hand, and in every cell what their own formula makes of the rows behind it."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from opscore import kpis, resources
from opscore.domain.policies import Points
from opscore.kpis import Asked, Cell, KpiComparison, KpiFileError, KpiGrain, Side, Unit
from opscore.log.event_types import event_types
from opscore.projector import Projector, read_all
from tests.benchmarks import generate
from tests.projections.logs import Doings, Log
from tests.projections.test_figures import busy

KPIS = kpis.load()
SOURCES = sorted(set().union(*(kpis.sources(kpi, KPIS) for kpi in KPIS.values())))
FROM, TO = date(2024, 12, 1), date(2025, 12, 31)
LATE = datetime(2030, 1, 1, tzinfo=UTC)


def asked(grain: KpiGrain = KpiGrain.TOTAL, *, of: tuple[date, date] = (FROM, TO), **more: Any) -> Asked:
    return Asked(**{"from_day": of[0], "to_day": of[1], "grain": grain, "store_ids": None, "now": LATE, **more})


def counted(side: Side, rows: Sequence[Mapping[str, Any]], window: Asked) -> Fraction | None:
    """Count rows as the definition says, without SQL; the rows of several parts are sums."""
    amounts = sorted(Fraction(row["amount"]) for row in rows)
    people: dict[UUID, set[date]] = defaultdict(set)
    orders: dict[UUID, set[UUID]] = defaultdict(set)
    for row in rows:
        if row["who"] is not None:
            people[row["who"]].add(row["day"])
            orders[row["who"]].add(row["order_id"])
    match side.counts:
        case "sum" | "balance":
            return sum(amounts, Fraction(0))
        case "daily_mean":
            days = (window.to_day - window.from_day).days + 1
            stood = sum(
                Fraction(row["amount"]) * ((window.to_day - max(row["day"], window.from_day)).days + 1) for row in rows
            )
            return stood / days
        case "only":
            return amounts[0] if len(amounts) == 1 else None
        case "orders":
            return Fraction(len({row["order_id"] for row in rows} - {None}))
        case "people":
            return Fraction(len(people))
        case "people_again":
            return Fraction(sum(len(days) > 1 for days in people.values()))
        case "concentration":
            channels: dict[str, Fraction] = defaultdict(Fraction)
            for row in rows:
                channels[row["channel"]] += Fraction(row["amount"])
            total = sum(channels.values())
            return sum(amount**2 for amount in channels.values()) / total**2 if total else None
        case "people_of_two" | "people_of_three":
            most = 2 if side.counts == "people_of_two" else 3
            return Fraction(sum(len(own - {None}) >= most for own in orders.values()))
        case "median" | "p90":
            share = Fraction(1, 2) if side.counts == "median" else Fraction(9, 10)
            return next(value for at, value in enumerate(amounts, 1) if Fraction(at, len(amounts)) >= share)
    raise AssertionError(side.counts)


def rows_behind(
    projector: Projector, kpi: kpis.Kpi, parts: Sequence[Side], window: Asked, key: kpis.Key, size: int
) -> list[dict[str, Any]]:
    """Return all rows behind a side of a cell, page by page."""
    rows: list[dict[str, Any]] = []
    while True:
        after = (rows[-1]["position"], rows[-1]["place"]) if rows else (0, 0)
        page = kpis.facts(projector, kpi, parts, window, hour=key[1], currency=key[2], after=after, limit=size)
        rows += page
        if len(page) < size:
            return rows


def build(projector: Projector) -> Projector:
    """Build every projection that a key figure rests on."""
    for name in SOURCES:
        projector.rebuild(name)
    return projector


@pytest.fixture
def trade(log: Log, projector: Projector) -> Projector:
    """A log in which everything happens, over two stores, two currencies and changes of time zone."""
    world = busy(log, 600, seed=8, minutes=200)
    for kind in range(7):
        world.campaign_fact(0, kind, 20)
    # One article is in two campaigns, one after the other.
    for kind in (2, 7, 0, 3, 4):
        world.tell(0, kind)
    world.record("CampaignEnded", world.campaigns[0], 0)
    world.record("CampaignStarted", world.campaigns[1], 0)
    for customer, source in enumerate(("granted", "paid", "spend")):
        world.store_fact(customer, 3)
        world.customer_fact(customer, 2, 50)
        world.record(
            "MembershipJoined", world.customers[customer], customer % 2, source=source, tier="gold", policy_version=1
        )
    order = sold(world, 0, 2)
    for step in (world.confirm, world.ship, world.ship, world.deliver, world.deliver, world.send_back):
        world.pass_time(60)
        step(order)
    log.append(world)
    return build(projector)


def check_cells(projector: Projector, question: dict[str, Any], most: int) -> dict[str, int]:
    """Make cells of every figure again from the rows behind them; return how many cells each figure had."""
    opened: dict[str, int] = defaultdict(int)
    for kpi in KPIS.values():
        if kpi.factors:
            continue
        for grain in kpi.grains:
            whole = asked(grain, **question)
            found = list(kpis.cells(projector, KPIS, kpi, whole).items())
            for key, cell in found[:: max(1, len(found) // most)]:
                window = asked(grain, **{**question, "of": (key[0], kpis.ends_on(key[0], whole))})
                made: dict[str, Fraction | None] = {}
                for name, parts in kpis.sides(kpi).items():
                    rows = rows_behind(projector, kpi, parts, window, key, 40)
                    assert [(row["position"], row["place"]) for row in rows] == sorted(
                        {(row["position"], row["place"]) for row in rows}
                    ), f"{kpi.code}: a row twice or out of order"
                    assert all(row["position"] <= window.as_of for row in rows)
                    made[name] = counted(parts[0], rows, window) if rows else None
                top, bottom = made["numerator"], made.get("denominator")
                if "denominator" in made:
                    if top is None and kpi.numerator[0].counts not in kpis.NEVER_ZERO:
                        top = Fraction(0)
                    enough = bottom and bottom >= kpi.at_least
                    value = top / bottom - kpi.minus if top is not None and bottom and enough else None
                else:
                    value = top
                assert cell == Cell(value, top, bottom), (kpi.code, grain, key)
                opened[kpi.code] += 1
    return opened


def test_every_cell_of_every_figure_is_its_own_formula_over_the_rows_behind_it(trade: Projector) -> None:
    opened = check_cells(trade, {}, 2)
    never = {code for code, kpi in KPIS.items() if not kpi.factors} - set(opened)
    # The generator reports no addresses; every other figure has cells in such a log.
    assert never == {"K003"}


def every_cell(projector: Projector, question: dict[str, Any]) -> dict[tuple[str, KpiGrain], dict[kpis.Key, Cell]]:
    """Return all cells of every figure at its finest and at its coarsest grain."""
    return {
        (kpi.code, grain): kpis.cells(projector, KPIS, kpi, asked(grain, **question))
        for kpi in KPIS.values()
        for grain in {kpi.grains[0], kpi.grains[-1]}
    }


def test_a_figure_as_of_a_position_is_what_it_was_when_the_log_ended_there(log: Log, projector: Projector) -> None:
    world, chance = log.world(customers=12), random.Random(4)
    doing = Doings(world)

    def go_on(actions: int) -> int:
        for _ in range(actions):
            doing.do(chance.randrange(doing.COUNT), chance.randrange(9), chance.randrange(9), chance.randrange(300))
        return log.append(world)

    then = go_on(450)
    build(projector)
    was = every_cell(projector, {})
    go_on(250)
    projector.catch_up()

    again = every_cell(projector, {"as_of": then})
    assert {what: cells for what, cells in again.items() if cells != was[what]} == {}
    now = every_cell(projector, {})
    # Late reports, mergers, refunds and shipments change what is known of days that are over.
    assert sum(cells != was[what] for what, cells in now.items()) > len(KPIS)
    check_cells(projector, {"as_of": then}, 1)


def test_products_and_quotients_of_figures_are_made_of_their_cells(trade: Projector) -> None:
    made = 0
    for kpi in KPIS.values():
        for grain in kpi.grains if kpi.factors else ():
            question = asked(grain)
            parts = {code: kpis.cells(trade, KPIS, KPIS[code], question) for code in (*kpi.factors, *kpi.divisors)}
            for key, cell in kpis.cells(trade, KPIS, kpi, question).items():
                value: Fraction | None = Fraction(1)
                for code, cells in parts.items():
                    there = [other.value for at, other in cells.items() if at[:2] == key[:2]]
                    one = there[0] if len(there) == 1 else None
                    if value is None or one is None or (code in kpi.divisors and not one):
                        value = None
                    else:
                        value = value / one if code in kpi.divisors else value * one
                assert cell.value == (None if value is None else value - kpi.minus), (kpi.code, grain, key)
                made += 1
    assert made > 10


def test_gmv_orders_and_buyers_are_those_of_the_daily_figures(log: Log, projector: Projector) -> None:
    log.fill(1_500)
    trade = build(projector)
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
    return build(projector)


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
            "TrafficReported",
            stream,
            0,
            **figures(channel=channel, page_views=views, visitors=visitors, ip=visitors, exits=visitors // 3),
        )
    built(log, projector, world)

    assert values(projector, "K001", asked()) == [30]
    assert values(projector, "K002", asked()) == [None], "people of two channels are not added"
    assert values(projector, "K002", asked(channel="search")) == [4]
    assert values(projector, "K003", asked()) == [10]
    assert values(projector, "K005", asked()) == [Fraction(3, 30)]
    assert values(projector, "K015", asked()) == [Fraction(4 * 4 + 6 * 6, 10 * 10)]

    world.record("TrafficReported", stream, 0, **figures(page_views=29, visitors=9))
    world.record("TrafficReported", stream, 0, **figures(page_views=28, visitors=8, revision=3))
    world.record("TrafficReported", stream, 0, **figures(page_views=27, visitors=7, revision=2))
    log.append(world)
    projector.catch_up()

    assert values(projector, "K001", asked()) == [28]
    assert values(projector, "K002", asked()) == [8]
    assert values(projector, "K015", asked()) == [Fraction(52, 100)], "the whole is no channel"
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
        ('counts = "only"', 'counts = "balance"', "not known by the hour"),
        ("by_currency = true\n", "", "by_currency"),
        ('factors = ["K002"', 'factors = ["K999"', "K999"),
        ('slices = ["channel", "sku", "campaign"]', 'slices = ["moon"]', "slices are of"),
        ("version = 1", "version = 0", "versions start at 1"),
    ],
)
def test_a_definition_that_does_not_hold_is_refused(tmp_path: Path, old: str, new: str, says: str) -> None:
    folder = resources.path("projections")
    for name in SOURCES:
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


def test_two_records_of_one_person_count_once_from_the_position_of_the_merger_on(
    log: Log, projector: Projector
) -> None:
    world = log.world()
    sold(world, 0, 1)
    world.pass_time(24 * 60)
    sold(world, 2, 1)
    sold(world, 4, 1)
    before = world.position
    world.merge_customers(2, 0, 0)
    world.merge_customers(4, 2, 0)
    built(log, projector, world)

    def counts(**more: Any) -> dict[str, Fraction | None]:
        return {code: values(projector, code, asked(**more))[0] for code in ("K020", "K031", "K031A", "K034", "K030")}

    # Who was 0 became 2, and who was 2 became 4: three buyers at first, then one who began once and came back.
    assert counts(as_of=before) == {"K020": 90, "K031": 3, "K031A": 3, "K034": 0, "K030": 8}
    assert counts() == {"K020": 270, "K031": 1, "K031A": 1, "K034": 1, "K030": 6}
    days = kpis.cells(projector, KPIS, KPIS["K031"], asked(KpiGrain.DAY))
    assert [(key[0].day, cell.value) for key, cell in days.items()] == [(1, 1)]
    cohorts = projector.run_query("kpi_facts", "cohorts", store_ids=None)
    assert [(row["months_later"], row["customers"]) for row in cohorts] == [(0, 1)]


def test_a_new_buyer_of_a_store_is_none_of_the_operator_who_bought_in_another_store_before(
    log: Log, projector: Projector
) -> None:
    world = log.world()
    sold(world, 0, 1, sku=0)
    world.pass_time(60)
    sold(world, 0, 1, sku=1)
    sold(world, 2, 1, sku=1)
    built(log, projector, world)
    london, shanghai = world.stores

    def new(code: str, *stores: UUID) -> list[Fraction | None]:
        return values(projector, code, asked(store_ids=list(stores)))

    assert (new("K031", london), new("K031", shanghai), new("K031", london, shanghai)) == ([1], [2], [2])
    assert (new("K031A", london), new("K031A", shanghai), new("K031A", london, shanghai)) == ([1], [1], [2])


def test_days_on_which_clocks_change_have_their_own_hours(log: Log, projector: Projector) -> None:
    world = log.world()
    spring, autumn = datetime(2025, 3, 30, tzinfo=UTC), datetime(2025, 10, 26, tzinfo=UTC)

    def at(moment: datetime) -> None:
        world.pass_time(int((moment - world.now).total_seconds()) // 60)
        sold(world, 0, 1)

    at(spring - timedelta(minutes=1))
    at(spring)
    at(spring + timedelta(minutes=59))
    at(spring + timedelta(hours=1))
    at(spring + timedelta(hours=22, minutes=59))
    at(spring + timedelta(hours=23))
    at(autumn - timedelta(hours=1, minutes=1))
    at(autumn - timedelta(hours=1))
    at(autumn + timedelta(minutes=30))
    at(autumn + timedelta(hours=1, minutes=30))
    at(autumn + timedelta(hours=23, minutes=59))
    at(autumn + timedelta(hours=24))
    world.shelf_fact(0, 1)
    built(log, projector, world)

    def orders(grain: KpiGrain, day: date) -> dict[int | None, Fraction | None]:
        around = asked(grain, of=(day, day), store_ids=[world.stores[0]])
        return {key[1]: cell.value for key, cell in kpis.cells(projector, KPIS, KPIS["K019"], around).items()}

    # In London the 30th of March has 23 hours (none from 1 to 2), the 26th of October 25 (two from 1 to 2).
    assert orders(KpiGrain.DAY, date(2025, 3, 29)) == {None: 1}
    assert orders(KpiGrain.DAY, date(2025, 3, 30)) == {None: 4}
    assert orders(KpiGrain.HOUR, date(2025, 3, 30)) == {0: 2, 2: 1, 23: 1}
    assert orders(KpiGrain.DAY, date(2025, 3, 31)) == {None: 1}
    assert orders(KpiGrain.DAY, date(2025, 10, 25)) == {None: 1}
    assert orders(KpiGrain.DAY, date(2025, 10, 26)) == {None: 4}
    assert orders(KpiGrain.HOUR, date(2025, 10, 26)) == {0: 1, 1: 2, 23: 1}
    assert orders(KpiGrain.DAY, date(2025, 10, 27)) == {None: 1}


def test_time_on_sale_and_sold_out_is_counted_in_the_seconds_of_the_stores_days(log: Log, projector: Projector) -> None:
    world = log.world()
    world.pass_time(int((datetime(2025, 3, 29, 12, tzinfo=UTC) - world.now).total_seconds()) // 60)
    world.shelf_fact(0, 1)
    world.pass_time(36 * 60)
    world.shelf_fact(0, 3)
    world.pass_time(12 * 60)
    world.shelf_fact(0, 1)
    built(log, projector, world)
    question = asked(KpiGrain.DAY, of=(date(2025, 3, 29), date(2025, 3, 31)), now=world.now + timedelta(hours=6))
    days = kpis.cells(projector, KPIS, KPIS["K056"], question)

    # Listed at noon, on the day of 23 hours wholly, sold out from 1 o'clock of the next for 12 hours, then listed.
    assert [(key[0].day, cell.numerator, cell.denominator) for key, cell in days.items()] == [
        (29, 0, 12 * 3600), (30, 0, 23 * 3600), (31, 12 * 3600, 19 * 3600),
    ]  # fmt: skip
    assert values(projector, "K044", question) == [1, 1, 1]
    assert values(projector, "K045", asked()) == [1]


def test_stock_figures_stand_at_the_end_of_each_day(log: Log, projector: Projector) -> None:
    world = log.world()
    world.receive(0, 10, 1000)
    world.pass_time(24 * 60)
    order = sold(world, 0, 4)
    world.confirm(order)
    world.ship(order)
    world.ship(order)
    world.pass_time(2 * 24 * 60)
    world.receive(0, 5, 3000)
    built(log, projector, world)
    sku, days = world.skus[0], (date(2025, 1, 1), date(2025, 1, 5))

    def by_day(code: str) -> list[Fraction | None]:
        return values(projector, code, asked(KpiGrain.DAY, of=days, sku_id=sku))

    def total(code: str, **more: Any) -> list[Fraction | None]:
        return values(projector, code, asked(of=days, sku_id=sku, **more))

    assert by_day("K050") == by_day("K050H") == [10, 6, 6, 11, 11]
    assert by_day("K060") == [1000, 600, 600, 2100, 2100]
    assert by_day("K098C") == [400]
    assert total("K051") == [Fraction(400 * 5, 1000 + 600 + 600 + 2100 + 2100)]
    # 4 sold in 5 days with stock; 11 are left. 6 of them came 4 days before the end, 5 the day before.
    assert total("K022D") == [Fraction(4, 5)]
    assert total("K052") == [Fraction(11 * 5, 4)]
    assert total("K054D") == [Fraction(6 * 4 + 5, 11)]
    assert total("K054") == [0]
    year = asked(of=(date(2025, 1, 1), date(2025, 12, 31)), sku_id=sku)
    assert values(projector, "K054", year) == [1]
    assert total("K047") == [Fraction(4, 15)]
    assert total("K098") == [360 - 400]
    assert total("K098R") == [Fraction(-40, 360)]


def test_what_a_campaign_brought_and_cost_is_set_against_what_was_expected(log: Log, projector: Projector) -> None:
    world = log.world()
    world.receive(0, 100, 500)
    for _ in range(4):
        sold(world, 0, 1)
        world.pass_time(7 * 24 * 60)
    campaign = world.campaigns[0]
    moment = {"starts_at": world.now, "ends_at": world.now + timedelta(days=1)}
    world.record("CampaignScheduled", campaign, 0, warmup_from=None, **moment)
    expected = {"visitors": 10, "conversion": "0.5", "units": "4", "gmv_minor": 300, "currency": "GBP"}
    ads = {"day": "2025-01-29", "channel": "search", "currency": "GBP", "impressions": 200}
    for name, fields in (
        ("ForecastSet", expected),
        ("AdSpendRecorded", {**ads, "cost_minor": 50, "clicks": 7, "revision": 1}),
        ("AdSpendRecorded", {**ads, "cost_minor": 40, "clicks": 8, "revision": 2}),
        ("AdSpendRecorded", {**ads, "cost_minor": 99, "clicks": 9, "revision": 1}),
    ):
        shape = msgspec.convert(fields, event_types()[name].shape, strict=False)
        world.record(name, campaign, 0, **generate.vars_of(shape))
    spent = {"category": "labour", "amount_minor": 30, "currency": "GBP", "campaign_id": campaign}
    world.record("ExpenseRecorded", world.stores[0], 0, **spent)
    order = world.place(0, [(0, 6)], campaign=0)
    for step in (world.pay, world.confirm, world.ship, world.ship):
        step(order)
    built(log, projector, world)
    days = (date(2025, 1, 29), date(2025, 1, 29))

    def figure(code: str) -> list[Fraction | None]:
        return values(projector, code, asked(of=days, campaign_id=campaign))

    # Six units at 90 pence that cost 50 each; 40 for advertising, 30 for labour. Before, 90 pence on each such weekday.
    codes = ("K009", "K063", "K063G", "K064", "K065", "K072", "K073", "K073R", "K074", "K074O")
    assert {code: figure(code) for code in codes} == {
        "K009": [Fraction(8, 200)], "K063": [Fraction(1, 2)], "K063G": [Fraction(540 - 300, 300)],
        "K064": [540 - 300 - 40 - 30], "K065": [Fraction(540 - 300 - 30, 40)], "K072": [40],
        "K073": [Fraction(540 - 300, 40) - 1], "K073R": [Fraction(540, 40)], "K074": [5],
        "K074O": [40],
    }  # fmt: skip
    assert values(projector, "K062", asked(of=days)) == [540 - 90]
    assert values(projector, "K099C", asked(of=days)) == [540 - 300]
    assert values(projector, "K099", asked(of=days)) == [0]


def test_retention_asks_who_is_active_so_many_days_after_registering(log: Log, projector: Projector) -> None:
    world = log.world(customers=4)
    world.pass_time(24 * 60)
    sold(world, 0, 1)
    sold(world, 1, 1, sku=1)
    world.pass_time(6 * 24 * 60)
    sold(world, 0, 1)
    built(log, projector, world)
    question = asked(of=(date(2025, 1, 1), date(2025, 1, 1)))

    assert values(projector, "K033", question) == [Fraction(1, 2)]
    assert values(projector, "K033W", question) == [Fraction(1, 4)]
    assert values(projector, "K033M", question) == [0]
    early = asked(of=(date(2025, 1, 1), date(2025, 1, 1)), now=world.now)
    assert values(projector, "K033W", early) == []
    assert values(projector, "K032", asked(KpiGrain.DAY)) == [2, 1]


def test_points_are_open_as_long_as_they_are_neither_spent_nor_taken_back_nor_lapsed(
    log: Log, projector: Projector
) -> None:
    world = log.world()
    for kind, amount in ((2, 100), (3, 30), (4, 10), (5, 5), (6, 7)):
        world.customer_fact(0, kind, amount)
    # Two records of one person: what is open goes from one to the other, and is no more and no less.
    world.merge_customers(1, 0, 60)
    built(log, projector, world)

    told = {code: values(projector, code, asked()) for code in ("K038", "K038E", "K038S", "K038R", "K038X")}

    assert told == {"K038": [68], "K038E": [100], "K038S": [20], "K038R": [5], "K038X": [7]}


def test_a_parcel_is_on_its_way_until_it_arrives_and_freight_is_set_against_what_couriers_cost(
    log: Log, projector: Projector
) -> None:
    world = log.world()
    for minutes in (60, 300, 90):
        order = world.place(0, [(0, 1)])
        for step in (world.pay, world.confirm, world.ship, world.ship):
            step(order)
        world.pass_time(minutes)
        world.deliver(order)
    charged = sum(order.freight_minor for order in world.orders)
    for category, amount in (("freight", charged - 1), ("rent", 900)):
        world.record("ExpenseRecorded", world.stores[0], 0, category=category, amount_minor=amount, currency="GBP")
    built(log, projector, world)

    assert values(projector, "K084", asked()) == [90 * 60]
    assert values(projector, "K085", asked()) == [1]
    assert values(projector, "K085R", asked()) == [Fraction(charged - 1, 3 * 90)]


def test_a_return_is_over_when_it_is_declined_or_called_off(log: Log, projector: Projector) -> None:
    world = log.world()
    for declined in (True, False):
        order = world.place(0, [(0, 1)])
        for step in (world.pay, world.confirm, world.ship, world.ship):
            step(order)
        world.keep_goods(order, declined=declined)
    built(log, projector, world)

    assert values(projector, "K088", asked()) == [0]


def test_a_coupon_that_came_back_was_not_used_and_each_customer_counts_once(log: Log, projector: Projector) -> None:
    world = log.world()
    campaign = world.campaigns[0]

    def coupon(number: int, customer: int, *facts: str) -> None:
        for name in facts:
            fields: dict[str, Any] = {"coupon_id": world.made_id("coupon", number)}
            if name == "CouponGranted":
                fields |= {"code": f"C{number}", "currency": "GBP", "off_minor": 100, "campaign_id": campaign}
            else:
                fields |= {"order_id": world.made_id("order", number)}
            shape = msgspec.convert(fields, event_types()[name].shape, strict=False)
            world.record(name, world.customers[customer], 0, **generate.vars_of(shape))

    coupon(1, 0, "CouponGranted", "CouponUsed")
    coupon(2, 0, "CouponGranted", "CouponUsed")
    coupon(3, 2, "CouponGranted", "CouponUsed", "CouponReturned")
    coupon(4, 4, "CouponGranted", "CouponUsed", "CouponReturned", "CouponUsed")
    coupon(5, 6, "CouponGranted")
    used = world.position - 4
    built(log, projector, world)

    def figures(**more: Any) -> list[Fraction | None]:
        codes = ("P003", "P004", "P005", "P006")
        return [values(projector, code, asked(campaign_id=campaign, **more))[0] for code in codes]

    assert figures() == [4, 3, 2, Fraction(1, 2)]
    # Before the fourth coupon came back it was on its first order.
    assert figures(as_of=used + 1) == [3, 3, 2, Fraction(2, 3)]


def test_second_and_third_orders_make_a_conversion_each_and_guests_and_refunds_none(
    log: Log, projector: Projector
) -> None:
    world = log.world()
    # Three orders of one customer, two of another on the same day, one and a refunded one of a third, two of guests.
    for customer in (0, 0, 0, 2, 2, 4, -1, -1):
        sold(world, customer, 1)
    world.refund(sold(world, 4, 1))
    built(log, projector, world)

    assert values(projector, "K013", asked()) == [Fraction(2, 3)]
    assert values(projector, "K013T", asked()) == [Fraction(1, 3)]
    assert values(projector, "K034", asked()) == [0]


def test_members_are_counted_by_tier_and_two_records_of_one_person_are_one_of_them(
    log: Log, projector: Projector
) -> None:
    world = log.world()
    for customer in (0, 2):
        world.customer_fact(customer, 0, 1)
    world.record("MembershipJoined", world.customers[4], 0, source="granted", tier="gold", policy_version=1)
    world.pass_time(24 * 60)
    world.customer_fact(2, 1, 0)
    before = world.position
    world.merge_customers(6, 0, 10)
    world.merge_customers(4, 2, 10)
    sold(world, 6, 1)
    sold(world, 2, 1)
    built(log, projector, world)

    def members(tier: str | None = None, **more: Any) -> list[Fraction | None]:
        days = (date(2025, 1, 1), date(2025, 1, 2))
        return values(projector, "K037", asked(KpiGrain.DAY, of=days, tier=tier, **more))

    # A silver member moved to another tier; the record of one was given up for one that was none, that of the other
    # for a member's, who takes over the tier that the log says.
    assert members() == [3, 2]
    assert members("silver") == [2, 2]
    assert members("gold") == [1, 0]
    assert members("tier0") == [0]
    assert members(as_of=before) == [3, 3]
    assert members("tier0", as_of=before) == [1]
    assert [values(projector, code, asked()) for code in ("K037E", "K037G", "K037P")] == [[2], [1], []]
    assert values(projector, "K037J", asked()) == [Fraction(2, 2)]


def test_open_points_are_worth_what_the_store_takes_them_for_at_the_end_of_the_day(
    log: Log, projector: Projector
) -> None:
    world = log.world()
    world.store_fact(0, 0)

    def take_points_for(value_minor: int, days: int) -> None:
        world.record(
            "PolicySet", world.stores[0], 0, kind="points", policy_version=1, params={"value_minor": value_minor},
            effective_from=world.now + timedelta(days=days),
        )  # fmt: skip

    world.customer_fact(0, 2, 100)
    take_points_for(5, 2)
    world.pass_time(24 * 60)
    world.customer_fact(0, 3, 30)
    before = world.position
    world.pass_time(24 * 60)
    world.customer_fact(0, 2, 10)
    take_points_for(0, 2)
    world.back_date(2 * 24 * 60)
    world.customer_fact(0, 2, 1)
    built(log, projector, world)
    question = asked(KpiGrain.DAY, of=(date(2025, 1, 1), date(2025, 1, 5)))

    # One unit a point from the start, five from the third day on, nothing from the fifth; a point came late.
    assert values(projector, "K038", question) == [101, 71, 81, 81, 81]
    assert values(projector, "K039", question) == [101, 71, 5 * 81, 5 * 81, 0]
    assert values(projector, "K039", replace(question, as_of=before)) == [100, 70, 350, 350, 350]


def test_a_point_is_worth_in_figures_what_its_policy_says_from_the_start() -> None:
    assert read_all(resources.path("projections"))["kpi_facts"].rules["point_value_minor"] == Points().value_minor


def test_referred_customers_have_paid_or_not(log: Log, projector: Projector) -> None:
    world = log.world()
    for customer in (1, 2, 4):
        world.tell(customer, 3)
    world.pass_time(24 * 60)
    sold(world, 2, 1)
    sold(world, 2, 1)
    sold(world, 0, 1)
    built(log, projector, world)

    assert values(projector, "K040", asked()) == [Fraction(1, 3)]
    assert values(projector, "K040", asked(KpiGrain.DAY)) == [Fraction(1, 3)]
    assert values(projector, "K040", asked(store_ids=[world.stores[0]])) == [Fraction(1, 2)]


def test_an_article_rises_against_the_seven_days_before_if_enough_was_sold_then(log: Log, projector: Projector) -> None:
    world = log.world()
    for units in (4, 0, 1, 0, 0, 0, 0, 8, 0, 2):
        if units:
            sold(world, 0, units)
        world.pass_time(24 * 60)
    built(log, projector, world)
    question = asked(KpiGrain.DAY, of=(date(2025, 1, 7), date(2025, 1, 11)), sku_id=world.skus[0])
    cells = kpis.cells(projector, KPIS, KPIS["K048"], question)

    assert [(key[0].day, cell.numerator, cell.denominator, cell.value) for key, cell in cells.items()] == [
        (7, 5, None, None), (8, 9, 4, None), (9, 9, 4, None), (10, 10, 5, 2), (11, 10, 5, 2),
    ]  # fmt: skip


def test_a_price_check_passes_at_the_first_look_or_not_at_all(log: Log, projector: Projector) -> None:
    world = log.world()
    for campaign, kind in ((0, 0), (1, 1), (1, 0), (0, 0)):
        world.tell(campaign, kind)
    built(log, projector, world)

    assert values(projector, "K070", asked()) == [Fraction(1, 4)]
    assert values(projector, "K070", asked(campaign_id=world.campaigns[1])) == [0]


def test_campaigns_of_an_article_and_of_a_store_leave_days_between_them(log: Log, projector: Projector) -> None:
    world = log.world(stores=1)
    # The same article in both.
    for kind in (2, 7):
        world.tell(0, kind)
    for campaign, kind, days in ((0, 0, 2), (0, 3, 3), (1, 0, 1), (1, 3, 0)):
        world.campaign_fact(campaign, kind, 1)
        world.pass_time(days * 24 * 60)
    built(log, projector, world)
    days = asked(of=(date(2025, 1, 1), date(2025, 1, 10)))

    # One from the 1st to the 3rd, the other from the 6th to the 7th: at the end of three days one ran.
    assert values(projector, "K071", days) == [3]
    assert values(projector, "K071S", days) == values(projector, "K071S", replace(days, sku_id=world.skus[0]))
    assert values(projector, "K071S", days) == [Fraction(3, 10)]
    assert values(projector, "K071S", replace(days, sku_id=world.skus[1])) == []


def test_returns_are_told_apart_by_the_reason_that_was_given(log: Log, projector: Projector) -> None:
    world = log.world()
    for units in (3, 1):
        order = sold(world, 0, units)
        for step in (world.confirm, world.ship, world.ship):
            step(order)
        if units == 1:
            world.keep_goods(order, declined=True)
        else:
            world.send_back(order)
    built(log, projector, world)

    # One unit for being late, three for their quality.
    assert values(projector, "K089", asked(reason="late", sku_id=world.skus[0])) == [Fraction(1, 4)]
    assert values(projector, "K089", asked(reason="wrong_item")) == [0]
    assert values(projector, "K089C", asked()) == [2]
    assert values(projector, "K089C", asked(reason="late")) == [1]


def test_a_sale_is_final_so_long_after_the_payment(log: Log, projector: Projector) -> None:
    world = log.world()
    order = sold(world, 0, 1)
    for step in (world.confirm, world.ship, world.ship, world.deliver, world.deliver):
        world.pass_time(60)
        step(order)
    built(log, projector, world)

    assert values(projector, "K107", asked()) == [5 * 3600]
