"""What can be asked for about a store, from the application to the closing."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar
from uuid import UUID

from msgspec import Meta

from opscore.domain import store_deposits, store_opening
from opscore.domain.aggregate import Aggregate
from opscore.domain.calendars import Calendar, CalendarKind
from opscore.domain.command import ALWAYS, Command, Role, UnitOfWork
from opscore.domain.policies import PolicyInvalid, PolicyUnknown, SecondPerson
from opscore.domain.refusals import (
    AlreadyExists,
    CurrencyMismatch,
    NotAuthorised,
    ReasonMissing,
    ReferenceTaken,
    Refusal,
    SamePerson,
)
from opscore.domain.store import Store
from opscore.domain.store_events import (
    AccountNotOwn,
    AgreementUnsigned,
    AmountDiffersFromTerms,
    AutoDebitRequired,
    CategoryOutOfScope,
    ClaimsOpen,
    ClosedFurtherAlready,
    DepositBelowTerms,
    DepositNotFrozen,
    DocumentExpired,
    DocumentKind,
    DocumentMissing,
    EffectiveInThePast,
    ExceedsDeposit,
    FeeUnpaid,
    HoursInvalid,
    InfoMissing,
    LocationKind,
    NoCourier,
    NoPaymentMethod,
    PaymentAccountMissing,
    PeriodNotOver,
    PlatformUnknown,
    SuspensionRunning,
    TermsUnset,
)
from opscore.domain.values import (
    Code,
    Currency,
    Label,
    Minor,
    NonNegativeMinor,
    PositiveMinor,
    Reason,
    TimeZone,
    derived_id,
)

Moment = Annotated[datetime, Meta(tz=True)]
StoreId = Annotated[UUID, Meta(description="The store.")]
Names = Annotated[tuple[Label, ...], Meta(max_length=200)]

APPLICANTS = frozenset({Role.OWNER, Role.MANAGER})
CASHIERS = frozenset({Role.OWNER, Role.MANAGER, Role.FINANCE})
JUDGES = frozenset({Role.OWNER, Role.MANAGER, Role.PLATFORM})

# Opening -------------------------------------------------------------------------------------------------------------


class ApplyForStore(Command):
    """Apply for a store on a platform: the first of the seven steps."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store
    ROLES: ClassVar[frozenset[Role]] = frozenset({Role.OWNER})
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (PlatformUnknown, ReferenceTaken)

    name: Annotated[Label, Meta(description="What the store is called; no other store of the operator is.")]
    operator: Annotated[Label, Meta(description="The company that runs the store.")]
    platform: Annotated[Code, Meta(description="taobao, tmall, jd, pinduoduo, vip, wechat or own.")]
    kind: Annotated[Code, Meta(description="What kind of store it is on that platform, flagship say.")] = "store"
    currency: Annotated[Currency, Meta(description="ISO 4217 code of everything the store sells in.")] = "CNY"
    time_zone: Annotated[TimeZone, Meta(description="IANA zone of the store's days.")] = "Asia/Shanghai"

    def decide(self, work: UnitOfWork) -> UUID:
        """Take the name, begin the store."""
        store_id = work.new_id()
        work.require_free("store_name", "operator", self.name, store_id, path=("name",))
        store = store_opening.apply(
            store_id,
            work.occurred_at,
            name=self.name,
            operator=self.operator,
            platform=self.platform,
            kind=self.kind,
            currency=self.currency,
            time_zone=self.time_zone,
            applicant=work.actor.id,
        )
        work.add(store)
        work.claim("store_name", "operator", self.name, store_id)
        return store_id


class CertifyPaymentAccount(Command):
    """Take down that the payment provider certified the operator's own account."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store
    ROLES: ClassVar[frozenset[Role]] = CASHIERS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (AccountNotOwn,)

    store_id: StoreId
    provider: Annotated[Code, Meta(description="The payment provider.")]
    account_reference: Annotated[Code, Meta(description="The provider's reference of the account, no account number.")]
    holder: Annotated[Label, Meta(description="The company that the provider names as the holder.")]

    def decide(self, work: UnitOfWork) -> UUID:
        """Compare the holder with the operator."""
        store_opening.certify_payment_account(
            work.store(self.store_id), self.provider, self.account_reference, self.holder, work.occurred_at
        )
        return self.store_id


class SubmitStoreDocument(Command):
    """File a document of the store; also later, when one runs out or a brand or category is added."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store
    ROLES: ClassVar[frozenset[Role]] = APPLICANTS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (DocumentExpired,)

    store_id: StoreId
    kind: Annotated[DocumentKind, Meta(description="What the document proves.")]
    number: Annotated[
        Code | None, Meta(description="Its number; that of an identity proof is personal and kept encrypted.")
    ] = None
    valid_from: Annotated[date | None, Meta(description="First day on which it holds.")] = None
    valid_until: Annotated[date | None, Meta(description="Last day on which it holds; none if it has no end.")] = None
    categories: Annotated[
        Names, Meta(description="Categories that a licence covers; a business licence without any covers all.")
    ] = ()
    brand: Annotated[Label | None, Meta(description="The brand that an authorisation is for.")] = None
    file_reference: Annotated[Label | None, Meta(description="Where the file is kept.")] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Seal what is personal, file the rest."""
        store = work.store(self.store_id)
        personal = self.kind is DocumentKind.IDENTITY_PROOF and self.number is not None
        store_opening.submit_document(
            store,
            self.kind,
            work.occurred_at,
            number=None if personal else self.number,
            personal_number=work.seal(store.id, str(self.number)) if personal else None,
            valid_from=self.valid_from,
            valid_until=self.valid_until,
            categories=self.categories,
            brand=self.brand,
            file_reference=self.file_reference,
        )
        return store.id


class SubmitStoreInfo(Command):
    """State the company, its brands and the categories that the store is to sell."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store
    ROLES: ClassVar[frozenset[Role]] = APPLICANTS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (PaymentAccountMissing,)

    store_id: StoreId
    company: Annotated[Label, Meta(description="The company as registered.")]
    brands: Annotated[Names, Meta(min_length=1, description="The brands on sale.")]
    categories: Annotated[Names, Meta(description="The categories on sale.")] = ()

    def decide(self, work: UnitOfWork) -> UUID:
        """Take the statement."""
        store_opening.submit_info(
            work.store(self.store_id), self.company, self.brands, self.categories, work.occurred_at
        )
        return self.store_id


class SignStoreAgreement(Command):
    """Sign the platform's service terms and, where it asks for it, the auto-debit agreement."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store
    ROLES: ClassVar[frozenset[Role]] = APPLICANTS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (PaymentAccountMissing, InfoMissing, AutoDebitRequired)

    store_id: StoreId
    terms_version: Annotated[Code, Meta(description="Version of the platform's terms.")]
    auto_debit: Annotated[bool, Meta(description="Whether the auto-debit agreement is signed too.")] = False

    def decide(self, work: UnitOfWork) -> UUID:
        """Sign."""
        store_opening.sign_agreement(work.store(self.store_id), self.terms_version, self.auto_debit, work.occurred_at)
        return self.store_id


class SubmitForAudit(Command):
    """Hand the application in; the platform answers within its days."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store
    ROLES: ClassVar[frozenset[Role]] = APPLICANTS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (
        PaymentAccountMissing,
        InfoMissing,
        AgreementUnsigned,
        DocumentMissing,
        DocumentExpired,
        CategoryOutOfScope,
    )

    store_id: StoreId

    def decide(self, work: UnitOfWork) -> UUID:
        """Check that all is there."""
        store_opening.submit_for_audit(work.store(self.store_id), work.actor.id, work.occurred_at)
        return self.store_id


class PassAudit(Command):
    """Find the application in order."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store
    ROLES: ClassVar[frozenset[Role]] = JUDGES
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (SamePerson,)

    store_id: StoreId

    def decide(self, work: UnitOfWork) -> UUID:
        """Somebody other than the applicant says so."""
        store_opening.pass_audit(work.store(self.store_id), work.actor.id, work.occurred_at)
        return self.store_id


class RejectAudit(Command):
    """Send the application back with reasons."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store
    ROLES: ClassVar[frozenset[Role]] = JUDGES
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (ReasonMissing,)

    store_id: StoreId
    reasons: Annotated[tuple[Reason, ...], Meta(max_length=50, description="What has to be mended.")]

    def decide(self, work: UnitOfWork) -> UUID:
        """Send it back."""
        store_opening.reject_audit(work.store(self.store_id), self.reasons, work.occurred_at)
        return self.store_id


class FreezeDeposit(Command):
    """Freeze the deposit that the platform's terms ask for, or what has come on top of it since."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store
    ROLES: ClassVar[frozenset[Role]] = CASHIERS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (AmountDiffersFromTerms, TermsUnset, CurrencyMismatch)

    store_id: StoreId
    amount_minor: Annotated[NonNegativeMinor, Meta(description="Amount in minor units.")]
    currency: Annotated[Currency, Meta(description="Its currency.")]

    def decide(self, work: UnitOfWork) -> UUID:
        """Compare with the terms in force."""
        store_opening.freeze_deposit(work.store(self.store_id), self.amount_minor, self.currency, work.occurred_at)
        return self.store_id


class PayServiceFee(Command):
    """Pay the service fee that the platform's terms ask for."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store
    ROLES: ClassVar[frozenset[Role]] = CASHIERS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (AmountDiffersFromTerms, TermsUnset, CurrencyMismatch)

    store_id: StoreId
    amount_minor: Annotated[NonNegativeMinor, Meta(description="Amount in minor units.")]
    currency: Annotated[Currency, Meta(description="Its currency.")]

    def decide(self, work: UnitOfWork) -> UUID:
        """Compare with the terms in force."""
        store_opening.pay_service_fee(work.store(self.store_id), self.amount_minor, self.currency, work.occurred_at)
        return self.store_id


class OpenStore(Command):
    """Begin to sell: the last of the seven steps."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (DepositNotFrozen, FeeUnpaid, TermsUnset)

    store_id: StoreId

    def decide(self, work: UnitOfWork) -> UUID:
        """Check deposit and fee."""
        work.store(self.store_id).open(work.occurred_at)
        return self.store_id


# Stopping and closing ------------------------------------------------------------------------------------------------


class SuspendStore(Command):
    """Stop selling for the time being; shipping and refunds go on."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store

    store_id: StoreId
    reason: Annotated[Reason, Meta(description="Why.")]
    until: Annotated[Moment | None, Meta(description="Not to be reopened before; with offset.")] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Stop."""
        until = None if self.until is None else self.until.astimezone(UTC)
        work.store(self.store_id).suspend(self.reason, until, work.occurred_at)
        return self.store_id


class ReopenStore(Command):
    """Sell again after a suspension."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (SuspensionRunning, DepositBelowTerms, TermsUnset)

    store_id: StoreId

    def decide(self, work: UnitOfWork) -> UUID:
        """Check that the suspension is over and the deposit whole."""
        work.store(self.store_id).reopen(work.occurred_at)
        return self.store_id


class CloseStore(Command):
    """Stop selling for good; orders still open are seen to as ever."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store
    ROLES: ClassVar[frozenset[Role]] = frozenset({Role.OWNER})

    store_id: StoreId
    reason: Annotated[Reason, Meta(description="Why.")]

    def decide(self, work: UnitOfWork) -> UUID:
        """Close."""
        work.store(self.store_id).close(self.reason, work.occurred_at)
        return self.store_id


class ReleaseDeposit(Command):
    """Take frozen deposit back from a closed store, once buyers can claim no more."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store
    ROLES: ClassVar[frozenset[Role]] = CASHIERS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (ClaimsOpen, ExceedsDeposit, CurrencyMismatch)

    store_id: StoreId
    amount_minor: Annotated[PositiveMinor, Meta(description="Amount in minor units.")]
    currency: Annotated[Currency, Meta(description="Its currency.")]

    def decide(self, work: UnitOfWork) -> UUID:
        """Check the days since the closing and what is frozen."""
        store_deposits.release(work.store(self.store_id), self.amount_minor, self.currency, work.occurred_at)
        return self.store_id


class DeductDeposit(Command):
    """Record that the platform took of the frozen deposit; freeze the difference to have it whole again."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store
    ROLES: ClassVar[frozenset[Role]] = CASHIERS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (ExceedsDeposit, CurrencyMismatch)

    store_id: StoreId
    amount_minor: Annotated[PositiveMinor, Meta(description="Amount in minor units.")]
    currency: Annotated[Currency, Meta(description="Its currency.")]
    reason: Annotated[Reason, Meta(description="What for.")]
    case_reference: Annotated[Code | None, Meta(description="What the platform calls the case.")] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Compare with what is frozen."""
        store = work.store(self.store_id)
        store_deposits.deduct(
            store, self.amount_minor, self.currency, self.reason, self.case_reference, work.occurred_at
        )
        return store.id


# How the store works -------------------------------------------------------------------------------------------------


class SetPaymentMethods(Command):
    """Say by which methods orders can be paid; all others are refused."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store
    ROLES: ClassVar[frozenset[Role]] = CASHIERS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (NoPaymentMethod,)

    store_id: StoreId
    methods: Annotated[
        tuple[Code, ...], Meta(max_length=50, description="alipay, online_banking, remittance, credit_card, ...")
    ]

    def decide(self, work: UnitOfWork) -> UUID:
        """Set them."""
        work.store(self.store_id).set_payment_methods(self.methods, work.occurred_at)
        return self.store_id


class SetCouriers(Command):
    """Say which couriers carry the store's parcels, and which one those to remote regions."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (NoCourier,)

    store_id: StoreId
    couriers: Annotated[tuple[Code, ...], Meta(max_length=50, description="In order of preference; two or three.")]
    remote_courier: Annotated[Code | None, Meta(description="Who goes to the remote regions.")] = None
    remote_regions: Annotated[Names, Meta(description="Regions that only the remote courier serves.")] = ()

    def decide(self, work: UnitOfWork) -> UUID:
        """Set them."""
        work.store(self.store_id).set_couriers(
            self.couriers, self.remote_courier, self.remote_regions, work.occurred_at
        )
        return self.store_id


Weekday = Annotated[int, Meta(ge=1, le=7)]
Clock = Annotated[str, Meta(pattern=r"^[0-2][0-9]:[0-5][0-9]$")]


class SetCalendar(Command):
    """Set the days and hours that deadlines in working days, or service to buyers, go by."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (HoursInvalid,)

    store_id: StoreId
    kind: Annotated[CalendarKind, Meta(description="Working days of the business, or service to buyers.")]
    weekdays: Annotated[tuple[Weekday, ...], Meta(max_length=7, description="1 is Monday, 7 is Sunday.")] = (
        1,
        2,
        3,
        4,
        5,
    )
    opens: Annotated[Clock, Meta(description="HH:MM in the store's zone.")] = "09:00"
    closes: Annotated[Clock, Meta(description="HH:MM in the store's zone; 24:00 is midnight.")] = "17:00"
    holidays: Annotated[tuple[date, ...], Meta(max_length=1000, description="Single days off.")] = ()
    extra_days: Annotated[
        tuple[date, ...], Meta(max_length=1000, description="Single days on that would be off, to make up for others.")
    ] = ()

    def decide(self, work: UnitOfWork) -> UUID:
        """Set it."""
        calendar = Calendar(
            weekdays=self.weekdays,
            opens=self.opens,
            closes=self.closes,
            holidays=tuple(day.isoformat() for day in self.holidays),
            extra_days=tuple(day.isoformat() for day in self.extra_days),
        )
        work.store(self.store_id).set_calendar(self.kind, calendar, work.occurred_at)
        return self.store_id


class AddLocation(Command):
    """Add a place that holds stock; orders are picked from places in the order in which they were added."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (AlreadyExists,)

    store_id: StoreId
    name: Annotated[Label, Meta(description="What the place is called; no other open place of the store is.")]
    kind: Annotated[LocationKind, Meta(description="What it is.")] = LocationKind.WAREHOUSE
    region: Annotated[Label | None, Meta(description="The region it is in.")] = None
    radius_km: Annotated[Decimal | None, Meta(description="How far it delivers.")] = None
    location_id: Annotated[UUID | None, Meta(description="Its id; by default one made from store and name.")] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Add it."""
        store = work.store(self.store_id)
        # A name is free again once its place is closed, so how many there were belongs to the id.
        namesakes = sum(1 for known in store.locations.values() if known.name == self.name)
        store.add_location(
            self.location_id or derived_id("location", store.id, self.name, namesakes),
            self.kind,
            self.name,
            self.region,
            self.radius_km,
            work.occurred_at,
        )
        return store.id


class CloseLocation(Command):
    """Let a place take no more stock and no more orders; what is left there can still be moved out or written off."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store

    store_id: StoreId
    location_id: Annotated[UUID, Meta(description="The place.")]

    def decide(self, work: UnitOfWork) -> UUID:
        """Close it."""
        work.store(self.store_id).close_location(self.location_id, work.occurred_at)
        return self.store_id


class SetPolicy(Command):
    """Put a new version of a policy in force from a moment on; what was decided before keeps its numbers."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (PolicyUnknown, PolicyInvalid, EffectiveInThePast)

    store_id: StoreId
    kind: Annotated[Code, Meta(description="platform_terms, ship_promise, order_terms, points, ...")]
    params: Annotated[
        dict[str, Any],
        Meta(description="Parameters by name, decimals as strings; those left out have their defaults."),
    ]
    effective_from: Annotated[
        Moment | None, Meta(description="In force from; with offset, not in the past. Now if left out.")
    ] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Check the parameters of this kind."""
        if self.kind == SecondPerson.KIND and work.actor.role not in ALWAYS:
            # Whoever is to be checked by somebody else could otherwise first decide not to be.
            raise NotAuthorised(why="the owner decides who is checked by a second person", path=("kind",))
        at = work.occurred_at
        effective_from = at if self.effective_from is None else self.effective_from.astimezone(UTC)
        work.store(self.store_id).set_policy(self.kind, self.params, effective_from, at)
        return self.store_id


class ClosePeriod(Command):
    """Close the books: no stock movement is dated before the end of this day any more, but by an override."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store
    ROLES: ClassVar[frozenset[Role]] = CASHIERS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (ClosedFurtherAlready, PeriodNotOver)

    store_id: StoreId
    through: Annotated[date, Meta(description="The last day that is closed, in the store's calendar.")]
    reason: Annotated[Reason, Meta(description="What it is closed for: month end, stocktake, tax return.")]

    def decide(self, work: UnitOfWork) -> UUID:
        """Close it for good."""
        work.store(self.store_id).close_period(self.through, self.reason, work.occurred_at)
        return self.store_id


class RecordExpense(Command):
    """Book money spent on running the store; a negative amount corrects an earlier booking.

    Fees, penalties, compensation and what else commands of its own record are costs without it.
    """

    AGGREGATE: ClassVar[type[Aggregate]] = Store
    ROLES: ClassVar[frozenset[Role]] = CASHIERS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (CurrencyMismatch, ReasonMissing)

    store_id: StoreId
    category: Annotated[
        Code,
        Meta(
            description="What it was spent on: rent, freight, packing, ...; `advertising` and `commission` pay for "
            "what is reported or settled and are no cost once more."
        ),
    ]
    amount_minor: Annotated[Minor, Meta(description="Amount in minor units; below zero takes back.")]
    currency: Annotated[Currency, Meta(description="Its currency.")]
    reference: Annotated[Code | None, Meta(description="The voucher.")] = None
    campaign_id: Annotated[UUID | None, Meta(description="The campaign it was spent for.")] = None
    reason: Annotated[Reason | None, Meta(description="Why; a correction needs it.")] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Book it."""
        if self.campaign_id is not None:
            work.campaign(self.campaign_id)
        work.store(self.store_id).record_expense(
            self.category,
            self.amount_minor,
            self.currency,
            work.occurred_at,
            reference=self.reference,
            campaign_id=self.campaign_id,
            reason=self.reason,
        )
        return self.store_id
