"""What is corrected of an article or a store is what every list shows from then on; orders keep what was agreed."""

from __future__ import annotations

from opscore.domain.order_commands import PayOrder
from tests.api.conftest import Api, gid
from tests.shop import Shop

SHOWN = """
query ($store: [ID!], $one: ID!, $sku: ID!, $order: ID!, $at: Position) {
  skus(first: 5, filter: { storeId: { in: $store } }, atLeast: $at) { nodes { name category brand } }
  catalogue(first: 5, storeId: $one, atLeast: $at) { nodes { name } }
  stockBalances(first: 5, filter: { storeId: { in: $store } }, atLeast: $at) { nodes { name } }
  stockWorth(first: 5, storeIds: $store, atLeast: $at) { name }
  stores(first: 50, atLeast: $at) { nodes { id name } }
  order(id: $order) { lines { name } store { name } }
  sku(id: $sku) { name history(last: 1) { nodes { type data } } }
}
"""


def test_lists_and_ledgers_show_what_was_corrected_and_orders_what_was_agreed(api: Api, shop: Shop) -> None:
    sku_id = shop.sku("MUG")
    order_id = shop.do(shop.order((sku_id, 1)))
    shop.do(PayOrder(order_id=order_id, amount_minor=1000, method="card", currency="GBP"))
    store, sku = gid("Store", shop.store_id), gid("Sku", sku_id)
    amended = api.give(
        "amendSku", "position sku { name category brand } userErrors { code }",
        {"skuId": sku, "name": "Mug, large", "category": "kitchen", "brand": "Acme"},
    )  # fmt: skip
    assert amended["sku"] == {"name": "Mug, large", "category": "kitchen", "brand": "Acme"}
    renamed = api.give(
        "renameStore", "position store { name } userErrors { code }", {"storeId": store, "name": "Another name"}
    )
    assert (renamed["store"], renamed["userErrors"]) == ({"name": "Another name"}, [])
    shown = api.ask(
        SHOWN,
        {"store": [store], "one": store, "sku": sku, "order": gid("Order", order_id), "at": renamed["position"]},
    )
    assert shown["skus"]["nodes"] == [{"name": "Mug, large", "category": "kitchen", "brand": "Acme"}]
    assert [shown[each]["nodes"] for each in ("catalogue", "stockBalances")] == [[{"name": "Mug, large"}]] * 2
    assert shown["stockWorth"] == [{"name": "Mug, large"}]
    assert {"id": store, "name": "Another name"} in shown["stores"]["nodes"]
    assert shown["order"] == {"lines": [{"name": "Article MUG"}], "store": {"name": "Another name"}}
    [event] = shown["sku"]["history"]["nodes"]
    assert (event["type"], event["data"]["name"]) == ("SkuAmended", "Mug, large")
