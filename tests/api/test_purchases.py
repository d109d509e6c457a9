"""What is bought, through the API: a supplier from its application to a purchase, lists, and who sees what of them."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from opscore.domain.command import Role
from opscore.domain.store_commands import SetPolicy
from tests.api.conftest import Api, gid
from tests.buying import FAR, Buyer
from tests.shop import Shop

ERRORS = "userErrors { code path ids message } position"
PURCHASES = """query ($filter: PurchaseFilter, $sort: PurchaseSort, $at: Position) {
  purchases(filter: $filter, sort: $sort, first: 10, atLeast: $at) {
    totalCount
    nodes {
      purchaseId skuId supplierId company state ordered received receivedInTime cancelled open dueOn
      unitCost { amount } bestQuote { amount } owed { amountMinor } paid { amountMinor } unpaid { amountMinor }
    }
  }
}"""


@pytest.fixture
def buyer(api: Api, shop: Shop) -> Buyer:
    return Buyer(shop, api.server.services.log)


def listed(api: Api, token: str = "", **asked: Any) -> list[dict[str, Any]]:
    """Return the purchases that a filter finds, once the read model has all there is."""
    at = api.server.services.log.head().position
    found: list[dict[str, Any]] = api.ask(PURCHASES, {"at": at, **asked}, token=token)["purchases"]["nodes"]
    return found


def test_a_supplier_is_taken_on_and_delivers_over_the_api_alone(api: Api, shop: Shop) -> None:
    shop = Shop.open(shop.writer, "Timber shop")
    store = gid("Store", shop.store_id)
    rules = {"required_documents": ["licence"], "deposit_minor": 50_00}
    shop.do(SetPolicy(store_id=shop.store_id, kind="supplier_rules", params=rules))
    shown = "store { suppliers { supplierId status deposit { amountMinor } terms { returnTerms } documents { kind } } }"
    applied = api.give("applyAsSupplier", f"{shown} {ERRORS}", {
        "storeId": store, "kind": "MANUFACTURER", "company": "Teak Ltd",
    })  # fmt: skip
    supplier_id = applied["store"]["suppliers"][-1]["supplierId"]
    of = {"storeId": store, "supplierId": supplier_id}
    sku = gid("Sku", shop.sku())
    order = {
        "skuId": sku, "supplierId": supplier_id, "quantity": "10", "unitCost": "4", "currency": "GBP", "dueOn": str(FAR)
    }  # fmt: skip
    [early] = api.give("orderPurchase", ERRORS, order)["userErrors"]
    assert (early["code"], early["path"], early["ids"]) == ("EXCHANGE_TERMS_MISSING", ["supplierId"], [supplier_id])

    def step(command: str, **fields: Any) -> dict[str, Any]:
        given = api.give(command, f"{shown} {ERRORS}", {**of, **fields})
        assert given["userErrors"] == [], command
        found: dict[str, Any] = given["store"]["suppliers"][-1]
        return found

    assert step("submitSupplierDocument", kind="LICENCE", number="L-1")["documents"] == [{"kind": "LICENCE"}]
    assert step("qualifySupplier")["status"] == "QUALIFIED"
    assert step("agreeSupplierTerms", exchangeTerms="yes", returnTerms="at cost")["terms"] == {"returnTerms": "at cost"}
    frozen = step("freezeSupplierDeposit", amountMinor=50_00, currency="GBP")
    assert frozen["deposit"]["amountMinor"] == 50_00
    assert step("activateSupplier")["status"] == "ACTIVE"

    ordered = api.give("orderPurchase", f"sku {{ onOrder onHand purchases {{ purchaseId open }} }} {ERRORS}", order)
    [purchase] = ordered["sku"]["purchases"]
    assert (ordered["sku"]["onOrder"], ordered["sku"]["onHand"], purchase["open"]) == ("10", "100", "10")
    receipt = {"skuId": sku, "locationId": str(shop.location_id), "purchaseId": purchase["purchaseId"]}
    [over] = api.give("receiveStock", ERRORS, {**receipt, "quantity": "11"})["userErrors"]
    assert (over["code"], over["path"]) == ("EXCEEDS_PURCHASE", ["quantity"])
    came = api.give("receiveStock", f"sku {{ onOrder onHand }} {ERRORS}", {**receipt, "quantity": "6"})
    assert came["sku"] == {"onOrder": "4", "onHand": "106"}


def test_what_is_on_order_is_found_by_article_supplier_state_and_day(api: Api, shop: Shop, buyer: Buyer) -> None:
    sku = shop.sku()
    oak, elm = buyer.supplier("Found Oak"), buyer.supplier("Found Elm")
    buyer.quote(sku, elm, "3.50")
    later = buyer.order(sku, oak, 5)
    soon = buyer.order(sku, elm, 3, "3.50", FAR - timedelta(days=1))
    this = {"skuId": {"eq": gid("Sku", sku)}}

    found = listed(api, filter=this)
    assert [each["purchaseId"] for each in found] == [str(soon), str(later)], "what is due first comes first"
    assert found[1] | {"purchaseId": None, "skuId": None, "supplierId": None} == {
        "purchaseId": None, "skuId": None, "supplierId": None, "company": "Found Oak", "state": "ON_ORDER",
        "ordered": "5", "received": "0", "receivedInTime": "0", "cancelled": "0", "open": "5", "dueOn": str(FAR),
        "unitCost": {"amount": "4"}, "bestQuote": {"amount": "3.5"}, "owed": {"amountMinor": 20_00},
        "paid": {"amountMinor": 0}, "unpaid": {"amountMinor": 20_00},
    }  # fmt: skip
    for one, expected in (
        ({"supplierId": {"eq": str(oak)}}, [later]),
        ({"company": {"contains": "found elm"}}, [soon]),
        ({"dueOn": {"to": str(FAR - timedelta(days=1))}}, [soon]),
        ({"state": {"in": ["RECEIVED", "CANCELLED"]}}, []),
        ({"storeId": {"eq": gid("Store", shop.store_id)}, "open": {"from": "4"}}, [later]),
    ):
        assert [each["purchaseId"] for each in listed(api, filter={**this, **one})] == list(map(str, expected)), one
    by_order = {"by": "ORDERED_AT", "direction": "DESC"}
    assert [each["purchaseId"] for each in listed(api, filter=this, sort=by_order)] == [str(soon), str(later)]

    asked = """query ($key: JSON!) {
      explain(projection: "purchasing", cell: "purchases", key: $key, first: 10) { nodes { event position } }
    }"""
    behind = api.ask(asked, {"key": {"purchase_id": str(soon)}})["explain"]["nodes"]
    assert [each["event"] for each in behind] == ["PurchaseOrdered"]


def test_suppliers_are_listed_with_how_well_they_deliver(api: Api, shop: Shop, buyer: Buyer) -> None:
    sku, at = shop.sku(), api.server.services.log.head().recorded_at - timedelta(days=20)
    late, prompt = buyer.supplier("Rated Late"), buyer.supplier("Rated Prompt")
    due = (at + timedelta(days=2)).date()
    for supplier, units, after in ((late, 1, 9), (prompt, 4, 1)):
        purchase = buyer.order(sku, supplier, 4, due_on=due, at=at)
        came = {"skuId": gid("Sku", sku), "locationId": str(shop.location_id), "purchaseId": str(purchase)}
        moment = (at + timedelta(days=after)).isoformat()
        assert api.give("receiveStock", ERRORS, {**came, "quantity": str(units), "occurredAt": moment})["position"]
    asked = """query ($at: Position, $sort: SupplierSort) {
      suppliers(filter: {company: {startsWith: "Rated"}}, sort: $sort, first: 9, atLeast: $at) {
        nodes { company openPurchases overduePurchases dueUnits inTimeUnits onTimeRate receivedUnits fillRate }
      }
    }"""
    by_rate = {"by": "ON_TIME_RATE", "direction": "DESC"}
    head = api.server.services.log.head().position
    rows = api.ask(asked, {"at": head, "sort": by_rate})["suppliers"]["nodes"]

    assert rows == [
        {
            "company": "Rated Prompt", "openPurchases": 0, "overduePurchases": 0, "dueUnits": "4", "inTimeUnits": "4",
            "onTimeRate": "1.000000", "receivedUnits": "4", "fillRate": "1.000000",
        },
        {
            "company": "Rated Late", "openPurchases": 1, "overduePurchases": 1, "dueUnits": "4", "inTimeUnits": "0",
            "onTimeRate": "0.000000", "receivedUnits": "1", "fillRate": "0.250000",
        },
    ]  # fmt: skip
    window = {"fromDay": str(due - timedelta(days=1)), "toDay": str(due + timedelta(days=1))}
    figure = """query ($fromDay: Date!, $toDay: Date!, $supplier: UUID) {
      kpi(code: "K116", fromDay: $fromDay, toDay: $toDay, grain: TOTAL, supplierId: $supplier) { rows { value } }
    }"""
    [told] = api.ask(figure, {**window, "supplier": str(late)})["kpi"]["rows"]
    assert Decimal(told["value"]) == Decimal("0.25")


def test_who_sees_no_cost_sees_what_comes_and_the_shops_front_sees_nothing(api: Api, shop: Shop, buyer: Buyer) -> None:
    sku = shop.sku()
    supplier = buyer.supplier("Seen Oak")
    buyer.quote(sku, supplier, "3.50")
    buyer.order(sku, supplier, 5)
    warehouse = api.token(Role.WAREHOUSE, stores=(shop.store_id,))
    front = api.token(Role.STOREFRONT, stores=(shop.store_id,))
    stranger = api.token(Role.MANAGER, stores=(Shop.open(shop.writer, "Elsewhere").store_id,))
    this = {"filter": {"skuId": {"eq": gid("Sku", sku)}}}

    [row] = listed(api, warehouse, **this)
    assert (row["open"], row["unitCost"], row["bestQuote"], row["owed"], row["unpaid"]) == ("5", None, None, None, None)
    assert listed(api, stranger, **this) == []
    theirs = "{ suppliers(first: 9) { totalCount } supplierQuotes(first: 9) { totalCount } }"
    assert api.ask(theirs, token=stranger) == {"suppliers": {"totalCount": 0}, "supplierQuotes": {"totalCount": 0}}
    asked = "query ($id: ID!) { sku(id: $id) { onOrder purchases { open owed { amount } } quotes { minQuantity } } }"
    seen = {
        name: api.ask(asked, {"id": gid("Sku", sku)}, token=token)["sku"]
        for name, token in {"owner": "", "warehouse": warehouse, "front": front}.items()
    }
    assert seen["owner"]["quotes"] == [{"minQuantity": "0"}]
    assert seen["warehouse"] == {"onOrder": "5", "purchases": [{"open": "5", "owed": None}], "quotes": []}
    assert seen["front"] == {"onOrder": None, "purchases": [], "quotes": []}
    for token in (warehouse, front):
        refused = api.errors("{ supplierQuotes(first: 1) { totalCount } }", token=token)
        assert refused[0]["extensions"]["code"] == "FORBIDDEN"
    assert api.errors("{ purchases(first: 1) { totalCount } }", token=front)[0]["extensions"]["code"] == "FORBIDDEN"
