"""A supplier of a store: what is on record about it, what that adds up to, and how it says no.

A supplier applies, hands in documents, and is found fit or rejected; who is fit agrees on terms, has its deposit frozen
and is activated: from then on goods may be ordered of it. Expelled, it delivers what was ordered, and no more. The
commands are in supplier_commands.py.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from datetime import date
from uuid import UUID

import msgspec

from opscore.domain.aggregate import Event
from opscore.domain.policies import SupplierDocumentKind
from opscore.domain.refusals import Refusal
from opscore.domain.store_state import Paper, require_valid
from opscore.domain.values import Value

# What is on record ---------------------------------------------------------------------------------------------------


class SupplierKind(enum.StrEnum):
    """What a supplier is to its goods."""

    MANUFACTURER = "manufacturer"
    """Makes them."""
    BRAND_DEALER = "brand_dealer"
    """Deals in a brand that somebody else makes."""


class SupplierStatus(enum.StrEnum):
    """How far a supplier is."""

    APPLIED = "applied"
    """Hands in its documents."""
    QUALIFIED = "qualified"
    """Was found fit; terms and deposit are to follow."""
    REJECTED = "rejected"
    """Was found unfit; it may apply again."""
    ACTIVE = "active"
    """Goods may be ordered of it."""
    EXPELLED = "expelled"
    """Nothing is ordered of it any more."""


class SupplierApplied(Event):
    """A company applied to be a supplier."""

    supplier_id: UUID
    kind: SupplierKind
    company: str


class SupplierDocumentSubmitted(Event):
    """A document of a supplier was handed in; the later one of a kind (and brand) holds."""

    supplier_id: UUID
    kind: SupplierDocumentKind
    number: str | None
    valid_from: date | None
    valid_until: date | None
    brand: str | None = None
    file_reference: str | None = None


class SupplierQualified(Event):
    """A supplier was found fit: the documents that were asked for are there, and valid."""

    supplier_id: UUID


class SupplierRejected(Event):
    """A supplier was found unfit."""

    supplier_id: UUID
    reasons: tuple[str, ...]


class SupplierTermsAgreed(Event):
    """It was agreed how a supplier exchanges and takes back goods, and what deposit it leaves; the last terms hold."""

    supplier_id: UUID
    exchange_terms: str
    return_terms: str
    after_sale_terms: str | None
    deposit_minor: int
    currency: str
    policy_version: int


class SupplierDepositFrozen(Event):
    """Deposit of a supplier was frozen."""

    supplier_id: UUID
    amount_minor: int
    currency: str


class SupplierActivated(Event):
    """From now on goods may be ordered of a supplier."""

    supplier_id: UUID


class SupplierExpelled(Event):
    """Nothing is ordered of a supplier any more; what was ordered may still come."""

    supplier_id: UUID
    reason: str


class SupplierDepositReleased(Event):
    """Deposit of an expelled supplier went back to it, except for what was withheld for claims."""

    supplier_id: UUID
    amount_minor: int
    withheld_minor: int
    currency: str
    reason: str | None = None


SupplierStep = (
    SupplierDocumentSubmitted
    | SupplierQualified
    | SupplierRejected
    | SupplierTermsAgreed
    | SupplierDepositFrozen
    | SupplierActivated
    | SupplierExpelled
    | SupplierDepositReleased
)
"""What may be recorded about a supplier that has applied."""

# What it adds up to --------------------------------------------------------------------------------------------------


class SupplierDocument(Paper, kw_only=True):
    """A document of a supplier on file."""

    kind: SupplierDocumentKind
    brand: str | None = None


class SupplierTerms(Value):
    """What was agreed with a supplier."""

    exchange_terms: str
    return_terms: str
    after_sale_terms: str | None
    deposit_minor: int


class Supplier(msgspec.Struct):
    """A supplier as it stands. Amounts are in minor units of the store's currency."""

    kind: SupplierKind
    company: str
    status: SupplierStatus = SupplierStatus.APPLIED
    documents: list[SupplierDocument] = []
    terms: SupplierTerms | None = None
    deposit_minor: int = 0
    """What is frozen of it now."""

    @property
    def is_active(self) -> bool:
        """Whether goods may be ordered of it."""
        return self.status is SupplierStatus.ACTIVE

    @property
    def is_over(self) -> bool:
        """Whether it was rejected or expelled."""
        return self.status in (SupplierStatus.REJECTED, SupplierStatus.EXPELLED)

    @property
    def deposit_missing_minor(self) -> int:
        """What its terms ask for beyond what is frozen; 0 before there are any."""
        return 0 if self.terms is None else max(0, self.terms.deposit_minor - self.deposit_minor)

    def require_documents(self, kinds: Sequence[SupplierDocumentKind], day: date, supplier_id: UUID) -> None:
        """Refuse DocumentExpired or DocumentMissing unless there is a valid document of each kind on a day."""
        for kind in kinds:
            papers = [paper for paper in self.documents if paper.kind is kind]
            require_valid(papers, kind.value, day, supplier_id, ("supplier_id",))

    def take_in(self, event: SupplierStep) -> None:
        """Change by what was recorded."""
        match event:
            case SupplierDocumentSubmitted():
                paper = SupplierDocument(
                    kind=event.kind, valid_from=event.valid_from, valid_until=event.valid_until, brand=event.brand
                )
                others = [each for each in self.documents if (each.kind, each.brand) != (paper.kind, paper.brand)]
                self.documents = [*others, paper]
            case SupplierQualified():
                self.status = SupplierStatus.QUALIFIED
            case SupplierRejected():
                self.status = SupplierStatus.REJECTED
            case SupplierTermsAgreed():
                self.terms = SupplierTerms(
                    exchange_terms=event.exchange_terms,
                    return_terms=event.return_terms,
                    after_sale_terms=event.after_sale_terms,
                    deposit_minor=event.deposit_minor,
                )
            case SupplierDepositFrozen():
                self.deposit_minor += event.amount_minor
            case SupplierActivated():
                self.status = SupplierStatus.ACTIVE
            case SupplierExpelled():
                self.status = SupplierStatus.EXPELLED
            case SupplierDepositReleased():
                self.deposit_minor -= event.amount_minor + event.withheld_minor


def take_in(suppliers: dict[UUID, Supplier], event: SupplierApplied | SupplierStep) -> None:
    """Change the suppliers of a store by what was recorded."""
    if isinstance(event, SupplierApplied):
        suppliers[event.supplier_id] = Supplier(kind=event.kind, company=event.company)
    else:
        suppliers[event.supplier_id].take_in(event)


# How it says no ------------------------------------------------------------------------------------------------------


class SupplierNotActive(Refusal):
    """The supplier '{company}' is {status}, and goods are ordered of active ones; activate it or name another one."""


class ExchangeTermsMissing(Refusal):
    """How '{company}' exchanges and takes back goods is not settled; agree on terms with this supplier first."""


class TermsNotAgreed(Refusal):
    """No terms are agreed with '{company}'; agree on them first."""
