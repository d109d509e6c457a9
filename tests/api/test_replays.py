"""Questions asked of a replay by a header: every one of them answered as it was known then, and by whom it may be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from opscore.api.http import REPLAY
from opscore.domain.command import Role
from opscore.domain.order_commands import CancelOrder, PayOrder
from opscore.domain.sku_commands import PriceSku
from opscore.permissions import OF_REPLAY, READS
from tests.api.conftest import Api, gid
from tests.reached import wait_for
from tests.shop import Shop

TODAY = datetime.now(UTC).date()
WINDOW = f'fromDay: "{TODAY - timedelta(days=2)}", toDay: "{TODAY + timedelta(days=2)}"'
QUESTIONS = {
    "orders": "orders(first: 10) { totalCount nodes { id status total { amount } paid { amount } } }",
    # Payments and the time line are the aggregate's own: folded as of then.
    "details": "orders(first: 10) { nodes { id version payments { method } customer { id version } } }",
    "orderCount": "orderCount { orders paid { amount } }",
    "orderStates": "orderStates { status orders }",
    "kpiDaily": f"kpiDaily({WINDOW}) {{ orders gmv {{ amount }} }}",
    "kpiTotals": f"kpiTotals({WINDOW}) {{ orders buyers }}",
    "kpi": f'kpi(code: "K017", {WINDOW}, grain: TOTAL) {{ rows {{ value }} }}',
    "stockLevels": 'stockLevels(skuIds: ["SKU"]) { skuId onHand reserved }',
    "stockMovements": "stockMovements(first: 50) { totalCount }",
    "stockTotals": "stockTotals { skus value { amount } }",
    "skus": "skus(first: 10) { totalCount nodes { id prices { listPrice { amount } } } }",
    "customers": "customers(first: 10) { totalCount nodes { id } }",
    "customerCards": 'customerCards(customerIds: ["CUSTOMER"]) { sales { orders } }',
    "projectionRows": 'projectionRows(projection: "kpi_daily", query: "totals", first: 5) { rows version position }',
}


def followed(api: Api, position: int) -> None:
    """Wait until every read model has taken in a position."""
    for name in api.server.projector.definitions():
        wait_for(api.server.projector, name, position)


@pytest.fixture(scope="module")
def then(api: Api) -> dict[str, Any]:
    """What was answered at a moment, of which a replay is made when everything has gone on."""
    shop = Shop.open(api.server.writer)
    sku, customer = shop.sku(stock=20), shop.customer()
    order = shop.do(shop.order((sku, 2), customer_id=customer))
    paid = shop.give(PayOrder(order_id=order, amount_minor=2000, method="card", currency="GBP"))
    open_order = shop.do(shop.order((sku, 1)))
    known = {"CUSTOMER": gid("Customer", customer), "SKU": gid("Sku", sku)}
    head = api.server.services.log.head().position
    followed(api, head)
    answers = {name: ask(api, text, known) for name, text in QUESTIONS.items()}
    assert paid.position

    second = shop.do(shop.order((sku, 3), customer_id=customer))
    shop.do(PayOrder(order_id=second, amount_minor=3000, method="card", currency="GBP"))
    shop.do(CancelOrder(order_id=open_order, reason="customer"))
    shop.do(PriceSku(sku_id=sku, store_id=shop.store_id, list_price=Decimal(12), cost=Decimal(4), reason="dearer"))
    shop.sku(), shop.customer()
    now = api.server.services.log.head().position
    followed(api, now)
    api.server.projector.replay(head, "march")
    return {"answers": answers, "known": known, "position": head, "shop": shop}


def ask(api: Api, text: str, known: dict[str, str], **headers: str) -> Any:
    for name, value in known.items():
        text = text.replace(name, value)
    answer = api.post({"query": f"{{ {text} }}"}, headers=headers).json()
    assert "errors" not in answer, answer["errors"]
    (found,) = answer["data"].values()
    return found


def refused(api: Api, query: str, token: str = "", replay: str = "march") -> dict[str, Any]:
    answer = api.post({"query": query}, token=token, headers={REPLAY: replay}).json()
    error: dict[str, Any] = answer["errors"][0]
    return error


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_question_with_the_header_is_answered_as_it_was_then(api: Api, then: dict[str, Any], name: str) -> None:
    replayed = ask(api, QUESTIONS[name], then["known"], **{REPLAY: "march"})
    now = ask(api, QUESTIONS[name], then["known"])
    if name == "projectionRows":
        assert replayed["position"] == then["position"] < now["position"]
        replayed, then_rows, now = replayed["rows"], then["answers"][name]["rows"], now["rows"]
        assert replayed == then_rows != now
        return
    assert replayed == then["answers"][name] != now


def test_only_what_read_models_answer_may_be_asked_of_a_replay(api: Api, then: dict[str, Any]) -> None:
    assert READS.keys() >= OF_REPLAY
    order = gid("Order", then["shop"].store_id)
    for query in (
        "{ head { position } }", f'{{ order(id: "{order}") {{ id }} }}', "{ projections { name } }",
        'mutation { resumeProjection(input: {name: "kpi_daily", version: 1, idempotencyKey: "r"}) { replayed } }',
        f'mutation {{ confirmOrder(input: {{orderId: "{order}", idempotencyKey: "r"}}) {{ replayed }} }}',
    ):  # fmt: skip
        error = refused(api, query)
        assert error["extensions"]["code"] == "BAD_USER_INPUT" and "not answered by a replay" in error["message"]


def test_whoever_may_not_ask_for_rows_of_any_kind_may_not_ask_a_replay(api: Api, then: dict[str, Any]) -> None:
    query = "{ orders(first: 1) { nodes { id } } }"
    for role in (Role.WAREHOUSE, Role.STOREFRONT, Role.SERVICE):
        token = api.token(role, stores=(then["shop"].store_id,))
        assert "errors" not in api.post({"query": query}, token=token).json()
        assert refused(api, query, token)["extensions"]["code"] == "FORBIDDEN"
    assert api.post({"query": query}, token=None, headers={REPLAY: "march"}).json()["errors"]
    elsewhere = Shop.open(api.server.writer, name="Elsewhere")
    token = api.token(Role.MANAGER, stores=(elsewhere.store_id,))
    answer = api.post({"query": query}, token=token, headers={REPLAY: "march"}).json()
    assert answer["data"]["orders"]["nodes"] == [], "the stores of the token bound it then as now"


def test_a_replay_that_is_not_there_or_not_whole_or_behind_is_said(api: Api, then: dict[str, Any]) -> None:
    error = refused(api, "{ orderStates { orders } }", replay="april")
    assert error["message"] == (
        "there is no replay april; there are march, and opscore replay --until TIME --into april makes one"
    )
    late = f"{{ orderStates(atLeast: {then['position'] + 1}) {{ orders }} }}"
    assert refused(api, late)["extensions"]["code"] == "NOT_YET_VISIBLE"
    with api.server.database.connect() as connection:
        connection.execute("UPDATE projection_catalogue SET status = 'building' WHERE name = 'march/order_book'")
        try:
            assert "the replay march is not whole" in refused(api, "{ orderStates { orders } }")["message"]
        finally:
            connection.execute("UPDATE projection_catalogue SET status = 'frozen' WHERE name = 'march/order_book'")
