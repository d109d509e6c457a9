"""The parts of an article's stock: what is at each location and of each batch, what is reserved, what is under way."""

from __future__ import annotations

from decimal import Decimal
from typing import Final
from uuid import UUID

import msgspec

from opscore.domain.sku_events import StockCondition, StockState

ZERO: Final = Decimal(0)


class BatchLevel(msgspec.Struct):
    """The units of one batch at one location. What is reserved or allocated is so of the article, not of a batch."""

    on_hand: Decimal = ZERO
    quarantined: Decimal = ZERO
    damaged: Decimal = ZERO

    @property
    def held(self) -> Decimal:
        """Units that are set aside."""
        return self.quarantined + self.damaged

    def change(self, on_hand: Decimal, quarantined: Decimal, damaged: Decimal) -> None:
        """Add to each."""
        self.on_hand += on_hand
        self.quarantined += quarantined
        self.damaged += damaged


class StockLevel(msgspec.Struct):
    """The units at one location. Sellable is what is neither reserved, allocated nor set aside.

    Set aside is what is in quarantine (nobody knows yet whether it is good) or damaged.
    """

    on_hand: Decimal = ZERO
    reserved: Decimal = ZERO
    allocated: Decimal = ZERO
    quarantined: Decimal = ZERO
    damaged: Decimal = ZERO
    in_transit: Decimal = ZERO
    """On the way here from another location; not on hand yet."""
    batches: dict[str, BatchLevel] = {}
    """What is left of each batch. Below zero: more left under a number than had come in under it."""
    batches_apart: bool = False
    """Whether units came in here under a batch's number: from then on no batch gives more than it has."""

    @property
    def sellable(self) -> Decimal:
        """Units that anybody may buy."""
        return self.on_hand - self.reserved - self.allocated - self.quarantined - self.damaged

    def of_state(self, state: StockState) -> Decimal:
        """Return the units of a state that nobody holds: those available are the sellable ones."""
        if state is StockState.AVAILABLE:
            return self.sellable
        return self.quarantined if state is StockState.QUARANTINED else self.damaged

    def of_batch(self, batch: str, state: StockState) -> Decimal:
        """Return the units of a batch that are in a state; those available may be reserved."""
        found = self.batches.get(batch)
        if found is None:
            return ZERO
        if state is StockState.AVAILABLE:
            return found.on_hand - found.quarantined - found.damaged
        return found.quarantined if state is StockState.QUARANTINED else found.damaged

    def move(self, change: Decimal, condition: StockCondition, batch: str | None) -> None:
        """Let units come in (above zero) or go, in a condition and, where it is known, of a batch."""
        self.on_hand += change
        if condition is StockCondition.GOOD:
            if batch is not None:
                self._move_batch(batch, change, ZERO, ZERO)
            return
        in_quarantine = condition is StockCondition.QUARANTINED
        quarantined, damaged = (change, ZERO) if in_quarantine else (ZERO, change)
        self.quarantined += quarantined
        self.damaged += damaged
        if batch is not None:
            self._move_batch(batch, change, quarantined, damaged)

    def reclassify(self, from_state: StockState, to_state: StockState, quantity: Decimal, batch: str | None) -> None:
        """Let units that stay here go from one state into another."""
        quarantined = quantity * ((to_state is StockState.QUARANTINED) - (from_state is StockState.QUARANTINED))
        damaged = quantity * ((to_state is StockState.DAMAGED) - (from_state is StockState.DAMAGED))
        self.quarantined += quarantined
        self.damaged += damaged
        if batch is not None:
            self._move_batch(batch, ZERO, quarantined, damaged)

    def _move_batch(self, batch: str, on_hand: Decimal, quarantined: Decimal, damaged: Decimal) -> None:
        self.batches_apart = self.batches_apart or on_hand > 0
        level = self.batches.setdefault(batch, BatchLevel())
        level.change(on_hand, quarantined, damaged)
        if not (level.on_hand or level.quarantined or level.damaged):
            # A batch that is used up is forgotten: over the years there are many.
            del self.batches[batch]


class Reservation(msgspec.Struct):
    """Units set apart at one location for a store, from a campaign's quota or from open stock."""

    store_id: UUID
    location_id: UUID
    quantity: Decimal
    campaign_id: UUID | None = None


class Transfer(msgspec.Struct):
    """Units under way between two locations."""

    from_location_id: UUID
    to_location_id: UUID
    quantity: Decimal
    batch: str | None = None
