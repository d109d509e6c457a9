"""Every cell of every key figure is what its own formula makes of its rows: at each grain, slice, position and rule."""

from __future__ import annotations

import random
import re
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from opscore import kpis, resources
from opscore.database import Database
from opscore.kpis import KpiGrain, Side
from opscore.log.event_types import event_types
from opscore.projector import Projector, counting, read_all
from opscore.settings import Settings
from tests.benchmarks import generate
from tests.conftest import MASTER_KEY
from tests.projections.kpi_cells import (
    COUNTED,
    FROM,
    KPIS,
    SOURCES,
    TO,
    asked,
    build,
    check_cells,
    every_cell,
    made_again,
    rows_behind,
    slices_of,
    sold,
)
from tests.projections.logs import Doings, Log
from tests.projections.test_figures import busy


@pytest.fixture(scope="module")
def trade(template: str, copied: Callable[[str], AbstractContextManager[str]]) -> Iterator[Projector]:
    """A log in which everything happens, over two stores, two currencies and changes of time zone; it is only read."""
    with copied(template) as url:
        settings = Settings(_env_file=None, database_url=url, master_key=MASTER_KEY)
        with Database.open(settings) as database:
            everything_happens(Log(database))
            yield build(Projector(database))


def everything_happens(log: Log) -> None:
    """Write that log."""
    world = busy(log, 600, seed=9, minutes=200)
    for kind in range(7):
        world.campaign_fact(0, kind, 20)
    # One article is in two campaigns, one after the other.
    for kind in (2, 8, 0, 3, 4):
        world.tell(0, kind)
    world.record("CampaignEnded", world.campaigns[0], 0)
    world.record("CampaignStarted", world.campaigns[1], 0)
    for customer, source in enumerate(("granted", "paid", "spend")):
        world.store_fact(customer, 3)
        world.customer_fact(customer, 2, 50)
        world.record(
            "MembershipJoined", world.customers[customer], customer % 2, source=source, tier="gold", policy_version=1
        )
    world.customer_fact(0, 5, 20)  # Points are taken back.
    campaign = world.campaigns[0]
    world.record(
        "CustomerRegistered", world.made_id("customer", 99), 0, store_id=world.stores[0], channel="web",
        external_reference="C99", region="north", birth_year=1980, campaign_id=campaign,
    )  # fmt: skip
    coupon = {"coupon_id": world.made_id("coupon", 99), "code": "C99", "currency": "GBP", "off_minor": 100}
    for name, fields in (
        ("CouponGranted", {**coupon, "campaign_id": campaign}),
        ("CouponUsed", {"coupon_id": coupon["coupon_id"], "order_id": world.orders[0].id}),
    ):
        shape = msgspec.convert(fields, event_types()[name].shape, strict=False)
        world.record(name, world.customers[0], 0, **generate.vars_of(shape))
    for views, kind in ((90, 8), (60, 7), (91, 8), (92, 9), (93, 3)):
        world.report_traffic(0, kind, views)
    for batch in ("B1", "B2"):
        received = {
            "location_id": world.locations[0][0], "batch": batch, "quantity": 9, "unit_cost": "0.5", "currency": "GBP",
            "cost_assumed": False,
        }  # fmt: skip
        shape = msgspec.convert(received, event_types()["StockReceived"].shape, strict=False)
        world.record("StockReceived", world.skus[0], 0, **generate.vars_of(shape))
    world.customers.append(world.made_id("customer", 98))
    world.pay(world.place(len(world.customers) - 1, [(0, 1)], campaign=0))
    world.buy(0, 0, 4)
    found = {"location_id": world.locations[0][0], "batch": "B1", "accepted": Decimal(2), "failed": Decimal(1)}
    supplier = world.court(world.sku_store[0], 0, 0)
    world.record("BatchInspected", world.skus[0], world.sku_store[0], supplier_id=supplier, **found)
    in_campaign = world.place(0, [(0, 2)], campaign=0)
    for step in (world.pay, world.confirm, world.ship, world.ship):
        step(in_campaign)
    world.assist(in_campaign, 0)
    world.refund(in_campaign)
    order = sold(world, 0, 2)
    for step in (world.confirm, world.ship, world.ship, world.deliver, world.deliver, world.send_back):
        world.pass_time(60)
        step(order)
        world.assist(order, 1)
    for kind in (0, 5):  # A plan is launched, then adjusted in time.
        world.spend_by_plan(0, 9, kind)
    for number in (0, 1):  # Targets and budgets of both sorts are set, and money comes, goes and moves.
        for kind in (6, 1, 2, 3, 4):
            world.plan_store(number, kind)
    for number in range(4):  # Whatever else running a store costs, and budgets for it.
        for kind in range(6):
            world.cost_store(number * len(world.stores), kind)
    if 0 in world.agreed:
        world.contract(0, 5)
    for number, kind in ((0, 0), (0, 6), (1, 1)):  # An agreement is signed, its fee comes, and its first plan in time.
        world.contract(number * len(world.stores), kind)
    lost = sold(world, 0, 1)
    for step in (world.confirm, world.ship, world.ship):
        step(lost)
    world.lose(lost, 1)
    for kind in (1, 2, 3, 6):
        world.complain(order, kind)
    for kinds in ((3, 1, 7), (4, 1)):  # One is answered and found malicious, one is positive and shown.
        reviewed = sold(world, 0, 1)
        for step in (world.confirm, world.ship, world.ship, world.deliver, world.deliver):
            step(reviewed)
        for kind in kinds:
            world.judge(reviewed, kind)
    for _ in range(4):  # Somebody looks at a plan on the days after its launch, one of which at least is a working day.
        world.spend_by_plan(0, 11, 1)
        world.pass_time(24 * 60)
    for number in range(4):  # One who asks buys, then asks again.
        world.inquire(0, number)
        sold(world, 0, 1)
        world.inquire(number, 3)
    for store in range(len(world.stores)):  # Each names heroes, of which the first article is one.
        world.name_heroes(store, 0)
    sold(world, 0, 2)
    log.append(world)


def test_every_cell_of_every_figure_is_its_own_formula_over_the_rows_behind_it(trade: Projector) -> None:
    assert set(check_cells(trade, {}, 2, size=40)) == set(COUNTED)


def test_every_slice_of_every_figure_is_its_formula_over_its_own_rows(trade: Projector) -> None:
    """Narrowed to a store, an article, a channel ... each cell is what its rows make, in a breakdown too."""
    narrowed: dict[str, set[str]] = defaultdict(set)
    for code, kpi in COUNTED.items():
        for by in (kpis.STORE, *kpi.slices):
            for part in slices_of(trade, kpi, by)[:1]:
                if by == kpis.STORE:
                    question: dict[str, Any] = {"store_ids": [UUID(part)]}
                else:
                    column = kpis.SLICES[by]
                    question = {column: UUID(part) if column.endswith("_id") else part}
                if check_cells(trade, question, 1, {code: kpi}):
                    narrowed[by].add(code)
                # What stands in the breakdown is what the figure says narrowed to it, at each grain.
                for grain in {kpi.grains[0], kpi.grains[-1]}:
                    alone = kpis.cells(trade, KPIS, kpi, asked(grain, **question))
                    beside = kpis.cells(trade, KPIS, kpi, asked(grain, by=by))
                    shown = {key[:3]: cell for key, cell in beside.items() if key[3] == part}
                    # A share has no row of a slice of which nothing happened, though there is a whole.
                    whole = kpi.denominator is not None and by in kpi.denominator.whole
                    assert shown == {
                        key[:3]: cell for key, cell in alone.items() if key[:3] in shown or not whole or cell.numerator
                    }, (code, by, part, grain)
    # Everything happens in that log by every slice that a figure has.
    missing = {
        by: {code for code, kpi in COUNTED.items() if by in (kpis.STORE, *kpi.slices)} - narrowed[by]
        for by in (kpis.STORE, *kpis.SLICES)
    }
    assert {by: codes for by, codes in missing.items() if codes} == {}


def test_what_heroes_sold_is_part_of_gmv_line_by_line(trade: Projector) -> None:
    """Two projections say what a line brings once it is paid; they say the same."""
    columns = "position, line, order_id, store_id, day, currency, channel, sku_id, amount_minor"
    with trade.connect() as connection:
        rows: dict[str, set[tuple[Any, ...]]] = {}
        for name, table in (("heroes", "hero_sold"), ("kpi_facts", "sold")):
            entry = trade.catalogue.serving(connection, name)
            assert entry is not None
            of = trade.loaded(connection, entry).table(table)
            rows[name] = set(connection.execute(f"SELECT {columns} FROM {of}").fetchall())

    assert rows["heroes"] and rows["heroes"] < rows["kpi_facts"]


def test_pages_of_a_long_window_hold_what_one_page_of_it_does(
    trade: Projector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever a page ends: near the last one, further away, or in the last place where it is looked for."""
    monkeypatch.setattr(kpis, "NEAR_POSITIONS", (40, 200))
    window = asked(KpiGrain.TOTAL)
    each_once = {parts: kpi for kpi in COUNTED.values() for parts in kpis.sides(kpi).values()}
    several = set()
    for parts, kpi in each_once.items():
        whole = kpis.facts(trade, kpi, parts, window, kpis.OneCell(), limit=10_000)
        size = max(7, len(whole) // 4)
        assert rows_behind(trade, kpi, parts, window, kpis.OneCell(), size) == whole, kpi.code
        if len({row["projection"] for row in whole}) > 1:
            several.add(kpi.code)
    assert several, "no figure has rows of several projections"


def measures_of(projection: str) -> list[str]:
    """Return what figures count of a projection."""
    every = [side for kpi in COUNTED.values() for parts in kpis.sides(kpi).values() for side in parts]
    return sorted({measure for side in every if side.projection == projection for measure in side.of})


def test_facts_asked_by_measure_are_those_among_all_facts(trade: Projector) -> None:
    """A branch that is left out of the text, or leaves itself out, has no row of what is asked."""
    seen = set()
    for name in SOURCES:
        measures = measures_of(name)
        params = kpis.parameters(Side(name, "sum", tuple(measures)), asked(KpiGrain.DAY), by_currency=False)
        every = trade.run_query(name, counting.PAGE, {**params, "measures": None, "row_limit": 10**9}, store_ids=None)
        for measure in measures:
            asked_for = {**params, "measures": [measure], "row_limit": 10**9}
            rows = trade.run_query(name, counting.PAGE, asked_for, store_ids=None)
            assert rows == [row for row in every if row["measure"] == measure], (name, measure)
            seen |= {measure} if rows else set()
    assert len(seen) > 70


@pytest.mark.parametrize("grain", [KpiGrain.HOUR, KpiGrain.DAY])
def test_sums_are_what_the_rows_come_to_now_and_at_any_position(trade: Projector, grain: KpiGrain) -> None:
    summed = set()
    for name, definition in read_all(resources.path("projections")).items():
        for sums in definition.statements("queries.sql"):
            if sums.name != counting.SUMS:
                continue
            for measure, as_of in product(sums.strings.intersection(measures_of(name)), (kpis.LATEST, 700)):
                side = Side(name, "sum", (measure,))
                params = kpis.parameters(side, asked(grain, as_of=as_of), by_currency=False)
                come_to = [
                    {
                        tuple(row[each] for each in counting.CELL_KEY): row["amount"]
                        for row in trade.run_query(name, query, params, store_ids=None)
                    }
                    for query in (counting.SUM_CELLS, counting.CELLS)
                ]
                assert come_to[0] == come_to[1], (name, measure, as_of)
                summed |= {measure} if come_to[0] else set()
    assert {"on_hand", "reserved", "damaged", "received", "sold", "units", "baseline", "units_of_week"} <= summed
    assert {"value", "cogs", "cogs_in_campaigns"} <= summed


def test_the_largest_slices_stand_alone_and_the_rest_together(trade: Projector) -> None:
    """Different people of the rest are counted once, however many slices they are in; sums and the rest are all."""
    for code, by in (("K017", "sku"), ("K019", "sku"), ("K020", "sku"), ("K022", "sku"), ("K001", "store")):
        kpi = KPIS[code]
        whole = asked(KpiGrain.MONTH, by=by)
        every = kpis.cells(trade, KPIS, kpi, whole)
        kept = kpis.largest(trade, KPIS, kpi, whole, 1)
        few = asked(KpiGrain.MONTH, by=by, kept=kept)
        cells = kpis.cells(trade, KPIS, kpi, few)
        assert kept and {key: cell for key, cell in cells.items() if key[3] is not None} == {
            key: cell for key, cell in every.items() if key[3] in kept
        }
        rest = {key: cell for key, cell in cells.items() if key[3] is None}
        assert rest or code == "K001"
        for key, cell in rest.items():
            window = asked(KpiGrain.MONTH, by=by, of=(key[0], kpis.ends_on(key[0], few)))
            assert cell == made_again(trade, kpi, window, kpis.OneCell(key[1], key[2], rest_of=kept)), (code, key)
    sums = kpis.cells(trade, KPIS, KPIS["K017"], asked(by="sku"))
    for currency, total in {
        key[2]: cell.value for key, cell in kpis.cells(trade, KPIS, KPIS["K017"], asked()).items()
    }.items():
        assert sum(cell.value or 0 for key, cell in sums.items() if key[2] == currency) == total


def test_a_breakdown_takes_the_same_number_of_statements_however_many_slices_there_are(trade: Projector) -> None:
    kpi, asks = KPIS["K020"], []
    run = trade.run_query

    class Counting:
        def __getattr__(self, name: str) -> Any:
            return getattr(trade, name)

        def run_query(self, *words: Any, **more: Any) -> Any:
            asks.append(words)
            return run(*words, **more)

    for by in ("store", "sku"):
        asks.clear()
        projector: Any = Counting()
        kept = kpis.largest(projector, KPIS, kpi, asked(by=by), 2)
        kpis.cells(projector, KPIS, kpi, asked(KpiGrain.DAY, by=by, kept=kept))
        assert len(asks) == 4


@pytest.mark.parametrize("side", [*KPIS["K050"].numerator, KPIS["K051"].denominator], ids=lambda side: str(side.counts))
def test_what_stood_is_looked_up_by_its_slice_and_not_compared_with_every_other(trade: Projector, side: Side) -> None:
    """Of ten thousand articles each would be compared with each other one."""
    params = kpis.parameters(side, asked(KpiGrain.DAY, by="sku"), by_currency=True)
    with trade.connect() as connection, connection.transaction():
        entry = trade.catalogue.serving(connection, side.projection)
        assert entry is not None
        ready = trade.loaded(connection, entry).counting(f"cells_{side.counts}", side.of)
        given = dict.fromkeys(ready.parameters) | params | {"window_from": 0, "window_to": entry.position}
        connection.execute("SET LOCAL enable_nestloop = off")
        plan = [line for (line,) in connection.execute(f"EXPLAIN {ready.sql}", given)]

    assert any(re.search(r"(Hash|Merge) Cond: .*slice", line) for line in plan), "\n".join(plan)


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


SHARED_RULES = ("gmv_counts_freight", "refund_counts_freight", "guest_order_is_buyer")
"""The rules by which kpi_daily and kpi_facts say the same of GMV, net sales and buyers."""


def flipped(folder: Path, rules: Sequence[str]) -> None:
    """Turn these rules round in both projections of a folder."""
    for name in ("kpi_daily", "kpi_facts"):
        path = folder / name / "projection.toml"
        text = path.read_text("utf-8")
        for rule in rules:
            old, new = (f"\n{rule} = {value}\n" for value in ("true", "false"))
            assert (old in text) != (new in text)
            text = text.replace(old, new) if old in text else text.replace(new, old)
        path.write_text(text, "utf-8")


@pytest.mark.parametrize("rules", [(), *((rule,) for rule in SHARED_RULES), SHARED_RULES])
def test_gmv_net_sales_and_buyers_are_those_of_the_daily_figures_under_any_rules(
    log: Log, database: Database, tmp_path: Path, rules: tuple[str, ...]
) -> None:
    folder = Path(shutil.copytree(resources.path("projections"), tmp_path / "projections"))
    (folder / "versions.lock").unlink()
    flipped(folder, rules)
    # Who is the same as whom in a ring of mergers, which no decision allows, each projection answers in its own way.
    world, chance = log.world(customers=12, rings=False), random.Random(6)
    doing = Doings(world)
    for _ in range(500):
        doing.do(chance.randrange(doing.COUNT), chance.randrange(9), chance.randrange(9), chance.randrange(300))
    log.append(world)
    trade = Projector(database, folder)
    for name in ("kpi_daily", "kpi_facts"):
        trade.rebuild(name)
    day = {row["day"] for row in trade.run_query("kpi_daily", "days", store_ids=None)}
    middle = sorted(day)[len(day) // 2]

    for of in ((FROM, TO), (middle, middle), (middle - timedelta(days=9), middle + timedelta(days=3))):
        window = {"from_day": of[0], "to_day": of[1]}
        for stores in (None, [world.stores[0]], [world.stores[1]]):
            question = asked(of=of, store_ids=stores)
            daily = {row["currency"]: row for row in trade.run_query("kpi_daily", "totals", window, store_ids=stores)}
            for code, figure in (("K017", "gmv_minor"), ("K023", "net_sales_minor")):
                found = kpis.cells(trade, KPIS, KPIS[code], question)
                assert {key[2]: cell.value for key, cell in found.items()} == {
                    currency: row[figure] for currency, row in daily.items()
                    if figure == "net_sales_minor" or row["orders"]
                }, (code, of, stores)  # fmt: skip
            buyers = kpis.cells(trade, KPIS, KPIS["K020"], question)
            assert {key[2]: cell.denominator for key, cell in buyers.items()} == {
                currency: row["buyers"] for currency, row in daily.items() if row["orders"]
            }
            orders = kpis.cells(trade, KPIS, KPIS["K019"], question).values()
            assert sum(cell.value or 0 for cell in orders) == sum(row["orders"] for row in daily.values())
        months = trade.run_query("kpi_daily", "periods", {**window, "grain": "month"}, store_ids=None)
        found = kpis.cells(trade, KPIS, KPIS["K023"], asked(KpiGrain.MONTH, of=of))
        assert sorted(cell.value or 0 for cell in found.values()) == sorted(row["net_sales_minor"] for row in months)
    assert trade.check(["kpi_daily", "kpi_facts"]) == []


def test_a_version_of_before_breakdowns_is_counted_as_ever(log: Log, database: Database, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(resources.path("projections"), tmp_path / "projections"))
    (folder / "versions.lock").unlink()
    path = folder / "stock_facts" / "queries.sql"
    column = re.compile(r"fact\.amount, CASE :by::text.*?END AS slice", re.DOTALL)
    text, found = column.subn("fact.amount", path.read_text("utf-8"))
    assert found == 1
    path.write_text(text, "utf-8")
    log.append(busy(log, 200, seed=3))
    old, new = Projector(database, folder), Projector(database)
    old.rebuild("stock_facts")
    before = {code: kpis.cells(old, KPIS, KPIS[code], asked(KpiGrain.MONTH)) for code in ("K050", "K044", "K054Q")}
    assert all(before.values())

    new.rebuild("stock_facts", anew=True)

    assert before == {code: kpis.cells(new, KPIS, KPIS[code], asked(KpiGrain.MONTH)) for code in before}
