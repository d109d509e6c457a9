"""Lists and figures through the API: right, open to the events behind them, and as many statements for 50 rows as for 1."""

# ruff: noqa: E501 -- GraphQL documents read better unbroken.

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from opscore import tokens
from opscore.domain.order_commands import PayOrder
from opscore.domain.stock_commands import ReceiveStock
from tests.api.conftest import Api, gid
from tests.shop import Shop

ORDERS = """
query ($first: Int!, $after: String, $filter: OrderFilter, $atLeast: Position) {
  orders(first: $first, after: $after, filter: $filter, atLeast: $atLeast) {
    nodes {
      id
      status
      total { amount currencyCode }
      customer { id tier }
      lines { skuCode quantity amount { amountMinor } }
    }
    edges { cursor node { id } }
    pageInfo { hasNextPage endCursor }
  }
}
"""
TODAY = datetime.now(UTC).date()
WINDOW = {"from": str(TODAY - timedelta(days=2)), "to": str(TODAY + timedelta(days=2))}


@pytest.fixture(scope="module")
def trade(api: Api, shop: Shop) -> dict[str, Any]:
    """Twelve orders of three articles, eight of them paid, by two customers and guests."""
    skus = [
        shop.sku(code, stock=1_000, price=price, cost="1.00")
        for code, price in (("A", "2.00"), ("B", "3.50"), ("C", "9.99"))
    ]
    customers = [shop.customer(), shop.customer()]
    orders = []
    for number in range(12):
        customer = (customers[0], customers[1], None)[number % 3]
        order = shop.do(shop.order((skus[number % 3], 2), (skus[(number + 1) % 3], 1), customer_id=customer))
        orders.append(order)
        if number < 8:
            total = (400, 350), (700, 999), (1998, 200)
            shop.do(PayOrder(order_id=order, amount_minor=sum(total[number % 3]), method="card", currency="GBP"))
    return {"skus": skus, "customers": customers, "orders": orders, "position": api.server.services.log.head().position}


@contextmanager
def statements(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Note every statement that this process sends to PostgreSQL for a reader."""
    sent: list[str] = []

    def noting(real: Any) -> Any:
        def noted(self: Any, query: Any, *more: Any, **named: Any) -> Any:
            # Who asks is looked up anew each few seconds, whatever is asked.
            who = query in (tokens.SQL["find"], tokens.SQL["use"])
            if threading.current_thread().name.startswith("opscore-read") and not who:
                sent.append(str(query)[:60])
            return real(self, query, *more, **named)

        return noted

    with monkeypatch.context() as patch:
        for way in ("execute", "stream"):
            patch.setattr(psycopg.Cursor, way, noting(getattr(psycopg.Cursor, way)))
        yield sent


def test_a_page_of_orders_costs_the_same_statements_however_long_it_is(
    api: Api, trade: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    api.ask(ORDERS, {"first": 1, "atLeast": trade["position"]})
    counted = {}
    for first in (2, 12):
        with statements(monkeypatch) as sent:
            page = api.ask(ORDERS, {"first": first})["orders"]
        assert len(page["nodes"]) == first
        counted[first] = len(sent)

    assert counted[2] == counted[12] <= 8, counted


def test_more_than_the_book_holds_costs_the_same_statements_too(
    api: Api, trade: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    detail = "query ($first: Int!) { orders(first: $first) { nodes { id version payments { method } refundable { amount } } } }"
    api.ask(detail, {"first": 1})
    counted = {}
    for first in (1, 12):
        with statements(monkeypatch) as sent:
            nodes = api.ask(detail, {"first": first})["orders"]["nodes"]
        counted[first] = len(sent)
    assert counted[1] == counted[12] <= 8, counted
    assert sum(bool(node["payments"]) for node in nodes) == 8


@pytest.mark.parametrize("more", ["", "version"])
def test_an_order_names_its_store_and_articles_in_the_same_statements(
    api: Api, trade: dict[str, Any], shop: Shop, monkeypatch: pytest.MonkeyPatch, more: str
) -> None:
    named = f"id {more} store {{ id name }} customer {{ id }} lines {{ sku {{ id code prices {{ listPrice {{ amount }} }} }} }}"
    page = f"query ($first: Int!) {{ orders(first: $first) {{ nodes {{ {named} }} }} }}"
    api.ask(page, {"first": 2})
    counted = {}
    for first in (2, 12):
        with statements(monkeypatch) as sent:
            nodes = api.ask(page, {"first": first})["orders"]["nodes"]
        counted[first] = len(sent)

    assert counted[2] == counted[12] <= 8, counted
    assert len(nodes) == 12
    for number, order in enumerate(nodes[::-1]):
        assert order["store"] == {"id": gid("Store", shop.store_id), "name": "Gift shop"}
        first, second = (gid("Sku", trade["skus"][(number + line) % 3]) for line in (0, 1))
        assert [line["sku"]["id"] for line in order["lines"]] == [first, second]
        price, code = (("2", "A"), ("3.5", "B"), ("9.99", "C"))[number % 3]
        assert (order["lines"][0]["sku"]["code"], order["lines"][0]["sku"]["prices"][0]["listPrice"]["amount"]) == (
            code, price,
        )  # fmt: skip
        one = f"query ($id: ID!) {{ order(id: $id) {{ {named} }} }}"
        with statements(monkeypatch) as sent:
            assert api.ask(one, {"id": order["id"]})["order"] == order
        assert len(sent) <= 10, sent


def test_an_order_of_many_articles_reads_them_together(
    api: Api, trade: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its id, and among others: the articles of three orders are read at once."""
    ids = [gid("Order", each) for each in trade["orders"][:3]]
    lines = "... on Order { lines { sku { code } } store { id } }"
    counted = {}
    for asked in (ids[:1], ids):
        query = f"query ($ids: [ID!]!) {{ nodes(ids: $ids) {{ {lines} }} }}"
        api.ask(query, {"ids": asked})
        with statements(monkeypatch) as sent:
            found = api.ask(query, {"ids": asked})["nodes"]
        counted[len(asked)] = len(sent)
        assert {line["sku"]["code"] for order in found for line in order["lines"]} <= {"A", "B", "C"}

    assert counted[1] == counted[3], counted


def test_the_order_book_and_the_order_itself_say_the_same(api: Api, trade: dict[str, Any]) -> None:
    fields = """
        id streamId storeId customerId kind status channel externalReference region currencyCode priceSource surge placedAt
        expiresAt paidAt shipBy shipByHard confirmedAt deliveredAt completedAt cancelledAt expired couponCode campaignIds
        goods { amount } discount { amount } freight { amount } total { amount } netTotal { amount } paid { amount }
        due { amount } refunded { amount }
        lines {
          line skuId skuCode name unit quantity listPrice { amount } unitPrice { amount } gross { amount }
          discount { amount } amount { amount } campaignId gift service cancelled exchanged returned refunded
        }
    """
    book = f"query ($at: Position) {{ orders(first: 100, atLeast: $at) {{ nodes {{ {fields} }} }} }}"
    listed = api.ask(book, {"at": trade["position"]})["orders"]["nodes"]

    assert len(listed) == 12
    for order in listed:
        assert api.ask(f"query ($id: ID!) {{ order(id: $id) {{ {fields} }} }}", {"id": order["id"]})["order"] == order


@pytest.mark.parametrize("first", [1, 2, 5, 11, 12, 100])
def test_walking_the_pages_meets_every_order_once(api: Api, trade: dict[str, Any], first: int) -> None:
    met: list[str] = []
    after = None
    while True:
        page = api.ask(ORDERS, {"first": first, "after": after, "atLeast": trade["position"]})["orders"]
        met += [node["id"] for node in page["nodes"]]
        assert [edge["node"]["id"] for edge in page["edges"]] == [node["id"] for node in page["nodes"]]
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]

    assert met == [gid("Order", each) for each in reversed(trade["orders"])]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"status": {"eq": "PAID"}}, 8),
        ({"status": {"in": ["PLACED", "CANCELLED"]}}, 4),
        ({"channel": {"eq": "nowhere"}}, 0),
        ({"placedAt": {"before": "2020-01-01T00:00:00Z"}}, 0),
        ({"placedAt": {"from": "2020-01-01T00:00:00Z"}}, 12),
        ({}, 12),
    ],
)
def test_a_filter_narrows_the_list_and_the_count_alike(
    api: Api, trade: dict[str, Any], given: dict[str, Any], expected: int
) -> None:
    found = api.ask(ORDERS, {"first": 100, "filter": given, "atLeast": trade["position"]})["orders"]["nodes"]
    counted = api.ask("query ($f: OrderFilter) { orderCount(filter: $f) { orders } }", {"f": given})["orderCount"]

    assert len(found) == expected
    assert sum(each["orders"] for each in counted) == expected


def test_orders_are_found_by_customer_and_by_article(api: Api, trade: dict[str, Any]) -> None:
    for filter_, expected in (
        ({"customerId": {"eq": gid("Customer", trade["customers"][0])}}, 4),
        ({"skuId": {"eq": gid("Sku", trade["skus"][0])}}, 8),
        ({"customerId": {"eq": gid("Customer", uuid4())}}, 0),
    ):
        found = api.ask(ORDERS, {"first": 100, "filter": filter_, "atLeast": trade["position"]})["orders"]["nodes"]
        assert len(found) == expected


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ("first: 0", "INVALID_PAGE_SIZE"),
        ("first: -1", "INVALID_PAGE_SIZE"),
        ("first: 101", "INVALID_PAGE_SIZE"),
        ("last: 3, first: 3", "INVALID_PAGE_SIZE"),
        ("", "INVALID_PAGE_SIZE"),
        ('first: 1, after: "x"', "INVALID_CURSOR"),
        ('first: 1, after: "arrayconnection:1"', "INVALID_CURSOR"),
        ('first: 1, after: "' + "9" * 4000 + '"', "INVALID_CURSOR"),
    ],
)
def test_a_page_that_cannot_be_is_refused(api: Api, arguments: str, code: str) -> None:
    given = f"({arguments})" if arguments else ""
    [error] = api.errors(f"{{ stores{given} {{ nodes {{ id }} }} }}")

    assert error["extensions"]["code"] == code


def test_a_cursor_is_good_for_its_own_list_alone(api: Api, trade: dict[str, Any]) -> None:
    page = api.ask(ORDERS, {"first": 1, "atLeast": trade["position"]})["orders"]
    cursor = page["pageInfo"]["endCursor"]
    flipped = cursor[:-2] + ("A" if cursor[-2] != "A" else "B") + cursor[-1]
    for query, variables in (
        (ORDERS, {"first": 1, "after": cursor, "filter": {"status": {"eq": "PAID"}}}),
        (ORDERS, {"first": 1, "after": flipped}),
        (ORDERS, {"first": 1, "after": cursor[:-4]}),
        ("query ($a: String) { skus(first: 1, after: $a) { nodes { id } } }", {"a": cursor}),
    ):
        [error] = api.errors(query, variables)
        assert error["extensions"]["code"] == "INVALID_CURSOR"


def test_lists_of_the_log_are_walked_forwards_and_backwards(api: Api, trade: dict[str, Any]) -> None:
    def walk(arguments: str, cursor: str, more: str, size: int) -> list[str]:
        met: list[str] = []
        at = None
        while True:
            page = api.ask(
                f"query ($n: Int, $c: String) {{ skus({arguments}) {{ nodes {{ code }}"
                f" pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }} }} }}",
                {"n": size, "c": at},
            )["skus"]
            codes = [node["code"] for node in page["nodes"]]
            met = met + codes if more == "hasNextPage" else codes + met
            if not page["pageInfo"][more]:
                return met
            at = page["pageInfo"][cursor]

    for size in (1, 2, 3, 100):
        assert walk("first: $n, after: $c", "endCursor", "hasNextPage", size) == ["C", "B", "A"]
        assert walk("last: $n, before: $c", "startCursor", "hasPreviousPage", size) == ["C", "B", "A"]


def test_sales_of_the_day_are_right_and_open_to_their_events(api: Api, trade: dict[str, Any]) -> None:
    figures = """
        query ($from: Date!, $to: Date!, $at: Position) {
          kpiDaily(fromDay: $from, toDay: $to, atLeast: $at) {
            storeId day currencyCode orders buyers gmv { amountMinor } netSales { amount } valuePerOrder { amount }
          }
          kpiTotals(fromDay: $from, toDay: $to) { orders customers buyers repeatCustomers gmv { amountMinor } }
          kpiPeriods(grain: YEAR, fromDay: $from, toDay: $to) { startsOn orders }
        }
    """
    found = api.ask(figures, {**WINDOW, "at": trade["position"]})
    gmv = 3 * 750 + 3 * 1699 + 2 * 2198

    assert sum(day["orders"] for day in found["kpiDaily"]) == 8
    assert sum(day["gmv"]["amountMinor"] for day in found["kpiDaily"]) == gmv
    [total] = found["kpiTotals"]
    # Two customers, and two orders of guests that count as buyers of their own.
    assert total == {"orders": 8, "customers": 2, "buyers": 4, "repeatCustomers": 2, "gmv": {"amountMinor": gmv}}
    assert sum(period["orders"] for period in found["kpiPeriods"]) == 8

    day = found["kpiDaily"][0]
    opened = api.ask(
        'query ($s: ID!, $d: Date!) { kpiExplain(storeId: $s, day: $d, currencyCode: "GBP", first: 100) {'
        " nodes { position event ruleVersion figures } } }",
        {"s": day["storeId"], "d": day["day"]},
    )["kpiExplain"]["nodes"]
    assert {each["event"] for each in opened} == {"OrderPaid"}
    assert sum(each["figures"]["gmv_minor"] for each in opened) == day["gmv"]["amountMinor"]
    assert [each["position"] for each in opened] == sorted(each["position"] for each in opened)


def test_stock_is_the_same_now_and_then_from_article_ledger_and_levels(api: Api, trade: dict[str, Any]) -> None:
    sku = gid("Sku", trade["skus"][0])
    found = api.ask(
        """
        query ($sku: ID!, $at: Position) {
          sku(id: $sku) { onHand sellable }
          stockLevels(skuIds: [$sku], atLeast: $at) { skuCode onHand reserved sellable unitCost { amount } }
          stockLedger(skuId: $sku, first: 100) { nodes { position kind onHand reserved runningOnHand value { amount } } }
          latest: stockLedger(skuId: $sku, last: 2) { nodes { position } pageInfo { hasPreviousPage } }
          stockTotals { currencyCode value { amount } }
          stockWorth(first: 1) { skuCode value { amount } }
          stockMovementTotals(skuIds: [$sku]) { kind onHand movements }
        }
        """,
        {"sku": sku, "at": trade["position"]},
    )
    [level] = found["stockLevels"]
    lines = found["stockLedger"]["nodes"]

    assert level == {
        "skuCode": "A", "onHand": "1000", "reserved": "12", "sellable": "988", "unitCost": {"amount": "1"},
    }  # fmt: skip
    assert found["sku"] == {"onHand": "1000", "sellable": "988"}
    assert lines[0]["kind"] == "received" and lines[-1]["runningOnHand"] == "1000"
    assert sum(int(line["reserved"]) for line in lines) == 12
    assert [each["position"] for each in found["latest"]["nodes"]] == [line["position"] for line in lines[-2:]]
    assert found["stockTotals"] == [{"currencyCode": "GBP", "value": {"amount": "3000.00"}}]

    past = "query ($sku: ID!, $as: StockAsOf!) { stockAsOf(skuId: $sku, asOf: $as) { onHand } }"
    assert api.ask(past, {"sku": sku, "as": {"position": lines[0]["position"]}})["stockAsOf"] == [{"onHand": "1000"}]
    assert api.ask(past, {"sku": sku, "as": {"position": 1}})["stockAsOf"] == []
    long_ago = {"occurredAt": "2020-01-01T00:00:00Z"}
    assert api.ask(past, {"sku": sku, "as": long_ago})["stockAsOf"] == []


def test_what_is_to_do_and_what_sells_is_listed(api: Api, trade: dict[str, Any]) -> None:
    found = api.ask(
        """
        query ($before: DateTime!, $customers: [ID!]!) {
          orderStates { status orders }
          ordersDue(before: $before, first: 100) { what dueAt orderId }
          topSkus(first: 2) { skuCode units orders amount { amountMinor } }
          customerCards(customerIds: $customers) { customerId points sales { orders gmv { amount } } }
          campaignResults { name }
        }
        """,
        {
            "before": (datetime.now(UTC) + timedelta(days=400)).isoformat(),
            "customers": [gid("Customer", each) for each in trade["customers"]],
        },
    )
    assert {each["status"]: each["orders"] for each in found["orderStates"]} == {"PLACED": 4, "PAID": 8}
    assert [each["what"] for each in found["ordersDue"]].count("expire") == 4
    assert found["topSkus"][0]["skuCode"] == "C"
    assert {card["sales"][0]["orders"] for card in found["customerCards"]} == {3}
    assert found["campaignResults"] == []


def test_any_figure_is_opened_by_its_key(api: Api, trade: dict[str, Any]) -> None:
    ledger = api.ask(
        "query ($s: ID!) { stockLedger(skuId: $s, first: 1) { nodes { locationId } } }",
        {"s": gid("Sku", trade["skus"][0])},
    )["stockLedger"]["nodes"]
    key = {"sku_id": gid("Sku", trade["skus"][0]), "location_id": ledger[0]["locationId"]}
    question = """
        query ($key: JSON!) {
          explain(projection: "stock_ledger", cell: "stock_levels", key: $key, first: 100) { nodes { position figures } }
        }
    """
    found = api.ask(question, {"key": key})["explain"]["nodes"]
    assert len(found) == 9  # One receipt, eight reservations.

    for wrong in ({"sku_id": "x"}, {"sku_id": 1.5}, [], {"sku_id": None}):
        assert api.errors(question, {"key": wrong})[0]["extensions"]["code"] in ("BAD_USER_INPUT", "INVALID_ID")


def test_the_log_is_read_filtered_paged_and_verified(api: Api, trade: dict[str, Any]) -> None:
    found = api.ask(
        """
        query ($stream: UUID!) {
          head { position hash }
          verification { holds until findings { message } }
          events(first: 100, filter: {streamId: $stream}) { nodes { position type version actor data hash aggregateId } }
          paid: events(first: 100, filter: {types: ["OrderPaid"]}) { nodes { type position } }
          nobody: events(first: 1, filter: {actor: "nobody"}) { nodes { position } }
          last: events(last: 1) { nodes { position hash } }
          projections { name state lag rules }
        }
        """,
        {"stream": str(trade["orders"][0])},
    )
    assert found["verification"] == {"holds": True, "until": found["head"]["position"], "findings": []}
    assert [each["type"] for each in found["events"]["nodes"]] == ["OrderPlaced", "PaymentReceived", "OrderPaid"]
    assert {each["aggregateId"] for each in found["events"]["nodes"]} == {gid("Order", trade["orders"][0])}
    assert len(found["paid"]["nodes"]) == 8
    assert found["nobody"]["nodes"] == []
    assert found["last"]["nodes"] == [found["head"]]
    assert {each["name"] for each in found["projections"]} == set(api.server.projector.definitions())


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"types": ["OrderPaid", "orderpaid"]}, "There is no event orderpaid (did you mean OrderPaid?)."),
        (
            {"streamType": "Orders"},
            "There is no kind of stream Orders; there are Store, Sku, Order, Campaign, Customer.",
        ),
    ],
)
def test_an_event_that_there_is_not_is_not_answered_by_none(api: Api, wanted: dict[str, Any], said: str) -> None:
    [error] = api.errors("query ($w: EventFilterInput) { events(first: 1, filter: $w) { totalCount } }", {"w": wanted})
    assert (error["message"], error["extensions"]["code"]) == (said, "BAD_USER_INPUT")


def test_things_are_found_by_the_names_they_have_elsewhere(api: Api, shop: Shop, trade: dict[str, Any]) -> None:
    store = gid("Store", shop.store_id)
    shop.do(shop.order((trade["skus"][0], 1), external_reference="T-1"))
    found = api.ask(
        """
        query ($store: ID!) {
          skuByCode(storeId: $store, code: "A") { name }
          missing: skuByCode(storeId: $store, code: "Z") { name }
          orderByExternalReference(storeId: $store, externalReference: "T-1") { externalReference }
        }
        """,
        {"store": store},
    )
    assert found["skuByCode"] == {"name": "Article A"}
    assert found["missing"] is None
    assert found["orderByExternalReference"] == {"externalReference": "T-1"}


def test_nodes_keep_their_order_and_their_gaps(api: Api, shop: Shop, trade: dict[str, Any]) -> None:
    ids = [
        gid("Order", trade["orders"][0]),
        gid("Store", uuid4()),
        gid("Sku", trade["skus"][0]),
        gid("Order", trade["skus"][0]),
        gid("Store", shop.store_id),
        gid("Customer", trade["customers"][0]),
    ]
    found = api.ask("query ($ids: [ID!]!) { nodes(ids: $ids) { id __typename } }", {"ids": ids})["nodes"]

    assert [None if each is None else each["id"] for each in found] == [ids[0], None, ids[2], None, ids[4], ids[5]]
    for each in (ids[0], ids[2], ids[4], ids[5]):
        node = api.ask("query ($id: ID!) { node(id: $id) { id __typename } }", {"id": each})["node"]
        assert node["id"] == each


@pytest.mark.parametrize("id_", ["", "x", "T3JkZXI=", "Query:1", "U3RyaW5nOjE=", "T3JkZXI6MQ==", "é"])
def test_an_id_that_is_none_is_refused_with_its_own_code(api: Api, id_: str) -> None:
    for query in ("query ($id: ID!) { node(id: $id) { id } }", "query ($id: ID!) { order(id: $id) { id } }"):
        [error] = api.errors(query, {"id": id_})
        assert error["extensions"]["code"] == "INVALID_ID"


def test_the_id_of_another_kind_is_refused(api: Api, trade: dict[str, Any]) -> None:
    [error] = api.errors("query ($id: ID!) { order(id: $id) { id } }", {"id": gid("Sku", trade["skus"][0])})

    assert error["extensions"]["code"] == "INVALID_ID"


def test_an_object_is_shown_as_it_was_at_any_moment(api: Api, trade: dict[str, Any]) -> None:
    order = gid("Order", trade["orders"][0])
    events = api.ask(
        "query ($s: UUID!) { events(first: 9, filter: {streamId: $s}) { nodes { position recordedAt } } }",
        {"s": str(trade["orders"][0])},
    )["events"]["nodes"]
    question = "query ($id: ID!, $as: AsOf!) { order(id: $id, asOf: $as) { status version } }"
    for as_of, expected in (
        ({"version": 1}, {"status": "PLACED", "version": 1}),
        ({"version": 3}, {"status": "PAID", "version": 3}),
        ({"position": events[0]["position"]}, {"status": "PLACED", "version": 1}),
        ({"position": events[0]["position"] - 1}, None),
        ({"recordedAt": events[-1]["recordedAt"]}, {"status": "PAID", "version": 3}),
        ({"recordedAt": "2020-01-01T00:00:00Z"}, None),
    ):
        assert api.ask(question, {"id": order, "as": as_of})["order"] == expected
    for wrong in ({}, {"version": 1, "position": 1}, {"version": 0}):
        assert api.errors(question, {"id": order, "as": wrong})


def test_times_are_asked_for_with_their_offset(api: Api) -> None:
    for wrong in ("2026-01-01T00:00:00", "2026-01-01", "yesterday", "2026-13-01T00:00:00Z"):
        errors = api.errors("query ($b: DateTime!) { ordersDue(before: $b) { what } }", {"b": wrong})
        assert errors[0]["extensions"]["code"] == "BAD_USER_INPUT"


def test_a_late_receipt_corrects_what_stock_is_worth_and_not_what_was_known(api: Api) -> None:
    shop = Shop.open(api.server.writer, name="Valued shop")
    sku = shop.sku("V", stock=10, cost="4.00")
    known = api.server.services.log.head().position
    late = {"quantity": Decimal(10), "unit_cost": Decimal("2.00")}
    shop.do(
        ReceiveStock(sku_id=sku, location_id=shop.location_id, **late), occurred_at=datetime(2020, 1, 1, tzinfo=UTC)
    )
    position = api.server.services.log.head().position
    found = api.ask(
        """query ($ids: [ID!]!, $known: Position!, $then: DateTime!, $now: Position!) {
          now: stockValuation(skuIds: $ids, atLeast: $now) { skuCode quantity value { amount currencyCode } }
          known: stockValuation(skuIds: $ids, knownAt: $known, atLeast: $now) { quantity value { amount } }
          then: stockValuation(skuIds: $ids, occurredAt: $then, atLeast: $now) { quantity value { amount } }
        }""",
        {"ids": [gid("Sku", sku)], "known": known, "then": "2021-01-01T00:00:00Z", "now": position},
    )
    assert found == {
        "now": [{"skuCode": "V", "quantity": "20", "value": {"amount": "60.00", "currencyCode": "GBP"}}],
        "known": [{"quantity": "10", "value": {"amount": "40.00"}}],
        "then": [{"quantity": "10", "value": {"amount": "20.00"}}],
    }


def test_a_figure_that_is_not_wholly_named_is_refused_with_what_names_it(api: Api, trade: dict[str, Any]) -> None:
    (error,) = api.errors(
        """query ($key: JSON!) {
          explain(projection: "kpi_daily", cell: "kpi_daily", key: $key, first: 1) { edges { node { position } } }
        }""",
        {"key": {"day": str(TODAY)}},
    )
    assert "currency" in error["message"] and "store_id" in error["message"]
