"""Working days and hours: which days count, and what day lies so many working days away."""

from __future__ import annotations

import enum
from calendar import monthrange
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec

from opscore.domain.refusals import InvalidField
from opscore.domain.values import Value

_DAY = timedelta(days=1)


class CalendarKind(enum.StrEnum):
    """Whose days a calendar counts: working days of the business, or hours of service to buyers."""

    BUSINESS = "business"
    SERVICE = "service"


class Calendar(Value):
    """Weekdays 1 (Monday) to 7, opening hours in the store's zone, single days off and on (ISO dates)."""

    weekdays: tuple[int, ...] = (1, 2, 3, 4, 5)
    opens: str = "09:00"
    closes: str = "17:00"
    holidays: tuple[str, ...] = ()
    extra_days: tuple[str, ...] = ()

    def counts(self, day: date) -> bool:
        """Say whether a day is a working day."""
        iso = day.isoformat()
        return iso in self.extra_days or (day.isoweekday() in self.weekdays and iso not in self.holidays)

    def in_order(self) -> Calendar:
        """Return the calendar with its days sorted, each once.

        Raises ValueError for days and hours that nobody can keep.
        """
        if not self.weekdays:
            raise ValueError("a week has at least one working day")
        if _minutes(self.opens) >= _minutes(self.closes):
            raise ValueError("it closes before it opens")
        both = set(self.holidays) & set(self.extra_days)
        if both:
            raise ValueError(f"{min(both)} is both a day off and a day on")
        return msgspec.structs.replace(
            self,
            weekdays=tuple(sorted(set(self.weekdays))),
            holidays=tuple(sorted({date.fromisoformat(day).isoformat() for day in self.holidays})),
            extra_days=tuple(sorted({date.fromisoformat(day).isoformat() for day in self.extra_days})),
        )


DEFAULT_CALENDARS = {
    CalendarKind.BUSINESS: Calendar(),
    CalendarKind.SERVICE: Calendar(weekdays=(1, 2, 3, 4, 5, 6, 7), opens="00:00", closes="24:00"),
}
"""Five days of eight hours for the business; buyers are served at all hours."""


def add_working_days(calendar: Calendar, time_zone: str, at: datetime, days: int) -> datetime:
    """Return the end (UTC) of the working day that lies `days` working days after `at`, or before it if negative.

    The day of `at` in the IANA zone is not counted itself.
    """
    day = at.astimezone(ZoneInfo(time_zone)).date()
    step = _DAY if days >= 0 else -_DAY
    left = abs(days)
    while left:
        day += step
        left -= calendar.counts(day)
    return end_of_day(day, time_zone)


def end_of_day(day: date, time_zone: str) -> datetime:
    """Return when (UTC) a day is over in an IANA zone."""
    return datetime.combine(day + _DAY, time(), ZoneInfo(time_zone)).astimezone(UTC)


def working_days_between(calendar: Calendar, first: date, last: date) -> int:
    """Return how many working days lie after the first day, through the last one; 0 if that is no later."""
    days = range(max((last - first).days, 0))
    return sum(calendar.counts(first + _DAY * (number + 1)) for number in days)


def month_of(day: date) -> date:
    """Return the first day of a day's month, by which the month is named."""
    return day.replace(day=1)


def last_of_month(day: date) -> date:
    """Return the last day of a day's month."""
    return day.replace(day=monthrange(day.year, day.month)[1])


def require_month(month: date, field: str = "month") -> None:
    """Refuse InvalidField unless a month is named by its first day."""
    if month != month_of(month):
        raise InvalidField(why=f"a month is named by its first day, {month_of(month)}", path=(field,))


def months_after(day: date, months: int) -> date:
    """Return the same day so many calendar months later, or the last one of a month that has no such day."""
    year, month = divmod(12 * day.year + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def _minutes(clock: str) -> int:
    """Return the minutes since midnight of 'HH:MM'; '24:00' is the end of the day."""
    hours, _, minutes = clock.partition(":")
    total = int(hours) * 60 + int(minutes)
    if int(minutes) > 59 or total > 24 * 60:
        raise ValueError(f"there is no time '{clock}'")
    return total
