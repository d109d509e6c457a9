"""Batches through the API: what expires where, which goes first, a recall traced to orders and back to receipts."""

from __future__ import annotations

import itertools
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from opscore.domain.command import Role
from opscore.domain.order_commands import ConfirmOrder, PackParcel, PayOrder, ScannedLine, ShipOrder
from opscore.domain.order_recorded_returns import (
    RecordedReturnLine,
    RecordReturn,
)
from opscore.domain.stock_commands import ReceiveStock
from opscore.domain.store_commands import AddLocation
from opscore.domain.values import derived_id
from tests.api.conftest import Api, gid
from tests.shop import Shop

JANUARY, JUNE, PAST = date(2999, 1, 31), date(2999, 6, 30), date(2020, 1, 31)
NOTES = "notes { producedOn expiresOn placeOfOrigin expiredAt recalledAt recallReason }"
_waybills = itertools.count(1)


@pytest.fixture
def tea(shop: Shop) -> UUID:
    """An article with a unit of no batch, six of B1, four of B2 that expire before."""
    sku = shop.sku(stock=1)
    received(shop, sku, 6, "B1", document="DN-1", expires_on=JUNE, place_of_origin="Yunnan")
    received(shop, sku, 4, "B2", document="DN-2", expires_on=JANUARY)
    return sku


def received(shop: Shop, sku: UUID, quantity: int, batch: str, **fields: Any) -> None:
    location = fields.pop("location_id", shop.location_id)
    shop.do(ReceiveStock(sku_id=sku, location_id=location, quantity=Decimal(quantity), batch=batch, **fields))


def confirmed(shop: Shop, sku: UUID, quantity: int, customer: UUID | None = None) -> UUID:
    """Place, pay and confirm an order."""
    order = shop.do(shop.order((sku, quantity), customer_id=customer))
    shop.do(PayOrder(order_id=order, amount_minor=1000 * quantity, method="card", currency="GBP"))
    return shop.do(ConfirmOrder(order_id=order))


def shipped(shop: Shop, order: UUID, sku: UUID, **batches: int) -> None:
    """Send an order off in one parcel, with so many units of these batches."""
    lines = tuple(
        ScannedLine(line=1, sku_id=sku, quantity=Decimal(units), batch=batch) for batch, units in batches.items()
    )
    parcel = uuid4()
    shop.do(PackParcel(order_id=order, location_id=shop.location_id, lines=lines, parcel_id=parcel))
    shop.do(ShipOrder(order_id=order, parcel_id=parcel, courier="DPD", waybill=f"B-{next(_waybills)}"))


def head(api: Api) -> int:
    """Return where the log stands."""
    found: int = api.ask("{ head { position } }")["head"]["position"]
    return found


def test_what_expires_by_a_day_is_listed_by_place_with_what_expires_first_first(
    api: Api, shop: Shop, tea: UUID
) -> None:
    shop.do(AddLocation(store_id=shop.store_id, name=f"Back room {tea}"))
    back = derived_id("location", shop.store_id, f"Back room {tea}", 0)
    received(shop, tea, 2, "B1", location_id=back)
    received(shop, tea, 5, "B0", produced_on=date(2019, 12, 1), expires_on=PAST)
    asked = """query ($where: BatchInStockFilter, $first: Int, $after: String, $at: Position) {
      batchesInStock(filter: $where, first: $first, after: $after, atLeast: $at) {
        totalCount pageInfo { endCursor }
        nodes { batch locationId onHand good quarantined notes { expiresOn placeOfOrigin expiredAt } }
      }
    }"""
    this = {"skuId": {"eq": gid("Sku", tea)}}
    found = api.ask(asked, {"where": this, "first": 10, "at": head(api)})["batchesInStock"]
    here = str(shop.location_id)
    rows = [(each["batch"], each["locationId"], each["onHand"], each["good"]) for each in found["nodes"]]
    assert rows[:2] == [("B0", here, "5", "0"), ("B2", here, "4", "4")]
    assert sorted(rows[2:]) == sorted([("B1", here, "6", "6"), ("B1", str(back), "2", "2")])
    assert found["nodes"][0]["notes"]["expiredAt"] is not None
    assert found["nodes"][1]["notes"] == {"expiresOn": "2999-01-31", "placeOfOrigin": None, "expiredAt": None}
    # What was said with one receipt holds of the batch at every place.
    assert {each["notes"]["placeOfOrigin"] for each in found["nodes"][2:]} == {"Yunnan"}

    by_january = {**this, "expiresOn": {"to": "2999-01-31"}, "locationId": {"eq": here}, "expiredAt": {"isSet": False}}
    found = api.ask(asked, {"where": by_january, "first": 10})["batchesInStock"]
    assert [each["batch"] for each in found["nodes"]] == ["B2"] and found["totalCount"] == 1

    pages, after = [], None
    for _ in range(4):
        page = api.ask(asked, {"where": this, "first": 1, "after": after})["batchesInStock"]
        pages += [(each["batch"], each["locationId"], each["onHand"], each["good"]) for each in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
    assert pages == rows


def test_a_receipt_that_contradicts_an_earlier_one_of_its_batch_is_refused(api: Api, shop: Shop, tea: UUID) -> None:
    fields = {
        "skuId": gid("Sku", tea), "locationId": str(shop.location_id), "quantity": "1", "batch": "B1",
        "expiresOn": "2999-07-01",
    }  # fmt: skip
    payload = api.give("receiveStock", "userErrors { code path message } position", fields)
    [error] = payload["userErrors"]
    assert (error["code"], error["path"]) == ("BATCH_DIFFERS", ["expiresOn"])
    assert "2999-06-30" in error["message"] and "2999-07-01" in error["message"]
    assert payload["position"] is None


def test_what_is_set_apart_is_picked_first_expired_first_out(api: Api, shop: Shop, tea: UUID) -> None:
    order = confirmed(shop, tea, 11)
    asked = "query ($id: ID!) { batchesToPick(orderId: $id) { skuId locationId batch expiresOn quantity } }"
    found = api.ask(asked, {"id": gid("Order", order)})["batchesToPick"]
    assert {(each["skuId"], each["locationId"]) for each in found} == {(gid("Sku", tea), str(shop.location_id))}
    assert [(each["batch"], each["expiresOn"], each["quantity"]) for each in found] == [
        ("B2", "2999-01-31", "4"), ("B1", "2999-06-30", "6"), (None, None, "1"),
    ]  # fmt: skip
    shipped(shop, order, tea, B2=4, B1=3)
    found = api.ask(asked, {"id": gid("Order", order)})["batchesToPick"]
    assert [(each["batch"], each["quantity"]) for each in found] == [("B1", "3"), (None, "1")]


def test_a_recall_names_the_orders_that_got_units_and_each_order_names_the_receipts(
    api: Api, shop: Shop, tea: UUID
) -> None:
    ann, bob = shop.customer(), shop.customer()
    first, second, third = (confirmed(shop, tea, units, who) for units, who in ((2, ann), (3, bob), (1, ann)))
    shipped(shop, first, tea, B1=2)
    shipped(shop, second, tea, B1=2, B2=1)
    shipped(shop, third, tea, B2=1)
    back = RecordedReturnLine(sku_id=tea, quantity=Decimal(2), amount_minor=2000, line=1, batch="B1")
    shop.do(RecordReturn(store_id=shop.store_id, order_id=first, lines=(back,), location_id=shop.location_id))

    fields = {"skuId": gid("Sku", tea), "batch": "B1", "reason": "glass found", "document": "N-7"}
    recalled = api.give(
        "recallBatch", "sku { levels { onHand sellable quarantined } } userErrors { code } position", fields
    )
    assert recalled["userErrors"] == []
    assert recalled["sku"]["levels"] == [{"onHand": "7", "sellable": "3", "quarantined": "4"}]
    assert api.give("recallBatch", "userErrors { code } position", {**fields, "batch": "B9"})["userErrors"] == [
        {"code": "BATCH_UNKNOWN"}
    ]

    asked = """query ($sku: ID!, $where: BatchOrderFilter, $at: Position) {
      batchOrders(skuId: $sku, batch: "B1", filter: $where, first: 10, atLeast: $at) {
        totalCount nodes { orderId shipped returned kept firstShippedAt order { id customerId } }
      }
    }"""
    service = api.token(Role.SERVICE, name=f"calls {tea}", stores=(shop.store_id,))
    variables = {"sku": gid("Sku", tea), "at": recalled["position"]}
    found = api.ask(asked, variables, token=service)["batchOrders"]
    assert found["totalCount"] == 2
    assert [(each["orderId"], each["shipped"], each["returned"], each["kept"]) for each in found["nodes"]] == [
        (gid("Order", first), "2", "2", "0"), (gid("Order", second), "2", "0", "2"),
    ]  # fmt: skip
    assert [each["order"]["customerId"] for each in found["nodes"]] == [gid("Customer", ann), gid("Customer", bob)]
    still_out = {**variables, "where": {"kept": {"from": "0.000001"}}}
    found = api.ask(asked, still_out, token=service)["batchOrders"]
    assert [each["orderId"] for each in found["nodes"]] == [gid("Order", second)]

    back_to = f"""query ($id: ID!) {{ orderBatches(orderId: $id) {{
      batch lines shipped returned {NOTES} receipts {{ quantity document locationId position }}
    }} }}"""
    b1, b2 = api.ask(back_to, {"id": gid("Order", second)}, token=service)["orderBatches"]
    assert (b1["batch"], b1["shipped"], b2["batch"], b2["shipped"]) == ("B1", "2", "B2", "1")
    assert b1["lines"] == b2["lines"] == [1]
    assert b1["notes"].pop("recalledAt") is not None
    assert b1["notes"] == {
        "producedOn": None, "expiresOn": "2999-06-30", "placeOfOrigin": "Yunnan", "expiredAt": None,
        "recallReason": "glass found",
    }  # fmt: skip
    assert [(each["quantity"], each["document"], each["locationId"]) for each in b1["receipts"]] == [
        ("6", "DN-1", str(shop.location_id))
    ]
    assert [each["document"] for each in b2["receipts"]] == ["DN-2"]

    lifted = api.give(
        "liftBatchRecall", "sku { sellable } userErrors { code } position", {**fields, "reason": "it was sugar"}
    )
    assert (lifted["sku"]["sellable"], lifted["userErrors"]) == ("7", [])
    notes = api.ask(
        f"""query ($where: BatchInStockFilter!, $at: Position) {{
          batchesInStock(filter: $where, first: 10, atLeast: $at) {{ nodes {{ batch {NOTES} }} }}
        }}""",
        {"where": {"skuId": {"eq": gid("Sku", tea)}, "batch": {"eq": "B1"}}, "at": lifted["position"]},
    )["batchesInStock"]["nodes"][0]["notes"]
    assert notes["recalledAt"] is notes["recallReason"] is None


def test_another_stores_people_learn_nothing_of_a_batch_and_its_orders(api: Api, shop: Shop, tea: UUID) -> None:
    order = confirmed(shop, tea, 2)
    shipped(shop, order, tea, B1=2)
    other = Shop.open(api.server.writer, f"Beside {tea}")
    asked = """query ($sku: ID!, $order: ID!, $where: BatchInStockFilter!, $at: Position) {
      batchesInStock(filter: $where, first: 10, atLeast: $at) { totalCount }
      batchOrders(skuId: $sku, batch: "B1", first: 10, atLeast: $at) { totalCount }
      orderBatches(orderId: $order, atLeast: $at) { batch }
      batchesToPick(orderId: $order) { batch }
    }"""
    variables = {
        "sku": gid("Sku", tea), "order": gid("Order", confirmed(shop, tea, 1)), "at": head(api),
        "where": {"skuId": {"eq": gid("Sku", tea)}},
    }  # fmt: skip
    own = api.ask(asked, {**variables, "order": gid("Order", order)})
    assert own["batchesInStock"]["totalCount"] == 2 and own["batchOrders"]["totalCount"] == 1
    assert [each["batch"] for each in own["orderBatches"]] == ["B1"]
    token = api.token(Role.OWNER, name=f"beside {tea}", stores=(other.store_id,))
    for which in (variables["order"], gid("Order", order)):
        found = api.ask(asked, {**variables, "order": which}, token=token)
        assert found["batchesInStock"]["totalCount"] == found["batchOrders"]["totalCount"] == 0
        assert found["orderBatches"] == found["batchesToPick"] == []
