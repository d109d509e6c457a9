"""The hero articles of a store: 3 to 5 that are on sale there, named for a month that is not over."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from opscore.domain.command import Actor, Role
from opscore.domain.refusals import InvalidField, NotAuthorised, NotFound, Refusal, WrongState
from opscore.domain.sku_commands import DelistSku
from opscore.domain.sku_events import DelistReason, SkuNotListed
from opscore.domain.store import Store
from opscore.domain.store_commands import ClosePeriod, CloseStore
from opscore.domain.store_heroes import SetHeroSkus
from opscore.domain.store_plan_events import HeroCountOutOfRange, PeriodSettled
from opscore.domain.store_plan_state import heroes_on
from tests.domain.shelf import Shelf

APRIL, MAY, JUNE, JULY = (date(2024, month, 1) for month in (4, 5, 6, 7))


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def goods(shelf: Shelf) -> list[UUID]:
    """Six articles on sale in the store."""
    return [shelf.on_sale(f"LAMP-{number}") for number in range(6)]


def name(shelf: Shelf, month: date, *sku_ids: UUID, at: datetime | None = None, **more: Any) -> None:
    shelf.do(SetHeroSkus(store_id=shelf.store_id, month=month, sku_ids=sku_ids), at=at, **more)


def refused(shelf: Shelf, kind: type[Refusal], month: date, *sku_ids: UUID, **more: Any) -> Refusal:
    with pytest.raises(kind) as said:
        name(shelf, month, *sku_ids, **more)
    return said.value


def test_a_list_holds_until_the_next_and_each_is_recorded_once(shelf: Shelf, goods: list[UUID]) -> None:
    since = len(shelf.events)
    name(shelf, MAY, *goods[:3])
    name(shelf, MAY, *goods[:3])
    name(shelf, JULY, *goods[:5])
    name(shelf, MAY, *goods[1:4])
    name(shelf, MAY, *reversed(goods[1:4]))

    assert shelf.recorded(since=since) == ["HeroSkusSet"] * 4, "another order of the same is another word"
    plans = shelf.get(Store, shelf.store_id).plans
    assert plans.hero_skus == {"2024-05-01": tuple(reversed(goods[1:4])), "2024-07-01": tuple(goods[:5])}
    held = [heroes_on(plans, day) for day in (APRIL, MAY, date(2024, 6, 30), JULY, date(2025, 1, 1))]
    may, july = plans.hero_skus.values()
    assert held == [(), may, may, july, july]


def test_fewer_than_three_more_than_five_and_doubles_are_refused(shelf: Shelf, goods: list[UUID]) -> None:
    for sku_ids in ([], goods[:2], goods[:6], [goods[0], goods[1], goods[0]], [goods[0]] * 4):
        said = refused(shelf, HeroCountOutOfRange, MAY, *sku_ids)
        assert (said.CODE, said.path) == ("HERO_COUNT_OUT_OF_RANGE", ("sku_ids",))
        assert f"3 to 5 different hero articles, and these are {len(set(sku_ids))}" in said.message
    twice = refused(shelf, InvalidField, MAY, *goods[:3], goods[1])
    assert (twice.path, twice.ids) == (("sku_ids", 3), (goods[1],))
    name(shelf, MAY, *goods[:3])
    name(shelf, MAY, *goods[:5])


def test_what_is_not_on_sale_in_the_store_is_no_hero(shelf: Shelf, goods: list[UUID]) -> None:
    name(shelf, MAY, *goods[:3])
    shelf.do(DelistSku(sku_id=goods[1], reason=DelistReason.SEASON))
    draft, other = shelf.draft("DRAFT"), shelf.open_store("Elsewhere", currency="GBP")

    off_sale = refused(shelf, SkuNotListed, JUNE, *goods[:3])
    assert (off_sale.CODE, off_sale.path, off_sale.ids) == ("SKU_NOT_LISTED", ("sku_ids", 1), (goods[1],))
    assert refused(shelf, SkuNotListed, JUNE, goods[0], goods[2], draft).path == ("sku_ids", 2)
    unknown = refused(shelf, NotFound, JUNE, goods[0], goods[2], uuid4())
    assert unknown.path == ("sku_ids", 2)
    with pytest.raises(SkuNotListed):
        shelf.do(SetHeroSkus(store_id=other, month=JUNE, sku_ids=(goods[0], goods[2], goods[3])))
    since = len(shelf.events)
    name(shelf, MAY, *goods[:3])
    assert shelf.recorded(since=since) == [], "what was said before it went off sale is on record already"


def test_the_past_is_not_named_anew(shelf: Shelf, goods: list[UUID]) -> None:
    assert refused(shelf, PeriodSettled, APRIL, *goods[:3]).path == ("month",)
    assert refused(shelf, InvalidField, date(2024, 5, 2), *goods[:3]).path == ("month",)
    # Midnight in the store's zone comes eight hours earlier.
    name(shelf, MAY, *goods[:3], at=datetime(2024, 5, 31, 15, 59, tzinfo=UTC))
    refused(shelf, PeriodSettled, MAY, *goods[:4], at=datetime(2024, 5, 31, 16, tzinfo=UTC))
    closed = ClosePeriod(store_id=shelf.store_id, through=date(2024, 5, 31), reason="month")
    shelf.do(closed, at=datetime(2024, 6, 9, tzinfo=UTC))
    refused(shelf, PeriodSettled, MAY, *goods[:4], at=datetime(2024, 5, 20, tzinfo=UTC))
    name(shelf, JUNE, *goods[:4], at=datetime(2024, 6, 9, tzinfo=UTC))


def test_a_closed_store_names_none(shelf: Shelf, goods: list[UUID]) -> None:
    shelf.do(CloseStore(store_id=shelf.store_id, reason="moved"))
    refused(shelf, WrongState, MAY, *goods[:3])


def test_who_runs_campaigns_names_heroes() -> None:
    for role in (Role.OWNER, Role.MANAGER, Role.PROMOTER):
        SetHeroSkus.require_role(Actor(id="x", role=role))
    for role in (Role.SERVICE, Role.WAREHOUSE, Role.FINANCE, Role.EDITOR, Role.STOREFRONT):
        with pytest.raises(NotAuthorised):
            SetHeroSkus.require_role(Actor(id="x", role=role))
