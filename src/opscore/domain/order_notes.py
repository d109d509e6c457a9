"""What staff write down about an order for each other: notes, and the tags by which they sort their work.

Neither is for the customer, nor for roles that do not work on orders. What a note says may be personal whatever it is
asked not to be, so it is sealed as an address is, and erased with the customer or the guest.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, NoReturn
from uuid import UUID

from msgspec import Meta

from opscore.domain.aggregate import Aggregate
from opscore.domain.command import Command, DoneAlready, Role, UnitOfWork
from opscore.domain.order import Order
from opscore.domain.order_commands import AFTER_SALES_DESK, SERVICE_DESK, SHIPPING, OrderId
from opscore.domain.order_events import OrderNoted, OrderNoteWithdrawn, OrderTagged, OrderUntagged
from opscore.domain.refusals import InvalidField, NotFound, WrongState
from opscore.domain.values import Code

NOTES_MAX = 200
"""Most notes that staff can write on one order, withdrawn ones included."""
TAGS_MAX = 20
"""Most tags that one order has at a time."""

ORDER_DESKS = SERVICE_DESK | AFTER_SALES_DESK | SHIPPING
"""Who works on single orders: talks to their customers, sends them, takes them back."""

NoteText = Annotated[str, Meta(min_length=1, max_length=2000, pattern=r"^[^\x00]*[^\x00\s][^\x00]*$")]
Tag = Annotated[Code, Meta(description="A word such as `call back`; capitals matter. No personal data.")]


def require_notable(order: Order) -> None:
    """Refuse WrongState when there is no key to seal a note with, or there were as many as the order holds."""
    if order.guest_erased:
        _refuse(order, "one whose guest was erased", "one whose guest is known")
    if len(order.notes) + len(order.notes_withdrawn) >= NOTES_MAX:
        _refuse(order, f"one with {NOTES_MAX} notes", "one with fewer, withdrawn ones included")


def require_note(order: Order) -> None:
    """Refuse WrongState unless there is a note to withdraw; raises DoneAlready where all are withdrawn."""
    if not order.notes:
        if order.notes_withdrawn:
            raise DoneAlready
        _refuse(order, "one without notes", "one with a note")


def _refuse(order: Order, state: str, needed: str) -> NoReturn:
    raise WrongState(what="order", state=state, needed=needed, path=("order_id",), ids=[order.id])


class NoteOrder(Command):
    """Write a note on an order, for those who work on it and nobody else. It is withdrawn, never changed."""

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = ORDER_DESKS

    order_id: OrderId
    text: Annotated[
        NoteText, Meta(description="What is to be known; kept encrypted under the customer's key and erased with it.")
    ]

    def decide(self, work: UnitOfWork) -> UUID:
        """Seal the text and record who wrote it."""
        order = work.order(self.order_id)
        require_notable(order)
        text = work.seal(order.subject_id, self.text)
        order.trigger_event(
            OrderNoted, note_id=work.new_id(), author=work.actor.id, text=text, occurred_at=work.occurred_at
        )
        return order.id


class WithdrawOrderNote(Command):
    """Take a note back that does not hold any more; the log keeps it, and who took it back."""

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = ORDER_DESKS

    order_id: OrderId
    note_id: Annotated[UUID, Meta(description="The note.")]

    def decide(self, work: UnitOfWork) -> UUID:
        """Withdraw; asked twice, recorded once."""
        order = work.order(self.order_id)
        if self.note_id in order.notes_withdrawn:
            return order.id
        if self.note_id not in order.notes:
            raise NotFound(what="note of this order", path=("note_id",), ids=[order.id])
        order.trigger_event(OrderNoteWithdrawn, note_id=self.note_id, occurred_at=work.occurred_at)
        return order.id


class TagOrder(Command):
    """Put a tag on an order, to sort work by."""

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = ORDER_DESKS

    order_id: OrderId
    tag: Tag

    def decide(self, work: UnitOfWork) -> UUID:
        """Tag; asked twice, recorded once."""
        order = work.order(self.order_id)
        if self.tag not in order.tags:
            if len(order.tags) >= TAGS_MAX:
                why = f"an order has at most {TAGS_MAX} tags, take one off first"
                raise InvalidField(why=why, path=("tag",), ids=[order.id])
            order.trigger_event(OrderTagged, tag=self.tag, occurred_at=work.occurred_at)
        return order.id


class UntagOrder(Command):
    """Take a tag off an order."""

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = ORDER_DESKS

    order_id: OrderId
    tag: Tag

    def decide(self, work: UnitOfWork) -> UUID:
        """Take it off; where it is not on the order, nothing is recorded."""
        order = work.order(self.order_id)
        if self.tag in order.tags:
            order.trigger_event(OrderUntagged, tag=self.tag, occurred_at=work.occurred_at)
        return order.id
