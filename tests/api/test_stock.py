"""Stock through the API: states and batches of units, and what was there as of any moment."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from opscore.domain.command import Role
from opscore.domain.stock_commands import ReceiveStock, TakeBackStock
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
        condition="quarantined",
        batch="B1",  # type: ignore[arg-type]
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
