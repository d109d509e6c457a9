"""What is on record about an order: the events of its stream, and the words they are made of.

One stream holds the whole life of one order: its lines with prices and discounts as agreed, payments, parcels,
cancellations, returns and refunds. A return of goods of no order we know is a stream of the same kind (`RETURN`).
"""

from __future__ import annotations

import enum
from datetime import datetime
from decimal import Decimal
from typing import ClassVar
from uuid import UUID

from opscore.domain.aggregate import FIELDS_ADDED, Event, FirstEvent
from opscore.domain.order_disputes import FaultParty
from opscore.domain.pricing import Discount, DiscountSource
from opscore.domain.values import Sealed, TrafficSource, Value

# What is on record ---------------------------------------------------------------------------------------------------


class OrderKind(enum.StrEnum):
    """What a stream of this aggregate is about."""

    SALE = "sale"
    RETURN = "return"


class PriceSource(enum.StrEnum):
    """Who fixed the prices: we did, or they were agreed elsewhere."""

    OPSCORE = "opscore"
    EXTERNAL = "external"


class CancelReason(enum.StrEnum):
    """Why an order, or a part of it, was called off."""

    CUSTOMER = "customer"
    DECLINED = "declined"
    FRAUD = "fraud"
    INVENTORY = "inventory"
    STAFF = "staff"
    EXPIRED = "expired"
    LOST = "lost"
    OTHER = "other"


class ReturnReason(enum.StrEnum):
    """Why goods come back."""

    CHANGED_MIND = "changed_mind"
    QUALITY = "quality"
    COURIER_DAMAGE = "courier_damage"
    WRONG_ITEM = "wrong_item"
    PICTURE_DIFFERS = "picture_differs"
    PAGE_MISUNDERSTOOD = "page_misunderstood"
    LATE = "late"
    NOT_STATED = "not_stated"


class ReturnRemedy(enum.StrEnum):
    """What a customer who sends goods back wants for them."""

    REFUND = "refund"
    EXCHANGE = "exchange"


class FreightPayee(enum.StrEnum):
    """Who is paid for carrying goods back: the customer, who had paid the courier, or the courier itself."""

    CUSTOMER = "customer"
    COURIER = "courier"


class TrackingStatus(enum.StrEnum):
    """What a courier says of a parcel that left and has not arrived."""

    COLLECTED = "collected"
    IN_TRANSIT = "in_transit"
    OUT_FOR_DELIVERY = "out_for_delivery"
    DELIVERY_FAILED = "delivery_failed"
    READY_FOR_COLLECTION = "ready_for_collection"
    HELD = "held"
    RETURNING = "returning"


class ClaimCause(enum.StrEnum):
    """Why money is claimed from a courier."""

    LOST = "lost"
    DAMAGED = "damaged"


class DeclineReason(enum.StrEnum):
    """Why the seller does not take goods back."""

    USED = "used"
    NOT_RETURNABLE = "not_returnable"
    NOT_FROM_US = "not_from_us"
    NO_EVIDENCE = "no_evidence"
    AGREED_OTHERWISE = "agreed_otherwise"
    OTHER = "other"


class RefundReason(enum.StrEnum):
    """Why money goes back."""

    RETURNED = "returned"
    CANCELLED = "cancelled"
    SHORTAGE = "shortage"
    PRICE_PROTECTION = "price_protection"
    COMPENSATION = "compensation"
    OTHER = "other"


class ShortageRemedy(enum.StrEnum):
    """How a shortage ends, after talking to the customer."""

    EXCHANGE = "exchange"
    REFUND = "refund"
    WAIT = "wait"


class ReturnCondition(enum.StrEnum):
    """What is done with a unit that came back: it is sold again, it is not, or somebody has to look at it first."""

    RESTOCK = "restock"
    DAMAGED = "damaged"
    QUARANTINE = "quarantine"


class OrderLine(Value, kw_only=True):
    """What was agreed about one line: `gross_minor` at list price, less `discount_minor`, is `amount_minor`.

    unit_price: list, tier or campaign price per unit, before promotions. campaign_id: whose price or gift it is.
    """

    line: int
    sku_id: UUID
    sku_code: str
    name: str
    quantity: Decimal
    unit: str
    list_price: Decimal
    unit_price: Decimal
    gross_minor: int
    discount_minor: int
    amount_minor: int
    campaign_id: UUID | None = None
    gift: bool = False
    service: bool = False
    discounts: tuple[Discount, ...] = ()


class PassedOver(Value, kw_only=True):
    """An offer that was looked at when the order (or one line of it) was priced and not taken, and why."""

    line: int | None = None
    source: DiscountSource
    reason: str
    source_id: UUID | None = None
    promotion_id: UUID | None = None


class CampaignClaim(Value, kw_only=True):
    """What the order takes of a campaign's budget."""

    campaign_id: UUID
    amount_minor: int


class ShortLine(Value, kw_only=True):
    """How much of a line is not there."""

    line: int
    sku_id: UUID
    quantity: Decimal


class ParcelLine(Value, kw_only=True):
    """What a parcel holds of one line, and of which batch if that is known."""

    line: int
    sku_id: UUID
    quantity: Decimal
    batch: str | None = None


class CancelledLine(Value, kw_only=True):
    """What was called off of one line, at its price after discounts; `lost` of the units had left and never arrived."""

    line: int
    sku_id: UUID
    quantity: Decimal
    amount_minor: int
    campaign_id: UUID | None = None
    lost: Decimal = Decimal(0)


class ExchangedLine(Value, kw_only=True):
    """Units of `from_line` that another SKU replaces, as the new line `line`, for the same money."""

    from_line: int
    line: int
    sku_id: UUID
    sku_code: str
    name: str
    unit: str
    quantity: Decimal
    replaced_quantity: Decimal
    amount_minor: int
    service: bool = False


class ReturnLine(Value, kw_only=True):
    """Units of one line that come back."""

    line: int
    sku_id: UUID
    quantity: Decimal


class DisposedLine(Value, kw_only=True):
    """Units of one line that came back, and what was done with them."""

    line: int
    sku_id: UUID
    quantity: Decimal
    condition: ReturnCondition
    batch: str | None = None


class RefundLine(Value, kw_only=True):
    """Money that goes back for units of one SKU; without `line` when the order's line is not known."""

    line: int | None = None
    sku_id: UUID | None = None
    sku_code: str = ""
    quantity: Decimal
    amount_minor: int
    campaign_id: UUID | None = None


class OrderPlaced(FirstEvent):
    """An order was agreed: what, for how much, and why that much. `total_minor` = `goods_minor` + `freight_minor`.

    `goods_minor` is the sum of the lines' amounts, after all discounts and points. Personal fields are sealed under the
    customer's id, or under the order's own id when a guest ordered. traffic_source, device: by which way and with what
    the buyer came to the shop, apart from the sales channel; None where nobody knows.
    """

    VERSION: ClassVar[int] = 2
    UPCASTS: ClassVar[tuple[tuple[()], ...]] = FIELDS_ADDED

    store_id: UUID
    customer_id: UUID | None
    kind: OrderKind
    channel: str
    external_reference: str | None
    currency: str
    lines: tuple[OrderLine, ...]
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
    campaign_ids: tuple[UUID, ...]
    claims: tuple[CampaignClaim, ...]
    freight_waivers: tuple[Discount, ...]
    passed_over: tuple[PassedOver, ...]
    price_source: PriceSource
    surge: bool
    region: str | None = None
    expires_at: datetime | None = None
    recipient: Sealed | None = None
    address: Sealed | None = None
    remark: Sealed | None = None
    traffic_source: TrafficSource | None = None
    device: str | None = None


class OrderPriceAmended(Event):
    """Customer service changed a line's price before payment: the line's new figures and the order's new totals."""

    line: int
    unit_price: Decimal
    gross_minor: int
    discount_minor: int
    amount_minor: int
    goods_minor: int
    order_discount_minor: int
    total_minor: int
    currency: str
    reason: str


class PaymentReceived(Event):
    """Money came in for the order, in whole or in part."""

    amount_minor: int
    currency: str
    method: str
    provider_reference: str | None


class OrderPaid(Event):
    """The order is paid in full; from now on the promise to ship runs.

    `goods_minor` is what the units still wanted cost after discounts, `discount_minor` what those discounts are worth.
    """

    customer_id: UUID | None
    channel: str
    currency: str
    goods_minor: int
    discount_minor: int
    freight_minor: int
    total_minor: int
    units: Decimal
    ship_by: datetime
    ship_by_hard: datetime
    surge: bool


class OrderContactDisclosed(Event):
    """Somebody was shown who ordered and where it goes: who looked, and why. What they saw is not repeated here."""

    reader: str
    reason: str


class OrderConfirmed(Event):
    """The seller took the order on."""


class ShortageReported(Event):
    """The warehouse could not find all of it."""

    lines: tuple[ShortLine, ...]


class CustomerContacted(Event):
    """Somebody talked to the customer about the shortage."""

    note: Sealed | None = None


class ShortageResolved(Event):
    """The shortage ended: with other goods, with money back (`OrderCancelled` follows), or by waiting.

    rest_shipped: nothing is left to be sent, because services stand in for what was short.
    """

    VERSION: ClassVar[int] = 2
    UPCASTS: ClassVar[tuple[tuple[()], ...]] = FIELDS_ADDED

    kind: ShortageRemedy
    currency: str
    exchanges: tuple[ExchangedLine, ...] = ()
    rest_shipped: bool = False


class ParcelPacked(Event):
    """A parcel was packed and its contents checked against the order."""

    VERSION: ClassVar[int] = 2
    UPCASTS: ClassVar[tuple[tuple[()], ...]] = FIELDS_ADDED

    parcel_id: UUID
    location_id: UUID | None
    lines: tuple[ParcelLine, ...]


class ParcelUnpacked(Event):
    """A parcel that had not left was opened again; `lines` is what it held and what is to be packed anew."""

    VERSION: ClassVar[int] = 2
    UPCASTS: ClassVar[tuple[tuple[()], ...]] = FIELDS_ADDED

    parcel_id: UUID
    lines: tuple[ParcelLine, ...]


class OrderShipped(Event):
    """A parcel left; `complete` when nothing of the order remains to be shipped.

    news_by: when the next word of it is due (UTC), by the store's rule then; None where that was not promised.
    """

    VERSION: ClassVar[int] = 3
    UPCASTS: ClassVar[tuple[tuple[()], ...]] = FIELDS_ADDED * 2

    parcel_id: UUID
    courier: str | None
    waybill: str | None
    location_id: UUID | None
    lines: tuple[ParcelLine, ...]
    complete: bool
    news_by: datetime | None = None


class ParcelTracked(Event):
    """The courier told how far a parcel is, at `occurred_at`. place: the courier's site.

    news_by: when the next word of it is due (UTC), by the store's rule then.
    """

    parcel_id: UUID
    status: TrackingStatus
    place: str | None
    news_by: datetime


class OrderDelivered(Event):
    """A parcel arrived; `complete` when the whole order has."""

    parcel_id: UUID
    complete: bool


class ParcelLost(Event):
    """A parcel that left has not arrived, and nobody knows where it is: its units are gone for now."""

    parcel_id: UUID
    courier: str | None
    waybill: str | None
    lines: tuple[ParcelLine, ...]
    note: Sealed | None = None


class ParcelTraced(Event):
    """The courier was asked after a lost parcel; if it was found, `lines` are on their way again.

    news_by: when the next word of it is due (UTC), if it was found.
    """

    VERSION: ClassVar[int] = 2
    UPCASTS: ClassVar[tuple[tuple[()], ...]] = FIELDS_ADDED

    parcel_id: UUID
    found: bool
    lines: tuple[ParcelLine, ...]
    note: Sealed | None = None
    news_by: datetime | None = None


class LostUnitsReplaced(Event):
    """Units of a lost parcel are sent once more: they were set apart anew, and are to be packed."""

    parcel_id: UUID
    lines: tuple[ParcelLine, ...]


class CourierClaimFiled(Event):
    """Money was claimed from a courier for a parcel; `reference` is the courier's number of the claim."""

    VERSION: ClassVar[int] = 2
    UPCASTS: ClassVar[tuple[tuple[()], ...]] = FIELDS_ADDED

    parcel_id: UUID
    courier: str | None
    amount_minor: int
    currency: str
    reference: str | None
    cause: ClaimCause = ClaimCause.LOST


class CourierClaimSettled(Event):
    """The courier answered a claim: `amount_minor` was paid, 0 if nothing."""

    parcel_id: UUID
    courier: str | None
    amount_minor: int
    currency: str
    note: Sealed | None = None


class ReceiptConfirmed(Event):
    """Whoever ordered has the goods. inspected: whether they were looked at. defects: units that are not as agreed."""

    customer_id: UUID | None
    inspected: bool
    defects: tuple[ReturnLine, ...]


class OrderCompleted(Event):
    """The sale is final: `goods_minor` is what was paid for the goods and has not gone back so far."""

    customer_id: UUID | None
    goods_minor: int
    currency: str


class OrderCancelled(Event):
    """The order (`whole`), or a part of it, was called off before it arrived; `rest_shipped`: what is left has left."""

    VERSION: ClassVar[int] = 2
    UPCASTS: ClassVar[tuple[tuple[()], ...]] = FIELDS_ADDED

    reason: CancelReason
    lines: tuple[CancelledLine, ...]
    whole: bool
    goods_minor: int
    freight_minor: int
    currency: str
    customer_id: UUID | None
    paid: bool
    refund_due_minor: int
    rest_shipped: bool = False


class OrderExpired(Event):
    """The order was not paid in time and is over."""

    VERSION: ClassVar[int] = 2
    UPCASTS: ClassVar[tuple[tuple[()], ...]] = FIELDS_ADDED

    reason: CancelReason
    lines: tuple[CancelledLine, ...]
    whole: bool
    goods_minor: int
    freight_minor: int
    currency: str
    customer_id: UUID | None
    paid: bool
    refund_due_minor: int
    rest_shipped: bool = False


class ReturnRequested(Event):
    """The customer wants to send goods back, and for them money or other goods."""

    VERSION: ClassVar[int] = 2
    UPCASTS: ClassVar[tuple[tuple[()], ...]] = FIELDS_ADDED

    return_id: UUID
    reason: ReturnReason
    lines: tuple[ReturnLine, ...]
    note: Sealed | None = None
    remedy: ReturnRemedy = ReturnRemedy.REFUND


class ReturnApproved(Event):
    """The seller agreed to take the goods back."""

    return_id: UUID
    lines: tuple[ReturnLine, ...]


class ReturnDeclined(Event):
    """The seller does not take the goods back; `lines` is what may be asked for anew."""

    return_id: UUID
    reason: DeclineReason
    lines: tuple[ReturnLine, ...]
    note: Sealed | None = None


class ReturnCancelled(Event):
    """Goods of a return are not expected any more: `lines` had been asked back, or approved, and did not come.

    whole: nothing of the return had come, so that it is over.
    """

    return_id: UUID
    lines: tuple[ReturnLine, ...]
    whole: bool


class ReturnShipped(Event):
    """The customer sent the goods of a return off."""

    return_id: UUID
    courier: str | None
    waybill: str | None


class ReturnVerified(Event):
    """It was found out why goods really come back, and whose fault that is. The last word holds.

    freight_borne_by: who bears what carrying them back costs.
    """

    return_id: UUID
    reason: ReturnReason
    fault_party: FaultParty
    freight_borne_by: FaultParty
    note: Sealed | None = None


class ReturnFreightPaid(Event):
    """Carrying goods back was paid for, by the store; it is no part of the price, so that no refund is lower for it."""

    return_id: UUID
    amount_minor: int
    currency: str
    paid_to: FreightPayee
    borne_by: FaultParty
    customer_id: UUID | None
    provider_reference: str | None


class ReturnExchanged(Event):
    """Goods are sent for goods that came back, at the same money.

    lines: units of which the same article is sent once more. exchanges: units that another article replaces.
    """

    return_id: UUID
    currency: str
    lines: tuple[ReturnLine, ...]
    exchanges: tuple[ExchangedLine, ...]


class ReturnReceived(Event):
    """Goods came back and were counted; `external_reference` is the return's number where it was agreed."""

    return_id: UUID
    location_id: UUID | None
    lines: tuple[ReturnLine, ...]
    external_reference: str | None = None


class ReturnDisposed(Event):
    """It was decided what becomes of the goods that came back."""

    VERSION: ClassVar[int] = 2
    UPCASTS: ClassVar[tuple[tuple[()], ...]] = FIELDS_ADDED

    return_id: UUID
    location_id: UUID | None
    lines: tuple[DisposedLine, ...]


class OrderRefunded(Event):
    """Money went back. `amount_minor` = `goods_minor` + `freight_minor` + `unearned_minor`.

    unearned_minor: money that never was part of a sale (an overpayment, or a part payment of an order that was called
    off). Lines without a SKU are money without goods (price protection, compensation).
    """

    refund_id: UUID
    amount_minor: int
    goods_minor: int
    freight_minor: int
    currency: str
    customer_id: UUID | None
    reason: RefundReason
    sold_at: datetime | None
    provider_reference: str | None
    lines: tuple[RefundLine, ...]
    unearned_minor: int = 0
    evidence: str | None = None
    """Where a lower price was seen, for price protection."""


class OrderAssisted(Event):
    """Somebody of the staff helped the buyer, or it was taken back that anybody did (None); the last word holds."""

    agent: str | None


class OrderNoted(Event):
    """Staff wrote something down about the order, for each other: `author` is who, `text` what, sealed."""

    note_id: UUID
    author: str
    text: Sealed


class OrderNoteWithdrawn(Event):
    """A note does not hold any more. What it said stays in the log as it was written."""

    note_id: UUID


class OrderTagged(Event):
    """Staff put a word on the order by which they sort their work."""

    tag: str


class OrderUntagged(Event):
    """That word was taken off again."""

    tag: str


class GuestErased(Event):
    """The key of a guest's order was destroyed: who ordered it can never be read again."""


class ReturnRecorded(FirstEvent):
    """A return that was agreed elsewhere, for goods of no order we know."""

    store_id: UUID
    kind: OrderKind
    customer_id: UUID | None
    external_reference: str | None
    currency: str
    channel: str
    reason: ReturnReason
    lines: tuple[RefundLine, ...]
    amount_minor: int
    region: str | None = None
