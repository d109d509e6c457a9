"""Orders as the API shows them, from their own stream."""

# Strawberry declares its field decorator untyped; the resolvers themselves are checked.
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

import strawberry
from strawberry.types import Info

from opscore.api import contacts, reads
from opscore.api.context import Context
from opscore.api.customers import Customer, customer_view
from opscore.api.disputes import OrderDispute, dispute_view
from opscore.api.enums import expose
from opscore.api.history import HistoryEvent, history_field
from opscore.api.ids import key_of
from opscore.api.money import Money, UnitPrice, money, unit_price
from opscore.api.nodes import Stream, gid, store_gid, stream_fields
from opscore.api.numbers import number_of
from opscore.api.paging import Connection
from opscore.api.reviews import OrderReview, review_view
from opscore.api.skus import Sku, sku_view
from opscore.api.stores import Store, store_view
from opscore.domain import customer as customer_domain, order as domain, sku as sku_domain, store as store_domain
from opscore.domain.aggregate import Aggregate
from opscore.domain.order_disputes import FaultParty
from opscore.domain.order_events import (
    ClaimCause,
    DeclineReason,
    OrderKind,
    PriceSource,
    RefundReason,
    ReturnReason,
    ReturnRemedy,
    TrackingStatus,
)
from opscore.domain.order_state import OrderStatus, ReturnCase, ReturnStatus
from opscore.domain.values import TrafficSource, plain
from opscore.permissions import may_see_field

for _enum in (
    ClaimCause,
    DeclineReason,
    OrderKind,
    PriceSource,
    RefundReason,
    ReturnReason,
    ReturnRemedy,
    TrackingStatus,
    OrderStatus,
    ReturnStatus,
    TrafficSource,
):
    expose(_enum)

NOT_LOADED: Any = object()

AggregateT = TypeVar("AggregateT", bound=Aggregate)
ViewT = TypeVar("ViewT")


async def _named(
    context: Context,
    place: str,
    loaded: ViewT | None,
    id_: str | None,
    kind: type[AggregateT],
    view: Callable[[AggregateT, Context], ViewT],
) -> ViewT | None:
    """Return what an order names by a global id, read together with what else of its kind is asked for.

    place: the field, as the table of permissions has it. loaded: what a list has fetched, or NOT_LOADED. None for no
    id, and for what the viewer may not see.
    """
    if loaded is not NOT_LOADED:
        return loaded
    if id_ is None or not may_see_field(context.viewer.role, place):
        return None
    found = await reads.current(context, kind, key_of(id_, kind.STREAM_TYPE))
    return None if found is None else view(found, context)


@strawberry.type(description="One line of an order: what was agreed, and what became of its units.")
class OrderLine:
    line: int = strawberry.field(description="Its number in the order, from 1.")
    sku_id: strawberry.ID = strawberry.field(description="The article.")
    sku_code: str = strawberry.field(description="Its code when it was ordered.")
    name: str = strawberry.field(description="Its name when it was ordered.")
    unit: str = strawberry.field(description="What one of it is.")
    quantity: Decimal = strawberry.field(description="Units ordered.")
    list_price: UnitPrice | None = strawberry.field(description="Price per unit without any offer.")
    unit_price: UnitPrice | None = strawberry.field(
        description="Price per unit before promotions: list, tier or campaign."
    )
    gross: Money | None = strawberry.field(description="The units at list price.")
    discount: Money | None = strawberry.field(description="What is taken off.")
    amount: Money | None = strawberry.field(description="What is to be paid: gross less discount.")
    campaign_id: strawberry.ID | None = strawberry.field(description="The campaign whose price or gift it is.")
    gift: bool = strawberry.field(description="Whether it is a gift.")
    service: bool = strawberry.field(description="Whether it is a service, which moves no stock.")
    cancelled: Decimal = strawberry.field(description="Units called off.")
    exchanged: Decimal = strawberry.field(description="Units that another line replaces.")
    packed: Decimal = strawberry.field(description="Units in parcels.")
    shipped: Decimal = strawberry.field(description="Units that left.")
    lost: Decimal = strawberry.field(
        description="Units that left and are lost, neither sent once more nor called off; not among those that left."
    )
    delivered: Decimal = strawberry.field(description="Units that arrived.")
    returned: Decimal = strawberry.field(description="Units that came back.")
    refunded: Decimal = strawberry.field(description="Units whose money went back.")
    loaded_sku: strawberry.Private[Any] = NOT_LOADED
    """The article where a list has fetched the articles of all its lines."""

    @strawberry.field(description="The article as it is now; null where the token may not see it.")
    async def sku(self, info: Info[Context, None]) -> Sku | None:
        return await _named(info.context, "OrderLine.sku", self.loaded_sku, self.sku_id, sku_domain.Sku, sku_view)


@strawberry.type(description="Money that came in for an order.")
class OrderPayment:
    amount: Money = strawberry.field(description="How much.")
    method: str = strawberry.field(description="By which method.")
    provider_reference: str | None = strawberry.field(description="What the payment provider calls it.")
    received_at: datetime = strawberry.field(description="When it came in.")


@strawberry.type(description="Units of one line in a parcel.")
class OrderParcelLine:
    line: int = strawberry.field(description="Number of the order line.")
    sku_id: strawberry.ID = strawberry.field(description="The article.")
    quantity: Decimal = strawberry.field(description="Units in this parcel.")
    batch: str | None = strawberry.field(description="Batch they are of, where it was named.")


@strawberry.type(description="What a courier said of a parcel on its way.")
class OrderParcelTracking:
    status: TrackingStatus = strawberry.field(description="How far it was.")
    place: str | None = strawberry.field(description="The courier's site.")
    at: datetime = strawberry.field(description="When.")


@strawberry.type(description="Money that was claimed from a courier for a parcel.")
class OrderParcelClaim:
    cause: ClaimCause = strawberry.field(description="What the courier did to it.")
    amount: Money = strawberry.field(description="What was claimed.")
    recovered: Money | None = strawberry.field(description="What the courier paid; null until there is an answer.")
    reference: str | None = strawberry.field(description="The courier's number of the claim.")
    filed_at: datetime = strawberry.field(description="When it was claimed.")
    settled_at: datetime | None = strawberry.field(description="When the courier answered.")


@strawberry.type(description="What is sent in one piece.")
class OrderParcel:
    parcel_id: UUID = strawberry.field(description="Its id, which commands about the parcel take.")
    location_id: UUID | None = strawberry.field(description="Where it leaves from.")
    courier: str | None = strawberry.field(description="Who carries it.")
    waybill: str | None = strawberry.field(description="The courier's number for it.")
    shipped_at: datetime | None = strawberry.field(description="When it left.")
    delivered_at: datetime | None = strawberry.field(description="When it arrived.")
    lost_at: datetime | None = strawberry.field(description="Since when it is lost; null once it was found.")
    traced_at: datetime | None = strawberry.field(description="When the courier was last asked after it.")
    tracking: list[OrderParcelTracking] = strawberry.field(description="What the courier said of it, in order of time.")
    news_by: datetime | None = strawberry.field(
        description="By when something is to be heard of it, by the store's policy order_terms; null unless it is on "
        "its way."
    )
    claim: OrderParcelClaim | None = strawberry.field(
        description="What was claimed from the courier; null for roles of the shop's front."
    )
    lines: list[OrderParcelLine] = strawberry.field(description="What it holds.")


@strawberry.type(description="Units of one line on their way back.")
class OrderReturnLine:
    line: int = strawberry.field(description="Number of the order line.")
    requested: Decimal = strawberry.field(description="Units asked back.")
    approved: Decimal = strawberry.field(description="Units that may come back.")
    received: Decimal = strawberry.field(description="Units that came back.")
    disposed: Decimal = strawberry.field(description="Units of which it was decided what becomes.")
    given_up: Decimal = strawberry.field(description="Units that are not expected any more: declined, or called off.")
    exchanged: Decimal = strawberry.field(description="Units that came back and for which goods are sent.")


@strawberry.type(description="Goods of an order on their way back.")
class OrderReturn:
    return_id: UUID = strawberry.field(description="Its id, which commands about the return take.")
    reason: ReturnReason = strawberry.field(description="Why, in the customer's words.")
    remedy: ReturnRemedy = strawberry.field(description="What the customer wants for the goods.")
    verified_reason: ReturnReason | None = strawberry.field(
        description="Why they really come back; null until it was found out, and for buyers."
    )
    fault_party: FaultParty | None = strawberry.field(
        description="Whose fault it is; null until it was found out, and for buyers."
    )
    freight_borne_by: FaultParty | None = strawberry.field(
        description="Who bears what carrying them back costs; null until it is known."
    )
    freight: Money | None = strawberry.field(
        description="What the store paid for carrying them back; null as long as it paid nothing."
    )
    sent_at: datetime | None = strawberry.field(description="When they were sent off, the last parcel of them.")
    courier: str | None = strawberry.field(description="Who carries that parcel.")
    waybill: str | None = strawberry.field(description="The courier's number for it.")
    requested_at: datetime | None = strawberry.field(
        description="When it was asked for; null where it was agreed elsewhere."
    )
    status: ReturnStatus = strawberry.field(description="How far it is.")
    decline_reason: DeclineReason | None = strawberry.field(description="Why it was declined, if it was.")
    location_id: UUID | None = strawberry.field(description="Where the goods came back to.")
    lines: list[OrderReturnLine] = strawberry.field(description="What comes back.")


@strawberry.type(description="Money that went back.")
class OrderRefund:
    refund_id: UUID = strawberry.field(description="Its id.")
    amount: Money = strawberry.field(description="How much.")
    reason: RefundReason = strawberry.field(description="Why.")
    refunded_at: datetime = strawberry.field(description="When it went back.")
    provider_reference: str | None = strawberry.field(description="What the payment provider calls it.")


@strawberry.type(description="Units of one line that the warehouse could not find.")
class OrderShortLine:
    line: int = strawberry.field(description="Number of the order line.")
    sku_id: strawberry.ID = strawberry.field(description="The article.")
    quantity: Decimal = strawberry.field(description="Units that are missing.")


@strawberry.type(description="What staff wrote down about an order, for each other.")
class OrderNote:
    note_id: UUID = strawberry.field(description="Its id, which `withdrawOrderNote` takes.")
    author: str = strawberry.field(description="Who wrote it: a pseudonym.")
    written_at: datetime = strawberry.field(description="When.")
    text: str | None = strawberry.field(description="What it says; null once the customer, or the guest, was erased.")


@strawberry.type(
    description="One order, up to its last refund; or, of kind RETURN, goods of no order we know that came back. "
    "Personal data of the recipient is not shown here. Amounts are null, payments and refunds empty, for roles that "
    "see no prices."
)
class Order(Stream):
    history: Connection[HistoryEvent] | None = history_field("Order")
    store_id: strawberry.ID = strawberry.field(description="The store it was placed in.")
    customer_id: strawberry.ID | None = strawberry.field(description="The customer; null for a guest.")
    kind: OrderKind = strawberry.field(description="Whether it is a sale or a return.")
    status: OrderStatus = strawberry.field(description="Where it stands: the state of its least advanced unit.")
    number: str = strawberry.field(
        description="The number that people call it by, of digits alone: unique over all stores, the same for ever, "
        "and made so that one digit misheard or two swapped are found out. Take it as it is."
    )
    channel: str = strawberry.field(description="Where it came in.")
    traffic_source: TrafficSource | None = strawberry.field(
        description="By which way the buyer came to the shop; null where nobody knows."
    )
    device: str | None = strawberry.field(description="What the buyer ordered with, such as pc or app; null: unknown.")
    external_reference: str | None = strawberry.field(description="Its number elsewhere, unique in the store.")
    region: str | None = strawberry.field(description="Where it goes.")
    currency_code: str = strawberry.field(description="ISO 4217 code of its amounts.")
    price_source: PriceSource = strawberry.field(description="Who fixed its prices.")
    surge: bool = strawberry.field(description="Whether it was placed in a rush, which allows more time to ship.")
    placed_at: datetime = strawberry.field(description="When it was placed.")
    expires_at: datetime | None = strawberry.field(description="When it lapses unless it is paid.")
    paid_at: datetime | None = strawberry.field(description="When it was paid in full.")
    ship_by: datetime | None = strawberry.field(description="When it should have left.")
    ship_by_hard: datetime | None = strawberry.field(description="When it must have left.")
    confirmed_at: datetime | None = strawberry.field(description="When the seller took it on.")
    delivered_at: datetime | None = strawberry.field(description="When the last parcel so far arrived.")
    received_at: datetime | None = strawberry.field(description="When whoever ordered said that the goods are there.")
    inspected: bool = strawberry.field(description="Whether they looked at the goods then.")
    completed_at: datetime | None = strawberry.field(description="When the sale became final.")
    cancelled_at: datetime | None = strawberry.field(description="When the whole of it was called off.")
    expired: bool = strawberry.field(description="Whether it lapsed because nobody paid.")
    lines: list[OrderLine] = strawberry.field(description="Its lines; none of a return of no order we know.")
    goods: Money | None = strawberry.field(description="The lines' amounts, after all discounts and points.")
    discount: Money | None = strawberry.field(description="What was taken off the list prices.")
    freight: Money | None = strawberry.field(description="What is asked for carriage.")
    freight_waived: Money | None = strawberry.field(description="What was not asked for carriage.")
    total: Money | None = strawberry.field(description="Goods and freight as agreed.")
    net_total: Money | None = strawberry.field(description="The total less what was called off.")
    paid: Money | None = strawberry.field(description="What came in.")
    due: Money | None = strawberry.field(description="What is still to be paid.")
    refunded: Money | None = strawberry.field(description="What went back.")
    refundable: Money | None = strawberry.field(description="The most that may still go back.")
    coupon_code: str | None = strawberry.field(description="The coupon that was used.")
    points_spent: int = strawberry.field(description="Points that paid for a part.")
    points_value: Money | None = strawberry.field(description="What these points were worth.")
    campaign_ids: list[strawberry.ID] = strawberry.field(description="The campaigns that had a part in its prices.")
    payments: list[OrderPayment] = strawberry.field(description="Money that came in, in order.")
    parcels: list[OrderParcel] = strawberry.field(description="Its parcels.")
    returns: list[OrderReturn] = strawberry.field(description="Goods on their way back.")
    refunds: list[OrderRefund] = strawberry.field(description="Money that went back, in order.")
    disputes: list[OrderDispute] = strawberry.field(description="Complaints about it, in order.")
    reviews: list[OrderReview] = strawberry.field(description="What the customer thinks of its lines, in order.")
    shortage: list[OrderShortLine] = strawberry.field(description="What the warehouse could not find.")
    tags: list[str] = strawberry.field(
        description="The words by which staff sort their work, in the order of their characters; none for buyers."
    )
    loaded_customer: strawberry.Private[Any] = NOT_LOADED
    """The customer where a list has fetched the customers of all its orders."""
    loaded_store: strawberry.Private[Any] = NOT_LOADED
    """The store, likewise."""

    @strawberry.field(
        description="What staff wrote down about it and did not withdraw, in order; none for roles that do not work on "
        "orders."
    )
    async def notes(self, info: Info[Context, None]) -> list[OrderNote]:
        order: domain.Order = self.source
        if not order.notes or not may_see_field(info.context.viewer.role, "Order.notes"):
            return []
        texts = await contacts.of_notes(info.context, order.subject_id, [note.text for note in order.notes.values()])
        return [
            OrderNote(note_id=note_id, author=note.author, written_at=note.written_at, text=text)
            for (note_id, note), text in zip(order.notes.items(), texts, strict=True)
        ]

    @strawberry.field(
        description="Who of the staff helped the buyer, the last who was named: a pseudonym. Null where nobody is, and "
        "for buyers."
    )
    def agent(self, info: Info[Context, None]) -> str | None:
        order: domain.Order = self.source
        return order.agent if may_see_field(info.context.viewer.role, "Order.agent") else None

    @strawberry.field(description="The customer; null for a guest, and where the token may not see it.")
    async def customer(self, info: Info[Context, None]) -> Customer | None:
        return await _named(
            info.context,
            "Order.customer",
            self.loaded_customer,
            self.customer_id,
            customer_domain.Customer,
            customer_view,
        )

    @strawberry.field(description="The store it was placed in; null where the token may not see it.")
    async def store(self, info: Info[Context, None]) -> Store | None:
        return await _named(
            info.context, "Order.store", self.loaded_store, self.store_id, store_domain.Store, store_view
        )


def _line(line: Any, currency: str, prices: bool) -> OrderLine:
    def amount(minor: int) -> Money | None:
        return money(minor, currency) if prices else None

    return OrderLine(
        line=line.line,
        sku_id=gid("Sku", line.sku_id),
        sku_code=line.sku_code,
        name=line.name,
        unit=line.unit,
        quantity=plain(line.ordered),
        list_price=unit_price(line.list_price, currency) if prices else None,
        unit_price=unit_price(line.unit_price, currency) if prices else None,
        gross=amount(line.gross_minor),
        discount=amount(line.discount_minor),
        amount=amount(line.amount_minor),
        campaign_id=gid("Campaign", line.campaign_id),
        gift=line.gift,
        service=line.service,
        cancelled=plain(line.cancelled),
        exchanged=plain(line.exchanged),
        packed=plain(line.packed),
        shipped=plain(line.shipped),
        lost=plain(line.lost),
        delivered=plain(line.delivered),
        returned=plain(line.returned),
        refunded=plain(line.refunded),
    )


def order_view(order: domain.Order, context: Context) -> Order:
    """Return an order as the API shows it, from its aggregate."""
    assert order.first_position is not None, "what is shown was read from the log"
    currency = order.currency
    prices = may_see_field(context.viewer.role, "Order.total")

    def amount(minor: int) -> Money | None:
        return money(minor, currency) if prices else None

    return Order(
        **stream_fields(order),
        store_id=store_gid(order.store_id),
        customer_id=gid("Customer", order.customer_id),
        kind=order.kind,
        status=order.status,
        number=number_of(order.first_position),
        channel=order.channel,
        traffic_source=order.traffic_source,
        device=order.device,
        external_reference=order.external_reference,
        region=order.region,
        currency_code=currency,
        price_source=order.price_source,
        surge=order.surge,
        placed_at=order.placed_at,
        expires_at=order.expires_at,
        paid_at=order.paid_at,
        ship_by=order.ship_by,
        ship_by_hard=order.ship_by_hard,
        confirmed_at=order.confirmed_at,
        delivered_at=order.delivered_at,
        received_at=order.received_at,
        inspected=order.inspected,
        completed_at=order.completed_at,
        cancelled_at=order.cancelled_at,
        expired=order.expired,
        lines=[_line(line, currency, prices) for line in order.lines],
        goods=amount(order.goods_minor),
        discount=amount(order.discount_minor),
        freight=amount(order.freight_minor),
        freight_waived=amount(order.freight_waived_minor),
        total=amount(order.total_minor),
        net_total=amount(order.net_total_minor),
        paid=amount(order.paid_minor),
        due=amount(order.due_minor),
        refunded=amount(order.refunded_minor),
        refundable=amount(order.refundable_minor),
        coupon_code=order.coupon_code,
        points_spent=order.points_spent,
        points_value=amount(order.points_minor),
        campaign_ids=[gid("Campaign", each) for each in order.campaign_ids],
        payments=[
            OrderPayment(
                amount=money(each.amount_minor, currency),
                method=each.method,
                provider_reference=each.provider_reference,
                received_at=each.received_at,
            )
            for each in order.payments
            if prices
        ],
        parcels=[_parcel(parcel_id, each, currency, context) for parcel_id, each in order.parcels.items()],
        returns=[_return(return_id, each, currency, context) for return_id, each in order.returns.items()],
        refunds=[
            OrderRefund(
                refund_id=each.refund_id,
                amount=money(each.amount_minor, currency),
                reason=each.reason,
                refunded_at=each.refunded_at,
                provider_reference=each.provider_reference,
            )
            for each in order.refunds
            if prices
        ],
        disputes=[dispute_view(key, each, currency, context.viewer.role) for key, each in order.disputes.items()],
        reviews=[review_view(order, line, context.viewer.role) for line in order.reviews],
        shortage=[
            OrderShortLine(line=each.line, sku_id=gid("Sku", each.sku_id), quantity=each.quantity)
            for each in order.shortage
        ],
        tags=sorted(order.tags) if may_see_field(context.viewer.role, "Order.tags") else [],
    )


def _parcel(parcel_id: UUID, parcel: Any, currency: str, context: Context) -> OrderParcel:
    claim = parcel.claim if may_see_field(context.viewer.role, "OrderParcel.claim") else None
    recovered_minor = None if claim is None else claim.recovered_minor
    return OrderParcel(
        parcel_id=parcel_id,
        location_id=parcel.location_id,
        courier=parcel.courier,
        waybill=parcel.waybill,
        shipped_at=parcel.shipped_at,
        delivered_at=parcel.delivered_at,
        lost_at=parcel.lost_at,
        traced_at=parcel.traced_at,
        tracking=[OrderParcelTracking(status=each.status, place=each.place, at=each.at) for each in parcel.tracking],
        news_by=parcel.news_by if parcel.is_on_its_way else None,
        claim=None
        if claim is None
        else OrderParcelClaim(
            cause=claim.cause,
            amount=money(claim.amount_minor, currency),
            recovered=None if recovered_minor is None else money(recovered_minor, currency),
            reference=claim.reference,
            filed_at=claim.filed_at,
            settled_at=claim.settled_at,
        ),
        lines=[
            OrderParcelLine(line=each.line, sku_id=gid("Sku", each.sku_id), quantity=each.quantity, batch=each.batch)
            for each in parcel.lines
        ],
    )


def _return(return_id: UUID, case: ReturnCase, currency: str, context: Context) -> OrderReturn:
    role = context.viewer.role
    paid_minor = case.freight_minor if may_see_field(role, "Order.total") else None
    found_out = may_see_field(role, "OrderReturn.faultParty")
    return OrderReturn(
        return_id=return_id,
        reason=case.reason,
        remedy=case.remedy,
        verified_reason=case.verified_reason if found_out else None,
        fault_party=case.fault_party if found_out else None,
        freight_borne_by=case.freight_borne_by,
        freight=None if paid_minor is None else money(paid_minor, currency),
        sent_at=case.sent_at,
        courier=case.courier,
        waybill=case.waybill,
        requested_at=case.requested_at,
        status=case.status,
        decline_reason=case.decline_reason,
        location_id=case.location_id,
        lines=[
            OrderReturnLine(
                line=each.line,
                requested=each.requested,
                approved=each.approved,
                received=each.received,
                disposed=each.disposed,
                given_up=each.given_up,
                exchanged=each.exchanged,
            )
            for each in case.lines
        ],
    )
