"""The agency agreement of a store: who may say what in it, what is due when, and how it ends or goes on.

One runs at a time. What is said for a party is said by its people, or by somebody who names the paper in which the
party said it. What falls due by time (an unanswered renewal, the end of a term, a notice that takes effect) is asked
for by rules of followups.py; who is late with an answer or a plan is told by the moments that events freeze.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, ClassVar
from uuid import UUID

from msgspec import Meta

from opscore.domain.aggregate import Aggregate
from opscore.domain.agreement_events import (
    Agreement,
    AgreementBreachRecorded,
    AgreementDuty,
    AgreementEnded,
    AgreementEnding,
    AgreementExtended,
    AgreementFeePaid,
    AgreementFirstPlanLaunched,
    AgreementParty,
    AgreementRenewalAnswered,
    AgreementRenewalRequested,
    AgreementSigned,
    AgreementStatus,
    AgreementTerminationNoticed,
    AgreementWork,
    BreachKind,
    NoticeCause,
)
from opscore.domain.calendars import end_of_day, working_days_between
from opscore.domain.command import Actor, Command, Role, UnitOfWork
from opscore.domain.policies import AdService, AgencyAgreement
from opscore.domain.refusals import CurrencyMismatch, InvalidField, NotFound, Refusal, WrongState
from opscore.domain.store import Store
from opscore.domain.store_commands import CASHIERS, StoreId
from opscore.domain.values import (
    MAX_PLACES,
    Code,
    Currency,
    Label,
    NonNegativeMinor,
    Part,
    PositiveMinor,
    Reason,
    plain,
)

_OPEN = tuple(each for each in AgreementStatus if each is not AgreementStatus.ENDED)
LAST_DAY = date(2999, 12, 31)
"""The last day that an agreement may name, so that the same term again is a day too."""
_UNNOTICED = (AgreementStatus.ACTIVE, AgreementStatus.RENEWAL_ASKED, AgreementStatus.EXPIRING)

# How it says no ------------------------------------------------------------------------------------------------------


class BothSignaturesRequired(Refusal):
    """An agreement holds from the day on which both have signed; the {party} has not. Say when it did."""


class AgreementRunning(Refusal):
    """The store has an agreement with {agency} that is not over; renew that one, or end it first."""


class NotOwnerParty(Refusal):
    """{actor} does not speak for the owner in this agreement; let one of {people} say it, or name the paper in which
    the owner did (document)."""


class NotAgencyParty(Refusal):
    """{actor} speaks for the owner in this agreement; let the agency say it, or name the paper in which it did
    (document)."""


class EvidenceMissing(Refusal):
    """A breach is recorded with what proves it; name the evidence."""


class AgreementNoticeTooShort(Refusal):
    """Notice that is given on {noticed_on} takes effect on {earliest} or later; sooner only for unpaid commission,
    repeated breach or a breach of secrecy that is on record (recordBreach) and named as the cause."""


class NoticeRunning(Refusal):
    """Notice was given for {effective_on}; the agreement ends when that day is over."""


class AgreementTermRunning(Refusal):
    """The agreement runs through {term_to}; give notice to end it sooner."""


class RenewalAskedTooLate(Refusal):
    """A renewal of this agreement was to be asked for by {latest}; it ends on {term_to}. Sign a new one after that."""


class RenewalAnswerLate(Refusal):
    """The renewal was to be answered by {due_by}; nobody did, so that the agreement goes on through {extends_to}."""


class RenewalAnswerNotDue(Refusal):
    """The renewal may be answered until {due_by}; only then it is extended without an answer."""


class RenewalNotAsked(Refusal):
    """Nobody waits for an answer to a renewal of this agreement; ask for one first."""


# What others ask of agreements ---------------------------------------------------------------------------------------


def running(store: Store) -> tuple[UUID, Agreement] | None:
    """Return the agreement of a store that is not over."""
    return next(((key, each) for key, each in store.agreements.items() if not each.is_over), None)


def require_any(store: Store) -> None:
    """Refuse WrongState for a store that never had an agency agreement."""
    if not store.agreements:
        raise WrongState(what="store", state=store.status.value, needed="one with an agency agreement", ids=[store.id])


def require_running(store: Store) -> None:
    """Refuse WrongState for a store without an agreement that is not over."""
    require_any(store)
    if running(store) is None:
        raise WrongState(what="agency agreement", state="ended", needed=" or ".join(_OPEN), ids=[store.id])


def require_none_running(store: Store) -> None:
    """Refuse AgreementRunning while an agreement is not over."""
    known = running(store)
    if known is not None:
        raise AgreementRunning(agency=known[1].agency, path=("store_id",), ids=[store.id])


def find(store: Store, agreement_id: UUID) -> Agreement:
    """Return an agreement of the store. Refuses: WrongState (it has none), NotFound."""
    require_any(store)
    agreement = store.agreements.get(agreement_id)
    if agreement is None:
        raise NotFound(what="agency agreement of this store", path=("agreement_id",), ids=[agreement_id])
    return agreement


def _require_status(agreement: Agreement, agreement_id: UUID, *needed: AgreementStatus) -> None:
    if agreement.status not in needed:
        raise WrongState(
            what="agency agreement",
            state=agreement.status.value,
            needed=" or ".join(needed),
            path=("agreement_id",),
            ids=[agreement_id],
        )


def _require_foreseeable(term_to: date) -> None:
    if term_to > LAST_DAY:
        raise InvalidField(why=f"no agreement runs beyond {LAST_DAY}", path=("term_to",))


def require_party(agreement: Agreement, party: AgreementParty, actor: Actor, document: str | None) -> None:
    """Refuse NotOwnerParty or NotAgencyParty unless somebody may say something for a party.

    Those whom the agreement names speak for the owner, everybody else for the agency; what a party said on paper may
    be recorded by the other one.
    """
    if document is not None:
        return
    owners = actor.id in agreement.owner_people
    if party is AgreementParty.OWNER and not owners:
        raise NotOwnerParty(actor=actor.id, people=", ".join(agreement.owner_people), path=("party",))
    if party is AgreementParty.AGENCY and owners:
        raise NotAgencyParty(actor=actor.id, path=("party",))


# What may happen next ------------------------------------------------------------------------------------------------


def pay_fee(store: Store, agreement_id: UUID, amount_minor: int, reference: str | None, at: datetime) -> None:
    """Record a fee; the first one says until when the first ad plan is due.

    Refuses: NotFound, WrongState (it is over and nothing is owed), InvalidField (more than is owed after the end).
    """
    agreement = find(store, agreement_id)
    if agreement.is_over:
        if not agreement.unpaid_minor:
            _require_status(agreement, agreement_id, *_OPEN)
        if amount_minor > agreement.unpaid_minor:
            why = f"the agreement is over, and {agreement.unpaid_minor} minor units of its fee are unpaid"
            raise InvalidField(why=why, path=("amount_minor",), ids=[agreement_id])
    due_by = None
    if agreement.first_fee_at is None and agreement.first_plan_at is None and not agreement.is_over:
        due_by = store.add_working_days(at, store.policy(AdService, at).first_plan_days)
    store.trigger_event(
        AgreementFeePaid,
        agreement_id=agreement_id,
        amount_minor=amount_minor,
        currency=store.currency,
        reference=reference,
        first_plan_due_by=due_by,
        occurred_at=at,
    )


def note_plan(store: Store, campaign_id: UUID, plan_id: UUID, at: datetime) -> None:
    """Record the first ad plan that is launched under the store's agreement; never refuses."""
    known = running(store)
    if known is None or known[1].first_plan_at is not None:
        return
    agreement_id, agreement = known
    if store.local_date(at) < agreement.signed_on or at >= agreement.ends_at:
        return  # It is told late of what was no part of the agreement.
    due_by = agreement.first_plan_due_by
    days = None
    if agreement.first_fee_at is not None:
        days = working_days_between(store.calendar(), store.local_date(agreement.first_fee_at), store.local_date(at))
    store.trigger_event(
        AgreementFirstPlanLaunched,
        agreement_id=agreement_id,
        campaign_id=campaign_id,
        plan_id=plan_id,
        working_days=days,
        due_by=due_by,
        in_time=None if due_by is None else at < due_by,
        occurred_at=at,
    )


def give_notice(
    store: Store,
    agreement_id: UUID,
    party: AgreementParty,
    effective_on: date,
    cause: NoticeCause | None,
    reason: str,
    document: str | None,
    at: datetime,
) -> None:
    """Record that a party ends the agreement with a day.

    Refuses: NotFound, WrongState, InvalidField (a day that is over, or behind the term), AgreementNoticeTooShort.
    """
    agreement = find(store, agreement_id)
    noticed_on = store.local_date(at)
    known = None if agreement.is_over else agreement.notice
    if known is not None and (known.party, known.effective_on, known.cause) == (party, effective_on, cause):
        return  # Asked twice, recorded once.
    _require_status(agreement, agreement_id, *_UNNOTICED)
    if effective_on < noticed_on:
        raise InvalidField(why="an agreement ends today or later", path=("effective_on",))
    if effective_on > agreement.term_to:
        why = f"the agreement ends with its term on {agreement.term_to}; name that day or an earlier one"
        raise InvalidField(why=why, path=("effective_on",), ids=[agreement_id])
    terms = store.policy(AgencyAgreement, at)
    earliest = noticed_on + timedelta(days=terms.notice_days)
    if cause is not None and not _borne_out(agreement, party, cause, terms.breaches):
        raise AgreementNoticeTooShort(noticed_on=noticed_on, earliest=earliest, path=("cause",), ids=[agreement_id])
    if cause is None and effective_on < earliest:
        raise AgreementNoticeTooShort(
            noticed_on=noticed_on, earliest=earliest, path=("effective_on",), ids=[agreement_id]
        )
    store.trigger_event(
        AgreementTerminationNoticed,
        agreement_id=agreement_id,
        party=party,
        noticed_on=noticed_on,
        effective_on=effective_on,
        ends_at=end_of_day(effective_on, store.time_zone),
        cause=cause,
        reason=reason,
        document=document,
        policy_version=store.policy_version(AgencyAgreement, at),
        occurred_at=at,
    )


def _borne_out(agreement: Agreement, party: AgreementParty, cause: NoticeCause, breaches: int) -> bool:
    """Say whether breaches on record give a party this cause."""
    match cause:
        case NoticeCause.UNPAID_COMMISSION:
            owed = agreement.breaches_of(AgreementParty.OWNER, BreachKind.UNPAID_COMMISSION)
            return party is AgreementParty.AGENCY and owed > 0
        case NoticeCause.SECRECY_BREACH:
            told = agreement.breaches_of(AgreementParty.AGENCY, BreachKind.SECRECY)
            return party is AgreementParty.OWNER and told > 0
    return agreement.breaches_of(party.other) >= breaches


def ask_renewal(
    store: Store, agreement_id: UUID, party: AgreementParty, term_to: date, document: str | None, at: datetime
) -> None:
    """Record that a party wants the agreement to go on through a day.

    Refuses: NotFound, WrongState, InvalidField (a day within the term), RenewalAskedTooLate.
    """
    agreement = find(store, agreement_id)
    asked, terms = agreement.renewal, store.policy(AgencyAgreement, at)
    open_already = agreement.status is AgreementStatus.RENEWAL_ASKED and asked is not None
    if open_already and asked is not None and (asked.party, asked.term_to) == (party, term_to):
        return  # Asked twice, recorded once.
    _require_status(agreement, agreement_id, AgreementStatus.ACTIVE)
    if term_to <= agreement.term_to:
        why = f"the agreement runs through {agreement.term_to} already; name a later day"
        raise InvalidField(why=why, path=("term_to",), ids=[agreement_id])
    _require_foreseeable(term_to)
    asked_on = store.local_date(at)
    latest = agreement.term_to - timedelta(days=terms.renewal_days)
    if asked_on > latest:
        raise RenewalAskedTooLate(latest=latest, term_to=agreement.term_to, path=("term_to",), ids=[agreement_id])
    store.trigger_event(
        AgreementRenewalRequested,
        agreement_id=agreement_id,
        party=party,
        asked_on=asked_on,
        term_to=term_to,
        extends_to=agreement.same_term_again,
        answer_due_by=end_of_day(asked_on + timedelta(days=terms.answer_days), store.time_zone),
        document=document,
        policy_version=store.policy_version(AgencyAgreement, at),
        occurred_at=at,
    )


def require_asked(store: Store) -> None:
    """Refuse RenewalNotAsked unless an agreement of the store waits for an answer to a renewal."""
    require_any(store)
    if not any(each.status is AgreementStatus.RENEWAL_ASKED for each in store.agreements.values()):
        raise RenewalNotAsked(path=("agreement_id",), ids=[store.id])


def answer_renewal(
    store: Store,
    agreement_id: UUID,
    accepted: bool,
    reason: str | None,
    document: str | None,
    actor: Actor,
    at: datetime,
) -> None:
    """Record what the other party says to a renewal; agreed to, the term runs through the day that was asked for.

    Refuses: NotFound, RenewalNotAsked, NotOwnerParty, NotAgencyParty, RenewalAnswerLate.
    """
    agreement = find(store, agreement_id)
    asked = agreement.renewal
    if asked is None or agreement.status is not AgreementStatus.RENEWAL_ASKED:
        if asked is not None and asked.accepted is accepted:
            return  # Asked twice, recorded once.
        raise RenewalNotAsked(path=("agreement_id",), ids=[store.id])
    require_party(agreement, asked.party.other, actor, document)
    if at >= asked.answer_due_by:
        raise RenewalAnswerLate(
            due_by=asked.answer_due_by.isoformat(),
            extends_to=asked.extends_to,
            path=("agreement_id",),
            ids=[agreement_id],
        )
    term_to = asked.term_to if accepted else agreement.term_to
    store.trigger_event(
        AgreementRenewalAnswered,
        agreement_id=agreement_id,
        party=asked.party.other,
        accepted=accepted,
        term_to=term_to,
        ends_at=end_of_day(term_to, store.time_zone),
        reason=reason,
        document=document,
        occurred_at=at,
    )


def extend(store: Store, agreement_id: UUID, at: datetime) -> None:
    """Let the agreement go on for the same term again, because nobody answered a renewal in time.

    Refuses: NotFound, RenewalNotAsked, RenewalAnswerNotDue.
    """
    agreement = find(store, agreement_id)
    asked = agreement.renewal
    if asked is None or agreement.status is not AgreementStatus.RENEWAL_ASKED:
        raise RenewalNotAsked(path=("agreement_id",), ids=[store.id])
    if at < asked.answer_due_by:
        due_by = asked.answer_due_by.isoformat()
        raise RenewalAnswerNotDue(due_by=due_by, path=("agreement_id",), ids=[agreement_id])
    store.trigger_event(
        AgreementExtended,
        agreement_id=agreement_id,
        term_to=asked.extends_to,
        ends_at=end_of_day(asked.extends_to, store.time_zone),
        occurred_at=at,
    )


def end(store: Store, agreement_id: UUID, at: datetime) -> None:
    """Close an agreement whose last day is over, and settle its fee. Asked twice, recorded once.

    Refuses: NotFound, NoticeRunning, AgreementTermRunning, RenewalAnswerNotDue (a renewal is to be answered, or has
    extended it).
    """
    agreement = find(store, agreement_id)
    if agreement.is_over:
        return
    notice = agreement.notice
    if at < agreement.ends_at:
        if notice is not None:
            raise NoticeRunning(effective_on=notice.effective_on, path=("agreement_id",), ids=[agreement_id])
        raise AgreementTermRunning(term_to=agreement.term_to, path=("agreement_id",), ids=[agreement_id])
    if agreement.status is AgreementStatus.RENEWAL_ASKED and agreement.renewal is not None:
        due_by = agreement.renewal.answer_due_by.isoformat()
        raise RenewalAnswerNotDue(due_by=due_by, path=("agreement_id",), ids=[agreement_id])
    last_day = agreement.term_to if notice is None else notice.effective_on
    due_minor, paid_minor = agreement.fee_due_minor(last_day), agreement.fee_paid_minor
    store.trigger_event(
        AgreementEnded,
        agreement_id=agreement_id,
        ending=AgreementEnding.EXPIRED if notice is None else AgreementEnding.NOTICED,
        last_day=last_day,
        fee_paid_minor=paid_minor,
        fee_due_minor=due_minor,
        refund_minor=max(paid_minor - due_minor, 0),
        unpaid_minor=max(due_minor - paid_minor, 0),
        currency=store.currency,
        access_until=agreement.ends_at,
        occurred_at=at,
    )


# What may be asked for -----------------------------------------------------------------------------------------------

AgreementId = Annotated[UUID, Meta(description="Which agency agreement: `agreementId` of one of the store's.")]
ForParty = Annotated[AgreementParty, Meta(description="For which party it is said.")]
Paper = Annotated[
    Code | None,
    Meta(description="Number of the paper in which the party said it; needed where the other party records it."),
]


class AgreementDutyTerms(Part):
    """Which party does a kind of work."""

    work: Annotated[AgreementWork, Meta(description="The work.")]
    party: Annotated[AgreementParty, Meta(description="Who does it.")]


STANDARD_SCOPE = (
    AgreementDutyTerms(work=AgreementWork.DECORATION, party=AgreementParty.AGENCY),
    AgreementDutyTerms(work=AgreementWork.MAINTENANCE, party=AgreementParty.AGENCY),
    AgreementDutyTerms(work=AgreementWork.MARKETING, party=AgreementParty.AGENCY),
    AgreementDutyTerms(work=AgreementWork.CUSTOMER_SERVICE, party=AgreementParty.OWNER),
    AgreementDutyTerms(work=AgreementWork.SHIPPING, party=AgreementParty.OWNER),
)
"""Who does what where nothing else was agreed."""


class SignAgreement(Command):
    """Take down an agency agreement that the owner of a store and the agency have signed; one runs at a time."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (BothSignaturesRequired, AgreementRunning, CurrencyMismatch)

    store_id: StoreId
    owner: Annotated[Label, Meta(description="The company whose store it is; no personal data.")]
    agency: Annotated[Label, Meta(description="The company that runs it for them.")]
    owner_people: Annotated[
        tuple[Code, ...],
        Meta(min_length=1, max_length=50, description="Who speaks for the owner: the names that their tokens carry."),
    ]
    term_from: Annotated[date, Meta(description="First day, in the store's calendar.")]
    term_to: Annotated[date, Meta(description="Last day.")]
    monthly_fee_minor: Annotated[NonNegativeMinor, Meta(description="What the owner pays a month, in minor units.")]
    currency: Annotated[Currency, Meta(description="Its currency: the store's.")]
    owner_signed_on: Annotated[date | None, Meta(description="Day on which the owner signed.")] = None
    agency_signed_on: Annotated[date | None, Meta(description="Day on which the agency signed.")] = None
    commission_rate: Annotated[
        Decimal, Meta(description="What part of net sales the agency gets besides: 0.05 is 5 %; at most six places.")
    ] = Decimal(0)
    commission_due_day: Annotated[
        Annotated[int, Meta(ge=1, le=28)] | None,
        Meta(description="Day of the next month by which a month's commission is paid; 28 at most."),
    ] = None
    platforms: Annotated[
        tuple[Code, ...], Meta(max_length=20, description="The platforms it is about; the store's if left out.")
    ] = ()
    scope: Annotated[
        tuple[AgreementDutyTerms, ...], Meta(max_length=20, description="Who does what, each kind of work once.")
    ] = STANDARD_SCOPE
    document: Annotated[Code | None, Meta(description="Number of the agreement.")] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Check signatures, term and scope, then take it down."""
        store = work.store(self.store_id)
        store.require_not_closed()
        require_none_running(store)
        store.require_currency(self.currency)
        for party, signed_on in (("owner", self.owner_signed_on), ("agency", self.agency_signed_on)):
            if signed_on is None:
                raise BothSignaturesRequired(party=party, path=(f"{party}_signed_on",), ids=[store.id])
            if signed_on > store.local_date(work.occurred_at):
                raise InvalidField(why="a signature is recorded once it is there", path=(f"{party}_signed_on",))
        assert self.owner_signed_on is not None and self.agency_signed_on is not None
        if self.term_from < max(self.owner_signed_on, self.agency_signed_on):
            raise InvalidField(why="it holds from the day on which both had signed, or later", path=("term_from",))
        if self.term_to < self.term_from:
            raise InvalidField(why="the last day lies before the first one", path=("term_to",))
        _require_foreseeable(self.term_to)
        rate = self.commission_rate
        if not rate.is_finite() or not 0 <= rate <= 1 or -int(plain(rate).as_tuple().exponent) > MAX_PLACES:
            raise InvalidField(
                why=f"it lies between 0 and 1 and has at most {MAX_PLACES} places", path=("commission_rate",)
            )
        done = [duty.work for duty in self.scope]
        for index, each in enumerate(done):
            if each in done[:index]:
                raise InvalidField(why="this work is named twice", path=("scope", index, "work"))
        store.trigger_event(
            AgreementSigned,
            agreement_id=work.new_id(),
            owner=self.owner,
            agency=self.agency,
            owner_people=tuple(dict.fromkeys(self.owner_people)),
            platforms=tuple(dict.fromkeys(self.platforms)) or (store.platform,),
            scope=tuple(AgreementDuty(work=duty.work, party=duty.party) for duty in self.scope),
            owner_signed_on=self.owner_signed_on,
            agency_signed_on=self.agency_signed_on,
            term_from=self.term_from,
            term_to=self.term_to,
            ends_at=end_of_day(self.term_to, store.time_zone),
            monthly_fee_minor=self.monthly_fee_minor,
            commission_rate=plain(rate),
            commission_due_day=self.commission_due_day,
            currency=self.currency,
            document=self.document,
            occurred_at=work.occurred_at,
        )
        return store.id


class PayAgreementFee(Command):
    """Record that the agency received a fee; the first ad plan is due some working days after the first one."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store
    ROLES: ClassVar[frozenset[Role]] = CASHIERS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (CurrencyMismatch,)

    store_id: StoreId
    agreement_id: AgreementId
    amount_minor: Annotated[PositiveMinor, Meta(description="What was received, in minor units.")]
    currency: Annotated[Currency, Meta(description="Its currency: the store's.")]
    reference: Annotated[Code | None, Meta(description="The bank's or provider's number of the payment.")] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Record it, and what is due after it."""
        store = work.store(self.store_id)
        store.require_currency(self.currency)
        pay_fee(store, self.agreement_id, self.amount_minor, self.reference, work.occurred_at)
        return store.id


class RecordBreach(Command):
    """Record that a party broke the agreement, with what proves it, and what the other party lost by it."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (EvidenceMissing, CurrencyMismatch)

    store_id: StoreId
    agreement_id: AgreementId
    party: Annotated[AgreementParty, Meta(description="Who broke it.")]
    kind: Annotated[BreachKind, Meta(description="What it did.")]
    evidence: Annotated[Label | None, Meta(description="What proves it, and where it is kept.")] = None
    happened_on: Annotated[date | None, Meta(description="On which day of the store; today if left out.")] = None
    loss_minor: Annotated[
        PositiveMinor | None, Meta(description="What the other party lost, as the evidence says, in minor units.")
    ] = None
    currency: Annotated[Currency | None, Meta(description="Its currency: the store's, also if left out.")] = None
    note: Annotated[Reason | None, Meta(description="What is to be said of it.")] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Check who can do such a thing, and when. Asked twice, recorded once."""
        store, at = work.store(self.store_id), work.occurred_at
        agreement = find(store, self.agreement_id)
        _require_status(agreement, self.agreement_id, *_OPEN)
        store.require_currency(self.currency or store.currency)
        if self.evidence is None:
            raise EvidenceMissing(path=("evidence",), ids=[self.agreement_id])
        only = {BreachKind.UNPAID_COMMISSION: AgreementParty.OWNER, BreachKind.SECRECY: AgreementParty.AGENCY}
        if only.get(self.kind, self.party) is not self.party:
            raise InvalidField(why=f"this is a breach of the {self.party.other} alone", path=("party",))
        day = self.happened_on or store.local_date(at)
        if not agreement.signed_on <= day <= store.local_date(at):
            raise InvalidField(why="it happened since both signed, and not later than today", path=("happened_on",))
        same = (self.party, self.kind, day, self.evidence)
        if any((each.party, each.kind, each.happened_on, each.evidence) == same for each in agreement.breaches):
            return store.id
        store.trigger_event(
            AgreementBreachRecorded,
            agreement_id=self.agreement_id,
            party=self.party,
            kind=self.kind,
            happened_on=day,
            evidence=self.evidence,
            loss_minor=self.loss_minor,
            currency=store.currency,
            note=self.note,
            occurred_at=at,
        )
        return store.id


class GiveNotice(Command):
    """End an agency agreement with a day: thirty days ahead, by the policy `agreement`; sooner for a cause on record.

    The agreement ends by itself when that day is over.
    """

    AGGREGATE: ClassVar[type[Aggregate]] = Store
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (AgreementNoticeTooShort, NotOwnerParty, NotAgencyParty)

    store_id: StoreId
    agreement_id: AgreementId
    party: ForParty
    effective_on: Annotated[date, Meta(description="Its last day then, in the store's calendar.")]
    reason: Annotated[Reason, Meta(description="Why.")]
    cause: Annotated[NoticeCause | None, Meta(description="Why it may be sooner; breaches on record bear it out.")] = (
        None
    )
    document: Paper = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Check who says it, and how far ahead."""
        store = work.store(self.store_id)
        require_party(find(store, self.agreement_id), self.party, work.actor, self.document)
        give_notice(
            store,
            self.agreement_id,
            self.party,
            self.effective_on,
            self.cause,
            self.reason,
            self.document,
            work.occurred_at,
        )
        return store.id


class AskRenewal(Command):
    """Ask that an agency agreement goes on; unanswered, it is extended for the same term again."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (RenewalAskedTooLate, NotOwnerParty, NotAgencyParty)

    store_id: StoreId
    agreement_id: AgreementId
    party: ForParty
    term_to: Annotated[date, Meta(description="Its last day then, in the store's calendar.")]
    document: Paper = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Check who asks, and how far ahead; say until when it is to be answered."""
        store = work.store(self.store_id)
        require_party(find(store, self.agreement_id), self.party, work.actor, self.document)
        ask_renewal(store, self.agreement_id, self.party, self.term_to, self.document, work.occurred_at)
        return store.id


class AnswerRenewal(Command):
    """Agree to a renewal that the other party asked for, or decline it."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (RenewalNotAsked, RenewalAnswerLate, NotOwnerParty, NotAgencyParty)

    store_id: StoreId
    agreement_id: AgreementId
    accepted: Annotated[bool, Meta(description="Whether the party that was asked agrees.")]
    reason: Annotated[Reason | None, Meta(description="Why.")] = None
    document: Paper = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Check who answers, and when."""
        store = work.store(self.store_id)
        answer_renewal(
            store, self.agreement_id, self.accepted, self.reason, self.document, work.actor, work.occurred_at
        )
        return store.id


class ExtendAgreementByDefault(Command):
    """Let an agreement go on for the same term, because nobody answered a renewal; that happens by itself."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (RenewalNotAsked, RenewalAnswerNotDue)

    store_id: StoreId
    agreement_id: AgreementId

    def decide(self, work: UnitOfWork) -> UUID:
        """Check that the time to answer is over."""
        extend(work.store(self.store_id), self.agreement_id, work.occurred_at)
        return self.store_id


class EndAgreement(Command):
    """Close an agency agreement whose term or notice is over, and settle its fee; that happens by itself.

    Tokens end by themselves alone: revoke those of the agency's people.
    """

    AGGREGATE: ClassVar[type[Aggregate]] = Store
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (NoticeRunning, AgreementTermRunning, RenewalAnswerNotDue)

    store_id: StoreId
    agreement_id: AgreementId

    def decide(self, work: UnitOfWork) -> UUID:
        """Check that its last day is over."""
        end(work.store(self.store_id), self.agreement_id, work.occurred_at)
        return self.store_id
