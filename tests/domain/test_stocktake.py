"""A count stands: what is dated before it does not change what is after it, whenever it is entered."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings, strategies as st

from opscore.domain.aggregate import Event
from opscore.domain.command import Command
from opscore.domain.refusals import InvalidField, ReasonMissing, Refusal
from opscore.domain.sku import StockCondition, WriteOffKind
from opscore.domain.sku_events import (
    CountBelowHeld,
    StockAdjusted,
    StockCounted,
    StockDepleted,
    StockReceived,
)
from opscore.domain.stock_commands import (
    CountStock,
    IssueSample,
    ReceiveStock,
    ReceiveTransfer,
    ReserveStock,
    ShipStock,
    TakeBackStock,
    TransferStock,
    WriteOffStock,
)
from tests.domain.shelf import Shelf, state_of
from tests.domain.test_stock_laws import MOVES


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def balance(events: Sequence[Event], location: UUID, at: datetime | None, batch: str | None = None) -> Decimal:
    """Return what was at a location by a time (None: all), as these events say; of one batch if it is named."""
    found = Decimal(0)
    for event in events:
        sign = MOVES.get(type(event))
        if sign is None or event.location_id != location or (at is not None and event.occurred_at > at):
            continue
        if batch is None or getattr(event, "batch", None) == batch:
            found += sign(event)
    return found


def stock_events(shelf: Shelf) -> list[Event]:
    return [event for _, event in shelf.events]


def test_a_receipt_entered_late_and_dated_before_a_count_changes_nothing_after_it(shelf: Shelf) -> None:
    # On Sunday 5 units come in, and nobody writes it down. On Monday 15 are counted where the book says 10. On Tuesday
    # the delivery note is found: Sunday has 15 now, and from Monday's count on there are still 15.
    sku_id = shelf.article()
    (here,) = shelf.location_ids
    saturday = shelf.now + timedelta(minutes=1)
    sunday, monday, tuesday = (saturday + timedelta(days=days) for days in (1, 2, 3))
    shelf.receive(sku_id, 10)
    shelf.now = tuesday
    shelf.do(CountStock(sku_id=sku_id, location_id=here, counted=Decimal(15), reason="not written down"), at=monday)
    late = ReceiveStock(sku_id=sku_id, location_id=here, quantity=Decimal(5), document="DN-7")
    mark = len(shelf.events)
    shelf.do(late, at=sunday)

    received, corrected = [event for _, event in shelf.events[mark:]]
    assert isinstance(received, StockReceived) and isinstance(corrected, StockAdjusted)
    assert (corrected.difference, corrected.occurred_at, corrected.corrects) == (-5, monday, True)
    told = stock_events(shelf)
    assert [balance(told, here, at) for at in (saturday, sunday, monday, tuesday)] == [10, 15, 15, 15]
    assert shelf.sku(sku_id).on_hand == 15
    shelf.do(late, at=monday)
    assert shelf.sku(sku_id).on_hand == 20, "what happens at the time of the count comes after it"


def test_goods_that_had_left_before_a_count_are_not_missed_twice(shelf: Shelf) -> None:
    sku_id = shelf.article()
    (here,) = shelf.location_ids
    shelf.receive(sku_id, 10)
    shelf.do(ReserveStock(sku_id=sku_id, location_id=here, quantity=Decimal(3), reference="fair"))
    left = shelf.now + timedelta(hours=1)
    shelf.now += timedelta(days=1)
    shelf.do(CountStock(sku_id=sku_id, location_id=here, counted=Decimal(7), reason="3 are missing"))
    shelf.do(ShipStock(sku_id=sku_id, reference="fair"), at=left)
    level = shelf.sku(sku_id).level_at(here)
    assert (level.on_hand, level.reserved, level.sellable) == (7, 0, 7)


def test_a_count_of_a_batch_corrects_the_batch_and_a_count_of_the_place_corrects_the_place(shelf: Shelf) -> None:
    sku_id = shelf.article()
    (here,) = shelf.location_ids
    shelf.receive(sku_id, 4, batch="B1")
    before = shelf.now + timedelta(hours=1)
    for batch in (None, "B1"):
        shelf.now += timedelta(days=1)
        shelf.do(CountStock(sku_id=sku_id, location_id=here, counted=Decimal(6), batch=batch, reason="more"))
    assert shelf.sku(sku_id).level_at(here).batches["B1"].on_hand == 6
    on_hand = shelf.sku(sku_id).on_hand
    shelf.do(ReceiveStock(sku_id=sku_id, location_id=here, quantity=Decimal(2), batch="B1"), at=before)
    assert shelf.sku(sku_id).on_hand == on_hand
    assert shelf.sku(sku_id).level_at(here).batches["B1"].on_hand == 6
    told = stock_events(shelf)
    assert balance(told, here, before + timedelta(hours=1), "B1") == 6, "the first count said nothing of batches"


def test_what_was_set_aside_before_a_count_was_counted_among_the_free_units(shelf: Shelf) -> None:
    sku_id = shelf.on_sale(stock=4)
    (here,) = shelf.location_ids
    before = shelf.now
    shelf.now += timedelta(days=1)
    shelf.do(CountStock(sku_id=sku_id, location_id=here, counted=Decimal(4)))
    back = {"sku_id": sku_id, "location_id": here, "condition": StockCondition.DAMAGED}
    with pytest.raises(CountBelowHeld):
        shelf.do(TakeBackStock(quantity=Decimal(5), **back), at=before)
    mark = len(shelf.events)
    shelf.do(TakeBackStock(quantity=Decimal(4), **back), at=before)
    assert StockDepleted in [type(event) for _, event in shelf.events[mark:]]
    level = shelf.sku(sku_id).level_at(here)
    assert (level.on_hand, level.damaged, level.sellable) == (4, 4, 0)


def test_a_count_sets_a_cost_with_or_without_a_difference(shelf: Shelf) -> None:
    sku_id = shelf.article()
    (here,) = shelf.location_ids
    shelf.receive(sku_id, 10)
    counted = CountStock(sku_id=sku_id, location_id=here, counted=Decimal(10), unit_cost=Decimal("4.50"))
    count, adjusted = shelf.records(counted)
    assert isinstance(count, StockCounted) and isinstance(adjusted, StockAdjusted)
    assert (count.unit_cost, count.currency) == (adjusted.unit_cost, adjusted.currency) == (Decimal("4.5"), "GBP")
    assert (adjusted.difference, adjusted.counted) == (0, 10)
    assert shelf.sku(sku_id).last_unit_cost == Decimal("4.5")
    late = ReceiveStock(sku_id=sku_id, location_id=here, quantity=Decimal(5), unit_cost=Decimal(9))
    shelf.do(late, at=count.occurred_at - timedelta(seconds=1))
    corrected = shelf.last(StockAdjusted)
    assert (corrected.difference, corrected.counted, corrected.unit_cost) == (-5, 10, Decimal("4.5"))
    with pytest.raises(ReasonMissing):
        shelf.do(CountStock(sku_id=sku_id, location_id=here, counted=Decimal(8), unit_cost=Decimal(4)))
    for counted_units, cost in ((0, "4"), (8, "-1"), (8, "0.0000001")):
        with pytest.raises(InvalidField):
            shelf.do(
                CountStock(
                    sku_id=sku_id, location_id=here, counted=Decimal(counted_units), unit_cost=Decimal(cost), reason="x"
                )
            )


# The law -------------------------------------------------------------------------------------------------------------

days = st.integers(0, 9)
batches = st.sampled_from([None, "B1"])
Step = tuple[str, int, int, int, str | None]
steps = st.tuples(
    st.sampled_from(["receive", "sample", "back", "lose", "send", "arrive", "hold", "count", "count"]),
    days,
    st.integers(0, 1),
    st.integers(1, 6),
    batches,
)


def command_of(shelf: Shelf, sku_id: UUID, step: Step) -> Command | None:
    """Return what a step asks for, given what there is."""
    what, _, at, quantity, batch = step
    sku, here, there = shelf.sku(sku_id), shelf.location_ids[at], shelf.location_ids[1 - at]
    where: dict[str, Any] = {"sku_id": sku_id, "location_id": here, "quantity": Decimal(quantity), "batch": batch}
    match what:
        case "receive":
            return ReceiveStock(**where, condition=list(StockCondition)[quantity % 4])
        case "sample":
            return IssueSample(**where, purpose="photo")
        case "back":
            return TakeBackStock(**where, condition=list(StockCondition)[quantity % 4])
        case "lose":
            condition = list(StockCondition)[quantity % 4]
            return WriteOffStock(**where, kind=WriteOffKind.LOST, reason="gone", condition=condition)
        case "send":
            return TransferStock(**where, to_location_id=there)
        case "arrive":
            transfer = next(iter(sku.transfers.items()), None)
            if transfer is None:
                return None
            return ReceiveTransfer(sku_id=sku_id, transfer_id=transfer[0], quantity=transfer[1].quantity)
        case "hold":
            name = f"fair {len(shelf.events)}"
            try:
                shelf.do(ReserveStock(sku_id=sku_id, location_id=here, quantity=Decimal(quantity), reference=name))
            except Refusal:
                return None
            return ShipStock(sku_id=sku_id, reference=name, batch=batch)
        case _:
            return CountStock(sku_id=sku_id, location_id=here, counted=Decimal(quantity), batch=batch, reason="counted")


@settings(max_examples=150, deadline=None)
@given(history=st.lists(steps, min_size=4, max_size=24))
def test_given_any_history_no_count_is_undone_by_what_is_dated_before_it(history: list[Step]) -> None:
    shelf = Shelf(locations=2)
    sku_id = shelf.article()
    begun = shelf.now
    moments = [begun + timedelta(days=day, hours=6 * part) for day in range(10) for part in range(4)]
    shelf.now = begun + timedelta(days=30)
    for step in history:
        command = command_of(shelf, sku_id, step)
        if command is None:
            continue
        at, old = begun + timedelta(days=step[1]), stock_events(shelf)
        state = state_of(shelf.sku(sku_id))
        try:
            shelf.do(command, at=at)
        except Refusal:
            assert stock_events(shelf) == old and state_of(shelf.sku(sku_id)) == state
            continue
        new = stock_events(shelf)
        for place in shelf.location_ids:
            # A count stands for its place, or for its batch there.
            counts = [
                (event.occurred_at, event.batch)
                for event in old
                if isinstance(event, StockCounted) and event.location_id == place
            ]
            for moment in moments:
                for of in (None, "B1"):
                    named = getattr(new[len(old)], "batch", None)
                    after = [
                        counted
                        for counted, batch in counts
                        if at < counted <= moment and (batch == of or (of is None and batch == named))
                    ]
                    if after or moment < at:
                        assert balance(new, place, moment, of) == balance(old, place, moment, of)
            assert balance(new, place, None) == shelf.sku(sku_id).level_at(place).on_hand
        assert min(level.sellable for level in shelf.sku(sku_id).levels.values()) >= 0
