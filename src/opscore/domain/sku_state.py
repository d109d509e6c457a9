"""The parts of an article's state: its listings, prices and texts, and its stock by location, batch and reservation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

import msgspec

from opscore.domain.sku_events import DelistReason, StockCondition, StockState, TierPrice
from opscore.domain.values import MAX_PLACES, plain

ZERO: Final = Decimal(0)
_SIX_PLACES: Final = Decimal(1).scaleb(-MAX_PLACES)

ComingIn = tuple[StockCondition, Decimal, str | None]
"""Units that come in: their condition, how many, and of which batch."""


class Listing(msgspec.Struct):
    """Whether it is on sale in one store, and if not any more, why."""

    listed: bool
    reason: DelistReason | None = None


class Price(msgspec.Struct):
    """List price in one store, with the cost and market price it was measured against (None: unknown)."""

    list_price: Decimal
    cost: Decimal | None
    market_price: Decimal | None


class Content(msgspec.Struct):
    """What buyers read and see of it in one language."""

    title: str
    description: str | None
    specification: str | None
    images: list[str]
    after_sale_text: str | None
    keywords: list[str]


class StockPolicy(msgspec.Struct):
    """When it counts as low or as too much, and how long its stock should last."""

    low_line: Decimal | None = None
    high_line: Decimal | None = None
    cover_days: int | None = None
    stock_class: str | None = None


class Batch(msgspec.Struct):
    """What is known of a batch wherever its units are, and what keeps them from being sold."""

    produced_on: date | None = None
    expires_on: date | None = None
    """The last day on which they may be sold, of the article's home store."""
    place_of_origin: str | None = None
    supplier_id: UUID | None = None
    """Who delivered it, where it came in by a purchase; the last one who did."""
    expired: bool = False
    recalled: str | None = None
    """Why it was recalled; None when it was not, or may be sold after all."""

    @property
    def bar(self) -> str | None:
        """Why its units may not be sold; None when they may."""
        if self.recalled is not None:
            return f"recalled: {self.recalled}"
        return f"expired on {self.expires_on}" if self.expired else None


class BatchLevel(msgspec.Struct):
    """The units of one batch at one location. What is reserved or allocated is so of the article, not of a batch."""

    on_hand: Decimal = ZERO
    quarantined: Decimal = ZERO
    damaged: Decimal = ZERO
    barred: Decimal = ZERO
    """Of those in quarantine, the ones that are there because the batch was recalled or expired."""

    @property
    def held(self) -> Decimal:
        """Units that are set aside."""
        return self.quarantined + self.damaged

    def change(self, on_hand: Decimal, quarantined: Decimal, damaged: Decimal) -> None:
        """Add to each."""
        self.on_hand += on_hand
        self.quarantined += quarantined
        self.damaged += damaged


class CountMark(msgspec.Struct):
    """When a location was counted, or one batch there; and where the count set a cost, of how many units which."""

    at: datetime
    batch: str | None = None
    counted: Decimal | None = None
    unit_cost: Decimal | None = None


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
    counts: list[CountMark] = []
    """The counts of this place, earliest first: what is dated before one does not change what is after it."""
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

    def in_state(self, state: StockState) -> Decimal:
        """Return the units in a state, whoever holds them: those available may be reserved or allocated."""
        if state is StockState.AVAILABLE:
            return self.on_hand - self.quarantined - self.damaged
        return self.of_state(state)

    def of_batch(self, batch: str, state: StockState) -> Decimal:
        """Return the units of a batch that are in a state; those available may be reserved."""
        found = self.batches.get(batch)
        if found is None:
            return ZERO
        if state is StockState.AVAILABLE:
            return found.on_hand - found.quarantined - found.damaged
        return found.quarantined if state is StockState.QUARANTINED else found.damaged

    def barred(self, known: Mapping[str, Batch], state: StockState) -> dict[str, Decimal]:
        """Return the units in a state of each batch here that may not be sold, in the order of their numbers."""
        found = {name: self.of_batch(name, state) for name in self.batches if known.get(name, Batch()).bar}
        return {name: units for name, units in sorted(found.items()) if units > 0}

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

    def counted(self, mark: CountMark) -> None:
        """Take a count in, which may be dated before others."""
        place = len(self.counts)
        while place and self.counts[place - 1].at > mark.at:
            place -= 1
        self.counts.insert(place, mark)

    def corrections(
        self, change: Decimal, batch: str | None, at: datetime
    ) -> list[tuple[CountMark, Decimal, str | None]]:
        """Return what takes a change out again from the counts on that came after it: (count, units, batch).

        The first count of the whole place, or of the change's own batch, says what is there. A count of the place says
        nothing of batches, so the batch keeps the change until its own count; that one gives it back to no batch.
        """
        found: list[tuple[CountMark, Decimal, str | None]] = []
        of_place, of_batch = True, batch is not None
        for mark in self.counts:
            if mark.at <= at:
                continue
            if mark.batch is None and of_place:
                found.append((mark, -change, None))
                of_place = False
            elif mark.batch is not None and mark.batch == batch and of_batch:
                found.append((mark, -change, batch))
                if not of_place:
                    found.append((mark, change, None))
                of_place = of_batch = False
        return found

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
        # Which of the units in quarantine go is not said: the fewer are left to be freed, the safer.
        level.barred = max(ZERO, level.barred + min(ZERO, quarantined))
        if not (level.on_hand or level.quarantined or level.damaged):
            # A batch that is used up is forgotten: over the years there are many.
            del self.batches[batch]


def first_expired(level: StockLevel, known: Mapping[str, Batch], quantity: Decimal) -> list[tuple[str, Decimal]]:
    """Return from which batches at a location to take so many units: (batch, units), first expired first out.

    Of batches that expire on one day, or that nobody gave a day (they come last), the one produced first. Fewer units
    than asked for when fewer are of a batch that may be sold.
    """

    def place(batch: str) -> tuple[date, date, str]:
        said = known.get(batch, Batch())
        return said.expires_on or date.max, said.produced_on or date.max, batch

    found: list[tuple[str, Decimal]] = []
    for batch in sorted((name for name in level.batches if not known.get(name, Batch()).bar), key=place):
        units = min(quantity, level.of_batch(batch, StockState.AVAILABLE))
        if units > 0:
            found.append((batch, plain(units)))
            quantity -= units
    return found


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


def in_order(held: Sequence[Reservation], location_id: UUID | None, campaign_id: UUID | None) -> Sequence[Reservation]:
    """Return reservations as they leave: those at a location first, of these those of a campaign first."""
    if len(held) < 2:
        return held
    return sorted(held, key=lambda part: (part.location_id != location_id, part.campaign_id != campaign_id))


def parts_of(held: Sequence[Reservation], quantity: Decimal | None) -> list[tuple[Reservation, Decimal]]:
    """Split a quantity (None: everything) over reservations in the order given: (reservation, units of it)."""
    parts: list[tuple[Reservation, Decimal]] = []
    for reservation in held:
        units = reservation.quantity if quantity is None else min(reservation.quantity, quantity)
        if not units:
            break
        parts.append((reservation, plain(units)))
        if quantity is not None:
            quantity -= units
    return parts


def tier_amount(entry: TierPrice, list_price: Decimal) -> Decimal:
    """Return what a tier pays: its own price, or its factor of the list price at six places, half-even."""
    if entry.price is not None:
        return entry.price
    return plain((list_price * (entry.factor or Decimal(1))).quantize(_SIX_PLACES))
