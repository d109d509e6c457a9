"""Segments of customers over the API: who is in which, as of a day and of what was known, and what they bought."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from opscore.domain.command import Role
from opscore.domain.customer_commands import MergeCustomers
from opscore.domain.order_commands import CancelOrder, PayOrder
from opscore.domain.order_recording import RecordedLine, RecordOrder
from opscore.domain.order_refunds import RefundOrder
from opscore.domain.store_commands import SetPolicy
from tests.api.conftest import Api, gid
from tests.shop import Shop

SEGMENTS = """
query ($store: ID!, $day: Date, $version: Int, $asOf: KpiAsOf, $atLeast: Position) {
  customerSegments(storeId: $store, day: $day, policyVersion: $version, asOf: $asOf, atLeast: $atLeast) {
    storeId segment day fromDay customers orders netSales { amountMinor currencyCode } policyVersion knownAtPosition
    terms { days ordersMin ordersMax spendMin { amountMinor } spendMax { amountMinor } campaignShareMin quietDaysMin
      quietDaysMax }
  }
}
"""
CUSTOMERS = """
query ($store: ID!, $segment: String!, $day: Date, $asOf: KpiAsOf, $first: Int, $after: String, $atLeast: Position) {
  segmentCustomers(
    storeId: $store, segment: $segment, day: $day, asOf: $asOf, first: $first, after: $after, atLeast: $atLeast
  ) {
    totalCount pageInfo { hasNextPage endCursor }
    nodes {
      customerId customer { id status } orders netSales { amountMinor } inCampaigns { amountMinor } firstOrderOn
      lastOrderOn
    }
  }
}
"""
DAY = date(2024, 3, 31)
"""In London the clocks go forward on it."""
BEFORE = datetime(2023, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Sale:
    """What a customer, by number, paid in pounds so many days before DAY; given back as a whole some days later."""

    customer: int | None
    days_ago: int
    pounds: int
    given_back_days_ago: int | None = None


SALES = (
    Sale(0, 200, 50), Sale(0, 40, 30), Sale(0, 0, 20),
    Sale(1, 90, 400), Sale(1, 89, 100),
    Sale(2, 29, 10), Sale(2, 30, 5),
    Sale(3, 10, 60, given_back_days_ago=2),
    Sale(4, 50, 80, given_back_days_ago=20), Sale(4, 3, 90),
    Sale(5, 12, 15), Sale(5, 12, 15), Sale(5, 11, 30),
    Sale(None, 5, 700),
)  # fmt: skip
TERMS: tuple[dict[str, Any], ...] = (
    {"segment": "all"},
    {"segment": "often", "orders_min": 3},
    {"segment": "once", "orders_max": 1},
    {"segment": "vip", "spend_min_minor": 10_000},
    {"segment": "exactly", "spend_min_minor": 10_000, "spend_max_minor": 10_000},
    {"segment": "small", "spend_max_minor": 6_000},
    {"segment": "month", "days": 30},
    {"segment": "a month and a day", "days": 31},
    {"segment": "today", "days": 1},
    {"segment": "lapsed", "quiet_days_min": 89},
    {"segment": "fresh", "quiet_days_max": 11},
    {"segment": "cooling", "quiet_days_min": 3, "quiet_days_max": 29, "days": 60, "orders_min": 2},
    {"segment": "hunters", "campaign_share_min": "0.5"},
    {"segment": "of the ages", "days": 10**9, "quiet_days_max": 10**9},
)


class Sold:
    """A store with these sales and segments."""

    def __init__(self, api: Api, *, sales: tuple[Sale, ...] = SALES, terms: tuple[dict[str, Any], ...] = TERMS) -> None:
        self.api = api
        self.shop = Shop.open(api.server.writer, f"Shop {uuid4()}")
        self.store = gid("Store", self.shop.store_id)
        self.sku = self.shop.sku(stock=1000)
        self.customers = [self.shop.customer() for _ in range(6)]
        self.orders = [self.sell(sale) for sale in sales]
        if terms:
            self.policy(*terms)

    def policy(self, *terms: dict[str, Any], since: datetime = BEFORE) -> None:
        policy = SetPolicy(
            store_id=self.shop.store_id, kind="customer_segments", params={"segments": list(terms)},
            effective_from=since,
        )  # fmt: skip
        self.shop.do(policy, occurred_at=min(since, datetime.now(UTC)))

    def sell(self, sale: Sale) -> UUID:
        line = RecordedLine(sku_id=self.sku, quantity=Decimal(1), unit_price=Decimal(sale.pounds))
        buyer = None if sale.customer is None else self.customers[sale.customer]
        order = RecordOrder(store_id=self.shop.store_id, lines=(line,), customer_id=buyer)
        order_id = self.shop.do(order, occurred_at=noon(sale.days_ago))
        if sale.given_back_days_ago is not None:
            self.give_back(order_id, sale.given_back_days_ago)
        return order_id

    def give_back(self, order_id: UUID, days_ago: int) -> None:
        self.shop.do(CancelOrder(order_id=order_id), occurred_at=noon(days_ago))
        self.shop.do(RefundOrder(order_id=order_id), occurred_at=noon(days_ago))

    def head(self) -> int:
        return self.api.server.services.log.head().position

    def segments(self, token: str = "", **asked: Any) -> dict[str, dict[str, Any]]:
        given = {"store": self.store, "day": str(DAY), "atLeast": self.head(), **asked}
        return {each["segment"]: each for each in self.api.ask(SEGMENTS, given, token=token)["customerSegments"]}

    def pages(self, segment: str, first: int = 2, **asked: Any) -> Iterator[dict[str, Any]]:
        given = {"store": self.store, "segment": segment, "day": str(DAY), "first": first, **asked}
        after = None
        while True:
            page = self.api.ask(CUSTOMERS, {**given, "after": after})["segmentCustomers"]
            yield page
            after = page["pageInfo"]["endCursor"]
            if not page["pageInfo"]["hasNextPage"]:
                return

    def rows(self, segment: str, **asked: Any) -> list[dict[str, Any]]:
        return [row for page in self.pages(segment, **asked) for row in page["nodes"]]


@pytest.fixture
def sold(api: Api) -> Sold:
    return Sold(api)


def noon(days_ago: int) -> datetime:
    return datetime(2024, 3, 31, 11, tzinfo=UTC) - timedelta(days=days_ago)


def expected(terms: dict[str, Any], sales: tuple[Sale, ...] = SALES) -> dict[int, tuple[int, int, int, int]]:
    """Return who is in a segment, by number: orders, minor units, days since the first and the last order."""
    found = {}
    days = terms.get("days", 10**9)
    for customer in range(6):
        own = [sale for sale in sales if sale.customer == customer]
        orders = [sale for sale in own if sale.days_ago < days and sale.given_back_days_ago is None]
        spend = 100 * sum(sale.pounds for sale in own if sale.days_ago < days)
        spend -= 100 * sum(sale.pounds for sale in own if (sale.given_back_days_ago or 0) < days and sale not in orders
                           and sale.given_back_days_ago is not None)  # fmt: skip
        if not orders:
            continue
        last = min(sale.days_ago for sale in orders)
        if (
            terms.get("orders_min", 1) <= len(orders) <= terms.get("orders_max", 10**9)
            and terms.get("spend_min_minor", -(10**9)) <= spend <= terms.get("spend_max_minor", 10**9)
            and terms.get("quiet_days_min", 0) <= last <= terms.get("quiet_days_max", 10**9)
            and "campaign_share_min" not in terms
        ):
            found[customer] = (len(orders), spend, max(sale.days_ago for sale in orders), last)
    return found


def test_everybody_is_in_the_segments_whose_rules_they_meet_and_in_no_other(sold: Sold) -> None:
    segments = sold.segments()
    assert list(segments) == [terms["segment"] for terms in TERMS]
    for terms in TERMS:
        wanted = expected(terms)
        name = terms["segment"]
        segment = segments[name]
        assert segment["customers"] == len(wanted), name
        assert segment["orders"] == sum(orders for orders, *_ in wanted.values()), name
        assert segment["netSales"] == {
            "amountMinor": sum(spend for _, spend, *_ in wanted.values()), "currencyCode": "GBP",
        }, name  # fmt: skip
        rows = sold.rows(name)
        assert [
            (row["customerId"], row["orders"], row["netSales"]["amountMinor"], row["firstOrderOn"], row["lastOrderOn"])
            for row in rows
        ] == [
            (gid("Customer", sold.customers[number]), orders, spend, *(str(DAY - timedelta(days=ago)) for ago in when))
            for number, (orders, spend, *when) in sorted(
                wanted.items(), key=lambda each: (-each[1][1], sold.customers[each[0]])
            )
        ], name
        assert all(row["customer"] == {"id": row["customerId"], "status": "REGISTERED"} for row in rows)
        assert [page["totalCount"] for page in sold.pages(name)] == [len(wanted)] * max((len(wanted) + 1) // 2, 1)
    counts = [segment["customers"] for segment in segments.values()]
    assert 0 in counts and len(set(counts)) > 3, "the sales tell the segments apart"
    month = segments["month"]
    assert (month["fromDay"], month["terms"]["days"], segments["all"]["fromDay"]) == ("2024-03-02", 30, None)
    assert segments["of the ages"]["fromDay"] == "1900-01-01"


def test_a_past_day_is_told_by_what_held_then_and_another_version_shows_what_it_would_come_to(sold: Sold) -> None:
    sold.policy({"segment": "new", "days": 5}, since=datetime(2024, 3, 20, tzinfo=UTC))
    assert list(sold.segments(day="2024-03-19")) == [terms["segment"] for terms in TERMS]
    # In London the day begins at midnight UTC, and what is set from then on holds at its end.
    new = sold.segments()["new"]
    assert (new["policyVersion"], new["customers"], new["fromDay"]) == (2, 2, "2024-03-27")
    before = sold.segments(day="2024-03-19")["all"]
    assert (before["policyVersion"], before["customers"]) == (1, 4)
    assert sold.segments(version=1)["all"]["customers"] == 5
    [error] = sold.api.errors(SEGMENTS, {"store": sold.store, "version": 3})
    assert "no version 3" in error["message"]


def test_what_is_learnt_later_changes_a_segment_and_not_what_was_known_of_it(sold: Sold) -> None:
    known = sold.head()
    assert sold.segments()["vip"]["customers"] == 2
    sold.give_back(sold.orders[3], 1)
    now = sold.segments()
    assert (now["vip"]["customers"], now["once"]["customers"]) == (2, 2)
    assert [row["netSales"]["amountMinor"] for row in sold.rows("vip")] == [10_000, 10_000]
    then = sold.segments(asOf={"position": known})["vip"]
    assert (then["customers"], then["netSales"]["amountMinor"], then["knownAtPosition"]) == (2, 60_000, known)
    assert [row["orders"] for row in sold.rows("vip", asOf={"position": known})] == [2, 3]


def test_merged_records_are_one_customer(sold: Sold) -> None:
    sold.shop.do(MergeCustomers(customer_id=sold.customers[2], other_id=sold.customers[5]))
    assert sold.segments()["all"]["customers"] == 4
    both = next(row for row in sold.rows("often") if row["customerId"] == gid("Customer", sold.customers[2]))
    assert (both["orders"], both["netSales"]["amountMinor"], both["lastOrderOn"]) == (5, 7500, "2024-03-20")


def test_who_buys_in_campaigns_is_told_by_their_share_of_what_was_paid(api: Api) -> None:
    sold = Sold(api, sales=(), terms=(
        {"segment": "hunters", "campaign_share_min": "0.5"}, {"segment": "others", "campaign_share_min": "0"},
    ))  # fmt: skip
    cheap = sold.shop.sku(stock=100, price="10.00")
    prices = {cheap: Decimal(8)}
    sale = sold.shop.start(sold.shop.campaign(prices=prices), prices)
    for customer, lines in ((0, ((cheap, 1), (sold.sku, 1))), (1, ((cheap, 5), (sold.sku, 4))), (2, ((cheap, 1),))):
        order_id = sold.shop.do(sold.shop.order(*lines, customer_id=sold.customers[customer], campaign_ids=(sale,)))
        due = sum((8 if sku == cheap else 10) * quantity for sku, quantity in lines)
        sold.shop.do(PayOrder(order_id=order_id, amount_minor=due * 100, method="card", currency="GBP"))
    found = sold.segments(day=None)
    assert (found["hunters"]["customers"], found["others"]["customers"]) == (2, 3)
    # Of 18 pounds 8 are less than half; of 80 pounds 40 are exactly that.
    rows = sold.rows("hunters", day=None)
    assert [(row["netSales"]["amountMinor"], row["inCampaigns"]["amountMinor"]) for row in rows] == [
        (8000, 4000), (800, 800),
    ]  # fmt: skip


def test_a_store_without_rules_has_no_segments_and_another_store_none_to_be_seen(api: Api, sold: Sold) -> None:
    bare = Sold(api, sales=(), terms=())
    assert bare.segments() == {}
    [error] = api.errors(CUSTOMERS, {"store": bare.store, "segment": "vip", "first": 1})
    assert error["extensions"]["code"] == "BAD_USER_INPUT" and "customer_segments" in error["message"]
    token = api.token(Role.MANAGER, stores=(bare.shop.store_id,))
    assert sold.segments(token=token) == {}
    given = {"store": sold.store, "segment": "all", "first": 5}
    assert api.ask(CUSTOMERS, given, token=token)["segmentCustomers"]["nodes"] == []


@pytest.mark.parametrize(
    "asked",
    [{"day": "1899-12-31"}, {"day": "9999-12-31"}, {"asOf": {"position": "99999999"}}, {"segment": "nobody"},
     {"first": 0}, {"after": "bm9uc2Vuc2U="}],
)  # fmt: skip
def test_what_cannot_be_answered_is_said(sold: Sold, asked: dict[str, Any]) -> None:
    given = {"store": sold.store, "segment": "all", "day": str(DAY), "first": 5, **asked}
    [error] = sold.api.errors(CUSTOMERS, given)
    assert error["extensions"]["code"] in ("BAD_USER_INPUT", "INVALID_PAGE_SIZE", "BAD_CURSOR", "INVALID_CURSOR")


def test_who_serves_and_who_promotes_sees_segments_and_a_storefront_does_not(sold: Sold) -> None:
    for role in (Role.SERVICE, Role.PROMOTER, Role.AUDITOR):
        assert sold.segments(token=sold.api.token(role))["all"]["customers"] == 5
    for role in (Role.STOREFRONT, Role.WAREHOUSE):
        [error] = sold.api.errors(SEGMENTS, {"store": sold.store}, token=sold.api.token(role))
        assert error["extensions"]["code"] == "FORBIDDEN"


@pytest.mark.parametrize(
    ("terms", "why"),
    [
        ([{"segment": "a", "orders_min": 3, "orders_max": 2}], "of orders"),
        ([{"segment": "a", "spend_min_minor": 3, "spend_max_minor": 2}], "of spend"),
        ([{"segment": "a", "quiet_days_min": 3, "quiet_days_max": 2}], "of quiet_days"),
        ([{"segment": "a", "days": 30, "quiet_days_min": 30}], "quiet_days_min lies below days"),
        ([{"segment": "a", "campaign_share_min": "1.1"}], "part of 1"),
        ([{"segment": "a", "campaign_share_min": "NaN"}], "part of 1"),
        ([{"segment": "a"}, {"segment": "a"}], "same name"),
        ([{"segment": "a", "days": 0}], "days"),
    ],
)
def test_rules_that_nobody_could_meet_are_refused(api: Api, terms: list[dict[str, Any]], why: str) -> None:
    shop = Shop.open(api.server.writer, f"Shop {uuid4()}")
    outcome = shop.give(SetPolicy(store_id=shop.store_id, kind="customer_segments", params={"segments": terms}))
    assert outcome.refusal is not None and outcome.refusal.code == "POLICY_INVALID"
    assert why in outcome.refusal.message
