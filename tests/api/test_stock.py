"""Stock through the API: states and batches of units, and what was there as of any moment."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from opscore import resources
from opscore.api import stock
from opscore.domain.command import Role
from opscore.domain.sku_commands import SetStockPolicy
from opscore.domain.sku_events import StockCondition
from opscore.domain.stock_commands import ReceiveStock, ReserveStock, ShipStock, TakeBackStock
from opscore.domain.store_commands import AddLocation, SetPolicy
from tests.api.conftest import Api, gid
from tests.shop import Shop


def received(shop: Shop, sku: UUID, quantity: int, day: int, **fields: Any) -> None:
    """Take units in on a day of January 2020."""
    command = ReceiveStock(sku_id=sku, location_id=shop.location_id, quantity=Decimal(quantity), **fields)
    shop.do(command, occurred_at=datetime(2020, 1, day, 12, tzinfo=UTC))


def head(api: Api) -> dict[str, Any]:
    """Return where the log stands: position and recordedAt."""
    found: dict[str, Any] = api.ask("{ head { position recordedAt } }")["head"]
    return found


def test_units_are_put_in_quarantine_and_levels_the_ledger_and_the_article_say_so(api: Api, shop: Shop) -> None:
    sku = shop.sku(stock=10)
    given = {
        "skuId": gid("Sku", sku), "locationId": str(shop.location_id), "quantity": "4", "fromState": "AVAILABLE",
        "toState": "QUARANTINED", "reason": "smells", "document": "Q-1",
    }  # fmt: skip
    states = "levels { onHand sellable quarantined damaged }"
    payload = api.give("reclassifyStock", f"sku {{ {states} }} userErrors {{ code }} position", given)
    assert payload["userErrors"] == []
    assert payload["sku"]["levels"] == [{"onHand": "10", "sellable": "6", "quarantined": "4", "damaged": "0"}]
    again = api.give("reclassifyStock", "userErrors { code path message }", {**given, "quantity": "7"})["userErrors"]
    assert [each["code"] for each in again] == ["EXCEEDS_ON_HAND"] and "available" in again[0]["message"]

    found = api.ask(
        """query ($id: ID!, $at: Position!) {
          stockLevels(skuIds: [$id], atLeast: $at) { onHand sellable quarantined damaged }
          stockLedger(skuId: $id, last: 1, atLeast: $at) { nodes { kind onHand quarantined damaged document reason } }
          now: stockAsOf(skuId: $id, asOf: {position: $at}, atLeast: $at) {
            onHand sellable quarantined reserved allocated inTransit
          }
          before: stockAsOf(skuId: $id, asOf: {occurredAt: "2021-01-01T00:00:00Z"}) { onHand }
        }""",
        {"id": gid("Sku", sku), "at": payload["position"]},
    )
    assert found["stockLevels"] == payload["sku"]["levels"]
    assert found["stockLedger"]["nodes"] == [
        {
            "kind": "reclassified",
            "onHand": "0",
            "quarantined": "4",
            "damaged": "0",
            "document": "Q-1",
            "reason": "available to quarantined: smells",
        }
    ]
    assert found["now"] == [
        {"onHand": "10", "sellable": "6", "quarantined": "4", "reserved": "0", "allocated": "0", "inTransit": "0"}
    ]
    assert found["before"] == []


def test_who_keeps_the_stock_may_reclassify_and_who_sells_may_not(api: Api, shop: Shop) -> None:
    sku = gid("Sku", shop.sku())
    document = "query ($id: ID!) { sku(id: $id) { allowedCommands { name allowed code } } }"
    for role, allowed in ((Role.WAREHOUSE, True), (Role.FINANCE, False), (Role.EDITOR, False)):
        said = api.ask(document, {"id": sku}, token=api.token(role))["sku"]["allowedCommands"]
        [each] = [each for each in said if each["name"] == "reclassifyStock"]
        assert each["allowed"] is allowed, role


def test_what_is_left_of_batches_now_and_as_of_either_axis(api: Api, shop: Shop) -> None:
    sku = shop.sku(stock=1)
    received(shop, sku, 5, day=10, batch="B1")
    early = head(api)
    received(shop, sku, 7, day=5, batch="B2")
    back = TakeBackStock(
        sku_id=sku,
        location_id=shop.location_id,
        quantity=Decimal(2),
        condition=StockCondition.QUARANTINED,
        batch="B1",
    )
    shop.do(back)
    late = head(api)
    query = """query ($id: ID!, $as: StockAsOf, $known: StockKnownAt, $at: Position) {
      stockBatches(skuIds: [$id], asOf: $as, knownAt: $known, atLeast: $at) { batch onHand quarantined good }
    }"""

    def asked(**when: Any) -> list[tuple[str, str, str, str]]:
        found = api.ask(query, {"id": gid("Sku", sku), "at": late["position"], **when})["stockBatches"]
        return [(each["batch"], each["onHand"], each["quarantined"], each["good"]) for each in found]

    assert asked() == [("B1", "7", "2", "5"), ("B2", "7", "0", "7")]
    assert asked(**{"as": {"position": early["position"]}}) == [("B1", "5", "0", "5")]
    assert asked(**{"as": {"recordedAt": early["recordedAt"]}}) == [("B1", "5", "0", "5")]
    sixth = {"occurredAt": "2020-01-06T00:00:00Z"}
    assert asked(**{"as": sixth}) == [("B2", "7", "0", "7")]
    assert asked(**{"as": sixth, "known": {"position": early["position"]}}) == []
    in_february = {"occurredAt": "2020-02-01T00:00:00Z"}
    assert asked(**{"as": in_february, "known": {"recordedAt": early["recordedAt"]}}) == [("B1", "5", "0", "5")]
    twice = {"as": {"position": 1}, "known": {"position": 1}}
    (error,) = api.errors(query, {"id": gid("Sku", sku), **twice})
    assert error["extensions"]["code"] == "BAD_USER_INPUT" and "occurredAt" in error["message"]


def test_levels_as_of_both_axes_at_once(api: Api, shop: Shop) -> None:
    sku = shop.sku(stock=1)
    received(shop, sku, 5, day=10)
    early = head(api)
    received(shop, sku, 7, day=5)
    late = head(api)
    query = """query ($id: ID!, $as: StockAsOf!, $known: StockKnownAt, $at: Position) {
      stockAsOf(skuId: $id, asOf: $as, knownAt: $known, atLeast: $at) { onHand }
    }"""

    def on_hand(occurred_at: str | None, known: dict[str, Any] | None) -> str | None:
        as_of = {"occurredAt": occurred_at} if occurred_at else known
        variables = {
            "id": gid("Sku", sku),
            "as": as_of,
            "known": known if occurred_at else None,
            "at": late["position"],
        }
        found = api.ask(query, variables)["stockAsOf"]
        return found[0]["onHand"] if found else None

    by_position, by_time = {"position": early["position"]}, {"recordedAt": early["recordedAt"]}
    assert on_hand("2020-01-06T00:00:00Z", None) == "7"
    assert on_hand("2020-01-06T00:00:00Z", by_position) is on_hand("2020-01-06T00:00:00Z", by_time) is None
    assert on_hand("2020-01-11T00:00:00Z", None) == "12"
    assert on_hand("2020-01-11T00:00:00Z", by_position) == on_hand("2020-01-11T00:00:00Z", by_time) == "5"
    assert on_hand(None, by_position) == on_hand(None, by_time) == "6"


BALANCES = """query ($filter: StockBalanceFilter, $sort: StockBalanceSort, $at: Position) {
  stockBalances(filter: $filter, sort: $sort, first: 100, atLeast: $at) {
    totalCount nodes { skuCode category storeId locationId onHand reserved sellable lowLine isLow unitCost { amount } }
  }
}"""


def test_what_is_low_or_sold_out_is_found_over_all_articles_and_places(api: Api, shop: Shop) -> None:
    annex = UUID(int=7)
    shop.do(AddLocation(store_id=shop.store_id, name="Annex", location_id=annex))
    few, many, gone = shop.sku("few", stock=3, cost="2.50"), shop.sku("many", stock=50), shop.sku("gone", stock=2)
    for sku in (few, many):
        shop.do(SetStockPolicy(sku_id=sku, low_line=Decimal(9)))
        shop.do(SetStockPolicy(sku_id=sku, low_line=Decimal(5)))
        shop.do(ReceiveStock(sku_id=sku, location_id=annex, quantity=Decimal(1)))
    shop.do(shop.order((gone, 2)))
    at = head(api)["position"]

    def found(filter_: dict[str, Any] | None = None, **more: Any) -> list[tuple[str, str]]:
        given = {"filter": {"and": [{"skuId": {"in": [gid("Sku", sku) for sku in (few, many, gone)]}}, filter_ or {}]}}
        answer = api.ask(BALANCES, {**given, "at": at, **more})["stockBalances"]
        assert answer["totalCount"] == len(answer["nodes"])
        places = {str(shop.location_id): "front", str(annex): "annex"}
        return [(each["skuCode"], places[each["locationId"]]) for each in answer["nodes"]]

    assert [code for code, _ in found()] == ["few", "few", "gone", "many", "many"]
    assert set(found({"isLow": True})) == {("few", "front"), ("few", "annex")}, "one unit of many elsewhere is enough"
    assert found({"sellable": {"to": "0"}}) == [("gone", "front")]
    assert found({"onHand": {"to": "1"}, "locationId": {"eq": str(annex)}, "skuCode": {"startsWith": "m"}}) == [
        ("many", "annex")
    ]
    most = found(sort={"by": "ON_HAND", "direction": "DESC"})
    assert most[:3] == [("many", "front"), ("few", "front"), ("gone", "front")]

    row = {"skuId": {"eq": gid("Sku", few)}, "locationId": {"eq": str(shop.location_id)}}
    [shown] = api.ask(BALANCES, {"filter": row, "at": at})["stockBalances"]["nodes"]
    assert shown == {
        "skuCode": "few", "category": "gifts", "storeId": gid("Store", shop.store_id),
        "locationId": str(shop.location_id), "onHand": "3", "reserved": "0", "sellable": "3", "lowLine": "5",
        "isLow": True, "unitCost": {"amount": "2.5"},
    }  # fmt: skip
    keeper = api.ask(BALANCES, {"filter": row, "at": at}, token=api.token(Role.WAREHOUSE))["stockBalances"]["nodes"]
    assert keeper == [{**shown, "unitCost": None}], "the warehouse sees no cost"
    [refused] = api.errors(BALANCES, {"filter": row}, token=api.token(Role.STOREFRONT))
    assert refused["extensions"]["code"] == "FORBIDDEN"


def test_the_schema_names_every_kind_of_movement_that_the_ledger_has(api: Api) -> None:
    projections = resources.path("projections")
    text = (projections / "stock_ledger" / "apply.sql").read_text("utf-8")
    kinds = set(re.findall(r"'(\w+)'(?: AS kind)?, occurred_at", text))
    shown = api.ask('{ movement: __type(name: "StockMovement") { fields { name description } } }')["movement"]
    [said] = [each["description"] for each in shown["fields"] if each["name"] == "kind"]

    assert set(re.findall(r"\w+", said.removeprefix("What it was:"))) == kinds
    valued = (projections / "stock_valuation" / "apply.sql").read_text("utf-8")
    assert {kind for kind in kinds if f"'{kind}'" in valued} == kinds - stock.UNVALUED


# What stock is worth -------------------------------------------------------------------------------------------------


def first_in_first_out(api: Api, name: str) -> Shop:
    """Open a store that values its stock by FIFO."""
    shop = Shop.open(api.server.writer, name=name)
    shop.do(SetPolicy(store_id=shop.store_id, kind="costing", params={"method": "fifo"}))
    return shop


def test_every_value_of_a_fifo_store_follows_its_policy(api: Api) -> None:
    # 10 at 4.00 and 10 at 6.00; 15 leave: 10 at 4.00 and 5 at 6.00, 70.00. 5 at 6.00 are left, 30.00; an average would
    # say 75.00 and 25.00.
    shop = first_in_first_out(api, "FIFO shop")
    sku = shop.sku("F-1", stock=10, cost="4.00")
    here = {"sku_id": sku, "location_id": shop.location_id}
    shop.do(ReceiveStock(**here, quantity=Decimal(10), unit_cost=Decimal(6)))
    shop.do(ReserveStock(**here, quantity=Decimal(15), reference="fair"))
    shop.do(ShipStock(sku_id=sku, reference="fair"))
    found = api.ask(
        """query ($id: ID!, $store: ID!, $at: Position!, $day: Date!) {
          stockLevels(skuIds: [$id], atLeast: $at) { unitCost { amount } }
          stockWorth(first: 1, storeIds: [$store], atLeast: $at) { quantity unitCost { amount } value { amount } }
          stockTotals(storeIds: [$store], atLeast: $at) { currencyCode skus value { amount } }
          stockValuation(skuIds: [$id], atLeast: $at) { quantity value { amount } }
          stockLayers(skuIds: [$id], atLeast: $at) { number quantity unitCost { amount } }
          stockLedger(skuId: $id, first: 10, atLeast: $at) {
            nodes { kind unitCost { amount } value { amount } adjustment { amount } runningValue { amount } }
          }
          cogsPeriods(grain: DAY, fromDay: $day, toDay: $day, storeIds: [$store], atLeast: $at) {
            shipped { amount } returned { amount } costOfGoods { amount }
          }
        }""",
        {
            "id": gid("Sku", sku), "store": gid("Store", shop.store_id), "at": head(api)["position"],
            "day": str(datetime.now(UTC).date()),
        },
    )  # fmt: skip
    assert found["stockLevels"] == [{"unitCost": {"amount": "6"}}]
    assert found["stockWorth"] == [{"quantity": "5", "unitCost": {"amount": "6"}, "value": {"amount": "30.00"}}]
    assert found["stockTotals"] == [{"currencyCode": "GBP", "skus": 1, "value": {"amount": "30.00"}}]
    assert found["stockValuation"] == [{"quantity": "5", "value": {"amount": "30.00"}}]
    assert found["stockLayers"] == [{"number": 1, "quantity": "5", "unitCost": {"amount": "6"}}]
    lines = [
        (line["kind"], line["value"]["amount"], line["runningValue"]["amount"])
        for line in found["stockLedger"]["nodes"]
    ]
    assert lines == [
        ("received", "40.00", "40.00"),
        ("received", "60.00", "100.00"),
        ("reserved", "0.00", "100.00"),
        ("shipped", "-70.00", "30.00"),
    ]
    costs = [line["unitCost"] for line in found["stockLedger"]["nodes"]]
    assert costs == [{"amount": "4"}, {"amount": "6"}, None, {"amount": "4.666667"}]
    cost = {"shipped": {"amount": "70.00"}, "returned": {"amount": "0.00"}, "costOfGoods": {"amount": "70.00"}}
    assert found["cogsPeriods"] in ([cost], []), "the day may have turned in between"


def test_what_came_late_corrects_a_line_of_its_own_and_can_be_turned_page_by_page(api: Api) -> None:
    shop = first_in_first_out(api, "Late FIFO shop")
    sku = shop.sku("F-2", stock=10, cost="8.00")
    here = {"sku_id": sku, "location_id": shop.location_id}
    shop.do(ReserveStock(**here, quantity=Decimal(2), reference="fair"))
    shop.do(ShipStock(sku_id=sku, reference="fair"))
    known = head(api)
    received(shop, sku, 1, day=3, unit_cost=Decimal(5))
    at = head(api)["position"]
    query = """query ($id: ID!, $at: Position!, $after: String, $known: StockKnownAt) {
      valuedMovements(skuId: $id, first: 1, after: $after, knownAt: $known, atLeast: $at) {
        totalCount pageInfo { hasNextPage endCursor }
        nodes { kind method quantity value { amount } adjustment { amount } runningValue { amount } }
      }
    }"""
    found, after, counts = [], None, set()
    while True:
        page = api.ask(query, {"id": gid("Sku", sku), "at": at, "after": after})["valuedMovements"]
        found += [(n["kind"], n["quantity"], n["value"]["amount"], n["adjustment"]["amount"]) for n in page["nodes"]]
        counts.add(page["totalCount"])
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert found == [
        ("received", "1", "5.00", "0.00"), ("received", "10", "80.00", "0.00"), ("shipped", "-2", "-16.00", "3.00"),
    ]  # fmt: skip
    assert counts == {3}
    before = {"id": gid("Sku", sku), "at": at, "known": {"recordedAt": known["recordedAt"]}}
    assert api.ask(query, before)["valuedMovements"]["totalCount"] == 2
    learnt = api.ask(
        """query ($id: ID!, $at: Position!) {
          stockAdjustments(skuId: $id, first: 10, atLeast: $at) {
            nodes { causePosition position kind value { amount } costOfGoods { amount } }
          }
        }""",
        {"id": gid("Sku", sku), "at": at},
    )["stockAdjustments"]["nodes"]
    assert [(each["kind"], each["value"]["amount"], each["costOfGoods"]["amount"]) for each in learnt] == [
        ("shipped", "3.00", "-3.00")
    ]
    assert learnt[0]["causePosition"] <= at


def test_what_stock_was_worth_as_of_both_axes(api: Api, shop: Shop) -> None:
    sku = shop.sku(stock=10, cost="4.00")
    early = head(api)
    received(shop, sku, 10, day=1, unit_cost=Decimal(2))
    late = head(api)["position"]
    query = """query ($id: ID!, $happened: DateTime, $recorded: DateTime, $known: Position, $at: Position!) {
      stockValuation(skuIds: [$id], occurredAt: $happened, recordedAt: $recorded, knownAt: $known, atLeast: $at) {
        quantity value { amount }
      }
    }"""

    def worth(**when: Any) -> list[tuple[str, str]]:
        found = api.ask(query, {"id": gid("Sku", sku), "at": late, **when})["stockValuation"]
        return [(each["quantity"], each["value"]["amount"]) for each in found]

    assert worth() == [("20", "60.00")]
    assert worth(happened="2021-01-01T00:00:00Z") == [("10", "20.00")]
    assert worth(recorded=early["recordedAt"]) == worth(known=early["position"]) == [("10", "40.00")]
    nothing = worth(happened="2021-01-01T00:00:00Z", recorded=early["recordedAt"])
    assert nothing in ([], [("0", "0.00")])
    wrong = {"id": gid("Sku", sku), "at": late, "recorded": early["recordedAt"], "known": 1}
    (error,) = api.errors(query, wrong)
    assert error["extensions"]["code"] == "BAD_USER_INPUT"


def test_cost_of_goods_is_asked_for_in_days_of_a_zone_that_there_is(api: Api) -> None:
    query = """query ($z: String!) {
      cogsPeriods(grain: MONTH, fromDay: "1990-01-01", toDay: "1990-01-31", timeZone: $z) { startsOn }
    }"""
    assert api.ask(query, {"z": "Asia/Shanghai"})["cogsPeriods"] == []
    (error,) = api.errors(query, {"z": "Mars/Olympus"})
    assert error["extensions"]["code"] == "BAD_USER_INPUT" and "Europe/London" in error["message"]
