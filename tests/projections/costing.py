"""Stock histories as short records, written to a log; and a plain model of what they are worth, for comparison.

The model shares nothing with the product: it values the whole history anew, with fractions, after every record.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from uuid import UUID

from tests.benchmarks import generate

FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Record:
    """One line of a history, in the order in which it was recorded; `at` is hours from the first day on.

    what: receive, ship, return, write_off, adjust, send, arrive, method (`text` names it), close (books open `at`).
    counted: of an adjustment whose count set a cost, what was counted.
    """

    what: str
    at: int
    quantity: Decimal = Decimal(0)
    cost: Decimal | None = None
    order: str | None = None
    text: str = ""
    lost: Decimal = Decimal(0)
    counted: Decimal | None = None

    @property
    def change(self) -> Decimal:
        """What the article's units change by, those under way included."""
        if self.what in ("receive", "return", "adjust"):
            return self.quantity
        if self.what in ("ship", "write_off"):
            return -self.quantity
        return -self.lost if self.what == "arrive" else Decimal(0)

    @property
    def moves(self) -> bool:
        """Say whether it is a movement."""
        return self.what not in ("method", "close")


def moment(at: int) -> datetime:
    """Return the time of so many hours."""
    return FIRST_DAY + timedelta(hours=at)


def write(world: generate.World, history: Sequence[Record], sku: int = 0) -> list[int]:
    """Record a history of one article in a world; return the position of each record."""
    stream, store = world.skus[sku], world.sku_store[sku]
    place, other = world.locations[store]
    home = world.stores[store]
    transfer = world.made_id("transfer", 0)
    positions = []
    world.now = max(world.now, moment(24 * 365))
    versions = 0
    for record in history:
        world.pass_time(1)
        at = moment(record.at)
        world.back = world.now - at if record.moves else timedelta(0)
        order = None if record.order is None else world.made_id(f"order {record.order}", 0)
        units = record.quantity
        match record.what:
            case "receive":
                world.record(
                    "StockReceived", stream, store, location_id=place, batch=None, quantity=units,
                    unit_cost=record.cost, currency=world.currencies[store], cost_assumed=False,
                )  # fmt: skip
            case "ship":
                world.record(
                    "StockShipped", stream, store, order_id=order or world.made_id("hold", 0), store_id=home,
                    parcel_id=world.made_id("parcel", 0), location_id=place, quantity=units, campaign_id=None,
                )  # fmt: skip
            case "return":
                world.record(
                    "StockReturned", stream, store, order_id=order, store_id=home, location_id=place, quantity=units,
                    condition="good",
                )  # fmt: skip
            case "write_off":
                world.record(
                    "StockWrittenOff", stream, store, location_id=place, quantity=units, kind="lost", reason="gone"
                )
            case "adjust":
                world.record(
                    "StockAdjusted", stream, store, location_id=place, difference=units, reason="count",
                    counted=record.counted, unit_cost=record.cost, currency=world.currencies[store],
                )  # fmt: skip
            case "send":
                world.record(
                    "StockTransferredOut", stream, store, transfer_id=transfer, location_id=place,
                    to_location_id=other, quantity=units,
                )  # fmt: skip
            case "arrive":
                world.record(
                    "StockTransferredIn", stream, store, transfer_id=transfer, location_id=other,
                    from_location_id=place, quantity=units, lost=record.lost,
                )  # fmt: skip
            case "method":
                versions += 1
                world.record(
                    "PolicySet", home, store, kind="costing", policy_version=versions, effective_from=at,
                    params={"method": record.text},
                )  # fmt: skip
            case _:
                world.record(
                    "PeriodClosed", home, store, through=(at - timedelta(days=1)).date(), open_from=at, reason="month"
                )
        positions.append(world.position)
    world.back = timedelta(0)
    return positions


# The model -----------------------------------------------------------------------------------------------------------


@dataclass
class Valued:
    """What one movement is worth: its units, and what it taught about units that were there before (minor units)."""

    own: int
    revalued: int


@dataclass
class Truth:
    """A whole history valued: by position what each movement is worth, and how the article stands after all of them."""

    by_position: dict[int, Valued] = field(default_factory=dict)
    quantity: Fraction = Fraction(0)
    worth: int = 0
    cost: Fraction | None = None
    lots: list[list[Fraction]] = field(default_factory=list)


def value_all(entries: Sequence[tuple[int, Record]], turns: Sequence[tuple[int, str]], scale: int) -> Truth:
    """Value movements given as (position, record) under the methods in force from (hour, method) on."""
    truth = Truth()
    method = "moving_average"
    left_by_order: dict[str, list[tuple[Fraction, Fraction | None]]] = {}
    back_by_order: dict[str, Fraction] = {}
    for position, record in sorted(entries, key=lambda entry: (entry[1].at, entry[0])):
        wanted = next((name for at, name in reversed(turns) if at <= record.at), "moving_average")
        if wanted != method:
            _turn(truth, wanted)
            method = wanted
        was, worth = truth.quantity, truth.worth
        change = Fraction(record.change)
        if record.counted is not None and record.cost is not None:
            _count(truth, method, change, Fraction(record.counted), Fraction(record.cost), scale)
            own = round(change * Fraction(record.cost) * scale)
            truth.by_position[position] = Valued(own, truth.worth - worth - own)
            continue
        if change == 0:
            truth.by_position[position] = Valued(0, 0)
            continue
        truth.quantity = was + change
        anew = was <= 0 or truth.quantity <= 0
        if change < 0:
            parts = _take(truth, method, -change)
            if record.what == "ship":
                left_by_order.setdefault(record.order or "", []).extend(parts)
            amount = -sum((size * (cost or 0) for size, cost in parts), Fraction(0))
        else:
            paid = record.what == "receive" and record.cost is not None
            known = False
            parts = [(change, Fraction(record.cost) if record.cost is not None else truth.cost)]
            if record.what == "return" and record.order is not None:
                back = back_by_order.get(record.order, Fraction(0))
                parts, known = _original(left_by_order.get(record.order, []), back, change, truth.cost)
                back_by_order[record.order] = back + change
            amount = sum((size * (cost or 0) for size, cost in parts), Fraction(0))
            anew = anew or (paid and truth.cost is None)
            _put(truth, method, was, change, amount, parts, paid, known)
        moved = round(amount * scale)
        truth.worth = round(_exact(truth, method) * scale) if anew else worth + moved
        if change < 0:
            truth.by_position[position] = Valued(truth.worth - worth, 0)
        else:
            truth.by_position[position] = Valued(moved, truth.worth - worth - moved)
    return truth


def _count(truth: Truth, method: str, change: Fraction, counted: Fraction, cost: Fraction, scale: int) -> None:
    """Let what the book had leave as it is valued, and what was counted come in at its cost."""
    book = max(counted - change, Fraction(0))
    came = book + change
    rest = truth.quantity - book
    truth.quantity += change
    if truth.cost is None or rest <= 0:
        truth.cost = cost
        truth.lots = [[truth.quantity, cost]] if method == "fifo" and truth.quantity > 0 else []
        truth.worth = round(truth.quantity * cost * scale)
        return
    gone = sum((size * (paid or 0) for size, paid in _take(truth, method, book)), Fraction(0))
    truth.worth += round(came * cost * scale) - round(gone * scale)
    if method == "fifo":
        truth.lots.append([came, cost])
        truth.cost = cost
    else:
        truth.cost = _six((rest * truth.cost + came * cost) / truth.quantity)


def _six(value: Fraction) -> Fraction:
    return Fraction(round(value * 10**6), 10**6)


def _exact(truth: Truth, method: str) -> Fraction:
    if method == "fifo" and truth.quantity > 0:
        return sum((size * cost for size, cost in truth.lots), Fraction(0))
    return truth.quantity * (truth.cost or 0)


def _turn(truth: Truth, wanted: str) -> None:
    if wanted == "fifo":
        truth.lots = [[truth.quantity, truth.cost or Fraction(0)]] if truth.quantity > 0 else []
    else:
        if truth.quantity > 0 and truth.cost is not None:
            truth.cost = _six(sum((size * cost for size, cost in truth.lots), Fraction(0)) / truth.quantity)
        truth.lots = []


def _take(truth: Truth, method: str, units: Fraction) -> list[tuple[Fraction, Fraction | None]]:
    if method == "moving_average":
        return [(units, truth.cost)]
    parts: list[tuple[Fraction, Fraction | None]] = []
    while units and truth.lots:
        lot = truth.lots[0]
        size = min(lot[0], units)
        parts.append((size, None if truth.cost is None else lot[1]))
        units -= size
        lot[0] -= size
        if not lot[0]:
            truth.lots.pop(0)
    return [*parts, (units, truth.cost)] if units else parts


def _original(
    left: Sequence[tuple[Fraction, Fraction | None]], back: Fraction, units: Fraction, cost: Fraction | None
) -> tuple[list[tuple[Fraction, Fraction | None]], bool]:
    parts: list[tuple[Fraction, Fraction | None]] = []
    known = False
    for size, paid in left:
        gone = min(size, back)
        back -= gone
        take = min(size - gone, units)
        if take:
            units -= take
            known = known or paid is not None
            parts.append((take, cost if paid is None else paid))
    return ([*parts, (units, cost)] if units else parts), known


def _put(
    truth: Truth,
    method: str,
    was: Fraction,
    change: Fraction,
    amount: Fraction,
    parts: Sequence[tuple[Fraction, Fraction | None]],
    paid: bool,
    known: bool,
) -> None:
    if method == "moving_average":
        if paid or known:
            if truth.cost is None or was <= 0:
                truth.cost = _six(amount / change)
            else:
                truth.cost = _six((was * truth.cost + amount) / (was + change))
        return
    if paid and (truth.cost is None or was <= 0):
        truth.lots = [[truth.quantity, parts[0][1] or Fraction(0)]] if truth.quantity > 0 else []
    else:
        owed = max(-was, Fraction(0))
        for size, cost in parts:
            covers = min(size, owed)
            owed -= covers
            if size > covers:
                truth.lots.append([size - covers, cost or Fraction(0)])
    if paid:
        truth.cost = parts[0][1]


@dataclass
class Books:
    """What a ledger that never rewrites holds after a history, and what it said on the way.

    movements: by position (own, revalued, units in all, value in all). adjustments: by (position or 0, cause) the
    (value, revalued, cost of goods sold). totals: after each record, by its position, the units and value in all.
    """

    movements: dict[int, tuple[int, int, Fraction, int]] = field(default_factory=dict)
    adjustments: dict[tuple[int, int], tuple[int, int, int]] = field(default_factory=dict)
    totals: dict[int, tuple[Fraction, int]] = field(default_factory=dict)
    truth: Truth = field(default_factory=Truth)


def keep_books(history: Sequence[Record], positions: Sequence[int], scale: int = 100) -> Books:
    """Return what should be on record when each record was taken in as it came."""
    books = Books()
    entries: list[tuple[int, Record]] = []
    turns: list[tuple[int, int, str]] = []
    open_from = -(10**9)
    for position, record in zip(positions, history, strict=True):
        if record.what == "close":
            open_from = max(open_from, record.at)
        else:
            if record.what == "method":
                turns.append((record.at, position, record.text))
            else:
                entries.append((position, record))
            truth = value_all(entries, [(at, name) for at, _, name in sorted(turns)], scale)
            _book(books, truth, entries, position, record, open_from)
            books.truth = truth
        books.totals[position] = (books.truth.quantity, books.truth.worth)
    return books


def _book(
    books: Books, truth: Truth, entries: Sequence[tuple[int, Record]], cause: int, record: Record, open_from: int
) -> None:
    carried = [0, 0, 0]
    for position, entry in entries:
        now = truth.by_position[position]
        if position == cause:
            books.movements[position] = (now.own, now.revalued, truth.quantity, truth.worth)
            continue
        before = books.truth.by_position[position]
        more, again = now.own - before.own, now.revalued - before.revalued
        sold = -more if entry.what in ("ship", "return") else 0
        if entry.at < open_from:
            carried = [carried[0] + more, carried[1] + again, carried[2] + sold]
        elif more or again:
            books.adjustments[(position, cause)] = (more, again, sold)
    if any(carried):
        books.adjustments[(0, cause)] = (carried[0], carried[1], carried[2])


def stored_books(connection: Any, table: Any, sku: UUID) -> Books:
    """Return what the projection holds of one article; `table` names its tables."""
    books = Books()
    for position, own, revalued, quantity, worth in connection.execute(
        "SELECT position, value_minor, revalued_minor, running_quantity, running_value_minor"
        f" FROM {table('valued_movements')} WHERE sku_id = %s",
        (sku,),
    ):
        books.movements[position] = (own, revalued, Fraction(quantity), worth)
    for position, cause, value, revalued, cogs in connection.execute(
        "SELECT position, cause_position, value_minor, revalued_minor, cogs_minor"
        f" FROM {table('value_adjustments')} WHERE sku_id = %s",
        (sku,),
    ):
        books.adjustments[(position, cause)] = (value, revalued, cogs)
    row = connection.execute(
        f"SELECT quantity, value_minor, unit_cost, layer_sizes, layer_costs FROM {table('valuation_state')}"
        " WHERE sku_id = %s",
        (sku,),
    ).fetchone()
    if row is not None:
        lots = [[Fraction(size), Fraction(cost)] for size, cost in zip(row[3], row[4], strict=True)]
        cost = None if row[2] is None else Fraction(row[2])
        books.truth = Truth({}, Fraction(row[0]), row[1], cost, lots)
    return books


# Cases worked by hand ------------------------------------------------------------------------------------------------

_RECORD = re.compile(
    r"@(?P<day>\d+) (?P<what>\w+) (?P<units>-?[\d.]+)(?: to (?P<counted>[\d.]+))?(?: at (?P<cost>[\d.]+))?"
    r"(?: for (?P<order>\w+))?(?: lost (?P<lost>[\d.]+))? -> (?P<own>\S+)(?: and (?P<revalued>\S+))?"
)
_METHOD = re.compile(r"method (?P<name>\w+) from (?P<day>\d+)")
_CLOSE = re.compile(r"close before (?P<day>\d+)")
_MORE = re.compile(r"~ (?P<line>\d+):? ?(?P<own>[+-][\d.]+)?(?:and (?P<revalued>[+-][\d.]+))?")
_CLOSED = re.compile(r"~ closed: (?P<own>\S+), sold (?P<sold>\S+)")
_END = re.compile(r"= (?P<units>\S+) worth (?P<worth>\S+)(?: at (?P<cost>\S+))?(?: layers (?P<layers>.+))?")


@dataclass
class Case:
    """A case as it stands in costing_cases.txt: a history, and what should come of it by the number of the record."""

    name: str
    currency: str = "GBP"
    history: list[Record] = field(default_factory=list)
    expected: dict[str, Any] = field(default_factory=dict)

    def minor(self, text: str) -> int:
        """Return an amount in minor units."""
        return int(Decimal(text) * (1 if self.currency == "JPY" else 100))

    def found(self, books: Books, positions: Sequence[int]) -> dict[str, Any]:
        """Return what a ledger holds, in the words of the case."""
        number = {position: line for line, position in enumerate(positions, start=1)} | {0: 0}
        found: dict[str, Any] = {}
        for position, (own, revalued, _, _) in books.movements.items():
            found[f"record {number[position]}"] = (own, revalued)
        for (position, cause), (value, revalued, sold) in books.adjustments.items():
            key = f"record {number[cause]} on {number[position]}"
            found[key] = (value, revalued) if position else (value, revalued, sold)
        found["end"] = (books.truth.quantity, books.truth.worth)
        found["cost"] = books.truth.cost
        found["layers"] = [tuple(lot) for lot in books.truth.lots]
        return found


def read_cases() -> list[Case]:
    """Read the worked cases; a line that is not understood is an error."""
    cases: list[Case] = []
    text = (Path(__file__).parent / "costing_cases.txt").read_text("utf-8")
    for line in map(str.strip, text[text.index("\n== ") :].splitlines()):
        if line.startswith("== "):
            cases.append(Case(line[3:]))
        elif line and not line.startswith("#"):
            _read_line(cases[-1], line)
    return cases


def _read_line(case: Case, line: str) -> None:
    """Take in one line of a case."""
    latest = len(case.history)
    if line.startswith("currency "):
        case.currency = line.split()[1]
    elif found := _METHOD.fullmatch(line):
        case.history.append(Record("method", int(found["day"]) * 24, text=found["name"]))
    elif found := _CLOSE.fullmatch(line):
        case.history.append(Record("close", int(found["day"]) * 24))
    elif found := _RECORD.fullmatch(line):
        cost, lost = found["cost"], found["lost"]
        case.history.append(
            Record(
                found["what"],
                int(found["day"]) * 24,
                Decimal(found["units"]),
                cost=None if cost is None else Decimal(cost),
                order=found["order"],
                lost=Decimal(lost or 0),
                counted=None if found["counted"] is None else Decimal(found["counted"]),
            )
        )
        case.expected[f"record {latest + 1}"] = (case.minor(found["own"]), case.minor(found["revalued"] or "0"))
    elif found := _CLOSED.fullmatch(line):
        case.expected[f"record {latest} on 0"] = (case.minor(found["own"]), 0, case.minor(found["sold"]))
    elif found := _MORE.fullmatch(line):
        more = (case.minor(found["own"] or "0"), case.minor(found["revalued"] or "0"))
        case.expected[f"record {latest} on {found['line']}"] = more
    else:
        found = _END.fullmatch(line)
        assert found is not None, f"{case.name}: {line}"
        case.expected["end"] = (Fraction(found["units"]), case.minor(found["worth"]))
        case.expected["cost"] = None if found["cost"] is None else Fraction(found["cost"])
        layers = (found["layers"] or "").split()
        case.expected["layers"] = [tuple(map(Fraction, layer.split("@"))) for layer in layers]
