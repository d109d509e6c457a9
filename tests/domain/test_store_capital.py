"""Capital: divided among the funds of a store by its policy, and moved between them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from opscore.domain.command import Actor, Role
from opscore.domain.policies import CapitalSplit, FundShares, PolicyInvalid
from opscore.domain.refusals import CurrencyMismatch, InvalidField, NotAuthorised, WrongState
from opscore.domain.store import Store
from opscore.domain.store_capital import InvestCapital, MoveFunds
from opscore.domain.store_commands import CloseStore, SetPolicy
from opscore.domain.store_plan_events import CapitalInvested, Fund, FundsMoved
from tests.domain.desk import Desk


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def store_id(desk: Desk) -> UUID:
    return desk.open_store()


def invest(desk: Desk, store_id: UUID, minor: int, currency: str = "CNY") -> tuple[int, int, int, int]:
    """Invest, and return what goes to which fund, and by which version of the policy."""
    desk.do(InvestCapital(store_id=store_id, amount_minor=minor, currency=currency, source="the owners"))
    put = desk.last(CapitalInvested)
    assert put.amount_minor == minor
    return put.purchasing_minor, put.working_minor, put.other_minor, put.policy_version


def move(desk: Desk, store_id: UUID, from_fund: Fund, to_fund: Fund, currency: str = "CNY") -> None:
    given: dict[str, Any] = {"amount_minor": 100, "currency": currency, "reason": "season"}
    desk.do(MoveFunds(store_id=store_id, from_fund=from_fund, to_fund=to_fund, **given))


def test_capital_is_divided_as_the_policy_in_force_says(desk: Desk, store_id: UUID) -> None:
    assert invest(desk, store_id, 50_000_00) == (35_000_00, 10_000_00, 5_000_00, 0)
    shares = {"working_share": "0.25", "other_share": "0"}
    begin = desk.now + timedelta(days=1)
    desk.do(SetPolicy(store_id=store_id, kind="capital_split", params=shares, effective_from=begin))
    assert invest(desk, store_id, 100)[3] == 0, "it is not in force yet"
    desk.now = begin
    assert invest(desk, store_id, 50_000_00) == (37_500_00, 12_500_00, 0, 1)

    assert desk.get(Store, store_id).plans.capital_minor == 100_001_00


@pytest.mark.parametrize(("minor", "shares"), [(1, (1, 0, 0)), (9, (8, 1, 0)), (10, (7, 2, 1)), (99, (71, 19, 9))])
def test_what_does_not_come_out_even_is_for_purchasing(minor: int, shares: tuple[int, int, int]) -> None:
    found = CapitalSplit().shares(minor)

    assert found == FundShares(purchasing_minor=shares[0], working_minor=shares[1], other_minor=shares[2])


@pytest.mark.parametrize("kind", ["capital_split", "income_split"])
@pytest.mark.parametrize(
    "params",
    [{"working_share": "0.8", "other_share": "0.3"}, {"other_share": "-0.1"}, {"working_share": "0.1234567"}],
)
def test_shares_are_parts_of_one(desk: Desk, store_id: UUID, kind: str, params: dict[str, str]) -> None:
    with pytest.raises(PolicyInvalid):
        desk.do(SetPolicy(store_id=store_id, kind=kind, params=params))


def test_money_moves_from_one_fund_to_another_in_a_closed_store_too(desk: Desk, store_id: UUID) -> None:
    with pytest.raises(InvalidField):
        move(desk, store_id, Fund.WORKING, Fund.WORKING)
    with pytest.raises(CurrencyMismatch):
        move(desk, store_id, Fund.WORKING, Fund.OTHER, currency="GBP")
    with pytest.raises(CurrencyMismatch):
        invest(desk, store_id, 100, currency="GBP")
    desk.do(CloseStore(store_id=store_id, reason="moved"))
    with pytest.raises(WrongState):
        invest(desk, store_id, 100)
    move(desk, store_id, Fund.OTHER, Fund.PURCHASING)

    moved = desk.last(FundsMoved)
    assert (moved.from_fund, moved.to_fund, moved.amount_minor) == (Fund.OTHER, Fund.PURCHASING, 100)


def test_owners_put_money_in_and_managers_move_it() -> None:
    InvestCapital.require_role(Actor(id="o", role=Role.OWNER))
    MoveFunds.require_role(Actor(id="m", role=Role.MANAGER))
    with pytest.raises(NotAuthorised):
        InvestCapital.require_role(Actor(id="m", role=Role.MANAGER))
