"""What follows from a sale and what falls due, as pure rules: given events, these commands and no others."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

import msgspec
import pytest

from opscore.domain.aggregate import Aggregate, Event
from opscore.domain.batches import ExpireBatches
from opscore.domain.campaign import Campaign, CampaignIncomplete
from opscore.domain.campaign_commands import (
    AddCampaignLine,
    CancelCampaign,
    CheckCampaignPrices,
    CheckedPriceTerms,
    PlanCampaign,
    ScheduleCampaign,
    SetForecast,
    StartCampaign,
)
from opscore.domain.campaign_events import (
    CampaignGoal,
    CampaignScheduled,
    CampaignStarted,
    CampaignStatus,
    ForecastSet,
    LineRole,
    PriceCheckPassed,
)
from opscore.domain.command import Command
from opscore.domain.customer import Customer
from opscore.domain.customer_commands import (
    CreditSpend,
    DebitSpend,
    EarnPoints,
    ExpirePoints,
    MergeCustomers,
    ReversePoints,
    RewardReferral,
)
from opscore.domain.customer_events import CustomersMerged, PointsReturned
from opscore.domain.followups import DUE_RULES, FOLLOW_UPS, DueRule, Step
from opscore.domain.order_commands import (
    CancelOrder,
    CancelOrderLines,
    CompleteOrder,
    ContactCustomer,
    DeliverOrder,
    ExchangeFor,
    ExpireOrder,
    LineQuantity,
    ReportShortage,
    ResolveShortage,
)
from opscore.domain.order_events import (
    OrderCancelled,
    OrderCompleted,
    OrderDelivered,
    OrderPlaced,
    OrderRefunded,
    ShortageRemedy,
    ShortageResolved,
)
from opscore.domain.order_refunds import RefundOrder
from opscore.domain.refusals import Refusal
from opscore.domain.sku_commands import DelistSku, ListSku
from opscore.domain.sku_events import CampaignStockAllocated, DelistReason, ReservationReleased, StockReceived
from opscore.domain.stock_commands import AllocateCampaignStock, ReceiveStock
from opscore.domain.store_commands import SetPolicy
from tests.domain.desk import SECOND
from tests.domain.selling import Shop

AggregateT = TypeVar("AggregateT", bound=Aggregate)


class Look:
    """What a rule may look at, over the desk's events."""

    def __init__(self, shop: Shop, event: Event) -> None:
        self.shop = shop
        self.event = event

    def then(self, kind: type[AggregateT], stream_id: UUID) -> AggregateT | None:
        aggregate: Any = None
        for _, event in self.shop.desk.events:
            if event.originator_id == stream_id:
                aggregate = event.mutate(aggregate)
            if event is self.event:
                break
        return aggregate if isinstance(aggregate, kind) else None

    def now(self, kind: type[AggregateT], stream_id: UUID) -> AggregateT | None:
        found = self.shop.desk.fold(stream_id)
        return found if isinstance(found, kind) else None


def following(shop: Shop, event: Event) -> Iterator[Step]:
    for rule in FOLLOW_UPS:
        if isinstance(event, rule.reads):
            yield from rule.then(event, Look(shop, event))


def follow(shop: Shop, event: Event) -> list[Command]:
    """Give the commands that follow from an event; return those that were accepted."""
    accepted = []
    for step in following(shop, event):
        try:
            shop.desk.do(step.command, at=event.occurred_at)
        except Refusal:
            continue
        accepted.append(step.command)
    return accepted


def due_rule(name: str) -> DueRule:
    return next(rule for rule in DUE_RULES if rule.name == name)


def completed(shop: Shop, *lines: tuple[UUID, str], **fields: Any) -> tuple[UUID, OrderCompleted]:
    order_id = shop.delivered(*lines, **fields)
    shop.desk.do(CompleteOrder(order_id=order_id))
    return order_id, shop.desk.last(OrderCompleted)


def refunded(shop: Shop, order_id: UUID, quantity: str) -> OrderRefunded:
    shop.returned(order_id, (1, quantity))
    shop.desk.do(RefundOrder(order_id=order_id))
    found: OrderRefunded = shop.desk.last(OrderRefunded)
    return found


@pytest.fixture
def shop() -> Shop:
    shop = Shop()
    rules: dict[str, Any] = {"rules": {"purchase": {"minor_per_point": 100}, "referral": {"points": 500}}}
    shop.desk.do(SetPolicy(store_id=shop.store_id, kind="points", params=rules))
    tiers: dict[str, Any] = {
        "tiers": [{"name": "member", "spend_minor": 10_000}, {"name": "gold", "spend_minor": 30_000}]
    }
    shop.desk.do(SetPolicy(store_id=shop.store_id, kind="membership", params=tiers))
    return shop


# After completion ----------------------------------------------------------------------------------------------------


def test_a_completed_order_credits_spend_gives_points_and_moves_the_tier(shop: Shop) -> None:
    ann = shop.desk.register(shop.store_id)
    order_id, event = completed(shop, (shop.article(), "3"), customer_id=ann, freight_minor=700)
    assert [(type(step.command), step.suffix) for step in following(shop, event)] == [
        (CreditSpend, "spend"),
        (EarnPoints, "points"),
    ]
    follow(shop, event)
    customer = shop.desk.get(Customer, ann)
    assert (customer.spend_minor, customer.balance, customer.tier) == ({"CNY": 30000}, 300, "gold")
    assert customer.first_order_id == order_id


def test_asked_again_nothing_is_given_twice(shop: Shop) -> None:
    ann = shop.desk.register(shop.store_id)
    _, event = completed(shop, (shop.article(), "1"), customer_id=ann)
    assert len(follow(shop, event)) == 2
    assert follow(shop, event) == []
    assert shop.desk.get(Customer, ann).balance == 100


def test_nothing_follows_from_the_order_of_a_guest(shop: Shop) -> None:
    _, event = completed(shop, (shop.article(), "1"))
    assert list(following(shop, event)) == []


def test_goods_for_nothing_earn_nothing(shop: Shop) -> None:
    comb, ann = shop.article("comb", "10"), shop.desk.register(shop.store_id)
    campaign = shop.campaign({comb: "0"}, below_cost=True)
    _, event = completed(shop, (comb, "1"), customer_id=ann, campaign_ids=(campaign,), freight_minor=1000)
    assert list(following(shop, event)) == []


def test_no_points_are_asked_for_while_the_rule_is_off() -> None:
    shop = Shop()
    ann = shop.desk.register(shop.store_id)
    _, event = completed(shop, (shop.article(), "1"), customer_id=ann)
    assert [type(step.command) for step in following(shop, event)] == [CreditSpend]


def test_whoever_brought_the_customer_is_rewarded_once(shop: Shop) -> None:
    bob = shop.desk.register(shop.store_id)
    ann = shop.desk.register(shop.store_id, referrer_id=bob)
    lamp = shop.article()
    _, first = completed(shop, (lamp, "1"), customer_id=ann)
    assert RewardReferral in [type(command) for command in follow(shop, first)]
    assert shop.desk.get(Customer, bob).balance == 500
    _, second = completed(shop, (lamp, "1"), customer_id=ann)
    assert RewardReferral not in [type(step.command) for step in following(shop, second)]


# After a refund ------------------------------------------------------------------------------------------------------


def test_a_refund_takes_spend_and_points_back_pro_rata(shop: Shop) -> None:
    ann = shop.desk.register(shop.store_id)
    order_id, event = completed(shop, (shop.article(price="33.335"), "3"), customer_id=ann)
    follow(shop, event)
    for left_minor, left_points in ((6667, 66), (3333, 33), (0, 0)):
        back = refunded(shop, order_id, "1")
        assert [type(command) for command in follow(shop, back)] == [DebitSpend, ReversePoints]
        customer = shop.desk.get(Customer, ann)
        assert (customer.spend_minor["CNY"], customer.balance) == (left_minor, left_points)


def test_a_refund_before_completion_is_counted_once(shop: Shop) -> None:
    ann = shop.desk.register(shop.store_id)
    order_id = shop.delivered((shop.article(), "3"), customer_id=ann)
    back = refunded(shop, order_id, "1")
    shop.desk.do(CompleteOrder(order_id=order_id))
    follow(shop, shop.desk.last(OrderCompleted))
    # Read late, after the order has completed, it is still a refund from before.
    assert list(following(shop, back)) == []
    assert shop.desk.get(Customer, ann).spend_minor == {"CNY": 20000}


def test_the_refund_of_units_cancelled_earlier_lowers_what_was_credited(shop: Shop) -> None:
    ann = shop.desk.register(shop.store_id)
    order_id = shop.confirmed((shop.article(), "3"), customer_id=ann)
    line = LineQuantity(line=1, quantity=Decimal(1))
    shop.desk.do(CancelOrderLines(order_id=order_id, lines=(line,)))
    parcel_id = shop.pack(order_id)
    shop.ship(order_id, parcel_id)
    shop.desk.do(DeliverOrder(order_id=order_id, parcel_id=parcel_id))
    shop.desk.do(CompleteOrder(order_id=order_id))
    follow(shop, shop.desk.last(OrderCompleted))
    assert shop.desk.get(Customer, ann).spend_minor == {"CNY": 30000}
    shop.desk.do(RefundOrder(order_id=order_id))
    follow(shop, shop.desk.last(OrderRefunded))
    assert shop.desk.get(Customer, ann).spend_minor == {"CNY": 20000}


@pytest.mark.parametrize("merged", [False, True])
def test_a_first_order_refunded_in_full_takes_the_referral_back(shop: Shop, merged: bool) -> None:
    bob = shop.desk.register(shop.store_id)
    ann = shop.desk.register(shop.store_id, referrer_id=bob)
    order_id, event = completed(shop, (shop.article(), "2"), customer_id=ann)
    if merged:
        shop.desk.do(MergeCustomers(customer_id=shop.desk.register(shop.store_id), other_id=ann))
    follow(shop, event)
    follow(shop, refunded(shop, order_id, "1"))
    assert shop.desk.get(Customer, bob).balance == 500
    follow(shop, refunded(shop, order_id, "1"))
    assert shop.desk.get(Customer, bob).balance == 0


def test_money_that_was_never_part_of_a_sale_changes_no_points(shop: Shop) -> None:
    ann = shop.desk.register(shop.store_id)
    order_id = shop.place((shop.article(), "1"), customer_id=ann)
    shop.pay(order_id, 5000)
    shop.desk.do(CancelOrder(order_id=order_id))
    shop.desk.do(RefundOrder(order_id=order_id))
    assert list(following(shop, shop.desk.last(OrderRefunded))) == []


# What falls due ------------------------------------------------------------------------------------------------------


def test_an_unpaid_order_falls_due_when_it_expires(shop: Shop) -> None:
    lamp = shop.article()
    order_id, paid_id = shop.place((lamp, "1")), shop.place((lamp, "1"))
    placed = next(event for stream, event in shop.desk.events if stream == order_id)
    assert isinstance(placed, OrderPlaced)
    rule = due_rule("expire_order")
    assert rule.due(placed, Look(shop, placed)) == (placed.expires_at,)
    assert rule.then(order_id, Look(shop, placed)) == ExpireOrder(order_id=order_id)
    shop.pay(paid_id)
    assert rule.then(paid_id, Look(shop, placed)) is None


def test_an_order_falls_due_for_completion_days_after_its_last_parcel(shop: Shop) -> None:
    order_id = shop.confirmed((shop.article(), "2"))
    parcels = [shop.pack(order_id, (1, "1")), shop.pack(order_id, (1, "1"))]
    rule = due_rule("complete_order")
    found = []
    for parcel_id in parcels:
        shop.ship(order_id, parcel_id)
        shop.desk.do(DeliverOrder(order_id=order_id, parcel_id=parcel_id))
        event = shop.desk.last(OrderDelivered)
        found.append(rule.due(event, Look(shop, event)))
    assert found == [(), (event.occurred_at + timedelta(days=10),)]
    assert rule.then(order_id, Look(shop, event)) == CompleteOrder(order_id=order_id)
    shop.desk.do(CompleteOrder(order_id=order_id))
    assert rule.then(order_id, Look(shop, event)) is None


def test_an_order_whose_rest_is_cancelled_after_delivery_falls_due_too(shop: Shop) -> None:
    order_id = shop.confirmed((shop.article(), "2"))
    parcel_id = shop.pack(order_id, (1, "1"))
    shop.ship(order_id, parcel_id)
    shop.desk.do(DeliverOrder(order_id=order_id, parcel_id=parcel_id))
    line = LineQuantity(line=1, quantity=Decimal(1))
    shop.desk.do(CancelOrderLines(order_id=order_id, lines=(line,)))
    event = shop.desk.last(OrderCancelled)
    assert due_rule("complete_order").due(event, Look(shop, event)) == (event.occurred_at + timedelta(days=10),)


@pytest.mark.parametrize(("arrived", "days"), [(True, [10]), (False, [])])
def test_an_order_whose_rest_became_a_service_after_delivery_falls_due_too(
    shop: Shop, arrived: bool, days: list[int]
) -> None:
    order_id = shop.confirmed((shop.article(), "2"))
    parcel_id = shop.pack(order_id, (1, "1"))
    shop.ship(order_id, parcel_id)
    if arrived:
        shop.desk.do(DeliverOrder(order_id=order_id, parcel_id=parcel_id))
    shop.desk.do(ReportShortage(order_id=order_id, lines=(LineQuantity(line=1, quantity=Decimal(1)),)))
    shop.desk.do(ContactCustomer(order_id=order_id))
    instead = ExchangeFor(line=1, sku_id=shop.service(), quantity=Decimal(1))
    shop.desk.do(ResolveShortage(order_id=order_id, kind=ShortageRemedy.EXCHANGE, exchanges=(instead,)))
    event = shop.desk.last(ShortageResolved)
    due = due_rule("complete_order").due(event, Look(shop, event))
    assert due == tuple(event.occurred_at + timedelta(days=wait) for wait in days)
    assert (due_rule("complete_order").then(order_id, Look(shop, event)) is not None) == arrived


def test_points_fall_due_with_each_lot_wherever_it_goes(shop: Shop) -> None:
    rule = due_rule("expire_points")
    ann, bob, lamp = shop.desk.register(shop.store_id), shop.desk.register(shop.store_id), shop.article()
    shop.desk.do(EarnPoints(customer_id=ann, rule="manual", reference="1", points=50, reason="a present"))
    earned = shop.desk.events[-1][1]
    (expires_at,) = rule.due(earned, Look(shop, earned))
    assert expires_at == earned.occurred_at + timedelta(days=365)
    order_id = shop.place((lamp, "1"), customer_id=ann, points_to_spend=50)
    assert rule.then(ann, Look(shop, earned)) is None
    shop.desk.do(CancelOrder(order_id=order_id))
    returned = shop.desk.last(PointsReturned)
    assert rule.due(returned, Look(shop, returned)) == [expires_at]
    assert rule.then(ann, Look(shop, returned)) == ExpirePoints(customer_id=ann)
    shop.desk.do(MergeCustomers(customer_id=bob, other_id=ann))
    merged = shop.desk.last(CustomersMerged)
    assert rule.due(merged, Look(shop, merged)) == [expires_at]


def test_a_batch_falls_due_when_its_last_day_is_over_in_the_home_store(shop: Shop) -> None:
    rule, lamp = due_rule("expire_batches"), shop.article()
    batch = ReceiveStock(sku_id=lamp, location_id=shop.location_id, quantity=Decimal(2), batch="B1")
    shop.desk.do(batch)
    undated = shop.desk.last(StockReceived)
    assert rule.due(undated, Look(shop, undated)) == ()
    assert rule.then(lamp, Look(shop, undated)) is None
    shop.desk.do(msgspec.structs.replace(batch, expires_on=date(2024, 6, 30)))
    received = shop.desk.last(StockReceived)
    # The store's day is Asia/Shanghai's.
    (over_at,) = rule.due(received, Look(shop, received))
    assert over_at == datetime(2024, 6, 30, 16, tzinfo=UTC)
    assert rule.then(lamp, Look(shop, received)) == ExpireBatches(sku_id=lamp)
    shop.desk.now = over_at
    shop.desk.do(ExpireBatches(sku_id=lamp))
    assert shop.sku(lamp).level_at(shop.location_id).quarantined == 4
    assert rule.then(lamp, Look(shop, received)) is None


def test_every_rule_has_a_name_of_its_own() -> None:
    names = [rule.name for rule in FOLLOW_UPS] + [rule.name for rule in DUE_RULES]
    assert len(set(names)) == len(names)


# Back on sale, and campaigns whose time is over ----------------------------------------------------------------------


def sold_out(shop: Shop, *, automatic: bool) -> tuple[UUID, UUID]:
    shop.desk.do(SetPolicy(store_id=shop.store_id, kind="relisting", params={"automatic": automatic}))
    lamp = shop.article(stock="1")
    order_id = shop.place((lamp, "1"))
    assert not shop.sku(lamp).listings[shop.store_id].listed
    return lamp, order_id


def test_an_article_that_only_sold_out_is_listed_again_where_the_store_wants_that(shop: Shop) -> None:
    lamp, order_id = sold_out(shop, automatic=True)
    shop.desk.do(CancelOrder(order_id=order_id))
    again = ListSku(sku_id=lamp, store_id=shop.store_id)
    assert follow(shop, shop.desk.last(ReservationReleased)) == [again]
    assert shop.sku(lamp).listings[shop.store_id].listed
    assert follow(shop, shop.desk.last(ReservationReleased)) == []


def test_an_article_stays_off_sale_by_default_or_when_somebody_took_it_off(shop: Shop) -> None:
    lamp, order_id = sold_out(shop, automatic=False)
    shop.desk.do(CancelOrder(order_id=order_id))
    assert follow(shop, shop.desk.last(ReservationReleased)) == []
    vase = shop.article("vase", stock="1")
    shop.desk.do(SetPolicy(store_id=shop.store_id, kind="relisting", params={"automatic": True}))
    shop.place((vase, "1"))
    shop.desk.do(DelistSku(sku_id=vase, reason=DelistReason.RECALL))
    shop.receive(vase, "5")
    assert follow(shop, shop.desk.last(StockReceived)) == []
    shop.receive(lamp, "5")
    assert follow(shop, shop.desk.last(StockReceived)) == [ListSku(sku_id=lamp, store_id=shop.store_id)]


def test_a_campaign_ends_at_its_time_so_that_its_stock_goes_back_to_ordinary_sale(shop: Shop) -> None:
    lamp = shop.article()
    campaign_id = shop.campaign({lamp: "90"}, quota="4", days=3)
    event, rule = shop.desk.last(CampaignScheduled), due_rule("end_campaign")
    look = Look(shop, event)
    assert rule.due(event, look) == (event.ends_at,)
    ending = rule.then(campaign_id, look)
    assert ending is not None
    shop.desk.do(ending, at=event.ends_at)
    assert shop.sku(lamp).sellable == 10
    assert rule.then(campaign_id, look) is None


def test_a_campaign_that_nobody_started_gives_its_stock_back_when_its_time_is_over(shop: Shop) -> None:
    lamp = shop.article()
    campaign_id = shop.desk.do(PlanCampaign(store_id=shop.store_id, name="Sale", goal=CampaignGoal.RAISE_SALES))
    line: dict[str, Any] = {"campaign_id": campaign_id, "sku_id": lamp}
    shop.desk.do(AddCampaignLine(**line, role=LineRole.BASE, price=Decimal(90), quota=Decimal(4)))
    shop.desk.do(AllocateCampaignStock(**line, location_id=shop.location_id, quantity=Decimal(4)))
    starts_at, ends_at = shop.desk.now + timedelta(days=1), shop.desk.now + timedelta(days=2)
    shop.desk.do(ScheduleCampaign(campaign_id=campaign_id, starts_at=starts_at, ends_at=ends_at))
    assert shop.sku(lamp).sellable == 6
    rule, look = due_rule("end_campaign"), Look(shop, shop.desk.last(CampaignScheduled))
    ending = rule.then(campaign_id, look)
    assert ending is not None
    shop.desk.do(ending, at=ends_at)
    assert (shop.sku(lamp).sellable, shop.desk.recorded(campaign_id)[-1]) == (10, "CampaignCancelled")
    assert rule.then(campaign_id, look) is None


def scheduled(shop: Shop, *, quota: str | None = None) -> tuple[UUID, UUID, CampaignScheduled]:
    """Return an article, and a campaign for tomorrow that lacks forecast and checked prices, with its schedule."""
    lamp = shop.article()
    plan = PlanCampaign(store_id=shop.store_id, name="Sale", goal=CampaignGoal.RAISE_SALES)
    campaign_id = shop.desk.do(plan)
    units = None if quota is None else Decimal(quota)
    shop.desk.do(
        AddCampaignLine(campaign_id=campaign_id, sku_id=lamp, role=LineRole.BASE, price=Decimal(90), quota=units),
    )
    starts_at = shop.desk.now + timedelta(days=1)
    shop.desk.do(ScheduleCampaign(campaign_id=campaign_id, starts_at=starts_at, ends_at=starts_at + timedelta(days=1)))
    return lamp, campaign_id, shop.desk.last(CampaignScheduled)


def forecast(campaign_id: UUID) -> SetForecast:
    return SetForecast(campaign_id=campaign_id, visitors=9, conversion=Decimal("0.5"), units=Decimal(4), gmv_minor=1)


def check(campaign_id: UUID, sku_id: UUID) -> CheckCampaignPrices:
    read = CheckedPriceTerms(sku_id=sku_id, label=Decimal(90), detail=Decimal(90), plan=Decimal(90))
    return CheckCampaignPrices(campaign_id=campaign_id, lines=(read,))


def test_a_campaign_that_lacks_nothing_starts_at_its_time(shop: Shop) -> None:
    lamp, campaign_id, event = scheduled(shop)
    shop.desk.do(forecast(campaign_id))
    shop.desk.do(check(campaign_id, lamp), actor=SECOND)
    rule, look = due_rule("start_campaign"), Look(shop, event)
    assert rule.due(event, look) == (event.starts_at,)
    assert not list(following(shop, shop.desk.last(PriceCheckPassed))), "it is not its time yet"
    start = rule.then(campaign_id, look)
    assert start == StartCampaign(campaign_id=campaign_id)
    shop.desk.do(start, at=event.starts_at)
    assert shop.desk.get(Campaign, campaign_id).status is CampaignStatus.LIVE
    assert rule.then(campaign_id, look) is None


def test_a_campaign_that_was_moved_or_called_off_does_not_start_at_its_former_time(shop: Shop) -> None:
    _, campaign_id, event = scheduled(shop)
    moved = ScheduleCampaign(
        campaign_id=campaign_id,
        starts_at=event.starts_at + timedelta(hours=1),
        ends_at=event.ends_at,
        reason="the goods are late",
    )
    shop.desk.do(moved)
    rule, now = due_rule("start_campaign"), Look(shop, shop.desk.last(CampaignScheduled))
    assert rule.then(campaign_id, Look(shop, event)) is None
    assert rule.then(campaign_id, now) == StartCampaign(campaign_id=campaign_id)
    shop.desk.do(CancelCampaign(campaign_id=campaign_id, reason="no goods"))
    assert rule.then(campaign_id, now) is None


def test_a_campaign_that_could_not_start_in_time_starts_with_the_last_thing_that_it_lacked(shop: Shop) -> None:
    lamp, campaign_id, event = scheduled(shop, quota="4")
    late = event.starts_at + timedelta(minutes=5)
    start = StartCampaign(campaign_id=campaign_id)
    with pytest.raises(CampaignIncomplete):
        shop.desk.do(start, at=event.starts_at)
    shop.desk.do(forecast(campaign_id), at=late)
    assert follow(shop, shop.desk.last(ForecastSet)) == [], "its prices are unchecked"
    shop.desk.do(check(campaign_id, lamp), actor=SECOND, at=late)
    assert follow(shop, shop.desk.last(PriceCheckPassed)) == [], "its stock is not set apart"
    allocate = AllocateCampaignStock(
        sku_id=lamp, campaign_id=campaign_id, location_id=shop.location_id, quantity=Decimal(4)
    )
    shop.desk.do(allocate, at=late)
    assert follow(shop, shop.desk.last(CampaignStockAllocated)) == [start]
    assert shop.desk.last(CampaignStarted).occurred_at == late


def test_a_campaign_that_was_moved_does_not_end_at_its_former_time(shop: Shop) -> None:
    lamp, campaign_id, event = scheduled(shop)
    starts_at = event.starts_at
    look = Look(shop, shop.desk.last(CampaignScheduled))
    later = starts_at + timedelta(days=5)
    shop.desk.do(ScheduleCampaign(campaign_id=campaign_id, starts_at=starts_at, ends_at=later, reason="more to sell"))
    shop.desk.do(forecast(campaign_id))
    shop.desk.do(check(campaign_id, lamp), actor=SECOND)
    shop.desk.do(StartCampaign(campaign_id=campaign_id), at=starts_at)
    rule = due_rule("end_campaign")
    assert rule.then(campaign_id, look) is None
    assert rule.then(campaign_id, Look(shop, shop.desk.last(CampaignScheduled))) is not None
