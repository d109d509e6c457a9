"""The number that people call an order by: the same on every path, found by it, and safe against a slip."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, strategies as st

from opscore.api.errors import BadInput
from opscore.api.numbers import number_of, position_of
from opscore.domain.command import Role
from opscore.domain.order import Order
from opscore.domain.order_commands import PayOrder
from opscore.domain.order_recorded_returns import (
    RecordedReturnLine,
    RecordReturn,
)
from opscore.domain.order_recording import RecordedLine, RecordOrder
from tests.api.conftest import Api, gid
from tests.reached import wait_for
from tests.shop import Shop

BY_NUMBER = "query ($number: String!) { orderByNumber(number: $number) { id number } }"


# The digits ----------------------------------------------------------------------------------------------------------


@given(st.integers(min_value=1, max_value=2**63 - 1))
def test_a_number_leads_back_to_its_position_however_it_is_written_down(position: int) -> None:
    number = number_of(position)
    assert number.isdigit() and int(number) % 97 == 1
    assert position_of(number) == position_of(f" {number[0]} {number[1:-2]}-{number[-2:]}") == position


@given(st.integers(min_value=1, max_value=10**12), st.data())
def test_one_digit_misheard_or_two_swapped_make_no_other_orders_number(position: int, data: st.DataObject) -> None:
    number = number_of(position)
    place = data.draw(st.integers(0, len(number) - 1))
    other = data.draw(st.sampled_from([digit for digit in "0123456789" if digit != number[place]]))
    wrong = [number[:place] + other + number[place + 1 :]]
    wrong += [
        number[:at] + second + first + number[at + 2 :]
        for at, (first, second) in enumerate(pairwise(number))
        if first != second
    ]
    for each in wrong:
        with pytest.raises(BadInput, match="Read it again"):
            position_of(each)


@pytest.mark.parametrize("text", ["", "98", "-1", "x", "1e3", "١٢٣", "0" + number_of(1), number_of(2**63), "9" * 400])
def test_what_is_no_number_is_told_so(text: str) -> None:
    with pytest.raises(BadInput):
        position_of(text)


# The orders ----------------------------------------------------------------------------------------------------------


def caught_up(api: Api) -> int:
    """Return the head of the log once the read models have it."""
    assert api.server.projector is not None
    position = api.server.services.log.head().position
    for name in ("order_book", "stock_ledger", "kpi_facts"):
        wait_for(api.server.projector, name, position)
    return position


def found(api: Api, number: str, token: str = "") -> str | None:
    """Return the id of the order with this number."""
    order = api.ask(BY_NUMBER, {"number": number}, token=token)["orderByNumber"]
    assert order is None or order["number"] == number
    return None if order is None else order["id"]


def test_an_order_has_one_number_on_every_path(api: Api, shop: Shop) -> None:
    sku = shop.sku()
    line = {"skuId": gid("Sku", sku), "quantity": "1"}
    placed = api.give(
        "placeOrder", "order { id number } position", {"storeId": gid("Store", shop.store_id), "lines": [line]}
    )
    order_id, number = placed["order"]["id"], placed["order"]["number"]
    paid = api.give("payOrder", "order { number }", {"orderId": order_id, "amountMinor": 1000, "method": "card"})
    assert paid["order"]["number"] == number

    shown = api.ask(
        """query ($id: ID!, $number: String!, $stop: DateTime!, $at: Position) {
          order(id: $id) { number }
          then: order(id: $id, asOf: {version: 1}) { number status }
          orderByNumber(number: $number) { id }
          inTheBook: orders(first: 2, filter: {number: {eq: $number}}, atLeast: $at) { nodes { id number } }
          folded: orders(first: 2, filter: {number: {startsWith: $number}}) { nodes { id number version } }
          ordersDue(before: $stop) { orderId orderNumber }
        }""",
        {"id": order_id, "number": number, "stop": "2100-01-01T00:00:00Z", "at": caught_up(api)},
    )
    assert shown["order"] == {"number": number} and shown["then"] == {"number": number, "status": "PLACED"}
    assert shown["orderByNumber"] == {"id": order_id}
    assert shown["inTheBook"]["nodes"] == [{"id": order_id, "number": number}]
    assert shown["folded"]["nodes"] == [{"id": order_id, "number": number, "version": 3}]
    assert {"orderId": order_id, "orderNumber": number} in shown["ordersDue"]


def test_a_number_is_shown_with_the_order_that_a_figure_or_a_movement_names(api: Api, shop: Shop) -> None:
    sku = shop.sku()
    order = shop.do(shop.order((sku, 1)))
    shop.do(PayOrder(order_id=order, amount_minor=1000, method="card"))
    caught_up(api)
    answer = api.ask(
        """query ($sku: ID!, $id: ID!) {
          order(id: $id) { number paidAt }
          stockMovements(first: 9, filter: {skuId: {eq: $sku}}) { nodes { kind orderId orderNumber } }
        }""",
        {"sku": gid("Sku", sku), "id": gid("Order", order)},
    )
    number, paid_at = answer["order"]["number"], datetime.fromisoformat(answer["order"]["paidAt"])
    day = paid_at.astimezone(ZoneInfo("Europe/London")).date()
    named = {each["orderId"]: each["orderNumber"] for each in answer["stockMovements"]["nodes"]}
    assert named == {None: None, gid("Order", order): number}

    behind = api.ask(
        """query ($day: Date!) {
          explainKpi(code: "K019", fromDay: $day, toDay: $day, grain: DAY, side: NUMERATOR, first: 50) {
            nodes { orderId orderNumber }
          }
        }""",
        {"day": str(day)},
    )["explainKpi"]["nodes"]  # fmt: skip
    assert {"orderId": gid("Order", order), "orderNumber": number} in behind


def test_a_number_outlives_a_snapshot_of_the_order(api: Api, shop: Shop) -> None:
    order = shop.do(shop.order((shop.sku(), 1)))
    log = api.server.services.log
    kept = log.aggregate(Order, order)
    assert kept is not None and kept.first_position is not None
    log.take_snapshot_of(kept)
    again = log.aggregate(Order, order)
    [folded] = api.server.services.folded.load(Order, [order]).values()
    assert again is not None and again.first_position == folded.first_position == kept.first_position
    assert api.ask("query ($id: ID!) { order(id: $id) { number } }", {"id": gid("Order", order)}) == {
        "order": {"number": number_of(kept.first_position)}
    }


def test_an_order_that_was_agreed_elsewhere_and_a_return_of_none_have_numbers_too(api: Api, shop: Shop) -> None:
    sku = shop.sku(stock=50)
    line = RecordedLine(sku_id=sku, quantity=Decimal(1), unit_price=Decimal(2))
    sale = shop.do(RecordOrder(store_id=shop.store_id, lines=(line,), shipped=True))
    one = RecordedReturnLine(sku_id=sku, quantity=Decimal(1), amount_minor=200)
    back = shop.do(RecordReturn(store_id=shop.store_id, lines=(one,)))
    for order in (sale, back):
        number = api.ask("query ($id: ID!) { order(id: $id) { number } }", {"id": gid("Order", order)})["order"][
            "number"
        ]
        assert found(api, number) == gid("Order", order)


def test_who_may_not_see_an_order_does_not_find_it_by_its_number(api: Api, shop: Shop) -> None:
    ann, bob = shop.customer(), shop.customer()
    order = shop.do(shop.order((shop.sku(), 1), customer_id=ann))
    elsewhere = Shop.open(shop.writer, name="Another shop")
    position = caught_up(api)
    number = number_of(_placed(api, order))
    listed = """query ($number: String!, $at: Position) {
      orders(first: 2, filter: {number: {eq: $number}}, atLeast: $at) { nodes { id } }
    }"""
    seen = {
        api.token(Role.SERVICE, stores=(shop.store_id,)): True,
        api.token(Role.SERVICE, stores=(elsewhere.store_id,)): False,
        api.token(Role.CUSTOMER, name="ann", customer=ann): True,
        api.token(Role.CUSTOMER, name="bob", customer=bob): False,
    }
    for token, expected in seen.items():
        assert (found(api, number, token) is not None) is expected
        rows = api.ask(listed, {"number": number, "at": position}, token=token)["orders"]["nodes"]
        assert (rows != []) is expected


def test_a_number_that_is_none_is_told_so_and_one_of_another_event_finds_nothing(api: Api, shop: Shop) -> None:
    order = shop.do(shop.order((shop.sku(), 1)))
    position = _placed(api, order)
    wrong = str(int(number_of(position)) + 1)
    [error] = api.errors(BY_NUMBER, {"number": wrong})
    assert error["extensions"]["code"] == "BAD_USER_INPUT" and "Read it again" in error["message"]
    # The event behind it reserved the stock; the one after the last has not happened.
    for other in (position + 1, api.server.services.log.head().position + 1):
        assert found(api, number_of(other)) is None


def test_the_order_book_makes_the_numbers_that_the_api_makes(api: Api, shop: Shop) -> None:
    shop.do(shop.order((shop.sku(), 1)))
    caught_up(api)
    assert api.server.projector is not None
    rows: list[dict[str, Any]] = api.server.projector.run_query("order_book", "order_rows", store_ids=None)
    assert rows
    for row in rows:
        assert row["number"] == number_of(_placed(api, row["order_id"]))


def _placed(api: Api, order: UUID) -> int:
    found = api.server.services.log.aggregate(Order, order)
    assert found is not None and found.first_position is not None
    return found.first_position
