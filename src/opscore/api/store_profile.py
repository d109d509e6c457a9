"""How a store shows itself and stands with its platform, as the API shows it."""

from __future__ import annotations

from datetime import datetime

import msgspec
import strawberry

from opscore.api.enums import expose
from opscore.domain import store as domain
from opscore.domain.store_profile_events import PriceLevel

expose(PriceLevel)


@strawberry.type(description="Whom a store is for, and what it mainly sells.")
class StorePositioning:
    price_level: PriceLevel = strawberry.field(description="How dear it means to be.")
    audience: str | None = strawberry.field(description="Whom it is for, in words.")
    age_from: int | None = strawberry.field(description="The youngest it is for, in years.")
    age_to: int | None = strawberry.field(description="The oldest it is for, in years.")
    main_category: str | None = strawberry.field(description="The category that it mainly sells.")


@strawberry.type(description="A penalty of the platform.")
class PlatformPenalty:
    kind: str = strawberry.field(description="What for, in the platform's words.")
    points: int = strawberry.field(description="Penalty points.")
    reason: str = strawberry.field(description="What happened.")
    imposed_at: datetime = strawberry.field(description="Since when it counts.")
    until: datetime | None = strawberry.field(description="Until when it counts; null for good.")


def positioning(store: domain.Store) -> StorePositioning | None:
    """Return whom a store is for; None while nobody has said."""
    known = store.profile.positioning
    return None if known is None else StorePositioning(**msgspec.structs.asdict(known))


def penalties(store: domain.Store) -> list[PlatformPenalty]:
    """Return the penalties of a store, oldest first."""
    return [PlatformPenalty(**msgspec.structs.asdict(each)) for each in store.profile.penalties]
