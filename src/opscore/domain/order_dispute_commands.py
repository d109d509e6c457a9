"""What can be asked for about a complaint, step by step; order_disputes.py says which step may be taken where.

A store's desk for returns checks, offers and settles; service takes complaints up and asks afterwards; the customer, or
whoever speaks for them, complains, answers offers and withdraws; owners, managers and the platform arbitrate.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any, ClassVar
from uuid import UUID

from msgspec import Meta

from opscore.domain.aggregate import Aggregate
from opscore.domain.command import Command, DoneAlready, Role, UnitOfWork
from opscore.domain.order import Order, require_each_once
from opscore.domain.order_commands import (
    AFTER_SALES_DESK,
    BUYING,
    SERVICE_DESK,
    LineQuantity,
    Note,
    OrderId,
    line_quantity,
    own_order,
    require_currency,
    sealed,
)
from opscore.domain.order_disputes import (
    FOLLOW_UP_TRIES,
    TAKEN_AT,
    Arbiter,
    CompensationAbovePolicy,
    CompensationPaid,
    DecidedFor,
    Dispute,
    DisputeAccepted,
    DisputeAgreed,
    DisputeArbitrated,
    DisputeClosed,
    DisputedLine,
    DisputeFollowedUp,
    DisputeNegotiated,
    DisputeOfferDeclined,
    DisputeOpened,
    DisputeRemedy,
    DisputeSettled,
    DisputeStatus,
    DisputeStep,
    DisputeVerified,
    DisputeWithdrawn,
    FaultParty,
    FaultPartyMissing,
    FollowUpResult,
    NoFollowUp,
    NoOfferOpen,
    NothingToPay,
    NotNegotiated,
    OfferOpen,
    RemedyNotDone,
)
from opscore.domain.order_events import OrderKind
from opscore.domain.order_refunds import REFUNDING
from opscore.domain.order_refusals import RefundExceedsPaid
from opscore.domain.policies import Compensation, ProblemKind
from opscore.domain.refusals import CurrencyMismatch, InvalidField, NotFound, Refusal, WrongState
from opscore.domain.store import Store
from opscore.domain.values import Code, Currency, PositiveMinor, Reason, Text, plain

CUSTOMERS_SIDE = BUYING | AFTER_SALES_DESK
"""The customer, and the desks that note what the customer says."""
COMPLAINTS_DESK = SERVICE_DESK | AFTER_SALES_DESK
ARBITRATING = frozenset({Role.OWNER, Role.MANAGER})
"""Beside the platform, which may give every command."""

DisputeId = Annotated[UUID, Meta(description="The dispute.")]
Offer = Annotated[DisputeRemedy, Meta(description="What is to be done.")]

# What may happen next ------------------------------------------------------------------------------------------------

_LEADS_TO: dict[type[DisputeStep], DisputeStatus] = {
    DisputeAccepted: DisputeStatus.ACCEPTED,
    DisputeClosed: DisputeStatus.CLOSED,
    DisputeWithdrawn: DisputeStatus.WITHDRAWN,
}
"""Steps that say nothing more than that they were taken: asked for twice, they are recorded once."""

_NOTHING_OFFERED = (DisputeStatus.OPENED, DisputeStatus.ACCEPTED, DisputeStatus.VERIFIED)


def require_disputable(order: Order) -> None:
    """Refuse WrongState unless it is a sale that was paid: before, there is nothing that it could fall short of."""
    if order.kind is OrderKind.RETURN or order.paid_at is None:
        raise WrongState(what="order", state=order.status.value, needed="paid", path=("order_id",), ids=[order.id])


def step_of(order: Order, dispute_id: UUID, step: type[DisputeStep]) -> Dispute:
    """Return a dispute of the order that may take a step, named by the event that records it.

    Refuses: NotFound, WrongState, and what says which earlier step is missing: NoOfferOpen, OfferOpen, NotNegotiated,
    NothingToPay, NoFollowUp. Raises DoneAlready for a step that was taken and says nothing more.
    """
    dispute = order.disputes.get(dispute_id)
    if dispute is None:
        raise NotFound(what="dispute of this order", path=("dispute_id",), ids=[order.id])
    at: dict[str, Any] = {"path": ("dispute_id",), "ids": [order.id]}
    if dispute.status is _LEADS_TO.get(step):
        raise DoneAlready
    needed = TAKEN_AT[step]
    if dispute.status not in needed:
        if step is DisputeClosed and dispute.status is DisputeStatus.SETTLED:
            raise NoFollowUp(**at)
        if step is DisputeArbitrated and dispute.status in _NOTHING_OFFERED:
            raise NotNegotiated(**at)
        raise WrongState(what="dispute", state=dispute.status.value, needed=" or ".join(needed), **at)
    if step in (DisputeAgreed, DisputeOfferDeclined) and dispute.offered_at is None:
        raise NoOfferOpen(**at)
    if step is DisputeArbitrated and dispute.offered_at is not None:
        raise OfferOpen(**at)
    if step is CompensationPaid and not dispute.unpaid_minor:
        raise NothingToPay(**at)
    return dispute


def require_step(order: Order, step: type[DisputeStep]) -> None:
    """Refuse unless one of the order's disputes may take the step: as that dispute would be, if there is but one.

    Raises DoneAlready where a dispute has taken it, or a payment of one may be told again.
    """
    refused: list[Refusal] = []
    done = False
    for dispute_id, dispute in order.disputes.items():
        try:
            step_of(order, dispute_id, step)
        except DoneAlready:
            done = True
        except Refusal as refusal:
            refused.append(refusal)
            done = done or (step is CompensationPaid and bool(dispute.references))
        else:
            return
    if done:
        raise DoneAlready
    for said in refused:
        # Of several, one that names the missing step says more than a state does.
        if len(refused) == 1 or not isinstance(said, WrongState):
            raise said
    needed = "one with a dispute that is " + " or ".join(TAKEN_AT[step])
    raise WrongState(what="order", state=order.status.value, needed=needed, path=("order_id",), ids=[order.id])


def paid_for_minor(order: Order, dispute: Dispute) -> int:
    """Return what was paid for the units that a dispute is about, in minor units; for all goods if it names none."""
    if not dispute.lines:
        return order.paid_goods_minor
    return sum(order.lines[entry.line - 1].price_of(entry.quantity) for entry in dispute.lines)


def _require_amount(order: Order, remedy: DisputeRemedy, amount_minor: int | None) -> None:
    """Refuse InvalidField unless the remedy goes with the amount, RefundExceedsPaid when so much was never paid."""
    needed = remedy in (DisputeRemedy.REFUND, DisputeRemedy.COMPENSATION)
    if needed and amount_minor is None:
        raise InvalidField(why=f"say how much: the remedy is {remedy}", path=("amount_minor",))
    if amount_minor is not None and remedy in (DisputeRemedy.EXCHANGE, DisputeRemedy.NOTHING):
        raise InvalidField(why=f"the remedy {remedy} has no amount", path=("amount_minor",))
    back = remedy in (DisputeRemedy.REFUND, DisputeRemedy.RETURN)
    if back and amount_minor is not None and amount_minor > order.refundable_minor:
        raise RefundExceedsPaid(
            available=order.refundable_minor, asked=amount_minor, path=("amount_minor",), ids=[order.id]
        )


def _require_done(
    order: Order, dispute: Dispute, refund_ids: Sequence[UUID], return_id: UUID | None, replaced: bool
) -> None:
    """Refuse RemedyNotDone unless what was agreed or decided has been done by what is named."""
    remedy, amount_minor = dispute.remedy, dispute.amount_minor or 0
    named = [refund for refund in order.refunds if refund.refund_id in refund_ids]
    refunded_minor = sum(refund.amount_minor for refund in named)
    missing = None
    if remedy in (DisputeRemedy.REFUND, DisputeRemedy.RETURN) and not named:
        missing = "the money has not gone back"
    elif remedy in (DisputeRemedy.REFUND, DisputeRemedy.RETURN) and refunded_minor < amount_minor:
        missing = f"{refunded_minor} of {amount_minor} minor units have gone back"
    elif remedy is DisputeRemedy.RETURN and return_id is None:
        missing = "the goods have not come back"
    elif remedy is DisputeRemedy.EXCHANGE and not replaced:
        missing = "nothing was sent instead"
    elif dispute.unpaid_minor:
        missing = f"{dispute.unpaid_minor} minor units of the compensation are to be paid"
    if missing is not None:
        raise RemedyNotDone(missing=missing, path=("dispute_id",), ids=[order.id])


def open_dispute(
    work: UnitOfWork,
    order: Order,
    kind: ProblemKind,
    lines: Sequence[tuple[int, Decimal]],
    statement: str | None,
    evidence: str | None,
) -> None:
    """Record a complaint about these (line, quantity), none for the order as a whole; `statement` is sealed."""
    order.trigger_event(
        DisputeOpened,
        dispute_id=work.new_id(),
        kind=kind,
        lines=tuple(
            DisputedLine(line=number, sku_id=order.lines[number - 1].sku_id, quantity=quantity)
            for number, quantity in lines
        ),
        statement=statement,
        evidence=evidence,
        occurred_at=work.occurred_at,
    )


# What can be asked for -----------------------------------------------------------------------------------------------


class OpenDispute(Command):
    """Complain about an order that was paid: what is wrong, with which units. One order may have several disputes."""

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = CUSTOMERS_SIDE

    order_id: OrderId
    kind: Annotated[ProblemKind, Meta(description="What is wrong.")]
    statement: Annotated[Text | None, Meta(description="In the customer's words; kept encrypted.")] = None
    lines: Annotated[
        tuple[LineQuantity, ...], Meta(description="The units concerned; the order as a whole if left out.")
    ] = ()
    evidence: Annotated[Reason | None, Meta(description="Where it can be seen: a photo, a page; no personal data.")] = (
        None
    )

    def decide(self, work: UnitOfWork) -> UUID:
        """Check that so much was ordered, then open the dispute."""
        order = own_order(work, self.order_id)
        require_disputable(order)
        require_each_once([entry.line for entry in self.lines])
        concerned = []
        for index, entry in enumerate(self.lines):
            quantity = line_quantity(work, order, entry.line, entry.quantity, index)
            line = order.lines[entry.line - 1]
            ordered = line.ordered - line.exchanged
            if quantity > ordered:
                why = f"only {plain(ordered)} of line {entry.line} were ordered"
                raise InvalidField(why=why, path=("lines", index, "quantity"), ids=[order.id])
            concerned.append((entry.line, quantity))
        open_dispute(work, order, self.kind, concerned, sealed(work, order, self.statement), self.evidence)
        return order.id


class AcceptDispute(Command):
    """Take a complaint up and tell the customer so: the first answer, which the response time is counted to."""

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = COMPLAINTS_DESK

    order_id: OrderId
    dispute_id: DisputeId
    note: Note = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Take it up; asked twice, recorded once."""
        order = work.order(self.order_id)
        try:
            step_of(order, self.dispute_id, DisputeAccepted)
        except DoneAlready:
            return order.id
        note = sealed(work, order, self.note)
        order.trigger_event(DisputeAccepted, dispute_id=self.dispute_id, note=note, occurred_at=work.occurred_at)
        return order.id


class VerifyDispute(Command):
    """Say what was found out about a complaint: whether the problem is real, whose fault it is, what would solve it."""

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = AFTER_SALES_DESK
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (FaultPartyMissing,)

    order_id: OrderId
    dispute_id: DisputeId
    real: Annotated[bool, Meta(description="Whether there is a problem at all.")]
    solution: Annotated[DisputeRemedy, Meta(description="What would solve it.")]
    fault_party: Annotated[
        FaultParty | None, Meta(description="Whose fault it is, and who bears the cost; needed if it is real.")
    ] = None
    kind: Annotated[
        ProblemKind | None, Meta(description="What is really wrong; what the customer said if left out.")
    ] = None
    note: Note = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Check that it was taken up and that a real problem is somebody's fault, then record what was found."""
        order = work.order(self.order_id)
        dispute = step_of(order, self.dispute_id, DisputeVerified)
        if self.real and self.fault_party is None:
            raise FaultPartyMissing(path=("fault_party",), ids=[order.id])
        if not self.real and self.fault_party is not None:
            raise InvalidField(why="what is not real is nobody's fault", path=("fault_party",), ids=[order.id])
        order.trigger_event(
            DisputeVerified,
            dispute_id=self.dispute_id,
            real=self.real,
            kind=self.kind or dispute.kind,
            fault_party=self.fault_party,
            solution=self.solution,
            note=sealed(work, order, self.note),
            occurred_at=work.occurred_at,
        )
        return order.id


class NegotiateDispute(Command):
    """Offer the customer something; the last offer stands. A compensation is what the store's policy gives.

    Owners and managers may offer a compensation above the policy, knowingly.
    """

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = AFTER_SALES_DESK
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (CompensationAbovePolicy, RefundExceedsPaid)

    order_id: OrderId
    dispute_id: DisputeId
    remedy: Offer
    amount_minor: Annotated[
        PositiveMinor | None,
        Meta(
            description="How much, in minor units: needed for a refund; of a compensation, what the policy gives if "
            "left out; of a return, the least that goes back, if so agreed."
        ),
    ] = None
    above_policy: Annotated[bool, Meta(description="Offer more than the policy gives; for owners and managers.")] = (
        False
    )
    note: Note = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Check the amount against the policy and against what was paid, then record the offer."""
        order = work.order(self.order_id)
        dispute = step_of(order, self.dispute_id, DisputeNegotiated)
        amount_minor, policy_minor = self.amount_minor, None
        if self.remedy is DisputeRemedy.COMPENSATION:
            policy_minor = self._policy_minor(work, order, dispute)
            # Not zero: a policy that gives nothing has to be gone above, by somebody who may.
            amount_minor = amount_minor or policy_minor or None
            if amount_minor is not None and amount_minor > policy_minor and not self._may_exceed(work):
                raise CompensationAbovePolicy(
                    allowed=policy_minor, asked=amount_minor, path=("amount_minor",), ids=[order.id]
                )
        _require_amount(order, self.remedy, amount_minor)
        order.trigger_event(
            DisputeNegotiated,
            dispute_id=self.dispute_id,
            round=dispute.round + 1,
            remedy=self.remedy,
            amount_minor=amount_minor,
            currency=order.currency,
            policy_minor=policy_minor,
            note=sealed(work, order, self.note),
            occurred_at=work.occurred_at,
        )
        return order.id

    def _policy_minor(self, work: UnitOfWork, order: Order, dispute: Dispute) -> int:
        """Return what the policy still gives, in minor units: what was paid in this dispute counts against it."""
        rules = work.get(Store, order.store_id, scoped=False).policy(Compensation, work.occurred_at).rules
        rule = rules.get(dispute.found_kind or dispute.kind)
        owed_minor = 0 if rule is None else rule.owed_minor(paid_for_minor(order, dispute))
        return max(0, owed_minor - dispute.compensated_minor)

    def _may_exceed(self, work: UnitOfWork) -> bool:
        return self.above_policy and work.actor.role is not Role.AFTER_SALES


class DeclineDisputeOffer(Command):
    """Record that the customer does not take the last offer; another may be made, or it is arbitrated."""

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = CUSTOMERS_SIDE
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (NoOfferOpen,)

    order_id: OrderId
    dispute_id: DisputeId
    note: Note = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Check that an offer waits for an answer, then record this one."""
        order = own_order(work, self.order_id)
        dispute = step_of(order, self.dispute_id, DisputeOfferDeclined)
        order.trigger_event(
            DisputeOfferDeclined,
            dispute_id=self.dispute_id,
            round=dispute.round,
            offered_at=dispute.offered_at,
            note=sealed(work, order, self.note),
            occurred_at=work.occurred_at,
        )
        return order.id


class AgreeDispute(Command):
    """Record that the customer takes the last offer. What is carried out then is what was offered."""

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = CUSTOMERS_SIDE
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (NoOfferOpen,)

    order_id: OrderId
    dispute_id: DisputeId

    def decide(self, work: UnitOfWork) -> UUID:
        """Check that an offer waits for an answer, then record the agreement."""
        order = own_order(work, self.order_id)
        dispute = step_of(order, self.dispute_id, DisputeAgreed)
        order.trigger_event(
            DisputeAgreed,
            dispute_id=self.dispute_id,
            round=dispute.round,
            offered_at=dispute.offered_at,
            remedy=dispute.remedy,
            amount_minor=dispute.amount_minor,
            currency=order.currency,
            occurred_at=work.occurred_at,
        )
        return order.id


class ArbitrateDispute(Command):
    """Record how a dispute was decided in which the customer declined an offer: by whom, for whom, and why.

    The policy of compensations does not bind whoever decides.
    """

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = ARBITRATING
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (NotNegotiated, OfferOpen, RefundExceedsPaid)

    order_id: OrderId
    dispute_id: DisputeId
    decided_by: Annotated[Arbiter, Meta(description="Who decided.")]
    decided_for: Annotated[DecidedFor, Meta(description="For whom.")]
    remedy: Offer
    reason: Annotated[Reason, Meta(description="Why, and what weighed more; no personal data.")]
    amount_minor: Annotated[
        PositiveMinor | None,
        Meta(description="How much, in minor units: needed for a refund or a compensation."),
    ] = None
    fault_party: Annotated[
        FaultParty | None, Meta(description="Whose fault it is by that decision; as it was found if left out.")
    ] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Check that there was a failed negotiation, then record the decision."""
        order = work.order(self.order_id)
        step_of(order, self.dispute_id, DisputeArbitrated)
        _require_amount(order, self.remedy, self.amount_minor)
        order.trigger_event(
            DisputeArbitrated,
            dispute_id=self.dispute_id,
            decided_by=self.decided_by,
            decided_for=self.decided_for,
            remedy=self.remedy,
            amount_minor=self.amount_minor,
            currency=order.currency,
            reason=self.reason,
            fault_party=self.fault_party,
            occurred_at=work.occurred_at,
        )
        return order.id


class PayCompensation(Command):
    """Pay what was agreed or decided as compensation, on top of the order: the sale stays what it was.

    Whoever is at fault bears it. To give back a part of the price itself, refund the order instead.
    """

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = REFUNDING
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (NothingToPay, CurrencyMismatch)

    order_id: OrderId
    dispute_id: DisputeId
    amount_minor: Annotated[
        PositiveMinor | None, Meta(description="A part of it, in minor units; all that is left if left out.")
    ] = None
    provider_reference: Annotated[
        Code | None, Meta(description="The payment provider's own reference; the same one is recorded once.")
    ] = None
    currency: Annotated[
        Currency | None, Meta(description="Currency of the amount; refused if it is not the order's.")
    ] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Check that so much is owed, then record the payment. A reference counts once."""
        order = work.order(self.order_id)
        require_currency(order, self.currency)
        known = order.disputes.get(self.dispute_id)
        if known is not None and self.provider_reference in known.references:
            return order.id
        dispute = step_of(order, self.dispute_id, CompensationPaid)
        amount_minor = self.amount_minor or dispute.unpaid_minor
        if amount_minor > dispute.unpaid_minor:
            why = f"only {dispute.unpaid_minor} minor units of it are to be paid"
            raise InvalidField(why=why, path=("amount_minor",), ids=[order.id])
        order.trigger_event(
            CompensationPaid,
            compensation_id=work.new_id(),
            dispute_id=self.dispute_id,
            kind=dispute.found_kind,
            borne_by=dispute.borne_by,
            amount_minor=amount_minor,
            currency=order.currency,
            customer_id=order.customer_id,
            provider_reference=self.provider_reference,
            occurred_at=work.occurred_at,
        )
        return order.id


class SettleDispute(Command):
    """Say that what was agreed or decided has been done, and by which refunds, return or other order.

    An exchange is done by a return for whose goods others were sent, or by another order.
    """

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = AFTER_SALES_DESK
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (RemedyNotDone,)

    order_id: OrderId
    dispute_id: DisputeId
    refund_ids: Annotated[tuple[UUID, ...], Meta(description="Refunds of the order that settle it.")] = ()
    return_id: Annotated[UUID | None, Meta(description="The return by which its goods came back.")] = None
    replacement_order_id: Annotated[UUID | None, Meta(description="The order by which something was sent instead.")] = (
        None
    )

    def decide(self, work: UnitOfWork) -> UUID:
        """Check that each thing named is there, is of this dispute alone and is enough, then settle it."""
        order = work.order(self.order_id)
        dispute = step_of(order, self.dispute_id, DisputeSettled)
        self._require_refunds(order, dispute)
        if self.return_id is not None:
            self._require_return(order)
        if self.replacement_order_id is not None:
            self._require_replacement(work, order)
        exchanged = self.return_id is not None and order.returns[self.return_id].is_exchanged
        replaced = exchanged or self.replacement_order_id is not None
        _require_done(order, dispute, self.refund_ids, self.return_id, replaced)
        order.trigger_event(
            DisputeSettled,
            dispute_id=self.dispute_id,
            remedy=dispute.remedy,
            refund_ids=self.refund_ids,
            return_id=self.return_id,
            replacement_order_id=self.replacement_order_id,
            occurred_at=work.occurred_at,
        )
        return order.id

    def _require_refunds(self, order: Order, dispute: Dispute) -> None:
        known = {refund.refund_id: refund for refund in order.refunds}
        used = {refund_id for other in order.disputes.values() for refund_id in other.refund_ids}
        for index, refund_id in enumerate(self.refund_ids):
            path = ("refund_ids", index)
            if refund_id not in known:
                raise NotFound(what="refund of this order", path=path, ids=[order.id])
            if refund_id in used or refund_id in self.refund_ids[:index]:
                raise InvalidField(why="a refund settles one dispute, once", path=path, ids=[order.id])
            if known[refund_id].refunded_at < dispute.opened_at:
                raise InvalidField(why="it went back before anybody complained", path=path, ids=[order.id])

    def _require_return(self, order: Order) -> None:
        case = order.returns.get(self.return_id) if self.return_id is not None else None
        if case is None:
            raise NotFound(what="return of this order", path=("return_id",), ids=[order.id])
        if not any(entry.received for entry in case.lines):
            raise WrongState(
                what="return",
                state=case.status.value,
                needed="one whose goods came",
                path=("return_id",),
                ids=[order.id],
            )

    def _require_replacement(self, work: UnitOfWork, order: Order) -> None:
        path = ("replacement_order_id",)
        other = work.order(self.replacement_order_id, path=path) if self.replacement_order_id is not None else order
        if other.id == order.id or (other.store_id, other.customer_id) != (order.store_id, order.customer_id):
            raise InvalidField(why="name another order of the same store and customer", path=path, ids=[other.id])
        if other.kind is OrderKind.RETURN or other.cancelled_at is not None:
            raise WrongState(
                what="order", state=other.status.value, needed="one that stands", path=path, ids=[other.id]
            )


class FollowUpDispute(Command):
    """Record that the customer was asked whether the problem is solved. If it is not, something else is to be offered.

    A customer who was not reached three times counts as asked.
    """

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = COMPLAINTS_DESK

    order_id: OrderId
    dispute_id: DisputeId
    result: Annotated[FollowUpResult, Meta(description="What the customer said, if reached.")]
    note: Note = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Check that it was settled, then record the answer."""
        order = work.order(self.order_id)
        dispute = step_of(order, self.dispute_id, DisputeFollowedUp)
        tried_enough = self.result is FollowUpResult.NOT_REACHED and dispute.not_reached + 1 >= FOLLOW_UP_TRIES
        order.trigger_event(
            DisputeFollowedUp,
            dispute_id=self.dispute_id,
            result=self.result,
            done=self.result is FollowUpResult.SOLVED or tried_enough,
            note=sealed(work, order, self.note),
            occurred_at=work.occurred_at,
        )
        return order.id


class CloseDispute(Command):
    """Close a dispute that was settled and followed up."""

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = COMPLAINTS_DESK
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (NoFollowUp,)

    order_id: OrderId
    dispute_id: DisputeId

    def decide(self, work: UnitOfWork) -> UUID:
        """Close it; asked twice, recorded once."""
        order = work.order(self.order_id)
        try:
            step_of(order, self.dispute_id, DisputeClosed)
        except DoneAlready:
            return order.id
        order.trigger_event(DisputeClosed, dispute_id=self.dispute_id, occurred_at=work.occurred_at)
        return order.id


class WithdrawDispute(Command):
    """Record that the customer complains no longer, before anything was agreed or decided."""

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = CUSTOMERS_SIDE

    order_id: OrderId
    dispute_id: DisputeId
    note: Note = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Withdraw it; asked twice, recorded once."""
        order = own_order(work, self.order_id)
        try:
            step_of(order, self.dispute_id, DisputeWithdrawn)
        except DoneAlready:
            return order.id
        note = sealed(work, order, self.note)
        order.trigger_event(DisputeWithdrawn, dispute_id=self.dispute_id, note=note, occurred_at=work.occurred_at)
        return order.id


STEPS: dict[type[Command], type[DisputeStep]] = {
    AcceptDispute: DisputeAccepted,
    VerifyDispute: DisputeVerified,
    NegotiateDispute: DisputeNegotiated,
    DeclineDisputeOffer: DisputeOfferDeclined,
    AgreeDispute: DisputeAgreed,
    ArbitrateDispute: DisputeArbitrated,
    PayCompensation: CompensationPaid,
    SettleDispute: DisputeSettled,
    FollowUpDispute: DisputeFollowedUp,
    CloseDispute: DisputeClosed,
    WithdrawDispute: DisputeWithdrawn,
}
"""Command -> the event that records it."""
