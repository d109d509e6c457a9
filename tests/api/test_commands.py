"""Commands through the API: idempotent, typed in their refusals, checked in every field, the same by either way."""

# ruff: noqa: E501 -- GraphQL documents read better unbroken.

from __future__ import annotations

import enum
import string
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    parse,
)
from graphql.execution import get_variable_values
from hypothesis import HealthCheck, example, given, settings, strategies as st

from opscore.api.fast import shortcut
from opscore.api.ids import AGGREGATE_NAMES, global_id
from opscore.api.inputs import InputFault, Unusual, decoded
from opscore.api.schema import build_schema, mutations
from opscore.domain.command import Role
from opscore.writer import Busy, Outcome, Unavailable
from tests.api.conftest import Api, gid
from tests.shop import Shop

ERRORS = "userErrors { code message path ids currentVersion retryable } position replayed"
PLACE = f"order {{ id }} {ERRORS}"
PLACE_LONG = f"order {{ id version status }} {ERRORS}"


@pytest.fixture(scope="module")
def cup(shop: Shop) -> UUID:
    return shop.sku("CUP", stock=50, price="2.50", cost="1.00")


def an_order(shop: Shop, sku: UUID, quantity: str = "1", **more: Any) -> dict[str, Any]:
    return {"storeId": gid("Store", shop.store_id), "lines": [{"skuId": gid("Sku", sku), "quantity": quantity}], **more}


def test_the_same_key_gives_the_same_answer_and_another_body_is_refused(api: Api, shop: Shop, cup: UUID) -> None:
    key = str(uuid4())
    first = api.give("placeOrder", PLACE, an_order(shop, cup, idempotencyKey=key))
    again = api.give("placeOrder", PLACE, an_order(shop, cup, idempotencyKey=key))
    other = api.give("placeOrder", PLACE, an_order(shop, cup, "2", idempotencyKey=key))

    assert first["replayed"] is False
    assert again == {**first, "replayed": True}
    assert [error["code"] for error in other["userErrors"]] == ["IDEMPOTENCY_KEY_REUSED"]
    assert other["userErrors"][0]["path"] == ["idempotencyKey"]


def test_fifty_copies_at_once_are_one_order(api: Api, shop: Shop, cup: UUID) -> None:
    body = an_order(shop, cup, idempotencyKey=str(uuid4()))
    before = api.server.services.log.head().position
    api.token()
    with ThreadPoolExecutor(50) as many:
        answers = list(many.map(lambda _: api.give("placeOrder", PLACE, body), range(50)))

    assert len({answer["order"]["id"] for answer in answers}) == 1
    assert [answer["userErrors"] for answer in answers] == [[]] * 50
    assert sum(not answer["replayed"] for answer in answers) == 1
    types = api.ask(
        "query ($a: [String!]) { events(last: 50, filter: {types: $a}) { nodes { position } } }", {"a": ["OrderPlaced"]}
    )["events"]["nodes"]
    assert sum(each["position"] > before for each in types) == 1


@pytest.mark.parametrize("selection", [PLACE, PLACE_LONG])
def test_what_is_no_command_yet_leaves_its_key_free_for_the_mended_one(
    api: Api, shop: Shop, cup: UUID, selection: str
) -> None:
    key = str(uuid4())
    for fault in ({"channel": ""}, {"storeId": "x"}, {"lines": []}):
        refused = api.give("placeOrder", selection, {**an_order(shop, cup), **fault, "idempotencyKey": key})
        assert [error["code"] for error in refused["userErrors"]] == ["INVALID_FIELD"], refused

    mended = api.give("placeOrder", selection, an_order(shop, cup, idempotencyKey=key))

    assert (mended["userErrors"], mended["replayed"]) == ([], False)


@pytest.mark.parametrize("selection", [PLACE, PLACE_LONG])
def test_what_was_decided_keeps_its_key_so_that_the_mended_command_needs_another(
    api: Api, shop: Shop, cup: UUID, selection: str
) -> None:
    refused = an_order(shop, cup, idempotencyKey=str(uuid4()), occurredAt="2999-01-01T00:00:00Z")
    mended = {key: value for key, value in refused.items() if key != "occurredAt"}

    first, again = (api.give("placeOrder", selection, refused) for _ in range(2))
    under_the_same_key = api.give("placeOrder", selection, mended)
    under_another = api.give("placeOrder", selection, {**mended, "idempotencyKey": str(uuid4())})

    assert [error["code"] for error in first["userErrors"]] == ["INVALID_FIELD"]
    assert again == {**first, "replayed": True}
    assert [error["code"] for error in under_the_same_key["userErrors"]] == ["IDEMPOTENCY_KEY_REUSED"]
    assert under_another["userErrors"] == []


def test_a_repeated_answer_shows_the_object_as_it_was(api: Api, shop: Shop, cup: UUID) -> None:
    body = an_order(shop, cup, idempotencyKey=str(uuid4()))
    first = api.give("placeOrder", PLACE_LONG, body)
    api.give("cancelOrder", ERRORS, {"orderId": first["order"]["id"], "reason": "CUSTOMER"})
    again = api.give("placeOrder", PLACE_LONG, body)

    assert again["order"] == first["order"] == {"id": first["order"]["id"], "version": 1, "status": "PLACED"}


@pytest.mark.parametrize("selection", [PLACE, PLACE_LONG])
def test_a_refusal_is_typed_and_points_at_the_field_and_the_object(
    api: Api, shop: Shop, cup: UUID, selection: str
) -> None:
    payload = api.give("placeOrder", selection, an_order(shop, cup, "51"))

    assert payload["order"] is None
    [error] = payload["userErrors"]
    assert error["code"] == "STOCK_INSUFFICIENT"
    assert error["path"] == ["lines", "0", "quantity"]
    assert error["ids"] == [gid("Sku", cup)]
    assert error["retryable"] is False
    assert "CUP" in error["message"]


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"idempotencyKey": ""}, ["idempotencyKey"]),
        ({"idempotencyKey": "k" * 256}, ["idempotencyKey"]),
        ({"storeId": "x"}, ["storeId"]),
        ({"storeId": gid("Order", uuid4())}, ["storeId"]),
        ({"lines": [{"skuId": "U2t1OjE=", "quantity": "1"}]}, ["lines", "0", "skuId"]),
        ({"channel": ""}, ["channel"]),
        ({"channel": "x" * 65}, ["channel"]),
        ({"freightMinor": -1}, ["freightMinor"]),
    ],
)
@pytest.mark.parametrize("selection", [PLACE, PLACE_LONG])
def test_a_field_that_cannot_be_used_is_named_by_its_path(
    api: Api, shop: Shop, cup: UUID, change: dict[str, Any], path: list[str], selection: str
) -> None:
    payload = api.give("placeOrder", selection, {**an_order(shop, cup), **change})

    [error] = payload["userErrors"]
    assert (error["code"], error["path"]) == ("INVALID_FIELD", path)


@pytest.mark.parametrize(
    "change",
    [
        {"idempotencyKey": None},
        {"idempotencyKey": 7},
        {"lines": None},
        {"nothing": 1},
        {"freightMinor": 1.5},
        {"freightMinor": 10**16},
        {"freightMinor": "1"},
        {"expectedVersion": 2**31},
        {"occurredAt": "2026-01-01T00:00:00"},
        {"occurredAt": "0001-01-01T00:00:00Z"},
        {"occurredAt": "9999-12-31T23:59:59-12:00"},
        *({"lines": [{"skuId": gid("Sku", uuid4()), "quantity": wrong}]} for wrong in (
            "NaN", "Infinity", "1e1000000", "1_0", "\uff11\uff12", 0.1, 1, "-", "+1", " 1", "1.", ".5", "01", "1.0000001",
            "1" * 30, None, True, ["1"],
        )),
    ],
)  # fmt: skip
@pytest.mark.parametrize("selection", [PLACE, PLACE_LONG])
def test_what_does_not_fit_the_types_is_an_error_of_the_request(
    api: Api, shop: Shop, cup: UUID, change: dict[str, Any], selection: str
) -> None:
    document = f"mutation ($input: PlaceOrderInput!) {{ placeOrder(input: $input) {{ {selection} }} }}"
    variables = {"input": {"idempotencyKey": str(uuid4()), **an_order(shop, cup), **change}}
    errors = api.errors(document, variables)

    assert {error["extensions"]["code"] for error in errors} == {"BAD_USER_INPUT"}


def test_a_version_that_has_passed_is_refused_with_the_one_that_is(api: Api, shop: Shop, cup: UUID) -> None:
    order = api.give("placeOrder", PLACE, an_order(shop, cup))["order"]["id"]
    pay = {"orderId": order, "amountMinor": 100, "currency": "GBP", "method": "card"}
    assert api.give("payOrder", ERRORS, {**pay, "expectedVersion": 1})["userErrors"] == []

    [error] = api.give("payOrder", ERRORS, {**pay, "expectedVersion": 1})["userErrors"]

    assert error["code"] == "STALE_VERSION"
    assert error["currentVersion"] == 2


@pytest.mark.parametrize(
    ("failure", "code"), [(Busy("full"), "BUSY"), (Unavailable("away"), "UNAVAILABLE")], ids=["busy", "unavailable"]
)
def test_what_is_no_decision_says_that_it_may_be_sent_again(
    api: Api, shop: Shop, cup: UUID, monkeypatch: pytest.MonkeyPatch, failure: Exception, code: str
) -> None:
    def refuse(_: Any) -> Future[Outcome]:
        if isinstance(failure, Busy):
            raise failure
        answer: Future[Outcome] = Future()
        answer.set_exception(failure)
        return answer

    body = an_order(shop, cup, idempotencyKey=str(uuid4()))
    with monkeypatch.context() as patch:
        patch.setattr(api.server.writer, "submit", refuse)
        for selection in (PLACE, PLACE_LONG):
            [error] = api.give("placeOrder", selection, body)["userErrors"]
            assert (error["code"], error["retryable"]) == (code, True)

    assert api.give("placeOrder", PLACE, body)["userErrors"] == []


def test_something_unexpected_in_a_command_is_masked_by_either_way(
    api: Api, shop: Shop, cup: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Any) -> Future[Outcome]:
        raise RuntimeError("secret 4711")

    monkeypatch.setattr(api.server.writer, "submit", broken)
    answers = []
    for selection in (PLACE, PLACE_LONG):
        document = f"mutation ($input: PlaceOrderInput!) {{ placeOrder(input: $input) {{ {selection} }} }}"
        body = {"query": document, "variables": {"input": {"idempotencyKey": "k", **an_order(shop, cup)}}}
        answers.append(api.post(body, headers={"x-request-id": "r1"}).json())

    for answer in answers:
        assert answer["data"] is None
        [error] = answer["errors"]
        assert error["path"] == ["placeOrder"]
        assert error["extensions"] == {"code": "INTERNAL", "id": "r1"}
        assert "4711" not in str(answer)


def test_what_a_role_may_not_do_is_a_refusal_like_any_other(api: Api, shop: Shop, cup: UUID) -> None:
    token = api.token(Role.WAREHOUSE)

    [error] = api.give("placeOrder", PLACE, an_order(shop, cup), token=token)["userErrors"]

    assert error["code"] == "NOT_AUTHORISED"


# Two ways, one answer ------------------------------------------------------------------------------------------------

WORDS = st.text(string.ascii_letters + " -_é漢", max_size=8)


def values_of(type_: Any) -> st.SearchStrategy[Any]:
    """Values for an input type: mostly right, now and then of another kind altogether."""
    return st.one_of(right(type_), right(type_), right(type_), right(type_), wrong())


def wrong() -> st.SearchStrategy[Any]:
    return st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**40), 2**60),
        st.floats(allow_nan=False),
        WORDS,
        st.just([]),
        st.just({}),
    )


def right(type_: Any) -> st.SearchStrategy[Any]:
    if isinstance(type_, GraphQLNonNull):
        return right(type_.of_type)
    if isinstance(type_, GraphQLList):
        return st.lists(values_of(type_.of_type), max_size=2)
    if isinstance(type_, GraphQLEnumType):
        return st.sampled_from(sorted(type_.values))
    if isinstance(type_, GraphQLInputObjectType):
        return an_object(type_)
    return {
        "String": WORDS,
        "Boolean": st.booleans(),
        "Int": st.integers(-(2**31), 2**31 - 1),
        "MinorUnits": st.integers(-(10**15), 10**15),
        "Decimal": st.decimals(-1000, 1000, places=2).map(lambda number: format(number, "f")),
        "DateTime": st.sampled_from(["2026-01-01T00:00:00Z", "2026-03-31T18:30:00.5+08:00"]),
        "Date": st.sampled_from(["2026-01-01", "2024-02-29"]),
        "UUID": st.uuids().map(str),
        "ID": st.builds(global_id, st.sampled_from(AGGREGATE_NAMES), st.uuids()),
        "JSON": st.one_of(WORDS, st.dictionaries(WORDS, st.integers(0, 9), max_size=2)),
    }[type_.name]


def an_object(type_: GraphQLInputObjectType) -> st.SearchStrategy[Any]:
    needed = {
        name: values_of(field.type) for name, field in type_.fields.items() if isinstance(field.type, GraphQLNonNull)
    }
    more = {name: values_of(field.type) for name, field in type_.fields.items() if name not in needed}
    return st.fixed_dictionaries(needed, optional=more)


@given(st.sampled_from(sorted(mutations())).flatmap(
    lambda name: st.tuples(
        st.just(name), an_object(build_schema()._schema.type_map[f"{mutations()[name].command.__name__}Input"])
    )
))  # fmt: skip
@example(
    case=(
        "recordExpense",
        {"storeId": global_id("Store", UUID(int=1)), "currency": "", "amountMinor": 0, "category": ""},
    )
)
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_short_way_takes_nothing_that_the_ordinary_way_would_read_otherwise(
    case: tuple[str, dict[str, Any]],
) -> None:
    name, given_input = case
    mutation = mutations()[name]
    common = {"idempotencyKey", "expectedVersion", "occurredAt"}
    own = {key: value for key, value in given_input.items() if key not in common}
    try:
        quick = mutation.input.from_json(own)
    except Unusual:
        return
    given_input = {**own, "idempotencyKey": "k"}
    document = parse(f"mutation ($input: {mutation.command.__name__}Input!) {{ {name}(input: $input) {{ replayed }} }}")
    operation: Any = document.definitions[0]
    coerced: Any = get_variable_values(build_schema()._schema, operation.variable_definitions, {"input": given_input})
    assert not isinstance(coerced, list), f"the short way took what GraphQL refuses: {coerced}"

    def outcome(fields: dict[str, Any]) -> Any:
        try:
            return decoded(mutation.command, fields)
        except InputFault as fault:
            return fault.path, fault.message

    assert outcome(quick) == outcome(mutation.input.to_python(coerced.coerced["input"]))


@pytest.mark.parametrize(
    ("document", "short"),
    [
        ("mutation ($i: PlaceOrderInput!) { placeOrder(input: $i) { replayed } }", True),
        ("mutation A($i: PlaceOrderInput!) { x: placeOrder(input: $i) { o: order { id __typename } } }", True),
        (
            "mutation ($i: PlaceOrderInput!) { placeOrder(input: $i) { __typename userErrors { code __typename } } }",
            True,
        ),
        ("mutation ($i: PlaceOrderInput!) { placeOrder(input: $i) { order { id status } } }", False),
        (
            "mutation ($i: PlaceOrderInput!) { placeOrder(input: $i) { ...P } } fragment P on PlaceOrderPayload { replayed }",
            False,
        ),
        ("mutation ($i: PlaceOrderInput!) { placeOrder(input: $i) { replayed @include(if: true) } }", False),
        ("mutation ($i: PlaceOrderInput!) { placeOrder(input: $i) @include(if: true) { replayed } }", False),
        (
            "mutation ($i: PlaceOrderInput!) { a: placeOrder(input: $i) { replayed } b: placeOrder(input: $i) { replayed } }",
            False,
        ),
        ('mutation { openStore(input: {storeId: "x", idempotencyKey: "k"}) { replayed } }', False),
    ],
)
def test_only_plain_commands_take_the_short_way(document: str, short: bool) -> None:
    operation: Any = parse(document).definitions[0]

    assert (shortcut(operation, mutations()) is not None) is short


def test_both_ways_give_the_same_answer_to_the_last_character(api: Api, shop: Shop, cup: UUID) -> None:
    plain = "x: order { id __typename } position replayed userErrors { code path __typename } __typename"
    spread = f"...P }} }} fragment P on PlaceOrderPayload {{ {plain}"
    key = str(uuid4())
    for body in (an_order(shop, cup), an_order(shop, cup, "51"), an_order(shop, cup, channel="")):
        api.give("placeOrder", plain, {**body, "idempotencyKey": key})
        texts = []
        for selection in (plain, spread):
            closing = "" if selection is spread else " } }"
            document = f"mutation ($input: PlaceOrderInput!) {{ placeOrder(input: $input) {{ {selection}{closing}"
            if selection is spread:
                document += " }"
            variables = {"input": {**body, "idempotencyKey": key}}
            answer = api.post({"query": document, "variables": variables})
            assert answer.json()["extensions"]["cost"]["actual"] == 13
            texts.append(answer.text.partition(',"extensions"')[0])
        assert texts[0] == texts[1]
        key = str(uuid4())


def test_every_enum_of_the_domain_keeps_its_values_on_the_wire() -> None:
    for type_ in build_schema()._schema.type_map.values():
        cls = getattr(type_, "wrapped_cls", None)
        if isinstance(cls, type) and issubclass(cls, enum.StrEnum):
            assert isinstance(type_, GraphQLEnumType)
            assert set(type_.values) == set(cls.__members__)
