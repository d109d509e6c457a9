"""Where two rules meet: gifts and stock, shortages and cancellations, quotas and releases, points and returns."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import msgspec
import pytest

from opscore.domain.campaign import Campaign
from opscore.domain.campaign_commands import AddCampaignLine, EndCampaign, FreeShippingTerms, GiftTerms, PlanCampaign
from opscore.domain.campaign_events import CampaignGoal, LineRole
from opscore.domain.command import Actor, Command, Role
from opscore.domain.customer import Customer
from opscore.domain.customer_commands import EarnPoints, GrantCoupon, JoinMembership, SpendPoints, UseCoupon
from opscore.domain.customer_events import CouponGranted, MembershipSource, PointsReturned, SpendThresholdNotReached
from opscore.domain.order_commands import (
    AmendOrderPrice,
    CancelOrder,
    CancelOrderLines,
    ConfirmOrder,
    ContactCustomer,
    DeliverOrder,
    EraseGuest,
    ExchangeFor,
    LineQuantity,
    ReportShortage,
    ResolveShortage,
)
from opscore.domain.order_events import OrderCancelled, OrderPlaced, OrderRefunded, RefundReason, ShortageRemedy
from opscore.domain.order_recorded_returns import (
    RecordedReturnLine,
    RecordReturn,
)
from opscore.domain.order_recording import RecordedLine, RecordOrder
from opscore.domain.order_refunds import (
    ProtectPrice,
    RefundOf,
    RefundOrder,
)
from opscore.domain.order_refusals import (
    PriceNotLower,
    PriceProtectedAlready,
    PriceProtectionOver,
    RefundExceedsPrice,
)
from opscore.domain.order_returns import ReceiveReturn
from opscore.domain.order_state import OrderStatus
from opscore.domain.refusals import InvalidField, NotAuthorised, NotFound, WrongState
from opscore.domain.sku_events import AllocationExceedsQuota, CampaignQuotaUsed
from opscore.domain.stock_commands import AllocateCampaignStock, ReceiveStock, ReleaseCampaignStock
from opscore.domain.store_commands import AddLocation, ApplyForStore, CertifyPaymentAccount, SetPolicy, SuspendStore
from opscore.domain.store_events import AccountNotOwn, LocationClosedAlready, PolicySet, StoreSuspended
from opscore.domain.values import MAX_MINOR
from tests.domain.desk import BUYER, OWNER, SERVICE
from tests.domain.selling import Shop


@pytest.fixture
def shop() -> Shop:
    return Shop()


def part(*lines: tuple[int, str]) -> tuple[LineQuantity, ...]:
    return tuple(LineQuantity(line=number, quantity=Decimal(quantity)) for number, quantity in lines)


# Gifts ---------------------------------------------------------------------------------------------------------------


def test_a_gift_of_the_article_that_is_bought_takes_no_unit_that_the_purchase_takes(shop: Shop) -> None:
    lamp = shop.article(stock="5")
    shop.desk.do(AddLocation(store_id=shop.store_id, name="Back room"))
    back_room = list(shop.desk.fold(shop.store_id).locations)[1]
    shop.receive(lamp, "1", back_room)
    campaign = shop.campaign({lamp: "100"}, GiftTerms(sku_id=lamp))
    order_id = shop.place((lamp, "5"), campaign_ids=(campaign,))
    sku = shop.sku(lamp)
    assert sku.reserved_for(order_id) == 6
    assert {location: level.sellable for location, level in sku.levels.items()} == {shop.location_id: 0, back_room: 0}


def test_a_gift_that_is_called_off_gives_no_part_of_the_limit_back(shop: Shop) -> None:
    lamp, pen, ann = shop.article(), shop.article("pen", "10"), shop.desk.register(shop.store_id)
    campaign = shop.campaign({lamp: "90"}, GiftTerms(sku_id=lamp), max_per_customer=1)
    order_id = shop.place((lamp, "1"), (pen, "1"), customer_id=ann, campaign_ids=(campaign,))
    shop.desk.do(CancelOrderLines(order_id=order_id, lines=part((3, "1"))))
    assert shop.desk.get(Customer, ann).redeemed(campaign, lamp) == 1


def test_what_is_sent_in_exchange_gives_no_part_of_a_limit_back_when_it_is_called_off(shop: Shop) -> None:
    lamp, cup, ann = shop.article(), shop.article("cup"), shop.desk.register(shop.store_id)
    campaign = shop.campaign({lamp: "90"}, max_per_customer=2)
    order_id = shop.confirmed((lamp, "2"), (cup, "2"), customer_id=ann, campaign_ids=(campaign,))
    short(shop, order_id, (2, "2"))
    instead = ExchangeFor(line=2, sku_id=lamp, quantity=Decimal(2))
    shop.desk.do(ResolveShortage(order_id=order_id, kind=ShortageRemedy.EXCHANGE, exchanges=(instead,)))
    shop.desk.do(CancelOrderLines(order_id=order_id, lines=part((3, "2"))))
    assert shop.desk.get(Customer, ann).redeemed(campaign, lamp) == 2


# Shortages -----------------------------------------------------------------------------------------------------------


def short(shop: Shop, order_id: UUID, *lines: tuple[int, str]) -> None:
    shop.desk.do(ReportShortage(order_id=order_id, lines=part(*lines)))
    shop.desk.do(ContactCustomer(order_id=order_id))


def test_what_the_customer_calls_off_is_no_longer_short(shop: Shop) -> None:
    lamp, vase = shop.article(), shop.article("vase")
    order_id = shop.confirmed((lamp, "3"))
    short(shop, order_id, (1, "3"))
    shop.desk.do(CancelOrderLines(order_id=order_id, lines=part((1, "2"))))
    assert [entry.quantity for entry in shop.order(order_id).shortage] == [1]
    exchange = ExchangeFor(line=1, sku_id=vase, quantity=Decimal(1))
    shop.desk.do(ResolveShortage(order_id=order_id, kind=ShortageRemedy.EXCHANGE, exchanges=(exchange,)))
    order = shop.order(order_id)
    assert [(line.sku_code, line.live, line.amount_minor - line.cancelled_minor) for line in order.lines] == [
        ("lamp", 0, 0),
        ("vase", 1, 10000),
    ]


def test_what_is_sent_instead_takes_its_part_of_the_campaigns_budget_along(shop: Shop) -> None:
    lamp, cup = shop.article(), shop.article("cup")
    campaign = shop.campaign({lamp: "80"}, budget_minor=10_000)
    order_id = shop.confirmed((lamp, "4"), campaign_ids=(campaign,))
    short(shop, order_id, (1, "3"))
    instead = ExchangeFor(line=1, sku_id=cup, quantity=Decimal(3))
    shop.desk.do(ResolveShortage(order_id=order_id, kind=ShortageRemedy.EXCHANGE, exchanges=(instead,)))
    assert [line.claims for line in shop.order(order_id).lines] == [{campaign: 2000}, {campaign: 6000}]
    for number, left_minor in ((1, 6000), (2, 4000)):
        shop.desk.do(CancelOrderLines(order_id=order_id, lines=part((number, "1"))))
        assert shop.desk.get(Campaign, campaign).budget_claimed_minor == left_minor


@pytest.mark.parametrize("refunded", [True, False])
def test_a_service_that_stands_in_for_goods_does_not_go_with_the_rest_of_them(shop: Shop, refunded: bool) -> None:
    order_id = shop.confirmed((shop.article(), "2"))
    short(shop, order_id, (1, "1"))
    instead = ExchangeFor(line=1, sku_id=shop.service(), quantity=Decimal(1))
    shop.desk.do(ResolveShortage(order_id=order_id, kind=ShortageRemedy.EXCHANGE, exchanges=(instead,)))
    if refunded:
        short(shop, order_id, (1, "1"))
        shop.desk.do(ResolveShortage(order_id=order_id, kind=ShortageRemedy.REFUND))
    else:
        shop.desk.do(CancelOrderLines(order_id=order_id, lines=part((1, "1"))))
    order, cancelled = shop.order(order_id), shop.desk.last(OrderCancelled)
    assert [line.live for line in order.lines] == [0, 1] and order.status is OrderStatus.CONFIRMED
    assert (cancelled.whole, cancelled.refund_due_minor, cancelled.rest_shipped) == (False, 10000, True)


def test_a_shortage_ends_when_all_that_is_short_is_called_off(shop: Shop) -> None:
    order_id = shop.confirmed((shop.article(), "1"), (shop.article("vase"), "1"))
    short(shop, order_id, (1, "1"))
    shop.desk.do(CancelOrderLines(order_id=order_id, lines=part((1, "1"))))
    assert shop.order(order_id).status is OrderStatus.CONFIRMED


# Who may see what ----------------------------------------------------------------------------------------------------


def test_a_customer_without_a_record_has_no_order(shop: Shop) -> None:
    order_id = shop.place((shop.article(), "1"))
    nobody = Actor(id="anon", role=Role.CUSTOMER, stores=frozenset({shop.store_id}))
    with pytest.raises(NotFound):
        shop.desk.do(CancelOrder(order_id=order_id), actor=nobody)


def test_a_manager_records_nothing_in_the_name_of_another_stores_customer(shop: Shop) -> None:
    lamp = shop.article()
    elsewhere = shop.desk.open_store("Elsewhere")
    ben = shop.desk.register(elsewhere)
    here = Actor(id="mia", role=Role.MANAGER, stores=frozenset({shop.store_id}))
    sold = RecordedLine(sku_id=lamp, quantity=Decimal(1), unit_price=Decimal(1))
    back = RecordedReturnLine(sku_id=lamp, quantity=Decimal(1), amount_minor=1)
    commands: tuple[Command, ...] = (
        RecordOrder(store_id=shop.store_id, lines=(sold,), customer_id=ben),
        RecordReturn(store_id=shop.store_id, lines=(back,), customer_id=ben),
    )
    for command in commands:
        with pytest.raises(NotFound):
            shop.desk.do(command, actor=here)
        shop.desk.do(command, actor=OWNER)


def test_a_command_names_a_closed_location_among_its_refusals() -> None:
    assert LocationClosedAlready in ReceiveReturn.REFUSES


# Bounds --------------------------------------------------------------------------------------------------------------


def test_no_order_comes_to_more_than_an_amount_can_be(shop: Shop) -> None:
    ship = shop.article("ship", "900000000", "0", mode="dropship")
    with pytest.raises(InvalidField) as refused:
        shop.place((ship, "999999999"))
    assert refused.value.path == ("lines", 0, "quantity")
    line = RecordedLine(sku_id=ship, quantity=Decimal(9), unit_price=Decimal(10**12 - 1))
    for lines in ((line, line), (line,)):
        with pytest.raises(InvalidField):
            shop.desk.do(RecordOrder(store_id=shop.store_id, lines=lines * 2))
    order_id = shop.place((ship, "99"))
    with pytest.raises(InvalidField):
        shop.desk.do(
            AmendOrderPrice(order_id=order_id, line=1, unit_price=Decimal(10**12 - 1), reason="a slip of the key")
        )
    assert shop.order(order_id).total_minor < MAX_MINOR


# Quotas --------------------------------------------------------------------------------------------------------------


def allocate(shop: Shop, campaign_id: UUID, sku_id: UUID, quantity: str) -> None:
    shop.desk.do(
        AllocateCampaignStock(
            sku_id=sku_id, campaign_id=campaign_id, location_id=shop.location_id, quantity=Decimal(quantity)
        )
    )


def test_no_more_is_allocated_to_a_campaign_than_the_quota_of_its_line_sold_units_included(shop: Shop) -> None:
    lamp = shop.article()
    campaign = shop.campaign({lamp: "90"}, quota="3")
    with pytest.raises(AllocationExceedsQuota):
        allocate(shop, campaign, lamp, "1")
    order_id = shop.place((lamp, "2"), campaign_ids=(campaign,))
    with pytest.raises(AllocationExceedsQuota):
        allocate(shop, campaign, lamp, "1")
    shop.desk.do(
        ReleaseCampaignStock(sku_id=lamp, campaign_id=campaign, location_id=shop.location_id, quantity=Decimal(1))
    )
    allocate(shop, campaign, lamp, "1")
    shop.desk.do(CancelOrder(order_id=order_id))
    with pytest.raises(AllocationExceedsQuota):
        allocate(shop, campaign, lamp, "1")


def test_a_quota_is_not_lowered_below_what_is_allocated(shop: Shop) -> None:
    lamp = shop.article()
    campaign = shop.desk.do(PlanCampaign(store_id=shop.store_id, name="Sale", goal=CampaignGoal.RAISE_SALES))
    line = {"campaign_id": campaign, "sku_id": lamp, "role": LineRole.BASE, "price": Decimal(90)}
    shop.desk.do(AddCampaignLine(quota=Decimal(5), **line))
    allocate(shop, campaign, lamp, "5")
    with pytest.raises(AllocationExceedsQuota):
        shop.desk.do(AddCampaignLine(quota=Decimal(4), **line))


def test_a_running_campaign_keeps_its_quota_open_so_that_it_never_sells_from_ordinary_stock(shop: Shop) -> None:
    lamp = shop.article()
    campaign = shop.campaign({lamp: "90"}, quota="3")
    with pytest.raises(WrongState):
        shop.desk.do(ReleaseCampaignStock(sku_id=lamp, campaign_id=campaign))
    shop.desk.do(ReleaseCampaignStock(sku_id=lamp, campaign_id=campaign, location_id=shop.location_id))
    assert shop.sku(lamp).sellable == 10
    with pytest.raises(CampaignQuotaUsed):
        shop.place((lamp, "1"), campaign_ids=(campaign,))
    shop.desk.do(EndCampaign(campaign_id=campaign))
    assert shop.sku(lamp).allocations == {}


def test_stock_allocated_to_a_line_without_a_quota_is_what_the_campaign_sells(shop: Shop) -> None:
    lamp = shop.article()
    campaign = shop.campaign({lamp: "90"})
    allocate(shop, campaign, lamp, "2")
    shop.place((lamp, "2"), campaign_ids=(campaign,))
    assert (shop.sku(lamp).sellable, shop.sku(lamp).level_at(shop.location_id).allocated) == (8, 0)
    with pytest.raises(CampaignQuotaUsed):
        shop.place((lamp, "1"), campaign_ids=(campaign,))


# Freight -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [Role.STOREFRONT, Role.CUSTOMER])
def test_a_buyer_pays_the_store_s_freight_and_sets_none(shop: Shop, role: Role) -> None:
    lamp, ann = shop.article(), shop.desk.register(shop.store_id)
    buyer = Actor(id="buyer", role=role, stores=frozenset({shop.store_id}), customer_id=ann)
    shop.desk.do(SetPolicy(store_id=shop.store_id, kind="freight", params={"flat_minor": 800}))
    with pytest.raises(NotAuthorised) as refused:
        shop.place((lamp, "1"), actor=buyer, customer_id=ann, freight_minor=0)
    assert refused.value.path == ("freight_minor",)
    shop.place((lamp, "1"), actor=buyer, customer_id=ann)
    placed = shop.desk.last(OrderPlaced)
    assert (placed.freight_minor, placed.total_minor) == (800, 10800)


def test_staff_may_agree_on_another_freight(shop: Shop) -> None:
    lamp = shop.article()
    shop.desk.do(SetPolicy(store_id=shop.store_id, kind="freight", params={"flat_minor": 800}))
    shop.place((lamp, "1"))
    assert shop.desk.last(OrderPlaced).freight_minor == 800
    shop.place((lamp, "1"), freight_minor=0)
    assert shop.desk.last(OrderPlaced).freight_minor == 0


def test_freight_is_free_from_an_amount_of_goods_on_and_the_order_says_so(shop: Shop) -> None:
    lamp, postage = shop.article(), shop.service()
    terms = {"flat_minor": 800, "free_from_minor": 20000}
    shop.desk.do(SetPolicy(store_id=shop.store_id, kind="freight", params=terms))
    campaign = shop.campaign({lamp: "100"}, FreeShippingTerms())
    shop.place((lamp, "1"), (postage, "1"))
    assert shop.desk.last(OrderPlaced).freight_minor == 800
    shop.place((lamp, "2"), campaign_ids=(campaign,))
    placed = shop.desk.last(OrderPlaced)
    assert (placed.freight_minor, placed.freight_waived_minor, placed.total_minor) == (0, 800, 20000)
    assert [(waiver.source_id, waiver.amount_minor) for waiver in placed.freight_waivers] == [(None, 800)]
    assert [claim.amount_minor for claim in placed.claims] == [0]


def test_services_alone_are_not_sent_and_cost_no_freight(shop: Shop) -> None:
    shop.desk.do(SetPolicy(store_id=shop.store_id, kind="freight", params={"flat_minor": 800}))
    shop.place((shop.service(), "1"))
    assert shop.desk.last(OrderPlaced).freight_minor == 0


# Points --------------------------------------------------------------------------------------------------------------


def test_points_paid_for_units_that_come_to_nothing_come_back_once_with_a_part_or_a_refund(shop: Shop) -> None:
    lamp, ann = shop.article(), shop.desk.register(shop.store_id)
    shop.desk.do(EarnPoints(customer_id=ann, rule="manual", reference="gift", points=1000, reason="thanks"))
    order_id = shop.place((lamp, "3"), customer_id=ann, points_to_spend=1000)
    assert shop.desk.get(Customer, ann).balance == 0
    shop.pay(order_id)
    shop.desk.do(CancelOrderLines(order_id=order_id, lines=part((1, "1"))))
    assert shop.desk.get(Customer, ann).balance == 333
    shop.desk.do(RefundOrder(order_id=order_id))
    assert shop.desk.get(Customer, ann).balance == 333
    shop.desk.do(ConfirmOrder(order_id=order_id))
    shop.ship(order_id, shop.pack(order_id))
    for quantity, balance in (("1", 667), ("1", 1000)):
        shop.returned(order_id, (1, quantity))
        shop.desk.do(RefundOrder(order_id=order_id))
        assert shop.desk.get(Customer, ann).balance == balance
    assert shop.order(order_id).refundable_minor == 0
    assert shop.desk.get(Customer, ann).points_by_order == {}


def test_what_is_left_of_the_points_comes_back_with_the_whole_order(shop: Shop) -> None:
    lamp, ann = shop.article(), shop.desk.register(shop.store_id)
    shop.desk.do(EarnPoints(customer_id=ann, rule="manual", reference="gift", points=1000, reason="thanks"))
    order_id = shop.place((lamp, "3"), customer_id=ann, points_to_spend=1000)
    shop.desk.do(CancelOrderLines(order_id=order_id, lines=part((1, "1"))))
    shop.desk.do(CancelOrder(order_id=order_id))
    assert shop.desk.get(Customer, ann).balance == 1000
    assert sum(event.amount for _, event in shop.desk.events if isinstance(event, PointsReturned)) == 1000


def test_a_return_taken_in_from_elsewhere_brings_its_points_back_too(shop: Shop) -> None:
    lamp, ann = shop.article(), shop.desk.register(shop.store_id)
    shop.desk.do(EarnPoints(customer_id=ann, rule="manual", reference="gift", points=1000, reason="thanks"))
    order_id = shop.delivered((lamp, "2"), customer_id=ann, points_to_spend=1000)
    back = RecordedReturnLine(sku_id=lamp, quantity=Decimal(1), amount_minor=9500)
    shop.desk.do(RecordReturn(store_id=shop.store_id, order_id=order_id, lines=(back,)))
    assert shop.desk.get(Customer, ann).balance == 500


# What is not for everybody, and what is not said --------------------------------------------------------------------


def test_a_storefront_lets_customers_into_the_first_tier_and_gives_no_higher_one_away(shop: Shop) -> None:
    tiers = [{"name": "member", "discount": "0.98"}, {"name": "gold", "spend_minor": 100_00, "discount": "0.5"}]
    shop.desk.do(SetPolicy(store_id=shop.store_id, kind="membership", params={"tiers": tiers}))
    ann = shop.desk.register(shop.store_id)
    for source in (MembershipSource.GRANTED, MembershipSource.PAID, MembershipSource.CAMPAIGN):
        with pytest.raises(NotAuthorised):
            shop.desk.do(JoinMembership(customer_id=ann, tier="gold", source=source), actor=BUYER)
    with pytest.raises(SpendThresholdNotReached):
        shop.desk.do(JoinMembership(customer_id=ann, tier="gold", source=MembershipSource.SPEND), actor=BUYER)
    shop.desk.do(JoinMembership(customer_id=ann, tier="member", source=MembershipSource.GRANTED), actor=BUYER)
    assert shop.desk.get(Customer, ann).tier == "member"


def test_points_and_coupons_are_not_taken_for_an_order_that_was_called_off(shop: Shop) -> None:
    ann = shop.desk.register(shop.store_id)
    shop.desk.do(EarnPoints(customer_id=ann, rule="manual", reference="gift", points=10, reason="thanks"))
    shop.desk.do(GrantCoupon(customer_id=ann, code="TEN", currency="CNY", off_minor=1000))
    coupon_id = next(iter(shop.desk.get(Customer, ann).coupons))
    order_id = shop.place((shop.article(), "1"), customer_id=ann)
    shop.desk.do(CancelOrder(order_id=order_id))
    for command in (
        SpendPoints(customer_id=ann, order_id=order_id, points=1),
        UseCoupon(customer_id=ann, order_id=order_id, coupon_id=coupon_id),
    ):
        with pytest.raises(WrongState):
            shop.desk.do(command)


def test_a_refused_payment_account_does_not_say_who_holds_it(shop: Shop) -> None:
    store_id = shop.desk.do(ApplyForStore(name="Second", operator="Acme Ltd", platform="own"))
    with pytest.raises(AccountNotOwn) as refused:
        shop.desk.do(
            CertifyPaymentAccount(store_id=store_id, provider="alipay", account_reference="a", holder="Ann Smith")
        )
    assert "Ann" not in refused.value.message


def test_a_receipt_is_worth_no_more_than_an_amount_can_be(shop: Shop) -> None:
    lamp = shop.article()
    receipt = ReceiveStock(
        sku_id=lamp, location_id=shop.location_id, quantity=Decimal(10**11), unit_cost=Decimal(10**11)
    )
    with pytest.raises(InvalidField) as refused:
        shop.desk.do(receipt)
    assert refused.value.path == ("unit_cost",)


def test_moments_are_kept_in_utc_whatever_the_offset_they_are_given_with(shop: Shop) -> None:
    noon = datetime(2030, 1, 1, 12, tzinfo=timezone(timedelta(hours=8)))
    ann = shop.desk.register(shop.store_id)
    shop.desk.do(GrantCoupon(customer_id=ann, code="TEN", currency="CNY", off_minor=1, valid_from=noon))
    shop.desk.do(SetPolicy(store_id=shop.store_id, kind="relisting", params={}, effective_from=noon))
    shop.desk.do(SuspendStore(store_id=shop.store_id, reason="stocktaking", until=noon))
    kept = (
        shop.desk.last(CouponGranted).valid_from,
        shop.desk.last(PolicySet).effective_from,
        shop.desk.last(StoreSuspended).until,
    )
    assert [moment.isoformat() for moment in kept] == ["2030-01-01T04:00:00+00:00"] * 3


def test_a_guest_is_forgotten_once_nobody_needs_the_address_any_more(shop: Shop) -> None:
    order_id = shop.place((shop.article(), "1"), recipient="Ann Smith", address="1 High Street")
    sealed = shop.desk.last(OrderPlaced).address
    with pytest.raises(WrongState):
        shop.desk.do(EraseGuest(order_id=order_id))
    shop.desk.do(CancelOrder(order_id=order_id))
    assert shop.desk.unseal(order_id, sealed) == "1 High Street"
    for _ in range(2):
        shop.desk.do(EraseGuest(order_id=order_id), actor=SERVICE)
    assert shop.desk.recorded(order_id).count("GuestErased") == 1
    assert order_id in shop.desk.erased and shop.order(order_id).address is None
    with pytest.raises(KeyError):
        shop.desk.unseal(order_id, sealed)


def test_a_customer_is_not_forgotten_order_by_order(shop: Shop) -> None:
    ann = shop.desk.register(shop.store_id)
    order_id = shop.place((shop.article(), "1"), customer_id=ann)
    shop.desk.do(CancelOrder(order_id=order_id))
    with pytest.raises(InvalidField):
        shop.desk.do(EraseGuest(order_id=order_id))


# Price protection ----------------------------------------------------------------------------------------------------


def test_a_price_that_falls_within_seven_days_of_delivery_is_made_good_once(shop: Shop) -> None:
    lamp = shop.article()
    order_id = shop.delivered((lamp, "2"))
    delivered_at = shop.order(order_id).delivered_at
    assert delivered_at is not None
    protect = ProtectPrice(order_id=order_id, line=1, lower_price=Decimal(80), evidence="our own page")
    with pytest.raises(PriceProtectionOver):
        shop.desk.do(protect, at=delivered_at + timedelta(days=7, seconds=1))
    with pytest.raises(PriceNotLower):
        shop.desk.do(ProtectPrice(order_id=order_id, line=1, lower_price=Decimal(100), evidence="our own page"))
    shop.desk.do(protect, at=delivered_at + timedelta(days=7))
    refund = shop.desk.last(OrderRefunded)
    assert (refund.reason, refund.amount_minor, refund.goods_minor) == (RefundReason.PRICE_PROTECTION, 4000, 4000)
    assert [(line.line, line.quantity, line.amount_minor) for line in refund.lines] == [(1, 0, 4000)]
    assert refund.evidence == "our own page"
    with pytest.raises(PriceProtectedAlready):
        shop.desk.do(protect, at=delivered_at + timedelta(days=1))
    shop.returned(order_id, (1, "2"))
    shop.desk.do(RefundOrder(order_id=order_id))
    assert shop.desk.last(OrderRefunded).amount_minor == 16000


def test_what_was_made_good_is_not_given_back_once_more_whatever_else_is_in_the_order(shop: Shop) -> None:
    order_id = shop.delivered((shop.article(), "3"), (shop.article("cup"), "1"))
    shop.returned(order_id, (1, "1"))
    shop.desk.do(ProtectPrice(order_id=order_id, line=1, lower_price=Decimal(80), evidence="our own page"))
    assert shop.desk.last(OrderRefunded).amount_minor == 4000
    shop.desk.do(RefundOrder(order_id=order_id))
    assert shop.desk.last(OrderRefunded).amount_minor == 10000, "it was on its way back before, at its full price"
    shop.returned(order_id, (1, "1"))
    one = RefundOf(line=1, quantity=Decimal(1))
    with pytest.raises(RefundExceedsPrice, match="8000"):
        shop.desk.do(RefundOrder(order_id=order_id, lines=(msgspec.structs.replace(one, amount_minor=8001),)))
    shop.desk.do(RefundOrder(order_id=order_id, lines=(one,)))
    assert shop.desk.last(OrderRefunded).amount_minor == 8000


def test_what_is_sent_instead_of_protected_units_was_made_good_as_well(shop: Shop) -> None:
    lamp, cup = shop.article(), shop.article("cup")
    order_id = shop.confirmed((lamp, "1"), (lamp, "2"))
    shop.ship(order_id, shop.pack(order_id, (1, "1")))
    shop.desk.do(DeliverOrder(order_id=order_id, parcel_id=next(iter(shop.order(order_id).parcels))))
    protect = ProtectPrice(order_id=order_id, line=2, lower_price=Decimal(75), evidence="our own page")
    shop.desk.do(protect)
    short(shop, order_id, (2, "1"))
    instead = ExchangeFor(line=2, sku_id=cup, quantity=Decimal(1))
    shop.desk.do(ResolveShortage(order_id=order_id, kind=ShortageRemedy.EXCHANGE, exchanges=(instead,)))
    with pytest.raises(PriceProtectedAlready):
        shop.desk.do(msgspec.structs.replace(protect, line=3))
    shop.desk.do(CancelOrderLines(order_id=order_id, lines=part((2, "1"), (3, "1"))))
    shop.desk.do(RefundOrder(order_id=order_id))
    assert [line.amount_minor for line in shop.desk.last(OrderRefunded).lines] == [7500, 7500]


def test_only_units_that_the_buyer_keeps_are_protected_once_they_have_arrived(shop: Shop) -> None:
    order_id = shop.delivered((shop.article(), "3"))
    shop.returned(order_id, (1, "1"))
    shop.desk.do(ProtectPrice(order_id=order_id, line=1, lower_price=Decimal("99.99"), evidence="seen there"))
    assert shop.desk.last(OrderRefunded).amount_minor == 2
    under_way = shop.shipped((shop.article("vase"), "1"))
    with pytest.raises(WrongState):
        shop.desk.do(ProtectPrice(order_id=under_way, line=1, lower_price=Decimal(1), evidence="seen there"))
