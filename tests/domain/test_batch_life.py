"""The life of a batch: what is said of it, its last day, its recall, and which batch goes first."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from opscore.domain.barring import bar_of
from opscore.domain.batches import ExpireBatches, LiftBatchRecall, RecallBatch
from opscore.domain.command import Command
from opscore.domain.order_commands import PackParcel, ScannedLine
from opscore.domain.refusals import InvalidField, Refusal
from opscore.domain.sku import Sku, StockCondition, StockState, WriteOffKind
from opscore.domain.sku_commands import ListSku
from opscore.domain.sku_events import (
    BatchBarred,
    BatchDiffers,
    BatchExpired,
    BatchRecalled,
    BatchRecallLifted,
    BatchUnknown,
    CampaignStockReleased,
    ExceedsBatch,
    ReservationReleased,
    SkuDelisted,
    StockDepleted,
    StockInsufficient,
    StockReceived,
    StockReclassified,
)
from opscore.domain.sku_state import Batch, first_expired
from opscore.domain.stock_commands import (
    CountStock,
    IssueSample,
    ReceiveStock,
    ReceiveTransfer,
    ReclassifyStock,
    ReleaseCampaignStock,
    ReleaseReservation,
    ReserveStock,
    ShipStock,
    TakeBackStock,
    TransferStock,
    WriteOffStock,
)
from tests.domain.desk import WAREHOUSE
from tests.domain.selling import Shop
from tests.domain.shelf import Shelf, state_of

ORDER, OTHER = UUID(int=11), UUID(int=12)
OPEN, QUARANTINED = StockState.AVAILABLE, StockState.QUARANTINED
MAY, JUNE, JULY = date(2024, 5, 31), date(2024, 6, 30), date(2024, 7, 31)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf(locations=2, campaigns=1)


def recall(sku_id: UUID, batch: str = "B1", **fields: Any) -> RecallBatch:
    return RecallBatch(sku_id=sku_id, batch=batch, reason="glass found", **fields)


def lift(sku_id: UUID, batch: str = "B1") -> LiftBatchRecall:
    return LiftBatchRecall(sku_id=sku_id, batch=batch, reason="it was sugar")


def stock(sku: Sku, location_id: UUID) -> tuple[Decimal, Decimal, Decimal]:
    """Return on hand, sellable, in quarantine."""
    level = sku.level_at(location_id)
    return level.on_hand, level.sellable, level.quarantined


def in_two_batches(shelf: Shelf) -> UUID:
    """Return an article on sale with six units of B1 and four of B2 at the first location."""
    sku_id = shelf.article()
    shelf.receive(sku_id, 6, batch="B1", expires_on=JULY)
    shelf.receive(sku_id, 4, batch="B2", expires_on=JUNE)
    return shelf.do(ListSku(sku_id=sku_id))


# What is said of it --------------------------------------------------------------------------------------------------


def test_what_is_said_of_a_batch_is_kept_and_what_is_left_out_later_still_holds(shelf: Shelf) -> None:
    sku_id = shelf.article()
    shelf.receive(sku_id, 5, batch="B1", expires_on=JUNE)
    shelf.receive(sku_id, 5, at=1, batch="B1", produced_on=MAY, place_of_origin="Yunnan")
    shelf.receive(sku_id, 5, batch="B1")
    shelf.receive(sku_id, 5, batch="B2")
    assert shelf.sku(sku_id).batches == {
        "B1": Batch(produced_on=MAY, expires_on=JUNE, place_of_origin="Yunnan"),
        "B2": Batch(),
    }
    events = [event for _, event in shelf.events if isinstance(event, StockReceived)]
    assert [(event.produced_on, event.expires_on, event.place_of_origin) for event in events] == [
        (None, JUNE, None), (MAY, None, "Yunnan"), (None, None, None), (None, None, None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "other"), [("produced_on", MAY), ("expires_on", JULY), ("place_of_origin", "Sichuan")]
)
def test_what_contradicts_an_earlier_receipt_of_the_batch_is_refused(shelf: Shelf, name: str, other: Any) -> None:
    sku_id = shelf.article()
    said: dict[str, Any] = {"produced_on": date(2024, 4, 1), "expires_on": JUNE, "place_of_origin": "Yunnan"}
    shelf.receive(sku_id, 5, batch="B1", **said)
    with pytest.raises(BatchDiffers) as refused:
        shelf.receive(sku_id, 5, batch="B1", **{name: other})
    assert refused.value.path == (name,)
    assert shelf.sku(sku_id).on_hand == 5
    shelf.receive(sku_id, 5, batch="B1", **said)
    shelf.receive(sku_id, 5, batch="B2", **{name: other})
    assert shelf.sku(sku_id).on_hand == 15


def test_days_are_of_a_batch_and_a_batch_does_not_expire_before_it_is_made(shelf: Shelf) -> None:
    sku_id = shelf.article()
    for said in ({"produced_on": MAY}, {"expires_on": JUNE}, {"place_of_origin": "Yunnan"}):
        with pytest.raises(InvalidField) as refused:
            shelf.receive(sku_id, 5, **said)
        assert refused.value.path == tuple(said)
    with pytest.raises(InvalidField):
        shelf.receive(sku_id, 5, batch="B1", produced_on=JUNE, expires_on=MAY)
    with pytest.raises(InvalidField):
        shelf.receive(sku_id, 5, batch="B1", expires_on=date.max)
    shelf.receive(sku_id, 5, batch="B1", expires_on=MAY)
    with pytest.raises(InvalidField) as refused:
        shelf.receive(sku_id, 5, batch="B1", produced_on=JUNE)
    assert refused.value.path == ("produced_on",)


# Which one goes first ------------------------------------------------------------------------------------------------


def test_what_expires_first_goes_first_and_what_may_not_be_sold_not_at_all(shelf: Shelf) -> None:
    sku_id = in_two_batches(shelf)
    shelf.receive(sku_id, 3, batch="B0")
    shelf.receive(sku_id, 2, batch="B3", expires_on=JUNE, produced_on=MAY)
    (here, there), sku = shelf.location_ids, shelf.sku(sku_id)
    level = sku.level_at(here)
    assert first_expired(level, sku.batches, Decimal(7)) == [("B3", 2), ("B2", 4), ("B1", 1)]
    assert first_expired(level, sku.batches, Decimal(99)) == [("B3", 2), ("B2", 4), ("B1", 6), ("B0", 3)]
    assert first_expired(sku.level_at(there), sku.batches, Decimal(7)) == []
    shelf.do(recall(sku_id, "B2"))
    sku = shelf.sku(sku_id)
    assert first_expired(sku.level_at(here), sku.batches, Decimal(7)) == [("B3", 2), ("B1", 5)]


# Its last day --------------------------------------------------------------------------------------------------------


def test_a_batch_is_sold_through_its_last_day_of_the_home_store_and_set_aside_after_it(shelf: Shelf) -> None:
    sku_id = in_two_batches(shelf)
    here = shelf.location_ids[0]
    # The store's day is Asia/Shanghai's, eight hours before UTC.
    shelf.now = shelf.now.replace(month=6, day=30, hour=15, minute=59)
    assert shelf.records(ExpireBatches(sku_id=sku_id)) == []
    shelf.now += timedelta(minutes=1)
    expired, aside = shelf.records(ExpireBatches(sku_id=sku_id), actor=WAREHOUSE)
    assert isinstance(expired, BatchExpired)
    assert (expired.batch, expired.expires_on, expired.occurred_at) == ("B2", JUNE, shelf.now)
    assert isinstance(aside, StockReclassified)
    assert (aside.batch, aside.quantity, aside.to_state) == ("B2", 4, QUARANTINED)
    assert aside.reason == "expired on 2024-06-30"
    assert stock(shelf.sku(sku_id), here) == (10, 6, 4)
    assert shelf.records(ExpireBatches(sku_id=sku_id)) == []
    with pytest.raises(StockInsufficient):
        shelf.order(sku_id, ORDER, 7)
    write_off = WriteOffStock(
        sku_id=sku_id,
        location_id=here,
        quantity=Decimal(4),
        kind=WriteOffKind.EXPIRED,
        reason="past its day",
        condition=StockCondition.QUARANTINED,
        batch="B2",
    )
    shelf.do(write_off)
    assert stock(shelf.sku(sku_id), here) == (6, 6, 0)


def test_units_that_come_in_after_their_last_day_are_set_aside_at_once(shelf: Shelf) -> None:
    sku_id = shelf.article()
    shelf.receive(sku_id, 3, batch="B1", expires_on=date(2024, 4, 30))
    here, sku = shelf.location_ids[0], shelf.sku(sku_id)
    assert stock(sku, here) == (3, 0, 3)
    assert sku.batches["B1"].expired
    shelf.receive(sku_id, 2, batch="B1")
    shelf.receive(sku_id, 2, batch="B2", expires_on=shelf.now.date())
    assert stock(shelf.sku(sku_id), here) == (7, 2, 5)


def test_an_expired_batch_stays_set_aside_when_its_recall_is_lifted(shelf: Shelf) -> None:
    sku_id = in_two_batches(shelf)
    shelf.do(recall(sku_id, "B2"))
    shelf.now = shelf.now.replace(month=7)
    shelf.do(ExpireBatches(sku_id=sku_id))
    (lifted,) = shelf.records(lift(sku_id, "B2"))
    assert isinstance(lifted, BatchRecallLifted)
    assert stock(shelf.sku(sku_id), shelf.location_ids[0]) == (10, 6, 4)


# Its recall ----------------------------------------------------------------------------------------------------------


def test_a_recall_sets_aside_what_is_free_everywhere_and_lifting_it_gives_back_that_and_no_more(shelf: Shelf) -> None:
    sku_id = in_two_batches(shelf)
    here, there = shelf.location_ids
    shelf.receive(sku_id, 3, at=1, batch="B1")
    shelf.receive(sku_id, 2, batch="B1", condition=StockCondition.QUARANTINED)
    recalled, *aside = shelf.records(recall(sku_id, document="N-7"))
    assert isinstance(recalled, BatchRecalled)
    assert (recalled.batch, recalled.reason, recalled.document) == ("B1", "glass found", "N-7")
    assert [(event.location_id, event.quantity, event.reason) for event in aside] == [
        (here, 6, "recalled: glass found"), (there, 3, "recalled: glass found"),
    ]  # fmt: skip
    sku = shelf.sku(sku_id)
    assert (stock(sku, here), stock(sku, there)) == ((12, 4, 8), (3, 0, 3))
    assert shelf.records(recall(sku_id)) == []
    lifted, *freed = shelf.records(lift(sku_id))
    assert isinstance(lifted, BatchRecallLifted)
    assert [(event.location_id, event.quantity, event.to_state) for event in freed] == [
        (here, 6, OPEN),
        (there, 3, OPEN),
    ]
    assert stock(shelf.sku(sku_id), here) == (12, 10, 2)
    assert shelf.records(lift(sku_id)) == []


def test_what_was_written_off_of_a_recalled_batch_does_not_come_back_with_the_recall(shelf: Shelf) -> None:
    sku_id = in_two_batches(shelf)
    here = shelf.location_ids[0]
    shelf.receive(sku_id, 3, batch="B1", condition=StockCondition.QUARANTINED)
    shelf.do(recall(sku_id))
    gone = WriteOffStock(
        sku_id=sku_id,
        location_id=here,
        quantity=Decimal(5),
        kind=WriteOffKind.DAMAGED,
        reason="destroyed",
        condition=StockCondition.QUARANTINED,
        batch="B1",
    )
    shelf.do(gone)
    shelf.do(lift(sku_id))
    # One of six is left of what the recall set aside; three still wait for somebody to look at them.
    assert stock(shelf.sku(sku_id), here) == (8, 5, 3)


def test_a_batch_that_is_all_sold_is_recalled_and_what_comes_back_of_it_is_set_aside(shelf: Shelf) -> None:
    sku_id = in_two_batches(shelf)
    here = shelf.location_ids[0]
    shelf.do(ReserveStock(sku_id=sku_id, location_id=here, quantity=Decimal(6), reference="fair"))
    shelf.do(ShipStock(sku_id=sku_id, reference="fair", batch="B1"))
    assert [type(event) for event in shelf.records(recall(sku_id))] == [BatchRecalled]
    back = TakeBackStock(
        sku_id=sku_id, location_id=here, quantity=Decimal(2), condition=StockCondition.GOOD, batch="B1"
    )
    shelf.do(back)
    assert stock(shelf.sku(sku_id), here) == (6, 4, 2)


def test_only_a_batch_that_is_known_is_recalled(shelf: Shelf) -> None:
    sku_id = in_two_batches(shelf)
    for command in (recall(sku_id, "B9"), lift(sku_id, "B9")):
        with pytest.raises(BatchUnknown):
            shelf.do(command)


def test_the_last_free_unit_that_is_recalled_takes_the_article_off_sale(shelf: Shelf) -> None:
    sku_id = in_two_batches(shelf)
    assert StockDepleted not in {type(event) for event in shelf.records(recall(sku_id))}
    told = {type(event) for event in shelf.records(recall(sku_id, "B2"))}
    assert {StockDepleted, SkuDelisted} <= told


def test_what_orders_hold_stays_theirs_of_another_batch_and_nothing_of_the_recalled_one_leaves(shelf: Shelf) -> None:
    sku_id = in_two_batches(shelf)
    here = shelf.location_ids[0]
    shelf.order(sku_id, ORDER, 7)
    shelf.do(recall(sku_id))
    sku = shelf.sku(sku_id)
    # Three were free; four of B2 may still leave for the order, and three of B1 are held but may not.
    assert stock(sku, here) == (10, 0, 3)
    refused: list[tuple[type[Refusal], list[tuple[Decimal, UUID | None, str | None]]]] = [
        (BatchBarred, [(Decimal(1), None, "B1")]),
        (BatchBarred, [(Decimal(5), None, None)]),
        (BatchBarred, [(Decimal(4), None, "B2"), (Decimal(1), None, None)]),
        (ExceedsBatch, [(Decimal(5), None, "B2")]),
    ]
    for refusal, parcel in refused:
        with pytest.raises(refusal):
            sku.require_batches(ORDER, parcel, here)
    sku.require_batches(ORDER, [(Decimal(4), None, None)], here)
    sku.require_batches(ORDER, [(Decimal(4), None, "B2")], here)


def test_a_parcel_of_an_order_does_not_leave_with_units_of_a_recalled_batch() -> None:
    shop = Shop()
    lamp = shop.article(stock="1")
    shop.receive(lamp, "5", batch="B1")
    order_id = shop.confirmed((lamp, "3"))
    parcel_id = shop.pack(order_id)
    shop.desk.do(recall(lamp))
    with pytest.raises(BatchBarred) as refused:
        shop.ship(order_id, parcel_id)
    assert refused.value.path == ("parcel_id",)
    assert shop.order(order_id).parcels[parcel_id].shipped_at is None
    shop.receive(lamp, "2", batch="B2")
    shop.ship(order_id, parcel_id)
    assert stock(shop.sku(lamp), shop.location_id) == (5, 0, 5)


def test_a_parcel_is_not_packed_with_units_of_a_recalled_batch() -> None:
    shop = Shop()
    lamp = shop.article(stock="1")
    shop.receive(lamp, "5", batch="B1")
    order_id = shop.confirmed((lamp, "1"))
    scanned = (ScannedLine(line=1, sku_id=lamp, quantity=Decimal(1), batch="B1"),)
    pack = PackParcel(order_id=order_id, location_id=shop.location_id, lines=scanned, parcel_id=UUID(int=7))
    shop.desk.do(recall(lamp))
    with pytest.raises(BatchBarred) as refused:
        shop.desk.do(pack)
    assert refused.value.path == ("lines", 0, "batch")
    shop.desk.do(lift(lamp))
    shop.desk.do(pack)
    assert list(shop.order(order_id).parcels) == [UUID(int=7)]


def test_units_of_a_recalled_batch_that_were_counted_as_free_ones_are_set_aside_with_all_that_follows(
    shelf: Shelf,
) -> None:
    sku_id = shelf.on_sale(stock=2)
    here, before = shelf.location_ids[0], shelf.now
    shelf.receive(sku_id, 1, at=1, batch="B1")
    shelf.do(ReserveStock(sku_id=sku_id, location_id=shelf.location_ids[1], quantity=Decimal(1), reference="fair"))
    shelf.do(ShipStock(sku_id=sku_id, reference="fair", batch="B1"))
    shelf.do(recall(sku_id))
    shelf.now += timedelta(hours=1)
    shelf.do(CountStock(sku_id=sku_id, location_id=here, counted=Decimal(2)))
    # The two that were counted were of B1, which had come back without anybody writing it down.
    back = TakeBackStock(
        sku_id=sku_id, location_id=here, quantity=Decimal(2), condition=StockCondition.GOOD, batch="B1"
    )
    mark = len(shelf.events)
    shelf.do(back, at=before)
    told = [type(event) for _, event in shelf.events[mark:]]
    assert told.count(StockDepleted) == told.count(SkuDelisted) == 1
    assert stock(shelf.sku(sku_id), here) == (2, 0, 2)


def test_what_a_count_puts_back_lets_more_of_a_recalled_batch_be_set_aside(shelf: Shelf) -> None:
    sku_id = in_two_batches(shelf)
    here, before = shelf.location_ids[0], shelf.now
    shelf.do(ReserveStock(sku_id=sku_id, location_id=here, quantity=Decimal(10), reference="fair"))
    shelf.do(recall(sku_id))
    shelf.now += timedelta(hours=1)
    shelf.do(CountStock(sku_id=sku_id, location_id=here, counted=Decimal(10)))
    # Four had left before they were counted: six are still held, and what the count found is four others.
    shelf.do(ShipStock(sku_id=sku_id, reference="fair", quantity=Decimal(4), batch="B2"), at=before)
    assert stock(shelf.sku(sku_id), here) == (10, 0, 4)


def test_what_is_given_back_or_comes_in_lets_more_of_a_recalled_batch_be_set_aside(shelf: Shelf) -> None:
    sku_id = in_two_batches(shelf)
    here = shelf.location_ids[0]
    shelf.order(sku_id, ORDER, 9)
    shelf.do(recall(sku_id))
    assert stock(shelf.sku(sku_id), here) == (10, 0, 1)
    released, aside = shelf.cancel(sku_id, ORDER, Decimal(2))
    assert isinstance(released, ReservationReleased)
    assert isinstance(aside, StockReclassified)
    assert stock(shelf.sku(sku_id), here) == (10, 0, 3)
    shelf.receive(sku_id, 5, batch="B3")
    # Three more of B1 go aside; B2 and B3 have nine, seven of which the order holds.
    assert stock(shelf.sku(sku_id), here) == (15, 2, 6)


def test_a_campaign_gives_up_of_its_quota_what_is_of_a_recalled_batch(shelf: Shelf) -> None:
    sku_id = in_two_batches(shelf)
    here, campaign_id = shelf.location_ids[0], shelf.allocate(sku_id, 9) and shelf.campaign_ids[0]
    _, released, aside = shelf.records(recall(sku_id))
    assert isinstance(released, CampaignStockReleased)
    assert (released.campaign_id, released.quantity, released.closes) == (campaign_id, 5, False)
    assert isinstance(aside, StockReclassified)
    assert aside.quantity == 6
    sku = shelf.sku(sku_id)
    assert stock(sku, here) == (10, 0, 6)
    assert sku.allocations[campaign_id][here] == 4


def test_nothing_of_a_recalled_batch_is_found_good_given_away_or_sent_elsewhere(shelf: Shelf) -> None:
    sku_id = in_two_batches(shelf)
    here, there = shelf.location_ids
    shelf.receive(sku_id, 2, condition=StockCondition.QUARANTINED)
    shelf.do(recall(sku_id))
    good: dict[str, Any] = {
        "sku_id": sku_id, "location_id": here, "from_state": QUARANTINED, "to_state": OPEN, "reason": "looks fine",
    }  # fmt: skip
    for command in (
        ReclassifyStock(**good, quantity=Decimal(1), batch="B1"),
        ReclassifyStock(**good, quantity=Decimal(3)),
        IssueSample(sku_id=sku_id, location_id=here, quantity=Decimal(1), purpose="taste", batch="B1"),
        TransferStock(sku_id=sku_id, location_id=here, to_location_id=there, quantity=Decimal(1), batch="B1"),
    ):
        with pytest.raises(BatchBarred) as refused:
            shelf.do(command)
        assert refused.value.facts["why"] == "recalled: glass found"
    # The two that are of no batch were not recalled.
    shelf.do(ReclassifyStock(**good, quantity=Decimal(2)))
    assert stock(shelf.sku(sku_id), here) == (12, 6, 6)


# Laws ----------------------------------------------------------------------------------------------------------------

few = st.integers(1, 6).map(Decimal)
place = st.integers(0, 1)
number = st.sampled_from(["B1", "B2", "B3"])
maybe = st.sampled_from([None, "B1", "B2"])


class BatchMachine(RuleBasedStateMachine):
    """Random work on an article in batches that are recalled, lifted and expire; what is refused changes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.shelf = Shelf(locations=2, campaigns=1)
        self.sku_id = self.shelf.article()
        self.orders = 0
        self.late = timedelta(0)

    def at(self, which: int, **fields: Any) -> dict[str, Any]:
        return {"sku_id": self.sku_id, "location_id": self.shelf.location_ids[which], **fields}

    def ask(self, command: Command) -> None:
        before = state_of(self.sku)
        self.shelf.now += timedelta(hours=1)
        try:
            self.shelf.do(command, at=self.shelf.now - self.late)
        except Refusal:
            assert state_of(self.sku) == before

    @property
    def sku(self) -> Sku:
        return self.shelf.sku(self.sku_id)

    @initialize()
    def there_is_stock(self) -> None:
        for batch in ("B1", "B2"):
            self.shelf.receive(self.sku_id, 6, batch=batch, expires_on=JUNE if batch == "B1" else None)

    @rule(hours=st.sampled_from([0, 0, 3]))
    def from_now_on_things_are_entered(self, hours: int) -> None:
        """Entered late, they may be dated before a count."""
        self.late = timedelta(hours=hours)

    @rule(which=place, quantity=few, batch=number, condition=st.sampled_from(StockCondition))
    def come_in(self, which: int, quantity: Decimal, batch: str, condition: StockCondition) -> None:
        self.ask(ReceiveStock(**self.at(which), quantity=quantity, batch=batch, condition=condition))

    @rule(batch=number)
    def recall(self, batch: str) -> None:
        self.ask(recall(self.sku_id, batch))

    @rule(batch=number)
    def lift(self, batch: str) -> None:
        self.ask(lift(self.sku_id, batch))

    @rule()
    def june_is_over(self) -> None:
        self.shelf.now = max(self.shelf.now, self.shelf.now.replace(month=7, day=2))
        self.ask(ExpireBatches(sku_id=self.sku_id))

    @rule(which=place, quantity=few)
    def hold(self, which: int, quantity: Decimal) -> None:
        self.orders += 1
        self.ask(ReserveStock(**self.at(which), quantity=quantity, reference=f"H{self.orders}"))

    @rule(which=st.integers(1, 9), batch=maybe)
    def ship(self, which: int, batch: str | None) -> None:
        gone = {name: self.good(name) for name in ("B1", "B2", "B3")}
        self.ask(ShipStock(sku_id=self.sku_id, reference=f"H{which}", batch=batch))
        for name, units in gone.items():
            assert not bar_of(self.sku, name) or self.good(name) == units

    @rule(which=st.integers(1, 9))
    def let_go(self, which: int) -> None:
        self.ask(ReleaseReservation(sku_id=self.sku_id, reference=f"H{which}"))

    @rule(quantity=few)
    def allocate(self, quantity: Decimal) -> None:
        try:
            self.shelf.allocate(self.sku_id, int(quantity))
        except StockInsufficient:
            return

    @rule()
    def take_the_quota_back(self) -> None:
        self.ask(ReleaseCampaignStock(sku_id=self.sku_id, campaign_id=self.shelf.campaign_ids[0]))

    @rule(which=place, quantity=few, batch=maybe, source=st.sampled_from(StockState), to=st.sampled_from(StockState))
    def look(self, which: int, quantity: Decimal, batch: str | None, source: StockState, to: StockState) -> None:
        fields = self.at(which, quantity=quantity, batch=batch, from_state=source, to_state=to, reason="looked at")
        self.ask(ReclassifyStock(**fields))

    @rule(which=place, quantity=few, batch=maybe)
    def send(self, which: int, quantity: Decimal, batch: str | None) -> None:
        there = self.shelf.location_ids[1 - which]
        self.ask(TransferStock(**self.at(which), to_location_id=there, quantity=quantity, batch=batch))
        for transfer_id, transfer in list(self.sku.transfers.items()):
            self.ask(ReceiveTransfer(sku_id=self.sku_id, transfer_id=transfer_id, quantity=transfer.quantity))

    @rule(which=place, counted=st.integers(0, 15).map(Decimal), batch=maybe)
    def count(self, which: int, counted: Decimal, batch: str | None) -> None:
        self.ask(CountStock(**self.at(which), counted=counted, batch=batch, reason="counted"))

    @rule(which=place, quantity=few, batch=maybe, condition=st.sampled_from(StockCondition))
    def give_up(self, which: int, quantity: Decimal, batch: str | None, condition: StockCondition) -> None:
        fields = self.at(which, quantity=quantity, batch=batch, condition=condition, reason="old")
        self.ask(WriteOffStock(**fields, kind=WriteOffKind.EXPIRED))

    def good(self, batch: str) -> Decimal:
        return sum((level.of_batch(batch, OPEN) for level in self.sku.levels.values()), Decimal(0))

    @invariant()
    def nothing_of_a_barred_batch_is_free_for_sale(self) -> None:
        for location_id, level in self.sku.levels.items():
            assert min(level.sellable, level.quarantined, level.damaged, level.reserved, level.allocated) >= 0
            for name, left in level.batches.items():
                assert 0 <= left.barred <= max(left.quarantined, Decimal(0))
                if bar_of(self.sku, name) and level.of_batch(name, OPEN) > 0:
                    assert level.sellable == 0
                    assert not any(quota.get(location_id) for quota in self.sku.allocations.values())

    @invariant()
    def the_record_adds_up_to_what_lives(self) -> None:
        folded = self.shelf.refold(self.sku_id)
        assert folded is not None
        assert state_of(folded) == state_of(self.sku)


BatchMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestBatchLaws = BatchMachine.TestCase
