"""Who sees what: every path tried with another store's token and with another customer's; and what tokens are."""

# ruff: noqa: E501 -- GraphQL documents read better unbroken.

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from typer.testing import CliRunner

from opscore.cli import app
from opscore.domain.campaign_commands import PlanCampaign
from opscore.domain.campaign_events import CampaignGoal, CampaignKind, CampaignType
from opscore.domain.campaign_resources import PlanResource
from opscore.domain.command import Role
from opscore.domain.order_commands import PayOrder
from opscore.permissions import commands_of
from opscore.tokens import TokenBook, TokenRefused, create_token, list_tokens, revoke_token, token_hash
from tests.api.conftest import Api, gid
from tests.api.socket_client import socket
from tests.conftest import MASTER_KEY
from tests.shop import Shop


@pytest.fixture(scope="module")
def two(api: Api) -> dict[str, Any]:
    """Two stores that have one of everything each."""
    found: dict[str, Any] = {}
    for name in ("mine", "other"):
        shop = Shop.open(api.server.writer, name=f"Shop {name}")
        sku = shop.sku(f"S-{name}", stock=10)
        customer = shop.customer()
        order = shop.do(shop.order((sku, 1), customer_id=customer, external_reference="R-1"))
        shop.do(PayOrder(order_id=order, amount_minor=1000, method="card", currency="GBP"))
        campaign = shop.do(
            PlanCampaign(
                store_id=shop.store_id,
                name=f"Sale {name}",
                goal=CampaignGoal(next(iter(CampaignGoal))),
                kind=CampaignKind(next(iter(CampaignKind))),
                type=CampaignType(next(iter(CampaignType))),
                store_ids=(shop.store_id,),
            )
        )
        shop.do(
            PlanResource(
                campaign_id=campaign, channel="display", form="banner", placement="home page", budget_minor=100,
                currency="GBP", starts_at=datetime.now(UTC), ends_at=datetime.now(UTC) + timedelta(days=1),
                needs_review=True,
            )
        )  # fmt: skip
        found[name] = {
            "shop": shop, "Store": shop.store_id, "Sku": sku, "Customer": customer, "Order": order, "Campaign": campaign,
        }  # fmt: skip
    found["position"] = api.server.services.log.head().position
    api.ask("query ($p: Position) { orders(first: 1, atLeast: $p) { nodes { id } } }", {"p": found["position"]})
    api.ask("query ($p: Position) { stockTotals(atLeast: $p) { skus } }", {"p": found["position"]})
    return found


@pytest.fixture(scope="module")
def mine(api: Api, two: dict[str, Any]) -> str:
    return api.token(Role.OWNER, name="mine", stores=(two["mine"]["Store"],))


def test_asked_at_the_same_moment_each_sees_what_is_theirs(api: Api, two: dict[str, Any], mine: str) -> None:
    theirs = api.token(Role.OWNER, name="theirs", stores=(two["other"]["Store"],))
    asked = [(whose, token) for whose in ("mine", "other") for token in (mine, theirs)] * 30

    def ask(question: tuple[str, str]) -> str | None:
        order = gid("Order", two[question[0]]["Order"])
        found = api.ask("query ($id: ID!) { order(id: $id) { id } }", {"id": order}, token=question[1])["order"]
        return None if found is None else found["id"]

    # What is asked for together is read together; who may see it is still decided for each who asks.
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, asked))
    for (whose, token), answer in zip(asked, answers, strict=True):
        seen = (whose == "mine") == (token == mine)
        assert answer == (gid("Order", two[whose]["Order"]) if seen else None)


@pytest.mark.parametrize("kind", ["Store", "Sku", "Order", "Campaign", "Customer"])
@pytest.mark.parametrize("as_of", ["", ", asOf: {version: 1}", ", asOf: {position: 1000}"])
def test_what_is_another_stores_is_not_there(api: Api, two: dict[str, Any], mine: str, kind: str, as_of: str) -> None:
    field = kind.lower()
    for whose, seen in (("mine", True), ("other", False)):
        id_ = gid(kind, two[whose][kind])
        for query in (
            f"query ($id: ID!) {{ found: {field}(id: $id{as_of}) {{ id }} }}",
            "query ($id: ID!) { found: node(id: $id) { id } }",
        ):
            assert (api.ask(query, {"id": id_}, token=mine)["found"] is not None) is seen, query
        [node] = api.ask("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", {"ids": [id_]}, token=mine)["nodes"]
        assert (node is not None) is seen


def test_lists_and_figures_hold_the_rows_of_ones_own_stores_alone(api: Api, two: dict[str, Any], mine: str) -> None:
    other = two["other"]
    day = datetime.now(UTC).date()
    everything = api.post(
        {
            "query": """
            query ($from: Date!, $to: Date!, $before: DateTime!, $skus: [ID!]!, $stores: [ID!]!) {
              stores(first: 100) { nodes { id name } }
              skus(first: 100) { nodes { id code } }
              orders(first: 100) { nodes { id storeId customer { id } lines { skuId } } }
              ofThem: orders(first: 100, filter: {storeId: {in: $stores}}) { nodes { id } }
              campaigns(first: 100) { nodes { id name } }
              customers(first: 100) { nodes { id } }
              orderStates { storeId }
              ordersDue(before: $before) { orderId }
              campaignsDue(before: $before) { campaignId storeId }
              orderCount { orders }
              topSkus { skuCode }
              kpiDaily(fromDay: $from, toDay: $to) { storeId orders }
              kpiTotals(fromDay: $from, toDay: $to) { orders }
              theirs: kpiTotals(fromDay: $from, toDay: $to, storeIds: $stores) { orders }
              stockLevels(skuIds: $skus) { skuId }
            }
            """,
            "variables": {
                "from": str(day - timedelta(days=3)), "to": str(day + timedelta(days=3)),
                "before": (datetime.now(UTC) + timedelta(days=100)).isoformat(),
                "skus": [gid("Sku", other["Sku"])], "stores": [gid("Store", other["Store"])],
            },
        },
        token=mine,
    )  # fmt: skip
    more = api.post(
        {
            "query": """
            query ($skus: [ID!]!, $sku: ID!, $customers: [ID!]!, $campaigns: [ID!]!, $store: ID!, $day: Date!, $key: JSON!) {
              stockLedger(skuId: $sku, first: 100) { nodes { position } }
              stockAsOf(skuId: $sku, asOf: {position: 1000}) { onHand }
              stockBatches(skuIds: $skus) { skuCode }
              stockWorth(first: 100) { skuCode }
              stockTotals { skus }
              stockValuation(skuIds: $skus) { skuCode }
              stockMovementTotals(skuIds: $skus) { skuCode }
              customerCards(customerIds: $customers) { customerId }
              campaignResults(campaignIds: $campaigns) { name }
              skuByCode(storeId: $store, code: "S-other") { id }
              orderByExternalReference(storeId: $store, externalReference: "R-1") { id }
              kpiExplain(storeId: $store, day: $day, currencyCode: "GBP", first: 10) { nodes { position } }
              explain(projection: "stock_ledger", cell: "stock_values", key: $key, first: 10) { nodes { position } }
              events(first: 100) { nodes { storeId streamId } }
              ofThem: events(first: 100, filter: {storeIds: [$store]}) { nodes { storeId } }
            }
            """,
            "variables": {
                "skus": [gid("Sku", other["Sku"])], "sku": gid("Sku", other["Sku"]), "day": str(day),
                "customers": [gid("Customer", other["Customer"])], "campaigns": [gid("Campaign", other["Campaign"])],
                "store": gid("Store", other["Store"]), "key": {"sku_id": str(gid("Sku", other["Sku"]))},
            },
        },
        token=mine,
    )  # fmt: skip
    worth = api.ask(
        """query ($skus: [ID!]!, $sku: ID!, $day: Date!) {
          stockLayers(skuIds: $skus) { skuId }
          valuedMovements(skuId: $sku, first: 100) { nodes { position } }
          stockAdjustments(skuId: $sku, first: 100) { nodes { position } }
          cogsPeriods(grain: DAY, fromDay: $day, toDay: $day, skuIds: $skus) { startsOn }
        }""",
        {"skus": [gid("Sku", other["Sku"])], "sku": gid("Sku", other["Sku"]), "day": str(day)},
        token=mine,
    )
    assert worth["stockLayers"] == worth["cogsPeriods"] == []
    assert worth["valuedMovements"]["nodes"] == worth["stockAdjustments"]["nodes"] == []
    data, further = everything.json(), more.json()
    assert "errors" not in data, data["errors"]
    assert "errors" not in further, further["errors"]
    text = everything.text + more.text
    for kind in ("Store", "Sku", "Order", "Campaign", "Customer"):
        assert gid(kind, other[kind]) not in text, kind
        assert str(other[kind]) not in text, kind
    assert "other" not in text
    data, further = data["data"], further["data"]
    assert data["orderCount"] == [{"orders": 1}] and data["kpiTotals"] == [{"orders": 1}]
    assert [each["storeId"] for each in data["campaignsDue"]] == [gid("Store", two["mine"]["Store"])]
    assert data["ofThem"]["nodes"] == data["theirs"] == data["stockLevels"] == []
    for name in ("stockLedger", "kpiExplain", "explain", "ofThem"):
        assert further[name]["nodes"] == [], name
    for name in (
        "stockAsOf",
        "stockBatches",
        "stockValuation",
        "stockMovementTotals",
        "customerCards",
        "campaignResults",
    ):
        assert further[name] == [], name
    assert further["skuByCode"] is None and further["orderByExternalReference"] is None
    assert further["stockTotals"] == [{"skus": 1}] and [each["skuCode"] for each in further["stockWorth"]] == ["S-mine"]
    assert {each["storeId"] for each in further["events"]["nodes"]} == {gid("Store", two["mine"]["Store"])}


def test_a_command_on_another_stores_object_is_answered_like_one_on_nothing(
    api: Api, two: dict[str, Any], mine: str
) -> None:
    def refusal(order: UUID) -> dict[str, Any]:
        fields = {"orderId": gid("Order", order), "amountMinor": 1, "currency": "GBP", "method": "card"}
        [error] = api.give("payOrder", "userErrors { code message path ids }", fields, token=mine)["userErrors"]
        found: dict[str, Any] = error
        assert found.pop("ids") == [gid("Order", order)]
        return found

    assert refusal(two["other"]["Order"]) == refusal(uuid4())
    assert refusal(uuid4())["code"] == "NOT_FOUND"


def test_a_customer_sees_itself_and_its_own_orders(api: Api, two: dict[str, Any]) -> None:
    shop: Shop = two["mine"]["shop"]
    somebody = shop.customer()
    theirs = shop.do(shop.order((two["mine"]["Sku"], 1), customer_id=somebody))
    position = api.server.services.log.head().position
    token = api.token(Role.CUSTOMER, name="c1", customer=two["mine"]["Customer"])
    own = gid("Order", two["mine"]["Order"])

    found = api.ask(
        """
        query ($own: ID!, $theirs: ID!, $me: ID!, $else: ID!, $sku: ID!, $p: Position) {
          own: order(id: $own) { id }
          theirs: order(id: $theirs) { id }
          node: node(id: $theirs) { id }
          me: customer(id: $me) { id }
          else: customer(id: $else) { id }
          orders(first: 100, atLeast: $p) { nodes { id } }
          asked: orders(first: 100, filter: {customerId: {eq: $else}}) { nodes { id } }
          customerCards(customerIds: [$me, $else]) { customerId }
          sku(id: $sku) { prices { listPrice { amount } cost { amount } } }
        }
        """,
        {
            "own": own,
            "theirs": gid("Order", theirs),
            "me": gid("Customer", two["mine"]["Customer"]),
            "else": gid("Customer", somebody),
            "sku": gid("Sku", two["mine"]["Sku"]),
            "p": position,
        },
        token=token,
    )
    assert found["own"] and found["me"]
    assert found["theirs"] is found["node"] is found["else"] is None
    assert [each["id"] for each in found["orders"]["nodes"]] == [own]
    assert found["asked"]["nodes"] == []
    assert [each["customerId"] for each in found["customerCards"]] == [gid("Customer", two["mine"]["Customer"])]
    assert found["sku"]["prices"][0] == {"listPrice": {"amount": "10"}, "cost": None}


def test_cost_is_seen_by_those_who_may(api: Api, two: dict[str, Any]) -> None:
    query = "query ($id: ID!) { sku(id: $id) { prices { cost { amount } } } stockLevels(skuIds: [$id]) { unitCost { amount } } }"
    for role, seen in ((Role.MANAGER, True), (Role.AUDITOR, True), (Role.WAREHOUSE, False), (Role.STOREFRONT, False)):
        found = api.ask(query, {"id": gid("Sku", two["mine"]["Sku"])}, token=api.token(role))
        costs = [price["cost"] for price in found["sku"]["prices"]]
        assert any(costs) is seen, role
        assert (found["stockLevels"][0]["unitCost"] is not None) is seen, role


# Who asks -----------------------------------------------------------------------------------------------------------


def test_the_viewer_is_told_what_it_may_do(api: Api, two: dict[str, Any]) -> None:
    token = api.token(Role.WAREHOUSE, name="w", stores=(two["mine"]["Store"],))
    viewer = api.ask("{ viewer { name role storeIds commands } }", token=token)["viewer"]

    assert viewer == {
        "name": "w",
        "role": "WAREHOUSE",
        "storeIds": [gid("Store", two["mine"]["Store"])],
        "commands": sorted(commands_of(Role.WAREHOUSE)),
    }


# Tokens --------------------------------------------------------------------------------------------------------------


def test_a_token_is_kept_as_its_hash_alone(api: Api) -> None:
    _, token = create_token(api.server.database, "somebody", Role.AUDITOR)

    with api.server.database.connect() as connection:
        rows = connection.execute("SELECT * FROM api_tokens").fetchall()
    assert token not in str(rows) and token.removeprefix("opscore_") not in str(rows)
    assert token_hash(token) in [bytes(row[1]) for row in rows]


def test_a_revoked_token_is_dead_within_seconds_and_an_expired_one_at_once(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = api.server.database
    book = TokenBook(database)
    token_id, token = create_token(database, "leaving", Role.AUDITOR)
    bearer = f"Bearer {token}"
    assert book.recall(bearer) is None
    assert book.ask(bearer).id == "leaving"
    assert book.recall(bearer) is not None

    assert revoke_token(database, token_id)
    assert not revoke_token(database, token_id)
    monkeypatch.setattr("opscore.tokens.TRUSTED_SECONDS", 0.0)
    assert book.recall(bearer) is None
    with pytest.raises(TokenRefused):
        book.ask(bearer)
    with pytest.raises(TokenRefused):
        TokenBook(database).ask(bearer)

    _, short = create_token(database, "short", Role.AUDITOR, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    with pytest.raises(TokenRefused):
        TokenBook(database).ask(f"Bearer {short}")


def test_the_use_of_a_token_is_noted(api: Api) -> None:
    token_id, token = create_token(api.server.database, "used", Role.AUDITOR)
    api.ask("{ viewer { name } }", token=token)

    [row] = [row for row in list_tokens(api.server.database) if row.id == token_id]
    assert row.last_used_at is not None


@pytest.mark.parametrize(
    ("name", "role", "customer"), [("", Role.OWNER, None), ("x", Role.CUSTOMER, None), ("x", Role.OWNER, UUID(int=1))]
)
def test_a_token_that_makes_no_sense_is_not_made(api: Api, name: str, role: Role, customer: UUID | None) -> None:
    with pytest.raises(ValueError, match="token"):
        create_token(api.server.database, name, role, customer_id=customer)


def test_a_crowd_with_one_token_asks_the_database_about_it_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    token = api.token(Role.AUDITOR, name="crowd")
    asked = []
    real = api.server.services.tokens.ask

    def slow(authorization: str | None, role: str | None) -> Any:
        asked.append(authorization)
        time.sleep(0.3)
        return real(authorization, role)

    monkeypatch.setattr(api.server.services.tokens, "ask", slow)
    with ThreadPoolExecutor(8) as crowd:
        answers = list(
            crowd.map(lambda _: api.post({"query": "{ viewer { name } }"}, token=token).status_code, range(8))
        )

    assert answers == [200] * 8
    assert len(asked) == 1


# What a token is for -------------------------------------------------------------------------------------------------


def scoped(api: Api, role: Role, *scopes: str) -> str:
    """Return a token that is for these alone."""
    return create_token(api.server.database, f"for {' '.join(scopes)}", role, scopes=scopes)[1]


def test_a_token_is_good_for_what_it_was_given_for_alone(api: Api, two: dict[str, Any]) -> None:
    order = gid("Order", two["mine"]["Order"])
    asks = "query ($id: ID!) { order(id: $id) { id } }"
    lists = "{ orders(first: 1) { nodes { id } } }"
    fields = {"orderId": order, "reason": "packing"}

    reader = scoped(api, Role.MANAGER, "read")
    assert api.ask(asks, {"id": order}, token=reader) and api.ask(lists, token=reader)
    [error] = api.give("discloseOrderContact", "userErrors { code message }", fields, token=reader)["userErrors"]
    assert error["code"] == "NOT_AUTHORISED" and "not given for discloseOrderContact" in error["message"]

    one = scoped(api, Role.MANAGER, "discloseOrderContact", "order")
    assert api.give("discloseOrderContact", "userErrors { code }", fields, token=one)["userErrors"] == []
    assert api.ask(asks, {"id": order}, token=one)["order"]
    [error] = api.errors(lists, token=one)
    assert error["extensions"]["code"] == "FORBIDDEN" and "not given for orders" in error["message"]
    [refused] = api.give("confirmOrder", "userErrors { code }", {"orderId": order}, token=one)["userErrors"]
    assert refused["code"] == "NOT_AUTHORISED"


def test_a_scope_gives_no_role_more_than_it_may(api: Api) -> None:
    token = scoped(api, Role.WAREHOUSE, "write", "kpiTotals")

    [error] = api.errors('{ kpiTotals(fromDay: "2026-01-01", toDay: "2026-01-02") { orders } }', token=token)
    assert error["extensions"]["code"] == "FORBIDDEN"


def test_what_can_be_followed_is_a_question_of_scope_too(api: Api) -> None:
    with socket(api.url, scoped(api, Role.AUDITOR, "head")) as client:
        client.subscribe("subscription { events { position } }")
        assert client.receive()["payload"][0]["extensions"]["code"] == "FORBIDDEN"
    with socket(api.url, scoped(api, Role.AUDITOR, "events")) as client:
        client.subscribe("subscription { events(after: 0) { position } }")
        assert client.next() == {"events": {"position": 1}}


def test_the_viewer_is_told_what_its_token_is_for(api: Api) -> None:
    viewer = api.ask("{ viewer { commands scopes } }", token=scoped(api, Role.OWNER, "payOrder", "orders"))["viewer"]

    assert viewer == {"commands": ["payOrder"], "scopes": ["orders", "payOrder"]}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"store_ids": [UUID(int=9)]}, "There is no store"),
        ({"role": Role.CUSTOMER, "customer_id": UUID(int=9)}, "There is no customer"),
        ({"scopes": ["everything"]}, "no scope everything"),
        ({"scopes": ["SkuPrice.cost"]}, "no scope"),
        ({"scopes": ["priceSkuInBulk"]}, "no scope"),
        ({"role": Role.SYSTEM}, "program's own"),
    ],
)
def test_a_token_for_what_is_not_there_is_not_made(api: Api, more: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        create_token(api.server.database, "nobody", **{"role": Role.MANAGER, **more})


def test_a_token_of_one_kind_of_thing_is_not_of_another(api: Api, two: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="There is no store"):
        create_token(api.server.database, "x", Role.MANAGER, store_ids=[two["mine"]["Order"]])


def test_the_command_line_takes_ids_as_the_api_shows_them(api: Api, two: dict[str, Any]) -> None:
    url = api.server.settings.database_url
    assert url is not None
    environment = {"OPSCORE_DATABASE_URL": url.get_secret_value(), "OPSCORE_MASTER_KEY": MASTER_KEY}

    def opscore(*words: str) -> str:
        return CliRunner().invoke(app, ["token", *words], env=environment).output

    store, customer = two["mine"]["Store"], two["mine"]["Customer"]
    for name, given in (("by-gid", gid("Store", store)), ("by-uuid", str(store))):
        assert "token  opscore_" in opscore("create", name, "--role", "service", "--store", given, "--scope", "read")
    bought = opscore("create", "buyer-7", "--role", "customer", "--customer", gid("Customer", customer))
    assert "token  opscore_" in bought

    rows = {row.name: row for row in list_tokens(api.server.database)}
    assert rows["by-gid"].store_ids == rows["by-uuid"].store_ids == [store]
    assert str(customer) in opscore("list")
    assert "There is no store" in opscore("create", "x", "--role", "service", "--store", str(uuid4()))
    assert "neither the global id of a store" in opscore(
        "create", "x", "--role", "service", "--store", gid("Sku", store)
    )
