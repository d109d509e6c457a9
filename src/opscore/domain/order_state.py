"""The parts of an order's state: its lines with their counters, payments, parcels, returns and refunds."""

from __future__ import annotations

import enum
from collections.abc import Container, Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final
from uuid import UUID

import msgspec

from opscore.domain.order_disputes import FaultParty
from opscore.domain.order_events import (
    CancelledLine,
    ClaimCause,
    CourierClaimFiled,
    CourierClaimSettled,
    DeclineReason,
    ExchangedLine,
    LostUnitsReplaced,
    OrderLine,
    OrderRefunded,
    ParcelLine,
    ParcelLost,
    ParcelTraced,
    ParcelTracked,
    RefundLine,
    RefundReason,
    ReturnReason,
    ReturnRemedy,
    ReturnRequested,
    ReturnShipped,
    ReturnVerified,
    TrackingStatus,
)
from opscore.domain.pricing import DiscountSource

ZERO: Final = Decimal(0)


class OrderStatus(enum.StrEnum):
    """Where an order stands: the state of its least advanced unit."""

    PLACED = "placed"
    PAID = "paid"
    CONFIRMED = "confirmed"
    SHORTAGE = "shortage"
    LOST = "lost"
    PACKED = "packed"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    RETURNED = "returned"


class ReturnStatus(enum.StrEnum):
    """Where a return stands."""

    REQUESTED = "requested"
    APPROVED = "approved"
    SENT = "sent"
    RECEIVED = "received"
    DISPOSED = "disposed"
    DECLINED = "declined"
    CANCELLED = "cancelled"


class LineState(msgspec.Struct):
    """One line: what was agreed, and what became of its units.

    `amount_minor` is the price of the `ordered` units less those that were exchanged for another line.
    """

    line: int
    sku_id: UUID
    sku_code: str
    name: str
    unit: str
    list_price: Decimal
    unit_price: Decimal
    ordered: Decimal
    gross_minor: int
    discount_minor: int
    amount_minor: int
    campaign_id: UUID | None = None
    gift: bool = False
    service: bool = False
    stands_in: bool = False
    """It was agreed on instead of units that were not there."""
    claims: dict[UUID, int] = {}
    """How much of the discount each campaign gives."""
    points_minor: int = 0
    """How much of the discount was paid with points."""
    cancelled: Decimal = ZERO
    cancelled_unpaid: Decimal = ZERO
    """Those of the cancelled units for which no money had been taken."""
    cancelled_minor: int = 0
    exchanged: Decimal = ZERO
    packed: Decimal = ZERO
    shipped: Decimal = ZERO
    delivered: Decimal = ZERO
    lost: Decimal = ZERO
    """Left in a parcel that is lost, and neither sent once more nor called off; counted as not packed, not shipped."""
    return_requested: Decimal = ZERO
    returned: Decimal = ZERO
    """Counted when they came back; not any more once goods were sent for them."""
    refunded: Decimal = ZERO
    price_protected: bool = False
    """A lower price was made good."""
    protected: Decimal = ZERO
    """The units that it was made good for: those that the customer had then."""
    protected_minor: int = 0
    """How much was given back for them, in minor units."""

    @property
    def live(self) -> Decimal:
        """Units that the customer is to have."""
        return self.ordered - self.cancelled - self.exchanged

    @property
    def to_pack(self) -> Decimal:
        """Units that no parcel holds yet; a service needs none."""
        return ZERO if self.service else self.live - self.packed - self.lost

    @property
    def refundable(self) -> Decimal:
        """Units whose money is to go back: they came back, or were cancelled after payment."""
        return self.cancelled - self.cancelled_unpaid + self.returned - self.refunded

    @classmethod
    def begin(cls, line: OrderLine, campaign_ids: Container[UUID]) -> LineState:
        """Return a line as it stands when the order is placed; `campaign_ids` are those with a budget claim."""
        claims: dict[UUID, int] = {}
        for discount in line.discounts:
            if discount.source_id is not None and discount.source_id in campaign_ids:
                claims[discount.source_id] = claims.get(discount.source_id, 0) + discount.amount_minor
        return cls(
            line=line.line,
            sku_id=line.sku_id,
            sku_code=line.sku_code,
            name=line.name,
            unit=line.unit,
            list_price=line.list_price,
            unit_price=line.unit_price,
            ordered=line.quantity,
            gross_minor=line.gross_minor,
            discount_minor=line.discount_minor,
            amount_minor=line.amount_minor,
            campaign_id=line.campaign_id,
            gift=line.gift,
            service=line.service,
            claims=claims,
            points_minor=sum(part.amount_minor for part in line.discounts if part.source is DiscountSource.POINTS),
        )

    def give_way_to(self, exchange: ExchangedLine) -> LineState:
        """Let another SKU replace some of the units, at the same money; return the new line."""
        points_minor = _part(self.points_minor, exchange.replaced_quantity, self.ordered - self.exchanged)
        claims = self.claims_of(exchange.replaced_quantity)
        protected = min(exchange.replaced_quantity, self.protected)
        protected_minor = _part(self.protected_minor, protected, self.protected)
        for campaign_id, claimed_minor in claims.items():
            self.claims[campaign_id] -= claimed_minor
        self.protected -= protected
        self.protected_minor -= protected_minor
        self.points_minor -= points_minor
        self.exchanged += exchange.replaced_quantity
        # The discount stays where it was given: what is sent instead is sent for the money that is left.
        self.gross_minor -= exchange.amount_minor
        self.amount_minor -= exchange.amount_minor
        return LineState(
            line=exchange.line,
            sku_id=exchange.sku_id,
            sku_code=exchange.sku_code,
            name=exchange.name,
            unit=exchange.unit,
            list_price=self.list_price,
            unit_price=self.unit_price,
            ordered=exchange.quantity,
            gross_minor=exchange.amount_minor,
            discount_minor=0,
            amount_minor=exchange.amount_minor,
            gift=self.gift,
            service=exchange.service,
            stands_in=True,
            claims=claims,
            points_minor=points_minor,
            price_protected=self.price_protected,
            protected=exchange.quantity if protected else ZERO,
            protected_minor=protected_minor,
        )

    def lose(self, units: Decimal) -> None:
        """Take in that units which left are lost; a negative number was found again."""
        self.lost += units
        self.packed -= units
        self.shipped -= units

    def come_back(self, units: Decimal) -> None:
        """Take in that for units which came back goods are sent: it is as if these units had never left."""
        self.returned -= units
        self.return_requested -= units
        if not self.service:
            self.packed -= units
            self.shipped -= units
            self.delivered -= units

    def protect(self, amount_minor: int) -> None:
        """Take in that a lower price was made good for the units that the customer has."""
        self.price_protected = True
        self.protected = self.live - self.returned
        self.protected_minor = amount_minor

    def claims_of(self, quantity: Decimal) -> dict[UUID, int]:
        """Return what these units take of each campaign's budget, in minor units."""
        return {campaign_id: _part(claimed, quantity, self.live) for campaign_id, claimed in self.claims.items()}

    @property
    def points_gone_minor(self) -> int:
        """What was paid with points for units that were called off or whose money went back, in minor units."""
        base = self.ordered - self.exchanged
        return self.points_minor if self._gone >= base else _part(self.points_minor, self._gone, base)

    @property
    def _gone(self) -> Decimal:
        """Units that were called off or whose money went back."""
        # Units that were cancelled after payment are refunded later: they count once.
        return max(self.cancelled, self.cancelled_unpaid + self.refunded)

    def price_of(self, units: Decimal) -> int:
        """Return what this many of the line's units cost after discounts, in minor units.

        Rounded half-even as a running total: the differences of successive calls add up to `amount_minor` exactly.
        """
        base = self.ordered - self.exchanged
        if units >= base:
            return self.amount_minor
        return _part(self.amount_minor, units, base)

    def exchange_price_of(self, units: Decimal) -> int:
        """Return what was paid for this many of the units that came back and are not refunded, in minor units."""
        settled = self._gone
        return self.price_of(settled + units) - self.price_of(settled)

    def refund_price_of(self, units: Decimal) -> int:
        """Return what goes back for this many more units, beside those that were refunded or never paid for.

        What was made good because the price fell is not given back once more.
        """
        settled = self.cancelled_unpaid + self.refunded
        return max(0, self._kept_price_of(settled + units) - self._kept_price_of(settled))

    def _kept_price_of(self, units: Decimal) -> int:
        """Return `price_of` less what was made good; the protected units are the last ones to go back."""
        going = max(ZERO, units - (self.ordered - self.exchanged - self.protected))
        return self.price_of(units) - _part(self.protected_minor, min(going, self.protected), self.protected)

    @property
    def live_discount_minor(self) -> int:
        """What the units that the customer is to have would cost more at list price, in minor units."""
        base = self.ordered - self.exchanged
        gross = self.gross_minor
        if self.live != base:
            gross = int((gross * self.live / base).to_integral_value(rounding=ROUND_HALF_EVEN))
        return gross - (self.amount_minor - self.cancelled_minor)


def _part(amount_minor: int, units: Decimal, of_units: Decimal) -> int:
    """Return the part of an amount that falls to some of its units, rounded half-even to a minor unit."""
    if not units:
        return 0
    return int((amount_minor * units / of_units).to_integral_value(rounding=ROUND_HALF_EVEN))


class Payment(msgspec.Struct):
    """Money that came in."""

    amount_minor: int
    method: str
    provider_reference: str | None
    received_at: datetime


class Tracking(msgspec.Struct):
    """What a courier said of a parcel, when, and from where."""

    status: TrackingStatus
    place: str | None
    at: datetime


class CourierClaim(msgspec.Struct):
    """Money that was claimed from a courier, and what came of it."""

    amount_minor: int
    reference: str | None
    filed_at: datetime
    cause: ClaimCause = ClaimCause.LOST
    recovered_minor: int | None = None
    """None until the courier has answered."""
    settled_at: datetime | None = None


class Parcel(msgspec.Struct):
    """What is sent in one piece."""

    location_id: UUID | None
    lines: list[ParcelLine]
    courier: str | None = None
    waybill: str | None = None
    shipped_at: datetime | None = None
    delivered_at: datetime | None = None
    lost_at: datetime | None = None
    """Since when it is lost; None once it was found."""
    traced_at: datetime | None = None
    """When the courier was last asked after it."""
    tracking: list[Tracking] = []
    """What the courier said of it, in order of time."""
    news_by: datetime | None = None
    """When the next word of it is due, while it is on its way."""
    claim: CourierClaim | None = None

    def miss(self, event: ParcelLost | ParcelTraced | LostUnitsReplaced) -> None:
        """Take in what is heard of a parcel that did not arrive."""
        if isinstance(event, ParcelLost):
            self.lost_at = event.occurred_at
        elif isinstance(event, ParcelTraced):
            self.traced_at = event.occurred_at
            if event.found:
                self.lost_at = None
                self._expect_news(event.news_by)

    def track(self, event: ParcelTracked) -> None:
        """Take in what the courier said; what is heard late stands where it belongs."""
        self.tracking.append(Tracking(event.status, event.place, event.occurred_at))
        self.tracking.sort(key=lambda each: each.at)
        self._expect_news(event.news_by)

    def _expect_news(self, by: datetime | None) -> None:
        if by is not None:
            self.news_by = by if self.news_by is None else max(self.news_by, by)

    @property
    def is_on_its_way(self) -> bool:
        """Say whether it left, and has neither arrived nor been lost."""
        return self.shipped_at is not None and self.delivered_at is None and self.lost_at is None

    def claim_of(self, event: CourierClaimFiled | CourierClaimSettled) -> None:
        """Take in that money was claimed for it, or what came of that."""
        if isinstance(event, CourierClaimFiled):
            self.claim = CourierClaim(event.amount_minor, event.reference, event.occurred_at, event.cause)
        elif self.claim is not None:
            self.claim.recovered_minor, self.claim.settled_at = event.amount_minor, event.occurred_at


def units_by_line(lines: Iterable[ParcelLine]) -> dict[int, Decimal]:
    """Return how many units of each line these are; a line comes once for each of its batches."""
    units: dict[int, Decimal] = {}
    for entry in lines:
        units[entry.line] = units.get(entry.line, ZERO) + entry.quantity
    return units


class ReturnCaseLine(msgspec.Struct):
    """Units of one line on their way back."""

    line: int
    requested: Decimal
    approved: Decimal = ZERO
    received: Decimal = ZERO
    disposed: Decimal = ZERO
    given_up: Decimal = ZERO
    """Units that are not expected any more."""
    exchanged: Decimal = ZERO
    """Units that came back and for which goods are sent."""


class ReturnCase(msgspec.Struct):
    """One return: asked for, approved, sent, counted, disposed of; or declined, or called off."""

    reason: ReturnReason
    status: ReturnStatus
    lines: list[ReturnCaseLine]
    location_id: UUID | None = None
    decline_reason: DeclineReason | None = None
    requested_at: datetime | None = None
    """None where it was agreed elsewhere."""
    remedy: ReturnRemedy = ReturnRemedy.REFUND
    sent_at: datetime | None = None
    courier: str | None = None
    waybill: str | None = None
    verified_reason: ReturnReason | None = None
    """Why it really came back; None until somebody found out."""
    fault_party: FaultParty | None = None
    freight_borne_by: FaultParty | None = None
    freight_minor: int | None = None
    """What the store paid for carrying it back; None as long as it paid nothing."""
    freight_reference: str | None = None

    @classmethod
    def of(cls, event: ReturnRequested) -> ReturnCase:
        """Return a return that was asked for."""
        lines = [ReturnCaseLine(line=asked.line, requested=asked.quantity) for asked in event.lines]
        return cls(event.reason, ReturnStatus.REQUESTED, lines, requested_at=event.occurred_at, remedy=event.remedy)

    def send(self, event: ReturnShipped) -> None:
        """Take in that the goods were sent off; the last parcel counts."""
        self.sent_at, self.courier, self.waybill = event.occurred_at, event.courier, event.waybill
        if self.status is ReturnStatus.APPROVED:
            self.status = ReturnStatus.SENT

    def find_out(self, event: ReturnVerified) -> None:
        """Take in why the goods really come back, and whose fault it is."""
        self.verified_reason, self.fault_party = event.reason, event.fault_party
        self.freight_borne_by = event.freight_borne_by

    @property
    def is_exchanged(self) -> bool:
        """Say whether goods were to be sent for any of its goods."""
        return any(entry.exchanged for entry in self.lines)

    @property
    def real_reason(self) -> ReturnReason:
        """Why it comes back: as it was found out, or as the customer says until then."""
        return self.verified_reason or self.reason

    def expected(self, entry: ReturnCaseLine) -> Decimal:
        """Return how many units of a line may still come back, be they approved or only asked for."""
        if self.status is ReturnStatus.REQUESTED:
            return entry.requested
        return entry.approved - entry.received - entry.given_up

    def find(self, line: int) -> ReturnCaseLine | None:
        """Return the entry of an order line, if the return is about it."""
        return next((entry for entry in self.lines if entry.line == line), None)


class Refund(msgspec.Struct):
    """Money that went back."""

    refund_id: UUID
    amount_minor: int
    provider_reference: str | None
    reason: RefundReason
    refunded_at: datetime

    @classmethod
    def of(cls, event: OrderRefunded) -> Refund:
        """Return what is kept of a refund."""
        return cls(event.refund_id, event.amount_minor, event.provider_reference, event.reason, event.occurred_at)


class Note(msgspec.Struct):
    """What staff wrote down about an order; `text` is sealed under the key of whoever ordered."""

    author: str
    text: str
    written_at: datetime


@dataclass(frozen=True, slots=True)
class Cancellation:
    """What is to be called off, worked out and checked."""

    lines: tuple[CancelledLine, ...]
    whole: bool
    goods_minor: int
    freight_minor: int
    refund_due_minor: int


@dataclass(frozen=True, slots=True)
class RefundPlan:
    """What is to go back, worked out and checked."""

    lines: tuple[RefundLine, ...]
    goods_minor: int
    freight_minor: int
    unearned_minor: int

    @property
    def amount_minor(self) -> int:
        """Return the whole amount."""
        return self.goods_minor + self.freight_minor + self.unearned_minor
