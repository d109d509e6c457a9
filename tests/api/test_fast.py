"""The shortcut of commands against the stock executor: whatever is sent, not one byte of the answer differs."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest

from opscore.api.engine import GraphQLEngine
from opscore.api.errors import ApiError
from opscore.api.guard import Limits
from opscore.api.http import GraphQLRequest, error_list
from opscore.api.schema import build_schema, mutations
from opscore.writer import Busy, NotDeciding, Writer
from tests.api.conftest import Api, gid
from tests.shop import Shop

DOCUMENT = """
mutation Buy($input: PlaceOrderInput!) {
  bought: placeOrder(input: $input) {
    __typename
    order { id __typename }
    position
    replayed
    userErrors { __typename code message path ids currentVersion retryable }
  }
}
"""
SCHEMA = build_schema()._schema


@pytest.fixture(scope="module")
def cup(shop: Shop) -> UUID:
    return shop.sku("CUP", stock=50, price="2.50", cost="1.00")


@pytest.fixture
def both(api: Api) -> tuple[GraphQLEngine, GraphQLEngine]:
    """An engine with the shortcut and one without."""
    services, limits = api.server.services, Limits()
    return (
        GraphQLEngine(SCHEMA, services, limits, commands=mutations()),
        GraphQLEngine(SCHEMA, services, limits, commands=mutations(), compiled=False),
    )


def an_order(shop: Shop, sku: UUID, quantity: str = "1", **more: Any) -> dict[str, Any]:
    lines = [{"skuId": gid("Sku", sku), "quantity": quantity}]
    return {"storeId": gid("Store", shop.store_id), "lines": lines, "idempotencyKey": str(uuid4()), **more}


def answered(api: Api, engine: GraphQLEngine, variables: dict[str, Any]) -> bytes:
    request = GraphQLRequest(DOCUMENT, variables, None, False, f"Bearer {api.token()}", "the-id")

    async def run() -> bytes:
        try:
            return (await engine.run(request)).body
        except ApiError as error:
            return orjson.dumps([type(error).__name__, error.STATUS, error_list(error)])

    return asyncio.run(run())


def alike(api: Api, both: tuple[GraphQLEngine, GraphQLEngine], variables: dict[str, Any]) -> Any:
    """Return the answer that both give to the last byte, one having taken the shortcut and the other not."""
    short, long = (answered(api, engine, variables) for engine in both)
    assert short == long
    taken = [engine._documents.get(DOCUMENT).shortcuts.get("Buy") for engine in both]
    assert taken[0] is not None and taken[1] is None
    return orjson.loads(short)


def test_a_command_that_is_carried_out_is_answered_alike(
    api: Api, both: tuple[GraphQLEngine, GraphQLEngine], shop: Shop, cup: UUID
) -> None:
    texts = []
    for engine in both:
        text = answered(api, engine, {"input": an_order(shop, cup)})
        made = orjson.loads(text)["data"]["bought"]
        assert made["userErrors"] == [] and made["replayed"] is False
        # Two orders have two ids and two positions.
        text = text.replace(made["order"]["id"].encode(), b"ID")
        texts.append(text.replace(b'"position":%d' % made["position"], b'"position":0'))
    assert texts[0] == texts[1]


def test_what_is_given_again_is_answered_alike(
    api: Api, both: tuple[GraphQLEngine, GraphQLEngine], shop: Shop, cup: UUID
) -> None:
    given = {"input": an_order(shop, cup, occurredAt=None, expectedVersion=None)}
    first = orjson.loads(answered(api, both[0], given))["data"]["bought"]

    assert alike(api, both, given)["data"]["bought"] == {**first, "replayed": True}


@pytest.mark.parametrize(
    ("quantity", "more", "code"),
    [
        ("51", {}, "STOCK_INSUFFICIENT"),
        ("0", {}, "INVALID_FIELD"),
        ("1", {"channel": ""}, "INVALID_FIELD"),
        ("1", {"idempotencyKey": ""}, "INVALID_FIELD"),
        ("1", {"idempotencyKey": "k" * 256}, "INVALID_FIELD"),
        ("1", {"storeId": gid("Store", UUID(int=1))}, "NOT_FOUND"),
        ("1", {"customerId": gid("Customer", UUID(int=1))}, "NOT_FOUND"),
        ("1", {"expectedVersion": 7}, "INVALID_FIELD"),
    ],
)
def test_a_refusal_is_answered_alike(
    api: Api,
    both: tuple[GraphQLEngine, GraphQLEngine],
    shop: Shop,
    cup: UUID,
    quantity: str,
    more: dict[str, Any],
    code: str,
) -> None:
    given = {"input": an_order(shop, cup, quantity, **more)}
    answered(api, both[1], given)  # Decided; from now on it is the same refusal again.

    answer = alike(api, both, given)

    assert [each["code"] for each in answer["data"]["bought"]["userErrors"]] == [code]


@pytest.mark.parametrize("said", [Busy(), NotDeciding("halted")])
def test_a_command_that_nobody_decides_is_answered_alike(
    api: Api,
    both: tuple[GraphQLEngine, GraphQLEngine],
    shop: Shop,
    cup: UUID,
    monkeypatch: pytest.MonkeyPatch,
    said: Exception,
) -> None:
    def refuse(*_: Any) -> Any:
        raise said

    monkeypatch.setattr(Writer, "submit", refuse)

    assert alike(api, both, {"input": an_order(shop, cup)})["data"]["bought"]["userErrors"][0]["retryable"] is True


def test_what_goes_wrong_on_our_side_is_masked_alike_and_points_at_the_same_place(
    api: Api, both: tuple[GraphQLEngine, GraphQLEngine], shop: Shop, cup: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("secret 4711")

    with monkeypatch.context() as patch:
        patch.setattr(Writer, "submit", broken)
        [masked] = alike(api, both, {"input": an_order(shop, cup)})["errors"]
    with monkeypatch.context() as patch:
        patch.setattr(api.server.services, "writer", None)
        [told] = alike(api, both, {"input": an_order(shop, cup)})["errors"]

    assert masked["extensions"] == {"code": "INTERNAL", "id": "the-id"} and "4711" not in str(masked)
    assert told["extensions"]["code"] == "NOT_READY"
    for error in (masked, told):
        assert error["path"] == ["bought"] and error["locations"] == [{"line": 3, "column": 3}]


def test_variables_that_do_not_fit_are_answered_alike(
    api: Api, both: tuple[GraphQLEngine, GraphQLEngine], shop: Shop, cup: UUID
) -> None:
    good = an_order(shop, cup)
    lines = good["lines"]
    for given in (
        {},
        {"input": None},
        {"input": "x"},
        {"input": [good]},
        {"inputs": good},
        {"input": {**good, "nothing": 1}},
        {"input": {**good, "idempotencyKey": None}},
        {"input": {**good, "idempotencyKey": 7}},
        {"input": {key: value for key, value in good.items() if key != "storeId"}},
        {"input": {**good, "storeId": True}},
        {"input": {**good, "lines": [{**lines[0], "quantity": 0.5}]}},
        {"input": {**good, "lines": [{**lines[0], "quantity": "half"}]}},
        {"input": {**good, "lines": [None]}},
        {"input": {**good, "expectedVersion": 2**31}},
        {"input": {**good, "expectedVersion": "1"}},
        {"input": {**good, "occurredAt": "yesterday"}},
    ):
        name, _, [error, *_] = alike(api, both, given)
        assert (name, error["extensions"]["code"]) == ("BadVariables", "BAD_USER_INPUT"), given
