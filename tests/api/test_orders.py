"""An order from the shop to the refund, through the API alone."""

from __future__ import annotations

from uuid import uuid4

from tests.api.conftest import Api, gid
from tests.shop import Shop

PLACED = """
    order { id version status total { amount currencyCode } lines { skuCode quantity amount { amountMinor } } }
    position replayed
    userErrors { code message path ids retryable currentVersion }
"""


def test_an_order_is_placed_paid_and_read_again(api: Api, shop: Shop) -> None:
    sku = shop.sku("MUG", stock=10, price="2.50", cost="1.00")
    store_id = gid("Store", shop.store_id)
    key = str(uuid4())
    given = {"storeId": store_id, "lines": [{"skuId": gid("Sku", sku), "quantity": "3"}], "idempotencyKey": key}

    placed = api.give("placeOrder", PLACED, given)

    assert placed["userErrors"] == []
    order = placed["order"]
    assert order["total"] == {"amount": "7.50", "currencyCode": "GBP"}
    assert order["lines"] == [{"skuCode": "MUG", "quantity": "3", "amount": {"amountMinor": 750}}]

    again = api.give("placeOrder", PLACED, given)
    assert again == {**placed, "replayed": True}

    paid = api.give(
        "payOrder",
        "order { status paid { amount } payments { method amount { amount } } } userErrors { code message path }",
        {"orderId": order["id"], "amountMinor": 750, "currency": "GBP", "method": "card", "providerReference": "p1"},
    )
    assert paid["userErrors"] == []
    assert paid["order"]["status"] == "PAID"
    assert paid["order"]["payments"] == [{"method": "card", "amount": {"amount": "7.50"}}]

    then = api.ask("query ($id: ID!) { order(id: $id, asOf: {version: 1}) { status version } }", {"id": order["id"]})
    assert then["order"] == {"status": "PLACED", "version": 1}
