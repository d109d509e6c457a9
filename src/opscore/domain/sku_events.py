"""What is on record about an article (events), and how it says no (refusals)."""

from __future__ import annotations

import enum
from datetime import date, datetime
from decimal import Decimal
from typing import ClassVar
from uuid import UUID

from opscore.domain.aggregate import FIELDS_ADDED, Event, FirstEvent
from opscore.domain.refusals import Refusal
from opscore.domain.values import Value


class FulfilmentMode(enum.StrEnum):
    """Where the goods come from once they are sold. Only `stocked` articles have stock of their own."""

    STOCKED = "stocked"
    DROPSHIP = "dropship"
    ORDER_FIRST = "order_first"
    MADE_TO_ORDER = "made_to_order"
    SERVICE = "service"


class SkuStatus(enum.StrEnum):
    """How far an article is on its way to being sold; being on sale is said per store by its listings."""

    DRAFT = "draft"
    REVIEW = "review"
    READY = "ready"
    RETIRED = "retired"


class DelistReason(enum.StrEnum):
    """Why an article left the shelf."""

    MANUAL = "manual"
    OUT_OF_STOCK = "out_of_stock"
    COMPLIANCE = "compliance"
    RECALL = "recall"
    SEASON = "season"
    SUPPLIER = "supplier"


class StockCondition(enum.StrEnum):
    """What state units are in; whatever is not good is set aside and never sold.

    `quarantined` waits for somebody to find out whether it is good; the others are set aside as damaged.
    """

    GOOD = "good"
    """They go to open stock."""
    REBRAND = "rebrand"
    """They need new labels or packing first; set aside as damaged."""
    DAMAGED = "damaged"
    """They cannot be sold; set aside."""
    QUARANTINED = "quarantined"
    """Somebody has to find out whether they are good."""


class StockState(enum.StrEnum):
    """What may be done with units at a location: sold, nothing until they are looked at, or not sold any more."""

    AVAILABLE = "available"
    QUARANTINED = "quarantined"
    DAMAGED = "damaged"


class WriteOffKind(enum.StrEnum):
    """Why units are gone."""

    DAMAGED = "damaged"
    SPOILED = "spoiled"
    EXPIRED = "expired"
    LOST = "lost"


class TierPrice(Value):
    """What holders of a tier pay: a price of its own, or a factor of the list price (0.98), never both."""

    tier: str
    price: Decimal | None = None
    factor: Decimal | None = None


class Pick(Value):
    """Units that an order may take from one location, out of a campaign's quota or out of open stock."""

    location_id: UUID
    quantity: Decimal
    campaign_id: UUID | None = None


# What is on record ---------------------------------------------------------------------------------------------------


class SkuRegistered(FirstEvent):
    """An article was entered; `quantity_places` says how many decimal places its quantities may have."""

    store_id: UUID
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
    editor: str


class SkuAmended(Event):
    """What it was registered with was corrected, all of it as it is now; orders keep what they were placed with."""

    name: str
    brand: str | None
    category: str
    min_order_quantity: Decimal
    specification: dict[str, str]
    season_end: datetime | None
    editor: str


class SkuContentSet(Event):
    """What buyers read and see of it, in one language, was replaced."""

    language: str
    title: str
    description: str | None
    specification: str | None
    images: tuple[str, ...]
    after_sale_text: str | None
    keywords: tuple[str, ...]
    editor: str


class SkuPriced(Event):
    """Its list price in one store was set, with what the price was measured against."""

    store_id: UUID
    list_price: Decimal
    old_list_price: Decimal | None
    cost: Decimal | None
    expected_profit: Decimal | None
    market_price: Decimal | None
    market_source: str | None
    currency: str
    reason: str
    editor: str
    approver: str | None = None
    override_reason: str | None = None


class TierPricesSet(Event):
    """The prices of its tiers in one store were replaced."""

    store_id: UUID
    tiers: tuple[TierPrice, ...]
    currency: str
    editor: str


class SkuSubmitted(Event):
    """Somebody asked for a review."""

    submitter: str


class SkuReviewPassed(Event):
    """A second person found it fit for sale."""

    reviewer: str


class SkuReviewFailed(Event):
    """A second person sent it back, saying why; prohibited goods may not be sold at all."""

    reviewer: str
    reasons: tuple[str, ...]
    prohibited: bool = False


class SkuListed(Event):
    """It went on sale in a store."""

    store_id: UUID


class SkuDelisted(Event):
    """It went off sale in a store."""

    store_id: UUID
    reason: DelistReason
    note: str | None = None
    prohibited: bool = False


class SkuRetired(Event):
    """It will never be sold again."""

    reason: str | None


class StockPolicySet(Event):
    """When it counts as low or as too much, and how long its stock should last."""

    low_line: Decimal | None
    high_line: Decimal | None
    cover_days: int | None
    stock_class: str | None


class StockReceived(Event):
    """Units came in. `unit_cost` is None while unknown; `cost_assumed` marks a cost that is a guess.

    produced_on, expires_on, place_of_origin: what was said of the batch with these units; None is nothing, and what was
    said of it before holds. The day on which it expires is the last one on which its units may be sold.
    purchase_id: the purchase that they were on order by.
    """

    VERSION: ClassVar[int] = 4
    UPCASTS: ClassVar[tuple[tuple[()], ...]] = (*FIELDS_ADDED, *FIELDS_ADDED, *FIELDS_ADDED)

    location_id: UUID
    batch: str | None
    quantity: Decimal
    unit_cost: Decimal | None
    currency: str
    cost_assumed: bool
    document: str | None = None
    condition: StockCondition = StockCondition.GOOD
    produced_on: date | None = None
    expires_on: date | None = None
    place_of_origin: str | None = None
    purchase_id: UUID | None = None


class BatchInspected(Event):
    """Somebody looked at units of a batch that were in quarantine: what passed and what failed has left it.

    supplier_id: whose they are, where they came in by a purchase.
    """

    location_id: UUID
    batch: str
    accepted: Decimal
    failed: Decimal
    residue: Decimal | None = None
    finding: str | None = None
    supplier_id: UUID | None = None
    document: str | None = None


class BatchExpired(Event):
    """The last day of a batch was over: its units are set aside wherever they are, and come in."""

    batch: str
    expires_on: date


class BatchRecalled(Event):
    """Somebody found that a batch may not be sold: its units are set aside wherever they are, and come in."""

    batch: str
    reason: str
    document: str | None = None


class BatchRecallLifted(Event):
    """A batch that was recalled may be sold after all; what the recall had set aside is free again, unless expired."""

    batch: str
    reason: str
    document: str | None = None


class StockReserved(Event):
    """Units were set apart for an order, or for a hold (then `reference` names it and `order_id` derives from it)."""

    order_id: UUID
    store_id: UUID
    location_id: UUID
    quantity: Decimal
    campaign_id: UUID | None = None
    reference: str | None = None
    document: str | None = None


class ReservationReleased(Event):
    """Units that were set apart are free again: back in the campaign's quota (`to_quota`) or in open stock."""

    order_id: UUID
    store_id: UUID
    location_id: UUID
    quantity: Decimal
    campaign_id: UUID | None = None
    to_quota: bool = False
    document: str | None = None


class StockShipped(Event):
    """Units that were set apart have left."""

    order_id: UUID
    store_id: UUID
    parcel_id: UUID
    location_id: UUID
    quantity: Decimal
    campaign_id: UUID | None = None
    batch: str | None = None
    document: str | None = None


class StockReturned(Event):
    """Units that had left came back, by a return or without one; those that are not good are set aside."""

    VERSION: ClassVar[int] = 2
    UPCASTS: ClassVar[tuple[tuple[()], ...]] = FIELDS_ADDED

    order_id: UUID | None
    store_id: UUID
    location_id: UUID
    quantity: Decimal
    condition: StockCondition
    document: str | None = None
    return_id: UUID | None = None
    batch: str | None = None


class StockWrittenOff(Event):
    """Units were given up, out of open stock (`condition` good) or out of what was set aside."""

    VERSION: ClassVar[int] = 2
    UPCASTS: ClassVar[tuple[tuple[()], ...]] = FIELDS_ADDED

    location_id: UUID
    quantity: Decimal
    kind: WriteOffKind
    reason: str
    condition: StockCondition = StockCondition.GOOD
    document: str | None = None
    batch: str | None = None


class StockReclassified(Event):
    """Units that stay where they are went from one state into another: found damaged, put in quarantine, found good."""

    location_id: UUID
    quantity: Decimal
    from_state: StockState
    to_state: StockState
    reason: str
    batch: str | None = None
    document: str | None = None


class SampleIssued(Event):
    """Units left as a sample. `receiver` is a code of a customer, reviewer or department, never a name."""

    VERSION: ClassVar[int] = 2
    UPCASTS: ClassVar[tuple[tuple[()], ...]] = FIELDS_ADDED

    location_id: UUID
    quantity: Decimal
    receiver: str | None
    purpose: str
    document: str | None = None
    batch: str | None = None


class StockCounted(Event):
    """Somebody counted a location, or one batch there: what the book said, and what was there, with what is set aside.

    unit_cost: what one of the counted units costs from then on, in `currency`; None when the count was of units alone.
    """

    VERSION: ClassVar[int] = 2
    UPCASTS: ClassVar[tuple[tuple[()], ...]] = FIELDS_ADDED

    location_id: UUID
    book: Decimal
    counted: Decimal
    document: str | None = None
    batch: str | None = None
    unit_cost: Decimal | None = None
    currency: str | None = None


class StockAdjusted(Event):
    """The book was brought to a count; `difference` = counted - book.

    counted, unit_cost: where the count set a cost, the units that have it from then on, in `currency`. `corrects`: the
    count stands, and what was recorded after it but dated before it is taken out of the book again from the count on.
    """

    VERSION: ClassVar[int] = 2
    UPCASTS: ClassVar[tuple[tuple[()], ...]] = FIELDS_ADDED

    location_id: UUID
    difference: Decimal
    reason: str
    document: str | None = None
    batch: str | None = None
    counted: Decimal | None = None
    unit_cost: Decimal | None = None
    currency: str | None = None
    corrects: bool = False


class StockTransferredOut(Event):
    """Units left a location for another one; until they arrive they are in transit there."""

    VERSION: ClassVar[int] = 2
    UPCASTS: ClassVar[tuple[tuple[()], ...]] = FIELDS_ADDED

    transfer_id: UUID
    location_id: UUID
    to_location_id: UUID
    quantity: Decimal
    document: str | None = None
    batch: str | None = None


class StockTransferredIn(Event):
    """Units in transit arrived; `lost` of them never will."""

    VERSION: ClassVar[int] = 2
    UPCASTS: ClassVar[tuple[tuple[()], ...]] = FIELDS_ADDED

    transfer_id: UUID
    location_id: UUID
    from_location_id: UUID
    quantity: Decimal
    lost: Decimal
    reason: str | None = None
    document: str | None = None
    batch: str | None = None


class CampaignStockAllocated(Event):
    """Open stock became a campaign's quota."""

    campaign_id: UUID
    location_id: UUID
    quantity: Decimal
    document: str | None = None


class CampaignStockReleased(Event):
    """Quota became open stock; `closes` says that the campaign keeps none (0 units when all of it was sold)."""

    campaign_id: UUID
    location_id: UUID
    quantity: Decimal
    closes: bool = False
    document: str | None = None


class StockBackdated(Event):
    """A movement of the same decision is dated in a closed period: who let it be, and why.

    The books had been open from `open_from` (UTC) on.
    """

    open_from: datetime
    overridden_by: str
    override_reason: str


class LowStockReached(Event):
    """What may be sold has sunk to the low line."""

    sellable: Decimal
    low_line: Decimal


class StockDepleted(Event):
    """Nothing is left to sell, in open stock or in a quota."""


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


class ExceedsBatch(Refusal):
    """Batch '{batch}' has {available} {state} units of {code} here, not {asked}; take another batch or count it."""


class InspectionNeeded(Refusal):
    """Goods of the category '{category}' are sold once their residue was measured; put them into quarantine under their
    batch, and say what was found with inspectBatch."""


class BatchBarred(Refusal):
    """Batch '{batch}' of {code} may not be sold ({why}); take units of another batch, or lift a recall first."""


class BatchUnknown(Refusal):
    """No units of {code} came in or left under the batch number '{batch}'; check the number."""


class BatchDiffers(Refusal):
    """Batch '{batch}' of {code} has {what} {known}, not {given}; leave it out, or name another batch."""


class SameState(Refusal):
    """Units that are {state} cannot become {state}; name another state."""


class CountBelowHeld(Refusal):
    """{held} of {code} are reserved, allocated or set aside here, but {counted} were counted; release these first."""


class CountOutdated(Refusal):
    """The book says {book} of {code} here, not {expected}; look again and count anew."""


class TransferUnknown(Refusal):
    """No transfer of {code} with this id is under way to this store; check the id and the store."""


class ExceedsTransfer(Refusal):
    """Only {available} of {code} are under way, not {asked}; count the sending location if more has arrived."""


class SameLocation(Refusal):
    """Units cannot be transferred to where they are; name another location."""


class BelowCost(Refusal):
    """{price} is below the cost of {cost}; raise it, or let a second person override with a reason."""


class TierBelowCost(Refusal):
    """Holders of tier '{tier}' would pay {price}, below the cost of {cost}; set the tier prices first, raise this one,
    or let a second person override with a reason."""


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


class TierUnknown(Refusal):
    """'{tier}' is not a tier that can be priced here (left: {known}); set it in the store's membership policy first."""


class InLiveCampaign(Refusal):
    """{code} is in the running campaign '{campaign}'; end that first, or delist for compliance or by a recall."""


class AllocationExceedsQuota(Refusal):
    """The campaign's quota of {code} is {quota} and {allocated} would be allocated; allocate less or plan more."""


class StoreNotInCampaign(Refusal):
    """Orders of '{campaign}' never take from this store's locations; name a location of a store that it runs in."""


class NotInCampaign(Refusal):
    """{code} is not a line of this campaign; add it to the campaign first."""
