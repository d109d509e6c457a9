"""One article of the operator: what it is, what it costs, where it is on sale, and where every unit of it is.

What is on record (events) and how it says no (refusals) are in sku_events.py and can be imported from here; then, in
this order: what it adds up to (state and fold), what may happen next. What orders need is decided by methods here; what
staff ask for is decided in sku_commands.py (the article) and stock_commands.py (its stock).
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from opscore.domain.aggregate import Aggregate, Event, folds
from opscore.domain.barring import require_not_barred, set_barred_aside
from opscore.domain.refusals import (
    InvalidField,
    WrongState,
)
from opscore.domain.sku_events import (
    AboveMarket as AboveMarket,
    AllocationExceedsQuota as AllocationExceedsQuota,
    AlreadyReserved as AlreadyReserved,
    BatchExpired as BatchExpired,
    BatchInspected as BatchInspected,
    BatchRecalled as BatchRecalled,
    BatchRecallLifted as BatchRecallLifted,
    BelowCost as BelowCost,
    BelowMinimumQuantity as BelowMinimumQuantity,
    CampaignQuotaUsed as CampaignQuotaUsed,
    CampaignStockAllocated as CampaignStockAllocated,
    CampaignStockReleased as CampaignStockReleased,
    ContentMissing as ContentMissing,
    CountBelowHeld as CountBelowHeld,
    CountOutdated as CountOutdated,
    DelistReason as DelistReason,
    ExceedsBatch as ExceedsBatch,
    ExceedsOnHand as ExceedsOnHand,
    ExceedsTransfer as ExceedsTransfer,
    FulfilmentMode as FulfilmentMode,
    HoldsNoStock as HoldsNoStock,
    LowAboveHigh as LowAboveHigh,
    LowStockReached as LowStockReached,
    NoSellableStock as NoSellableStock,
    NotReserved as NotReserved,
    OpenReservations as OpenReservations,
    Pick as Pick,
    PriceMissing as PriceMissing,
    ProhibitedGoods as ProhibitedGoods,
    ReservationReleased as ReservationReleased,
    SameLocation as SameLocation,
    SampleIssued as SampleIssued,
    SkuAmended as SkuAmended,
    SkuContentSet as SkuContentSet,
    SkuDelisted as SkuDelisted,
    SkuListed as SkuListed,
    SkuNotListed as SkuNotListed,
    SkuPriced as SkuPriced,
    SkuRegistered as SkuRegistered,
    SkuRetired as SkuRetired,
    SkuReviewFailed as SkuReviewFailed,
    SkuReviewPassed as SkuReviewPassed,
    SkuStatus as SkuStatus,
    SkuSubmitted as SkuSubmitted,
    StockAdjusted as StockAdjusted,
    StockBackdated as StockBackdated,
    StockCondition as StockCondition,
    StockCounted as StockCounted,
    StockDepleted as StockDepleted,
    StockInsufficient as StockInsufficient,
    StockLeft as StockLeft,
    StockPolicySet as StockPolicySet,
    StockReceived as StockReceived,
    StockReclassified as StockReclassified,
    StockReserved as StockReserved,
    StockReturned as StockReturned,
    StockShipped as StockShipped,
    StockState as StockState,
    StockTransferredIn as StockTransferredIn,
    StockTransferredOut as StockTransferredOut,
    StockWrittenOff as StockWrittenOff,
    TierPrice as TierPrice,
    TierPricesSet as TierPricesSet,
    TransferUnknown as TransferUnknown,
    WriteOffKind as WriteOffKind,
)
from opscore.domain.sku_purchases import (
    Purchase,
    PurchaseCancelled,
    PurchaseOrdered,
    PurchasePaid,
    Quote,
    QuoteRecorded,
    quoted,
    take_in,
)
from opscore.domain.sku_state import (
    ZERO as ZERO,
    Batch,
    BatchLevel,
    ComingIn,
    Content,
    CountMark,
    Listing,
    Price,
    Reservation,
    StockLevel,
    StockPolicy,
    Transfer,
    in_order,
    parts_of,
    tier_amount as tier_amount,
)
from opscore.domain.values import plain

MAX_QUANTITY: Final = Decimal(10**12)
MAX_UNIT_PRICE: Final = Decimal(10**12)
_ONE: Final = Decimal(1)
_NO_FACTORS: Final[Mapping[str, Decimal]] = {}

Path = Sequence[str | int]


# What it adds up to --------------------------------------------------------------------------------------------------


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
    submitted_by: str | None
    contents: dict[str, Content]
    listings: dict[UUID, Listing]
    prices: dict[UUID, Price]
    tier_prices: dict[UUID, dict[str, TierPrice]]
    stock_policy: StockPolicy
    last_unit_cost: Decimal | None
    levels: dict[UUID, StockLevel]
    batches: dict[str, Batch]
    """Every batch that came in under a number, also those that are used up: units of them may come back."""
    reservations: dict[UUID, list[Reservation]]
    allocations: dict[UUID, dict[UUID, Decimal]]
    """What is left to sell of each open quota, by campaign and location."""
    quota_sold: dict[UUID, Decimal]
    """What orders hold or have had of each open quota, by campaign."""
    transfers: dict[UUID, Transfer]
    purchases: dict[UUID, Purchase]
    """The purchases of which units are to come, or money is to be paid or to come back."""
    quotes: list[Quote]
    """What suppliers said last, each for a least quantity."""

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
        self.submitted_by = None
        self.contents = {}
        self.listings = {}
        self.prices = {}
        self.tier_prices = {}
        self.stock_policy = StockPolicy()
        self.last_unit_cost = None
        self.levels = {}
        self.batches = {}
        self.reservations = {}
        self.allocations = {}
        self.quota_sold = {}
        self.transfers = {}
        self.purchases = {}
        self.quotes = []

    @folds(SkuAmended)
    def _amended(self, event: SkuAmended) -> None:
        self.name = event.name
        self.brand = event.brand
        self.category = event.category
        self.min_order_quantity = event.min_order_quantity
        self.specification = dict(event.specification)
        self.season_end = event.season_end
        self.edited_by = event.editor

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
        self.edited_by = self.submitted_by = event.submitter

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
        self._level(event.location_id).move(event.quantity, event.condition, event.batch)
        if event.unit_cost is not None:
            self.last_unit_cost = event.unit_cost
        if event.batch is not None:
            batch = self.batches.setdefault(event.batch, Batch())
            batch.produced_on = event.produced_on or batch.produced_on
            batch.expires_on = event.expires_on or batch.expires_on
            batch.place_of_origin = event.place_of_origin or batch.place_of_origin
        if event.purchase_id is not None:
            if event.batch is not None:
                self.batches[event.batch].supplier_id = self.purchases[event.purchase_id].supplier_id
            take_in(self.purchases, event)

    @folds(PurchaseOrdered, PurchaseCancelled, PurchasePaid)
    def _purchases_change(self, event: PurchaseOrdered | PurchaseCancelled | PurchasePaid) -> None:
        take_in(self.purchases, event)

    @folds(QuoteRecorded)
    def _quoted(self, event: QuoteRecorded) -> None:
        self.quotes = quoted(self.quotes, event)

    @folds(BatchExpired)
    def _batch_expired(self, event: BatchExpired) -> None:
        self.batches[event.batch].expired = True

    @folds(BatchRecalled)
    def _batch_recalled(self, event: BatchRecalled) -> None:
        self.batches.setdefault(event.batch, Batch()).recalled = event.reason

    @folds(BatchRecallLifted)
    def _batch_recall_lifted(self, event: BatchRecallLifted) -> None:
        self.batches[event.batch].recalled = None

    @folds(StockReserved)
    def _reserved(self, event: StockReserved) -> None:
        level = self._level(event.location_id)
        level.reserved += event.quantity
        if event.campaign_id is not None:
            level.allocated -= event.quantity
            self.allocations[event.campaign_id][event.location_id] -= event.quantity
            self.quota_sold[event.campaign_id] = self.quota_sold.get(event.campaign_id, ZERO) + event.quantity
        held = self.reservations.setdefault(event.order_id, [])
        for reservation in held:
            if reservation.location_id == event.location_id and reservation.campaign_id == event.campaign_id:
                reservation.quantity += event.quantity
                return
        held.append(Reservation(event.store_id, event.location_id, event.quantity, event.campaign_id))

    @folds(ReservationReleased)
    def _released(self, event: ReservationReleased) -> None:
        level = self._level(event.location_id)
        level.reserved -= event.quantity
        if event.to_quota and event.campaign_id is not None:
            level.allocated += event.quantity
            quota = self.allocations[event.campaign_id]
            quota[event.location_id] = quota.get(event.location_id, ZERO) + event.quantity
            self.quota_sold[event.campaign_id] = self.quota_sold.get(event.campaign_id, ZERO) - event.quantity
        self._take_reserved(event)

    @folds(StockShipped)
    def _shipped(self, event: StockShipped) -> None:
        level = self._level(event.location_id)
        level.move(-event.quantity, StockCondition.GOOD, event.batch)
        level.reserved -= event.quantity
        self._take_reserved(event)

    @folds(StockReturned)
    def _returned(self, event: StockReturned) -> None:
        self._level(event.location_id).move(event.quantity, event.condition, event.batch)

    @folds(StockWrittenOff)
    def _written_off(self, event: StockWrittenOff) -> None:
        self._level(event.location_id).move(-event.quantity, event.condition, event.batch)

    @folds(StockReclassified)
    def _reclassified(self, event: StockReclassified) -> None:
        level = self._level(event.location_id)
        level.reclassify(event.from_state, event.to_state, event.quantity, event.batch)
        set_aside = (event.from_state, event.to_state) == (StockState.AVAILABLE, StockState.QUARANTINED)
        if set_aside and event.batch in level.batches and self.batches.get(event.batch, Batch()).bar:
            level.batches[event.batch].barred += event.quantity

    @folds(SampleIssued)
    def _sample_issued(self, event: SampleIssued) -> None:
        self._level(event.location_id).move(-event.quantity, StockCondition.GOOD, event.batch)

    @folds(StockAdjusted)
    def _adjusted(self, event: StockAdjusted) -> None:
        self._level(event.location_id).move(event.difference, StockCondition.GOOD, event.batch)
        if event.unit_cost is not None:
            self.last_unit_cost = event.unit_cost

    @folds(StockCounted)
    def _counted(self, event: StockCounted) -> None:
        counted = None if event.unit_cost is None else event.counted
        self._level(event.location_id).counted(CountMark(event.occurred_at, event.batch, counted, event.unit_cost))

    @folds(StockTransferredOut)
    def _transferred_out(self, event: StockTransferredOut) -> None:
        self._level(event.location_id).move(-event.quantity, StockCondition.GOOD, event.batch)
        self._level(event.to_location_id).in_transit += event.quantity
        self.transfers[event.transfer_id] = Transfer(
            event.location_id, event.to_location_id, event.quantity, event.batch
        )

    @folds(StockTransferredIn)
    def _transferred_in(self, event: StockTransferredIn) -> None:
        level = self._level(event.location_id)
        level.move(event.quantity, StockCondition.GOOD, event.batch)
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
            self.quota_sold.pop(event.campaign_id, None)

    @folds(BatchInspected, StockBackdated, LowStockReached, StockDepleted)
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

    # What may happen next: what an order needs ------------------------------------------------------------------------

    @property
    def sellable(self) -> Decimal:
        """Units in open stock that anybody may buy, over all locations."""
        return sum((level.sellable for level in self.levels.values()), ZERO)

    @property
    def available(self) -> Decimal:
        """Units that may be sold at all: open stock and what campaigns still have of their quotas."""
        return sum(
            (level.on_hand - level.reserved - level.quarantined - level.damaged for level in self.levels.values()), ZERO
        )

    @property
    def on_hand(self) -> Decimal:
        """Units in our hands, in whatever bucket, over all locations."""
        return sum((level.on_hand for level in self.levels.values()), ZERO)

    @property
    def seen_in(self) -> Collection[UUID]:
        """Its home store and every store that has it on sale or has a price for it."""
        return {self.store_id, *self.listings, *self.prices}

    @property
    def offered_in(self) -> Collection[UUID]:
        """Every store that has it on sale."""
        return [store_id for store_id, listing in self.listings.items() if listing.listed]

    @property
    def once_offered_in(self) -> Collection[UUID]:
        """Every store that has or had it on sale."""
        return self.listings

    def require_status(self, *needed: SkuStatus) -> None:
        """Refuse WrongState unless the article is in one of these."""
        if self.status not in needed:
            raise WrongState(what=self.code, state=self.status.value, needed=" or ".join(needed), ids=[self.id])

    def require_allowed(self, path: Path) -> None:
        """Refuse ProhibitedGoods when it may not be sold, nor given or sent in exchange."""
        if self.prohibited:
            raise ProhibitedGoods(code=self.code, path=path, ids=[self.id])

    def require_stocked(self, path: Path = ("sku_id",)) -> None:
        """Refuse HoldsNoStock when the article has no stock of its own to move."""
        if self.mode is not FulfilmentMode.STOCKED:
            raise HoldsNoStock(code=self.code, mode=self.mode.value, path=path, ids=[self.id])

    def level_at(self, location_id: UUID) -> StockLevel:
        """Return the units at a location; not to be changed."""
        return self.levels.get(location_id) or StockLevel()

    def require_within_quota(
        self, campaign_id: UUID, more: Decimal, quota: Decimal | None, path: Path = ("quantity",)
    ) -> None:
        """Refuse AllocationExceedsQuota when the campaign would have more than its line's quota (None: no limit).

        Units that it has sold count, as long as its quota is open.
        """
        held = sum(self.allocations.get(campaign_id, {}).values(), ZERO) + self.quota_sold.get(campaign_id, ZERO)
        if quota is not None and held + more > quota:
            ids = [self.id, campaign_id]
            raise AllocationExceedsQuota(
                code=self.code, quota=plain(quota), allocated=plain(held + more), path=path, ids=ids
            )

    def require_sellable(self, location_id: UUID, quantity: Decimal, path: Path = ("quantity",)) -> None:
        """Refuse StockInsufficient when open stock at the location is less than this."""
        free = self.level_at(location_id).sellable
        if free < quantity:
            raise StockInsufficient(code=self.code, available=plain(free), asked=quantity, path=path, ids=[self.id])

    def require_in_batch(
        self,
        location_id: UUID,
        batch: str | None,
        quantity: Decimal,
        state: StockState = StockState.AVAILABLE,
        path: Path = ("quantity",),
    ) -> None:
        """Refuse ExceedsBatch when the batch has fewer units of this state at a location where batches are kept apart.

        They are from the first units on that came in there by batch; before, a number is a label. None: any unit.
        """
        level = self.level_at(location_id)
        if batch is None or not level.batches_apart:
            return
        left = level.of_batch(batch, state)
        if left < quantity:
            raise ExceedsBatch(
                code=self.code,
                batch=batch,
                available=plain(left),
                state=state.value,
                asked=plain(quantity),
                path=path,
                ids=[self.id],
            )

    def require_uncounted(
        self, location_id: UUID, at: datetime, units: Sequence[ComingIn], path: Path = ("quantity",)
    ) -> None:
        """Refuse CountBelowHeld when units that come in set aside were counted since, and not as many are free now.

        A count takes in what is set aside, so units that turn out late to have been so were counted as free ones.
        """
        level = self.level_at(location_id)
        needed: dict[str | None, Decimal] = {}
        for condition, quantity, batch in units:
            if condition is not StockCondition.GOOD:
                corrected = level.corrections(quantity, batch, at)
                for of_batch in {None, *(named for _, _, named in corrected)} if corrected else ():
                    needed[of_batch] = needed.get(of_batch, ZERO) + quantity
        for of_batch, quantity in needed.items():
            free = level.sellable if of_batch is None else level.of_batch(of_batch, StockState.AVAILABLE)
            if free < quantity:
                counted = level.on_hand if of_batch is None else level.batches.get(of_batch, BatchLevel()).on_hand
                held, there = plain(counted - free + quantity), plain(counted)
                raise CountBelowHeld(code=self.code, held=held, counted=there, path=path, ids=[self.id])

    def move(self, event_class: type[Event], change: Decimal, **fields: Any) -> None:
        """Record a movement that changes the units of a location by `change`; a count that is dated after it stands.

        What comes of the movement is taken out of the book again from that count on.
        """
        before = self.sellable if self.batches else ZERO
        self.trigger_event(event_class, **fields)
        counts = self._level(fields["location_id"]).counts
        counted_since = bool(counts) and fields["occurred_at"] < counts[-1].at
        if counted_since:
            self._stand_by_counts(change, **fields)
        if self.batches and (change > 0 or counted_since):
            # Units that had been counted as free ones may turn out to be of a batch that may not be sold.
            before = min(before, self.sellable)
            set_barred_aside(self, fields["location_id"], fields["occurred_at"])
            if self.sellable < before:
                self.note_outflow(before, fields["occurred_at"])

    def _stand_by_counts(
        self, change: Decimal, *, location_id: UUID, occurred_at: datetime, batch: str | None = None, **fields: Any
    ) -> None:
        before = self.sellable
        for count, units, of_batch in self._level(location_id).corrections(change, batch, occurred_at):
            if units:
                # The units that a count set the cost of have that cost still, whatever came to light since.
                costed = count.unit_cost is not None and count.batch == of_batch
                self.trigger_event(
                    StockAdjusted,
                    location_id=location_id,
                    difference=plain(units),
                    reason="counted since: what was dated before is in the count",
                    batch=of_batch,
                    counted=count.counted if costed else None,
                    unit_cost=count.unit_cost if costed else None,
                    currency=self.currency if costed else None,
                    corrects=True,
                    occurred_at=count.at,
                )
        came_aside = change > 0 and fields.get("condition", StockCondition.GOOD) is not StockCondition.GOOD
        if came_aside and self.sellable < before:
            # Units that were counted as free ones turned out to be set aside.
            self.note_outflow(before, occurred_at)

    def require_quantity(self, quantity: Decimal, path: Path = ("quantity",), *, zero: bool = False) -> Decimal:
        """Return the quantity in its canonical spelling.

        Refuses InvalidField unless it is positive (or `zero` is allowed and it is 0) and has no more decimal places
        than this article is measured in.
        """
        if not quantity.is_finite() or quantity >= MAX_QUANTITY or quantity < 0 or (not quantity and not zero):
            raise InvalidField(why="a quantity is a positive number below 10^12", path=path, ids=[self.id])
        spelled = plain(quantity)
        if not spelled.same_quantum(_ONE) and -int(spelled.as_tuple().exponent) > self.quantity_places:
            why = f"{self.code} is measured in {self.unit} to {self.quantity_places} decimal places"
            raise InvalidField(why=why, path=path, ids=[self.id])
        return spelled

    def require_orderable(self, store_id: UUID, asked: Decimal, path: Path = ()) -> Decimal:
        """Return the quantity in its canonical spelling if a buyer may order it; `plan_reservation` checks the stock.

        Refuses: SkuNotListed, BelowMinimumQuantity, InvalidField; StockInsufficient when it is off sale only because
        it sold out (so that the last buyers of a rush all get the same answer).
        """
        quantity = self.require_quantity(asked, path)
        listing = self.listings.get(store_id)
        if listing is None or not listing.listed or self.prohibited:
            if listing is not None and listing.reason is DelistReason.OUT_OF_STOCK and not self.available:
                raise StockInsufficient(code=self.code, available=ZERO, asked=quantity, path=path, ids=[self.id])
            raise SkuNotListed(code=self.code, path=path, ids=[self.id])
        if quantity < self.min_order_quantity:
            raise BelowMinimumQuantity(
                code=self.code, minimum=self.min_order_quantity, asked=quantity, path=path, ids=[self.id]
            )
        return quantity

    def plan_reservation(
        self,
        quantity: Decimal,
        location_ids: Sequence[UUID],
        campaign_id: UUID | None = None,
        path: Path = (),
        *,
        taken: Sequence[Pick] = (),
    ) -> tuple[Pick, ...]:
        """Say where the units would come from; records nothing.

        The first location that has them all, else as many as each has in the order of `location_ids`. A campaign with
        stock allocated sells from that alone (the picks then name it); any other sells from open stock. `taken` are
        picks of this same decision that are not reserved yet. Articles without stock of their own need no picks: ().
        Refuses: StockInsufficient, CampaignQuotaUsed.
        """
        if self.mode is not FulfilmentMode.STOCKED:
            return ()
        quota = None if campaign_id is None else self.allocations.get(campaign_id)
        source = None if quota is None else campaign_id
        found = ZERO
        parts: list[tuple[UUID, Decimal]] = []
        for location_id in location_ids:
            if quota is not None:
                free = quota.get(location_id, ZERO)
            else:
                level = self.levels.get(location_id)
                free = ZERO if level is None else level.sellable
            for pick in taken:
                if pick.location_id == location_id and pick.campaign_id == source:
                    free -= pick.quantity
            if free >= quantity:
                return (Pick(location_id=location_id, quantity=quantity, campaign_id=source),)
            if free > 0:
                found += free
                parts.append((location_id, free))
        if found < quantity:
            refusal = StockInsufficient if source is None else CampaignQuotaUsed
            ids = [self.id] if source is None else [self.id, source]
            raise refusal(code=self.code, available=plain(found), asked=plain(quantity), path=path, ids=ids)
        picks: list[Pick] = []
        wanted = quantity
        for location_id, free in parts:
            part = min(free, wanted)
            picks.append(Pick(location_id=location_id, quantity=plain(part), campaign_id=source))
            wanted -= part
            if not wanted:
                break
        return tuple(picks)

    def reserve(
        self,
        order_id: UUID,
        store_id: UUID,
        picks: Sequence[Pick],
        at: datetime,
        *,
        reference: str | None = None,
        document: str | None = None,
    ) -> None:
        """Set planned units apart; whatever that empties goes off sale in the same decision."""
        if not picks:
            return
        before = self.sellable if self.stock_policy.low_line is not None else ZERO
        for pick in picks:
            self.trigger_event(
                StockReserved,
                order_id=order_id,
                store_id=store_id,
                location_id=pick.location_id,
                quantity=pick.quantity,
                campaign_id=pick.campaign_id,
                reference=reference,
                document=document,
                occurred_at=at,
            )
        self.note_outflow(before, at)

    def reserved_for(self, order_id: UUID) -> Decimal:
        """Return how many units are set apart for an order (or a hold)."""
        return sum((held.quantity for held in self.reservations.get(order_id, ())), ZERO)

    def require_reserved(self, order_id: UUID, quantity: Decimal, path: Path = ()) -> None:
        """Refuse NotReserved when fewer units are set apart for the order; articles without stock need none."""
        reserved = self.reserved_for(order_id)
        if self.mode is FulfilmentMode.STOCKED and reserved < quantity:
            raise NotReserved(code=self.code, available=plain(reserved), asked=quantity, path=path, ids=[self.id])

    def release(
        self,
        order_id: UUID,
        store_id: UUID,
        at: datetime,
        quantity: Decimal | None = None,
        *,
        campaign_id: UUID | None = None,
        document: str | None = None,
    ) -> None:
        """Free what is set apart for the order, all of it or `quantity`, beginning with the units of `campaign_id`.

        Nothing set apart: nothing recorded.
        """
        held = self.reservations.get(order_id, [])
        if len(held) > 1:
            held = sorted(held, key=lambda part: part.campaign_id != campaign_id)
        for part, units in parts_of(held, quantity):
            self.trigger_event(
                ReservationReleased,
                order_id=order_id,
                store_id=store_id,
                location_id=part.location_id,
                quantity=units,
                campaign_id=part.campaign_id,
                to_quota=part.campaign_id in self.allocations,
                document=document,
                occurred_at=at,
            )
            set_barred_aside(self, part.location_id, at)

    def require_batches(
        self,
        order_id: UUID,
        parcel: Sequence[tuple[Decimal, UUID | None, str | None]],
        location_id: UUID | None,
        path: Path = (),
    ) -> None:
        """Refuse what `ship` of (quantity, campaign, batch) may not take.

        Refuses: ExceedsBatch when it would take more of a batch than is there, BatchBarred when it would take units
        that were recalled or have expired.
        """
        if all(batch is None for _, _, batch in parcel) and not self.batches:
            return
        rest = [copy.copy(part) for part in self.reservations.get(order_id, ())]
        leaving: dict[tuple[UUID, str | None], Decimal] = {}
        for quantity, campaign_id, batch in parcel:
            for part, units in parts_of(in_order(rest, location_id, campaign_id), quantity):
                part.quantity -= units
                for key in dict.fromkeys(((part.location_id, batch), (part.location_id, None))):
                    leaving[key] = leaving.get(key, ZERO) + units
            rest = [part for part in rest if part.quantity]
        for (place, named), units in leaving.items():
            # Under no name it is all that leaves the place, by batch or not: the others there have to be enough.
            require_not_barred(self, place, named, units, path=path)
            self.require_in_batch(place, named, units, path=path)

    def ship(
        self,
        order_id: UUID,
        store_id: UUID,
        parcel_id: UUID,
        quantity: Decimal,
        at: datetime,
        *,
        location_id: UUID | None = None,
        campaign_id: UUID | None = None,
        batch: str | None = None,
        document: str | None = None,
    ) -> None:
        """Let units leave that are set apart for the order (`require_reserved` first).

        Units at `location_id`, then units of `campaign_id`, leave before others.
        """
        held = in_order(self.reservations.get(order_id, []), location_id, campaign_id)
        for part, units in parts_of(held, quantity):
            self.move(
                StockShipped,
                -units,
                order_id=order_id,
                store_id=store_id,
                parcel_id=parcel_id,
                location_id=part.location_id,
                quantity=units,
                campaign_id=part.campaign_id,
                batch=batch,
                document=document,
                occurred_at=at,
            )

    def take_back(
        self,
        order_id: UUID | None,
        store_id: UUID,
        location_id: UUID,
        quantity: Decimal,
        condition: StockCondition,
        at: datetime,
        *,
        return_id: UUID | None = None,
        batch: str | None = None,
        document: str | None = None,
    ) -> None:
        """Take units back in; articles without stock of their own have nowhere to put them and record nothing."""
        if self.mode is not FulfilmentMode.STOCKED:
            return
        self.move(
            StockReturned,
            quantity,
            order_id=order_id,
            store_id=store_id,
            location_id=location_id,
            quantity=quantity,
            condition=condition,
            return_id=return_id,
            batch=batch,
            document=document,
            occurred_at=at,
        )

    def price_in(self, store_id: UUID) -> Price | None:
        """Return its price in a store; a store without a price of its own sells at the home store's."""
        return self.prices.get(store_id) or self.prices.get(self.store_id)

    def require_price(self, store_id: UUID, path: Path = ()) -> Price:
        """Return its price in a store. Refuses PriceMissing."""
        price = self.price_in(store_id)
        if price is None:
            raise PriceMissing(code=self.code, path=path, ids=[self.id])
        return price

    def price_for(self, store_id: UUID, path: Path = ()) -> Decimal:
        """Return the list price in a store. Refuses PriceMissing."""
        return self.require_price(store_id, path).list_price

    def tiers_in(self, store_id: UUID) -> dict[str, TierPrice]:
        """Return the tier prices that hold in a store: its own, else the home store's."""
        return self.tier_prices.get(store_id) or self.tier_prices.get(self.store_id) or {}

    def tier_price(
        self, store_id: UUID, tiers: Sequence[str], factors: Mapping[str, Decimal] = _NO_FACTORS
    ) -> tuple[Decimal, str] | None:
        """Return the lowest price that the held tiers give in a store, and the tier it comes from.

        factors: what part of the list price a tier pays for goods that have no price of their own for it; by these
        alone nobody pays less than the cost. None when no tier does better than the list price. Tier prices do not add
        up: the lowest one alone counts.
        """
        entries = self.tiers_in(store_id)
        price = self.require_price(store_id)
        best: tuple[Decimal, str] | None = None
        for tier in tiers:
            entry = entries.get(tier)
            if entry is not None:
                amount = tier_amount(entry, price.list_price)
            elif tier in factors and self.mode is not FulfilmentMode.SERVICE:
                amount = tier_amount(TierPrice(tier=tier, factor=factors[tier]), price.list_price)
                amount = amount if price.cost is None else max(amount, price.cost)
            else:
                continue
            if amount < price.list_price and (best is None or amount < best[0]):
                best = (amount, tier)
        return best

    def note_outflow(self, sellable_before: Decimal, at: datetime) -> None:
        """Record what a loss of free units leads to: the low line crossed, nothing left, off sale everywhere.

        sellable_before: looked at only if there is a low line.
        """
        low_line = self.stock_policy.low_line
        if low_line is not None and (sellable := self.sellable) <= low_line < sellable_before:
            self.trigger_event(LowStockReached, sellable=plain(sellable), low_line=low_line, occurred_at=at)
        if self.available:
            return
        self.trigger_event(StockDepleted, occurred_at=at)
        for store_id, listing in list(self.listings.items()):
            if listing.listed:
                self.trigger_event(SkuDelisted, store_id=store_id, reason=DelistReason.OUT_OF_STOCK, occurred_at=at)
