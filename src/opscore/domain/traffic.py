"""A day of a store's traffic as it was reported: what is on record, how it says no, and what may be asked for.

Each store and day has a short stream of its own, so that figures which arrive every hour, are corrected for weeks and
concern no order never lengthen the store's stream. A report is known by (channel, traffic source, device, campaign,
SKU, hour).
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, ClassVar
from uuid import UUID

import msgspec
from msgspec import Meta

from opscore.domain.aggregate import FIELDS_ADDED, Aggregate, Event, FirstEvent, folds
from opscore.domain.command import Command, Role, UnitOfWork
from opscore.domain.refusals import InvalidField, Refusal
from opscore.domain.store import Store
from opscore.domain.values import Code, Count, TrafficSource, Value, derived_id, local_day

WHOLE = "all"
"""The channel and the device of a report that is not split by them."""

Tally = Annotated[int, Meta(ge=0, le=10**12)]
Hour = Annotated[int, Meta(ge=0, le=23)]

# What is on record ---------------------------------------------------------------------------------------------------


class TrafficDayOpened(FirstEvent):
    """The first figures of a store's day arrived."""

    store_id: UUID
    day: date


class TrafficReported(Event):
    """How many looked at a store on one of its days, in one slice; a higher revision replaces a lower one.

    A figure that is None was not counted by the source. `visitors` are different people within this slice alone: those
    of two slices are never added. source: which counter or file said so. traffic_source: by which way they came; None:
    by any.
    """

    VERSION: ClassVar[int] = 2
    UPCASTS: ClassVar[tuple[tuple[()], ...]] = FIELDS_ADDED

    day: date
    channel: str
    device: str
    campaign_id: UUID | None
    sku_id: UUID | None
    hour: int | None
    revision: int
    source: str | None
    page_views: int
    visitors: int | None
    visits: int | None
    single_page_visits: int | None
    ip: int | None
    dwell_seconds: int | None
    exits: int | None
    shares: int | None
    favourites: int | None
    cart_adds: int | None
    traffic_source: TrafficSource | None = None


class Tallies(Value):
    """The figures of one report; None where the source does not count."""

    page_views: int
    visitors: int | None = None
    visits: int | None = None
    single_page_visits: int | None = None
    ip: int | None = None
    dwell_seconds: int | None = None
    exits: int | None = None
    shares: int | None = None
    favourites: int | None = None
    cart_adds: int | None = None


class Slice(Value):
    """What a report is about within its day: the key that a revision belongs to."""

    channel: str
    device: str
    campaign_id: UUID | None = None
    sku_id: UUID | None = None
    hour: int | None = None
    traffic_source: TrafficSource | None = None

    @property
    def key(self) -> str:
        """Return it as one text; None differs from every value."""
        parts = (self.campaign_id, self.sku_id, self.hour, self.traffic_source, self.device, self.channel)
        return " ".join("-" if part is None else str(part) for part in parts)


# How it says no ------------------------------------------------------------------------------------------------------


class DayInFuture(Refusal):
    """{day} has not come yet where the store is; report it when it has begun."""


class VisitorsAbovePageViews(Refusal):
    """{visitors} visitors cannot have seen only {page_views} pages; correct one of the two."""


class RevisionNotNewer(Refusal):
    """Revision {revision} is not newer than revision {known} on record; raise it to correct the figures."""


# What it adds up to --------------------------------------------------------------------------------------------------


class KeptReport(Value):
    """The report that holds for a slice."""

    revision: int
    tallies: Tallies


class TrafficDay(Aggregate):
    """The reports that hold for one store and one of its days."""

    store_id: UUID
    day: date
    reports: dict[str, KeptReport]

    @folds(TrafficDayOpened)
    def _opened(self, event: TrafficDayOpened) -> None:
        self.store_id = event.store_id
        self.day = event.day
        self.reports = {}

    @folds(TrafficReported)
    def _reported(self, event: TrafficReported) -> None:
        about = Slice(**{name: getattr(event, name) for name in Slice.__struct_fields__})
        tallies = Tallies(**{name: getattr(event, name) for name in Tallies.__struct_fields__})
        self.reports[about.key] = KeptReport(revision=event.revision, tallies=tallies)

    # What may happen next --------------------------------------------------------------------------------------------

    def require_newer(self, about: Slice, tallies: Tallies, revision: int) -> bool:
        """Say whether a report is news; refuses RevisionNotNewer unless it is, or says what is on record again."""
        known = self.reports.get(about.key)
        if known is None or revision > known.revision:
            return True
        if revision == known.revision and tallies == known.tallies:
            return False  # Told twice, recorded once.
        raise RevisionNotNewer(revision=revision, known=known.revision, path=("revision",), ids=[self.store_id])

    def report(self, about: Slice, tallies: Tallies, revision: int, source: str | None, at: datetime) -> None:
        """Record a report that is news (`require_newer` first)."""
        self.trigger_event(
            TrafficReported,
            day=self.day,
            revision=revision,
            source=source,
            occurred_at=at,
            **msgspec.structs.asdict(about),
            **msgspec.structs.asdict(tallies),
        )


def traffic_day_id(store_id: UUID, day: date) -> UUID:
    """Return the id of the stream of a store's day."""
    return derived_id("traffic day", store_id, day.isoformat())


# What can be asked for -----------------------------------------------------------------------------------------------


class ReportTraffic(Command):
    """Book how many looked at a store on one of its days; a higher revision of the same slice replaces a lower one."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store
    ROLES: ClassVar[frozenset[Role]] = frozenset({Role.OWNER, Role.MANAGER, Role.PROMOTER})
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (DayInFuture, VisitorsAbovePageViews, RevisionNotNewer)

    store_id: Annotated[UUID, Meta(description="The store.")]
    day: Annotated[date, Meta(description="The day, in the store's own time zone.")]
    page_views: Annotated[Tally, Meta(description="Pages seen.")]
    channel: Annotated[
        Code, Meta(description="The channel they came through, as orders name it; `all` for the whole.")
    ] = WHOLE
    device: Annotated[Code, Meta(description="What they looked with: pc, app, ...; `all` for every device.")] = WHOLE
    campaign_id: Annotated[UUID | None, Meta(description="Only the pages of this campaign.")] = None
    sku_id: Annotated[UUID | None, Meta(description="Only the page of this article.")] = None
    hour: Annotated[Hour | None, Meta(description="Only this hour of the day, 0 to 23; none: the whole day.")] = None
    revision: Annotated[Count, Meta(description="Rises with each correction of the same slice.")] = 1
    source: Annotated[Code | None, Meta(description="Which counter or file the figures come from.")] = None
    visitors: Annotated[Tally | None, Meta(description="Different people, within this slice alone.")] = None
    visits: Annotated[Tally | None, Meta(description="Visits (sessions).")] = None
    single_page_visits: Annotated[Tally | None, Meta(description="Visits that saw one page only.")] = None
    ip: Annotated[Tally | None, Meta(description="Different network addresses.")] = None
    dwell_seconds: Annotated[Tally | None, Meta(description="Seconds that all visits lasted together.")] = None
    exits: Annotated[Tally | None, Meta(description="Visits that ended here.")] = None
    shares: Annotated[Tally | None, Meta(description="How often it was shared.")] = None
    favourites: Annotated[Tally | None, Meta(description="How often it was marked as a favourite.")] = None
    cart_adds: Annotated[Tally | None, Meta(description="How often something was put into a cart.")] = None
    traffic_source: Annotated[
        TrafficSource | None, Meta(description="Only those who came by this way; none: by any, as a whole.")
    ] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Check the day, the figures and the revision on record."""
        store = work.store(self.store_id)
        if self.day.isoformat() > local_day(work.occurred_at, store.time_zone):
            raise DayInFuture(day=self.day.isoformat(), path=("day",), ids=[store.id])
        if self.visitors is not None and self.visitors > self.page_views:
            raise VisitorsAbovePageViews(
                visitors=self.visitors, page_views=self.page_views, path=("visitors",), ids=[store.id]
            )
        if self.single_page_visits is not None and self.single_page_visits > (self.visits or 0):
            raise InvalidField(why="visits of a single page are visits too", path=("single_page_visits",))
        if self.campaign_id is not None:
            work.campaign(self.campaign_id, seen=True)
        if self.sku_id is not None:
            work.sku(self.sku_id, seen=True)
        about = Slice(**{name: getattr(self, name) for name in Slice.__struct_fields__})
        tallies = Tallies(**{name: getattr(self, name) for name in Tallies.__struct_fields__})
        stream_id = traffic_day_id(store.id, self.day)
        day = work.find(TrafficDay, stream_id)
        if day is None:
            day = TrafficDay.start(
                TrafficDayOpened, stream_id, store_id=store.id, day=self.day, occurred_at=work.occurred_at
            )
            work.add(day)
        if day.require_newer(about, tallies, self.revision):
            day.report(about, tallies, self.revision, self.source, work.occurred_at)
        return store.id
