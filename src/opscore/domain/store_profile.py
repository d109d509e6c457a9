"""What may be said of how a store shows itself and stands with its platform; each change is on record."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, ClassVar
from uuid import UUID

import msgspec
from msgspec import Meta

from opscore.domain.aggregate import Aggregate
from opscore.domain.command import Command, Role, UnitOfWork
from opscore.domain.refusals import InvalidField, ReferenceTaken, Refusal
from opscore.domain.store import Store
from opscore.domain.store_commands import Moment, StoreId
from opscore.domain.store_events import StoreRenamed, StoreStatus, StoreSuspended
from opscore.domain.store_profile_events import (
    AgeRangeInvalid,
    PlatformPenaltyRecorded,
    Positioning,
    PriceLevel,
    StorePositioned,
    StoreProfileChanged,
)
from opscore.domain.values import Code, Label, Reason, Text

Age = Annotated[int, Meta(ge=0, le=150)]
Points = Annotated[int, Meta(ge=0, le=10**6)]

# What may happen next ------------------------------------------------------------------------------------------------


def position_store(store: Store, positioning: Positioning, at: datetime) -> None:
    """Say whom a store is for. Asked twice, recorded once. Refuses: WrongState (it is closed), AgeRangeInvalid."""
    store.require_not_closed()
    youngest, oldest = positioning.age_from, positioning.age_to
    if youngest is not None and oldest is not None and youngest > oldest:
        raise AgeRangeInvalid(age_from=youngest, age_to=oldest, path=("age_from",), ids=[store.id])
    if store.profile.positioning != positioning:
        store.trigger_event(StorePositioned, occurred_at=at, **msgspec.structs.asdict(positioning))


def change_profile(
    store: Store, logo_reference: str | None, announcement: str | None, introduction: str | None, at: datetime
) -> None:
    """Say what a store says of itself. Asked twice, recorded once. Refuses: WrongState (it is closed)."""
    store.require_not_closed()
    known = store.profile
    if (known.logo_reference, known.announcement, known.introduction) != (logo_reference, announcement, introduction):
        store.trigger_event(
            StoreProfileChanged,
            logo_reference=logo_reference,
            announcement=announcement,
            introduction=introduction,
            occurred_at=at,
        )


def penalise(
    store: Store, kind: str, points: int, until: datetime | None, reason: str, suspends: bool, at: datetime
) -> None:
    """Record a penalty of the platform; a ban suspends a store that sells, or lets it be suspended for longer.

    Refuses: InvalidField (a ban that is over).
    """
    if suspends and until is not None and until <= at:
        raise InvalidField(why="the ban would end before it begins", path=("until",))
    known = store.suspended_until
    end = known if known is not None and (until is None or known > until) else until
    longer = store.status is StoreStatus.SUSPENDED and end != known
    if suspends and (store.status is StoreStatus.OPEN or longer):
        store.trigger_event(StoreSuspended, reason=reason, until=end, occurred_at=at)
    store.trigger_event(PlatformPenaltyRecorded, kind=kind, points=points, until=until, reason=reason, occurred_at=at)


# What may be asked for -----------------------------------------------------------------------------------------------


class PositionStore(Command):
    """Say whom a store is for, and what it mainly sells; customers outside of that may buy all the same."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (AgeRangeInvalid,)

    store_id: StoreId
    price_level: Annotated[PriceLevel, Meta(description="How dear the store means to be.")]
    audience: Annotated[Label | None, Meta(description="Whom it is for, in words.")] = None
    age_from: Annotated[Age | None, Meta(description="The youngest it is for, in years.")] = None
    age_to: Annotated[Age | None, Meta(description="The oldest it is for, in years.")] = None
    main_category: Annotated[Code | None, Meta(description="The category that it mainly sells.")] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Say it."""
        store = work.store(self.store_id)
        positioning = Positioning(**{name: getattr(self, name) for name in Positioning.__struct_fields__})
        position_store(store, positioning, work.occurred_at)
        return store.id


class ChangeStoreProfile(Command):
    """Say what a store says of itself: all of it, what is left out is gone."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store
    ROLES: ClassVar[frozenset[Role]] = frozenset({Role.OWNER, Role.MANAGER, Role.EDITOR})

    store_id: StoreId
    logo_reference: Annotated[Label | None, Meta(description="Where the logo is kept.")] = None
    announcement: Annotated[Text | None, Meta(description="What it tells its buyers now.")] = None
    introduction: Annotated[Text | None, Meta(description="What it says of itself and its brand.")] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Say it."""
        store = work.store(self.store_id)
        change_profile(store, self.logo_reference, self.announcement, self.introduction, work.occurred_at)
        return store.id


class RenameStore(Command):
    """Let a store go by another name; the old one is free again. What was settled or signed keeps the name it has."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (ReferenceTaken,)

    store_id: StoreId
    name: Annotated[Label, Meta(description="What the store is called; no other store of the operator is.")]

    def decide(self, work: UnitOfWork) -> UUID:
        """Take the new name and give the old one back. Asked twice, recorded once."""
        store = work.store(self.store_id)
        store.require_not_closed()
        if self.name == store.name:
            return store.id
        work.require_free("store_name", "operator", self.name, store.id, path=("name",))
        work.release("store_name", "operator", store.name, store.id)
        work.claim("store_name", "operator", self.name, store.id)
        store.trigger_event(StoreRenamed, name=self.name, old_name=store.name, occurred_at=work.occurred_at)
        return store.id


class RecordPlatformPenalty(Command):
    """Record that the platform penalised a store; a ban suspends it, and nobody reopens it before its end."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store

    store_id: StoreId
    kind: Annotated[Code, Meta(description="What for, in the platform's words: late_shipment, false_claim, ...")]
    points: Annotated[Points, Meta(description="Penalty points; 0 for none.")]
    reason: Annotated[Reason, Meta(description="What happened.")]
    until: Annotated[Moment | None, Meta(description="Until when it counts; with offset. For good if left out.")] = None
    suspends: Annotated[
        bool, Meta(description="Whether it bans the store: until then, or until somebody reopens it.")
    ] = False

    def decide(self, work: UnitOfWork) -> UUID:
        """Record it, and suspend the store if it is banned."""
        store = work.store(self.store_id)
        until = None if self.until is None else self.until.astimezone(UTC)
        penalise(store, self.kind, self.points, until, self.reason, self.suspends, work.occurred_at)
        return store.id
