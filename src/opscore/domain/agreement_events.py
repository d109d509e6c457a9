"""What is on record about a store's agency agreement, and the part of the state it adds up to.

The owner of a store lets an agency run it: for a term, for a monthly fee and a part of the sales, each doing its share
of the work. The agreement ends with its term, with a notice that has taken effect, or goes on when a renewal is agreed
or nobody answers one in time. What may happen next is in agreements.py.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from uuid import UUID

import msgspec

from opscore.domain.aggregate import Event
from opscore.domain.calendars import months_after
from opscore.domain.values import Value

_DAY = timedelta(days=1)

# What is on record ---------------------------------------------------------------------------------------------------


class AgreementParty(enum.StrEnum):
    """One of the two who sign an agency agreement."""

    OWNER = "owner"
    """Whose store it is."""
    AGENCY = "agency"
    """Who runs it for the owner."""

    @property
    def other(self) -> AgreementParty:
        """The party on the other side."""
        return AgreementParty.AGENCY if self is AgreementParty.OWNER else AgreementParty.OWNER


class AgreementWork(enum.StrEnum):
    """Work that is to be done in a store, by the one party or the other."""

    DECORATION = "decoration"
    MAINTENANCE = "maintenance"
    MARKETING = "marketing"
    CUSTOMER_SERVICE = "customer_service"
    SHIPPING = "shipping"
    PURCHASING = "purchasing"


class AgreementStatus(enum.StrEnum):
    """How far an agency agreement is."""

    ACTIVE = "active"
    """Signed by both; it runs through the last day of its term."""
    RENEWAL_ASKED = "renewal_asked"
    """A party asked for a renewal that the other has not answered."""
    EXPIRING = "expiring"
    """The renewal was declined; it ends with its term."""
    NOTICED = "noticed"
    """Notice was given; it ends on the day that the notice names."""
    ENDED = "ended"
    """It is over."""


class BreachKind(enum.StrEnum):
    """What a party did against an agency agreement."""

    UNPAID_COMMISSION = "unpaid_commission"
    """The owner did not pay the agency's commission when it was due."""
    SECRECY = "secrecy"
    """The agency gave what it knows of the owner, or the back office, to others."""
    LATE_PLAN = "late_plan"
    """The first ad plan did not come in time."""
    MISSED_SERVICE = "missed_service"
    """Advertising was not watched or adjusted as often as agreed."""
    UNREPORTED_WORK = "unreported_work"
    """Work was not reported in writing when it was due."""
    UNDONE_WORK = "undone_work"
    """Work that the party has to do was not done."""
    OTHER = "other"


class NoticeCause(enum.StrEnum):
    """Why an agency agreement may end sooner than after the term of notice; breaches on record bear it out."""

    UNPAID_COMMISSION = "unpaid_commission"
    """The owner did not pay commission that was due: for the agency to say."""
    REPEATED_BREACH = "repeated_breach"
    """The other party broke the agreement as often as the policy `agreement` says."""
    SECRECY_BREACH = "secrecy_breach"
    """The agency gave away what it had to keep to itself: for the owner to say."""


class AgreementEnding(enum.StrEnum):
    """How an agency agreement came to its end."""

    EXPIRED = "expired"
    """Its term was over."""
    NOTICED = "noticed"
    """A notice took effect."""


class AgreementDuty(Value):
    """Which party does a kind of work."""

    work: AgreementWork
    party: AgreementParty


class AgreementSigned(Event):
    """Both parties have signed an agency agreement: it runs from `term_from` through `term_to`, days of the store.

    monthly_fee_minor: what the owner pays for each month, in minor units. commission_rate: what part of net sales
    besides (0.05 is 5 %), by `commission_due_day` of the next month. owner_people: who speaks for the owner, by the
    pseudonyms of their tokens. ends_at: when the last day is over (UTC).
    """

    agreement_id: UUID
    owner: str
    agency: str
    owner_people: tuple[str, ...]
    platforms: tuple[str, ...]
    scope: tuple[AgreementDuty, ...]
    owner_signed_on: date
    agency_signed_on: date
    term_from: date
    term_to: date
    ends_at: datetime
    monthly_fee_minor: int
    commission_rate: Decimal
    commission_due_day: int | None
    currency: str
    document: str | None


class AgreementFeePaid(Event):
    """The agency received a fee. first_plan_due_by: of the first fee, until when the first ad plan is launched (UTC).

    The day on which it was received is not counted: five working days are over with the fifth day after it. None for
    later fees, and where a plan was launched before.
    """

    agreement_id: UUID
    amount_minor: int
    currency: str
    reference: str | None
    first_plan_due_by: datetime | None


class AgreementFirstPlanLaunched(Event):
    """The first ad plan under an agreement was launched, so many working days after the first fee was received.

    working_days: by the store's calendar, public holidays left out; None where no fee had been received.
    """

    agreement_id: UUID
    campaign_id: UUID
    plan_id: UUID
    working_days: int | None
    due_by: datetime | None
    in_time: bool | None


class AgreementBreachRecorded(Event):
    """A party broke the agreement on a day of the store; `evidence` says where it is proved.

    loss_minor: what the other party lost by it, as the evidence says, in minor units.
    """

    agreement_id: UUID
    party: AgreementParty
    kind: BreachKind
    happened_on: date
    evidence: str
    loss_minor: int | None
    currency: str
    note: str | None


class AgreementTerminationNoticed(Event):
    """A party gave notice: the agreement ends with the day `effective_on` of the store, which is over at `ends_at`.

    cause: why it may be sooner than the policy `agreement` says; None where it is not.
    """

    agreement_id: UUID
    party: AgreementParty
    noticed_on: date
    effective_on: date
    ends_at: datetime
    cause: NoticeCause | None
    reason: str
    document: str | None
    policy_version: int


class AgreementRenewalRequested(Event):
    """A party asked that the agreement goes on through `term_to`; the other answers by `answer_due_by` (UTC).

    extends_to: through which day it goes on by itself if nobody answers: for the same term again.
    """

    agreement_id: UUID
    party: AgreementParty
    asked_on: date
    term_to: date
    extends_to: date
    answer_due_by: datetime
    document: str | None
    policy_version: int


class AgreementRenewalAnswered(Event):
    """The other party agreed to a renewal, or did not. term_to: the last day from now on, over at `ends_at` (UTC)."""

    agreement_id: UUID
    party: AgreementParty
    accepted: bool
    term_to: date
    ends_at: datetime
    reason: str | None
    document: str | None


class AgreementExtended(Event):
    """Nobody answered a renewal in time, so that the agreement goes on for the same term again."""

    agreement_id: UUID
    term_to: date
    ends_at: datetime


class AgreementEnded(Event):
    """The agreement is over. Amounts are in minor units.

    last_day: the last day on which it held. fee_due_minor: what the fee comes to through that day, pro rata by days in
    the last month. refund_minor: what the agency pays back of fees; unpaid_minor: what the owner still owes.
    access_until: when the people of the agency had no business in the store any more (UTC).
    """

    agreement_id: UUID
    ending: AgreementEnding
    last_day: date
    fee_paid_minor: int
    fee_due_minor: int
    refund_minor: int
    unpaid_minor: int
    currency: str
    access_until: datetime


AgreementStep = (
    AgreementFeePaid
    | AgreementFirstPlanLaunched
    | AgreementBreachRecorded
    | AgreementTerminationNoticed
    | AgreementRenewalRequested
    | AgreementRenewalAnswered
    | AgreementExtended
    | AgreementEnded
)
AgreementEvent = AgreementSigned | AgreementStep

# What it adds up to --------------------------------------------------------------------------------------------------


class Breach(Value):
    """A breach on record, as `AgreementBreachRecorded` says."""

    party: AgreementParty
    kind: BreachKind
    happened_on: date
    evidence: str
    loss_minor: int | None
    note: str | None


class Notice(Value):
    """A notice that was given."""

    party: AgreementParty
    noticed_on: date
    effective_on: date
    cause: NoticeCause | None
    reason: str


class Renewal(Value):
    """A renewal that was asked for; `accepted` is None while it is not answered."""

    party: AgreementParty
    asked_on: date
    term_to: date
    extends_to: date
    answer_due_by: datetime
    accepted: bool | None = None


class Agreement(Value):
    """An agency agreement. period_from: the first day of the term that runs now, later renewals counted.

    ends_at: when it is over unless it is renewed (UTC). first_fee_at: when the first fee was received (UTC).
    """

    owner: str
    agency: str
    owner_people: tuple[str, ...]
    platforms: tuple[str, ...]
    scope: tuple[AgreementDuty, ...]
    signed_on: date
    term_from: date
    term_to: date
    period_from: date
    ends_at: datetime
    monthly_fee_minor: int
    commission_rate: Decimal
    commission_due_day: int | None
    document: str | None
    status: AgreementStatus = AgreementStatus.ACTIVE
    fee_paid_minor: int = 0
    first_fee_at: datetime | None = None
    first_plan_due_by: datetime | None = None
    first_plan_at: datetime | None = None
    first_plan_working_days: int | None = None
    breaches: tuple[Breach, ...] = ()
    notice: Notice | None = None
    renewal: Renewal | None = None
    last_day: date | None = None
    refund_minor: int = 0
    unpaid_minor: int = 0

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.status is AgreementStatus.ENDED

    @property
    def same_term_again(self) -> date:
        """The last day if the term that runs now is followed by one that is as long: in months if it is whole months.

        A term of 1 January to 31 December is followed by one through 31 December, one of 90 days by 90 days.
        """
        following = self.term_to + _DAY
        months = 12 * (following.year - self.period_from.year) + following.month - self.period_from.month
        if months and months_after(self.period_from, months) == following:
            return months_after(following, months) - _DAY
        return self.term_to + (following - self.period_from)

    def fee_due_minor(self, last_day: date) -> int:
        """Return what the fee comes to from the first day through a day, in minor units.

        A month of the agreement begins on the day of the month on which the term began. Each month that is over is due
        in full, and of the last one the part of its days that have passed, rounded half-even once.
        """
        following = last_day + _DAY
        if following <= self.term_from:
            return 0
        months = 12 * (following.year - self.term_from.year) + following.month - self.term_from.month
        while months_after(self.term_from, months) > following:
            months -= 1
        begun, next_month = months_after(self.term_from, months), months_after(self.term_from, months + 1)
        part = Decimal(self.monthly_fee_minor) * (following - begun).days / (next_month - begun).days
        return self.monthly_fee_minor * months + int(part.to_integral_value(ROUND_HALF_EVEN))

    def breaches_of(self, party: AgreementParty, kind: BreachKind | None = None) -> int:
        """Return how many breaches of a party are on record, of one kind or of any."""
        return sum(each.party is party and kind in (None, each.kind) for each in self.breaches)

    def after(self, event: AgreementStep) -> Agreement:
        """Return what it is after an event."""
        match event:
            case AgreementFeePaid():
                changes = {
                    "fee_paid_minor": self.fee_paid_minor + event.amount_minor,
                    "first_fee_at": self.first_fee_at or event.occurred_at,
                    "first_plan_due_by": self.first_plan_due_by or event.first_plan_due_by,
                    "unpaid_minor": max(self.unpaid_minor - event.amount_minor, 0),
                }
            case AgreementFirstPlanLaunched():
                changes = {"first_plan_at": event.occurred_at, "first_plan_working_days": event.working_days}
            case AgreementBreachRecorded():
                changes = {"breaches": (*self.breaches, _breach(event))}
            case AgreementTerminationNoticed():
                changes = {"status": AgreementStatus.NOTICED, "ends_at": event.ends_at, "notice": _notice(event)}
            case AgreementRenewalRequested():
                changes = {"status": AgreementStatus.RENEWAL_ASKED, "renewal": _renewal(event)}
            case AgreementRenewalAnswered():
                renewal = (
                    None if self.renewal is None else msgspec.structs.replace(self.renewal, accepted=event.accepted)
                )
                status = AgreementStatus.ACTIVE if event.accepted else AgreementStatus.EXPIRING
                changes = {"status": status, "renewal": renewal, **self._through(event.term_to, event.ends_at)}
            case AgreementExtended():
                changes = {"status": AgreementStatus.ACTIVE, **self._through(event.term_to, event.ends_at)}
            case AgreementEnded():
                changes = {
                    "status": AgreementStatus.ENDED,
                    "last_day": event.last_day,
                    "refund_minor": event.refund_minor,
                    "unpaid_minor": event.unpaid_minor,
                }
        return msgspec.structs.replace(self, **changes)

    def _through(self, term_to: date, ends_at: datetime) -> dict[str, object]:
        if term_to == self.term_to:
            return {}
        return {"period_from": self.term_to + _DAY, "term_to": term_to, "ends_at": ends_at}


def _breach(event: AgreementBreachRecorded) -> Breach:
    return Breach(
        party=event.party,
        kind=event.kind,
        happened_on=event.happened_on,
        evidence=event.evidence,
        loss_minor=event.loss_minor,
        note=event.note,
    )


def _notice(event: AgreementTerminationNoticed) -> Notice:
    return Notice(
        party=event.party,
        noticed_on=event.noticed_on,
        effective_on=event.effective_on,
        cause=event.cause,
        reason=event.reason,
    )


def _renewal(event: AgreementRenewalRequested) -> Renewal:
    return Renewal(
        party=event.party,
        asked_on=event.asked_on,
        term_to=event.term_to,
        extends_to=event.extends_to,
        answer_due_by=event.answer_due_by,
    )


def agreed(agreements: Mapping[UUID, Agreement], event: AgreementEvent) -> dict[UUID, Agreement]:
    """Return the agreements of a store as they are after an event, the oldest first."""
    if isinstance(event, AgreementSigned):
        signed = Agreement(
            owner=event.owner,
            agency=event.agency,
            owner_people=event.owner_people,
            platforms=event.platforms,
            scope=event.scope,
            signed_on=max(event.owner_signed_on, event.agency_signed_on),
            term_from=event.term_from,
            term_to=event.term_to,
            period_from=event.term_from,
            ends_at=event.ends_at,
            monthly_fee_minor=event.monthly_fee_minor,
            commission_rate=event.commission_rate,
            commission_due_day=event.commission_due_day,
            document=event.document,
        )
        return {**agreements, event.agreement_id: signed}
    return {**agreements, event.agreement_id: agreements[event.agreement_id].after(event)}
