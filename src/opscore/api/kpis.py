"""The catalogue of key figures, their cells for any window, and the rows behind each cell."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import strawberry

from opscore import kpi_versions, kpis
from opscore.api.arguments import window_of_days
from opscore.api.context import Context
from opscore.api.enums import expose
from opscore.api.errors import BadInput, NotReady
from opscore.api.figures import ask
from opscore.api.ids import global_id, key_of
from opscore.api.lists import PageArguments
from opscore.api.money import Money, money
from opscore.api.numbers import order_number_field
from opscore.api.paging import connection, number
from opscore.api.scalars import Position
from opscore.kpi_versions import InForce
from opscore.kpis import Asked, Cell, Kpi, KpiComparison, KpiGrain, OneCell
from opscore.log.event_log import EventFilter
from opscore.projector import Behind, ProjectionRefused, Projector, counting
from opscore.projector.lock import EditedWithoutVersion

DAYS_MAX = {KpiGrain.HOUR: 62, KpiGrain.DAY: 1_100}
"""Most days of one question at a grain; coarser ones have the bound of 4,000."""
DAYS_MAX_ELSE = 4_000
LATER_SLICES = ("source", "device")
"""Slices that facts of earlier versions do not have, and would not be narrowed to."""
TOP_MAX = 100
MONTHS_LATER_MAX = 1_200
BREAKDOWN_ROWS_MAX = 10_000


class KpiSide(enum.StrEnum):
    """Which side of a key figure is opened."""

    NUMERATOR = "NUMERATOR"
    """What is divided, or the figure itself when it is no quotient."""
    DENOMINATOR = "DENOMINATOR"


class KpiBook(enum.StrEnum):
    """Whose view of sales a figure takes."""

    PLATFORM = "PLATFORM"
    """What buyers paid, refunds not deducted."""
    ACCOUNTING = "ACCOUNTING"
    """Net of what went back."""


class KpiSlice(enum.StrEnum):
    """What a key figure can be narrowed to and broken down by."""

    STORE = "STORE"
    """The store; every figure."""
    CHANNEL = "CHANNEL"
    SKU = "SKU"
    CAMPAIGN = "CAMPAIGN"
    REASON = "REASON"
    """Why goods are to come back."""
    TIER = "TIER"
    """A tier of members."""
    LOCATION = "LOCATION"
    """Where stock lies."""
    BATCH = "BATCH"
    """A batch of units, as far as receipts and shipments name it."""
    AGE = "AGE"
    """How long ago units came in, in bands of days such as 31-90."""
    SUPPLIER = "SUPPLIER"
    """Whom goods were bought of; a breakdown names `supplierId`."""
    CATEGORY = "CATEGORY"
    """What money was spent on; K104E names the categories that are not booked."""
    AGENT = "AGENT"
    """Who of the staff helped the buyer; `silent` where nobody is named."""
    SOURCE = "SOURCE"
    """By which way the buyer or visitor came to the shop, apart from the sales channel; empty where nobody knows."""
    DEVICE = "DEVICE"
    """What the buyer or visitor used, such as pc or app; empty where nobody knows."""


for _exposed in (KpiSide, KpiBook, KpiSlice, KpiGrain, KpiComparison, kpis.Unit):
    expose(_exposed, "KpiUnit" if _exposed is kpis.Unit else None)


@strawberry.type(description="One side of a key figure: how it is counted, and over what.")
class KpiSource:
    side: KpiSide = strawberry.field(description="Which side it is.")
    projection: str = strawberry.field(description="The read model.")
    counts: str = strawberry.field(
        description="How its rows become a number: sum, orders, people, people_again (on two days or more), "
        "people_of_two and people_of_three (with so many orders or more), median, p90, only (one report), balance (all "
        "up to the end), daily_mean (of the balances of each day), concentration (the sum of the squares of the shares "
        "of channels)."
    )
    measures: list[str] = strawberry.field(description="What is counted.")
    less: list[str] = strawberry.field(description="Which of it are taken off.")


@strawberry.type(description="What a key figure means.")
class KpiDefinition:
    code: str = strawberry.field(description="Its code, such as K017.")
    version: int = strawberry.field(description="Version of the definition.")
    name: str = strawberry.field(description="Its name.")
    name_zh: str = strawberry.field(description="Its name in Chinese.")
    question: str = strawberry.field(description="The question that it answers.")
    question_zh: str = strawberry.field(description="The question in Chinese.")
    formula: str = strawberry.field(description="How it is worked out.")
    unit: kpis.Unit = strawberry.field(description="What it is a number of.")
    book: KpiBook | None = strawberry.field(description="Whose view of sales it takes; null: neither.")
    grains: list[KpiGrain] = strawberry.field(description="How long its windows can be.")
    slices: list[KpiSlice] = strawberry.field(description="What it can be narrowed to.")
    null_rule: str = strawberry.field(description="When there is no value.")
    sources: list[KpiSource] = strawberry.field(
        description="Its sides; a numerator of several sources is their sum. None for a figure made of others."
    )
    minus: int = strawberry.field(description="What is taken off the quotient: 1 where it says what lies above.")
    at_least: int = strawberry.field(description="A smaller denominator says too little: the value is null then.")
    factors: list[str] = strawberry.field(description="Codes of the figures whose product it is.")
    divisors: list[str] = strawberry.field(description="Codes of the figures by which that product is divided.")
    matures_days: int = strawberry.field(
        description="How many days after its end a window still changes as a matter of course."
    )
    digest: str = strawberry.field(
        description="SHA-256, hexadecimal, over what decides its values; another meaning has another version."
    )
    at_most: int | None = strawberry.field(
        description="A value above it says that the data are wrong; null: there is no such bound."
    )
    told_by: str | None = strawberry.field(
        description="The query that tells it, where `kpi` does not; null: `kpi` does."
    )
    in_force_from: datetime | None = strawberry.field(
        description="Since when this server's database has it in force; null until a server has taken it into service."
    )
    in_force_until: datetime | None = strawberry.field(
        description="When another version took its place, or the figure went; null while it is in force."
    )


@strawberry.type(description="The window that another is compared with.")
class KpiCompared:
    starts_on: date = strawberry.field(description="First day of the window.")
    ends_on: date = strawberry.field(description="Last day of the window; it counts.")
    value: Decimal | None = strawberry.field(description="The value then.")
    numerator: Decimal | None = strawberry.field(description="What was divided then.")
    denominator: Decimal | None = strawberry.field(description="What it was divided by then.")


@strawberry.type(description="A key figure in one window.")
class KpiRow:
    starts_on: date = strawberry.field(description="First day of the window, in each store's own zone.")
    ends_on: date = strawberry.field(description="Last day of the window; it counts.")
    hour: int | None = strawberry.field(description="Hour of the day, at the grain of hours.")
    currency_code: str | None = strawberry.field(description="Currency of its amounts, in main units.")
    slice: str | None = strawberry.field(
        description="In a breakdown: the id of the store, article, campaign or location, or the name; empty for what "
        "is of none. Null: all others together, or no breakdown was asked for."
    )
    value: Decimal | None = strawberry.field(description="The value; null as the definition's rule says.")
    numerator: Decimal | None = strawberry.field(
        description="What is divided, exact; the figure itself if no quotient."
    )
    denominator: Decimal | None = strawberry.field(description="What it is divided by, exact; null if no quotient.")
    is_implausible: bool = strawberry.field(
        description="Whether the value is above what it can be (`atMost`), so that the data behind it are wrong."
    )
    is_final: bool = strawberry.field(
        description="Whether the window is over, and the days for which such a figure still changes."
    )
    compared: KpiCompared | None = strawberry.field(description="The earlier window, if one was asked for.")
    change: Decimal | None = strawberry.field(
        description="(value - value then) / value then; null without a value then or when that was 0."
    )


@strawberry.type(description="The answer to a question about a key figure.")
class KpiAnswer:
    definition: KpiDefinition = strawberry.field(description="What the figure means.")
    known_at_position: Position = strawberry.field(
        description="Every event of the log up to this position is in the figures."
    )
    rows: list[KpiRow] = strawberry.field(
        description="The windows, oldest first; one in which nothing happened is left out."
    )
    slices: list[str] = strawberry.field(
        description="In a breakdown: the slices that have rows of their own, largest first; the rest is all but these."
    )


@strawberry.type(description="One window in both books.")
class SalesBooksRow:
    starts_on: date = strawberry.field(description="First day of the window, in each store's own zone.")
    ends_on: date = strawberry.field(description="Last day of the window; it counts.")
    platform: Money = strawberry.field(description="The platform book: everything paid in full, refunds not deducted.")
    accounting: Money = strawberry.field(
        description="The accounting book: the same, less everything that went back on the day it went."
    )
    difference: Money = strawberry.field(description="What the platform book says more.")
    gmv: Money = strawberry.field(description="Of the platform book, the goods (K017).")
    net_sales: Money = strawberry.field(description="Of the accounting book, the goods (K023).")


@strawberry.type(description="What was sold in both books, side by side.")
class SalesBooks:
    platform: KpiDefinition = strawberry.field(description="What the platform book means.")
    accounting: KpiDefinition = strawberry.field(description="What the accounting book means.")
    known_at_position: Position = strawberry.field(
        description="Every event of the log up to this position is in the figures."
    )
    rows: list[SalesBooksRow] = strawberry.field(description="The windows by currency, oldest first.")


@strawberry.input(description="A moment in what we knew: a position of the log, or a time at which it was recorded.")
class KpiAsOf:
    position: Position | None = strawberry.field(
        default=strawberry.UNSET, description="As the log stood at this position."
    )
    recorded_at: datetime | None = strawberry.field(
        default=strawberry.UNSET, description="As we knew it at this moment."
    )


@strawberry.type(description="A row behind a cell: what one event added to one side of a key figure.")
class KpiFact:
    position: Position = strawberry.field(description="Position of the event in the log.")
    event: str = strawberry.field(description="Its type.")
    occurred_at: datetime = strawberry.field(description="When it happened.")
    measure: str = strawberry.field(description="What it counts as.")
    store_id: strawberry.ID = strawberry.field(description="The store.")
    day: date = strawberry.field(description="The day that it counts for, the store's own.")
    hour: int | None = strawberry.field(description="The hour of that day.")
    currency_code: str | None = strawberry.field(description="Currency of an amount of money.")
    order_id: strawberry.ID | None = strawberry.field(description="The order; `orders` counts different ones.")
    order_number = order_number_field()
    buyer: str | None = strawberry.field(
        description="Who, as a plain id (a guest's is the order's); `people` counts different ones."
    )
    channel: str | None = strawberry.field(description="The channel, if it is known; `concentration` goes by it.")
    amount: Decimal = strawberry.field(
        description="What it adds, negative if taken off; money in minor units; `sum`, `only`, `median`, `p90` use it."
    )
    definition_version: int = strawberry.field(description="Version of the definition.")
    projection: str = strawberry.field(description="The read model that it is of.")
    rule_version: int = strawberry.field(description="Version of the projection's rules that counted it.")


@strawberry.type(description="How many of the customers that began in a month paid in a later one.")
class RetentionCohort:
    starts_on: date = strawberry.field(description="First day of the month of the first paid order in these stores.")
    months_later: int = strawberry.field(description="How many months after it; 0 is the month itself.")
    customers: int = strawberry.field(description="Customers who began in that month.")
    active_customers: int = strawberry.field(description="Those of them who paid in the later month.")


def definitions(context: Context, code: str | None, past: bool) -> list[KpiDefinition]:
    """Return every definition, or those of one figure; with the past ones, if they are asked for (blocking)."""
    if code is not None:
        find(code)
    listed = kpi_versions.listed(context.services.database, code)
    if past:
        return [definition(each.kpi, each.digest, each.since, each.until) for each in listed]
    return [defined(context, kpi, listed) for kpi in known().values() if code in (None, kpi.code)]


def defined(context: Context, kpi: Kpi, listed: Sequence[InForce] | None = None) -> KpiDefinition:
    """Return a definition with its digest and since when it is in force; `listed`, if that is known (blocking)."""
    if listed is None:
        listed = kpi_versions.listed(context.services.database, kpi.code)
    digest = kpis.released_one(kpi, known()).digest
    now = (each for each in listed if each.until is None and (each.kpi.code, each.digest) == (kpi.code, digest))
    found = next(now, None)
    return definition(kpi, digest, None if found is None else found.since, None)


def definition(kpi: Kpi, digest: str, since: datetime | None, until: datetime | None) -> KpiDefinition:
    """Return a definition as the API shows it."""
    return KpiDefinition(
        code=kpi.code,
        version=kpi.version,
        name=kpi.name,
        name_zh=kpi.name_zh,
        question=kpi.question,
        question_zh=kpi.question_zh,
        formula=kpi.formula,
        unit=kpi.unit,
        book=None if kpi.book is None else KpiBook(kpi.book),
        grains=list(kpi.grains),
        slices=[] if kpi.told_by else [KpiSlice.STORE, *(KpiSlice(each.upper()) for each in kpi.slices)],
        null_rule=kpi.null_rule,
        sources=[
            KpiSource(
                side=KpiSide(name.upper()),
                projection=side.projection,
                counts=side.counts,
                measures=list(side.of),
                less=list(side.less),
            )
            for name, parts in kpis.sides(kpi).items()
            for side in parts
        ],
        minus=kpi.minus,
        at_least=kpi.at_least,
        factors=list(kpi.factors),
        divisors=list(kpi.divisors),
        matures_days=kpi.matures_days,
        at_most=kpi.at_most,
        told_by=kpi.told_by,
        digest=digest,
        in_force_from=since,
        in_force_until=until,
    )


def known() -> dict[str, Kpi]:
    """Return every key figure by code; raises NotReady when one was edited without a new version."""
    try:
        return kpis.load()
    except EditedWithoutVersion as refused:
        raise NotReady(str(refused)) from None


def find(code: str) -> Kpi:
    """Return a key figure; raises BadInput for an unknown code."""
    try:
        return known()[code]
    except KeyError:
        raise BadInput(f"There is no key figure {code}; kpiDefinitions lists them.") from None


def require(kpi: Kpi, asked: Asked) -> None:
    """Raise BadInput when the figure has no such grain, slice or window."""
    if kpi.told_by is not None:
        raise BadInput(f"{kpi.code} is told by {kpi.told_by}; ask that.")
    if asked.grain not in kpi.grains:
        raise BadInput(f"{kpi.code} is known by {', '.join(kpi.grains)}.")
    for name, column in kpis.SLICES.items():
        if getattr(asked, column) is not None and name not in kpi.slices:
            raise BadInput(f"{kpi.code} cannot be narrowed to one {name}.")
    if asked.by is not None and asked.by not in (kpis.STORE, *kpi.slices):
        slices = ", ".join(each.upper() for each in (kpis.STORE, *kpi.slices))
        raise BadInput(f"{kpi.code} cannot be broken down by {asked.by.upper()}, only by {slices}.")
    if asked.by in kpis.SLICES and getattr(asked, kpis.SLICES[asked.by]) is not None:
        raise BadInput(f"It is narrowed to one {asked.by} already; leave that out, or break it down by something else.")
    window_of_days(asked.from_day, asked.to_day)
    days = (asked.to_day - asked.from_day).days + 1
    bound = DAYS_MAX.get(asked.grain, DAYS_MAX_ELSE)
    if days > bound or asked.from_day.year < 1900:
        raise BadInput(f"Ask for 1 to {bound} days at this grain, since 1900; these are {days} from {asked.from_day}.")


def _bounded(asked: Asked, top: int) -> None:
    """Raise BadInput when a breakdown would have too many rows."""
    days = (asked.to_day - asked.from_day).days + 1
    windows = {KpiGrain.HOUR: days * 24, KpiGrain.DAY: days, KpiGrain.WEEK: days // 7 + 2}
    windows[KpiGrain.MONTH] = days // 28 + 2
    if not 1 <= top <= TOP_MAX:
        raise BadInput(f"A breakdown has 1 to {TOP_MAX} slices of their own, not {top}.")
    if (top + 1) * windows.get(asked.grain, 1) > BREAKDOWN_ROWS_MAX:
        raise BadInput(
            f"Such a breakdown may have more than {BREAKDOWN_ROWS_MAX:,} rows; ask for fewer days, a coarser grain or "
            "a smaller top."
        )


SLICE_TYPES = {"store": "Store", "sku": "Sku", "campaign": "Campaign"}
"""Slices that are named by a global id, and of what."""


def _slice_id(asked: Asked, part: str | None) -> str | None:
    """Return a slice as the API shows it."""
    if not part or asked.by not in SLICE_TYPES:
        return part
    return global_id(SLICE_TYPES[asked.by], UUID(part))


def slice_key(by: str, shown: str) -> str:
    """Return the slice that the API shows so; raises BadId."""
    return shown if not shown or by not in SLICE_TYPES else str(key_of(shown, SLICE_TYPES[by]))


def moment(context: Context, as_of: KpiAsOf | None) -> dict[str, Any]:
    """Return what `Asked` has to know of a moment: `as_of` and the time then, `now` (blocking)."""
    said: list[Any] = [] if as_of is None else [each for each in (as_of.position, as_of.recorded_at) if each]
    if as_of is None and context.services.until is None:
        return {"now": datetime.now(UTC)}
    if as_of is None:
        said = [context.services.until]
    if len(said) != 1 or not said[0]:
        raise BadInput("Say either a position, from 1, or recordedAt.")
    if isinstance(said[0], datetime):
        return {"now": said[0], "as_of": context.services.read_models.position_of(said[0])}
    position = int(said[0])
    found = context.services.log.select(EventFilter(), after=position - 1, limit=1)
    if not found:
        raise BadInput(f"The log has not reached position {position}.")
    return {"now": found[0].recorded_at, "as_of": position}


def answer(
    context: Context,
    kpi: Kpi,
    asked: Asked,
    comparison: KpiComparison | None,
    at_least: int | None,
    as_of: KpiAsOf | None,
    top: int,
) -> KpiAnswer:
    """Return the cells of a key figure, each with the window it is compared with (blocking).

    Broken down, the `top` largest slices have cells of their own and all others one together.
    """
    require(kpi, asked)
    if asked.by is not None:
        _bounded(asked, top)
    asked = replace(asked, **moment(context, as_of))
    all_kpis = known()
    reached = position_reached(context, kpis.sources(kpi, all_kpis), at_least)
    projector = context.services.read_models
    try:
        _require_slices(projector, all_kpis, kpi, asked)
        if asked.by is not None:
            asked = replace(asked, kept=kpis.largest(projector, all_kpis, kpi, asked, top))
        found = kpis.cells(projector, all_kpis, kpi, asked)
        before = None if comparison is None else kpis.cells(projector, all_kpis, kpi, kpis.earlier(asked, comparison))
    except ProjectionRefused as refused:
        raise NotReady(str(refused)) from None
    return KpiAnswer(
        definition=defined(context, kpi),
        known_at_position=Position(min(reached, asked.as_of)),
        rows=[_row(kpi, asked, key, cell, comparison, before) for key, cell in found.items()],
        slices=[_slice_id(asked, part) or "" for part in asked.kept or ()],
    )


def broken_down(context: Context, code: str, asked: Asked) -> dict[kpis.Key, Cell]:
    """Return the cells of a figure for each slice of `asked.by`; raises NotReady (blocking)."""
    kpi, all_kpis, projector = find(code), known(), context.services.read_models
    try:
        _require_slices(projector, all_kpis, kpi, asked)
        return kpis.cells(projector, all_kpis, kpi, asked)
    except ProjectionRefused as refused:
        raise NotReady(str(refused)) from None


def rests_on(codes: Iterable[str]) -> set[str]:
    """Return the read models that these figures rest on."""
    return set().union(*(kpis.sources(find(code), known()) for code in codes))


def _require_slices(projector: Projector, all_kpis: Mapping[str, Kpi], kpi: Kpi, asked: Asked) -> None:
    """Raise NotReady when a version serves that was built before there were breakdowns, or one of these slices."""
    wanted = {name for name in LATER_SLICES if name == asked.by or getattr(asked, kpis.SLICES[name]) is not None}
    if asked.by is None and not wanted:
        return
    for name, narrowed in sorted(kpis.narrowed(kpi, all_kpis).items()):
        facts = projector.query(name, counting.FACTS).statement
        unknown = sorted(each for each in wanted & narrowed if kpis.SLICES[each] not in facts.parameters)
        if asked.by is not None and "slice" in counting.lacking(facts):
            unknown = ["breakdowns"]
        if unknown:
            raise NotReady(
                f"The version of {name} that answers knows no {unknown[0]}; compare it with the newest and let that one"
                f" serve: opscore projections upgrade {name} --promote"
            )


def position_reached(context: Context, names: set[str], at_least: int | None) -> int:
    """Return the position that all of these read models have reached; raises Behind while it is below `at_least`."""
    serving = [each.entry for each in context.services.read_models.status() if _serves(each)]
    sources = [entry for entry in serving if entry.name in names]
    if len(sources) < len(names):
        raise NotReady(f"{' or '.join(sorted(names))} has not been built yet.")
    last = min(sources, key=lambda entry: entry.position)
    if at_least is not None and last.position < at_least:
        raise Behind(last.name, last.version, at_least)
    return last.position


BOOKS = ("P001", "P002", "K017", "K023")


def books(context: Context, asked: Asked, at_least: int | None, as_of: KpiAsOf | None) -> SalesBooks:
    """Return both books side by side (blocking)."""
    asked = replace(asked, **moment(context, as_of))
    figures = [find(code) for code in BOOKS]
    require(figures[0], asked)
    all_kpis = known()
    reached = position_reached(context, rests_on(BOOKS), at_least)
    try:
        found = [kpis.cells(context.services.read_models, all_kpis, kpi, asked) for kpi in figures]
    except ProjectionRefused as refused:
        raise NotReady(str(refused)) from None
    rows = []
    for key in sorted(set().union(*found), key=lambda key: (key[0], key[2] or "")):
        cells = [each.get(key) for each in found]
        platform, accounting, gmv, net = (0 if each is None else int(each.value or 0) for each in cells)
        currency = key[2]
        assert currency is not None
        rows.append(
            SalesBooksRow(
                starts_on=key[0],
                ends_on=kpis.ends_on(key[0], asked),
                platform=money(platform, currency),
                accounting=money(accounting, currency),
                difference=money(platform - accounting, currency),
                gmv=money(gmv, currency),
                net_sales=money(net, currency),
            )
        )
    return SalesBooks(
        platform=defined(context, figures[0]),
        accounting=defined(context, figures[1]),
        known_at_position=Position(min(reached, asked.as_of)),
        rows=rows,
    )


def _serves(status: Any) -> bool:
    return status.entry.status in ("serving", "frozen")


def _row(
    kpi: Kpi,
    asked: Asked,
    key: kpis.Key,
    cell: Cell,
    comparison: KpiComparison | None,
    before: dict[kpis.Key, Cell] | None,
) -> KpiRow:
    starts_on, hour, currency, part = key
    compared, change = None, None
    if comparison is not None and before is not None:
        then = kpis.earlier(asked, comparison)
        first = kpis.earlier_start(starts_on, asked, comparison)
        old = before.get((first, hour, currency, part), Cell(None, None, None))
        compared = KpiCompared(starts_on=first, ends_on=kpis.ends_on(first, then), **_numbers(kpi, old, currency))
        if cell.value is not None and old.value:
            change = kpis.rounded((cell.value - old.value) / old.value, kpis.RATIO_PLACES)
    return KpiRow(
        starts_on=starts_on,
        ends_on=kpis.ends_on(starts_on, asked),
        hour=hour,
        currency_code=currency,
        slice=_slice_id(asked, part),
        is_implausible=kpi.at_most is not None and cell.value is not None and cell.value > kpi.at_most,
        is_final=kpis.is_final(kpi, starts_on, asked),
        compared=compared,
        change=change,
        **_numbers(kpi, cell, currency),
    )


def _numbers(kpi: Kpi, cell: Cell, currency: str | None) -> dict[str, Decimal | None]:
    first = kpi.numerator[0] if kpi.numerator else None
    return {
        "value": kpis.shown(cell.value, kpi, currency),
        "numerator": kpis.shown_side(cell.numerator, first, kpi, currency),
        "denominator": kpis.shown_side(cell.denominator, kpi.denominator, kpi, currency),
    }


def explained(
    context: Context,
    kpi: Kpi,
    side_name: KpiSide,
    asked: Asked,
    cell: OneCell,
    page: PageArguments,
    as_of: KpiAsOf | None,
    counted: bool,
) -> Any:
    """Return a page of the rows behind one side of a cell (blocking)."""
    require(kpi, asked)
    if kpi.factors:
        raise BadInput(f"{kpi.code} is made of other figures; open them: {', '.join(kpi.factors + kpi.divisors)}.")
    parts = kpis.sides(kpi).get(side_name.lower())
    if parts is None:
        raise BadInput(f"{kpi.code} is no quotient; open its numerator.")
    stamp = replace(asked, now=datetime(1, 1, 1, tzinfo=UTC))
    binding = f"kpi:{kpi.code}:{side_name}:{stamp}:{cell}:{as_of}"
    wanted = page.window(binding, (number, number))
    projector = context.services.read_models
    try:
        asked = replace(asked, **moment(context, as_of))
        _require_slices(projector, known(), kpi, asked)
        total = kpis.count_facts(projector, kpi, parts, asked, cell) if counted else None
        rows = kpis.facts(
            projector, kpi, parts, asked, cell, limit=wanted.fetch,
            after=(wanted.after[0], wanted.after[1]) if wanted.after else (0, 0),
        )  # fmt: skip
        versions = {each.entry.name: each.entry.version for each in projector.status() if _serves(each)}
    except ProjectionRefused as refused:
        raise NotReady(str(refused)) from None
    return connection(
        rows,
        wanted,
        binding,
        lambda row: [row["position"], row["place"]],
        lambda row: _fact(row, kpi, versions),
        total=total,
    )


def _fact(row: dict[str, Any], kpi: Kpi, versions: dict[str, int]) -> KpiFact:
    return KpiFact(
        position=Position(row["position"]),
        event=row["event"],
        occurred_at=row["occurred_at"],
        measure=row["measure"],
        store_id=strawberry.ID(global_id("Store", row["store_id"])),
        day=row["day"],
        hour=row["hour"],
        currency_code=row["currency"],
        order_id=None if row["order_id"] is None else strawberry.ID(global_id("Order", row["order_id"])),
        buyer=None if row["who"] is None else str(row["who"]),
        channel=row["channel"],
        amount=row["amount"],
        definition_version=kpi.version,
        projection=row["projection"],
        rule_version=versions[row["projection"]],
    )


def cohorts(
    context: Context, window_: dict[str, Any], store_ids: Any, at_least: int | None, as_of: KpiAsOf | None
) -> list[RetentionCohort]:
    """Return how many customers of each month's beginners paid again, month by month (blocking)."""
    known_then = {**window_, "as_of": moment(context, as_of).get("as_of")}
    rows = ask(context, "kpi_facts", "cohorts", known_then, store_ids=store_ids, at_least=at_least)
    return [RetentionCohort(**row) for row in rows]


@strawberry.type(description="A payment by which a customer of a cohort was active in the month.")
class RetentionPayment:
    position: Position = strawberry.field(description="Position of the event in the log.")
    event: str = strawberry.field(description="Its type.")
    occurred_at: datetime = strawberry.field(description="When it happened.")
    store_id: strawberry.ID = strawberry.field(description="The store.")
    day: date = strawberry.field(description="The day on which it counts, the store's own.")
    order_id: strawberry.ID = strawberry.field(description="The order that was paid.")
    order_number = order_number_field()
    buyer: str = strawberry.field(description="Who, as a plain id; `activeCustomers` counts different ones.")
    rule_version: int = strawberry.field(description="Version of the projection's rules that counted it.")


def cohort_payments(
    context: Context,
    window_: dict[str, Any],
    cell: tuple[date, int],
    store_ids: Any,
    page: PageArguments,
    as_of: KpiAsOf | None,
    counted: bool,
) -> Any:
    """Return a page of the payments behind a cell of the cohorts: first day of its month, months later (blocking)."""
    starts_on, months_later = cell
    if starts_on.day != 1 or not 0 <= months_later <= MONTHS_LATER_MAX:
        raise BadInput(f"startsOn is the first day of a month, and monthsLater 0 to {MONTHS_LATER_MAX}.")
    binding = f"cohort:{window_}:{cell}:{store_ids}:{as_of}"
    wanted = page.window(binding, (number,))
    projector = context.services.read_models
    given = {
        **window_,
        "starts_on": starts_on,
        "months_later": months_later,
        "as_of": moment(context, as_of).get("as_of"),
        "after_position": wanted.after[0] if wanted.after else None,
        "row_limit": wanted.fetch,
    }
    rows = ask(context, "kpi_facts", "cohort_rows", given, store_ids=store_ids, at_least=None)
    total = None
    if counted:
        begun = rows or ask(
            context, "kpi_facts", "cohort_rows", {**given, "after_position": None, "row_limit": 1},
            store_ids=store_ids, at_least=None,
        )  # fmt: skip
        total = begun[0]["total"] if begun else 0
    versions = {each.entry.name: each.entry.version for each in projector.status() if _serves(each)}
    return connection(
        rows,
        wanted,
        binding,
        lambda row: [row["position"]],
        lambda row: RetentionPayment(
            position=Position(row["position"]),
            event=row["event"],
            occurred_at=row["occurred_at"],
            store_id=strawberry.ID(global_id("Store", row["store_id"])),
            day=row["day"],
            order_id=strawberry.ID(global_id("Order", row["order_id"])),
            buyer=str(row["person_id"]),
            rule_version=versions["kpi_facts"],
        ),
        total=total,
    )
