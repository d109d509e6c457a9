"""Parcels on their way, receipts, returns and exchanges as a service desk finds them: in lists and on the order."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from opscore.domain.command import Role
from opscore.domain.order_arrivals import ConfirmReceipt, TrackParcel
from opscore.domain.order_commands import (
    CompleteOrder,
    ConfirmOrder,
    DeliverOrder,
    LineQuantity,
    PackParcel,
    ScannedLine,
    ShipOrder,
)
from opscore.domain.order_disputes import FaultParty
from opscore.domain.order_events import ReturnReason, ReturnRemedy, TrackingStatus
from opscore.domain.order_exchanges import ExchangeOf, ExchangeReturn
from opscore.domain.order_losses import ReportParcelLost, TraceParcel
from opscore.domain.order_refunds import RefundOrder
from opscore.domain.order_return_ways import PayReturnFreight, ShipReturn, VerifyReturn
from opscore.domain.order_returns import (
    ApproveReturn,
    ReceiveReturn,
    RequestReturn,
)
from opscore.domain.store_commands import SetPolicy
from tests.api.conftest import Api, gid
from tests.api.test_disputes import folded, found, paid, status
from tests.shop import Shop


@pytest.fixture
def shop(api: Api) -> Shop:
    return Shop.open(api.server.writer, f"Shop {uuid4()}")


def some(units: int) -> tuple[LineQuantity, ...]:
    return (LineQuantity(line=1, quantity=Decimal(units)),)


def send(shop: Shop, order_id: UUID, sku: UUID, units: int, line: int = 1) -> UUID:
    """Pack and ship units of a line; return the parcel."""
    parcel_id = uuid4()
    scanned = (ScannedLine(line=line, sku_id=sku, quantity=Decimal(units)),)
    packed = PackParcel(order_id=order_id, parcel_id=parcel_id, location_id=shop.location_id, lines=scanned)
    shop.do(packed)
    shop.do(ShipOrder(order_id=order_id, parcel_id=parcel_id, courier="DPD", waybill=f"W{parcel_id}"))
    return parcel_id


def shipped(shop: Shop, sku: UUID, units: int) -> tuple[UUID, UUID]:
    """Return an order that is on its way, and its parcel."""
    order_id = paid(shop, sku, units)
    shop.do(ConfirmOrder(order_id=order_id))
    return order_id, send(shop, order_id, sku, units)


def back(api: Api, shop: Shop, order_id: UUID, units: int, **fields: Any) -> UUID:
    """Take units of an order back; return the return."""
    shop.do(RequestReturn(order_id=order_id, lines=some(units), **fields))
    return_id = list(folded(api, order_id).returns)[-1]
    shop.do(ApproveReturn(order_id=order_id, return_id=return_id))
    shop.do(ReceiveReturn(order_id=order_id, return_id=return_id, location_id=shop.location_id, lines=some(units)))
    return return_id


def due(api: Api, order_id: UUID, before: datetime) -> set[str]:
    """Return what is to be done of an order before a moment."""
    document = """query ($before: DateTime!, $at: Position) {
      ordersDue(before: $before, first: 100, atLeast: $at) { orderId what }
    }"""
    given = {"before": before.isoformat(), "at": api.server.services.log.head().position}
    return {each["what"] for each in api.ask(document, given)["ordersDue"] if each["orderId"] == gid("Order", order_id)}


# On its way ----------------------------------------------------------------------------------------------------------


def test_a_parcel_of_which_nothing_is_heard_is_found(api: Api, shop: Shop) -> None:
    shop.do(SetPolicy(store_id=shop.store_id, kind="order_terms", params={"stalled_days": 2}))
    sku = shop.sku()
    order_id, parcel_id = shipped(shop, sku, 2)
    ours, parcel = {gid("Order", order_id)}, {"order_id": order_id, "parcel_id": parcel_id}
    left = folded(api, order_id).parcels[parcel_id].shipped_at
    assert left is not None
    heard_of = {"before": (left + timedelta(days=2, microseconds=1)).isoformat()}

    assert found(api, sku, newsBy=heard_of) == ours
    assert found(api, sku, newsBy={"before": left.isoformat()}) == set()

    shop.do(TrackParcel(**parcel, status=TrackingStatus.HELD, place="Hub 7"))
    shop.do(TrackParcel(**parcel, status=TrackingStatus.COLLECTED), occurred_at=left)
    assert found(api, sku, newsBy=heard_of) == set(), "the last word counts, and the next is due two days after it"
    assert found(api, sku, trackingStatus={"eq": "HELD"}) == ours
    document = "query ($id: ID!) { order(id: $id) { parcels { newsBy tracking { status place at } } } }"
    [shown] = api.ask(document, {"id": gid("Order", order_id)})["order"]["parcels"]
    assert [(each["status"], each["place"]) for each in shown["tracking"]] == [("COLLECTED", None), ("HELD", "Hub 7")]
    at = datetime.fromisoformat(shown["tracking"][1]["at"])
    assert datetime.fromisoformat(shown["newsBy"]) == at + timedelta(days=2)
    assert due(api, order_id, at + timedelta(days=3)) == {"track"}

    shop.do(ReportParcelLost(**parcel))
    assert found(api, sku, newsBy={"isSet": True}) == set(), "what is lost is looked after elsewhere"
    assert due(api, order_id, at + timedelta(days=30)) == {"ship"}
    shop.do(TraceParcel(**parcel, found=True))
    assert found(api, sku, newsBy={"isSet": True}) == ours
    shop.do(DeliverOrder(**parcel))
    assert found(api, sku, newsBy={"isSet": True}) == set() == due(api, order_id, at + timedelta(days=30))


def test_whoever_ordered_says_that_it_is_there_and_the_sale_is_final(api: Api, shop: Shop) -> None:
    shop.do(SetPolicy(store_id=shop.store_id, kind="order_terms", params={"inspection_from_minor": 100}))
    sku = shop.sku()
    order_id, _ = shipped(shop, sku, 2)
    given = {"orderId": gid("Order", order_id)}
    payload = "order { status receivedAt inspected parcels { deliveredAt } } userErrors { code path }"
    front = api.token(Role.STOREFRONT)

    refused = api.give("confirmReceipt", payload, given, token=front)["userErrors"]
    assert refused == [{"code": "INSPECTION_REQUIRED", "path": ["inspected"]}]
    [error] = api.give("completeOrder", "userErrors { code }", given, token=front)["userErrors"]
    assert error["code"] == "WRONG_STATE", "it has not arrived"
    order = api.give("confirmReceipt", payload, {**given, "inspected": True}, token=front)["order"]

    assert (order["status"], order["inspected"]) == ("COMPLETED", True)
    assert order["receivedAt"] == order["parcels"][0]["deliveredAt"]
    assert status(api, order_id) == ("COMPLETED", "COMPLETED")


def test_defects_seen_at_the_door_become_a_complaint(api: Api, shop: Shop) -> None:
    sku = shop.sku()
    order_id, _ = shipped(shop, sku, 2)
    given = {
        "orderId": gid("Order", order_id), "inspected": True, "kind": "COURIER_DAMAGE", "statement": "the box is wet",
        "defects": [{"line": 1, "quantity": "3"}],
    }  # fmt: skip
    payload = "order { status disputes { kind lines { line quantity } } } userErrors { code path }"

    refused = api.give("confirmReceipt", payload, given)["userErrors"]
    assert refused == [{"code": "DEFECTS_EXCEED_ARRIVED", "path": ["defects", "0", "quantity"]}]
    given["defects"] = [{"line": 1, "quantity": "1"}]
    order = api.give("confirmReceipt", payload, given)["order"]

    assert order["status"] == "DELIVERED"
    assert order["disputes"] == [{"kind": "COURIER_DAMAGE", "lines": [{"line": 1, "quantity": "1"}]}]
    claim = {"orderId": given["orderId"], "parcelId": str(next(iter(folded(api, order_id).parcels)))}
    said = api.give(
        "fileCourierClaim",
        "order { parcels { claim { cause amount { amount } } } } userErrors { code }",
        {**claim, "amountMinor": 400, "cause": "DAMAGED"},
    )
    assert said["order"]["parcels"] == [{"claim": {"cause": "DAMAGED", "amount": {"amount": "4.00"}}}]


# On its way back -----------------------------------------------------------------------------------------------------


def test_the_warehouse_finds_the_order_by_the_waybill_of_what_comes_back(api: Api, shop: Shop) -> None:
    sku = shop.sku()
    order_id, parcel_id = shipped(shop, sku, 2)
    shop.do(DeliverOrder(order_id=order_id, parcel_id=parcel_id))
    shop.do(RequestReturn(order_id=order_id, lines=some(1), reason=ReturnReason.CHANGED_MIND))
    [return_id] = folded(api, order_id).returns
    case = {"order_id": order_id, "return_id": return_id}
    shop.do(ApproveReturn(**case))
    shop.do(ShipReturn(**case, courier="UPS", waybill="B-1"))
    ours = {gid("Order", order_id)}

    assert found(api, sku, returnWaybill={"eq": "B-1"}) == ours == found(api, sku, returnStatus={"eq": "SENT"})
    shop.do(ReceiveReturn(**case, location_id=shop.location_id, lines=some(1)))
    shop.do(VerifyReturn(**case, reason=ReturnReason.QUALITY, fault_party=FaultParty.SUPPLIER))
    shop.do(PayReturnFreight(**case, amount_minor=350, provider_reference="pay-1"))

    assert (
        found(api, sku, returnFaultParty={"eq": "SUPPLIER"})
        == ours
        == found(api, sku, paymentReference={"eq": "pay-1"})
    )
    assert found(api, sku, returnReason={"eq": "CHANGED_MIND"}) == ours, "what the customer said stays"
    document = """query ($id: ID!) { order(id: $id) { returns {
      status reason verifiedReason faultParty freightBorneBy freight { amount } courier waybill sentAt
    } } }"""
    [shown] = api.ask(document, {"id": gid("Order", order_id)})["order"]["returns"]
    assert shown.pop("sentAt")
    assert shown == {
        "status": "RECEIVED", "reason": "CHANGED_MIND", "verifiedReason": "QUALITY", "faultParty": "SUPPLIER",
        "freightBorneBy": "SUPPLIER", "freight": {"amount": "3.50"}, "courier": "UPS", "waybill": "B-1",
    }  # fmt: skip
    [hidden] = api.ask(document, {"id": gid("Order", order_id)}, token=api.token(Role.STOREFRONT))["order"]["returns"]
    assert (hidden["verifiedReason"], hidden["faultParty"], hidden["waybill"]) == (None, None, "B-1")


# Exchanged -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("final", [False, True])
@pytest.mark.parametrize("other", [False, True])
def test_a_list_says_of_exchanges_what_the_order_says(api: Api, shop: Shop, final: bool, other: bool) -> None:
    sku, instead = shop.sku(), shop.sku()
    order_id, parcel_id = shipped(shop, sku, 3)
    shop.do(DeliverOrder(order_id=order_id, parcel_id=parcel_id))
    if final:
        shop.do(CompleteOrder(order_id=order_id))
    there = "COMPLETED" if final else "DELIVERED"
    return_id = back(api, shop, order_id, 2, remedy=ReturnRemedy.EXCHANGE)
    assert status(api, order_id) == (there, there)
    assert found(api, sku, returnRemedy={"eq": "EXCHANGE"}) == {gid("Order", order_id)}

    asked = ExchangeOf(line=1, quantity=Decimal(2), sku_id=instead if other else None)
    shop.do(ExchangeReturn(order_id=order_id, return_id=return_id, lines=(asked,)))
    assert status(api, order_id) == ("CONFIRMED", "CONFIRMED")
    order = folded(api, order_id)
    line, article = (2, instead) if other else (1, sku)
    assert order.lines[line - 1].to_pack == 2
    parcel_id = send(shop, order_id, article, 2, line)
    assert status(api, order_id) == ("SHIPPED", "SHIPPED")
    shop.do(DeliverOrder(order_id=order_id, parcel_id=parcel_id))
    assert status(api, order_id) == (there, there)

    shown = "lines { line quantity exchanged returned refunded amount { amount } } total { amount } paid { amount }"
    document = f"""query ($id: ID!, $at: Position) {{
      orders(filter: {{id: {{eq: $id}}}}, first: 1, atLeast: $at) {{ nodes {{ {shown} }} }} order(id: $id) {{ {shown} }}
    }}"""
    given = {"id": gid("Order", order_id), "at": api.server.services.log.head().position}
    answer = api.ask(document, given)
    assert answer["orders"]["nodes"][0] == answer["order"]
    [first, *rest] = answer["order"]["lines"]
    assert (first["exchanged"], first["returned"]) == (("2", "0") if other else ("0", "0"))
    assert len(rest) == other

    back(api, shop, order_id, 1)
    before = folded(api, order_id).paid_minor
    shop.do(RefundOrder(order_id=order_id))
    assert folded(api, order_id).refunded_minor == before // 3, "the unit that was kept goes back at its own price"


def test_goods_for_which_others_are_wanted_are_not_paid_for_unasked(api: Api, shop: Shop) -> None:
    sku = shop.sku()
    order_id, parcel_id = shipped(shop, sku, 2)
    shop.do(ConfirmReceipt(order_id=order_id))
    back(api, shop, order_id, 1, remedy=ReturnRemedy.EXCHANGE)
    given = {"orderId": gid("Order", order_id)}

    [error] = api.give("refundOrder", "userErrors { code }", given)["userErrors"]
    assert error["code"] == "NOTHING_TO_REFUND"
    named = {**given, "lines": [{"line": 1, "quantity": "1"}]}
    assert api.give("refundOrder", "order { refunded { amount } } userErrors { code }", named)["userErrors"] == []
    [case] = folded(api, order_id).returns
    exchange = {**given, "returnId": str(case), "lines": [{"line": 1, "quantity": "1"}]}
    [error] = api.give("exchangeReturn", "userErrors { code }", exchange)["userErrors"]
    assert error["code"] in ("EXCHANGE_EXCEEDS_RETURNED", "WRONG_STATE")
    assert parcel_id in folded(api, order_id).parcels
