"""Staff write notes on orders for each other, and sort their work by tags."""

from __future__ import annotations

from uuid import UUID, uuid4

import msgspec
import pytest

from opscore.domain.command import Actor, Command, Role
from opscore.domain.customer_commands import EraseCustomer
from opscore.domain.order import Order
from opscore.domain.order_commands import CancelOrder, EraseGuest
from opscore.domain.order_notes import (
    NOTES_MAX,
    TAGS_MAX,
    NoteOrder,
    TagOrder,
    UntagOrder,
    WithdrawOrderNote,
)
from opscore.domain.readiness import DONE_ALREADY
from opscore.domain.refusals import InvalidField, NotAuthorised, NotFound, WrongState
from tests.domain.desk import SERVICE, WAREHOUSE
from tests.domain.selling import Shop
from tests.domain.test_readiness import codes

COMMANDS = (NoteOrder, WithdrawOrderNote, TagOrder, UntagOrder)


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def order_id(shop: Shop) -> UUID:
    return shop.place((shop.article(), "1"))


def note(shop: Shop, order_id: UUID, text: str = "rang Ann, she waits", actor: Actor = SERVICE) -> UUID:
    """Write a note and return its id."""
    shop.desk.do(NoteOrder(order_id=order_id, text=text), actor=actor)
    return list(shop.order(order_id).notes)[-1]


# Notes ---------------------------------------------------------------------------------------------------------------


def test_a_note_says_who_wrote_it_when_and_what_and_is_sealed_under_the_key_of_whoever_ordered(shop: Shop) -> None:
    customer = shop.desk.register(shop.store_id)
    lamp = shop.article()
    theirs, guests = shop.place((lamp, "1"), customer_id=customer), shop.place((lamp, "1"))
    for order_id, subject in ((theirs, customer), (guests, guests)):
        note(shop, order_id)
        [kept] = shop.order(order_id).notes.values()
        assert (kept.author, kept.written_at) == ("sue", shop.desk.events[-1][1].occurred_at)
        assert "Ann" not in kept.text and shop.desk.unseal(subject, kept.text) == "rang Ann, she waits"
    assert all(b"Ann" not in state for state in shop.desk.snapshots())


def test_notes_stand_in_the_order_in_which_they_were_written_until_they_are_withdrawn(
    shop: Shop, order_id: UUID
) -> None:
    first, second = note(shop, order_id), note(shop, order_id, actor=WAREHOUSE)
    assert list(shop.order(order_id).notes) == [first, second]

    shop.desk.do(WithdrawOrderNote(order_id=order_id, note_id=first), actor=WAREHOUSE)

    assert list(shop.order(order_id).notes) == [second]
    assert shop.desk.recorded(order_id)[-3:] == ["OrderNoted", "OrderNoted", "OrderNoteWithdrawn"]


def test_withdrawing_twice_records_once(shop: Shop, order_id: UUID) -> None:
    withdraw = WithdrawOrderNote(order_id=order_id, note_id=note(shop, order_id))
    shop.desk.do(withdraw)
    before = len(shop.desk.events)

    shop.desk.do(withdraw)

    assert len(shop.desk.events) == before
    assert codes(shop.desk, Order, order_id)["withdrawOrderNote"] == DONE_ALREADY


def test_a_note_of_another_order_is_not_there(shop: Shop, order_id: UUID) -> None:
    note(shop, order_id)
    theirs = note(shop, shop.place((shop.article("cup"), "1")))
    for other in (theirs, uuid4()):
        with pytest.raises(NotFound, match="note of this order"):
            shop.desk.do(WithdrawOrderNote(order_id=order_id, note_id=other))


def test_without_a_note_there_is_none_to_withdraw(shop: Shop, order_id: UUID) -> None:
    assert codes(shop.desk, Order, order_id)["withdrawOrderNote"] == "WRONG_STATE"
    with pytest.raises(WrongState, match="without notes"):
        shop.desk.do(WithdrawOrderNote(order_id=order_id, note_id=uuid4()))


def test_an_order_holds_so_many_notes_and_withdrawing_makes_no_room(shop: Shop, order_id: UUID) -> None:
    for _ in range(NOTES_MAX):
        last = note(shop, order_id)
    shop.desk.do(WithdrawOrderNote(order_id=order_id, note_id=last))

    assert codes(shop.desk, Order, order_id)["noteOrder"] == "WRONG_STATE"
    with pytest.raises(WrongState, match=f"{NOTES_MAX} notes"):
        note(shop, order_id)


def test_of_who_was_erased_nothing_more_is_written_down(shop: Shop, order_id: UUID) -> None:
    note(shop, order_id)
    shop.desk.do(CancelOrder(order_id=order_id))
    shop.desk.do(EraseGuest(order_id=order_id))

    assert codes(shop.desk, Order, order_id)["noteOrder"] == "WRONG_STATE"
    with pytest.raises(WrongState, match="guest was erased"):
        note(shop, order_id)
    customer = shop.desk.register(shop.store_id)
    theirs = shop.place((shop.article("cup"), "1"), customer_id=customer)
    shop.desk.do(CancelOrder(order_id=theirs))
    shop.desk.do(EraseCustomer(customer_id=customer))
    with pytest.raises(InvalidField, match="erased"):
        note(shop, theirs)


@pytest.mark.parametrize("text", ["", " \n", "a\x00b", "x" * 2001])
def test_a_note_is_a_text_of_some_length(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"order_id": str(uuid4()), "text": text}, NoteOrder, strict=False)


# Tags ----------------------------------------------------------------------------------------------------------------


def test_tags_are_put_on_and_taken_off_and_asked_twice_recorded_once(shop: Shop, order_id: UUID) -> None:
    for command in (
        TagOrder(order_id=order_id, tag="call back"),
        TagOrder(order_id=order_id, tag="Call back"),
        TagOrder(order_id=order_id, tag="call back"),
        UntagOrder(order_id=order_id, tag="gift"),
        UntagOrder(order_id=order_id, tag="call back"),
        UntagOrder(order_id=order_id, tag="call back"),
        TagOrder(order_id=order_id, tag="call back"),
    ):
        shop.desk.do(command, actor=SERVICE)

    assert shop.order(order_id).tags == ["Call back", "call back"]
    assert shop.desk.recorded(order_id)[-4:] == ["OrderTagged", "OrderTagged", "OrderUntagged", "OrderTagged"]


def test_an_order_has_so_many_tags_and_one_taken_off_makes_room(shop: Shop, order_id: UUID) -> None:
    for number in range(TAGS_MAX):
        shop.desk.do(TagOrder(order_id=order_id, tag=f"tag {number}"))
    with pytest.raises(InvalidField, match=f"at most {TAGS_MAX} tags"):
        shop.desk.do(TagOrder(order_id=order_id, tag="one more"))
    shop.desk.do(TagOrder(order_id=order_id, tag="tag 0"))

    shop.desk.do(UntagOrder(order_id=order_id, tag="tag 0"))
    shop.desk.do(TagOrder(order_id=order_id, tag="one more"))

    assert "one more" in shop.order(order_id).tags


def test_an_order_without_tags_has_none_to_take_off(shop: Shop, order_id: UUID) -> None:
    assert codes(shop.desk, Order, order_id)["untagOrder"] == DONE_ALREADY
    shop.desk.do(TagOrder(order_id=order_id, tag="gift"))
    assert codes(shop.desk, Order, order_id)["untagOrder"] is None


# Who -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("role", Role)
def test_who_works_on_orders_writes_on_them_and_nobody_else(command: type[Command], role: Role) -> None:
    desks = {Role.OWNER, Role.MANAGER, Role.SERVICE, Role.AFTER_SALES, Role.WAREHOUSE, Role.PLATFORM, Role.SYSTEM}
    actor = Actor(id="x", role=role)
    if role in desks:
        command.require_role(actor)
    else:
        with pytest.raises(NotAuthorised):
            command.require_role(actor)


def test_a_stranger_writes_nothing_on_an_order_of_another_store(shop: Shop, order_id: UUID) -> None:
    stranger = Actor(id="x", role=Role.SERVICE, stores=frozenset({uuid4()}))
    for command in (
        NoteOrder(order_id=order_id, text="x"),
        WithdrawOrderNote(order_id=order_id, note_id=uuid4()),
        TagOrder(order_id=order_id, tag="x"),
        UntagOrder(order_id=order_id, tag="x"),
    ):
        with pytest.raises(NotFound):
            shop.desk.do(command, actor=stranger)
