"""An order from the shop to the refund, through the API alone."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from opscore.domain.command import Command
from opscore.domain.order import Order
from opscore.domain.order_commands import (
    CancelOrderLines,
    ConfirmOrder,
    ContactCustomer,
    ExchangeFor,
    LineQuantity,
    PayOrder,
    ReportShortage,
    ResolveShortage,
)
from opscore.domain.order_events import DeclineReason, RefundReason, ReturnCondition, ReturnReason, ShortageRemedy
from opscore.domain.order_recorded_returns import (
    RecordedReturnLine,
    RecordReturn,
)
from opscore.domain.order_recording import RecordedLine, RecordOrder
from opscore.domain.order_refunds import RefundOrder
from opscore.domain.order_return_endings import CancelReturn, DeclineReturn
from opscore.domain.order_returns import (
    ApproveReturn,
    DisposalOf,
    DisposeReturn,
    ReceiveReturn,
    RequestReturn,
)
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


LINES = """
    status goods { amount } lines {
      line skuCode name unit quantity listPrice { amount } unitPrice { amount } gross { amount } discount { amount }
      amount { amount } campaignId gift service cancelled exchanged returned refunded
    }
"""


def listed(api: Api, order_id: UUID) -> dict[str, Any]:
    """Return an order as a list shows it, once the list has all of it."""
    found: list[dict[str, Any]] = api.ask(
        f"query ($id: ID!, $at: Position) {{ orders(first: 2, atLeast: $at, filter: {{id: {{eq: $id}}}})"
        f" {{ nodes {{ {LINES} }} }} }}",
        {"id": gid("Order", order_id), "at": api.server.services.log.head().position},
    )["orders"]["nodes"]
    [order] = found
    return order


def shown(api: Api, order_id: UUID) -> dict[str, Any]:
    """Return an order as it is shown by itself."""
    found: dict[str, Any] = api.ask(
        f"query ($id: ID!) {{ order(id: $id) {{ {LINES} }} }}", {"id": gid("Order", order_id)}
    )
    return found["order"]


def short(shop: Shop, *lines: tuple[UUID, int], units: int, due: int, **fields: Any) -> UUID:
    """Place, pay and confirm an order of which so many units of the first line cannot be found."""
    order_id = shop.do(shop.order(*lines, **fields))
    shop.do(PayOrder(order_id=order_id, amount_minor=due, method="card"))
    shop.do(ConfirmOrder(order_id=order_id))
    shop.do(ReportShortage(order_id=order_id, lines=(LineQuantity(line=1, quantity=Decimal(units)),)))
    return order_id


def test_a_list_shows_what_was_exchanged_as_the_order_does(api: Api, shop: Shop) -> None:
    lamp, cup = shop.sku(), shop.sku()
    prices = {lamp: Decimal(8)}
    campaign = shop.start(shop.campaign(prices=prices), prices)
    order_id = short(shop, (lamp, 3), (cup, 1), units=1, due=3400, campaign_ids=(campaign,))
    shop.do(ContactCustomer(order_id=order_id))
    instead = ExchangeFor(line=1, sku_id=cup, quantity=Decimal(1))
    shop.do(ResolveShortage(order_id=order_id, kind=ShortageRemedy.EXCHANGE, exchanges=(instead,)))

    order = shown(api, order_id)
    assert listed(api, order_id) == order
    money = [tuple(line[name]["amount"] for name in ("gross", "discount", "amount")) for line in order["lines"]]
    assert money == [("22.00", "6.00", "16.00"), ("10.00", "0.00", "10.00"), ("8.00", "0.00", "8.00")]
    assert order["goods"]["amount"] == "34.00"


def test_a_shortage_that_was_called_off_is_none_in_lists_either(api: Api, shop: Shop) -> None:
    lamp, cup = shop.sku(), shop.sku()
    order_id = short(shop, (lamp, 2), (cup, 1), units=2, due=3000)
    for left, status in ((2, "SHORTAGE"), (1, "SHORTAGE"), (0, "CONFIRMED")):
        assert (listed(api, order_id)["status"], shown(api, order_id)["status"]) == (status, status), left
        if left:
            shop.do(CancelOrderLines(order_id=order_id, lines=(LineQuantity(line=1, quantity=Decimal(1)),)))
    again = ReportShortage(order_id=order_id, lines=(LineQuantity(line=2, quantity=Decimal(1)),))
    shop.do(again)
    assert listed(api, order_id)["status"] == shown(api, order_id)["status"] == "SHORTAGE"
    shop.do(ContactCustomer(order_id=order_id))
    shop.do(ResolveShortage(order_id=order_id, kind=ShortageRemedy.WAIT))
    assert listed(api, order_id)["status"] == shown(api, order_id)["status"] == "CONFIRMED"


def test_a_return_of_no_order_does_not_keep_a_list_from_being_shown(api: Api, shop: Shop) -> None:
    back = RecordedReturnLine(sku_id=shop.sku(), quantity=Decimal(2), amount_minor=700)
    order_id = shop.do(RecordReturn(store_id=shop.store_id, lines=(back,)))
    assert (
        listed(api, order_id)
        == shown(api, order_id)
        == {"status": "RETURNED", "goods": {"amount": "0.00"}, "lines": []}
    )


def test_orders_are_found_by_how_far_their_returns_are(api: Api, shop: Shop) -> None:
    sku = shop.sku(stock=50, price="2.00", cost="1.00")
    line = RecordedLine(sku_id=sku, quantity=Decimal(4), unit_price=Decimal(2))
    two = (LineQuantity(line=1, quantity=Decimal(2)),)
    steps: dict[str, list[Callable[[UUID, UUID], Command]]] = {
        "REQUESTED": [],
        "DECLINED": [lambda of, back: DeclineReturn(order_id=of, return_id=back, reason=DeclineReason.USED)],
        "APPROVED": [lambda of, back: ApproveReturn(order_id=of, return_id=back)],
    }
    steps["CANCELLED"] = [lambda of, back: CancelReturn(order_id=of, return_id=back)]
    steps["RECEIVED"] = [
        *steps["APPROVED"],
        lambda of, back: ReceiveReturn(order_id=of, return_id=back, location_id=shop.location_id, lines=two),
        lambda of, back: DisposeReturn(order_id=of, return_id=back, lines=(disposal(1),)),
    ]
    steps["DISPOSED"] = [
        *steps["RECEIVED"], lambda of, back: DisposeReturn(order_id=of, return_id=back, lines=(disposal(1),)),
    ]  # fmt: skip

    def disposal(units: int) -> DisposalOf:
        return DisposalOf(line=1, quantity=Decimal(units), condition=ReturnCondition.RESTOCK)

    orders = {}
    for status, commands in steps.items():
        of = shop.do(RecordOrder(store_id=shop.store_id, lines=(line,), shipped=True))
        shop.do(RequestReturn(order_id=of, lines=two, reason=ReturnReason.LATE))
        order = api.server.services.log.aggregate(Order, of)
        assert order is not None
        [back] = order.returns
        for command in commands:
            shop.do(command(of, back))
        orders[status] = gid("Order", of)
    shop.do(RefundOrder(order_id=of, reason=RefundReason.COMPENSATION, other_minor=50))
    elsewhere = shop.do(RecordOrder(store_id=shop.store_id, lines=(line,), shipped=True))
    one = RecordedReturnLine(sku_id=sku, quantity=Decimal(1), amount_minor=200)
    shop.do(RecordReturn(order_id=elsewhere, store_id=shop.store_id, lines=(one,)))
    at = api.server.services.log.head().position

    def found(**filter_: Any) -> list[dict[str, Any]]:
        document = """query ($filter: OrderFilter, $at: Position) {
          orders(filter: $filter, first: 50, atLeast: $at) {
            nodes { id returns { status reason requestedAt } refunds { reason refundedAt amount { amount } } }
          }
        }"""
        wanted = {"skuId": {"eq": gid("Sku", sku)}, **filter_}
        nodes: list[dict[str, Any]] = api.ask(document, {"filter": wanted, "at": at})["orders"]["nodes"]
        return nodes

    for status, order in orders.items():
        expected = {order, gid("Order", elsewhere)} if status == "DISPOSED" else {order}
        nodes = found(returnStatus={"eq": status})
        assert {each["id"] for each in nodes} == expected, status
        assert {each["returns"][0]["status"] for each in nodes} == {status}
    assert {each["id"] for each in found(returnReason={"eq": "LATE"})} == set(orders.values())
    assert [each["id"] for each in found(returnReason={"eq": "NOT_STATED"})] == [gid("Order", elsewhere)]
    since = found(returnRequestedAt={"isSet": True})
    assert {each["id"] for each in since} == set(orders.values())
    assert all(each["returns"][0]["requestedAt"] for each in since)
    [refunded] = [each["refunds"] for each in since if each["refunds"]]
    assert [each["reason"] for each in refunded] == ["COMPENSATION"] and refunded[0]["refundedAt"]
