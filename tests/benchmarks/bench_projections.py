"""Events a second that each projection takes in on rebuild, and how long a follower lags behind live commits.

Over logs without and with back-dated events. OPSCORE_BENCH_EVENTS=1000000,5000000 measures logs of both lengths one
after the other and compares what an event costs. A million take some minutes on two cores, five five times as long.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg

from opscore import kpis
from opscore.database import Database
from opscore.projector import Definition, Follower, Projector
from opscore.projector.filling import REBUILD_WINDOW, analyze, complete, cores
from opscore.projector.folder import Loaded
from opscore.settings import Settings
from tests.benchmarks import generate
from tests.benchmarks.harness import Aim, Table, fresh_database

SIZES = [int(each) for each in os.environ.get("OPSCORE_BENCH_EVENTS", "1000000").split(",")]
SKUS = 3000
BACK_DATED = [float(each) for each in os.environ.get("OPSCORE_BENCH_BACK_DATED", "0,0.01").split(",")]
"""Shares of actions that happened before they were recorded; pages and followers are measured over the last."""
LIVE_ORDERS_PER_SECOND = int(os.environ.get("OPSCORE_BENCH_ORDERS_PER_SECOND", "300"))
LIVE_ORDERS = 5 * LIVE_ORDERS_PER_SECOND
"""Of these the first second only warms up: the statements are planned once."""
MOVEMENTS = {"stock_ledger": "stock_movements", "stock_valuation": "valued_movements"}
"""Tables with one row for each movement of stock; a valuation leaves out what is only set apart."""
SHOW_STATEMENTS = "OPSCORE_BENCH_STATEMENTS" in os.environ
EVENTS_PER_SECOND = {"kpi_daily, totals": Aim(1_200_000), "kpi_daily": Aim(400_000), "order_book": Aim(400_000)}
MOVEMENTS_PER_SECOND = {"stock_ledger": Aim(200_000), "stock_valuation, FIFO": Aim(120_000)}
FOLDS = {
    "stock_ledger": """
        SELECT count(*), sum(line.state[4]) FROM (
            SELECT {moving_average}(0, NULL, 0, moved.change, moved.cost, 100, 6) OVER (
                PARTITION BY moved.sku_id ORDER BY moved.position ROWS UNBOUNDED PRECEDING
            ) AS state
            FROM ({moved}) AS moved
        ) AS line
    """,
    "stock_valuation, FIFO": """
        SELECT count(*), sum(line.own) FROM (
            SELECT moved.sku_id, array_agg(moved.position ORDER BY moved.position) AS positions,
                array_agg(moved.occurred_at ORDER BY moved.position) AS times,
                array_agg(moved.kind ORDER BY moved.position) AS kinds,
                array_agg(moved.change ORDER BY moved.position) AS changes,
                array_agg(moved.cost ORDER BY moved.position) AS costs, array_agg(NULL::uuid) AS orders,
                array_agg(NULL::numeric) AS counts
            FROM ({moved}) AS moved GROUP BY 1
        ) AS sku CROSS JOIN LATERAL {fold_costs}(
            sku.sku_id, 'infinity', 100, 6, true, 'fifo', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
            sku.positions, sku.times, sku.kinds, sku.changes, sku.costs, sku.orders, sku.counts
        ) AS line
    """,
}
"""The fold alone, on one core, of what came and what left, with nothing kept of it: what a rebuild is measured by on a
machine that is not as fast today as yesterday. The aims were set beside 300,000 and 130,000 movements/s of it."""
MOVED = """
    SELECT stream_id AS sku_id, position, occurred_at, 'received' AS kind, (data->>'quantity')::numeric AS change,
        (data->>'unit_cost')::numeric AS cost
    FROM events WHERE type = 'StockReceived'
    UNION ALL
    SELECT stream_id, position, occurred_at, 'shipped', -(data->>'quantity')::numeric, NULL
    FROM events WHERE type = 'StockShipped'
"""
ASKED_MS = {"KPI page": Aim(50, most=True), "explain": Aim(50, most=True), "hottest SKU": Aim(10, most=True)}
"""By how the name of a question begins."""
LAG_P99_MS = Aim(100, most=True)


def totals_only(definition: Definition) -> Definition:
    """Return kpi_daily without the statement that keeps buyers."""
    buyers = next(each for each in definition.statements("apply.sql") if each.name == "buyers")
    apply = definition.texts["apply.sql"].replace(buyers.sql + ";", "")
    return Definition(definition.name, {**definition.texts, "apply.sql": apply})


def by_fifo(definition: Definition) -> Definition:
    """Return stock_valuation with FIFO layers where a store has said nothing."""
    settings = definition.texts["projection.toml"].replace(
        'default_method = "moving_average"', 'default_method = "fifo"'
    )
    return Definition(definition.name, {**definition.texts, "projection.toml": settings})


def rebuild(projector: Projector, loaded: Loaded, head: int) -> tuple[float, dict[str, float]]:
    """Build a version as `rebuild` does, indexes and all; return the seconds, in all and by statement.

    Statements are timed one after the other, without the parts that a rebuild works on side by side.
    """
    spent: dict[str, float] = {}
    with projector.connect() as connection:
        projector.catalogue.claim(connection, loaded)
        projector.make_tables(connection, loaded)
        raw = psycopg.RawCursor(connection)
        begun = time.perf_counter()
        if not SHOW_STATEMENTS:
            projector._fill(connection, loaded, None, None, REBUILD_WINDOW)
        for low in range(0, head, REBUILD_WINDOW) if SHOW_STATEMENTS else ():
            with connection.transaction():
                for statement in loaded.apply:
                    since = time.perf_counter()
                    raw.execute(statement.over_window(loaded.definition.events), (low, min(low + REBUILD_WINDOW, head)))
                    spent[statement.name] = spent.get(statement.name, 0) + time.perf_counter() - since
            since = time.perf_counter()
            analyze(connection, loaded)
            spent["(analyze)"] = spent.get("(analyze)", 0) + time.perf_counter() - since
        since = time.perf_counter()
        complete(projector.connect, connection, loaded, cores())
        spent["(indexes)"] = time.perf_counter() - since
    return time.perf_counter() - begun, spent


def folded(database: Database, loaded: Loaded, fold: str) -> float:
    """Return how many movements a second the fold of a version takes by itself."""
    functions = {function: loaded.names[function] for function in ("moving_average", "fold_costs") if function in fold}
    with database.connect() as connection:
        begun = time.perf_counter()
        row = connection.execute(fold.format(moved=MOVED, **functions)).fetchone()
        spent = time.perf_counter() - begun
    assert row is not None
    return int(row[0]) / spent


def follow(url: str, schema: str, ready: Any, over: Any) -> None:
    """Follow in a process of its own until told to stop."""
    settings = Settings(_env_file=None, database_url=url, schema_name=schema)
    with Database.open(settings) as database:
        follower = Follower(Projector(database))
        follower.start()
        ready.set()
        over.wait()
        follower.stop()


def lags(database: Database, settings: Settings) -> list[float]:
    """Commit orders at a steady pace while two processes follow; return the milliseconds until each was everywhere."""
    assert settings.database_url is not None
    context = multiprocessing.get_context("spawn")
    ready, over = [context.Event() for _ in range(2)], context.Event()
    url = settings.database_url.get_secret_value()
    others = [context.Process(target=follow, args=(url, database.schema, each, over)) for each in ready[1:]]
    for other in others:
        other.start()
    own = Follower(Projector(database))
    own.start()
    for each in ready[1:]:
        each.wait()
    committed: list[tuple[int, float]] = []
    seen: list[tuple[int, float]] = []
    with database.connect() as writer, database.connect() as reader:
        row = writer.execute("SELECT max(position) FROM events").fetchone()
        assert row is not None
        world = generate.World(stores=5, skus=50, customers=50, checked=False, after=row[0])
        begun = time.perf_counter()
        number = 0
        last = 0
        while last < world.position or number < LIVE_ORDERS:
            now = time.perf_counter()
            if number < LIVE_ORDERS and now >= begun + number / LIVE_ORDERS_PER_SECOND:
                order = world.place(number % 50, [(number % 50, 1)])
                world.pay(order)
                generate.copy_in(writer, database.schema, world.rows)
                world.rows.clear()
                if number >= LIVE_ORDERS_PER_SECOND:
                    committed.append((world.position, time.perf_counter()))
                own.hint()
                number += 1
            found = reader.execute(
                "SELECT min(position) FROM projection_catalogue WHERE status IN ('serving', 'ready')"
            ).fetchone()
            assert found is not None
            if found[0] != last:
                last = found[0]
                seen.append((last, time.perf_counter()))
            time.sleep(0.0005)
            if now > begun + 60:
                break
    over.set()
    own.stop()
    for other in others:
        other.join()
    waits = []
    at = iter(seen)
    position, when = next(at)
    for wanted, since in committed:
        while position < wanted:
            position, when = next(at)
        waits.append((when - since) * 1000)
    return sorted(waits)


PAGES = ("K012", "K017", "K019", "K020", "K023", "K034", "K050", "K098")
"""Key figures of which a page is measured: sums, orders, people, people again, a balance, and two projections."""


def _take_kpis(
    take: Callable[[str, Callable[[], Sequence[Any]]], Sequence[Any]],
    projector: Projector,
    stores: list[UUID],
    day: date,
) -> None:
    """Measure `kpi` and `explainKpi` over 365 days of a store."""
    known = kpis.load()
    page = kpis.Asked(
        from_day=day - timedelta(days=182), to_day=day + timedelta(days=182), grain=kpis.KpiGrain.DAY,
        store_ids=stores, now=datetime.now(UTC),
    )  # fmt: skip
    one = replace(page, from_day=day, to_day=day)
    for code in PAGES:
        kpi = known[code]
        take(f"kpi {code}, 365 days of a store", lambda kpi=kpi: list(kpis.cells(projector, known, kpi, page)))
        parts = kpi.numerator
        take(
            f"explainKpi {code} of a day",
            lambda kpi=kpi, parts=parts: kpis.facts(projector, kpi, parts, one, kpis.OneCell()),
        )
    by_sku = replace(page, by="sku")
    take("kpi K017, its ten largest articles", lambda: kpis.largest(projector, known, known["K017"], by_sku, 10))


def asked(projector: Projector) -> list[tuple[str, float, int]]:
    """Ask what pages and auditors ask; return what, the median milliseconds and how many rows came."""
    found = []

    def take(what: str, ask: Callable[[], Sequence[Any]]) -> Sequence[Any]:
        spent = []
        for _ in range(20):
            begun = time.perf_counter()
            rows = ask()
            spent.append((time.perf_counter() - begun) * 1000)
        found.append((what, statistics.median(spent), len(rows)))
        return rows

    with projector.connect() as connection:
        ledger = projector.catalogue.serving(connection, "stock_ledger")
        assert ledger is not None
        movements = projector.loaded(connection, ledger).table("stock_movements")
        sku, count, middle, then, store = connection.execute(
            f"SELECT line.sku_id, count(*), percentile_disc(0.5) WITHIN GROUP (ORDER BY line.position),"
            f" percentile_disc(0.5) WITHIN GROUP (ORDER BY line.occurred_at),"
            f" (SELECT store_id FROM {projector.loaded(connection, ledger).table('stock_skus')} AS sku"
            f" WHERE sku.sku_id = line.sku_id)"
            f" FROM {movements} AS line GROUP BY 1 ORDER BY 2 DESC LIMIT 1"
        ).fetchone()
    stores = [store]
    year = {"from_day": then.date() - timedelta(days=365), "to_day": then.date() + timedelta(days=365)}

    def ask(name: str, query: str, parameters: dict[str, Any]) -> Callable[[], Sequence[Any]]:
        return lambda: projector.run_query(name, query, parameters, store_ids=stores)

    days = take("KPI page: a store by days", ask("kpi_daily", "days", year))
    take("KPI page: a store by months", ask("kpi_daily", "periods", {**year, "grain": "month"}))
    cell = days[len(days) // 2]
    key = {"store_id": store, "day": cell["day"], "currency": cell["currency"]}
    _take_kpis(take, projector, stores, then.date())
    take("explain a day", lambda: projector.explain("kpi_daily", "kpi_daily", key, store_ids=stores))
    at = {"sku_id": sku, "position": middle, "occurred_at": then}
    hottest = f"hottest SKU ({count:,} movements)"
    take(f"{hottest}, levels known then", ask("stock_ledger", "levels_at", {**at, "occurred_at": None}))
    take(f"{hottest}, worth known then", ask("stock_ledger", "worth_known_at", at))
    take(f"{hottest}, levels true then", ask("stock_ledger", "levels_at", {**at, "position": None}))
    take(f"{hottest}, levels as of both", ask("stock_ledger", "levels_at", at))
    take(f"{hottest}, value known then", ask("stock_valuation", "value_at", {"sku_ids": [sku], "position": middle}))
    take(f"{hottest}, value as of both", ask("stock_valuation", "value_at", {**at, "sku_ids": [sku]}))
    return found


def rebuilds(table: Table, database: Database, projector: Projector, head: int, costs: dict[str, float]) -> None:
    """Build every projection by itself and print it. costs: seconds for an event of a shorter log, by what was built;
    what is not there yet is entered."""
    definitions = {
        "kpi_daily, totals": totals_only(projector.definitions()["kpi_daily"]),
        **projector.definitions(),
        "stock_valuation, FIFO": by_fifo(projector.definitions()["stock_valuation"]),
    }
    for label, definition in definitions.items():
        loaded = Loaded(definition, database.schema, f"bench/{definition.name}")
        with database.connect("admin") as connection:
            # What was written before is no work of this rebuild.
            connection.execute("CHECKPOINT")
        seconds, spent = rebuild(projector, loaded, head)
        remarks = [f"{seconds:.1f} s"]
        if label in EVENTS_PER_SECOND:
            remarks.append(EVENTS_PER_SECOND[label].judged(head / seconds))
        if definition.name in MOVEMENTS:
            with database.connect() as connection:
                counted = connection.execute(
                    f"SELECT count(*) FROM {loaded.table(MOVEMENTS[definition.name])}"
                ).fetchone()
            assert counted is not None
            remarks.append(f"{counted[0] / seconds:,.0f} movements/s")
            if label in MOVEMENTS_PER_SECOND:
                remarks.append(MOVEMENTS_PER_SECOND[label].judged(counted[0] / seconds))
                remarks.append(f"the fold alone: {folded(database, loaded, FOLDS[label]):,.0f}/s on one core")
        shorter = costs.setdefault(label, seconds / head)
        if shorter != seconds / head:
            remarks.append(f"{seconds / head / shorter:.2f} times the cost of an event of the shorter log")
        table.row(f"rebuild {label}", f"{head / seconds:,.0f} events/s", *remarks)
        if SHOW_STATEMENTS:
            for name, part in sorted(spent.items(), key=lambda item: -item[1]):
                table.row(f"    {name}", f"{part:.2f} s")
        with projector.connect() as connection:
            projector._drop_tables(connection, loaded)


def live(table: Table, database: Database, settings: Settings, projector: Projector, head: int) -> None:
    """Build all projections, ask what pages ask, follow live orders, and print it."""
    begun = time.perf_counter()
    projector.deploy()
    table.row("all projections side by side", f"{head / (time.perf_counter() - begun):,.0f} events/s")
    for what, milliseconds, rows in asked(projector):
        aims = [aim.judged(milliseconds) for start, aim in ASKED_MS.items() if what.startswith(start)]
        table.row(what, f"{milliseconds:.1f} ms", f"{rows:,} rows", *aims)
    waits = lags(database, settings)
    p99 = waits[int(len(waits) * 0.99)]
    table.row(
        f"follower lag at {LIVE_ORDERS_PER_SECOND} orders/s, all projections",
        f"p50 {statistics.median(waits):.0f}, p99 {p99:.0f} ms",
        "two processes follow",
        f"p99 {LAG_P99_MS.judged(p99)}",
    )


def main() -> None:
    """Run it, each log on a server of its own."""
    costs: dict[float, dict[str, float]] = {}
    for events in SIZES:
        for share in BACK_DATED:
            title = f"Projections over {events:,} events, Zipf skew, {share:.0%} back-dated"
            with fresh_database() as (database, settings), Table(title) as table:
                begun = time.perf_counter()
                with database.connect("admin") as connection:
                    rows = generate.busy_log(events, skus=SKUS, back_dated=share)
                    generate.copy_in(connection, database.schema, rows)
                    connection.execute("VACUUM ANALYZE events")
                    row = connection.execute("SELECT max(position) FROM events").fetchone()
                assert row is not None
                head = int(row[0])
                table.row("made up and written", f"{head / (time.perf_counter() - begun):,.0f} events/s")
                projector = Projector(database)
                rebuilds(table, database, projector, head, costs.setdefault(share, {}))
                if "OPSCORE_BENCH_NO_LAG" not in os.environ and share == BACK_DATED[-1]:
                    live(table, database, settings, projector, head)


if __name__ == "__main__":
    main()
