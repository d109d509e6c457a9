"""Arithmetic on lots of points: which of them come back when a part of an order does, and what stays spent."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from opscore.domain.customer_events import LotUse


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
