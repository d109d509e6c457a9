"""How a store shows itself and stands with its platform: what is on record, what it adds up to, and how it says no."""

from __future__ import annotations

import enum
from datetime import datetime

import msgspec

from opscore.domain.aggregate import Event
from opscore.domain.refusals import Refusal
from opscore.domain.values import Value

# What is on record ---------------------------------------------------------------------------------------------------


class PriceLevel(enum.StrEnum):
    """How dear a store means to be."""

    LOW = "low"
    MID = "mid"
    HIGH = "high"


class StorePositioned(Event):
    """Whom a store is for, and what it mainly sells. Ages are years, both included; others may buy all the same."""

    price_level: PriceLevel
    audience: str | None
    age_from: int | None
    age_to: int | None
    main_category: str | None


class StoreProfileChanged(Event):
    """What a store says of itself, all of it as it is now; `logo_reference` says where its logo is kept."""

    logo_reference: str | None
    announcement: str | None
    introduction: str | None


class PlatformPenaltyRecorded(Event):
    """The platform penalised a store; points count `until` a moment (UTC), or for good."""

    kind: str
    points: int
    until: datetime | None
    reason: str


# What it adds up to --------------------------------------------------------------------------------------------------


class Positioning(Value):
    """Whom a store is for, and what it mainly sells; ages are years, both included."""

    price_level: PriceLevel
    audience: str | None = None
    age_from: int | None = None
    age_to: int | None = None
    main_category: str | None = None


class Penalty(Value):
    """A penalty of the platform since a moment (UTC); points count until another one, or for good."""

    kind: str
    points: int
    until: datetime | None
    reason: str
    imposed_at: datetime


class StoreProfile(Value):
    """How a store shows itself and stands with its platform."""

    positioning: Positioning | None = None
    logo_reference: str | None = None
    announcement: str | None = None
    introduction: str | None = None
    penalties: tuple[Penalty, ...] = ()


ProfileEvent = StorePositioned | StoreProfileChanged | PlatformPenaltyRecorded


def described(profile: StoreProfile, event: ProfileEvent) -> StoreProfile:
    """Return the profile as it is after an event."""
    match event:
        case StorePositioned():
            said = {name: getattr(event, name) for name in Positioning.__struct_fields__}
            return msgspec.structs.replace(profile, positioning=Positioning(**said))
        case StoreProfileChanged():
            return msgspec.structs.replace(
                profile,
                logo_reference=event.logo_reference,
                announcement=event.announcement,
                introduction=event.introduction,
            )
        case PlatformPenaltyRecorded():
            penalty = Penalty(
                kind=event.kind,
                points=event.points,
                until=event.until,
                reason=event.reason,
                imposed_at=event.occurred_at,
            )
            return msgspec.structs.replace(profile, penalties=(*profile.penalties, penalty))


# How it says no ------------------------------------------------------------------------------------------------------


class AgeRangeInvalid(Refusal):
    """Nobody is {age_from} or older and {age_to} or younger; name the lower age first."""
