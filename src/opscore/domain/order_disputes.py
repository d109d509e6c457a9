"""A dispute of an order: what is on record about a customer's complaint, and the states that it goes through.

It is opened, accepted, verified and negotiated; it ends in an agreement or, when an offer was declined, by arbitration;
then it is settled, followed up and closed. `TAKEN_AT` says which step may be taken where; the commands are in
order_dispute_commands.py. Money and goods that settle it are those of the order's own refunds and returns: a dispute
names them. Only what is paid without either, a compensation, is an event here.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

import msgspec

from opscore.domain.aggregate import Event
from opscore.domain.policies import ProblemKind
from opscore.domain.refusals import Refusal
from opscore.domain.values import Sealed, Value

# What is on record ---------------------------------------------------------------------------------------------------


class DisputeStatus(enum.StrEnum):
    """Where a dispute stands."""

    OPENED = "opened"
    ACCEPTED = "accepted"
    VERIFIED = "verified"
    NEGOTIATING = "negotiating"
    AGREED = "agreed"
    ARBITRATED = "arbitrated"
    SETTLED = "settled"
    FOLLOWED_UP = "followed_up"
    CLOSED = "closed"
    WITHDRAWN = "withdrawn"


class FaultParty(enum.StrEnum):
    """Whose fault a problem is, and who bears what it costs."""

    OWNER = "owner"
    SUPPLIER = "supplier"
    COURIER = "courier"
    CUSTOMER = "customer"
    PLATFORM = "platform"


class DisputeRemedy(enum.StrEnum):
    """What is done about a complaint."""

    REFUND = "refund"
    RETURN = "return"
    EXCHANGE = "exchange"
    COMPENSATION = "compensation"
    NOTHING = "nothing"


class Arbiter(enum.StrEnum):
    """Who decides when customer and seller do not agree."""

    PLATFORM = "platform"
    MANAGEMENT = "management"
    AUTHORITY = "authority"


class DecidedFor(enum.StrEnum):
    """For whom an arbiter decides."""

    BUYER = "buyer"
    SELLER = "seller"
    SPLIT = "split"


class FollowUpResult(enum.StrEnum):
    """What the customer said when asked afterwards whether the problem is solved."""

    SOLVED = "solved"
    NOT_SOLVED = "not_solved"
    NOT_REACHED = "not_reached"


FOLLOW_UP_TRIES: Final = 3
"""A customer who was not reached so often counts as asked."""


class DisputedLine(Value, kw_only=True):
    """Units of one line that a complaint is about."""

    line: int
    sku_id: UUID
    quantity: Decimal


class DisputeOpened(Event):
    """A customer complained: of what, about which units (none: about the order as a whole), in which words."""

    dispute_id: UUID
    kind: ProblemKind
    lines: tuple[DisputedLine, ...]
    statement: Sealed | None = None
    evidence: str | None = None


class DisputeAccepted(Event):
    """Somebody took the complaint up and told the customer so: the first answer."""

    dispute_id: UUID
    note: Sealed | None = None


class DisputeVerified(Event):
    """It was found out whether the problem is real and of which kind, whose fault it is, and what would solve it.

    fault_party: None if the problem is not real.
    """

    dispute_id: UUID
    real: bool
    kind: ProblemKind
    fault_party: FaultParty | None
    solution: DisputeRemedy
    note: Sealed | None = None


class DisputeNegotiated(Event):
    """The customer was offered something; the last offer stands.

    policy_minor: what the store's policy gives as compensation; None where something else is offered.
    """

    dispute_id: UUID
    round: int
    remedy: DisputeRemedy
    amount_minor: int | None
    currency: str
    policy_minor: int | None = None
    note: Sealed | None = None


class DisputeOfferDeclined(Event):
    """The customer did not take what was offered. offered_at: since when an answer was waited for."""

    dispute_id: UUID
    round: int
    offered_at: datetime
    note: Sealed | None = None


class DisputeAgreed(Event):
    """The customer took what was offered. offered_at: since when an answer was waited for."""

    dispute_id: UUID
    round: int
    offered_at: datetime
    remedy: DisputeRemedy
    amount_minor: int | None
    currency: str


class DisputeArbitrated(Event):
    """Customer and seller did not agree, and it was decided for them."""

    dispute_id: UUID
    decided_by: Arbiter
    decided_for: DecidedFor
    remedy: DisputeRemedy
    amount_minor: int | None
    currency: str
    reason: str
    fault_party: FaultParty | None = None
    """Whose fault it is by that decision; None where nothing was said of it."""


class CompensationPaid(Event):
    """Money was given that is no part of the price, so that it lowers neither what was sold nor what can be refunded.

    kind: of the problem, as it was found. borne_by: whose fault it is; the owner where it is nobody's, or the
    customer's own, and was given all the same.
    """

    compensation_id: UUID
    dispute_id: UUID
    kind: ProblemKind
    borne_by: FaultParty
    amount_minor: int
    currency: str
    customer_id: UUID | None
    provider_reference: str | None


class DisputeSettled(Event):
    """What was agreed or decided has been done: by these refunds, this return, this other order."""

    dispute_id: UUID
    remedy: DisputeRemedy
    refund_ids: tuple[UUID, ...]
    return_id: UUID | None
    replacement_order_id: UUID | None


class DisputeFollowedUp(Event):
    """The customer was asked whether the problem is solved. `done`: the dispute may be closed, by the answer or after
    so many tries."""

    dispute_id: UUID
    result: FollowUpResult
    done: bool
    note: Sealed | None = None


class DisputeClosed(Event):
    """The dispute is over: it was settled, and the customer was asked."""

    dispute_id: UUID


class DisputeWithdrawn(Event):
    """The customer complains no longer."""

    dispute_id: UUID
    note: Sealed | None = None


# What it adds up to --------------------------------------------------------------------------------------------------

DisputeStep = (
    DisputeAccepted
    | DisputeVerified
    | DisputeNegotiated
    | DisputeOfferDeclined
    | DisputeAgreed
    | DisputeArbitrated
    | CompensationPaid
    | DisputeSettled
    | DisputeFollowedUp
    | DisputeClosed
    | DisputeWithdrawn
)
"""What may happen to a dispute that was opened."""

_S = DisputeStatus

TAKEN_AT: Final[Mapping[type[DisputeStep], tuple[DisputeStatus, ...]]] = {
    DisputeAccepted: (_S.OPENED,),
    DisputeVerified: (_S.ACCEPTED,),
    DisputeNegotiated: (_S.VERIFIED, _S.NEGOTIATING),
    DisputeOfferDeclined: (_S.NEGOTIATING,),
    DisputeAgreed: (_S.NEGOTIATING,),
    DisputeArbitrated: (_S.NEGOTIATING,),
    CompensationPaid: (_S.AGREED, _S.ARBITRATED),
    DisputeSettled: (_S.AGREED, _S.ARBITRATED),
    DisputeFollowedUp: (_S.SETTLED,),
    DisputeClosed: (_S.FOLLOWED_UP,),
    DisputeWithdrawn: (_S.OPENED, _S.ACCEPTED, _S.VERIFIED, _S.NEGOTIATING),
}
"""Step, by the event that records it -> where the dispute has to stand for it."""

OVER: Final = (_S.CLOSED, _S.WITHDRAWN)


class Dispute(msgspec.Struct):
    """One complaint, and how far it is."""

    kind: ProblemKind
    """As the customer says."""
    lines: list[DisputedLine]
    evidence: str | None
    opened_at: datetime
    changed_at: datetime
    status: DisputeStatus = DisputeStatus.OPENED
    real: bool | None = None
    found_kind: ProblemKind | None = None
    fault_party: FaultParty | None = None
    solution: DisputeRemedy | None = None
    round: int = 0
    """How many offers were made."""
    offered_at: datetime | None = None
    """Since when an answer is waited for; None in negotiation: the last offer was declined."""
    remedy: DisputeRemedy | None = None
    """What was offered last, until it is agreed or something else is decided."""
    amount_minor: int | None = None
    decided_by: Arbiter | None = None
    decided_for: DecidedFor | None = None
    compensated_minor: int = 0
    """All that was paid."""
    paid_in_vain_minor: int = 0
    """How much of it was paid before the problem was last found unsolved."""
    references: list[str] = []
    """The payment provider's references of what was paid."""
    refund_ids: list[UUID] = []
    return_id: UUID | None = None
    replacement_order_id: UUID | None = None
    not_reached: int = 0

    @classmethod
    def of(cls, event: DisputeOpened) -> Dispute:
        """Return a dispute that was opened."""
        at = event.occurred_at
        return cls(event.kind, list(event.lines), event.evidence, opened_at=at, changed_at=at)

    @property
    def is_open(self) -> bool:
        """Say whether anything is still to be done about it."""
        return self.status not in OVER

    @property
    def borne_by(self) -> FaultParty:
        """Who bears a compensation: what is given to a customer who is not right is the owner's to give."""
        if self.fault_party is None or self.fault_party is FaultParty.CUSTOMER:
            return FaultParty.OWNER
        return self.fault_party

    @property
    def unpaid_minor(self) -> int:
        """What is still to be paid of the compensation that was agreed or decided."""
        owed = self.amount_minor or 0 if self.remedy is DisputeRemedy.COMPENSATION else 0
        return max(0, owed - (self.compensated_minor - self.paid_in_vain_minor))

    def take_in(self, event: DisputeStep) -> None:
        """Fold a step."""
        self.changed_at = event.occurred_at
        match event:
            case DisputeAccepted():
                self.status = _S.ACCEPTED
            case DisputeVerified():
                self.status = _S.VERIFIED
                self.real, self.found_kind, self.fault_party = event.real, event.kind, event.fault_party
                self.solution = event.solution
            case DisputeNegotiated():
                self.status, self.round = _S.NEGOTIATING, event.round
                self.offered_at = self.offered_at or event.occurred_at
                self.remedy, self.amount_minor = event.remedy, event.amount_minor
            case DisputeOfferDeclined():
                self.offered_at = None
            case DisputeAgreed():
                self.status, self.offered_at = _S.AGREED, None
            case DisputeArbitrated():
                self.status = _S.ARBITRATED
                self.remedy, self.amount_minor = event.remedy, event.amount_minor
                self.decided_by, self.decided_for = event.decided_by, event.decided_for
                self.fault_party = event.fault_party or self.fault_party
            case CompensationPaid():
                self.compensated_minor += event.amount_minor
                if event.provider_reference is not None:
                    self.references.append(event.provider_reference)
            case DisputeSettled():
                self.status = _S.SETTLED
                self.refund_ids += event.refund_ids
                self.return_id = event.return_id or self.return_id
                self.replacement_order_id = event.replacement_order_id or self.replacement_order_id
            case DisputeFollowedUp():
                self._followed_up(event)
            case DisputeClosed():
                self.status = _S.CLOSED
            case DisputeWithdrawn():
                self.status, self.offered_at = _S.WITHDRAWN, None

    def _followed_up(self, event: DisputeFollowedUp) -> None:
        if event.result is FollowUpResult.NOT_SOLVED:
            # What was done did not help: something else is to be offered. What was paid for it stays paid.
            self.status, self.not_reached = _S.VERIFIED, 0
            self.remedy = self.amount_minor = self.decided_by = self.decided_for = None
            self.paid_in_vain_minor = self.compensated_minor
        elif event.done:
            self.status = _S.FOLLOWED_UP
        else:
            self.not_reached += 1


# How it says no ------------------------------------------------------------------------------------------------------


class FaultPartyMissing(Refusal):
    """A problem that is real is somebody's fault; say whose, so that it is known who bears what it costs."""


class NotNegotiated(Refusal):
    """Nothing was offered in this dispute so far; make an offer and record the answer before it is arbitrated."""


class OfferOpen(Refusal):
    """The customer has not answered the last offer; record the answer first."""


class NoOfferOpen(Refusal):
    """No offer of this dispute waits for an answer; make one first."""


class CompensationAbovePolicy(Refusal):
    """The store's policy gives {allowed} minor units for this, not {asked}; an owner or a manager may offer more."""


class NothingToPay(Refusal):
    """No compensation of this dispute is still to be paid; agree on one, or have one decided, first."""


class RemedyNotDone(Refusal):
    """What was agreed has not been done: {missing}; do that first, and name it here."""


class NoFollowUp(Refusal):
    """Nobody has asked the customer whether the problem is solved; do that before the dispute is closed."""


class DisputeOpen(Refusal):
    """A dispute of this order is still open; close it before the sale becomes final."""
