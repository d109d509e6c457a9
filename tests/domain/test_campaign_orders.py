"""What orders take of a campaign and give back, and what its advertising costs."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from opscore.domain.campaign import (
    AdRevisionSuperseded,
    BudgetBelowClaimed,
    Campaign,
    CampaignBudgetUsed,
    CampaignMembersOnly,
    CampaignNotInStore,
    CampaignNotLive,
    CouponInvalid,
    CouponUsedUp,
)
from opscore.domain.campaign_commands import (
    CouponTermsOffered,
    EndCampaign,
    FreeShippingTerms,
    GiftTerms,
    PauseCampaign,
    RecordAdSpend,
    SetCampaignBudget,
    coupon_campaign,
)
from opscore.domain.command import COMMANDS, Command, UnitOfWork
from opscore.domain.pricing import Buyer, MemberScope
from opscore.domain.refusals import (
    CurrencyMismatch,
    InvalidField,
)
from opscore.log.snapshots import state_bytes, state_shape
from tests.domain.desk import OWNER
from tests.domain.market import GUEST, JULY, JUNE, MID_JUNE, REGISTERED, Market, refused


@pytest.fixture
def market() -> Market:
    return Market()


# What orders use ------------------------------------------------------------------------------------------------------


def offers(market: Market, campaign_id: UUID, buyer: Buyer = GUEST, at: datetime = MID_JUNE) -> Any:
    return market.order(campaign_id, lambda campaign, now: campaign.offers(market.store_id, now, buyer), at)


def test_orders_use_a_campaign_while_it_is_live_and_within_its_time(market: Market) -> None:
    campaign_id = market.live()

    assert set(offers(market, campaign_id).lines) == {market.tea}
    assert offers(market, campaign_id, at=JUNE).campaign_id == campaign_id
    refused(CampaignNotLive, lambda: offers(market, campaign_id, at=JULY))
    market.do(PauseCampaign(campaign_id=campaign_id, reason="page broken"), at=MID_JUNE)
    assert "paused" in refused(CampaignNotLive, lambda: offers(market, campaign_id)).message


def test_orders_of_another_store_do_not_use_it(market: Market) -> None:
    campaign_id = market.live()

    no = refused(
        CampaignNotInStore,
        lambda: market.order(campaign_id, lambda campaign, at: campaign.require_live(uuid4(), at, ("campaign_ids", 0))),
    )
    assert no.path == ("campaign_ids", 0)


@pytest.mark.parametrize(
    ("scope", "tiers", "buyer", "admitted"),
    [
        (MemberScope.EVERYONE, (), GUEST, True),
        (MemberScope.REGISTERED, (), GUEST, False),
        (MemberScope.REGISTERED, (), REGISTERED, True),
        (MemberScope.MEMBERS, (), REGISTERED, False),
        (MemberScope.MEMBERS, (), Buyer(registered=True, tiers=("gold",)), True),
        (MemberScope.TIERS, ("gold",), Buyer(registered=True, tiers=("silver",)), False),
        (MemberScope.TIERS, ("gold",), Buyer(registered=True, tiers=("silver", "gold")), True),
    ],
)
def test_a_campaign_for_a_circle_is_used_by_that_circle(
    market: Market, scope: MemberScope, tiers: tuple[str, ...], buyer: Buyer, admitted: bool
) -> None:
    campaign_id = market.plan(member_scope=scope, tiers=tiers)
    market.add_line(campaign_id)
    market.live(campaign_id)

    if admitted:
        assert offers(market, campaign_id, buyer).name == "Spring"
    else:
        refused(CampaignMembersOnly, lambda: offers(market, campaign_id, buyer))


def test_the_budget_is_claimed_to_the_last_minor_unit_and_not_beyond(market: Market) -> None:
    campaign_id = market.live()
    market.do(SetCampaignBudget(campaign_id=campaign_id, budget_minor=50_00, currency="CNY"), actor=OWNER)
    first = market.claim(campaign_id, 30_00)

    no = refused(CampaignBudgetUsed, lambda: market.claim(campaign_id, 20_01))
    assert "2000" in no.message
    market.claim(campaign_id, 20_00)
    refused(CampaignBudgetUsed, lambda: market.claim(campaign_id, 1))
    market.release(campaign_id, first, 10_00)
    market.claim(campaign_id, 10_00)

    assert market.get(campaign_id).budget_claimed_minor == 50_00


def test_planning_a_claim_records_nothing(market: Market) -> None:
    campaign_id = market.live()
    since = len(market.desk.events)

    market.order(campaign_id, lambda campaign, at: campaign.plan_claim(uuid4(), None, 10_00, None))

    assert market.desk.recorded(since=since) == []


def test_a_budget_is_in_the_campaigns_currency_and_not_below_what_orders_have_taken(market: Market) -> None:
    campaign_id = market.live()
    market.claim(campaign_id, 30_00)

    def set_budget(minor: int, currency: str = "CNY") -> UUID:
        return market.do(SetCampaignBudget(campaign_id=campaign_id, budget_minor=minor, currency=currency), actor=OWNER)

    refused(BudgetBelowClaimed, lambda: set_budget(29_99))
    refused(CurrencyMismatch, lambda: set_budget(30_00, "GBP"))
    set_budget(30_00)
    since = len(market.desk.events)
    set_budget(30_00)

    assert market.desk.recorded(since=since) == []


def coupon_market(market: Market, **terms: Any) -> UUID:
    campaign_id = market.plan()
    market.add_promotion(campaign_id, CouponTermsOffered(code="SPRING", off_minor=5_00, **terms))
    return market.live(campaign_id)


def test_a_coupon_is_used_as_often_as_it_may_be_and_a_use_comes_back(market: Market) -> None:
    campaign_id = coupon_market(market, usage_limit=2)
    first = market.claim(campaign_id, 5_00, "SPRING")
    market.claim(campaign_id, 5_00, "SPRING")

    refused(CouponUsedUp, lambda: market.claim(campaign_id, 5_00, "SPRING"))
    refused(
        CouponUsedUp, lambda: market.order(campaign_id, lambda campaign, at: campaign.coupon("SPRING", at, REGISTERED))
    )
    market.release(campaign_id, first, 5_00, "SPRING")
    market.claim(campaign_id, 5_00, "SPRING")

    campaign = market.get(campaign_id)
    assert (campaign.coupon_uses, campaign.budget_claimed_minor) == ({"SPRING": 2}, 10_00)


@pytest.mark.parametrize(
    ("terms", "buyer", "at", "valid"),
    [
        ({}, GUEST, MID_JUNE, True),
        ({"valid_from": MID_JUNE}, GUEST, MID_JUNE, True),
        ({"valid_from": MID_JUNE}, GUEST, MID_JUNE - timedelta(seconds=1), False),
        ({"valid_until": MID_JUNE}, GUEST, MID_JUNE, False),
        ({"valid_until": MID_JUNE}, GUEST, MID_JUNE - timedelta(seconds=1), True),
        ({"per_customer_limit": 1}, GUEST, MID_JUNE, False),
        ({"per_customer_limit": 1}, REGISTERED, MID_JUNE, True),
    ],
)
def test_a_coupon_is_valid_in_its_time_for_its_customers(
    market: Market, terms: dict[str, Any], buyer: Buyer, at: datetime, valid: bool
) -> None:
    campaign_id = coupon_market(market, **terms)

    def look_up() -> Any:
        return market.order(campaign_id, lambda campaign, now: campaign.coupon("SPRING", now, buyer), at)

    if valid:
        assert (look_up().off_minor, look_up().source_id) == (5_00, campaign_id)
    else:
        refused(CouponInvalid, look_up)


def test_a_guest_does_not_claim_a_coupon_that_is_limited_per_customer(market: Market) -> None:
    campaign_id = coupon_market(market, per_customer_limit=1)

    refused(CouponInvalid, lambda: market.claim(campaign_id, 5_00, "SPRING"))
    market.claim(campaign_id, 5_00, "SPRING", customer_id=uuid4())


def test_a_code_alone_leads_to_its_campaign_while_that_is_live(market: Market) -> None:
    campaign_id = market.plan()
    market.add_promotion(campaign_id, CouponTermsOffered(code="SPRING", off_minor=5_00))

    def look_up(code: str) -> UUID:
        found: list[UUID] = []

        class LookUp(Command):
            def decide(self, work: UnitOfWork) -> UUID:
                found.append(coupon_campaign(work, market.store_id, code).id)
                return campaign_id

        del COMMANDS["lookUp"]
        market.do(LookUp(), at=MID_JUNE)
        return found[0]

    refused(CampaignNotLive, lambda: look_up("SPRING"))
    market.live(campaign_id)
    assert look_up("SPRING") == campaign_id
    refused(CouponInvalid, lambda: look_up("WINTER"))
    market.do(EndCampaign(campaign_id=campaign_id), at=MID_JUNE)
    refused(CouponInvalid, lambda: look_up("SPRING"))


def test_a_release_never_refuses_even_after_the_end_and_never_gives_back_more_than_was_taken(market: Market) -> None:
    campaign_id = coupon_market(market)
    order_id = market.claim(campaign_id, 5_00, "SPRING")
    market.do(EndCampaign(campaign_id=campaign_id), at=MID_JUNE)

    for _ in range(2):
        market.release(campaign_id, order_id, 5_00, "SPRING")

    campaign = market.get(campaign_id)
    assert (campaign.budget_claimed_minor, campaign.coupon_uses) == (0, {"SPRING": 0})
    assert market.desk.recorded(campaign_id)[-2:] == ["CampaignBudgetReleased", "CouponReleased"]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 30), st.booleans()), max_size=30))
def test_no_budget_and_no_coupon_use_is_ever_lost_or_taken_twice(steps: list[tuple[bool, int, bool]]) -> None:
    market = Market()
    campaign_id = coupon_market(market, usage_limit=3)
    market.do(SetCampaignBudget(campaign_id=campaign_id, budget_minor=100, currency="CNY"), actor=OWNER)
    held: list[tuple[UUID, int, str | None]] = []
    for takes, minor, with_coupon in steps:
        code = "SPRING" if with_coupon else None
        if takes:
            taken, used = sum(each[1] for each in held), sum(1 for each in held if each[2])
            if taken + minor > 100 or (code and used == 3):
                with pytest.raises((CampaignBudgetUsed, CouponUsedUp)):
                    market.claim(campaign_id, minor, code)
            else:
                held.append((market.claim(campaign_id, minor, code), minor, code))
        elif held:
            market.release(campaign_id, *held.pop(0))
    campaign = market.get(campaign_id)
    assert campaign.budget_claimed_minor == sum(each[1] for each in held)
    assert campaign.coupon_uses.get("SPRING", 0) == sum(1 for each in held if each[2])


def test_the_state_of_a_campaign_stays_small_however_many_orders_use_it(market: Market) -> None:
    campaign_id = coupon_market(market)
    sizes = []
    for _ in range(2):
        for _ in range(20):
            market.claim(campaign_id, 9, "SPRING")
        state = {name: value for name, value in vars(market.get(campaign_id)).items() if not name.startswith("_")}
        sizes.append(len(msgspec.json.encode(state)))

    assert sizes[0] == sizes[1]


# Advertising ----------------------------------------------------------------------------------------------------------


def spend(campaign_id: UUID, **fields: Any) -> RecordAdSpend:
    known: dict[str, Any] = {"day": date(2024, 6, 2), "channel": "search", "cost_minor": 120_00, "currency": "CNY"}
    return RecordAdSpend(campaign_id=campaign_id, **(known | fields))


def test_a_higher_revision_of_a_days_spend_replaces_the_lower_and_only_the_higher(market: Market) -> None:
    campaign_id = market.live()
    at: dict[str, Any] = {"at": MID_JUNE}
    market.do(spend(campaign_id), **at)
    since = len(market.desk.events)
    market.do(spend(campaign_id), **at)
    assert market.desk.recorded(since=since) == []

    refused(AdRevisionSuperseded, lambda: market.do(spend(campaign_id, cost_minor=99), **at))
    market.do(spend(campaign_id, cost_minor=130_00, revision=3), **at)
    refused(AdRevisionSuperseded, lambda: market.do(spend(campaign_id, cost_minor=99, revision=2), **at))
    market.do(spend(campaign_id, channel="banner", cost_minor=1), **at)

    costs = {key: each.cost_minor for key, each in market.get(campaign_id).ad_spend.items()}
    assert costs == {"2024-06-02 search": 130_00, "2024-06-02 banner": 1}


def test_spend_of_a_day_that_has_not_come_in_the_stores_zone_is_refused(market: Market) -> None:
    campaign_id = market.live()
    before_midnight_in_shanghai = datetime(2024, 6, 1, 15, 59, tzinfo=UTC)

    refused(InvalidField, lambda: market.do(spend(campaign_id), at=before_midnight_in_shanghai))
    market.do(spend(campaign_id), at=before_midnight_in_shanghai + timedelta(minutes=1))
    refused(CurrencyMismatch, lambda: market.do(spend(campaign_id, currency="GBP", revision=2), at=MID_JUNE))


def test_a_campaign_comes_out_of_a_snapshot_as_it_went_in(market: Market) -> None:
    campaign_id = market.plan()
    market.add_promotion(campaign_id, GiftTerms(sku_id=market.cup))
    market.add_promotion(campaign_id, FreeShippingTerms(spend_minor=99_00))
    market.add_promotion(campaign_id, CouponTermsOffered(code="SPRING", off_minor=5_00, valid_until=JULY))
    market.add_line(campaign_id)
    market.live(campaign_id)
    market.do(spend(campaign_id), at=MID_JUNE)
    campaign = market.get(campaign_id)

    restored = msgspec.json.decode(state_bytes(campaign), type=state_shape(Campaign))

    for name in state_shape(Campaign).__struct_fields__:
        assert getattr(restored, name) == getattr(campaign, name), name
