"""Key figures through the API: the catalogue, any window, comparisons, and each cell open to its events."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from opscore import kpi_versions, kpis
from opscore.domain.command import Role
from opscore.domain.customer_commands import JoinMembership
from opscore.domain.customer_events import MembershipSource
from opscore.domain.order_commands import PayOrder
from opscore.domain.order_events import ReturnReason
from opscore.domain.order_recording import RecordedLine, RecordOrder
from opscore.domain.order_returns import (
    LineQuantity,
    RequestReturn,
)
from opscore.domain.store_commands import SetPolicy
from tests.api.conftest import Api, gid
from tests.shop import Shop

KPI = """
query (
  $code: String!, $from: Date!, $to: Date!, $grain: KpiGrain!, $compare: KpiComparison, $sku: ID, $at: Position
  $asOf: KpiAsOf
) {
  kpi(
    code: $code, fromDay: $from, toDay: $to, grain: $grain, compare: $compare, skuId: $sku, atLeast: $at, asOf: $asOf
  ) {
    definition { code version unit book }
    knownAtPosition
    rows {
      startsOn endsOn hour currencyCode value numerator denominator change isFinal
      compared { startsOn endsOn value }
    }
  }
}
"""
EXPLAIN = """
query (
  $code: String!, $day: Date!, $side: KpiSide!, $first: Int!, $after: String, $currency: String, $asOf: KpiAsOf
) {
  explainKpi(
    code: $code, fromDay: $day, toDay: $day, grain: DAY, side: $side, currencyCode: $currency, first: $first
    after: $after, asOf: $asOf
  ) {
    nodes { position event measure orderId buyer amount currencyCode projection definitionVersion ruleVersion }
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
    assert answer["knownAtPosition"] >= trade["position"] or "asOf" in more
    assert (answer["definition"]["code"], answer["definition"]["version"]) == (code, kpis.load()[code].version)
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


DEFINITIONS = """
query ($code: String, $past: Boolean!) {
  kpiDefinitions(code: $code, past: $past) { code version formula digest inForceFrom inForceUntil }
}
"""


def test_definitions_say_since_when_they_are_in_force_and_past_ones_can_be_asked_for(
    api: Api, trade: dict[str, Any]
) -> None:
    [now] = api.ask(DEFINITIONS, {"code": "K019", "past": False})["kpiDefinitions"]
    [shown] = api.ask(
        """
        query ($d: Date!) {
          kpi(code: "K019", fromDay: $d, toDay: $d, grain: DAY) {
            definition { code version formula digest inForceFrom inForceUntil }
          }
        }
        """,
        {"d": trade["day"]},
    ).values()
    assert shown["definition"] == now
    assert now["inForceFrom"] is not None and now["inForceUntil"] is None

    # Somebody serves a program in which it means something else, then this one again.
    kpi = kpis.load()["K019"]
    other = replace(kpi, version=kpi.version + 1, formula="other words")
    for each in (other, kpi):
        kpi_versions.take_into_service(api.server.database, {**kpis.load(), "K019": each})
    found = api.ask(DEFINITIONS, {"code": "K019", "past": True})["kpiDefinitions"]
    assert [(each["version"], each["inForceUntil"] is None) for each in found] == [
        (kpi.version, False), (kpi.version + 1, False), (kpi.version, True),
    ]  # fmt: skip
    assert found[1]["formula"] == "other words"
    assert found[1]["digest"] != found[0]["digest"] == found[2]["digest"] == now["digest"]
    assert len(api.ask(DEFINITIONS, {"past": False})["kpiDefinitions"]) == len(kpis.load())
    [error] = api.errors(DEFINITIONS, {"code": "K999", "past": True})
    assert "kpiDefinitions lists them" in error["message"]


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
    version = api.server.projector.definitions()["traffic"].version
    assert (report["event"], report["amount"], report["ruleVersion"]) == ("TrafficReported", "12", version)


def test_a_figure_can_be_asked_as_it_was_known_at_a_position_or_a_time(api: Api, trade: dict[str, Any]) -> None:
    first = api.ask(EXPLAIN, {"code": "K019", "day": trade["day"], "side": "NUMERATOR", "first": 2})["explainKpi"]
    position = first["nodes"][0]["position"]
    [row] = asked(api, trade, "K019", asOf={"position": position})
    assert (row["value"], row["isFinal"]) == ("1", False)
    [now] = asked(api, trade, "K019")
    assert now["value"] == "5"
    [later] = asked(api, trade, "K019", asOf={"recordedAt": datetime.now(UTC).isoformat()})
    assert later["value"] == "5"
    assert asked(api, trade, "K019", asOf={"recordedAt": "2001-01-01T00:00:00Z"}) == []
    opened = {"code": "K019", "day": trade["day"], "side": "NUMERATOR", "first": 9, "asOf": {"position": position}}
    assert [each["position"] for each in api.ask(EXPLAIN, opened)["explainKpi"]["nodes"]] == [position]
    for wrong in ({}, {"position": 5, "recordedAt": "2025-01-01T00:00:00Z"}, {"position": 10**12}):
        base = {"code": "K019", "from": trade["day"], "to": trade["day"], "grain": "DAY"}
        [error] = api.errors(KPI, {**base, "asOf": wrong})
        assert "position" in error["message"]


def test_both_books_stand_side_by_side(api: Api, trade: dict[str, Any]) -> None:
    books = api.ask(
        """
        query ($d: Date!) {
          salesBooks(fromDay: $d, toDay: $d, grain: TOTAL) {
            platform { code name book } accounting { code name book }
            rows {
              startsOn platform { amount } accounting { amount currencyCode } difference { amount } gmv { amount }
            }
          }
        }
        """,
        {"d": trade["day"]},
    )["salesBooks"]
    assert (books["platform"]["name"], books["accounting"]["name"]) == ("Platform book", "Accounting book")
    [row] = books["rows"]
    assert row["platform"]["amount"] == row["accounting"]["amount"] == row["gmv"]["amount"]
    assert row["difference"]["amount"] == "0.00"


def test_what_cannot_be_asked_is_refused_with_its_remedy(api: Api, trade: dict[str, Any]) -> None:
    base = {"code": "K017", "from": "2025-01-01", "to": "2025-01-31", "grain": "DAY"}
    for change, says in (
        ({"code": "K999"}, "kpiDefinitions"),
        ({"from": "2025-02-01"}, "before it begins"),
        ({"from": "2001-01-01"}, "at most|1 to 1100|ask for less"),
        ({"code": "P001", "sku": gid("Sku", trade["skus"][0])}, "cannot be narrowed"),
    ):
        [error] = api.errors(KPI, {**base, **change})
        assert any(part in error["message"] for part in says.split("|")), error
    for code, side, says in (("K018", "NUMERATOR", "K002"), ("K017", "DENOMINATOR", "numerator")):
        [error] = api.errors(EXPLAIN, {"code": code, "day": "2025-01-01", "side": side, "first": 1})
        assert says in error["message"]


def test_a_token_of_another_store_sees_no_figure_and_a_warehouse_may_not_ask(api: Api, trade: dict[str, Any]) -> None:
    other = Shop.open(api.server.writer, name="A shop without sales")
    elsewhere = api.token(Role.MANAGER, name="elsewhere", stores=(other.store_id,))
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


def test_margin_opens_to_sales_and_to_the_cost_of_what_was_shipped(api: Api, trade: dict[str, Any], shop: Shop) -> None:
    [before] = asked(api, trade, "K098")
    line = RecordedLine(sku_id=trade["skus"][0], quantity=Decimal(3), unit_price=Decimal(2))
    shipped = shop.give(RecordOrder(store_id=shop.store_id, lines=(line,), shipped=True))
    [margin] = asked(api, {**trade, "position": shipped.position}, "K098")

    # Three at 2.00 that cost 1.00 each.
    assert Decimal(margin["value"]) - Decimal(before["value"]) == 3
    opened = {"code": "K098", "day": trade["day"], "side": "NUMERATOR", "first": 50, "currency": "GBP"}
    nodes = api.ask(EXPLAIN, opened)["explainKpi"]["nodes"]
    assert sum(Decimal(row["amount"]) for row in nodes) == 100 * Decimal(margin["value"])
    assert {(row["projection"], row["event"]) for row in nodes} == {
        ("kpi_facts", "OrderPaid"), ("stock_valuation", "StockShipped"),
    }  # fmt: skip
    assert [row["position"] for row in nodes] == sorted(row["position"] for row in nodes)


def test_returns_are_narrowed_to_a_reason_and_members_to_a_tier(api: Api, trade: dict[str, Any], shop: Shop) -> None:
    tiers = {"tiers": [{"name": "silver", "discount": "1"}, {"name": "gold", "discount": "0.9"}]}
    shop.do(SetPolicy(store_id=shop.store_id, kind="membership", params=tiers))
    line = RecordedLine(sku_id=trade["skus"][0], quantity=Decimal(3), unit_price=Decimal(2))
    order = shop.do(RecordOrder(store_id=shop.store_id, lines=(line,), shipped=True))
    back = (LineQuantity(line=1, quantity=Decimal(1)),)
    shop.do(RequestReturn(order_id=order, lines=back, reason=ReturnReason.LATE))
    joined = shop.give(JoinMembership(customer_id=shop.customer(), tier="silver", source=MembershipSource.GRANTED))
    found = api.ask(
        """
        query ($d: Date!, $at: Position!) {
          late: kpi(code: "K089", fromDay: $d, toDay: $d, grain: DAY, reason: LATE, atLeast: $at) { rows { value } }
          other: kpi(code: "K089", fromDay: $d, toDay: $d, grain: DAY, reason: QUALITY, atLeast: $at) { rows { value } }
          silver: kpi(code: "K037", fromDay: $d, toDay: $d, grain: DAY, tier: "silver", atLeast: $at) { rows { value } }
          gold: kpi(code: "K037", fromDay: $d, toDay: $d, grain: DAY, tier: "gold", atLeast: $at) { rows { value } }
        }
        """,
        {"d": trade["day"], "at": joined.position},
    )
    rows = [found[each]["rows"] for each in ("late", "other", "silver", "gold")]
    assert rows == [[{"value": "1"}], [{"value": "0"}], [{"value": "1"}], []]
    opened = api.ask(
        """
        query ($d: Date!) {
          explainKpi(code: "K037", fromDay: $d, toDay: $d, grain: DAY, side: NUMERATOR, tier: "silver", first: 5) {
            nodes { event amount }
          }
        }
        """,
        {"d": trade["day"]},
    )
    assert opened["explainKpi"]["nodes"] == [{"event": "MembershipJoined", "amount": "1"}]
    base = {"code": "K017", "from": trade["day"], "to": trade["day"], "grain": "DAY"}
    [error] = api.errors(KPI.replace("skuId: $sku", "skuId: $sku, reason: LATE"), base)
    assert "cannot be narrowed to one reason" in error["message"]
