"""Asks key figures of a log that is made up, and makes their cells again from the rows behind them, without SQL."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from fractions import Fraction
from typing import Any
from uuid import UUID

from opscore import kpis
from opscore.kpis import Asked, Cell, KpiGrain, Side
from opscore.projector import Projector
from tests.benchmarks import generate
from tests.projections.logs import Log

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
    projector: Projector, kpi: kpis.Kpi, parts: Sequence[Side], window: Asked, cell: kpis.OneCell, size: int
) -> list[dict[str, Any]]:
    """Return all rows behind a side of a cell, page by page."""
    rows: list[dict[str, Any]] = []
    while True:
        after = (rows[-1]["position"], rows[-1]["place"]) if rows else (0, 0)
        page = kpis.facts(projector, kpi, parts, window, cell, after=after, limit=size)
        rows += page
        if len(page) < size:
            return rows


def build(projector: Projector) -> Projector:
    """Build every projection that a key figure rests on."""
    for name in SOURCES:
        projector.rebuild(name)
    return projector


COUNTED = {code: kpi for code, kpi in KPIS.items() if kpi.numerator}
"""The figures that are counted from facts, and not made of others or told elsewhere."""


def made_again(projector: Projector, kpi: kpis.Kpi, window: Asked, cell: kpis.OneCell, size: int = 1_000) -> Cell:
    """Make a cell of a figure again from the rows behind it, as its definition says; the window is the cell's own."""
    made: dict[str, Fraction | None] = {}
    for name, parts in kpis.sides(kpi).items():
        rows = rows_behind(projector, kpi, parts, window, cell, size)
        assert [(row["position"], row["place"]) for row in rows] == sorted(
            {(row["position"], row["place"]) for row in rows}
        ), f"{kpi.code}: a row twice or out of order"
        assert all(row["position"] <= window.as_of for row in rows)
        made[name] = counted(parts[0], rows, window) if rows else None
    top, bottom = made["numerator"], made.get("denominator")
    if "denominator" not in made:
        return Cell(top, top, bottom)
    if top is None and kpi.numerator[0].counts not in kpis.NEVER_ZERO:
        top = Fraction(0)
    enough = bottom and bottom >= kpi.at_least
    return Cell(top / bottom - kpi.minus if top is not None and bottom and enough else None, top, bottom)


def check_cells(
    projector: Projector,
    question: dict[str, Any],
    most: int,
    figures: Mapping[str, kpis.Kpi] = COUNTED,
    size: int = 1_000,
) -> dict[str, int]:
    """Make cells of figures again at each of their grains; return how many cells each figure had."""
    opened: dict[str, int] = defaultdict(int)
    for kpi in figures.values():
        for grain in kpi.grains:
            whole = asked(grain, **question)
            found = list(kpis.cells(projector, KPIS, kpi, whole).items())
            for key, cell in found[:: max(1, len(found) // most)]:
                window = asked(grain, **{**question, "of": (key[0], kpis.ends_on(key[0], whole))})
                again = made_again(projector, kpi, window, kpis.OneCell(key[1], key[2]), size)
                assert cell == again, (kpi.code, grain, question, key)
                opened[kpi.code] += 1
    return opened


def slices_of(projector: Projector, kpi: kpis.Kpi, by: str) -> list[str]:
    """Return the slices that a figure has cells of, those of none left out."""
    grain = kpi.grains[-1]
    found = kpis.cells(projector, KPIS, kpi, asked(grain, by=by))
    return sorted({key[3] for key in found if key[3]})


def every_cell(projector: Projector, question: dict[str, Any]) -> dict[tuple[str, KpiGrain], dict[kpis.Key, Cell]]:
    """Return all cells of every figure at its finest and at its coarsest grain."""
    return {
        (kpi.code, grain): kpis.cells(projector, KPIS, kpi, asked(grain, **question))
        for kpi in KPIS.values()
        if kpi.grains
        for grain in {kpi.grains[0], kpi.grains[-1]}
    }


def sold(world: generate.World, customer: int, units: int, *, sku: int = 0) -> generate.Order:
    order = world.place(customer, [(sku, units)])
    world.pay(order)
    return order


def built(log: Log, projector: Projector, world: generate.World) -> Projector:
    log.append(world)
    return build(projector)


def values(projector: Projector, code: str, question: Asked) -> list[Fraction | None]:
    return [cell.value for cell in kpis.cells(projector, KPIS, KPIS[code], question).values()]


def figures(**told: Any) -> dict[str, Any]:
    return {
        "day": date(2025, 1, 1), "channel": "all", "device": "all", "campaign_id": None, "sku_id": None, "hour": None,
        "revision": 1, "source": None, "page_views": 0, "visitors": None, "visits": None, "single_page_visits": None,
        "ip": None, "dwell_seconds": None, "exits": None, "shares": None, "favourites": None, "cart_adds": None, **told,
    }  # fmt: skip
