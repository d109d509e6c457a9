"""The parts of a store's state: its documents, its places, and who has had which role in it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from uuid import UUID

import msgspec

from opscore.domain.store_events import (
    DepartureStatus,
    DocumentExpired,
    DocumentKind,
    DocumentMissing,
    LocationKind,
    StaffHandoverConfirmed,
    StaffLeft,
    StaffResignationFiled,
    StaffResignationWithdrawn,
    StaffRole,
    StaffRoleAssigned,
    StaffRoleEnded,
)
from opscore.domain.values import Value

StaffEvent = (
    StaffRoleAssigned
    | StaffRoleEnded
    | StaffResignationFiled
    | StaffResignationWithdrawn
    | StaffHandoverConfirmed
    | StaffLeft
)


class Paper(Value, kw_only=True):
    """A document that holds from a day through another one (None: without beginning or end)."""

    valid_from: date | None = None
    valid_until: date | None = None

    def is_valid_on(self, day: date) -> bool:
        """Say whether the document holds on a day."""
        return (self.valid_from is None or self.valid_from <= day) and not self.has_ended_by(day)

    def has_ended_by(self, day: date) -> bool:
        """Say whether the last day of the document lies before a day."""
        return self.valid_until is not None and self.valid_until < day


def require_valid(
    papers: Sequence[Paper], kind: str, day: date, owner_id: UUID, path: Sequence[str | int] = ()
) -> None:
    """Refuse DocumentExpired or DocumentMissing unless one of the papers of a kind holds on a day.

    owner_id: whose papers they are.
    """
    if any(paper.is_valid_on(day) for paper in papers):
        return
    ended = [paper.valid_until for paper in papers if paper.has_ended_by(day)]
    if ended:
        raise DocumentExpired(kind=kind, valid_until=ended[-1], path=path, ids=[owner_id])
    raise DocumentMissing(kind=kind, path=path, ids=[owner_id])


class StoreDocument(Paper, kw_only=True):
    """A document of a store on file."""

    kind: DocumentKind
    categories: tuple[str, ...] = ()
    brand: str | None = None


class Location(Value):
    """A place with stock."""

    kind: LocationKind
    name: str
    region: str | None = None
    radius_km: Decimal | None = None
    open: bool = True


class StaffPeriod(Value):
    """That somebody has a role, from a day of the store through another one (None: no end)."""

    person: str
    role: StaffRole
    from_day: date
    until_day: date | None = None

    def lasts_beyond(self, day: date) -> bool:
        """Say whether any of it lies behind a day."""
        return (self.until_day or date.max) > day

    def takes_in(self, day: date) -> bool:
        """Say whether a day lies in it."""
        return self.from_day <= day and (self.until_day is None or day <= self.until_day)

    def overlaps(self, other: StaffPeriod) -> bool:
        """Say whether a day lies in both."""
        return self.takes_in(other.from_day) or other.takes_in(self.from_day)


class Departure(Value):
    """That somebody leaves, or left: days are the store's; `handovers` says who takes over which role.

    noticed_on: None for who left without notice. waiver_reason: why a shorter notice was accepted.
    """

    person: str
    last_day: date
    noticed_on: date | None = None
    waiver_reason: str | None = None
    handovers: dict[StaffRole, str] = {}
    status: DepartureStatus = DepartureStatus.NOTICED


def answering(staff: Sequence[StaffPeriod], role: StaffRole, day: date) -> list[str]:
    """Return who answers for a role on a day: those who have it, else the managers, else nobody."""
    there = [period for period in staff if period.takes_in(day)]
    return [period.person for period in there if period.role is role] or [
        period.person for period in there if period.role is StaffRole.MANAGER
    ]


def ended(staff: Sequence[StaffPeriod], person: str, role: StaffRole, until_day: date) -> list[StaffPeriod]:
    """Return the periods as they are once somebody has a role through a day and no longer."""
    kept = []
    for period in staff:
        if (period.person, period.role) == (person, role) and period.lasts_beyond(until_day):
            if period.from_day > until_day:
                continue
            period = msgspec.structs.replace(period, until_day=until_day)
        kept.append(period)
    return kept


def without(staff: Sequence[StaffPeriod], person: str, last_day: date) -> list[StaffPeriod]:
    """Return the periods as they are once somebody has no role after a day."""
    left = list(staff)
    for role in StaffRole:
        left = ended(left, person, role, last_day)
    return left


def held_on(staff: Sequence[StaffPeriod], person: str, day: date) -> list[StaffRole]:
    """Return which roles somebody has on a day."""
    return [period.role for period in staff if period.person == person and period.takes_in(day)]


def noticed(departures: Sequence[Departure], person: str) -> Departure | None:
    """Return the departure of somebody who gave notice and has not left."""
    own = (each for each in departures if each.person == person and each.status is DepartureStatus.NOTICED)
    return next(own, None)


def rostered(staff: Sequence[StaffPeriod], event: StaffEvent) -> list[StaffPeriod]:
    """Return the periods as they are after an event."""
    match event:
        case StaffRoleAssigned():
            period = StaffPeriod(
                person=event.person, role=event.role, from_day=event.from_day, until_day=event.until_day
            )
            return [*staff, period]
        case StaffRoleEnded():
            return ended(staff, event.person, event.role, event.until_day)
        case StaffLeft():
            return without(staff, event.person, event.last_day)
    return list(staff)


def departed(departures: Sequence[Departure], event: StaffEvent) -> list[Departure]:
    """Return the departures as they are after an event; of each person one at most is under way, and stands last."""
    known = noticed(departures, event.person)
    others = [each for each in departures if each is not known]
    match event:
        case StaffResignationFiled():
            now = Departure(
                person=event.person,
                last_day=event.last_day,
                noticed_on=event.noticed_on,
                waiver_reason=event.waiver_reason,
                handovers={} if known is None else known.handovers,
            )
        case StaffResignationWithdrawn():
            return others
        case StaffHandoverConfirmed() if known is not None:
            now = msgspec.structs.replace(known, handovers={**known.handovers, event.role: event.to})
        case StaffLeft():
            now = msgspec.structs.replace(
                known or Departure(person=event.person, last_day=event.last_day),
                last_day=event.last_day,
                status=DepartureStatus.ABSENT if event.absent else DepartureStatus.LEFT,
            )
        case _:
            return list(departures)
    return [*others, now]
