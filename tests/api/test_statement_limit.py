"""How long one statement may take that is read for the API, whoever asks and by whichever way."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from tests.api.conftest import Api, gid
from tests.api.test_deadlines import require_timed_out, stuck
from tests.shop import Shop


@pytest.fixture(scope="module")
def more_settings() -> dict[str, Any]:
    """The database has little time for a statement, a query more than a test takes."""
    return {"read_seconds_max": 3600, "statement_seconds_max": 0.3}


QUESTIONS = {
    "a list": ("order_book", "{ orders(first: 1) { nodes { id } } }"),
    "a total": ("order_book", "{ orderCount { orders } }"),
    "the events behind a figure": (
        "events",
        '{ explain(projection: "kpi_daily", cell: "kpi_daily", first: 1, key: {day: "2026-01-01", currency: "GBP",'
        f' store_id: "{gid("Store", UUID(int=1))}"}}) {{ totalCount }} }}',
    ),
    "events": ("events", "{ events(first: 1) { nodes { hash } } }"),
    "a check of the log": ("events", "{ verification(limit: 1) { holds } }"),
    "objects": ("events", f'{{ nodes(ids: ["{gid("Store", UUID(int=1))}"]) {{ id }} }}'),
    "any rows": (
        "kpi_daily",
        '{ projectionRows(projection: "kpi_daily", query: "days", first: 1, parameters: {from_day: "2026-01-01",'
        ' to_day: "2026-01-02"}) { rows } }',
    ),
    "figures of days": ("kpi_daily", '{ kpiDaily(fromDay: "2026-01-01", toDay: "2026-01-02") { day } }'),
}


@pytest.mark.parametrize(("what", "query"), QUESTIONS.values(), ids=QUESTIONS.keys())
def test_a_statement_that_takes_too_long_is_ended_by_the_database(api: Api, shop: Shop, what: str, query: str) -> None:
    with stuck(api, what):
        answer = api.post({"query": query}).json()

    require_timed_out(answer)
    assert answer["errors"][0]["path"] == [query.split()[1].partition("(")[0]]
    assert api.post({"query": query}).json()["data"] is not None
