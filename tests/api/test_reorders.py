"""What should be bought: how much of each article is missing, what runs out first, and who has it cheapest."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from opscore.domain.command import Role
from opscore.domain.order_recording import RecordedLine, RecordOrder
from opscore.domain.purchase_commands import CancelPurchase
from opscore.domain.sku_commands import DelistSku, RetireSku, SetStockPolicy
from opscore.domain.sku_events import DelistReason
from opscore.domain.stock_commands import ReceiveStock, WriteOffStock
from tests.api.conftest import Api, gid
from tests.buying import Buyer
from tests.shop import Shop

PROPOSALS = """
query ($store: ID!, $first: Int! = 20, $cover: Int! = 30, $lead: Int! = 7, $at: Position) {
  reorderProposals(storeId: $store, first: $first, coverDays: $cover, leadDays: $lead, atLeast: $at) {
    skuCode name unit quantity soldPerDay sellable onOrder dueOn lastsDays coverDays leadDays lowLine
    quote { supplierId unitCost { amount } validUntil }
  }
}
"""


class Buying:
    """A store that buys and sells."""

    def __init__(self, api: Api, shop: Shop) -> None:
        self.api, self.shop = api, shop
        self.buyer = Buyer(shop, api.server.services.log)

    def sku(self, code: str, *, stock: int, sold: int = 0, days_ago: int = 1, **card: Any) -> UUID:
        """Stock an article and sell some of it, each unit in an order of its own would; return the article."""
        sku_id = self.shop.sku(code, stock=stock, **card)
        if sold:
            self.sell(sku_id, sold, days_ago)
        return sku_id

    def sell(self, sku_id: UUID, units: int, days_ago: int = 1) -> None:
        line = RecordedLine(sku_id=sku_id, quantity=Decimal(units), unit_price=Decimal(10))
        order = RecordOrder(store_id=self.shop.store_id, lines=(line,), shipped=True, location_id=self.shop.location_id)
        self.shop.do(order, occurred_at=datetime.now(UTC) - timedelta(days=days_ago))

    def proposals(self, token: str = "", **asked: Any) -> dict[str, dict[str, Any]]:
        at = self.api.server.services.log.head().position
        given = {"store": gid("Store", self.shop.store_id), "at": at, **asked}
        return {each["skuCode"]: each for each in self.api.ask(PROPOSALS, given, token=token)["reorderProposals"]}


@pytest.fixture
def buying(api: Api) -> Buying:
    return Buying(api, Shop.open(api.server.writer, f"Shop {uuid4()}"))


def test_what_is_missing_is_what_will_be_sold_less_what_is_there_and_on_order(buying: Buying) -> None:
    mug = buying.sku("MUG", stock=100, sold=56)
    buying.sku("POT", stock=500, sold=28)
    found = buying.proposals()
    # Two a day for 30 days and the 7 until more comes are 74; 44 are left. Of the pot there is plenty.
    assert list(found) == ["MUG"]
    assert {name: found["MUG"][name] for name in ("quantity", "soldPerDay", "sellable", "onOrder", "lastsDays")} == {
        "quantity": "30", "soldPerDay": "2", "sellable": "44", "onOrder": "0", "lastsDays": "22",
    }  # fmt: skip
    assert (found["MUG"]["coverDays"], found["MUG"]["leadDays"], found["MUG"]["quote"]) == (30, 7, None)
    supplier = buying.buyer.supplier()
    purchase = buying.buyer.order(mug, supplier, 20, due_on=date(2999, 5, 1))
    found = buying.proposals()
    assert (found["MUG"]["quantity"], found["MUG"]["onOrder"], found["MUG"]["dueOn"]) == ("10", "20", "2999-05-01")
    buying.shop.do(CancelPurchase(purchase_id=purchase, sku_id=mug, reason="too dear"))
    assert buying.proposals()["MUG"]["quantity"] == "30"
    assert buying.proposals(cover=15, lead=7) == {}
    assert buying.proposals(cover=15, lead=8)["MUG"]["quantity"] == "2"


def test_what_runs_out_first_comes_first_and_what_only_its_low_line_asks_for_last(buying: Buying) -> None:
    buying.sku("SLOW", stock=40, sold=28)
    buying.sku("FAST", stock=100, sold=84)
    idle = buying.sku("IDLE", stock=3)
    assert list(buying.proposals()) == ["FAST", "SLOW"]
    buying.shop.do(SetStockPolicy(sku_id=idle, low_line=Decimal(10)))
    found = buying.proposals()
    assert list(found) == ["FAST", "SLOW", "IDLE"]
    assert (found["IDLE"]["quantity"], found["IDLE"]["lastsDays"], found["IDLE"]["lowLine"]) == ("7", None, "10")
    assert list(buying.proposals(first=1)) == ["FAST"]


def test_an_article_says_for_how_long_it_is_to_last_and_its_purchases_how_long_they_take(buying: Buying) -> None:
    now = datetime.now(UTC)
    mug = buying.sku("MUG", stock=100, sold=56)
    buying.shop.do(SetStockPolicy(sku_id=mug, cover_days=10))
    assert buying.proposals() == {}, "of 44 only 34 are needed in 10 and 7 days"
    supplier = buying.buyer.supplier(at=now - timedelta(days=30))
    terms = {"sku_id": mug, "location_id": buying.shop.location_id, "unit_cost": Decimal(4)}
    # One came after 20 days, one after 25 and a half: that is 23 days, rounded up. A third is still to come.
    for began, took in ((29, timedelta(days=20)), (28, timedelta(days=25, hours=12))):
        at = now - timedelta(days=began)
        purchase = buying.buyer.order(mug, supplier, 1, at=at)
        buying.shop.do(ReceiveStock(purchase_id=purchase, quantity=Decimal(1), **terms), occurred_at=at + took)
    buying.buyer.order(mug, supplier, 1)
    found = buying.proposals()["MUG"]
    assert (found["coverDays"], found["leadDays"], found["sellable"], found["onOrder"]) == (10, 23, "46", "1")
    assert found["quantity"] == "19"


def test_the_cheapest_valid_offer_for_that_many_is_named(buying: Buying) -> None:
    mug = buying.sku("MUG", stock=100, sold=56)
    dear, cheap = buying.buyer.supplier("Dear Ltd"), buying.buyer.supplier("Cheap Ltd")
    buying.buyer.quote(mug, dear, "4.50")
    buying.buyer.quote(mug, cheap, "4.10", min_quantity=Decimal(31))
    assert buying.proposals()["MUG"]["quote"]["unitCost"] == {"amount": "4.5"}
    buying.buyer.quote(mug, cheap, "4.20", min_quantity=Decimal(30), valid_until=date(2999, 1, 1))
    assert buying.proposals()["MUG"]["quote"] == {
        "supplierId": str(cheap), "unitCost": {"amount": "4.2"}, "validUntil": "2999-01-01",
    }  # fmt: skip


def test_quantities_are_rounded_up_to_what_the_article_can_be_counted_in(buying: Buying) -> None:
    buying.sku("TEA", stock=10, sold=9, quantity_places=1)
    buying.sku("CUP", stock=10, sold=9)
    found = buying.proposals(cover=5, lead=0)
    # Nine in 28 days are 1.607 in five; one is left.
    assert (found["TEA"]["quantity"], found["CUP"]["quantity"]) == ("0.7", "1")


def test_what_is_taken_off_sale_is_still_bought_and_what_is_retired_is_not(buying: Buying) -> None:
    mug = buying.sku("MUG", stock=30, sold=28)
    buying.shop.do(DelistSku(sku_id=mug, reason=DelistReason.MANUAL))
    assert list(buying.proposals()) == ["MUG"]
    gone = WriteOffStock(
        sku_id=mug, location_id=buying.shop.location_id, quantity=Decimal(2), kind="damaged", reason="broken"
    )
    buying.shop.do(gone)
    buying.shop.do(RetireSku(sku_id=mug))
    assert buying.proposals() == {}


def test_who_may_not_see_the_store_or_what_others_ask_is_told_nothing(api: Api, buying: Buying) -> None:
    buying.sku("MUG", stock=100, sold=56)
    other = Shop.open(api.server.writer, f"Shop {uuid4()}")
    assert buying.proposals(token=api.token(Role.MANAGER, stores=(other.store_id,))) == {}
    assert list(buying.proposals(token=api.token(Role.AUDITOR))) == ["MUG"]
    for role in (Role.STOREFRONT, Role.WAREHOUSE):
        [error] = api.errors(PROPOSALS, {"store": gid("Store", other.store_id)}, token=api.token(role))
        assert error["extensions"]["code"] == "FORBIDDEN"
    for asked in ({"first": 0}, {"cover": -1}, {"lead": 366}):
        [error] = api.errors(PROPOSALS, {"store": gid("Store", other.store_id), **asked})
        assert error["extensions"]["code"] in ("BAD_USER_INPUT", "INVALID_PAGE_SIZE")


def test_too_many_of_an_article_are_found_by_its_high_line(api: Api, buying: Buying) -> None:
    mug = buying.sku("MUG", stock=30)
    buying.shop.do(SetStockPolicy(sku_id=mug, high_line=Decimal(30)))
    query = (
        "query ($store: [ID!], $at: Position) {"
        " stockBalances(first: 9, filter: { isHigh: true, storeId: { in: $store } }, atLeast: $at) {"
        " nodes { skuCode highLine isHigh } } }"
    )
    store = gid("Store", buying.shop.store_id)

    def found() -> list[dict[str, Any]]:
        at = api.server.services.log.head().position
        return list(api.ask(query, {"store": [store], "at": at})["stockBalances"]["nodes"])

    assert found() == []
    buying.shop.do(ReceiveStock(sku_id=mug, location_id=buying.shop.location_id, quantity=Decimal(1)))
    assert found() == [{"skuCode": "MUG", "highLine": "30", "isHigh": True}]
