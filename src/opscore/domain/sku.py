"""One article of the operator: what it is, what it costs, where it is on sale, and where every unit of it is.

What is on record (events) is in sku_events.py and can be imported from here; then, in this order: how it says no
(refusals), what it adds up to (state and fold), what may happen next (decisions). The commands are in sku_commands.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import msgspec

from opscore.domain.aggregate import Aggregate, Event, folds
from opscore.domain.refusals import (
    CurrencyMismatch,
    InvalidField,
    ReasonMissing,
    Refusal,
    SamePerson,
    WrongState,
)
from opscore.domain.sku_events import (
    CampaignStockAllocated,
    CampaignStockReleased,
    DelistReason,
    FulfilmentMode,
    LowStockReached,
    Pick,
    ReservationReleased,
    SampleIssued,
    SkuContentSet,
    SkuDelisted,
    SkuListed,
    SkuPriced,
    SkuRegistered,
    SkuRetired,
    SkuReviewFailed,
    SkuReviewPassed,
    SkuStatus,
    SkuSubmitted,
    StockAdjusted,
    StockCondition,
    StockCounted,
    StockDepleted,
    StockPolicySet,
    StockReceived,
    StockReserved,
    StockReturned,
    StockShipped,
    StockTransferredIn,
    StockTransferredOut,
    StockWrittenOff,
    TierPrice,
    TierPricesSet,
    WriteOffKind,
)
from opscore.domain.values import MAX_PLACES, plain

__all__ = [
    "AboveMarket",
    "AlreadyReserved",
    "BelowCost",
    "BelowMinimumQuantity",
    "CampaignQuotaUsed",
    "CampaignStockAllocated",
    "CampaignStockReleased",
    "Content",
    "ContentMissing",
    "CountBelowHeld",
    "CountOutdated",
    "DelistReason",
    "ExceedsOnHand",
    "ExceedsTransfer",
    "FulfilmentMode",
    "HoldsNoStock",
    "Listing",
    "LowAboveHigh",
    "LowStockReached",
    "NoSellableStock",
    "NotReserved",
    "OpenReservations",
    "Path",
    "Pick",
    "Price",
    "PriceMissing",
    "ProhibitedGoods",
    "Reservation",
    "ReservationReleased",
    "SameLocation",
    "SampleIssued",
    "Sku",
    "SkuContentSet",
    "SkuDelisted",
    "SkuListed",
    "SkuNotListed",
    "SkuPriced",
    "SkuRegistered",
    "SkuRetired",
    "SkuReviewFailed",
    "SkuReviewPassed",
    "SkuStatus",
    "SkuSubmitted",
    "StockAdjusted",
    "StockCondition",
    "StockCounted",
    "StockDepleted",
    "StockInsufficient",
    "StockLeft",
    "StockLevel",
    "StockPolicy",
    "StockPolicySet",
    "StockReceived",
    "StockReserved",
    "StockReturned",
    "StockShipped",
    "StockTransferredIn",
    "StockTransferredOut",
    "StockWrittenOff",
    "TierPrice",
    "TierPricesSet",
    "Transfer",
    "TransferUnknown",
    "WriteOffKind",
    "ZERO",
]

ZERO: Final = Decimal(0)
MAX_QUANTITY: Final = Decimal(10**12)
MAX_UNIT_PRICE: Final = Decimal(10**12)
_SIX_PLACES: Final = Decimal(1).scaleb(-MAX_PLACES)

Path = Sequence[str | int]


# How it says no ------------------------------------------------------------------------------------------------------


class SkuNotListed(Refusal):
    """{code} is not on sale in this store; list it first or leave it out."""


class BelowMinimumQuantity(Refusal):
    """{code} is sold from {minimum} upwards, not {asked}; order more."""


class StockInsufficient(Refusal):
    """Only {available} of {code} can be had here now, not {asked}; ask for less or wait for stock."""


class CampaignQuotaUsed(Refusal):
    """The campaign has {available} of {code} left, not {asked}; ask for less or buy at the ordinary price."""


class HoldsNoStock(Refusal):
    """{code} is of mode {mode}, which has no stock of its own; only stocked articles move stock."""


class NotReserved(Refusal):
    """{available} of {code} is reserved under this name, not {asked}; reserve it first or name what was reserved."""


class AlreadyReserved(Refusal):
    """'{reference}' holds other units of {code} already; release them first or use another reference."""


class ExceedsOnHand(Refusal):
    """Only {available} {condition} units of {code} are free here, not {asked}; release what is held or count again."""


class CountBelowHeld(Refusal):
    """{held} of {code} are reserved, allocated or set aside here, but {counted} were counted; release these first."""


class CountOutdated(Refusal):
    """The book says {book} of {code} here, not {expected}; look again and count anew."""


class TransferUnknown(Refusal):
    """No transfer of {code} with this id is under way to this location; check the id."""


class ExceedsTransfer(Refusal):
    """Only {available} of {code} are under way, not {asked}; count the sending location if more has arrived."""


class SameLocation(Refusal):
    """Units cannot be transferred to where they are; name another location."""


class BelowCost(Refusal):
    """{price} is below the cost of {cost}; raise it, or let a second person override with a reason."""


class AboveMarket(Refusal):
    """{price} is above the market price of {market}; lower it, or let a second person override with a reason."""


class PriceMissing(Refusal):
    """{code} has no price in this store; price it first."""


class ContentMissing(Refusal):
    """{code} lacks {parts}; set its content first."""


class NoSellableStock(Refusal):
    """There is nothing of {code} to sell; receive stock first."""


class ProhibitedGoods(Refusal):
    """{code} may not be sold; submit it and let a second person pass it before it is listed."""


class StockLeft(Refusal):
    """{quantity} of {code} are still on hand or under way; sell, write off or transfer them first."""


class OpenReservations(Refusal):
    """{code} is still reserved for {count} orders; ship or release these first."""


class LowAboveHigh(Refusal):
    """The low line {low} is above the high line {high}; lower the one or raise the other."""


# What it adds up to --------------------------------------------------------------------------------------------------


class StockLevel(msgspec.Struct):
    """The units at one location. Sellable is what is neither reserved, allocated nor set aside as damaged."""

    on_hand: Decimal = ZERO
    reserved: Decimal = ZERO
    allocated: Decimal = ZERO
    damaged: Decimal = ZERO
    in_transit: Decimal = ZERO
    """On the way here from another location; not on hand yet."""

    @property
    def sellable(self) -> Decimal:
        """Units that anybody may buy."""
        return self.on_hand - self.reserved - self.allocated - self.damaged


class Reservation(msgspec.Struct):
    """Units set apart at one location, from a campaign's quota or from open stock."""

    location_id: UUID
    quantity: Decimal
    campaign_id: UUID | None = None


class Transfer(msgspec.Struct):
    """Units under way between two locations."""

    from_location_id: UUID
    to_location_id: UUID
    quantity: Decimal


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


class Sku(Aggregate):
    """One article of the operator. Its state holds open reservations and transfers only, so it stays small."""

    code: str
    name: str
    brand: str | None
    category: str
    unit: str
    quantity_places: int
    mode: FulfilmentMode
    min_order_quantity: Decimal
    currency: str
    specification: dict[str, str]
    season_end: datetime | None
    status: SkuStatus
    prohibited: bool
    edited_by: str
    """Who last registered, described, priced or submitted it (an override's approver is not its editor)."""
    contents: dict[str, Content]
    listings: dict[UUID, Listing]
    prices: dict[UUID, Price]
    tier_prices: dict[UUID, dict[str, TierPrice]]
    stock_policy: StockPolicy
    last_unit_cost: Decimal | None
    levels: dict[UUID, StockLevel]
    reservations: dict[UUID, list[Reservation]]
    allocations: dict[UUID, dict[UUID, Decimal]]
    transfers: dict[UUID, Transfer]

    @folds(SkuRegistered)
    def _registered(self, event: SkuRegistered) -> None:
        self.store_id = event.store_id
        self.code = event.code
        self.name = event.name
        self.brand = event.brand
        self.category = event.category
        self.unit = event.unit
        self.quantity_places = event.quantity_places
        self.mode = event.mode
        self.min_order_quantity = event.min_order_quantity
        self.currency = event.currency
        self.specification = dict(event.specification)
        self.season_end = event.season_end
        self.status = SkuStatus.DRAFT
        self.prohibited = False
        self.edited_by = event.editor
        self.contents = {}
        self.listings = {}
        self.prices = {}
        self.tier_prices = {}
        self.stock_policy = StockPolicy()
        self.last_unit_cost = None
        self.levels = {}
        self.reservations = {}
        self.allocations = {}
        self.transfers = {}

    @folds(SkuContentSet)
    def _content_set(self, event: SkuContentSet) -> None:
        self.contents[event.language] = Content(
            title=event.title,
            description=event.description,
            specification=event.specification,
            images=list(event.images),
            after_sale_text=event.after_sale_text,
            keywords=list(event.keywords),
        )
        self.edited_by = event.editor

    @folds(SkuPriced)
    def _priced(self, event: SkuPriced) -> None:
        self.prices[event.store_id] = Price(event.list_price, event.cost, event.market_price)
        self.edited_by = event.editor

    @folds(TierPricesSet)
    def _tier_prices_set(self, event: TierPricesSet) -> None:
        self.tier_prices[event.store_id] = {entry.tier: entry for entry in event.tiers}
        self.edited_by = event.editor

    @folds(SkuSubmitted)
    def _submitted(self, event: SkuSubmitted) -> None:
        self.status = SkuStatus.REVIEW
        self.edited_by = event.submitter

    @folds(SkuReviewPassed)
    def _review_passed(self, event: SkuReviewPassed) -> None:
        self.status = SkuStatus.READY
        self.prohibited = False

    @folds(SkuReviewFailed)
    def _review_failed(self, event: SkuReviewFailed) -> None:
        self.status = SkuStatus.DRAFT
        self.prohibited = event.prohibited

    @folds(SkuListed)
    def _listed(self, event: SkuListed) -> None:
        self.listings[event.store_id] = Listing(listed=True)

    @folds(SkuDelisted)
    def _delisted(self, event: SkuDelisted) -> None:
        self.listings[event.store_id] = Listing(listed=False, reason=event.reason)
        self.prohibited = self.prohibited or event.prohibited

    @folds(SkuRetired)
    def _retired(self, event: SkuRetired) -> None:
        self.status = SkuStatus.RETIRED

    @folds(StockPolicySet)
    def _stock_policy_set(self, event: StockPolicySet) -> None:
        self.stock_policy = StockPolicy(event.low_line, event.high_line, event.cover_days, event.stock_class)

    @folds(StockReceived)
    def _received(self, event: StockReceived) -> None:
        self._level(event.location_id).on_hand += event.quantity
        if event.unit_cost is not None:
            self.last_unit_cost = event.unit_cost

    @folds(StockReserved)
    def _reserved(self, event: StockReserved) -> None:
        level = self._level(event.location_id)
        level.reserved += event.quantity
        if event.campaign_id is not None and event.campaign_id in self.allocations:
            level.allocated -= event.quantity
            self.allocations[event.campaign_id][event.location_id] -= event.quantity
        held = self.reservations.get(event.order_id)
        if held is None:
            self.reservations[event.order_id] = [Reservation(event.location_id, event.quantity, event.campaign_id)]
            return
        for reservation in held:
            if reservation.location_id == event.location_id and reservation.campaign_id == event.campaign_id:
                reservation.quantity += event.quantity
                return
        held.append(Reservation(event.location_id, event.quantity, event.campaign_id))

    @folds(ReservationReleased)
    def _released(self, event: ReservationReleased) -> None:
        level = self._level(event.location_id)
        level.reserved -= event.quantity
        if event.to_quota and event.campaign_id is not None:
            level.allocated += event.quantity
            quota = self.allocations[event.campaign_id]
            quota[event.location_id] = quota.get(event.location_id, ZERO) + event.quantity
        self._take_reserved(event)

    @folds(StockShipped)
    def _shipped(self, event: StockShipped) -> None:
        level = self._level(event.location_id)
        level.on_hand -= event.quantity
        level.reserved -= event.quantity
        self._take_reserved(event)

    @folds(StockReturned)
    def _returned(self, event: StockReturned) -> None:
        level = self._level(event.location_id)
        level.on_hand += event.quantity
        if event.condition is not StockCondition.GOOD:
            level.damaged += event.quantity

    @folds(StockWrittenOff)
    def _written_off(self, event: StockWrittenOff) -> None:
        level = self._level(event.location_id)
        level.on_hand -= event.quantity
        if event.condition is not StockCondition.GOOD:
            level.damaged -= event.quantity

    @folds(SampleIssued)
    def _sample_issued(self, event: SampleIssued) -> None:
        self._level(event.location_id).on_hand -= event.quantity

    @folds(StockAdjusted)
    def _adjusted(self, event: StockAdjusted) -> None:
        self._level(event.location_id).on_hand += event.difference

    @folds(StockTransferredOut)
    def _transferred_out(self, event: StockTransferredOut) -> None:
        self._level(event.location_id).on_hand -= event.quantity
        self._level(event.to_location_id).in_transit += event.quantity
        self.transfers[event.transfer_id] = Transfer(event.location_id, event.to_location_id, event.quantity)

    @folds(StockTransferredIn)
    def _transferred_in(self, event: StockTransferredIn) -> None:
        level = self._level(event.location_id)
        level.on_hand += event.quantity
        level.in_transit -= event.quantity + event.lost
        transfer = self.transfers[event.transfer_id]
        transfer.quantity -= event.quantity + event.lost
        if not transfer.quantity:
            del self.transfers[event.transfer_id]

    @folds(CampaignStockAllocated)
    def _allocated(self, event: CampaignStockAllocated) -> None:
        self._level(event.location_id).allocated += event.quantity
        quota = self.allocations.setdefault(event.campaign_id, {})
        quota[event.location_id] = quota.get(event.location_id, ZERO) + event.quantity

    @folds(CampaignStockReleased)
    def _allocation_released(self, event: CampaignStockReleased) -> None:
        self._level(event.location_id).allocated -= event.quantity
        quota = self.allocations[event.campaign_id]
        quota[event.location_id] = quota.get(event.location_id, ZERO) - event.quantity
        if event.closes:
            # The key itself means "still holding quota": what is released from now on goes to open stock.
            del self.allocations[event.campaign_id]

    @folds(StockCounted, LowStockReached, StockDepleted)
    def _noted(self, event: Event) -> None:
        """Facts for the ledger and for alerts; the levels do not move by them."""

    def _level(self, location_id: UUID) -> StockLevel:
        level = self.levels.get(location_id)
        if level is None:
            level = self.levels[location_id] = StockLevel()
        return level

    def _take_reserved(self, event: ReservationReleased | StockShipped) -> None:
        held = self.reservations[event.order_id]
        for index, reservation in enumerate(held):
            if reservation.location_id == event.location_id and reservation.campaign_id == event.campaign_id:
                reservation.quantity -= event.quantity
                if not reservation.quantity:
                    del held[index]
                break
        if not held:
            del self.reservations[event.order_id]
