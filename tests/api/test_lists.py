"""Lists: what they can be narrowed to and sorted by, pages that stay right while rows arrive, totals only when asked."""

# ruff: noqa: E501 -- GraphQL documents read better unbroken.

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    get_named_type,
)

from opscore.api.directories import CUSTOMERS, CustomerFilter, CustomerSort, CustomerSortKey
from opscore.api.errors import Forbidden
from opscore.api.filters import AmountFilter, condition
from opscore.api.ids import encode_cursor, key_of
from opscore.api.lists import refuse_hidden
from opscore.api.naming import camel
from opscore.api.order_lists import LINE, ORDER
from opscore.api.rows import MadeObject
from opscore.api.schema import build_schema
from opscore.api.skus import SKU
from opscore.domain.campaign_commands import AddPromotion, CouponTermsOffered, PlanCampaign, SetForecast
from opscore.domain.campaign_events import CampaignGoal, CampaignKind, CampaignType
from opscore.domain.command import Command, Role
from opscore.domain.customer_commands import GrantCoupon, ReferCustomer
from opscore.domain.order_commands import PayOrder
from opscore.domain.order_notes import NoteOrder, TagOrder
from opscore.domain.sku_commands import DelistSku, ListSku, PriceSku, SetSkuContent, SetStockPolicy
from opscore.domain.sku_events import DelistReason, FulfilmentMode
from opscore.domain.stock_commands import ReceiveStock
from opscore.domain.store_commands import ApplyForStore, CertifyPaymentAccount
from opscore.log.event_log import EventFilter
from tests.api.conftest import Api, gid
from tests.api.test_figures import statements
from tests.shop import Shop

SCHEMA = build_schema()._schema
LISTS = {
    "stores": "Store", "skus": "Sku", "campaigns": "Campaign", "customers": "Customer", "orders": "Order",
    "stockMovements": "StockMovement", "stockBalances": "StockBalance",
}  # fmt: skip
PAID = (500, 600, 900, 1000, 300, 1800)
NASTY = [
    "%", "_", "\\", "'", '"', "a%b", "a_b", "axb", "'; DROP TABLE events; --", "%(given_0)s", "%s", "{column}",
    ":store_ids", "$1", "\\%", "$$", "É", "é", "中文", "*/", "E'\\x41'", "Robert'); DELETE FROM claims; --",
]  # fmt: skip


@pytest.fixture(scope="module")
def world(api: Api, shop: Shop) -> dict[str, Any]:
    """Orders with every kind of reference, articles in two stores, campaigns, customers."""
    other = Shop.open(api.server.writer, name="Other shop", time_zone="Europe/Paris")
    skus = [
        shop.sku(f"A-{number}", stock=1_000, price=f"{price}.00", cost="1.00")
        for number, price in enumerate((5, 3, 9, 3))
    ]
    theirs = other.sku("B-0", stock=50)
    shop.do(PriceSku(sku_id=skus[0], store_id=other.store_id, list_price=Decimal(6), currency="GBP", reason="both"))
    shop.do(
        ReceiveStock(
            sku_id=skus[0],
            store_id=other.store_id,
            location_id=other.location_id,
            quantity=Decimal(5),
            unit_cost=Decimal(1),
        )
    )
    shop.do(ListSku(sku_id=skus[0], store_id=other.store_id))
    shop.do(DelistSku(sku_id=skus[3], reason=DelistReason.SEASON))
    customers = [shop.customer(external_reference=f"buyer {number}", region="North") for number in range(3)]
    orders = []
    for number, text in enumerate(NASTY):
        order = shop.do(
            shop.order((skus[number % 3], 1 + number % 2), external_reference=text, customer_id=customers[number % 3])
        )
        orders.append(order)
    for order, due in zip(orders, PAID, strict=False):
        shop.do(PayOrder(order_id=order, amount_minor=due, method="card", currency="GBP"))
    campaigns = [
        shop.do(
            PlanCampaign(
                store_id=shop.store_id, name=name, goal=CampaignGoal.RAISE_SALES, kind=CampaignKind.OWN,
                type=CampaignType.PROMOTION,
            )
        )
        for name in ("Spring 100%", "Summer")
    ]  # fmt: skip
    return {
        "other": other, "skus": skus, "theirs": theirs, "customers": customers, "orders": orders,
        "campaigns": campaigns, "position": api.server.services.log.head().position,
    }  # fmt: skip


def document(name: str, selection: str = "nodes { id }") -> str:
    """Return a document that asks a list with everything it takes."""
    if name == "stockMovements":
        selection = selection.replace("{ id }", "{ position leg }")
    if name == "stockBalances":
        selection = selection.replace("{ id }", "{ skuId locationId }")
    given = ', currencyCode: "GBP"' if name == "customers" else ""
    return (
        f"query ($filter: {LISTS[name]}Filter, $sort: {LISTS[name]}Sort, $first: Int, $after: String, $last: Int,"
        f" $before: String, $at: Position) {{ {name}(filter: $filter, sort: $sort, first: $first, after: $after,"
        f" last: $last, before: $before, atLeast: $at{given}) {{ {selection} }} }}"
    )


def found(api: Api, name: str, filter_: Any, world: dict[str, Any], *, token: str = "", **more: Any) -> list[str]:
    """Return the ids that a filter finds, in order."""
    given = {"first": 100, "filter": filter_, "at": world["position"], **more}
    return [node["id"] for node in api.ask(document(name), given, token=token)[name]["nodes"]]


def gids(kind: str, keys: Any) -> set[str]:
    return {gid(kind, each) for each in keys}


# Filters -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operator", ["eq", "in", "startsWith", "contains"])
@pytest.mark.parametrize("text", NASTY)
def test_a_text_filter_takes_every_character_as_it_is(
    api: Api, world: dict[str, Any], operator: str, text: str
) -> None:
    test: Callable[[str], bool] = {
        "eq": lambda reference: reference == text,
        "in": lambda reference: reference == text,
        "startsWith": lambda reference: reference.startswith(text),
        "contains": lambda reference: text in reference or (text.lower() in reference.lower() and text.isascii()),
    }[operator]
    expected = {order for order, reference in zip(world["orders"], NASTY, strict=True) if test(reference)}

    filter_ = {"externalReference": {operator: [text] if operator == "in" else text}}
    assert set(found(api, "orders", filter_, world)) == gids("Order", expected)


def text_members() -> list[tuple[str, str]]:
    return [
        (name, member)
        for name, kind in LISTS.items()
        for member, field in filter_type(kind).fields.items()
        if get_named_type(field.type).name == "TextFilter"
    ]


def filter_type(kind: str) -> GraphQLInputObjectType:
    found = SCHEMA.type_map[f"{kind}Filter"]
    assert isinstance(found, GraphQLInputObjectType)
    return found


@pytest.mark.parametrize(("name", "member"), text_members())
def test_no_text_filter_of_any_list_lets_sql_in(api: Api, world: dict[str, Any], name: str, member: str) -> None:
    whole = set_of(api, name, world)
    for text in NASTY:
        for operator in ("eq", "startsWith", "contains"):
            assert set_of(api, name, world, {member: {operator: text}}) <= whole
        # What is not met and what is met make the whole: no text turns a condition into something else.
        met, rest = ({member: {"contains": text}}, {"not": {member: {"contains": text}}})
        assert set_of(api, name, world, met) | set_of(api, name, world, rest) == whole
        assert not set_of(api, name, world, {"and": [met, rest]})


def set_of(api: Api, name: str, world: dict[str, Any], filter_: Any = None) -> set[str]:
    given = {"first": 100, "filter": filter_, "at": world["position"]}
    return {str(node) for node in api.ask(document(name), given)[name]["nodes"]}


def some_value(type_: Any) -> Any:
    """Return a value that a filter may be given."""
    if isinstance(type_, GraphQLNonNull):
        return some_value(type_.of_type)
    if isinstance(type_, GraphQLList):
        return [some_value(type_.of_type)]
    if isinstance(type_, GraphQLEnumType):
        return next(iter(type_.values))
    assert isinstance(type_, GraphQLScalarType)
    return {
        "String": "x", "Boolean": True, "Int": 1, "Decimal": "1.5", "MinorUnits": 1, "Position": 1,
        "DateTime": "2026-01-01T00:00:00Z", "UUID": str(UUID(int=1)),
    }[type_.name]  # fmt: skip


@pytest.mark.parametrize("name", LISTS)
def test_every_member_of_a_filter_asks_about_a_column_that_is_there(api: Api, world: dict[str, Any], name: str) -> None:
    asked = 0
    for member, field in filter_type(LISTS[name]).fields.items():
        inner = get_named_type(field.type)
        if member in ("and", "or", "not"):
            continue
        if not isinstance(inner, GraphQLInputObjectType):
            set_of(api, name, world, {member: some_value(field.type)})
            asked += 1
            continue
        for operator, argument in inner.fields.items():
            for kind in ("Store", "Sku", "Order", "Campaign", "Customer"):
                value = some_value(argument.type) if inner.name != "IdFilter" or operator == "isSet" else None
                if value is None:
                    value = gid(kind, UUID(int=1)) if operator == "eq" else [gid(kind, UUID(int=1))]
                answer = api.post(
                    {
                        "query": document(name),
                        "variables": {"first": 1, "filter": {member: {operator: value}}, "at": world["position"]},
                    }
                ).json()
                codes = {error["extensions"]["code"] for error in answer.get("errors", ())}
                assert codes <= ({"INVALID_ID"} if inner.name == "IdFilter" else set()), (member, operator, answer)
                asked += not codes
    assert asked >= len(filter_type(LISTS[name]).fields) - 3


def test_conditions_are_joined_by_and_or_and_not(api: Api, world: dict[str, Any]) -> None:
    orders, customers = world["orders"], world["customers"]
    of = [{order for number, order in enumerate(orders) if number % 3 == which} for which in range(3)]
    paid = set(orders[:6])
    first = {"customerId": {"eq": gid("Customer", customers[0])}}
    second = {"customerId": {"eq": gid("Customer", customers[1])}}
    is_paid = {"status": {"eq": "PAID"}}
    for filter_, expected in (
        ({**first, **is_paid}, of[0] & paid),
        ({"and": [first, is_paid]}, of[0] & paid),
        ({"or": [first, second]}, of[0] | of[1]),
        ({"or": [first, is_paid], "not": second}, (of[0] | paid) - of[1]),
        ({"not": {"or": [first, {"not": is_paid}]}}, paid - of[0]),
        ({"and": []}, set(orders)),
        ({"or": []}, set()),
        ({"not": {}}, set()),
        ({"customerId": {"in": []}}, set()),
        ({"customerId": {"in": [gid("Customer", each) for each in customers[:2]]}}, of[0] | of[1]),
        ({"customerId": {"isSet": False}}, set()),
        ({"paidAt": {"isSet": True}}, paid),
        ({"paidAt": {"isSet": False}}, set(orders) - paid),
        ({"shipByHard": {"isSet": True}}, paid),
        ({"shipByHard": {"before": "2020-01-01T00:00:00Z"}}, set()),
        ({"total": {"from": 600, "to": 900}}, {o for n, o in enumerate(orders) if (n % 3, n % 2) in ((1, 1), (2, 0))}),
        ({"skuId": {"eq": gid("Sku", world["skus"][1])}}, {o for n, o in enumerate(orders) if n % 3 == 1}),
        ({"skuCode": {"startsWith": "A-"}}, set(orders)),
        ({"skuCode": {"contains": "a-2"}}, {o for n, o in enumerate(orders) if n % 3 == 2}),
        ({"waybill": {"isSet": True}}, set()),
        ({"placedAt": {"from": "2020-01-01T00:00:00Z", "before": "2020-01-02T00:00:00Z"}}, set()),
        ({"status": None, "customerId": {"eq": None}}, set(orders)),
    ):  # fmt: skip
        assert set(found(api, "orders", filter_, world)) == gids("Order", expected), filter_


def test_the_count_beside_the_list_takes_the_same_filter(api: Api, world: dict[str, Any]) -> None:
    [count] = api.ask(
        """query ($f: OrderFilter, $at: Position) { orderCount(filter: $f, atLeast: $at) {
             orders total { amountMinor currencyCode } paid { amountMinor } goods { amountMinor } refunded { amountMinor } } }""",
        {"f": {"status": {"eq": "PAID"}}, "at": world["position"]},
    )["orderCount"]

    assert count["orders"] == 6
    assert count["total"] == {"amountMinor": count["paid"]["amountMinor"], "currencyCode": "GBP"}
    assert count["goods"] == {"amountMinor": sum(PAID)}
    assert count["refunded"] == {"amountMinor": 0}


def test_articles_are_found_by_what_they_are_and_where_they_are_sold(
    api: Api, shop: Shop, world: dict[str, Any]
) -> None:
    skus, theirs, other = world["skus"], world["theirs"], world["other"]
    here, there = gid("Store", shop.store_id), gid("Store", other.store_id)
    for filter_, expected in (
        ({"code": {"startsWith": "A-"}}, set(skus)),
        ({"storeId": {"eq": there}}, {theirs}),
        ({"listedIn": {"eq": there}}, {theirs, skus[0]}),
        ({"listedIn": {"eq": here}}, set(skus[:3])),
        ({"delistReason": {"eq": "SEASON"}}, {skus[3]}),
        ({"listPrice": {"from": "3.00", "to": "5"}, "currencyCode": {"eq": "GBP"}}, {skus[0], skus[1], skus[3]}),
        ({"status": {"in": ["DRAFT", "RETIRED"]}}, set()),
        ({"name": {"contains": "ARTICLE b"}}, {theirs}),
    ):
        assert set(found(api, "skus", filter_, world)) == gids("Sku", expected), filter_

    keeper = api.token(Role.MANAGER, stores=(other.store_id,))
    assert set(found(api, "skus", None, world, token=keeper)) == gids("Sku", {theirs, skus[0]})


def test_customers_campaigns_and_stores_are_found_too(api: Api, shop: Shop, world: dict[str, Any]) -> None:
    assert set(found(api, "customers", {"region": {"eq": "North"}}, world)) == gids("Customer", world["customers"])
    assert found(api, "customers", {"tier": {"isSet": True}}, world) == []
    assert found(api, "campaigns", {"name": {"contains": "100%"}}, world) == [gid("Campaign", world["campaigns"][0])]
    assert found(api, "campaigns", {"storeId": {"eq": gid("Store", world["other"].store_id)}}, world) == []
    assert found(api, "stores", {"name": {"startsWith": "Other"}}, world) == [gid("Store", world["other"].store_id)]
    assert found(api, "stores", {"status": {"eq": "OPEN"}, "timeZone": {"eq": "Europe/London"}}, world) == [
        gid("Store", shop.store_id)
    ]


def test_customers_are_found_and_sorted_by_what_they_bought(api: Api, world: dict[str, Any]) -> None:
    one, two, three = (gid("Customer", each) for each in world["customers"])
    # PAID in the order in which the orders were placed, one for each customer in turn.
    for filter_, expected in (
        ({"netSales": {"from": 1500}}, {one, three}),
        ({"netSales": {"from": 901, "to": 2699}}, {one}),
        ({"orders": {"from": 2}}, {one, two, three}),
        ({"orders": {"from": 3}}, set()),
        ({"lastOrderAt": {"isSet": False}}, set()),
        ({"not": {"netSales": {"from": 1500}}}, {two}),
    ):
        assert set(found(api, "customers", filter_, world)) == expected, filter_
    for sort, expected in (
        ({"by": "NET_SALES", "direction": "DESC"}, [three, one, two]),
        ({"by": "NET_SALES"}, [two, one, three]),
        ({"by": "LAST_ORDER_AT"}, [one, two, three]),
        ({"by": "ORDERS"}, sorted((one, two, three), key=lambda each: key_of(each, "Customer"))),
    ):
        assert found(api, "customers", None, world, sort=sort) == expected, sort

    query = (
        "query ($f: CustomerFilter, $s: CustomerSort) { customers(filter: $f, sort: $s, first: 9%s) { nodes { id } } }"
    )
    for given in (
        {"f": {"or": [{"not": {"netSales": {"from": 1}}}]}},
        {"s": {"by": "NET_SALES"}},
    ):
        [error] = api.errors(query % "", given)
        assert error["extensions"]["code"] == "BAD_USER_INPUT" and "currencyCode" in error["message"], error
    abroad = api.ask(query % ', currencyCode: "EUR"', {"f": {"orders": {"from": 1}}})
    assert abroad["customers"]["nodes"] == []
    assert len(api.ask(query % "", {"f": {"orders": {"from": 2}}})["customers"]["nodes"]) == 3


def changed(shop: Shop, name: str) -> tuple[list[UUID], list[Command]]:
    """Return three objects of a list and commands that change the first and the third, in this order.

    As far as may be, nothing else of what a list knows changes by them.
    """
    if name == "customers":
        one, two, three = (shop.customer() for _ in range(3))
        coupon = GrantCoupon(customer_id=one, code="THANKS", currency="GBP", off_minor=100)
        return [one, two, three], [coupon, ReferCustomer(customer_id=three, referrer_id=one)]
    if name == "orders":
        made = shop.sku(stock=0, mode=FulfilmentMode.MADE_TO_ORDER)
        one, two, three = (shop.do(shop.order((made, 1))) for _ in range(3))
        return [one, two, three], [TagOrder(order_id=one, tag="changed"), NoteOrder(order_id=three, text="called")]
    if name == "skus":
        one, two, three = (shop.sku_to_review(stock=0) for _ in range(3))
        described = SetSkuContent(sku_id=three, title="Anew", description="It is what it was.")
        return [one, two, three], [SetStockPolicy(sku_id=one, low_line=Decimal(2)), described]
    if name == "campaigns":
        one, two, three = (shop.campaign(f"Of {each}") for each in "abc")
        expected = SetForecast(campaign_id=one, visitors=9, conversion=Decimal("0.1"), units=Decimal(3), gmv_minor=2700)
        return [one, two, three], [
            expected,
            AddPromotion(campaign_id=three, label="ten off", offer=CouponTermsOffered(code="CHANGED", off_minor=10)),
        ]
    terms = {"operator": "Gifts Ltd", "currency": "GBP", "time_zone": "Europe/Paris", "platform": "own"}
    stores = [shop.do(ApplyForStore(name=f"Branch {each}", **terms)) for each in "abc"]
    account = {"provider": "bank", "account_reference": "acc", "holder": "Gifts Ltd"}
    return stores, [CertifyPaymentAccount(store_id=each, **account) for each in (stores[0], stores[2])]


@pytest.mark.parametrize("name", ["customers", "stores", "skus", "campaigns", "orders"])
def test_what_changed_since_a_moment_is_found_in_the_order_in_which_it_changed(api: Api, shop: Shop, name: str) -> None:
    keys, changes = changed(shop, name)
    ids = [gid(LISTS[name], each) for each in keys]
    for command in changes:
        shop.do(command)
    query = document(name, "nodes { id changedAt }")
    given = {"at": api.server.services.log.head().position, "first": 100, "filter": {"id": {"in": ids}}}

    def asked(**more: Any) -> list[tuple[str, str]]:
        nodes = api.ask(query, {**given, **more})[name]["nodes"]
        return [(node["id"], node["changedAt"]) for node in nodes]

    whole = asked(sort={"by": "CHANGED_AT"})
    assert [each for each, _ in whole] == [ids[1], ids[0], ids[2]]
    assert [at for _, at in whole] == sorted(at for _, at in whole)
    assert asked(sort={"by": "CHANGED_AT", "direction": "DESC"}) == whole[::-1]
    of_the_log = api.ask("query ($ids: [ID!]!) { nodes(ids: $ids) { id ... on Stream { changedAt } } }", {"ids": ids})
    assert {(each["id"], each["changedAt"]) for each in of_the_log["nodes"]} == set(whole)
    since = whole[1][1]
    for filter_, expected in (({"from": since}, whole[1:]), ({"before": since}, whole[:1])):
        found = asked(filter={**given["filter"], "changedAt": filter_}, sort={"by": "CHANGED_AT"})
        assert found == expected
    if name == "customers":
        assert asked(filter={"referrerId": {"eq": ids[0]}}) == whole[2:], "who was brought is found by whom, too"


@pytest.mark.parametrize("role", [Role.OWNER, Role.AUDITOR, Role.WAREHOUSE, Role.EDITOR, Role.STOREFRONT])
def test_articles_that_the_directory_knows_enough_of_are_shown_as_the_log_shows_them(
    api: Api, shop: Shop, world: dict[str, Any], monkeypatch: pytest.MonkeyPatch, role: Role
) -> None:
    token = api.token(role, stores=None if role in (Role.OWNER, Role.AUDITOR) else (shop.store_id,))
    fields = f"__typename {' '.join(sorted(SKU.fields))}"
    answers, counts = [], []
    for more in ("", " version"):
        page = f"nodes {{ {fields}{more} }} edges {{ cursor node {{ {fields}{more} }} }} pageInfo {{ endCursor }}"
        given = {"first": 3, "at": world["position"], "sort": {"by": "CODE"}}
        with statements(monkeypatch) as sent:
            found = api.ask(document("skus", page), given, token=token)["skus"]
        for node in (*found["nodes"], *(each["node"] for each in found["edges"])):
            assert more == "" or node.pop("version") > 0
        answers.append(found)
        counts.append(len(sent))

    assert answers[0] == answers[1]
    assert len(answers[0]["nodes"]) == 3
    assert counts[0] == counts[1] - 1, "the articles themselves were not read"


def test_a_cursor_of_one_currency_is_none_of_another(api: Api, world: dict[str, Any]) -> None:
    query = (
        "query ($c: String, $after: String) { customers(sort: {by: ORDERS}, currencyCode: $c, first: 1, after: $after)"
        " { pageInfo { endCursor } } }"
    )
    cursor = api.ask(query, {"c": "GBP"})["customers"]["pageInfo"]["endCursor"]

    assert api.ask(query, {"c": "GBP", "after": cursor})["customers"]["pageInfo"]["endCursor"] != cursor
    for other in ("EUR", None):
        [error] = api.errors(query, {"c": other, "after": cursor})
        assert error["extensions"]["code"] == "INVALID_CURSOR"


def test_who_sees_no_prices_does_not_find_customers_by_what_they_spent() -> None:
    sort = CustomerSort(by=CustomerSortKey.NET_SALES)
    for filter_ in (
        CustomerFilter(net_sales=AmountFilter(from_=0)),
        CustomerFilter(not_=CustomerFilter(net_sales=AmountFilter(to=5))),
    ):
        with pytest.raises(Forbidden, match=r"Order\.total"):
            condition(filter_, Role.WAREHOUSE)
        assert condition(filter_, Role.SERVICE)
    with pytest.raises(Forbidden, match=r"Order\.total"):
        refuse_hidden(Role.WAREHOUSE, CUSTOMERS, sort)
    refuse_hidden(Role.SERVICE, CUSTOMERS, sort)


def test_movements_of_all_articles_are_listed_and_added_up(api: Api, world: dict[str, Any]) -> None:
    answer = api.ask(
        """query ($f: StockMovementFilter, $ids: [ID!]!, $at: Position) {
             stockMovements(filter: $f, first: 100, atLeast: $at) { totalCount nodes { position kind skuId onHand } }
             stockMovementTotals(skuIds: $ids, filter: $f) { skuCode kind movements onHand } }""",
        {
            "f": {"kind": {"eq": "received"}},
            "ids": [gid("Sku", each) for each in world["skus"]],
            "at": world["position"],
        },
    )
    movements = answer["stockMovements"]

    assert movements["totalCount"] == 6
    assert {each["skuId"] for each in movements["nodes"]} == gids("Sku", (*world["skus"], world["theirs"]))
    assert {each["kind"] for each in movements["nodes"]} == {"received"}
    positions = [each["position"] for each in movements["nodes"]]
    assert positions == sorted(positions, reverse=True)
    assert answer["stockMovementTotals"] == [
        {"skuCode": "A-0", "kind": "received", "movements": 2, "onHand": "1005"},
        *({"skuCode": f"A-{number}", "kind": "received", "movements": 1, "onHand": "1000"} for number in (1, 2, 3)),
    ]


# Who may see what ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LISTS)
def test_no_filter_finds_what_lies_in_another_store(api: Api, shop: Shop, world: dict[str, Any], name: str) -> None:
    other = world["other"]
    token = api.token(Role.MANAGER, name="their manager", stores=(other.store_id,))
    role_may = {"campaigns": set(), "customers": set(), "orders": set(), "stores": {gid("Store", other.store_id)}}
    for filter_ in (None, {}, {"not": {"or": []}}, {"or": [{"and": []}]}):
        given = {"first": 100, "filter": filter_, "at": world["position"]}
        nodes = api.ask(document(name, "totalCount nodes { id }"), given, token=token)[name]
        if name == "skus":
            # The one of ours that they sell as well is theirs to see.
            assert {node["id"] for node in nodes["nodes"]} == gids("Sku", (world["theirs"], world["skus"][0]))
        elif name in ("stockMovements", "stockBalances"):
            assert nodes["totalCount"] == len(nodes["nodes"]) == 1
            continue
        else:
            assert {node["id"] for node in nodes["nodes"]} == role_may[name]
        assert nodes["totalCount"] == len(nodes["nodes"])


def test_a_customer_finds_only_its_own_orders_whatever_it_asks(api: Api, world: dict[str, Any]) -> None:
    mine, else_ = world["customers"][:2]
    token = api.token(Role.CUSTOMER, customer=mine)
    own = {order for number, order in enumerate(world["orders"]) if number % 3 == 0}
    for filter_, expected in (
        (None, own),
        ({"customerId": {"eq": gid("Customer", else_)}}, set()),
        ({"or": [{"customerId": {"eq": gid("Customer", else_)}}, {"and": []}]}, own),
        ({"not": {"customerId": {"eq": gid("Customer", mine)}}}, set()),
    ):
        assert set(found(api, "orders", filter_, world, token=token)) == gids("Order", expected)
    counted = api.ask("{ orderCount { orders } orders(first: 1) { totalCount } }", token=token)
    assert counted == {"orderCount": [{"orders": len(own)}], "orders": {"totalCount": len(own)}}


def test_what_a_role_does_not_see_it_cannot_find_out_by_asking(api: Api, shop: Shop, world: dict[str, Any]) -> None:
    filters = [{"budget": {"from": 0}}, {"not": {"budget": {"to": 5}}}, {"or": [{"and": [{"budget": {"from": 1}}]}]}]
    for role in (Role.STOREFRONT, Role.CUSTOMER):
        token = api.token(role, customer=world["customers"][0] if role is Role.CUSTOMER else None)
        for filter_ in filters:
            [error] = api.errors(document("campaigns"), {"first": 1, "filter": filter_}, token=token)
            assert error["extensions"]["code"] == "FORBIDDEN"
            assert "Campaign.budget" in error["message"]
    manager = api.token(Role.MANAGER)
    for filter_ in filters:
        assert api.ask(document("campaigns"), {"first": 1, "filter": filter_}, token=manager)["campaigns"]


def test_a_customer_is_found_by_what_a_platform_calls_it(api: Api, world: dict[str, Any]) -> None:
    query = "query ($r: String!) { customerByReference(reference: $r) { id } }"
    foreign = api.token(Role.MANAGER, name="their manager", stores=(world["other"].store_id,))

    assert api.ask(query, {"r": "buyer 1"})["customerByReference"] == {"id": gid("Customer", world["customers"][1])}
    assert api.ask(query, {"r": "buyer 1"}, token=foreign)["customerByReference"] is None
    for text in ("nobody", *NASTY):
        assert api.ask(query, {"r": text})["customerByReference"] is None


# Pages ---------------------------------------------------------------------------------------------------------------


def walk(
    api: Api, name: str, size: int, *, back: bool = False, between: Callable[[int], None] | None = None, **given: Any
) -> list[str]:
    """Return every id that a walk over the pages meets, in list order; `between` is called after each page."""
    selection = "nodes { id } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }"
    met: list[str] = []
    cursor: str | None = None
    for number in itertools.count():
        page = {"last": size, "before": cursor} if back else {"first": size, "after": cursor}
        answer = api.ask(document(name, selection), {**page, **given})[name]
        ids = [str(node) for node in answer["nodes"]]
        met = ids + met if back else met + ids
        if not answer["pageInfo"]["hasPreviousPage" if back else "hasNextPage"]:
            return met
        cursor = answer["pageInfo"]["startCursor" if back else "endCursor"]
        if between is not None:
            between(number)
    raise AssertionError("unreachable")


def sorts() -> list[tuple[str, str, str]]:
    return [
        (name, key, direction)
        for name, kind in LISTS.items()
        for key in SCHEMA.type_map[f"{kind}SortKey"].values
        for direction in ("ASC", "DESC")
    ]


@pytest.mark.parametrize(("name", "key", "direction"), sorts())
def test_every_order_is_walked_forwards_and_backwards_alike(
    api: Api, world: dict[str, Any], name: str, key: str, direction: str
) -> None:
    given = {"sort": {"by": key, "direction": direction}, "at": world["position"]}
    if name == "stockMovements":
        given["filter"] = {"kind": {"in": ["received", "reserved"]}}
    whole = walk(api, name, 100, **given)

    assert len(whole) == len(set(whole)) >= 2
    assert walk(api, name, 3, **given) == whole
    assert walk(api, name, 4, back=True, **given) == whole


def test_what_is_sorted_is_in_order(api: Api, world: dict[str, Any]) -> None:
    nodes = api.ask(
        document("orders", "nodes { id total { amountMinor } paidAt }"),
        {"first": 100, "sort": {"by": "TOTAL", "direction": "DESC"}, "at": world["position"]},
    )["orders"]["nodes"]
    assert [node["total"]["amountMinor"] for node in nodes] == sorted(
        (node["total"]["amountMinor"] for node in nodes), reverse=True
    )
    for direction in ("ASC", "DESC"):
        paid = [
            node["paidAt"]
            for node in api.ask(
                document("orders", "nodes { id paidAt }"),
                {"first": 100, "sort": {"by": "PAID_AT", "direction": direction}, "at": world["position"]},
            )["orders"]["nodes"]
        ]
        assert paid[:6] == sorted(paid[:6], reverse=direction == "DESC")
        assert set(paid[6:]) == {None}


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("filter_", [None, {"status": {"in": ["PLACED", "PAID"]}}])
def test_rows_that_arrive_between_pages_hide_none_and_show_none_twice(api: Api, back: bool, filter_: Any) -> None:
    shop = Shop.open(api.server.writer, name=f"Busy shop {back} {filter_ is None}")
    sku = shop.sku(stock=1_000)
    before, times = [], []
    for _ in range(12):
        before.append(str({"id": gid("Order", shop.do(shop.order((sku, 1))))}))
        times.append(datetime.now(UTC))

    def arrive(number: int) -> None:
        if number > 3:
            return  # Walking towards the newest, more than a page at a time would never be met.
        for _ in range(1 + number):
            shop.do(shop.order((sku, 1)))
        for time in times[::3]:
            # What is booked afterwards lands in the middle of the pages, not at their edge.
            shop.do(shop.order((sku, 1)), occurred_at=time)

    met = walk(
        api, "orders", 3, back=back, between=arrive,
        filter={**(filter_ or {}), "storeId": {"eq": gid("Store", shop.store_id)}}, at=api.server.services.log.head().position,
    )  # fmt: skip

    assert len(met) == len(set(met)), "met twice"
    assert [each for each in met if each in set(before)] == before[::-1], "lost, or out of order"


# What it costs -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("filtered", [False, True])
def test_a_total_is_one_more_statement_and_only_when_it_is_asked_for(
    api: Api, world: dict[str, Any], monkeypatch: pytest.MonkeyPatch, name: str, filtered: bool
) -> None:
    given: dict[str, Any] = {"filter": {"or": [{"and": []}]}} if filtered else {}
    counted = {}
    for first, selection in ((1, ""), (20, ""), (1, "totalCount "), (20, "totalCount ")):
        query = document(name, f"{selection}nodes {{ id }}")
        api.ask(query, {"first": first, **given})
        with statements(monkeypatch) as sent:
            answer = api.ask(query, {"first": first, **given})[name]
        counted[first, selection] = len(sent)
        if selection and first == 20:
            assert answer["totalCount"] >= len(answer["nodes"])

    assert counted[1, ""] == counted[20, ""]
    assert counted[1, "totalCount "] == counted[20, "totalCount "] == counted[1, ""] + 1


@pytest.mark.parametrize(("kind", "made"), [("Order", ORDER), ("OrderLine", LINE)])
def test_each_field_of_the_book_can_be_asked_for_alone(
    api: Api, world: dict[str, Any], kind: str, made: MadeObject
) -> None:
    fields = SCHEMA.type_map[kind].fields
    parts = {
        name: f"{name} {{ amount }}" if isinstance(get_named_type(fields[name].type), GraphQLObjectType) else name
        for name in map(camel, made.attributes)
        if name != "lines"
    }

    def asked(selection: str) -> list[Any]:
        selection = f"lines {{ {selection} }}" if kind == "OrderLine" else selection
        nodes: list[Any] = api.ask(
            document("orders", f"nodes {{ {selection} }}"), {"first": 100, "at": world["position"]}
        )["orders"]["nodes"]
        return [line for node in nodes for line in node["lines"]] if kind == "OrderLine" else nodes

    whole = asked(" ".join(parts.values()))
    assert len(whole) >= len(NASTY)
    for name, selection in parts.items():
        assert [each[name] for each in asked(selection)] == [each[name] for each in whole], name


def test_the_total_is_of_the_whole_list_and_the_filter(api: Api, world: dict[str, Any]) -> None:
    for selection in ("totalCount", "...F", "... on OrderConnection { totalCount }"):
        fragment = " fragment F on OrderConnection { totalCount }" if selection == "...F" else ""
        answer = api.ask(
            document("orders", f"{selection} nodes {{ id }}") + fragment,
            {"first": 2, "filter": {"paidAt": {"isSet": True}}, "at": world["position"]},
        )["orders"]
        assert (answer["totalCount"], len(answer["nodes"])) == (6, 2)
    connections = api.ask(
        """query ($id: ID!, $key: JSON!) {
          events(first: 1, filter: {types: ["OrderPaid"]}) { totalCount }
          stockLedger(skuId: $id, first: 1) { totalCount }
          explain(projection: "stock_ledger", cell: "stock_values", key: $key, first: 1) { totalCount }
        }""",
        {"id": gid("Sku", world["theirs"]), "key": {"sku_id": gid("Sku", world["theirs"])}},
    )
    assert {name: each["totalCount"] for name, each in connections.items()} == {
        "events": 6, "stockLedger": 1, "explain": 1,
    }  # fmt: skip


# What is refused -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LISTS)
def test_a_page_that_is_too_long_is_refused_with_the_most_it_may_have(api: Api, name: str) -> None:
    for arguments in ({"first": 101}, {"last": 101}, {"first": 0}):
        [error] = api.errors(document(name), arguments)
        assert (error["extensions"]["code"], error["extensions"]["most"]) == ("INVALID_PAGE_SIZE", 100)
        assert "100" in error["message"]


def nested(depth: int) -> Any:
    filter_: Any = {"channel": {"eq": "web"}}
    for _ in range(depth):
        filter_ = {"not": filter_}
    return filter_


@pytest.mark.parametrize(
    ("filter_", "limit"),
    [
        (nested(40), "filter_depth"),
        (nested(300), "filter_depth"),
        ({"or": [{"channel": {"eq": "web"}}] * 200}, "filter_items"),
        ({"channel": {"in": ["x"] * 301}}, "filter_items"),
        ({"or": [nested(3)] * 70}, "filter_items"),
    ],
)
def test_a_filter_that_is_too_large_is_refused_before_it_is_looked_at(api: Api, filter_: Any, limit: str) -> None:
    [error] = api.errors(document("orders"), {"first": 1, "filter": filter_})
    assert (error["extensions"]["code"], error["extensions"]["limit"]) == ("QUERY_TOO_COMPLEX", limit)

    literal = "{not: " * 30 + "{}" + "}" * 30
    for query in (
        f"{{ orders(first: 1, filter: {literal}) {{ nodes {{ id }} }} }}",
        f"query ($f: OrderFilter = {literal}) {{ orders(first: 1, filter: $f) {{ nodes {{ id }} }} }}",
        f"query ($f: OrderFilter = {literal}) {{ orders(first: 1, filter: {{and: [$f]}}) {{ nodes {{ id }} }} }}",
    ):
        [error] = api.errors(query)
        assert error["extensions"]["code"] == "QUERY_TOO_COMPLEX"


@pytest.mark.parametrize(
    "filter_",
    [
        {"customerId": {"eq": "x"}},
        {"customerId": {"in": [gid("Sku", UUID(int=1))]}},
        {"not": {"or": [{"storeId": {"eq": "U3RvcmU6MQ=="}}]}},
    ],
)
def test_an_id_in_a_filter_that_is_none_is_refused(api: Api, filter_: Any) -> None:
    [error] = api.errors(document("orders"), {"first": 1, "filter": filter_})
    assert error["extensions"]["code"] == "INVALID_ID"


@pytest.mark.parametrize("keys", [["soon", "me"], [None, None], ["2026-01-01T00:00:00Z", "1"], [[], {}], [1, 2]])
def test_a_cursor_that_somebody_wrote_themselves_is_refused(api: Api, keys: list[Any]) -> None:
    [error] = api.errors(document("orders"), {"first": 1, "after": encode_cursor("order_rows:None", keys)})
    assert error["extensions"]["code"] == "INVALID_CURSOR"


OTHER_LISTS = {
    "events": (f"events:{EventFilter()}", 1),
    "exportJobs": ("exports:latest", 2),
    "projectionCompares": ("compares:None", 2),
    "projectionPromotions": ("promotions:None", 3),
    "history": ("history:{store_id}:False", 1),
}
"""Lists of what is no read model: what their cursors are bound to, and how many keys these hold."""


@pytest.mark.parametrize("name", OTHER_LISTS)
@pytest.mark.parametrize("key", ["soon", "2026-01-01", "\x00", None, 2**53, -1, 1.5, True, [], {}])
def test_a_cursor_of_another_list_that_somebody_wrote_is_refused_too(api: Api, shop: Shop, name: str, key: Any) -> None:
    binding, size = OTHER_LISTS[name]
    cursor = encode_cursor(binding.format(store_id=shop.store_id), [key] * size)
    page = f'{name}(first: 1, after: "{cursor}") {{ pageInfo {{ hasNextPage }} }}'
    if name == "history":
        page = f'store(id: "{gid("Store", shop.store_id)}") {{ {page} }}'
    [error] = api.errors(f"{{ {page} }}")
    assert error["extensions"]["code"] == "INVALID_CURSOR"


def test_a_version_that_no_aggregate_reaches_ends_its_history(api: Api, shop: Shop) -> None:
    cursor = encode_cursor(f"history:{shop.store_id}:False", [2**40])
    page = f'history(last: 1, before: "{cursor}") {{ nodes {{ version }} }}'
    found = api.ask(f'{{ store(id: "{gid("Store", shop.store_id)}") {{ version {page} }} }}')["store"]
    assert found["history"]["nodes"] == [{"version": found["version"]}]
