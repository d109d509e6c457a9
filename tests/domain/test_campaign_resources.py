"""What a campaign needs from outside: places for advertising, handed in for review in time, approved or not."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from opscore.domain.calendars import CalendarKind
from opscore.domain.campaign import CampaignStatus, WindowInvalid
from opscore.domain.campaign_commands import CancelCampaign, EndCampaign, ScheduleCampaign
from opscore.domain.campaign_events import ResourceStatus
from opscore.domain.campaign_resources import (
    DropResource,
    PlanResource,
    ReviewResource,
    SubmitResource,
    SubmittedTooLate,
)
from opscore.domain.campaign_state import Resource
from opscore.domain.policies import PolicyInvalid
from opscore.domain.refusals import CurrencyMismatch, InvalidField, NotFound, ReasonMissing, WrongState
from opscore.domain.store_commands import SetCalendar, SetPolicy
from tests.domain.desk import OWNER
from tests.domain.market import JULY, JUNE, MAY, MID_JUNE, Market, refused

SHANGHAI = ZoneInfo("Asia/Shanghai")
MONDAY = datetime(2024, 6, 17, tzinfo=SHANGHAI)
"""When the advertising starts: at the store's midnight."""


def end_of(day: int) -> datetime:
    """Return the end of a day of June in the store's zone."""
    return datetime(2024, 6, day + 1, tzinfo=SHANGHAI)


@pytest.fixture
def market() -> Market:
    return Market()


def planned(market: Market, campaign_id: UUID, **fields: Any) -> UUID:
    """Plan a reviewed banner from that Monday to the end of the month and return its id."""
    known: dict[str, Any] = {
        "channel": "zuanzhan", "form": "display", "placement": "home page, first banner", "budget_minor": 500_00,
        "currency": "CNY", "starts_at": MONDAY, "ends_at": JULY, "needs_review": True,
    }  # fmt: skip
    before = set(market.get(campaign_id).resources)
    market.do(PlanResource(campaign_id=campaign_id, **(known | fields)))
    return next(iter(set(market.get(campaign_id).resources) - before), fields.get("resource_id", campaign_id))


def resource(market: Market, campaign_id: UUID, resource_id: UUID) -> Resource:
    return market.get(campaign_id).resources[resource_id]


def test_a_reviewed_place_is_to_be_handed_in_five_working_days_ahead_and_three_at_the_least(market: Market) -> None:
    campaign_id = market.plan()
    found = resource(market, campaign_id, planned(market, campaign_id))

    assert (found.submit_by, found.submit_until) == (end_of(10), end_of(12)), "Monday and Wednesday of the week before"
    assert (found.status, found.quantity, found.budget_minor) == (ResourceStatus.PLANNED, 1, 500_00)


def test_the_days_are_those_of_the_stores_calendar_and_policy_as_they_were_when_it_was_planned(market: Market) -> None:
    campaign_id = market.plan()
    before = planned(market, campaign_id)
    market.do(
        SetCalendar(store_id=market.store_id, kind=CalendarKind.BUSINESS, holidays=(date(2024, 6, 10),)), actor=OWNER
    )
    holiday = planned(market, campaign_id)
    rules = {"review_days": 2, "review_days_min": 1}
    market.do(SetPolicy(store_id=market.store_id, kind="campaign_rules", params=rules), actor=OWNER)
    short = planned(market, campaign_id)

    found = market.get(campaign_id).resources
    assert [found[each].submit_by for each in (before, holiday, short)] == [end_of(10), end_of(7), end_of(13)]
    assert [found[each].submit_until for each in (before, holiday, short)] == [end_of(12), end_of(12), end_of(14)]


def test_what_is_the_least_is_not_more_than_what_should_be(market: Market) -> None:
    upside_down = SetPolicy(store_id=market.store_id, kind="campaign_rules", params={"review_days": 2})

    assert "review_days_min" in refused(PolicyInvalid, lambda: market.do(upside_down, actor=OWNER)).message


def test_a_place_is_handed_in_until_the_end_of_the_last_day_and_the_refusal_names_that_day(market: Market) -> None:
    campaign_id = market.plan()
    early, late = planned(market, campaign_id), planned(market, campaign_id)
    midnight = end_of(12).astimezone(UTC)

    market.do(SubmitResource(campaign_id=campaign_id, resource_id=early), at=midnight - timedelta(seconds=1))
    no = refused(
        SubmittedTooLate,
        lambda: market.do(SubmitResource(campaign_id=campaign_id, resource_id=late), at=midnight),
    )

    assert "2024-06-12" in no.message and no.path == ("resource_id",)
    assert resource(market, campaign_id, early).status is ResourceStatus.SUBMITTED


def test_what_was_rejected_is_handed_in_again_and_what_was_approved_is_not(market: Market) -> None:
    campaign_id = market.plan()
    place = planned(market, campaign_id)
    submit = SubmitResource(campaign_id=campaign_id, resource_id=place)
    approve = ReviewResource(campaign_id=campaign_id, resource_id=place, approved=True)
    reject = ReviewResource(campaign_id=campaign_id, resource_id=place, approved=False, reason="picture too small")

    refused(WrongState, lambda: market.do(approve))
    market.do(submit)
    refused(
        ReasonMissing,
        lambda: market.do(ReviewResource(campaign_id=campaign_id, resource_id=place, approved=False)),
    )
    market.do(reject)
    assert resource(market, campaign_id, place).rejected_because == "picture too small"
    market.do(submit)
    assert resource(market, campaign_id, place).rejected_because is None
    market.do(approve)
    version = market.get(campaign_id).version
    market.do(approve)

    assert market.get(campaign_id).version == version, "told twice, recorded once"
    assert resource(market, campaign_id, place).status is ResourceStatus.APPROVED
    refused(WrongState, lambda: market.do(submit))
    refused(WrongState, lambda: market.do(reject))


def test_handing_in_twice_records_once(market: Market) -> None:
    campaign_id = market.plan()
    submit = SubmitResource(campaign_id=campaign_id, resource_id=planned(market, campaign_id))
    market.do(submit)
    version = market.get(campaign_id).version

    market.do(submit)

    assert market.get(campaign_id).version == version


def test_what_nobody_reviews_has_no_days_and_is_not_handed_in(market: Market) -> None:
    campaign_id = market.plan()
    place = planned(market, campaign_id, needs_review=False)

    assert resource(market, campaign_id, place).submit_by is None
    refused(WrongState, lambda: market.do(SubmitResource(campaign_id=campaign_id, resource_id=place)))


def test_a_place_that_is_planned_anew_takes_the_place_of_the_one_before_and_is_reviewed_anew(market: Market) -> None:
    campaign_id = market.plan()
    place = planned(market, campaign_id)
    market.do(SubmitResource(campaign_id=campaign_id, resource_id=place))
    version = market.get(campaign_id).version
    planned(market, campaign_id, resource_id=place)
    assert market.get(campaign_id).version == version, "the same plan again changes nothing"

    planned(market, campaign_id, resource_id=place, starts_at=MONDAY + timedelta(days=1))

    found = market.get(campaign_id).resources
    assert list(found) == [place] and found[place].status is ResourceStatus.PLANNED
    assert found[place].submit_until == end_of(13)


def test_a_place_has_the_campaigns_time_unless_it_has_its_own(market: Market) -> None:
    campaign_id = market.plan()
    market.add_line(campaign_id)
    open_end = {"starts_at": None, "ends_at": None}
    assert refused(InvalidField, lambda: planned(market, campaign_id, **open_end)).path == ("starts_at",)

    market.schedule(campaign_id)
    place = planned(market, campaign_id, **open_end)
    moved = ScheduleCampaign(
        campaign_id=campaign_id, starts_at=MID_JUNE, ends_at=JULY, reason="the platform's own event is then"
    )
    market.do(moved)

    found = resource(market, campaign_id, place)
    assert (found.starts_at, found.ends_at) == (JUNE, JULY), "moving the campaign moves no resource"


@pytest.mark.parametrize(
    ("fields", "kind", "path"),
    [
        ({"ends_at": MONDAY}, WindowInvalid, "ends_at"),
        ({"currency": "EUR"}, CurrencyMismatch, "currency"),
        ({"resource_id": UUID(int=1)}, NotFound, "resource_id"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused_where_it_stands(
    market: Market, fields: dict[str, Any], kind: Any, path: str
) -> None:
    campaign_id = market.plan()

    assert refused(kind, lambda: planned(market, campaign_id, **fields)).path == (path,)


def test_what_the_campaign_does_without_is_gone_from_it(market: Market) -> None:
    campaign_id = market.plan()
    place = planned(market, campaign_id)
    kept = planned(market, campaign_id)
    drop = DropResource(campaign_id=campaign_id, resource_id=place, reason="too dear")
    market.do(drop)

    assert list(market.get(campaign_id).resources) == [kept]
    refused(NotFound, lambda: market.do(drop))
    refused(NotFound, lambda: market.do(SubmitResource(campaign_id=campaign_id, resource_id=place)))


def test_a_campaign_starts_before_its_places_are_approved_and_plans_further_ones_while_it_runs(market: Market) -> None:
    campaign_id = market.plan()
    market.add_line(campaign_id)
    rejected, open_one = planned(market, campaign_id), planned(market, campaign_id)
    market.do(SubmitResource(campaign_id=campaign_id, resource_id=rejected))
    market.do(ReviewResource(campaign_id=campaign_id, resource_id=rejected, approved=False, reason="no"))
    market.live(campaign_id)

    assert market.get(campaign_id).status is CampaignStatus.LIVE
    market.do(SubmitResource(campaign_id=campaign_id, resource_id=open_one), at=JUNE + timedelta(days=1))
    assert planned(market, campaign_id) in market.get(campaign_id).resources


def test_nothing_is_planned_for_a_campaign_that_is_over(market: Market) -> None:
    over, off = market.live(), market.plan("Off")
    places = {campaign_id: planned(market, campaign_id) for campaign_id in (over, off)}
    market.do(EndCampaign(campaign_id=over), at=MID_JUNE)
    market.do(CancelCampaign(campaign_id=off, reason="no stock"), at=MAY + timedelta(days=1))

    for campaign_id, place in places.items():
        refused(WrongState, lambda campaign_id=campaign_id: planned(market, campaign_id))
        for command in (
            SubmitResource(campaign_id=campaign_id, resource_id=place),
            ReviewResource(campaign_id=campaign_id, resource_id=place, approved=True),
            DropResource(campaign_id=campaign_id, resource_id=place, reason="late"),
        ):
            refused(WrongState, lambda command=command: market.do(command, at=MID_JUNE))
