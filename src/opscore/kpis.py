"""The key figures of projections/kpis.toml: read, checked, and worked out over the facts of the projections.

A figure is a number, a numerator by a denominator, or a product or quotient of other figures. Each side is one way of
counting (`counts`) the rows of a projection's query `fact_rows`, so that a cell can always be made again from its rows.
A numerator can be added up from the facts of several projections.
"""

from __future__ import annotations

import calendar
import enum
import functools
import hashlib
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from uuid import UUID

from opscore import resources
from opscore.domain.calendars import last_of_month
from opscore.domain.values import minor_digits, plain
from opscore.projector import Projector, counting, lock, read_all

COUNTS = counting.ways()
"""How the rows of a side become one number; projector/counting.sql says what each of them is."""
NEVER_ZERO = frozenset({"median", "p90", "only", "concentration"})
"""Ways of counting that have no answer where there is no row; the others answer 0."""
AMOUNTS = frozenset({"sum", "median", "p90", "balance", "daily_mean"})
"""Ways of counting whose answer is made of the amounts themselves; the others count orders or people."""
SLICES = {
    "channel": "channel", "sku": "sku_id", "campaign": "campaign_id", "reason": "reason", "tier": "tier",
    "location": "location_id", "batch": "batch", "age": "age", "supplier": "supplier_id", "category": "category",
    "agent": "agent", "source": "source", "device": "device",
}  # fmt: skip
"""What figures can be narrowed to, and the field of `Asked` that says so."""
STORE = "store"
"""What every figure can be broken down by besides its slices."""
NONE = ""
"""The slice of what is of no channel, article, campaign ... or of one that nobody knows."""
LATEST = 2**63 - 2
"""The position of a question about now: before the one at which what still holds is said to end."""
PART_PLACES = 10**12
"""Added to the place of the rows of the second part of a numerator, twice to those of the third, and so on."""
LONG_DAYS = 31
"""A window of so many days or more holds many times what a page of its rows shows."""
NEAR_POSITIONS = (2**14, 2**17)
"""How far behind the last page the next one is looked for before it is looked for everywhere."""
LOCK = "kpis.lock"
"""The file beside kpis.toml that says which digest each version of each figure was released with."""
WORDS = frozenset({"code", "version", "name", "name_zh", "question", "question_zh", "null_rule", "grains", "slices"})
"""What of a definition may change without a new version: words about it, and what it can be asked for."""
RATIO_PLACES = 6
"""Places of a ratio, rounded half to even; a quotient of money has four more than its currency."""


NOT_BUILT = "not_built"
"""The table of kpis.toml that says of other figures why they are not built."""


class KpiFileError(ValueError):
    """A definition in kpis.toml does not read as it should; the message says which and how to mend it."""


class Unit(enum.StrEnum):
    """What a key figure is a number of."""

    COUNT = "COUNT"
    UNITS = "UNITS"
    MONEY = "MONEY"
    RATIO = "RATIO"
    SECONDS = "SECONDS"
    DAYS = "DAYS"


class KpiGrain(enum.StrEnum):
    """How long a window of a key figure is."""

    HOUR = "HOUR"
    """An hour of the store's clock; the hour that a change of clocks repeats counts as one."""
    DAY = "DAY"
    WEEK = "WEEK"
    """Monday to Sunday, cut at the ends of what is asked for."""
    MONTH = "MONTH"
    """A calendar month, cut at the ends of what is asked for."""
    TOTAL = "TOTAL"
    """All that is asked for."""


class KpiComparison(enum.StrEnum):
    """What a window is compared with."""

    PREVIOUS_PERIOD = "PREVIOUS_PERIOD"
    """The window right before it; for an hour, the same hour of the day before."""
    YEAR_ON_YEAR = "YEAR_ON_YEAR"
    """The same dates a year before; for a week, 52 weeks before."""


@dataclass(frozen=True, slots=True)
class Side:
    """A part of a numerator, or a denominator: `counts` over the measures `of` (`less` taken off) of a projection.

    whole: filters that do not narrow this side. money: whether its amounts are money where the figure is by currency.
    """

    projection: str
    counts: str
    of: tuple[str, ...]
    less: tuple[str, ...] = ()
    whole: tuple[str, ...] = ()
    money: bool = True


@dataclass(frozen=True, slots=True)
class Kpi:
    """A key figure as kpis.toml defines it.

    numerator: the parts that are added up. minus: what is taken off the quotient: 1 makes it what lies above the
    denominator. at_most: a value above it says that the data are wrong. factors and divisors: other figures, multiplied
    and divided by. told_by: the field of the API that tells it, where no facts do. matures_days: how long after its
    last day a window still changes as a matter of course.
    """

    code: str
    version: int
    name: str
    name_zh: str
    question: str
    question_zh: str
    formula: str
    unit: Unit
    grains: tuple[KpiGrain, ...]
    slices: tuple[str, ...]
    null_rule: str
    numerator: tuple[Side, ...] = ()
    denominator: Side | None = None
    minus: int = 0
    at_least: int = 0
    at_most: int | None = None
    factors: tuple[str, ...] = ()
    divisors: tuple[str, ...] = ()
    by_currency: bool = False
    book: str | None = None
    matures_days: int = 0
    told_by: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of a key figure: local days (both included), grain and filters; None: not narrowed.

    now: promises that fall due later (UTC) are left out. as_of: only what was known at that position of the log.
    by: a slice, or STORE: each has cells of its own. kept: of these only; all others together are the rest.
    """

    from_day: date
    to_day: date
    grain: KpiGrain
    store_ids: Sequence[UUID] | None
    now: datetime
    channel: str | None = None
    sku_id: UUID | None = None
    campaign_id: UUID | None = None
    reason: str | None = None
    tier: str | None = None
    location_id: UUID | None = None
    batch: str | None = None
    age: str | None = None
    supplier_id: UUID | None = None
    category: str | None = None
    agent: str | None = None
    source: str | None = None
    device: str | None = None
    as_of: int = LATEST
    by: str | None = None
    kept: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Released:
    """A version of a key figure as kpis.lock knows it; `name` is its code."""

    name: str
    version: int
    digest: str


Key = tuple[date, int | None, str | None, str | None]
"""A cell: first day of the window, hour, currency, and in a breakdown the slice (ids as text, NONE; None: the rest)."""


@dataclass(frozen=True, slots=True)
class OneCell:
    """Which cell of a window is opened: hour, currency, and in a breakdown the slice or what it is the rest of."""

    hour: int | None = None
    currency: str | None = None
    part: str | None = None
    rest_of: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """The exact value of a cell with its two sides; money in minor units. None: not known."""

    value: Fraction | None
    numerator: Fraction | None
    denominator: Fraction | None


def load(folder: Path | None = None) -> dict[str, Kpi]:
    """Return the key figures of a projections folder (the package's own when None) by code, in the file's order.

    Raises `KpiFileError`, and `EditedWithoutVersion` when kpis.lock knows one with another digest.
    """
    folder = folder or resources.path("projections")
    return _checked(folder, lock.stamp(folder, LOCK))


@functools.lru_cache(maxsize=16)
def _checked(folder: Path, _locked: tuple[int, int] | None) -> dict[str, Kpi]:
    """Compare definitions with the lock as it stands: every question asks for them, some of them several times."""
    kpis = read(folder / "kpis.toml")
    lock.refuse_edited(folder, released(kpis), LOCK, edited="kpis.toml")
    return kpis


def released(kpis: Mapping[str, Kpi]) -> dict[str, Released]:
    """Return what kpis.lock has to know of each figure.

    The digest (SHA-256, hexadecimal) is over everything that decides a value, the formula in words too. A figure made
    of others has their versions in it: when one of them changes its meaning, so does the product.
    """
    return {code: released_one(kpi, kpis) for code, kpi in kpis.items()}


def released_one(kpi: Kpi, kpis: Mapping[str, Kpi]) -> Released:
    """Return what kpis.lock has to know of one of these figures."""
    return _released(kpi, tuple((other, kpis[other].version) for other in (*kpi.factors, *kpi.divisors)))


@functools.lru_cache(maxsize=1024)
def _released(kpi: Kpi, made_of: tuple[tuple[str, int], ...]) -> Released:
    """Every question shows the digest of its figure: what a definition comes to is made once."""
    said = {name: value for name, value in as_json(kpi).items() if name not in WORDS}
    text = json.dumps({**said, "made_of": made_of}, ensure_ascii=False, sort_keys=True)
    return Released(kpi.code, kpi.version, hashlib.sha256(text.encode()).hexdigest())


def as_json(kpi: Kpi) -> dict[str, Any]:
    """Return a definition as plain JSON: what kpis.toml says of it, with its code; `from_json` reads it again."""

    def plain_of(thing: Kpi | Side) -> dict[str, Any]:
        said = {}
        for each in fields(thing):
            value = getattr(thing, each.name)
            if each.default is not MISSING and value == each.default:
                continue
            if isinstance(value, tuple):
                value = [plain_of(one) if isinstance(one, Side) else one for one in value]
            said[each.name] = plain_of(value) if isinstance(value, Side) else value
        return said

    return plain_of(kpi)


def from_json(said: Mapping[str, Any]) -> Kpi:
    """Return a definition that `as_json` wrote, maybe of a version that this program counts no more."""
    return _parsed(said["code"], {name: value for name, value in said.items() if name != "code"})


@functools.cache
def read(path: Path) -> dict[str, Kpi]:
    """Read and check a file of definitions beside the folders of its projections."""
    said_of = tomllib.loads(path.read_text("utf-8"))
    kpis = {code: _kpi(code, said) for code, said in said_of.items() if code != NOT_BUILT}
    projections = read_all(path.parent)
    for kpi in kpis.values():
        for side in (each for parts in sides(kpi).values() for each in parts):
            source = projections.get(side.projection)
            if source is None:
                raise KpiFileError(f"{kpi.code}: there is no projection {side.projection}")
            if counting.FACTS not in {query.name for query in source.statements("queries.sql")}:
                raise KpiFileError(f"{kpi.code}: {side.projection} has no query {counting.FACTS}")
            facts = next(each for each in source.statements("queries.sql") if each.name == counting.FACTS)
            for each in set(kpi.slices) - set(side.whole):
                if SLICES[each] not in facts.parameters:
                    raise KpiFileError(f"{kpi.code}: {side.projection} cannot be narrowed to one {each}")
            for measure in (*side.of, *side.less):
                if measure not in source.literals:
                    raise KpiFileError(f"{kpi.code}: {side.projection} has no measure {measure}")
            if not set(side.less) <= set(side.of):
                raise KpiFileError(f"{kpi.code}: what is taken off stands in 'of' too")
        for factor in (*kpi.factors, *kpi.divisors):
            if factor not in kpis or kpis[factor].factors:
                raise KpiFileError(f"{kpi.code}: {factor} is no figure with a numerator; a factor has to be one")
    return kpis


def _kpi(code: str, said: Mapping[str, Any]) -> Kpi:
    if not re.fullmatch(r"[KP]\d{3}[A-Z]?", code):
        raise KpiFileError(f"{code}: a code is K or P, three digits and at most one capital")
    try:
        kpi = _parsed(code, said)
    except (KeyError, TypeError, ValueError) as fault:
        raise KpiFileError(f"{code}: {fault}") from None
    if [bool(kpi.numerator), bool(kpi.factors), kpi.told_by is not None].count(True) != 1 or (
        kpi.factors and kpi.denominator
    ):
        raise KpiFileError(f"{code}: say either a numerator (and a denominator) or factors, or what it is told by")
    if (kpi.divisors and not kpi.factors) or (kpi.minus and kpi.denominator is None and not kpi.divisors):
        raise KpiFileError(f"{code}: divisors go with factors, and minus with a quotient")
    if kpi.at_least and kpi.denominator is None:
        raise KpiFileError(f"{code}: at_least goes with a denominator")
    if not set(kpi.slices) <= set(SLICES):
        raise KpiFileError(f"{code}: slices are of {', '.join(SLICES)}")
    every = [each for parts in sides(kpi).values() for each in parts]
    if any(side.counts not in COUNTS or not set(side.whole) <= set(SLICES) for side in every):
        raise KpiFileError(f"{code}: counts is one of {', '.join(COUNTS)}, whole is of {', '.join(SLICES)}")
    if len(kpi.numerator) > 1 and any(side.counts != "sum" for side in kpi.numerator):
        raise KpiFileError(f"{code}: of several parts only sums can be added up")
    if KpiGrain.HOUR in kpi.grains and any(side.counts in counting.FROM_THE_BEGINNING for side in every):
        raise KpiFileError(f"{code}: what stands at the end of a day is not known by the hour")
    if kpi.unit is Unit.MONEY and not kpi.by_currency:
        raise KpiFileError(f"{code}: amounts of several currencies cannot be added; say by_currency = true")
    if kpi.version < 1 or kpi.book not in (None, "PLATFORM", "ACCOUNTING"):
        raise KpiFileError(f"{code}: versions start at 1, and a book is PLATFORM or ACCOUNTING")
    return kpi


def _parsed(code: str, said: Mapping[str, Any]) -> Kpi:
    known = dict(said)
    for name in ("numerator", "denominator"):
        if name in known:
            parts = known[name] if isinstance(known[name], list) else [known[name]]
            made = tuple(Side(**{key: _plain(value) for key, value in part.items()}) for part in parts)
            known[name] = made if name == "numerator" else made[0]
    known["unit"] = Unit(known["unit"])
    known["grains"] = tuple(KpiGrain(grain) for grain in known["grains"])
    return Kpi(code=code, **{key: _plain(value) for key, value in known.items()})


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def sides(kpi: Kpi) -> dict[str, tuple[Side, ...]]:
    """Return the sides of a figure by name, each in its parts; none for a product."""
    found = {"numerator": kpi.numerator, "denominator": () if kpi.denominator is None else (kpi.denominator,)}
    return {name: parts for name, parts in found.items() if parts}


def sources(kpi: Kpi, kpis: Mapping[str, Kpi]) -> set[str]:
    """Return the projections that a figure rests on."""
    own = {side.projection for parts in sides(kpi).values() for side in parts}
    return own.union(*(sources(kpis[factor], kpis) for factor in (*kpi.factors, *kpi.divisors)))


def narrowed(kpi: Kpi, kpis: Mapping[str, Kpi]) -> dict[str, set[str]]:
    """Return the projections that a figure rests on, each with the slices that some side over it is narrowed to."""
    found: dict[str, set[str]] = {}
    for side in (each for parts in sides(kpi).values() for each in parts):
        found.setdefault(side.projection, set()).update(set(SLICES) - set(side.whole))
    for factor in (*kpi.factors, *kpi.divisors):
        for name, slices in narrowed(kpis[factor], kpis).items():
            found.setdefault(name, set()).update(slices)
    return found


# Asking --------------------------------------------------------------------------------------------------------------


def parameters(side: Side, asked: Asked, *, by_currency: bool) -> dict[str, Any]:
    """Return the parameters of a question about one side; the store scope comes beside them."""
    filters = {column: getattr(asked, column) for name, column in SLICES.items() if name not in side.whole}
    return {
        "from_day": None if side.counts in counting.FROM_THE_BEGINNING else asked.from_day,
        "to_day": asked.to_day,
        "first_day": asked.from_day,
        "last_day": last_day(asked),
        "grain": asked.grain.value.lower(),
        "now": asked.now,
        "as_of": asked.as_of,
        "measures": list(side.of),
        "less": list(side.less),
        "by_currency": by_currency,
        "by": None if asked.by in side.whole else asked.by,
        "kept": None if asked.kept is None or asked.by in side.whole else list(asked.kept),
        **filters,
    }


def last_day(asked: Asked) -> date:
    """Return the last day that has an end to speak of: none later than today, wherever that day is furthest on."""
    return min(asked.to_day, (asked.now + timedelta(hours=14)).date())


def cells(projector: Projector, kpis: Mapping[str, Kpi], kpi: Kpi, asked: Asked) -> dict[Key, Cell]:
    """Return the cells of a figure by key, in order; windows in which nothing happened have none (blocking)."""
    if kpi.factors:
        return _product(projector, kpis, kpi, asked)
    over, beside = _side(projector, kpi.numerator, asked, kpi.by_currency)
    zero = None if any(side.counts in NEVER_ZERO for side in kpi.numerator) else Fraction(0)
    if kpi.denominator is None:
        found = {key: Cell(value, value, None) for key, value in over.items()}
    else:
        if _counted_beside(kpi):
            under = beside
        else:
            under, _ = _side(projector, (kpi.denominator,), asked, kpi.by_currency)
        found = {}
        # What is not broken down stands under every slice.
        whole = asked.by is not None and asked.by in kpi.denominator.whole
        for key in over if whole else {*over, *under}:
            top, bottom = over.get(key, zero), under.get((*key[:3], None) if whole else key)
            found[key] = Cell(quotient(kpi, top, bottom), top, bottom)
    return {key: found[key] for key in sorted(found, key=_order)}


def largest(projector: Projector, kpis: Mapping[str, Kpi], kpi: Kpi, asked: Asked, top: int) -> tuple[str, ...]:
    """Return the slices of `asked.by` with the largest values over all that is asked for, `top` of each currency.

    Slices without a value come last; of equal ones the lower in text order comes first.
    """
    by_currency: dict[str | None, list[tuple[Fraction | None, str]]] = {}
    for key, cell in cells(projector, kpis, kpi, replace(asked, grain=KpiGrain.TOTAL, kept=None)).items():
        if key[3] is not None:
            by_currency.setdefault(key[2], []).append((cell.value, key[3]))
    found: dict[str, None] = {}
    for values in by_currency.values():
        ranked = sorted(values, key=lambda each: (each[0] is None, -(each[0] or 0), each[1]))
        found.update(dict.fromkeys(name for _, name in ranked[:top]))
    return tuple(found)


def quotient(kpi: Kpi, top: Fraction | None, bottom: Fraction | None) -> Fraction | None:
    """Return what a figure makes of its two sides; unknown without a denominator that is large enough."""
    return top / bottom - kpi.minus if top is not None and bottom and bottom >= kpi.at_least else None


def _product(projector: Projector, kpis: Mapping[str, Kpi], kpi: Kpi, asked: Asked) -> dict[Key, Cell]:
    """Multiply the factors of each window and divide by the divisors.

    Not decomposable when one of them is unknown or several currencies were taken.
    """
    codes = (*kpi.factors, *kpi.divisors)
    by_window: dict[tuple[date, int | None, str | None], list[dict[str | None, Fraction | None]]] = {}
    for number, code in enumerate(codes):
        for (starts_on, hour, currency, part), cell in cells(projector, kpis, kpis[code], asked).items():
            factors = by_window.setdefault((starts_on, hour, part), [{} for _ in codes])
            factors[number][currency] = cell.value
    found: dict[Key, Cell] = {}
    for (starts_on, hour, part), factors in by_window.items():
        currencies = {currency for factor in factors for currency in factor} - {None}
        product: Fraction | None = Fraction(1)
        for number, factor in enumerate(factors):
            one = next(iter(factor.values())) if len(factor) == 1 else None
            if number < len(kpi.factors):
                product = None if product is None or one is None else product * one
            else:
                product = None if product is None or not one else product / one
        value = None if product is None else product - kpi.minus
        for currency in currencies or {None}:
            found[starts_on, hour, currency, part] = Cell(value, value, None)
    return {key: found[key] for key in sorted(found, key=_order)}


def _counted_beside(kpi: Kpi) -> bool:
    """Say whether counting the numerator counts the denominator as well: some people, out of all of them."""
    [first, *more] = kpi.numerator
    return not more and first.counts in counting.OF_PEOPLE and replace(first, counts="people") == kpi.denominator


def _side(
    projector: Projector, parts: Sequence[Side], asked: Asked, by_currency: bool
) -> tuple[dict[Key, Fraction | None], dict[Key, Fraction | None]]:
    """Return the values of one side, and how many people there are in all where that is counted beside them."""
    # Traffic has no currency: beside amounts, its one number stands under None.
    found: dict[Key, Fraction | None] = {}
    people: dict[Key, Fraction | None] = {}
    for side in parts:
        params = parameters(side, asked, by_currency=by_currency)
        rows = projector.run_query(side.projection, f"cells_{side.counts}", params, store_ids=asked.store_ids)
        for row in rows:
            part = row["slice"] if params["by"] is not None else None
            key = (row["starts_on"], row["hour"], row["currency"], part)
            value = None if row["value"] is None else Fraction(row["value"]) / Fraction(row["parts"])
            # Of several parts each is a sum, which is never unknown.
            found[key] = value if key not in found else (found[key] or Fraction(0)) + (value or Fraction(0))
            if "people" in row:
                people[key] = Fraction(row["people"])
    return found, people


def facts(
    projector: Projector,
    kpi: Kpi,
    parts: Sequence[Side],
    asked: Asked,
    cell: OneCell,
    *,
    after: tuple[int, int] = (0, 0),
    limit: int = 100,
) -> list[dict[str, Any]]:
    """Return the rows behind one side of a cell by (position, place), after that key (blocking).

    asked: the window of the cell alone. The side is `counts` over all its rows' amounts, orders or people; each row
    says the `projection` it is of.
    """
    found: list[dict[str, Any]] = []
    for number, side in enumerate(parts):
        params = {**parameters(side, asked, by_currency=kpi.by_currency), **_of_cell(side, asked, cell)}
        behind = (after[0], max(after[1] - number * PART_PLACES, 0))
        # Of the other parts nothing is shown that comes after a full page of this one.
        up_to = found[-1]["position"] if len(found) == limit else None
        rows = _facts_of(projector, side, params, asked, behind, up_to, limit)
        found += [{**row, "place": row["place"] + number * PART_PLACES, "projection": side.projection} for row in rows]
        found = sorted(found, key=lambda row: (row["position"], row["place"]))[:limit]
    return found


def _facts_of(
    projector: Projector,
    side: Side,
    params: dict[str, Any],
    asked: Asked,
    after: tuple[int, int],
    up_to: int | None,
    limit: int,
) -> list[dict[str, Any]]:
    """Return the rows behind one side after (position, place) and up to a position."""
    steps = [up_to]
    if params["from_day"] is None or (asked.to_day - asked.from_day).days >= LONG_DAYS:
        # For one page all that a long window holds would be sorted; mostly the page is full before long.
        near = [after[0] + each for each in NEAR_POSITIONS]
        steps = [*(each for each in near if up_to is None or each < up_to), up_to]
    found: list[dict[str, Any]] = []
    for step in steps:
        given = {
            "after_position": after[0], "after_place": after[1], "up_to_position": step,
            "row_limit": limit - len(found),
        }  # fmt: skip
        found += projector.run_query(side.projection, counting.PAGE, params | given, store_ids=asked.store_ids)
        if len(found) == limit or step is None:
            break
        after = (step, LATEST)
    return found


def _of_cell(side: Side, asked: Asked, cell: OneCell) -> dict[str, Any]:
    # A side that is not narrowed by the slice is the same whole for all of them.
    whole = asked.by is None or asked.by in side.whole
    return {
        "of_hour": cell.hour,
        "of_currency": cell.currency,
        "of_slice": None if whole else cell.part,
        "rest_of": None if whole or cell.rest_of is None else list(cell.rest_of),
    }


def count_facts(
    projector: Projector,
    kpi: Kpi,
    parts: Sequence[Side],
    asked: Asked,
    cell: OneCell,
) -> int:
    """Return how many rows `facts` has in all (blocking)."""
    found = 0
    for side in parts:
        params = {
            **parameters(side, asked, by_currency=kpi.by_currency),
            **_of_cell(side, asked, cell),
        }
        [row] = projector.run_query(side.projection, counting.HOW_MANY, params, store_ids=asked.store_ids)
        found += row["rows"]
    return found


def _order(key: Key) -> tuple[date, int, str, bool, str]:
    return key[0], -1 if key[1] is None else key[1], key[2] or "", key[3] is None, key[3] or ""


# Windows -------------------------------------------------------------------------------------------------------------


def ends_on(starts_on: date, asked: Asked) -> date:
    """Return the last day of a window that begins on this day."""
    match asked.grain:
        case KpiGrain.TOTAL:
            end = asked.to_day
        case KpiGrain.WEEK:
            end = starts_on + timedelta(days=6 - starts_on.weekday())
        case KpiGrain.MONTH:
            end = last_of_month(starts_on)
        case _:
            end = starts_on
    return min(end, asked.to_day)


def is_final(kpi: Kpi, starts_on: date, asked: Asked) -> bool:
    """Return whether a window is over everywhere, and the days too for which such a figure still changes."""
    over = ends_on(starts_on, asked) + timedelta(days=kpi.matures_days)
    return over < (asked.now - timedelta(hours=12)).date()


def earlier(asked: Asked, comparison: KpiComparison) -> Asked:
    """Return the same question about the windows that these are compared with."""
    return replace(
        asked, from_day=_back(asked, comparison, asked.from_day), to_day=_back(asked, comparison, asked.to_day)
    )


def earlier_start(starts_on: date, asked: Asked, comparison: KpiComparison) -> date:
    """Return the first day of the window that the one of this first day is compared with."""
    return max(_back(asked, comparison, starts_on), earlier(asked, comparison).from_day)


def _back(asked: Asked, comparison: KpiComparison, day: date) -> date:
    if comparison is KpiComparison.YEAR_ON_YEAR:
        return day - timedelta(weeks=52) if asked.grain is KpiGrain.WEEK else _months_back(day, 12)
    match asked.grain:
        case KpiGrain.TOTAL:
            return day - (asked.to_day - asked.from_day) - timedelta(days=1)
        case KpiGrain.MONTH:
            return _months_back(day, 1)
        case KpiGrain.WEEK:
            return day - timedelta(weeks=1)
        case _:
            return day - timedelta(days=1)


def _months_back(day: date, months: int) -> date:
    """Return the same day some months before; the last day of a month stays the last."""
    number = day.year * 12 + day.month - 1 - months
    year, month = divmod(number, 12)
    last = calendar.monthrange(year, month + 1)[1]
    was_last = day == last_of_month(day)
    return date(year, month + 1, last if was_last else min(day.day, last))


# Numbers -------------------------------------------------------------------------------------------------------------


def shown(number: Fraction | None, kpi: Kpi, currency: str | None) -> Decimal | None:
    """Return a value of a figure as people read it: money in main units, ratios to six places."""
    if number is None:
        return None
    digits = minor_digits(currency) if kpi.unit is Unit.MONEY and currency else 0
    places = digits + 4 if kpi.unit is Unit.MONEY else RATIO_PLACES
    return rounded(number / 10**digits, places)


def shown_side(number: Fraction | None, side: Side | None, kpi: Kpi, currency: str | None) -> Decimal | None:
    """Return a numerator or denominator; sums of money in main units, exact."""
    if number is None:
        return None
    money = kpi.by_currency and currency is not None and (side is None or (side.money and side.counts in AMOUNTS))
    digits = minor_digits(currency) if money and currency else 0
    return rounded(number / 10**digits, max(digits, RATIO_PLACES))


def rounded(number: Fraction, places: int) -> Decimal:
    """Return an exact number as a decimal of at most so many places, rounded half to even."""
    scaled = number * 10**places
    whole = round(scaled)  # Of a Fraction: half to even, exact.
    return plain(Decimal(whole).scaleb(-places))


__all__ = [
    "LATEST", "LOCK", "NONE", "STORE", "Asked", "Cell", "Kpi", "KpiComparison", "KpiFileError", "KpiGrain", "OneCell",
    "Released", "Side", "Unit", "as_json", "cells", "earlier", "earlier_start", "ends_on", "facts", "from_json",
    "is_final",
    "largest", "load", "narrowed", "quotient", "released", "released_one", "shown", "shown_side", "sides", "sources",
]  # fmt: skip
