"""Imports Taobao user behaviour: rows of user, item, category, behaviour (pv, cart, fav, buy) and unix time, no header.

What was looked at becomes one traffic report for each day and one for each hour of the store's day (China); a figure
that another file changes is reported again under the next revision. A visit is one user on one day, since the file has
no sessions; a visit of a single page is one with exactly one row, a pv. What was bought becomes an order of one unit at
price 0, because the file has no prices: orders and buyers are real then, amounts are not.
"""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from opscore.domain.command import Actor, Command, Origin, Role
from opscore.domain.customer_commands import RegisterCustomer
from opscore.domain.order_recording import RecordedLine, RecordOrder
from opscore.domain.sku import FulfilmentMode
from opscore.domain.sku_commands import RegisterSku
from opscore.domain.traffic import WHOLE, ReportTraffic, Slice, Tallies, TrafficDay, traffic_day_id
from opscore.domain.values import derived_id
from opscore.imports.opening import NewStore, open_store
from opscore.imports.pipeline import Meter, Pipeline, Progress, known_commands
from opscore.imports.reader import UnreadableFile, digest, open_text
from opscore.imports.report import ImportReport, RejectFile, Verdict
from opscore.log.event_log import EventLog
from opscore.writer import Request, Writer

IMPORTER = Actor(id="import:taobao-behaviour", role=Role.OWNER)
PLATFORM = Actor(id="import:taobao-behaviour:platform", role=Role.PLATFORM)
"""Passes the audit of the store: nobody audits their own application."""

COLUMNS = ("user", "item", "category", "behaviour", "unix_time")
BEHAVIOURS = frozenset({"pv", "cart", "fav", "buy"})
TIME_ZONE = "Asia/Shanghai"
CURRENCY = "CNY"
CHANNEL = "taobao"
NAME = "Taobao"
SOURCE = "taobao-behaviour"
FIRST_YEAR, LAST_YEAR = 2000, 2100


class TaobaoStopped(Exception):
    """The import cannot go on; the message says why. What was booked stays, and running it again goes on from there."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One row: what a user did with an item, when (UTC) and on which of the store's days and hours."""

    user: str
    item: str
    category: str
    kind: str
    at: datetime
    local: datetime


@dataclass
class Window:
    """What was seen in one window: pages, users who looked, carts and favourites."""

    page_views: int = 0
    rows: Counter[str] = field(default_factory=Counter)
    """User -> rows of any kind."""
    looked: Counter[str] = field(default_factory=Counter)
    """User -> pages."""
    favourites: int = 0
    cart_adds: int = 0

    def add(self, row: Behaviour) -> None:
        """Count a row."""
        self.rows[row.user] += 1
        if row.kind == "pv":
            self.page_views += 1
            self.looked[row.user] += 1
        self.favourites += row.kind == "fav"
        self.cart_adds += row.kind == "cart"

    def tallies(self) -> Tallies:
        """Return the figures of a report."""
        return Tallies(
            page_views=self.page_views,
            visitors=len(self.looked),
            visits=len(self.looked),
            single_page_visits=sum(pages == 1 and self.rows[user] == 1 for user, pages in self.looked.items()),
            favourites=self.favourites,
            cart_adds=self.cart_adds,
        )


def read_behaviour(file: Path, report: ImportReport, rejects: RejectFile) -> Iterator[Behaviour]:
    """Yield the rows that can be understood; the others go to `rejects`. Raises UnreadableFile for another kind."""
    zone = ZoneInfo(TIME_ZONE)
    with open_text(file) as text:
        for number, cells in enumerate(csv.reader(text), start=1):
            report.rows += 1
            why = None
            at = datetime.fromtimestamp(0, UTC)
            if len(cells) != len(COLUMNS):
                if number == 1:
                    raise UnreadableFile(f"{file.name}: expected {', '.join(COLUMNS)} without a header")
                why = "this row has not five cells"
            elif cells[3] not in BEHAVIOURS:
                why = f"the behaviour is none of {', '.join(sorted(BEHAVIOURS))}"
            elif not (cells[0].isdecimal() and cells[1].isdecimal() and cells[2].isdecimal()):
                why = "users, items and categories are numbers"
            elif not cells[4].isdecimal() or len(cells[4]) > 11:
                why = "the time is no number of seconds since 1970"
            else:
                at = datetime.fromtimestamp(0, UTC) + timedelta(seconds=int(cells[4]))
                if not FIRST_YEAR <= at.year < LAST_YEAR:
                    why = f"the time is not between {FIRST_YEAR} and {LAST_YEAR}"
            if why is not None:
                rejects.add(number, Verdict.REJECTED, why, cells)
                continue
            report.rows_by_class[cells[3]] += 1
            yield Behaviour(cells[0], cells[1], cells[2], cells[3], at, at.astimezone(zone))


def import_taobao_behaviour(
    writer: Writer,
    file: Path,
    *,
    store: str = NAME,
    rejects: Path | None = None,
    progress: Callable[[Progress], None] = lambda progress: None,
    in_flight: int = 256,
) -> ImportReport:
    """Book a file of user behaviour (CSV, plain or gzipped) to the store of this name and return what was done.

    Run again it adds nothing; a file with more rows of the same days raises the revisions of what it changes.
    Raises UnreadableFile for another kind of file, TaobaoStopped when setting up the store is refused.
    """
    report = ImportReport()
    meter = Meter(progress)
    with RejectFile(rejects, COLUMNS, report) as reject_file:
        meter.begin("reading")
        windows: dict[tuple[date, int | None], Window] = defaultdict(Window)
        bought: list[Behaviour] = []
        for row in read_behaviour(file, report, reject_file):
            meter.at(report.rows)
            for hour in (None, row.local.hour):
                windows[row.local.date(), hour].add(row)
            if row.kind == "buy":
                bought.append(row)
    if windows:
        run = _Run(writer, store, report, in_flight)
        bought.sort(key=lambda row: (row.at, row.user, row.item))
        run.set_up(min(day for day, _ in windows))
        meter.begin("booking orders", len(bought))
        run.book_orders(bought, meter)
        meter.begin("reporting traffic", len(windows))
        run.report_traffic(windows, meter)
    report.seconds = meter.seconds
    return report


class _Run:
    """One run of an import."""

    def __init__(self, writer: Writer, store: str, report: ImportReport, in_flight: int) -> None:
        self.writer = writer
        self.name = store
        self.log = EventLog(lambda: writer.database.pool.connection())
        self.prefix = f"taobao-behaviour:{digest(store)}:"
        self.known = known_commands(writer.database, IMPORTER, self.prefix)
        self.pipeline = Pipeline(writer, IMPORTER, report, self.known, f"import:{digest(store)}", in_flight)
        self.store_id = UUID(int=0)

    def set_up(self, first_day: date) -> None:
        """Make the store by its real opening steps, the day before the first row, or take the one of this name."""
        at = datetime(first_day.year, first_day.month, first_day.day, tzinfo=ZoneInfo(TIME_ZONE)) - timedelta(days=1)
        at = at.astimezone(UTC)
        new = NewStore(self.name, "Taobao seller", "Taobao", CURRENCY, TIME_ZONE, provider="alipay", method="alipay")
        self.store_id = open_store(new, at, self._ask)

    def _ask(self, name: str, command: Command, at: datetime, by_platform: bool) -> UUID:
        key = self.prefix + name
        actor = PLATFORM if by_platform else IMPORTER
        if key in self.known:
            return self.known[key] or self.store_id
        outcome = self.writer.ask(Request(command, actor, key, Origin.IMPORT, at))
        if outcome.refusal is not None:
            raise TaobaoStopped(f"{command.command_name()} was refused: {outcome.refusal.message}")
        assert outcome.aggregate_id is not None
        return outcome.aggregate_id

    def book_orders(self, bought: list[Behaviour], meter: Meter) -> None:
        """Register buyers and what they bought, then book each purchase; equal rows are purchases of their own."""
        customers = {}
        for row in bought:
            if row.user not in customers:
                register = RegisterCustomer(store_id=self.store_id, channel=CHANNEL, external_reference=row.user)
                customers[row.user] = self.pipeline.send(f"{self.prefix}customer:{row.user}", register, row.at)
        items: set[str] = set()
        for row in bought:
            if row.item not in items:
                items.add(row.item)
                sku = RegisterSku(
                    store_id=self.store_id,
                    code=row.item,
                    name=f"Item {row.item}",
                    category=row.category,
                    mode=FulfilmentMode.DROPSHIP,
                )
                self.pipeline.send(f"{self.prefix}sku:{row.item}", sku, row.at)
        self.pipeline.drain()
        ids = {user: sent.aggregate_or_holder_id() for user, sent in customers.items()}
        equal: Counter[str] = Counter()
        for done, row in enumerate(bought, start=1):
            name = f"{row.user}-{row.item}-{int(row.at.timestamp())}"
            equal[name] += 1
            reference = f"{name}-{equal[name]}"
            order = RecordOrder(
                store_id=self.store_id,
                lines=(
                    RecordedLine(
                        sku_id=derived_id("sku", self.store_id, row.item), quantity=Decimal(1), unit_price=Decimal(0)
                    ),
                ),
                customer_id=ids[row.user],
                channel=CHANNEL,
                external_reference=reference,
                currency=CURRENCY,
                payment_method="alipay",
            )
            self.pipeline.send(f"{self.prefix}buy:{reference}", order, row.at)
            meter.at(done)
        self.pipeline.drain()

    def report_traffic(self, windows: dict[tuple[date, int | None], Window], meter: Meter) -> None:
        """Report each window unless its figures are on record, under the revision after the one that is."""
        kept: dict[date, TrafficDay | None] = {}
        for done, ((day, hour), seen) in enumerate(sorted(windows.items(), key=_by_time), start=1):
            if day not in kept:
                kept[day] = self.log.aggregate(TrafficDay, traffic_day_id(self.store_id, day))
            held = kept[day]
            about = Slice(channel=WHOLE, device=WHOLE, hour=hour)
            known = None if held is None else held.reports.get(about.key)
            tallies = seen.tallies()
            if known is not None and known.tallies == tallies:
                self.pipeline.report.commands_known += 1
                continue
            revision = 1 if known is None else known.revision + 1
            command = ReportTraffic(
                store_id=self.store_id,
                day=day,
                hour=hour,
                revision=revision,
                source=SOURCE,
                **msgspec.structs.asdict(tallies),
            )
            over = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(TIME_ZONE)) + timedelta(days=1)
            name = f"traffic:{day}:{'day' if hour is None else hour}:{revision}:{digest(*tallies_of(tallies))}"
            self.pipeline.send(self.prefix + name, command, over.astimezone(UTC))
            meter.at(done)
        self.pipeline.drain()


def tallies_of(tallies: Tallies) -> list[int | None]:
    """Return the figures of a report in their order."""
    return [getattr(tallies, name) for name in Tallies.__struct_fields__]


def _by_time(item: tuple[tuple[date, int | None], Window]) -> tuple[date, int]:
    day, hour = item[0]
    return day, -1 if hour is None else hour
