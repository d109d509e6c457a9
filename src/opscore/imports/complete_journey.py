"""Imports the campaigns of 84.51 Complete Journey: when each ran, whom it reached, and which coupons they redeemed.

Of a folder it reads campaign_descriptions, campaigns (which household each reached) and coupon_redemptions, as .csv or
.csv.gz. A campaign becomes one of the platform's (they overlap), for its days, both included, in New York; a household
it reached becomes a customer with a coupon of that campaign, named like it; a redemption becomes another coupon of the
campaign, named by its UPC, used on an order of that day. The files say neither what a coupon takes off nor what was
bought with it: one cent is assumed for the first, and an order of one piece at price 0 for the second, so that
households and redemptions are real and amounts are not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

from opscore.domain.campaign_commands import PlanCampaign, ScheduleCampaign
from opscore.domain.campaign_events import CampaignGoal, CampaignKind, CampaignType
from opscore.domain.command import Actor, Command, Origin, Role
from opscore.domain.customer import Customer
from opscore.domain.customer_commands import GrantCoupon, RegisterCustomer, UseCoupon
from opscore.domain.order_recording import RecordedLine, RecordOrder
from opscore.domain.sku import FulfilmentMode
from opscore.domain.sku_commands import RegisterSku
from opscore.domain.values import derived_id
from opscore.imports.opening import NewStore, open_store
from opscore.imports.pipeline import Meter, Pipeline, Progress, Sent, known_commands
from opscore.imports.reader import UnreadableFile, digest, read_rows
from opscore.imports.report import ImportReport, RejectFile, Verdict
from opscore.log.event_log import EventLog
from opscore.writer import Request, Writer

IMPORTER = Actor(id="import:complete-journey", role=Role.OWNER)
PLATFORM = Actor(id="import:complete-journey:platform", role=Role.PLATFORM)

FILES = {
    "campaign_descriptions": ("campaign_id", "campaign_type", "start_date", "end_date"),
    "campaigns": ("campaign_id", "household_id"),
    "coupon_redemptions": ("household_id", "coupon_upc", "campaign_id", "redemption_date"),
}
"""The files that are read, and their columns."""
NAME = "Complete Journey"
CURRENCY = "USD"
TIME_ZONE = "America/New_York"
CHANNEL = "store"


class CompleteJourneyStopped(Exception):
    """The import cannot go on; the message says why. What was booked stays, and running it again goes on from there."""


@dataclass(frozen=True, slots=True)
class Redemption:
    """One redemption: who, with which coupon of which campaign, on which day; number: of equal ones, from 1."""

    household: str
    coupon: str
    campaign: str
    day: date
    number: int

    @property
    def name(self) -> str:
        """A name that no other redemption has."""
        return f"{self.household}-{self.campaign}-{self.coupon}-{self.day}-{self.number}"


@dataclass
class Journey:
    """What the files say: the days of each campaign (both included), whom it reached, what was redeemed."""

    campaigns: dict[str, tuple[str, date, date]]
    reached: list[tuple[str, str]]
    redemptions: list[Redemption]

    @property
    def households(self) -> list[str]:
        """Every household, in order."""
        named = {household for _, household in self.reached} | {each.household for each in self.redemptions}
        return sorted(named, key=lambda household: (len(household), household))


def read_journey(folder: Path, report: ImportReport, rejects: RejectFile) -> Journey:
    """Read the folder; rows that cannot be understood go to `rejects`. Raises UnreadableFile for another kind."""
    journey = Journey({}, [], [])
    equal: Counter[tuple[str, ...]] = Counter()
    for name, columns in FILES.items():
        for number, cells in read_rows(_file(folder, name), columns):
            report.rows += 1
            report.rows_by_class[name] += 1
            why = _take(name, cells, journey, equal)
            if why is not None:
                rejects.add(number, Verdict.REJECTED, f"{name}: {why}", cells)
    return journey


def _file(folder: Path, name: str) -> Path:
    for ending in (".csv.gz", ".csv"):
        if (folder / f"{name}{ending}").exists():
            return folder / f"{name}{ending}"
    raise UnreadableFile(f"{folder}: there is no {name}.csv or {name}.csv.gz")


def _take(name: str, cells: Sequence[str], journey: Journey, equal: Counter[tuple[str, ...]]) -> str | None:
    """Add a row to the journey, or return why it cannot be."""
    if len(cells) != len(FILES[name]) or not all(cells):
        return "a cell is missing or too much"
    try:
        if name == "campaign_descriptions":
            campaign, kind, first, last = cells[0], cells[1], date.fromisoformat(cells[2]), date.fromisoformat(cells[3])
            if last < first:
                return "it ends before it starts"
            journey.campaigns[campaign] = (kind, first, last)
        elif cells[0 if name == "campaigns" else 2] not in journey.campaigns:
            return "there is no such campaign"
        elif name == "campaigns":
            journey.reached.append((cells[0], cells[1]))
        else:
            equal[tuple(cells)] += 1
            day = date.fromisoformat(cells[3])
            journey.redemptions.append(Redemption(cells[0], cells[1], cells[2], day, equal[tuple(cells)]))
    except ValueError:
        return "a day is none"
    return None


def import_complete_journey(
    writer: Writer,
    folder: Path,
    *,
    store: str = NAME,
    rejects: Path | None = None,
    progress: Callable[[Progress], None] = lambda progress: None,
    in_flight: int = 256,
) -> ImportReport:
    """Book the campaigns of a folder to the store of this name and return what was done; run again it adds nothing.

    Raises UnreadableFile for other files, CompleteJourneyStopped when setting up the store is refused.
    """
    report = ImportReport()
    meter = Meter(progress)
    with RejectFile(rejects, ("1", "2", "3", "4"), report) as reject_file:
        meter.begin("reading")
        journey = read_journey(folder, report, reject_file)
    if journey.campaigns:
        run = _Run(writer, store, report, in_flight, journey)
        run.set_up()
        meter.at(len(journey.households))
        meter.begin("registering households", len(journey.households))
        run.register(meter)
        meter.begin("reaching them", len(journey.reached))
        run.reach(meter)
        meter.begin("redeeming", len(journey.redemptions))
        run.redeem(meter)
    report.seconds = meter.seconds
    return report


def _at(day: date, hour: int = 0) -> datetime:
    """Return an hour of a day in New York, as UTC."""
    return datetime.combine(day, time(hour), ZoneInfo(TIME_ZONE)).astimezone(UTC)


class _Run:
    """One run of an import."""

    def __init__(self, writer: Writer, store: str, report: ImportReport, in_flight: int, journey: Journey) -> None:
        self.writer = writer
        self.name = store
        self.journey = journey
        self.log = EventLog(lambda: writer.database.pool.connection())
        self.prefix = f"complete-journey:{digest(store)}:"
        self.known = known_commands(writer.database, IMPORTER, self.prefix)
        self.pipeline = Pipeline(writer, IMPORTER, report, self.known, f"import:{digest(store)}", in_flight)
        self.first_day = min(first for _, first, _ in journey.campaigns.values()) - timedelta(days=1)
        self.store_id = UUID(int=0)
        self.campaigns: dict[str, UUID] = {}
        self.customers: dict[str, UUID] = {}

    def set_up(self) -> None:
        """Open the store, plan its campaigns and fix their time; the day before the first one."""
        at = _at(self.first_day)
        new = NewStore(self.name, "84.51", NAME, CURRENCY, TIME_ZONE, provider="bank", method="cash")
        self.store_id = open_store(new, at, self._ask)
        for campaign, (kind, first, last) in self.journey.campaigns.items():
            # The files name no prices: as far as they say, a campaign is a mailing.
            plan = PlanCampaign(
                store_id=self.store_id,
                name=f"Campaign {campaign} ({kind})",
                goal=CampaignGoal.RAISE_SALES,
                kind=CampaignKind.OFFICIAL,
                type=CampaignType.PACKAGING,
            )
            found = self._ask(f"campaign:{campaign}", plan, at, False)
            self.campaigns[campaign] = found
            schedule = ScheduleCampaign(campaign_id=found, starts_at=_at(first), ends_at=_at(last + timedelta(days=1)))
            self._ask(f"campaign:{campaign}:time", schedule, at, False)

    def _ask(self, name: str, command: Command, at: datetime, by_platform: bool) -> UUID:
        key = self.prefix + name
        if key in self.known:
            return self.known[key] or self.store_id
        actor = PLATFORM if by_platform else IMPORTER
        outcome = self.writer.ask(Request(command, actor, key, Origin.IMPORT, at))
        if outcome.refusal is not None:
            raise CompleteJourneyStopped(f"{command.command_name()} was refused: {outcome.refusal.message}")
        assert outcome.aggregate_id is not None
        return outcome.aggregate_id

    def register(self, meter: Meter) -> None:
        """Make each household a customer."""
        sent: dict[str, Sent] = {}
        for done, household in enumerate(self.journey.households, start=1):
            command = RegisterCustomer(store_id=self.store_id, channel=CHANNEL, external_reference=household)
            sent[household] = self.pipeline.send(f"{self.prefix}household:{household}", command, _at(self.first_day))
            meter.at(done)
        self.pipeline.drain()
        for household, each in sent.items():
            found = each.aggregate_or_holder_id()
            if found is not None:
                self.customers[household] = found

    def _grant(self, campaign: str, household: str, code: str, name: str, held_max: int) -> None:
        _, first, last = self.journey.campaigns[campaign]
        command = GrantCoupon(
            customer_id=self.customers[household],
            code=code,
            currency=CURRENCY,
            off_minor=1,
            campaign_id=self.campaigns[campaign],
            only_store_id=self.store_id,
            valid_from=_at(first),
            expires_at=_at(last + timedelta(days=1)),
            held_max=held_max,
        )
        self.pipeline.send(f"{self.prefix}coupon:{name}", command, _at(first))

    def reach(self, meter: Meter) -> None:
        """Put a coupon of each campaign into the hands of the households that it reached."""
        for done, (campaign, household) in enumerate(self.journey.reached, start=1):
            self._grant(campaign, household, f"campaign-{campaign}", f"{campaign}-{household}", 1)
            meter.at(done)
        self.pipeline.drain()

    def redeem(self, meter: Meter) -> None:
        """Give out the coupons that were redeemed, sell what they were for, and use them on that."""
        held = Counter((each.household, each.coupon) for each in self.journey.redemptions)
        articles: set[str] = set()
        for each in self.journey.redemptions:
            self._grant(each.campaign, each.household, each.coupon, each.name, held[each.household, each.coupon])
            if each.coupon not in articles:
                articles.add(each.coupon)
                article = RegisterSku(
                    store_id=self.store_id,
                    code=each.coupon,
                    name=f"Bought with coupon {each.coupon}",
                    category="coupon",
                    mode=FulfilmentMode.DROPSHIP,
                )
                self.pipeline.send(f"{self.prefix}article:{each.coupon}", article, _at(self.first_day))
        orders = {}
        for each in self.journey.redemptions:
            sku_id = derived_id("sku", self.store_id, each.coupon)
            order = RecordOrder(
                store_id=self.store_id,
                lines=(RecordedLine(sku_id=sku_id, quantity=Decimal(1), unit_price=Decimal(0)),),
                customer_id=self.customers[each.household],
                channel=CHANNEL,
                external_reference=each.name,
                currency=CURRENCY,
                payment_method="cash",
            )
            orders[each] = self.pipeline.send(f"{self.prefix}order:{each.name}", order, _at(each.day, 12))
        self.pipeline.drain()
        free: dict[tuple[str, str, str], list[UUID]] = {}
        for household in {each.household for each in self.journey.redemptions}:
            customer = self.log.aggregate(Customer, self.customers[household])
            assert customer is not None
            for coupon in customer.coupons.values():
                if coupon.used_by is None:
                    free.setdefault((household, coupon.code, str(coupon.campaign_id)), []).append(coupon.coupon_id)
        for done, each in enumerate(self.journey.redemptions, start=1):
            meter.at(done)
            key = f"{self.prefix}use:{each.name}"
            order_id = orders[each].aggregate_or_holder_id()
            coupons = free.get((each.household, each.coupon, str(self.campaigns[each.campaign])))
            if key not in self.known and order_id is not None and coupons:
                use = UseCoupon(customer_id=self.customers[each.household], coupon_id=coupons.pop(), order_id=order_id)
                self.pipeline.send(key, use, _at(each.day, 12))
        self.pipeline.drain()


__all__ = ["CompleteJourneyStopped", "Journey", "import_complete_journey", "read_journey"]
