"""Windows beside earlier ones, and breakdowns: worked by hand over months, a leap day, changes of clocks, and weeks."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from opscore.domain.order_recording import RecordedLine, RecordOrder
from opscore.domain.order_refunds import RefundOrder
from tests.api.conftest import Api, gid
from tests.shop import Shop

SOLD = {
    # When it was paid, in London's winter time (UTC) or an hour less in summer: for how many pounds.
    "2023-01-31T12:00+00:00": 10,
    "2023-02-28T12:00+00:00": 8,
    "2024-01-31T12:00+00:00": 20,
    "2024-02-15T12:00+00:00": 5,
    "2024-02-29T12:00+00:00": 15,
    "2024-03-30T23:30+00:00": 4,
    # The night on which clocks go forward: half past midnight before it and after.
    "2024-03-31T00:30+00:00": 2,
    "2024-03-31T23:30+00:00": 3,
    # The hour that comes twice in autumn, both times at half past one.
    "2024-10-27T00:30+00:00": 6,
    "2024-10-27T01:30+00:00": 1,
}
BUYERS = {
    "2023-01-31T12:00+00:00": "A",
    "2023-02-28T12:00+00:00": "A",
    "2024-02-15T12:00+00:00": "A",
    "2024-01-31T12:00+00:00": "B",
    "2024-02-29T12:00+00:00": "B",
}
"""Who they were, as far as anybody knows."""
KPI = """
query (
  $code: String!, $from: Date!, $to: Date!, $grain: KpiGrain!, $compare: KpiComparison, $stores: [ID!], $by: KpiSlice
  $top: Int = 10, $at: Position
) {
  kpi(
    code: $code, fromDay: $from, toDay: $to, grain: $grain, compare: $compare, storeIds: $stores, by: $by, top: $top
    atLeast: $at
  ) {
    slices
    rows {
      startsOn endsOn hour slice value numerator denominator change isImplausible
      compared { startsOn endsOn value numerator denominator }
    }
  }
}
"""


@pytest.fixture(scope="module")
def sales(api: Api, shop: Shop) -> dict[str, Any]:
    """Orders of two years, one article at a pound each; the last position of the log, and the orders by their time."""
    sku = shop.sku("BOOK", stock=1_000, price="1.00", cost="0.50")
    orders, known, people = {}, {}, {"A": shop.customer(), "B": shop.customer()}
    for moment, pounds in SOLD.items():
        line = RecordedLine(sku_id=sku, quantity=Decimal(pounds), unit_price=Decimal(1))
        freight = 500 if pounds == 4 else 0
        command = RecordOrder(
            store_id=shop.store_id, lines=(line,), freight_minor=freight, channel="web" if pounds < 10 else "phone",
            customer_id=people.get(BUYERS.get(moment, "")),
        )  # fmt: skip
        outcome = shop.give(command, occurred_at=datetime.fromisoformat(moment))
        assert outcome.refusal is None
        orders[moment], known[moment] = outcome.aggregate_id, outcome.position
    head = api.ask("{ head { position } }")["head"]["position"]
    return {
        "sku": sku,
        "orders": orders,
        "known": known,
        "people": people,
        "at": head,
        "store": gid("Store", shop.store_id),
    }


def rows(api: Api, sales: dict[str, Any], code: str, grain: str, first: str, last: str, **more: Any) -> Any:
    variables = {
        "code": code, "from": first, "to": last, "grain": grain, "at": sales["at"], "stores": [sales["store"]], **more
    }  # fmt: skip
    return api.ask(KPI, variables)["kpi"]["rows"]


PREVIOUS, YEAR = "PREVIOUS_PERIOD", "YEAR_ON_YEAR"


@pytest.mark.parametrize(
    ("grain", "asked", "compare", "value", "then", "old", "change"),
    [
        # Months of 31, 28 and 29 days; a leap February has a day that the year before has not.
        ("MONTH", ("2024-02-01", "2024-02-29"), PREVIOUS, "20", ("2024-01-01", "2024-01-31"), "20", "0"),
        ("MONTH", ("2024-03-01", "2024-03-31"), PREVIOUS, "6", ("2024-02-01", "2024-02-29"), "20", "-0.7"),
        ("MONTH", ("2024-02-01", "2024-02-29"), YEAR, "20", ("2023-02-01", "2023-02-28"), "8", "1.5"),
        ("MONTH", ("2023-02-01", "2023-02-28"), PREVIOUS, "8", ("2023-01-01", "2023-01-31"), "10", "-0.2"),
        ("DAY", ("2024-02-29", "2024-02-29"), YEAR, "15", ("2023-02-28", "2023-02-28"), "8", "0.875"),
        ("DAY", ("2024-02-29", "2024-02-29"), PREVIOUS, "15", ("2024-02-28", "2024-02-28"), None, None),
        # The day of 23 hours and the one after it: half past eleven at night is the next day by then.
        ("DAY", ("2024-03-31", "2024-03-31"), PREVIOUS, "2", ("2024-03-30", "2024-03-30"), "4", "-0.5"),
        ("DAY", ("2024-04-01", "2024-04-01"), PREVIOUS, "3", ("2024-03-31", "2024-03-31"), "2", "0.5"),
        ("HOUR", ("2024-04-01", "2024-04-01"), PREVIOUS, "3", ("2024-03-31", "2024-03-31"), "2", "0.5"),
        # Both hours of the repeated one are one row.
        ("HOUR", ("2024-10-27", "2024-10-27"), PREVIOUS, "7", ("2024-10-26", "2024-10-26"), None, None),
        # Weeks begin on Monday and are compared 52 weeks back.
        ("WEEK", ("2024-02-26", "2024-03-03"), YEAR, "15", ("2023-02-27", "2023-03-05"), "8", "0.875"),
        ("WEEK", ("2024-04-01", "2024-04-07"), PREVIOUS, "3", ("2024-03-25", "2024-03-31"), "6", "-0.5"),
        # As many days before, and the same dates a year before.
        ("TOTAL", ("2024-02-01", "2024-02-29"), PREVIOUS, "20", ("2024-01-03", "2024-01-31"), "20", "0"),
        ("TOTAL", ("2024-02-01", "2024-02-29"), YEAR, "20", ("2023-02-01", "2023-02-28"), "8", "1.5"),
    ],
)
def test_a_window_stands_beside_the_one_before_or_of_the_year_before_with_what_changed(
    api: Api,
    sales: dict[str, Any],
    grain: str,
    asked: tuple[str, str],
    compare: str,
    value: str,
    then: tuple[str, str],
    old: str | None,
    change: str | None,
) -> None:
    [row] = rows(api, sales, "K017", grain, *asked, compare=compare)

    assert (row["startsOn"], row["endsOn"], row["value"]) == (*asked, value)
    compared = row["compared"]
    assert (compared["startsOn"], compared["endsOn"], compared["value"]) == (*then, old)
    assert row["change"] == change


def test_windows_of_one_answer_are_each_set_beside_their_own(api: Api, sales: dict[str, Any]) -> None:
    found = rows(api, sales, "K021", "MONTH", "2023-01-01", "2024-03-31", compare=PREVIOUS)
    shown = [(row["startsOn"], row["value"], row["compared"]["value"], row["change"]) for row in found]
    # February 2024 had two orders; a month without a sale has no row, and the one after it nothing to be set beside.
    assert shown == [
        ("2023-01-01", "10", None, None), ("2023-02-01", "8", "10", "-0.2"), ("2024-01-01", "20", None, None),
        ("2024-02-01", "10", "20", "-0.5"), ("2024-03-01", "3", "10", "-0.7"),
    ]  # fmt: skip
    year = rows(api, sales, "K021", "MONTH", "2024-01-01", "2024-03-31", compare=YEAR)
    assert [(row["compared"]["numerator"], row["compared"]["denominator"], row["change"]) for row in year] == [
        ("10", "1", "1"), ("8", "1", "0.25"), (None, None, None),
    ]  # fmt: skip


def test_both_books_part_by_what_went_back(api: Api, sales: dict[str, Any], shop: Shop) -> None:
    # Freight of five pounds goes back on an order of March, in May.
    order: UUID = sales["orders"]["2024-03-30T23:30+00:00"]
    outcome = shop.give(
        RefundOrder(order_id=order, freight_minor=500), occurred_at=datetime.fromisoformat("2024-05-05T12:00+01:00")
    )
    assert outcome.refusal is None
    found = api.ask(
        """
        query ($store: ID!, $at: Position!) {
          salesBooks(fromDay: "2024-03-01", toDay: "2024-05-31", grain: MONTH, storeIds: [$store], atLeast: $at) {
            rows {
              startsOn platform { amount } accounting { amount } difference { amount } gmv { amount }
              netSales { amount }
            }
          }
        }
        """,
        {"store": sales["store"], "at": outcome.position},
    )["salesBooks"]["rows"]
    amounts = [{name: value["amount"] for name, value in row.items() if name != "startsOn"} for row in found]
    assert [row["startsOn"] for row in found] == ["2024-03-01", "2024-04-01", "2024-05-01"]
    assert amounts == [
        {"platform": "11.00", "accounting": "11.00", "difference": "0.00", "gmv": "6.00", "netSales": "6.00"},
        {"platform": "3.00", "accounting": "3.00", "difference": "0.00", "gmv": "3.00", "netSales": "3.00"},
        {"platform": "0.00", "accounting": "-5.00", "difference": "5.00", "gmv": "0.00", "netSales": "0.00"},
    ]


COHORTS = """
query ($from: Date!, $to: Date!, $asOf: KpiAsOf, $stores: [ID!], $at: Position) {
  retentionCohorts(fromDay: $from, toDay: $to, asOf: $asOf, storeIds: $stores, atLeast: $at) {
    startsOn monthsLater customers activeCustomers
  }
}
"""
PAYMENTS = """
query (
  $from: Date!, $to: Date!, $month: Date!, $later: Int!, $asOf: KpiAsOf, $stores: [ID!], $first: Int = 50
  $after: String
) {
  explainRetentionCohort(
    fromDay: $from, toDay: $to, startsOn: $month, monthsLater: $later, asOf: $asOf, storeIds: $stores, first: $first
    after: $after
  ) {
    totalCount nodes { position event day orderId buyer ruleVersion } pageInfo { hasNextPage endCursor }
  }
}
"""


def test_a_cell_of_a_cohort_opens_to_its_payments_and_is_known_as_of_a_position(
    api: Api, sales: dict[str, Any]
) -> None:
    asked = {"from": "2023-01-01", "to": "2024-12-31", "stores": [sales["store"]]}

    def cohorts(**more: Any) -> list[tuple[str, int, int, int]]:
        found = api.ask(COHORTS, {**asked, "at": sales["at"], **more})["retentionCohorts"]
        return [(each["startsOn"], each["monthsLater"], each["customers"], each["activeCustomers"]) for each in found]

    now = cohorts()
    assert now == [
        ("2023-01-01", 0, 1, 1), ("2023-01-01", 1, 1, 1), ("2023-01-01", 13, 1, 1), ("2024-01-01", 0, 1, 1),
        ("2024-01-01", 1, 1, 1),
    ]  # fmt: skip
    then = {"position": sales["known"]["2024-01-31T12:00+00:00"]}
    assert cohorts(asOf=then) == [("2023-01-01", 0, 1, 1), ("2023-01-01", 1, 1, 1), ("2024-01-01", 0, 1, 1)]
    assert cohorts(asOf={"recordedAt": "2001-01-01T00:00:00Z"}) == []

    for moment in (None, then):
        for month, later, _, active in cohorts(asOf=moment):
            page = api.ask(PAYMENTS, {**asked, "month": month, "later": later, "asOf": moment})
            nodes = page["explainRetentionCohort"]["nodes"]
            assert len({node["buyer"] for node in nodes}) == active
            assert page["explainRetentionCohort"]["totalCount"] == len(nodes)
            assert {node["event"] for node in nodes} == {"OrderPaid"}
    [payment] = api.ask(PAYMENTS, {**asked, "month": "2023-01-01", "later": 13})["explainRetentionCohort"]["nodes"]
    assert (payment["day"], payment["buyer"]) == ("2024-02-15", str(sales["people"]["A"]))
    assert payment["orderId"] == gid("Order", sales["orders"]["2024-02-15T12:00+00:00"])
    past_the_end = {**asked, "month": "2023-01-01", "later": 2}
    assert api.ask(PAYMENTS, past_the_end)["explainRetentionCohort"] == {
        "totalCount": 0, "nodes": [], "pageInfo": {"hasNextPage": False, "endCursor": None},
    }  # fmt: skip
    [error] = api.errors(PAYMENTS, {**asked, "month": "2023-01-02", "later": 1})
    assert "first day of a month" in error["message"]


BROKEN_DOWN = {"code": "K017", "from": "2023-01-01", "to": "2024-12-31", "grain": "TOTAL"}
OPENED = """
query ($code: String!, $by: KpiSlice, $slice: String, $rest: [String!], $stores: [ID!]) {
  explainKpi(
    code: $code, fromDay: "2023-01-01", toDay: "2024-12-31", grain: TOTAL, side: NUMERATOR, by: $by, slice: $slice
    restOf: $rest, storeIds: $stores, first: 100
  ) {
    totalCount nodes { amount channel }
  }
}
"""


def test_a_figure_is_broken_down_by_store_article_and_channel_and_each_row_opens(
    api: Api, sales: dict[str, Any], shop: Shop
) -> None:
    def shown(by: str, top: int = 10, code: str = "K017") -> list[tuple[str | None, str]]:
        found = api.ask(KPI, {**BROKEN_DOWN, "code": code, "by": by, "top": top, "stores": [sales["store"]]})["kpi"]
        assert [row["slice"] for row in found["rows"] if row["slice"] is not None] == sorted(found["slices"])
        return [(row["slice"], row["value"]) for row in found["rows"]]

    assert shown("STORE") == [(sales["store"], "74")]
    assert shown("SKU") == [(gid("Sku", sales["sku"]), "74")]
    assert shown("CAMPAIGN") == [("", "74")]
    assert shown("CHANNEL") == [("phone", "45"), ("web", "29")]
    assert shown("CHANNEL", top=1) == [("phone", "45"), (None, "29")]
    # Two customers at the one, one of them and five guests at the other: who is in both counts in each.
    assert shown("CHANNEL", code="K031") == [("phone", "2")]

    def opened(**row: Any) -> tuple[int, Decimal, set[str]]:
        found = api.ask(OPENED, {"code": "K017", "stores": [sales["store"]], **row})["explainKpi"]
        nodes = found["nodes"]
        return found["totalCount"], sum(Decimal(each["amount"]) for each in nodes), {each["channel"] for each in nodes}

    assert opened(by="CHANNEL", slice="phone") == (3, Decimal(4500), {"phone"})
    assert opened(by="CHANNEL", rest=["phone"]) == (7, Decimal(2900), {"web"})
    assert opened(by="SKU", slice=gid("Sku", sales["sku"])) == (10, Decimal(7400), {"phone", "web"})
    assert opened(by="CAMPAIGN", slice="")[:2] == (10, Decimal(7400))
    assert opened(by="STORE", slice=sales["store"])[0] == 10


def test_a_breakdown_that_cannot_be_is_refused_with_its_remedy(api: Api, sales: dict[str, Any]) -> None:
    for change, says in (
        ({"by": "TIER"}, "cannot be broken down by TIER, only by STORE, CHANNEL, SKU, CAMPAIGN"),
        ({"by": "SKU", "top": 0}, "1 to 100"),
        ({"by": "SKU", "top": 100, "grain": "DAY"}, "fewer days"),
        ({"code": "K119", "by": None}, "told by projections"),
    ):
        [error] = api.errors(KPI, {**BROKEN_DOWN, **change})
        assert says in error["message"], error
    for row in ({"by": "SKU"}, {"slice": "web"}, {"by": "CHANNEL", "slice": "web", "rest": ["phone"]}):
        [error] = api.errors(OPENED, {"code": "K017", **row})
        assert "either its `slice` or `restOf`" in error["message"]
    narrowed = KPI.replace("by: $by", 'by: $by, channel: "web"')
    [error] = api.errors(narrowed, {**BROKEN_DOWN, "by": "CHANNEL"})
    assert "narrowed to one channel already" in error["message"]


def test_more_buyers_than_visitors_are_shown_as_implausible(api: Api, sales: dict[str, Any]) -> None:
    for day, visitors in (("2024-03-30", 4), ("2024-10-27", 1)):
        fields = {"storeId": sales["store"], "day": day, "pageViews": 9, "visitors": visitors, "revision": 1}
        answer = api.give("reportTraffic", "position userErrors { code }", fields)
        assert answer["userErrors"] == []
    found = rows(api, {**sales, "at": answer["position"]}, "K012", "DAY", "2024-03-30", "2024-10-27")
    told = [(row["startsOn"], row["value"], row["isImplausible"]) for row in found if row["value"] is not None]
    assert told == [("2024-03-30", "0.25", False), ("2024-10-27", "2", True)]
    [definition] = api.ask('{ kpiDefinitions(code: "K119") { toldBy slices grains atMost } }')["kpiDefinitions"]
    assert definition == {"toldBy": "projections", "slices": [], "grains": [], "atMost": None}
