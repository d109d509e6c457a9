"""One order: what it adds up to (state and fold) and what may happen next (decisions).

What is on record (events) is in order_events.py, how it says no in order_refusals.py, the parts of the state in
order_state.py, money in order_paying.py, calling off in order_cancelling.py, complaints in order_disputes.py, reviews
in order_reviews.py; the commands are in order_placing.py, order_recording.py, order_commands.py, order_arrivals.py,
order_notes.py, order_returns.py, order_return_ways.py, order_return_endings.py, order_refunds.py, order_exchanges.py,
order_recorded_returns.py, order_losses.py, order_dispute_commands.py and order_review_commands.py. The order keeps, per
line, how many units were ordered, cancelled, exchanged, packed, shipped, delivered, lost, asked back, returned and
refunded; its status is derived from these counters and never stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from opscore.domain.aggregate import Aggregate, folds
from opscore.domain.order_disputes import TAKEN_AT, Dispute, DisputeOpen, DisputeOpened, DisputeStep
from opscore.domain.order_events import (
    CourierClaimFiled,
    CourierClaimSettled,
    CustomerContacted,
    ExchangedLine,
    GuestErased,
    LostUnitsReplaced,
    OrderAssisted,
    OrderCancelled,
    OrderCompleted,
    OrderConfirmed,
    OrderContactDisclosed,
    OrderDelivered,
    OrderExpired,
    OrderKind,
    OrderNoted,
    OrderNoteWithdrawn,
    OrderPaid,
    OrderPlaced,
    OrderPriceAmended,
    OrderRefunded,
    OrderShipped,
    OrderTagged,
    OrderUntagged,
    ParcelLine,
    ParcelLost,
    ParcelPacked,
    ParcelTraced,
    ParcelTracked,
    ParcelUnpacked,
    PaymentReceived,
    PriceSource,
    ReceiptConfirmed,
    RefundReason,
    ReturnApproved,
    ReturnCancelled,
    ReturnDeclined,
    ReturnDisposed,
    ReturnExchanged,
    ReturnFreightPaid,
    ReturnLine,
    ReturnReason,
    ReturnReceived,
    ReturnRecorded,
    ReturnRemedy,
    ReturnRequested,
    ReturnShipped,
    ReturnVerified,
    ShortageRemedy,
    ShortageReported,
    ShortageResolved,
    ShortLine,
)
from opscore.domain.order_refusals import (
    ArticleMismatch,
    CustomerNotContacted,
    NothingShort,
    ParcelEmpty,
    QuantityMismatch,
)
from opscore.domain.order_reviews import STEPS, Review, ReviewPosted, ReviewStep
from opscore.domain.order_state import (
    ZERO,
    LineState,
    Note,
    OrderStatus,
    Parcel,
    Payment,
    Refund,
    ReturnCase,
    ReturnCaseLine,
    ReturnStatus,
    units_by_line,
)
from opscore.domain.refusals import InvalidField, NotFound, ReferenceTaken, WrongState
from opscore.domain.values import TrafficSource

Path = Sequence[str | int]

# What it adds up to --------------------------------------------------------------------------------------------------


class Order(Aggregate):
    """One order, from placing to its last refund; or (`kind` RETURN) a return of goods of no order we know."""

    kind: OrderKind
    customer_id: UUID | None
    channel: str
    traffic_source: TrafficSource | None
    device: str | None
    external_reference: str | None
    currency: str
    region: str | None
    recipient: str | None
    address: str | None
    remark: str | None
    price_source: PriceSource
    surge: bool
    lines: list[LineState]
    goods_minor: int
    discount_minor: int
    freight_minor: int
    freight_waived_minor: int
    total_minor: int
    coupon_code: str | None
    coupon_id: UUID | None
    coupon_campaign_id: UUID | None
    points_spent: int
    points_minor: int
    campaign_ids: list[UUID]
    claims: dict[UUID, int]
    """What the order still takes of each campaign's budget."""
    placed_at: datetime
    expires_at: datetime | None
    payments: list[Payment]
    paid_minor: int
    paid_goods_minor: int
    """What was to be paid for the goods when it was paid in full."""
    paid_at: datetime | None
    """When it was paid in full."""
    ship_by: datetime | None
    ship_by_hard: datetime | None
    confirmed_at: datetime | None
    shortage: list[ShortLine]
    customer_contacted: bool
    parcels: dict[UUID, Parcel]
    unpacked: list[UUID]
    """Parcels that were opened again; another one does not get the name of one of these."""
    delivered_at: datetime | None
    """When the last parcel so far arrived."""
    received_at: datetime | None
    """When whoever ordered said that they have the goods."""
    inspected: bool
    """Whether they looked at them then."""
    completed_at: datetime | None
    cancelled_at: datetime | None
    """When the whole of it was called off."""
    expired: bool
    cancelled_goods_minor: int
    cancelled_freight_minor: int
    unearned_minor: int
    """Money taken that is no part of a sale: to go back, whatever becomes of the goods."""
    returns: dict[UUID, ReturnCase]
    refunds: list[Refund]
    disputes: dict[UUID, Dispute]
    reviews: dict[int, Review]
    """By the line that each is of."""
    refunded_minor: int
    refunded_freight_minor: int
    refunded_unearned_minor: int
    guest_erased: bool
    notes: dict[UUID, Note]
    """What staff wrote down and did not withdraw, in order."""
    notes_withdrawn: list[UUID]
    tags: list[str]
    agent: str | None
    """Who of the staff helped the buyer: a pseudonym."""

    # Figures -----------------------------------------------------------------------------------------------------

    @property
    def status(self) -> OrderStatus:
        """Where the order stands: the state of its least advanced unit."""
        if self.kind is OrderKind.RETURN:
            return OrderStatus.RETURNED
        if self.cancelled_at is not None:
            return OrderStatus.CANCELLED
        goods = [line for line in self.lines if not line.service and line.live]
        all_there = all(line.delivered >= line.live for line in goods)
        if self.completed_at is not None and (all_there or not self.sends_anew):
            return OrderStatus.COMPLETED
        if goods:
            if all_there:
                return OrderStatus.DELIVERED
            if all(line.shipped >= line.live for line in goods):
                return OrderStatus.SHIPPED
        if self.shortage:
            return OrderStatus.SHORTAGE
        if any(line.lost for line in goods):
            return OrderStatus.LOST
        if goods and all(line.packed >= line.live for line in goods):
            return OrderStatus.PACKED
        if self.confirmed_at is not None:
            return OrderStatus.CONFIRMED
        return OrderStatus.PLACED if self.paid_at is None else OrderStatus.PAID

    @property
    def subject_id(self) -> UUID:
        """Whose key seals what is personal in it: the customer's, or a guest's under the order's own id."""
        return self.customer_id or self.id

    @property
    def net_total_minor(self) -> int:
        """What is to be paid in all, after what was called off."""
        return self.total_minor - self.cancelled_goods_minor - self.cancelled_freight_minor

    @property
    def due_minor(self) -> int:
        """What is still to be paid."""
        if self.paid_at is not None or self.cancelled_at is not None:
            return 0
        return max(0, self.net_total_minor - self.paid_minor)

    @property
    def refundable_minor(self) -> int:
        """The most that may go back: what was paid and not refunded, unless the order is still being paid."""
        if self.paid_at is None and self.cancelled_at is None:
            return 0
        return self.paid_minor - self.refunded_minor

    @property
    def refundable_goods_minor(self) -> int:
        """What was paid for the goods and not given back, be it for goods or as compensation."""
        return 0 if self.paid_at is None else self.kept_goods_minor

    @property
    def refundable_freight_minor(self) -> int:
        """Freight that was paid and not given back."""
        return 0 if self.paid_at is None else self.freight_minor - self.refunded_freight_minor

    @property
    def has_shipped(self) -> bool:
        """Say whether any unit has left; a service that is asked back was rendered."""
        return any(line.shipped or line.return_requested for line in self.lines)

    @property
    def is_open(self) -> bool:
        """Say whether money is still to come in for it, or goods of it are still to leave."""
        if self.status in (OrderStatus.RETURNED, OrderStatus.CANCELLED, OrderStatus.COMPLETED):
            return False
        return self.paid_at is None or any(line.shipped < line.live for line in self.lines if not line.service)

    @property
    def sends_anew(self) -> bool:
        """Say whether goods were to be sent for goods that came back."""
        return any(case.is_exchanged for case in self.returns.values())

    @property
    def in_dispute(self) -> bool:
        """Say whether anything is still to be done about a complaint."""
        return any(dispute.is_open for dispute in self.disputes.values())

    def returnable(self, line: LineState) -> Decimal:
        """Return how many units left and were not asked back; a service is rendered once it is paid."""
        if not line.service:
            return line.shipped - line.return_requested
        return ZERO if self.paid_at is None else line.live - line.return_requested

    def owed_in_goods(self, line: LineState) -> Decimal:
        """Return how many units came back for which the customer wants goods, and none were sent yet."""
        entries = [case.find(line.line) for case in self.returns.values() if case.remedy is ReturnRemedy.EXCHANGE]
        waiting = sum((entry.received - entry.exchanged for entry in entries if entry is not None), ZERO)
        return min(waiting, line.returned)

    @property
    def kept_goods_minor(self) -> int:
        """What was paid for the goods and has not gone back."""
        refunded_minor = self.refunded_minor - self.refunded_freight_minor - self.refunded_unearned_minor
        return max(0, self.paid_goods_minor - refunded_minor)

    @property
    def points_given_back(self) -> int:
        """How many of the points spent fall to units that were called off or whose money went back."""
        if not self.points_minor:
            return 0
        return self.points_spent * sum(line.points_gone_minor for line in self.lines) // self.points_minor

    # Folds -------------------------------------------------------------------------------------------------------

    @folds(OrderPlaced)
    def _placed(self, event: OrderPlaced) -> None:
        self._begin(event)
        self.region = event.region
        self.recipient = event.recipient
        self.address = event.address
        self.remark = event.remark
        self.price_source = event.price_source
        self.traffic_source, self.device = event.traffic_source, event.device
        self.surge = event.surge
        campaign_ids = {claim.campaign_id for claim in event.claims}
        self.lines = [LineState.begin(line, campaign_ids) for line in event.lines]
        self.goods_minor = event.goods_minor
        self.discount_minor = event.discount_minor
        self.freight_minor = event.freight_minor
        self.freight_waived_minor = event.freight_waived_minor
        self.total_minor = event.total_minor
        self.coupon_code = event.coupon_code
        self.coupon_id = event.coupon_id
        self.coupon_campaign_id = event.coupon_campaign_id
        self.points_spent = event.points_spent
        self.points_minor = event.points_minor
        self.campaign_ids = list(event.campaign_ids)
        self.claims = {claim.campaign_id: claim.amount_minor for claim in event.claims}
        self.expires_at = event.expires_at

    @folds(ReturnRecorded)
    def _return_recorded(self, event: ReturnRecorded) -> None:
        self._begin(event)
        self.region = event.region
        self.recipient = self.address = self.remark = None
        self.price_source = PriceSource.EXTERNAL
        self.surge = False
        self.lines = []
        self.goods_minor = self.discount_minor = self.freight_minor = self.freight_waived_minor = self.total_minor = 0
        self.coupon_code = self.coupon_id = self.coupon_campaign_id = None
        self.points_spent = self.points_minor = 0
        self.campaign_ids = []
        self.claims = {}
        self.expires_at = None

    def _begin(self, event: OrderPlaced | ReturnRecorded) -> None:
        self.store_id = event.store_id
        self.kind = event.kind
        self.customer_id = event.customer_id
        self.channel = event.channel
        self.traffic_source = self.device = None
        self.external_reference = event.external_reference
        self.currency = event.currency
        self.placed_at = event.occurred_at
        self.payments = []
        self.paid_minor = self.paid_goods_minor = 0
        self.paid_at = self.ship_by = self.ship_by_hard = None
        self.confirmed_at = self.delivered_at = self.completed_at = self.cancelled_at = self.received_at = None
        self.inspected = False
        self.shortage = []
        self.customer_contacted = False
        self.parcels = {}
        self.unpacked = []
        self.expired = False
        self.cancelled_goods_minor = self.cancelled_freight_minor = self.unearned_minor = 0
        self.returns = {}
        self.refunds = []
        self.disputes = {}
        self.reviews = {}
        self.refunded_minor = self.refunded_freight_minor = 0
        self.refunded_unearned_minor = 0
        self.guest_erased = False
        self.notes = {}
        self.notes_withdrawn = []
        self.tags = []
        self.agent = None

    @folds(OrderNoted)
    def _noted(self, event: OrderNoted) -> None:
        self.notes[event.note_id] = Note(event.author, event.text, event.occurred_at)

    @folds(OrderNoteWithdrawn)
    def _note_withdrawn(self, event: OrderNoteWithdrawn) -> None:
        del self.notes[event.note_id]
        self.notes_withdrawn.append(event.note_id)

    @folds(OrderAssisted)
    def _assisted(self, event: OrderAssisted) -> None:
        self.agent = event.agent

    @folds(OrderTagged)
    def _tagged(self, event: OrderTagged) -> None:
        self.tags.append(event.tag)

    @folds(OrderUntagged)
    def _untagged(self, event: OrderUntagged) -> None:
        self.tags.remove(event.tag)

    @folds(GuestErased)
    def _guest_erased(self, event: GuestErased) -> None:
        self.recipient = self.address = self.remark = None
        self.guest_erased = True

    @folds(OrderPriceAmended)
    def _price_amended(self, event: OrderPriceAmended) -> None:
        line = self.lines[event.line - 1]
        line.unit_price = event.unit_price
        line.gross_minor = event.gross_minor
        line.discount_minor = event.discount_minor
        line.amount_minor = event.amount_minor
        self.goods_minor = event.goods_minor
        self.discount_minor = event.order_discount_minor
        self.total_minor = event.total_minor

    @folds(PaymentReceived)
    def _payment_received(self, event: PaymentReceived) -> None:
        self.payments.append(Payment(event.amount_minor, event.method, event.provider_reference, event.occurred_at))
        self.paid_minor += event.amount_minor

    @folds(OrderPaid)
    def _paid(self, event: OrderPaid) -> None:
        self.paid_at = event.occurred_at
        self.paid_goods_minor = event.goods_minor
        self.ship_by = event.ship_by
        self.ship_by_hard = event.ship_by_hard
        self.unearned_minor = max(0, self.paid_minor - event.total_minor)

    @folds(OrderContactDisclosed)
    def _contact_disclosed(self, event: OrderContactDisclosed) -> None:
        """It is on record who looked; the order is what it was."""

    @folds(OrderConfirmed)
    def _confirmed(self, event: OrderConfirmed) -> None:
        self.confirmed_at = event.occurred_at

    @folds(ShortageReported)
    def _shortage_reported(self, event: ShortageReported) -> None:
        self.shortage = list(event.lines)
        self.customer_contacted = False

    @folds(CustomerContacted)
    def _customer_contacted(self, event: CustomerContacted) -> None:
        self.customer_contacted = True

    @folds(ShortageResolved)
    def _shortage_resolved(self, event: ShortageResolved) -> None:
        self.shortage = []
        for exchange in event.exchanges:
            self.lines.append(self.lines[exchange.from_line - 1].give_way_to(exchange))

    @folds(ParcelPacked)
    def _parcel_packed(self, event: ParcelPacked) -> None:
        self.parcels[event.parcel_id] = Parcel(event.location_id, list(event.lines))
        for packed in event.lines:
            self.lines[packed.line - 1].packed += packed.quantity

    @folds(ParcelUnpacked)
    def _parcel_unpacked(self, event: ParcelUnpacked) -> None:
        del self.parcels[event.parcel_id]
        self.unpacked.append(event.parcel_id)
        for held in event.lines:
            self.lines[held.line - 1].packed -= held.quantity

    @folds(OrderShipped)
    def _shipped(self, event: OrderShipped) -> None:
        parcel = self.parcels.get(event.parcel_id)
        if parcel is None:
            # Agreed and packed elsewhere: the parcel becomes known when it leaves.
            parcel = self.parcels[event.parcel_id] = Parcel(event.location_id, list(event.lines))
            for packed in event.lines:
                self.lines[packed.line - 1].packed += packed.quantity
        parcel.courier = event.courier
        parcel.waybill = event.waybill
        parcel.shipped_at = event.occurred_at
        parcel.news_by = event.news_by
        for shipped in event.lines:
            self.lines[shipped.line - 1].shipped += shipped.quantity

    @folds(ParcelTracked)
    def _parcel_tracked(self, event: ParcelTracked) -> None:
        self.parcels[event.parcel_id].track(event)

    @folds(OrderDelivered)
    def _delivered(self, event: OrderDelivered) -> None:
        parcel = self.parcels[event.parcel_id]
        parcel.delivered_at = event.occurred_at
        for arrived in parcel.lines:
            self.lines[arrived.line - 1].delivered += arrived.quantity
        # What is reported late of an earlier parcel moves nothing.
        self.delivered_at = max(self.delivered_at or event.occurred_at, event.occurred_at)

    @folds(ParcelLost, ParcelTraced, LostUnitsReplaced)
    def _units_lost(self, event: ParcelLost | ParcelTraced | LostUnitsReplaced) -> None:
        self.parcels[event.parcel_id].miss(event)
        for entry in event.lines:
            line = self.lines[entry.line - 1]
            if isinstance(event, LostUnitsReplaced):
                line.lost -= entry.quantity
            else:
                line.lose(entry.quantity if isinstance(event, ParcelLost) else -entry.quantity)

    @folds(CourierClaimFiled, CourierClaimSettled)
    def _claimed(self, event: CourierClaimFiled | CourierClaimSettled) -> None:
        self.parcels[event.parcel_id].claim_of(event)

    @folds(ReceiptConfirmed)
    def _received(self, event: ReceiptConfirmed) -> None:
        self.received_at, self.inspected = event.occurred_at, event.inspected

    @folds(OrderCompleted)
    def _completed(self, event: OrderCompleted) -> None:
        self.completed_at = event.occurred_at

    @folds(OrderCancelled, OrderExpired)
    def _cancelled(self, event: OrderCancelled | OrderExpired) -> None:
        for gone in event.lines:
            line = self.lines[gone.line - 1]
            for campaign_id, amount_minor in line.claims_of(gone.quantity).items():
                line.claims[campaign_id] -= amount_minor
                self.claims[campaign_id] -= amount_minor
            line.cancelled += gone.quantity
            line.lost -= gone.lost
            line.cancelled_minor += gone.amount_minor
            if not event.paid:
                line.cancelled_unpaid += gone.quantity
        self.shortage = self._still_short()
        self.cancelled_goods_minor += event.goods_minor
        self.cancelled_freight_minor += event.freight_minor
        if event.whole:
            self.cancelled_at = event.occurred_at
            self.expired = isinstance(event, OrderExpired)
            self.claims = {}
            self.shortage = []
            # Of a parcel that left, a claim may still be open.
            self.parcels = {key: parcel for key, parcel in self.parcels.items() if parcel.shipped_at is not None}
            for line in self.lines:
                line.packed = ZERO
            if self.paid_at is None:
                self.unearned_minor = self.paid_minor

    def _still_short(self) -> list[ShortLine]:
        """Return what is short of the units that are still wanted."""
        left = [(entry, min(entry.quantity, self.lines[entry.line - 1].to_pack)) for entry in self.shortage]
        return [ShortLine(line=entry.line, sku_id=entry.sku_id, quantity=units) for entry, units in left if units > 0]

    @folds(ReturnRequested)
    def _return_requested(self, event: ReturnRequested) -> None:
        self.returns[event.return_id] = ReturnCase.of(event)
        for asked in event.lines:
            self.lines[asked.line - 1].return_requested += asked.quantity

    @folds(ReturnApproved)
    def _return_approved(self, event: ReturnApproved) -> None:
        case = self.returns[event.return_id]
        case.status = ReturnStatus.APPROVED
        approved = {entry.line: entry.quantity for entry in event.lines}
        for entry in case.lines:
            entry.approved = approved.get(entry.line, ZERO)
            # What was not approved may be asked for again.
            self.lines[entry.line - 1].return_requested -= entry.requested - entry.approved

    @folds(ReturnDeclined)
    def _return_declined(self, event: ReturnDeclined) -> None:
        self._give_up(event.return_id, event.lines)
        case = self.returns[event.return_id]
        case.status = ReturnStatus.DECLINED
        case.decline_reason = event.reason

    @folds(ReturnCancelled)
    def _return_cancelled(self, event: ReturnCancelled) -> None:
        self._give_up(event.return_id, event.lines)
        if event.whole:
            self.returns[event.return_id].status = ReturnStatus.CANCELLED

    def _give_up(self, return_id: UUID, lines: Sequence[ReturnLine]) -> None:
        """Expect units back no longer: they may be asked for again."""
        for gone in lines:
            entry = self.returns[return_id].find(gone.line)
            if entry is not None:
                entry.given_up += gone.quantity
            self.lines[gone.line - 1].return_requested -= gone.quantity

    @folds(ReturnShipped)
    def _return_shipped(self, event: ReturnShipped) -> None:
        self.returns[event.return_id].send(event)

    @folds(ReturnVerified)
    def _return_verified(self, event: ReturnVerified) -> None:
        self.returns[event.return_id].find_out(event)

    @folds(ReturnFreightPaid)
    def _return_freight_paid(self, event: ReturnFreightPaid) -> None:
        case = self.returns[event.return_id]
        case.freight_minor, case.freight_reference = event.amount_minor, event.provider_reference

    @folds(ReturnExchanged)
    def _return_exchanged(self, event: ReturnExchanged) -> None:
        case = self.returns[event.return_id]
        came = [(back.line, back.quantity) for back in event.lines]
        came += [(exchange.from_line, exchange.replaced_quantity) for exchange in event.exchanges]
        for number, quantity in came:
            self.lines[number - 1].come_back(quantity)
            entry = case.find(number)
            if entry is not None:
                entry.exchanged += quantity
        for exchange in event.exchanges:
            self.lines.append(self.lines[exchange.from_line - 1].give_way_to(exchange))

    @folds(ReturnReceived)
    def _return_received(self, event: ReturnReceived) -> None:
        case = self.returns.get(event.return_id)
        if case is None:
            # Agreed elsewhere: the return becomes known when the goods are back.
            case = ReturnCase(ReturnReason.NOT_STATED, ReturnStatus.RECEIVED, [])
            self.returns[event.return_id] = case
            for back in event.lines:
                entry = case.find(back.line)
                if entry is None:
                    entry = ReturnCaseLine(line=back.line, requested=ZERO)
                    case.lines.append(entry)
                # A line comes once for each of its batches, say.
                entry.requested += back.quantity
                entry.approved += back.quantity
                self.lines[back.line - 1].return_requested += back.quantity
        case.status = ReturnStatus.RECEIVED
        case.location_id = event.location_id
        for back in event.lines:
            entry = case.find(back.line)
            if entry is not None:
                entry.received += back.quantity
            self.lines[back.line - 1].returned += back.quantity

    @folds(ReturnDisposed)
    def _return_disposed(self, event: ReturnDisposed) -> None:
        case = self.returns[event.return_id]
        for done in event.lines:
            entry = case.find(done.line)
            if entry is not None:
                entry.disposed += done.quantity
        if all(entry.disposed >= entry.received for entry in case.lines):
            case.status = ReturnStatus.DISPOSED

    @folds(OrderRefunded)
    def _refunded(self, event: OrderRefunded) -> None:
        self.refunds.append(Refund.of(event))
        self.refunded_minor += event.amount_minor
        self.refunded_freight_minor += event.freight_minor
        self.refunded_unearned_minor += event.unearned_minor
        for back in event.lines:
            if back.line is not None:
                self.lines[back.line - 1].refunded += back.quantity
                if event.reason is RefundReason.PRICE_PROTECTION and not back.quantity:
                    self.lines[back.line - 1].protect(back.amount_minor)

    @folds(DisputeOpened)
    def _dispute_opened(self, event: DisputeOpened) -> None:
        self.disputes[event.dispute_id] = Dispute.of(event)

    @folds(*TAKEN_AT)
    def _dispute_went_on(self, event: DisputeStep) -> None:
        self.disputes[event.dispute_id].take_in(event)

    @folds(ReviewPosted)
    def _review_posted(self, event: ReviewPosted) -> None:
        self.reviews[event.line] = Review.of(event)

    @folds(*STEPS)
    def _review_went_on(self, event: ReviewStep) -> None:
        self.reviews[event.line].take_in(event)

    # Decisions: what is there ------------------------------------------------------------------------------------

    def require(self, *needed: OrderStatus) -> None:
        """Refuse WrongState unless the order stands at one of these."""
        if self.status not in needed:
            raise WrongState(
                what="order", state=self.status.value, needed=" or ".join(needed), path=("order_id",), ids=[self.id]
            )

    def line(self, number: int, path: Path = ()) -> LineState:
        """Return a line by its number; refuses NotFound."""
        if not 1 <= number <= len(self.lines):
            raise NotFound(what=f"line {number} of this order", path=path, ids=[self.id])
        return self.lines[number - 1]

    # Decisions: shortage and shipping ----------------------------------------------------------------------------

    def confirm(self, at: datetime) -> None:
        """Take the order on. Asked twice, recorded once. Refuses WrongState unless it is paid in full."""
        if self.confirmed_at is not None and self.cancelled_at is None:
            return
        self.require(OrderStatus.PAID)
        self.trigger_event(OrderConfirmed, occurred_at=at)

    def require_packable(self) -> None:
        """Refuse WrongState unless units are to be packed; what was lost holds up none of the others."""
        if self.status is not OrderStatus.LOST or not any(line.to_pack for line in self.lines):
            self.require(OrderStatus.CONFIRMED)

    def report_shortage(self, short: Sequence[tuple[int, Decimal]], at: datetime) -> None:
        """Say what could not be found: (line, quantity). Refuses WrongState, NotFound, NothingShort."""
        self.require_packable()
        require_each_once([line for line, _ in short])
        lines = []
        for index, (number, quantity) in enumerate(short):
            line = self.line(number, ("lines", index, "line"))
            if quantity > line.to_pack:
                raise NothingShort(
                    available=line.to_pack,
                    line=number,
                    asked=quantity,
                    path=("lines", index, "quantity"),
                    ids=[self.id],
                )
            lines.append(ShortLine(line=number, sku_id=line.sku_id, quantity=quantity))
        self.trigger_event(ShortageReported, lines=tuple(lines), occurred_at=at)

    def contact_customer(self, note: str | None, at: datetime) -> None:
        """Note that the customer was talked to about the shortage (`note` is sealed). Refuses WrongState."""
        self.require(OrderStatus.SHORTAGE)
        self.trigger_event(CustomerContacted, note=note, occurred_at=at)

    def require_shortage_resolvable(self) -> None:
        """Refuse WrongState without an open shortage, CustomerNotContacted before anybody talked to the customer."""
        self.require(OrderStatus.SHORTAGE)
        if not self.customer_contacted:
            raise CustomerNotContacted(path=("order_id",), ids=[self.id])

    def resolve_shortage(self, kind: ShortageRemedy, at: datetime, exchanges: tuple[ExchangedLine, ...] = ()) -> None:
        """End the shortage; `require_shortage_resolvable` first. A refund is followed by `cancel`."""
        replaced = {entry.from_line: entry.replaced_quantity for entry in exchanges}
        self.trigger_event(
            ShortageResolved,
            kind=kind,
            currency=self.currency,
            exchanges=exchanges,
            rest_shipped=all(entry.service for entry in exchanges) and self.all_shipped(replaced),
            occurred_at=at,
        )

    def pack(self, parcel_id: UUID, location_id: UUID | None, scanned: Sequence[ParcelLine], at: datetime) -> None:
        """Close a parcel over what was scanned; a line comes once, or once for each of its batches.

        Refuses: WrongState, NotFound, ParcelEmpty, ArticleMismatch, QuantityMismatch.
        """
        self.require_packable()
        if parcel_id in self.parcels or parcel_id in self.unpacked:
            raise WrongState(what="parcel", state="packed", needed="new", path=("parcel_id",), ids=[self.id])
        if not scanned:
            raise ParcelEmpty(path=("lines",), ids=[self.id])
        open_units: dict[int, Decimal] = {}
        for index, entry in enumerate(scanned):
            line = self.line(entry.line, ("lines", index, "line"))
            if any((entry.line, entry.batch) == (other.line, other.batch) for other in scanned[:index]):
                raise InvalidField(why=f"line {entry.line} is named twice", path=("lines", index, "line"))
            if entry.sku_id != line.sku_id:
                raise ArticleMismatch(line=entry.line, path=("lines", index, "sku_id"), ids=[entry.sku_id])
            expected = open_units.get(entry.line, line.to_pack)
            if entry.quantity > expected:
                raise QuantityMismatch(
                    scanned=entry.quantity,
                    line=entry.line,
                    expected=expected,
                    path=("lines", index, "quantity"),
                    ids=[self.id],
                )
            open_units[entry.line] = expected - entry.quantity
        self.trigger_event(
            ParcelPacked, parcel_id=parcel_id, location_id=location_id, lines=tuple(scanned), occurred_at=at
        )

    def parcel(self, parcel_id: UUID) -> Parcel:
        """Return a parcel; refuses NotFound."""
        found = self.parcels.get(parcel_id)
        if found is None:
            raise NotFound(what="parcel of this order", path=("parcel_id",), ids=[self.id])
        return found

    def require_shippable(self, parcel_id: UUID, waybill: str | None) -> None:
        """Refuse unless the parcel is packed and has not left: NotFound, WrongState, ReferenceTaken."""
        if self.parcel(parcel_id).shipped_at is not None:
            raise WrongState(what="parcel", state="shipped", needed="packed", path=("parcel_id",), ids=[self.id])
        if waybill is not None and any(other.waybill == waybill for other in self.parcels.values()):
            raise ReferenceTaken(what="waybill", value=waybill, path=("waybill",), ids=[self.id])

    def ship(
        self, parcel_id: UUID, courier: str | None, waybill: str | None, at: datetime, news_by: datetime | None
    ) -> None:
        """Record that a packed parcel left; the caller has checked courier, waybill and stock."""
        parcel = self.parcels[parcel_id]
        self.ship_lines(parcel_id, parcel.location_id, tuple(parcel.lines), courier, waybill, at, news_by)

    def ship_lines(
        self,
        parcel_id: UUID,
        location_id: UUID | None,
        lines: tuple[ParcelLine, ...],
        courier: str | None,
        waybill: str | None,
        at: datetime,
        news_by: datetime | None = None,
    ) -> None:
        """Record that a parcel with these contents left; `news_by` is when the next word of it is due."""
        self.trigger_event(
            OrderShipped,
            parcel_id=parcel_id,
            courier=courier,
            waybill=waybill,
            location_id=location_id,
            lines=lines,
            complete=self.all_shipped(units_by_line(lines)),
            news_by=news_by,
            occurred_at=at,
        )

    def all_shipped(self, settled: Mapping[int, Decimal]) -> bool:
        """Say whether all goods have left, once these units by line leave or are not to be sent any more."""
        return all(line.service or line.shipped + settled.get(line.line, ZERO) >= line.live for line in self.lines)

    def deliver(self, parcel_id: UUID, at: datetime) -> None:
        """Record that a parcel arrived. Asked twice, recorded once. Refuses NotFound, WrongState before it left."""
        parcel = self.parcel(parcel_id)
        if parcel.delivered_at is not None:
            return
        if parcel.shipped_at is None or parcel.lost_at is not None:
            state = "packed" if parcel.lost_at is None else "lost"
            raise WrongState(what="parcel", state=state, needed="shipped", path=("parcel_id",), ids=[self.id])
        there = units_by_line(parcel.lines)
        complete = all(line.service or line.delivered + there.get(line.line, ZERO) >= line.live for line in self.lines)
        self.trigger_event(OrderDelivered, parcel_id=parcel_id, complete=complete, occurred_at=at)

    def complete(self, at: datetime) -> None:
        """Make the sale final. Asked twice, recorded once.

        Refuses: WrongState unless everything has arrived, DisputeOpen.
        """
        if self.completed_at is not None:
            return
        services_only = not any(line.live for line in self.lines if not line.service)
        self.require(OrderStatus.CONFIRMED if services_only else OrderStatus.DELIVERED)
        if self.in_dispute:
            raise DisputeOpen(path=("order_id",), ids=[self.id])
        self.complete_as_agreed(at)

    def complete_as_agreed(self, at: datetime) -> None:
        """Record that the sale is final where that was decided elsewhere."""
        self.trigger_event(
            OrderCompleted,
            customer_id=self.customer_id,
            goods_minor=self.kept_goods_minor,
            currency=self.currency,
            occurred_at=at,
        )

    # Decisions: forgetting -------------------------------------------------------------------------------------------

    def erase_guest(self, at: datetime) -> None:
        """Record that the guest is forgotten. Asked twice, recorded once.

        Refuses: InvalidField (a customer's order), WrongState while something is still to be sent.
        """
        if self.customer_id is not None:
            raise InvalidField(why="a customer placed it, erase the customer", path=("order_id",), ids=[self.id])
        over = (OrderStatus.SHIPPED, OrderStatus.DELIVERED, OrderStatus.COMPLETED, OrderStatus.CANCELLED)
        self.require(*over, OrderStatus.RETURNED)
        if not self.guest_erased:
            self.trigger_event(GuestErased, occurred_at=at)


def require_each_once(numbers: Sequence[int]) -> None:
    """Refuse InvalidField when a line number comes twice."""
    for index, number in enumerate(numbers):
        if number in numbers[:index]:
            raise InvalidField(why=f"line {number} is named twice", path=("lines", index, "line"))
