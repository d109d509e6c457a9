"""Closing the books: what is dated before a close is refused, unless somebody answers for it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import msgspec
import pytest

from opscore.domain.campaign_commands import (
    AddCampaignLine,
    CancelCampaign,
    EndCampaign,
    PlanCampaign,
    RemoveCampaignLine,
)
from opscore.domain.campaign_events import CampaignGoal, LineRole
from opscore.domain.command import Actor, Command, Origin, Role
from opscore.domain.order import Order
from opscore.domain.order_commands import CancelOrder, CancelOrderLines, LineQuantity, ShipOrder
from opscore.domain.order_events import ReturnCondition
from opscore.domain.order_placing import PlaceLine, PlaceOrder
from opscore.domain.order_recorded_returns import (
    RecordedReturnLine,
    RecordReturn,
)
from opscore.domain.order_recording import RecordedLine, RecordOrder
from opscore.domain.order_returns import (
    DisposalOf,
    DisposeReturn,
)
from opscore.domain.policies import Costing, CostMethod
from opscore.domain.refusals import NotAuthorised, Refusal
from opscore.domain.sku import Sku, StockBackdated, StockCondition, StockState, WriteOffKind
from opscore.domain.stock_commands import (
    AllocateCampaignStock,
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
from opscore.domain.store import Store
from opscore.domain.store_commands import AddLocation, ClosePeriod, SetPolicy
from opscore.domain.store_events import (
    ClosedFurtherAlready,
    EffectiveInThePast,
    PeriodClosed,
    PeriodClosedAlready,
    PeriodNotOver,
)
from tests.domain.desk import MANAGER, OWNER, WAREHOUSE
from tests.domain.selling import Shop

FINANCE = Actor(id="fred", role=Role.FINANCE)
PROMOTER = Actor(id="pam", role=Role.PROMOTER)


@pytest.fixture
def shop() -> Shop:
    """An open store in Shanghai with an article, some of it held and some under way to a second room."""
    return Shop()


def close(shop: Shop, day: date) -> None:
    shop.desk.now = max(shop.desk.now, datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=3))
    shop.desk.do(ClosePeriod(store_id=shop.store_id, through=day, reason="month end"), actor=FINANCE)


def open_from(shop: Shop) -> datetime | None:
    return shop.desk.get(Store, shop.store_id).books_open_from


def test_given_a_store_in_shanghai_a_day_is_closed_up_to_its_own_midnight(shop: Shop) -> None:
    close(shop, date(2024, 5, 31))

    event = shop.desk.last(PeriodClosed)
    assert (event.through, event.open_from) == (date(2024, 5, 31), datetime(2024, 5, 31, 16, tzinfo=UTC))
    assert event.reason == "month end"


def test_given_a_close_the_same_day_again_records_nothing_and_an_earlier_one_is_refused(shop: Shop) -> None:
    close(shop, date(2024, 5, 31))
    mark = len(shop.desk.events)

    close(shop, date(2024, 5, 31))
    with pytest.raises(ClosedFurtherAlready):
        close(shop, date(2024, 5, 30))

    assert shop.desk.events[mark:] == []
    close(shop, date(2024, 6, 1))
    assert open_from(shop) == datetime(2024, 6, 1, 16, tzinfo=UTC)


def test_a_day_that_is_not_over_in_the_store_cannot_be_closed(shop: Shop) -> None:
    # 17:00 UTC on the first is the second already in Shanghai.
    shop.desk.now = datetime(2024, 6, 1, 17, tzinfo=UTC)

    with pytest.raises(PeriodNotOver):
        shop.desk.do(ClosePeriod(store_id=shop.store_id, through=date(2024, 6, 2), reason="early"))

    shop.desk.do(ClosePeriod(store_id=shop.store_id, through=date(2024, 6, 1), reason="just over"))


Make = Callable[[Shop, UUID, "str | None"], Command]


def _receive(shop: Shop, sku: UUID, why: str | None) -> Command:
    return ReceiveStock(sku_id=sku, location_id=shop.location_id, quantity=Decimal(1), override_reason=why)


def _take_back(shop: Shop, sku: UUID, why: str | None) -> Command:
    good = StockCondition.GOOD
    return TakeBackStock(
        sku_id=sku, location_id=shop.location_id, quantity=Decimal(1), condition=good, override_reason=why
    )


def _write_off(shop: Shop, sku: UUID, why: str | None) -> Command:
    return WriteOffStock(
        sku_id=sku, location_id=shop.location_id, quantity=Decimal(1), kind=WriteOffKind.LOST, reason="not there",
        override_reason=why,
    )  # fmt: skip


def _sample(shop: Shop, sku: UUID, why: str | None) -> Command:
    return IssueSample(
        sku_id=sku, location_id=shop.location_id, quantity=Decimal(1), purpose="photo", override_reason=why
    )


def _count(shop: Shop, sku: UUID, why: str | None) -> Command:
    return CountStock(sku_id=sku, location_id=shop.location_id, counted=Decimal(9), reason="count", override_reason=why)


def _send(shop: Shop, sku: UUID, why: str | None) -> Command:
    other = list(shop.desk.get(Store, shop.store_id).locations)[-1]
    return TransferStock(
        sku_id=sku, location_id=shop.location_id, to_location_id=other, quantity=Decimal(1), override_reason=why
    )


def _arrive(shop: Shop, sku: UUID, why: str | None) -> Command:
    transfer = next(iter(shop.desk.get(Sku, sku).transfers))
    return ReceiveTransfer(sku_id=sku, transfer_id=transfer, quantity=Decimal(1), override_reason=why)


def _ship(shop: Shop, sku: UUID, why: str | None) -> Command:
    return ShipStock(sku_id=sku, reference="hold", override_reason=why)


def _look(shop: Shop, sku: UUID, why: str | None) -> Command:
    return ReclassifyStock(
        sku_id=sku, location_id=shop.location_id, quantity=Decimal(1), from_state=StockState.AVAILABLE,
        to_state=StockState.QUARANTINED, reason="smells", override_reason=why,
    )  # fmt: skip


def _hold(shop: Shop, sku: UUID, why: str | None) -> Command:
    return ReserveStock(
        sku_id=sku, location_id=shop.location_id, quantity=Decimal(1), reference="late", override_reason=why
    )


def _let_go(shop: Shop, sku: UUID, why: str | None) -> Command:
    return ReleaseReservation(sku_id=sku, reference="hold", override_reason=why)


COMMANDS: dict[str, Make] = {
    "receive": _receive, "take_back": _take_back, "write_off": _write_off, "sample": _sample, "count": _count,
    "send": _send, "arrive": _arrive, "ship": _ship, "look": _look, "hold": _hold, "let go": _let_go,
}  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_a_movement_dated_in_a_closed_period_is_refused_and_an_override_says_who_and_why(shop: Shop, name: str) -> None:
    sku = shop.article("lamp", stock="10")
    shop.desk.do(AddLocation(store_id=shop.store_id, name="Second room"))
    shop.desk.do(ReserveStock(sku_id=sku, location_id=shop.location_id, quantity=Decimal(1), reference="hold"))
    shop.desk.do(_send(shop, sku, None))
    late = shop.desk.now
    close(shop, date(2024, 5, 31))
    make = COMMANDS[name]
    mark = len(shop.desk.events)

    for origin in (Origin.LIVE, Origin.IMPORT):
        with pytest.raises(PeriodClosedAlready):
            shop.desk.do(make(shop, sku, None), at=late, origin=origin)
    with pytest.raises(Refusal) as refused:
        shop.desk.do(make(shop, sku, "found the slip"), at=late, actor=WAREHOUSE)
    assert isinstance(refused.value, NotAuthorised)
    assert shop.desk.events[mark:] == []

    shop.desk.do(make(shop, sku, "found the slip"), at=late, actor=MANAGER)
    noted = shop.desk.last(StockBackdated)
    assert (noted.overridden_by, noted.override_reason) == (MANAGER.id, "found the slip")
    assert (noted.open_from, noted.occurred_at) == (open_from(shop), late)
    assert len(shop.desk.recorded(sku, since=mark)) >= 2, "the movement and its override, in one decision"


@pytest.mark.parametrize("name", COMMANDS)
def test_a_movement_at_the_moment_when_the_books_open_needs_no_override(shop: Shop, name: str) -> None:
    sku = shop.article("lamp", stock="10")
    shop.desk.do(AddLocation(store_id=shop.store_id, name="Second room"))
    shop.desk.do(ReserveStock(sku_id=sku, location_id=shop.location_id, quantity=Decimal(1), reference="hold"))
    shop.desk.do(_send(shop, sku, None))
    close(shop, date(2024, 5, 31))

    shop.desk.do(COMMANDS[name](shop, sku, None), at=open_from(shop))
    shop.desk.do(COMMANDS["receive"](shop, sku, "no need"), at=open_from(shop), actor=OWNER)

    assert "StockBackdated" not in shop.desk.recorded()


def test_a_parcel_does_not_leave_in_a_closed_period_but_by_an_override(shop: Shop) -> None:
    sku = shop.article("lamp")
    order_id = shop.confirmed((sku, "1"))
    parcel_id = shop.pack(order_id)
    late = shop.desk.now
    close(shop, date(2024, 5, 31))

    def ship(why: str | None) -> None:
        command = ShipOrder(order_id=order_id, parcel_id=parcel_id, courier="sf", waybill="W1", override_reason=why)
        shop.desk.do(command, at=late)

    with pytest.raises(PeriodClosedAlready):
        ship(None)
    ship("posted on the last day, booked later")

    assert shop.desk.recorded(sku)[-2:] == ["StockShipped", "StockBackdated"]


def test_an_import_of_an_order_and_its_return_obeys_a_close(shop: Shop) -> None:
    sku = shop.article("lamp")
    late = shop.desk.now
    close(shop, date(2024, 5, 31))
    sold = (RecordedLine(sku_id=sku, quantity=Decimal(1), unit_price=Decimal(5)),)
    back = (RecordedReturnLine(sku_id=sku, quantity=Decimal(1), amount_minor=500),)

    for refused in (
        RecordOrder(store_id=shop.store_id, lines=sold, shipped=True),
        RecordReturn(store_id=shop.store_id, lines=back),
    ):
        with pytest.raises(PeriodClosedAlready):
            shop.desk.do(refused, at=late, origin=Origin.IMPORT)

    # What sets stock apart has a date in the ledger as well.
    with pytest.raises(PeriodClosedAlready):
        shop.desk.do(RecordOrder(store_id=shop.store_id, lines=sold), at=late, origin=Origin.IMPORT)
    order_id = shop.desk.do(
        RecordOrder(store_id=shop.store_id, lines=sold, shipped=True, override_reason="old file"),
        at=late, origin=Origin.IMPORT,
    )  # fmt: skip
    shop.desk.do(
        RecordReturn(store_id=shop.store_id, lines=back, order_id=order_id, override_reason="old file"),
        at=late, origin=Origin.IMPORT,
    )  # fmt: skip
    assert shop.desk.recorded(sku).count("StockBackdated") == 2
    assert shop.desk.get(Order, order_id).store_id == shop.store_id


def test_an_order_is_neither_placed_nor_called_off_in_a_closed_period_but_by_an_override(shop: Shop) -> None:
    sku = shop.article("lamp", stock="10")
    placed = shop.place((sku, "3"))
    late = shop.desk.now
    close(shop, date(2024, 5, 31))
    mark = len(shop.desk.events)
    one = (LineQuantity(line=1, quantity=Decimal(1)),)

    for refused in (
        PlaceOrder(store_id=shop.store_id, lines=(PlaceLine(sku_id=sku, quantity=Decimal(1)),)),
        CancelOrderLines(order_id=placed, lines=one),
        CancelOrder(order_id=placed),
    ):
        with pytest.raises(PeriodClosedAlready):
            shop.desk.do(refused, at=late)
    assert shop.desk.events[mark:] == []

    why = "written down on paper"
    shop.place((sku, "1"), at=late, override_reason=why)
    assert shop.desk.recorded(sku)[-2:] == ["StockReserved", "StockBackdated"]
    shop.desk.do(CancelOrderLines(order_id=placed, lines=one, override_reason=why), at=late)
    shop.desk.do(CancelOrder(order_id=placed, override_reason=why), at=late)
    assert shop.desk.recorded(sku)[-4:] == ["ReservationReleased", "StockBackdated"] * 2


def test_a_quota_neither_grows_nor_shrinks_in_a_closed_period_but_by_an_override(shop: Shop) -> None:
    sku = shop.article("lamp", stock="10")
    campaign = shop.campaign({sku: "90"}, quota="4")
    late = shop.desk.now
    close(shop, shop.desk.now.date())
    where = {"sku_id": sku, "campaign_id": campaign, "location_id": shop.location_id, "quantity": Decimal(1)}

    for command in (ReleaseCampaignStock, AllocateCampaignStock):
        with pytest.raises(PeriodClosedAlready):
            shop.desk.do(command(**where), at=late)
        shop.desk.do(command(**where, override_reason="agreed that day"), at=late)
        assert shop.desk.recorded(sku)[-1] == "StockBackdated"


@pytest.mark.parametrize("way", [EndCampaign, CancelCampaign, RemoveCampaignLine])
def test_a_campaign_gives_no_stock_back_in_a_closed_period_but_by_an_override(shop: Shop, way: type[Command]) -> None:
    lamp = shop.article()
    day = shop.desk.now.date()
    if way is EndCampaign:
        campaign = shop.campaign({lamp: "90"}, quota="2")
        over: Command = EndCampaign(campaign_id=campaign)
    else:
        campaign = shop.desk.do(PlanCampaign(store_id=shop.store_id, name="Sale", goal=CampaignGoal.RAISE_SALES))
        line = AddCampaignLine(campaign_id=campaign, sku_id=lamp, role=LineRole.TRAFFIC, price=Decimal(90))
        shop.desk.do(line)
        allocated = AllocateCampaignStock(
            sku_id=lamp, campaign_id=campaign, location_id=shop.location_id, quantity=Decimal(2)
        )
        shop.desk.do(allocated)
        over = RemoveCampaignLine(campaign_id=campaign, sku_id=lamp)
        if way is CancelCampaign:
            over = CancelCampaign(campaign_id=campaign, reason="rain")
    at = shop.desk.now
    close(shop, day)
    with pytest.raises(PeriodClosedAlready):
        shop.desk.do(over, at=at)
    assert shop.sku(lamp).allocations[campaign] == {shop.location_id: 2}
    explained = msgspec.structs.replace(over, override_reason="entered late")
    with pytest.raises(NotAuthorised):
        shop.desk.do(explained, actor=PROMOTER, at=at)
    shop.desk.do(explained, at=at)
    assert not shop.sku(lamp).allocations
    assert shop.desk.last(StockBackdated).override_reason == "entered late"


def test_an_order_of_what_holds_no_stock_has_no_books_to_close(shop: Shop) -> None:
    fee = shop.service("fee")
    late = shop.desk.now
    close(shop, date(2024, 5, 31))
    shop.desk.do(CancelOrder(order_id=shop.place((fee, "1"), at=late)), at=late)


def test_goods_that_came_back_are_not_restocked_in_a_closed_period(shop: Shop) -> None:
    sku = shop.article("lamp")
    order_id = shop.delivered((sku, "1"))
    return_id = shop.returned(order_id, (1, "1"))
    late = shop.desk.now
    close(shop, date(2024, 5, 31))
    restock = (DisposalOf(line=1, quantity=Decimal(1), condition=ReturnCondition.RESTOCK),)

    with pytest.raises(PeriodClosedAlready):
        shop.desk.do(DisposeReturn(order_id=order_id, return_id=return_id, lines=restock), at=late)
    shop.desk.do(
        DisposeReturn(order_id=order_id, return_id=return_id, lines=restock, override_reason="stood in the hall"),
        at=late,
    )

    assert shop.desk.recorded(sku)[-2:] == ["StockReturned", "StockBackdated"]


def test_finance_books_stock_and_overrides_a_close(shop: Shop) -> None:
    sku = shop.article("lamp")
    late = shop.desk.now
    close(shop, date(2024, 5, 31))

    shop.desk.do(_receive(shop, sku, "the invoice came late"), at=late, actor=FINANCE)

    assert Role.FINANCE in ReceiveStock.ROLES
    assert shop.desk.last(StockBackdated).overridden_by == FINANCE.id


def test_stock_is_valued_by_moving_average_until_a_store_says_otherwise(shop: Shop) -> None:
    before = shop.desk.now
    shop.desk.do(SetPolicy(store_id=shop.store_id, kind="costing", params={"method": "fifo"}))

    store = shop.desk.get(Store, shop.store_id)
    assert store.policy(Costing, before).method is CostMethod.MOVING_AVERAGE
    assert store.policy(Costing, shop.desk.now).method is CostMethod.FIFO


def test_a_way_of_costing_does_not_begin_in_a_closed_period(shop: Shop) -> None:
    close(shop, date(2024, 5, 31))
    begins = open_from(shop)
    assert begins is not None
    fifo = SetPolicy(store_id=shop.store_id, kind="costing", params={"method": "fifo"})
    with pytest.raises(EffectiveInThePast) as refused:
        shop.desk.do(fifo, at=begins - timedelta(seconds=1))
    assert (refused.value.path, begins.isoformat() in str(refused.value)) == (("effective_from",), True)
    shop.desk.do(SetPolicy(store_id=shop.store_id, kind="points", params={}), at=begins - timedelta(seconds=1))
    shop.desk.do(fifo, at=begins)
