"""What can be asked for about the suppliers of a store, from the application to the release of the deposit."""

from __future__ import annotations

from datetime import date
from typing import Annotated, ClassVar
from uuid import UUID

from msgspec import Meta

from opscore.domain.aggregate import Aggregate
from opscore.domain.command import Command, Role, UnitOfWork
from opscore.domain.policies import SupplierDocumentKind, SupplierRules
from opscore.domain.refusals import CurrencyMismatch, InvalidField, NotFound, ReferenceTaken, Refusal, WrongState
from opscore.domain.store import Store
from opscore.domain.store_commands import CASHIERS, StoreId
from opscore.domain.store_events import (
    AmountDiffersFromTerms,
    DepositNotFrozen,
    DocumentExpired,
    DocumentMissing,
    ExceedsDeposit,
)
from opscore.domain.suppliers import (
    ExchangeTermsMissing,
    Supplier,
    SupplierActivated,
    SupplierApplied,
    SupplierDepositFrozen,
    SupplierDepositReleased,
    SupplierDocumentSubmitted,
    SupplierExpelled,
    SupplierKind,
    SupplierNotActive,
    SupplierQualified,
    SupplierRejected,
    SupplierStatus,
    SupplierTerms,
    SupplierTermsAgreed,
    TermsNotAgreed,
)
from opscore.domain.values import Code, Currency, Label, NonNegativeMinor, PositiveMinor, Reason

SupplierId = Annotated[UUID, Meta(description="Which supplier: `supplierId` of one of the store's.")]
Terms = Annotated[Reason, Meta(description="What was agreed, in words.")]

# What others ask of suppliers ----------------------------------------------------------------------------------------


def require_any(store: Store) -> None:
    """Refuse WrongState for a store that never had a supplier."""
    if not store.suppliers:
        raise WrongState(what="store", state=store.status.value, needed="one with suppliers", ids=[store.id])


def find(store: Store, supplier_id: UUID) -> Supplier:
    """Return a supplier of the store. Refuses: WrongState (it has none), NotFound."""
    require_any(store)
    supplier = store.suppliers.get(supplier_id)
    if supplier is None:
        raise NotFound(what="supplier of this store", path=("supplier_id",), ids=[supplier_id])
    return supplier


def require_active(store: Store, supplier_id: UUID) -> None:
    """Refuse unless goods may be ordered of a supplier.

    Refuses: NotFound, ExchangeTermsMissing, SupplierNotActive.
    """
    supplier = store.suppliers.get(supplier_id)
    if supplier is None:
        raise NotFound(what="supplier of the article's store", path=("supplier_id",), ids=[supplier_id])
    if supplier.terms is None and not supplier.is_over:
        raise ExchangeTermsMissing(company=supplier.company, path=("supplier_id",), ids=[supplier_id])
    if not supplier.is_active:
        raise SupplierNotActive(
            company=supplier.company, status=supplier.status.value, path=("supplier_id",), ids=[supplier_id]
        )


def _require_status(supplier: Supplier, supplier_id: UUID, *needed: SupplierStatus) -> None:
    if supplier.status not in needed:
        raise WrongState(
            what="supplier",
            state=supplier.status.value,
            needed=" or ".join(needed),
            path=("supplier_id",),
            ids=[supplier_id],
        )


def _required_documents(store: Store, supplier: Supplier, work: UnitOfWork) -> list[SupplierDocumentKind]:
    rules = store.policy(SupplierRules, work.occurred_at)
    dealers = rules.dealer_documents if supplier.kind is SupplierKind.BRAND_DEALER else ()
    return [*rules.required_documents, *dealers]


# What may be asked for -----------------------------------------------------------------------------------------------


class ApplyAsSupplier(Command):
    """Take down that a company applies to be a supplier of a store."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (ReferenceTaken,)

    store_id: StoreId
    kind: Annotated[SupplierKind, Meta(description="What it is to its goods.")]
    company: Annotated[Label, Meta(description="The company; no personal data. No other supplier of the store is it.")]

    def decide(self, work: UnitOfWork) -> UUID:
        """Begin the supplier; a company that was rejected or expelled may apply again."""
        store = work.store(self.store_id)
        store.require_not_closed()
        for supplier_id, known in store.suppliers.items():
            if known.company == self.company and not known.is_over:
                raise ReferenceTaken(what="supplier", value=self.company, path=("company",), ids=[supplier_id])
        store.trigger_event(
            SupplierApplied,
            supplier_id=work.new_id(),
            kind=self.kind,
            company=self.company,
            occurred_at=work.occurred_at,
        )
        return store.id


class SubmitSupplierDocument(Command):
    """File a document of a supplier; also later, when one runs out. It replaces the one of its kind and brand."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (DocumentExpired,)

    store_id: StoreId
    supplier_id: SupplierId
    kind: Annotated[SupplierDocumentKind, Meta(description="What the document proves.")]
    number: Annotated[Code | None, Meta(description="Its number.")] = None
    valid_from: Annotated[date | None, Meta(description="First day on which it holds.")] = None
    valid_until: Annotated[date | None, Meta(description="Last day on which it holds; without end if left out.")] = None
    brand: Annotated[Label | None, Meta(description="The brand that an authorisation or a trademark is for.")] = None
    file_reference: Annotated[Code | None, Meta(description="Where the document itself is kept.")] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """File it, unless it has run out."""
        store = work.store(self.store_id)
        supplier = find(store, self.supplier_id)
        _require_status(
            supplier, self.supplier_id, SupplierStatus.APPLIED, SupplierStatus.QUALIFIED, SupplierStatus.ACTIVE
        )
        if self.valid_from is not None and self.valid_until is not None and self.valid_until < self.valid_from:
            raise InvalidField(why="the document ends before it begins", path=("valid_until",))
        if self.kind is SupplierDocumentKind.BRAND_AUTHORISATION and self.brand is None:
            raise InvalidField(why="name the brand that the authorisation is for", path=("brand",))
        if self.valid_until is not None and self.valid_until < store.local_date(work.occurred_at):
            ids = [self.supplier_id]
            raise DocumentExpired(kind=self.kind.value, valid_until=self.valid_until, path=("valid_until",), ids=ids)
        store.trigger_event(
            SupplierDocumentSubmitted,
            supplier_id=self.supplier_id,
            kind=self.kind,
            number=self.number,
            valid_from=self.valid_from,
            valid_until=self.valid_until,
            brand=self.brand,
            file_reference=self.file_reference,
            occurred_at=work.occurred_at,
        )
        return store.id


class QualifySupplier(Command):
    """Find a supplier fit: the documents that the policy `supplier_rules` asks for are there, and valid."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (DocumentMissing, DocumentExpired)

    store_id: StoreId
    supplier_id: SupplierId

    def decide(self, work: UnitOfWork) -> UUID:
        """Look at its documents."""
        store = work.store(self.store_id)
        supplier = find(store, self.supplier_id)
        if supplier.status is SupplierStatus.QUALIFIED:
            return store.id  # Asked twice, recorded once.
        _require_status(supplier, self.supplier_id, SupplierStatus.APPLIED)
        needed = _required_documents(store, supplier, work)
        supplier.require_documents(needed, store.local_date(work.occurred_at), self.supplier_id)
        store.trigger_event(SupplierQualified, supplier_id=self.supplier_id, occurred_at=work.occurred_at)
        return store.id


class RejectSupplier(Command):
    """Find a supplier unfit that has applied."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store

    store_id: StoreId
    supplier_id: SupplierId
    reasons: Annotated[tuple[Reason, ...], Meta(min_length=1, max_length=50, description="What was found.")]

    def decide(self, work: UnitOfWork) -> UUID:
        """Say so."""
        store = work.store(self.store_id)
        supplier = find(store, self.supplier_id)
        _require_status(supplier, self.supplier_id, SupplierStatus.APPLIED)
        store.trigger_event(
            SupplierRejected, supplier_id=self.supplier_id, reasons=self.reasons, occurred_at=work.occurred_at
        )
        return store.id


class AgreeSupplierTerms(Command):
    """Say how a supplier exchanges and takes back goods; it leaves the deposit that the policy asks for on that day."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store

    store_id: StoreId
    supplier_id: SupplierId
    exchange_terms: Annotated[Terms, Meta(description="How it exchanges goods.")]
    return_terms: Annotated[Terms, Meta(description="How it takes goods back.")]
    after_sale_terms: Annotated[Terms | None, Meta(description="What it promises to those who bought its goods.")] = (
        None
    )

    def decide(self, work: UnitOfWork) -> UUID:
        """Keep the terms, with the deposit of the policy `supplier_rules`; the last ones hold."""
        store = work.store(self.store_id)
        supplier = find(store, self.supplier_id)
        _require_status(supplier, self.supplier_id, SupplierStatus.QUALIFIED, SupplierStatus.ACTIVE)
        terms = SupplierTerms(
            exchange_terms=self.exchange_terms,
            return_terms=self.return_terms,
            after_sale_terms=self.after_sale_terms,
            deposit_minor=store.policy(SupplierRules, work.occurred_at).deposit_minor,
        )
        if supplier.terms != terms:
            store.trigger_event(
                SupplierTermsAgreed,
                supplier_id=self.supplier_id,
                exchange_terms=terms.exchange_terms,
                return_terms=terms.return_terms,
                after_sale_terms=terms.after_sale_terms,
                deposit_minor=terms.deposit_minor,
                currency=store.currency,
                policy_version=store.policy_version(SupplierRules, work.occurred_at),
                occurred_at=work.occurred_at,
            )
        return store.id


class FreezeSupplierDeposit(Command):
    """Freeze what is missing of a supplier's deposit, all at once; later, when its terms have risen, the difference."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store
    ROLES: ClassVar[frozenset[Role]] = CASHIERS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (TermsNotAgreed, AmountDiffersFromTerms, CurrencyMismatch)

    store_id: StoreId
    supplier_id: SupplierId
    amount_minor: Annotated[PositiveMinor, Meta(description="What is frozen, in minor units.")]
    currency: Annotated[Currency, Meta(description="Its currency: the store's.")]

    def decide(self, work: UnitOfWork) -> UUID:
        """Compare with the terms."""
        store = work.store(self.store_id)
        supplier = find(store, self.supplier_id)
        _require_status(supplier, self.supplier_id, SupplierStatus.QUALIFIED, SupplierStatus.ACTIVE)
        store.require_currency(self.currency)
        if supplier.terms is None:
            raise TermsNotAgreed(company=supplier.company, path=("supplier_id",), ids=[self.supplier_id])
        if self.amount_minor != supplier.deposit_missing_minor:
            raise AmountDiffersFromTerms(
                expected_minor=supplier.deposit_missing_minor,
                given_minor=self.amount_minor,
                path=("amount_minor",),
                ids=[self.supplier_id],
            )
        store.trigger_event(
            SupplierDepositFrozen,
            supplier_id=self.supplier_id,
            amount_minor=self.amount_minor,
            currency=self.currency,
            occurred_at=work.occurred_at,
        )
        return store.id


class ActivateSupplier(Command):
    """Let goods be ordered of a supplier that is fit, whose terms are agreed and whose deposit is frozen."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (TermsNotAgreed, DepositNotFrozen, DocumentMissing, DocumentExpired)

    store_id: StoreId
    supplier_id: SupplierId

    def decide(self, work: UnitOfWork) -> UUID:
        """Check terms, deposit and, once more, the documents."""
        store = work.store(self.store_id)
        supplier = find(store, self.supplier_id)
        if supplier.status is SupplierStatus.ACTIVE:
            return store.id  # Asked twice, recorded once.
        _require_status(supplier, self.supplier_id, SupplierStatus.QUALIFIED)
        if supplier.terms is None:
            raise TermsNotAgreed(company=supplier.company, path=("supplier_id",), ids=[self.supplier_id])
        if missing_minor := supplier.deposit_missing_minor:
            raise DepositNotFrozen(missing_minor=missing_minor, path=("supplier_id",), ids=[self.supplier_id])
        needed = _required_documents(store, supplier, work)
        supplier.require_documents(needed, store.local_date(work.occurred_at), self.supplier_id)
        store.trigger_event(SupplierActivated, supplier_id=self.supplier_id, occurred_at=work.occurred_at)
        return store.id


class ExpelSupplier(Command):
    """Order nothing of a supplier any more. What was ordered may still come, be called off and be paid."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store

    store_id: StoreId
    supplier_id: SupplierId
    reason: Annotated[Reason, Meta(description="Why.")]

    def decide(self, work: UnitOfWork) -> UUID:
        """Say so."""
        store = work.store(self.store_id)
        supplier = find(store, self.supplier_id)
        if supplier.status is SupplierStatus.EXPELLED:
            return store.id  # Asked twice, recorded once.
        _require_status(supplier, self.supplier_id, SupplierStatus.QUALIFIED, SupplierStatus.ACTIVE)
        store.trigger_event(
            SupplierExpelled, supplier_id=self.supplier_id, reason=self.reason, occurred_at=work.occurred_at
        )
        return store.id


class ReleaseSupplierDeposit(Command):
    """Give an expelled supplier its deposit back, less what is withheld for claims."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store
    ROLES: ClassVar[frozenset[Role]] = CASHIERS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (ExceedsDeposit, CurrencyMismatch)

    store_id: StoreId
    supplier_id: SupplierId
    amount_minor: Annotated[NonNegativeMinor, Meta(description="What goes back, in minor units.")]
    currency: Annotated[Currency, Meta(description="Its currency: the store's.")]
    withheld_minor: Annotated[
        NonNegativeMinor, Meta(description="What is withheld, in minor units; with a reason if anything is.")
    ] = 0
    reason: Annotated[Reason | None, Meta(description="The claims for which it is withheld.")] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Take both out of what is frozen."""
        store = work.store(self.store_id)
        supplier = find(store, self.supplier_id)
        _require_status(supplier, self.supplier_id, SupplierStatus.EXPELLED)
        store.require_currency(self.currency)
        if self.withheld_minor and self.reason is None:
            raise InvalidField(why="say for which claims it is withheld", path=("reason",))
        if not self.amount_minor + self.withheld_minor:
            raise InvalidField(why="a release of nothing is no release", path=("amount_minor",))
        if self.amount_minor + self.withheld_minor > supplier.deposit_minor:
            raise ExceedsDeposit(frozen_minor=supplier.deposit_minor, path=("amount_minor",), ids=[self.supplier_id])
        store.trigger_event(
            SupplierDepositReleased,
            supplier_id=self.supplier_id,
            amount_minor=self.amount_minor,
            withheld_minor=self.withheld_minor,
            currency=self.currency,
            reason=self.reason,
            occurred_at=work.occurred_at,
        )
        return store.id
