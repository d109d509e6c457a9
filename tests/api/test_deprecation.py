"""What is to go of the schema: senders of documents that use it are told since when, and an operator sees how many."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from graphql import GraphQLSchema, build_schema, parse

from opscore.api import deprecation
from opscore.api.deprecation import UndatedDeprecation, deprecated_parts, used
from opscore.api.schema import build_schema as served_schema, export_schema
from tests.api.conftest import Api, gid
from tests.api.socket_client import socket
from tests.shop import Shop

OCTOBER_1, OCTOBER_2 = 1_790_812_800, 1_790_899_200
"""Midnights of 2026 in Unix time."""

SDL = """
    enum Kind { NEW OLD @deprecated(reason: "Since 2026-10-02: use NEW.") }
    input Filter {
      reference: String
      ref: String @deprecated(reason: "Since 2026-10-01: use `reference`.")
      kind: Kind
      inner: [Filter!]
    }
    interface Thing { label: String name: String @deprecated(reason: "Since 2026-10-01: use `label`.") }
    type Order implements Thing {
      label: String
      name: String
      note(long: Boolean, full: Boolean @deprecated(reason: "Since 2026-10-01: use `long`.")): String
    }
    type Query { orders(filter: Filter, kinds: [Kind!]): [Order!]! thing: Thing }
"""
SCHEMA = build_schema(SDL)


@pytest.mark.parametrize(
    ("document", "found"),
    [
        ("{ orders { label note(long: true) } thing { label } }", ()),
        ("{ orders { note(full: true) name } }", ("Order.note(full:)",)),
        ("{ thing { name } }", ("Thing.name",)),
        ('{ orders(filter: {inner: [{ref: "x"}]}) { label } }', ("Filter.ref",)),
        ("{ orders(filter: {kind: OLD}) { label } }", ("Kind.OLD",)),
        ("query ($k: [Kind!] = [OLD]) { orders(kinds: $k) { label } }", ("Kind.OLD",)),
        ("{ orders { ...F } } fragment F on Order { note(full: $x) }", ("Order.note(full:)",)),
        (
            '{ orders(filter: {ref: "x"}, kinds: [OLD]) { note(full: true) } thing { name ... on Order { name } } }',
            ("Filter.ref", "Kind.OLD", "Order.note(full:)", "Thing.name"),
        ),
    ],
)
def test_what_a_document_uses_is_found_wherever_it_stands(document: str, found: tuple[str, ...]) -> None:
    assert used(SCHEMA, deprecated_parts(SCHEMA), parse(document)) == found


def test_the_oldest_date_is_told() -> None:
    parts = deprecated_parts(SCHEMA)

    assert parts == {
        "Kind.OLD": OCTOBER_2, "Filter.ref": OCTOBER_1, "Thing.name": OCTOBER_1, "Order.note(full:)": OCTOBER_1,
    }  # fmt: skip
    assert deprecation.headers(parts, ()) == ()
    assert deprecation.headers(parts, ("Filter.ref", "Kind.OLD")) == (
        (b"deprecation", b"@1790812800"),
        (b"x-deprecated", b"Filter.ref, Kind.OLD"),
    )


@pytest.mark.parametrize("reason", ["No longer supported", "Use b.", "Since 2026-10-01", "Since October: use b."])
def test_a_deprecation_says_since_when_and_what_to_use_instead(reason: str) -> None:
    schema = build_schema(f'type Query {{ a: Int @deprecated(reason: "{reason}") b: Int }}')
    with pytest.raises(UndatedDeprecation, match=r"Query\.a: begin the reason"):
        deprecated_parts(schema)


def test_what_is_deprecated_of_our_own_schema_says_so_too() -> None:
    assert deprecated_parts(build_schema(export_schema())) == deprecated_parts(served_schema()._schema)


# On a server ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def more_settings() -> Iterator[dict[str, Any]]:
    """A server whose schema has something that is to go."""
    schema: GraphQLSchema = served_schema()._schema
    assert schema.query_type is not None and schema.subscription_type is not None
    role = schema.type_map["Viewer"].fields["role"]
    positions = schema.subscription_type.fields["events"].args["after"]
    role.deprecation_reason = "Since 2026-10-01: use `commands`."
    positions.deprecation_reason = "Since 2026-10-02: nothing takes its place."
    yield {"cors_origins": ("https://shop.example",)}
    role.deprecation_reason = positions.deprecation_reason = None


def counted(api: Api, part: str) -> float:
    line = f'opscore_graphql_deprecated_total{{part="{part}"}} '
    text = api.server.metrics.text()[0].decode()
    return float(text.partition(line)[2].partition("\n")[0] or 0)


def test_whoever_sends_a_document_that_uses_it_is_told_in_headers_and_counted(api: Api) -> None:
    before = counted(api, "Viewer.role")
    told = api.post({"query": "{ viewer { name role } }"})
    got = api.client.get(
        "/graphql", params={"query": "{ viewer { role } }"}, headers={"authorization": f"Bearer {api.token()}"}
    )
    untold = api.post({"query": "{ viewer { name } }"})

    for answer in (told, got):
        assert answer.headers["deprecation"] == f"@{OCTOBER_1}"
        assert answer.headers["x-deprecated"] == "Viewer.role"
        assert answer.json()["data"]["viewer"]["role"] == "OWNER", "it is answered as ever"
    assert "deprecation" not in untold.headers and "x-deprecated" not in untold.headers
    assert counted(api, "Viewer.role") - before == 2


def test_a_page_of_another_address_may_read_the_headers(api: Api) -> None:
    answer = api.post({"query": "{ viewer { role } }"}, headers={"origin": "https://shop.example"})

    assert {"deprecation", "x-deprecated"} <= set(answer.headers["access-control-expose-headers"].split(", "))


def test_what_is_followed_over_a_socket_is_counted(api: Api) -> None:
    with socket(api.url, api.token()) as client:
        client.subscribe("subscription { events(after: 0) { position } }")
        client.send({"type": "ping"})
        assert client.receive() == {"type": "pong"}
        client.send({"id": "2", "type": "subscribe", "payload": {"query": "{ viewer { role } }"}})
        assert client.next("2") == {"viewer": {"role": "OWNER"}}

    assert counted(api, "Subscription.events(after:)") == 1


# Members of inputs that took UUIDs -----------------------------------------------------------------------------------

SUCCEEDED = [("registerCustomer", "referrer"), ("referCustomer", "referrer"), ("mergeCustomers", "other")]


def give(api: Api, name: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Give a command by a variable; return its payload."""
    payload: dict[str, Any] = api.ask(
        f"mutation ($input: {name[0].upper()}{name[1:]}Input!) {{ {name}(input: $input) {{"
        " replayed userErrors { code message path ids } customer { id referrerId mergedIds } } }",
        {"input": {"idempotencyKey": str(uuid4()), **fields}},
    )[name]
    return payload


@pytest.fixture(name="fields")
def _fields(shop: Shop) -> Callable[[str], dict[str, Any]]:
    """What a command needs beside the customer that it names by the member in question."""

    def fields(name: str) -> dict[str, Any]:
        if name == "registerCustomer":
            return {"storeId": gid("Store", shop.store_id), "channel": "web"}
        return {"customerId": gid("Customer", shop.customer())}

    return fields


@pytest.mark.parametrize(("name", "new"), SUCCEEDED)
def test_a_customer_is_named_by_a_global_id_and_as_long_as_it_is_promised_by_the_uuid(
    api: Api, shop: Shop, fields: Callable[[str], dict[str, Any]], name: str, new: str
) -> None:
    for of_old in (False, True):
        key = shop.customer()
        given = fields(name) | {"idempotencyKey": f"{name} {of_old}"}
        ways = [{f"{new}Id": str(key)}, {new: gid("Customer", key), f"{new}Id": None}]
        first, again = (give(api, name, {**given, **way}) for way in (ways if of_old else ways[::-1]))

        shown = first["customer"]
        assert (first["userErrors"], first["replayed"]) == ([], False)
        assert gid("Customer", key) in (shown["referrerId"], *shown["mergedIds"])
        # It is the same command, by whichever member it is given.
        assert again == {**first, "replayed": True}


@pytest.mark.parametrize(("name", "new"), SUCCEEDED)
def test_what_is_wrong_with_it_is_said_of_the_member_that_was_given(
    api: Api, fields: Callable[[str], dict[str, Any]], name: str, new: str
) -> None:
    nobody = uuid4()
    for member, value in ((new, gid("Customer", nobody)), (f"{new}Id", str(nobody))):
        [error] = give(api, name, {**fields(name), member: value})["userErrors"]
        assert (error["code"], error["path"], error["ids"]) == ("NOT_FOUND", [member], [gid("Customer", nobody)])
    for value in ("x", gid("Sku", nobody), str(nobody)):
        [error] = give(api, name, {**fields(name), new: value})["userErrors"]
        assert (error["code"], error["path"]) == ("INVALID_FIELD", [new])


@pytest.mark.parametrize(("name", "new"), SUCCEEDED)
def test_of_the_two_members_one_is_given(
    api: Api, fields: Callable[[str], dict[str, Any]], name: str, new: str
) -> None:
    key = uuid4()
    [error] = give(api, name, {**fields(name), new: gid("Customer", key), f"{new}Id": str(key)})["userErrors"]
    assert (error["code"], error["path"]) == ("INVALID_FIELD", [new])
    assert f"give {new} alone" in error["message"]
    for nothing in ({}, {new: None}, {f"{new}Id": None}):
        answer = give(api, name, {**fields(name), **nothing})
        if name == "registerCustomer":
            assert answer["userErrors"] == [] and answer["customer"]["referrerId"] is None
        else:
            [error] = answer["userErrors"]
            assert (error["code"], error["path"]) == ("INVALID_FIELD", [new])
            assert f"{new} is missing" in error["message"]


def test_whoever_writes_the_old_member_into_a_document_is_told(api: Api, shop: Shop) -> None:
    text = """mutation { registerCustomer(input: {idempotencyKey: "told", storeId: "%s", channel: "web", %s})
        { userErrors { code } } }"""
    store = gid("Store", shop.store_id)
    told = api.post({"query": text % (store, f'referrerId: "{uuid4()}"')})
    untold = api.post({"query": text % (store, f'referrer: "{gid("Customer", uuid4())}"')})

    assert told.headers["x-deprecated"] == "RegisterCustomerInput.referrerId"
    assert "x-deprecated" not in untold.headers
