"""Arithmetic on lots of points: put in and taken out, what comes back with a part of an order, what stays spent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from opscore.domain.customer_events import LotUse, PointsLot

_NEVER = datetime.max.replace(tzinfo=UTC)


def put(held: Sequence[PointsLot], use: LotUse) -> list[PointsLot]:
    """Return the lots held with these points put into theirs, or as a lot of their own; oldest expiry first."""
    if any(lot.lot_id == use.lot_id for lot in held):
        return [
            msgspec.structs.replace(lot, amount=lot.amount + use.amount) if lot.lot_id == use.lot_id else lot
            for lot in held
        ]
    added = PointsLot(lot_id=use.lot_id, amount=use.amount, expires_at=use.expires_at)
    return sorted([*held, added], key=lambda lot: lot.expires_at or _NEVER)


def take(held: Sequence[PointsLot], use: LotUse) -> list[PointsLot]:
    """Return the lots held without these points; a lot that is used up is gone."""
    left = (
        msgspec.structs.replace(lot, amount=lot.amount - use.amount) if lot.lot_id == use.lot_id else lot
        for lot in held
    )
    return [lot for lot in left if lot.amount]


def last_of(lots: Sequence[LotUse], amount: int) -> tuple[LotUse, ...]:
    """Return the last lots that hold so many points, or all there are."""
    uses: list[LotUse] = []
    for use in reversed(lots):
        part = min(use.amount, amount)
        amount -= part
        if part:
            uses.append(msgspec.structs.replace(use, amount=part))
    return tuple(uses)


def without(lots: Sequence[LotUse], back: Sequence[LotUse]) -> list[LotUse]:
    """Return what is left of `lots` when the points of `back` are taken out, lot by lot."""
    left = {use.lot_id: use.amount for use in back}
    kept = []
    for use in lots:
        part = min(use.amount, left.get(use.lot_id, 0))
        if part:
            left[use.lot_id] -= part
        if use.amount > part:
            kept.append(msgspec.structs.replace(use, amount=use.amount - part))
    return kept
