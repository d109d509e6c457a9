"""The parts of a store's state: its documents, its places, and who has had which role in it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

import msgspec

from opscore.domain.store_events import DocumentKind, LocationKind, StaffRole
from opscore.domain.values import Value


class StoreDocument(Value):
    """A document on file."""

    kind: DocumentKind
    valid_from: date | None = None
    valid_until: date | None = None
    categories: tuple[str, ...] = ()
    brand: str | None = None

    def is_valid_on(self, day: date) -> bool:
        """Say whether the document holds on a day."""
        return (self.valid_from is None or self.valid_from <= day) and not self.has_ended_by(day)

    def has_ended_by(self, day: date) -> bool:
        """Say whether the last day of the document lies before a day."""
        return self.valid_until is not None and self.valid_until < day


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
