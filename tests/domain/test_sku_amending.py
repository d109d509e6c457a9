"""An article's card can be corrected, and a store can go by another name; what was agreed before keeps what it says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from opscore.domain.refusals import InvalidField, ReferenceTaken, SamePerson, WrongState
from opscore.domain.sku import Sku
from opscore.domain.sku_amending import AmendSku
from opscore.domain.sku_commands import (
    ListSku,
    PassSkuReview,
    PriceSku,
    RetireSku,
    SpecificationItem,
    SubmitSku,
)
from opscore.domain.stock_commands import ReceiveStock
from opscore.domain.store import Store
from opscore.domain.store_commands import AddLocation, ApplyForStore, CloseStore, SubmitStoreDocument
from opscore.domain.store_events import (
    BrandNotAuthorised,
    CategoryOutOfScope,
    DocumentExpired,
    DocumentKind,
    DocumentMissing,
    LicenceMissing,
    StoreRenamed,
)
from opscore.domain.store_profile import RenameStore
from opscore.domain.values import derived_id
from tests.domain.desk import OWNER, SECOND, Desk
from tests.domain.shelf import EDITOR, Shelf, state_of

CARD: dict[str, Any] = {
    "name": "Mug, large", "category": "kitchen", "brand": "Acme", "min_order_quantity": Decimal(2),
    "specification": (SpecificationItem(name="colour", value="red"),),
    "season_end": datetime(2024, 9, 1, tzinfo=UTC),
}  # fmt: skip
LICENCE = f"no-{DocumentKind.BUSINESS_LICENCE}"
"""The number of the licence with which a desk opens its stores."""


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def test_everything_that_was_entered_wrongly_is_corrected_and_what_goods_are_counted_by_stays(shelf: Shelf) -> None:
    sku_id = shelf.draft("MUG")
    before = shelf.get(Sku, sku_id)
    stays = (before.code, before.unit, before.quantity_places, before.mode, before.currency)
    shelf.do(AmendSku(sku_id=sku_id, **CARD), actor=EDITOR)
    sku = shelf.get(Sku, sku_id)
    assert (sku.name, sku.category, sku.brand, sku.min_order_quantity) == ("Mug, large", "kitchen", "Acme", Decimal(2))
    assert (sku.specification, sku.season_end) == ({"colour": "red"}, CARD["season_end"])
    assert (sku.code, sku.unit, sku.quantity_places, sku.mode, sku.currency) == stays
    assert sku.edited_by == EDITOR.id
    count = len(shelf.events)
    shelf.do(AmendSku(sku_id=sku_id, **CARD))
    assert len(shelf.events) == count, "asked twice, recorded once"
    # All of it is said each time: what is left out is gone.
    shelf.do(AmendSku(sku_id=sku_id, name="Mug", category="kitchen"))
    sku = shelf.get(Sku, sku_id)
    assert (sku.brand, sku.min_order_quantity, sku.specification, sku.season_end) == (None, Decimal(1), {}, None)


def test_who_corrected_an_article_last_does_not_review_it(shelf: Shelf) -> None:
    sku_id = shelf.draft("MUG")
    shelf.describe(sku_id)
    shelf.do(PriceSku(sku_id=sku_id, list_price=Decimal(5), cost=Decimal(2), reason="first price"))
    shelf.do(AmendSku(sku_id=sku_id, **CARD | {"brand": None}), actor=SECOND)
    shelf.do(SubmitSku(sku_id=sku_id))
    with pytest.raises(WrongState):
        shelf.do(AmendSku(sku_id=sku_id, **CARD))
    with pytest.raises(SamePerson):
        shelf.do(PassSkuReview(sku_id=sku_id), actor=OWNER)


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_order_quantity": Decimal(0)},
        {"min_order_quantity": Decimal("1.5")},
        {"min_order_quantity": Decimal("NaN")},
        {"specification": (SpecificationItem(name="a", value="b"), SpecificationItem(name="a", value="c"))},
    ],
)
def test_a_card_that_contradicts_itself_is_refused(shelf: Shelf, wrong: dict[str, Any]) -> None:
    sku_id = shelf.draft("MUG")
    state = state_of(shelf.get(Sku, sku_id))
    with pytest.raises(InvalidField):
        shelf.do(AmendSku(sku_id=sku_id, **CARD | wrong))
    assert state_of(shelf.get(Sku, sku_id)) == state


def test_a_retired_article_stays_as_it_was(shelf: Shelf) -> None:
    sku_id = shelf.draft("MUG")
    shelf.do(RetireSku(sku_id=sku_id))
    with pytest.raises(WrongState):
        shelf.do(AmendSku(sku_id=sku_id, **CARD))


class OnTmall(Shelf):
    """An article without a brand that is on sale in a store whose platform asks for papers."""

    def __init__(self) -> None:
        super().__init__()
        self.tmall = self.open_store("On Tmall", platform="tmall")
        self.do(AddLocation(store_id=self.tmall, name="Warehouse"))
        self.mug = self.draft("MUG", store_id=self.tmall, category="gifts")
        self.describe(self.mug)
        self.do(PriceSku(sku_id=self.mug, list_price=Decimal(5), cost=Decimal(2), reason="first price"))
        location = derived_id("location", self.tmall, "Warehouse", 0)
        self.do(ReceiveStock(sku_id=self.mug, location_id=location, quantity=Decimal(9)))
        self.do(SubmitSku(sku_id=self.mug))
        self.do(PassSkuReview(sku_id=self.mug), actor=SECOND)

    def file(self, kind: DocumentKind, **terms: Any) -> None:
        self.do(SubmitStoreDocument(store_id=self.tmall, kind=kind, **terms))

    def amend(self, **card: Any) -> None:
        self.do(AmendSku(sku_id=self.mug, **{"name": "Mug", "category": "gifts", **card}))


def test_where_an_article_is_on_sale_the_papers_have_to_allow_what_it_becomes() -> None:
    shelf = OnTmall()
    shelf.amend(category="food", brand="Lumen")
    shelf.amend()
    shelf.do(ListSku(sku_id=shelf.mug))
    with pytest.raises(LicenceMissing):
        shelf.amend(category="food")
    with pytest.raises(BrandNotAuthorised):
        shelf.amend(brand="Lumen")
    shelf.amend(name="Mug with a handle")
    shelf.file(DocumentKind.BRAND_AUTHORISATION, brand="Lumen")
    shelf.amend(brand="Lumen")
    shelf.file(DocumentKind.BUSINESS_LICENCE, number=LICENCE, categories=("gifts",))
    with pytest.raises(CategoryOutOfScope):
        shelf.amend(category="toys", brand="Lumen")


def test_nothing_is_listed_once_the_business_licence_has_run_out() -> None:
    shelf = OnTmall()
    day = shelf.now.date() + timedelta(days=30)
    shelf.file(DocumentKind.BUSINESS_LICENCE, number=LICENCE, valid_until=day)
    store = shelf.get(Store, shelf.tmall)
    store.require_may_list("gifts", None, shelf.now)
    with pytest.raises(DocumentExpired) as expired:
        store.require_may_list("gifts", None, shelf.now + timedelta(days=32))
    assert str(day) in str(expired.value)
    with pytest.raises(DocumentExpired):
        shelf.do(ListSku(sku_id=shelf.mug), at=shelf.now + timedelta(days=32))
    # What is on sale can still be called by its right name, and goods that need no new paper stay what they are.
    shelf.file(DocumentKind.BUSINESS_LICENCE, number="next")
    shelf.do(ListSku(sku_id=shelf.mug))


def test_a_store_that_never_filed_the_licence_that_its_platform_wants_lists_nothing() -> None:
    desk = Desk()
    store_id = desk.do(ApplyForStore(name="Gifts", operator="Acme Ltd", platform="tmall"))
    with pytest.raises(DocumentMissing):
        desk.get(Store, store_id).require_may_list("gifts", None, desk.now)


# A store's name ------------------------------------------------------------------------------------------------------


def test_a_store_goes_by_another_name_and_the_old_one_is_free_again() -> None:
    desk = Desk()
    first, other = (desk.open_store(name=name, platform="own", currency="GBP") for name in ("First", "Other"))
    with pytest.raises(ReferenceTaken):
        desk.do(RenameStore(store_id=first, name="Other"))
    desk.do(RenameStore(store_id=first, name="Gifts"))
    renamed = desk.last(StoreRenamed)
    assert (desk.get(Store, first).name, renamed.name, renamed.old_name) == ("Gifts", "Gifts", "First")
    count = len(desk.events)
    desk.do(RenameStore(store_id=first, name="Gifts"))
    assert len(desk.events) == count, "asked twice, recorded once"
    desk.do(RenameStore(store_id=other, name="First"))
    desk.do(RenameStore(store_id=first, name="Other"))
    assert [desk.get(Store, each).name for each in (first, other)] == ["Other", "First"]


def test_a_closed_store_keeps_its_name() -> None:
    desk = Desk()
    store_id = desk.open_store(platform="own", currency="GBP")
    desk.do(CloseStore(store_id=store_id, reason="over"))
    with pytest.raises(WrongState):
        desk.do(RenameStore(store_id=store_id, name="Again"))
