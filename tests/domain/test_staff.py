"""Who answers for what in a store, and from when on: roles are assigned, split among people, and end."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, strategies as st

from opscore.domain.command import Actor, Role
from opscore.domain.refusals import InvalidField, NotAuthorised, WrongState
from opscore.domain.staff import AssignStaffRole, EndStaffRole
from opscore.domain.store import Store
from opscore.domain.store_commands import CloseStore
from opscore.domain.store_events import (
    RoleWithoutOwner,
    StaffRole,
    StaffRoleEnded,
    StaffRoleNotHeld,
    StaffRoleTaken,
)
from opscore.domain.store_state import StaffPeriod, answering, ended
from tests.domain.desk import Desk

MANAGER = Actor(id="m", role=Role.MANAGER)
JUNE = date(2024, 6, 1)


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def store_id(desk: Desk) -> UUID:
    """A store whose manager is Ann."""
    store_id = desk.open_store()
    desk.do(AssignStaffRole(store_id=store_id, person="ann", role=StaffRole.MANAGER))
    return store_id


def who(desk: Desk, store_id: UUID, role: StaffRole, day: date | None = None) -> list[str]:
    store = desk.get(Store, store_id)
    return answering(store.staff, role, day or store.local_date(desk.now))


def assign(desk: Desk, store_id: UUID, person: str, role: StaffRole, **more: Any) -> None:
    desk.do(AssignStaffRole(store_id=store_id, person=person, role=role, **more))


def test_a_role_begins_on_the_store_s_own_day_and_is_split_among_people(desk: Desk, store_id: UUID) -> None:
    late = datetime(2024, 5, 31, 17, tzinfo=UTC)  # The first of June in Shanghai.
    desk.do(AssignStaffRole(store_id=store_id, person="ben", role=StaffRole.SERVICE), at=late)
    assign(desk, store_id, "cleo", StaffRole.SERVICE, from_day=date(2024, 7, 1), reason="more to do than one can")

    assert who(desk, store_id, StaffRole.SERVICE, JUNE - timedelta(days=1)) == ["ann"]
    assert who(desk, store_id, StaffRole.SERVICE, JUNE) == ["ben"]
    assert who(desk, store_id, StaffRole.SERVICE, date(2024, 7, 1)) == ["ben", "cleo"]


def test_a_role_that_nobody_has_is_the_managers_and_one_person_may_have_several(desk: Desk, store_id: UUID) -> None:
    assign(desk, store_id, "ann", StaffRole.FINANCE)
    assign(desk, store_id, "dan", StaffRole.MANAGER)

    assert who(desk, store_id, StaffRole.FINANCE) == ["ann"]
    assert who(desk, store_id, StaffRole.PROMOTER) == ["ann", "dan"]
    assert who(desk, store_id, StaffRole.PROMOTER, date(2024, 1, 1)) == [], "there was no manager yet"


def test_a_period_has_a_last_day_and_what_is_on_record_of_the_past_stays(desk: Desk, store_id: UUID) -> None:
    assign(desk, store_id, "ben", StaffRole.EDITOR, from_day=date(2023, 1, 1), until_day=date(2023, 12, 31))
    assign(desk, store_id, "ben", StaffRole.EDITOR, from_day=date(2024, 1, 1))
    desk.do(EndStaffRole(store_id=store_id, person="ben", role=StaffRole.EDITOR, until_day=JUNE, reason="leaves"))

    days = (date(2022, 12, 31), date(2023, 1, 1), date(2023, 12, 31), JUNE, JUNE + timedelta(days=1))
    assert [who(desk, store_id, StaffRole.EDITOR, day) for day in days] == [[], ["ben"], ["ben"], ["ben"], ["ann"]]
    assert desk.last(StaffRoleEnded).reason == "leaves"


def test_what_was_to_begin_later_is_taken_back(desk: Desk, store_id: UUID) -> None:
    assign(desk, store_id, "ben", StaffRole.SHIPPER, from_day=JUNE)
    desk.do(EndStaffRole(store_id=store_id, person="ben", role=StaffRole.SHIPPER))

    assert who(desk, store_id, StaffRole.SHIPPER, JUNE) == ["ann"]
    assert [period.person for period in desk.get(Store, store_id).staff] == ["ann"]


def test_asking_twice_records_once(desk: Desk, store_id: UUID) -> None:
    for _ in range(2):
        assign(desk, store_id, "ben", StaffRole.SERVICE, from_day=JUNE, until_day=date(2024, 8, 31))
    for _ in range(2):
        desk.do(EndStaffRole(store_id=store_id, person="ben", role=StaffRole.SERVICE, until_day=JUNE))
    desk.do(EndStaffRole(store_id=store_id, person="ben", role=StaffRole.SERVICE, until_day=date.max))

    recorded = desk.recorded(store_id)
    assert (recorded.count("StaffRoleAssigned"), recorded.count("StaffRoleEnded")) == (2, 1)


def test_days_that_cannot_be_are_refused(desk: Desk, store_id: UUID) -> None:
    assign(desk, store_id, "ben", StaffRole.SERVICE, from_day=JUNE, until_day=date(2024, 8, 31))

    with pytest.raises(InvalidField) as wrong:
        assign(desk, store_id, "ben", StaffRole.EDITOR, from_day=JUNE, until_day=JUNE - timedelta(days=1))
    assert wrong.value.path == ("until_day",)
    for days in ({"from_day": date(2024, 8, 31)}, {"from_day": date(2024, 5, 1), "until_day": JUNE}, {}):
        with pytest.raises(StaffRoleTaken, match="from 2024-06-01 on already"):
            assign(desk, store_id, "ben", StaffRole.SERVICE, **days)
    assign(desk, store_id, "ben", StaffRole.SERVICE, from_day=date(2024, 9, 1))
    with pytest.raises(StaffRoleNotHeld):
        desk.do(EndStaffRole(store_id=store_id, person="ben", role=StaffRole.EDITOR))


def test_no_work_is_left_without_somebody_who_answers_for_it(desk: Desk, store_id: UUID) -> None:
    with pytest.raises(RoleWithoutOwner, match="nobody would answer for the role manager"):
        desk.do(EndStaffRole(store_id=store_id, person="ann", role=StaffRole.MANAGER, until_day=JUNE))
    assign(desk, store_id, "dan", StaffRole.MANAGER, from_day=date(2024, 7, 1))
    with pytest.raises(RoleWithoutOwner, match="From 2024-06-02 on"):
        desk.do(EndStaffRole(store_id=store_id, person="ann", role=StaffRole.MANAGER, until_day=JUNE))
    desk.do(EndStaffRole(store_id=store_id, person="ann", role=StaffRole.MANAGER, until_day=date(2024, 6, 30)))

    assert who(desk, store_id, StaffRole.SERVICE, date(2024, 6, 30)) == ["ann"]
    assert who(desk, store_id, StaffRole.SERVICE, date(2024, 7, 1)) == ["dan"]


def test_a_closed_store_assigns_nobody_and_lets_everybody_go(desk: Desk, store_id: UUID) -> None:
    desk.do(CloseStore(store_id=store_id, reason="end of lease"))

    with pytest.raises(WrongState):
        assign(desk, store_id, "ben", StaffRole.SERVICE)
    desk.do(EndStaffRole(store_id=store_id, person="ann", role=StaffRole.MANAGER, until_day=JUNE))
    assert who(desk, store_id, StaffRole.MANAGER, date(2024, 6, 2)) == []


def test_the_owner_alone_says_who_is_manager(desk: Desk, store_id: UUID) -> None:
    desk.do(AssignStaffRole(store_id=store_id, person="ben", role=StaffRole.SERVICE), actor=MANAGER)
    for command in (AssignStaffRole, EndStaffRole):
        with pytest.raises(NotAuthorised) as refused:
            desk.do(command(store_id=store_id, person="ann", role=StaffRole.MANAGER), actor=MANAGER)
        assert refused.value.path == ("role",)


PEOPLE = st.sampled_from(["ann", "ben"])
ROLES = st.sampled_from([StaffRole.MANAGER, StaffRole.SERVICE])
DAYS = st.dates(date(2024, 1, 1), date(2024, 2, 1))


@given(
    st.lists(st.builds(StaffPeriod, person=PEOPLE, role=ROLES, from_day=DAYS, until_day=st.none() | DAYS), max_size=6),
    PEOPLE,
    ROLES,
    DAYS,
    DAYS,
)
def test_an_end_takes_the_days_behind_it_and_nothing_else(
    staff: list[StaffPeriod], person: str, role: StaffRole, until_day: date, day: date
) -> None:
    def having(periods: list[StaffPeriod]) -> set[tuple[str, StaffRole]]:
        return {(period.person, period.role) for period in periods if period.takes_in(day)}

    lost = {(person, role)} if day > until_day else set()
    assert having(ended(staff, person, role, until_day)) == having(staff) - lost
