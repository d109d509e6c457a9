"""Key figures through the API: the catalogue, any window, comparisons, and each cell open to its events."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from opscore.domain.command import Role
from opscore.domain.order_commands import PayOrder
from tests.api.conftest import Api, gid
from tests.shop import Shop

KPI = """
query ($code: String!, $from: Date!, $to: Date!, $grain: KpiGrain!, $compare: KpiComparison, $sku: ID, $at: Position) {
  kpi(code: $code, fromDay: $from, toDay: $to, grain: $grain, compare: $compare, skuId: $sku, atLeast: $at) {
    definition { code version unit book }
    knownAtPosition
    rows {
      startsOn endsOn hour currencyCode value numerator denominator change
      compared { startsOn endsOn value }
    }
  }
}
"""
EXPLAIN = """
query ($code: String!, $day: Date!, $side: KpiSide!, $first: Int!, $after: String, $currency: String) {
  explainKpi(
    code: $code, fromDay: $day, toDay: $day, grain: DAY, side: $side, currencyCode: $currency, first: $first
    after: $after
  ) {
    nodes { position event measure orderId buyer amount currencyCode definitionVersion ruleVersion }
    pageInfo { hasNextPage endCursor }
  }
}
"""


@pytest.fixture(scope="module")
def trade(api: Api, shop: Shop) -> dict[str, Any]:
    """Five paid orders of two customers and a guest, and the day's visitors, twice reported."""
    skus = [shop.sku(code, stock=1_000, price=price, cost="1.00") for code, price in (("A", "2.00"), ("B", "3.50"))]
    customers: list[UUID | None] = [shop.customer(), shop.customer(), None]
    for number in range(5):
        order = shop.do(shop.order((skus[number % 2], 2), customer_id=customers[number % 3]))
        shop.do(PayOrder(order_id=order, amount_minor=(400, 700)[number % 2], method="card", currency="GBP"))
    store = gid("Store", shop.store_id)
    zone = ZoneInfo(api.ask("query ($id: ID!) { store(id: $id) { timeZone } }", {"id": store})["store"]["timeZone"])
    day = datetime.now(UTC).astimezone(zone).date()
    for revision, visitors in ((1, 30), (2, 12)):
        fields = {"storeId": store, "day": str(day), "pageViews": 90, "visitors": visitors, "revision": revision}
        answer = api.give("reportTraffic", "store { id } position userErrors { code }", fields)
        assert answer["userErrors"] == []
        assert answer["store"]["id"] == store
    return {"skus": skus, "day": str(day), "position": answer["position"], "store": store}


def asked(api: Api, trade: dict[str, Any], code: str, **more: Any) -> list[dict[str, Any]]:
    variables = {
        "code": code,
        "from": trade["day"],
        "to": trade["day"],
        "grain": "DAY",
        "at": trade["position"],
        **more,
    }
    answer = api.ask(KPI, variables)["kpi"]
    assert answer["knownAtPosition"] >= trade["position"]
    assert (answer["definition"]["code"], answer["definition"]["version"]) == (code, 1)
    rows: list[dict[str, Any]] = answer["rows"]
    return rows


def test_the_figures_of_the_day_are_right(api: Api, trade: dict[str, Any]) -> None:
    def row(code: str, **more: Any) -> tuple[Any, Any, Any]:
        [found] = asked(api, trade, code, **more)
        return found["value"], found["numerator"], found["denominator"]

    # Three orders at 4.00 and two at 7.00, by two customers and one guest; 12 visitors as the second report says.
    assert row("K017") == ("26", "26", None)
    assert row("K017", sku=gid("Sku", trade["skus"][1])) == ("14", "14", None)
    assert row("K019") == ("5", "5", None)
    assert row("K020") == ("8.666667", "26", "3")
    assert row("K002") == ("12", "12", None)
    assert row("K012") == ("0.25", "3", "12")
    assert row("K018") == ("26", "26", None)
    assert row("K012", grain="TOTAL") == ("0.25", "3", "12")


def test_a_stale_report_is_refused_with_its_code(api: Api, trade: dict[str, Any]) -> None:
    fields = {"storeId": trade["store"], "day": trade["day"], "pageViews": 1, "revision": 1}
    future = {**fields, "day": str(datetime.now(UTC).date() + timedelta(days=3)), "revision": 9}
    below = {**fields, "visitors": 2, "revision": 9}
    codes = [
        api.give("reportTraffic", "userErrors { code path }", each)["userErrors"] for each in (fields, future, below)
    ]
    assert codes == [
        [{"code": "REVISION_NOT_NEWER", "path": ["revision"]}],
        [{"code": "DAY_IN_FUTURE", "path": ["day"]}],
        [{"code": "VISITORS_ABOVE_PAGE_VIEWS", "path": ["visitors"]}],
    ]


def test_an_earlier_window_stands_beside_and_without_one_there_is_no_change(api: Api, trade: dict[str, Any]) -> None:
    [row] = asked(api, trade, "K017", compare="PREVIOUS_PERIOD")
    before = str(datetime.fromisoformat(trade["day"]).date() - timedelta(days=1))
    assert row["compared"] == {"startsOn": before, "endsOn": before, "value": None}
    assert row["change"] is None


def test_a_cell_opens_page_by_page_down_to_its_events(api: Api, trade: dict[str, Any]) -> None:
    def walk(side: str, code: str, size: int, currency: str | None) -> list[dict[str, Any]]:
        rows, after = [], None
        while True:
            page = api.ask(
                EXPLAIN,
                {"code": code, "day": trade["day"], "side": side, "first": size, "after": after, "currency": currency},
            )["explainKpi"]
            rows += page["nodes"]
            if not page["pageInfo"]["hasNextPage"]:
                return rows
            after = page["pageInfo"]["endCursor"]

    rows = walk("NUMERATOR", "K020", 2, "GBP")
    assert rows == walk("NUMERATOR", "K020", 100, "GBP")
    assert sum(Decimal(row["amount"]) for row in rows) == 2600
    assert {row["event"] for row in rows} == {"OrderPaid"}
    assert len({row["buyer"] for row in walk("DENOMINATOR", "K020", 3, "GBP")}) == 3
    [report] = walk("DENOMINATOR", "K012", 3, None)
    assert (report["event"], report["amount"], report["ruleVersion"]) == ("TrafficReported", "12", 1)


def test_what_cannot_be_asked_is_refused_with_its_remedy(api: Api, trade: dict[str, Any]) -> None:
    base = {"code": "K017", "from": "2025-01-01", "to": "2025-01-31", "grain": "DAY"}
    for change, says in (
        ({"code": "K999"}, "kpiDefinitions"),
        ({"from": "2025-02-01"}, "first of them first"),
        ({"from": "2001-01-01"}, "at most|1 to 1100"),
        ({"code": "P001", "sku": gid("Sku", trade["skus"][0])}, "cannot be narrowed"),
    ):
        [error] = api.errors(KPI, {**base, **change})
        assert any(part in error["message"] for part in says.split("|")), error
    for code, side, says in (("K018", "NUMERATOR", "K002"), ("K017", "DENOMINATOR", "numerator")):
        [error] = api.errors(EXPLAIN, {"code": code, "day": "2025-01-01", "side": side, "first": 1})
        assert says in error["message"]


def test_a_token_of_another_store_sees_no_figure_and_a_warehouse_may_not_ask(api: Api, trade: dict[str, Any]) -> None:
    elsewhere = api.token(Role.MANAGER, name="elsewhere", stores=(UUID(int=7),))
    variables = {"code": "K017", "from": trade["day"], "to": trade["day"], "grain": "DAY"}
    assert api.ask(KPI, variables, token=elsewhere)["kpi"]["rows"] == []
    opened = {"code": "K017", "day": trade["day"], "side": "NUMERATOR", "first": 5}
    assert api.ask(EXPLAIN, opened, token=elsewhere)["explainKpi"]["nodes"] == []
    fields = "startsOn monthsLater customers activeCustomers"
    cohorts = f"query ($d: Date!) {{ retentionCohorts(fromDay: $d, toDay: $d) {{ {fields} }} }}"
    assert api.ask(cohorts, {"d": trade["day"]}, token=elsewhere)["retentionCohorts"] == []
    [cohort] = api.ask(cohorts, {"d": trade["day"]})["retentionCohorts"]
    assert (cohort["monthsLater"], cohort["customers"], cohort["activeCustomers"]) == (0, 2, 2)
    [error] = api.errors(KPI, variables, token=api.token(Role.WAREHOUSE))
    assert error["extensions"]["code"] == "FORBIDDEN"
