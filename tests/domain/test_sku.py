"""An article's way to the shelf and off it, its prices, and what becomes of its units."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from opscore.domain.campaign_commands import EndCampaign
from opscore.domain.command import Actor, Command, Role
from opscore.domain.refusals import (
    CurrencyMismatch,
    InvalidField,
    NotAuthorised,
    NotFound,
    ReasonMissing,
    ReferenceTaken,
    Refusal,
    SamePerson,
    WrongState,
)
from opscore.domain.sku import DelistReason, FulfilmentMode, SkuStatus, StockCondition, WriteOffKind
from opscore.domain.sku_commands import (
    DelistSku,
    FailSkuReview,
    ListSku,
    PassSkuReview,
    PriceSku,
    RetireSku,
    SetSkuContent,
    SetStockPolicy,
    SetTierPrices,
    SpecificationItem,
    SubmitSku,
    TierPriceEntry,
)
from opscore.domain.sku_events import (
    AboveMarket,
    AlreadyReserved,
    BelowCost,
    BelowMinimumQuantity,
    CampaignQuotaUsed,
    CampaignStockReleased,
    ContentMissing,
    CountBelowHeld,
    CountOutdated,
    ExceedsOnHand,
    ExceedsTransfer,
    HoldsNoStock,
    InLiveCampaign,
    LowAboveHigh,
    LowStockReached,
    NoSellableStock,
    NotInCampaign,
    NotReserved,
    OpenReservations,
    PriceMissing,
    ProhibitedGoods,
    ReservationReleased,
    SameLocation,
    SkuDelisted,
    SkuNotListed,
    SkuPriced,
    StockAdjusted,
    StockCounted,
    StockInsufficient,
    StockLeft,
    StockReceived,
    StockReserved,
    StockShipped,
    StockTransferredIn,
    StockTransferredOut,
    TierUnknown,
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
    SetPolicy,
    SubmitStoreDocument,
    SuspendStore,
)
from opscore.domain.store_events import (
    BrandNotAuthorised,
    DocumentKind,
    LicenceMissing,
    LocationClosedAlready,
    StoreNotOpen,
)
from tests.domain.desk import MANAGER, SECOND
from tests.domain.shelf import EDITOR, Shelf, state_of

ORDER, OTHER = UUID(int=11), UUID(int=12)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def names(events: list[Any]) -> list[str]:
    return [type(event).__name__ for event in events]


# The way to the shelf ------------------------------------------------------------------------------------------------

STAGES: dict[str, Callable[[Shelf], UUID]] = {}


def stage(build: Callable[[Shelf], UUID]) -> Callable[[Shelf], UUID]:
    STAGES[build.__name__] = build
    return build


@stage
def draft(shelf: Shelf) -> UUID:
    sku_id = shelf.draft()
    shelf.describe(sku_id)
    return shelf.price(sku_id)


@stage
def review(shelf: Shelf) -> UUID:
    return shelf.do(SubmitSku(sku_id=draft(shelf)), actor=EDITOR)


@stage
def ready(shelf: Shelf) -> UUID:
    return shelf.do(PassSkuReview(sku_id=review(shelf)), actor=SECOND)


@stage
def listed(shelf: Shelf) -> UUID:
    sku_id = ready(shelf)
    shelf.receive(sku_id, 10)
    return shelf.do(ListSku(sku_id=sku_id))


@stage
def delisted(shelf: Shelf) -> UUID:
    return shelf.do(DelistSku(sku_id=listed(shelf), reason=DelistReason.MANUAL))


@stage
def prohibited(shelf: Shelf) -> UUID:
    return shelf.do(DelistSku(sku_id=listed(shelf), reason=DelistReason.RECALL, prohibited=True))


@stage
def retired(shelf: Shelf) -> UUID:
    return shelf.do(RetireSku(sku_id=ready(shelf)))


STEPS: dict[str, Callable[[UUID], Command]] = {
    "describe": lambda sku_id: SetSkuContent(sku_id=sku_id, title="A new title"),
    "price": lambda sku_id: PriceSku(sku_id=sku_id, list_price=Decimal(8), reason="sale"),
    "submit": lambda sku_id: SubmitSku(sku_id=sku_id),
    "pass": lambda sku_id: PassSkuReview(sku_id=sku_id),
    "fail": lambda sku_id: FailSkuReview(sku_id=sku_id, reasons=("blurred",)),
    "list": lambda sku_id: ListSku(sku_id=sku_id),
    "delist": lambda sku_id: DelistSku(sku_id=sku_id, reason=DelistReason.MANUAL),
    "retire": lambda sku_id: RetireSku(sku_id=sku_id),
}

WAY = """
            describe  price  submit  pass   fail   list             delist        retire
draft       ok        ok     ok      WrongState WrongState WrongState SkuNotListed ok
review      WrongState ok    same    ok     ok     WrongState       SkuNotListed  ok
ready       ok        ok     WrongState WrongState WrongState NoSellableStock SkuNotListed ok
listed      ok        ok     WrongState WrongState WrongState same  ok            WrongState
delisted    ok        ok     WrongState WrongState WrongState ok    same          StockLeft
prohibited  ok        ok     ok      WrongState WrongState ProhibitedGoods same   StockLeft
retired     WrongState WrongState WrongState WrongState WrongState WrongState SkuNotListed same
"""


def table_cells() -> list[tuple[str, str, str]]:
    head, *rows = WAY.strip().splitlines()
    return [
        (row.split()[0], step, cell) for row in rows for step, cell in zip(head.split(), row.split()[1:], strict=True)
    ]


@pytest.mark.parametrize(("stage_name", "step", "expected"), table_cells())
def test_each_step_is_taken_refused_or_nothing_new_as_the_state_table_says(
    shelf: Shelf, stage_name: str, step: str, expected: str
) -> None:
    sku_id = STAGES[stage_name](shelf)
    before, command = state_of(shelf.sku(sku_id)), STEPS[step](sku_id)
    try:
        answer = "ok" if shelf.records(command, actor=MANAGER) else "same"
    except Refusal as refusal:
        answer = type(refusal).__name__
    assert answer == expected
    assert (state_of(shelf.sku(sku_id)) == before) == (expected != "ok")


def test_a_registered_article_is_what_was_said_of_it(shelf: Shelf) -> None:
    sku_id = shelf.draft(
        "TEA-1",
        brand="Acme",
        unit="kg",
        quantity_places=3,
        specification=(SpecificationItem(name="leaf", value="whole"),),
        season_end=datetime(2024, 9, 1, tzinfo=UTC),
    )
    sku = shelf.sku(sku_id)
    assert (sku.code, sku.brand, sku.unit, sku.currency, sku.store_id) == ("TEA-1", "Acme", "kg", "GBP", shelf.store_id)
    assert sku.min_order_quantity == Decimal("0.001")
    assert sku.specification == {"leaf": "whole"}
    assert (sku.status, sku.edited_by) == (SkuStatus.DRAFT, EDITOR.id)


def test_a_code_is_one_article_s_in_its_store_and_free_in_another(shelf: Shelf) -> None:
    first = shelf.draft("LAMP")
    with pytest.raises(ReferenceTaken) as refused:
        shelf.draft("LAMP")
    assert refused.value.ids == (first,)
    other_store = shelf.open_store("Second shop", currency="GBP")
    assert shelf.draft("LAMP", store_id=other_store) != first


@pytest.mark.parametrize(
    "fields",
    [
        {"min_order_quantity": Decimal(0)},
        {"min_order_quantity": Decimal("0.5")},
        {"min_order_quantity": Decimal("NaN")},
        {"specification": (SpecificationItem(name="size", value="1"), SpecificationItem(name="size", value="2"))},
    ],
)
def test_an_article_that_contradicts_itself_is_not_registered(shelf: Shelf, fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidField):
        shelf.draft("ODD", **fields)


@pytest.mark.parametrize("part", ["description", "specification", "images", "after_sale_text"])
def test_an_article_lacking_one_part_of_its_content_is_not_submitted(shelf: Shelf, part: str) -> None:
    sku_id = shelf.draft()
    shelf.price(sku_id)
    shelf.describe(sku_id, **{part: () if part == "images" else None})
    with pytest.raises(ContentMissing, match=part):
        shelf.do(SubmitSku(sku_id=sku_id))


def test_an_article_without_content_or_price_is_not_submitted(shelf: Shelf) -> None:
    sku_id = shelf.draft()
    with pytest.raises(ContentMissing, match="title"):
        shelf.do(SubmitSku(sku_id=sku_id))
    shelf.describe(sku_id)
    with pytest.raises(PriceMissing):
        shelf.do(SubmitSku(sku_id=sku_id))


def test_nobody_reviews_what_they_submitted_or_edited_last(shelf: Shelf) -> None:
    sku_id = review(shelf)
    shelf.do(PriceSku(sku_id=sku_id, list_price=Decimal(9), reason="rounder"), actor=MANAGER)
    for person in (EDITOR, MANAGER):
        with pytest.raises(SamePerson):
            shelf.do(PassSkuReview(sku_id=sku_id), actor=person)
        with pytest.raises(SamePerson):
            shelf.do(FailSkuReview(sku_id=sku_id, reasons=("no",)), actor=person)
    shelf.do(PassSkuReview(sku_id=sku_id), actor=SECOND)
    assert shelf.sku(sku_id).status is SkuStatus.READY


def test_a_shop_of_one_reviews_its_own_articles_once_its_policy_says_so(shelf: Shelf) -> None:
    shelf.do(SetPolicy(store_id=shelf.store_id, kind="second_person", params={"sku_review": False}))
    sku_id = review(shelf)
    shelf.do(PassSkuReview(sku_id=sku_id), actor=EDITOR)
    assert shelf.sku(sku_id).status is SkuStatus.READY


def test_prohibited_goods_are_listed_again_only_after_a_second_person_passed_them(shelf: Shelf) -> None:
    sku_id = prohibited(shelf)
    with pytest.raises(ProhibitedGoods):
        shelf.do(ListSku(sku_id=sku_id))
    shelf.do(SubmitSku(sku_id=sku_id), actor=EDITOR)
    shelf.do(FailSkuReview(sku_id=sku_id, reasons=("still",), prohibited=True), actor=SECOND)
    assert shelf.sku(sku_id).prohibited
    shelf.do(SubmitSku(sku_id=sku_id), actor=EDITOR)
    shelf.do(PassSkuReview(sku_id=sku_id), actor=SECOND)
    shelf.do(ListSku(sku_id=sku_id))
    assert shelf.sku(sku_id).listings[shelf.store_id].listed


# Listing -------------------------------------------------------------------------------------------------------------


def test_an_article_is_not_listed_in_a_store_that_does_not_sell(shelf: Shelf) -> None:
    sku_id = delisted(shelf)
    shelf.do(SuspendStore(store_id=shelf.store_id, reason="banned"))
    with pytest.raises(StoreNotOpen):
        shelf.do(ListSku(sku_id=sku_id))


def test_a_branded_article_needs_the_brand_s_authorisation_on_the_day(shelf: Shelf) -> None:
    shelf.do(SetPolicy(store_id=shelf.store_id, kind="platform_terms", params={"brand_authorisation_required": True}))
    sku_id = shelf.article("MUG", brand="Brandt")
    shelf.receive(sku_id, 5)
    with pytest.raises(BrandNotAuthorised):
        shelf.do(ListSku(sku_id=sku_id))
    shelf.do(
        SubmitStoreDocument(
            store_id=shelf.store_id,
            kind=DocumentKind.BRAND_AUTHORISATION,
            brand="Brandt",
            valid_until=date(2024, 12, 31),
        )
    )
    with pytest.raises(BrandNotAuthorised):
        shelf.do(ListSku(sku_id=sku_id), at=datetime(2025, 1, 2, tzinfo=UTC))
    shelf.do(ListSku(sku_id=sku_id))
    assert shelf.sku(sku_id).listings[shelf.store_id].listed


def test_a_category_that_needs_a_licence_is_listed_with_it_only(shelf: Shelf) -> None:
    shelf.do(SetPolicy(store_id=shelf.store_id, kind="platform_terms", params={"licensed_categories": ["food"]}))
    sku_id = shelf.article("JAM", category="food")
    shelf.receive(sku_id, 5)
    with pytest.raises(LicenceMissing):
        shelf.do(ListSku(sku_id=sku_id))
    shelf.do(SubmitStoreDocument(store_id=shelf.store_id, kind=DocumentKind.CATEGORY_LICENCE, categories=("food",)))
    shelf.do(ListSku(sku_id=sku_id))
    assert shelf.sku(sku_id).listings[shelf.store_id].listed


@pytest.mark.parametrize("mode", [mode for mode in FulfilmentMode if mode is not FulfilmentMode.STOCKED])
def test_an_article_without_stock_of_its_own_is_sold_without_any_and_moves_none(
    shelf: Shelf, mode: FulfilmentMode
) -> None:
    sku_id = shelf.article("POST", mode=mode)
    shelf.do(ListSku(sku_id=sku_id))
    assert shelf.order(sku_id, ORDER, 1000) == []
    shelf.sku(sku_id).require_reserved(ORDER, Decimal(1000))
    assert shelf.ship(sku_id, ORDER, 1000) == []
    back = StockCondition.GOOD
    here = shelf.location_ids[0]
    assert shelf.act(sku_id, lambda sku: sku.take_back(ORDER, shelf.store_id, here, Decimal(1), back, shelf.now)) == []
    with pytest.raises(HoldsNoStock):
        shelf.receive(sku_id, 1)


def test_one_article_is_listed_and_priced_in_two_stores_with_stock_in_each(shelf: Shelf) -> None:
    sku_id = shelf.on_sale()
    other = shelf.open_store("Second shop", currency="GBP")
    with pytest.raises(NoSellableStock):
        shelf.do(ListSku(sku_id=sku_id, store_id=other))
    shelf.do(ReceiveStock(sku_id=sku_id, store_id=other, location_id=shelf.location(other), quantity=Decimal(3)))
    assert shelf.sku(sku_id).price_for(other) == Decimal("9.95")
    shelf.do(PriceSku(sku_id=sku_id, store_id=other, list_price=Decimal("10.5"), reason="city"))
    shelf.do(ListSku(sku_id=sku_id, store_id=other))
    sku = shelf.sku(sku_id)
    assert (sku.price_for(shelf.store_id), sku.price_for(other)) == (Decimal("9.95"), Decimal("10.5"))
    assert sku.listings[other].listed


def test_an_article_is_neither_priced_nor_listed_in_a_store_of_another_currency(shelf: Shelf) -> None:
    sku_id = shelf.on_sale()
    abroad = shelf.open_store("Laden", currency="EUR")
    for command in (
        PriceSku(sku_id=sku_id, store_id=abroad, list_price=Decimal(9), reason="abroad"),
        SetTierPrices(sku_id=sku_id, store_id=abroad, tiers=()),
        ListSku(sku_id=sku_id, store_id=abroad),
    ):
        with pytest.raises(CurrencyMismatch):
            shelf.do(command)


def test_staff_of_one_store_cannot_touch_articles_of_another_except_in_their_own_store(shelf: Shelf) -> None:
    sku_id = shelf.on_sale()
    other = shelf.open_store("Second shop", currency="GBP")
    theirs = Actor(id="tom", role=Role.MANAGER, stores=frozenset({other}))
    with pytest.raises(NotFound):
        shelf.do(SetSkuContent(sku_id=sku_id, title="Mine"), actor=theirs)
    with pytest.raises(NotFound):
        shelf.do(PriceSku(sku_id=sku_id, store_id=shelf.store_id, list_price=Decimal(1), reason="x"), actor=theirs)
    with pytest.raises(NotFound):
        shelf.do(
            ReceiveStock(sku_id=sku_id, store_id=other, location_id=shelf.location_ids[0], quantity=Decimal(1)),
            actor=theirs,
        )
    shelf.do(PriceSku(sku_id=sku_id, store_id=other, list_price=Decimal(12), reason="ours"), actor=theirs)
    assert shelf.sku(sku_id).price_for(other) == 12


def test_an_article_with_stock_in_a_running_campaign_goes_off_sale_for_safety_only() -> None:
    shelf = Shelf(campaigns=1)
    sku_id = shelf.on_sale()
    (campaign_id,) = shelf.campaign_ids
    allocate(shelf, sku_id, 5)
    shelf.run(campaign_id)
    for reason in (DelistReason.MANUAL, DelistReason.SEASON, DelistReason.SUPPLIER):
        with pytest.raises(InLiveCampaign):
            shelf.do(DelistSku(sku_id=sku_id, reason=reason))
    shelf.do(DelistSku(sku_id=sku_id, reason=DelistReason.COMPLIANCE))
    assert not shelf.sku(sku_id).listings[shelf.store_id].listed


def test_an_article_goes_off_sale_by_choice_once_its_campaign_is_over() -> None:
    shelf = Shelf(campaigns=1)
    sku_id = shelf.on_sale()
    (campaign_id,) = shelf.campaign_ids
    allocate(shelf, sku_id, 5)
    shelf.run(campaign_id)
    shelf.do(EndCampaign(campaign_id=campaign_id))
    with pytest.raises(WrongState):
        allocate(shelf, sku_id, 1)
    shelf.do(DelistSku(sku_id=sku_id, reason=DelistReason.MANUAL))
    assert not shelf.sku(sku_id).listings[shelf.store_id].listed
    assert shelf.sku(sku_id).sellable == 10


def test_goods_are_called_prohibited_for_compliance_or_by_a_recall_only(shelf: Shelf) -> None:
    sku_id = shelf.on_sale()
    for reason in (DelistReason.MANUAL, DelistReason.OUT_OF_STOCK):
        with pytest.raises(InvalidField):
            shelf.do(DelistSku(sku_id=sku_id, reason=reason, prohibited=True))


def test_an_article_that_somebody_still_waits_for_is_not_retired(shelf: Shelf) -> None:
    sku_id = shelf.on_sale(stock=1)
    shelf.order(sku_id, ORDER, 1)
    with pytest.raises(OpenReservations):
        shelf.do(RetireSku(sku_id=sku_id))
    shelf.ship(sku_id, ORDER, 1)
    shelf.do(RetireSku(sku_id=sku_id))
    with pytest.raises(WrongState):
        shelf.receive(sku_id, 1)


def test_an_article_that_is_under_way_between_locations_is_not_retired() -> None:
    shelf = Shelf(locations=2)
    sku_id = shelf.article()
    shelf.receive(sku_id, 2)
    here, there = shelf.location_ids
    shelf.do(TransferStock(sku_id=sku_id, location_id=here, to_location_id=there, quantity=Decimal(2)))
    with pytest.raises(StockLeft):
        shelf.do(RetireSku(sku_id=sku_id))


# Prices --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("price", "cost", "market", "refusal"),
    [
        ("10", "8", "12", None),
        ("8", "8", "12", None),
        ("12", "8", "12", None),
        ("7.999999", "8", "12", BelowCost),
        ("12.000001", "8", "12", AboveMarket),
        ("1000", "8", None, None),
        ("0", None, None, None),
        ("-1", None, None, InvalidField),
        ("1.0000001", None, None, InvalidField),
        ("NaN", None, None, InvalidField),
    ],
)
def test_a_list_price_lies_between_cost_and_market_price(
    shelf: Shelf, price: str, cost: str | None, market: str | None, refusal: type[Refusal] | None
) -> None:
    sku_id = shelf.draft()
    fields = {"cost": cost, "market_price": market}
    given = {name: Decimal(value) for name, value in fields.items() if value is not None}
    if refusal is None:
        shelf.price(sku_id, price, **given)
        assert shelf.sku(sku_id).price_for(shelf.store_id) == Decimal(price)
    else:
        with pytest.raises(refusal):
            shelf.price(sku_id, price, **given)


def test_a_price_outside_the_guard_needs_a_manager_who_is_not_the_editor_and_a_reason(shelf: Shelf) -> None:
    sku_id = shelf.draft()
    cheap = PriceSku(sku_id=sku_id, list_price=Decimal(5), cost=Decimal(8), reason="clearance")
    approved = PriceSku(
        sku_id=sku_id, list_price=Decimal(5), cost=Decimal(8), reason="clearance", override_reason="end of line"
    )
    with pytest.raises(BelowCost):
        shelf.do(cheap, actor=MANAGER)
    with pytest.raises(NotAuthorised):
        shelf.do(approved, actor=Actor(id="eve", role=Role.EDITOR))
    shelf.price(sku_id, "9")
    (event,) = shelf.records(approved, actor=MANAGER)
    assert isinstance(event, SkuPriced)
    assert (event.editor, event.approver, event.override_reason) == (EDITOR.id, MANAGER.id, "end of line")
    assert (event.old_list_price, event.list_price, event.expected_profit) == (9, 5, -3)


def test_a_manager_who_edited_the_article_last_cannot_approve_its_price(shelf: Shelf) -> None:
    sku_id = shelf.draft()
    shelf.do(SetSkuContent(sku_id=sku_id, title="Lamp"), actor=MANAGER)
    command = PriceSku(sku_id=sku_id, list_price=Decimal(5), cost=Decimal(8), reason="sale", override_reason="yes")
    with pytest.raises(SamePerson):
        shelf.do(command, actor=MANAGER)
    shelf.do(command, actor=SECOND)
    assert shelf.sku(sku_id).price_for(shelf.store_id) == 5


def test_the_price_guard_is_a_policy_of_the_store(shelf: Shelf) -> None:
    sku_id = shelf.draft()
    shelf.do(SetPolicy(store_id=shelf.store_id, kind="price_guard", params={"cost_is_floor": False}))
    shelf.price(sku_id, "5", cost=Decimal(8))
    assert shelf.sku(sku_id).price_for(shelf.store_id) == 5


def test_a_cost_plus_price_is_cost_plus_expected_profit(shelf: Shelf) -> None:
    sku_id = shelf.draft()
    plus = PriceSku(sku_id=sku_id, cost=Decimal("8.10"), expected_profit=Decimal("1.85"), reason="cost plus")
    (event,) = shelf.records(plus)
    assert (event.list_price, event.cost, event.expected_profit) == (  # type: ignore[attr-defined]
        Decimal("9.95"),
        Decimal("8.1"),
        Decimal("1.85"),
    )
    with pytest.raises(InvalidField):
        shelf.do(PriceSku(sku_id=sku_id, reason="nothing said"))
    with pytest.raises(InvalidField):
        shelf.price(sku_id, "9", cost=Decimal(8), expected_profit=Decimal(2))


def test_a_price_is_measured_against_the_last_known_cost_and_market_price(shelf: Shelf) -> None:
    sku_id = shelf.draft()
    shelf.price(sku_id, "9", cost=Decimal(8), market_price=Decimal(10))
    with pytest.raises(AboveMarket):
        shelf.price(sku_id, "11")
    shelf.receive(sku_id, 5, unit_cost=Decimal("9.5"))
    with pytest.raises(BelowCost):
        shelf.price(sku_id, "9.4")


def test_the_same_price_twice_is_recorded_once(shelf: Shelf) -> None:
    sku_id = shelf.draft()
    command = PriceSku(sku_id=sku_id, list_price=Decimal("9.50"), reason="start")
    assert len(shelf.records(command)) == 1
    assert shelf.records(command) == []


def test_a_member_pays_the_lowest_price_of_the_tiers_held(shelf: Shelf) -> None:
    tiers = [{"name": "silver"}, {"name": "gold"}, {"name": "staff"}]
    shelf.do(SetPolicy(store_id=shelf.store_id, kind="membership", params={"tiers": tiers}))
    sku_id = shelf.draft()
    shelf.price(sku_id, "199.00")
    entries = (
        TierPriceEntry(tier="silver", factor=Decimal("0.98")),
        TierPriceEntry(tier="gold", price=Decimal(190)),
    )
    shelf.do(SetTierPrices(sku_id=sku_id, tiers=entries))
    assert shelf.records(SetTierPrices(sku_id=sku_id, tiers=entries)) == []
    sku = shelf.sku(sku_id)
    assert sku.tier_price(shelf.store_id, ["silver"]) == (Decimal("195.02"), "silver")
    assert sku.tier_price(shelf.store_id, ["silver", "gold"]) == (Decimal(190), "gold")
    assert sku.tier_price(shelf.store_id, ["staff"]) is None
    shelf.price(sku_id, "180.00")
    assert shelf.sku(sku_id).tier_price(shelf.store_id, ["gold"]) is None
    shelf.do(SetTierPrices(sku_id=sku_id, tiers=()))
    assert shelf.sku(sku_id).tier_price(shelf.store_id, ["silver"]) is None


@pytest.mark.parametrize(
    ("entries", "refusal"),
    [
        ((TierPriceEntry(tier="platinum", factor=Decimal("0.9")),), TierUnknown),
        ((TierPriceEntry(tier="member", factor=Decimal("0.9")),) * 2, TierUnknown),
        ((TierPriceEntry(tier="member", factor=Decimal("1.1")),), InvalidField),
        ((TierPriceEntry(tier="member", factor=Decimal(0)),), InvalidField),
        ((TierPriceEntry(tier="member"),), InvalidField),
        ((TierPriceEntry(tier="member", price=Decimal(9), factor=Decimal("0.9")),), InvalidField),
        ((TierPriceEntry(tier="member", price=Decimal("7.99")),), BelowCost),
        ((TierPriceEntry(tier="member", factor=Decimal("0.5")),), BelowCost),
    ],
)
def test_a_tier_price_that_cannot_be_is_refused(
    shelf: Shelf, entries: tuple[TierPriceEntry, ...], refusal: type[Refusal]
) -> None:
    sku_id = shelf.draft()
    shelf.price(sku_id, "10", cost=Decimal(8))
    with pytest.raises(refusal):
        shelf.do(SetTierPrices(sku_id=sku_id, tiers=entries))
    assert shelf.sku(sku_id).tier_prices == {}


def test_an_article_without_a_price_has_no_tier_prices(shelf: Shelf) -> None:
    with pytest.raises(PriceMissing):
        shelf.do(SetTierPrices(sku_id=shelf.draft(), tiers=()))


# What orders do ------------------------------------------------------------------------------------------------------


def test_the_last_unit_ordered_takes_the_article_off_sale_in_the_same_decision(shelf: Shelf) -> None:
    sku_id = shelf.on_sale(stock=1)
    placed = shelf.order(sku_id, ORDER, 1)
    assert names(placed) == ["StockReserved", "StockDepleted", "SkuDelisted"]
    assert placed[2].reason is DelistReason.OUT_OF_STOCK  # type: ignore[attr-defined]
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
    assert [event.quantity for event in shelf.ship(sku_id, ORDER, 3)] == [3]  # type: ignore[attr-defined]
    assert [event.quantity for event in shelf.cancel(sku_id, ORDER)] == [1]  # type: ignore[attr-defined]
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
    assert [(event.location_id, event.quantity) for event in shipped] == [  # type: ignore[attr-defined]
        (shelf.location_ids[1], 2),
        (shelf.location_ids[0], 1),
    ]


def test_units_that_come_back_in_bad_condition_are_never_sold(shelf: Shelf) -> None:
    sku_id = shelf.article()
    here = shelf.location_ids[0]
    for condition in StockCondition:
        shelf.do(TakeBackStock(sku_id=sku_id, location_id=here, quantity=Decimal(1), condition=condition))
    sku = shelf.sku(sku_id)
    assert (sku.on_hand, sku.sellable, sku.level_at(here).damaged) == (3, 1, 2)
    with pytest.raises(StockInsufficient):
        sku.plan_reservation(Decimal(2), shelf.location_ids)


# Campaign stock ------------------------------------------------------------------------------------------------------


def allocate(shelf: Shelf, sku_id: UUID, quantity: int) -> None:
    shelf.do(
        AllocateCampaignStock(
            sku_id=sku_id,
            campaign_id=shelf.campaign_ids[0],
            location_id=shelf.location_ids[0],
            quantity=Decimal(quantity),
        )
    )


def test_a_campaign_sells_its_quota_and_no_more_and_others_cannot_have_it() -> None:
    shelf = Shelf(campaigns=1)
    sku_id = shelf.on_sale(stock=10)
    (campaign_id,) = shelf.campaign_ids
    allocate(shelf, sku_id, 4)
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
    allocate(shelf, sku_id, 4)
    shelf.order(sku_id, ORDER, 4, campaign_id=campaign_id)
    shelf.cancel(sku_id, ORDER, Decimal(1))
    assert shelf.sku(sku_id).allocations[campaign_id] == {shelf.location_ids[0]: 1}
    closing = shelf.records(ReleaseCampaignStock(sku_id=sku_id, campaign_id=campaign_id))
    assert [(event.quantity, event.closes) for event in closing] == [(1, True)]  # type: ignore[attr-defined]
    (released,) = shelf.cancel(sku_id, ORDER)
    assert isinstance(released, ReservationReleased)
    assert (released.campaign_id, released.to_quota) == (campaign_id, False)
    assert shelf.sku(sku_id).sellable == 10


def test_a_sold_out_quota_is_closed_without_units_and_closing_twice_records_once() -> None:
    shelf = Shelf(campaigns=1)
    sku_id = shelf.on_sale(stock=10)
    (campaign_id,) = shelf.campaign_ids
    allocate(shelf, sku_id, 4)
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
        allocate(shelf, stranger, 1)


def test_campaign_stock_is_released_as_far_as_it_is_there() -> None:
    shelf = Shelf(campaigns=1)
    sku_id = shelf.on_sale()
    (campaign_id,) = shelf.campaign_ids
    (here,) = shelf.location_ids
    with pytest.raises(StockInsufficient):
        allocate(shelf, sku_id, 11)
    allocate(shelf, sku_id, 4)
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
