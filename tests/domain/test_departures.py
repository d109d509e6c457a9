"""How people leave a store: notice given in time or accepted short, work handed over, roles ended; or without leave."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest

from opscore.domain.calendars import months_after
from opscore.domain.command import Actor, Role
from opscore.domain.departures import ConfirmHandover, FileResignation, RecordDeparture, WithdrawResignation
from opscore.domain.refusals import InvalidField, NotAuthorised, NotFound, WrongState
from opscore.domain.staff import AssignStaffRole
from opscore.domain.store import Store
from opscore.domain.store_commands import CloseStore, SetPolicy
from opscore.domain.store_events import (
    DepartureStatus,
    HandoverOpen,
    NoticeNotGiven,
    NoticeTooShort,
    RoleWithoutOwner,
    StaffLeft,
    StaffResignationFiled,
    StaffRole,
    StaffRoleNotHeld,
)
from opscore.domain.store_state import Departure, answering
from tests.domain.desk import Desk

MANAGER = Actor(id="m", role=Role.MANAGER)
MARCH, APRIL = date(2024, 3, 1), date(2024, 4, 1)


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def store_id(desk: Desk) -> UUID:
    """A store on the first of March: Ann is its manager, Ben keeps the stock and ships, Cleo ships too."""
    store_id = desk.open_store()
    desk.now = desk.now.replace(year=2024, month=3, day=1, hour=4)
    day = date(2024, 1, 1)
    for person, role in (
        ("ann", StaffRole.MANAGER),
        ("ben", StaffRole.WAREHOUSE),
        ("ben", StaffRole.SHIPPER),
        ("cleo", StaffRole.SHIPPER),
    ):
        desk.do(AssignStaffRole(store_id=store_id, person=person, role=role, from_day=day))
    return store_id


def resign(desk: Desk, store_id: UUID, last_day: date, person: str = "ben", **more: Any) -> None:
    desk.do(FileResignation(store_id=store_id, person=person, last_day=last_day, **more))


def hand_over(desk: Desk, store_id: UUID, role: StaffRole, to: str, person: str = "ben") -> None:
    desk.do(ConfirmHandover(store_id=store_id, person=person, role=role, to=to))


def leave(desk: Desk, store_id: UUID, person: str = "ben", **more: Any) -> None:
    desk.do(RecordDeparture(store_id=store_id, person=person, **more))


def departures(desk: Desk, store_id: UUID) -> list[Departure]:
    return desk.get(Store, store_id).departures


def who(desk: Desk, store_id: UUID, role: StaffRole, day: date) -> list[str]:
    return answering(desk.get(Store, store_id).staff, role, day)


@pytest.mark.parametrize(
    ("day", "months", "later"),
    [
        (date(2024, 3, 1), 1, date(2024, 4, 1)),
        (date(2024, 1, 31), 1, date(2024, 2, 29)),
        (date(2023, 12, 31), 2, date(2024, 2, 29)),
        (date(2024, 11, 30), 13, date(2025, 12, 30)),
        (date(2024, 5, 31), 0, date(2024, 5, 31)),
    ],
)
def test_months_lead_to_the_same_day_or_the_last_one_there_is(day: date, months: int, later: date) -> None:
    assert months_after(day, months) == later


def test_notice_of_a_month_is_asked_for_and_less_is_accepted_with_a_reason_on_record(
    desk: Desk, store_id: UUID
) -> None:
    with pytest.raises(NoticeTooShort, match="leaves on 2024-04-01 or later") as refused:
        resign(desk, store_id, APRIL - timedelta(days=1))
    assert refused.value.path == ("last_day",)
    resign(desk, store_id, APRIL - timedelta(days=1), waiver_reason="found a successor")
    assert departures(desk, store_id)[0].waiver_reason == "found a successor"
    resign(desk, store_id, APRIL, waiver_reason="none was needed")
    assert departures(desk, store_id) == [Departure(person="ben", last_day=APRIL, noticed_on=MARCH)]


def test_how_long_the_notice_is_is_a_policy_from_a_moment_on(desk: Desk, store_id: UUID) -> None:
    longer = desk.now + timedelta(days=10)
    desk.do(SetPolicy(store_id=store_id, kind="staff_terms", params={"notice_months": 3}, effective_from=longer))
    resign(desk, store_id, APRIL)
    desk.now = longer
    with pytest.raises(NoticeTooShort, match="notice on 2024-03-11 leaves on 2024-06-11"):
        resign(desk, store_id, date(2024, 6, 10), "cleo")


def test_days_and_people_that_cannot_be_are_refused(desk: Desk, store_id: UUID) -> None:
    with pytest.raises(NotFound):
        resign(desk, store_id, APRIL, "dan")
    with pytest.raises(InvalidField) as refused:
        resign(desk, store_id, date(2024, 6, 1), noticed_on=MARCH + timedelta(days=1))
    assert refused.value.path == ("noticed_on",)
    with pytest.raises(InvalidField) as refused:
        resign(desk, store_id, MARCH - timedelta(days=1), waiver_reason="in a hurry")
    assert refused.value.path == ("last_day",)
    with pytest.raises(NoticeNotGiven):
        hand_over(desk, store_id, StaffRole.SHIPPER, "cleo")
    with pytest.raises(NoticeNotGiven, match="ben has not given notice"):
        leave(desk, store_id)
    with pytest.raises(NotFound):
        leave(desk, store_id, "dan", absent_after=MARCH)
    desk.do(CloseStore(store_id=store_id, reason="end of lease"))
    with pytest.raises(WrongState):
        resign(desk, store_id, APRIL)


def test_nobody_leaves_before_each_role_is_handed_over_to_who_answers_for_it(desk: Desk, store_id: UUID) -> None:
    resign(desk, store_id, APRIL)
    with pytest.raises(HandoverOpen, match="warehouse, shipper"):
        leave(desk, store_id)
    with pytest.raises(StaffRoleNotHeld):
        hand_over(desk, store_id, StaffRole.FINANCE, "ann")
    for wrong in ("ben", "cleo", "nobody"):
        with pytest.raises(InvalidField, match="does not answer for the role warehouse on 2024-04-02"):
            hand_over(desk, store_id, StaffRole.WAREHOUSE, wrong)
    hand_over(desk, store_id, StaffRole.SHIPPER, "cleo")
    with pytest.raises(HandoverOpen, match="over: warehouse;"):
        leave(desk, store_id)
    hand_over(desk, store_id, StaffRole.WAREHOUSE, "ann")
    leave(desk, store_id)

    assert departures(desk, store_id)[0].status is DepartureStatus.LEFT
    assert who(desk, store_id, StaffRole.WAREHOUSE, APRIL) == ["ben"]
    assert who(desk, store_id, StaffRole.WAREHOUSE, APRIL + timedelta(days=1)) == ["ann"]
    assert who(desk, store_id, StaffRole.SHIPPER, APRIL + timedelta(days=1)) == ["cleo"]
    assert not desk.last(StaffLeft).absent


def test_roles_that_end_before_the_last_day_or_begin_after_it_are_not_handed_over(desk: Desk, store_id: UUID) -> None:
    later = APRIL + timedelta(days=30)
    given: dict[str, Any] = {"store_id": store_id, "person": "dan", "role": StaffRole.EDITOR}
    desk.do(AssignStaffRole(**given, from_day=MARCH, until_day=APRIL - timedelta(days=1)))
    desk.do(AssignStaffRole(**given, from_day=later))
    resign(desk, store_id, APRIL, "dan")
    leave(desk, store_id, "dan")
    assert who(desk, store_id, StaffRole.EDITOR, later) == ["ann"]


def test_leaving_without_leave_is_on_record_as_absence_and_ends_all_roles(desk: Desk, store_id: UUID) -> None:
    resign(desk, store_id, APRIL)
    leave(desk, store_id, absent_after=MARCH, reason="did not come any more")
    leave(desk, store_id, "cleo", absent_after=MARCH)

    assert [(each.person, each.status, each.last_day, each.noticed_on) for each in departures(desk, store_id)] == [
        ("ben", DepartureStatus.ABSENT, MARCH, MARCH),
        ("cleo", DepartureStatus.ABSENT, MARCH, None),
    ]
    for role in (StaffRole.WAREHOUSE, StaffRole.SHIPPER):
        assert who(desk, store_id, role, MARCH + timedelta(days=1)) == ["ann"]


def test_the_only_manager_stays_until_there_is_another_and_goes_by_the_owner_s_word(desk: Desk, store_id: UUID) -> None:
    resign(desk, store_id, date.max, "ann")
    with pytest.raises(InvalidField):
        hand_over(desk, store_id, StaffRole.MANAGER, "ben", "ann")
    with pytest.raises(RoleWithoutOwner, match="From 2024-03-02 on nobody would answer for the role manager"):
        leave(desk, store_id, "ann", absent_after=MARCH)
    resign(desk, store_id, APRIL, "ann")
    dan = {"person": "dan", "role": StaffRole.MANAGER, "from_day": APRIL + timedelta(days=1)}
    desk.do(AssignStaffRole(store_id=store_id, **dan))
    hand_over(desk, store_id, StaffRole.MANAGER, "dan", "ann")
    with pytest.raises(NotAuthorised):
        desk.do(RecordDeparture(store_id=store_id, person="ann"), actor=MANAGER)
    leave(desk, store_id, "ann")
    assert who(desk, store_id, StaffRole.FINANCE, APRIL + timedelta(days=1)) == ["dan"]


def test_asking_twice_records_once_and_the_last_word_on_notice_holds(desk: Desk, store_id: UUID) -> None:
    for _ in range(2):
        resign(desk, store_id, APRIL, "cleo")
        hand_over(desk, store_id, StaffRole.SHIPPER, "ben", "cleo")
    later = APRIL + timedelta(days=9)
    resign(desk, store_id, later, "cleo")
    assert departures(desk, store_id)[0].handovers == {StaffRole.SHIPPER: "ben"}, "what was handed over stays so"
    for _ in range(2):
        leave(desk, store_id, "cleo")
        leave(desk, store_id, "cleo", absent_after=later)
    recorded = desk.recorded(store_id)
    assert [recorded.count(f"Staff{name}") for name in ("ResignationFiled", "HandoverConfirmed", "Left")] == [2, 1, 1]
    assert desk.last(StaffResignationFiled).last_day == departures(desk, store_id)[0].last_day == later


def test_who_stays_after_all_has_no_notice_and_who_comes_back_can_leave_again(desk: Desk, store_id: UUID) -> None:
    resign(desk, store_id, APRIL, "cleo")
    for _ in range(2):
        desk.do(WithdrawResignation(store_id=store_id, person="cleo"))
    assert departures(desk, store_id) == []
    assert desk.recorded(store_id).count("StaffResignationWithdrawn") == 1

    leave(desk, store_id, "cleo", absent_after=MARCH)
    back = {"person": "cleo", "role": StaffRole.EDITOR, "from_day": APRIL}
    desk.do(AssignStaffRole(store_id=store_id, **back))
    with pytest.raises(NoticeNotGiven):
        leave(desk, store_id, "cleo")
    leave(desk, store_id, "cleo", absent_after=APRIL)
    assert [each.last_day for each in departures(desk, store_id)] == [MARCH, APRIL]
