"""Texts of strangers: wherever the schema takes one in a question, it is a value and never anything else.

The places are read from the schema, so that one that is added is tried as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from graphql import (
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    get_named_type,
    is_leaf_type,
    is_required_argument,
    is_required_input_field,
)

from opscore.api import allowed
from opscore.domain.order_commands import PayOrder
from tests.api.anything import SCHEMA, value_of
from tests.api.conftest import Api, gid
from tests.shop import Shop

HOSTILE = (
    "' OR '1'='1", "'; DROP TABLE events; --", "x\\'; SELECT pg_sleep(9); --", "' UNION SELECT NULL --", "%", "_",
    "\\", "$1", "%s", "%(actor)s", ":store_ids", "{0}", "{}", "\x01", "\u202e", "\ufeff", "\U0001f600", "a" * 3000,
    "*", "null", "[]", "(?i)x",
)  # fmt: skip
HARMLESS = "zzqq"

Path = tuple[str | int, ...]


def texts(kind: Any, seen: tuple[str, ...] = ()) -> Iterator[Path]:
    """Give the way to every text in an argument's type; into `and`, `or` and `not`, which hold the same again, once."""
    if isinstance(kind, GraphQLNonNull):
        yield from texts(kind.of_type, seen)
    elif isinstance(kind, GraphQLList):
        for path in texts(kind.of_type, seen):
            yield (0, *path)
    elif isinstance(kind, GraphQLInputObjectType):
        if kind.name not in seen:
            for name, field in kind.fields.items():
                for path in texts(field.type, (*seen, kind.name)):
                    yield (name, *path)
    elif kind.name == "String":
        yield ()


def filled(name: str, kind: Any, path: Path, text: str) -> Any:
    """Return a value of a type with a text at the end of a path, and around it what has to be there."""
    if isinstance(kind, GraphQLNonNull):
        return filled(name, kind.of_type, path, text)
    if not path:
        return text
    step, *rest = path
    if isinstance(kind, GraphQLList):
        return [filled(name, kind.of_type, tuple(rest), text)]
    whole = {key: value_of(key, each.type) for key, each in kind.fields.items() if is_required_input_field(each)}
    return {**whole, step: filled(str(step), kind.fields[step].type, tuple(rest), text)}


def places() -> list[tuple[str, str, Path]]:
    """Return every (question, argument, path in it) that takes a text."""
    assert SCHEMA.query_type is not None
    return [
        (name, argument, path)
        for name, field in SCHEMA.query_type.fields.items()
        for argument, each in field.args.items()
        if argument not in ("after", "before")  # Cursors, which are opaque and have tests of their own.
        for path in texts(each.type)
    ]


PLACES = places()


def ask(api: Api, place: tuple[str, str, Path], text: str) -> tuple[int, str]:
    name, argument, path = place
    assert SCHEMA.query_type is not None
    field = SCHEMA.query_type.fields[name]
    given = {key: value_of(key, each.type) for key, each in field.args.items() if is_required_argument(each)}
    if "first" in field.args:
        given["first"] = 5
    given[argument] = filled(argument, field.args[argument].type, path, text)
    declared = ", ".join(f"${key}: {field.args[key].type}" for key in given)
    passed = ", ".join(f"{key}: ${key}" for key in given)
    inner = get_named_type(field.type)
    below = (
        ""
        if is_leaf_type(inner)
        else " { nodes { __typename } }"
        if "nodes" in getattr(inner, "fields", ())
        else " { __typename }"
    )
    answer = api.post({"query": f"query ({declared}) {{ {name}({passed}){below} }}", "variables": given})
    return answer.status_code, answer.text


@pytest.fixture(scope="module")
def goods(api: Api, shop: Shop) -> Shop:
    """Rows that a condition which is always true would find."""
    sku = shop.sku()
    order = shop.do(
        shop.order((sku, 1), customer_id=shop.customer(region="north"), region="north", external_reference="R-1")
    )
    shop.do(PayOrder(order_id=order, amount_minor=1000, method="card"))
    shop.campaign()
    position = api.server.services.log.head().position
    for name in ("orders", "skus", "campaigns", "customers", "stores"):
        api.ask(f"query ($p: Position) {{ {name}(first: 1, atLeast: $p) {{ nodes {{ id }} }} }}", {"p": position})
    return shop


def test_the_places_are_those_that_one_would_think_of() -> None:
    named = {(name, ".".join(map(str, (argument, *path)))) for name, argument, path in PLACES}

    assert named >= {
        ("events", "filter.actor"), ("events", "filter.types.0"), ("events", "filter.streamType"),
        ("events", "filter.correlationId"), ("skuByCode", "code"), ("orders", "filter.channel.contains"),
        ("orderByExternalReference", "externalReference"), ("customerByReference", "reference"),
        ("orders", "filter.waybill.startsWith"), ("skus", "filter.name.eq"), ("customers", "filter.tier.in.0"),
    }  # fmt: skip
    assert len(PLACES) > 100


@pytest.mark.parametrize("place", PLACES, ids=lambda place: f"{place[0]}-{'.'.join(map(str, place[1:]))}")
def test_a_hostile_text_is_answered_like_any_that_nothing_has(
    api: Api, goods: Shop, place: tuple[str, str, Path]
) -> None:
    def meaning(found: tuple[int, str]) -> Any:
        answer = orjson.loads(found[1])
        return found[0], answer.get("data"), [error["extensions"]["code"] for error in answer.get("errors", ())]

    harmless = meaning(ask(api, place, HARMLESS))
    before = api.server.services.log.head()
    for text in HOSTILE:
        status, said = found = ask(api, place, text)
        assert status < 500 and "INTERNAL" not in said, (text, said[:300])
        # A text that is too long, or has a control character, may be told so.
        if len(text) < 100 and "\x01" not in text:
            assert meaning(found) == harmless, text
    assert api.server.services.log.head() == before


# Lists that change while they are read -------------------------------------------------------------------------------


def test_a_cursor_whose_row_has_left_the_filter_pages_on_from_where_it_stood(api: Api, shop: Shop) -> None:
    sku = shop.sku()
    orders = [shop.do(shop.order((sku, 1), region="leaving")) for _ in range(5)]
    page = """query ($after: String, $p: Position) {
        orders(first: 2, after: $after, atLeast: $p, sort: {by: PLACED_AT},
               filter: {status: {eq: PLACED}, region: {eq: "leaving"}}) {
            nodes { id } pageInfo { endCursor hasNextPage }
        }
    }"""
    first = api.ask(page, {"p": api.server.services.log.head().position})["orders"]
    assert [row["id"] for row in first["nodes"]] == [gid("Order", key) for key in orders[:2]]
    # The row of the cursor, one behind it and one before it are paid, and so no longer in the list.
    for key in (orders[1], orders[2], orders[0]):
        shop.do(PayOrder(order_id=key, amount_minor=1000, method="card"))
    after = {"after": first["pageInfo"]["endCursor"], "p": api.server.services.log.head().position}
    second = api.ask(page, after)["orders"]

    assert [row["id"] for row in second["nodes"]] == [gid("Order", key) for key in orders[3:]]
    assert second["pageInfo"]["hasNextPage"] is False


def test_a_fault_of_ours_inside_a_list_is_masked_and_says_where(
    api: Api, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    skus = [shop.sku() for _ in range(3)]
    real = allowed.readiness

    def fails_for_one(aggregate: Any, *more: Any, **named: Any) -> Any:
        if aggregate.id == skus[1]:
            raise RuntimeError("password=hunter2 in /srv/secret.py")
        return real(aggregate, *more, **named)

    monkeypatch.setattr(allowed, "readiness", fails_for_one)
    query = "query ($ids: [ID!]!) { nodes(ids: $ids) { id ... on Sku { allowedCommands { name } } } }"
    answer = api.post({"query": query, "variables": {"ids": [gid("Sku", key) for key in skus]}})

    assert answer.status_code == 200
    [error] = answer.json()["errors"]
    assert error["path"] == ["nodes", 1, "allowedCommands"] and error["extensions"]["code"] == "INTERNAL"
    assert "hunter2" not in answer.text and "secret" not in answer.text and "RuntimeError" not in answer.text
    assert [node and node["id"] for node in answer.json()["data"]["nodes"]] == [
        gid("Sku", skus[0]),
        None,
        gid("Sku", skus[2]),
    ]
