"""What follows from what: rules that read an event and say which commands come next, and what falls due when.

These are the process managers that need not be part of a decision; whatever must hold at once (stock released with a
cancellation, an article off sale with its last unit) is done inside the decision itself. A rule is a pure function of
the event and of what it may look at; asked again it gives the same commands, or leaves out what has been done since.
Events of origin `import` lead to nothing: their consequences happened where they come from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, TypeVar
from uuid import UUID

from opscore.domain import agreements
from opscore.domain.aggregate import Aggregate, Event
from opscore.domain.agreement_events import (
    Agreement,
    AgreementExtended,
    AgreementRenewalAnswered,
    AgreementRenewalRequested,
    AgreementSigned,
    AgreementStatus,
    AgreementTerminationNoticed,
)
from opscore.domain.batches import ExpireBatches, expires_at
from opscore.domain.campaign import Campaign
from opscore.domain.campaign_commands import CancelCampaign, EndCampaign, StartCampaign
from opscore.domain.campaign_events import CampaignScheduled, CampaignStatus, ForecastSet, PriceCheckPassed
from opscore.domain.command import Command
from opscore.domain.customer import Customer
from opscore.domain.customer_commands import (
    REFERRAL,
    CreditSpend,
    DebitSpend,
    EarnPoints,
    ExpirePoints,
    ReversePoints,
    RewardReferral,
)
from opscore.domain.customer_events import CustomersMerged, PointsEarned, PointsReturned
from opscore.domain.order import Order
from opscore.domain.order_commands import CompleteOrder, ExpireOrder
from opscore.domain.order_disputes import DisputeClosed, DisputeWithdrawn
from opscore.domain.order_events import (
    OrderCancelled,
    OrderCompleted,
    OrderDelivered,
    OrderPlaced,
    OrderRefunded,
    ShortageResolved,
)
from opscore.domain.order_reviews import ReviewPosted
from opscore.domain.order_state import OrderStatus
from opscore.domain.policies import OrderTerms, Points, Relisting
from opscore.domain.sku import Sku
from opscore.domain.sku_commands import ListSku
from opscore.domain.sku_events import (
    CampaignStockAllocated,
    DelistReason,
    ReservationReleased,
    StockAdjusted,
    StockReceived,
    StockReclassified,
    StockReturned,
    StockTransferredIn,
)
from opscore.domain.store import Store

PURCHASE = "purchase"
"""The points rule by which a completed order earns; the reference is the order's id."""
REVIEW, PHOTO_REVIEW = "review", "photo_review"
"""The points rules by which a review earns, whatever its score; the second, where it is set, for one with photos."""

AggregateT = TypeVar("AggregateT", bound=Aggregate)


class Look(Protocol):
    """What a rule may look at."""

    def then(self, kind: type[AggregateT], stream_id: UUID) -> AggregateT | None:
        """Return the aggregate as it was when the event was recorded, None if it had not begun."""

    def now(self, kind: type[AggregateT], stream_id: UUID) -> AggregateT | None:
        """Return the aggregate as it is, with what followed from earlier events; None if it has not begun."""


@dataclass(frozen=True, slots=True)
class Step:
    """A command that follows; `suffix` tells it from the others that follow from the same event by the same rule."""

    command: Command
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class FollowUp:
    """A rule that reads events of some types in the order of the log and says which commands follow from each."""

    name: str
    reads: tuple[type[Event], ...]
    then: Callable[[Event, Look], Iterator[Step]]


@dataclass(frozen=True, slots=True)
class DueRule:
    """A rule by which something falls due: `due` says when, `then` what is asked for at that time.

    `then` returns None when there is nothing left to do; that saves a command, the command itself would refuse.
    """

    name: str
    reads: tuple[type[Event], ...]
    due: Callable[[Event, Look], Sequence[datetime]]
    then: Callable[[UUID, Look], Command | None]


# After a sale --------------------------------------------------------------------------------------------------------


def _completed(event: Event, look: Look) -> Iterator[Step]:
    assert isinstance(event, OrderCompleted)
    if event.customer_id is None:
        return
    order = look.then(Order, event.originator_id)
    if event.goods_minor > 0:
        # The tier check is part of crediting: when the spend reaches a higher tier, the customer moves up with it.
        credit = CreditSpend(
            customer_id=event.customer_id,
            order_id=event.originator_id,
            amount_minor=event.goods_minor,
            currency=event.currency,
        )
        yield Step(credit, "spend")
        if order is not None and _earns(look, order.store_id, event.occurred_at):
            earn = EarnPoints(
                customer_id=event.customer_id,
                rule=PURCHASE,
                reference=str(event.originator_id),
                amount_minor=event.goods_minor,
                store_id=order.store_id,
            )
            yield Step(earn, "points")
    customer = look.now(Customer, event.customer_id)
    if customer is not None and customer.referrer_id is not None and not customer.referral_rewarded:
        yield Step(RewardReferral(customer_id=event.customer_id), "referral")


def _earns(look: Look, store_id: UUID, at: datetime) -> bool:
    store = look.then(Store, store_id)
    return store is not None and PURCHASE in store.policy(Points, at).rules


def _refunded(event: Event, look: Look) -> Iterator[Step]:
    assert isinstance(event, OrderRefunded)
    if event.customer_id is None or event.goods_minor <= 0:
        return
    order = look.then(Order, event.originator_id)
    if order is None or order.completed_at is None:
        return  # Nothing was credited yet: completing the order counts what has not gone back by then.
    debit = DebitSpend(
        customer_id=event.customer_id,
        order_id=event.originator_id,
        refund_id=event.refund_id,
        amount_minor=event.goods_minor,
        currency=event.currency,
    )
    yield Step(debit, "spend")
    customer = look.now(Customer, event.customer_id)
    if customer is None:
        return
    reference = str(event.originator_id)
    if _has_earned(look, customer, PURCHASE, reference):
        reverse = ReversePoints(
            customer_id=customer.id,
            rule=PURCHASE,
            reference=reference,
            refund_id=event.refund_id,
            refunded_minor=event.goods_minor,
        )
        yield Step(reverse, "points")
    first = any(known.first_order_id == event.originator_id for known in _records(look, customer))
    if first and customer.referral_rewarded and customer.referrer_id is not None and not order.kept_goods_minor:
        reverse = ReversePoints(
            customer_id=customer.referrer_id, rule=REFERRAL, reference=str(customer.id), refund_id=event.refund_id
        )
        yield Step(reverse, "referral")


def _has_earned(look: Look, customer: Customer, rule: str, reference: str) -> bool:
    """Say whether the points were given, to this record or to one that it was merged into."""
    return any(known.has_earned(rule, reference) for known in _records(look, customer))


def _records(look: Look, customer: Customer) -> Iterator[Customer]:
    """Give a record, the one that it was merged into, and so on."""
    known: Customer | None = customer
    while known is not None:
        yield known
        known = None if known.merged_into is None else look.now(Customer, known.merged_into)


def _reviewed(event: Event, look: Look) -> Iterator[Step]:
    """Give points for a review by the store's policy; never for its score, so that nobody is paid for a good one."""
    assert isinstance(event, ReviewPosted)
    order = look.then(Order, event.originator_id)
    store = None if order is None else look.then(Store, order.store_id)
    if store is None or event.customer_id is None:
        return
    rules = store.policy(Points, event.occurred_at).rules
    rule = PHOTO_REVIEW if event.photos and PHOTO_REVIEW in rules else REVIEW
    if rule in rules:
        reference = f"{event.originator_id}:{event.line}"
        yield Step(EarnPoints(customer_id=event.customer_id, rule=rule, reference=reference, store_id=store.id))


# Back on sale --------------------------------------------------------------------------------------------------------

INFLOWS = (
    StockReceived,
    StockReturned,
    StockReclassified,
    StockAdjusted,
    StockTransferredIn,
    ReservationReleased,
)
"""What may give an article something to sell again."""


def _in_stock_again(event: Event, look: Look) -> Iterator[Step]:
    sku = look.now(Sku, event.originator_id)
    if sku is None or not sku.available:
        return
    for store_id, listing in sku.listings.items():
        if listing.listed or listing.reason is not DelistReason.OUT_OF_STOCK:
            continue
        store = look.now(Store, store_id)
        if store is not None and store.policy(Relisting, event.occurred_at).automatic:
            # Listing checks all that it always checks: the store, its papers, stock where the store sells from.
            yield Step(ListSku(sku_id=sku.id, store_id=store_id), str(store_id))


# Campaigns -----------------------------------------------------------------------------------------------------------

READY = (ForecastSet, PriceCheckPassed, CampaignStockAllocated)
"""What a campaign may have lacked at its time, when it could not start."""


def _ready_after_its_start(event: Event, look: Look) -> Iterator[Step]:
    assert isinstance(event, READY)
    campaign_id = event.campaign_id if isinstance(event, CampaignStockAllocated) else event.originator_id
    campaign = look.now(Campaign, campaign_id)
    if campaign is None or campaign.status is not CampaignStatus.SCHEDULED or campaign.starts_at is None:
        return
    if campaign.starts_at <= event.occurred_at:
        # Starting checks all that it always checks; what else is missing will be an event of its own.
        yield Step(StartCampaign(campaign_id=campaign_id))


FOLLOW_UPS: tuple[FollowUp, ...] = (
    FollowUp(name="after_completion", reads=(OrderCompleted,), then=_completed),
    FollowUp(name="after_refund", reads=(OrderRefunded,), then=_refunded),
    FollowUp(name="after_review", reads=(ReviewPosted,), then=_reviewed),
    FollowUp(name="in_stock_again", reads=INFLOWS, then=_in_stock_again),
    FollowUp(name="ready_after_its_start", reads=READY, then=_ready_after_its_start),
)
"""What follows at once, in the order of the log."""


# What falls due ------------------------------------------------------------------------------------------------------


def _expires(event: Event, look: Look) -> Sequence[datetime]:
    assert isinstance(event, OrderPlaced)
    return () if event.expires_at is None else (event.expires_at,)


def _completes(event: Event, look: Look) -> Sequence[datetime]:
    """An order is complete some days after its last parcel; what of it was cancelled, or became a service, is none.

    A dispute that is open then holds it up until it is over.
    """
    assert isinstance(event, OrderDelivered | OrderCancelled | ShortageResolved | DisputeClosed | DisputeWithdrawn)
    if isinstance(event, OrderDelivered):
        all_sent = event.complete
    elif isinstance(event, DisputeClosed | DisputeWithdrawn):
        all_sent = True
    else:
        all_sent = event.rest_shipped
    order = look.then(Order, event.originator_id) if all_sent else None
    store = None if order is None else look.then(Store, order.store_id)
    if order is None or store is None or order.status is not OrderStatus.DELIVERED or order.in_dispute:
        return ()
    days = timedelta(days=store.policy(OrderTerms, event.occurred_at).auto_complete_days)
    if isinstance(event, DisputeClosed | DisputeWithdrawn) and order.delivered_at is not None:
        return (max(event.occurred_at, order.delivered_at + days),)
    return (event.occurred_at + days,)


def _lapses(event: Event, look: Look) -> Sequence[datetime]:
    if isinstance(event, PointsEarned):
        return () if event.expires_at is None else (event.expires_at,)
    assert isinstance(event, PointsReturned | CustomersMerged)
    return sorted({lot.expires_at for lot in event.lots if lot.expires_at is not None})


def _goes_off(event: Event, look: Look) -> Sequence[datetime]:
    assert isinstance(event, StockReceived)
    sku = None if event.batch is None or event.expires_on is None else look.then(Sku, event.originator_id)
    store = None if sku is None else look.then(Store, sku.store_id)
    return () if store is None or event.expires_on is None else (expires_at(store, event.expires_on),)


def _campaign_begins(event: Event, look: Look) -> Sequence[datetime]:
    assert isinstance(event, CampaignScheduled)
    return (event.starts_at,)


def _start_campaign(stream_id: UUID, look: Look) -> Command | None:
    scheduled, campaign = look.then(Campaign, stream_id), look.now(Campaign, stream_id)
    if scheduled is None or campaign is None or campaign.starts_at != scheduled.starts_at:
        return None  # It was moved since: its new start falls due by itself.
    return StartCampaign(campaign_id=stream_id) if campaign.status is CampaignStatus.SCHEDULED else None


def _campaign_is_over(event: Event, look: Look) -> Sequence[datetime]:
    assert isinstance(event, CampaignScheduled)
    return (event.ends_at,)


def _end_campaign(stream_id: UUID, look: Look) -> Command | None:
    scheduled, campaign = look.then(Campaign, stream_id), look.now(Campaign, stream_id)
    if scheduled is None or campaign is None or campaign.ends_at != scheduled.ends_at:
        return None  # It was moved since: its new end falls due by itself.
    if campaign.status is CampaignStatus.SCHEDULED:
        # It can be neither started nor moved any more, and what is set apart for it would stay so.
        return CancelCampaign(campaign_id=stream_id, reason="its time was over before it was started")
    runs = campaign.status in (CampaignStatus.LIVE, CampaignStatus.PAUSED)
    return EndCampaign(campaign_id=stream_id) if runs else None


def _expire_order(stream_id: UUID, look: Look) -> Command | None:
    order = look.now(Order, stream_id)
    unpaid = order is not None and order.status is OrderStatus.PLACED
    return ExpireOrder(order_id=stream_id) if unpaid else None


def _complete_order(stream_id: UUID, look: Look) -> Command | None:
    order = look.now(Order, stream_id)
    arrived = order is not None and order.status is OrderStatus.DELIVERED and not order.in_dispute
    return CompleteOrder(order_id=stream_id) if arrived else None


def _expire_points(stream_id: UUID, look: Look) -> Command | None:
    customer = look.now(Customer, stream_id)
    return ExpirePoints(customer_id=stream_id) if customer is not None and customer.lots else None


def _expire_batches(stream_id: UUID, look: Look) -> Command | None:
    sku = look.now(Sku, stream_id)
    left = sku is not None and any(batch.expires_on and not batch.expired for batch in sku.batches.values())
    return ExpireBatches(sku_id=stream_id) if left else None


def _renewal_is_to_be_answered(event: Event, look: Look) -> Sequence[datetime]:
    assert isinstance(event, AgreementRenewalRequested)
    return (event.answer_due_by,)


def _extend_agreement(stream_id: UUID, look: Look) -> Command | None:
    then, now = _agreement(look.then(Store, stream_id)), _agreement(look.now(Store, stream_id))
    if then is None or now is None or now[0] != then[0] or now[1].renewal != then[1].renewal:
        return None
    unanswered = now[1].status is AgreementStatus.RENEWAL_ASKED
    return agreements.ExtendAgreementByDefault(store_id=stream_id, agreement_id=now[0]) if unanswered else None


def _agreement_is_over(event: Event, look: Look) -> Sequence[datetime]:
    assert isinstance(
        event, AgreementSigned | AgreementTerminationNoticed | AgreementRenewalAnswered | AgreementExtended
    )
    return (event.ends_at,)


def _end_agreement(stream_id: UUID, look: Look) -> Command | None:
    then, now = _agreement(look.then(Store, stream_id)), _agreement(look.now(Store, stream_id))
    if then is None or now is None or (now[0], now[1].ends_at) != (then[0], then[1].ends_at):
        return None  # It ends at another time, which falls due by itself.
    return agreements.EndAgreement(store_id=stream_id, agreement_id=now[0])


def _agreement(store: Store | None) -> tuple[UUID, Agreement] | None:
    return None if store is None else agreements.running(store)


DUE_RULES: tuple[DueRule, ...] = (
    DueRule(name="expire_order", reads=(OrderPlaced,), due=_expires, then=_expire_order),
    DueRule(
        name="complete_order",
        reads=(OrderDelivered, OrderCancelled, ShortageResolved, DisputeClosed, DisputeWithdrawn),
        due=_completes,
        then=_complete_order,
    ),
    DueRule(name="start_campaign", reads=(CampaignScheduled,), due=_campaign_begins, then=_start_campaign),
    DueRule(name="end_campaign", reads=(CampaignScheduled,), due=_campaign_is_over, then=_end_campaign),
    DueRule(
        name="expire_points", reads=(PointsEarned, PointsReturned, CustomersMerged), due=_lapses, then=_expire_points
    ),
    DueRule(name="expire_batches", reads=(StockReceived,), due=_goes_off, then=_expire_batches),
    DueRule(
        name="extend_agreement",
        reads=(AgreementRenewalRequested,),
        due=_renewal_is_to_be_answered,
        then=_extend_agreement,
    ),
    DueRule(
        name="end_agreement",
        reads=(AgreementSigned, AgreementTerminationNoticed, AgreementRenewalAnswered, AgreementExtended),
        due=_agreement_is_over,
        then=_end_agreement,
    ),
)
"""What is asked for at a time of its own."""
