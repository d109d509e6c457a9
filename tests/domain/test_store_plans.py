"""What a store plans for a month: sales targets said in time, and budgets that are never below what is spent."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest

from opscore.domain.command import Actor, Role
from opscore.domain.refusals import CurrencyMismatch, InvalidField, NotAuthorised, WrongState
from opscore.domain.store import Store
from opscore.domain.store_commands import ClosePeriod, CloseStore, RecordExpense
from opscore.domain.store_plan_events import BelowCommitted, PeriodSettled, TargetMeasure
from opscore.domain.store_plan_state import OperatingBudget, SalesTarget
from opscore.domain.store_plans import SetBudget, SetSalesTarget
from tests.domain.desk import Desk

MARCH, APRIL = date(2024, 3, 1), date(2024, 4, 1)


@pytest.fixture
def desk() -> Desk:
    return Desk(datetime(2024, 3, 10, 4, tzinfo=UTC))


@pytest.fixture
def store_id(desk: Desk) -> UUID:
    return desk.open_store()


def aim(desk: Desk, store_id: UUID, month: date, minor: int, at: datetime | None = None, **more: Any) -> None:
    given = {"currency": "CNY", **more}
    desk.do(SetSalesTarget(store_id=store_id, month=month, amount_minor=minor, **given), at=at)


def allow(desk: Desk, store_id: UUID, month: date, minor: int, category: str = "rent", **more: Any) -> None:
    given = {"currency": "CNY", "responsible": "ann", **more}
    desk.do(SetBudget(store_id=store_id, month=month, category=category, amount_minor=minor, **given))


def spend(desk: Desk, store_id: UUID, minor: int, category: str = "rent", **more: Any) -> None:
    desk.do(
        RecordExpense(
            store_id=store_id, category=category, amount_minor=minor, currency="CNY",
            reason="booked twice" if minor < 0 else None,
        ),
        **more,
    )  # fmt: skip


# Targets -------------------------------------------------------------------------------------------------------------


def test_the_last_word_about_a_month_holds_and_each_is_recorded(desk: Desk, store_id: UUID) -> None:
    since = len(desk.events)
    aim(desk, store_id, MARCH, 3_000_00)
    aim(desk, store_id, APRIL, 4_000_00)
    aim(desk, store_id, APRIL, 4_000_00)
    aim(desk, store_id, MARCH, 3_000_00, measure=TargetMeasure.NET_SALES)

    aim(desk, store_id, date(9999, 12, 1), 0)

    assert desk.recorded(since=since) == ["SalesTargetSet"] * 3
    assert desk.get(Store, store_id).plans.sales_targets == {
        "2024-03-01": SalesTarget(measure=TargetMeasure.NET_SALES, amount_minor=3_000_00),
        "2024-04-01": SalesTarget(measure=TargetMeasure.GMV, amount_minor=4_000_00),
    }


def test_a_target_of_nothing_takes_it_back(desk: Desk, store_id: UUID) -> None:
    since = len(desk.events)
    aim(desk, store_id, MARCH, 0)
    assert desk.recorded(since=since) == [], "there was none"
    aim(desk, store_id, MARCH, 100)
    aim(desk, store_id, MARCH, 0)

    assert desk.recorded(since=since) == ["SalesTargetSet"] * 2
    assert desk.get(Store, store_id).plans.sales_targets == {}


def test_nobody_aims_at_what_they_hit(desk: Desk, store_id: UUID) -> None:
    # Midnight in Shanghai, where the store is, comes eight hours earlier.
    aim(desk, store_id, MARCH, 100, at=datetime(2024, 3, 31, 15, 59, tzinfo=UTC))
    with pytest.raises(PeriodSettled):
        aim(desk, store_id, MARCH, 200, at=datetime(2024, 3, 31, 16, tzinfo=UTC))

    # What was said in time and is told late comes after the books were closed.
    desk.do(
        ClosePeriod(store_id=store_id, through=date(2024, 3, 30), reason="count"), at=datetime(2024, 4, 9, tzinfo=UTC)
    )
    aim(desk, store_id, MARCH, 300, at=datetime(2024, 3, 20, tzinfo=UTC))
    desk.do(
        ClosePeriod(store_id=store_id, through=date(2024, 3, 31), reason="month"), at=datetime(2024, 4, 9, tzinfo=UTC)
    )
    with pytest.raises(PeriodSettled):
        aim(desk, store_id, MARCH, 400, at=datetime(2024, 3, 20, tzinfo=UTC))


def test_what_is_no_target_is_refused(desk: Desk, store_id: UUID) -> None:
    with pytest.raises(InvalidField):
        aim(desk, store_id, date(2024, 3, 2), 100)
    with pytest.raises(CurrencyMismatch):
        aim(desk, store_id, MARCH, 100, currency="GBP")
    desk.do(CloseStore(store_id=store_id, reason="moved"))
    with pytest.raises(WrongState):
        aim(desk, store_id, MARCH, 100)


def test_managers_plan_sales_and_finance_plans_what_they_may_cost() -> None:
    SetSalesTarget.require_role(Actor(id="m", role=Role.MANAGER))
    SetBudget.require_role(Actor(id="f", role=Role.FINANCE))
    for command, role in ((SetSalesTarget, Role.FINANCE), (SetBudget, Role.PROMOTER)):
        with pytest.raises(NotAuthorised):
            command.require_role(Actor(id="x", role=role))


# Budgets -------------------------------------------------------------------------------------------------------------


def test_a_budget_is_of_a_month_and_a_category_and_somebody_answers_for_it(desk: Desk, store_id: UUID) -> None:
    since = len(desk.events)
    allow(desk, store_id, MARCH, 5_000_00)
    allow(desk, store_id, MARCH, 5_000_00)
    allow(desk, store_id, MARCH, 5_000_00, responsible="ben")
    allow(desk, store_id, MARCH, 700_00, category="packing paper")
    allow(desk, store_id, APRIL, 5_500_00)

    assert desk.recorded(since=since) == ["BudgetSet"] * 4
    assert desk.get(Store, store_id).plans.budgets == {
        "2024-03-01 rent": OperatingBudget(amount_minor=5_000_00, responsible="ben"),
        "2024-03-01 packing paper": OperatingBudget(amount_minor=700_00, responsible="ann"),
        "2024-04-01 rent": OperatingBudget(amount_minor=5_500_00, responsible="ann"),
    }


def test_a_budget_is_never_below_what_is_spent_already(desk: Desk, store_id: UUID) -> None:
    spend(desk, store_id, 400_00)
    spend(desk, store_id, 90_00, category="freight")
    spend(desk, store_id, -100_00)
    # In Shanghai it is the first of April.
    spend(desk, store_id, 50_00, at=datetime(2024, 3, 31, 16, tzinfo=UTC))

    with pytest.raises(BelowCommitted) as refused:
        allow(desk, store_id, MARCH, 299_99)
    assert "30000 minor units of 'rent'" in str(refused.value)
    allow(desk, store_id, MARCH, 300_00)
    spend(desk, store_id, 1)
    assert desk.get(Store, store_id).plans.spent["2024-03-01 rent"] == 300_01, "a budget stops no expense"
    allow(desk, store_id, MARCH, 300_00, responsible="ben")
    with pytest.raises(BelowCommitted):
        allow(desk, store_id, MARCH, 300_00 - 1, responsible="ben")
    allow(desk, store_id, APRIL, 50_00)
    with pytest.raises(BelowCommitted):
        allow(desk, store_id, APRIL, 0)


def test_what_is_no_budget_is_refused(desk: Desk, store_id: UUID) -> None:
    with pytest.raises(InvalidField):
        allow(desk, store_id, date(2024, 3, 31), 100)
    with pytest.raises(CurrencyMismatch):
        allow(desk, store_id, MARCH, 100, currency="GBP")
    desk.do(CloseStore(store_id=store_id, reason="moved"))
    with pytest.raises(WrongState):
        allow(desk, store_id, MARCH, 100)
