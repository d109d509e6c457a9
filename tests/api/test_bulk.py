"""Commands in lists: an answer for each row, and either what can be done is done or nothing at all."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from opscore.api.bulk import ROWS_MAX
from opscore.domain.command import Role
from opscore.log.event_log import EventFilter
from tests.api.conftest import Api, gid
from tests.api.test_figures import statements
from tests.shop import Shop

ROWS = "rows { sku { id } position replayed userErrors { code message path ids retryable } } accepted refused"


@pytest.fixture(scope="module")
def skus(shop: Shop) -> list[UUID]:
    """Some articles with a hundred of each."""
    return [shop.sku(stock=100) for _ in range(4)]


def price(sku: UUID, amount: str, **more: Any) -> dict[str, Any]:
    """Return a row of priceSkuInBulk."""
    return {"skuId": gid("Sku", sku), "listPrice": amount, "reason": "spring", "idempotencyKey": str(uuid4()), **more}


def send(api: Api, command: str, policy: str, rows: list[Any], *, selection: str = ROWS, token: str = "") -> Any:
    """Give a list of commands and return the payload."""
    name = f"{command}InBulk"
    query = f"mutation ($i: {name[0].upper()}{name[1:]}Input!) {{ {name}(input: $i) {{ {selection} }} }}"
    return api.ask(query, {"i": {"rows": rows, "policy": policy}}, token=token)[name]


def codes(payload: Any) -> list[str | None]:
    return [row["userErrors"][0]["code"] if row["userErrors"] else None for row in payload["rows"]]


def events(api: Api) -> int:
    return api.server.services.log.count(EventFilter())


def prices(api: Api, skus: list[UUID]) -> list[str]:
    found = api.ask(
        "query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Sku { prices { listPrice { amount } } } } }",
        {"ids": [gid("Sku", each) for each in skus]},
    )
    return [node["prices"][0]["listPrice"]["amount"] for node in found["nodes"]]


def test_failed_rows_are_ignored_when_that_is_asked_for(api: Api, skus: list[UUID]) -> None:
    rows = [
        price(skus[0], "11.00"),
        price(uuid4(), "11.00"),
        price(skus[1], "0.50"),
        {**price(skus[2], "11.00"), "skuId": "no id"},
        price(skus[3], "12.00"),
    ]
    payload = send(api, "priceSku", "IGNORE_FAILED_ROWS", rows)

    assert codes(payload) == [None, "NOT_FOUND", "BELOW_COST", "INVALID_FIELD", None]
    assert (payload["accepted"], payload["refused"]) == (2, 3)
    assert [row["sku"] and row["sku"]["id"] for row in payload["rows"]] == [
        gid("Sku", skus[0]), None, None, None, gid("Sku", skus[3]),
    ]  # fmt: skip
    assert [row["userErrors"][0]["path"] for row in payload["rows"] if row["userErrors"]] == [
        ["skuId"], ["listPrice"], ["skuId"],
    ]  # fmt: skip
    assert prices(api, skus) == ["11", "10", "10", "12"]
    again = send(api, "priceSku", "IGNORE_FAILED_ROWS", rows)
    assert codes(again) == codes(payload)
    assert [row["replayed"] for row in again["rows"]] == [True, True, True, False, True]
    assert [row["position"] for row in again["rows"]] == [row["position"] for row in payload["rows"]]


def test_one_failed_row_rejects_everything_when_that_is_asked_for(api: Api, skus: list[UUID]) -> None:
    before, was = events(api), prices(api, skus)
    rows = [price(skus[0], "21.00"), price(skus[1], "0.50"), price(skus[2], "22.00")]
    payload = send(api, "priceSku", "REJECT_EVERYTHING", rows)

    assert codes(payload) == ["REJECTED_WITH_OTHERS", "BELOW_COST", "REJECTED_WITH_OTHERS"]
    assert (payload["accepted"], payload["refused"]) == (0, 3)
    assert [row["userErrors"][0]["retryable"] for row in payload["rows"]] == [True, False, True]
    assert (events(api), prices(api, skus)) == (before, was)

    rows[1]["listPrice"] = "23.00"
    mended = send(api, "priceSku", "REJECT_EVERYTHING", rows)
    assert codes(mended) == [None, None, None]
    assert prices(api, skus)[:3] == ["21", "23", "22"]
    recorded = events(api)
    again = send(api, "priceSku", "REJECT_EVERYTHING", rows)
    assert [row["replayed"] for row in again["rows"]] == [True, True, True]
    assert events(api) == recorded


@pytest.mark.parametrize(
    "wrong",
    [{"skuId": "no id"}, {"idempotencyKey": ""}, {"listPrice": "-1.00"}, {"idempotencyKey": "k" * 256}],
)
def test_a_row_that_is_no_command_rejects_everything_too(api: Api, skus: list[UUID], wrong: dict[str, str]) -> None:
    before = events(api)
    payload = send(
        api, "priceSku", "REJECT_EVERYTHING", [price(skus[0], "31.00"), {**price(skus[1], "31.00"), **wrong}]
    )

    assert codes(payload) == ["REJECTED_WITH_OTHERS", "INVALID_FIELD"]
    assert payload["rows"][1]["userErrors"][0]["path"] == list(wrong)
    assert events(api) == before


def test_a_later_row_sees_what_an_earlier_one_did(api: Api, shop: Shop, skus: list[UUID]) -> None:
    place = {"locationId": str(shop.location_id), "skuId": gid("Sku", skus[3])}
    for policy in ("IGNORE_FAILED_ROWS", "REJECT_EVERYTHING"):
        found = api.ask("query ($id: ID!) { sku(id: $id) { version onHand } }", {"id": gid("Sku", skus[3])})["sku"]
        receipts = [
            {**place, "quantity": "5", "unitCost": "4.00", "idempotencyKey": str(uuid4()), "expectedVersion": version}
            for version in (found["version"], found["version"] + 1, found["version"] + 1)
        ]
        payload = send(api, "receiveStock", policy, receipts)
        good = "REJECTED_WITH_OTHERS" if policy == "REJECT_EVERYTHING" else None
        assert codes(payload) == [good, good, "STALE_VERSION"]


def test_the_same_key_twice_in_a_list_is_one_command(api: Api, shop: Shop) -> None:
    sku = shop.sku(stock=1)
    for policy in ("IGNORE_FAILED_ROWS", "REJECT_EVERYTHING"):
        row = {
            "skuId": gid("Sku", sku), "locationId": str(shop.location_id), "quantity": "5", "unitCost": "4.00",
            "idempotencyKey": str(uuid4()),
        }  # fmt: skip
        before = events(api)
        payload = send(api, "receiveStock", policy, [row, row])
        assert [each["replayed"] for each in payload["rows"]] == [False, True]
        assert events(api) == before + 1


def test_orders_are_shipped_in_a_list_from_a_variable_or_a_literal(api: Api, shop: Shop, skus: list[UUID]) -> None:
    orders = [shop.do(shop.order((skus[0], 1))) for _ in range(3)]
    confirm = [{"orderId": gid("Order", each), "idempotencyKey": str(uuid4())} for each in orders]
    payload = send(
        api, "confirmOrder", "IGNORE_FAILED_ROWS", confirm, selection="rows { order { id status } userErrors { code } }"
    )
    assert codes(payload) == ["WRONG_STATE"] * 3
    literal = ", ".join(f'{{orderId: "{row["orderId"]}", idempotencyKey: "{uuid4()}"}}' for row in confirm)
    query = f"mutation {{ confirmOrderInBulk(input: {{policy: REJECT_EVERYTHING, rows: [{literal}]}}) {{ refused }} }}"
    assert api.ask(query)["confirmOrderInBulk"] == {"refused": 3}


# Who, how many, at what cost -----------------------------------------------------------------------------------------


def test_each_row_is_for_the_stores_and_the_role_of_who_asks(api: Api, shop: Shop, skus: list[UUID]) -> None:
    other = Shop.open(api.server.writer, name="Bulk neighbour")
    theirs = other.sku(stock=5)
    token = api.token(Role.MANAGER, name="neighbour", stores=(other.store_id,))
    rows = [price(skus[0], "41.00"), price(theirs, "41.00")]

    assert codes(send(api, "priceSku", "IGNORE_FAILED_ROWS", rows, token=token)) == ["NOT_FOUND", None]
    rows = [price(theirs, "42.00"), price(skus[0], "42.00")]
    assert codes(send(api, "priceSku", "REJECT_EVERYTHING", rows, token=token)) == ["REJECTED_WITH_OTHERS", "NOT_FOUND"]
    keeper = api.token(Role.WAREHOUSE)
    assert codes(send(api, "priceSku", "IGNORE_FAILED_ROWS", rows, token=keeper)) == ["NOT_AUTHORISED"] * 2


@pytest.mark.parametrize("number", [0, ROWS_MAX + 1])
def test_a_list_has_so_many_rows_and_no_more(api: Api, skus: list[UUID], number: int) -> None:
    query = "mutation ($i: PriceSkuInBulkInput!) { priceSkuInBulk(input: $i) { accepted } }"
    rows = [price(skus[0], "1.00") for _ in range(number)]
    [error] = api.errors(query, {"i": {"rows": rows, "policy": "IGNORE_FAILED_ROWS"}})

    assert (error["extensions"]["code"], error["extensions"]["most"]) == ("TOO_MANY_ROWS", ROWS_MAX)
    assert str(number) in error["message"]


def test_objects_of_many_rows_are_fetched_at_once(api: Api, skus: list[UUID], monkeypatch: pytest.MonkeyPatch) -> None:
    selection = "rows { sku { id code prices { listPrice { amount } } } userErrors { code ids } }"
    counted = {}
    for number in (1, 40):
        rows = [price(skus[place % 4], f"{60 + place}.00") for place in range(number)]
        rows += [price(skus[place % 4], "0.10") for place in range(number)]
        with statements(monkeypatch) as sent:
            payload = send(api, "priceSku", "IGNORE_FAILED_ROWS", rows, selection=selection)
        assert codes(payload) == [None] * number + ["BELOW_COST"] * number
        assert all(row["sku"]["prices"] for row in payload["rows"][:number])
        assert payload["rows"][number]["userErrors"][0]["ids"] == [gid("Sku", skus[0])]
        counted[number] = len(sent)

    assert counted[1] == counted[40] <= 3


def test_a_list_costs_what_its_commands_cost_one_by_one(api: Api, skus: list[UUID]) -> None:
    payload = "{ sku { id } userErrors { code } }"
    single = f"mutation ($i: PriceSkuInput!) {{ priceSku(input: $i) {payload} }}"
    many = f"mutation ($i: PriceSkuInBulkInput!) {{ priceSkuInBulk(input: $i) {{ rows {payload} }} }}"
    given = "input: {rows: $r, policy: IGNORE_FAILED_ROWS}"
    spread = f"mutation ($r: [PriceSkuInput!]!) {{ priceSkuInBulk({given}) {{ rows {{ sku {{ id }} }} }} }}"
    rows = [price(skus[0], "71.00") for _ in range(20)]

    def cost(query: str, variables: Any) -> Any:
        return api.post({"query": query, "variables": variables}).json()["extensions"]["cost"]

    one = cost(single, {"i": rows[0]})
    twenty = cost(many, {"i": {"rows": rows, "policy": "IGNORE_FAILED_ROWS"}})
    assert one["actual"] == 13
    assert twenty["requested"] == twenty["actual"] == 1 + 20 * (10 + 1 + 2)
    assert cost(spread, {"r": rows})["actual"] == 1 + 20 * (10 + 1 + 1)
