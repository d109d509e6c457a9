"""What a store sells: what can be bought now, at which price, how many of each kind, and who sees it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from opscore.domain.command import Role
from opscore.domain.customer_commands import RegisterCustomer
from opscore.domain.sku_commands import DelistSku, ListSku, PriceSku
from opscore.domain.sku_events import DelistReason, FulfilmentMode, StockState
from opscore.domain.stock_commands import AllocateCampaignStock, ReceiveStock, ReclassifyStock
from opscore.domain.store_commands import AddLocation, CloseLocation
from tests.api.conftest import Api, gid
from tests.api.test_figures import statements
from tests.shop import Shop

PAGE = """query ($store: ID!, $filter: CatalogueItemFilter, $sort: CatalogueItemSort, $first: Int, $after: String,
    $last: Int, $before: String, $at: Position) {
  catalogue(storeId: $store, filter: $filter, sort: $sort, first: $first, after: $after, last: $last, before: $before,
      atLeast: $at) { %s } }"""
ITEM = "code availability onSale listPrice { amount currencyCode }"
FACETS = """query ($store: ID!, $filter: CatalogueItemFilter, $bounds: [Decimal!], $first: Int! = 20, $at: Position) {
  catalogueFacets(storeId: $store, filter: $filter, priceBounds: $bounds, first: $first, atLeast: $at) {
    articles brands { value articles } categories { value articles } availabilities { availability articles }
    priceBands { from below articles } leastPrice { amount currencyCode } greatestPrice { amount } } }"""


@pytest.fixture(scope="module")
def world(api: Api, shop: Shop) -> dict[str, Any]:
    """A store with an article of every sort, and another that sells some of them, from a place of its own."""
    other = Shop.open(api.server.writer, name="Other shop")
    lamp = {"category": "lamps", "brand": "Lumen"}
    skus = {
        "plenty": shop.sku("plenty", stock=100, price="10.00", brand="Gifts"),
        "cheap": shop.sku("cheap", stock=100, price="5.00", **lamp),
        "few": shop.sku("few", stock=3, price="20.00", min_order_quantity=Decimal(5), **lamp),
        "promised": shop.sku("promised", stock=4, price="30.00", brand="Gifts"),
        "gone": shop.sku("gone", stock=2, price="40.00", **lamp),
        "aside": shop.sku("aside", stock=6, price="45.00"),
        "away": shop.sku("away", stock=1, price="50.00"),
        "service": shop.sku("service", stock=0, price="7.50", mode=FulfilmentMode.SERVICE),
        "draft": shop.sku_to_review("draft"),
        "withdrawn": shop.sku("withdrawn"),
    }
    campaign = shop.campaign("Sale", {skus["promised"]: Decimal(25)})
    shop.do(
        AllocateCampaignStock(
            sku_id=skus["promised"], campaign_id=campaign, location_id=shop.location_id, quantity=Decimal(4)
        )
    )
    shop.do(shop.order((skus["gone"], 2)))
    shop.do(
        ReclassifyStock(
            sku_id=skus["aside"],
            location_id=shop.location_id,
            from_state=StockState.AVAILABLE,
            to_state=StockState.DAMAGED,
            quantity=Decimal(5),
            reason="wet",
        )
    )
    shop.do(shop.order((skus["aside"], 1), external_reference="the last one"))
    shed = uuid4()
    shop.do(AddLocation(store_id=shop.store_id, name="Shed", location_id=shed))
    for name in ("away", "cheap"):
        shop.do(ReceiveStock(sku_id=skus[name], location_id=shed, quantity=Decimal(5), unit_cost=Decimal(4)))
    shop.do(shop.order((skus["away"], 1)))
    # What is left of it lies in the shed: closing that says something of it, though nothing of its own happens.
    shop.do(CloseLocation(store_id=shop.store_id, location_id=shed))
    shop.do(DelistSku(sku_id=skus["withdrawn"], reason=DelistReason.SEASON))
    for name in ("plenty", "cheap"):
        shop.do(
            ReceiveStock(
                sku_id=skus[name],
                store_id=other.store_id,
                location_id=other.location_id,
                quantity=Decimal(2),
                unit_cost=Decimal(1),
            )
        )
        shop.do(ListSku(sku_id=skus[name], store_id=other.store_id))
    shop.do(
        PriceSku(sku_id=skus["plenty"], store_id=other.store_id, list_price=Decimal(11), currency="GBP", reason="rent")
    )
    other.do(other.order((skus["plenty"], 2)))
    return {
        "skus": skus, "other": other, "position": api.server.services.log.head().position,
        "customer": shop.do(RegisterCustomer(store_id=shop.store_id, channel="web")),
    }  # fmt: skip


HERE = {
    "plenty": "IN_STOCK", "cheap": "IN_STOCK", "few": "SOLD_OUT", "promised": "CAMPAIGN_ONLY", "gone": "SOLD_OUT",
    "aside": "SOLD_OUT", "away": "SOLD_OUT", "service": "TO_ORDER",
}  # fmt: skip
OFF_SALE = {"gone", "aside"}


def page(api: Api, world: dict[str, Any], store: UUID, selection: str = ITEM, token: str = "", **given: Any) -> Any:
    """Return a page of a store's catalogue, of all of it unless told otherwise."""
    given = {"store": gid("Store", store), "at": world["position"], "first": 100, **given}
    selection = f"totalCount nodes {{ {selection} }} pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }}"
    return api.ask(PAGE % selection, given, token=token)["catalogue"]


def codes(found: Any) -> list[str]:
    return [node["code"] for node in found["nodes"]]


def facets(api: Api, world: dict[str, Any], store: UUID, token: str = "", **given: Any) -> Any:
    given = {"store": gid("Store", store), "at": world["position"], **given}
    return api.ask(FACETS, given, token=token)["catalogueFacets"]


def test_each_article_says_whether_it_can_be_bought_in_this_store_now(
    api: Api, shop: Shop, world: dict[str, Any]
) -> None:
    found = page(api, world, shop.store_id)

    assert {node["code"]: node["availability"] for node in found["nodes"]} == HERE
    assert {node["code"] for node in found["nodes"] if not node["onSale"]} == OFF_SALE
    assert found["totalCount"] == len(HERE)
    there = {node["code"]: node for node in page(api, world, world["other"].store_id)["nodes"]}
    # Units that lie in one store are not the other's, though the article can be had over all.
    assert {code: node["availability"] for code, node in there.items()} == {"plenty": "SOLD_OUT", "cheap": "IN_STOCK"}
    assert {code: node["listPrice"]["amount"] for code, node in there.items()} == {"plenty": "11", "cheap": "5"}


@pytest.mark.parametrize("name", sorted(HERE))
def test_what_is_said_of_an_article_is_what_an_order_of_it_meets(
    api: Api, shop: Shop, world: dict[str, Any], name: str
) -> None:
    cart = {
        "storeId": gid("Store", shop.store_id),
        "lines": [{"skuId": gid("Sku", world["skus"][name]), "quantity": "5" if name == "few" else "1"}],
    }
    answer = api.ask(
        "query ($c: CartInput!) { priceCart(input: $c) { cart { total { amount } } userErrors { code } } }", {"c": cart}
    )["priceCart"]

    assert (answer["cart"] is not None) is (HERE[name] in ("IN_STOCK", "TO_ORDER")), answer


@pytest.mark.parametrize(
    ("filter_", "expected"),
    [
        ({"availability": {"eq": "IN_STOCK"}}, {"plenty", "cheap"}),
        ({"availability": {"in": ["IN_STOCK", "TO_ORDER"]}}, {"plenty", "cheap", "service"}),
        ({"not": {"availability": {"eq": "SOLD_OUT"}}}, {"plenty", "cheap", "service", "promised"}),
        ({"onSale": False}, OFF_SALE),
        ({"onSale": True, "availability": {"eq": "SOLD_OUT"}}, {"few", "away"}),
        ({"listPrice": {"from": "7.50", "to": "20.00"}}, {"plenty", "service", "few"}),
        ({"listPrice": {"to": "10"}, "availability": {"eq": "IN_STOCK"}}, {"plenty", "cheap"}),
        ({"brand": {"in": ["Lumen"]}}, {"cheap", "few", "gone"}),
        ({"brand": {"isSet": False}}, {"away", "aside", "service"}),
        ({"category": {"eq": "lamps"}, "availability": {"eq": "IN_STOCK"}}, {"cheap"}),
        ({"mode": {"eq": "SERVICE"}}, {"service"}),
        ({"code": {"startsWith": "pl"}, "name": {"contains": "ARTICLE"}}, {"plenty"}),
        ({"seasonEnd": {"isSet": True}}, set()),
        ({"registeredAt": {"before": "2020-01-01T00:00:00Z"}}, set()),
        ({"or": []}, set()),
    ],
)
def test_articles_are_found_and_counted_by_the_same_filter(
    api: Api, shop: Shop, world: dict[str, Any], filter_: Any, expected: set[str]
) -> None:
    found = page(api, world, shop.store_id, filter=filter_)

    assert set(codes(found)) == expected
    assert found["totalCount"] == facets(api, world, shop.store_id, filter=filter_)["articles"] == len(expected)


def test_an_article_is_found_by_its_id(api: Api, shop: Shop, world: dict[str, Any]) -> None:
    for store, expected in ((shop.store_id, ["away"]), (world["other"].store_id, [])):
        given = {"skuId": {"eq": gid("Sku", world["skus"]["away"])}}
        assert codes(page(api, world, store, filter=given)) == expected


@pytest.mark.parametrize("direction", ["ASC", "DESC"])
@pytest.mark.parametrize("key", ["REGISTERED_AT", "LIST_PRICE", "NAME", "CODE"])
def test_every_order_is_walked_forwards_and_backwards_alike(
    api: Api, shop: Shop, world: dict[str, Any], key: str, direction: str
) -> None:
    sort = {"by": key, "direction": direction}
    whole = codes(page(api, world, shop.store_id, sort=sort))
    for size, back in ((3, False), (3, True)):
        met: list[str] = []
        cursor = None
        while True:
            where = {"first": None, "last": size, "before": cursor} if back else {"first": size, "after": cursor}
            found = page(api, world, shop.store_id, sort=sort, **where)
            met = codes(found) + met if back else met + codes(found)
            if not found["pageInfo"]["hasPreviousPage" if back else "hasNextPage"]:
                break
            cursor = found["pageInfo"]["startCursor" if back else "endCursor"]
        assert met == whole
    by_price = ["cheap", "service", "plenty", "few", "promised", "gone", "aside", "away"]
    expected = {
        "REGISTERED_AT": list(world["skus"])[:-2], "LIST_PRICE": by_price, "NAME": sorted(HERE), "CODE": sorted(HERE),
    }[key]  # fmt: skip
    assert whole == (expected if direction == "ASC" else expected[::-1])


def test_a_cursor_of_one_store_is_none_of_another(api: Api, shop: Shop, world: dict[str, Any]) -> None:
    cursor = page(api, world, shop.store_id, first=1)["pageInfo"]["endCursor"]

    [error] = api.errors(
        PAGE % "totalCount", {"store": gid("Store", world["other"].store_id), "first": 1, "after": cursor}
    )
    assert error["extensions"]["code"] == "INVALID_CURSOR"


def test_facets_count_what_the_filter_leaves(api: Api, shop: Shop, world: dict[str, Any]) -> None:
    found = facets(api, world, shop.store_id, bounds=["7.50", "30"])

    assert found == {
        "articles": 8,
        "brands": [
            {"value": "Lumen", "articles": 3}, {"value": None, "articles": 3}, {"value": "Gifts", "articles": 2},
        ],
        "categories": [{"value": "gifts", "articles": 5}, {"value": "lamps", "articles": 3}],
        "availabilities": [
            {"availability": "SOLD_OUT", "articles": 4}, {"availability": "IN_STOCK", "articles": 2},
            {"availability": "CAMPAIGN_ONLY", "articles": 1}, {"availability": "TO_ORDER", "articles": 1},
        ],
        "priceBands": [
            {"from": None, "below": "7.50", "articles": 1},
            {"from": "7.50", "below": "30", "articles": 3},
            {"from": "30", "below": None, "articles": 4},
        ],
        "leastPrice": {"amount": "5", "currencyCode": "GBP"},
        "greatestPrice": {"amount": "50"},
    }  # fmt: skip
    lamps = facets(api, world, shop.store_id, filter={"category": {"eq": "lamps"}}, bounds=["30"], first=1)
    assert lamps == {
        "articles": 3,
        "brands": [{"value": "Lumen", "articles": 3}],
        "categories": [{"value": "lamps", "articles": 3}],
        "availabilities": [{"availability": "SOLD_OUT", "articles": 2}],
        # Bands are all told, however few values are asked for.
        "priceBands": [
            {"from": None, "below": "30", "articles": 2}, {"from": "30", "below": None, "articles": 1},
        ],
        "leastPrice": {"amount": "5", "currencyCode": "GBP"},
        "greatestPrice": {"amount": "40"},
    }  # fmt: skip


def test_of_nothing_facets_count_nothing(api: Api, shop: Shop, world: dict[str, Any]) -> None:
    assert facets(api, world, shop.store_id, filter={"or": []}) == {
        "articles": 0, "brands": [], "categories": [], "availabilities": [], "priceBands": [], "leastPrice": None,
        "greatestPrice": None,
    }  # fmt: skip


@pytest.mark.parametrize("bounds", [["2", "1"], ["1", "1.0"], [str(each) for each in range(21)]])
def test_price_bounds_that_make_no_bands_are_refused(api: Api, shop: Shop, bounds: list[str]) -> None:
    [error] = api.errors(FACETS, {"store": gid("Store", shop.store_id), "bounds": bounds})
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert "bounds" in error["message"]


def test_a_storefront_sees_what_its_store_sells_and_a_customer_what_is_on_sale(
    api: Api, shop: Shop, world: dict[str, Any]
) -> None:
    other = world["other"]
    front = api.token(Role.STOREFRONT, name="front", stores=(shop.store_id,))
    buyer = api.token(Role.CUSTOMER, name="buyer", stores=(shop.store_id,), customer=world["customer"])
    for token, seen in ((front, set(HERE)), (buyer, set(HERE) - OFF_SALE)):
        assert set(codes(page(api, world, shop.store_id, token=token))) == seen
        assert facets(api, world, shop.store_id, token=token)["articles"] == len(seen)
        assert facets(api, world, shop.store_id, token=token)["leastPrice"]["amount"] == "5"
        # What lies in a store out of scope is answered like what is not there, whatever is asked.
        for filter_ in (None, {"not": {"or": []}}, {"or": [{"and": []}]}):
            assert page(api, world, other.store_id, token=token, filter=filter_)["totalCount"] == 0
            assert facets(api, world, other.store_id, token=token, filter=filter_)["articles"] == 0
    assert not codes(page(api, world, shop.store_id, token=buyer, filter={"onSale": False}))


def test_who_sees_no_prices_learns_none_by_asking(api: Api, shop: Shop, world: dict[str, Any]) -> None:
    keeper = api.token(Role.WAREHOUSE, name="keeper", stores=(shop.store_id,))
    found = page(api, world, shop.store_id, token=keeper)
    assert {node["availability"] for node in found["nodes"]} == set(HERE.values())
    assert {node["listPrice"] for node in found["nodes"]} == {None}
    counted = facets(api, world, shop.store_id, token=keeper)
    assert (counted["leastPrice"], counted["greatestPrice"], counted["articles"]) == (None, None, len(HERE))

    store = {"store": gid("Store", shop.store_id), "first": 1}
    for document, given in (
        (PAGE % "totalCount", {"sort": {"by": "LIST_PRICE"}}),
        (PAGE % "totalCount", {"filter": {"not": {"listPrice": {"to": "5"}}}}),
        (FACETS, {"filter": {"or": [{"listPrice": {"isSet": True}}]}}),
        (FACETS, {"bounds": ["10"]}),
    ):
        [error] = api.errors(document, {**store, **given}, token=keeper)
        assert error["extensions"]["code"] == "FORBIDDEN"
        assert "CatalogueItem.listPrice" in error["message"]


def test_all_of_an_article_comes_with_it_if_asked(api: Api, shop: Shop, world: dict[str, Any]) -> None:
    found = page(api, world, shop.store_id, "code skuId sku { id code sellable }")
    assert {node["skuId"]: node["sku"]["code"] for node in found["nodes"]} == {
        gid("Sku", world["skus"][code]): code for code in HERE
    }
    buyer = api.token(Role.CUSTOMER, name="buyer", stores=(shop.store_id,), customer=world["customer"])
    nodes = page(api, world, shop.store_id, "code sku { code }", token=buyer)["nodes"]
    assert all(node["sku"] == {"code": node["code"]} for node in nodes)


@pytest.mark.parametrize(
    ("selection", "more"), [("nodes { code }", 0), ("nodes { sku { name } }", 1), ("edges { node { sku { id } } }", 1)]
)
def test_a_page_costs_the_same_statements_however_long_it_is(
    api: Api, shop: Shop, world: dict[str, Any], monkeypatch: pytest.MonkeyPatch, selection: str, more: int
) -> None:
    filter_ = {"availability": {"in": ["IN_STOCK", "TO_ORDER", "SOLD_OUT"]}}
    given = {"store": gid("Store", shop.store_id), "filter": filter_, "sort": {"by": "LIST_PRICE"}}

    def counted(document: str, **more: Any) -> int:
        with statements(monkeypatch) as sent:
            api.ask(document, {**given, **more})
        return len(sent)

    page(api, world, shop.store_id)
    bare = counted(PAGE % "pageInfo { hasNextPage }", first=1)
    assert counted(PAGE % selection, first=2) == counted(PAGE % selection, first=7) == bare + more
    assert counted(PAGE % f"totalCount {selection}", first=7) == bare + more + 1
    del given["sort"]
    assert counted(FACETS) == counted(FACETS, bounds=["1", "10"]) == bare, "all facets are one statement"


def test_what_was_sold_out_can_be_bought_again_at_once(api: Api, shop: Shop) -> None:
    sku = shop.sku("once more", stock=1)
    here, given = gid("Store", shop.store_id), {"code": {"eq": "once more"}}

    def now() -> list[tuple[str, bool]]:
        at = api.server.services.log.head().position
        found = api.ask(PAGE % "nodes { availability onSale }", {"store": here, "filter": given, "first": 9, "at": at})
        return [(node["availability"], node["onSale"]) for node in found["catalogue"]["nodes"]]

    assert now() == [("IN_STOCK", True)]
    shop.do(shop.order((sku, 1)))
    assert now() == [("SOLD_OUT", False)]
    shop.do(ReceiveStock(sku_id=sku, location_id=shop.location_id, quantity=Decimal(3), unit_cost=Decimal(1)))
    shop.do(ListSku(sku_id=sku))
    assert now() == [("IN_STOCK", True)]
