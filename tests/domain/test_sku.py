"""An article's way to the shelf and off it, and its prices."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from opscore.domain.campaign_commands import EndCampaign
from opscore.domain.command import Actor, Command, Role
from opscore.domain.refusals import (
    CurrencyMismatch,
    InvalidField,
    NotAuthorised,
    NotFound,
    ReferenceTaken,
    Refusal,
    SamePerson,
    WrongState,
)
from opscore.domain.sku import DelistReason, FulfilmentMode, SkuStatus, StockCondition
from opscore.domain.sku_commands import (
    DelistSku,
    FailSkuReview,
    ListSku,
    PassSkuReview,
    PriceSku,
    RetireSku,
    SetSkuContent,
    SetTierPrices,
    SpecificationItem,
    SubmitSku,
    TierPriceEntry,
)
from opscore.domain.sku_events import (
    AboveMarket,
    BelowCost,
    ContentMissing,
    HoldsNoStock,
    InLiveCampaign,
    NoSellableStock,
    OpenReservations,
    PriceMissing,
    ProhibitedGoods,
    SkuNotListed,
    SkuPriced,
    StockLeft,
    TierBelowCost,
    TierUnknown,
)
from opscore.domain.stock_commands import (
    ReceiveStock,
    TransferStock,
)
from opscore.domain.store_commands import (
    SetPolicy,
    SubmitStoreDocument,
    SuspendStore,
)
from opscore.domain.store_events import (
    BrandNotAuthorised,
    DocumentKind,
    LicenceMissing,
    StoreNotOpen,
)
from tests.domain.desk import MANAGER, SECOND
from tests.domain.shelf import EDITOR, Shelf, state_of

ORDER = UUID(int=11)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


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


@pytest.mark.parametrize("allocated", [5, 0])
def test_an_article_of_a_running_campaign_goes_off_sale_for_safety_only(allocated: int) -> None:
    shelf = Shelf(campaigns=1)
    sku_id = shelf.on_sale()
    (campaign_id,) = shelf.campaign_ids
    if allocated:
        shelf.allocate(sku_id, allocated)
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
    shelf.allocate(sku_id, 5)
    shelf.run(campaign_id)
    shelf.do(EndCampaign(campaign_id=campaign_id))
    with pytest.raises(WrongState):
        shelf.allocate(sku_id, 1)
    shelf.do(DelistSku(sku_id=sku_id, reason=DelistReason.MANUAL))
    assert not shelf.sku(sku_id).listings[shelf.store_id].listed
    assert shelf.sku(sku_id).sellable == 10


def test_prohibited_goods_go_off_sale_in_every_store(shelf: Shelf) -> None:
    sku_id, other = listed(shelf), shelf.open_store("Other", currency="GBP")
    there = {"store_id": other, "location_id": shelf.location(other)}
    shelf.do(ReceiveStock(sku_id=sku_id, quantity=Decimal(1), **there))
    shelf.do(ListSku(sku_id=sku_id, store_id=other))
    events = shelf.records(DelistSku(sku_id=sku_id, reason=DelistReason.RECALL, note="sharp edge", prohibited=True))
    assert [(event.store_id, event.note) for event in events] == [
        (shelf.store_id, "sharp edge"), (other, "sharp edge")
    ]  # fmt: skip
    # So it may be in logs of earlier versions: prohibited, and on sale elsewhere.
    shelf.sku(sku_id).listings[other].listed = True
    with pytest.raises(SkuNotListed):
        shelf.sku(sku_id).require_orderable(other, Decimal(1))


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
    assert (event.list_price, event.cost, event.expected_profit) == (
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


def test_no_list_price_lets_holders_of_a_tier_pay_less_than_the_cost_unless_overridden(shelf: Shelf) -> None:
    sku_id = shelf.draft()
    shelf.price(sku_id, "20", cost=Decimal(10))
    half = (TierPriceEntry(tier="member", factor=Decimal("0.6")),)
    shelf.do(SetTierPrices(sku_id=sku_id, tiers=half))
    with pytest.raises(TierBelowCost) as refused:
        shelf.price(sku_id, "15")
    assert (refused.value.path, "pay 9, below the cost of 10" in str(refused.value)) == (("list_price",), True)
    shelf.price(sku_id, "16.67")
    sale = PriceSku(sku_id=sku_id, list_price=Decimal(15), reason="sale", override_reason="end of line")
    shelf.do(sale, actor=SECOND)
    shelf.do(SetPolicy(store_id=shelf.store_id, kind="price_guard", params={"cost_is_floor": False}))
    shelf.price(sku_id, "12")
    shelf.do(SetTierPrices(sku_id=sku_id, tiers=(TierPriceEntry(tier="member", factor=Decimal("0.5")),)))


def test_an_article_without_a_price_has_no_tier_prices(shelf: Shelf) -> None:
    with pytest.raises(PriceMissing):
        shelf.do(SetTierPrices(sku_id=shelf.draft(), tiers=()))
