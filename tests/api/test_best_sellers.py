"""What sold most: by amount, over all lines of paid orders, each order counted once."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID, uuid4

from opscore.domain.order_recording import RecordedLine, RecordOrder
from tests.api.conftest import Api, gid
from tests.shop import Shop


def test_what_sells_most_is_added_up_over_orders_and_each_order_counts_once(api: Api) -> None:
    shop = Shop.open(api.server.writer, f"Shop {uuid4()}")
    other = Shop.open(api.server.writer, f"Shop {uuid4()}")
    first, second, third = (shop.sku(stock=100) for _ in range(3))

    def sell(day: int, *sold: tuple[UUID, int, int], at: Shop = shop) -> None:
        lines = tuple(
            RecordedLine(sku_id=sku, quantity=Decimal(units), unit_price=Decimal(price)) for sku, units, price in sold
        )
        at.do(RecordOrder(store_id=at.store_id, lines=lines), occurred_at=datetime(2024, 1, day, 12, tzinfo=UTC))

    sell(1, (first, 2, 10), (first, 1, 5))
    sell(2, (first, 1, 5), (second, 3, 10))
    sell(3, (second, 1, 10), (third, 1, 40))
    sell(3, (other.sku(stock=10), 1, 99), at=other)
    query = """
    query ($stores: [ID!], $first: Int!, $from: DateTime, $before: DateTime, $p: Position) {
      topSkus(storeIds: $stores, first: $first, placedFrom: $from, placedBefore: $before, atLeast: $p) {
        skuId units orders amount { amountMinor }
      }
    }
    """

    def top(first: int, stores: tuple[Shop, ...] = (shop,), **window: str) -> list[tuple[str, str, int, int]]:
        head = api.server.services.log.head().position
        given = {"stores": [gid("Store", each.store_id) for each in stores], "first": first, "p": head, **window}
        return [
            (each["skuId"], each["units"], each["orders"], each["amount"]["amountMinor"])
            for each in api.ask(query, given)["topSkus"]
        ]

    firsts, seconds, thirds = (gid("Sku", each) for each in (first, second, third))
    equal = {(seconds, "4", 2, 4000), (thirds, "1", 1, 4000)}
    whole = top(9)
    assert whole[2:] == [(firsts, "4", 2, 3000)] and set(whole[:2]) == equal
    assert top(1) == whole[:1] and top(2) == whole[:2], "of two that are equal, the code decides"
    assert top(1, (shop, other))[0][3] == 9900
    assert top(9, **{"from": "2024-01-02T00:00:00Z", "before": "2024-01-03T00:00:00Z"}) == [
        (seconds, "3", 1, 3000), (firsts, "1", 1, 500)
    ]  # fmt: skip
    assert top(9, **{"from": "2024-01-03T00:00:00Z"})[0] == (thirds, "1", 1, 4000)
