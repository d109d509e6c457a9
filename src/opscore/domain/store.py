"""A store: what it adds up to, and what may happen next. Its record is store_events.py, its commands store_commands.py.

A store opens in seven ordered steps: application, payment account, company and brand data, agreement, audit,
deposit and fee, opening. Its payment methods, couriers, calendars, locations and policies are what orders, SKUs and
campaigns ask it about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeVar, get_args
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from opscore.domain.aggregate import Aggregate, folds
from opscore.domain.agreement_events import Agreement, AgreementEvent, agreed
from opscore.domain.calendars import DEFAULT_CALENDARS, Calendar, CalendarKind, add_working_days, end_of_day
from opscore.domain.commission_events import CommissionEvent, Commissions
from opscore.domain.policies import (
    Costing,
    PlatformTerms,
    Policy,
    PolicyInvalid,
    PolicyVersion,
    read_policy,
    stored_params,
    version_at,
)
from opscore.domain.refusals import (
    AlreadyExists,
    CurrencyMismatch,
    InvalidField,
    NotFound,
    ReasonMissing,
    WrongState,
)
from opscore.domain.store_events import (
    BrandNotAuthorised,
    CalendarSet,
    CategoryOutOfScope,
    ClosedFurtherAlready,
    CourierNotAllowed,
    CouriersSet,
    DepositBelowTerms,
    DepositDeducted,
    DepositFrozen,
    DepositNotFrozen,
    DepositReleased,
    DocumentKind,
    EffectiveInThePast,
    ExpenseRecorded,
    FeeUnpaid,
    HoursInvalid,
    LicenceMissing,
    LocationAdded,
    LocationClosed,
    LocationClosedAlready,
    LocationKind,
    NoCourier,
    NoPaymentMethod,
    PaymentAccountCertified,
    PaymentMethodNotEnabled,
    PaymentMethodsSet,
    PeriodClosed,
    PeriodNotOver,
    PolicySet,
    ServiceFeePaid,
    StoreAgreementSigned,
    StoreApplied,
    StoreAuditPassed,
    StoreAuditRejected,
    StoreAuditStarted,
    StoreClosed,
    StoreDocumentSubmitted,
    StoreInfoSubmitted,
    StoreNotOpen,
    StoreOpened,
    StoreRenamed,
    StoreReopened,
    StoreStatus,
    StoreSuspended,
    SuspensionRunning,
    TermsUnset,
)
from opscore.domain.store_plan_state import PlanEvent, StorePlans, planned
from opscore.domain.store_profile_events import ProfileEvent, StoreProfile, described
from opscore.domain.store_state import (
    Departure,
    Location,
    StaffEvent,
    StaffPeriod,
    StoreDocument,
    departed,
    require_valid,
    rostered,
)
from opscore.domain.suppliers import Supplier, SupplierApplied, SupplierStep, take_in

# What it adds up to --------------------------------------------------------------------------------------------------


_PolicyT = TypeVar("_PolicyT", bound=Policy)


class Store(Aggregate):
    """One store of the operator on one platform."""

    name: str
    operator: str
    platform: str
    kind: str
    currency: str
    time_zone: str
    status: StoreStatus
    applicant: str
    payment_account: str | None
    documents: dict[str, StoreDocument]
    company: str | None
    brands: tuple[str, ...]
    categories: tuple[str, ...]
    terms_signed: str | None
    audit_submitted_by: str | None
    audit_due_at: datetime | None
    deposit_minor: int
    service_fee_minor: int
    suspended_until: datetime | None
    closed_at: datetime | None
    payment_methods: list[str]
    couriers: list[str]
    remote_courier: str | None
    remote_regions: list[str]
    calendars: dict[str, Calendar]
    locations: dict[UUID, Location]
    """In order of preference: the first open one is picked from first."""
    policies: dict[str, list[PolicyVersion]]
    books_closed_through: date | None
    books_open_from: datetime | None
    staff: list[StaffPeriod]
    """Who has had which role, as they were assigned."""
    departures: list[Departure]
    """Who leaves, and who left."""
    suppliers: dict[UUID, Supplier]
    plans: StorePlans
    profile: StoreProfile
    commissions: Commissions
    agreements: dict[UUID, Agreement]

    @folds(StoreApplied)
    def _applied(self, event: StoreApplied) -> None:
        self.store_id = event.originator_id
        self.name = event.name
        self.operator = event.operator
        self.platform = event.platform
        self.kind = event.kind
        self.currency = event.currency
        self.time_zone = event.time_zone
        self.status = StoreStatus.APPLIED
        self.applicant = event.applicant
        self.payment_account = None
        self.documents = {}
        self.company = None
        self.brands = ()
        self.categories = ()
        self.terms_signed = None
        self.audit_submitted_by = None
        self.audit_due_at = None
        self.deposit_minor = 0
        self.service_fee_minor = 0
        self.suspended_until = None
        self.closed_at = None
        self.payment_methods = []
        self.couriers = []
        self.remote_courier = None
        self.remote_regions = []
        self.calendars = {}
        self.locations = {}
        self.policies = {}
        self.books_closed_through = None
        self.books_open_from = None
        self.staff = []
        self.departures = []
        self.suppliers = {}
        self.plans = StorePlans()
        self.profile = StoreProfile()
        self.commissions = Commissions()
        self.agreements = {}

    @folds(StoreRenamed)
    def _renamed(self, event: StoreRenamed) -> None:
        self.name = event.name

    @folds(PaymentAccountCertified)
    def _payment_account_certified(self, event: PaymentAccountCertified) -> None:
        self.payment_account = f"{event.provider}:{event.account_reference}"

    @folds(StoreDocumentSubmitted)
    def _document_submitted(self, event: StoreDocumentSubmitted) -> None:
        # Ciphertext cannot tell documents apart: a newer identity proof takes the older one's place.
        self.documents[f"{event.kind}/{event.brand or ''}/{event.number or ''}"] = StoreDocument(
            kind=event.kind,
            valid_from=event.valid_from,
            valid_until=event.valid_until,
            categories=event.categories,
            brand=event.brand,
        )

    @folds(StoreInfoSubmitted)
    def _info_submitted(self, event: StoreInfoSubmitted) -> None:
        self.company = event.company
        self.brands = event.brands
        self.categories = event.categories

    @folds(StoreAgreementSigned)
    def _agreement_signed(self, event: StoreAgreementSigned) -> None:
        self.terms_signed = event.terms_version

    @folds(StoreAuditStarted)
    def _audit_started(self, event: StoreAuditStarted) -> None:
        self.status = StoreStatus.UNDER_AUDIT
        self.audit_submitted_by = event.submitted_by
        self.audit_due_at = event.due_at

    @folds(StoreAuditPassed)
    def _audit_passed(self, event: StoreAuditPassed) -> None:
        self.status = StoreStatus.AUDITED
        self.audit_due_at = None

    @folds(StoreAuditRejected)
    def _audit_rejected(self, event: StoreAuditRejected) -> None:
        self.status = StoreStatus.APPLIED
        self.audit_due_at = None

    @folds(DepositFrozen)
    def _deposit_frozen(self, event: DepositFrozen) -> None:
        self.deposit_minor += event.amount_minor

    @folds(ServiceFeePaid)
    def _service_fee_paid(self, event: ServiceFeePaid) -> None:
        self.service_fee_minor += event.amount_minor

    @folds(StoreOpened, StoreReopened)
    def _opened(self, event: StoreOpened | StoreReopened) -> None:
        self.status = StoreStatus.OPEN
        self.suspended_until = None

    @folds(StoreSuspended)
    def _suspended(self, event: StoreSuspended) -> None:
        self.status = StoreStatus.SUSPENDED
        self.suspended_until = event.until

    @folds(StoreClosed)
    def _closed(self, event: StoreClosed) -> None:
        self.status = StoreStatus.CLOSED
        self.suspended_until = None
        self.closed_at = event.occurred_at

    @folds(DepositReleased, DepositDeducted)
    def _deposit_left(self, event: DepositReleased | DepositDeducted) -> None:
        self.deposit_minor -= event.amount_minor

    @folds(PaymentMethodsSet)
    def _payment_methods_set(self, event: PaymentMethodsSet) -> None:
        self.payment_methods = list(event.methods)

    @folds(CouriersSet)
    def _couriers_set(self, event: CouriersSet) -> None:
        self.couriers = list(event.couriers)
        self.remote_courier = event.remote_courier
        self.remote_regions = list(event.remote_regions)

    @folds(CalendarSet)
    def _calendar_set(self, event: CalendarSet) -> None:
        self.calendars[event.kind] = Calendar(
            weekdays=event.weekdays,
            opens=event.opens,
            closes=event.closes,
            holidays=event.holidays,
            extra_days=event.extra_days,
        )

    @folds(LocationAdded)
    def _location_added(self, event: LocationAdded) -> None:
        self.locations[event.location_id] = Location(
            kind=event.kind, name=event.name, region=event.region, radius_km=event.radius_km
        )

    @folds(LocationClosed)
    def _location_closed(self, event: LocationClosed) -> None:
        self.locations[event.location_id] = msgspec.structs.replace(self.locations[event.location_id], open=False)

    @folds(PolicySet)
    def _policy_set(self, event: PolicySet) -> None:
        self.policies.setdefault(event.kind, []).append(
            PolicyVersion(policy_version=event.policy_version, effective_from=event.effective_from, params=event.params)
        )

    @folds(PeriodClosed)
    def _period_closed(self, event: PeriodClosed) -> None:
        self.books_closed_through = event.through
        self.books_open_from = event.open_from

    @folds(*get_args(StaffEvent))
    def _staff_changes(self, event: StaffEvent) -> None:
        self.staff = rostered(self.staff, event)
        self.departures = departed(self.departures, event)

    @folds(SupplierApplied, *get_args(SupplierStep))
    def _supplier_changes(self, event: SupplierApplied | SupplierStep) -> None:
        take_in(self.suppliers, event)

    @folds(*get_args(PlanEvent))
    def _plans_change(self, event: PlanEvent) -> None:
        self.plans = planned(self.plans, event, self.local_date(event.occurred_at))

    @folds(*get_args(ProfileEvent))
    def _profile_changes(self, event: ProfileEvent) -> None:
        self.profile = described(self.profile, event)

    @folds(*get_args(CommissionEvent))
    def _commission_changes(self, event: CommissionEvent) -> None:
        self.commissions = self.commissions.after(event)

    @folds(*get_args(AgreementEvent))
    def _agreements_change(self, event: AgreementEvent) -> None:
        self.agreements = agreed(self.agreements, event)

    # What others ask of a store ---------------------------------------------------------------------------------------

    def policy(self, kind: type[_PolicyT], at: datetime) -> _PolicyT:
        """Return the policy of this kind that is in force at a moment, as its typed struct.

        `store.policy(ShipPromise, at).soft_hours` is 24 for a store that has not set the policy `ship_promise`.
        """
        version = version_at(self.policies.get(kind.KIND, []), at)
        if version is None:
            return kind.default(self.platform, self.currency)
        return msgspec.convert(version.params, kind)

    def policy_version(self, kind: type[Policy], at: datetime) -> int:
        """Return the number of the version in force at a moment; 0 is the default."""
        version = version_at(self.policies.get(kind.KIND, []), at)
        return 0 if version is None else version.policy_version

    def require_open(self, path: Sequence[str | int] = ()) -> None:
        """Refuse StoreNotOpen unless the store sells."""
        if self.status is not StoreStatus.OPEN:
            raise StoreNotOpen(name=self.name, status=self.status.value, path=path, ids=[self.id])

    def require_location(
        self, location_id: UUID, path: Sequence[str | int] = (), *, closed_too: bool = False
    ) -> Location:
        """Return a location of this store; refuses NotFound, and LocationClosedAlready unless `closed_too`.

        A closed location takes nothing in; what is left there can still be counted, moved out or written off.
        """
        location = self.locations.get(location_id)
        if location is None:
            raise NotFound(what="location of this store", path=path or ("location_id",), ids=[location_id])
        if not (location.open or closed_too):
            raise LocationClosedAlready(name=location.name, path=path or ("location_id",), ids=[location_id])
        return location

    @property
    def open_location_ids(self) -> list[UUID]:
        """The locations to pick from, in order of preference."""
        return [location_id for location_id, location in self.locations.items() if location.open]

    def require_payment_method(self, method: str, path: Sequence[str | int] = ()) -> None:
        """Refuse PaymentMethodNotEnabled for a way to pay that is not on offer."""
        if method not in self.payment_methods:
            raise PaymentMethodNotEnabled(
                method=method, enabled=", ".join(self.payment_methods) or "nothing yet", path=path, ids=[self.id]
            )

    def require_courier(self, courier: str, region: str | None = None, path: Sequence[str | int] = ()) -> None:
        """Refuse CourierNotAllowed: a remote region goes by the remote courier, any other by a contracted one."""
        allowed = list(self.couriers)
        if self.remote_courier is not None and region in self.remote_regions:
            allowed = [self.remote_courier]
        if courier not in allowed:
            raise CourierNotAllowed(
                courier=courier, allowed=" or ".join(allowed) or "nobody yet", path=path, ids=[self.id]
            )

    def require_may_list(
        self, category: str | None, brand: str | None, at: datetime, path: Sequence[str | int] = ()
    ) -> None:
        """Check that the documents on file allow goods of this category and brand to be listed.

        Refuses: DocumentMissing and DocumentExpired where the platform wants a business licence, CategoryOutOfScope,
        LicenceMissing, BrandNotAuthorised.
        """
        day = self.local_date(at)
        terms = self.policy(PlatformTerms, at)
        if DocumentKind.BUSINESS_LICENCE in terms.required_documents:
            self.require_document(DocumentKind.BUSINESS_LICENCE, day, path)
        if category is not None:
            self.require_category_in_scope(category, day, path)
            if category in terms.licensed_categories and not any(
                category in licence.categories for licence in self._valid(DocumentKind.CATEGORY_LICENCE, day)
            ):
                raise LicenceMissing(category=category, path=path, ids=[self.id])
        if brand is not None and terms.brand_authorisation_required:
            papers = self._valid(DocumentKind.BRAND_AUTHORISATION, day)
            if all(paper.brand != brand for paper in papers):
                raise BrandNotAuthorised(brand=brand, path=path, ids=[self.id])

    def local_date(self, at: datetime) -> date:
        """Return the store's calendar day of a moment."""
        return at.astimezone(ZoneInfo(self.time_zone)).date()

    def calendar(self, kind: CalendarKind = CalendarKind.BUSINESS) -> Calendar:
        """Return the calendar in force."""
        return self.calendars.get(kind) or DEFAULT_CALENDARS[kind]

    def add_working_days(self, at: datetime, days: int) -> datetime:
        """Return the end (UTC) of the working day that lies so many working days after `at`, or before it if negative.

        The day of `at` itself is not counted. Thursday and 5 give the end of next week's Thursday.
        """
        return add_working_days(self.calendar(), self.time_zone, at, days)

    def require_document(self, kind: DocumentKind, day: date, path: Sequence[str | int] = ()) -> None:
        """Refuse DocumentMissing or DocumentExpired unless a document of this kind on file is valid on a day."""
        papers = [paper for paper in self.documents.values() if paper.kind is kind]
        require_valid(papers, kind.value, day, self.id, path)

    def _valid(self, kind: DocumentKind, day: date) -> list[StoreDocument]:
        return [paper for paper in self.documents.values() if paper.kind is kind and paper.is_valid_on(day)]

    def require_category_in_scope(self, category: str, day: date, path: Sequence[str | int] = ()) -> None:
        """Refuse CategoryOutOfScope for goods that no business licence on file that is valid on a day is for."""
        licences = self._valid(DocumentKind.BUSINESS_LICENCE, day)
        # A licence that lists no categories does not limit them.
        if licences and not any(not paper.categories or category in paper.categories for paper in licences):
            raise CategoryOutOfScope(category=category, path=path, ids=[self.id])

    def require_status(self, *needed: StoreStatus) -> None:
        """Refuse WrongState unless the store is in one of these states."""
        if self.status not in needed:
            raise WrongState(what="store", state=self.status.value, needed=" or ".join(map(str, needed)), ids=[self.id])

    # What may happen next: selling, stopping, closing -----------------------------------------------------------------

    def deposit_missing_minor(self, at: datetime) -> int:
        """Return what the terms in force ask for beyond what is frozen; refuses TermsUnset."""
        return max(0, self._asked_minor(self.policy(PlatformTerms, at).deposit_minor) - self.deposit_minor)

    def fee_missing_minor(self, at: datetime) -> int:
        """Return what is left to pay of the service fee; refuses TermsUnset."""
        return max(0, self._asked_minor(self.policy(PlatformTerms, at).service_fee_minor) - self.service_fee_minor)

    def _asked_minor(self, amount_minor: int | None) -> int:
        if amount_minor is None:
            raise TermsUnset(platform=self.platform, currency=self.currency, ids=[self.id])
        return amount_minor

    def require_currency(self, currency: str) -> None:
        """Refuse CurrencyMismatch for any currency but the store's own."""
        if currency != self.currency:
            raise CurrencyMismatch(expected=self.currency, given=currency, path=("currency",), ids=[self.id])

    def open(self, at: datetime) -> None:
        """Begin to sell.

        Refuses: WrongState, TermsUnset, DepositNotFrozen, FeeUnpaid.
        """
        if self.status is StoreStatus.OPEN:
            return
        self.require_status(StoreStatus.AUDITED)
        if missing_minor := self.deposit_missing_minor(at):
            raise DepositNotFrozen(missing_minor=missing_minor, ids=[self.id])
        if missing_minor := self.fee_missing_minor(at):
            raise FeeUnpaid(missing_minor=missing_minor, ids=[self.id])
        self.trigger_event(StoreOpened, occurred_at=at)

    def suspend(self, reason: str, until: datetime | None, at: datetime) -> None:
        """Stop selling for the time being: no new orders, listings or campaigns; shipping and refunds go on.

        Refuses: WrongState, InvalidField (an end that is over).
        """
        if until is not None and until <= at:
            raise InvalidField(why="the suspension would end before it begins", path=("until",))
        self.require_status(StoreStatus.OPEN)
        self.trigger_event(StoreSuspended, occurred_at=at, reason=reason, until=until)

    def reopen(self, at: datetime) -> None:
        """Sell again.

        Refuses: WrongState, SuspensionRunning, TermsUnset, DepositBelowTerms.
        """
        if self.status is StoreStatus.OPEN:
            return
        self.require_status(StoreStatus.SUSPENDED)
        if self.suspended_until is not None and at < self.suspended_until:
            raise SuspensionRunning(until=self.suspended_until.isoformat(), ids=[self.id])
        if missing_minor := self.deposit_missing_minor(at):
            raise DepositBelowTerms(missing_minor=missing_minor, ids=[self.id])
        self.trigger_event(StoreReopened, occurred_at=at)

    def close(self, reason: str, at: datetime) -> None:
        """Stop selling for good.

        Orders are streams of their own, so a store does not count them: those still open are shipped, refunded or
        cancelled as ever (the order book lists them), only new ones are refused.
        Refuses: WrongState.
        """
        if self.status is StoreStatus.CLOSED:
            return
        self.require_status(StoreStatus.OPEN, StoreStatus.SUSPENDED)
        self.trigger_event(StoreClosed, occurred_at=at, reason=reason)

    # What may happen next: how the store works ------------------------------------------------------------------------

    def set_payment_methods(self, methods: tuple[str, ...], at: datetime) -> None:
        """Offer these ways to pay and no others.

        Refuses: WrongState, NoPaymentMethod.
        """
        self.require_not_closed()
        methods = tuple(dict.fromkeys(methods))
        if not methods:
            raise NoPaymentMethod(path=("methods",), ids=[self.id])
        if set(methods) != set(self.payment_methods):
            self.trigger_event(PaymentMethodsSet, occurred_at=at, methods=methods)

    def set_couriers(
        self, couriers: tuple[str, ...], remote_courier: str | None, remote_regions: tuple[str, ...], at: datetime
    ) -> None:
        """Contract these couriers, in order of preference, and one for remote regions if they need another.

        Refuses: WrongState, NoCourier, InvalidField (regions without a courier for them).
        """
        self.require_not_closed()
        couriers = tuple(dict.fromkeys(couriers))
        if not couriers:
            raise NoCourier(path=("couriers",), ids=[self.id])
        if (remote_courier is None) != (not remote_regions):
            raise InvalidField(
                why="name both the remote regions and their courier, or neither", path=("remote_courier",)
            )
        if (list(couriers), remote_courier, list(remote_regions)) != (
            self.couriers,
            self.remote_courier,
            self.remote_regions,
        ):
            self.trigger_event(
                CouriersSet,
                occurred_at=at,
                couriers=couriers,
                remote_courier=remote_courier,
                remote_regions=remote_regions,
            )

    def set_calendar(self, kind: CalendarKind, calendar: Calendar, at: datetime) -> None:
        """Keep these days and hours from now on.

        Refuses: WrongState, HoursInvalid.
        """
        self.require_not_closed()
        try:
            calendar = calendar.in_order()
        except ValueError as impossible:
            raise HoursInvalid(why=str(impossible), path=("weekdays",), ids=[self.id]) from None
        if self.calendars.get(kind) != calendar:
            self.trigger_event(CalendarSet, occurred_at=at, kind=kind, **msgspec.structs.asdict(calendar))

    def add_location(
        self,
        location_id: UUID,
        kind: LocationKind,
        name: str,
        region: str | None,
        radius_km: Decimal | None,
        at: datetime,
    ) -> None:
        """Add a place with stock; places are picked from in the order in which they were added.

        Refuses: WrongState, AlreadyExists (the id, or an open location of this name).
        """
        self.require_not_closed()
        for known_id, known in self.locations.items():
            if known_id == location_id or (known.open and known.name == name):
                raise AlreadyExists(what="location", path=("name",), ids=[known_id])
        self.trigger_event(
            LocationAdded,
            occurred_at=at,
            location_id=location_id,
            kind=kind,
            name=name,
            region=region,
            radius_km=radius_km,
        )

    def close_location(self, location_id: UUID, at: datetime) -> None:
        """Let a place take no more stock and no more orders.

        Stock is kept by SKU, so a store does not know what is left there (the stock ledger does): it can still be
        counted, moved out or written off afterwards.
        Refuses: NotFound.
        """
        if self.require_location(location_id, closed_too=True).open:
            self.trigger_event(LocationClosed, occurred_at=at, location_id=location_id)

    def set_policy(self, kind: str, params: Mapping[str, Any], effective_from: datetime, at: datetime) -> None:
        """Put a new version of a policy in force from a moment on; parameters left out have their defaults.

        Refuses: WrongState, PolicyUnknown, PolicyInvalid, EffectiveInThePast.
        """
        self.require_not_closed()
        policy = read_policy(kind, params, platform=self.platform, currency=self.currency)
        earliest = at
        if kind == Costing.KIND and self.books_open_from is not None:
            # What stock was worth in a closed period is settled, also for who tells late of what was decided then.
            earliest = max(at, self.books_open_from)
        if effective_from < earliest:
            raise EffectiveInThePast(earliest=earliest.isoformat(), path=("effective_from",), ids=[self.id])
        if isinstance(policy, PlatformTerms):
            for document in sorted(set(policy.required_documents) - set(DocumentKind)):
                why = f"there is no document of the kind '{document}'"
                raise PolicyInvalid(kind=kind, why=why, path=("params",))
        stored = stored_params(policy)
        versions = self.policies.get(kind, [])
        if versions and (versions[-1].effective_from, versions[-1].params) == (effective_from, stored):
            return
        self.trigger_event(
            PolicySet,
            occurred_at=at,
            kind=kind,
            policy_version=len(versions) + 1,
            effective_from=effective_from,
            params=stored,
        )

    def record_expense(
        self,
        category: str,
        amount_minor: int,
        currency: str,
        at: datetime,
        *,
        reference: str | None = None,
        campaign_id: UUID | None = None,
        reason: str | None = None,
    ) -> None:
        """Book money spent on running the store, closed or not; a negative amount corrects and says why.

        Refuses: CurrencyMismatch, InvalidField (nothing), ReasonMissing (a correction without a reason).
        """
        self.require_currency(currency)
        if amount_minor == 0:
            raise InvalidField(why="an expense of nothing is no expense", path=("amount_minor",))
        if amount_minor < 0 and reason is None:
            raise ReasonMissing(path=("reason",), ids=[self.id])
        self.trigger_event(
            ExpenseRecorded,
            occurred_at=at,
            category=category,
            amount_minor=amount_minor,
            currency=currency,
            reference=reference,
            campaign_id=campaign_id,
            reason=reason,
        )

    def close_period(self, through: date, reason: str, at: datetime) -> None:
        """Close the books through a day of the store's calendar; it cannot be undone, only gone on with.

        Refuses: ClosedFurtherAlready, PeriodNotOver.
        """
        if self.books_closed_through is not None and through <= self.books_closed_through:
            if through == self.books_closed_through:
                return
            raise ClosedFurtherAlready(through=self.books_closed_through, path=("through",), ids=[self.id])
        if through >= self.local_date(at):
            raise PeriodNotOver(through=through, path=("through",), ids=[self.id])
        open_from = end_of_day(through, self.time_zone)
        self.trigger_event(PeriodClosed, occurred_at=at, through=through, open_from=open_from, reason=reason)

    def require_not_closed(self) -> None:
        """Refuse WrongState once the store is closed."""
        self.require_status(*(status for status in StoreStatus if status is not StoreStatus.CLOSED))
