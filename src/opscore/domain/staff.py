"""Who answers for what in a store: people are given roles from a day on, and have them through a day.

It is a record, not a permission: what somebody may do is said by their token, and giving a role here opens nothing. A
person is named by the pseudonym that their tokens carry, so that who answered for something and who did it can be laid
side by side. The work of a role that nobody has is the managers'.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Annotated, ClassVar
from uuid import UUID

from msgspec import Meta

from opscore.domain.aggregate import Aggregate
from opscore.domain.command import ALWAYS, Command, UnitOfWork
from opscore.domain.refusals import InvalidField, NotAuthorised, Refusal
from opscore.domain.store import Store
from opscore.domain.store_commands import StoreId
from opscore.domain.store_events import (
    RoleWithoutOwner,
    StaffRole,
    StaffRoleAssigned,
    StaffRoleEnded,
    StaffRoleNotHeld,
    StaffRoleTaken,
    StoreStatus,
)
from opscore.domain.store_state import StaffPeriod, answering, ended
from opscore.domain.values import Code, Reason

Person = Annotated[Code, Meta(description="Who: the name that their tokens carry, a pseudonym; no personal data.")]

Path = tuple[str, ...]

# What may happen next ------------------------------------------------------------------------------------------------


def assign(store: Store, period: StaffPeriod, reason: str | None, at: datetime) -> None:
    """Give somebody a role for a period, which may have begun: it is a record of what is so.

    Refuses: WrongState (the store is closed), InvalidField (ends before it begins), StaffRoleTaken.
    """
    store.require_not_closed()
    if period.until_day is not None and period.until_day < period.from_day:
        raise InvalidField(why="the last day lies before the first", path=("until_day",))
    if period in store.staff:
        return  # Asked twice, recorded once.
    for known in store.staff:
        if (known.person, known.role) == (period.person, period.role) and known.overlaps(period):
            raise StaffRoleTaken(
                person=known.person, role=known.role.value, from_day=known.from_day, path=("person",), ids=[store.id]
            )
    store.trigger_event(
        StaffRoleAssigned,
        occurred_at=at,
        person=period.person,
        role=period.role,
        from_day=period.from_day,
        until_day=period.until_day,
        reason=reason,
    )


def end(store: Store, person: str, role: StaffRole, until_day: date, reason: str | None, at: datetime) -> None:
    """Let somebody have a role through a day and no longer; a period that would begin later is taken back.

    Refuses: StaffRoleNotHeld, RoleWithoutOwner (unless the store is closed, where there is no work left).
    """
    own = [period for period in store.staff if (period.person, period.role) == (person, role)]
    if not own:
        raise StaffRoleNotHeld(person=person, role=role.value, path=("person",), ids=[store.id])
    cut = [period for period in own if period.lasts_beyond(until_day)]
    if not cut:
        return  # Over by then already.
    day = max(until_day + timedelta(days=1), min(period.from_day for period in cut))
    left = ended(store.staff, person, role, until_day)
    require_owner(store, left, role, day, ("until_day",))
    store.trigger_event(StaffRoleEnded, occurred_at=at, person=person, role=role, until_day=until_day, reason=reason)


def require_owner(store: Store, left: Sequence[StaffPeriod], role: StaffRole, day: date, path: Path) -> None:
    """Refuse RoleWithoutOwner when nobody `left` would answer for a role on a day; a closed store has no work left."""
    if store.status is not StoreStatus.CLOSED and not answering(left, role, day):
        raise RoleWithoutOwner(role=role.value, day=day, path=path, ids=[store.id])


def require_may_name(work: UnitOfWork, role: StaffRole) -> None:
    """Refuse NotAuthorised when somebody else than the owner would say who is manager."""
    if role is StaffRole.MANAGER and work.actor.role not in ALWAYS:
        raise NotAuthorised(why="the owner decides who is manager", path=("role",))


# What may be asked for -----------------------------------------------------------------------------------------------


class AssignStaffRole(Command):
    """Give somebody a role in a store from a day on. It is a record of who answers for what, and opens no access."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (StaffRoleTaken,)

    store_id: StoreId
    person: Person
    role: Annotated[StaffRole, Meta(description="The role; who is manager is for the owner to say.")]
    from_day: Annotated[
        date | None, Meta(description="First day, in the store's calendar; it may lie in the past. Today if left out.")
    ] = None
    until_day: Annotated[date | None, Meta(description="Last day; no end is known if left out.")] = None
    reason: Annotated[Reason | None, Meta(description="Why: more work, somebody on leave.")] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Assign it."""
        store = work.store(self.store_id)
        require_may_name(work, self.role)
        period = StaffPeriod(
            person=self.person,
            role=self.role,
            from_day=self.from_day or store.local_date(work.occurred_at),
            until_day=self.until_day,
        )
        assign(store, period, self.reason, work.occurred_at)
        return store.id


class EndStaffRole(Command):
    """Say through which day somebody has a role in a store; what was to begin later is taken back."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (StaffRoleNotHeld, RoleWithoutOwner)

    store_id: StoreId
    person: Person
    role: Annotated[StaffRole, Meta(description="The role; who is manager is for the owner to say.")]
    until_day: Annotated[
        date | None,
        Meta(description="Last day, in the store's calendar; before the first, there is none. Today if left out."),
    ] = None
    reason: Annotated[Reason | None, Meta(description="Why.")] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """End it, once somebody else answers for it."""
        store = work.store(self.store_id)
        require_may_name(work, self.role)
        until_day = self.until_day or store.local_date(work.occurred_at)
        end(store, self.person, self.role, until_day, self.reason, work.occurred_at)
        return store.id
