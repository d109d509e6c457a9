"""Units of a batch, and units that nobody may sell: in quarantine, found damaged, found good again."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from opscore.domain.order_commands import PackParcel, ScannedLine
from opscore.domain.order_events import OrderShipped, ReturnCondition
from opscore.domain.order_recorded_returns import (
    RecordedReturnLine,
    RecordReturn,
)
from opscore.domain.order_refusals import QuantityMismatch
from opscore.domain.order_returns import (
    DisposalOf,
    DisposeReturn,
)
from opscore.domain.refusals import InvalidField, NotFound
from opscore.domain.sku import Sku, StockCondition, StockState, WriteOffKind
from opscore.domain.sku_commands import ListSku
from opscore.domain.sku_events import (
    CountBelowHeld,
    ExceedsBatch,
    ExceedsOnHand,
    SameState,
    StockAdjusted,
    StockInsufficient,
    StockReclassified,
    StockReturned,
    StockShipped,
    StockTransferredIn,
    StockTransferredOut,
    StockWrittenOff,
)
from opscore.domain.sku_state import BatchLevel
from opscore.domain.stock_commands import (
    CountStock,
    IssueSample,
    ReceiveTransfer,
    ReclassifyStock,
    ReserveStock,
    ShipStock,
    TransferStock,
    WriteOffStock,
)
from tests.domain.desk import WAREHOUSE
from tests.domain.selling import Shop
from tests.domain.shelf import Shelf

ORDER = UUID(int=11)
OPEN, QUARANTINED, DAMAGED = StockState.AVAILABLE, StockState.QUARANTINED, StockState.DAMAGED


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def shop() -> Shop:
    return Shop()


def look(shelf: Shelf, sku_id: UUID, quantity: int, source: StockState, to: StockState, **fields: Any) -> list[Any]:
    """Say that units at the first location are in another state than they were; return what was recorded."""
    return shelf.records(
        ReclassifyStock(
            sku_id=sku_id,
            location_id=shelf.location_ids[0],
            quantity=Decimal(quantity),
            from_state=source,
            to_state=to,
            reason="looked at",
            **fields,
        )
    )


def buckets(sku: Sku, location_id: UUID) -> tuple[Decimal, Decimal, Decimal, Decimal]:
    """Return on hand, sellable, in quarantine, damaged."""
    level = sku.level_at(location_id)
    return level.on_hand, level.sellable, level.quarantined, level.damaged


# Quarantine ----------------------------------------------------------------------------------------------------------


def test_units_go_into_quarantine_and_come_out_good_or_damaged(shelf: Shelf) -> None:
    sku_id = shelf.on_sale(stock=10)
    (here,) = shelf.location_ids
    (event,) = look(shelf, sku_id, 4, OPEN, QUARANTINED, document="Q-1")
    assert isinstance(event, StockReclassified)
    assert (event.from_state, event.to_state, event.reason, event.document) == (OPEN, QUARANTINED, "looked at", "Q-1")
    assert buckets(shelf.sku(sku_id), here) == (10, 6, 4, 0)
    with pytest.raises(StockInsufficient):
        shelf.order(sku_id, ORDER, 7)
    look(shelf, sku_id, 1, QUARANTINED, DAMAGED)
    look(shelf, sku_id, 3, QUARANTINED, OPEN)
    assert buckets(shelf.sku(sku_id), here) == (10, 9, 0, 1)


def test_no_more_units_change_their_state_than_are_in_it_and_none_that_is_held(shelf: Shelf) -> None:
    sku_id = shelf.on_sale(stock=10)
    shelf.order(sku_id, ORDER, 7)
    for source, quantity in ((OPEN, 4), (QUARANTINED, 1), (DAMAGED, 1)):
        with pytest.raises(ExceedsOnHand) as refused:
            look(shelf, sku_id, quantity, source, DAMAGED if source is not DAMAGED else OPEN)
        assert refused.value.facts["condition"] == source.value
    with pytest.raises(SameState):
        look(shelf, sku_id, 1, OPEN, OPEN)
    with pytest.raises(InvalidField):
        look(shelf, sku_id, 0, OPEN, DAMAGED)


def test_units_at_a_place_that_is_not_the_store_s_do_not_change_their_state(shelf: Shelf) -> None:
    sku_id = shelf.on_sale(stock=10)
    command = ReclassifyStock(
        sku_id=sku_id,
        location_id=UUID(int=5),
        quantity=Decimal(1),
        from_state=OPEN,
        to_state=DAMAGED,
        reason="looked at",
    )
    with pytest.raises(NotFound) as refused:
        shelf.do(command)
    assert refused.value.path == ("location_id",)


def test_the_last_free_unit_put_in_quarantine_takes_the_article_off_sale(shelf: Shelf) -> None:
    sku_id = shelf.on_sale(stock=2)
    told = [type(event).__name__ for event in look(shelf, sku_id, 2, OPEN, QUARANTINED)]
    assert told == ["StockReclassified", "StockDepleted", "SkuDelisted"]
    assert [type(event) for event in look(shelf, sku_id, 1, QUARANTINED, OPEN)] == [StockReclassified]
    shelf.do(ListSku(sku_id=sku_id))


def test_goods_come_in_to_be_looked_at_first(shelf: Shelf) -> None:
    sku_id = shelf.article()
    shelf.receive(sku_id, 6, condition=StockCondition.QUARANTINED, unit_cost=Decimal(2))
    assert buckets(shelf.sku(sku_id), shelf.location_ids[0]) == (6, 0, 6, 0)
    assert shelf.sku(sku_id).available == 0


def test_units_in_quarantine_are_written_off_as_such(shelf: Shelf) -> None:
    sku_id = shelf.on_sale(stock=3)
    look(shelf, sku_id, 2, OPEN, QUARANTINED)
    lost: dict[str, Any] = {
        "sku_id": sku_id, "location_id": shelf.location_ids[0], "kind": WriteOffKind.SPOILED, "reason": "warm",
        "condition": StockCondition.QUARANTINED,
    }  # fmt: skip
    with pytest.raises(ExceedsOnHand):
        shelf.do(WriteOffStock(quantity=Decimal(3), **lost))
    assert [type(event) for event in shelf.records(WriteOffStock(quantity=Decimal(2), **lost))] == [StockWrittenOff]
    assert buckets(shelf.sku(sku_id), shelf.location_ids[0]) == (1, 1, 0, 0)


def test_a_count_finds_no_less_than_what_is_set_aside(shelf: Shelf) -> None:
    sku_id = shelf.on_sale(stock=5)
    look(shelf, sku_id, 2, OPEN, QUARANTINED)
    look(shelf, sku_id, 1, OPEN, DAMAGED)
    with pytest.raises(CountBelowHeld):
        shelf.do(CountStock(sku_id=sku_id, location_id=shelf.location_ids[0], counted=Decimal(2), reason="gone"))
    shelf.do(CountStock(sku_id=sku_id, location_id=shelf.location_ids[0], counted=Decimal(3), reason="gone"))
    assert buckets(shelf.sku(sku_id), shelf.location_ids[0]) == (3, 0, 2, 1)


def test_goods_of_an_order_come_back_into_quarantine_by_their_return_and_of_a_batch(shop: Shop) -> None:
    lamp = shop.article()
    order_id = shop.delivered((lamp, "3"))
    return_id = shop.returned(order_id, (1, "3"))
    look_first = DisposalOf(line=1, quantity=Decimal(2), condition=ReturnCondition.QUARANTINE, batch="B7")
    sell = DisposalOf(line=1, quantity=Decimal(1), condition=ReturnCondition.RESTOCK)
    shop.desk.do(DisposeReturn(order_id=order_id, return_id=return_id, lines=(look_first, sell)))

    first, second = [event for _, event in shop.desk.events if isinstance(event, StockReturned)]
    assert (first.return_id, first.condition, first.batch) == (return_id, StockCondition.QUARANTINED, "B7")
    assert (second.return_id, second.condition, second.batch) == (return_id, StockCondition.GOOD, None)
    level = shop.sku(lamp).level_at(shop.location_id)
    assert (level.on_hand, level.sellable, level.quarantined) == (10, 8, 2)
    assert level.batches == {"B7": BatchLevel(on_hand=Decimal(2), quarantined=Decimal(2))}


def test_a_return_of_no_order_that_we_know_names_itself_and_its_batches(shop: Shop) -> None:
    lamp = shop.article()
    back = RecordedReturnLine(sku_id=lamp, quantity=Decimal(1), amount_minor=100, batch="B7")
    return_id = shop.desk.do(RecordReturn(store_id=shop.store_id, lines=(back,), condition=ReturnCondition.QUARANTINE))
    event = shop.desk.last(StockReturned)
    assert (event.order_id, event.return_id, event.batch) == (None, return_id, "B7")
    assert event.condition is StockCondition.QUARANTINED


# Batches -------------------------------------------------------------------------------------------------------------


def of_batches(sku: Sku, location_id: UUID) -> dict[str, Decimal]:
    """Return what is left of each batch at a location."""
    return {name: level.on_hand for name, level in sku.level_at(location_id).batches.items()}


def test_what_names_a_batch_takes_no_more_than_is_left_of_it() -> None:
    shelf = Shelf(locations=2)
    sku_id = shelf.on_sale(stock=5)
    here, there = shelf.location_ids
    shelf.receive(sku_id, 3, batch="B1")
    for command in (
        IssueSample(sku_id=sku_id, location_id=here, quantity=Decimal(4), purpose="photo", batch="B1"),
        WriteOffStock(
            sku_id=sku_id, location_id=here, quantity=Decimal(4), kind=WriteOffKind.LOST, reason="gone", batch="B1"
        ),
        TransferStock(sku_id=sku_id, location_id=here, to_location_id=there, quantity=Decimal(4), batch="B1"),
        IssueSample(sku_id=sku_id, location_id=here, quantity=Decimal(1), purpose="photo", batch="B2"),
    ):
        with pytest.raises(ExceedsBatch):
            shelf.do(command)
    with pytest.raises(ExceedsBatch):
        look(shelf, sku_id, 4, OPEN, DAMAGED, batch="B1")
    look(shelf, sku_id, 2, OPEN, DAMAGED, batch="B1")
    with pytest.raises(ExceedsBatch):
        shelf.do(IssueSample(sku_id=sku_id, location_id=here, quantity=Decimal(2), purpose="photo", batch="B1"))
    # Who names no batch may take any unit.
    shelf.do(IssueSample(sku_id=sku_id, location_id=here, quantity=Decimal(6), purpose="photo"))
    assert of_batches(shelf.sku(sku_id), here) == {"B1": 3}


def test_where_no_units_came_in_by_batch_a_number_is_only_a_label(shelf: Shelf) -> None:
    sku_id = shelf.on_sale(stock=5)
    (here,) = shelf.location_ids
    shelf.do(ReserveStock(sku_id=sku_id, location_id=here, quantity=Decimal(2), reference="fair"))
    shelf.do(ShipStock(sku_id=sku_id, reference="fair", batch="OLD"))
    assert shelf.last(StockShipped).batch == "OLD"
    assert not shelf.sku(sku_id).level_at(here).batches_apart


def test_a_transfer_takes_its_batch_along() -> None:
    shelf = Shelf(locations=2)
    sku_id = shelf.article()
    here, there = shelf.location_ids
    shelf.receive(sku_id, 3, batch="B1")
    shelf.do(TransferStock(sku_id=sku_id, location_id=here, to_location_id=there, quantity=Decimal(2), batch="B1"))
    transfer_id = shelf.last(StockTransferredOut).transfer_id
    assert (of_batches(shelf.sku(sku_id), here), of_batches(shelf.sku(sku_id), there)) == ({"B1": 1}, {})
    shelf.do(ReceiveTransfer(sku_id=sku_id, transfer_id=transfer_id, quantity=Decimal(1), lost=Decimal(1), reason="x"))
    assert shelf.last(StockTransferredIn).batch == "B1"
    assert of_batches(shelf.sku(sku_id), there) == {"B1": 1}


def test_a_count_of_a_batch_is_a_count_of_that_batch_alone(shelf: Shelf) -> None:
    sku_id = shelf.on_sale(stock=5)
    (here,) = shelf.location_ids
    shelf.receive(sku_id, 3, batch="B1")
    look(shelf, sku_id, 2, OPEN, QUARANTINED, batch="B1")
    counted = CountStock(sku_id=sku_id, location_id=here, counted=Decimal(2), batch="B1", reason="one is gone")
    with pytest.raises(CountBelowHeld):
        shelf.do(CountStock(sku_id=sku_id, location_id=here, counted=Decimal(1), batch="B1", reason="two are"))
    shelf.do(counted)
    event = shelf.last(StockAdjusted)
    assert (event.difference, event.batch) == (-1, "B1")
    assert shelf.sku(sku_id).level_at(here).on_hand == 7
    assert of_batches(shelf.sku(sku_id), here) == {"B1": 2}


def test_a_batch_that_is_used_up_is_forgotten_and_still_gives_nothing(shelf: Shelf) -> None:
    sku_id = shelf.on_sale(stock=5)
    (here,) = shelf.location_ids
    shelf.receive(sku_id, 1, batch="B1")
    sample = IssueSample(sku_id=sku_id, location_id=here, quantity=Decimal(1), purpose="photo", batch="B1")
    shelf.do(sample)
    assert of_batches(shelf.sku(sku_id), here) == {}
    with pytest.raises(ExceedsBatch):
        shelf.do(sample)


def packed(shop: Shop, order_id: UUID, *scanned: tuple[int, str, str | None]) -> UUID:
    """Pack (line, quantity, batch) and return the parcel."""
    lines = tuple(
        ScannedLine(
            line=line, sku_id=shop.order(order_id).lines[line - 1].sku_id, quantity=Decimal(quantity), batch=batch
        )
        for line, quantity, batch in scanned
    )
    shop.desk.do(PackParcel(order_id=order_id, location_id=shop.location_id, lines=lines), actor=WAREHOUSE)
    return list(shop.order(order_id).parcels)[-1]


def test_an_order_leaves_out_of_the_batches_that_were_scanned(shop: Shop) -> None:
    lamp = shop.article(stock="0.001", quantity_places=3)
    shop.receive(lamp, "4", batch="B1")
    shop.receive(lamp, "4", batch="B2")
    order_id = shop.confirmed((lamp, "3"))
    with pytest.raises(QuantityMismatch):
        packed(shop, order_id, (1, "2", "B1"), (1, "2", "B2"))
    with pytest.raises(InvalidField):
        packed(shop, order_id, (1, "1", "B1"), (1, "1", "B1"))
    shop.ship(order_id, packed(shop, order_id, (1, "2", "B1"), (1, "1", "B2")))

    sent = [event for _, event in shop.desk.events if isinstance(event, StockShipped)]
    assert [(event.quantity, event.batch) for event in sent] == [(2, "B1"), (1, "B2")]
    assert [line.batch for line in shop.desk.last(OrderShipped).lines] == ["B1", "B2"]
    assert of_batches(shop.sku(lamp), shop.location_id) == {"B1": 2, "B2": 3}


def test_a_parcel_whose_batch_is_not_there_does_not_leave(shop: Shop) -> None:
    lamp = shop.article()
    shop.receive(lamp, "1", batch="B1")
    order_id = shop.confirmed((lamp, "4"))
    parcel = packed(shop, order_id, (1, "2", "B1"), (1, "2", None))
    mark = len(shop.desk.events)
    with pytest.raises(ExceedsBatch):
        shop.ship(order_id, parcel)
    assert len(shop.desk.events) == mark
    shop.receive(lamp, "1", batch="B1")
    shop.ship(order_id, parcel)
    assert of_batches(shop.sku(lamp), shop.location_id) == {}
