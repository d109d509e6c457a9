"""How a store comes to sell: its steps from the application to deposit and fee. Opening itself is the store's."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from uuid import UUID

from opscore.domain.policies import PLATFORMS, PlatformTerms, SecondPerson
from opscore.domain.refusals import InvalidField, ReasonMissing, SamePerson
from opscore.domain.store import Store
from opscore.domain.store_events import (
    AccountNotOwn,
    AgreementUnsigned,
    AmountDiffersFromTerms,
    AutoDebitRequired,
    DepositFrozen,
    DocumentExpired,
    DocumentKind,
    InfoMissing,
    PaymentAccountCertified,
    PaymentAccountMissing,
    PlatformUnknown,
    ServiceFeePaid,
    StoreAgreementSigned,
    StoreApplied,
    StoreAuditPassed,
    StoreAuditRejected,
    StoreAuditStarted,
    StoreDocumentSubmitted,
    StoreInfoSubmitted,
    StoreStatus,
)
from opscore.domain.values import is_time_zone


def apply(
    store_id: UUID,
    at: datetime,
    *,
    name: str,
    operator: str,
    platform: str,
    kind: str,
    currency: str,
    time_zone: str,
    applicant: str,
) -> Store:
    """Begin a store with an application.

    Refuses: PlatformUnknown, InvalidField (a time zone that does not exist).
    """
    if platform not in PLATFORMS:
        raise PlatformUnknown(platform=platform, known=", ".join(sorted(PLATFORMS)), path=("platform",))
    if not is_time_zone(time_zone):
        raise InvalidField(why=f"there is no IANA time zone '{time_zone}'", path=("time_zone",))
    return Store.start(
        StoreApplied,
        store_id,
        occurred_at=at,
        name=name,
        operator=operator,
        platform=platform,
        kind=kind,
        currency=currency,
        time_zone=time_zone,
        applicant=applicant,
    )


def certify_payment_account(store: Store, provider: str, account_reference: str, holder: str, at: datetime) -> None:
    """Take down that the provider certified the operator's own account.

    Refuses: WrongState, AccountNotOwn.
    """
    store.require_status(StoreStatus.APPLIED)
    if holder != store.operator:
        # Who it is may be a person, and a refusal is kept.
        raise AccountNotOwn(operator=store.operator, path=("holder",), ids=[store.id])
    if store.payment_account == f"{provider}:{account_reference}":
        return  # Asked twice, recorded once.
    store.trigger_event(PaymentAccountCertified, occurred_at=at, provider=provider, account_reference=account_reference)


def submit_document(
    store: Store,
    kind: DocumentKind,
    at: datetime,
    *,
    number: str | None = None,
    personal_number: str | None = None,
    valid_from: date | None = None,
    valid_until: date | None = None,
    categories: tuple[str, ...] = (),
    brand: str | None = None,
    file_reference: str | None = None,
) -> None:
    """File a document, at any time before the store is closed.

    personal_number: ciphertext of the number when the document is a person's.
    Refuses: WrongState, DocumentExpired, InvalidField (ends before it begins; an authorisation without its brand).
    """
    store.require_not_closed()
    if valid_from is not None and valid_until is not None and valid_until < valid_from:
        raise InvalidField(why="the document ends before it begins", path=("valid_until",))
    if kind is DocumentKind.BRAND_AUTHORISATION and brand is None:
        raise InvalidField(why="name the brand that the authorisation is for", path=("brand",))
    if kind is DocumentKind.CATEGORY_LICENCE and not categories:
        raise InvalidField(why="name the categories that the licence is for", path=("categories",))
    if valid_until is not None and valid_until < store.local_date(at):
        raise DocumentExpired(kind=kind.value, valid_until=valid_until, path=("valid_until",), ids=[store.id])
    store.trigger_event(
        StoreDocumentSubmitted,
        occurred_at=at,
        kind=kind,
        number=number,
        personal_number=personal_number,
        valid_from=valid_from,
        valid_until=valid_until,
        categories=categories,
        brand=brand,
        file_reference=file_reference,
    )


def submit_info(store: Store, company: str, brands: tuple[str, ...], categories: tuple[str, ...], at: datetime) -> None:
    """State company, brands and categories.

    Refuses: WrongState, PaymentAccountMissing.
    """
    store.require_status(StoreStatus.APPLIED)
    _require_payment_account(store)
    if (store.company, store.brands, store.categories) == (company, brands, categories):
        return
    store.trigger_event(StoreInfoSubmitted, occurred_at=at, company=company, brands=brands, categories=categories)


def sign_agreement(store: Store, terms_version: str, auto_debit: bool, at: datetime) -> None:
    """Sign the platform's terms.

    Refuses: WrongState, PaymentAccountMissing, InfoMissing, AutoDebitRequired.
    """
    store.require_status(StoreStatus.APPLIED)
    _require_payment_account(store)
    _require_info(store)
    if store.policy(PlatformTerms, at).auto_debit_required and not auto_debit:
        raise AutoDebitRequired(path=("auto_debit",), ids=[store.id])
    if store.terms_signed == terms_version:
        return
    store.trigger_event(StoreAgreementSigned, occurred_at=at, terms_version=terms_version, auto_debit=auto_debit)


def submit_for_audit(store: Store, submitted_by: str, at: datetime) -> None:
    """Hand in the application; the answer is expected and due in calendar days.

    Refuses: WrongState, PaymentAccountMissing, InfoMissing, AgreementUnsigned, DocumentExpired, DocumentMissing,
    CategoryOutOfScope.
    """
    store.require_status(StoreStatus.APPLIED)
    _require_payment_account(store)
    _require_info(store)
    if store.terms_signed is None:
        raise AgreementUnsigned(ids=[store.id])
    terms = store.policy(PlatformTerms, at)
    day = store.local_date(at)
    for kind in terms.required_documents:
        store.require_document(DocumentKind(kind), day)
    for category in store.categories:
        store.require_category_in_scope(category, day, ())
    store.trigger_event(
        StoreAuditStarted,
        occurred_at=at,
        submitted_by=submitted_by,
        expected_from=at + timedelta(days=terms.audit_expected_days),
        due_at=at + timedelta(days=terms.audit_due_days),
    )


def _require_payment_account(store: Store) -> None:
    if store.payment_account is None:
        raise PaymentAccountMissing(ids=[store.id])


def _require_info(store: Store) -> None:
    if store.company is None:
        raise InfoMissing(ids=[store.id])


def pass_audit(store: Store, auditor: str, at: datetime) -> None:
    """Find nothing wrong; by somebody other than the applicant, unless the policy `second_person` lets them.

    Refuses: WrongState, SamePerson.
    """
    store.require_status(StoreStatus.UNDER_AUDIT)
    if store.policy(SecondPerson, at).audit and auditor in (store.applicant, store.audit_submitted_by):
        raise SamePerson(actor=auditor, ids=[store.id])
    store.trigger_event(StoreAuditPassed, occurred_at=at)


def reject_audit(store: Store, reasons: tuple[str, ...], at: datetime) -> None:
    """Send the application back with reasons.

    Refuses: WrongState, ReasonMissing.
    """
    store.require_status(StoreStatus.UNDER_AUDIT)
    if not any(reason.strip() for reason in reasons):
        raise ReasonMissing(path=("reasons",), ids=[store.id])
    store.trigger_event(StoreAuditRejected, occurred_at=at, reasons=reasons)


def freeze_deposit(store: Store, amount_minor: int, currency: str, at: datetime) -> None:
    """Freeze what is missing of the deposit, all at once; later, when terms have risen, the difference.

    Refuses: WrongState, CurrencyMismatch, TermsUnset, AmountDiffersFromTerms.
    """
    store.require_status(StoreStatus.AUDITED, StoreStatus.OPEN, StoreStatus.SUSPENDED)
    _require_amount(store, amount_minor, store.deposit_missing_minor(at), currency)
    if not amount_minor:
        return  # The platform asks for none.
    store.trigger_event(
        DepositFrozen,
        occurred_at=at,
        amount_minor=amount_minor,
        currency=currency,
        policy_version=store.policy_version(PlatformTerms, at),
    )


def pay_service_fee(store: Store, amount_minor: int, currency: str, at: datetime) -> None:
    """Pay the platform's service fee.

    Refuses: WrongState, CurrencyMismatch, TermsUnset, AmountDiffersFromTerms.
    """
    store.require_status(StoreStatus.AUDITED)
    _require_amount(store, amount_minor, store.fee_missing_minor(at), currency)
    if not amount_minor:
        return
    store.trigger_event(
        ServiceFeePaid,
        occurred_at=at,
        amount_minor=amount_minor,
        currency=currency,
        policy_version=store.policy_version(PlatformTerms, at),
    )


def _require_amount(store: Store, given_minor: int, expected_minor: int, currency: str) -> None:
    store.require_currency(currency)
    if given_minor != expected_minor:
        raise AmountDiffersFromTerms(
            expected_minor=expected_minor, given_minor=given_minor, path=("amount_minor",), ids=[store.id]
        )
