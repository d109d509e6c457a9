"""Which commands the state of their aggregate lets through: what is known before anybody fills a form in.

A check takes no input. It raises the refusal that the command would get whatever its input said, or DoneAlready where
the command would change nothing. It is asked in two places: for `allowedCommands`, and when a decision has refused, so
that the reason given is the one foretold. Where the decision's method can be called with an input that is beyond
doubt, the check calls that method and stops it at its first event, so that there is no second telling of the rule.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from opscore.domain import (
    agreements,
    batches,
    campaign_ad_commands,
    campaign_ads,
    campaign_commands,
    campaign_confirming,
    campaign_offers,
    campaign_proposals,
    campaign_resources,
    commissions,
    customer_commands,
    departures,
    disclosures,
    inquiries,
    inspections,
    order_arrivals,
    order_assists,
    order_cancelling,
    order_commands,
    order_dispute_commands,
    order_exchanges,
    order_losses,
    order_notes,
    order_paying,
    order_refunds,
    order_return_endings,
    order_return_ways,
    order_returns,
    order_review_commands,
    purchase_commands,
    sku_amending,
    sku_commands,
    sku_purchases,
    staff,
    stock_commands,
    store_capital,
    store_commands,
    store_deposits,
    store_heroes,
    store_opening,
    store_plans,
    store_profile,
    supplier_commands,
    traffic,
)
from opscore.domain.aggregate import Aggregate
from opscore.domain.campaign import OPEN_STATUSES, Campaign
from opscore.domain.campaign_events import OfferStatus, ProposalStatus
from opscore.domain.command import (
    COMMANDS,
    STATE_CHECKS,
    Actor,
    Command,
    DoneAlready,
    Occasion,
    StateCheck,
)
from opscore.domain.customer import Customer
from opscore.domain.customer_events import (
    AlreadyReferred,
    BlockReason,
    MembershipSource,
    NoFirstOrder,
    NotCredited,
)
from opscore.domain.order import Order
from opscore.domain.order_disputes import DisputeStep
from opscore.domain.order_events import OrderKind
from opscore.domain.order_refusals import ClaimExists, DamageUnreported, LossSettled, NothingToRefund
from opscore.domain.order_state import OrderStatus, Parcel, ReturnCase, ReturnStatus
from opscore.domain.policies import Membership, SecondPerson
from opscore.domain.refusals import NotFound, Refusal, WrongState
from opscore.domain.sku import NotReserved, Sku
from opscore.domain.sku_events import BatchUnknown, SkuNotListed, SkuStatus, TransferUnknown
from opscore.domain.store import Store
from opscore.domain.store_events import DocumentKind

Check = Callable[[Any, Occasion], None]

ANYTHING = "?"
"""Stands for a text that does not matter."""


class _WouldRecord(Exception):
    """The decision came as far as its first event, so it refuses nothing."""


def rehearsed(decide: Check) -> Check:
    """Return a check that makes a decision on a copy, up to its first event; without one, it was done already."""

    def check(aggregate: Any, now: Occasion) -> None:
        copy: Any = object.__new__(type(aggregate))
        copy.__dict__.update(aggregate.__dict__)
        # Nothing is changed before the first event, and that is as far as it comes.
        copy.trigger_event = _would_record
        try:
            decide(copy, now)
        except _WouldRecord:
            return
        raise DoneAlready

    return check


def _would_record(*_: Any, **__: Any) -> None:
    raise _WouldRecord


def always(_: Any, __: Occasion) -> None:
    """Let a command through whatever the state is: it depends on the input alone."""


# Store ---------------------------------------------------------------------------------------------------------------


def _not_closed(store: Store, _: Occasion) -> None:
    store.require_not_closed()


def _with_suppliers(store: Store, _: Occasion) -> None:
    supplier_commands.require_any(store)


def _may_sign(store: Store, _: Occasion) -> None:
    store.require_not_closed()
    agreements.require_none_running(store)


def _with_agreement(store: Store, _: Occasion) -> None:
    agreements.require_any(store)


def _in_agreement(store: Store, _: Occasion) -> None:
    agreements.require_running(store)


def _renewal_asked(store: Store, _: Occasion) -> None:
    agreements.require_asked(store)


STORE: dict[type[Command], Check] = {
    store_commands.CertifyPaymentAccount: rehearsed(
        lambda store, now: store_opening.certify_payment_account(store, ANYTHING, ANYTHING, store.operator, now.at)
    ),
    store_commands.SubmitStoreDocument: rehearsed(
        lambda store, now: store_opening.submit_document(store, DocumentKind.BUSINESS_LICENCE, now.at)
    ),
    store_commands.SubmitStoreInfo: rehearsed(
        lambda store, now: store_opening.submit_info(store, ANYTHING, (ANYTHING,), (), now.at)
    ),
    store_commands.SignStoreAgreement: rehearsed(
        lambda store, now: store_opening.sign_agreement(store, ANYTHING, True, now.at)
    ),
    store_commands.SubmitForAudit: rehearsed(
        lambda store, now: store_opening.submit_for_audit(store, now.actor.id, now.at)
    ),
    store_commands.PassAudit: rehearsed(lambda store, now: store_opening.pass_audit(store, now.actor.id, now.at)),
    store_commands.RejectAudit: rehearsed(lambda store, now: store_opening.reject_audit(store, (ANYTHING,), now.at)),
    store_commands.FreezeDeposit: rehearsed(
        lambda store, now: store_opening.freeze_deposit(
            store, store.deposit_missing_minor(now.at), store.currency, now.at
        )
    ),
    store_commands.PayServiceFee: rehearsed(
        lambda store, now: store_opening.pay_service_fee(store, store.fee_missing_minor(now.at), store.currency, now.at)
    ),
    store_commands.OpenStore: rehearsed(lambda store, now: store.open(now.at)),
    store_commands.SuspendStore: rehearsed(lambda store, now: store.suspend(ANYTHING, None, now.at)),
    store_commands.ReopenStore: rehearsed(lambda store, now: store.reopen(now.at)),
    store_commands.CloseStore: rehearsed(lambda store, now: store.close(ANYTHING, now.at)),
    store_commands.ReleaseDeposit: rehearsed(
        lambda store, now: store_deposits.release(store, 1, store.currency, now.at)
    ),
    store_commands.DeductDeposit: rehearsed(
        lambda store, now: store_deposits.deduct(store, 1, store.currency, ANYTHING, None, now.at)
    ),
    store_commands.SetPaymentMethods: _not_closed,
    store_commands.SetCouriers: _not_closed,
    store_commands.SetCalendar: _not_closed,
    store_commands.AddLocation: _not_closed,
    store_commands.CloseLocation: always,
    store_commands.SetPolicy: _not_closed,
    store_commands.ClosePeriod: always,
    store_commands.RecordExpense: always,
    staff.AssignStaffRole: _not_closed,
    staff.EndStaffRole: always,
    departures.FileResignation: _not_closed,
    departures.WithdrawResignation: always,
    departures.ConfirmHandover: always,
    departures.RecordDeparture: always,
    supplier_commands.ApplyAsSupplier: _not_closed,
    supplier_commands.SubmitSupplierDocument: _with_suppliers,
    supplier_commands.QualifySupplier: _with_suppliers,
    supplier_commands.RejectSupplier: _with_suppliers,
    supplier_commands.AgreeSupplierTerms: _with_suppliers,
    supplier_commands.FreezeSupplierDeposit: _with_suppliers,
    supplier_commands.ActivateSupplier: _with_suppliers,
    supplier_commands.ExpelSupplier: _with_suppliers,
    supplier_commands.ReleaseSupplierDeposit: _with_suppliers,
    store_plans.SetSalesTarget: _not_closed,
    store_plans.SetBudget: _not_closed,
    store_heroes.SetHeroSkus: _not_closed,
    store_capital.InvestCapital: _not_closed,
    store_capital.MoveFunds: always,
    store_profile.PositionStore: _not_closed,
    store_profile.ChangeStoreProfile: _not_closed,
    store_profile.RenameStore: _not_closed,
    store_profile.RecordPlatformPenalty: always,
    commissions.ProposeCommissionScheme: _not_closed,
    commissions.ApproveCommissionScheme: _not_closed,
    commissions.SettleCommission: always,
    traffic.ReportTraffic: always,
    agreements.SignAgreement: _may_sign,
    agreements.PayAgreementFee: _with_agreement,
    agreements.RecordBreach: _in_agreement,
    agreements.GiveNotice: _in_agreement,
    agreements.AskRenewal: _in_agreement,
    agreements.AnswerRenewal: _with_agreement,
    agreements.ExtendAgreementByDefault: _renewal_asked,
    agreements.EndAgreement: _with_agreement,
    inquiries.RecordInquiry: always,
}

# Article -------------------------------------------------------------------------------------------------------------


def _sku_in(*needed: SkuStatus) -> Check:
    return lambda sku, _: sku.require_status(*needed)


_alive = _sku_in(SkuStatus.DRAFT, SkuStatus.REVIEW, SkuStatus.READY)


def _submittable(sku: Sku, _: Occasion) -> None:
    if sku.status is SkuStatus.REVIEW:
        raise DoneAlready
    sku_commands.require_submittable(sku)


def _reviewable(sku: Sku, now: Occasion) -> None:
    sku_commands.require_reviewable(sku, now.store, now.actor.id, now.at)


def _listable(sku: Sku, _: Occasion) -> None:
    if any(listing.listed for listing in sku.listings.values()):
        return  # In that store it is done already; in another one it may be listed as well.
    sku_commands.require_fit_for_sale(sku)
    sku_commands.require_content(sku)
    sku_commands.require_price(sku)


def _delistable(sku: Sku, _: Occasion) -> None:
    if not sku.listings:
        raise SkuNotListed(code=sku.code, path=("sku_id",), ids=[sku.id])


def _retirable(sku: Sku, _: Occasion) -> None:
    if sku.status is SkuStatus.RETIRED:
        raise DoneAlready
    sku_commands.require_unneeded(sku)


def _stocked(sku: Sku, _: Occasion) -> None:
    sku.require_stocked()


def _receivable(sku: Sku, now: Occasion) -> None:
    sku.require_stocked()
    _alive(sku, now)


def _held(sku: Sku, _: Occasion) -> None:
    if not sku.reservations:
        raise NotReserved(code=sku.code, available=0, asked="some", path=("reference",), ids=[sku.id])


def _under_way(sku: Sku, _: Occasion) -> None:
    if not sku.transfers:
        raise TransferUnknown(code=sku.code, path=("transfer_id",), ids=[sku.id])


def _in_batches(sku: Sku, _: Occasion) -> None:
    sku.require_stocked()
    if not sku.batches and not any(level.batches for level in sku.levels.values()):
        raise BatchUnknown(batch="any", code=sku.code, path=("batch",), ids=[sku.id])


def _recalled(sku: Sku, _: Occasion) -> None:
    sku.require_stocked()
    if all(batch.recalled is None for batch in sku.batches.values()):
        raise DoneAlready


def _perishable(sku: Sku, _: Occasion) -> None:
    sku.require_stocked()
    if all(batch.expires_on is None or batch.expired for batch in sku.batches.values()):
        raise DoneAlready


def _purchasable(sku: Sku, now: Occasion) -> None:
    purchase_commands.require_purchasable(sku, now.store)


def _purchased(sku: Sku, _: Occasion) -> None:
    sku_purchases.require_any(sku)


def _allocated(sku: Sku, _: Occasion) -> None:
    if not sku.allocations:
        raise DoneAlready


SKU: dict[type[Command], Check] = {
    sku_amending.AmendSku: _sku_in(SkuStatus.DRAFT, SkuStatus.READY),
    sku_commands.SetSkuContent: _sku_in(SkuStatus.DRAFT, SkuStatus.READY),
    sku_commands.SubmitSku: _submittable,
    sku_commands.PassSkuReview: _reviewable,
    sku_commands.FailSkuReview: _reviewable,
    sku_commands.RetireSku: _retirable,
    sku_commands.SetStockPolicy: _alive,
    purchase_commands.RecordQuote: _alive,
    purchase_commands.OrderPurchase: _purchasable,
    purchase_commands.CancelPurchase: _purchased,
    purchase_commands.PayPurchase: _purchased,
    batches.RecallBatch: _in_batches,
    batches.LiftBatchRecall: _recalled,
    batches.ExpireBatches: _perishable,
}

SKU_ANYWHERE: dict[type[Command], Check] = {
    sku_commands.PriceSku: _alive,
    sku_commands.SetTierPrices: _alive,
    sku_commands.ListSku: _listable,
    sku_commands.DelistSku: _delistable,
    stock_commands.ReceiveStock: _receivable,
    stock_commands.ReserveStock: _stocked,
    stock_commands.ReleaseReservation: _held,
    stock_commands.ShipStock: _held,
    stock_commands.TakeBackStock: _stocked,
    stock_commands.WriteOffStock: _stocked,
    stock_commands.ReclassifyStock: _stocked,
    inspections.InspectBatch: _stocked,
    stock_commands.IssueSample: _stocked,
    stock_commands.CountStock: _stocked,
    stock_commands.TransferStock: _stocked,
    stock_commands.ReceiveTransfer: _under_way,
    stock_commands.AllocateCampaignStock: _stocked,
    stock_commands.ReleaseCampaignStock: _allocated,
}
"""What may be done for any store that the article is sold in or kept for, whatever its home store."""

# Order ---------------------------------------------------------------------------------------------------------------


def _order_in(*needed: OrderStatus) -> Check:
    return lambda order, _: order.require(*needed)


def _payable(order: Order, _: Occasion) -> None:
    over = order.paid_at is not None or order.cancelled_at is not None
    if over and any(payment.provider_reference for payment in order.payments):
        raise DoneAlready  # That payment may be told again.
    order_paying.require_payable(order)


def _shippable(order: Order, _: Occasion) -> None:
    parcels = order.parcels.values()
    if all(parcel.shipped_at is not None for parcel in parcels):
        _require_some(order, bool(parcels), "packed, with a parcel that has not left")


def _unpackable(order: Order, _: Occasion) -> None:
    if all(parcel.shipped_at is not None for parcel in order.parcels.values()):
        _require_some(order, bool(order.unpacked), "packed, with a parcel that has not left")


def _deliverable(order: Order, _: Occasion) -> None:
    parcels = [parcel for parcel in order.parcels.values() if parcel.shipped_at is not None and parcel.lost_at is None]
    if all(parcel.delivered_at is not None for parcel in parcels):
        _require_some(order, bool(parcels), "shipped, with a parcel that has not arrived")


def _require_some(order: Order, done: bool, needed: str) -> None:
    if done:
        raise DoneAlready
    raise WrongState(what="order", state=order.status.value, needed=needed, path=("order_id",), ids=[order.id])


def _cancellable(order: Order, _: Occasion) -> None:
    if order.cancelled_at is not None:
        raise DoneAlready
    order_cancelling.plan_cancel(order)


def _expirable(order: Order, now: Occasion) -> None:
    if order.expired:
        raise DoneAlready
    order_cancelling.require_expirable(order, now.at)


def _returnable(order: Order, now: Occasion) -> None:
    if not any(order.returnable(line) > 0 for line in order.lines):
        _require_some(order, False, "shipped, with goods that were not asked back")
    order_returns.require_in_return_window(order, now.store, now.at)


def _with_return(what: str, *needed: ReturnStatus) -> Check:
    def check(order: Order, _: Occasion) -> None:
        if all(case.status not in needed for case in order.returns.values()):
            _require_some(order, False, what)

    return check


def _with_any_return(check: Callable[[Order, ReturnCase], None], done: Callable[[ReturnCase], bool]) -> Check:
    """Return a check that passes when one of the order's returns does; else it refuses as the last of them does.

    done: whether what was said of a return may be told again.
    """

    def check_all(order: Order, _: Occasion) -> None:
        refusal: Refusal | None = None
        for case in order.returns.values():
            try:
                check(order, case)
            except Refusal as refused:
                refusal = refused
            else:
                return
        if any(done(case) for case in order.returns.values()):
            raise DoneAlready
        if refusal is not None:
            raise refusal
        _require_some(order, False, "one with a return")

    return check_all


def _exchangeable(order: Order, _: Occasion) -> None:
    if not any(order_exchanges.can_exchange(order, case) for case in order.returns.values()):
        _require_some(order, False, "one with goods that came back and were not paid for")


def _trackable(order: Order, _: Occasion) -> None:
    # What is told late of a parcel that arrived is taken too.
    left = [parcel for parcel in order.parcels.values() if parcel.shipped_at is not None]
    if all(parcel.lost_at is not None for parcel in left):
        _require_some(order, bool(left), "shipped")


def _confirmable(order: Order, _: Occasion) -> None:
    if order.received_at is not None and order.status is OrderStatus.COMPLETED:
        raise DoneAlready
    order_arrivals.require_received(order)


def _untaggable(order: Order, _: Occasion) -> None:
    if not order.tags:
        raise DoneAlready


def _refundable(order: Order, _: Occasion) -> None:
    if order.kind is OrderKind.RETURN:
        order.require(*(status for status in OrderStatus if status is not OrderStatus.RETURNED))
    if order.refundable_minor <= 0 and all(line.refundable <= 0 for line in order.lines):
        if any(refund.provider_reference for refund in order.refunds):
            raise DoneAlready  # That refund may be told again.
        raise NothingToRefund(path=("order_id",), ids=[order.id])


def _losable(order: Order, _: Occasion) -> None:
    if order.status is OrderStatus.COMPLETED:
        _require_some(order, False, "not final")
    parcels = [parcel for parcel in order.parcels.values() if parcel.shipped_at is not None]
    on_the_way = [parcel for parcel in parcels if parcel.delivered_at is None]
    if all(parcel.lost_at is not None for parcel in on_the_way):
        _require_some(order, bool(on_the_way), "shipped, with a parcel that has not arrived")


def _with_lost_parcel(order: Order, _: Occasion) -> None:
    if all(parcel.lost_at is None for parcel in order.parcels.values()):
        _require_some(order, False, "one with a parcel that is lost")


def _replaceable(order: Order, now: Occasion) -> None:
    _with_lost_parcel(order, now)
    if not any(line.lost for line in order.lines):
        raise LossSettled(path=("order_id",), ids=[order.id])


def _claimable(order: Order, _: Occasion) -> None:
    parcels = [parcel for parcel in order.parcels.values() if parcel.lost_at is not None or _damaged(order, parcel)]
    if not parcels:
        if any(parcel.delivered_at is not None for parcel in order.parcels.values()):
            raise DamageUnreported(path=("order_id",), ids=[order.id])
        _require_some(order, False, "one with a parcel that is lost, or whose goods came damaged")
    known = [parcel.claim for parcel in parcels if parcel.claim is not None]
    if len(known) == len(parcels):
        raise ClaimExists(amount_minor=known[-1].amount_minor, path=("order_id",), ids=[order.id])


def _damaged(order: Order, parcel: Parcel) -> bool:
    try:
        order_losses.require_damaged(order, parcel)
    except Refusal:
        return False
    return True


def _claimed(order: Order, _: Occasion) -> None:
    claims = [parcel.claim for parcel in order.parcels.values() if parcel.claim is not None]
    if all(claim.recovered_minor is not None for claim in claims):
        _require_some(order, bool(claims), "one with an open claim on a courier")


def _reviewed(check: order_review_commands.ReviewCheck | None) -> Check:
    return lambda order, now: order_review_commands.require_review(order, now, check)


def _disputed(step: type[DisputeStep]) -> Check:
    return lambda order, _: order_dispute_commands.require_step(order, step)


ORDER: dict[type[Command], Check] = {
    order_commands.AmendOrderPrice: lambda order, _: order_paying.require_unpaid(order),
    order_commands.PayOrder: _payable,
    order_commands.ConfirmOrder: rehearsed(lambda order, now: order.confirm(now.at)),
    order_commands.ReportShortage: lambda order, _: order.require_packable(),
    order_commands.ContactCustomer: _order_in(OrderStatus.SHORTAGE),
    order_commands.ResolveShortage: lambda order, _: order.require_shortage_resolvable(),
    order_commands.PackParcel: lambda order, _: order.require_packable(),
    order_commands.UnpackParcel: _unpackable,
    order_commands.ShipOrder: _shippable,
    order_commands.DeliverOrder: _deliverable,
    order_arrivals.TrackParcel: _trackable,
    order_arrivals.ConfirmReceipt: _confirmable,
    order_commands.CompleteOrder: rehearsed(lambda order, now: order.complete(now.at)),
    order_commands.CancelOrder: _cancellable,
    order_commands.CancelOrderLines: lambda order, _: order_cancelling.require_cancellable(order),
    order_commands.EraseGuest: rehearsed(lambda order, now: order.erase_guest(now.at)),
    order_commands.ExpireOrder: _expirable,
    order_returns.RequestReturn: _returnable,
    order_returns.ApproveReturn: _with_return("one with a return that was asked for", ReturnStatus.REQUESTED),
    order_return_endings.DeclineReturn: lambda order, _: order_return_endings.require_declinable(order),
    order_return_endings.CancelReturn: lambda order, _: order_return_endings.require_return_cancellable(order),
    order_return_ways.ShipReturn: _with_any_return(
        order_return_ways.require_awaited, lambda case: case.sent_at is not None
    ),
    order_return_ways.VerifyReturn: _with_return("one with a return", ReturnStatus.REQUESTED, *order_returns.COMING),
    order_return_ways.PayReturnFreight: _with_any_return(
        order_return_ways.require_freight_due, lambda case: case.freight_reference is not None
    ),
    order_exchanges.ExchangeReturn: _exchangeable,
    order_returns.ReceiveReturn: _with_return("one with a return that was approved", *order_returns.COMING),
    order_returns.DisposeReturn: _with_return("one with goods that came back", ReturnStatus.RECEIVED),
    order_refunds.RefundOrder: _refundable,
    order_refunds.ProtectPrice: lambda order, now: order_refunds.require_in_price_protection(order, now.store, now.at),
    order_losses.ReportParcelLost: _losable,
    order_losses.TraceParcel: _with_lost_parcel,
    order_losses.ReplaceLostParcel: _replaceable,
    order_losses.FileCourierClaim: _claimable,
    order_losses.SettleCourierClaim: _claimed,
    order_dispute_commands.OpenDispute: lambda order, _: order_dispute_commands.require_disputable(order),
    **{command: _disputed(step) for command, step in order_dispute_commands.STEPS.items()},
    order_assists.NameOrderAgent: lambda order, _: order_assists.require_open(order),
    order_review_commands.PostReview: order_review_commands.require_reviewable,
    **{command: _reviewed(check) for command, check in order_review_commands.CHECKS.items()},
    order_notes.NoteOrder: lambda order, _: order_notes.require_notable(order),
    order_notes.WithdrawOrderNote: lambda order, _: order_notes.require_note(order),
    order_notes.TagOrder: always,
    order_notes.UntagOrder: _untaggable,
    disclosures.DiscloseOrderContact: always,
}

# Campaign ------------------------------------------------------------------------------------------------------------


def _changeable(campaign: Campaign, _: Occasion) -> None:
    campaign.require_changeable()


def _schedulable(campaign: Campaign, now: Occasion) -> None:
    campaign.require_changeable()
    campaign_confirming.require_confirmed(campaign, now.store)


def _proposable(campaign: Campaign, _: Occasion) -> None:
    campaign_confirming.require_proposable(campaign)
    if campaign.proposal is not None and campaign.proposal.status is not ProposalStatus.DECLINED:
        raise DoneAlready


def _confirmable_by_owner(campaign: Campaign, _: Occasion) -> None:
    campaign_confirming.require_proposable(campaign)
    if campaign.proposal is not None and campaign.proposal.status is ProposalStatus.CONFIRMED:
        raise DoneAlready


def _declinable_by_owner(campaign: Campaign, _: Occasion) -> None:
    campaign_proposals.require_declinable(campaign)
    if campaign.proposal is not None and campaign.proposal.status is ProposalStatus.DECLINED:
        raise DoneAlready


def _with_lines(campaign: Campaign, _: Occasion) -> None:
    campaign.require_changeable()
    if not campaign.lines:
        raise WrongState(what="campaign", state=campaign.status.value, needed="one with lines", ids=[campaign.id])


def _with_promotions(campaign: Campaign, _: Occasion) -> None:
    campaign.require_changeable()
    if not campaign.promotions:
        raise WrongState(what="campaign", state=campaign.status.value, needed="one with promotions", ids=[campaign.id])


def _not_over(campaign: Campaign, _: Occasion) -> None:
    campaign.require_status(*OPEN_STATUSES)


def _with_resources(campaign: Campaign, _: Occasion) -> None:
    campaign_resources.require_resources(campaign)


def _with_ad_plans(campaign: Campaign, _: Occasion) -> None:
    campaign_ads.require_plans(campaign)


def _advertised(campaign: Campaign, _: Occasion) -> None:
    campaign_ads.require_any(campaign)


def _checkable(campaign: Campaign, now: Occasion) -> None:
    campaign.require_checkable(now.actor.id, now.store.policy(SecondPerson, now.at).price_check)


def _startable(campaign: Campaign, now: Occasion) -> None:
    allocated = {sku_id: line.quota for sku_id, line in campaign.lines.items() if line.quota is not None}
    rehearsed(lambda copy, _: copy.go_live(allocated, now.at))(campaign, now)
    if now.store.id in campaign.store_ids:
        now.store.require_open(("campaign_id",))


CAMPAIGN: dict[type[Command], Check] = {
    campaign_commands.RenameCampaign: _not_over,
    campaign_commands.AddCampaignLine: _changeable,
    campaign_commands.RemoveCampaignLine: _with_lines,
    campaign_commands.AddPromotion: _changeable,
    campaign_commands.RemovePromotion: _with_promotions,
    campaign_commands.ScheduleCampaign: _schedulable,
    campaign_commands.SetForecast: _changeable,
    campaign_commands.CheckCampaignPrices: _checkable,
    campaign_commands.StartCampaign: _startable,
    campaign_commands.PauseCampaign: rehearsed(lambda campaign, now: campaign.pause(ANYTHING, now.at)),
    campaign_commands.ResumeCampaign: rehearsed(lambda campaign, now: campaign.resume(now.at)),
    campaign_commands.EndCampaign: rehearsed(lambda campaign, now: campaign.end(None, now.at)),
    campaign_commands.CancelCampaign: rehearsed(lambda campaign, now: campaign.cancel(ANYTHING, now.at)),
    campaign_commands.SetCampaignBudget: _not_over,
    campaign_commands.RecordAdSpend: always,
    campaign_proposals.ProposeCampaign: _proposable,
    campaign_proposals.ConfirmCampaign: _confirmable_by_owner,
    campaign_proposals.DeclineCampaign: _declinable_by_owner,
    campaign_offers.OpenSupplierCall: _changeable,
    campaign_offers.CloseSupplierCall: lambda campaign, now: campaign_offers.require_closable(campaign, now.at),
    campaign_offers.OfferSupply: lambda campaign, now: campaign_offers.require_call_open(campaign, now.at),
    campaign_offers.WithdrawOffer: lambda campaign, _: campaign_offers.require_offer(campaign, OfferStatus.WITHDRAWN),
    campaign_offers.AcceptOffer: lambda campaign, _: campaign_offers.require_offer(campaign, OfferStatus.ACCEPTED),
    campaign_offers.RejectOffer: lambda campaign, _: campaign_offers.require_offer(campaign, OfferStatus.REJECTED),
    campaign_resources.PlanResource: _not_over,
    campaign_resources.DropResource: _with_resources,
    campaign_resources.SubmitResource: _with_resources,
    campaign_resources.ReviewResource: _with_resources,
    campaign_ad_commands.AgreeAdBudget: _not_over,
    campaign_ad_commands.LaunchAdPlan: _not_over,
    campaign_ad_commands.MonitorAd: _advertised,
    campaign_ad_commands.AdjustAd: _with_ad_plans,
    campaign_ad_commands.PauseAdPlan: _with_ad_plans,
    campaign_ad_commands.ResumeAdPlan: _with_ad_plans,
    campaign_ad_commands.EndAdPlan: _advertised,
    campaign_commands.EvaluateCampaign: rehearsed(lambda campaign, now: campaign.evaluate(ANYTHING, (), None, now.at)),
}

# Customer ------------------------------------------------------------------------------------------------------------


def _known(customer: Customer, _: Occasion) -> None:
    customer.require_known()


def _active(customer: Customer, _: Occasion) -> None:
    customer.require_active()


def _known_or_merged(customer: Customer, _: Occasion) -> None:
    # What is for a merged record goes to the one that it was merged into, even when the merged one was erased since.
    if customer.merged_into is None:
        customer.require_known()


def _erasable(customer: Customer, now: Occasion) -> None:
    # With a merged record the one that it was merged into is forgotten, even when the merged one was erased before.
    if customer.merged_into is None:
        rehearsed(lambda copy, now: copy.erase(now.at))(customer, now)


def _referable(customer: Customer, _: Occasion) -> None:
    customer.require_active()
    if customer.referrer_id is not None:
        raise DoneAlready
    if customer.first_order_id is not None:
        raise AlreadyReferred(path=("customer_id",), ids=[customer.id])


def _rewardable(customer: Customer, _: Occasion) -> None:
    customer.require_referral()
    # The first order of a merged record may have been counted for the one that it was merged into.
    if customer.merged_into is None and customer.first_order_id is None:
        raise NoFirstOrder(path=("customer_id",), ids=[customer.id])


def _joins(customer: Customer, now: Occasion) -> None:
    membership, version = now.store.policy(Membership, now.at), now.store.policy_version(Membership, now.at)
    tier = next((tier.name for tier in membership.tiers), ANYTHING)
    customer.join(MembershipSource.GRANTED, tier, membership, version, now.store.currency, now.at)


def _changes_tier(customer: Customer, now: Occasion) -> None:
    membership, version = now.store.policy(Membership, now.at), now.store.policy_version(Membership, now.at)
    tier = next((tier.name for tier in membership.tiers if tier.name != customer.tier), ANYTHING)
    customer.change_tier(tier, membership, version, ANYTHING, now.at)


def _debitable(customer: Customer, _: Occasion) -> None:
    if customer.merged_into is None and not customer.credits:
        raise NotCredited(path=("order_id",), ids=[customer.id])


def _spends_points(customer: Customer, now: Occasion) -> None:
    customer.require_active()
    customer.plan_points(1, now.at)


CUSTOMER: dict[type[Command], Check] = {
    customer_commands.SetContactCard: _known,
    customer_commands.SetConsent: _known,
    customer_commands.BlockCustomer: rehearsed(lambda customer, now: customer.block(next(iter(BlockReason)), now.at)),
    customer_commands.UnblockCustomer: rehearsed(lambda customer, now: customer.unblock(now.at)),
    customer_commands.MergeCustomers: _known,
    customer_commands.EraseCustomer: _erasable,
    customer_commands.ReferCustomer: _referable,
    customer_commands.RewardReferral: _rewardable,
    customer_commands.JoinMembership: rehearsed(_joins),
    customer_commands.ChangeTier: rehearsed(_changes_tier),
    customer_commands.CreditSpend: _known_or_merged,
    customer_commands.DebitSpend: _debitable,
    customer_commands.EarnPoints: _known_or_merged,
    customer_commands.SpendPoints: _spends_points,
    customer_commands.ReversePoints: always,
    customer_commands.ExpirePoints: rehearsed(lambda customer, now: customer.expire_points(now.at)),
    customer_commands.GrantCoupon: _active,
    customer_commands.UseCoupon: _active,
    customer_commands.ReturnCoupon: always,
    customer_commands.RedeemCampaign: _active,
    disclosures.DiscloseCustomerContact: always,
}

for _checks in (STORE, SKU, ORDER, CAMPAIGN, CUSTOMER):
    STATE_CHECKS.update({command: StateCheck(check) for command, check in _checks.items()})
STATE_CHECKS.update({command: StateCheck(check, anywhere=True) for command, check in SKU_ANYWHERE.items()})


# What somebody may do now --------------------------------------------------------------------------------------------

DONE_ALREADY = "DONE_ALREADY"
DONE_REASON = " ".join((DoneAlready.__doc__ or "").split())


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether a command would be carried out, as far as role, stores and state say; `code` is None when it would."""

    command: type[Command]
    code: str | None = None
    reason: str | None = None


@functools.cache
def commands_about(kind: type[Aggregate]) -> list[type[Command]]:
    """Return the commands about an aggregate of this kind that has begun, by name."""
    return [command for _, command in sorted(COMMANDS.items()) if command.AGGREGATE is kind and command in STATE_CHECKS]


def readiness(
    aggregate: Aggregate, actor: Actor, at: datetime, store: Store, *, of_others: bool = True
) -> list[Readiness]:
    """Return for each command about an aggregate whether this actor may give it at a moment.

    store: the aggregate's home store. The aggregate is one that the actor sees, and is left as it is. of_others: also
    those that are for other roles, or for who acts for the store, whatever the state.
    """
    occasion = Occasion(actor, at, store)
    about = commands_about(type(aggregate))
    return [_of(each, aggregate, occasion) for each in about if of_others or _is_for(actor, each, aggregate)]


def _is_for(actor: Actor, command: type[Command], aggregate: Aggregate) -> bool:
    try:
        _require_for(actor, command, aggregate)
    except Refusal:
        return False
    return True


def _require_for(actor: Actor, command: type[Command], aggregate: Aggregate) -> None:
    command.require_role(actor)
    if not (STATE_CHECKS[command].anywhere or actor.may_act_for(aggregate.store_id)):
        raise NotFound(what=aggregate.STREAM_TYPE.lower())


def _of(command: type[Command], aggregate: Aggregate, now: Occasion) -> Readiness:
    try:
        _require_for(now.actor, command, aggregate)
        STATE_CHECKS[command].require(aggregate, now)
    except DoneAlready:
        return Readiness(command, DONE_ALREADY, DONE_REASON)
    except Refusal as refusal:
        return Readiness(command, refusal.CODE, refusal.message)
    return Readiness(command)
