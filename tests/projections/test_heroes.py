"""What hero articles sold, right by hand: by the list that the store had when an order came."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest

from opscore import kpis
from opscore.database import Database
from opscore.domain.order_commands import AmendOrderPrice, CancelOrder, CancelOrderLines, LineQuantity, PayOrder
from opscore.domain.order_recording import RecordedLine, RecordOrder
from opscore.domain.order_refunds import RefundOrder
from opscore.domain.store_heroes import SetHeroSkus
from opscore.kpis import KpiGrain, OneCell
from opscore.log.event_log import EventLog
from opscore.projector import Projector
from opscore.settings import Settings
from opscore.writer import Writer
from tests.projections.kpi_cells import KPIS, asked, values
from tests.shop import Shop

JANUARY, FEBRUARY, MARCH = (date(2024, month, 1) for month in (1, 2, 3))
SPRING = (JANUARY, date(2024, 4, 30))


class Stall:
    """An open store with four articles at ten pounds, of which the first three are to be heroes, and one at two."""

    def __init__(self, writer: Writer, projector: Projector) -> None:
        self.shop = Shop.open(writer)
        self.goods = [self.shop.sku(stock=100) for _ in range(4)]
        self.cheap = self.shop.sku(stock=100, price="2.00", cost="1.00")
        self.projector = projector

    def on(self, day: date, command: Any) -> UUID:
        return self.shop.do(command, occurred_at=datetime(day.year, day.month, day.day, 12, tzinfo=UTC))

    def name(self, day: date, month: date, *sku_ids: UUID) -> None:
        self.on(day, SetHeroSkus(store_id=self.shop.store_id, month=month, sku_ids=sku_ids))

    def place(self, day: date, *lines: tuple[UUID, int]) -> UUID:
        return self.on(day, self.shop.order(*lines))

    def pay(self, day: date, order: UUID, pounds: int) -> UUID:
        return self.on(day, PayOrder(order_id=order, amount_minor=pounds * 100, method="card"))

    def share(self, grain: KpiGrain = KpiGrain.MONTH, **more: Any) -> list[Fraction | None]:
        self.projector.catch_up()
        assert not self.projector.check(["heroes"])
        return values(self.projector, "K046", asked(grain, of=SPRING, **more))


@pytest.fixture
def stall(database: Database, settings: Settings, projector: Projector) -> Iterator[Stall]:
    writer = Writer(database, settings)
    writer.start()
    try:
        stall = Stall(writer, projector)
        projector.deploy()
        yield stall
    finally:
        writer.stop()


def test_the_list_of_the_day_of_the_order_counts_on_the_day_of_payment(stall: Stall, database: Database) -> None:
    lamp, vase, bowl, mug = stall.goods
    stall.pay(date(2024, 1, 3), stall.place(date(2024, 1, 3), (lamp, 1)), 10)
    assert stall.share() == [Fraction(0, 10)], "no list held"

    stall.name(date(2024, 1, 10), JANUARY, lamp, vase, bowl)
    assert stall.share() == [Fraction(0, 10)], "what was ordered before stays what it was"
    stall.pay(date(2024, 1, 12), stall.place(date(2024, 1, 12), (lamp, 2), (mug, 1)), 30)
    assert stall.share() == [Fraction(20, 40)]
    early = EventLog(database.pool.connection).head().position

    # Ordered under one list and paid under the next: the first one says what it is, the payment when it counts.
    late = stall.place(date(2024, 1, 31), (vase, 3), (mug, 1))
    stall.name(date(2024, 1, 31), FEBRUARY, mug, vase, bowl)
    stall.pay(date(2024, 2, 2), late, 40)
    assert stall.share() == [Fraction(20, 40), Fraction(30, 40)]
    stall.pay(date(2024, 2, 3), stall.place(date(2024, 2, 3), (mug, 1), (lamp, 1)), 20)
    assert stall.share() == [Fraction(20, 40), Fraction(40, 60)]
    # The last list holds on, until another one is named.
    stall.pay(date(2024, 3, 3), stall.place(date(2024, 3, 3), (mug, 1), (lamp, 1)), 20)
    stall.name(date(2024, 3, 4), MARCH, lamp, vase, bowl)
    stall.pay(date(2024, 3, 5), stall.place(date(2024, 3, 5), (mug, 1), (lamp, 3)), 40)
    assert stall.share() == [Fraction(20, 40), Fraction(40, 60), Fraction(10 + 30, 60)]
    assert stall.share(KpiGrain.TOTAL) == [Fraction(100, 160)]
    assert stall.share(as_of=early) == [Fraction(20, 40)], "as it was known then"
    assert stall.share(KpiGrain.TOTAL, store_ids=[UUID(int=1)]) == []


def test_it_is_the_gmv_of_heroes_after_amendments_and_what_was_called_off(stall: Stall) -> None:
    lamp, vase, bowl, mug = stall.goods
    stall.name(JANUARY, JANUARY, lamp, vase, bowl)
    day = date(2024, 1, 5)
    order = stall.place(day, (lamp, 2), (mug, 1), (vase, 1))
    stall.on(day, AmendOrderPrice(order_id=order, line=1, unit_price=Decimal(8), reason="a scratch"))
    stall.on(day, AmendOrderPrice(order_id=order, line=1, unit_price=Decimal(9), reason="a small one"))
    stall.on(day, CancelOrderLines(order_id=order, lines=(LineQuantity(line=1, quantity=Decimal(1)),)))
    stall.on(day, CancelOrderLines(order_id=order, lines=(LineQuantity(line=3, quantity=Decimal(1)),)))
    unpaid = stall.place(day, (lamp, 5))
    stall.on(day, CancelOrder(order_id=unpaid))
    assert stall.share() == []

    stall.pay(day, order, 19)
    assert stall.share() == [Fraction(9, 19)]
    [row] = stall.projector.run_query("heroes", "hero_lists", {}, store_ids=None)
    assert (row["month"], row["holds_from"], row["sku_ids"]) == (JANUARY, JANUARY, [lamp, vase, bowl])
    window = asked(KpiGrain.TOTAL, of=SPRING)
    behind = {
        side: [
            (fact["event"], fact["amount"])
            for fact in kpis.facts(stall.projector, KPIS["K046"], parts, window, OneCell(currency="GBP"))
        ]
        for side, parts in kpis.sides(KPIS["K046"]).items()
    }
    assert behind == {"numerator": [("OrderPaid", 900)], "denominator": [("OrderPaid", 900), ("OrderPaid", 1000)]}
    [fact] = kpis.facts(stall.projector, KPIS["K046"], KPIS["K046"].numerator, window, OneCell(currency="GBP"))
    key = {"position": fact["position"], "line": 1}
    events = stall.projector.explain("heroes", "hero_sold", key, store_ids=None)
    assert [(each["event"], each["amount_minor"], each["cancelled_minor"]) for each in events] == [
        ("HeroSkusSet", 0, 0),
        ("OrderPlaced", 2000, 0),
        ("OrderPriceAmended", 1600, 0),
        ("OrderPriceAmended", 1800, 0),
        ("OrderCancelled", 0, 900),
        ("OrderPaid", 0, 0),
    ]
    [named] = stall.projector.explain("heroes", "hero_lists", row, store_ids=None)
    assert (named["event"], named["sku_ids"]) == ("HeroSkusSet", [lamp, vase, bowl])

    for step in (CancelOrder(order_id=order), RefundOrder(order_id=order)):
        stall.on(date(2024, 1, 6), step)
    assert stall.share() == [Fraction(9, 19)], "refunds do not lower GMV"


def test_an_article_has_its_part_of_all_and_a_channel_its_own_share(stall: Stall) -> None:
    lamp, vase, bowl, _ = stall.goods
    stall.name(JANUARY, JANUARY, lamp, vase, bowl)
    day = date(2024, 1, 5)
    for channel, lines in (("web", ((lamp, 2), (stall.cheap, 5))), ("chat", ((vase, 1), (stall.cheap, 20)))):
        told = tuple(
            RecordedLine(sku_id=sku, quantity=Decimal(units), unit_price=Decimal(2 if sku == stall.cheap else 10))
            for sku, units in lines
        )
        stall.on(day, RecordOrder(store_id=stall.shop.store_id, lines=told, channel=channel))

    assert stall.share() == [Fraction(20 + 10, 30 + 50)]
    assert stall.share(channel="web") == [Fraction(20, 30)]
    assert stall.share(sku_id=lamp) == [Fraction(20, 80)]
    assert stall.share(sku_id=stall.cheap) == [0]

    def by(what: str) -> dict[str | None, Fraction | None]:
        found = kpis.cells(stall.projector, KPIS, KPIS["K046"], asked(KpiGrain.TOTAL, of=SPRING, by=what))
        return {key[3]: cell.value for key, cell in found.items()}

    assert by("sku") == {str(lamp): Fraction(20, 80), str(vase): Fraction(10, 80)}
    assert by("channel") == {"web": Fraction(20, 30), "chat": Fraction(10, 50)}
    assert by("store") == {str(stall.shop.store_id): Fraction(30, 80)}


def test_what_is_recorded_late_counts_by_its_own_day(stall: Stall) -> None:
    lamp, vase, bowl, mug = stall.goods
    stall.name(date(2024, 1, 10), JANUARY, lamp, vase, bowl)
    stall.name(date(2024, 1, 10), FEBRUARY, mug, vase, bowl)

    def recorded(day: date) -> None:
        line = RecordedLine(sku_id=lamp, quantity=Decimal(1), unit_price=Decimal(10))
        stall.on(day, RecordOrder(store_id=stall.shop.store_id, lines=(line,)))

    recorded(date(2024, 1, 9))
    assert stall.share(KpiGrain.DAY) == [0], "on that day the list was not named yet"
    recorded(date(2024, 1, 10))
    recorded(date(2024, 2, 10))
    recorded(date(2024, 1, 31))
    assert stall.share(KpiGrain.DAY) == [0, 1, 1, 0]


def test_a_list_for_its_own_month_only_is_another_rule(stall: Stall) -> None:
    lamp, vase, bowl, _ = stall.goods
    stall.name(JANUARY, JANUARY, lamp, vase, bowl)
    for day in (date(2024, 1, 31), FEBRUARY):
        stall.pay(day, stall.place(day, (lamp, 1)), 10)
    assert stall.share() == [1, 1]

    compared = stall.projector.whatif("heroes", {"hold_until_the_next": "false"}, sample=10)

    [gone] = [row for row in compared.sample if row["table"] == "hero_sold"]
    assert gone["new"] is None
    assert [event["old"]["event"] for event in gone["events"]] == ["HeroSkusSet", "OrderPlaced", "OrderPaid"]
