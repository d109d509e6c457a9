"""Figures of what goes another way than most: orders sent in part or of services alone, records given up or erased."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID, uuid4

import pytest

from opscore.database import Database
from opscore.domain.campaign_commands import AddPromotion, FixedTerms, GiftTerms, RemoveCampaignLine, RenameCampaign
from opscore.domain.customer_commands import EraseCustomer, MergeCustomers, SetConsent
from opscore.domain.customer_events import ConsentChannel
from opscore.domain.order_commands import (
    CancelOrderLines,
    ConfirmOrder,
    ContactCustomer,
    ExchangeFor,
    LineQuantity,
    PackParcel,
    PayOrder,
    ReportShortage,
    ResolveShortage,
    ScannedLine,
    ShipOrder,
)
from opscore.domain.order_events import ShortageRemedy
from opscore.domain.order_recorded_returns import (
    RecordedReturnLine,
    RecordReturn,
)
from opscore.domain.order_returns import RequestReturn
from opscore.domain.pricing import PromotionScope
from opscore.domain.sku_commands import ListSku, PassSkuReview, PriceSku, RegisterSku, SetSkuContent, SubmitSku
from opscore.domain.sku_events import FulfilmentMode
from opscore.projector import Projector
from opscore.settings import Settings
from opscore.writer import Writer
from tests.projections.kpi_cells import KPIS, asked, check_cells, values
from tests.shop import SECOND, Shop

PAID_AT = datetime(2025, 6, 2, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def shop(database: Database, settings: Settings) -> Iterator[Shop]:
    """An open store, through a writer of the test's own."""
    writer = Writer(database, settings)
    writer.start()
    try:
        yield Shop.open(writer)
    finally:
        writer.stop()


def service(shop: Shop) -> UUID:
    """Put a service on sale."""
    mode, text = FulfilmentMode.SERVICE, "It is what it says."
    sku = shop.do(RegisterSku(store_id=shop.store_id, code="WRAP", name="Wrapping", category="gifts", mode=mode))
    told = {"title": "Wrapping", "description": text, "specification": text, "after_sale_text": text}
    shop.do(SetSkuContent(sku_id=sku, images=("front",), **told))
    shop.do(PriceSku(sku_id=sku, list_price=Decimal(3), cost=Decimal(1), reason="first price"))
    shop.do(SubmitSku(sku_id=sku))
    shop.do(PassSkuReview(sku_id=sku), actor=SECOND)
    shop.do(ListSku(sku_id=sku))
    return sku


def paid(shop: Shop, *skus: UUID, amount_minor: int = 1000, **more: Any) -> UUID:
    """Place an order of one of each at a fixed moment, pay for it and confirm it."""
    order = shop.do(shop.order(*((sku, 1) for sku in skus), **more), occurred_at=PAID_AT)
    pay = PayOrder(order_id=order, amount_minor=amount_minor * len(skus), method="card", currency="GBP")
    shop.do(pay, occurred_at=PAID_AT)
    shop.do(ConfirmOrder(order_id=order), occurred_at=PAID_AT)
    return order


def send(shop: Shop, order: UUID, line: int, sku: UUID, at: datetime) -> None:
    """Send one unit of a line in a parcel of its own."""
    parcel = uuid4()
    scanned = (ScannedLine(line=line, sku_id=sku, quantity=Decimal(1)),)
    given: dict[str, Any] = {"order_id": order, "parcel_id": parcel}
    shop.do(PackParcel(**given, location_id=shop.location_id, lines=scanned), occurred_at=at)
    shop.do(ShipOrder(**given, courier="DPD", waybill=str(parcel)), occurred_at=at)


def exchange(shop: Shop, order: UUID, line: int, instead: UUID, at: datetime) -> None:
    """Report one unit of a line short and agree on one of another article for it."""
    short = (LineQuantity(line=line, quantity=Decimal(1)),)
    shop.do(ReportShortage(order_id=order, lines=short), occurred_at=at)
    shop.do(ContactCustomer(order_id=order), occurred_at=at)
    agreed = (ExchangeFor(line=line, sku_id=instead, quantity=Decimal(1)),)
    shop.do(ResolveShortage(order_id=order, kind=ShortageRemedy.EXCHANGE, exchanges=agreed), occurred_at=at)


def call_off(shop: Shop, order: UUID, line: int, at: datetime) -> None:
    """Call one unit of a line off."""
    shop.do(CancelOrderLines(order_id=order, lines=(LineQuantity(line=line, quantity=Decimal(1)),)), occurred_at=at)


def make_a_service(shop: Shop, order: UUID, line: int, at: datetime) -> None:
    """Agree on a service for one unit of a line."""
    exchange(shop, order, line, service(shop), at)


@pytest.mark.parametrize("rest", [call_off, make_a_service])
@pytest.mark.parametrize(
    ("after", "in_time", "broken"), [(2 * HOUR, [1], []), (30 * HOUR, [0], []), (50 * HOUR, [0], [1])]
)
def test_an_order_has_left_once_nothing_more_of_it_is_to_be_sent_and_no_earlier(
    shop: Shop,
    projector: Projector,
    rest: Callable[[Shop, UUID, int, datetime], None],
    after: timedelta,
    in_time: list[int],
    broken: list[int],
) -> None:
    skus = shop.sku(), shop.sku()
    order = paid(shop, *skus)
    send(shop, order, 1, skus[0], PAID_AT + HOUR)
    projector.deploy()
    assert values(projector, "K120", asked(of=(date(2025, 6, 1), date(2025, 6, 30)))) == [1]

    rest(shop, order, 2, PAID_AT + after)
    projector.catch_up()

    assert values(projector, "K081", asked()) == in_time
    assert values(projector, "K082", asked()) == broken
    assert values(projector, "K120", asked()) == [], "nothing more of it is to leave"
    assert values(projector, "K083", asked()) == [3600], "its last parcel left an hour after the payment"


@pytest.mark.parametrize(("called_off_after", "broken"), [(2 * HOUR, []), (50 * HOUR, [1])])
def test_an_order_of_which_all_goods_are_called_off_is_owed_no_longer_though_a_service_of_it_was_rendered(
    shop: Shop, projector: Projector, called_off_after: timedelta, broken: list[int]
) -> None:
    order = paid(shop, service(shop), shop.sku(), amount_minor=650)
    first, second = (LineQuantity(line=line, quantity=Decimal(1)) for line in (1, 2))
    shop.do(RequestReturn(order_id=order, lines=(first,)), occurred_at=PAID_AT + HOUR)
    shop.do(CancelOrderLines(order_id=order, lines=(second,)), occurred_at=PAID_AT + called_off_after)
    projector.deploy()

    assert values(projector, "K081", asked()) == [0] * len(broken)
    assert values(projector, "K082", asked()) == broken
    assert values(projector, "K120", asked()) == []


@pytest.mark.parametrize(("after", "broken"), [(2 * HOUR, []), (50 * HOUR, [1])])
def test_an_order_of_which_services_stand_in_for_all_goods_is_owed_no_longer(
    shop: Shop, projector: Projector, after: timedelta, broken: list[int]
) -> None:
    order = paid(shop, shop.sku())
    make_a_service(shop, order, 1, PAID_AT + after)
    projector.deploy()

    assert values(projector, "K081", asked()) == [0] * len(broken)
    assert values(projector, "K082", asked()) == broken
    assert values(projector, "K120", asked()) == []
    due = projector.run_query("order_book", "due", {"due_before": PAID_AT + 100 * HOUR}, store_ids=None)
    assert due == []


def test_an_order_is_owed_as_long_as_goods_of_it_are_to_be_sent_though_a_service_stands_in_for_some(
    shop: Shop, projector: Projector
) -> None:
    order = paid(shop, shop.sku(), shop.sku())
    make_a_service(shop, order, 1, PAID_AT + HOUR)
    projector.deploy()

    assert values(projector, "K120", asked()) == [1]


def test_services_are_not_sent_so_that_nothing_is_late(shop: Shop, projector: Projector) -> None:
    order = paid(shop, service(shop), amount_minor=300)
    goods = shop.sku()
    late = paid(shop, goods)
    projector.deploy()

    assert values(projector, "K120", asked()) == [1], "the goods alone are overdue"
    assert values(projector, "K082", asked()) == [1]
    due = projector.run_query("order_book", "due", {"due_before": PAID_AT + 100 * HOUR}, store_ids=None)
    assert [row["order_id"] for row in due if row["what"] == "ship"] == [late] != [order]


def test_who_pays_for_services_alone_is_a_customer_who_paid(shop: Shop, projector: Projector) -> None:
    buyers = shop.customer(), shop.customer()
    wrapping, goods = service(shop), shop.sku()
    paid(shop, wrapping, amount_minor=300, customer_id=buyers[0])
    paid(shop, goods, customer_id=buyers[1])
    paid(shop, goods)
    projector.deploy()

    assert values(projector, "K080", asked()) == [1], "both bought for the first time, and a guest is no customer"
    assert values(projector, "K080", asked(sku_id=wrapping)) == [1]
    assert values(projector, "K037J", asked()) == [Fraction(0)]


def test_a_campaign_is_found_by_the_name_that_it_was_given_last(shop: Shop, projector: Projector) -> None:
    campaign = shop.campaign()
    shop.do(RenameCampaign(campaign_id=campaign, name="Sumer"))
    projector.deploy()
    shop.do(RenameCampaign(campaign_id=campaign, name="Summer"))
    projector.catch_up()

    for query in ("campaign_rows", "results"):
        (row,) = projector.run_query("campaign_results", query, {}, store_ids=[shop.store_id])
        assert row["name"] == "Summer"


def test_a_campaign_shows_an_article_that_was_taken_out_of_it_only_if_it_sold_it_all_the_same(
    shop: Shop, projector: Projector
) -> None:
    kept, out, sold = (shop.sku() for _ in range(3))
    prices = dict.fromkeys((kept, out, sold), Decimal(8))
    campaign = shop.campaign(prices=prices)
    projector.deploy()
    for sku in (out, sold):
        shop.do(RemoveCampaignLine(campaign_id=campaign, sku_id=sku))
        del prices[sku]
    projector.catch_up()

    def shown() -> dict[UUID, Decimal | None]:
        listed = projector.run_query("campaign_results", "campaign_articles", {}, store_ids=[shop.store_id])
        found = projector.run_query("campaign_results", "skus", {"campaign_ids": [campaign]}, store_ids=None)
        assert {row["sku_id"] for row in listed} == {row["sku_id"] for row in found}
        return {row["sku_id"]: row["price"] for row in found}

    assert shown() == {kept: Decimal(8)}
    offer = FixedTerms(off_minor=100)
    shop.do(AddPromotion(campaign_id=campaign, label="a pound off", offer=offer, scope=PromotionScope.STORE))
    shop.start(campaign, prices)
    sold_in_a_campaign(shop, campaign, sold, 1, 900, datetime.now(UTC))
    projector.catch_up()
    assert shown() == {kept: Decimal(8), sold: None}
    assert not projector.check(["campaign_results", "kpi_facts"])


def test_two_records_of_one_person_are_one_buyer_of_a_campaign_once_they_are_merged(
    shop: Shop, projector: Projector
) -> None:
    now, goods = datetime.now(UTC), shop.sku()
    prices = {goods: Decimal(8)}
    campaign = shop.start(shop.campaign(prices=prices), prices)
    buyers = [shop.customer() for _ in range(4)]
    for buyer in buyers:
        order = shop.do(shop.order((goods, 1), customer_id=buyer, campaign_ids=(campaign,)), occurred_at=now)
        shop.do(PayOrder(order_id=order, amount_minor=800, method="card", currency="GBP"))
    projector.deploy()

    def counted() -> int:
        (row,) = projector.run_query("campaign_results", "results", {"campaign_ids": [campaign]}, store_ids=None)
        return int(row["buyers"])

    assert counted() == 4
    shop.do(MergeCustomers(customer_id=buyers[1], other_id=buyers[0]))
    projector.catch_up()
    assert counted() == 3
    shop.do(MergeCustomers(customer_id=buyers[2], other_id=buyers[1]))
    projector.catch_up()
    assert counted() == 2, "and whose records had been taken in before"
    assert not projector.check(["campaign_results"])


def sold_in_a_campaign(shop: Shop, campaign: UUID, article: UUID, units: int, amount_minor: int, at: datetime) -> UUID:
    """Place an order of a campaign's article, pay for it and confirm it."""
    order = shop.do(shop.order((article, units), campaign_ids=(campaign,)), occurred_at=at)
    shop.do(PayOrder(order_id=order, amount_minor=amount_minor, method="card", currency="GBP"), occurred_at=at)
    return shop.do(ConfirmOrder(order_id=order), occurred_at=at)


def send_back(shop: Shop, order: UUID, article: UUID, amount_minor: int, at: datetime) -> None:
    """Take one unit of an article back into stock, and give its money back."""
    line = RecordedReturnLine(sku_id=article, quantity=Decimal(1), amount_minor=amount_minor)
    shop.do(RecordReturn(store_id=shop.store_id, order_id=order, lines=(line,)), occurred_at=at)


def test_what_goes_back_of_a_line_that_stands_in_takes_back_what_the_campaign_had_sold(
    shop: Shop, projector: Projector
) -> None:
    lamp, cup, pen = shop.sku(cost="4.00"), shop.sku(cost="3.00"), shop.sku(cost="2.00")
    prices = {lamp: Decimal(8)}
    campaign = shop.start(shop.campaign(prices=prices), prices)
    now = datetime.now(UTC)
    order = sold_in_a_campaign(shop, campaign, lamp, 2, 1600, now)
    projector.deploy()
    exchange(shop, order, 1, cup, now)
    projector.catch_up()
    exchange(shop, order, 2, pen, now)
    send(shop, order, 1, lamp, now)
    send(shop, order, 3, pen, now)
    projector.catch_up()

    window = (now - 24 * HOUR).date(), (now + 24 * HOUR).date()

    def figure(code: str, **narrowed: Any) -> list[Fraction | None]:
        return values(projector, code, asked(of=window, **narrowed))

    assert figure("K064", campaign_id=campaign) == [1600 - 400 - 200], "the goods that were sent are what it cost"
    send_back(shop, order, pen, 800, now)
    projector.catch_up()

    (result,) = projector.run_query("campaign_results", "results", {"campaign_ids": [campaign]}, store_ids=None)
    assert (result["gmv_minor"], result["refunded_minor"], result["net_sales_minor"]) == (1600, 800, 800)
    skus = projector.run_query("campaign_results", "skus", {"campaign_ids": [campaign]}, store_ids=None)
    assert [(row["sku_id"], row["units"], row["refunded_minor"]) for row in skus] == [(lamp, 2, 800)]
    assert figure("K023") == figure("K023", campaign_id=campaign) == figure("K023", sku_id=lamp) == [800]
    assert figure("K064", campaign_id=campaign) == [1600 - 800 - 400]
    assert figure("K024", sku_id=lamp) == [Fraction(1, 2)] and figure("K023", sku_id=pen) == []
    told = {code: KPIS[code] for code in ("K023", "K024", "K064")}
    assert set(check_cells(projector, {"of": window, "campaign_id": campaign}, 1, told)) == set(told)
    sales = {"campaign_id": campaign, "store_id": shop.store_id, "currency": "GBP"}
    behind = projector.explain("campaign_results", "campaign_sales", sales, store_ids=None)
    assert [(row["event"], row["refunded_minor"]) for row in behind] == [("OrderPaid", 0), ("OrderRefunded", 800)]
    assert not projector.check(["campaign_results", "kpi_facts", "stock_valuation"])


def test_gifts_of_a_campaign_are_no_units_of_it_sold_or_refunded(shop: Shop, projector: Projector) -> None:
    lamp, pen = shop.sku(), shop.sku()
    prices = {lamp: Decimal(8)}
    campaign = shop.campaign(prices=prices)
    shop.do(AddPromotion(campaign_id=campaign, label="a pen with it", offer=GiftTerms(sku_id=pen)))
    shop.start(campaign, prices)
    now = datetime.now(UTC)
    order = sold_in_a_campaign(shop, campaign, lamp, 1, 800, now)
    send(shop, order, 1, lamp, now)
    send(shop, order, 2, pen, now)
    send_back(shop, order, lamp, 800, now)
    send_back(shop, order, pen, 0, now)
    projector.deploy()

    (result,) = projector.run_query("campaign_results", "results", {"campaign_ids": [campaign]}, store_ids=None)
    assert (result["units"], result["refunded_units"]) == (1, 1)


def test_a_list_of_customers_counts_what_they_bought_as_their_cards_do(shop: Shop, projector: Projector) -> None:
    other = Shop.open(shop.writer, name="Other shop", currency="EUR", time_zone="Europe/Paris")
    first, second, third, nobody = (shop.customer() for _ in range(4))
    sold = {shop.store_id: shop.sku(), other.store_id: other.sku()}

    def buy(at: Shop, buyer: UUID, units: int, day: int) -> UUID:
        when = PAID_AT + day * 24 * HOUR
        article, currency = sold[at.store_id], "GBP" if at is shop else "EUR"
        order = at.do(at.order((article, units), customer_id=buyer), occurred_at=when)
        paid = PayOrder(order_id=order, amount_minor=units * 1000, method="card", currency=currency)
        at.do(paid, occurred_at=when)
        return at.do(ConfirmOrder(order_id=order), occurred_at=when)

    buy(shop, first, 1, 0)
    back = buy(shop, second, 3, 1)
    buy(shop, third, 2, 2)
    buy(other, third, 5, 3)
    send(shop, back, 1, sold[shop.store_id], PAID_AT + 30 * HOUR)
    send_back(shop, back, sold[shop.store_id], 1000, PAID_AT + 48 * HOUR)
    shop.do(MergeCustomers(customer_id=second, other_id=first))
    shop.do(MergeCustomers(customer_id=third, other_id=second))
    projector.deploy()

    def rows(currency: str | None, stores: list[UUID] | None) -> dict[UUID, tuple[Any, ...]]:
        found = projector.run_query("customer_card", "customer_rows", {"currency": currency}, store_ids=stores)
        return {row["customer_id"]: (row["orders"], row["net_sales_minor"], row["last_order_at"]) for row in found}

    for stores in (None, [shop.store_id]):
        given = {"customer_ids": [first, second, third, nobody]}
        cards = projector.run_query("customer_card", "sales", given, store_ids=stores)
        for currency in ("GBP", "EUR", "USD"):
            said = {
                row["customer_id"]: (row["orders"], row["net_sales_minor"], row["last_order_at"])
                for row in cards
                if row["currency"] == currency
            }
            nothing = dict.fromkeys((first, second, third, nobody), (0, 0, None))
            assert rows(currency, stores) == nothing | said, (currency, stores)
    days = [PAID_AT + day * 24 * HOUR for day in range(4)]
    assert rows("GBP", None) == {
        first: (1, 1000, days[0]), second: (2, 3000, days[1]), third: (3, 5000, days[2]), nobody: (0, 0, None),
    }  # fmt: skip
    assert rows(None, None)[third] == (4, None, days[3]), "amounts of two currencies make no sum"
    assert rows(None, [shop.store_id])[third] == (3, None, days[2])
    assert rows(None, [other.store_id]) == {}


def test_whom_nobody_may_remember_nobody_may_reach(shop: Shop, projector: Projector) -> None:
    gone, there, given_up = shop.customer(), shop.customer(), shop.customer()
    for customer in (gone, there, given_up):
        shop.do(SetConsent(customer_id=customer, channel=ConsentChannel.POST, granted=True))
    shop.do(SetConsent(customer_id=given_up, channel=ConsentChannel.EMAIL, granted=True))
    projector.deploy()
    shop.do(EraseCustomer(customer_id=gone))
    shop.do(MergeCustomers(customer_id=there, other_id=given_up))
    projector.catch_up()

    agreed = projector.run_query("customer_card", "customer_consents", store_ids=None)
    assert [(row["customer_id"], row["channel"]) for row in agreed] == [(there, "post")]
    cards = projector.run_query("customer_card", "cards", store_ids=None)
    assert {row["customer_id"]: row["consents"] for row in cards} == {gone: [], there: ["post"], given_up: []}
