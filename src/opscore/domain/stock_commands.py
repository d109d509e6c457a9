"""What staff can ask for about an article's stock: take in, hold, count, move, give up, keep for a campaign.

Each of these may name the document behind it and may be entered after the fact; it is checked against the stock that is
on record now.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, ClassVar
from uuid import UUID

from msgspec import Meta

from opscore.domain.aggregate import Aggregate
from opscore.domain.barring import require_not_barred, set_barred_aside
from opscore.domain.batches import expire_on_arrival, require_same_batch
from opscore.domain.campaign import Campaign, CampaignStatus
from opscore.domain.command import Command, Role, UnitOfWork
from opscore.domain.periods import OverrideReason, note_override, require_open_books
from opscore.domain.policies import Inspection
from opscore.domain.refusals import CurrencyMismatch, InvalidField, NotFound, ReasonMissing, Refusal, WrongState
from opscore.domain.sku import (
    ZERO,
    CampaignStockAllocated,
    CampaignStockReleased,
    SampleIssued,
    Sku,
    SkuStatus,
    StockAdjusted,
    StockCondition,
    StockCounted,
    StockReceived,
    StockReclassified,
    StockState,
    StockTransferredIn,
    StockTransferredOut,
    StockWrittenOff,
    WriteOffKind,
)
from opscore.domain.sku_commands import SkuId, require_unit_price, sku_and_store
from opscore.domain.sku_events import (
    AllocationExceedsQuota,
    AlreadyReserved,
    BatchBarred,
    BatchDiffers,
    CampaignQuotaUsed,
    CountBelowHeld,
    CountOutdated,
    ExceedsBatch,
    ExceedsOnHand,
    ExceedsTransfer,
    HoldsNoStock,
    InspectionNeeded,
    NotInCampaign,
    NotReserved,
    SameLocation,
    SameState,
    StockInsufficient,
    StoreNotInCampaign,
    TransferUnknown,
)
from opscore.domain.sku_purchases import ExceedsPurchase, PurchaseUnknown, require_open
from opscore.domain.sku_state import BatchLevel
from opscore.domain.store import Store
from opscore.domain.store_events import LocationClosedAlready, PeriodClosedAlready
from opscore.domain.values import MAX_MINOR, Code, Currency, Label, Reason, derived_id, line_amount_minor, plain

KEEPERS = frozenset({Role.OWNER, Role.MANAGER, Role.WAREHOUSE})
BOOKKEEPERS = KEEPERS | {Role.FINANCE}
PROMOTERS = frozenset({Role.OWNER, Role.MANAGER, Role.PROMOTER})

StoreId = Annotated[
    UUID | None, Meta(description="The store that the location is of; the article's home store if left out.")
]
LocationId = Annotated[UUID, Meta(description="The location.")]
Quantity = Annotated[Decimal, Meta(description="How many units.")]
Document = Annotated[Code | None, Meta(description="Number of the document behind it: delivery note, sheet, form.")]
ReceiverCode = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:/-]{1,64}$")]
Reference = Annotated[Code, Meta(description="Name of the hold, unique per article.")]
Batch = Annotated[
    Code | None,
    Meta(
        description="Number of the batch the units are of; left out, they are of any. Where units came in by batch, no "
        "batch gives more than it has."
    ),
]


def stock_at(
    work: UnitOfWork, sku_id: UUID, store_id: UUID | None, location_id: UUID, *, closed_too: bool = False
) -> Sku:
    """Return an article with stock of its own whose units at a location of the store the actor may move.

    closed_too: whether a closed location will do, to take out what is left there.
    Refuses: NotFound, HoldsNoStock, LocationClosedAlready.
    """
    sku, store = sku_and_store(work, sku_id, store_id)
    sku.require_stocked()
    store.require_location(location_id, ("location_id",), closed_too=closed_too)
    return sku


def hold_id(sku_id: UUID, reference: str) -> UUID:
    """Return the id under which a hold reserves; no order can have it."""
    return derived_id("hold", sku_id, reference)


class ReceiveStock(Command):
    """Take units in."""

    AGGREGATE: ClassVar[type[Aggregate]] = Sku
    ROLES: ClassVar[frozenset[Role]] = BOOKKEEPERS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (
        HoldsNoStock,
        LocationClosedAlready,
        CurrencyMismatch,
        CountBelowHeld,
        BatchDiffers,
        PurchaseUnknown,
        ExceedsPurchase,
        PeriodClosedAlready,
    )

    sku_id: SkuId
    location_id: LocationId
    quantity: Quantity
    batch: Annotated[
        Code | None, Meta(description="Number of the batch they are from; from then on batches are kept apart there.")
    ] = None
    purchase_id: Annotated[
        UUID | None,
        Meta(
            description="The purchase by which they were on order; it may take several receipts. What comes beyond it "
            "is received without it."
        ),
    ] = None
    unit_cost: Annotated[
        Decimal | None,
        Meta(
            description="Cost of one unit, freight included, say; the purchase's if left out, and without a purchase "
            "left out while unknown."
        ),
    ] = None
    currency: Annotated[Currency | None, Meta(description="Currency of the cost, to be sure; the article's own.")] = (
        None
    )
    cost_assumed: Annotated[bool, Meta(description="Whether the cost is a guess; figures made of it say so.")] = False
    condition: Annotated[
        StockCondition, Meta(description="What state they are in; what is not good is set aside, in quarantine say.")
    ] = StockCondition.GOOD
    produced_on: Annotated[date | None, Meta(description="Day on which the batch was made.")] = None
    expires_on: Annotated[
        date | None,
        Meta(
            description="Last day on which units of the batch may be sold, by the calendar of the article's home "
            "store; what is left then is set aside."
        ),
    ] = None
    place_of_origin: Annotated[Label | None, Meta(description="Where the batch comes from.")] = None
    store_id: StoreId = None
    document: Document = None
    override_reason: OverrideReason = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Add them to open stock, or set them aside; so are units of a batch that was recalled or has expired."""
        sku = stock_at(work, self.sku_id, self.store_id, self.location_id)
        require_open_books(work, sku, self.override_reason)
        sku.require_status(SkuStatus.DRAFT, SkuStatus.REVIEW, SkuStatus.READY)
        quantity = sku.require_quantity(self.quantity)
        if self.currency is not None and self.currency != sku.currency:
            raise CurrencyMismatch(expected=sku.currency, given=self.currency, path=("currency",), ids=[sku.id])
        if self.cost_assumed and self.unit_cost is None:
            raise InvalidField(why="there is no cost that could be assumed", path=("cost_assumed",))
        unit_cost = None if self.unit_cost is None else require_receipt_cost(sku, self.unit_cost, quantity)
        condition = self.condition
        if self.purchase_id is not None:
            purchase = require_open(sku, self.purchase_id, quantity)
            unit_cost = purchase.unit_cost if unit_cost is None else unit_cost
        condition = self._until_inspected(work, sku)
        require_same_batch(sku, self.batch, self.produced_on, self.expires_on, self.place_of_origin)
        sku.require_uncounted(self.location_id, work.occurred_at, [(condition, quantity, self.batch)])
        sku.move(
            StockReceived,
            quantity,
            location_id=self.location_id,
            batch=self.batch,
            quantity=quantity,
            unit_cost=unit_cost,
            currency=sku.currency,
            cost_assumed=self.cost_assumed,
            condition=condition,
            document=self.document,
            produced_on=self.produced_on,
            expires_on=self.expires_on,
            place_of_origin=self.place_of_origin,
            purchase_id=self.purchase_id,
            occurred_at=work.occurred_at,
        )
        if self.batch is not None:
            expire_on_arrival(work, sku, self.batch)
        note_override(work, sku, self.override_reason)
        return sku.id

    def _until_inspected(self, work: UnitOfWork, sku: Sku) -> StockCondition:
        """Return the condition of what comes in: it waits for an inspection where the policy wants one of purchases,
        and always where the category has a residue limit.

        Refuses: InvalidField (they are of no batch, by which they would be inspected).
        """
        policy = _inspection(work, sku)
        waits = sku.category in policy.residue_limits or (policy.receipts and self.purchase_id is not None)
        if self.condition is not StockCondition.GOOD or not waits:
            return self.condition
        if self.batch is None:
            raise InvalidField(why="name the batch, by which it is inspected before it is sold", path=("batch",))
        return StockCondition.QUARANTINED


def _inspection(work: UnitOfWork, sku: Sku) -> Inspection:
    return work.get(Store, sku.store_id, scoped=False).policy(Inspection, work.occurred_at)


def require_receipt_cost(sku: Sku, unit_cost: Decimal, quantity: Decimal) -> Decimal:
    """Return the cost of one of these units in canonical spelling; refuses InvalidField, also for too much in all."""
    spelled = require_unit_price(unit_cost, ("unit_cost",))
    if line_amount_minor(spelled, quantity, sku.currency) > MAX_MINOR:
        raise InvalidField(why=f"stock of one cost is worth at most {MAX_MINOR} minor units", path=("unit_cost",))
    return spelled


class ReserveStock(Command):
    """Hold units under a name, for something that is not an order here: orders reserve by themselves."""

    AGGREGATE: ClassVar[type[Aggregate]] = Sku
    ROLES: ClassVar[frozenset[Role]] = KEEPERS | {Role.SERVICE}
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (
        HoldsNoStock,
        LocationClosedAlready,
        StockInsufficient,
        AlreadyReserved,
        PeriodClosedAlready,
    )

    sku_id: SkuId
    location_id: LocationId
    quantity: Quantity
    reference: Reference
    store_id: StoreId = None
    document: Document = None
    override_reason: OverrideReason = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Set open stock apart under the name."""
        sku = stock_at(work, self.sku_id, self.store_id, self.location_id)
        quantity = sku.require_quantity(self.quantity)
        require_open_books(work, sku, self.override_reason)
        hold = hold_id(sku.id, self.reference)
        held = sku.reservations.get(hold)
        if held is not None:
            if len(held) == 1 and (held[0].location_id, held[0].quantity) == (self.location_id, quantity):
                return sku.id  # Asked twice, recorded once.
            raise AlreadyReserved(reference=self.reference, code=sku.code, path=("reference",), ids=[sku.id])
        picks = sku.plan_reservation(quantity, [self.location_id], path=("quantity",))
        sku.reserve(
            hold,
            self.store_id or sku.store_id,
            picks,
            work.occurred_at,
            reference=self.reference,
            document=self.document,
        )
        note_override(work, sku, self.override_reason)
        return sku.id


class ReleaseReservation(Command):
    """Free units that are held under a name."""

    AGGREGATE: ClassVar[type[Aggregate]] = Sku
    ROLES: ClassVar[frozenset[Role]] = KEEPERS | {Role.SERVICE}
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (NotReserved, PeriodClosedAlready)

    sku_id: SkuId
    reference: Reference
    quantity: Annotated[Decimal | None, Meta(description="How many units; all of them if left out.")] = None
    document: Document = None
    override_reason: OverrideReason = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Give them back to open stock."""
        sku, store_id, quantity = held_under(work, self.sku_id, self.reference, self.quantity)
        require_open_books(work, sku, self.override_reason)
        sku.release(hold_id(sku.id, self.reference), store_id, work.occurred_at, quantity, document=self.document)
        note_override(work, sku, self.override_reason)
        return sku.id


class ShipStock(Command):
    """Let units leave that are held under a name. What an order reserved leaves by shipping that order."""

    AGGREGATE: ClassVar[type[Aggregate]] = Sku
    ROLES: ClassVar[frozenset[Role]] = KEEPERS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (NotReserved, ExceedsBatch, BatchBarred, PeriodClosedAlready)

    sku_id: SkuId
    reference: Reference
    quantity: Annotated[Decimal | None, Meta(description="How many units; all of them if left out.")] = None
    batch: Batch = None
    document: Document = None
    override_reason: OverrideReason = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Take them off the book as one parcel."""
        sku, store_id, quantity = held_under(work, self.sku_id, self.reference, self.quantity)
        require_open_books(work, sku, self.override_reason)
        sku.require_batches(hold_id(sku.id, self.reference), [(quantity, None, self.batch)], None, ("quantity",))
        sku.ship(
            hold_id(sku.id, self.reference),
            store_id,
            work.new_id(),
            quantity,
            work.occurred_at,
            batch=self.batch,
            document=self.document,
        )
        note_override(work, sku, self.override_reason)
        return sku.id


def held_under(work: UnitOfWork, sku_id: UUID, reference: str, asked: Decimal | None) -> tuple[Sku, UUID, Decimal]:
    """Return the article, the store a hold is for, and how many of its units are meant.

    Refuses: NotFound when the store is out of the actor's scope, NotReserved.
    """
    sku = work.sku(sku_id, scoped=False)
    held = sku.reservations.get(hold_id(sku.id, reference))
    store_id = held[0].store_id if held else sku.store_id
    if not work.actor.may_act_for(store_id):
        raise NotFound(what="sku", path=("sku_id",), ids=[sku_id])
    quantity = sku.require_quantity(asked) if asked is not None else sku.reserved_for(hold_id(sku.id, reference))
    if not held or sku.reserved_for(hold_id(sku.id, reference)) < quantity:
        reserved = plain(sku.reserved_for(hold_id(sku.id, reference)))
        raise NotReserved(code=sku.code, available=reserved, asked=asked or "some", path=("reference",), ids=[sku.id])
    return sku, store_id, quantity


class TakeBackStock(Command):
    """Take units back in that had left without an order here. Goods of an order come back through its return."""

    AGGREGATE: ClassVar[type[Aggregate]] = Sku
    ROLES: ClassVar[frozenset[Role]] = BOOKKEEPERS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (
        HoldsNoStock,
        LocationClosedAlready,
        CountBelowHeld,
        PeriodClosedAlready,
    )

    sku_id: SkuId
    location_id: LocationId
    quantity: Quantity
    condition: Annotated[StockCondition, Meta(description="What state they are in; what is not good is set aside.")]
    batch: Batch = None
    store_id: StoreId = None
    document: Document = None
    override_reason: OverrideReason = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Add them to open stock, or set them aside."""
        sku = stock_at(work, self.sku_id, self.store_id, self.location_id)
        require_open_books(work, sku, self.override_reason)
        quantity = sku.require_quantity(self.quantity)
        sku.require_uncounted(self.location_id, work.occurred_at, [(self.condition, quantity, self.batch)])
        sku.take_back(
            None,
            self.store_id or sku.store_id,
            self.location_id,
            quantity,
            self.condition,
            work.occurred_at,
            batch=self.batch,
            document=self.document,
        )
        note_override(work, sku, self.override_reason)
        return sku.id


class WriteOffStock(Command):
    """Give units up that are damaged, spoiled, expired or lost."""

    AGGREGATE: ClassVar[type[Aggregate]] = Sku
    ROLES: ClassVar[frozenset[Role]] = BOOKKEEPERS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (HoldsNoStock, ExceedsOnHand, ExceedsBatch, PeriodClosedAlready)

    sku_id: SkuId
    location_id: LocationId
    quantity: Quantity
    kind: Annotated[WriteOffKind, Meta(description="What became of them.")]
    reason: Annotated[Reason, Meta(description="How it came about.")]
    condition: Annotated[
        StockCondition,
        Meta(
            description="Which units: good ones out of open stock, those in quarantine, or those set aside as damaged."
        ),
    ] = StockCondition.GOOD
    batch: Batch = None
    store_id: StoreId = None
    document: Document = None
    override_reason: OverrideReason = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Take them off the book; the last free unit takes the article off sale."""
        sku = stock_at(work, self.sku_id, self.store_id, self.location_id, closed_too=True)
        require_open_books(work, sku, self.override_reason)
        quantity = sku.require_quantity(self.quantity)
        state = _STATES.get(self.condition, StockState.DAMAGED)
        require_of_state(sku, self.location_id, state, quantity, self.batch)
        before = sku.sellable
        sku.move(
            StockWrittenOff,
            -quantity,
            location_id=self.location_id,
            quantity=quantity,
            kind=self.kind,
            reason=self.reason,
            condition=self.condition,
            batch=self.batch,
            document=self.document,
            occurred_at=work.occurred_at,
        )
        if state is StockState.AVAILABLE:
            sku.note_outflow(before, work.occurred_at)
        note_override(work, sku, self.override_reason)
        return sku.id


_STATES = {StockCondition.GOOD: StockState.AVAILABLE, StockCondition.QUARANTINED: StockState.QUARANTINED}
"""The state of units by their condition; of any other condition they are set aside as damaged."""


def require_of_state(
    sku: Sku,
    location_id: UUID,
    state: StockState,
    quantity: Decimal,
    batch: str | None,
    path: tuple[str, ...] = ("quantity",),
) -> None:
    """Refuse ExceedsOnHand when fewer units of a state are free at a location, ExceedsBatch when of the batch are."""
    free = sku.level_at(location_id).of_state(state)
    if free < quantity:
        raise ExceedsOnHand(
            code=sku.code,
            available=plain(free),
            condition=state.value,
            asked=quantity,
            path=path,
            ids=[sku.id],
        )
    sku.require_in_batch(location_id, batch, quantity, state, path)


class ReclassifyStock(Command):
    """Say that units are in another state than they were: found damaged, put in quarantine, found good after all.

    They stay where they are, and units that are reserved or allocated stay so: only free ones leave open stock.
    """

    AGGREGATE: ClassVar[type[Aggregate]] = Sku
    ROLES: ClassVar[frozenset[Role]] = KEEPERS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (
        HoldsNoStock,
        SameState,
        ExceedsOnHand,
        ExceedsBatch,
        BatchBarred,
        InspectionNeeded,
        PeriodClosedAlready,
    )

    sku_id: SkuId
    location_id: LocationId
    quantity: Quantity
    from_state: Annotated[StockState, Meta(description="What they were.")]
    to_state: Annotated[StockState, Meta(description="What they are.")]
    reason: Annotated[Reason, Meta(description="What was found.")]
    batch: Batch = None
    store_id: StoreId = None
    document: Document = None
    override_reason: OverrideReason = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Move them between open stock, quarantine and damaged; the last free unit takes the article off sale."""
        sku = stock_at(work, self.sku_id, self.store_id, self.location_id, closed_too=True)
        require_open_books(work, sku, self.override_reason)
        if self.from_state is self.to_state:
            raise SameState(state=self.to_state.value, path=("to_state",), ids=[sku.id])
        quantity = sku.require_quantity(self.quantity)
        require_of_state(sku, self.location_id, self.from_state, quantity, self.batch)
        if self.to_state is StockState.AVAILABLE:
            require_not_barred(sku, self.location_id, self.batch, quantity, self.from_state)
            if sku.category in _inspection(work, sku).residue_limits:
                raise InspectionNeeded(category=sku.category, path=("to_state",), ids=[sku.id])
        before = sku.sellable
        sku.trigger_event(
            StockReclassified,
            location_id=self.location_id,
            quantity=quantity,
            from_state=self.from_state,
            to_state=self.to_state,
            reason=self.reason,
            batch=self.batch,
            document=self.document,
            occurred_at=work.occurred_at,
        )
        if self.from_state is StockState.AVAILABLE:
            sku.note_outflow(before, work.occurred_at)
        set_barred_aside(sku, self.location_id, work.occurred_at)
        note_override(work, sku, self.override_reason)
        return sku.id


class IssueSample(Command):
    """Give units away as samples."""

    AGGREGATE: ClassVar[type[Aggregate]] = Sku
    ROLES: ClassVar[frozenset[Role]] = KEEPERS | {Role.PROMOTER}
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (
        HoldsNoStock,
        StockInsufficient,
        ExceedsBatch,
        BatchBarred,
        PeriodClosedAlready,
    )

    sku_id: SkuId
    location_id: LocationId
    quantity: Quantity
    purpose: Annotated[Reason, Meta(description="What the sample is for.")]
    receiver: Annotated[
        ReceiverCode | None,
        Meta(description="Code of the customer, reviewer or department that gets it; never a person's name."),
    ] = None
    batch: Batch = None
    store_id: StoreId = None
    document: Document = None
    override_reason: OverrideReason = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Take them off the book; the last free unit takes the article off sale."""
        sku = stock_at(work, self.sku_id, self.store_id, self.location_id, closed_too=True)
        require_open_books(work, sku, self.override_reason)
        quantity = sku.require_quantity(self.quantity)
        sku.require_sellable(self.location_id, quantity)
        require_not_barred(sku, self.location_id, self.batch, quantity)
        sku.require_in_batch(self.location_id, self.batch, quantity)
        before = sku.sellable
        sku.move(
            SampleIssued,
            -quantity,
            location_id=self.location_id,
            quantity=quantity,
            receiver=self.receiver,
            purpose=self.purpose,
            batch=self.batch,
            document=self.document,
            occurred_at=work.occurred_at,
        )
        sku.note_outflow(before, work.occurred_at)
        note_override(work, sku, self.override_reason)
        return sku.id


class CountStock(Command):
    """Enter what was counted at a location, or of a batch there; a difference to the book is posted with its reason.

    From then on the count stands: a movement that is entered later and dated before it changes nothing after it. The
    count itself is compared with the book as it is when it is entered, so enter it before anything moves again.
    """

    AGGREGATE: ClassVar[type[Aggregate]] = Sku
    ROLES: ClassVar[frozenset[Role]] = BOOKKEEPERS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (
        HoldsNoStock,
        CountOutdated,
        CountBelowHeld,
        ReasonMissing,
        PeriodClosedAlready,
    )

    sku_id: SkuId
    location_id: LocationId
    counted: Annotated[Decimal, Meta(description="Units found: open, reserved, allocated and set-aside ones together.")]
    batch: Annotated[
        Code | None, Meta(description="Number of the batch that was counted; the whole location if left out.")
    ] = None
    expected_on_hand: Annotated[
        Decimal | None, Meta(description="What the book said when you counted; refused if it says something else now.")
    ] = None
    reason: Annotated[Reason | None, Meta(description="Why book and count differ; needed if they do.")] = None
    unit_cost: Annotated[
        Decimal | None,
        Meta(description="What one of the counted units costs from then on; left out, they keep the cost they have."),
    ] = None
    store_id: StoreId = None
    document: Document = None
    override_reason: OverrideReason = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Record the count; bring the book to it, but never below what is reserved, allocated or set aside."""
        sku = stock_at(work, self.sku_id, self.store_id, self.location_id, closed_too=True)
        require_open_books(work, sku, self.override_reason)
        counted = sku.require_quantity(self.counted, ("counted",), zero=True)
        level = sku.level_at(self.location_id)
        of_batch = None if self.batch is None else level.batches.get(self.batch, BatchLevel())
        book = plain(level.on_hand if of_batch is None else of_batch.on_hand)
        if self.expected_on_hand is not None and self.expected_on_hand != book:
            path = ("expected_on_hand",)
            raise CountOutdated(code=sku.code, book=book, expected=self.expected_on_hand, path=path, ids=[sku.id])
        difference = plain(counted - book)
        # What is held of the location may be of the batch: only what is free of both may turn out not to be there.
        held = book - level.sellable if of_batch is None else max(of_batch.held, book - level.sellable)
        if counted < held:
            raise CountBelowHeld(code=sku.code, held=plain(held), counted=counted, path=("counted",), ids=[sku.id])
        if difference and self.reason is None:
            raise ReasonMissing(path=("reason",), ids=[sku.id])
        unit_cost = None if self.unit_cost is None else require_receipt_cost(sku, self.unit_cost, counted)
        if unit_cost is not None and not counted:
            raise InvalidField(why="no units were counted that could have a cost", path=("unit_cost",), ids=[sku.id])
        before = sku.sellable
        sku.trigger_event(
            StockCounted,
            location_id=self.location_id,
            book=book,
            counted=counted,
            batch=self.batch,
            unit_cost=unit_cost,
            currency=None if unit_cost is None else sku.currency,
            document=self.document,
            occurred_at=work.occurred_at,
        )
        if difference or unit_cost is not None:
            sku.move(
                StockAdjusted,
                difference,
                location_id=self.location_id,
                difference=difference,
                reason=self.reason or "the count set the cost",
                batch=self.batch,
                counted=None if unit_cost is None else counted,
                unit_cost=unit_cost,
                currency=None if unit_cost is None else sku.currency,
                document=self.document,
                occurred_at=work.occurred_at,
            )
        if difference < 0:
            sku.note_outflow(before, work.occurred_at)
        note_override(work, sku, self.override_reason)
        return sku.id


class TransferStock(Command):
    """Send units from one location to another; they are in transit until they are received there."""

    AGGREGATE: ClassVar[type[Aggregate]] = Sku
    ROLES: ClassVar[frozenset[Role]] = KEEPERS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (
        HoldsNoStock,
        LocationClosedAlready,
        SameLocation,
        StockInsufficient,
        ExceedsBatch,
        BatchBarred,
        PeriodClosedAlready,
    )

    sku_id: SkuId
    location_id: Annotated[UUID, Meta(description="The location they leave.")]
    to_location_id: Annotated[UUID, Meta(description="The location they go to.")]
    quantity: Quantity
    store_id: StoreId = None
    to_store_id: Annotated[
        UUID | None, Meta(description="The store that the other location is of, if not the same store.")
    ] = None
    batch: Batch = None
    document: Document = None
    override_reason: OverrideReason = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Take them off the one location's book and put them under way to the other."""
        sku = stock_at(work, self.sku_id, self.store_id, self.location_id, closed_too=True)
        require_open_books(work, sku, self.override_reason)
        if self.to_location_id == self.location_id:
            raise SameLocation(path=("to_location_id",), ids=[sku.id])
        to_store = work.store(self.to_store_id or self.store_id or sku.store_id, path=("to_store_id",))
        to_store.require_location(self.to_location_id, ("to_location_id",))
        quantity = sku.require_quantity(self.quantity)
        sku.require_sellable(self.location_id, quantity)
        require_not_barred(sku, self.location_id, self.batch, quantity)
        sku.require_in_batch(self.location_id, self.batch, quantity)
        before = sku.sellable
        sku.move(
            StockTransferredOut,
            -quantity,
            transfer_id=work.new_id(),
            location_id=self.location_id,
            to_location_id=self.to_location_id,
            quantity=quantity,
            batch=self.batch,
            document=self.document,
            occurred_at=work.occurred_at,
        )
        sku.note_outflow(before, work.occurred_at)
        note_override(work, sku, self.override_reason)
        return sku.id


class ReceiveTransfer(Command):
    """Take in units of a transfer, all or some, and say which of them were lost on the way."""

    AGGREGATE: ClassVar[type[Aggregate]] = Sku
    ROLES: ClassVar[frozenset[Role]] = KEEPERS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (
        TransferUnknown,
        ExceedsTransfer,
        ReasonMissing,
        PeriodClosedAlready,
    )

    sku_id: SkuId
    transfer_id: Annotated[UUID, Meta(description="The transfer.")]
    quantity: Annotated[Decimal, Meta(description="How many units arrived; the rest stays under way unless lost.")]
    lost: Annotated[Decimal, Meta(description="How many units will never arrive.")] = ZERO
    reason: Annotated[Reason | None, Meta(description="Why units were lost; needed if any were.")] = None
    store_id: StoreId = None
    document: Document = None
    override_reason: OverrideReason = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Put what arrived into open stock and end the transfer when nothing is left under way."""
        sku, store = sku_and_store(work, self.sku_id, self.store_id)
        require_open_books(work, sku, self.override_reason)
        transfer = sku.transfers.get(self.transfer_id)
        if transfer is None or transfer.to_location_id not in store.locations:
            raise TransferUnknown(code=sku.code, path=("transfer_id",), ids=[sku.id])
        quantity = sku.require_quantity(self.quantity, zero=True)
        lost = sku.require_quantity(self.lost, ("lost",), zero=True)
        if not quantity and not lost:
            raise InvalidField(why="say how many arrived or were lost", path=("quantity",))
        if quantity + lost > transfer.quantity:
            under_way, asked = plain(transfer.quantity), plain(quantity + lost)
            raise ExceedsTransfer(code=sku.code, available=under_way, asked=asked, path=("quantity",), ids=[sku.id])
        if lost and self.reason is None:
            raise ReasonMissing(path=("reason",), ids=[sku.id])
        sku.move(
            StockTransferredIn,
            quantity,
            transfer_id=self.transfer_id,
            location_id=transfer.to_location_id,
            from_location_id=transfer.from_location_id,
            quantity=quantity,
            lost=lost,
            reason=self.reason,
            batch=transfer.batch,
            document=self.document,
            occurred_at=work.occurred_at,
        )
        note_override(work, sku, self.override_reason)
        return sku.id


class AllocateCampaignStock(Command):
    """Set open stock aside as a campaign's quota: from then on the campaign sells that and no more."""

    AGGREGATE: ClassVar[type[Aggregate]] = Sku
    ROLES: ClassVar[frozenset[Role]] = PROMOTERS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (
        HoldsNoStock,
        LocationClosedAlready,
        NotInCampaign,
        StoreNotInCampaign,
        AllocationExceedsQuota,
        StockInsufficient,
        PeriodClosedAlready,
    )

    sku_id: SkuId
    campaign_id: Annotated[UUID, Meta(description="The campaign; the article has to be one of its lines.")]
    location_id: LocationId
    quantity: Quantity
    store_id: StoreId = None
    document: Document = None
    override_reason: OverrideReason = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Move units from open stock into the quota."""
        sku = stock_at(work, self.sku_id, self.store_id, self.location_id)
        require_open_books(work, sku, self.override_reason)
        campaign = work.campaign(self.campaign_id)
        if campaign.status not in _OPEN_CAMPAIGN:
            raise WrongState(
                what="campaign",
                state=campaign.status.value,
                needed="not over",
                path=("campaign_id",),
                ids=[campaign.id],
            )
        if (self.store_id or sku.store_id) not in campaign.store_ids:
            raise StoreNotInCampaign(campaign=campaign.name, path=("location_id",), ids=[campaign.id])
        if sku.id not in campaign.lines:
            raise NotInCampaign(code=sku.code, path=("sku_id",), ids=[sku.id, campaign.id])
        quantity = sku.require_quantity(self.quantity)
        sku.require_within_quota(campaign.id, quantity, campaign.lines[sku.id].quota)
        sku.require_sellable(self.location_id, quantity)
        before = sku.sellable
        sku.trigger_event(
            CampaignStockAllocated,
            campaign_id=campaign.id,
            location_id=self.location_id,
            quantity=quantity,
            document=self.document,
            occurred_at=work.occurred_at,
        )
        sku.note_outflow(before, work.occurred_at)
        note_override(work, sku, self.override_reason)
        return sku.id


_OPEN_CAMPAIGN = frozenset(
    {CampaignStatus.PLANNED, CampaignStatus.SCHEDULED, CampaignStatus.LIVE, CampaignStatus.PAUSED}
)


def _require_may_close(campaign: Campaign, sku_id: UUID) -> None:
    """Refuse WrongState while the campaign runs: without its quota the line would sell from ordinary stock."""
    line = campaign.lines.get(sku_id)
    if line is not None and line.quota is not None and campaign.status in (CampaignStatus.LIVE, CampaignStatus.PAUSED):
        needed = "over, or name a location to free units at"
        raise WrongState(what="campaign", state=campaign.status.value, needed=needed, ids=[campaign.id, sku_id])


class ReleaseCampaignStock(Command):
    """Give a campaign's unsold quota back to open stock, all of it or some units at one location."""

    AGGREGATE: ClassVar[type[Aggregate]] = Sku
    ROLES: ClassVar[frozenset[Role]] = PROMOTERS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (CampaignQuotaUsed, PeriodClosedAlready)

    sku_id: SkuId
    campaign_id: Annotated[UUID, Meta(description="The campaign.")]
    location_id: Annotated[UUID | None, Meta(description="The location to free units at; left out, all of them.")] = (
        None
    )
    quantity: Annotated[Decimal | None, Meta(description="How many units; left out, all that are unsold there.")] = None
    document: Document = None
    override_reason: OverrideReason = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Move units out of the quota. Releasing everything closes it: units that come free later go to open stock."""
        campaign = work.campaign(self.campaign_id)
        sku = work.sku(self.sku_id, scoped=False)
        quota = sku.allocations.get(campaign.id)
        if quota is None and not work.actor.may_see(sku):
            raise NotFound(what="sku", path=("sku_id",), ids=[sku.id])
        if quota is None:
            return sku.id  # Asked twice, recorded once.
        require_open_books(work, sku, self.override_reason)
        if self.location_id is None:
            if self.quantity is not None:
                raise InvalidField(why="name the location to free that many units at", path=("location_id",))
            _require_may_close(campaign, sku.id)
            parts = [(location_id, plain(left)) for location_id, left in quota.items() if left]
            # A sold-out quota is closed by releasing no units where it last was.
            self._release(sku, parts or [(next(reversed(quota)), ZERO)], work, closes=True)
            return sku.id
        left = quota.get(self.location_id, ZERO)
        quantity = plain(left) if self.quantity is None else sku.require_quantity(self.quantity)
        if quantity > left or not quantity:
            raise CampaignQuotaUsed(
                code=sku.code, available=plain(left), asked=quantity, path=("quantity",), ids=[sku.id, self.campaign_id]
            )
        self._release(sku, [(self.location_id, quantity)], work, closes=False)
        return sku.id

    def _release(self, sku: Sku, parts: list[tuple[UUID, Decimal]], work: UnitOfWork, *, closes: bool) -> None:
        for index, (location_id, quantity) in enumerate(parts, start=1):
            sku.trigger_event(
                CampaignStockReleased,
                campaign_id=self.campaign_id,
                location_id=location_id,
                quantity=quantity,
                closes=closes and index == len(parts),
                document=self.document,
                occurred_at=work.occurred_at,
            )
            set_barred_aside(sku, location_id, work.occurred_at)
        note_override(work, sku, self.override_reason)
