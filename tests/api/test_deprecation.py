"""What is to go of the schema: senders of documents that use it are told since when, and an operator sees how many."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from graphql import GraphQLSchema, build_schema, parse

from opscore.api import deprecation
from opscore.api.deprecation import UndatedDeprecation, deprecated_parts, used
from opscore.api.schema import build_schema as served_schema, export_schema
from tests.api.conftest import Api
from tests.api.socket_client import socket

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
