"""Complaints and lost parcels as a service desk finds them: in lists of orders, on the order, and by role."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from opscore.domain.command import Actor, Command, Role
from opscore.domain.order import Order
from opscore.domain.order_commands import (
    CancelOrderLines,
    ConfirmOrder,
    DeliverOrder,
    LineQuantity,
    PackParcel,
    PayOrder,
    ScannedLine,
    ShipOrder,
)
from opscore.domain.order_dispute_commands import (
    AcceptDispute,
    AgreeDispute,
    ArbitrateDispute,
    CloseDispute,
    DeclineDisputeOffer,
    FollowUpDispute,
    NegotiateDispute,
    OpenDispute,
    PayCompensation,
    SettleDispute,
    VerifyDispute,
    WithdrawDispute,
)
from opscore.domain.order_disputes import Arbiter, DecidedFor, DisputeRemedy, FaultParty, FollowUpResult
from opscore.domain.order_events import CancelReason
from opscore.domain.order_losses import FileCourierClaim, ReplaceLostParcel, ReportParcelLost, TraceParcel
from opscore.domain.policies import ProblemKind
from tests.api.conftest import Api, gid
from tests.shop import Shop

AFTER_SALES = Actor(id="ada", role=Role.AFTER_SALES)


def folded(api: Api, order_id: UUID) -> Order:
    order = api.server.services.log.aggregate(Order, order_id)
    assert order is not None
    return order


def paid(shop: Shop, sku: UUID, units: int) -> UUID:
    order_id = shop.do(shop.order((sku, units)))
    shop.do(PayOrder(order_id=order_id, amount_minor=units * 1000, method="card"))
    return order_id


def found(api: Api, sku: UUID, *, token: str | None = None, **filter_: Any) -> set[str]:
    """Return the orders of an article that a filter finds, once the list knows everything."""
    document = """query ($filter: OrderFilter, $at: Position) {
      orders(filter: $filter, first: 50, atLeast: $at) { nodes { id } }
    }"""
    given = {"filter": {"skuId": {"eq": gid("Sku", sku)}, **filter_}, "at": api.server.services.log.head().position}
    nodes = api.ask(document, given, **({} if token is None else {"token": token}))["orders"]["nodes"]
    return {each["id"] for each in nodes}


def status(api: Api, order_id: UUID) -> tuple[str, str]:
    """Return where an order stands: in the list, and by itself."""
    document = """query ($id: ID!, $at: Position) {
      orders(filter: {id: {eq: $id}}, first: 1, atLeast: $at) { nodes { status } } order(id: $id) { status }
    }"""
    given = {"id": gid("Order", order_id), "at": api.server.services.log.head().position}
    answer = api.ask(document, given)
    return answer["orders"]["nodes"][0]["status"], answer["order"]["status"]


# Disputes ------------------------------------------------------------------------------------------------------------

NOTHING: dict[str, Any] = {"remedy": DisputeRemedy.NOTHING}
WAY: list[tuple[str, Callable[..., Command], dict[str, Any]]] = [
    ("ACCEPTED", AcceptDispute, {}),
    ("VERIFIED", VerifyDispute, {"real": True, "fault_party": FaultParty.COURIER, "solution": DisputeRemedy.NOTHING}),
    ("NEGOTIATING", NegotiateDispute, NOTHING),
    ("NEGOTIATING", DeclineDisputeOffer, {}),
    (
        "ARBITRATED",
        ArbitrateDispute,
        {"decided_by": Arbiter.PLATFORM, "decided_for": DecidedFor.SELLER, "reason": "so", **NOTHING},
    ),
    ("SETTLED", SettleDispute, {}),
    ("VERIFIED", FollowUpDispute, {"result": FollowUpResult.NOT_SOLVED}),
    ("NEGOTIATING", NegotiateDispute, NOTHING),
    ("AGREED", AgreeDispute, {}),
    ("SETTLED", SettleDispute, {}),
    ("SETTLED", FollowUpDispute, {"result": FollowUpResult.NOT_REACHED}),
    ("FOLLOWED_UP", FollowUpDispute, {"result": FollowUpResult.SOLVED}),
    ("CLOSED", CloseDispute, {}),
]


def test_a_desk_finds_orders_by_how_far_their_disputes_are(api: Api, shop: Shop) -> None:
    sku = shop.sku()
    order_id, other = paid(shop, sku, 2), paid(shop, sku, 1)
    shop.do(OpenDispute(order_id=order_id, kind=ProblemKind.PAGE_DIFFERS))
    shop.do(OpenDispute(order_id=other, kind=ProblemKind.LATE))
    [second] = folded(api, other).disputes
    shop.do(WithdrawDispute(order_id=other, dispute_id=second))
    [dispute_id] = folded(api, order_id).disputes
    ours = {gid("Order", order_id)}

    assert found(api, sku, disputeStatus={"eq": "OPENED"}) == ours
    assert found(api, sku, disputeStatus={"eq": "WITHDRAWN"}) == {gid("Order", other)}
    for expected, command, fields in WAY:
        shop.do(command(order_id=order_id, dispute_id=dispute_id, **fields))
        assert folded(api, order_id).disputes[dispute_id].status.name == expected
        assert found(api, sku, disputeStatus={"eq": expected}) == ours, command
    assert found(api, sku, disputeKind={"eq": "PAGE_DIFFERS"}) == ours
    assert found(api, sku, disputeFaultParty={"eq": "COURIER"}) == ours
    assert found(api, sku, disputeOpenedAt={"before": "2000-01-01T00:00:00Z"}) == set()
    assert found(api, sku, disputeChangedAt={"isSet": True}) == ours | {gid("Order", other)}


def test_an_order_shows_its_disputes_and_whose_fault_they_are_to_staff_alone(api: Api, shop: Shop) -> None:
    customer = shop.customer()
    sku = shop.sku()
    order_id = shop.do(shop.order((sku, 2), customer_id=customer))
    shop.do(PayOrder(order_id=order_id, amount_minor=2000, method="card"))
    one = (LineQuantity(line=1, quantity=Decimal(1)),)
    shop.do(OpenDispute(order_id=order_id, kind=ProblemKind.QUALITY, lines=one, statement="it hums", evidence="film"))
    [dispute_id] = folded(api, order_id).disputes
    target: dict[str, Any] = {"order_id": order_id, "dispute_id": dispute_id}
    shop.do(AcceptDispute(**target))
    shop.do(VerifyDispute(**target, real=True, fault_party=FaultParty.SUPPLIER, solution=DisputeRemedy.COMPENSATION))
    offer = {"remedy": DisputeRemedy.COMPENSATION, "amount_minor": 350}
    shop.do(NegotiateDispute(**target, **offer, above_policy=True))
    shop.do(AgreeDispute(**target))
    shop.do(PayCompensation(**target, provider_reference="given-1"), actor=AFTER_SALES)
    assert found(api, sku, paymentReference={"eq": "given-1"}) == {gid("Order", order_id)}
    document = """query ($id: ID!) { order(id: $id) { refunded { amount } disputes {
      disputeId kind status lines { line quantity } evidence faultParty solution round offerOpen remedy
      amount { amount } compensated { amount }
    } history(first: 50) { nodes { type data } } } }"""

    order = api.ask(document, {"id": gid("Order", order_id)})["order"]
    theirs = api.ask(document, {"id": gid("Order", order_id)}, token=api.token(Role.CUSTOMER, customer=customer))

    [dispute] = order["disputes"]
    assert dispute == {
        "disputeId": str(dispute_id),
        "kind": "QUALITY",
        "status": "AGREED",
        "lines": [{"line": 1, "quantity": "1"}],
        "evidence": "film",
        "faultParty": "SUPPLIER",
        "solution": "COMPENSATION",
        "round": 1,
        "offerOpen": False,
        "remedy": "COMPENSATION",
        "amount": {"amount": "3.50"},
        "compensated": {"amount": "3.50"},
    }
    assert order["refunded"] == {"amount": "0.00"}
    assert theirs["order"]["disputes"] == [{**dispute, "faultParty": None, "solution": None}]
    told = {each["type"]: each["data"] for each in theirs["order"]["history"]["nodes"]}
    assert "DisputeVerified" not in told and set(told["CompensationPaid"]) == {
        "dispute_id", "amount_minor", "currency",
    }  # fmt: skip
    assert "it hums" not in str(order) + str(theirs)


def test_who_does_not_see_whose_fault_it_is_does_not_find_it_out(api: Api, shop: Shop) -> None:
    answer = api.post(
        {"query": "{ orders(first: 1, filter: {disputeFaultParty: {eq: OWNER}}) { nodes { id } } }"},
        token=api.token(Role.STOREFRONT),
    )
    assert answer.json()["errors"][0]["extensions"]["code"] == "FORBIDDEN"


# Lost parcels --------------------------------------------------------------------------------------------------------


def sent(shop: Shop, order_id: UUID, sku: UUID, units: int, line: int = 1) -> UUID:
    """Pack units of a line and hand them to a courier; return the parcel."""
    parcel_id = uuid4()
    scanned = (ScannedLine(line=line, sku_id=sku, quantity=Decimal(units)),)
    shop.do(PackParcel(order_id=order_id, parcel_id=parcel_id, location_id=shop.location_id, lines=scanned))
    shop.do(ShipOrder(order_id=order_id, parcel_id=parcel_id, courier="DPD", waybill=str(parcel_id)))
    return parcel_id


@pytest.mark.parametrize("ending", ["found", "replaced", "called off"])
def test_a_list_says_of_lost_parcels_what_the_order_says(api: Api, shop: Shop, ending: str) -> None:
    sku = shop.sku()
    order_id = paid(shop, sku, 3)
    shop.do(ConfirmOrder(order_id=order_id))
    first = sent(shop, order_id, sku, 2)
    lost: dict[str, Any] = {"order_id": order_id, "parcel_id": first}
    shop.do(ReportParcelLost(**lost))
    assert status(api, order_id) == ("LOST", "LOST")
    assert found(api, sku, status={"eq": "LOST"}) == {gid("Order", order_id)}
    second = sent(shop, order_id, sku, 1)
    shop.do(DeliverOrder(order_id=order_id, parcel_id=second))
    assert status(api, order_id) == ("LOST", "LOST")

    if ending == "found":
        shop.do(TraceParcel(**lost, found=True))
        expected = "SHIPPED"
    elif ending == "replaced":
        shop.do(ReplaceLostParcel(**lost))
        assert status(api, order_id) == ("CONFIRMED", "CONFIRMED")
        sent(shop, order_id, sku, 2)
        expected = "SHIPPED"
    else:
        part = (LineQuantity(line=1, quantity=Decimal(1)),)
        shop.do(CancelOrderLines(order_id=order_id, lines=part, reason=CancelReason.LOST))
        assert status(api, order_id) == ("LOST", "LOST")
        shop.do(CancelOrderLines(order_id=order_id, lines=part, reason=CancelReason.LOST))
        expected = "DELIVERED"
    assert status(api, order_id) == (expected, expected)


def test_an_order_shows_what_was_claimed_for_its_lost_parcel(api: Api, shop: Shop) -> None:
    sku = shop.sku()
    order_id = paid(shop, sku, 1)
    shop.do(ConfirmOrder(order_id=order_id))
    lost: dict[str, Any] = {"order_id": order_id, "parcel_id": sent(shop, order_id, sku, 1)}
    shop.do(ReportParcelLost(**lost))
    shop.do(FileCourierClaim(**lost, amount_minor=400, reference="C-1"))

    settled = api.give(
        "settleCourierClaim",
        """order {
          lines { lost shipped } parcels { lostAt claim { amount { amount } recovered { amount } reference settledAt } }
        } userErrors { code message path }""",
        {"orderId": gid("Order", order_id), "parcelId": str(lost["parcel_id"]), "amountMinor": 250},
    )

    assert settled["userErrors"] == []
    assert settled["order"]["lines"] == [{"lost": "1", "shipped": "0"}]
    [parcel] = settled["order"]["parcels"]
    assert parcel["lostAt"] and parcel["claim"]["settledAt"]
    assert {name: parcel["claim"][name] for name in ("amount", "recovered", "reference")} == {
        "amount": {"amount": "4.00"}, "recovered": {"amount": "2.50"}, "reference": "C-1",
    }  # fmt: skip
