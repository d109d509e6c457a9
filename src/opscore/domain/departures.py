"""How people leave a store: they give notice, hand their work over role by role and leave; or they stay away.

Like the rest of the roster it is a record, not a permission: no token ends with it. Days are those of the store's
calendar, people the pseudonyms that their tokens carry.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Annotated, ClassVar
from uuid import UUID

from msgspec import Meta

from opscore.domain.aggregate import Aggregate
from opscore.domain.calendars import months_after
from opscore.domain.command import Command, UnitOfWork
from opscore.domain.policies import StaffTerms
from opscore.domain.refusals import InvalidField, NotFound, Refusal
from opscore.domain.staff import Person, require_may_name, require_owner
from opscore.domain.store import Store
from opscore.domain.store_commands import StoreId
from opscore.domain.store_events import (
    DepartureStatus,
    HandoverOpen,
    NoticeNotGiven,
    NoticeTooShort,
    RoleWithoutOwner,
    StaffHandoverConfirmed,
    StaffLeft,
    StaffResignationFiled,
    StaffResignationWithdrawn,
    StaffRole,
    StaffRoleNotHeld,
)
from opscore.domain.store_state import Departure, answering, held_on, noticed, without
from opscore.domain.values import Code, Reason

_DAY = timedelta(days=1)

# What may happen next ------------------------------------------------------------------------------------------------


def file_resignation(
    store: Store, person: str, noticed_on: date, last_day: date, why: str | None, at: datetime
) -> None:
    """Record that somebody gave notice; given again, the last word holds, and what was handed over stays so.

    why: for what reason less than the notice of the policy `staff_terms` is accepted.
    Refuses: WrongState (the store is closed), NotFound (nobody of its staff), InvalidField, NoticeTooShort.
    """
    store.require_not_closed()
    if not any(each.person == person and (each.until_day or date.max) >= noticed_on for each in store.staff):
        raise NotFound(what="person with a role in this store", path=("person",), ids=[store.id])
    if noticed_on > store.local_date(at):
        raise InvalidField(why="notice is recorded once it is given", path=("noticed_on",))
    if last_day < noticed_on:
        raise InvalidField(why="the last day lies before the notice", path=("last_day",))
    earliest = months_after(noticed_on, store.policy(StaffTerms, at).notice_months)
    in_time = last_day >= earliest
    if not in_time and why is None:
        raise NoticeTooShort(noticed_on=noticed_on, earliest=earliest, path=("last_day",), ids=[store.id])
    why = None if in_time else why
    known = noticed(store.departures, person)
    if known is not None and (known.noticed_on, known.last_day, known.waiver_reason) == (noticed_on, last_day, why):
        return  # Asked twice, recorded once.
    store.trigger_event(
        StaffResignationFiled,
        person=person,
        noticed_on=noticed_on,
        last_day=last_day,
        waiver_reason=why,
        occurred_at=at,
    )


def withdraw_resignation(store: Store, person: str, at: datetime) -> None:
    """Record that somebody stays who had given notice. Asked twice, recorded once."""
    if noticed(store.departures, person) is not None:
        store.trigger_event(StaffResignationWithdrawn, person=person, occurred_at=at)


def confirm_handover(store: Store, person: str, role: StaffRole, to: str, at: datetime) -> None:
    """Record that a role was handed over without anything missing, to somebody who answers for it from then on.

    Refuses: NoticeNotGiven, StaffRoleNotHeld, InvalidField (somebody who does not answer for it).
    """
    known = _noticed(store, person)
    if role not in held_on(store.staff, person, known.last_day):
        raise StaffRoleNotHeld(person=person, role=role.value, path=("role",), ids=[store.id])
    day = min(known.last_day, date.max - _DAY) + _DAY
    if to not in answering(without(store.staff, person, known.last_day), role, day):
        why = f"{to} does not answer for the role {role} on {day}; assign it to them first"
        raise InvalidField(why=why, path=("to",), ids=[store.id])
    if known.handovers.get(role) != to:
        store.trigger_event(StaffHandoverConfirmed, person=person, role=role, to=to, occurred_at=at)


def depart(store: Store, person: str, reason: str | None, at: datetime) -> None:
    """Record that somebody who gave notice leaves with their last day, and end all their roles with it.

    Asked twice, recorded once. Refuses: NoticeNotGiven, HandoverOpen, RoleWithoutOwner.
    """
    if _gone(store, person):
        return
    known = _noticed(store, person)
    missing = [role for role in held_on(store.staff, person, known.last_day) if role not in known.handovers]
    if missing:
        raise HandoverOpen(person=person, roles=", ".join(missing), path=("person",), ids=[store.id])
    _leave(store, person, known.last_day, False, reason, at)


def depart_without_leave(store: Store, person: str, last_day: date, reason: str | None, at: datetime) -> None:
    """Record that somebody stayed away for good after a day: neither notice nor handover can be asked of them.

    Asked twice, recorded once. Refuses: NotFound (nobody of its staff after that day), RoleWithoutOwner.
    """
    if not _roles_after(store, person, last_day):
        if _gone(store, person):
            return
        raise NotFound(what="person with a role in this store after that day", path=("person",), ids=[store.id])
    _leave(store, person, last_day, True, reason, at)


def _leave(store: Store, person: str, last_day: date, absent: bool, reason: str | None, at: datetime) -> None:
    left = without(store.staff, person, last_day)
    for role, from_day in _roles_after(store, person, last_day):
        require_owner(store, left, role, max(last_day + _DAY, from_day), ("person",))
    store.trigger_event(StaffLeft, person=person, last_day=last_day, absent=absent, reason=reason, occurred_at=at)


def _roles_after(store: Store, person: str, day: date) -> list[tuple[StaffRole, date]]:
    """Return which roles somebody has after a day, each with the first day of its period."""
    return [(each.role, each.from_day) for each in store.staff if each.person == person and each.lasts_beyond(day)]


def _gone(store: Store, person: str) -> bool:
    """Say whether somebody has left and was given no role since."""
    own = [each for each in store.departures if each.person == person]
    over = bool(own) and own[-1].status is not DepartureStatus.NOTICED
    return over and not _roles_after(store, person, own[-1].last_day)


def left_without_leave(store: Store, person: str) -> bool:
    """Say whether somebody stayed away for good and was given no role since."""
    own = [each for each in store.departures if each.person == person]
    return bool(own) and own[-1].status is DepartureStatus.ABSENT and _gone(store, person)


def _noticed(store: Store, person: str) -> Departure:
    known = noticed(store.departures, person)
    if known is None:
        raise NoticeNotGiven(person=person, path=("person",), ids=[store.id])
    return known


# What may be asked for -----------------------------------------------------------------------------------------------


class FileResignation(Command):
    """Record that somebody gave notice, and their last day. Their roles go on until they have left."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (NoticeTooShort,)

    store_id: StoreId
    person: Person
    last_day: Annotated[date, Meta(description="Their last day, in the store's calendar.")]
    noticed_on: Annotated[date | None, Meta(description="Day on which they gave notice; today if left out.")] = None
    waiver_reason: Annotated[
        Reason | None, Meta(description="Why less notice is accepted than the policy staff_terms asks for.")
    ] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Check the notice against the policy, then record it; the last word holds."""
        store = work.store(self.store_id)
        noticed_on = self.noticed_on or store.local_date(work.occurred_at)
        file_resignation(store, self.person, noticed_on, self.last_day, self.waiver_reason, work.occurred_at)
        return store.id


class WithdrawResignation(Command):
    """Record that somebody stays who had given notice."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store

    store_id: StoreId
    person: Person

    def decide(self, work: UnitOfWork) -> UUID:
        """Withdraw it; asked twice, recorded once."""
        store = work.store(self.store_id)
        withdraw_resignation(store, self.person, work.occurred_at)
        return store.id


class ConfirmHandover(Command):
    """Record that somebody who gave notice has handed a role over, and to whom; nothing is missing."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (NoticeNotGiven, StaffRoleNotHeld)

    store_id: StoreId
    person: Person
    role: Annotated[StaffRole, Meta(description="The role, which they have on their last day.")]
    to: Annotated[Code, Meta(description="Who answers for it from the next day on: the name that their tokens carry.")]

    def decide(self, work: UnitOfWork) -> UUID:
        """Check who answers for the role afterwards, then record it. Asked twice, recorded once."""
        store = work.store(self.store_id)
        confirm_handover(store, self.person, self.role, self.to, work.occurred_at)
        return store.id


class RecordDeparture(Command):
    """Record that somebody leaves: with the last day of their notice, everything handed over; or without leave.

    All their roles in the store end with it. Tokens end by themselves alone: revoke theirs.
    """

    AGGREGATE: ClassVar[type[Aggregate]] = Store
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (NoticeNotGiven, HandoverOpen, RoleWithoutOwner)

    store_id: StoreId
    person: Person
    absent_after: Annotated[
        date | None,
        Meta(
            description="Day after which they stayed away without leave, which counts as absence; left out, they did "
            "not."
        ),
    ] = None
    reason: Annotated[Reason | None, Meta(description="Why.")] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Check that their work is handed over, then end their roles."""
        store = work.store(self.store_id)
        known = noticed(store.departures, self.person)
        last_day = self.absent_after or (date.max if known is None else known.last_day)
        for role, _ in _roles_after(store, self.person, last_day):
            require_may_name(work, role)
        if self.absent_after is None:
            depart(store, self.person, self.reason, work.occurred_at)
        else:
            depart_without_leave(store, self.person, self.absent_after, self.reason, work.occurred_at)
        return store.id
