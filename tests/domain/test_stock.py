"""What becomes of an article's units: orders take them, campaigns keep them, staff count and move them."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from opscore.domain.command import Actor, Role
from opscore.domain.refusals import (
    CurrencyMismatch,
    InvalidField,
    NotFound,
    ReasonMissing,
)
from opscore.domain.sku import DelistReason, StockCondition, WriteOffKind
from opscore.domain.sku_commands import (
    ListSku,
    SetStockPolicy,
)
from opscore.domain.sku_events import (
    AlreadyReserved,
    BelowMinimumQuantity,
    CampaignQuotaUsed,
    CampaignStockReleased,
    CountBelowHeld,
    CountOutdated,
    ExceedsOnHand,
    ExceedsTransfer,
    LowAboveHigh,
    LowStockReached,
    NotInCampaign,
    NotReserved,
    ReservationReleased,
    SameLocation,
    SkuDelisted,
    SkuNotListed,
    StockAdjusted,
    StockCounted,
    StockInsufficient,
    StockReceived,
    StockReserved,
    StockShipped,
    StockTransferredIn,
    StockTransferredOut,
    StoreNotInCampaign,
    TransferUnknown,
)
from opscore.domain.stock_commands import (
    AllocateCampaignStock,
    CountStock,
    IssueSample,
    ReceiveStock,
    ReceiveTransfer,
    ReleaseCampaignStock,
    ReleaseReservation,
    ReserveStock,
    ShipStock,
    TakeBackStock,
    TransferStock,
    WriteOffStock,
)
from opscore.domain.store_commands import (
    CloseLocation,
)
from opscore.domain.store_events import (
    LocationClosedAlready,
)
from tests.domain.shelf import Shelf

ORDER, OTHER = UUID(int=11), UUID(int=12)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def names(events: list[Any]) -> list[str]:
    return [type(event).__name__ for event in events]


# What orders do ------------------------------------------------------------------------------------------------------


def test_the_last_unit_ordered_takes_the_article_off_sale_in_the_same_decision(shelf: Shelf) -> None:
    sku_id = shelf.on_sale(stock=1)
    placed = shelf.order(sku_id, ORDER, 1)
    assert names(placed) == ["StockReserved", "StockDepleted", "SkuDelisted"]
    assert placed[2].reason is DelistReason.OUT_OF_STOCK
    with pytest.raises(StockInsufficient):
        shelf.order(sku_id, OTHER, 1)
    shelf.cancel(sku_id, ORDER)
    assert shelf.sku(sku_id).sellable == 1
    with pytest.raises(SkuNotListed):
        shelf.order(sku_id, OTHER, 1)
    shelf.do(ListSku(sku_id=sku_id))
    assert names(shelf.order(sku_id, OTHER, 1))[0] == "StockReserved"


def test_sold_out_takes_the_article_off_sale_in_every_store_that_has_it(shelf: Shelf) -> None:
    sku_id = shelf.on_sale(stock=1)
    other = shelf.open_store("Second shop", currency="GBP")
    there = shelf.location(other)
    shelf.do(ReceiveStock(sku_id=sku_id, store_id=other, location_id=there, quantity=Decimal(1)))
    shelf.do(ListSku(sku_id=sku_id, store_id=other))
    assert SkuDelisted not in map(type, shelf.order(sku_id, ORDER, 1))
    shelf.do(IssueSample(sku_id=sku_id, store_id=other, location_id=there, quantity=Decimal(1), purpose="photographs"))
    assert not any(listing.listed for listing in shelf.sku(sku_id).listings.values())


@pytest.mark.parametrize("quantity", ["0", "-1", "0.5", "NaN", "Infinity", "1e13"])
def test_a_quantity_that_cannot_be_is_refused(shelf: Shelf, quantity: str) -> None:
    sku_id = shelf.on_sale()
    with pytest.raises(InvalidField):
        shelf.act(sku_id, lambda sku: sku.require_orderable(shelf.store_id, Decimal(quantity)))
    with pytest.raises(InvalidField):
        shelf.do(ReceiveStock(sku_id=sku_id, location_id=shelf.location_ids[0], quantity=Decimal(quantity)))


def test_an_order_below_the_minimum_quantity_is_refused(shelf: Shelf) -> None:
    sku_id = shelf.on_sale(min_order_quantity=Decimal(3))
    with pytest.raises(BelowMinimumQuantity) as refused:
        shelf.order(sku_id, ORDER, 2)
    assert refused.value.path == ("lines", 0)
    shelf.order(sku_id, ORDER, 3)


def test_units_come_from_the_first_location_that_has_them_all_else_from_several() -> None:
    shelf = Shelf(locations=3)
    sku_id = shelf.article()
    for at, stock in enumerate((2, 5, 4)):
        shelf.receive(sku_id, stock, at)
    sku = shelf.sku(sku_id)
    places = shelf.location_ids

    def plan(quantity: int) -> list[tuple[int, Decimal]]:
        picks = sku.plan_reservation(Decimal(quantity), places)
        return [(places.index(pick.location_id), pick.quantity) for pick in picks]

    assert plan(2) == [(0, Decimal(2))]
    assert plan(4) == [(1, Decimal(4))]
    assert plan(8) == [(0, Decimal(2)), (1, Decimal(5)), (2, Decimal(1))]
    with pytest.raises(StockInsufficient) as refused:
        plan(12)
    assert refused.value.facts["available"] == 11


def test_two_lines_of_one_order_are_not_promised_the_same_units(shelf: Shelf) -> None:
    sku = shelf.sku(shelf.on_sale(stock=3))
    first = sku.plan_reservation(Decimal(2), shelf.location_ids)
    with pytest.raises(StockInsufficient):
        sku.plan_reservation(Decimal(2), shelf.location_ids, taken=first)
    assert sku.plan_reservation(Decimal(1), shelf.location_ids, taken=first)


def test_a_released_or_shipped_order_is_forgotten_and_asking_again_records_nothing(shelf: Shelf) -> None:
    sku_id = shelf.on_sale()
    shelf.order(sku_id, ORDER, 4)
    shelf.order(sku_id, OTHER, 2)
    assert [event.quantity for event in shelf.ship(sku_id, ORDER, 3)] == [3]
    assert [event.quantity for event in shelf.cancel(sku_id, ORDER)] == [1]
    shelf.cancel(sku_id, OTHER)
    assert shelf.cancel(sku_id, ORDER) == shelf.cancel(sku_id, OTHER) == shelf.ship(sku_id, ORDER, 1) == []
    assert shelf.sku(sku_id).reservations == {}
    assert shelf.sku(sku_id).on_hand == shelf.sku(sku_id).sellable == 7


def test_shipping_more_than_is_reserved_is_refused_beforehand(shelf: Shelf) -> None:
    sku_id = shelf.on_sale()
    shelf.order(sku_id, ORDER, 2)
    shelf.sku(sku_id).require_reserved(ORDER, Decimal(2))
    with pytest.raises(NotReserved):
        shelf.sku(sku_id).require_reserved(ORDER, Decimal(3))


def test_a_parcel_takes_the_units_reserved_at_its_own_location_first() -> None:
    shelf = Shelf(locations=2)
    sku_id = shelf.article()
    shelf.receive(sku_id, 2, 0)
    shelf.receive(sku_id, 2, 1)
    shelf.do(ListSku(sku_id=sku_id))
    shelf.order(sku_id, ORDER, 4)
    shipped = shelf.ship(sku_id, ORDER, 3, shelf.location_ids[1])
    assert [(event.location_id, event.quantity) for event in shipped] == [
        (shelf.location_ids[1], 2),
        (shelf.location_ids[0], 1),
    ]


def test_units_that_come_back_in_bad_condition_are_never_sold(shelf: Shelf) -> None:
    sku_id = shelf.article()
    here = shelf.location_ids[0]
    for condition in StockCondition:
        shelf.do(TakeBackStock(sku_id=sku_id, location_id=here, quantity=Decimal(1), condition=condition))
    sku = shelf.sku(sku_id)
    level = sku.level_at(here)
    assert (sku.on_hand, sku.sellable, level.damaged, level.quarantined) == (4, 1, 2, 1)
    with pytest.raises(StockInsufficient):
        sku.plan_reservation(Decimal(2), shelf.location_ids)


# Campaign stock ------------------------------------------------------------------------------------------------------


def test_a_campaign_sells_its_quota_and_no_more_and_others_cannot_have_it() -> None:
    shelf = Shelf(campaigns=1)
    sku_id = shelf.on_sale(stock=10)
    (campaign_id,) = shelf.campaign_ids
    shelf.allocate(sku_id, 4)
    with pytest.raises(StockInsufficient):
        shelf.order(sku_id, ORDER, 7)
    shelf.order(sku_id, ORDER, 3, campaign_id=campaign_id)
    with pytest.raises(CampaignQuotaUsed) as refused:
        shelf.order(sku_id, OTHER, 2, campaign_id=campaign_id)
    assert refused.value.ids == (sku_id, campaign_id)
    shelf.order(sku_id, OTHER, 6)
    level = shelf.sku(sku_id).level_at(shelf.location_ids[0])
    assert (level.sellable, level.allocated, level.reserved, level.on_hand) == (0, 1, 9, 10)
    assert shelf.sku(sku_id).listings[shelf.store_id].listed


def test_a_cancelled_campaign_order_gives_its_units_back_to_the_quota_while_there_is_one() -> None:
    shelf = Shelf(campaigns=1)
    sku_id = shelf.on_sale(stock=10)
    (campaign_id,) = shelf.campaign_ids
    shelf.allocate(sku_id, 4)
    shelf.order(sku_id, ORDER, 4, campaign_id=campaign_id)
    shelf.cancel(sku_id, ORDER, Decimal(1))
    assert shelf.sku(sku_id).allocations[campaign_id] == {shelf.location_ids[0]: 1}
    closing = shelf.records(ReleaseCampaignStock(sku_id=sku_id, campaign_id=campaign_id))
    assert [(event.quantity, event.closes) for event in closing] == [(1, True)]
    (released,) = shelf.cancel(sku_id, ORDER)
    assert isinstance(released, ReservationReleased)
    assert (released.campaign_id, released.to_quota) == (campaign_id, False)
    assert shelf.sku(sku_id).sellable == 10


def test_a_sold_out_quota_is_closed_without_units_and_closing_twice_records_once() -> None:
    shelf = Shelf(campaigns=1)
    sku_id = shelf.on_sale(stock=10)
    (campaign_id,) = shelf.campaign_ids
    shelf.allocate(sku_id, 4)
    shelf.order(sku_id, ORDER, 4, campaign_id=campaign_id)
    (closed,) = shelf.records(ReleaseCampaignStock(sku_id=sku_id, campaign_id=campaign_id))
    assert isinstance(closed, CampaignStockReleased)
    assert (closed.quantity, closed.closes) == (0, True)
    assert shelf.records(ReleaseCampaignStock(sku_id=sku_id, campaign_id=campaign_id)) == []


def test_campaign_stock_is_given_to_lines_of_open_campaigns_only() -> None:
    shelf = Shelf(campaigns=1)
    shelf.on_sale()
    (campaign_id,) = shelf.campaign_ids
    shelf.campaign_ids = []
    stranger = shelf.on_sale("VASE")
    shelf.campaign_ids = [campaign_id]
    with pytest.raises(NotInCampaign):
        shelf.allocate(stranger, 1)


def test_a_quota_lies_where_orders_of_the_campaign_take_from() -> None:
    shelf = Shelf(campaigns=1)
    sku_id = shelf.on_sale()
    (campaign_id,), other = shelf.campaign_ids, shelf.open_store("Other", currency="GBP")
    there = {"store_id": other, "location_id": shelf.location(other), "quantity": Decimal(1)}
    shelf.do(ReceiveStock(sku_id=sku_id, **there))
    with pytest.raises(StoreNotInCampaign) as refused:
        shelf.do(AllocateCampaignStock(sku_id=sku_id, campaign_id=campaign_id, **there))
    assert refused.value.path == ("location_id",)


def test_campaign_stock_is_released_as_far_as_it_is_there() -> None:
    shelf = Shelf(campaigns=1)
    sku_id = shelf.on_sale()
    (campaign_id,) = shelf.campaign_ids
    (here,) = shelf.location_ids
    with pytest.raises(StockInsufficient):
        shelf.allocate(sku_id, 11)
    shelf.allocate(sku_id, 4)
    some = ReleaseCampaignStock(sku_id=sku_id, campaign_id=campaign_id, location_id=here, quantity=Decimal(3))
    shelf.do(some)
    with pytest.raises(CampaignQuotaUsed):
        shelf.do(some)
    with pytest.raises(InvalidField):
        shelf.do(ReleaseCampaignStock(sku_id=sku_id, campaign_id=campaign_id, quantity=Decimal(1)))
    assert shelf.sku(sku_id).sellable == 9


# Staff and stock -----------------------------------------------------------------------------------------------------


def test_units_received_say_their_batch_cost_and_document(shelf: Shelf) -> None:
    sku_id = shelf.draft()
    shelf.receive(sku_id, 5, batch="B7", unit_cost=Decimal("1.250"), cost_assumed=True, document="DN-1")
    event = shelf.last(StockReceived)
    assert (event.batch, str(event.unit_cost), event.cost_assumed, event.currency, event.document) == (
        "B7",
        "1.25",
        True,
        "GBP",
        "DN-1",
    )
    assert shelf.sku(sku_id).last_unit_cost == Decimal("1.25")


def test_a_receipt_that_cannot_be_is_refused(shelf: Shelf) -> None:
    sku_id = shelf.draft()
    with pytest.raises(InvalidField):
        shelf.receive(sku_id, 1, cost_assumed=True)
    with pytest.raises(CurrencyMismatch):
        shelf.receive(sku_id, 1, unit_cost=Decimal(1), currency="EUR")
    with pytest.raises(NotFound):
        shelf.do(ReceiveStock(sku_id=sku_id, location_id=uuid4(), quantity=Decimal(1)))


def test_a_closed_location_takes_nothing_in_but_can_be_emptied() -> None:
    shelf = Shelf(locations=2)
    sku_id = shelf.article()
    here, there = shelf.location_ids
    shelf.receive(sku_id, 5, 1)
    shelf.do(CloseLocation(store_id=shelf.store_id, location_id=there))
    with pytest.raises(LocationClosedAlready):
        shelf.receive(sku_id, 1, 1)
    shelf.receive(sku_id, 1, 0)
    with pytest.raises(LocationClosedAlready):
        shelf.do(TransferStock(sku_id=sku_id, location_id=here, to_location_id=there, quantity=Decimal(1)))
    shelf.do(TransferStock(sku_id=sku_id, location_id=there, to_location_id=here, quantity=Decimal(5)))
    assert shelf.sku(sku_id).level_at(there).on_hand == 0


def test_a_back_dated_receipt_counts_from_now_on_and_keeps_its_own_day(shelf: Shelf) -> None:
    sku_id = shelf.on_sale(stock=1)
    shelf.order(sku_id, ORDER, 1)
    last_week = shelf.now - timedelta(days=7)
    shelf.do(ReceiveStock(sku_id=sku_id, location_id=shelf.location_ids[0], quantity=Decimal(2)), at=last_week)
    assert shelf.last(StockReceived).occurred_at == last_week
    assert shelf.sku(sku_id).sellable == 2


def test_units_are_held_under_a_name_until_shipped_or_released(shelf: Shelf) -> None:
    sku_id = shelf.on_sale(stock=10)
    (here,) = shelf.location_ids
    hold = ReserveStock(sku_id=sku_id, location_id=here, quantity=Decimal(6), reference="fair", document="F-1")
    (reserved,) = shelf.records(hold)
    assert isinstance(reserved, StockReserved)
    assert (reserved.reference, reserved.document, reserved.store_id) == ("fair", "F-1", shelf.store_id)
    assert shelf.records(hold) == []
    with pytest.raises(AlreadyReserved):
        shelf.do(ReserveStock(sku_id=sku_id, location_id=here, quantity=Decimal(1), reference="fair"))
    with pytest.raises(StockInsufficient):
        shelf.order(sku_id, ORDER, 5)
    (shipped,) = shelf.records(ShipStock(sku_id=sku_id, reference="fair", quantity=Decimal(2), batch="B7"))
    assert isinstance(shipped, StockShipped)
    assert (shipped.order_id, shipped.quantity, shipped.batch) == (reserved.order_id, 2, "B7")
    with pytest.raises(NotReserved):
        shelf.do(ReleaseReservation(sku_id=sku_id, reference="fair", quantity=Decimal(5)))
    shelf.do(ReleaseReservation(sku_id=sku_id, reference="fair"))
    assert (shelf.sku(sku_id).on_hand, shelf.sku(sku_id).sellable) == (8, 8)
    for command in (ReleaseReservation(sku_id=sku_id, reference="fair"), ShipStock(sku_id=sku_id, reference="fair")):
        with pytest.raises(NotReserved):
            shelf.do(command)


def test_what_an_order_reserved_is_not_let_go_by_staff(shelf: Shelf) -> None:
    sku_id = shelf.on_sale()
    shelf.order(sku_id, ORDER, 2)
    for command in (
        ReleaseReservation(sku_id=sku_id, reference=str(ORDER)),
        ShipStock(sku_id=sku_id, reference=str(ORDER)),
    ):
        with pytest.raises(NotReserved):
            shelf.do(command)


def test_a_count_posts_the_difference_with_its_reason(shelf: Shelf) -> None:
    sku_id = shelf.article()
    shelf.receive(sku_id, 10)
    (here,) = shelf.location_ids
    with pytest.raises(ReasonMissing):
        shelf.do(CountStock(sku_id=sku_id, location_id=here, counted=Decimal(8)))
    counted, adjusted = shelf.records(
        CountStock(sku_id=sku_id, location_id=here, counted=Decimal(8), expected_on_hand=Decimal(10), reason="broken")
    )
    assert isinstance(counted, StockCounted)
    assert isinstance(adjusted, StockAdjusted)
    assert (counted.book, counted.counted, adjusted.difference, adjusted.reason) == (10, 8, -2, "broken")
    assert shelf.sku(sku_id).on_hand == 8
    assert names(shelf.records(CountStock(sku_id=sku_id, location_id=here, counted=Decimal(8)))) == ["StockCounted"]


def test_a_count_of_what_has_moved_since_is_refused(shelf: Shelf) -> None:
    sku_id = shelf.on_sale(stock=10)
    shelf.order(sku_id, ORDER, 1)
    shelf.ship(sku_id, ORDER, 1)
    (here,) = shelf.location_ids
    with pytest.raises(CountOutdated):
        shelf.do(CountStock(sku_id=sku_id, location_id=here, counted=Decimal(10), expected_on_hand=Decimal(10)))


def test_a_count_below_what_is_promised_is_refused_until_that_is_released(shelf: Shelf) -> None:
    sku_id = shelf.on_sale(stock=10)
    shelf.order(sku_id, ORDER, 4)
    (here,) = shelf.location_ids
    few = CountStock(sku_id=sku_id, location_id=here, counted=Decimal(3), reason="stolen")
    with pytest.raises(CountBelowHeld):
        shelf.do(few)
    shelf.cancel(sku_id, ORDER, Decimal(1))
    assert names(shelf.records(few)) == ["StockCounted", "StockAdjusted", "StockDepleted", "SkuDelisted"]


def test_the_last_free_unit_written_off_takes_the_article_off_sale(shelf: Shelf) -> None:
    sku_id = shelf.on_sale(stock=3)
    (here,) = shelf.location_ids

    def spoiled(quantity: int, condition: StockCondition = StockCondition.GOOD) -> WriteOffStock:
        return WriteOffStock(
            sku_id=sku_id,
            location_id=here,
            quantity=Decimal(quantity),
            kind=WriteOffKind.SPOILED,
            reason="warm",
            condition=condition,
        )

    shelf.order(sku_id, ORDER, 1)
    with pytest.raises(ExceedsOnHand):
        shelf.do(spoiled(3))
    assert names(shelf.records(spoiled(2))) == ["StockWrittenOff", "StockDepleted", "SkuDelisted"]
    with pytest.raises(ExceedsOnHand):
        shelf.do(spoiled(1, StockCondition.DAMAGED))
    shelf.do(TakeBackStock(sku_id=sku_id, location_id=here, quantity=Decimal(1), condition=StockCondition.DAMAGED))
    assert names(shelf.records(spoiled(1, StockCondition.DAMAGED))) == ["StockWrittenOff"]
    assert shelf.sku(sku_id).on_hand == 1


def test_sinking_to_the_low_line_is_told_once_each_time_it_is_crossed(shelf: Shelf) -> None:
    sku_id = shelf.on_sale(stock=10)
    shelf.do(SetStockPolicy(sku_id=sku_id, low_line=Decimal(7), high_line=Decimal(50), cover_days=14))
    assert names(shelf.order(sku_id, ORDER, 2)) == ["StockReserved"]
    crossing = shelf.order(sku_id, OTHER, 1)
    assert names(crossing) == ["StockReserved", "LowStockReached"]
    assert isinstance(crossing[1], LowStockReached)
    assert (crossing[1].sellable, crossing[1].low_line) == (7, 7)
    assert names(shelf.order(sku_id, OTHER, 1)) == ["StockReserved"]
    shelf.cancel(sku_id, ORDER)
    assert names(shelf.order(sku_id, ORDER, 1)) == ["StockReserved", "LowStockReached"]


def test_a_stock_policy_has_its_low_line_below_its_high_line_and_is_recorded_once(shelf: Shelf) -> None:
    sku_id = shelf.draft()
    with pytest.raises(LowAboveHigh):
        shelf.do(SetStockPolicy(sku_id=sku_id, low_line=Decimal(9), high_line=Decimal(8)))
    command = SetStockPolicy(sku_id=sku_id, low_line=Decimal(8), high_line=Decimal(8), stock_class="A")
    assert len(shelf.records(command)) == 1
    assert shelf.records(command) == []


def test_a_transfer_arrives_in_parts_and_what_is_lost_needs_a_reason() -> None:
    shelf = Shelf(locations=2)
    sku_id = shelf.article()
    shelf.receive(sku_id, 10)
    here, there = shelf.location_ids
    with pytest.raises(SameLocation):
        shelf.do(TransferStock(sku_id=sku_id, location_id=here, to_location_id=here, quantity=Decimal(1)))
    shelf.do(TransferStock(sku_id=sku_id, location_id=here, to_location_id=there, quantity=Decimal(6)))
    transfer_id = shelf.last(StockTransferredOut).transfer_id
    sku = shelf.sku(sku_id)
    assert (sku.on_hand, sku.level_at(there).in_transit, sku.level_at(there).sellable) == (4, 6, 0)

    def arrives(quantity: int, lost: int = 0, **fields: Any) -> UUID:
        return shelf.do(
            ReceiveTransfer(
                sku_id=sku_id, transfer_id=transfer_id, quantity=Decimal(quantity), lost=Decimal(lost), **fields
            )
        )

    with pytest.raises(ExceedsTransfer):
        arrives(7)
    with pytest.raises(InvalidField):
        arrives(0)
    arrives(3)
    with pytest.raises(ReasonMissing):
        arrives(2, lost=1)
    arrives(2, lost=1, reason="fell off the lorry")
    assert shelf.last(StockTransferredIn).lost == 1
    assert (sku.on_hand, sku.level_at(there).in_transit, sku.level_at(there).sellable) == (9, 0, 5)
    with pytest.raises(TransferUnknown):
        arrives(1)


def test_goods_sent_to_another_store_are_received_by_that_store(shelf: Shelf) -> None:
    sku_id = shelf.article()
    shelf.receive(sku_id, 4)
    other = shelf.open_store("Second shop", currency="GBP")
    there = shelf.location(other)
    shelf.do(
        TransferStock(
            sku_id=sku_id,
            location_id=shelf.location_ids[0],
            to_location_id=there,
            to_store_id=other,
            quantity=Decimal(4),
        )
    )
    transfer_id = shelf.last(StockTransferredOut).transfer_id
    with pytest.raises(TransferUnknown):
        shelf.do(ReceiveTransfer(sku_id=sku_id, transfer_id=transfer_id, quantity=Decimal(4)))
    theirs = Actor(id="tom", role=Role.WAREHOUSE, stores=frozenset({other}))
    shelf.do(ReceiveTransfer(sku_id=sku_id, store_id=other, transfer_id=transfer_id, quantity=Decimal(4)), actor=theirs)
    assert shelf.sku(sku_id).level_at(there).sellable == 4
