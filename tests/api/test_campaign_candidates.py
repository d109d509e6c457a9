"""What may go into the next campaign: heroes first, then by what is asked for, with the figures behind it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest

from opscore.domain.command import Role
from opscore.domain.order_recording import RecordedLine, RecordOrder
from opscore.domain.sku_commands import DelistSku, ListSku, PriceSku
from opscore.domain.sku_events import DelistReason
from opscore.domain.stock_commands import ReceiveStock
from opscore.domain.store_heroes import SetHeroSkus
from tests.api.conftest import Api, gid
from tests.shop import Shop

CANDIDATES = """
query ($store: ID!, $by: CandidateOrder!, $first: Int! = 20, $p: Position) {
  campaignCandidates(storeId: $store, by: $by, first: $first, atLeast: $p) {
    skuId skuCode name hero units listPrice { amount } marketPrice { amount } cut sellable coverDays
  }
}
"""


ZONE = f"Etc/GMT{datetime.now(UTC).hour - 12:+d}"
"""A zone in which it is about noon, so that today lasts as long as the tests; those names count hours westwards."""


@pytest.fixture
def shop(api: Api) -> Shop:
    return Shop.open(api.server.writer, f"Shop {uuid4()}", time_zone=ZONE)


def sell(shop: Shop, sku: UUID, units: int, days_ago: int = 0) -> None:
    line = RecordedLine(sku_id=sku, quantity=Decimal(units), unit_price=Decimal(10))
    sale = RecordOrder(store_id=shop.store_id, lines=(line,), shipped=True)
    shop.do(sale, occurred_at=datetime.now(UTC) - timedelta(days=days_ago))


def price(shop: Shop, sku: UUID, pounds: str, market: str | None, store_id: UUID | None = None) -> None:
    asked = {"list_price": Decimal(pounds), "cost": Decimal(1), "reason": "season", "store_id": store_id}
    told: dict[str, Any] = {} if market is None else {"market_price": Decimal(market), "market_source": "next door"}
    shop.do(PriceSku(sku_id=sku, **asked, **told))


def ask(api: Api, store_id: UUID, by: str, role: Role = Role.PROMOTER, **more: Any) -> list[dict[str, Any]]:
    asked = {"store": gid("Store", store_id), "by": by, "p": api.server.services.log.head().position, **more}
    found: list[dict[str, Any]] = api.ask(CANDIDATES, asked, token=api.token(role))["campaignCandidates"]
    return found


def codes(found: list[dict[str, Any]]) -> list[str]:
    return [each["skuCode"] for each in found]


def test_what_sells_is_cheap_or_lies_long_comes_first_with_its_figures(api: Api, shop: Shop) -> None:
    ash, bay, elm, fir = (shop.sku(code, stock=stock) for code, stock in
                          (("ASH", 20), ("BAY", 20), ("ELM", 50), ("FIR", 90)))  # fmt: skip
    for sku, units in ((ash, 2), (bay, 5), (elm, 2)):
        sell(shop, sku, units)
    sell(shop, bay, 1, days_ago=28)
    price(shop, ash, "8.00", "10.00")
    price(shop, bay, "9.00", "10.00")
    price(shop, elm, "3.00", "4.00")

    best = ask(api, shop.store_id, "BEST_SELLING")
    assert codes(best) == ["BAY", "ASH", "ELM", "FIR"], "equal ones by code"
    assert [each["units"] for each in best] == ["5", "2", "2", "0"], "none from before the 28 days"
    assert codes(ask(api, shop.store_id, "DEEPEST_CUT")) == ["ELM", "ASH", "BAY", "FIR"], "what is not known is last"
    assert [each["cut"] for each in ask(api, shop.store_id, "DEEPEST_CUT")] == ["0.25", "0.2", "0.1", None]
    # All came today: on one day in stock two of ASH were sold, and 18 are left.
    pressing = ask(api, shop.store_id, "STOCK_PRESSURE")
    assert codes(pressing) == ["FIR", "ELM", "ASH", "BAY"]
    assert [each["sellable"] for each in pressing] == ["90", "48", "18", "14"]
    assert [each["coverDays"] for each in pressing] == [None, "24", "9", "2.8"]
    assert codes(ask(api, shop.store_id, "STOCK_PRESSURE", first=2)) == ["FIR", "ELM"]
    [row] = [each for each in best if each["skuCode"] == "ELM"]
    assert (row["skuId"], row["listPrice"]["amount"], row["marketPrice"]["amount"]) == (gid("Sku", elm), "3", "4")

    month = datetime.now(ZoneInfo(ZONE)).date().replace(day=1)
    shop.do(SetHeroSkus(store_id=shop.store_id, month=month, sku_ids=(elm, fir, ash)))
    assert codes(ask(api, shop.store_id, "BEST_SELLING")) == ["ASH", "ELM", "FIR", "BAY"], "heroes first"
    assert [each["hero"] for each in ask(api, shop.store_id, "DEEPEST_CUT")] == [True, True, True, False]
    shop.do(DelistSku(sku_id=fir, reason=DelistReason.SEASON))
    assert codes(ask(api, shop.store_id, "STOCK_PRESSURE")) == ["ELM", "ASH", "BAY"], "only what is on sale"


def test_another_store_has_its_own_price_or_that_of_the_home_store(api: Api, shop: Shop) -> None:
    other = Shop.open(api.server.writer, f"Shop {uuid4()}", time_zone="UTC")
    own, same = shop.sku(stock=5), shop.sku(stock=5)
    for sku in (own, same):
        price(shop, sku, "8.00", "10.00")
        there = {"location_id": other.location_id, "quantity": Decimal(5), "unit_cost": Decimal(1)}
        other.do(ReceiveStock(sku_id=sku, store_id=other.store_id, **there))
        other.do(ListSku(sku_id=sku, store_id=other.store_id))
    price(shop, own, "5.00", "10.00", other.store_id)
    price(shop, own, "9.00", "10.00")

    cuts = {each["skuId"]: each["cut"] for each in ask(api, other.store_id, "DEEPEST_CUT")}
    assert cuts == {gid("Sku", own): "0.5", gid("Sku", same): "0.2"}
    cuts = {each["skuId"]: each["cut"] for each in ask(api, shop.store_id, "DEEPEST_CUT")}
    assert cuts == {gid("Sku", own): "0.1", gid("Sku", same): "0.2"}


def test_of_a_store_that_is_not_ones_own_nothing_is_told(api: Api, shop: Shop) -> None:
    shop.sku(stock=5)
    other = Shop.open(api.server.writer, f"Shop {uuid4()}")
    stranger = api.token(Role.MANAGER, name="stranger", stores=(other.store_id,))
    asked = {"store": gid("Store", shop.store_id), "by": "BEST_SELLING"}
    assert api.ask(CANDIDATES, asked, token=stranger)["campaignCandidates"] == []
    assert len(ask(api, shop.store_id, "BEST_SELLING", Role.AUDITOR)) == 1
