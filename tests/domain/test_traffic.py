"""Traffic of a store's day: booked per slice, corrected by revisions, on a stream of its own."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, strategies as st

from opscore.domain.refusals import InvalidField, NotFound, Refusal
from opscore.domain.traffic import (
    DayInFuture,
    ReportTraffic,
    RevisionNotNewer,
    TrafficDay,
    TrafficReported,
    VisitorsAbovePageViews,
    traffic_day_id,
)
from opscore.domain.values import TrafficSource
from tests.domain.desk import START, Desk

DAY = date(2024, 4, 30)


def report(of_store: UUID, **fields: Any) -> ReportTraffic:
    return ReportTraffic(**{"store_id": of_store, "day": DAY, "page_views": 100, "visitors": 40, **fields})


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def store_id(desk: Desk) -> UUID:
    return desk.open_store()


def test_a_report_begins_the_stream_of_its_day_and_shows_the_store(desk: Desk, store_id: UUID) -> None:
    store_events = len(desk.recorded(store_id))

    assert desk.do(report(store_id, channel="search", device="phone", hour=9)) == store_id

    assert desk.recorded(traffic_day_id(store_id, DAY)) == ["TrafficDayOpened", "TrafficReported"]
    assert len(desk.recorded(store_id)) == store_events
    said = desk.last(TrafficReported)
    assert (said.channel, said.device, said.hour, said.page_views, said.visitors) == ("search", "phone", 9, 100, 40)


def test_reports_of_two_sources_are_told_apart_from_each_other_and_from_the_whole(desk: Desk, store_id: UUID) -> None:
    for source in (None, TrafficSource.DIRECT, TrafficSource.PAID_SEARCH):
        desk.do(report(store_id, traffic_source=source, source="counter"))
        said = desk.last(TrafficReported)
        assert (said.traffic_source, said.source) == (source, "counter"), "whence they came, and who counted them"

    assert len(desk.get(TrafficDay, traffic_day_id(store_id, DAY)).reports) == 3
    with pytest.raises(RevisionNotNewer):
        desk.do(report(store_id, traffic_source=TrafficSource.DIRECT, page_views=101))


def test_the_same_figures_told_twice_are_recorded_once(desk: Desk, store_id: UUID) -> None:
    desk.do(report(store_id))
    known = len(desk.events)

    desk.do(report(store_id))

    assert len(desk.events) == known


def test_a_higher_revision_replaces_and_a_lower_or_equal_one_is_refused(desk: Desk, store_id: UUID) -> None:
    desk.do(report(store_id, revision=2))

    for fields in ({"revision": 1}, {"revision": 2, "page_views": 101}):
        with pytest.raises(RevisionNotNewer):
            desk.do(report(store_id, **fields))
    desk.do(report(store_id, revision=3, page_views=90))

    (kept,) = desk.get(TrafficDay, traffic_day_id(store_id, DAY)).reports.values()
    assert (kept.revision, kept.tallies.page_views) == (3, 90)


def test_slices_have_revisions_of_their_own(desk: Desk, store_id: UUID) -> None:
    desk.do(report(store_id, revision=5))
    desk.do(report(store_id, channel="search"))
    desk.do(report(store_id, hour=7))

    assert len(desk.get(TrafficDay, traffic_day_id(store_id, DAY)).reports) == 3


def test_the_day_is_the_stores_own(desk: Desk, store_id: UUID) -> None:
    # 17:00 in London is the next day in Shanghai, where this store is.
    evening = datetime(2024, 5, 2, 17, tzinfo=UTC)

    desk.do(report(store_id, day=date(2024, 5, 3)), at=evening)
    with pytest.raises(DayInFuture):
        desk.do(report(store_id, day=date(2024, 5, 4)), at=evening)


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"visitors": 101}, VisitorsAbovePageViews),
        ({"visits": 3, "single_page_visits": 4}, InvalidField),
        ({"campaign_id": uuid4()}, NotFound),
        ({"sku_id": uuid4()}, NotFound),
        ({"store_id": uuid4()}, NotFound),
    ],
)
def test_what_cannot_be_is_refused(desk: Desk, store_id: UUID, fields: dict[str, Any], refusal: type[Refusal]) -> None:
    with pytest.raises(refusal):
        desk.do(report(store_id, **fields))


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3)), min_size=1, max_size=12))
def test_what_holds_is_the_highest_revision_that_was_taken(reports: list[tuple[int, int]]) -> None:
    desk = Desk()
    store_id = desk.open_store()
    held: tuple[int, int] | None = None
    for revision, views in reports:
        command = report(store_id, revision=revision, page_views=views, visitors=None)
        if held is None or revision > held[0]:
            desk.do(command)
            held = (revision, views)
        elif (revision, views) == held:
            desk.do(command)
        else:
            with pytest.raises(RevisionNotNewer):
                desk.do(command)
    (kept,) = desk.get(TrafficDay, traffic_day_id(store_id, DAY)).reports.values()
    assert (kept.revision, kept.tallies.page_views) == held
    assert desk.now > START
