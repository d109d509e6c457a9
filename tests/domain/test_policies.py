"""Policies: defaults from the field, versions in force from a moment on, and parameters that make no sense refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, strategies as st

from opscore.domain.policies import (
    POLICIES,
    AfterSale,
    CampaignRules,
    Membership,
    MemberTier,
    OrderTerms,
    PlatformTerms,
    Points,
    PointsRule,
    Policy,
    PolicyInvalid,
    PolicyUnknown,
    PolicyVersion,
    PriceGuard,
    SecondPerson,
    ShipPromise,
    ZeroPrice,
    read_policy,
    stored_params,
    version_at,
)
from opscore.domain.refusals import WrongState
from opscore.domain.store import Store
from opscore.domain.store_commands import CloseStore, SetPolicy
from opscore.domain.store_events import EffectiveInThePast
from tests.domain.desk import Desk

JANUARY = datetime(2024, 1, 1, tzinfo=UTC)


def test_a_store_works_by_the_defaults_without_setting_any_policy() -> None:
    desk = Desk()
    store = desk.get(Store, desk.open_store(platform="own"))
    at = desk.now
    assert store.policy(ShipPromise, at) == ShipPromise(soft_hours=24, hard_hours=48)
    assert store.policy(OrderTerms, at).expiry_minutes == 30
    assert store.policy(AfterSale, at).days == 15
    assert store.policy(PriceGuard, at) == PriceGuard(cost_is_floor=True, market_is_ceiling=True)
    assert store.policy(CampaignRules, at).frozen_from_warmup
    assert store.policy(ZeroPrice, at).max_per_customer == 1
    assert store.policy(SecondPerson, at).audit
    assert store.policy(Points, at).rules == {}
    assert store.policy_version(ShipPromise, at) == 0


def test_platform_terms_are_per_platform_and_currency() -> None:
    tmall = PlatformTerms.default("tmall", "CNY")
    assert (tmall.deposit_minor, tmall.service_fee_minor) == (10_000_00, 6_000_00)
    assert PlatformTerms.default("tmall", "GBP").deposit_minor is None
    assert PlatformTerms.default("own", "GBP").deposit_minor == 0


def test_a_version_is_in_force_from_its_moment_on_and_the_past_keeps_its_numbers() -> None:
    desk = Desk()
    store_id = desk.open_store()
    now = desk.now
    later = now + timedelta(days=10)
    desk.do(SetPolicy(store_id=store_id, kind="ship_promise", params={"soft_hours": 12}, effective_from=later))
    store = desk.get(Store, store_id)
    assert store.policy(ShipPromise, later - timedelta(microseconds=1)).soft_hours == 24
    assert store.policy(ShipPromise, later).soft_hours == 12
    assert store.policy_version(ShipPromise, later) == 1
    desk.do(SetPolicy(store_id=store_id, kind="ship_promise", params={"soft_hours": 36}))
    store = desk.get(Store, store_id)
    assert store.policy(ShipPromise, now).soft_hours == 24
    assert store.policy(ShipPromise, desk.now).soft_hours == 36
    assert store.policy(ShipPromise, later).soft_hours == 12


def test_what_was_decided_cannot_be_changed_by_a_policy_that_begins_in_the_past() -> None:
    desk = Desk()
    store_id = desk.open_store()
    with pytest.raises(EffectiveInThePast):
        desk.do(
            SetPolicy(
                store_id=store_id, kind="after_sale", params={"days": 30}, effective_from=desk.now - timedelta(days=1)
            )
        )


def test_setting_the_same_policy_twice_records_once() -> None:
    desk = Desk()
    store_id = desk.open_store()
    begin = desk.now + timedelta(days=1)
    command = SetPolicy(store_id=store_id, kind="after_sale", params={"days": 30}, effective_from=begin)
    desk.do(command)
    desk.do(command)
    assert desk.recorded(store_id).count("PolicySet") == 1


def test_a_version_spells_out_every_parameter_so_that_later_defaults_do_not_change_it() -> None:
    desk = Desk()
    store_id = desk.open_store(platform="tmall")
    desk.do(SetPolicy(store_id=store_id, kind="platform_terms", params={"audit_due_days": 9}))
    (version,) = desk.get(Store, store_id).policies["platform_terms"]
    assert version.params["deposit_minor"] == 10_000_00
    assert set(version.params) == set(PlatformTerms.__struct_fields__)


def test_a_closed_store_sets_no_policies() -> None:
    desk = Desk()
    store_id = desk.open_store()
    desk.do(CloseStore(store_id=store_id, reason="moved"))
    with pytest.raises(WrongState):
        desk.do(SetPolicy(store_id=store_id, kind="after_sale", params={"days": 30}))


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("ship_promise", {"soft_hour": 24}),
        ("ship_promise", {"soft_hours": "24"}),
        ("ship_promise", {"soft_hours": 0}),
        ("ship_promise", {"soft_hours": 72}),
        ("platform_terms", {"deposit_minor": -1}),
        ("platform_terms", {"audit_expected_days": 8}),
        ("platform_terms", {"required_documents": ["birth_certificate"]}),
        ("zero_price", {"max_per_customer": 0}),
        ("campaign_rules", {"frozen_from_warmup": 1}),
        ("membership", {"tiers": [{"name": "gold", "discount": 0.9}]}),
        ("membership", {"tiers": [{"name": "gold", "discount": "1.1"}]}),
        ("membership", {"tiers": [{"name": "gold"}, {"name": "gold"}]}),
        ("membership", {"tiers": [{"name": "silver", "spend_minor": 2}, {"name": "gold", "spend_minor": 1}]}),
        ("points", {"rules": {"purchase": {}}}),
        ("points", {"rules": {"purchase": {"points": 1, "minor_per_point": 100}}}),
        ("points", {"share_of_goods_max": "1.5"}),
        ("order_terms", {"expiry_minutes": None}),
    ],
)
def test_parameters_that_make_no_sense_are_refused(kind: str, params: dict[str, Any]) -> None:
    desk = Desk()
    store_id = desk.open_store()
    before = len(desk.events)
    with pytest.raises(PolicyInvalid):
        desk.do(SetPolicy(store_id=store_id, kind=kind, params=params))
    assert len(desk.events) == before


def test_an_unknown_kind_is_refused_with_the_kinds_there_are() -> None:
    desk = Desk()
    store_id = desk.open_store()
    with pytest.raises(PolicyUnknown) as refused:
        desk.do(SetPolicy(store_id=store_id, kind="lucky_numbers", params={}))
    assert "ship_promise" in refused.value.message


@pytest.mark.parametrize("kind", sorted(POLICIES))
def test_every_default_can_be_stored_and_read_again(kind: str) -> None:
    for platform, currency in (("tmall", "CNY"), ("own", "GBP"), ("jd", "CNY")):
        default: Policy = POLICIES[kind].default(platform, currency)
        assert read_policy(kind, stored_params(default), platform="own", currency="GBP") == default


def test_points_by_amount_are_rounded_down() -> None:
    assert [PointsRule(minor_per_point=100).earned(amount) for amount in (0, 99, 100, 1999, -500)] == [0, 0, 1, 19, 0]
    assert PointsRule(points=5).earned(0) == 5


def test_the_highest_tier_that_the_spend_reaches_is_given() -> None:
    membership = Membership(
        tiers=(
            MemberTier(name="silver", spend_minor=100),
            MemberTier(name="gold", spend_minor=200),
            MemberTier(name="honorary"),
        )
    )
    reached = [membership.tier_by_spend(spend) for spend in (99, 100, 199, 200, 10**9)]
    assert [tier and tier.name for tier in reached] == [None, "silver", "silver", "gold", "gold"]


@given(
    begins=st.lists(st.integers(0, 20), max_size=8),
    asked=st.integers(-1, 21),
)
def test_in_force_is_what_began_last_and_of_two_that_began_together_the_later_one(
    begins: list[int], asked: int
) -> None:
    versions = [
        PolicyVersion(policy_version=number, effective_from=JANUARY + timedelta(days=begin), params={})
        for number, begin in enumerate(begins, 1)
    ]
    found = version_at(versions, JANUARY + timedelta(days=asked))
    in_force: tuple[int, int] | None = None
    for number, begin in enumerate(begins, 1):
        if begin <= asked and (in_force is None or begin >= in_force[0]):
            in_force = (begin, number)
    assert (found and found.policy_version) == (in_force and in_force[1])


def test_a_policy_belongs_to_one_store_only() -> None:
    desk = Desk()
    first, second = desk.open_store("A"), desk.open_store("B")
    desk.do(SetPolicy(store_id=first, kind="after_sale", params={"days": 30}))

    def days(store_id: UUID) -> int:
        return desk.get(Store, store_id).policy(AfterSale, desk.now).days

    assert (days(first), days(second)) == (30, 15)
