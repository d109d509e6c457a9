"""By which way and with what buyers and visitors come, over the API: told with an order, and asked of figures."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

from tests.api.conftest import Api, gid
from tests.shop import Shop

KPI = """
query ($code: String!, $store: ID!, $day: Date!, $by: KpiSlice, $source: TrafficSource, $device: String, $p: Position) {
  kpi(
    code: $code, fromDay: $day, toDay: $day, grain: DAY, storeIds: [$store], by: $by, source: $source, device: $device
    atLeast: $p
  ) { rows { slice value } slices definition { slices } }
}
"""
EXPLAIN = """
query ($store: ID!, $day: Date!, $slice: String!) {
  explainKpi(
    code: "K019", fromDay: $day, toDay: $day, grain: DAY, side: NUMERATOR, storeIds: [$store], by: SOURCE, slice: $slice
    first: 9
  ) { nodes { event orderId } }
}
"""


def test_orders_and_visitors_say_whence_they_came_and_figures_are_told_apart_by_it(api: Api) -> None:
    shop = Shop.open(api.server.writer, f"Shop {uuid4()}")
    store, sku = gid("Store", shop.store_id), gid("Sku", shop.sku(stock=50))

    def place(**came: Any) -> dict[str, Any]:
        line = {"skuId": sku, "quantity": "1"}
        placed = api.give(
            "placeOrder",
            "order { id channel trafficSource device } position userErrors { code path }",
            {"storeId": store, "lines": [line], "customerId": gid("Customer", shop.customer()), **came},
        )
        assert placed["userErrors"] == []
        payment = {"amountMinor": 1000, "currency": "GBP", "method": "card"}
        api.give("payOrder", "userErrors { code }", {"orderId": placed["order"]["id"], **payment})
        order: dict[str, Any] = placed["order"]
        return order

    by_search = place(trafficSource="PAID_SEARCH", device="app")
    place(trafficSource="DIRECT", device="pc")
    unknown = place()
    assert (by_search["channel"], by_search["trafficSource"], by_search["device"]) == ("web", "PAID_SEARCH", "app")
    assert (unknown["trafficSource"], unknown["device"]) == (None, None)
    recorded = api.give(
        "recordOrder",
        "order { trafficSource device } userErrors { code path }",
        {
            "storeId": store, "lines": [{"skuId": sku, "quantity": "1", "unitPrice": "5"}], "trafficSource": "EXTERNAL",
            "device": "pc",
        },
    )  # fmt: skip
    assert recorded == {"order": {"trafficSource": "EXTERNAL", "device": "pc"}, "userErrors": []}

    day = str(datetime.now(UTC).astimezone(ZoneInfo("Europe/London")).date())
    for about, visitors in (({}, 40), ({"trafficSource": "PAID_SEARCH"}, 10), ({"device": "app"}, 20)):
        told = {"storeId": store, "day": day, "pageViews": 90, "visitors": visitors, **about}
        answer = api.give("reportTraffic", "position userErrors { code path }", told)
        assert answer["userErrors"] == []

    def figure(code: str, **more: Any) -> dict[str | None, str | None]:
        head = api.server.services.log.head().position
        found = api.ask(KPI, {"code": code, "store": store, "day": day, "p": head, **more})["kpi"]
        assert {"SOURCE", "DEVICE"} <= set(found["definition"]["slices"])
        return {row["slice"]: row["value"] for row in found["rows"]}

    assert figure("K019") == {None: "4"}
    assert figure("K019", by="SOURCE") == {"paid_search": "1", "direct": "1", "external": "1", "": "1"}
    assert figure("K017", by="DEVICE") == {"app": "10", "pc": "15", "": "10"}
    assert figure("K017", source="DIRECT") == {None: "10"}
    assert figure("K017", source="DIRECT", device="app") == {}
    assert figure("K002") == {None: "40"}
    assert figure("K012", source="PAID_SEARCH") == {None: "0.1"}
    assert figure("K012", by="DEVICE") == {"app": "0.05", "pc": None, "": None}
    assert figure("K080", by="SOURCE") == {"paid_search": "1", "direct": "1", "": "1"}, "the recorded one is a guest's"

    opened = api.ask(EXPLAIN, {"store": store, "day": day, "slice": "paid_search"})["explainKpi"]["nodes"]
    assert opened == [{"event": "OrderPaid", "orderId": by_search["id"]}]
    [refused] = api.errors(KPI, {"code": "K010", "store": store, "day": day, "source": "DIRECT"})
    assert "cannot be narrowed to one source" in refused["message"]


def test_a_list_says_whence_buyers_came_as_the_order_does(api: Api) -> None:
    shop = Shop.open(api.server.writer, f"Shop {uuid4()}")
    store, line = gid("Store", shop.store_id), {"skuId": gid("Sku", shop.sku()), "quantity": "1"}
    placed = {}
    for source, device in (("DIRECT", "pc"), ("PAID_SEARCH", "app"), (None, None)):
        given = {"storeId": store, "lines": [line], "trafficSource": source, "device": device}
        answer = api.give("placeOrder", "order { id trafficSource device } userErrors { code }", given)
        placed[source] = answer["order"]
    document = """query ($filter: OrderFilter, $at: Position) {
      orders(filter: $filter, first: 9, atLeast: $at) { nodes { id trafficSource device } }
    }"""

    def found(**filter_: Any) -> list[dict[str, Any]]:
        given = {"filter": {"storeId": {"eq": store}, **filter_}, "at": api.server.services.log.head().position}
        nodes: list[dict[str, Any]] = api.ask(document, given)["orders"]["nodes"]
        return nodes

    assert sorted(found(), key=str) == sorted(placed.values(), key=str)
    assert found(trafficSource={"eq": "PAID_SEARCH"}) == [placed["PAID_SEARCH"]]
    assert found(device={"eq": "pc"}) == [placed["DIRECT"]]
