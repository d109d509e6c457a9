"""Hero articles over the API: named for a month, shown with what they are, and what share of sales they have."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

from opscore.domain.command import Role
from opscore.domain.order_recording import RecordedLine, RecordOrder
from opscore.domain.sku_commands import DelistSku
from opscore.domain.sku_events import DelistReason
from tests.api.conftest import Api, gid
from tests.shop import Shop

NAMED = "store { heroSkus { month skuIds skus { id code name } } } userErrors { code message path ids }"
SHARE = """
query ($stores: [ID!], $by: KpiSlice, $p: Position) {
  kpi(
    code: "K046", fromDay: "2024-01-01", toDay: "2024-01-31", grain: MONTH, storeIds: $stores, by: $by, atLeast: $p
  ) { rows { slice value numerator denominator } }
}
"""
MONTH = "2024-01-01"


def test_heroes_are_named_by_who_runs_campaigns_and_their_share_is_told(api: Api) -> None:
    shop = Shop.open(api.server.writer, f"Shop {uuid4()}")
    goods = [shop.sku(f"HERO-{number}", stock=10) for number in range(4)]
    store, heroes = gid("Store", shop.store_id), [gid("Sku", sku) for sku in goods]
    promoter = api.token(Role.PROMOTER)

    def name(*sku_ids: str, token: str = promoter, month: str = MONTH) -> dict[str, Any]:
        given = {"storeId": store, "month": month, "skuIds": list(sku_ids), "occurredAt": f"{MONTH}T00:00:00Z"}
        return api.give("setHeroSkus", NAMED, given, token=token)

    named = name(*heroes[:3])
    assert named["userErrors"] == []
    [january] = named["store"]["heroSkus"]
    assert (january["month"], january["skuIds"]) == (MONTH, heroes[:3])
    assert [(each["id"], each["code"]) for each in january["skus"]] == [
        (sku, f"HERO-{number}") for number, sku in enumerate(heroes[:3])
    ]

    [count] = name(*heroes[:2])["userErrors"]
    assert (count["code"], count["path"]) == ("HERO_COUNT_OUT_OF_RANGE", ["skuIds"])
    [twice] = name(*heroes[:3], heroes[0])["userErrors"]
    assert (twice["code"], twice["path"]) == ("INVALID_FIELD", ["skuIds", "3"])
    shop.do(DelistSku(sku_id=goods[3], reason=DelistReason.SEASON))
    [gone] = name(*heroes[1:], month="2024-02-01")["userErrors"]
    assert (gone["code"], gone["path"], gone["ids"]) == ("SKU_NOT_LISTED", ["skuIds", "2"], [heroes[3]])
    [late] = name(*heroes[:3], month="2023-12-01")["userErrors"]
    assert (late["code"], late["path"]) == ("PERIOD_SETTLED", ["month"])
    [other] = name(*heroes[:3], token=api.token(Role.WAREHOUSE))["userErrors"]
    assert other["code"] == "NOT_AUTHORISED"

    lines = tuple(
        RecordedLine(sku_id=sku, quantity=Decimal(units), unit_price=Decimal(10))
        for sku, units in ((goods[0], 3), (goods[3], 1))
    )
    day = datetime(2024, 1, 9, 12, tzinfo=UTC)
    shop.do(RecordOrder(store_id=shop.store_id, lines=lines), occurred_at=day)

    def share(by: str | None = None) -> list[tuple[str | None, ...]]:
        asked = {"stores": [store], "by": by, "p": api.server.services.log.head().position}
        rows = api.ask(SHARE, asked, token=promoter)["kpi"]["rows"]
        return [(row["slice"], row["value"], row["numerator"], row["denominator"]) for row in rows]

    assert share() == [(None, "0.75", "30", "40")]
    assert share("SKU") == [(heroes[0], "0.75", "30", "40")]


def test_a_list_is_shown_as_it_was_and_not_to_the_front_of_the_shop(api: Api) -> None:
    shop = Shop.open(api.server.writer, f"Shop {uuid4()}")
    goods = [shop.sku(stock=1) for _ in range(5)]
    store = gid("Store", shop.store_id)

    def name(*places: int) -> None:
        given = {"storeId": store, "month": "2099-01-01", "skuIds": [gid("Sku", goods[place]) for place in places]}
        assert api.give("setHeroSkus", NAMED, given)["userErrors"] == []

    def shown(**more: Any) -> list[list[str]]:
        query = "query ($id: ID!, $at: AsOf) { store(id: $id, asOf: $at) { heroSkus { skus { id } } } }"
        found = api.ask(query, {"id": store, "at": more.get("at")}, token=more.get("token", ""))
        return [[sku["id"] for sku in each["skus"]] for each in found["store"]["heroSkus"]]

    name(0, 1, 2)
    early = {"position": api.server.services.log.head().position}
    name(4, 3, 2, 1)
    assert shown() == [[gid("Sku", goods[place]) for place in (4, 3, 2, 1)]]
    assert shown(at=early) == [[gid("Sku", goods[place]) for place in (0, 1, 2)]]
    assert shown(token=api.token(Role.STOREFRONT)) == []
    assert shown(token=api.token(Role.AUDITOR)) == shown()
