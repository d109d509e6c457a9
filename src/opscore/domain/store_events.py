"""A store's record: what is on record about it, and how it says no. What these add up to is in store.py."""

from __future__ import annotations

import enum
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from opscore.domain.aggregate import Event, FirstEvent
from opscore.domain.calendars import CalendarKind
from opscore.domain.refusals import Refusal
from opscore.domain.values import Sealed

# What is on record ---------------------------------------------------------------------------------------------------


class StoreStatus(enum.StrEnum):
    """How far a store is in its life."""

    APPLIED = "applied"
    UNDER_AUDIT = "under_audit"
    AUDITED = "audited"
    OPEN = "open"
    SUSPENDED = "suspended"
    CLOSED = "closed"


class DocumentKind(enum.StrEnum):
    """What a document of a store proves."""

    BUSINESS_LICENCE = "business_licence"
    TAX_REGISTRATION = "tax_registration"
    IDENTITY_PROOF = "identity_proof"
    BUSINESS_DESCRIPTION = "business_description"
    BRAND_AUTHORISATION = "brand_authorisation"
    CATEGORY_LICENCE = "category_licence"


class LocationKind(enum.StrEnum):
    """What a place with stock is."""

    WAREHOUSE = "warehouse"
    FLAGSHIP_SHOP = "flagship_shop"
    FRANCHISE_SHOP = "franchise_shop"
    PICKUP_POINT = "pickup_point"


class StaffRole(enum.StrEnum):
    """What somebody does in a store. What they may do is said by their token, whose roles are fewer."""

    MANAGER = "manager"
    """Runs the store, and answers for every role that nobody has."""
    SERVICE = "service"
    """Advises buyers and sees to their orders."""
    AFTER_SALES = "after_sales"
    """Sees to returns, exchanges and complaints."""
    DESIGNER = "designer"
    """Makes pictures and pages; their token is an editor's."""
    EDITOR = "editor"
    """Writes what buyers read, and puts articles on and off sale."""
    PROMOTER = "promoter"
    """Plans and runs campaigns."""
    WAREHOUSE = "warehouse"
    """Keeps the stock."""
    SHIPPER = "shipper"
    """Packs and ships; their token is the warehouse's."""
    FINANCE = "finance"
    """Sees to payments, refunds, expenses and the closing of the books."""


class DepartureStatus(enum.StrEnum):
    """How far somebody is with leaving a store."""

    NOTICED = "noticed"
    """They gave notice and are still there."""
    LEFT = "left"
    """They left, and their work was handed over."""
    ABSENT = "absent"
    """They left without leave, which counts as absence."""


class StoreApplied(FirstEvent):
    """Somebody applied to run a store on a platform."""

    name: str
    operator: str
    platform: str
    kind: str
    currency: str
    time_zone: str
    applicant: str


class StoreRenamed(Event):
    """It goes by another name."""

    name: str
    old_name: str


class PaymentAccountCertified(Event):
    """The payment provider confirmed that the account is the operator's own."""

    provider: str
    account_reference: str


class StoreDocumentSubmitted(Event):
    """A document was handed in. The number of a person's document is personal; that of a company's is not."""

    kind: DocumentKind
    number: str | None
    valid_from: date | None
    valid_until: date | None
    categories: tuple[str, ...] = ()
    brand: str | None = None
    file_reference: str | None = None
    personal_number: Sealed | None = None


class StoreInfoSubmitted(Event):
    """Company, brands and the categories to be sold were stated."""

    company: str
    brands: tuple[str, ...]
    categories: tuple[str, ...] = ()


class StoreAgreementSigned(Event):
    """The platform's terms were signed."""

    terms_version: str
    auto_debit: bool


class StoreAuditStarted(Event):
    """The application was handed in for audit."""

    submitted_by: str
    expected_from: datetime
    due_at: datetime


class StoreAuditPassed(Event):
    """The audit found nothing wrong."""


class StoreAuditRejected(Event):
    """The audit found something wrong; the application may be mended and handed in again."""

    reasons: tuple[str, ...]


class DepositFrozen(Event):
    """The deposit that the platform's terms ask for was frozen."""

    amount_minor: int
    currency: str
    policy_version: int


class ServiceFeePaid(Event):
    """The platform's service fee was paid."""

    amount_minor: int
    currency: str
    policy_version: int


class StoreOpened(Event):
    """The store began to sell."""


class StoreSuspended(Event):
    """The store stopped selling for the time being; it still ships and refunds."""

    reason: str
    until: datetime | None = None


class StoreReopened(Event):
    """The store sells again."""


class StoreClosed(Event):
    """The store stopped selling for good."""

    reason: str


class DepositReleased(Event):
    """Frozen deposit came back."""

    amount_minor: int
    currency: str


class DepositDeducted(Event):
    """The platform took of the frozen deposit; `case_reference` is what it calls the case."""

    amount_minor: int
    currency: str
    reason: str
    case_reference: str | None = None


class PaymentMethodsSet(Event):
    """These ways to pay are on offer, and no others."""

    methods: tuple[str, ...]


class CouriersSet(Event):
    """These couriers are under contract, in order of preference; remote regions go by a courier of their own."""

    couriers: tuple[str, ...]
    remote_courier: str | None = None
    remote_regions: tuple[str, ...] = ()


class CalendarSet(Event):
    """Days and hours: weekdays 1 (Monday) to 7, single days off, single days on, opening hours in the store's zone."""

    kind: CalendarKind
    weekdays: tuple[int, ...]
    opens: str
    closes: str
    holidays: tuple[str, ...] = ()
    extra_days: tuple[str, ...] = ()


class LocationAdded(Event):
    """A place that can hold stock was added."""

    location_id: UUID
    kind: LocationKind
    name: str
    region: str | None = None
    radius_km: Decimal | None = None


class LocationClosed(Event):
    """A place takes no more stock and no more orders."""

    location_id: UUID


class PolicySet(Event):
    """A policy has a new version, with every parameter spelled out."""

    kind: str
    policy_version: int
    effective_from: datetime
    params: dict[str, Any]


class ExpenseRecorded(Event):
    """Money was spent on running the store; a negative amount corrects an earlier one."""

    category: str
    amount_minor: int
    currency: str
    reference: str | None = None
    campaign_id: UUID | None = None
    reason: str | None = None


class PeriodClosed(Event):
    """The books are closed through a day of the store; from `open_from` (UTC) on they are open."""

    through: date
    open_from: datetime
    reason: str


class StaffRoleAssigned(Event):
    """Somebody has a role from a day of the store on, through `until_day` if there is one.

    `person` is the pseudonym that their tokens carry and that events name as the actor.
    """

    person: str
    role: StaffRole
    from_day: date
    until_day: date | None = None
    reason: str | None = None


class StaffRoleEnded(Event):
    """Somebody has a role through a day of the store and no longer, whatever was to come after it."""

    person: str
    role: StaffRole
    until_day: date
    reason: str | None = None


class StaffResignationFiled(Event):
    """Somebody gave notice on a day of the store; a later one takes the place of this.

    waiver_reason: why a shorter notice was accepted than the store asks for; None where it was long enough.
    """

    person: str
    noticed_on: date
    last_day: date
    waiver_reason: str | None = None


class StaffResignationWithdrawn(Event):
    """Somebody who had given notice stays."""

    person: str


class StaffHandoverConfirmed(Event):
    """Somebody who leaves has handed a role over; `to` answers for it from the day after their last one on."""

    person: str
    role: StaffRole
    to: str


class StaffLeft(Event):
    """Somebody left with a day of the store, and has no role after it; `absent`: without leave."""

    person: str
    last_day: date
    absent: bool
    reason: str | None = None


# How it says no ------------------------------------------------------------------------------------------------------


class PlatformUnknown(Refusal):
    """There are no terms for the platform '{platform}'; the platforms are {known}."""


class PaymentAccountMissing(Refusal):
    """No certified payment account is on record; certify it first."""


class AccountNotOwn(Refusal):
    """Somebody else holds the payment account; certify one that the operator '{operator}' holds."""


class InfoMissing(Refusal):
    """Company and brand data are missing; submit them first."""


class AgreementUnsigned(Refusal):
    """The platform's agreement is not signed; sign it first."""


class AutoDebitRequired(Refusal):
    """The platform's terms include the auto-debit agreement; sign both."""


class DocumentMissing(Refusal):
    """A valid document of the kind '{kind}' is missing; submit it first."""


class DocumentExpired(Refusal):
    """This document of the kind '{kind}' ended on {valid_until}; submit a valid one."""


class CategoryOutOfScope(Refusal):
    """The category '{category}' lies outside the business licence; leave it out, or submit a wider licence."""


class LicenceMissing(Refusal):
    """The category '{category}' needs a licence of its own that is valid on this day; submit it to the store first."""


class BrandNotAuthorised(Refusal):
    """No authorisation of the brand '{brand}' is valid on this day; submit it to the store first."""


class TermsUnset(Refusal):
    """The amounts that '{platform}' asks for in {currency} are not known; set the policy platform_terms first."""


class AmountDiffersFromTerms(Refusal):
    """The terms ask for {expected_minor} minor units now, not {given_minor}; pay that amount."""


class DepositNotFrozen(Refusal):
    """{missing_minor} minor units of the deposit are not frozen yet; freeze them first."""


class FeeUnpaid(Refusal):
    """{missing_minor} minor units of the service fee are not paid yet; pay them first."""


class SuspensionRunning(Refusal):
    """The store is suspended until {until}; reopen it then."""


class DepositBelowTerms(Refusal):
    """The terms in force now ask for {missing_minor} minor units more deposit; freeze them first."""


class ExceedsDeposit(Refusal):
    """Only {frozen_minor} minor units are frozen; name at most that."""


class ClaimsOpen(Refusal):
    """Buyers may claim until {until}, when the after-sale days after closing are over; release the deposit then."""


class StoreNotOpen(Refusal):
    """The store '{name}' is {status} and takes no new orders, listings or campaigns."""


class NoPaymentMethod(Refusal):
    """A store offers at least one way to pay; name one."""


class PaymentMethodNotEnabled(Refusal):
    """This store does not take '{method}'; it takes {enabled}."""


class NoCourier(Refusal):
    """A store ships with at least one courier; name one."""


class CourierNotAllowed(Refusal):
    """Parcels of this store to this region go by {allowed}, not by '{courier}'."""


class HoursInvalid(Refusal):
    """These days and hours cannot be kept: {why}."""


class LocationClosedAlready(Refusal):
    """The location '{name}' is closed; choose one that is open."""


class PeriodNotOver(Refusal):
    """The day {through} is not over yet in this store; close it when it is."""


class ClosedFurtherAlready(Refusal):
    """The books are closed through {through} already, and closing cannot be undone; name a later day."""


class PeriodClosedAlready(Refusal):
    """The books are closed before {open_from}; date it later, or have owner, manager or finance override it."""


class EffectiveInThePast(Refusal):
    """What was decided before stays as it was; let the policy begin at {earliest} or later."""


class StaffRoleTaken(Refusal):
    """{person} has the role {role} from {from_day} on already; name days outside of that, or end it first."""


class StaffRoleNotHeld(Refusal):
    """{person} does not have the role {role} in this store, so there is nothing to end."""


class RoleWithoutOwner(Refusal):
    """From {day} on nobody would answer for the role {role}; first give it to somebody else, or name a manager."""


class NoticeNotGiven(Refusal):
    """{person} has not given notice; file their resignation first, or record that they left without leave."""


class NoticeTooShort(Refusal):
    """Who gives notice on {noticed_on} leaves on {earliest} or later; name such a day, or say why less is accepted."""


class HandoverOpen(Refusal):
    """{person} has not handed over: {roles}; confirm each handover first, or record that they left without leave."""
