"""What the API benchmark asks: the documents, and a request of each kind."""

from __future__ import annotations

import json
import random
import uuid
from typing import Any

PLACE = (
    "mutation P($input: PlaceOrderInput!) { placeOrder(input: $input)"
    " { order { id } position replayed userErrors { code message } } }"
)
ORDERS = (
    "query O { orders(first: 50) { nodes { id status placedAt total { amount currencyCode }"
    " lines { skuCode quantity amount { amount } } } } }"
)
ORDER = "query O($id: ID!) { order(id: $id) { id status total { amount } lines { skuCode quantity } } }"
PRODUCTS = "query P { skus(first: 20) { nodes { id code name brand category unit status changedAt } } }"
KPIS = """
query K($from: Date!, $to: Date!, $stores: [ID!]) {
  kpiDaily(fromDay: $from, toDay: $to, storeIds: $stores) {
    storeId day orders buyers gmv { amount currencyCode } netSales { amount currencyCode } valuePerOrder { amount }
  }
  kpiTotals(fromDay: $from, toDay: $to, storeIds: $stores) {
    currencyCode orders buyers netSales { amount currencyCode }
  }
  topSkus(first: 5, storeIds: $stores) { skuCode units amount { amount currencyCode } }
}
"""
MEMORY = "{ items { id title brand unit colour stock sold weight listed gift } }"
TYPENAME = "{ __typename }"
DOCUMENTS = {"orders": ORDERS, "products": PRODUCTS, "memory": MEMORY, "typename": TYPENAME}


def body(job: dict[str, Any], source: random.Random) -> bytes:
    """Return a request of the kind that is measured."""
    kind = job["kind"]
    if kind == "place":
        lines = [{"skuId": each, "quantity": str(source.randint(1, 3))} for each in source.sample(job["skus"], 3)]
        given = {"storeId": job["store"], "lines": lines, "idempotencyKey": uuid.UUID(int=source.getrandbits(128)).hex}
        return json.dumps({"query": PLACE, "variables": {"input": given}}).encode()
    if kind == "order":
        return json.dumps({"query": ORDER, "variables": {"id": source.choice(job["orders"])}}).encode()
    if kind == "kpis":
        asked = {"from": job["from"], "to": job["to"], "stores": [job["pastStore"]]}
        return json.dumps({"query": KPIS, "variables": asked}).encode()
    return json.dumps({"query": DOCUMENTS[kind]}).encode()
