"""What is to be done for campaigns, as those who look after them see it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from opscore.domain.campaign_ad_commands import AgreeAdBudget
from opscore.domain.campaign_commands import CancelCampaign, SetForecast
from opscore.domain.campaign_resources import DropResource, ReviewResource, SubmitResource
from opscore.domain.command import Role
from tests.api.conftest import Api, gid
from tests.shop import Shop

DUE = """
query ($before: DateTime!, $stores: [ID!], $first: Int! = 50, $at: Position) {
  campaignsDue(before: $before, storeIds: $stores, first: $first, atLeast: $at) {
    campaignId storeId status what partId channel dueAt lastAt
  }
}
"""
START = datetime(2031, 6, 16, tzinfo=UTC)
"""A Monday, on which the store's clock is an hour ahead of UTC."""


@pytest.fixture
def shop(api: Api) -> Shop:
    """A store of the test's own."""
    return Shop.open(api.server.writer, name=f"Shop {uuid4()}")


def banner(api: Api, campaign: UUID, **fields: Any) -> UUID:
    """Plan a reviewed banner from that Monday on and return its id."""
    known = {
        "campaignId": gid("Campaign", campaign), "channel": "display", "form": "banner", "placement": "home page",
        "budgetMinor": 500_00, "currency": "GBP", "startsAt": START.isoformat(),
        "endsAt": (START + timedelta(days=9)).isoformat(), "needsReview": True,
    }  # fmt: skip
    answer = api.give("planResource", "userErrors { code } campaign { resources { resourceId } }", known | fields)
    assert answer["userErrors"] == []
    return UUID(answer["campaign"]["resources"][-1]["resourceId"])


def due(api: Api, shop: Shop, before: datetime, **more: Any) -> list[dict[str, Any]]:
    stores = [gid("Store", shop.store_id)]
    asked = {"before": before.isoformat(), "stores": stores, "at": api.server.services.log.head().position, **more}
    found: list[dict[str, Any]] = api.ask(DUE, asked)["campaignsDue"]
    return found


def test_what_is_to_be_handed_in_is_listed_soonest_first_until_it_is_handed_in(api: Api, shop: Shop) -> None:
    campaign = shop.campaign("Sale")
    later = banner(api, campaign, startsAt=(START + timedelta(days=1)).isoformat(), channel="search")
    place = banner(api, campaign)
    banner(api, campaign, needsReview=False)

    found = due(api, shop, START)
    assert [each["partId"] for each in found] == [str(place), str(later)]
    assert found[0] == {
        "campaignId": gid("Campaign", campaign), "storeId": gid("Store", shop.store_id), "status": "PLANNED",
        "what": "submit_resource", "partId": str(place), "channel": "display",
        "dueAt": "2031-06-09T23:00:00Z", "lastAt": "2031-06-11T23:00:00Z",
    }  # fmt: skip
    assert [each["partId"] for each in due(api, shop, START, first=1)] == [str(place)]
    assert [each["partId"] for each in due(api, shop, datetime(2031, 6, 10, tzinfo=UTC))] == [str(place)]
    assert due(api, shop, datetime(2031, 6, 9, 23, tzinfo=UTC)) == []

    shop.do(SubmitResource(campaign_id=campaign, resource_id=place))
    assert [each["partId"] for each in due(api, shop, START)] == [str(later)]
    shop.do(ReviewResource(campaign_id=campaign, resource_id=place, approved=False, reason="too dark"))
    assert [each["partId"] for each in due(api, shop, START)] == [str(place), str(later)], "it may be handed in again"
    shop.do(DropResource(campaign_id=campaign, resource_id=place, reason="too dear"))
    assert [each["partId"] for each in due(api, shop, START)] == [str(later)]
    shop.do(CancelCampaign(campaign_id=campaign, reason="no stock"))
    assert due(api, shop, START) == []
    assert not api.server.services.projector.check(["campaign_results"])


def launched(shop: Shop, api: Api, campaign: UUID, at: datetime) -> UUID:
    """Agree on a budget and launch a plan at a moment; return its id."""
    month = at.date().replace(day=1)
    shop.do(AgreeAdBudget(campaign_id=campaign, month=month, budget_minor=100_000, currency="GBP"), occurred_at=at)
    fields = {
        "campaignId": gid("Campaign", campaign), "channel": "search", "dailyCapMinor": 1000, "currency": "GBP",
        "keywords": [{"keyword": "green tea", "bidMinor": 50}], "occurredAt": at.isoformat(),
    }  # fmt: skip
    answer = api.give("launchAdPlan", "userErrors { code message } campaign { adPlans { planId } }", fields)
    assert answer["userErrors"] == []
    return UUID(answer["campaign"]["adPlans"][-1]["planId"])


def test_a_plan_that_nobody_adjusts_or_looks_at_is_overdue_and_nothing_is_refused(api: Api, shop: Shop) -> None:
    campaign, now = shop.campaign("Sale"), datetime.now(UTC)
    start = datetime(2024, 6, 17, 9, tzinfo=UTC)
    plan = launched(shop, api, campaign, start)

    def tasks() -> list[tuple[str, str]]:
        found = due(api, shop, now)
        assert {(each["partId"], each["channel"], each["lastAt"]) for each in found} <= {(str(plan), "search", None)}
        return [(each["what"], each["dueAt"]) for each in found]

    def give(command: str, day: int, **fields: Any) -> dict[str, Any]:
        known = {"campaignId": gid("Campaign", campaign), "planId": str(plan)}
        given = known | fields | {"occurredAt": (start + timedelta(days=day)).isoformat()}
        selection = (
            "monitored { day readings { name value } note } keywords { keyword bidMinor } status dailyCap { amount }"
        )
        answer = api.give(command, f"userErrors {{ code }} campaign {{ adPlans {{ {selection} }} }}", given)
        assert answer["userErrors"] == []
        shown: dict[str, Any] = answer["campaign"]["adPlans"][0]
        return shown

    assert tasks() == [("monitor_ad_plan", "2024-06-18T23:00:00Z"), ("adjust_ad_plan", "2024-06-19T23:00:00Z")]
    found = give("monitorAd", 1, readings=[{"name": "rank", "value": "3"}], note="well")
    assert found["monitored"] == [{"day": "2024-06-18", "readings": [{"name": "rank", "value": "3"}], "note": "well"}]
    assert tasks() == [("adjust_ad_plan", "2024-06-19T23:00:00Z"), ("monitor_ad_plan", "2024-06-19T23:00:00Z")]
    assert give("adjustAd", 4, dailyCapMinor=900)["dailyCap"] == {"amount": "9.00"}
    assert tasks() == [("monitor_ad_plan", "2024-06-19T23:00:00Z"), ("adjust_ad_plan", "2024-06-25T23:00:00Z")]
    assert give("pauseAdPlan", 5, reason="no stock")["status"] == "PAUSED"
    assert tasks() == []
    give("resumeAdPlan", 7)
    assert tasks() == [("monitor_ad_plan", "2024-06-25T23:00:00Z"), ("adjust_ad_plan", "2024-06-26T23:00:00Z")]
    assert give("endAdPlan", 8, reason="too dear")["keywords"] == [{"keyword": "green tea", "bidMinor": 50}]
    assert tasks() == []
    assert not api.server.services.projector.check(["campaign_results"])


@pytest.mark.parametrize("first", [0, 101])
def test_the_list_has_a_length_that_somebody_reads(api: Api, first: int) -> None:
    assert api.errors(DUE, {"before": START.isoformat(), "first": first})


def test_campaigns_are_found_by_what_they_need(api: Api, shop: Shop) -> None:
    rejected, dropped = shop.campaign("Rejected"), shop.campaign("Dropped")
    place = banner(api, rejected)
    shop.do(SubmitResource(campaign_id=rejected, resource_id=place))
    shop.do(ReviewResource(campaign_id=rejected, resource_id=place, approved=False, reason="too dark"))
    shop.do(DropResource(campaign_id=dropped, resource_id=banner(api, dropped), reason="too dear"))
    at, here = api.server.services.log.head().position, {"storeId": {"eq": gid("Store", shop.store_id)}}

    def found(filter_: dict[str, Any]) -> list[str]:
        document = """query ($f: CampaignFilter!, $at: Position) {
          campaigns(first: 9, filter: $f, atLeast: $at) { nodes { name } }
        }"""
        return [each["name"] for each in api.ask(document, {"f": filter_ | here, "at": at})["campaigns"]["nodes"]]

    assert found({"resourceStatus": {"eq": "REJECTED"}}) == ["Rejected"]
    assert found({"resourceStatus": {"eq": "APPROVED"}}) == []
    launched(shop, api, rejected, datetime(2024, 6, 17, 9, tzinfo=UTC))
    at = api.server.services.log.head().position
    assert found({"adPlanStatus": {"eq": "RUNNING"}, "adPlanChannel": {"eq": "search"}}) == ["Rejected"]
    assert found({"adPlanStatus": {"eq": "PAUSED"}}) == []
    assert found({"resourceChannel": {"eq": "display"}}) == ["Rejected"], "what was dropped is needed no more"


def test_the_days_of_a_resource_are_part_of_the_campaign_and_its_refusal_names_the_last_one(
    api: Api, shop: Shop
) -> None:
    campaign = shop.campaign("Sale")
    promoter = api.token(Role.PROMOTER)
    late = {
        "campaignId": gid("Campaign", campaign), "channel": "display", "form": "banner", "placement": "home page",
        "budgetMinor": 500, "currency": "GBP", "needsReview": True,
        "startsAt": "2024-06-17T00:00:00Z", "endsAt": "2024-06-30T00:00:00Z",
    }  # fmt: skip
    selection = (
        "userErrors { code } campaign { resources { resourceId status submitBy submitUntil budget { amount } } }"
    )
    [place] = api.give("planResource", selection, late, token=promoter)["campaign"]["resources"]
    assert (place["status"], place["budget"]["amount"]) == ("PLANNED", "5.00")
    assert (place["submitBy"], place["submitUntil"]) == ("2024-06-10T23:00:00Z", "2024-06-12T23:00:00Z")

    payload = api.give(
        "submitResource", "userErrors { code message }",
        {"campaignId": gid("Campaign", campaign), "resourceId": place["resourceId"]}, token=promoter,
    )  # fmt: skip
    [error] = payload["userErrors"]
    assert error["code"] == "SUBMITTED_TOO_LATE" and "2024-06-12" in error["message"]


def test_all_that_was_expected_of_a_campaign_stands_beside_what_it_brought(api: Api, shop: Shop) -> None:
    campaign = shop.campaign("Sale")
    expected = {
        "visitors": 1000, "conversion": Decimal("0.03"), "units": Decimal(30), "gmv_minor": 2400,
        "peak_hour": 21, "trough_hour": 4, "parcels_per_day": 25,
    }  # fmt: skip
    shop.do(SetForecast(campaign_id=campaign, **expected))
    shop.do(SetForecast(campaign_id=campaign, **(expected | {"peak_hour": 20})))

    asked = "forecastPeakHour forecastTroughHour forecastParcelsPerDay"
    document = (
        f"query ($ids: [ID!], $at: Position) {{ campaignResults(campaignIds: $ids, atLeast: $at) {{ {asked} }} }}"
    )
    at = api.server.services.log.head().position
    [found] = api.ask(document, {"ids": [gid("Campaign", campaign)], "at": at})["campaignResults"]

    assert found == {"forecastPeakHour": 20, "forecastTroughHour": 4, "forecastParcelsPerDay": 25}
