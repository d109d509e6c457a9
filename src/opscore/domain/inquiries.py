"""An inquiry before a sale, as it was answered: what is on record, how it says no, and what may be asked for.

Each inquiry is a stream of its own with one event: however many arrive in a second, none waits for another, and no
stream grows with them.
"""

from __future__ import annotations

from typing import Annotated, ClassVar
from uuid import UUID

from msgspec import Meta

from opscore.domain.aggregate import Aggregate, FirstEvent, folds
from opscore.domain.command import Command, Role, UnitOfWork
from opscore.domain.order_assists import require_helper
from opscore.domain.order_commands import SERVICE_DESK
from opscore.domain.refusals import Refusal
from opscore.domain.store import Store
from opscore.domain.values import Code, derived_id

# What is on record ---------------------------------------------------------------------------------------------------


class InquiryRecorded(FirstEvent):
    """Somebody asked a store before buying, and one of its staff answered.

    `inquirer_id` is the customer, else an id made of the visitor's key: the key itself is not kept.
    """

    store_id: UUID
    customer_id: UUID | None
    inquirer_id: UUID
    agent: str
    channel: str
    topic: str | None


# How it says no ------------------------------------------------------------------------------------------------------


class InquirerUnclear(Refusal):
    """An inquiry is of a customer or of a visitor; give one of the two, and only one."""


# What it adds up to --------------------------------------------------------------------------------------------------


class Inquiry(Aggregate):
    """One inquiry; nothing more happens to it."""

    store_id: UUID
    inquirer_id: UUID
    agent: str

    @folds(InquiryRecorded)
    def _recorded(self, event: InquiryRecorded) -> None:
        self.store_id = event.store_id
        self.inquirer_id = event.inquirer_id
        self.agent = event.agent


# What can be asked for -----------------------------------------------------------------------------------------------


class RecordInquiry(Command):
    """Book that somebody asked a store before buying, and who of the staff answered."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store
    ROLES: ClassVar[frozenset[Role]] = SERVICE_DESK
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (InquirerUnclear,)

    store_id: Annotated[UUID, Meta(description="The store.")]
    agent: Annotated[Code, Meta(description="Who of the store's staff answered: the name that their tokens carry.")]
    channel: Annotated[Code, Meta(description="Where they asked.")]
    customer_id: Annotated[UUID | None, Meta(description="The customer, if they are one.")] = None
    visitor: Annotated[
        Code | None,
        Meta(description="Else a key that the shop's front gives the visitor, the same each time; no personal data."),
    ] = None
    topic: Annotated[Code | None, Meta(description="What it was about, as a code; no personal data.")] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Check who asked and who answered; refuses InquirerUnclear, and InvalidField for an agent not of the staff."""
        store = work.store(self.store_id)
        if (self.customer_id is None) == (self.visitor is None):
            raise InquirerUnclear(path=("customer_id",), ids=[store.id])
        require_helper(work, store, self.agent, "agent")
        if self.customer_id is None:
            inquirer_id = derived_id("visitor", store.id, self.visitor)
        else:
            inquirer_id = work.customer(self.customer_id, path=("customer_id",)).id
        work.add(
            Inquiry.start(
                InquiryRecorded,
                work.new_id(),
                store_id=store.id,
                customer_id=self.customer_id,
                inquirer_id=inquirer_id,
                agent=self.agent,
                channel=self.channel,
                topic=self.topic,
                occurred_at=work.occurred_at,
            )
        )
        return store.id
