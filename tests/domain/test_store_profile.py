"""How a store shows itself and stands with its platform: its changes, a ban that holds, a deposit that shrinks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from opscore.domain.command import Actor, Role
from opscore.domain.refusals import CurrencyMismatch, InvalidField, NotAuthorised, WrongState
from opscore.domain.store import Store
from opscore.domain.store_commands import CloseStore, DeductDeposit, FreezeDeposit, ReopenStore, SuspendStore
from opscore.domain.store_events import DepositBelowTerms, ExceedsDeposit, StoreStatus, SuspensionRunning
from opscore.domain.store_profile import ChangeStoreProfile, PositionStore, RecordPlatformPenalty
from opscore.domain.store_profile_events import AgeRangeInvalid, Penalty, Positioning, PriceLevel, StoreProfile
from tests.domain.desk import Desk


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def store_id(desk: Desk) -> UUID:
    return desk.open_store(platform="tmall")


def test_what_a_store_says_of_itself_is_recorded_once_each_time_it_changes(desk: Desk, store_id: UUID) -> None:
    since = len(desk.events)
    young = {"price_level": PriceLevel.LOW, "age_from": 18, "age_to": 40, "main_category": "gifts"}
    for _ in range(2):
        desk.do(PositionStore(store_id=store_id, **young))
        desk.do(ChangeStoreProfile(store_id=store_id, announcement="Closed on Monday", introduction="Gifts"))
    desk.do(ChangeStoreProfile(store_id=store_id, logo_reference="logo.png", introduction="Gifts"))

    assert desk.recorded(since=since) == ["StorePositioned", "StoreProfileChanged", "StoreProfileChanged"]
    assert desk.get(Store, store_id).profile == StoreProfile(
        positioning=Positioning(**young), logo_reference="logo.png", announcement=None, introduction="Gifts"
    )


def test_ages_stand_in_order_and_a_closed_store_says_no_more(desk: Desk, store_id: UUID) -> None:
    desk.do(PositionStore(store_id=store_id, price_level=PriceLevel.MID, age_from=40, age_to=40))
    with pytest.raises(AgeRangeInvalid):
        desk.do(PositionStore(store_id=store_id, price_level=PriceLevel.MID, age_from=41, age_to=40))
    desk.do(CloseStore(store_id=store_id, reason="moved"))
    for command in (
        PositionStore(store_id=store_id, price_level=PriceLevel.HIGH),
        ChangeStoreProfile(store_id=store_id, announcement="Moved"),
    ):
        with pytest.raises(WrongState):
            desk.do(command)


def test_editors_write_what_a_store_says_and_no_more() -> None:
    editor = Actor(id="e", role=Role.EDITOR)
    ChangeStoreProfile.require_role(editor)
    with pytest.raises(NotAuthorised):
        PositionStore.require_role(editor)


def test_a_ban_suspends_the_store_and_nobody_reopens_it_before_its_end(desk: Desk, store_id: UUID) -> None:
    def penalise(**more: Any) -> None:
        desk.do(RecordPlatformPenalty(store_id=store_id, kind="false_claim", reason="silk was not silk", **more))

    penalise(points=4)
    assert desk.get(Store, store_id).status is StoreStatus.OPEN
    since, until = len(desk.events), desk.now + timedelta(days=7)
    penalise(points=12, until=until, suspends=True)
    assert desk.recorded(since=since) == ["StoreSuspended", "PlatformPenaltyRecorded"]
    with pytest.raises(SuspensionRunning):
        desk.do(ReopenStore(store_id=store_id))
    with pytest.raises(InvalidField):
        penalise(points=1, until=desk.now, suspends=True)
    penalise(points=1, until=until - timedelta(days=1), suspends=True)
    penalise(points=2, suspends=True)
    assert desk.recorded(since=since).count("StoreSuspended") == 1, "it is suspended for longer already"
    later = until + timedelta(days=7)
    penalise(points=3, until=later, suspends=True)

    store = desk.get(Store, store_id)
    assert (store.status, store.suspended_until) == (StoreStatus.SUSPENDED, later)
    assert [each.points for each in store.profile.penalties] == [4, 12, 1, 2, 3]
    with pytest.raises(SuspensionRunning):
        desk.do(ReopenStore(store_id=store_id), at=until)
    desk.do(ReopenStore(store_id=store_id), at=later)
    desk.do(CloseStore(store_id=store_id, reason="moved"), at=later)
    penalise(points=5, suspends=True)
    assert desk.get(Store, store_id).status is StoreStatus.CLOSED, "it sells no more"


def test_what_the_platform_takes_of_a_deposit_is_to_be_frozen_again(desk: Desk, store_id: UUID) -> None:
    def deduct(minor: int, currency: str = "CNY") -> None:
        given: dict[str, Any] = {"amount_minor": minor, "currency": currency, "reason": "fake goods"}
        desk.do(DeductDeposit(store_id=store_id, case_reference="C-7", **given))

    deduct(2_500_00)
    assert desk.get(Store, store_id).deposit_minor == 7_500_00
    with pytest.raises(ExceedsDeposit) as refused:
        deduct(7_500_01)
    assert "750000 minor units" in refused.value.message
    with pytest.raises(CurrencyMismatch):
        deduct(1, "GBP")

    desk.do(SuspendStore(store_id=store_id, reason="holidays"))
    with pytest.raises(DepositBelowTerms):
        desk.do(ReopenStore(store_id=store_id))
    desk.do(FreezeDeposit(store_id=store_id, amount_minor=2_500_00, currency="CNY"))
    desk.do(ReopenStore(store_id=store_id))


def test_points_that_lapse_say_when(desk: Desk, store_id: UUID) -> None:
    until = datetime(2030, 1, 1, tzinfo=UTC)
    desk.do(RecordPlatformPenalty(store_id=store_id, kind="late", points=2, reason="slow", until=until))
    [found] = desk.get(Store, store_id).profile.penalties
    assert found == Penalty(kind="late", points=2, until=until, reason="slow", imposed_at=desk.now)
