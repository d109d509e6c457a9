"""Personal data is shown to few, for a reason, and who looked is on record before anything is shown."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from opscore.domain.command import Role
from opscore.domain.order_commands import CancelOrder
from opscore.log.event_log import EventFilter
from tests.api.conftest import Api, gid
from tests.shop import Shop

ORDER = "order { id } contact { name phone email address remark } userErrors { code }"
CUSTOMER = "contact { name phone email address remark } userErrors { code }"


@pytest.fixture(scope="module")
def ann(shop: Shop, api: Api) -> UUID:
    customer = shop.customer()
    card = {"name": "Ann Lee", "phone": "0123", "email": "ann@example.org", "address": "1 Elm Street", "consent": True}
    errors = api.give("setContactCard", "userErrors { code }", {"customerId": gid("Customer", customer), **card})
    assert errors == {"userErrors": []}
    return customer


@pytest.fixture(scope="module")
def order(shop: Shop, ann: UUID) -> UUID:
    sku = shop.sku()
    return shop.do(shop.order((sku, 1), customer_id=ann, recipient="Ann Lee", address="1 Elm Street", remark="ring"))


def disclose(api: Api, order: UUID, role: Role = Role.WAREHOUSE, **token: Any) -> dict[str, Any]:
    fields = {"orderId": gid("Order", order), "reason": "to pack the parcel"}
    return api.give("discloseOrderContact", ORDER, fields, token=api.token(role, **token))


def test_the_warehouse_reads_where_a_parcel_goes_and_that_is_on_record(api: Api, order: UUID) -> None:
    payload = disclose(api, order, name="packer")
    assert payload["contact"] == {
        "name": "Ann Lee", "phone": None, "email": None, "address": "1 Elm Street", "remark": "ring",
    }  # fmt: skip
    found = api.server.services.log.select(EventFilter(stream_id=order, types=["OrderContactDisclosed"]))
    assert [(each.actor, each.data) for each in found] == [
        ("packer", {"reader": "packer", "reason": "to pack the parcel"})
    ]


def test_service_reads_a_contact_card(api: Api, ann: UUID) -> None:
    fields = {"customerId": gid("Customer", ann), "reason": "she asked to be called"}
    payload = api.give("discloseCustomerContact", CUSTOMER, fields, token=api.token(Role.SERVICE))
    assert payload["contact"] == {
        "name": "Ann Lee", "phone": "0123", "email": "ann@example.org", "address": "1 Elm Street", "remark": None,
    }  # fmt: skip


@pytest.mark.parametrize("role", [Role.PROMOTER, Role.EDITOR, Role.FINANCE, Role.STOREFRONT])
def test_who_does_not_need_it_sees_nothing(api: Api, order: UUID, role: Role) -> None:
    payload = disclose(api, order, role)
    assert payload["contact"] is None
    assert [error["code"] for error in payload["userErrors"]] == ["NOT_AUTHORISED"]


def test_a_customer_sees_their_own_order_and_nobody_elses(api: Api, shop: Shop, ann: UUID, order: UUID) -> None:
    assert disclose(api, order, Role.CUSTOMER, name="ann", customer=ann)["contact"]["name"] == "Ann Lee"
    bob = shop.customer()
    refused = disclose(api, order, Role.CUSTOMER, name="bob", customer=bob)
    assert refused["contact"] is None and refused["userErrors"][0]["code"] == "NOT_FOUND"


def test_after_erasure_there_is_nothing_to_show(api: Api, shop: Shop) -> None:
    bob = shop.customer()
    order = shop.do(shop.order((shop.sku(), 1), customer_id=bob, recipient="Bob", address="2 Elm Street"))
    assert disclose(api, order)["contact"]["name"] == "Bob"
    shop.do(CancelOrder(order_id=order))
    erased = api.give("eraseCustomer", "userErrors { code }", {"customerId": gid("Customer", bob)})
    assert erased["userErrors"] == []
    payload = disclose(api, order)
    assert payload["contact"] is None and payload["userErrors"] == []


def test_an_auditor_reads_for_a_reason_that_is_on_record(api: Api, ann: UUID, order: UUID) -> None:
    token = api.token(Role.AUDITOR, name="auditor of contacts")
    asked = {"customerId": gid("Customer", ann), "reason": "complaint 17"}
    payload = api.give("discloseCustomerContact", CUSTOMER, asked, token=token)
    assert payload["contact"]["name"] == "Ann Lee" and payload["userErrors"] == []
    assert disclose(api, order, Role.AUDITOR, name="auditor of contacts")["contact"]["address"] == "1 Elm Street"

    recorded = api.server.services.log.select(EventFilter(actor="auditor of contacts"))
    assert [(each.type, each.role, each.data["reason"]) for each in recorded] == [
        ("CustomerContactDisclosed", "auditor", "complaint 17"),
        ("OrderContactDisclosed", "auditor", "to pack the parcel"),
    ]  # fmt: skip


@pytest.mark.parametrize("reason", ["", " ", None])
def test_without_a_reason_an_auditor_reads_nothing(api: Api, ann: UUID, reason: str | None) -> None:
    token = api.token(Role.AUDITOR, name="curious")
    key = {"customerId": gid("Customer", ann), "idempotencyKey": f"curious {reason!r}"}
    document = f"""mutation ($input: DiscloseCustomerContactInput!) {{
        discloseCustomerContact(input: $input) {{ {CUSTOMER} }}
    }}"""
    answer = api.post({"query": document, "variables": {"input": {**key, "reason": reason}}}, token=token)
    assert "Ann Lee" not in answer.text
    if reason is None:
        assert answer.json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    else:
        payload = answer.json()["data"]["discloseCustomerContact"]
        assert payload["contact"] is None
        assert [error["code"] for error in payload["userErrors"]] == ["INVALID_FIELD"]
    assert api.server.services.log.select(EventFilter(actor="curious")) == []


def test_the_log_shows_an_auditor_personal_data_sealed(api: Api, ann: UUID, order: UUID) -> None:
    token = api.token(Role.AUDITOR)
    query = "query ($stream: UUID!) { events(first: 50, filter: {streamId: $stream}) { nodes { type data } } }"
    for stream, type_, personal in (
        (order, "OrderPlaced", ("recipient", "address", "remark")),
        (ann, "ContactCardSet", ("card",)),
    ):
        answer = api.post({"query": query, "variables": {"stream": str(stream)}}, token=token)
        assert not [said for said in ("Ann Lee", "1 Elm Street", "ann@example.org", "ring") if said in answer.text]
        [data] = [row["data"] for row in answer.json()["data"]["events"]["nodes"] if row["type"] == type_]
        assert all(data[name].startswith("v1.") for name in personal)
