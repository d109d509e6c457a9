"""`history`: what became of an aggregate, for whoever may see it, and nothing that they may not see in it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from msgspec import inspect

from opscore.api.history import MONEY, TIMELINE, hidden
from opscore.domain.command import Role
from opscore.domain.customer_commands import SetContactCard
from opscore.domain.order_commands import ConfirmOrder, PackParcel, PayOrder, ScannedLine, ShipOrder
from opscore.domain.values import derived_id
from opscore.log.event_log import EventFilter
from opscore.log.event_types import event_types
from tests.api.conftest import Api, gid
from tests.api.test_figures import statements
from tests.shop import Shop

EVENT = "id position version type occurredAt recordedAt actor { holder role } data hash"
PAGE = f"""
    query ($id: ID!, $first: Int, $after: String, $last: Int, $before: String, $newest: Boolean! = false) {{
      node(id: $id) {{
        ... on Order {{ history(first: $first, after: $after, last: $last, before: $before, newestFirst: $newest) {{
          nodes {{ {EVENT} }} totalCount pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }}
        }} }}
      }}
    }}"""


@pytest.fixture(scope="module")
def goods(api: Api, shop: Shop) -> dict[str, Any]:
    """An order with an address that is paid and sent, its buyer and its article."""
    sku, customer = shop.sku(), shop.customer()
    shop.do(SetContactCard(customer_id=customer, name="Ann Lee", email="ann@example.org", consent=True))
    order = shop.do(shop.order((sku, 2), customer_id=customer, recipient="Ann Lee", address="1 Elm Street"))
    shop.do(PayOrder(order_id=order, amount_minor=2000, method="card", provider_reference="p-1"))
    shop.do(ConfirmOrder(order_id=order))
    scanned = (ScannedLine(line=1, sku_id=sku, quantity=Decimal(2)),)
    parcel = uuid4()
    shop.do(PackParcel(order_id=order, location_id=shop.location_id, lines=scanned, parcel_id=parcel))
    shop.do(ShipOrder(order_id=order, parcel_id=parcel, courier="DPD", waybill="W-1"))
    return {"Order": order, "Customer": customer, "Sku": sku, "Store": shop.store_id, "Campaign": shop.campaign()}


def page(api: Api, order: Any, *, token: str = "", **asked: Any) -> dict[str, Any]:
    found: dict[str, Any] = api.ask(PAGE, {"id": gid("Order", order), **asked}, token=token)["node"]["history"]
    return found


def test_it_holds_the_events_of_the_log(api: Api, goods: dict[str, Any]) -> None:
    logged = api.server.services.log.select(EventFilter(stream_id=goods["Order"]))
    shown = page(api, goods["Order"], first=100)

    assert shown["totalCount"] == len(shown["nodes"]) == len(logged) >= 6
    for row, event in zip(shown["nodes"], logged, strict=True):
        assert (row["position"], row["version"], row["type"]) == (event.position, event.version, event.type)
        assert row["hash"] == bytes(event.hash).hex()
        assert row["id"] == str(derived_id("event", event.stream_id, event.version))
        assert row["actor"]["holder"] == event.actor
    assert shown["nodes"][0]["data"]["total_minor"] == 2000


@pytest.mark.parametrize("newest", [False, True])
@pytest.mark.parametrize("size", [1, 2, 100])
@pytest.mark.parametrize("backwards", [False, True])
def test_it_is_paged_from_either_end_in_either_order(
    api: Api, goods: dict[str, Any], newest: bool, size: int, backwards: bool
) -> None:
    whole = [row["version"] for row in page(api, goods["Order"], first=100, newest=newest)["nodes"]]
    assert whole == sorted(whole, reverse=newest)
    count, cursor = ("last", "before") if backwards else ("first", "after")
    end, more = ("startCursor", "hasPreviousPage") if backwards else ("endCursor", "hasNextPage")
    found: list[int] = []
    asked: dict[str, Any] = {}
    while True:
        one = page(api, goods["Order"], newest=newest, **{count: size}, **asked)
        rows = [row["version"] for row in one["nodes"]]
        found = rows + found if backwards else found + rows
        if not one["pageInfo"][more]:
            break
        asked = {cursor: one["pageInfo"][end]}
    assert found == whole


def test_the_past_has_the_history_that_it_had(api: Api, goods: dict[str, Any]) -> None:
    query = (
        "query ($id: ID!) { order(id: $id, asOf: {version: 2}) { history(first: 9) { nodes { type } totalCount } } }"
    )
    found = api.ask(query, {"id": gid("Order", goods["Order"])})["order"]["history"]

    assert found == {"nodes": [{"type": "OrderPlaced"}, {"type": "PaymentReceived"}], "totalCount": 2}


def test_each_moment_of_one_aggregate_has_its_own_history_in_one_answer(api: Api, goods: dict[str, Any]) -> None:
    page_of = "history(first: 1, newestFirst: true) { nodes { version } totalCount }"
    query = f"""query ($id: ID!) {{
      second: order(id: $id, asOf: {{version: 2}}) {{ {page_of} }}
      now: order(id: $id) {{ version {page_of} }}
      first: order(id: $id, asOf: {{version: 1}}) {{ {page_of} }}
    }}"""
    found = api.ask(query, {"id": gid("Order", goods["Order"])})

    for moment, version in (("first", 1), ("second", 2), ("now", found["now"]["version"])):
        assert found[moment]["history"] == {"nodes": [{"version": version}], "totalCount": version}


@pytest.mark.parametrize("role", [Role.SERVICE, Role.AFTER_SALES, Role.MANAGER, Role.AUDITOR, Role.WAREHOUSE])
def test_staff_see_who_did_what_and_nothing_personal(api: Api, goods: dict[str, Any], role: Role) -> None:
    placed = page(api, goods["Order"], first=1, token=api.token(role))["nodes"][0]

    assert placed["actor"]["holder"] == "owner"
    assert placed["data"]["recipient"] is placed["data"]["address"] is placed["data"]["remark"] is None
    assert placed["data"]["channel"] == "web"
    seen = None if role is Role.WAREHOUSE else 2000
    assert placed["data"]["total_minor"] == placed["data"]["goods_minor"] == seen
    assert placed["data"]["lines"][0]["quantity"] == "2"
    assert placed["data"]["lines"][0]["unit_price"] == (None if seen is None else "10")


def test_a_customer_sees_the_timeline_of_their_own_order(api: Api, shop: Shop, goods: dict[str, Any]) -> None:
    fields = {"orderId": gid("Order", goods["Order"]), "reason": "to pack"}
    assert api.give("discloseOrderContact", "userErrors { code }", fields)["userErrors"] == []
    token = api.token(Role.CUSTOMER, name="ann", customer=goods["Customer"])
    shown = page(api, goods["Order"], first=100, token=token)

    assert [row["type"] for row in shown["nodes"]] == [
        "OrderPlaced", "PaymentReceived", "OrderPaid", "OrderConfirmed", "OrderShipped",
    ]  # fmt: skip
    assert shown["totalCount"] == 5
    assert {str(row["actor"]) for row in shown["nodes"]} == {"None"}
    for row in shown["nodes"]:
        assert set(row["data"]) <= TIMELINE[row["type"]]
    assert shown["nodes"][-1]["data"] == {
        "parcel_id": shown["nodes"][-1]["data"]["parcel_id"], "courier": "DPD", "waybill": "W-1", "complete": True,
    }  # fmt: skip
    stranger = api.token(Role.CUSTOMER, name="bob", customer=shop.customer())
    assert api.ask(PAGE, {"id": gid("Order", goods["Order"]), "first": 1}, token=stranger)["node"] is None


SEEN = {
    "Store": {Role.OWNER, Role.PLATFORM, Role.MANAGER, Role.FINANCE, Role.AUDITOR},
    "Sku": set(Role) - {Role.STOREFRONT, Role.CUSTOMER},
    "Campaign": set(Role) - {Role.STOREFRONT, Role.CUSTOMER},
    "Customer": set(Role) - {Role.EDITOR, Role.WAREHOUSE, Role.STOREFRONT, Role.CUSTOMER},
    "Order": set(Role),
}


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.SYSTEM])
def test_who_sees_the_history_of_what(api: Api, goods: dict[str, Any], role: Role) -> None:
    customer = goods["Customer"] if role is Role.CUSTOMER else None
    token = api.token(role, name=f"history {role}", customer=customer)
    for kind, roles in SEEN.items():
        query = (
            f"query ($id: ID!) {{ node(id: $id) {{ ... on {kind} {{ history(first: 50) {{ nodes {{ data }} }} }} }} }}"
        )
        answer = api.post({"query": query, "variables": {"id": gid(kind, goods[kind])}}, token=token)
        node = answer.json()["data"]["node"]
        assert "Ann Lee" not in answer.text and "v1." not in answer.text, "neither clear nor sealed"
        if node is not None:
            assert (node["history"] is not None) is (role in roles), (kind, node)
        else:
            assert role not in roles


def test_a_list_reads_all_histories_in_one_statement(
    api: Api, shop: Shop, goods: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(7):
        shop.do(shop.order((goods["Sku"], 1)))
    position = api.server.services.log.head().position
    query = """query ($first: Int!, $p: Position) {
        orders(first: $first, atLeast: $p) {
            nodes { history(first: 5, newestFirst: true) { nodes { type } totalCount } }
        }
    }"""
    counts = []
    for first in (1, 8):
        api.ask(query, {"first": first, "p": position})
        with statements(monkeypatch) as sent:
            found = api.ask(query, {"first": first, "p": position})["orders"]["nodes"]
        assert len(found) == first and all(row["history"]["nodes"] for row in found)
        counts.append(len(sent))
    assert counts[0] == counts[1]


def test_the_answer_to_a_command_names_its_event(api: Api, shop: Shop, goods: dict[str, Any]) -> None:
    fields = {
        "storeId": gid("Store", shop.store_id), "lines": [{"skuId": gid("Sku", goods["Sku"]), "quantity": "1"}],
        "idempotencyKey": "one order",
    }  # fmt: skip
    first = api.give("placeOrder", "eventId eventHash position order { id }", fields)
    again = api.give("placeOrder", "eventId eventHash position replayed", fields)
    [event] = api.server.services.log.at([first["position"]])

    assert (first["eventId"], first["eventHash"]) == (str(event.id), bytes(event.hash).hex())
    assert again == {"eventId": first["eventId"], "eventHash": first["eventHash"], "position": first["position"],
                     "replayed": True}  # fmt: skip
    order = {"orderId": first["order"]["id"]}
    assert api.give("cancelOrder", "eventId", order)["eventId"]
    nothing_new = api.give("cancelOrder", "eventId eventHash userErrors { code }", order)
    assert nothing_new == {"eventId": None, "eventHash": None, "userErrors": []}
    refused = api.give("confirmOrder", "eventId userErrors { code }", order)
    assert refused["eventId"] is None and refused["userErrors"]


NO_PRICE = {
    "price_source", "price_level", "cost_assumed", "below_cost_reason", "percentages", "lines_checked",
}  # fmt: skip
"""Fields that are named like a price or a cost and are none."""


def test_no_field_that_says_what_something_costs_is_left_to_roles_without_prices() -> None:
    found: set[str] = set()

    def walk(info: Any) -> None:
        while isinstance(info, inspect.Metadata):
            info = info.type
        if isinstance(info, inspect.UnionType):
            for each in info.types:
                walk(each)
        elif isinstance(info, inspect.ListType | inspect.VarTupleType):
            walk(info.item_type)
        elif isinstance(info, inspect.StructType):
            for field in info.fields:
                found.add(field.name)
                walk(field.type)

    for known in event_types().values():
        walk(inspect.type_info(known.shape))
    costly = {
        name
        for name in found - NO_PRICE
        if name.endswith("_minor") or any(word in name for word in ("price", "cost", "profit", "percent", "discount"))
    }
    left = hidden(dict.fromkeys(costly, "9.99"))

    assert {name for name, value in left.items() if value is not None} == set()
    assert found >= MONEY, "a name that no event has any more"
    assert len(costly) > 30


def test_the_timeline_names_events_and_fields_that_there_are() -> None:
    for name, fields in TIMELINE.items():
        known = {field.name: field for field in event_types()[name].fields}
        assert fields <= known.keys()
        assert not any(known[field].personal for field in fields)
