"""The hero articles of a store: the few that it is about to sell most of, named for a month.

A list is said before its month is over and holds until the next one; what it says of the past is never said anew, so
that what heroes sold is told by the list that was on record when an order came.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, ClassVar, Final
from uuid import UUID

from msgspec import Meta

from opscore.domain.aggregate import Aggregate
from opscore.domain.campaign_commands import PROMOTERS
from opscore.domain.command import Command, Role, UnitOfWork
from opscore.domain.refusals import InvalidField, Refusal
from opscore.domain.sku import Sku, SkuNotListed
from opscore.domain.store import Store
from opscore.domain.store_commands import StoreId
from opscore.domain.store_plan_events import HeroCountOutOfRange, HeroSkusSet, PeriodSettled
from opscore.domain.store_plans import Month, require_not_settled

LEAST_HEROES: Final = 3
MOST_HEROES: Final = 5

# What may happen next ------------------------------------------------------------------------------------------------


def require_hero_count(sku_ids: tuple[UUID, ...]) -> None:
    """Refuse HeroCountOutOfRange unless they are 3 to 5 different ones, InvalidField for one that comes twice."""
    count = len(set(sku_ids))
    if not LEAST_HEROES <= count <= MOST_HEROES:
        raise HeroCountOutOfRange(least=LEAST_HEROES, most=MOST_HEROES, count=count, path=("sku_ids",))
    for index, sku_id in enumerate(sku_ids):
        if sku_id in sku_ids[:index]:
            raise InvalidField(why="this SKU is named twice", path=("sku_ids", index), ids=[sku_id])


def set_hero_skus(store: Store, month: date, skus: list[Sku], at: datetime) -> None:
    """Name the hero articles of a month that is not over. Asked twice, recorded once.

    Refuses: WrongState (the store is closed), InvalidField (no first day), PeriodSettled, SkuNotListed.
    """
    store.require_not_closed()
    require_not_settled(store, month, at)
    sku_ids = tuple(sku.id for sku in skus)
    if store.plans.hero_skus.get(month.isoformat()) == sku_ids:
        return
    for index, sku in enumerate(skus):
        if store.id not in sku.offered_in:
            raise SkuNotListed(code=sku.code, path=("sku_ids", index), ids=[sku.id])
    store.trigger_event(HeroSkusSet, month=month, sku_ids=sku_ids, occurred_at=at)


# What may be asked for -----------------------------------------------------------------------------------------------


class SetHeroSkus(Command):
    """Name the 3 to 5 hero articles of a store for a month; they are so until the next list takes their place."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store
    ROLES: ClassVar[frozenset[Role]] = PROMOTERS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (HeroCountOutOfRange, SkuNotListed, PeriodSettled)

    store_id: StoreId
    month: Month
    sku_ids: Annotated[
        tuple[UUID, ...],
        Meta(max_length=100, description="The hero articles, the first one first; each is on sale in the store."),
    ]

    def decide(self, work: UnitOfWork) -> UUID:
        """Look each article up where the store has it on sale. Asked twice, recorded once."""
        store = work.store(self.store_id)
        require_hero_count(self.sku_ids)
        skus = [work.sku(sku_id, path=("sku_ids", index), seen=True) for index, sku_id in enumerate(self.sku_ids)]
        set_hero_skus(store, self.month, skus, work.occurred_at)
        return store.id
