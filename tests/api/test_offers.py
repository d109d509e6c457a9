"""What buyers see of articles and campaigns: what is on offer in their stores, on every way there is, and no more."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from opscore.api import queries
from opscore.api.queries import DIRECTORIES
from opscore.domain.campaign_commands import EndCampaign, PauseCampaign, ScheduleCampaign
from opscore.domain.campaign_events import CampaignKind
from opscore.domain.command import Role
from opscore.domain.sku_commands import DelistSku, ListSku, PriceSku, RegisterSku
from opscore.domain.sku_events import DelistReason
from opscore.domain.stock_commands import ReceiveStock
from opscore.projector.lists import ALL
from tests.api.conftest import Api, gid
from tests.shop import Shop

PRICES = {"list_price": Decimal(11), "cost": Decimal(4), "reason": "first price"}
BY_HAND = DelistReason.MANUAL


@pytest.fixture(scope="module")
def offer(api: Api, shop: Shop) -> dict[str, Any]:
    """Articles and campaigns at every state, a second store that sells one of its own, and a buyer with an order."""
    other = Shop.open(api.server.writer, name="Second shop")
    found: dict[str, Any] = {"other": other, "customer": shop.customer()}
    found["listed"], found["gone"], found["there"] = shop.sku("LISTED"), shop.sku("GONE"), other.sku("THERE")
    found["draft"] = shop.do(RegisterSku(store_id=shop.store_id, code="DRAFT", name="Not yet", category="gifts"))
    shop.do(PriceSku(sku_id=found["draft"], **PRICES))
    found["order"] = shop.do(shop.order((found["gone"], 1), customer_id=found["customer"]))
    found["before"] = api.server.services.log.head().position
    shop.do(DelistSku(sku_id=found["gone"], reason=BY_HAND))
    # Priced in the second store, and taken off the shelf there: of no interest to whoever buys in the first.
    shop.do(PriceSku(sku_id=found["listed"], store_id=other.store_id, **PRICES))
    _list_in(other, found["listed"])
    shop.do(DelistSku(sku_id=found["listed"], store_id=other.store_id, reason=BY_HAND))
    prices = {found["listed"]: Decimal(8)}
    for state in ("planned", "scheduled", "live", "paused", "ended"):
        found[state] = shop.campaign(state, prices, kind=CampaignKind.OFFICIAL)
    later = datetime.now(UTC) + timedelta(days=9)
    shop.do(ScheduleCampaign(campaign_id=found["scheduled"], starts_at=later, ends_at=later + timedelta(hours=1)))
    for state in ("live", "paused", "ended"):
        shop.start(found[state], prices)
    shop.do(PauseCampaign(campaign_id=found["paused"], reason="a fault"))
    shop.do(EndCampaign(campaign_id=found["ended"], reason="enough"))
    position = api.server.services.log.head().position
    for name in ("skus", "campaigns", "orders"):
        api.ask(f"query ($p: Position) {{ {name}(first: 1, atLeast: $p) {{ nodes {{ id }} }} }}", {"p": position})
    return found


def _list_in(shop: Shop, sku: UUID) -> None:
    """Put an article of another home store on sale."""
    shop.do(ReceiveStock(sku_id=sku, location_id=shop.location_id, quantity=Decimal(5), store_id=shop.store_id))
    shop.do(ListSku(sku_id=sku, store_id=shop.store_id))


@pytest.fixture(params=["all stores", "the first store"])
def buyer(api: Api, offer: dict[str, Any], shop: Shop, request: pytest.FixtureRequest) -> tuple[str, set[str]]:
    """A customer's token, and which of the two stores' listed articles it sees."""
    bound = request.param == "the first store"
    stores = (shop.store_id,) if bound else None
    token = api.token(Role.CUSTOMER, name=f"buyer in {request.param}", stores=stores, customer=offer["customer"])
    return token, {"listed"} if bound else {"listed", "there"}


SKUS = ("listed", "there", "draft", "gone")
CAMPAIGNS = ("planned", "scheduled", "live", "paused", "ended")


def names(offer: dict[str, Any], kind: str, rows: list[dict[str, Any] | None]) -> set[str]:
    by_id = {gid(kind, offer[name]): name for name in (SKUS if kind == "Sku" else CAMPAIGNS)}
    return {by_id[row["id"]] for row in rows if row is not None}


@pytest.mark.parametrize(("kind", "of"), [("Sku", SKUS), ("Campaign", CAMPAIGNS)])
def test_by_its_id_a_buyer_gets_what_is_on_offer_alone(
    api: Api, offer: dict[str, Any], buyer: tuple[str, set[str]], kind: str, of: tuple[str, ...]
) -> None:
    token, skus = buyer
    seen = skus if kind == "Sku" else {"live"}
    field = kind.lower()
    for name in of:
        key = {"id": gid(kind, offer[name])}
        for query in (
            f"query ($id: ID!) {{ found: {field}(id: $id) {{ id }} }}",
            "query ($id: ID!) { found: node(id: $id) { id } }",
        ):
            assert (api.ask(query, key, token=token)["found"] is not None) is (name in seen), (name, query)
    ids = [gid(kind, offer[name]) for name in of]
    nodes = api.ask("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", {"ids": ids}, token=token)["nodes"]
    assert names(offer, kind, nodes) == seen


def test_by_an_order_a_buyer_gets_no_article_that_is_off_offer_and_no_store(
    api: Api, offer: dict[str, Any], buyer: tuple[str, set[str]], shop: Shop
) -> None:
    token, _ = buyer
    bought = shop.do(shop.order((offer["listed"], 1), customer_id=offer["customer"]))
    named = "store { name } lines { skuId sku { id } }"
    one = f"query ($id: ID!) {{ order(id: $id) {{ {named} }} }}"
    page = f"""query ($id: ID!, $p: Position) {{
        orders(filter: {{id: {{eq: $id}}}}, first: 1, atLeast: $p) {{ nodes {{ {named} }} }} }}"""
    position = api.server.services.log.head().position

    def shown(order: UUID, token: str) -> list[dict[str, Any]]:
        key = {"id": gid("Order", order)}
        by_id = api.ask(one, key, token=token)["order"]
        [listed] = api.ask(page, {**key, "p": position}, token=token)["orders"]["nodes"]
        assert by_id == listed
        return [by_id["store"], by_id["lines"][0]["sku"]]

    gone, listed = ({"id": gid("Sku", offer[name])} for name in ("gone", "listed"))
    assert shown(offer["order"], token) == [None, None]
    assert shown(bought, token) == [None, listed]
    for role in (Role.SERVICE, Role.WAREHOUSE):
        assert shown(offer["order"], api.token(role, stores=(shop.store_id,))) == [{"name": "Gift shop"}, gone]


def test_what_has_gone_off_offer_has_no_past_for_buyers(
    api: Api, offer: dict[str, Any], buyer: tuple[str, set[str]]
) -> None:
    token, _ = buyer
    query = "query ($id: ID!, $p: Position!) { found: sku(id: $id, asOf: {position: $p}) { code } }"
    then = {"p": offer["before"]}

    assert api.ask(query, {**then, "id": gid("Sku", offer["listed"])}, token=token)["found"] == {"code": "LISTED"}
    assert api.ask(query, {**then, "id": gid("Sku", offer["gone"])}, token=token)["found"] is None
    assert api.ask(query, {**then, "id": gid("Sku", offer["gone"])})["found"] == {"code": "GONE"}
    draft = {"id": gid("Sku", offer["listed"]), "p": 1}
    assert api.ask(query, draft, token=token)["found"] is None, "nor has what was not on sale yet"


def test_by_its_code_a_buyer_gets_what_is_on_sale_alone(
    api: Api, shop: Shop, offer: dict[str, Any], buyer: tuple[str, set[str]]
) -> None:
    query = "query ($store: ID!, $code: String!) { skuByCode(storeId: $store, code: $code) { code } }"
    for code in ("LISTED", "DRAFT", "GONE"):
        found = api.ask(query, {"store": gid("Store", shop.store_id), "code": code}, token=buyer[0])["skuByCode"]
        assert found == ({"code": code} if code == "LISTED" else None)


@pytest.mark.parametrize("sort", ["", ", sort: {by: NAME, direction: DESC}"])
@pytest.mark.parametrize("narrowed", ["", ", filter: {name: {isSet: true}}", ", filter: {not: {id: {in: []}}}"])
def test_lists_and_totals_hold_what_is_on_offer_alone(
    api: Api, offer: dict[str, Any], buyer: tuple[str, set[str]], narrowed: str, sort: str
) -> None:
    token, skus = buyer
    for name, kind, seen in (("skus", "Sku", skus), ("campaigns", "Campaign", {"live"})):
        page = f"{{ {name}(first: 100{narrowed}{sort}) {{ nodes {{ id }} edges {{ node {{ id }} }} totalCount }} }}"
        found = api.ask(page, token=token)[name]
        assert names(offer, kind, found["nodes"]) == seen
        assert names(offer, kind, [edge["node"] for edge in found["edges"]]) == seen
        assert found["totalCount"] == len(found["nodes"]) == len(seen)
        assert len(api.ask(page)[name]["nodes"]) > len(seen), "the owner sees the others on the same way"


@pytest.mark.parametrize("asked", ["status: {eq: DRAFT}", "delistReason: {eq: MANUAL}", 'code: {eq: "GONE"}'])
def test_no_filter_finds_a_buyer_what_is_not_on_sale(
    api: Api, offer: dict[str, Any], buyer: tuple[str, set[str]], asked: str
) -> None:
    page = f"{{ skus(first: 100, filter: {{{asked}}}) {{ nodes {{ id }} totalCount }} }}"

    assert names(offer, "Sku", api.ask(page, token=buyer[0])["skus"]["nodes"]) <= buyer[1]
    assert names(offer, "Sku", api.ask(page)["skus"]["nodes"]) & {"draft", "gone"}


def test_a_buyer_is_shown_the_prices_and_shelves_of_stores_that_sell_it(
    api: Api, shop: Shop, offer: dict[str, Any], buyer: tuple[str, set[str]]
) -> None:
    query = "query ($id: ID!) { sku(id: $id) { listings { storeId listed } prices { storeId listPrice { amount } } } }"
    key = {"id": gid("Sku", offer["listed"])}
    store = gid("Store", shop.store_id)

    assert api.ask(query, key, token=buyer[0])["sku"] == {
        "listings": [{"storeId": store, "listed": True}],
        "prices": [{"storeId": store, "listPrice": {"amount": "10"}}],
    }
    assert len(api.ask(query, key)["sku"]["prices"]) == 2


def test_the_home_stores_price_is_shown_where_it_is_the_one_that_holds(api: Api, shop: Shop) -> None:
    other = Shop.open(api.server.writer, name="Third shop")
    sku = shop.sku()
    _list_in(other, sku)
    token = api.token(Role.CUSTOMER, name="third", stores=(other.store_id,), customer=other.customer())
    query = "query ($id: ID!) { sku(id: $id) { listings { storeId } prices { storeId } } }"
    key = {"id": gid("Sku", sku)}

    assert api.ask(query, key, token=token)["sku"] == {
        "listings": [{"storeId": gid("Store", other.store_id)}], "prices": [{"storeId": gid("Store", shop.store_id)}],
    }  # fmt: skip
    shop.do(PriceSku(sku_id=sku, store_id=other.store_id, **PRICES))
    assert api.ask(query, key, token=token)["sku"]["prices"] == [{"storeId": gid("Store", other.store_id)}]


def test_ones_own_order_names_what_was_ordered_though_it_is_off_sale(
    api: Api, offer: dict[str, Any], buyer: tuple[str, set[str]]
) -> None:
    """The line says what it was called and what it cost; the article itself is no longer shown."""
    query = "query ($id: ID!) { order(id: $id) { lines { skuId skuCode name amount { amount } } } }"
    [line] = api.ask(query, {"id": gid("Order", offer["order"])}, token=buyer[0])["order"]["lines"]

    assert line == {
        "skuId": gid("Sku", offer["gone"]), "skuCode": "GONE", "name": "Article GONE", "amount": {"amount": "10.00"},
    }  # fmt: skip


def test_what_a_list_found_and_has_gone_off_sale_since_is_left_out_and_the_rest_goes_on(
    api: Api, shop: Shop, offer: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log is ahead of the read model: its rows say more than is on offer."""
    token = api.token(Role.CUSTOMER, name="late", stores=(shop.store_id,), customer=offer["customer"])
    behind = {name: replace(each, on_offer=lambda _: ALL) for name, each in DIRECTORIES.items()}
    monkeypatch.setattr(queries, "DIRECTORIES", behind)
    page = """query ($after: String) {
        skus(first: 1, after: $after) { nodes { id } pageInfo { hasNextPage endCursor } }
    }"""
    found: list[dict[str, Any]] = []
    after = None
    while True:
        seen = api.ask(page, {"after": after}, token=token)["skus"]
        found += seen["nodes"]
        after = seen["pageInfo"]["endCursor"]
        if not seen["pageInfo"]["hasNextPage"]:
            break
    shown = {row["id"] for row in found}
    assert gid("Sku", offer["listed"]) in shown
    assert not shown & {gid("Sku", offer["draft"]), gid("Sku", offer["gone"])}


def test_a_buyer_names_what_was_on_offer_and_is_told_that_it_is_no_more(
    api: Api, shop: Shop, offer: dict[str, Any], buyer: tuple[str, set[str]]
) -> None:
    def refused(sku: UUID, campaign: UUID | None = None) -> str:
        fields = {
            "storeId": gid("Store", shop.store_id),
            "customerId": gid("Customer", offer["customer"]),
            "lines": [{"skuId": gid("Sku", sku), "quantity": "1"}],
            "campaignIds": [] if campaign is None else [gid("Campaign", campaign)],
        }
        [error] = api.give("placeOrder", "userErrors { code }", fields, token=buyer[0])["userErrors"]
        code: str = error["code"]
        return code

    assert refused(offer["gone"]) == "SKU_NOT_LISTED"
    assert refused(offer["draft"]) == refused(uuid4()) == "NOT_FOUND", "what never was on sale is not there"
    assert refused(offer["listed"], offer["ended"]) == refused(offer["listed"], offer["paused"]) == "CAMPAIGN_NOT_LIVE"
    assert refused(offer["listed"], offer["planned"]) == refused(offer["listed"], uuid4()) == "NOT_FOUND"
